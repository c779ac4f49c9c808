"""Result files with parts deleted or replaced: each is refused by name, or can be shown, compared, drawn and saved."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parcount.studies.core.comparison import compare_studies
from parcount.studies.core.registry import STUDIES, find_experiment
from parcount.studies.core.result import Study, load_studies
from tests.studies.core.synthetic_studies import synthetic
from tests.studies.core.test_result import SCHEMA

pytest.importorskip("rich")
from parcount.studies.core import comparison_table

WRONG = (None, True, 0, -1, 1, 0.5, 5e-324, 1e-300, 1e300, 10**30, "", "x", "serial", [], {}, [None], {"x": 1})


@pytest.fixture(scope="module", autouse=True)
def _made_before_hypothesis_draws() -> None:
    """What the studies import uses the random module, which strategies must not."""
    for name in STUDIES:
        synthetic(name)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each object and list in parsed JSON, with each of its keys."""
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            yield from places(one)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, Any]:
    """The name of a study, and the content of its result file with a few parts deleted or replaced.

    Half of the new values are of the type of the old ones, so that not all of the files are refused.
    """
    name = draw(st.sampled_from([*STUDIES]))
    content = copy.deepcopy(synthetic(name).content())
    for _ in range(draw(st.integers(1, 4))):
        found = [*places(content)]
        parent, key = found[draw(st.integers(0, len(found) - 1))]
        if draw(st.booleans()):
            values = [value for value in WRONG if type(value) is type(parent[key])]
            values += [other[its] for other, its in found if type(other[its]) is type(parent[key])]
        else:
            values = [*WRONG]
        if draw(st.integers(0, 9)):
            parent[key] = copy.deepcopy(values[draw(st.integers(0, len(values) - 1))])
        else:
            del parent[key]
    return name, content


def use(study: Study, other: Study) -> None:
    """Do with a study what the commands do with one that was loaded."""
    experiment = find_experiment(study.name)
    for details in (False, True):
        experiment.show(study, io.StringIO(), details)
    str(study), study.exact, study.measured
    for pair in ([study, study], [study, other], [other, study]):
        try:
            compared = compare_studies(pair, ["a", "b"])
        except ValueError:
            continue
        comparison_table.show(compared, io.StringIO())
        json.dumps(compared.content(), allow_nan=False)
    json.dumps(study.content(), allow_nan=False)


def check_damaged(path: Path, case: tuple[str, Any]) -> None:
    name, content = case
    path.write_text(json.dumps(content))
    try:
        (study,) = load_studies(path)
    except ValueError as error:
        told = str(error)
    else:
        told = str(path)
        use(study, synthetic(name))
    assert told.startswith(str(path))


@given(damaged())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_refused_by_name_or_can_be_used(tmp_path: Path, case: tuple[str, Any]) -> None:
    check_damaged(tmp_path / "a.json", case)


@pytest.mark.parametrize("name", STUDIES)
def test_so_is_one_without_the_options_of_its_study(tmp_path: Path, name: str) -> None:
    content = synthetic(name).content()
    kept = {*SCHEMA["properties"]["options"]["required"], "study"}
    content["options"] = {option: value for option, value in content["options"].items() if option in kept}
    check_damaged(tmp_path / "a.json", (name, content))


@pytest.mark.slow
@pytest.mark.timeout(600)
@given(damaged())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_so_are_hundreds(tmp_path: Path, case: tuple[str, Any]) -> None:
    check_damaged(tmp_path / "a.json", case)


@given(st.sampled_from([*STUDIES]), st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_off_or_with_wrong_bytes_is_refused_by_name(tmp_path: Path, name: str, data: st.DataObject) -> None:
    whole = json.dumps(synthetic(name).content(), indent=1).encode()
    cut = data.draw(st.integers(0, len(whole) - 3))  # not at the last line, which is a brace
    path = tmp_path / "a.json"
    path.write_bytes(whole[:cut] + data.draw(st.sampled_from([b"", b"\xff", b"\x00" * 8, b"}", b"]", b'"'])))
    with pytest.raises(ValueError, match=r"a\.json (is|was) ") as caught:
        load_studies(path)
    assert str(caught.value).startswith(str(path))
