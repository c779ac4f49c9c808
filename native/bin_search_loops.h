/* The loops of bin_search.h that compilers turn into vector instructions, for the type `real`. LOOP(name) is the name of a
   loop for these instructions and this type, VECTORS the attribute that allows them. */

/* Positions in units that the scale gives, clamped and truncated. */
VECTORS static void LOOP(linear)(const BinSearch *s, const void *from, ptrdiff_t n, uint32_t *words)
{
    const real *values = (const real *)from;
    real low = (real)s->low, scale = (real)s->scale, bottom = (real)s->bottom, top = (real)s->top,
         unit = (real)s->unit;
    for (ptrdiff_t i = 0; i < n; i++) {
        real position = (values[i] - low) * scale;
        position = position > bottom ? position : bottom; /* NaN too */
        position = position < top ? position : top;
        words[i] = (uint32_t)(int32_t)(position + unit);
    }
}

/* The bits of the distance from the centre as a float, which grow as its logarithm does. */
VECTORS static void LOOP(logarithmic)(const BinSearch *s, const void *from, ptrdiff_t n, uint32_t *words)
{
    const real *values = (const real *)from;
    real centre = (real)s->low;
    float added = s->added;
    int32_t zero = float_bits(added), first = s->first, last = s->last, shift = s->rank_shift;
    for (ptrdiff_t i = 0; i < n; i++) {
        float distance = (float)(values[i] - centre);
        int32_t rank = float_bits(fabsf(distance) + added) - zero;
        rank = distance >= 0 ? rank : -rank; /* NaN is below all */
        rank = rank > first ? rank : first;
        rank = rank < last ? rank : last;
        words[i] = ((uint32_t)rank - (uint32_t)first) >> shift;
    }
}

/* The least fraction of a word plus `margin`, in the upper bits. */
VECTORS static uint32_t LOOP(least_fraction)(const uint32_t *words, ptrdiff_t n, uint32_t margin, int shift)
{
    uint32_t least = UINT32_MAX;
    for (ptrdiff_t i = 0; i < n; i++) {
        uint32_t fraction = (words[i] + margin) << shift;
        least = fraction < least ? fraction : least;
    }
    return least;
}

/* One more axis of a joint table: `cells` become those of the rows so far and the bins of `words`. */
VECTORS static void LOOP(join)(
    uint32_t *cells, int cell_shift, const uint32_t *words, int shift, uint32_t width, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        cells[i] = (cells[i] >> cell_shift) * width + (words[i] >> shift);
}

static const BinLoops LOOP(loops) = {LOOP(linear), LOOP(logarithmic), LOOP(least_fraction), LOOP(join)};
