"""`parcount plan`, end to end: once as a shell starts it, and where nothing is measured, in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import parcount as pc
from parcount.cli import main
from parcount.costmodel import costs
from tests.costmodel.synthetic import synthetic
from tests.test_cli import LIMIT, living, parcount


@pytest.fixture
def saved(tmp_path: Path) -> str:
    synthetic().save(tmp_path / "saved.json")
    return str(tmp_path / "saved.json")


def refusal(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["plan", *words])
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    return " ".join(err.split())


def test_it_measures_prints_and_writes(tmp_path: Path) -> None:
    done = parcount("plan", "--workload", "tally", "--bins", "64", "--size", "20_000", "--workers", "1,2,64",
                    "--nodes", "5", "--seconds", "0.01", "--cost", "merge=2ns",
                    "--json", tmp_path / "a.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for words in ("kernel", "threads", "64*", "processes", "nodes", "tally of 20 000 keys in 64 bins", "merge 2 ns"):
        assert words in done.stdout
    plan = pc.Plan.load(tmp_path / "a.json")
    assert plan.costs["merge"].source == "given"
    assert plan.costs["kernel"].source == "measured"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_saved_costs_are_not_measured_again(
    saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(costs, "measure")
    file = tmp_path / "other.json"
    assert main(["plan", "--from", saved, "--size", "5_000", "--cost", "kernel=3 ns", "--json", str(file)]) == 0
    assert "bincount of 5 000 int64 keys in 1 024 bins" in capsys.readouterr().out
    content = json.loads(file.read_text())
    assert content["costs"]["kernel"] == {"value": pytest.approx(3e-9), "low": pytest.approx(3e-9),
                                          "high": pytest.approx(3e-9), "source": "given"}  # fmt: skip
    assert content["job"]["size"] == 5000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workload", "juggle"], "no workload 'juggle'"),
        (["--dtype", "float32"], "no dtype 'float32'"),
        (["--bins", "0"], "bins must be from 1"),
        (["--bins", "few"], "is not an integer"),
        (["--size", "0"], "size must be at least 1"),
        (["--workers", "0"], "at least 1"),
        (["--workers", "two"], "is not an integer"),
        (["--nodes", ""], "no number of"),
        (["--cost", "kernel"], "name=value"),
        (["--cost", "kernel=0.3"], "kernel takes a number with a unit"),
        (["--cost", "colonel=1ns"], "no cost 'colonel'"),
        (["--seconds", "0"], "is not a positive number of seconds"),
        (["--from", "no/such/file"], "cannot read no/such/file"),
        (["--from", __file__], "is not JSON: see line 1"),
        (["--json", "no/such/folder/a.json"], "cannot write no/such/folder/a.json"),
        (["--frobnicate"], "unrecognized arguments"),
    ],
)
def test_a_wrong_call_is_refused_before_measuring(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parcount.costmodel.measure", None)
    assert message in refusal(*words, capsys=capsys)


def test_saved_costs_of_another_job_are_refused(saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "are for bincount of 10 000 000 int64 keys" in refusal("--from", saved, "--bins", "2", capsys=capsys)


def test_a_system_that_fails_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr("parcount.costmodel.measure", fail)
    assert main(["plan", "--size", "10"]) == 1
    assert capsys.readouterr() == ("", "parcount plan: no more processes\n")


INTERRUPTED = """
import os, signal
from parcount.cli import run
from parcount.costmodel import costs

def interrupted(probes, until, report):
    for what, probe in probes:
        if what == "starting processes":
            os.killpg(0, signal.SIGINT)
        probe()

if __name__ == "__main__":
    costs.run_rounds = interrupted
    run()
"""
"""The command, sent Ctrl-C when it has workers and starts more: the whole process group gets it, as from a terminal."""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to another process")
def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "interrupted.py", "plan", "--size", "1000", "--json", tmp_path / "a.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.communicate(timeout=LIMIT) == ("", "")
    assert process.returncode == 130
    assert living(process.pid) == []
    assert not (tmp_path / "a.json").exists()
