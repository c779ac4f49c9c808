"""Kills counts with a journal at random instants and continues them, until each has its result, which must be exact.

python -m tests.files.kill_count [--kills N] [--seed N]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from parcount.files.journal.reader import JournalReader
from tests.remote import TIME_LIMIT

WORKERS = 2

LINES = 120_000
"""Of the input, which has about 36 chunks."""

MOST_KILLS = 25
"""Of one count, which then runs to its end."""

COMMANDS = {
    "totals": ["--lines", "--words", "--bytes"],
    "values": ["--values"],
    "bytes": ["--values", "--bytes"],
    "column": ["--column", "2", "--delimiter", " "],
    "processes": ["--lines", "--words", "--on", "processes"],
}

CHILD = "--child"


class Outcome(NamedTuple):
    """What has happened."""

    kills: int
    finished: int
    wrong: int
    repeated: int
    """Chunks that were recorded, and counted again."""
    most_lost: int
    """The most chunks that one kill has cost."""


def make_input(path: Path, generator: random.Random) -> None:
    """Write lines of which a quarter are distinct."""
    with path.open("wb") as file:
        for _ in range(LINES // 1000):
            lines = (
                b"line %06d %s\n" % (generator.randrange(LINES // 4), b"x" * generator.randrange(600))
                for _ in range(1000)
            )
            file.write(b"".join(lines))


def expected_output(command: list[str], path: Path) -> bytes:
    """Return what the command prints without a journal."""
    return subprocess.run(
        [sys.executable, "-m", "parcount", "count", *command, str(path)],
        capture_output=True,
        timeout=TIME_LIMIT,
        check=True,
    ).stdout


def run(kills: int, seed: int, names: tuple[str, ...] = (*COMMANDS,), *, report: Any = None) -> Outcome:
    """Kill counts so many times in all."""
    generator = random.Random(seed)
    total = Outcome(0, 0, 0, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        path, journal = Path(folder, "input"), Path(folder, "journal")
        make_input(path, generator)
        expected = {name: expected_output(COMMANDS[name], path) for name in names}
        while total.kills < kills:
            name = names[total.finished % len(names)]
            outcome = _kill_until_done(
                [*COMMANDS[name], str(path)], journal, expected[name], generator, min(MOST_KILLS, kills - total.kills)
            )
            total = Outcome(
                *(a + b for a, b in zip(total[:-1], outcome[:-1], strict=True)), max(total[-1], outcome[-1])
            )
            if report is not None:
                report(name, total)
            journal.unlink()
    return total


def _kill_until_done(
    command: list[str], journal: Path, expected: bytes, generator: random.Random, kills: int
) -> Outcome:
    killed = lost = repeated = 0
    before: set[tuple[int, int]] = set()
    while True:
        begun, output = _run_and_kill([*command, "--journal", str(journal)], generator if killed < kills else None)
        recorded = _recorded(journal)
        repeated += sum(count - 1 for count in recorded.values()) + len(before & begun)
        lost = max(lost, len(begun - {*recorded}))
        before = {*recorded}
        if output is not None:
            return Outcome(killed, 1, output != expected, repeated, lost)
        killed += 1


def _run_and_kill(command: list[str], generator: random.Random | None) -> tuple[set[tuple[int, int]], bytes | None]:
    """Run a count, and kill it if there is a generator; return the chunks begun, and the output if it ended."""
    reader, writer = os.pipe()
    words = [sys.executable, "-m", "tests.files.kill_count", CHILD, str(writer), *command]
    with tempfile.TemporaryFile() as printed, os.fdopen(reader, "rb", buffering=0) as log:
        process = subprocess.Popen(words, stdout=printed, pass_fds=[writer], start_new_session=True)
        os.close(writer)
        begun = b""
        if generator is not None:
            seconds = generator.random() ** 2 * 0.3
            if "--on" in command:  # the workers are not patched to say what they begin
                seconds = generator.random() * 2
            elif generator.random() < 0.9:
                begun = log.read(1 << 16)
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            process.kill()
        process.wait(TIME_LIMIT)
        while data := log.read(1 << 16):
            begun += data
        printed.seek(0)
        output = printed.read()
    chunks = {(int(index), int(start)) for index, start in (line.split() for line in begun.splitlines())}
    if process.returncode not in (0, -9):
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return chunks, output if process.returncode == 0 else None


def _recorded(journal: Path) -> Counter[tuple[int, int]]:
    """The chunks in a journal."""
    chunks: Counter[tuple[int, int]] = Counter()
    if journal.exists() and journal.stat().st_size:
        with JournalReader(journal) as reader:
            for record in reader:
                head = json.loads(record.data.partition(b"\n")[0])
                chunks.update((index, start) for index, start, *_ in head.get("chunks", ()))
    return chunks


def _child(log: int, words: list[str]) -> None:
    """Run `parcount count`, which says when a worker begins a chunk."""
    from parcount import cli
    from parcount.files import driver

    real = driver.Worker.__call__

    def logged(self: driver.Worker, chunks: Any) -> Any:
        os.write(log, b"".join(b"%d %d\n" % (chunk.index, chunk.start) for chunk in chunks))
        return real(self, chunks)

    driver.Worker.__call__ = logged
    os.set_inheritable(log, True)
    sys.argv = ["parcount", "count", "--threads", str(WORKERS), *words]
    cli.run()


def main() -> None:
    if sys.argv[1:2] == [CHILD]:
        _child(int(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()

    def report(name: str, total: Outcome) -> None:
        print(f"\r{total.kills} kills, {total.finished} finished, {name}\x1b[K", end="", file=sys.stderr, flush=True)

    outcome = run(words.kills, words.seed, report=report)
    print("", file=sys.stderr)
    print(
        f"{outcome.kills} kills, {outcome.finished} counts finished, {outcome.wrong} wrong; "
        f"{outcome.repeated} recorded chunks counted again; "
        f"one kill cost at most {outcome.most_lost} chunks of {WORKERS} workers"
    )
    sys.exit(bool(outcome.wrong or outcome.repeated or outcome.most_lost > WORKERS))


if __name__ == "__main__":
    main()
