"""Exceptions from workers."""

from __future__ import annotations

import pickle
import signal
import sys
import traceback


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
    """

    def __init__(
        self,
        part: int | None,
        exitcode: int | None,
        tries: int = 1,
        timeout: float | None = None,
        executor: str | None = None,
    ) -> None:
        super().__init__(part, exitcode, tries, timeout, executor)
        self.part = part
        self.exitcode = exitcode
        self.tries = tries
        self.timeout = timeout
        self.executor = executor

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


def portable(error: BaseException) -> tuple[BaseException, str]:
    """Return an exception that can be pickled, and the text of its traceback.

    An exception that cannot be pickled and unpickled is replaced by a `RuntimeError` with its text.
    """
    text = "".join(traceback.format_exception(error))
    # Dask makes tracebacks picklable; their frames would keep arrays alive at the caller.
    error.__traceback__ = error.__cause__ = error.__context__ = None
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - an exception's own __reduce__ or __init__ may raise anything
        return RuntimeError(f"{type(error).__name__}: {error}"), text
    return error, text


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
