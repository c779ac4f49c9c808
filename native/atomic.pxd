"""Atomic operations on 64-bit cells, and additions of Python integers to them."""

from cpython.number cimport PyNumber_Index
from libc.stdint cimport int64_t, uint64_t

cdef extern from "Python.h":
    int64_t PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1

cdef extern from "atomic.h" nogil:
    int64_t atomic_read(const int64_t *cell)
    void atomic_write(int64_t *cell, int64_t value)
    void atomic_fence()
    int64_t atomic_exchange_with(int64_t *cell, int64_t value)
    bint atomic_swap_if(int64_t *cell, int64_t *expected, int64_t value)
    bint atomic_add(int64_t *cell, int64_t n, int64_t *sum)
    void atomic_subtract(int64_t *cell, uint64_t n)


cdef inline object checked(object total):
    """The int `total`, if it fits into 64 bits."""
    cdef int overflow = 0
    PyLong_AsLongLongAndOverflow(total, &overflow)
    if overflow:
        raise OverflowError(f"the count would be {total}, which does not fit into 64 bits")
    return total


cdef inline object add_to(int64_t *cell, object n):
    """Add `n` to a cell; return the sum. OverflowError if that does not fit; TypeError if `n` is not an integer."""
    cdef int64_t sum = 0
    cdef int overflow = 0
    cdef int64_t number = PyLong_AsLongLongAndOverflow(n, &overflow)
    if overflow or not atomic_add(cell, number, &sum):
        return add_in_python(cell, PyNumber_Index(n))
    return sum


cdef inline object add_in_python(int64_t *cell, object n):
    """The same in Python integers: raises, unless another thread has changed the cell meanwhile."""
    cdef int64_t held = atomic_read(cell)
    while True:
        total = checked(held + n)
        if atomic_swap_if(cell, &held, total):
            return total
