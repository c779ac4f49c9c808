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
    ("data", "message"),
    [
        (b"", r"is empty"),
        (b" \n", r"is empty"),
        (b"\x89PNG\xff\xfe", r"is not JSON: it is not text"),
        (b"\x00\x01\x02\x03", r"is not JSON"),
        (b"cells", r"is not JSON: see line 1, column 1"),
        (b'{"schema": 2, "cells": [', r"is not complete: its JSON ends in line 1"),
        (b'{"schema": 2,\n "ce', r"is not complete: its JSON ends in line 2"),
        (b"[" * 100_000, r"is nested too deeply|is not complete"),
        (b'{"schema": 2, "cells": NaN}', r"is not JSON: NaN is not a number"),
        (b'{"schema": 2, "cells": ' + b"9" * 5000 + b"}", r"is not JSON: "),
        (b"[]", r"is not a result file of parcount study$"),
        (b"7", r"is not a result file of parcount study$"),
        (b"{}", r"is not a result file of parcount study$"),
        (b'{"schema": 2}', r"is not a result file of parcount study$"),
        (b'{"schema": "2", "cells": []}', r"is not a result file of parcount study$"),
        (b'{"schema": true, "cells": []}', r"is not a result file of parcount study$"),
        (b'{"schema": 1, "cells": []}', r"by an older version of parcount: .* this version reads 2; measure again$"),
        (b'{"schema": 3, "cells": []}', r"by a newer version of parcount: .* this version reads 2; update parcount$"),
        (b'{"schema": 2, "cells": []}', r"is not a result file .* can read: environment is missing$"),
        (b"<html></html>", r"is not JSON"),
    ],
)
def test_what_is_no_result_file_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        Study.load(tmp_path / "a.json")
    assert str(caught.value).startswith(str(tmp_path / "a.json"))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("complete",), "yes", "complete must be true or false, not 'yes'"),
        (("options", "study"), "weather", "options.study must be one of 'gil', .*, not 'weather'"),
        (("options", "workers", 0), 0, r"options.workers\[0\] is out of range: 0"),
        (("environment", "cores"), None, "environment.cores must be an object, not null"),
        (("environment", "cpu"), "\ud800", "environment.cpu has half a character"),
        (("cells", 1, "workers"), True, r"cells\[1\].workers must be an integer, not true"),
        (("cells", 1, "seconds", 0), "1", r"cells\[1\].seconds\[0\] must be a number, not '1'"),
        (("cells", 1, "seconds", 0), -1, r"cells\[1\].seconds\[0\] is out of range: -1"),
        (("cells", 1, "work"), 10**400, r"cells\[1\].work must be a finite number"),
        (("cells", 1, "rate"), 0, r"cells\[1\].rate is out of range: 0"),
        (("cells", 1, "speedup"), {"median": 1}, r"cells\[1\].speedup.low is missing"),
        (("cells", 1, "speedup", "low"), 1e9, r"a speedup is outside its interval: "),
        (("cells", 1, "execution"), "gpu", r"cells\[1\].execution must be one of 'serial', .*, not 'gpu'"),
        (("cells", 1, "status"), "x" * 100, rf"cells\[1\].status must be one of .*, not '{'x' * 59}…"),
        (("verdict", "sentences"), [], "verdict.sentences has the wrong length"),
    ],
)
def test_a_wrong_value_is_named(study: Study, place: tuple[Any, ...], value: Any, message: str, tmp_path: Path) -> None:
    content = study.content()
    *parents, last = place
    parent = content
    for step in parents:
        parent = parent[step]
    parent[last] = value
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as caught:
        Study.load(tmp_path / "a.json")
    assert str(caught.value).startswith(
        f"{tmp_path / 'a.json'} is not a result file of parcount study that this version"
    )


def test_fields_of_a_later_version_are_ignored(study: Study, tmp_path: Path) -> None:
    content = study.content()
    for place in (content, content["options"], content["environment"], content["cells"][0], content["verdict"]):
        place["weather"] = "fine"
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert Study.load(tmp_path / "a.json") == study


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_files_of_shells_that_write_other_encodings_are_read(study: Study, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(study.content()), encoding=encoding)
    assert Study.load(tmp_path / "a.json") == study


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


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("counters", {"workload": "counter", "execution": "asyncio"}, "'counters' has no execution 'asyncio'"),
        ("counters", {}, "'counters' has no workload 'tally'"),
        ("gil", {"workload": "juggle"}, "no workload 'juggle'; there are tally, "),
    ],
)
def test_a_cell_that_its_study_never_has_is_refused(
    name: str, changes: dict[str, Any], message: str, study: Study, tmp_path: Path
) -> None:
    cell = replace(study.cells[0], **changes)
    replace(study, options={**study.options, "study": name}, cells=[cell]).save(tmp_path / "a.json")
    with pytest.raises(ValueError, match=message):
        Study.load(tmp_path / "a.json")
