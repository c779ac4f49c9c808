"""Combinations of parameters in which every two values meet, without the full product."""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any


def pairwise(*axes: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return rows, one value of each axis, so that every pair of values of two axes is in at least one row.

    Greedy: rows that cover the most new pairs are taken first.
    """
    columns = list(combinations(range(len(axes)), 2))
    covered: set[tuple[int, int, int, int]] = set()
    rows = []
    for least in range(len(columns), 0, -1):
        for row in product(*(range(len(axis)) for axis in axes)):
            new = {(i, j, row[i], row[j]) for i, j in columns} - covered
            if len(new) >= least:
                covered |= new
                rows.append(tuple(axis[index] for axis, index in zip(axes, row, strict=True)))
    return rows
