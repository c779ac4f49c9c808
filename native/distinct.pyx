"""Which keys occur, and how often each: in a table over their range, in a hash table, or by sorting.

Keys are compared with a table's bounds where they are used, never in a pass before: another thread may change them
meanwhile, and then the counts are wrong, but nothing is written elsewhere.
"""

import numpy as np

from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from libc.string cimport memcpy

from integers cimport integer, unlikely

cdef extern from "ahead.h" nogil:
    void read_ahead(const void *)

cdef extern from "scratch.h" nogil:
    void *scratch_zeros(size_t size)
    void *scratch_longer(void *cells, size_t size)
    void scratch_free(void *cells)


cdef enum:
    STEP = 8                # keys between two looks ahead: of eight bytes, a cache line
    FULL = 256              # counts of a cell of eight bits before it comes round
    LANES = 4               # tables, so that no store waits for the one before it to the same key
    MOST_FOR_LANES = 1 << 13  # keys for which all of them stay in the first cache


cdef class Near:
    """Keys at most `size` apart: a cell of eight bits for each that there can be, so that a table stays in cache that
    would not with wider ones. Whenever a cell comes round its key is noted, which is once in 256 times.
    """

    cdef uint8_t *cells
    cdef int64_t *rounds
    cdef uint64_t low, size, lanes
    cdef size_t noted, room

    def __cinit__(self, low, size):
        self.low = <uint64_t>(int(low) & 0xFFFFFFFFFFFFFFFF)
        self.size = size
        self.lanes = LANES if size <= MOST_FOR_LANES else 1
        self.cells = <uint8_t *>scratch_zeros(self.lanes * self.size)
        if self.cells == NULL:
            raise MemoryError()

    def __dealloc__(self):
        scratch_free(self.cells)
        scratch_free(self.rounds)

    def add(self, const integer[::1] keys not None):
        """Count them; those that lie outside are left out. Return how many were taken: all."""
        cdef Py_ssize_t n = keys.shape[0], i = 0
        while i < n:
            with nogil:
                i = self.run(&keys[0], i, n)
            if i < n:
                self.make_room()
        return n

    cdef Py_ssize_t run(self, const integer *keys, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
        """Count until there is no room to note a key; return where."""
        cdef uint8_t *cells = self.cells
        cdef uint64_t low = self.low, size = self.size, lane = self.lanes - 1, distance, place
        cdef uint8_t count
        while i < n:
            distance = <uint64_t>keys[i] - low
            i += 1
            if unlikely(distance >= size):
                continue
            place = distance + (<uint64_t>i & lane) * size
            count = cells[place] + 1
            cells[place] = count
            if unlikely(count == 0):
                if self.noted == self.room:
                    cells[place] = FULL - 1
                    return i - 1
                self.rounds[self.noted] = <int64_t>distance
                self.noted += 1
        return n

    cdef int make_room(self) except -1:
        cdef size_t room = max(<size_t>1024, self.room * 2)
        cdef int64_t *rounds = <int64_t *>scratch_longer(self.rounds, room * sizeof(int64_t))
        if rounds == NULL:
            raise MemoryError()
        self.rounds = rounds
        self.room = room

    def found(self):
        """The keys, ascending (as integers of 64 bits, with a sign or not), and how often each was met."""
        cdef int64_t[::1] rounds = np.empty(self.noted, np.int64)
        if self.noted:
            memcpy(&rounds[0], self.rounds, self.noted * sizeof(int64_t))
            np.asarray(rounds).sort()
        cdef Py_ssize_t met = count_of_runs(rounds)
        cdef uint64_t place
        with nogil:
            for place in range(self.lanes * self.size):
                met += self.cells[place] != 0
        keys, counts = np.empty(met + 1, np.int64), np.empty(met + 1, np.int64)  # one more, for what is written in vain
        met = self.collect(rounds, keys, counts)
        return keys[:met], counts[:met]

    cdef Py_ssize_t collect(self, const int64_t[::1] rounds, int64_t[::1] keys, int64_t[::1] counts):
        cdef Py_ssize_t n = rounds.shape[0], i = 0, met = 0
        cdef uint64_t distance, lane
        cdef int64_t count
        with nogil:
            for distance in range(self.size):
                count = 0
                for lane in range(self.lanes):
                    count += self.cells[lane * self.size + distance]
                while i < n and rounds[i] == <int64_t>distance:
                    count += FULL
                    i += 1
                keys[met] = <int64_t>(self.low + distance)
                counts[met] = count
                met += count != 0
        return met


cdef struct Slot:
    int64_t key
    int64_t count

cdef enum:
    FIRST_SLOTS = 1 << 12
    MOST_SLOTS = 1 << 20
    ROOMY = 8           # slots a key while the table can grow: nearly every key is found where it is looked for first
    MOST_KEYS = 1 << 18

MOST_HASHED = MOST_KEYS
"""Keys that a `Hashed` takes."""

cdef int64_t NO_KEY = 0x6AD1B3C9570E2F84  # any: see `Hashed`


cdef inline size_t home(int64_t key, int shift) noexcept nogil:
    """Fibonacci hashing (Knuth, TAOCP 3, 6.4), of both halves of the key."""
    cdef uint64_t bits = <uint64_t>key
    return <size_t>(((bits ^ (bits >> 32)) * <uint64_t>0x9E3779B97F4A7C15) >> shift)


cdef class Hashed:
    """Keys of any distance, up to `MOST_KEYS` of them, in a table with open addressing.

    A free slot holds `NO_KEY`. Should that be a key too, it is found in one free slot or another and counted there: what
    the free slots have counted together is its count, and no other key needs to be compared with it.
    """

    cdef Slot *slots
    cdef size_t size, used
    cdef int shift
    cdef int64_t of_no_key

    def __cinit__(self):
        self.size = FIRST_SLOTS
        self.shift = 64 - 12
        self.slots = new_slots(self.size)
        if self.slots == NULL:
            raise MemoryError()

    def __dealloc__(self):
        scratch_free(self.slots)

    def add(self, const integer[::1] keys not None):
        """Count them up to the one that would be too many, and return how many those were."""
        cdef Py_ssize_t n = keys.shape[0], i = 0
        while i < n and self.used < MOST_KEYS:
            if self.used * ROOMY >= self.size and self.size < MOST_SLOTS:
                self.grow()
            with nogil:
                i = self.run(&keys[0], i, n)
        return i

    cdef Py_ssize_t run(self, const integer *keys, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
        """Count until there are too many keys for the table; return where."""
        cdef Slot *slots = self.slots
        cdef size_t mask = self.size - 1, at
        cdef size_t most = MOST_KEYS if self.size == MOST_SLOTS else self.size // ROOMY
        cdef int shift = self.shift
        cdef int64_t key
        while i < n:
            key = <int64_t>keys[i]
            i += 1
            at = home(key, shift)
            while unlikely(slots[at].key != key):
                if slots[at].key == NO_KEY:
                    self.of_no_key += slots[at].count
                    slots[at].key = key
                    slots[at].count = 1
                    self.used += 1
                    if self.used == most:
                        return i
                    break
                at = (at + 1) & mask
            else:
                slots[at].count += 1
        return n

    cdef int grow(self) except -1:
        cdef size_t size = self.size * 2, at, i
        cdef int shift = self.shift - 1
        cdef Slot *slots
        with nogil:
            slots = new_slots(size)
        if slots == NULL:
            raise MemoryError()
        with nogil:
            for i in range(self.size):
                if self.slots[i].key == NO_KEY:
                    self.of_no_key += self.slots[i].count
                    continue
                at = home(self.slots[i].key, shift)
                while slots[at].key != NO_KEY:
                    at = (at + 1) & (size - 1)
                slots[at] = self.slots[i]
        scratch_free(self.slots)
        self.slots, self.size, self.shift = slots, size, shift
        return 0

    def found(self):
        """The keys, in no order, and how often each was met."""
        cdef int64_t[::1] keys = np.empty(self.used + 1, np.int64)
        cdef int64_t[::1] counts = np.empty(self.used + 1, np.int64)
        cdef size_t i
        cdef Py_ssize_t met = 0
        cdef int64_t rest = self.of_no_key
        with nogil:
            for i in range(self.size):
                if self.slots[i].key == NO_KEY:
                    rest += self.slots[i].count
                else:
                    keys[met] = self.slots[i].key
                    counts[met] = self.slots[i].count
                    met += 1
        if rest:
            keys[met] = NO_KEY
            counts[met] = rest
            met += 1
        return np.asarray(keys)[:met], np.asarray(counts)[:met]


cdef Slot *new_slots(size_t size) noexcept nogil:
    cdef Slot *slots = <Slot *>scratch_zeros(size * sizeof(Slot))
    cdef size_t i
    if slots != NULL:
        for i in range(size):
            slots[i].key = NO_KEY
    return slots


def select(
    const integer[::1] keys not None, Py_ssize_t start, integer low, integer high, integer[::1] selected not None
):
    """Copy the keys from `low` to `high`, those at `start` first, while there is room.

    Return how many they are, and where the next one may be.
    """
    cdef Py_ssize_t n = keys.shape[0], room = selected.shape[0], taken = 0, i = start, stop, j
    cdef uint64_t span = <uint64_t>high - <uint64_t>low
    if not 0 <= start <= n:
        raise ValueError(f"{n} keys have no position {start}")
    with nogil:
        while i < n and taken < room:
            stop = i + min(n - i, room - taken)
            while stop - i >= STEP:
                read_ahead(&keys[i])
                for j in range(STEP):
                    # Whether it is one of them cannot be foreseen: it is written, and kept or written over.
                    selected[taken] = keys[i + j]
                    taken += <uint64_t>selected[taken] - <uint64_t>low <= span
                i += STEP
            while i < stop:
                selected[taken] = keys[i]
                taken += <uint64_t>selected[taken] - <uint64_t>low <= span
                i += 1
    return taken, i


def deal(
    const integer[::1] keys not None, integer[::1] dealt not None, int64_t[::1] ends not None, integer low, int shift
):
    """Bring the keys into an order of which each piece, to be sorted by itself, lies before all later ones.

    Piece p has the keys from ``low + (p << shift)`` on; the first also all before, the last all behind. `ends` gets where each
    ends in `dealt`.
    """
    cdef Py_ssize_t n = keys.shape[0], pieces = ends.shape[0], i, place
    cdef uint64_t last = <uint64_t>pieces - 1
    if dealt.shape[0] < n:
        raise ValueError(f"{n} keys do not fit into {dealt.shape[0]} places")
    if not 0 <= shift < 64:
        raise ValueError(f"64 bits cannot be shifted by {shift}")
    ends[:] = 0
    with nogil:
        for i in range(n):
            place = piece(keys[i], low, shift, last)
            if place < pieces - 1:
                ends[place + 1] += 1
        for i in range(1, pieces):
            ends[i] += ends[i - 1]
        for i in range(n):
            place = piece(keys[i], low, shift, last)
            if unlikely(ends[place] >= n):  # another thread has changed keys since they were counted
                continue
            dealt[ends[place]] = keys[i]
            ends[place] += 1


cdef inline Py_ssize_t piece(integer key, integer low, int shift, uint64_t last) noexcept nogil:
    cdef uint64_t distance = (<uint64_t>key - <uint64_t>low) >> shift
    return <Py_ssize_t>(0 if key < low else min(distance, last))


def count_of_runs(const integer[::1] keys not None):
    """How many different keys there are among sorted ones."""
    cdef Py_ssize_t n = keys.shape[0], i, runs = n > 0
    with nogil:
        for i in range(1, n):
            runs += keys[i] != keys[i - 1]
    return runs


def runs(const integer[::1] keys not None, integer[::1] values not None, int64_t[::1] counts not None):
    """The different keys among sorted ones, and how often each is there, as far as there is room."""
    cdef Py_ssize_t n = keys.shape[0], room = values.shape[0], i = 0, start = 0, met = 0
    cdef bint last
    if counts.shape[0] != room:
        raise ValueError("as many counts as values are wanted")
    with nogil:
        while i < n and met < room:
            # Where a run ends cannot be foreseen: its key and count are written each time, and kept or written over.
            values[met] = keys[i]
            i += 1
            counts[met] = i - start
            last = i == n or keys[i] != values[met]
            start = i if last else start
            met += last


def merge(
    const integer[::1] values not None, const int64_t[::1] counts not None,
    const integer[::1] others not None, const int64_t[::1] theirs not None,
    integer[::1] merged not None, int64_t[::1] sums not None,
):
    """Merge two lists of ascending values, and add the counts of those that are in both; return how many there are."""
    cdef Py_ssize_t n = values.shape[0], m = others.shape[0], i = 0, j = 0, met = 0
    cdef bint one, other
    if counts.shape[0] != n or theirs.shape[0] != m or merged.shape[0] < n + m or sums.shape[0] < n + m:
        raise ValueError("lists of different length")
    with nogil:
        while i < n and j < m:
            one = values[i] <= others[j]
            other = others[j] <= values[i]
            merged[met] = values[i] if one else others[j]
            sums[met] = (counts[i] if one else 0) + (theirs[j] if other else 0)
            i += one
            j += other
            met += 1
        while i < n:
            merged[met] = values[i]
            sums[met] = counts[i]
            i += 1
            met += 1
        while j < m:
            merged[met] = others[j]
            sums[met] = theirs[j]
            j += 1
            met += 1
    return met
