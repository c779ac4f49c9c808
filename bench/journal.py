"""`parcount.Journal` compared with other ways to append from many processes: ``python bench/journal.py``.

Each method appends records from several processes to a new file, in interleaved and shuffled rounds, as in the study of
the journal. The script prints the records per second, and the ratios of rates, medians of those in each round, with the
smallest that are acceptable. ``--json FILE`` saves the rates; with ``--check`` the exit code is non-zero if a ratio is
too small. Every record is checked: a lost or wrong one is an error.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from statistics import median

from parcount.report.units import format_seconds, grouped
from parcount.studies.core.cells import Cell
from parcount.studies.core.environment import environment
from parcount.studies.journal.experiment import JournalExperiment
from parcount.studies.journal.methods import DATABASE, PROCESS_QUEUE, PROCESSES

METHODS = ("reserve", "lock", "queue", PROCESS_QUEUE, DATABASE)

FLOORS = {("reserve", "lock"): 3.0, ("reserve", PROCESS_QUEUE): 10.0, ("reserve", DATABASE): None}
"""The ratios that are printed, with the smallest that is acceptable."""


class LongerRuns(JournalExperiment):
    """The study with runs in which the workers' start at a barrier does not matter."""

    target = 0.25

    def most_work(self, cell: Cell) -> int:  # noqa: ARG002 - the records are small
        """Return the most records in a run."""
        return 1 << 21


def main() -> int:
    """Measure, print and save; return 1 if a ratio is too small and that is checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--bytes", type=int, default=100, help="of a record")
    parser.add_argument("--directory", help="where the files are written; default: the current directory")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    words = parser.parse_args()

    rates: dict[str, list[float]] = {name: [] for name in METHODS}
    given = {"variants": METHODS, "bytes": words.bytes, "workers": words.workers, "directory": words.directory}
    with LongerRuns(**given) as study:
        cells, _ = study.cells()
        study.prepare(cells, lambda _: None)
        several = [cell for cell in cells if cell.execution == PROCESSES]
        order = random.Random(0)
        for _ in range(words.rounds):
            for cell in order.sample(several, len(several)):
                sample = study.run(cell)
                if sample is None or not sample.exact:
                    raise SystemExit(f"{cell}: {study.failed.get(cell) or sample}")
                rates[cell.variant].append(study.work[cell] / sample.seconds)
        described = {**environment(), **study.environment()}

    print(f"{described['cpu']}, {described['cores']['available']} cores, {described['file_system']}, ", end="")
    print(f"Python {described['python']['version']}; {words.workers} processes, records of {words.bytes} bytes")
    print(f"{'':<20}{'records/s':>12}{'an append':>12}")
    for name, found in sorted(rates.items(), key=lambda item: -median(item[1])):
        print(f"{name:<20}{grouped(median(found)):>12}{format_seconds(words.workers / median(found)):>12}")
    kept = True
    ratios = {}
    for (ours, other), floor in FLOORS.items():
        ratio = median([mine / its for mine, its in zip(rates[ours], rates[other], strict=True)])
        kept &= floor is None or ratio >= floor
        ratios[f"{ours}/{other}"] = {"ratio": ratio, "floor": floor}
        wanted = "" if floor is None else f", at least {floor:g}{'' if ratio >= floor else ': too small'}"
        print(f"{ours} against {other}: {ratio:.1f}×{wanted}")
    if words.json:
        written = {"environment": described, "rates": rates, "ratios": ratios}
        words.json.write_text(json.dumps(written, indent=1) + "\n")
    return 0 if kept or not words.check else 1


if __name__ == "__main__":
    sys.exit(main())
