/* A hash table from rows, byte strings of one width, to counts, exact: rows are compared by all their bytes.

   The distinct rows are copied to an array, in the order in which they came. A slot has the first 32 bits of the hash, so
   that a table grows without a look at the rows, the position of the row, and its count. Slots are probed linearly, and
   at most half of them are used.

   Rows are added in batches: all are hashed and their slots prefetched, then the rows in the slots are prefetched, then
   they are compared. So the cache misses of a batch overlap. Another thread may change the rows meanwhile: a row may then
   be stored twice, or under the hash of another.

   Not thread-safe: each worker has its own table. */
#ifndef PARCOUNT_ROW_TABLE_H
#define PARCOUNT_ROW_TABLE_H

#include "prefetch.h"
#include "scratch_alloc.h"
#include "value_hash.h"

#ifdef __GNUC__
#define ROW_INLINE static inline __attribute__((always_inline))
#else
#define ROW_INLINE static inline
#endif

enum { ROW_BATCH = 32, ROW_FIRST_BITS = 10, ROW_MAX_BITS = 32 };

typedef struct {
    uint32_t tag; /* the first bits of the hash */
    uint32_t row; /* its position */
    int64_t count; /* 0 if the slot is free */
} RowSlot;

typedef struct {
    RowSlot *slots;
    uint8_t *rows;
    size_t width, used, room; /* rows */
    unsigned bits;            /* 2^bits slots */
    uint32_t keys[VALUE_HASH_WORDS];
} RowTable;

static int row_table_init(RowTable *t, size_t width, uint64_t seed)
{
    t->width = width;
    t->bits = ROW_FIRST_BITS;
    t->slots = (RowSlot *)scratch_calloc(sizeof(RowSlot) << t->bits);
    value_hash_seed(t->keys, seed);
    return t->slots != NULL;
}

static void row_table_free(RowTable *t)
{
    scratch_free(t->slots);
    scratch_free(t->rows);
}

static int row_table_grow(RowTable *t)
{
    size_t size = (size_t)1 << t->bits, mask = 2 * size - 1, i;
    unsigned shift = 32 - (t->bits + 1);
    RowSlot *slots = t->bits < ROW_MAX_BITS ? (RowSlot *)scratch_calloc(2 * size * sizeof(RowSlot)) : NULL;
    if (!slots)
        return 0;
    for (i = 0; i < size; i++)
        if (t->slots[i].count) {
            size_t at = t->slots[i].tag >> shift;
            while (slots[at].count)
                at = (at + 1) & mask;
            slots[at] = t->slots[i];
        }
    scratch_free(t->slots);
    t->slots = slots;
    t->bits++;
    return 1;
}

/* Room for a batch of new rows. */
static int row_table_reserve(RowTable *t)
{
    if (t->used + ROW_BATCH > t->room) {
        size_t room = t->room + t->room / 2 + 8 * ROW_BATCH;
        uint8_t *rows = room <= SIZE_MAX / t->width ? (uint8_t *)scratch_realloc(t->rows, room * t->width) : NULL;
        if (!rows)
            return 0;
        t->rows = rows;
        t->room = room;
    }
    return 2 * (t->used + ROW_BATCH) <= (size_t)1 << t->bits || row_table_grow(t);
}

ROW_INLINE int row_equal(const uint8_t *one, const uint8_t *other, size_t width)
{
    size_t i;
    if (width < 8)
        return !memcmp(one, other, width);
    for (i = 0; i + 8 < width; i += 8)
        if (value_hash_load64(one + i) != value_hash_load64(other + i))
            return 0;
    return value_hash_load64(one + width - 8) == value_hash_load64(other + width - 8);
}

ROW_INLINE int row_table_add_width(RowTable *t, const uint8_t *from, const int64_t *counts, size_t n, size_t width)
{
    uint32_t tags[ROW_BATCH];
    size_t start, i;
    for (start = 0; start < n; start += ROW_BATCH, from += ROW_BATCH * width) {
        size_t batch = n - start < ROW_BATCH ? n - start : ROW_BATCH, mask;
        unsigned shift;
        if (!row_table_reserve(t))
            return 0;
        shift = 32 - t->bits;
        mask = ((size_t)1 << t->bits) - 1;
        for (i = 0; i < batch; i++) {
            tags[i] = (uint32_t)(value_hash_baseline(from + i * width, width, t->keys) >> 32);
            prefetch(t->slots + (tags[i] >> shift));
        }
        for (i = 0; i < batch; i++)
            prefetch(t->rows + t->slots[tags[i] >> shift].row * width);
        for (i = 0; i < batch; i++) {
            const uint8_t *row = from + i * width;
            size_t at = tags[i] >> shift;
            int64_t count = counts ? counts[start + i] : 1;
            RowSlot *slot;
            for (;; at = (at + 1) & mask) {
                slot = t->slots + at;
                if (!slot->count) {
                    slot->tag = tags[i];
                    slot->row = (uint32_t)t->used;
                    memcpy(t->rows + t->used++ * width, row, width);
                    break;
                }
                if (slot->tag == tags[i] && row_equal(t->rows + slot->row * width, row, width))
                    break;
            }
            slot->count += count;
        }
    }
    return 1;
}

/* Count rows, each once or as often as `counts` says, which are positive. Returns 0 if there is no memory. */
static int row_table_add(RowTable *t, const uint8_t *from, const int64_t *counts, size_t n)
{
    switch (t->width) { /* the usual widths are constants, so that their loops are unrolled */
    case 8:
        return row_table_add_width(t, from, counts, n, 8);
    case 12:
        return row_table_add_width(t, from, counts, n, 12);
    case 16:
        return row_table_add_width(t, from, counts, n, 16);
    case 24:
        return row_table_add_width(t, from, counts, n, 24);
    case 32:
        return row_table_add_width(t, from, counts, n, 32);
    default:
        return row_table_add_width(t, from, counts, n, t->width);
    }
}

#endif
