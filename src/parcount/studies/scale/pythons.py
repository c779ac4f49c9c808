"""The Pythons that run a target: from what a user calls them to the words that start them."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from parcount.studies.scale.agent_process import AgentError, AgentProcess

VERSION = re.compile(r"(\d+\.\d+(?:\.\d+)?)(t?)")


@dataclass(frozen=True)
class Python:
    """One row of a comparison.

    Attributes
    ----------
    label : str
        Its version, such as "3.13", "3.13t" for a free-threaded build, and "3.13t, GIL on" for one that has it turned
        on.
    words : tuple of str
        The command that starts it.
    own : bool
        Whether it is the Python of this process.
    """

    label: str
    words: tuple[str, ...]
    own: bool


def own_python() -> Python:
    """Return the Python of this process."""
    gil = getattr(sys, "_is_gil_enabled", None)
    options = () if gil is None or "t" not in getattr(sys, "abiflags", "") else ("-X", f"gil={int(gil())}")
    free = "t" if "t" in getattr(sys, "abiflags", "") else ""
    label = f"{sys.version_info.major}.{sys.version_info.minor}{free}"
    if free and gil is not None and gil():
        label += ", GIL on"
    return Python(label, (sys.executable, *options), own=True)


def find_pythons(names: Sequence[str]) -> tuple[list[Python], dict[str, str]]:
    """Return the Pythons that names mean, in their order, and of those that do not start the reason, by their name.

    A name is a command, a version such as "3.13" or "3.13t", or a path. A free-threaded build is there twice, without
    the GIL and with it. Two of the same version are told apart by more of it, or by their number.
    """
    found: list[Python] = []
    missing: dict[str, str] = {}
    for name in names:
        reasons = []
        for candidate in _candidates(name):
            try:
                with AgentProcess([candidate]) as agent:
                    hello = agent.hello
            except AgentError as error:
                reasons.append(error.message)
                continue
            found += _rows(candidate, hello, {one.label for one in found})
            break
        else:
            missing[name] = reasons[0] if reasons else "there is no such command, version or path"
    return found, missing


def _rows(command: str, hello: dict[str, object], taken: set[str]) -> Iterator[Python]:
    version = str(hello["version"])
    free = "t" if hello["free_threaded"] else ""
    short = ".".join(version.split(".")[:2]) + free
    label = next(
        one
        for one in (short, version + free, *(f"{version}{free} ({number})" for number in range(2, 1000)))
        if one not in taken
    )
    own = os.path.realpath(str(hello["executable"])) == os.path.realpath(sys.executable)
    own = own and hello.get("prefix") == sys.prefix
    if not free:
        yield Python(label, (command,), own)
        return
    yield Python(label, (command, "-X", "gil=0"), own)
    yield Python(f"{label}, GIL on", (command, "-X", "gil=1"), own)


def _candidates(name: str) -> Iterator[str]:
    """Yield commands that a name may mean: several, because a shim on PATH may name a Python that cannot run."""
    path = Path(name).expanduser()
    if path.is_dir():
        for inside in ("bin/python3", "bin/python", "python.exe", "Scripts/python.exe"):
            if (path / inside).is_file():
                yield str(path / inside)
                return
    if len(path.parts) > 1:
        if path.is_file():
            yield str(path)
        return
    version = VERSION.fullmatch(name.removeprefix("python"))
    for command in (name, f"python{name}") if version else (name,):
        if located := shutil.which(command):
            yield located
    if version:
        number, free = version.groups()
        managed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
        for folder in sorted(managed.glob(f"{number}*"), reverse=True):
            if re.fullmatch(rf"{re.escape(number)}(\.\d+)?{free}", folder.name):
                yield str(folder / "bin" / "python")
