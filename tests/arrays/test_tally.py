"""`tally`."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount.engine.threads import DEFAULT_GRAIN
from parcount.kernels import TallyJob
from tests.remote import TIME_LIMIT

seeds = st.integers(0, (1 << 64) - 1)
powers_of_two = st.integers(0, 12).map(lambda exponent: 1 << exponent)


class TestTally:
    @given(st.integers(0, 5000), seeds, powers_of_two)
    def test_is_exact(self, n: int, seed: int, bins: int) -> None:
        counts = pc.tally(n, seed=seed, bins=bins)
        assert np.array_equal(counts, TallyJob(n, seed, bins).exact())
        assert counts.dtype == np.int64
        assert counts.shape == (bins,)

    @given(st.integers(0, 5000), seeds, powers_of_two, st.integers(1, 9))
    def test_threads_do_not_show(self, n: int, seed: int, bins: int, threads: int) -> None:
        exact = TallyJob(n, seed, bins).exact()
        assert np.array_equal(pc.tally(n, seed=seed, bins=bins, threads=threads), exact)
        assert np.array_equal(pc.tally(n, seed=seed, bins=bins, on=pc.Threads(threads)), exact)

    @pytest.mark.parametrize("on", [pc.Serial(), pc.Threads(2), pc.Processes(2)], ids=lambda on: on.name)
    def test_executions_do_not_show(self, on: pc.Execution) -> None:
        assert np.array_equal(pc.tally(100_000, seed=3, on=on), pc.tally(100_000, seed=3, threads=1))

    @pytest.mark.usefixtures("finest_grain")
    def test_the_finest_grain_does_not_show(self) -> None:
        for n in range(20):
            assert np.array_equal(pc.tally(n, bins=4), TallyJob(n, bins=4).exact())

    def test_many_increments_on_all_cores(self) -> None:
        n = 8 * DEFAULT_GRAIN + 1
        counts = pc.tally(n, seed=1)
        assert np.array_equal(counts, TallyJob(n, 1).exact())
        assert counts.sum() == n

    def test_defaults(self) -> None:
        assert np.array_equal(pc.tally(1000), pc.tally(1000, seed=0, bins=256))

    def test_takes_numpys_integers(self) -> None:
        counts = pc.tally(np.int32(1000), seed=np.uint8(3), bins=np.uint16(16))  # type: ignore[arg-type]
        assert np.array_equal(counts, pc.tally(1000, seed=3, bins=16))

    def test_results_are_the_callers_own(self) -> None:
        first = pc.tally(1000)
        first += 1
        assert pc.tally(1000).sum() == 1000

    def test_many_threads_of_the_callers_own(self) -> None:
        barrier = threading.Barrier(8)
        exact = TallyJob(20_000, 5).exact()
        right: list[bool] = []

        def work() -> None:
            barrier.wait(TIME_LIMIT)
            right.extend(np.array_equal(pc.tally(20_000, seed=5, threads=2), exact) for _ in range(50))

        callers = [threading.Thread(target=work) for _ in range(8)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(TIME_LIMIT)
            assert not caller.is_alive()
        assert right == [True] * 8 * 50

    @pytest.mark.parametrize("n", [-1, 1 << 63])
    def test_n_out_of_range(self, n: int) -> None:
        with pytest.raises(ValueError, match=rf"n must be from 0 to 2\*\*63 - 1, not {n}"):
            pc.tally(n)

    @pytest.mark.parametrize("seed", [-1, 1 << 64])
    def test_seed_out_of_range(self, seed: int) -> None:
        with pytest.raises(ValueError, match=rf"seed must be from 0 to 2\*\*64 - 1, not {seed}"):
            pc.tally(1, seed=seed)

    @pytest.mark.parametrize("bins", [0, -4, 3, 1000])
    def test_bins_that_are_no_power_of_two(self, bins: int) -> None:
        with pytest.raises(ValueError, match=f"bins must be a power of two, not {bins}"):
            pc.tally(1, bins=bins)

    @pytest.mark.parametrize("arguments", [{"n": 1.0}, {"n": "1"}, {"n": 1, "seed": 0.5}, {"n": 1, "bins": 4.0}])
    def test_no_integers(self, arguments: dict[str, int]) -> None:
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            pc.tally(**arguments)

    def test_both_threads_and_on(self) -> None:
        with pytest.raises(ValueError, match="give one of the two"):
            pc.tally(1, threads=2, on=pc.Serial())
