"""The functions that `Interpreters` calls in its interpreters.

This module imports nothing that needs NumPy, which may not load in a subinterpreter.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import accumulate
from typing import Any

from parcount.execution import pickling
from parcount.execution.errors import Failure
from parcount.execution.pickling import Pickler, Unpickler
from parcount.execution.stream import Function
from parcount.execution.unpicklable import Nowhere, Unsent, locate

Answer = tuple[bool, bytes]
"""Whether the call failed; the pickled result or `Failure`."""

_main: dict[str, Any] = {}
_held: list[tuple[Function, Any]] = []


def prepare(main: bytes) -> None:
    """Store the arguments of `multiprocessing.spawn.prepare`, which loads the caller's main module when needed."""
    _main.update(_loads(main))
    pickling.load_main = _load_main


def run(message: bytes, buffers: Sequence[memoryview]) -> Answer:
    """Apply a function to an item."""

    def apply() -> Any:
        function, item = _loads(message, buffers)
        return function(item)

    return _answer(apply)


def hold(message: bytes, buffers: Sequence[memoryview]) -> Answer:
    """Receive a function and an item for `go`."""
    _held.clear()
    return _answer(lambda: _held.append(_loads(message, buffers)))


def go() -> Answer:
    """Apply the function to the item, both received by `hold`."""

    def apply() -> Any:
        function, item = _held.pop()
        return function(item)

    return _answer(apply)


def load(module: str) -> None:
    """Import a module."""
    import_module(module)


def _answer(action: Callable[[], Any]) -> Answer:
    try:
        result = action()
        try:
            return False, _dumps(result)
        except Exception as error:  # an object's own __reduce__ may raise anything
            raise Unsent(True, locate(result, error, Pickler(Nowhere(), to_caller=True))) from error
    except BaseException as error:  # noqa: BLE001 - any exception is reported to the caller
        return True, _dumps(Failure.of(_explained(error), _dumps, _loads))


def _dumps(value: Any) -> bytes:
    file = io.BytesIO()
    Pickler(file, to_caller=True).dump(value)
    return file.getvalue()


def _load_main() -> None:
    """Import the caller's main module, as a spawned process does.

    A module that starts workers outside ``if __name__ == "__main__":`` raises, as it does there.
    """
    from multiprocessing import process, spawn

    if not _main:
        return
    data = dict(_main)
    _main.clear()
    this = process.current_process()
    vars(this)["_inheriting"] = True
    try:
        spawn.prepare(data)
    finally:
        del vars(this)["_inheriting"]


def _loads(message: bytes, buffers: Sequence[memoryview] = ()) -> Any:
    return Unpickler(io.BytesIO(message), buffers=buffers).load()


_REFUSED = re.compile(r"module (\S+) does not support loading in subinterpreters")
"""The message of CPython for a compiled module that does not declare support for subinterpreters."""


def _explained(error: BaseException) -> BaseException:
    """Return `error`, or an ImportError that names the module if it does not load in a subinterpreter.

    Packages raise other exceptions then, such as advice on repairing their installation.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ImportError) and (refused := _REFUSED.fullmatch(str(cause))):
            break
        cause = cause.__cause__ or cause.__context__
    else:
        return error
    # The outermost package that has not been imported: users know its name.
    packages = list(accumulate(refused[1].split("."), "{}.{}".format))
    missing = next((package for package in packages if package not in sys.modules), packages[-1])
    explained = ImportError(f"{missing} cannot be imported in a subinterpreter: {cause}", name=missing)
    explained.__cause__ = error
    return explained
