"""What can go wrong in a worker, as the caller sees it."""

from __future__ import annotations

import pickle
import signal
import sys
import traceback


class WorkerDied(RuntimeError):
    """A worker process ended without an answer, or took too long, as often as its item could be tried.

    Parameters
    ----------
    part : int or None
        The position, among the items, of the one it had; None if it had not begun any.
    exitcode : int or None
        As `multiprocessing.Process.exitcode`: negative for a signal; None if it could not even be started.
    tries : int
        How many workers have had that item; of `together`, how often all items were tried.
    timeout : float or None
        The seconds that it was allowed, if it was ended for having taken longer.
    executor : str or None
        The kind of the adopted executor whose worker it was. Such a one does not tell which item the worker had, nor
        how it ended: `part` is then the first that was asked for and has no answer, and `exitcode` is None.
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
            return f"the adopted {self.executor} has lost a worker, and has no answer to item {self.part}{tried}"
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
    """The cause of an exception that came from a worker process: its traceback there, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


def portable(error: BaseException) -> tuple[BaseException, str]:
    """An exception and its traceback's text, in a form that pickles.

    An exception that does not survive pickling is replaced by a `RuntimeError` that quotes it.
    """
    text = "".join(traceback.format_exception(error))
    # Where dask has been imported these pickle too, and come back as frames that keep arrays until they are collected.
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
