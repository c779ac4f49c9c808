"""The import time of the package, its public names, and the examples in docstrings."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path
from sysconfig import get_config_var

import pytest

import parcount
from tests.conftest import Run
from tests.remote import TIME_LIMIT
from tests.test_distribution import MODULES as COMPILED

PACKAGE = Path(parcount.__file__).parent
OPTIONAL = ("dask", "distributed", "llvmlite", "loky", "matplotlib", "mpi4py", "numba", "rich", "scipy")

MODULES = sorted(
    ".".join(("parcount", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)


def loaded_by(run_script: Run, source: str) -> set[str]:
    """The modules that a new interpreter has loaded after running `source`."""
    ran = run_script(f"{source}\nimport sys\nprint(*sys.modules)")
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.splitlines()[-1].split())


class TestLoadedModules:
    def test_importing_loads_nothing(self, run_script: Run) -> None:
        loaded = loaded_by(run_script, "import parcount")
        assert [name for name in loaded if name.startswith("parcount")] == ["parcount"]
        assert not loaded & {*OPTIONAL, "multiprocessing", "numpy"}

    def test_counting_on_threads_loads_nothing_optional(self, run_script: Run) -> None:
        loaded = loaded_by(run_script, "import parcount as pc; pc.tally(1000, threads=2)")
        assert not loaded & {*OPTIONAL, "multiprocessing"}

    def test_counting_on_processes_loads_nothing_optional(self, run_script: Run) -> None:
        source = "import parcount as pc\nif __name__ == '__main__':\n    pc.tally(1000, on=pc.Processes(1))"
        assert not loaded_by(run_script, source) & set(OPTIONAL)

    @pytest.mark.parametrize("kind", ["Atomic", "Concurrent", "Local", "Locked", "Sharded"])
    def test_counters_of_threads_load_no_numpy(self, run_script: Run, kind: str) -> None:
        loaded = loaded_by(run_script, f"import parcount as pc; pc.{kind}Counter()")
        assert not loaded & {*OPTIONAL, "multiprocessing", "numpy"}

    def test_shared_counters_load_nothing_optional(self, run_script: Run) -> None:
        assert not loaded_by(run_script, "import parcount as pc; pc.SharedCounter()") & set(OPTIONAL)


@pytest.mark.skipif(not get_config_var("Py_GIL_DISABLED"), reason="this build of CPython always has the GIL")
class TestGIL:
    """Importing a module that does not declare support for running without the GIL enables it, with a warning."""

    def assert_disabled_after(self, run_script: Run, source: str) -> None:
        check = "import sys\nassert not sys._is_gil_enabled()\n"
        ran = run_script(check + source + check, environment={"PYTHON_GIL": "", "PYTHONWARNINGS": "error"})
        assert ran.returncode == 0, ran.stderr

    def test_no_public_name_enables_it(self, run_script: Run) -> None:
        self.assert_disabled_after(run_script, "from parcount import *\n")

    @pytest.mark.parametrize("module", COMPILED)
    def test_no_compiled_module_enables_it(self, module: str, run_script: Run) -> None:
        self.assert_disabled_after(run_script, f"import parcount._native.{module}\n")


class TestPublicNames:
    @pytest.mark.parametrize("name", parcount.__all__)
    def test_every_public_name_resolves(self, name: str) -> None:
        public = getattr(parcount, name)
        assert public.__name__ == name
        assert public.__doc__

    def test_dir_shows_the_public_names_only(self) -> None:
        assert parcount.__all__ == sorted(set(parcount.__all__))
        assert [name for name in dir(parcount) if not name.startswith("__")] == parcount.__all__
        assert len(set(dir(parcount))) == len(dir(parcount))

    def test_a_name_is_looked_up_once(self) -> None:
        assert parcount.tally is parcount.tally
        assert "tally" in vars(parcount)

    def test_an_unknown_name_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="module 'parcount' has no attribute 'juggle'"):
            _ = parcount.juggle
        with pytest.raises(ImportError, match="cannot import name 'juggle'"):
            exec("from parcount import juggle")

    @pytest.mark.slow
    def test_a_type_checker_knows_the_public_names_and_no_others(self, tmp_path: Path) -> None:
        pytest.importorskip("mypy")
        (tmp_path / "user.py").write_text("import parcount as pc\npc.juggle\nreveal_type(pc.get_num_threads)\n")
        checked = subprocess.run(
            [sys.executable, "-m", "mypy", "--config-file=", "--cache-dir=cache", "user.py"],
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
            check=False,
            cwd=tmp_path,
        )
        error, revealed, _ = checked.stdout.splitlines()
        assert 'user.py:2: error: Module has no attribute "juggle"' in error
        assert '"def () -> int"' in revealed

    def test_version(self) -> None:
        assert parcount.__version__.count(".") >= 2


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings(module: str) -> None:
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        pytest.skip(f"needs {error.name}")
    found = doctest.testmod(imported)
    assert found.failed == 0
    assert found.attempted > 0
