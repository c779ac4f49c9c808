/* splitmix64: output i of the generator seeded with s is mix(s + (i + 1) * gamma), so a key depends on its
   position alone and any split of the positions draws the same keys.
   Steele, Lea and Flood: Fast splittable pseudorandom number generators, OOPSLA 2014. */
#ifndef PARCOUNT_SPLITMIX64_H
#define PARCOUNT_SPLITMIX64_H

#include <stdint.h>

#define SPLITMIX64_GAMMA UINT64_C(0x9E3779B97F4A7C15)

static inline uint64_t splitmix64_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

#endif
