"""What a study's caller asked for, checked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from parcount.studies.registry import DEFAULT
from parcount.system.cores import available_cores

SECONDS = 60.0


QUICK_SECONDS = 20.0


def how_long(seconds: float | None, quick: bool) -> float:
    """How long to measure: as asked for, or the usual time, or that of a quick study."""
    if seconds is not None:
        return seconds
    return QUICK_SECONDS if quick else SECONDS


@dataclass(frozen=True)
class Options:
    """What a study's caller asked for, checked.

    Attributes
    ----------
    workloads, variants, executions : tuple of str
        Names; never empty.
    workers : tuple of int
        Rising.
    size : int or None
        Increments in one run of every cell; None lets each variant have what it can do in a tenth of a second. Of
        transports: bytes of the largest array.
    data : str or None
        The file whose bytes the bincount workload counts.
    seed : int
        Of the generated data, and of the order of the cells.
    seconds : float
        How long to measure.
    question : str
        What the study is about, by the name that `parcount.studies.registry` has for it.
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
    question: str = DEFAULT
    delay: float | None = None

    def asdict(self) -> dict[str, Any]:
        """As the result file stores them."""
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
