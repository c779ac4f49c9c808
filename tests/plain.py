"""Functions that tests send to workers of any kind: this module imports no NumPy, which interpreters cannot."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from threading import Lock
from typing import Any, NoReturn

TIME_LIMIT = 30.0
"""Seconds after which a wait for another worker is given up: a failure, not a way to synchronise."""


def until(condition: Callable[[], Any], what: str, limit: float = TIME_LIMIT) -> None:
    """Wait for what other processes do to shared memory, which can only be polled."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.001)


def double(x: Any) -> Any:
    return x * 2


class Peculiar(Exception):
    """An exception with more to it than a message."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message, code)
        self.message = message
        self.code = code


def fail_on_odd(x: int) -> int:
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


def fail_peculiarly(x: int) -> NoReturn:
    raise Peculiar("no such thing", 42)


def end_of_file(x: int) -> NoReturn:
    raise EOFError("nothing left to read")


@dataclass(frozen=True)
class Meeting:
    """Called with its number, each guest waits until all the others are there too."""

    present: Any

    def __call__(self, guest: int) -> int:
        self.present[guest] += 1
        until(lambda: all(self.present), f"guest {guest} waited for the others in vain: {list(self.present)}")
        return guest


@dataclass(frozen=True)
class FailInReverse:
    """Item i fails once all later ones have."""

    failed: Any

    def __call__(self, item: int) -> NoReturn:
        until(lambda: all(self.failed[item + 1 :]), "the later items did not fail")
        self.failed[item] = 1
        raise ValueError(f"item {item}")


def count_up(a: Any) -> None:
    for i in range(len(a)):
        a[i] += 1


def first(a: Any) -> int:
    return int(a[0])


@dataclass(frozen=True)
class Rally:
    """Two players, 0 and 1, play a ball. Who waits for it runs Python code, and gives its GIL to nobody."""

    ball: Any

    def __call__(self, player: int) -> int:
        sys.setswitchinterval(TIME_LIMIT)
        deadline = time.monotonic() + TIME_LIMIT / 2
        for _ in range(50):
            while self.ball[0] != player:
                if time.monotonic() > deadline:
                    raise TimeoutError("the other player never had the GIL")
            self.ball[0] = 1 - player
        return player


def unpack(letter: Any) -> Any:
    """The memory deep in an item."""
    return letter["views"][0].tolist()


class Lost(Exception):
    """An exception that does not pickle."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = Lock()


def fail_unpicklably(x: str) -> NoReturn:
    raise Lost(x)


def unpicklable_result(x: Any) -> Any:
    return Lock()


def share(_: object) -> tuple[int, int]:
    """The share of the cores that a worker has, as the class `Share`."""
    result: tuple[int, int] = import_module("parcount.system.cores").current_share()
    return result


def load(module: str) -> None:
    import_module(module)


def is_loaded(module: str) -> bool:
    return module in sys.modules


KEPT: list[Any] = []


def keep(x: Any) -> int:
    """Hold on to an item past the call."""
    KEPT.append(x)
    return len(KEPT)


class RefusesToArrive:
    def __reduce__(self) -> Any:
        return refuse, ()


def refuse() -> NoReturn:
    raise LookupError("this item cannot be unpickled")


def fail_to_set_up(message: str) -> NoReturn:
    raise LookupError(message)


def collect(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def wait_for(gate: Any, number: int) -> int:
    """Wait until a cell is set, which all processes see."""
    until(lambda: gate[number], f"gate {number} stayed closed")
    return number


@dataclass(frozen=True)
class WaitFor:
    gate: Any

    def __call__(self, number: int) -> int:
        return wait_for(self.gate, number)


@dataclass(frozen=True)
class FailOn:
    victim: int

    def __call__(self, item: int) -> int:
        if item == self.victim:
            raise LookupError("the function failed")
        return item
