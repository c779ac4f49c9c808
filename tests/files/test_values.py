"""Counts of lines, in memory and on disk."""

import errno
import io
import os
import pickle
import subprocess
import sys
from collections import Counter
from itertools import cycle, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parcount.files import spill
from parcount.files.count import SEARCH_BYTES
from parcount.files.spill import Spill, TemporaryFile, read_entries
from parcount.files.value_counts import ValuesInMemory
from parcount.files.values import Values, ValuesPartial

SMALL = 1 << 15
"""A share of memory that a few hundred lines fill."""

lines = st.lists(st.binary(max_size=60) | st.integers(0, 300).map(lambda n: b"line %d" % n), max_size=200)


def counted(data):
    """What `sort | uniq -c | sort -rn` would print, as a list."""
    expected = data.split(b"\n")
    counts = Counter(expected if expected[-1] else expected[:-1])
    return [(value, count) for count, value in sorted(((c, v) for v, c in counts.items()), reverse=True)]


def feed(partial, data, sizes=(1 << 30,)):
    """Give a chunk to a partial in blocks of these sizes in turn."""
    block, position, last = b"", 0, False
    next_size = cycle(sizes)
    while not last:
        size = next(next_size)
        block += data[position : position + size]
        position += size
        last = position >= len(data)
        block = block[partial.update(memoryview(block), last=last) :]
    assert not block


def numbered(n, repeats=2):
    return b"".join(b"a line with number %d\n" % (number % (n // repeats)) for number in range(n))


@given(lines=lines, sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4), end=st.sampled_from([b"", b"\n"]))
def test_blocks_of_any_sizes(lines, sizes, end):
    data = b"\n".join(lines) + end
    partial = Values(1 << 22).partial()
    feed(partial, data, sizes)
    with partial.result(1) as result:
        assert result.most_common() == counted(data)


@pytest.mark.parametrize("hash_bits", [64, 3])
@pytest.mark.parametrize("share", [SMALL, 1 << 22])
@given(chunks=st.lists(lines, min_size=1, max_size=5), data=st.data())
def test_partials_are_merged(chunks, share, hash_bits, data):
    count = Values(hash_bits=hash_bits)
    chunks = [b"".join(line.replace(b"\n", b"") + b"\n" for line in chunk) for chunk in chunks]
    partials = [ValuesPartial(count, share) for _ in chunks]
    for partial, chunk in zip(partials, chunks, strict=True):
        feed(partial, chunk)
        if data.draw(st.booleans()):
            partial.spill()
    whole, *others = partials
    for other in others:
        whole.merge(other)
        other.close()
    copy = count.from_bytes(whole.to_bytes())
    expected = counted(b"".join(chunks))
    for partial in (whole, copy):
        with partial.result(2) as result:
            assert result.most_common() == expected


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("n", "hash_bits", "share"), [(20_000, 64, 1 << 17), (20_000, 64, SMALL), (1_500, 2, SMALL)])
def test_tables_beyond_the_limit_go_to_disk(n, hash_bits, share, threads, tmp_path):
    data = numbered(n)
    count = Values(spill_directory=str(tmp_path), hash_bits=hash_bits)
    partials = [ValuesPartial(count, share) for _ in range(2)]
    half = data.rfind(b"\n", 0, len(data) // 2) + 1
    feed(partials[0], data[:half], (5000,))
    feed(partials[1], data[half:], (7000, 100))
    assert all(partial.table.nbytes <= share for partial in partials)
    partials[0].merge(partials[1])
    assert len(partials[0]._spills) == 2
    expected = counted(data)
    with partials[0].result(threads) as result:
        assert not isinstance(result._lists, ValuesInMemory)
        assert (result.total, result.distinct) == (n, n // 2) == (n, len(result))
        assert list(result.sorted()) == expected
        assert result.most_common(7) == expected[:7]
        output = io.BytesIO()
        result.write(output)
        assert output.getvalue() == b"".join(b"%7d %b\n" % (c, v) for v, c in expected)
    assert not list(tmp_path.iterdir())


def test_lines_longer_than_the_limit_go_to_disk():
    data = b"".join(bytes([65 + i % 3]) * 50_000 + b"\n" for i in range(9)) + numbered(100)
    partial = ValuesPartial(Values(), SMALL)
    feed(partial, data)
    with partial.result(2) as result:
        assert result.most_common() == counted(data)


def test_a_table_that_is_empty_at_the_end():
    partial = ValuesPartial(Values(), SMALL)
    feed(partial, b"a\nb\na\n")
    partial.spill()
    partial.spill()
    with partial.result(1) as result:
        assert result.most_common() == [(b"a", 2), (b"b", 1)]


def test_nothing():
    with Values().partial().result() as result:
        values, counts = result
        assert (len(result), result.total, values.tolist(), counts.tolist()) == (0, 0, [], [])
        assert result.to_dict() == {}


def test_arrays():
    partial = Values().partial()
    feed(partial, b"b\n\na\nb")
    with partial.result() as result:
        values, counts = result
        assert values.tolist() == [b"b", b"a", b""]
        assert values.dtype == object
        assert counts.tolist() == [2, 1, 1]
        assert counts.dtype == "int64"
        assert repr(result) == "<ValueCounts of 4 values, 3 distinct>"
        assert result.to_dict() == {b"b": 2, b"a": 1, b"": 1}


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_closed_result_cannot_be_used(on_disk):
    partial = ValuesPartial(Values(), 1 << 24)
    feed(partial, numbered(10_000))
    if on_disk:
        partial.spill()
    result = partial.result(2)
    values = result.sorted()
    first = next(values)
    result.close()
    result.close()
    with pytest.raises(ValueError, match="closed"):
        result.most_common(1)
    if not on_disk:
        assert [first, *values] == counted(numbered(10_000))


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_a_result_that_is_not_closed_leaves_nothing(tmp_path):
    partial = ValuesPartial(Values(spill_directory=str(tmp_path)), SMALL)
    feed(partial, numbered(2000))
    assert partial.result(2).distinct == 1000
    assert not list(tmp_path.iterdir())


def test_results_are_written_to_descriptors_and_long_values_too(tmp_path):
    long = b"x" * (3 << 20)
    partial = Values().partial()
    feed(partial, long + b"\na\na\n" + long)
    with partial.result() as result, (tmp_path / "output").open("wb") as file:
        result.write(file.fileno())
        result.write(file.fileno(), 1)
        result.write(file.fileno(), 0)
    expected = b"      2 " + long + b"\n"
    assert (tmp_path / "output").read_bytes() == expected + b"      2 a\n" + expected


class _Source:
    def __init__(self, data):
        self.data = data
        self.size = len(data)

    def read(self, position, size):
        return self.data[position : position + size]


@given(data=st.text("a\n", max_size=40).map(str.encode), position=st.integers(0, 40))
def test_starts(data, position):
    position = min(position, len(data))
    starts = [0, *(i + 1 for i, byte in enumerate(data) if byte == 10)]
    expected = next((start for start in starts if start >= position), len(data))
    assert Values().find_start(_Source(data), position) == expected
    assert Values().cut(memoryview(data)) == data.rfind(b"\n") + 1


def test_starts_and_ends_behind_long_lines():
    data = b"a\n" + b"x" * (5 * SEARCH_BYTES) + b"\n" + b"y" * (5 * SEARCH_BYTES)
    assert Values().find_start(_Source(data), 1) == 2
    assert Values().find_start(_Source(data), 3) == data.rfind(b"\n") + 1
    assert Values().find_start(_Source(data), len(data) - 4 * SEARCH_BYTES) == len(data)
    assert Values().cut(memoryview(data)) == data.rfind(b"\n") + 1


@given(data=st.binary(max_size=100), cuts=st.lists(st.integers(0, 100), max_size=4))
def test_chunks_between_starts_have_all_lines_once(data, cuts):
    count = Values(1 << 22)
    data = data.replace(b"\1", b"\n")
    ends = sorted({0, len(data), *(count.find_start(_Source(data), min(cut, len(data))) for cut in cuts)})
    partial = count.partial()
    for start, stop in pairwise(ends):
        feed(partial, data[start:stop])
    assert partial.result(1).most_common() == counted(data)


def test_the_limit_is_shared_by_the_workers():
    assert Values(10 << 30).share(4) * 4 < 10 << 30
    assert Values(10 << 30).share(4) * 4 > 9 << 30
    assert Values(1).share(4) >= 1 << 20
    assert Values().share(1) > 1 << 20
    with pytest.raises(ValueError, match="memory must be"):
        Values(0)


def test_a_copy_in_another_process_has_the_same_hash():
    count = Values(1 << 30, "folder")
    copy = pickle.loads(pickle.dumps(count))
    assert copy == count
    assert hash(copy) == hash(count)
    assert (copy.seed, copy.memory, copy.spill_directory) == (count.seed, 1 << 30, "folder")
    assert Values().seed != count.seed


def test_damaged_bytes_are_refused():
    with pytest.raises(ValueError, match="not the bytes"):
        Values().from_bytes(b"\1\5ab")


def test_a_full_disk_is_reported_and_nothing_is_left(monkeypatch, tmp_path):
    partial = ValuesPartial(Values(spill_directory=str(tmp_path)), SMALL)
    partial.spill()

    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, _):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(partial._spill.file, "_file", Full(partial._spill.file._file))
    with pytest.raises(OSError, match="cannot write a temporary file") as caught:
        feed(partial, numbered(5000))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path)
    partial.close()
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_while_the_result_is_made(monkeypatch, tmp_path):
    partial = ValuesPartial(Values(spill_directory=str(tmp_path)), SMALL)
    feed(partial, numbered(5000))
    monkeypatch.setattr(spill.SpilledCounts, "append", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        partial.result(2)
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_reported(tmp_path):
    partial = ValuesPartial(Values(spill_directory=str(tmp_path / "missing")), SMALL)
    with pytest.raises(FileNotFoundError):
        feed(partial, numbered(5000))


@pytest.mark.skipif(sys.platform == "win32", reason="files there have names as long as they are open")
def test_temporary_files_have_no_names(tmp_path):
    file = TemporaryFile(str(tmp_path))
    file.append(memoryview(b"data"))
    assert not list(tmp_path.iterdir())
    buffer = bytearray(4)
    file.read_into(memoryview(buffer), 0)
    assert buffer == b"data"
    with pytest.raises(OSError, match="truncated"):
        file.read_into(memoryview(buffer), 2)
    file.close()


def test_a_damaged_file_is_noticed():
    file = TemporaryFile(None)
    file.append(memoryview(b"data"))
    with pytest.raises(OSError, match="damaged"):
        read_entries(file, 0, 4, lambda _: 3)
    file.close()


def test_spills_know_where_the_buckets_are():
    partial = ValuesPartial(Values(), 1 << 20)
    feed(partial, numbered(2000))
    spilled = Spill(None)
    spilled.write(partial.table)
    feed(partial, numbered(2000))
    spilled.write(partial.table)
    assert spilled.entries.sum() == 2000
    assert spilled.sizes().sum() == spilled.file.size == len(b"".join(spilled.read()))
    halves = [part for first in (0, 2048) for part in spilled.parts(first, first + 2048)]
    assert len(halves) == 4
    assert sum(stop - start for start, stop in halves) == spilled.file.size
    spilled.close()
    partial.close()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of a process that a small one starts")
def test_the_peak_of_the_process_stays_near_the_limit(tmp_path):
    path = tmp_path / "input"
    with path.open("wb") as file:
        for start in range(0, 6_000_000, 100_000):
            file.write(b"".join(b"user=%d&token=%x\n" % (n, n * 2654435761) for n in range(start, start + 100_000)))
    limit = 150 << 20
    script = (
        "import resource, sys; from parcount.cli import main; "
        f"sys.argv = ['parcount', 'count', '--values', '--memory', '{limit}', '--spill-directory', {str(tmp_path)!r}, "
        f"{str(path)!r}]; main(); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr)"
    )
    # A process inherits the peak of the one that starts it, hence the shell.
    command = ["sh", "-c", '"$0" -c "$1" | cksum', sys.executable, script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert int(done.stderr) <= 1.2 * limit
