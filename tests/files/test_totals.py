"""Totals of chunks, which are those of the whole."""

import pickle
import re
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parcount.files.count import MAX_SEARCH_BYTES, SEARCH_BYTES
from parcount.files.totals import Totals
from tests.files.random_files import TOKENS

TEXT = st.lists(st.sampled_from(TOKENS), max_size=60).map(b"".join)
KINDS = frozenset({"lines", "words", "bytes"})


class Text:
    """A source in memory, which counts what is read."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.size = len(text)
        self.done = 0

    def read(self, position: int, size: int) -> bytes:
        block = self.text[position : position + size]
        self.done += len(block)
        return block


def totals(count: Totals, text: bytes) -> tuple[int, int, int]:
    partial = count.partial()
    partial.update(memoryview(text), last=True)
    return partial.lines, partial.words, partial.bytes


@given(text=TEXT, positions=st.lists(st.integers(0, 100), max_size=4), unicode=st.booleans())
def test_chunks_between_starts_have_the_totals_of_the_whole(text: bytes, positions: list[int], unicode: bool) -> None:
    count = Totals(KINDS, unicode)
    source = Text(text)
    ends = sorted({0, len(text), *(count.find_start(source, min(each, len(text))) for each in positions)})
    whole = count.partial()
    for start, stop in pairwise(ends):
        part = count.partial()
        part.update(memoryview(text[start:stop]), last=True)
        whole.merge(count.from_bytes(part.to_bytes()))
    assert (whole.lines, whole.words, whole.bytes) == totals(count, text)


@given(text=TEXT, position=st.integers(0, 100))
def test_no_word_is_divided(text: bytes, position: int) -> None:
    position = min(position, len(text))
    found = Totals(KINDS).find_start(Text(text), position)
    nearest = re.compile(rb"(?<=[\t-\r ])|\Z").search(text, position) if position else None
    assert found == (nearest.start() if nearest else 0)
    assert Totals(frozenset({"lines", "bytes"})).find_start(Text(text), position) == position


@given(text=TEXT)
def test_complete_words_of_a_block(text: bytes) -> None:
    ends = [match.end() for match in re.finditer(rb"[\t-\r ]", text)]
    assert Totals(KINDS).cut(memoryview(text)) == (ends[-1] if ends else 0)
    assert Totals(frozenset({"lines"})).cut(memoryview(text)) == len(text)


@pytest.mark.parametrize("length", [SEARCH_BYTES - 1, SEARCH_BYTES, SEARCH_BYTES + 1, 3 * MAX_SEARCH_BYTES])
def test_words_that_are_longer_than_what_is_read_to_find_their_end(length: int) -> None:
    source = Text(b"a" * length + b" b")
    count = Totals(KINDS)
    assert count.find_start(source, 1) == length + 1
    assert source.done <= 2 * length + SEARCH_BYTES
    assert count.find_start(source, length + 2) == length + 2
    assert count.find_start(Text(b"a" * length), 1) == length


def test_only_what_is_asked_for_is_counted() -> None:
    text = b"a b\nc\n"
    assert totals(Totals(frozenset({"lines"})), text) == (2, 0, 6)
    assert totals(Totals(frozenset({"bytes"})), text) == (0, 0, 6)
    assert totals(Totals(KINDS), text) == (2, 3, 6)


def test_a_partial_that_was_stored_goes_on() -> None:
    count = Totals(KINDS)
    partial = count.partial()
    partial.update(memoryview(b"a b"), last=True)
    again = count.from_bytes(partial.to_bytes())
    again.update(memoryview(b"c\n"), last=True)
    assert (again.lines, again.words, again.bytes) == (1, 3, 5)
    again.close()


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(ValueError, match="not chars, tokens"):
        Totals(frozenset({"tokens", "lines", "chars"}))


def test_a_count_can_be_pickled() -> None:
    count = pickle.loads(pickle.dumps(Totals(frozenset({"words"}), unicode=True)))
    assert totals(count, "a\u2003b".encode()) == (0, 2, 5)


def test_neither_numpy_nor_dataclasses_are_imported() -> None:
    """They take longer to import than the lines of a gigabyte to count."""
    code = "import sys, parcount.files.totals; print({'numpy', 'dataclasses'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"
