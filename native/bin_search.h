/* Between which edges does each value lie? Bin b holds the values of which b edges are not greater: bin 0 those below
   the first edge, and NaN; the last bin those above the last edge.

   A value's bucket is found by arithmetic: (value - low) * scale, clamped and cut to an integer; or from its bits. Each
   step of that is monotonic, roundings included, so an edge in an earlier bucket is not greater than the value and one in a later bucket is
   greater: only the edges in its own bucket need to be compared with it. */
#ifndef PARCOUNT_BIN_SEARCH_H
#define PARCOUNT_BIN_SEARCH_H

#include "prefetch.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    BIN_SEARCH_BLOCK = 512, /* values at a time: their bins stay in the first cache */
    BIN_SEARCH_TRIAL = 32   /* of which the first tell whether the others are worth the attempt */
};

typedef struct {
    const double *edges;   /* ascending; after the last one a NaN, than which nothing is greater */
    const uint32_t *start; /* of each bucket, the number of edges in the buckets before; one more at the end */
    uint32_t count;        /* of edges */
    int steps;             /* of a binary search among the edges of one bucket */
    double low, scale, top; /* buckets of equal width; no width, no scale: */
    int64_t first, last;    /* buckets of equally many doubles, between these ranks */
    int shift;
    /* If the edges are uniform: bins an edge, and how far at most an edge lies off its computed position. Zero bins if
       they are not, or too far off. */
    double uniform_scale, uniform_top, margin;
} BinSearch;

#if defined(__GNUC__) && defined(__x86_64__)
#define X86_DISPATCH 1
#define CPU_TARGET(features) __attribute__((target(features)))
#else
#define X86_DISPATCH 0
#define CPU_TARGET(features)
#endif

/* A double's position among all doubles, as an integer: its bits, which count from zero on in both directions. As steps of
   it are steps of the logarithm, buckets of equal numbers of doubles suit edges whose distances grow. */
static inline int64_t double_rank(double value)
{
    int64_t bits;
    value += 0.0; /* the zeros are equal */
    memcpy(&bits, &value, sizeof bits);
    return value == value ? bits ^ ((bits >> 63) & INT64_MAX) : INT64_MIN; /* NaN: below all */
}

/* Among the edges of a value's bucket. */
#define SEARCH_BUCKETS(name, real)                                                                                     \
    static void name(const BinSearch *s, const real *values, ptrdiff_t n, const int32_t *buckets, uint32_t *bins)      \
    {                                                                                                                  \
        if (s->steps <= 1) {                                                                                           \
            for (ptrdiff_t i = 0; i < n; i++) {                                                                        \
                uint32_t bin = s->start[buckets[i]];                                                                   \
                bins[i] = bin + ((double)values[i] >= s->edges[bin]);                                                  \
            }                                                                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            uint32_t bin = s->start[buckets[i]], left = s->start[buckets[i] + 1] - bin;                                \
            for (int step = 0; step < s->steps; step++) {                                                              \
                uint32_t half = (left + 1) >> 1; /* none left: compares once more, and adds nothing */                 \
                bin += half & -(uint32_t)((double)values[i] >= s->edges[bin + half - (half > 0)]);                     \
                left -= half;                                                                                          \
            }                                                                                                          \
            bins[i] = bin;                                                                                             \
        }                                                                                                              \
    }

/* By buckets of equal width. */
#define FIND_BY_WIDTH(name, real, search)                                                                              \
    static void name(const BinSearch *s, const real *values, ptrdiff_t n, uint32_t *bins)                              \
    {                                                                                                                  \
        int32_t buckets[BIN_SEARCH_BLOCK];                                                                             \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            double position = ((double)values[i] - s->low) * s->scale;                                                 \
            position = position > 0 ? position : 0; /* NaN too */                                                      \
            buckets[i] = (int32_t)(position < s->top ? position : s->top);                                             \
        }                                                                                                              \
        search(s, values, n, buckets, bins);                                                                           \
    }

/* By buckets of equally many doubles. */
#define FIND_BY_RANK(name, real, search)                                                                               \
    static void name(const BinSearch *s, const real *values, ptrdiff_t n, uint32_t *bins)                              \
    {                                                                                                                  \
        int32_t buckets[BIN_SEARCH_BLOCK];                                                                             \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            int64_t rank = double_rank(values[i]);                                                                     \
            rank = rank > s->first ? rank : s->first;                                                                  \
            rank = rank < s->last ? rank : s->last;                                                                    \
            buckets[i] = (int32_t)(((uint64_t)rank - (uint64_t)s->first) >> s->shift);                                 \
        }                                                                                                              \
        search(s, values, n, buckets, bins);                                                                           \
    }

/* By comparing with the nearest of uniform edges: a value lies between the edges beside that one, so this says where. */
#define FIND_UNIFORM_COMPARE(name, real, features)                                                                     \
    CPU_TARGET(features) static void name(const BinSearch *s, const real *values, ptrdiff_t n, uint32_t *bins)         \
    {                                                                                                                  \
        double low = s->low, scale = s->uniform_scale, last = s->count - 1.0;                                          \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            double position = ((double)values[i] - low) * scale + 0.5;                                                 \
            position = position > 0 ? position : 0; /* NaN too */                                                      \
            uint32_t nearest = (uint32_t)(int32_t)(position < last ? position : last);                                 \
            bins[i] = nearest + ((double)values[i] >= s->edges[nearest]);                                              \
        }                                                                                                              \
    }

/* By arithmetic alone, for uniform edges: a value that is further from a computed edge than any edge is off needs no
   comparison, and the others are few. */
#define FIND_UNIFORM(name, real, features)                                                                             \
    FIND_UNIFORM_COMPARE(name##_compare, real, features)                                                               \
    CPU_TARGET(features) static void name(const BinSearch *s, const real *values, ptrdiff_t n, uint32_t *bins)         \
    {                                                                                                                  \
        uint8_t ambiguous[BIN_SEARCH_BLOCK];                                                                           \
        double low = s->low, scale = s->uniform_scale, top = s->uniform_top;                                           \
        double lower = s->margin, upper = 1 - s->margin;                                                               \
        ptrdiff_t ambiguous_count = 0, i = 0;                                                                          \
        for (ptrdiff_t stop = n < BIN_SEARCH_TRIAL ? n : BIN_SEARCH_TRIAL; i < stop && ambiguous_count <= i / 64; stop = n)\
            for (; i < stop; i++) {                                                                                    \
                double position = ((double)values[i] - low) * scale + 1.0;                                             \
                position = position > 0.5 ? position : 0.5; /* NaN too */                                              \
                position = position < top ? position : top;                                                            \
                int32_t bin = (int32_t)position;                                                                       \
                double fraction = position - bin;                                                                      \
                int close = (fraction < lower) | (fraction > upper);                                                   \
                bins[i] = (uint32_t)bin;                                                                               \
                ambiguous[i] = (uint8_t)close;                                                                         \
                ambiguous_count += close;                                                                              \
            }                                                                                                          \
        if (ambiguous_count > i / 64) /* as in data that was rounded */                                                \
            name##_compare(s, values, n, bins);                                                                        \
        else if (ambiguous_count)                                                                                      \
            for (i = 0; i < n; i++)                                                                                    \
                if (ambiguous[i]) {                                                                                    \
                    uint32_t bin = bins[i] ? bins[i] - 1 : 0;                                                          \
                    while ((double)values[i] >= s->edges[bin])                                                         \
                        bin++;                                                                                         \
                    bins[i] = bin;                                                                                     \
                }                                                                                                      \
    }

SEARCH_BUCKETS(search_buckets_double, double)
SEARCH_BUCKETS(search_buckets_float, float)
FIND_BY_WIDTH(find_by_width_double, double, search_buckets_double)
FIND_BY_WIDTH(find_by_width_float, float, search_buckets_float)
FIND_BY_RANK(find_by_rank_double, double, search_buckets_double)
FIND_BY_RANK(find_by_rank_float, float, search_buckets_float)
#if X86_DISPATCH
FIND_UNIFORM(find_uniform_avx512_double, double, "avx512f,avx512dq,avx512vl,avx512bw")
FIND_UNIFORM(find_uniform_avx512_float, float, "avx512f,avx512dq,avx512vl,avx512bw")
FIND_UNIFORM(find_uniform_avx2_double, double, "avx2")
FIND_UNIFORM(find_uniform_avx2_float, float, "avx2")
#elif defined(__aarch64__)
FIND_UNIFORM(find_uniform_neon_double, double, )
FIND_UNIFORM(find_uniform_neon_float, float, )
#endif

typedef void (*find_bins_double)(const BinSearch *, const double *, ptrdiff_t, uint32_t *);
typedef void (*find_bins_float)(const BinSearch *, const float *, ptrdiff_t, uint32_t *);

/* The fastest way on this CPU. What the arithmetic alone gains, it gains by wide vectors (bench/test_bin_search.py: with 100
   uniform bins half of the time by cell); where there are none, there is the table. */
static find_bins_double select_find_bins_double(const BinSearch *s)
{
#if X86_DISPATCH
    if (s->uniform_scale > 0) {
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
            return find_uniform_avx512_double;
        if (__builtin_cpu_supports("avx2"))
            return find_uniform_avx2_double;
    }
#elif defined(__aarch64__)
    if (s->uniform_scale > 0)
        return find_uniform_neon_double;
#endif
    return s->scale > 0 ? find_by_width_double : find_by_rank_double;
}

static find_bins_float select_find_bins_float(const BinSearch *s)
{
#if X86_DISPATCH
    if (s->uniform_scale > 0) {
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
            return find_uniform_avx512_float;
        if (__builtin_cpu_supports("avx2"))
            return find_uniform_avx2_float;
    }
#elif defined(__aarch64__)
    if (s->uniform_scale > 0)
        return find_uniform_neon_float;
#endif
    return s->scale > 0 ? find_by_width_float : find_by_rank_float;
}

enum { MAX_AXES = 64 }; /* as many as an array has dimensions */

typedef struct {
    const BinSearch *search;
    const void *values;
    int single; /* whether the values are floats, not doubles */
} Axis;

/* The cells of a joint table in which rows start, start + 1, … lie, the bins of the last axis next to each other. */
static void find_joint_bins(const Axis *axes, int count, ptrdiff_t start, ptrdiff_t n, uint32_t *cells)
{
    uint32_t more[BIN_SEARCH_BLOCK];
    for (int axis = 0; axis < count; axis++) {
        const BinSearch *search = axes[axis].search;
        uint32_t *bins = axis ? more : cells, width = search->count + 1;
        if (axes[axis].single) {
            const float *values = (const float *)axes[axis].values + start;
            prefetch_block_ahead(values, (size_t)n * sizeof *values);
            select_find_bins_float(search)(search, values, n, bins);
        } else {
            const double *values = (const double *)axes[axis].values + start;
            prefetch_block_ahead(values, (size_t)n * sizeof *values);
            select_find_bins_double(search)(search, values, n, bins);
        }
        if (axis)
            for (ptrdiff_t i = 0; i < n; i++)
                cells[i] = cells[i] * width + more[i];
    }
}

#endif
