"""Count floats between ascending edges, as NumPy's histograms do: each bin from its edge to the next, the last with both.

Which slot a value has is decided by comparison with the edges, exactly; slots.h says how most comparisons are spared.
"""

from libc.math cimport INFINITY, NAN, fabs, isfinite, isnan, nextafter
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc


cdef extern from "scratch.h" nogil:
    void *scratch_zeros(size_t size)
    void scratch_free(void *cells)


cdef extern from "ahead.h" nogil:
    void read_ahead(const void *)

cdef extern from "slots.h" nogil:
    enum:
        SLOTS_BLOCK
    ctypedef struct CGrid "Grid":
        const double *edges
        const uint32_t *start
        uint32_t count
        int steps
        double low, scale, top
        int64_t first, last
        int shift
        double uniform_scale, uniform_top, margin
    ctypedef void (*slots_double)(const CGrid *, const double *, Py_ssize_t, uint32_t *) noexcept nogil
    ctypedef void (*slots_float)(const CGrid *, const float *, Py_ssize_t, uint32_t *) noexcept nogil
    int64_t rank "slots_rank"(double)
    slots_double slots_for_double(const CGrid *)
    slots_float slots_for_float(const CGrid *)

    enum:
        SLOTS_MOST_AXES
    ctypedef struct CAxis "Axis":
        const CGrid *grid
        const void *values
        bint single
    void slots_of_axes(const CAxis *, int, Py_ssize_t, Py_ssize_t, uint32_t *)

ctypedef fused floating:
    float
    double

cdef enum:
    STEP = 8          # values between two looks ahead: of eight bytes, a cache line
    FEW_CELLS = 4096  # 16 kB: half of the first cache
    MOST_CELLS = 1 << 20
    MOST_FOR_LANES = 1024  # two tables of these and the slots stay in the first cache

cdef double MOST_MARGIN = 0.01  # of a bin: were more values this close to an edge, comparing all would be faster


cdef class Grid:
    """The edges, and the tables that find a value's place among them: the fastest way, or `by` "cell" or "bits"."""

    cdef CGrid grid
    cdef double *edges
    cdef uint32_t *start
    cdef readonly Py_ssize_t bins

    def __cinit__(self, const double[::1] edges not None, by=None):
        cdef Py_ssize_t bins = edges.shape[0] - 1, i
        cdef double low, high, width
        if bins < 1 or bins >= 1 << 30:
            raise ValueError(f"there must be from 2 to 2**30 edges, not {bins + 1}")
        for i in range(bins):
            if not edges[i] <= edges[i + 1]:
                raise ValueError(f"the edges must ascend, not go from {edges[i]} to {edges[i + 1]}")
        self.bins = bins
        self.edges = <double *>malloc((bins + 2) * sizeof(double))
        if self.edges == NULL:
            raise MemoryError()
        for i in range(bins + 1):
            self.edges[i] = edges[i]
        low, high = edges[0], edges[bins]
        # The last bin holds its upper edge too: what is above it is not less than the next number.
        self.edges[bins] = NAN if high == INFINITY else nextafter(high, INFINITY)
        self.edges[bins + 1] = NAN
        width = high - low
        self.grid.edges = self.edges
        self.grid.count = bins + 1
        self.grid.low = low if isfinite(low) else 0
        self.lay_cells(width, by == "bits")
        if by is None:
            self.measure_margin(width)

    cdef int lay_cells(self, double width, bint by_bits) except -1:
        """As few cells as give each at most one edge; or if none do, as many as are worth it, of the better kind."""
        cdef Py_ssize_t most = min(max(16 * self.bins, <Py_ssize_t>FEW_CELLS), <Py_ssize_t>MOST_CELLS)
        cdef Py_ssize_t cells = min(max(4 * self.bins, 16), most)
        cdef double scale
        cdef int steps
        while True:
            self.grid.scale = cells / width if width > 0 else INFINITY
            if by_bits or not (isfinite(width) and isfinite(self.grid.scale)):
                break
            self.grid.top = cells - 1
            self.fill_cells(cells)
            if self.grid.steps <= 1:
                return 0
            if cells == most:
                break
            cells = min(4 * cells, most)
        steps = self.grid.steps if self.start != NULL else 64
        scale, self.grid.scale = self.grid.scale, 0
        self.grid.first = rank(self.edges[0])
        self.grid.last = rank(nextafter(self.edges[self.bins], INFINITY) if isfinite(self.edges[self.bins]) else INFINITY)
        self.grid.shift = 0
        while (<uint64_t>self.grid.last - <uint64_t>self.grid.first) >> self.grid.shift >= <uint64_t>most:
            self.grid.shift += 1
        self.fill_cells(most)
        if self.grid.steps >= steps:
            self.grid.scale = scale
            self.fill_cells(most)
        return 0

    cdef Py_ssize_t cell_of(self, double value) noexcept:
        cdef double place
        if self.grid.scale > 0:
            place = (value - self.grid.low) * self.grid.scale
            place = place if place > 0 else 0
            return <Py_ssize_t>(place if place < self.grid.top else self.grid.top)
        cdef int64_t its = self.grid.last if isnan(value) else min(max(rank(value), self.grid.first), self.grid.last)
        return <Py_ssize_t>((<uint64_t>its - <uint64_t>self.grid.first) >> self.grid.shift)

    cdef int fill_cells(self, Py_ssize_t cells) except -1:
        cdef Py_ssize_t count = self.bins + 1, cell = 0, most = 0, before = 0, its, i
        free(self.start)
        self.start = <uint32_t *>malloc((cells + 1) * sizeof(uint32_t))
        if self.start == NULL:
            raise MemoryError()
        self.grid.start = self.start
        self.start[0] = 0
        for i in range(count):
            its = self.cell_of(self.edges[i])
            while cell < its:
                cell += 1
                self.start[cell] = i
                most = max(most, i - before)
                before = i
        most = max(most, count - before)
        while cell < cells:
            cell += 1
            self.start[cell] = count
        self.grid.steps = 0
        while most >> self.grid.steps:
            self.grid.steps += 1
        return 0

    cdef void measure_margin(self, double width) noexcept:
        """How far the edges lie off uniform ones, if these serve at all."""
        cdef Py_ssize_t i
        cdef double scale = self.bins / width if width > 0 else INFINITY, off = 0
        self.grid.uniform_scale = 0
        if not (isfinite(width) and isfinite(scale) and isfinite(self.edges[self.bins])):
            return
        for i in range(self.bins + 1):
            off = max(off, fabs((self.edges[i] - self.grid.low) * scale - i))
        self.grid.margin = 2 * off + (self.bins + 4) * 2.0 ** -50  # and what rounding adds
        if self.grid.margin < MOST_MARGIN:
            self.grid.uniform_scale = scale
            self.grid.uniform_top = self.bins + 1.5

    def __dealloc__(self):
        free(self.edges)
        free(self.start)

    def count(self, int64_t[::1] counts not None, const floating[::1] values not None):
        """Add to `counts` how many values lie in each bin."""
        counted(self, counts, values, True)

    def weigh(self, double[::1] sums not None, const floating[::1] values not None, const double[::1] weights not None):
        """Add to `sums` the weights of the values in each bin."""
        cdef Py_ssize_t n = values.shape[0], slot
        if sums.shape[0] != self.bins or weights.shape[0] != n:
            raise ValueError("there must be a cell for each bin, and a weight for each value")
        if n == 0:
            return
        cdef double *table = <double *>scratch_zeros((self.bins + 2) * sizeof(double))
        if table == NULL:
            raise MemoryError()
        with nogil:
            weigh_loop(&self.grid, table, &values[0], &weights[0], n)
            for slot in range(self.bins):
                sums[slot] += table[slot + 1]
        scratch_free(table)


cdef void slots_of(const CGrid *grid, const floating *values, Py_ssize_t n, uint32_t *slots) noexcept nogil:
    if floating is double:
        slots_for_double(grid)(grid, values, n, slots)
    else:
        slots_for_float(grid)(grid, values, n, slots)


cdef void count_loop(
    const CGrid *grid, int64_t *table, int64_t *other, const floating *values, Py_ssize_t n
) noexcept nogil:
    cdef uint32_t slots[SLOTS_BLOCK]
    cdef Py_ssize_t start = 0, size, i
    while start < n:
        size = min(n - start, <Py_ssize_t>SLOTS_BLOCK)
        slots_of(grid, values + start, size, slots)
        start += size
        i = 0
        while i + 2 <= size:
            read_ahead(values + start + i)
            table[slots[i]] += 1
            other[slots[i + 1]] += 1
            i += 2
        if i < size:
            table[slots[i]] += 1


cdef void weigh_loop(
    const CGrid *grid, double *table, const floating *values, const double *weights, Py_ssize_t n
) noexcept nogil:
    cdef uint32_t slots[SLOTS_BLOCK]
    cdef Py_ssize_t start = 0, size, i, j
    while start < n:
        size = min(n - start, <Py_ssize_t>SLOTS_BLOCK)
        slots_of(grid, values + start, size, slots)
        i = 0
        while i + STEP <= size:
            read_ahead(values + start + i)
            read_ahead(weights + start + i)
            for j in range(STEP):
                table[slots[i + j]] += weights[start + i + j]
            i += STEP
        while i < size:
            table[slots[i]] += weights[start + i]
            i += 1
        start += size


cdef int counted(Grid grid, int64_t[::1] counts, const floating[::1] values, bint release) except -1:
    cdef Py_ssize_t bins = grid.bins, n = values.shape[0], slot
    if counts.shape[0] != bins:
        raise ValueError(f"{bins} bins want as many counts, not {counts.shape[0]}")
    if n == 0:
        return 0
    # Two tables, so that values close together do not wait for each other's count.
    cdef Py_ssize_t tables = 2 if bins <= MOST_FOR_LANES else 1
    cdef int64_t *table = <int64_t *>scratch_zeros(tables * (bins + 2) * sizeof(int64_t))
    if table == NULL:
        raise MemoryError()
    cdef int64_t *other = table + (tables - 1) * (bins + 2)
    if release:
        with nogil:
            count_loop(&grid.grid, table, other, &values[0], n)
    else:
        count_loop(&grid.grid, table, other, &values[0], n)
    for slot in range(bins):
        counts[slot] += table[slot + 1] + (other[slot + 1] if other != table else 0)
    scratch_free(table)
    return 0


cdef int check(int64_t[::1] counts, const double[::1] edges) except -1:
    cdef Py_ssize_t bins = counts.shape[0]
    if bins < 1 or edges.shape[0] != bins + 1:
        raise ValueError(f"{bins} bins want {bins + 1} edges, not {edges.shape[0]}")
    return 0


def released(int64_t[::1] counts not None, const floating[::1] values not None, const double[::1] edges not None):
    check(counts, edges)
    counted(Grid(edges), counts, values, True)


def held(int64_t[::1] counts not None, const floating[::1] values not None, const double[::1] edges not None):
    check(counts, edges)
    counted(Grid(edges), counts, values, False)


cdef int joint(list grids, list columns, CAxis *axes, list views) except -1:
    """The axes of a joint histogram; `views` keep what they point to."""
    cdef const double[::1] doubles
    cdef const float[::1] floats
    cdef Grid grid
    cdef Py_ssize_t n = len(columns[0]), axis
    if not 1 <= len(grids) <= SLOTS_MOST_AXES or len(columns) != len(grids):
        raise ValueError(f"there must be from 1 to {SLOTS_MOST_AXES} axes, and a column for each")
    for axis in range(len(grids)):
        grid = grids[axis]
        if len(columns[axis]) != n:
            raise ValueError("the columns must be of one length")
        axes[axis].grid = &grid.grid
        axes[axis].single = columns[axis].dtype == "f4"
        if n == 0:
            continue
        if axes[axis].single:
            floats = columns[axis]
            axes[axis].values = &floats[0]
        else:
            doubles = columns[axis]
            axes[axis].values = &doubles[0]
        views.append(columns[axis])
    return 0


cdef Py_ssize_t cells_of(list grids) except -1:
    """Cells of a joint table: for each axis its bins, and one more on either side."""
    cells = 1
    for grid in grids:
        cells *= grid.bins + 2
    if cells >= 1 << 32:
        raise MemoryError(f"a joint table of {cells} cells is too large")
    return cells


def count_joint(int64_t[::1] counts not None, list grids, list columns):
    """Count in which cell of a joint table each row of the columns lies; the last axis runs fastest."""
    cdef CAxis axes[SLOTS_MOST_AXES]
    cdef uint32_t cells[SLOTS_BLOCK]
    cdef list views = []
    cdef Py_ssize_t n, total = cells_of(grids), start = 0, size, i
    cdef int count = len(grids)
    cdef uint8_t seen
    joint(grids, columns, axes, views)
    if counts.shape[0] != total:
        raise ValueError(f"the table has {counts.shape[0]} cells, not {total}")
    n = len(columns[0])
    # Cells of 8 bits, for more of them stay in the first cache; one that comes round has counted 256.
    cdef uint8_t *table = <uint8_t *>scratch_zeros(total)
    if table == NULL:
        raise MemoryError()
    with nogil:
        while start < n:
            size = min(n - start, <Py_ssize_t>SLOTS_BLOCK)
            slots_of_axes(axes, count, start, size, cells)
            for i in range(size):
                seen = table[cells[i]] + 1
                table[cells[i]] = seen
                if seen == 0:
                    counts[cells[i]] += 256
            start += size
        for i in range(total):
            counts[i] += table[i]
    scratch_free(table)


def weigh_joint(double[::1] sums not None, list grids, list columns, const double[::1] weights not None):
    """`count_joint`, where each row adds its weight."""
    cdef CAxis axes[SLOTS_MOST_AXES]
    cdef uint32_t cells[SLOTS_BLOCK]
    cdef list views = []
    cdef Py_ssize_t n, start = 0, size, i
    cdef int count = len(grids)
    joint(grids, columns, axes, views)
    n = len(columns[0])
    if sums.shape[0] != cells_of(grids) or weights.shape[0] != n:
        raise ValueError("the table must have a cell for each slot of each axis, and each row a weight")
    with nogil:
        while start < n:
            size = min(n - start, <Py_ssize_t>SLOTS_BLOCK)
            slots_of_axes(axes, count, start, size, cells)
            for i in range(size):
                sums[cells[i]] += weights[start + i]
            start += size
