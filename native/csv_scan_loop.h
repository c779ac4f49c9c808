/* The loop of csv_scan.h for one instruction set; included once for each, with SCAN_TARGET and SCAN_NAME. */

/* Loads the 64 bytes after those of `block`; 0 if there are none, or if parity does not tell how to go on. */
SCAN_TARGET static inline int SCAN_NAME(next_block)(const CsvScan *scan, Block64 *block, const uint8_t *end)
{
    const uint8_t *bytes = block->following;
    uint8_t tail[64];
    uint64_t valid = ~(uint64_t)0;
    ByteMasks masks;
    if (bytes >= end || block->irregular)
        return 0;
    block->at = bytes;
    block->following = bytes + 64;
    if (end - bytes < 64) {
        memset(tail, 0, sizeof tail);
        memcpy(tail, bytes, end - bytes);
        valid >>= 64 - (end - bytes);
        block->following = end;
        bytes = tail;
    }
    masks = SCAN_NAME(byte_masks)(scan, bytes);
    block->delimiters = masks.delimiters & valid;
    block->ends = masks.ends & valid;
    masks.quotes &= valid;
    if (masks.quotes | block->inside | block->closed) {
        uint64_t inside = SCAN_NAME(prefix_xor)(masks.quotes) ^ block->inside;
        uint64_t opening = masks.quotes & inside, closing = masks.quotes & ~inside, after_closing, after_separator, odd;
        block->delimiters &= ~inside;
        block->ends &= ~inside;
        after_closing = closing << 1 | block->closed;
        after_separator = (block->delimiters | block->ends) << 1 | block->separated;
        odd = ((after_closing & ~(block->delimiters | block->ends | opening)) |
               (opening & ~(after_separator | after_closing))) & valid;
        block->inside = (uint64_t)0 - (inside >> 63);
        block->closed = closing >> 63;
        if (odd) {
            block->irregular = 1;
            block->delimiters &= (odd & -odd) - 1;
            block->ends &= (odd & -odd) - 1;
        }
    }
    block->separated = (block->delimiters | block->ends) >> 63;
    return 1;
}

SCAN_TARGET static ptrdiff_t SCAN_NAME(csv_scan)(CsvScan *scan, const uint8_t *start, ptrdiff_t size, int last)
{
    const uint8_t *end = start + size, *row = start, *field = row, *field_end = row, *row_end;
    const size_t column = scan->column;
    size_t left;
    uint64_t bits;
    int failed;
    Block64 block;
    scan->open_quote = 0;

restart:
    memset(&block, 0, sizeof block);
    block.following = row;
    block.separated = 1;

next_row:
    if (scan->rows_only)
        goto find_end;
    field = row;
    for (left = column; left;) {
        size_t count;
        bits = block.delimiters & (block.ends ^ (block.ends - 1)); /* those before the row's end */
        count = (size_t)count_bits(bits);
        if (count >= left) {
            int position = nth_bit(bits, left - 1);
            block.delimiters &= ~(uint64_t)1 << position; /* earlier ones, too: they are never asked for again */
            field = block.at + position + 1;
            break;
        }
        left -= count;
        if (block.ends) {
            row_end = block.at + lowest_bit(block.ends);
            failed = row_end > row ? add_short_row(scan, row - start, column + 1 - left, row_end) : 0;
            if (failed)
                return failed;
            goto end_row;
        }
        if (!SCAN_NAME(next_block)(scan, &block, end))
            goto stopped;
    }
    while (!(bits = block.delimiters | block.ends)) {
        if (!SCAN_NAME(next_block)(scan, &block, end))
            goto stopped;
    }
    field_end = block.at + lowest_bit(bits);

find_end:
    while (!block.ends) {
        if (!SCAN_NAME(next_block)(scan, &block, end))
            goto stopped;
    }
    row_end = block.at + lowest_bit(block.ends);
    if (row_end > row && !scan->rows_only) { /* only now: a row that is not complete is read again */
        failed = add_field(scan, field, field_end);
        if (failed)
            return failed;
    }

end_row:
    block.delimiters &= ~(block.ends ^ (block.ends - 1));
    block.ends &= block.ends - 1;
    row = row_end + 1;
    goto next_row;

stopped:
    if (row < end && (block.irregular || last)) {
        const uint8_t *next;
        failed = scan_row(scan, start, row, end, last, &next);
        if (failed)
            return failed;
        if (next) {
            row = next;
            goto restart;
        }
    }
    return row - start;
}

#undef SCAN_TARGET
#undef SCAN_NAME
