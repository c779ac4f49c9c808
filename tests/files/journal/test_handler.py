"""`JournalHandler`: records of `logging` from many processes in one file."""

from __future__ import annotations

import errno
import logging
import logging.config
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import parcount as pc
from tests.remote import TIME_LIMIT
from tests.together import repeat, together

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="journals are not written on Windows")

LOGGER = logging.Logger("tests.journal")
"""Not one of `logging.getLogger`, to which pytest adds handlers of its own."""

CONFIGURATION = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"short": {"format": "%(levelname)s %(process)d %(message)s"}},
    "handlers": {"all": {"class": "parcount.JournalHandler", "formatter": "short", "level": "INFO", "how": "lock"}},
    "loggers": {"tests.journal": {"handlers": ["all"], "level": "DEBUG", "propagate": False}},
}

WORKER = """
import logging, logging.config, sys
logging.config.dictConfig(eval(sys.argv[1]))
logger = logging.getLogger("tests.journal")
for number in range(200):
    try:
        raise LookupError(f"first {number}\\nsecond {number}")
    except LookupError:
        logger.exception("failed %d", number)
"""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "all.log"
    for handler in [*LOGGER.handlers]:
        LOGGER.removeHandler(handler)
        handler.close()


def configured(path: Path) -> dict[str, object]:
    handlers = {"all": {**CONFIGURATION["handlers"]["all"], "path": os.fspath(path)}}
    return {**CONFIGURATION, "handlers": handlers}


def add(path: Path, **options: object) -> pc.JournalHandler:
    handler = pc.JournalHandler(path, **options)
    LOGGER.addHandler(handler)
    return handler


def test_a_configuration_by_dictionary(path: Path) -> None:
    logging.config.dictConfig(configured(path))
    logger = logging.getLogger("tests.journal")
    logger.debug("not this")
    logger.info("grüße %d", 5)
    logger.handlers[0].close()
    logger.handlers.clear()
    assert path.read_text(encoding="utf-8") == f"INFO {os.getpid()} grüße 5\n"


def test_the_lines_of_a_record_lie_together_whoever_else_writes(path: Path) -> None:
    command = [sys.executable, "-c", WORKER, repr(configured(path))]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for worker in workers:
        assert worker.communicate(timeout=TIME_LIMIT) == (None, "")
    lines = path.read_text().splitlines()
    seen = {worker.pid: 0 for worker in workers}
    while lines:
        _, process, _, number = lines.pop(0).split()
        assert int(number) == seen[int(process)]
        seen[int(process)] += 1
        traceback = [lines.pop(0) for _ in range(lines.index(f"second {number}") + 1)]
        assert traceback[0] == "Traceback (most recent call last):"
        assert traceback[-2:] == [f"LookupError: first {number}", f"second {number}"]
        assert len(traceback) <= 6
    assert set(seen.values()) == {200}


def test_threads_share_a_handler(path: Path) -> None:
    add(path, how="queue").setFormatter(logging.Formatter("%(threadName)s %(message)s"))
    together(*[repeat(lambda: LOGGER.warning("a\nb"), 100)] * 3)
    LOGGER.handlers[0].flush()
    lines = path.read_text().splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["a", "b"] * 300


def test_a_renamed_file_is_left_for_a_new_one(path: Path) -> None:
    add(path)
    LOGGER.warning("one")
    path.rename(path.with_suffix(".1"))
    LOGGER.warning("two")
    path.unlink()
    LOGGER.warning("three")
    assert path.with_suffix(".1").read_text() == "one\n"
    assert path.read_text() == "three\n"


def test_a_handler_that_does_not_reopen_keeps_its_file(path: Path) -> None:
    add(path, reopen=False)
    path.rename(path.with_suffix(".1"))
    LOGGER.warning("one")
    assert not path.exists()
    assert path.with_suffix(".1").read_text() == "one\n"


def test_a_pickled_handler_is_the_same(path: Path) -> None:
    handler = pc.JournalHandler(path, how="lock", level="ERROR", encoding="latin-1", errors="replace", reopen=False)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    handler.addFilter(logging.Filter("tests"))
    handler.name = "all"
    again = pickle.loads(pickle.dumps(handler))
    handler.close()
    LOGGER.addHandler(again)
    LOGGER.warning("not this")
    LOGGER.error("grüße …")
    assert path.read_bytes() == "tests.journal: grüße ?\n".encode("latin-1")
    assert repr(again) == repr(handler)
    assert (again.name, again._reopen, again._how) == ("all", False, "lock")


def test_what_the_encoding_lacks_is_escaped(path: Path) -> None:
    add(path, encoding="ascii")
    LOGGER.warning("ü \udc80")
    assert path.read_bytes() == b"\\xfc \\udc80\n"


def test_errors_are_handled_as_those_of_other_handlers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handled = []
    handler = add(path)
    monkeypatch.setattr(handler, "handleError", lambda record: handled.append((record.msg, sys.exc_info()[0])))
    LOGGER.warning("%d", "no number")
    handler.close()
    LOGGER.warning("closed")
    assert handled == [("%d", TypeError), ("closed", ValueError)]


def test_wrong_arguments_are_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="utf-16"):
        pc.JournalHandler(path, encoding="utf-16")
    with pytest.raises(LookupError):
        pc.JournalHandler(path, encoding="no such encoding")
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        pc.JournalHandler(path / "missing" / "file")
    pc.Journal(path).close()
    with pytest.raises(ValueError, match="blocks"):
        pc.JournalHandler(path)
    other = path.with_suffix(".text")
    with pc.Journal(other, how="lock", text=True), pytest.raises(OSError, match="lock") as caught:
        pc.JournalHandler(other, how="queue")
    assert caught.value.errno == errno.EBUSY
