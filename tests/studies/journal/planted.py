"""Methods that do to records what bad ones do: worker processes import them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from parcount.studies.journal.methods import METHODS, Method, Target, Writer
from parcount.studies.journal.records import Faults

PERIOD = 5
"""One of so many records is spoilt."""


def planted(spoil: Callable[[Sequence[bytes]], bytes]) -> Method:
    """A method that writes records as a function spoils them."""
    return replace(METHODS["os.write"], convert=Spoilt(spoil), what="planted")


class Spoilt:
    def __init__(self, spoil: Callable[[Sequence[bytes]], bytes]) -> None:
        self.spoil = spoil

    def __call__(self, records: Sequence[bytes]) -> list[bytes]:
        groups = [records[start : start + PERIOD] for start in range(0, len(records), PERIOD)]
        return [self.spoil(group) for group in groups]


def lose(records: Sequence[bytes]) -> bytes:
    return b"".join(records[1:])


def tear(records: Sequence[bytes]) -> bytes:
    """Write the first half of a record, another, and then the second half."""
    first, second, *others = records
    half = len(first) // 2
    return first[:half] + second + first[half:] + b"".join(others)


def duplicate(records: Sequence[bytes]) -> bytes:
    return records[0] + b"".join(records)


def reorder(records: Sequence[bytes]) -> bytes:
    first, second, *others = records
    return second + first + b"".join(others)


WRONG = {
    lose: Faults(lost=1, torn=0, duplicated=0, reordered=0),
    tear: Faults(lost=2, torn=2, duplicated=0, reordered=0),
    duplicate: Faults(lost=0, torn=0, duplicated=1, reordered=0),
    reorder: Faults(lost=0, torn=0, duplicated=0, reordered=1),
}
"""What each does to `PERIOD` records."""


@contextmanager
def failing_writer(_: Target, __: Any) -> Iterator[Writer]:
    def fail(_: bytes) -> None:
        raise OSError("no space")

    yield Writer(fail, int)


@contextmanager
def dying_writer(_: Target, __: Any) -> Iterator[Writer]:
    yield Writer(lambda _: os.kill(os.getpid(), signal.SIGKILL), int)


FAILING = replace(METHODS["os.write"], writer=failing_writer)
DYING = replace(METHODS["os.write"], writer=dying_writer, executions=("processes",))
