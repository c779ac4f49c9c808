/* One of the parts of the keys that `bincount` counts with native threads. */
#ifndef PARCOUNT_COUNT_PART_H
#define PARCOUNT_COUNT_PART_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    char code; /* of the keys, as in the module `struct` */
    const void *keys;
    ptrdiff_t n, done; /* done: how many were counted until one lay outside */
    int64_t least, greatest;
    int64_t *counts;
    uint64_t bins;
    void *scratch;
} CountPart;

typedef struct {
    size_t (*scratch_bytes)(uint64_t bins, ptrdiff_t n, size_t size); /* that the kernel takes for keys of `size` bytes */
    void (*count)(void *part);
} CountFunctions;

#endif
