"""The dtypes of integer keys, and how a key is read."""

from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)

cdef extern from *:
    bint unlikely(bint condition) nogil

cdef extern from "load_once.h" nogil:
    uint64_t keep_loaded(uint64_t value)


ctypedef fused integer:
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t


cdef inline uint64_t load_once(const integer *key) noexcept nogil:
    """A key, extended to 64 bits. Another thread may change it meanwhile: the key that is checked is the key that is used."""
    return keep_loaded(<uint64_t>key[0])
