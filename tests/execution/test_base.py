"""What every execution promises, whoever its workers are."""

import itertools
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np
import pytest

import parcount as pc
from tests import plain, remote
from tests.execution.executions import ALL, INTERPRETERS, PARALLEL, Make, cells

WORKERS = 3


@pytest.fixture(scope="module", params=ALL)
def make(request: pytest.FixtureRequest) -> Make:
    """Makes the execution that is being tested, with a number of workers."""
    made: Make = request.param
    return made


@pytest.fixture(scope="module")
def pool(make: Make) -> Iterator[pc.Execution]:
    """That execution, its workers started once for all tests."""
    with make(WORKERS) as pool:
        yield pool


@pytest.fixture(scope="module", params=PARALLEL)
def crowd(request: pytest.FixtureRequest) -> Iterator[pc.Execution]:
    """An execution whose workers run at the same time."""
    with request.param(WORKERS) as crowd:
        yield crowd


class TestMap:
    def test_results_are_in_the_order_of_the_items(self, pool: pc.Execution) -> None:
        items = list(range(10 * WORKERS, 0, -1))
        assert pool.map(plain.double, items) == [2 * item for item in items]

    def test_no_items(self, pool: pc.Execution) -> None:
        assert pool.map(plain.double, []) == []

    def test_several_iterables_end_with_the_shortest(self, pool: pc.Execution) -> None:
        assert pool.map(pow, [2, 3, 4], (exponent for exponent in (10, 2))) == [1024, 9]

    def test_each_item_of_starmap_is_the_arguments_of_a_call(self, pool: pc.Execution) -> None:
        assert pool.starmap(divmod, [(7, 2), [9, 4]]) == [(3, 1), (2, 1)]
        assert pool.starmap(divmod, []) == []

    def test_no_iterable_is_a_type_error(self, pool: pc.Execution) -> None:
        with pytest.raises(TypeError, match="at least one iterable"):
            pool.map(plain.double)

    def test_items_from_a_generator(self, pool: pc.Execution) -> None:
        assert pool.map(plain.double, (x for x in "abc")) == ["aa", "bb", "cc"]

    def test_outside_a_with_block_each_call_has_its_own_workers(self, make: Make) -> None:
        execution = make(1)
        assert execution.map(plain.double, [1, 2, 3]) == [2, 4, 6]
        assert execution.pids() == []

    def test_all_workers_work_at_once(self, crowd: pc.Execution) -> None:
        guests = range(WORKERS)
        assert crowd.map(plain.Meeting(cells(crowd, WORKERS)), guests) == list(guests)


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
class TestStreams:
    @pytest.mark.parametrize("size", [0, 1, 2, 50])
    def test_every_result_is_given(self, pool: pc.Execution, name: str, size: int) -> None:
        results = list(getattr(pool, name)(plain.double, range(size)))
        assert (results if name == "imap" else sorted(results)) == [2 * item for item in range(size)]

    def test_items_may_have_no_end(self, pool: pc.Execution, name: str) -> None:
        taken = []

        def endless() -> Iterator[int]:
            for item in itertools.count():
                taken.append(item)
                yield item

        results = getattr(pool, name)(plain.double, endless())
        assert taken == []
        first = list(itertools.islice(results, 20))
        assert len(set(first)) == 20
        assert len(taken) <= 20 + 2 * pool.concurrency
        results.close()
        assert pool.map(plain.double, [1, 2, 3]) == [2, 4, 6]

    def test_an_exception_comes_after_the_results_before_it(self, pool: pc.Execution, name: str) -> None:
        results = getattr(pool, name)(plain.fail_on_odd, [0, 2, 4, 6, 7, *range(1, 99)])
        good: list[int] = []
        with pytest.raises(ValueError, match="7 is odd"):
            good.extend(results)
        if name == "imap":
            assert good == [0, 2, 4, 6]
        assert list(results) == []
        assert pool.map(plain.double, [1]) == [2]

    def test_the_iterables_own_exception_does_too(self, pool: pc.Execution, name: str) -> None:
        good: list[int] = []
        with pytest.raises(ZeroDivisionError):
            good.extend(getattr(pool, name)(plain.double, (1 // (3 - item) for item in range(9))))
        assert sorted(good) == [0, 0, 2]

    def test_outside_a_with_workers_come_and_go_with_the_generator(self, make: Make, name: str) -> None:
        execution = make(1)
        results = getattr(execution, name)(plain.double, range(9))
        assert next(results) in (0, 2)  # the second, if two run at once
        results.close()
        assert execution.pids() == []

    def test_a_generator_does_not_outlive_its_with(self, make: Make, name: str) -> None:
        with make(1) as execution:
            results = getattr(execution, name)(plain.double, itertools.count())
            assert next(results) in (0, 2)  # the second, if two run at once
        assert execution.pids() == []
        with execution:
            with pytest.raises(RuntimeError, match="the `with` block in which this generator was created has ended"):
                next(results)
            assert execution.map(plain.double, [1]) == [2]


class TestProgress:
    def test_is_called_after_every_item(self, pool: pc.Execution) -> None:
        told: list[tuple[int, int]] = []
        results = pool.map(plain.double, range(9), progress=lambda *numbers: told.append(numbers))
        assert results == list(range(0, 18, 2))
        assert told == [(done, 9) for done in range(1, 10)]

    def test_its_own_exception_ends_the_call(self, pool: pc.Execution) -> None:
        def fail(done: int, total: int) -> None:
            raise KeyError(done)

        with pytest.raises(KeyError, match="1"):
            pool.map(plain.double, range(9), progress=fail)
        assert pool.map(plain.double, range(3), progress=divmod) == [0, 2, 4]


class TestTogether:
    def test_results_are_in_the_order_of_the_items(self, pool: pc.Execution) -> None:
        items = list(range(pool.workers, 0, -1))
        assert pool.together(plain.double, items)[0] == [2 * item for item in items]

    def test_fewer_items_than_workers(self, crowd: pc.Execution) -> None:
        assert crowd.together(plain.double, [21])[0] == [42]

    def test_no_items(self, pool: pc.Execution) -> None:
        assert pool.together(plain.double, [])[0] == []

    def test_more_items_than_workers_are_refused(self, pool: pc.Execution) -> None:
        items = range(pool.concurrency + 1)
        with pytest.raises(ValueError, match=f"{len(items)} items cannot start together on {pool.concurrency} workers"):
            pool.together(plain.double, items)

    def test_all_items_run_at_once(self, crowd: pc.Execution) -> None:
        guests = range(WORKERS)
        for _ in range(20):
            assert crowd.together(plain.Meeting(cells(crowd, WORKERS)), guests)[0] == list(guests)

    def test_the_instant_lies_within_the_call(self, pool: pc.Execution) -> None:
        called = perf_counter()
        _, opened = pool.together(plain.double, [1])
        assert called <= opened <= perf_counter()

    def test_outside_a_with_block_each_call_has_its_own_workers(self, make: Make) -> None:
        execution = make(1)
        assert execution.together(plain.double, [1])[0] == [2]
        assert execution.pids() == []


@pytest.fixture(params=["map", "together"])
def call(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class TestErrors:
    def test_type_and_contents_survive(self, pool: pc.Execution, call: str) -> None:
        with pytest.raises(plain.Peculiar, match="no such thing") as caught:
            getattr(pool, call)(plain.fail_peculiarly, [0])
        assert (caught.value.message, caught.value.code) == ("no such thing", 42)

    def test_traceback_shows_where_in_the_worker(self, pool: pc.Execution, call: str) -> None:
        with pytest.raises(plain.Peculiar) as caught:
            getattr(pool, call)(plain.fail_peculiarly, [0])
        assert "in fail_peculiarly" in "".join(traceback.format_exception(caught.value))

    def test_the_first_failed_item_counts_not_the_first_failure(self, crowd: pc.Execution, call: str) -> None:
        with pytest.raises(ValueError, match="item 0"):
            getattr(crowd, call)(plain.FailInReverse(cells(crowd, WORKERS)), range(WORKERS))

    def test_one_failure_among_good_items(self, pool: pc.Execution) -> None:
        with pytest.raises(ValueError, match="5 is odd"):
            pool.map(plain.fail_on_odd, [0, 2, 4, 5, 6, 7, 8])

    def test_the_workers_serve_on(self, pool: pc.Execution, call: str) -> None:
        before = pool.pids()
        for _ in range(3):
            with pytest.raises(ValueError, match="1 is odd"):
                getattr(pool, call)(plain.fail_on_odd, [1])
            assert pool.map(plain.fail_on_odd, [2, 4, 6, 8]) == [2, 4, 6, 8]
        assert pool.pids() == before

    def test_an_end_of_file_is_an_error_like_any_other(self, pool: pc.Execution, call: str) -> None:
        # Workers of Processes take the end of their own pipe, which raises the same, for the caller's end.
        with pytest.raises(EOFError, match="nothing left to read"):
            getattr(pool, call)(plain.end_of_file, [0])


class TestCallers:
    @pytest.mark.timeout(plain.TIME_LIMIT, method="thread", func_only=True)  # no exception would free them
    def test_several_threads_may_call_at_once(self, pool: pc.Execution, call: str) -> None:
        def ask(number: int) -> bool:
            items = [number * WORKERS + item for item in range(pool.workers)]
            answer = getattr(pool, call)(plain.double, items)
            return (answer if call == "map" else answer[0]) == [2 * item for item in items]

        with ThreadPoolExecutor(4) as callers:
            assert all(callers.map(ask, range(100)))


class TestLife:
    def test_nested_withs_share_the_workers(self, make: Make) -> None:
        with make(1) as outer:
            pids = outer.pids()
            with outer as inner:
                assert inner is outer
                assert inner.map(plain.double, [1]) == [2]
            assert outer.pids() == pids
            assert outer.map(plain.double, [1, 2]) == [2, 4]
        assert outer.pids() == []

    def test_a_second_with_starts_anew(self, make: Make) -> None:
        execution = make(1)
        for _ in range(2):
            with execution:
                assert execution.map(plain.double, [1, 2]) == [2, 4]

    def test_an_exception_in_the_body_ends_the_workers(self, make: Make) -> None:
        with pytest.raises(KeyError, match="body"), make(2) as execution:  # noqa: PT012
            pids = execution.pids()
            raise KeyError("body")
        assert execution.pids() == []
        assert not any(map(remote.is_alive, pids))

    def test_results_live_on(self, make: Make) -> None:
        with make(1) as execution:
            if execution.name == "interpreters":
                pytest.skip("there are no arrays there")
            (large,) = execution.map(remote.ones, [1 << 17])
        assert large.sum() == 1 << 17

    def test_states_its_name(self, make: Make) -> None:
        execution = make(2)
        assert execution.name == type(execution).__name__.lower()
        assert repr(execution).startswith(f"{type(execution).__name__}(")


class TestWorkers:
    @pytest.fixture(params=[pc.Threads, pc.Processes, *INTERPRETERS])
    def kind(self, request: pytest.FixtureRequest) -> type[pc.Threads | pc.Processes]:
        kind: type[pc.Threads | pc.Processes] = request.param
        return kind

    def test_all_available_cores_by_default(self, kind: type[pc.Threads]) -> None:
        assert kind().workers == pc.available_cores()

    def test_integers_of_other_types_are_accepted(self, kind: type[pc.Threads]) -> None:
        assert kind(np.int8(3)).workers == 3  # type: ignore[arg-type]

    @pytest.mark.parametrize("workers", [0, -1])
    def test_fewer_than_one_are_refused(self, kind: type[pc.Threads], workers: int) -> None:
        with pytest.raises(ValueError, match=f"workers must be at least 1, not {workers}"):
            kind(workers)

    @pytest.mark.parametrize("workers", [True, False, 2.0, "2", [2]])
    def test_other_types_than_integers_raise(self, kind: type[pc.Threads], workers: int) -> None:
        with pytest.raises(TypeError, match="workers must be an integer, not"):
            kind(workers)

    def test_serial_has_one(self) -> None:
        assert pc.Serial().workers == 1

    @pytest.mark.skipif(bool(INTERPRETERS), reason="this Python has subinterpreters with a GIL each")
    def test_interpreters_name_the_version_that_they_require(self) -> None:
        with pytest.raises(NotImplementedError, match=r"requires CPython 3\.14 or newer; this is 3\."):
            pc.Interpreters(2)
