/* Counts newlines and words.

   Three classes of bytes matter for words: white space ends a word, visible bytes make one, and other bytes do neither.
   A word is thus a longest run without white space that has a visible byte. For 64 bytes at a time, each class becomes a
   mask of 64 bits. If `other` are the bits that are not white space, then `other + visible` carries out of each run of
   ones in which at least one bit is visible, into the bit of the white space after it, and out of the mask if the run
   is not over. So an addition, an `and` and a population count replace a step for each byte, and the carry is all that
   goes to the next 64 bytes. Adding to runs of ones to find their ends is the method of G. Langdale and D. Lemire,
   "Parsing gigabytes of JSON per second", The VLDB Journal 28(6), 2019.

   The rules:
   - C: what the C locale's isspace() and isgraph() say. White space is tab, newline, vertical tab, form feed, carriage
     return and space; visible are '!' to '~'. GNU wc 9.1 with LC_ALL=C counts these words.
   - Unicode: what str.split() says of the text decoded as UTF-8. White space is the characters for which str.isspace() is
     true, and everything else is visible, invalid UTF-8 too. The lead byte of a character is no other character's
     continuation, so the sequences are found without decoding what is around them. */
#ifndef PARCOUNT_TEXT_SCAN_H
#define PARCOUNT_TEXT_SCAN_H

#include "cpu_features.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    SCAN_BLOCK = 64,
    SCAN_AHEAD = 2 /* bytes after a block that can belong to a white-space character that begins in it */
};

typedef struct {
    uint64_t lines, words; /* words that have ended */
    uint64_t in_word;      /* 1 if a word has begun and not ended */
    uint64_t space;        /* mask in the next block: the rest of a white-space character */
} TextCount;

typedef struct {
    uint64_t (*count_lines)(const uint8_t *text, ptrdiff_t n);
    void (*count_words)(const uint8_t *text, ptrdiff_t n, TextCount *count);
    /* Returns how many bytes are counted: all if they are the last, otherwise whole blocks. */
    ptrdiff_t (*count_unicode_words)(const uint8_t *text, ptrdiff_t n, int last, TextCount *count);
    ptrdiff_t (*find_space)(const uint8_t *text, ptrdiff_t n); /* of the C locale; n if there is none */
} TextScan;

#ifdef __GNUC__
#define POPCOUNT64(mask) ((uint64_t)__builtin_popcountll(mask))
#define LOWEST_BIT64(mask) __builtin_ctzll(mask)
#else
static inline uint64_t POPCOUNT64(uint64_t x)
{
    x -= x >> 1 & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
    return ((x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Fu) * 0x0101010101010101u >> 56;
}
static inline int LOWEST_BIT64(uint64_t x) { return (int)POPCOUNT64((x & (0 - x)) - 1); }
#endif

/* For each instruction set, the mask of the bytes from `low` to `high` in a block. */

#define SCAN(name) name##_baseline
#define SCAN_TARGET
static inline uint64_t in_range_baseline(const uint8_t *text, uint8_t low, uint8_t high)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x80 * ones;
    uint64_t mask = 0;
    for (int i = 0; i < SCAN_BLOCK; i += 8) {
        uint64_t word = 0, seven, inside;
        for (int j = 0; j < 8; j++) /* compilers make one load of it */
            word |= (uint64_t)text[i + j] << 8 * j;
        seven = word & ~tops; /* the lower bits: sums with up to 0x80 do not carry into the next byte */
        inside = (seven + (0x80 - (low & 0x7F)) * ones) & ~(seven + (0x7F - (high & 0x7F)) * ones) & tops;
        inside &= low & 0x80 ? word : ~word; /* the bounds are on the same side of 0x80 */
        mask |= ((inside >> 7) * 0x0102040810204080u >> 56) << i;
    }
    return mask;
}
#include "text_scan_loops.h"
#undef SCAN
#undef SCAN_TARGET

#if X86_DISPATCH
#include <immintrin.h>

#define SCAN(name) name##_avx2
#define SCAN_TARGET CPU_TARGET("avx2,popcnt,bmi")
SCAN_TARGET static inline uint64_t in_range_avx2(const uint8_t *text, uint8_t low, uint8_t high)
{
    const __m256i start = _mm256_set1_epi8((char)low), width = _mm256_set1_epi8((char)(high - low));
    uint64_t mask = 0;
#pragma GCC unroll 2
    for (int i = 0; i < SCAN_BLOCK; i += 32) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(text + i)), above = _mm256_sub_epi8(bytes, start);
        __m256i inside = low == high ? _mm256_cmpeq_epi8(bytes, start)
                                     : _mm256_cmpeq_epi8(_mm256_min_epu8(above, width), above);
        mask |= (uint64_t)(uint32_t)_mm256_movemask_epi8(inside) << i;
    }
    return mask;
}
#include "text_scan_loops.h"
#undef SCAN
#undef SCAN_TARGET

#define SCAN(name) name##_avx512
#define SCAN_TARGET CPU_TARGET("avx512f,avx512bw,avx512dq,avx512vl,popcnt,bmi")
SCAN_TARGET static inline uint64_t in_range_avx512(const uint8_t *text, uint8_t low, uint8_t high)
{
    __m512i bytes = _mm512_loadu_si512(text), start = _mm512_set1_epi8((char)low);
    if (low == high)
        return _mm512_cmpeq_epi8_mask(bytes, start);
    return _mm512_cmple_epu8_mask(_mm512_sub_epi8(bytes, start), _mm512_set1_epi8((char)(high - low)));
}
#include "text_scan_loops.h"
#undef SCAN
#undef SCAN_TARGET
#endif

#if defined(__GNUC__) && defined(__aarch64__)
#include <arm_neon.h>

#define SCAN(name) name##_neon
#define SCAN_TARGET
static inline uint64_t in_range_neon(const uint8_t *text, uint8_t low, uint8_t high)
{
    static const uint8_t bits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t start = vdupq_n_u8(low), width = vdupq_n_u8((uint8_t)(high - low)), bit = vld1q_u8(bits);
    uint8x16_t part[4], sums;
    for (int i = 0; i < 4; i++)
        part[i] = vandq_u8(vcleq_u8(vsubq_u8(vld1q_u8(text + 16 * i), start), width), bit);
    sums = vpaddq_u8(vpaddq_u8(part[0], part[1]), vpaddq_u8(part[2], part[3])); /* each adds neighbours: bits of a byte */
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
}
#include "text_scan_loops.h"
#undef SCAN
#undef SCAN_TARGET
#endif

#define TEXT_SCAN_OF(isa)                                                                                             \
    (TextScan) { count_lines_##isa, count_words_##isa, count_unicode_words_##isa, find_space_##isa }

static void text_scan_choose(TextScan *scan, int avx512, int avx2, int neon)
{
    *scan = TEXT_SCAN_OF(baseline);
#if X86_DISPATCH
    if (avx512)
        *scan = TEXT_SCAN_OF(avx512);
    else if (avx2)
        *scan = TEXT_SCAN_OF(avx2);
#elif defined(__GNUC__) && defined(__aarch64__)
    if (neon)
        *scan = TEXT_SCAN_OF(neon);
#endif
    (void)avx512, (void)avx2, (void)neon;
}

#endif
