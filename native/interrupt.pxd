"""How a long loop sees Ctrl-C: `interrupt_begin` before it, `interrupt_poll` after each `POLL_ELEMENTS`."""

cdef extern from "interrupt.h":
    enum:
        POLL_ELEMENTS
    ctypedef struct Interrupt:
        pass
    int interrupt_begin(Interrupt *state) except -1
    void interrupt_never(Interrupt *state) nogil
    int interrupt_poll(Interrupt *state) except -1 nogil
