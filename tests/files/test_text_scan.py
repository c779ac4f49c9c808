"""The compiled loops that count lines and words, in every implementation that this machine has."""

import re
from itertools import cycle
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parcount._native.cpu_features import SUPPORTED
from parcount._native.text_scan import TextCounter, find_space, rfind_space
from parcount.kernels.info import kernel_info
from tests.files.random_files import NEARLY, TOKENS, WHITE_SPACE, random_content

FEATURES = [(), *({feature} for feature in ("AVX2", "AVX512", "NEON") if feature in SUPPORTED)]
"""CPU features that choose each implementation."""

TEXT = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=70), max_size=40).map(b"".join)

implementations = pytest.mark.parametrize("features", FEATURES, ids=lambda features: "".join(features) or "baseline")


def c_words(text: bytes) -> int:
    return sum(1 for word in re.split(rb"[\t-\r ]+", text) if re.search(rb"[!-~]", word))


def unicode_words(text: bytes) -> int:
    return len(text.decode("utf-8", "surrogateescape").split())


def counted(text: bytes, counter: TextCounter, sizes: list[int]) -> tuple[int, int, int]:
    """Count a text in blocks of these sizes in turn; bytes that are not used are given again."""
    block, position, last = b"", 0, False
    next_size = cycle(sizes or [len(text)])
    while not last:
        size = next(next_size)
        block += text[position : position + size]
        position += size
        last = position >= len(text)
        block = block[counter.update(block, last=last) :]
    assert not block
    return counter.lines, counter.words, counter.bytes


@implementations
@given(text=TEXT, sizes=st.lists(st.integers(1, 200), max_size=5))
def test_lines_and_words(features, text: bytes, sizes: list[int]) -> None:
    lines = text.count(b"\n")
    assert counted(text, TextCounter(True, True, False, features), sizes) == (lines, c_words(text), len(text))
    assert counted(text, TextCounter(True, True, True, features), sizes) == (lines, unicode_words(text), len(text))
    assert counted(text, TextCounter(True, False, False, features), sizes) == (lines, 0, len(text))
    assert counted(text, TextCounter(False, False, False, features), sizes) == (0, 0, len(text))


@implementations
def test_random_files(features) -> None:
    random = Random(0)
    for _ in range(400):
        text = random_content(random, 300)
        sizes = [random.randrange(1, 200) for _ in range(3)]
        assert counted(text, TextCounter(True, True, False, features), sizes)[1] == c_words(text)
        assert counted(text, TextCounter(True, True, True, features), sizes)[1] == unicode_words(text)


@implementations
@pytest.mark.parametrize("before", [*range(59, 70), 127, 128])
def test_each_white_space_character_at_each_place_in_a_block(features, before: int) -> None:
    for character in WHITE_SPACE + NEARLY:
        text = b"a" * before + character.encode() + b"b"
        counter = TextCounter(True, True, True, features)
        counter.update(text, last=True)
        assert counter.words == 1 + character.isspace(), (character, before)


@implementations
def test_each_byte_between_and_beside_words(features) -> None:
    for code in range(256):
        byte = bytes([code])
        for text in (byte, b"a%bb" % byte, b" %b " % byte, b"a %b" % byte, b"%b\x80%b" % (byte, byte)):
            counter = TextCounter(True, True, False, features)
            counter.update(text, last=True)
            assert counter.words == c_words(text), text


@implementations
def test_more_than_one_poll_for_signals(features) -> None:
    text = ("a \u2003b\u3000" * 100_000 + "c").encode() * 3
    for last in (True, False):
        counter = TextCounter(True, True, True, features)
        used = counter.update(text, last=last)
        if not last:
            assert len(text) - used < 66
            counter.update(text[used:], last=True)
        assert counter.words == unicode_words(text)


def test_a_word_ends_with_its_chunk() -> None:
    counter = TextCounter(False, True, False)
    for chunk, words in ((b"a", 1), (b"b c", 3), (b"", 3), (b"\0", 3), (b"\xa0", 3)):
        counter.update(chunk, last=True)
        assert counter.words == words


def test_words_so_far_are_known_between_blocks() -> None:
    counter = TextCounter(False, True, False)
    for block, words in ((b"a b", 2), (b"c", 2), (b" ", 2), (b"", 2)):
        counter.update(block, last=False)
        assert counter.words == words


@given(text=TEXT)
def test_the_first_and_the_last_white_space(text: bytes) -> None:
    spaces = [match.start() for match in re.finditer(rb"[\t-\r ]", text)]
    assert find_space(text) == (spaces[0] if spaces else len(text))
    assert rfind_space(text) == (spaces[-1] if spaces else -1)


def test_bytes_that_cannot_be_counted() -> None:
    counter = TextCounter(True, True, False)
    for block in ("text", None, [1], memoryview(b"abcd")[::2]):
        with pytest.raises((TypeError, ValueError, BufferError)):
            counter.update(block, last=True)
    assert counter.bytes == 0


def test_the_implementation_is_named() -> None:
    assert kernel_info()["lines and words"].available[-1] == "baseline"
