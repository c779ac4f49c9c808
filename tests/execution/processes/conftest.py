"""What tests of worker processes share."""

import gc
import sys
from collections.abc import Iterator

import pytest

from parcount.shm import blocks
from tests import remote


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    """No shared memory of this process and its workers stays."""
    mark = blocks.name_prefix_for_worker().rpartition("-")[0]
    before = remote.blocks(mark)
    yield
    gc.collect()  # the tests' own arrays, which a caught error may hold
    if sys.platform == "linux":
        assert remote.blocks(mark) <= before
