"""Pickling for workers: what they can import by name, and functions and classes that they cannot by value.

Cloudpickle reduces those; it is imported when the first of them is pickled. A class that the caller sends by value
returns by a key, so that instances in results are instances of the caller's class, which is left as it is.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from parcount.execution.unpicklable import Nowhere, describe, unpicklable

CLOUDPICKLE = "functions and classes like that require cloudpickle: pip install 'parcount[study]'"

_HEAP_TYPE = 1 << 9
"""Py_TPFLAGS_HEAPTYPE of CPython: set for all classes that are made in Python."""

_Cached: Any = type(lru_cache(abs))
"""The type of functions with a cache."""

MAIN = ("__main__", "__mp_main__")
"""The names of the main module; the second is that of `multiprocessing` in a worker."""


class Pickler(pickle.Pickler):
    """Pickles for a worker, or in a worker for the caller.

    Parameters
    ----------
    file : file
        Where the pickle is written to.
    forked : bool
        Whether the workers are forked, and so have the main module of this process.
    to_caller : bool
        Whether this process is a worker and its caller unpickles.
    classes : dict, optional
        Pickles of classes. A class in it is not pickled again, and others are put into it.
    buffer_callback : callable, optional
        As that of `pickle.Pickler`.
    """

    def __init__(
        self,
        file: Any,
        *,
        forked: bool = False,
        to_caller: bool = False,
        classes: dict[type, ByValue] | None = None,
        buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None,
    ) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL, buffer_callback=buffer_callback)
        self.forked = forked
        self.to_caller = to_caller
        self.classes = {} if classes is None else classes
        self.by_name_only = False

    # Called for objects that are not of the simple built-in types; not `persistent_id`, which is called for every
    # integer too, and whose objects are sent anew at each reference.
    def reducer_override(self, obj: Any) -> Any:
        """Reduce what is not left to pickle."""
        return self.reduce_global(obj) if is_global(obj) else NotImplemented

    def reduce_global(self, obj: Any) -> Any:
        """Reduce a function or a class that the receiver cannot import to its pickle."""
        if self.is_importable(obj):
            return NotImplemented
        if self.by_name_only:
            raise _ByNameError
        if type(obj) is _Cached:
            return _cached, (obj.__wrapped__, obj.cache_parameters())
        if not isinstance(obj, type):
            return self.dump_by_value(obj).__reduce__()
        if self.to_caller:
            return _class_for_caller(obj) or self.dump_by_value(obj).__reduce__()
        if obj not in self.classes:
            self.classes[obj] = self.dump_by_value(obj)
        return _load_class, (_key(obj), self.classes[obj].data)

    def reduce_in_value(self, obj: Any) -> Any:
        """Reduce an object inside something that is pickled by value; NotImplemented to leave that to cloudpickle."""
        return NotImplemented

    def goes_by_value(self, obj: Any) -> bool:
        """Whether it is a function or a class that the receiver cannot import."""
        return is_global(obj) and not self.is_importable(obj)

    def is_importable(self, obj: Any) -> bool:
        """Whether the receiver can import a function or a class."""
        try:
            module = obj.__module__
            if module == "__main__" and not (self.forked or self.to_caller or _main_has_file()):
                return False
            if isinstance(obj, type) and not obj.__flags__ & _HEAP_TYPE:
                return True  # or it cannot be pickled at all: it was made in C
            found: Any = sys.modules.get(module)
            for part in obj.__qualname__.split("."):
                found = getattr(found, part, None)
        except Exception:  # noqa: BLE001 - the __getattr__ of a module may raise anything, which pickle then reports
            return True
        return found is obj

    def dump_by_value(self, obj: Any) -> ByValue:
        """Pickle an object with everything that workers cannot import in it."""
        pickler = self.value_pickler(obj)
        pickler.dump(obj)
        return ByValue(obj, pickler)

    def value_pickler(self, obj: Any) -> Any:
        """Return the pickler of cloudpickle for an object."""
        try:
            return _value_pickler()(self)
        except ImportError:
            how = "was defined interactively" if obj.__module__ == "__main__" else "is not found in its module"
            raise _NoCloudpickleError(f"workers cannot import {describe(obj)}, which {how}; {CLOUDPICKLE}") from None

    def check(self, value: Any) -> None:
        """Pickle a value and forget it; for picklers that write nowhere."""
        try:
            self.dump(value)
        finally:
            self.clear_memo()


def is_global(obj: Any) -> bool:
    """Whether it is a function or a class, which pickle reduces to a name."""
    kind = type(obj)
    return kind is FunctionType or kind is _Cached or issubclass(kind, type)


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return lru_cache(**parameters)(function)


class ByValue:
    """What has been pickled by value; its own pickle becomes the same."""

    def __init__(self, obj: Any, pickler: Any) -> None:
        self.data: bytes = pickler.file.getvalue()
        self.__module__ = getattr(obj, "__module__", "")
        self.__qualname__ = getattr(obj, "__qualname__", type(obj).__qualname__)
        pickler.outer = None
        self._pickler = pickler  # it keeps the objects, of which arrays in shared memory are pickled as names

    def __reduce__(self) -> tuple[Any, ...]:
        return load_by_value, (self.data,)


@cache
def _value_pickler() -> Any:
    import cloudpickle

    class ValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Pickles functions and classes by value, for an outer pickler."""

        def __init__(self, outer: Pickler) -> None:
            self.file = io.BytesIO()
            super().__init__(self.file)
            self.outer = outer

        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is _Cached:
                return self.outer.reduce_global(obj)
            if not issubclass(type(obj), type):
                reduced = self.outer.reduce_in_value(obj)
                return super().reducer_override(obj) if reduced is NotImplemented else reduced
            # Cloudpickle would make another class beside the one that the receiver imports.
            if obj.__module__ in MAIN and self.outer.is_importable(obj):
                return NotImplemented
            if self.outer.to_caller:
                return _class_for_caller(obj) or super().reducer_override(obj)
            reduced = super().reducer_override(obj)
            if reduced is NotImplemented or len(reduced) < 6:
                return reduced
            make, arguments, *state = reduced
            return _make_class, (_key(obj), make, arguments), *state

    return ValuePickler


class Unpickler(pickle.Unpickler):
    """Imports the caller's main module, where that is left until then, when it is needed."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a function or a class."""
        if module in MAIN:
            load_main()
        return super().find_class(module, name)


def _do_nothing() -> None: ...


load_main: Callable[[], None] = _do_nothing
"""Imports the caller's main module; set in subinterpreters, which import it when they need it."""


def load_by_value(data: bytes) -> Any:
    """Unpickle what has been pickled by value."""
    return Unpickler(io.BytesIO(data)).load()


_classes: WeakValueDictionary[str, type] = WeakValueDictionary()
"""By their keys: the classes that this process has sent to workers or received from its caller by value."""

_keys: WeakKeyDictionary[type, str] = WeakKeyDictionary()

_of_caller: WeakKeyDictionary[type, bytes | None] = WeakKeyDictionary()
"""Those that the caller has, and their last pickles."""

_registering = Lock()


def _key(cls: type) -> str:
    with _registering:
        key = _keys.get(cls)
        if key is None:
            key = _keys[cls] = os.urandom(16).hex()
            _classes[key] = cls
        return key


def _load_class(key: str, data: bytes) -> type:
    """Unpickle a class from the caller, unless it has been received as it is."""
    cls = _classes.get(key)
    if cls is None or _of_caller.get(cls, data) != data:
        cls = load_by_value(data)
        with _registering:
            _of_caller[cls] = data
    return cls


def _make_class(key: str, make: Callable[..., type], arguments: tuple[Any, ...]) -> type:
    """Begin to unpickle a class from the caller."""
    cls = _classes.get(key) or make(*arguments)  # which may call __init_subclass__
    with _registering:
        _classes[key] = cls
        _keys[cls] = key
        _of_caller.setdefault(cls, None)
    return cls


def _class_for_caller(cls: type) -> tuple[Any, ...] | None:
    """Reduce a class that the caller has; unpickling it by value there would overwrite its attributes."""
    return (_callers_class, (_keys[cls], describe(cls))) if cls in _of_caller else None


def _callers_class(key: str, name: str) -> type:
    cls = _classes.get(key)
    if cls is None:
        raise pickle.UnpicklingError(f"the class {name} of a result does not exist any more")
    return cls


def _inherit_classes() -> None:
    global _registering
    _registering = Lock()  # another thread may have held it
    _of_caller.update(dict.fromkeys(_keys))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_inherit_classes)


def make_picklable(
    function: Callable[..., Any],
    items: Iterable[Any],
    pickler: Callable[..., Pickler],
    *,
    what: str = "item",
    forked: bool = False,
) -> Any:
    """Return `function` itself, or pickled by value where workers cannot import it.

    Parameters
    ----------
    function : callable
        The function of a call, or an initializer.
    items : iterable
        Values to check.
    pickler : callable
        Makes a `Pickler` of a file.
    what : str
        What an item is, for error messages.
    forked : bool
        Whether the workers are forked, and so have the main module of this process.

    Raises
    ------
    TypeError
        If the function or an item cannot be pickled, or needs cloudpickle and that is not installed.
    """
    checker = pickler(Nowhere(), forked=forked)
    ready = _by_value_if_needed(function, checker)
    for position, item in enumerate(items):
        try:
            checker.check(item)
        except Exception as error:
            raise unpicklable(f"{what} {position}", item, error, checker) from error
    return ready


def prepare_initializer(
    initializer: Callable[..., object],
    initargs: tuple[Any, ...],
    pickler: Callable[..., Pickler],
    *,
    forked: bool = False,
) -> tuple[Callable[[Any], None], Any]:
    """Return a function and an item, both picklable, that call an initializer with its arguments."""
    ready = make_picklable(initializer, initargs, pickler, what="the initializer's argument", forked=forked)
    return _initialize, (ready, initargs)


def _initialize(setup: tuple[Callable[..., object], tuple[Any, ...]]) -> None:
    initializer, initargs = setup
    initializer(*initargs)


def _by_value_if_needed(function: Callable[..., Any], checker: Pickler) -> Any:
    checker.by_name_only = True
    try:
        checker.check(function)
    except Exception as error:  # noqa: BLE001 - an object's own __reduce__ may raise anything
        refusal = error
    else:
        return function
    finally:
        checker.by_name_only = False
    try:
        return checker.dump_by_value(function)
    except _NoCloudpickleError as missing:
        refusal = missing if isinstance(refusal, _ByNameError) else refusal
        raise unpicklable("", function, refusal, checker) from refusal
    except Exception as error:
        raise unpicklable("", function, error, checker) from error
    finally:
        del refusal  # it would form a cycle with its traceback, which keeps the items


class _ByNameError(Exception):
    """A function or a class cannot be pickled by name."""


class _NoCloudpickleError(TypeError):
    """A function or a class cannot be pickled by value."""


@contextmanager
def hide_missing_main_file() -> Iterator[None]:
    """Keep new workers from importing a main module without a file, such as ``<stdin>``."""
    main = vars(sys.modules["__main__"])
    named = "__file__" in main and not _main_has_file()
    name = main.pop("__file__") if named else None
    try:
        yield
    finally:
        if named:
            main["__file__"] = name


def _main_has_file() -> bool:
    file = getattr(sys.modules["__main__"], "__file__", None)
    return file is not None and Path(file).exists()
