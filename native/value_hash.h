/* A seeded hash of byte strings.

   NH of Black, Halevi, Krawczyk, Krovetz and Rogaway (UMAC: Fast and secure message authentication, CRYPTO 1999) over
   32-bit words: the sum of (m[i] + k[i]) * (m[i + 1] + k[i + 1]) modulo 2^64. For random k two strings of one length have
   the same sum with a probability of at most 2^-32, whatever the strings, so that nobody who does not know the seed can
   prepare strings that collide. The words k are drawn by splitmix64 from the seed: that their sums cannot be predicted from
   outside is assumed, not proved. Sums of 1024 bytes are chained, and the last one is finished, by splitmix64's
   bijection. The sum has no dependency chain and one multiplication for 8 bytes, which vectors of any width do alike: all
   instruction sets compute the same values. Strings are padded with zeros to a multiple of 16 bytes. */
#ifndef PARCOUNT_VALUE_HASH_H
#define PARCOUNT_VALUE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cpu_features.h"
#include "splitmix64.h"

#if X86_DISPATCH
#include <immintrin.h>
#elif defined(__GNUC__) && defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { VALUE_HASH_CHUNK = 1024, VALUE_HASH_WORDS = VALUE_HASH_CHUNK / 4 };

static void value_hash_seed(uint32_t keys[VALUE_HASH_WORDS], uint64_t seed)
{
    for (int i = 0; i < VALUE_HASH_WORDS; i += 2) {
        uint64_t word = splitmix64_mix(seed += SPLITMIX64_GAMMA);
        keys[i] = (uint32_t)word;
        keys[i + 1] = (uint32_t)(word >> 32);
    }
}

static inline uint64_t value_hash_load64(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, 8);
    return word;
}

static inline uint64_t value_hash_load32(const uint8_t *from)
{
    uint32_t word;
    memcpy(&word, from, 4);
    return word;
}

static inline uint64_t value_hash_product(uint64_t message, const uint32_t *keys)
{
    return (uint64_t)((uint32_t)message + keys[0]) * ((uint32_t)(message >> 32) + keys[1]);
}

/* The last 1 to 15 bytes, as if zeros followed; reads nothing outside of the string of `length` bytes that ends there. */
static inline uint64_t value_hash_tail(const uint8_t *end, size_t left, size_t length, const uint32_t *keys)
{
    uint64_t low, high = 0;
    if (left >= 8) {
        low = value_hash_load64(end - left);
        if (left > 8)
            high = value_hash_load64(end - 8) >> (8 * (16 - left));
    } else if (length >= 8)
        low = value_hash_load64(end - 8) >> (8 * (8 - left));
    else if (left >= 4)
        low = value_hash_load32(end - left) | value_hash_load32(end - 4) << (8 * (left - 4));
    else
        low = end[-(ptrdiff_t)left] | (uint64_t)end[-(ptrdiff_t)(left - left / 2)] << (8 * (left / 2)) |
              (uint64_t)end[-1] << (8 * (left - 1));
    return value_hash_product(low, keys) + value_hash_product(high, keys + 2);
}

static inline uint64_t value_hash_sum_baseline(const uint8_t *from, size_t bytes, size_t length, const uint32_t *keys)
{
    const uint8_t *end = from + bytes;
    uint64_t sum = 0;
#if X86_DISPATCH
    __m128i sums = _mm_setzero_si128();
    for (; end - from >= 16; from += 16, keys += 4) {
        __m128i words = _mm_add_epi32(_mm_loadu_si128((const __m128i *)from), _mm_loadu_si128((const __m128i *)keys));
        sums = _mm_add_epi64(sums, _mm_mul_epu32(words, _mm_srli_epi64(words, 32)));
    }
    sum = (uint64_t)_mm_cvtsi128_si64(_mm_add_epi64(sums, _mm_unpackhi_epi64(sums, sums)));
#elif defined(__GNUC__) && defined(__aarch64__)
    uint64x2_t sums = vdupq_n_u64(0);
    for (; end - from >= 16; from += 16, keys += 4) {
        uint64x2_t words = vreinterpretq_u64_u32(vaddq_u32(vreinterpretq_u32_u8(vld1q_u8(from)), vld1q_u32(keys)));
        sums = vmlal_u32(sums, vmovn_u64(words), vshrn_n_u64(words, 32));
    }
    sum = vaddvq_u64(sums);
#else
    for (; end - from >= 16; from += 16, keys += 4)
        sum += value_hash_product(value_hash_load64(from), keys) +
               value_hash_product(value_hash_load64(from + 8), keys + 2);
#endif
    return from < end ? sum + value_hash_tail(end, (size_t)(end - from), length, keys) : sum;
}

#if X86_DISPATCH
#define AVX512_TARGET CPU_TARGET("avx512f,avx512bw,avx512dq,avx512vl")

AVX512_TARGET static inline uint64_t value_hash_sum_avx512(const uint8_t *from, size_t bytes, size_t length,
                                                           const uint32_t *keys)
{
    __m512i sums = _mm512_setzero_si512();
    __m256i half;
    __m128i quarter;
    (void)length;
    for (; bytes > 64; from += 64, keys += 16, bytes -= 64) {
        __m512i words = _mm512_add_epi32(_mm512_loadu_si512(from), _mm512_loadu_si512(keys));
        sums = _mm512_add_epi64(sums, _mm512_mul_epu32(words, _mm512_srli_epi64(words, 32)));
    }
    if (bytes) {
        __m512i words = _mm512_maskz_loadu_epi8(~UINT64_C(0) >> (64 - bytes), from);
        words = _mm512_add_epi32(words, _mm512_loadu_si512(keys));
        words = _mm512_maskz_mul_epu32((__mmask8)(0xFF >> (8 - (bytes + 15) / 16 * 2)), words, _mm512_srli_epi64(words, 32));
        sums = _mm512_add_epi64(sums, words);
    }
    half = _mm256_add_epi64(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1));
    quarter = _mm_add_epi64(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    return (uint64_t)_mm_cvtsi128_si64(_mm_add_epi64(quarter, _mm_unpackhi_epi64(quarter, quarter)));
}
#endif

#define VALUE_HASH(name, target, value_hash_sum)                                                                      \
    target static inline uint64_t name(const uint8_t *from, size_t length, const uint32_t *keys)                      \
    {                                                                                                                 \
        uint64_t state = 0;                                                                                           \
        size_t left = length;                                                                                         \
        for (; left > VALUE_HASH_CHUNK; from += VALUE_HASH_CHUNK, left -= VALUE_HASH_CHUNK)                           \
            state = splitmix64_mix(state + value_hash_sum(from, VALUE_HASH_CHUNK, length, keys));                     \
        return splitmix64_mix(state + value_hash_sum(from, left, length, keys) + length * SPLITMIX64_GAMMA);          \
    }

VALUE_HASH(value_hash_baseline, , value_hash_sum_baseline)
#if X86_DISPATCH
VALUE_HASH(value_hash_avx512, AVX512_TARGET, value_hash_sum_avx512)
#endif

#endif
