"""The result of counting values."""

from __future__ import annotations

import os
from functools import cached_property
from threading import Lock
from typing import Protocol

from parcount._native.value_table import ValueList, ValueTable
from parcount.engine.num_threads import get_num_threads, usable_threads
from parcount.files.threads import map_unordered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, Any, Self

    import numpy as np
    from numpy.typing import NDArray

WRITE_BYTES = 1 << 20

VALUES_PER_STEP = 1 << 16
"""Values of which there are Python objects at a time, in iterators."""

PARTS_PER_THREAD = 4
"""So that uneven parts balance."""

MERGED_AT_ONCE = 10
"""The logarithm to base two of how many values are merged at once, so that they fit into a cache."""


class SortedValues(Protocol):
    """Values in descending order of their counts, then of their bytes."""

    total: int
    distinct: int

    def __iter__(self) -> Iterator[ValueList]:
        """The values in lists."""

    def close(self) -> None:
        """Free the memory and the temporary files."""


class ValuesInMemory:
    """The values of tables, merged in parallel.

    Parameters
    ----------
    tables : list of ValueTable
        Which are not used any more.
    threads : int or None
        How many.
    """

    def __init__(self, tables: list[ValueTable], threads: int | None) -> None:
        self.total = sum(table.total for table in tables)
        self._threads = usable_threads(get_num_threads() if threads is None else threads)
        filled = [table for table in tables if table.distinct]
        if len(filled) < 2:
            merged = ValueList(filled)
        else:
            bits = max(0, sum(table.distinct for table in filled).bit_length() - MERGED_AT_ONCE)
            parts = min(PARTS_PER_THREAD * self._threads, 1 << bits)
            bounds = [part * (1 << bits) // parts for part in range(parts + 1)]

            def merge(part: int) -> ValueList:
                return ValueList(filled, bounds[part], bounds[part + 1], bits)

            merged = ValueList([])
            for values in map_unordered(merge, range(parts), self._threads):
                merged.extend(values)
        self.distinct = len(merged)
        self._values: ValueList | None = merged
        self._sorted = False
        self._lock = Lock()

    def __iter__(self) -> Iterator[ValueList]:
        with self._lock:
            if self._values is None:
                raise ValueError("this result is closed")
            if not self._sorted:
                parts = self._values.split(PARTS_PER_THREAD * self._threads)
                for _ in map_unordered(self._values.sort_part, range(parts), self._threads):
                    pass
                self._values.join()
                self._sorted = True
            values = self._values
        yield values

    def close(self) -> None:
        """Free the memory, or let iterators that still run do it at their end."""
        with self._lock:
            self._values = None


class ValueCounts:
    r"""Distinct values and how often each occurs.

    The order is that of ``LC_ALL=C sort | uniq -c | sort -rn``: descending counts, and values of one count in
    descending order of their bytes. The result unpacks as ``values, counts``. It is a context manager that frees its
    memory and its temporary files, which otherwise happens when it is not used any more.

    Values that did not fit into the memory limit are in temporary files. `most_common`, `sorted` and `write` read them
    in parts that together are not in memory; the arrays and `to_dict` have all of them in memory.

    Attributes
    ----------
    total : int
        How many values were counted: the sum of the counts.
    distinct : int
        How many different ones there are.

    Examples
    --------
    >>> import parcount as pc
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "words.txt")
    ...     _ = path.write_bytes(b"b\na\nb\n")
    ...     result = pc.count_values(path)
    >>> result.most_common(1)
    [(b'b', 2)]
    >>> values, counts = result
    >>> counts
    array([2, 1])
    """

    def __init__(self, values: SortedValues) -> None:
        self._lists = values
        self.total = values.total
        self.distinct = values.distinct

    def __repr__(self) -> str:
        return f"<ValueCounts of {self.total} values, {self.distinct} distinct>"

    def __len__(self) -> int:
        return self.distinct

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[NDArray[np.object_] | NDArray[np.int64]]:
        """The arrays `values` and `counts`: ``values, counts = result``."""
        yield self.values
        yield self.counts

    @cached_property
    def values(self) -> NDArray[np.object_]:
        """The values, as an array of bytes objects. O(distinct) time and memory."""
        return _joined([each.values(0, len(each)) for each in self._lists] or [ValueList([]).values(0, 0)])

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """The counts, as an array. O(distinct) time and memory."""
        return _joined([each.counts(0, len(each)) for each in self._lists] or [ValueList([]).counts(0, 0)])

    def to_dict(self) -> dict[bytes, int]:
        """Return a dictionary of counts by value, in the order of this result. O(distinct) time and memory."""
        return dict(self.sorted())

    def most_common(self, n: int | None = None) -> list[tuple[bytes, int]]:
        """Return the first `n` values with their counts; all by default, as `collections.Counter.most_common`."""
        return list(self.sorted(n))

    def sorted(self, n: int | None = None) -> Iterator[tuple[bytes, int]]:
        """Yield values with their counts in order, at most `n`, in bounded memory."""
        for each, stop in self._first(n):
            for start in range(0, stop, VALUES_PER_STEP):
                end = min(stop, start + VALUES_PER_STEP)
                yield from zip(each.values(start, end).tolist(), each.counts(start, end).tolist(), strict=True)

    def write(self, file: int | IO[bytes], n: int | None = None) -> None:
        """Write lines as those of ``uniq -c``: the count in at least seven columns, a space, the value.

        Without the GIL, in bounded memory.

        Parameters
        ----------
        file : int or binary file
            A file descriptor, or an object with a method ``write``.
        n : int, optional
            Only the first `n` values.
        """
        buffer = bytearray(WRITE_BYTES)
        for each, stop in self._first(n):
            position = 0
            while position < stop:
                size, end = each.format(buffer, position, stop)
                if end == position:
                    buffer = bytearray(2 * len(buffer))
                    continue
                position = end
                data = memoryview(buffer)[:size]
                while len(data):
                    data = data[(os.write(file, data) if isinstance(file, int) else file.write(data)) :]

    def _first(self, n: int | None) -> Iterator[tuple[ValueList, int]]:
        """The lists in order, with how many values of each are among the first `n`."""
        left = self.distinct if n is None else n
        lists = iter(self._lists)
        while left > 0 and (each := next(lists, None)) is not None:
            yield each, min(left, len(each))
            left -= len(each)

    def close(self) -> None:
        """Free the memory and the temporary files."""
        self._lists.close()


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    if len(arrays) == 1:
        return arrays[0]
    import numpy as np

    return np.concatenate(arrays)
