"""Import time in a new interpreter, compared with importing NumPy alone."""

import subprocess
import sys

import pytest
from pytest_benchmark.fixture import BenchmarkFixture


@pytest.mark.benchmark(group="import")
@pytest.mark.parametrize(
    "source",
    ["pass", "import numpy", "import parcount", "import parcount; parcount.tally", "import parcount; parcount.study"],
)
def test_import(benchmark: BenchmarkFixture, source: str) -> None:
    command = [sys.executable, "-c", source]
    benchmark.pedantic(subprocess.run, (command,), {"check": True}, rounds=7, warmup_rounds=1)
