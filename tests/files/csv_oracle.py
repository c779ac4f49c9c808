"""The values of a column by Python's csv module, and contents of files that are hard to read."""

import csv
import io
from collections import Counter

from hypothesis import strategies as st

csv.field_size_limit(1 << 30)  # the compiled loops have no limit

TOKENS = [
    b"a",
    b"bc",
    b",",
    b",",
    b"\n",
    b"\n",
    b'"',
    b'"',
    b'""',
    b'","',
    b'"\n',
    b'\n"',
    b"\r\n",
    b"\r",
    b"\0",
    b"\xff",
    b" ",
]

ROWS = st.lists(st.sampled_from(TOKENS), max_size=60).map(b"".join)
"""Anything, mostly with quotes where they do not belong."""

FIELD = st.sampled_from(["", "a", "bc", 'q"q', "x,y", "two\nlines", "cr\r\nlf", "é", " ", '"', "a" * 70])
TABLE = st.lists(st.lists(FIELD, min_size=1, max_size=4), max_size=25)


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """What a csv.writer has written."""
    text = io.StringIO(newline="")
    ends = draw(st.sampled_from(["\n", "\r\n"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    csv.writer(text, lineterminator=ends, quoting=quoting).writerows(draw(TABLE))
    return text.getvalue().encode()


CONTENT = ROWS | written()


def rows_of(content: bytes, delimiter: str = ",", quote: str | None = '"') -> list[list[bytes]]:
    """The rows that a csv.reader finds; empty rows are left out, as by csv.DictReader."""
    text = io.TextIOWrapper(io.BytesIO(content), "latin-1", newline="")
    options = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    reader = csv.reader(text, delimiter=delimiter, **options)
    return [[field.encode("latin-1") for field in row] for row in reader if row]


def column_of(rows: list[list[bytes]], index: int) -> Counter[bytes]:
    """How often each value occurs in a column; an empty one where a row has none."""
    return Counter(row[index] if index < len(row) else b"" for row in rows)
