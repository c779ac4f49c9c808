"""The CPU features that the kernels use, decided once per process.

``PARCOUNT_DISABLE_CPU_FEATURES`` lists features not to use, separated by spaces or commas, as NumPy's
``NPY_DISABLE_CPU_FEATURES`` does. A feature that needs a disabled one is disabled too.
"""

import os
import warnings

cdef extern from "cpu_features.h":
    bint cpu_has_avx2()
    bint cpu_has_avx512()
    bint cpu_has_avx512_icl()
    bint cpu_has_neon()
    bint cpu_has_sse42()
    bint cpu_has_arm_crc32()

VARIABLE = "PARCOUNT_DISABLE_CPU_FEATURES"

REQUIRES = {"AVX2": (), "AVX512": ("AVX2",), "AVX512_ICL": ("AVX2", "AVX512"), "NEON": (), "SSE42": (), "ARM_CRC32": ()}
"""Every feature that a kernel can use, and the features that it needs. AVX512 is F, BW, DQ and VL; AVX512_ICL is VBMI,
VBMI2, BITALG and GFNI; ARM_CRC32 is the CRC extension of ARMv8."""

SUPPORTED = tuple(
    name
    for name, supported in zip(
        REQUIRES,
        (cpu_has_avx2(), cpu_has_avx512(), cpu_has_avx512_icl(), cpu_has_neon(), cpu_has_sse42(), cpu_has_arm_crc32()),
    )
    if supported
)
"""The features that this build and this CPU have."""


def enabled_features(text, /):
    """The features of `SUPPORTED` that a value of the environment variable leaves enabled."""
    disabled = set(text.upper().replace(",", " ").split())
    if unknown := sorted(disabled - REQUIRES.keys()):
        warnings.warn(
            f"{VARIABLE}={text!r} names {', '.join(unknown)}, which no kernel uses; it can list {', '.join(REQUIRES)}",
            RuntimeWarning,
            stacklevel=2,
        )
    return tuple(name for name in SUPPORTED if disabled.isdisjoint((name, *REQUIRES[name])))


ENABLED = enabled_features(os.environ.get(VARIABLE, ""))
"""The features that the kernels of this process use."""
