"""Checks of arguments."""

from __future__ import annotations


def integer(what: str, value: int, least: int = 1) -> int:
    """Return `value` as an int; TypeError or ValueError, naming `what`, unless it is an integer >= `least`."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} must be an integer, not {value!r}")
    if value.__index__() < least:
        raise ValueError(f"{what} must be at least {least}, not {value.__index__()}")
    return value.__index__()


def check_callable(function: object, what: str = "the function") -> None:
    """Raise TypeError, naming `what`, if the function is not callable."""
    if not callable(function):
        raise TypeError(f"{what} must be callable, not {function!r}")


def check_execution(on: object) -> None:
    """Raise TypeError if `on` is not an execution."""
    if not hasattr(type(on), "_submit_call"):  # its class cannot be imported here, since its module imports this one
        raise TypeError(f"on= takes an execution such as Threads(2), not {on!r}")
