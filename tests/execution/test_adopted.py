"""Executors that others have made, each the real one, with workers in processes of their own."""

import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from threading import Event, Lock
from time import perf_counter
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

import parcount as pc
from parcount.engine.run import Clock, run
from parcount.kernels import WORKLOADS
from tests import cluster, plain, remote
from tests.arrays.support import assert_same

WORKERS = cluster.WORKERS


@contextmanager
def standard() -> Iterator[Executor]:
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as executor:
        yield executor


@contextmanager
def lokys() -> Iterator[Executor]:
    loky = pytest.importorskip("loky")
    executor = loky.get_reusable_executor(WORKERS, reuse=False)
    try:
        yield executor
    finally:
        executor.shutdown(kill_workers=True)


@contextmanager
def dasks() -> Iterator[Executor]:
    with cluster.client() as client:
        yield client.get_executor()


KINDS = {"standard library": standard, "loky": lokys, "dask": dasks}
ONE_EACH = [pytest.param(kind, marks=pytest.mark.xdist_group(f"adopted {kind}")) for kind in KINDS]
RARELY_DASK = [pytest.param(kind, marks=pytest.mark.slow if kind == "dask" else ()) for kind in KINDS]


@pytest.fixture(scope="module", autouse=True)
def apart() -> Iterator[None]:
    with cluster.pickling_as_before():
        yield


@pytest.fixture(scope="module", params=ONE_EACH)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with KINDS[request.param]() as executor:
        yield executor


@pytest.fixture
def on(executor: Executor) -> pc.Adopted:
    return pc.Adopted(executor)


def is_dasks(executor: Executor) -> bool:
    return type(executor).__module__.startswith("distributed")


class TestWorkers:
    def test_are_as_many_as_the_executor_has(self, on: pc.Adopted) -> None:
        assert on.workers == WORKERS

    def test_or_as_many_as_it_is_told(self, executor: Executor) -> None:
        assert pc.Adopted(executor, 5).workers == 5
        with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
            pc.Adopted(executor, 0)

    def test_are_processes_that_outlive_the_with(self, executor: Executor, on: pc.Adopted) -> None:
        with on:
            pids = set(on.map(remote.pid, range(20)))
        assert os.getpid() not in pids
        assert all(map(remote.is_alive, pids))
        assert executor.submit(plain.double, 1).result(remote.TIME_LIMIT) == 2


class TestMaps:
    def test_results_are_in_the_order_of_the_items(self, on: pc.Adopted) -> None:
        items = list(range(50, 0, -1))
        expected = [2 * item for item in items]
        assert on.map(plain.double, items) == expected
        assert list(on.imap(plain.double, items)) == expected
        assert sorted(on.imap_unordered(plain.double, items)) == sorted(expected)

    def test_equal_items_are_as_many_items(self, on: pc.Adopted, tmp_path: Path) -> None:
        on.map(Mark(tmp_path), [0] * 10)
        assert len([*tmp_path.iterdir()]) == 10

    def test_progress(self, on: pc.Adopted) -> None:
        told: list[tuple[int, int]] = []
        assert on.map(plain.double, range(9), progress=lambda *numbers: told.append(numbers)) == [*range(0, 18, 2)]
        assert told == [(done, 9) for done in range(1, 10)]

    def test_together(self, on: pc.Adopted) -> None:
        called = perf_counter()
        results, opened = on.together(plain.double, [3, 4])
        assert results == [6, 8]
        assert called <= opened <= perf_counter()
        with pytest.raises(ValueError, match="3 items cannot start together on 2 workers"):
            on.together(plain.double, range(3))


@dataclass(frozen=True)
class Mark:
    """Leaves a file for every item that it is called with."""

    place: Path

    def __call__(self, _: int) -> None:
        (self.place / uuid4().hex).touch()


class TestExact:
    x = np.random.default_rng(0).integers(0, 1000, 200_001)
    values = np.random.default_rng(1).normal(size=200_001)
    weights = np.random.default_rng(2).integers(0, 100, 200_001).astype(float)

    def test_bincount(self, on: pc.Adopted) -> None:
        assert_same(pc.bincount(self.x, on=on), np.bincount(self.x))
        assert_same(pc.bincount(self.x, self.weights, on=on), np.bincount(self.x, self.weights))
        out = np.zeros(1000, int)
        for _ in range(2):
            pc.bincount(self.x[::2], out=out, on=on)
        assert_same(out, 2 * np.bincount(self.x[::2]))

    def test_histogram(self, on: pc.Adopted) -> None:
        for keywords in ({}, {"range": (-1, 2)}, {"bins": np.array([-1, 0, 0.5, 3])}, {"weights": self.weights}):
            assert_same(pc.histogram(self.values, on=on, **keywords), np.histogram(self.values, **keywords))

    def test_histogram2d(self, on: pc.Adopted) -> None:
        assert_same(pc.histogram2d(self.values, self.weights, 20, on=on), np.histogram2d(self.values, self.weights, 20))

    @pytest.mark.parametrize("scale", [1, 1_000_003])
    def test_unique_counts(self, on: pc.Adopted, scale: int) -> None:
        assert_same(pc.unique_counts(self.x * scale, on=on), np.unique_counts(self.x * scale))

    def test_tally(self, on: pc.Adopted) -> None:
        assert_same(pc.tally(100_001, on=on), pc.tally(100_001, on=pc.Serial()))

    def test_arrays_in_shared_memory(self, on: pc.Adopted) -> None:
        x = pc.shared_array(len(self.x))
        x[:] = self.x
        assert_same(pc.bincount(x, on=on), np.bincount(x))

    @pytest.mark.parametrize("clock", [None, Clock()])
    def test_what_is_counted_in_place_is_refused(self, on: pc.Adopted, clock: Clock | None) -> None:
        job = WORKLOADS["increment"].make(1000)
        with pytest.raises(ValueError, match="share no memory"):
            run(job, WORKLOADS["increment"].kernels["cython"], on, clock)
        assert np.array_equal(job.arrays[0], job.original)


class TestErrors:
    def test_come_with_all_that_is_in_them(self, on: pc.Adopted) -> None:
        with pytest.raises(plain.Peculiar, match="no such thing") as caught:
            on.map(plain.fail_peculiarly, [0])
        assert (caught.value.message, caught.value.code) == ("no such thing", 42)
        assert "in fail_peculiarly" in "".join(traceback.format_exception(caught.value))

    def test_the_first_in_the_order_of_the_items(self, on: pc.Adopted) -> None:
        with pytest.raises(ValueError, match="5 is odd"):
            on.map(plain.fail_on_odd, [0, 2, 5, 6, 7])
        good: list[int] = []
        with pytest.raises(ValueError, match="5 is odd"):
            good.extend(on.imap(plain.fail_on_odd, [0, 2, 5, 6, 7]))
        assert good == [0, 2]
        assert on.map(plain.double, [1]) == [2]

    @pytest.mark.parametrize("stream", [False, True])
    def test_an_object_that_cannot_be_pickled_is_named(self, on: pc.Adopted, stream: bool) -> None:
        def call(function: Callable[[Any], Any], items: list[Any]) -> Any:
            return list(on.imap(function, items)) if stream else on.map(function, items)

        for function, items, position in ((remote.echo, [0, Lock()], 1), (remote.unpicklable_result, [0], 0)):
            with pytest.raises(Exception, match=r"(?i)could not|cannot pickle") as caught:
                call(function, items)
            *_, note = caught.value.__notes__  # pickle has some of its own from Python 3.14 on
            assert note.startswith(f"item {position}, the function or the result cannot be sent")
        assert call(plain.double, [1]) == [2]

    def test_dask_raises_for_idempotent_false(self, executor: Executor, on: pc.Adopted) -> None:
        if not is_dasks(executor):
            assert on.map(plain.double, [1], idempotent=False) == [2]
            return
        for call in (on.map, on.together, lambda *args, **keywords: list(on.imap(*args, **keywords))):
            with pytest.raises(ValueError, match="which idempotent=False forbids"):
                call(plain.double, [1], idempotent=False)


@pytest.mark.parametrize("kind", RARELY_DASK)
class TestEnds:
    """Executors that break or end, each one of its own."""

    def test_a_killed_worker(self, kind: str) -> None:
        with KINDS[kind]() as executor:
            on = pc.Adopted(executor)
            with pytest.raises(pc.WorkerDied, match="lost a worker and returned no result for item 0") as caught:
                on.map(remote.kill_self, [0])
            died = caught.value
            assert (died.part, died.exitcode) == (0, None)
            assert died.__cause__ is not None
            assert (died.tries > 1) == is_dasks(executor)
            if not is_dasks(executor):
                assert isinstance(died.__cause__, BrokenExecutor)
                with pytest.raises(pc.WorkerDied):  # broken for good
                    next(on.imap(plain.double, [1]))

    def test_shut_down(self, kind: str) -> None:
        with KINDS[kind]() as executor:
            on = pc.Adopted(executor)
            executor.shutdown()
            for call in (lambda: on.map(plain.double, [1]), lambda: next(on.imap(plain.double, [1]))):
                with pytest.raises(RuntimeError, match=r"the adopted .* accepts no items: ") as caught:
                    call()
                assert not isinstance(caught.value, pc.WorkerDied)


@dataclass(frozen=True)
class DieAtFirst:
    """Kills its worker the first time, as a file tells."""

    place: Path

    def __call__(self, item: int) -> int:
        if not self.place.exists():
            self.place.touch()
            remote.kill_self(item)
        return item


@pytest.mark.slow
def test_a_dask_client_tries_again_what_a_killed_worker_had_and_takes_no_items_once_closed(tmp_path: Path) -> None:
    with dasks() as executor:
        on = pc.Adopted(executor)
        assert on.map(DieAtFirst(tmp_path / "died"), range(5)) == [*range(5)]
    assert (tmp_path / "died").exists()
    with pytest.raises(RuntimeError, match="the adopted ClientExecutor accepts no items: "):
        on.map(plain.double, [1])
    with pytest.raises(ValueError, match="ClientExecutor has no workers"):
        pc.Adopted(executor)


def test_threads_share_memory() -> None:
    with ThreadPoolExecutor(WORKERS) as executor:
        job = WORKLOADS["increment"].make(1000)
        assert np.array_equal(
            run(job, WORKLOADS["increment"].kernels["cython"], pc.Adopted(executor)), job.original + 1
        )


def test_a_cancelled_item() -> None:
    executor, given = ThreadPoolExecutor(1), Event()

    def items() -> Iterator[int]:
        yield from range(2)
        given.set()

    def end(item: int) -> int:
        assert given.wait(remote.TIME_LIMIT)
        executor.shutdown(wait=False, cancel_futures=True)
        return item

    results = pc.Adopted(executor, 2).imap(end, items())
    assert next(results) == 0
    with pytest.raises(RuntimeError, match="the adopted ThreadPoolExecutor has cancelled item 1"):
        next(results)
    executor.shutdown()


class Silent(Executor):
    """Does not tell how many workers it has."""

    def submit(self, function: Any, /, *args: Any, **keywords: Any) -> Any:
        raise NotImplementedError


def test_an_executor_that_does_not_report_its_workers() -> None:
    with pytest.raises(ValueError, match=r"Silent has no workers, or does not report their number; give workers="):
        pc.Adopted(Silent())
    assert pc.Adopted(Silent(), 3).workers == 3


@pytest.mark.parametrize("thing", [None, 2, pc.Threads(2)])
def test_what_is_no_executor(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"Adopted takes a concurrent\.futures\.Executor, not "):
        pc.Adopted(thing)


def test_a_dask_client_is_told_to_give_its_executor() -> None:
    class Client:
        get_executor = None

    with pytest.raises(TypeError, match=r"client\.get_executor\(\)"):
        pc.Adopted(Client())  # type: ignore[arg-type]


SCRIPT = """
import os
import numpy as np
import parcount as pc

def pid(_):
    return os.getpid()

def fail(item):
    raise ValueError(f"{item} is odd")

def check(executor):
    on = pc.Adopted(executor)
    assert on.workers == 2, on
    assert os.getpid() not in on.map(pid, range(20))
    x = np.random.default_rng(0).integers(0, 1000, 200_001)
    values, weights = x * 1.5, x % 7 / 2
    assert np.array_equal(pc.bincount(x, weights, on=on), np.bincount(x, weights))
    assert np.array_equal(pc.histogram(values, 7, on=on)[0], np.histogram(values, 7)[0])
    for ours, numpys in zip(pc.unique_counts(x * 1_000_003, on=on), np.unique_counts(x * 1_000_003)):
        assert np.array_equal(ours, numpys)
    assert np.array_equal(pc.tally(100_001, on=on), pc.tally(100_001))
    assert list(on.imap(abs, range(-9, 0))) == list(range(9, 0, -1))
    try:
        on.map(fail, [1, 3])
    except ValueError as error:
        assert str(error) == "1 is odd", error
    else:
        raise AssertionError("no exception")
    return on

def refuses(on):
    try:
        on.map(abs, [1])
    except RuntimeError as error:
        assert "accepts no items: " in str(error), error
    else:
        raise AssertionError("no exception")
    print("exact")
"""

WAYS_TO_MPI = {
    "MPIPoolExecutor": (
        ["-m", "mpi4py.futures"],
        """
from mpi4py.futures import MPIPoolExecutor

if __name__ == "__main__":
    with MPIPoolExecutor() as executor:
        on = check(executor)
    refuses(on)
""",
    ),
    "MPICommExecutor": (
        [],
        """
from mpi4py import MPI
from mpi4py.futures import MPICommExecutor

with MPICommExecutor(MPI.COMM_WORLD, root=0) as executor:
    if executor is not None:
        on = check(executor)
if executor is not None:
    refuses(on)
""",
    ),
}

AS_ANYBODY_ON_FEW_CORES = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",  # Open MPI 4
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",  # and 5
}


@pytest.mark.parametrize("way", WAYS_TO_MPI)
def test_mpi(way: str, tmp_path: Path) -> None:
    pytest.importorskip("mpi4py")
    mpiexec = shutil.which("mpiexec")
    if mpiexec is None:
        pytest.skip("there is no mpiexec")
    options, source = WAYS_TO_MPI[way]
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + source)
    ran = subprocess.run(
        [mpiexec, "-n", "3", sys.executable, *options, script],
        env={**os.environ, **AS_ANYBODY_ON_FEW_CORES},
        capture_output=True,
        text=True,
        timeout=remote.TIME_LIMIT,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "exact\n"
