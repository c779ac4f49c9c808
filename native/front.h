/* A callable that stands before a function of ours and the one of NumPy's whose place it takes. In C, and by the
   vectorcall protocol (PEP 590), for on small arrays this is all that a call costs beside NumPy's own time. */
#ifndef PARCOUNT_FRONT_H
#define PARCOUNT_FRONT_H

#include <Python.h>
#include <stddef.h>
#include <string.h>

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *attributes; /* its __dict__ */
    PyObject *numpys;
    PyObject *ours;
    PyObject *lazily;  /* who gets dask's arrays; None if nobody */
    PyObject *own;     /* tuple of the keywords that NumPy's has not */
    PyObject *ndarray; /* the type */
    PyObject *protocol; /* ndarray.__array_function__ */
    PyObject *size_name, *protocol_name, *module_name;
    Py_ssize_t sized; /* the argument whose size counts */
    Py_ssize_t needs; /* how many arguments NumPy's cannot do without */
} Front;

enum { FRONT_MOST_AXES = 64 }; /* as many as an array has dimensions */

/* Elements below which a call goes to NumPy. One thread may set it while others read it: each reads the old number or the
   new one, and none waits. */
static volatile Py_ssize_t front_small = 0;

static Py_ssize_t front_get_small(void)
{
#ifdef __GNUC__
    return __atomic_load_n(&front_small, __ATOMIC_RELAXED);
#else
    return front_small; /* MSVC accesses what is volatile, and no wider than a register, at once */
#endif
}

static void front_set_small(Py_ssize_t elements)
{
#ifdef __GNUC__
    __atomic_store_n(&front_small, elements, __ATOMIC_RELAXED);
#else
    front_small = elements;
#endif
}

static int front_has_own_keyword(Front *self, PyObject *names)
{
    Py_ssize_t count = names ? PyTuple_GET_SIZE(names) : 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        int found = PySequence_Contains(self->own, PyTuple_GET_ITEM(names, i));
        if (found)
            return found; /* -1 for an error */
    }
    return 0;
}

enum { FRONT_OURS = 0, FRONT_FOREIGN = 1, FRONT_DASKS = 2 };

/* Whether a type is of dask.array, which nobody needs to have imported to tell. */
static int front_is_dasks(Front *self, PyTypeObject *type)
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
    int dasks = name ? strncmp(name, home, sizeof home - 1) == 0 : -1;
    Py_DECREF(module);
    return dasks;
}

/* Whether an argument's type brings its own __array_function__, and then whether it is dask's. */
static int front_is_foreign(Front *self, PyObject *argument)
{
    if ((PyObject *)Py_TYPE(argument) == self->ndarray || PyLong_CheckExact(argument) || PyFloat_CheckExact(argument))
        return FRONT_OURS;
    PyObject *protocol = PyObject_GetAttr((PyObject *)Py_TYPE(argument), self->protocol_name);
    if (!protocol) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
        return FRONT_OURS;
    }
    int foreign = protocol != self->protocol && protocol != Py_None;
    Py_DECREF(protocol);
    if (!foreign)
        return FRONT_OURS;
    int dasks = self->lazily == Py_None ? 0 : front_is_dasks(self, Py_TYPE(argument));
    return dasks < 0 ? -1 : FRONT_FOREIGN + dasks;
}

/* The same, or that of something in it: `bins` and `sample` may be a sequence of arrays, one for each axis. */
static int front_holds_foreign(Front *self, PyObject *argument)
{
    int list = PyList_CheckExact(argument);
    if (!list && !PyTuple_CheckExact(argument))
        return front_is_foreign(self, argument);
    Py_ssize_t size = list ? PyList_GET_SIZE(argument) : PyTuple_GET_SIZE(argument);
    if (size > FRONT_MOST_AXES)
        return FRONT_OURS; /* numbers, and many: those are not looked at one by one */
    int most = FRONT_OURS;
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *part = PySequence_GetItem(argument, i);
        if (!part)
            return -1;
        int foreign = front_is_foreign(self, part);
        Py_DECREF(part);
        if (foreign < 0)
            return -1;
        if (foreign > most)
            most = foreign;
    }
    return most;
}

static int front_is_small(Front *self, PyObject *argument)
{
    if ((PyObject *)Py_TYPE(argument) != self->ndarray)
        return 0;
    PyObject *number = PyObject_GetAttr(argument, self->size_name);
    if (!number)
        return -1;
    Py_ssize_t size = PyLong_AsSsize_t(number);
    Py_DECREF(number);
    return size < front_get_small();
}

static PyObject *front_call(PyObject *callable, PyObject *const *args, size_t flagged, PyObject *names)
{
    Front *self = (Front *)callable;
    Py_ssize_t positional = PyVectorcall_NARGS(flagged);
    Py_ssize_t all = positional + (names ? PyTuple_GET_SIZE(names) : 0);
    int own = front_has_own_keyword(self, names);
    if (own < 0)
        return NULL;
    if (!own) {
        int small = positional > self->sized && all >= self->needs ? front_is_small(self, args[self->sized]) : 0;
        if (small < 0)
            return NULL;
        if (small) {
            PyObject *result = PyObject_Vectorcall(self->numpys, args, flagged, names);
            if (result || !PyErr_ExceptionMatches(PyExc_TypeError))
                return result;
            PyErr_Clear(); /* what NumPy does not take may be ours; what nobody takes, ours refuses */
        }
    }
    int most = FRONT_OURS;
    for (Py_ssize_t i = 0; i < all; i++) {
        int foreign = front_holds_foreign(self, args[i]);
        if (foreign < 0)
            return NULL;
        if (foreign > most)
            most = foreign;
    }
    if (most == FRONT_DASKS)
        return PyObject_Vectorcall(self->lazily, args, flagged, names);
    if (most == FRONT_FOREIGN && !own)
        return PyObject_Vectorcall(self->numpys, args, flagged, names);
    return PyObject_Vectorcall(self->ours, args, flagged, names);
}

static int front_traverse(Front *self, visitproc visit, void *arg)
{
    Py_VISIT(self->attributes);
    Py_VISIT(self->numpys);
    Py_VISIT(self->ours);
    Py_VISIT(self->lazily);
    Py_VISIT(self->own);
    Py_VISIT(self->ndarray);
    Py_VISIT(self->protocol);
    return 0;
}

static int front_clear(Front *self)
{
    Py_CLEAR(self->attributes);
    Py_CLEAR(self->numpys);
    Py_CLEAR(self->ours);
    Py_CLEAR(self->lazily);
    Py_CLEAR(self->own);
    Py_CLEAR(self->ndarray);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->size_name);
    Py_CLEAR(self->protocol_name);
    Py_CLEAR(self->module_name);
    return 0;
}

static void front_dealloc(Front *self)
{
    PyObject_GC_UnTrack(self);
    front_clear(self);
    PyObject_GC_Del(self);
}

static PyObject *front_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyObject_GetAttrString(self, "__qualname__"); /* pickled by name, as functions are */
}

static PyObject *front_repr(PyObject *self)
{
    PyObject *ours = ((Front *)self)->ours;
    return PyObject_Repr(ours);
}

/* Binds as a function does, which is also what help() knows one by. */
static PyObject *front_get(PyObject *self, PyObject *object, PyObject *type)
{
    (void)type;
    return object && object != Py_None ? PyMethod_New(self, object) : Py_NewRef(self);
}

static PyMethodDef front_methods[] = {
    {"__reduce__", front_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef front_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject FrontType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "parcount._native.front.Front",
    .tp_basicsize = sizeof(Front),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Front, vectorcall),
    .tp_dictoffset = offsetof(Front, attributes),
    .tp_call = PyVectorcall_Call,
    .tp_dealloc = (destructor)front_dealloc,
    .tp_traverse = (traverseproc)front_traverse,
    .tp_clear = (inquiry)front_clear,
    .tp_repr = front_repr,
    .tp_descr_get = front_get,
    .tp_methods = front_methods,
    .tp_getset = front_getset,
};

static PyObject *front_new(PyObject *numpys, PyObject *ours, PyObject *lazily, PyObject *own, PyObject *ndarray,
                           PyObject *protocol, Py_ssize_t sized, Py_ssize_t needs)
{
    if (PyType_Ready(&FrontType) < 0)
        return NULL;
    Front *self = PyObject_GC_New(Front, &FrontType);
    if (!self)
        return NULL;
    self->vectorcall = front_call;
    self->attributes = NULL;
    self->sized = sized;
    self->needs = needs;
    self->numpys = Py_NewRef(numpys);
    self->ours = Py_NewRef(ours);
    self->lazily = Py_NewRef(lazily);
    self->own = Py_NewRef(own);
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
