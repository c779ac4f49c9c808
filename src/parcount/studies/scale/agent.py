"""Runs a target and measures it: a process of the standard library only, for CPython 3.9 and newer.

`AgentProcess` starts this file under any interpreter, without parcount there. A request is a JSON object on a line of
standard input, its answer one on a line of standard output. Both pipes are moved to other descriptors first, so that
the target reads nothing, and what it prints goes to the file that is standard error.

Times are those of `clock`, which is the same in all processes of the machine.

The garbage collector stays as it is, enabled, because the user's program runs with it: its pauses, and what threads
lose to it, belong to what is measured. `timeit` disables it.
"""

# ruff: noqa: B905, PTH100, PTH109, PTH113, PTH120, PTH122, PTH123
# Python 3.9 has no zip(strict=), and pathlib would be one more module that a target finds loaded

from __future__ import annotations

import ast
import asyncio
import atexit
import base64
import copy
import copyreg
import dis
import functools
import hashlib
import importlib
import importlib.machinery
import importlib.util
import inspect
import itertools
import json
import linecache
import os
import pickle
import platform
import queue
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
import traceback
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

try:
    resource: Any = importlib.import_module("resource")
except ImportError:  # on Windows
    resource = None

Answer = dict[str, Any]
Window = tuple[float, float, float]
"""When calls begin, by `clock`; seconds until they are measured; and seconds for which they are."""

Run = Callable[[int], Any]
"""Calls the target so many times. Returns None, or with `fresh` the seconds and CPU seconds in the calls."""

# Before Python 3.13, time.monotonic has a resolution of 16 ms on Windows. Elsewhere both are the same clock.
clock = time.perf_counter if sys.platform == "win32" else time.monotonic

MAIN = ("main", 0)
"""The worker in the main thread."""

NAME = "_parcount_agent"
"""The name under which `AgentProcess` and interpreters load this file."""

PRINTED_END = 2000
"""Bytes of what was printed that an answer shows."""

INTERVAL = 0.01
"""Mean seconds between two requests of a probe for the GIL."""

LATENESS = 0.001
"""Seconds by which a Python thread must wake late for the GIL to count as held."""

STEPS = 200_000
"""Steps of the compiled control loop in a call: long enough for the time to take the GIL again not to matter."""


class Located(Exception):
    """An exception of the target, with the place where it was raised."""

    def __init__(self, where: str, error: BaseException) -> None:
        super().__init__(where)
        self.where = where
        self.error = error


@contextmanager
def located(where: str) -> Iterator[None]:
    """Add the place to what is raised inside."""
    try:
        yield
    except Located as error:
        if where.startswith("worker"):
            error.where = f"{where}: {error.where}"
        raise
    except BaseException as error:  # noqa: BLE001 - whatever the target raises is an answer
        raise Located(where, error) from None


def is_gil_enabled() -> bool:
    """Whether the GIL is on."""
    enabled: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
    return enabled


# Compiling the measured loops


def compile_loop(call: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], awaits: bool) -> Run:
    """Return a function that calls `call` so many times, as light as the loop of `timeit`: all it uses is local."""
    names = [f"_{i}" for i in range(len(args))]
    local = ["_repeat", "_call", *names]
    passed = list(names)
    if kwargs:
        local.append("_keywords")
        passed.append("**_keywords")
    defaults = ", ".join(f"{name}={name}" for name in local)
    source = (
        f"def make({', '.join(local)}):\n"
        f"    {'async ' if awaits else ''}def run(_count, {defaults}):\n"
        f"        for _i in _repeat(None, _count):\n"
        f"            {'await ' if awaits else ''}_call({', '.join(passed)})\n"
        f"    return run\n"
    )
    namespace: dict[str, Any] = {}
    exec(compile(source, __file__, "exec"), namespace)  # as part of this file, tracebacks leave it out
    run: Run = namespace["make"](itertools.repeat, call, *args, *([kwargs] if kwargs else []))
    return run


_KEPT = """
def make(_repeat, _shared, _clock, _cpu_clock):
    _SETUP
    _SHARE
    _count = yield
    while True:
        for _i in _repeat(None, _count):
            _STATEMENT
        _count = yield
"""

_FRESH = """
def make(_repeat, _shared, _clock, _cpu_clock):
    _spent = None
    while True:
        yield _spent
        _SETUP
        _SHARE
        _begun, _cpu = _clock(), _cpu_clock()
        _STATEMENT
        _spent = _clock() - _begun, _cpu_clock() - _cpu
"""

_OWN_NAMES = {"_repeat", "_shared", "_clock", "_cpu_clock", "_count", "_i", "_spent", "_begun", "_cpu"}


class _Fill(ast.NodeTransformer):
    """Puts statements in place of names."""

    def __init__(self, **bodies: list[ast.stmt]) -> None:
        self.bodies = bodies

    def visit_Expr(self, node: ast.Expr) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id in self.bodies:
            return self.bodies[node.value.id]
        return node


def is_data(value: object) -> bool:
    """Whether workers can contend for an object: no module, code or constant."""
    code = (
        types.ModuleType,
        types.FunctionType,
        types.BuiltinFunctionType,
        types.MethodType,
        type,
        type(functools.lru_cache(lambda: None)),
    )
    constants = (type(None), int, float, complex, str, bytes, type(...), type(NotImplemented), types.GenericAlias)
    if isinstance(value, (tuple, frozenset)):
        return any(map(is_data, value))
    return type(value).__module__ not in ("typing", "__future__") and not isinstance(value, code + constants)


# Copies of objects and functions for each worker


def _condition(condition: Any) -> tuple[Any, ...]:
    return threading.Condition, (condition._lock,)


_LOCKS: dict[type, Callable[[Any], Any]] = {
    type(threading.Lock()): lambda lock: (threading.Lock, ()),  # noqa: ARG005 - the interface of copyreg
    type(threading.RLock()): lambda lock: (threading.RLock, ()),  # noqa: ARG005
    threading.Condition: _condition,
}


def private_copies(objects: Mapping[str, Any]) -> dict[str, Any]:
    """Return deep copies by name, with new locks in the place of locks.

    One memo serves all, so what two names share is shared by their copies.
    """
    memo: dict[int, Any] = {}
    copies = {}
    before = {kind: copyreg.dispatch_table.get(kind) for kind in _LOCKS}
    copyreg.dispatch_table.update(_LOCKS)
    try:
        for name, value in objects.items():
            try:
                copies[name] = copy.deepcopy(value, memo)
            except Exception as error:  # noqa: BLE001 - an object's own __deepcopy__ may raise anything
                raise TypeError(f"{name} cannot be copied for each worker: {describe(error)}") from None
    finally:
        for kind, reduce in before.items():
            if reduce is None:
                del copyreg.dispatch_table[kind]
            else:
                copyreg.dispatch_table[kind] = reduce
    return copies


def _code_objects(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code_objects(constant)


def _global_names(code: types.CodeType) -> set[str]:
    return {
        instruction.argval
        for part in _code_objects(code)
        for instruction in dis.get_instructions(part)
        if instruction.opname in ("LOAD_GLOBAL", "STORE_GLOBAL", "LOAD_NAME")
    }


def _cells(function: types.FunctionType) -> dict[str, Any]:
    contents = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        with suppress(ValueError):  # an empty cell
            contents[name] = cell.cell_contents
    return contents


def _plain_function(call: Any) -> types.FunctionType | None:
    """Return the Python function that a call runs."""
    while True:
        if isinstance(call, functools.partial):
            call = call.func
        elif isinstance(call, types.MethodType):
            call = call.__func__
        elif isinstance(call, types.FunctionType):
            return call
        else:
            own = None if isinstance(call, type) else type.__getattribute__(type(call), "__call__")
            return own if isinstance(own, types.FunctionType) else None


def global_objects(call: Any) -> dict[str, Any]:
    """Return the global and enclosing data, by name, that a function reads, also by functions of its module."""
    first = _plain_function(call)
    found: dict[str, Any] = {}
    seen: set[int] = set()
    todo = [first] if first is not None else []
    while todo:
        function = todo.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        reads = {
            name: function.__globals__[name]
            for name in _global_names(function.__code__)
            if name in function.__globals__
        }
        for name, value in sorted({**reads, **_cells(function)}.items()):
            if isinstance(value, types.FunctionType):
                if value.__globals__ is function.__globals__:
                    todo.append(value)
            elif is_data(value) and not name.startswith("__"):
                found.setdefault(name, value)
    return found


def rebind(call: Any, copies: Mapping[str, Any]) -> Any:
    """Return a copy of a function, and of those of its module, that finds `copies` in the place of its objects."""
    if isinstance(call, functools.partial):
        return functools.partial(rebind(call.func, copies), *call.args, **call.keywords)
    if isinstance(call, types.MethodType):
        return types.MethodType(rebind(call.__func__, copies), copies.get("self", call.__self__))
    function = call if isinstance(call, types.FunctionType) else None
    if function is None:
        if "self" in copies:
            call = copies["self"]
        inner = _plain_function(call)
        return call if inner is None else types.MethodType(rebind(inner, copies), call)
    old = function.__globals__
    new = dict(old)
    done: dict[int, types.FunctionType] = {}

    def bind(function: types.FunctionType) -> types.FunctionType:
        if id(function) in done:
            return done[id(function)]
        cells = tuple(types.CellType() for _ in function.__closure__ or ())
        made = types.FunctionType(function.__code__, new, function.__name__, function.__defaults__, cells or None)
        done[id(function)] = made
        made.__kwdefaults__ = function.__kwdefaults__
        made.__dict__.update(function.__dict__)
        contents = _cells(function)
        for name, cell in zip(function.__code__.co_freevars, cells):
            if name in copies:
                cell.cell_contents = copies[name]
            elif name in contents:
                value = contents[name]
                own = isinstance(value, types.FunctionType) and value.__globals__ is old
                cell.cell_contents = bind(value) if own else value
        return made

    for name, value in old.items():
        if name in copies:
            new[name] = copies[name]
        elif isinstance(value, types.FunctionType) and value.__globals__ is old:
            new[name] = bind(value)
    return bind(function)


# Targets


class StatementTarget:
    """A statement and its setup; the names are those of a worker."""

    awaits = False
    label = "a statement"

    def __init__(self, request: Mapping[str, Any], shared: bool, fresh: bool, key: str) -> None:
        self.shared, self.fresh = shared, fresh
        self._label = "<statement>" if not key else f"<statement {key}>"
        self._setup, self._statement = request.get("setup") or "", request["statement"]
        for what, text in ("setup", self._setup), ("statement", self._statement):
            with located(what):
                compile(text, f"<{what}>", "exec")  # `return` outside a function, which the loop would hide
        lines = f"{self._setup}\n{self._statement}\n".splitlines(keepends=True)
        linecache.cache[self._label] = (sum(map(len, lines)), None, lines, self._label)
        self._globals = self._new_globals()
        self._first: Any = None
        self._bound: dict[str, Any] = {}
        self.names: list[str] = []

    def _new_globals(self) -> dict[str, Any]:
        return {"__name__": "__statement__", "__builtins__": __builtins__}

    def open(self) -> None:
        """Run the setup for the first worker."""
        self._first = self._start(_KEPT, True, {}, self._globals)
        names = self._first.gi_frame.f_locals
        self._bound = {name: value for name, value in names.items() if name not in _OWN_NAMES}
        self.names = sorted(name for name, value in self._bound.items() if is_data(value))

    def _start(self, template: str, setup: bool, objects: Mapping[str, Any], namespace: dict[str, Any]) -> Any:
        share = "\n".join(f"{name} = _shared[{name!r}]" for name in objects)
        statement = ast.parse(self._statement)
        ast.increment_lineno(statement, self._setup.count("\n") + 1)
        bodies = {
            "_SETUP": ast.parse(self._setup).body if setup else [],
            "_SHARE": ast.parse(share).body,
            "_STATEMENT": statement.body or [ast.Pass()],
        }
        tree = ast.fix_missing_locations(_Fill(**bodies).visit(ast.parse(template)))
        exec(compile(tree, self._label, "exec"), namespace)
        generator = namespace.pop("make")(itertools.repeat, objects, clock, time.thread_time)
        with located("setup"):
            next(generator)
        return generator

    def worker(self, worker: tuple[str, int], shared: frozenset[str], private: frozenset[str]) -> Run:
        """Return the loop of a worker, with a namespace of its own."""
        template, bound = _FRESH if self.fresh else _KEPT, self._bound
        if worker == MAIN and not (self.fresh or private) and self._first is not None:
            first, self._first = self._first.send, None  # its setup has run
            return first  # type: ignore[no-any-return]
        if self.shared:
            objects = dict(bound)
            objects.update(private_copies({name: bound[name] for name in sorted(private) if name in bound}))
            return self._start(template, False, objects, self._globals).send  # type: ignore[no-any-return]
        objects = {name: bound[name] for name in sorted(shared) if name in bound}
        return self._start(template, True, objects, self._new_globals()).send  # type: ignore[no-any-return]

    def empty(self) -> Run:
        """Return the loop around an empty statement."""
        other = StatementTarget({"statement": "pass"}, False, self.fresh, "empty")
        other.open()
        return other.worker(MAIN, frozenset(), frozenset())

    def transported(self) -> tuple[Any, Callable[[], Any]] | None:
        """Return nothing: a statement has no arguments and no result."""
        return None


class FunctionTarget:
    """A function and its arguments."""

    def __init__(
        self, function: Any, shared: bool, fresh: bool, default_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        self.shared, self.fresh = shared, fresh
        self.function = function
        self.kwargs = dict(default_kwargs or {})
        self.label = getattr(function, "__qualname__", None) or type(function).__name__
        self.names: list[str] = []
        self._args: tuple[Any, ...] = ()
        self._objects: dict[str, Any] = {}
        if not callable(function):
            raise TypeError(f"{function!r:.80} is not callable")
        plain = _plain_function(function)
        if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
            kind = (
                "a generator function" if inspect.isgeneratorfunction(plain) else "an asynchronous generator function"
            )
            raise TypeError(f"{self.label} is {kind}: calling it runs nothing")
        self.awaits = inspect.iscoroutinefunction(plain) or inspect.iscoroutinefunction(function)

    def arguments(self) -> tuple[Any, ...]:
        """Return arguments for a worker."""
        return ()

    def open(self) -> None:
        """Make the arguments of the first worker, and check them."""
        self._args = self.arguments()
        try:
            signature = inspect.signature(self.function)
        except (TypeError, ValueError):  # some compiled functions have none
            signature = None
        if signature is not None:
            try:
                signature.bind(*self._args, **self.kwargs)
            except TypeError as error:
                hint = "" if self._args or self.kwargs else "; give them with --args"
                raise TypeError(f"{self.label} cannot be called with these arguments: {error}{hint}") from None
        self._objects = {f"args[{i}]": value for i, value in enumerate(self._args) if is_data(value)}
        own = getattr(self.function, "__self__", None)
        if isinstance(self.function, types.MethodType) and is_data(own):
            self._objects["self"] = own
        elif not isinstance(self.function, functools.partial) and is_data(self.function):
            self._objects["self"] = self.function
        for name, value in global_objects(self.function).items():
            self._objects.setdefault(name, value)
        self.names = list(self._objects)

    def worker(self, worker: tuple[str, int], shared: frozenset[str], private: frozenset[str]) -> Run:
        """Return the loop of a worker, with arguments of its own."""
        copies = private_copies({name: value for name, value in self._objects.items() if name in private})
        args = list(self._args if self.shared or worker == MAIN else self.arguments())
        for i in range(min(len(args), len(self._args))):
            name = f"args[{i}]"
            args[i] = copies.pop(name, self._args[i] if name in shared else args[i])
        call = rebind(self.function, copies) if copies else self.function
        if not self.fresh:
            return compile_loop(call, args, self.kwargs, self.awaits)
        return self._fresh_loop(call, args, shared | frozenset(copies))

    def _fresh_loop(self, call: Any, args: Sequence[Any], kept: frozenset[str]) -> Run:
        def renew() -> list[Any]:
            new = list(self.arguments())
            return [args[i] if f"args[{i}]" in kept and i < len(args) else value for i, value in enumerate(new)]

        if self.awaits:

            async def run_async(count: int) -> tuple[float, float]:  # noqa: ARG001 - always one call
                new = renew()
                begun, cpu = clock(), time.thread_time()
                await call(*new, **self.kwargs)
                return clock() - begun, time.thread_time() - cpu

            return run_async

        def run(count: int) -> tuple[float, float]:  # noqa: ARG001 - always one call
            new = renew()
            begun, cpu = clock(), time.thread_time()
            call(*new, **self.kwargs)
            return clock() - begun, time.thread_time() - cpu

        return run

    def empty(self) -> Run:
        """Return the loop around an empty function of the same arguments."""
        names = ", ".join([f"_{i}" for i in range(len(self._args))] + (["**_keywords"] if self.kwargs else []))
        namespace: dict[str, Any] = {}
        exec(f"{'async ' if self.awaits else ''}def empty({names}): pass", namespace)
        return compile_loop(namespace["empty"], self._args, self.kwargs, self.awaits)

    def transported(self) -> tuple[Any, Callable[[], Any]] | None:
        """Return the arguments of a call, and the call."""
        return (self._args, self.kwargs), functools.partial(self.function, *self._args, **self.kwargs)


class NamedTarget(FunctionTarget):
    """A function of a module or file; its arguments are an expression."""

    def __init__(self, request: Mapping[str, Any], shared: bool, fresh: bool) -> None:
        if request["kind"] == "file":
            self._module = load_file(request["path"])
        else:
            self._module = importlib.import_module(request["module"])
        super().__init__(find(self._module, request["name"]), shared, fresh)
        with located("setup"):
            self._setup = compile(request.get("setup") or "", "<setup>", "exec")
        with located("--args"):
            self._expression = (
                None if request.get("args") is None else compile(request["args"].strip(), "<args>", "eval")
            )

    def arguments(self) -> tuple[Any, ...]:
        """Run the setup and evaluate the expression, among the names of the module."""
        namespace = dict(vars(self._module))
        with located("setup"):
            exec(self._setup, namespace)
        if self._expression is None:
            return ()
        with located("--args"):
            value = eval(self._expression, namespace)
        return value if isinstance(value, tuple) else (value,)


class LocalTarget(FunctionTarget):
    """A function of this process with its arguments, which all workers share."""

    def __init__(self, content: tuple[Any, tuple[Any, ...], dict[str, Any], Any], shared: bool, fresh: bool) -> None:
        function, self._given, kwargs, self._setup = content
        super().__init__(function, shared, fresh, kwargs)

    def arguments(self) -> tuple[Any, ...]:
        """Call the setup, or return the given arguments."""
        if self._setup is not None:
            with located("setup"):
                value = self._setup()
            if value is not None:
                return value if isinstance(value, tuple) else (value,)
        return self.given()

    def given(self) -> tuple[Any, ...]:
        """Return the given arguments of a worker."""
        return tuple(self._given)


class PickledTarget(LocalTarget):
    """A pickled function with its arguments, of which each worker has its own."""

    def __init__(self, request: Mapping[str, Any], shared: bool, fresh: bool) -> None:
        self._data = base64.b64decode(request["data"])
        self._used = False
        super().__init__(pickle.loads(self._data), shared, fresh)

    def given(self) -> tuple[Any, ...]:
        """Unpickle the arguments again. The first worker has those that the function itself may refer to."""
        given, self._used = (pickle.loads(self._data)[1] if self._used else self._given), True
        return tuple(given)


class ControlTarget(FunctionTarget):
    """A loop of which it is known what it shares: nothing."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        name = request["name"]
        function, self._make = self._choose(name, request.get("bytes"))
        super().__init__(function, False, False)
        self.label = f"the control {name!r}"

    @staticmethod
    def _choose(name: str, size: int | None) -> tuple[Any, Callable[[], tuple[Any, ...]]]:
        from array import array

        try:
            tally: Any = importlib.import_module("parcount._native.tally")
            increment: Any = importlib.import_module("parcount._native.increment")
        except ImportError:
            tally = increment = None
        if name == "memory":
            if increment is None:
                raise NotImplementedError("without parcount in this Python there is no control that is bound by memory")
            cells = max(1, int(size or 0) // 8)
            return increment.released, lambda: (array("q", [0]) * cells,)
        if name not in ("released", "held"):
            raise ValueError(f"no control is named {name!r}")
        if tally is not None:
            return getattr(tally, name), lambda: (array("q", [0]) * 1024, 0, STEPS, 0)
        if name == "released":
            return hashlib.sha256, lambda: (bytes(1 << 16),)
        return _plain_loop, tuple

    def arguments(self) -> tuple[Any, ...]:
        """Return memory of the worker's own."""
        return self._make()

    def open(self) -> None:
        """Make the memory of the first worker."""
        super().open()
        self.names = []


def _plain_loop() -> None:
    for _ in range(20_000):
        pass


_files: dict[str, types.ModuleType] = {}


def load_file(path: str) -> types.ModuleType:
    """Load a file as a module of its name; what it runs as a script, it does not run."""
    path = os.path.abspath(path)
    if path in _files:
        return _files[path]
    directory, base = os.path.split(path)
    name = os.path.splitext(base)[0]
    if name in sys.modules or name in getattr(sys, "stdlib_module_names", ()):
        name += "_script"  # a file may be named like a module that others need
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no such file: {path}")
    if directory not in sys.path:
        sys.path.insert(0, directory)
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        # Not by the loader, which would write a cache beside the user's script.
        exec(loader.source_to_code(loader.get_data(path), path), vars(module))
    except BaseException:
        sys.modules.pop(name, None)
        raise
    _files[path] = module
    return module


def find(module: types.ModuleType, name: str) -> Any:
    """Return the attribute of a module by its dotted name."""
    value: Any = module
    for part in name.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            from difflib import get_close_matches

            close = get_close_matches(part, [str(key) for key in dir(value)], 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            owner = f"module {module.__name__!r}" if value is module else repr(value)
            raise AttributeError(f"{owner} has no attribute {part!r}{hint}") from None
    return value


# Measuring


class Evidence:
    """What the system counts for the calling thread; None for what it does not."""

    keys = ("cpu", "voluntary", "involuntary", "minor_faults", "major_faults", "ready")

    def __init__(self) -> None:
        self._before: list[float | int | None] = []

    @staticmethod
    def _counts() -> list[float | int | None]:
        """CPU time, context switches and page faults: to read them does not release the GIL."""
        counts: list[float | int | None] = [time.thread_time(), None, None, None, None]
        if hasattr(resource, "RUSAGE_THREAD"):
            used = resource.getrusage(resource.RUSAGE_THREAD)
            counts[1:] = used.ru_nvcsw, used.ru_nivcsw, used.ru_minflt, used.ru_majflt
        return counts

    @staticmethod
    def _ready() -> float | None:
        """Seconds ready without a core: a file, whose opening may wait for the GIL."""
        try:
            with open("/proc/thread-self/schedstat", "rb", buffering=0) as file:
                ran, waited, _ = map(int, file.read().split())
        except (OSError, ValueError):
            return None
        return waited / 1e9 if ran else None  # a kernel that does not account for it has zeros only

    def begin(self) -> None:
        """Read the values before."""
        ready = self._ready()
        self._before = [*self._counts(), ready]

    def end(self) -> Answer:
        """Return what has been added since."""
        after = [*self._counts(), self._ready()]
        added = [None if b is None or a is None else b - a for a, b in zip(self._before, after)]
        return dict(zip(self.keys, added))


def sleep_until(at: float) -> None:
    """Sleep until a time of `clock`."""
    if (left := at - clock()) > 0:
        time.sleep(left)


@functools.cache
def ordered_cores() -> tuple[int, ...]:
    """Return the cores that this process may use, those that share hardware with an earlier one last."""

    def place(core: int) -> tuple[int, int]:
        siblings = f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"
        try:
            with open(siblings) as file:
                first = int(file.read().replace("-", ",").split(",")[0])
        except (OSError, ValueError):
            first = core
        return int(first != core), core

    return tuple(sorted(os.sched_getaffinity(0), key=place)) if hasattr(os, "sched_getaffinity") else ()


def move_to_core(index: int) -> None:
    """Move this thread to a core, which it may leave again: the system often wakes several workers on one."""
    if cores := ordered_cores():
        with suppress(OSError):
            allowed = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {cores[index % len(cores)]})
            os.sched_setaffinity(0, allowed)


def measure(run: Run, batch: int, window: Window, core: int | None) -> Answer:
    """Call from a time on, and measure after the warm-up, at least one batch."""
    at, warm, seconds = window
    sleep_until(at)
    if core is not None:
        move_to_core(core)
    while clock() < at + warm:
        run(batch)
        end_child()
    evidence = Evidence()
    evidence.begin()
    calls, busy, cpu = 0, 0.0, None
    deadline = at + warm + seconds
    begun = clock()
    while True:
        spent = run(batch)
        calls += batch
        ended = clock()
        end_child()
        if spent is not None:
            busy, cpu = busy + spent[0], (cpu or 0.0) + spent[1]
        if ended >= deadline:
            break
    found = evidence.end()
    if cpu is None:
        busy = ended - begun
    else:
        found["cpu"] = cpu
    return {"calls": calls, "begun": begun, "ended": ended, "busy": busy, **found}


async def measure_async(run: Run, batch: int, window: Window) -> Answer:
    """Do as `measure`, by awaiting; what the system counts is not read, because the thread runs other tasks too."""
    calls, busy, cpu = 0, 0.0, None
    deadline = sum(window)
    begun = clock()
    while True:
        spent = await run(batch)
        calls += batch
        ended = clock()
        end_child()
        if spent is not None:
            busy, cpu = busy + spent[0], (cpu or 0.0) + spent[1]
        if ended >= deadline:
            break
    return {
        "calls": calls,
        "begun": begun,
        "ended": ended,
        "busy": ended - begun if cpu is None else busy,
        "own_cpu": cpu,
    }


def measure_loop(loop: asyncio.AbstractEventLoop, runs: Sequence[Run], batch: int, window: Window) -> list[Any]:
    """Measure tasks of one event loop; return what was measured or raised. The first has the evidence."""
    evidence = Evidence()

    async def guarded(run: Run) -> Any:
        try:
            return await measure_async(run, batch, window)
        except BaseException as error:  # noqa: BLE001 - whatever the target raises is an answer
            return error

    async def together() -> list[Any]:
        return list(await asyncio.gather(*map(guarded, runs)))

    sleep_until(window[0])
    evidence.begin()
    results = loop.run_until_complete(together())
    found = evidence.end()
    for task in (left := asyncio.all_tasks(loop)):
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    for i, result in enumerate(results):
        if isinstance(result, dict):
            own_cpu = result.pop("own_cpu")
            result.update(found if i == 0 else dict.fromkeys(Evidence.keys))
            if own_cpu is not None:
                result["cpu"] = own_cpu
    return results


def timed(target: Any, run: Run, count: int) -> float:
    """Return the seconds of so many calls in this thread."""

    async def awaited() -> tuple[Any, float]:
        begun = clock()
        spent = await run(count)
        return spent, clock() - begun

    if target.awaits:
        spent, seconds = event_loop().run_until_complete(awaited())
    else:
        begun = clock()
        spent = run(count)
        seconds = clock() - begun
    end_child()
    return seconds if spent is None else float(spent[0])


class PythonProbe:
    """A thread that sees how late it wakes: late if it has to wait for the GIL.

    As the compiled probe does, it asks at the times of a Poisson process. Those that fall into a wait count as held.
    """

    def __init__(self, at: float) -> None:
        self._found = [0, 0, 0.0]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._probe, args=(at,), daemon=True)
        self._thread.start()

    def _probe(self, at: float) -> None:
        draw = random.Random()
        due = at
        while True:
            due += draw.expovariate(1 / INTERVAL)
            sleep_until(due)
            if self._end.is_set():
                return
            woken = clock()
            late = woken - due > LATENESS
            self._found[0] += 1
            if late:
                self._found[1] += 1
                self._found[2] += woken - due
                while (due := due + draw.expovariate(1 / INTERVAL)) < woken:
                    self._found[0] += 1
                    self._found[1] += 1
                due = woken

    def stop(self) -> Answer:
        """End the thread; return what it has seen."""
        self._end.set()
        self._thread.join()
        probes, held, wait = self._found
        return {"probes": probes, "held": held, "wait": wait}


class NativeProbe:
    """parcount's compiled probe."""

    seeds = itertools.count()

    def __init__(self, at: float) -> None:
        self._native = importlib.import_module("parcount._native.gil_probe")
        self._probe = self._native.start(seed=next(self.seeds), delay=max(0.0, at - clock()))

    def stop(self) -> Answer:
        """End the probe; return what it has seen."""
        probes, held, wait, longest = self._native.stop(self._probe)
        return {"probes": probes, "held": held, "wait": wait, "longest": longest}


def start_probe(at: float) -> NativeProbe | PythonProbe | None:
    """Start a probe of the GIL from a time on, or none if there is no GIL."""
    if not is_gil_enabled():
        return None
    try:
        return NativeProbe(at)
    except ImportError:
        return PythonProbe(at)


def resident() -> int | None:
    """Return the bytes of this process in memory."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


# Workers


class Pool:
    """Threads that persist: thread `i` runs everything of worker `i`."""

    def __init__(self) -> None:
        self._queues: list[Any] = []

    def start(self, index: int, action: Callable[[], Any], results: Any) -> None:
        """Run an action in a thread; it puts its index and its result or exception on a queue."""
        while len(self._queues) <= index:
            tasks: Any = queue.SimpleQueue()
            thread = threading.Thread(
                target=self._serve, args=(tasks,), name=f"worker {len(self._queues) + 1}", daemon=True
            )
            thread.start()
            self._queues.append(tasks)
        self._queues[index].put((index, action, results))

    def run(self, index: int, action: Callable[[], Any]) -> Any:
        """Run an action in a thread and return its result."""
        results: Any = queue.SimpleQueue()
        self.start(index, action, results)
        result = results.get()[1]
        if isinstance(result, BaseException):
            raise result
        return result

    @staticmethod
    def _serve(tasks: Any) -> None:
        while True:
            index, action, results = tasks.get()
            try:
                result = action()
            except BaseException as error:  # noqa: BLE001 - whatever the target raises is an answer
                end_child()
                result = error
            results.put((index, result))
            del action, result


class Interpreter:
    """A subinterpreter with this file in it, of one thread."""

    def __init__(self, path: Sequence[str]) -> None:
        interpreters = importlib.import_module("concurrent.interpreters")
        self._answers = interpreters.create_queue()
        self._interpreter = interpreters.create()
        self._interpreter.prepare_main(_answers=self._answers, _path=json.dumps(list(path)), _file=__file__)
        self._interpreter.exec(
            "import importlib.util, json, sys\n"
            f"_spec = importlib.util.spec_from_file_location({NAME!r}, _file)\n"
            "_module = sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)\n"
            "_spec.loader.exec_module(_module)\n"
            "_agent = _module.Agent()\n"
            # Last, because a directory of the user may hold a file named like a module that the agent imports.
            "sys.path[:] = json.loads(_path)\n"
        )

    def ask(self, request: Mapping[str, Any]) -> Answer:
        """Have a request answered in the interpreter."""
        self._interpreter.prepare_main(_request=json.dumps(request))
        self._interpreter.exec("_answers.put(json.dumps(_agent.answer(json.loads(_request))))")
        answer: Answer = json.loads(self._answers.get())
        return answer


class Refused(Exception):
    """An error answer of an interpreter."""

    def __init__(self, error: Answer) -> None:
        super().__init__(error["message"])
        self.answer = error


_own_loop = threading.local()


def event_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of this thread, which persists."""
    loop: asyncio.AbstractEventLoop | None = getattr(_own_loop, "loop", None)
    if loop is None or loop.is_closed():
        loop = _own_loop.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    return loop


# After a fork in the target, the child must not answer: it ends when control returns to this file.

_pid = os.getpid()
_forks = 0


def end_child() -> None:
    """End this process if the target has forked it."""
    if os.getpid() != _pid:
        os._exit(0)


def _count_fork() -> None:
    global _forks
    _forks += 1


# Errors


def describe(error: BaseException) -> str:
    """Return the message of an exception; its str may raise."""
    try:
        return str(error) or type(error).__name__
    except BaseException:  # noqa: BLE001
        return f"<unprintable {type(error).__name__}>"


def _ours(frame: traceback.FrameSummary | types.FrameType) -> bool:
    name = frame.filename if isinstance(frame, traceback.FrameSummary) else frame.f_code.co_filename
    return name == __file__ or name.startswith("<frozen importlib")


def error_answer(error: BaseException, where: str) -> Answer:
    """Return the answer for an exception, with the traceback of the target's own frames."""
    end_child()
    while isinstance(error, Located):
        where, error = error.where, error.error
    if isinstance(error, Refused):
        return {"ok": False, "error": {**error.answer, "where": where}}
    explained = refusal(error)
    tb = error.__traceback__
    while tb is not None and _ours(tb.tb_frame):
        tb = tb.tb_next
    text = ""
    with suppress(Exception):
        if tb is not None or isinstance(error, SyntaxError):
            text = "".join(traceback.format_exception(type(error), error, tb))[-8000:]
    message = explained or describe(error)
    if isinstance(error, SystemExit):
        message = f"the function ended its process: sys.exit({error.code!r})"
    kind = "ImportError" if explained else type(error).__name__
    return {"ok": False, "error": {"type": kind, "message": message, "traceback": text, "where": where}}


def refusal(error: BaseException) -> str | None:
    """Return what to say if a module does not load in a subinterpreter: packages raise other exceptions then."""
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        text = describe(cause)
        if isinstance(cause, ImportError) and "does not support loading in subinterpreters" in text:
            return text if cause is error else f"{text} ({describe(error).splitlines()[0]})"
        cause = cause.__cause__ or cause.__context__
    return None


# The agent


class Agent:
    """The loaded targets and their workers.

    A request names what to do in ``"do"``, and its answer has ``"ok": true`` or ``"ok": false`` with an ``"error"``:
    ``type``, ``message``, ``traceback`` and ``where``.

    ``hello``
        Which Python this is.
    ``load``
        Load a ``target``, a dictionary whose ``kind`` is ``statement`` (``setup``, ``statement``), ``import``
        (``module``, ``name``, ``args``, ``setup``), ``file`` (``path`` in the place of ``module``), ``pickle``
        (``data``: function, arguments, keyword arguments, setup) or ``control`` (``name``, ``bytes``). Each worker has
        arguments, or names of a statement, of its own unless they are ``shared``. With ``fresh`` the setup runs before
        each call, and only calls are timed. ``path`` goes in front of ``sys.path``, ``cwd`` is the directory, and
        ``as`` is a key with which other requests name the target in ``of``. The answer's ``names`` are objects that
        workers may share.
    ``calibrate``
        Call for so many ``seconds``; tell how long a call takes, and how many calls make a ``batch``.
    ``prepare``
        Make the workers of a run ready, which ``run`` otherwise does at first.
    ``run``
        Call under an ``execution`` in so many ``workers``, from the time ``at`` for so many ``seconds``; between looks
        at the clock are ``batch`` calls. ``shared_names`` and ``private_names`` are of the ``names``, and ``probe``
        measures how long the GIL is held. Lists in the answer have an entry for each worker. asyncio's tasks are in one
        thread: the first entry is for all.
    ``transport``
        Tell what it takes to send the arguments and the result of a call through a pipe.
    ``end``
        End the process.

    Each answer also has the bytes ``printed`` and their end, and the ``changed_directory`` if the target has changed
    it.
    """

    def __init__(self) -> None:
        self._targets: dict[str, Any] = {}
        self._requests: dict[str, Mapping[str, Any]] = {}
        self._runs: dict[tuple[Any, ...], Run] = {}
        self._pool = Pool()
        self._interpreters: dict[int, Interpreter] = {}
        self._known = set(sys.modules)
        self._forking: set[str] = set()

    def answer(self, request: Mapping[str, Any]) -> Answer:
        """Answer a request."""
        try:
            do = request.get("do")
            action = getattr(self, f"_do_{do}", None)
            if action is None:
                raise ValueError(f"no such request: {do!r}")
            return {"ok": True, **action(request)}
        except BaseException as error:  # noqa: BLE001 - whatever the target raises is an answer
            return error_answer(error, str(request.get("do")))

    def _do_hello(self, request: Mapping[str, Any]) -> Answer:  # noqa: ARG002 - as all requests
        version = None
        with suppress(Exception):
            importlib.import_module("parcount._native")
            version = sys.modules["parcount"].__version__
        interpreters = sys.version_info >= (3, 14) and importlib.util.find_spec("concurrent.interpreters") is not None
        return {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "free_threaded": bool(__import__("sysconfig").get_config_var("Py_GIL_DISABLED")),
            "gil": is_gil_enabled(),
            "executable": sys.executable,
            "parcount": version,
            "interpreters": interpreters,
            "pid": os.getpid(),
        }

    # Loading

    def _do_load(self, request: Mapping[str, Any]) -> Answer:
        key = request.get("as") or ""
        if request.get("cwd"):
            os.chdir(request["cwd"])
        for directory in reversed(request.get("path") or []):
            if directory in sys.path:
                sys.path.remove(directory)
            sys.path.insert(0, directory)
        self._requests[key] = request
        self._targets.pop(key, None)
        self._drop(key)
        self._forking.discard(key)
        before = is_gil_enabled()
        begun = clock()
        with located("load"), _gil_warnings() as modules:
            target = self._make(request, key)
            loaded = clock()
            target.open()
        self._targets[key] = target
        return {
            "coroutine": target.awaits,
            "names": target.names,
            "gil_before": before,
            "gil_after": is_gil_enabled(),
            "gil_module": modules[0] if modules else None,
            "seconds": loaded - begun,
            "setup_seconds": clock() - loaded,
            "versions": self._versions(),
        }

    @staticmethod
    def _make(request: Mapping[str, Any], key: str) -> Any:
        target, shared, fresh = request["target"], bool(request.get("shared")), bool(request.get("fresh"))
        kind = target["kind"]
        if kind == "statement":
            return StatementTarget(target, shared, fresh, key)
        if kind in ("import", "file"):
            return NamedTarget(target, shared, fresh)
        if kind == "pickle":
            return PickledTarget(target, shared, fresh)
        if kind == "local":
            return LocalTarget(target["content"], shared, fresh)
        if kind == "control":
            return ControlTarget(target)
        raise ValueError(f"no kind of target is named {kind!r}")

    def _versions(self) -> dict[str, str]:
        names = {name.partition(".")[0] for name in set(sys.modules) - self._known}
        names -= set(getattr(sys, "stdlib_module_names", ())) | {NAME, "parcount"}
        versions = {}
        for name in sorted(names):
            if name.startswith("_"):
                continue
            try:
                versions[name] = importlib.import_module("importlib.metadata").version(name)
            except Exception:  # noqa: BLE001 - no distribution of this name, or a file of the user's named like a module
                version = getattr(sys.modules.get(name), "__version__", None)
                if isinstance(version, str):
                    versions[name] = version
        return versions

    def _drop(self, key: str) -> None:
        for known in [known for known in self._runs if known[0] == key]:
            del self._runs[known]

    def _first_call(self, target: Any, run: Run) -> float:
        """Call the target once; return the seconds. Raise if what it returns has not run."""
        if isinstance(target, StatementTarget) or target.awaits or target.fresh:
            return timed(target, run, 1)
        _, call = target.transported()
        begun = clock()
        result = call()
        seconds = clock() - begun
        end_child()
        kinds: dict[str, Callable[[object], bool]] = {
            "a coroutine, which nothing awaits": inspect.iscoroutine,
            "a generator, which nothing runs": inspect.isgenerator,
            "an asynchronous generator, which nothing runs": inspect.isasyncgen,
        }
        for kind, test in kinds.items():
            if test(result):
                if inspect.iscoroutine(result):
                    result.close()
                raise TypeError(f"{target.label} returns {kind}")
        return seconds

    def _target(self, request: Mapping[str, Any]) -> Any:
        key = request.get("of") or ""
        if key not in self._targets:
            raise LookupError(f"no target is loaded as {key!r}")
        return self._targets[key]

    # Workers

    def _run_of(self, request: Mapping[str, Any], worker: tuple[str, int]) -> Run:
        """Return the loop of a worker, which persists."""
        shared = frozenset(request.get("shared_names") or ())
        private = frozenset(request.get("private_names") or ())
        known = (request.get("of") or "", worker, shared, private)
        run = self._runs.get(known)
        if run is None:
            run = self._runs[known] = self._target(request).worker(worker, shared, private)
        return run

    def _interpreter(self, index: int, key: str) -> Interpreter:
        """Return the interpreter of a worker, with the target loaded. Call it in the worker's thread."""
        interpreter = self._interpreters.get(index)
        if interpreter is None:
            interpreter = self._interpreters[index] = Interpreter(sys.path)
        if (key, ("interpreters", index)) not in self._runs:
            answer = interpreter.ask(self._requests[key])
            if not answer["ok"]:
                raise Refused(answer["error"])
            self._runs[key, ("interpreters", index)] = lambda count: None  # noqa: ARG005 - marks it as loaded
        return interpreter

    def _prepare(self, request: Mapping[str, Any]) -> list[Any]:
        """Make all workers of a run ready, one after the other, each in its own thread."""
        target, key = self._target(request), request.get("of") or ""
        execution, workers = request["execution"], int(request.get("workers") or 1)
        if execution == "asyncio" and not target.awaits:
            raise TypeError(f"asyncio runs coroutine functions only, and {target.label} is none")
        if execution == "interpreters" and sys.version_info < (3, 14):
            raise NotImplementedError(
                f"interpreters require CPython 3.14 or newer; this is {platform.python_version()}"
            )
        ready: list[Any] = []
        for i in range(workers):
            with located(f"worker {i + 1} of {workers} on {execution}"):
                if execution == "serial":
                    ready.append(self._run_of(request, MAIN))
                elif execution == "asyncio":
                    ready.append(self._run_of(request, ("asyncio", i)))
                elif execution == "threads":
                    ready.append(self._pool.run(i, functools.partial(self._run_of, request, ("threads", i))))
                elif execution == "interpreters":
                    ready.append(self._pool.run(i, functools.partial(self._interpreter, i, key)))
                else:
                    raise ValueError(f"no execution is named {execution!r}")
        return ready

    def _do_prepare(self, request: Mapping[str, Any]) -> Answer:
        return {"workers": len(self._prepare(request))}

    def _do_run(self, request: Mapping[str, Any]) -> Answer:
        target, key = self._target(request), request.get("of") or ""
        execution = request["execution"]
        ready = self._prepare(request)
        probes = bool(request.get("probe")) and execution != "interpreters"
        if probes:
            with suppress(ImportError):
                importlib.import_module("parcount._native.gil_probe")  # now, not when the workers begin
        batch = 1 if target.fresh or key in self._forking else max(1, int(request.get("batch") or 1))
        seconds, warm = float(request["seconds"]), float(request.get("warm") or 0.0)
        at = request.get("at")
        late = 0.0 if at is None else max(0.0, clock() - at)
        before = resident()
        if at is None or late:
            at = clock() + (0.005 if execution != "interpreters" else 0.005 * (1 + len(ready)))
        forks = _forks
        process_cpu = time.process_time()
        collect = self._start(key, execution, ready, batch, (at, warm, seconds), request.get("core"))
        probe = start_probe(at + warm) if probes else None
        try:
            results = collect()
        finally:
            gil = probe.stop() if probe is not None else None
        process_cpu = time.process_time() - process_cpu
        if _forks > forks:
            self._forking.add(key)
        for i, result in enumerate(results):
            if isinstance(result, BaseException):
                self._drop(key)  # a statement that raised cannot go on
                raise Located(f"worker {i + 1} of {len(results)} on {execution}", result)
        keys = ("calls", "begun", "ended", "busy", *Evidence.keys)
        return {
            **{name: [result[name] for result in results] for name in keys},
            "process_cpu": process_cpu,
            "memory": resident(),
            "memory_before": before,
            "gil": gil,
            "late": late,
            "forked": key in self._forking,
        }

    def _start(
        self, key: str, execution: str, ready: Sequence[Any], batch: int, window: Window, core: int | None
    ) -> Callable[[], list[Any]]:
        """Start the workers that have threads; return what waits for all, or runs those of this thread."""

        def one(index: int) -> Any:
            own = None if core is None else core + index
            if execution == "interpreters":
                return self._measure_inside(ready[index], key, batch, window, own)
            if self._targets[key].awaits:
                return measure_loop(event_loop(), [ready[index]], batch, window)[0]
            return measure(ready[index], batch, window, own)

        def here() -> list[Any]:
            try:
                return [one(0)]
            except BaseException as error:  # noqa: BLE001 - whatever the target raises is an answer
                end_child()
                return [error]

        if execution == "asyncio":
            return lambda: measure_loop(event_loop(), ready, batch, window)
        if execution == "serial":
            return here
        results: Any = queue.SimpleQueue()
        for i in range(len(ready)):
            self._pool.start(i, functools.partial(one, i), results)

        def collect() -> list[Any]:
            found = dict(results.get() for _ in ready)
            return [found[i] for i in range(len(ready))]

        return collect

    @staticmethod
    def _measure_inside(interpreter: Interpreter, key: str, batch: int, window: Window, core: int | None) -> Answer:
        request = {"do": "run", "of": key, "execution": "serial", "batch": batch, "core": core}
        request |= dict(zip(("at", "warm", "seconds"), window))
        answer = interpreter.ask(request)
        if not answer["ok"]:
            raise Refused(answer["error"])
        return {name: value[0] for name, value in answer.items() if isinstance(value, list)}

    # Calibration

    def _do_calibrate(self, request: Mapping[str, Any]) -> Answer:
        target, key, seconds = self._target(request), request.get("of") or "", float(request["seconds"])
        with located("worker 1 of 1 on serial"):
            run = self._run_of(request, MAIN)

        forks = _forks
        try:
            with located("first call"), _gil_warnings() as modules:
                first = self._first_call(target, run)
            if _forks > forks:
                self._forking.add(key)
            single = target.fresh or key in self._forking
            with located("worker 1 of 1 on serial"):
                end = clock() + seconds
                call, count = first, 1
                samples = [first]
                while not single and call * count < seconds / 100 and clock() < end:
                    count *= 2
                    call = timed(target, run, count) / count
                    samples = [call]
                end = clock() + seconds
                process_cpu, thread_cpu, before, calls = time.process_time(), time.thread_time(), resident(), 0
                # The first call may have been long only because it was the first.
                while clock() < end if calls else first < 20 * seconds:
                    samples.append(timed(target, run, count) / count)
                    calls += count
                if calls:
                    samples = samples[1:]
                process_cpu, thread_cpu = time.process_time() - process_cpu, time.thread_time() - thread_cpu
                after = resident()
        except BaseException:
            self._drop(key)
            raise
        call = statistics.median(samples)
        batch = 1 if single else max(1, int(seconds / 100 / max(call, 1e-9)))
        empty = target.empty()
        overhead = min(timed(target, empty, batch) for _ in range(5)) / batch
        return {
            "call": call,
            "first": first,
            "cpu": process_cpu / calls if calls else None,
            "thread_cpu": thread_cpu / calls if calls else None,
            "batch": batch,
            "overhead": overhead,
            "memory_growth": None if before is None or after is None or not calls else (after - before) / calls,
            "calls": calls,
            "forked": key in self._forking,
            "gil": is_gil_enabled(),
            "gil_module": modules[0] if modules else None,
        }

    # Transport

    def _do_transport(self, request: Mapping[str, Any]) -> Answer:
        target = self._target(request)
        transported = target.transported()
        if transported is None:
            return {"argument_bytes": 0, "result_bytes": 0, "seconds": 0.0}
        arguments, call = transported
        with located("transport"):
            result = event_loop().run_until_complete(call()) if target.awaits else call()
            end_child()
            sizes = []
            best = [float("inf"), float("inf")]
            for i, (what, value) in enumerate((("the arguments", arguments), ("the result", result))):
                for _ in range(3):
                    begun = clock()
                    try:
                        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
                    except Exception as error:  # noqa: BLE001 - an object's own __reduce__ may raise anything
                        raise TypeError(f"{what} of a call cannot be pickled: {describe(error)}") from None
                    pickle.loads(through_pipe(data))
                    best[i] = min(best[i], clock() - begun)
                sizes.append(len(data))
        return {"argument_bytes": sizes[0], "result_bytes": sizes[1], "seconds": sum(best)}


def through_pipe(data: bytes) -> bytes:
    """Send bytes through a pipe."""
    source, sink = os.pipe()
    with open(source, "rb") as reader, open(sink, "wb", buffering=0) as writer:
        if len(data) <= 4096:  # what every pipe holds
            writer.write(data)
            return reader.read(len(data))

        def write() -> None:
            left = memoryview(data)
            while left:
                left = left[writer.write(left) :]

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        received = reader.read(len(data))
        thread.join()
        return received


@contextmanager
def _gil_warnings() -> Iterator[list[str]]:
    """Record the modules for which CPython enables the GIL; other warnings are shown as ever."""
    modules: list[str] = []
    with warnings.catch_warnings():
        show = warnings.showwarning

        def record(message: Any, category: Any, *rest: Any, **more: Any) -> None:
            text = str(message)
            if text.startswith("The global interpreter lock (GIL) has been enabled to load module"):
                modules.append(text.split("'")[1])
            else:
                show(message, category, *rest, **more)

        warnings.filterwarnings("always", "The global interpreter lock", RuntimeWarning)
        warnings.showwarning = record
        yield modules


# The process


class Output:
    """The file behind descriptors 1 and 2, which holds what the target has printed since the last answer."""

    def __init__(self) -> None:
        import stat

        regular = False
        with suppress(OSError):
            regular = stat.S_ISREG(os.fstat(2).st_mode)
        if regular:  # of the process that has started this one: it can read what this one printed before it died
            self._file = os.dup(2)
        else:
            with tempfile.TemporaryFile() as file:
                self._file = os.dup(file.fileno())
        self._null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(self._null, 0)
        self._redirect()

    def _redirect(self) -> None:
        os.dup2(self._file, 1)
        os.dup2(self._file, 2)

    def take(self) -> Answer:
        """Return the number of bytes and their end, and empty the file; repair what the target has closed."""
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            try:
                stream.flush()
            except Exception:  # noqa: BLE001 - closed, or any object that the target has put there
                os.dup2(self._file, 1 if name == "stdout" else 2)
                setattr(sys, name, open(1 if name == "stdout" else 2, "w", buffering=1, closefd=False))  # noqa: SIM115
        for number in (0, 1, 2):
            try:
                os.fstat(number)
            except OSError:
                os.dup2(self._file if number else self._null, number)
        size = os.fstat(self._file).st_size
        os.lseek(self._file, max(0, size - PRINTED_END), os.SEEK_SET)
        end = os.read(self._file, PRINTED_END).decode(errors="replace") if size else ""
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        return {"printed": size, "printed_end": end}


def _end_group() -> None:
    """End this process and all that the target has started."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _read(requests: int, tasks: Any) -> None:
    """Pass requests on. The end of the input ends the process, also while a call runs."""
    with open(requests, "rb") as file:
        for line in file:
            request = json.loads(line)
            tasks.put(request)
            if request.get("do") == "end":
                return
    _end_group()


def main() -> None:
    """Answer requests until the end."""
    requests, answers = os.dup(0), os.dup(1)
    output = Output()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(Exception):
        importlib.import_module("faulthandler").enable(2)  # subinterpreters cannot import it
    if sys.path and sys.path[0] in ("", os.path.dirname(os.path.abspath(__file__))):
        del sys.path[0]  # the folder of this file has modules with names of the user's
    if hasattr(os, "register_at_fork"):

        def in_child() -> None:
            for number in (requests, answers):
                with suppress(OSError):
                    os.close(number)

        os.register_at_fork(after_in_parent=_count_fork, after_in_child=in_child)
    tasks: Any = queue.SimpleQueue()
    # Not a thread of `threading`, in which the target's own code would see it.
    import _thread

    _thread.start_new_thread(_read, (requests, tasks))
    agent = Agent()
    while True:
        request = tasks.get()
        directory = _directory()
        answer: Answer = {"ok": True} if request.get("do") == "end" else agent.answer(request)
        end_child()
        answer.update(output.take(), id=request.get("id"))
        if request.get("do") == "load":
            directory = request.get("cwd") or directory
        now = _directory()
        if directory is not None and now != os.path.realpath(directory):
            answer["changed_directory"] = now or "a directory that does not exist"
            with suppress(OSError):
                os.chdir(directory)
        line = memoryview(json.dumps(answer).encode() + b"\n")
        while line:
            line = line[os.write(answers, line) :]
        if request.get("do") == "end":
            atexit._run_exitfuncs()
            os._exit(0)


def _directory() -> str | None:
    try:
        return os.path.realpath(os.getcwd())
    except OSError:
        return None


if __name__ == "__main__":
    main()
