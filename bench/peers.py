"""The array functions compared with NumPy and other libraries: ``python bench/peers.py``.

Each row times one call of ours with one thread and with two, its peers, and its limit (`limits`), in interleaved and
shuffled rounds. The script prints the ratio of the median times, the peer's or the limit's to ours, and the smallest
ratio that is acceptable. ``--json FILE`` saves the times; with ``--check`` the exit code is non-zero if a ratio to a
peer is too small. Results are compared before anything is timed.

``--page FILE…`` measures nothing and prints the tables of saved files in Markdown. ``make peers`` measures with all
vector instructions and without AVX-512.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import boost_histogram
import fast_histogram
import numpy as np
from limits import CPU_CLASS, Limit, adding, partitioning, reading, storing, updating

import parcount as pc
from parcount._native.cpu_features import ENABLED
from parcount.studies.core.environment import environment

Call = Callable[..., Any]
MILLION = 1_000_000
THREADS = 2
ALLOWED = 1.2
"""How many times as long as its limit a call may take without being marked."""


@dataclass(frozen=True)
class Row:
    """One call and its peers.

    Parameters
    ----------
    what : str
        Description of the row.
    make : callable
        Makes the data, and returns our call and those of the peers by name. Each takes a number of threads, which
        single-threaded peers ignore.
    size : int
        Number of elements.
    floors : dict of str to (float, float)
        By peer: the smallest acceptable ratio with one thread and with two; 0 for any.
    enough : float
        A call that takes at most so many times as long as its limit passes, whatever its peers take.
    calls : int
        Number of calls in what is timed. With more than one, the number of threads is the default.
    """

    what: str
    make: Callable[[int], tuple[Callable[[int | None], Any], dict[str, Callable[[int], Any]]]]
    size: int = 20 * MILLION
    floors: dict[str, tuple[float, float]] = field(default_factory=dict)
    enough: float = 0.0
    calls: int = 1

    @property
    def threads(self) -> tuple[int | None, ...]:
        """The numbers of threads that are timed."""
        return (1, THREADS) if self.calls == 1 else (None,)


def keys(size: int, bins: int, dtype: str = "int64") -> np.ndarray:
    """Uniform keys."""
    return np.random.default_rng(0).integers(0, bins, size).astype(dtype)


def bincounts(x: np.ndarray, weights: np.ndarray | None = None) -> Any:
    """`bincount` of ours and of NumPy."""
    return lambda threads: pc.bincount(x, weights, threads=threads), {"numpy": lambda _: np.bincount(x, weights)}


def limited(calls: Any, limit: Callable[..., Limit], *data: Any) -> Any:
    """The same calls and their limit."""
    ours, peers = calls
    return ours, peers | {f"limit: {limit.__name__}": limit(*data)}


def one_key(size: int) -> Any:
    """`bincount` of equal keys; the peer is the same call on uniform keys."""
    uniform, constant = keys(size, 256, "uint8"), np.full(size, 7, np.uint8)
    ours, _ = bincounts(constant)
    peers = {"uniform keys": lambda threads: pc.bincount(uniform, threads=threads)}
    return limited((ours, peers), reading, constant)


def two_threads(x: np.ndarray) -> Any:
    """`bincount`; the peer is the same call on one thread."""
    ours, _ = bincounts(x)
    return ours, {"one thread": lambda _: ours(1)}


def fed(accumulator: Callable[[], Any], call: Call, data: np.ndarray) -> Any:
    """An accumulator that is fed chunks of a million elements, by one thread and by eight; the peer is one call."""
    chunks = np.array_split(data, len(data) // MILLION)
    feeders = ThreadPoolExecutor(8)

    def feed(threads: int | None) -> np.ndarray:
        total = accumulator()
        for _ in (map if threads == 1 else feeders.map)(lambda chunk: total.update(chunk, threads=1), chunks):
            pass
        return total.counts

    if not same(feed(THREADS), call(data)):
        raise SystemExit("an accumulator has lost counts")
    return feed, {"one call": lambda threads: call(data, threads=threads)}


def unit_histogram(a: np.ndarray, threads: int | None = None) -> np.ndarray:
    """The counts of 100 bins from 0 to 1."""
    return pc.histogram(a, 100, (0, 1), threads=threads)[0]


def small(ours: Call, numpys: Call, x: np.ndarray) -> Any:
    """Calls on few elements, with the default number of threads."""

    def repeated(call: Call) -> Any:
        for _ in range(calls_for(len(x))):
            result = call(x)
        return result

    return lambda _: repeated(ours), {"numpy": lambda _: repeated(numpys)}


def numpys_add_at(a: np.ndarray, indices: np.ndarray) -> None:
    """``pc.add_at(a, indices)`` by NumPy."""
    np.add.at(a, indices, 1)


def calls_for(size: int) -> int:
    """How many calls on so many elements take long enough to be timed."""
    return max(10, min(1000, 200_000 // size))


def small_rows(size: int) -> Iterator[Row]:
    """Calls that nothing but their overhead can make slow."""

    def row(what: str, ours: Call, numpys: Call, make: Callable[[int], np.ndarray], most: float) -> Row:
        made = lambda n: small(ours, numpys, make(n))  # noqa: E731
        return Row(f"{what}, {number(size)} elements", made, size, {"numpy": (1 / most, 0)}, calls=calls_for(size))

    for bins in (1000, 100_000):
        integers = partial(keys, bins=bins)
        unit = {"bins": bins, "range": (0, 1)}
        ours, numpys = partial(pc.histogram, **unit), partial(np.histogram, **unit)
        add, numpys_add = (partial(function, np.zeros(bins, np.int64)) for function in (pc.add_at, numpys_add_at))
        yield row(f"bincount int64, {number(bins)} bins", pc.bincount, np.bincount, integers, 1)
        yield row(f"histogram float64, {number(bins)} bins", ours, numpys, random_floats, 1)
        yield row(f"unique_counts int64, {number(bins)} distinct", pc.unique_counts, np.unique_counts, integers, 1)
        yield row(f"add_at int64, {number(bins)} cells", add, numpys_add, integers, 1.05)
    yield row("increment int64", pc.increment, lambda x: np.add(x, 1, out=x), lambda n: keys(n, 9), 1.05)


def number(value: int) -> str:
    """An integer with its digits in groups of three, if there are more than four."""
    return f"{value:_}".replace("_", " ")


def random_floats(size: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    """Uniform from 0 to 1."""
    return np.random.default_rng(seed).random(size).astype(dtype)


def histograms(a: np.ndarray, bins: int) -> Any:
    """`histogram` of equal bins from 0 to 1, of ours and of all peers."""

    def boost(threads: int) -> Any:
        filled = boost_histogram.Histogram(boost_histogram.axis.Regular(bins, 0, 1))
        return filled.fill(a, threads=threads)

    return lambda threads: pc.histogram(a, bins, (0, 1), threads=threads), {
        "numpy": lambda _: np.histogram(a, bins, (0, 1)),
        "fast-histogram": lambda _: fast_histogram.histogram1d(a, bins, (0, 1)),
        "boost-histogram": boost,
    }


def histograms_2d(x: np.ndarray, y: np.ndarray) -> Any:
    """`histogram2d` of equal bins from 0 to 1, of ours and of all peers."""
    square = [(0, 1), (0, 1)]

    def boost(threads: int) -> Any:
        axes = [boost_histogram.axis.Regular(100, 0, 1) for _ in range(2)]
        return boost_histogram.Histogram(*axes).fill(x, y, threads=threads)

    return lambda threads: pc.histogram2d(x, y, 100, square, threads=threads), {
        "numpy": lambda _: np.histogram2d(x, y, 100, square),
        "fast-histogram": lambda _: fast_histogram.histogram2d(x, y, 100, square),
        "boost-histogram": boost,
    }


def add_ats(a: np.ndarray, indices: np.ndarray, b: Any) -> Any:
    """`add_at` of ours and of NumPy; each call adds to the same array."""

    def numpys(_: int) -> np.ndarray:
        cells = a.copy()
        np.add.at(cells, indices, b)
        return cells

    def ours(threads: int | None) -> np.ndarray:
        cells = a.copy()
        pc.add_at(cells, indices, b, threads=threads)
        return cells

    return ours, {"numpy": numpys}


def increments(a: np.ndarray) -> Any:
    """`increment` of ours and of NumPy; each call adds to the same array."""
    return lambda threads: pc.increment(a, threads=threads), {"numpy": lambda _: np.add(a, 1, out=a)}


def uniques(x: np.ndarray) -> Any:
    """`unique_counts` of ours and of NumPy."""
    return lambda threads: pc.unique_counts(x, threads=threads), {"numpy": lambda _: np.unique_counts(x)}


def scattered(size: int, distinct: int) -> np.ndarray:
    """Keys with so many distinct values, spread over the range of 64 bits."""
    return (keys(size, distinct).astype(np.uint64) * np.uint64(0xD1342543DE82EF95)).view(np.int64)


def uneven(a: np.ndarray, edges: np.ndarray) -> Any:
    """`histogram` with given edges, of ours and of NumPy."""
    return lambda threads: pc.histogram(a, edges, threads=threads), {"numpy": lambda _: np.histogram(a, edges)}


def with_ends(edges: np.ndarray) -> np.ndarray:
    """Edges whose first is 0 and last is 1."""
    edges[0], edges[-1] = 0, 1
    return edges


def bincount_row(
    dtype: str, bins: str, cells: int, limit: Any, floor: tuple[float, float] = (0, 0), size: int = 20
) -> Row:
    """`bincount` of uniform keys."""

    def make(n: int) -> Any:
        x = keys(n, cells, dtype)
        return limited(bincounts(x), limit, *((x, cells) if limit is updating else (x,)))

    return Row(f"bincount {dtype}, {bins} bins", make, size * MILLION, {"numpy": floor})


def uneven_row(what: str, edges: np.ndarray, floor: tuple[float, float] = (0, 0)) -> Row:
    """`histogram` of uniform values with given edges."""

    def make(n: int) -> Any:
        a = random_floats(n)
        return limited(uneven(a, edges), storing, a)

    return Row(f"histogram float64, {what}", make, floors={"numpy": floor})


def unique_row(what: str, make_keys: Any, limit: Any, floor: tuple[float, float] = (0, 0), **limits: Any) -> Row:
    """`unique_counts`, and a limit on as many bytes."""

    def make(n: int) -> Any:
        x = make_keys(n)
        return limited(uniques(x), limit, x.view(f"i{x.itemsize}"), *limits.values())

    return Row(f"unique_counts {what}", make, floors={"numpy": floor})


def of_two(calls: Callable[..., Any], limit: Any, x: np.ndarray, y: np.ndarray) -> Any:
    """Calls that read two arrays."""
    return limited(calls(x, y), limit, x, y)


ROWS = [
    bincount_row("uint8", "256", 256, reading, (12, 20) if CPU_CLASS == "AVX512" else (10, 17), 80),
    Row("bincount uint8, one key", one_key, 80 * MILLION, {"uniform keys": (1 / 1.2, 0)}),
    bincount_row("int32", "1024", 1024, storing, (6.5, 11)),
    bincount_row("int64", "1024", 1024, storing, (3, 5)),
    Row(
        "bincount int64, one key",
        lambda n: limited(bincounts(x := np.full(n, 5)), reading, x),
        floors={"numpy": (3.5, 6)},
        enough=1.1,
    ),
    bincount_row("int64", "65 536", 1 << 16, updating, (2.5, 4.2)),
    *(
        bincount_row("int64", f"2^{bits}", 1 << bits, updating, floor)
        for bits, floor in {20: (2.5, 4.5), 22: (0, 0), 24: (1.8, 3.2), 26: (0, 0)}.items()
    ),
    *(
        Row(
            f"bincount with float64 weights, {name} bins",
            lambda n, bins=bins, limit=limit: limited(
                bincounts(x := keys(n, bins), w := random_floats(n, seed=1)), limit, x, w if bins == 1024 else bins
            ),
            floors={"numpy": floor},
        )
        for name, bins, limit, floor in [("1024", 1024, storing, (2.2, 3.8)), ("2^20", 1 << 20, updating, (0, 0))]
    ),
    Row(
        "histogram float64, 100 bins, range given",
        lambda n: limited(histograms(a := random_floats(n), 100), storing, a),
        floors={"numpy": (8, 14), "fast-histogram": (1.25, 2), "boost-histogram": (1.6, 1.6)},
    ),
    Row(
        "histogram float32, 100 bins",
        lambda n: limited(histograms(a := random_floats(n, "float32"), 100), storing, a),
        floors={"numpy": (9, 16)},
    ),
    uneven_row("50 uneven edges", with_ends(np.sort(random_floats(51, seed=3))), (4, 7)),
    uneven_row("50 uneven edges, two of them close", with_ends(np.sort(random_floats(51, seed=100))), (4, 7)),
    uneven_row("50 edges, each a third larger", 1.33 ** np.arange(-50.0, 1), (3.5, 6)),
    Row(
        "histogram float64, 1000 heavy-tailed edges",
        lambda n: uneven((rng := np.random.default_rng(0)).standard_cauchy(n), np.sort(rng.standard_cauchy(1000))),
        200_000,
        {"numpy": (1, 1)},
    ),
    Row(
        "histogram float64, 100 bins, rounded values",
        lambda n: limited(histograms(a := np.round(random_floats(n), 2), 100), storing, a),
    ),
    Row(
        "histogram2d float64, 100 × 100 bins",
        lambda n: of_two(histograms_2d, storing, random_floats(n), random_floats(n, seed=1)),
        5 * MILLION,
        {"numpy": (45, 80), "fast-histogram": (1.6, 2.9)},
    ),
    Row(
        "add_at int64 by int32 index, 1024 cells",
        lambda n: limited(add_ats(np.zeros(1024, np.int64), x := keys(n, 1024, "int32"), 1), storing, x),
        floors={"numpy": (5.5, 10)},
    ),
    Row(
        "add_at float64 by int64 index, 1024 cells",
        lambda n: of_two(partial(add_ats, np.zeros(1024)), storing, keys(n, 1024), random_floats(n)),
        floors={"numpy": (2, 3.5)},
    ),
    unique_row("int64, 256 distinct, side by side", lambda n: keys(n, 256), storing, (5, 9)),
    unique_row("int64, 256 distinct, scattered", lambda n: scattered(n, 256), storing, (5, 9)),
    unique_row("int64, 65 536 distinct, side by side", lambda n: keys(n, 1 << 16), updating, (3.5, 6), bins=1 << 16),
    unique_row("int64, 65 536 distinct, scattered", lambda n: scattered(n, 1 << 16), updating, (3.5, 6), bins=1 << 16),
    unique_row("int64, 8 M distinct, side by side", lambda n: keys(n, 8 * MILLION), updating, (2, 3.5), bins=1 << 23),
    unique_row("int64, 8 M distinct, scattered", lambda n: scattered(n, 8 * MILLION), partitioning, (2, 3.5)),
    unique_row("float64, 256 distinct", lambda n: keys(n, 256) / 7, storing, (1, 1)),
    unique_row("float64, 65 536 distinct", lambda n: keys(n, 1 << 16) / 7, updating, (1, 1), bins=1 << 16),
    unique_row("float32, 65 536 distinct", lambda n: (keys(n, 1 << 16) / 7).astype("f4"), storing, (1, 1)),
    unique_row("datetime64[D], 3650 distinct", lambda n: keys(n, 3650).astype("M8[D]"), storing, (1, 1)),
    Row("increment int64", lambda n: limited(increments(a := np.zeros(n, np.int64)), adding, a)),
    Row(
        "bincount int64, 1024 bins, 60 000 elements",
        lambda n: two_threads(keys(n, 1024)),
        60_000,
        {"one thread": (0, 1)},
    ),
    Row(
        "Bincount, 1024 bins, chunks of 1 M int64, 8 threads",
        lambda n: fed(lambda: pc.Bincount(1024), pc.bincount, keys(n, 1024)),
        floors={"one call": (0.9, 0.9)},
    ),
    Row(
        "Histogram, 100 bins, chunks of 1 M float64, 8 threads",
        lambda n: fed(lambda: pc.Histogram(100, (0, 1)), unit_histogram, random_floats(n)),
        floors={"one call": (0.9, 0.9)},
    ),
    *(row for size in (10, 100, 1000, 10_000, 20_000, 50_000, 100_000) for row in small_rows(size)),
    Row(
        "histogram2d float64, 100 elements",
        lambda n: small(lambda x: pc.histogram2d(x, x), lambda x: np.histogram2d(x, x), random_floats(n)),
        100,
        {"numpy": (1, 0)},
        calls=calls_for(100),
    ),
]


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal up to rounding."""
    if one is None or other is None:  # added in place, several times
        return True
    if isinstance(one, tuple):
        return all(map(same, one, other))
    if np.asarray(one).dtype.kind == "M":
        return bool(np.array_equal(one, other))
    return bool(np.allclose(np.asarray(one), np.asarray(other), rtol=1e-9, atol=0))


def measure(row: Row, rounds: int, order: random.Random) -> dict[str, list[float]]:
    """The seconds of each round, by library and number of threads."""
    ours, peers = row.make(row.size)
    calls: dict[str, Call] = {f"parcount {n}": lambda n=n: ours(n) for n in row.threads}
    for name, peer in peers.items():
        for n in row.threads[:1] if name in ("numpy", "one thread") else row.threads:
            calls[f"{name} {n}"] = lambda n=n, peer=peer: peer(n)
    if "numpy" in peers:
        expected = calls[f"numpy {row.threads[0]}"]()
        if not all(same(calls[f"parcount {n}"](), expected) for n in row.threads):
            raise SystemExit(f"{row.what}: not NumPy's result")
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name in order.sample(list(calls), len(calls)):
            before = perf_counter()
            calls[name]()
            seconds[name].append(perf_counter() - before)
    return seconds


def summary(row: Row, seconds: Mapping[str, list[float]]) -> dict[str, Any]:
    """The ratios of a row, and its times, as plain values."""
    usual = {name: median(times) for name, times in seconds.items()}
    ours = [usual[f"parcount {threads}"] for threads in row.threads]
    peers = []
    limit: dict[str, Any] | None = None
    for name in dict.fromkeys(name.rpartition(" ")[0] for name in usual):
        theirs = [usual.get(f"{name} {threads}", usual[f"{name} {row.threads[0]}"]) for threads in row.threads]
        ns = theirs[0] / row.size / row.calls * 1e9
        if name.startswith("limit: "):
            multiples = [our / its for our, its in zip(ours, theirs, strict=True)]
            limit = {"what": name.removeprefix("limit: "), "ns": ns, "multiples": multiples}
        elif name != "parcount":
            ratios = [its / our for its, our in zip(theirs, ours, strict=True)]
            floors = list(row.floors.get(name, (0, 0)))[: len(ratios)]
            peers.append({"against": name, "ns": ns, "ratios": ratios, "floors": floors})
    enough = [limit is not None and multiple <= row.enough for multiple in (limit["multiples"] if limit else ours)]
    for peer in peers:
        triples = zip(peer["ratios"], peer["floors"], enough, strict=True)
        peer["kept"] = [ratio >= floor or near for ratio, floor, near in triples]
    return {
        "what": row.what,
        "size": row.size,
        "calls": row.calls,
        "threads": row.threads,
        "ns": ours[0] / row.size / row.calls * 1e9,
        "peers": peers,
        "limit": limit,
        "seconds": dict(seconds),
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """A row as text."""
    for which, peer in enumerate(found["peers"]):
        text = f"{'' if which else found['what']:<54}{peer['against']:<16}{peer['ns']:>12.2f}"
        for ratio, floor, kept in zip(peer["ratios"], peer["floors"], peer["kept"], strict=True):
            text += f"{ratio:>9.2f}×" + (f"{floor:>6.2f}" + (" " if kept else "!") if floor else " " * 7)
        yield text
    if limit := found["limit"]:
        multiples = (f"{1 / each:>9.2f}×{1 / ALLOWED:>6.2f}" + "! "[each <= ALLOWED] for each in limit["multiples"])
        yield f"{'':<54}{limit['what']:<16}{limit['ns']:>12.2f}{''.join(multiples)}"


def tables(content: Mapping[str, Any]) -> str:
    """The tables of a saved file in Markdown: calls on large arrays, calls on small ones."""
    large = ["call", "compared with", "ns", "one thread", "two threads", "limit", "× limit, one thread", "two threads"]
    small = ["call", "compared with", "µs", "ratio"]
    left = ["---", "---", "---:"]
    texts = [
        [large, [*left, "---:", "---:", "---", "---:", "---:"]],
        [small, [*left, "---:"]],
    ]
    for found in content["rows"]:
        limit = found["limit"]
        bound = [limit["what"], *(f"{each:.2f}" for each in limit["multiples"])] if limit else ["", "", ""]
        for peer in found["peers"]:
            ratios = [f"{ratio:.2f}×" for ratio in peer["ratios"]]
            if found["calls"] > 1:
                time = f"{peer['ns'] * found['size'] / 1000:.2f}"
                texts[1].append([found["what"], peer["against"], time, *ratios])
            else:
                texts[0].append([found["what"], peer["against"], f"{peer['ns']:.2f}", *ratios, *bound])
                bound = ["", "", ""]
    cpu = f"{content['environment']['cpu']}, {content['cpu_class']}, medians of {content['rounds']} rounds"
    return "\n\n".join([cpu, *("\n".join(f"| {' | '.join(cells)} |" for cells in rows) for rows in texts)])


def main() -> int:
    """Measure, print and save; return 1 if a ratio is too small and that is checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", help="words that a row must contain")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--page", type=Path, nargs="+", help="saved files to print in Markdown, instead of measuring")
    words = parser.parse_args()
    if words.page:
        print("\n\n".join(tables(json.loads(file.read_text())) for file in words.page))
        return 0
    order = random.Random(0)
    found = []
    several = f"{THREADS} threads"
    print(f"{CPU_CLASS:<54}{'against':<16}{'ns/element':>12}{'1 thread':>10}{'floor':>7}{several:>10}{'floor':>7}")
    for row in ROWS:
        if all(word in row.what for word in words.rows):
            found.append(summary(row, measure(row, words.rounds, order)))
            print("\n".join(lines(found[-1])), flush=True)
    if words.json:
        content = {
            "environment": environment(),
            "cpu_class": CPU_CLASS,
            "cpu_features": ENABLED,
            "numpy_features": np.show_config("dicts")["SIMD Extensions"],
            "rounds": words.rounds,
            "rows": found,
        }
        words.json.write_text(json.dumps(content, indent=1) + "\n")
    kept = all(all(peer["kept"]) for row in found for peer in row["peers"])
    return 0 if kept or not words.check else 1


if __name__ == "__main__":
    sys.exit(main())
