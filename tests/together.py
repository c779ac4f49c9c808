"""Threads that begin at one instant."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from sys import getswitchinterval, setswitchinterval
from threading import Barrier, Thread
from typing import Any

from tests.plain import TIME_LIMIT


@contextmanager
def frequent_switches() -> Iterator[None]:
    """Threads that take turns under the GIL do so as often as can be."""
    usual = getswitchinterval()
    setswitchinterval(1e-6)
    try:
        yield
    finally:
        setswitchinterval(usual)


def together(*functions: Callable[[], Any]) -> list[Any]:
    """What functions return, each in a thread of its own, all from one instant; or the first error that one raises."""
    barrier = Barrier(len(functions))
    results: list[Any] = [None] * len(functions)
    errors: list[BaseException] = []

    def run(position: int) -> None:
        try:
            barrier.wait(TIME_LIMIT)
            results[position] = functions[position]()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [Thread(target=run, args=(position,), daemon=True) for position in range(len(functions))]
    with frequent_switches():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIME_LIMIT)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    return results


def in_a_thread(function: Callable[[], Any]) -> Any:
    """What a function returns in a thread that ends with it."""
    (result,) = together(function)
    return result


def repeat(function: Callable[[], Any], times: int) -> Callable[[], None]:
    """A function that calls another so often."""

    def run() -> None:
        for _ in range(times):
            function()

    return run
