/* Which thread this is, and which share of a sharded counter it was given last. */
#ifndef PARCOUNT_SHARDS_H
#define PARCOUNT_SHARDS_H

#include <stddef.h>
#include <stdint.h>

#if defined(_MSC_VER)
#define SHARDS_THREAD __declspec(thread)
#else
#define SHARDS_THREAD __thread
#endif

/* A share is added to without a look at the others as long as the base is at most NEAR: there would have to be more than
   a million threads for the shares to sum up to what is then left of 64 bits. */
#define SHARDS_LARGE ((int64_t)1 << 32) /* numbers beyond are added to the base */
#define SHARDS_FULL ((int64_t)1 << 40)  /* and so is a share that would be more than this */
#define SHARDS_NEAR ((int64_t)1 << 62)

enum { SHARDS_KNOWN = 8 }; /* counters whose shares a thread remembers: those it alternates between */

typedef struct {
    uint64_t serial; /* of the counter, never given to another: 0 if there is none */
    void *share;     /* a borrowed reference: it is forgotten when the share goes */
} Known;

static SHARDS_THREAD Known shards_known[SHARDS_KNOWN];

/* An address that no other thread which runs now has. */
static inline const void *shards_thread(void)
{
    return shards_known;
}

static inline void *shards_recall(uint64_t serial)
{
    const Known *known = &shards_known[serial % SHARDS_KNOWN];
    return known->serial == serial ? known->share : NULL;
}

static inline void shards_remember(uint64_t serial, void *share)
{
    Known *known = &shards_known[serial % SHARDS_KNOWN];
    known->serial = serial;
    known->share = share;
}

/* In the thread whose share it was. Another thread lets a share go only together with its counter, for whose serial
   nobody asks again. */
static inline void shards_forget(uint64_t serial, const void *share)
{
    Known *known = &shards_known[serial % SHARDS_KNOWN];
    if (known->share == share) {
        known->serial = 0;
        known->share = NULL;
    }
}

#endif
