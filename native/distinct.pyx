"""Count distinct keys: in a table over their range, in a hash table, or in runs of sorted keys.

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


def partition_by_range(
    const integer[::1] keys not None, integer[::1] partitioned not None, int64_t[::1] ends not None, integer low, int shift
):
    """Partition the keys into ranges in ascending order.

    Partition p has the keys from ``low + (p << shift)`` on; the first also all smaller keys, the last all larger ones.
    `ends` receives the end of each partition in `partitioned`.
    """
    cdef Py_ssize_t n = keys.shape[0], partitions = ends.shape[0], i, p
    cdef uint64_t last = <uint64_t>partitions - 1, key
    if partitioned.shape[0] < n:
        raise ValueError(f"{n} keys do not fit into an output of {partitioned.shape[0]} elements")
    if not 0 <= shift < 64:
        raise ValueError(f"shift must be from 0 to 63, is {shift}")
    if partitions < 1:
        raise ValueError("there must be at least one partition")
    ends[:] = 0
    cdef Interrupt state
    interrupt_begin(&state)
    with nogil:
        for i in range(n):
            p = partition_of(load_once(&keys[i]), low, shift, last)
            if p < partitions - 1:
                ends[p + 1] += 1
        for i in range(1, partitions):
            ends[i] += ends[i - 1]
        interrupt_poll(&state)
        for i in range(n):
            key = load_once(&keys[i])
            p = partition_of(key, low, shift, last)
            if unlikely(ends[p] >= n):  # another thread has changed keys since they were counted
                continue
            partitioned[ends[p]] = <integer>key
            ends[p] += 1


cdef inline Py_ssize_t partition_of(uint64_t bits, integer low, int shift, uint64_t last) noexcept nogil:
    cdef uint64_t distance = (bits - <uint64_t>low) >> shift
    return <Py_ssize_t>(0 if <integer>bits < low else min(distance, last))


def count_runs(const integer[::1] keys not None):
    """The number of distinct keys in a sorted array."""
    cdef Py_ssize_t n = keys.shape[0], i, runs = n > 0
    with nogil:
        for i in range(1, n):
            runs += keys[i] != keys[i - 1]
    return runs


def run_lengths(const integer[::1] keys not None, integer[::1] values not None, int64_t[::1] counts not None):
    """Write the distinct keys of a sorted array and their counts, until the outputs are full."""
    cdef Py_ssize_t n = keys.shape[0], room = values.shape[0], i = 0, start = 0, found = 0
    cdef bint last
    if counts.shape[0] != room:
        raise ValueError("values and counts must be of one length")
    with nogil:
        while i < n and found < room:
            # Without a branch, which would be mispredicted: key and count are stored, and kept or overwritten.
            values[found] = keys[i]
            i += 1
            counts[found] = i - start
            last = i == n or keys[i] != values[found]
            start = i if last else start
            found += last


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
