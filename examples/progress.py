"""How far the workers of a process pool are, while they are at it: ``python examples/progress.py``.

Counts the prime numbers below a million. A pool tells when a task is done, and no sooner; here each worker adds to a
counter in shared memory as it goes, and to a table of the smallest divisors, and the parent reads both whenever it
likes. Nobody waits for anybody.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor, wait
from math import isqrt

import parcount as pc

OFTEN = 1000
"""Numbers after which a worker says how far it is: to do so costs it less than to try one number."""

MOST = 200
"""A smallest divisor that is greater counts as this one."""


def primes(first: int, last: int, done: pc.SharedCounter, smallest: pc.CounterArray) -> int:
    """How many prime numbers there are from `first` to before `last`."""
    found = 0
    divisors: list[int] = []
    for number in range(first, last):
        divisor = next((divisor for divisor in range(2, isqrt(number) + 1) if number % divisor == 0), number)
        found += divisor == number > 1
        divisors.append(min(divisor, MOST))
        if len(divisors) == OFTEN or number == last - 1:
            smallest.add_at(divisors)
            done.add(len(divisors))
            divisors.clear()
    return found


def main() -> None:
    """Hand out the work, and show how it goes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--below", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=pc.available_cores())
    words = parser.parse_args()
    step = max(1, words.below // (4 * words.workers))
    with pc.SharedCounter() as done, pc.CounterArray(MOST + 1, shared=True) as smallest:
        with ProcessPoolExecutor(words.workers) as pool:
            tasks = [
                pool.submit(primes, first, min(first + step, words.below), done, smallest)
                for first in range(0, words.below, step)
            ]
            running = set(tasks)
            while running:
                _, running = wait(running, timeout=0.2)
                print(f"{done.value:>10} of {words.below} numbers, {done.value / words.below:4.0%}", flush=True)
        print(f"{sum(task.result() for task in tasks)} prime numbers below {words.below}")
        print(f"the smallest divisor is 2 of {smallest[2]}, 3 of {smallest[3]}, 5 of {smallest[5]}")


if __name__ == "__main__":
    main()
