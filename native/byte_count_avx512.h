/* How often each of the 256 bytes occurs, by vectors of 64 bytes: no byte costs a store, so none waits for another.

   The loop that adds one to a cell for each byte can be no faster than a store a clock. Here a block is first dealt out by
   the two highest bits into four groups (VPCOMPRESSB). What is left, six bits, is for each of eight tables either the number
   of one bit in a byte or nothing (VPERMB), so a group's bytes become eight bit matrices, whose columns are counted: they
   are transposed, 8 × 8 bits at a time (VGF2P8AFFINEQB, with the data as the matrix and the unit vectors as its operand),
   and each row's ones counted (VPOPCNTB). It takes as long whatever the bytes are. */
#ifndef PARCOUNT_BYTE_COUNT_AVX512_H
#define PARCOUNT_BYTE_COUNT_AVX512_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) && defined(__x86_64__)
#include <immintrin.h>

enum {
    BLOCK_BYTES = 8192,  /* with its groups, it stays in the first cache */
    MAX_UINT8_VECTORS = 31,   /* vectors that a count of eight bits can take: each adds up to 8 */
    LOOKUP_TABLES = 8,
    VALUES_PER_GROUP = 64   /* different ones */
};

#define AVX512_TARGET                                                                                                  \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,popcnt")))

static int byte_count_avx512_supported(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("gfni") && __builtin_cpu_supports("popcnt");
}

/* Adds the counts of eight neighbouring values, spread over the eight words of a vector. */
AVX512_TARGET static inline void add_column_counts(__m512i column_counts, uint32_t *counts)
{
    __m512i quarters = _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_castsi512_si256(column_counts)),
                                        _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(column_counts, 1)));
    __m256i halves =
        _mm256_add_epi16(_mm512_castsi512_si256(quarters), _mm512_extracti64x4_epi64(quarters, 1));
    __m128i sums = _mm_add_epi16(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
    __m256i before = _mm256_loadu_si256((const __m256i *)counts);
    _mm256_storeu_si256((__m256i *)counts, _mm256_add_epi32(before, _mm256_cvtepu16_epi32(sums)));
}

/* One group: n bytes that differ in their six lowest bits only. */
AVX512_TARGET static void count_group(const uint8_t *group, ptrdiff_t n, uint32_t *counts)
{
    const __m512i unit_vectors = _mm512_set1_epi64((long long)0x8040201008040201);
    __m512i tables[LOOKUP_TABLES], column_counts[LOOKUP_TABLES];
    for (int table = 0; table < LOOKUP_TABLES; table++)
        tables[table] = _mm512_maskz_mov_epi8((__mmask64)0xFF << 8 * table, unit_vectors);
    for (ptrdiff_t start = 0; start < n;) {
        ptrdiff_t stop = n - start < 64 * MAX_UINT8_VECTORS ? n : start + 64 * MAX_UINT8_VECTORS;
        for (int table = 0; table < LOOKUP_TABLES; table++)
            column_counts[table] = _mm512_setzero_si512();
        for (; start < stop; start += 64) {
            __mmask64 valid = stop - start >= 64 ? ~(__mmask64)0 : ~(__mmask64)0 >> (64 - (stop - start));
            __m512i bytes = _mm512_maskz_loadu_epi8(valid, group + start);
#pragma GCC unroll 8
            for (int table = 0; table < LOOKUP_TABLES; table++) {
                __m512i bits = _mm512_maskz_permutexvar_epi8(valid, bytes, tables[table]);
                __m512i columns = _mm512_popcnt_epi8(_mm512_gf2p8affine_epi64_epi8(unit_vectors, bits, 0));
                column_counts[table] = _mm512_add_epi8(column_counts[table], columns);
            }
        }
        start = stop;
#pragma GCC unroll 8
        for (int table = 0; table < LOOKUP_TABLES; table++)
            add_column_counts(column_counts[table], counts + 8 * table);
    }
}

/* Adds to the 256 counts how often each byte is among n, fewer than 2**32. */
AVX512_TARGET static void byte_count_avx512(const uint8_t *bytes, ptrdiff_t n, uint32_t *counts)
{
    uint8_t groups[4][BLOCK_BYTES + 64]; /* a whole vector is stored, of which the next covers what was no byte of it */
    const __m512i lower = _mm512_set1_epi8(64);
    for (ptrdiff_t start = 0; start < n; start += BLOCK_BYTES) {
        ptrdiff_t stop = n - start < BLOCK_BYTES ? n : start + BLOCK_BYTES;
        uint8_t *ends[4] = {groups[0], groups[1], groups[2], groups[3]};
        for (ptrdiff_t i = start; i < stop; i += 64) {
            __mmask64 valid = stop - i >= 64 ? ~(__mmask64)0 : ~(__mmask64)0 >> (64 - (stop - i));
            __m512i some = _mm512_maskz_loadu_epi8(valid, bytes + i);
            /* While the groups are counted nothing is read, and the processor stops to read ahead by itself: without
               this, 0.22 ns a byte instead of 0.12 from memory (bench/test_bincount_methods.py). */
            _mm_prefetch((const char *)((uintptr_t)bytes + (size_t)i + BLOCK_BYTES), _MM_HINT_T0);
            __mmask64 high = _mm512_movepi8_mask(some), low = _mm512_test_epi8_mask(some, lower);
            __mmask64 group[4] = {valid & ~(high | low), low & ~high, high & ~low, high & low};
#pragma GCC unroll 4
            for (int g = 0; g < 4; g++) {
                _mm512_storeu_si512(ends[g], _mm512_maskz_compress_epi8(group[g], some));
                ends[g] += _mm_popcnt_u64(group[g]);
            }
        }
        for (int g = 0; g < 4; g++)
            count_group(groups[g], ends[g] - groups[g], counts + VALUES_PER_GROUP * g);
    }
}

#else

static int byte_count_avx512_supported(void)
{
    return 0;
}

static void byte_count_avx512(const uint8_t *bytes, ptrdiff_t n, uint32_t *counts)
{
    for (ptrdiff_t i = 0; i < n; i++) /* never called */
        counts[bytes[i]]++;
}

#endif
#endif
