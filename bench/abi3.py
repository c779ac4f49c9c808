"""Cost of a small call in an abi3 build (Limited API, one wheel for several CPythons) and in a version-specific one.

The script makes both builds from the checkout and calls the same functions of both on 100 elements, where the call is
most of the time. The abi3 build is for the CPython that runs the script and later ones. It needs pip and takes two
minutes: .venv/bin/python bench/abi3.py
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from time import perf_counter

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
KINDS = {"specific": "0", "abi3": "1"}  # values of PARCOUNT_ABI3, which setup.py reads
LIMIT = 1.05
ELEMENTS = 100


def cases():
    """For each function the length of its table and the arguments that follow the table."""
    random_keys = np.random.default_rng(0).integers(0, ELEMENTS, ELEMENTS)
    return {
        "bincount": (ELEMENTS, (random_keys,)),
        "histogram": (ELEMENTS, (np.random.default_rng(0).random(ELEMENTS), np.linspace(0, 1, ELEMENTS + 1))),
        "increment": (ELEMENTS, ()),
        "tally": (128, (0, ELEMENTS, 0)),  # its bins are a power of two
    }


def work():
    """For each input line ``function calls`` print the seconds per call, of the build that is first on PYTHONPATH."""
    if hasattr(os, "sched_setaffinity"):  # both builds on one core, because cores can differ in speed
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    known = cases()
    print(import_module("parcount._native.tally").__file__, flush=True)
    for line in sys.stdin:
        name, calls = line.split()[0], range(int(line.split()[1]))
        module = import_module(f"parcount._native.{name}")
        function = getattr(module, "fill" if name == "bincount" else "released")
        bins, arguments = known[name]
        counts = np.zeros(bins, np.int64)
        start = perf_counter()
        for _ in calls:
            function(counts, *arguments)
        seconds = perf_counter() - start
        if counts.sum() != len(calls) * ELEMENTS:
            raise AssertionError(f"{name} counted {counts.sum()}, not {len(calls) * ELEMENTS}")
        print(seconds / len(calls), flush=True)


class Worker:
    """A process that has loaded one of the builds and waits for orders."""

    def __init__(self, build: Path):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--work"],
            env={**os.environ, "PYTHONPATH": str(build)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        loaded = Path(self.process.stdout.readline().strip())
        if build not in loaded.parents:
            raise RuntimeError(f"{loaded} was loaded, not the build in {build}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()

    def seconds(self, name: str, calls: int) -> float:
        """Seconds per call."""
        self.process.stdin.write(f"{name} {calls}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def build(kind: str, folder: Path) -> Path:
    """Build a copy of the checkout."""
    source, target = folder / f"{kind}-source", folder / kind
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("native", "src"):
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("*.so", "*.pyd", "*.egg-info", "__pycache__")
        )
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-cache-dir", "--target", target, source],
        env={**os.environ, "PARCOUNT_ABI3": KINDS[kind], "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        check=True,
    )
    modules = [path.name for path in (target / "parcount" / "_native").glob("tally.*") if path.suffix != ".pyi"]
    if [".abi3." in name for name in modules] != [kind == "abi3"]:
        raise RuntimeError(f"the {kind} build made {modules}")
    return target


def measure(builds: dict[str, Path], pairs: int, rounds: int, calls: int) -> dict[str, np.ndarray]:
    """Seconds per call, as (pair, round, kind).

    Each pair of workers is new, because the addresses of a process's code and data change such times by some per cent.
    A round calls each function of both builds, one right after the other, in shuffled order.
    """
    taken = {name: np.empty((pairs, rounds, len(KINDS))) for name in cases()}
    for pair in range(pairs):
        with ExitStack() as stack:
            workers = [stack.enter_context(Worker(builds[kind])) for kind in KINDS]
            for name in taken:
                for worker in workers:
                    worker.seconds(name, calls)  # warms up
            for round_ in range(rounds):
                for name in random.sample(list(taken), len(taken)):
                    for kind in random.sample(range(len(KINDS)), len(KINDS)):
                        taken[name][pair, round_, kind] = workers[kind].seconds(name, calls)
    return taken


def median_with_interval(ratios: np.ndarray, resamples: int = 4000) -> tuple[float, float, float]:
    """The median over pairs and rounds with its 95 % interval, by a bootstrap of pairs and of the rounds in each."""
    rng = np.random.default_rng(0)
    pairs, rounds = ratios.shape
    chosen = rng.integers(0, pairs, (resamples, pairs, 1))
    medians = np.median(ratios[chosen, rng.integers(0, rounds, (resamples, pairs, rounds))], axis=(1, 2))
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(np.median(ratios)), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=8, help="fresh pairs of processes (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=40, help="rounds a pair (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=5000, help="calls a timing (default: %(default)s)")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return work()
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        parser.error("a free-threaded CPython loads no abi3 modules: there is nothing to compare")
    with tempfile.TemporaryDirectory() as folder:
        builds = {kind: build(kind, Path(folder)) for kind in KINDS}
        taken = measure(builds, options.pairs, options.rounds, options.calls)

    print(f"CPython {sys.version.split()[0]}, {sysconfig.get_platform()}, {options.pairs} x {options.rounds} rounds")
    print("| a call on 100 elements | version-specific | abi3 | abi3 / version-specific |")
    print("| --- | --- | --- | --- |")
    lows, highs = [], []
    for name, seconds in taken.items():
        specific, abi3 = np.median(seconds, axis=(0, 1)) * 1e9
        median, low, high = median_with_interval(seconds[:, :, 1] / seconds[:, :, 0])
        print(f"| {name} | {specific:.0f} ns | {abi3:.0f} ns | {median:.2f} ({low:.2f} to {high:.2f}) |")
        lows.append(low)
        highs.append(high)
    if max(highs) <= LIMIT:
        print(f"abi3: no function's call costs over {LIMIT - 1:.0%} more.")
    elif max(lows) > LIMIT:
        print(f"version-specific: in the abi3 build a small call costs over {LIMIT - 1:.0%} more.")
    else:
        print(f"undecided: the intervals contain {LIMIT:.2f}; ask for more pairs.")
    return None


if __name__ == "__main__":
    main()
