/* Threads that run C functions beside the calling thread. They touch no Python object and need no thread state: a call that
   counts for some ten microseconds cannot wait for the GIL, nor for the system to wake a thread.

   There is at most one thread for each core, bound to it. A caller claims threads of cores other than its own, so several
   callers have threads of their own, and one that finds none counts alone. After its work a thread spins for SPIN_NANOSECONDS
   and then sleeps; after IDLE_SECONDS it ends. A caller that is done before a thread has begun takes the work back.

   Where the compiler has no atomic operations of GCC's kind there are no threads, and callers count alone. */
#ifndef PARCOUNT_THREAD_TEAM_H
#define PARCOUNT_THREAD_TEAM_H

typedef void (*team_function)(void *);

enum { MAX_CLAIMED = 255 };

typedef struct {
    struct TeamThread *threads[MAX_CLAIMED];
    int count;
} TeamClaim;

/* The functions, for the modules that use the threads of the module `thread_team`. */
typedef struct {
    void (*claim)(TeamClaim *claim, int wanted); /* up to `wanted` threads */
    /* Calls `function` once for the argument of the caller and for that of each thread, `size` bytes apart; returns when
       all calls have returned. */
    void (*run)(TeamClaim *claim, team_function function, void *arguments, size_t size);
    void (*release)(TeamClaim *claim);
} TeamFunctions;

#endif

#ifdef THREAD_TEAM_IMPLEMENTATION

#if defined(__GNUC__) && !defined(_WIN32)

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_CORES = 1024,
    SPIN_NANOSECONDS = 50000, /* more than passes between the calls of a loop (bench/calls.py --pays) */
    SPINS_PER_CLOCK = 64,
    SPINS_BEFORE_YIELD = 4096,
    IDLE_SECONDS = 2
};

enum { ENDED, FREE, CLAIMED, WORK, RUNNING }; /* ENDED: there is no thread, as at first */

typedef struct TeamThread {
    int state;
    int sleeping;
    int core;
    team_function function;
    void *argument;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
} __attribute__((aligned(128))) TeamThread;

static TeamThread *team_threads[MAX_CORES];

static inline void team_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline int team_state(TeamThread *thread)
{
    return __atomic_load_n(&thread->state, __ATOMIC_ACQUIRE);
}

static inline int team_change(TeamThread *thread, int from, int to)
{
    return __atomic_compare_exchange_n(&thread->state, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static int64_t team_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Returns 0 if the thread is to end. */
static int team_sleep(TeamThread *thread)
{
    struct timespec end;
    int ended = 0;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += IDLE_SECONDS;
    pthread_mutex_lock(&thread->mutex);
    __atomic_store_n(&thread->sleeping, 1, __ATOMIC_SEQ_CST);
    while (!ended && __atomic_load_n(&thread->state, __ATOMIC_SEQ_CST) != WORK)
        if (pthread_cond_timedwait(&thread->wake, &thread->mutex, &end)) {
            ended = team_change(thread, FREE, ENDED);
            end.tv_sec += IDLE_SECONDS; /* it is claimed */
        }
    __atomic_store_n(&thread->sleeping, 0, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&thread->mutex);
    return !ended;
}

static void *team_main(void *argument)
{
    TeamThread *thread = (TeamThread *)argument;
    for (;;) {
        int64_t end = team_clock() + SPIN_NANOSECONDS;
        for (int spins = 1; team_state(thread) != WORK; spins++) {
            team_pause();
            if (spins % SPINS_PER_CLOCK == 0 && team_clock() > end && !team_sleep(thread))
                return NULL;
        }
        if (team_change(thread, WORK, RUNNING)) {
            thread->function(thread->argument);
            __atomic_store_n(&thread->state, CLAIMED, __ATOMIC_RELEASE);
        }
    }
}

/* Starts the thread of a core. Signals go to the threads of Python. */
static int team_start(TeamThread *thread)
{
    pthread_t ident;
    pthread_attr_t attributes;
    sigset_t all, before;
    int failed;
    if (pthread_attr_init(&attributes))
        return 0;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
#if defined(__linux__) && defined(__GLIBC__)
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(thread->core, &own);
    pthread_attr_setaffinity_np(&attributes, sizeof own, &own);
#endif
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&ident, &attributes, team_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return !failed;
}

/* The thread of a core, if it can be claimed; otherwise NULL. */
static TeamThread *team_thread_of(int core)
{
    TeamThread *thread = __atomic_load_n(&team_threads[core], __ATOMIC_ACQUIRE), *none = NULL;
    if (!thread) {
        if (posix_memalign((void **)&thread, 128, sizeof *thread))
            return NULL;
        thread->state = ENDED;
        thread->sleeping = 0;
        thread->core = core;
        pthread_mutex_init(&thread->mutex, NULL);
        pthread_cond_init(&thread->wake, NULL);
        if (!__atomic_compare_exchange_n(
                &team_threads[core], &none, thread, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            free(thread);
            thread = none;
        }
    }
    if (team_change(thread, FREE, CLAIMED))
        return thread;
    if (team_change(thread, ENDED, CLAIMED)) {
        if (team_start(thread))
            return thread;
        __atomic_store_n(&thread->state, ENDED, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void team_claim(TeamClaim *claim, int wanted)
{
    claim->count = 0;
    wanted = wanted < MAX_CLAIMED ? wanted : MAX_CLAIMED;
#if defined(__linux__) && defined(__GLIBC__)
    cpu_set_t allowed;
    int own = sched_getcpu();
    if (sched_getaffinity(0, sizeof allowed, &allowed))
        return; /* there are more cores than the set has room for */
#else
    int cores = (int)sysconf(_SC_NPROCESSORS_ONLN), own = 0;
    cores = cores < MAX_CORES ? cores : MAX_CORES;
#endif
    for (int core = 0; core < MAX_CORES && claim->count < wanted; core++) {
#if defined(__linux__) && defined(__GLIBC__)
        if (!CPU_ISSET(core, &allowed))
            continue;
#else
        if (core >= cores)
            break;
#endif
        TeamThread *thread = core == own ? NULL : team_thread_of(core);
        if (thread)
            claim->threads[claim->count++] = thread;
    }
}

static void team_run(TeamClaim *claim, team_function function, void *arguments, size_t size)
{
    for (int i = 0; i < claim->count; i++) {
        TeamThread *thread = claim->threads[i];
        thread->function = function;
        thread->argument = (char *)arguments + (size_t)(i + 1) * size;
        __atomic_store_n(&thread->state, WORK, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&thread->sleeping, __ATOMIC_SEQ_CST)) {
            pthread_mutex_lock(&thread->mutex);
            pthread_cond_signal(&thread->wake);
            pthread_mutex_unlock(&thread->mutex);
        }
    }
    function(arguments);
    for (int i = 0; i < claim->count; i++) {
        TeamThread *thread = claim->threads[i];
        if (team_change(thread, WORK, CLAIMED)) { /* it has not begun */
            function(thread->argument);
            continue;
        }
        for (int spins = 0; team_state(thread) == RUNNING; spins++) {
            if (spins < SPINS_BEFORE_YIELD)
                team_pause();
            else
                sched_yield(); /* the system may run it on this core */
        }
    }
}

static void team_release(TeamClaim *claim)
{
    for (int i = 0; i < claim->count; i++)
        __atomic_store_n(&claim->threads[i]->state, FREE, __ATOMIC_SEQ_CST);
    claim->count = 0;
}

/* A forked child has none of the threads. */
static void team_forget(void)
{
    for (int core = 0; core < MAX_CORES; core++)
        team_threads[core] = NULL;
}

static void team_init(void)
{
    pthread_atfork(NULL, NULL, team_forget);
}

#else

static void team_claim(TeamClaim *claim, int wanted)
{
    (void)wanted;
    claim->count = 0;
}

static void team_run(TeamClaim *claim, team_function function, void *arguments, size_t size)
{
    (void)claim, (void)size;
    function(arguments);
}

static void team_release(TeamClaim *claim)
{
    (void)claim;
}

static void team_init(void) {}

#endif

static const TeamFunctions team_functions = {team_claim, team_run, team_release};

#endif
