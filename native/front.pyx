"""The front of a function that stands in for one of NumPy's: what NumPy itself should answer goes straight to it."""

from functools import update_wrapper

from numpy import ndarray


cdef extern from "front.h":
    void front_set_small(Py_ssize_t elements)
    object front_new(
        object numpys, object ours, object lazily, tuple own, object ndarray, object protocol, Py_ssize_t sized, Py_ssize_t needs
    )


def set_small(Py_ssize_t elements):
    """Set below how many elements calls go to NumPy."""
    front_set_small(elements)


def added(a, by=1):
    """``a += by``, as a call, which Python has no function for that is as fast."""
    a += by


def front(numpys, *own, lazily=None, Py_ssize_t sized=0, Py_ssize_t needs=0):
    """Decorate a function that takes the arguments of NumPy's function `numpys`, and the keywords `own` besides.

    A call goes to `numpys`, its arguments as the caller gave them, if one of those brings its own
    ``__array_function__`` (NEP 18), or if argument `sized` is an array of fewer elements than was set, unless that is one
    that NumPy refuses or has fewer arguments than it `needs`. A call with one of the keywords `own` always goes to the
    decorated function. Where there is `lazily`, that gets all calls with an array of dask's, but for the small ones.
    """
    def decorate(ours):
        made = front_new(numpys, ours, lazily, own, ndarray, ndarray.__array_function__, sized, needs)
        return update_wrapper(made, ours)

    return decorate
