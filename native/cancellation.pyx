"""Functions whose compiled loops end when their caller is interrupted."""

from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_New, PyCapsule_SetContext

from interrupt cimport Interrupt, interrupt_begin

cdef extern from "interrupt.h":
    const char *CANCEL_FLAG_KEY
    ctypedef struct CancelFlag:
        const CancelFlag *parent
    void interrupt_cancel(CancelFlag *flag)

cdef extern from *:
    """
    static PyObject *thread_state_dict(void)
    {
        PyObject *dict = PyThreadState_GetDict();
        Py_XINCREF(dict);
        return dict;
    }
    """
    dict thread_state_dict()

KEY = CANCEL_FLAG_KEY.decode()


class Cancelled(BaseException):
    """Raised in a worker thread by a compiled loop whose caller was interrupted."""


cdef class Cancellable:
    """A function for worker threads. After `cancel`, compiled loops in its calls raise `Cancelled`.

    So they do if the call in which this object was created is cancelled.
    """

    cdef object function
    cdef Cancellable parent  # keeps the parent's flag in memory
    cdef CancelFlag flag

    def __init__(self, function, /):
        outer = thread_state_dict().get(KEY)
        self.function = function
        if outer is not None:
            self.parent = <Cancellable>PyCapsule_GetContext(outer)
            self.flag.parent = &self.parent.flag

    def __call__(self, item, /):
        """Call the function."""
        cdef dict state = thread_state_dict()
        outer = state.get(KEY)
        capsule = PyCapsule_New(&self.flag, CANCEL_FLAG_KEY, NULL)
        PyCapsule_SetContext(capsule, <void *>self)
        state[KEY] = capsule
        try:
            return self.function(item)
        finally:
            if outer is None:
                del state[KEY]
            else:
                state[KEY] = outer

    def cancel(self):
        """End the loops of all calls, now and from now on."""
        interrupt_cancel(&self.flag)


def raise_if_cancelled():
    """Raise `Cancelled` if the caller of this thread's function was interrupted."""
    cdef Interrupt state
    interrupt_begin(&state)
