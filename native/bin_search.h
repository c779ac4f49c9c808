/* Finds the bin of each value among ascending edges. Bin b holds the values that are not less than exactly b edges: bin 0
   those below the first edge and NaN, the last bin those above the last edge.

   Edges at any distances: a lookup table divides the range into buckets, by (value - low) * scale, clamped and truncated;
   or by the bits of the value. Each step of that is monotonic, rounding included, so edges in earlier buckets are not
   greater than the value and edges in later buckets are greater: only the edges in the value's own bucket are compared.

   Uniform edges: arithmetic alone, by vectors. A value further from a computed edge than any edge is off needs no
   comparison, and the others are few. */
#ifndef PARCOUNT_BIN_SEARCH_H
#define PARCOUNT_BIN_SEARCH_H

#include "cpu_features.h"
#include "prefetch.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    BIN_SEARCH_BLOCK = 512, /* values at a time: they and their bins stay in the L1 cache */
    BIN_SEARCH_TRIAL = 32,  /* the first of them tell whether arithmetic alone decides most */
    MAX_AXES = 64           /* NumPy's limit of dimensions */
};

typedef struct BinSearch BinSearch;
typedef void (*find_bins_double)(const BinSearch *, const double *, ptrdiff_t, uint32_t *);
typedef void (*find_bins_float)(const BinSearch *, const float *, ptrdiff_t, uint32_t *);

struct BinSearch {
    find_bins_double find_double; /* chosen once for this CPU and these edges */
    find_bins_float find_float;
    const double *edges;     /* ascending; a NaN after the last, so that no value is greater */
    const uint32_t *start;   /* for each bucket, the number of edges in the buckets before; one more at the end */
    uint32_t count;          /* of edges */
    int steps;               /* of the binary search among the edges of one bucket */
    double low, scale, top;  /* buckets of equal width; a scale of zero: */
    int64_t first, last;     /* buckets of equally many doubles, between these ranks */
    int shift;
    /* Uniform edges: bins per unit, and the largest distance of an edge from its computed position. The scale is zero if
       the edges are not uniform. */
    double uniform_scale, uniform_top, margin;
};

/* The position of a double among all doubles: its bits as an integer, mirrored for negative numbers. Steps of the rank are
   steps of the logarithm, so buckets of equally many doubles suit edges at growing distances. */
static inline int64_t double_rank(double value)
{
    int64_t bits;
    value += 0.0; /* -0.0 equals 0.0 */
    memcpy(&bits, &value, sizeof bits);
    return value == value ? bits ^ ((bits >> 63) & INT64_MAX) : INT64_MIN; /* NaN is below all */
}

#define FIND_BY_BUCKET(real)                                                                                           \
    static void search_buckets_##real(                                                                                 \
        const BinSearch *s, const real *values, ptrdiff_t n, const int32_t *buckets, uint32_t *bins)                   \
    {                                                                                                                  \
        if (s->steps <= 1) {                                                                                           \
            for (ptrdiff_t i = 0; i < n; i++) {                                                                        \
                uint32_t bin = s->start[buckets[i]];                                                                   \
                bins[i] = bin + ((double)values[i] >= s->edges[bin]);                                                  \
            }                                                                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            double value = (double)values[i];                                                                          \
            uint32_t bin = s->start[buckets[i]], left = s->start[buckets[i] + 1] - bin;                                \
            for (int step = 0; step < s->steps; step++) {                                                              \
                uint32_t half = (left + 1) >> 1; /* zero if none is left: the comparison then adds nothing */          \
                bin += half & -(uint32_t)(value >= s->edges[bin + half - (half > 0)]);                                 \
                left -= half;                                                                                          \
            }                                                                                                          \
            bins[i] = bin;                                                                                             \
        }                                                                                                              \
    }                                                                                                                  \
    static void find_by_width_##real(const BinSearch *s, const real *values, ptrdiff_t n, uint32_t *bins)              \
    {                                                                                                                  \
        int32_t buckets[BIN_SEARCH_BLOCK];                                                                             \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            double position = ((double)values[i] - s->low) * s->scale;                                                 \
            position = position > 0 ? position : 0; /* NaN too */                                                      \
            buckets[i] = (int32_t)(position < s->top ? position : s->top);                                             \
        }                                                                                                              \
        search_buckets_##real(s, values, n, buckets, bins);                                                            \
    }                                                                                                                  \
    static void find_by_rank_##real(const BinSearch *s, const real *values, ptrdiff_t n, uint32_t *bins)               \
    {                                                                                                                  \
        int32_t buckets[BIN_SEARCH_BLOCK];                                                                             \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            int64_t rank = double_rank(values[i]);                                                                     \
            rank = rank > s->first ? rank : s->first;                                                                  \
            rank = rank < s->last ? rank : s->last;                                                                    \
            buckets[i] = (int32_t)(((uint64_t)rank - (uint64_t)s->first) >> s->shift);                                 \
        }                                                                                                              \
        search_buckets_##real(s, values, n, buckets, bins);                                                            \
    }

FIND_BY_BUCKET(double)
FIND_BY_BUCKET(float)

/* For uniform edges. name##_compare compares each value with the nearest edge: the value lies in one of the two bins
   beside it. It serves data of which many values lie on edges, as rounded data do. */
#define FIND_UNIFORM(name, real, features)                                                                             \
    CPU_TARGET(features) static void name##_compare(const BinSearch *s, const real *values, ptrdiff_t n, uint32_t *bins)\
    {                                                                                                                  \
        double low = s->low, scale = s->uniform_scale, last = s->count - 1.0;                                          \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            double value = (double)values[i];                                                                          \
            double position = (value - low) * scale + 0.5;                                                             \
            position = position > 0 ? position : 0; /* NaN too */                                                      \
            uint32_t nearest = (uint32_t)(int32_t)(position < last ? position : last);                                 \
            bins[i] = nearest + (value >= s->edges[nearest]);                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    CPU_TARGET(features) static void name(const BinSearch *s, const real *values, ptrdiff_t n, uint32_t *bins)         \
    {                                                                                                                  \
        uint8_t ambiguous[BIN_SEARCH_BLOCK];                                                                           \
        double low = s->low, scale = s->uniform_scale, top = s->uniform_top;                                           \
        double lower = s->margin, upper = 1 - s->margin;                                                               \
        ptrdiff_t total = 0, i = 0, stop = n < BIN_SEARCH_TRIAL ? n : BIN_SEARCH_TRIAL;                                \
        for (; i < stop && total <= i / 64; stop = n)                                                                  \
            for (; i < stop; i++) {                                                                                    \
                double position = ((double)values[i] - low) * scale + 1.0;                                             \
                position = position > 0.5 ? position : 0.5; /* NaN too */                                              \
                position = position < top ? position : top;                                                            \
                int32_t bin = (int32_t)position;                                                                       \
                double fraction = position - bin;                                                                      \
                int close = (fraction < lower) | (fraction > upper);                                                   \
                bins[i] = (uint32_t)bin;                                                                               \
                ambiguous[i] = (uint8_t)close;                                                                         \
                total += close;                                                                                        \
            }                                                                                                          \
        if (total > i / 64)                                                                                            \
            name##_compare(s, values, n, bins);                                                                        \
        else if (total)                                                                                                \
            for (i = 0; i < n; i++)                                                                                    \
                if (ambiguous[i]) {                                                                                    \
                    double value = (double)values[i];                                                                  \
                    uint32_t bin = bins[i] ? bins[i] - 1 : 0;                                                          \
                    while (value >= s->edges[bin])                                                                     \
                        bin++;                                                                                         \
                    bins[i] = bin;                                                                                     \
                }                                                                                                      \
    }

#if X86_DISPATCH
FIND_UNIFORM(find_uniform_avx512_double, double, "avx512f,avx512dq,avx512vl,avx512bw")
FIND_UNIFORM(find_uniform_avx512_float, float, "avx512f,avx512dq,avx512vl,avx512bw")
FIND_UNIFORM(find_uniform_avx2_double, double, "avx2")
FIND_UNIFORM(find_uniform_avx2_float, float, "avx2")
#elif defined(__GNUC__) && defined(__aarch64__)
FIND_UNIFORM(find_uniform_neon_double, double, )
FIND_UNIFORM(find_uniform_neon_float, float, )
#endif

static void bin_search_use(BinSearch *s, find_bins_double find_double, find_bins_float find_float)
{
    s->find_double = find_double;
    s->find_float = find_float;
}

/* Chooses the fastest way for these edges with the enabled instructions. Arithmetic alone is faster by wide vectors only
   (bench/test_bin_search.py: with 100 uniform bins half of the time of buckets). */
static void bin_search_choose(BinSearch *s, int avx512, int avx2, int neon)
{
    (void)avx512, (void)avx2, (void)neon;
    if (s->scale > 0)
        bin_search_use(s, find_by_width_double, find_by_width_float);
    else
        bin_search_use(s, find_by_rank_double, find_by_rank_float);
#if X86_DISPATCH
    if (s->uniform_scale > 0 && avx512)
        bin_search_use(s, find_uniform_avx512_double, find_uniform_avx512_float);
    else if (s->uniform_scale > 0 && avx2)
        bin_search_use(s, find_uniform_avx2_double, find_uniform_avx2_float);
#elif defined(__GNUC__) && defined(__aarch64__)
    if (s->uniform_scale > 0 && neon)
        bin_search_use(s, find_uniform_neon_double, find_uniform_neon_float);
#endif
}

/* Finds the bins of at most BIN_SEARCH_BLOCK values, doubles or floats. Another thread may change the values meanwhile:
   whatever they are, each bin is from 0 to the number of edges. */
static inline void find_bins(const BinSearch *s, const void *values, int single, ptrdiff_t n, uint32_t *bins)
{
    if (single)
        s->find_float(s, (const float *)values, n, bins);
    else
        s->find_double(s, (const double *)values, n, bins);
}

typedef struct {
    const BinSearch *search;
    const void *values;
    int single; /* whether the values are floats, not doubles */
} Axis;

/* Finds the cells of rows start, start + 1, ... in a joint table; the last axis runs fastest. */
static void find_joint_bins(const Axis *axes, int count, ptrdiff_t start, ptrdiff_t n, uint32_t *cells)
{
    uint32_t bins[BIN_SEARCH_BLOCK];
    for (int axis = 0; axis < count; axis++) {
        const BinSearch *search = axes[axis].search;
        size_t size = axes[axis].single ? sizeof(float) : sizeof(double);
        uint32_t width = search->count + 1;
        const char *values = (const char *)axes[axis].values + (size_t)start * size;
        for (size_t line = 0; line < (size_t)n * size; line += 64)
            prefetch_ahead(values + line);
        find_bins(search, values, axes[axis].single, n, axis ? bins : cells);
        if (axis)
            for (ptrdiff_t i = 0; i < n; i++)
                cells[i] = cells[i] * width + bins[i];
    }
}

#endif
