"""Count integer keys in a large table that threads share. Each takes in its own keys, then counts a part of the table.

`NarrowCells` counts the keys of a thread in cells of 8 bits, an eighth of the table: they stay in a nearer cache.

`Partitions` is for tables whose narrow cells exceed the caches too. A table that is larger than the caches costs a cache miss, and
often a page table walk, for each key. A partition has the keys of `RANGE` cells in a row, whose part of the table stays in the L2 cache while they are counted. Threads that count
different partitions share a table without atomic operations, and nothing is merged. (Radix partitioning: Manegold,
Boncz, Kersten, Optimizing Main-Memory Join on Modern Hardware, IEEE TKDE 14(4), 2002.)

A key is kept as its offset in the range, in 16 bits. Each thread partitions its own keys in one pass, into blocks that
form a list for each partition, because the sizes of the partitions are not known beforehand. Keys keep their order, so
sums of floats are those of a loop over all keys.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

import numpy as np

from integers cimport keep_loaded, unlikely
from interrupt cimport POLL_ELEMENTS, Interrupt, interrupt_begin, interrupt_poll

cdef extern from "scratch_alloc.h" nogil:
    void *scratch_alloc(size_t size)
    void *scratch_calloc(size_t size)
    void scratch_free(void *cells)

cdef extern from "prefetch.h" nogil:
    void prefetch_ahead(const void *)
    void prefetch(const void *)


ctypedef fused wide_integer:
    int32_t
    int64_t
    uint32_t
    uint64_t

ctypedef fused weight:
    int64_t
    double

cdef enum:
    RANGE_BITS = 16
    RANGE = 1 << RANGE_BITS  # cells: 512 kB, and offsets of 16 bits
    BLOCK = 2048             # keys: a page of offsets
    LINE = 32                # offsets in a cache line
    UNROLL = 8               # keys per prefetch: a cache line of 8-byte keys
    POLL_BLOCKS = POLL_ELEMENTS // BLOCK
    WRAP = 256               # counts after which an 8-bit cell is zero again
    CELL_BLOCK = 2048        # cells of the table that are added to at a time: a quarter of the L1 cache

CELLS = RANGE
"""The cells of a partition."""


cdef inline uint64_t first_entry(uint32_t partition) noexcept nogil:
    """The entry of its first block at which a partition begins.

    Partitions of one size grow at one pace. If they began at one place in their pages, the lines that they are written to
    would fall into a few sets of the L1 cache.
    """
    return partition * LINE % BLOCK


cdef class Partitions:
    """The keys of one thread, by partition.

    Parameters
    ----------
    bins : int
        The length of the table that they are for.
    size : int
        The most keys that `add` is given before `clear`.
    weighted : bool, optional
        Whether each key has a weight of 8 bytes.
    """

    cdef uint16_t *offsets   # of all blocks
    cdef uint64_t *weights   # their bits; NULL without weights
    cdef uint32_t *following # of each block, the next of its partition
    cdef uint32_t *first     # of each partition, its first block
    cdef uint32_t *last      # and its last
    cdef uint64_t *ends      # and the entry after its last key
    cdef uint32_t blocks     # in use
    cdef readonly uint64_t bins
    cdef uint64_t room, added
    cdef Py_ssize_t number

    def __cinit__(self, bins, size, bint weighted=False):
        cdef size_t blocks
        self.bins = bins
        self.room = size
        self.number = (self.bins + RANGE - 1) // RANGE
        blocks = self.room // BLOCK + 2 * self.number  # the first and the last of each partition need not be full
        if blocks > 0xFFFFFFFF or self.number > 0x7FFFFFFF:
            raise ValueError(f"{size} keys in {self.number} partitions are too many")
        self.offsets = <uint16_t *>scratch_alloc(blocks * BLOCK * sizeof(uint16_t))
        self.following = <uint32_t *>scratch_alloc(blocks * sizeof(uint32_t))
        self.first = <uint32_t *>scratch_alloc(self.number * sizeof(uint32_t))
        self.last = <uint32_t *>scratch_alloc(self.number * sizeof(uint32_t))
        self.ends = <uint64_t *>scratch_alloc(self.number * sizeof(uint64_t))
        if self.offsets == NULL or self.following == NULL or self.first == NULL or self.last == NULL or self.ends == NULL:
            raise MemoryError()
        if weighted:
            self.weights = <uint64_t *>scratch_alloc(blocks * BLOCK * sizeof(uint64_t))
            if self.weights == NULL:
                raise MemoryError()
        self.clear()

    def __dealloc__(self):
        scratch_free(self.offsets)
        scratch_free(self.weights)
        scratch_free(self.following)
        scratch_free(self.first)
        scratch_free(self.last)
        scratch_free(self.ends)

    cpdef clear(self):
        """Forget all keys."""
        cdef Py_ssize_t p
        for p in range(self.number):
            self.first[p] = self.last[p] = <uint32_t>p
            self.ends[p] = <uint64_t>p * BLOCK + first_entry(p)
        self.blocks = <uint32_t>self.number
        self.added = 0

    cdef uint64_t next_block(self, uint64_t p) noexcept nogil:
        """Append a block to a partition; return its first entry."""
        cdef uint32_t block = self.blocks
        self.blocks += 1
        self.following[self.last[p]] = block
        self.last[p] = block
        prefetch(self.offsets + <uint64_t>block * BLOCK)
        return <uint64_t>block * BLOCK

    def add(self, const wide_integer[::1] keys not None):
        """Add keys, until one lies outside the table; return how many were added."""
        cdef Py_ssize_t n = keys.shape[0], done = 0, size, more
        cdef Interrupt state
        interrupt_begin(&state)
        self.check_room(n, False)
        with nogil:
            while done < n:
                size = min(n - done, <Py_ssize_t>POLL_ELEMENTS)
                more = self.put(&keys[done], size)
                done += more
                self.added += more
                if more < size:
                    break
                interrupt_poll(&state)
        return done

    def add_weighted(self, const wide_integer[::1] keys not None, const weight[::1] weights not None):
        """Add keys with their weights, until a key lies outside the table; return how many were added."""
        cdef Py_ssize_t n = keys.shape[0], done = 0, size, more
        cdef Interrupt state
        interrupt_begin(&state)
        self.check_room(n, True)
        if weights.shape[0] != n:
            raise ValueError(f"{n} keys need as many weights, not {weights.shape[0]}")
        with nogil:
            while done < n:
                size = min(n - done, <Py_ssize_t>POLL_ELEMENTS)
                more = self.put_weighted(&keys[done], &weights[done], size)
                done += more
                self.added += more
                if more < size:
                    break
                interrupt_poll(&state)
        return done

    cdef int check_room(self, uint64_t n, bint weighted) except -1:
        if n > self.room - self.added:
            raise ValueError(f"there is no room for {n} more keys")
        if weighted != (self.weights != NULL):
            raise ValueError("these partitions are for keys with weights" if self.weights != NULL else
                             "these partitions are for keys without weights")
        return 0

    cdef Py_ssize_t put(self, const wide_integer *keys, Py_ssize_t n) noexcept nogil:
        # Stores wait for their lines, one after another: the line behind is loaded before it is needed.
        cdef uint16_t *offsets = self.offsets
        cdef uint64_t *ends = self.ends
        cdef uint64_t bins = self.bins, key, p, end
        cdef Py_ssize_t i = 0, stop
        while i < n:
            prefetch_ahead(keys + i)
            stop = min(n, i + UNROLL)
            while i < stop:
                key = keep_loaded(<uint64_t>keys[i])
                if unlikely(key >= bins):
                    return i
                p = key >> RANGE_BITS
                end = ends[p]
                prefetch(offsets + end + LINE)
                offsets[end] = <uint16_t>key
                end += 1
                if unlikely(end % BLOCK == 0):
                    end = self.next_block(p)
                ends[p] = end
                i += 1
        return n

    cdef Py_ssize_t put_weighted(self, const wide_integer *keys, const weight *weights, Py_ssize_t n) noexcept nogil:
        cdef uint16_t *offsets = self.offsets
        cdef weight *copies = <weight *>self.weights
        cdef uint64_t *ends = self.ends
        cdef uint64_t bins = self.bins, key, p, end
        cdef Py_ssize_t i = 0, stop
        while i < n:
            prefetch_ahead(keys + i)
            prefetch_ahead(weights + i)
            stop = min(n, i + UNROLL)
            while i < stop:
                key = keep_loaded(<uint64_t>keys[i])
                if unlikely(key >= bins):
                    return i
                p = key >> RANGE_BITS
                end = ends[p]
                prefetch(offsets + end + LINE)
                prefetch(copies + end + LINE)
                offsets[end] = <uint16_t>key
                copies[end] = weights[i]
                end += 1
                if unlikely(end % BLOCK == 0):
                    end = self.next_block(p)
                ends[p] = end
                i += 1
        return n

    cdef inline uint64_t start_of(self, uint32_t block, Py_ssize_t p) noexcept nogil:
        return <uint64_t>block * BLOCK + (first_entry(p) if block == self.first[p] else 0)

    cdef inline uint64_t stop_of(self, uint32_t block, Py_ssize_t p) noexcept nogil:
        return self.ends[p] if block == self.last[p] else (<uint64_t>block + 1) * BLOCK

    def sizes(self):
        """The number of keys in each partition."""
        cdef int64_t[::1] sizes = np.zeros(self.number, np.int64)
        cdef Py_ssize_t p
        cdef uint32_t block
        for p in range(self.number):
            block = self.first[p]
            while True:
                sizes[p] += self.stop_of(block, p) - self.start_of(block, p)
                if block == self.last[p]:
                    break
                block = self.following[block]
        return np.asarray(sizes)

    def largest(self):
        """The largest key, or -1 if there is none."""
        cdef Py_ssize_t p
        cdef uint64_t entry
        cdef int64_t most = -1
        cdef uint32_t block
        for p in range(self.number - 1, -1, -1):
            block = self.first[p]
            while True:
                for entry in range(self.start_of(block, p), self.stop_of(block, p)):
                    most = max(most, <int64_t>self.offsets[entry])
                if block == self.last[p]:
                    break
                block = self.following[block]
            if most >= 0:
                return (p << RANGE_BITS) + most
        return -1

    cdef int count(self, weight *cells, Py_ssize_t p, Interrupt *state) except -1 nogil:
        """Count the keys of partition `p`, whose first cell is the first of `cells`."""
        cdef const weight *weights = <const weight *>self.weights
        cdef const uint16_t *offsets = self.offsets
        cdef uint32_t block = self.first[p], polled = 0
        cdef uint64_t entry, stop
        while True:
            stop = self.stop_of(block, p)
            if block != self.last[p]:
                prefetch(offsets + <uint64_t>self.following[block] * BLOCK)
            if weights == NULL:
                for entry in range(self.start_of(block, p), stop):
                    cells[offsets[entry]] += 1
            else:
                for entry in range(self.start_of(block, p), stop):
                    cells[offsets[entry]] += weights[entry]
            if block == self.last[p]:
                return 0
            block = self.following[block]
            polled += 1
            if polled % POLL_BLOCKS == 0:
                interrupt_poll(state)


def count_partitions(weight[::1] table not None, list partitions not None, Py_ssize_t first, Py_ssize_t stop):
    """Count the keys in partitions `first` to `stop` - 1 of several threads, those of the first thread first."""
    cdef Partitions keys
    cdef Py_ssize_t p
    cdef Interrupt state
    interrupt_begin(&state)
    for keys in partitions:
        check_range(keys.bins, table.shape[0], first, stop)
    for p in range(first, stop):
        for keys in partitions:
            with nogil:
                keys.count(&table[p << RANGE_BITS], p, &state)
                interrupt_poll(&state)


cdef int check_range(uint64_t bins, uint64_t cells, Py_ssize_t first, Py_ssize_t stop) except -1:
    if bins > cells:
        raise ValueError(f"counts of {bins} bins do not fit into a table of {cells}")
    if not 0 <= first <= stop <= <Py_ssize_t>((bins + RANGE - 1) // RANGE):
        raise ValueError(f"{bins} bins have no ranges from {first} to {stop}")
    return 0


cdef class NarrowCells:
    """The counts of one thread's keys, modulo 256, and a list of the keys whose cells have become zero again.

    Parameters
    ----------
    bins : int
        The length of the table that they are for.
    size : int
        The most keys that `add` is given before `clear`.
    """

    cdef uint8_t *cells
    cdef uint64_t *wraps
    cdef readonly uint64_t bins
    cdef uint64_t room, added, wrapped

    def __cinit__(self, bins, size):
        self.bins = bins
        self.room = size
        self.cells = <uint8_t *>scratch_calloc(self.bins)
        self.wraps = <uint64_t *>scratch_alloc((self.room // WRAP + 1) * sizeof(uint64_t))
        if self.cells == NULL or self.wraps == NULL:
            raise MemoryError()

    def __dealloc__(self):
        scratch_free(self.cells)
        scratch_free(self.wraps)

    def clear(self):
        """Forget all keys."""
        if self.added:
            memset(self.cells, 0, self.bins)
        self.added = self.wrapped = 0

    def add(self, const wide_integer[::1] keys not None):
        """Add keys, until one lies outside the table; return how many were added."""
        cdef Py_ssize_t n = keys.shape[0], done = 0, size, more
        cdef Interrupt state
        interrupt_begin(&state)
        if <uint64_t>n > self.room - self.added:
            raise ValueError(f"there is no room for {n} more keys")
        with nogil:
            while done < n:
                size = min(n - done, <Py_ssize_t>POLL_ELEMENTS)
                more = self.put(&keys[done], size)
                done += more
                self.added += more
                if more < size:
                    break
                interrupt_poll(&state)
        return done

    cdef Py_ssize_t put(self, const wide_integer *keys, Py_ssize_t n) noexcept nogil:
        cdef uint8_t *cells = self.cells
        cdef uint64_t bins = self.bins, key
        cdef Py_ssize_t i = 0, stop
        cdef uint8_t value
        while i < n:
            prefetch_ahead(keys + i)
            stop = min(n, i + UNROLL)
            while i < stop:
                key = keep_loaded(<uint64_t>keys[i])
                if unlikely(key >= bins):
                    return i
                value = cells[key] + 1
                cells[key] = value
                if unlikely(value == 0):
                    self.wraps[self.wrapped] = key
                    self.wrapped += 1
                i += 1
        return n

    def sizes(self):
        """Zeros, one for each range: the time to add cells does not depend on the keys."""
        return np.zeros((self.bins + RANGE - 1) // RANGE, np.int64)

    def largest(self):
        """The largest key, or -1 if there is none."""
        cdef int64_t most = self.bins - 1
        cdef uint64_t i
        with nogil:
            while most >= 0 and self.cells[most] == 0:
                most -= 1
            for i in range(self.wrapped):
                most = max(most, <int64_t>self.wraps[i])
        return most


def add_narrow(int64_t[::1] table not None, list narrow not None, Py_ssize_t first, Py_ssize_t stop):
    """Add the cells of several threads in ranges `first` to `stop` - 1 of the table."""
    cdef NarrowCells counts
    cdef uint64_t start, end, bin, key
    cdef uint64_t low = first << RANGE_BITS, high = min(table.shape[0], stop << RANGE_BITS)
    cdef int64_t *sums = &table[0]
    cdef const uint8_t *cells
    cdef Interrupt state
    interrupt_begin(&state)
    for counts in narrow:
        check_range(counts.bins, table.shape[0], first, stop)
        high = min(high, counts.bins)
    for start in range(low, high, CELL_BLOCK):
        end = min(high, start + CELL_BLOCK)
        for counts in narrow:
            cells = counts.cells
            with nogil:
                for bin in range(start, end):
                    sums[bin] += cells[bin]
        if start % POLL_ELEMENTS == 0:
            interrupt_poll(&state)
    for counts in narrow:
        with nogil:
            for bin in range(counts.wrapped):
                key = counts.wraps[bin]
                if low <= key < high:
                    sums[key] += WRAP
