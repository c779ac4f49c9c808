from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from parcount.report.table import Column, Styled, Table

words = st.text("ab×–", max_size=12)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Of a name and some columns, with ranks in any order."""
    ranks = draw(st.permutations(range(1, draw(st.integers(2, 8)))))
    columns = [Column(f"{draw(words)}{rank}", rank) for rank in ranks]
    rows = draw(st.lists(st.lists(words, min_size=len(ranks) + 1, max_size=len(ranks) + 1), max_size=4))
    return Table("", [Column("name", left=True), *columns], rows)


WRAPPED = Table("", [Column("n", 1), Column("text", left=True, least=8)], [["1", "a word and another"], ["22", "b"]])


@given(tables(), st.integers(1, 100))
def test_a_table_is_as_wide_as_fits_and_at_least_its_name_and_most_important_column(table: Table, width: int) -> None:
    shown = table.fit(width)
    ranks = sorted(column.rank for column in shown.columns)
    assert ranks == [*range(len(ranks))]
    assert shown.width <= width or len(ranks) == 2
    assert [column for column in table.columns if column in shown.columns] == [*shown.columns]
    assert all(len(line) <= shown.width for line in shown.lines())
    more = table.only([column for column in table.columns if column.rank <= len(ranks)])
    assert more.columns == shown.columns or more.width > width


@given(tables(), st.integers(1, 100))
def test_its_parts_have_every_column_once_and_the_name_always(table: Table, width: int) -> None:
    parts = [*table.parts(width)]
    assert all(part.columns[0] == table.columns[0] for part in parts)
    others = [column for part in parts for column in part.columns[1:]]
    assert sorted(others, key=lambda column: column.rank) == sorted(table.columns[1:], key=lambda column: column.rank)
    assert all([row[0] for row in part.rows] == [row[0] for row in table.rows] for part in parts)


def test_only_a_last_column_that_may_be_is_wrapped() -> None:
    assert WRAPPED.fit(14).lines() == [" n  text", " 1  a word and", "    another", "22  b"]
    assert WRAPPED.fit(80).lines() == [" n  text", " 1  a word and another", "22  b"]
    whole = replace(WRAPPED, columns=[WRAPPED.columns[0], Column("text", left=True)])
    assert whole.fit(14).lines() == WRAPPED.fit(80).lines()


def test_a_name_stands_once_and_headers_of_two_lines_end_on_one() -> None:
    rows = [["x", "1"], ["x", "2"], ["y", "2"]]
    table = Table("", [Column("name", left=True), Column("two\nlines", 1)], rows)
    assert table.lines() == ["        two", "name  lines", "x         1", "          2", "y         2"]


def test_a_style_is_kept() -> None:
    table = Table("", [Column("name", left=True), Column("n", 1)], [["a", Styled("1", "red")]])
    ((_, cell),) = table.fit(80).body()
    assert getattr(cell, "style", "") == "red"
