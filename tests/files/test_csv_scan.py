"""The compiled loops that find a column, in every implementation that this machine has."""

import json
from collections import Counter
from itertools import cycle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from parcount._native.csv_scan import FieldScanner, InvalidLine, ShortRow, add_spans
from parcount._native.value_table import ValueList, ValueTable
from tests.files.csv_oracle import CONTENT, column_of, rows_of
from tests.files.test_text_scan import implementations


class Table:
    """A table of values that is emptied when it is full."""

    def __init__(self, limit: int = 1 << 20) -> None:
        self.table = ValueTable(1, limit)
        self.found: Counter[bytes] = Counter()
        self.spills = 0

    def spill(self) -> None:
        found = ValueList([self.table])
        self.found.update(dict(zip(found.values(0, len(found)), found.counts(0, len(found)).tolist(), strict=True)))
        self.table.clear()
        self.spills += 1

    def counts(self) -> Counter[bytes]:
        self.spill()
        return self.found


def counted(content: bytes, scanner: FieldScanner, sizes: list[int], table: Table | None = None) -> Counter[bytes]:
    """Count a column of a text in blocks of these sizes in turn; bytes that are not used are given again."""
    table = table or Table()
    block, position, last = b"", 0, False
    next_size = cycle(sizes or [len(content)])
    while not last:
        size = next(next_size)
        block += content[position : position + size]
        position += size
        last = position >= len(content)
        complete = scanner.complete(block)
        used = scanner.update(table.table.capsule, table.spill, block, last=last)
        assert used == (len(block) if last else complete)
        block = block[used:]
    return table.counts()


SIZES = st.lists(st.integers(1, 200), max_size=4)


@implementations
@given(content=CONTENT, column=st.integers(0, 4), sizes=SIZES, quoted=st.booleans())
@example(b'a,"b""c",d\n' * 20, 1, [64], True)
@example(b'"a"b"c,d"\n,x\n', 0, [1], True)
@example(b'a"b,c"\nd,e\n', 1, [3], True)
@example(b'"never closed,\nx,y\n', 0, [2], True)
@example(b'""""\n"",\n""a""\n', 0, [5], True)
@example(b"\r\n\n\ra\rb\r\n", 0, [1], True)
def test_the_values_are_those_of_the_csv_module(features, content, column, sizes, quoted) -> None:
    quote = '"' if quoted else None
    scanner = FieldScanner(column, quote=ord(quote) if quote else None, short_rows="empty", features=features)
    assert counted(content, scanner, sizes) == column_of(rows_of(content, quote=quote), column)


@implementations
@given(content=CONTENT)
def test_other_delimiters_and_quotes(features, content) -> None:
    for delimiter, quote in (("a", '"'), ("\0", "c"), ("\xff", ",")):
        scanner = FieldScanner(1, delimiter=ord(delimiter), quote=ord(quote), short_rows="empty", features=features)
        assert counted(content, scanner, []) == column_of(rows_of(content, delimiter, quote), 1)


@implementations
@pytest.mark.parametrize("before", range(56, 72))
def test_quotes_and_row_ends_at_each_place_in_a_block(features, before: int) -> None:
    for field in (b'"x,""y""\r\nz"', b'"x"y"', b'x"y', b'""', b'""""', b"\r", b"\r\n", b'"', b'a"\n"b', b'"\n",'):
        content = b"b" * before + b"," + field + b",c\n" + b"d,e,f\n" * 12
        for column in (0, 1, 2):
            scanner = FieldScanner(column, short_rows="empty", features=features)
            assert counted(content, scanner, []) == column_of(rows_of(content), column), (field, column)


@implementations
def test_every_division_of_a_small_text(features) -> None:
    content = b'a,"b\n""c""",d\r\n\r\ne,f"g,h\n"i"j,k\rl,"m'
    expected = column_of(rows_of(content), 1)
    for first in range(1, len(content)):
        for second in range(1, len(content) - first + 1):
            scanner = FieldScanner(1, short_rows="empty", features=features)
            assert counted(content, scanner, [first, second, len(content)]) == expected


@implementations
def test_many_columns_and_long_fields(features) -> None:
    content = b"".join(b",".join(b"%d" % (row * column) for column in range(300)) + b"\n" for row in range(40))
    content += b",".join([b'"' + b"x" * 5000 + b'""' + b"y" * 100_000 + b'"'] * 300) + b"\n"
    expected = rows_of(content)
    for column in (0, 1, 63, 64, 65, 299):
        scanner = FieldScanner(column, features=features)
        assert counted(content, scanner, []) == column_of(expected, column)


@implementations
def test_rows_without_the_column(features) -> None:
    content = b"a,b,c\nd,e\n\nf\n" + b"g,h,i\n" * 20
    scanner = FieldScanner(2, short_rows="skip", features=features)
    assert counted(content, scanner, []) == {b"c": 1, b"i": 20}
    scanner = FieldScanner(2, short_rows="empty", features=features)
    assert counted(content, scanner, []) == {b"c": 1, b"i": 20, b"": 2}
    scanner = FieldScanner(2, features=features)
    table = Table()
    with pytest.raises(ShortRow) as raised:
        scanner.update(table.table.capsule, table.spill, content, last=True)
    assert raised.value.args == (6, 2)
    with pytest.raises(ShortRow) as raised:
        scanner.update(table.table.capsule, table.spill, b'a,b,c\n"d"e,f', last=True)  # a row that is read byte by byte
    assert raised.value.args == (6, 2)
    assert counted(b"x,y,z\n", scanner, []) == {b"z": 1}


@implementations
def test_whether_the_last_row_ends_inside_quotes(features) -> None:
    scanner = FieldScanner(0, short_rows="empty", features=features)
    table = Table()
    for content, inside in (
        (b'a,"b\n', True),
        (b'a,"b"\n', False),
        (b'a"b\n', False),
        (b'"a"b"\n', False),
        (b'"', True),
    ):
        scanner.update(table.table.capsule, table.spill, content, last=True)
        assert scanner.open_quote == inside, content


def test_a_full_table_is_emptied_and_errors_end_the_scan() -> None:
    content = b"".join(b'x,"%d""q"\n' % number for number in range(3000))
    table = Table(1 << 16)
    FieldScanner(1).update(table.table.capsule, table.spill, content, last=True)
    assert table.spills
    assert table.counts() == {b'%d"q' % number: 1 for number in range(3000)}

    def fail() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        FieldScanner(1).update(table.table.capsule, fail, content, last=True)


def test_spans() -> None:
    table = Table()
    offsets = np.array([0, 1, 1, 3], np.int64)
    add_spans(table.table.capsule, table.spill, b"abb", offsets, np.array([5, 2, 7], np.int64))
    add_spans(table.table.capsule, table.spill, b"", np.array([0, 0], np.int64), np.array([1], np.int64))
    assert table.counts() == {b"a": 5, b"": 3, b"bb": 7}
    for wrong in ([0, 1, 1, 4], [0, 1, 1], [-1, 1, 1, 3], [0, 2, 1, 3]):
        with pytest.raises(ValueError, match="offsets"):
            add_spans(
                table.table.capsule, table.spill, b"abb", np.array(wrong, np.int64), np.array([5, 2, 7], np.int64)
            )


# JSON lines.

ESCAPED = ['"', "\\", "/", "\b", "\f", "\n", "\r", "\t", "é", "€", "😀", "\ud800", "\x00", "\x7f", "a", "long enough"]
STRINGS = st.lists(st.sampled_from(ESCAPED), max_size=6).map("".join)
NUMBERS = st.sampled_from(
    ["0", "-0", "1", "-12.50", "1e5", "1E+2", "0.1e-7", "NaN", "Infinity", "-Infinity", "true", "null"]
)


def dumped(value: object, ascii_only: bool) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


@st.composite
def json_lines(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """Lines of JSON, and the value of the key ``a`` in each."""
    lines, values = [], []
    for _ in range(draw(st.integers(0, 4))):
        members = []
        value = b"missing"
        for key in draw(st.lists(st.sampled_from(["a", "b", "", "aa", "\u00e9"]), max_size=4)):
            if draw(st.booleans()):
                string = draw(STRINGS)
                text, its_value = dumped(string, draw(st.booleans())), string.encode("utf-8", "surrogatepass")
            else:
                leaf = draw(NUMBERS).encode()
                its_value = text = (
                    draw(st.sampled_from([b"%b", b"[%b]", b'{"a": %b}', b'[{"b":[%b , "]"]}, {}]'])) % leaf
                )
            written = draw(st.sampled_from([dumped(key, True), b'"\\u0061"' if key == "a" else dumped(key, False)]))
            space = draw(st.sampled_from([b"", b" ", b"\t"]))
            members.append(written + space + b":" + space + text + space)
            if key == "a":
                value = its_value
        lines.append(draw(st.sampled_from([b"{%b}", b" { %b } \r"])) % b",".join(members))
        values.append(value)
        if draw(st.booleans()):
            lines.append(draw(st.sampled_from([b"", b" \t\r"])))
    end = draw(st.sampled_from([b"\n", b""])) if lines else b""
    return b"\n".join(lines) + end, values


@given(made=json_lines(), sizes=SIZES)
def test_the_values_of_a_key(made, sizes) -> None:
    content, values = made
    scanner = FieldScanner(key=b"a", short_rows="skip")
    table = Table()
    block, position = b"", 0
    for size in [*sizes, len(content)]:
        block += content[position : position + size]
        position += size
        block = block[scanner.update(table.table.capsule, table.spill, block, last=position >= len(content)) :]
    assert not block
    assert table.counts() == Counter(value for value in values if value != b"missing")


@given(
    line=st.sampled_from(
        [b'{"a": "x\\u00e9", "b": [1, {"c": null}], "d": -1.5e+3}', b'{"a":{"b":"\\\\"},"k":true}', b"[1]", b'{"a":1}x']
    ),
    position=st.integers(0, 60),
    byte=st.sampled_from([b"", b'"', b"\\", b",", b":", b"}", b"]", b"0", b"x", b"\x01", b"-", b".", b"e", b"u"]),
    inserted=st.booleans(),
)
def test_a_line_is_refused_where_json_refuses_it(line, position, byte, inserted) -> None:
    line = line[:position] + byte + line[position + (not inserted) :]
    try:
        valid = isinstance(json.loads(line), dict)
    except ValueError:
        valid = not line.strip()
    table = Table()
    scanner = FieldScanner(key=b"a", short_rows="skip")
    if valid:
        scanner.update(table.table.capsule, table.spill, line, last=True)
        return
    with pytest.raises(InvalidLine) as raised:
        scanner.update(table.table.capsule, table.spill, b'{"a":0}\n' + line, last=True)
    assert raised.value.args == (8,)


def test_depth_is_limited() -> None:
    table = Table()
    scanner = FieldScanner(key=b"a")
    scanner.update(table.table.capsule, table.spill, b'{"a":' + b"[" * 400 + b"]" * 400 + b"}", last=True)
    with pytest.raises(InvalidLine):
        scanner.update(table.table.capsule, table.spill, b'{"a":' + b"[" * 100_000, last=True)


def test_an_object_without_the_key() -> None:
    table = Table()
    content = b'{"a":1}\n{"b":{"a":2}}\n'
    with pytest.raises(ShortRow) as raised:
        FieldScanner(key=b"a").update(table.table.capsule, table.spill, content, last=True)
    assert raised.value.args[0] == 8
    FieldScanner(key=b"a", short_rows="empty").update(table.table.capsule, table.spill, b"{}\n" + content, last=True)
    assert table.counts()[b""] == 2
