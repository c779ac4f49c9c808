"""parcount counts on every core.

It provides array functions with NumPy's arguments and results (`bincount`, `histogram`, `add_at`, `unique_counts`),
counters that threads and processes share, executions that map a function over items, and studies that measure what
threads and processes gain on this machine.

`__init__.pyi` lists the public names for type checkers, and this module reads them from there. Each is imported at its
first use, so ``import parcount`` loads no other module of the package, and not NumPy.
"""

from importlib import import_module as _import_module


def _read_public_names():
    """The public names in order, each with the module that defines it."""
    stub = __spec__.loader.get_data(f"{__path__[0]}/__init__.pyi").decode()
    imports = (line.split() for line in stub.splitlines() if line.startswith("from parcount"))
    return dict(sorted((name, module) for _, module, _, name, *_ in imports))


_MODULES = _read_public_names()

__all__ = list(_MODULES)


def __getattr__(name):
    if name == "__version__":
        from importlib.metadata import version

        value = version("parcount")
    elif name in _MODULES:
        value = getattr(_import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return [*__all__, "__version__", *(name for name in globals() if name.startswith("__") and name != "__version__")]
