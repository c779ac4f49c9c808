"""Names of shared memory, and the process that unlinks them after a kill."""

from __future__ import annotations

import sys
import warnings
from multiprocessing import resource_tracker

import pytest

from parcount.shm import mapping


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no names to unlink")
@pytest.mark.thread_unsafe(reason="holds the lock of the process's resource tracker")
def test_a_name_is_unlinked_also_while_the_resource_tracker_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """The garbage collector can free an array inside such a call, which must not be entered again."""
    name = "pc-test-mapping-reentrant"
    mapping.create(name, 10).close()
    sent: list[tuple[str, str]] = []
    for action in ("register", "unregister"):
        monkeypatch.setattr(resource_tracker, action, lambda name, _, action=action: sent.append((action, name)))
    with warnings.catch_warnings(action="error"), resource_tracker._resource_tracker._lock:  # type: ignore[attr-defined]
        mapping.unlink(name)
        with pytest.raises(FileNotFoundError):
            mapping.open_existing(name)
        assert sent == []
    monkeypatch.undo()
    other = "pc-test-mapping-other"
    mapping.create(other, 10).close()
    mapping.unlink(other)
    assert not mapping._untracked
