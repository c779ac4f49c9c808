"""Kills writers of a journal at random instants, replaces them, and verifies every record.

    python -m tests.files.journal.kill_writers --how queue --processes 8 --records 1000000 --kills 100 --seed 1

Each record says which writer appended it and how many it had appended before; the rest of it follows from these two
numbers. A writer counts what `append` has acknowledged in memory that it shares with the parent. In the end the records
of each writer have to be there in order, each once and whole, and at least as many as were acknowledged.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from parcount.files.journal.journal import Journal
from parcount.files.journal.reader import JournalReader

HEAD = struct.Struct("<II")
POOL = random.Random(0).randbytes(1 << 20)
TEXT_POOL = POOL.hex().encode()
TIME_LIMIT = 60.0
"""Seconds within which one record must be acknowledged, and a process must end."""


def record(writer: int, number: int, text: bool) -> bytes:
    """The record of a writer: short, sometimes longer than a page, now and then larger than a ring's half."""
    mixed = (writer * 0x9E3779B1 + number * 0x85EBCA6B) & 0xFFFFFFFF
    mixed ^= mixed >> 15
    length = mixed % 61
    if not number % 997:
        length = mixed % 9973
    if not number % 99991:
        length = mixed % 700_001
    start = mixed % 300_007
    if text:
        return b"%d %d %b" % (writer, number, TEXT_POOL[start : start + length])
    return HEAD.pack(writer, number) + POOL[start : start + length]


@dataclass
class Options:
    how: str
    path: str
    processes: int = 8
    threads: int = 1
    records: int = 100_000
    kills: int = 20
    server_kills: int = 0
    seed: int = 1
    text: bool = False
    sync: str = "none"


@dataclass
class Result:
    records: int = 0
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    wrong: int = 0
    torn: int = 0
    kills: int = 0
    damage: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    size: int = 0

    @property
    def failures(self) -> int:
        """What must not be; `torn` are the records that killed writers had not finished."""
        faults = self.damage["missing"] + self.damage["duplicate"] + self.damage["order"]
        return self.lost + self.duplicated + self.out_of_order + self.wrong + max(0, self.torn - self.kills) + faults


class Shared:
    """How many records each writer has had acknowledged, and whether they are to stop, in shared memory."""

    def __init__(self, writers: int) -> None:
        self.cells = memoryview(mmap.mmap(-1, 8 * (writers + 1))).cast("q")
        self.stop = writers

    def total(self) -> int:
        return sum(self.cells[: self.stop])


def work(options: Options, shared: Shared, process: int) -> None:
    """Append until told to stop."""
    journal = Journal(options.path, how=options.how, text=options.text, sync=options.sync)
    errors: list[BaseException] = []

    def append_all(writer: int) -> None:
        cells, stop, text, append = shared.cells, shared.stop, options.text, journal.append
        number = 0
        try:
            while not cells[stop]:
                append(record(writer, number, text))
                number += 1
                cells[writer] = number
        except BaseException as error:
            errors.append(error)
            raise

    first = process * options.threads
    threads = [Thread(target=append_all, args=(first + position,)) for position in range(1, options.threads)]
    for thread in threads:
        thread.start()
    append_all(first)
    for thread in threads:
        thread.join()
    journal.close()
    if errors:
        raise errors[0]


def start(options: Options, shared: Shared, process: int) -> int:
    """Fork a process; return its number."""
    if child := os.fork():
        return child
    code = 1
    try:
        signal.alarm(0)
        work(options, shared, process)
        code = 0
    except BaseException:  # noqa: BLE001 - the forked process ends here
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def run(options: Options) -> Result:
    """Append and kill until all records are there; verify them."""
    chance = random.Random(options.seed)
    began = time.monotonic()
    processes = options.processes + options.kills
    shared = Shared(processes * options.threads)
    alive = {start(options, shared, process): process for process in range(options.processes)}
    started = options.processes
    events = [(chance.randrange(options.records), "writer") for _ in range(options.kills)]
    events += [(chance.randrange(options.records), "server") for _ in range(options.server_kills)]
    result = Result()
    last, progress = time.monotonic(), 0
    try:
        for position, victim in sorted(events):
            while (total := shared.total()) < position:
                now = time.monotonic()
                if total != progress:
                    last, progress = now, total
                if now - last > TIME_LIMIT:
                    raise TimeoutError(f"no record was acknowledged for {TIME_LIMIT} s, after {total}")
                for child in alive:
                    if os.waitpid(child, os.WNOHANG)[0]:
                        raise RuntimeError(f"process {alive.pop(child)} ended by itself")
                time.sleep(chance.random() / 1000)
            if victim == "server":
                result.kills += kill_servers(options.path)
                continue
            child = chance.choice([*alive])
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            result.kills += options.threads
            del alive[child]
            alive[start(options, shared, started)] = started
            started += 1
        deadline = time.monotonic() + TIME_LIMIT
        while shared.total() < options.records:
            if time.monotonic() > deadline:
                raise TimeoutError("the last records were not acknowledged")
            time.sleep(0.001)
        shared.cells[shared.stop] = 1
        deadline = time.monotonic() + TIME_LIMIT
        while alive:
            for child in [*alive]:
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    del alive[child]
                    if status:
                        raise RuntimeError(f"a process ended with status {status}")
            if time.monotonic() > deadline:
                raise TimeoutError("a process does not end")
            time.sleep(0.001)
    finally:
        for child in alive:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    while [*Path(options.path).parent.glob("*.queue")]:
        if time.monotonic() > deadline:
            raise TimeoutError("the writer process does not end")
        time.sleep(0.001)
    result.seconds = time.monotonic() - began
    verify(options, shared, result)
    return result


def find_servers(path: str | os.PathLike[str]) -> list[int]:
    """The writer process of a journal's queue, which is found by its command line, and those that start it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if b"queue_server" in command and os.fsencode(path) in command:
                found.append(int(process.name))
    return found


def kill_servers(path: str) -> int:
    """Kill the writer process of a journal's queue."""
    killed = 0
    for server in find_servers(path):
        with suppress(ProcessLookupError):
            os.kill(server, signal.SIGKILL)
            killed += 1
    return killed


def verify(options: Options, shared: Shared, result: Result) -> None:
    """Compare what is in the file with what was acknowledged."""
    writers = shared.stop
    found = [0] * writers
    result.acknowledged = shared.total()
    result.size = os.path.getsize(options.path)  # noqa: PTH202
    text = options.text
    unfinished = {record(writer, shared.cells[writer], text) for writer in range(writers)} if text else set()
    with JournalReader(options.path, text=text) as reader:
        for entry in reader:
            data = entry.data
            try:
                writer, number = map(int, data.split(b" ", 2)[:2]) if text else HEAD.unpack_from(data)
                whole = data == record(writer, number, text)
            except (ValueError, struct.error):
                whole = False
            if not whole:
                if any(whole.startswith(data) for whole in unfinished):
                    result.torn += 1
                else:
                    result.wrong += 1
            elif number == found[writer]:
                found[writer] += 1
            elif number < found[writer]:
                result.duplicated += 1
            else:
                result.out_of_order += 1
                found[writer] = number + 1
            if not text and entry.sequence != number and options.threads == 1:
                result.wrong += 1
        result.records = sum(found)
        for damage in reader.check():
            result.damage[damage.kind] += 1
    if not text:
        result.torn = result.damage["torn"] + result.damage["unwritten"]
    result.lost = sum(max(0, shared.cells[writer] - found[writer]) for writer in range(writers))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--how", choices=("lock", "queue", "reserve"), required=True)
    for name, default in (("processes", 8), ("threads", 1), ("records", 100_000), ("kills", 20), ("server-kills", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sync", default="none", choices=("none", "close", "record"))
    parser.add_argument("--text", action="store_true")
    parser.add_argument("--folder", help="where to make the journal, which is removed")
    words = vars(parser.parse_args())
    with tempfile.TemporaryDirectory(dir=words.pop("folder")) as folder:
        result = run(Options(path=os.path.join(folder, "killed.log"), **words))  # noqa: PTH118
    print(result)
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(main())
