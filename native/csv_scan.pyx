"""The values of one column of separated values or of JSON lines, counted in a table of values."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free

from interrupt cimport Interrupt, interrupt_begin, interrupt_poll

from parcount._native import cpu_features

cdef extern from "csv_scan.h" nogil:
    enum:
        FIELD_BATCH
        NO_QUOTE
        SHORT_ROW_ERROR
        SHORT_ROW_SKIP
        SHORT_ROW_EMPTY
        SCAN_FAILED
        SCAN_NO_MEMORY
        SCAN_SHORT_ROW
    ctypedef struct CsvScan:
        uint8_t delimiter
        int quote
        bint rows_only
        int short_rows
        size_t column
        int (*sink)(void *, const uint8_t *const *, const size_t *, size_t) except -1 nogil
        void *context
        Py_ssize_t short_row
        size_t short_columns
        bint open_quote
        size_t count
        uint8_t *unquoted
        size_t unquoted_used
    Py_ssize_t csv_scan(CsvScan *, const uint8_t *, Py_ssize_t, bint last, bint avx512, bint avx2, bint neon) except? -1

cdef extern from "json_scan.h" nogil:
    enum:
        SCAN_INVALID
    ctypedef struct JsonScan:
        const uint8_t *key
        size_t key_length
        CsvScan *scan
    Py_ssize_t json_scan(JsonScan *, const uint8_t *, Py_ssize_t, bint last) except? -1

cdef extern from "value_table.h" nogil:
    ctypedef enum ValueStatus:
        VALUE_OK
        VALUE_FULL
        VALUE_NO_MEMORY
        VALUE_OVERFLOW
    ctypedef struct CValueTable "ValueTable":
        pass
    size_t value_table_add_batch(
        CValueTable *, const uint8_t *const *keys, const size_t *lengths, const uint64_t *counts, size_t, ValueStatus *
    )

SHORT_ROWS = {"error": SHORT_ROW_ERROR, "skip": SHORT_ROW_SKIP, "empty": SHORT_ROW_EMPTY}
"""What can become of rows that do not have the column."""


class ShortRow(ValueError):
    """A row does not have the column; the arguments are its offset in the block and the number of its columns."""


class InvalidLine(ValueError):
    """A line is no JSON object that can be read; the argument is its offset in the block."""


ctypedef struct Sink:
    CValueTable *table
    PyObject *spill  # empties the table when it is full
    Interrupt interrupt
    int batches


cdef enum:
    POLL_BATCHES = 64


cdef int add_values(
    Sink *sink, const uint8_t *const *values, const size_t *lengths, const uint64_t *counts, size_t n
) except -1 nogil:
    cdef size_t done = 0
    cdef ValueStatus status
    while True:
        done += value_table_add_batch(
            sink.table, values + done, lengths + done, counts + done if counts else NULL, n - done, &status
        )
        if status != VALUE_FULL:
            break
        with gil:
            (<object>sink.spill)()
    if status != VALUE_OK:
        with gil:
            if status == VALUE_OVERFLOW:
                raise OverflowError("a value occurs more than 2**48 - 1 times")
            raise MemoryError("no memory for the table of values")
    sink.batches += 1
    if sink.batches % POLL_BATCHES == 0:
        interrupt_poll(&sink.interrupt)
    return 0


cdef int add_fields(void *sink, const uint8_t *const *fields, const size_t *lengths, size_t n) except -1 nogil:
    return add_values(<Sink *>sink, fields, lengths, NULL, n)


cdef int open_sink(Sink *sink, capsule, spill) except -1:
    sink.table = <CValueTable *>PyCapsule_GetPointer(capsule, "parcount.value_table")
    sink.spill = <PyObject *>spill
    sink.batches = 0
    return interrupt_begin(&sink.interrupt)


cdef class FieldScanner:
    """Finds the values of one column in blocks that begin with a row. One thread at a time may use it.

    Parameters
    ----------
    column : int, optional
        Counted from 0.
    key : bytes, optional
        The key of JSON lines, instead of a column.
    delimiter : int
        A byte.
    quote : int or None
        A byte; with None quotes are characters like others.
    short_rows : {"error", "skip", "empty"}
        What becomes of rows that do not have the column: one of `SHORT_ROWS`.
    features : iterable of str, optional
        The CPU features to use; by default those that are enabled.
    """

    cdef CsvScan *scan
    cdef JsonScan json
    cdef bytes key
    cdef bint avx512, avx2, neon

    def __cinit__(self, size_t column=0, *, bytes key=None, int delimiter=44, quote=34, short_rows="error", features=None):
        self.scan = <CsvScan *>calloc(1, sizeof(CsvScan))
        if self.scan == NULL:
            raise MemoryError()
        self.scan.delimiter = delimiter
        self.scan.quote = NO_QUOTE if quote is None else quote
        self.scan.short_rows = SHORT_ROWS[short_rows]
        self.scan.column = column
        self.scan.sink = add_fields
        self.key = key
        if key is not None:
            self.json = JsonScan(<const uint8_t *>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), self.scan)
        features = cpu_features.ENABLED if features is None else features
        self.avx512, self.avx2, self.neon = "AVX512" in features, "AVX2" in features, "NEON" in features

    def __dealloc__(self):
        if self.scan != NULL:
            free(self.scan.unquoted)
            free(self.scan)

    @property
    def open_quote(self):
        """Whether the last row that was found ended inside quotes."""
        return self.scan.open_quote

    def update(self, table, spill, const uint8_t[::1] block not None, *, bint last):
        """Add the values of the rows of a block, without the GIL; return how many of its bytes these rows take.

        Parameters
        ----------
        table : capsule
            `ValueTable.capsule`.
        spill : callable
            Called when the table is full, to empty it.
        block : buffer
            Bytes that begin with a row.
        last : bool
            Whether a row without an end at the end of the block is complete.

        Raises
        ------
        ShortRow, InvalidLine
            If a row cannot be counted. Those before it have been counted.
        """
        cdef Sink sink
        cdef Py_ssize_t size = block.shape[0], used
        if not size:
            return 0
        open_sink(&sink, table, spill)
        self.scan.context = &sink
        self.scan.count = self.scan.unquoted_used = 0
        with nogil:
            if self.json.scan != NULL:
                used = json_scan(&self.json, &block[0], size, last)
            else:
                used = csv_scan(self.scan, &block[0], size, last, self.avx512, self.avx2, self.neon)
        if used == SCAN_NO_MEMORY:
            raise MemoryError("no memory for a value")
        if used == SCAN_SHORT_ROW:
            raise ShortRow(self.scan.short_row, self.scan.short_columns)
        if used == SCAN_INVALID:
            raise InvalidLine(self.scan.short_row)
        return used

    def complete(self, const uint8_t[::1] block not None):
        """Return how many bytes the complete rows of a block take, without the GIL."""
        cdef Py_ssize_t size = block.shape[0], used
        if not size:
            return 0
        self.scan.rows_only = True
        with nogil:
            used = csv_scan(self.scan, &block[0], size, False, self.avx512, self.avx2, self.neon)
        self.scan.rows_only = False
        return used


def add_spans(table, spill, const uint8_t[::1] data not None, const int64_t[::1] offsets not None, const int64_t[::1] counts not None):
    """Add ``data[offsets[i] : offsets[i + 1]]`` to a table, `counts[i]` times each."""
    cdef Py_ssize_t n = counts.shape[0], i, size, done = 0
    cdef const uint8_t *values[FIELD_BATCH]
    cdef size_t lengths[FIELD_BATCH]
    cdef const uint8_t *start = &data[0] if data.shape[0] else <const uint8_t *>b""
    cdef Sink sink
    if offsets.shape[0] != n + 1 or (n and (offsets[0] < 0 or offsets[n] > data.shape[0])):
        raise ValueError("the offsets do not fit to the counts or to the data")
    for i in range(n):
        if offsets[i] > offsets[i + 1] or counts[i] < 0:
            raise ValueError("offsets must not descend, nor counts be negative")
    if not n:
        return
    open_sink(&sink, table, spill)
    with nogil:
        while done < n:
            size = min(n - done, <Py_ssize_t>FIELD_BATCH)
            for i in range(size):
                values[i] = start + offsets[done + i]
                lengths[i] = offsets[done + i + 1] - offsets[done + i]
            add_values(&sink, values, lengths, <const uint64_t *>&counts[done], size)
            done += size
