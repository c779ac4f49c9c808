# cython: binding=False, embedsignature=True, embedsignature.format=clinic
"""Counters of one number, as objects of C: what `increment` costs is then a call of a C function, and no more.

Nothing here relies on the GIL: cells are read and written by atomic operations, and what is more than a cell under the
critical section of its owner, in which nothing waits or runs other Python code.
"""

cimport cython
from cpython.number cimport PyNumber_Index
from libc.stdint cimport int64_t, uint64_t

from atomic cimport (
    PyLong_AsLongLongAndOverflow, add_to, atomic_add, atomic_exchange_with, atomic_read, atomic_write, checked,
)
from integers cimport unlikely

from _thread import _local

cdef extern from "shards.h" nogil:
    const void *shards_thread()
    void *shards_recall(uint64_t serial)
    void shards_remember(uint64_t serial, void *share)
    void shards_forget(uint64_t serial, const void *share)
    const int64_t SHARDS_LARGE, SHARDS_FULL, SHARDS_NEAR

cdef enum:
    APART = 128  # bytes that keep a cell to itself: a cache line, or two where they are fetched in pairs


@cython.no_gc  # it refers to nothing that could refer back
cdef class Cell:
    """One cell: its own, alone on its cache lines, or one that lies in memory that it was given."""

    cdef char before[APART]
    cdef int64_t *cell
    cdef int64_t closed
    cdef int64_t[::1] memory
    cdef char between[APART]
    cdef int64_t own
    cdef char behind[APART]

    def __cinit__(self):
        self.cell = &self.own

    def __init__(self, value=0):
        self.own = checked(PyNumber_Index(value))

    def lie_in(self, int64_t[::1] memory not None):
        """Be the first cell of `memory` from now on."""
        self.memory = memory
        self.cell = &memory[0]

    def shut(self):
        """Be closed from now on. The memory stays as long as this object: another thread may be in the midst of it."""
        atomic_write(&self.closed, True)

    @property
    def is_shut(self):
        return atomic_read(&self.closed) != 0

    cdef int64_t *open(self) except NULL:
        if unlikely(atomic_read(&self.closed)):
            raise ValueError("this counter is closed")
        return self.cell

    def increment(self):
        """Add one; return the new value."""
        cdef int64_t sum = 0
        if unlikely(atomic_read(&self.closed) or not atomic_add(self.cell, 1, &sum)):
            return add_to(self.open(), 1)
        return sum

    def add(self, n, /):
        """Add `n`; return the new value."""
        return add_to(self.open(), n)

    @property
    def value(self):
        """What has been counted."""
        return atomic_read(self.open())

    def reset(self):
        """Set to zero; return what was taken away."""
        return atomic_exchange_with(self.open(), 0)

    def local(self):
        """A handle of the calling thread's own."""
        return handle_of(self)


@cython.final
@cython.no_gc
cdef class CellHandle:
    """A thread's own way to a cell: threads that call methods of one object wait for each other to count its references."""

    cdef Cell counter
    cdef int64_t *cell

    def increment(self):
        """Add one; return the new value."""
        cdef int64_t sum = 0
        if unlikely(atomic_read(&self.counter.closed) or not atomic_add(self.cell, 1, &sum)):
            return self.counter.add(1)
        return sum

    def add(self, n, /):
        """Add `n`; return the new value."""
        return add_to(self.counter.open(), n)

    def __reduce__(self):
        raise TypeError("a handle belongs to one thread: it cannot be copied or pickled")


cdef CellHandle handle_of(Cell counter):
    cdef CellHandle handle = CellHandle.__new__(CellHandle)
    handle.counter = counter
    handle.cell = counter.open()
    return handle


cdef struct Shard:
    char before[APART]
    int64_t count           # written by one thread only
    Shard *next
    Shard *previous
    char behind[APART]


@cython.final
@cython.no_gc
cdef class Shards:
    """The sum of a sharded counter: a base, and the shares of the threads that add to it.

    It is what shares refer to, and not the counter: this goes, and the shares that `threading.local` holds with it.
    """

    cdef object base        # what is in no share; any integer, under the critical section
    cdef Shard *first
    cdef char before[APART]
    cdef int64_t near       # whether every sum is to be compared with the limit
    cdef char behind[APART]

    def __cinit__(self, base):
        self.base = base
        self.look()

    cdef object total(self):
        """The sum. Within the critical section."""
        cdef Shard *shard = self.first
        cdef int64_t sum = 0
        while shard != NULL:
            sum += atomic_read(&shard.count)
            shard = shard.next
        return self.base + sum

    cdef int look(self) except -1:
        """See whether the limit is near. Within the critical section."""
        atomic_write(&self.near, not -SHARDS_NEAR <= self.base <= SHARDS_NEAR)
        return 0

    cdef int add(self, object n, Shard *own) except -1:
        """Add to the base, and with it what a thread has in its `own` share.

        Where the limit is near, a sum that another thread is just about to write into its share is not among those that
        are added up here: by that the total may pass the limit, and is exact all the same.
        """
        with cython.critical_section(self):
            checked(self.total() + n)
            if own != NULL:
                self.base += own.count
                atomic_write(&own.count, 0)
            self.base += n
            self.look()
        return 0

    cdef object sum(self):
        with cython.critical_section(self):
            return self.total()

    cdef object take(self):
        """Set the sum to zero by the base alone, for only its thread writes a share; return what it was."""
        with cython.critical_section(self):
            total = self.total()
            self.base -= total
            self.look()
            return total

    cdef int enter(self, Shard *shard) except -1:
        with cython.critical_section(self):
            shard.next = self.first
            if self.first != NULL:
                self.first.previous = shard
            self.first = shard
        return 0

    cdef int leave(self, Shard *shard) except -1:
        """Add what is in a share to the base, and the share is none any more."""
        with cython.critical_section(self):
            if shard.previous != NULL:
                shard.previous.next = shard.next
            else:
                self.first = shard.next
            if shard.next != NULL:
                shard.next.previous = shard.previous
            self.base += shard.count
            self.look()
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
cdef class Share:
    """A cell that one thread adds to, without any other waiting: by reading and writing, not by an atomic addition."""

    cdef Shards shards
    cdef const void *thread
    cdef uint64_t serial    # of the counter, where the thread remembers this as its share
    cdef Shard shard

    def increment(self):
        """Add one."""
        self.plus(1)

    def add(self, n, /):
        """Add `n`."""
        add_share(self, n)

    cdef int plus(self, int64_t n) except -1:
        cdef int64_t count
        if self.thread == shards_thread() and -SHARDS_LARGE <= n <= SHARDS_LARGE:
            count = self.shard.count + n
            if -SHARDS_FULL <= count <= SHARDS_FULL and not atomic_read(&self.shards.near):
                atomic_write(&self.shard.count, count)
                return 0
        return self.plus_in_python(n)

    cdef int plus_in_python(self, object n) except -1:
        return self.shards.add(n, &self.shard if self.thread == shards_thread() else NULL)

    def __reduce__(self):
        raise TypeError("a handle belongs to one thread: it cannot be copied or pickled")

    def __dealloc__(self):
        if self.shards is not None:
            shards_forget(self.serial, <void *>self)
            self.shards.leave(&self.shard)


cdef int add_share(Share share, object n) except -1:
    cdef int overflow = 0
    cdef int64_t number = PyLong_AsLongLongAndOverflow(n, &overflow)
    return share.plus_in_python(PyNumber_Index(n)) if overflow else share.plus(number)


cdef Share share_of(Shards shards, uint64_t serial):
    """A new share for the calling thread."""
    cdef Share share = Share.__new__(Share)
    share.thread = shards_thread()
    share.serial = serial
    shards.enter(&share.shard)
    share.shards = shards
    return share


cdef int64_t last_serial = 0


@cython.no_gc  # it refers to its shares only through what nobody else can change
cdef class Sharded:
    """A sum of shares, one for each thread that adds to it."""

    cdef Shards shards
    cdef object shares      # of each thread, as long as it runs
    cdef int64_t serial

    def __cinit__(self):
        self.shares = _local()
        self.shards = Shards(0)
        atomic_add(&last_serial, 1, &self.serial)

    def __init__(self, value=0):
        self.shards.add(PyNumber_Index(value), NULL)

    cdef Share mine(self):
        """The calling thread's share."""
        cdef void *known = shards_recall(self.serial)
        if known != NULL:
            return <Share>known
        share = getattr(self.shares, "share", None)
        if share is None:
            share = self.shares.share = share_of(self.shards, self.serial)
        shards_remember(self.serial, <void *>share)
        return share

    def increment(self):
        """Add one."""
        self.mine().plus(1)

    def add(self, n, /):
        """Add `n`."""
        add_share(self.mine(), n)

    @property
    def value(self):
        """What has been counted."""
        return self.shards.sum()

    def reset(self):
        """Set to zero; return what was taken away."""
        return self.shards.take()

    def local(self):
        """A handle of the calling thread's own."""
        return share_of(self.shards, 0)

    @property
    def cells(self):
        """How many cells the sum is of."""
        return self.shards.count()
