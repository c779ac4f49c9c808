"""Exceptions from workers."""

from __future__ import annotations

import operator
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any


class WorkerDied(RuntimeError):
    """A worker process died or exceeded the timeout, and its item has no retries left.

    Parameters
    ----------
    part : int or None
        The position of its item; None if it had not begun one.
    exitcode : int or None
        As `multiprocessing.Process.exitcode`: negative for a signal; None if the worker could not be started.
    tries : int
        The number of workers that have tried the item; for `together`, the number of times that all were tried.
    timeout : float or None
        The timeout in seconds, if the worker exceeded it.
    executor : str or None
        The type of the adopted executor. Executors do not report which item a worker had, nor its exit code: `part` is
        then the first item without a result, and `exitcode` is None.
    function : str or None
        The name of the function of a submitted call, which has no position: `part` is None.
    """

    def __init__(
        self,
        part: int | None,
        exitcode: int | None,
        tries: int = 1,
        timeout: float | None = None,
        executor: str | None = None,
        function: str | None = None,
    ) -> None:
        super().__init__(part, exitcode, tries, timeout, executor, function)
        self.part = part
        self.exitcode = exitcode
        self.tries = tries
        self.timeout = timeout
        self.executor = executor
        self.function = function

    def __str__(self) -> str:
        signalled = self.exitcode is not None and self.exitcode < 0
        if self.timeout is not None:
            how = f"was ended at the timeout of {self.timeout:g} s"
        elif signalled:
            how = f"was killed by {_signal(-(self.exitcode or 0))}"
        else:
            how = f"ended with exit code {self.exitcode}"
        tried = f", at the last of {self.tries} tries" if self.tries > 1 else ""
        if self.executor is not None:
            return f"the adopted {self.executor} lost a worker and returned no result for item {self.part}{tried}"
        if self.function is not None:
            return f"the worker that ran {self.function} {how}{tried}"
        if self.part is not None:
            return f"the worker that had item {self.part} {how}{tried}"
        if self.exitcode is None:
            text = "a worker could not be started: the fork server has ended"
            unguarded = sys.version_info >= (3, 14)  # there the fork server imports the main module too
        else:
            text = f"a worker {how} before its first item{tried}"
            unguarded = self.exitcode == 1  # as Python exits after an exception
        hint = '; under spawn and forkserver a script must start its processes below `if __name__ == "__main__":`'
        return text + hint * unguarded


class RemoteTraceback(Exception):
    """The cause of an exception from a worker: the worker's traceback, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


Dumps = Callable[[Any], bytes]
"""Pickles a value."""

Loads = Callable[[bytes], Any]
"""Unpickles a value."""

RoundTrip = Callable[[Any], Any]
"""Pickles a value and unpickles it."""


@dataclass(frozen=True)
class Failure:
    """An exception on its way to the caller."""

    data: bytes  # its pickle
    quoted: str  # its type and text
    traceback: str

    @classmethod
    def of(cls, error: BaseException, dumps: Dumps, loads: Loads) -> Failure:
        """Pickle an exception, which loses its traceback, cause and context.

        If it does not survive that, it is made anew, without its `__init__`, of what can be pickled in it. If its type
        cannot be pickled either, it is replaced by a `RuntimeError` with its text. Groups keep their structure.
        """
        text = "".join(traceback.format_exception(error))
        sent = _portable(error, lambda value: loads(dumps(value)))
        return cls(dumps(sent), _quoted(error), text)

    def error(self, loads: Loads) -> BaseException:
        """Return the exception; its cause is the worker's traceback as text."""
        try:
            error: BaseException = loads(self.data)
        except Exception as why:  # noqa: BLE001 - such as a module that only the worker can import
            error = RuntimeError(self.quoted)
            error.add_note(f"This exception cannot be unpickled here: {why!r}")
        error.__cause__ = RemoteTraceback(self.traceback)
        return error


def _portable(error: BaseException, round_trip: RoundTrip) -> Any:
    # Dask makes tracebacks picklable; their frames would keep arrays alive at the caller.
    error.__traceback__ = error.__cause__ = error.__context__ = None
    members = list(error.exceptions) if isinstance(error, BaseExceptionGroup) else []
    sent = [_portable(member, round_trip) for member in members]
    shown = _shown(error)
    usable = None
    candidates: list[Callable[[], Any]] = [
        partial(_Rebuilt.of, error, sent, round_trip),
        partial(_Rebuilt.of, error, sent, round_trip, replace=True),
    ]
    if all(map(operator.is_, members, sent)):
        candidates.insert(0, lambda: error)
    for make in candidates:
        with suppress(Exception):  # an exception's own methods may raise anything
            candidate = make()
            arrived = round_trip(candidate)
            if type(arrived) is type(error):
                if _shown(arrived) == shown:
                    return candidate
                if usable is None and _shown(arrived) is not None:
                    usable = candidate
    if usable is not None:
        return usable
    state = {"__notes__": list(map(str, getattr(error, "__notes__", ())))}
    if isinstance(error, BaseExceptionGroup):
        return _Rebuilt(BaseExceptionGroup, BaseExceptionGroup, (_quoted(error), sent), state)
    return _Rebuilt(RuntimeError, RuntimeError, (_quoted(error),), state)


@dataclass(frozen=True)
class _Rebuilt:
    """Unpickles as an exception that is made without its own `__init__`."""

    kind: type[BaseException]
    base: type[BaseException]  # of Python; it makes it
    arguments: tuple[Any, ...]
    state: dict[str, Any]

    @classmethod
    def of(cls, error: BaseException, members: list[Any], round_trip: RoundTrip, replace: bool = False) -> _Rebuilt:
        """Take what can be pickled of an exception; `replace` replaces other attributes rather than leave them out."""
        base = next(kind for kind in type(error).__mro__ if kind.__module__ == "builtins")
        assert issubclass(base, BaseException)
        reduced: Any = base.__reduce__(error)
        arguments, attributes = reduced[1], (reduced[2] if len(reduced) > 2 else None) or {}
        if members:
            arguments = (arguments[0], members)
        state = {}
        for key, value in attributes.items():
            sent = _StandIn.if_needed(value, round_trip)
            if replace or sent is value:
                state[key] = sent
        return cls(type(error), base, tuple(_StandIn.if_needed(one, round_trip) for one in arguments), state)

    def __reduce__(self) -> Any:
        return _rebuild, (self.kind, self.base, self.arguments, self.state)


def _rebuild(
    kind: type[BaseException], base: type[BaseException], arguments: tuple[Any, ...], state: dict[str, Any]
) -> BaseException:
    error = base.__new__(kind, *arguments)
    base.__init__(error, *arguments)
    for key, value in state.items():
        with suppress(Exception):  # a property's setter may raise anything
            setattr(error, key, value)
    return error


@dataclass(frozen=True, repr=False)
class _StandIn:
    """Has the texts of an object that cannot be pickled."""

    text: str
    representation: str

    @classmethod
    def if_needed(cls, value: Any, round_trip: RoundTrip) -> Any:
        """Return the object itself if it can be pickled."""
        try:
            round_trip(value)
        except Exception:  # noqa: BLE001 - an object's own __reduce__ may raise anything
            return cls(str(value), repr(value))
        return value

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.representation


def _quoted(error: BaseException) -> str:
    shown = error.message if isinstance(error, BaseExceptionGroup) else _shown(error)
    return type(error).__name__ if shown is None else f"{type(error).__name__}: {shown}"


def _shown(error: BaseException) -> str | None:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - its own __str__ may raise anything
        return None


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
