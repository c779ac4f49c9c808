"""The counter loop with nothing else in it: a pseudo-random key, then ``counts[key] += 1``."""

from libc.stdint cimport int64_t, uint64_t


cdef extern from "splitmix64.h" nogil:
    const uint64_t GAMMA "SPLITMIX64_GAMMA"
    uint64_t mix "splitmix64_mix"(uint64_t state)


cdef void loop(int64_t[::1] counts, uint64_t start, uint64_t stop, uint64_t seed) noexcept nogil:
    cdef int64_t *table = &counts[0]
    cdef uint64_t mask = <uint64_t>counts.shape[0] - 1
    cdef uint64_t state = seed + start * GAMMA
    cdef uint64_t i
    for i in range(start, stop):
        state += GAMMA
        table[mix(state) & mask] += 1


cdef int check(int64_t[::1] counts) except -1:
    cdef Py_ssize_t bins = counts.shape[0]
    if bins < 1 or bins & (bins - 1):
        raise ValueError(f"the number of bins must be a power of two, not {bins}")
    return 0


def released(int64_t[::1] counts not None, uint64_t start, uint64_t stop, uint64_t seed):
    check(counts)
    with nogil:
        loop(counts, start, stop, seed)


def held(int64_t[::1] counts not None, uint64_t start, uint64_t stop, uint64_t seed):
    check(counts)
    loop(counts, start, stop, seed)
