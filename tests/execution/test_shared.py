"""Arrays in shared memory, and how they cross."""

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import parcount as pc
from parcount.execution import shared
from tests import remote
from tests.conftest import Run

MARK = shared.mark_for_worker().rpartition("-")[0]

lists_blocks = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the shared memory there is")


class TestSharedArray:
    @given(
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
        st.sampled_from(["?", "u1", ">i2", "f8", "c16", "M8[s]", "U3", [("a", "u1"), ("b", "f8")]]),
    )
    def test_is_zeros_in_a_shared_block(self, shape: tuple[int, ...], dtype: object) -> None:
        a = pc.shared_array(shape, dtype)  # type: ignore[arg-type]
        expected = np.zeros(shape, dtype)  # type: ignore[call-overload]
        assert np.array_equal(a, expected)
        assert (a.shape, a.dtype) == (expected.shape, expected.dtype)
        assert a.flags.writeable
        assert a.flags.c_contiguous
        assert (shared.block_of(a) is not None) == (a.nbytes > 0)

    def test_is_int64_by_default(self) -> None:
        assert pc.shared_array(3).dtype == np.int64

    @pytest.mark.parametrize("dtype", [object, [("a", "u1"), ("b", object)]])
    def test_holds_no_objects(self, dtype: object) -> None:
        with pytest.raises(TypeError, match="holds pointers"):
            pc.shared_array(3, dtype)  # type: ignore[arg-type]

    def test_two_lie_apart(self) -> None:
        a, b = pc.shared_array(1), pc.shared_array(1)
        a[0] = 1
        assert b[0] == 0
        assert not np.shares_memory(a, b)


@lists_blocks
class TestLittleRoom:
    @pytest.fixture(autouse=True)
    def nothing_is_left(self) -> Iterator[None]:
        before = remote.blocks(MARK)
        yield
        assert remote.blocks(MARK) == before

    def test_more_than_there_can_be_raises(self) -> None:
        # Without reserving, the array would be made, and the process killed by SIGBUS when it fills it.
        total = shutil.disk_usage("/dev/shm").total
        with pytest.raises(OSError, match="shm") as caught:
            pc.shared_array(total + 1, np.uint8)
        assert caught.value.errno in (errno.ENOSPC, errno.ENOMEM)

    def test_more_than_there_is_now_raises(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(descriptor: int, offset: int, size: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match=r"no room for 800 bytes of shared memory .*--shm-size") as caught:
            pc.shared_array(100)
        assert caught.value.errno == errno.ENOSPC

    def test_a_system_that_cannot_reserve_does_without(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unsupported(descriptor: int, offset: int, size: int) -> None:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

        monkeypatch.setattr(os, "posix_fallocate", unsupported)
        assert pc.shared_array(3).tolist() == [0, 0, 0]


@lists_blocks
def test_a_forked_copy_of_the_process_takes_nothing_away(run_script: Run) -> None:
    ran = run_script("""
import os
import parcount as pc
from parcount.execution import shared

a = pc.shared_array(10)
name = shared.block_of(a).name
child = os.fork()
if child == 0:
    del a
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(os.path.exists(f"/dev/shm/{name}"))
del a
print(os.path.exists(f"/dev/shm/{name}"))
""")
    assert ran.stdout == "True\nFalse\n", ran.stderr
    assert ran.stderr == ""


N = shared.COPIED_FROM // 4
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


@pytest.fixture(scope="module")
def pool() -> Iterator[pc.Processes]:
    """One worker."""
    with pc.Processes(1) as pool:
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

    def test_a_subclass_stays_one(self, pool: pc.Processes) -> None:
        masked = np.ma.masked_equal(large() % 7, 3)
        (back,) = pool.map(remote.echo, [masked])
        assert isinstance(back, np.ma.MaskedArray)
        assert back.sum() == masked.sum()


class TestTransport:
    """How an array crosses: what the message holds of it."""

    @pytest.mark.parametrize("nbytes", [shared.COPIED_FROM, shared.COPIED_FROM + 1, 1 << 20])
    def test_large_ones_are_copied_to_shared_memory(self, nbytes: int) -> None:
        message, copies = shared.dumps(np.ones(nbytes, np.uint8))
        assert len(message) < 1000
        assert [copy.size >= nbytes for copy in copies] == [True]

    def test_small_ones_go_with_the_message(self) -> None:
        message, copies = shared.dumps(np.ones(shared.COPIED_FROM - 1, np.uint8))
        assert len(message) > shared.COPIED_FROM - 1
        assert copies == []

    @pytest.mark.parametrize("cells", [1, 10, 1 << 20])
    def test_shared_ones_are_not_copied(self, cells: int) -> None:
        a = pc.shared_array(1 << 20)
        message, copies = shared.dumps(a[:cells])
        assert len(message) < 1000
        assert copies == []
        back, (block,) = shared.loads(message)
        assert back.ctypes.data == a.ctypes.data
        assert block is shared.block_of(a)

    @lists_blocks
    def test_copies_last_as_long_as_they_are_kept(self) -> None:
        before = remote.blocks(MARK)
        _, copies = shared.dumps([large(), large()])
        assert remote.blocks(MARK) - before == {copy.name for copy in copies}
        copies.clear()
        assert remote.blocks(MARK) == before

    @lists_blocks
    def test_an_answers_copies_last_until_received(self) -> None:
        before = remote.blocks(MARK)
        message, made = shared.dumps(large(), brought=[])
        made.clear()
        assert len(remote.blocks(MARK) - before) == 1
        received, _ = shared.loads(message)
        assert remote.blocks(MARK) == before
        assert np.array_equal(received, large())

    @lists_blocks
    def test_what_a_dead_worker_left_is_swept_away(self) -> None:
        before = remote.blocks(MARK)
        mark = shared.mark_for_worker()
        (Path("/dev/shm") / f"{mark}-0").write_bytes(b"made, and not registered")
        shared.sweep(mark)
        assert remote.blocks(MARK) == before
