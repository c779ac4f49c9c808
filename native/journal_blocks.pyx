"""The blocks of a journal: checksums, building, finding, and appending to the file."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import errno
import os

from atomic cimport atomic_read
from journal_file cimport (
    BLOCK_ALIGNMENT, BLOCK_HEADER, BLOCK_PADDING, BlockHeader, Crc32c, block_check, block_fill_header, block_search,
    block_size, crc32c_baseline, crc32c_chosen, crc32c_initialise, crc32c_instruction, little32, little64,
)

from parcount._native import cpu_features

cdef extern from "journal_file.h" nogil:
    int c_append "LOCK_APPEND"
    int c_attach "LOCK_ATTACH"
    int c_uses_lock "LOCK_USES_LOCK"
    int c_uses_reserve "LOCK_USES_RESERVE"
    int c_uses_queue "LOCK_USES_QUEUE"
    int c_slots "LOCK_SLOTS"
    int F_RDLCK, F_WRLCK, F_UNLCK
    int file_lock(int descriptor, int which, int kind, int wait)
    int file_locked(int descriptor, int which)
    int append_block_locked(int descriptor, uint64_t marker, uint64_t writer, uint64_t sequence, const void *data,
                            uint32_t length, uint32_t state)
    int append_line_locked(int descriptor, const void *data, uint64_t length)

cdef extern from "journal_reserve.h" nogil:
    int c_records_at "RECORDS_AT"
    int c_end_at "END_AT"
    int c_allocated_at "ALLOCATED_AT"
    int c_slots_at "SLOTS_AT"
    int c_slot_size "SLOT_SIZE"
    int c_slot_cells "SLOT_CELLS"
    ctypedef struct ReserveCell:
        uint64_t sequence
    ctypedef struct Reserve:
        int64_t closed
    int reserve_attach(Reserve *file, int descriptor, int slot, uint64_t marker, uint64_t writer)
    ReserveCell *reserve_acquire(Reserve *file)
    void reserve_finish(ReserveCell *cell)
    void reserve_release(ReserveCell *cell)
    void reserve_release_all(Reserve *file)
    void reserve_yield()
    void reserve_detach(Reserve *file)
    int reserve_allocate(Reserve *file, uint64_t end)
    int reserve_space(Reserve *file, ReserveCell *cell, uint64_t size, uint64_t *offset)
    bint reserve_is_mapped(const ReserveCell *cell, uint64_t offset, uint64_t size)
    void reserve_fill(Reserve *file, ReserveCell *cell, uint64_t offset, uint64_t size, const void *data,
                      uint32_t length, uint32_t state)
    int reserve_write(Reserve *file, ReserveCell *cell, uint64_t offset, uint64_t size, const void *data,
                      uint32_t length, uint32_t state)
    int c_file_system "file_system"(int descriptor, int64_t *kind)

crc32c_initialise()
if not {"SSE42", "ARM_CRC32"}.isdisjoint(cpu_features.ENABLED):
    crc32c_chosen = crc32c_instruction

ALIGNMENT = BLOCK_ALIGNMENT
MAX_RECORD = 0xFFFFFFFF

LOCK_APPEND = c_append
LOCK_ATTACH = c_attach
LOCK_USES_LOCK = c_uses_lock
LOCK_USES_RESERVE = c_uses_reserve
LOCK_USES_QUEUE = c_uses_queue
LOCK_SLOTS = c_slots

RECORDS_AT = c_records_at
END_AT = c_end_at
ALLOCATED_AT = c_allocated_at
SLOTS_AT = c_slots_at
SLOT_SIZE = c_slot_size
SLOT_CELLS = c_slot_cells

cdef enum:
    GIL_CHECKSUM = 1 << 14  # bytes whose checksum takes longer than to release the GIL


cdef uint64_t marker_of(bytes marker) except? 0:
    cdef uint64_t word
    if len(marker) != 8:
        raise ValueError("a marker has 8 bytes")
    memcpy(&word, PyBytes_AS_STRING(marker), 8)
    return word


cdef int get_constant(data, Py_buffer *view) except -1:
    """Get the bytes of `data`, or of a copy if another thread could change them between the checksum and the writing."""
    PyObject_GetBuffer(data, view, PyBUF_SIMPLE)
    if <uint64_t>view.len > <uint64_t>MAX_RECORD:
        length = view.len
        PyBuffer_Release(view)
        raise ValueError(f"a record has at most {MAX_RECORD} bytes, not {length}")
    if not view.readonly:
        PyBuffer_Release(view)
        PyObject_GetBuffer(bytes(data), view, PyBUF_SIMPLE)
    return 0


def crc32c(data, /, uint32_t value=0, *, bint baseline=False):
    """The CRC-32C of bytes, or of what has the CRC `value` with them behind it."""
    cdef Py_buffer view
    cdef Crc32c function = crc32c_baseline if baseline else crc32c_chosen
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        with nogil:
            value = ~function(~value, view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    return value


def build_block(bytes marker not None, uint64_t offset, uint64_t writer, uint64_t sequence, data, /):
    """The block of a record, for an offset in the file of a marker."""
    cdef Py_buffer view
    cdef BlockHeader header
    cdef uint64_t word = marker_of(marker), size
    cdef char *built
    get_constant(data, &view)
    try:
        size = block_size(view.len)
        block = PyBytes_FromStringAndSize(NULL, size)
        built = PyBytes_AS_STRING(block)
        with nogil:
            block_fill_header(&header, word, offset, view.len, writer, sequence, crc32c_chosen(0xFFFFFFFF, view.buf, view.len))
            memcpy(built, &header, BLOCK_HEADER)
            memcpy(built + BLOCK_HEADER, view.buf, view.len)
            memset(built + BLOCK_HEADER + view.len, BLOCK_PADDING, size - BLOCK_HEADER - view.len)
    finally:
        PyBuffer_Release(&view)
    return block


def scan(const unsigned char[::1] data not None, uint64_t offset, uint64_t end, bytes marker not None, bint searching, type record, /):
    """Find the blocks in a part of a file.

    Parameters
    ----------
    data : bytes-like
        The part.
    offset : int
        Where it begins in the file: a multiple of the alignment.
    end : int
        Where the file ends. A block that goes beyond is none.
    marker : bytes
        The marker of the file.
    searching : bool
        Whether to search the first block; otherwise one begins at the start of `data`.
    record : type
        What to make of a block: called with data, writer, sequence and offset.

    Returns
    -------
    records : list
        Those that lie one behind the other.
    position : int
        Where the first of them begins, or where to go on searching.
    next : int
        Where the last ends.
    needed : int
        How many bytes from `next` on are needed to go on; 0 if what is there is no block.
    """
    cdef uint64_t word = marker_of(marker), size = data.shape[0], position = 0, first
    cdef int64_t found = 0
    cdef const unsigned char *start = &data[0] if size else NULL
    cdef BlockHeader header
    records = []
    if searching:
        with nogil:
            while True:
                position = block_search(start, size, position, word)
                if position >= size:
                    position = size
                    found = 0
                    break
                found = block_check(start + position, size - position, offset + position, word, &header)
                if found > 0 or found < 0 and offset + position + <uint64_t>-found <= end or size - position < BLOCK_HEADER:
                    break
                position += BLOCK_ALIGNMENT
    first = position
    while True:
        if size - position < BLOCK_HEADER:
            return records, offset + first, offset + position, <uint64_t>BLOCK_HEADER
        with nogil:
            found = block_check(start + position, size - position, offset + position, word, &header)
        if found <= 0:
            if found < 0 and offset + position + <uint64_t>-found > end:
                found = 0
            return records, offset + first, offset + position, -found
        records.append(
            record(
                PyBytes_FromStringAndSize(<const char *>start + position + BLOCK_HEADER, little32(header.length)),
                little64(header.writer),
                little64(header.sequence),
                offset + position,
            )
        )
        position += found


def lock(int descriptor, int which, *, bint shared=False, bint wait=True):
    """Take the lock of a byte of a file; False if another holds it and this is not to wait."""
    cdef int error
    while True:
        with nogil:
            error = file_lock(descriptor, which, F_RDLCK if shared else F_WRLCK, wait)
        if not error:
            return True
        if error == errno.EAGAIN and not wait:
            return False
        if error != errno.EINTR:
            raise OSError(error, os.strerror(error))
        PyErr_CheckSignals()


def unlock(int descriptor, int which):
    """Release the lock of a byte of a file."""
    file_lock(descriptor, which, F_UNLCK, 0)


def is_locked(int descriptor, int which):
    """Whether another open file description has a lock of a byte of a file."""
    cdef int locked = file_locked(descriptor, which)
    if locked < 0:
        raise OSError(-locked, os.strerror(-locked))
    return locked > 0


def append_locked(int descriptor, bytes marker not None, uint64_t writer, uint64_t sequence, data, /):
    """Append a record to a file under its lock."""
    cdef Py_buffer view
    cdef uint64_t word = marker_of(marker)
    cdef uint32_t state
    cdef int error
    get_constant(data, &view)
    try:
        with nogil:
            state = crc32c_chosen(0xFFFFFFFF, view.buf, view.len)
            error = append_block_locked(descriptor, word, writer, sequence, view.buf, view.len, state)
        while error:
            if error != errno.EINTR:
                raise OSError(error, os.strerror(error))
            PyErr_CheckSignals()
            with nogil:
                error = append_block_locked(descriptor, word, writer, sequence, view.buf, view.len, state)
    finally:
        PyBuffer_Release(&view)


def append_line(int descriptor, data, /):
    """Append a line, or lines that are to lie together, without the last newline, to a file under its lock."""
    cdef Py_buffer view
    cdef int error
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        while True:
            with nogil:
                error = append_line_locked(descriptor, view.buf, view.len)
            if not error:
                return
            if error != errno.EINTR:
                raise OSError(error, os.strerror(error))
            PyErr_CheckSignals()
    finally:
        PyBuffer_Release(&view)


def file_system(int descriptor):
    """The type of the file system of a file, as statfs(2) of Linux tells it."""
    cdef int64_t kind = 0
    cdef int error = c_file_system(descriptor, &kind)
    if error:
        raise OSError(error, os.strerror(error))
    return kind


cdef class ReserveAppender:
    """Appends records to reserved space of a file. It has its own slot there."""

    cdef Reserve file

    def __cinit__(self, int descriptor, int slot, bytes marker not None, uint64_t writer):
        self.file.closed = 1
        cdef int error = reserve_attach(&self.file, descriptor, slot, marker_of(marker), writer)
        if error:
            raise OSError(error, os.strerror(error))

    def __dealloc__(self):
        reserve_detach(&self.file)

    def detach(self):
        """Wait for other threads' appends, and unmap the file. Later appends raise ValueError."""
        with nogil:
            reserve_detach(&self.file)

    def abandon(self):
        """Unmap the file in a forked child, where the threads that were appending do not exist."""
        reserve_release_all(&self.file)
        self.detach()

    def append(self, data, /):
        """Append a record; return its sequence number among those of the cell that was used."""
        cdef Py_buffer view
        cdef Reserve *file = &self.file
        cdef ReserveCell *cell
        cdef uint64_t size, offset = 0, sequence
        cdef uint32_t state
        cdef int error = 0
        get_constant(data, &view)
        try:
            size = block_size(view.len)
            if view.len < GIL_CHECKSUM:
                state = crc32c_chosen(0xFFFFFFFF, view.buf, view.len)
            else:
                with nogil:
                    state = crc32c_chosen(0xFFFFFFFF, view.buf, view.len)
            cell = reserve_acquire(file)
            if cell == NULL:
                cell = wait_for_cell(file)
            try:
                if atomic_read(&file.closed):
                    raise ValueError("the journal is closed")
                sequence = cell.sequence
                while reserve_space(file, cell, size, &offset):
                    allocate(file, cell, offset)
                if reserve_is_mapped(cell, offset, size):
                    reserve_fill(file, cell, offset, size, view.buf, view.len, state)
                else:
                    with nogil:
                        error = reserve_write(file, cell, offset, size, view.buf, view.len, state)
                reserve_finish(cell)
                if error:
                    raise OSError(error, os.strerror(error))
                cell.sequence += 1
            finally:
                reserve_release(cell)
        finally:
            PyBuffer_Release(&view)
        return sequence


cdef ReserveCell *wait_for_cell(Reserve *file) except NULL:
    cdef ReserveCell *cell = NULL
    while cell == NULL:
        PyErr_CheckSignals()
        with nogil:
            reserve_yield()
            cell = reserve_acquire(file)
    return cell


cdef int allocate(Reserve *file, ReserveCell *cell, uint64_t end) except -1:
    cdef int error
    reserve_finish(cell)
    with nogil:
        error = reserve_allocate(file, end)
    if error == errno.EINTR:
        PyErr_CheckSignals()
    elif error:
        raise OSError(error, os.strerror(error))
    return 0
