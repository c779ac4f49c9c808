"""Parts of files that are mapped into memory, and can be truncated meanwhile."""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.errno cimport errno
from libc.stdint cimport int64_t, uintptr_t

import os

cdef extern from "mapped_file.h" nogil:
    ctypedef struct CMappedFile "MappedFile":
        uintptr_t start
    CMappedFile *mapped_file_open(int descriptor, int64_t start, size_t size)
    bint mapped_file_close(CMappedFile *file)
    int64_t mapped_file_page()


cdef class MappedFile:
    """A part of an open file in memory; a context manager that gives a memoryview.

    Where the file has been truncated, or cannot be read, it has zeros; then `failed` is true after the context.

    Parameters
    ----------
    descriptor : int
        Of the file.
    start, stop : int
        Where the part begins and ends; it must not be empty.

    Raises
    ------
    OSError
        If it cannot be mapped.
    """

    cdef CMappedFile *file
    cdef Py_ssize_t offset, size
    cdef object view
    cdef readonly bint failed

    def __cinit__(self, int descriptor, int64_t start, int64_t stop):
        self.offset = start % mapped_file_page()
        self.size = stop - start
        if start < 0 or self.size < 1:
            raise ValueError(f"a part of a file from {start} to {stop}")
        with nogil:
            self.file = mapped_file_open(descriptor, start - self.offset, self.size + self.offset)
        if self.file == NULL:
            raise OSError(errno, os.strerror(errno))

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if self.file == NULL:
            raise ValueError("the file is not mapped any more")
        PyBuffer_FillInfo(buffer, self, <char *>self.file.start + self.offset, self.size, True, flags)

    def __enter__(self):
        self.view = memoryview(self)
        return self.view

    def __exit__(self, *exception):
        self.view.release()  # BufferError if something else refers to it
        self._close()

    def __dealloc__(self):
        self._close()

    cdef void _close(self) noexcept:
        if self.file != NULL:
            with nogil:
                self.failed = mapped_file_close(self.file)
            self.file = NULL
