"""Python's own tests of `collections.Counter`, of ours."""

import pytest

from tests.others import assert_they_pass


def test_pythons_own_tests_pass() -> None:
    pytest.importorskip("test.test_collections", reason="this Python came without its tests")
    assert_they_pass(["test.test_collections::TestCounter"], "tests.counters.pythons_own")
