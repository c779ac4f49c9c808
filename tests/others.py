"""Running the tests that others wrote for what parcount stands in for."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence


def assert_they_pass(suites: Sequence[str], plugin: str, environment: Mapping[str, str] | None = None) -> None:
    """Run test suites of installed packages in a Python of their own, with a plugin that puts ours in place."""
    plugins = ["-p", plugin, "-p", "no:cacheprovider", "-c", os.devnull]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "--pyargs", *suites],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
