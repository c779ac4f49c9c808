"""What is particular to interpreters."""

import gc
import threading
import weakref
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NoReturn

import numpy as np
import pytest

import parcount as pc
from parcount.execution.errors import RemoteTraceback
from parcount.execution.interpreters import missing, refusal
from tests import plain, remote
from tests.conftest import Run
from tests.plain import until

if (reason := missing()) is not None:
    pytest.skip(reason, allow_module_level=True)

NO_NUMPY = "numpy cannot be imported in a subinterpreter: " in str(refusal("numpy"))
"""Whether NumPy does not load there. A release may come that does."""


def running() -> list[Any]:
    interpreters: list[Any] = import_module("concurrent.interpreters").list_all()
    return interpreters


@pytest.fixture(scope="module")
def pair() -> Iterator[pc.Interpreters]:
    with pc.Interpreters(2) as pair:
        yield pair


class TestApart:
    def test_each_has_a_gil_of_its_own(self, pair: pc.Interpreters) -> None:
        assert pair.map(plain.Rally(np.zeros(1, np.int64).data), [0, 1]) == [0, 1]

    def test_modules_are_not_shared(self) -> None:
        before = len(plain.KEPT)
        for _ in range(2):
            with pc.Interpreters(1) as one:
                assert one.map(plain.keep, [7, 7]) == [1, 2]
        assert len(plain.KEPT) == before

    def test_no_numpy_is_needed(self) -> None:
        with pc.Interpreters(1) as one:
            pc.tally(1000, on=pc.Serial())  # loads it here
            assert one.map(plain.is_loaded, ["numpy", "parcount", "tests.plain"]) == [False, True, True]

    def test_all_are_gone_after_the_with(self) -> None:
        before = running()
        with pc.Interpreters(2) as pair:
            pair.together(abs, [-1, -2])
            assert len(running()) == len(before) + 2
        assert running() == before

    def test_all_are_gone_after_failed_calls(self) -> None:
        before = running()
        with pytest.raises(ValueError, match="3 is odd"):
            pc.Interpreters(2).map(plain.fail_on_odd, [2, 3, 4])
        with pytest.raises(LookupError, match="no table"):
            pc.Interpreters(2, initializer=plain.fail_to_set_up, initargs=("no table",)).map(abs, [1, 2])
        assert running() == before

    def test_python_ends_in_peace_before_they_do(self, run_script: Run) -> None:
        ran = run_script("""
import parcount as pc
if __name__ == "__main__":
    results = pc.Interpreters(2).imap(abs, range(100))
    assert next(results) == 0
    pc.Interpreters(2).__enter__().map(abs, [-1, -2])
""")
        assert (ran.returncode, ran.stderr) == (0, "")


class TestMessages:
    def test_a_memoryview_crosses_without_a_copy(self, pair: pc.Interpreters) -> None:
        cells = np.zeros((2, 3), np.float64)
        pair.map(plain.count_up, [row.data for row in cells])
        assert pair.map(memoryview.tolist, [cells.data]) == [[[1.0] * 3] * 2]
        assert pair.map(plain.unpack, [{"views": [cells[1].data]}]) == [[1.0] * 3]

    def test_none_is_held_on_to(self, pair: pc.Interpreters) -> None:
        cells = np.zeros(1000)
        left = weakref.ref(cells)
        pair.together(plain.count_up, [cells.data])
        del cells
        gc.collect()
        until(lambda: left() is None, "the workers still have the memory")

    def test_one_that_may_not_be_written_stays_so(self, pair: pc.Interpreters) -> None:
        with pytest.raises(TypeError, match="cannot modify read-only memory"):
            pair.map(plain.count_up, [memoryview(b"abc")])

    def test_one_with_gaps_is_refused(self, pair: pc.Interpreters) -> None:
        with pytest.raises(Exception, match="non-contiguous"):
            pair.map(len, [np.zeros(10)[::2].data])

    def test_an_object_that_cannot_be_pickled_is_named(self, pair: pc.Interpreters, call: str) -> None:
        with pytest.raises(TypeError, match=r"^lock\.__enter__, a _thread\.lock, cannot be sent to a worker: "):
            getattr(pair, call)(threading.Lock().__enter__, [1, 2])
        with pytest.raises(TypeError, match=r"item 1, a _thread.lock, cannot be sent to a worker: cannot pickle"):
            getattr(pair, call)(abs, [-1, threading.Lock()])
        with pytest.raises(
            TypeError, match=r"the result of item 0, a _thread.lock, cannot be sent to the caller: cannot"
        ):
            getattr(pair, call)(plain.unpicklable_result, [0, 1])
        assert pair.map(abs, [-1, -2]) == [1, 2]

    def test_before_any_interpreter_starts(self, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
        def create() -> NoReturn:
            raise AssertionError("one was started")

        monkeypatch.setattr(import_module("concurrent.interpreters"), "create", create)
        with pytest.raises(TypeError, match=r"item 1, a _thread.lock, cannot be sent to a worker: cannot pickle"):
            getattr(pc.Interpreters(2), call)(abs, [-1, threading.Lock()])
        with pytest.raises(
            TypeError, match=r"the initializer's argument 0, a _thread.lock, cannot be sent to a worker"
        ):
            getattr(pc.Interpreters(2, initializer=abs, initargs=(threading.Lock(),)), call)(abs, [-1])

    def test_lambdas_and_closures_go_by_value(self, pair: pc.Interpreters, call: str) -> None:
        pytest.importorskip("cloudpickle")
        three = 3
        answer = getattr(pair, call)(lambda x: x + three, [1, 2])
        assert answer == [4, 5] or answer[0] == [4, 5]

    def test_an_item_that_cannot_be_unpickled_fails_alone(self, pair: pc.Interpreters, call: str) -> None:
        with pytest.raises(LookupError, match="cannot be unpickled"):
            getattr(pair, call)(abs, [-1, plain.RefusesToArrive()])
        assert pair.map(abs, [-1, -2]) == [1, 2]

    def test_an_exception_comes_with_its_traceback(self, pair: pc.Interpreters, call: str) -> None:
        with pytest.raises(plain.Peculiar) as caught:
            getattr(pair, call)(plain.fail_peculiarly, [0])
        assert isinstance(caught.value.__cause__, RemoteTraceback)
        assert "in fail_peculiarly" in caught.value.__cause__.text

    def test_an_exception_that_cannot_be_pickled_keeps_its_type(self, pair: pc.Interpreters, capfd: Any) -> None:
        with pytest.raises(plain.Lost, match="has a lock"):
            pair.map(plain.fail_unpicklably, ["has a lock"])
        assert capfd.readouterr() == ("", "")


class TestImports:
    @pytest.mark.skipif(not NO_NUMPY, reason="NumPy loads there")
    def test_what_needs_numpy_is_told_so(self, pair: pc.Interpreters, call: str) -> None:
        for function, item in ((remote.echo, 1), (len, np.arange(3)), (plain.load, "numpy"), (np.sum, [1])):
            with pytest.raises(ImportError, match="numpy cannot be imported in a subinterpreter: ") as caught:
                getattr(pair, call)(function, [item])
            assert caught.value.name == "numpy"
            assert "\n" not in str(caught.value)
        assert getattr(pair, call)(abs, [-1])[0] in (1, [1])

    @pytest.mark.parametrize("module", ["numpy", "parcount._native.tally"])
    def test_a_module_that_refuses_is_named(self, module: str) -> None:
        reason = refusal(module)
        if reason is None:
            pytest.skip(f"{module} loads there")
        assert reason.startswith(f"{module} cannot be imported in a subinterpreter: ")

    def test_others_are_what_they_are(self) -> None:
        assert refusal("json") is None
        assert refusal("parcount.kernels.python_loops") is None
        assert refusal("no_such_module") == "No module named 'no_such_module'"

    def test_a_module_that_is_not_there_is_no_other_error(self, pair: pc.Interpreters) -> None:
        with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_module'"):
            pair.map(plain.load, ["no_such_module"])

    def test_counting_by_a_compiled_loop_names_it(self, pair: pc.Interpreters) -> None:
        if refusal("parcount._native.tally") is None:
            pytest.skip("it loads there")
        with pytest.raises(ImportError, match="cannot be imported in a subinterpreter"):
            pc.tally(1000, on=pair)


class TestMain:
    def test_a_scripts_own_functions_and_classes(self, run_script: Run) -> None:
        ran = run_script("""
import parcount as pc

STEP = 7

class Number:
    def __init__(self, value):
        self.value = value

def work(number):
    return Number(number.value + STEP)

def again(number):
    return pc.Interpreters(1).map(work, [number])[0]

if __name__ == "__main__":
    for on in (pc.Interpreters(2), pc.Processes(1)):
        print(on.map(again, [Number(1)])[0].value)
""")
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "8\n8\n", "")

    def test_a_script_without_a_main_guard_raises_with_a_hint(self, run_script: Run) -> None:
        ran = run_script("""
import parcount as pc
def work(x):
    return x
pc.Interpreters(1).map(work, [1])
""")
        assert ran.returncode == 1
        assert "RuntimeError" in ran.stderr
        assert "if __name__ == '__main__':" in ran.stderr


@pytest.fixture(params=["map", "together"])
def call(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name
