"""A plugin for pytest: in the process that loads it, parcount's functions stand in for NumPy's.

``TEST_THREADS`` is the number of threads that each call is told to use.
"""

import os
from functools import partial, update_wrapper

import numpy as np

import parcount as pc

for name in ("bincount", "histogram", "histogram2d", "histogramdd", "unique_counts"):
    function = getattr(pc, name)
    if threads := os.environ.get("TEST_THREADS"):
        function = update_wrapper(partial(function, threads=int(threads)), function)
    setattr(np, name, function)
