"""Count keys along an axis: each line of an array in a row of its own, ``counts[a, keys[a, i, b], b] += 1``.

Several lines are counted in turn, each in a table of its own: no store waits for the store before it to the same cell,
and of lines that lie side by side a cache line is read once. Keys that lie outside the table are counted in cells
behind it. Each key is loaded once: another thread may change the keys meanwhile.
"""

from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from libc.string cimport memset

from integers cimport integer, load_once, unlikely
from interrupt cimport POLL_ELEMENTS, Interrupt, interrupt_begin, interrupt_poll

cdef extern from "load_once.h" nogil:
    uint64_t keep_loaded(uint64_t value)

cdef extern from "scratch_alloc.h" nogil:
    void *scratch_calloc(size_t size)
    void scratch_free(void *cells)

cdef enum:
    TILE = 4                     # lines that are counted in turn
    MAX_SCRATCH_BYTES = 1 << 18  # larger tables do not stay in the cache: keys are then counted in the result
    MAX_BINS_PER_KEY = 4         # with more, clearing the tables takes longer than they save
    SPARE = 16                   # cells behind each table, used in turn for keys outside: one would wait for itself
    MAX_LINE = 1 << 31           # no cell of 32 bits overflows

cdef enum Flaw:
    NONE
    OUTSIDE
    NEGATIVE

ctypedef fused cell:
    int64_t
    double

ctypedef struct Lines:
    const char *keys
    Py_ssize_t n, step  # keys of a line, and the bytes from one to the next
    const char *weights
    Py_ssize_t weight_step
    uint64_t bins
    bint skip  # whether keys that are not less than `bins` are left out


cdef inline uint64_t key_at(const integer *_, const char *line, Py_ssize_t offset) noexcept nogil:
    return load_once(<const integer *>(line + offset))


cdef inline bint is_negative(const integer *_, uint64_t key) noexcept nogil:
    return (<integer>-1 < 0) and <int64_t>key < 0


cdef inline uint64_t cell_of(uint64_t key, uint64_t bins, uint64_t spare) noexcept nogil:
    """The key, or `spare` if it is not less than `bins`. The compiler would make a branch of the mask."""
    return key ^ ((key ^ spare) & keep_loaded(-<uint64_t>(key >= bins)))


cdef inline uint64_t add_four(
    const integer *kind, const char *keys, Py_ssize_t apart, uint32_t *tables, uint64_t bins, uint64_t spare
) noexcept nogil:
    cdef uint64_t width = bins + SPARE
    cdef uint64_t a = key_at(kind, keys, 0), b = key_at(kind, keys, apart)
    cdef uint64_t c = key_at(kind, keys, 2 * apart), d = key_at(kind, keys, 3 * apart)
    tables[cell_of(a, bins, spare)] += 1
    tables[width + cell_of(b, bins, spare)] += 1
    tables[2 * width + cell_of(c, bins, spare)] += 1
    tables[3 * width + cell_of(d, bins, spare)] += 1
    return a | b | c | d


cdef inline uint64_t count_tile(
    const integer *kind, const char *keys, Py_ssize_t step, Py_ssize_t n, Py_ssize_t apart, Py_ssize_t tile,
    uint32_t *tables, uint64_t bins,
) noexcept nogil:
    """Count `n` keys of each line in the tables, of `SPARE` more cells than there are bins; return all keys, or-ed."""
    cdef uint64_t key, seen = 0
    cdef Py_ssize_t i, line
    if tile == TILE:
        for i in range(n):
            seen |= add_four(kind, keys + i * step, apart, tables, bins, bins + (<uint64_t>i & (SPARE - 1)))
        return seen
    for i in range(n):
        line = 0
        while line + TILE <= tile:
            seen |= add_four(
                kind, keys + i * step + line * apart, apart, tables + line * (bins + SPARE), bins,
                bins + (<uint64_t>i & (SPARE - 1)),
            )
            line += TILE
        while line < tile:
            key = key_at(kind, keys + i * step, line * apart)
            tables[line * (bins + SPARE) + cell_of(key, bins, bins)] += 1
            seen |= key
            line += 1
    return seen


cdef inline Flaw count_line(
    const integer *kind, Lines *lines, Py_ssize_t start, Py_ssize_t weight_start, char *counts, Py_ssize_t cell_step,
    cell *_, Py_ssize_t first, Py_ssize_t stop,
) noexcept nogil:
    """Count, or add weights, in the result, up to the first key that must not be there."""
    cdef uint64_t key
    cdef Py_ssize_t i
    cdef cell *its
    for i in range(first, stop):
        key = key_at(kind, lines.keys + start, i * lines.step)
        if unlikely(key >= lines.bins):
            if is_negative(kind, key):
                return NEGATIVE
            if not lines.skip:
                return OUTSIDE
            continue
        its = <cell *>(counts + <Py_ssize_t>key * cell_step)
        if cell is double:
            its[0] += (<const double *>(lines.weights + weight_start + i * lines.weight_step))[0]
        else:
            its[0] += 1
    return NONE


cdef int fail(Flaw flaw, uint64_t bins) except -1 nogil:
    with gil:
        if flaw == NEGATIVE:
            raise ValueError("'list' argument must have no negative elements")
        raise ValueError(f"a key lies outside 0 … {<int64_t>bins - 1}")


cdef void add_tables(
    char *counts, Py_ssize_t cell_step, Py_ssize_t apart, Py_ssize_t tile, uint32_t *tables, uint64_t bins, bint *outside
) noexcept nogil:
    """Add the tables to the rows of their lines, and clear them."""
    cdef Py_ssize_t line, bin, width = <Py_ssize_t>bins + SPARE
    for bin in range(<Py_ssize_t>bins):
        for line in range(tile):
            (<int64_t *>(counts + line * apart + bin * cell_step))[0] += tables[line * width + bin]
    for line in range(tile):
        for bin in range(<Py_ssize_t>bins, width):
            outside[0] |= tables[line * width + bin] != 0
    memset(tables, 0, tile * width * sizeof(uint32_t))


cdef int count_loop(
    int64_t[:, :, :] counts, const integer[:, :, :] keys, Lines *lines, Py_ssize_t most, uint32_t *tables,
    Interrupt *state,
) except -1 nogil:
    """At most `most` lines at a time in tables if there are any, otherwise each in the result."""
    cdef const integer *kind = NULL
    cdef int64_t *unused = NULL
    cdef Py_ssize_t inner = keys.shape[2], total = keys.shape[0] * inner, at = 0, polled = 0, a, b, tile, first, stop
    cdef Py_ssize_t apart = keys.strides[0] if inner == 1 else keys.strides[2]
    cdef Py_ssize_t rows_apart = counts.strides[0] if inner == 1 else counts.strides[2]
    cdef uint64_t seen
    cdef bint outside = False
    cdef Flaw flaw = NONE
    while at < total:
        a, b = at // inner, at % inner
        tile = 1 if tables == NULL else min(most, total - at if inner == 1 else inner - b)
        first = 0
        seen = 0
        while first < lines.n:
            stop = min(first + max(<Py_ssize_t>1, POLL_ELEMENTS // tile), lines.n)
            if tables == NULL:
                flaw = count_line(
                    kind, lines, a * keys.strides[0] + b * keys.strides[2], 0, <char *>&counts[a, 0, b],
                    counts.strides[1], unused, first, stop,
                )
            else:
                seen |= count_tile(
                    kind, <const char *>&keys[a, first, b], lines.step, stop - first, apart, tile, tables, lines.bins
                )
            polled += (stop - first) * tile
            first = stop
            if polled >= POLL_ELEMENTS:
                interrupt_poll(state)
                polled = 0
        if tables != NULL:
            add_tables(<char *>&counts[a, 0, b], counts.strides[1], rows_apart, tile, tables, lines.bins, &outside)
            if is_negative(kind, seen):
                flaw = NEGATIVE
            elif outside and not lines.skip:
                flaw = OUTSIDE
        if flaw != NONE:
            fail(flaw, lines.bins)
        at += tile
    return 0


def count_lines(int64_t[:, :, :] counts not None, const integer[:, :, :] keys not None, bint skip=False):
    """Add the number of keys of each line, along the second axis, to `counts`.

    Parameters
    ----------
    counts : ndarray of int64, shape (a, bins, b)
        The counts.
    keys : ndarray, shape (a, n, b)
        Of any strides.
    skip : bool, optional
        Whether keys that are not less than `bins` are left out, instead of an error.

    Raises
    ------
    ValueError
        If a key is negative or lies outside. Some keys have then been counted.
    """
    cdef Lines lines = Lines(NULL, 0, 0, NULL, 0, 0, skip)
    cdef Interrupt state
    cdef uint32_t *tables = NULL
    cdef size_t size
    cdef Py_ssize_t most = TILE
    prepare(&lines, counts.shape[0], counts.shape[1], counts.shape[2], keys.shape[0], keys.shape[1], keys.shape[2])
    interrupt_begin(&state)
    if keys.shape[0] == 0 or lines.n == 0 or keys.shape[2] == 0:
        return
    lines.keys, lines.step = <const char *>&keys[0, 0, 0], keys.strides[1]
    if keys.shape[2] > 1:
        most = max(most, MAX_SCRATCH_BYTES // (<Py_ssize_t>(lines.bins + SPARE) * sizeof(uint32_t)) // TILE * TILE)
        most = min(most, keys.shape[2])
    size = most * (lines.bins + SPARE) * sizeof(uint32_t)
    if size <= MAX_SCRATCH_BYTES and <uint64_t>lines.n * MAX_BINS_PER_KEY >= lines.bins and lines.n < MAX_LINE:
        tables = <uint32_t *>scratch_calloc(size)
        if tables == NULL:
            raise MemoryError()
    try:
        with nogil:
            count_loop(counts, keys, &lines, most, tables, &state)
    finally:
        scratch_free(tables)


cdef int weigh_loop(
    double[:, :, :] sums, const integer[:, :, :] keys, const double[:, :, :] weights, Lines *lines, Interrupt *state
) except -1 nogil:
    cdef const integer *kind = NULL
    cdef double *unused = NULL
    cdef Py_ssize_t inner = keys.shape[2], total = keys.shape[0] * inner, at, polled = 0, first, stop, a, b
    cdef Flaw flaw
    for at in range(total):
        a, b = at // inner, at % inner
        first = 0
        while first < lines.n:
            stop = min(first + <Py_ssize_t>POLL_ELEMENTS, lines.n)
            flaw = count_line(
                kind, lines, a * keys.strides[0] + b * keys.strides[2], a * weights.strides[0] + b * weights.strides[2],
                <char *>&sums[a, 0, b], sums.strides[1], unused, first, stop,
            )
            if flaw != NONE:
                fail(flaw, lines.bins)
            polled += stop - first
            if polled >= POLL_ELEMENTS:
                interrupt_poll(state)
                polled = 0
            first = stop
    return 0


def weigh_lines(
    double[:, :, :] sums not None, const integer[:, :, :] keys not None, const double[:, :, :] weights not None,
    bint skip=False,
):
    """Add the weights of the keys of each line to `sums`; the parameters are those of `count_lines`."""
    cdef Lines lines = Lines(NULL, 0, 0, NULL, 0, 0, skip)
    cdef Interrupt state
    prepare(&lines, sums.shape[0], sums.shape[1], sums.shape[2], keys.shape[0], keys.shape[1], keys.shape[2])
    if weights.shape[0] != keys.shape[0] or weights.shape[1] != keys.shape[1] or weights.shape[2] != keys.shape[2]:
        raise ValueError("there must be one weight per key")
    interrupt_begin(&state)
    if keys.shape[0] == 0 or lines.n == 0 or keys.shape[2] == 0:
        return
    lines.keys, lines.step = <const char *>&keys[0, 0, 0], keys.strides[1]
    lines.weights, lines.weight_step = <const char *>&weights[0, 0, 0], weights.strides[1]
    with nogil:
        weigh_loop(sums, keys, weights, &lines, &state)


cdef int prepare(
    Lines *lines, Py_ssize_t a, Py_ssize_t bins, Py_ssize_t b, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner
) except -1:
    if a != outer or b != inner or bins == 0:
        raise ValueError("there must be a row of counts for each line of keys")
    lines.n, lines.bins = n, <uint64_t>bins
    return 0
