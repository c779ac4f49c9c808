"""`engine.run`: every kernel under every execution gives the exact counts."""

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from itertools import chain
from threading import current_thread, get_ident, local
from time import perf_counter
from types import FrameType

import numpy as np
import pytest

import parcount as pc
from parcount.engine.num_threads import MAX_THREADS, usable_threads
from parcount.engine.run import MIN_PART_SIZE, MIN_PART_SIZE_PER_BIN, Clock, number_of_parts, run
from parcount.engine.threads import choose_execution, persistent_threads
from parcount.execution.interpreters import missing, refusal
from parcount.execution.pinned_threads import live_threads
from parcount.kernels import VARIANTS, WORKLOADS, TallyJob
from parcount.kernels.bincount import bincount_job
from parcount.kernels.job import count_part
from parcount.studies.core.counting import to_shared_memory
from parcount.system.cores import available_cores
from tests import remote
from tests.kernels.support import most_threads


@pytest.fixture(scope="module")
def processes() -> Iterator[pc.Processes]:
    with pc.Processes(2) as processes:
        yield processes


@pytest.fixture(scope="module")
def interpreters() -> Iterator[pc.Execution | None]:
    with nullcontext() if missing() else pc.Interpreters(3) as interpreters:
        yield interpreters


# In one of the tests' processes: its workers compile Numba's loops once.
ONE_POOL = pytest.param("processes", marks=pytest.mark.xdist_group("engine"))


@pytest.fixture(params=["serial", "one thread", "threads", ONE_POOL, "interpreters"])
def on(
    request: pytest.FixtureRequest, processes: pc.Processes, interpreters: pc.Execution | None, variant: str
) -> pc.Execution:
    """The executions; Numba's own threads are no more than there are cores, Python's may be."""
    if request.param == "interpreters":
        if interpreters is None or refusal(VARIANTS[variant].module):
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


class TestExact:
    @pytest.mark.parametrize("workload", WORKLOADS)
    def test_every_workload(self, workload: str, variant: str, on: pc.Execution) -> None:
        kernel = WORKLOADS[workload].kernels[variant]
        for size in (0, 1, 2, 7, 30_000):
            job = WORKLOADS[workload].make(size, 1)
            counts = run(job, kernel, on)
            assert np.array_equal(counts, job.exact())
            assert counts.dtype == np.int64

    @pytest.mark.parametrize("workload", ["bincount", "increment"])  # with tables of their own, and in place
    def test_again_and_with_a_clock_and_shared_memory(self, workload: str, variant: str, on: pc.Execution) -> None:
        kernel = WORKLOADS[workload].kernels[variant]
        job = to_shared_memory(WORKLOADS[workload].make(3001, 1))
        with on:
            for _ in range(5):
                job.reset()
                called = perf_counter()
                clock = Clock()
                assert np.array_equal(run(job, kernel, on, clock), job.exact())
                assert 0 < clock.seconds < perf_counter() - called


def test_workers_increment_shared_cells_in_place(processes: pc.Processes) -> None:
    job = to_shared_memory(WORKLOADS["increment"].make(30_000, 1))
    kernel = WORKLOADS["increment"].kernels["cython"]
    # What the workers return are the cells themselves: writing them back would hide that they were counted elsewhere.
    partials = processes.map(partial(count_part, kernel), job.split(2))
    assert all(np.shares_memory(cells, job.arrays[0]) for cells in partials)
    assert np.array_equal(job.arrays[0], job.original + 1)


class TestOwnThreads:
    def test_take_the_place_of_threads(self) -> None:
        assert run(TallyJob(9, bins=8), remote.spy, pc.Threads(5)).tolist() == [0, 0, 0, 0, 0, 1, 0, 0]

    def test_are_one_where_the_caller_works_alone(self) -> None:
        assert run(TallyJob(9, bins=8), remote.spy, pc.Serial()).tolist() == [0, 1, 0, 0, 0, 0, 0, 0]

    def test_are_one_in_each_process(self, processes: pc.Processes) -> None:
        assert run(TallyJob(9, bins=8), remote.spy, processes).tolist() == [0, 2, 0, 0, 0, 0, 0, 0]

    def test_a_clock_changes_nothing(self) -> None:
        assert run(TallyJob(9, bins=8), remote.spy, pc.Threads(5), Clock()).tolist() == [0, 0, 0, 0, 0, 1, 0, 0]


class TestErrors:
    """A part that fails fails the count: there are no counts of the rest."""

    @pytest.fixture(params=["serial", "threads", ONE_POOL])
    def on(self, request: pytest.FixtureRequest, processes: pc.Processes) -> pc.Execution:
        executions = {"serial": pc.Serial(), "threads": pc.Threads(2), "processes": processes}
        execution: pc.Execution = executions[request.param]
        return execution

    @pytest.mark.parametrize("position", [0, 999])
    @pytest.mark.parametrize("clock", [None, Clock()])
    def test_a_key_outside_anywhere(self, on: pc.Execution, clock: Clock | None, variant: str, position: int) -> None:
        keys = np.arange(1000) % 1024
        keys[position] = 1024
        job = bincount_job(keys, length=1024)
        with pytest.raises(ValueError, match="a key lies outside 0 … 1023"):
            run(job, WORKLOADS["bincount"].kernels[variant], on, clock)

    def test_a_worker_that_dies(self, processes: pc.Processes) -> None:
        with pytest.raises(pc.WorkerDied):
            run(TallyJob(10), remote.die, processes)


def test_threads_counting_at_once_do_not_disturb_each_other(variant: str) -> None:
    # Each worker counts jobs of all kinds, over and over, while the others do the same.
    jobs = [(name, WORKLOADS[name].make(5000, 7)) for name in WORKLOADS if name != "increment"]

    def work(_: int) -> bool:
        return all(
            np.array_equal(run(job, WORKLOADS[name].kernels[variant], pc.Serial()), job.exact())
            for _ in range(3 if variant == "python" else 20)
            for name, job in jobs
        )

    assert pc.Threads(4).together(work, range(4))[0] == [True] * 4


class TestParts:
    @pytest.mark.parametrize("on", [pc.Serial(), pc.Threads(3), pc.Processes(3), pc.Processes(2, threads=2)])
    @pytest.mark.parametrize("size", [0, 1, MIN_PART_SIZE, 12 * MIN_PART_SIZE, 1 << 40])
    @pytest.mark.parametrize("bins", [1, 1 << 10, 1 << 24])
    def test_each_is_worth_it(self, on: pc.Execution, size: int, bins: int) -> None:
        parts = number_of_parts(TallyJob(size, bins=bins), on)
        assert 1 <= parts <= on.concurrency * on.parts_per_worker
        if parts > on.concurrency:
            assert size // parts >= max(MIN_PART_SIZE, MIN_PART_SIZE_PER_BIN * bins)

    def test_are_no_more_than_the_elements(self) -> None:
        assert number_of_parts(TallyJob(5), pc.Threads(10)) == 5

    def test_large_jobs_are_cut_into_more_parts_for_processes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("parcount.engine.run.MIN_PART_SIZE", 1000)
        handed_out = []

        class Spying(pc.Processes):
            def _map(self, function: Callable[..., object], items: list[object], *more: object) -> list[object]:
                handed_out.append(len(items))
                return super()._map(function, items, *more)

        keys = np.arange(100_000, dtype=np.int32) % 7
        assert np.array_equal(pc.bincount(keys, on=Spying(2)), np.bincount(keys))
        assert np.array_equal(pc.histogram(keys, 7, on=Spying(2))[0], np.histogram(keys, 7)[0])
        assert np.array_equal(pc.tally(100_000, bins=8, on=Spying(2)), pc.tally(100_000, bins=8))
        assert handed_out == [8, 8, 8]


class TestThreads:
    def test_that_a_call_names_are_those_of_an_execution(self) -> None:
        used = set()

        def kernel(counts: np.ndarray, start: int, stop: int, seed: int) -> None:
            used.add(current_thread())

        with pc.Threads(2) as held:
            for on in (choose_execution(100, 2, None), pc.Threads(2), held):
                run(TallyJob(100), kernel, on, Clock())  # each worker takes one part
        assert len(used) == 2
        assert used <= set(live_threads())

    def test_with_an_initializer_are_the_callers_own(self) -> None:
        ready = local()
        on = pc.Threads(2, initializer=setattr, initargs=(ready, "yes", True))

        def kernel(counts: np.ndarray, *_: object) -> None:
            counts[0] = ready.yes

        assert run(TallyJob(100, bins=1), kernel, on).tolist() == [2]

    @pytest.mark.parametrize("threads", [10**8, 1 << 70])
    def test_are_no_more_than_an_input_can_use(self, threads: int) -> None:
        assert pc.bincount(np.arange(100), threads=threads).tolist() == [1] * 100
        assert pc.bincount(np.arange(100), on=pc.Threads(threads)).tolist() == [1] * 100
        assert usable_threads(threads) <= max(MAX_THREADS, available_cores())

    def test_see_the_callers_context(self) -> None:
        cells = np.full(1000, np.finfo(float).max)
        with np.errstate(over="raise"), pytest.raises(FloatingPointError):
            pc.increment(cells, cells.copy(), threads=3)
        with np.errstate(over="ignore"):
            pc.increment(cells, cells.copy(), threads=3)
        assert np.isinf(cells).all()


class Calls:
    """A profile function: the engine's and the kernels' functions that a call runs, by thread, in order."""

    def __init__(self) -> None:
        self.by_thread: dict[int, list[str]] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.startswith(("parcount.kernels", "parcount.engine.run")):
            name = frame.f_code.co_qualname
            if name == "count_part":  # profiles show no call of a compiled function
                kernel = frame.f_locals["kernel"]
                name += f" by {kernel.__module__}.{kernel.__qualname__}"
            self.by_thread.setdefault(get_ident(), []).append(name)

    def of(self, call: Callable[[], object]) -> tuple[list[str], list[str]]:
        """Those of the calling thread from `run` to the merged counts; those of the others, sorted."""
        self.by_thread.clear()
        sys.setprofile(self)
        try:
            call()
        finally:
            sys.setprofile(None)
        ours = self.by_thread.pop(get_ident())
        ours = ours[ours.index("run") :]
        merge = next(i for i, name in enumerate(ours) if name.endswith(".merge"))
        return ours[: merge + 1], sorted(chain.from_iterable(self.by_thread.values()))


LIBRARY = {
    "tally": (lambda job, **how: pc.tally(job.size, seed=job.seed, **how), "cython"),
    "bincount": (lambda job, **how: pc.bincount(job.arrays[0], **how), "cython"),
    "histogram": (lambda job, **how: pc.histogram(job.arrays[0], 100, (0, 1), **how), "cython"),
    "increment": (lambda job, threads: pc.increment(job.arrays[0], threads=threads), "numpy"),
}
"""What a user calls to count a study's job, and the variant of the cell that measures that."""

OF_THE_ENGINE = 2_200_000
"""More elements than calls have that the dispatcher hands to native threads."""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_study_measures_what_a_user_calls(workload: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    call, variant = LIBRARY[workload]
    job, kernel = WORKLOADS[workload].make(OF_THE_ENGINE, 1), WORKLOADS[workload].kernels[variant]
    calls = Calls()

    def profiled(execution: pc.Threads) -> pc.Execution:
        found = persistent_threads(execution)
        return pc.Threads(threads, initializer=sys.setprofile, initargs=(calls,)) if threads > 1 else found

    monkeypatch.setattr("parcount.engine.run.persistent_threads", profiled)
    user, users_threads = calls.of(lambda: call(job, threads=threads))
    study, studys_threads = calls.of(lambda: run(job, kernel, pc.Threads(threads), Clock()))
    assert user == study
    assert users_threads == studys_threads
    counted = [name for name in (user if threads == 1 else users_threads) if name.startswith("count_part by")]
    assert len(counted) == threads


@pytest.mark.parametrize("execution", [pc.Serial(), pc.Threads(2), pc.Processes(2)], ids=repr)
def test_a_clock_measures_the_cpu_time_of_the_workers(execution: pc.Execution) -> None:
    job = WORKLOADS["tally"].make(200_000)
    clock = Clock(cpu=True)
    counts = run(job, WORKLOADS["tally"].kernels["python"], execution, clock)
    assert np.array_equal(counts, job.exact())
    assert clock.cpu is not None
    assert 0 < clock.cpu <= 2 * clock.seconds + 0.1
    assert run(job, WORKLOADS["tally"].kernels["cython"], execution, unmeasured := Clock()) is not None
    assert unmeasured.cpu is None
