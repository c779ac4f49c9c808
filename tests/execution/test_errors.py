"""Worker deaths in words, and exceptions that travel."""

import copyreg
import pickle
import signal
from threading import Lock
from typing import Any, Self

import pytest

import parcount as pc
from parcount.execution.errors import Failure, RemoteTraceback
from tests.plain import Peculiar
from tests.remote import Unpicklable


@pytest.mark.parametrize(
    ("part", "exitcode", "text"),
    [
        (3, 0, "the worker that had item 3 ended with exit code 0"),
        (0, 7, "the worker that had item 0 ended with exit code 7"),
        (3, None, "the worker that had item 3 ended with exit code None"),
        (3, -int(signal.SIGTERM), "the worker that had item 3 was killed by SIGTERM"),
        (3, -50, "the worker that had item 3 was killed by signal 50"),  # which has no name
    ],
)
def test_worker_died_names_the_item_and_the_exit_code(part: int, exitcode: int | None, text: str) -> None:
    assert str(pc.WorkerDied(part, exitcode)) == text


def test_worker_died_before_its_first_item_mentions_the_main_guard() -> None:
    assert "could not be started" in str(pc.WorkerDied(None, None))
    text = str(pc.WorkerDied(None, 1))
    assert text.startswith("a worker ended with exit code 1 before its first item")
    assert 'if __name__ == "__main__":' in text


@pytest.mark.parametrize("exitcode", [0, 7, 255, -9])
def test_worker_died_for_another_reason_does_not_mention_the_main_guard(exitcode: int) -> None:
    assert "__main__" not in str(pc.WorkerDied(None, exitcode))


@pytest.mark.parametrize(
    ("died", "text"),
    [
        (pc.WorkerDied(3, 7, 3), "the worker that had item 3 ended with exit code 7"),
        (pc.WorkerDied(3, -9, 3, 0.5), "the worker that had item 3 was ended at the timeout of 0.5 s"),
        (pc.WorkerDied(None, -int(signal.SIGTERM), 3), "a worker was killed by SIGTERM before its first item"),
    ],
)
def test_worker_died_has_the_number_of_tries(died: pc.WorkerDied, text: str) -> None:
    assert str(died) == f"{text}, at the last of 3 tries"


def test_worker_died_pickles() -> None:
    died = pickle.loads(pickle.dumps(pc.WorkerDied(3, -9, 2, 0.5)))
    assert (died.part, died.exitcode, died.tries, died.timeout) == (3, -9, 2, 0.5)


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as error:  # noqa: BLE001
        return error


def sent(error: BaseException) -> tuple[Any, str]:
    """What arrives of an exception at the caller, and its traceback as text."""
    back = Failure.of(raised(error), pickle.dumps, pickle.loads).error(pickle.loads)
    assert isinstance(back.__cause__, RemoteTraceback)
    return back, back.__cause__.text


def test_an_exception_arrives_with_its_traceback() -> None:
    back, text = sent(Peculiar("no", 42))
    assert type(back) is Peculiar
    assert (back.message, back.code) == ("no", 42)
    assert "raise error" in text
    assert text.endswith("Peculiar: ('no', 42)\n")


def test_no_frames_are_sent() -> None:
    """Some libraries make tracebacks picklable."""
    try:
        raise Peculiar("no", 42) from raised(ValueError("cause"))
    except Peculiar as error:
        kept = error
        failure = Failure.of(error, pickle.dumps, pickle.loads)
    assert kept.__traceback__ is kept.__cause__ is kept.__context__ is None
    assert "cause" in failure.traceback


def test_an_exception_that_only_the_worker_can_import_is_quoted() -> None:
    def loads(data: bytes) -> Any:
        raise ModuleNotFoundError("No module named 'plugin'")

    failure = Failure.of(raised(Peculiar("no", 42)), pickle.dumps, pickle.loads)
    back = failure.error(loads)
    assert (type(back), str(back)) == (RuntimeError, "Peculiar: ('no', 42)")
    assert "No module named 'plugin'" in back.__notes__[0]
    assert "raise error" in str(back.__cause__)


class ForgetsAnArgument(Exception):
    """Pickles, but its arguments are not those of `Exception`."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Rewords(Exception):
    """Pickles, and unpickles with another message."""

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")


class KeywordOnly(KeyError):
    def __init__(self, *, key: str) -> None:
        super().__init__(key)


class OwnFile(FileNotFoundError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "not here", path)


class Undecodable(UnicodeDecodeError):
    def __init__(self, data: bytes) -> None:
        super().__init__("ascii", data, 0, 1, "high")


class NoModule(ImportError):
    def __init__(self, *, module: str) -> None:
        super().__init__("no module", name=module)


class ShowsALock(Exception):
    def __init__(self, lock: Any) -> None:
        super().__init__()
        self.lock = lock

    def __str__(self) -> str:
        return f"locked: {self.lock}"


class NotToBeSet(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__("no")
        self.__dict__["code"] = code

    @property
    def code(self) -> int:
        return 7


class Slotted(Exception):
    __slots__ = ("lock",)

    def __init__(self, message: str, lock: Any) -> None:
        super().__init__(message)
        self.lock = lock


class MadeByNew(Exception):
    def __new__(cls, *, code: int) -> Self:
        return super().__new__(cls, code)

    def __init__(self, *, code: int) -> None:
        super().__init__(code)


@pytest.mark.parametrize(
    "error",
    [
        Unpicklable("has a lock"),
        ForgetsAnArgument("no", 42),
        Rewords(3),
        KeywordOnly(key="a"),
        OwnFile("/nowhere"),
        Undecodable(b"\xff"),
        NoModule(module="ours"),
        ShowsALock(Lock()),
        NotToBeSet(code=8),
        Slotted("no", Lock()),
        MadeByNew(code=8),
        ValueError(Lock()),
        ValueError("no", Lock(), [1, Lock()]),
        KeyError(Lock()),
        ExceptionGroup("some", [ValueError(1), Rewords(3)]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_that_cannot_be_pickled_keeps_its_type_and_text(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Libraries that other tests load (distributed) teach pickle more about exceptions.
    monkeypatch.delitem(copyreg.dispatch_table, type(error), raising=False)
    error.add_note("of note")
    text_before = str(error)
    back, text = sent(error)
    assert type(back) is type(error)
    assert str(back) == text_before
    assert back.__notes__ == ["of note"]
    assert type(error).__name__ in text


def test_what_can_be_pickled_of_an_exception_arrives() -> None:
    error = ForgetsAnArgument("no", 42)
    vars(error)["lock"] = Lock()
    back, _ = sent(error)
    assert vars(back) == {"code": 42}
    back, _ = sent(OwnFile("/nowhere"))
    assert (back.errno, back.filename) == (2, "/nowhere")
    back, _ = sent(NoModule(module="ours"))
    assert back.name == "ours"


def test_a_text_that_differs_each_time_costs_no_type() -> None:
    back, _ = sent(ForgetsAnArgument(object(), 42))
    assert type(back) is ForgetsAnArgument


def test_groups_keep_their_structure() -> None:
    class Local(Exception):
        pass

    class LocalGroup(ExceptionGroup):
        pass

    error = ExceptionGroup("all", [Unpicklable("a"), ExceptionGroup("inner", [Rewords(3), Local("b"), KeyError("c")])])
    back, text = sent(error)
    assert type(back) is ExceptionGroup
    first, inner = back.exceptions
    assert (type(first), str(first)) == (Unpicklable, "a")
    assert [type(one) for one in inner.exceptions] == [Rewords, RuntimeError, KeyError]
    assert [str(one) for one in inner.exceptions] == ["code 3", "Local: b", "'c'"]
    assert "1.exceptions" not in text
    assert "code 3" in text
    back, _ = sent(LocalGroup("mine", [Rewords(3)]))
    assert (type(back), back.message, type(back.exceptions[0])) == (ExceptionGroup, "LocalGroup: mine", Rewords)
    back, _ = sent(BaseExceptionGroup("all", [KeyboardInterrupt(), Rewords(3)]))
    assert [type(one) for one in back.exceptions] == [KeyboardInterrupt, Rewords]


def test_an_exception_whose_type_cannot_be_pickled_is_quoted() -> None:
    class Local(Exception):
        pass

    error = Local("no")
    error.add_note("of note")
    back, text = sent(error)
    assert (type(back), str(back), back.__notes__) == (RuntimeError, "Local: no", ["of note"])
    assert "Local: no" in text


class CannotBeShown(Exception):
    def __str__(self) -> str:
        raise LookupError


def test_an_exception_whose_text_raises() -> None:
    back, _ = sent(CannotBeShown())
    assert type(back) is CannotBeShown


def test_a_remote_traceback_shows_its_text() -> None:
    assert "line 1\nline 2\n" in str(RemoteTraceback("line 1\nline 2\n"))


def test_worker_died_of_an_adopted_executor() -> None:
    died = pickle.loads(pickle.dumps(pc.WorkerDied(3, None, 4, executor="Pool")))
    assert died.executor == "Pool"
    assert str(died) == "the adopted Pool lost a worker and returned no result for item 3, at the last of 4 tries"
