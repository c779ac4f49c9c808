from libc.stdint cimport int64_t

from integers cimport integer

cdef Py_ssize_t count_nogil(int64_t *counts, Py_ssize_t bins, const integer *keys, Py_ssize_t n) noexcept nogil
cdef Py_ssize_t weigh_nogil(
    double *sums, Py_ssize_t bins, const integer *keys, const double *weights, Py_ssize_t n
) noexcept nogil
