/* CRC-32C (Castagnoli; RFC 3720, appendix B.4): polynomial 0x1EDC6F41, reflected, initial value and final complement of all
   ones. The functions take and return the register, which is the complement of the CRC.

   SSE4.2 and the CRC extension of ARMv8 have an instruction for it, which takes three cycles and can start in each: long
   buffers are cut into three lanes, whose registers are combined by a table. The baseline is a table for 8 bytes at once. */
#ifndef PARCOUNT_CRC32C_H
#define PARCOUNT_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cpu_features.h"

enum { CRC32C_LANE = 512 /* bytes in a lane; a multiple of 8 */ };

static uint32_t crc32c_table[8][256]; /* [k][byte]: the register after that byte and k zeros */
static uint32_t crc32c_lane[4][256];  /* [k][byte]: what byte k of a register contributes after a lane of zeros */

static inline uint64_t little64(uint64_t value)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(value);
#else
    return value;
#endif
}

static inline uint32_t little32(uint32_t value)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap32(value);
#else
    return value;
#endif
}

static inline uint64_t load_little64(const unsigned char *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, 8);
    return little64(value);
}

static uint32_t crc32c_baseline(uint32_t state, const void *data, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)data;
    for (; size >= 8; size -= 8, bytes += 8) {
        uint64_t word = load_little64(bytes) ^ state;
        state = crc32c_table[7][word & 255] ^ crc32c_table[6][word >> 8 & 255] ^ crc32c_table[5][word >> 16 & 255] ^
                crc32c_table[4][word >> 24 & 255] ^ crc32c_table[3][word >> 32 & 255] ^
                crc32c_table[2][word >> 40 & 255] ^ crc32c_table[1][word >> 48 & 255] ^ crc32c_table[0][word >> 56];
    }
    for (; size; size--, bytes++)
        state = crc32c_table[0][(state ^ *bytes) & 255] ^ state >> 8;
    return state;
}

/* Not thread-safe: call once, before the others. */
static void crc32c_initialise(void)
{
    static const unsigned char zeros[CRC32C_LANE];
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t state = byte;
        for (int bit = 0; bit < 8; bit++)
            state = state >> 1 ^ (state & 1 ? 0x82F63B78u : 0);
        crc32c_table[0][byte] = state;
    }
    for (int k = 1; k < 8; k++)
        for (int byte = 0; byte < 256; byte++)
            crc32c_table[k][byte] = crc32c_table[0][crc32c_table[k - 1][byte] & 255] ^ crc32c_table[k - 1][byte] >> 8;
    for (int k = 0; k < 4; k++)
        for (uint32_t byte = 0; byte < 256; byte++)
            crc32c_lane[k][byte] = crc32c_baseline(byte << 8 * k, zeros, CRC32C_LANE);
}

static inline uint32_t crc32c_after_lane(uint32_t state)
{
    return crc32c_lane[0][state & 255] ^ crc32c_lane[1][state >> 8 & 255] ^ crc32c_lane[2][state >> 16 & 255] ^
           crc32c_lane[3][state >> 24];
}

#if X86_DISPATCH
#include <nmmintrin.h>
#define CRC32C_INSTRUCTION 1
#define CRC32C_TARGET CPU_TARGET("sse4.2")
#define CRC32C_WORD(state, word) ((uint32_t)_mm_crc32_u64(state, word))
#define CRC32C_BYTE(state, byte) _mm_crc32_u8(state, byte)
#elif ARM_CRC32_DISPATCH
#include <arm_acle.h>
#define CRC32C_INSTRUCTION 1
#define CRC32C_TARGET ARM_CRC32_TARGET
#define CRC32C_WORD(state, word) __crc32cd(state, word)
#define CRC32C_BYTE(state, byte) __crc32cb(state, byte)
#else
#define CRC32C_INSTRUCTION 0
#endif

#if CRC32C_INSTRUCTION
CRC32C_TARGET static uint32_t crc32c_instruction(uint32_t state, const void *data, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)data;
    for (; size >= 3 * CRC32C_LANE; size -= 3 * CRC32C_LANE, bytes += 3 * CRC32C_LANE) {
        uint32_t second = 0, third = 0;
        for (int i = 0; i < CRC32C_LANE; i += 8) {
            state = CRC32C_WORD(state, load_little64(bytes + i));
            second = CRC32C_WORD(second, load_little64(bytes + CRC32C_LANE + i));
            third = CRC32C_WORD(third, load_little64(bytes + 2 * CRC32C_LANE + i));
        }
        state = crc32c_after_lane(crc32c_after_lane(state) ^ second) ^ third;
    }
    for (; size >= 8; size -= 8, bytes += 8)
        state = CRC32C_WORD(state, load_little64(bytes));
    for (; size; size--, bytes++)
        state = CRC32C_BYTE(state, *bytes);
    return state;
}
#else
#define crc32c_instruction crc32c_baseline
#endif

#endif
