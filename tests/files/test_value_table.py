"""The table of values and the lists of its entries."""

from array import array
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parcount._native.value_table import ENTRY_BYTES, INSTRUCTION_SETS, MAX_HEAD, ValueList, ValueTable

LIMIT = 1 << 22

strings = st.binary(max_size=200) | st.text("ab\0", max_size=80).map(str.encode)


def split(data):
    """The lines of which `wc` and `sort` know: a newline ends a line and does not begin one."""
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def ordered(counts):
    """The order of ``sort | uniq -c | sort -rn``."""
    return sorted(((count, value) for value, count in counts.items()), reverse=True)


def entries(values):
    return list(zip(values.counts(0, len(values)).tolist(), values.values(0, len(values)).tolist(), strict=True))


def content(*tables):
    return {value: count for count, value in entries(ValueList(tables))}


every_implementation = pytest.mark.parametrize("instructions", INSTRUCTION_SETS)


@every_implementation
@pytest.mark.parametrize("hash_bits", [64, 4, 0])
@given(lines=st.lists(strings, max_size=300), last=st.booleans())
def test_lines_are_counted(lines, last, hash_bits, instructions):
    data = b"\n".join(lines)
    table = ValueTable(1, LIMIT, hash_bits=hash_bits, instructions=instructions)
    used = table.add_lines(data, last) if data else 0
    assert used == (len(data) if last else data.rfind(b"\n") + 1)
    assert not table.full
    expected = Counter(split(data[:used]))
    assert (table.distinct, table.total) == (len(expected), expected.total())
    assert content(table) == expected


@every_implementation
@pytest.mark.parametrize("length", [0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 5000])
def test_lines_that_differ_in_one_byte_or_in_length_are_distinct(length, instructions):
    lines = {bytes(length)} | {bytes(length - 1 - i) + b"\1" + bytes(i) for i in range(length)} | {bytes(length + 1)}
    table = ValueTable(1, LIMIT * 8, instructions=instructions)
    data = b"".join(line + b"\n" for line in lines)
    assert table.add_lines(data + data, False) == 2 * len(data)
    assert content(table) == dict.fromkeys(lines, 2)


@every_implementation
@pytest.mark.parametrize("length", [65533, 65534, 65535, 65536, (1 << 21) + 5])
def test_long_lines(length, instructions):
    table = ValueTable(1, 2 * LIMIT, instructions=instructions)
    line = b"x" * length
    assert table.add_lines(line + b"\n" + line, True) == 2 * length + 1
    assert content(table) == {line: 2}
    assert table.longest == length


def test_all_instruction_sets_hash_alike():
    lines = [bytes(range(i % 256)) * (1 + i % 9) for i in range(300)]
    sizes, buffers = [], []
    for name in INSTRUCTION_SETS:
        table = ValueTable(7, LIMIT, instructions=name)
        for line in lines:
            table.add(line)
        sizes.append(array("q", bytes(8 << 12)))
        buffers.append(bytearray(1 << 20))
        table.encode(buffers[-1], sizes[-1], array("q", bytes(8 << 12)))
    assert all(each == sizes[0] for each in sizes)
    assert all(each == buffers[0] for each in buffers)


def test_hashes_depend_on_the_seed_and_fill_the_buckets_evenly():
    lines = b"".join(b"line %d\n" % number for number in range(1 << 14))
    found = []
    for seed in range(2):
        table = ValueTable(seed, LIMIT)
        table.add_lines(lines, True)
        entries = array("q", bytes(8 * 64))
        while table.encode(bytearray(1 << 20), array("q", bytes(8 * 64)), entries):
            pass
        found.append(np.array(entries))
        assert abs(found[-1] - (1 << 8)).max() < 7 * (1 << 4)  # 7 standard deviations
    assert (found[0] != found[1]).any()


@given(values=st.dictionaries(strings, st.integers(1, 1 << 40), max_size=50))
def test_encoded_tables_are_loaded(values):
    table, loaded, listed = ValueTable(1, LIMIT), ValueTable(2, LIMIT), ValueTable(3, LIMIT)
    for value, count in values.items():
        table.add(value, count)
    buffer = memoryview(bytearray(table.longest + MAX_HEAD))
    unused = array("q", [0])
    while size := table.encode(buffer, unused, unused):
        assert loaded.load(buffer[:size]) == listed.append(buffer[:size]) == size
        assert loaded.load(buffer[: size - 1]) < size  # the last entry is not complete
        loaded.clear()
        assert loaded.load(buffer[:size]) == size
        assert set(content(loaded).items()) <= set(values.items())
    assert content(listed) == values
    assert unused[0] >= sum(map(len, values))


def test_a_buffer_that_is_too_small_is_refused():
    table = ValueTable(1, LIMIT)
    table.add(b"x" * 100)
    with pytest.raises(ValueError, match="too small"):
        table.encode(bytearray(100), array("q", [0]), array("q", [0]))


@given(
    parts=st.lists(st.lists(st.integers(0, 400)), min_size=1, max_size=4),
    bits=st.integers(0, 5),
    hash_bits=st.sampled_from([64, 3]),
)
def test_tables_are_merged_by_ranges_of_hashes(parts, bits, hash_bits):
    tables = [ValueTable(5, LIMIT, hash_bits=hash_bits) for _ in parts]
    for table, numbers in zip(tables, parts, strict=True):
        for number in numbers:
            table.add(b"%d" % number)
    merged = ValueList([])
    for number in range(1 << bits):
        merged.extend(ValueList(tables, number, number + 1, bits))
    assert sorted(entries(merged)) == sorted(
        (count, b"%d" % value) for value, count in Counter(number for part in parts for number in part).items()
    )


@given(values=st.dictionaries(strings, st.integers(1, 3), max_size=400))
def test_entries_are_sorted(values):
    table = ValueTable(1, LIMIT)
    for value, count in values.items():
        table.add(value, count)
    listed = ValueList([table])
    listed.sort()
    assert entries(listed) == ordered(values)


@pytest.mark.parametrize("parts", [0, 1, 7, 1000])
def test_parts_are_sorted_alone(parts):
    table = ValueTable(1, LIMIT * 4)
    values = {b"%d" % (number * number): 1 + number % 3 for number in range(30_000)}
    for value, count in values.items():
        table.add(value, count)
    listed = ValueList([table])
    made = listed.split(parts)
    assert made >= min(parts, 7)
    for part in reversed(range(made)):
        listed.sort_part(part)
    with pytest.raises(ValueError, match="no such part"):
        listed.sort_part(made)
    listed.join()
    assert entries(listed) == ordered(values)


def test_strings_with_long_common_beginnings_are_sorted():
    table = ValueTable(1, LIMIT)
    values = {b"x" * length + end for length in range(0, 600, 3) for end in (b"", b"\0", b"a", b"\xff")}
    for value in values:
        table.add(value)
    listed = ValueList([table])
    listed.sort()
    assert entries(listed) == ordered(dict.fromkeys(values, 1))


@given(values=st.dictionaries(strings, st.integers(1, 1 << 30), max_size=100), ranges=st.integers(1, 20))
def test_entries_are_distributed_among_ranges(values, ranges):
    table = ValueTable(1, LIMIT)
    for value, count in values.items():
        table.add(value, count)
    listed = ValueList([table])
    bounds = listed.quantiles(ranges - 1)
    assert len(bounds) == min(ranges - 1, len(values))
    buffer = memoryview(bytearray(max(400, table.longest + MAX_HEAD)))
    found = [[] for _ in range(ranges)]
    position = 0
    while position < len(listed):
        sizes, numbers = array("q", bytes(8 * ranges)), array("q", bytes(8 * ranges))
        used, position = listed.distribute(bounds, buffer, position, sizes, numbers)
        assert used == sum(sizes)
        start = 0
        for number in range(ranges):
            part = ValueTable(1, LIMIT)
            part.append(buffer[start : start + sizes[number]])
            start += sizes[number]
            assert part.distinct == numbers[number]
            found[number] += entries(ValueList([part]))
    assert [entry for part in found for entry in sorted(part, reverse=True)] == ordered(values)


@given(values=st.dictionaries(strings, st.integers(1, 10**9), max_size=50))
def test_entries_are_formatted_as_uniq_does(values):
    table = ValueTable(1, LIMIT)
    for value, count in values.items():
        table.add(value, count)
    listed, text, position = ValueList([table]), b"", 0
    buffer = bytearray(table.longest + 24)
    while position < len(listed):
        size, position = listed.format(buffer, position, len(listed))
        text += buffer[:size]
    assert text == b"".join(b"%7d %b\n" % entry for entry in entries(listed))


def test_a_full_table_goes_on_when_it_has_been_emptied():
    data = b"".join(b"%d\n" % number for number in range(20000))
    table, used, found = ValueTable(1, 1 << 18), 0, Counter()
    while used < len(data):
        used += table.add_lines(memoryview(data)[used:], True)
        assert table.nbytes <= 1 << 18
        assert table.full == (used < len(data))
        found.update(content(table))
        table.clear()
    assert found == Counter(split(data))


def test_a_string_that_exceeds_the_limit_is_counted_alone():
    table = ValueTable(1, 1 << 16)
    table.add(b"a")
    table.add(b"x" * 100_000)
    assert table.full
    table.clear()
    table.add(b"x" * 100_000)
    assert not table.full
    assert content(table) == {b"x" * 100_000: 1}


def test_counts_do_not_overflow():
    table = ValueTable(1, LIMIT)
    most = (1 << 48) - 1
    table.add(b"a", most)
    with pytest.raises(OverflowError, match="more than"):
        table.add(b"a")
    with pytest.raises(OverflowError, match="more than"):
        table.add(b"b", most + 1)
    assert content(table) == {b"a": most}
    other = ValueTable(1, LIMIT)
    other.add(b"a")
    with pytest.raises(OverflowError, match="more than"):
        ValueList([table, other])


def test_a_closed_table_cannot_be_used():
    table = ValueTable(1, LIMIT)
    table.close()
    for use in (
        table.clear,
        table.rewind,
        lambda: table.add(b"a"),
        lambda: table.add_lines(b"a", True),
        lambda: table.total,
    ):
        with pytest.raises(ValueError, match="closed"):
            use()
    with pytest.raises(ValueError, match="closed"):
        ValueList([table])
    table.close()


def test_bounds_that_do_not_fit_are_refused():
    table = ValueTable(1, LIMIT)
    table.add(b"a")
    table.add(b"b")
    listed = ValueList([table])
    with pytest.raises(ValueError, match="more ranges"):
        listed.distribute(listed, bytearray(100), 0, array("q", [0, 0]), array("q", [0, 0]))


def test_the_memory_of_an_entry_is_not_underestimated():
    table = ValueTable(1, LIMIT * 16)
    for number in range(100_000):
        table.add(b"%d" % number)
        if number & (number + 1) == 0:
            assert table.nbytes <= table.distinct * (ENTRY_BYTES + 6) + 8192
