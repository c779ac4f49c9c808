/* The counting loops of parcount for C and C++ code that does not hold the GIL; docs/c-interface.md describes them.

   Call parcount_import() once, with the GIL, in each source file that uses the functions. */
#ifndef PARCOUNT_H
#define PARCOUNT_H

#include <Python.h>
#include <stddef.h>
#include <stdint.h>

#define PARCOUNT_ABI_VERSION 1
#define PARCOUNT_CAPSULE "parcount._native.c_interface._C_API"

/* Ascending edges of bins, prepared for the search. */
typedef struct parcount_edges parcount_edges;

/* Each function returns the number of elements that it has read: n, or fewer if a key is not less than `bins`, or -1 if
   there is no memory. It adds to the table. */
typedef struct {
    int version; /* PARCOUNT_ABI_VERSION: another one is not compatible */
    size_t size; /* of this struct: later versions of parcount add functions at its end */

    ptrdiff_t (*bincount_uint8)(int64_t *counts, ptrdiff_t bins, const uint8_t *keys, ptrdiff_t n);
    ptrdiff_t (*bincount_int32)(int64_t *counts, ptrdiff_t bins, const int32_t *keys, ptrdiff_t n);
    ptrdiff_t (*bincount_int64)(int64_t *counts, ptrdiff_t bins, const int64_t *keys, ptrdiff_t n);
    ptrdiff_t (*bincount_weighted_int32)(
        double *sums, ptrdiff_t bins, const int32_t *keys, const double *weights, ptrdiff_t n);
    ptrdiff_t (*bincount_weighted_int64)(
        double *sums, ptrdiff_t bins, const int64_t *keys, const double *weights, ptrdiff_t n);

    /* `count` edges, copied; NULL if they do not ascend, or if there are fewer than two, or if there is no memory. These
       two take the GIL for a moment, if the caller does not hold it. */
    parcount_edges *(*edges_new)(const double *edges, ptrdiff_t count);
    void (*edges_free)(parcount_edges *edges);

    ptrdiff_t (*histogram_float32)(int64_t *counts, const parcount_edges *edges, const float *values, ptrdiff_t n);
    ptrdiff_t (*histogram_float64)(int64_t *counts, const parcount_edges *edges, const double *values, ptrdiff_t n);
    ptrdiff_t (*histogram_weighted_float64)(
        double *sums, const parcount_edges *edges, const double *values, const double *weights, ptrdiff_t n);
} parcount_api;

#ifndef PARCOUNT_NO_IMPORT

static const parcount_api *parcount;

/* Returns 0, or -1 with an exception set. */
static int parcount_import(void)
{
    PyObject *module = PyImport_ImportModule("parcount._native.c_interface"); /* PyCapsule_Import imports no submodules */
    const parcount_api *api = module ? (const parcount_api *)PyCapsule_Import(PARCOUNT_CAPSULE, 0) : NULL;
    Py_XDECREF(module);
    if (!api)
        return -1;
    if (api->version != PARCOUNT_ABI_VERSION || api->size < sizeof *api) {
        PyErr_Format(PyExc_ImportError,
                     "this module needs version %d of parcount's C interface with %zu bytes, not %d with %zu",
                     PARCOUNT_ABI_VERSION, sizeof *api, api->version, api->size);
        return -1;
    }
    parcount = api;
    return 0;
}

#endif
#endif
