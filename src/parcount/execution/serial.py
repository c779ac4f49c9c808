"""The calling thread does everything itself: the baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from parcount.execution.base import Execution
from parcount.execution.flow import Call, Outcome


class Serial(Execution):
    """One worker: the calling thread.

    Examples
    --------
    >>> import parcount as pc
    >>> pc.Serial().map(len, ["a", "bc"])
    [1, 2]
    """

    name = "serial"

    def __init__(self) -> None:
        super().__init__(1)

    def __repr__(self) -> str:
        return "Serial()"

    @property
    def _ahead(self) -> int:
        return 1

    def _call(self, function: Callable[[Any], Any], once: bool) -> Call:  # noqa: ARG002
        return _Call(function)

    def _map(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> list[Any]:  # noqa: ARG002
        return [function(item) for item in items]

    def _together(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> tuple[list[Any], float]:
        opened = perf_counter()
        return self._map(function, items, once), opened


class _Call(Call):
    """One item at a time, done when it is given."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.outcomes: list[Outcome] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.outcomes.clear()

    @property
    def room(self) -> bool:
        """Whether the last item's outcome has been taken."""
        return not self.outcomes

    @property
    def busy(self) -> bool:
        """Whether it has not."""
        return bool(self.outcomes)

    def give(self, position: int, item: Any) -> None:
        """Do it now."""
        try:
            outcome = Outcome(position, self.function(item))
        except Exception as error:  # noqa: BLE001 - raised where its result would have been
            outcome = Outcome(position, error=error)
        self.outcomes.append(outcome)

    def take(self) -> list[Outcome]:
        """The outcome."""
        outcomes, self.outcomes = self.outcomes, []
        return outcomes
