"""The real command, in a process of its own where it matters, as a shell would start it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from unittest.mock import patch

import pytest

from parcount.cli import main, run
from parcount.kernels import VARIANTS
from parcount.studies.core.cells import Cell
from parcount.studies.core.registry import STUDIES, find_experiment
from parcount.studies.core.result import load_studies
from parcount.studies.counters.experiment import CountersExperiment
from parcount.studies.counters.methods import METHODS
from parcount.studies.gil.experiment import GilExperiment
from parcount.studies.journal.methods import METHODS as APPENDING

COMMAND = [sys.executable, "-m", "parcount"]
LIMIT = 100
SHORT = ["--seconds", "0.01"]

Done = subprocess.CompletedProcess[str]


def parcount(*words: str | Path, env: dict[str, str] | None = None) -> Done:
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
        check=False,
    )


@pytest.fixture
def study(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Runs `parcount study` in this process, each cell for a short time."""
    for name in STUDIES:
        monkeypatch.setattr(find_experiment(name), "target", 0.001)

    def run(*words: str | Path) -> Done:
        code = main(["study", *map(str, words)])
        return Done([], code, *capsys.readouterr())

    return run


SMALL = ["--variants", "cython", "--executions", "threads", "--size", "1000", *SHORT]


def without_numba(folder: Path) -> dict[str, str]:
    """A path entry whose `numba` cannot be imported stands for its absence."""
    folder.mkdir()
    (folder / "numba.py").write_text("raise ImportError('No module named numba')")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))}


def test_the_installed_command_is_the_same_as_the_module() -> None:
    script = Path(sysconfig.get_path("scripts")) / ("parcount.exe" if sys.platform == "win32" else "parcount")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=LIMIT, check=True)
    assert done.stdout == parcount("--version").stdout
    assert done.stdout.startswith("parcount ")


def test_a_study_prints_its_table_and_verdict_and_writes_its_files(tmp_path: Path) -> None:
    done = parcount(
        "study", "--seconds", "0.1", "--variants", "python,cython,cython-gil", "--executions", "threads,processes",
        "--workers", "1,2", "--size", "20_000", "--seed", "7", "--workload", "tally,increment",
        "--json", tmp_path / "a.json", "--plot", tmp_path / "a.png",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for word in ("tally:", "increment:", "cython-gil", "threads", "processes", "gave the exact counts"):
        assert word in done.stdout
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["complete"] is True
    assert content["options"]["seed"] == 7
    assert {cell["workload"] for cell in content["cells"]} == {"tally", "increment"}
    assert {cell["work"] for cell in content["cells"]} == {20_000}
    assert all(cell["exact"] for cell in content["cells"])
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.png"]


def test_a_study_of_counters(tmp_path: Path, study: Callable[..., Done]) -> None:
    done = study("counters", "--variants", "counter += 1,AtomicCounter", "--workers", "2", "--size", "9999",
                 *SHORT, "--json", tmp_path / "a.json", "--plot", tmp_path / "a.svg")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "method" in done.stdout
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["options"]["study"] == "counters"
    assert {cell["variant"] for cell in content["cells"]} == {"counter += 1", "AtomicCounter"}
    assert "<svg" in (tmp_path / "a.svg").read_text()


def test_a_study_of_io(tmp_path: Path, study: Callable[..., Done]) -> None:
    done = study("io", "--executions", "threads,asyncio", "--workers", "2,3", "--delay", "0.5", "--size",
                 "9", *SHORT, "--json", tmp_path / "a.json", "--plot", tmp_path / "a.png")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "answered after 0.5 ms" in done.stdout
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["options"]["study"] == "io"
    assert content["options"]["delay"] == 0.5
    assert {cell["execution"] for cell in content["cells"]} == {"serial", "threads", "asyncio"}
    assert {cell["work"] for cell in content["cells"] if cell["workload"] == "fetch"} == {9}
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_study_of_transports(tmp_path: Path, study: Callable[..., Done]) -> None:
    done = study("transports", "--size", "70_000", "--variants", "pipe,shared_memory,shared array", *SHORT,
                 "--json", tmp_path / "a.json", "--plot", tmp_path / "a.png")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for word in ("an integer", "there: to a worker", "back: made by a worker", "returned what was sent"):
        assert word in done.stdout
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["options"]["study"] == "transports"
    assert content["complete"] is True
    assert {cell["status"] for cell in content["cells"]} == {"measured"}
    assert all(cell["exact"] for cell in content["cells"])
    assert {cell["variant"] for cell in content["cells"]} == {"work alone", "pipe", "shared_memory", "shared array"}
    assert content["cells"][-1]["workload"] == "back, 64 kB"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def small_studies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Studies of few and short cells."""
    pytest.importorskip("rich")
    pytest.importorskip("matplotlib")
    for name in STUDIES:
        monkeypatch.setattr(find_experiment(name), "target", 0.001)
    with ExitStack() as stack:
        for registry, names in (
            (VARIANTS, ["cython"]),
            (METHODS, ["counter += 1", "AtomicCounter"]),
            (APPENDING, ["reserve", "lock"]),
        ):
            kept = {name: registry[name] for name in names}  # type: ignore[index]
            stack.enter_context(patch.dict(registry, kept, clear=True))  # type: ignore[arg-type]
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("small_studies")
def test_all_studies_one_after_the_other_a_file_for_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["all", "--workers", "1", "--seconds", "0.04", "--seed", "3"]
    pytest.importorskip("jinja2")
    files = ["--json", f"{tmp_path}/a.json", "--plot", f"{tmp_path}/a.svg", "--html", f"{tmp_path}/a.html"]
    assert main(["study", *words, *files]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for name in STUDIES:
        content = json.loads((tmp_path / f"a-{name}.json").read_text())
        assert content["options"]["study"] == name
        assert content["options"]["seed"] == 3
        assert content["options"]["seconds"] == 0.04 / len(STUDIES)
        assert content["verdict"]["sentences"][0] in out
        assert "<svg" in (tmp_path / f"a-{name}.svg").read_text()
    assert len(list(tmp_path.iterdir())) == 2 * len(STUDIES) + 1
    assert [study.name for study in load_studies(tmp_path / "a.html")] == [*STUDIES]


@pytest.mark.usefixtures("small_studies")
@pytest.mark.parametrize("name", ["gil", "all"])
def test_ctrl_c_before_the_first_round_says_so_and_leaves_the_files_of_before(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(self: GilExperiment, cell: Cell) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(GilExperiment, "run", interrupted)
    (tmp_path / "a.html").write_text("from before")
    files = ["--json", f"{tmp_path}/a.json", "--plot", f"{tmp_path}/a.png", "--html", f"{tmp_path}/a.html"]
    assert main(["study", name, "--workers", "1", *files]) == 130
    message = "parcount study gil: The study was interrupted before the first round: nothing was measured.\n"
    assert capsys.readouterr() == ("", message)
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]
    assert (tmp_path / "a.html").read_text() == "from before"


@pytest.mark.usefixtures("small_studies")
@pytest.mark.parametrize("page", ["a.html", "-"])
def test_ctrl_c_in_a_later_study_keeps_the_earlier_ones(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(self: CountersExperiment, cell: Cell) -> None:
        raise KeyboardInterrupt

    pytest.importorskip("jinja2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(CountersExperiment, "run", interrupted)
    assert main(["study", "all", "--workers", "1", "--seconds", "0.04", "--json", "a.json", "--html", page]) == 130
    out, err = capsys.readouterr()
    assert "parcount study counters: The study was interrupted before the first round" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"a-gil.json", page} - {"-"})
    text = out if page == "-" else Path(page).read_text()
    assert text.count("<!DOCTYPE html>") == 1
    (tmp_path / "b.html").write_text(text)
    assert [study.name for study in load_studies(tmp_path / "b.html")] == ["gil"]


def test_a_file_given_by_data_is_counted(tmp_path: Path, study: Callable[..., Done]) -> None:
    (tmp_path / "text").write_text("counted")
    done = study("--data", tmp_path / "text", "--variants", "cython", "--executions", "threads", *SHORT,
                 "--json", tmp_path / "a.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {cell["work"] for cell in json.loads((tmp_path / "a.json").read_text())["cells"]} == {7}


def test_size_zero_is_exact_and_empty(study: Callable[..., Done]) -> None:
    done = study(*SMALL, "--size", "0")
    assert done.returncode == 0
    assert "nothing to count" in done.stdout


def test_more_workers_than_cores_are_allowed_and_marked(study: Callable[..., Done]) -> None:
    done = study(*SMALL, "--workers", f"1,{(os.cpu_count() or 1) + 1}")
    assert done.returncode == 0
    assert "workers*" in done.stdout
    assert "* more workers than" in done.stdout


def test_numba_not_installed_stands_in_the_table(tmp_path: Path) -> None:
    done = parcount("study", "--variants", "cython,numba,numba-parallel", "--executions", "threads", "--size", "1000",
                    *SHORT, "--json", tmp_path / "a.json", env=without_numba(tmp_path / "path"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("not installed") >= 2
    status = {cell["variant"]: cell["status"] for cell in json.loads((tmp_path / "a.json").read_text())["cells"]}
    assert status == {"cython": "measured", "numba": "not installed", "numba-parallel": "not installed"}


def test_a_study_of_the_journal(tmp_path: Path, study: Callable[..., Done]) -> None:
    done = study("journal", "--variants", "reserve,lock,os.write", "--bytes", "16,2000", "--size", "30",
                 "--workers", "2", "--directory", tmp_path, *SHORT,
                 "--json", tmp_path / "a.json", "--plot", tmp_path / "a.svg")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for words in ("2 processes: records per second", "os.write to a file opened with O_APPEND", "none of"):
        assert words in " ".join(done.stdout.split())
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["options"]["study"] == "journal"
    assert content["options"]["bytes"] == [16, 2000]
    assert content["options"]["directory"] == str(tmp_path)
    assert {cell["record_bytes"] for cell in content["cells"]} == {16, 2000}
    assert {cell["status"] for cell in content["cells"]} == {"measured"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.svg"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["abacus"], "invalid choice: 'abacus'"),
        (["counters", "--variants", "cython"], "no method 'cython'"),
        (["counters", "--data", __file__], "unrecognized arguments: --data"),
        (["counters", "--executions", "threads"], "unrecognized arguments: --executions"),
        (["io", "--executions", "gpu"], "there are serial, threads, processes, asyncio"),
        (["io", "--delay", "soon"], "argument --delay: 'soon' is not a number"),
        (["io", "--delay=-1"], "the delay must be from 0 to 60000 milliseconds"),
        (["io", "--size", "0"], "the size must be at least 1 page"),
        (["--delay", "5"], "unrecognized arguments: --delay"),
        (["transports", "--variants", "pigeon"], "no method 'pigeon'; there are pickle, pipe, queue, shared_memory"),
        (["transports", "--size", "8"], "the size must be at least 1024 bytes"),
        (["transports", "--workers", "2"], "unrecognized arguments: --workers"),
        (["journal", "--bytes", "8"], "a record must have from 16 to 16777216 bytes, not 8"),
        (["journal", "--bytes", "small"], "argument --bytes: 'small' is not an integer"),
        (["journal", "--directory", "no/such"], "there is no directory no/such"),
        (["journal", "--sync", "hourly"], "no sync 'hourly'; there are none, record"),
        (["all", "--variants", "python"], "unrecognized arguments: --variants"),
        (["all", "--workers", "0"], "at least 1"),
        (["all", "--json", "no/such/folder/a.json"], "cannot write no/such/folder/a-gil.json"),
        (["--workload", "tallly"], "there are tally, increment, bincount, histogram"),
        (["--variants", "rust"], "there are python, numpy, cython, cython-gil, numba, numba-parallel"),
        (["--executions", "gpu"], "there are serial, threads, processes"),
        (["--workers", "0"], "at least 1"),
        (["--workers=-2"], "at least 1"),
        (["--workers", "two"], "is not an integer"),
        (["--workers", "1.5"], "is not an integer"),
        (["--workers", ""], "no number of workers"),
        (["--size", "-1"], "at least 0"),
        (["--size", "many"], "is not an integer"),
        (["--seed", "-1"], "seed"),
        (["--seconds", "0"], "is not a positive number of seconds"),
        (["--seconds", "nan"], "is not a positive number of seconds"),
        (["--seconds", "5", "--quick"], "not allowed with"),
        (["--data", "no/such/file"], "cannot read no/such/file"),
        (["--data", "."], "cannot read ."),
        (["--workload", "tally", "--data", __file__], "bincount"),
        (["--json", "no/such/folder/a.json"], "cannot write no/such/folder/a.json"),
        (["--json", "."], "cannot write ."),
        (["--plot", "no/such/folder/a.png"], "cannot write no/such/folder/a.png"),
        (["--plot", "a.pdf"], ".png or .svg"),
        (["--html", "no/such/folder/a.html"], "argument --html: cannot write no/such/folder/a.html"),
        (["io", "--html", "."], "argument --html: cannot write ."),
        (["--frobnicate"], "unrecognized arguments"),
        (["gil", "everything"], "unrecognized arguments"),
    ],
)
def test_a_wrong_call_is_refused_before_measuring(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["study", *words])
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in " ".join(err.split())
    assert not Path("a.pdf").exists()


@pytest.mark.parametrize("words", [[], ["nonsense"]])
def test_no_command_or_a_wrong_one_names_those_that_exist(words: list[str]) -> None:
    done = parcount(*words)
    assert done.returncode == 2
    assert "usage: parcount" in done.stderr


def test_a_missing_extra_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text("raise ImportError('No module named rich', name='rich')")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = parcount("study", "--quick", env={"PYTHONPATH": path})
    assert done.returncode == 2
    assert "needs rich: pip install 'parcount[study]'" in done.stderr


INTERRUPTED = """
import os, signal
from parcount.cli import run
from parcount.shm import blocks
from parcount.studies.gil.experiment import GilExperiment as Experiment

real, calls = Experiment.run, []
mark = blocks._name_prefix  # what the names of its shared memory, and of its workers', begin with

def interrupted(self, cell):
    calls.append(cell)
    if len(calls) == 12:
        os.killpg(0, signal.SIGINT)
    return real(self, cell)

if __name__ == "__main__":
    Experiment.run = interrupted
    print(mark, flush=True)
    run()
"""
"""The command, sent Ctrl-C in mid-study: the whole process group gets it, as from a terminal."""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to another process")
@pytest.mark.parametrize("executions", ["threads", "threads,processes"])
def test_ctrl_c_reports_what_was_measured_and_leaves_nothing(executions: str, tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "interrupted.py", "study", "--variants", "cython", "--executions", executions,
         "--workers", "2", "--json", tmp_path / "a.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )  # fmt: skip
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130, err
    assert "interrupted" in out
    assert "Traceback" not in err
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["complete"] is False
    assert all(cell["seconds"] for cell in content["cells"])
    assert living(process.pid) == []
    mark = out.splitlines()[0]
    assert mark.startswith("pc-")
    assert [name for name in segments() if name.startswith(mark)] == []


INTERRUPTED_IO = """
import os, signal
from parcount.cli import run
from parcount.studies.io.experiment import IoExperiment as Experiment

real, calls = Experiment.run, []

def interrupted(self, cell):
    calls.append(cell)
    if len(calls) == 14:
        print(self._server.pid, flush=True)
        os.killpg(0, signal.SIGINT)
    return real(self, cell)

if __name__ == "__main__":
    Experiment.run = interrupted
    run()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to another process")
def test_ctrl_c_ends_the_server_of_pages_too(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(INTERRUPTED_IO)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "interrupted.py", "study", "io", "--workers", "2", "--delay", "1", "--size", "8",
         "--json", tmp_path / "a.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )  # fmt: skip
    out, err = process.communicate(
        timeout=LIMIT
    )  # the server has the same pipe for its errors: until it, too, has ended
    assert process.returncode == 130, err
    assert "interrupted" in out
    assert err == ""
    assert json.loads((tmp_path / "a.json").read_text())["complete"] is False
    assert living(process.pid) == living(int(out.split()[0])) == []


def living(group: int) -> list[str]:
    """The processes of a process group that have not ended, where the system shows them.

    One that has given up its memory is ending: it closed its pipes before that, which is what was waited for.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just gone
            text = path.read_text()
            fields = text.rpartition(")")[2].split()
            its_group, memory = int(fields[2]), int(fields[20])
            if its_group == group and memory > 0:
                found.append(text)
    return found


def segments() -> set[str]:
    """The shared memory that exists on this system, by name."""
    folder = Path("/dev/shm")
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def test_info_says_what_numbers_depend_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    for word in ("cores", "available", "GIL", "Python", "compiled by", "Cython", "Numba's layer", "numpy", "parcount"):
        assert word in out


def test_info_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["cores"]["available"] >= 1
    assert content["python"]["version"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(
    ("error", "code"),
    [(None, 3), (SystemExit(2), 2), (KeyboardInterrupt(), 130), (OSError(28, "No space left on device"), 1)],
)
def test_the_exit_code(error: BaseException | None, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ends() -> int:
        if error is not None:
            raise error
        return code

    monkeypatch.setattr("parcount.cli.main", ends)
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        with pytest.raises(SystemExit) as ended:
            run()
    assert ended.value.code == code
    full = "parcount: cannot write to standard output: No space left on device\n"
    assert (tmp_path / "err").read_text() == (full if code == 1 else "")


DEVICES = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
TINY = ["study", "--variants", "cython", "--executions", "threads", "--workers", "1", "--size", "100",
        "--seconds", "0.01"]  # fmt: skip


@DEVICES
@pytest.mark.parametrize("words", [TINY, ["study", "--help"], ["--help"], ["info"]])
def test_a_full_standard_output_gives_a_short_message(words: list[str], tmp_path: Path) -> None:
    files = ["--json", tmp_path / "a.json"] if words is TINY else []
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *words, *files], stdout=full, stderr=subprocess.PIPE, text=True, timeout=LIMIT, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "parcount: cannot write to standard output: No space left on device\n"
    assert not files or json.loads((tmp_path / "a.json").read_text())["complete"]


def test_a_reader_that_has_gone_loses_no_file(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, *TINY, "--json", tmp_path / "a.json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert err.startswith("parcount: cannot write to standard output: ")
    assert json.loads((tmp_path / "a.json").read_text())["complete"]


@pytest.mark.parametrize("words", [TINY, ["study", "--help"]])
def test_an_ascii_terminal_gets_ascii(words: list[str]) -> None:
    done = parcount(*words, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.isascii()
    assert words is not TINY or re.search(r"\dx +\[\d", done.stdout)


@DEVICES
def test_a_device_stays_a_device() -> None:
    done = parcount(*TINY, "--json", "/dev/full", "--plot", "/dev/full")
    assert done.returncode == 1
    assert done.stderr.count("parcount study: cannot write /dev/full: No space left on device") == 2
    assert "gave the exact counts" in done.stdout
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("name", ["-", pytest.param("/dev/stdout", marks=DEVICES)])
def test_a_result_on_standard_output_is_alone_there(name: str) -> None:
    done = parcount(*TINY, "--json", name)
    assert done.returncode == 0
    assert json.loads(done.stdout)["complete"]
    assert "gave the exact counts" in done.stderr


def test_a_closed_pipe_is_no_traceback() -> None:
    process = subprocess.Popen([*COMMAND, "info"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(timeout=LIMIT)
