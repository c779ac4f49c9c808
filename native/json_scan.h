/* Finds the value of one key in each line of JSON: RFC 8259, and NaN and Infinity as Python's json module reads them.

   Every line is checked as a whole. The value of a string is its UTF-8; of anything else its text. If a key comes twice,
   the last one counts. UTF-8 is not checked. */
#ifndef PARCOUNT_JSON_SCAN_H
#define PARCOUNT_JSON_SCAN_H

#include "csv_scan.h"

enum {
    JSON_MAX_DEPTH = 500, /* of arrays and objects */
    SCAN_INVALID = -4     /* a line is no JSON object; `short_row` says where it begins */
};

typedef struct {
    const uint8_t *key;
    size_t key_length;
    CsvScan *scan; /* the batch, and what becomes of lines without the key */
} JsonScan;

/* The first byte of a string's content that is a quote, a backslash or a control character; `end` if none is. */
static inline const uint8_t *json_special(const uint8_t *at, const uint8_t *end)
{
    const uint64_t ones = 0x0101010101010101, high = 0x8080808080808080;
#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (; end - at >= 8; at += 8) {
        uint64_t word, quotes, slashes, special;
        memcpy(&word, at, 8);
        quotes = word ^ ones * '"';
        slashes = word ^ ones * '\\';
        /* A borrow can only mark bytes above the first that is marked rightly. */
        special = (((quotes - ones) & ~quotes) | ((slashes - ones) & ~slashes) | ((word - ones * 0x20) & ~word)) & high;
        if (special)
            return at + lowest_bit(special) / 8;
    }
#endif
    while (at < end && *at != '"' && *at != '\\' && *at >= 0x20)
        at++;
    return at;
}

static inline const uint8_t *json_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
        at++;
    return at;
}

static int json_hex(const uint8_t *at, const uint8_t *end)
{
    int code = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int byte = at[i], letter = byte | 0x20;
        if (byte >= '0' && byte <= '9')
            code = code << 4 | (byte - '0');
        else if (letter >= 'a' && letter <= 'f')
            code = code << 4 | (letter - 'a' + 10);
        else
            return -1;
    }
    return code;
}

/* Skips a string from behind its quote; returns what is behind its closing one, or NULL. */
static const uint8_t *json_string(const uint8_t *at, const uint8_t *end, int *escapes)
{
    *escapes = 0;
    for (;;) {
        at = json_special(at, end);
        if (at == end || *at < 0x20)
            return NULL;
        if (*at++ == '"')
            return at;
        *escapes = 1;
        if (at == end)
            return NULL;
        if (*at == 'u') {
            if (json_hex(at + 1, end) < 0)
                return NULL;
            at += 4;
        }
        else if (!strchr("\"\\/bfnrt", *at) || !*at)
            return NULL;
        at++;
    }
}

/* Writes the value of a string's content, which has been checked and is never shorter; returns its length. */
static size_t json_unescape(const uint8_t *at, const uint8_t *end, uint8_t *to)
{
    static const char letters[] = "bfnrt", values[] = "\b\f\n\r\t";
    uint8_t *start = to;
    while (at < end) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        at += 2;
        if (at[-1] != 'u') {
            const char *letter = strchr(letters, at[-1]);
            *to++ = letter ? (uint8_t)values[letter - letters] : at[-1];
            continue;
        }
        int code = json_hex(at, end), low = -1;
        at += 4;
        if (code >= 0xD800 && code < 0xDC00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u')
            low = json_hex(at + 2, end);
        if (low >= 0xDC00 && low < 0xE000) {
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            at += 6;
            *to++ = (uint8_t)(0xF0 | code >> 18);
            *to++ = (uint8_t)(0x80 | (code >> 12 & 0x3F));
        }
        else if (code >= 0x800) /* half a surrogate pair alone is encoded as Python's "surrogatepass" does */
            *to++ = (uint8_t)(0xE0 | code >> 12);
        if (code >= 0x800)
            *to++ = (uint8_t)(0x80 | (code >> 6 & 0x3F));
        else if (code >= 0x80)
            *to++ = (uint8_t)(0xC0 | code >> 6);
        *to++ = (uint8_t)(code >= 0x80 ? 0x80 | (code & 0x3F) : code);
    }
    return to - start;
}

static const uint8_t *json_digits(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *start = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at > start ? at : NULL;
}

static const uint8_t *json_number(const uint8_t *at, const uint8_t *end)
{
    if (at < end && *at == '0')
        at++;
    else if (!(at = json_digits(at, end)))
        return NULL;
    if (at < end && *at == '.' && !(at = json_digits(at + 1, end)))
        return NULL;
    if (at < end && (*at | 0x20) == 'e') {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        at = json_digits(at, end);
    }
    return at;
}

static const uint8_t *json_word(const uint8_t *at, const uint8_t *end, const char *word)
{
    size_t length = strlen(word);
    return (size_t)(end - at) >= length && !memcmp(at, word, length) ? at + length : NULL;
}

/* Skips a value; returns what is behind it, or NULL. */
static const uint8_t *json_value(const uint8_t *at, const uint8_t *end, int depth)
{
    int escapes, object;
    if (at == end)
        return NULL;
    switch (*at) {
    case '"':
        return json_string(at + 1, end, &escapes);
    case 't':
        return json_word(at, end, "true");
    case 'f':
        return json_word(at, end, "false");
    case 'n':
        return json_word(at, end, "null");
    case 'N':
        return json_word(at, end, "NaN");
    case 'I':
        return json_word(at, end, "Infinity");
    case '-':
        return at + 1 < end && at[1] == 'I' ? json_word(at, end, "-Infinity") : json_number(at + 1, end);
    case '{':
    case '[':
        break;
    default:
        return json_number(at, end);
    }
    object = *at == '{';
    at = json_space(at + 1, end);
    if (depth >= JSON_MAX_DEPTH)
        return NULL;
    if (at < end && *at == (object ? '}' : ']'))
        return at + 1;
    for (;;) {
        if (object) {
            if (at == end || *at != '"' || !(at = json_string(at + 1, end, &escapes)))
                return NULL;
            at = json_space(at, end);
            if (at == end || *at != ':')
                return NULL;
            at = json_space(at + 1, end);
        }
        if (!(at = json_value(at, end, depth + 1)))
            return NULL;
        at = json_space(at, end);
        if (at == end)
            return NULL;
        if (*at == (object ? '}' : ']'))
            return at + 1;
        if (*at != ',')
            return NULL;
        at = json_space(at + 1, end);
    }
}

/* Room for `size` bytes until the batch is flushed; NULL with `failed` set if there is none. */
static uint8_t *json_room(CsvScan *scan, size_t size, int *failed)
{
    *failed = reserve_unquoted(scan, size);
    return *failed ? NULL : scan->unquoted + scan->unquoted_used;
}

/* Reads one line, which is not blank, and counts the value of the key. */
static int json_line(JsonScan *json, const uint8_t *block, const uint8_t *line, const uint8_t *end)
{
    CsvScan *scan = json->scan;
    const uint8_t *at = json_space(line, end), *value = NULL, *value_end = NULL;
    int escapes, failed;
    scan->short_row = line - block;
    if (*at != '{')
        return SCAN_INVALID;
    at = json_space(at + 1, end);
    if (at < end && *at == '}')
        at++;
    else
        for (;;) {
            const uint8_t *key = at + 1, *start;
            size_t length;
            if (at == end || *at != '"' || !(at = json_string(key, end, &escapes)))
                return SCAN_INVALID;
            length = at - 1 - key;
            if (escapes) {
                uint8_t *room = json_room(scan, length, &failed);
                if (!room)
                    return failed;
                length = json_unescape(key, at - 1, room);
                key = room;
            }
            at = json_space(at, end);
            if (at == end || *at != ':')
                return SCAN_INVALID;
            start = json_space(at + 1, end);
            if (!(at = json_value(start, end, 1)))
                return SCAN_INVALID;
            if (length == json->key_length && !memcmp(key, json->key, length)) {
                value = start;
                value_end = at;
            }
            at = json_space(at, end);
            if (at == end)
                return SCAN_INVALID;
            if (*at == '}') {
                at++;
                break;
            }
            if (*at != ',')
                return SCAN_INVALID;
            at = json_space(at + 1, end);
        }
    if (json_space(at, end) != end)
        return SCAN_INVALID;
    if (!value)
        return add_short_row(scan, line - block, 0, end);
    if (*value == '"') {
        value++;
        value_end--;
        if (memchr(value, '\\', value_end - value)) {
            size_t size = value_end - value, length;
            uint8_t *room = json_room(scan, size, &failed);
            if (!room)
                return failed;
            length = json_unescape(value, value_end, room);
            scan->unquoted_used += length;
            return add_value(scan, room, length);
        }
    }
    return add_value(scan, value, value_end - value);
}

/* Scans a block that begins with a line; the result is that of `csv_scan`, or SCAN_INVALID. */
static ptrdiff_t json_scan(JsonScan *json, const uint8_t *block, ptrdiff_t size, int last)
{
    const uint8_t *line = block, *end = block + size;
    int failed = 0;
    while (line < end && !failed) {
        const uint8_t *line_end = (const uint8_t *)memchr(line, '\n', end - line);
        if (!line_end && !last)
            break;
        if (!line_end)
            line_end = end;
        if (json_space(line, line_end) != line_end)
            failed = json_line(json, block, line, line_end);
        line = line_end < end ? line_end + 1 : end;
    }
    if (!failed)
        failed = flush_fields(json->scan);
    return failed ? failed : line - block;
}

#endif
