"""The functions that count files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from parcount.files.driver import run
from parcount.files.inputs import File, find_inputs
from parcount.files.totals import Totals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Literal

    from parcount.execution.base import Execution
    from parcount.files.count import Count, Partial
    from parcount.files.driver import Progress
    from parcount.files.inputs import Input, OnError
    from parcount.files.value_counts import ValueCounts

    Path = str | os.PathLike[str]
    Paths = Path | BinaryIO | Iterable[Path | BinaryIO]


def count_lines(
    path: Paths,
    *,
    recursive: bool = False,
    threads: int | None = None,
    on: Execution | None = None,
    progress: Progress | None = None,
    journal: Path | None = None,
) -> int:
    r"""Count the lines of files: newline bytes, as ``wc -l``.

    Parameters
    ----------
    path : str, path-like, binary file object, or iterable of these
        What to count: a file, a pattern as for `glob.glob`, a folder if `recursive`, or ``"-"``, which is standard
        input. Files whose names end in ``.gz`` or ``.zst`` are decompressed. A file object is read from where it is to
        its end.
    recursive : bool, optional
        Whether to count the files in folders, and in their folders; not symbolic links, pipes and devices in them.
    threads : int, optional
        The number of threads; by default one for each available core, but fewer for small files. One thread
        decompresses while the others count; several compressed files are decompressed at the same time.
    on : Execution, optional
        What is to count in place of threads. What is not a regular file is sent to worker processes.
    progress : callable, optional
        Called in this thread as ``progress(done, total)`` after each chunk, with bytes; the total is 0 if unknown. An
        exception in it ends the count.
    journal : path, optional
        A file in which each chunk that has been counted is recorded. If the count is interrupted in any way, the same
        call continues it; at most one chunk of each worker is counted again. For regular, uncompressed files.

    Returns
    -------
    int
        The number of all files together.

    Raises
    ------
    OSError
        If a file does not exist, is a folder, or cannot be read or decompressed, or another count uses the journal.
    FileChanged
        If a file was changed while it was counted, or since the journal was begun.
    ImportError
        If the decompression of a ``.zst`` file needs a library that is not installed.
    ValueError
        If the journal is of a count with other options or files, or one that it cannot record.
    TypeError
        If `on` is not an execution, or `threads` is not an integer.

    See Also
    --------
    count_words, count_bytes, count_values

    Notes
    -----
    O(size) time, O(threads) memory. The loops release the GIL. Ctrl-C ends the count at once.

    Examples
    --------
    >>> import io
    >>> import parcount as pc
    >>> pc.count_lines(io.BytesIO(b"one\ntwo\nthree"))
    2
    """
    return _total("lines", path, recursive, threads, on, progress, journal)


def count_words(
    path: Paths,
    *,
    unicode: bool = False,
    recursive: bool = False,
    threads: int | None = None,
    on: Execution | None = None,
    progress: Progress | None = None,
    journal: Path | None = None,
) -> int:
    r"""Count the words of files, as ``LC_ALL=C wc -w``.

    Words are separated by ASCII white space, and have at least one visible ASCII character, as those of GNU wc 9.1.

    Parameters
    ----------
    unicode : bool, optional
        Whether words are those of ``str.split()`` of the text as UTF-8.
    path, recursive, threads, on, progress, journal
        As for `count_lines`, which also describes the exceptions.

    Returns
    -------
    int
        The number of all files together.

    See Also
    --------
    count_lines

    Examples
    --------
    >>> import io
    >>> import parcount as pc
    >>> pc.count_words(io.BytesIO(b"to be or\tnot"))
    4
    """
    return _total("words", path, recursive, threads, on, progress, journal, unicode)


def count_bytes(
    path: Paths,
    *,
    recursive: bool = False,
    threads: int | None = None,
    on: Execution | None = None,
    progress: Progress | None = None,
) -> int:
    """Count the bytes of files, as ``wc -c``: regular files are not read.

    Parameters
    ----------
    path, recursive, threads, on, progress
        As for `count_lines`, which also describes the exceptions.

    Returns
    -------
    int
        The number of all files together, after decompression.

    See Also
    --------
    count_lines, count_values

    Examples
    --------
    >>> import io
    >>> import parcount as pc
    >>> pc.count_bytes(io.BytesIO(b"four"))
    4
    """
    return _total("bytes", path, recursive, threads, on, progress, None)


def count_values(
    path: Paths,
    *,
    bytes: bool = False,  # noqa: A002 - what is counted
    column: int | str | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    format: Literal["csv", "tsv", "jsonl", "parquet"] | None = None,  # noqa: A002 - as everywhere
    quote: str | None = '"',
    short_rows: Literal["error", "skip", "empty"] = "error",
    memory: int | None = None,
    spill_directory: Path | None = None,
    recursive: bool = False,
    threads: int | None = None,
    on: Execution | None = None,
    progress: Progress | None = None,
    journal: Path | None = None,
) -> ValueCounts:
    r"""Count how often each line occurs in files, or each value of a column, or each byte.

    Parameters
    ----------
    bytes : bool, optional
        Count the 256 values of bytes rather than lines.
    column : int or str, optional
        Count the values of this column: its number, from 1 on, or its name in the header.
    delimiter : str, optional
        What is between the columns; by default a comma, and a tab in ``.tsv`` files.
    header : bool, optional
        Whether the first row has the names of the columns; by default if `column` is a name.
    format : {"csv", "tsv", "jsonl", "parquet"}, optional
        The format, by default that of the file's name, or else ``"csv"``.
    quote : str or None, optional
        What is around fields that hold delimiters, ends of rows or, doubled, itself; None if quotes are characters.
    short_rows : {"error", "skip", "empty"}, optional
        What becomes of rows that end before the column, and of JSON objects without the key: ValueError, nothing, or
        one more empty value.
    memory : int, optional
        The most bytes that the counts take; by default half of the free memory. What does not fit goes to temporary
        files.
    spill_directory : path, optional
        Where these are; by default as `tempfile.gettempdir` says.
    path, recursive, threads, on, progress, journal
        As for `count_lines`, which also describes the exceptions.

    Returns
    -------
    ValueCounts
        Unpacks as ``values, counts``; also has `to_dict` and `most_common`. Values are `bytes`; lines have no newline
        at the end.

    Raises
    ------
    ValueError
        If a column does not exist, or a row cannot be parsed.
    OSError
        If the disk is full.

    See Also
    --------
    count_lines, unique_counts

    Examples
    --------
    >>> import io
    >>> import parcount as pc
    >>> pc.count_values(io.BytesIO(b"a\nb\na\n")).to_dict()
    {b'a': 2, b'b': 1}
    """
    count, options = make_values(bytes, column, delimiter, header, format, quote, short_rows, memory, spill_directory)
    inputs = find_inputs(as_paths(path), recursive=recursive)
    counted = run_count(count, options, inputs, threads, on, progress, journal)
    return value_counts(count, counted, threads)


def make_values(
    of_bytes: bool,
    column: int | str | None,
    delimiter: str | None,
    header: bool | None,
    format: Literal["csv", "tsv", "jsonl", "parquet"] | None,  # noqa: A002 - as everywhere
    quote: str | None,
    short_rows: Literal["error", "skip", "empty"] | None,
    memory: int | None,
    spill_directory: Path | None,
) -> tuple[Count, dict[str, Any]]:
    """Return the count of the arguments of `count_values`, and those that its result depends on."""
    if of_bytes:
        if column is not None:
            raise ValueError("give one of bytes=True and column=")
        from parcount.files.byte_table import ByteTable

        return ByteTable(), {"values": "bytes"}
    from parcount.files.values import Values

    values = Values(memory, None if spill_directory is None else os.fspath(spill_directory))
    if column is None:
        if (delimiter, header, format) != (None, None, None):
            raise ValueError("delimiter=, header= and format= are for column=")
        return values, {"values": "lines"}
    from parcount.files.columns import Column

    options = {"column": column, "delimiter": delimiter, "header": header, "format": format}
    options |= {"quote": quote, "short_rows": short_rows or "error"}
    count = Column(
        column,
        delimiter=None if delimiter is None else delimiter.encode(),
        quote=None if quote is None else quote.encode(),
        header=header,
        format=format,
        short_rows=short_rows or "error",
        values=values,
    )
    return count, {"values": "column", **options}


def as_paths(path: Paths) -> Iterable[Path | BinaryIO]:
    """Return paths and files, of which the user may have given only one."""
    if isinstance(path, str | os.PathLike) or hasattr(path, "read"):
        return [path]  # type: ignore[list-item]
    return path


def run_count(
    count: Count,
    options: Mapping[str, Any],
    inputs: Sequence[Input],
    threads: int | None = None,
    on: Execution | None = None,
    progress: Progress | None = None,
    journal: Path | None = None,
    on_error: OnError | None = None,
) -> list[tuple[Input, Partial]]:
    """Count inputs as `run` does, with a journal if one is given.

    If only bytes are to be counted, regular files are not read.
    """
    if isinstance(count, Totals) and count.kinds == {"bytes"} and journal is None:
        found: dict[Input, Partial] = {}
        for source in inputs:
            if isinstance(source, File) and source.size:  # it is 0 for files of /proc
                found[source] = partial = count.partial()
                partial.add(0, 0, source.size - source.start)
        others = [source for source in inputs if source not in found]
        found.update(run(count, others, threads=threads, on=on, progress=progress, on_error=on_error))
        return [(source, found[source]) for source in inputs if source in found]
    if journal is None:
        return run(count, inputs, threads=threads, on=on, progress=progress, on_error=on_error)
    from parcount.files.checkpoint import Checkpoint

    with Checkpoint(os.fspath(journal), count, options, inputs) as checkpoint:
        return run(count, inputs, threads=threads, on=on, progress=progress, checkpoint=checkpoint, on_error=on_error)


def make_totals(kinds: Iterable[str], unicode: bool) -> tuple[Count, dict[str, Any]]:
    """Return the count of lines, words or bytes, and what its result depends on."""
    return Totals(frozenset(kinds), unicode), {"totals": sorted(kinds), "unicode": unicode}  # type: ignore[arg-type]


def _total(
    kind: str,
    path: Paths,
    recursive: bool,
    threads: int | None,
    on: Execution | None,
    progress: Progress | None,
    journal: Path | None,
    unicode: bool = False,
) -> int:
    inputs = find_inputs(as_paths(path), recursive=recursive)
    counted = run_count(*make_totals([kind], unicode), inputs, threads, on, progress, journal)
    return sum(getattr(partial, kind) for _, partial in counted)


def value_counts(count: Count, counted: Sequence[tuple[Input, Partial]], threads: int | None = None) -> ValueCounts:
    """Return what `run_count` has counted."""
    partial: Any = counted[0][1] if counted else count.partial()
    result: ValueCounts = partial.result(threads)
    return result
