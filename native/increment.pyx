"""Add one to every cell of an array: the counter loop that waits for memory."""

from libc.stdint cimport int64_t


cdef void loop(int64_t[::1] cells) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(cells.shape[0]):
        cells[i] += 1


def released(int64_t[::1] cells not None):
    with nogil:
        loop(cells)


def held(int64_t[::1] cells not None):
    loop(cells)
