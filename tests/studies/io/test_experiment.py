"""The study of I/O."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount.studies.core.analysis import CellResult, analyse
from parcount.studies.core.cells import Cell, Round, Sample
from parcount.studies.core.claims import Verdict
from parcount.studies.core.findings import Findings
from parcount.studies.core.result import Study
from parcount.studies.io.experiment import IoExperiment
from parcount.studies.io.server import PAGE_BYTES, Server, page
from tests.remote import TIME_LIMIT
from tests.studies.core.fitting import check_tables
from tests.studies.core.test_result import SCHEMA

pytest.importorskip("httpx")

from parcount.studies.io import client

QUICK: dict[str, Any] = {"workers": 2, "size": 5, "delay": 1, "seconds": 0.01}


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IoExperiment, "target", 0.005)


def gone(pid: int) -> bool:
    """Whether a child of ours has ended and been waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


class TestServer:
    def test_it_sends_each_page_over_one_connection(self) -> None:
        with Server(0.0) as server:
            connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=TIME_LIMIT)
            for number in (0, 7, 10**12):
                connection.request("GET", f"/{number}")
                answer = connection.getresponse()
                assert answer.version == 11
                assert answer.read() == page(number)
                assert not answer.will_close
            connection.close()

    def test_there_is_no_other_page(self) -> None:
        with Server(0.0) as server, pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(f"{server.address}/../etc", timeout=TIME_LIMIT)
        raised.value.close()
        assert raised.value.code == 404

    def test_no_two_pages_are_alike(self) -> None:
        pages = {page(number) for number in range(100)}
        assert len(pages) == 100
        assert {len(one) for one in pages} == {PAGE_BYTES}

    def test_what_it_computes_is_counted(self) -> None:
        with Server(0.0) as server:
            before = server.cpu()
            for number in range(50):
                urllib.request.urlopen(f"{server.address}/{number}", timeout=TIME_LIMIT).close()
            assert server.cpu() > before > 0

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows tells of processes in other ways")
    @pytest.mark.parametrize("error", [None, ArithmeticError, KeyboardInterrupt])
    def test_it_ends_however_it_is_left(self, error: type[BaseException] | None) -> None:
        server = Server(0.0)
        with suppress(ArithmeticError, KeyboardInterrupt), server:
            assert not gone(server.pid)
            if error is not None:
                raise error
        assert gone(server.pid)

    def test_it_ends_with_whoever_has_started_it(self, tmp_path: Path) -> None:
        """It writes to the same pipe as the process that is killed: the end of that is the end of both."""
        script = tmp_path / "starts.py"
        script.write_text(
            "import sys\n"
            "from parcount.studies.io.server import Server\n"
            "with Server(0.0) as server:\n"
            "    print(server.pid, flush=True)\n"
            "    sys.stdin.read()\n"
        )
        process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert int(process.stdout.readline()) != process.pid
        process.kill()
        _, errors = process.communicate(timeout=TIME_LIMIT)
        assert errors == ""

    def test_one_that_has_ended_is_an_error_and_no_wait(self) -> None:
        with Server(0.0) as server:
            server._process.kill()
            server._process.wait(TIME_LIMIT)
            with pytest.raises(OSError, match=r"ended|Broken pipe|Invalid argument"):
                server.cpu()


class TestExactness:
    @given(st.integers(1, 50), st.data())
    def test_every_page_that_is_missing_or_wrong_is_seen(self, pages: int, data: st.DataObject) -> None:
        digests: list[bytes] = [client._right(number) for number in range(pages)]
        assert client.lost(digests, range(pages)) == 0
        bad = data.draw(st.sets(st.integers(0, pages - 1), min_size=1))
        spoilt = [b"wrong" if number in bad else digest for number, digest in enumerate(digests)]
        assert client.lost(spoilt, range(pages)) == len(bad)
        assert client.lost(digests[: -len(bad)], range(pages)) == len(bad)
        assert client.lost([*digests, b"one too many"], range(pages)) == 1
        assert client.lost(digests[::-1], range(pages)) == pages - pages % 2  # the right ones in a wrong order

    def test_a_wrong_page_fails_the_study(self, monkeypatch: pytest.MonkeyPatch) -> None:
        right = client._right
        monkeypatch.setattr(client, "_right", lambda number: right(number + (number == 3)))
        result = pc.study("io", executions="threads", **QUICK)
        assert not result.exact
        assert result.verdict.answer == "not exact"
        assert "WRONG PAGES OR COUNTS in fetch/httpx/serial/1; fetch/httpx/threads/2" in str(result)
        assert {cell.status for cell in result.cells if cell.workload == "fetch"} == {"failed"}
        assert all(set(cell.lost) == {1} for cell in result.cells if cell.workload == "fetch")
        assert all(cell.exact for cell in result.cells if cell.workload == "tally")

    def test_a_missing_page_fails_the_study(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = client.fetch
        monkeypatch.setattr(client, "fetch", lambda address, delay, pages: real(address, delay, pages)[:-1])
        result = pc.study("io", executions="threads", **QUICK)
        by_execution = {cell.execution: cell for cell in result.cells if cell.workload == "fetch"}
        assert set(by_execution["serial"].lost) == {1}
        assert min(by_execution["threads"].lost) >= 2  # the second share's pages come too early as well
        assert {cell.status for cell in by_execution.values()} == {"failed"}
        assert result.verdict.answer == "not exact"

    def test_an_answer_that_is_no_page_fails_its_cell(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = client.fetch
        monkeypatch.setattr(client, "fetch", lambda address, delay, pages: real(f"{address}/none", delay, pages))
        result = pc.study("io", executions="threads", **QUICK)
        by_execution = {cell.execution: cell for cell in result.cells if cell.workload == "fetch"}
        assert by_execution["serial"].status == "failed"
        assert "404" in str(by_execution["serial"].reason)
        assert "its serial cell failed" in str(by_execution["threads"].reason)
        assert result.verdict.answer == "not asked"


@pytest.fixture(scope="module")
def study() -> Study:
    """With all its cells, each of which does next to nothing."""
    return pc.study("io", workers=[1, 2], size=6, delay=1, seconds=0.3)


@pytest.mark.xdist_group("io study")  # measured once
class TestStudy:
    def test_it_has_every_cell_and_fits_the_schema(self, study: Study, tmp_path: Path) -> None:
        assert study.name == "io"
        assert study.complete
        fetching = [cell for cell in study.cells if cell.workload == "fetch"]
        assert [(cell.execution, cell.workers) for cell in fetching] == [
            ("serial", 1),
            *((on, workers) for on in ("threads", "processes", "asyncio") for workers in (1, 2)),
        ]
        for cell in fetching:
            assert cell.status == "measured", cell.reason
            assert cell.work == 6
            assert len(cell.seconds) == len(cell.cpu) == len(cell.server) >= 3
        control = {cell.execution: cell for cell in study.cells if cell.workload == "tally"}
        assert control["asyncio"].status == "not supported"
        assert {control[on].status for on in ("serial", "threads", "processes")} == {"measured"}
        assert all(cell.cpu and not cell.server for cell in control.values() if cell.seconds)
        assert study.exact
        study.save(tmp_path / "a.json")
        jsonschema.validate(json.loads((tmp_path / "a.json").read_text()), SCHEMA)
        assert Study.load(tmp_path / "a.json") == study

    def test_the_documentation_names_what_only_this_study_has(self) -> None:
        text = (Path(__file__).parents[3] / "docs" / "result-file.md").read_text(encoding="utf-8")
        assert "`delay`" in text
        for name in ("cpu", "server"):
            assert f"`{name}`" in text
        for answer in ("for both", "for waiting", "for computing", "for neither"):
            assert f"`{answer}`" in text

    def test_it_is_shown_in_tables(self, study: Study) -> None:
        pytest.importorskip("rich")
        stream = io.StringIO()
        IoExperiment.show(study, stream)
        text = " ".join(stream.getvalue().split())
        for word in (
            "answered after 1 ms",
            "pages/s",
            "M/s",
            "2 workers [95 %]",
            "one worker would do it all",
        ):
            assert word in text
        for sentence in study.verdict.sentences:
            assert sentence in text

    def test_its_tables_fit(self, study: Study) -> None:
        check_tables(study)

    def test_it_is_drawn(self, study: Study, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        from parcount.report import figure

        figure.save(IoExperiment.draw(study), tmp_path / "a.svg")
        assert "<svg" in (tmp_path / "a.svg").read_text()
        fetching, computing = IoExperiment.draw(study).axes
        assert {"threads", "processes", "asyncio"} <= {text.get_text().split()[0] for text in fetching.texts}
        assert {text.get_text().split()[0] for text in computing.texts} == {"threads", "processes"}

    def test_what_was_not_measured_is_drawn_as_such(self, study: Study) -> None:
        pytest.importorskip("matplotlib")
        empty = replace(study, cells=[replace(cell, speedup=None) for cell in study.cells])
        assert [axes.texts[0].get_text() for axes in IoExperiment.draw(empty).axes] == ["nothing was measured"] * 2

    def test_every_cell_does_as_much_as_fits_in_its_time(self) -> None:
        with IoExperiment(executions=["threads"], workers=[3], delay=1, seconds=1) as opened:
            cells, _ = opened.cells()
            opened.prepare(cells, lambda _: None)
            assert not opened.failed
            assert all(opened.work[cell] >= cell.workers for cell in cells)
            assert all(opened.run(cell).exact for cell in cells)

    def test_a_server_that_has_died_fails_what_fetches_alone(self) -> None:
        with IoExperiment(executions=["threads"], workers=[2], delay=1, seconds=1) as opened:
            cells, _ = opened.cells()
            opened.prepare(cells, lambda _: None)
            assert opened._server is not None
            opened._server._process.kill()
            opened._server._process.wait(TIME_LIMIT)
            ran = {cell for cell in cells if opened.run(cell) is not None}
        assert ran == {cell for cell in cells if cell.workload == "tally"}
        assert set(opened.failed) == {cell for cell in cells if cell.workload == "fetch"}

    def test_an_event_loop_of_the_callers_is_not_in_the_way(self) -> None:
        async def ask() -> Study:
            return pc.study("io", executions="asyncio", **QUICK)

        result = asyncio.run(ask())
        assert {cell.status for cell in result.cells if cell.workload == "fetch"} == {"measured"}

    def test_ctrl_c_gives_what_was_measured(self) -> None:
        def interrupt(what: str, passed: float, expected: float) -> None:
            if what == "round 3":
                raise KeyboardInterrupt

        result = pc.study("io", executions="threads", workers=2, size=4, delay=1, seconds=5, progress=interrupt)
        assert not result.complete
        assert {len(cell.seconds) for cell in result.cells} == {2}
        assert "interrupted" in str(result)

    def test_without_the_client_nothing_is_fetched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "httpx", None)
        result = pc.study("io", executions="threads", **QUICK)
        assert {cell.status for cell in result.cells if cell.workload == "fetch"} == {"not installed"}
        assert {cell.status for cell in result.cells if cell.workload == "tally"} == {"measured"}
        assert result.verdict.answer == "not asked"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"executions": "gpu"}, "no execution 'gpu'; there are serial, threads, processes, asyncio"),
        ({"executions": []}, "no execution named"),
        ({"workers": 0}, "at least 1"),
        ({"size": 0}, "at least 1"),
        ({"size": -1}, "at least 1 page, not -1"),
        ({"delay": -1}, "from 0 to 60000 milliseconds, not -1"),
        ({"delay": float("nan")}, "from 0 to 60000 milliseconds"),
        ({"seed": -1}, "seed"),
        ({"seconds": 0}, "more than 0 seconds"),
    ],
)
def test_invalid_options_raise(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pc.study("io", **wrong)


def fetching(execution: str, workers: int) -> Cell:
    return Cell("fetch", "httpx", execution, workers, unit="page")


def counting(execution: str, workers: int) -> Cell:
    return Cell("tally", "python", execution, workers)


SERIAL, LOOP = fetching("serial", 1), counting("serial", 1)
RATES = {
    SERIAL: 100.0,
    fetching("threads", 2): 200.0,
    fetching("threads", 8): 780.0,
    fetching("threads", 32): 2000.0,
    fetching("asyncio", 32): 1500.0,
    LOOP: 1e6,
    counting("threads", 2): 1e6,
    counting("processes", 2): 1.9e6,
}
"""Pages, or increments, a second."""

Slow = Callable[[Cell, int], float]


def verdict(
    changes: dict[Cell, float] | None = None,
    *,
    without: tuple[Cell, ...] = (),
    count: int = 12,
    slow: Slow = lambda _cell, _round: 1.0,
    waited: float = 0.0,
    server: float = 0.1e-3,
    available: int = 2,
    gil: bool = True,
    load: Sequence[str] = (),
) -> Verdict:
    """The verdict on a machine on which a page costs half a millisecond of CPU time, and an increment all its time."""
    rates = {cell: rate for cell, rate in {**RATES, **(changes or {})}.items() if cell not in without}
    work = {cell: max(1, round(rate * 0.25)) for cell, rate in rates.items()}
    rounds: list[Round] = []
    for number in range(count):
        one: Round = {}
        for cell, rate in rates.items():
            seconds = work[cell] / rate * slow(cell, number)
            pages = cell.workload == "fetch"
            cpu = work[cell] * 0.5e-3 if pages else seconds
            one[cell] = Sample(seconds, True, waited, 0, cpu, work[cell] * server if pages else None)
        rounds.append(one)
    results = analyse(list(rates), rounds, work=work, startup={}, unmeasured={})
    return IoExperiment.build_verdict(Findings(results, rounds, available, gil, load))


def text(found: Verdict) -> str:
    return "\n".join(found.sentences)


THREADS, LOOPS = fetching("threads", 32), counting("threads", 2)
NO_GAIN = {fetching("threads", workers): 100.0 for workers in (2, 8, 32)}


class TestVerdict:
    @pytest.mark.parametrize(
        ("changes", "gil", "answer", "begins"),
        [
            (
                {},
                True,
                "for waiting",
                "Threads win where Python waits, and not where it computes: 32 threads fetch 20.0",
            ),
            (
                {LOOPS: 1.9e6},
                False,
                "for both",
                "Threads win where Python waits and where it computes, because this Python",
            ),
            (NO_GAIN, True, "for neither", "Threads win neither where"),
            (
                {**NO_GAIN, LOOPS: 1.9e6},
                False,
                "for computing",
                "Threads win where Python computes, because this",
            ),
        ],
    )
    def test_for_what_threads_win(self, changes: dict[Cell, float], gil: bool, answer: str, begins: str) -> None:
        found = verdict(changes, gil=gil)
        assert found.answer == answer
        assert found.sentences[0].startswith(begins)

    def test_why_they_differ_in_this_machines_numbers(self) -> None:
        found = text(verdict())
        assert "one worker waits for 95 % of the 10 ms that a page takes" in found
        assert "The loop of tally waits for 0 % and holds the GIL" in found
        assert "2 processes, each with its own GIL, run that loop 1.90× [1.90–1.90]" in found
        without = text(verdict({LOOPS: 1.9e6}, gil=False))
        assert "waits for 95 %" in without
        assert "holds the GIL" not in without

    @pytest.mark.parametrize(
        "unsteady",
        [
            lambda cell, number: 1 - 0.6 * (number % 2) * (cell == LOOPS),
            lambda cell, number: 1 + 25 * (number % 2) * (cell == THREADS),
        ],
    )
    def test_times_that_spread_decide_nothing(self, unsteady: Slow) -> None:
        without = tuple(cell for cell in NO_GAIN if cell != THREADS)
        found = verdict(without=without, slow=unsteady)
        assert found.answer == "undecided"
        assert found.sentences[0].startswith("What threads are good for is undecided: ")

    def test_beside_other_programs_nothing_is_denied(self) -> None:
        found = verdict(waited=0.4, load=["burn (process 7) kept 1.00 cores busy"])
        assert found.answer == "undecided"
        assert "waits for" not in text(found)
        assert "burn (process 7) kept 1.00 cores busy. Measure again" in text(found)
        assert verdict({LOOPS: 1.9e6}, gil=False, waited=0.4).answer == "for both"

    def test_there_is_a_claim_for_each_number_of_threads(self) -> None:
        found = verdict({fetching("threads", 2): 100.0})
        assert {claim.statement: claim.holds for claim in found.claims} == {
            "2 threads fetch faster than one": False,
            "8 threads fetch faster than one": True,
            "32 threads fetch faster than one": True,
            "threads that compute are faster than one": False,
        }

    def test_the_first_is_named_if_it_can_be_told(self) -> None:
        found = verdict()
        assert "Most pages a second: 32 threads 2 000 (20.0" in text(found)
        assert "The fastest are 32 threads, 1.33× [1.33–1.33] as fast as 32 asyncio tasks" in text(found)
        assert ("fetch", "httpx", "threads", 32, "asyncio/32") in [
            (one.workload, one.variant, one.execution, one.workers, one.against) for one in found.comparisons
        ]

    def test_the_first_is_undecided_where_the_interval_has_both(self) -> None:
        found = verdict(slow=lambda cell, number: 1 + 0.5 * (number % 2) * (cell == THREADS))
        assert "Whether 32 threads are faster than 32 asyncio tasks is undecided" in text(found)

    @pytest.mark.parametrize(
        ("rates", "slow", "sentence"),
        [
            ((780.0, 2000.0), 0.0, "Threads gain at every step: 32 are 2.56× [2.56–2.56] as fast as 8"),
            ((780.0, 800.0), 0.0, "Threads stop gaining from 8 on: 32 are 1.03× [1.03–1.03] as fast"),
            ((200.0, 2000.0), 0.0, "Threads stop gaining from 2 on: 8 are 1.00×"),
            ((780.0, 105.0), 0.0, "Threads stop gaining from 8 on: 32 are 0.13×"),
            ((780.0, 1300.0), 1.0, "Whether 32 threads gain on 8 is undecided"),
        ],
    )
    def test_from_where_more_threads_buy_nothing(self, rates: tuple[float, float], slow: float, sentence: str) -> None:
        changes = {fetching("threads", 8): rates[0], THREADS: rates[1]}
        found = verdict(changes, slow=lambda cell, number: 1 + slow * (number % 2) * (cell == THREADS))
        assert sentence in text(found)

    def test_the_first_step_is_from_one_worker(self) -> None:
        found = verdict({fetching("threads", 2): 101.0})
        assert "Threads stop gaining from 1 on: 2 are 1.01" in text(found)
        assert found.comparisons[-1].against == "serial/1"

    def test_what_a_core_can_carry(self) -> None:
        found = text(verdict())
        assert "With 32 threads, a page takes 500 µs of CPU time in its thread: one core is enough for about" in found
        assert "because the system sends and receives without it), which about 20 threads fetch" in found
        assert "one GIL" not in text(verdict(gil=False))

    @pytest.mark.parametrize(("server", "limits"), [(0.1e-3, False), (0.45e-3, True)])
    def test_a_server_at_its_end_is_told(self, server: float, limits: bool) -> None:
        found = text(verdict(server=server))
        assert ("and may limit these" in found) == limits
        assert ("and was no limit" in found) != limits

    def test_one_core_can_tell_of_waiting_alone(self) -> None:
        found = verdict(available=1)
        assert found.answer == "not asked"
        assert "one core is available here" in found.sentences[0]
        assert "32 threads fetch 20.0" in found.sentences[0]

    def test_without_threads_nothing_is_claimed_of_them(self) -> None:
        found = verdict(without=(*NO_GAIN, LOOPS))
        assert found.answer == "not asked"
        assert "was not asked" in found.sentences[0]
        assert "32 asyncio tasks" in text(found)

    def test_one_thread_can_tell_nothing(self) -> None:
        found = verdict({fetching("threads", 1): 130.0}, without=tuple(cell for cell in RATES if cell.workers > 1))
        assert found.answer == "not asked"
        assert "takes several threads" in found.sentences[0]

    def test_nothing_measured_says_so(self) -> None:
        cell = CellResult(*SERIAL.key, "interrupted", "the study was interrupted before its first run")
        found = IoExperiment.build_verdict(Findings([cell], [], 2, True), partial=True)
        assert found.answer == "undecided"
        assert found.sentences == ["The study was interrupted before the first round: nothing was measured."]
