"""What runs in an interpreter of `Interpreters`: take an item, apply the function, answer.

Of this package only what needs no NumPy is imported here, for that may not load in such an interpreter.
"""

from __future__ import annotations

import io
import pickle
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import accumulate
from typing import Any

from parcount.execution.errors import portable

Answer = tuple[bool, bytes]
"""Whether it failed; and pickled, what came of it, or the error and its traceback's text."""

_main: dict[str, Any] = {}
_held: list[tuple[Callable[[Any], Any], Any]] = []


def prepare(main: bytes) -> None:
    """Keep what `multiprocessing.spawn.prepare` takes to load the caller's main module, until something is from it."""
    _main.update(pickle.loads(main))


def set_up(message: bytes, buffers: Sequence[memoryview]) -> Answer:
    """TaskStream the initializer."""

    def initialize() -> None:
        initializer, arguments = _loads(message, buffers)
        initializer(*arguments)

    return _answer(initialize)


def run(message: bytes, buffers: Sequence[memoryview]) -> Answer:
    """Apply a function to an item."""

    def apply() -> Any:
        function, item = _loads(message, buffers)
        return function(item)

    return _answer(apply)


def hold(message: bytes, buffers: Sequence[memoryview]) -> Answer:
    """Take a function and an item, and do nothing with them before `go`."""
    _held.clear()
    return _answer(lambda: _held.append(_loads(message, buffers)))


def go() -> Answer:
    """Apply the function to the item that are held."""

    def apply() -> Any:
        function, item = _held.pop()
        return function(item)

    return _answer(apply)


def load(module: str) -> None:
    """Import a module, to see whether that works."""
    import_module(module)


def _answer(action: Callable[[], Any]) -> Answer:
    try:
        return False, pickle.dumps(action(), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is who must know
        return True, pickle.dumps(portable(_explained(error)), pickle.HIGHEST_PROTOCOL)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in ("__main__", "__mp_main__") and _main:
            _load_main()
        return super().find_class(module, name)


def _load_main() -> None:
    """Import the caller's main module, as a spawned process does. Started meanwhile, workers would start workers."""
    from multiprocessing import process, spawn

    data = dict(_main)
    _main.clear()
    this = process.current_process()
    vars(this)["_inheriting"] = True
    try:
        spawn.prepare(data)
    finally:
        del vars(this)["_inheriting"]


def _loads(message: bytes, buffers: Sequence[memoryview]) -> Any:
    return _Unpickler(io.BytesIO(message), buffers=buffers).load()


_REFUSED = re.compile(r"module (\S+) does not support loading in subinterpreters")
"""What CPython says of a compiled module that has not declared itself ready for several interpreters."""


def _explained(error: BaseException) -> BaseException:
    """`error`; or if it comes of a module that does not load here, one that says so first.

    Packages tell their users how to mend their installation where one of their modules does not load.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ImportError) and (refused := _REFUSED.fullmatch(str(cause))):
            break
        cause = cause.__cause__ or cause.__context__
    else:
        return error
    # What could not be imported is the outermost package that is still missing: its name is the one that users know.
    packages = list(accumulate(refused[1].split("."), "{}.{}".format))
    missing = next((package for package in packages if package not in sys.modules), packages[-1])
    explained = ImportError(f"{missing} cannot be imported in an interpreter of its own: {cause}", name=missing)
    explained.__cause__ = error
    return explained
