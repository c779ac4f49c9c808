from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from parcount.studies.core.comparison import (
    FASTER,
    NO_DIFFERENCE,
    SLOWER,
    ComparedCell,
    StudyComparison,
    compare_results,
    compare_studies,
    ratio_of_medians,
)
from parcount.studies.core.environment import environment
from parcount.studies.core.findings import Findings
from parcount.studies.core.options import Options
from parcount.studies.core.result import Study
from parcount.studies.gil.experiment import GilExperiment
from tests.studies.core.synthetic import CELLS, HELD, PROCESSES, QUIET, THREADS, Machine, results

Factory = Callable[..., Study]


@pytest.fixture(scope="module")
def measured() -> Factory:
    """Makes a study of a machine with a noise of 1 %, whose cells take the given shares of their usual time."""
    described = {**environment(), "load": []}

    def make(*, seed: int = 0, rounds: int = 8, shares: Any = None, **options: Any) -> Study:
        noise = random.Random(seed)
        machine = Machine(
            {cell: seconds * (shares or {}).get(cell, 1.0) for cell, seconds in QUIET.items()},
            slow=lambda _cell, _run: noise.lognormvariate(0.0, 0.01),
        )
        found = results([{cell: machine.run(cell) for cell in CELLS} for _ in range(rounds)])
        verdict = GilExperiment.build_verdict(Findings(found, [], 2, True))
        chosen = replace(Options(workloads=("tally",), variants=("cython",), executions=("threads",)), **options)
        return Study(described, chosen.asdict(), found, verdict, complete=True)

    return make


def by_cell(comparison: StudyComparison) -> dict[Any, ComparedCell]:
    (pair,) = comparison.pairs
    return {cell.first.cell: cell for cell in pair.cells}


def test_a_faster_a_slower_and_an_equal_cell(measured: Factory) -> None:
    shares = {THREADS: 0.5, PROCESSES: 1.25}
    compared = compare_studies([measured(seed=1), measured(seed=2, shares=shares)], ["old", "new"])
    cells = by_cell(compared)
    assert list(cells) == CELLS
    assert cells[THREADS].ratio == pytest.approx(2, rel=0.03)
    assert cells[PROCESSES].ratio == pytest.approx(0.8, rel=0.03)
    expected = dict.fromkeys(CELLS, NO_DIFFERENCE) | {THREADS: FASTER, PROCESSES: SLOWER}
    assert {cell: one.difference for cell, one in cells.items()} == expected
    assert compared.sentences[0] == "new against old: 1 cell faster, 1 cell slower, 4 cells with no difference shown."
    assert compared.sentences[1].startswith(
        "The largest difference among those that are faster: tally/cython/threads/2, 2.0"
    )
    assert compared.sentences[2].startswith(
        "The largest difference among those that are slower: tally/python/processes/2, 0.8"
    )


def test_equal_machines_rarely_differ(measured: Factory) -> None:
    many = [measured(seed=seed) for seed in range(41)]
    cells = [cell for pair in compare_studies(many).pairs for cell in pair.cells]
    assert len(cells) == 240
    assert sum(cell.difference != NO_DIFFERENCE for cell in cells) <= 24  # of which 5 % are expected


def test_the_ratio_is_that_of_the_rates_whatever_the_work(measured: Factory) -> None:
    first, other = measured(seed=1), measured(seed=2)
    longer = [
        replace(cell, work=4 * (cell.work or 0), seconds=[4 * seconds for seconds in cell.seconds])
        for cell in other.cells
    ]
    usual, scaled = (by_cell(compare_studies([first, replace(other, cells=cells)])) for cells in (other.cells, longer))
    for cell, compared in usual.items():
        assert compared.ratio == pytest.approx(compared.other.rate / compared.first.rate)
        assert scaled[cell].ratio == pytest.approx(compared.ratio)
        assert scaled[cell].interval.low == pytest.approx(compared.interval.low)
        assert scaled[cell].interval.high == pytest.approx(compared.interval.high)


def test_few_rounds_give_a_ratio_without_an_interval_which_shows_no_difference(measured: Factory) -> None:
    compared = compare_studies([measured(), measured(rounds=4, shares={THREADS: 0.1})])
    one = by_cell(compared)[THREADS]
    assert (one.interval, one.difference) == (None, NO_DIFFERENCE)
    assert one.ratio == pytest.approx(10, rel=0.05)
    assert "Fewer than 5 rounds, too few for an interval: tally/python/serial/1, " in "\n".join(compared.sentences)


def test_samples_without_a_ratio_have_none() -> None:
    assert ratio_of_medians([1.0] * 5, [0.0] * 5) is None
    assert ratio_of_medians([0.0] * 5, [0.0] * 5) is None
    assert ratio_of_medians([1e300] * 5, [1e-300] * 5) is None


def test_three_results_are_each_compared_with_the_first(measured: Factory) -> None:
    half = measured(shares=dict.fromkeys(CELLS, 0.5))
    compared = compare_studies([measured(), half, half], ["a", "b", "c"])
    assert [(pair.first, pair.other) for pair in compared.pairs] == [("a", "b"), ("a", "c")]
    assert all(cell.difference == FASTER for pair in compared.pairs for cell in pair.cells)


def test_cells_of_one_result_and_cells_that_failed_are_named(measured: Factory) -> None:
    first, other = measured(), measured()
    kept = [replace(cell, status="failed", reason="") if cell.cell == THREADS else cell for cell in other.cells[1:]]
    compared = compare_studies([first, replace(other, cells=kept)], ["old", "new"])
    assert by_cell(compared)[THREADS].difference is None
    (pair,) = compared.pairs
    assert [cell.cell for cell in pair.only_first] == CELLS[:1]
    assert pair.only_other == []
    assert "Not measured in both: tally/cython/threads/2." in compared.sentences
    assert "Only in old: tally/python/serial/1." in compared.sentences


def test_what_differs_in_the_environments_is_told(measured: Factory) -> None:
    first, other = measured(), measured(seed=1)
    python = {**first.environment["python"], "version": "3.99.1", "gil": not first.environment["python"]["gil"]}
    versions = {**first.environment["versions"], "numba": None, "newer": "1.0"}
    described = {**first.environment, "cpu": "Z80", "python": python, "versions": versions, "load": ["a compiler"]}
    options = {**other.options, "seed": 7, "seconds": 1.0}
    compared = compare_studies([first, replace(other, environment=described, options=options)], ["old", "new"])
    expected = {"CPU", "Python", "GIL", "newer", "Other load", "Seed"}
    expected |= {"Numba"} if first.environment["versions"]["numba"] else set()
    assert set(compared.differences) == expected
    assert f"CPU: {first.environment['cpu']} in old; Z80 in new." in compared.sentences
    assert "Other load: none in old; a compiler in new." in compared.sentences
    assert compare_studies([first, first]).differences == {}


def test_an_interrupted_and_a_wrong_result_are_told(measured: Factory) -> None:
    first, other = measured(), measured()
    wrong = replace(other.cells[0], status="failed", exact=False)
    studies = [replace(first, complete=False), replace(other, cells=[wrong, *other.cells[1:]])]
    sentences = compare_studies(studies, ["old", "new"]).sentences
    assert "old was interrupted." in sentences
    assert "new has wrong results: none of its numbers can be trusted." in sentences


@pytest.mark.parametrize(
    ("option", "values", "workload"),
    [
        ("size", (None, 1000), "tally"),
        ("size", (2000, 1000), "tally"),
        ("data", (None, "/tmp/text"), "bincount"),
        ("data", ("/tmp/texts", "/tmp/text"), "bincount"),
    ],
)
def test_options_that_change_the_unit_of_work_are_refused(
    option: str, values: tuple[Any, Any], workload: str, measured: Factory
) -> None:
    studies = [measured(**{option: value}) for value in values]
    studies = [replace(one, cells=[replace(cell, workload=workload) for cell in one.cells]) for one in studies]
    with pytest.raises(ValueError, match=rf"old was measured with {option} .* and new with {option} .*: .* units"):
        compare_studies(studies, ["old", "new"])


def test_a_delay_is_a_part_of_fetching_and_not_of_counting(measured: Factory) -> None:
    studies = [measured(study="io", delay=delay) for delay in (1.0, 10.0)]
    assert compare_studies(studies).pairs
    fetching = [replace(one, cells=[replace(cell, workload="fetch") for cell in one.cells]) for one in studies]
    with pytest.raises(ValueError, match="delay 1 and result 2 with delay 10"):
        compare_studies(fetching)


@pytest.mark.parametrize(
    "options",
    [
        ({"seed": 1}, {"seed": 2}),
        ({"seconds": 1.0}, {"seconds": 2.0}),
        ({"data": None}, {"data": "text"}),  # of bincount, which no cell counts here
        ({"study": "transports", "size": 1024}, {"study": "transports", "size": 4096}),
    ],
)
def test_other_options_are_not(options: tuple[dict[str, Any], dict[str, Any]], measured: Factory) -> None:
    assert compare_studies([measured(**one) for one in options]).pairs


def test_a_file_of_the_same_name_elsewhere_is_the_same_data(measured: Factory) -> None:
    studies = [measured(data=data) for data in ("a/text", "C:\\b\\text")]
    counting = [replace(one, cells=[replace(cell, workload="bincount") for cell in one.cells]) for one in studies]
    assert compare_studies(counting).pairs


def test_what_has_nothing_in_common_is_refused(measured: Factory) -> None:
    first = measured()
    with pytest.raises(ValueError, match="at least two"):
        compare_studies([first])
    with pytest.raises(ValueError, match="old is the study 'gil' and new the study 'io'"):
        compare_studies([first, measured(study="io")], ["old", "new"])
    with pytest.raises(ValueError, match="no cell in common"):
        compare_studies([first, replace(first, cells=[replace(cell, workers=64) for cell in first.cells])])
    with pytest.raises(ValueError, match="no cell that was measured in both"):
        compare_studies([first, replace(first, cells=[replace(cell, status="failed") for cell in first.cells])])


def test_results_are_compared_by_study(measured: Factory) -> None:
    gil, io = measured(), measured(study="io", delay=1.0)
    results = [("a", gil), ("a", io), ("b", io), ("b", gil), ("b", gil)]
    names = {one.studies[0].name: one.names for one in compare_results(results)}
    assert names == {"gil": ["a", "b (1)", "b (2)"], "io": ["a", "b"]}
    with pytest.raises(ValueError, match="b is the study 'io', and there is no other result of it"):
        compare_results([("a", gil), ("b", io), ("c", gil)])
    assert [one.names for one in compare_results([("a", gil), ("b", io), ("c", gil)], alone=True)] == [["a", "c"]]


def test_the_content_is_json_with_the_numbers(measured: Factory) -> None:
    compared = compare_studies([measured(), measured(shares={HELD: 2.0})], ["old", "new"])
    content = json.loads(json.dumps(compared.content(), allow_nan=False))
    assert content["names"] == ["old", "new"]
    (pair,) = content["pairs"]
    (held,) = [cell for cell in pair["cells"] if (cell["variant"], cell["workers"]) == ("cython-gil", 2)]
    assert held["difference"] == SLOWER
    assert held["ratio"] == pytest.approx(held["rates"][1] / held["rates"][0]) == pytest.approx(0.5, rel=0.03)
    assert held["interval"][0] <= held["ratio"] <= held["interval"][1] < 1
    assert held["speedups"][1]["median"] == pytest.approx(0.5, rel=0.03)
    assert content["sentences"] == compared.sentences


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("details", [False, True])
def test_the_table_shows_whole_rows_without_colour(
    width: int, details: bool, measured: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rich")
    from parcount.studies.core import comparison_table

    monkeypatch.setenv("COLUMNS", str(width))
    first, other = measured(), measured(shares={THREADS: 0.5, HELD: 2.0})
    stream = io.StringIO()
    comparison = compare_studies([first, other], ["old", "new"])
    comparison_table.show(comparison, stream, details)
    text = " ".join(stream.getvalue().split())
    assert text.startswith("new against old: 1 cell faster, 1 cell slower, 4 cells with no difference shown. A: old, ")
    assert "\x1b" not in text
    assert max(map(len, stream.getvalue().splitlines())) <= width
    one = by_cell(comparison)[THREADS]
    ratio = f"{one.ratio:.2f}× [{one.interval.low:.2f}–{one.interval.high:.2f}]"
    rates = f"threads 2 {one.first.rate / 1e6:#.3g} {one.other.rate / 1e6:#.3g}"
    assert ratio in text
    assert (f"{rates} {ratio} faster" in text) == (width > 60)
    assert (f"faster {one.first.speedup} {one.other.speedup}" in text) == (width == 120)
    assert (str(one.first.speedup) in text) == (width == 120 or details)
    assert ("Left out for lack of width: " in text) == (width < 120 and not details)
