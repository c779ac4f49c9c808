/* Between which edges does each value lie? Slot s holds the values of which s edges are not greater: slot 0 those below
   the first edge, and NaN; the last slot those above the last edge.

   A value's cell is found by arithmetic: (value - low) * scale, clamped and cut to an integer; or from its bits. Each
   step of that is monotonic, roundings included, so an edge in an earlier cell is not greater than the value and one in a later cell is
   greater: only the edges in its own cell need to be compared with it. */
#ifndef PARCOUNT_SLOTS_H
#define PARCOUNT_SLOTS_H

#include "ahead.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    SLOTS_BLOCK = 512, /* values at a time: their slots stay in the first cache */
    SLOTS_FIRST = 32   /* of which the first tell whether the others are worth the attempt */
};

typedef struct {
    const double *edges;   /* ascending; after the last one a NaN, than which nothing is greater */
    const uint32_t *start; /* of each cell, the number of edges in the cells before; one more at the end */
    uint32_t count;        /* of edges */
    int steps;             /* of a binary search among the edges of one cell */
    double low, scale, top; /* cells of equal width; no width, no scale: */
    int64_t first, last;    /* cells of equally many doubles, between these ranks */
    int shift;
    /* If the edges are uniform: slots an edge, and how far at most an edge lies off its computed place. Zero slots if
       they are not, or too far off. */
    double uniform_scale, uniform_top, margin;
} Grid;

#if defined(__GNUC__) && defined(__x86_64__)
#define SLOTS_DISPATCH 1
#define SLOTS_TARGET(features) __attribute__((target(features)))
#else
#define SLOTS_DISPATCH 0
#define SLOTS_TARGET(features)
#endif

/* A double's place among all doubles, as an integer: its bits, which count from zero on in both directions. As steps of
   it are steps of the logarithm, cells of equal numbers of doubles suit edges whose distances grow. */
static inline int64_t slots_rank(double value)
{
    int64_t bits;
    value += 0.0; /* the zeros are equal */
    memcpy(&bits, &value, sizeof bits);
    return value == value ? bits ^ ((bits >> 63) & INT64_MAX) : INT64_MIN; /* NaN: below all */
}

/* Among the edges of a value's cell. */
#define SLOTS_SEARCH(name, real)                                                                                       \
    static void name(const Grid *g, const real *values, ptrdiff_t n, const int32_t *cells, uint32_t *slots)            \
    {                                                                                                                  \
        if (g->steps <= 1) {                                                                                           \
            for (ptrdiff_t i = 0; i < n; i++) {                                                                        \
                uint32_t slot = g->start[cells[i]];                                                                    \
                slots[i] = slot + ((double)values[i] >= g->edges[slot]);                                               \
            }                                                                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            uint32_t slot = g->start[cells[i]], left = g->start[cells[i] + 1] - slot;                                  \
            for (int step = 0; step < g->steps; step++) {                                                              \
                uint32_t half = (left + 1) >> 1; /* none left: compares once more, and adds nothing */                 \
                slot += half & -(uint32_t)((double)values[i] >= g->edges[slot + half - (half > 0)]);                   \
                left -= half;                                                                                          \
            }                                                                                                          \
            slots[i] = slot;                                                                                           \
        }                                                                                                              \
    }

/* By cells of equal width. */
#define SLOTS_BY_CELL(name, real, search)                                                                              \
    static void name(const Grid *g, const real *values, ptrdiff_t n, uint32_t *slots)                                  \
    {                                                                                                                  \
        int32_t cells[SLOTS_BLOCK];                                                                                    \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            double place = ((double)values[i] - g->low) * g->scale;                                                    \
            place = place > 0 ? place : 0; /* NaN too */                                                               \
            cells[i] = (int32_t)(place < g->top ? place : g->top);                                                     \
        }                                                                                                              \
        search(g, values, n, cells, slots);                                                                            \
    }

/* By cells of equally many doubles. */
#define SLOTS_BY_BITS(name, real, search)                                                                              \
    static void name(const Grid *g, const real *values, ptrdiff_t n, uint32_t *slots)                                  \
    {                                                                                                                  \
        int32_t cells[SLOTS_BLOCK];                                                                                    \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            int64_t rank = slots_rank(values[i]);                                                                      \
            rank = rank > g->first ? rank : g->first;                                                                  \
            rank = rank < g->last ? rank : g->last;                                                                    \
            cells[i] = (int32_t)(((uint64_t)rank - (uint64_t)g->first) >> g->shift);                                   \
        }                                                                                                              \
        search(g, values, n, cells, slots);                                                                            \
    }

/* By comparing with the nearest of uniform edges: a value lies between the edges beside that one, so this says where. */
#define SLOTS_BY_EDGE(name, real, features)                                                                           \
    SLOTS_TARGET(features) static void name(const Grid *g, const real *values, ptrdiff_t n, uint32_t *slots)           \
    {                                                                                                                  \
        double low = g->low, scale = g->uniform_scale, last = g->count - 1.0;                                          \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            double place = ((double)values[i] - low) * scale + 0.5;                                                    \
            place = place > 0 ? place : 0; /* NaN too */                                                               \
            uint32_t nearest = (uint32_t)(int32_t)(place < last ? place : last);                                       \
            slots[i] = nearest + ((double)values[i] >= g->edges[nearest]);                                             \
        }                                                                                                              \
    }

/* By arithmetic alone, for uniform edges: a value that is further from a computed edge than any edge is off needs no
   comparison, and the others are few. */
#define SLOTS_BY_PLACE(name, real, features)                                                                           \
    SLOTS_BY_EDGE(name##_by_edge, real, features)                                                                      \
    SLOTS_TARGET(features) static void name(const Grid *g, const real *values, ptrdiff_t n, uint32_t *slots)           \
    {                                                                                                                  \
        uint8_t unsure[SLOTS_BLOCK];                                                                                   \
        double low = g->low, scale = g->uniform_scale, top = g->uniform_top;                                           \
        double least = g->margin, most = 1 - g->margin;                                                                \
        ptrdiff_t many = 0, i = 0;                                                                                     \
        for (ptrdiff_t stop = n < SLOTS_FIRST ? n : SLOTS_FIRST; i < stop && many <= i / 64; stop = n)                 \
            for (; i < stop; i++) {                                                                                    \
                double place = ((double)values[i] - low) * scale + 1.0;                                                \
                place = place > 0.5 ? place : 0.5; /* NaN too */                                                       \
                place = place < top ? place : top;                                                                     \
                int32_t slot = (int32_t)place;                                                                         \
                double within = place - slot;                                                                          \
                int close = (within < least) | (within > most);                                                        \
                slots[i] = (uint32_t)slot;                                                                             \
                unsure[i] = (uint8_t)close;                                                                            \
                many += close;                                                                                         \
            }                                                                                                          \
        if (many > i / 64) /* as in data that was rounded */                                                           \
            name##_by_edge(g, values, n, slots);                                                                       \
        else if (many)                                                                                                 \
            for (i = 0; i < n; i++)                                                                                    \
                if (unsure[i]) {                                                                                       \
                    uint32_t slot = slots[i] ? slots[i] - 1 : 0;                                                       \
                    while ((double)values[i] >= g->edges[slot])                                                        \
                        slot++;                                                                                        \
                    slots[i] = slot;                                                                                   \
                }                                                                                                      \
    }

SLOTS_SEARCH(slots_search_double, double)
SLOTS_SEARCH(slots_search_float, float)
SLOTS_BY_CELL(slots_by_cell_double, double, slots_search_double)
SLOTS_BY_CELL(slots_by_cell_float, float, slots_search_float)
SLOTS_BY_BITS(slots_by_bits_double, double, slots_search_double)
SLOTS_BY_BITS(slots_by_bits_float, float, slots_search_float)
#if SLOTS_DISPATCH
SLOTS_BY_PLACE(slots_avx512_double, double, "avx512f,avx512dq,avx512vl,avx512bw")
SLOTS_BY_PLACE(slots_avx512_float, float, "avx512f,avx512dq,avx512vl,avx512bw")
SLOTS_BY_PLACE(slots_avx2_double, double, "avx2")
SLOTS_BY_PLACE(slots_avx2_float, float, "avx2")
#elif defined(__aarch64__)
SLOTS_BY_PLACE(slots_neon_double, double, )
SLOTS_BY_PLACE(slots_neon_float, float, )
#endif

typedef void (*slots_double)(const Grid *, const double *, ptrdiff_t, uint32_t *);
typedef void (*slots_float)(const Grid *, const float *, ptrdiff_t, uint32_t *);

/* The fastest way on this CPU. What the arithmetic alone gains, it gains by wide vectors (bench/test_slots.py: with 100
   uniform bins half of the time by cell); where there are none, there is the table. */
static slots_double slots_for_double(const Grid *g)
{
#if SLOTS_DISPATCH
    if (g->uniform_scale > 0) {
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
            return slots_avx512_double;
        if (__builtin_cpu_supports("avx2"))
            return slots_avx2_double;
    }
#elif defined(__aarch64__)
    if (g->uniform_scale > 0)
        return slots_neon_double;
#endif
    return g->scale > 0 ? slots_by_cell_double : slots_by_bits_double;
}

static slots_float slots_for_float(const Grid *g)
{
#if SLOTS_DISPATCH
    if (g->uniform_scale > 0) {
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
            return slots_avx512_float;
        if (__builtin_cpu_supports("avx2"))
            return slots_avx2_float;
    }
#elif defined(__aarch64__)
    if (g->uniform_scale > 0)
        return slots_neon_float;
#endif
    return g->scale > 0 ? slots_by_cell_float : slots_by_bits_float;
}

enum { SLOTS_MOST_AXES = 64 }; /* as many as an array has dimensions */

typedef struct {
    const Grid *grid;
    const void *values;
    int single; /* whether the values are floats, not doubles */
} Axis;

/* The cells of a joint table in which rows start, start + 1, … lie, the slots of the last axis next to each other. */
static void slots_of_axes(const Axis *axes, int count, ptrdiff_t start, ptrdiff_t n, uint32_t *cells)
{
    uint32_t more[SLOTS_BLOCK];
    for (int axis = 0; axis < count; axis++) {
        const Grid *grid = axes[axis].grid;
        uint32_t *slots = axis ? more : cells, width = grid->count + 1;
        if (axes[axis].single) {
            const float *values = (const float *)axes[axis].values + start;
            read_block_ahead(values, (size_t)n * sizeof *values);
            slots_for_float(grid)(grid, values, n, slots);
        } else {
            const double *values = (const double *)axes[axis].values + start;
            read_block_ahead(values, (size_t)n * sizeof *values);
            slots_for_double(grid)(grid, values, n, slots);
        }
        if (axis)
            for (ptrdiff_t i = 0; i < n; i++)
                cells[i] = cells[i] * width + more[i];
    }
}

#endif
