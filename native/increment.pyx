"""Add one to every cell of an array: the counter loop that waits for memory."""

from libc.stdint cimport int64_t

from interrupt cimport POLL_ELEMENTS, Interrupt, interrupt_begin, interrupt_poll


cdef int loop(int64_t[::1] cells, Interrupt *state) except -1 nogil:
    cdef Py_ssize_t n = cells.shape[0], start = 0, size, i
    cdef int64_t *block
    while start < n:
        block = &cells[start]
        size = min(n - start, <Py_ssize_t>POLL_ELEMENTS)
        for i in range(size):
            block[i] += 1
        start += size
        interrupt_poll(state)
    return 0


def released(int64_t[::1] cells not None):
    """Add one to every cell without the GIL."""
    cdef Interrupt state
    interrupt_begin(&state)
    with nogil:
        loop(cells, &state)


def held(int64_t[::1] cells not None):
    """Add one to every cell with the GIL."""
    cdef Interrupt state
    interrupt_begin(&state)
    loop(cells, &state)
