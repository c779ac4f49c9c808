/* An identifier of the thread, and its cache of handles of sharded counters. */
#ifndef PARCOUNT_SHARDS_H
#define PARCOUNT_SHARDS_H

#include <stddef.h>
#include <stdint.h>

#if defined(_MSC_VER)
#define SHARDS_THREAD __declspec(thread)
#else
#define SHARDS_THREAD __thread
#endif

/* A thread adds to its shard without reading the others as long as the base is at most NEAR: only the shards of more than
   a million threads could sum up to what is left of 64 bits then. */
#define SHARDS_LARGE ((int64_t)1 << 32) /* larger amounts are added to the base */
#define SHARDS_FULL ((int64_t)1 << 40)  /* a shard that would exceed this is moved to the base */
#define SHARDS_NEAR ((int64_t)1 << 62)

enum { SHARDS_CACHED = 8 }; /* entries a thread has, for the counters that it alternates between */

typedef struct {
    uint64_t serial; /* of the counter, never reused; 0 if the entry is empty */
    void *handle;    /* a borrowed reference: the entry is removed when the handle is freed */
} CachedHandle;

static SHARDS_THREAD CachedHandle shards_cache_of_thread[SHARDS_CACHED];

/* An address that is unique among running threads. */
static inline const void *shards_thread_id(void)
{
    return shards_cache_of_thread;
}

static inline void *shards_cached(uint64_t serial)
{
    const CachedHandle *entry = &shards_cache_of_thread[serial % SHARDS_CACHED];
    return entry->serial == serial ? entry->handle : NULL;
}

static inline void shards_cache(uint64_t serial, void *handle)
{
    CachedHandle *entry = &shards_cache_of_thread[serial % SHARDS_CACHED];
    entry->serial = serial;
    entry->handle = handle;
}

/* In the handle's own thread. Another thread frees a handle only together with its counter, whose serial is not looked up
   again. */
static inline void shards_uncache(uint64_t serial, const void *handle)
{
    CachedHandle *entry = &shards_cache_of_thread[serial % SHARDS_CACHED];
    if (entry->handle == handle) {
        entry->serial = 0;
        entry->handle = NULL;
    }
}

#endif
