"""The native threads of array functions: see native/thread_team.h."""

from cpython.pycapsule cimport PyCapsule_New

cdef extern from *:
    """
    #define THREAD_TEAM_IMPLEMENTATION
    #include "thread_team.h"
    """
    ctypedef struct TeamFunctions:
        pass
    const TeamFunctions team_functions
    void team_init()

team_init()
FUNCTIONS = PyCapsule_New(<void *>&team_functions, "parcount._native.thread_team.FUNCTIONS", NULL)
