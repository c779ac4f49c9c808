"""Worker deaths in words, and exceptions that travel."""

import copyreg
import pickle
import signal

import pytest

import parcount as pc
from parcount.execution.errors import RemoteTraceback, portable
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


def test_an_exception_that_pickles_is_portable_as_it_is() -> None:
    error = raised(Peculiar("no", 42))
    same, text = portable(error)
    assert same is error
    assert "raise error" in text
    assert text.endswith("Peculiar: ('no', 42)\n")


def test_a_portable_exception_keeps_no_frames() -> None:
    try:
        raise Peculiar("no", 42) from raised(ValueError("cause"))
    except Peculiar as error:
        same, text = portable(error)
    assert same.__traceback__ is same.__cause__ is same.__context__ is None
    assert "cause" in text


class ForgetsAnArgument(Exception):
    """Pickles, but cannot be made again: its arguments are not those of `Exception`."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@pytest.mark.parametrize(
    ("error", "quoted"),
    [
        (Unpicklable("has a lock"), "Unpicklable: has a lock"),
        (ForgetsAnArgument("no", 42), "ForgetsAnArgument: no"),
    ],
)
def test_an_exception_that_cannot_be_pickled_is_quoted(
    error: Exception, quoted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Libraries that other tests load (distributed) teach pickle more about exceptions.
    monkeypatch.delitem(copyreg.dispatch_table, type(error), raising=False)
    other, text = portable(raised(error))
    assert type(other) is RuntimeError
    assert str(other) == quoted
    assert quoted in text


def test_a_remote_traceback_shows_its_text() -> None:
    assert "line 1\nline 2\n" in str(RemoteTraceback("line 1\nline 2\n"))


def test_worker_died_of_an_adopted_executor() -> None:
    died = pickle.loads(pickle.dumps(pc.WorkerDied(3, None, 4, executor="Pool")))
    assert died.executor == "Pool"
    assert str(died) == "the adopted Pool lost a worker and returned no result for item 3, at the last of 4 tries"
