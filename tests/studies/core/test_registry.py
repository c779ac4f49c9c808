from __future__ import annotations

import importlib
import json
import subprocess
import sys
from itertools import takewhile

import pytest

import parcount as pc
from parcount.studies.core.registry import DEFAULT, STUDIES, find_experiment
from tests.studies.core.test_result import SCHEMA

EVERY = pytest.mark.parametrize("name", STUDIES)


@EVERY
def test_its_options_are_documented(name: str) -> None:
    experiment = find_experiment(name)
    assert experiment.name == name
    assert experiment().options.study == name
    table = str(pc.study.__doc__).partition("study      option     meaning")[2]
    rows = [line.split()[:2] for line in table.splitlines()[2:]]
    start = next(number for number, row in enumerate(rows) if row[:1] == [name])
    documented = [rows[start][1], *(row[1] for row in takewhile(lambda row: row[0] == ".", rows[start + 1 :]))]
    assert documented == [option.keyword for option in experiment.parameters]


@EVERY
def test_it_has_a_table_and_a_figure(name: str) -> None:
    pytest.importorskip("rich")
    pytest.importorskip("matplotlib")
    table = importlib.import_module(f"parcount.studies.{name}.table")
    assert callable(table.tables)
    assert callable(table.legend)
    assert callable(importlib.import_module(f"parcount.studies.{name}.figure").draw)


@EVERY
def test_the_schema_knows_it(name: str) -> None:
    assert name in SCHEMA["properties"]["options"]["properties"]["study"]["enum"]


@EVERY
def test_an_option_of_another_study_is_a_type_error_that_names_its_own(name: str) -> None:
    with pytest.raises(TypeError, match=f"the study '{name}' has no option 'colour'; it has "):
        pc.study(name, colour="red")


def test_no_other_study_exists() -> None:
    with pytest.raises(ValueError, match="no study 'weather'; there are gil, counters, io, transports, journal"):
        pc.study("weather")
    assert DEFAULT in STUDIES


@EVERY
def test_a_study_loads_no_other_and_no_optional_library(name: str) -> None:
    code = f"import json, sys; from parcount.studies import find_experiment; find_experiment({name!r}); "
    code += "print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    others = {module.partition(":")[0] for study, module in STUDIES.items() if study != name}
    assert not {*others, "numba", "rich", "matplotlib"} & {*json.loads(done.stdout)}
