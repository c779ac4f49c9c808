"""Work over arrays side by side, whose parts are slices of them all: what the array functions hand out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from parcount.kernels.job import Part, Work, cuts, total


@dataclass(frozen=True)
class Slices(Work):
    """One-dimensional arrays of one length.

    Its kernels bring a table of their own: they take the list of `columns`, the `weights`, and the `settings`.

    Parameters
    ----------
    columns : sequence of ndarray
        What is counted; of any strides and byte order.
    weights : ndarray or None
        What each adds; one if None.
    settings : tuple
        What all parts share.
    """

    columns: Sequence[NDArray[Any]]
    weights: NDArray[Any] | None = None
    settings: tuple[Any, ...] = ()

    @property
    def size(self) -> int:
        """How long the arrays are."""
        return len(self.columns[0])

    def split(self, parts: int) -> list[Part]:
        """Slices of all arrays."""
        return [
            Part(
                None,
                (
                    [column[start:stop] for column in self.columns],
                    None if self.weights is None else self.weights[start:stop],
                    *self.settings,
                ),
            )
            for start, stop in cuts(self.size, parts)
        ]

    def merge(self, partials: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """The sum of the parts' tables, in their order."""
        return total(partials)
