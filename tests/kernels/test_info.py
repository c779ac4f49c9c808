"""Which implementation of each kernel runs, and that each that this machine has is exact."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import parcount as pc
from parcount._native.cpu_features import REQUIRES, SUPPORTED, VARIABLE, enabled_features
from tests.plain import TIME_LIMIT

KERNELS = """
import sys, json, pytest
import parcount as pc
print(json.dumps({name: info.implementation for name, info in pc.kernel_info().items()}), flush=True)
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--hypothesis-profile=few", *sys.argv[1:]]))
"""

LOWER = [
    " ".join(disabled)
    for disabled in ([], ["AVX512_ICL"], ["AVX512"], ["AVX2"], ["NEON"])
    if set(disabled) <= set(SUPPORTED)
]
"""Values of the variable that give each implementation that there is here."""


def run_with(disabled: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, VARIABLE: disabled},
        capture_output=True,
        text=True,
        timeout=10 * TIME_LIMIT,
        check=False,
    )


def test_every_kernel_runs_the_best_that_is_enabled() -> None:
    for info in pc.kernel_info().values():
        assert info.implementation in info.available
        assert info.available[-1] == "baseline"
        if not os.environ.get(VARIABLE):
            assert info.implementation == info.available[0]


def test_no_features_are_disabled_by_an_empty_list() -> None:
    assert enabled_features("") == enabled_features(" , ") == SUPPORTED


@pytest.mark.parametrize("separator", [" ", ",", ", ", "\t"])
def test_features_are_listed_as_numpys_variable_lists_them(separator: str) -> None:
    assert enabled_features(separator.join(REQUIRES)) == ()
    assert enabled_features(separator.join(REQUIRES).lower()) == ()


@pytest.mark.parametrize("disabled", REQUIRES)
def test_what_needs_a_disabled_feature_is_disabled_too(disabled: str) -> None:
    left = enabled_features(disabled)
    assert set(left) == {name for name in SUPPORTED if name != disabled and disabled not in REQUIRES[name]}


def test_known_features_that_this_machine_lacks_may_be_listed() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        enabled_features("NEON AVX512")


@pytest.mark.parametrize("text", ["AVX521", "AVX2;AVX512", "AVX2 1"])
def test_unknown_features_are_a_warning_that_names_the_known(text: str) -> None:
    with pytest.warns(
        RuntimeWarning, match=r"which no kernel uses; it can list AVX2, AVX512, AVX512_ICL, NEON, SSE42, ARM_CRC32"
    ):
        enabled_features(text)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("disabled", LOWER)
def test_each_implementation_is_exact(disabled: str) -> None:
    tests = [str(Path(__file__).with_name(f"test_{name}.py")) for name in ("bincount", "histogram")]
    done = run_with(disabled, "-c", KERNELS, *tests, "-k", "cython or TestEveryMethodOfBytes or search")
    assert done.returncode == 0, done.stdout + done.stderr
    run = json.loads(done.stdout.partition("\n")[0])
    expected = enabled_features(disabled)
    assert (run["bincount of 8-bit keys"] == "AVX-512") == ("AVX512_ICL" in expected)
    best = [feature for feature in ("AVX512", "AVX2") if feature in expected]
    assert run["histogram"] == (best[0].replace("AVX512", "AVX-512") if best else "baseline")


@pytest.mark.thread_unsafe(reason="starts processes, of which several threads would only start more")
def test_info_names_the_implementations() -> None:
    disabled = " ".join(SUPPORTED)
    text = run_with(disabled, "-m", "parcount", "info").stdout
    kernels = json.loads(run_with(disabled, "-m", "parcount", "info", "--json").stdout)["kernels"]
    assert {kernel["implementation"] for kernel in kernels.values()} == {"baseline"}
    for name in pc.kernel_info():
        assert f"kernel {name}" in text
