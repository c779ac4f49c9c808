"""The front of a function that stands in for one of NumPy's: what NumPy itself should answer goes straight to it."""

from functools import update_wrapper

from numpy import ndarray


cdef extern from "dispatch.h":
    void dispatch_set_small(Py_ssize_t elements)
    object dispatcher_new(
        object numpy_function, object implementation, object dask_function, tuple own_keywords, object ndarray, object protocol, Py_ssize_t size_argument, Py_ssize_t required
    )


def set_small(Py_ssize_t elements):
    """Set below how many elements calls go to NumPy."""
    dispatch_set_small(elements)


def add_in_place(a, by=1):
    """``a += by``, as a call, which Python has no function for that is as fast."""
    a += by


def dispatch(numpy_function, *own_keywords, dask_function=None, Py_ssize_t size_argument=0, Py_ssize_t required=0):
    """Decorate a function that takes the arguments of NumPy's function `numpy_function`, and the keywords `own_keywords` besides.

    A call goes to `numpy_function`, its arguments as the caller gave them, if one of those brings its own
    ``__array_function__`` (NEP 18), or if argument `size_argument` is an array of fewer elements than was set, unless that is one
    that NumPy refuses or has fewer arguments than it `required`. A call with one of the keywords `own_keywords` always goes to the
    decorated function. Where there is `dask_function`, that gets all calls with an array of dask's, but for the small ones.
    """
    def decorate(implementation):
        made = dispatcher_new(numpy_function, implementation, dask_function, own_keywords, ndarray, ndarray.__array_function__, size_argument, required)
        return update_wrapper(made, implementation)

    return decorate
