"""What cannot be sent to a worker: named, with a hint, before any starts; and what cloudpickle can."""

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import parcount as pc
from parcount.execution import pickling
from parcount.execution.interpreters import missing
from parcount.execution.processes import serialisation, supervisor
from tests import remote
from tests.remote import TIME_LIMIT

pytestmark = pytest.mark.timeout(60)

TAKE_BY_VALUE = [
    "Processes(1, start_method='spawn'",
    pytest.param(
        "Processes(1, start_method='forkserver'",
        marks=pytest.mark.skipif(sys.platform != "linux", reason="by default on Linux alone"),
    ),
    pytest.param("Interpreters(1", marks=pytest.mark.skipif(missing() is not None, reason=str(missing()))),
]

CALLS = ["map", "together", "imap", "imap_unordered"]


class Locked:
    """Does not pickle."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, item: int) -> int:
        return item


@pytest.fixture
def no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr(supervisor.WorkerPool, "_start", start)


@pytest.fixture
def no_cloudpickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)


def call(name: str, function: Callable[[Any], Any], items: list[Any], on: pc.Execution) -> Any:
    results = getattr(on, name)(function, items)
    return list(results[0] if name == "together" else results)


@pytest.mark.usefixtures("no_start")
class TestBeforeAnyWorkerStarts:
    @pytest.mark.usefixtures("no_cloudpickle")
    @pytest.mark.parametrize("name", CALLS)
    def test_a_function_is_named(self, name: str) -> None:
        with pytest.raises(TypeError) as caught:
            call(name, lambda x: x, [1], pc.Processes(1))
        said = str(caught.value)
        assert (
            "test_pickling.TestBeforeAnyWorkerStarts.test_a_function_is_named.<locals>.<lambda> cannot be sent" in said
        )
        assert "pip install 'parcount[study]'" in said
        assert "Threads do not pickle" in said
        assert caught.value.__cause__ is not None

    @pytest.mark.parametrize("name", CALLS)
    def test_one_that_even_cloudpickle_refuses(self, name: str) -> None:
        pytest.importorskip("cloudpickle")
        with pytest.raises(TypeError, match=r"a Locked cannot be sent .* Cloudpickle cannot pickle it either"):
            call(name, Locked(), [1], pc.Processes(1))

    @pytest.mark.parametrize("name", ["map", "together"])
    def test_an_item_is_named(self, name: str) -> None:
        with pytest.raises(TypeError, match="item 1, a Locked, cannot be sent to a worker: cannot pickle"):
            call(name, abs, [0, Locked()], pc.Processes(2))

    def test_an_initializer_and_its_arguments_are_named(self) -> None:
        pytest.importorskip("cloudpickle")
        with pytest.raises(TypeError, match="a Locked cannot be sent to a worker: cannot pickle"):
            pc.Processes(1, initializer=Locked()).map(abs, [1])
        with pytest.raises(
            TypeError, match="the initializer's argument 1, a Locked, cannot be sent to a worker: cannot"
        ):
            pc.Processes(1, initializer=print, initargs=(0, Locked())).__enter__()

    def test_an_items_own_error_is_the_cause(self) -> None:
        with pytest.raises(TypeError, match=r"item 0, a RefusesToLeave, cannot be sent .* not me") as caught:
            pc.Processes(1).map(remote.echo, [remote.RefusesToLeave()])
        assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize("name", CALLS)
def test_items_of_a_call_on_warm_workers(name: str) -> None:
    with pc.Processes(2) as pool:
        with pytest.raises(TypeError, match="item 1, a Locked, cannot be sent"):
            call(name, remote.echo, [0, Locked()], pool)
        assert call(name, remote.echo, [1, 2], pool) in ([1, 2], [2, 1])


def test_the_systems_own_errors_stay() -> None:
    error = MemoryError("full")
    assert pickling.unpicklable("item 3", None, error) is error


class TestCloudpickle:
    @pytest.mark.parametrize("name", CALLS)
    def test_takes_lambdas_and_closures(self, name: str) -> None:
        pytest.importorskip("cloudpickle")
        add = 5

        def function(x: int) -> int:
            return x + add

        assert sorted(call(name, function, [1, 2], pc.Processes(2))) == [6, 7]
        assert sorted(call(name, lambda x: x * add, [1, 2], pc.Processes(2))) == [5, 10]

    def test_takes_initializers(self) -> None:
        pytest.importorskip("cloudpickle")
        seen = pc.shared_array(1)
        assert pc.Processes(1, initializer=lambda a: a.fill(7), initargs=(seen,)).map(abs, [-1]) == [1]
        assert seen[0] == 7

    @pytest.mark.parametrize("piped", [False, True])
    @pytest.mark.parametrize("execution", TAKE_BY_VALUE)
    def test_takes_what_was_typed_in(self, execution: str, piped: bool) -> None:
        """No file holds it that a worker could import it from."""
        pytest.importorskip("cloudpickle")
        source = f"""
import sys
from functools import partial
import parcount as pc
def begin(): sys.power = 2
def power(x, by=None): return x ** (by or sys.power)
execution = pc.{execution}, initializer=begin)
print(execution.map(power, [3]), execution.map(partial(power, by=3), [3]), __name__)
"""
        ran = subprocess.run(
            [sys.executable, *(["-"] if piped else ["-c", source])],
            input=source if piped else None,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
            check=False,
        )
        assert (ran.stdout, ran.stderr) == ("[9] [27] __main__\n", "")

    @pytest.mark.usefixtures("no_cloudpickle")
    def test_without_it_interactive_functions_raise(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
        function = Locked.__call__
        monkeypatch.setattr(function, "__module__", "__main__")
        monkeypatch.setattr(sys.modules["__main__"], "Locked", Locked, raising=False)
        with pytest.raises(TypeError, match="it was defined interactively, and workers cannot import it"):
            pickling.make_picklable(function, (), serialisation.check)
        assert pickling.make_picklable(function, (), serialisation.check, forked=True) is function
