/* Long loops return here now and then, so that Ctrl-C ends them.

   A loop in the main thread runs the signal handlers every 50 ms. A loop in a worker thread looks at the flag of the call
   that it works for: the caller sets it when it is interrupted. The flag lies in the thread's state dictionary, which all
   compiled modules share. */
#ifndef PARCOUNT_INTERRUPT_H
#define PARCOUNT_INTERRUPT_H

#include <Python.h>
#include <stdint.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <time.h>
#endif

#define CANCEL_FLAG_KEY "parcount.cancel_flag"

enum {
    POLL_ELEMENTS = 1 << 20, /* elements between two polls: at most some 20 ms, where each is a cache miss */
    POLL_MILLISECONDS = 50   /* between two looks for signals, which need the GIL */
};

typedef struct {
    const int *cancelled; /* NULL: this thread works for no call but its own */
    int64_t next;         /* when to look for signals; 0 before the first poll */
    int main_thread;      /* -1: not known yet */
} Interrupt;

static int64_t interrupt_clock(void)
{
#ifdef _WIN32
    return (int64_t)GetTickCount64();
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
#endif
}

static inline int interrupt_flag(const int *flag)
{
#ifdef __GNUC__
    return __atomic_load_n(flag, __ATOMIC_RELAXED);
#else
    return *(const volatile int *)flag;
#endif
}

static inline void interrupt_set_flag(int *flag)
{
#ifdef __GNUC__
    __atomic_store_n(flag, 1, __ATOMIC_RELAXED);
#else
    *(volatile int *)flag = 1;
#endif
}

static int interrupt_raise(void)
{
    PyObject *module = PyImport_ImportModule("parcount._native.cancellation");
    PyObject *type = module ? PyObject_GetAttrString(module, "Cancelled") : NULL;
    if (type)
        PyErr_SetString(type, "the call that this thread works for was interrupted");
    Py_XDECREF(type);
    Py_XDECREF(module);
    return -1;
}

static int interrupt_in_main_thread(void)
{
    PyObject *module = PyImport_ImportModule("threading");
    PyObject *thread = module ? PyObject_CallMethod(module, "main_thread", NULL) : NULL;
    PyObject *ident = thread ? PyObject_GetAttrString(thread, "ident") : NULL;
    int same = ident && PyLong_AsUnsignedLongMask(ident) == PyThread_get_thread_ident();
    Py_XDECREF(ident);
    Py_XDECREF(thread);
    Py_XDECREF(module);
    return PyErr_Occurred() ? -1 : same;
}

static PyObject *interrupt_key(void)
{
    static PyObject *interned; /* two threads may both make it: it is the same object */
#ifdef __GNUC__
    PyObject *key = __atomic_load_n(&interned, __ATOMIC_ACQUIRE);
    if (!key)
        __atomic_store_n(&interned, key = PyUnicode_InternFromString(CANCEL_FLAG_KEY), __ATOMIC_RELEASE);
#else
    PyObject *key = interned;
    if (!key)
        interned = key = PyUnicode_InternFromString(CANCEL_FLAG_KEY);
#endif
    return key;
}

/* With the GIL, before the loop. */
static int interrupt_begin(Interrupt *state)
{
    PyObject *key = interrupt_key(), *dict = key ? PyThreadState_GetDict() : NULL;
    PyObject *flag = dict ? PyDict_GetItemWithError(dict, key) : NULL;
    state->cancelled = flag ? (const int *)PyCapsule_GetPointer(flag, CANCEL_FLAG_KEY) : NULL;
    state->main_thread = flag ? 0 : -1;
    state->next = 0;
    if (PyErr_Occurred())
        return -1;
    return state->cancelled && interrupt_flag(state->cancelled) ? interrupt_raise() : 0;
}

/* With the GIL or without it, after each POLL_ELEMENTS. Returns -1 with an exception set if the loop must end. */
static int interrupt_poll(Interrupt *state)
{
    int64_t now;
    int failed;
    PyGILState_STATE gil;
    if (state->cancelled ? !interrupt_flag(state->cancelled) : !state->main_thread)
        return 0;
    now = interrupt_clock();
    if (!state->next)
        state->next = now + POLL_MILLISECONDS;
    if (!state->cancelled && now < state->next)
        return 0;
    gil = PyGILState_Ensure();
    if (state->cancelled)
        failed = interrupt_raise();
    else {
        if (state->main_thread < 0)
            state->main_thread = interrupt_in_main_thread();
        failed = state->main_thread < 0 ? -1 : PyErr_CheckSignals();
        state->next = interrupt_clock() + POLL_MILLISECONDS;
    }
    PyGILState_Release(gil);
    return failed;
}

#endif
