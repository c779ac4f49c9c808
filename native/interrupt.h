/* Lets Ctrl-C end long loops.

   A loop in the main thread checks for signals every 50 ms. A loop in a worker thread checks the cancel flag of the call
   that it runs in, and of the calls around that one: the caller sets its flag when it is interrupted. A capsule of the
   flag is in the thread's state dictionary, which all compiled modules share. */
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
    POLL_ELEMENTS = 1 << 20, /* elements between two polls: at most some 20 ms, if each is a cache miss */
    POLL_MILLISECONDS = 50   /* between two checks for signals, which need the GIL */
};

typedef struct CancelFlag {
    int cancelled;
    const struct CancelFlag *parent; /* of the call in which this call was made, or NULL */
} CancelFlag;

typedef struct {
    const CancelFlag *flag; /* NULL if this thread is not a worker */
    int64_t next;           /* time of the next check for signals; 0 before the first poll, 1 before the second */
    int main_thread;        /* -1 if not known yet */
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

static inline int interrupt_cancelled(const CancelFlag *flag)
{
    for (; flag; flag = flag->parent) {
#ifdef __GNUC__
        if (__atomic_load_n(&flag->cancelled, __ATOMIC_RELAXED))
#else
        if (*(const volatile int *)&flag->cancelled)
#endif
            return 1;
    }
    return 0;
}

static inline void interrupt_cancel(CancelFlag *flag)
{
#ifdef __GNUC__
    __atomic_store_n(&flag->cancelled, 1, __ATOMIC_RELAXED);
#else
    *(volatile int *)&flag->cancelled = 1;
#endif
}

static int interrupt_raise(void)
{
    PyObject *module = PyImport_ImportModule("parcount._native.cancellation");
    PyObject *type = module ? PyObject_GetAttrString(module, "Cancelled") : NULL;
    if (type)
        PyErr_SetString(type, "the call that this thread runs for was interrupted");
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
    static PyObject *interned; /* if two threads create it, they get the same object */
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

/* Call before the loop, with the GIL. */
static int interrupt_begin(Interrupt *state)
{
    PyObject *key = interrupt_key(), *dict = key ? PyThreadState_GetDict() : NULL;
    PyObject *capsule = dict ? PyDict_GetItemWithError(dict, key) : NULL;
    state->flag = capsule ? (const CancelFlag *)PyCapsule_GetPointer(capsule, CANCEL_FLAG_KEY) : NULL;
    state->main_thread = capsule ? 0 : -1;
    state->next = 0;
    if (PyErr_Occurred())
        return -1;
    return interrupt_cancelled(state->flag) ? interrupt_raise() : 0;
}

/* For a loop that never ends early, and never takes the GIL: instead of interrupt_begin, without the GIL. */
static inline void interrupt_never(Interrupt *state)
{
    state->flag = NULL;
    state->next = state->main_thread = 0;
}

/* Call after each POLL_ELEMENTS, with or without the GIL. Returns -1 with an exception set if the loop must end. */
static int interrupt_poll(Interrupt *state)
{
    int64_t now;
    int failed;
    PyGILState_STATE gil;
    if (state->flag ? !interrupt_cancelled(state->flag) : !state->main_thread)
        return 0;
    if (!state->flag && !state->next) { /* most loops are polled once: they need not read the clock */
        state->next = 1;
        return 0;
    }
    now = interrupt_clock();
    if (state->next == 1)
        state->next = now + POLL_MILLISECONDS;
    if (!state->flag && now < state->next)
        return 0;
    gil = PyGILState_Ensure();
    if (state->flag)
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
