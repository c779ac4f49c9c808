/* Counts each of the 256 byte values with AVX-512, without a store per byte.

   A loop that adds one to a cell per byte is limited to one store per clock. Here each block is first partitioned by the
   two highest bits into four groups (VPCOMPRESSB). For each of eight tables, the other six bits select either one bit of a
   byte or none (VPERMB), so that a group becomes eight bit matrices whose columns are to be counted: the matrices are
   transposed, 8 x 8 bits at a time (VGF2P8AFFINEQB, with the data as the matrix and the unit vectors as its operand), and
   the ones of each row counted (VPOPCNTB). The time does not depend on the data.

   Counting the ones of each bit position over many words is the positional population count: M. Klarqvist, W. Mula and
   D. Lemire, "Efficient computation of positional population counts using SIMD instructions", Concurrency and Computation:
   Practice and Experience 33(17), 2021. Here the "words" are one-hot encodings of the bytes. */
#ifndef PARCOUNT_BYTE_COUNT_AVX512_H
#define PARCOUNT_BYTE_COUNT_AVX512_H

#include "cpu_features.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if X86_DISPATCH
#include <immintrin.h>

enum {
    BLOCK_BYTES = 8192,     /* a block and its groups fit in the L1 cache */
    MAX_UINT8_VECTORS = 31, /* vectors until an 8-bit count could overflow: each adds up to 8 */
    LOOKUP_TABLES = 8,
    VALUES_PER_GROUP = 64
};

#define AVX512_ICL_TARGET                                                                                             \
    CPU_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,avx512bitalg,gfni,popcnt")

/* Adds the counts of eight consecutive values, spread over the eight 64-bit words of a vector. */
AVX512_ICL_TARGET static inline void add_column_counts(__m512i column_counts, uint32_t *counts)
{
    __m512i quarters = _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_castsi512_si256(column_counts)),
                                        _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(column_counts, 1)));
    __m256i halves =
        _mm256_add_epi16(_mm512_castsi512_si256(quarters), _mm512_extracti64x4_epi64(quarters, 1));
    __m128i sums = _mm_add_epi16(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
    __m256i before = _mm256_loadu_si256((const __m256i *)counts);
    _mm256_storeu_si256((__m256i *)counts, _mm256_add_epi32(before, _mm256_cvtepu16_epi32(sums)));
}

/* Counts one group: n bytes with the same two highest bits. */
AVX512_ICL_TARGET static void count_group(const uint8_t *group, ptrdiff_t n, uint32_t *counts)
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

/* Adds the counts of n bytes, fewer than 2**32, to the 256 cells. */
AVX512_ICL_TARGET static void byte_count_avx512(const uint8_t *bytes, ptrdiff_t n, uint32_t *counts)
{
    uint8_t groups[4][BLOCK_BYTES + 64]; /* whole vectors are stored: the next one overwrites the excess */
    const __m512i lower = _mm512_set1_epi8(64);
    for (ptrdiff_t start = 0; start < n; start += BLOCK_BYTES) {
        ptrdiff_t stop = n - start < BLOCK_BYTES ? n : start + BLOCK_BYTES;
        uint8_t *ends[4] = {groups[0], groups[1], groups[2], groups[3]};
        for (ptrdiff_t i = start; i < stop; i += 64) {
            __mmask64 valid = stop - i >= 64 ? ~(__mmask64)0 : ~(__mmask64)0 >> (64 - (stop - i));
            __m512i some = _mm512_maskz_loadu_epi8(valid, bytes + i);
            /* While the groups are counted nothing is read, and the hardware prefetcher stops: 0.22 ns per byte from
               memory without this, 0.12 with it (bench/test_bincount_methods.py). */
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

static void byte_count_avx512(const uint8_t *bytes, ptrdiff_t n, uint32_t *counts)
{
    for (ptrdiff_t i = 0; i < n; i++) /* never called */
        counts[bytes[i]]++;
}

#endif
#endif
