"""``parcount scale``: what it says of targets that cannot be measured, or not at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from parcount.cli import main
from parcount.studies.core.result import Study
from parcount.studies.scale import experiment
from parcount.studies.scale.experiment import ScaleExperiment

MISBEHAVING = Path(__file__).parents[1] / "studies" / "scale" / "misbehaving.py"


class Done(NamedTuple):
    code: int
    out: str
    err: str


Scale = Callable[..., Done]


@pytest.fixture
def scale(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Scale:
    """Runs the command in this process, for a short time."""
    monkeypatch.setattr(ScaleExperiment, "target", 0.002)
    monkeypatch.setattr(experiment, "_memory_bytes", lambda _workers: 1 << 16)

    def run(*words: str | Path, executions: str = "threads", workers: str = "1,2") -> Done:
        short = ["--seconds", "0.1", "--executions", executions, "--workers", workers]
        code = main(["scale", *short, *map(str, words)])
        return Done(code, *(" ".join(text.split()) for text in capsys.readouterr()))

    return run


def target(name: str) -> str:
    return f"{MISBEHAVING}:{name}"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nosuchmodule:f"], "No module named 'nosuchmodule'"),
        (["json:nosuch"], "module 'json' has no attribute 'nosuch'"),
        (["nosuch.py:f"], "nosuch.py"),
        ([target("nosuch")], "has no attribute 'nosuch'"),
        ([target("not_callable")], "7 is not callable"),
        ([target("needs_arguments")], "missing a required argument: 'size'; give them with --args"),
        ([target("raises")], "ValueError: planted: no such colour"),
        ([target("interrupts")], "KeyboardInterrupt"),
        ([target("exits")], "sys.exit(3)"),
        ([target("exits_at_once")], "exit code 3"),
        ([target("kills_its_worker")], "SIGKILL"),
        ([target("is_a_generator")], "is a generator function: calling it runs nothing"),
        ([target("waits_for_ever"), "--timeout", "0.3"], "--timeout gives it longer"),
        ([target("holds_the_gil_for_ever"), "--timeout", "0.3"], "--timeout gives it longer"),
        (["nosuchname + 1"], "NameError: name 'nosuchname' is not defined"),
        (["-s", "1 / 0", "pass"], "ZeroDivisionError"),
        ([target("needs_arguments"), "--args", "(1, nosuch)"], "NameError"),
    ],
)
def test_nothing_can_be_measured(words: list[str], told: str, scale: Scale) -> None:
    done = scale(*words)
    assert done.code == 1
    assert "nothing was measured" in done.err
    assert told in done.err
    assert "parcount/" not in done.err  # no frame of ours in a traceback


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sum("], "the statement is not valid Python"),
        (["-s", "x =", "x"], "the setup is not valid Python"),
        (["json:dumps", "--args", "(1"], "--args is not valid Python"),
        (["1 + 1", "--args", "1"], "--args is for functions"),
        (["script.py"], "which function of it"),
        ([" "], "the target is empty"),
        (["pass", "--workers", "0"], "workers must be at least 1"),
        (["pass", "--executions", "fibers"], "no execution 'fibers'"),
        (["pass", "--timeout", "-1"], "not a positive number"),
        (["pass", "--json", "/nosuch/file"], "cannot write"),
        (["pass", "--plot", "x.gif"], ".png or .svg"),
    ],
)
def test_a_wrong_call_is_refused(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["scale", *words])
    assert end.value.code == 2
    assert told in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("raises_in_threads", "worker 1 of 2 on threads: ValueError: planted: in a thread"),
        ("prints", "It prints."),
        ("prints_json", "It prints."),
        ("changes_directory", "It changes the directory"),
        ("returns_at_once", "Too short to measure"),
        ("returns_unpicklable", "its result cannot be sent to another process"),
        ("anonymous", "calls/s"),
        ("bound_method", "calls/s"),
        ("callable_object", "calls/s"),
        ("partial", "calls/s"),
        ("forks", "calls/s"),
        ("closes_streams", "calls/s"),
        ("leaves_threads", "calls/s"),
    ],
)
def test_the_rest_is_measured(name: str, told: str, scale: Scale) -> None:
    done = scale(target(name))
    assert done.code == 0
    assert told in done.out


def test_a_traceback_is_shown_once_and_other_executions_go_on(scale: Scale, tmp_path: Path) -> None:
    done = scale(
        target("raises_in_threads"), "--json", tmp_path / "a.json", executions="threads,processes", workers="1,2"
    )
    assert done.code == 0
    assert done.err.count('raise ValueError("planted: in a thread")') == 1
    study = Study.load(tmp_path / "a.json")
    statuses = {(cell.execution, cell.status) for cell in study.cells if cell.workload == "target"}
    assert statuses == {("serial", "measured"), ("threads", "failed"), ("processes", "measured")}


def test_the_files_and_the_page(scale: Scale, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.json", "a.png", "a.html")]
    words = [word for flag, file in zip(("--json", "--plot", "--html"), files, strict=True) for word in (flag, file)]
    done = scale("-s", "data = list(range(1000))", "sum(data)", "--details", *words)
    assert done.code == 0
    assert "GIL wait" in done.out
    content = json.loads(files[0].read_text())
    assert content["options"]["setup"] == "data = list(range(1000))"
    assert content["verdict"]["causes"]
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert "sum(data)" in files[2].read_text()
    assert main(["report", str(files[0]), "--html", str(tmp_path / "again.html")]) == 0
    assert main(["compare", str(files[0]), str(files[0])]) == 0


def test_several_pythons_are_measured_in_every_round(scale: Scale, tmp_path: Path) -> None:
    # The same Python twice, because there may be no other.
    pythons = f"{sys.executable},{sys.prefix},nosuchpython"
    done = scale("sum(range(1000))", "--python", pythons, "--json", tmp_path / "a.json")
    assert done.code == 0
    study = Study.load(tmp_path / "a.json")
    serial = [cell for cell in study.cells if cell.workload == "target" and cell.execution == "serial"]
    measured = [cell for cell in serial if cell.status == "measured"]
    assert len({cell.variant for cell in measured}) == len(measured) >= 2
    assert len({len(cell.seconds) for cell in measured}) == 1
    (missing,) = [cell for cell in serial if cell.variant == "nosuchpython"]
    assert (missing.status, missing.reason) == ("not installed", "there is no such command, version or path")
    assert "cost of" in done.out


def test_objects_that_threads_share_are_swept(scale: Scale, tmp_path: Path) -> None:
    words = ["-s", "a = [1]; b = {}", "a[0] += 1; b['x'] = a", "--share-sweep", "--json", tmp_path / "a.json"]
    assert scale(*words).code == 0
    swept = [cell for cell in Study.load(tmp_path / "a.json").cells if ": " in cell.workload]
    assert [(cell.workload, cell.status) for cell in swept] == [("shared: a", "measured"), ("shared: b", "measured")]
