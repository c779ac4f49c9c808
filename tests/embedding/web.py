"""Requests to a web server, which gets a socket that listens already: no request is refused while it starts."""

import json
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.request import ProxyHandler, build_opener

from tests.embedding.conftest import Program
from tests.embedding.work import done_by_process
from tests.remote import TIME_LIMIT, until

opener = build_opener(ProxyHandler({}))


class Site:
    """A web server of two workers, and the tasks that it was asked to do.

    Parameters
    ----------
    serve : callable
        Starts the server with a descriptor of a socket.
    """

    def __init__(self, serve: Callable[[int], Program]) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            self.program = serve(listening.fileno())
        self.tasks: list[int] = []
        self.answers: list[dict[str, int]] = []

    def get(self, path: object) -> dict[str, int]:
        with opener.open(f"{self.url}/{path}", timeout=TIME_LIMIT) as response:
            return json.load(response)

    def ask(self, tasks: Iterable[int]) -> None:
        """Have tasks done, eight at a time."""
        tasks = list(tasks)
        with ThreadPoolExecutor(8) as visitors:
            self.answers += visitors.map(self.get, tasks)
        self.tasks += tasks

    def ask_until(self, condition: Callable[[set[int]], bool]) -> None:
        """Have tasks done until a condition of the processes that have done tasks is true."""

        def enough() -> bool:
            self.ask(range(8))
            return condition({*done_by_process(self.answers)})

        until(enough, "the workers did not answer")
