"""Random files are counted as by other programs."""

import shutil
import sys
from unittest import mock

import pytest

from parcount.files.totals import Totals
from tests.files.fuzz import fuzz

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not all(map(shutil.which, ("wc", "sort", "uniq"))),
    reason="compares with the programs of GNU",
)


def test_some_files() -> None:
    assert fuzz(200, seed=1) == (200, [])


@pytest.mark.slow
def test_many_files() -> None:
    done, differences = fuzz(3000, seed=2, seconds=60)
    assert done
    assert not differences


@pytest.mark.thread_unsafe(reason="replaces a method of all counts")
def test_a_wrong_count_is_found() -> None:
    with mock.patch.object(Totals, "find_start", lambda *arguments: arguments[-1]):
        _, differences = fuzz(100, seed=1)
    assert any(difference.startswith(("words", "Unicode words")) for difference in differences)
    assert not any(difference.startswith(("lines", "values", "order", "column")) for difference in differences)
