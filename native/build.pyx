"""What compiled these modules: numbers depend on it."""

cdef extern from *:
    """
    #if defined(__clang__) || defined(__GNUC__)
    #define PARCOUNT_COMPILER __VERSION__
    #elif defined(_MSC_FULL_VER)
    #define PARCOUNT_TEXT_(x) #x
    #define PARCOUNT_TEXT(x) PARCOUNT_TEXT_(x)
    #define PARCOUNT_COMPILER "MSVC " PARCOUNT_TEXT(_MSC_FULL_VER)
    #else
    #define PARCOUNT_COMPILER "unknown"
    #endif
    #if defined(__clang__)
    #define PARCOUNT_FAMILY ""
    #elif defined(__GNUC__)
    #define PARCOUNT_FAMILY "GCC "
    #else
    #define PARCOUNT_FAMILY ""
    #endif
    """
    const char *PARCOUNT_FAMILY
    const char *PARCOUNT_COMPILER
    const char *CYTHON_ABI

compiler = (PARCOUNT_FAMILY + PARCOUNT_COMPILER).decode()
cython = CYTHON_ABI.decode().replace("_", ".")
