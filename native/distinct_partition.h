/* Counts distinct keys in ascending order: keys are partitioned by range, then each partition is sorted in the cache.

   A key is partitioned in two steps, as in a trie: its first bits name a cell, and the cell says how many of the following
   bits name a partition. So a cell with many keys is divided into many partitions, whatever the distribution.

   Keys are collected in a line for each partition, and full lines are written past the cache (Wassenberg and Sanders,
   Engineering a multi-core radix sort, Euro-Par 2011). Partitions are lists of blocks, so that their sizes need not be
   counted before. A partition is sorted by a counting sort of its leading bits, then by insertion. */
#ifndef PARCOUNT_DISTINCT_PARTITION_H
#define PARCOUNT_DISTINCT_PARTITION_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#endif

#include "load_once.h"
#include "prefetch.h"
#include "scratch_alloc.h"

enum {
    PARTITION_LINE = 128,           /* bytes */
    PARTITION_BLOCK = 1 << 11,      /* bytes, a multiple of a line */
    PARTITION_SLAB = 1 << 25,       /* bytes that are allocated at a time */
    PARTITION_MIN_SLAB = 1 << 16,
    PARTITION_MAX_KEYS = (1 << 16) - 1, /* in a partition, that are sorted in the cache: counters have 16 bits */
    PARTITION_MOVES = 8             /* a key, that insertion may take */
};

typedef struct {
    uint32_t base;  /* the first partition of the cell */
    uint32_t shift; /* of the bits that follow the cell's */
} PartitionCell;

typedef struct {
    uint64_t keys;         /* in blocks and line */
    uint8_t *block;        /* where the next line goes */
    uint8_t *first;        /* block */
} Partition;

typedef struct {
    uint64_t low, span;             /* of the cells; keys outside are in the first and the last one */
    uint64_t share_low, share_span; /* keys outside are dropped */
    uint64_t mask;
    unsigned shift, key_bytes;
    PartitionCell *cells;
    Partition *partitions; /* one more, for the keys that are dropped */
    uint8_t *lines, *lines_memory;
    size_t count;
    uint8_t **slabs;
    size_t slab_count, slab_capacity, expected;
    uint8_t *next, *end; /* of the last slab */
    uint8_t *sort_memory;
} Partitions;

/* A block begins with the address of the next one. */
enum { PARTITION_HEADER = PARTITION_LINE };

static uint8_t *partition_new_block(Partitions *p)
{
    if (p->next == p->end) {
        size_t bytes = p->expected;
        uint8_t *slab;
        if (p->slab_count == p->slab_capacity) {
            size_t room = p->slab_capacity * 2 + 16;
            uint8_t **slabs = (uint8_t **)scratch_realloc(p->slabs, room * sizeof(*slabs));
            if (!slabs)
                return NULL;
            p->slabs = slabs;
            p->slab_capacity = room;
        }
        bytes = bytes < PARTITION_MIN_SLAB ? PARTITION_MIN_SLAB : bytes > PARTITION_SLAB ? PARTITION_SLAB : bytes;
        bytes = (bytes + PARTITION_BLOCK - 1) / PARTITION_BLOCK * PARTITION_BLOCK;
        p->expected -= bytes < p->expected ? bytes : p->expected;
        slab = (uint8_t *)scratch_calloc(bytes + PARTITION_LINE);
        if (!slab)
            return NULL;
        p->slabs[p->slab_count++] = slab;
        p->next = (uint8_t *)(((uintptr_t)slab + PARTITION_LINE - 1) / PARTITION_LINE * PARTITION_LINE);
        p->end = p->next + bytes;
    }
    p->next += PARTITION_BLOCK;
    return p->next - PARTITION_BLOCK;
}

static inline void partition_copy_line(uint8_t *to, const uint8_t *from)
{
#if defined(__SSE2__) || defined(_M_X64)
    for (int i = 0; i < PARTITION_LINE; i += 16)
        _mm_stream_si128((__m128i *)(to + i), _mm_load_si128((const __m128i *)(from + i)));
#else
    memcpy(to, from, PARTITION_LINE);
#endif
}

static inline void partition_fence(void)
{
#if defined(__SSE2__) || defined(_M_X64)
    _mm_sfence(); /* the lines are read by ordinary loads */
#endif
}

/* Writes a full line. Returns -1 if there is no memory. */
static int partition_flush(Partitions *p, size_t which)
{
    Partition *partition = p->partitions + which;
    if (which == p->count) { /* dropped */
        partition->keys = 0;
        return 0;
    }
    if (!partition->block || partition->block == partition->first + PARTITION_BLOCK) {
        uint8_t *block = partition_new_block(p);
        if (!block)
            return -1;
        *(uint8_t **)block = partition->first;
        partition->first = block; /* the last one is first in the list */
        partition->block = block + PARTITION_HEADER;
    }
    partition_copy_line(partition->block, p->lines + which * PARTITION_LINE);
    partition->block += PARTITION_LINE;
    return 0;
}

static void partitions_free(Partitions *p)
{
    for (size_t i = 0; i < p->slab_count; i++)
        scratch_free(p->slabs[i]);
    scratch_free(p->slabs);
    scratch_free(p->cells);
    scratch_free(p->partitions);
    scratch_free(p->lines_memory);
    scratch_free(p->sort_memory);
    memset(p, 0, sizeof(*p));
}

static int partitions_init(Partitions *p, size_t cells, size_t count, size_t expected, unsigned key_bytes)
{
    size_t sorted = 2 * (size_t)(PARTITION_MAX_KEYS + 1) * key_bytes + (2 * (size_t)PARTITION_MAX_KEYS + 2) * 2 + 64;
    memset(p, 0, sizeof(*p));
    p->count = count;
    p->key_bytes = key_bytes;
    p->expected = expected * key_bytes / (PARTITION_BLOCK - PARTITION_HEADER) * PARTITION_BLOCK + count * PARTITION_BLOCK;
    p->cells = (PartitionCell *)scratch_calloc(cells * sizeof(PartitionCell));
    p->partitions = (Partition *)scratch_calloc((count + 1) * sizeof(Partition));
    p->lines_memory = (uint8_t *)scratch_calloc((count + 2) * PARTITION_LINE);
    p->sort_memory = (uint8_t *)scratch_calloc(sorted);
    if (!p->cells || !p->partitions || !p->lines_memory || !p->sort_memory) {
        partitions_free(p);
        return -1;
    }
    p->lines = (uint8_t *)(((uintptr_t)p->lines_memory + PARTITION_LINE - 1) / PARTITION_LINE * PARTITION_LINE);
    return 0;
}

static inline unsigned partition_bits(uint64_t value)
{
#ifdef __GNUC__
    return value ? 64 - (unsigned)__builtin_clzll(value) : 0;
#else
    unsigned bits = 0;
    for (; value; value >>= 1)
        bits++;
    return bits;
#endif
}

#define PARTITION_KEY uint32_t
#define PARTITION_NAME(name) name##_32
#include "distinct_partition_loops.h"

#define PARTITION_KEY uint64_t
#define PARTITION_NAME(name) name##_64
#include "distinct_partition_loops.h"

static int partitions_add(Partitions *p, const void *keys, size_t n, uint64_t flip)
{
    return p->key_bytes == 4 ? partitions_add_32(p, (const uint32_t *)keys, n, (uint32_t)flip)
                             : partitions_add_64(p, (const uint64_t *)keys, n, flip);
}

static void partition_copy(const Partitions *p, size_t which, void *keys, uint64_t flip)
{
    if (p->key_bytes == 4)
        partition_gather_32(p, which, (uint32_t *)keys, (uint32_t)flip);
    else
        partition_gather_64(p, which, (uint64_t *)keys, flip);
}

static size_t partition_count(const Partitions *p, size_t which, void *values, int64_t *counts, uint64_t flip)
{
    return p->key_bytes == 4 ? partition_count_32(p, which, (uint32_t *)values, counts, (uint32_t)flip)
                             : partition_count_64(p, which, (uint64_t *)values, counts, flip);
}

#endif
