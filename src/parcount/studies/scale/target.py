"""What is measured: a function or a statement of the user, as agents load it."""

from __future__ import annotations

import base64
import pickle
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FUNCTION = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)")
FILE = re.compile(r"(?P<path>.+\.py):(?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)")
DOTTED = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*)\.(?P<name>[^\W\d]\w*)")


@dataclass(frozen=True)
class Target:
    """A function or a statement.

    Attributes
    ----------
    text : str
        What it is called.
    request : mapping
        What an agent loads.
    path : tuple of str
        Directories that come first in an agent's ``sys.path``.
    portable : bool
        Whether other Pythons can load it.
    setup, arguments : str or None
        The texts that it was made of.
    unsent : str
        Why it cannot be sent to another process; empty if it can.
    """

    text: str
    request: Mapping[str, Any]
    path: tuple[str, ...] = ()
    portable: bool = True
    setup: str | None = None
    arguments: str | None = None
    unsent: str = ""


def parse_target(text: str, setup: str | None = None, arguments: str | None = None) -> Target:
    """Return the target that a command line names.

    Parameters
    ----------
    text : str
        ``module:function``, ``file.py:function``, or else a statement.
    setup : str, optional
        Statements that run before, once for each worker.
    arguments : str, optional
        A Python expression of a tuple of arguments, or of the only one.

    Raises
    ------
    ValueError
        If it is none of these, a statement has arguments, or Python cannot parse one of the texts.
    """
    _check_python(setup or "", "exec", "the setup")
    if arguments is not None:
        _check_python(arguments.strip(), "eval", "--args")
        arguments = arguments.strip()
    more = {"args": arguments, "setup": setup or ""}
    here = str(Path.cwd())
    if found := FILE.fullmatch(text):
        path = Path(found["path"]).absolute()
        request = {"kind": "file", "path": str(path), "name": found["name"], **more}
        return Target(text, request, (str(path.parent),), True, setup, arguments)
    if found := FUNCTION.fullmatch(text):
        request = {"kind": "import", "module": found["module"], "name": found["name"], **more}
        return Target(text, request, (here,), True, setup, arguments)
    if not text.strip():
        raise ValueError("the target is empty")
    if text.endswith(".py"):
        raise ValueError(f"{text!r} is a file: which function of it is to be measured? For example {text}:main")
    if not setup and (found := DOTTED.fullmatch(text)):
        raise ValueError(f"{text!r} calls nothing: a function is written {found['module']}:{found['name']}")
    if arguments is not None:
        raise ValueError("a statement has no arguments: --args is for functions")
    _check_python(text, "exec", "the statement")
    return Target(text, {"kind": "statement", "setup": setup or "", "statement": text}, (here,), True, setup)


def pickle_target(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    setup: Callable[[], Any] | None,
) -> Target:
    """Return the target for a function of this process, which other processes get as a pickle if there can be one.

    Raises
    ------
    TypeError
        If it is not callable.
    """
    for what, one in (("the function", function), ("setup", setup)):
        if one is not None and not callable(one):
            raise TypeError(f"{what} must be callable, not {type(one).__name__}")
    try:
        import cloudpickle  # functions of a notebook, a script, or another function, by value

        dumps: Callable[..., bytes] = cloudpickle.dumps
    except ImportError:
        dumps = pickle.dumps
    content = (function, args, dict(kwargs), setup)
    name = (getattr(function, "__qualname__", None) or type(function).__name__).replace("<lambda>", "lambda")
    path = tuple(filter(None, sys.path))
    try:
        data = dumps(content)
    except Exception as error:  # noqa: BLE001 - whatever an object's own way to be pickled raises
        unsent = f"it cannot be sent to another process: {error}"
        return Target(name, {"kind": "local", "content": content}, path, portable=False, unsent=unsent)
    return Target(name, {"kind": "pickle", "data": base64.b64encode(data).decode()}, path, portable=False)


def _check_python(source: str, mode: str, what: str) -> None:
    try:
        compile(source, what, mode)
    except (SyntaxError, ValueError) as error:
        line = f" in line {error.lineno}" if isinstance(error, SyntaxError) and (error.lineno or 1) > 1 else ""
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ValueError(f"{what} is not valid Python{line}: {message}: {source.strip()!r}") from None
