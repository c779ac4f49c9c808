"""The scalar counters."""

import copy
import gc
import os
import pickle
from collections import Counter
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from threading import Event, Thread, local
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount.counters.scalar import Scalar
from tests.conftest import Run, forks_beside_threads
from tests.counters.support import LEAST, MOST, NOT_SHARED, ONE_CELL, PER_THREAD, SCALARS, leaks
from tests.remote import TIME_LIMIT
from tests.together import in_a_thread, repeat, together

Kind = Any


@pytest.fixture(params=SCALARS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Every kind."""
    return SCALARS[request.param]


@pytest.fixture(params=["counter", "handle"])
def way(request: pytest.FixtureRequest) -> Any:
    """Count by the counter or by a handle."""
    return {"counter": lambda counter: counter, "handle": lambda counter: counter.local()}[request.param]


class Index:
    """An object with ``__index__``."""

    def __init__(self, number: int, first: Any = lambda: None) -> None:
        self.number, self.first = number, first

    def __index__(self) -> int:
        self.first()
        return self.number


NO_INTEGERS = [1.0, np.float64(2), "1", None, Decimal(1), Fraction(1), [1], 1j]


class TestScalar:
    def test_initial_value(self, kind: Kind) -> None:
        assert kind().value == 0
        assert kind(-7).value == -7
        assert kind(value=7).value == 7

    def test_increment_adds_one(self, kind: Kind, way: Any) -> None:
        counter = kind(41)
        way(counter).increment()
        assert counter.value == 42

    def test_add_adds(self, kind: Kind, way: Any) -> None:
        for n in (0, 1, -1, 5, -(1 << 40), 1 << 40, 1 << 62, MOST, LEAST):
            counter = kind()
            way(counter).add(n)
            assert counter.value == n

    def test_only_single_cells_return_the_new_value(self, way: Any) -> None:
        for kind in ONE_CELL.values():
            one = way(kind(10))
            assert [one.increment(), one.add(5), one.add(-20), one.add(1 << 50)] == [11, 16, -4, (1 << 50) - 4]
        for kind in PER_THREAD.values():
            many = way(kind(10))
            assert [many.increment(), many.add(5), many.add(1 << 50)] == [None, None, None]

    def test_converts_to_int(self, kind: Kind) -> None:
        counter = kind(3)
        assert int(counter) == 3
        assert type(int(counter)) is type(counter.value) is int
        assert repr(counter).startswith(f"{kind.__name__}(3")

    def test_reset_returns_the_values_and_zeroes(self, kind: Kind, way: Any) -> None:
        counter = kind(5)
        one = way(counter)
        one.add(7)
        assert counter.reset() == 12
        assert counter.value == 0
        assert counter.reset() == 0
        one.increment()
        assert counter.reset() == 1

    def test_accepts_objects_with_index(self, kind: Kind, way: Any) -> None:
        for n in (True, np.int8(-3), np.uint64(1 << 40), Index(9), np.array(4)):
            counter = kind(n)
            way(counter).add(n)
            assert counter.value == 2 * n.__index__()
            assert type(counter.value) is int
            assert type(kind(n).value) is int

    def test_rejects_what_is_not_an_integer(self, kind: Kind, way: Any) -> None:
        counter = kind(3)
        for n in NO_INTEGERS:
            with pytest.raises(TypeError):
                kind(n)
            with pytest.raises(TypeError):
                way(counter).add(n)
        assert counter.value == 3

    def test_value_cannot_be_set(self, kind: Kind) -> None:
        counter = kind(3)
        with pytest.raises(AttributeError):
            counter.value = 4
        assert counter.value == 3

    def test_add_takes_one_positional_argument(self, kind: Kind, way: Any) -> None:
        for wrong in [(), (1, 2)]:
            with pytest.raises(TypeError):
                way(kind()).add(*wrong)
        with pytest.raises(TypeError):
            way(kind()).add(n=1)

    def test_an_index_may_count_itself(self, kind: Kind, way: Any) -> None:
        counter = kind()
        way(counter).add(Index(2, first=counter.increment))
        assert counter.value == 3

    def test_counters_are_compared_by_identity(self, kind: Kind) -> None:
        one, other = kind(), kind()
        one.increment()
        assert (one.value, other.value) == (1, 0)
        assert one != other
        assert len({one, other}) == 2

    def test_a_subclass_may_hold_more(self, kind: Kind) -> None:
        class Named(kind):
            def __init__(self, label: str) -> None:
                super().__init__(5)
                self.label = label

        counter = Named("visits")
        counter.itself = counter
        counter.increment()
        assert (counter.label, int(counter)) == ("visits", 6)
        assert repr(counter).startswith("Named(6")
        del counter
        gc.collect()


class TestSafety:
    @pytest.mark.parametrize("kind", [*SCALARS.values(), pc.CounterArray, pc.ConcurrentCounter])
    def test_public_names(self, kind: Kind) -> None:
        scalar = {"add", "increment", "local", "reset", "value"}
        shared = {"attach", "close", "name"}
        expected = {
            pc.SharedCounter: scalar | shared,
            pc.CounterArray: shared | {"add", "add_at", "reset", "values"},
            pc.ConcurrentCounter: {name for name in dir(Counter) if name[0] != "_"} | {"add", "increment"},
        }
        assert {name for name in dir(kind) if name[0] != "_"} == expected.get(kind, scalar)

    @pytest.mark.parametrize("counter", [pc.AtomicCounter(), pc.ShardedCounter()], ids=repr)
    def test_handles_cannot_be_created_incomplete(self, counter: Any) -> None:
        handle = type(counter.local())
        for create in (handle, lambda: handle.__new__(handle), lambda: handle(None), lambda: handle(None, 1)):
            with pytest.raises(TypeError):
                create()

    def test_a_counter_that_was_not_initialized(self, kind: Kind) -> None:
        counter = kind.__new__(kind)
        with suppress(AttributeError):
            counter.increment()
        with suppress(AttributeError):
            counter.local().add(2)

    def test_memory_without_a_cell_is_refused(self) -> None:
        counter = pc.AtomicCounter()
        with pytest.raises(ValueError, match="at least one cell"):
            counter._use_memory(memoryview(bytearray(0)).cast("q"))
        assert counter.increment() == 1


class TestLimit:
    @pytest.mark.parametrize(("value", "n"), [(MOST, 1), (LEAST, -1), (MOST - 10, 11), (LEAST + (1 << 40), -(2 << 40))])
    def test_add_overflows(self, kind: Kind, way: Any, value: int, n: int) -> None:
        counter = kind(value)
        one = way(counter)
        for _ in range(3):
            with pytest.raises(OverflowError, match=f"the count would be {value + n}, which does not fit into 64 bits"):
                one.add(n)
            assert counter.value == value
        one.add(-n)
        assert counter.value == value - n

    def test_increment_overflows(self, kind: Kind, way: Any) -> None:
        counter = kind(MOST)
        with pytest.raises(OverflowError, match=str(1 << 63)):
            way(counter).increment()
        assert counter.value == MOST

    def test_reaches_every_64_bit_value(self, kind: Kind, way: Any) -> None:
        counter = kind(LEAST)
        one = way(counter)
        one.add(MOST - LEAST)  # as a number by itself it needs 65 bits
        assert counter.value == MOST
        one.add(LEAST - MOST)
        assert counter.value == LEAST
        one.add(MOST)
        assert counter.value == -1

    @pytest.mark.parametrize("n", [1 << 63, -(1 << 63) - 1, 1 << 64, 1 << 200, -(1 << 200)])
    def test_amounts_that_overflow(self, kind: Kind, way: Any, n: int) -> None:
        counter = kind(0)
        with pytest.raises(OverflowError):
            way(counter).add(n)
        with pytest.raises(OverflowError):
            kind(n)
        assert counter.value == 0

    @pytest.mark.parametrize(("limit", "sign"), [(MOST, 1), (LEAST, -1)])
    def test_cells_of_many_threads_add_up_to_the_limit(self, kind: Kind, limit: int, sign: int) -> None:
        counter = kind(limit - 800 * sign)

        def count() -> int:
            refused = 0
            for _ in range(200):
                try:
                    counter.add(sign)
                except OverflowError:
                    refused += 1
            return refused

        refused = together(*[count] * 5)
        assert counter.value == limit
        assert sum(refused) == 200
        counter.add(-sign << 61)  # far enough away that nobody has to look
        counter.increment()
        assert counter.value == limit - (sign << 61) + 1

    def test_many_large_numbers(self, kind: Kind, way: Any) -> None:
        counter = kind()
        one = way(counter)
        for _ in range(1000):
            one.add((1 << 32) - 1)
            one.add(-5)
        assert counter.value == 1000 * ((1 << 32) - 6)


def steps() -> st.SearchStrategy[Any]:
    edge = st.sampled_from([LEAST, LEAST + 1, MOST - 1, MOST, 1 << 62, -(1 << 62), 1 << 40, (1 << 32) + 1, 1 << 63])
    numbers = st.one_of(st.integers(-5, 5), st.integers(LEAST * 2, MOST * 2), edge)
    return st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["add", "handle.add"]), numbers),
            st.tuples(st.sampled_from(["increment", "handle.increment", "reset"]), st.none()),
        ),
        max_size=30,
    )


@given(st.sampled_from(list(SCALARS)), st.integers(LEAST, MOST), steps())
def test_equals_an_integer_of_64_bits(kind: str, model: int, steps: Any) -> None:
    counter = SCALARS[kind](model)
    handle = counter.local()
    for step, n in steps:
        on, _, method = step.rpartition(".")
        call = getattr(handle if on else counter, method)
        if method == "reset":
            assert call() == model
            model = 0
        else:
            args = () if n is None else (n,)
            after = model + (1 if n is None else n)
            if LEAST <= after <= MOST:
                assert call(*args) in (after, None)
                model = after
            else:
                with pytest.raises(OverflowError):
                    call(*args)
        assert counter.value == model


class TestManyThreads:
    def test_no_count_is_lost(self, kind: Kind) -> None:
        counter = kind(100)

        def up() -> None:
            for n in range(1000):
                counter.increment()
                counter.add(n)

        def down() -> None:
            handle = counter.local()
            for n in range(1000):
                handle.add(-n)
                handle.increment()

        for done in range(1, 6):
            together(up, down, up, down)
            assert counter.value == 100 + 4000 * done

    def test_each_value_is_returned_once(self) -> None:
        for kind in ONE_CELL.values():
            counter = kind()
            told = together(*[lambda counter=counter: [counter.increment() for _ in range(2000)]] * 4)
            assert sorted(chain(*told)) == list(range(1, 8001))
            assert all(values == sorted(values) for values in told)

    def test_concurrent_resets_return_each_count_once(self, kind: Kind) -> None:
        counter = kind()
        taken: list[int] = []
        together(
            *[repeat(counter.increment, 3000)] * 3,
            *[repeat(lambda: taken.append(counter.reset()), 100)] * 2,
        )
        assert sum(taken) + counter.value == 9000

    def test_concurrent_reads_are_monotonic(self, kind: Kind) -> None:
        counter = kind()
        read: list[int] = []
        together(*[repeat(counter.local().increment, 3000)] * 2, repeat(lambda: read.append(int(counter)), 300))
        assert read == sorted(read)
        assert read[0] >= 0
        assert read[-1] <= counter.value == 6000

    def test_a_handle_is_exact_in_any_thread(self, kind: Kind) -> None:
        counter = kind()
        handle = counter.local()
        other = in_a_thread(counter.local)  # whose thread has ended
        together(repeat(handle.increment, 500), repeat(lambda: handle.add(2), 500), repeat(other.increment, 500))
        handle.increment()
        other.add(1)
        assert counter.value == 2002

    def test_a_handle_outlives_its_counter(self, kind: Kind) -> None:
        counter = kind(5)
        handle = counter.local()
        del counter
        for _ in range(1000):
            handle.increment()
            handle.add(-1)
        in_a_thread(handle.increment)

    def test_counts_outlive_their_threads(self, kind: Kind) -> None:
        counter = kind()
        for _ in range(50):
            in_a_thread(lambda: (counter.increment(), counter.local().add(2)))
        assert counter.value == 150

    def test_counting_goes_on_while_a_thread_ends_by_an_exception(self, kind: Kind) -> None:
        counter = kind()

        def fail() -> None:
            counter.increment()
            raise LookupError

        with pytest.raises(LookupError):
            in_a_thread(fail)
        assert counter.value == 1

    def test_a_thread_alternates_between_many(self, kind: Kind) -> None:
        counters = [kind() for _ in range(100)]
        for n in range(5):
            for counter in counters:
                counter.add(n)
        del counters[::2]
        for counter in counters:
            counter.increment()
        assert [counter.value for counter in counters] == [11] * 50

    def test_finalizers_at_the_end_of_a_thread_may_count(self, kind: Kind) -> None:
        counter, here = kind(), local()

        class Last:
            def __del__(self) -> None:
                counter.increment()

        def work() -> None:
            here.last = Last()  # gone before what the thread has counted, or after
            counter.increment()
            here.also = Last()

        for _ in range(20):
            in_a_thread(work)
        assert counter.value == 60


class TestLifetime:
    @pytest.mark.thread_unsafe(reason="counts the blocks of memory of all threads")
    @pytest.mark.usefixtures("no_collector")
    def test_counters_leave_no_memory(self, kind: Kind) -> None:
        def count() -> None:
            counter = kind()
            counter.increment()
            counter.local().increment()
            in_a_thread(counter.increment)

        assert not leaks(count)

    def test_a_counter_is_freed_while_its_threads_run(self, kind: Kind) -> None:
        ready, go = Event(), Event()
        counters = [kind()]

        def work() -> None:
            counters[0].increment()
            ready.set()
            assert go.wait(TIME_LIMIT)
            for _ in range(20):
                kind().increment()

        thread = Thread(target=work, daemon=True)
        thread.start()
        assert ready.wait(TIME_LIMIT)
        counters.clear()
        gc.collect()
        go.set()
        thread.join(TIME_LIMIT)
        assert not thread.is_alive()


class TestPickling:
    @pytest.mark.parametrize("name", NOT_SHARED)
    def test_private_counters_cannot_be_pickled(self, name: str) -> None:
        kind = SCALARS[name]
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=rf"{kind.__name__} cannot be copied or pickled.*SharedCounter"):
                attempt(kind())

    def test_handles_cannot_be_pickled(self, kind: Kind) -> None:
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be copied or pickled"):
                attempt(kind().local())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@forks_beside_threads
@pytest.mark.parametrize("name", NOT_SHARED)
def test_a_forked_child_counts_independently(run_script: Run, name: str) -> None:
    # While it forks, others count and hold whatever lock there is; none of them goes on in the child.
    ran = run_script(
        f"""
import os, sys, threading, warnings
import parcount as pc

warnings.simplefilter("ignore", DeprecationWarning)  # threads, and a fork
sys.setswitchinterval(1e-6)
counter = pc.{SCALARS[name].__name__}(5)
handle = counter.local()
handle.increment()
stop = False
def count():
    while not stop:
        counter.increment()
others = [threading.Thread(target=count) for _ in range(3)]
for other in others:
    other.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        before = counter.value
        handle.increment()
        counter.add(10)
        inner = threading.Thread(target=counter.increment)
        inner.start()
        inner.join()
        assert counter.value == before + 12, (before, counter.value)
        assert counter.reset() == before + 12
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop = True
for other in others:
    other.join()
before = counter.value
handle.increment()
print(counter.value - before)
"""
    )
    assert ran.stdout == "1\n", ran.stderr
    assert ran.stderr == ""


def test_all_kinds_have_the_same_methods() -> None:
    for kind in SCALARS.values():
        assert issubclass(kind, Scalar)
        for name in ("add", "increment", "local", "reset", "value"):
            assert getattr(kind, name).__doc__
