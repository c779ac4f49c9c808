"""Count distinct rows, byte strings of one width, in a hash table."""

import os

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from interrupt cimport POLL_ELEMENTS, Interrupt, interrupt_begin, interrupt_poll

cdef extern from "row_table.h" nogil:
    ctypedef struct RowSlot:
        unsigned int row
        int64_t count
    ctypedef struct Table "RowTable":
        RowSlot *slots
        uint8_t *rows
        size_t width, used
        unsigned bits
    int row_table_init(Table *t, size_t width, uint64_t seed)
    void row_table_free(Table *t)
    int row_table_add(Table *t, const uint8_t *rows, const int64_t *counts, size_t n)

cdef enum:
    POLL_BYTES = 1 << 24


cdef class RowTable:
    """A hash table of rows of `width` bytes. Its length is the number of distinct rows."""

    cdef Table table

    def __cinit__(self, Py_ssize_t width):
        if width < 1:
            raise ValueError(f"a row has at least one byte, not {width}")
        if not row_table_init(&self.table, width, int.from_bytes(os.urandom(8), "little")):
            raise MemoryError()

    def __dealloc__(self):
        row_table_free(&self.table)

    def __len__(self):
        return self.table.used

    def add(self, const uint8_t[:, ::1] rows not None, const int64_t[::1] counts=None):
        """Count rows, each once or as often as `counts` says, which are positive."""
        cdef Py_ssize_t n = rows.shape[0], i = 0, size
        cdef Py_ssize_t step = min(<Py_ssize_t>POLL_ELEMENTS, max(<Py_ssize_t>1, POLL_BYTES // <Py_ssize_t>self.table.width))
        cdef const int64_t *times = NULL
        cdef bint added = True
        cdef Interrupt state
        interrupt_begin(&state)
        if rows.shape[1] != <Py_ssize_t>self.table.width:
            raise ValueError(f"rows have {self.table.width} bytes, not {rows.shape[1]}")
        if counts is not None and counts.shape[0] != n:
            raise ValueError(f"{n} rows need as many counts, not {counts.shape[0]}")
        if counts is not None and n:
            times = &counts[0]
        with nogil:
            while i < n and added:
                size = min(n - i, step)
                added = row_table_add(&self.table, &rows[i, 0], times, size)
                if times != NULL:
                    times += size
                i += size
                interrupt_poll(&state)
        if not added:
            raise MemoryError()

    def result(self):
        """The distinct rows, in the order in which they were added first, and their counts."""
        cdef size_t used = self.table.used, i
        cdef uint8_t[:, ::1] rows = np.empty((used, self.table.width), np.uint8)
        cdef int64_t[::1] counts = np.empty(used, np.int64)
        if used:
            with nogil:
                memcpy(&rows[0, 0], self.table.rows, used * self.table.width)
                for i in range(<size_t>1 << self.table.bits):
                    if self.table.slots[i].count:
                        counts[self.table.slots[i].row] = self.table.slots[i].count
        return np.asarray(rows), np.asarray(counts)
