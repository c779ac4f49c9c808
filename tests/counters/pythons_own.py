"""A plugin for pytest: in the process that loads it, Python's own tests of Counter find parcount's in its place."""

import collections

import parcount as pc


class Counter(pc.ConcurrentCounter):
    """By the name that the tests look for, and that pickle looks for here."""


pythons = collections.Counter
collections.Counter = Counter
import test.test_collections  # noqa: E402, F401 - it takes the name, and derives from it

collections.Counter = pythons
