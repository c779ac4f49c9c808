/* Sorts entries of value tables: by count, then by bytes, both descending: the order of `sort | uniq -c | sort -rn` in
   the C locale.

   Multikey quicksort of Bentley and Sedgewick (Fast algorithms for sorting and searching strings, SODA 1997), which
   caches the next bytes of each string beside its pointer (Ng and Kakehi, Cache efficient radix sort for string sorting,
   IEICE Transactions E90-A, 2007): a string is looked at once for 7 bytes. The count is what a string begins with. */
#ifndef PARCOUNT_VALUE_SORT_H
#define PARCOUNT_VALUE_SORT_H

#include "value_table.h"

typedef struct {
    uint64_t cache; /* the count; or the next 7 bytes, the first one highest, and how many there are, 8 if more */
    const uint8_t *entry;
} ValueRecord;

enum { VALUE_CACHED_BYTES = 7, VALUE_INSERTION_SORT = 12 };

/* Where in a string the cached bytes are. The count is the first part; then the key from `depth` on. */
typedef struct {
    ValueRecord *records;
    size_t n;
    size_t depth;
    int keyed; /* whether the cache has bytes of the key */
} ValueSortRange;

static inline uint64_t value_big_endian(uint64_t word)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return word;
#elif defined(__GNUC__)
    return __builtin_bswap64(word);
#else
    return _byteswap_uint64(word);
#endif
}

static inline uint64_t value_sort_cache(const uint8_t *entry, size_t depth)
{
    size_t left = value_entry_length(entry) - depth;
    const uint8_t *from = value_entry_key(entry) + depth;
    uint64_t word = 0;
    if (left > VALUE_CACHED_BYTES) {
        memcpy(&word, from, 8); /* the eighth is not needed, but there */
        return (value_big_endian(word) & ~UINT64_C(0xFF)) | 8;
    }
    memcpy(&word, from, left);
    return value_big_endian(word) | left;
}

/* Whether a is to come before b, of which the caches are equal or not. */
static inline int value_sort_before(const ValueRecord *a, const ValueRecord *b, const ValueSortRange *range)
{
    size_t skip, length_a, length_b, common;
    int order;
    if (a->cache != b->cache)
        return a->cache > b->cache;
    skip = range->keyed ? range->depth + VALUE_CACHED_BYTES : 0;
    length_a = value_entry_length(a->entry);
    length_b = value_entry_length(b->entry);
    common = length_a < length_b ? length_a : length_b;
    if (common <= skip)
        return length_a > length_b;
    order = memcmp(value_entry_key(a->entry) + skip, value_entry_key(b->entry) + skip, common - skip);
    return order ? order > 0 : length_a > length_b;
}

static void value_sort_insertion(const ValueSortRange *range)
{
    for (size_t i = 1; i < range->n; i++) {
        ValueRecord moved = range->records[i];
        size_t j = i;
        for (; j && value_sort_before(&moved, &range->records[j - 1], range); j--)
            range->records[j] = range->records[j - 1];
        range->records[j] = moved;
    }
}

static inline uint64_t value_median(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

static uint64_t value_sort_pivot(const ValueRecord *r, size_t n)
{
    size_t step = n / 9, i;
    uint64_t medians[3];
    if (n < 64)
        return value_median(r[0].cache, r[n / 2].cache, r[n - 1].cache);
    for (i = 0; i < 3; i++, r += 3 * step)
        medians[i] = value_median(r[0].cache, r[step].cache, r[2 * step].cache);
    return value_median(medians[0], medians[1], medians[2]);
}

/* Splits a range in three: caches above, equal to and below a pivot. The middle one is ready to be sorted by what follows
   in its strings; it is empty if nothing does, because then they are one string. */
static void value_sort_split(const ValueSortRange *range, ValueSortRange parts[3])
{
    ValueRecord *r = range->records;
    uint64_t pivot = value_sort_pivot(r, range->n);
    size_t above = 0, i = 0, below = range->n;
    while (i < below) {
        ValueRecord record = r[i];
        if (record.cache > pivot) {
            r[i++] = r[above];
            r[above++] = record;
        } else if (record.cache < pivot) {
            r[i] = r[--below];
            r[below] = record;
        } else
            i++;
    }
    parts[0] = parts[1] = parts[2] = *range;
    parts[0].n = above;
    parts[1].records += above;
    parts[1].n = below - above;
    parts[2].records += below;
    parts[2].n = range->n - below;
    parts[1].depth = range->keyed ? range->depth + VALUE_CACHED_BYTES : 0;
    parts[1].keyed = 1;
    if (parts[1].n < 2 || (range->keyed && (pivot & 0xFF) != 8))
        parts[1].n = 0;
    for (i = 0; i < parts[1].n; i++) {
        ValueRecord *record = parts[1].records + i;
#ifdef __GNUC__
        if (i + 16 < parts[1].n) {
            __builtin_prefetch(record[16].entry, 0);
            __builtin_prefetch(record[16].entry + 8 + parts[1].depth, 0);
        }
#endif
        record->cache = value_sort_cache(record->entry, parts[1].depth);
    }
}

static void value_sort(ValueSortRange range)
{
    while (range.n > VALUE_INSERTION_SORT) {
        ValueSortRange parts[3];
        int largest;
        value_sort_split(&range, parts);
        largest = parts[1].n > parts[0].n ? 1 : 0;
        if (parts[2].n > parts[largest].n)
            largest = 2;
        for (int i = 0; i < 3; i++) /* the largest one last, in this loop: so the depth of recursion is logarithmic */
            if (i != largest)
                value_sort(parts[i]);
        range = parts[largest];
    }
    value_sort_insertion(&range);
}

/* How many of some sorted entries come before an entry. */
static size_t value_sort_place(uint8_t *const *bounds, size_t n, const uint8_t *entry)
{
    const ValueSortRange whole = {NULL, 0, 0, 0};
    ValueRecord sought = {value_entry_count(entry), entry};
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        ValueRecord bound = {value_entry_count(bounds[middle]), bounds[middle]};
        if (value_sort_before(&bound, &sought, &whole))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#endif
