"""NumPy's own tests of the functions whose place ours take."""

import os
import subprocess
import sys

import pytest

SUITES = [
    "numpy.lib.tests.test_function_base::TestBincount",
    "numpy.lib.tests.test_histograms",
    "numpy.lib.tests.test_twodim_base",
    "numpy.lib.tests.test_arraysetops",
]
MODES = {
    "one thread": {"PARCOUNT_NUM_THREADS": "1", "PARCOUNT_GRAIN": "1"},
    "two threads": {"PARCOUNT_NUM_THREADS": "2"},
    "two threads, everything split": {"PARCOUNT_NUM_THREADS": "2", "PARCOUNT_GRAIN": "1"},
}


@pytest.mark.parametrize("mode", MODES)
def test_numpys_own_tests_pass(mode: str) -> None:
    pytest.importorskip("numpy.lib.tests", reason="this NumPy came without its tests")
    plugins = ["-p", "tests.arrays.numpys_own", "-p", "no:cacheprovider", "-c", os.devnull]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "--pyargs", *SUITES],
        env={**os.environ, **MODES[mode]},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
