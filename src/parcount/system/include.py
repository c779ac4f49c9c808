"""Where the C header of the package is installed."""

from pathlib import Path


def get_include() -> str:
    """Return the folder that contains ``parcount.h``.

    C and C++ code that is compiled with this folder in its include path can call the counting loops without the GIL.
    Cython code needs no include path: it finds the functions with ``cimport parcount``.

    Returns
    -------
    str
        An absolute path.

    Examples
    --------
    >>> from pathlib import Path
    >>> import parcount as pc
    >>> Path(pc.get_include(), "parcount.h").is_file()
    True
    """
    return str(Path(__file__).resolve().parents[1] / "include")
