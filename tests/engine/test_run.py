"""The one road: every kernel on every execution gives the exact counts."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from time import perf_counter

import numpy as np
import pytest

import parcount as pc
from parcount.engine.run import PIECE, PIECE_A_BIN, count, count_timed, pieces
from parcount.execution.interpreters import missing, refusal
from parcount.kernels import WORKLOADS, Kernel, TallyJob
from parcount.studies.core.shared_data import to_shared_memory
from tests.kernels.support import most_threads

SPY = Kernel("tests.remote:spy", own_threads=True)
"""Counts, in cell k, how often it was told to use k threads."""


@pytest.fixture(scope="module")
def processes() -> Iterator[pc.Processes]:
    with pc.Processes(2) as processes:
        yield processes


@pytest.fixture(scope="module")
def interpreters() -> Iterator[pc.Execution | None]:
    with nullcontext() if missing() else pc.Interpreters(3) as interpreters:
        yield interpreters


@pytest.fixture(params=["serial", "one thread", "threads", "processes", "interpreters"])
def on(
    request: pytest.FixtureRequest, processes: pc.Processes, interpreters: pc.Execution | None, variant: str
) -> pc.Execution:
    """The executions; Numba's own threads are no more than there are cores, Python's may be."""
    if request.param == "interpreters":
        if interpreters is None or refusal(WORKLOADS["tally"].kernels[variant].module):
            pytest.skip("interpreters have no such loop here")
        return interpreters
    several = min(2, most_threads()) if variant == "numba-parallel" else 3
    executions = {
        "serial": pc.Serial(),
        "one thread": pc.Threads(1),
        "threads": pc.Threads(several),
        "processes": processes,
    }
    execution: pc.Execution = executions[request.param]
    return execution


@pytest.mark.parametrize("workload", WORKLOADS)
class TestExact:
    def test_count(self, workload: str, variant: str, on: pc.Execution) -> None:
        for size in (0, 1, 2, 7, 30_000):
            job = WORKLOADS[workload].make(size, 1)
            counts = count(job, WORKLOADS[workload].kernels[variant], on)
            assert np.array_equal(counts, job.exact())
            assert counts.dtype == np.int64

    def test_count_again_and_again(self, workload: str, variant: str, on: pc.Execution) -> None:
        job = WORKLOADS[workload].make(3000, 1)
        with on:
            for _ in range(20):
                job.reset()
                assert np.array_equal(count(job, WORKLOADS[workload].kernels[variant], on), job.exact())

    def test_count_timed(self, workload: str, variant: str, on: pc.Execution) -> None:
        job = WORKLOADS[workload].make(10_001, 1)
        called = perf_counter()
        counts, seconds = count_timed(job, WORKLOADS[workload].kernels[variant], on)
        assert np.array_equal(counts, job.exact())
        assert 0 < seconds < perf_counter() - called

    def test_data_in_shared_memory(self, workload: str, variant: str, on: pc.Execution) -> None:
        job = to_shared_memory(WORKLOADS[workload].make(30_000, 1))
        counts = count(job, WORKLOADS[workload].kernels[variant], on)
        assert np.array_equal(counts, job.exact())


def test_workers_increment_shared_cells_in_place(processes: pc.Processes) -> None:
    job = to_shared_memory(WORKLOADS["increment"].make(30_000, 1))
    kernel = WORKLOADS["increment"].kernels["cython"]
    # What the workers return are the cells themselves: writing them back would hide that they were counted elsewhere.
    partials = processes.map(kernel, job.split(2))
    assert all(np.shares_memory(partial, job.cells) for partial in partials)
    assert np.array_equal(job.cells, job.before + 1)


class TestOwnThreads:
    def test_take_the_place_of_threads(self) -> None:
        assert count(TallyJob(9, bins=8), SPY, pc.Threads(5)).tolist() == [0, 0, 0, 0, 0, 1, 0, 0]

    def test_are_one_where_the_caller_works_alone(self) -> None:
        assert count(TallyJob(9, bins=8), SPY, pc.Serial()).tolist() == [0, 1, 0, 0, 0, 0, 0, 0]

    def test_are_one_in_each_process(self, processes: pc.Processes) -> None:
        assert count(TallyJob(9, bins=8), SPY, processes).tolist() == [0, 2, 0, 0, 0, 0, 0, 0]

    def test_count_timed_does_the_same(self) -> None:
        assert count_timed(TallyJob(9, bins=8), SPY, pc.Threads(5))[0].tolist() == [0, 0, 0, 0, 0, 1, 0, 0]


class TestErrors:
    """A part that fails fails the count: there are no counts of the rest."""

    @pytest.fixture(params=["serial", "threads", "processes"])
    def on(self, request: pytest.FixtureRequest, processes: pc.Processes) -> pc.Execution:
        executions = {"serial": pc.Serial(), "threads": pc.Threads(2), "processes": processes}
        execution: pc.Execution = executions[request.param]
        return execution

    @pytest.mark.parametrize("position", [0, 999])
    @pytest.mark.parametrize("call", [count, count_timed])
    def test_a_key_outside_anywhere(
        self, on: pc.Execution, call: Callable[..., object], variant: str, position: int
    ) -> None:
        job = WORKLOADS["bincount"].make(1000)
        job.keys[position] = 1024
        with pytest.raises(ValueError, match="a key lies outside 0 … 1023"):
            call(job, WORKLOADS["bincount"].kernels[variant], on)

    def test_a_worker_that_dies(self, processes: pc.Processes) -> None:
        with pytest.raises(pc.WorkerDied):
            count(TallyJob(10), Kernel("tests.remote:die"), processes)


def test_threads_counting_at_once_do_not_disturb_each_other(variant: str) -> None:
    # Each worker counts jobs of all kinds, over and over, while the others do the same.
    jobs = [(name, WORKLOADS[name].make(5000, 7)) for name in WORKLOADS if name != "increment"]

    def work(_: int) -> bool:
        return all(
            np.array_equal(count(job, WORKLOADS[name].kernels[variant], pc.Serial()), job.exact())
            for _ in range(3 if variant == "python" else 20)
            for name, job in jobs
        )

    assert pc.Threads(4).together(work, range(4))[0] == [True] * 4


class TestPieces:
    @pytest.mark.parametrize("on", [pc.Serial(), pc.Threads(3), pc.Processes(3), pc.Processes(2, threads=2)])
    @pytest.mark.parametrize("size", [0, 1, PIECE, 12 * PIECE, 1 << 40])
    @pytest.mark.parametrize("bins", [1, 1 << 10, 1 << 24])
    def test_each_is_worth_it(self, on: pc.Execution, size: int, bins: int) -> None:
        shares = pieces(size, bins, on)
        assert 1 <= shares <= on.parts_per_worker
        if shares > 1:
            assert size // (shares * on.concurrency) >= max(PIECE, PIECE_A_BIN * bins)

    def test_large_jobs_are_cut_into_more_parts_for_processes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("parcount.engine.run.PIECE", 1000)
        handed_out = []

        class Spying(pc.Processes):
            def _map(self, function: Callable[..., object], items: list[object], once: bool) -> list[object]:
                handed_out.append(len(items))
                return super()._map(function, items, once)

        keys = np.arange(100_000, dtype=np.int32) % 7
        assert np.array_equal(pc.bincount(keys, on=Spying(2)), np.bincount(keys))
        assert np.array_equal(pc.histogram(keys, 7, on=Spying(2))[0], np.histogram(keys, 7)[0])
        assert np.array_equal(pc.tally(100_000, bins=8, on=Spying(2)), pc.tally(100_000, bins=8))
        assert handed_out == [8, 8, 8]
