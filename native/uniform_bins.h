/* Counts few doubles between uniform edges, without the tables of bin_search.h, which take longer to build than few values
   take to count. As there, a comparison with an edge decides each bin. */
#ifndef PARCOUNT_UNIFORM_BINS_H
#define PARCOUNT_UNIFORM_BINS_H

#include "cpu_features.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

enum { UNIFORM_BLOCK = 256, UNIFORM_OUTSIDE = -1 };

/* Whether a computed position is closer than a quarter of a bin to the exact one, rounding of the edges included. */
static int uniform_bins_decide(double low, double high, ptrdiff_t bins)
{
    double width = high - low, scale = (double)bins / width;
    return bins < 1 << 30 && width > 0 && isfinite(width) && isfinite(scale) && width / (double)bins > 0 &&
           ldexp(fmax(fmax(fabs(low), fabs(high)), width), -50) * scale < 0.25;
}

/* The value lies in one of the two bins beside the nearest edge. The last bin includes its upper edge. */
#define FIND_UNIFORM_BINS(name, features)                                                                              \
    CPU_TARGET(features) static void name(                                                                             \
        const double *values, ptrdiff_t n, const double *edges, int32_t bins, double scale, int32_t *found)            \
    {                                                                                                                  \
        double low = edges[0], high = edges[bins], most = bins;                                                        \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            double value = values[i], position = (value - low) * scale + 0.5;                                          \
            position = position > 0 ? position : 0; /* NaN too */                                                      \
            int32_t nearest = (int32_t)(position < most ? position : most);                                            \
            int32_t bin = nearest - (value < edges[nearest]);                                                          \
            bin = bin < bins ? bin : bins - 1;                                                                         \
            found[i] = (value >= low) & (value <= high) ? bin : UNIFORM_OUTSIDE;                                       \
        }                                                                                                              \
    }

#if X86_DISPATCH
FIND_UNIFORM_BINS(uniform_bins_baseline, "sse2")
FIND_UNIFORM_BINS(uniform_bins_avx2, "avx2")
FIND_UNIFORM_BINS(uniform_bins_avx512, "avx512f,avx512dq,avx512vl,avx512bw")
#else
FIND_UNIFORM_BINS(uniform_bins_baseline, )
#define uniform_bins_avx2 uniform_bins_baseline
#define uniform_bins_avx512 uniform_bins_baseline
#endif

static void uniform_bins_count(
    const double *values, ptrdiff_t n, const double *edges, int32_t bins, int64_t *counts, int avx512, int avx2)
{
    int32_t found[UNIFORM_BLOCK];
    double scale = bins / (edges[bins] - edges[0]);
    for (ptrdiff_t start = 0; start < n; start += UNIFORM_BLOCK) {
        ptrdiff_t size = n - start < UNIFORM_BLOCK ? n - start : UNIFORM_BLOCK;
        (avx512 ? uniform_bins_avx512 : avx2 ? uniform_bins_avx2 : uniform_bins_baseline)(
            values + start, size, edges, bins, scale, found);
        for (ptrdiff_t i = 0; i < size; i++)
            if (found[i] != UNIFORM_OUTSIDE)
                counts[found[i]]++;
    }
}

#endif
