"""The checksum, against published values and a bit-by-bit model."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parcount._native.cpu_features import SUPPORTED, VARIABLE
from parcount._native.journal_blocks import crc32c
from tests.plain import TIME_LIMIT

READ_PDU = bytes.fromhex(
    "01c00000000000000000000000000000140000000000040000000014000000182800000000000000020000000000000000"
)[:48]

PUBLISHED = {  # RFC 3720, appendix B.4; the check value of the catalogue of CRC algorithms
    bytes(32): 0x8A9136AA,
    b"\xff" * 32: 0x62A8AB43,
    bytes(range(32)): 0x46DD794E,
    bytes(range(31, -1, -1)): 0x113FDB5C,
    READ_PDU: 0xD9963A56,
    b"123456789": 0xE3069283,
    b"": 0,
}


def model(data: bytes) -> int:
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


@pytest.mark.parametrize("baseline", [False, True])
@pytest.mark.parametrize("data", PUBLISHED, ids=len)
def test_published_values(data: bytes, baseline: bool) -> None:
    assert crc32c(data, baseline=baseline) == PUBLISHED[data] == model(data)


@given(st.binary(max_size=100), st.integers(0, 9), st.binary(min_size=1, max_size=20), st.integers(0, 400))
def test_every_implementation_returns_what_the_model_does(
    head: bytes, start: int, piece: bytes, repetitions: int
) -> None:
    data = memoryview(head + piece * repetitions)[start:]
    expected = model(bytes(data))
    assert crc32c(data) == crc32c(data, baseline=True) == expected
    middle = len(data) // 3
    for baseline in (False, True):
        assert crc32c(data[middle:], crc32c(data[:middle], baseline=baseline), baseline=baseline) == expected


@pytest.mark.thread_unsafe(reason="starts a process")
def test_the_instruction_can_be_disabled() -> None:
    code = f"from parcount._native.journal_blocks import crc32c; print(crc32c({bytes(2000)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, VARIABLE: " ".join(SUPPORTED)},
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=True,
    )
    assert int(done.stdout) == model(bytes(2000))
