/* The least and the greatest element of an array, by the widest vectors of this CPU. Another thread may change the array
   meanwhile: then they are those of no moment, and what depends on them must be checked again. */
#ifndef PARCOUNT_EXTREMES_H
#define PARCOUNT_EXTREMES_H

#include "cpu_features.h"

#include <stddef.h>
#include <stdint.h>

/* Of at least one element. Of doubles, `finite` tells whether there is neither NaN nor infinity. */
#define EXTREMES_OF_INTEGERS(name, integer, features)                                                                  \
    CPU_TARGET(features) static void name(const integer *first, ptrdiff_t n, integer *least, integer *greatest)        \
    {                                                                                                                  \
        integer low = first[0], high = low;                                                                            \
        for (ptrdiff_t i = 1; i < n; i++) {                                                                            \
            integer value = first[i];                                                                                  \
            low = value < low ? value : low;                                                                           \
            high = value > high ? value : high;                                                                        \
        }                                                                                                              \
        *least = low;                                                                                                  \
        *greatest = high;                                                                                              \
    }

#define EXTREMES_OF_DOUBLES(name, features)                                                                            \
    CPU_TARGET(features) static int name(const double *first, ptrdiff_t n, double *least, double *greatest)            \
    {                                                                                                                  \
        double low[8], high[8]; /* side by side, because comparisons of floats are not reordered */                    \
        int64_t bad[8] = {0};                                                                                          \
        ptrdiff_t i = 0;                                                                                               \
        for (int lane = 0; lane < 8; lane++)                                                                           \
            low[lane] = high[lane] = first[0];                                                                         \
        for (; i + 8 <= n; i += 8)                                                                                     \
            for (int lane = 0; lane < 8; lane++) {                                                                     \
                double value = first[i + lane];                                                                        \
                low[lane] = value < low[lane] ? value : low[lane];                                                     \
                high[lane] = value > high[lane] ? value : high[lane];                                                  \
                bad[lane] |= !(value - value == 0);                                                                    \
            }                                                                                                          \
        for (; i < n; i++) {                                                                                           \
            double value = first[i];                                                                                   \
            low[0] = value < low[0] ? value : low[0];                                                                  \
            high[0] = value > high[0] ? value : high[0];                                                               \
            bad[0] |= !(value - value == 0);                                                                           \
        }                                                                                                              \
        for (int lane = 1; lane < 8; lane++) {                                                                         \
            low[0] = low[lane] < low[0] ? low[lane] : low[0];                                                          \
            high[0] = high[lane] > high[0] ? high[lane] : high[0];                                                     \
            bad[0] |= bad[lane];                                                                                       \
        }                                                                                                              \
        *least = low[0];                                                                                               \
        *greatest = high[0];                                                                                           \
        return !bad[0];                                                                                                \
    }

#if X86_DISPATCH
#define EXTREMES(integer)                                                                                              \
    EXTREMES_OF_INTEGERS(extremes_baseline_##integer, integer, "sse2")                                                 \
    EXTREMES_OF_INTEGERS(extremes_avx2_##integer, integer, "avx2")                                                     \
    EXTREMES_OF_INTEGERS(extremes_avx512_##integer, integer, "avx512f,avx512dq,avx512vl,avx512bw")                     \
    static void extremes_##integer(                                                                                    \
        const integer *first, ptrdiff_t n, integer *least, integer *greatest, int avx512, int avx2)                    \
    {                                                                                                                  \
        (avx512 ? extremes_avx512_##integer : avx2 ? extremes_avx2_##integer : extremes_baseline_##integer)(           \
            first, n, least, greatest);                                                                                \
    }
EXTREMES_OF_DOUBLES(extremes_baseline_double, "sse2")
EXTREMES_OF_DOUBLES(extremes_avx2_double, "avx2")
EXTREMES_OF_DOUBLES(extremes_avx512_double, "avx512f,avx512dq,avx512vl,avx512bw")
static int extremes_double(const double *first, ptrdiff_t n, double *least, double *greatest, int avx512, int avx2)
{
    return (avx512 ? extremes_avx512_double : avx2 ? extremes_avx2_double : extremes_baseline_double)(
        first, n, least, greatest);
}
#else
#define EXTREMES(integer)                                                                                              \
    EXTREMES_OF_INTEGERS(extremes_baseline_##integer, integer, )                                                       \
    static void extremes_##integer(                                                                                    \
        const integer *first, ptrdiff_t n, integer *least, integer *greatest, int avx512, int avx2)                    \
    {                                                                                                                  \
        (void)avx512, (void)avx2;                                                                                      \
        extremes_baseline_##integer(first, n, least, greatest);                                                        \
    }
EXTREMES_OF_DOUBLES(extremes_baseline_double, )
static int extremes_double(const double *first, ptrdiff_t n, double *least, double *greatest, int avx512, int avx2)
{
    (void)avx512, (void)avx2;
    return extremes_baseline_double(first, n, least, greatest);
}
#endif

EXTREMES(int8_t)
EXTREMES(int16_t)
EXTREMES(int32_t)
EXTREMES(int64_t)
EXTREMES(uint8_t)
EXTREMES(uint16_t)
EXTREMES(uint32_t)
EXTREMES(uint64_t)

#endif
