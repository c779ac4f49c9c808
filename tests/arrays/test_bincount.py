"""`bincount`, against `numpy.bincount`."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount.kernels import blocks
from tests.arrays.support import INTEGERS, LAYOUTS, Array, assert_same, layouts, measures_memory, outcome
from tests.pairwise import pairwise

pytestmark = pytest.mark.usefixtures("finest_grain")


def keys(draw: st.DrawFn, dtype: str, most: int, size: int) -> Array:
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    made = random.integers(0, min(most, int(np.iinfo(dtype).max)) + 1, size)
    if draw(st.booleans()):  # nine in ten are one key
        made[random.random(size) < 0.9] = most if most <= np.iinfo(dtype).max else 0
    return made.astype(dtype)


@st.composite
def some_keys(draw: st.DrawFn) -> Array:
    dtype = draw(st.sampled_from(INTEGERS))
    made = keys(draw, dtype, draw(st.sampled_from([0, 1, 5, 255, 1000, 1023, 1024, 40_000, 70_000])), draw(sizes))
    return LAYOUTS[draw(layouts)](made)


sizes = st.one_of(st.integers(0, 40), st.integers(200, 6000))
threads = st.integers(1, 4)


@given(some_keys(), st.integers(0, 3000), threads)
def test_equals_numpys(x: Array, minlength: int, threads: int) -> None:
    expected = np.bincount(x.astype(np.int64), minlength=minlength)
    assert_same(pc.bincount(x, minlength=minlength, threads=threads), expected)
    assert_same(pc.bincount(x, minlength=minlength), expected)


@given(some_keys(), st.data(), threads)
def test_weights_equal_numpys_where_sums_are_exact(x: Array, data: st.DataObject, threads: int) -> None:
    dtype = data.draw(st.sampled_from(["int8", "uint16", "int64", "float32", "float64", ">f8", "bool"]))
    weights = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 100, len(x)).astype(dtype)
    expected = np.bincount(x.astype(np.int64), weights)
    assert_same(pc.bincount(x, weights, threads=threads), expected)


@given(some_keys(), threads)
def test_sums_of_floats_differ_by_their_order_only(x: Array, threads: int) -> None:
    weights = np.random.default_rng(1).normal(size=len(x))
    exact = np.bincount(x.astype(np.int64), weights)
    bound = len(x) * np.finfo(float).eps * np.bincount(x.astype(np.int64), np.abs(weights))
    ours = pc.bincount(x, weights, threads=threads)
    assert ours.shape == exact.shape
    assert (np.abs(ours - exact) <= bound).all()
    assert np.array_equal(ours, pc.bincount(x, weights, threads=threads))


@pytest.mark.parametrize("weight", [0.0, -0.0])
def test_a_key_whose_weights_are_zero_still_counts_for_the_length(weight: float) -> None:
    for n in (3, 5000):
        x = np.arange(n) % 7
        assert_same(pc.bincount(x, np.full(n, weight), threads=2), np.bincount(x, np.full(n, weight)))


def test_nan_and_infinity_are_added_like_any_number() -> None:
    x, w = np.arange(4000) % 4, np.ones(4000)
    w[:3] = np.nan, np.inf, -np.inf
    assert_same(pc.bincount(x, w, threads=2), np.bincount(x, w))


ODD = {
    "list": [0, 1, 1],
    "tuple": (3, 1),
    "empty list": [],
    "empty": np.zeros(0, int),
    "bools": np.array([True, False, True]),
    "scalar": 3,
    "0-d": np.array(3),
    "2-d": np.ones((2, 2), int),
    "floats": np.array([1.0]),
    "empty floats": np.zeros(0),
    "strings": ["1"],
    "dates": np.zeros(2, "M8[s]"),
    "objects": np.array([1, 2], object),
    "complex": [1j],
    "none": None,
    "negative": [0, -1],
    "negative bytes": np.array([-1] * 300, np.int8),
    "too large for memory": [1 << 40],
    "ragged": [[1], [1, 2]],
}


@pytest.mark.parametrize(
    ("name", "weights", "minlength"),
    pairwise(list(ODD), [None, [1.0], [0.5, 1, 2], [1j, 2, 3], ["a"] * 3], [0, 7, -1, None, 1.5]),
    ids=str,
)
def test_whatever_numpy_says_of_odd_input(name: str, weights: Any, minlength: Any) -> None:
    expected = outcome(np.bincount, ODD[name], weights, minlength)
    assert_same(outcome(pc.bincount, ODD[name], weights, minlength), expected)
    assert_same(outcome(pc.bincount, ODD[name], weights, minlength, threads=2), expected)


@pytest.mark.parametrize("position", [0, 4999, 9999])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_negative_key_anywhere_is_refused(position: int, threads: int) -> None:
    for dtype in INTEGERS[:4]:
        x = np.full(10_000, 9, dtype)
        x[position] = -1
        with pytest.raises(ValueError, match="negative"):
            pc.bincount(x, threads=threads)
        with pytest.raises(ValueError, match="negative"):
            pc.bincount(x, np.ones(10_000), threads=threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_table_grows_to_keys_that_a_glance_has_missed(threads: int) -> None:
    x = np.zeros(100_000, int)
    x[[777, 60_001, 99_998]] = 3_000, 70_000, 200_003
    assert_same(pc.bincount(x, threads=threads), np.bincount(x))
    w = np.ones(100_000)
    assert_same(pc.bincount(x, w, threads=threads), np.bincount(x, w))


def test_keys_of_64_bits_beyond_numpys() -> None:
    assert pc.bincount(np.array([3, 1, 3], np.uint64), threads=1).tolist() == [0, 1, 0, 2]
    with pytest.raises((MemoryError, ValueError)):
        pc.bincount(np.array([3, (1 << 64) - 1], np.uint64), threads=1)


@pytest.mark.parametrize("on", [pc.Serial(), pc.Threads(3), pc.Processes(2)], ids=lambda on: on.name)
def test_executions_do_not_show(on: pc.Execution) -> None:
    x = np.random.default_rng(2).integers(0, 5000, 100_000)
    w = np.arange(100_000.0)
    assert_same(pc.bincount(x, on=on), np.bincount(x))
    assert_same(pc.bincount(x, w, on=on), np.bincount(x, w))


class TestOut:
    @given(some_keys(), st.sampled_from([*INTEGERS[2:4], *INTEGERS[6:]]), st.booleans(), threads)
    def test_adds_to_what_there_is(self, x: Array, dtype: str, apart: bool, threads: int) -> None:
        expected = np.bincount(x.astype(np.int64), minlength=70_001)
        out = np.ones(2 * 70_001, dtype)[:: 2 if apart else 1][:70_001]
        assert pc.bincount(x, out=out, threads=threads) is out
        assert np.array_equal(out, expected + 1)

    def test_weights_want_floats(self) -> None:
        out = np.ones(3, np.float32)
        assert pc.bincount([0, 2], [0.5, 2], out=out).tolist() == [1.5, 1, 3]
        with pytest.raises(TypeError, match="dtype int64"):
            pc.bincount([0], [1.5], out=np.zeros(3, int))
        with pytest.raises(TypeError, match="dtype float64"):
            pc.bincount([0], out=np.zeros(3))

    @pytest.mark.parametrize("dtype", INTEGERS)
    def test_a_cell_past_its_limit_leaves_all_as_they_were(self, dtype: str) -> None:
        limit = int(np.iinfo(dtype).max)
        out = np.array([limit - 2, limit - 3], dtype)
        with pytest.raises(OverflowError, match="nothing was added"):
            pc.bincount([1, 0, 0, 0], out=out)
        assert out.tolist() == [limit - 2, limit - 3]
        pc.bincount([1, 0, 0, 1, 1], out=out)
        assert out.tolist() == [limit, limit]

    def test_a_negative_cell_has_more_room(self) -> None:
        out = np.full(1, -128, np.int8)
        pc.bincount(np.zeros(255, int), out=out)
        assert out.tolist() == [127]

    @pytest.mark.parametrize("key", [-1, 3, 1 << 40])
    def test_a_key_outside_adds_nothing(self, key: int) -> None:
        out = np.zeros(3, int)
        x = np.ones(5000, int)
        x[4000] = key
        with pytest.raises(ValueError, match=r"outside|negative"):
            pc.bincount(x, out=out, threads=2)
        assert not out.any()

    @pytest.mark.parametrize(
        ("out", "error"),
        [([0], TypeError), (np.zeros((2, 2), int), ValueError), (np.zeros(2), TypeError), (np.array(3), ValueError)],
        ids=["list", "2-d", "floats", "0-d"],
    )
    def test_no_array_to_add_to(self, out: Any, error: type[Exception]) -> None:
        with pytest.raises(error):
            pc.bincount([0], out=out)

    def test_read_only_or_too_short(self) -> None:
        out = np.zeros(2, int)
        with pytest.raises(ValueError, match="2 cells, fewer than minlength 3"):
            pc.bincount([0], minlength=3, out=out)
        out.flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            pc.bincount([0], out=out)

    def test_out_may_be_the_keys(self) -> None:
        x = np.array([0, 1, 1, 3])
        pc.bincount(x, out=x)
        assert x.tolist() == [1, 3, 1, 4]


def test_it_looks_like_a_function() -> None:
    import inspect
    import pickle
    import pydoc

    parameters = "x weights minlength axis maxlength out threads on"
    assert " ".join(inspect.signature(pc.bincount).parameters) == parameters
    assert pc.bincount.__name__ == "bincount"
    text = "".join(pydoc.plain(pydoc.render_doc(pc.bincount)).split())  # 3.13 puts each argument on a line
    assert "bincount(x:ArrayLike,/,weights:" in text.replace("'", "")  # as it is quoted up to 3.13
    assert "numpy.bincount" in (pc.bincount.__doc__ or "")
    assert pickle.loads(pickle.dumps(pc.bincount)) is pc.bincount


@pytest.mark.thread_unsafe(reason="changes the grain and a function of all threads")
def test_small_arrays_start_no_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    pc.set_grain(None)
    monkeypatch.setitem(pc.bincount.__wrapped__.__globals__, "choose_execution", None)  # type: ignore[attr-defined]
    assert pc.bincount(np.arange(100)).sum() == 100
    with pytest.raises(TypeError, match="not callable"):
        pc.bincount(np.zeros(200_000, int), np.ones(200_000))


def test_the_grain_may_change_while_others_count() -> None:
    for grain in range(1, 2000):
        pc.set_grain(grain)
        assert pc.bincount(np.arange(100)).sum() == 100


@measures_memory
class TestMemory:
    def most(self, x: Array, **keywords: Any) -> int:
        tracemalloc.start()
        try:
            pc.bincount(x, **keywords)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    SLACK = 100_000
    """What Python itself takes."""

    @pytest.mark.parametrize("bins", [256, 1024, 32_768, 65_536, 1 << 21])
    @pytest.mark.parametrize("workers", [1, 3])
    def test_tables_and_nothing_else(self, bins: int, workers: int) -> None:
        x = np.random.default_rng(0).integers(0, bins, 1 << 20)
        x[0] = bins - 1
        pc.bincount(x, threads=workers)  # so that the threads are there
        assert self.most(x, threads=workers) <= 8 * bins + workers * (8 * bins + max(16_384, bins)) + self.SLACK

    def test_of_a_file_no_copy(self, tmp_path: Path) -> None:
        keys = np.random.default_rng(0).integers(0, 256, 1 << 23).astype(np.uint16)
        keys.tofile(tmp_path / "keys")
        mapped = np.memmap(tmp_path / "keys", np.uint16, "r")
        assert np.array_equal(pc.bincount(mapped, threads=2), np.bincount(keys))
        assert self.most(mapped, threads=2) < 200_000

    def test_what_must_be_converted_is_so_in_blocks(self) -> None:
        x = np.zeros(1 << 22, ">i8")
        assert self.most(x, threads=1) <= 2 * 8 * blocks.BLOCK + self.SLACK


def test_any_byte_but_zero_is_true() -> None:
    keys = np.tile(np.array([0, 1, 2, 255], np.uint8), 1 << 13).view(np.bool_)
    assert pc.bincount(keys).tolist() == np.bincount(keys).tolist() == [1 << 13, 3 << 13]
    assert pc.bincount(keys, keys).tolist() == np.bincount(keys, keys).tolist()
    assert pc.bincount(keys, out=np.zeros(2, np.int64)).tolist() == [1 << 13, 3 << 13]
    values, counts = pc.unique_counts(keys)
    assert values.tolist() == [False, True]
    assert counts.tolist() == [1 << 13, 3 << 13]
