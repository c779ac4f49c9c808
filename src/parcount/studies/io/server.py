"""The server whose pages a study of I/O fetches: the standard library's, in a process of its own.

That process runs this file by itself, so nothing but the standard library may be imported here: it starts in no time,
and has no need of the folders that parcount was found in.
"""

from __future__ import annotations

import subprocess
import sys
from hashlib import shake_128
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Thread
from time import process_time, sleep
from types import TracebackType
from typing import Any, Self

PAGE_BYTES = 4096

PATIENCE = 10.0
"""Seconds that the server has to end by itself."""


def page(number: int) -> bytes:
    """What the page of that number says: always the same, and like no other."""
    return shake_128(str(number).encode()).hexdigest(PAGE_BYTES // 2).encode()


class Server:
    """A server of pages on a free port of the loopback interface: a context manager.

    The process ends with it, and also when this process ends without leaving it, however that comes about: it waits for
    the end of a pipe that nobody else holds open.

    Parameters
    ----------
    delay : float
        Seconds that it waits before each answer.

    Attributes
    ----------
    address : str
        ``http://…``; the page of number n is at ``/n``.
    pid : int
        Its process.

    Raises
    ------
    OSError
        If it cannot be started.

    Examples
    --------
    >>> import urllib.request
    >>> with Server(0.001) as server:
    ...     urllib.request.urlopen(f"{server.address}/7").read() == page(7)
    True
    """

    def __init__(self, delay: float) -> None:
        self._delay = delay

    def __enter__(self) -> Self:
        # Ctrl-C goes to the whole group of the terminal: this process decides what becomes of the server.
        apart: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        self._process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-I", __file__, repr(self._delay)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            **apart,
        )
        try:
            self.pid = self._process.pid
            self.address = f"http://127.0.0.1:{int(self._told())}"
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def cpu(self) -> float:
        """Seconds of CPU time that it has taken so far.

        Raises
        ------
        OSError
            If it has ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        return float(self._told())

    def _told(self) -> str:
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise OSError("the server of pages has ended")
        return line

    def _end(self) -> None:
        try:
            self._process.communicate(timeout=PATIENCE)  # the end of its pipe tells it to end
        except BaseException as error:
            self._process.kill()
            self._process.communicate()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise


class _Pages(BaseHTTPRequestHandler):
    """Answers on one connection."""

    protocol_version = "HTTP/1.1"  # which keeps the connection for the next page
    wbufsize = -1  # the head and the page leave together, and nothing waits for an acknowledgement in between
    disable_nagle_algorithm = True
    server: _Threads

    def do_GET(self) -> None:
        """Send a page, after the delay."""
        number = self.path.removeprefix("/")
        if not number.isdecimal():
            self.send_error(404)
            return
        sleep(self.server.delay)
        content = page(int(number))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=ascii")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class calls it
        """Say nothing: not for each page."""


class _Threads(ThreadingHTTPServer):
    """A thread for each connection."""

    request_queue_size = 1024  # all clients connect at once
    daemon_threads = True

    def __init__(self, delay: float) -> None:
        super().__init__(("127.0.0.1", 0), _Pages)
        self.delay = delay

    def server_bind(self) -> None:
        """Bind, without asking for the host's name as HTTPServer does, which may take the system seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone gets no answer, and that is all."""


def _main() -> None:
    server = _Threads(float(sys.argv[1]))
    Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    for _ in sys.stdin:
        print(process_time(), flush=True)


if __name__ == "__main__":
    _main()
