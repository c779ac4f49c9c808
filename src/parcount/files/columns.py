"""Counts of the values of one column: separated values (CSV, TSV), JSON lines and Parquet."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import PurePath
from typing import Any, Literal, get_args

import numpy as np

from parcount._native.csv_scan import FieldScanner, InvalidLine, ShortRow, add_spans
from parcount.files.count import Count, RecordError, Source, WrongStart
from parcount.files.values import Values, ValuesPartial

Format = Literal["csv", "tsv", "jsonl", "parquet"]
ShortRows = Literal["error", "skip", "empty"]

SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}

ENCODINGS: dict[bytes, str | None] = {
    codecs.BOM_UTF8: None,
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""Byte order marks, and what has to be decoded after them."""

PARQUET_MAGIC = b"PAR1"

SEARCH_BYTES = 1 << 14
"""Bytes that are read at first to find the beginning of a row."""

EVIDENCE_BYTES = 1 << 18
"""Bytes that are read at most to tell whether a place is inside quotes; without evidence it is taken for outside."""

SHOWN_BYTES = 80
"""Of a row in messages."""

SHOWN_NAMES = 20
"""Of columns in messages."""


@dataclass(frozen=True)
class Column(Count):
    """How often each value of one column occurs.

    Parameters
    ----------
    column : int or str
        The number of the column, counted from 1 as in ``cut`` and ``awk``; or its name in the header, in the schema of
        a Parquet file, or as the key of JSON objects, which have no numbers.
    delimiter : bytes, optional
        The byte between two fields; by default a comma, or a tab in TSV.
    quote : bytes or None, default: b'"'
        The byte around fields that hold delimiters, row ends or, doubled, itself. None if there is no such byte.
    header : bool, optional
        Whether the first row of separated values has the names of the columns, and is not counted; by default if
        `column` is a name.
    short_rows : {"error", "skip", "empty"}, default: "error"
        What becomes of a row that ends before the column, and of a JSON object without the key: an error, nothing, or
        one more empty value.
    format : {"csv", "tsv", "jsonl", "parquet"}, optional
        By default what the file's name ends with or, of Parquet, what the file begins with; otherwise CSV.
    values : Values, optional
        The count of the values, with its limit of memory.

    Notes
    -----
    Separated values are read as by Python's ``csv.reader`` with ``newline=""``: a quote opens a field only where the
    field begins, otherwise it is a character; CR, LF and CRLF end a row; empty rows are not counted; the end of the
    file ends a field in quotes. NULs are characters. There is no limit of the size of a field, which ``csv`` has.
    Values are bytes, without the quotes. A file in UTF-16 or UTF-32 with a byte order mark is decoded; its values are
    UTF-8.

    The value of a string in JSON is its text as UTF-8; of anything else, it is what is written there. So ``1.0`` and
    ``1`` are two values, and ``"null"`` and ``null`` are one. If a key occurs twice in an object, the last one counts.
    Blank lines are not counted. That strings are valid UTF-8 is not checked.

    Values of Parquet are the text of pyarrow's cast to strings: null is ``null``, binary values are as they are.
    """

    column: int | str
    _: KW_ONLY
    delimiter: bytes | None = None
    quote: bytes | None = b'"'
    header: bool | None = None
    short_rows: ShortRows = "error"
    format: Format | None = None
    values: Values = field(default_factory=Values)

    keeps_partials = True

    def __post_init__(self) -> None:
        if not isinstance(self.column, str) and self.column < 1:
            raise ValueError(f"columns are counted from 1: there is no column {self.column}")
        for name in ("delimiter", "quote"):
            byte = getattr(self, name)
            if byte is not None and (len(byte) != 1 or byte in b"\r\n"):
                raise ValueError(f"the {name} must be one byte that ends no row, not {byte!r}")
        for name, kind in (("short_rows", ShortRows), ("format", Format)):
            value = getattr(self, name)
            if value not in (*get_args(kind), None):
                raise ValueError(f"{name} must be one of {', '.join(get_args(kind))}, not {value!r}")

    def opened(self, head: bytes, *, complete: bool, name: str) -> tuple[Count, int] | None:
        """Return the count for one input, and how many bytes its header takes."""
        if len(head) < 4 and not complete:
            return None
        kind = self.format or SUFFIXES.get(PurePath(name).suffix.lower())
        if kind == "parquet" or (kind is None and head.startswith(PARQUET_MAGIC)):
            return RowGroups(self, name), 0
        mark = next((mark for mark in ENCODINGS if head.startswith(mark)), b"")
        encoding = ENCODINGS.get(mark)
        text = head[len(mark) :] if encoding is None else _decoded(head[len(mark) :], encoding)
        if kind == "jsonl":
            if not isinstance(self.column, str):
                raise ValueError(f"{name}: JSON objects have keys, not numbers: give a name, not {self.column}")
            return JsonLines(self, name, encoding), len(mark)
        delimiter = self.delimiter or (b"\t" if kind == "tsv" else b",")
        if delimiter == self.quote:
            raise ValueError(f"{name}: the delimiter and the quote must differ: both are {delimiter!r}")
        names: list[str] = []
        skip = 0
        if self.header or (self.header is None and isinstance(self.column, str)):
            names, skip = _first_row(text, delimiter, self.quote)
            if skip == len(text) and not complete:
                return None
        elif isinstance(self.column, str):
            raise ValueError(f"{name}: without a header there is no column {self.column!r}: give its number")
        index = _index(names, self.column, name) if names or isinstance(self.column, str) else self.column - 1
        return Rows(self, name, encoding, delimiter, index), len(mark) + _encoded_size(text, skip, encoding)

    def partial(self, workers: int = 1) -> ValuesPartial:
        """Return an empty partial that those of inputs can be merged into."""
        return self.values.partial(workers)

    def from_bytes(self, data: bytes) -> ValuesPartial:
        """Return the partial of which `to_bytes` returned `data`."""
        return self.values.from_bytes(data)

    def find_start(self, source: Source, position: int) -> int | None:  # noqa: ARG002
        """Raise TypeError: the counts that `opened` returns know where rows begin."""
        raise TypeError("a column must be opened in an input first")

    def cut(self, block: memoryview) -> int:  # noqa: ARG002
        """Raise TypeError, as `find_start` does."""
        raise TypeError("a column must be opened in an input first")


@dataclass(frozen=True)
class OpenedColumn(Count):
    """The column in one input.

    Attributes
    ----------
    options : Column
    name : str
        Of the input.
    encoding : str or None
        What has to be decoded to UTF-8 before it is counted; None if nothing has.
    """

    options: Column
    name: str
    encoding: str | None = None

    keeps_partials = True

    def from_bytes(self, data: bytes) -> ValuesPartial:
        """Return the partial of which `to_bytes` returned `data`."""
        return self.options.from_bytes(data)

    def cut(self, block: memoryview) -> int:
        """Return how many bytes of a block its complete records take."""
        if self.encoding is None:
            return self.cut_text(block)
        text = _decoded(block, self.encoding)
        return _encoded_size(text, self.cut_text(text), self.encoding)

    def cut_text(self, text: bytes | memoryview) -> int:
        """Return how many bytes of UTF-8 its complete records take."""
        return bytes(text).rfind(b"\n") + 1

    def explain(self) -> str:
        """Return how the input is read, and why."""
        if self.encoding is None:
            return f"{self.name}: {self.reader()}"
        return f"{self.name}: {self.encoding.upper()}, decoded by Python in order, which is slower; {self.reader()}"

    def reader(self) -> str:
        """Return how UTF-8 is read."""
        raise NotImplementedError


class ColumnPartial(ValuesPartial):
    """The values of some chunks.

    Parameters
    ----------
    column : OpenedColumn
    workers : int
        How many share the memory.
    """

    def __init__(self, column: OpenedColumn, workers: int) -> None:
        values = column.options.values
        super().__init__(values, values.share(workers))
        self.column = column

    def update(self, block: memoryview, *, last: bool) -> int:
        """Count the records of a block."""
        encoding = self.column.encoding
        if encoding is None:
            return self.update_text(block, last=last)
        try:
            text = _decoded(block, encoding, last)
        except UnicodeDecodeError as error:
            raise RecordError(str(error), error.start) from None
        try:
            return _encoded_size(text, self.update_text(memoryview(text), last=last), encoding)
        except RecordError as error:
            raise RecordError(error.reason, _encoded_size(text, error.offset, encoding)) from None

    def update_text(self, block: memoryview, *, last: bool) -> int:
        """Count the records of a block of UTF-8."""
        raise NotImplementedError


@dataclass(frozen=True)
class Rows(OpenedColumn):
    """A column of separated values.

    With quotes it cannot be told where a row begins without reading all that is before. `find_start` looks at the
    quotes that follow and guesses. Each chunk then tells whether the guess of the next one was right: if it does not
    end inside quotes. If all are right, all rows have been found where a reader of the whole file finds them; if one is
    wrong, chunks are made in order.

    Attributes
    ----------
    delimiter : bytes
    index : int
        Of the column, from 0.
    guesses : bool
        Whether `find_start` guesses.
    """

    delimiter: bytes = b","
    index: int = 0
    guesses: bool = True

    def in_order(self) -> Rows:
        """Return the same count, the chunks of which are made in order."""
        return replace(self, guesses=False)

    def reader(self) -> str:
        """Return how rows are read."""
        rows = f"column {self.index + 1} of rows with delimiter {_shown(self.delimiter)}"
        if self.options.quote is None:
            return f"{rows} and no quotes: compiled reader, chunks in parallel"
        order = "chunks in parallel, checked at their ends" if self.guesses else "chunks in order"
        return f"{rows} and quote {_shown(self.options.quote)}: compiled reader, {order}"

    def scanner(self) -> FieldScanner:
        """Return what finds the fields."""
        quote = self.options.quote
        return FieldScanner(
            self.index,
            delimiter=self.delimiter[0],
            quote=None if quote is None else quote[0],
            short_rows=self.options.short_rows,
        )

    def partial(self, workers: int = 1) -> RowsPartial:
        """Return an empty partial."""
        return RowsPartial(self, workers)

    def find_start(self, source: Source, position: int) -> int | None:
        """Return where a row begins, to the best of what a window of the file shows."""
        quote = self.options.quote
        if self.encoding or not (self.guesses or quote is None):
            return None
        return _find_row(source, position, self.delimiter, quote)

    def cut_text(self, text: bytes | memoryview) -> int:
        """Return how many bytes of UTF-8 its complete rows take."""
        return self.scanner().complete(text)


class RowsPartial(ColumnPartial):
    """The values of a column of separated values."""

    def __init__(self, column: Rows, workers: int) -> None:
        super().__init__(column, workers)
        self.scanner = column.scanner()
        self.number = column.index + 1
        self.guessed = column.guesses and column.options.quote is not None

    def update_text(self, block: memoryview, *, last: bool) -> int:
        """Count the rows of a block."""
        try:
            used = self.scanner.update(self.table.capsule, self.spill, block, last=last)
        except ShortRow as error:
            if self.guessed:  # read in order, there may be no such row
                raise WrongStart from None
            offset, columns = error.args
            shown = _beginning(block, offset)
            raise RecordError(f"a row has {columns} columns, not {self.number}: {shown!r}", offset) from None
        # The last chunk of a file may end inside quotes, but those before end with a row end.
        if last and self.guessed and used and self.scanner.open_quote and block[used - 1] in b"\r\n":
            raise WrongStart
        return used


@dataclass(frozen=True)
class JsonLines(OpenedColumn):
    """A key of JSON objects, one in each line."""

    def reader(self) -> str:
        """Return how lines are read."""
        return f"key {self.options.column!r} of JSON lines: compiled reader, chunks in parallel"

    def partial(self, workers: int = 1) -> JsonLinesPartial:
        """Return an empty partial."""
        return JsonLinesPartial(self, workers)

    def find_start(self, source: Source, position: int) -> int | None:
        """Return where a line begins."""
        return None if self.encoding else self.options.values.find_start(source, position)


class JsonLinesPartial(ColumnPartial):
    """The values of a key of JSON objects."""

    def __init__(self, column: JsonLines, workers: int) -> None:
        super().__init__(column, workers)
        self.key = str(column.options.column)
        key = self.key.encode("utf-8", "surrogateescape")
        self.scanner = FieldScanner(key=key, short_rows=column.options.short_rows)

    def update_text(self, block: memoryview, *, last: bool) -> int:
        """Count the lines of a block."""
        try:
            return self.scanner.update(self.table.capsule, self.spill, block, last=last)
        except ShortRow as error:
            offset = error.args[0]
            reason = f"an object does not have the key {self.key!r}"
        except InvalidLine as error:
            offset = error.args[0]
            reason = _json_error(bytes(block[offset:]).partition(b"\n")[0])
        raise RecordError(f"{reason}: {_beginning(block, offset)!r}", offset)


@dataclass(frozen=True)
class RowGroups(OpenedColumn):
    """A column of a Parquet file."""

    reads_chunks = True

    def __post_init__(self) -> None:
        _parquet()

    def reader(self) -> str:
        """Return how the file is read."""
        return f"column {self.options.column!r} of Parquet: pyarrow, row groups in parallel"

    def partial(self, workers: int = 1) -> RowGroupsPartial:
        """Return an empty partial."""
        return RowGroupsPartial(self, workers)

    def find_start(self, source: Source, position: int) -> int:
        """Return where a row group begins in the file."""
        starts = _group_starts(_parquet().ParquetFile(_SourceFile(source)).metadata)
        return min((start for start in starts if start >= position), default=source.size)


class RowGroupsPartial(ColumnPartial):
    """The values of a column of Parquet."""

    def read(self, source: Source, start: int, stop: int) -> None:
        """Count the row groups that begin in a part of the file."""
        file = _parquet().ParquetFile(_SourceFile(source))
        schema = file.schema_arrow
        name = schema.names[_index(schema.names, self.column.options.column, self.column.name)]
        if str(schema.field(name).type) in {"string", "binary"}:
            # The values of dictionary pages are counted by their numbers.
            file = _parquet().ParquetFile(_SourceFile(source), metadata=file.metadata, read_dictionary=[name])
        for group, its_start in enumerate(_group_starts(file.metadata)):
            if start <= its_start < stop:
                for values in file.read_row_group(group, [name], use_threads=False).column(name).chunks:
                    self._add(values)

    def _add(self, values: Any) -> None:
        import pyarrow as pa
        from pyarrow import types

        try:
            counted = values.value_counts()
            distinct = counted.field(0)
            if types.is_dictionary(distinct.type):
                distinct = distinct.dictionary_decode()
            kind = distinct.type
            if not (types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)):
                distinct = distinct.cast(pa.large_string())
            distinct = distinct.cast(pa.large_binary()).fill_null(b"null")
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
            message = f"{self.column.name}: values of type {values.type} cannot be counted as text: {error}"
            raise RecordError(message, 0) from None
        _, offsets, data = distinct.buffers()
        add_spans(
            self.table.capsule,
            self.spill,
            b"" if data is None else np.frombuffer(data, np.uint8),
            np.frombuffer(offsets, np.int64)[distinct.offset :][: len(distinct) + 1],
            counted.field(1).to_numpy(),
        )


class _SourceFile(io.RawIOBase):
    """A source as pyarrow reads a file."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self.position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.source.size}[whence]
        return self.position

    def read(self, size: int = -1) -> bytes:
        data = self.source.read(self.position, self.source.size - self.position if size < 0 else size)
        self.position += len(data)
        return data


def _parquet() -> Any:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        message = f"Parquet needs {error.name}: pip install 'parcount[files]'"
        raise ModuleNotFoundError(message, name=error.name) from None
    return parquet


def _group_starts(metadata: Any) -> list[int]:
    """Where the row groups of a file begin, by their first column."""
    columns = (
        metadata.row_group(group).column(0) for group in range(metadata.num_row_groups if metadata.num_columns else 0)
    )
    return [min(filter(None, (column.dictionary_page_offset, column.data_page_offset))) for column in columns]


def _first_row(text: bytes, delimiter: bytes, quote: bytes | None) -> tuple[list[str], int]:
    """The fields of the first row that is not empty, and how many bytes there are up to its end."""
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for line in io.TextIOWrapper(io.BytesIO(text), "latin-1", newline=""):
            taken += len(line)
            yield line

    reader = csv.reader(
        lines(),
        delimiter=delimiter.decode("latin-1"),
        quotechar=None if quote is None else quote.decode("latin-1"),
        quoting=csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL,
    )
    row = next(filter(None, reader), [])
    return [name.encode("latin-1").decode("utf-8", "surrogateescape") for name in row], taken


def _index(names: list[str], column: int | str, file: str) -> int:
    """The index of a column by its name or number."""
    if isinstance(column, str) and names.count(column) > 1:
        numbers = ", ".join(str(number) for number, name in enumerate(names, 1) if name == column)
        raise ValueError(f"{file}: {column!r} is the name of the columns {numbers}: give a number")
    if column not in names and not (isinstance(column, int) and column <= len(names)):
        shown = ", ".join(map(repr, names[:SHOWN_NAMES])) + (", …" if len(names) > SHOWN_NAMES else "")
        raise ValueError(
            f"{file}: there is no column {column!r}: there are {len(names)} columns{shown and ': '}{shown}"
        )
    return names.index(column) if isinstance(column, str) else column - 1


def _shown(byte: bytes) -> str:
    return repr(byte.decode("latin-1"))


def _beginning(block: memoryview, offset: int) -> bytes:
    """The beginning of a row, for a message."""
    return (bytes(block[offset : offset + SHOWN_BYTES]).splitlines() or [b""])[0]


def _find_row(source: Source, position: int, delimiter: bytes, quote: bytes | None) -> int:
    """Where the first row at `position` or later begins; a guess if there are quotes."""
    if position == 0:
        return 0
    begin, size = position - 1, SEARCH_BYTES
    pattern = re.compile(b"[\r\n" + re.escape(quote or b"") + b"]")
    while True:
        window = source.read(begin, size)
        complete = len(window) < size or begin + size >= source.size
        inside = quote is not None and _begins_inside(window, delimiter, quote)
        if inside is not None or complete or size >= EVIDENCE_BYTES:
            for found in pattern.finditer(window):
                if found[0] == quote:
                    inside = not inside
                elif not inside:
                    return begin + found.end()
        if complete:
            return source.size
        size *= 4


def _begins_inside(window: bytes, delimiter: bytes, quote: bytes) -> bool | None:
    """Whether the window begins inside quotes, by the first ones that tell whether they open or close a field.

    None if there are quotes of which none tells. Without quotes, it is taken for outside.
    """
    separators = delimiter + b"\r\n"
    toggled = False
    inside: bool | None = False
    for run in re.finditer(re.escape(quote) + b"+", window):
        start, stop = run.span()
        odd = (stop - start) % 2 == 1
        if start > 0 and stop < len(window):
            before, after = window[start - 1] in separators, window[stop] in separators
            if odd and before != after:
                return toggled != after  # it closes a field if a separator follows
            if not (odd or before or after):
                return not toggled  # a doubled quote
        toggled ^= odd
        inside = None
    return inside


def _decoded(data: bytes | memoryview, encoding: str, final: bool = False) -> bytes:
    """Text as UTF-8; what is incomplete at the end is left out unless it is the `final` one."""
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    return decoder.decode(bytes(data), final).encode("utf-8", "surrogatepass")


def _encoded_size(text: bytes, size: int, encoding: str | None) -> int:
    """How many bytes the first `size` bytes of UTF-8 take in another encoding."""
    if encoding is None:
        return size
    return len(text[:size].decode("utf-8", "surrogatepass").encode(encoding, "surrogatepass"))


def _json_error(line: bytes) -> str:
    """What is wrong with a line."""
    try:
        value = json.loads(line.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        return f"a line is no JSON: {error}"
    except RecursionError:
        value = {}
    return "a line is nested too deeply" if isinstance(value, dict) else "a line is no JSON object"
