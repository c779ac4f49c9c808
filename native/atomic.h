/* Cells of 64 bits that many threads, or processes, read and write at once: by the builtins of GCC and Clang, or by
   MSVC's. A cell is aligned to its size; where it lies in shared memory, what is done to it is atomic there too. */
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

/* What the writer did before, it has done for whoever reads what it wrote. */
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

static __forceinline int64_t atomic_exchange_with(int64_t *cell, int64_t value)
{
    return _InterlockedExchange64((volatile __int64 *)cell, value);
}

/* Writes `value` if the cell holds what is `expected`; else says what it holds. */
static __forceinline int atomic_swap_if(int64_t *cell, int64_t *expected, int64_t value)
{
    int64_t held = _InterlockedCompareExchange64((volatile __int64 *)cell, value, *expected);
    int equal = held == *expected;
    *expected = held;
    return equal;
}

#else

/* What the writer did before, it has done for whoever reads what it wrote. */
static inline int64_t atomic_read(const int64_t *cell)
{
    return __atomic_load_n(cell, __ATOMIC_ACQUIRE);
}

static inline void atomic_write(int64_t *cell, int64_t value)
{
    __atomic_store_n(cell, value, __ATOMIC_RELEASE);
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

/* Adds `n` and tells the sum; or, where that needs more than 64 bits, leaves the cell as it is and returns 0.

   Not by one fetch-and-add, which would have to be taken back when the sum comes round: others would read it meanwhile,
   and act on it. To look first whether there is room does not help, for a thread may sleep between looking and adding
   while others add as much as they like. */
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

/* Undoes an addition of `n`, which may have been more than 64 bits hold: what is cut off then is cut off here too. */
static inline void atomic_take_back(int64_t *cell, uint64_t n)
{
    int64_t held = atomic_read(cell);
    while (!atomic_swap_if(cell, &held, (int64_t)((uint64_t)held - n)))
        ;
}

#endif
