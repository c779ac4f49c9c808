"""`ConcurrentCounter`: `collections.Counter` for many threads."""

from __future__ import annotations

from collections import Counter
from collections import _count_elements as count_elements  # type: ignore[attr-defined] # in C, as Counter calls it
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from itertools import chain, islice
from operator import length_hint
from threading import RLock, local
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from parcount.counters.after_fork import renew_locks_in_children
from parcount.counters.per_thread import PerThread

Key = TypeVar("Key")

CHUNK = 1 << 15
"""Elements that are counted under a lock at a time. Readers wait for it."""

PLAIN = (list, tuple, str, bytes, range)
"""Types whose iterators run no user code, so that they can run under a lock."""


def _settled(method: Callable[..., Any]) -> Any:
    """The method, after a merge of pending counts, and without merges in other threads until it returns."""

    @wraps(method)
    def settled(self: ConcurrentCounter[Any], /, *args: Any, **keywords: Any) -> Any:
        entered = self._enter()
        try:
            return method(self, *args, **keywords)
        finally:
            if entered:
                self._leave()

    return settled


def _of_snapshot(method: Callable[..., Any]) -> Any:
    """The method of a copy as a dict."""

    @wraps(method)
    def of_snapshot(self: ConcurrentCounter[Any]) -> Any:
        return method(self._snapshot())

    return of_snapshot


def _on_copies(method: Callable[..., Any]) -> Any:
    """The method on copies of its operands; the result is a `ConcurrentCounter` where it would be a Counter."""

    @wraps(method)
    def on_copies(*operands: Any) -> Any:
        result = method(*map(_copy, operands))
        return ConcurrentCounter(result) if isinstance(result, Counter) else result

    return on_copies


def _in_place(method: Callable[..., Any]) -> Any:
    """The method with a copy of the second operand: threads that add two counters to each other do not deadlock."""
    settled = _settled(method)

    @wraps(method)
    def in_place(self: ConcurrentCounter[Any], other: Any) -> Any:
        settled(self, _copy(other))
        return self

    return in_place


def _copy(operand: Any) -> Any:
    """A copy of a `ConcurrentCounter` as a Counter; other operands themselves."""
    if not isinstance(operand, ConcurrentCounter):
        return operand
    copy: Counter[Any] = Counter()
    dict.update(copy, operand._snapshot())
    return copy


class ConcurrentCounter(Counter[Key]):
    """A `collections.Counter` that threads can share without losing counts.

    It is a subclass with the same interface. `update` with an iterable, `add` and `increment` count into a shard of the
    calling thread; each read first merges the shards of all threads. Iteration, `keys`, `values`, `items`, comparison,
    arithmetic and pickling use a copy: they are safe while other threads count, and do not show later counts. Results
    of arithmetic are of this class.

    ``c[key] += 1`` loses counts that other threads add between its read and its write: use `increment`.

    Parameters
    ----------
    iterable : iterable or mapping, optional
        Elements to count, or a mapping of counts.
    **counts
        More counts.

    Raises
    ------
    TypeError
        If an element is not hashable, or `iterable` is not iterable.

    Notes
    -----
    `update` takes as much time as that of `collections.Counter`, with any number of threads: O(elements). A read takes
    O(different keys counted since the last read) time, and copies O(keys). Memory is O(keys), and between two reads
    O(keys) for each thread. It needs the GIL, as all code that handles Python objects: threads count in parallel on a
    free-threaded Python only.

    Iterators run outside all locks; keys are hashed and compared inside. Comparisons of keys, and signal handlers, that
    read the counter may see it half merged. Both may count by `increment`, `add`, `update` and `subtract`; no count is
    lost.

    Examples
    --------
    >>> import parcount as pc
    >>> c = pc.ConcurrentCounter("abracadabra")
    >>> c.increment("z")
    >>> c.most_common(2)
    [('a', 5), ('b', 2)]
    >>> c["z"], c["x"]
    (1, 0)
    """

    _elementwise: ClassVar[bool] = False
    """Whether a subclass overrides `get` or `__setitem__`, which Counter calls for every element."""

    _pending: _Pending
    _local: local

    def __new__(cls, *_: Any, **__: Any) -> Self:  # noqa: D102 - the class says it
        self = super().__new__(cls)
        self._pending = _Pending()
        self._local = local()  # outside `_pending`: the values of a `threading.local` must not refer to it
        return self

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        ours = ConcurrentCounter
        cls._elementwise = cls.get is not ours.get or cls.__setitem__ is not ours.__setitem__

    # Counting

    def increment(self, key: Key) -> None:
        """Add 1 to the count of `key`."""
        self.add(key)

    def add(self, key: Key, n: int = 1) -> None:
        """Add `n`, which may be negative, to the count of `key`."""
        if self._elementwise:
            self._add_pairs([(key, n)])
            return
        shard = self._shard()
        if shard.busy:  # called by a comparison of keys below, or by a signal handler
            shard.set_aside([(key, n)])
            return
        shard.busy = True
        try:
            with shard.lock:
                counts = shard.counts
                counts[key] = counts.get(key, 0) + n
        finally:
            shard.busy = False
        if not dict.__len__(self):  # checked here too: the call would double the cost
            self._show_own()

    def update(self, iterable: Iterable[Any] | None = None, /, **counts: int) -> None:  # type: ignore[override]
        """Count the elements of an iterable, or add the counts of a mapping and of keywords, as in Counter."""
        if isinstance(iterable, Mapping):
            self._add_pairs(list(iterable.items()))
        elif iterable is not None:
            try:
                self._count_all(iterable)
            finally:
                self._show_own()
        if counts:
            self._add_pairs(list(counts.items()))

    def subtract(self, iterable: Iterable[Any] | None = None, /, **counts: int) -> None:
        """Subtract what `update` would add."""
        if isinstance(iterable, Mapping):
            self._add_pairs(list(iterable.items()), subtract=True)
        elif iterable is not None:
            found: dict[Any, int] = {}
            try:
                count_elements(found, iterable)
            finally:
                self._add_pairs(list(found.items()), subtract=True)
        if counts:
            self._add_pairs(list(counts.items()), subtract=True)

    def _count_all(self, iterable: Any) -> None:
        """Count in chunks. If the iterator raises, the elements before are counted."""
        iterator = iter(iterable)
        if type(iterable) in PLAIN:
            while length_hint(iterator):
                self._count(islice(iterator, CHUNK))
            return
        more = True
        while more:
            chunk: list[Any] = []
            try:
                chunk.extend(islice(iterator, CHUNK))
            finally:
                more = len(chunk) == CHUNK
                if chunk:
                    self._count(chunk)

    def _count(self, elements: Any) -> None:
        """Count elements into this thread's shard."""
        if self._elementwise:
            self._count_here(elements)
            return
        shard = self._shard()
        if shard.busy:
            found: dict[Any, int] = {}
            try:
                count_elements(found, elements)
            finally:
                shard.set_aside(found.items())
            return
        shard.busy = True
        try:
            with shard.lock:
                count_elements(shard.counts, elements)
        finally:
            shard.busy = False

    @_settled
    def _count_here(self, elements: Any) -> None:
        count_elements(self, elements)

    @_settled
    def _add_pairs(self, pairs: list[tuple[Any, Any]], subtract: bool = False) -> None:
        if self._set_aside([(key, -count) for key, count in pairs] if subtract else pairs):
            return
        if not self and not subtract:
            dict.update(self, pairs)
            return
        get = self.get
        for key, count in pairs:
            self[key] = get(key, 0) - count if subtract else count + get(key, 0)

    def _set_aside(self, pairs: Iterable[tuple[Any, Any]]) -> bool:
        """Keep the counts for the next merge if this thread is already counting or merging; return whether it is.

        A signal handler or a comparison of keys has then made the call, and counts added now could be overwritten.
        """
        if self._elementwise:
            return False
        token: _Token | None = getattr(self._local, "token", None)
        if token is not None and token.shard.busy:
            token.shard.set_aside(pairs)
        elif self._pending.depth > 1:
            self._pending.left.extend(pairs)
        else:
            return False
        return True

    # Merging

    def _shard(self) -> _Shard:
        """The calling thread's shard."""
        try:
            shard: _Shard = self._local.token.shard
        except AttributeError:
            shard = _Shard()
            token = self._local.token = _Token(shard)
            with self._pending.lock:
                self._pending.shards.add(token, shard)
                crowded = self._pending.shards.crowded
            if crowded:
                self._show()
        return shard

    @_settled
    def _show(self) -> None:
        """Merge all pending counts."""

    def _show_own(self) -> None:
        """Merge this thread's shard if the dict is empty, because C code such as that of json reads the dict directly.

        Shards of other threads, which may be using them, are merged by the next read.
        """
        if dict.__len__(self) or (shard := self._shard()).busy:
            return
        pending = self._pending
        with pending.lock:
            if not pending.depth:
                pending.depth = 1  # keeps signal handlers from doing the same
                try:
                    self._take(shard)
                finally:
                    pending.depth = 0

    def _enter(self) -> bool:
        """Merge pending counts and lock out other merges until `_leave`; return whether that was done.

        It is not done if the thread is counting and a comparison of keys has called this, because a merging thread may
        be waiting for this thread's shard. The caller then uses the counter as it is.
        """
        token: _Token | None = getattr(self._local, "token", None)
        if token is not None and token.shard.busy:
            return False
        pending = self._pending
        pending.lock.acquire()
        try:
            pending.depth += 1
            if pending.depth == 1:
                self._merge()
        except BaseException:
            self._leave()
            raise
        return True

    def _leave(self) -> None:
        self._pending.depth -= 1
        self._pending.lock.release()

    def _merge(self) -> None:
        pending = self._pending
        if pending.left:
            left, pending.left = pending.left, []
            self._merge_pairs(left)
        for shard in pending.shards.all():
            if shard.counts or shard.aside:
                self._take(shard)
        pending.ended += pending.shards.take_ended()
        while pending.ended:
            self._take(pending.ended[-1])
            pending.ended.pop()

    def _take(self, shard: _Shard) -> None:
        with shard.lock:
            counts, shard.counts = shard.counts, Counter()
            aside, shard.aside = shard.aside, []
        if not aside and not dict.__len__(self):
            dict.update(self, counts)
        else:
            self._merge_pairs(chain(counts.items(), aside))

    def _merge_pairs(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Add counts. If an addition raises, the remaining counts are kept for the next merge."""
        get, put = super().get, super().__setitem__
        rest = iter(pairs)
        try:
            for key, count in rest:
                put(key, get(key, 0) + count)
        finally:
            self._pending.left.extend(rest)

    # Reading: from a copy, except for single operations

    @_settled
    def _snapshot(self) -> dict[Any, Any]:
        """A copy as a dict. `dict` and `dict.copy` would call `keys`, and so this method."""
        return dict(zip(dict.keys(self), dict.values(self), strict=True))

    if not TYPE_CHECKING:  # type checkers find the signatures of Counter
        __getitem__ = _settled(dict.__getitem__)
        __setitem__ = _settled(dict.__setitem__)
        __delitem__ = _settled(Counter.__delitem__)
        __contains__ = _settled(dict.__contains__)
        __len__ = _settled(dict.__len__)
        clear = _settled(dict.clear)
        get = _settled(dict.get)
        pop = _settled(dict.pop)
        popitem = _settled(dict.popitem)
        setdefault = _settled(dict.setdefault)
        keys = _of_snapshot(dict.keys)
        values = _of_snapshot(dict.values)
        items = _of_snapshot(dict.items)
        __iter__ = _of_snapshot(dict.__iter__)
        __reversed__ = _of_snapshot(dict.__reversed__)
        __hash__ = None
        __eq__ = _on_copies(Counter.__eq__)
        __ne__ = _on_copies(Counter.__ne__)
        __le__ = _on_copies(Counter.__le__)
        __lt__ = _on_copies(Counter.__lt__)
        __ge__ = _on_copies(Counter.__ge__)
        __gt__ = _on_copies(Counter.__gt__)

    def __reduce__(self) -> tuple[type[Self], tuple[dict[Key, int]]]:
        return type(self), (self._snapshot(),)

    def __repr__(self) -> str:
        return type(self).__name__ + repr(_copy(self)).removeprefix(Counter.__name__)

    # Arithmetic

    __add__ = _on_copies(Counter.__add__)
    __sub__ = _on_copies(Counter.__sub__)
    __or__ = _on_copies(Counter.__or__)
    __and__ = _on_copies(Counter.__and__)
    __pos__ = _on_copies(Counter.__pos__)
    __neg__ = _on_copies(Counter.__neg__)
    __iadd__ = _in_place(Counter.__iadd__)
    __isub__ = _in_place(Counter.__isub__)
    __ior__ = _in_place(Counter.__ior__)
    __iand__ = _in_place(Counter.__iand__)


class _Shard:
    """What a thread has counted since the last merge."""

    __slots__ = ("aside", "busy", "counts", "lock")

    def __init__(self) -> None:
        self.lock = RLock()
        self.counts: Counter[Any] = Counter()  # faster than a dict: the garbage collector tracks it from the start
        self.aside: list[tuple[Any, Any]] = []  # counted while the same thread was changing `counts`
        self.busy = False  # whether the thread is changing `counts`; used by this thread only

    def set_aside(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Keep counts outside `counts`."""
        with self.lock:
            self.aside.extend(pairs)


class _Token:
    """Freed when its thread ends."""

    __slots__ = ("__weakref__", "shard")

    def __init__(self, shard: _Shard) -> None:
        self.shard = shard


class _Pending:
    """The shards of all threads, and the lock under which they are merged.

    Lock order: this lock before that of a shard, never the other way round.
    """

    def __init__(self) -> None:
        self.shards: PerThread[_Shard] = PerThread()
        self.ended: list[_Shard] = []  # of ended threads, to be merged once more
        self.left: list[tuple[Any, Any]] = []  # left by a merge that raised, or counted during one
        self._renew_locks()
        renew_locks_in_children(self)

    def _renew_locks(self) -> None:
        """Replace the locks, in a forked child. After a fork during a merge, it has what was merged until then."""
        self.lock = RLock()
        self.depth = 0
        for shard in self.shards.all():
            shard.lock = RLock()
