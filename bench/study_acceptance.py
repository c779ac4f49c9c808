"""Acceptance test of the study of the GIL: ``python bench/study_acceptance.py`` on a machine with at least two cores.

The script runs several studies of `tally` as the command runs them by default. All must answer "yes". The script
prints how long they took, and for each requirement the median and the worst value. It checks that 4n increments take
four times as long as n in every variant, which shows that no compiler folded the loop into one addition.

With ``--beside-load`` one core is kept busy meanwhile: the answers must be "yes", or "undecided" with the load named.
With ``--planted`` the study gets loops that are not what they are called: one that holds the GIL under the name of one
that releases it must be answered by "no", one with a serial half by "partly". The exit code is non-zero if a
requirement is not met.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import ChainMap, Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from unittest import mock

import planted_loops

import parcount as pc
from parcount.kernels import VARIANTS, WORKLOADS, Kernel, TallyJob
from parcount.kernels.job import count_part
from parcount.studies.core.claims import SHARE
from parcount.studies.core.options import SECONDS
from parcount.studies.core.result import Study

BUSY = "while True: pass"


@dataclass(frozen=True)
class Requirement:
    """A ratio of a study with its limits.

    Parameters
    ----------
    what : str
        Description.
    read : callable
        The ratio, from a study.
    least, most : float, optional
        The limits.
    """

    what: str
    read: Callable[[Study], float]
    least: float | None = None
    most: float | None = None

    def met(self, value: float) -> bool:
        """Whether `value` is within the limits."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def bound(self) -> str:
        """The limit as text."""
        return f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"


def speedup(variant: str, execution: str) -> Callable[[Study], float]:
    """The speedup of a cell with two workers."""

    def read(study: Study) -> float:
        cell = next(c for c in study.cells if (c.variant, c.execution, c.workers) == (variant, execution, 2))
        assert cell.speedup is not None, cell
        return cell.speedup.median

    return read


def of_processes(variant: str) -> Callable[[Study], float]:
    """The speedup of two threads divided by that of two processes."""
    threads, processes = speedup(variant, "threads"), speedup(variant, "processes")
    return lambda study: threads(study) / processes(study)


def against(variant: str, other: str, workers: int) -> Callable[[Study], float]:
    """The speed of one variant divided by the serial speed of another."""

    def read(study: Study) -> float:
        return next(
            comparison.speedup.median
            for comparison in study.verdict.comparisons
            if (comparison.variant, comparison.against, comparison.workers) == (variant, other, workers)
        )

    return read


REQUIREMENTS = [
    Requirement("cython, 2 threads against 2 processes", of_processes("cython"), least=0.9),
    Requirement("numba, 2 threads against 2 processes", of_processes("numba"), least=0.9),
    Requirement("cython-gil, 2 threads against 1", speedup("cython-gil", "threads"), most=1.10),
    Requirement("python, 2 threads against 1", speedup("python", "threads"), most=1.10),
    Requirement("cython serial against python serial", against("cython", "python", 1), least=100),
]


def run_study(folder: Path, seconds: float) -> tuple[Study, float]:
    """Run a study by the command, in a process of its own; return it, and how many seconds that took."""
    file = folder / "study.json"
    words = ["study", "--workers", "1,2", "--seconds", str(seconds), "--json", str(file)]
    began = perf_counter()
    subprocess.run([sys.executable, "-m", "parcount", *words], check=True, stdout=subprocess.DEVNULL)
    return Study.load(file), perf_counter() - began


def plant(seconds: float) -> bool:
    """Run the study on loops that are not what they are called; return whether their answers are right."""
    met = True
    for loop, expected in ((planted_loops.holds_the_gil, "no"), (planted_loops.half_serial, "partly")):
        kernels = ChainMap({"cython": loop}, planted_loops.KERNELS)  # type: ignore[arg-type, dict-item]
        with mock.patch.object(type(WORKLOADS["tally"]), "kernels", kernels):
            verdict = pc.study("gil", variants=["cython", "cython-gil"], workers=[1, 2], seconds=seconds).verdict
        shares = [claim.estimate for claim in verdict.claims if claim.quantity == SHARE]
        met &= verdict.answer == expected
        told = shares[0].percent if shares and shares[0] else "unknown"
        print(f"{loop.__name__}: {verdict.answer}, expected {expected}; parallel share {told}")
        print(f"  {verdict.sentences[0]}")
    return met


def proportions(rounds: int = 7) -> dict[str, float]:
    """The time of 4n divided by the time of n for each variant: the median over rounds that measure both."""
    found = {}
    for name, variant in VARIANTS.items():
        if variant.missing():
            continue
        kernel = WORKLOADS["tally"].kernels[name]

        def seconds(n: int, kernel: Kernel = kernel) -> float:
            (part,) = TallyJob(n).split(1)
            start = perf_counter()
            count_part(kernel, part)
            return perf_counter() - start

        n = 1 << 10
        seconds(n)  # compiles, in the variants that do so at the first call
        while seconds(n) < 0.02:
            n *= 2
        found[name] = median(seconds(4 * n) / seconds(n) for _ in range(rounds))
    return found


def _right_beside_load(study: Study) -> bool:
    answer = study.verdict.answer
    return answer == "yes" or (answer == "undecided" and bool(study.environment["load"]))


def main() -> int:
    """Measure and print; return 1 if a requirement is not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=10, help="number of studies (10)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"limit of each ({SECONDS:g})")
    parser.add_argument("--beside-load", action="store_true", help="keep one core busy meanwhile")
    parser.add_argument("--planted", action="store_true", help="measure loops that are not what they are called")
    words = parser.parse_args()
    if words.planted:
        return 0 if plant(words.seconds) else 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if words.beside_load:
            busy = subprocess.Popen([sys.executable, "-c", BUSY])
            stack.callback(busy.wait)
            stack.callback(busy.kill)
        ran = [run_study(folder, words.seconds) for _ in range(words.studies)]

    studies = [study for study, _ in ran]
    durations = sorted(seconds for _, seconds in ran)
    exact = all(study.exact for study in studies)
    answers = Counter(study.verdict.answer for study in studies)
    print(f"{len(studies)} studies, {'all exact' if exact else 'NOT EXACT'}")
    print(f"answers: {', '.join(f'{answer} ({count})' for answer, count in answers.items())}")
    print(f"seconds: median {median(durations):.0f}, from {durations[0]:.0f} to {durations[-1]:.0f}")
    for study in studies:
        print(f"- {study.verdict.sentences[0]}")
        if study.environment["load"]:
            print(f"  load: {'; '.join(study.environment['load'])}")
    if words.beside_load:
        return 0 if exact and all(map(_right_beside_load, studies)) else 1

    met = exact and [*answers] == ["yes"]
    print(f"\n{'requirement':<48}{'bound':>8}{'median':>9}{'worst':>9}")
    for requirement in REQUIREMENTS:
        values = sorted(requirement.read(study) for study in studies)
        worst = values[0] if requirement.least is not None else values[-1]
        met &= requirement.met(median(values))
        mark = "" if requirement.met(median(values)) else "  NOT MET"
        print(f"{requirement.what:<48}{requirement.bound:>8}{median(values):>9.2f}{worst:>9.2f}{mark}")
    print(f"\n{'time of 4n by time of n':<48}{'bound':>8}{'median':>9}")
    for variant, ratio in proportions().items():
        straight = 3.4 <= ratio <= 4.6
        met &= straight
        print(f"{variant:<48}{'4 ± 15 %':>8}{ratio:>9.2f}{'' if straight else '  NOT MET'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
