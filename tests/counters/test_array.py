"""`CounterArray`."""

import copy
import pickle
import sys
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount._native import counters as native
from tests.arrays.support import INTEGERS, LAYOUTS, layouts
from tests.conftest import Bumper, Run
from tests.counters import workers
from tests.counters.support import LEAST, MARK, MOST, Start, ended, exists, on_linux
from tests.counters.test_scalar import NO_INTEGERS, Index
from tests.kernels.support import Guarded
from tests.remote import until
from tests.together import repeat, together

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("nothing_is_left")]


@pytest.fixture(params=["private", "shared"])
def make(request: pytest.FixtureRequest) -> Any:
    """Make arrays of either sort."""
    return partial(pc.CounterArray, shared=request.param == "shared")


class TestCells:
    def test_are_zero(self, make: Any) -> None:
        c = make(3)
        assert len(c) == 3
        assert c.values().tolist() == [0, 0, 0]

    def test_none(self, make: Any) -> None:
        c = make(0)
        assert len(c) == 0
        assert c.values().tolist() == c.reset().tolist() == list(c) == []
        c.add_at([])
        c.add_at(np.zeros(0, np.uint8))
        with pytest.raises(IndexError):
            c.add_at([0])
        with pytest.raises(IndexError):
            c.add(0)

    @pytest.mark.parametrize("n", [-1, -(1 << 70)])
    def test_negative_size(self, make: Any, n: int) -> None:
        with pytest.raises(ValueError, match="n must not be negative"):
            make(n)

    @pytest.mark.parametrize("n", NO_INTEGERS, ids=repr)
    def test_size_that_is_not_an_integer(self, make: Any, n: Any) -> None:
        with pytest.raises(TypeError):
            make(n)

    def test_too_large(self, make: Any) -> None:
        with pytest.raises((MemoryError, OSError)):
            make(1 << 45)

    def test_add_returns_the_new_value(self, make: Any) -> None:
        c = make(4)
        assert [c.add(1), c.add(1, 5), c.add(-1, -3), c.add(np.uint8(3), Index(1)), c.add(True)] == [1, 6, -3, -2, 7]
        assert c.values().tolist() == [0, 7, 0, -2]
        assert type(c.add(0)) is int

    @pytest.mark.parametrize("i", [4, -5, 1 << 70, -(1 << 70)])
    def test_index_out_of_bounds(self, make: Any, i: int) -> None:
        c = make(4)
        with pytest.raises(IndexError, match=f"index {i} is out of bounds for axis 0 with size 4"):
            c.add(i)
        with pytest.raises(IndexError, match=f"index {i} is out of bounds for axis 0 with size 4"):
            c[i]
        assert not c.values().any()

    @pytest.mark.parametrize("i", NO_INTEGERS, ids=repr)
    def test_indices_that_are_not_integers(self, make: Any, i: Any) -> None:
        c = make(4)
        for use in (c.add, c.__getitem__, lambda n: c.add(0, n), lambda n: c.add_at([0], n)):
            with pytest.raises(TypeError):
                use(i)
        assert not c.values().any()

    def test_reads_by_index_and_slice(self, make: Any) -> None:
        c = make(10)
        c.add_at(np.repeat(np.arange(10), np.arange(10)))
        expected = list(range(10))
        assert [c[i] for i in range(-10, 10)] == expected * 2
        assert type(c[3]) is int
        steps = [None, 1, 2, 3, 11, -1, -4]
        for part in [slice(a, b, s) for a in (None, 0, 3, -2, 40) for b in (None, 0, 7, -1, -40) for s in steps]:
            assert c[part].tolist() == expected[part]

    def test_reading_copies(self, make: Any) -> None:
        c = make(3)
        for read in (c.values(), c[:], np.asarray(c), np.array(c), c[::-1]):
            assert read.dtype == np.int64
            read[:] = 9
        assert c.values().tolist() == [0, 0, 0]
        with pytest.raises(TypeError):
            c[0] = 1

    def test_converts_to_an_array(self, make: Any) -> None:
        c = make(3)
        c.add_at([0, 2, 2])
        assert np.asarray(c, np.float32).tolist() == [1.0, 0.0, 2.0]
        assert np.asarray(c, np.float32).dtype == np.float32
        assert np.sum(c) == 3
        with pytest.raises(ValueError, match="a copy"):
            np.array(c, copy=False)

    def test_iterates_over_a_copy(self, make: Any) -> None:
        c = make(3)
        seen = []
        for value in c:
            seen.append(value)
            c.add_at([0, 1, 2])
        assert seen == [0, 0, 0]
        assert all(type(value) is int for value in c)

    def test_reset_returns_the_values_and_zeroes(self, make: Any) -> None:
        c = make(3)
        c.add_at([1, 2, 2])
        assert c.reset().tolist() == [0, 1, 2]
        assert c.values().tolist() == [0, 0, 0]
        assert c.add(1) == 1

    def test_repr(self) -> None:
        c = pc.CounterArray(3)
        c.add_at([0, 2, 2])
        assert repr(c) == "<CounterArray of 3 cells: [1 0 2]>"
        assert len(repr(pc.CounterArray(1_000_000))) < 100
        with pc.CounterArray(2, shared=True) as shared:
            assert repr(shared) == f"<CounterArray {shared.name!r} of 2 cells: [0 0]>"
        assert repr(shared) == f"<CounterArray {shared.name!r}, closed>"

    def test_arrays_are_compared_by_identity(self, make: Any) -> None:
        assert make(2) != make(2)

    def test_closed_counters_raise(self, make: Any) -> None:
        c = make(3)
        c.close()
        c.close()
        for use in (
            lambda: c.add(0),
            lambda: c.add_at([0]),
            lambda: c.add_at([0] * 9),
            lambda: c[0],
            lambda: c[:],
            c.values,
            c.reset,
            lambda: np.asarray(c),
        ):
            with pytest.raises(ValueError, match="this counter is closed"):
                use()
        assert len(c) == 3


class TestAddAt:
    @given(
        st.data(),
        st.sampled_from(INTEGERS),
        st.integers(1, 300),
        st.one_of(st.integers(0, 20), st.integers(0, 1000)),
        st.integers(-3, 3),
    )
    def test_equals_numpys_add_at(self, data: st.DataObject, dtype: str, cells: int, size: int, n: int) -> None:
        random = np.random.default_rng(data.draw(st.integers(0, 99)))
        limits = np.iinfo(dtype)
        low, high = max(-cells, limits.min), min(cells - 1, int(limits.max))
        keys = random.integers(low, high + 1, size).astype(dtype)
        c, expected = pc.CounterArray(cells), np.zeros(cells, np.int64)
        c.add_at(LAYOUTS[data.draw(layouts)](keys), n)
        np.add.at(expected, keys.astype(np.int64), n)
        assert np.array_equal(c.values(), expected)

    @pytest.mark.parametrize("cells", [3, 1000])
    @pytest.mark.parametrize(
        "indices", [[[0, 1], [2, -1]], (0, 1, 2, 2), np.arange(4).reshape(2, 2).T % 3, range(3), 1, np.int8(-1), []]
    )
    def test_indices_of_any_shape(self, cells: int, indices: Any) -> None:
        c, expected = pc.CounterArray(cells), np.zeros(cells, np.int64)
        c.add_at(indices)
        np.add.at(expected, np.asarray(indices, np.int64), 1)
        assert np.array_equal(c.values(), expected)

    def test_large_strided_input(self) -> None:
        keys = np.random.default_rng(0).integers(-50, 50, (1000, 1200))[:, ::2]
        for cells in (50, 1_000_000):
            c, expected = pc.CounterArray(cells), np.zeros(cells, np.int64)
            c.add_at(keys)
            np.add.at(expected, keys, 1)
            assert np.array_equal(c.values(), expected)

    @pytest.mark.parametrize("size", [10, 1000])
    @pytest.mark.parametrize("position", [0, 5, -1])
    @pytest.mark.parametrize("index", [100, -101, 1 << 40, MOST, LEAST])
    def test_an_index_out_of_bounds_adds_nothing(self, index: int, position: int, size: int) -> None:
        keys = np.zeros(size, np.int64)
        keys[position] = index
        c = pc.CounterArray(100)
        with pytest.raises(IndexError, match=f"index {index} is out of bounds for axis 0 with size 100"):
            c.add_at(keys)
        assert not c.values().any()

    @pytest.mark.parametrize("size", [10, 1000])
    def test_a_huge_unsigned_index_is_not_a_negative_one(self, size: int) -> None:
        keys = np.zeros(size, np.uint64)
        keys[3] = (1 << 64) - 1
        c = pc.CounterArray(100)
        with pytest.raises(IndexError, match=f"index {(1 << 64) - 1} is out of bounds for axis 0 with size 100"):
            c.add_at(keys)
        assert not c.values().any()

    @pytest.mark.parametrize(
        "indices", [[0.0], [True, False], "a", None, np.zeros(0), np.zeros(2, "m8[s]"), [1 << 70]], ids=repr
    )
    def test_indices_that_are_not_integers(self, indices: Any) -> None:
        c = pc.CounterArray(3)
        with pytest.raises(TypeError, match="indices must be integers, not"):
            c.add_at(indices)
        assert not c.values().any()

    @pytest.mark.parametrize("size", [5, 500])
    @pytest.mark.parametrize(("value", "n"), [(MOST - 3, 1), (LEAST + 3, -1), (1, MOST // 3), (-1, LEAST // 3 - 1)])
    def test_overflow_is_rolled_back(self, size: int, value: int, n: int) -> None:
        c = pc.CounterArray(100)
        c.add(50, value)
        c.add(99, 7)
        before = c.values()
        keys = np.arange(size) % 100
        keys[-4:] = 50
        with pytest.raises(OverflowError, match="which does not fit into 64 bits"):
            c.add_at(keys, n)
        assert np.array_equal(c.values(), before)

    @pytest.mark.parametrize("size", [4, 400])
    def test_reaches_every_64_bit_value(self, size: int) -> None:
        c = pc.CounterArray(100)
        c.add(3, LEAST)
        times = size
        by = (MOST - LEAST) // times  # by itself, so often it needs more than 64 bits
        c.add_at(np.full(size, 3), by)
        assert c[3] == LEAST + by * times
        c.add_at(np.full(size, 3), -by)
        assert c[3] == LEAST

    @pytest.mark.parametrize("n", [1 << 63, LEAST - 1, 1 << 100])
    def test_amounts_beyond_64_bits(self, n: int) -> None:
        c = pc.CounterArray(3)
        with pytest.raises(OverflowError):
            c.add_at([0], n)
        assert not c.values().any()

    def test_releases_the_gil(self, bumper: Bumper) -> None:
        keys = np.random.default_rng(0).integers(0, 1 << 21, 1 << 20)
        for cells in (1 << 21, 1 << 20):  # one by one, and by a table
            c = pc.CounterArray(cells)
            half = keys % cells

            def bumps(c: pc.CounterArray = c, half: Any = half) -> int:
                before = bumper.count
                c.add_at(half)
                return bumper.count - before

            until(lambda bumps=bumps: bumps() > 0, "the other thread never ran")


def steps() -> st.SearchStrategy[Any]:
    index = st.integers(-5, 5)
    number = st.one_of(st.integers(-3, 3), st.sampled_from([MOST, LEAST, 1 << 62, -(1 << 62), 1 << 63]))
    return st.lists(
        st.one_of(
            st.tuples(st.just("add"), index, number),
            st.tuples(st.just("add_at"), st.lists(index, max_size=8), number),
            st.tuples(st.just("reset")),
        ),
        max_size=20,
    )


@given(st.integers(1, 5), steps())
def test_equals_a_list_of_integers(size: int, steps: Any) -> None:
    c, model = pc.CounterArray(size), [0] * size
    for step, *arguments in steps:
        if step == "reset":
            assert c.reset().tolist() == model
            model = [0] * size
            continue
        indices, n = arguments
        each = [indices] if step == "add" else indices
        after = model.copy()
        error: Any = None
        if not all(-size <= index < size for index in each):
            error = IndexError
        else:
            for index in each:
                after[index] += n
            fits = all(LEAST <= value <= MOST for value in after)
            # Of a whole array of keys, what each adds must fit by itself too.
            if not fits or (step == "add_at" and not LEAST <= n <= MOST):
                error = OverflowError
        if error is None:
            assert getattr(c, step)(indices, n) == (after[indices] if step == "add" else None)
            model = after
        else:
            with pytest.raises((error, OverflowError)):
                getattr(c, step)(indices, n)
        assert c.values().tolist() == model


class TestManyThreads:
    @pytest.mark.parametrize("cells", [7, 4000])
    def test_no_count_is_lost(self, make: Any, cells: int) -> None:
        c = make(cells)
        few, many = np.arange(-5, 5) % cells, np.arange(9000) % cells

        def count() -> None:
            for _ in range(50):
                c.add_at(few)
                c.add_at(many, 2)
                c.add(3)
                c.add_at(few, -1)

        together(*[count] * 4)
        expected = np.bincount(many, minlength=cells) * 400
        expected[3] += 200
        assert np.array_equal(c.values(), expected)

    def test_concurrent_resets_return_each_count_once(self, make: Any) -> None:
        c = make(50)
        taken: list[Any] = []
        together(
            *[repeat(lambda: c.add_at(np.arange(100) % 50), 300)] * 3, repeat(lambda: taken.append(c.reset()), 100)
        )
        assert (sum(taken) + c.values()).tolist() == [1800] * 50

    def test_concurrent_reads_are_monotonic(self, make: Any) -> None:
        c = make(100)
        read: list[Any] = []
        together(*[repeat(lambda: c.add_at(np.arange(200) % 100), 200)] * 2, repeat(lambda: read.append(c[::7]), 200))
        assert (np.diff(read, axis=0) >= 0).all()
        assert (read[-1] <= 800).all()
        assert (c.values() == 800).all()

    def test_rollback_subtracts_what_was_added(self) -> None:
        c = pc.CounterArray(100)
        c.add(99, MOST)
        keys = np.arange(1000) % 100

        def fail() -> None:
            for each in (keys, keys[:100], keys[50:100]):
                with pytest.raises(OverflowError):
                    c.add_at(each)

        together(repeat(fail, 100), repeat(lambda: c.add_at(keys[:99]), 300), repeat(fail, 100))
        assert c.values().tolist() == [300] * 99 + [MOST]

    @pytest.mark.parametrize("size", [500, 50_000])
    def test_keys_that_change_meanwhile_write_nothing_outside(self, size: int) -> None:
        guarded = Guarded(1000)
        c = pc.CounterArray.__new__(pc.CounterArray)
        c._use_memory(guarded.table)
        keys = np.zeros(size, np.int64)
        wild = np.array([0, 999, 1000, 1001, -1000, -1001, 1 << 20, LEAST, MOST])
        stop = False

        def change() -> None:
            turn = 0
            while not stop:
                turn += 1
                keys[:] = wild[turn % len(wild)]
                keys[:] = 0

        def count() -> None:
            nonlocal stop
            try:
                for _ in range(200):
                    with suppress(IndexError):
                        c.add_at(keys)
            finally:
                stop = True

        together(change, count)
        assert guarded.intact()
        assert guarded.table.sum() % size == 0  # of each call all keys were counted, or none


class TestNative:
    """Arguments that the class never passes to the compiled methods."""

    def cells(self, size: int) -> tuple[Any, Guarded]:
        cells, guarded = native.Cells(), Guarded(size)
        cells._use_memory(guarded.table)
        return cells, guarded

    @pytest.mark.parametrize("index", [5, -6, 1 << 40, -(1 << 40), LEAST, MOST])
    def test_indices_out_of_bounds(self, index: int) -> None:
        cells, guarded = self.cells(5)
        with pytest.raises(IndexError):
            cells._add_all(np.array([0, 4, index]), None, 3)
        assert guarded.intact()
        assert guarded.table.tolist() == [0] * 5

    def test_sizes_that_differ(self) -> None:
        cells, guarded = self.cells(5)
        for use in (
            lambda: cells._add_all(None, np.zeros(6, int), 1),
            lambda: cells._take(np.zeros(6, int)),
            lambda: native.resolve_indices(np.zeros(3, int), np.zeros(2, int), 5),
        ):
            with pytest.raises(ValueError, match=r"differ in size|output of 3 elements"):
                use()
        for start, step, size in [(0, 1, 6), (4, 1, 2), (-1, 1, 1), (5, 1, 1), (0, 3, 3), (4, -3, 3), (0, 1 << 62, 5)]:
            with pytest.raises(IndexError, match="slice exceeds"):
                cells._read(np.zeros(size, int), start, step)
        assert guarded.intact()

    def test_without_memory(self) -> None:
        for cells in (native.Cells(), pc.CounterArray.__new__(pc.CounterArray)):
            with pytest.raises(IndexError):
                cells.add(0)
            with pytest.raises(IndexError):
                cells._add_all(np.zeros(1, int), None, 1)
            assert len(cells) == 0
            cells._add_all(None, np.zeros(0, int), 1)

    def test_the_memory_is_set_once(self) -> None:
        c = pc.CounterArray(3)
        with pytest.raises(RuntimeError, match="already initialized"):
            c.__init__(5)  # type: ignore[misc]
        c.add(0)
        assert c.values().tolist() == [1, 0, 0]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timer signals")
def test_interruption_is_rolled_back(run_script: Run) -> None:
    ran = run_script("""
import signal
import numpy as np, parcount as pc

def interrupt(*_):
    raise KeyboardInterrupt

c = pc.CounterArray(8_000_000)
signal.signal(signal.SIGALRM, interrupt)
for keys in (np.arange(7_999_999), np.arange(8_000_000)):
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        while True:
            c.add_at(keys)
    except KeyboardInterrupt:
        pass
    values = c.values()
    assert (values[:-1] == values[0]).all()
    c.reset()
""")
    assert (ran.returncode, ran.stderr) == (0, "")


class TestPickling:
    def test_private_arrays_cannot_be_pickled(self) -> None:
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="CounterArray cannot be copied or pickled"):
                attempt(pc.CounterArray(2))
        assert pc.CounterArray(2).name is None

    def test_only_shared_arrays_have_names(self) -> None:
        with pytest.raises(ValueError, match="shared=True"):
            pc.CounterArray(2, name="private")

    def test_shared_arrays_are_pickled_by_name(self) -> None:
        with pc.CounterArray(3, shared=True) as c:
            also = pickle.loads(pickle.dumps(c))
            also.add_at([1, 1, 2])
            assert c.values().tolist() == [0, 2, 1]
            assert len(also) == 3
        with pytest.raises(ValueError, match="closed"):
            pickle.dumps(c)

    def test_workers_lose_no_count(self, start: Start) -> None:
        with pc.CounterArray(1000, shared=True) as c:
            processes = [start(workers.count_keys, (c, seed)) for seed in range(3)]
            workers.count_keys(c, 3)
            assert [ended(process) for process in processes] == [0, 0, 0]
            assert np.array_equal(c.values(), sum(workers.counts_of_keys(1000, seed) for seed in range(4)))

    def test_unrelated_processes_by_name(self, run_script: Run) -> None:
        with pc.CounterArray(5, shared=True, name=f"{MARK}keys") as c:
            ran = run_script(f"""
import parcount as pc
with pc.CounterArray.attach({c.name!r}) as c:
    c.add_at([0, 4, -1])
    print(len(c))
""")
            assert (ran.stdout, ran.stderr) == ("5\n", "")
            assert c.values().tolist() == [1, 0, 0, 0, 2]

    def test_attach_checks_the_type(self) -> None:
        with pc.CounterArray(5, shared=True) as c, pc.SharedCounter() as counter:
            with pytest.raises(ValueError, match="is a CounterArray, not a SharedCounter"):
                pc.SharedCounter.attach(str(c.name))
            with pytest.raises(ValueError, match="is a SharedCounter, not a CounterArray"):
                pc.CounterArray.attach(str(counter.name))
            assert c.add(0) == counter.increment() == 1

    @on_linux
    def test_the_last_owner_unlinks(self, start: Start) -> None:
        c = pc.CounterArray(5, shared=True)
        assert ended(start(workers.count_keys, (c, 0))) == 0
        assert exists(c.name)
        also = pc.CounterArray.attach(str(c.name))
        c.close()
        assert exists(c.name)
        del also
        assert not exists(c.name)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to kill a process with")
def test_a_killed_worker_leaves_whole_counts(start: Start) -> None:
    with pc.CounterArray(300, shared=True) as c:
        process = start(workers.count_forever, (c,))
        until(lambda: c[0] > 50, "the worker does not count")
        process.kill()
        assert ended(process) < 0
        left = c.values()
        assert left[0] >= left[299] >= left[0] - 1  # in the midst of one call at most
        c.add_at([0])
        assert c[0] == left[0] + 1
