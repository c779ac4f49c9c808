"""Locks after a fork: one that another thread held stays held in the child, where nobody is left to release it."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Locking(Protocol):
    """What has locks."""

    def _renew_locks(self) -> None:
        """Have new ones."""


_owners: WeakSet[Locking] = WeakSet()


def renew_locks_in_children(owner: Locking) -> None:
    """Give an object new locks in every process that is forked from this one.

    Parameters
    ----------
    owner : Locking
        What has locks.
    """
    _owners.add(owner)


def _renew() -> None:
    for owner in list(_owners):
        owner._renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
