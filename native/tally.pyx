"""The counter loop with nothing else in it: a pseudo-random key, then ``counts[key] += 1``."""

from libc.stdint cimport int64_t, uint64_t

from interrupt cimport POLL_ELEMENTS, Interrupt, interrupt_begin, interrupt_poll

cdef extern from "splitmix64.h" nogil:
    const uint64_t GAMMA "SPLITMIX64_GAMMA"
    uint64_t mix "splitmix64_mix"(uint64_t state)


cdef int loop(int64_t[::1] counts, uint64_t start, uint64_t stop, uint64_t seed, Interrupt *state) except -1 nogil:
    cdef int64_t *table = &counts[0]
    cdef uint64_t mask = <uint64_t>counts.shape[0] - 1
    cdef uint64_t random = seed + start * GAMMA
    cdef uint64_t left = stop - start if stop > start else 0, i
    while left:
        for i in range(min(left, <uint64_t>POLL_ELEMENTS)):
            random += GAMMA
            table[mix(random) & mask] += 1
        left -= min(left, <uint64_t>POLL_ELEMENTS)
        interrupt_poll(state)
    return 0


cdef int begin(int64_t[::1] counts, Interrupt *state) except -1:
    cdef Py_ssize_t bins = counts.shape[0]
    if bins < 1 or bins & (bins - 1):
        raise ValueError(f"the number of bins must be a power of two, not {bins}")
    interrupt_begin(state)
    return 0


def released(int64_t[::1] counts not None, uint64_t start, uint64_t stop, uint64_t seed):
    """Count the keys of positions `start` to `stop` without the GIL."""
    cdef Interrupt state
    begin(counts, &state)
    with nogil:
        loop(counts, start, stop, seed, &state)


def held(int64_t[::1] counts not None, uint64_t start, uint64_t stop, uint64_t seed):
    """Count the keys of positions `start` to `stop` with the GIL."""
    cdef Interrupt state
    begin(counts, &state)
    loop(counts, start, stop, seed, &state)
