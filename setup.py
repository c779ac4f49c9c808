"""The compiled modules; everything else about the project stands in pyproject.toml."""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# -O3: the loops are the product. No -march: wheels must run on every CPU of their architecture.
# -g0: Python's own flags ask for debugging information, which takes a quarter of the compiler's time.
OPTIMISE = ["/O2"] if sys.platform == "win32" else ["-O3", "-g0", "-Wno-unused-function", "-Wno-sign-compare"]

# PARCOUNT_SANITIZE: every access and every operation checked as it is done (make sanitize), or every access against
# those of other threads (make sanitize-threads).
SANITIZERS = {
    "": [],
    "memory": ["-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"],
    "threads": ["-fsanitize=thread"],
}
SANITIZER = os.environ.get("PARCOUNT_SANITIZE", "")
CHECKS = SANITIZERS[SANITIZER]
if CHECKS:
    OPTIMISE = ["-O1", "-g", "-fno-omit-frame-pointer", *CHECKS]

INCLUDE = "src/parcount/include"  # installed, for other modules to be compiled with
HEADERS = sorted(str(header) for folder in ("native", INCLUDE) for header in Path(folder).glob("*.h"))
MODULES = sorted(source.stem for source in Path("native").glob("*.pyx"))

SHARED = "_cyutility"
"""Cython's own code for memoryviews, which would otherwise be in each module: a third of the time to compile them."""

# One binary for this CPython and all later ones, for bench/abi3.py to measure: docs/wheels.md says why wheels are not
# built so.
ABI3 = os.environ.get("PARCOUNT_ABI3") == "1"
LIMITED_API = f"0x{sys.version_info.major:02X}{sys.version_info.minor:02X}0000"


class BuildExt(build_ext):
    """Editable installs and builds in place that reuse what was compiled: setuptools would use empty folders."""

    def finalize_options(self) -> None:
        """Set the folders, which for editable installs would be temporary ones."""
        super().finalize_options()
        if self.editable_mode or self.inplace:
            place = f"build/editable{SANITIZER}-{sys.implementation.cache_tag}{getattr(sys, 'abiflags', '')}"
            self.build_lib, self.build_temp = f"{place}/lib", f"{place}/temp"

    def run(self) -> None:
        """Compile, and remove modules beside the sources whose .pyx file is gone: they could still be imported."""
        super().run()
        if self.inplace or self.editable_mode:
            for module in Path("src/parcount/_native").glob("*.*"):
                if module.suffix in (".so", ".pyd") and module.name.partition(".")[0] not in (SHARED, *MODULES):
                    module.unlink()


def extension(name: str, *sources: str) -> Extension:
    """Return a compiled module of the package."""
    return Extension(
        f"parcount._native.{name}",
        [*sources],
        include_dirs=["native", INCLUDE],
        depends=HEADERS,
        define_macros=[("Py_LIMITED_API", LIMITED_API)] if ABI3 else [],
        py_limited_api=ABI3,
        extra_compile_args=OPTIMISE,
        extra_link_args=CHECKS,
    )


setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=cythonize(
        [extension(SHARED), *(extension(name, f"native/{name}.pyx") for name in MODULES)],
        shared_utility_qualified_name=f"parcount._native.{SHARED}",
        include_path=["native", "src"],
        build_dir="build/cython",
        nthreads=os.cpu_count() or 1 if sys.platform == "linux" else 0,  # elsewhere the processes would run this file
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "cdivision": True,
            "freethreading_compatible": True,
        },
    ),
    options={
        "bdist_wheel": {"py_limited_api": f"cp{sys.version_info.major}{sys.version_info.minor}" if ABI3 else False},
        # The modules are compiled side by side: the build is most of what a first `make study` waits for.
        "build_ext": {"parallel": True},
    },
)
