"""Whether functions and items can be sent to a worker: by plain pickle, by cloudpickle, or not at all."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

Check = Callable[[Any], object]
"""Raises what the messages to a kind of worker raise when they pickle something."""

THREADS = "Threads take anything as it is."
ARGUMENT = "the initializer's argument"
CLOUDPICKLE = "Lambdas and functions defined inside others take cloudpickle: pip install 'parcount[study]'."


def make_picklable(
    function: Callable[..., Any], items: Iterable[Any], check: Check, *, what: str = "item", forked: bool = False
) -> Any:
    """`function` as something that pickles: itself, or wrapped by cloudpickle where plain pickle refuses it.

    Parameters
    ----------
    function : callable
        That of a call, or an initializer.
    items : iterable
        What must pickle too, and that plainly.
    check : callable
        Of the workers' serialisation.
    what : str
        Each of the items is.
    forked : bool
        Whether the workers have all that this process has, because they are copies of it.

    Raises
    ------
    TypeError
        If it cannot be sent, or if that would take cloudpickle and it is not installed; or if an item cannot.
    """
    ready = _by_value_if_needed(function, check, forked)
    for position, item in enumerate(items):
        try:
            check(item)
        except Exception as error:
            raise unpicklable(f"{what} {position}", item, error) from error
    return ready


def _by_value_if_needed(function: Callable[..., Any], check: Check, forked: bool) -> Any:
    try:
        check(function)
    except Exception as error:  # noqa: BLE001 - an object's own __reduce__ may raise anything
        refusal = error
    else:
        if forked or not _is_interactive(function):
            return function
        refusal = TypeError("it was typed in, and a worker has no file to import it from")
    try:
        import cloudpickle

        return _ByValue(cloudpickle.dumps(function))
    except ImportError:
        hint = CLOUDPICKLE
    except Exception as error:  # noqa: BLE001 - as above
        refusal, hint = error, "Cloudpickle does not take it either."
    raise TypeError(f"{_name(function)} cannot be sent to a worker: {refusal}. {hint} {THREADS}") from refusal


def unpicklable(what: str, thing: Any, error: Exception) -> Exception:
    """The error for a thing that could not be pickled; one of the system's own, such as full memory, stays as it is."""
    if isinstance(error, OSError | MemoryError):
        return error
    return TypeError(f"{what}, {_name(thing)}, cannot be sent to a worker: {error}. {THREADS}")


class _ByValue:
    """A function on its way: unpickles as what cloudpickle made of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> Any:
        return pickle.loads, (self.data,)


@contextmanager
def hide_missing_main_file() -> Iterator[None]:
    """New workers do not look for a main module that has no file: one that was read from a pipe says ``<stdin>``."""
    main = vars(sys.modules["__main__"])
    named = "__file__" in main and not _main_has_file()
    name = main.pop("__file__") if named else None
    try:
        yield
    finally:
        if named:
            main["__file__"] = name


def _is_interactive(function: Any) -> bool:
    """Whether it belongs to a main module without a file, which workers cannot import."""
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__module__", None) == "__main__" and not _main_has_file()


def _main_has_file() -> bool:
    file = getattr(sys.modules["__main__"], "__file__", None)
    return file is not None and Path(file).exists()


def _name(thing: Any) -> str:
    name = getattr(thing, "__qualname__", None)
    module = getattr(thing, "__module__", None)
    return ".".join(filter(None, (module, name))) if name else f"a {type(thing).__qualname__}"
