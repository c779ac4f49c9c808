"""What all tests share.

The tests form a package that pytest imports in its default "prepend" mode: that puts the folder above `tests/` on
``sys.path``, which multiprocessing hands to the workers it spawns. They find functions of `tests.remote` by name; under
``--import-mode=importlib`` they would not.
"""

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Event, Thread

import pytest
from hypothesis import HealthCheck, settings

from parcount.kernels import VARIANTS
from parcount.system.cores import available_cores
from tests.remote import TIME_LIMIT, until

# Nothing here asserts a time: neither Hypothesis' deadline for an example nor its limit on making one.
settings.register_profile(
    "parcount", deadline=None, max_examples=25, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("many", settings.get_profile("parcount"), max_examples=60)  # .ci/run
settings.register_profile("few", settings.get_profile("parcount"), max_examples=5)  # make sanitize-threads
settings.load_profile("parcount")

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()

forks_beside_threads = pytest.mark.skipif(
    not GIL and sys.version_info < (3, 14),
    reason="in a child that a free-threaded CPython 3.13 forks while other threads run, threads may never start",
)

INSTALLED = [name for name, variant in VARIANTS.items() if variant.missing() is None]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


THREADED = {Path(__file__).parent / room for room in ("arrays", "counters", "kernels")}
"""Whose tests pytest-run-parallel is to run each in several threads at once: those of the compiled loops."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one more than there are cores, because many tests wait, and at most four."""
    return min(4, available_cores() + 1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if THREADED.isdisjoint(item.path.parents):
            item.add_marker(pytest.mark.thread_unsafe(reason="no test of the compiled loops"))
        if item.get_closest_marker("forks"):
            item.add_marker(pytest.mark.xdist_group("forks"))
    # Once `numba-parallel` has run here on its usual layer, this process cannot fork workers any more.
    items.sort(key=lambda item: item.get_closest_marker("forks") is None)


def pytest_collection_finish() -> None:
    """Exempt what exists from collections: many tests collect, which would visit all modules and tests each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", params=INSTALLED)
def variant(request: pytest.FixtureRequest) -> str:
    """Every variant that is installed; `test_jit` says what becomes of those that are not."""
    name: str = request.param
    return name


@pytest.fixture
def run_script(tmp_path: Path) -> Run:
    """Run a script, from a file, in a Python of its own."""

    def run(source: str, *, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        with NamedTemporaryFile("w", dir=tmp_path, suffix=".py", delete=False) as script:  # threads may run several
            script.write(source)
        return subprocess.run(
            [sys.executable, script.name],
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Without the garbage collector, what still refers to itself does not go away."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Bumper:
    """A thread that adds one to `count` whenever it gets the GIL, and then gives it back.

    With an endless switch interval a thread keeps the GIL until it gives it away by itself: where `count` has changed,
    what ran meanwhile has done that.
    """

    def __init__(self) -> None:
        self.count = 0
        self.stopped = False
        self.started = Event()
        self.thread = Thread(target=self.bump)

    def bump(self) -> None:
        self.started.set()
        while not self.stopped:
            self.count += 1
            time.sleep(0.0001)  # the only thing that makes it let go


@pytest.fixture
def bumper() -> Iterator[Bumper]:
    """Shows whether the GIL is given away."""
    if not GIL:
        pytest.skip("there is no GIL to release")
    bumper = Bumper()
    interval = sys.getswitchinterval()
    bumper.thread.start()
    assert bumper.started.wait(TIME_LIMIT)
    try:
        sys.setswitchinterval(1000)
        # Once more round: it may yet be waiting, with the old interval, to ask for the GIL.
        seen = bumper.count
        until(lambda: bumper.count > seen + 1, "the other thread never ran")
        yield bumper
    finally:
        bumper.stopped = True
        sys.setswitchinterval(interval)
        bumper.thread.join(TIME_LIMIT)
