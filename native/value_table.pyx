"""A hash table from byte strings to counts, and sorted lists of its entries."""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport UINT16_MAX, int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy

from parcount._native import cpu_features

from integers cimport unlikely
from interrupt cimport Interrupt, interrupt_begin, interrupt_poll

cdef extern from "scratch_alloc.h" nogil:
    void *scratch_calloc(size_t size)
    void scratch_free(void *cells)

cdef extern from "value_table.h" nogil:
    enum:
        VALUE_BASELINE
        VALUE_AVX2
        VALUE_AVX512
        VALUE_MAX_BATCH
        VALUE_MAX_HEADER
        VALUE_RESULT_BYTES
    ctypedef enum ValueStatus:
        VALUE_OK
        VALUE_FULL
        VALUE_NO_MEMORY
        VALUE_OVERFLOW
    const uint64_t VALUE_PLACE_MASK
    ctypedef struct CValueTable "ValueTable":
        uint64_t *slots
        size_t slots_end
        size_t used
        uint8_t *arena
        size_t arena_used
        size_t arena_size
        size_t longest
        uint64_t total
    ValueStatus value_table_init(CValueTable *, uint64_t seed, size_t limit, unsigned hash_bits, unsigned skip, int)
    void value_table_free(CValueTable *)
    void value_table_clear(CValueTable *)
    size_t value_table_bytes(const CValueTable *)
    size_t value_table_add_batch(
        CValueTable *, const uint8_t *const *keys, const size_t *lengths, const uint64_t *counts, size_t, ValueStatus *
    )
    ValueStatus value_table_add(CValueTable *, const uint8_t *key, size_t length, uint64_t count)
    uint8_t *value_table_append(CValueTable *, const uint8_t *key, size_t length, uint64_t count)
    size_t value_table_add_lines(CValueTable *, const uint8_t *block, size_t size, int last, ValueStatus *)
    uint64_t value_entry_count(const uint8_t *entry)
    size_t value_entry_length(const uint8_t *entry)
    const uint8_t *value_entry_key(const uint8_t *entry)

cdef extern from "value_merge.h" nogil:
    ctypedef struct ValuePointers:
        uint8_t **entries
        size_t n
    ctypedef struct ValueSlot:
        pass
    int value_pointers_room(ValuePointers *, size_t more)
    ValueStatus value_merge_one(const CValueTable *, ValuePointers *)
    ValueStatus value_merge_range(
        CValueTable **, size_t n, uint64_t number, unsigned bits, ValuePointers *, ValueSlot **slots, size_t *room
    )

cdef extern from "value_sort.h" nogil:
    ctypedef struct ValueRecord:
        uint64_t cache
        const uint8_t *entry
    ctypedef struct ValueSortRange:
        ValueRecord *records
        size_t n
        size_t depth
        int keyed
    void value_sort_split(const ValueSortRange *, ValueSortRange *parts)
    void value_sort(ValueSortRange)
    size_t value_sort_place(uint8_t **bounds, size_t n, const uint8_t *entry)

cdef extern from "value_encoding.h" nogil:
    enum:
        VALUE_MAX_ENCODED_HEAD
    size_t value_encoded_bytes(const uint8_t *entry)
    size_t value_encode(uint8_t *to, const uint8_t *entry)
    const uint8_t *value_decode(
        const uint8_t *start, const uint8_t *end, uint64_t *count, uint64_t *length, const uint8_t **key
    )
    size_t value_format(uint8_t *to, const uint8_t *entry)
    enum:
        VALUE_MAX_FORMATTED_HEAD

cdef int INSTRUCTIONS = (
    VALUE_AVX512 if "AVX512" in cpu_features.ENABLED else VALUE_AVX2 if "AVX2" in cpu_features.ENABLED else VALUE_BASELINE
)

INSTRUCTION_SETS = {
    "baseline": VALUE_BASELINE,
    **({"AVX2": VALUE_AVX2} if "AVX2" in cpu_features.ENABLED else {}),
    **({"AVX-512": VALUE_AVX512} if "AVX512" in cpu_features.ENABLED else {}),
}
"""The implementations that can be chosen, for tests and benchmarks."""

cdef enum:
    ENTRY_EXTRA = VALUE_MAX_HEADER + 8
    SLOT_BYTES = 36  # just before the slots are doubled there are old and new ones
    SPAN = 1 << 20  # bytes between two polls for signals
    MAX_PARTS = 256
    MIN_PART = 1 << 12      # entries that are sorted faster than they are given to a thread
    SAMPLE = 1 << 16        # entries of which the bounds of ranges are quantiles
    DISTRIBUTED = 1 << 18   # entries at once


cdef int check(ValueStatus status) except -1:
    if status == VALUE_NO_MEMORY:
        raise MemoryError("no memory for the table of values")
    if status == VALUE_OVERFLOW:
        raise OverflowError("a value occurs more than 2**48 - 1 times")
    return 0


@cython.no_gc
cdef class ValueTable:
    """Counts of byte strings. One thread at a time may use it.

    Parameters
    ----------
    seed : int
        Of the hash. Tables that are merged must have the same.
    limit : int
        Bytes beyond which the table is `full`.
    hash_bits : int, optional
        How many bits of the hash are used: fewer, in tests, make different strings collide.
    skip : int, optional
        How many of the first bits all strings have in common.
    instructions : str, optional
        One of `INSTRUCTION_SETS`; the best one by default.

    Attributes
    ----------
    full : bool
        Whether the last call ended because the table exceeds its limit: what it did not use can be added once the table
        has been emptied.
    """

    cdef CValueTable table
    cdef bint open
    cdef readonly bint full
    cdef size_t cursor

    def __cinit__(self, seed, limit, *, hash_bits=64, skip=0, instructions=None):
        check(
            value_table_init(
                &self.table,
                <uint64_t>(int(seed) & 0xFFFFFFFFFFFFFFFF),
                limit,
                hash_bits,
                skip,
                INSTRUCTIONS if instructions is None else INSTRUCTION_SETS[instructions],
            )
        )
        self.open = True

    def __dealloc__(self):
        value_table_free(&self.table)

    cdef CValueTable *use(self) except NULL:
        if unlikely(not self.open):
            raise ValueError("this table is closed")
        return &self.table

    def close(self):
        """Free the memory."""
        self.open = False
        value_table_free(&self.table)

    def clear(self):
        """Remove all strings. The memory is kept."""
        value_table_clear(self.use())
        self.cursor = 0

    @property
    def capsule(self):
        """The `ValueTable` of value_table.h, for other compiled modules; valid as long as this object is open."""
        return PyCapsule_New(self.use(), "parcount.value_table", NULL)

    @property
    def distinct(self):
        """How many different strings there are."""
        return self.use().used

    @property
    def total(self):
        """The sum of the counts."""
        return self.use().total

    @property
    def longest(self):
        """The length of the longest string."""
        return self.use().longest

    @property
    def nbytes(self):
        """The memory in use, and what the result will need."""
        return value_table_bytes(self.use())

    def add(self, const uint8_t[::1] key not None, uint64_t count=1):
        """Add one string, unless that makes the table `full`."""
        cdef uint8_t none = 0
        cdef const uint8_t *start = &key[0] if key.shape[0] else &none
        cdef ValueStatus status = value_table_add(self.use(), start, key.shape[0], count)
        self.full = status == VALUE_FULL
        check(status)

    def add_lines(self, const uint8_t[::1] block not None, bint last):
        """Add the complete lines of a block, and the rest too if it is the last one; return how many bytes were used."""
        cdef CValueTable *table = self.use()
        cdef size_t size = block.shape[0], used = 0, step, span = SPAN
        cdef ValueStatus status = VALUE_OK
        cdef Interrupt state
        self.full = False
        if not size:
            return 0
        interrupt_begin(&state)
        with nogil:
            while used < size and status == VALUE_OK:
                span = min(span, size - used)
                step = value_table_add_lines(table, &block[used], span, last and used + span == size, &status)
                used += step
                if step:
                    span = SPAN
                elif status == VALUE_OK:
                    if used + span == size:
                        break
                    span *= 2  # a long line
                interrupt_poll(&state)
        self.full = status == VALUE_FULL
        check(status)
        return used

    def load(self, const uint8_t[::1] data not None):
        """Add strings with counts, in the encoding of `encode`; return how many bytes were used, of complete entries."""
        cdef CValueTable *table = self.use()
        cdef const uint8_t *keys[VALUE_MAX_BATCH]
        cdef size_t lengths[VALUE_MAX_BATCH]
        cdef uint64_t counts[VALUE_MAX_BATCH]
        cdef const uint8_t *starts[VALUE_MAX_BATCH]
        cdef uint64_t length
        cdef size_t n, done
        cdef const uint8_t *position
        cdef const uint8_t *end
        cdef const uint8_t *next
        cdef ValueStatus status = VALUE_OK
        cdef Interrupt state
        self.full = False
        if not data.shape[0]:
            return 0
        position = &data[0]
        end = position + data.shape[0]
        interrupt_begin(&state)
        with nogil:
            while status == VALUE_OK:
                n = 0
                next = position
                while n < VALUE_MAX_BATCH:
                    starts[n] = next
                    next = value_decode(next, end, &counts[n], &length, &keys[n])
                    if next == NULL:
                        break
                    lengths[n] = length
                    n += 1
                if not n:
                    break
                done = value_table_add_batch(table, keys, lengths, counts, n, &status)
                position = starts[done] if done < n else keys[n - 1] + lengths[n - 1]
                interrupt_poll(&state)
        self.full = status == VALUE_FULL
        check(status)
        return position - &data[0]

    def append(self, const uint8_t[::1] data not None):
        """Add encoded strings that are different from all others, without their hashes: only a `ValueList` finds them.

        Returns
        -------
        int
            How many bytes were used, of complete entries.
        """
        cdef CValueTable *table = self.use()
        cdef const uint8_t *position
        cdef const uint8_t *end
        cdef const uint8_t *next
        cdef const uint8_t *key = NULL
        cdef uint64_t count = 0, length = 0
        cdef ValueStatus status = VALUE_OK
        if not data.shape[0]:
            return 0
        position = &data[0]
        end = position + data.shape[0]
        with nogil:
            while position < end:
                next = value_decode(position, end, &count, &length, &key)
                if next == NULL:
                    break
                if table.arena_used + length + ENTRY_EXTRA > table.arena_size:
                    status = VALUE_NO_MEMORY
                    break
                value_table_append(table, key, length, count)
                table.used += 1
                table.total += count
                position = next
        check(status)
        return position - &data[0]

    def rewind(self):
        """Let `encode` begin with the first string."""
        self.use()
        self.cursor = 0

    def encode(self, uint8_t[::1] buffer not None, int64_t[::1] sizes not None, int64_t[::1] entries not None):
        """Write strings with counts to a buffer, in the order of their hashes, from where the last call ended.

        Parameters
        ----------
        buffer : buffer
            With room for the longest string and `MAX_HEAD` bytes.
        sizes, entries : array of int64
            By the first bits of the hash, how many bytes and entries were written: they are added. Their length is a power
            of two.

        Returns
        -------
        int
            How many bytes were written; 0 at the end.
        """
        cdef CValueTable *table = self.use()
        cdef size_t room = buffer.shape[0], used = 0, size, i
        cdef unsigned shift = 64
        cdef uint64_t slot, ahead
        cdef const uint8_t *entry
        if room < table.longest + VALUE_MAX_ENCODED_HEAD:
            raise ValueError("the buffer is too small")
        while sizes.shape[0] >> (64 - shift) > 1:
            shift -= 1
        with nogil:
            i = self.cursor
            while i < table.slots_end:
                slot = table.slots[i]
                if i + 16 < table.slots_end:
                    ahead = table.slots[i + 16]
                    prefetch_entry(table.arena + (ahead & VALUE_PLACE_MASK) * 8)
                if slot:
                    entry = table.arena + (slot & VALUE_PLACE_MASK) * 8
                    if used + value_entry_length(entry) + VALUE_MAX_ENCODED_HEAD > room:
                        break
                    size = value_encode(&buffer[used], entry)
                    used += size
                    if shift == 64:
                        sizes[0] += size
                        entries[0] += 1
                    else:
                        sizes[slot >> shift] += size
                        entries[slot >> shift] += 1
                i += 1
            self.cursor = i
        return used


cdef extern from *:
    """
    static inline void prefetch_entry(const uint8_t *entry)
    {
        VALUE_PREFETCH(entry);
        VALUE_PREFETCH(entry + 64);
    }
    """
    void prefetch_entry(const uint8_t *) nogil


ENTRY_BYTES = <int>(ENTRY_EXTRA + VALUE_RESULT_BYTES + SLOT_BYTES)
"""The memory that a string takes beside its own, at most."""

MAX_HEAD = <int>VALUE_MAX_ENCODED_HEAD
"""The bytes that an encoded string takes beside its own, at most."""


@cython.no_gc
cdef class ValueList:
    """Pointers to the entries of tables, which must not be changed any more.

    Parameters
    ----------
    tables : sequence of ValueTable
        Merging changes their counts: each may be in one list only.
    start, stop, bits : int, optional
        Of 2**bits ranges of hashes, those to be merged.
    """

    cdef ValuePointers pointers
    cdef ValueRecord *records
    cdef ValueSortRange parts[MAX_PARTS + 2]
    cdef size_t part_count
    cdef object owners

    def __cinit__(self, tables, uint64_t start=0, uint64_t stop=1, unsigned bits=0):
        cdef CValueTable **merged
        cdef ValueSlot *slots = NULL
        cdef size_t room = 0, n = len(tables), i
        cdef uint64_t number
        cdef ValueStatus status = VALUE_OK
        cdef Interrupt state
        self.owners = tuple(tables)
        merged = <CValueTable **>scratch_calloc(n * sizeof(CValueTable *))
        if merged == NULL:
            raise MemoryError()
        try:
            for i in range(n):
                merged[i] = (<ValueTable?>self.owners[i]).use()
            interrupt_begin(&state)
            with nogil:
                if n == 1 and start == 0 and stop == 1 and bits == 0:
                    status = value_merge_one(merged[0], &self.pointers)
                else:
                    for number in range(start, stop):
                        status = value_merge_range(merged, n, number, bits, &self.pointers, &slots, &room)
                        if status != VALUE_OK:
                            break
                        interrupt_poll(&state)
        finally:
            scratch_free(merged)
            scratch_free(slots)
        check(status)

    def __dealloc__(self):
        scratch_free(self.pointers.entries)
        scratch_free(self.records)

    def __len__(self):
        return self.pointers.n

    def extend(self, ValueList other not None):
        """Add the entries of another list, which is emptied."""
        cdef int room
        with nogil:
            room = value_pointers_room(&self.pointers, other.pointers.n)
            if room and other.pointers.n:
                memcpy(
                    self.pointers.entries + self.pointers.n, other.pointers.entries, other.pointers.n * sizeof(uint8_t *)
                )
                self.pointers.n += other.pointers.n
        if not room:
            raise MemoryError()
        self.owners += tuple(owner for owner in other.owners if owner not in self.owners)
        other.pointers.n = 0

    def sort(self):
        """Sort by count, then by bytes, both descending."""
        for part in range(self.split(1)):
            self.sort_part(part)
        self.join()

    def split(self, size_t parts):
        """Begin to sort in about as many parts, more if it is less work; return how many there are.

        `sort_part` sorts each of them, in any order and in several threads, and then `join` ends it.
        """
        cdef size_t i, largest
        cdef ValueSortRange thirds[3]
        parts = min(parts, <size_t>MAX_PARTS)
        self.join()
        self.records = <ValueRecord *>scratch_calloc(self.pointers.n * sizeof(ValueRecord))
        if self.records == NULL:
            raise MemoryError()
        with nogil:
            for i in range(self.pointers.n):
                self.records[i].entry = self.pointers.entries[i]
                self.records[i].cache = value_entry_count(self.records[i].entry)
            self.parts[0].records = self.records
            self.parts[0].n = self.pointers.n
            self.parts[0].depth = 0
            self.parts[0].keyed = 0
            self.part_count = 1
            while self.part_count < parts:
                largest = 0
                for i in range(1, self.part_count):
                    if self.parts[i].n > self.parts[largest].n:
                        largest = i
                if self.parts[largest].n < MIN_PART:
                    break
                value_sort_split(&self.parts[largest], thirds)
                self.parts[largest] = thirds[0]
                self.parts[self.part_count] = thirds[1]
                self.parts[self.part_count + 1] = thirds[2]
                self.part_count += 2
        return self.part_count

    def sort_part(self, size_t part):
        """Sort one of the parts that `split` has made."""
        if part >= self.part_count:
            raise ValueError("there is no such part")
        with nogil:
            value_sort(self.parts[part])

    def join(self):
        """End what `split` has begun."""
        cdef size_t i
        if self.records != NULL:
            with nogil:
                for i in range(self.pointers.n):
                    self.pointers.entries[i] = <uint8_t *>self.records[i].entry
        scratch_free(self.records)
        self.records = NULL
        self.part_count = 0

    def quantiles(self, size_t n):
        """Return a list of about `n` entries that divide this one, in order, in equal parts; entries are copied."""
        cdef size_t sampled = min(self.pointers.n, max(n, SAMPLE)), i
        cdef const uint8_t *entry
        cdef size_t size = 0
        cdef CValueTable *table
        for i in range(sampled):
            size += value_entry_length(self.pointers.entries[i * self.pointers.n // sampled]) + ENTRY_EXTRA
        copies = ValueTable(0, size + ENTRY_EXTRA)
        table = (<ValueTable>copies).use()
        for i in range(sampled):
            entry = self.pointers.entries[i * self.pointers.n // sampled]
            value_table_append(table, value_entry_key(entry), value_entry_length(entry), value_entry_count(entry))
            table.used += 1
        sample = ValueList([copies])
        sample.sort()
        (<ValueList>sample).keep_quantiles(n)
        return sample

    cdef void keep_quantiles(self, size_t n) noexcept:
        cdef size_t i, kept = min(n, self.pointers.n)
        for i in range(kept):
            self.pointers.entries[i] = self.pointers.entries[(i + 1) * self.pointers.n // (kept + 1)]
        self.pointers.n = kept

    def distribute(
        self,
        ValueList bounds not None,
        uint8_t[::1] buffer not None,
        size_t start,
        int64_t[::1] sizes not None,
        int64_t[::1] entries not None,
    ):
        """Encode entries from `start` on, as many as fit into the buffer, ordered by which bounds they lie between.

        Parameters
        ----------
        bounds : ValueList
            In order.
        sizes, entries : array of int64
            For each range between bounds, the bytes and the entries are added.

        Returns
        -------
        written, position : int
            How many bytes, and the first entry that did not fit.
        """
        cdef size_t room = buffer.shape[0], used = 0, i, place, n = bounds.pointers.n
        cdef size_t stop = min(self.pointers.n, start + DISTRIBUTED)
        cdef size_t *ends
        cdef uint16_t *places
        cdef const uint8_t *entry
        if sizes.shape[0] <= n or entries.shape[0] <= n or n > UINT16_MAX:
            raise ValueError("there are more ranges than sizes")
        ends = <size_t *>scratch_calloc((n + 2) * sizeof(size_t))
        places = <uint16_t *>scratch_calloc((stop - start) * sizeof(uint16_t) if stop > start else 1)
        if ends == NULL or places == NULL:
            scratch_free(ends)
            scratch_free(places)
            raise MemoryError()
        with nogil:
            for i in range(start, stop):
                entry = self.pointers.entries[i]
                if used + value_entry_length(entry) + VALUE_MAX_ENCODED_HEAD > room:
                    stop = i
                    break
                place = value_sort_place(bounds.pointers.entries, n, entry)
                places[i - start] = place
                ends[place + 1] += value_encoded_bytes(entry)
                entries[place] += 1
                used += value_encoded_bytes(entry)
            for place in range(n + 1):
                sizes[place] += ends[place + 1]
                ends[place + 1] += ends[place]
            for i in range(start, stop):
                place = places[i - start]
                ends[place] += value_encode(&buffer[ends[place]], self.pointers.entries[i])
        scratch_free(ends)
        scratch_free(places)
        return used, stop

    def format(self, uint8_t[::1] buffer not None, size_t start, size_t stop):
        """Write lines such as those of `uniq -c` to a buffer.

        Returns
        -------
        written, position : int
            How many bytes, and the first entry that did not fit.
        """
        cdef size_t room = buffer.shape[0], used = 0, i = start
        cdef const uint8_t *entry
        stop = min(stop, self.pointers.n)
        with nogil:
            while i < stop:
                entry = self.pointers.entries[i]
                if i + 16 < stop:
                    prefetch_entry(self.pointers.entries[i + 16])
                if used + value_entry_length(entry) + VALUE_MAX_FORMATTED_HEAD > room:
                    break
                used += value_format(&buffer[used], entry)
                i += 1
        return used, i

    def counts(self, size_t start, size_t stop):
        """The counts as an array of int64."""
        import numpy as np

        cdef size_t i
        stop = min(stop, self.pointers.n)
        array = np.empty(max(stop, start) - start, np.int64)
        cdef int64_t[::1] counts = array
        with nogil:
            for i in range(start, stop):
                counts[i - start] = value_entry_count(self.pointers.entries[i])
        return array

    def values(self, size_t start, size_t stop):
        """The strings as an array of bytes objects."""
        import numpy as np

        cdef size_t i
        cdef const uint8_t *entry
        stop = min(stop, self.pointers.n)
        array = np.empty(max(stop, start) - start, object)
        cdef object[::1] values = array
        for i in range(start, stop):
            entry = self.pointers.entries[i]
            if i + 16 < stop:
                prefetch_entry(self.pointers.entries[i + 16])
            values[i - start] = PyBytes_FromStringAndSize(<const char *>value_entry_key(entry), value_entry_length(entry))
        return array
