"""Counts of random files compared with ``wc``, ``sort | uniq -c`` and Python's `csv`.

``python -m tests.files.fuzz --files N --seed S [--seconds T]`` prints what differs, and exits with 1 if anything does.
The driver is made to divide the files into chunks of some dozen bytes, so that every kind of boundary falls everywhere.
"""

import argparse
import csv
import io
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from parcount.files import driver, inputs
from parcount.files.functions import count_values
from parcount.files.inputs import find_inputs
from parcount.files.totals import Totals
from tests.files.random_files import random_content

BATCH = 100
"""Files that are given to one process of the other programs."""

PIPELINES = 2
"""Files of a batch of which the whole pipeline's output is compared."""

KINDS = frozenset({"lines", "words", "bytes"})
THREADS = 3
TIME_LIMIT = 60.0
LOCALE = {"LC_ALL": "C", "PATH": "/usr/local/bin:/usr/bin:/bin"}
BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
"""What makes files another encoding, which `csv` does not notice."""


def output_of(*command: str, given: bytes = b"", folder: Path | None = None) -> bytes:
    return subprocess.run(
        command, input=given, stdout=subprocess.PIPE, check=True, env=LOCALE, cwd=folder, timeout=TIME_LIMIT
    ).stdout


def words_need_a_visible_character() -> bool:
    """Whether the words of the ``wc`` here are those of GNU wc 9.1: later versions count any bytes but white space."""
    return output_of("wc", "-w", given=b"\x01").strip() == b"0"


@contextmanager
def small_chunks(chunk: int, block: int, mapped: bool) -> Iterator[None]:
    """Make the driver divide files into chunks and blocks of so many bytes, or map the chunks where it can."""
    inputs_sizes = {"NO_WAIT": 0 if mapped and sys.platform == "linux" else None, "MIN_MAPPED_SIZE": 1}
    sizes = {"MIN_CHUNK_SIZE": chunk, "MAX_CHUNK_SIZE": chunk, "BLOCK_SIZE": block, "HEAD_SIZE": block}
    with mock.patch.multiple(driver, **sizes), mock.patch.multiple(inputs, **inputs_sizes):
        yield


class Batch:
    """Some random files, with what differs in their counts."""

    def __init__(self, random: Random, files: int, folder: Path) -> None:
        self.random = random
        self.chunk = random.choice((16, 63, 64, 65, 100, 1000, 5000))
        self.block = random.choice((8, 64, 65, 130, 4096))
        self.contents = [random_content(random, self.chunk) for _ in range(files)]
        self.folder = folder
        self.paths = [folder / f"{number:06}" for number in range(files)]
        for path, content in zip(self.paths, self.contents, strict=True):
            path.write_bytes(content)
        self.differences: list[str] = []

    def compare(self, what: str, number: int, ours: object, theirs: object) -> None:
        if ours != theirs:
            content = self.contents[number]
            shown = repr(content[:500]) + ("" if len(content) <= 500 else f"… ({len(content)} bytes)")
            sizes = f"chunk {self.chunk}, block {self.block}"
            self.differences.append(f"{what}: {ours!r:.300}, not {theirs!r:.300}; {sizes}, of {shown}")

    def check(self) -> list[str]:
        """Return what differs."""
        with small_chunks(self.chunk, self.block, mapped=self.random.random() < 0.5):
            self.check_totals()
            self.check_values()
            self.check_columns()
        return self.differences

    def check_totals(self) -> None:
        sources = find_inputs(self.paths)
        plain: list[Any] = [partial for _, partial in driver.run(Totals(KINDS), sources, threads=THREADS)]
        unicode: list[Any] = [partial for _, partial in driver.run(Totals(KINDS, True), sources, threads=THREADS)]
        told = output_of("wc", "-lwc", *(path.name for path in self.paths), folder=self.folder).splitlines()
        has_words = words_need_a_visible_character()
        for number, content in enumerate(self.contents):
            lines, words, size = map(int, told[number].split()[:3])
            ours = plain[number]
            self.compare("lines and bytes", number, (ours.lines, ours.bytes), (lines, size))
            if has_words:
                self.compare("words", number, ours.words, words)
            text = content.decode("utf-8", "surrogateescape")
            self.compare("Unicode words", number, unicode[number].words, len(text.split()))

    def check_values(self) -> None:
        """The files go through ``sort | uniq -c`` together: each line begins with the number of its file."""
        marked = []
        for number, content in enumerate(self.contents):
            lines = content.split(b"\n")
            marked += [b"%06d%b\n" % (number, line) for line in (lines if lines[-1] else lines[:-1])]
        sorted_lines = output_of("sort", given=b"".join(marked))
        theirs: list[dict[bytes, int]] = [{} for _ in self.contents]
        for line in output_of("uniq", "-c", given=sorted_lines).split(b"\n")[:-1]:
            count, _, value = line.lstrip(b" ").partition(b" ")
            theirs[int(value[:6])][value[6:]] = int(count)
        pipelines = self.random.sample(range(len(self.contents)), min(PIPELINES, len(self.contents)))
        for number, path in enumerate(self.paths):
            result = count_values(path, threads=THREADS)
            self.compare("values", number, result.to_dict(), theirs[number])
            if number in pipelines:
                ours = b"".join(b"%7d %b\n" % (count, value) for value, count in result.sorted())
                pipeline = 'sort -- "$1" | uniq -c | sort -rn'
                self.compare("order", number, ours, output_of("sh", "-c", pipeline, "sh", str(path)))

    def check_columns(self) -> None:
        for number, path in enumerate(self.paths):
            content = self.contents[number]
            if content.startswith(BYTE_ORDER_MARKS):
                continue
            column = self.random.randrange(1, 4)
            delimiter = self.random.choice(",,;\t ")
            quote = self.random.choice('""\'')
            short = self.random.choice(("skip", "empty"))
            rows = csv.reader(io.StringIO(content.decode("latin-1"), newline=""), delimiter=delimiter, quotechar=quote)
            theirs = Counter(
                (row[column - 1] if len(row) >= column else "").encode("latin-1")
                for row in rows
                if len(row) >= column or (row and short == "empty")
            )
            ours = count_values(
                path, column=column, delimiter=delimiter, quote=quote, short_rows=short, format="csv", threads=THREADS
            )
            self.compare(f"column {column} {delimiter!r} {quote!r} {short}", number, ours.to_dict(), dict(theirs))


def fuzz(files: int, seed: int, seconds: float = float("inf")) -> tuple[int, list[str]]:
    """Compare so many files, or those of so many seconds; return their number and what differs."""
    csv.field_size_limit(1 << 30)
    random = Random(seed)
    begin = time.monotonic()
    done = 0
    differences: list[str] = []
    while done < files and time.monotonic() - begin < seconds and len(differences) < 20:
        size = min(BATCH, files - done)
        with tempfile.TemporaryDirectory() as folder:
            differences += Batch(random, size, Path(folder)).check()
        done += size
    return done, differences


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    words = parser.parse_args()
    done, differences = fuzz(words.files, words.seed, words.seconds)
    print(*differences, f"{done} files, {len(differences)} differences", sep="\n")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
