from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from parcount.studies.journal.records import LEAST_BYTES, NEWLINE, Faults, find_faults, make_records

SIZES = st.integers(LEAST_BYTES, 40)
COUNTS = st.lists(st.integers(0, 12), min_size=1, max_size=4)


def found_line_by_line(data: bytes, counts: Sequence[int], size: int) -> Faults:
    """The same, by a dictionary of the records that may be there."""
    known = {
        record: (writer, number)
        for writer, count in enumerate(counts)
        for number, record in enumerate(make_records(writer, count, size))
    }
    lines = data.splitlines(keepends=True) if data else []
    there = [known[line] for line in lines if line in known]
    once = list(dict.fromkeys(there))
    by_writer = [[number for writer, number in once if writer == one] for one in range(len(counts))]
    return Faults(
        lost=sum(counts) - len(once),
        torn=len(lines) - len(there),
        duplicated=len(there) - len(once),
        reordered=sum(second < first for numbers in by_writer for first, second in pairwise(numbers)),
    )


def all_records(counts: Sequence[int], size: int) -> list[bytes]:
    return [record for one in enumerate(counts) for record in make_records(*one, size)]


@given(COUNTS, SIZES)
def test_no_two_records_are_alike_and_each_is_one_line(counts: list[int], size: int) -> None:
    records = all_records(counts, size)
    assert len({*records}) == len(records) == sum(counts)
    for record in records:
        assert len(record) == size
        assert record.index(NEWLINE) == size - 1
        assert record.isascii()


@given(COUNTS, SIZES, st.randoms(use_true_random=False))
def test_writers_may_take_turns_in_any_order(counts: list[int], size: int, random: Random) -> None:
    left = [make_records(*one, size) for one in enumerate(counts)]
    data = b""
    while any(left):
        data += random.choice([records for records in left if records]).pop(0)
    assert not find_faults(data, counts, size)


@given(COUNTS, SIZES, st.data())
def test_whatever_happens_to_the_bytes_is_found(counts: list[int], size: int, drawn: st.DataObject) -> None:
    """Bytes are cut out, and copied to another place; oracle: a dictionary of all records."""
    records = all_records(counts, size)
    data = b"".join(drawn.draw(st.permutations(records)) if drawn.draw(st.booleans()) else records)
    for _ in range(drawn.draw(st.integers(0, 4))):
        start, stop, place = (drawn.draw(st.integers(0, len(data))) for _ in range(3))
        piece = data[min(start, stop) : max(start, stop)]
        if drawn.draw(st.booleans()):
            data = data[: min(start, stop)] + data[max(start, stop) :]
        if drawn.draw(st.booleans()):
            data = data[:place] + piece + data[place:]
    assert find_faults(data, counts, size) == found_line_by_line(data, counts, size)


@given(COUNTS, SIZES, st.binary(max_size=200).map(lambda data: data.replace(b"\r", b"")))
def test_what_is_no_record_is_torn(counts: list[int], size: int, data: bytes) -> None:
    assert find_faults(data, counts, size) == found_line_by_line(data, counts, size)


def test_one_changed_byte_of_a_large_record_tears_it() -> None:
    records = make_records(0, 3, 1 << 16)
    for place in (0, 1, 9, 30_000, (1 << 16) - 2):
        wrong = bytearray(records[1])
        wrong[place] ^= 1
        assert find_faults(records[0] + bytes(wrong) + records[2], [3], 1 << 16) == Faults(1, 1, 0, 0)


def test_records_of_a_writer_that_does_not_exist_are_torn() -> None:
    data = b"".join(make_records(0, 2, 20) + make_records(1, 3, 20))
    assert find_faults(data, [2, 1], 20) == Faults(0, 2, 0, 0)
    assert find_faults(data, [1], 20) == Faults(0, 4, 0, 0)
