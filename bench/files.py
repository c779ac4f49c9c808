"""Counting of files compared with other programs: ``python bench/files.py [case …]``.

Each case makes its input in a temporary folder, so that it is in the page cache, and runs whole commands, ours and
those of peers, in interleaved and shuffled rounds. What the commands print is compared before anything is timed. The
table has the median of the times, the median ratio of a peer's time to ours in the same round, the time of the call
alone, without the start of its process, where a command tells it, and the peak resident memory. ``--json FILE`` saves
the times, ``--size`` is about the size of the inputs. Peers that are not installed are named.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from parcount.report.units import format_bytes, format_seconds
from parcount.studies.core.environment import environment

THREADS = 2
TIME_LIMIT = 3600.0
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
OURS = "parcount"

Result = Any
"""What a command counted, in a form that can be compared with ``==``."""


@dataclass(frozen=True)
class Command:
    """A command that counts the input of a case.

    Parameters
    ----------
    name : str
        For the table; ours is ``parcount``.
    arguments : list of str or str
        The program with its arguments; a string is run by the shell.
    parse : callable
        Returns the result from what the command prints.
    needs : tuple of str
        The programs and modules without which it cannot run.
    compared : bool
        Whether its result is that of the others.
    may_fail : bool
        Whether the others are measured if it ends with an error.
    """

    name: str
    arguments: list[str] | str
    parse: Callable[[bytes], Result]
    needs: tuple[str, ...] = ()
    compared: bool = True
    may_fail: bool = False

    def missing(self) -> list[str]:
        """What it needs and is not installed."""
        return [need for need in self.needs if not (shutil.which(need) or importlib.util.find_spec(need))]


class Failed(Exception):
    """A command ended with an error."""


@dataclass
class Run:
    """What one run of a command took."""

    seconds: float
    peak: int
    inside: float | None
    result: Result = field(repr=False)


LAUNCHER = """
import json, os, sys, time
output, errors, *arguments = sys.argv[1:]
files = [(os.POSIX_SPAWN_OPEN, number, path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)
         for number, path in ((1, output), (2, errors))]
begin = time.perf_counter()
child = os.posix_spawnp(arguments[0], arguments, os.environ, file_actions=files)
_, status, usage = os.wait4(child, 0)
print(json.dumps([time.perf_counter() - begin, os.waitstatus_to_exitcode(status), usage.ru_maxrss]))
"""
"""Runs a command and prints its time, exit code and peak memory, also of the processes that it waited for.

Linux counts the memory of the process that starts another one into the peak of that one: this one is small.
"""


def run(command: Command) -> Run:
    """Run a command, and wait for it."""
    arguments = command.arguments if isinstance(command.arguments, list) else ["sh", "-c", command.arguments]
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        launched = subprocess.run(
            [sys.executable, "-I", "-S", "-c", LAUNCHER, output, errors, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            env={**os.environ, "LC_ALL": "C"},
            timeout=TIME_LIMIT,
        )
        seconds, code, peak = json.loads(launched.stdout)
        told = errors.read_text(errors="replace")
        if code:
            raise Failed(f"exit code {code}: {told[-500:]}")
        inside = [float(line.split()[1]) for line in told.splitlines() if line.startswith("inside ")]
        peak *= 1 if sys.platform == "darwin" else 1024
        return Run(seconds, peak, inside[0] if inside else None, command.parse(output.read_bytes()))


def python(name: str, code: str, path: Path, parse: Callable[[bytes], Result], **options: Any) -> Command:
    """A command that runs Python code, in which PATH is the input, THREADS the threads, and `call()` is what counts.

    `call` returns what is printed, as text or bytes; the time that it takes is told too.
    """
    text = f"""
import sys, time
PATH, THREADS = {str(path)!r}, {THREADS}
{code}
begin = time.perf_counter()
answer = call()
print("inside", time.perf_counter() - begin, file=sys.stderr)
sys.stdout.buffer.write(answer if isinstance(answer, bytes) else str(answer).encode())
"""
    return Command(name, [sys.executable, "-c", text], parse, **options)


def ours(path: Path, *options: str, parse: Callable[[bytes], Result], name: str = OURS) -> Command:
    """Our command."""
    return Command(name, [sys.executable, "-m", "parcount", "count", *options, str(path)], parse)


def first_number(output: bytes) -> int:
    """The first number, as of ``wc``."""
    return int(output.split()[0])


def digest_of_counts(output: bytes) -> int:
    """A digest of lines ``count value`` in any order: the sum of the hashes of Python."""
    total = start = 0
    while start < len(output):
        stop = output.find(b"\n", start + (1 << 24)) + 1 or len(output)
        lines = output[start:stop].split(b"\n")
        total += sum(hash(line.lstrip(b" ").replace(b"\t", b" ", 1)) for line in lines if line)
        start = stop
    return total


def nothing(output: bytes) -> None:
    """The result of a command that does not count."""


READ = """
import mmap, os
from threading import Thread
import numpy as np
def call():
    size, step = os.path.getsize(PATH), 1 << 24
    with open(PATH, "rb") as file:
        def read(number):
            for start in range(number * step, size, THREADS * step):
                length = min(step, size - start)
                with mmap.mmap(file.fileno(), length, offset=start, access=mmap.ACCESS_READ) as mapped:
                    np.frombuffer(mapped, np.int64, length // 8).max()
        threads = [Thread(target=read, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return ""
"""
"""The largest 64-bit integer of the file: as much work as reading."""


@dataclass(frozen=True)
class Case:
    """An input with the commands that count it."""

    make: Callable[[Path, int], None]
    commands: Callable[[Path], list[Command]]
    suffix: str = ".txt"


CASES: dict[str, Case] = {}


# Inputs.


def joined(pool: list[bytes], choose: Callable[[int], np.ndarray], path: Path, size: int) -> None:
    """Write random elements of a pool up to about a size; `choose` returns so many indices."""
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(b"".join(map(pool.__getitem__, choose(1_000_000).tolist())))


def log_lines(path: Path, size: int, distinct: int = 1_000_000, skew: float = 2) -> None:
    """Write lines of a web server's log of about 100 bytes, so many distinct ones.

    The probability of the k-th one is proportional to ``k ** (1 / skew - 1)``: with 1 they are equally frequent.
    """
    source, choice = random.Random(1), np.random.default_rng(1)
    kinds = ("static/images", "api/v2/items", "users", "search", "")
    pool = []
    for number in range(distinct):
        address = ".".join(str(source.randrange(256)) for _ in range(3))
        when = ":".join(f"{source.randrange(limit):02}" for limit in (24, 60, 60))
        request = f"GET /{source.choice(kinds)}/{number:x} HTTP/1.1"
        status, length = source.choice((200, 200, 200, 304, 404, 500)), source.randrange(100_000)
        line = f'10.{address} - - [27/Nov/2026:{when} +0000] "{request}" {status} {length}\n'
        pool.append(line.encode())
    joined(pool, lambda n: (choice.random(n) ** skew * distinct).astype(np.int64), path, size)


def uniform_lines(path: Path, size: int) -> None:
    """Write lines of a web server's log, all equally frequent."""
    log_lines(path, size, skew=1)


def rare_lines(path: Path, size: int) -> None:
    """Write lines of about 32 bytes, of which three quarters are distinct: 50 million in 2 GB."""
    choice = np.random.default_rng(4)
    lines = size // 32
    distinct = lines * 3 // 4
    numbers = np.arange(lines, dtype=np.uint32)
    numbers[distinct:] = choice.integers(0, distinct, lines - distinct)
    choice.shuffle(numbers)
    powers = 10 ** np.arange(7, -1, -1, dtype=np.uint32)
    with path.open("wb") as file:
        for part in np.array_split(numbers, 1 + lines // 1_000_000):
            table = np.zeros((len(part), 32), np.uint8)
            table[:, :5] = np.frombuffer(b"user=", np.uint8)
            digits = part[:, None] // powers
            table[:, 5:13] = np.where(digits, digits % 10 + ord("0"), 0)  # zeros are removed below
            table[:, 13:20] = np.frombuffer(b"&token=", np.uint8)
            token = part * np.uint32(2654435761)
            table[:, 20:31] = ord("a") + token[:, None] // np.uint32(3) ** np.arange(11, dtype=np.uint32) % 26
            table[:, 31] = ord("\n")
            file.write(table[table != 0].tobytes())


def text(path: Path, size: int) -> None:
    """Write lines of words of English lengths."""
    source, choice = random.Random(2), np.random.default_rng(2)
    letters = "etaoinshrdlcumwfgypbvk"
    pool = [
        ("".join(source.choices(letters, k=min(1 + int(source.expovariate(0.25)), 20))) + end).encode()
        for end in [" "] * 9 + [".\n"]
        for _ in range(5000)
    ]
    joined(pool, lambda n: choice.integers(0, len(pool), n), path, size)


def measurements(path: Path, size: int) -> None:
    """Write rows ``name;temperature`` of 413 names, 100 million rows in 1.4 GB as of the One Billion Row Challenge."""
    source, choice = random.Random(3), np.random.default_rng(3)
    names = [
        "".join(source.choices("abcdefghijklmnopqrstuvwxyz", k=source.randrange(4, 14))).title() for _ in range(413)
    ]
    tenths = np.arange(-999, 1000)
    pool = [f"{name};{tenth / 10:.1f}\n".encode() for name in names for tenth in tenths]
    means = choice.normal(120, 100, len(names))

    def choose(n: int) -> np.ndarray:
        station = choice.integers(0, len(names), n)
        tenth = np.clip(np.rint(choice.normal(means[station], 100)), -999, 999).astype(np.int64)
        return station * len(tenths) + tenth + 999

    joined(pool, choose, path, min(size, 1_400_000_000))


def table(path: Path, size: int, distinct: int = 1000) -> None:
    """Write a CSV of ten columns, numbers and strings, in 80 bytes a row; ``counted`` has so many distinct values."""
    source, choice = random.Random(4), np.random.default_rng(4)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(source.choices(letters, k=source.randrange(4, 14))) for _ in range(1000)]
    values = [f"{words[number % 1000]}{number:x}".encode() for number in range(distinct)]
    before = [
        f"{source.randrange(10**8)},{source.choice(words)},{source.random() * 1000:.2f},".encode()
        for _ in range(100_000)
    ]
    after = [
        f",{source.gauss(0, 1):.6f},{source.randrange(2)},{source.randrange(10**6)},{source.choice(words)},"
        f"{source.random():.8f},2026-{source.randrange(1, 13):02}-{source.randrange(1, 29):02}\n".encode()
        for _ in range(100_000)
    ]
    with path.open("wb") as file:
        file.write(b"id,name,price,counted,x,flag,code,tag,y,day\n")
        while file.tell() < size:
            rows: list[bytes] = [b""] * 3_000_000
            for part, pool in enumerate((before, values, after)):
                rows[part::3] = map(pool.__getitem__, choice.integers(0, len(pool), 1_000_000).tolist())
            file.write(b"".join(rows))


# Lines, words and bytes.


def totals(option: str, wc: str) -> Callable[[Path], list[Command]]:
    """The commands that print one total."""

    def commands(path: Path) -> list[Command]:
        return [
            ours(path, option, parse=first_number),
            python(
                "parcount, the call",
                f"import parcount as pc\ncount = pc.count_{option[2:]}\ndef call(): return count(PATH)",
                path,
                first_number,
            ),
            Command("GNU wc", ["wc", wc, str(path)], first_number, ("wc",)),
            Command("rust-coreutils wc", ["coreutils", "wc", wc, str(path)], first_number, ("coreutils",)),
            python("reading alone", READ, path, nothing, compared=False),
        ]

    return commands


CASES["lines"] = Case(log_lines, totals("--lines", "-l"))
CASES["words"] = Case(text, totals("--words", "-w"))
CASES["bytes"] = Case(log_lines, totals("--bytes", "-c"))


# Values of a column.

COLUMN = """
import parcount as pc
def call():
    found = pc.count_values(PATH, column=COLUMN if HEADER else COLUMNS.index(COLUMN) + 1, delimiter=DELIMITER)
    return b"".join(b"%d %b\\n" % (count, value) for value, count in found.sorted())
"""

POLARS_COLUMN = """
import polars as pl
def call():
    rows = pl.scan_csv(PATH, separator=DELIMITER, has_header=HEADER, new_columns=COLUMNS, **POLARS)
    counts = rows.group_by(COLUMN).len().select("len", COLUMN).collect(engine="streaming")
    return counts.write_csv(include_header=False, separator=" ", quote_style="never")
"""

DUCKDB_COLUMN = """
import duckdb, tempfile
def call():
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in COLUMNS)
    with tempfile.TemporaryDirectory() as folder:  # on the same file system as the results of the others
        duckdb.execute(f"SET threads = {THREADS}; SET enable_progress_bar = false")  # it would be on standard output
        duckdb.execute(
            f"COPY (SELECT count(*), {COLUMN} FROM read_csv('{PATH}', auto_detect = false, header = {HEADER}, "
            f"delim = '{DELIMITER}', quote = '\\"', columns = {{{columns}}}) GROUP BY 2) "
            f"TO '{folder}/counts' (FORMAT csv, HEADER false, DELIMITER ' ', QUOTE '')"
        )
        with open(folder + "/counts", "rb") as file:
            return file.read()
"""


def column(name: str, columns: list[str], delimiter: str, header: bool) -> Callable[[Path], list[Command]]:
    """The commands that count the values of a column of text."""
    settings = f"COLUMN, COLUMNS, DELIMITER, HEADER = {name!r}, {columns!r}, {delimiter!r}, {header!r}\n"
    number = name if header else str(columns.index(name) + 1)

    def commands(path: Path) -> list[Command]:
        kinds = [
            ("parcount, the call", COLUMN, ()),
            ("polars", "POLARS = {}" + POLARS_COLUMN, ("polars",)),
            ("polars, all as text", "POLARS = {'infer_schema': False}" + POLARS_COLUMN, ("polars",)),
            ("duckdb", DUCKDB_COLUMN, ("duckdb",)),
        ]
        return [
            ours(path, "--column", number, "--delimiter", delimiter, parse=digest_of_counts),
            *(python(its, settings + code, path, digest_of_counts, needs=needs) for its, code, needs in kinds),
        ]

    return commands


COLUMNS = ["id", "name", "price", "counted", "x", "flag", "code", "tag", "y", "day"]
CASES["column"] = Case(table, column("counted", COLUMNS, ",", True), ".csv")
CASES["column-million"] = Case(partial(table, distinct=1_000_000), column("counted", COLUMNS, ",", True), ".csv")
CASES["billion-rows"] = Case(measurements, column("name", ["name", "temperature"], ";", False), ".csv")


# Distinct lines.

DUCKDB = """
import duckdb
base = duckdb.connect(config={"threads": THREADS, "preserve_insertion_order": False, **OPTIONS})
base.execute("SET enable_progress_bar = false")  # it goes to standard output
DIALECT = "auto_detect=false, header=false, delim='\\x01', quote='', escape=''"
READ = f"read_csv('{PATH}', columns={{'line': 'VARCHAR'}}, {DIALECT})"
FORMAT = "(FORMAT csv, HEADER false, DELIMITER ' ', QUOTE '', ESCAPE '')"
def call():
    base.execute(f"COPY (SELECT count(*), line FROM {READ} GROUP BY line) TO '/dev/stdout' {FORMAT}")
    return ""
"""

POLARS = """
import os
os.environ["POLARS_MAX_THREADS"] = str(THREADS)
import polars as pl
def call():
    lines = pl.scan_csv(PATH, separator="\\x01", has_header=False, quote_char=None, schema={"line": pl.String})
    counts = lines.group_by("line").len().select("len", "line").collect(engine="streaming")
    counts.write_csv(sys.stdout.buffer, include_header=False, separator=" ", quote_style="never")
    return ""
"""

CHDB = """
import chdb
def call():
    query = f"SELECT count(), line FROM file('{PATH}', LineAsString) GROUP BY line SETTINGS max_threads = {THREADS}"
    return chdb.query(query, "TSVRaw").bytes()
"""


def values(path: Path) -> list[Command]:
    """The commands that count distinct lines."""
    counts = digest_of_counts
    return [
        ours(path, "--values", parse=counts),
        Command("sort | uniq -c", f"sort --parallel={THREADS} -S 4G '{path}' | uniq -c", counts, ("sort", "uniq")),
        python("duckdb", f"OPTIONS = {{}}\n{DUCKDB}", path, counts, needs=("duckdb",)),
        python("polars", POLARS, path, counts, needs=("polars",)),
        python("chdb", CHDB, path, counts, needs=("chdb",)),
    ]


def values_on_disk(path: Path) -> list[Command]:
    """The commands that count distinct lines with 500 MB of memory."""
    folder, counts = path.parent, digest_of_counts
    options = {"memory_limit": "500MB", "temp_directory": str(folder / "duckdb")}
    return [
        ours(path, "--values", "--memory", "500M", "--spill-directory", str(folder), parse=counts),
        Command(
            "sort -S 500M | uniq -c",
            f"sort --parallel={THREADS} -S 500M -T '{folder}' '{path}' | uniq -c",
            counts,
            ("sort", "uniq"),
        ),
        python("duckdb, 500 MB", f"OPTIONS = {options!r}\n{DUCKDB}", path, counts, needs=("duckdb",), may_fail=True),
    ]


CASES["values"] = Case(log_lines, values)
CASES["values-uniform"] = Case(uniform_lines, values)
CASES["values-spill"] = Case(rare_lines, values_on_disk)


# Measuring.


def rounds_of(commands: list[Command], rounds: int, order: random.Random) -> Iterator[tuple[Command, Run]]:
    """Run all commands in `rounds` rounds."""
    for _ in range(rounds):
        for command in order.sample(commands, len(commands)):
            yield command, run(command)


def measure(name: str, size: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Measure a case, print its table and return its times."""
    case = CASES[name]
    path = folder / (name + case.suffix)
    case.make(path, size)
    try:
        commands = case.commands(path)
        missing = {command.name: absent for command in commands if (absent := command.missing())}
        commands = [command for command in commands if command.name not in missing]
        results = {}
        for command in commands:
            try:
                results[command.name] = run(command).result
            except Failed as error:
                if not command.may_fail:
                    raise
                missing[command.name] = [str(error)]
        commands = [command for command in commands if command.name not in missing]
        compared = {command.name: results[command.name] for command in commands if command.compared}
        if any(result != compared[OURS] for result in compared.values()):
            raise SystemExit(f"the results differ: {compared}")
        runs: dict[str, list[Run]] = {command.name: [] for command in commands}
        for command, done in rounds_of(commands, rounds, random.Random(0)):
            runs[command.name].append(done)
        actual = path.stat().st_size
    finally:
        path.unlink()
    print(f"\n{name}: {format_bytes(actual)}, {rounds} rounds")
    print(f"{'':<28}{'median':>10}{'least':>10}{'GB/s':>7}{'to ours':>10}{'call':>10}{'peak':>10}")
    for its, made in runs.items():
        seconds = [done.seconds for done in made]
        ratio = median(done.seconds / own.seconds for done, own in zip(made, runs[OURS], strict=True))
        inside = [done.inside for done in made if done.inside is not None]
        columns = [
            f"{its:<28}",
            f"{format_seconds(median(seconds)):>10}",
            f"{format_seconds(min(seconds)):>10}",
            f"{actual / median(seconds) / 1e9:>7.2f}",
            f"{ratio:>9.2f}×",
            f"{format_seconds(median(inside)) if inside else '':>10}",
            f"{format_bytes(max(done.peak for done in made)):>10}",
        ]
        print("".join(columns), flush=True)
    for its, absent in missing.items():
        print(f"{its:<28}not measured: {', '.join(absent)}")
    return {
        "case": name,
        "size": actual,
        "missing": missing,
        "seconds": {its: [done.seconds for done in made] for its, made in runs.items()},
        "inside": {its: [done.inside for done in made] for its, made in runs.items()},
        "peak": {its: max(done.peak for done in made) for its, made in runs.items()},
    }


def size_in_bytes(words: str) -> int:
    """The number of bytes of a size such as ``2G``."""
    unit = UNITS.get(words[-1:].upper(), 0)
    return int(float(words[:-1]) * unit) if unit else int(words)


def main() -> int:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="case", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--size", type=size_in_bytes, default=2 << 30, help="of the inputs, about; default: 2G")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the inputs are made; default: the temporary folder")
    parser.add_argument("--json", type=Path)
    words = parser.parse_args()
    if unknown := [name for name in words.cases if name not in CASES]:
        parser.error(f"there is no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    about = environment()
    print(f"{about['cpu']}, {about['cores']['available']} cores, {about['platform']}")
    with tempfile.TemporaryDirectory(dir=words.folder) as folder:
        found = [measure(name, words.size, words.rounds, Path(folder)) for name in words.cases or CASES]
    if words.json:
        words.json.write_text(json.dumps({"environment": about, "cases": found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
