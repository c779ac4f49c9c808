from libc.stdint cimport int64_t

cdef void *prepare_edges(const double *edges, Py_ssize_t count) noexcept with gil
cdef void free_edges(void *prepared) noexcept with gil
cdef Py_ssize_t count_float32(int64_t *counts, const void *prepared, const float *values, Py_ssize_t n) noexcept nogil
cdef Py_ssize_t count_float64(int64_t *counts, const void *prepared, const double *values, Py_ssize_t n) noexcept nogil
cdef Py_ssize_t weigh_float64(
    double *sums, const void *prepared, const double *values, const double *weights, Py_ssize_t n
) noexcept nogil
