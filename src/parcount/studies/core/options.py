"""The options of studies, checked, and how the command parses them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from parcount.studies.core.registry import DEFAULT
from parcount.system.cores import available_cores

SECONDS = 60.0
QUICK_SECONDS = 20.0


@dataclass(frozen=True)
class Options:
    """The checked options of a study.

    Attributes
    ----------
    workloads, variants, executions : tuple of str
        Names; never empty.
    workers : tuple of int
        Rising.
    size : int or None
        Increments in one run of every cell, or None for what each variant does in a certain time. For io: pages; for
        transports: bytes of the largest array.
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
    """

    workloads: tuple[str, ...]
    variants: tuple[str, ...]
    executions: tuple[str, ...]
    workers: tuple[int, ...]
    size: int | None
    data: str | None
    seed: int
    seconds: float
    study: str = DEFAULT
    delay: float | None = None

    def asdict(self) -> dict[str, Any]:
        """Return them as the result file stores them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def check_numbers(size: int | None, seed: int, seconds: float) -> None:
    """Refuse numbers that no study can have.

    Raises
    ------
    ValueError
        If one is out of range.
    """
    if size is not None and size < 0:
        raise ValueError(f"the size must be at least 0, not {size}")
    if not 0 <= seed < 1 << 63:
        raise ValueError(f"the seed must be from 0 to 2**63 - 1, not {seed}")
    if not seconds > 0:
        raise ValueError(f"the time to measure must be more than 0 seconds, not {seconds}")


def doublings(cores: int) -> tuple[int, ...]:
    """1, 2, 4 … and all the cores; up to four cores, every number.

    Examples
    --------
    >>> doublings(2), doublings(3), doublings(12)
    ((1, 2), (1, 2, 3), (1, 2, 4, 8, 12))
    """
    if cores <= 4:
        return tuple(range(1, cores + 1))
    return (*(1 << power for power in range((cores - 1).bit_length())), cores)


def names(
    what: str, asked: str | Sequence[str] | None, existing: Collection[str], default: tuple[str, ...]
) -> tuple[str, ...]:
    """The names that were asked for, in the order of those that exist.

    Raises
    ------
    ValueError
        If one does not exist, or none was named.
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


def worker_counts(asked: int | Sequence[int] | None) -> tuple[int, ...]:
    """The numbers of workers that were asked for, rising.

    Raises
    ------
    ValueError
        If one is less than one, or none was named.
    """
    if asked is None:
        return doublings(available_cores())
    asked = (asked,) if isinstance(asked, int) else asked
    for workers in asked:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
    if not asked:
        raise ValueError("no number of workers named")
    return tuple(sorted(set(asked)))


def parse_names(text: str) -> list[str]:
    """Parse names separated by commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def parse_integer(text: str) -> int:
    """Parse an integer, with underscores between its digits if any.

    Raises
    ------
    ValueError
        If it is not one.
    """
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an integer") from None


def parse_integers(text: str) -> list[int]:
    """Parse integers separated by commas.

    Raises
    ------
    ValueError
        If one is not an integer.
    """
    return [parse_integer(word) for word in parse_names(text)]


def parse_number(text: str) -> float:
    """Parse a number.

    Raises
    ------
    ValueError
        If it is not one.
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
