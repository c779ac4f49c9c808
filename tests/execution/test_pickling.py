"""What workers can import by name and what goes by value; refusals come before any worker starts."""

import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from functools import lru_cache, partial
from multiprocessing import get_all_start_methods
from typing import Any

import numpy as np
import pytest

import parcount as pc
from parcount.execution import pickling
from parcount.execution.interpreters import missing
from parcount.execution.processes import serialisation, supervisor
from parcount.execution.unpicklable import Nowhere, unpicklable
from tests import remote
from tests.execution.executions import FORK_MARKS
from tests.remote import TIME_LIMIT

pytestmark = pytest.mark.timeout(60)

START_METHODS = [
    pytest.param("Processes(2, start_method='spawn'", marks=pytest.mark.slow if sys.platform == "linux" else []),
    pytest.param(
        "Processes(2, start_method='forkserver'",
        marks=pytest.mark.skipif(sys.platform != "linux", reason="by default on Linux alone"),
    ),
    pytest.param(
        "Processes(2, start_method='fork'",
        marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks without danger"),
    ),
    pytest.param("Interpreters(2", marks=pytest.mark.skipif(missing() is not None, reason=str(missing()))),
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
    pickling._value_pickler.cache_clear()


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
        its = "tests.execution.test_pickling.TestBeforeAnyWorkerStarts.test_a_function_is_named.<locals>.<lambda>"
        assert said.startswith(f"{its} cannot be sent to a worker: workers cannot import {its}, which is not found in")
        assert "pip install 'parcount[study]'" in said
        assert "Threads do not pickle" in said
        assert caught.value.__cause__ is not None

    @pytest.mark.usefixtures("no_cloudpickle")
    def test_an_item_of_a_class_that_needs_cloudpickle(self) -> None:
        class Here: ...

        with pytest.raises(TypeError, match=r"item 0: \['x'\], a .*Here, cannot be sent .* import .* pip install"):
            pc.Processes(1).map(abs, [{"x": Here()}])

    @pytest.mark.usefixtures("no_cloudpickle")
    def test_types_made_in_c_are_left_to_pickle(self) -> None:
        with pytest.raises(TypeError, match="dict_keys") as caught:
            pc.Processes(1).map(abs, [type({}.keys())])
        assert "cloudpickle" not in str(caught.value)
        serialisation.Checker(Nowhere()).check([type(None), type(...), type(NotImplemented), int])

    @pytest.mark.usefixtures("no_cloudpickle")
    def test_a_function_that_cloudpickle_would_refuse_is_not_said_to_need_it(self) -> None:
        with pytest.raises(TypeError, match=r"cannot pickle '_thread.lock' object") as caught:
            pc.Processes(1).map(Locked(), [1])
        assert "cloudpickle" not in str(caught.value)

    @pytest.mark.parametrize("name", CALLS)
    def test_one_that_even_cloudpickle_refuses(self, name: str) -> None:
        pytest.importorskip("cloudpickle")
        with pytest.raises(TypeError, match=r"a .*Locked: \.lock, a _thread.lock, cannot be sent to a worker: cannot"):
            call(name, Locked(), [1], pc.Processes(1))

    def test_the_variable_of_a_function_is_named(self) -> None:
        pytest.importorskip("cloudpickle")
        state = {"jobs": [1, Locked()]}

        def count(x: int) -> int:
            return x + len(state)

        with pytest.raises(TypeError, match=r"count's variable state: \['jobs'\]\[1\]\.lock, a _thread.lock, cannot"):
            pc.Processes(1).map(count, [1])
        with pytest.raises(TypeError, match=r"<lambda>'s variable count: .*count's variable state: \['jobs'\]"):
            pc.Processes(1).map(lambda x: count(x), [1])
        with pytest.raises(TypeError, match=r"^argument 2 of functools.partial: \.lock, a _thread.lock, cannot"):
            pc.Processes(1).map(partial(pow, 1, 2, Locked()), [1])

    @pytest.mark.parametrize("name", ["map", "together"])
    def test_an_item_is_named(self, name: str) -> None:
        with pytest.raises(
            TypeError, match=r"item 1: \.lock, a _thread.lock, cannot be sent to a worker: cannot pickle"
        ):
            call(name, abs, [0, Locked()], pc.Processes(2))

    def test_an_initializer_and_its_arguments_are_named(self) -> None:
        pytest.importorskip("cloudpickle")
        with pytest.raises(TypeError, match=r"a .*Locked: \.lock, a _thread.lock, cannot be sent to a worker: cannot"):
            pc.Processes(1, initializer=Locked()).map(abs, [1])
        with pytest.raises(TypeError, match=r"the initializer's argument 1: \.lock, a _thread.lock, cannot be sent"):
            pc.Processes(1, initializer=print, initargs=(0, Locked())).__enter__()

    def test_an_items_own_error_is_the_cause(self) -> None:
        with pytest.raises(TypeError, match=r"item 0, a .*RefusesToLeave, cannot be sent .* not me") as caught:
            pc.Processes(1).map(remote.echo, [remote.RefusesToLeave()])
        assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize("name", CALLS)
def test_items_of_a_call_on_warm_workers(name: str) -> None:
    with pc.Processes(2) as pool:
        with pytest.raises(TypeError, match=r"item 1: \.lock, a _thread.lock, cannot be sent"):
            call(name, remote.echo, [0, Locked()], pool)
        assert call(name, remote.echo, [1, 2], pool) in ([1, 2], [2, 1])


@pytest.mark.parametrize("name", CALLS)
def test_results(name: str) -> None:
    with pc.Processes(2) as pool:
        with pytest.raises(TypeError, match=r"the result of item 1: \['made'\], a _thread.lock, cannot be") as caught:
            call(name, remote.lock_on_odd, [0, 1], pool)
        assert type(caught.value) is TypeError
        assert "cannot pickle '_thread.lock' object" in str(caught.value.__cause__)
        assert call(name, remote.echo, [1, 2], pool) in ([1, 2], [2, 1])


def test_the_systems_own_errors_stay() -> None:
    error = MemoryError("full")
    assert unpicklable("item 3", None, error, serialisation.Checker(Nowhere())) is error


class TestCloudpickle:
    @pytest.fixture(autouse=True)
    def cloudpickle(self) -> None:
        pytest.importorskip("cloudpickle")

    @pytest.mark.parametrize("name", CALLS)
    def test_takes_lambdas_and_closures(self, name: str) -> None:
        add = 5

        def function(x: int) -> int:
            return x + add

        assert sorted(call(name, function, [1, 2], pc.Processes(2))) == [6, 7]
        assert sorted(call(name, lambda x: x * add, [1, 2], pc.Processes(2))) == [5, 10]

    def test_takes_initializers(self) -> None:
        seen = pc.shared_array(1)
        assert pc.Processes(1, initializer=lambda a: a.fill(7), initargs=(seen,)).map(abs, [-1]) == [1]
        assert seen[0] == 7

    def test_a_shared_array_in_a_closure_stays_shared(self) -> None:
        def start(pool: pc.Processes) -> Any:
            counts = pc.shared_array(2, int)

            def count(x: int) -> Any:
                counts[x] += 1
                return counts

            return pool.imap(count, [0, 1])

        with pc.Processes(1) as pool:
            first, second = start(pool)
        assert first.tolist() == second.tolist() == [1, 1]

    def test_classes_in_functions_travel_both_ways(self) -> None:
        class Base:
            made = 0

            def __init__(self, x: int) -> None:
                self.x = x

            def next(self) -> "Base":
                type(self).made += 1
                return type(self)(self.x + 1)

        class Derived(Base):
            def next(self) -> "Base":
                return super().next()

        method = Base.next
        with pc.Processes(2) as pool:
            for function in (lambda one: [one.next()], call_next):
                results = pool.map(function, [Base(1), Derived(2)])
                assert [(type(one), one.x) for (one,) in results] == [(Base, 2), (Derived, 3)]
        assert Base.next is method  # what came back has not replaced it
        assert Base.made == 0

    def test_a_class_that_has_changed_since_the_last_call(self) -> None:
        class Greeter:
            word = "hello"

            def greet(self) -> str:
                return self.word

        with pc.Processes(1) as pool:
            assert pool.map(greet, [Greeter(), Greeter()]) == ["hello", "hello"]
            Greeter.word = "goodbye"
            assert pool.map(greet, [Greeter()]) == ["goodbye"]

    def test_a_class_is_pickled_once_for_a_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Number:
            def __init__(self, x: int) -> None:
                self.x = x

        dumped = []
        monkeypatch.setattr(
            pickling.Pickler,
            "dump_by_value",
            lambda self, obj, original=pickling.Pickler.dump_by_value: dumped.append(obj) or original(self, obj),
        )
        with pc.Processes(1) as pool:
            back = pool.map(remote.echo, [Number(x) for x in range(10)], chunksize=1)
        assert [type(one) for one in back] == [Number] * 10
        assert dumped == [Number]

    @pytest.mark.parametrize("method", [pytest.param("fork", marks=FORK_MARKS)])
    @pytest.mark.skipif("fork" not in get_all_start_methods(), reason="processes cannot be forked here")
    def test_a_class_that_a_forked_worker_has_from_the_beginning(
        self, method: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Greeter:
            def greet(self) -> str:
                return "hello"

        greets = Greeter.greet
        monkeypatch.setattr(remote, "KEPT", [Greeter])
        assert pc.Processes(1, start_method=method).map(greet, [Greeter()]) == ["hello"]
        assert pc.Processes(1, start_method=method).map(remote.kept, [0]) == [Greeter]
        assert Greeter.greet is greets

    def test_a_class_is_made_once_in_a_worker(self) -> None:
        """Its base may count its subclasses."""

        class Registered(remote.Registry):
            def names(self) -> list[str]:
                return [kind.__name__ for kind in remote.Registry.kinds]

        with pc.Processes(1) as pool:
            for _ in range(2):
                assert pool.map(lambda one: (Registered, one.names())[1], [Registered()]) == [["Registered"]]

    def test_functions_with_a_cache(self) -> None:
        calls = pc.shared_array(1, int)

        @lru_cache(maxsize=5)
        def count(x: int) -> int:
            calls[0] += 1
            return x + 1

        with pc.Processes(1) as pool:
            assert pool.map(count, [1]) == [2]
            assert pool.map(lambda x: count(x) + count(x), [1]) == [4]
            assert calls[0] == 2
            (back,) = pool.map(lambda _: count, [1])
            assert back.cache_parameters() == {"maxsize": 5, "typed": False}

    @pytest.mark.usefixtures("no_collector")
    def test_nothing_is_left_of_a_call(self) -> None:
        class Number: ...

        large = np.zeros(1 << 18)
        left = weakref.ref(large)
        with pc.Processes(1, transport="shared_memory") as pool:
            pool.map(lambda pair: len(pair[0]), [(large, Number())] * 3, chunksize=1)
            del large
            assert left() is None

    def test_what_a_worker_defines_arrives(self) -> None:
        (made,) = pc.Processes(1).map(remote.define, [3])
        kind, instance, function = made
        assert isinstance(instance, kind)
        assert kind.__module__ == "tests.remote"
        assert function(instance) == 3

    @pytest.mark.parametrize("piped", [False, pytest.param(True, marks=pytest.mark.slow)])
    @pytest.mark.parametrize("execution", START_METHODS)
    def test_takes_what_was_typed_in(self, execution: str, piped: bool) -> None:
        """No file holds it that a worker could import it from."""
        source = f"""
import sys
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache, partial
import parcount as pc
def begin(): sys.power = 2
def power(x, by=None): return x ** (by or sys.power)
execution = pc.{execution}, initializer=begin)
print(execution.map(power, [3]), execution.map(partial(power, by=3), [3]), __name__)

class Colour(Enum):
    RED = 1

@dataclass(frozen=True)
class Point:
    x: int
    colour: Colour = Colour.RED
    def moved(self): return Point(self.x + 1, self.colour)

class OffTheMap(Exception):
    def __init__(self, point, why):
        super().__init__(why)
        self.point = point

def move(item):
    if item["point"].x < 0:
        raise OffTheMap(item["point"], "negative")
    return [item["point"].moved()]

moved = Point.moved
with execution:
    for call in (execution.map, lambda *given: execution.together(*given)[0]):
        results = call(move, [dict(point=Point(1)), dict(point=Point(2))])
        assert results == [[Point(2)], [Point(3)]], results
        assert isinstance(results[0][0], Point) and results[0][0].colour is Colour.RED
        assert Point.moved is moved
        try:
            call(move, [dict(point=Point(-1))])
        except OffTheMap as error:
            assert (str(error), error.point) == ("negative", Point(-1))
            print("in move" in str(error.__cause__))
"""
        ran = subprocess.run(
            [sys.executable, *(["-"] if piped else ["-c", source])],
            input=source if piped else None,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
            check=False,
        )
        assert (ran.stdout, ran.stderr) == ("[9] [27] __main__\nTrue\nTrue\n", "")

    def test_a_class_of_a_script_is_that_of_the_worker(self, run_script: Callable[[str], Any]) -> None:
        """A function that goes by value must not bring another class of the same name."""
        ran = run_script("""
import parcount as pc
class Point: ...
if __name__ == "__main__":
    with pc.Processes(1) as pool:
        (back, same), = pool.map(lambda one: (Point(), isinstance(one, Point)), [Point()])
    print(same, isinstance(back, Point))
""")
        assert (ran.stdout, ran.stderr) == ("True True\n", "")

    @pytest.mark.usefixtures("no_cloudpickle")
    def test_without_it_interactive_functions_raise(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
        function = Locked.__call__
        monkeypatch.setattr(function, "__module__", "__main__")
        monkeypatch.setattr(sys.modules["__main__"], "Locked", Locked, raising=False)
        with pytest.raises(TypeError, match=r"workers cannot import .*, which was defined interactively"):
            pickling.make_picklable(function, (), serialisation.Checker)
        assert pickling.make_picklable(function, (), serialisation.Checker, forked=True) is function


def call_next(one: Any) -> list[Any]:
    return [one.next()]


def greet(one: Any) -> str:
    return one.greet()
