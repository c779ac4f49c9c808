"""Count floats between ascending edges as NumPy's histograms do: each bin from its edge to the next, the last with both.

Comparisons with the edges decide the bin of each value, so the counts are exact; bin_search.h says how most comparisons
are avoided.
"""

from cpython.ref cimport PyObject, Py_DECREF, Py_INCREF
from libc.math cimport INFINITY, NAN, isfinite, isnan, nextafter
from libc.stdint cimport INT32_MAX, INT32_MIN, int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc, realloc

from parcount._native import cpu_features

from interrupt cimport POLL_ELEMENTS, Interrupt, interrupt_begin, interrupt_never, interrupt_poll

cdef extern from "scratch_alloc.h" nogil:
    void *scratch_calloc(size_t size)
    void scratch_free(void *cells)

cdef extern from "prefetch.h" nogil:
    void prefetch_ahead(const void *)

cdef extern from "bin_search.h" nogil:
    enum:
        BIN_SEARCH_BLOCK
        MAX_AXES
        FINER_BITS
        NOT_FINER
    const uint32_t SEVERAL_EDGES
    ctypedef struct BinLoops:
        void (*join)(uint32_t *, int, const uint32_t *, int, uint32_t, Py_ssize_t) noexcept nogil
    ctypedef struct CBinSearch "BinSearch":
        const BinLoops *loops
        const void *edges
        uint32_t count
        bint single, log
        double low, scale, bottom, top, unit
        float added
        int32_t first, last, rank_shift
        int shift
        uint32_t margin
        int cell_shift
        const uint32_t *cells
    const BinLoops *bin_search_loops(bint single, bint avx512, bint avx2)
    float least_float_from(double)
    void find_words(const CBinSearch *, const void *values, Py_ssize_t n, uint32_t *words)
    void find_bins(const CBinSearch *, const void *values, Py_ssize_t n, uint32_t *words)

    ctypedef struct CAxis "Axis":
        const CBinSearch *search
        const void *values
    void find_joint_bins(const CAxis *, int, Py_ssize_t, Py_ssize_t, uint32_t *)

ctypedef fused floating:
    float
    double

cdef enum:
    PREFETCH_STEP = 8        # weights per prefetch: a cache line
    MIN_CELLS = 4096         # 16 kB: half of the L1 cache
    CELLS_PER_BIN = 16       # one of some hundred edges at random places is in a cell with others
    MIN_CELLS_PER_BIN = 4    # with more bins, which need more cells than fit in the L2 cache
    MAX_SMALL_CELLS = 1 << 16
    MAX_CELLS = 1 << 20
    MAX_BINS = 1 << 28
    FINER_CELLS_PER_EDGE = 8
    MAX_BINS_FOR_TWO_TABLES = 1024  # both tables and the bins of a block stay in the L1 cache
    MAX_BINS_FOR_PAIRS = 126        # 16 kB: half of the L1 cache
    MIN_VALUES_PER_PAIR = 4         # below it the table of pairs takes longer to clear and to add up than it saves

cdef double MAX_MARGIN = 0.01  # of a bin: with more values this close to an edge, comparing all is faster

cdef bint AVX512 = "AVX512" in cpu_features.ENABLED
cdef bint AVX2 = "AVX2" in cpu_features.ENABLED


cdef class BinSearch:
    """Ascending edges, and how values that are floats (`single`) or doubles find their bins.

    `by` forces a scale: "linear", "logarithmic", or "centred", which is logarithmic around the median edge.
    """

    cdef CBinSearch search
    cdef void *edges
    cdef uint32_t *cells
    cdef Py_ssize_t used, allocated  # of the cells
    cdef readonly Py_ssize_t bins

    def __cinit__(self, const double[::1] edges not None, bint single=False, by=None):
        cdef Py_ssize_t bins = edges.shape[0] - 1, i
        cdef double edge
        if bins < 1 or bins > MAX_BINS:
            raise ValueError(f"there must be from 2 to 2**28 edges, not {bins + 1}")
        self.bins = bins
        self.edges = malloc((bins + 2) * (sizeof(float) if single else sizeof(double)))
        if self.edges == NULL:
            raise MemoryError()
        for i in range(bins):
            if not edges[i] <= edges[i + 1]:
                raise ValueError(f"the edges must ascend, not go from {edges[i]} to {edges[i + 1]}")
        for i in range(bins + 2):
            # The last bin includes its upper edge: a value above that is not less than the next double.
            edge = edges[i] if i < bins else nextafter(edges[i], INFINITY) if i == bins and edges[i] < INFINITY else NAN
            if single:
                (<float *>self.edges)[i] = least_float_from(edge)
            else:
                (<double *>self.edges)[i] = edge
        self.search.edges = self.edges
        self.search.count = bins + 1
        self.search.single = single
        self.search.loops = bin_search_loops(single, AVX512, AVX2)
        if by is not None or not self.is_uniform(edges[0], edges[bins]):
            self.build_grid(edges, by)

    cdef bint set_linear(self, double low, double high, double cells, double unit) noexcept:
        """Divide a range into cells of so many units, with one more on either side; return whether that is possible."""
        cdef double width = high - low, scale = cells / width * unit if width > 0 else INFINITY
        self.search.log = False
        self.search.low, self.search.scale, self.search.unit = low, scale, unit
        self.search.bottom, self.search.top = -0.5 * unit, (cells + 0.5) * unit
        return isfinite(width) and isfinite(scale) and (not self.search.single or 0 < <float>scale < INFINITY)

    cdef bint is_uniform(self, double low, double high) noexcept:
        """Whether arithmetic alone decides most bins: the words of the edges are close to the boundaries of bins."""
        cdef uint32_t words[BIN_SEARCH_BLOCK]
        cdef Py_ssize_t first, n, i, size = sizeof(float) if self.search.single else sizeof(double)
        cdef int64_t off = 0, its
        cdef int shift = 31
        while (self.bins + 2) >> (31 - shift):
            shift -= 1
        if shift < 8 or not self.set_linear(low, high, self.bins, <double>(1 << shift)):
            return False
        for first in range(0, self.bins + 1, BIN_SEARCH_BLOCK):
            n = min(self.bins + 1 - first, <Py_ssize_t>BIN_SEARCH_BLOCK)
            find_words(&self.search, <char *>self.edges + first * size, n, words)
            for i in range(n):
                its = <int64_t>words[i] - ((first + i + 1) << shift)
                off = max(off, its if its > 0 else -its)
            if 2 * off > MAX_MARGIN * (1 << shift):
                return False
        self.search.shift = shift
        self.search.margin = off
        return True

    cdef int build_grid(self, const double[::1] edges, by) except -1:
        """Choose the scale in which the fewest edges are in one cell with others, and fill the table of the cells."""
        cdef Py_ssize_t bins = self.bins, first = 0, last = bins, cells, shared, fewest = bins + 1
        cdef double quarter
        cdef CBinSearch best
        cdef uint32_t *words = <uint32_t *>malloc((bins + 2) * sizeof(uint32_t))
        if words == NULL:
            raise MemoryError()
        cells = min(max(CELLS_PER_BIN * bins, <Py_ssize_t>MIN_CELLS), <Py_ssize_t>MAX_SMALL_CELLS)
        cells = min(max(cells, MIN_CELLS_PER_BIN * bins), <Py_ssize_t>MAX_CELLS)
        self.search.cell_shift = 30
        while max(cells + 2, 2 * (bins + 2)) >> (31 - self.search.cell_shift):
            self.search.cell_shift -= 1
        self.search.shift = self.search.cell_shift + 1
        while first < bins and edges[first] == -INFINITY:
            first += 1
        while last > first and edges[last] == INFINITY:
            last -= 1
        try:
            for name in ("linear", "logarithmic", "centred"):
                if by is not None and name != by:
                    continue
                if name == "linear":
                    if not self.set_linear(edges[first], edges[last], cells, <double>(1 << self.search.cell_shift)):
                        # Any scale is right, but values are searched for.
                        self.search.low, self.search.scale = edges[first] if isfinite(edges[first]) else 0, 1
                elif name == "logarithmic":
                    self.set_logarithmic(0, 0, edges[first], edges[last], cells)
                else:
                    quarter = (edges[first + 3 * (last - first) // 4] - edges[first + (last - first) // 4]) / 2
                    self.set_logarithmic(edges[(first + last) // 2], quarter, edges[first], edges[last], cells)
                shared = self.find_positions(words)
                if shared < fewest:
                    fewest, best = shared, self.search
                if shared * 32 <= bins:
                    break
            self.search = best
            self.find_positions(words)
            if self.is_nan_after_last():
                bins -= 1  # no value is beyond infinity
            self.fill_cells(words, 0, bins + 1, 0, self.search.cell_shift, cells + 2)
            self.search.cells = self.cells
        finally:
            free(words)
        return 0

    cdef void set_logarithmic(self, double centre, double added, double low, double high, Py_ssize_t cells) noexcept:
        cdef double ends[2]
        cdef float floats[2]
        cdef uint32_t ranks[2]
        cdef int64_t cell
        cdef int shift = self.search.cell_shift
        ends[0], ends[1] = low, high
        floats[0], floats[1] = least_float_from(low), least_float_from(high)
        self.search.log = True
        self.search.low, self.search.added = centre, <float>added
        self.search.first, self.search.last, self.search.rank_shift = INT32_MIN, INT32_MAX, 0
        find_words(&self.search, <void *>floats if self.search.single else <void *>ends, 2, ranks)
        while (ranks[1] - ranks[0]) >> shift >= cells:
            shift += 1
        self.search.rank_shift = shift - self.search.cell_shift
        cell = <int64_t>1 << shift  # one more on either side, as far as there are such ranks
        self.search.first = <int32_t>max(INT32_MIN + <int64_t>ranks[0] - cell, <int64_t>INT32_MIN)
        self.search.last = <int32_t>min(INT32_MIN + <int64_t>ranks[1] + cell - 1, <int64_t>INT32_MAX)

    cdef Py_ssize_t find_positions(self, uint32_t *words) noexcept:
        """Find the positions of all edges; return how many are in one cell with the edge before."""
        cdef Py_ssize_t i, shared = 0
        find_words(&self.search, self.edges, self.bins + 1, words)
        for i in range(1, self.bins + 1):
            shared += words[i] >> self.search.cell_shift == words[i - 1] >> self.search.cell_shift
        return shared

    cdef Py_ssize_t new_cells(self, Py_ssize_t cells) except -1:
        cdef Py_ssize_t first = self.used
        cdef uint32_t *grown
        self.used += cells
        if self.used > self.allocated:
            self.allocated = self.used + (self.used >> 4 if first else 0)
            grown = <uint32_t *>realloc(self.cells, self.allocated * sizeof(uint32_t))
            if grown == NULL:
                raise MemoryError()
            self.cells = grown
        return first

    cdef int fill_cells(
        self, const uint32_t *words, Py_ssize_t edge, Py_ssize_t end, uint32_t origin, int cell_shift, Py_ssize_t cells
    ) except -1:
        """Add the cells of so many positions from `origin` on, and finer ones where edges up to `end` share a cell."""
        cdef Py_ssize_t first = self.new_cells(cells), cell = 0, its, next, finer
        cdef int shift = self.search.shift, finer_shift
        cdef uint32_t unit = <uint32_t>1 << self.search.cell_shift, number
        while True:
            its = (words[edge] - origin) >> cell_shift if edge < end else cells
            for cell in range(cell, its):
                # In the upper half of the words of the bin, whatever the position in the cell.
                number = (origin + (<uint32_t>cell << cell_shift)) & -unit
                self.cells[first + cell] = (<uint32_t>edge << shift) + unit - number
            if edge == end:
                return 0
            cell = its + 1
            next = edge + 1
            while next < end and (words[next] - origin) >> cell_shift == its:
                next += 1
            if next == edge + 1:
                self.cells[first + its] = (<uint32_t>next << shift) - words[edge]
            else:
                number, finer_shift = 0, NOT_FINER
                if words[edge] != words[next - 1] and self.used < (1 << FINER_BITS) - MAX_CELLS:
                    finer_shift = cell_shift
                    while finer_shift and (1 << (cell_shift - finer_shift)) < FINER_CELLS_PER_EDGE * (next - edge):
                        finer_shift -= 1
                    number = self.used
                    self.fill_cells(
                        words, edge, next, origin + (<uint32_t>its << cell_shift), finer_shift,
                        1 << (cell_shift - finer_shift),
                    )
                number += (<uint32_t>finer_shift << FINER_BITS) + SEVERAL_EDGES
                self.cells[first + its] = number - (words[edge] & -unit)
            edge = next

    cdef bint is_nan_after_last(self) noexcept:
        return isnan((<float *>self.edges)[self.bins] if self.search.single else (<double *>self.edges)[self.bins])

    cdef int check_type(self, bint single) except -1:
        if single != self.search.single:
            raise TypeError("the search is for values of another type")
        return 0

    def __dealloc__(self):
        free(self.edges)
        free(self.cells)

    def count(self, int64_t[::1] counts not None, const floating[::1] values not None):
        """Add the number of values in each bin to `counts`."""
        self.check_type(floating is float)
        count_values(self, counts, values, True)

    def weigh(self, double[::1] sums not None, const floating[::1] values not None, const double[::1] weights not None):
        """Add the weights of the values in each bin to `sums`."""
        cdef Py_ssize_t n = values.shape[0], bin
        cdef Interrupt state
        self.check_type(floating is float)
        interrupt_begin(&state)
        if sums.shape[0] != self.bins or weights.shape[0] != n:
            raise ValueError("there must be one sum per bin and one weight per value")
        if n == 0:
            return
        cdef Py_ssize_t tables = 2 if self.bins <= MAX_BINS_FOR_TWO_TABLES else 1
        cdef double *table = <double *>scratch_calloc(tables * (self.bins + 2) * sizeof(double))
        if table == NULL:
            raise MemoryError()
        cdef double *other = table + (tables - 1) * (self.bins + 2)
        try:
            with nogil:
                weigh_loop(&self.search, table, other, &values[0], &weights[0], n, &state)
            for bin in range(self.bins):
                sums[bin] += table[bin + 1] + (other[bin + 1] if other != table else 0)
        finally:
            scratch_free(table)


cdef int count_loop(
    const CBinSearch *search, int64_t *table, int64_t *other, const floating *values, Py_ssize_t n, Interrupt *state
) except -1 nogil:
    cdef uint32_t words[BIN_SEARCH_BLOCK]
    cdef Py_ssize_t start = 0, size, i, j
    cdef int shift = search.shift
    while start < n:
        size = min(n - start, <Py_ssize_t>BIN_SEARCH_BLOCK)
        find_bins(search, values + start, size, words)
        i = 0
        while i + PREFETCH_STEP <= size:
            prefetch_ahead(values + start + i)
            for j in range(0, PREFETCH_STEP, 2):
                table[words[i + j] >> shift] += 1
                other[words[i + j + 1] >> shift] += 1
            i += PREFETCH_STEP
        while i < size:
            table[words[i] >> shift] += 1
            i += 1
        start += size
        if start % POLL_ELEMENTS == 0:
            interrupt_poll(state)
    return 0


cdef inline void count_pair(uint8_t *pairs, int64_t *counts, uint32_t cell, uint32_t width) noexcept nogil:
    pairs[cell] += 1
    if pairs[cell] == 0:
        counts[cell // width] += 256
        counts[cell % width] += 256


cdef int count_pairs_loop(
    const CBinSearch *search, int64_t *counts, uint8_t *pairs, const floating *values, Py_ssize_t n, Interrupt *state
) except -1 nogil:
    """Count pairs of values in 8-bit cells, a row for each bin of the first: half as many stores."""
    cdef uint32_t words[BIN_SEARCH_BLOCK]
    cdef uint32_t width = search.count + 1
    cdef Py_ssize_t start = 0, size, half, i, j
    while start < n:
        size = min(n - start, <Py_ssize_t>BIN_SEARCH_BLOCK)
        find_bins(search, values + start, size, words)
        half = size >> 1
        if size & 1:
            counts[words[size - 1] >> search.shift] += 1
        search.loops.join(words, search.shift, words + half, search.shift, width, half)
        i = 0
        while i + PREFETCH_STEP // 2 <= half:
            prefetch_ahead(values + start + 2 * i)
            for j in range(PREFETCH_STEP // 2):
                count_pair(pairs, counts, words[i + j], width)
            i += PREFETCH_STEP // 2
        while i < half:
            count_pair(pairs, counts, words[i], width)
            i += 1
        start += size
        if start % POLL_ELEMENTS == 0:
            interrupt_poll(state)
    return 0


cdef void add_pairs(const uint8_t *pairs, int64_t *counts, Py_ssize_t width) noexcept nogil:
    cdef uint32_t columns[MAX_BINS_FOR_PAIRS + 2]
    cdef uint32_t row
    cdef Py_ssize_t i, j
    for j in range(width):
        columns[j] = 0
    for i in range(width):
        row = 0
        for j in range(width):
            row += pairs[i * width + j]
            columns[j] += pairs[i * width + j]
        counts[i] += row
    for j in range(width):
        counts[j] += columns[j]


cdef int weigh_loop(
    const CBinSearch *search, double *table, double *other, const floating *values, const double *weights,
    Py_ssize_t n, Interrupt *state,
) except -1 nogil:
    cdef uint32_t bins[BIN_SEARCH_BLOCK]
    cdef Py_ssize_t start = 0, size, i, j
    while start < n:
        size = min(n - start, <Py_ssize_t>BIN_SEARCH_BLOCK)
        find_bins(search, values + start, size, bins)
        i = 0
        while i + PREFETCH_STEP <= size:
            prefetch_ahead(values + start + i)
            prefetch_ahead(weights + start + i)
            for j in range(0, PREFETCH_STEP, 2):
                table[bins[i + j] >> search.shift] += weights[start + i + j]
                other[bins[i + j + 1] >> search.shift] += weights[start + i + j + 1]
            i += PREFETCH_STEP
        while i < size:
            table[bins[i] >> search.shift] += weights[start + i]
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
    # Two tables used in turn, so that no store waits for the store before it to the same bin; or pairs.
    cdef Py_ssize_t width = bins + 2, tables = 2 if bins <= MAX_BINS_FOR_TWO_TABLES else 1
    cdef bint paired = bins <= MAX_BINS_FOR_PAIRS and n >= MIN_VALUES_PER_PAIR * width * width
    cdef int64_t *table = <int64_t *>scratch_calloc(tables * width * sizeof(int64_t) + (width * width if paired else 0))
    if table == NULL:
        raise MemoryError()
    cdef int64_t *other = table + (tables - 1) * width
    try:
        if release:
            with nogil:
                count_all(&search.search, table, other, paired, &values[0], n, &state)
        else:
            count_all(&search.search, table, other, paired, &values[0], n, &state)
        for bin in range(bins):
            counts[bin] += table[bin + 1] + (other[bin + 1] if other != table else 0)
    finally:
        scratch_free(table)
    return 0


cdef int count_all(
    const CBinSearch *search, int64_t *table, int64_t *other, bint paired, const floating *values, Py_ssize_t n,
    Interrupt *state,
) except -1 nogil:
    cdef Py_ssize_t width = search.count + 1
    if not paired:
        return count_loop(search, table, other, values, n, state)
    count_pairs_loop(search, table, <uint8_t *>(table + 2 * width), values, n, state)
    add_pairs(<uint8_t *>(table + 2 * width), table, width)
    return 0


cdef int check(int64_t[::1] counts, const double[::1] edges) except -1:
    cdef Py_ssize_t bins = counts.shape[0]
    if bins < 1 or edges.shape[0] != bins + 1:
        raise ValueError(f"{bins} bins need {bins + 1} edges, not {edges.shape[0]}")
    return 0


def released(int64_t[::1] counts not None, const floating[::1] values not None, const double[::1] edges not None):
    """Count all values without the GIL."""
    check(counts, edges)
    count_values(BinSearch(edges, floating is float), counts, values, True)


def held(int64_t[::1] counts not None, const floating[::1] values not None, const double[::1] edges not None):
    """Count all values with the GIL."""
    check(counts, edges)
    count_values(BinSearch(edges, floating is float), counts, values, False)


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
        if search.search.single:
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


# For native/c_interface.pyx.

ctypedef struct PreparedEdges:
    const CBinSearch *for_double
    const CBinSearch *for_float
    Py_ssize_t bins
    PyObject *owners  # of both


cdef void *prepare_edges(const double *edges, Py_ssize_t count) noexcept with gil:
    """NULL if the edges do not ascend, or without memory."""
    cdef PreparedEdges *prepared
    cdef BinSearch doubles, floats
    if count < 2:
        return NULL
    try:
        doubles = BinSearch(<const double[:count]>edges)
        floats = BinSearch(<const double[:count]>edges, True)
        owners = (doubles, floats)
    except (ValueError, MemoryError):
        return NULL
    prepared = <PreparedEdges *>malloc(sizeof(PreparedEdges))
    if prepared != NULL:
        Py_INCREF(owners)
        prepared.for_double, prepared.for_float = &doubles.search, &floats.search
        prepared.bins, prepared.owners = doubles.bins, <PyObject *>owners
    return prepared


cdef void free_edges(void *prepared) noexcept with gil:
    if prepared != NULL:
        Py_DECREF(<object>(<PreparedEdges *>prepared).owners)
        free(prepared)


cdef Py_ssize_t count_nogil(
    int64_t *counts, const CBinSearch *search, const floating *values, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t bins = search.count - 1, width = bins + 2, bin
    cdef Py_ssize_t tables = 2 if bins <= MAX_BINS_FOR_TWO_TABLES else 1
    cdef bint paired = bins <= MAX_BINS_FOR_PAIRS and n >= MIN_VALUES_PER_PAIR * width * width
    cdef Interrupt state
    cdef int64_t *table = <int64_t *>scratch_calloc(tables * width * sizeof(int64_t) + (width * width if paired else 0))
    if table == NULL:
        return -1
    cdef int64_t *other = table + (tables - 1) * width
    interrupt_never(&state)
    count_all(search, table, other, paired, values, n, &state)
    for bin in range(bins):
        counts[bin] += table[bin + 1] + (other[bin + 1] if other != table else 0)
    scratch_free(table)
    return n


cdef Py_ssize_t count_float32(int64_t *counts, const void *prepared, const float *values, Py_ssize_t n) noexcept nogil:
    return count_nogil(counts, (<const PreparedEdges *>prepared).for_float, values, n)


cdef Py_ssize_t count_float64(int64_t *counts, const void *prepared, const double *values, Py_ssize_t n) noexcept nogil:
    return count_nogil(counts, (<const PreparedEdges *>prepared).for_double, values, n)


cdef Py_ssize_t weigh_float64(
    double *sums, const void *prepared, const double *values, const double *weights, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t bins = (<const PreparedEdges *>prepared).bins, bin
    cdef Py_ssize_t tables = 2 if bins <= MAX_BINS_FOR_TWO_TABLES else 1
    cdef Interrupt state
    cdef double *table = <double *>scratch_calloc(tables * (bins + 2) * sizeof(double))
    if table == NULL:
        return -1
    cdef double *other = table + (tables - 1) * (bins + 2)
    interrupt_never(&state)
    weigh_loop((<const PreparedEdges *>prepared).for_double, table, other, values, weights, n, &state)
    for bin in range(bins):
        sums[bin] += table[bin + 1] + (other[bin + 1] if other != table else 0)
    scratch_free(table)
    return n
