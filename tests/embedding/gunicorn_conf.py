"""The configuration of Gunicorn: SIGTERM ends a worker from its first moment.

Between the fork and the installation of its handlers a worker has those of the arbiter, which put the signal into a
queue that nobody reads there, and the arbiter would wait for the worker until its graceful timeout (30 s).
"""

import os
import signal

signals = {signal.SIGTERM}


def unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def pre_fork(server: object, worker: object) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)


def post_fork(server: object, worker: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    unblock()


os.register_at_fork(after_in_parent=unblock)
