"""Executions in asyncio programs."""

import asyncio
import operator
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

import parcount as pc
from tests import plain, remote
from tests.execution.executions import ALL, Make, cells
from tests.plain import until
from tests.remote import TIME_LIMIT

pytestmark = pytest.mark.timeout(60)


# Cancellation kills workers, and the dispatcher's thread cannot fork others.
REPLACED = [param for param in ALL if param.id != "processes-fork"]


@pytest.fixture(scope="module", params=REPLACED)
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


@pytest.fixture(scope="module")
def pool(make: Make) -> Iterator[pc.Execution]:
    with make(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def processes() -> Iterator[pc.Processes]:
    with pc.Processes(2) as pool:
        yield pool


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(main(), TIME_LIMIT))


class TestRun:
    def test_a_result(self, pool: pc.Execution) -> None:
        async def main() -> Any:
            calls = (pc.run(plain.collect, i, function=i, on=pool) for i in range(5))
            return await asyncio.gather(*calls)

        assert run(main) == [((i,), {"function": i}) for i in range(5)]

    def test_an_exception(self, pool: pc.Execution) -> None:
        with pytest.raises(ValueError, match="3 is odd"):
            run(lambda: pc.run(plain.fail_on_odd, 3, on=pool))
        with pytest.raises(TypeError, match="the function must be callable, not 3"):
            run(lambda: pc.run(3, on=pool))
        with pytest.raises(TypeError, match=r"on= takes an execution such as Threads\(2\), not 2"):
            run(lambda: pc.run(abs, 3, on=2))

    def test_outside_a_block(self) -> None:
        for execution in (pc.Serial(), pc.Threads(2), pc.Processes(1)):
            assert run(lambda execution=execution: pc.run(operator.neg, 3, on=execution)) == -3
            assert not execution._entered
            with pytest.raises(ValueError, match="3 is odd"):
                run(lambda execution=execution: pc.run(plain.fail_on_odd, 3, on=execution))
            assert not execution._entered

    def test_the_event_loop_goes_on(self, processes: pc.Processes) -> None:
        gate = pc.shared_array(1)

        async def main() -> int:
            call = asyncio.create_task(pc.run(plain.wait_for, gate, 0, on=processes))
            await asyncio.sleep(0)
            gate[0] = 1  # the call does not end before the event loop has come here
            return await call

        assert run(main) == 0


class TestCancellation:
    def test_a_process_ends(self, processes: pc.Processes) -> None:
        gate = pc.shared_array(2)
        begun = pc.shared_array(2)

        async def main() -> None:
            call = asyncio.create_task(pc.run(remote.begin_and_wait, begun, gate, 0, on=processes))
            other = asyncio.create_task(pc.run(remote.begin_and_wait, begun, gate, 1, on=processes))
            while not begun.all():
                await asyncio.sleep(0.001)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            gate[1] = 1
            assert await other == 1

        run(main)
        assert processes.map(abs, [-1]) == [1]
        assert begun.tolist() == [1, 1]

    def test_its_process_is_replaced(self) -> None:
        begun, gate = pc.shared_array(1), pc.shared_array(1)
        with pc.Processes(1, retries=0) as pool:
            (before,) = pool.pids()

            async def main() -> int:
                call = asyncio.create_task(pc.run(remote.begin_and_wait, begun, gate, 0, on=pool))
                while not begun.all():
                    await asyncio.sleep(0.001)
                call.cancel()
                return await pc.run(os.getpid, on=pool)

            assert run(main) != before
            until(lambda: not remote.is_alive(before), "the cancelled call still runs")

    def test_a_time_limit(self, processes: pc.Processes) -> None:
        async def main() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await pc.run(remote.hang, 0, on=processes)
            assert await pc.run(abs, -1, on=processes) == 1

        run(main)

    def test_a_compiled_loop_in_a_thread_ends(self) -> None:
        async def main() -> None:
            with pc.Threads(1) as threads:
                call = asyncio.create_task(pc.run(pc.tally, 1 << 50, threads=1, on=threads))
                await asyncio.sleep(0.05)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call

        run(main)

    def test_while_workers_start(self) -> None:
        execution = pc.Processes(1, initializer=remote.hang_briefly)

        async def main() -> None:
            call = asyncio.create_task(pc.run(abs, -1, on=execution))
            await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

        run(main)
        assert not execution._entered
        assert execution.pids() == []


async def results(results: AsyncIterator[Any]) -> list[Any]:
    return [result async for result in results]


async def numbers(stop: int, fail: bool = False) -> AsyncIterator[int]:
    for number in range(stop):
        await asyncio.sleep(0)
        yield number
    if fail:
        raise LookupError("the iterable failed")


class TestAmap:
    def test_in_order(self, pool: pc.Execution) -> None:
        assert run(lambda: results(pool.amap(operator.neg, range(30)))) == [-i for i in range(30)]
        assert run(lambda: results(pool.amap(operator.neg, numbers(30)))) == [-i for i in range(30)]
        assert run(lambda: results(pool.amap(operator.neg, []))) == []

    @pytest.mark.parametrize("fail", ["function", "iterable"])
    def test_an_exception_comes_in_its_place(self, pool: pc.Execution, fail: str) -> None:
        async def main() -> list[int]:
            got: list[int] = []
            source = numbers(4, fail=True) if fail == "iterable" else numbers(10)
            function = operator.neg if fail == "iterable" else plain.FailOn(4)
            with pytest.raises(LookupError, match=f"the {fail} failed"):  # noqa: PT012 - and what comes before it
                async for result in pool.amap(function, source):
                    got.append(abs(result))  # noqa: PERF401
            return got

        assert run(main) == [0, 1, 2, 3]

    def test_an_exception_does_not_wait_for_the_iterable(self, pool: pc.Execution) -> None:
        async def source() -> AsyncIterator[int]:
            yield 4
            await asyncio.Event().wait()

        with pytest.raises(LookupError, match="the function failed"):
            run(lambda: results(pool.amap(plain.FailOn(4), source())))

    def test_an_infinite_iterable_is_taken_a_little_ahead(self, pool: pc.Execution) -> None:
        taken = 0

        async def source() -> AsyncIterator[int]:
            nonlocal taken
            while True:
                taken += 1
                yield taken

        async def main() -> list[int]:
            got = []
            stream = pool.amap(operator.neg, source())
            async for result in stream:
                got.append(result)
                if len(got) == 10:
                    break
            await stream.aclose()
            return got

        assert run(main) == [-i for i in range(1, 11)]
        assert taken <= 10 + 2 * pool.concurrency + 1

    def test_a_result_does_not_wait_for_the_next_item(self, pool: pc.Execution) -> None:
        async def main() -> None:
            go = asyncio.Event()

            async def source() -> AsyncIterator[int]:
                yield 1
                await go.wait()
                yield 2

            got = []
            async for result in pool.amap(operator.neg, source()):
                got.append(result)
                go.set()
            assert got == [-1, -2]

        run(main)

    def test_closing_ends_the_items(self, make: Make) -> None:
        with make(2) as pool:
            gate = cells(pool, 10)
            for cell in range(10):
                gate[cell] = cell == 0 or not pool.pids()

            async def main() -> None:
                stream = pool.amap(plain.WaitFor(gate), range(10))
                assert await anext(stream) == 0
                await stream.aclose()
                assert await pc.run(abs, -1, on=pool) == 1

            run(main)

    def test_outside_a_block(self) -> None:
        execution = pc.Processes(2)
        assert run(lambda: results(execution.amap(operator.neg, range(5)))) == [0, -1, -2, -3, -4]
        assert not execution._entered
        with pytest.raises(TypeError, match="the function must be callable"):
            execution.amap(None, [1])

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to kill a process with")
    def test_killed_workers(self, processes: pc.Processes) -> None:
        async def main() -> list[int]:
            got = []
            async for result in processes.amap(operator.neg, range(100)):
                got.append(result)
                if result % 10 == 0:
                    os.kill(processes.pids()[0], signal.SIGKILL)
            return got

        assert run(main) == [-i for i in range(100)]
