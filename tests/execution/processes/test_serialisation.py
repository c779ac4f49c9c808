"""Values on their way to workers and back: whatever the transport, and wherever their arrays lie, the same arrive."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import parcount as pc
from parcount.execution.processes import serialisation
from parcount.execution.processes.serialisation import SHARED_COPY_MIN_BYTES, Message, Packing
from parcount.execution.processes.transports import TRANSPORTS
from parcount.execution.unpicklable import Nowhere
from parcount.shm import blocks, memmap
from tests import remote

pytestmark = pytest.mark.timeout(60)

MARK = blocks.name_prefix_for_worker().rpartition("-")[0]

lists_blocks = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the shared memory there is")

USUAL = TRANSPORTS["shared_memory"].packing


N = SHARED_COPY_MIN_BYTES // 4
"""Elements of which eight bytes each are twice as much as is copied into shared memory."""


def large() -> np.ndarray:
    return np.arange(N)


def read_only(a: np.ndarray) -> np.ndarray:
    a.flags.writeable = False
    return a


def in_shared_memory(a: np.ndarray) -> np.ndarray:
    copy = pc.shared_array(a.shape, a.dtype)
    copy[...] = a
    return copy


LAYOUTS = {
    "empty": np.zeros((0, 3)),
    "small": np.arange(5),
    "objects": np.array([1, "two", None], object),
    "large": large(),
    "zero-dimensional": np.array(b"x" * N * 8),
    "Fortran": np.asfortranarray(np.arange(N).reshape(-1, 64)),
    "transposed 3-d": np.arange(N).reshape(8, -1, 64).transpose(2, 0, 1),
    "strided": np.arange(3 * N)[::3],
    "backwards": np.arange(N)[::-1],
    "broadcast": np.broadcast_to(np.arange(64), (N // 64, 64)),
    "byte-swapped": np.arange(N).astype(np.dtype(np.int64).newbyteorder()),
    "unaligned": np.zeros(8 * N + 1, np.uint8)[1:].view(np.int64),
    "bool": np.arange(8 * N) % 3 == 0,
    "complex": np.arange(N) * 1j,
    "dates": np.arange(N).astype("M8[h]"),
    "text": np.array(["one", "three"] * N),
    "structured": np.zeros(N, [("key", "<u2"), ("name", "U2"), ("place", "f4", (2, 2))]),
    "read-only": read_only(large()),
    "shared": in_shared_memory(large()),
    "shared, strided": in_shared_memory(large())[5:-5:7],
    "shared, backwards": in_shared_memory(large().reshape(2, -1))[:, ::-1],
    "shared, read-only": read_only(in_shared_memory(large())),
    "shared, few": in_shared_memory(large())[7:8],
}


@pytest.fixture(scope="module", params=TRANSPORTS)
def pool(request: pytest.FixtureRequest) -> Iterator[pc.Processes]:
    """One worker."""
    with pc.Processes(1, transport=request.param) as pool:
        yield pool


class TestCrossing:
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_a_worker_sees_the_same_array(self, pool: pc.Processes, layout: str) -> None:
        sent = LAYOUTS[layout]
        assert pool.map(remote.describe, [sent]) == [remote.describe(sent)]

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_the_same_array_comes_back(self, pool: pc.Processes, layout: str) -> None:
        sent = LAYOUTS[layout]
        (back,) = pool.map(remote.echo, [sent])
        assert np.array_equal(back, sent)
        assert (back.shape, back.dtype) == (sent.shape, sent.dtype)

    @pytest.mark.parametrize(
        ("layout", "writeable"), [("large", True), ("shared", True), ("read-only", False), ("shared, read-only", False)]
    )
    def test_read_only_stays_so(self, pool: pc.Processes, layout: str, writeable: bool) -> None:
        assert LAYOUTS[layout].flags.writeable is writeable
        assert pool.map(remote.is_writeable, [LAYOUTS[layout]]) == [writeable]

    def test_arrays_deep_inside_an_item(self, pool: pc.Processes) -> None:
        sent = {"a": [large(), (np.arange(3), LAYOUTS["shared"])], "b": "text"}
        (back,) = pool.map(remote.echo, [sent])
        assert np.array_equal(back["a"][0], sent["a"][0])
        assert np.array_equal(back["a"][1][0], np.arange(3))
        assert np.array_equal(back["a"][1][1], LAYOUTS["shared"])
        assert back["b"] == "text"

    @pytest.mark.parametrize("array", [np.arange(3), large(), LAYOUTS["shared"]], ids=["small", "large", "shared"])
    def test_two_references_to_one_array_arrive_as_one(self, pool: pc.Processes, array: np.ndarray) -> None:
        (back,) = pool.map(remote.echo, [[array, {"the same": array}, array[1:]]])
        assert back[0] is back[1]["the same"]
        np.testing.assert_array_equal(back[0], array)
        assert back[2] is not back[0]

    def test_a_subclass_stays_one(self, pool: pc.Processes) -> None:
        masked = np.ma.masked_equal(large() % 7, 3)
        (back,) = pool.map(remote.echo, [masked])
        assert isinstance(back, np.ma.MaskedArray)
        assert back.sum() == masked.sum()


class TestArrays:
    """What a message holds of an array."""

    @pytest.mark.parametrize("nbytes", [SHARED_COPY_MIN_BYTES, SHARED_COPY_MIN_BYTES + 1, 1 << 20])
    def test_large_ones_are_copied_to_shared_memory(self, nbytes: int) -> None:
        message, copies = serialisation.dumps(np.ones(nbytes, np.uint8), USUAL)
        assert len(message.data) < 1000
        assert [copy.size >= nbytes for copy in copies] == [True]

    def test_smaller_ones_follow_behind_it(self) -> None:
        sent = np.arange(SHARED_COPY_MIN_BYTES - 1, dtype=np.uint8)
        message, copies = serialisation.dumps(sent, USUAL)
        assert len(message.data) < 1000
        assert copies == []
        (behind,) = message.out_of_band
        assert behind.nbytes == sent.nbytes
        assert np.shares_memory(np.asarray(behind), sent)  # without a copy

    def test_small_ones_go_with_it(self) -> None:
        message, copies = serialisation.dumps(np.ones(1000, np.uint8), USUAL)
        assert len(message.data) > 1000
        assert message.out_of_band == copies == []

    @pytest.mark.parametrize("cells", [1, 10, 1 << 20])
    def test_shared_ones_are_not_copied(self, cells: int) -> None:
        a = pc.shared_array(1 << 20)
        message, copies = serialisation.dumps(a[:cells], Packing())
        assert len(message.data) < 1000
        assert copies == []
        back, (block,) = serialisation.loads(message)
        assert back.ctypes.data == a.ctypes.data
        assert block is blocks.block_of(a)

    @lists_blocks
    def test_copies_last_as_long_as_they_are_kept(self) -> None:
        before = remote.blocks(MARK)
        _, copies = serialisation.dumps([large(), large()], USUAL)
        assert remote.blocks(MARK) - before == {copy.name for copy in copies}
        copies.clear()
        assert remote.blocks(MARK) <= before

    @lists_blocks
    def test_an_answers_copies_last_until_received(self) -> None:
        before = remote.blocks(MARK)
        message, made = serialisation.dumps(large(), USUAL, received=[])
        made.clear()
        assert len(remote.blocks(MARK) - before) == 1
        received, _ = serialisation.loads(message)
        assert remote.blocks(MARK) <= before
        assert np.array_equal(received, large())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    np.arange(N).tofile(path)
    return path


SLICES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "all": lambda a: a,
    "a part": lambda a: a[7:-5],
    "one": lambda a: a[9:10],
    "strided": lambda a: a[3::5],
    "backwards": lambda a: a[::-1],
    "columns": lambda a: a.reshape(-1, 8)[:, 2:4],
    "an ordinary array": lambda a: np.asarray(a)[100:],
    "other eyes": lambda a: a.view(np.int32)[1::2],
}


class TestFiles:
    """Memory-mapped input."""

    @pytest.mark.parametrize("offset", [0, 8, 4096, 4104])
    @pytest.mark.parametrize("part", SLICES)
    def test_crosses_by_name(self, pool: pc.Processes, file: Path, part: str, offset: int) -> None:
        sent = SLICES[part](np.memmap(file, np.int64, "r", offset=offset, shape=(N - 1024,)))
        message, copies = serialisation.dumps(sent, TRANSPORTS[pool.transport].packing)
        assert len(message.data) < 1000
        assert message.out_of_band == copies == []
        assert pool.map(remote.describe, [sent]) == [remote.describe(np.asarray(sent))]
        assert pool.map(remote.is_writeable, [sent]) == [False]

    def test_a_workers_slice_of_it_comes_back_by_name(self, pool: pc.Processes, file: Path) -> None:
        (half,) = pool.map(remote.first_half, [np.memmap(file, np.int64, "r")])
        assert half.base is not None
        assert np.array_equal(half, np.arange(N // 2))
        assert memmap.file_range_of(half) is not None

    def test_a_file_that_only_the_worker_had_comes_back_as_its_content(self, pool: pc.Processes) -> None:
        (back,) = pool.map(remote.from_a_passing_file, [SHARED_COPY_MIN_BYTES])
        assert np.array_equal(back, np.arange(SHARED_COPY_MIN_BYTES))
        assert memmap.file_range_of(back) is None

    @pytest.mark.parametrize("mode", ["r+", "w+"])
    def test_what_a_worker_writes_is_in_it(self, pool: pc.Processes, file: Path, mode: str) -> None:
        sent = np.memmap(file, np.int64, mode, shape=(N,))  # type: ignore[call-overload]
        sent[:] = 5
        pool.map(remote.count_up, [sent[10:20]])
        assert sent[9:21].tolist() == [5, *[6] * 10, 5]

    def test_writes_that_are_kept_from_it_are_sent(self, pool: pc.Processes, file: Path) -> None:
        sent = np.memmap(file, np.int64, "c")
        sent[0] = 77
        assert memmap.file_range_of(sent) is None
        (back,) = pool.map(remote.echo, [sent])
        assert np.array_equal(back, sent)

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps files that are mapped")
    @pytest.mark.parametrize("fate", ["deleted", "replaced"])
    def test_a_file_that_has_lost_its_name_is_sent_as_its_content(
        self, pool: pc.Processes, file: Path, fate: str
    ) -> None:
        sent = np.memmap(file, np.int64, "r")
        pool.map(remote.first_half, [sent])  # the worker has it mapped
        if fate == "deleted":
            file.unlink()
        else:
            other = file.with_name("other")
            np.zeros(N, np.int64).tofile(other)
            other.replace(file)
            new = np.memmap(file, np.int64, "r")
            assert pool.map(remote.describe, [new]) == [remote.describe(np.zeros(N, np.int64))]
        assert pool.map(remote.describe, [sent]) == [remote.describe(np.arange(N))]

    def test_one_that_has_grown(self, pool: pc.Processes, file: Path) -> None:
        pool.map(remote.describe, [np.memmap(file, np.int64, "r")])
        with file.open("ab") as end:
            np.arange(N).tofile(end)
        assert pool.map(remote.describe, [np.memmap(file, np.int64, "r")]) == [
            remote.describe(np.concatenate([np.arange(N), np.arange(N)]))
        ]

    def test_one_that_is_gone_when_it_is_opened(self, file: Path) -> None:
        sent = np.memmap(file, np.uint8, "r")
        message, _ = serialisation.dumps(sent, Packing())
        del sent
        other = file.with_name("other")
        other.write_bytes(b"something else")
        other.replace(file)
        with pytest.raises(FileNotFoundError, match="is not the file that was sent"):
            serialisation.loads(message)

    def test_one_that_has_been_cut(self, file: Path) -> None:
        sent = np.memmap(file, np.uint8, "r")
        message, _ = serialisation.dumps(sent, Packing())
        del sent
        os.truncate(file, 100)
        with pytest.raises(OSError, match="has been truncated to 100 bytes"):
            serialisation.loads(message)

    def test_counting_one(self, pool: pc.Processes, file: Path) -> None:
        keys = np.memmap(file, np.uint8, "r")
        assert np.array_equal(pc.bincount(keys, on=pool), np.bincount(keys))


class TestMessages:
    def test_a_check_looks_at_no_array(self) -> None:
        checker = serialisation.Checker(Nowhere())
        checker.check({"a": np.broadcast_to(np.int8(1), 1 << 50)})
        with pytest.raises(TypeError, match="cannot pickle"):
            checker.check([1, {"a": sys.stdout}])

    def test_a_message_can_be_empty(self) -> None:
        assert Message() == Message(b"", [])
