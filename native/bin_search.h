/* Finds the bin of each value among ascending edges. Bin b holds the values that are not less than exactly b edges: bin 0
   those below the first edge and NaN, the last bin those above the last edge.

   Vector loops turn each value into a word, an integer that never descends where values ascend, rounding included.

   Uniform edges: the word is the position in fractions of a bin. The words of the edges themselves tell how far the
   computed positions are off; a word further from a boundary than that has the right bin, and the others, which are
   few, are compared with the edges.

   Other edges: the word is the position in a grid of cells that are equal in linear or logarithmic scale, in fractions of
   a cell, and a table has a number for each cell that makes it a word of the same form when it is added: a multiple of
   the bin, and beside the edge of the cell, if there is one, as far from the boundary as the value's word is from the
   edge's. Only a word equal to an edge's is compared with it. A cell with several edges is divided again.

   Values that are floats are compared as such: a float is not less than an edge exactly if it is not less than the least
   float that is not less than the edge. */
#ifndef PARCOUNT_BIN_SEARCH_H
#define PARCOUNT_BIN_SEARCH_H

#include "cpu_features.h"
#include "prefetch.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    BIN_SEARCH_BLOCK = 256, /* values at a time: they and their words stay in the L1 cache */
    MAX_AXES = 64           /* NumPy's limit of dimensions */
};

/* The number of a cell with several edges makes more than any word: this, the shift of a position to one of the finer cells
   in which that cell is divided, and where they begin in the table. */
#define SEVERAL_EDGES 0x80000000u
#define FINER_BITS 25
#define NOT_FINER 31 /* instead of the shift: the edges cannot be told apart by their positions */

#ifdef __GNUC__
#define RARELY_CALLED __attribute__((noinline, cold)) /* inlined, it takes registers from the loop around it */
#else
#define RARELY_CALLED
#endif

typedef struct BinSearch BinSearch;

typedef struct {
    void (*linear)(const BinSearch *, const void *values, ptrdiff_t n, uint32_t *words);
    void (*logarithmic)(const BinSearch *, const void *values, ptrdiff_t n, uint32_t *words);
    uint32_t (*least_fraction)(const uint32_t *words, ptrdiff_t n, uint32_t margin, int shift);
    void (*join)(uint32_t *cells, int cell_shift, const uint32_t *words, int shift, uint32_t width, ptrdiff_t n);
} BinLoops;

struct BinSearch {
    const BinLoops *loops; /* chosen once for this CPU and the type of the values */
    const void *edges;     /* ascending, of the type of the values; a NaN after the last, so that no value is greater */
    uint32_t count;        /* of edges */
    int single;            /* whether the values are floats, not doubles */
    int log;               /* whether the scale is logarithmic */
    double low, scale, bottom, top, unit; /* linear: (value - low) * scale, clamped, plus the unit */
    float added;                      /* logarithmic: the distance from `low` at which the scale begins to be so */
    int32_t first, last, rank_shift;      /* the word is the rank, clamped, less the first, shifted */
    int shift;              /* of a word to its bin */
    uint32_t margin;        /* the largest distance of an edge's word from the boundary of its bin */
    int cell_shift;         /* of a position to its cell */
    const uint32_t *cells;  /* what is added to positions in each cell; NULL if the edges are uniform */
};

static inline int32_t float_bits(float value)
{
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The least float that is not less than a double; NaN of NaN. */
static inline float least_float_from(double value)
{
    float nearest = (float)value;
    return nearest < value ? nextafterf(nearest, INFINITY) : nearest;
}

#define JOINED(name, real, vectors) name##_##real##_##vectors
#define NAMED(name, real, vectors) JOINED(name, real, vectors)
#define LOOP(name) NAMED(name, real, vectors)

#define vectors baseline
#define VECTORS
#define real double
#include "bin_search_loops.h"
#undef real
#define real float
#include "bin_search_loops.h"
#undef real
#undef vectors
#undef VECTORS
#if X86_DISPATCH
#define vectors avx2
#define VECTORS CPU_TARGET("avx2")
#define real double
#include "bin_search_loops.h"
#undef real
#define real float
#include "bin_search_loops.h"
#undef real
#undef vectors
#undef VECTORS
#define vectors avx512
#define VECTORS CPU_TARGET("avx512f,avx512dq,avx512vl,avx512bw")
#define real double
#include "bin_search_loops.h"
#undef real
#define real float
#include "bin_search_loops.h"
#undef real
#undef vectors
#undef VECTORS
#endif

static const BinLoops *bin_search_loops(int single, int avx512, int avx2)
{
    (void)avx512, (void)avx2;
#if X86_DISPATCH
    if (avx512)
        return single ? &loops_float_avx512 : &loops_double_avx512;
    if (avx2)
        return single ? &loops_float_avx2 : &loops_double_avx2;
#endif
    return single ? &loops_float_baseline : &loops_double_baseline;
}

static inline void find_words(const BinSearch *s, const void *values, ptrdiff_t n, uint32_t *words)
{
    (s->log ? s->loops->logarithmic : s->loops->linear)(s, values, n, words);
}

#define EXACT_BINS(real)                                                                                               \
    /* The bin of a value among all edges. */                                                                          \
    static inline uint32_t search_##real(const BinSearch *s, real value)                                               \
    {                                                                                                                  \
        const real *edges = (const real *)s->edges;                                                                    \
        uint32_t bin = 0;                                                                                              \
        for (uint32_t left = s->count; left;) {                                                                        \
            uint32_t half = (left + 1) >> 1, not_less = value >= edges[bin + half - 1];                                \
            bin += half * not_less; /* no branch, which would be mispredicted */                                       \
            left -= half;                                                                                              \
        }                                                                                                              \
        return bin;                                                                                                    \
    }                                                                                                                  \
    /* The word of a value whose position is in a cell with several edges; `word` is the sum with that cell's number. */\
    RARELY_CALLED static uint32_t search_finer_##real(const BinSearch *s, real value, uint32_t position, uint32_t word)\
    {                                                                                                                  \
        uint32_t fraction = position & ((1u << s->cell_shift) - 1), left = fraction;                                   \
        while (word >= SEVERAL_EDGES) {                                                                                \
            uint32_t number = word - fraction - SEVERAL_EDGES, shift = number >> FINER_BITS;                           \
            if (shift == NOT_FINER)                                                                                    \
                return (search_##real(s, value) << s->shift) + (1u << (s->shift - 1));                                 \
            word = position + s->cells[(number & ((1u << FINER_BITS) - 1)) + (left >> shift)];                         \
            left &= (1u << shift) - 1;                                                                                 \
        }                                                                                                              \
        return word;                                                                                                   \
    }                                                                                                                  \
    /* Makes positions in the grid words of bins. */                                                                   \
    static void add_cells_##real(const BinSearch *s, const real *values, ptrdiff_t n, uint32_t *words)                 \
    {                                                                                                                  \
        const uint32_t *cells = s->cells;                                                                              \
        int cell_shift = s->cell_shift;                                                                                \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            uint32_t position = words[i], word = position + cells[position >> cell_shift];                             \
            words[i] = word < SEVERAL_EDGES ? word : search_finer_##real(s, values[i], position, word);                \
        }                                                                                                              \
    }                                                                                                                  \
    /* Replaces words that may be beyond a boundary by those of the right bins. */                                     \
    static void compare_close_##real(const BinSearch *s, const real *values, ptrdiff_t n, uint32_t *words)             \
    {                                                                                                                  \
        const real *edges = (const real *)s->edges;                                                                    \
        uint32_t half = 1u << (s->shift - 1), mask = 2 * half - 1, width = 2 * s->margin, close = 0;                   \
        if (s->loops->least_fraction(words, n, s->margin, 32 - s->shift) > width << (32 - s->shift))                   \
            return;                                                                                                    \
        for (ptrdiff_t i = 0; i < n; i++)                                                                              \
            close += ((words[i] + s->margin) & mask) <= width;                                                         \
        if (close > (uint32_t)n / 128) /* as of rounded data: comparing all is faster than finding them */             \
            for (ptrdiff_t i = 0; i < n; i++) {                                                                        \
                uint32_t nearest = ((words[i] + half) >> s->shift) - 1;                                                \
                words[i] = (nearest + (values[i] >= edges[nearest])) << s->shift;                                      \
            }                                                                                                          \
        else                                                                                                           \
            for (ptrdiff_t i = 0; i < n; i++)                                                                          \
                if (((words[i] + s->margin) & mask) <= width) {                                                        \
                    uint32_t nearest = ((words[i] + half) >> s->shift) - 1;                                            \
                    words[i] = (nearest + (values[i] >= edges[nearest])) << s->shift;                                  \
                }                                                                                                      \
    }                                                                                                                  \
    static void find_bins_##real(const BinSearch *s, const real *values, ptrdiff_t n, uint32_t *words)                 \
    {                                                                                                                  \
        find_words(s, values, n, words);                                                                               \
        if (s->cells)                                                                                                  \
            add_cells_##real(s, values, n, words);                                                                     \
        compare_close_##real(s, values, n, words);                                                                     \
    }

EXACT_BINS(double)
EXACT_BINS(float)

/* Finds the bins of at most BIN_SEARCH_BLOCK values: each is words[i] >> s->shift. Another thread may change the values
   meanwhile: whatever they are, each bin is from 0 to the number of edges. */
static inline void find_bins(const BinSearch *s, const void *values, ptrdiff_t n, uint32_t *words)
{
    if (s->single)
        find_bins_float(s, (const float *)values, n, words);
    else
        find_bins_double(s, (const double *)values, n, words);
}

typedef struct {
    const BinSearch *search;
    const void *values;
} Axis;

/* Finds the cells of rows start, start + 1, ... in a joint table; the last axis runs fastest. */
static void find_joint_bins(const Axis *axes, int count, ptrdiff_t start, ptrdiff_t n, uint32_t *cells)
{
    uint32_t words[BIN_SEARCH_BLOCK];
    for (int axis = 0; axis < count; axis++) {
        const BinSearch *s = axes[axis].search;
        size_t size = s->single ? sizeof(float) : sizeof(double);
        find_bins(s, (const char *)axes[axis].values + (size_t)start * size, n, axis ? words : cells);
        if (axis)
            s->loops->join(cells, axis > 1 ? 0 : axes[0].search->shift, words, s->shift, s->count + 1, n);
        else if (count == 1)
            for (ptrdiff_t i = 0; i < n; i++)
                cells[i] >>= s->shift;
    }
}

#endif
