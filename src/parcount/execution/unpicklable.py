"""The place, in an item or a result, of an object that cannot be pickled.

It is searched for after pickling has failed, so that what can be pickled costs nothing: Python's own implementation of
pickle does the same again, and the objects that it has begun lead to the one that failed.
"""

from __future__ import annotations

import copyreg
import pickle
import reprlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parcount.execution.pickling import Pickler

MAX_OBJECTS = 200_000
"""The number of objects after which the search is given up; it takes about a second."""

MAX_STEPS = 10
"""The number of steps at the beginning and at the end of a long path that are shown."""

DEEPEST_STATE = 6
"""The number of objects that reducers put between an object and one of its parts: for the cells of functions, most."""

THREADS = "Threads do not pickle."


@dataclass(frozen=True)
class Refusal:
    """An object that cannot be pickled."""

    steps: tuple[str | int, ...]  # from the value to the object: indices, other parts of a path, and phrases
    name: str  # of the object
    reason: str

    def sentence(self, what: str, destination: str) -> str:
        """Say that `what`, of which the object is a part, cannot be sent to a destination."""
        steps = self.steps
        if len(steps) > 2 * MAX_STEPS:
            steps = (*steps[:MAX_STEPS], "[...]", *steps[-MAX_STEPS:])
        parts = [what]
        for step in steps:
            part = f"[{step}]" if isinstance(step, int) else step
            if len(parts) > 1 and _is_path(part) and _is_path(parts[-1]):
                parts[-1] += part
            else:
                parts.append(part)
        place = ": ".join(filter(None, parts))
        subject = f"{place}, {self.name}," if place else self.name
        return f"{subject} cannot be sent to {destination}: {self.reason}"


class Unsent(TypeError):
    """An item or a result that cannot be sent, raised where its position is not known.

    Parameters
    ----------
    result : bool
        Whether it is a result.
    refusal : Refusal
        The object that cannot be pickled.
    """

    def __init__(self, result: bool, refusal: Refusal) -> None:
        super().__init__(result, refusal)
        self.result = result
        self.refusal = refusal

    def __str__(self) -> str:
        return self._sentence("the result" if self.result else "an item", self.refusal)

    def of(self, position: int) -> TypeError:
        """Return the exception that names the item by its position."""
        return self._named(f"item {position}", self.refusal)

    def of_chunk(self, start: int, items: Sequence[Any]) -> TypeError:
        """Return the exception for a list of the results of several items."""
        steps = self.refusal.steps
        if steps and isinstance(steps[0], int):
            return self._named(f"item {start + steps[0]}", replace(self.refusal, steps=steps[1:]))
        return self._named(f"one of the items {start} to {start + len(items) - 1}", self.refusal)

    def of_call(self, function: str) -> TypeError:
        """Return the exception for a submitted call, which is a tuple of the function, arguments and keywords."""
        if self.result:
            return self._named(f"the submitted call of {function}", self.refusal)
        argument, steps = "an argument", self.refusal.steps
        if steps and steps[0] == 0:
            refusal = replace(self.refusal, steps=steps[1:])
            names_itself = len(steps) > 1 and not _is_path(steps[1])
            return self._named("" if names_itself else function, refusal)
        if len(steps) > 1:
            argument = f"argument {steps[1] + 1 if isinstance(steps[1], int) else steps[1][2:-2]}"
        return self._named(f"{argument} of the submitted call of {function}", replace(self.refusal, steps=steps[2:]))

    def _named(self, item: str, refusal: Refusal) -> TypeError:
        named = TypeError(self._sentence(f"the result of {item}" if self.result else item, refusal))
        named.__cause__ = self.__cause__
        return named

    def _sentence(self, what: str, refusal: Refusal) -> str:
        return refusal.sentence(what, "the caller" if self.result else "a worker") + f". {THREADS}"


def unpicklable(what: str, thing: Any, error: Exception, pickler: Pickler) -> Exception:
    """Return the TypeError for a value that cannot be pickled; an OSError or MemoryError is returned unchanged.

    Parameters
    ----------
    what : str
        What the value is; empty for a function, which is called by its name.
    thing : object
        The value.
    error : Exception
        That of pickling it.
    pickler : Pickler
        Another one like the one that failed.
    """
    if isinstance(error, OSError | MemoryError):
        return error
    refusal = locate(thing, error, pickler, by_value=not what)
    names_itself = refusal.name == describe(thing) if not refusal.steps else not _is_path(refusal.steps[0])
    if not what and not names_itself:
        what = describe(thing)
    return TypeError(f"{refusal.sentence(what, 'a worker')}. {THREADS}")


def locate(value: Any, error: Exception, pickler: Pickler, *, by_value: bool = False) -> Refusal:
    """Find the object because of which `value` cannot be pickled; the value itself if another one is not found."""
    if type(value) is list and not by_value:  # perhaps of many items: this is faster
        for index, item in enumerate(value):
            try:
                pickler.check(item)
            except Exception as its:  # noqa: BLE001 - an object's own __reduce__ may raise anything
                refusal = _trace(item, its, pickler)
                return replace(refusal, steps=(index, *refusal.steps))
    return _trace(value, error, pickler, by_value)


def _trace(value: Any, error: Exception, pickler: Pickler, by_value: bool = False) -> Refusal:
    try:
        tracer = _Tracer(pickler)
        if by_value:
            tracer.enter_value(value)
        try:
            tracer.dump(value)
        except (_TooManyError, RecursionError):
            pass
        except Exception as again:  # noqa: BLE001 - as above
            objects = tracer.begun
            if len(objects) > 1 and objects[-1] is type(objects[-2]):
                objects.pop()
            return Refusal(tuple(_steps(objects)), describe(objects[-1]), _reason(again))
    except Exception:  # noqa: BLE001 - so may its other methods
        pass
    return Refusal((), describe(value), _reason(error))


def describe(thing: Any) -> str:
    """Return the name of a function or a class, and "a" with the name of the class of another object."""
    kind = type(thing)
    its_class = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else _full_name(kind)
    try:
        return _full_name(thing) if isinstance(thing.__qualname__, str) else f"a {its_class}"
    except Exception:  # noqa: BLE001 - an object's own __getattr__ may raise anything
        return f"a {its_class}"


def _full_name(thing: Any) -> str:
    module = getattr(thing, "__module__", None)
    return f"{module}.{thing.__qualname__}" if module else str(thing.__qualname__)


def _is_path(step: str | int) -> bool:
    return isinstance(step, int) or step[0] in ".["


def _reason(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - its own __str__ may raise anything
        return type(error).__qualname__


class _TooManyError(Exception):
    """The search has taken too long."""


class _Tracer(pickle._Pickler):  # the implementation in Python
    """Records the objects that are being pickled, from the outermost to the innermost."""

    def __init__(self, pickler: Pickler) -> None:
        super().__init__(Nowhere(), pickle.HIGHEST_PROTOCOL)
        self.pickler = pickler
        self.begun: list[Any] = []
        self.left = MAX_OBJECTS
        self.value_pickler: Any = None
        self.dispatch_table = self.table = getattr(pickler, "dispatch_table", copyreg.dispatch_table)

    def enter_value(self, obj: Any) -> None:
        """Pickle by value, as cloudpickle does, from now on."""
        self.value_pickler = self.pickler.value_pickler(obj)
        self.dispatch_table = self.value_pickler.dispatch_table

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        """Pickle an object."""
        self.left -= 1
        if self.left < 0:
            raise _TooManyError
        self.begun.append(obj)
        entered = self.value_pickler is None and self.pickler.goes_by_value(obj)
        if entered:
            self.enter_value(obj)
        super().save(obj, save_persistent_id)  # type: ignore[misc]  # which the stubs do not have
        if entered:
            self.value_pickler = None
            self.dispatch_table = self.table
        self.begun.pop()  # an exception leaves it there

    def reducer_override(self, obj: Any) -> Any:
        """Reduce as the other picklers do."""
        return (self.value_pickler or self.pickler).reducer_override(obj)


class Nowhere:
    """Discards what is written to it."""

    def write(self, data: Any) -> int:
        """Write nothing."""
        return len(data)


def _steps(objects: list[Any]) -> Iterator[str | int]:
    """Name the way through the objects that a pickler has begun, states and arguments that reducers made included."""
    while len(objects) > 1:
        count, step = _step(objects[0], objects[1:])
        if step is not None:
            yield step
        objects = objects[count:]


def _step(parent: Any, below: list[Any]) -> tuple[int, str | int | None]:
    """Return how far below the next object is that the parent has a name for, and this name."""
    parts = list(_parts(parent))
    for count, one in enumerate(below[:DEEPEST_STATE], 1):
        for step, value in parts:
            if one is value:
                return count, step() if callable(step) else step
    child = below[0]
    if len(below) > 1 and isinstance(child, dict):  # a state that is not that of the object itself
        return next(((2, f".{key}") for key, value in child.items() if value is below[1]), (1, None))
    return (2 if len(below) > 1 and isinstance(child, list | tuple) else 1), None


Step = str | int | None | Callable[[], str]


def _parts(parent: Any) -> Iterator[tuple[Step, Any]]:
    """The objects that another one consists of, each with the step to it; None if the object names itself."""
    if isinstance(parent, partial):
        yield None, parent.func
        for argument, value in (*enumerate(parent.args), *parent.keywords.items()):
            yield f"argument {argument!r} of functools.partial", value
    elif isinstance(parent, FunctionType):
        for variable, value in _variables(parent):
            yield f"{describe(parent)}'s variable {variable}", value
    elif isinstance(parent, MethodType):
        yield None, parent.__self__
    elif isinstance(parent, type):
        for key, value in vars(parent).items():
            names_itself = isinstance(value, FunctionType | classmethod | staticmethod | property)
            yield None if names_itself else f"{describe(parent)}'s attribute {key}", value
    else:
        if isinstance(parent, list | tuple | deque):
            fields = getattr(parent, "_fields", ())  # of a named tuple
            for index, value in enumerate(parent):
                yield f".{fields[index]}" if fields else index, value
        elif isinstance(parent, dict):
            for key, value in parent.items():
                yield partial(_item_of, key), value
                yield partial(_key_of, key), key
        elif isinstance(parent, set | frozenset):
            for value in parent:
                yield "an element of the set", value
        elif isinstance(parent, BaseException):
            yield ".args", parent.args
        for kind in type(parent).__mro__:
            slots = vars(kind).get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                with suppress(AttributeError):
                    yield f".{slot}", object.__getattribute__(parent, slot)
        for key, value in getattr(parent, "__dict__", {}).items():
            yield f".{key}", value


def _item_of(key: object) -> str:
    return f"[{reprlib.repr(key)}]"


def _key_of(key: object) -> str:
    return f"the key {reprlib.repr(key)}"


def _variables(function: FunctionType) -> Iterator[tuple[str, Any]]:
    code, defaults = function.__code__, function.__defaults__ or ()
    for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # it is empty
            yield variable, cell.cell_contents
    yield from zip(code.co_varnames[code.co_argcount - len(defaults) :], defaults, strict=False)
    yield from (function.__kwdefaults__ or {}).items()
    # The names in the function first: others may be those of the same objects.
    yield from ((each, function.__globals__[each]) for each in code.co_names if each in function.__globals__)
    yield from function.__globals__.items()
    yield from vars(function).items()
