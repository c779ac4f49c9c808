"""Interpreters of this process, each with a GIL of its own: Python code runs in parallel in them (PEP 684, PEP 734).

The standard library's `concurrent.futures.InterpreterPoolExecutor` would nearly do: it cannot start all workers at one
instant, prints exceptions that do not pickle and then loses them, and does not tell which module an interpreter could
not import. Here the threads are its threads, and the items go to their interpreters by other serialisation.
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
from parcount.execution.errors import RemoteTraceback
from parcount.execution.pickling import ARGUMENT, hide_missing_main_file, make_picklable, unpicklable
from parcount.execution.pool import Pool

interpreters: Any
try:
    interpreters = import_module("concurrent.interpreters")
except ImportError:
    interpreters = None


class Interpreters(Pool):
    """`workers` interpreters in threads of this process; from Python 3.14 on.

    Each has a GIL of its own, so that Python code runs on all cores, and modules of its own: it shares no Python object
    with the caller. The function and the items must pickle, and so must results; lambdas, functions defined inside
    others and those that were typed in take cloudpickle, of the extra ``study``. A `memoryview` among the items crosses
    without a copy: what a worker writes into it is seen here.

    Compiled modules have to be made for this. One that is not cannot be imported in a worker, as NumPy's could not when
    this was written: then no function can be called whose module imports it, and no array be sent, and the call ends
    with an `ImportError` that names the module.

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
        If `workers` is not an integer, or `initializer` is not callable. From a call: if the function, an item or the
        initializer cannot be sent; says which, and why.
    ValueError
        If `workers` is less than one.
    ImportError
        From a call: if an interpreter cannot import what the function or the item takes.

    Notes
    -----
    An exception ends the call after the items already begun; those not yet begun are dropped. What crashes an
    interpreter crashes this process.

    As for processes, a script must call this below ``if __name__ == "__main__":`` if anything that it sends is from the
    script itself.

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
        finalize(self, _end, self._started)  # Python ends before a `with` may have, or a generator

    def _open(self) -> None:
        from multiprocessing import spawn  # what a spawned process gets, a new interpreter wants too

        with hide_missing_main_file():
            data = spawn.get_preparation_data("parcount")
        self._path = data["sys_path"]
        self._main = pickle.dumps(
            {key: data[key] for key in ("init_main_from_name", "init_main_from_path") if key in data}
        )
        self._setup = None
        if self._initializer is not None:
            initializer = make_picklable(self._initializer, self._initargs, _dumps, what=ARGUMENT)
            self._setup = _dumps((initializer, self._initargs))
        super()._open()

    def _close(self) -> None:
        super()._close()
        _end(self._started)

    def _set_up(self) -> None:
        interpreter = interpreters.create()
        self._started.append(interpreter)
        self._own.call = interpreter.call
        interpreter.exec(f"import sys; sys.path[:] = {self._path!r}")
        interpreter.call(interpreter_worker.prepare, self._main)
        if self._setup is not None:
            _result(interpreter.call(interpreter_worker.set_up, *self._setup))

    def _prepare(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Callable[[Any], Any]:
        # Of warm workers' items it is found when they are sent.
        ready: Callable[[Any], Any] = make_picklable(function, () if self._entered else items, _dumps)
        return ready

    def _work(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda item: _result(self._caller()(interpreter_worker.run, *_task(function, item)))

    def _hold(self, function: Callable[[Any], Any]) -> Callable[[Any], Callable[[], Any]]:
        def hold(item: Any) -> Callable[[], Any]:
            call = self._caller()
            _result(call(interpreter_worker.hold, *_task(function, item)))
            return lambda: _result(call(interpreter_worker.go))

        return hold

    def _caller(self) -> Callable[..., interpreter_worker.Answer]:
        """Calls a function in the interpreter of this thread."""
        self._check_set_up()
        call: Callable[..., interpreter_worker.Answer] = self._own.call
        return call


def _end(started: list[Any]) -> None:
    while started:
        started.pop().close()


def missing() -> str | None:
    """Why there are no `Interpreters` here, or None if there are."""
    if interpreters is None:
        return f"interpreters with a GIL each take CPython 3.14 or newer; this is {python_version()}"
    return None


@cache
def refusal(module: str) -> str | None:
    """Why an interpreter of its own cannot import `module`, or None if it can: tries it."""
    try:
        Interpreters(1).map(interpreter_worker.load, [module])
    except Exception as error:  # noqa: BLE001 - a module may raise anything
        return str(error)
    return None


def _dumps(value: Any) -> tuple[bytes, tuple[memoryview, ...]]:
    """`value` pickled, and the memory in it that is not copied."""
    file = io.BytesIO()
    buffers: list[pickle.PickleBuffer] = []
    pickler = pickle.Pickler(file, pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append)
    pickler.dispatch_table = {**copyreg.dispatch_table, memoryview: _reduce}
    pickler.dump(value)
    return file.getvalue(), tuple(map(memoryview, buffers))


def _task(function: Callable[[Any], Any], item: Any) -> tuple[bytes, tuple[memoryview, ...]]:
    try:
        return _dumps((function, item))
    except Exception as error:  # an object's own __reduce__ may raise anything
        raise unpicklable("an item", item, error) from error


def _reduce(view: memoryview) -> tuple[Any, ...]:
    return memoryview, (pickle.PickleBuffer(view),)


def _result(answer: interpreter_worker.Answer) -> Any:
    failed, message = answer
    value = pickle.loads(message)
    if failed:
        error, text = value
        error.__cause__ = RemoteTraceback(text)
        raise error
    return value
