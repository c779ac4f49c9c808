/* How often each of the 256 bytes occurs, by vectors of 64 bytes: no byte costs a store, so none waits for another.

   The loop that adds one to a cell for each byte can be no faster than a store a clock. Here a block is first dealt out by
   the two highest bits into four heaps (VPCOMPRESSB). What is left, six bits, is for each of eight tables either the number
   of one bit in a byte or nothing (VPERMB), so a heap's bytes become eight bit matrices, whose columns are counted: they
   are transposed, 8 × 8 bits at a time (VGF2P8AFFINEQB, with the data as the matrix and the unit vectors as its operand),
   and each row's ones counted (VPOPCNTB). It takes as long whatever the bytes are. */
#ifndef PARCOUNT_BYTES_H
#define PARCOUNT_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) && defined(__x86_64__)
#include <immintrin.h>

enum {
    BYTES_BLOCK = 8192,  /* with its heaps, it stays in the first cache */
    BYTES_FILLED = 31,   /* vectors that a count of eight bits can take: each adds up to 8 */
    BYTES_TABLES = 8,
    BYTES_IN_HEAP = 64   /* different ones */
};

#define BYTES_TARGET                                                                                                   \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,popcnt")))

static int bytes_have_vectors(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("gfni") && __builtin_cpu_supports("popcnt");
}

/* Adds the counts of eight neighbouring values, spread over the eight words of a vector. */
BYTES_TARGET static inline void bytes_gather(__m512i seen, uint32_t *counts)
{
    __m512i quarters = _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_castsi512_si256(seen)),
                                        _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(seen, 1)));
    __m256i halves =
        _mm256_add_epi16(_mm512_castsi512_si256(quarters), _mm512_extracti64x4_epi64(quarters, 1));
    __m128i sums = _mm_add_epi16(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
    __m256i before = _mm256_loadu_si256((const __m256i *)counts);
    _mm256_storeu_si256((__m256i *)counts, _mm256_add_epi32(before, _mm256_cvtepu16_epi32(sums)));
}

/* One heap: n bytes that differ in their six lowest bits only. */
BYTES_TARGET static void bytes_of_heap(const uint8_t *heap, ptrdiff_t n, uint32_t *counts)
{
    const __m512i units = _mm512_set1_epi64((long long)0x8040201008040201);
    __m512i tables[BYTES_TABLES], seen[BYTES_TABLES];
    for (int table = 0; table < BYTES_TABLES; table++)
        tables[table] = _mm512_maskz_mov_epi8((__mmask64)0xFF << 8 * table, units);
    for (ptrdiff_t start = 0; start < n;) {
        ptrdiff_t stop = n - start < 64 * BYTES_FILLED ? n : start + 64 * BYTES_FILLED;
        for (int table = 0; table < BYTES_TABLES; table++)
            seen[table] = _mm512_setzero_si512();
        for (; start < stop; start += 64) {
            __mmask64 there = stop - start >= 64 ? ~(__mmask64)0 : ~(__mmask64)0 >> (64 - (stop - start));
            __m512i bytes = _mm512_maskz_loadu_epi8(there, heap + start);
#pragma GCC unroll 8
            for (int table = 0; table < BYTES_TABLES; table++) {
                __m512i bits = _mm512_maskz_permutexvar_epi8(there, bytes, tables[table]);
                __m512i columns = _mm512_popcnt_epi8(_mm512_gf2p8affine_epi64_epi8(units, bits, 0));
                seen[table] = _mm512_add_epi8(seen[table], columns);
            }
        }
        start = stop;
#pragma GCC unroll 8
        for (int table = 0; table < BYTES_TABLES; table++)
            bytes_gather(seen[table], counts + 8 * table);
    }
}

/* Adds to the 256 counts how often each byte is among n, fewer than 2**32. */
BYTES_TARGET static void bytes_by_vectors(const uint8_t *bytes, ptrdiff_t n, uint32_t *counts)
{
    uint8_t heaps[4][BYTES_BLOCK + 64]; /* a whole vector is stored, of which the next covers what was no byte of it */
    const __m512i lower = _mm512_set1_epi8(64);
    for (ptrdiff_t start = 0; start < n; start += BYTES_BLOCK) {
        ptrdiff_t stop = n - start < BYTES_BLOCK ? n : start + BYTES_BLOCK;
        uint8_t *ends[4] = {heaps[0], heaps[1], heaps[2], heaps[3]};
        for (ptrdiff_t i = start; i < stop; i += 64) {
            __mmask64 there = stop - i >= 64 ? ~(__mmask64)0 : ~(__mmask64)0 >> (64 - (stop - i));
            __m512i some = _mm512_maskz_loadu_epi8(there, bytes + i);
            /* While the heaps are counted nothing is read, and the processor stops to read ahead by itself: without
               this, 0.22 ns a byte instead of 0.12 from memory (bench/test_bincount_methods.py). */
            _mm_prefetch((const char *)((uintptr_t)bytes + (size_t)i + BYTES_BLOCK), _MM_HINT_T0);
            __mmask64 high = _mm512_movepi8_mask(some), low = _mm512_test_epi8_mask(some, lower);
            __mmask64 heap[4] = {there & ~(high | low), low & ~high, high & ~low, high & low};
#pragma GCC unroll 4
            for (int which = 0; which < 4; which++) {
                _mm512_storeu_si512(ends[which], _mm512_maskz_compress_epi8(heap[which], some));
                ends[which] += _mm_popcnt_u64(heap[which]);
            }
        }
        for (int which = 0; which < 4; which++)
            bytes_of_heap(heaps[which], ends[which] - heaps[which], counts + BYTES_IN_HEAP * which);
    }
}

#else

static int bytes_have_vectors(void)
{
    return 0;
}

static void bytes_by_vectors(const uint8_t *bytes, ptrdiff_t n, uint32_t *counts)
{
    for (ptrdiff_t i = 0; i < n; i++) /* never called */
        counts[bytes[i]]++;
}

#endif
#endif
