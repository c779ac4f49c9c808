"""NumPy's own tests of the functions whose place ours take."""

import pytest

from tests.others import assert_they_pass

SUITES = [
    "numpy.lib.tests.test_function_base::TestBincount",
    "numpy.lib.tests.test_histograms",
    "numpy.lib.tests.test_twodim_base",
    "numpy.lib.tests.test_arraysetops",
]
MODES = {
    "one thread": {"PARCOUNT_NUM_THREADS": "1", "PARCOUNT_GRAIN": "1"},
    "two threads": {"PARCOUNT_NUM_THREADS": "2"},
    "threads=2": {"TEST_THREADS": "2"},
    "two threads, everything split": {"PARCOUNT_NUM_THREADS": "2", "PARCOUNT_GRAIN": "1"},
}


@pytest.mark.thread_unsafe(reason="its process does the work: several would only take turns")
@pytest.mark.parametrize(
    "mode",
    [pytest.param(mode, marks=[] if mode == "two threads, everything split" else pytest.mark.slow) for mode in MODES],
)
def test_numpys_own_tests_pass(mode: str) -> None:
    pytest.importorskip("numpy.lib.tests", reason="this NumPy came without its tests")
    assert_they_pass(SUITES, "tests.arrays.numpys_own", MODES[mode])
