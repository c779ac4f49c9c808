"""Count floats between ascending edges, as NumPy's histograms do: each bin from its edge to the next, the last with both.

Which slot a value has is decided by comparison with the edges, exactly; bin_search.h says how most comparisons are spared.
"""

from libc.math cimport INFINITY, NAN, fabs, isfinite, isnan, nextafter
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc


cdef extern from "scratch_alloc.h" nogil:
    void *scratch_calloc(size_t size)
    void scratch_free(void *cells)


cdef extern from "prefetch.h" nogil:
    void prefetch_ahead(const void *)

cdef extern from "bin_search.h" nogil:
    enum:
        BIN_SEARCH_BLOCK
    ctypedef struct CBinSearch "BinSearch":
        const double *edges
        const uint32_t *start
        uint32_t count
        int steps
        double low, scale, top
        int64_t first, last
        int shift
        double uniform_scale, uniform_top, margin
    ctypedef void (*find_bins_double)(const CBinSearch *, const double *, Py_ssize_t, uint32_t *) noexcept nogil
    ctypedef void (*find_bins_float)(const CBinSearch *, const float *, Py_ssize_t, uint32_t *) noexcept nogil
    int64_t rank "double_rank"(double)
    find_bins_double select_find_bins_double(const CBinSearch *)
    find_bins_float select_find_bins_float(const CBinSearch *)

    enum:
        MAX_AXES
    ctypedef struct CAxis "Axis":
        const CBinSearch *search
        const void *values
        bint single
    void find_joint_bins(const CAxis *, int, Py_ssize_t, Py_ssize_t, uint32_t *)

ctypedef fused floating:
    float
    double

cdef enum:
    STEP = 8          # values between two looks ahead: of eight bytes, a cache line
    MIN_BUCKET_LIMIT = 4096  # 16 kB: half of the first cache
    MAX_BUCKETS = 1 << 20
    MAX_BINS_FOR_TWO_TABLES = 1024  # two tables of these and the bins stay in the first cache

cdef double MAX_MARGIN = 0.01  # of a bin: were more values this close to an edge, comparing all would be faster


cdef class BinSearch:
    """The edges, and the tables that find a value's place among them: the fastest way, or `by` "width" or "rank"."""

    cdef CBinSearch search
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
        self.search.edges = self.edges
        self.search.count = bins + 1
        self.search.low = low if isfinite(low) else 0
        self.build_buckets(width, by == "rank")
        if by is None:
            self.check_uniform(width)

    cdef int build_buckets(self, double width, bint by_rank) except -1:
        """As few cells as give each at most one edge; or if none do, as many as are worth it, of the better kind."""
        cdef Py_ssize_t most = min(max(16 * self.bins, <Py_ssize_t>MIN_BUCKET_LIMIT), <Py_ssize_t>MAX_BUCKETS)
        cdef Py_ssize_t cells = min(max(4 * self.bins, 16), most)
        cdef double scale
        cdef int steps
        while True:
            self.search.scale = cells / width if width > 0 else INFINITY
            if by_rank or not (isfinite(width) and isfinite(self.search.scale)):
                break
            self.search.top = cells - 1
            self.fill_buckets(cells)
            if self.search.steps <= 1:
                return 0
            if cells == most:
                break
            cells = min(4 * cells, most)
        steps = self.search.steps if self.start != NULL else 64
        scale, self.search.scale = self.search.scale, 0
        self.search.first = rank(self.edges[0])
        self.search.last = rank(nextafter(self.edges[self.bins], INFINITY) if isfinite(self.edges[self.bins]) else INFINITY)
        self.search.shift = 0
        while (<uint64_t>self.search.last - <uint64_t>self.search.first) >> self.search.shift >= <uint64_t>most:
            self.search.shift += 1
        self.fill_buckets(most)
        if self.search.steps >= steps:
            self.search.scale = scale
            self.fill_buckets(most)
        return 0

    cdef Py_ssize_t bucket_of(self, double value) noexcept:
        cdef double place
        if self.search.scale > 0:
            place = (value - self.search.low) * self.search.scale
            place = place if place > 0 else 0
            return <Py_ssize_t>(place if place < self.search.top else self.search.top)
        cdef int64_t its = self.search.last if isnan(value) else min(max(rank(value), self.search.first), self.search.last)
        return <Py_ssize_t>((<uint64_t>its - <uint64_t>self.search.first) >> self.search.shift)

    cdef int fill_buckets(self, Py_ssize_t cells) except -1:
        cdef Py_ssize_t count = self.bins + 1, cell = 0, most = 0, before = 0, its, i
        free(self.start)
        self.start = <uint32_t *>malloc((cells + 1) * sizeof(uint32_t))
        if self.start == NULL:
            raise MemoryError()
        self.search.start = self.start
        self.start[0] = 0
        for i in range(count):
            its = self.bucket_of(self.edges[i])
            while cell < its:
                cell += 1
                self.start[cell] = i
                most = max(most, i - before)
                before = i
        most = max(most, count - before)
        while cell < cells:
            cell += 1
            self.start[cell] = count
        self.search.steps = 0
        while most >> self.search.steps:
            self.search.steps += 1
        return 0

    cdef void check_uniform(self, double width) noexcept:
        """How far the edges lie off uniform ones, if these serve at all."""
        cdef Py_ssize_t i
        cdef double scale = self.bins / width if width > 0 else INFINITY, off = 0
        self.search.uniform_scale = 0
        if not (isfinite(width) and isfinite(scale) and isfinite(self.edges[self.bins])):
            return
        for i in range(self.bins + 1):
            off = max(off, fabs((self.edges[i] - self.search.low) * scale - i))
        self.search.margin = 2 * off + (self.bins + 4) * 2.0 ** -50  # and what rounding adds
        if self.search.margin < MAX_MARGIN:
            self.search.uniform_scale = scale
            self.search.uniform_top = self.bins + 1.5

    def __dealloc__(self):
        free(self.edges)
        free(self.start)

    def count(self, int64_t[::1] counts not None, const floating[::1] values not None):
        """Add to `counts` how many values lie in each bin."""
        count_values(self, counts, values, True)

    def weigh(self, double[::1] sums not None, const floating[::1] values not None, const double[::1] weights not None):
        """Add to `sums` the weights of the values in each bin."""
        cdef Py_ssize_t n = values.shape[0], slot
        if sums.shape[0] != self.bins or weights.shape[0] != n:
            raise ValueError("there must be a cell for each bin, and a weight for each value")
        if n == 0:
            return
        cdef double *table = <double *>scratch_calloc((self.bins + 2) * sizeof(double))
        if table == NULL:
            raise MemoryError()
        with nogil:
            weigh_loop(&self.search, table, &values[0], &weights[0], n)
            for slot in range(self.bins):
                sums[slot] += table[slot + 1]
        scratch_free(table)


cdef void find_bins(const CBinSearch *search, const floating *values, Py_ssize_t n, uint32_t *bins) noexcept nogil:
    if floating is double:
        select_find_bins_double(search)(search, values, n, bins)
    else:
        select_find_bins_float(search)(search, values, n, bins)


cdef void count_loop(
    const CBinSearch *search, int64_t *table, int64_t *other, const floating *values, Py_ssize_t n
) noexcept nogil:
    cdef uint32_t bins[BIN_SEARCH_BLOCK]
    cdef Py_ssize_t start = 0, size, i
    while start < n:
        size = min(n - start, <Py_ssize_t>BIN_SEARCH_BLOCK)
        find_bins(search, values + start, size, bins)
        start += size
        i = 0
        while i + 2 <= size:
            prefetch_ahead(values + start + i)
            table[bins[i]] += 1
            other[bins[i + 1]] += 1
            i += 2
        if i < size:
            table[bins[i]] += 1


cdef void weigh_loop(
    const CBinSearch *search, double *table, const floating *values, const double *weights, Py_ssize_t n
) noexcept nogil:
    cdef uint32_t bins[BIN_SEARCH_BLOCK]
    cdef Py_ssize_t start = 0, size, i, j
    while start < n:
        size = min(n - start, <Py_ssize_t>BIN_SEARCH_BLOCK)
        find_bins(search, values + start, size, bins)
        i = 0
        while i + STEP <= size:
            prefetch_ahead(values + start + i)
            prefetch_ahead(weights + start + i)
            for j in range(STEP):
                table[bins[i + j]] += weights[start + i + j]
            i += STEP
        while i < size:
            table[bins[i]] += weights[start + i]
            i += 1
        start += size


cdef int count_values(BinSearch search, int64_t[::1] counts, const floating[::1] values, bint release) except -1:
    cdef Py_ssize_t bins = search.bins, n = values.shape[0], slot
    if counts.shape[0] != bins:
        raise ValueError(f"{bins} bins want as many counts, not {counts.shape[0]}")
    if n == 0:
        return 0
    # Two tables, so that values close together do not wait for each other's count.
    cdef Py_ssize_t tables = 2 if bins <= MAX_BINS_FOR_TWO_TABLES else 1
    cdef int64_t *table = <int64_t *>scratch_calloc(tables * (bins + 2) * sizeof(int64_t))
    if table == NULL:
        raise MemoryError()
    cdef int64_t *other = table + (tables - 1) * (bins + 2)
    if release:
        with nogil:
            count_loop(&search.search, table, other, &values[0], n)
    else:
        count_loop(&search.search, table, other, &values[0], n)
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
    count_values(BinSearch(edges), counts, values, True)


def held(int64_t[::1] counts not None, const floating[::1] values not None, const double[::1] edges not None):
    check(counts, edges)
    count_values(BinSearch(edges), counts, values, False)


cdef int build_axes(list searches, list columns, CAxis *axes, list views) except -1:
    """The axes of a joint histogram; `views` keep what they point to."""
    cdef const double[::1] doubles
    cdef const float[::1] floats
    cdef BinSearch search
    cdef Py_ssize_t n = len(columns[0]), axis
    if not 1 <= len(searches) <= MAX_AXES or len(columns) != len(searches):
        raise ValueError(f"there must be from 1 to {MAX_AXES} axes, and a column for each")
    for axis in range(len(searches)):
        search = searches[axis]
        if len(columns[axis]) != n:
            raise ValueError("the columns must be of one length")
        axes[axis].search = &search.search
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


cdef Py_ssize_t joint_table_size(list searches) except -1:
    """Cells of a joint table: for each axis its bins, and one more on either side."""
    cells = 1
    for search in searches:
        cells *= search.bins + 2
    if cells >= 1 << 32:
        raise MemoryError(f"a joint table of {cells} cells is too large")
    return cells


def count_joint(int64_t[::1] counts not None, list searches, list columns):
    """Count in which cell of a joint table each row of the columns lies; the last axis runs fastest."""
    cdef CAxis axes[MAX_AXES]
    cdef uint32_t cells[BIN_SEARCH_BLOCK]
    cdef list views = []
    cdef Py_ssize_t n, total = joint_table_size(searches), start = 0, size, i
    cdef int count = len(searches)
    cdef uint8_t seen
    build_axes(searches, columns, axes, views)
    if counts.shape[0] != total:
        raise ValueError(f"the table has {counts.shape[0]} cells, not {total}")
    n = len(columns[0])
    # Cells of 8 bits, for more of them stay in the first cache; one that comes round has counted 256.
    cdef uint8_t *table = <uint8_t *>scratch_calloc(total)
    if table == NULL:
        raise MemoryError()
    with nogil:
        while start < n:
            size = min(n - start, <Py_ssize_t>BIN_SEARCH_BLOCK)
            find_joint_bins(axes, count, start, size, cells)
            for i in range(size):
                seen = table[cells[i]] + 1
                table[cells[i]] = seen
                if seen == 0:
                    counts[cells[i]] += 256
            start += size
        for i in range(total):
            counts[i] += table[i]
    scratch_free(table)


def weigh_joint(double[::1] sums not None, list searches, list columns, const double[::1] weights not None):
    """`count_joint`, where each row adds its weight."""
    cdef CAxis axes[MAX_AXES]
    cdef uint32_t cells[BIN_SEARCH_BLOCK]
    cdef list views = []
    cdef Py_ssize_t n, start = 0, size, i
    cdef int count = len(searches)
    build_axes(searches, columns, axes, views)
    n = len(columns[0])
    if sums.shape[0] != joint_table_size(searches) or weights.shape[0] != n:
        raise ValueError("the table must have a cell for each slot of each axis, and each row a weight")
    with nogil:
        while start < n:
            size = min(n - start, <Py_ssize_t>BIN_SEARCH_BLOCK)
            find_joint_bins(axes, count, start, size, cells)
            for i in range(size):
                sums[cells[i]] += weights[start + i]
            start += size
