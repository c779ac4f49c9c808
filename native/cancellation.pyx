"""Functions whose compiled loops end when their caller is interrupted."""

from cpython.pycapsule cimport PyCapsule_New

from interrupt cimport Interrupt, interrupt_begin

cdef extern from "interrupt.h":
    const char *CANCEL_FLAG_KEY
    void interrupt_set_flag(int *flag)

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
    """A function that worker threads call. After `cancel`, compiled loops in those calls raise `Cancelled`."""

    cdef object function
    cdef int cancelled

    def __init__(self, function, /):
        self.function = function

    def __call__(self, item, /):
        """Call the function."""
        cdef dict state = thread_state_dict()
        outer = state.get(KEY)
        state[KEY] = PyCapsule_New(&self.cancelled, CANCEL_FLAG_KEY, NULL)
        try:
            return self.function(item)
        finally:
            if outer is None:
                del state[KEY]
            else:
                state[KEY] = outer

    def cancel(self):
        """End the loops of all calls, now and from now on."""
        interrupt_set_flag(&self.cancelled)


def raise_if_cancelled():
    """Raise `Cancelled` if the caller of this thread's function was interrupted."""
    cdef Interrupt state
    interrupt_begin(&state)
