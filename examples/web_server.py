"""A web server whose workers, forked beforehand, count their requests together: ``python examples/web_server.py``.

The parent listens, and forks the workers, which accept connections from the one socket as the system deals them out.
Every answer tells its number, and ``/status`` how many there were of each kind: whichever worker is asked, the counts
are those of all. A worker that dies, by whatever signal, is replaced, and takes no count with it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import NoReturn

import parcount as pc

KINDS = ("pages", "status", "missing")


class Handler(BaseHTTPRequestHandler):
    """Answers one request, in whichever worker got it."""

    served: pc.SharedCounter
    kinds: pc.CounterArray

    def do_GET(self) -> None:
        """Count the request, and answer it."""
        number = self.served.increment()
        if self.path == "/":
            self.answer(200, "pages", f"you are number {number}, and worker {os.getpid()} says hello\n")
        elif self.path == "/status":
            counts = dict(zip(KINDS, self.kinds, strict=True))
            self.answer(200, "status", f"{number} requests: {counts}\n")
        else:
            self.answer(404, "missing", f"there is no {self.path}\n")

    def answer(self, code: int, kind: str, text: str) -> None:
        """Count the answer, and send it."""
        self.kinds.add(KINDS.index(kind))
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form: str, *arguments: object) -> None:
        """Say nothing: the counts do."""


def work(server: HTTPServer) -> NoReturn:
    """Serve until the parent says that it is enough."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of Ctrl-C the parent tells its workers
        server.serve_forever()
    finally:
        os._exit(1)


def leave(*_: object) -> NoReturn:
    """End as after Ctrl-C."""
    raise KeyboardInterrupt


def serve(port: int, workers: int) -> None:
    """Listen, keep so many workers, and tell at the end what they have done."""
    signal.signal(signal.SIGTERM, leave)
    with (
        HTTPServer(("127.0.0.1", port), Handler) as server,
        pc.SharedCounter() as served,
        pc.CounterArray(len(KINDS), shared=True) as kinds,
    ):
        Handler.served, Handler.kinds = served, kinds
        alive: set[int] = set()
        print(f"http://127.0.0.1:{server.server_port}/ by {workers} workers", flush=True)
        try:
            while True:
                while len(alive) < workers:
                    child = os.fork()
                    if child == 0:
                        work(server)
                    alive.add(child)
                child, _ = os.wait()
                alive.discard(child)
        except KeyboardInterrupt:
            for child in alive:
                os.kill(child, signal.SIGTERM)
            for child in alive:
                os.waitpid(child, 0)
            print(f"{served.value} requests: {dict(zip(KINDS, kinds, strict=True))}")


def main() -> None:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0, which is the default: any that is free")
    parser.add_argument("--workers", type=int, default=pc.available_cores())
    words = parser.parse_args()
    if not hasattr(os, "fork"):
        sys.exit("this system cannot fork")
    serve(words.port, words.workers)


if __name__ == "__main__":
    main()
