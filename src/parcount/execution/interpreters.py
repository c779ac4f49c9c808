"""The execution `Interpreters`: subinterpreters of this process, each with its own GIL (PEP 684, PEP 734).

`concurrent.futures.InterpreterPoolExecutor` is not used because it cannot start all items at the same time, loses
exceptions that cannot be pickled, and does not report which module could not be imported.
"""

from __future__ import annotations

import copyreg
import io
import pickle
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from platform import python_version
from threading import local
from typing import Any
from weakref import finalize

from parcount.execution import interpreter_worker
from parcount.execution.base import Close
from parcount.execution.pickling import (
    ByValue,
    Pickler,
    hide_missing_main_file,
    make_picklable,
    prepare_initializer,
)
from parcount.execution.pool import Pool
from parcount.execution.stream import Function
from parcount.execution.unpicklable import Nowhere, Unsent, locate
from parcount.system.cores import set_default_share

Classes = dict[type, ByValue]
"""The pickles of classes, for all messages of a call."""

interpreters: Any
try:
    interpreters = import_module("concurrent.interpreters")
except ImportError:
    interpreters = None


class Interpreters(Pool):
    """`workers` subinterpreters, each in a thread of this process; CPython 3.14 or newer.

    Each interpreter has its own GIL, so Python code runs on all cores, and its own modules; it shares no Python object
    with the caller. The function, the items and the results must be picklable. Functions and classes that workers
    cannot import (lambdas, nested ones, those of a notebook) are sent by value if cloudpickle is installed. A
    `memoryview` in an item is sent without a copy: workers write into the caller's memory.

    A compiled module must declare support for subinterpreters. NumPy 2.4 does not: a function whose module imports it
    cannot be called, nor an array be sent. The call raises an `ImportError` that names the module.

    Parameters
    ----------
    workers : int, optional
        The number of interpreters; all available cores by default.
    initializer : callable, optional
        Called in each interpreter before its first item. An exception in it ends every call.
    initargs : tuple, optional
        The arguments of the initializer.

    Raises
    ------
    NotImplementedError
        If this Python has no ``concurrent.interpreters``.
    TypeError
        If `workers` is not an integer, or `initializer` is not callable. From a call: if the function, an item, a
        result or the initializer cannot be pickled; the message names the object in it that cannot, and why.
    ValueError
        If `workers` is less than one.
    ImportError
        From a call: if an interpreter cannot import a module that the function or an item needs.

    Notes
    -----
    An exception ends the call after the items that have been started; the others are dropped. A crash of an
    interpreter ends this process.

    As for processes, a script that sends its own functions must do so below ``if __name__ == "__main__":``.

    Examples
    --------
    >>> import parcount as pc
    >>> with pc.Interpreters(2) as interpreters:  # doctest: +SKIP
    ...     interpreters.map(abs, [-1, -2, 3])
    [1, 2, 3]
    """

    name = "interpreters"
    parts_per_worker = 4
    supports_numpy = False

    def __init__(
        self,
        workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        if reason := missing():
            raise NotImplementedError(reason)
        super().__init__(workers, initializer=initializer, initargs=initargs)
        self._own = local()
        self._started: list[Any] = []
        finalize(self, _end, self._started)  # for a `with` block or a generator that has not ended when Python exits

    def _open(self) -> None:
        from multiprocessing import spawn

        with hide_missing_main_file():
            data = spawn.get_preparation_data("parcount")
        self._path = data["sys_path"]
        self._main = pickle.dumps(
            {key: data[key] for key in ("init_main_from_name", "init_main_from_path") if key in data}
        )
        self._setup = None
        if self._initializer is not None:
            self._setup = _dumps(prepare_initializer(self._initializer, self._initargs, _Pickler))
        super()._open()

    def _detach(self) -> Close:
        end_threads, started = super()._detach(), self._started[:]
        self._started.clear()

        def close() -> None:
            end_threads()
            _end(started)

        return close

    def _set_up(self) -> None:
        interpreter = interpreters.create()
        self._started.append(interpreter)
        self._own.call = interpreter.call
        interpreter.exec(f"import sys; sys.path[:] = {self._path!r}")
        interpreter.call(set_default_share, self._share.part(next(self._numbers), self.workers))
        interpreter.call(interpreter_worker.prepare, self._main)
        if self._setup is not None:
            _result(interpreter.call(interpreter_worker.run, *self._setup))

    def _prepare(self, function: Function, items: Iterable[Any]) -> Function:
        # Items for running workers are checked when they are sent.
        ready: Function = make_picklable(function, () if self._entered else items, _Pickler)
        return ready

    def _work(self, function: Function) -> Function:
        classes: Classes = {}
        return lambda item: _result(self._caller()(interpreter_worker.run, *_task(function, item, classes)))

    def _hold(self, function: Function) -> Callable[[Any], Callable[[], Any]]:
        classes: Classes = {}

        def hold(item: Any) -> Callable[[], Any]:
            call = self._caller()
            _result(call(interpreter_worker.hold, *_task(function, item, classes)))
            return lambda: _result(call(interpreter_worker.go))

        return hold

    def _translate(self, position: int, error: BaseException) -> None:
        if isinstance(error, Unsent):
            raise error.of(position)

    def _caller(self) -> Callable[..., interpreter_worker.Answer]:
        """Return the method that calls a function in the interpreter of this thread."""
        self._check_set_up()
        call: Callable[..., interpreter_worker.Answer] = self._own.call
        return call


def _end(started: list[Any]) -> None:
    while started:
        started.pop().close()


def missing() -> str | None:
    """Why `Interpreters` does not work here, or None if it does."""
    if interpreters is None:
        return f"Interpreters requires CPython 3.14 or newer; this is {python_version()}"
    return None


@cache
def refusal(module: str) -> str | None:
    """Import `module` in a subinterpreter; return the message of the exception, or None."""
    try:
        Interpreters(1).map(interpreter_worker.load, [module])
    except Exception as error:  # noqa: BLE001 - a module may raise anything
        return str(error)
    return None


class _Pickler(Pickler):
    """Leaves the memory of memoryviews and arrays where it is."""

    def __init__(self, file: Any, *, forked: bool = False, classes: Classes | None = None) -> None:
        self.buffers: list[pickle.PickleBuffer] = []
        super().__init__(file, classes=classes, buffer_callback=self.buffers.append)
        self.dispatch_table = {**copyreg.dispatch_table, memoryview: _reduce}


def _dumps(value: Any, classes: Classes | None = None) -> tuple[bytes, tuple[memoryview, ...]]:
    """Pickle `value`; return the pickle, and the memory of its memoryviews and arrays, which is not copied."""
    file = io.BytesIO()
    pickler = _Pickler(file, classes=classes)
    pickler.dump(value)
    return file.getvalue(), tuple(map(memoryview, pickler.buffers))


def _task(function: Function, item: Any, classes: Classes) -> tuple[bytes, tuple[memoryview, ...]]:
    try:
        return _dumps((function, item), classes)
    except Exception as error:  # an object's own __reduce__ may raise anything
        raise Unsent(False, locate(item, error, _Pickler(Nowhere()))) from error


def _reduce(view: memoryview) -> tuple[Any, ...]:
    return memoryview, (pickle.PickleBuffer(view),)


def _result(answer: interpreter_worker.Answer) -> Any:
    failed, message = answer
    value = pickle.loads(message)
    if failed:
        raise value.error(pickle.loads)
    return value
