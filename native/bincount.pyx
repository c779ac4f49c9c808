"""Count how often each integer key occurs: ``counts[keys[i]] += 1``, and ``sums[keys[i]] += weights[i]``.

Each key is read once and compared with the table's length where it is used, never in a pass before: another thread may
change the keys meanwhile, and a key that passed an earlier check could then write elsewhere. Converted to unsigned, a
negative key is larger than any table, so one comparison finds both.
"""

from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from cpython.pycapsule cimport PyCapsule_New
from libc.string cimport memcpy, memset

from parcount._native import cpu_features

from integers cimport integer, load_once, unlikely
from interrupt cimport POLL_ELEMENTS, Interrupt, interrupt_begin, interrupt_never, interrupt_poll

cdef extern from "scratch_alloc.h" nogil:
    void *scratch_calloc(size_t size)
    void scratch_free(void *cells)

cdef extern from "prefetch.h" nogil:
    void prefetch_ahead(const void *)

cdef extern from "count_part.h" nogil:
    ctypedef struct CountPart:
        char code
        const void *keys
        Py_ssize_t n, done
        int64_t *counts
        uint64_t bins
        void *scratch
    ctypedef struct CountFunctions:
        size_t (*scratch_bytes)(uint64_t bins, Py_ssize_t n, size_t size)
        void (*count)(void *part)

cdef extern from "byte_count_avx512.h" nogil:
    void byte_count_avx512(const uint8_t *bytes, Py_ssize_t n, uint32_t *counts)


ctypedef fused weight:
    int64_t
    double

# The method depends on the number of bins and keys. In ns per key, uniform int64 keys, one core of a Zen 5 server
# (bench/test_bincount_methods.py):
#
#     bins    SINGLE_TABLE  chosen
#     1 024       0.26       0.26   MULTI_TABLE: several tables used in turn, so that no store waits for the store before
#                                   it to the same key; one hot key costs 4 to 6 times as much on some CPUs without it
#     16 384      0.44       0.28   NARROW_CELLS: 8-bit cells keep the table in a nearer cache
#     65 536      0.40       0.29
#     2^20        0.60       0.49
#     2^24        3.75       2.36
#
# 8-bit keys are counted in a table of 256 cells, which is checked against the number of bins at the end.
# UNROLLED_BYTES reads eight keys at once, 0.22 ns per key. AVX512_BYTES needs no store per key
# (native/byte_count_avx512.h), 0.13 ns per key.
cdef enum Method:
    SINGLE_TABLE
    UNROLLED_BYTES
    AVX512_BYTES
    MULTI_TABLE
    NARROW_CELLS

cdef enum:
    BYTE_VALUES = 256                 # 8-bit keys; also the counts after which an 8-bit cell wraps to zero
    MAX_BINS_FOR_MULTI_TABLE = 1024
    MAX_BYTES_FOR_FOUR_TABLES = 2048  # per table: four larger ones leave too little of the L1 cache to the keys
    PREFETCH_STEP = 8                 # keys per prefetch: a cache line of 8-byte keys
    TABLE_PADDING = 16                # cells between tables: a load 4096 bytes behind a store seems to alias it
    MIN_KEYS_FOR_SCRATCH = 256        # below it no scratch table is worth clearing
    MIN_BYTES_FOR_AVX512 = 1024
    MAX_BINS_PER_KEY = 8              # above it a scratch table costs more to clear and to add than it saves

cdef bint AVX512_ENABLED = "AVX512_ICL" in cpu_features.ENABLED


cdef Method method_for(uint64_t bins, Py_ssize_t n, size_t size) noexcept nogil:
    """The fastest way to count `n` keys of `size` bytes."""
    if n < MIN_KEYS_FOR_SCRATCH:
        return SINGLE_TABLE
    if size == 1:
        return AVX512_BYTES if AVX512_ENABLED and n >= MIN_BYTES_FOR_AVX512 else UNROLLED_BYTES
    if bins <= MAX_BINS_FOR_MULTI_TABLE:
        return MULTI_TABLE if <uint64_t>n >= 4 * bins else SINGLE_TABLE
    return SINGLE_TABLE if <uint64_t>n < bins // MAX_BINS_PER_KEY else NARROW_CELLS


cdef int table_count_for(uint64_t bins, size_t size) noexcept nogil:
    """How many tables of cells of `size` bytes to use in turn."""
    return 4 if bins * size <= MAX_BYTES_FOR_FOUR_TABLES else 2


cdef size_t scratch_bytes(Method method, uint64_t bins) noexcept nogil:
    if method == MULTI_TABLE:
        return table_count_for(bins, sizeof(uint32_t)) * (bins + TABLE_PADDING) * sizeof(uint32_t)
    return bins if method == NARROW_CELLS else 0


# Each loop below counts until a key lies outside the table, and returns how many it has counted.

cdef Py_ssize_t single_table(int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n) noexcept nogil:
    cdef uint64_t key
    cdef Py_ssize_t i = 0, j
    while n - i >= PREFETCH_STEP:
        prefetch_ahead(keys + i)
        for j in range(PREFETCH_STEP):
            key = load_once(keys + i + j)
            if unlikely(key >= bins):
                return i + j
            counts[key] += 1
        i += PREFETCH_STEP
    while i < n:
        key = load_once(keys + i)
        if key >= bins:
            break
        counts[key] += 1
        i += 1
    return i


cdef Py_ssize_t multi_table(
    int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n, uint32_t *tables
) noexcept nogil:
    """`n` is less than 2**32, so that no cell overflows. The tables are zeros before and after."""
    cdef uint32_t *first = tables
    cdef int table_count = table_count_for(bins, sizeof(uint32_t))
    cdef uint64_t stride = bins + TABLE_PADDING
    cdef uint32_t *second = first + stride
    cdef uint32_t *third = second + stride if table_count == 4 else first
    cdef uint32_t *fourth = third + stride if table_count == 4 else second
    cdef uint64_t a, b, c, d, bin
    cdef Py_ssize_t i = 0
    while n - i >= 4:
        prefetch_ahead(keys + i)
        a = load_once(keys + i)
        b = load_once(keys + i + 1)
        c = load_once(keys + i + 2)
        d = load_once(keys + i + 3)
        if unlikely(a >= bins or b >= bins or c >= bins or d >= bins):
            break
        first[a] += 1
        second[b] += 1
        third[c] += 1
        fourth[d] += 1
        i += 4
    for bin in range(bins):
        counts[bin] += <int64_t>first[bin] + second[bin] + (<int64_t>third[bin] + fourth[bin] if table_count == 4 else 0)
    memset(tables, 0, table_count * stride * sizeof(uint32_t))
    return i + single_table(counts, bins, keys + i, n - i)


cdef inline bint add_narrow(int64_t *counts, uint64_t bins, uint64_t key, uint8_t *table) noexcept nogil:
    """Count one key in its 8-bit cell, unless it lies outside; a cell that wraps to zero adds 256 to its count."""
    cdef uint8_t count
    if unlikely(key >= bins):
        return False
    count = table[key] + 1
    table[key] = count
    if unlikely(count == 0):
        counts[key] += BYTE_VALUES
    return True


cdef Py_ssize_t narrow_cells(
    int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n, uint8_t *table
) noexcept nogil:
    """What is left in the table has still to be added to the counts."""
    cdef Py_ssize_t i = 0, j
    while n - i >= PREFETCH_STEP:
        prefetch_ahead(keys + i)
        for j in range(PREFETCH_STEP):
            if unlikely(not add_narrow(counts, bins, load_once(keys + i + j), table)):
                return i + j
        i += PREFETCH_STEP
    while i < n and add_narrow(counts, bins, load_once(keys + i), table):
        i += 1
    return i


cdef void unrolled_bytes(const uint8_t *keys, Py_ssize_t n, uint32_t *counts) noexcept nogil:
    cdef uint32_t tables[4][BYTE_VALUES]
    cdef uint64_t word
    cdef Py_ssize_t i = 0, key
    memset(tables, 0, sizeof(tables))
    while i + 8 <= n:
        memcpy(&word, keys + i, 8)
        tables[0][word & 255] += 1
        tables[1][word >> 8 & 255] += 1
        tables[2][word >> 16 & 255] += 1
        tables[3][word >> 24 & 255] += 1
        tables[0][word >> 32 & 255] += 1
        tables[1][word >> 40 & 255] += 1
        tables[2][word >> 48 & 255] += 1
        tables[3][word >> 56] += 1
        i += 8
    while i < n:
        tables[0][keys[i]] += 1
        i += 1
    for key in range(BYTE_VALUES):
        counts[key] += tables[0][key] + tables[1][key] + tables[2][key] + tables[3][key]


cdef Py_ssize_t count_bytes(
    int64_t *counts, uint64_t bins, const uint8_t *keys, Py_ssize_t n, Method method
) noexcept nogil:
    """All `n`, fewer than 2**32, or none."""
    cdef uint32_t table[BYTE_VALUES]
    cdef uint64_t key
    memset(table, 0, sizeof(table))
    if method == AVX512_BYTES:
        byte_count_avx512(keys, n, table)
    else:
        unrolled_bytes(keys, n, table)
    for key in range(bins, BYTE_VALUES):
        if table[key]:
            return 0
    for key in range(min(bins, <uint64_t>BYTE_VALUES)):
        counts[key] += table[key]
    return n


cdef Py_ssize_t count_block(
    int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n, Method method, void *scratch
) noexcept nogil:
    if method == UNROLLED_BYTES or method == AVX512_BYTES:
        # Read as unsigned, a negative key is one of 128 or more.
        return count_bytes(
            counts, min(bins, <uint64_t>128) if integer is int8_t else bins, <const uint8_t *>keys, n, method
        )
    if method == MULTI_TABLE:
        return multi_table(counts, bins, keys, n, <uint32_t *>scratch)
    if method == NARROW_CELLS:
        return narrow_cells(counts, bins, keys, n, <uint8_t *>scratch)
    return single_table(counts, bins, keys, n)


cdef Py_ssize_t count_loop(
    int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n, Method method, void *scratch, Interrupt *state
) except -1 nogil:
    cdef Py_ssize_t done = 0, size, counted
    cdef uint64_t bin
    while done < n:
        size = min(n - done, <Py_ssize_t>POLL_ELEMENTS)
        counted = count_block(counts, bins, keys + done, size, method, scratch)
        done += counted
        if counted < size:
            break
        interrupt_poll(state)
    if method == NARROW_CELLS:
        for bin in range(bins):
            counts[bin] += (<uint8_t *>scratch)[bin]
    return done


METHODS = {"single-table": <int>SINGLE_TABLE, "multi-table": <int>MULTI_TABLE, "narrow-cells": <int>NARROW_CELLS}
"""The methods for keys of any size, by name."""

BYTE_METHODS = {"unrolled": <int>UNROLLED_BYTES} | ({"avx512": <int>AVX512_BYTES} if AVX512_ENABLED else {})
"""The methods for 8-bit keys that are enabled here."""


cdef Py_ssize_t count_keys(int64_t[::1] counts, const integer[::1] keys, bint release, int chosen) except -1:
    cdef uint64_t bins = <uint64_t>counts.shape[0]
    cdef Py_ssize_t n = keys.shape[0]
    cdef Interrupt state
    interrupt_begin(&state)
    if bins == 0 or n == 0:
        return 0
    cdef Method method = method_for(bins, n, sizeof(integer)) if chosen < 0 else <Method>chosen
    cdef void *scratch = scratch_calloc(scratch_bytes(method, bins))
    if scratch == NULL:
        raise MemoryError()
    try:
        if not release:
            return count_loop(&counts[0], bins, &keys[0], n, method, scratch, &state)
        with nogil:
            return count_loop(&counts[0], bins, &keys[0], n, method, scratch, &state)
    finally:
        scratch_free(scratch)


def fill(int64_t[::1] counts not None, const integer[::1] keys not None, method=None, bint release=True):
    """Count until a key lies outside the table; return the number of keys that were counted.

    Parameters
    ----------
    counts, keys : ndarray
        The table, and keys of any integer dtype.
    method : str, optional
        One of `METHODS`, or for 8-bit keys of `BYTE_METHODS`; the fastest by default.
    release : bool, optional
        Whether to release the GIL.
    """
    cdef int chosen = -1
    if method is not None:
        chosen = (METHODS | BYTE_METHODS if sizeof(integer) == 1 else METHODS)[method]
    return count_keys(counts, keys, release, chosen)


cdef Py_ssize_t weighted_single_table(
    weight *sums, uint64_t bins, const integer *keys, const weight *weights, Py_ssize_t n, uint64_t *largest
) noexcept nogil:
    cdef uint64_t key, most = largest[0]
    cdef Py_ssize_t i = 0, j
    while n - i >= PREFETCH_STEP:
        prefetch_ahead(keys + i)
        prefetch_ahead(weights + i)
        for j in range(PREFETCH_STEP):
            key = load_once(keys + i + j)
            if unlikely(key >= bins):
                largest[0] = most
                return i + j
            most = max(most, key)
            sums[key] += weights[i + j]
        i += PREFETCH_STEP
    while i < n:
        key = load_once(keys + i)
        if key >= bins:
            break
        most = max(most, key)
        sums[key] += weights[i]
        i += 1
    largest[0] = most
    return i


cdef Py_ssize_t weighted_multi_table(
    weight *sums, uint64_t bins, const integer *keys, const weight *weights, Py_ssize_t n, uint64_t *largest,
    weight *tables,
) noexcept nogil:
    """What is left in the tables has still to be added to the sums."""
    cdef int table_count = table_count_for(bins, sizeof(weight))
    cdef weight *second = tables
    cdef weight *third = second + bins if table_count == 4 else sums
    cdef weight *fourth = third + bins if table_count == 4 else second
    cdef uint64_t a, b, c, d, most = 0, also = 0
    cdef Py_ssize_t i = 0
    while i + 4 <= n:
        prefetch_ahead(keys + i)
        prefetch_ahead(weights + i)
        a = load_once(keys + i)
        b = load_once(keys + i + 1)
        c = load_once(keys + i + 2)
        d = load_once(keys + i + 3)
        if unlikely(a >= bins or b >= bins or c >= bins or d >= bins):
            break
        sums[a] += weights[i]
        second[b] += weights[i + 1]
        third[c] += weights[i + 2]
        fourth[d] += weights[i + 3]
        most = max(most, max(a, b))
        also = max(also, max(c, d))
        i += 4
    largest[0] = max(largest[0], max(most, also))
    return i + weighted_single_table(sums, bins, keys + i, weights + i, n - i, largest)


cdef Py_ssize_t weighted_loop(
    weight *sums, uint64_t bins, const integer *keys, const weight *weights, Py_ssize_t n, uint64_t *largest,
    weight *tables, int table_count, Interrupt *state,
) except -1 nogil:
    cdef Py_ssize_t done = 0, size, added
    cdef uint64_t bin
    cdef int table
    while done < n:
        size = min(n - done, <Py_ssize_t>POLL_ELEMENTS)
        if table_count > 1:
            added = weighted_multi_table(sums, bins, keys + done, weights + done, size, largest, tables)
        else:
            added = weighted_single_table(sums, bins, keys + done, weights + done, size, largest)
        done += added
        if added < size:
            break
        interrupt_poll(state)
    if table_count == 2:
        for bin in range(bins):
            sums[bin] += tables[bin]
    elif table_count == 4:
        for bin in range(bins):
            sums[bin] += tables[bin] + (tables[bins + bin] + tables[2 * bins + bin])
    return done


def fill_weighted(weight[::1] sums not None, const integer[::1] keys not None, const weight[::1] weights not None):
    """Add weights until a key lies outside the table; return how many were added, and 1 + the largest key of those."""
    cdef uint64_t bins = <uint64_t>sums.shape[0], largest = 0
    cdef Py_ssize_t n = keys.shape[0], done = 0
    cdef int table_count = 1
    cdef weight *tables
    cdef Interrupt state
    interrupt_begin(&state)
    if weights.shape[0] != n:
        raise ValueError(f"{n} keys need as many weights, not {weights.shape[0]}")
    if n == 0 or bins == 0:
        return 0, 0
    if bins <= MAX_BINS_FOR_MULTI_TABLE and n >= MIN_KEYS_FOR_SCRATCH and <uint64_t>n >= 4 * bins:
        table_count = table_count_for(bins, sizeof(weight))
    tables = <weight *>scratch_calloc((table_count - 1) * bins * sizeof(weight))
    if tables == NULL:
        raise MemoryError()
    try:
        with nogil:
            done = weighted_loop(&sums[0], bins, &keys[0], &weights[0], n, &largest, tables, table_count, &state)
    finally:
        scratch_free(tables)
    return done, largest + 1 if done else 0


cdef size_t part_scratch_bytes(uint64_t bins, Py_ssize_t n, size_t size) noexcept nogil:
    return scratch_bytes(method_for(bins, n, size), bins)


cdef void run_part(CountPart *part, const integer *keys) noexcept nogil:
    cdef Method method = method_for(part.bins, part.n, sizeof(integer))
    cdef uint64_t bin
    part.done = count_block(part.counts, part.bins, keys, part.n, method, part.scratch)
    if method == NARROW_CELLS:
        for bin in range(part.bins):
            part.counts[bin] += (<uint8_t *>part.scratch)[bin]


cdef void count_part(void *argument) noexcept nogil:
    """Count the keys of a part, at most POLL_ELEMENTS of them."""
    cdef CountPart *part = <CountPart *>argument
    cdef char code = part.code
    if code == c"q":
        run_part(part, <const int64_t *>part.keys)
    elif code == c"i":
        run_part(part, <const int32_t *>part.keys)
    elif code == c"h":
        run_part(part, <const int16_t *>part.keys)
    elif code == c"b":
        run_part(part, <const int8_t *>part.keys)
    elif code == c"Q":
        run_part(part, <const uint64_t *>part.keys)
    elif code == c"I":
        run_part(part, <const uint32_t *>part.keys)
    elif code == c"H":
        run_part(part, <const uint16_t *>part.keys)
    else:
        run_part(part, <const uint8_t *>part.keys)


cdef CountFunctions count_functions
count_functions.scratch_bytes = part_scratch_bytes
count_functions.count = count_part
FUNCTIONS = PyCapsule_New(&count_functions, "parcount._native.bincount.FUNCTIONS", NULL)
"""For native threads, which `parcount._native.dispatch` starts."""


# For native/c_interface.pyx. Each returns how many keys it has counted, or -1 without memory.

cdef Py_ssize_t count_nogil(int64_t *counts, Py_ssize_t bins, const integer *keys, Py_ssize_t n) noexcept nogil:
    cdef Interrupt state
    cdef Method method
    cdef void *scratch
    cdef Py_ssize_t done
    if bins <= 0 or n <= 0:
        return 0
    interrupt_never(&state)
    method = method_for(bins, n, sizeof(integer))
    scratch = scratch_calloc(scratch_bytes(method, bins))
    if scratch == NULL:
        return -1
    done = count_loop(counts, <uint64_t>bins, keys, n, method, scratch, &state)
    scratch_free(scratch)
    return done


cdef Py_ssize_t weigh_nogil(
    double *sums, Py_ssize_t bins, const integer *keys, const double *weights, Py_ssize_t n
) noexcept nogil:
    cdef Interrupt state
    cdef uint64_t largest = 0
    cdef int table_count = 1
    cdef double *tables
    cdef Py_ssize_t done
    if bins <= 0 or n <= 0:
        return 0
    interrupt_never(&state)
    if bins <= MAX_BINS_FOR_MULTI_TABLE and n >= MIN_KEYS_FOR_SCRATCH and n >= 4 * bins:
        table_count = table_count_for(bins, sizeof(double))
    tables = <double *>scratch_calloc((table_count - 1) * bins * sizeof(double))
    if tables == NULL:
        return -1
    done = weighted_loop(sums, <uint64_t>bins, keys, weights, n, &largest, tables, table_count, &state)
    scratch_free(tables)
    return done
