/* Entries of value tables outside of memory: as count, length (both in LEB128) and bytes; and as lines of text. */
#ifndef PARCOUNT_VALUE_ENCODING_H
#define PARCOUNT_VALUE_ENCODING_H

#include "value_table.h"

enum { VALUE_MAX_ENCODED_HEAD = 20, VALUE_MAX_FORMATTED_HEAD = 24 };

static inline uint8_t *value_encode_number(uint8_t *to, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        *to++ = (uint8_t)(number | 0x80);
    *to++ = (uint8_t)number;
    return to;
}

/* NULL if the number does not end before `end`, or has more than 64 bits. */
static inline const uint8_t *value_decode_number(const uint8_t *from, const uint8_t *end, uint64_t *number)
{
    unsigned shift;
    *number = 0;
    for (shift = 0; from < end && shift < 64; shift += 7) {
        *number |= (uint64_t)(*from & 0x7F) << shift;
        if (*from++ < 0x80)
            return from;
    }
    return NULL;
}

static inline size_t value_number_bytes(uint64_t number)
{
    size_t bytes = 1;
    for (; number >= 0x80; number >>= 7)
        bytes++;
    return bytes;
}

static inline size_t value_encoded_bytes(const uint8_t *entry)
{
    size_t length = value_entry_length(entry);
    return value_number_bytes(value_entry_count(entry)) + value_number_bytes(length) + length;
}

/* Returns the bytes written: at most VALUE_MAX_ENCODED_HEAD more than the string has. */
static inline size_t value_encode(uint8_t *to, const uint8_t *entry)
{
    size_t length = value_entry_length(entry);
    uint8_t *key = value_encode_number(value_encode_number(to, value_entry_count(entry)), length);
    memcpy(key, value_entry_key(entry), length);
    return (size_t)(key - to) + length;
}

/* Returns where the next entry begins; NULL if this one is not complete. */
static inline const uint8_t *value_decode(const uint8_t *start, const uint8_t *end, uint64_t *count, uint64_t *length,
                                          const uint8_t **key)
{
    const uint8_t *from = value_decode_number(start, end, count);
    if (from)
        from = value_decode_number(from, end, length);
    if (!from || *length > (uint64_t)(end - from))
        return NULL;
    *key = from;
    return from + *length;
}

/* A line as `uniq -c` prints it: the count in at least seven columns, a space, the string, a newline. */
static inline size_t value_format(uint8_t *to, const uint8_t *entry)
{
    size_t length = value_entry_length(entry);
    uint64_t count = value_entry_count(entry);
    uint8_t digits[20], *digit = digits + 20, *start = to;
    do {
        *--digit = (uint8_t)('0' + count % 10);
        count /= 10;
    } while (count);
    while (digits + 20 - digit < 7)
        *--digit = ' ';
    memcpy(to, digit, (size_t)(digits + 20 - digit));
    to += digits + 20 - digit;
    *to++ = ' ';
    memcpy(to, value_entry_key(entry), length);
    to[length] = '\n';
    return (size_t)(to - start) + length + 1;
}

#endif
