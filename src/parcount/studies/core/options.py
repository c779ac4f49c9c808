"""The options of studies: how they are checked, and how the command parses them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from parcount.studies.core.registry import DEFAULT
from parcount.system.cores import parallel_cores

SECONDS = 120.0
"""Seconds after which a study ends with what it has; it ends earlier if everything is decided."""

QUICK_SECONDS = 20.0

MOST_WORKERS = 1_000_000


@dataclass(frozen=True)
class Options:
    """The checked options of a study.

    Attributes
    ----------
    workloads, variants, executions : tuple of str
        Names; never empty.
    workers : tuple of int
        Ascending.
    size : int or None
        Increments in one run of every cell, or None for what each variant does in a certain time. For io: pages; for
        transports: bytes of the largest array; for journal: records.
    data : str or None
        The file whose bytes the bincount workload counts.
    seed : int
        Of the generated data, and of the order of the cells.
    seconds : float
        How long to measure.
    study : str
        The study's name in the registry.
    delay : float or None
        Milliseconds that a server waits before each answer, where there is one.
    target, setup, arguments : str or None
        The user's function or statement, what runs before it, and its arguments as a Python expression.
    pythons : tuple of str
        The Pythons that run it, as they were named.
    shared, fresh, share_sweep : bool
        Whether the setup runs once for all workers rather than once for each, whether it runs before each call, and
        whether every object is also measured shared by all workers and private to each.
    timeout : float or None
        Seconds after which a call that has not returned is given up.
    bytes : tuple of int
        Sizes of records, ascending.
    directory : str or None
        Where files are written.
    sync : str or None
        When a record must be on the disk.
    """

    workloads: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    executions: tuple[str, ...] = ()
    workers: tuple[int, ...] = ()
    size: int | None = None
    data: str | None = None
    seed: int = 0
    seconds: float = SECONDS
    study: str = DEFAULT
    delay: float | None = None
    target: str | None = None
    setup: str | None = None
    arguments: str | None = None
    pythons: tuple[str, ...] = ()
    shared: bool = False
    fresh: bool = False
    share_sweep: bool = False
    timeout: float | None = None
    bytes: tuple[int, ...] = ()
    directory: str | None = None
    sync: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 1 << 63:
            raise ValueError(f"the seed must be from 0 to 2**63 - 1, not {self.seed}")
        if not self.seconds > 0:
            raise ValueError(f"the time to measure must be more than 0 seconds, not {self.seconds}")

    def asdict(self) -> dict[str, Any]:
        """Return them as the result file stores them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Option:
    """An option that some studies have and others do not.

    Parameters
    ----------
    keyword, flag : str
        Its name in Python and on the command line.
    metavar, help : str
        What the command's help shows.
    parse, check : callable
        Convert the command's text to a value, and a value, or None, to a checked one; they raise ValueError.
    """

    keyword: str
    flag: str
    metavar: str
    help: str
    parse: Callable[[str], Any]
    check: Callable[[Any], Any]


def names_option(keyword: str, what: str, existing: Collection[str], more: str = "") -> Option:
    """Return an option that selects some of the existing names, by default all."""
    return Option(
        keyword,
        f"--{keyword}",
        "LIST",
        f"of {', '.join(existing)}; default: all{more}",
        parse_names,
        lambda asked: names(what, asked, existing, tuple(existing)),
    )


def workers_option(help: str, default: Callable[[], tuple[int, ...]]) -> Option:  # noqa: A002 - as Option calls it
    """Return an option of numbers of workers."""
    return Option(
        "workers",
        "--workers",
        "LIST",
        help,
        parse_integers,
        lambda asked: default() if asked is None else worker_counts(asked),
    )


def size_option(help: str, least: int = 0, unit: str = "", metavar: str = "N") -> Option:  # noqa: A002
    """Return the option of the size of a run."""

    def check(size: int | None) -> int | None:
        if size is not None and size < least:
            raise ValueError(f"the size must be at least {f'{least} {unit}'.strip()}, not {size}")
        return size

    return Option("size", "--size", metavar, help, parse_integer, check)


def doublings(cores: int) -> tuple[int, ...]:
    """Return 1, 2, 4 … and all the cores; up to four cores, every number.

    Examples
    --------
    >>> doublings(2), doublings(3), doublings(12)
    ((1, 2), (1, 2, 3), (1, 2, 4, 8, 12))
    """
    if cores <= 4:
        return tuple(range(1, cores + 1))
    return (*(1 << power for power in range((cores - 1).bit_length())), cores)


def names(
    what: str, asked: str | Sequence[str] | None, existing: Collection[str], default: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return the selected names in the order of the existing ones; ValueError if one does not exist or none is named.

    The default is returned for None.
    """
    if asked is None:
        return default
    asked = (asked,) if isinstance(asked, str) else asked
    for name in asked:
        if name not in existing:
            raise ValueError(f"no {what} {name!r}; there are {', '.join(existing)}")
    if not asked:
        raise ValueError(f"no {what} named; there are {', '.join(existing)}")
    return tuple(name for name in existing if name in asked)


def worker_counts(asked: int | Sequence[int] | None = None) -> tuple[int, ...]:
    """Return numbers of workers in ascending order; ValueError if one is out of range or there is none.

    By default they are the `doublings` of the available cores.
    """
    if asked is None:
        return doublings(parallel_cores())
    asked = (asked,) if isinstance(asked, int) else asked
    for workers in asked:
        if not 1 <= workers <= MOST_WORKERS:
            raise ValueError(f"workers must be at least 1 and at most {MOST_WORKERS}, not {workers}")
    if not asked:
        raise ValueError("no number of workers named")
    return tuple(sorted(set(asked)))


def parse_names(text: str) -> list[str]:
    """Parse names separated by commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def parse_integer(text: str) -> int:
    """Parse an integer; ValueError if the text is not one."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an integer") from None


def parse_integers(text: str) -> list[int]:
    """Parse integers separated by commas; ValueError if one is not an integer."""
    return list(map(parse_integer, parse_names(text)))


def parse_number(text: str) -> float:
    """Parse a number; ValueError if the text is not one."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
