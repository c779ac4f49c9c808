/* A hash table from byte strings to counts, exact: strings are compared by all their bytes.

   The strings lie one after the other in an arena, each behind its count. A slot has 64 bits: the first 30 bits of the
   hash, and the place in the arena. Slots are sorted: a string goes to the slot that its first bits of the hash name, or
   to the first one behind that keeps the order (linear probing of Amble and Knuth, Ordered hash tables, The Computer
   Journal 17, 1974). So

   - a search for an absent string ends at the first slot with a larger hash, mostly without a look at the arena;
   - a table grows, and tables are merged, in one sequential pass over the slots, without a look at the arena to grow;
   - any range of hashes is a range of slots: parts of tables are merged in parallel and written to disk in order.

   Strings are added in batches: all are hashed and their slots prefetched, then the slots are searched and the candidates
   in the arena prefetched, then they are compared. So the cache misses of a batch overlap.

   The arena is virtual memory of the size of the limit, of which the system provides what is written to. Nothing moves.

   Not thread-safe: each worker has its own table. */
#ifndef PARCOUNT_VALUE_TABLE_H
#define PARCOUNT_VALUE_TABLE_H

#include <errno.h>
#include <stdlib.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <sys/mman.h>
#endif

#include "scratch_alloc.h"
#include "value_hash.h"

#ifdef __GNUC__
#define VALUE_LIKELY(x) __builtin_expect(!!(x), 1)
#define VALUE_PREFETCH(address) __builtin_prefetch(address, 1)
#define VALUE_INLINE static inline __attribute__((always_inline))
#define VALUE_NOINLINE static __attribute__((noinline))
#else
#define VALUE_LIKELY(x) (x)
#define VALUE_PREFETCH(address) ((void)(address))
#define VALUE_INLINE static inline
#define VALUE_NOINLINE static
#endif

enum {
    VALUE_BATCH = 32,
    VALUE_MAX_BATCH = VALUE_BATCH + 64, /* a batch ends with a vector of the input */
    VALUE_BATCH_BYTES = 1 << 16, /* a batch ends with the string that exceeds this */
    VALUE_PLACE_BITS = 34,       /* of places in the arena, in units of 8 bytes: 128 GB */
    VALUE_MIN_BITS = 8,
    VALUE_MAX_BITS = 64 - VALUE_PLACE_BITS,
    VALUE_LENGTH_BITS = 16, /* of the first word of an entry; the others are the count */
    VALUE_LONG = (1 << VALUE_LENGTH_BITS) - 1,
    VALUE_MAX_HEADER = 16,
    VALUE_RESULT_BYTES = 24 /* of each value when results are sorted: a pointer, and a record to sort */
};

enum { VALUE_BASELINE, VALUE_AVX2, VALUE_AVX512 };

typedef enum {
    VALUE_OK,
    VALUE_FULL,     /* empty the table, then add the rest */
    VALUE_NO_MEMORY,
    VALUE_OVERFLOW  /* a count would not fit into 48 bits */
} ValueStatus;

#define VALUE_PLACE_MASK ((UINT64_C(1) << VALUE_PLACE_BITS) - 1)
#define VALUE_MAX_COUNT (UINT64_MAX >> VALUE_LENGTH_BITS)

typedef struct {
    uint64_t *slots;  /* 0 if empty; the last one always is */
    unsigned bits;    /* of the hash that name a slot */
    size_t slots_end; /* 2^bits, and some more for those that do not fit into the last ones */
    size_t used, grow_at;
    uint8_t *arena;
    size_t arena_used, arena_size;
    size_t limit;     /* bytes of arena, slots and results, beyond which the table is full */
    size_t longest;   /* string */
    uint64_t total;   /* sum of counts */
    uint64_t hash_mask;
    unsigned skip;    /* first bits of the hash that are not used, because all strings have them in common */
    int instructions;
    uint32_t keys[VALUE_HASH_WORDS];
} ValueTable;

/* Entries of the arena. */

static inline size_t value_entry_length(const uint8_t *entry)
{
    uint64_t head = value_hash_load64(entry);
    return VALUE_LIKELY((head & VALUE_LONG) != VALUE_LONG) ? head & VALUE_LONG : value_hash_load64(entry + 8);
}

static inline const uint8_t *value_entry_key(const uint8_t *entry)
{
    return entry + ((value_hash_load64(entry) & VALUE_LONG) == VALUE_LONG ? 16 : 8);
}

static inline uint64_t value_entry_count(const uint8_t *entry)
{
    return value_hash_load64(entry) >> VALUE_LENGTH_BITS;
}

static inline size_t value_entry_bytes(size_t length)
{
    return (length + (length < VALUE_LONG ? 8 : 16) + 7) & ~(size_t)7;
}

static inline const uint8_t *value_entry_next(const uint8_t *entry)
{
    return entry + value_entry_bytes(value_entry_length(entry));
}

static inline ValueStatus value_entry_add(uint8_t *entry, uint64_t count)
{
    uint64_t head = value_hash_load64(entry);
    if (!VALUE_LIKELY(count <= VALUE_MAX_COUNT - (head >> VALUE_LENGTH_BITS)))
        return VALUE_OVERFLOW;
    head += count << VALUE_LENGTH_BITS;
    memcpy(entry, &head, 8);
    return VALUE_OK;
}

/* Memory. */

static void value_arena_free(ValueTable *t)
{
    if (t->arena) {
#ifdef _WIN32
        VirtualFree(t->arena, 0, MEM_RELEASE);
#else
        munmap(t->arena, t->arena_size);
#endif
    }
    t->arena = NULL;
}

static ValueStatus value_arena_reserve(ValueTable *t, size_t bytes)
{
    void *memory;
    value_arena_free(t);
    bytes = (bytes + 4095) & ~(size_t)4095;
#ifdef _WIN32
    memory = VirtualAlloc(NULL, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
#else
    {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#ifdef MAP_NORESERVE
        flags |= MAP_NORESERVE;
#endif
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (memory == MAP_FAILED)
            memory = NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (memory && bytes >= HUGE_PAGE_MIN_BYTES)
            madvise(memory, bytes, MADV_HUGEPAGE); /* a hint only */
#endif
    }
#endif
    t->arena = (uint8_t *)memory;
    t->arena_size = bytes;
    t->arena_used = 8; /* place 0 is that of an empty slot */
    return memory ? VALUE_OK : VALUE_NO_MEMORY;
}

static inline size_t value_table_bytes(const ValueTable *t)
{
    return t->arena_used + t->slots_end * sizeof(uint64_t) + t->used * VALUE_RESULT_BYTES;
}

/* Moves all slots to a new array. What does not fit into the 2^bits slots goes behind them. */
static ValueStatus value_slots_move(ValueTable *t, unsigned bits, size_t behind)
{
    for (;; behind *= 2) {
        size_t end = ((size_t)1 << bits) + behind, next = 0, i;
        uint64_t *slots = (uint64_t *)scratch_calloc(end * sizeof(uint64_t));
        if (!slots)
            return VALUE_NO_MEMORY;
        for (i = 0; i < t->slots_end; i++) {
            uint64_t slot = t->slots[i], home = slot >> (64 - bits);
            if (!slot)
                continue;
            if (home > next)
                next = home;
            if (next >= end - 1)
                break;
            slots[next++] = slot;
        }
        if (i == t->slots_end) {
            scratch_free(t->slots);
            t->slots = slots;
            t->slots_end = end;
            t->bits = bits;
            t->grow_at = ((size_t)1 << bits) / 16 * 11;
            return VALUE_OK;
        }
        scratch_free(slots);
    }
}

static void value_table_free(ValueTable *t)
{
    value_arena_free(t);
    scratch_free(t->slots);
    t->slots = NULL;
}

/* hash_bits and skip: how many first bits of the hash are used, of which how many not to name slots. */
static ValueStatus value_table_init(ValueTable *t, uint64_t seed, size_t limit, unsigned hash_bits, unsigned skip,
                                    int instructions)
{
    memset(t, 0, sizeof(*t));
    t->limit = limit;
    t->hash_mask = hash_bits < 64 ? ~(UINT64_MAX >> hash_bits) : UINT64_MAX;
    t->skip = skip;
    t->instructions = instructions;
    value_hash_seed(t->keys, seed);
    if (value_arena_reserve(t, limit) != VALUE_OK || value_slots_move(t, VALUE_MIN_BITS, 64) != VALUE_OK) {
        value_table_free(t);
        return VALUE_NO_MEMORY;
    }
    return VALUE_OK;
}

/* Keeps the memory of the arena, and that of the slots, because as many strings are to come. */
static void value_table_clear(ValueTable *t)
{
    memset(t->slots, 0, t->slots_end * sizeof(uint64_t));
    t->used = 0;
    t->arena_used = 8;
    t->total = 0;
    t->longest = 0;
}

/* Makes room for some more strings of together so many bytes. */
static ValueStatus value_table_reserve(ValueTable *t, size_t strings, size_t bytes)
{
    size_t arena = t->arena_used + bytes + strings * (VALUE_MAX_HEADER + 8), slots = t->slots_end * sizeof(uint64_t);
    size_t results = (t->used + strings) * VALUE_RESULT_BYTES;
    unsigned bits = t->bits;
    while (((size_t)1 << bits) / 16 * 11 < t->used + strings)
        bits++;
    if (bits > VALUE_MAX_BITS || arena / 8 > VALUE_PLACE_MASK)
        return t->used ? VALUE_FULL : VALUE_NO_MEMORY;
    if (bits > t->bits)
        slots += sizeof(uint64_t) << bits; /* beside the old ones */
    if (arena > t->arena_size || arena + slots + results > t->limit) {
        if (t->used)
            return VALUE_FULL;
        /* a batch that exceeds the limit by itself */
        if (arena > t->arena_size && value_arena_reserve(t, arena) != VALUE_OK)
            return VALUE_NO_MEMORY;
    }
    return bits > t->bits ? value_slots_move(t, bits, t->slots_end - ((size_t)1 << t->bits)) : VALUE_OK;
}

/* Writes an entry behind the last one, for which there must be room. */
static inline uint8_t *value_table_append(ValueTable *t, const uint8_t *key, size_t length, uint64_t count)
{
    uint8_t *entry = t->arena + t->arena_used;
    uint64_t head = count << VALUE_LENGTH_BITS | (length < VALUE_LONG ? length : VALUE_LONG), full = length;
    size_t bytes = value_entry_bytes(length);
    memset(entry + bytes - 8, 0, 8);
    memcpy(entry, &head, 8);
    if (length >= VALUE_LONG)
        memcpy(entry + 8, &full, 8);
    memcpy(entry + (length < VALUE_LONG ? 8 : 16), key, length);
    t->arena_used += bytes;
    if (length > t->longest)
        t->longest = length;
    return entry;
}

/* Adds a string that no candidate in the arena was equal to, or for which there was none. There must be room. */
VALUE_NOINLINE ValueStatus value_table_insert(ValueTable *t, const uint8_t *key, size_t length, uint64_t hash,
                                              uint64_t count)
{
    uint64_t high = hash & ~VALUE_PLACE_MASK;
    size_t i = hash >> (64 - t->bits), empty;
    uint8_t *entry;
    while (t->slots[i] && t->slots[i] < high)
        i++;
    for (; t->slots[i] && (t->slots[i] & ~VALUE_PLACE_MASK) == high; i++) {
        entry = t->arena + (t->slots[i] & VALUE_PLACE_MASK) * 8;
        if (value_entry_length(entry) == length && !memcmp(value_entry_key(entry), key, length))
            return value_entry_add(entry, count);
    }
    for (empty = i; t->slots[empty]; empty++)
        ;
    if (empty == t->slots_end - 1) {
        ValueStatus status = value_slots_move(t, t->bits, 2 * (t->slots_end - ((size_t)1 << t->bits)));
        return status != VALUE_OK ? status : value_table_insert(t, key, length, hash, count);
    }
    if (count > VALUE_MAX_COUNT)
        return VALUE_OVERFLOW;
    memmove(t->slots + i + 1, t->slots + i, (empty - i) * sizeof(uint64_t));
    entry = value_table_append(t, key, length, count);
    t->slots[i] = high | (uint64_t)(entry - t->arena) / 8;
    t->used++;
    return VALUE_OK;
}

/* Where 64 bytes are newlines. */

VALUE_INLINE uint64_t value_newlines_baseline(const uint8_t *from)
{
#if X86_DISPATCH
    const __m128i *blocks = (const __m128i *)from;
    const __m128i newline = _mm_set1_epi8('\n');
    uint64_t mask = 0;
    for (int i = 0; i < 4; i++)
        mask |= (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(blocks + i), newline)) << (16 * i);
    return mask;
#elif defined(__GNUC__) && defined(__aarch64__)
    static const uint8_t BITS[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t bits = vld1q_u8(BITS), newline = vdupq_n_u8('\n');
    uint8x16_t low = vpaddq_u8(vandq_u8(vceqq_u8(vld1q_u8(from), newline), bits),
                               vandq_u8(vceqq_u8(vld1q_u8(from + 16), newline), bits));
    uint8x16_t high = vpaddq_u8(vandq_u8(vceqq_u8(vld1q_u8(from + 32), newline), bits),
                                vandq_u8(vceqq_u8(vld1q_u8(from + 48), newline), bits));
    low = vpaddq_u8(low, high);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(low, low)), 0);
#else
    uint64_t mask = 0;
    for (int i = 0; i < 64; i++)
        mask |= (uint64_t)(from[i] == '\n') << i;
    return mask;
#endif
}

#if X86_DISPATCH
CPU_TARGET("avx2") VALUE_INLINE uint64_t value_newlines_avx2(const uint8_t *from)
{
    const __m256i newline = _mm256_set1_epi8('\n');
    __m256i low = _mm256_loadu_si256((const __m256i *)from), high = _mm256_loadu_si256((const __m256i *)from + 1);
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, newline)) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, newline)) << 32;
}

AVX512_TARGET VALUE_INLINE uint64_t value_newlines_avx512(const uint8_t *from)
{
    return _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(from), _mm512_set1_epi8('\n'));
}

AVX512_TARGET VALUE_INLINE int value_equal_avx512(const uint8_t *a, const uint8_t *b, size_t length)
{
    for (; length > 64; a += 64, b += 64, length -= 64)
        if (_mm512_cmpneq_epi8_mask(_mm512_loadu_si512(a), _mm512_loadu_si512(b)))
            return 0;
    if (length) {
        __mmask64 mask = ~UINT64_C(0) >> (64 - length);
        return !_mm512_cmpneq_epi8_mask(_mm512_maskz_loadu_epi8(mask, a), _mm512_maskz_loadu_epi8(mask, b));
    }
    return 1;
}
#endif

VALUE_INLINE int value_equal_baseline(const uint8_t *a, const uint8_t *b, size_t length)
{
    return !memcmp(a, b, length);
}

static inline unsigned value_first_bit(uint64_t mask)
{
#ifdef __GNUC__
    return (unsigned)__builtin_ctzll(mask);
#else
    unsigned i = 0;
    while (!(mask >> i & 1))
        i++;
    return i;
#endif
}

#define VALUE_SUFFIX(name) name##_baseline
#define VALUE_HASH_OF value_hash_baseline
#define VALUE_NEWLINES value_newlines_baseline
#define VALUE_EQUAL value_equal_baseline
#define VALUE_TARGET
#include "value_table_loops.h"

#if X86_DISPATCH
#define VALUE_SUFFIX(name) name##_avx2
#define VALUE_HASH_OF value_hash_baseline
#define VALUE_NEWLINES value_newlines_avx2
#define VALUE_EQUAL value_equal_baseline
#define VALUE_TARGET CPU_TARGET("avx2")
#include "value_table_loops.h"

#define VALUE_SUFFIX(name) name##_avx512
#define VALUE_HASH_OF value_hash_avx512
#define VALUE_NEWLINES value_newlines_avx512
#define VALUE_EQUAL value_equal_avx512
#define VALUE_TARGET AVX512_TARGET
#include "value_table_loops.h"

#define VALUE_CALL(name, ...)                                                                                          \
    (t->instructions == VALUE_AVX512 ? name##_avx512(__VA_ARGS__)                                                      \
     : t->instructions == VALUE_AVX2 ? name##_avx2(__VA_ARGS__)                                                        \
                                     : name##_baseline(__VA_ARGS__))
#else
#define VALUE_CALL(name, ...) name##_baseline(__VA_ARGS__)
#endif

/* Adds strings, each once, or `counts[i]` times if `counts` is not NULL; returns how many. Fewer than `n` if *status is not
   VALUE_OK: the table is as if the others had not been given. */
static size_t value_table_add_batch(ValueTable *t, const uint8_t *const *keys, const size_t *lengths,
                                    const uint64_t *counts, size_t n, ValueStatus *status)
{
    return VALUE_CALL(value_add_batch, t, keys, lengths, counts, n, status);
}

/* Adds one string; slower than a batch for tables larger than a cache. */
static ValueStatus value_table_add(ValueTable *t, const uint8_t *key, size_t length, uint64_t count)
{
    ValueStatus status;
    value_table_add_batch(t, &key, &length, &count, 1, &status);
    return status;
}

/* Adds the complete lines of a block, and what is behind the last newline if `last`; returns how many bytes it used. */
static size_t value_table_add_lines(ValueTable *t, const uint8_t *block, size_t bytes, int last, ValueStatus *status)
{
    return VALUE_CALL(value_add_lines, t, block, bytes, last, status);
}

#endif
