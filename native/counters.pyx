# cython: binding=False, embedsignature=True, embedsignature.format=clinic, auto_pickle=False
"""The counters' cells and the operations on them, as C types: an increment costs one call of a C function.

Nothing here relies on the GIL. Cells are read and written by atomic operations. Everything larger than a cell is guarded
by the critical section of its owner, inside which nothing blocks and no other Python code runs.

No method may crash, whatever the arguments and whichever thread calls it: objects cannot be created incomplete (see each
`__cinit__`), an object's memory is set once, and closing keeps the memory mapped while the object exists.
"""

cimport cython
from cpython.number cimport PyNumber_Index
from libc.stdint cimport (
    INT64_MAX, INT64_MIN, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)

from atomic cimport (
    PyLong_AsLongLongAndOverflow, add_to, atomic_add, atomic_exchange_with, atomic_read, atomic_subtract, atomic_write,
    checked,
)
from integers cimport integer, unlikely
from interrupt cimport POLL_ELEMENTS, Interrupt, interrupt_begin, interrupt_poll

from _thread import _local

cdef extern from "shards.h" nogil:
    const void *shards_thread_id()
    void *shards_cached(uint64_t serial)
    void shards_cache(uint64_t serial, void *handle)
    void shards_uncache(uint64_t serial, const void *handle)
    const int64_t SHARDS_LARGE, SHARDS_FULL, SHARDS_NEAR

cdef enum:
    PADDING = 128  # keeps a cell on cache lines of its own: CPUs may prefetch them in pairs


@cython.no_gc  # its references cannot form a cycle
cdef class CellMemory:
    """The memory of a counter's cells. Closing forbids its use; it is freed with the object."""

    cdef char padding_before[PADDING]
    cdef int64_t *cells
    cdef int64_t closed
    cdef bint initialized
    cdef int64_t[::1] memory

    def _use_memory(self, int64_t[::1] memory not None):
        """Use `memory` for the cells. Once only: handles and running calls hold pointers into it."""
        with cython.critical_section(self):
            if self.initialized:
                raise RuntimeError("the counter is already initialized")
            self.initialized = True
            self.memory = memory
            self.cells = &memory[0]

    def _close(self):
        """Make every later call raise ValueError. Calls that run in other threads finish."""
        atomic_write(&self.closed, True)

    @property
    def _closed(self):
        return atomic_read(&self.closed) != 0

    cdef int64_t *open(self) except? NULL:
        if unlikely(atomic_read(&self.closed)):
            raise ValueError("this counter is closed")
        return self.cells


@cython.no_gc
cdef class Cell(CellMemory):
    """One 64-bit cell, inside the object or at the beginning of given memory."""

    cdef char padding_between[PADDING]
    cdef int64_t own
    cdef char padding_behind[PADDING]

    def __cinit__(self):
        self.cells = &self.own

    def __init__(self, value=0):
        atomic_write(&self.own, checked(PyNumber_Index(value)))

    def _use_memory(self, int64_t[::1] memory not None):
        """Use the first cell of `memory`."""
        if not memory.shape[0]:
            raise ValueError("the memory of a counter must have at least one cell")
        CellMemory._use_memory(self, memory)

    def increment(self):
        """Add 1; return the new value. Equivalent to ``add(1)``."""
        cdef int64_t sum = 0
        if unlikely(atomic_read(&self.closed) or not atomic_add(self.cells, 1, &sum)):
            return add_to(self.open(), 1)
        return sum

    def add(self, n, /):
        """Add `n`; return the new value.

        O(1): one compare-and-swap, repeated while other threads change the cell in between. Needs no lock.

        Parameters
        ----------
        n : int
            May be negative.

        Raises
        ------
        TypeError
            If `n` is not an integer.
        OverflowError
            If the new value does not fit into 64 bits; the counter is unchanged.
        ValueError
            If a shared counter is closed.
        """
        return add_to(self.open(), n)

    @property
    def value(self):
        """The current value: one atomic read."""
        return atomic_read(self.open())

    def reset(self):
        """Set to zero; return the value before, in one atomic exchange."""
        return atomic_exchange_with(self.open(), 0)

    def local(self):
        """Return a handle for the calling thread.

        Without a GIL, threads that call methods of one object contend for its reference count. A handle for each thread
        avoids that. It has `increment` and `add`.
        """
        return CellHandle(self)


@cython.final
@cython.no_gc
cdef class CellHandle:
    """One thread's handle of a cell; see `Cell.local`."""

    cdef Cell counter
    cdef int64_t *cell

    def __cinit__(self, Cell counter not None):
        self.cell = counter.open()
        self.counter = counter

    def increment(self):
        """Add 1; return the new value."""
        cdef int64_t sum = 0
        if unlikely(atomic_read(&self.counter.closed) or not atomic_add(self.cell, 1, &sum)):
            return self.counter.add(1)
        return sum

    def add(self, n, /):
        """Add `n`; return the new value. Raises the same exceptions as the counter's `add`."""
        return add_to(self.counter.open(), n)

    def __reduce__(self):
        raise TypeError("a handle belongs to one thread: it cannot be copied or pickled")


@cython.no_gc
cdef class Cells(CellMemory):
    """An array of 64-bit cells in a given memory."""

    cdef int64_t *at(self, object index) except? NULL:
        cdef int64_t *cells = self.open()
        cdef Py_ssize_t size = self.memory.shape[0], i
        index = PyNumber_Index(index)
        if not -size <= index < size:
            raise IndexError(f"index {index} is out of bounds for axis 0 with size {size}")
        i = index
        return cells + (i if i >= 0 else i + size)

    def __len__(self):
        return self.memory.shape[0]

    def add(self, index, n=1, /):
        """Add to one cell; return its new value.

        O(1): one compare-and-swap, repeated while other threads change the cell in between. Needs no lock.

        Parameters
        ----------
        index : int
            The cell; negative values count from the end.
        n : int, optional
            The amount; may be negative.

        Raises
        ------
        IndexError
            If there is no such cell.
        TypeError
            If `index` or `n` is not an integer.
        OverflowError
            If the new value does not fit into 64 bits; the cell is unchanged.
        ValueError
            If the array is closed.
        """
        return add_to(self.at(index), n)

    def _get(self, index, /):
        """The value of one cell."""
        return atomic_read(self.at(index))

    def _read(self, int64_t[::1] out not None, Py_ssize_t start, Py_ssize_t step):
        """Read cells ``start``, ``start + step``, … into `out`."""
        cdef int64_t *cells = self.open()
        cdef Py_ssize_t n = out.shape[0], size = self.memory.shape[0], i
        if n and not (0 <= start < size and 0 <= start + (<object>n - 1) * step < size):
            raise IndexError("the slice exceeds the array")
        cdef Interrupt state
        interrupt_begin(&state)
        with nogil:
            for i in range(n):
                out[i] = atomic_read(cells + start + i * step)
                if i % POLL_ELEMENTS == POLL_ELEMENTS - 1:
                    interrupt_poll(&state)

    def _take(self, int64_t[::1] out not None):
        """Set every cell to zero and write the values before into `out`; if interrupted, add them back."""
        cdef int64_t *cells = self.open()
        cdef Py_ssize_t n = self.same_size(out), i = 0, taken
        cdef Interrupt state
        interrupt_begin(&state)
        try:
            with nogil:
                while i < n:
                    out[i] = atomic_exchange_with(cells + i, 0)
                    i += 1
                    if i % POLL_ELEMENTS == 0:
                        interrupt_poll(&state)
        except BaseException:
            with nogil:
                for taken in range(i):
                    atomic_subtract(cells + taken, -<uint64_t>out[taken])
            raise

    cdef Py_ssize_t same_size(self, const int64_t[::1] table) except -1:
        if table.shape[0] != self.memory.shape[0]:
            raise ValueError("the table and the array differ in size")
        return table.shape[0]

    def _add_all(self, const int64_t[::1] indices, const int64_t[::1] counts, n):
        """Add `n` to the cell at each index; or, if `indices` is None, `n` times each count to its cell.

        Counts are not negative. If this raises, no cell has changed.
        """
        cdef int64_t *cells = self.open()
        cdef const int64_t *at = NULL if indices is None else &indices[0]
        cdef const int64_t *times = &counts[0] if indices is None else NULL
        cdef Py_ssize_t size = self.memory.shape[0], done = 0, stop, i
        cdef Py_ssize_t many = self.same_size(counts) if indices is None else indices.shape[0]
        cdef int64_t by = n, index
        cdef Interrupt state
        interrupt_begin(&state)
        try:
            while done < many:
                stop = min(done + POLL_ELEMENTS, many)
                with nogil:
                    done = add_all(cells, size, at, times, by, done, stop)
                interrupt_poll(&state)
                if done < stop:  # not possible in 64 bits: this raises, unless the cell has changed since
                    add_to(self.at(done if at == NULL else at[done]), n if times == NULL else <object>times[done] * n)
                    done += 1
        except BaseException:
            with nogil:
                for i in range(done):
                    index = i if at == NULL else at[i]
                    if <uint64_t>index < <uint64_t>size:
                        atomic_subtract(cells + index, <uint64_t>by * (1 if times == NULL else max(times[i], 0)))
            raise


cdef Py_ssize_t add_all(
    int64_t *cells, Py_ssize_t size, const int64_t *indices, const int64_t *counts, int64_t n, Py_ssize_t start,
    Py_ssize_t stop,
) noexcept nogil:
    """Add from position `start` to `stop`; return the position where that is not possible, or `stop`."""
    cdef int64_t index, amount = n, sum = 0
    cdef Py_ssize_t i
    for i in range(start, stop):
        index = i if indices == NULL else indices[i]
        if counts != NULL:
            if counts[i] <= 0:
                continue
            if unlikely(n > INT64_MAX // counts[i] or n < INT64_MIN // counts[i]):
                return i
            amount = n * counts[i]
        if unlikely(<uint64_t>index >= <uint64_t>size or not atomic_add(cells + index, amount, &sum)):
            return i
    return stop


def resolve_indices(const integer[::1] keys not None, int64_t[::1] out not None, Py_ssize_t size):
    """Convert keys to indices from 0 to ``size - 1``; return the position of the first key out of bounds, or the end."""
    cdef Py_ssize_t n = keys.shape[0], i, stop = n
    cdef integer key
    cdef int64_t index
    cdef Interrupt state
    interrupt_begin(&state)
    if out.shape[0] != n:
        raise ValueError(f"{n} keys need an output of {n} elements, not {out.shape[0]}")
    with nogil:
        for i in range(n):
            key = keys[i]
            index = <int64_t>key
            if integer is not uint64_t:
                if index < 0:
                    index += size
            if unlikely(<uint64_t>index >= <uint64_t>size):
                stop = i
                break
            out[i] = index
            if i % POLL_ELEMENTS == POLL_ELEMENTS - 1:
                interrupt_poll(&state)
    return stop


def as_int64(value, /):
    """`value` as an int. TypeError if it is not an integer, OverflowError if it does not fit into 64 bits."""
    return checked(PyNumber_Index(value))


cdef struct Shard:
    char padding_before[PADDING]
    int64_t count           # written by one thread only
    Shard *next
    Shard *previous
    char padding_behind[PADDING]


@cython.final
@cython.no_gc
cdef class ShardedSum:
    """A base value and a linked list of shards, one for each thread that adds.

    Handles refer to this object rather than to the counter. So a counter can be freed, and with it the handles in its
    `threading.local`, which would otherwise be part of a cycle.
    """

    cdef object base        # an int of any size, guarded by the critical section
    cdef Shard *first
    cdef char padding_before[PADDING]
    cdef int64_t near_limit # whether every sum has to be compared with the limit
    cdef char padding_behind[PADDING]

    def __cinit__(self, base):
        self.base = PyNumber_Index(base)
        self.update_near_limit()

    cdef object total(self):
        """The sum. Inside the critical section."""
        cdef Shard *shard = self.first
        cdef int64_t sum = 0
        while shard != NULL:
            sum += atomic_read(&shard.count)
            shard = shard.next
        return self.base + sum

    cdef int update_near_limit(self) except -1:  # inside the critical section
        atomic_write(&self.near_limit, not -SHARDS_NEAR <= self.base <= SHARDS_NEAR)
        return 0

    cdef int add(self, object n, Shard *own) except -1:
        """Add to the base; move the count of the calling thread's `own` shard there too.

        The check does not see sums that other threads are about to write into their shards. So the total may exceed 64
        bits; it is exact nevertheless.
        """
        with cython.critical_section(self):
            checked(self.total() + n)
            if own != NULL:
                self.base += own.count
                atomic_write(&own.count, 0)
            self.base += n
            self.update_near_limit()
        return 0

    cdef object read(self):
        with cython.critical_section(self):
            return self.total()

    cdef object take(self):
        """Set the sum to zero and return it. Only the base changes: a shard is written by its own thread only."""
        with cython.critical_section(self):
            total = self.total()
            self.base -= total
            self.update_near_limit()
            return total

    cdef int link(self, Shard *shard) except -1:
        with cython.critical_section(self):
            shard.next = self.first
            if self.first != NULL:
                self.first.previous = shard
            self.first = shard
        return 0

    cdef int unlink(self, Shard *shard) except -1:
        """Remove a shard; its count goes to the base."""
        with cython.critical_section(self):
            if shard.previous != NULL:
                shard.previous.next = shard.next
            else:
                self.first = shard.next
            if shard.next != NULL:
                shard.next.previous = shard.previous
            self.base += shard.count
            self.update_near_limit()
        return 0

    cdef Py_ssize_t count(self) except -1:
        cdef Py_ssize_t n = 0
        with cython.critical_section(self):
            shard = self.first
            while shard != NULL:
                n += 1
                shard = shard.next
        return n


@cython.final
@cython.no_gc
cdef class ShardHandle:
    """The shard of one thread, to which it adds without an atomic operation."""

    cdef ShardedSum sum
    cdef const void *thread
    cdef uint64_t serial    # of the counter, if the thread caches this handle
    cdef Shard shard

    def __cinit__(self, ShardedSum total not None, uint64_t serial):
        self.thread = shards_thread_id()
        self.serial = serial
        total.link(&self.shard)
        self.sum = total

    def increment(self):
        """Add 1."""
        self.add_integer(1)

    def add(self, n, /):
        """Add `n`. Raises the same exceptions as the counter's `add`."""
        add_to_shard(self, n)

    cdef int add_integer(self, int64_t n) except -1:
        cdef int64_t count
        if self.thread == shards_thread_id() and -SHARDS_LARGE <= n <= SHARDS_LARGE:
            count = self.shard.count + n
            if -SHARDS_FULL <= count <= SHARDS_FULL and not atomic_read(&self.sum.near_limit):
                atomic_write(&self.shard.count, count)
                return 0
        return self.add_to_base(n)

    cdef int add_to_base(self, object n) except -1:
        return self.sum.add(n, &self.shard if self.thread == shards_thread_id() else NULL)

    def __reduce__(self):
        raise TypeError("a handle belongs to one thread: it cannot be copied or pickled")

    def __dealloc__(self):
        if self.sum is not None:
            shards_uncache(self.serial, <void *>self)
            self.sum.unlink(&self.shard)


cdef int add_to_shard(ShardHandle handle, object n) except -1:
    cdef int overflow = 0
    cdef int64_t number = PyLong_AsLongLongAndOverflow(n, &overflow)
    return handle.add_to_base(PyNumber_Index(n)) if overflow else handle.add_integer(number)


cdef int64_t last_serial = 0


@cython.no_gc  # its references to handles are private, so they cannot form a cycle
cdef class Sharded:
    """A sum of shards, one for each thread that adds to it."""

    cdef ShardedSum sum
    cdef object handles     # a threading.local: each thread's handle, while it runs
    cdef int64_t serial

    def __cinit__(self):
        self.handles = _local()
        self.sum = ShardedSum(0)
        atomic_add(&last_serial, 1, &self.serial)

    def __init__(self, value=0):
        self.sum.add(PyNumber_Index(value), NULL)

    cdef ShardHandle own_handle(self):
        cdef void *cached = shards_cached(self.serial)
        if cached != NULL:
            return <ShardHandle>cached
        handle = getattr(self.handles, "handle", None)
        if handle is None:
            handle = self.handles.handle = ShardHandle(self.sum, self.serial)
        shards_cache(self.serial, <void *>handle)
        return handle

    def increment(self):
        """Add 1. Equivalent to ``add(1)``."""
        self.own_handle().add_integer(1)

    def add(self, n, /):
        """Add `n`.

        O(1): a read and a write of the thread's own cell. Amounts beyond 2**32 are added to the base value, inside a
        critical section. Parameters and exceptions are those of `AtomicCounter.add`.
        """
        add_to_shard(self.own_handle(), n)

    @property
    def value(self):
        """The current value: the sum of all threads' cells, O(threads)."""
        return self.sum.read()

    def reset(self):
        """Set to zero; return the value before. O(threads)."""
        return self.sum.take()

    def local(self):
        """Return a handle for the calling thread, with its own cell; see `AtomicCounter.local`."""
        return ShardHandle(self.sum, 0)

    @property
    def _shard_count(self):
        return self.sum.count()
