/* Finds one field of each row of delimiter-separated text, as Python's csv module reads it.

   Blocks of 64 bytes become three bit masks: delimiters, row ends and quotes. The prefix XOR of the quotes tells which bytes
   are inside of them: G. Langdale and D. Lemire, "Parsing gigabytes of JSON per second", VLDB Journal 28(6), 2019. What is
   left outside is searched by counting bits: most bytes are never looked at one by one.

   Parity alone is not what csv does: a quote opens a field only where the field begins, and elsewhere it is a character.
   Where a quote stands that parity would take for another than csv does, the row is read byte by byte by `scan_row`, and
   the masks go on with the next row. */
#ifndef PARCOUNT_CSV_SCAN_H
#define PARCOUNT_CSV_SCAN_H

#include "cpu_features.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIELD_BATCH = 192,
    NO_QUOTE = -1,
    SHORT_ROW_ERROR = 0, /* what becomes of rows without the column */
    SHORT_ROW_SKIP = 1,
    SHORT_ROW_EMPTY = 2,
    SCAN_FAILED = -1, /* the sink has failed */
    SCAN_NO_MEMORY = -2,
    SCAN_SHORT_ROW = -3
};

/* Takes the fields of a batch; what they point to is valid during the call only. Not zero if it fails. */
typedef int (*field_sink)(void *context, const uint8_t *const *fields, const size_t *lengths, size_t count);

typedef struct CsvScan {
    uint8_t delimiter;
    int quote;      /* NO_QUOTE: quotes are characters */
    int rows_only;  /* only look for the row ends */
    int short_rows; /* SHORT_ROW_… */
    size_t column;  /* counted from 0 */
    field_sink sink;
    void *context;

    ptrdiff_t short_row; /* where in the block the row is that SCAN_SHORT_ROW is about, and how many columns it has */
    size_t short_columns;
    int open_quote;  /* whether the last row ended inside quotes */
    size_t count;    /* of fields in the batch */
    uint8_t *unquoted; /* the values of its fields that are not in the block as they are */
    size_t unquoted_used, unquoted_size;
    const uint8_t *fields[FIELD_BATCH];
    size_t lengths[FIELD_BATCH];
} CsvScan;

static inline int lowest_bit(uint64_t bits)
{
#ifdef __GNUC__
    return __builtin_ctzll(bits);
#else
    int position = 0;
    for (; !(bits & 1); bits >>= 1)
        position++;
    return position;
#endif
}

static inline int count_bits(uint64_t bits)
{
#ifdef __GNUC__
    return __builtin_popcountll(bits);
#else
    int count = 0;
    for (; bits; bits &= bits - 1)
        count++;
    return count;
#endif
}

static inline int nth_bit(uint64_t bits, size_t n)
{
    for (; n; n--)
        bits &= bits - 1;
    return lowest_bit(bits);
}

static int flush_fields(CsvScan *scan)
{
    size_t count = scan->count;
    scan->count = scan->unquoted_used = 0;
    return count ? scan->sink(scan->context, scan->fields, scan->lengths, count) : 0;
}

/* Makes room for the value of a field; it may flush those before. */
static int reserve_unquoted(CsvScan *scan, size_t length)
{
    int failed;
    if (scan->unquoted_size - scan->unquoted_used >= length)
        return 0;
    failed = flush_fields(scan);
    if (!failed && scan->unquoted_size < length) {
        size_t size = length < 1 << 15 ? 1 << 16 : 2 * length;
        free(scan->unquoted);
        scan->unquoted = (uint8_t *)malloc(size);
        scan->unquoted_size = scan->unquoted ? size : 0;
        failed = scan->unquoted ? 0 : SCAN_NO_MEMORY;
    }
    return failed;
}

/* Replaces a quoted field by its value. */
static int unquote_field(CsvScan *scan, const uint8_t **field, size_t *length)
{
    const uint8_t *from = *field + 1, *stop = *field + *length, *quote;
    uint8_t *to;
    int failed;
    quote = from < stop ? (const uint8_t *)memchr(from, scan->quote, stop - from) : NULL;
    if (!quote || quote + 1 == stop) { /* no more than quotes around it; the second is missing at the end of a file only */
        *field = from;
        *length = (quote ? quote : stop) - from;
        return 0;
    }
    failed = reserve_unquoted(scan, *length);
    if (failed)
        return failed;
    *field = to = scan->unquoted + scan->unquoted_used;
    while (quote) {
        memcpy(to, from, quote - from);
        to += quote - from;
        from = quote + 1;
        if (from == stop || *from != scan->quote) /* the closing one: what follows is as it is */
            break;
        *to++ = *from++;
        quote = from < stop ? (const uint8_t *)memchr(from, scan->quote, stop - from) : NULL;
    }
    memcpy(to, from, stop - from);
    *length = to + (stop - from) - *field;
    scan->unquoted_used += *length;
    return 0;
}

static inline int add_value(CsvScan *scan, const uint8_t *value, size_t length)
{
    scan->fields[scan->count] = value;
    scan->lengths[scan->count] = length;
    return ++scan->count == FIELD_BATCH ? flush_fields(scan) : 0;
}

static inline int add_field(CsvScan *scan, const uint8_t *field, const uint8_t *stop)
{
    size_t length = stop - field;
    if (length && *field == scan->quote) {
        int failed = unquote_field(scan, &field, &length);
        if (failed)
            return failed;
    }
    return add_value(scan, field, length);
}

/* Counts a row that does not have the column. */
static int add_short_row(CsvScan *scan, ptrdiff_t row, size_t columns, const uint8_t *end)
{
    if (scan->short_rows == SHORT_ROW_EMPTY)
        return add_field(scan, end, end);
    if (scan->short_rows == SHORT_ROW_SKIP)
        return 0;
    scan->short_row = row;
    scan->short_columns = columns;
    return SCAN_SHORT_ROW;
}

/* Reads one row by the states of csv; sets `next` to where the following one begins, or to NULL if the block ends within
   this one and is not the last. */
static int scan_row(CsvScan *scan, const uint8_t *block, const uint8_t *row, const uint8_t *end, int last,
                    const uint8_t **next)
{
    enum { FIELD_START, UNQUOTED, QUOTED, QUOTE_IN_QUOTED } state = FIELD_START;
    const uint8_t *field = row, *found = NULL, *found_end = NULL, *at;
    size_t column = 0;
    int ended = 0;
    for (at = row; !ended; at++) {
        int byte = at < end ? *at : -2;
        ended = at == end || (state != QUOTED && (byte == '\n' || byte == '\r'));
        if (ended || (state != QUOTED && byte == scan->delimiter)) {
            if (column++ == scan->column) {
                found = field;
                found_end = at;
            }
            field = at + 1;
            if (!ended)
                state = FIELD_START;
        }
        else if (byte == scan->quote)
            state = state == FIELD_START || state == QUOTE_IN_QUOTED ? QUOTED
                    : state == QUOTED                                ? QUOTE_IN_QUOTED
                                                                     : UNQUOTED;
        else if (state != QUOTED)
            state = UNQUOTED;
    }
    at--;
    *next = at < end ? at + 1 : last ? end : NULL;
    scan->open_quote = state == QUOTED;
    if (!*next || scan->rows_only || at == row)
        return 0;
    return found ? add_field(scan, found, found_end) : add_short_row(scan, row - block, column, at);
}

typedef struct {
    uint64_t delimiters, ends, quotes;
} ByteMasks;

typedef struct {
    const uint8_t *at, *following;
    uint64_t delimiters, ends; /* those outside quotes that have not been passed yet */
    uint64_t inside;           /* all ones if this block ends inside quotes */
    uint64_t separated;        /* 1 if it ends with a delimiter or a row end, */
    uint64_t closed;           /* 1 if with a closing quote */
    int irregular;             /* whether parity does not tell what the quotes in this block mean */
} Block64;

/* The baseline: eight bytes at a time. */

static inline uint64_t equal_bytes(uint64_t word, uint8_t byte)
{
    const uint64_t low = 0x7F7F7F7F7F7F7F7F;
    uint64_t other = word ^ 0x0101010101010101 * byte;
    uint64_t equal = ~(((other & low) + low) | other | low); /* the highest bit of each byte */
    return (equal >> 7) * 0x0102040810204080 >> 56;
}

static inline ByteMasks byte_masks_baseline(const CsvScan *scan, const uint8_t *bytes)
{
    ByteMasks masks = {0, 0, 0};
    for (int i = 0; i < 8; i++) {
        uint64_t word;
        memcpy(&word, bytes + 8 * i, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        masks.delimiters |= equal_bytes(word, scan->delimiter) << 8 * i;
        masks.ends |= (equal_bytes(word, '\n') | equal_bytes(word, '\r')) << 8 * i;
        masks.quotes |= (scan->quote < 0 ? 0 : equal_bytes(word, (uint8_t)scan->quote)) << 8 * i;
    }
    return masks;
}

static inline uint64_t prefix_xor_baseline(uint64_t bits)
{
    for (int shift = 1; shift < 64; shift *= 2)
        bits ^= bits << shift;
    return bits;
}

#define SCAN_TARGET
#define SCAN_NAME(name) name##_baseline
#include "csv_scan_loop.h"

#if X86_DISPATCH
#include <immintrin.h>

#define AVX2_CSV_TARGET CPU_TARGET("avx2,bmi,bmi2,popcnt,pclmul")
#define AVX512_CSV_TARGET CPU_TARGET("avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2,popcnt,pclmul")

AVX2_CSV_TARGET static inline uint64_t prefix_xor_avx2(uint64_t bits)
{
    return (uint64_t)_mm_cvtsi128_si64(
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)bits), _mm_set1_epi8((char)0xFF), 0));
}

AVX2_CSV_TARGET static inline uint64_t equal_avx2(__m256i low, __m256i high, int byte)
{
    __m256i wanted = _mm256_set1_epi8((char)byte);
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, wanted)) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, wanted)) << 32;
}

AVX2_CSV_TARGET static inline ByteMasks byte_masks_avx2(const CsvScan *scan, const uint8_t *bytes)
{
    __m256i low = _mm256_loadu_si256((const __m256i *)bytes), high = _mm256_loadu_si256((const __m256i *)(bytes + 32));
    __m256i line_feed = _mm256_set1_epi8('\n'), carriage_return = _mm256_set1_epi8('\r');
    __m256i low_ends = _mm256_or_si256(_mm256_cmpeq_epi8(low, line_feed), _mm256_cmpeq_epi8(low, carriage_return));
    __m256i high_ends = _mm256_or_si256(_mm256_cmpeq_epi8(high, line_feed), _mm256_cmpeq_epi8(high, carriage_return));
    ByteMasks masks = {
        equal_avx2(low, high, scan->delimiter),
        (uint32_t)_mm256_movemask_epi8(low_ends) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high_ends) << 32,
        scan->quote < 0 ? 0 : equal_avx2(low, high, scan->quote),
    };
    return masks;
}

AVX512_CSV_TARGET static inline uint64_t prefix_xor_avx512(uint64_t bits)
{
    return (uint64_t)_mm_cvtsi128_si64(
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)bits), _mm_set1_epi8((char)0xFF), 0));
}

AVX512_CSV_TARGET static inline ByteMasks byte_masks_avx512(const CsvScan *scan, const uint8_t *bytes)
{
    __m512i some = _mm512_loadu_si512(bytes);
    ByteMasks masks = {
        _mm512_cmpeq_epi8_mask(some, _mm512_set1_epi8((char)scan->delimiter)),
        _mm512_cmpeq_epi8_mask(some, _mm512_set1_epi8('\n')) | _mm512_cmpeq_epi8_mask(some, _mm512_set1_epi8('\r')),
        scan->quote < 0 ? 0 : _mm512_cmpeq_epi8_mask(some, _mm512_set1_epi8((char)scan->quote)),
    };
    return masks;
}

#define SCAN_TARGET AVX2_CSV_TARGET
#define SCAN_NAME(name) name##_avx2
#include "csv_scan_loop.h"

#define SCAN_TARGET AVX512_CSV_TARGET
#define SCAN_NAME(name) name##_avx512
#include "csv_scan_loop.h"

static int cpu_has_bit_instructions(void)
{
    return __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") &&
           __builtin_cpu_supports("pclmul");
}

#else

#define csv_scan_avx2 csv_scan_baseline
#define csv_scan_avx512 csv_scan_baseline

static int cpu_has_bit_instructions(void)
{
    return 0;
}

#endif

#if defined(__GNUC__) && defined(__aarch64__)
#include <arm_neon.h>

static inline uint64_t mask_neon(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d)
{
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t bits = vld1q_u8(weights);
    uint8x16_t sums = vpaddq_u8(vpaddq_u8(vandq_u8(a, bits), vandq_u8(b, bits)),
                                vpaddq_u8(vandq_u8(c, bits), vandq_u8(d, bits)));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
}

static inline uint64_t equal_neon(const uint8x16_t *parts, int byte)
{
    uint8x16_t wanted = vdupq_n_u8((uint8_t)byte);
    return mask_neon(vceqq_u8(parts[0], wanted), vceqq_u8(parts[1], wanted), vceqq_u8(parts[2], wanted),
                     vceqq_u8(parts[3], wanted));
}

static inline ByteMasks byte_masks_neon(const CsvScan *scan, const uint8_t *bytes)
{
    uint8x16_t parts[4] = {vld1q_u8(bytes), vld1q_u8(bytes + 16), vld1q_u8(bytes + 32), vld1q_u8(bytes + 48)};
    ByteMasks masks = {
        equal_neon(parts, scan->delimiter),
        equal_neon(parts, '\n') | equal_neon(parts, '\r'),
        scan->quote < 0 ? 0 : equal_neon(parts, scan->quote),
    };
    return masks;
}

#define prefix_xor_neon prefix_xor_baseline
#define SCAN_TARGET
#define SCAN_NAME(name) name##_neon
#include "csv_scan_loop.h"

#else

#define csv_scan_neon csv_scan_baseline

#endif

/* Scans a block that begins with a row; returns how many of its bytes the complete rows take (all, if it is the last one),
   or SCAN_… */
static ptrdiff_t csv_scan(CsvScan *scan, const uint8_t *block, ptrdiff_t size, int last, int avx512, int avx2, int neon)
{
    ptrdiff_t used = avx512 && cpu_has_bit_instructions() ? csv_scan_avx512(scan, block, size, last)
                     : avx2 && cpu_has_bit_instructions() ? csv_scan_avx2(scan, block, size, last)
                     : neon                               ? csv_scan_neon(scan, block, size, last)
                                                          : csv_scan_baseline(scan, block, size, last);
    int failed = flush_fields(scan);
    return used >= 0 && failed ? failed : used;
}

#endif
