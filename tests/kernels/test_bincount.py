"""The workload `bincount`, against `numpy.bincount`."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import parcount as pc
from parcount._native import bincount as native
from parcount.kernels import WORKLOADS
from parcount.kernels.bincount import bincount_job, estimate_bins, trimmed
from parcount.kernels.registry import Bincount
from tests.conftest import INSTALLED
from tests.kernels.support import Guarded, counted, kernel

DTYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
COMPILED_WHEN_CALLED = ["int8", "int64", "uint64"]
"""The dtypes for which Numba's variants are tested: they take a second to compile for each."""
OF_EACH_VARIANT = [
    (variant, dtype)
    for variant in INSTALLED
    for dtype in (COMPILED_WHEN_CALLED if variant.startswith("numba") else DTYPES)
]

Loop = Callable[..., int]


@dataclass
class Keys:
    """Keys that fit into a number of bins, and, in Hypothesis' reports, how they were made."""

    dtype: str
    bins: int
    size: int
    seed: int
    shape: str

    @property
    def array(self) -> NDArray[np.integer]:
        random = np.random.default_rng(self.seed)
        most = min(self.bins - 1, int(np.iinfo(self.dtype).max))
        keys = random.integers(0, most + 1, self.size)
        if self.shape == "constant":
            keys[:] = random.integers(0, most + 1)
        elif self.shape == "hot":  # nine in ten are one key
            keys[random.random(self.size) < 0.9] = most
        return keys.astype(self.dtype)


def keys(dtype: str) -> st.SearchStrategy[Keys]:
    return st.builds(
        Keys,
        st.just(dtype),
        bins=st.integers(1, 5000),
        size=st.integers(0, 5000),
        seed=st.integers(0, 1 << 32),
        shape=st.sampled_from(["uniform", "constant", "hot"]),
    )


few = settings(max_examples=settings().max_examples * 2 // 5)  # of each of eight dtypes


class TestEveryDtype:
    @few
    @pytest.mark.parametrize(("variant", "dtype"), OF_EACH_VARIANT)
    @given(st.data(), st.integers(1, 5))
    def test_any_split_is_exact(self, variant: str, dtype: str, data: st.DataObject, parts: int) -> None:
        made = data.draw(keys(dtype))
        job = bincount_job(made.array, minlength=made.bins)
        counts = counted(kernel("bincount", variant), job, parts)
        assert np.array_equal(counts, np.bincount(made.array.astype(np.int64), minlength=job.bins))
        assert counts.dtype == np.int64

    @few
    @pytest.mark.parametrize("dtype", DTYPES)
    @given(st.data())
    def test_numpys_count_is_the_exact_one(self, dtype: str, data: st.DataObject) -> None:
        made = data.draw(keys(dtype))
        job = bincount_job(made.array, minlength=made.bins)
        assert np.array_equal(job.exact(), np.bincount(made.array.astype(np.int64), minlength=job.bins))

    @pytest.mark.parametrize(("variant", "dtype"), OF_EACH_VARIANT)
    def test_keys_outside_are_refused_and_count_nowhere(self, variant: str, dtype: str) -> None:
        limits = np.iinfo(dtype)
        bins = 100
        keys = {-1, -bins, int(limits.min), bins, bins + 1, int(limits.max), (1 << 63) - 1, 1 << 63, (1 << 64) - 100}
        outside = sorted(key for key in keys if limits.min <= key <= limits.max and not 0 <= key < bins)
        for key, position in product(outside, [0, 500, 999]):
            values = np.full(1000, bins - 1, dtype)
            values[position] = key
            guarded = Guarded(bins)
            with pytest.raises(ValueError, match="a key lies outside 0 … 99"):
                kernel("bincount", variant)(guarded.table, values)
            assert guarded.intact()
            assert not guarded.table[:-1].any()


@pytest.mark.parametrize("method", native.METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
class TestEveryMethod:
    @few
    @given(st.data())
    def test_is_exact(self, method: str, dtype: str, data: st.DataObject) -> None:
        made = data.draw(keys(dtype))
        guarded = Guarded(made.bins)
        assert native.fill(guarded.table, made.array, method) == made.size
        assert np.array_equal(guarded.table, np.bincount(made.array.astype(np.int64), minlength=made.bins))
        assert guarded.intact()

    def test_stops_at_the_first_key_outside(self, method: str, dtype: str) -> None:
        keys = {100, int(np.iinfo(dtype).max), int(np.iinfo(dtype).min)} - {0}
        for outside, position in product(keys, [0, 1, 2, 3, 500, 997, 998, 999]):
            values = np.full(1000, 99, dtype)
            values[position:] = outside
            guarded = Guarded(100)
            assert native.fill(guarded.table, values, method) == position
            assert guarded.table.tolist() == [0] * 99 + [position]
            assert guarded.intact()


@pytest.mark.parametrize("method", native.METHODS)
@pytest.mark.parametrize("dtype", ["int8", "int64"])
def test_no_cell_comes_round(method: str, dtype: str) -> None:
    # More than a cell of 16 bits holds, first as a run of equal keys, then with another key in each step of a run.
    keys = np.ones(1_200_000, dtype)
    keys[100_000::32] = 0
    counts = np.zeros(2, np.int64)
    assert native.fill(counts, keys, method) == keys.size
    assert counts.tolist() == np.bincount(keys).tolist()
    assert pc.bincount(keys, threads=2).tolist() == counts.tolist()  # parts of more keys


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64"])
@pytest.mark.parametrize("equal", [1, 63, 64, 65, 1000, 65_535, 65_536, 65_537])
def test_a_run_ends_at_the_first_other_key(dtype: str, equal: int) -> None:
    for other, inside in [(5, equal + 300), (100, equal)]:
        keys = np.append(np.full(equal, 7, dtype), np.full(300, other, dtype))
        guarded = Guarded(100)
        done = native.fill(guarded.table, keys)
        assert done == inside or (dtype == "int8" and done <= equal)  # bytes of a block count all or none
        assert guarded.table.sum() == guarded.table[[5, 7]].sum() == done
        assert guarded.intact()


@pytest.mark.parametrize("dtype", ["int64", "float64"])
@pytest.mark.parametrize("bins", [3, 256, 257, 512, 513, 1024, 1025])  # four, two and one sum a bin; two for hot keys
@pytest.mark.parametrize("hot", [False, True])
def test_weights_are_added_until_a_key_lies_outside(dtype: str, bins: int, hot: bool) -> None:
    random = np.random.default_rng(bins)
    keys, weights = random.integers(0, bins, 6000), random.integers(-9, 10, 6000).astype(dtype)
    if hot:
        keys[random.random(6000) < 0.9] = bins - 1
    for outside in (6000, 5999, 5998, 301, 1, 0):
        keys[outside:] = -1
        sums = np.ones(bins + 2, dtype)
        done, needed = native.fill_weighted(sums[1:-1], keys, weights)
        assert (done, needed) == (outside, keys.max(initial=-1, where=keys >= 0) + 1)
        exact = np.bincount(keys[:outside], weights[:outside], bins) + 1
        assert sums.tolist() == [1, *exact.tolist(), 1]


@pytest.mark.parametrize("method", native.BYTE_METHODS)
class TestEveryMethodOfBytes:
    # A heap's cells come round after 31 vectors of 64 bytes, and 8192 bytes are dealt out at a time.
    SIZES = (1, 63, 64, 65, 1984, 1985, 3968, 8191, 8192, 8193, 100_000)

    @given(st.sampled_from(SIZES), st.integers(0, 8), st.integers(0, 70), st.integers(0, 99))
    def test_is_exact(self, method: str, size: int, bits: int, start: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        values = (random.integers(0, 1 << bits, start + size) * int(random.integers(1, 256))).astype(np.uint8)[start:]
        guarded = Guarded(256)
        assert native.fill(guarded.table, values, method) == size
        assert np.array_equal(guarded.table, np.bincount(values, minlength=256))
        assert guarded.intact()

    @pytest.mark.parametrize("value", [0, 63, 64, 127, 128, 255])
    def test_one_value_many_times(self, method: str, value: int) -> None:
        counts = np.zeros(256, np.int64)
        assert native.fill(counts, np.full(1_000_003, value, np.uint8), method) == 1_000_003
        assert counts.tolist() == [0] * value + [1_000_003] + [0] * (255 - value)

    @pytest.mark.parametrize("dtype", ["int8", "uint8"])
    def test_keys_outside_are_not_counted(self, method: str, dtype: str) -> None:
        values = np.arange(20_000).astype(dtype)
        guarded = Guarded(100)
        assert native.fill(guarded.table, values, method) < 20_000
        assert guarded.intact()
        guarded = Guarded(100)
        assert native.fill(guarded.table, values % 100, method) == 20_000
        assert np.array_equal(guarded.table, np.bincount(values % 100, minlength=100))

    def test_wider_keys_are_not_for_it(self, method: str) -> None:
        with pytest.raises(KeyError):
            native.fill(np.zeros(256, np.int64), np.zeros(3, np.int64), method)


def test_all_keys_inside_leave_the_cells_beside_the_table_alone(variant: str) -> None:
    guarded = Guarded(100)
    kernel("bincount", variant)(guarded.table, np.arange(1000) % 100)
    assert guarded.intact()
    assert (guarded.table == 10).all()


def test_the_table_is_added_to(variant: str) -> None:
    counts = np.arange(4)
    kernel("bincount", variant)(counts, np.array([0, 3, 3]))
    assert counts.tolist() == [1, 1, 2, 5]


def test_bytes_that_cannot_be_written_can_be_counted(variant: str) -> None:
    # What `Bincount.over` is for: a mapped file.
    text = np.frombuffer(b"many bytes, counted" * 50, np.uint8)
    assert not text.flags.writeable
    counts = counted(kernel("bincount", variant), Bincount().over(text), 3)
    assert np.array_equal(counts, np.bincount(text, minlength=256))


@pytest.mark.parametrize("position", [0, 1, 700, 999])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_table_grows_for_a_key_that_the_estimate_missed(variant: str, position: int, parts: int) -> None:
    values = np.arange(1000) % 5
    values[position] = 70_000
    job = Bincount().over(values)
    counts = counted(kernel("bincount", variant), job, parts)
    assert np.array_equal(trimmed(counts, 0), np.bincount(values))
    values[position] = -1
    with pytest.raises(ValueError, match="must have no negative elements"):
        counted(kernel("bincount", variant), job, parts)


def test_a_table_without_numpy_grows_too() -> None:
    counts = kernel("bincount", "python")(array("q", [0, 0]), np.array([1, 4, 1]).data, True)
    assert counts.tolist() == [0, 2, 0, 0, 1]


def test_the_largest_key_is_estimated_once_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def spying(keys: NDArray[np.integer]) -> int:
        calls.append(len(keys))
        return estimate_bins(keys)

    monkeypatch.setattr("parcount.kernels.bincount.estimate_bins", spying)
    pc.bincount(np.arange(100_000) % 7, on=pc.Threads(3))
    assert calls == [100_000]


def test_make_draws_by_seed() -> None:
    make = WORKLOADS["bincount"].make
    assert np.array_equal(make(1000, 3).arrays[0], make(1000, 3).arrays[0])
    assert not np.array_equal(make(1000, 3).arrays[0], make(1000, 4).arrays[0])


@pytest.mark.parametrize("loop", [native.fill, partial(native.fill, release=False)], ids=["released", "held"])
class TestWrongArguments:
    @pytest.mark.parametrize("counts", [np.zeros(4, np.int32), np.zeros(4), np.zeros((2, 2), np.int64)])
    def test_a_table_of_another_kind(self, loop: Loop, counts: NDArray[np.generic]) -> None:
        with pytest.raises(ValueError, match="Buffer"):
            loop(counts, np.zeros(3, np.int64))

    def test_a_table_that_cannot_be_written(self, loop: Loop) -> None:
        counts = np.zeros(4, np.int64)
        counts.flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            loop(counts, np.zeros(3, np.int64))

    @pytest.mark.parametrize(
        "values",
        [
            np.zeros(3),
            np.zeros(3, "M8[s]"),
            np.zeros((3, 1), np.int64),
            np.zeros(6, np.int64)[::2],
            np.zeros(3, np.dtype(np.int64).newbyteorder()),
            [0, 1],
        ],
        ids=["float", "dates", "2-d", "strided", "byte-swapped", "list"],
    )
    def test_keys_of_another_kind(self, loop: Loop, values: object) -> None:
        with pytest.raises((TypeError, ValueError)):
            loop(np.zeros(4, np.int64), values)

    def test_none(self, loop: Loop) -> None:
        with pytest.raises(TypeError):
            loop(None, np.zeros(3, np.int64))
        with pytest.raises(TypeError):
            loop(np.zeros(4, np.int64), None)

    def test_no_bins(self, loop: Loop) -> None:
        assert loop(np.zeros(0, np.int64), np.zeros(3, np.int64)) == 0
