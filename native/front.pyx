"""The front of a function that stands in for one of NumPy's: what NumPy itself should answer goes straight to it."""

from functools import update_wrapper

from numpy import ndarray


cdef extern from "front.h":
    Py_ssize_t front_small
    object front_new(object numpys, object ours, tuple own, object ndarray, object protocol)


def set_small(Py_ssize_t elements):
    """Set below how many elements calls go to NumPy."""
    global front_small
    front_small = elements


def front(numpys, *own):
    """Decorate a function that takes the arguments of NumPy's function `numpys`, and the keywords `own` besides.

    A call goes to `numpys`, its arguments as the caller gave them, if one of those brings its own
    ``__array_function__`` (NEP 18), or if the first is an array of fewer elements than was set, unless that is one
    that NumPy refuses. A call with one of the keywords `own` always goes to the decorated function.
    """
    def decorate(ours):
        return update_wrapper(front_new(numpys, ours, own, ndarray, ndarray.__array_function__), ours)

    return decorate
