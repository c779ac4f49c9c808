# cython: binding=False, embedsignature=True, embedsignature.format=clinic, auto_pickle=False
"""The share of time in which the GIL is held, and how long a thread that asks for it waits: seen by a thread that asks.

The probe is a thread that sleeps without the GIL for a random time, takes the GIL and gives it back. The times at which
it asks are a Poisson process, so the expected share of requests that find the GIL held is the share of time in which it
is held, whatever the program does periodically. While a request waits, the process goes on: requests that are due
meanwhile find the GIL held, and are counted without being made. If they were left out, each sleep would begin at a
moment at which the GIL has just become free, and the share would depend on what the program does next.
R. W. Wolff: Poisson Arrivals See Time Averages, Operations Research 30(2), 1982.

A thread without a core also takes long to get a GIL that is free. So where the system counts context switches of a
thread, the GIL was held if the thread blocked in the request; elsewhere, if the request took `HELD_NS` or more. The time for which the thread had no core
when the GIL was free again does not count as a wait.
"""

import atexit
import sys
from threading import Thread

from cpython.pythread cimport (
    PY_LOCK_ACQUIRED, WAIT_LOCK, PyLockStatus, PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock,
    PyThread_release_lock, PyThread_type_lock,
)
from libc.math cimport log1p
from libc.stdint cimport int64_t, uint64_t

cdef extern from "splitmix64.h" nogil:
    const uint64_t GAMMA "SPLITMIX64_GAMMA"
    uint64_t mix "splitmix64_mix"(uint64_t state)

cdef extern from *:
    """
    #ifdef _WIN32
    #include <windows.h>
    #else
    #include <time.h>
    #include <sys/resource.h>
    #endif
    #ifdef __linux__
    #include <fcntl.h>
    #include <stdlib.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    #endif

    static int64_t clock_ns(void)
    {
    #ifdef _WIN32
        LARGE_INTEGER ticks, frequency;
        QueryPerformanceCounter(&ticks);
        QueryPerformanceFrequency(&frequency);
        return (int64_t)((double)ticks.QuadPart * (1e9 / (double)frequency.QuadPart));
    #else
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    #endif
    }

    /* Asks Linux, from 6.12 on, to run this thread in short slices: it then preempts the thread that runs where it wakes up.
       Otherwise it can wait there until that thread sleeps, and so gives the GIL back. */
    static void shorten_slice(void)
    {
    #if defined(SYS_sched_setattr) && defined(SYS_sched_getattr)
        struct {
            uint32_t size, policy;
            uint64_t flags;
            int32_t nice;
            uint32_t priority;
            uint64_t runtime, deadline, period;
        } attributes;
        const int other = 0, batch = 3; /* the policies whose runtime is the slice */
        if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0))
            return;
        if (attributes.policy != other && attributes.policy != batch)
            return;
        attributes.runtime = 100000; /* ns: the shortest */
        syscall(SYS_sched_setattr, 0, &attributes, 0);
    #endif
    }

    /* How often this thread has blocked; 0 where the system does not count it. */
    static long blocked_count(void)
    {
    #ifdef RUSAGE_THREAD
        struct rusage usage;
        return getrusage(RUSAGE_THREAD, &usage) ? 0 : usage.ru_nvcsw;
    #else
        return 0;
    #endif
    }

    /* For how long this thread has been ready without a core; 0 where the system does not count it. No descriptor is kept
       open: the program may close those that it does not know. */
    static int64_t ready_ns(void)
    {
        int64_t ready = 0;
    #ifdef __linux__
        char text[64];
        ssize_t size;
        int file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
        if (file < 0)
            return 0;
        size = read(file, text, sizeof text - 1);
        close(file);
        if (size > 0) {
            char *second; /* the first number is the time for which it ran */
            text[size] = 0;
            strtoll(text, &second, 10);
            ready = strtoll(second, NULL, 10);
        }
    #endif
        return ready;
    }
    """
    int64_t clock_ns() nogil
    int64_t ready_ns() nogil
    void shorten_slice() nogil
    long blocked_count() nogil

cdef extern from "Python.h" nogil:
    ctypedef struct PyThreadState:
        pass
    PyThreadState *PyEval_SaveThread()
    void PyEval_RestoreThread(PyThreadState *state)
    PyLockStatus PyThread_acquire_lock_timed(PyThread_type_lock lock, long long microseconds, int intr_flag)

cdef enum:
    HELD_NS = 50_000  # getting a free GIL takes less than a microsecond, waking up after one that was held ten or more


cdef class Probe:
    """A running probe: what `start` returns."""

    cdef double interval_ns
    cdef int64_t begin  # the time before which no request is due
    cdef uint64_t random
    cdef PyThread_type_lock stopped  # released by `stop`
    cdef int64_t probes, held, wait_ns, longest_ns
    cdef object thread

    def __cinit__(self, double interval, uint64_t seed, double delay):
        if not 1e-5 <= interval <= 60:
            raise ValueError(f"interval must be from 10 microseconds to 60 seconds, not {interval}")
        if not 0 <= delay <= 3600:
            raise ValueError(f"delay must be from 0 to 3600 seconds, not {delay}")
        self.interval_ns = interval * 1e9
        self.begin = clock_ns() + <int64_t>(delay * 1e9)
        self.random = mix(seed + GAMMA)  # of neighbouring seeds, the plain sequences would overlap
        self.stopped = PyThread_allocate_lock()
        if self.stopped is NULL:
            raise MemoryError
        PyThread_acquire_lock(self.stopped, WAIT_LOCK)

    def __dealloc__(self):
        if self.stopped is not NULL:
            PyThread_free_lock(self.stopped)

    def _run(self):
        """Ask for the GIL until the probe is stopped."""
        shorten_slice()
        self.run()

    cdef int64_t gap(self) noexcept nogil:
        """The time between two events of the Poisson process."""
        self.random += GAMMA
        return <int64_t>(-log1p(<double>(mix(self.random) >> 11) * -(2.0 ** -53)) * self.interval_ns)

    cdef void run(self) noexcept nogil:
        cdef PyThreadState *state = PyEval_SaveThread()
        cdef int64_t now = clock_ns(), due = max(now, self.begin) + self.gap(), asked, ready, waited
        cdef long before, blocks
        cdef bint held
        # The lock's timeout is in microseconds, and rounded up: a request is not made before it is due.
        while PyThread_acquire_lock_timed(self.stopped, max(0, due - now + 999) // 1000, 0) != PY_LOCK_ACQUIRED:
            ready = ready_ns()
            before = blocked_count()
            asked = clock_ns()
            PyEval_RestoreThread(state)
            now = clock_ns()
            blocks = blocked_count() - before
            PyEval_SaveThread()
            # The sleep blocked, so a count of zero means that the system does not count.
            held = blocks > 0 if before else now - asked >= HELD_NS
            self.probes += 1
            due = asked + self.gap()
            if held:
                # The thread wakes up after each switch interval, and when the GIL is free. It is then ready, but may have
                # no core; after all but the last time, the GIL is held meanwhile.
                waited = now - asked - min(max(0, ready_ns() - ready) // max(1, blocks), now - asked)
                self.held += 1
                self.wait_ns += waited
                self.longest_ns = max(self.longest_ns, waited)
                while due <= asked + waited:
                    self.probes += 1
                    self.held += 1
                    due += self.gap()
            if due <= now:
                due = now + self.gap()
        PyEval_RestoreThread(state)


running = set()
"""The probes that have not been stopped."""


def start(double interval=0.01, uint64_t seed=0, double delay=0.0):
    """Start a probe of the GIL: a thread that asks for it now and then.

    Several probes can run at once. A probe that is not stopped runs until the interpreter ends.

    Parameters
    ----------
    interval : float, optional
        The mean time between two requests in seconds, from 10 microseconds to 60 seconds.
    seed : int, optional
        Of the random times of the requests.
    delay : float, optional
        Seconds from now for which no request is made: to start the probe before what it is to watch.

    Returns
    -------
    Probe
        What `stop` takes.

    Raises
    ------
    ValueError
        If `interval` or `delay` is out of range.
    RuntimeError
        If the system starts no more threads.

    Notes
    -----
    A thread that computes in Python gives the GIL to the probe only after the switch interval, and waits until the probe
    has taken it. At the default interval that takes 0.1 % of its time, and the probe 0.5 % of a core
    (``bench/gil_probe.py``).

    Without a GIL (see `gil_enabled`), a request waits only while the interpreter has stopped all threads, as for a
    garbage collection.
    """
    probe = Probe(interval, seed, delay)
    probe.thread = Thread(target=probe._run, name="parcount GIL probe", daemon=True)
    probe.thread.start()
    running.add(probe)
    return probe


def stop(Probe probe not None):
    """Stop a probe and return what it has seen.

    Parameters
    ----------
    probe : Probe
        From `start`. Stopping it again returns the same.

    Returns
    -------
    probes : int
        Requests for the GIL, with those that were due while another one waited.
    held : int
        Those of them that found it held. ``held / probes`` estimates the share of time in which it was held.
    wait : float
        The seconds for which requests waited for the GIL, in all. One that is due while another one waits adds nothing.
    longest : float
        The seconds for which the longest one waited.
    """
    try:
        running.remove(probe)
    except KeyError:
        pass  # stopped before
    else:
        PyThread_release_lock(probe.stopped)
    probe.thread.join()
    return probe.probes, probe.held, probe.wait_ns / 1e9, probe.longest_ns / 1e9


def gil_enabled():
    """Return whether this interpreter has a GIL: free-threaded builds of CPython have none, unless it is enabled."""
    return getattr(sys, "_is_gil_enabled", lambda: True)()


@atexit.register
def stop_all():
    """Stop all probes: afterwards the interpreter deletes what their threads use."""
    for probe in list(running):
        stop(probe)
