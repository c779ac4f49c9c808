"""Count floats into uniform bins, each given by its edges as ``numpy.histogram`` gives them."""

from libc.math cimport isfinite
from libc.stdint cimport int64_t


cdef void loop(int64_t[::1] counts, const double[::1] values, const double[::1] edges) noexcept nogil:
    cdef Py_ssize_t last = counts.shape[0] - 1
    cdef double low = edges[0], high = edges[last + 1]
    cdef double scale = (last + 1) / (high - low)
    cdef double value
    cdef Py_ssize_t i, slot
    for i in range(values.shape[0]):
        value = values[i]
        if not (low <= value <= high):  # NaN fails both comparisons
            continue
        slot = <Py_ssize_t>((value - low) * scale)
        if slot > last:
            slot = last
        # The product is rounded; the edges decide.
        if value < edges[slot]:
            slot -= 1
        elif slot < last and value >= edges[slot + 1]:
            slot += 1
        counts[slot] += 1


cdef int check(int64_t[::1] counts, const double[::1] edges) except -1:
    cdef Py_ssize_t bins = counts.shape[0]
    if bins < 1 or edges.shape[0] != bins + 1:
        raise ValueError(f"{bins} bins want {bins + 1} edges, not {edges.shape[0]}")
    # Both the width and its inverse must be finite, or the product that becomes an index could be NaN.
    cdef double width = edges[bins] - edges[0]
    if not (width > 0 and isfinite(width) and isfinite(bins / width)):
        raise ValueError(f"no uniform bins fit between {edges[0]} and {edges[bins]}")
    return 0


def released(
    int64_t[::1] counts not None, const double[::1] values not None, const double[::1] edges not None
):
    check(counts, edges)
    with nogil:
        loop(counts, values, edges)


def held(
    int64_t[::1] counts not None, const double[::1] values not None, const double[::1] edges not None
):
    check(counts, edges)
    loop(counts, values, edges)
