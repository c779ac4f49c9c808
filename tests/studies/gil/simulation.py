"""How often the study of the GIL is wrong, by simulation: ``python -m tests.studies.gil.simulation``.

The script plants truths: speedups of the loop that releases the GIL, of the same loop holding it, and of processes. A
virtual clock then runs the study itself, its rounds, claims and verdict, on machines that drift, have bursts of other
load, lose a core to another program, or whose control loop is wrong. It prints how many answers were right, wrong and
undecided, and how many seconds the studies took on the virtual clock. The exit code is non-zero if more than 1 % of the
answers are wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import Any

import numpy as np

from parcount.studies.core.cells import Cell, Sample, with_workers
from parcount.studies.core.driver import run_study
from parcount.studies.gil.experiment import GilExperiment

SERIAL_RATE = 1e9
"""Increments a second of one worker."""

TRUTHS: dict[str, tuple[float, float, float, str]] = {
    "quiet cores": (1.97, 0.99, 1.98, "yes"),
    "a shared machine": (1.62, 0.98, 1.65, "yes"),
    "two threads of one core": (1.28, 0.97, 1.29, "yes"),
    "a quota of 1.5 cores": (1.48, 0.98, 1.5, "yes"),
    "a serial half": (1 / (0.5 + 0.5 / 1.97), 0.99, 1.97, "partly"),
    "a serial half on a shared machine": (1 / (0.5 + 0.5 / 1.65), 0.98, 1.65, "partly"),
    "a loop that holds the GIL": (0.99, 0.99, 1.97, "no"),
    "a control that releases the GIL": (1.96, 1.95, 1.97, "no"),
    "one core": (1.0, 0.99, 1.01, "undecided"),
    "0.85 parallel": (1 / (0.15 + 0.85 / 1.97), 0.99, 1.97, "yes"),
    "0.75 parallel": (1 / (0.25 + 0.75 / 1.97), 0.99, 1.97, "partly"),
}
"""Speedups by two workers: released, held, processes; and the right answer."""

NOISE = {"quiet": 0.01, "noisy": 0.08, "bursts": 0.02, "stolen core": 0.03}


class Workers:
    """Workers that need no process."""

    def pids(self) -> list[int]:
        """Return no ids."""
        return []


class Simulated(GilExperiment):
    """The study of the GIL on a machine whose times are drawn at random, and whose clock does not wait.

    Parameters
    ----------
    speedups : tuple of three floats
        Released, held, processes.
    machine : {"quiet", "noisy", "bursts", "stolen core"}
        How the times vary.
    seed : int
        Of the times and of the order of cells.
    """

    def __init__(self, speedups: tuple[float, float, float], machine: str, seed: int) -> None:
        super().__init__(variants=("cython", "cython-gil"), workers=2, seed=seed)
        released, held, separate = speedups
        self._speedups = {
            ("cython", "threads"): released,
            ("cython-gil", "threads"): held,
            ("cython", "processes"): separate,
            ("cython-gil", "processes"): separate,
        }
        self._machine = machine
        self._random = np.random.default_rng(seed)
        self._drift = 1.0
        self._burst = 0.0
        self.now = 0.0

    def clock(self) -> float:
        """Return the virtual time."""
        return self.now

    def cells(self) -> tuple[list[Cell], dict[Cell, tuple[str, str]]]:
        """Return the cells that the verdict compares."""
        return [
            cell
            for variant in self.options.variants
            for cell in with_workers(Cell("tally", variant, "serial", 1), ("threads", "processes"), (2,))
        ], {}

    def open(self, cells: Any, progress: Callable[[str], None]) -> None:
        """Make nothing."""

    def open_pool(self, cell: Cell) -> AbstractContextManager[Any]:  # noqa: ARG002 - all alike
        """Start nothing."""
        return nullcontext(Workers())

    def most_work(self, cell: Cell) -> int:  # noqa: ARG002 - all alike
        """Return what never limits a run."""
        return 1 << 62

    def measure(self, cell: Cell) -> Sample:
        """Draw a time, and advance the clock."""
        random, speedup = self._random, self._speedups.get((cell.variant, cell.execution), 1.0)
        self._drift *= float(np.exp(random.normal(0, 0.003)))
        seconds = self._drift * self.work[cell] / SERIAL_RATE / speedup
        seconds *= float(np.exp(abs(random.normal(0, NOISE[self._machine]))))
        waited = 0.0
        if self._machine == "bursts" and self.now > self._burst and random.random() < 0.02:
            self._burst = self.now + random.exponential(1.0)
        if (self._machine == "stolen core" and cell.workers > 1) or self.now < self._burst:
            # Two workers and the other program share two cores; one worker has a core of its own in most runs.
            waited = random.uniform(0.2, 0.5) if cell.workers > 1 and speedup > 1.1 else 0.0
            seconds /= 1 - waited
            waited = waited if self._machine == "stolen core" or random.random() < 0.9 else 0.0
        self.now += seconds
        return Sample(seconds, True, waited)

    def time(self, cell: Cell) -> float:
        """Draw a time, for calibration."""
        return self.measure(cell).seconds

    def _run(self, cell: Cell) -> Sample:
        return self.measure(cell)


def simulate(truth: str, machine: str, seed: int) -> tuple[str, float]:
    """Run one study; return its answer and the virtual seconds that it took."""
    *speedups, _ = TRUTHS[truth]
    experiment = Simulated(tuple(speedups), machine, seed)
    study = run_study(experiment, clock=experiment.clock)
    return study.verdict.answer, experiment.now


def main() -> int:
    """Run the simulation and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000, help="number of studies, of all truths and machines")
    each = max(1, parser.parse_args().studies // (len(TRUTHS) * len(NOISE)))
    total: Counter[str] = Counter()
    print(f"{'truth':<36}{'machine':<13}{'right':>7}{'wrong':>7}{'undecided':>11}{'seconds':>9}")
    for truth, (*_, right) in TRUTHS.items():
        for machine in NOISE:
            outcomes = [simulate(truth, machine, seed) for seed in range(each)]
            kinds = Counter(
                "right" if answer == right else "undecided" if answer == "undecided" else "wrong"
                for answer, _ in outcomes
            )
            total += kinds
            seconds = median(seconds for _, seconds in outcomes)
            print(
                f"{truth:<36}{machine:<13}{kinds['right']:>7}{kinds['wrong']:>7}{kinds['undecided']:>11}{seconds:>9.0f}"
            )
    studies = sum(total.values())
    print(", ".join(f"{kind} {100 * total[kind] / studies:.1f} %" for kind in ("right", "wrong", "undecided")))
    return total["wrong"] > studies / 100


if __name__ == "__main__":
    sys.exit(main())
