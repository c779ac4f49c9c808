"""``parcount journal``: prints, checks and repairs a journal."""

from __future__ import annotations

import argparse
import json
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable

from parcount.files.journal.reader import JournalReader
from parcount.report.stream import discard_output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from parcount.files.journal.reader import Record

EPILOG = """\
A record that is UTF-8 text in one line is printed as it is. In any other, bytes that are no printable ASCII are printed
as \\xNN or \\n, \\r, \\t, and a backslash as two. --json prints one object a record: "data", or "base64" if the record
is no UTF-8; "writer", "sequence" and "offset".

  parcount journal events.log                      the records
  parcount journal --follow --json events.log      as they come, until Ctrl-C
  parcount journal --check events.log              what is damaged, and where
  parcount journal --repair new.log events.log     the valid records in a new file

Exit codes: 0 done, 1 the journal is damaged (--check) or the system failed, 2 the call was wrong or FILE is no journal,
130 interrupted.
"""


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "journal",
        help="print, check or repair a file that pc.Journal has written",
        description="Prints the records of a journal in the order of the file, also while others write it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_journal, parser=parser)
    add = parser.add_argument
    add("file", metavar="FILE", help="the journal")
    add("--text", action="store_true", help="FILE is a text journal: its records are lines")
    add("--writer", type=_writer, metavar="ID", help="only the records of one writer, as --summary names it")
    add("--follow", "-f", action="store_true", help="also print the records that are appended from now on")
    add("--json", action="store_true", help="print one JSON object a record")
    does = parser.add_mutually_exclusive_group()
    does.add_argument("--count", action="store_true", help="print the number of records only")
    does.add_argument("--summary", action="store_true", help="print how many records each writer has")
    does.add_argument("--check", action="store_true", help="print what is damaged; exit with 1 if anything is")
    does.add_argument("--repair", metavar="NEW", help="write the valid records to a new file")


def _writer(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no hexadecimal number") from None


def _journal(words: argparse.Namespace) -> int:
    refuse = words.parser.error
    if words.follow and (words.count or words.summary or words.check or words.repair is not None):
        refuse("--follow prints records: it does not go with --count, --summary, --check or --repair")
    if (words.check or words.repair is not None) and (words.json or words.writer is not None):
        refuse("--check and --repair are about the whole file: --json and --writer do not go with them")
    try:
        reader = JournalReader(words.file, text=words.text)
    except OSError as error:
        return _failed(f"cannot read {words.file}: {error.strerror}", 2)
    except ValueError as error:
        hint = "" if words.text else "; --text reads lines"
        return _failed(f"{error}{hint}", 2)
    with reader:
        try:
            code = _run(words, reader)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader has what it wants, as `head` does
            discard_output()
            return 1
    return code


def _run(words: argparse.Namespace, reader: JournalReader) -> int:
    if words.check:
        return _check(words.file, reader)
    if words.repair is not None:
        try:
            count = reader.repair(words.repair)
        except FileExistsError:
            return _failed(f"{words.repair} exists", 2)
        except OSError as error:
            return _failed(f"cannot write {words.repair}: {error.strerror}", 1)
        print(f"{words.repair}: {count} records")
        return 0
    records: Iterable[Record] = reader.follow() if words.follow else reader
    if words.writer is not None:
        records = (record for record in records if record.writer == words.writer)
    if words.count:
        print(sum(1 for _ in records))
    elif words.summary:
        _summarise(records, words.json)
    else:
        _print(records, sys.stdout.buffer, as_json=words.json, flush=words.follow)
    return 0


def _check(file: str, reader: JournalReader) -> int:
    damages = reader.check()
    for damage in damages:
        print(f"{file}: offset {damage.offset}: {damage.kind}: {damage.text}")
    if not damages:
        print(f"{file}: no damage")
    return 1 if damages else 0


def _summarise(records: Iterable[Record], as_json: bool) -> None:
    counts: Counter[int] = Counter()
    sizes: Counter[int] = Counter()
    for record in records:
        counts[record.writer] += 1
        sizes[record.writer] += len(record.data)
    if as_json:
        writers = {f"{writer:016x}": {"records": counts[writer], "bytes": sizes[writer]} for writer in counts}
        print(json.dumps({"records": counts.total(), "bytes": sizes.total(), "writers": writers}))
        return
    rows = [("total", counts.total(), sizes.total())]
    rows += [(f"{writer:016x}", count, sizes[writer]) for writer, count in counts.most_common()]
    print(f"{'writer':<16}  {'records':>12}  {'bytes':>15}")
    for name, count, size in rows:
        print(f"{name:<16}  {count:>12}  {size:>15}")


def _print(records: Iterable[Record], output: BinaryIO, *, as_json: bool, flush: bool) -> None:
    show = _as_json if as_json else _as_text
    for record in records:
        output.write(show(record) + b"\n")
        if flush:
            output.flush()


def _as_json(record: Record) -> bytes:
    try:
        content = {"data": record.data.decode()}
    except UnicodeDecodeError:
        content = {"base64": b64encode(record.data).decode()}
    place = {"writer": f"{record.writer:016x}", "sequence": record.sequence, "offset": record.offset}
    return json.dumps({**content, **place}, ensure_ascii=False).encode()


def _as_text(record: Record) -> bytes:
    """Return a record as it is, or escaped as bytes are in Python."""
    try:
        if record.data.decode().replace("\t", " ").isprintable():
            return record.data
    except UnicodeDecodeError:
        pass
    # The quotation mark has `repr` choose apostrophes, so that no other quotation mark is escaped.
    return repr(b'"' + record.data)[3:-1].replace("\\'", "'").encode()


def _failed(message: str, code: int) -> int:
    print(f"parcount journal: {message}", file=sys.stderr)
    return code
