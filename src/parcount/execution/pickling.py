"""Pickling of functions and items for workers, by pickle or by cloudpickle."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

Check = Callable[[Any], object]
"""Pickles a value as a message to the worker would, and raises what that raises."""

THREADS = "Threads do not pickle."
CLOUDPICKLE = "Lambdas and nested functions require cloudpickle: pip install 'parcount[study]'."


def make_picklable(
    function: Callable[..., Any], items: Iterable[Any], check: Check, *, what: str = "item", forked: bool = False
) -> Any:
    """Return `function` itself, or wrapped by cloudpickle where pickle refuses it.

    Parameters
    ----------
    function : callable
        The function of a call, or an initializer.
    items : iterable
        Values that must be picklable by pickle.
    check : callable
        Pickles a value as the workers' serialisation does.
    what : str
        What an item is, for error messages.
    forked : bool
        Whether the workers are forked, and so have all modules of this process.

    Raises
    ------
    TypeError
        If the function or an item cannot be pickled, or the function needs cloudpickle and that is not installed.
    """
    ready = _by_value_if_needed(function, check, forked)
    for position, item in enumerate(items):
        try:
            check(item)
        except Exception as error:
            raise unpicklable(f"{what} {position}", item, error) from error
    return ready


def prepare_initializer(
    initializer: Callable[..., object], initargs: tuple[Any, ...], check: Check, *, forked: bool = False
) -> tuple[Callable[[Any], None], Any]:
    """Return a function and an item, both picklable, that call an initializer with its arguments."""
    ready = make_picklable(initializer, initargs, check, what="the initializer's argument", forked=forked)
    return _initialize, (ready, initargs)


def _initialize(setup: tuple[Callable[..., object], tuple[Any, ...]]) -> None:
    initializer, initargs = setup
    initializer(*initargs)


def _by_value_if_needed(function: Callable[..., Any], check: Check, forked: bool) -> Any:
    try:
        check(function)
    except Exception as error:  # noqa: BLE001 - an object's own __reduce__ may raise anything
        refusal = error
    else:
        if forked or not _is_interactive(function):
            return function
        refusal = TypeError("it was defined interactively, and workers cannot import it")
    try:
        import cloudpickle

        return _ByValue(cloudpickle.dumps(function))
    except ImportError:
        hint = CLOUDPICKLE
    except Exception as error:  # noqa: BLE001 - as above
        refusal, hint = error, "Cloudpickle cannot pickle it either."
    raise TypeError(f"{name_of(function)} cannot be sent to a worker: {refusal}. {hint} {THREADS}") from refusal


def unpicklable(what: str, thing: Any, error: Exception) -> Exception:
    """Return the TypeError for a value that cannot be pickled; an OSError or MemoryError is returned unchanged."""
    if isinstance(error, OSError | MemoryError):
        return error
    return TypeError(f"{what}, {name_of(thing)}, cannot be sent to a worker: {error}. {THREADS}")


class _ByValue:
    """A function pickled by cloudpickle; it unpickles as the function."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> Any:
        return pickle.loads, (self.data,)


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


def _is_interactive(function: Any) -> bool:
    """Whether it is defined in a main module without a file, which workers cannot import."""
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__module__", None) == "__main__" and not _main_has_file()


def _main_has_file() -> bool:
    file = getattr(sys.modules["__main__"], "__file__", None)
    return file is not None and Path(file).exists()


def name_of(thing: Any) -> str:
    """Return the module and name of a function or class, or the type of another object."""
    name = getattr(thing, "__qualname__", None)
    module = getattr(thing, "__module__", None)
    return ".".join(filter(None, (module, name))) if name else f"a {type(thing).__qualname__}"
