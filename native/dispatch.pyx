"""The first step of an array function: calls with small arrays, and with arrays of other libraries, end here."""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from functools import update_wrapper
from importlib import import_module
from libc.stdint cimport INT64_MAX
from libc.string cimport memcpy, strlen

from numpy import add as numpy_add, asarray, dtype, float64, generic, int64, ndarray, zeros

from atomic cimport atomic_read, atomic_write
from integers cimport *

cdef extern from "Python.h":
    int64_t PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1

cdef enum:
    ON_STACK = 512  # the copy of an array of at most so many elements is on the stack

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

cdef type array_type = ndarray
cdef object int64_dtype = dtype(int64), float64_dtype = dtype(float64)
cdef object array_protocol = ndarray.__array_function__
cdef frozenset own_keywords = frozenset(["out", "threads", "on", "sorted"])  # which NumPy's functions do not have
cdef object add_ufunc_at = numpy_add.at
cdef int64_t small_size = 0


def set_small_size(int64_t elements):
    """Set the size below which an array counts as small."""
    atomic_write(&small_size, elements)


def dispatch(numpy_function):
    """Decorate a function with the arguments of `numpy_function` and additional keywords.

    `numpy_function` is called if the first argument is small and there are no additional keywords; `call_foreign` if the
    type of an argument has its own ``__array_function__``.
    """
    def decorate(implementation):
        def call(*args, **keywords):
            if args and is_small(args[0]) and own_keywords.isdisjoint(keywords):
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
            if out is None and threads is None and on is None and not others:
                counts = small_bincount(x, weights, minlength)
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
        if threads is None and type(a) is array_type and is_small(a) and (
            kind is int or kind is float or kind is array_type or kind is list or issubclass(kind, generic)
        ):
            a += by
        else:
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
    if keywords.get("out") is not None:
        raise TypeError(f"{numpy_function.__name__}() does not take out= with an argument of type {types[0].__name__}")
    return numpy_function(*args, **{name: value for name, value in keywords.items() if name not in own_keywords})


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
