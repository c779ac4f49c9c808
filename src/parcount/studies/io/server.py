"""The server of the pages that a study of I/O fetches: the standard library's, in a process of its own.

The process runs this file alone, which imports the standard library only, so it starts fast and needs no search path.
"""

from __future__ import annotations

import subprocess
import sys
from hashlib import shake_128
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Thread
from time import process_time, sleep
from typing import Any, Self

PAGE_BYTES = 4096

TIME_LIMIT = 10.0
"""Seconds after which a server that does not end by itself is killed."""


def page(number: int) -> bytes:
    """Return the content of a page: always the same, and different from every other."""
    return shake_128(str(number).encode()).hexdigest(PAGE_BYTES // 2).encode()


class Server:
    """A server of pages on a free port of the loopback interface: a context manager.

    The process ends with it, and also when this process ends in any other way, because it waits for the end of a pipe
    that only this process holds open.

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
        If it cannot be started, or from `cpu`, if it has ended.

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
        # Ctrl-C goes to the process group of the terminal, but this process ends the server.
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
            self.address = f"http://127.0.0.1:{int(self._reply())}"
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def cpu(self) -> float:
        """Return the seconds of CPU time that it has taken so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        return float(self._reply())

    def _reply(self) -> str:
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise OSError("the server of pages has ended")
        return line

    def _end(self) -> None:
        try:
            self._process.communicate(timeout=TIME_LIMIT)  # the end of its pipe tells it to end
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
        """Print nothing."""


class _Threads(ThreadingHTTPServer):
    """A thread for each connection."""

    request_queue_size = 1024  # all clients connect at once
    daemon_threads = True

    def __init__(self, delay: float) -> None:
        super().__init__(("127.0.0.1", 0), _Pages)
        self.delay = delay

    def server_bind(self) -> None:
        """Bind without a look-up of the host's name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that have gone."""


def _main() -> None:
    server = _Threads(float(sys.argv[1]))
    Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    for _ in sys.stdin:
        print(process_time(), flush=True)


if __name__ == "__main__":
    _main()
