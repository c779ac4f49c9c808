/* The loops of distinct_partition.h for one width of keys, which are unsigned: `flip` is the sign bit of signed ones. */

/* Returns -1 if there is no memory. */
static int PARTITION_NAME(partitions_add)(Partitions *p, const PARTITION_KEY *keys, size_t n, PARTITION_KEY flip)
{
    enum { LINE_KEYS = PARTITION_LINE / sizeof(PARTITION_KEY) };
    const uint64_t low = p->low, span = p->span, share_low = p->share_low, share_span = p->share_span, mask = p->mask;
    const PartitionCell *cells = p->cells;
    const unsigned shift = p->shift;
    const size_t dropped = p->count;
    Partition *partitions = p->partitions;
    PARTITION_KEY *lines = (PARTITION_KEY *)p->lines;
    for (size_t i = 0; i < n; i++) {
        uint64_t key = (PARTITION_KEY)((PARTITION_KEY)keep_loaded(keys[i]) ^ flip), offset = key - low, filled;
        PartitionCell cell;
        size_t which;
        prefetch_ahead(keys + i);
        offset = key < low ? 0 : offset;
        offset = offset > span ? span : offset;
        cell = cells[offset >> shift];
        which = cell.base + (size_t)((offset & mask) >> cell.shift);
        which = key - share_low > share_span ? dropped : which;
        filled = partitions[which].keys++;
        lines[which * LINE_KEYS + filled % LINE_KEYS] = (PARTITION_KEY)key;
        if (filled % LINE_KEYS == LINE_KEYS - 1 && partition_flush(p, which) < 0) {
            partitions[which].keys -= LINE_KEYS;
            return -1;
        }
    }
    partition_fence();
    return 0;
}

/* Copies the keys of a partition, in any order. */
static void PARTITION_NAME(partition_gather)(const Partitions *p, size_t which, PARTITION_KEY *to, PARTITION_KEY flip)
{
    const Partition *partition = p->partitions + which;
    const size_t in_line = partition->keys % (PARTITION_LINE / sizeof(PARTITION_KEY));
    const PARTITION_KEY *line = (const PARTITION_KEY *)(p->lines + which * PARTITION_LINE);
    const uint8_t *block = partition->first, *end = partition->block;
    for (size_t i = 0; i < in_line; i++)
        *to++ = line[i] ^ flip;
    while (block) {
        const PARTITION_KEY *from = (const PARTITION_KEY *)(block + PARTITION_HEADER);
        const size_t n = (size_t)((const PARTITION_KEY *)end - from);
        for (size_t i = 0; i < n; i++)
            to[i] = from[i] ^ flip;
        to += n;
        memcpy(&block, block, sizeof(block));
        end = block + PARTITION_BLOCK;
    }
}

/* Sorts by all bits of `range`, a byte at a time; returns where the sorted keys are. */
static PARTITION_KEY *PARTITION_NAME(partition_radix_sort)(PARTITION_KEY *keys, PARTITION_KEY *other, size_t n,
                                                           PARTITION_KEY low, uint64_t range)
{
    for (unsigned shift = 0; shift < sizeof(PARTITION_KEY) * 8 && range >> shift; shift += 8) {
        size_t ends[257] = {0};
        PARTITION_KEY *sorted = other;
        for (size_t i = 0; i < n; i++)
            ends[((PARTITION_KEY)(keys[i] - low) >> shift & 255) + 1]++;
        for (size_t i = 1; i < 256; i++)
            ends[i] += ends[i - 1];
        for (size_t i = 0; i < n; i++)
            sorted[ends[(PARTITION_KEY)(keys[i] - low) >> shift & 255]++] = keys[i];
        other = keys;
        keys = sorted;
    }
    return keys;
}

/* Writes the distinct keys of a partition of at most PARTITION_MAX_KEYS keys, ascending, and their counts. There must be
   room for as many as the partition has keys. Returns how many there are. */
static size_t PARTITION_NAME(partition_count)(const Partitions *p, size_t which, PARTITION_KEY *values, int64_t *counts,
                                              PARTITION_KEY flip)
{
    const size_t n = (size_t)p->partitions[which].keys;
    PARTITION_KEY *keys = (PARTITION_KEY *)(((uintptr_t)p->sort_memory + 63) / 64 * 64);
    PARTITION_KEY *sorted = keys + PARTITION_MAX_KEYS + 1, low, high;
    uint16_t *ends = (uint16_t *)(sorted + PARTITION_MAX_KEYS + 1);
    size_t found = 0, moves = PARTITION_MOVES * n, buckets, start = 0;
    unsigned bits, shift;
    if (!n)
        return 0;
    PARTITION_NAME(partition_gather)(p, which, keys, 0);
    low = high = keys[0];
    for (size_t i = 1; i < n; i++) {
        low = keys[i] < low ? keys[i] : low;
        high = keys[i] > high ? keys[i] : high;
    }
    bits = partition_bits(n - 1); /* as many buckets as keys, or up to twice as many */
    shift = partition_bits((uint64_t)high - low);
    shift = shift > bits ? shift - bits : 0;
    buckets = ((size_t)(high - low) >> shift) + 1;
    memset(ends, 0, buckets * sizeof(*ends));
    for (size_t i = 0; i < n; i++)
        ends[(PARTITION_KEY)(keys[i] - low) >> shift]++;
    if (!shift) { /* a bucket for each key */
        for (size_t i = 0; i < buckets && found < n; i++) {
            values[found] = (PARTITION_KEY)(low + i) ^ flip;
            counts[found] = ends[i];
            found += ends[i] != 0;
        }
        return found;
    }
    for (size_t i = 0; i < buckets; i++) {
        size_t size = ends[i];
        ends[i] = (uint16_t)start;
        start += size;
    }
    for (size_t i = 0; i < n; i++)
        sorted[ends[(PARTITION_KEY)(keys[i] - low) >> shift]++] = keys[i];
    for (size_t i = 1; i < n; i++) {
        PARTITION_KEY key = sorted[i];
        size_t j = i;
        if (sorted[i - 1] <= key)
            continue;
        do {
            sorted[j] = sorted[j - 1];
            j--;
        } while (j && sorted[j - 1] > key);
        sorted[j] = key;
        if (i - j > moves) {
            sorted = PARTITION_NAME(partition_radix_sort)(sorted, keys, n, low, (uint64_t)high - low);
            break;
        }
        moves -= i - j;
    }
    start = 0;
    for (size_t i = 0; i < n;) {
        /* Without a branch, which would be mispredicted: key and count are stored, and kept or overwritten. */
        const PARTITION_KEY key = sorted[i];
        int last;
        values[found] = key ^ flip;
        i++;
        counts[found] = (int64_t)(i - start);
        last = i == n || sorted[i] != key;
        start = last ? i : start;
        found += last;
    }
    return found;
}

#undef PARTITION_KEY
#undef PARTITION_NAME
