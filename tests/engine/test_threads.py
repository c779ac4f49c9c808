"""How many threads a call gets."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest

import parcount as pc
from parcount.engine import num_threads
from parcount.engine.threads import DEFAULT_GRAIN, choose_execution

AVAILABLE = 8


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Eight cores, nothing set; and nothing stays set."""
    monkeypatch.setattr(num_threads, "_cores", cache(lambda: AVAILABLE))
    monkeypatch.delenv("PARCOUNT_NUM_THREADS", raising=False)
    monkeypatch.delenv("PARCOUNT_GRAIN", raising=False)
    pc.set_num_threads(None)
    pc.set_grain(None)
    yield
    pc.set_num_threads(None)
    pc.set_grain(None)


class TestChoose:
    @pytest.mark.parametrize(
        ("size", "workers"),
        [
            (0, 1),
            (1, 1),
            (2 * DEFAULT_GRAIN - 1, 1),
            (2 * DEFAULT_GRAIN, 2),
            (3 * DEFAULT_GRAIN - 1, 2),
            (7 * DEFAULT_GRAIN, 7),
            (10**12, AVAILABLE),
        ],
    )
    def test_as_many_as_have_a_grain_each(self, size: int, workers: int) -> None:
        chosen = choose_execution(size, None, None)
        assert chosen.workers == workers
        assert isinstance(chosen, pc.Serial if workers == 1 else pc.Threads)

    @pytest.mark.parametrize("threads", [2, 3, 2 * AVAILABLE])
    def test_as_many_as_the_caller_says(self, threads: int) -> None:
        pc.set_num_threads(1)  # a cap on what we choose, not on what the caller does
        chosen = choose_execution(10, threads, None)
        assert isinstance(chosen, pc.Threads)
        assert chosen.workers == threads

    def test_one_thread_is_the_caller_itself(self) -> None:
        assert type(choose_execution(10**12, 1, None)) is pc.Serial

    def test_the_execution_that_the_caller_gives(self) -> None:
        on = pc.Processes(3)
        assert choose_execution(0, None, on) is on

    def test_both_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"threads= is short for on=Threads\(…\): give one of the two"):
            choose_execution(10, 2, pc.Threads(2))

    @pytest.mark.parametrize("on", [4, "threads", pc.Threads])
    def test_what_is_no_execution_is_refused(self, on: object) -> None:
        with pytest.raises(TypeError, match="on= takes an execution"):
            choose_execution(10, None, on)  # type: ignore[arg-type]

    @pytest.mark.parametrize("threads", [0, -1])
    def test_fewer_than_one_thread_are_refused(self, threads: int) -> None:
        with pytest.raises(ValueError, match="must be at least 1"):
            choose_execution(10, threads, None)

    @pytest.mark.parametrize("threads", [True, 1.0, 2.0, "2"])
    def test_no_integer_is_refused(self, threads: int) -> None:
        with pytest.raises(TypeError, match="must be an integer"):
            choose_execution(10, threads, None)


class TestNumThreads:
    def test_all_available_cores_by_default(self) -> None:
        assert pc.get_num_threads() == AVAILABLE

    @pytest.mark.parametrize(("cap", "threads"), [(1, 1), (3, 3), (AVAILABLE, AVAILABLE), (100, AVAILABLE)])
    def test_is_a_cap(self, cap: int, threads: int) -> None:
        pc.set_num_threads(cap)
        assert pc.get_num_threads() == threads
        assert choose_execution(10**12, None, None).workers == threads

    def test_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PARCOUNT_NUM_THREADS", "3")
        assert pc.get_num_threads() == 3
        pc.set_num_threads(5)
        assert pc.get_num_threads() == 5
        pc.set_num_threads(None)
        assert pc.get_num_threads() == 3


class TestGrain:
    def test_the_measured_one_by_default(self) -> None:
        assert pc.get_grain() == DEFAULT_GRAIN

    def test_one_splits_the_smallest_input(self) -> None:
        pc.set_grain(1)
        assert choose_execution(2, None, None).workers == 2

    def test_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PARCOUNT_GRAIN", "1000")
        assert pc.get_grain() == 1000
        assert choose_execution(3999, None, None).workers == 3
        pc.set_grain(500)
        assert pc.get_grain() == 500


@pytest.mark.parametrize(
    ("get", "variable"), [(pc.get_num_threads, "PARCOUNT_NUM_THREADS"), (pc.get_grain, "PARCOUNT_GRAIN")]
)
class TestVariables:
    def test_empty_is_not_set(self, monkeypatch: pytest.MonkeyPatch, get: Callable[[], int], variable: str) -> None:
        default = get()
        monkeypatch.setenv(variable, "")
        assert get() == default

    @pytest.mark.parametrize("text", ["0", "-1", "many", "2.5", "1e6"])
    def test_invalid_values_raise_and_name_the_cost(
        self, monkeypatch: pytest.MonkeyPatch, get: Callable[[], int], variable: str, text: str
    ) -> None:
        monkeypatch.setenv(variable, text)
        with pytest.raises(ValueError, match=f"{variable} must be an integer of at least 1, not '{text}'"):
            get()


@pytest.mark.parametrize("setting", [pc.set_num_threads, pc.set_grain])
class TestSetters:
    @pytest.mark.parametrize("n", [0, -1, True])
    def test_less_than_one_is_refused(self, setting: Callable[[int], None], n: int) -> None:
        with pytest.raises(ValueError, match="must be at least 1"):
            setting(n)

    @pytest.mark.parametrize("n", [1.5, "2"])
    def test_no_integer_is_refused(self, setting: Callable[[int], None], n: int) -> None:
        with pytest.raises(TypeError):
            setting(n)
