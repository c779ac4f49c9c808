"""Results of each study that no machine has measured: all cells, with random times."""

from __future__ import annotations

import random
from functools import cache

from parcount.studies.core.analysis import analyse
from parcount.studies.core.cells import Sample
from parcount.studies.core.environment import environment
from parcount.studies.core.findings import Findings
from parcount.studies.core.registry import find_experiment
from parcount.studies.core.result import Study

OPTIONS = {"gil": {"workloads": ["tally", "bincount"], "variants": ["python", "cython", "numba"], "workers": [1, 2]},
           "counters": {"variants": ["counter += 1", "AtomicCounter"], "workers": 2},
           "io": {"workers": [2, 8]},
           "transports": {"size": 1 << 14},
           "journal": {"workers": 4, "bytes": [16, 100, 1000]}}  # fmt: skip


@cache
def synthetic(name: str, seed: int = 0) -> Study:
    """A study whose cells take random times."""
    noise = random.Random(seed)
    experiment = find_experiment(name)(seconds=1, **OPTIONS[name])
    cells, unmeasured = experiment.cells()
    rounds = [
        {
            cell: Sample(noise.lognormvariate(-3, 0.1) / cell.workers, True, cpu=0.001, server=0.001)
            for cell in cells
            if cell not in unmeasured
        }
        for _ in range(12)
    ]
    results = analyse(
        cells,
        rounds,
        work=dict.fromkeys(cells, 1 << 20),
        startup={cell: 0.1 for cell in cells if cell.execution != "serial"},
        unmeasured=unmeasured,
        may_lose=experiment.lossy_variants,
        baseline=experiment.baseline,
    )
    verdict = experiment.build_verdict(Findings(results, rounds, 2, True))
    return Study(
        {**environment(), "load": ["a compiler"]}, experiment.options.asdict(), results, verdict, complete=True
    )
