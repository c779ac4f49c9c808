"""Count distinct keys: in a table over their range, in a hash table, or by sorting partitions.

Each key is read once and compared with a table's bounds where it is used, never in a pass before: if another thread
changes keys meanwhile the counts are wrong, but nothing is written outside.
"""

import numpy as np

from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from libc.string cimport memcpy

from integers cimport integer, load_once, unlikely
from interrupt cimport POLL_ELEMENTS, Interrupt, interrupt_begin, interrupt_poll

cdef extern from "prefetch.h" nogil:
    void prefetch_ahead(const void *)

cdef extern from "scratch_alloc.h" nogil:
    void *scratch_calloc(size_t size)
    void *scratch_realloc(void *cells, size_t size)
    void scratch_free(void *cells)

cdef extern from "distinct_partition.h" nogil:
    enum:
        PARTITION_MAX_KEYS
    ctypedef struct PartitionCell:
        uint32_t base
        uint32_t shift
    ctypedef struct PartitionState "Partition":
        uint64_t keys
    ctypedef struct PartitionTable "Partitions":
        uint64_t low, span, share_low, share_span, mask
        unsigned shift
        PartitionCell *cells
        PartitionState *partitions
        size_t count
    unsigned partition_bits(uint64_t value)
    int partitions_init(PartitionTable *p, size_t cells, size_t count, size_t expected, unsigned key_bytes)
    void partitions_free(PartitionTable *p)
    int partitions_add(PartitionTable *p, const void *keys, size_t n, uint64_t flip)
    void partition_copy(const PartitionTable *p, size_t which, void *keys, uint64_t flip)
    size_t partition_count(const PartitionTable *p, size_t which, void *values, int64_t *counts, uint64_t flip)


cdef enum:
    PREFETCH_STEP = 8       # keys per prefetch: a cache line of 8-byte keys
    WRAP = 256              # counts after which an 8-bit cell wraps to zero
    TABLES = 4              # used in turn, so that no store waits for the store before it to the same key
    MAX_SIZE_FOR_TABLES = 1 << 13  # keys for which all tables stay in the L1 cache


cdef class RangeTable:
    """A table over the `size` keys from `low` on. Its cells have 8 bits, so that the table fits into a nearer cache.

    When a cell wraps to zero, once per 256 counts, its key is appended to a list.
    """

    cdef uint8_t *cells
    cdef int64_t *wraps
    cdef uint64_t low, size, tables
    cdef size_t wrap_count, wrap_capacity

    def __cinit__(self, low, size):
        self.low = <uint64_t>(int(low) & 0xFFFFFFFFFFFFFFFF)
        self.size = size
        self.tables = TABLES if size <= MAX_SIZE_FOR_TABLES else 1
        self.cells = <uint8_t *>scratch_calloc(self.tables * self.size)
        if self.cells == NULL:
            raise MemoryError()

    def __dealloc__(self):
        scratch_free(self.cells)
        scratch_free(self.wraps)

    def add(self, const integer[::1] keys not None):
        """Count keys, except those outside the range; return how many there were."""
        cdef Py_ssize_t n = keys.shape[0], i = 0
        cdef Interrupt state
        interrupt_begin(&state)
        while i < n:
            if self.wrap_count == self.wrap_capacity:
                self.grow_wraps()
            with nogil:
                i = self.run(&keys[0], i, i + min(n - i, <Py_ssize_t>POLL_ELEMENTS))
                interrupt_poll(&state)
        return n

    cdef Py_ssize_t run(self, const integer *keys, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
        """Count until the list of wraps is full; return the position."""
        cdef uint8_t *cells = self.cells
        cdef uint64_t low = self.low, size = self.size, table = self.tables - 1, distance, place
        cdef uint8_t count
        while i < n:
            distance = load_once(keys + i) - low
            i += 1
            if unlikely(distance >= size):
                continue
            place = distance + (<uint64_t>i & table) * size
            count = cells[place] + 1
            cells[place] = count
            if unlikely(count == 0):
                if self.wrap_count == self.wrap_capacity:
                    cells[place] = WRAP - 1
                    return i - 1
                self.wraps[self.wrap_count] = <int64_t>distance
                self.wrap_count += 1
        return n

    cdef int grow_wraps(self) except -1:
        cdef size_t room = max(<size_t>1024, self.wrap_capacity * 2)
        cdef int64_t *wraps = <int64_t *>scratch_realloc(self.wraps, room * sizeof(int64_t))
        if wraps == NULL:
            raise MemoryError()
        self.wraps = wraps
        self.wrap_capacity = room

    def result(self):
        """The distinct keys in ascending order, as int64 or as uint64 reinterpreted as int64, and their counts."""
        cdef int64_t[::1] wraps = np.empty(self.wrap_count, np.int64)
        if self.wrap_count:
            memcpy(&wraps[0], self.wraps, self.wrap_count * sizeof(int64_t))
            np.asarray(wraps).sort()
        cdef Py_ssize_t found = count_runs(wraps)
        cdef uint64_t place
        with nogil:
            for place in range(self.tables * self.size):
                found += self.cells[place] != 0
        keys, counts = np.empty(found + 1, np.int64), np.empty(found + 1, np.int64)  # one more, for a store that is not kept
        found = self.collect(wraps, keys, counts)
        return keys[:found], counts[:found]

    cdef Py_ssize_t collect(self, const int64_t[::1] wraps, int64_t[::1] keys, int64_t[::1] counts) except -1:
        cdef Interrupt state
        interrupt_begin(&state)
        cdef Py_ssize_t n = wraps.shape[0], i = 0, found = 0
        cdef uint64_t distance, table
        cdef int64_t count
        with nogil:
            for distance in range(self.size):
                if distance % POLL_ELEMENTS == 0:
                    interrupt_poll(&state)
                count = 0
                for table in range(self.tables):
                    count += self.cells[table * self.size + distance]
                while i < n and wraps[i] == <int64_t>distance:
                    count += WRAP
                    i += 1
                keys[found] = <int64_t>(self.low + distance)
                counts[found] = count
                found += count != 0
        return found


cdef struct Slot:
    int64_t key
    int64_t count

cdef enum:
    FIRST_SLOTS = 1 << 12
    MAX_SLOTS = 1 << 20
    SLOTS_PER_KEY = 8       # while the table can grow: nearly every key is in its home slot
    MAX_KEYS = 1 << 18

HASH_TABLE_CAPACITY = MAX_KEYS
"""The most distinct keys that a `HashTable` takes."""

cdef int64_t EMPTY = 0x6AD1B3C9570E2F84  # any: see `HashTable`


cdef inline size_t home_slot(int64_t key, int shift) noexcept nogil:
    """Fibonacci hashing (Knuth, TAOCP 3, 6.4), of both halves of the key."""
    cdef uint64_t bits = <uint64_t>key
    return <size_t>(((bits ^ (bits >> 32)) * <uint64_t>0x9E3779B97F4A7C15) >> shift)


cdef class HashTable:
    """A hash table with open addressing and linear probing, of up to `MAX_KEYS` distinct keys.

    A free slot holds the key `EMPTY`. If that key occurs, it is counted in the first free slot of its probe sequence, and
    its count is the sum over all free slots. So keys are not compared with `EMPTY` first.
    """

    cdef Slot *slots
    cdef size_t size, used
    cdef int shift
    cdef int64_t empty_key_count

    def __cinit__(self):
        self.size = FIRST_SLOTS
        self.shift = 64 - 12
        self.slots = new_slots(self.size)
        if self.slots == NULL:
            raise MemoryError()

    def __dealloc__(self):
        scratch_free(self.slots)

    def add(self, const integer[::1] keys not None):
        """Count keys until the table is full; return how many were counted."""
        cdef Py_ssize_t n = keys.shape[0], i = 0
        cdef Interrupt state
        interrupt_begin(&state)
        while i < n and self.used < MAX_KEYS:
            if self.used * SLOTS_PER_KEY >= self.size and self.size < MAX_SLOTS:
                self.grow()
            with nogil:
                i = self.run(&keys[0], i, i + min(n - i, <Py_ssize_t>POLL_ELEMENTS))
                interrupt_poll(&state)
        return i

    cdef Py_ssize_t run(self, const integer *keys, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
        """Count until the table must grow or is full; return the position."""
        cdef Slot *slots = self.slots
        cdef size_t mask = self.size - 1, slot
        cdef size_t most = MAX_KEYS if self.size == MAX_SLOTS else self.size // SLOTS_PER_KEY
        cdef int shift = self.shift
        cdef int64_t key
        while i < n:
            key = <int64_t>load_once(keys + i)
            i += 1
            slot = home_slot(key, shift)
            while unlikely(slots[slot].key != key):
                if slots[slot].key == EMPTY:
                    self.empty_key_count += slots[slot].count
                    slots[slot].key = key
                    slots[slot].count = 1
                    self.used += 1
                    if self.used == most:
                        return i
                    break
                slot = (slot + 1) & mask
            else:
                slots[slot].count += 1
        return n

    cdef int grow(self) except -1:
        cdef size_t size = self.size * 2, slot, i
        cdef int shift = self.shift - 1
        cdef Slot *slots
        with nogil:
            slots = new_slots(size)
        if slots == NULL:
            raise MemoryError()
        with nogil:
            for i in range(self.size):
                if self.slots[i].key == EMPTY:
                    self.empty_key_count += self.slots[i].count
                    continue
                slot = home_slot(self.slots[i].key, shift)
                while slots[slot].key != EMPTY:
                    slot = (slot + 1) & (size - 1)
                slots[slot] = self.slots[i]
        scratch_free(self.slots)
        self.slots, self.size, self.shift = slots, size, shift
        return 0

    def result(self):
        """The distinct keys, in no order, and their counts."""
        cdef int64_t[::1] keys = np.empty(self.used + 1, np.int64)
        cdef int64_t[::1] counts = np.empty(self.used + 1, np.int64)
        cdef size_t i
        cdef Py_ssize_t found = 0
        cdef int64_t rest = self.empty_key_count
        with nogil:
            for i in range(self.size):
                if self.slots[i].key == EMPTY:
                    rest += self.slots[i].count
                else:
                    keys[found] = self.slots[i].key
                    counts[found] = self.slots[i].count
                    found += 1
        if rest:
            keys[found] = EMPTY
            counts[found] = rest
            found += 1
        return np.asarray(keys)[:found], np.asarray(counts)[:found]


cdef Slot *new_slots(size_t size) noexcept nogil:
    cdef Slot *slots = <Slot *>scratch_calloc(size * sizeof(Slot))
    cdef size_t i
    if slots != NULL:
        for i in range(size):
            slots[i].key = EMPTY
    return slots


def select_range(
    const integer[::1] keys not None, Py_ssize_t start, integer low, integer high, integer[::1] selected not None
):
    """Copy keys from `low` to `high`, from position `start` on, until `selected` is full.

    Return the number of copied keys and the position of the next key.
    """
    cdef Py_ssize_t n = keys.shape[0], room = selected.shape[0], taken = 0, i = start, stop, j
    cdef uint64_t span = <uint64_t>high - <uint64_t>low
    if not 0 <= start <= n:
        raise ValueError(f"position {start} is out of bounds for {n} keys")
    cdef Interrupt state
    interrupt_begin(&state)
    with nogil:
        while i < n and taken < room:
            stop = i + min(min(n - i, room - taken), <Py_ssize_t>POLL_ELEMENTS)
            while stop - i >= PREFETCH_STEP:
                prefetch_ahead(&keys[i])
                for j in range(PREFETCH_STEP):
                    # Without a branch, which would be mispredicted: the key is stored, and kept or overwritten.
                    selected[taken] = keys[i + j]
                    taken += <uint64_t>selected[taken] - <uint64_t>low <= span
                i += PREFETCH_STEP
            while i < stop:
                selected[taken] = keys[i]
                taken += <uint64_t>selected[taken] - <uint64_t>low <= span
                i += 1
            interrupt_poll(&state)
    return taken, i


ctypedef fused wide:
    int32_t
    int64_t
    uint32_t
    uint64_t


WIDE = tuple(np.dtype(name) for name in ("int32", "int64", "uint32", "uint64"))
"""The dtypes of the keys of `Partitions`."""

MAX_KEYS_IN_PARTITION = PARTITION_MAX_KEYS
"""The most keys of a partition that `Partitions.count` counts."""

cdef enum:
    CELL_BITS = 10
    MEAN_KEYS = 1 << 14  # of a partition: with its copy and the counters it stays in the L2 cache
    MAX_PARTITIONS = 1 << 11  # in the mean; more lines than the L2 cache holds would be slower


cdef class Partitions:
    """The keys from `low` to `high`, partitioned by range into parts that are sorted in cache.

    `sampled` are some of them, ascending and not empty; `expected` is about how many there will be. Keys that are added are
    copied; others are dropped.
    """

    cdef PartitionTable table
    cdef uint64_t flip
    cdef readonly object dtype

    def __cinit__(self, sampled not None, low, high, size_t expected):
        self.dtype = sampled.dtype
        if self.dtype not in WIDE or not len(sampled) or low > high:
            raise ValueError("there must be a sample of 32-bit or 64-bit keys, and a range that is not empty")
        cdef unsigned key_bytes = self.dtype.itemsize
        cdef uint64_t ones = (<uint64_t>0 - 1) >> (64 - 8 * key_bytes)
        self.flip = (ones >> 1) + 1 if self.dtype.kind == "i" else 0
        cdef const uint64_t[::1] ordered = sampled.view(f"u{key_bytes}").astype(np.uint64) ^ np.uint64(self.flip)
        cdef Py_ssize_t n = ordered.shape[0], i
        cdef size_t count = min(max(expected // MEAN_KEYS, <size_t>1), <size_t>MAX_PARTITIONS), cells, cell, base = 0
        cdef int shift, bits
        cdef uint64_t first = ordered[0], span = ordered[n - 1] - first
        shift = max(0, <int>partition_bits(span) - CELL_BITS)
        cells = <size_t>(span >> shift) + 1
        cdef uint32_t[::1] keys_of = np.zeros(cells, np.uint32)
        cdef uint32_t[::1] shifts = np.empty(cells, np.uint32)
        for i in range(n):
            cell = <size_t>min((ordered[i] - first) >> shift, <uint64_t>cells - 1)
            keys_of[cell] += 1
        for cell in range(cells):
            bits = min(shift, <int>partition_bits(count * keys_of[cell] // n)) if count > 1 else 0
            shifts[cell] = shift - bits
            base += <size_t>1 << bits
        if partitions_init(&self.table, cells, base, expected, key_bytes) < 0:
            raise MemoryError()
        self.table.low, self.table.span = first, span
        self.table.share_low = <uint64_t>((int(low) & ones) ^ self.flip)
        self.table.share_span = <uint64_t>((int(high) & ones) ^ self.flip) - self.table.share_low
        self.table.shift, self.table.mask = shift, (<uint64_t>1 << shift) - 1
        base = 0
        for cell in range(cells):
            self.table.cells[cell].base = <uint32_t>base
            self.table.cells[cell].shift = shifts[cell]
            base += <size_t>1 << (shift - shifts[cell])

    def __dealloc__(self):
        partitions_free(&self.table)

    def __len__(self):
        return self.table.count

    def add(self, const wide[::1] keys not None):
        """Add keys, of the dtype of the sample."""
        cdef Py_ssize_t n = keys.shape[0], i = 0, some
        cdef int failed
        cdef Interrupt state
        self.check(np.asarray(keys).dtype)
        interrupt_begin(&state)
        with nogil:
            while i < n:
                some = min(n - i, <Py_ssize_t>POLL_ELEMENTS)
                failed = partitions_add(&self.table, &keys[i], some, self.flip)
                if failed:
                    raise MemoryError()
                i += some
                interrupt_poll(&state)

    def size(self, size_t which):
        """The number of keys in a partition."""
        if which >= self.table.count:
            raise IndexError(which)
        return self.table.partitions[which].keys

    def keys(self, size_t which):
        """The keys of a partition, in any order."""
        keys = np.empty(self.size(which), self.dtype)
        cdef uint8_t[::1] memory = keys.view(np.uint8)
        if len(keys):
            partition_copy(&self.table, which, &memory[0], self.flip)
        return keys

    def count(self, size_t which, wide[::1] values not None, int64_t[::1] counts not None):
        """Write the distinct keys of partitions, ascending, and their counts, from partition `which` on.

        Return how many there are, and the first partition that was not counted: it has more than `MAX_KEYS_IN_PARTITION`
        keys, or there is not enough room for all of its keys, or it is behind the last one.
        """
        cdef size_t room = min(values.shape[0], counts.shape[0]), found = 0, keys, polled = 0
        cdef Interrupt state
        self.check(np.asarray(values).dtype)
        interrupt_begin(&state)
        with nogil:
            while which < self.table.count:
                keys = self.table.partitions[which].keys
                if keys > PARTITION_MAX_KEYS or keys > room - found:
                    break
                if keys:
                    found += partition_count(&self.table, which, &values[found], &counts[found], self.flip)
                which += 1
                polled += keys
                if polled >= POLL_ELEMENTS:
                    polled = 0
                    interrupt_poll(&state)
        return found, which

    cdef int check(self, dtype) except -1:
        if dtype != self.dtype:
            raise ValueError(f"the dtype of the partitioned keys is {self.dtype}, not {dtype}")
        return 0


def count_runs(const integer[::1] keys not None):
    """The number of distinct keys in a sorted array."""
    cdef Py_ssize_t n = keys.shape[0], i, runs = n > 0
    with nogil:
        for i in range(1, n):
            runs += keys[i] != keys[i - 1]
    return runs


def merge_counts(
    const integer[::1] values not None, const int64_t[::1] counts not None,
    const integer[::1] other_values not None, const int64_t[::1] other_counts not None,
    integer[::1] merged not None, int64_t[::1] sums not None,
):
    """Merge two sorted arrays of distinct values, adding the counts of values in both; return the length of the result."""
    cdef Py_ssize_t n = values.shape[0], m = other_values.shape[0], i = 0, j = 0, found = 0
    cdef bint first, second
    cdef Interrupt state
    interrupt_begin(&state)
    if counts.shape[0] != n or other_counts.shape[0] != m or merged.shape[0] < n + m or sums.shape[0] < n + m:
        raise ValueError("values and counts must be of one length, and the results as long as both inputs together")
    with nogil:
        while i < n and j < m:
            if found % POLL_ELEMENTS == 0:
                interrupt_poll(&state)
            first = values[i] <= other_values[j]
            second = other_values[j] <= values[i]
            merged[found] = values[i] if first else other_values[j]
            sums[found] = (counts[i] if first else 0) + (other_counts[j] if second else 0)
            i += first
            j += second
            found += 1
        while i < n:
            merged[found] = values[i]
            sums[found] = counts[i]
            i += 1
            found += 1
        while j < m:
            merged[found] = other_values[j]
            sums[found] = other_counts[j]
            j += 1
            found += 1
    return found
