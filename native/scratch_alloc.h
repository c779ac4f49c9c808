/* Memory to count in. NumPy's allocation releases the GIL, which the variant `cython-gil` must hold throughout. */
#ifndef PARCOUNT_SCRATCH_ALLOC_H
#define PARCOUNT_SCRATCH_ALLOC_H

#include <Python.h>
#include <stdint.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

enum { HUGE_PAGE_MIN_BYTES = 1 << 22 };

#ifdef Py_LIMITED_API /* which has these since 3.13 only */
#include <stdlib.h>
#define PyMem_RawCalloc calloc
#define PyMem_RawMalloc malloc
#define PyMem_RawRealloc realloc
#define PyMem_RawFree free
#endif

/* Large blocks ask for huge pages: with small ones each random access costs a page table walk. */
static void *scratch_in_huge_pages(void *cells, size_t bytes)
{
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (cells && bytes >= HUGE_PAGE_MIN_BYTES) {
        uintptr_t page = 4096, first = ((uintptr_t)cells + page - 1) / page * page;
        madvise((void *)first, ((uintptr_t)cells + bytes - first) / page * page, MADV_HUGEPAGE); /* a hint only */
    }
#else
    (void)bytes;
#endif
    return cells;
}

/* Zeros. Traced by tracemalloc, as all of these. */
static void *scratch_calloc(size_t bytes)
{
    return scratch_in_huge_pages(PyMem_RawCalloc(bytes ? bytes : 1, 1), bytes);
}

static inline void *scratch_alloc(size_t bytes)
{
    return scratch_in_huge_pages(PyMem_RawMalloc(bytes ? bytes : 1), bytes);
}

static inline void *scratch_realloc(void *cells, size_t bytes)
{
    return PyMem_RawRealloc(cells, bytes);
}

static void scratch_free(void *cells)
{
    PyMem_RawFree(cells);
}

#endif
