"""Python's own tests of executors, of ours."""

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.execution.executions import INTERPRETERS, METHODS

KINDS = ["Threads", *(method.title() for method in METHODS), *(["Interpreters"] if INTERPRETERS else [])]

TESTS = 25
"""At least so many of them are run for each kind."""


def _are_there() -> bool:
    try:
        return bool(find_spec("test.test_concurrent_futures") or find_spec("test_concurrent_futures"))
    except ImportError:
        return False


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not _are_there(), reason="this Python came without its tests of executors")
@pytest.mark.parametrize("kind", KINDS)
def test_pythons_own_tests_pass(kind: str) -> None:
    command = [sys.executable, "-m", "unittest", "-k", f"*{kind}Test.*", "tests.execution.pythons_own"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    ran = re.search(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)
    assert ran is not None
    assert int(ran[1]) >= TESTS
