"""`bincount` along an axis and with a maximum length, against `numpy.bincount` of each line."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from tests.arrays.support import INTEGERS, Array, assert_same

pytestmark = pytest.mark.usefixtures("finest_grain")

threads = st.integers(1, 3)
lengths = st.one_of(st.none(), st.sampled_from([0, 1, 5, 60, 3000]))

LAYOUTS: dict[str, Any] = {
    "plain": lambda a: a,
    "transposed": lambda a: a.T.copy().T,
    "every other": lambda a: np.repeat(a, 2, -1)[..., ::2],
    "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
}


@st.composite
def keys_and_axis(draw: st.DrawFn) -> tuple[Array, int]:
    shape = draw(
        st.sampled_from([(1,), (700,), (3, 40), (40, 3), (1, 900), (9, 130), (3, 5, 7), (40, 2, 6), (2, 3, 4, 5)])
    )
    dtype = draw(st.sampled_from(INTEGERS))
    most = min(draw(st.sampled_from([1, 50, 300, 5000])), int(np.iinfo(dtype).max))
    made = np.random.default_rng(draw(st.integers(0, 1 << 32))).integers(0, most, shape).astype(dtype)
    return LAYOUTS[draw(st.sampled_from(list(LAYOUTS)))](made), draw(st.integers(-len(shape), len(shape) - 1))


def numpys(
    keys: Array, axis: int, weights: Array | None = None, minlength: int = 0, maxlength: int | None = None
) -> Any:
    """What `numpy.apply_along_axis` gives, in the length that the largest of all keys needs."""
    keys = keys.astype(np.int64)
    bins = max(minlength, int(keys.max()) + 1)
    if weights is None:
        counts = np.apply_along_axis(np.bincount, axis, keys, minlength=bins)
    else:
        lines = np.moveaxis(keys, axis, -1).reshape(-1, keys.shape[axis])
        others = np.moveaxis(np.broadcast_to(weights, keys.shape), axis, -1).reshape(lines.shape)
        rows = np.array([np.bincount(*pair, bins) for pair in zip(lines, others, strict=True)])
        counts = np.moveaxis(rows.reshape(*np.delete(keys.shape, axis), bins), -1, axis)
    return counts.take(range(min(bins, bins if maxlength is None else maxlength)), axis)


@given(keys_and_axis(), st.sampled_from([0, 3, 70]), lengths, threads)
def test_equals_numpys_of_each_line(case: Any, minlength: int, maxlength: int | None, threads: int) -> None:
    keys, axis = case
    ours = pc.bincount(keys, minlength=minlength, axis=axis, maxlength=maxlength, threads=threads)
    assert_same(ours, numpys(keys, axis, None, minlength, maxlength))
    flat = pc.bincount(keys, minlength=minlength, axis=None, maxlength=maxlength, threads=threads)
    assert_same(flat, np.bincount(keys.ravel().astype(np.int64), minlength=minlength)[:maxlength])


@given(keys_and_axis(), lengths, st.integers(0, 99), threads)
def test_weights_equal_numpys_and_are_broadcast(case: Any, maxlength: int | None, seed: int, threads: int) -> None:
    keys, axis = case
    random = np.random.default_rng(seed)
    along = random.integers(0, 9, keys.shape[axis])
    shape = np.ones(keys.ndim, int)
    shape[axis] = keys.shape[axis]
    for weights, full in (
        (random.normal(size=keys.shape).round(3) * 1024 // 1, None),
        (along, along.reshape(shape)),
        (np.array([2.5]).reshape(np.ones(keys.ndim, int)), None) if keys.ndim > 1 else (along, None),
    ):
        ours = pc.bincount(keys, weights, axis=axis, maxlength=maxlength, threads=threads)
        assert_same(ours, numpys(keys, axis, weights if full is None else full, 0, maxlength))


@given(keys_and_axis(), lengths, threads)
def test_out_is_added_to(case: Any, maxlength: int | None, threads: int) -> None:
    keys, axis = case
    expected = numpys(keys, axis, None, 5000, maxlength)
    shape = np.array(keys.shape)
    shape[axis] = 5000
    for dtype in ("int32", "uint64"):
        out = np.ones(shape, dtype)
        assert pc.bincount(keys, axis=axis, maxlength=maxlength, out=out, threads=threads) is out
        out -= 1
        used = out.take(range(expected.shape[axis]), axis)
        assert np.array_equal(used, expected)
        assert out.sum() == expected.sum()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(1, 20_000), (20_000, 1), (200, 100), (2000, 10)])
def test_a_key_that_must_not_be_there(shape: tuple[int, int], threads: int) -> None:
    for dtype, bad in (("i1", -1), ("i8", -1), ("u4", 3), ("i8", 1 << 40)):
        keys = np.ones(shape, dtype)
        keys[-1, -1] = bad
        for axis in (0, 1):
            out = np.zeros((shape[0], 3) if axis else (3, shape[1]), int)
            with pytest.raises(ValueError, match=r"outside|negative"):
                pc.bincount(keys, axis=axis, out=out, threads=threads)
            assert not out.any()
            for weights in (None, np.ones(shape)):
                if bad == -1:
                    with pytest.raises(ValueError, match="negative"):
                        pc.bincount(keys, weights, axis=axis, maxlength=2, threads=threads)
                else:
                    cut = pc.bincount(keys, weights, axis=axis, maxlength=2, threads=threads)
                    assert cut.sum() == keys.size - 1


@pytest.mark.parametrize("on", [pc.Serial(), pc.Threads(2), pc.Processes(2)], ids=lambda on: on.name)
def test_executions_do_not_show(on: pc.Execution) -> None:
    keys = np.random.default_rng(1).integers(0, 50, (64, 30))
    for axis in (0, 1):
        assert_same(pc.bincount(keys, axis=axis, on=on), numpys(keys, axis))
    assert_same(pc.bincount(keys[:1], keys[:1], axis=1, on=on), numpys(keys[:1], 1, keys[:1]))


def test_empty_input() -> None:
    assert pc.bincount(np.zeros((3, 0), int), axis=1).shape == (3, 0)
    assert pc.bincount(np.zeros((0, 3), int), axis=1, minlength=2).shape == (0, 2)
    assert pc.bincount(np.zeros((0, 3), int), axis=0, minlength=2).tolist() == [[0, 0, 0]] * 2
    assert_same(pc.bincount([], maxlength=3, minlength=2), np.zeros(2, np.int64))


def test_wrong_arguments() -> None:
    keys = np.ones((2, 3), int)
    for call, error in (
        (lambda: pc.bincount(keys), ValueError),
        (lambda: pc.bincount(keys, maxlength=3), ValueError),
        (lambda: pc.bincount(keys, axis=2), np.exceptions.AxisError),
        (lambda: pc.bincount(keys, axis=0.5), TypeError),  # type: ignore[arg-type]
        (lambda: pc.bincount(keys, axis=0, maxlength=-1), ValueError),
        (lambda: pc.bincount(keys, axis=0, minlength=-1), ValueError),
        (lambda: pc.bincount(keys / 2, axis=0), TypeError),
        (lambda: pc.bincount(keys, [1, 2], axis=1), ValueError),
        (lambda: pc.bincount(keys, np.ones((3, 3)), axis=1), ValueError),
        (lambda: pc.bincount(keys, [1j, 2], axis=0), TypeError),
        (lambda: pc.bincount(keys, axis=0, out=np.zeros((2, 2), int)), ValueError),
        (lambda: pc.bincount(keys, axis=0, out=np.zeros((2, 3))), TypeError),
        (lambda: pc.bincount(keys, axis=0, minlength=4, out=np.zeros((2, 3), int)), ValueError),
        (lambda: pc.bincount(keys, axis=0, out=np.broadcast_to(np.zeros(3, int), (2, 3))), ValueError),
    ):
        with pytest.raises(error):
            call()
