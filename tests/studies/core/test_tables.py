from __future__ import annotations

from parcount.report.table import Styled
from parcount.studies.core.claims import Claim
from parcount.studies.core.statistics import Estimate
from parcount.studies.core.tables import claims_table, speedup_cells, speedup_columns
from tests.studies.core.synthetic import CELLS, THREADS, results, rounds_of


def test_the_most_workers_that_have_cores_come_first_then_fewer_then_more() -> None:
    columns = speedup_columns([1, 2, 4, 8, 16], 4)
    speeds = [column for column in columns if "worker" in column.name]
    by_rank = sorted(speeds, key=lambda column: column.rank)
    assert [column.name for column in speeds] == ["1 worker", "2 workers", "4 workers", "8 workers*", "16 workers*"]
    assert [column.name for column in by_rank] == ["4 workers", "2 workers", "1 worker", "8 workers*", "16 workers*"]
    ranks = [column.rank for column in columns]
    assert len({*ranks}) == len(ranks)
    assert 2 not in ranks
    first, second = sorted(columns, key=lambda column: column.rank)[:2]
    assert (first.name, second.label) == ("4 workers", "[95 %] of 4 workers")


def test_a_cell_without_a_speedup_has_its_status() -> None:
    (measured,) = (one for one in results(rounds_of(12), CELLS) if one.cell == THREADS)
    assert speedup_cells(measured) == ("1.96×", "[1.96–1.96]")
    assert speedup_cells(None) == ("", "")
    cases = {"failed": ("failed", "red"), "not supported": ("–", "dim"), "interrupted": ("–", "dim")}
    for status, (text, style) in cases.items():
        shown, interval = speedup_cells(type(measured)(**{**vars(measured), "status": status}))
        assert (shown, interval) == (text, "")
        assert isinstance(shown, Styled)
        assert shown.style == style


def test_claims_are_rows() -> None:
    claims = [
        Claim("threads pay", ["a"], "speedup", 1.1, Estimate(1.9, 1.8, 2.0), True),
        Claim("they are slow", ["a"], "ratio", 2, None, None),
    ]
    assert [*claims_table(claims).rows] == [
        ("yes", "1.90", "[1.80–2.00]", "1.1", "speedup", "threads pay"),
        ("undecided", "–", "", "2", "ratio", "they are slow"),
    ]
