"""The array functions compared with NumPy and other libraries: ``python bench/peers.py``.

Each row times one call of ours with one thread and with two, and its peers, in interleaved and shuffled rounds. The
script prints the ratio of the median times, the peer's to ours, and the smallest ratio that is acceptable. ``--json
FILE`` saves the times; with ``--check`` the exit code is non-zero if a ratio is too small. Results are compared before
anything is timed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import boost_histogram
import fast_histogram
import numpy as np

import parcount as pc
from parcount.execution.pinned_threads import pinned_threads
from parcount.studies.core.environment import environment

Call = Callable[..., Any]
MILLION = 1_000_000
THREADS = 2


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
    """

    what: str
    make: Callable[[int], tuple[Callable[[int | None], Any], dict[str, Callable[[int], Any]]]]
    size: int = 20 * MILLION
    floors: dict[str, tuple[float, float]] = field(default_factory=dict)


def keys(size: int, bins: int, dtype: str = "int64") -> np.ndarray:
    """Uniform keys."""
    return np.random.default_rng(0).integers(0, bins, size).astype(dtype)


def bincounts(x: np.ndarray, weights: np.ndarray | None = None) -> Any:
    """`bincount` of ours and of NumPy."""
    return lambda threads: pc.bincount(x, weights, threads=threads), {"numpy": lambda _: np.bincount(x, weights)}


def with_reading(x: np.ndarray) -> Any:
    """The same, and reading the keys only: the lower bound where memory bandwidth is the limit."""

    def read(threads: int) -> None:
        pinned_threads(threads).map(np.max, np.array_split(x, threads))

    ours, peers = bincounts(x)
    return ours, peers | {"reading alone": read}


def one_key(size: int) -> Any:
    """`bincount` of equal keys; the peer is the same call on uniform keys."""
    uniform, constant = keys(size, 256, "uint8"), np.full(size, 7, np.uint8)
    ours, _ = bincounts(constant)
    return ours, {"uniform keys": lambda threads: pc.bincount(uniform, threads=threads)}


def small(ours: Call, numpys: Call, x: np.ndarray) -> Any:
    """A thousand calls on few elements, with the default number of threads."""

    def thousand(call: Call) -> Any:
        for _ in range(1000):
            result = call(x)
        return result

    return lambda _: thousand(ours), {"numpy": lambda _: thousand(numpys)}


def small_in_place(ours: Call, numpys: Call, indices: np.ndarray) -> Any:
    """The same for calls that add in place at indices."""
    a = np.zeros(len(indices), np.int64)
    return small(lambda x: ours(a, x, 1), lambda x: numpys(a, x, 1), indices)


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


SMALL = {"numpy": (1 / 1.2, 0.0)}

ROWS = [
    Row("bincount uint8, 256 bins", lambda n: bincounts(keys(n, 256, "uint8")), 80 * MILLION, {"numpy": (8, 13)}),
    Row("bincount uint8, one key", one_key, 80 * MILLION, {"uniform keys": (1 / 1.2, 0)}),
    Row("bincount int32, 1024 bins", lambda n: bincounts(keys(n, 1024, "int32")), floors={"numpy": (4.5, 8)}),
    Row("bincount int64, 1024 bins", lambda n: bincounts(keys(n, 1024)), floors={"numpy": (2, 3.5)}),
    Row("bincount int64, one key", lambda n: with_reading(np.full(n, 5)), floors={"numpy": (3.5, 6)}),
    Row("bincount int64, 65 536 bins", lambda n: bincounts(keys(n, 65_536)), floors={"numpy": (1.8, 2.8)}),
    Row("bincount int64, 2^20 bins", lambda n: bincounts(keys(n, 1 << 20)), floors={"numpy": (1.3, 1.8)}),
    Row("bincount int64, 2^24 bins", lambda n: bincounts(keys(n, 1 << 24)), floors={"numpy": (1.2, 1.5)}),
    Row(
        "bincount with float64 weights, 1024 bins",
        lambda n: bincounts(keys(n, 1024), np.random.default_rng(1).random(n)),
        floors={"numpy": (1.5, 2.6)},
    ),
    Row(
        "histogram float64, 100 bins, range given",
        lambda n: histograms(random_floats(n), 100),
        floors={"numpy": (6, 10), "fast-histogram": (1.25, 2), "boost-histogram": (1.6, 1.6)},
    ),
    Row(
        "histogram float32, 100 bins", lambda n: histograms(random_floats(n, "float32"), 100), floors={"numpy": (6, 10)}
    ),
    Row(
        "histogram float64, 50 uneven edges",
        lambda n: uneven(random_floats(n), np.sort(random_floats(51, seed=3))),
        floors={"numpy": (3, 5)},
    ),
    Row(
        "histogram float64, 50 edges, each a third larger",
        lambda n: uneven(random_floats(n), 1.33 ** np.arange(-50.0, 1)),
    ),
    Row(
        "histogram float64, 100 bins, rounded values",
        lambda n: histograms(np.round(random_floats(n), 2), 100),
    ),
    Row(
        "histogram2d float64, 100 × 100 bins",
        lambda n: histograms_2d(random_floats(n), random_floats(n, seed=1)),
        5 * MILLION,
        {"numpy": (15, 25), "fast-histogram": (1.1, 1.8)},
    ),
    Row(
        "add_at int64 by int32 index, 1024 cells",
        lambda n: add_ats(np.zeros(1024, np.int64), keys(n, 1024, "int32"), 1),
        floors={"numpy": (2, 3.5)},
    ),
    Row(
        "add_at float64 by int64 index, 1024 cells",
        lambda n: add_ats(np.zeros(1024), keys(n, 1024), random_floats(n)),
    ),
    *(
        Row(f"unique_counts int64, {how_many} distinct, {where}", made, floors={"numpy": floors})
        for how_many, distinct, floors in [
            ("256", 256, (2, 3)),
            ("65 536", 65_536, (2, 3.5)),
            ("8 M", 8 * MILLION, (1.2, 1.8)),
        ]
        for where, made in [
            ("side by side", lambda n, d=distinct: uniques(keys(n, d))),
            ("scattered", lambda n, d=distinct: uniques(scattered(n, d))),
        ]
    ),
    Row("increment int64", lambda n: increments(np.zeros(n, np.int64))),
    Row("bincount int64, 100 keys", lambda n: small(pc.bincount, np.bincount, keys(n, 10)), 100, SMALL),
    Row("unique_counts int64, 100 keys", lambda n: small(pc.unique_counts, np.unique_counts, keys(n, 10)), 100, SMALL),
    Row("histogram float64, 100 values", lambda n: small(pc.histogram, np.histogram, random_floats(n)), 100, SMALL),
    Row("add_at int64, 100 indices", lambda n: small_in_place(pc.add_at, np.add.at, np.arange(n)), 100, SMALL),
    Row(
        "increment int64, 100 cells",
        lambda n: small(pc.increment, lambda x: np.add(x, 1, out=x), keys(n, 9)),
        100,
        SMALL,
    ),
    Row(
        "histogram2d float64, 100 points",
        lambda n: small(lambda x: pc.histogram2d(x, x), lambda x: np.histogram2d(x, x), random_floats(n)),
        100,
        SMALL,
    ),
]


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal up to rounding."""
    if one is None or other is None:  # added in place, several times
        return True
    if isinstance(one, tuple):
        return all(map(same, one, other))
    return bool(np.allclose(np.asarray(one), np.asarray(other), rtol=1e-9, atol=0))


def measure(row: Row, rounds: int, order: random.Random) -> dict[str, list[float]]:
    """The seconds of each round, by library and number of threads."""
    ours, peers = row.make(row.size)
    calls: dict[str, Call] = {f"parcount {n}": lambda n=n: ours(n) for n in (1, THREADS)}
    for name, peer in peers.items():
        calls |= {f"{name} {n}": lambda n=n, peer=peer: peer(n) for n in (1, THREADS)}
    if "numpy" in peers:
        calls.pop(f"numpy {THREADS}")
        if not (same(calls["parcount 1"](), calls["numpy 1"]()) and same(calls["parcount 2"](), calls["numpy 1"]())):
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


def main() -> int:
    """Measure, print and save; return 1 if a ratio is too small and that is checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", help="words that a row must contain")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    words = parser.parse_args()
    order = random.Random(0)
    kept = True
    found = []
    several = f"{THREADS} threads"
    print(f"{'':<54}{'against':<16}{'ns/element':>12}{'1 thread':>10}{'floor':>7}{several:>11}{'floor':>7}")
    for row in ROWS:
        if not all(word in row.what for word in words.rows):
            continue
        seconds = measure(row, words.rounds, order)
        usual = {name: median(times) for name, times in seconds.items()}
        peers = dict.fromkeys(name.rpartition(" ")[0] for name in usual if not name.startswith("parcount"))
        for number, peer in enumerate(peers):
            floors = row.floors.get(peer, (0, 0))
            text = f"{row.what if number == 0 else '':<54}{peer:<16}"
            ratios = []
            for threads, floor in zip((1, THREADS), floors, strict=True):
                its = usual.get(f"{peer} {threads}", usual[f"{peer} 1"])
                ratio = its / usual[f"parcount {threads}"]
                ratios.append(ratio)
                if threads == 1:
                    text += f"{its / row.size * 1e9:>12.2f}"
                kept &= ratio >= floor
                text += f"{ratio:>9.2f}×" + (f"{floor:>6.2f}" + ("!" if ratio < floor else " ") if floor else " " * 7)
            print(text, flush=True)
            found.append({"what": row.what, "against": peer, "size": row.size, "ratios": ratios, "floors": floors})
        found[-1]["seconds"] = seconds
    if words.json:
        words.json.write_text(json.dumps({"environment": environment(), "rows": found}, indent=1) + "\n")
    return 0 if kept or not words.check else 1


if __name__ == "__main__":
    sys.exit(main())
