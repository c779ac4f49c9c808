from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys

import pytest

from parcount.studies.registry import DEFAULT, STUDIES, StudyEntry
from tests.studies.core.test_result import SCHEMA

EVERY = pytest.mark.parametrize("question", STUDIES.values(), ids=list(STUDIES))


@EVERY
def test_its_function_and_its_check_take_what_the_table_says(question: StudyEntry) -> None:
    home = importlib.import_module(question.home)
    common = {"seed", "seconds"}
    assert set(inspect.signature(home.options).parameters) == {*question.takes, *common}
    function = set(inspect.signature(getattr(home, question.function)).parameters)
    assert function == {*question.takes, *common, "quick", "progress"}


@EVERY
def test_it_has_a_table_and_a_plot(question: StudyEntry) -> None:
    pytest.importorskip("rich")
    pytest.importorskip("matplotlib")
    assert callable(importlib.import_module(f"parcount.studies.{question.name}.table").show)
    assert callable(importlib.import_module(f"parcount.studies.{question.name}.figure").draw)


@EVERY
def test_the_schema_knows_it(question: StudyEntry) -> None:
    assert question.name in SCHEMA["properties"]["options"]["properties"]["question"]["enum"]


def test_the_first_is_asked_by_default() -> None:
    assert DEFAULT == "gil"


def test_the_table_alone_loads_none_of_them() -> None:
    """Also a study of one question loads nothing of another's."""
    code = "import json, sys, parcount.studies.counters; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = json.loads(done.stdout)
    others = [question.home for question in STUDIES.values() if question.name not in ("gil", "counters")]
    assert not {*others, "numba", "rich", "matplotlib"} & {*loaded}
