"""Ctrl-C ends the compiled loops: in the main thread, and in worker threads whose caller is interrupted.

A loop that does not look for signals runs to its end, and only then is `KeyboardInterrupt` raised. So what tells is how
much was counted, not how long it took.
"""

import mmap
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

import parcount as pc
from parcount._native import bincount, distinct, histogram, increment, tally
from parcount._native.cancellation import Cancellable, Cancelled, raise_if_cancelled
from parcount._native.counters import resolve_indices
from tests.plain import TIME_LIMIT

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="no signals to a thread"),
    pytest.mark.thread_unsafe(reason="signals go to the main thread"),
    pytest.mark.xdist_group("large arrays"),
]

BYTES = 1 << 30
"""Enough for 0.1 s of every loop. They are zeros that are only read, which take no memory."""

TRIES = 5
"""On a busy machine, the thread that interrupts may run only after the loop has ended."""


@pytest.fixture(scope="module")
def zeros() -> Iterator[Any]:
    yield np.frombuffer(mmap.mmap(-1, BYTES, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ), np.uint8)
    ones.cache_clear()


@pytest.fixture
def interrupter() -> Iterator[Callable[[], None]]:
    """Call it just before a loop: Ctrl-C comes while the loop has released the GIL."""
    pc.increment(pc.tally(1, threads=2))  # imports modules: that releases the GIL, and if interrupted leaves files open
    threads = []

    def begin() -> None:
        begun = threading.Event()

        def interrupt() -> None:
            assert begun.wait(TIME_LIMIT)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        threads.append(threading.Thread(target=interrupt))
        threads[-1].start()
        begun.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(TIME_LIMIT)
    yield begin
    sys.setswitchinterval(interval)
    for thread in threads:
        thread.join()


EDGES = {"uniform": np.linspace(-1, 1, 101), "uneven": np.array([-1, 0.25, 0.5, 2])}


def count(method: str | None, dtype: str, zeros: Any) -> tuple[Callable[[], object], Callable[[], Any]]:
    counts, keys = np.zeros(2000 if dtype == "int64" else 256, np.int64), zeros.view(dtype)
    return lambda: bincount.fill(counts, keys, method), lambda: counts.sum() / len(keys)


@cache
def ones(size: int) -> Any:
    """Half a gigabyte, which takes a second to fill on a busy machine."""
    return np.ones(size)


def weigh(bins: int, zeros: Any) -> tuple[Callable[[], object], Callable[[], Any]]:
    sums, keys = np.zeros(bins), zeros.view(np.int64)
    keys = keys[: len(keys) // 2]
    weights = ones(len(keys))
    return lambda: bincount.fill_weighted(sums, keys, weights), lambda: sums.sum() / len(keys)


def bins(edges: str, zeros: Any) -> tuple[Callable[[], object], Callable[[], Any]]:
    search, values = histogram.BinSearch(EDGES[edges]), zeros.view(np.float64)
    counts = np.zeros(search.bins, np.int64)
    return lambda: search.count(counts, values), lambda: counts.sum() / len(values)


def joint(zeros: Any) -> tuple[Callable[[], object], Callable[[], Any]]:
    search, values = histogram.BinSearch(EDGES["uneven"]), zeros.view(np.float64)
    counts = np.zeros(25, np.int64)
    return lambda: histogram.count_joint(counts, [search] * 2, [values] * 2), lambda: counts.sum() / len(values)


def table(kind: str, zeros: Any) -> tuple[Callable[[], object], Callable[[], Any]]:
    keys = zeros.view(np.int64)
    made: Any = distinct.HashTable() if kind == "hash" else distinct.RangeTable(0, 10)
    return lambda: made.add(keys), lambda: made.result()[1].sum() / len(keys)


def pseudo_random(_: Any) -> tuple[Callable[[], object], Callable[[], Any]]:
    counts, size = np.zeros(256, np.int64), 1 << 28
    return lambda: tally.released(counts, 0, size, 1), lambda: counts.sum() / size


def cells(_: Any) -> tuple[Callable[[], object], Callable[[], Any]]:
    array = np.zeros(1 << 26, np.int64)
    return lambda: increment.released(array), lambda: array.mean()


def strided_cells(_: Any) -> tuple[Callable[[], object], Callable[[], Any]]:
    array = np.zeros((1 << 14, 1 << 14), np.int8)
    return lambda: pc.increment(array[:, ::2]), lambda: array[-1, 0]


def counter_cells(method: str, zeros: Any) -> tuple[Callable[[], object], Callable[[], Any]]:
    """An interrupted `CounterArray` method leaves the cells as they were."""
    size = 1 << 25
    if method == "read":
        one, out = pc.CounterArray(1), np.zeros(2 * size, np.int64)
        one.add(0, 1)
        return lambda: one._read(out, 0, 0), lambda: out[-1]
    if method == "indices":
        keys, out = np.ones(2 * size, np.uint8), np.zeros(2 * size, np.int64)
        return lambda: resolve_indices(keys, out, 2), lambda: out[-1]
    if method == "add each":
        many = pc.CounterArray(4)
        return lambda: many._add_all(zeros.view(np.int64), None, 1), lambda: many[0] / BYTES
    many, ones = pc.CounterArray(size), np.ones(size, np.int64)
    if method == "add counts":
        return lambda: many._add_all(None, ones, 1), lambda: many.values().mean()
    many._add_all(None, ones, 1)
    return lambda: many._take(ones), lambda: 1 - many.values().mean()


COUNTER_METHODS = ["read", "take", "indices", "add each", "add counts"]
LOOPS: dict[str, Callable[[Any], tuple[Callable[[], object], Callable[[], Any]]]] = {
    **{method: partial(count, method, "int64") for method in bincount.METHODS},
    **{method: partial(count, method, "uint8") for method in bincount.BYTE_METHODS},
    "weights, several tables": partial(weigh, 100),
    "weights, one table": partial(weigh, 2000),
    "uniform edges": partial(bins, "uniform"),
    "uneven edges": partial(bins, "uneven"),
    "two axes": joint,
    "hash table": partial(table, "hash"),
    "range table": partial(table, "range"),
    "tally": pseudo_random,
    "increment": cells,
    "increment, strided": strided_cells,
    **{f"counters, {method}": partial(counter_cells, method) for method in COUNTER_METHODS},
}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_in_the_main_thread_ends(loop: str, zeros: Any, interrupter: Callable[[], None]) -> None:
    for _ in range(TRIES):
        run, share = LOOPS[loop](zeros)
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - nothing else may come between
            interrupter()
            run()
        if share() < 1:
            return
    pytest.fail("the loop ran to its end")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_whose_caller_is_interrupted_ends(loop: str, zeros: Any) -> None:
    run, share = LOOPS[loop](zeros)
    begun = threading.Event()

    def work(_: None) -> None:
        begun.set()
        run()

    call = Cancellable(work)
    raised: list[BaseException] = []

    def catch() -> None:
        try:
            call(None)
        except BaseException as error:  # noqa: BLE001
            raised.append(error)

    thread = threading.Thread(target=catch)
    thread.start()
    begun.wait(TIME_LIMIT)
    call.cancel()
    thread.join()
    assert [type(error) for error in raised] == [Cancelled]
    assert share() < 1
    raise_if_cancelled()  # this thread's calls go on


@pytest.mark.timeout(60)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_long_call_ends(threads: int, interrupter: Callable[[], None]) -> None:
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - nothing else may come between
        interrupter()
        pc.tally(10**10, threads=threads)
    assert pc.tally(1000, threads=threads).sum() == 1000


@pytest.mark.timeout(60)
def test_a_stream_of_long_items_ends(interrupter: Callable[[], None]) -> None:
    with pc.Threads(2) as pool, pytest.raises(KeyboardInterrupt):  # noqa: PT012 - nothing else may come between
        interrupter()
        list(pool.imap(pc.tally, iter([10**10] * 3)))


def test_calls_within_calls_have_flags_of_their_own() -> None:
    inner = Cancellable(lambda _: raise_if_cancelled())
    inner.cancel()

    def work(_: None) -> None:
        with pytest.raises(Cancelled):
            inner(None)
        raise_if_cancelled()

    Cancellable(work)(None)


def test_a_call_within_a_cancelled_call_is_cancelled() -> None:
    inner: list[Cancellable] = []
    Cancellable(lambda _: inner.append(Cancellable(lambda _: raise_if_cancelled())))(None)  # whose flag is kept
    inner.pop()(None)

    def work(_: None) -> None:
        call = Cancellable(lambda _: raise_if_cancelled())
        outer.cancel()
        with pytest.raises(Cancelled):
            call(None)

    outer = Cancellable(work)
    outer(None)
