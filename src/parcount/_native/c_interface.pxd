"""The counting loops for Cython code that does not hold the GIL; docs/c-interface.md describes them."""

from libc.stdint cimport int32_t, int64_t, uint8_t

cdef extern from *:
    """
    typedef struct parcount_edges parcount_edges;
    """
    ctypedef struct parcount_edges:  # ascending edges of bins, prepared for the search
        pass

cdef Py_ssize_t bincount_uint8(int64_t *counts, Py_ssize_t bins, const uint8_t *keys, Py_ssize_t n) noexcept nogil
cdef Py_ssize_t bincount_int32(int64_t *counts, Py_ssize_t bins, const int32_t *keys, Py_ssize_t n) noexcept nogil
cdef Py_ssize_t bincount_int64(int64_t *counts, Py_ssize_t bins, const int64_t *keys, Py_ssize_t n) noexcept nogil
cdef Py_ssize_t bincount_weighted_int32(
    double *sums, Py_ssize_t bins, const int32_t *keys, const double *weights, Py_ssize_t n
) noexcept nogil
cdef Py_ssize_t bincount_weighted_int64(
    double *sums, Py_ssize_t bins, const int64_t *keys, const double *weights, Py_ssize_t n
) noexcept nogil

cdef parcount_edges *edges_new(const double *edges, Py_ssize_t count) noexcept nogil
cdef void edges_free(parcount_edges *edges) noexcept nogil

cdef Py_ssize_t histogram_float32(
    int64_t *counts, const parcount_edges *edges, const float *values, Py_ssize_t n
) noexcept nogil
cdef Py_ssize_t histogram_float64(
    int64_t *counts, const parcount_edges *edges, const double *values, Py_ssize_t n
) noexcept nogil
cdef Py_ssize_t histogram_weighted_float64(
    double *sums, const parcount_edges *edges, const double *values, const double *weights, Py_ssize_t n
) noexcept nogil
