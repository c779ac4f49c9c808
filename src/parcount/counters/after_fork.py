"""New locks in forked children, where a lock that another thread of the parent held would stay locked for ever."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Locking(Protocol):
    """An object with locks."""

    def _renew_locks(self) -> None:
        """Replace them."""


_owners: WeakSet[Locking] = WeakSet()


def renew_locks_in_children(owner: Locking) -> None:
    """Call ``owner._renew_locks()`` in every process that is forked from this one, while `owner` exists."""
    _owners.add(owner)


def _renew() -> None:
    for owner in list(_owners):
        owner._renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
