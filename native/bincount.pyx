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

cdef extern from "scratch.h" nogil:
    void *scratch_zeros(size_t size)
    void scratch_free(void *cells)

cdef extern from "ahead.h" nogil:
    void read_ahead(const void *)

cdef extern from "bytes.h" nogil:
    bint bytes_have_vectors()
    void bytes_by_vectors(const uint8_t *bytes, Py_ssize_t n, uint32_t *counts)


ctypedef fused weight:
    int64_t
    double

# The method by the shape of the work. In ns a key, uniform int64 keys, one core of a Zen 5 server
# (bench/test_bincount_methods.py):
#
#     bins       PLAIN   chosen
#     1 024       0.26    0.26   LANES: several tables, so that no store waits for the one before it to the same key;
#                                on CPUs that do not forward stores at once, one hot key else costs 4 to 6 times
#     16 384      0.44    0.28   BYTES: cells so narrow that the table stays in a cache that is so much nearer
#     65 536      0.40    0.29
#     2^20        0.60    0.49
#     2^24        3.75    2.36
#
# Keys of eight bits are compared with the table's length at the end. EIGHTS are lanes that read eight of them at once,
# VECTORS need no store a key (native/bytes.h): 0.22 and 0.13 ns a key, and on few of them as fast.
cdef enum Method:
    PLAIN
    EIGHTS
    VECTORS
    LANES
    BYTES

cdef enum:
    BYTE = 256              # different keys of eight bits, and counts of a narrow cell before it comes round
    MOST_FOR_LANES = 1024
    MOST_BYTES_FOR_FOUR = 2048  # of one table: four larger ones leave too little of the first cache to what is read
    STEP = 8                # keys between two looks ahead: of eight bytes, a cache line
    APART = 16              # cells between tables: a load 4096 bytes behind a store seems to hit it
    BLOCK = 1 << 30         # keys before a lane's cell of 32 bits could come round
    FEW = 256               # keys for which no other table is worth its clearing
    FEW_FOR_VECTORS = 1024
    BINS_A_KEY = 8          # from which one table's clearing and adding up cost more than it saves


cdef Method method_for(uint64_t bins, Py_ssize_t n, size_t size) noexcept nogil:
    """The fastest way to count `n` keys of `size` bytes."""
    if n < FEW:
        return PLAIN
    if size == 1:
        return VECTORS if n >= FEW_FOR_VECTORS and bytes_have_vectors() else EIGHTS
    if bins <= MOST_FOR_LANES:
        return LANES if <uint64_t>n >= 4 * bins else PLAIN
    return PLAIN if <uint64_t>n < bins // BINS_A_KEY else BYTES


cdef int lanes_for(uint64_t bins, size_t size) noexcept nogil:
    """How many tables of cells of `size` bytes to count in by turns, so that a hot key's stores wait less."""
    return 4 if bins * size <= MOST_BYTES_FOR_FOUR else 2


cdef size_t scratch_for(Method method, uint64_t bins) noexcept nogil:
    """Bytes of the table that a method counts in."""
    if method == LANES:
        return lanes_for(bins, sizeof(uint32_t)) * (bins + APART) * sizeof(uint32_t)
    return bins if method == BYTES else 0


cdef Py_ssize_t plain(int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n) noexcept nogil:
    cdef uint64_t key
    cdef Py_ssize_t i = 0, j
    while n - i >= STEP:
        read_ahead(keys + i)
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


cdef Py_ssize_t in_lanes(
    int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n, uint32_t *tables
) noexcept nogil:
    cdef uint32_t *first = tables
    cdef int lanes = lanes_for(bins, sizeof(uint32_t))
    cdef uint64_t stride = bins + APART
    cdef uint32_t *second = first + stride
    cdef uint32_t *third = second + stride if lanes == 4 else first
    cdef uint32_t *fourth = third + stride if lanes == 4 else second
    cdef uint64_t a, b, c, d, bin
    cdef Py_ssize_t i = 0, stop
    cdef bint outside = False
    while n - i >= 4 and not outside:
        stop = i + min(n - i, <Py_ssize_t>BLOCK) // 4 * 4
        while i < stop:
            read_ahead(keys + i)
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
            counts[bin] += <int64_t>first[bin] + second[bin] + (<int64_t>third[bin] + fourth[bin] if lanes == 4 else 0)
        memset(tables, 0, lanes * stride * sizeof(uint32_t))
    return i + plain(counts, bins, keys + i, n - i)


cdef inline bint narrow(int64_t *counts, uint64_t bins, integer its, uint8_t *table) noexcept nogil:
    """Count one key in its narrow cell, unless it lies outside."""
    cdef uint64_t key = <uint64_t>its
    cdef uint8_t count
    if unlikely(key >= bins):
        return False
    count = table[key] + 1
    table[key] = count
    if unlikely(count == 0):
        counts[key] += BYTE
    return True


cdef Py_ssize_t narrow_loop(
    int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n, uint8_t *table
) noexcept nogil:
    cdef Py_ssize_t i = 0, j
    while n - i >= STEP:
        read_ahead(keys + i)
        for j in range(STEP):
            if unlikely(not narrow(counts, bins, keys[i + j], table)):
                return i + j
        i += STEP
    while i < n and narrow(counts, bins, keys[i], table):
        i += 1
    return i


cdef Py_ssize_t in_narrow(
    int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n, uint8_t *table
) noexcept nogil:
    cdef Py_ssize_t done = narrow_loop(counts, bins, keys, n, table)
    cdef uint64_t bin
    for bin in range(bins):
        counts[bin] += table[bin]
    return done


cdef void in_eights(const uint8_t *keys, Py_ssize_t n, uint32_t *counts) noexcept nogil:
    cdef uint32_t tables[4][BYTE]
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
    for key in range(BYTE):
        counts[key] += tables[0][key] + tables[1][key] + tables[2][key] + tables[3][key]


cdef Py_ssize_t of_bytes(
    int64_t *counts, uint64_t bins, const uint8_t *keys, Py_ssize_t n, Method method
) noexcept nogil:
    cdef uint32_t table[BYTE]
    cdef uint64_t key
    cdef Py_ssize_t done = 0, size
    while done < n:
        size = min(n - done, <Py_ssize_t>BLOCK)
        memset(table, 0, sizeof(table))
        if method == VECTORS:
            bytes_by_vectors(keys + done, size, table)
        else:
            in_eights(keys + done, size, table)
        for key in range(bins, BYTE):
            if table[key]:
                return done
        for key in range(min(bins, <uint64_t>BYTE)):
            counts[key] += table[key]
        done += size
    return n


cdef Py_ssize_t loop(
    int64_t *counts, uint64_t bins, const integer *keys, Py_ssize_t n, Method method, void *scratch
) noexcept nogil:
    """Count until a key lies outside the table; say how many were counted."""
    if method == EIGHTS or method == VECTORS:
        # Read as unsigned, a negative key is one of 128 or more.
        return of_bytes(
            counts, min(bins, <uint64_t>128) if integer is int8_t else bins, <const uint8_t *>keys, n, method
        )
    if method == LANES:
        return in_lanes(counts, bins, keys, n, <uint32_t *>scratch)
    if method == BYTES:
        return in_narrow(counts, bins, keys, n, <uint8_t *>scratch)
    return plain(counts, bins, keys, n)


METHODS = {"plain": <int>PLAIN, "lanes": <int>LANES, "bytes": <int>BYTES}
"""The ways to count keys of any size, by name."""

METHODS_OF_BYTES = {"eights": <int>EIGHTS} | ({"vectors": <int>VECTORS} if bytes_have_vectors() else {})
"""Those for keys of eight bits that this CPU has."""


cdef Py_ssize_t counted(int64_t[::1] counts, const integer[::1] keys, bint release, int by) except -1:
    cdef uint64_t bins = <uint64_t>counts.shape[0]
    cdef Py_ssize_t n = keys.shape[0], done = 0
    if bins == 0 or n == 0:
        return 0
    cdef Method method = method_for(bins, n, sizeof(integer)) if by < 0 else <Method>by
    cdef void *scratch = scratch_zeros(scratch_for(method, bins))
    if scratch == NULL:
        raise MemoryError()
    if release:
        with nogil:
            done = loop(&counts[0], bins, &keys[0], n, method, scratch)
    else:
        done = loop(&counts[0], bins, &keys[0], n, method, scratch)
    scratch_free(scratch)
    return done


cdef int refuse(Py_ssize_t bins) except -1:
    raise ValueError(f"a key lies outside 0 … {bins - 1}")


def fill(int64_t[::1] counts not None, const integer[::1] keys not None, method=None):
    """Count until a key lies outside the table; return how many were counted.

    By the fastest method, or one of `METHODS`; for keys of eight bits also of `METHODS_OF_BYTES`.
    """
    cdef int by = -1
    if method is not None:
        by = (METHODS | METHODS_OF_BYTES if sizeof(integer) == 1 else METHODS)[method]
    return counted(counts, keys, True, by)


def released(int64_t[::1] counts not None, const integer[::1] keys not None):
    if counted(counts, keys, True, -1) < keys.shape[0]:
        refuse(counts.shape[0])


def held(int64_t[::1] counts not None, const integer[::1] keys not None):
    if counted(counts, keys, False, -1) < keys.shape[0]:
        refuse(counts.shape[0])


cdef Py_ssize_t weigh(
    weight *sums, uint64_t bins, const integer *keys, const weight *weights, Py_ssize_t n, uint64_t *largest
) noexcept nogil:
    cdef uint64_t key, most = largest[0]
    cdef Py_ssize_t i = 0, j
    while n - i >= STEP:
        read_ahead(keys + i)
        read_ahead(weights + i)
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


cdef Py_ssize_t weigh_in_lanes(
    weight *sums, uint64_t bins, const integer *keys, const weight *weights, Py_ssize_t n, uint64_t *largest,
    weight *tables,
) noexcept nogil:
    cdef int lanes = lanes_for(bins, sizeof(weight))
    cdef weight *second = tables
    cdef weight *third = second + bins if lanes == 4 else sums
    cdef weight *fourth = third + bins if lanes == 4 else second
    cdef uint64_t a, b, c, d, bin, most = 0, also = 0
    cdef Py_ssize_t i = 0
    while i + 4 <= n:
        read_ahead(keys + i)
        read_ahead(weights + i)
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
        sums[bin] += second[bin] + (third[bin] + fourth[bin] if lanes == 4 else 0)
    largest[0] = max(largest[0], max(most, also))
    return i + weigh(sums, bins, keys + i, weights + i, n - i, largest)


def fill_weighted(weight[::1] sums not None, const integer[::1] keys not None, const weight[::1] weights not None):
    """Add up until a key lies outside the table; return how many were, and one more than the largest key of those."""
    cdef uint64_t bins = <uint64_t>sums.shape[0], largest = 0
    cdef Py_ssize_t n = keys.shape[0], done = 0
    cdef weight *tables
    if weights.shape[0] != n:
        raise ValueError(f"{n} keys want as many weights, not {weights.shape[0]}")
    if n == 0 or bins == 0:
        return 0, 0
    if bins <= MOST_FOR_LANES and n >= FEW and <uint64_t>n >= 4 * bins:
        tables = <weight *>scratch_zeros((lanes_for(bins, sizeof(weight)) - 1) * bins * sizeof(weight))
        if tables == NULL:
            raise MemoryError()
        with nogil:
            done = weigh_in_lanes(&sums[0], bins, &keys[0], &weights[0], n, &largest, tables)
        scratch_free(tables)
    else:
        with nogil:
            done = weigh(&sums[0], bins, &keys[0], &weights[0], n, &largest)
    return done, largest + 1 if done else 0
