"""Studies as pages have to show them, of a synthetic machine."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from parcount.studies.core.analysis import analyse
from parcount.studies.core.cells import Cell, Round, Sample
from parcount.studies.core.environment import environment
from parcount.studies.core.findings import Findings
from parcount.studies.core.result import Study
from parcount.studies.gil.experiment import GilExperiment

GAINS = {"python": 1.0, "numpy": 1.23, "cython": 1.97, "cython-gil": 1.0, "numba": 1.98, "numba-parallel": 1.97}
"""What two threads gain, by the variants of the default study."""

FEW = ("python", "cython", "cython-gil")

HOSTILE = "</script><script>alert(1)</script><!--\u2028 & \"quoted\" 'CPU' {{ 7 * 7 }}"


@cache
def noisy_study(rounds: int = 14, variants: Sequence[str] = tuple(GAINS), *, partial: bool = False) -> Study:
    """Return the default study of a machine of two cores with noise, on which the cells of claims run in all rounds."""
    noise = random.Random(0)
    cells = [
        Cell("tally", variant, execution, workers)
        for variant in variants
        for execution, workers in (("serial", 1), ("threads", 1), ("threads", 2), ("processes", 1), ("processes", 2))
    ]
    asked = [
        Cell("tally", "cython", "serial", 1),
        Cell("tally", "cython", "threads", 2),
        Cell("tally", "cython", "processes", 2),
        Cell("tally", "cython-gil", "serial", 1),
        Cell("tally", "cython-gil", "threads", 2),
    ]

    def sample(cell: Cell) -> Sample:
        gain = 1.0 if cell.workers == 1 else GAINS[cell.variant] if cell.execution == "threads" else 1.9
        return Sample(0.08 / gain * noise.lognormvariate(0, 0.05), True, abs(noise.gauss(0, 0.02)))

    taken: list[Round] = [{cell: sample(cell) for cell in (cells if number < 8 else asked)} for number in range(rounds)]
    apart = [Cell("tally", variant, "interpreters", 2) for variant in variants]
    found = analyse(
        [*cells, *apart],
        taken,
        work=dict.fromkeys(cells, 1 << 24),
        startup={cell: 0.1 for cell in cells if cell.execution == "processes"},
        unmeasured=dict.fromkeys(apart, ("not supported", "Python 3.11 has no interpreters")),
    )
    findings = Findings(found, taken, 2, True)
    real = environment()
    described = {**real, "load": [], "cores": {**real["cores"], "available": 2, "parallel": 2}}
    verdict = GilExperiment.build_verdict(findings, partial=partial)
    return Study(described, GilExperiment.check_options().asdict(), found, verdict, not partial)


@cache
def hostile_study() -> Study:
    """Return a study in whose texts is what could end an element or begin a script."""
    study = noisy_study(3, FEW)
    failed = replace(study.cells[0], status="failed", reason=HOSTILE, exact=False)
    absent = replace(study.cells[-1], variant=HOSTILE, reason=HOSTILE)
    verdict = replace(study.verdict, sentences=[HOSTILE, HOSTILE])
    return Study(
        {**study.environment, "cpu": HOSTILE},
        {**study.options, "data": HOSTILE},
        [failed, *study.cells[1:-1], absent],
        verdict,
        study.complete,
    )
