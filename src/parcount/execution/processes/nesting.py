"""Worker processes of a forked child or of a daemonic process, neither of which `multiprocessing` provides for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import process, resource_tracker
from multiprocessing.process import BaseProcess
from multiprocessing.util import get_temp_dir
from pathlib import Path
from threading import Lock
from typing import Any

_starting = Lock()


@contextmanager
def children_allowed() -> Iterator[None]:
    """Let a daemonic process, or a worker of Celery, make and start a process; one thread at a time.

    `multiprocessing` refuses the former because a daemonic process may be terminated, and its children would stay.
    Workers end with their caller in whatever way that ends. In a worker of Celery the current process is that of
    billiard, whose key cannot be pickled for a process of `multiprocessing`.
    """
    with _starting:
        config = _config()
        daemonic, key = config.get("daemon", False), config["authkey"]
        config.update(daemon=False, authkey=process.AuthenticationString(key))  # type: ignore[attr-defined]
        try:
            yield
        finally:
            config.update(daemon=daemonic, authkey=key)


def prepare_fork_server() -> None:
    """Drop a fork server that this process cannot use, so that `multiprocessing` starts another.

    That is one which the parent of this forked child has started, which has ended and was waited for elsewhere, or
    whose socket has been deleted, by the end of that parent or with other old temporary files.
    """
    if (server := _fork_server()) is not None:
        with server._lock:
            if server._forkserver_pid is not None and not _usable(server):
                _drop(server)
    if (folder := _config().get("tempdir")) and not Path(folder).exists():
        _config()["tempdir"] = None
    get_temp_dir()  # which workers inherit: a worker that is killed does not delete one of its own


def close_inherited(child: BaseProcess) -> None:
    """Close the file descriptors that show a process of the parent that its parent lives; only in a forked child."""
    finalizer = getattr(getattr(child, "_popen", None), "finalizer", None)
    if finalizer is not None and finalizer._args:
        for descriptor in finalizer._args:
            os.close(descriptor)


def _usable(server: Any) -> bool:
    try:
        ended, _ = os.waitpid(server._forkserver_pid, os.WNOHANG)
    except ChildProcessError:
        return False
    return not ended and (server._forkserver_address[0] == "\0" or Path(server._forkserver_address).exists())


def _drop(server: Any) -> None:
    os.close(server._forkserver_alive_fd)  # while it is open, the fork server does not end
    server._forkserver_address = server._forkserver_alive_fd = server._forkserver_pid = None


def _fork_server() -> Any:
    return getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None)


def _config() -> dict[str, Any]:
    return process.current_process()._config  # type: ignore[attr-defined, no-any-return]


def _forget_the_parents_processes() -> None:
    """Do in every forked child what `multiprocessing` does in those that it forks itself, and reset its servers.

    A child that ends would terminate its parent's daemonic processes, and it can wait for neither its parent's fork
    server nor the resource tracker, which both use. Another thread may have held a lock at the time of the fork.
    """
    global _starting
    _starting = Lock()
    process._children.clear()  # type: ignore[attr-defined]
    tracker: Any = resource_tracker._resource_tracker
    tracker._pid = None
    with suppress(AttributeError):  # as Python 3.14 does
        tracker._lock._at_fork_reinit()
    if (server := _fork_server()) is not None:
        server._lock = Lock()
        if server._forkserver_alive_fd is not None:
            _drop(server)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_the_parents_processes)
