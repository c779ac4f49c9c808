"""`unique_counts`, against `numpy.unique_counts`."""

import tracemalloc
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount.kernels import unique_counts
from tests.arrays.support import INTEGERS, LAYOUTS, Array, assert_same, layouts, measures_memory, outcome
from tests.pairwise import pairwise

pytestmark = pytest.mark.usefixtures("finest_grain")

SCATTER = np.uint64(0xD1342543DE82EF95)
NO_KEY = 0x6AD1B3C9570E2F84  # what free slots of the hash table hold

threads = st.integers(1, 4)


def scattered(size: int, different: int, seed: int = 0) -> Array:
    """Keys of a kind that leave no table over their range."""
    return (np.random.default_rng(seed).integers(0, different, size).astype(np.uint64) * SCATTER).view(np.int64)


@st.composite
def some_keys(draw: st.DrawFn) -> Array:
    dtype = draw(st.sampled_from([*INTEGERS, "bool"]))
    size = draw(st.one_of(st.integers(1, 40), st.integers(200, 6000)))
    made = scattered(size, draw(st.sampled_from([1, 2, 100, 10_000])), draw(st.integers(0, 99)))
    made >>= draw(st.sampled_from([0, 1, 30, 50, 60]))
    made += draw(st.sampled_from([0, 1, -5, np.iinfo(np.int64).max, np.iinfo(np.int64).min]))
    if draw(st.booleans()):
        made[:: draw(st.integers(1, 50))] = NO_KEY
    return LAYOUTS[draw(layouts)](made.astype(dtype))


@given(some_keys(), threads, st.booleans())
def test_equals_numpys(x: Array, threads: int, ordered: bool) -> None:
    expected = np.unique_counts(x)
    assert_same(pc.unique_counts(x, threads=threads), expected)
    assert_same(pc.unique_counts(x), expected)
    values, counts = pc.unique_counts(x, sorted=ordered, threads=threads)
    order = slice(None) if ordered else np.argsort(values)
    assert_same((values[order], counts[order]), tuple(expected))


FLOATS = st.sampled_from(["f2", "f4", "f8", ">f2", ">f8", "M8[s]", ">m8[ns]"])


@st.composite
def some_values(draw: st.DrawFn) -> Array:
    dtype = np.dtype(draw(FLOATS))
    bits = np.dtype(f"i{dtype.itemsize}").newbyteorder(dtype.byteorder)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    size = draw(st.one_of(st.integers(1, 40), st.integers(200, 6000)))
    made = rng.integers(np.iinfo(bits).min, np.iinfo(bits).max, size, endpoint=True, dtype=bits.newbyteorder("="))
    made >>= draw(st.sampled_from([0, 0, 1, 8]))
    if dtype.kind == "f":  # NaN of several bits, zeros and infinities of both signs
        odd = np.array([np.nan, -np.nan, 0.0, -0.0, np.inf, -np.inf, 1.5], dtype.newbyteorder("=")).view(made.dtype)
        odd[0] += 1
    else:
        odd = np.array([np.iinfo(bits).min, 0, -1])
    some = draw(st.sampled_from([1, 2, 50]))
    made[::some] = rng.choice(odd[: draw(st.integers(1, len(odd)))], len(made[::some]))
    return made.astype(bits).view(dtype)


@given(some_values(), threads)
def test_floats_and_dates_equal_numpys(x: Array, threads: int) -> None:
    expected = np.unique_counts(x)
    assert_same(pc.unique_counts(x, threads=threads), expected)
    assert_same(pc.unique_counts(x[::2], sorted=False, threads=threads), np.unique_counts(x[::2]))


def test_zeros_of_both_signs_and_nans_are_not_lost() -> None:
    values, counts = pc.unique_counts(np.array([-0.0, 1, 0.0, np.nan, -0.0, np.nan]), threads=1)
    assert values.tolist()[:2] == [0.0, 1.0]
    assert np.isnan(values[2:]).all()
    assert not np.signbit(values[0])
    assert counts.tolist() == [3, 1, 1, 1]
    assert np.signbit(pc.unique_counts(np.array([-0.0]), threads=1).values).all()


STRINGS = st.sampled_from(["S1", "S2", "S3", "S8", "S10", "S16", "S70", "U1", ">U1", "U2", "U3", ">U6"])


@st.composite
def some_strings(draw: st.DrawFn) -> Array:
    dtype = np.dtype(draw(STRINGS))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    characters = np.array([0, 1, ord("a"), 255] if dtype.kind == "S" else [0, 0x100, 0x1F600, ord("a")])
    length = dtype.itemsize // (1 if dtype.kind == "S" else 4)
    code = np.dtype("u1" if dtype.kind == "S" else "u4").newbyteorder(dtype.byteorder)
    pool = rng.choice(characters, (draw(st.sampled_from([1, 20, 3000])), length)).astype(code).view(dtype).ravel()
    return LAYOUTS[draw(layouts)](rng.choice(pool, draw(st.sampled_from([1, 30, 5000]))).astype(dtype))


@given(some_strings(), threads, st.booleans())
def test_strings_equal_numpys(x: Array, threads: int, ordered: bool) -> None:
    expected = np.unique_counts(x)
    values, counts = pc.unique_counts(x, sorted=ordered, threads=threads)
    order = slice(None) if ordered else np.argsort(values)
    assert_same((values[order], counts[order]), tuple(expected))


@st.composite
def some_rows(draw: st.DrawFn) -> tuple[Array, int]:
    dtype = np.dtype(
        draw(st.sampled_from([*INTEGERS, "bool", ">i8", "f2", ">f4", "f8", "M8[s]", ">m8[D]", "S3", ">U2"]))
    )
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=2)))
    axis = draw(st.integers(-len(shape) - 1, len(shape)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    pool = rng.integers(0, 256, (draw(st.sampled_from([1, 3, 300])), *shape, dtype.itemsize), np.uint8)
    if dtype.kind in "US" or draw(st.booleans()):
        pool = rng.integers(0, 3, pool.shape[:-1]).astype(dtype)  # no NaN, and equal first elements
    elif dtype.kind == "b":
        pool = pool[..., 0] > 99
    else:
        pool = pool.view(dtype)[..., 0]
    if dtype.kind == "f" and draw(st.booleans()):
        pool = np.where(np.isnan(pool), 1, -pool).astype(dtype)  # zeros may be negative
    x = rng.choice(pool, draw(st.sampled_from([1, 40, 700])))
    return np.moveaxis(draw(st.sampled_from([x, x[::2], np.asfortranarray(x)])), 0, axis), axis


@given(some_rows(), threads)
def test_slices_along_an_axis_equal_numpys(made: tuple[Array, int], threads: int) -> None:
    x, axis = made
    values, counts = np.unique(x, axis=axis, return_counts=True, equal_nan=False)
    assert_same(tuple(pc.unique_counts(x, axis=axis, threads=threads)), (values, counts))
    found = pc.unique_counts(x, axis=axis, sorted=False)
    assert sorted(found.counts) == sorted(counts)
    order = np.lexsort([np.arange(len(counts)), -counts])
    assert_same(tuple(pc.value_counts(x, axis=axis)), (np.take(values, order, axis), counts[order]))


@pytest.mark.parametrize("axis", [0, -1, 1, 5, "x"])
@pytest.mark.parametrize(
    "x",
    [
        [3, 1, 3],
        5,
        np.empty((0, 3)),
        np.empty((3, 0), int),
        np.array([[1j, 1], [1j, 1]]),
        np.array([[np.nan, 1], [np.nan, 1], [0.0, 1], [-0.0, 1]]),
        np.array([["NaT", 1], ["NaT", 1]], "m8[s]"),
        np.array([["", ""]], "S0"),
        np.array([[{}, {}]]),
        np.ma.array([[1, 2], [1, 2]], mask=[[0, 1], [0, 1]]),
    ],
    ids=repr,
)
def test_whatever_numpy_says_of_an_axis(x: Any, axis: Any) -> None:
    expected = outcome(lambda: tuple(np.unique(x, axis=axis, return_counts=True, equal_nan=False)))
    assert_same(outcome(lambda: tuple(pc.unique_counts(x, axis=axis))), expected)


def test_a_string_type_of_variable_width() -> None:
    x = np.array(["b", "a", "b" * 99], np.dtypes.StringDType())
    assert_same(tuple(pc.unique_counts(x, threads=2)), tuple(np.unique_counts(x)))


@given(some_keys(), threads)
def test_values_in_the_order_of_their_counts(x: Array, threads: int) -> None:
    values, counts = np.unique_counts(x)
    order = np.lexsort([np.arange(len(values)), -counts])
    assert_same(tuple(pc.value_counts(x, threads=threads)), (values[order], counts[order]))
    assert_same(tuple(pc.value_counts(x, sort=False)), (values, counts))


SPREADS = {
    "all different": lambda n: np.arange(n, dtype=np.uint64) * SCATTER,
    "different after a while": lambda n: np.concatenate([scattered(n, 9), scattered(n, 1 << 60)]),
    "one key, and some others": lambda n: np.where(np.arange(n) % 3, 7, scattered(n, 1 << 60)),
    "two heaps far apart": lambda n: scattered(n, 1 << 60) % (1 << 40) + (np.arange(n) % 2 << 62),
    "a few far off": lambda n: np.concatenate([scattered(n, 1 << 60) >> 20, [np.iinfo(np.int64).max, -1 << 63]]),
    "powers": lambda n: (1.0001 ** np.linspace(0, 430_000, n)).astype(np.int64),
    "the free slots' own": lambda n: np.concatenate([np.full(n, NO_KEY), scattered(n, 1 << 60), np.full(n, NO_KEY)]),
}


@pytest.mark.parametrize(
    ("spread", "dtype"),
    pairwise(list(SPREADS), ["int32", "int64", "uint32", "uint64"]),
)
def test_more_different_keys_than_the_hash_table_takes(spread: str, dtype: str) -> None:
    x = SPREADS[spread](400_000).astype(dtype)
    expected = np.unique_counts(x)
    for threads in (1, 2):
        assert_same(pc.unique_counts(x, threads=threads), expected)


def test_most_keys_different_are_sought_by_range_and_others_part_by_part() -> None:
    for x, kind in [
        (scattered(400_000, 1 << 60), unique_counts.DistinctByRange),
        (scattered(400_000, 9), unique_counts.Distinct),
        (np.arange(400_000) % 9, unique_counts.Distinct),
        (np.arange(400_000), unique_counts.DistinctByRange),
    ]:
        job, _ = unique_counts.distinct_job(x, True, 2)
        assert type(job) is kind
    job, _ = unique_counts.distinct_job(np.arange(400_000), True, 1)
    assert type(job) is unique_counts.Distinct


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_by_sorting(layout: str) -> None:
    x = LAYOUTS[layout](scattered(600_000, 1 << 60))
    assert_same(pc.unique_counts(x, threads=2), np.unique_counts(x))


def test_a_count_of_whole_rounds_of_a_narrow_cell() -> None:
    x = np.repeat([3, -4, 9], [256, 255, 512 * 1024])
    assert_same(pc.unique_counts(x, threads=1), np.unique_counts(x))


def test_shapes() -> None:
    x = scattered(24_000, 100).reshape(20, 30, 40)
    for view in (x, x.T, x[::2, ::-1], x[..., 0], x.transpose(1, 0, 2)):
        assert_same(pc.unique_counts(view, threads=2), np.unique_counts(view))


ODD: dict[str, Any] = {
    "list": [3, 1, 3],
    "nested list": [[3, 1], [3, 4]],
    "number": 5,
    "0-d": np.array(5),
    "empty": [],
    "no integers": np.empty(0, np.int32),
    "floats": [2.5, np.nan, 2.5, np.nan, -0.0, 0.0],
    "complex": [1j, 1j],
    "strings": ["b", "a", "b"],
    "times": np.array(["2020-01-01", "NaT", "NaT"], "M8[D]"),
    "record array": np.rec.array([1, 2, 2]),
    "masked": np.ma.array([1, 2, 2], mask=[0, 1, 0]),
    "large": [2**70, 1],
    "None": None,
    "ragged": [[1], [1, 2]],
    "records": np.array([(1, 2), (1, 2)], "i4,i4"),
}


@pytest.mark.parametrize("name", ODD)
def test_whatever_numpy_says_of_odd_input(name: str) -> None:
    expected = outcome(np.unique_counts, ODD[name])
    assert_same(outcome(pc.unique_counts, ODD[name]), expected)
    assert_same(outcome(pc.unique_counts, ODD[name], threads=2), expected)


def test_arguments_of_nonsense() -> None:
    with pytest.raises(ValueError, match="give one of the two"):
        pc.unique_counts([1], threads=1, on=pc.Serial())
    with pytest.raises(ValueError, match="at least 1"):
        pc.unique_counts([1], threads=0)


def test_under_processes() -> None:
    for different in (9, 1 << 60):
        x = scattered(50_000, different)
        assert_same(pc.unique_counts(x, on=pc.Processes(2)), np.unique_counts(x))
    rows = np.arange(60_000).reshape(3, -1).T % 7
    expected = np.unique(rows, axis=0, return_counts=True)
    assert_same(tuple(pc.unique_counts(rows, axis=0, on=pc.Processes(2))), expected)
    strings = rows.astype("S9")
    assert_same(pc.unique_counts(strings[::2], on=pc.Processes(2)), np.unique_counts(strings[::2]))


@pytest.mark.thread_unsafe(reason="has another thread already, with which it would only take turns")
@pytest.mark.parametrize("spread", [1, 1 << 20, 1 << 62], ids=["near", "hashed", "sorted"])
def test_keys_that_another_thread_changes(spread: int) -> None:
    n = 700_000
    x = np.arange(n)
    done = Event()

    def change() -> None:
        random = np.random.default_rng(0)
        while not done.is_set():
            x[:] = random.integers(-spread, spread + 1, n)

    changer = Thread(target=change)
    changer.start()
    try:
        for _ in range(20):
            pc.unique_counts(x, threads=2)
    finally:
        done.set()
        changer.join(60)
    assert not changer.is_alive()
    assert_same(pc.unique_counts(x, threads=2), np.unique_counts(x))


@pytest.mark.thread_unsafe(reason="has another thread already, with which it would only take turns")
def test_rows_that_another_thread_changes() -> None:
    x = np.zeros((50_000, 3), np.int32)
    done = Event()

    def change() -> None:
        random = np.random.default_rng(0)
        while not done.is_set():
            x[:] = random.integers(0, 1 << 30, x.shape)

    changer = Thread(target=change)
    changer.start()
    try:
        for _ in range(10):
            counts = pc.unique_counts(x, axis=0, threads=2).counts
            assert counts.sum() == len(x)
    finally:
        done.set()
        changer.join(60)
    assert not changer.is_alive()
    assert_same(tuple(pc.unique_counts(x, axis=0, threads=2)), np.unique(x, axis=0, return_counts=True))


MEGABYTE = 1 << 20


def with_gaps(a: Array) -> Array:
    return np.repeat(a, 2).reshape(-1, 100)[:, ::2]


@measures_memory
@pytest.mark.parametrize("layout", [LAYOUTS["plain"], LAYOUTS["swapped"], with_gaps])  # as it is, converted, collected
def test_memory(layout: Callable[[Array], Array]) -> None:
    n = 6_000_000
    blocks = 8 * MEGABYTE  # what is converted at a time, and the interpreter's own
    near = layout(np.random.default_rng(0).integers(0, 1 << 16, n))
    assert peak(near) <= n + n / 16 + 16 * 2**16 + blocks
    few = layout(scattered(n, 1000))
    assert peak(few) <= 24 * MEGABYTE + 16 * 1000 + blocks
    many = layout(scattered(n, 1 << 62))
    assert peak(many) <= (16 + 32) * n + 8 * n * 1.07 + 2**25 + blocks


@measures_memory
def test_memory_of_rows() -> None:
    rows = scattered(600_000, 100_000).reshape(-1, 2)
    distinct = len(pc.unique_counts(rows, axis=0).counts)
    assert peak(rows, 0) <= distinct * (24 + 2.5 * 16 + 96 + 24 + 4 * 16) + 2**21 + MEGABYTE


def peak(x: Array, axis: int | None = None) -> int:
    tracemalloc.start()
    try:
        pc.unique_counts(x, axis=axis, threads=1)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
