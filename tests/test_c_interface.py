"""The functions that other compiled code calls: through the capsule here, and compiled by Cython, C and Numba."""

import ctypes
import re
import subprocess
import sys
from ctypes import CFUNCTYPE, c_int, c_size_t, c_ssize_t, c_void_p
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import parcount as pc
from parcount._native import c_interface
from tests.remote import TIME_LIMIT

PAGE = Path(__file__).parents[1] / "docs" / "c-interface.md"
CAPSULE = b"parcount._native.c_interface._C_API"


class Api(ctypes.Structure):
    """``parcount_api`` of parcount.h."""

    _fields_ = (
        ("version", c_int),
        ("size", c_size_t),
        ("bincount_uint8", CFUNCTYPE(c_ssize_t, c_void_p, c_ssize_t, c_void_p, c_ssize_t)),
        ("bincount_int32", CFUNCTYPE(c_ssize_t, c_void_p, c_ssize_t, c_void_p, c_ssize_t)),
        ("bincount_int64", CFUNCTYPE(c_ssize_t, c_void_p, c_ssize_t, c_void_p, c_ssize_t)),
        ("bincount_weighted_int32", CFUNCTYPE(c_ssize_t, c_void_p, c_ssize_t, c_void_p, c_void_p, c_ssize_t)),
        ("bincount_weighted_int64", CFUNCTYPE(c_ssize_t, c_void_p, c_ssize_t, c_void_p, c_void_p, c_ssize_t)),
        ("edges_new", CFUNCTYPE(c_void_p, c_void_p, c_ssize_t)),
        ("edges_free", CFUNCTYPE(None, c_void_p)),
        ("histogram_float32", CFUNCTYPE(c_ssize_t, c_void_p, c_void_p, c_void_p, c_ssize_t)),
        ("histogram_float64", CFUNCTYPE(c_ssize_t, c_void_p, c_void_p, c_void_p, c_ssize_t)),
        ("histogram_weighted_float64", CFUNCTYPE(c_ssize_t, c_void_p, c_void_p, c_void_p, c_void_p, c_ssize_t)),
    )


get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
get_pointer.restype, get_pointer.argtypes = c_void_p, (ctypes.py_object, ctypes.c_char_p)
API = Api.from_address(get_pointer(vars(c_interface)["_C_API"], CAPSULE))


def pointer(array):
    return array.ctypes.data_as(c_void_p)  # which keeps the array


def test_the_struct_is_what_the_header_says():
    assert (API.version, API.size) == (1, ctypes.sizeof(Api))
    header = Path(pc.get_include(), "parcount.h").read_text(encoding="utf-8")
    assert re.findall(r"\(\*(\w+)\)", header) == [name for name, _ in Api._fields_[2:]]
    assert {*vars(c_interface)["__pyx_capi__"]} == {name for name, _ in Api._fields_[2:]}


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
@given(data=st.data(), n=st.sampled_from([0, 1, 300, 5000]), bins=st.sampled_from([1, 7, 256, 2000]))
def test_bincount(dtype, data, n, bins):
    seed = data.draw(st.integers(0, 1000))
    keys = np.random.default_rng(seed).integers(0, min(bins, 256), n).astype(dtype)
    weights = np.random.default_rng(seed).integers(-100, 100, n).astype(float)  # whose sums are exact
    counts, sums = np.ones(bins, np.int64), np.ones(bins)
    assert getattr(API, f"bincount_{dtype}")(pointer(counts), bins, pointer(keys), n) == n
    assert (counts == 1 + np.bincount(keys, minlength=bins)).all()
    if dtype != "uint8":
        weigh = getattr(API, f"bincount_weighted_{dtype}")
        assert weigh(pointer(sums), bins, pointer(keys), pointer(weights), n) == n
        assert (sums == 1 + np.bincount(keys, weights, minlength=bins)).all()


@pytest.mark.parametrize("outside", [-1, 1000])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_a_key_outside_ends_the_count(dtype, outside):
    keys = np.arange(1000, dtype=dtype)
    keys[600] = outside
    counts, sums = np.zeros(1000, np.int64), np.zeros(1000)
    assert getattr(API, f"bincount_{dtype}")(pointer(counts), 1000, pointer(keys), 1000) == 600
    weigh = getattr(API, f"bincount_weighted_{dtype}")
    assert weigh(pointer(sums), 1000, pointer(keys), pointer(np.ones(1000)), 1000) == 600
    assert (counts == np.repeat([1, 0], [600, 400])).all()
    assert (sums == counts).all()


def test_a_byte_outside_ends_the_count():
    keys = np.full(2000, 3, np.uint8)
    keys[600] = 4
    counts = np.zeros(4, np.int64)
    counted = API.bincount_uint8(pointer(counts), 4, pointer(keys), 2000)
    assert 0 <= counted <= 600
    assert counts.tolist() == [0, 0, 0, counted]


@given(
    values=arrays("float64", st.sampled_from([0, 1, 700]), elements=st.floats(-1, 2, width=32) | st.just(np.nan)),
    edges=st.lists(st.floats(0, 1), min_size=2, max_size=20).map(sorted),
)
def test_histogram(values, edges):
    edges = np.array(edges)
    bins, n = len(edges) - 1, len(values)
    prepared = API.edges_new(pointer(edges), len(edges))
    with np.errstate(all="ignore"):
        numbers = values[~np.isnan(values)]
        expected, _ = np.histogram(numbers, edges)
    for dtype in ("float32", "float64"):
        counts, typed = np.ones(bins, np.int64), values.astype(dtype)
        assert getattr(API, f"histogram_{dtype}")(pointer(counts), prepared, pointer(typed), n) == n
        assert (counts == 1 + expected).all()
    sums = np.ones(bins)
    assert API.histogram_weighted_float64(pointer(sums), prepared, pointer(values), pointer(np.full(n, 2.0)), n) == n
    assert (sums == 1 + 2 * expected).all()
    API.edges_free(prepared)


@pytest.mark.parametrize("edges", [[1.0], [2.0, 1.0], [0.0, np.nan]])
def test_edges_that_do_not_ascend(edges):
    assert API.edges_new(pointer(np.array(edges)), len(edges)) is None
    API.edges_free(None)


def test_threads_share_edges():
    values, edges = np.random.default_rng(0).random(10_000), np.linspace(0, 1, 50)
    prepared = API.edges_new(pointer(edges), 50)
    tables = np.zeros((4, 49), np.int64)
    count = [
        lambda table=table: API.histogram_float64(pointer(table), prepared, pointer(values), 10_000) for table in tables
    ]
    threads = [Thread(target=each) for each in count]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIME_LIMIT)
    assert (tables == np.histogram(values, edges)[0]).all()
    API.edges_free(prepared)


SETUP = """
from setuptools import Extension, setup
import parcount
{prepare}
setup(ext_modules={modules}, script_args=["-q", "build_ext", "--inplace"])
"""

CHECK_CYTHON = """
import numpy as np
from intervals import count_lengths, count_squares
starts, lengths = np.arange(10_000), np.random.default_rng(0).integers(0, 50, 10_000)
assert (count_lengths(starts, starts + lengths, 60) == np.bincount(lengths, minlength=61)).all()
try:
    count_lengths(starts, starts + lengths, 40)
except ValueError:
    print("outside")
values, edges = np.random.default_rng(0).random(1000), np.sort(np.random.default_rng(1).random(8))
assert (count_squares(values, edges) == np.histogram(values ** 2, edges)[0]).all()
"""

CHECK_C = """
import numpy as np
from bytecount import count
data = bytes(range(256)) * 10 + b"abc"
table = np.zeros(256, np.int64)
assert count(data, table) == len(data)
assert (table == np.bincount(np.frombuffer(data, np.uint8), minlength=256)).all()
print("outside" if count(data, table[:9]) == -1 else "")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "file", "prepare", "modules", "check"),
    [
        ("cython", "intervals.pyx", "from Cython.Build import cythonize", 'cythonize("intervals.pyx")', CHECK_CYTHON),
        (
            "c",
            "bytecount.c",
            "",
            '[Extension("bytecount", ["bytecount.c"], include_dirs=[parcount.get_include()])]',
            CHECK_C,
        ),
    ],
)
def test_the_examples_of_the_page(tmp_path, language, file, prepare, modules, check):
    (source,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / file).write_text(source, encoding="utf-8")
    (tmp_path / "setup.py").write_text(SETUP.format(prepare=prepare, modules=modules), encoding="utf-8")
    (tmp_path / "check.py").write_text(check, encoding="utf-8")
    for script in ("setup.py", "check.py"):
        ran = subprocess.run(
            [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout == "outside\n"
