"""Which implementation of each compiled kernel runs in this process."""

from __future__ import annotations

from typing import NamedTuple

from parcount._native.cpu_features import ENABLED, SUPPORTED

_FEATURES = {
    "AVX512_ICL": "AVX-512",
    "AVX512": "AVX-512",
    "AVX2": "AVX2",
    "NEON": "NEON",
    "SSE42": "SSE4.2",
    "ARM_CRC32": "ARMv8 CRC",
}
"""The features that a kernel is compiled for, the best first, and the names of the implementations."""

_KERNELS: dict[str, tuple[str, ...]] = {
    "bincount": (),
    "bincount along an axis": (),
    "bincount of 8-bit keys": ("AVX512_ICL",),
    "bincount with weights": (),
    "columns of separated values": ("AVX512", "AVX2", "NEON"),
    "histogram": ("AVX512", "AVX2"),
    "increment": (),
    "journal checksum": ("SSE42", "ARM_CRC32"),
    "lines and words": ("AVX512", "AVX2", "NEON"),
    "tally": (),
    "unique_counts": (),
}

BASELINE = "baseline"
"""The implementation that every CPU of the architecture runs."""


class KernelInfo(NamedTuple):
    """The implementations of one kernel.

    Attributes
    ----------
    implementation : str
        The one that runs: ``"AVX-512"``, ``"AVX2"``, ``"SSE4.2"``, ``"NEON"``, ``"ARMv8 CRC"`` or ``"baseline"``.
    available : tuple of str
        Those that this build and this CPU have, the fastest first.
    """

    implementation: str
    available: tuple[str, ...]


def kernel_info() -> dict[str, KernelInfo]:
    """Which implementation of each compiled kernel runs in this process.

    The CPU is asked once per process, when the first kernel is imported. The environment variable
    ``PARCOUNT_DISABLE_CPU_FEATURES`` disables features that a kernel would use: ``AVX2``, ``AVX512``, ``AVX512_ICL``,
    ``NEON``, ``SSE42`` or ``ARM_CRC32``, separated by spaces or commas. A feature that needs a disabled one is disabled
    too. An unknown name is a RuntimeWarning.

    Returns
    -------
    dict of str to KernelInfo
        By kernel. Builds by compilers other than GCC and Clang have the baseline only.

    Examples
    --------
    >>> import parcount as pc
    >>> pc.kernel_info()["tally"]
    KernelInfo(implementation='baseline', available=('baseline',))
    """
    return {
        kernel: KernelInfo(_implementations(features, ENABLED)[0], _implementations(features, SUPPORTED))
        for kernel, features in _KERNELS.items()
    }


def _implementations(features: tuple[str, ...], usable: tuple[str, ...]) -> tuple[str, ...]:
    return (*(_FEATURES[feature] for feature in features if feature in usable), BASELINE)
