"""The records that are appended, and the check of what is in a file afterwards.

A record is a line: nine characters that tell its writer and its number, characters that follow from these, and a
newline. A line that is not exactly such a record is torn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

LEAST_BYTES = 16
MOST_BYTES = 1 << 24

NEWLINE = 10

ZERO, DIGITS = ord("0"), 6
"""The first of 64 successive characters, none of which is a newline, and how many bits one tells."""

WRITER, NUMBER = 3, 6
"""Characters of the writer, and of the number; those of a large record's body start anywhere in `OFFSETS` others."""

OFFSETS = 1 << 16

BATCH_BYTES = 1 << 19

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Faults:
    """What is wrong with a file.

    Attributes
    ----------
    lost : int
        Records that are not in the file as a whole.
    torn : int
        Lines that are not a record.
    duplicated : int
        Records that are there once more.
    reordered : int
        Records that are directly behind a later one of the same writer, if those of other writers are left out.
    """

    lost: int
    torn: int
    duplicated: int
    reordered: int

    def __bool__(self) -> bool:
        return bool(self.lost or self.torn or self.duplicated or self.reordered)


def make_records(writer: int, count: int, size: int) -> list[bytes]:
    """Return the first records of a writer, each of `size` bytes, the newline included."""
    batches = (_rows(np.full(len(numbers), writer), numbers, size) for numbers in _batches(np.arange(count), size))
    return [row.tobytes() for rows in batches for row in rows]


def find_faults(data: bytes, counts: Sequence[int], size: int) -> Faults:
    """Compare the content of a file with the records that were appended, in time and memory linear in its size.

    Parameters
    ----------
    data : bytes
        The content.
    counts : sequence of int
        How many records each writer appended, from number 0 on.
    size : int
        Bytes of a record.

    Examples
    --------
    >>> first, second = make_records(0, 2, 16)
    >>> find_faults(second + first + first[:5], [2], 16)
    Faults(lost=0, torn=1, duplicated=0, reordered=1)
    """
    content = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(content == NEWLINE) + 1
    starts = np.concatenate([[0], ends[:-1]]) if ends.size else ends
    lines = ends.size + (not data.endswith(b"\n") and bool(data))
    known = np.append(np.asarray(counts, np.int64), 0)  # writers that do not exist have no records
    found = [_identities(content, some, known, size) for some in _batches(starts[ends - starts == size], size)]
    identities = np.concatenate([np.empty(0, np.int64), *found])
    distinct, first = np.unique(identities, return_index=True)
    once = identities[np.sort(first)]
    of_writer = once >> (NUMBER * DIGITS)
    by_writer = once[np.argsort(of_writer, kind="stable")]
    return Faults(
        lost=sum(counts) - distinct.size,
        torn=lines - identities.size,
        duplicated=identities.size - distinct.size,
        reordered=int(np.count_nonzero(by_writer[1:] < by_writer[:-1])),
    )


def _batches(values: Integers, size: int) -> list[Integers]:
    """Return parts of an array with one value for each record, such that the records of a part fit a cache."""
    step = max(1, BATCH_BYTES // size)
    return [values[start : start + step] for start in range(0, len(values), step)]


def _identities(content: Bytes, starts: Integers, known: Integers, size: int) -> Integers:
    """Return the writer and the number, as one integer, of each line that is a record."""
    rows = np.lib.stride_tricks.sliding_window_view(content, size)[starts]
    writers, numbers = _decode(rows[:, :WRITER]), _decode(rows[:, WRITER : WRITER + NUMBER])
    right = numbers < known[np.minimum(writers, len(known) - 1)]
    rows, writers, numbers = rows[right], writers[right], numbers[right]
    whole = (rows == _rows(writers, numbers, size)).all(axis=1)
    identities: Integers = (writers[whole] << (NUMBER * DIGITS)) | numbers[whole]
    return identities


def _rows(writers: Integers, numbers: Integers, size: int) -> Bytes:
    """Return records, one a row."""
    rows = np.empty((len(writers), size), np.uint8)
    for values, begin, end in ((writers, 0, WRITER), (numbers, WRITER, WRITER + NUMBER)):
        for place in range(begin, end):
            rows[:, place] = ZERO + (values >> DIGITS * (end - 1 - place) & 63)
    body = size - WRITER - NUMBER - 1
    # Odd factors, so that no two of many successive numbers, and of a few writers, share an offset.
    offsets = (writers * 40_503 + numbers * 25_717) % OFFSETS
    rows[:, WRITER + NUMBER : -1] = np.lib.stride_tricks.sliding_window_view(_characters(OFFSETS + body), body)[offsets]
    rows[:, -1] = NEWLINE
    return rows


def _decode(characters: Bytes) -> Integers:
    """Return the numbers that rows of characters tell; what other characters tell does not matter."""
    values = np.zeros(len(characters), np.int64)
    for column in characters.T:
        values = values << DIGITS | (column - ZERO & 63)
    return values


@cache
def _characters(count: int) -> Bytes:
    """Return random characters, the same in each process."""
    return np.random.default_rng(0).integers(ZERO, ZERO + 64, count, np.uint8)
