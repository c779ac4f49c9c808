from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import parcount as pc
from parcount.studies.core.environment import environment
from parcount.studies.core.findings import Findings
from parcount.studies.core.result import Study
from parcount.studies.gil.experiment import GilExperiment
from tests.studies.core.synthetic import CELLS, results, rounds_of

SCHEMA = json.loads(files("parcount.studies.core").joinpath("result.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def study() -> Study:
    """A study of a synthetic machine."""
    rounds = rounds_of(12)
    found = results(rounds)
    verdict = GilExperiment.build_verdict(Findings(found, rounds, 2, True))
    real = environment()
    described = {**real, "load": [], "cores": {**real["cores"], "available": 2, "parallel": 2}}
    return Study(described, GilExperiment.check_options().asdict(), found, verdict, complete=True)


def check(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    jsonschema.validate(content, SCHEMA)
    return content


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_result_file_fits_the_schema_and_reads_back_equal(study: Study, tmp_path: Path) -> None:
    study.save(tmp_path / "a.json")
    content = check(tmp_path / "a.json")
    assert list(content) == ["schema", "environment", "options", "cells", "verdict", "complete"]
    assert content["schema"] == 2
    assert len(content["cells"]) == len(CELLS)
    assert Study.load(tmp_path / "a.json") == study


def test_the_documentation_names_every_field(study: Study, tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "result-file.md"
    text = page.read_text(encoding="utf-8")
    study.save(tmp_path / "a.json")
    content = check(tmp_path / "a.json")
    for fields in (content, content["cells"][0], content["verdict"], content["environment"]):
        for name in fields:
            assert f"`{name}`" in text


def test_a_real_study_fits_the_schema_also_where_things_are_missing(tmp_path: Path) -> None:
    result = pc.study("gil", variants=["python", "cython"], workers=[1], size=0, seconds=0.01)
    result.save(tmp_path / "a.json")
    assert {cell["work"] for cell in check(tmp_path / "a.json")["cells"] if cell["status"] == "measured"} == {0}
    assert Study.load(tmp_path / "a.json") == result


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(study: Study, tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(OSError, match=r"a\.json"):
        study.save(tmp_path / "a.json")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_saving_keeps_the_usual_modes(study: Study, tmp_path: Path) -> None:
    study.save(tmp_path / "a.json")
    (tmp_path / "usual").touch()
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a result file"),
        ("[]", "not a result file"),
        ("{}", "not a result file"),
        ('{"schema": 3}', "has schema 3; this version of parcount reads 2"),
        ('{"schema": 2}', "not a result file"),
        ('{"schema": 2, "cells": [{"speedup": null}]}', "not a result file"),
    ],
)
def test_what_is_no_result_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        Study.load(tmp_path / "a.json")


def test_a_study_of_what_only_a_newer_version_asks_is_refused_by_name(study: Study, tmp_path: Path) -> None:
    replace(study, options={**study.options, "study": "weather"}).save(tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"the study 'weather'; this version of parcount has gil, counters"):
        Study.load(tmp_path / "a.json")


def test_exact_only_if_every_cell_is(study: Study) -> None:
    assert study.exact
    wrong = replace(study.cells[0], exact=False, status="failed")
    assert not replace(study, cells=[*study.cells[1:], wrong]).exact
    there_to_lose = replace(study.cells[0], exact=False, lost=[3])
    assert replace(study, cells=[*study.cells[1:], there_to_lose]).exact
    absent = replace(study.cells[0], exact=None)
    assert replace(study, cells=[absent]).exact


def test_printed_it_is_the_verdict(study: Study) -> None:
    assert str(study).splitlines() == study.verdict.sentences
