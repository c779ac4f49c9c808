"""`ConcurrentCounter`, against `collections.Counter`."""

import copy
import gc
import json
import operator
import os
import pickle
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from threading import Event
from types import FrameType
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount.counters import concurrent
from parcount.counters.concurrent import CHUNK
from parcount.counters.per_thread import SPARE
from tests.conftest import Run
from tests.counters.support import leaks
from tests.remote import TIME_LIMIT
from tests.together import in_a_thread, repeat, together

pytestmark = pytest.mark.timeout(60)

words = st.lists(st.sampled_from(["a", "b", "c", "d", 1, 1.0, True, None, ("t",)]), max_size=12)
counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(-3, 3), max_size=5)
keys = st.sampled_from("abcdx")

WAYS = {
    "list": list,
    "tuple": tuple,
    "generator": lambda elements: (element for element in elements),
    "iterator": iter,
    "dict's keys": lambda elements: dict.fromkeys(elements).keys(),
    "Counter": Counter,
}

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("update"), words, st.sampled_from(list(WAYS))),
        st.tuples(st.just("subtract"), words, st.sampled_from(list(WAYS))),
        st.tuples(st.sampled_from(["update", "subtract", "+=", "-=", "|=", "&="]), counts),
        st.tuples(st.sampled_from(["increment", "del", "pop", "setdefault", "get", "read"]), keys),
        st.tuples(st.sampled_from(["add", "set", "c[k] +="]), keys, st.integers(-3, 3)),
        st.tuples(st.sampled_from(["clear", "popitem", "look"])),
    ),
    max_size=12,
)


IN_PLACE = {"+=": operator.iadd, "-=": operator.isub, "|=": operator.ior, "&=": operator.iand}


def do(c: Any, step: str, *arguments: Any) -> Any:
    """Apply a step to a counter of either type; return its result."""
    match step, arguments:
        case "update" | "subtract", (elements, way):
            return getattr(c, step)(WAYS[way](elements))
        case "update" | "subtract", (counts,):
            return getattr(c, step)(None, **counts)
        case "increment", (key,):
            do(c, "add", key, 1)
        case "add", (key, n):
            if isinstance(c, pc.ConcurrentCounter):
                assert c.add(key, n) is None
            else:
                c[key] = c.get(key, 0) + n
        case "set", (key, n):
            c[key] = n
        case "c[k] +=", (key, n):
            c[key] += n
        case "del", (key,):
            del c[key]
        case "pop" | "setdefault" | "get", (key,):
            return getattr(c, step)(key, 5)
        case "read", (key,):
            return c[key], key in c, bool(c), len(c)
        case "popitem", ():
            return c.popitem() if c else None
        case "clear", ():
            c.clear()
        case "look", ():
            return list(c.items())
        case _, (counts,):
            assert IN_PLACE[step](c, Counter(counts)) is c
    return None


class TestIsACounter:
    @given(STEPS)
    def test_behaves_as_counter(self, steps: Any) -> None:
        ours, pythons = pc.ConcurrentCounter(), Counter()
        for step in steps:
            assert do(ours, *step) == do(pythons, *step)
        assert list(ours.items()) == list(pythons.items())
        assert list(ours) == list(ours.keys()) == list(pythons)
        assert list(ours.values()) == list(pythons.values())
        assert list(reversed(ours)) == list(reversed(pythons))
        assert ours == pythons
        assert pythons == ours
        assert ours == dict(pythons)
        assert dict(pythons) == ours
        assert dict(ours) == {**ours} == dict(pythons)
        assert ours.most_common() == pythons.most_common()
        assert ours.most_common(2) == pythons.most_common(2)
        assert list(ours.elements()) == list(pythons.elements())
        assert ours.total() == pythons.total()
        assert repr(ours) == "Concurrent" + repr(pythons)

    @given(counts, counts)
    def test_arithmetic_and_comparison_equal_those_of_counter(self, one: Any, other: Any) -> None:
        a, b = pc.ConcurrentCounter(one), pc.ConcurrentCounter(other)
        p, q = Counter(one), Counter(other)
        for result, expected in [(a + b, p + q), (a - b, p - q), (a | b, p | q), (a & b, p & q), (+a, +p), (-a, -p)]:
            assert type(result) is pc.ConcurrentCounter
            assert list(result.items()) == list(expected.items())
        for mixed, expected in [(a + q, p + q), (p + b, p + q), (a & q, p & q), (p | b, p | q)]:
            assert mixed == expected
        for left, right in [(a, b), (a, q), (p, b)]:
            assert (left == right) is (p == q)
            assert (left != right) is (p != q)
            assert (left <= right) is (p <= q)
            assert (left < right) is (p < q)
            assert (left >= right) is (p >= q)
            assert (left > right) is (p > q)

    @pytest.mark.parametrize("other", [5, {"a": 1}, [("a", 1)], None], ids=repr)
    def test_arithmetic_with_other_types_raises(self, other: Any) -> None:
        c = pc.ConcurrentCounter("a")
        for operation in (operator.add, operator.sub, operator.and_, operator.lt, operator.ge):
            with pytest.raises(TypeError, match=r"unsupported operand|not supported between"):
                operation(c, other)

    def test_by_type(self) -> None:
        c = pc.ConcurrentCounter("ab")
        assert isinstance(c, Counter)
        assert isinstance(c, dict)
        assert isinstance(c, Mapping)
        assert issubclass(pc.ConcurrentCounter, Counter)
        with pytest.raises(NotImplementedError):
            pc.ConcurrentCounter.fromkeys("ab")
        with pytest.raises(TypeError, match="unhashable"):
            hash(c)

    @pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7])
    @pytest.mark.parametrize("kind", [list, tuple, range, bytes, "".join, iter, lambda x: (y for y in x)])
    def test_any_number_of_elements(self, kind: Any, size: int) -> None:
        elements = [str(n % 100) for n in range(size)] if kind in ("".join, list) else [n % 100 for n in range(size)]
        made = range(size) if kind is range else kind(elements)
        again = kind(elements) if kind is not range else made
        c = pc.ConcurrentCounter(made)
        assert list(c.items()) == list(Counter(again).items())

    def test_a_subclass_of_list_may_iterate_as_it_likes(self) -> None:
        class Odd(list[int]):
            def __iter__(self) -> Iterator[int]:
                return iter([7, 7])

        assert pc.ConcurrentCounter(Odd([1, 2, 3])) == {7: 2}

    def test_a_list_that_grows_while_it_is_counted(self) -> None:
        class Key:
            def __hash__(self) -> int:
                elements.append("more")
                return 1

        found = []
        for kind in (pc.ConcurrentCounter, Counter):
            elements: list[Any] = [Key()]
            found.append(kind(elements)["more"])
        assert found == [1, 1]

    def test_counts_that_are_not_integers(self) -> None:
        c = pc.ConcurrentCounter(a=0.5)
        c.add("a", 0.25)
        c.update({"a": 1.25})
        c["b"] = None  # type: ignore[assignment]
        assert dict(c) == {"a": 2.0, "b": None}

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickles_and_copies_include_pending_counts(self, protocol: int) -> None:
        c = pc.ConcurrentCounter("ab")
        c.update("bc")
        for made in (pickle.loads(pickle.dumps(c, protocol)), copy.copy(c), copy.deepcopy(c), c.copy()):
            assert type(made) is pc.ConcurrentCounter
            made.increment("z")
            assert list(made.items()) == [("a", 1), ("b", 2), ("c", 1), ("z", 1)]
        assert "z" not in c

    def test_c_code_that_reads_the_dict_finds_everything(self) -> None:
        for count in (lambda c: c.update("ab"), lambda c: [c.increment("a"), c.add("b")]):
            c = pc.ConcurrentCounter()
            count(c)
            assert json.dumps(c) == '{"a": 1, "b": 1}'
            assert (lambda **counts: counts)(**c) == {"a": 1, "b": 1}
            assert "{a}{b}".format_map(c) == "11"
            c.increment("b")
            assert json.dumps(c) == '{"a": 1, "b": 2}'
            assert {"z": 0} | c == {"z": 0, "a": 1, "b": 2}
            c.clear()
            assert json.dumps(c) == "{}"
            count(c)
            assert json.dumps(c) == '{"a": 1, "b": 1}'

    def test_views_are_copies(self) -> None:
        c = pc.ConcurrentCounter("ab")
        views = [c.keys(), c.values(), c.items()]
        iterator = iter(c)
        c.update("xyz")
        assert [len(view) for view in views] == [2, 2, 2]
        assert list(iterator) == ["a", "b"]
        assert c.keys() & {"x", "q"} == {"x"}


class TestSubclasses:
    def test_its_own_methods_see_every_element(self) -> None:
        class Loud(pc.ConcurrentCounter):
            def __setitem__(self, key: Any, count: Any) -> None:
                seen.append((key, count))
                super().__setitem__(key, count)

        class Generous(pc.ConcurrentCounter):
            def get(self, key: Any, default: Any = None) -> Any:
                return super().get(key, default + 10)

        seen: list[Any] = []
        c = Loud("aba")
        c.increment("a")
        c.add("c", 5)
        assert seen == [("a", 1), ("b", 1), ("a", 2), ("a", 3), ("c", 5)]
        g = Generous("aa")
        g.increment("b")
        assert dict(g) == {"a": 12, "b": 11}

    def test_one_without_is_as_fast(self) -> None:
        class Plain(pc.ConcurrentCounter):
            pass

        assert not Plain._elementwise
        c = Plain("ab")
        assert type(c.copy()) is Plain
        assert repr(c) == "Plain({'a': 1, 'b': 1})"
        assert type(c + c) is pc.ConcurrentCounter

    def test_one_that_does_not_call_init(self) -> None:
        class Late(pc.ConcurrentCounter):
            def __init__(self) -> None:
                pass

        c = Late()
        c.update("ab")
        assert dict(c) == {"a": 1, "b": 1}


class TestExceptions:
    def broken(self, size: int) -> Iterator[str]:
        for n in range(size):
            yield "ab"[n % 2]
        raise LookupError

    @pytest.mark.parametrize("size", [0, 3, CHUNK, CHUNK + 3])
    def test_elements_before_an_exception_are_counted(self, size: int) -> None:
        ours, pythons = pc.ConcurrentCounter(), Counter()
        for c in (ours, pythons):
            with pytest.raises(LookupError):
                c.update(self.broken(size))
            with pytest.raises(LookupError):
                c.subtract(self.broken(3))
        assert list(ours.items()) == list(pythons.items())

    @pytest.mark.parametrize("kind", [list, iter])
    def test_elements_before_an_unhashable_one_are_counted(self, kind: Any) -> None:
        ours, pythons = pc.ConcurrentCounter(), Counter()
        for c in (ours, pythons):
            with pytest.raises(TypeError, match="unhashable"):
                c.update(kind(["a", "b", [], "c"]))
            with pytest.raises(TypeError, match="unhashable"):
                c["a"] += c[[]]
        assert list(ours.items()) == list(pythons.items())
        with pytest.raises(TypeError, match="unhashable"):
            ours.increment([])  # type: ignore[arg-type]
        assert ours.total() == 2

    @pytest.mark.parametrize("wrong", [5, 1.5, object()])
    def test_arguments_that_are_not_iterable(self, wrong: Any) -> None:
        c = pc.ConcurrentCounter("a")
        for attempt in (c.update, c.subtract, pc.ConcurrentCounter):
            with pytest.raises(TypeError, match="is not iterable"):
                attempt(wrong)
        with pytest.raises(TypeError):
            c.update("a", "b")
        assert dict(c) == {"a": 1}

    def test_a_count_that_cannot_be_added_to(self) -> None:
        c = pc.ConcurrentCounter(a=1, b=2)
        c["a"] = "text"
        c.update("abcd")
        in_a_thread(lambda: c.update("abz"))
        for _ in range(2):  # once for each thread's; what else there is is not lost
            with pytest.raises(TypeError):
                len(c)
        assert dict(c) == {"a": "text", "b": 4, "c": 1, "d": 1, "z": 1}


class Calling:
    """A key that calls something when it is hashed or compared."""

    def __init__(self, name: str, call: Any) -> None:
        self.name, self.call = name, call

    def __hash__(self) -> int:
        self.call()
        return 1

    def __eq__(self, other: object) -> bool:
        self.call()
        return isinstance(other, Calling) and self.name == other.name


COUNTING: dict[str, Callable[[Any], object]] = {
    "increment": lambda c: c.increment("a"),
    "add": lambda c: c.add("a", 1),
    "update": lambda c: c.update("a"),
    "update from an iterator": lambda c: c.update(iter("a")),
    "update from a mapping": lambda c: c.update({"a": 1}),
    "update by name": lambda c: c.update(a=1),
    "subtract": lambda c: c.subtract({"a": -1}),
}
"""Ways to count one."""

OTHERS: dict[str, Callable[[Any], object]] = {
    "len": len,
    "copy": copy.copy,
    "+=": lambda c: operator.iadd(c, Counter("a")),
}


def interruptions() -> Iterator[Any]:
    """Each call interrupted by each way to count one; by one of them unless the slow tests run."""
    for number, interrupted in enumerate([*COUNTING, *OTHERS]):
        for other, counting in enumerate(COUNTING):
            usual = other == number % len(COUNTING)
            yield pytest.param(interrupted, counting, marks=[] if usual else pytest.mark.slow)


def one_merged_and_one_pending(key: str) -> "pc.ConcurrentCounter[str]":
    c = pc.ConcurrentCounter([key])
    assert c[key] == 1
    c.increment(key)
    return c


class Interruption:
    """Calls something before one of the instructions of the counter's own code, as a signal handler may."""

    def __init__(self, instruction: int, call: Callable[[], object]) -> None:
        self.left, self.call = instruction, call
        self.where: tuple[str, int] | None = None

    def __enter__(self) -> Self:
        self.before = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # CPython 3.12 traces none unless a frame asks for it before
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != concurrent.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            if self.left == 0:
                self.where = frame.f_code.co_qualname, frame.f_lineno
                self.call()
            self.left -= 1
        return self.trace


class TestReentrancy:
    def test_an_iterator_runs_outside_all_locks(self) -> None:
        c = pc.ConcurrentCounter()
        sizes = []

        def elements() -> Iterator[str]:
            for word in ("a", "b", "a"):
                c.increment("seen")
                sizes.append(in_a_thread(lambda: (c.increment("other"), len(c))[1]))
                yield word

        c.update(elements())
        c.subtract(elements())
        assert sizes == [2, 2, 2, 4, 4, 4]
        assert dict(c) == {"seen": 6, "other": 6, "a": 0, "b": 0}

    def test_keys_may_use_the_counter_while_they_are_compared(self) -> None:
        c = pc.ConcurrentCounter()
        calls = 0
        silent = False

        def call() -> None:
            nonlocal calls
            if silent:
                return
            calls += 1
            c.increment("increment")
            c.add("add", 2)
            c.update(["update"])
            c.update(iter(["update"]))
            c.update({"mapping": 1})
            c.subtract(["subtract"])
            c["set"] = 5
            assert c["set"] == 5
            assert c["none"] == 0
            assert "none" not in c
            assert len(c) >= 1

        one, other = Calling("one", call), Calling("other", call)
        c.update([one, other, one])
        c.increment(other)
        c.add(one, 3)
        c.update(key for key in (one, other))
        assert len(c) == 8
        del c["none"]
        c.update([one])
        c.update({other: 1})
        silent = True
        assert calls > 10
        assert (c[one], c[other]) == (7, 4)
        assert (c["increment"], c["add"], c["update"]) == (calls, 2 * calls, 2 * calls)
        assert (c["mapping"], c["subtract"], c["set"]) == (calls, -calls, 5)

    def test_keys_that_use_the_counter_cause_no_deadlock(self) -> None:
        # A thread hashes a key, under its shard's lock, for which another waits that merges; then the first one reads.
        c = pc.ConcurrentCounter("x")
        hashing, merging = Event(), Event()

        def call() -> None:
            if hashing.is_set():
                return
            hashing.set()
            assert merging.wait(TIME_LIMIT)
            read.append(len(c))
            c.increment("nested")

        read: list[int] = []

        def count() -> None:
            c.update([Calling("slow", call)])

        def merge() -> None:
            assert hashing.wait(TIME_LIMIT)
            merging.set()
            for _ in range(100):
                len(c)

        together(count, merge)
        assert read == [1]
        assert c["nested"] == 1
        assert len(c) == 3

    def test_a_signal_handler_may_count(self, run_script: Run) -> None:
        ran = run_script("""
import signal, sys
import parcount as pc

if not hasattr(signal, "setitimer"):
    print("exact")
    sys.exit()
c = pc.ConcurrentCounter()
handled = []  # `+= 1` on a number might be interrupted by the next signal

def handle(*_):
    handled.append(None)
    c.increment("handled")
    c.increment("a")

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
count = 0
while len(handled) < 300:
    count += 2
    c.increment("a")
    c.update("a")
    c["b"]
signal.setitimer(signal.ITIMER_REAL, 0)
counted, handled = dict(c), len(handled)
print("exact" if (counted["handled"], counted["a"]) == (handled, count + handled) else counted, count, handled)
""")
        assert ran.stderr == ""
        assert ran.stdout.startswith("exact")

    @pytest.mark.thread_unsafe(reason="CPython 3.13 traces not all instructions where several threads trace the same")
    @pytest.mark.parametrize(("interrupted", "counting"), list(interruptions()))
    def test_interruptions_lose_no_count(self, interrupted: str, counting: str) -> None:
        begin, go_on = pc.ConcurrentCounter, partial(one_merged_and_one_pending, "a")
        for make in (begin, go_on):
            alone = make()
            (COUNTING | OTHERS)[interrupted](alone)
            for instruction in range(10_000):
                c = make()
                with Interruption(instruction, partial(COUNTING[counting], c)) as interruption:
                    (COUNTING | OTHERS)[interrupted](c)
                if interruption.where is None:
                    break
                assert c["a"] == alone["a"] + 1, interruption.where
            assert 10 < instruction < 9_999


class TestManyThreads:
    def test_no_count_is_lost(self) -> None:
        c = pc.ConcurrentCounter(start=1)
        text = "abracadabra" * 20

        def count(mine: str) -> None:
            for n in range(50):
                c.update(text)
                c.update(iter(text))
                c.increment(mine)
                c.add("all", n)
                c.update({"mapping": 1}, keyword=2)
                c.subtract("s")
                if n % 7 == 0:
                    c.most_common(1)

        together(*[partial(count, name) for name in ("w", "x", "y", "z")])
        expected = Counter(text * 400)
        expected.update(start=1, w=50, x=50, y=50, z=50, all=4 * 1225, mapping=200, keyword=400, s=-200)
        assert c == expected
        assert dict(c) == dict(expected)

    def test_reading_iterating_and_pickling_while_others_count(self) -> None:
        c = pc.ConcurrentCounter(z=0)
        done = Event()

        def count() -> None:
            for n in range(1500):
                c.increment(n)
                c.update([n, -n, "z"])
            done.set()

        def read() -> int:
            totals = [0]
            while not done.is_set() or len(totals) < 20:
                totals.append(sum(count for _, count in c.items()))
                assert sum(1 for _ in c) <= len(c)
                for key in c:
                    assert c[key] >= (key != "z")
                copies = [pickle.loads(pickle.dumps(c)), c.copy(), copy.copy(c), +c, c | c, Counter(c)]
                totals += [each.total() for each in copies]
                assert repr(c).startswith("ConcurrentCounter({")
                assert copies[0] <= c + c  # and not c, which may have grown meanwhile
                assert c >= copies[0]
                c.most_common(3)
                list(c.elements())
            assert totals == sorted(totals)
            return totals[-1]

        together(count, count, read, read)
        assert c.total() == 2 * 1500 * 4
        assert c["z"] == 3000

    def test_in_place_operators_are_atomic(self) -> None:
        c = pc.ConcurrentCounter(a=10)

        def add() -> None:
            nonlocal c
            c += Counter(a=1, b=1)

        def take() -> None:
            nonlocal c
            c -= Counter(b=1)
            c |= Counter(a=5)
            c &= Counter(a=10**6, b=10**6, i=10**6)

        together(
            *[repeat(add, 200)] * 2, repeat(lambda: c.increment("i"), 500), repeat(lambda: c.update({"m": 0}), 100)
        )
        assert (c["a"], c["b"], c["i"]) == (410, 400, 500)
        together(repeat(take, 100), repeat(take, 100), repeat(lambda: c.increment("a"), 100))
        assert (c["a"], c["b"], c["i"]) == (510, 200, 500)

    def test_pop_returns_each_key_once(self) -> None:
        c = pc.ConcurrentCounter()
        taken: list[int] = []

        def pop() -> None:
            taken.append(c.pop("a", 0))
            if c:
                with suppress(KeyError):
                    taken.append(c.popitem()[1])

        together(*[repeat(lambda: c.increment("a"), 2000)] * 2, repeat(pop, 300), repeat(pop, 300))
        assert sum(taken) + c["a"] == 4000

    def test_two_counters_added_to_each_other(self) -> None:
        # If either held its own lock while it waits for the other's, both would wait for ever.
        a, b = pc.ConcurrentCounter(x=1), pc.ConcurrentCounter(y=1)

        def mix(one: Any, other: Any) -> None:
            one |= other
            one += other
            one -= other
            one.update(other)
            one.subtract(other)
            assert operator.eq(one, other) in (True, False)

        together(repeat(lambda: mix(a, b), 200), repeat(lambda: mix(b, a), 200))
        assert set(a + b) <= {"x", "y"}

    def test_clearing_while_others_count(self) -> None:
        c = pc.ConcurrentCounter()
        together(*[repeat(lambda: c.update("ab"), 300)] * 2, repeat(c.clear, 100))
        assert c["a"] <= 600
        c.clear()
        assert not c
        c.increment("a")
        assert dict(c) == {"a": 1}

    def test_a_read_leaves_nothing_pending(self) -> None:
        c = pc.ConcurrentCounter()
        together(*[lambda: c.update("abc")] * 3)
        c.update("xyz")
        assert len(c) == 6
        assert not any(shard.counts or shard.aside for shard in c._pending.shards.all())

    def test_shards_of_ended_threads_are_freed(self) -> None:
        c = pc.ConcurrentCounter()
        for _ in range(500):
            together(*[lambda: c.update("ab")] * 4)
            assert len(c._pending.shards) <= 2 * 5 + SPARE + 1
        assert dict(c) == {"a": 2000, "b": 2000}
        assert len(c._pending.shards) == 0

    @pytest.mark.thread_unsafe(reason="counts the blocks of memory of all threads")
    @pytest.mark.usefixtures("no_collector")
    def test_counters_leave_no_memory(self) -> None:
        def count() -> None:
            c = pc.ConcurrentCounter("abc")
            c.increment("z")
            in_a_thread(lambda: c.update("xy"))
            assert len(c) == 6

        assert not leaks(count)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_counts_independently(run_script: Run) -> None:
    ran = run_script("""
import os, sys, threading, warnings
import parcount as pc

warnings.simplefilter("ignore", DeprecationWarning)  # threads, and a fork
sys.setswitchinterval(1e-6)
c = pc.ConcurrentCounter()
stop = False
def count():
    while not stop:
        c.update("ab")
        c.increment("a")
        len(c)
others = [threading.Thread(target=count) for _ in range(3)]
for other in others:
    other.start()
for _ in range(20):
    c.increment("own")
    child = os.fork()
    if child == 0:
        own = c["own"]
        c.increment("own")
        c.update(["own"])
        assert c["own"] == own + 2
        inner = threading.Thread(target=c.update, args=["xx"])
        inner.start()
        inner.join()
        assert c["x"] == 2
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop = True
for other in others:
    other.join()
assert c["a"] == 2 * c["b"]
print(c["own"])
""")
    assert ran.stdout == "20\n", ran.stderr
    assert ran.stderr == ""


def test_finalizers_that_count() -> None:
    # A finalizer runs wherever the collector does: in the midst of counting too.
    c = pc.ConcurrentCounter()

    class Last:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            c.increment("gone")

    threshold = gc.get_threshold()
    gc.set_threshold(5)
    try:
        for n in range(2000):
            Last()
            c.update([str(n), (n,)])
            c.increment((n,))
            if n % 10 == 0:
                len(c)
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert c["gone"] == 2000
    assert c.total() == 2000 * 4
