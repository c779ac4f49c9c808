"""The files and the metadata of the distribution.

If PARCOUNT_WHEEL names a wheel, as in `make wheel`, it is checked; otherwise the installed package.
"""

import ast
import importlib
import inspect
import os
import re
import sys
import sysconfig
from email import message_from_bytes
from email.message import Message
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePosixPath
from types import ModuleType
from zipfile import ZipFile

import pytest

import parcount

WHEEL = Path(os.environ["PARCOUNT_WHEEL"]) if "PARCOUNT_WHEEL" in os.environ else None
PACKAGE = Path(parcount.__file__).parent
ROOT = Path(__file__).parents[1]
SUFFIX = EXTENSION_SUFFIXES[0]  # the most specific one: .cpython-311-x86_64-linux-gnu.so
MODULES = sorted(source.stem for source in (ROOT / "native").glob("*.pyx"))


@pytest.fixture(scope="module")
def installed() -> Distribution:
    return distribution("parcount")


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """The content of every file of the package by its path, such as ``parcount/py.typed``."""
    if WHEEL is None:
        return {
            path.relative_to(PACKAGE.parent).as_posix(): path.read_bytes()
            for path in PACKAGE.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
    with ZipFile(WHEEL) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist() if name.startswith("parcount/")}


@pytest.fixture(scope="module")
def metadata(installed: Distribution) -> Message:
    if WHEEL is None:
        return installed.metadata
    with ZipFile(WHEEL) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(wheel.read(name))


def test_versions_agree(metadata, installed):
    assert metadata["Version"] == installed.version == parcount.__version__


def test_numpy_is_the_only_dependency_outside_the_extras(metadata):
    always = [need for need in metadata.get_all("Requires-Dist") if "extra ==" not in need]
    assert [re.match(r"[\w.-]+", need)[0] for need in always] == ["numpy"]


def test_the_documented_extras_exist(metadata):
    assert set(metadata.get_all("Provides-Extra")) == {"all", "dask", "files", "loky", "mpi", "numba", "study"}


def test_the_licence_is_included(metadata, installed):
    assert metadata.get_all("License-File") == ["LICENSE"]
    text = installed.read_text("licenses/LICENSE")
    assert text is not None
    assert "Redistribution and use" in text


def test_every_entry_point_loads(installed):
    points = installed.entry_points
    assert [point.name for point in points.select(group="console_scripts")] == ["parcount"]
    assert all(point.load() is not None for point in points)


def test_types_are_included(files):
    assert {"parcount/py.typed", "parcount/__init__.pyi"} <= files.keys()


def test_every_source_has_a_compiled_module_and_a_stub(files):
    assert MODULES
    compiled = {name.removesuffix(SUFFIX) for name in files if name.endswith(SUFFIX)} - {"parcount/_native/_cyutility"}
    stubs = {name.removesuffix(".pyi") for name in files if name.endswith(".pyi")} - {"parcount/__init__"}
    assert compiled == stubs == {f"parcount/_native/{module}" for module in MODULES}


@pytest.mark.parametrize("name", MODULES)
def test_a_stub_has_the_names_of_its_module(name, files):
    module = importlib.import_module(f"parcount._native.{name}")
    stub = ast.parse(files[f"parcount/_native/{name}.pyi"])
    declared = {node.name: node for node in stub.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    variables = [node for node in stub.body if isinstance(node, ast.AnnAssign)]
    declared |= {node.target.id: node for node in variables if ast.unparse(node.annotation) != "TypeAlias"}
    defined = {
        name: thing
        for name, thing in vars(module).items()
        if not (name.startswith("_") or isinstance(thing, ModuleType))
        and getattr(thing, "__module__", module.__name__) == module.__name__
    }
    assert declared.keys() == defined.keys()
    for function in (node for node in declared.values() if isinstance(node, ast.FunctionDef)):
        taken = function.args
        described = [*taken.posonlyargs, *taken.args, *filter(None, [taken.vararg]), *taken.kwonlyargs]
        assert [each.arg for each in described] == list(inspect.signature(defined[function.name]).parameters)


def test_no_tests_and_no_sources_but_the_c_interface(files):
    sources = [name for name in files if PurePosixPath(name).suffix in {".pyx", ".pxd", ".pxi", ".c", ".h", ".cpp"}]
    internal = {"parcount/_native/bincount.pxd", "parcount/_native/histogram.pxd"} if WHEEL is None else set()
    assert sorted({*sources} - internal) == [
        "parcount/__init__.pxd",
        "parcount/_native/c_interface.pxd",
        "parcount/include/parcount.h",
    ]
    assert not [name for name in files if {"test", "tests"} & set(PurePosixPath(name).parts)]


needs_wheel = pytest.mark.skipif(WHEEL is None, reason="PARCOUNT_WHEEL names no wheel; `make wheel` sets it")


@needs_wheel
def test_the_tests_run_on_the_installed_wheel():
    assert PACKAGE.samefile(Path(sysconfig.get_path("platlib")) / "parcount")


@needs_wheel
def test_the_wheel_contains_only_the_package():
    with ZipFile(WHEEL) as wheel:
        tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"parcount", f"parcount-{parcount.__version__}.dist-info"}  # no parcount.libs: nothing is bundled


@needs_wheel
def test_the_wheel_is_for_this_python_and_for_other_machines():
    _, _, python, abi, platforms = WHEEL.stem.split("-")
    assert python == f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert abi == python + ("t" if sysconfig.get_config_var("Py_GIL_DISABLED") else "")
    if sys.platform == "linux":
        assert all(platform.startswith("manylinux") for platform in platforms.split("."))
    with ZipFile(WHEEL) as wheel:
        inside = message_from_bytes(wheel.read(f"parcount-{parcount.__version__}.dist-info/WHEEL"))
    assert sorted(inside.get_all("Tag")) == sorted(f"{python}-{abi}-{platform}" for platform in platforms.split("."))


@needs_wheel
@pytest.mark.skipif(sys.platform != "linux", reason="only ELF files carry their debug information with them")
def test_the_wheel_carries_no_debug_information(files):
    assert not [name for name, content in files.items() if name.endswith(SUFFIX) and b".debug_info" in content]
