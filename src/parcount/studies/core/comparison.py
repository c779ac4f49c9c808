"""Results of one study, measured at different times or on different machines, compared cell by cell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from parcount.report.units import plural
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.registry import find_experiment
from parcount.studies.core.result import Study
from parcount.studies.core.statistics import Estimate, percentile_estimate, resampled_medians

SCHEMA = 1
"""Of the JSON object that ``parcount compare --json`` writes."""

FASTER, SLOWER, NO_DIFFERENCE = "faster", "slower", "no difference shown"

LEAST_SAMPLES = 5
"""Fewest samples on each side for an interval. With three or four, one pair in ten of equal runs would differ."""

MOST_NAMED = 6
"""Cells that a sentence names; it counts the others."""

LIBRARIES = {"numpy": "NumPy", "numba": "Numba"}


@dataclass(frozen=True)
class ComparedCell:
    """A cell that two studies have.

    Attributes
    ----------
    first, other : CellResult
        Its results.
    ratio : float or None
        The rate of the other divided by that of the first; None if one of them has no rate, or wrong results.
    interval : Estimate or None
        The ratio with its 95 % interval; None if one of them has fewer than five samples.
    """

    first: CellResult
    other: CellResult
    ratio: float | None = None
    interval: Estimate | None = None

    @property
    def difference(self) -> str | None:
        """Which side of 1 the whole interval is on: `FASTER`, `SLOWER`, `NO_DIFFERENCE`; None without a ratio."""
        if self.ratio is None:
            return None
        if self.interval is None or self.interval.low <= 1 <= self.interval.high:
            return NO_DIFFERENCE
        return FASTER if self.interval.low > 1 else SLOWER


@dataclass(frozen=True)
class Pair:
    """The first study and another.

    Attributes
    ----------
    first, other : str
        Their names.
    cells : list of ComparedCell
        The cells that both have.
    only_first, only_other : list of CellResult
        The cells that one of them has.
    """

    first: str
    other: str
    cells: list[ComparedCell]
    only_first: list[CellResult]
    only_other: list[CellResult]

    @property
    def sentences(self) -> list[str]:
        """How many cells differ, which differ most, and which have no counterpart."""
        counts = Counter(cell.difference for cell in self.cells)
        words = [f"{plural(counts[word], 'cell')} {word}" for word in (FASTER, SLOWER) if counts[word]]
        if counts[NO_DIFFERENCE]:
            words.append(f"{plural(counts[NO_DIFFERENCE], 'cell')} with {NO_DIFFERENCE}")
        sentences = [f"{self.other} against {self.first}: {', '.join(words)}."]
        for word, most in ((FASTER, max), (SLOWER, min)):
            found = [cell for cell in self.cells if cell.difference == word]
            if found:
                one = most(found, key=lambda cell: cell.ratio or 0.0)
                sentences.append(
                    f"The largest difference among those that are {word}: {one.first.cell}, {one.interval}."
                )
        if few := [cell.first for cell in self.cells if cell.ratio is not None and cell.interval is None]:
            sentences.append(f"Fewer than {LEAST_SAMPLES} rounds, too few for an interval: {_named(few)}.")
        if counts[None]:
            unmeasured = [cell.first for cell in self.cells if cell.difference is None]
            sentences.append(f"Not measured in both: {_named(unmeasured)}.")
        for name, cells in ((self.first, self.only_first), (self.other, self.only_other)):
            if cells:
                sentences.append(f"Only in {name}: {_named(cells)}.")
        return sentences


@dataclass(frozen=True)
class StudyComparison:
    """Studies that were compared with the first of them.

    Attributes
    ----------
    studies : list of Study
        The studies.
    names : list of str
        What they are called.
    pairs : list of Pair
        Each other study with the first.
    differences : dict of str to list of str
        What differs between the environments and options, with the value of each study.
    """

    studies: list[Study]
    names: list[str]
    pairs: list[Pair]
    differences: dict[str, list[str]]

    @property
    def sentences(self) -> list[str]:
        """The comparison as text."""
        sentences = [sentence for pair in self.pairs for sentence in pair.sentences]
        for what, values in self.differences.items():
            each = "; ".join(f"{value} in {name}" for name, value in zip(self.names, values, strict=True))
            sentences.append(f"{what}: {each}.")
        for name, study in zip(self.names, self.studies, strict=True):
            if not study.exact:
                sentences.append(f"{name} has wrong results: none of its numbers can be trusted.")
            if not study.complete:
                sentences.append(f"{name} was interrupted.")
        return sentences

    def content(self) -> dict[str, Any]:
        """The comparison as plain values; ``docs/result-file.md`` describes them."""
        return {
            "study": self.studies[0].name,
            "names": self.names,
            "differences": self.differences,
            "pairs": [
                {
                    "first": pair.first,
                    "other": pair.other,
                    "cells": [_content(cell) for cell in pair.cells],
                    "only_first": [str(cell.cell) for cell in pair.only_first],
                    "only_other": [str(cell.cell) for cell in pair.only_other],
                }
                for pair in self.pairs
            ],
            "sentences": self.sentences,
        }


def compare_studies(studies: Sequence[Study], names: Sequence[str] | None = None) -> StudyComparison:
    """Compare results of one study, each with the first.

    Rates are compared, not seconds: the work of a run differs with its calibration. The intervals cover the rounds of
    the two runs, and not what changes between runs; two runs on the same machine show how much that is.

    Parameters
    ----------
    studies : sequence of Study
        At least two.
    names : sequence of str, optional
        What to call them: "result 1", "result 2" … by default.

    Raises
    ------
    ValueError
        If they are results of different studies, if their options give a unit of work another meaning, or if another
        study has no cell in common with the first that was measured in both.
    """
    if len(studies) < 2:
        raise ValueError("a comparison takes at least two results")
    names = list(names or (f"result {number + 1}" for number in range(len(studies))))
    pairs = [_pair(studies[0], study, names[0], name) for study, name in zip(studies[1:], names[1:], strict=True)]
    return StudyComparison([*studies], names, pairs, _differences(studies))


def compare_results(results: Sequence[tuple[str, Study]], *, alone: bool = False) -> list[StudyComparison]:
    """Compare results by their study, each with the first of the same study.

    Parameters
    ----------
    results : sequence of (str, Study)
        The file of each result, and the result. Several may be from one file.
    alone : bool, optional
        Whether a study may have a single result. It is then in no comparison.

    Raises
    ------
    ValueError
        As `compare_studies`, or if a study has a single result.
    """
    comparisons = []
    for study in dict.fromkeys(study.name for _, study in results):
        files, found = zip(*((file, one) for file, one in results if one.name == study), strict=True)
        if len(found) > 1:
            names = [
                file if files.count(file) == 1 else f"{file} ({files[: index + 1].count(file)})"
                for index, file in enumerate(files)
            ]
            comparisons.append(compare_studies(found, names))
        elif not alone:
            raise ValueError(f"{files[0]} is the study {study!r}, and there is no other result of it to compare with")
    return comparisons


def ratio_of_medians(over: Sequence[float], under: Sequence[float]) -> Estimate | None:
    """Return the ratio of the medians of two independent sets of samples, with a percentile bootstrap interval.

    Each set is resampled by itself, as for any difference of two samples (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, chapters 8 and 13). The resampling is seeded: equal samples give equal intervals.

    Returns
    -------
    Estimate or None
        None if there are fewer than `LEAST_SAMPLES` of either, or if the ratio has no bounds.

    Examples
    --------
    >>> ratio_of_medians([3.0] * 5, [2.0] * 5)
    Estimate(median=1.5, low=1.5, high=1.5)
    >>> ratio_of_medians([3.0] * 5, [2.0] * 4) is None
    True
    """
    if min(len(over), len(under)) < LEAST_SAMPLES:
        return None
    random = np.random.default_rng(0)
    medians = []
    for samples in (over, under):
        values = np.asarray(samples, np.float64)
        medians.append(np.append(resampled_medians(values, random), np.median(values)))
    with np.errstate(all="ignore"):
        ratios = medians[0] / medians[1]
    if not np.isfinite(ratios).all():
        return None
    return percentile_estimate(float(ratios[-1]), ratios[:-1])


def _pair(first: Study, other: Study, first_name: str, other_name: str) -> Pair:
    """Compare two studies; ValueError as `compare_studies`."""
    if first.name != other.name:
        raise ValueError(
            f"{first_name} is the study {first.name!r} and {other_name} the study {other.name!r}: their rates have "
            "different units of work"
        )
    firsts, others = ({_identity(cell): cell for cell in study.cells} for study in (first, other))
    shared = [key for key in firsts if key in others]
    if not shared:
        raise ValueError(f"{first_name} and {other_name} have no cell in common")
    workloads = {firsts[key].workload for key in shared}
    for option, concerned in find_experiment(first.name).unit_options.items():
        values = [_option(study, option) for study in (first, other)]
        if values[0] != values[1] and (not concerned or workloads.intersection(concerned)):
            raise ValueError(
                f"{first_name} was measured with {option} {values[0]} and {other_name} with {option} {values[1]}: "
                "their rates have different units of work"
            )
    cells = [_compare(firsts[key], others[key]) for key in shared]
    if all(cell.ratio is None for cell in cells):
        raise ValueError(f"{first_name} and {other_name} have no cell that was measured in both")
    return Pair(
        first_name,
        other_name,
        cells,
        [cell for key, cell in firsts.items() if key not in others],
        [cell for key, cell in others.items() if key not in firsts],
    )


def _compare(first: CellResult, other: CellResult) -> ComparedCell:
    if not (first.rate and other.rate and first.status == other.status == MEASURED):
        return ComparedCell(first, other)
    interval = None
    if first.work and other.work:
        interval = ratio_of_medians(
            [seconds / first.work for seconds in first.seconds], [seconds / other.work for seconds in other.seconds]
        )
    if interval is None:
        return ComparedCell(first, other, other.rate / first.rate)
    return ComparedCell(first, other, interval.median, interval)


def _identity(cell: CellResult) -> tuple[object, ...]:
    return (*cell.key, cell.unit, cell.array_bytes)


def _option(study: Study, option: str) -> str:
    """Return an option as text. Of a file, only its name: it may be elsewhere on another machine."""
    value = study.options.get(option)
    if value is None:
        return "chosen by calibration" if option == "size" else "none"
    return re.split(r"[/\\]", value)[-1] if isinstance(value, str) else f"{value:g}"


def _differences(studies: Sequence[Study]) -> dict[str, list[str]]:
    """Return what differs between environments, and between options that do not change the unit of work."""
    rows = [dict(_described(study)) for study in studies]
    names = dict.fromkeys(name for row in rows for name in row)
    values = {name: [row.get(name, "not known") for row in rows] for name in names}
    return {name: each for name, each in values.items() if len(set(each)) > 1}


def _described(study: Study) -> Iterator[tuple[str, str]]:
    environment: Mapping[str, Any] = study.environment
    python, cores = environment["python"], environment["cores"]
    yield "CPU", environment["cpu"]
    yield "Cores available", str(cores["available"])
    yield "Platform", environment["platform"]
    yield "Python", f"{python['implementation']} {python['version']}"
    yield "Build of Python", f"{python['build']}, {python['compiler']}"
    yield "Free-threaded build", "yes" if python["free_threaded"] else "no"
    yield "GIL", "held" if python["gil"] else "none"
    yield "Compiler", f"{environment['compiler']}, Cython {environment['cython']}"
    for name, version in environment["versions"].items():
        yield LIBRARIES.get(name, name), version or "not installed"
    yield "Numba's threading layer", environment["threading_layer"] or "none"
    yield "File system", environment.get("file_system") or "not known"
    yield "Other load", "; ".join(environment["load"]) or "none"
    yield "Seed", str(study.options["seed"])


def _named(cells: Sequence[CellResult]) -> str:
    """Return a few cells by name, and how many others there are."""
    named = ", ".join(str(cell.cell) for cell in cells[:MOST_NAMED])
    more = len(cells) - MOST_NAMED
    return f"{named} and {plural(more, 'other')}" if more > 0 else named


def _content(cell: ComparedCell) -> dict[str, Any]:
    results = (cell.first, cell.other)
    return {
        **dict(zip(("workload", "variant", "execution", "workers"), cell.first.key, strict=True)),
        "unit": cell.first.unit,
        "statuses": [result.status for result in results],
        "rates": [result.rate for result in results],
        "speedups": [None if result.speedup is None else asdict(result.speedup) for result in results],
        "ratio": cell.ratio,
        "interval": None if cell.interval is None else [cell.interval.low, cell.interval.high],
        "difference": cell.difference,
    }
