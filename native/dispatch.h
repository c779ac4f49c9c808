/* A callable that stands before a function of implementation and the one of NumPy's whose place it takes. In C, and by the
   vectorcall protocol (PEP 590), for on small arrays this is all that a call costs beside NumPy's own time. */
#ifndef PARCOUNT_DISPATCH_H
#define PARCOUNT_DISPATCH_H

#include <Python.h>
#include <stddef.h>
#include <string.h>

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *attributes; /* its __dict__ */
    PyObject *numpy_function;
    PyObject *implementation;
    PyObject *dask_function; /* for dask arrays; None if there is none */
    PyObject *own_keywords;  /* tuple of the keywords that NumPy's function does not have */
    PyObject *ndarray; /* the type */
    PyObject *protocol; /* ndarray.__array_function__ */
    PyObject *size_name, *protocol_name, *module_name;
    Py_ssize_t size_argument; /* position of the argument whose size decides */
    Py_ssize_t required;      /* how many arguments NumPy's function needs */
} Dispatcher;

enum { DISPATCH_MOST_AXES = 64 }; /* as many as an array has dimensions */

/* Elements below which a call goes to NumPy. One thread may set it while others read it: each reads the old number or the
   new one, and none waits. */
static volatile Py_ssize_t dispatch_small = 0;

static Py_ssize_t dispatch_get_small(void)
{
#ifdef __GNUC__
    return __atomic_load_n(&dispatch_small, __ATOMIC_RELAXED);
#else
    return dispatch_small; /* MSVC accesses what is volatile, and no wider than a register, at once */
#endif
}

static void dispatch_set_small(Py_ssize_t elements)
{
#ifdef __GNUC__
    __atomic_store_n(&dispatch_small, elements, __ATOMIC_RELAXED);
#else
    dispatch_small = elements;
#endif
}

static int dispatch_has_own_keyword(Dispatcher *self, PyObject *names)
{
    Py_ssize_t count = names ? PyTuple_GET_SIZE(names) : 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        int found = PySequence_Contains(self->own_keywords, PyTuple_GET_ITEM(names, i));
        if (found)
            return found; /* -1 for an error */
    }
    return 0;
}

enum { DISPATCH_OURS = 0, DISPATCH_FOREIGN = 1, DISPATCH_DASK = 2 };

/* Whether a type is of dask.array, which nobody needs to have imported to tell. */
static int dispatch_is_dask(Dispatcher *self, PyTypeObject *type)
{
    static const char home[] = "dask.array.";
    PyObject *module = PyObject_GetAttr((PyObject *)type, self->module_name);
    if (!module) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    const char *name = PyUnicode_Check(module) ? PyUnicode_AsUTF8(module) : "";
    int dask = name ? strncmp(name, home, sizeof home - 1) == 0 : -1;
    Py_DECREF(module);
    return dask;
}

/* Whether an argument's type brings its own __array_function__, and then whether it is dask's. */
static int dispatch_is_foreign(Dispatcher *self, PyObject *argument)
{
    if ((PyObject *)Py_TYPE(argument) == self->ndarray || PyLong_CheckExact(argument) || PyFloat_CheckExact(argument))
        return DISPATCH_OURS;
    PyObject *protocol = PyObject_GetAttr((PyObject *)Py_TYPE(argument), self->protocol_name);
    if (!protocol) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
        return DISPATCH_OURS;
    }
    int foreign = protocol != self->protocol && protocol != Py_None;
    Py_DECREF(protocol);
    if (!foreign)
        return DISPATCH_OURS;
    int dask = self->dask_function == Py_None ? 0 : dispatch_is_dask(self, Py_TYPE(argument));
    return dask < 0 ? -1 : DISPATCH_FOREIGN + dask;
}

/* The same, or that of something in it: `bins` and `sample` may be a sequence of arrays, one for each axis. */
static int dispatch_holds_foreign(Dispatcher *self, PyObject *argument)
{
    int list = PyList_CheckExact(argument);
    if (!list && !PyTuple_CheckExact(argument))
        return dispatch_is_foreign(self, argument);
    Py_ssize_t size = list ? PyList_GET_SIZE(argument) : PyTuple_GET_SIZE(argument);
    if (size > DISPATCH_MOST_AXES)
        return DISPATCH_OURS; /* numbers, and many: those are not looked at one by one */
    int most = DISPATCH_OURS;
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *part = PySequence_GetItem(argument, i);
        if (!part)
            return -1;
        int foreign = dispatch_is_foreign(self, part);
        Py_DECREF(part);
        if (foreign < 0)
            return -1;
        if (foreign > most)
            most = foreign;
    }
    return most;
}

static int dispatch_is_small(Dispatcher *self, PyObject *argument)
{
    if ((PyObject *)Py_TYPE(argument) != self->ndarray)
        return 0;
    PyObject *number = PyObject_GetAttr(argument, self->size_name);
    if (!number)
        return -1;
    Py_ssize_t size = PyLong_AsSsize_t(number);
    Py_DECREF(number);
    return size < dispatch_get_small();
}

static PyObject *dispatcher_call(PyObject *callable, PyObject *const *args, size_t flagged, PyObject *names)
{
    Dispatcher *self = (Dispatcher *)callable;
    Py_ssize_t positional = PyVectorcall_NARGS(flagged);
    Py_ssize_t all = positional + (names ? PyTuple_GET_SIZE(names) : 0);
    int own = dispatch_has_own_keyword(self, names);
    if (own < 0)
        return NULL;
    if (!own) {
        int small = positional > self->size_argument && all >= self->required ? dispatch_is_small(self, args[self->size_argument]) : 0;
        if (small < 0)
            return NULL;
        if (small) {
            PyObject *result = PyObject_Vectorcall(self->numpy_function, args, flagged, names);
            if (result || !PyErr_ExceptionMatches(PyExc_TypeError))
                return result;
            PyErr_Clear(); /* what NumPy does not take may be implementation; what nobody takes, implementation refuses */
        }
    }
    int most = DISPATCH_OURS;
    for (Py_ssize_t i = 0; i < all; i++) {
        int foreign = dispatch_holds_foreign(self, args[i]);
        if (foreign < 0)
            return NULL;
        if (foreign > most)
            most = foreign;
    }
    if (most == DISPATCH_DASK)
        return PyObject_Vectorcall(self->dask_function, args, flagged, names);
    if (most == DISPATCH_FOREIGN && !own)
        return PyObject_Vectorcall(self->numpy_function, args, flagged, names);
    return PyObject_Vectorcall(self->implementation, args, flagged, names);
}

static int dispatcher_traverse(Dispatcher *self, visitproc visit, void *arg)
{
    Py_VISIT(self->attributes);
    Py_VISIT(self->numpy_function);
    Py_VISIT(self->implementation);
    Py_VISIT(self->dask_function);
    Py_VISIT(self->own_keywords);
    Py_VISIT(self->ndarray);
    Py_VISIT(self->protocol);
    return 0;
}

static int dispatcher_clear(Dispatcher *self)
{
    Py_CLEAR(self->attributes);
    Py_CLEAR(self->numpy_function);
    Py_CLEAR(self->implementation);
    Py_CLEAR(self->dask_function);
    Py_CLEAR(self->own_keywords);
    Py_CLEAR(self->ndarray);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->size_name);
    Py_CLEAR(self->protocol_name);
    Py_CLEAR(self->module_name);
    return 0;
}

static void dispatcher_dealloc(Dispatcher *self)
{
    PyObject_GC_UnTrack(self);
    dispatcher_clear(self);
    PyObject_GC_Del(self);
}

static PyObject *dispatcher_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyObject_GetAttrString(self, "__qualname__"); /* pickled by name, as functions are */
}

static PyObject *dispatcher_repr(PyObject *self)
{
    PyObject *implementation = ((Dispatcher *)self)->implementation;
    return PyObject_Repr(implementation);
}

/* Binds as a function does, which is also what help() knows one by. */
static PyObject *dispatcher_get(PyObject *self, PyObject *object, PyObject *type)
{
    (void)type;
    return object && object != Py_None ? PyMethod_New(self, object) : Py_NewRef(self);
}

static PyMethodDef dispatcher_methods[] = {
    {"__reduce__", dispatcher_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef dispatcher_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject DispatcherType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "parcount._native.dispatch.Dispatcher",
    .tp_basicsize = sizeof(Dispatcher),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Dispatcher, vectorcall),
    .tp_dictoffset = offsetof(Dispatcher, attributes),
    .tp_call = PyVectorcall_Call,
    .tp_dealloc = (destructor)dispatcher_dealloc,
    .tp_traverse = (traverseproc)dispatcher_traverse,
    .tp_clear = (inquiry)dispatcher_clear,
    .tp_repr = dispatcher_repr,
    .tp_descr_get = dispatcher_get,
    .tp_methods = dispatcher_methods,
    .tp_getset = dispatcher_getset,
};

static PyObject *dispatcher_new(PyObject *numpy_function, PyObject *implementation, PyObject *dask_function, PyObject *own_keywords, PyObject *ndarray,
                           PyObject *protocol, Py_ssize_t size_argument, Py_ssize_t required)
{
    if (PyType_Ready(&DispatcherType) < 0)
        return NULL;
    Dispatcher *self = PyObject_GC_New(Dispatcher, &DispatcherType);
    if (!self)
        return NULL;
    self->vectorcall = dispatcher_call;
    self->attributes = NULL;
    self->size_argument = size_argument;
    self->required = required;
    self->numpy_function = Py_NewRef(numpy_function);
    self->implementation = Py_NewRef(implementation);
    self->dask_function = Py_NewRef(dask_function);
    self->own_keywords = Py_NewRef(own_keywords);
    self->ndarray = Py_NewRef(ndarray);
    self->protocol = Py_NewRef(protocol);
    self->size_name = PyUnicode_InternFromString("size");
    self->protocol_name = PyUnicode_InternFromString("__array_function__");
    self->module_name = PyUnicode_InternFromString("__module__");
    PyObject_GC_Track(self);
    if (!self->size_name || !self->protocol_name || !self->module_name) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

#endif
