/* The union of value tables: pointers to the entries, of which one for each string has the sum of its counts.

   Slots are sorted by hash, so that a range of hashes is a range of slots of each table, and ranges can be merged in
   parallel. A range is small: its slots and those of the table by which equal strings are found stay in a cache. */
#ifndef PARCOUNT_VALUE_MERGE_H
#define PARCOUNT_VALUE_MERGE_H

#include "value_table.h"

typedef struct {
    uint8_t **entries;
    size_t n, room;
} ValuePointers;

typedef struct {
    uint64_t high; /* the first bits of the hash */
    uint8_t *entry;
} ValueSlot;

static int value_pointers_room(ValuePointers *p, size_t more)
{
    size_t room = p->room ? p->room : 256;
    uint8_t **entries;
    if (p->n + more <= p->room)
        return 1;
    while (room < p->n + more)
        room += room / 2;
    entries = (uint8_t **)scratch_realloc(p->entries, room * sizeof(*entries));
    if (!entries)
        return 0;
    p->entries = entries;
    p->room = room;
    return 1;
}

/* All entries of a table, in the order of the arena. */
static ValueStatus value_merge_one(const ValueTable *t, ValuePointers *out)
{
    uint8_t *entry = t->arena + 8, *end = t->arena + t->arena_used;
    if (!value_pointers_room(out, t->used))
        return VALUE_NO_MEMORY;
    for (; entry < end; entry += value_entry_bytes(value_entry_length(entry)))
        out->entries[out->n++] = entry;
    return VALUE_OK;
}

/* One past the last hash of range `number` of 2^bits; 0 if that is 2^64. */
static inline uint64_t value_range_start(uint64_t number, unsigned bits)
{
    return bits ? number << (64 - bits) : 0;
}

/* The entries whose hash is in range `number` of 2^bits, appended to out. `slots` is scratch memory. */
static ValueStatus value_merge_range(ValueTable *const *tables, size_t n, uint64_t number, unsigned bits,
                                     ValuePointers *out, ValueSlot **slots, size_t *room)
{
    uint64_t start = value_range_start(number, bits), stop = value_range_start(number + 1, bits);
    size_t found = 0, size, i;
    ValueSlot *cells;
    for (i = 0; i < n; i++) {
        const ValueTable *t = tables[i];
        size_t first = start >> (64 - t->bits), last = stop ? stop >> (64 - t->bits) : t->slots_end, s;
        for (s = first; s < t->slots_end; s++) {
            uint64_t slot = t->slots[s];
            if (!slot) {
                if (s >= last)
                    break;
                continue;
            }
            if (slot < start)
                continue;
            if (stop && slot >= stop)
                break;
            if (found + 1 > *room / 2) {
                size_t larger = *room ? *room * 2 : 1 << 13;
                ValueSlot *moved = (ValueSlot *)scratch_realloc(*slots, 2 * larger * sizeof(ValueSlot));
                if (!moved)
                    return VALUE_NO_MEMORY;
                *slots = moved;
                *room = larger;
            }
            (*slots)[found].high = slot & ~VALUE_PLACE_MASK;
            (*slots)[found].entry = t->arena + (slot & VALUE_PLACE_MASK) * 8;
            VALUE_PREFETCH((*slots)[found].entry);
            found++;
        }
    }
    if (!found)
        return VALUE_OK;
    if (!value_pointers_room(out, found))
        return VALUE_NO_MEMORY;
    for (size = 64; size < 2 * found; size *= 2)
        ;
    cells = *slots + *room;
    memset(cells, 0, size * sizeof(ValueSlot));
    for (i = 0; i < found; i++) {
        ValueSlot slot = (*slots)[i];
        size_t length = value_entry_length(slot.entry);
        size_t at = (size_t)((slot.high << bits) * SPLITMIX64_GAMMA >> 20) & (size - 1);
        if (i + 8 < found)
            VALUE_PREFETCH((*slots)[i + 8].entry + 64);
        for (; cells[at].entry; at = (at + 1) & (size - 1))
            if (cells[at].high == slot.high && value_entry_length(cells[at].entry) == length &&
                !memcmp(value_entry_key(cells[at].entry), value_entry_key(slot.entry), length))
                break;
        if (!cells[at].entry) {
            cells[at] = slot;
            out->entries[out->n++] = slot.entry;
        } else if (value_entry_add(cells[at].entry, value_entry_count(slot.entry)) != VALUE_OK)
            return VALUE_OVERFLOW;
    }
    return VALUE_OK;
}

#endif
