/* Atomic operations on 64-bit cells, by the builtins of GCC and Clang or the intrinsics of MSVC. A cell is aligned to its
   size. The operations are lock-free, so they are atomic across processes too if the cell is in shared memory. */
#ifndef PARCOUNT_ATOMIC_H
#define PARCOUNT_ATOMIC_H

#include <stdint.h>

#if defined(_MSC_VER) && !defined(__clang__)

#include <intrin.h>

#ifdef _M_ARM64
#define ATOMIC_FENCE() __dmb(_ARM64_BARRIER_ISH)
#else
#define ATOMIC_FENCE() _ReadWriteBarrier()
#endif

/* Acquire; the write below is release. */
static __forceinline int64_t atomic_read(const int64_t *cell)
{
    int64_t value = __iso_volatile_load64((const volatile __int64 *)cell);
    ATOMIC_FENCE();
    return value;
}

static __forceinline void atomic_write(int64_t *cell, int64_t value)
{
    ATOMIC_FENCE();
    __iso_volatile_store64((volatile __int64 *)cell, value);
}

/* What is before it is seen before what is after it, also a write before a read. */
static __forceinline void atomic_fence(void)
{
#ifdef _M_ARM64
    __dmb(_ARM64_BARRIER_ISH);
#else
    __faststorefence();
#endif
}

static __forceinline int64_t atomic_exchange_with(int64_t *cell, int64_t value)
{
    return _InterlockedExchange64((volatile __int64 *)cell, value);
}

/* Writes `value` if the cell holds `expected`; stores in `expected` what the cell held. */
static __forceinline int atomic_swap_if(int64_t *cell, int64_t *expected, int64_t value)
{
    int64_t held = _InterlockedCompareExchange64((volatile __int64 *)cell, value, *expected);
    int equal = held == *expected;
    *expected = held;
    return equal;
}

#else

/* Acquire; the write below is release. */
static inline int64_t atomic_read(const int64_t *cell)
{
    return __atomic_load_n(cell, __ATOMIC_ACQUIRE);
}

static inline void atomic_write(int64_t *cell, int64_t value)
{
    __atomic_store_n(cell, value, __ATOMIC_RELEASE);
}

/* What is before it is seen before what is after it, also a write before a read. */
static inline void atomic_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline int64_t atomic_exchange_with(int64_t *cell, int64_t value)
{
    return __atomic_exchange_n(cell, value, __ATOMIC_SEQ_CST);
}

static inline int atomic_swap_if(int64_t *cell, int64_t *expected, int64_t value)
{
    return __atomic_compare_exchange_n(cell, expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

#endif

/* Adds `n` and stores the sum; or, if the sum does not fit into 64 bits, leaves the cell unchanged and returns 0.

   A fetch-and-add would have to be undone after an overflow, and other threads could read the wrapped value before that.
   Checking the value first does not help: other threads can add between the check and the addition. */
static inline int atomic_add(int64_t *cell, int64_t n, int64_t *sum)
{
    int64_t held = atomic_read(cell);
    do {
        if (n > 0 ? held > INT64_MAX - n : held < INT64_MIN - n)
            return 0;
        *sum = held + n;
    } while (!atomic_swap_if(cell, &held, *sum));
    return 1;
}

/* Undoes an addition of `n`, modulo 2**64. */
static inline void atomic_subtract(int64_t *cell, uint64_t n)
{
    int64_t held = atomic_read(cell);
    while (!atomic_swap_if(cell, &held, (int64_t)((uint64_t)held - n)))
        ;
}

#endif
