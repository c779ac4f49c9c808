"""A pre-fork web server whose workers share request counters: ``python examples/web_server.py``.

The parent opens the socket and forks the workers, which accept connections from it. Each response has the number of
the request, and ``/status`` the number of responses of each kind, over all workers. A worker that dies is replaced; no
count is lost.
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
    """Handles one request in a worker."""

    served: pc.SharedCounter
    kinds: pc.CounterArray

    def do_GET(self) -> None:
        """Count the request and respond."""
        number = self.served.increment()
        if self.path == "/":
            self.respond(200, "pages", f"you are number {number}, and worker {os.getpid()} says hello\n")
        elif self.path == "/status":
            counts = dict(zip(KINDS, self.kinds, strict=True))
            self.respond(200, "status", f"{number} requests: {counts}\n")
        else:
            self.respond(404, "missing", f"there is no {self.path}\n")

    def respond(self, code: int, kind: str, text: str) -> None:
        """Count the response and send it."""
        self.kinds.add(KINDS.index(kind))
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form: str, *arguments: object) -> None:
        """Print nothing."""


def work(server: HTTPServer) -> NoReturn:
    """Serve until the parent sends SIGTERM."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends its workers
        server.serve_forever()
    finally:
        os._exit(1)


def interrupt(*_: object) -> NoReturn:
    """End as after Ctrl-C."""
    raise KeyboardInterrupt


def serve(port: int, workers: int) -> None:
    """Listen, keep `workers` running, and print the counts at the end."""
    signal.signal(signal.SIGTERM, interrupt)
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
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0, the default, chooses a free port")
    parser.add_argument("--workers", type=int, default=pc.available_cores())
    options = parser.parse_args()
    if not hasattr(os, "fork"):
        sys.exit("this system cannot fork")
    serve(options.port, options.workers)


if __name__ == "__main__":
    main()
