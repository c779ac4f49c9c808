"""The execution `Serial`: the calling thread runs all items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from parcount.execution.base import Execution
from parcount.execution.stream import Outcome, TaskStream


class Serial(Execution):
    """The calling thread runs all items, one after another.

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
    def _max_ahead(self) -> int:
        return 1

    def _open_stream(self, function: Callable[[Any], Any], idempotent: bool) -> TaskStream:  # noqa: ARG002
        return _ProcessStream(function)

    def _map(self, function: Callable[[Any], Any], items: Sequence[Any], idempotent: bool) -> list[Any]:  # noqa: ARG002
        return [function(item) for item in items]

    def _together(
        self, function: Callable[[Any], Any], items: Sequence[Any], idempotent: bool
    ) -> tuple[list[Any], float]:
        opened = perf_counter()
        return self._map(function, items, idempotent), opened


class _ProcessStream(TaskStream):
    """Runs each item when it is submitted."""

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
    def has_capacity(self) -> bool:
        """Whether the last outcome has been polled."""
        return not self.outcomes

    @property
    def busy(self) -> bool:
        """Whether an outcome has not been polled."""
        return bool(self.outcomes)

    def submit(self, position: int, item: Any) -> None:
        """Run the item."""
        try:
            outcome = Outcome(position, self.function(item))
        except Exception as error:  # noqa: BLE001 - raised where its result would have been
            outcome = Outcome(position, error=error)
        self.outcomes.append(outcome)

    def poll(self) -> list[Outcome]:
        """The outcome."""
        outcomes, self.outcomes = self.outcomes, []
        return outcomes
