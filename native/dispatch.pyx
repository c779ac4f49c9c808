"""The first step of an array function: calls with small arrays, and with arrays of other libraries, end here."""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from functools import update_wrapper
from importlib import import_module
from libc.stdint cimport INT64_MAX
from libc.string cimport memcpy, strlen

import numpy
from numpy import add as numpy_add, arange, asarray, dtype, empty, float64, generic, int64, ndarray, zeros

from parcount._native import bincount as native_bincount, cpu_features, thread_team

from atomic cimport atomic_read, atomic_write
from integers cimport *
from interrupt cimport POLL_ELEMENTS

cdef extern from "numpy_array.h":
    enum:
        NUMPY_C_CONTIGUOUS
        NUMPY_F_CONTIGUOUS
        NUMPY_ALIGNED
        NUMPY_WRITEABLE
    ctypedef struct NumpyArray:
        char *data
        int ndim
        Py_ssize_t *shape
        Py_ssize_t *strides
        PyObject *descr
        int flags

cdef extern from "extremes.h" nogil:
    void extremes_int8_t(const int8_t *, Py_ssize_t, int8_t *least, int8_t *greatest, bint avx512, bint avx2)
    void extremes_int16_t(const int16_t *, Py_ssize_t, int16_t *least, int16_t *greatest, bint avx512, bint avx2)
    void extremes_int32_t(const int32_t *, Py_ssize_t, int32_t *least, int32_t *greatest, bint avx512, bint avx2)
    void extremes_int64_t(const int64_t *, Py_ssize_t, int64_t *least, int64_t *greatest, bint avx512, bint avx2)
    void extremes_uint8_t(const uint8_t *, Py_ssize_t, uint8_t *least, uint8_t *greatest, bint avx512, bint avx2)
    void extremes_uint16_t(const uint16_t *, Py_ssize_t, uint16_t *least, uint16_t *greatest, bint avx512, bint avx2)
    void extremes_uint32_t(const uint32_t *, Py_ssize_t, uint32_t *least, uint32_t *greatest, bint avx512, bint avx2)
    void extremes_uint64_t(const uint64_t *, Py_ssize_t, uint64_t *least, uint64_t *greatest, bint avx512, bint avx2)
    bint extremes_double(const double *, Py_ssize_t, double *least, double *greatest, bint avx512, bint avx2)

cdef extern from "scratch_alloc.h" nogil:
    void *scratch_calloc(size_t size)
    void scratch_free(void *cells)

cdef extern from "count_part.h":
    ctypedef struct CountPart:
        char code
        const void *keys
        Py_ssize_t n, done
        int64_t least, greatest
        int64_t *counts
        uint64_t bins
        char *scratch
    ctypedef struct CountFunctions:
        size_t (*scratch_bytes)(uint64_t bins, Py_ssize_t n, size_t size) noexcept nogil
        void (*count)(void *part) noexcept nogil

cdef extern from "thread_team.h":
    enum:
        MAX_CLAIMED
    ctypedef struct TeamClaim:
        int count
    ctypedef struct TeamFunctions:
        void (*claim)(TeamClaim *claim, int wanted) noexcept nogil
        void (*run)(TeamClaim *claim, void (*function)(void *) noexcept nogil, void *arguments, size_t size) noexcept nogil
        void (*release)(TeamClaim *claim) noexcept nogil

cdef extern from "uniform_bins.h" nogil:
    bint uniform_bins_decide(double low, double high, Py_ssize_t bins)
    void uniform_bins_count(
        const double *, Py_ssize_t, const double *edges, int32_t bins, int64_t *counts, bint avx512, bint avx2)

cdef extern from "Python.h":
    int64_t PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1

cdef enum:
    ON_STACK = 512  # the copy of an array of at most so many elements is on the stack
    MIN_KEYS_FOR_KERNEL = 2048  # the kernel of `bincount`, called through Python, is faster from here on
    MIN_KEYS_PER_BIN = 8  # from which private tables pay
    FIRST_KEYS = 64
    CACHE_LINES = 128  # bytes between what two threads write
    MAX_RANGE_PER_KEY = 16  # up to which a table of distinct keys is faster than sorting
    MAX_ADDED_IN_PLACE = 1024  # cells up to which the compiler's vectors are as fast as NumPy's addition

ctypedef fused number:  # integers wrap, which C defines for the unsigned types only
    uint8_t
    uint16_t
    uint32_t
    uint64_t
    double

ctypedef struct Vector:
    Py_buffer buffer
    char code  # as in the module `struct`; 0 if the buffer is not open

ctypedef fused weight:
    int64_t
    double

ctypedef fused unsigned_integer:
    uint8_t
    uint16_t
    uint32_t
    uint64_t

cdef type array_type = ndarray
cdef object int64_dtype = dtype(int64), float64_dtype = dtype(float64)
cdef object numpy_multiply = numpy.multiply
cdef object unique_counts_result = None
cdef const char *INTEGER_CODES = "qibhQIBH"
cdef list integer_dtypes = [dtype(name) for name in ("i8", "i4", "i1", "i2", "u8", "u4", "u1", "u2")]
cdef PyObject *integer_descr[8]
cdef object number_, dtype_
for number_, dtype_ in enumerate(integer_dtypes):
    integer_descr[number_] = <PyObject *>dtype_

cdef dict kernels = {
    ord(dtype_.char if dtype_.itemsize < 8 else "qQ"[dtype_.kind == "u"]): native_bincount.fill[dtype_.name + "_t"]
    for dtype_ in integer_dtypes
}
"""The kernels of `bincount` by the code of the keys."""

cdef object array_protocol = ndarray.__array_function__
cdef frozenset own_keywords = frozenset(["out", "threads", "on", "sorted", "axis"])  # which NumPy's functions do not have
cdef object add_ufunc_at = numpy_add.at
cdef int64_t small_size = 0, direct_size = 0, team_size = INT64_MAX
cdef object choose_team_threads = None
cdef const TeamFunctions *team = <const TeamFunctions *>PyCapsule_GetPointer(
    thread_team.FUNCTIONS, "parcount._native.thread_team.FUNCTIONS"
)
cdef const CountFunctions *kernel = <const CountFunctions *>PyCapsule_GetPointer(
    native_bincount.FUNCTIONS, "parcount._native.bincount.FUNCTIONS"
)

cdef bint AVX512 = "AVX512" in cpu_features.ENABLED
cdef bint AVX2 = "AVX2" in cpu_features.ENABLED


def set_small_size(int64_t elements, int64_t direct):
    """Set the size below which an array counts as small: it is counted with the GIL held. One of fewer elements than
    `direct` is counted by one thread, so that a usual call needs no job, no parts and no execution."""
    atomic_write(&small_size, elements)
    atomic_write(&direct_size, direct)


def set_team_size(int64_t elements, threads):
    """Set the size from which native threads count, and the function that tells how many for a size."""
    global choose_team_threads
    choose_team_threads = threads
    atomic_write(&team_size, elements)


def dispatch(numpy_function, direct=None):
    """Decorate a function with the arguments of `numpy_function` and additional keywords.

    If there are no additional keywords, ``direct(args, keywords)`` is called first, which may return NotImplemented;
    then `numpy_function` if the first argument is small. `call_foreign` is called if the type of an argument has its own
    ``__array_function__``.
    """
    def decorate(implementation):
        def call(*args, **keywords):
            if args and own_keywords.isdisjoint(keywords):
                if direct is not None:
                    result = direct(args, keywords)
                    if result is not NotImplemented:
                        return result
                if is_small(args[0]):
                    return numpy_function(*args, **keywords)
            if foreign := foreign_types((*args, *keywords.values())):
                return call_foreign(foreign, numpy_function, args, keywords)
            return implementation(*args, **keywords)

        return update_wrapper(call, implementation)

    return decorate


def dispatch_bincount(numpy_function):
    """`dispatch` for `bincount`: NumPy's crashes on a key of 2**63 - 1, or on one that changes during the call."""
    def decorate(implementation):
        def call(x, /, weights=None, minlength=0, *, out=None, threads=None, on=None, **others):
            if out is None and on is None and not others:
                if threads is None:
                    counts = small_bincount(x, weights, minlength)
                elif weights is None and type(threads) is int and threads > 1 and type(x) is array_type:
                    counts = team_bincount(x, minlength, min(threads, MAX_CLAIMED))
                else:
                    counts = NotImplemented
                if counts is not NotImplemented:
                    return counts
            if foreign := foreign_types((x, weights, minlength, out)):
                others.update(out=out, threads=threads, on=on)
                if minlength is not 0:
                    others["minlength"] = minlength
                return call_foreign(foreign, numpy_function, (x,) if weights is None else (x, weights), others)
            return implementation(x, weights, minlength, out=out, threads=threads, on=on, **others)

        return update_wrapper(call, implementation)

    return decorate


def dispatch_add_at(implementation):
    """`dispatch` for `add_at`: NumPy's crashes on an index that changes during the call."""
    def call(a, indices, b=1, *, threads=None):
        if threads is not None or not (small_add_at(a, indices, b) or numpy_add_at(a, indices, b)):
            implementation(a, indices, b, threads=threads)

    return update_wrapper(call, implementation)


def dispatch_increment(implementation):
    """`dispatch` for `increment`."""
    def call(a, by=1, *, threads=None):
        kind = type(by)
        if threads is None and type(a) is array_type:
            if kind is int and direct_increment(a, by):
                return
            if a.size < atomic_read(&direct_size) and (
                kind is int or kind is float or kind is array_type or kind is list or issubclass(kind, generic)
            ):
                numpy_add(a, by, a)
                return
        implementation(a, by, threads=threads)

    return update_wrapper(call, implementation)


def refuse_dask(*args):
    """Raise a TypeError if an argument is a dask array, for a function that changes an array in place."""
    for argument in args:
        if type(argument) is tuple:
            refuse_dask(*argument)
            continue
        protocol = getattr(type(argument), "__array_function__", array_protocol)
        if protocol is not array_protocol and is_dask(type(argument)):
            raise TypeError("a dask array cannot be changed in place, nor added to an array in place: compute() it first")


cdef bint is_small(object argument) except -1:
    cdef Py_ssize_t size
    if type(argument) is array_type:
        size = argument.size
        return size < atomic_read(&small_size)
    if type(argument) is not list and type(argument) is not tuple or not argument:
        return False
    if type(argument[0]) is int or type(argument[0]) is float:  # then all are numbers, or NumPy raises
        return len(argument) < atomic_read(&small_size)
    return len(argument) <= 64 and all([type(array) is array_type and is_small(array) for array in argument])


cdef list foreign_types(tuple arguments, bint nested=False):
    """The types with their own ``__array_function__`` (NEP 18), of arguments and of the elements of short lists and
    tuples: `bins` and `sample` may hold an array for each axis."""
    cdef list found = []
    for argument in arguments:
        kind = type(argument)
        if kind is array_type or argument is None or kind is int or kind is float:
            continue
        if kind is list or kind is tuple:
            if not nested and len(argument) <= 64:  # axes; a longer list holds numbers
                found += foreign_types(tuple(argument), True)
            continue
        protocol = getattr(kind, "__array_function__", None)
        if protocol is not None and protocol is not array_protocol:
            found.append(kind)
    return found


cdef bint is_dask(object type_):
    return str(type_.__module__).startswith("dask.array.")


cdef object call_foreign(list types, object numpy_function, tuple args, dict keywords):
    """Call `parcount.dask` if there is a dask array, otherwise NumPy's function without the additional keywords."""
    if any([is_dask(type_) for type_ in types]):
        return getattr(import_module("parcount.dask"), numpy_function.__name__)(*args, **keywords)
    for name in ("out", "axis"):
        # None is what `unique_counts` does without `axis`; `bincount` then counts all dimensions, and NumPy's refuses them.
        if keywords.get(name) is not None or name == "axis" in keywords and numpy_function.__name__ == "bincount":
            raise TypeError(
                f"{numpy_function.__name__}() does not take {name}= with an argument of type {types[0].__name__}"
            )
    return numpy_function(*args, **{name: value for name, value in keywords.items() if name not in own_keywords})


cdef char native_integer(NumpyArray *array) noexcept:
    """The code of the module `struct` for an array of integers that is contiguous, aligned and in native byte order,
    otherwise 0."""
    cdef int i
    if not (array.flags & NUMPY_ALIGNED and array.flags & (NUMPY_C_CONTIGUOUS | NUMPY_F_CONTIGUOUS)):
        return 0
    for i in range(8):
        if array.descr == integer_descr[i]:
            return INTEGER_CODES[i]
    return 0


cdef Py_ssize_t size_of(NumpyArray *array) noexcept:
    cdef Py_ssize_t size = 1
    cdef int axis
    for axis in range(array.ndim):
        size *= array.shape[axis]
    return size


cdef void extremes(char code, const void *first, Py_ssize_t n, int64_t *least, int64_t *greatest) noexcept nogil:
    """The least and the greatest of `n` integers; those of uint64 as the int64 of the same bits."""
    cdef int8_t least8 = 0, greatest8 = 0
    cdef int16_t least16 = 0, greatest16 = 0
    cdef int32_t least32 = 0, greatest32 = 0
    cdef uint8_t uleast8 = 0, ugreatest8 = 0
    cdef uint16_t uleast16 = 0, ugreatest16 = 0
    cdef uint32_t uleast32 = 0, ugreatest32 = 0
    if code == c"q":
        extremes_int64_t(<const int64_t *>first, n, least, greatest, AVX512, AVX2)
    elif code == c"Q":
        extremes_uint64_t(<const uint64_t *>first, n, <uint64_t *>least, <uint64_t *>greatest, AVX512, AVX2)
    elif code == c"i":
        extremes_int32_t(<const int32_t *>first, n, &least32, &greatest32, AVX512, AVX2)
        least[0], greatest[0] = least32, greatest32
    elif code == c"I":
        extremes_uint32_t(<const uint32_t *>first, n, &uleast32, &ugreatest32, AVX512, AVX2)
        least[0], greatest[0] = uleast32, ugreatest32
    elif code == c"h":
        extremes_int16_t(<const int16_t *>first, n, &least16, &greatest16, AVX512, AVX2)
        least[0], greatest[0] = least16, greatest16
    elif code == c"H":
        extremes_uint16_t(<const uint16_t *>first, n, &uleast16, &ugreatest16, AVX512, AVX2)
        least[0], greatest[0] = uleast16, ugreatest16
    elif code == c"b":
        extremes_int8_t(<const int8_t *>first, n, &least8, &greatest8, AVX512, AVX2)
        least[0], greatest[0] = least8, greatest8
    else:
        extremes_uint8_t(<const uint8_t *>first, n, &uleast8, &ugreatest8, AVX512, AVX2)
        least[0], greatest[0] = uleast8, ugreatest8


cdef object team_bincount(object x, object minlength, int threads):
    """`direct_bincount` by so many threads; NotImplemented if an array is so small that they do not pay."""
    cdef NumpyArray *array = <NumpyArray *><PyObject *>x
    cdef int overflow = 0
    cdef int64_t bins
    if type(minlength) is not int or array.ndim != 1 or array.shape[0] < atomic_read(&team_size):
        return NotImplemented
    bins = PyLong_AsLongLongAndOverflow(minlength, &overflow)
    return NotImplemented if overflow or bins < 0 else direct_bincount(x, bins, threads)


cdef object direct_bincount(object x, int64_t bins, int threads=0):
    """The counts, in a table that is no longer than the largest key needs; NotImplemented for all but arrays of native
    integers, or if a key is negative or changes meanwhile. `threads` is zero if the caller gives no number."""
    cdef NumpyArray *array = <NumpyArray *><PyObject *>x
    cdef char code = native_integer(array)
    cdef Py_ssize_t n, i
    cdef int64_t least, greatest
    cdef TeamClaim claim
    cdef CountPart only
    cdef CountPart *parts = &only
    cdef bint release
    if not code or array.ndim != 1:
        return NotImplemented
    n = array.shape[0]
    claim.count = 0
    if n >= atomic_read(&team_size):
        # If the first keys are in a large table, no threads need be woken to find that out.
        extremes(code, array.data, min(n, <Py_ssize_t>FIRST_KEYS), &least, &greatest)
        if n // MIN_KEYS_PER_BIN >= max(bins, greatest):
            if threads == 0:
                threads = min(choose_team_threads(n), MAX_CLAIMED)
            if n > <Py_ssize_t>POLL_ELEMENTS * threads:  # signals are looked for meanwhile
                return NotImplemented
            if threads > 1:
                team.claim(&claim, threads - 1)
    try:
        if not 0 < n < atomic_read(&direct_size) and (claim.count == 0 or n > POLL_ELEMENTS * (claim.count + 1)):
            return NotImplemented
        release = claim.count or n >= atomic_read(&small_size)
        if claim.count:
            parts = <CountPart *>PyMem_Malloc((claim.count + 1) * sizeof(CountPart))
            if parts is NULL:
                raise MemoryError
        for i in range(claim.count + 1):
            parts[i].code = code
            parts[i].keys = array.data + n * i // (claim.count + 1) * array.strides[0]
            parts[i].n = n * (i + 1) // (claim.count + 1) - n * i // (claim.count + 1)
        if release:
            with nogil:
                team.run(&claim, find_extremes, parts, sizeof(CountPart))
        else:
            find_extremes(parts)
        for i in range(claim.count + 1):
            if parts[i].least < 0 or parts[i].greatest < 0 or parts[i].greatest == INT64_MAX:
                return NotImplemented
            bins = max(bins, parts[i].greatest + 1)
        if claim.count and bins * MIN_KEYS_PER_BIN > n:
            team.release(&claim)
            if n >= atomic_read(&direct_size):
                return NotImplemented
        counts = zeros(bins, int64_dtype)
        return counts if n == (
            count_parts(&claim, parts, array.strides[0], <NumpyArray *><PyObject *>counts) if claim.count
            else count_alone(x, code, n, counts, release)
        ) else NotImplemented
    finally:
        team.release(&claim)
        if parts is not &only:
            PyMem_Free(parts)


cdef void find_extremes(void *part) noexcept nogil:
    extremes(
        (<CountPart *>part).code, (<CountPart *>part).keys, (<CountPart *>part).n, &(<CountPart *>part).least,
        &(<CountPart *>part).greatest,
    )


cdef Py_ssize_t count_alone(object x, char code, Py_ssize_t n, object counts, bint release) except -1:
    cdef NumpyArray *array = <NumpyArray *><PyObject *>x
    cdef NumpyArray *table = <NumpyArray *><PyObject *>counts
    if n >= MIN_KEYS_FOR_KERNEL and table.shape[0] <= 2 * n:
        return kernels[code](counts, x, None, release)
    if not release:
        return count_each(code, <int64_t *>table.data, table.shape[0], 1, array.data, n)
    with nogil:
        return count_each(code, <int64_t *>table.data, table.shape[0], 1, array.data, n)


cdef Py_ssize_t count_parts(TeamClaim *claim, CountPart *parts, size_t size, NumpyArray *counts) except -1:
    """Count all parts, of keys of `size` bytes, those after the first in tables of their own."""
    cdef Py_ssize_t bins = counts.shape[0], done = 0, i, bin
    cdef size_t table = (bins * sizeof(int64_t) + CACHE_LINES - 1) // CACHE_LINES * CACHE_LINES + CACHE_LINES
    cdef size_t scratch = kernel.scratch_bytes(bins, parts[claim.count].n, size) + CACHE_LINES
    cdef char *memory
    cdef int64_t *others
    scratch = (scratch + CACHE_LINES - 1) // CACHE_LINES * CACHE_LINES
    memory = <char *>scratch_calloc((claim.count + 1) * (table + scratch))
    if memory is NULL:
        raise MemoryError
    for i in range(claim.count + 1):
        parts[i].bins = bins
        parts[i].counts = <int64_t *>(memory + i * (table + scratch)) if i else <int64_t *>counts.data
        parts[i].scratch = memory + i * (table + scratch) + table
    with nogil:
        team.run(claim, kernel.count, parts, sizeof(CountPart))
        done = parts[0].done
        for i in range(1, claim.count + 1):
            done += parts[i].done
            others = parts[i].counts
            for bin in range(bins):
                parts[0].counts[bin] += others[bin]
    scratch_free(memory)
    return done


cdef Py_ssize_t count_each(
    char code, int64_t *counts, uint64_t bins, int64_t one, const void *keys, Py_ssize_t n
) noexcept nogil:
    """Add `one` to the cell of each key; return how many were added: keys that lie outside, because another thread has
    changed them meanwhile, are left out."""
    if code == c"q":
        return add_one_each(counts, bins, one, <const int64_t *>keys, n)
    if code == c"i":
        return add_one_each(counts, bins, one, <const int32_t *>keys, n)
    if code == c"h":
        return add_one_each(counts, bins, one, <const int16_t *>keys, n)
    if code == c"b":
        return add_one_each(counts, bins, one, <const int8_t *>keys, n)
    if code == c"Q":
        return add_one_each(counts, bins, one, <const uint64_t *>keys, n)
    if code == c"I":
        return add_one_each(counts, bins, one, <const uint32_t *>keys, n)
    if code == c"H":
        return add_one_each(counts, bins, one, <const uint16_t *>keys, n)
    return add_one_each(counts, bins, one, <const uint8_t *>keys, n)


cdef Py_ssize_t add_one_each(
    int64_t *counts, uint64_t bins, int64_t one, const integer *keys, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, outside = 0
    cdef uint64_t key
    for i in range(n):
        key = load_once(keys + i)
        if unlikely(key >= bins):
            outside += 1
        else:
            counts[key] = <int64_t>(<uint64_t>counts[key] + <uint64_t>one)
    return n - outside


cdef bint direct_add_at(object a, object indices, int64_t one) except -1:
    """Add `one` at native indices from zero to the length of an array of int64, and return True; otherwise False."""
    cdef NumpyArray *cells = <NumpyArray *><PyObject *>a
    cdef NumpyArray *where = <NumpyArray *><PyObject *>indices
    cdef char code = native_integer(where)
    cdef Py_ssize_t n, size, i
    cdef int64_t least = 0, greatest = 0
    cdef int64_t *first = <int64_t *>cells.data
    cdef int64_t *count
    if not code or where.ndim != 1 or cells.ndim != 1 or native_integer(cells) != c"q":
        return False
    n, size = where.shape[0], cells.shape[0]
    if not cells.flags & NUMPY_WRITEABLE or not 0 < n < atomic_read(&direct_size):
        return False
    if where.data < cells.data + size * sizeof(int64_t) and cells.data < where.data + n * where.strides[0]:
        return False  # the indices would change while they are read
    if n < atomic_read(&small_size):
        extremes(code, where.data, n, &least, &greatest)
    else:
        with nogil:
            extremes(code, where.data, n, &least, &greatest)
    if least < 0 or greatest < 0 or greatest >= size:
        return False
    if n >= MIN_KEYS_FOR_KERNEL and size <= n // 4:
        counts = zeros(size, int64_dtype)
        kernels[code](counts, indices, None, n >= atomic_read(&small_size))
        count = <int64_t *>(<NumpyArray *><PyObject *>counts).data
        for i in range(size):
            first[i] = <int64_t>(<uint64_t>first[i] + <uint64_t>count[i] * <uint64_t>one)
    elif n < atomic_read(&small_size):
        count_each(code, first, size, one, where.data, n)
    else:
        with nogil:
            count_each(code, first, size, one, where.data, n)
    return True


def direct_histogram(tuple args, dict keywords):
    """`numpy.histogram` of contiguous float64 values in a number of bins of equal width; otherwise NotImplemented."""
    cdef NumpyArray *array
    cdef Py_ssize_t n, bins
    cdef double low = 0, high = 0
    cdef double *edge
    cdef int64_t *table
    a, number, ends = args[0], args[1] if len(args) > 1 else 10, args[2] if len(args) > 2 else None
    for name, value in keywords.items():
        if name == "bins" and len(args) < 2:
            number = value
        elif name == "range" and len(args) < 3:
            ends = value
        elif value is not None or not (name == "density" or name == "weights"):
            return NotImplemented
    if len(args) > 3 or type(a) is not array_type or type(number) is not int:
        return NotImplemented
    array = <NumpyArray *><PyObject *>a
    if array.descr != <PyObject *>float64_dtype or not array.flags & NUMPY_ALIGNED:
        return NotImplemented
    n = size_of(array)
    if not array.flags & (NUMPY_C_CONTIGUOUS | NUMPY_F_CONTIGUOUS) or not 0 < n < atomic_read(&direct_size):
        return NotImplemented
    if not 0 < number < 1 << 30:
        return NotImplemented
    bins = number
    if ends is None:
        with nogil:
            finite = extremes_double(<const double *>array.data, n, &low, &high, AVX512, AVX2)
        if not finite:
            return NotImplemented
    elif (type(ends) is tuple or type(ends) is list) and len(ends) == 2 and is_number(ends[0]) and is_number(ends[1]):
        low, high = ends[0], ends[1]
    else:
        return NotImplemented
    if not uniform_bins_decide(low, high, bins):
        return NotImplemented
    # As numpy.linspace computes them. Not compiled: a fused multiplication and addition would round otherwise.
    edges = arange(bins + 1, dtype=float64_dtype)
    numpy_multiply(edges, (high - low) / bins, edges)
    numpy_add(edges, low, edges)
    edge = <double *>(<NumpyArray *><PyObject *>edges).data
    edge[bins] = high
    counts = zeros(bins, int64_dtype)
    table = <int64_t *>(<NumpyArray *><PyObject *>counts).data
    if n < atomic_read(&small_size):
        uniform_bins_count(<const double *>array.data, n, edge, bins, table, AVX512, AVX2)
    else:
        with nogil:
            uniform_bins_count(<const double *>array.data, n, edge, bins, table, AVX512, AVX2)
    return counts, edges


cdef bint is_number(object value) noexcept:
    return type(value) is float or type(value) is float64 or type(value) is int and -(1 << 53) <= value <= 1 << 53


def direct_unique_counts(tuple args, dict keywords):
    """`numpy.unique_counts` of native integers in a short range, or of few; otherwise NotImplemented."""
    cdef NumpyArray *array
    cdef Py_ssize_t n, size
    cdef char code
    cdef int64_t least = 0, greatest = 0
    cdef bint small
    x = args[0]
    if len(args) > 1 or keywords or type(x) is not array_type:
        return NotImplemented
    array = <NumpyArray *><PyObject *>x
    code = native_integer(array)
    if not code:
        return NotImplemented
    n = size_of(array)
    if not 0 < n < atomic_read(&direct_size):
        return NotImplemented
    small = n < atomic_read(&small_size)
    if small:
        extremes(code, array.data, n, &least, &greatest)
    else:
        with nogil:
            extremes(code, array.data, n, &least, &greatest)
    if <uint64_t>greatest - <uint64_t>least < <uint64_t>(MAX_RANGE_PER_KEY * n):
        size = <Py_ssize_t>(<uint64_t>greatest - <uint64_t>least + 1)
        return distinct_in_table(array, code, n, least, size, small)
    return distinct_sorted(x, code, n) if small else NotImplemented


cdef object distinct_in_table(NumpyArray *array, char code, Py_ssize_t n, int64_t low, Py_ssize_t size, bint small):
    cdef uint32_t *table = <uint32_t *>scratch_calloc((size + 1) * sizeof(uint32_t))
    cdef Py_ssize_t found
    cdef int64_t *counts
    cdef void *values
    if table is NULL:
        raise MemoryError
    try:
        if small:
            found = tabulate(code, table, low, size, array.data, n)
        else:
            with nogil:
                found = tabulate(code, table, low, size, array.data, n)
        # One more, for a store that is not kept.
        distinct, number = empty(found + 1, <object>array.descr), empty(found + 1, int64_dtype)
        values = (<NumpyArray *><PyObject *>distinct).data
        counts = <int64_t *>(<NumpyArray *><PyObject *>number).data
        if code == c"b" or code == c"B":
            collect(<uint8_t *>values, counts, table, low, size)
        elif code == c"h" or code == c"H":
            collect(<uint16_t *>values, counts, table, low, size)
        elif code == c"i" or code == c"I":
            collect(<uint32_t *>values, counts, table, low, size)
        else:
            collect(<uint64_t *>values, counts, table, low, size)
        distinct.resize(found, refcheck=False)
        number.resize(found, refcheck=False)
        return unique_result(distinct, number)
    finally:
        scratch_free(table)


cdef Py_ssize_t tabulate(
    char code, uint32_t *table, int64_t low, Py_ssize_t size, const void *keys, Py_ssize_t n
) noexcept nogil:
    """Count keys by their distance from the least; return how many distances occur. Keys that another thread has changed
    meanwhile, and that lie outside, are counted in the cell behind the table."""
    cdef Py_ssize_t place, found = 0
    if code == c"q" or code == c"Q":
        add_distances(table, low, size, <const uint64_t *>keys, n)
    elif code == c"i":
        add_distances(table, low, size, <const int32_t *>keys, n)
    elif code == c"I":
        add_distances(table, low, size, <const uint32_t *>keys, n)
    elif code == c"h":
        add_distances(table, low, size, <const int16_t *>keys, n)
    elif code == c"H":
        add_distances(table, low, size, <const uint16_t *>keys, n)
    elif code == c"b":
        add_distances(table, low, size, <const int8_t *>keys, n)
    else:
        add_distances(table, low, size, <const uint8_t *>keys, n)
    for place in range(size):
        found += table[place] != 0
    return found


cdef void add_distances(uint32_t *table, int64_t low, uint64_t size, const integer *keys, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint64_t distance
    for i in range(n):
        distance = load_once(keys + i) - <uint64_t>low
        table[distance if distance < size else size] += 1


cdef void collect(
    unsigned_integer *values, int64_t *counts, const uint32_t *table, uint64_t low, Py_ssize_t size
) noexcept nogil:
    cdef Py_ssize_t place, found = 0
    for place in range(size):
        values[found] = <unsigned_integer>(low + <uint64_t>place)
        counts[found] = table[place]
        found += table[place] != 0


cdef object distinct_sorted(object x, char code, Py_ssize_t n):
    cdef Py_ssize_t found
    cdef int64_t *counts
    cdef void *values
    keys = x.flatten("K")
    keys.sort()
    number = empty(n, int64_dtype)
    values = (<NumpyArray *><PyObject *>keys).data
    counts = <int64_t *>(<NumpyArray *><PyObject *>number).data
    if code == c"b" or code == c"B":
        found = run_lengths(<uint8_t *>values, counts, n)
    elif code == c"h" or code == c"H":
        found = run_lengths(<uint16_t *>values, counts, n)
    elif code == c"i" or code == c"I":
        found = run_lengths(<uint32_t *>values, counts, n)
    else:
        found = run_lengths(<uint64_t *>values, counts, n)
    if found < n:
        keys.resize(found, refcheck=False)
        number.resize(found, refcheck=False)
    return unique_result(keys, number)


cdef Py_ssize_t run_lengths(unsigned_integer *keys, int64_t *counts, Py_ssize_t n) noexcept nogil:
    """Keep one key of each run, in place."""
    cdef Py_ssize_t i, found = 0, start = 0
    for i in range(1, n):
        if keys[i] != keys[i - 1]:
            keys[found] = keys[i - 1]
            counts[found] = i - start
            found += 1
            start = i
    keys[found] = keys[n - 1]
    counts[found] = n - start
    return found + 1


cdef object unique_result(object values, object counts):
    global unique_counts_result
    if unique_counts_result is None:  # NumPy has no public name for it
        unique_counts_result = type(numpy.unique_counts(zeros(1)))
    return unique_counts_result(values, counts)


cdef bint direct_increment(object a, object by) except -1:
    """Add to a short array of int64 and return True; otherwise, and if `by` does not fit, False."""
    cdef NumpyArray *array = <NumpyArray *><PyObject *>a
    cdef Py_ssize_t n = size_of(array), i
    cdef int64_t *cells = <int64_t *>array.data
    cdef int64_t one
    cdef int overflow = 0
    if n > MAX_ADDED_IN_PLACE or n >= atomic_read(&direct_size):
        return False
    if not (array.flags & NUMPY_WRITEABLE and native_integer(array) == c"q"):
        return False
    one = PyLong_AsLongLongAndOverflow(by, &overflow)
    if overflow:
        return False
    for i in range(n):
        cells[i] = <int64_t>(<uint64_t>cells[i] + <uint64_t>one)
    return True


cdef object small_bincount(object x, object weights, object minlength):
    """The counts, or the sums of the weights. NotImplemented if an array is not small, or the call is an error."""
    cdef Vector keys, addends
    cdef int overflow = 0
    cdef int64_t bins
    if type(x) is list:
        x = asarray(x)
    if type(x) is not array_type or type(minlength) is not int:
        return NotImplemented
    bins = PyLong_AsLongLongAndOverflow(minlength, &overflow)
    if overflow or bins < 0:
        return NotImplemented
    if weights is None:
        counts = direct_bincount(x, bins)
        if counts is not NotImplemented:
            return counts
    keys.code = addends.code = 0
    try:
        open_vector(x, &keys)
        if not keys.code and x.ndim == 1 and x.dtype.kind in "iu":  # unaligned, or not in native byte order
            x = x.astype(x.dtype.newbyteorder("="))
            open_vector(x, &keys)
        if not (is_integer(keys.code) or keys.code == c"?") or keys.buffer.shape[0] >= atomic_read(&small_size):
            return NotImplemented
        if weights is not None and keys.buffer.shape[0]:  # NumPy looks at no weights where there are no keys
            if type(weights) is list or type(weights) is tuple:
                weights = asarray(weights)
            if type(weights) is not array_type:
                return NotImplemented
            open_vector(weights, &addends)
            if not (addends.code == c"d" or fits_int64(&addends)) and weights.dtype.char in "?bBhHiIlLqQefd":
                close_vector(&addends)
                weights = weights.astype(float64_dtype)
                open_vector(weights, &addends)
            if not (addends.code == c"d" or fits_int64(&addends)) or addends.buffer.shape[0] != keys.buffer.shape[0]:
                return NotImplemented
        return count(&keys, &addends, bins)
    finally:
        close_vector(&keys)
        close_vector(&addends)


cdef object count(Vector *keys, Vector *addends, int64_t bins):
    cdef Vector table
    cdef int64_t[ON_STACK] on_stack, weights_on_stack
    cdef int64_t *weights = NULL
    cdef uint64_t largest = 0
    cdef int64_t *copy = private_copy(keys, on_stack, &largest)
    cdef Py_ssize_t n = keys.buffer.shape[0]
    try:
        if largest >= <uint64_t> INT64_MAX:  # or negative
            return NotImplemented
        if n:
            bins = max(bins, <int64_t> largest + 1)
        counts = zeros(bins, float64_dtype if addends.code else int64_dtype)
        open_vector(counts, &table)
        if addends.code == c"d":
            weigh(<double *> table.buffer.buf, copy, <double *> addends.buffer.buf, addends.buffer.strides[0], n)
        elif addends.code:
            weights = private_copy(addends, weights_on_stack, &largest)
            weigh(<double *> table.buffer.buf, copy, weights, sizeof(int64_t), n)
        else:
            increment_each(<int64_t *> table.buffer.buf, copy, n)
        close_vector(&table)
        return counts
    finally:
        if copy is not on_stack:
            PyMem_Free(copy)
        if weights is not weights_on_stack:
            PyMem_Free(weights)


cdef void increment_each(int64_t *counts, const int64_t *keys, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        counts[keys[i]] += 1


cdef void weigh(double *sums, const int64_t *keys, weight *first, Py_ssize_t stride, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        sums[keys[i]] += <double> (<weight *> (<char *> first + i * stride))[0]


cdef bint small_add_at(object a, object indices, object b) except -1:
    """Add and return True; False without adding if an array is not small or of another kind, or an index is invalid."""
    cdef Vector cells, where, addends
    cdef int overflow = 0
    cdef int64_t one = 0
    cdef double value
    if type(indices) is list:
        indices = asarray(indices)
    if type(a) is not array_type or type(indices) is not array_type:
        return False
    if type(b) is int:
        one = PyLong_AsLongLongAndOverflow(b, &overflow)
        if not overflow and direct_add_at(a, indices, one):
            return True
    cells.code = where.code = addends.code = 0
    try:
        open_vector(a, &cells)
        open_vector(indices, &where)
        if not (is_integer(cells.code) or cells.code == c"d") or cells.buffer.readonly or not is_integer(where.code):
            return False
        if where.buffer.shape[0] >= atomic_read(&small_size):
            return False
        if type(b) is list:
            b = asarray(b)
        if type(b) is array_type:
            open_vector(b, &addends)
            if cells.code == c"d" and is_integer(addends.code):
                close_vector(&addends)
                open_vector(b.astype(float64_dtype), &addends)
            if addends.code != c"d" if cells.code == c"d" else not is_integer(addends.code):
                return False
            if addends.buffer.shape[0] != where.buffer.shape[0]:
                return False
        elif type(b) is int:
            one = PyLong_AsLongLongAndOverflow(b, &overflow)
            if overflow:
                return False
            if cells.code == c"d":
                value = <double> one
                memcpy(&one, &value, sizeof(one))
        elif type(b) is float and cells.code == c"d":
            value = b
            memcpy(&one, &value, sizeof(one))
        else:
            return False
        return add(&cells, &where, &addends, one)
    finally:
        close_vector(&cells)
        close_vector(&where)
        close_vector(&addends)


cdef bint numpy_add_at(object a, object indices, object b) except -1:
    """Add by NumPy's function, with copies of the indices, and return True; False for all but the most usual arguments."""
    cdef int overflow = 0
    if type(a) is not array_type or type(b) is not int or a.dtype.kind != "i":
        return False
    PyLong_AsLongLongAndOverflow(b, &overflow)
    if overflow:
        return False
    if type(indices) is tuple:
        if not all([type(index) is array_type for index in indices]):
            return False
        indices = tuple([index.copy() for index in indices])
    elif type(indices) is not int and type(indices) is not slice:
        return False
    add_ufunc_at(a, indices, b)
    return True


cdef bint add(Vector *cells, Vector *where, Vector *addends, int64_t one) except -1:
    cdef int64_t[ON_STACK] indices_on_stack, addends_on_stack
    cdef uint64_t largest = 0
    cdef int64_t *places = private_copy(where, indices_on_stack, &largest)
    cdef int64_t *each = &one
    cdef Py_ssize_t i, n = where.buffer.shape[0], size = cells.buffer.shape[0], stride = cells.buffer.strides[0]
    cdef bint wide = not fits_int64(where)
    try:
        for i in range(n if n and largest >= <uint64_t> size else 0):  # an index is negative, or too large
            if places[i] < 0 and not wide:
                places[i] += size
            if not 0 <= places[i] < size:
                return False
        if addends.code:
            each = private_copy(addends, addends_on_stack, &largest)
        if cells.code == c"d":
            add_each(<double *> cells.buffer.buf, stride, n, places, each, addends.code != 0)
        elif cells.buffer.itemsize == 1:
            add_each(<uint8_t *> cells.buffer.buf, stride, n, places, each, addends.code != 0)
        elif cells.buffer.itemsize == 2:
            add_each(<uint16_t *> cells.buffer.buf, stride, n, places, each, addends.code != 0)
        elif cells.buffer.itemsize == 4:
            add_each(<uint32_t *> cells.buffer.buf, stride, n, places, each, addends.code != 0)
        else:
            add_each(<uint64_t *> cells.buffer.buf, stride, n, places, each, addends.code != 0)
        return True
    finally:
        if places is not indices_on_stack:
            PyMem_Free(places)
        if each is not &one and each is not addends_on_stack:
            PyMem_Free(each)


cdef void add_each(
    number *first, Py_ssize_t stride, Py_ssize_t n, const int64_t *places, const int64_t *addends, Py_ssize_t step
) noexcept nogil:
    cdef Py_ssize_t i
    cdef number *cell
    cdef double value
    for i in range(n):
        cell = <number *> (<char *> first + places[i] * stride)
        if number is double:
            memcpy(&value, &addends[i * step], sizeof(value))
            cell[0] += value
        else:
            cell[0] += <number> addends[i * step]


cdef int open_vector(object array, Vector *vector) except -1:
    """Open the buffer of an array if it is one-dimensional, aligned, and in native byte order."""
    try:
        PyObject_GetBuffer(array, &vector.buffer, PyBUF_FORMAT | PyBUF_STRIDES)
    except (BufferError, ValueError):  # the dtype has no buffer format
        return 0
    vector.code = vector.buffer.format[0] if vector.buffer.ndim == 1 and strlen(vector.buffer.format) == 1 else 0
    if not vector.code:
        PyBuffer_Release(&vector.buffer)
    return 0


cdef int close_vector(Vector *vector) except -1:
    if vector.code:
        PyBuffer_Release(&vector.buffer)
        vector.code = 0
    return 0


cdef bint is_signed(char code) noexcept:
    return code == c"b" or code == c"h" or code == c"i" or code == c"l" or code == c"q"


cdef bint is_integer(char code) noexcept:
    return is_signed(code) or code == c"B" or code == c"H" or code == c"I" or code == c"L" or code == c"Q"


cdef bint fits_int64(Vector *vector) noexcept:
    return is_signed(vector.code) or vector.code == c"?" or is_integer(vector.code) and vector.buffer.itemsize < 8


cdef int64_t *private_copy(Vector *vector, int64_t *on_stack, uint64_t *largest) except NULL:
    """A copy that no other thread can change: integers and booleans as int64, doubles as their bits. `largest` becomes
    the largest element as an unsigned integer: negative ones are larger than all others."""
    cdef Py_ssize_t i, n = vector.buffer.shape[0], stride = vector.buffer.strides[0], size = vector.buffer.itemsize
    cdef int64_t *copy = on_stack if n <= ON_STACK else <int64_t *> PyMem_Malloc(n * sizeof(int64_t))
    cdef void *first = vector.buffer.buf
    if copy is NULL:
        raise MemoryError
    if size == 8:
        largest[0] = widen(<int64_t *> first, stride, n, copy)
    elif is_signed(vector.code):
        if size == 4:
            largest[0] = widen(<int32_t *> first, stride, n, copy)
        elif size == 2:
            largest[0] = widen(<int16_t *> first, stride, n, copy)
        else:
            largest[0] = widen(<int8_t *> first, stride, n, copy)
    elif size == 4:
        largest[0] = widen(<uint32_t *> first, stride, n, copy)
    elif size == 2:
        largest[0] = widen(<uint16_t *> first, stride, n, copy)
    else:
        largest[0] = widen(<uint8_t *> first, stride, n, copy)
    if vector.code == c"?" and largest[0] > 1:
        largest[0] = 1
        for i in range(n):
            copy[i] = copy[i] != 0
    return copy


cdef uint64_t widen(integer *first, Py_ssize_t stride, Py_ssize_t n, int64_t *copy) noexcept nogil:
    cdef Py_ssize_t i
    cdef int64_t value
    cdef uint64_t largest = 0
    for i in range(n):
        value = <int64_t> (<const volatile integer *> (<char *> first + i * stride))[0]  # another thread may change it
        copy[i] = value
        if <uint64_t> value > largest:
            largest = <uint64_t> value
    return largest
