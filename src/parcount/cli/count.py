"""``parcount count``: lines, words, bytes and values of files."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from parcount.cli.formatter import Formatter
from parcount.files.functions import make_totals, make_values, run_count, value_counts
from parcount.files.inputs import STANDARD_INPUT, File, Input, find_inputs
from parcount.report.progress_line import ProgressLine
from parcount.report.stream import discard_output
from parcount.report.units import format_bytes, plural

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from parcount.execution.base import Execution
    from parcount.files.count import Count, Partial

NAME = "parcount count"

KINDS = ("lines", "words", "bytes")
"""In the order of the columns of ``wc``."""

EXECUTIONS = {"serial": "Serial", "threads": "Threads", "processes": "Processes", "interpreters": "Interpreters"}

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

WIDTH = 7
"""Columns of a number where the greatest is not known, as in ``wc``, and of the counts of ``uniq -c``."""

EPILOG = """\
Without FILE, or where FILE is '-', standard input. Without --lines, --words, --bytes and --values, the first three.
Files whose names end in .gz or .zst are decompressed. SIZE: bytes, or with k, M, G or T multiples of 1024.

  parcount count --lines access.log*               as wc -l
  parcount count --values --top 20 access.log      as sort | uniq -c | sort -rn | head -20
  parcount count --column name big.csv             values of a column, by its name or its number
  parcount count --values --journal count.journal huge.log    the same command again continues after a crash

SIGUSR1 prints how far it is. Exit codes: 0 counted, 1 something could not be counted, 2 the call was wrong,
130 interrupted.
"""


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "count",
        help="count lines, words, bytes, or distinct values in files",
        description="Counts files on every core: exact, in bounded memory, with the results of wc and of "
        "sort | uniq -c | sort -rn.",
        epilog=EPILOG,
        formatter_class=Formatter,
    )
    parser.set_defaults(command=_count, parser=parser, interspersed="files")
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="files, patterns, or folders with --recursive")
    add("-l", "--lines", action="store_true", help="newlines")
    add("-w", "--words", action="store_true", help="words, separated by ASCII white space")
    add("-c", "--bytes", action="store_true", help="bytes; with --values, how often each of the 256 occurs")
    add("--values", action="store_true", help="distinct lines, and how often each occurs")
    add("--column", metavar="C", help="distinct values of a column of CSV, TSV, JSON lines or Parquet: number or name")
    add("--delimiter", metavar="D", help="what is between columns; default: comma, or tab in .tsv files")
    add("--header", action=argparse.BooleanOptionalAction, help="whether the first row has the names of the columns")
    add("--format", choices=("csv", "tsv", "jsonl", "parquet"), help="default: by the name of the file, or csv")
    add(
        "--quote",
        metavar="Q",
        default='"',
        help="what is around fields with delimiters in them; '' for none; default: \"",
    )
    add("--short-rows", choices=("error", "skip", "empty"), help="rows without the column; default: error")
    add("--unicode", action="store_true", help="words as Python's str.split() separates them")
    add("--top", metavar="N", type=_natural, help="only the N most frequent values")
    add("--memory", metavar="SIZE", type=_size, help="the most that the values take; default: half of what is free")
    add("--spill-directory", metavar="FOLDER", help="where the rest goes; default: the folder for temporary files")
    add("--journal", metavar="FILE", help="record what has been counted, and continue from there")
    add("-r", "--recursive", action="store_true", help="the files in folders")
    add("--threads", metavar="N", type=_natural, help="workers; default: one for each core")
    add("--on", choices=EXECUTIONS, help="what the workers are; default: threads")
    add("--explain", action="store_true", help="say on standard error what runs, and why")
    add("--json", action="store_true", help="as one JSON object")


def _natural(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return int(text)


def _size(text: str) -> int:
    digits = text.rstrip("iBb")
    unit = digits[-1:].lower() if digits[-1:].isalpha() else ""
    number = digits[: len(digits) - len(unit)]
    try:
        size = int(float(number) * UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        size = 0
    if size < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 500M or 1.5G")
    return size


def _count(words: argparse.Namespace) -> int:
    kinds = [kind for kind in KINDS if getattr(words, kind)]
    of_values = words.values or words.column is not None
    _check(words, kinds, of_values)
    errors: list[str] = []

    def report(name: str, error: Exception) -> None:
        errors.append(name)
        _complain(error, name)

    try:
        inputs = find_inputs(words.files or [STANDARD_INPUT], recursive=words.recursive, on_error=report)
        with ProgressLine(NAME, sys.stderr) as progress:
            arguments = words.threads if words.on is None else None, _execution(words), progress, words.journal
            count, options = _values(words) if of_values else make_totals(kinds or KINDS, words.unicode)
            if words.explain:
                _explain(words, count, inputs, arguments[:2])
            counted = run_count(count, options, inputs, *arguments, report)
            values = value_counts(count, counted, words.threads) if of_values else None
    except (OSError, ValueError, ImportError, RuntimeError, MemoryError) as error:
        _complain(error)
        return 1
    try:
        if of_values:
            _print_values(words, values)
        else:
            _print_totals(words, kinds or [*KINDS], counted, len(inputs) + len(errors))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has what it wants, as `head` does
        discard_output()
        return 1
    return 1 if errors else 0


def _check(words: argparse.Namespace, kinds: Sequence[str], of_values: bool) -> None:
    """Refuse options that do not belong together."""
    refuse = words.parser.error
    if of_values and (words.lines or words.words):
        refuse("--lines and --words count totals, and --values and --column values: give one of both")
    if words.column is not None and words.bytes:
        refuse("give one of --bytes and --column")
    if words.unicode and kinds and "words" not in kinds:
        refuse("--unicode is for --words")
    if of_values and words.unicode:
        refuse("--unicode is for --words")
    for option in ("top", "memory", "spill_directory") if not of_values else ():
        if getattr(words, option) is not None:
            refuse(f"--{option.replace('_', '-')} is for --values and --column")
    for option in ("delimiter", "header", "format", "short_rows") if words.column is None else ():
        if getattr(words, option) is not None:
            refuse(f"--{option.replace('_', '-')} is for --column")


def _explain(
    words: argparse.Namespace, count: Count, inputs: Sequence[Input], workers: tuple[int | None, Execution | None]
) -> None:
    """Say on standard error what runs."""
    import tempfile

    from parcount.files.driver import BLOCK_SIZE, STREAM_BLOCK_SIZE, divide
    from parcount.kernels.info import kernel_info

    threads, on = workers
    division = divide(count, inputs, threads=threads, on=on)
    files = sum(isinstance(source, File) for source in inputs)
    info = kernel_info()
    lines = [f"loops: {kernel}, {info[kernel].implementation}" for kernel in count.kernels if kernel in info]
    lines.append(f"workers: {plural(division.workers, 'thread') if on is None else on}")
    if files:
        mapped = "mapped into memory where they are in the page cache, otherwise " if count.maps_files else ""
        lines.append(
            f"{plural(files, 'regular file')}: chunks of {format_bytes(division.chunk_size)}, "
            f"{mapped}read in blocks of {format_bytes(BLOCK_SIZE)}"
        )
    if files < len(inputs):
        how = "each compressed file by one worker"
        if not division.unpack_in_workers:
            how = f"read and decompressed by one thread, in blocks of {format_bytes(STREAM_BLOCK_SIZE)}"
        lines.append(f"{plural(len(inputs) - files, 'other input')}: {how}")
    if count.keeps_partials:
        folder = words.spill_directory or tempfile.gettempdir()
        values: Any = getattr(count, "values", count)
        lines.append(
            f"memory: {format_bytes(values.share(1))} for values; what does not fit goes to temporary files in {folder}"
        )
    if words.journal is not None:
        lines.append(f"journal: {words.journal}, a record for each chunk, written to the disk")
    for line in [*lines, *filter(None, division.readers)]:
        print(f"{NAME}: {line}", file=sys.stderr)


def _execution(words: argparse.Namespace) -> Execution | None:
    if words.on is None:
        return None
    import parcount

    kind = getattr(parcount, EXECUTIONS[words.on])
    try:
        execution: Execution = kind() if words.on == "serial" or words.threads is None else kind(words.threads)
    except NotImplementedError as error:
        words.parser.error(f"argument --on: {error}")
    return execution


def _values(words: argparse.Namespace) -> tuple[Count, dict[str, Any]]:
    named: str | None = words.column
    column = int(named) if named is not None and named.isdecimal() else named
    delimiter = "\t" if words.delimiter == "\\t" else words.delimiter
    quote = words.quote or None
    return make_values(
        words.bytes,
        column,
        delimiter,
        words.header,
        words.format,
        quote,
        words.short_rows,
        words.memory,
        words.spill_directory,
    )


def _complain(error: BaseException, name: str | None = None) -> None:
    """Print a message as those of the GNU tools."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        name = name or error.filename
        text = error.strerror
    elif isinstance(error, MemoryError):
        text = "not enough memory"
    print(": ".join([NAME, *([str(name)] if name and name not in text else []), text]), file=sys.stderr)


def _print_totals(
    words: argparse.Namespace, kinds: Sequence[str], counted: Sequence[tuple[Input, Partial]], number: int
) -> None:
    rows = [(source.name, [getattr(partial, kind) for kind in kinds]) for source, partial in counted]
    total = [sum(column) for column in zip(*(row for _, row in rows), strict=True)] or [0] * len(kinds)
    if words.json:
        _print_json(
            {
                "files": [{"name": name, **dict(zip(kinds, row, strict=True))} for name, row in rows],
                "total": dict(zip(kinds, total, strict=True)),
            }
        )
        return
    width = _width([source for source, _ in counted], total)
    if number == 1 and len(kinds) == 1:
        width = 1
    if number > 1:
        rows.append(("total", total))
    for name, row in rows:
        line = " ".join(f"{value:{width}}" for value in row).encode()
        if words.files:
            line += b" " + os.fsencode(name)
        sys.stdout.buffer.write(line + b"\n")


def _width(inputs: Sequence[Input], total: Sequence[int]) -> int:
    """Return the width of columns that ``wc`` chooses: that of the sum of the sizes."""
    sizes = [source.size for source in inputs if isinstance(source, File)]
    least = 1 if len(sizes) == len(inputs) else WIDTH
    return max(least, len(str(sum(sizes))), *(len(str(value)) for value in total))


def _print_values(words: argparse.Namespace, counts: Any) -> None:
    if words.json:
        _print_json(
            {
                "total": counts.total,
                "distinct": counts.distinct,
                "values": [{**_as_json(value), "count": count} for value, count in counts.sorted(words.top)],
            }
        )
        return
    if not words.bytes:
        counts.write(sys.stdout.buffer, words.top)
        return
    for value, count in counts.sorted(words.top):
        sys.stdout.buffer.write(b"%*d 0x%02x\n" % (WIDTH, count, value[0]))


def _as_json(value: bytes) -> dict[str, Any]:
    """Return a value as text, or coded if it is not UTF-8."""
    try:
        return {"value": value.decode()}
    except UnicodeDecodeError:
        from base64 import b64encode

        return {"base64": b64encode(value).decode()}


def _print_json(content: Any) -> None:
    import json

    print(json.dumps(content))
