"""What can go wrong in a worker, as the caller sees it."""

from __future__ import annotations

import pickle
import signal
import traceback


class WorkerDied(RuntimeError):
    """A worker process ended without an answer.

    Parameters
    ----------
    part : int or None
        The position, among the items, of the one it had; None if it had not begun any.
    exitcode : int or None
        As `multiprocessing.Process.exitcode`: negative for a signal.
    """

    def __init__(self, part: int | None, exitcode: int | None) -> None:
        super().__init__(part, exitcode)
        self.part = part
        self.exitcode = exitcode

    def __str__(self) -> str:
        if self.exitcode is not None and self.exitcode < 0:
            try:
                how = f"was killed by {signal.Signals(-self.exitcode).name}"
            except ValueError:
                how = f"was killed by signal {-self.exitcode}"
        else:
            how = f"ended with exit code {self.exitcode}"
        if self.part is None:
            return (
                f"a worker {how} before its first item; under spawn and forkserver a script must start its "
                'processes below `if __name__ == "__main__":`'
            )
        return f"the worker that had item {self.part} {how}"


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
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - an exception's own __reduce__ or __init__ may raise anything
        return RuntimeError(f"{type(error).__name__}: {error}"), text
    return error, text
