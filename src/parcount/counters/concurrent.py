"""`ConcurrentCounter`: `collections.Counter` for many threads."""

from __future__ import annotations

from collections import Counter
from collections import _count_elements as count_elements  # type: ignore[attr-defined] # in C, as Counter calls it
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from itertools import chain, islice
from operator import length_hint
from threading import RLock, local
from typing import Any, ClassVar, Self, TypeVar

from parcount.counters.after_fork import renew_locks_in_children
from parcount.counters.per_thread import PerThread

Key = TypeVar("Key")

CHUNK = 1 << 15
"""Elements counted at a time, under a lock that readers wait for."""

PLAIN = (list, tuple, str, bytes, range)
"""Types whose iterators run no user code: they can be iterated under a lock, without a copy first."""


def _settled(method: Callable[..., Any]) -> Any:
    """Merge pending counts before the method, and hold back counts of other threads until it returns."""

    @wraps(method)
    def settled(self: ConcurrentCounter[Any], /, *args: Any, **keywords: Any) -> Any:
        entered = self._enter()
        try:
            return method(self, *args, **keywords)
        finally:
            if entered:
                self._leave()

    return settled


class ConcurrentCounter(Counter[Key]):
    """A `collections.Counter` that threads can share without losing counts.

    It is a subclass with the same interface. `update` with an iterable, `add` and `increment` count into a shard of the
    calling thread; every read first merges the shards of all threads. Iteration, `keys`, `values`, `items`, comparison,
    arithmetic and pickling use a copy made at that moment: they are safe while other threads count, and do not show
    later counts. Results of arithmetic are of this class.

    ``c[key] += 1`` is a read and a write, between which another thread may count: use `increment`.

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
    O(keys) for each thread. It needs the GIL like any code that handles Python objects, so threads count in parallel
    only on a free-threaded Python.

    An iterator's own code runs outside all locks; keys are hashed and compared inside. Keys that use the counter while
    they are compared see it half merged, and so do signal handlers. Both may count, by `increment`, `add`, `update` and
    `subtract`, and no count is lost.

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
    """Whether a subclass overrides `get` or `__setitem__`, which then sees every element, as with Counter."""

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
        """Add `n` to the count of `key`.

        Parameters
        ----------
        key : hashable
            The key.
        n : int, optional
            The amount; may be negative.
        """
        if self._elementwise:
            self._plus([(key, n)])
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
        """Add counts, as `collections.Counter.update`.

        Parameters
        ----------
        iterable : iterable or mapping, optional
            Elements to count, or a mapping of counts to add.
        **counts
            More counts to add.
        """
        if isinstance(iterable, Mapping):
            self._plus(list(iterable.items()))
        elif iterable is not None:
            try:
                self._count_all(iterable)
            finally:
                self._show_own()
        if counts:
            self._plus(list(counts.items()))

    def subtract(self, iterable: Iterable[Any] | None = None, /, **counts: int) -> None:
        """Subtract counts, as `collections.Counter.subtract`.

        Parameters
        ----------
        iterable : iterable or mapping, optional
            Elements to count down, or a mapping of counts to subtract.
        **counts
            More counts to subtract.
        """
        if isinstance(iterable, Mapping):
            self._minus(list(iterable.items()))
        elif iterable is not None:
            found: dict[Any, int] = {}
            try:
                count_elements(found, iterable)
            finally:
                self._minus(list(found.items()))
        if counts:
            self._minus(list(counts.items()))

    def _count_all(self, iterable: Any) -> None:
        """Count in chunks; if the iterator raises, count what came before."""
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
    def _plus(self, pairs: list[tuple[Any, Any]]) -> None:
        if self._set_aside(pairs):
            return
        if not self:
            dict.update(self, pairs)
            return
        get = self.get
        for key, count in pairs:
            self[key] = count + get(key, 0)

    @_settled
    def _minus(self, pairs: list[tuple[Any, Any]]) -> None:
        if self._set_aside((key, -count) for key, count in pairs):
            return
        get = self.get
        for key, count in pairs:
            self[key] = get(key, 0) - count

    def _set_aside(self, pairs: Iterable[tuple[Any, Any]]) -> bool:
        """If this thread is already counting or merging, keep the counts for the next merge and return True.

        The call then comes from a signal handler or a comparison of keys: counts added now could be overwritten.
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
        """If the dict is empty, merge this thread's shard: C code such as json's reads the dict directly.

        Other threads may be using their shards, so those wait for a read.
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
        """Merge pending counts, and keep other threads from it until `_leave`. Return whether that was done.

        It is not if the thread is counting, and a comparison of keys has called this: another thread may be merging and
        wait for this thread's shard. The caller then uses the counter as it is.
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
        """Add counts. If an addition raises, the remaining ones are kept for the next merge."""
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
        """A copy as a dict. `dict.copy` would call `keys` of a subclass, and so recurse."""
        return dict(zip(dict.keys(self), dict.values(self), strict=True))

    def _plain(self) -> Counter[Key]:
        """A copy as a Counter."""
        plain: Counter[Key] = Counter()
        dict.update(plain, self._snapshot())
        return plain

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

    def keys(self) -> Any:
        """A view of a copy's keys."""
        return self._snapshot().keys()

    def values(self) -> Any:
        """A view of a copy's counts."""
        return self._snapshot().values()

    def items(self) -> Any:
        """A view of a copy's keys and counts."""
        return self._snapshot().items()

    def __iter__(self) -> Iterator[Key]:
        return iter(self._snapshot())

    def __reversed__(self) -> Iterator[Key]:
        backwards: Iterator[Key] = reversed(self._snapshot())
        return backwards

    def __reduce__(self) -> tuple[type[Self], tuple[dict[Key, int]]]:
        return type(self), (self._snapshot(),)

    def __repr__(self) -> str:
        return type(self).__name__ + repr(self._plain()).removeprefix(Counter.__name__)

    # Comparison and arithmetic

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return Counter.__eq__(self._plain(), _plain(other))

    def __ne__(self, other: object) -> bool:
        return Counter.__ne__(self._plain(), _plain(other))

    def __le__(self, other: Counter[Any]) -> bool:
        return Counter.__le__(self._plain(), _plain(other))

    def __lt__(self, other: Counter[Any]) -> bool:
        return Counter.__lt__(self._plain(), _plain(other))

    def __ge__(self, other: Counter[Any]) -> bool:
        return Counter.__ge__(self._plain(), _plain(other))

    def __gt__(self, other: Counter[Any]) -> bool:
        return Counter.__gt__(self._plain(), _plain(other))

    def __add__(self, other: Counter[Any]) -> ConcurrentCounter[Any]:
        return _ours(Counter.__add__(self._plain(), _plain(other)))

    def __sub__(self, other: Counter[Any]) -> ConcurrentCounter[Any]:
        return _ours(Counter.__sub__(self._plain(), _plain(other)))

    def __or__(self, other: Counter[Any]) -> ConcurrentCounter[Any]:  # type: ignore[override]
        return _ours(Counter.__or__(self._plain(), _plain(other)))

    def __and__(self, other: Counter[Any]) -> ConcurrentCounter[Any]:
        return _ours(Counter.__and__(self._plain(), _plain(other)))

    def __pos__(self) -> ConcurrentCounter[Key]:
        return _ours(+self._plain())

    def __neg__(self) -> ConcurrentCounter[Key]:
        return _ours(-self._plain())

    # `other` is copied before this counter is locked: a thread that adds them the other way round would deadlock.

    def __iadd__(self, other: Counter[Any]) -> Self:  # type: ignore[override]
        self._change(Counter.__iadd__, _plain(other))
        return self

    def __isub__(self, other: Counter[Any]) -> Self:  # type: ignore[override]
        self._change(Counter.__isub__, _plain(other))
        return self

    def __ior__(self, other: Counter[Any]) -> Self:  # type: ignore[override]
        self._change(Counter.__ior__, _plain(other))
        return self

    def __iand__(self, other: Counter[Any]) -> Self:  # type: ignore[override]
        self._change(Counter.__iand__, _plain(other))
        return self

    @_settled
    def _change(self, operation: Callable[[Any, Any], Any], other: Any) -> None:
        operation(self, other)


def _plain(other: Any) -> Any:
    return other._plain() if isinstance(other, ConcurrentCounter) else other


def _ours(result: Any) -> ConcurrentCounter[Any]:
    return result if result is NotImplemented else ConcurrentCounter(result)


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
