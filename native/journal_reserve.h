/* Appending to a journal by reserving space with an atomic counter in the file itself, which all writers map.

   A reservation never exceeds the space that is allocated, so that a full disk is an error of the allocation and not a SIGBUS.
   Before a writer reserves, it stores in its cell an offset that is not greater than what it will get, and clears the cell
   when its block is complete. A gap at or behind the offset in a cell of a living writer can still be filled; other gaps
   remain. The marker of a block is written last: where it is, the block is complete. */
#ifndef PARCOUNT_JOURNAL_RESERVE_H
#define PARCOUNT_JOURNAL_RESERVE_H

#include "atomic.h"
#include "journal_file.h"

enum {
    RECORDS_AT = 1 << 16,  /* the first block */
    END_AT = 128,          /* where the next reservation begins */
    ALLOCATED_AT = 192,    /* where the allocated space ends */
    SLOTS_AT = 256,        /* of each attached file description: its cells, and the process */
    SLOT_SIZE = 64,
    SLOT_CELLS = 7,        /* threads of a process that can append at the same time */
    WINDOW = 1 << 23,      /* what a thread maps of the file at a time */
    MAPPED_RECORD = 1 << 15 /* up to this size a record is written through the mapping */
};

#ifdef __linux__

#include <sched.h>
#include <sys/mman.h>
#include <sys/statfs.h>

typedef struct {
    int64_t busy; /* whether a thread has it; only that one uses the rest */
    uint64_t writer;
    uint64_t sequence;
    char *window;    /* NULL or the mapping of WINDOW + MAPPED_RECORD + a page */
    uint64_t start;  /* offset of the window */
    uint64_t touched; /* offset up to which pages have been written to: no page fault before it */
    int64_t *shared; /* the cell in the file */
    int64_t padding;
} ReserveCell;

typedef struct {
    int64_t closed; /* 0, or 1 as soon as no append may begin */
    int descriptor;
    char *head; /* mapping of what is in front of the blocks */
    uint64_t marker;
    ReserveCell cells[SLOT_CELLS];
} Reserve;

#define WINDOW_LENGTH (WINDOW + 2 * MAPPED_RECORD)

static int reserve_attach(Reserve *file, int descriptor, int slot, uint64_t marker, uint64_t writer)
{
    void *head = mmap(NULL, RECORDS_AT, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    int i;
    if (head == MAP_FAILED)
        return errno;
    memset(file, 0, sizeof *file);
    file->descriptor = descriptor;
    file->head = (char *)head;
    file->marker = marker;
    for (i = 0; i < SLOT_CELLS; i++) {
        file->cells[i].writer = writer + i;
        file->cells[i].shared = (int64_t *)(file->head + SLOTS_AT + slot * SLOT_SIZE) + i;
    }
    return 0;
}

/* Returns a cell that no other thread uses until reserve_release; NULL if all are in use. */
static inline ReserveCell *reserve_acquire(Reserve *file)
{
    int i;
    for (i = 0; i < SLOT_CELLS; i++) {
        int64_t idle = 0;
        if (!atomic_read(&file->cells[i].busy) && atomic_swap_if(&file->cells[i].busy, &idle, 1))
            return &file->cells[i];
    }
    return NULL;
}

/* The block is complete, or there will be none. */
static inline void reserve_finish(ReserveCell *cell)
{
    atomic_write(cell->shared, 0);
}

static inline void reserve_release(ReserveCell *cell)
{
    atomic_write(&cell->busy, 0);
}

static void reserve_release_all(Reserve *file)
{
    int i;
    for (i = 0; i < SLOT_CELLS; i++)
        reserve_release(&file->cells[i]);
}

static void reserve_yield(void)
{
    sched_yield();
}

/* Refuses new appends, waits for the threads that append, and unmaps everything. */
static void reserve_detach(Reserve *file)
{
    int i;
    if (atomic_exchange_with(&file->closed, 1))
        return;
    for (i = 0; i < SLOT_CELLS; i++) {
        int64_t idle = 0;
        while (!atomic_swap_if(&file->cells[i].busy, &idle, 1)) {
            idle = 0;
            reserve_yield();
        }
        if (file->cells[i].window)
            munmap(file->cells[i].window, WINDOW_LENGTH);
        file->cells[i].window = NULL;
    }
    munmap(file->head, RECORDS_AT);
    reserve_release_all(file);
}

/* Makes the allocated space reach at least to `end`. Returns 0 or an error number, EINTR among them. */
static int reserve_allocate(Reserve *file, uint64_t end)
{
    int64_t *allocated = (int64_t *)(file->head + ALLOCATED_AT), held = atomic_read(allocated);
    uint64_t step = end >> 3, target;
    if (held >= (int64_t)end)
        return 0; /* another writer was faster */
    step = step < 1 << 18 ? 1 << 18 : step > 1 << 26 ? 1 << 26 : step;
    target = (end + step - 1) / (1 << 16) * (1 << 16) + (1 << 16);
    if (fallocate(file->descriptor, 0, held, (off_t)(target - held)) != 0) {
        if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG)
            return errno;
        target = (end + 4095) & ~(uint64_t)4095; /* perhaps there is room for this record */
        if (fallocate(file->descriptor, 0, held, (off_t)(target - held)) != 0)
            return errno;
    }
    while (held < (int64_t)target && !atomic_swap_if(allocated, &held, (int64_t)target))
        ;
    return 0;
}

/* Reserves `size` bytes; 1 if the space has to be allocated first, which takes longer. */
static inline int reserve_space(Reserve *file, ReserveCell *cell, uint64_t size, uint64_t *offset)
{
    int64_t *end = (int64_t *)(file->head + END_AT), *allocated = (int64_t *)(file->head + ALLOCATED_AT);
    int64_t held = atomic_read(end);
    atomic_write(cell->shared, held);
    do {
        if (held + (int64_t)size > atomic_read(allocated)) {
            *offset = (uint64_t)held + size;
            return 1;
        }
    } while (!atomic_swap_if(end, &held, held + (int64_t)size));
    *offset = (uint64_t)held;
    return 0;
}

/* Whether a block can be written without a page fault, as far as is known. */
static inline int reserve_is_mapped(const ReserveCell *cell, uint64_t offset, uint64_t size)
{
    return cell->window && offset - cell->start < WINDOW && offset + size <= cell->touched;
}

static inline void reserve_fill(Reserve *file, ReserveCell *cell, uint64_t offset, uint64_t size, const void *data,
                                uint32_t length, uint32_t state)
{
    char *block = cell->window + (offset - cell->start);
    BlockHeader header;
    block_fill_header(&header, file->marker, offset, length, cell->writer, cell->sequence, state);
    memcpy(block + 8, (const char *)&header + 8, BLOCK_HEADER - 8);
    memcpy(block + BLOCK_HEADER, data, length);
    memset(block + BLOCK_HEADER + length, BLOCK_PADDING, size - BLOCK_HEADER - length);
    atomic_write((int64_t *)block, (int64_t)file->marker);
}

/* Writes a block to reserved space. Returns 0 or an error number. */
static int reserve_write(Reserve *file, ReserveCell *cell, uint64_t offset, uint64_t size, const void *data,
                         uint32_t length, uint32_t state)
{
    if (length <= MAPPED_RECORD && !(cell->window && offset - cell->start < WINDOW)) {
        void *window;
        if (cell->window)
            munmap(cell->window, WINDOW_LENGTH);
        cell->start = offset & ~(uint64_t)(WINDOW - 1);
        window = mmap(NULL, WINDOW_LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, file->descriptor, (off_t)cell->start);
        cell->window = window == MAP_FAILED ? NULL : (char *)window;
    }
    if (length > MAPPED_RECORD || !cell->window)
        return write_block(file->descriptor, offset, file->marker, cell->writer, cell->sequence, data, length, state);
    reserve_fill(file, cell, offset, size, data, length, state);
    cell->touched = (offset + size + 4095) & ~(uint64_t)4095;
    return 0;
}

static int file_system(int descriptor, int64_t *kind)
{
    struct statfs status;
    if (fstatfs(descriptor, &status) != 0)
        return errno;
    *kind = (int64_t)(uint32_t)status.f_type;
    return 0;
}

#else

/* Other systems have no locks of open file descriptions, or no fallocate: writers take the lock there. */
typedef struct {
    uint64_t sequence;
} ReserveCell;

typedef struct {
    int64_t closed;
} Reserve;

static int reserve_attach(Reserve *file, int descriptor, int slot, uint64_t marker, uint64_t writer) { return ENOSYS; }
static ReserveCell *reserve_acquire(Reserve *file) { return NULL; }
static void reserve_release(ReserveCell *cell) {}
static void reserve_finish(ReserveCell *cell) {}
static void reserve_detach(Reserve *file) {}
static int reserve_allocate(Reserve *file, uint64_t end) { return ENOSYS; }
static int reserve_space(Reserve *file, ReserveCell *cell, uint64_t size, uint64_t *offset) { return 0; }
static int reserve_is_mapped(const ReserveCell *cell, uint64_t offset, uint64_t size) { return 0; }
static void reserve_fill(Reserve *file, ReserveCell *cell, uint64_t offset, uint64_t size, const void *data,
                         uint32_t length, uint32_t state) {}
static int reserve_write(Reserve *file, ReserveCell *cell, uint64_t offset, uint64_t size, const void *data,
                         uint32_t length, uint32_t state) { return ENOSYS; }
static int file_system(int descriptor, int64_t *kind) { return ENOSYS; }
static void reserve_release_all(Reserve *file) {}
static void reserve_yield(void) {}

#endif
#endif
