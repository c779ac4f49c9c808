"""The place of an object that cannot be pickled, in all that can hold one."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple, NoReturn

import numpy as np
import pytest

from parcount.execution import unpicklable
from parcount.execution.processes.serialisation import Checker
from parcount.execution.unpicklable import Nowhere, Unsent, locate

LOCK = threading.Lock()
"""Cannot be pickled."""


class Plain:
    def __init__(self, x: Any) -> None:
        self.x = x

    def method(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Frozen:
    a: int
    b: Any


class Slotted:
    __slots__ = ("a", "b", "unset")

    def __init__(self, b: Any) -> None:
        self.a, self.b = 1, b


class OwnState(Plain):
    def __getstate__(self) -> dict[str, Any]:
        return {"given": [self.x]}


class OwnReduce(Plain):
    def __reduce__(self) -> Any:
        return OwnReduce, ({"the": self.x},)


class Listed(list[Any]):
    def __init__(self, *items: Any, note: Any = None) -> None:
        super().__init__(items)
        self.note = note


class Pair(NamedTuple):
    left: Any
    right: Any


class UnshowableKey:
    def __repr__(self) -> str:
        raise LookupError


def sentence(value: Any) -> str:
    checker = Checker(Nowhere())
    try:
        checker.check(value)
    except Exception as error:  # noqa: BLE001 - what objects raise
        return str(Unsent(False, locate(value, error, checker)).of(3))
    raise AssertionError("it can be pickled")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (LOCK, "item 3"),
        ([0, LOCK], "item 3: [1]"),
        ((0, (1, LOCK)), "item 3: [1][1]"),
        ({"jobs": [0, {1: LOCK}]}, "item 3: ['jobs'][1][1]"),
        ({LOCK: 1}, None),
        ({(1, LOCK): 1}, None),
        (Plain(LOCK), "item 3: .x"),
        ([Plain({"a": Frozen(1, Slotted(LOCK))})], "item 3: [0].x['a'].b.b"),
        (Pair(1, LOCK), "item 3: .right"),
        (Listed(0, LOCK), "item 3: [1]"),
        (Listed(0, note=LOCK), "item 3: .note"),
        (deque([0, LOCK]), "item 3: [1]"),
        (defaultdict(list, a=LOCK), "item 3: ['a']"),
        (OrderedDict(a=[LOCK]), "item 3: ['a'][0]"),
        (ValueError("no", LOCK), "item 3: .args[1]"),
        (OwnState(LOCK), "item 3: .x"),
        (OwnReduce(LOCK), "item 3: .x"),
        (np.array([None, [LOCK]], object), "item 3: [1][0]"),
        (partial(pow, 1, LOCK), "item 3: argument 1 of functools.partial"),
        ([partial(pow, exp=[LOCK])], "item 3: [0]: argument 'exp' of functools.partial: [0]"),
        (partial(Plain(LOCK).method), "item 3: .x"),
        ({"all": {frozenset([1, LOCK])}}, "item 3: ['all']: an element of the set: an element of the set"),
    ],
)
def test_places(value: Any, place: str | None) -> None:
    said = sentence(value)
    if place is None:
        assert said.startswith("item 3: the key ")
    else:
        assert said.startswith(f"{place}, a _thread.lock, cannot be sent to a worker: cannot pickle")


class TestFunctions:
    """By cloudpickle."""

    @pytest.fixture(autouse=True)
    def cloudpickle(self) -> None:
        pytest.importorskip("cloudpickle")

    def named(self, function: Any, place: str, of: str = "", value: Any = None) -> None:
        what = f"{of or self.full(function)}{place}"
        value = function if value is None else value
        assert sentence([value]).startswith(f"item 3: [0]: {what}, a _thread.lock, cannot be sent to a worker: ")

    def full(self, function: Any) -> str:
        return f"{function.__module__}.{function.__qualname__}"

    def test_variables(self) -> None:
        lock = LOCK
        state = {"a": [LOCK]}

        def closure() -> Any:
            return lock

        def nested() -> Any:
            return closure, state

        self.named(closure, "'s variable lock")
        self.named(lambda: state, "'s variable state: ['a'][0]", of=self.full(lambda: 0))
        self.named(nested, "'s variable lock", of=f"{self.full(nested)}'s variable closure: {self.full(closure)}")

    def test_globals_and_defaults(self) -> None:
        def by_default(a: int, b: Any = LOCK) -> None: ...

        def by_keyword(*, c: Any = (0, LOCK)) -> None: ...

        self.named(lambda: LOCK, "'s variable LOCK", of=self.full(lambda: 0))
        self.named(by_default, "'s variable b")
        self.named(by_keyword, "'s variable c: [1]")

    def test_attributes_and_methods_of_classes(self) -> None:
        lock = LOCK

        class Local:
            cache: ClassVar = {"a": LOCK}

        class Working:
            def work(self) -> Any:
                return lock

            @property
            def worked(self) -> Any:
                return lock

        self.named(Local, "'s attribute cache: ['a']")
        self.named(Local, "'s attribute cache: ['a']", value=Local)
        assert f"{self.full(Working.work)}'s variable lock, a _thread.lock, cannot" in sentence({"x": Working()})


def test_a_cycle() -> None:
    one, other = Plain([0]), Plain(None)
    other.x = {"one": one}
    one.x = [one, other, {"lock": LOCK}]
    assert sentence(one).startswith("item 3: .x[2]['lock'], a _thread.lock, cannot")
    ring: list[Any] = [0]
    ring[0] = ring
    ring.append(LOCK)
    assert "[1], a _thread.lock, cannot" in sentence(ring)


def test_a_long_path_is_shortened() -> None:
    chain: Any = LOCK
    for _ in range(60):
        chain = Plain(chain)
    assert sentence(chain).startswith("item 3: " + ".x" * 10 + "[...]" + ".x" * 10 + ", a _thread.lock, cannot")


def test_an_object_that_is_found_nowhere_has_no_place() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    checker = Checker(Nowhere())
    with pytest.raises(RecursionError) as caught:
        checker.check((deep,))
    refusal = locate((deep,), caught.value, checker)
    assert (refusal.steps, refusal.name) == ((), "a tuple")
    while deep:  # the end of a deep list may need as much of the stack
        deep = deep.pop()


def test_the_search_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpicklable, "MAX_OBJECTS", 10)
    assert sentence((*range(5), LOCK)).startswith("item 3: [5], a _thread.lock, cannot")
    assert sentence((*range(20), LOCK)).startswith("item 3, a tuple, cannot be sent to a worker: cannot pickle")
    # A list may be that of a chunk of many items.
    assert sentence([*range(20), LOCK]).startswith("item 3: [20], a _thread.lock, cannot")


class Stubborn:
    """Fails each time in another way."""

    def __init__(self) -> None:
        self.failures = iter([LookupError("pickle me not"), KeyError])

    def __reduce__(self) -> NoReturn:
        raise next(self.failures, ArithmeticError)


class Hostile:
    """Raises wherever it is looked at."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("__class__", "__reduce_ex__"):
            return object.__getattribute__(self, name)
        raise LookupError(f"pickle no {name}")

    def __reduce__(self) -> NoReturn:
        raise LookupError("pickle me not")


@pytest.mark.parametrize("make", [Stubborn, Hostile, lambda: {UnshowableKey(): [LOCK]}])
def test_the_search_never_raises(make: Callable[[], Any]) -> None:
    assert sentence(make()).startswith("item 3")
    assert sentence((make(),)).startswith("item 3")


def test_items_of_chunks_and_submitted_calls() -> None:
    def unsent(value: Any, result: bool = False) -> Unsent:
        return Unsent(result, locate(value, TypeError("no"), Checker(Nowhere())))

    chunk = unsent([1, {"a": LOCK}], result=True)
    assert str(chunk.of_chunk(5, [1, 2])).startswith(
        "the result of item 6: ['a'], a _thread.lock, cannot be sent to the"
    )
    assert str(unsent(Nowhere().write).of_chunk(5, [1, 2])).startswith("one of the items 5 to 6, ")
    for refused, sentence in (
        (unsent((abs, (0, [LOCK]), {})), "argument 2 of the submitted call of abs: [0], a _th"),
        (unsent((abs, (), {"x": LOCK})), "argument x of the submitted call of abs, a _thread"),
        (unsent([LOCK], result=True), "the result of the submitted call of abs: [0], a _th"),
    ):
        assert str(refused.of_call("abs")).startswith(sentence)
    assert str(unsent([LOCK], result=True)).startswith("the result: [0], a _thread.lock, cannot be sent to the caller")
    assert str(unsent([LOCK])).startswith("an item: [0], a _thread.lock, cannot be sent to a worker")
