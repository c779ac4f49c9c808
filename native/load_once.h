/* Makes the compiler keep a value that it has loaded. Without this it may load the value again where it is used next, and
   find what another thread has written meanwhile. */
#ifndef PARCOUNT_LOAD_ONCE_H
#define PARCOUNT_LOAD_ONCE_H

#include <stdint.h>
#ifdef _MSC_VER
#include <intrin.h>
#endif

static inline uint64_t keep_loaded(uint64_t value)
{
#ifdef _MSC_VER
    _ReadWriteBarrier();
#else
    __asm__("" : "+r"(value));
#endif
    return value;
}

#endif
