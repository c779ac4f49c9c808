"""Show the progress of a process pool within its tasks: ``python examples/progress.py``.

The program counts the prime numbers below a million. A pool reports a task when it is done; here each worker adds to a
counter and to an array of counters in shared memory while it works, and the parent reads both at any time, without
locks.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor, wait
from math import isqrt

import parcount as pc

BATCH = 1000
"""Numbers after which a worker reports its progress, which costs less than testing one number."""

MAX_DIVISOR = 200
"""Largest divisor that is counted separately; larger ones are counted as this one."""


def primes(first: int, last: int, done: pc.SharedCounter, smallest: pc.CounterArray) -> int:
    """Number of primes from `first` up to but not including `last`."""
    found = 0
    divisors: list[int] = []
    for number in range(first, last):
        divisor = next((divisor for divisor in range(2, isqrt(number) + 1) if number % divisor == 0), number)
        found += divisor == number > 1
        divisors.append(min(divisor, MAX_DIVISOR))
        if len(divisors) == BATCH or number == last - 1:
            smallest.add_at(divisors)
            done.add(len(divisors))
            divisors.clear()
    return found


def main() -> None:
    """Distribute the work and print the progress."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--below", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=pc.available_cores())
    options = parser.parse_args()
    step = max(1, options.below // (4 * options.workers))
    with pc.SharedCounter() as done, pc.CounterArray(MAX_DIVISOR + 1, shared=True) as smallest:
        with ProcessPoolExecutor(options.workers) as pool:
            tasks = [
                pool.submit(primes, first, min(first + step, options.below), done, smallest)
                for first in range(0, options.below, step)
            ]
            running = set(tasks)
            while running:
                _, running = wait(running, timeout=0.2)
                print(f"{done.value:>10} of {options.below} numbers, {done.value / options.below:4.0%}", flush=True)
        print(f"{sum(task.result() for task in tasks)} prime numbers below {options.below}")
        print(f"the smallest divisor is 2 of {smallest[2]}, 3 of {smallest[3]}, 5 of {smallest[5]}")


if __name__ == "__main__":
    main()
