"""Compare the predictions of `parcount plan` with measured times: ``python bench/cost_model.py`` on a quiet machine.

For several jobs the script measures the costs, as the command does, and then the jobs themselves, with several sizes
and setups, in interleaved and shuffled rounds. It prints the ratio of measured to predicted times. ``--json FILE``
saves everything. ``--page FILE`` writes the tables between the markers of that page; with ``--only-page``, from the
existing JSON file.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import parcount as pc
from parcount.costmodel import plan
from parcount.costmodel.costs import median_seconds
from parcount.costmodel.jobs import PlannedJob, make_job
from parcount.costmodel.model import SERIAL, Setup
from parcount.costmodel.parameters import PARAMETERS, format_cost
from parcount.costmodel.result import Plan
from parcount.costmodel.table import legend, tables

SCHEMA = 1

JOBS = (
    {"workload": "bincount", "dtype": "int64", "bins": 1024},
    {"workload": "bincount", "dtype": "int64", "bins": 1 << 20},
    {"workload": "bincount", "dtype": "uint8", "bins": 256},
    {"workload": "tally", "bins": 256},
)
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
PREDICTED = 1_000_000_000
"""Number of keys of the predictions on the page."""

STARTED = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from time import perf_counter
from parcount.execution.processes.execution import Processes
from parcount.costmodel.jobs import make_job
job = make_job(**json.loads(sys.argv[2]))
keys = job.keys(job.size, shared=True)
start = perf_counter()
job.count(keys, on=Processes(int(sys.argv[3])))
print(perf_counter() - start)
"""
"""Runs a job by processes that are started for it, in a new interpreter."""


@dataclass(frozen=True)
class Check:
    """The times of one job of one size in one setup.

    Parameters
    ----------
    plan : int
        Index of the plan with its costs.
    setup : Setup
        The setup.
    size : int
        Number of keys.
    seconds : list of float
        One per round.
    """

    plan: int
    setup: Setup
    size: int
    seconds: list[float]


def setups(job: PlannedJob, workers: list[int]) -> Iterator[Setup]:
    """The setups to compare."""
    yield SERIAL
    for count in workers:
        if count > 1:
            yield Setup("threads", count)
    for sent in (False, True) if job.key_bytes else (False,):
        for count in workers:
            yield Setup("processes", count, sent)
    yield Setup("processes", 2, started=True)


def runs(
    job: PlannedJob, workers: list[int], pools: Mapping[int, pc.Processes]
) -> dict[tuple[Setup, int], Callable[[], float]]:
    """For each setup and size, a function that runs the job and returns the seconds."""
    here, shared = job.keys(job.size), job.keys(job.size, shared=True)

    def cut(keys: Any, size: int) -> Any:
        return size if isinstance(keys, int) else keys[:size]

    def call(setup: Setup, size: int) -> Callable[[], float]:
        if setup.started:
            words = [json.dumps(sys.path), json.dumps(asdict(replace(job, size=size))), str(setup.workers)]
            return lambda: float(subprocess.check_output([sys.executable, "-c", STARTED, *words]))
        if setup.execution == "processes":
            keys, on = cut(here if setup.sent else shared, size), pools[setup.workers]

            def on_running_workers() -> float:
                if not setup.sent:
                    job.count(keys, on=on)  # maps these arrays again, after others
                return median_seconds(lambda: job.count(keys, on=on))

            return on_running_workers
        keys = cut(here, size)
        return lambda: median_seconds(lambda: job.count(keys, threads=setup.workers))

    return {
        (setup, size): call(setup, size)
        for setup in setups(job, workers)
        for size in SIZES
        if not setup.started or size == job.size
    }


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """Measure the costs of all jobs, then the jobs."""
    workers = sorted({1, 2, pc.available_cores()})
    plans, checks = [], []
    with ExitStack() as stack:
        pools = {count: stack.enter_context(pc.Processes(count)) for count in workers}
        for number, words in enumerate(JOBS):
            job = make_job(**words, size=SIZES[-1])
            print(job, file=sys.stderr)
            plans.append(plan(**words, size=job.size, seconds=seconds))
            calls = runs(job, workers, pools)
            times: dict[tuple[Setup, int], list[float]] = {key: [] for key in calls}
            for key in calls:
                calls[key]()  # the first run makes the pages resident
            order = random.Random(number)
            for _ in range(rounds):
                for key in order.sample(list(calls), len(calls)):
                    times[key].append(calls[key]())
            checks += [Check(number, setup, size, found) for (setup, size), found in times.items()]
    return {
        "schema": SCHEMA,
        "plans": [one.content() for one in plans],
        "checks": [asdict(check) for check in checks],
    }


def read(content: Mapping[str, Any]) -> tuple[list[Plan], list[Check]]:
    """The plans and the measurements in the content of a file."""
    plans = [Plan.from_content(one, "docs/cost-model.json") for one in content["plans"]]
    return plans, [Check(**{**one, "setup": Setup(**one["setup"])}) for one in content["checks"]]


def ratio(plans: list[Plan], check: Check) -> float:
    """The measured time divided by the predicted time."""
    return median(check.seconds) / plans[check.plan].model.seconds(check.setup, check.size)


def table(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table with right-aligned numbers."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---", *["---:"] * (len(head) - 1)], *body])


def costs(plans: list[Plan]) -> str:
    """The costs of all jobs."""
    jobs = [
        " ".join(filter(None, (one.job.workload, one.job.dtype, f"{one.job.bins:_}".replace("_", " "))))
        for one in plans
    ]
    body = [[f"`{name}`", *(format_cost(name, one.costs[name].value) for one in plans)] for name in PARAMETERS]
    return f"{plans[0].machine}\n\n{table(['cost', *jobs], body)}"


def predictions(plans: list[Plan]) -> str:
    """The predictions for the first and the last job."""
    texts = []
    for one in (plans[0], plans[-1]):
        larger = replace(one, job=replace(one.job, size=PREDICTED))
        first, *others = larger.sentences
        said = "\n".join(f"- {sentence}" for sentence in others)
        shown, _ = tables(larger)
        body = [[cell.replace("*", r"\*") for cell in row] for row in shown.body()]
        texts.append(f"{first}\n\n{table([column.name for column in shown.columns], body)}\n\n{said}")
    return "\n\n".join([*texts, *(line.replace("*", r"\*") for line in legend(plans[0]))])


def checks(plans: list[Plan], done: list[Check]) -> str:
    """Ratios of measured to predicted times."""
    body = []
    by_row: dict[tuple[int, Setup], dict[int, float]] = {}
    for check in done:
        by_row.setdefault((check.plan, check.setup), {})[check.size] = ratio(plans, check)
    for (number, setup), found in by_row.items():
        job = plans[number].job
        name = f"{job.workload}{f' {job.dtype}' if job.dtype else ''}, {job.bins:_} bins".replace("_", " ")
        how = setup.execution + (", sent" if setup.sent else "") + (", started" if setup.started else "")
        body.append([name, how, str(setup.workers), *(f"{found[size]:.2f}" if size in found else "" for size in SIZES)])
    apart = sorted(max(one, 1 / one) for found in by_row.values() for one in found.values())
    most = apart[round(0.9 * (len(apart) - 1))]
    summary = (
        f"Of {len(apart)} times, each the median of {len(done[0].seconds)} rounds, half are within a factor of "
        f"{median(apart):.2f} of the prediction, nine of ten within {most:.2f}, all within {apart[-1]:.2f}."
    )
    sizes = [f"{size:_} keys".replace("_", " ") for size in SIZES]
    return f"{summary}\n\n{table(['job', 'on', 'workers', *sizes], body)}"


def sections(content: Mapping[str, Any]) -> dict[str, str]:
    """The generated sections of the page by the names of their markers."""
    plans, done = read(content)
    return {"costs": costs(plans), "predictions": predictions(plans), "checks": checks(plans, done)}


def fill(page: str, parts: Mapping[str, str]) -> str:
    """The page with the sections between their markers.

    Raises
    ------
    ValueError
        If a section has no markers.
    """
    for name, text in parts.items():
        marks = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        page, found = marks.subn(lambda match, text=text: f"{match[1]}\n{text}\n\n{match[2]}", page)
        if found != 1:
            raise ValueError(f"the page has {found} pairs of markers for {name}")
    return page


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21, help="runs of each job (21)")
    parser.add_argument("--seconds", type=float, default=15, help="time to measure the costs of each job (15)")
    parser.add_argument("--json", type=Path, help="file to save everything to")
    parser.add_argument("--page", type=Path, help="page to write the tables into")
    parser.add_argument("--only-page", action="store_true", help="do not measure; read the JSON file")
    words = parser.parse_args()
    if words.only_page and not (words.json and words.page):
        parser.error("--only-page needs --json and --page")
    content = json.loads(words.json.read_text()) if words.only_page else measure(words.rounds, words.seconds)
    if words.json and not words.only_page:
        words.json.write_text(json.dumps(content, indent=1) + "\n")
    plans, done = read(content)
    print(checks(plans, done))
    if words.page:
        words.page.write_text(fill(words.page.read_text(encoding="utf-8"), sections(content)), encoding="utf-8")


if __name__ == "__main__":
    main()
