"""Count how often each integer key occurs: ``counts[keys[i]] += 1``."""

from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)

ctypedef fused integer:
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t


cdef bint loop(int64_t[::1] counts, const integer[::1] keys) noexcept nogil:
    """Count until a key lies outside the table; say whether all were inside."""
    # The table's length is compared where the key is used: another thread may change `keys` meanwhile,
    # and a key that passed an earlier check could then write elsewhere.
    cdef uint64_t bins = <uint64_t>counts.shape[0]
    cdef uint64_t key
    cdef Py_ssize_t i
    for i in range(keys.shape[0]):
        key = <uint64_t>keys[i]  # a negative key becomes a huge one: one comparison finds both
        if key >= bins:
            return False
        counts[key] += 1
    return True


cdef int refuse(Py_ssize_t bins) except -1:
    raise ValueError(f"a key lies outside 0 … {bins - 1}")


def released(int64_t[::1] counts not None, const integer[::1] keys not None):
    cdef bint inside
    with nogil:
        inside = loop(counts, keys)
    if not inside:
        refuse(counts.shape[0])


def held(int64_t[::1] counts not None, const integer[::1] keys not None):
    if not loop(counts, keys):
        refuse(counts.shape[0])
