"""The counting loops as functions that need no GIL, for other compiled code: docs/c-interface.md.

Cython code finds them through the ``.pxd`` files that are installed with the package, C code in a capsule.
"""

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int32_t, int64_t, uint8_t

from parcount._native.bincount cimport count_nogil, weigh_nogil
from parcount._native.histogram cimport (
    count_float32, count_float64, free_edges, prepare_edges, weigh_float64,
)

cdef extern from *:
    """
    #define PARCOUNT_NO_IMPORT
    #include "parcount.h"
    """

cdef extern from "parcount.h":
    enum:
        PARCOUNT_ABI_VERSION
    const char *PARCOUNT_CAPSULE
    ctypedef struct Api "parcount_api":
        int version
        size_t size
        Py_ssize_t (*bincount_uint8)(int64_t *, Py_ssize_t, const uint8_t *, Py_ssize_t) noexcept nogil
        Py_ssize_t (*bincount_int32)(int64_t *, Py_ssize_t, const int32_t *, Py_ssize_t) noexcept nogil
        Py_ssize_t (*bincount_int64)(int64_t *, Py_ssize_t, const int64_t *, Py_ssize_t) noexcept nogil
        Py_ssize_t (*bincount_weighted_int32)(
            double *, Py_ssize_t, const int32_t *, const double *, Py_ssize_t
        ) noexcept nogil
        Py_ssize_t (*bincount_weighted_int64)(
            double *, Py_ssize_t, const int64_t *, const double *, Py_ssize_t
        ) noexcept nogil
        parcount_edges *(*edges_new)(const double *, Py_ssize_t) noexcept nogil
        void (*edges_free)(parcount_edges *) noexcept nogil
        Py_ssize_t (*histogram_float32)(int64_t *, const parcount_edges *, const float *, Py_ssize_t) noexcept nogil
        Py_ssize_t (*histogram_float64)(int64_t *, const parcount_edges *, const double *, Py_ssize_t) noexcept nogil
        Py_ssize_t (*histogram_weighted_float64)(
            double *, const parcount_edges *, const double *, const double *, Py_ssize_t
        ) noexcept nogil


cdef Py_ssize_t bincount_uint8(int64_t *counts, Py_ssize_t bins, const uint8_t *keys, Py_ssize_t n) noexcept nogil:
    return count_nogil(counts, bins, keys, n)


cdef Py_ssize_t bincount_int32(int64_t *counts, Py_ssize_t bins, const int32_t *keys, Py_ssize_t n) noexcept nogil:
    return count_nogil(counts, bins, keys, n)


cdef Py_ssize_t bincount_int64(int64_t *counts, Py_ssize_t bins, const int64_t *keys, Py_ssize_t n) noexcept nogil:
    return count_nogil(counts, bins, keys, n)


cdef Py_ssize_t bincount_weighted_int32(
    double *sums, Py_ssize_t bins, const int32_t *keys, const double *weights, Py_ssize_t n
) noexcept nogil:
    return weigh_nogil(sums, bins, keys, weights, n)


cdef Py_ssize_t bincount_weighted_int64(
    double *sums, Py_ssize_t bins, const int64_t *keys, const double *weights, Py_ssize_t n
) noexcept nogil:
    return weigh_nogil(sums, bins, keys, weights, n)


cdef parcount_edges *edges_new(const double *edges, Py_ssize_t count) noexcept nogil:
    return <parcount_edges *>prepare_edges(edges, count)


cdef void edges_free(parcount_edges *edges) noexcept nogil:
    free_edges(edges)


cdef Py_ssize_t histogram_float32(
    int64_t *counts, const parcount_edges *edges, const float *values, Py_ssize_t n
) noexcept nogil:
    return count_float32(counts, edges, values, n)


cdef Py_ssize_t histogram_float64(
    int64_t *counts, const parcount_edges *edges, const double *values, Py_ssize_t n
) noexcept nogil:
    return count_float64(counts, edges, values, n)


cdef Py_ssize_t histogram_weighted_float64(
    double *sums, const parcount_edges *edges, const double *values, const double *weights, Py_ssize_t n
) noexcept nogil:
    return weigh_float64(sums, edges, values, weights, n)


cdef Api api
api.version = PARCOUNT_ABI_VERSION
api.size = sizeof(Api)
api.bincount_uint8 = bincount_uint8
api.bincount_int32 = bincount_int32
api.bincount_int64 = bincount_int64
api.bincount_weighted_int32 = bincount_weighted_int32
api.bincount_weighted_int64 = bincount_weighted_int64
api.edges_new = edges_new
api.edges_free = edges_free
api.histogram_float32 = histogram_float32
api.histogram_float64 = histogram_float64
api.histogram_weighted_float64 = histogram_weighted_float64

_C_API = PyCapsule_New(&api, PARCOUNT_CAPSULE, NULL)
