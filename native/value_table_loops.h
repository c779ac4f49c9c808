/* The loops of value_table.h for one instruction set, which the macros below name. Included once for each. */

VALUE_TARGET VALUE_INLINE ValueStatus VALUE_SUFFIX(value_add_small)(ValueTable *t, const uint8_t *const *keys,
                                                                    const size_t *lengths, const uint64_t *counts,
                                                                    size_t n, size_t *added)
{
    uint64_t hashes[VALUE_MAX_BATCH];
    uint8_t *candidates[VALUE_MAX_BATCH];
    unsigned shift = 64 - t->bits;
    size_t i;
    for (i = 0; i < n; i++) {
        hashes[i] = (VALUE_HASH_OF(keys[i], lengths[i], t->keys) & t->hash_mask) << t->skip;
        VALUE_PREFETCH(t->slots + (hashes[i] >> shift));
    }
    for (i = 0; i < n; i++) {
        uint64_t high = hashes[i] & ~VALUE_PLACE_MASK;
        const uint64_t *slot = t->slots + (hashes[i] >> shift);
        while (*slot && *slot < high)
            slot++;
        candidates[i] = NULL;
        if (*slot && (*slot & ~VALUE_PLACE_MASK) == high) {
            candidates[i] = t->arena + (*slot & VALUE_PLACE_MASK) * 8;
            VALUE_PREFETCH(candidates[i]);
            VALUE_PREFETCH(candidates[i] + (lengths[i] < 64 ? lengths[i] + 7 : 64));
            if (lengths[i] > 120)
                VALUE_PREFETCH(candidates[i] + 128);
        }
    }
    for (i = 0; i < n; i++) {
        uint64_t count = counts ? counts[i] : 1;
        uint8_t *entry = candidates[i];
        ValueStatus status;
        if (VALUE_LIKELY(entry && value_entry_length(entry) == lengths[i] &&
                         VALUE_EQUAL(value_entry_key(entry), keys[i], lengths[i])))
            status = value_entry_add(entry, count);
        else
            status = value_table_insert(t, keys[i], lengths[i], hashes[i], count);
        if (!VALUE_LIKELY(status == VALUE_OK)) {
            *added = i;
            return status;
        }
        t->total += count;
    }
    *added = n;
    return VALUE_OK;
}

VALUE_TARGET VALUE_INLINE size_t VALUE_SUFFIX(value_add_all)(ValueTable *t, const uint8_t *const *keys,
                                                             const size_t *lengths, const uint64_t *counts, size_t n,
                                                             ValueStatus *status)
{
    size_t done = 0;
    *status = VALUE_OK;
    while (done < n && *status == VALUE_OK) {
        size_t batch = 0, bytes = 0, added = 0;
        while (batch < VALUE_MAX_BATCH && done + batch < n && bytes < VALUE_BATCH_BYTES)
            bytes += lengths[done + batch++];
        *status = value_table_reserve(t, batch, bytes);
        if (*status == VALUE_OK)
            *status = VALUE_SUFFIX(value_add_small)(t, keys + done, lengths + done, counts ? counts + done : NULL,
                                                    batch, &added);
        done += added;
    }
    return done;
}

VALUE_TARGET static size_t VALUE_SUFFIX(value_add_batch)(ValueTable *t, const uint8_t *const *keys,
                                                         const size_t *lengths, const uint64_t *counts, size_t n,
                                                         ValueStatus *status)
{
    return VALUE_SUFFIX(value_add_all)(t, keys, lengths, counts, n, status);
}

VALUE_TARGET static size_t VALUE_SUFFIX(value_add_lines)(ValueTable *t, const uint8_t *block, size_t bytes, int last,
                                                         ValueStatus *status)
{
    const uint8_t *keys[VALUE_MAX_BATCH];
    size_t lengths[VALUE_MAX_BATCH], start = 0, position = 0, n = 0, done;
    *status = VALUE_OK;
    for (;;) {
        int end = position >= bytes;
        if (!end) {
            uint64_t mask;
            if (bytes - position >= 64)
                mask = VALUE_NEWLINES(block + position);
            else {
                uint8_t rest[64] = {0};
                memcpy(rest, block + position, bytes - position);
                mask = VALUE_NEWLINES(rest);
            }
            for (; mask; mask &= mask - 1) {
                size_t newline = position + value_first_bit(mask);
                keys[n] = block + start;
                lengths[n++] = newline - start;
                start = newline + 1;
            }
            position += 64;
        } else if (last && start < bytes) {
            keys[n] = block + start;
            lengths[n++] = bytes - start;
            start = bytes;
        }
        if (n >= VALUE_BATCH || (end && n)) {
            done = VALUE_SUFFIX(value_add_all)(t, keys, lengths, NULL, n, status);
            if (*status != VALUE_OK)
                return (size_t)(keys[done] - block);
            n = 0;
        }
        if (end)
            return start;
    }
}

#undef VALUE_SUFFIX
#undef VALUE_HASH_OF
#undef VALUE_NEWLINES
#undef VALUE_EQUAL
#undef VALUE_TARGET
