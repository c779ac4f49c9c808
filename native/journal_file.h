/* The blocks of a journal, and how writers append them to its file. docs/journal.md describes the format. */
#ifndef PARCOUNT_JOURNAL_FILE_H
#define PARCOUNT_JOURNAL_FILE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "crc32c.h"

enum {
    BLOCK_HEADER = 32,    /* bytes in front of the data */
    BLOCK_ALIGNMENT = 8,
    BLOCK_PADDING = '\n', /* one to eight of them end a block: not zero, so that zeros at the end of a file are no block */
    SMALL_RECORD = 4096   /* up to this size a block is built on the stack */
};

typedef struct { /* all little-endian */
    uint64_t marker;
    uint32_t crc;
    uint32_t length;
    uint64_t writer;
    uint64_t sequence;
} BlockHeader;

typedef uint32_t (*Crc32c)(uint32_t state, const void *data, size_t size);

static Crc32c crc32c_chosen = crc32c_baseline;

static inline uint64_t block_align(uint64_t offset)
{
    return (offset + BLOCK_ALIGNMENT - 1) & ~(uint64_t)(BLOCK_ALIGNMENT - 1);
}

static inline uint64_t block_size(uint64_t length)
{
    return block_align(BLOCK_HEADER + length + 1);
}

/* The CRC of a block: of its data, then of its offset in the file and of its header behind the CRC. The offset makes a copy of
   a block in other data invalid; the data come first because the offset is known last. `state` is the register after the
   data. */
static inline uint32_t block_crc(uint32_t state, uint64_t offset, const BlockHeader *header)
{
    uint64_t fields[4];
    fields[0] = little64(offset);
    fields[1] = little64(little32(header->length));
    fields[2] = header->writer;
    fields[3] = header->sequence;
    return ~crc32c_chosen(state, fields, sizeof fields);
}

static inline void block_fill_header(BlockHeader *header, uint64_t marker, uint64_t offset, uint32_t length,
                                     uint64_t writer, uint64_t sequence, uint32_t state)
{
    header->marker = marker; /* in the order of its bytes in the file */
    header->length = little32(length);
    header->writer = little64(writer);
    header->sequence = little64(sequence);
    header->crc = little32(block_crc(state, offset, header));
}

/* Whether a valid block begins at `bytes`, which is at `offset` in the file, and of which `available` bytes are here.
   Returns its size, 0 if there is none, or the negative size of one that could be valid if more bytes were here. */
static int64_t block_check(const unsigned char *bytes, uint64_t available, uint64_t offset, uint64_t marker,
                           BlockHeader *header)
{
    uint64_t size, length, i;
    if (available < BLOCK_HEADER)
        return 0;
    memcpy(header, bytes, BLOCK_HEADER);
    if (header->marker != marker)
        return 0;
    length = little32(header->length);
    size = block_size(length);
    if (size > available)
        return -(int64_t)size;
    for (i = BLOCK_HEADER + length; i < size; i++)
        if (bytes[i] != BLOCK_PADDING)
            return 0;
    if (little32(header->crc) != block_crc(crc32c_chosen(~0u, bytes + BLOCK_HEADER, length), offset, header))
        return 0;
    return (int64_t)size;
}

/* The position of the next marker in `bytes`, at a multiple of the alignment from `start` on; `size` if there is none. */
static uint64_t block_search(const unsigned char *bytes, uint64_t size, uint64_t start, uint64_t marker)
{
    uint64_t word;
    for (; start + BLOCK_ALIGNMENT <= size; start += BLOCK_ALIGNMENT) {
        memcpy(&word, bytes + start, 8);
        if (word == marker)
            return start;
    }
    return size;
}

#ifndef _WIN32

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The bytes of the file on which locks are taken; none of them exists. A lock belongs to an open file description, and the
   kernel releases it with that. Without such locks the whole file is locked instead of LOCK_APPEND and LOCK_ATTACH, and the
   others are not needed: then there is one way to write. */
enum { LOCK_APPEND, LOCK_ATTACH, LOCK_USES_LOCK, LOCK_USES_RESERVE, LOCK_USES_QUEUE, LOCK_SLOTS };
#define LOCK_BASE ((int64_t)1 << 61)

/* `kind` is F_RDLCK, F_WRLCK or F_UNLCK. Returns 0 or an error number: EAGAIN if it is locked and `wait` is 0, EINTR. */
static int file_lock(int descriptor, int which, int kind, int wait)
{
#ifdef F_OFD_SETLK
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = (short)kind;
    lock.l_whence = SEEK_SET;
    lock.l_start = LOCK_BASE + which;
    lock.l_len = 1;
    if (fcntl(descriptor, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock) == 0)
        return 0;
    return errno == EACCES ? EAGAIN : errno;
#else
    if (which > LOCK_ATTACH)
        return 0;
    if (flock(descriptor, (kind == F_UNLCK ? LOCK_UN : kind == F_WRLCK ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB)) == 0)
        return 0;
    return errno == EWOULDBLOCK ? EAGAIN : errno;
#endif
}

/* Whether another open file description holds a lock. Returns 0, 1, or a negative error number. */
static int file_locked(int descriptor, int which)
{
#ifdef F_OFD_SETLK
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = LOCK_BASE + which;
    lock.l_len = 1;
    if (fcntl(descriptor, F_OFD_GETLK, &lock) != 0)
        return -errno;
    return lock.l_type != F_UNLCK;
#else
    int error = which > LOCK_ATTACH ? 0 : file_lock(descriptor, which, F_RDLCK, 0);
    if (!error && which <= LOCK_ATTACH)
        file_lock(descriptor, which, F_UNLCK, 0);
    return error == EAGAIN ? 1 : -error;
#endif
}

static int write_at(int descriptor, const void *data, uint64_t size, uint64_t offset)
{
    const char *bytes = (const char *)data;
    while (size) {
        ssize_t written = pwrite(descriptor, bytes, size < 1 << 30 ? size : 1 << 30, (off_t)offset);
        if (written < 0) {
            if (errno == EINTR)
                continue;
            return errno;
        }
        if (!written)
            return ENOSPC;
        bytes += written;
        size -= written;
        offset += written;
    }
    return 0;
}

/* Writes a block at `offset`. The header of a large one is written last, so that a reader sees the header with all of it. */
static int write_block(int descriptor, uint64_t offset, uint64_t marker, uint64_t writer, uint64_t sequence,
                       const void *data, uint32_t length, uint32_t state)
{
    unsigned char buffer[BLOCK_HEADER + SMALL_RECORD + 2 * BLOCK_ALIGNMENT];
    uint64_t size = block_size(length);
    BlockHeader header;
    int error;
    block_fill_header(&header, marker, offset, length, writer, sequence, state);
    if (length <= SMALL_RECORD) {
        memset(buffer + size - BLOCK_ALIGNMENT, BLOCK_PADDING, BLOCK_ALIGNMENT);
        memcpy(buffer, &header, BLOCK_HEADER);
        memcpy(buffer + BLOCK_HEADER, data, length);
        return write_at(descriptor, buffer, size, offset);
    }
    memset(buffer, BLOCK_PADDING, BLOCK_ALIGNMENT);
    error = write_at(descriptor, data, length, offset + BLOCK_HEADER);
    if (!error)
        error = write_at(descriptor, buffer, size - BLOCK_HEADER - length, offset + BLOCK_HEADER + length);
    return error ? error : write_at(descriptor, &header, BLOCK_HEADER, offset);
}

/* Appends a block under the lock. Returns 0 or an error number; EINTR if a signal came before the lock. */
static int append_block_locked(int descriptor, uint64_t marker, uint64_t writer, uint64_t sequence, const void *data,
                               uint32_t length, uint32_t state)
{
    struct stat status;
    int error = file_lock(descriptor, LOCK_APPEND, F_WRLCK, 1);
    if (error)
        return error;
    if (fstat(descriptor, &status) != 0)
        error = errno;
    else {
        error = write_block(descriptor, block_align(status.st_size), marker, writer, sequence, data, length, state);
        if (error && ftruncate(descriptor, status.st_size) != 0)
            error = error; /* a reader skips what remains */
    }
    file_lock(descriptor, LOCK_APPEND, F_UNLCK, 0);
    return error;
}

/* Appends a line under the lock. A line that a killed writer left without its end is ended first. */
static int append_line_locked(int descriptor, const void *data, uint64_t length)
{
    char buffer[SMALL_RECORD + 2];
    struct stat status;
    uint64_t offset, used = 0;
    int error = file_lock(descriptor, LOCK_APPEND, F_WRLCK, 1);
    if (error)
        return error;
    if (fstat(descriptor, &status) != 0)
        error = errno;
    else {
        offset = (uint64_t)status.st_size;
        if (offset) {
            ssize_t read = pread(descriptor, buffer, 1, (off_t)(offset - 1));
            if (read < 0)
                error = errno;
            used = read == 1 && *buffer != '\n';
            *buffer = '\n';
        }
        if (!error && length <= SMALL_RECORD) {
            memcpy(buffer + used, data, length);
            buffer[used + length] = '\n';
            error = write_at(descriptor, buffer, used + length + 1, offset);
        } else if (!error) {
            error = write_at(descriptor, buffer, used, offset);
            if (!error)
                error = write_at(descriptor, data, length, offset + used);
            if (!error)
                error = write_at(descriptor, "\n", 1, offset + used + length);
        }
        if (error && ftruncate(descriptor, status.st_size) != 0)
            error = error;
    }
    file_lock(descriptor, LOCK_APPEND, F_UNLCK, 0);
    return error;
}

#else

enum { LOCK_APPEND, LOCK_ATTACH, LOCK_USES_LOCK, LOCK_USES_RESERVE, LOCK_USES_QUEUE, LOCK_SLOTS };
enum { F_RDLCK, F_WRLCK, F_UNLCK };

static int file_lock(int descriptor, int which, int kind, int wait) { return ENOSYS; }
static int file_locked(int descriptor, int which) { return -ENOSYS; }
static int append_block_locked(int descriptor, uint64_t marker, uint64_t writer, uint64_t sequence, const void *data,
                               uint32_t length, uint32_t state) { return ENOSYS; }
static int append_line_locked(int descriptor, const void *data, uint64_t length) { return ENOSYS; }

#endif
#endif
