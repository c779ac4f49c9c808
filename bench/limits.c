/* Loops that do no more than every count of the same data has to do: bench/limits.py says which is the limit of what.
   Each returns a number that depends on all its work, so that the compiler cannot leave any out. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    AHEAD = 8192, /* bytes between what is read and what is prefetched */
    LINE = 64,
    CELLS = 256, /* four tables of them are 4 kB */
    FANOUT = 256,
    PER_LINE = LINE / sizeof(uint64_t)
};

#ifdef __AVX512F__
enum { WIDTH = 64 };
#elif defined(__AVX2__)
enum { WIDTH = 32 };
#else
enum { WIDTH = 16 };
#endif

typedef uint64_t Vector __attribute__((vector_size(WIDTH), aligned(1), may_alias));

static inline void prefetch(const void *from, size_t ahead)
{
    __builtin_prefetch((const char *)from + ahead);
}

/* A hash: its upper bits depend on all bits of the key. */
static inline uint64_t scatter(uint64_t key)
{
    return key * 0x9E3779B97F4A7C15;
}

/* Past the caches where the CPU can. */
static inline void store_line(uint64_t *to, const uint64_t *line)
{
#ifdef __SSE2__
    for (size_t i = 0; i < PER_LINE; i += 2)
        _mm_stream_si128((__m128i *)(to + i), _mm_load_si128((const __m128i *)(line + i)));
#else
    memcpy(to, line, LINE);
#endif
}

/* Reads all bytes by the widest vectors that the compiler may use. */
uint64_t limit_read(const char *from, size_t bytes)
{
    Vector a = {0}, b = {0}, c = {0}, d = {0};
    uint64_t sum = 0;
    for (; bytes >= 4 * WIDTH; from += 4 * WIDTH, bytes -= 4 * WIDTH) {
        for (size_t line = 0; line < 4 * WIDTH; line += LINE)
            prefetch(from + line, AHEAD);
        a ^= *(const Vector *)from;
        b ^= *(const Vector *)(from + WIDTH);
        c ^= *(const Vector *)(from + 2 * WIDTH);
        d ^= *(const Vector *)(from + 3 * WIDTH);
    }
    a ^= b ^ c ^ d;
    for (size_t i = 0; i < WIDTH / sizeof sum; i++)
        sum ^= a[i];
    while (bytes)
        sum ^= (uint64_t)(unsigned char)from[--bytes];
    return sum;
}

/* Reads one array, or two, and increments a cell of a table in the first cache for each element. */
#define STORE(name, type)                                                                                              \
    uint64_t name(const type *x, const type *y, size_t n)                                                              \
    {                                                                                                                  \
        uint32_t tables[4][CELLS];                                                                                     \
        uint64_t sum = 0;                                                                                              \
        memset(tables, 0, sizeof tables);                                                                              \
        if (y)                                                                                                         \
            for (size_t i = 0; i + 4 <= n; i += 4) {                                                                   \
                prefetch(x + i, AHEAD);                                                                                \
                prefetch(y + i, AHEAD);                                                                                \
                for (size_t j = 0; j < 4; j++)                                                                         \
                    tables[j][(x[i + j] ^ y[i + j]) & (CELLS - 1)]++;                                                  \
            }                                                                                                          \
        else                                                                                                           \
            for (size_t i = 0; i + 4 <= n; i += 4) {                                                                   \
                prefetch(x + i, AHEAD);                                                                                \
                for (size_t j = 0; j < 4; j++)                                                                         \
                    tables[j][x[i + j] & (CELLS - 1)]++;                                                               \
            }                                                                                                          \
        for (size_t i = 0; i < CELLS; i++)                                                                             \
            sum += tables[0][i] ^ tables[1][i] ^ tables[2][i] ^ tables[3][i];                                          \
        return sum;                                                                                                    \
    }

STORE(limit_store_4, uint32_t)
STORE(limit_store_8, uint64_t)

/* Increments a cell of a table of 2^bits cells for each key, at random. */
uint64_t limit_update(const uint64_t *keys, size_t n, int64_t *table, int bits)
{
    enum { LATER = 32 };
    size_t i = 0;
    for (; i + LATER + PER_LINE <= n; i += PER_LINE) {
        prefetch(keys + i, AHEAD);
        for (size_t j = i; j < i + PER_LINE; j++) {
            prefetch(table + (scatter(keys[j + LATER]) >> (64 - bits)), 0);
            table[scatter(keys[j]) >> (64 - bits)]++;
        }
    }
    for (; i < n; i++)
        table[scatter(keys[i]) >> (64 - bits)]++;
    return (uint64_t)table[0];
}

/* Moves each key to one of 256 parts by its hash, through a buffer of one cache line for each part. Each part has room for
   so many keys, a multiple of a line, and begins again when it is full. */
uint64_t limit_partition(const uint64_t *keys, size_t n, uint64_t *parts, size_t room)
{
    static _Thread_local uint64_t lines[FANOUT][PER_LINE] __attribute__((aligned(LINE)));
    size_t place[FANOUT] = {0};
    for (size_t i = 0; i + PER_LINE <= n; i += PER_LINE) {
        prefetch(keys + i, AHEAD);
        for (size_t j = i; j < i + PER_LINE; j++) {
            uint64_t key = keys[j];
            size_t part = scatter(key) >> 56, at = place[part]++;
            lines[part][at % PER_LINE] = key;
            if ((at + 1) % PER_LINE == 0) {
                store_line(parts + part * room + at + 1 - PER_LINE, lines[part]);
                place[part] = at + 1 == room ? 0 : at + 1;
            }
        }
    }
    return place[0] + lines[0][0];
}

/* Reads each cell and writes it again. */
uint64_t limit_add(uint64_t *cells, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cells[i]++;
    return cells[0];
}
