"""Count how often each integer key occurs: ``counts[keys[i]] += 1``, and ``sums[keys[i]] += weights[i]``.

A key is compared with the table's length where it is used, never in a pass before: another thread may change the keys
meanwhile, and one that passed an earlier check could then write elsewhere. As an unsigned number a negative key is a
huge one, so one comparison finds both.
"""

from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from libc.string cimport memcpy, memset

from integers cimport integer, unlikely

cdef extern from "scratch_alloc.h" nogil:
    void *scratch_calloc(size_t size)
    void scratch_free(void *cells)

cdef extern from "prefetch.h" nogil:
    void prefetch_ahead(const void *)

cdef extern from "byte_count_avx512.h" nogil:
    bint byte_count_avx512_supported()
    void byte_count_avx512(const uint8_t *bytes, Py_ssize_t n, uint32_t *counts)


ctypedef fused weight:
    int64_t
    double

# The method by the shape of the work. In ns a key, uniform int64 keys, one core of a Zen 5 server
# (bench/test_bincount_methods.py):
#
#     bins       SINGLE_TABLE   chosen
#     1 024       0.26    0.26   MULTI_TABLE: several tables, so that no store waits for the one before it to the same key;
#                                on CPUs that do not forward stores at once, one hot key else costs 4 to 6 times
#     16 384      0.44    0.28   NARROW_CELLS: cells so narrow that the table stays in a cache that is so much nearer
#     65 536      0.40    0.29
#     2^20        0.60    0.49
#     2^24        3.75    2.36
#
# Keys of eight bits are compared with the table's length at the end. UNROLLED_BYTES reads eight of
# them at once, AVX512_BYTES needs no store a key (native/byte_count_avx512.h): 0.22 and 0.13 ns a key, and on few of them as fast.
cdef enum Method:
    SINGLE_TABLE
    UNROLLED_BYTES
    AVX512_BYTES
    MULTI_TABLE
    NARROW_CELLS

cdef enum:
    BYTE_VALUES = 256              # different keys of eight bits, and counts of a narrow cell before it comes round
    MAX_BINS_FOR_MULTI_TABLE = 1024
    MAX_BYTES_FOR_FOUR_TABLES = 2048  # of one table: four larger ones leave too little of the first cache to what is read
    STEP = 8                # keys between two looks ahead: of eight bytes, a cache line
    TABLE_PADDING = 16              # cells between tables: a load 4096 bytes behind a store seems to hit it
    BLOCK = 1 << 30         # keys before a lane's cell of 32 bits could come round
    MIN_KEYS_FOR_SCRATCH = 256               # keys for which no other table is worth its clearing
    MIN_BYTES_FOR_AVX512 = 1024
    MAX_BINS_PER_KEY = 8          # from which one table's clearing and adding up cost more than it saves


cdef Method method_for(uint64_t bins, Py_ssize_t n, size_t size) noexcept nogil:
    """The fastest way to count `n` keys of `size` bytes."""
    if n < MIN_KEYS_FOR_SCRATCH:
        return SINGLE_TABLE
    if size == 1:
        return AVX512_BYTES if n >= MIN_BYTES_FOR_AVX512 and byte_count_avx512_supported() else UNROLLED_BYTES
    if bins <= MAX_BINS_FOR_MULTI_TABLE:
        return MULTI_TABLE if <uint64_t>n >= 4 * bins else SINGLE_TABLE
    return SINGLE_TABLE if <uint64_t>n < bins // MAX_BINS_PER_KEY else NARROW_CELLS


cdef int tables_for(uint64_t bins, size_t size) noexcept nogil:
    """How many tables of cells of `size` bytes to count in by turns, so that a hot key's stores wait less."""
    return 4 if bins * size <= MAX_BYTES_FOR_FOUR_TABLES else 2


cdef size_t scratch_bytes(Method method, uint64_t bins) noexcept nogil:
    """Bytes of the table that a method counts in."""
    if method == MULTI_TABLE:
        return tables_for(bins, sizeof(uint32_t)) * (bins + TABLE_PADDING) * sizeof(uint32_t)
    return bins if method == NARROW_CELLS else 0


cdef Py_ssize_t single_table(int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n) noexcept nogil:
    cdef uint64_t key
    cdef Py_ssize_t i = 0, j
    while n - i >= STEP:
        prefetch_ahead(keys + i)
        for j in range(STEP):
            key = <uint64_t>keys[i + j]
            if unlikely(key >= bins):
                return i + j
            counts[key] += 1
        i += STEP
    while i < n and <uint64_t>keys[i] < bins:
        counts[<uint64_t>keys[i]] += 1
        i += 1
    return i


cdef Py_ssize_t multi_table(
    int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n, uint32_t *tables
) noexcept nogil:
    cdef uint32_t *first = tables
    cdef int table_count = tables_for(bins, sizeof(uint32_t))
    cdef uint64_t stride = bins + TABLE_PADDING
    cdef uint32_t *second = first + stride
    cdef uint32_t *third = second + stride if table_count == 4 else first
    cdef uint32_t *fourth = third + stride if table_count == 4 else second
    cdef uint64_t a, b, c, d, bin
    cdef Py_ssize_t i = 0, stop
    cdef bint outside = False
    while n - i >= 4 and not outside:
        stop = i + min(n - i, <Py_ssize_t>BLOCK) // 4 * 4
        while i < stop:
            prefetch_ahead(keys + i)
            a = <uint64_t>keys[i]
            b = <uint64_t>keys[i + 1]
            c = <uint64_t>keys[i + 2]
            d = <uint64_t>keys[i + 3]
            if unlikely(a >= bins or b >= bins or c >= bins or d >= bins):
                outside = True
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


cdef inline bint narrow_add(int64_t *counts, uint64_t bins, integer its, uint8_t *table) noexcept nogil:
    """Count one key in its narrow cell, unless it lies outside."""
    cdef uint64_t key = <uint64_t>its
    cdef uint8_t count
    if unlikely(key >= bins):
        return False
    count = table[key] + 1
    table[key] = count
    if unlikely(count == 0):
        counts[key] += BYTE_VALUES
    return True


cdef Py_ssize_t narrow_cells_loop(
    int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n, uint8_t *table
) noexcept nogil:
    cdef Py_ssize_t i = 0, j
    while n - i >= STEP:
        prefetch_ahead(keys + i)
        for j in range(STEP):
            if unlikely(not narrow_add(counts, bins, keys[i + j], table)):
                return i + j
        i += STEP
    while i < n and narrow_add(counts, bins, keys[i], table):
        i += 1
    return i


cdef Py_ssize_t narrow_cells(
    int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n, uint8_t *table
) noexcept nogil:
    cdef Py_ssize_t done = narrow_cells_loop(counts, bins, keys, n, table)
    cdef uint64_t bin
    for bin in range(bins):
        counts[bin] += table[bin]
    return done


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
    cdef uint32_t table[BYTE_VALUES]
    cdef uint64_t key
    cdef Py_ssize_t done = 0, size
    while done < n:
        size = min(n - done, <Py_ssize_t>BLOCK)
        memset(table, 0, sizeof(table))
        if method == AVX512_BYTES:
            byte_count_avx512(keys + done, size, table)
        else:
            unrolled_bytes(keys + done, size, table)
        for key in range(bins, BYTE_VALUES):
            if table[key]:
                return done
        for key in range(min(bins, <uint64_t>BYTE_VALUES)):
            counts[key] += table[key]
        done += size
    return n


cdef Py_ssize_t loop(
    int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n, Method method, void *scratch
) noexcept nogil:
    """Count until a key lies outside the table; say how many were counted."""
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


METHODS = {"single-table": <int>SINGLE_TABLE, "multi-table": <int>MULTI_TABLE, "narrow-cells": <int>NARROW_CELLS}
"""The ways to count keys of any size, by name."""

BYTE_METHODS = {"unrolled": <int>UNROLLED_BYTES} | ({"avx512": <int>AVX512_BYTES} if byte_count_avx512_supported() else {})
"""Those for keys of eight bits that this CPU has."""


cdef Py_ssize_t count_keys(int64_t[::1] counts, const integer[::1] keys, bint release, int by) except -1:
    cdef uint64_t bins = <uint64_t>counts.shape[0]
    cdef Py_ssize_t n = keys.shape[0], done = 0
    if bins == 0 or n == 0:
        return 0
    cdef Method method = method_for(bins, n, sizeof(integer)) if by < 0 else <Method>by
    cdef void *scratch = scratch_calloc(scratch_bytes(method, bins))
    if scratch == NULL:
        raise MemoryError()
    if release:
        with nogil:
            done = loop(&counts[0], bins, &keys[0], n, method, scratch)
    else:
        done = loop(&counts[0], bins, &keys[0], n, method, scratch)
    scratch_free(scratch)
    return done


cdef int raise_out_of_range(Py_ssize_t bins) except -1:
    raise ValueError(f"a key lies outside 0 … {bins - 1}")


def fill(int64_t[::1] counts not None, const integer[::1] keys not None, method=None):
    """Count until a key lies outside the table; return how many were counted.

    By the fastest method, or one of `METHODS`; for keys of eight bits also of `BYTE_METHODS`.
    """
    cdef int by = -1
    if method is not None:
        by = (METHODS | BYTE_METHODS if sizeof(integer) == 1 else METHODS)[method]
    return count_keys(counts, keys, True, by)


def released(int64_t[::1] counts not None, const integer[::1] keys not None):
    if count_keys(counts, keys, True, -1) < keys.shape[0]:
        raise_out_of_range(counts.shape[0])


def held(int64_t[::1] counts not None, const integer[::1] keys not None):
    if count_keys(counts, keys, False, -1) < keys.shape[0]:
        raise_out_of_range(counts.shape[0])


cdef Py_ssize_t weighted_single_table(
    weight *sums, uint64_t bins, const integer *keys, const weight *weights, Py_ssize_t n, uint64_t *largest
) noexcept nogil:
    cdef uint64_t key, most = largest[0]
    cdef Py_ssize_t i = 0, j
    while n - i >= STEP:
        prefetch_ahead(keys + i)
        prefetch_ahead(weights + i)
        for j in range(STEP):
            key = <uint64_t>keys[i + j]
            if unlikely(key >= bins):
                largest[0] = most
                return i + j
            most = max(most, key)
            sums[key] += weights[i + j]
        i += STEP
    while i < n and <uint64_t>keys[i] < bins:
        key = <uint64_t>keys[i]
        most = max(most, key)
        sums[key] += weights[i]
        i += 1
    largest[0] = most
    return i


cdef Py_ssize_t weighted_multi_table(
    weight *sums, uint64_t bins, const integer *keys, const weight *weights, Py_ssize_t n, uint64_t *largest,
    weight *tables,
) noexcept nogil:
    cdef int table_count = tables_for(bins, sizeof(weight))
    cdef weight *second = tables
    cdef weight *third = second + bins if table_count == 4 else sums
    cdef weight *fourth = third + bins if table_count == 4 else second
    cdef uint64_t a, b, c, d, bin, most = 0, also = 0
    cdef Py_ssize_t i = 0
    while i + 4 <= n:
        prefetch_ahead(keys + i)
        prefetch_ahead(weights + i)
        a = <uint64_t>keys[i]
        b = <uint64_t>keys[i + 1]
        c = <uint64_t>keys[i + 2]
        d = <uint64_t>keys[i + 3]
        if unlikely(a >= bins or b >= bins or c >= bins or d >= bins):
            break
        sums[a] += weights[i]
        second[b] += weights[i + 1]
        third[c] += weights[i + 2]
        fourth[d] += weights[i + 3]
        most = max(most, max(a, b))
        also = max(also, max(c, d))
        i += 4
    for bin in range(bins):
        sums[bin] += second[bin] + (third[bin] + fourth[bin] if table_count == 4 else 0)
    largest[0] = max(largest[0], max(most, also))
    return i + weighted_single_table(sums, bins, keys + i, weights + i, n - i, largest)


def fill_weighted(weight[::1] sums not None, const integer[::1] keys not None, const weight[::1] weights not None):
    """Add up until a key lies outside the table; return how many were, and one more than the largest key of those."""
    cdef uint64_t bins = <uint64_t>sums.shape[0], largest = 0
    cdef Py_ssize_t n = keys.shape[0], done = 0
    cdef weight *tables
    if weights.shape[0] != n:
        raise ValueError(f"{n} keys want as many weights, not {weights.shape[0]}")
    if n == 0 or bins == 0:
        return 0, 0
    if bins <= MAX_BINS_FOR_MULTI_TABLE and n >= MIN_KEYS_FOR_SCRATCH and <uint64_t>n >= 4 * bins:
        tables = <weight *>scratch_calloc((tables_for(bins, sizeof(weight)) - 1) * bins * sizeof(weight))
        if tables == NULL:
            raise MemoryError()
        with nogil:
            done = weighted_multi_table(&sums[0], bins, &keys[0], &weights[0], n, &largest, tables)
        scratch_free(tables)
    else:
        with nogil:
            done = weighted_single_table(&sums[0], bins, &keys[0], &weights[0], n, &largest)
    return done, largest + 1 if done else 0
