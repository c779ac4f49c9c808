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
from parcount.counters.per_thread import Parts

Key = TypeVar("Key")

CHUNK = 1 << 15
"""Elements counted at a time: for as long whoever reads may have to wait."""

PLAIN = (list, tuple, str, bytes, range)
"""Types whose iterators run no code of the user's: they may under a lock, and nothing needs to be copied first."""


def _settled(method: Callable[..., Any]) -> Any:
    """Have all that is pending merged before a method, and everything that is counted meanwhile after it."""

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
    """A `collections.Counter` that threads can share: as fast, and exact.

    It is one, and does what one does. `update` with an iterable, `add` and `increment` count for the calling thread
    alone; whatever reads the counter first merges what all threads have counted since it was read last. To iterate over
    it or its `keys`, `values` and `items`, to compare, to calculate with and to pickle it is to do so with a copy of
    that instant: it is safe while others count, and shows nothing that comes later. Results of arithmetic are of this
    class.

    ``c[key] += 1`` is a reading and a writing, between which another thread may count: use `increment`.

    Parameters
    ----------
    iterable : iterable or mapping, optional
        What to count, or counts.
    **counts
        More counts.

    Notes
    -----
    `update` takes as much time as Counter's, with any number of threads; to read takes time for the different keys
    that were counted since. An iterator's own code runs outside all locks, the hashing and comparing of keys inside.
    Keys that use the counter while they are compared see it as it is, with merging half done, and so does a signal
    handler. Both may count, by `increment`, `add`, `update` and `subtract`: what they interrupt does not undo it.

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
    """Whether a subclass has a `get` or `__setitem__` of its own, which then sees every element, as with Counter."""

    _pending: _Pending
    _here: local

    def __new__(cls, *_: Any, **__: Any) -> Self:  # noqa: D102 - the class says it
        self = super().__new__(cls)
        self._pending = _Pending()
        self._here = local()  # not a part of what is pending, to which what it holds refers
        return self

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        ours = ConcurrentCounter
        cls._elementwise = cls.get is not ours.get or cls.__setitem__ is not ours.__setitem__

    # Counting

    def increment(self, key: Key) -> None:
        """Add one to the count of `key`."""
        self.add(key)

    def add(self, key: Key, n: int = 1) -> None:
        """Add `n` to the count of `key`.

        Parameters
        ----------
        key : hashable
            What.
        n : int, optional
            How much.
        """
        if self._elementwise:
            self._plus([(key, n)])
            return
        shard = self._shard()
        if shard.busy:  # called by the comparing of keys just below, or by a signal handler
            shard.set_aside([(key, n)])
            return
        shard.busy = True
        try:
            with shard.lock:
                counts = shard.counts
                counts[key] = counts.get(key, 0) + n
        finally:
            shard.busy = False
        if not dict.__len__(self):  # asked here too, for the call is half of what this costs
            self._show_own()

    def update(self, iterable: Iterable[Any] | None = None, /, **counts: int) -> None:  # type: ignore[override]
        """Add counts, as `collections.Counter.update`.

        Parameters
        ----------
        iterable : iterable or mapping, optional
            What to count, or counts to add.
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
            What to count down, or counts to subtract.
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
        """Count in chunks what comes, and if that ends by an exception, what came before."""
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
        """Count some elements into this thread's shard."""
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
        """Whether a settled method was called in the midst of counting or merging: then the counts wait for a merge.

        For they come from a signal handler, or from the comparing of keys: added now, they could be written over.
        """
        if self._elementwise:
            return False
        token: _Token | None = getattr(self._here, "token", None)
        if token is not None and token.shard.busy:
            token.shard.set_aside(pairs)
        elif self._pending.depth > 1:
            self._pending.left.extend(pairs)
        else:
            return False
        return True

    # Merging

    def _shard(self) -> _Shard:
        """The calling thread's."""
        try:
            shard: _Shard = self._here.token.shard
        except AttributeError:
            shard = _Shard()
            token = self._here.token = _Token(shard)
            with self._pending.lock:
                self._pending.shards.enter(token, shard)
                crowded = self._pending.shards.crowded
            if crowded:
                self._show()
        return shard

    @_settled
    def _show(self) -> None:
        """Merge, and no more."""

    def _show_own(self) -> None:
        """Where the dict is empty, merge what this thread has counted: C code looks into a dict, as json's does.

        Not what the others have: they may be in the midst of it, and would begin anew.
        """
        if dict.__len__(self) or (shard := self._shard()).busy:
            return
        pending = self._pending
        with pending.lock:
            if not pending.depth:
                pending.depth = 1  # so that a signal handler does not do the same in between
                try:
                    self._take(shard)
                finally:
                    pending.depth = 0

    def _enter(self) -> bool:
        """Merge what is pending, and let nobody else do so until `_leave`.

        Not where the thread is in the midst of counting, and its keys' comparing has called: it holds its shard, for
        which another thread may be waiting in a merge. It has to take the counter as it is.
        """
        token: _Token | None = getattr(self._here, "token", None)
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
        pending.ended += pending.shards.ended()
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
        """Add counts; where one cannot be added to what there is, which raises, the others are left for later."""
        get, put = super().get, super().__setitem__
        rest = iter(pairs)
        try:
            for key, count in rest:
                put(key, get(key, 0) + count)
        finally:
            self._pending.left.extend(rest)

    # Reading: a copy, but for what is a single step

    @_settled
    def _snapshot(self) -> dict[Any, Any]:
        """A copy. Not `dict.copy`, which asks what is no plain dict for its keys, and so would end up here."""
        return dict(zip(dict.keys(self), dict.values(self), strict=True))

    def _plain(self) -> Counter[Key]:
        """A copy that is a Counter."""
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
        """The keys there are now."""
        return self._snapshot().keys()

    def values(self) -> Any:
        """The counts there are now."""
        return self._snapshot().values()

    def items(self) -> Any:
        """The keys there are now, with their counts."""
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

    # Comparing and calculating

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

    # `other` is copied before anything of this one is locked: another thread may be about to do it the other way round.

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
    """What a thread has counted since it was merged last."""

    __slots__ = ("aside", "busy", "counts", "lock")

    def __init__(self) -> None:
        self.lock = RLock()
        self.counts: Counter[Any] = Counter()  # quicker than a dict, of which each step asks whether to collect it
        self.aside: list[tuple[Any, Any]] = []  # counted while `counts` was being changed by the same thread
        self.busy = False  # whether that is so, or about to be; of interest to this thread only

    def set_aside(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Hold counts where nothing is being changed."""
        with self.lock:
            self.aside.extend(pairs)


class _Token:
    """Goes when its thread ends."""

    __slots__ = ("__weakref__", "shard")

    def __init__(self, shard: _Shard) -> None:
        self.shard = shard


class _Pending:
    """The shards of all threads, and the lock under which they are merged.

    Who holds it may wait for a shard's lock; who holds a shard's lock never waits for it.
    """

    def __init__(self) -> None:
        self.shards: Parts[_Shard] = Parts()
        self.ended: list[_Shard] = []  # of threads that have ended, to be merged for the last time
        self.left: list[tuple[Any, Any]] = []  # where a merge was ended by an exception, or interrupted by counting
        self._renew_locks()
        renew_locks_in_children(self)

    def _renew_locks(self) -> None:
        """Have new ones, in a forked child. It has what was merged until then, should the fork have come in between."""
        self.lock = RLock()
        self.depth = 0
        for shard in self.shards.all():
            shard.lock = RLock()
