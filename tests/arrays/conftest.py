from collections.abc import Iterator

import pytest

import parcount as pc


@pytest.fixture
def finest_grain() -> Iterator[None]:
    """So that the smallest input is split, and none is left to NumPy."""
    pc.set_grain(1)
    yield
    pc.set_grain(None)
