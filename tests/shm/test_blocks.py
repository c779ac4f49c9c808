"""Arrays in shared memory."""

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import parcount as pc
from parcount.shm import blocks
from tests import remote
from tests.conftest import Run
from tests.execution.executions import START_METHODS
from tests.together import together

MARK = blocks.name_prefix_for_worker().rpartition("-")[0]

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
        assert (blocks.block_of(a) is not None) == (a.nbytes > 0)

    def test_is_int64_by_default(self) -> None:
        assert pc.shared_array(3).dtype == np.int64

    @pytest.mark.parametrize("dtype", [object, [("a", "u1"), ("b", object)]])
    def test_holds_no_objects(self, dtype: object) -> None:
        with pytest.raises(TypeError, match="contains pointers"):
            pc.shared_array(3, dtype)  # type: ignore[arg-type]

    def test_arrays_do_not_overlap(self) -> None:
        a, b = pc.shared_array(1), pc.shared_array(1)
        a[0] = 1
        assert b[0] == 0
        assert not np.shares_memory(a, b)

    def test_lookup_during_creation(self) -> None:
        others = [pc.shared_array(1) for _ in range(20)]
        own = pc.shared_array(1)
        block = blocks.block_of(own)

        def make() -> None:
            for _ in range(200):
                pc.shared_array(1)

        def look() -> None:
            for _ in range(2000):
                assert blocks.block_of(own) is block

        together(make, look, make, look)
        assert not any(np.shares_memory(own, other) for other in others)

    def test_concurrent_opens_map_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        a = pc.shared_array(1)
        block = blocks.block_of(a)
        assert block is not None
        name = block.name
        for _ in range(50):
            monkeypatch.setattr(blocks, "_blocks", WeakValueDictionary())  # as in a process that has none yet
            opened = together(*[lambda: blocks.open_block(name, lasting=True)] * 4)
            assert len({id(block) for block in opened}) == 1


@lists_blocks
class TestMemory:
    @pytest.fixture(autouse=True)
    def nothing_is_left(self) -> Iterator[None]:
        before = remote.blocks(MARK)
        yield
        assert remote.blocks(MARK) <= before  # those of other tests may be collected meanwhile

    def test_more_than_the_file_system_has_raises(self) -> None:
        # Without reserving, the array would be made, and the process killed by SIGBUS when it fills it.
        total = shutil.disk_usage("/dev/shm").total
        with pytest.raises(OSError, match="shm") as caught:
            pc.shared_array(total + 1, np.uint8)
        assert caught.value.errno in (errno.ENOSPC, errno.ENOMEM)

    @pytest.mark.parametrize("n", [1 << 58, 1 << 59, 1 << 60, 1 << 62, 1 << 70])
    def test_more_than_can_be_addressed_raises(self, n: int) -> None:
        with pytest.raises(OSError, match="shm") as caught:
            pc.shared_array(n)
        assert caught.value.errno in (errno.ENOSPC, errno.ENOMEM)

    def test_more_than_is_free_raises(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(descriptor: int, offset: int, size: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match=r"no room for 800 bytes of shared memory .*--shm-size") as caught:
            pc.shared_array(100)
        assert caught.value.errno == errno.ENOSPC

    def test_a_file_system_without_fallocate(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unsupported(descriptor: int, offset: int, size: int) -> None:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

        monkeypatch.setattr(os, "posix_fallocate", unsupported)
        assert pc.shared_array(3).tolist() == [0, 0, 0]


@lists_blocks
def test_forked_children_do_not_unlink(run_script: Run) -> None:
    ran = run_script("""
import os
import parcount as pc
from parcount.shm import blocks

a = pc.shared_array(10)
name = blocks.block_of(a).name
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


@lists_blocks
def test_blocks_of_a_dead_worker_are_unlinked() -> None:
    before = remote.blocks(MARK)
    mark = blocks.name_prefix_for_worker()
    (Path("/dev/shm") / f"{mark}-0").write_bytes(b"made, and not registered")
    blocks.sweep_prefix(mark)
    assert remote.blocks(MARK) <= before


@lists_blocks
@pytest.mark.timeout(60)
@pytest.mark.parametrize("method", START_METHODS)
def test_arrays_outlive_the_resource_tracker(run_script: Run, method: str) -> None:
    ran = run_script(f"""
import os, signal
import numpy as np
import parcount as pc
from multiprocessing import resource_tracker

if __name__ == "__main__":
    size = 1 << 18  # large enough for copies and results in shared memory
    first = pc.shared_array(size)
    with pc.Processes(1, start_method={method!r}) as processes:
        processes.map(np.sum, [first])
        tracker = resource_tracker._resource_tracker._pid
        os.kill(tracker, signal.SIGKILL)
        os.waitpid(tracker, 0)
        second = pc.shared_array(size)
        second[:] = 1
        results = processes.map(np.copy, [first, second, np.full(size, 2)])
        print(*(result.sum() // size for result in results))
    with pc.Processes(1, start_method={method!r}) as processes:
        print(*(total // size for total in processes.map(np.sum, [first, second, *results])))
""")
    assert ran.stdout == "0 1 2\n0 1 0 1 2\n", ran.stderr
    assert "Error" not in ran.stderr
