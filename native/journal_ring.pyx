"""The ring through which one process feeds the writer process of a journal: bytes in memory that both have mapped.

One process, the feeder, puts records in; one other, the writer process, takes bytes out. Each position is written by one
of the two only, so that neither waits for the other, and either can be killed at any instant: what `head` covers is
complete, and what `tail` does not cover is still there. Positions count all bytes ever put or taken.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from atomic cimport atomic_exchange_with, atomic_fence, atomic_read, atomic_write
from integers cimport unlikely
from journal_file cimport (
    BLOCK_ALIGNMENT, BLOCK_HEADER, BLOCK_PADDING, BlockHeader, block_crc, block_size, crc32c_chosen,
    crc32c_initialise, crc32c_instruction, little32, little64,
)

from parcount._native import cpu_features

crc32c_initialise()
if "SSE42" in cpu_features.ENABLED or "ARM_CRC32" in cpu_features.ENABLED:
    crc32c_chosen = crc32c_instruction

cdef enum:
    LINE = 16  # cells: CPUs may prefetch cache lines in pairs
    MAGIC_AT = 0
    CAPACITY_AT = 1
    SYNC_AT = 2
    MARKER_AT = 3
    CLOSED_AT = LINE  # written by the feeder
    HEAD_AT = LINE + 1
    TAIL_AT = 2 * LINE  # written by the writer process
    CLAIMED_AT = 2 * LINE + 1
    OFFSET_AT = 2 * LINE + 2
    ERROR_AT = 2 * LINE + 3
    FINISHED_AT = 2 * LINE + 4
    ASLEEP_AT = 3 * LINE  # exchanged by both
    WAITING_AT = 4 * LINE

    MAGIC = 0x31676e6972706370  # "pcpring1"

    CHECK_BYTES = 1 << 16
    c_outcomes = 4
    UNSEALED = 0x80000000  # in a block's length: its CRC is still that of the data alone, because the offset is not known

HEADER_BYTES = 4096
"""Bytes of a ring's memory in front of the data."""

AWAKE, LAZY, ASLEEP = range(3)
"""What wakes the writer process: nothing; a ring that is half full, or a feeder that waits; any record."""

OUTCOMES = c_outcomes
DONE, WAKE, CHECK, FULL = range(OUTCOMES)
"""Outcomes of `Ring.append`: appended; appended, and the writer process is to be woken, or checked for being there, which
is due now and then; not appended, because there is no room or there was an error."""


@cython.final
@cython.no_gc
cdef class Ring:
    """A ring in mapped memory.

    Parameters
    ----------
    memory : writable buffer
        `HEADER_BYTES` and a power of two of bytes more.
    created : tuple, optional
        To make a ring of memory that is zero: the marker of the file, or None for a text; the number of the writer, which
        the blocks get; the sequence of the first record; and whether a record is to be on the disk before the feeder goes
        on. Otherwise the memory must be a ring.
    """

    cdef Py_buffer buffer
    cdef object view
    cdef int64_t *cells
    cdef char *data
    cdef int64_t size
    cdef uint64_t writer_number, next_sequence

    def __cinit__(self, memory, tuple created=None):
        cdef bytes marker
        PyObject_GetBuffer(memory, &self.buffer, PyBUF_WRITABLE)
        self.view = memoryview(memory)[HEADER_BYTES:]
        self.cells = <int64_t *>self.buffer.buf
        self.data = <char *>self.buffer.buf + <Py_ssize_t>HEADER_BYTES
        self.size = self.buffer.len - <Py_ssize_t>HEADER_BYTES
        if self.size < BLOCK_HEADER or self.size & (self.size - 1):
            raise ValueError("the capacity of a ring must be a power of two")
        if created is not None:
            marker, self.writer_number, self.next_sequence, self.cells[SYNC_AT] = created
            if marker is not None:
                memcpy(&self.cells[MARKER_AT], <const char *>marker, 8)
            self.cells[CAPACITY_AT] = self.size
            atomic_write(&self.cells[MAGIC_AT], MAGIC)
        elif atomic_read(&self.cells[MAGIC_AT]) != MAGIC or self.cells[CAPACITY_AT] != self.size:
            raise ValueError("this is not a ring")

    def __dealloc__(self):
        PyBuffer_Release(&self.buffer)

    # The feeder

    def append(self, data):
        """Append a record, or nothing if there is no room for all of it; return its sequence times `OUTCOMES` plus outcome."""
        cdef Py_buffer record
        cdef int outcome
        PyObject_GetBuffer(data, &record, PyBUF_SIMPLE)
        try:
            with cython.critical_section(self):  # other threads of the feeder
                outcome = self.put(<const char *>record.buf, record.len)
                return (self.next_sequence - 1) * c_outcomes + outcome
        finally:
            PyBuffer_Release(&record)

    cdef int put(self, const char *record, int64_t size) except -1:
        cdef int64_t head = self.cells[HEAD_AT], used = head - atomic_read(&self.cells[TAIL_AT]), asleep
        cdef int64_t needed = self.needed(size)
        cdef BlockHeader header
        cdef char padding[BLOCK_ALIGNMENT]
        if unlikely(needed > self.size - used or atomic_read(&self.cells[ERROR_AT]) or self.cells[CLOSED_AT]):
            return FULL
        memset(padding, BLOCK_PADDING, BLOCK_ALIGNMENT)
        if self.cells[MARKER_AT]:
            header.marker = self.cells[MARKER_AT]
            header.crc = little32(crc32c_chosen(0xFFFFFFFF, record, size))
            header.length = little32(<uint32_t>size | UNSEALED)
            header.writer = little64(self.writer_number)
            header.sequence = little64(self.next_sequence)
            self.copy(head, <const char *>&header, BLOCK_HEADER)
            self.copy(head + BLOCK_HEADER, record, size)
            self.copy(head + BLOCK_HEADER + size, padding, needed - BLOCK_HEADER - size)
        else:
            self.copy(head, record, size)
            self.copy(head + size, "\n", 1)
        self.next_sequence += 1
        atomic_write(&self.cells[HEAD_AT], head + needed)
        atomic_fence()  # the writer process falls asleep, and then looks at the head once more
        asleep = atomic_read(&self.cells[ASLEEP_AT])
        if asleep == ASLEEP or asleep == LAZY and used + needed > self.size // 2:
            if atomic_exchange_with(&self.cells[ASLEEP_AT], AWAKE) != AWAKE:
                return WAKE
        return CHECK if (head ^ (head + needed)) & ~<int64_t>(CHECK_BYTES - 1) else DONE

    cdef int64_t needed(self, int64_t size) except -1:
        if not self.cells[MARKER_AT]:
            return size + 1
        if size >= UNSEALED:
            raise ValueError(f"a record has less than {UNSEALED} bytes, not {size}")
        return block_size(size)

    cdef void copy(self, int64_t position, const char *source, int64_t size) noexcept:
        cdef int64_t at = position & (self.size - 1), first = min(size, self.size - at)
        memcpy(self.data + at, source, first)
        memcpy(self.data, source + first, size - first)

    def room_for(self, int64_t size):
        """Return the capacity that a ring must have for a record of `size` bytes."""
        return self.needed(size)

    def wait(self):
        """Say that the feeder will wait for the writer process to take bytes, or to meet an error."""
        atomic_exchange_with(&self.cells[WAITING_AT], True)
        atomic_fence()

    def close(self):
        """Take no more records, and say so."""
        with cython.critical_section(self):
            atomic_write(&self.cells[CLOSED_AT], True)

    @property
    def sequence(self):
        """The sequence of the next record."""
        return self.next_sequence

    @property
    def writer(self):
        """The number of the writer."""
        return self.writer_number

    # The writer process

    def claim(self, int64_t offset):
        """Fix that the bytes that wait will be written at an offset of the file; return how many there are."""
        cdef int64_t head = atomic_read(&self.cells[HEAD_AT]), waiting = head - self.cells[TAIL_AT]
        if not 0 <= waiting <= self.size:
            raise ValueError("this ring is damaged")
        self.cells[OFFSET_AT] = offset
        atomic_write(&self.cells[CLAIMED_AT], head)
        return waiting

    def claimed(self):
        """Return the offset and the bytes of the claim in one or two views, or in none if they have been released."""
        cdef int64_t tail = self.cells[TAIL_AT], size = max(0, self.cells[CLAIMED_AT] - tail)
        cdef int64_t at = tail & (self.size - 1), first = min(size, self.size - at)
        if size > self.size:
            raise ValueError("this ring is damaged")
        if self.cells[MARKER_AT]:
            self.seal(tail, tail + size)
        views = self.view[at : at + first], self.view[: size - first]
        return self.cells[OFFSET_AT], [view for view in views if view]

    cdef int seal(self, int64_t position, int64_t end) except -1:
        """Complete the CRC of each block by its offset. One write for each, so that a kill leaves it sealed or not."""
        cdef int64_t shift = self.cells[OFFSET_AT] - position
        cdef BlockHeader header
        cdef uint64_t *words = <uint64_t *>&header
        cdef int i
        while position < end:
            for i in range(BLOCK_HEADER // 8):
                words[i] = self.word(position + 8 * i)[0]
            if little32(header.length) & UNSEALED:
                header.length = little32(little32(header.length) & ~<uint32_t>UNSEALED)
                header.crc = little32(block_crc(little32(header.crc), position + shift, &header))
                atomic_write(<int64_t *>self.word(position + 8), words[1])
            position += block_size(little32(header.length))
        if position != end:
            raise ValueError("this ring is damaged")
        return 0

    cdef uint64_t *word(self, int64_t position) noexcept:
        return <uint64_t *>(self.data + (position & (self.size - 1)))

    def release(self):
        """Free the claimed bytes, which are in the file; return whether the feeder waits for that."""
        atomic_write(&self.cells[TAIL_AT], self.cells[CLAIMED_AT])
        atomic_write(&self.cells[ERROR_AT], 0)
        atomic_fence()
        return atomic_exchange_with(&self.cells[WAITING_AT], False) != 0

    def fail(self, int64_t error):
        """Tell the feeder the number of a system's error; return whether the feeder waits."""
        atomic_write(&self.cells[ERROR_AT], error)
        atomic_fence()
        return atomic_exchange_with(&self.cells[WAITING_AT], False) != 0

    def sleep(self, int64_t depth):
        """Ask to be woken, as `LAZY` or `ASLEEP` says; return whether there is a reason to stay awake."""
        cdef int64_t waiting
        atomic_exchange_with(&self.cells[ASLEEP_AT], depth)
        atomic_fence()
        waiting = atomic_read(&self.cells[HEAD_AT]) - self.cells[TAIL_AT]
        if depth == LAZY:
            return waiting > self.size // 2 or waiting and atomic_read(&self.cells[WAITING_AT]) != 0
        return waiting != 0

    def finish(self):
        """Tell the feeder that everything up to its closing is done."""
        atomic_write(&self.cells[FINISHED_AT], True)

    # Both

    @property
    def capacity(self):
        """Bytes that fit in."""
        return self.size

    @property
    def head(self):
        """Bytes put in so far."""
        return atomic_read(&self.cells[HEAD_AT])

    @property
    def tail(self):
        """Bytes that are in the file."""
        return atomic_read(&self.cells[TAIL_AT])

    @property
    def closed(self):
        """Whether no more records follow."""
        return atomic_read(&self.cells[CLOSED_AT]) != 0

    @property
    def finished(self):
        """Whether all records of a closed ring are in the file, and synchronised if they are to be."""
        return atomic_read(&self.cells[FINISHED_AT]) != 0

    @property
    def error(self):
        """The number of the error that keeps the writer process from writing, or 0."""
        return atomic_read(&self.cells[ERROR_AT])

    @property
    def text(self):
        """Whether records are lines; otherwise they are blocks."""
        return not self.cells[MARKER_AT]

    @property
    def sync(self):
        """Whether the feeder goes on only when its record is on the disk."""
        return self.cells[SYNC_AT] != 0
