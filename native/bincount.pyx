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


ctypedef fused cell:
    uint16_t
    int64_t

ctypedef fused weight:
    int64_t
    double

# The method depends on the number of bins and keys (bench/test_bincount_methods.py compares them). Two costs decide: an
# addition to a cell waits for the addition before it if that was to the same cell, and the tables share the L1 cache with
# the keys, which are read ahead.
#
# MULTI_TABLE has several 16-bit cells a bin, side by side, used in turn. 8-bit cells (NARROW_CELLS) keep a longer table in
# a nearer cache. Keys that are all equal are not added one by one (count_run).
#
# 8-bit keys are counted in a table of 256 cells, which is checked against the number of bins at the end. UNROLLED_BYTES
# stores once a key, in eight tables in turn. AVX512_BYTES needs no store per key (native/byte_count_avx512.h).
cdef enum Method:
    SINGLE_TABLE
    UNROLLED_BYTES
    AVX512_BYTES
    MULTI_TABLE
    NARROW_CELLS

cdef enum:
    BYTE_VALUES = 256              # 8-bit keys; also the counts after which an 8-bit cell wraps to zero
    BLOCK_KEYS = 1 << 16           # too few for a 16-bit cell to wrap
    MAX_BINS_FOR_FOUR_CELLS = 1024 # of 16 bits a bin: 8 KiB of the L1 cache
    MAX_BINS_FOR_MULTI_TABLE = 4096
    STEP = 8                       # keys per prefetch: a cache line of 8-byte keys
    RUN_STEP = 64                  # keys that are compared with the first at once
    TABLE_PADDING = 16             # cells between tables of bytes: a load 4096 bytes behind a store seems to alias it
    MIN_KEYS_FOR_SCRATCH = 256     # below it no scratch table is worth clearing
    MIN_BYTES_FOR_AVX512 = 1024
    MAX_BINS_PER_KEY = 8           # above it a scratch table costs more to clear and to add than it saves
    MAX_BINS_FOR_FOUR_SUMS = 256   # 8 KiB, as above
    MAX_BINS_FOR_TWO_SUMS = 512
    MAX_BINS_FOR_TWO_SUMS_OF_REPEATS = 1024  # 16 KiB, where many keys repeat: an addition of floats takes long
    SAMPLE = 64                    # keys compared with the next one
    MIN_REPEATS = 4

cdef bint AVX512_ENABLED = "AVX512_ICL" in cpu_features.ENABLED


cdef Method method_for(uint64_t bins, Py_ssize_t n, size_t size) noexcept nogil:
    """The fastest way to count `n` keys of `size` bytes."""
    if n < MIN_KEYS_FOR_SCRATCH:
        return SINGLE_TABLE
    if size == 1:
        return AVX512_BYTES if AVX512_ENABLED and n >= MIN_BYTES_FOR_AVX512 else UNROLLED_BYTES
    if bins <= MAX_BINS_FOR_MULTI_TABLE and <uint64_t>n >= 4 * bins:
        return MULTI_TABLE
    return SINGLE_TABLE if bins <= MAX_BINS_FOR_FOUR_CELLS or <uint64_t>n < bins // MAX_BINS_PER_KEY else NARROW_CELLS


cdef size_t scratch_bytes(Method method, uint64_t bins) noexcept nogil:
    if method == MULTI_TABLE:
        return (4 if bins <= MAX_BINS_FOR_FOUR_CELLS else 2) * bins * sizeof(uint16_t)
    return bins if method == NARROW_CELLS else 0


# Each loop below counts until a key lies outside the table, and returns how many it has counted.

cdef inline Py_ssize_t fill_cells(
    cell *cells, int cells_per_bin, uint64_t bins, const integer *keys, Py_ssize_t n
) noexcept nogil:
    """Use the cells of each bin, which lie side by side, in turn."""
    cdef uint64_t key
    cdef Py_ssize_t i = 0, j
    while n - i >= STEP:
        prefetch_ahead(keys + i)
        for j in range(STEP):
            key = load_once(keys + i + j)
            if unlikely(key >= bins):
                return i + j
            cells[key * cells_per_bin + j % cells_per_bin] += 1
        i += STEP
    while i < n:
        key = load_once(keys + i)
        if key >= bins:
            break
        cells[key * cells_per_bin] += 1
        i += 1
    return i


cdef Py_ssize_t multi_table(
    int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n, uint16_t *cells
) noexcept nogil:
    """The cells are zeros before and after."""
    cdef Py_ssize_t done = 0, size, counted
    cdef uint64_t bin
    while done < n:
        size = min(n - done, <Py_ssize_t>BLOCK_KEYS)
        if bins <= MAX_BINS_FOR_FOUR_CELLS:
            counted = fill_cells(cells, 4, bins, keys + done, size)
            for bin in range(bins):
                counts[bin] += cells[4 * bin] + cells[4 * bin + 1] + cells[4 * bin + 2] + cells[4 * bin + 3]
        else:
            counted = fill_cells(cells, 2, bins, keys + done, size)
            for bin in range(bins):
                counts[bin] += cells[2 * bin] + cells[2 * bin + 1]
        memset(cells, 0, scratch_bytes(MULTI_TABLE, bins))
        done += counted
        if counted < size:
            break
    return done


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
    while n - i >= STEP:
        prefetch_ahead(keys + i)
        for j in range(STEP):
            if unlikely(not add_narrow(counts, bins, load_once(keys + i + j), table)):
                return i + j
        i += STEP
    while i < n and add_narrow(counts, bins, load_once(keys + i), table):
        i += 1
    return i


cdef void unrolled_bytes(const uint8_t *keys, Py_ssize_t n, uint32_t *counts) noexcept nogil:
    cdef uint32_t tables[8][BYTE_VALUES + TABLE_PADDING]
    cdef uint64_t word
    cdef Py_ssize_t i = 0, key, table
    memset(tables, 0, sizeof(tables))
    while i + 8 <= n:
        memcpy(&word, keys + i, 8)
        tables[0][word & 255] += 1
        tables[1][word >> 8 & 255] += 1
        tables[2][word >> 16 & 255] += 1
        tables[3][word >> 24 & 255] += 1
        tables[4][word >> 32 & 255] += 1
        tables[5][word >> 40 & 255] += 1
        tables[6][word >> 48 & 255] += 1
        tables[7][word >> 56] += 1
        i += 8
    while i < n:
        tables[0][keys[i]] += 1
        i += 1
    for table in range(8):
        for key in range(BYTE_VALUES):
            counts[key] += tables[table][key]


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
        return multi_table(counts, bins, keys, n, <uint16_t *>scratch)
    if method == NARROW_CELLS:
        return narrow_cells(counts, bins, keys, n, <uint8_t *>scratch)
    return fill_cells(counts, 1, bins, keys, n)


cdef Py_ssize_t count_run(int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n) noexcept nogil:
    """Count the keys that are equal to the first, whole steps of them, at the speed of reading."""
    cdef Py_ssize_t i = 0, j
    cdef uint64_t key
    cdef integer first, difference = 0
    if n < RUN_STEP:
        return 0
    key = load_once(keys)
    if key >= bins:
        return 0
    first = <integer>key
    while n - i >= RUN_STEP:
        for j in range(RUN_STEP):
            difference |= keys[i + j] ^ first
        if difference:
            break
        i += RUN_STEP
    counts[key] += i
    return i


cdef Py_ssize_t count_loop(
    int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n, Method method, void *scratch, Interrupt *state
) except -1 nogil:
    cdef Py_ssize_t done = 0, size, counted
    cdef Py_ssize_t block = BLOCK_KEYS if method == MULTI_TABLE else POLL_ELEMENTS
    cdef uint64_t bin
    while done < n:
        size = min(n - done, block)
        counted = 0 if method == SINGLE_TABLE else count_run(counts, bins, keys + done, size)
        if not counted:
            counted = count_block(counts, bins, keys + done, size, method, scratch)
            if counted < size:
                done += counted
                break
        done += counted
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


cdef inline Py_ssize_t weighted_cells(
    weight *cells, int cells_per_bin, uint64_t bins, const integer *keys, const weight *weights, Py_ssize_t n,
    uint64_t *largest,
) noexcept nogil:
    """Add to the cells of each bin in turn, which lie side by side, until a key lies outside."""
    cdef uint64_t a, b, c, d, most = largest[0], some
    cdef Py_ssize_t i = 0
    while n - i >= 4:
        prefetch_ahead(keys + i)
        prefetch_ahead(weights + i)
        a = load_once(keys + i)
        b = load_once(keys + i + 1)
        c = load_once(keys + i + 2)
        d = load_once(keys + i + 3)
        some = max(max(a, b), max(c, d))
        if unlikely(some >= bins):
            break
        most = max(most, some)
        cells[a * cells_per_bin] += weights[i]
        cells[b * cells_per_bin + 1 % cells_per_bin] += weights[i + 1]
        cells[c * cells_per_bin + 2 % cells_per_bin] += weights[i + 2]
        cells[d * cells_per_bin + 3 % cells_per_bin] += weights[i + 3]
        i += 4
    while i < n:
        a = load_once(keys + i)
        if a >= bins:
            break
        most = max(most, a)
        cells[a * cells_per_bin] += weights[i]
        i += 1
    largest[0] = most
    return i


cdef inline bint has_repeats(const integer *keys, Py_ssize_t n) noexcept nogil:
    """Whether many keys are equal to the one before, by a sample: each such addition waits for the one before it."""
    cdef Py_ssize_t step = n // SAMPLE, i
    cdef int repeats = 0
    if step < 2:
        return False
    for i in range(SAMPLE):
        repeats += keys[i * step] == keys[i * step + 1]
    return repeats >= MIN_REPEATS


cdef Py_ssize_t weighted_block(
    weight *sums, uint64_t bins, const integer *keys, const weight *weights, Py_ssize_t n, uint64_t *largest,
    weight *cells, int cells_per_bin,
) noexcept nogil:
    if cells_per_bin == 4:
        return weighted_cells(cells, 4, bins, keys, weights, n, largest)
    if cells_per_bin == 2 and (bins <= MAX_BINS_FOR_TWO_SUMS or has_repeats(keys, n)):
        return weighted_cells(cells, 2, bins, keys, weights, n, largest)
    return weighted_cells(sums, 1, bins, keys, weights, n, largest)


cdef Py_ssize_t weighted_loop(
    weight *sums, uint64_t bins, const integer *keys, const weight *weights, Py_ssize_t n, uint64_t *largest,
    weight *cells, int cells_per_bin, Interrupt *state,
) except -1 nogil:
    cdef Py_ssize_t done = 0, size, added
    cdef uint64_t bin
    while done < n:
        size = min(n - done, <Py_ssize_t>POLL_ELEMENTS)
        added = weighted_block(sums, bins, keys + done, weights + done, size, largest, cells, cells_per_bin)
        done += added
        if added < size:
            break
        interrupt_poll(state)
    if cells_per_bin == 2:
        for bin in range(bins):
            sums[bin] += cells[2 * bin] + cells[2 * bin + 1]
    elif cells_per_bin == 4:
        for bin in range(bins):
            sums[bin] += (cells[4 * bin] + cells[4 * bin + 1]) + (cells[4 * bin + 2] + cells[4 * bin + 3])
    return done


cdef int cells_per_bin_for(uint64_t bins, Py_ssize_t n) noexcept nogil:
    """How many cells of its own a bin has for weights; 0 if they are added to the sums themselves."""
    if bins > MAX_BINS_FOR_TWO_SUMS_OF_REPEATS or n < MIN_KEYS_FOR_SCRATCH or <uint64_t>n < 4 * bins:
        return 0
    return 4 if bins <= MAX_BINS_FOR_FOUR_SUMS else 2


def fill_weighted(weight[::1] sums not None, const integer[::1] keys not None, const weight[::1] weights not None):
    """Add weights until a key lies outside the table; return how many were added, and 1 + the largest key of those."""
    cdef uint64_t bins = <uint64_t>sums.shape[0], largest = 0
    cdef Py_ssize_t n = keys.shape[0], done = 0
    cdef int cells_per_bin = cells_per_bin_for(bins, n)
    cdef weight *cells
    cdef Interrupt state
    interrupt_begin(&state)
    if weights.shape[0] != n:
        raise ValueError(f"{n} keys need as many weights, not {weights.shape[0]}")
    if n == 0 or bins == 0:
        return 0, 0
    cells = <weight *>scratch_calloc(cells_per_bin * bins * sizeof(weight))
    if cells == NULL:
        raise MemoryError()
    try:
        with nogil:
            done = weighted_loop(&sums[0], bins, &keys[0], &weights[0], n, &largest, cells, cells_per_bin, &state)
    finally:
        scratch_free(cells)
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
    cdef int cells_per_bin
    cdef double *cells
    cdef Py_ssize_t done
    if bins <= 0 or n <= 0:
        return 0
    interrupt_never(&state)
    cells_per_bin = cells_per_bin_for(bins, n)
    cells = <double *>scratch_calloc(cells_per_bin * bins * sizeof(double))
    if cells == NULL:
        return -1
    done = weighted_loop(sums, <uint64_t>bins, keys, weights, n, &largest, cells, cells_per_bin, &state)
    scratch_free(cells)
    return done
