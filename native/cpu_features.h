/* Which vector instructions this build can use and this CPU has. Other compilers than GCC and Clang get the baseline. */
#ifndef PARCOUNT_CPU_FEATURES_H
#define PARCOUNT_CPU_FEATURES_H

#if defined(__GNUC__) && defined(__x86_64__)
#define X86_DISPATCH 1
#define CPU_TARGET(features) __attribute__((target(features)))
#else
#define X86_DISPATCH 0
#define CPU_TARGET(features)
#endif

static int cpu_has_avx2(void)
{
#if X86_DISPATCH
    return __builtin_cpu_supports("avx2") != 0;
#else
    return 0;
#endif
}

static int cpu_has_avx512(void)
{
#if X86_DISPATCH
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
#else
    return 0;
#endif
}

/* What Intel's Ice Lake and AMD's Zen 4 added, as far as it is used here. */
static int cpu_has_avx512_icl(void)
{
#if X86_DISPATCH
    return cpu_has_avx512() && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("gfni") && __builtin_cpu_supports("popcnt");
#else
    return 0;
#endif
}

static int cpu_has_sse42(void)
{
#if X86_DISPATCH
    return __builtin_cpu_supports("sse4.2") != 0;
#else
    return 0;
#endif
}

/* The CRC instructions, which ARMv8.0 leaves out of what every CPU must have. */
#if defined(__GNUC__) && defined(__aarch64__) && (defined(__ARM_FEATURE_CRC32) || defined(__linux__))
#define ARM_CRC32_DISPATCH 1
#ifdef __ARM_FEATURE_CRC32
#define ARM_CRC32_TARGET
#elif defined(__clang__)
#define ARM_CRC32_TARGET __attribute__((target("crc")))
#else
#define ARM_CRC32_TARGET __attribute__((target("+crc")))
#endif
#ifdef __linux__
#include <sys/auxv.h>
#endif
#else
#define ARM_CRC32_DISPATCH 0
#endif

static int cpu_has_arm_crc32(void)
{
#if !ARM_CRC32_DISPATCH
    return 0;
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) >> 7 & 1) != 0; /* HWCAP_CRC32 */
#else
    return 1;
#endif
}

static int cpu_has_neon(void)
{
#if defined(__GNUC__) && defined(__aarch64__)
    return 1;
#else
    return 0;
#endif
}

#endif
