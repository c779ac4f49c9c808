"""Work over arrays side by side."""

import numpy as np
import pytest

from parcount.kernels.job import total
from parcount.kernels.slices import Slices


@pytest.mark.parametrize("size", [0, 1, 2, 10])
@pytest.mark.parametrize("parts", [1, 2, 3, 11])
def test_parts_make_up_the_whole(size: int, parts: int) -> None:
    a, b, weights = np.arange(size), np.arange(size) * 2, np.arange(size) / 2
    split = Slices([a, b], weights, ("setting",)).split(parts)
    assert len(split) == parts
    assert np.concatenate([part.args[0][0] for part in split]).tolist() == a.tolist()
    assert np.concatenate([part.args[0][1] for part in split]).tolist() == b.tolist()
    assert np.concatenate([part.args[1] for part in split]).tolist() == weights.tolist()
    assert all(part.args[2:] == ("setting",) and part.out is None for part in split)


def test_slices_share_the_arrays_memory() -> None:
    a = np.arange(10)
    assert all(np.shares_memory(part.args[0][0], a) for part in Slices([a]).split(2))


@pytest.mark.parametrize("lengths", [[3], [3, 3], [1, 3, 2], [0, 0], [3, 0, 3]])
def test_tables_of_any_lengths_add_up(lengths: list[int]) -> None:
    tables = [np.arange(length) + 1 for length in lengths]
    expected = sum((np.pad(table, (0, max(lengths) - len(table))) for table in tables), np.zeros(max(lengths), int))
    assert total(tables).tolist() == expected.tolist()
