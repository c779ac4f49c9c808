"""From files to counts: inputs are split into chunks, workers count them, and the partial counts are merged."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from parcount._native.cancellation import raise_if_cancelled
from parcount.engine.num_threads import get_num_threads, usable_threads
from parcount.execution.arguments import check_execution
from parcount.files.count import Count, RecordError, WrongStart
from parcount.files.inputs import File, Input, OnError, OpenFile, OpenStream, Stream
from parcount.files.threads import map_unordered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from parcount.execution.base import Execution
    from parcount.files.checkpoint import Checkpoint
    from parcount.files.count import Partial

Progress = Callable[[int, int], object]
"""Called with the bytes that have been counted, and those of all inputs: 0 if unknown."""

BLOCK_SIZE = 1 << 17
"""Bytes that are read at a time, into a buffer that stays in the second-level cache. On the machine that this was
measured on, blocks of 128 kB are read a third faster than those of 1 MB."""

HEAD_SIZE = 1 << 12
"""Bytes with which a count for one input is asked for at first."""

STREAM_BLOCK_SIZE = 1 << 22
"""Bytes of a stream that a worker gets at a time."""

MIN_CHUNK_SIZE = 1 << 20
"""Below that, a thread takes longer to start than the chunk to count."""

MAX_CHUNK_SIZE = 1 << 25

MAX_REMOTE_CHUNK_SIZE = 1 << 28
"""The same for a worker process that returns a whole table for each chunk."""

CHUNKS_PER_WORKER = 8
"""So that the others need not wait long for the last one."""

FILE_COST = 1 << 16
"""Bytes that are counted in the time in which a small file is opened."""

MAX_RUN = 1 << 26
"""Bytes without the end of a record from which on a stream is not divided any more."""

ALL = -1
"""Stands for all inputs among the positions of inputs."""

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of temporary files, not of the input."""


class Chunk:
    """A part of an input, for one worker.

    Attributes
    ----------
    index : int
        The position of the input.
    count : Count or None
        The count for this input; None if this is all of the input and the worker is to ask for its count.
    start, stop : int
        Where it begins and ends; `stop` is 0 for all that there is.
    block : bytes, memoryview or None
        Its contents, if they have been read already.
    buffer : bytearray or None
        What the block is in, and can be used again.
    size : int
        How much of the progress it is.
    """

    __slots__ = ("block", "buffer", "count", "index", "input", "size", "start", "stop")

    def __init__(
        self,
        index: int,
        source: Input,
        count: Count | None,
        start: int,
        stop: int,
        *,
        block: bytes | memoryview | None = None,
        buffer: bytearray | None = None,
        size: int | None = None,
    ) -> None:
        self.index = index
        self.input = source
        self.count = count
        self.start = start
        self.stop = stop
        self.block = block
        self.buffer = buffer
        self.size = stop - start if size is None else size


class Counted:
    """What a worker has made of a chunk: a partial, its bytes, neither if it keeps the partial, or an error."""

    __slots__ = ("chunk", "data", "error", "partial")

    def __init__(self, chunk: Chunk, partial: Partial | None = None, error: Exception | None = None) -> None:
        self.chunk = chunk
        self.partial = partial
        self.data = b""
        self.error = error
        chunk.block = None


class Worker:
    """Counts chunks: the function that workers run.

    In this process, the partials of a count that `keeps_partials` remain here, in `pools`: as many as there are
    workers, and for each input that has a count of its own as many. A copy in another process returns them as bytes.
    """

    def __init__(self, count: Count, workers: int, checkpoint: Checkpoint | None) -> None:
        self.count = count
        self.workers = workers
        self.checkpoint = checkpoint
        self.local = True
        self.opens = type(count).opened is not Count.opened
        self.pools: dict[int | None, list[Partial]] = {}
        self.buffers: list[bytearray] = []

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "local": False, "pools": {}, "buffers": []}

    def __call__(self, chunks: Sequence[Chunk]) -> list[Counted]:
        """Count some chunks: one, or several whole inputs."""
        pool = self.pools.setdefault(chunks[0].index if self.opens and chunks[0].count else None, [])
        kept: list[Partial] = []
        try:
            results = [self._try(chunk, pool, kept) for chunk in chunks]
            if kept or not self.count.keeps_partials:
                self._store(results, pool, kept)
        finally:
            pool += kept
        return results

    def _try(self, chunk: Chunk, pool: list[Partial], kept: list[Partial]) -> Counted:
        raise_if_cancelled()
        own = not self.count.keeps_partials or (self.opens and chunk.count is None)
        partial = None
        try:
            if chunk.block is not None:
                assert chunk.count is not None
                partial = self._partial(chunk.count, own, pool, kept)
                _update(partial, memoryview(chunk.block), chunk, 0, last=True)
            else:
                with chunk.input.open(chunk.start) as opened:
                    if chunk.count is None:
                        count, head, skip = self.open_count(chunk.input, opened)
                    else:
                        count, head, skip = chunk.count, b"", 0
                    partial = self._partial(count, own, pool, kept)
                    if count.reads_chunks:
                        assert isinstance(opened, OpenFile)
                        partial.read(opened, chunk.start + skip, chunk.stop)
                    elif not (count.maps_files and _count_mapped(partial, opened, chunk, chunk.start + skip)):
                        self.feed(partial, opened, head, skip, chunk)
                    opened.check()
        except BaseException as error:
            if partial is not None:
                if own:
                    partial.close()
                if not own or getattr(error, "errno", None) in DISK_FULL:
                    raise
            if not isinstance(error, OSError | ImportError | RecordError):
                raise
            return Counted(chunk, error=error)
        if self.count.keeps_partials and own:
            if kept:
                kept[0].load(partial.to_bytes())  # merged, it would keep a table for each file
                partial.close()
            else:
                kept.append(partial)
        return Counted(chunk, None if self.count.keeps_partials else partial)

    def _partial(self, count: Count, own: bool, pool: list[Partial], kept: list[Partial]) -> Partial:
        """Return what to count into: a new partial, or the one that is kept."""
        if own:
            return count.partial(self.workers)
        if not kept:
            if self.checkpoint is None:
                kept.append(_pop(pool) or count.partial(self.workers))
            else:  # beside the one in the pool, into which it is merged
                kept.append(count.partial(2 * self.workers))
        return kept[0]

    def open_count(
        self, source: Input, opened: OpenFile | OpenStream, *, in_order: bool = True
    ) -> tuple[Count, bytes, int]:
        """Return the count for an input, what was read for that, and how much of it is not to be counted."""
        if not self.opens:
            return self.count, b"", 0
        head = bytearray(HEAD_SIZE)
        filled = opened.fill(memoryview(head))
        name = source.plain_name
        while (found := self.count.opened(bytes(head[:filled]), complete=filled < len(head), name=name)) is None:
            head += bytes(len(head))
            filled += opened.fill(memoryview(head)[filled:])
        count, skip = found
        return count.in_order() if in_order else count, bytes(head[:filled]), skip

    def feed(self, partial: Partial, opened: OpenFile | OpenStream, head: bytes, skip: int, chunk: Chunk) -> None:
        """Count what begins with `head`, of which some is skipped, and goes on in a file."""
        buffer = _pop(self.buffers) or bytearray(BLOCK_SIZE)
        filled = len(head) - skip
        if len(buffer) < filled:
            buffer = bytearray(2 * filled)
        view = memoryview(buffer)
        view[:filled] = head[skip:]
        position = chunk.start + len(head)
        while True:
            room = min(len(view) - filled, chunk.stop - position) if chunk.stop else len(view) - filled
            got = opened.fill(view[filled : filled + room])
            position += got
            filled += got
            last = got < room or position == chunk.stop
            used = _update(partial, view[:filled], chunk, position - filled, last=last)
            if last:
                break
            rest = view[used:filled]
            if len(rest) == len(view):  # a record that is longer than the buffer
                buffer = bytearray(2 * len(view))
                view = memoryview(buffer)
            view[: len(rest)] = rest
            filled = len(rest)
        self.buffers.append(buffer)

    def _store(self, results: list[Counted], pool: list[Partial], kept: list[Partial]) -> None:
        """Write what was counted to the journal, and make it ready for another process."""
        done = [result for result in results if result.error is None]
        if self.checkpoint is None and self.local:
            return
        for result in done:
            if result.partial is not None:
                result.data = result.partial.to_bytes()
        if kept:
            done[-1].data = kept[0].to_bytes()
        if self.checkpoint is not None:
            self.checkpoint.append([(one.chunk.index, one.chunk.start, one.chunk.stop, one.data) for one in done])
        if not self.local:
            for result in done:
                if result.partial is not None:
                    result.partial.close()
                    result.partial = None
            while kept:
                kept.pop().close()
            return
        if kept and (common := _pop(pool)):
            kept.pop().close()
            kept.append(common)
            common.load(done[-1].data)
        for result in done:
            result.data = b""


def _count_mapped(partial: Partial, opened: OpenFile | OpenStream, chunk: Chunk, start: int) -> bool:
    """Count a chunk in memory; return False if it has to be read."""
    mapped = opened.map(start, chunk.stop) if isinstance(opened, OpenFile) and chunk.stop else None
    if mapped is None:
        return False
    with mapped as view:
        _update(partial, view, chunk, start, last=True)
    if mapped.failed:
        opened.check()  # truncated
        raise OSError(errno.EIO, os.strerror(errno.EIO), chunk.input.name)
    return True


def _update(partial: Partial, block: memoryview, chunk: Chunk, position: int, *, last: bool) -> int:
    raise_if_cancelled()
    try:
        return partial.update(block, last=last)
    except RecordError as error:
        place = position + error.offset
        raise RecordError(f"{chunk.input.name}, byte {place}: {error.reason}", place) from None


def _pop(objects: list[Any]) -> Any:
    try:
        return objects.pop()
    except IndexError:  # a thread without the GIL may have taken the last one
        return None


def run(
    count: Count,
    inputs: Sequence[Input],
    *,
    threads: int | None = None,
    on: Execution | None = None,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
    on_error: OnError | None = None,
) -> list[tuple[Input, Partial]]:
    """Count inputs.

    Parameters
    ----------
    count : Count
        What to count.
    inputs : sequence of Input
        As `find_inputs` returns them.
    threads, on : int or Execution, optional
        The number of threads, or what is to run the workers; by default one thread for each available core.
    progress : callable, optional
        Called in this thread with the bytes that have been counted, and those of all inputs.
    checkpoint : Checkpoint, optional
        Records what has been counted, and knows what was counted before.
    on_error : callable, optional
        Called with the name of an input that is left out and the exception; without it, the exception is raised. It is
        raised in any case after a part of the input has been added to what cannot be told apart any more.

    Returns
    -------
    list of (Input, Partial)
        Of a count that `keeps_partials`, one partial with all inputs, beside the first of them; otherwise one for each.

    Raises
    ------
    OSError, ImportError, RecordError
        If an input cannot be read.
    OSError
        If the disk with the temporary files or the journal is full.
    """
    if on is not None:
        if threads is not None:
            raise ValueError("threads= is short for on=Threads(…): give one of the two")
        check_execution(on)
    with _Run(count, inputs, threads, on, progress, checkpoint, on_error) as counting:
        counting.run()
        return counting.results()


class Division(NamedTuple):
    """How `run` divides its inputs."""

    workers: int
    chunk_size: int
    unpack_in_workers: bool
    """Whether each compressed file is read by one worker, rather than all of them by the calling thread."""
    readers: list[str]
    """Sentences about inputs of which a count has the choice how to read them."""


def divide(
    count: Count, inputs: Sequence[Input], *, threads: int | None = None, on: Execution | None = None
) -> Division:
    """Return what `run` does with these arguments; OSError if an input cannot be read."""
    counting = _Run(count, inputs, threads, on, None, None, None)
    readers = []
    for source in inputs if counting.worker.opens else ():
        if isinstance(source, File) or source.unpack is not None:
            with source.open() as opened:
                readers.append(counting.worker.open_count(source, opened, in_order=False)[0].explain())
    return Division(counting.workers, counting.chunk_size, counting.unpack_in_workers, readers)


class _Run:
    """The state of one call of `run`."""

    def __init__(
        self,
        count: Count,
        inputs: Sequence[Input],
        threads: int | None,
        on: Execution | None,
        progress: Progress | None,
        checkpoint: Checkpoint | None,
        on_error: OnError | None,
    ) -> None:
        self.count = count
        self.inputs = inputs
        self.progress = progress
        self.checkpoint = checkpoint
        self.on_error = on_error
        self.guesses = type(count).in_order is not Count.in_order
        self.total = sum(source.size for source in inputs)
        self.done = [0] * len(inputs)
        self.all_done = 0
        self.failed: set[int] = set()
        self.ordered: set[int] = set()
        self.partials: dict[int, Partial] = {}
        self.buffers: list[bytearray] = []
        workers = (
            on.concurrency if on is not None else usable_threads(get_num_threads() if threads is None else threads)
        )
        cost = self.total + FILE_COST * len(inputs)
        if on is None and all(isinstance(source, File) for source in inputs):
            workers = max(1, min(workers, cost // MIN_CHUNK_SIZE))
        self.on = on
        self.workers = workers
        self.worker = Worker(count, workers, checkpoint)
        self.worker.local = on is None or _shares_objects(on)
        self.chunk_size = max(MIN_CHUNK_SIZE, min(MAX_CHUNK_SIZE, cost // (workers * CHUNKS_PER_WORKER)))
        if checkpoint is not None:
            self.chunk_size = checkpoint.chunk_size
        elif count.keeps_partials and not self.worker.local:
            self.chunk_size = max(MIN_CHUNK_SIZE, min(MAX_REMOTE_CHUNK_SIZE, -(-cost // workers)))
        compressed = sum(isinstance(source, Stream) and source.unpack is not None for source in inputs)
        self.unpack_in_workers = compressed >= workers > 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for partial in self.partials.values():
            partial.close()
        for pool in self.worker.pools.values():
            for partial in pool:
                partial.close()

    def run(self) -> None:
        """Count all inputs."""
        if self.checkpoint is not None:
            self.ordered.update(self.checkpoint.restarted)
            for index, data, size in self.checkpoint.finished():
                if data:
                    self._load(index, data)
                self._advance(index, size)
        for group in self._groups():
            try:
                self._run(group)
            except WrongStart:
                (index,) = group
                self.ordered.add(index)
                self._forget(index)
                self._run(group)
            for index in [index for index in self.worker.pools if index is not None]:
                for partial in self.worker.pools.pop(index):
                    self._add(index, partial)
            for index in group if self.guesses else ():
                if index not in self.partials:
                    continue
                partial = self.partials.pop(index)
                if (common := self.partials.get(ALL)) is None:
                    self.partials[ALL] = partial
                else:
                    common.load(partial.to_bytes())  # merged, it would keep tables for each file
                    partial.close()

    def _groups(self) -> list[list[int]]:
        """The inputs, in groups of those that are counted at the same time: a large one alone if it may be repeated."""
        everything = range(len(self.inputs))
        if not self.guesses:
            return [[*everything]]
        alone = [index for index in everything if not self._is_whole(self.inputs[index])]
        return [[index for index in everything if index not in alone], *([index] for index in alone)]

    def _run(self, group: list[int]) -> None:
        tasks = self._tasks(group)
        if self.on is not None:
            results: Any = self.on.imap_unordered(self.worker, tasks)
        elif self.workers == 1:
            results = (self.worker(task) for task in tasks)
        else:
            results = map_unordered(self.worker, tasks, self.workers)
        with closing(tasks), closing(results):
            for counted in results:
                for one in counted:
                    self._take(one)

    def _take(self, counted: Counted) -> None:
        chunk = counted.chunk
        if chunk.buffer is not None:
            self.buffers.append(chunk.buffer)
        if counted.error is not None:
            self._fail(chunk.index, counted.error, partly=chunk.count is not None)
            return
        if counted.data:
            self._load(chunk.index, counted.data)
        elif counted.partial is not None:
            self._add(chunk.index, counted.partial)
        self._advance(chunk.index, chunk.size)

    def _key(self, index: int) -> int:
        """The partial of an input: that of all inputs, unless it is counted by itself or may have to be repeated."""
        common = self.count.keeps_partials and (not self.guesses or self._is_whole(self.inputs[index]))
        return ALL if common else index

    def _load(self, index: int, data: bytes) -> None:
        """Add what another process or run has counted."""
        if not self.count.keeps_partials:
            self._add(index, self.count.from_bytes(data))
        elif (whole := self.partials.get(key := self._key(index))) is None:
            self.partials[key] = self.count.from_bytes(data)
        else:
            whole.load(data)

    def _add(self, index: int, partial: Partial) -> None:
        """Add a partial to that of its input, or of all inputs."""
        key = self._key(index)
        if key in self.failed:
            partial.close()
        else:
            self._merge(key, partial)

    def _merge(self, key: int, partial: Partial) -> None:
        if (whole := self.partials.get(key)) is None:
            self.partials[key] = partial
        else:
            whole.merge(partial)
            partial.close()

    def _advance(self, index: int, size: int) -> None:
        self.done[index] += size
        self.all_done += size
        if self.progress is not None:
            self.progress(self.all_done, self.total)

    def _fail(self, index: int, error: Exception, *, partly: bool) -> None:
        if self.on_error is None or (partly and self.count.keeps_partials):
            raise error
        if index not in self.failed:
            self.failed.add(index)
            if index in self.partials:
                self.partials.pop(index).close()
            self.on_error(self.inputs[index].name, error)

    def _forget(self, index: int) -> None:
        """Take back what was counted of an input."""
        for partial in self.worker.pools.pop(index, []):
            partial.close()
        if index in self.partials:
            self.partials.pop(index).close()
        self.all_done -= self.done[index]
        self.done[index] = 0
        if self.checkpoint is not None:
            self.checkpoint.restart(index)

    def results(self) -> list[tuple[Input, Partial]]:
        """Return the partials, which belong to the caller from now on."""
        for pool in self.worker.pools.values():
            while pool:
                self._merge(ALL, pool.pop())
        partials, self.partials = self.partials, {}
        if self.count.keeps_partials:
            return [(source, partials[ALL] if ALL in partials else self.count.partial()) for source in self.inputs[:1]]
        return [
            (source, partials[index] if index in partials else self.count.partial())
            for index, source in enumerate(self.inputs)
            if index not in self.failed
        ]

    def _is_whole(self, source: Input) -> bool:
        """Whether one worker is to count all of an input."""
        if isinstance(source, File):
            return source.size - source.start <= self.chunk_size
        return source.unpack is not None and self.unpack_in_workers

    def _tasks(self, group: list[int]) -> Generator[list[Chunk], None, None]:
        """Yield the chunks of some inputs, small ones together."""
        task: list[Chunk] = []
        cost = 0
        for index in group:
            source = self.inputs[index]
            if not self._is_whole(source):
                yield from self._divide(index, source)
                continue
            if isinstance(source, File):
                if self.checkpoint is not None and self.checkpoint.stop(index, source.start) is not None:
                    continue
                task.append(Chunk(index, source, None, source.start, source.size))
            else:
                task.append(Chunk(index, source, None, 0, 0, size=source.size))
            cost += source.size + FILE_COST
            if cost >= self.chunk_size:
                yield task
                task, cost = [], 0
        if task:
            yield task

    def _divide(self, index: int, source: Input) -> Iterator[list[Chunk]]:
        try:
            chunks = self._chunks(index, source) if isinstance(source, File) else self._blocks(index, source)
            for chunk in chunks:
                yield [chunk]
                if index in self.failed:
                    break
        except (OSError, ImportError, RecordError) as error:
            self._fail(index, error, partly=True)

    def _chunks(self, index: int, source: File) -> Iterator[Chunk]:
        """Yield the chunks of a regular file."""
        with source.open(source.start) as opened:
            count, _, skip = self.worker.open_count(source, opened, in_order=index in self.ordered)
            start = source.start + skip
            while start < source.size:
                if self.checkpoint is not None and (stop := self.checkpoint.stop(index, start)) is not None:
                    start = stop
                    continue
                end = min(start + self.chunk_size, source.size)
                stop = count.find_start(opened, end) if end < source.size else end
                if stop is None:
                    stop = self._cut(count, opened, start)
                if stop <= start:  # it was truncated: a worker would say so too
                    opened.check()
                    return
                yield Chunk(index, source, count, start, stop)
                start = stop

    def _cut(self, count: Count, opened: OpenFile, start: int) -> int:
        """Return the end of a chunk of complete records."""
        size = self.chunk_size
        while True:
            block = opened.read(start, size)
            if start + len(block) >= opened.size or len(block) < size:
                return start + len(block)
            if taken := count.cut(memoryview(block)):
                return start + taken
            size *= 2

    def _blocks(self, index: int, source: Stream) -> Iterator[Chunk]:
        """Yield what is in a stream, in blocks of complete records."""
        with source.open() as opened:
            count, head, skip = self.worker.open_count(source, opened)
            count = count.in_order()
            if count.reads_chunks:
                raise OSError(errno.ESPIPE, "this format can only be read from a regular file", source.name)
            position = skip
            rest = memoryview(head)[skip:]
            size = STREAM_BLOCK_SIZE
            reported = 0
            while True:
                buffer = _pop(self.buffers) or bytearray(size)
                if len(buffer) < 2 * len(rest):
                    buffer = bytearray(2 * len(rest))
                view = memoryview(buffer)
                view[: len(rest)] = rest
                filled = len(rest) + opened.fill(view[len(rest) :])
                last = filled < len(view)
                taken = filled if last else count.cut(view[:filled])
                rest = view[taken:filled]
                if taken:
                    done = opened.done()
                    if self.worker.local:
                        block: Any = view[:taken]
                    else:
                        block, buffer = bytes(view[:taken]), None
                    chunk = Chunk(index, source, count, position, position + taken, block=block, buffer=buffer)
                    chunk.size = done - reported
                    yield chunk
                    position += taken
                    reported = done
                elif len(rest) >= MAX_RUN and not count.keeps_partials:
                    # One long word, say: blocks that grow with it would take any amount of memory.
                    partial = count.partial(self.workers)
                    chunk = Chunk(index, source, count, position, 0)
                    self.worker.feed(partial, opened, bytes(rest), 0, chunk)
                    self._add(index, partial)
                    self._advance(index, opened.done() - reported)
                    return
                if last:
                    return


def _shares_objects(on: Execution) -> bool:
    """Whether the workers are threads of this interpreter."""
    from parcount.execution.adopted import Adopted
    from parcount.execution.serial import Serial
    from parcount.execution.threads import Threads

    return isinstance(on, Serial | Threads) or (isinstance(on, Adopted) and on.shares_memory)
