"""The tables of a study at several widths."""

from __future__ import annotations

from parcount.report.table import Table
from parcount.studies.core.registry import find_experiment
from parcount.studies.core.result import Study

WIDTHS = (120, 80, 60, 40)


def words(texts: list[str]) -> list[str]:
    return " ".join(texts).split()


def check_tables(study: Study) -> None:
    """Check that each row is one line, all texts are whole, and only the least important columns are left out."""
    experiment = find_experiment(study.name)
    usual = experiment.tables(study)
    every = experiment.tables(study, details=True)
    assert usual
    assert len(every) >= len(usual)
    for width in WIDTHS:
        for table in usual:
            shown = table.first_sight().fit(width)
            check_lines(shown)
            assert max(map(len, shown.lines())) <= width
            left_out = [column for column in table.first_sight().columns if column not in shown.columns]
            assert not left_out or min(column.rank for column in left_out) > max(one.rank for one in shown.columns)
        for table in every:
            parts = [*table.parts(width)]
            assert {column for part in parts for column in part.columns} == {*table.columns}
            for part in parts:
                check_lines(part)
        lines = study.table(width=width).splitlines()
        assert all(len(line) <= width and not line.endswith(" ") for line in lines)


def check_lines(table: Table) -> None:
    lines = table.lines()
    body = table.body()
    assert len(lines) == len(table.header()) + len(body)
    assert [line.split() for line in lines[-len(body) :]] == [words(row) for row in body]
