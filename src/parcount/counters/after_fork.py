"""New locks in forked children, where a lock that another thread of the parent held would never be released."""

from __future__ import annotations

import os
from typing import Any
from weakref import WeakSet

_owners: WeakSet[Any] = WeakSet()


def renew_locks_in_children(owner: Any) -> None:
    """Call ``owner._renew_locks()`` in every process that is forked from this one, while `owner` exists."""
    _owners.add(owner)


def _renew() -> None:
    for owner in list(_owners):
        owner._renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
