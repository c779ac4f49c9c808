"""Tables of cells of 64 bits that many threads, or processes, count into at once, each by atomic additions.

A loop that comes to a sum of more than 64 bits stops there, and says where: what is then to be done is the caller's.
"""

cimport cython
from cpython.number cimport PyNumber_Index
from libc.stdint cimport (
    INT64_MAX, INT64_MIN, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)

from atomic cimport add_to, atomic_add, atomic_exchange_with, atomic_read, atomic_take_back, atomic_write
from integers cimport integer, unlikely


@cython.no_gc  # it refers to nothing that could refer back
cdef class CounterArrayBase:
    """An array of int64 cells in memory that it was given."""

    cdef int64_t[::1] memory
    cdef int64_t closed

    def lie_in(self, int64_t[::1] memory not None):
        """Be the cells of `memory`."""
        self.memory = memory

    def shut(self):
        """Be closed from now on. The memory stays as long as this object: another thread may be in the midst of it."""
        atomic_write(&self.closed, True)

    @property
    def is_shut(self):
        return atomic_read(&self.closed) != 0

    cdef int64_t *open(self) except? NULL:
        if unlikely(atomic_read(&self.closed)):
            raise ValueError("this counter is closed")
        return &self.memory[0]

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

    @cython.binding(False)  # a plain C function: half of what a call costs
    def add(self, index, n=1, /):
        """Add `n` to a cell; return its new value."""
        return add_to(self.at(index), n)

    @cython.binding(False)
    def get(self, index, /):
        """What is in a cell."""
        return atomic_read(self.at(index))

    def read(self, int64_t[::1] out not None, Py_ssize_t start, Py_ssize_t step):
        """Read cells `start`, ``start + step``, …: as many as `out` has room for."""
        cdef int64_t *cells = self.open()
        cdef Py_ssize_t n = out.shape[0], size = self.memory.shape[0], i
        if n and not (0 <= start < size and 0 <= start + (n - 1) * step < size):
            raise IndexError("there are not as many cells")
        with nogil:
            for i in range(n):
                out[i] = atomic_read(cells + start + i * step)

    def take(self, int64_t[::1] out not None):
        """Set every cell to zero; tell what was in it."""
        cdef int64_t *cells = self.open()
        cdef Py_ssize_t n = self.same(out), i
        with nogil:
            for i in range(n):
                out[i] = atomic_exchange_with(cells + i, 0)

    cdef Py_ssize_t same(self, const int64_t[::1] table) except -1:
        if table.shape[0] != self.memory.shape[0]:
            raise ValueError("the table has not as many cells")
        return table.shape[0]

    def merge(self, const int64_t[::1] counts not None, int64_t n, Py_ssize_t start):
        """Add `n` times the counts, none of them negative, to the cells from `start` on; return where that stops."""
        cdef int64_t *cells = self.open()
        cdef Py_ssize_t size = self.same(counts), i, stop = size
        cdef int64_t count, sum = 0
        with nogil:
            for i in range(start, size):
                count = counts[i]
                if count <= 0:
                    continue
                if unlikely(
                    n > INT64_MAX // count or n < INT64_MIN // count or not atomic_add(cells + i, n * count, &sum)
                ):
                    stop = i
                    break
        return stop

    def unmerge(self, const int64_t[::1] counts not None, int64_t n, Py_ssize_t stop):
        """Take back what `merge` has added to the cells before `stop`."""
        cdef int64_t *cells = self.open()
        cdef Py_ssize_t size = min(stop, self.same(counts)), i
        with nogil:
            for i in range(size):
                if counts[i] > 0:
                    atomic_take_back(cells + i, <uint64_t>counts[i] * <uint64_t>n)

    def add_each(self, const int64_t[::1] places not None, int64_t n, Py_ssize_t start):
        """Add `n` to the cells at `places` from the one numbered `start` on; return where that stops."""
        cdef int64_t *cells = self.open()
        cdef uint64_t size = <uint64_t>self.memory.shape[0]
        cdef Py_ssize_t many = places.shape[0], i, stop = many
        cdef int64_t sum = 0
        with nogil:
            for i in range(start, many):
                if unlikely(<uint64_t>places[i] >= size or not atomic_add(cells + places[i], n, &sum)):
                    stop = i
                    break
        return stop

    def take_each(self, const int64_t[::1] places not None, int64_t n, Py_ssize_t stop):
        """Take back what `add_each` has added before it came to `stop`."""
        cdef int64_t *cells = self.open()
        cdef uint64_t size = <uint64_t>self.memory.shape[0]
        cdef Py_ssize_t many = min(stop, places.shape[0]), i
        with nogil:
            for i in range(many):
                if <uint64_t>places[i] < size:
                    atomic_take_back(cells + places[i], <uint64_t>n)


def resolve_indices(const integer[::1] keys not None, int64_t[::1] out not None, Py_ssize_t size):
    """Which of `size` cells the keys mean, negative ones from the end, until one means none; return where that is."""
    cdef Py_ssize_t n = keys.shape[0], i, stop = n
    cdef integer key
    cdef int64_t place
    if out.shape[0] != n:
        raise ValueError(f"{n} keys want as many places, not {out.shape[0]}")
    with nogil:
        for i in range(n):
            key = keys[i]
            place = <int64_t>key
            if integer is not uint64_t:
                if place < 0:
                    place += size
            if unlikely(<uint64_t>place >= <uint64_t>size):
                stop = i
                break
            out[i] = place
    return stop
