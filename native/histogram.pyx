"""Count floats between ascending edges as NumPy's histograms do: each bin from its edge to the next, the last with both.

Comparisons with the edges decide the bin of each value, so the counts are exact; bin_search.h says how most comparisons
are avoided.
"""

from libc.math cimport INFINITY, NAN, fabs, isfinite, isnan, nextafter
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from parcount._native import cpu_features

from interrupt cimport POLL_ELEMENTS, Interrupt, interrupt_begin, interrupt_poll

cdef extern from "scratch_alloc.h" nogil:
    void *scratch_calloc(size_t size)
    void scratch_free(void *cells)

cdef extern from "prefetch.h" nogil:
    void prefetch_ahead(const void *)

cdef extern from "bin_search.h" nogil:
    enum:
        BIN_SEARCH_BLOCK
        MAX_AXES
    ctypedef struct CBinSearch "BinSearch":
        const double *edges
        const uint32_t *start
        uint32_t count
        int steps
        double low, scale, top
        int64_t first, last
        int shift
        double uniform_scale, uniform_top, margin
    int64_t rank "double_rank"(double)
    void bin_search_choose(CBinSearch *, bint avx512, bint avx2, bint neon)
    void find_bins(const CBinSearch *, const void *values, bint single, Py_ssize_t n, uint32_t *bins)

    ctypedef struct CAxis "Axis":
        const CBinSearch *search
        const void *values
        bint single
    void find_joint_bins(const CAxis *, int, Py_ssize_t, Py_ssize_t, uint32_t *)

ctypedef fused floating:
    float
    double

cdef enum:
    PREFETCH_STEP = 8        # values per prefetch: a cache line of 8-byte values
    MIN_BUCKET_LIMIT = 4096  # 16 kB: half of the L1 cache
    MAX_BUCKETS = 1 << 20
    MAX_BINS_FOR_TWO_TABLES = 1024  # both tables and the bins of a block stay in the L1 cache

cdef double MAX_MARGIN = 0.01  # of a bin: with more values this close to an edge, comparing all is faster

cdef bint AVX512 = "AVX512" in cpu_features.ENABLED
cdef bint AVX2 = "AVX2" in cpu_features.ENABLED
cdef bint NEON = "NEON" in cpu_features.ENABLED


cdef class BinSearch:
    """Ascending edges and a lookup table: of the fastest kind, or `by` "width" or "rank"."""

    cdef CBinSearch search
    cdef double *edges
    cdef uint32_t *start
    cdef readonly Py_ssize_t bins

    def __cinit__(self, const double[::1] edges not None, by=None):
        cdef Py_ssize_t bins = edges.shape[0] - 1, i
        cdef double low, high, width
        if bins < 1 or bins >= 1 << 30:
            raise ValueError(f"there must be from 2 to 2**30 edges, not {bins + 1}")
        self.bins = bins
        self.edges = <double *>malloc((bins + 2) * sizeof(double))
        if self.edges == NULL:
            raise MemoryError()
        for i in range(bins + 1):
            self.edges[i] = edges[i]
        for i in range(bins):
            if not self.edges[i] <= self.edges[i + 1]:
                raise ValueError(f"the edges must ascend, not go from {self.edges[i]} to {self.edges[i + 1]}")
        low, high = self.edges[0], self.edges[bins]
        # The last bin includes its upper edge: a value above that is not less than the next double.
        self.edges[bins] = NAN if high == INFINITY else nextafter(high, INFINITY)
        self.edges[bins + 1] = NAN
        width = high - low
        self.search.edges = self.edges
        self.search.count = bins + 1
        self.search.low = low if isfinite(low) else 0
        self.build_buckets(width, by == "rank")
        if by is None:
            self.check_uniform(width)
        bin_search_choose(&self.search, AVX512, AVX2, NEON)

    cdef int build_buckets(self, double width, bint by_rank) except -1:
        """Find the fewest buckets with at most one edge each; otherwise take the most, of the kind with fewer steps."""
        cdef Py_ssize_t most = min(max(16 * self.bins, <Py_ssize_t>MIN_BUCKET_LIMIT), <Py_ssize_t>MAX_BUCKETS)
        cdef Py_ssize_t buckets = min(max(4 * self.bins, 16), most)
        cdef double scale
        cdef int steps
        while True:
            self.search.scale = buckets / width if width > 0 else INFINITY
            if by_rank or not (isfinite(width) and isfinite(self.search.scale)):
                break
            self.search.top = buckets - 1
            self.fill_buckets(buckets)
            if self.search.steps <= 1:
                return 0
            if buckets == most:
                break
            buckets = min(4 * buckets, most)
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

    cdef int fill_buckets(self, Py_ssize_t buckets) except -1:
        cdef Py_ssize_t count = self.bins + 1, bucket = 0, most = 0, before = 0, its, i
        free(self.start)
        self.start = <uint32_t *>malloc((buckets + 1) * sizeof(uint32_t))
        if self.start == NULL:
            raise MemoryError()
        self.search.start = self.start
        self.start[0] = 0
        for i in range(count):
            its = self.bucket_of(self.edges[i])
            while bucket < its:
                bucket += 1
                self.start[bucket] = i
                most = max(most, i - before)
                before = i
        most = max(most, count - before)
        while bucket < buckets:
            bucket += 1
            self.start[bucket] = count
        self.search.steps = 0
        while most >> self.search.steps:
            self.search.steps += 1
        return 0

    cdef void check_uniform(self, double width) noexcept:
        """Measure the distance of the edges from uniform ones: if it is small, arithmetic decides most bins."""
        cdef Py_ssize_t i
        cdef double scale = self.bins / width if width > 0 else INFINITY, off = 0
        self.search.uniform_scale = 0
        if not (isfinite(width) and isfinite(scale) and isfinite(self.edges[self.bins])):
            return
        for i in range(self.bins + 1):
            off = max(off, fabs((self.edges[i] - self.search.low) * scale - i))
        self.search.margin = 2 * off + (self.bins + 4) * 2.0 ** -50  # plus rounding
        if self.search.margin < MAX_MARGIN:
            self.search.uniform_scale = scale
            self.search.uniform_top = self.bins + 1.5

    def __dealloc__(self):
        free(self.edges)
        free(self.start)

    def count(self, int64_t[::1] counts not None, const floating[::1] values not None):
        """Add the number of values in each bin to `counts`."""
        count_values(self, counts, values, True)

    def weigh(self, double[::1] sums not None, const floating[::1] values not None, const double[::1] weights not None):
        """Add the weights of the values in each bin to `sums`."""
        cdef Py_ssize_t n = values.shape[0], bin
        cdef Interrupt state
        interrupt_begin(&state)
        if sums.shape[0] != self.bins or weights.shape[0] != n:
            raise ValueError("there must be one sum per bin and one weight per value")
        if n == 0:
            return
        cdef double *table = <double *>scratch_calloc((self.bins + 2) * sizeof(double))
        if table == NULL:
            raise MemoryError()
        try:
            with nogil:
                weigh_loop(&self.search, table, &values[0], &weights[0], n, &state)
            for bin in range(self.bins):
                sums[bin] += table[bin + 1]
        finally:
            scratch_free(table)


cdef int count_loop(
    const CBinSearch *search, int64_t *table, int64_t *other, const floating *values, Py_ssize_t n, Interrupt *state
) except -1 nogil:
    cdef uint32_t bins[BIN_SEARCH_BLOCK]
    cdef Py_ssize_t start = 0, size, i
    while start < n:
        size = min(n - start, <Py_ssize_t>BIN_SEARCH_BLOCK)
        find_bins(search, values + start, floating is float, size, bins)
        start += size
        i = 0
        while i + 2 <= size:
            prefetch_ahead(values + start + i)
            table[bins[i]] += 1
            other[bins[i + 1]] += 1
            i += 2
        if i < size:
            table[bins[i]] += 1
        if start % POLL_ELEMENTS == 0:
            interrupt_poll(state)
    return 0


cdef int weigh_loop(
    const CBinSearch *search, double *table, const floating *values, const double *weights, Py_ssize_t n,
    Interrupt *state,
) except -1 nogil:
    cdef uint32_t bins[BIN_SEARCH_BLOCK]
    cdef Py_ssize_t start = 0, size, i, j
    while start < n:
        size = min(n - start, <Py_ssize_t>BIN_SEARCH_BLOCK)
        find_bins(search, values + start, floating is float, size, bins)
        i = 0
        while i + PREFETCH_STEP <= size:
            prefetch_ahead(values + start + i)
            prefetch_ahead(weights + start + i)
            for j in range(PREFETCH_STEP):
                table[bins[i + j]] += weights[start + i + j]
            i += PREFETCH_STEP
        while i < size:
            table[bins[i]] += weights[start + i]
            i += 1
        start += size
        if start % POLL_ELEMENTS == 0:
            interrupt_poll(state)
    return 0


cdef int count_values(BinSearch search, int64_t[::1] counts, const floating[::1] values, bint release) except -1:
    cdef Py_ssize_t bins = search.bins, n = values.shape[0], bin
    cdef Interrupt state
    interrupt_begin(&state)
    if counts.shape[0] != bins:
        raise ValueError(f"{bins} bins need as many counts, not {counts.shape[0]}")
    if n == 0:
        return 0
    # Two tables used in turn, so that no store waits for the store before it to the same bin.
    cdef Py_ssize_t tables = 2 if bins <= MAX_BINS_FOR_TWO_TABLES else 1
    cdef int64_t *table = <int64_t *>scratch_calloc(tables * (bins + 2) * sizeof(int64_t))
    if table == NULL:
        raise MemoryError()
    cdef int64_t *other = table + (tables - 1) * (bins + 2)
    try:
        if release:
            with nogil:
                count_loop(&search.search, table, other, &values[0], n, &state)
        else:
            count_loop(&search.search, table, other, &values[0], n, &state)
        for bin in range(bins):
            counts[bin] += table[bin + 1] + (other[bin + 1] if other != table else 0)
    finally:
        scratch_free(table)
    return 0


cdef int check(int64_t[::1] counts, const double[::1] edges) except -1:
    cdef Py_ssize_t bins = counts.shape[0]
    if bins < 1 or edges.shape[0] != bins + 1:
        raise ValueError(f"{bins} bins need {bins + 1} edges, not {edges.shape[0]}")
    return 0


def released(int64_t[::1] counts not None, const floating[::1] values not None, const double[::1] edges not None):
    """Count all values without the GIL."""
    check(counts, edges)
    count_values(BinSearch(edges), counts, values, True)


def held(int64_t[::1] counts not None, const floating[::1] values not None, const double[::1] edges not None):
    """Count all values with the GIL."""
    check(counts, edges)
    count_values(BinSearch(edges), counts, values, False)


cdef Py_ssize_t build_axes(list searches, list columns, Py_ssize_t cells, CAxis *axes) except -1:
    """Fill `axes` for a joint histogram; return the number of rows. `cells` is the size of the caller's table."""
    cdef const double[::1] doubles
    cdef const float[::1] floats
    cdef BinSearch search
    cdef Py_ssize_t n = -1, length, axis
    if not 1 <= len(searches) <= MAX_AXES or len(columns) != len(searches):
        raise ValueError(f"there must be from 1 to {MAX_AXES} axes, and a column for each")
    total = 1
    for axis in range(len(searches)):
        if not isinstance(searches[axis], BinSearch):
            raise TypeError(f"each axis needs a BinSearch, not {searches[axis]!r}")
        search = searches[axis]
        total *= search.bins + 2  # one more on either side
        axes[axis].search = &search.search
        axes[axis].single = columns[axis].dtype == "f4"
        if axes[axis].single:
            floats = columns[axis]
            length = floats.shape[0]
            axes[axis].values = &floats[0] if length else NULL
        else:
            doubles = columns[axis]
            length = doubles.shape[0]
            axes[axis].values = &doubles[0] if length else NULL
        if length != n and axis:
            raise ValueError("the columns must be of one length")
        n = length
    if total >= 1 << 32:
        raise MemoryError(f"a joint table of {total} cells is too large")
    if total != cells:
        raise ValueError(f"the table has {cells} cells, not {total}")
    return n


cdef inline void count_in_byte(uint8_t *table, int64_t *counts, uint32_t cell) noexcept nogil:
    table[cell] += 1
    if table[cell] == 0:
        counts[cell] += 256


cdef int count_joint_loop(
    const CAxis *axes, int count, Py_ssize_t n, int64_t *counts, uint8_t *table, Interrupt *state
) except -1 nogil:
    cdef uint32_t cells[BIN_SEARCH_BLOCK]
    cdef Py_ssize_t start = 0, size, i, j
    while start < n:
        size = min(n - start, <Py_ssize_t>BIN_SEARCH_BLOCK)
        find_joint_bins(axes, count, start, size, cells)
        i = 0
        while i + 4 <= size:
            for j in range(4):
                count_in_byte(table, counts, cells[i + j])
            i += 4
        while i < size:
            count_in_byte(table, counts, cells[i])
            i += 1
        start += size
        if start % POLL_ELEMENTS == 0:
            interrupt_poll(state)
    return 0


def count_joint(int64_t[::1] counts not None, list searches not None, list columns not None):
    """Count the rows of the columns in a joint table of ``bins + 2`` cells per axis; the last axis runs fastest."""
    cdef CAxis axes[MAX_AXES]
    cdef Py_ssize_t total = counts.shape[0], n = build_axes(searches, columns, total, axes), i
    cdef int count = len(searches)
    cdef Interrupt state
    interrupt_begin(&state)
    # More 8-bit cells fit in the L1 cache; a cell that wraps to zero has counted 256.
    cdef uint8_t *table = <uint8_t *>scratch_calloc(total)
    if table == NULL:
        raise MemoryError()
    try:
        with nogil:
            count_joint_loop(axes, count, n, &counts[0], table, &state)
            for i in range(total):
                counts[i] += table[i]
    finally:
        scratch_free(table)


cdef int weigh_joint_loop(
    const CAxis *axes, int count, Py_ssize_t n, double *sums, const double *weights, Interrupt *state
) except -1 nogil:
    cdef uint32_t cells[BIN_SEARCH_BLOCK]
    cdef Py_ssize_t start = 0, size, i
    while start < n:
        size = min(n - start, <Py_ssize_t>BIN_SEARCH_BLOCK)
        find_joint_bins(axes, count, start, size, cells)
        for i in range(size):
            sums[cells[i]] += weights[start + i]
        start += size
        if start % POLL_ELEMENTS == 0:
            interrupt_poll(state)
    return 0


def weigh_joint(
    double[::1] sums not None, list searches not None, list columns not None, const double[::1] weights not None
):
    """Add the weight of each row of the columns to its cell of a joint table, as `count_joint` counts it."""
    cdef CAxis axes[MAX_AXES]
    cdef Py_ssize_t n = build_axes(searches, columns, sums.shape[0], axes)
    cdef int count = len(searches)
    cdef Interrupt state
    interrupt_begin(&state)
    if weights.shape[0] != n:
        raise ValueError(f"{n} rows need as many weights, not {weights.shape[0]}")
    if n == 0:
        return
    with nogil:
        weigh_joint_loop(axes, count, n, &sums[0], &weights[0], &state)
