"""Run the example programs."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.remote import TIME_LIMIT, is_alive, until

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="there are no examples beside these tests")


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"progress.py", "web_server.py"}


def test_progress() -> None:
    ran = subprocess.run(
        [sys.executable, EXAMPLES / "progress.py", "--below", "30000", "--workers", "2"],
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    *shown, primes, divisors = ran.stdout.splitlines()
    done = [int(line.split()[0]) for line in shown]
    assert done
    assert done == sorted(done)
    assert done[-1] == 30_000
    assert primes == "3245 prime numbers below 30000"
    assert divisors == "the smallest divisor is 2 of 14999, 3 of 5000, 5 of 2000"


@pytest.fixture
def server() -> Iterator["subprocess.Popen[str]"]:
    """The web server with two workers."""
    with subprocess.Popen(
        [sys.executable, EXAMPLES / "web_server.py", "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        yield server
        server.kill()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_web_server(server: "subprocess.Popen[str]") -> None:
    assert server.stdout is not None
    assert server.stderr is not None
    port = int(re.search(r":(\d+)/", server.stdout.readline())[1])  # type: ignore[index]

    def get(path: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", port, timeout=TIME_LIMIT)
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    with ThreadPoolExecutor(8) as visitors:
        pages = list(visitors.map(get, ["/"] * 200))
        assert {status for status, _ in pages} == {200}
        numbers = [int(re.search(r"number (\d+),", text)[1]) for _, text in pages]  # type: ignore[index]
        assert sorted(numbers) == list(range(1, 201))  # every number once, over all workers
        workers = {int(re.search(r"worker (\d+) ", text)[1]) for _, text in pages}  # type: ignore[index]
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
            until(lambda worker=worker: not is_alive(worker), "a killed worker lives")
        assert [status for status, _ in visitors.map(get, ["/nowhere"] * 20)] == [404] * 20
    assert get("/status") == (200, "221 requests: {'pages': 200, 'status': 0, 'missing': 20}\n")
    server.send_signal(signal.SIGTERM)
    out, errors = server.communicate(timeout=TIME_LIMIT)
    assert (server.returncode, errors) == (0, "")
    assert out == "221 requests: {'pages': 200, 'status': 1, 'missing': 20}\n"
