"""Freed memory that is used again."""

import sys

import pytest

from parcount.system.malloc import SETTINGS
from tests.conftest import Run

PROGRAM = """
import os, resource
import numpy as np
from parcount.system.malloc import reuse_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        both = np.ones(1 << 17), np.ones(1 << 17)
        del both
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
before = faults()
set = reuse_freed_memory()
faults()
print(set, before > 5000, faults() < 500)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the thresholds are those of glibc")
def test_arrays_cost_no_page_faults(run_script: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    assert run_script(PROGRAM).stdout.split() == ["True", "True", "True"]
    for name in SETTINGS:
        assert run_script(PROGRAM, environment={name: "131072" if name.endswith("_") else ""}).stdout.startswith(
            "False"
        )
