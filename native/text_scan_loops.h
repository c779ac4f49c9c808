/* The loops of text_scan.h for one instruction set, which includes this file once for each: SCAN(name) is a function's name
   there, SCAN_TARGET its attribute. */

SCAN_TARGET static uint64_t SCAN(count_lines)(const uint8_t *text, ptrdiff_t n)
{
    uint64_t lines = 0;
    for (; n >= SCAN_BLOCK; text += SCAN_BLOCK, n -= SCAN_BLOCK)
        lines += POPCOUNT64(SCAN(in_range)(text, '\n', '\n'));
    if (n) {
        uint8_t rest[SCAN_BLOCK] = {0};
        memcpy(rest, text, (size_t)n);
        lines += POPCOUNT64(SCAN(in_range)(rest, '\n', '\n'));
    }
    return lines;
}

SCAN_TARGET static inline void SCAN(add_words)(uint64_t space, uint64_t visible, TextCount *count)
{
    uint64_t other = ~space, sum = other + visible, ends = sum + count->in_word;
    count->in_word = (sum < other) | (ends < sum);
    count->words += POPCOUNT64(ends & space);
}

SCAN_TARGET static inline uint64_t SCAN(c_space)(const uint8_t *text)
{
    return SCAN(in_range)(text, '\t', '\r') | SCAN(in_range)(text, ' ', ' ');
}

SCAN_TARGET static inline void SCAN(add_block)(const uint8_t *text, TextCount *count)
{
    count->lines += POPCOUNT64(SCAN(in_range)(text, '\n', '\n'));
    SCAN(add_words)(SCAN(c_space)(text), SCAN(in_range)(text, '!', '~'), count);
}

SCAN_TARGET static void SCAN(count_words)(const uint8_t *text, ptrdiff_t n, TextCount *count)
{
    TextCount local = *count;
    for (; n >= SCAN_BLOCK; text += SCAN_BLOCK, n -= SCAN_BLOCK)
        SCAN(add_block)(text, &local);
    if (n) {
        uint8_t rest[SCAN_BLOCK] = {0}; /* NUL is neither white space nor visible */
        memcpy(rest, text, (size_t)n);
        SCAN(add_block)(rest, &local);
    }
    *count = local;
}

/* The white-space characters of two and three bytes: masks of where they begin. */
SCAN_TARGET static inline void SCAN(wide_spaces)(const uint8_t *text, uint64_t *two, uint64_t *three)
{
#define AT(offset, low, high) SCAN(in_range)(text + (offset), low, high)
    *two = AT(0, 0xC2, 0xC2) & (AT(1, 0x85, 0x85) | AT(1, 0xA0, 0xA0));              /* U+0085, U+00A0 */
    *three = AT(0, 0xE1, 0xE1) & AT(1, 0x9A, 0x9A) & AT(2, 0x80, 0x80);              /* U+1680 */
    *three |= AT(0, 0xE2, 0xE2) & AT(1, 0x80, 0x80) &                                /* U+2000 to U+200A, */
              (AT(2, 0x80, 0x8A) | AT(2, 0xA8, 0xA9) | AT(2, 0xAF, 0xAF));           /* U+2028, U+2029, U+202F */
    *three |= AT(0, 0xE2, 0xE2) & AT(1, 0x81, 0x81) & AT(2, 0x9F, 0x9F);             /* U+205F */
    *three |= AT(0, 0xE3, 0xE3) & AT(1, 0x80, 0x80) & AT(2, 0x80, 0x80);             /* U+3000 */
#undef AT
}

/* The SCAN_AHEAD bytes after the block are read. */
SCAN_TARGET static inline void SCAN(add_unicode_block)(const uint8_t *text, uint64_t valid, TextCount *count)
{
    uint64_t space = count->space | SCAN(in_range)(text, '\t', '\r') | SCAN(in_range)(text, 0x1C, ' ');
    count->lines += POPCOUNT64(SCAN(in_range)(text, '\n', '\n'));
    count->space = 0;
    if (SCAN(in_range)(text, 0xC2, 0xC2) | SCAN(in_range)(text, 0xE1, 0xE3)) {
        uint64_t two, three;
        SCAN(wide_spaces)(text, &two, &three);
        space |= two | two << 1 | three | three << 1 | three << 2;
        count->space = two >> 63 | three >> 62 | three >> 63;
    }
    SCAN(add_words)(space, ~space & valid, count);
}

SCAN_TARGET static ptrdiff_t SCAN(count_unicode_words)(const uint8_t *text, ptrdiff_t n, int last, TextCount *count)
{
    TextCount local = *count;
    ptrdiff_t i = 0;
    for (; n - i >= SCAN_BLOCK + SCAN_AHEAD; i += SCAN_BLOCK)
        SCAN(add_unicode_block)(text + i, ~(uint64_t)0, &local);
    for (; last && i < n; i += SCAN_BLOCK) {
        uint8_t rest[SCAN_BLOCK + SCAN_AHEAD] = {0}; /* NUL does not continue a character */
        memcpy(rest, text + i, (size_t)(n - i));
        SCAN(add_unicode_block)(rest, n - i < SCAN_BLOCK ? ((uint64_t)1 << (n - i)) - 1 : ~(uint64_t)0, &local);
    }
    *count = local;
    return last ? n : i;
}

SCAN_TARGET static ptrdiff_t SCAN(find_space)(const uint8_t *text, ptrdiff_t n)
{
    ptrdiff_t i = 0;
    for (; n - i >= SCAN_BLOCK; i += SCAN_BLOCK) {
        uint64_t space = SCAN(c_space)(text + i);
        if (space)
            return i + LOWEST_BIT64(space);
    }
    for (; i < n; i++)
        if (text[i] == ' ' || (text[i] >= '\t' && text[i] <= '\r'))
            return i;
    return n;
}
