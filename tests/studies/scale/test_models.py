from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from parcount.studies.scale.models import AMDAHL, NEITHER, USL, Fit, Interval, NoFit, fit

pytest.importorskip("scipy")

# Data of R's package usl 3.0.3, there from Gunther, Guerrilla Capacity Planning, 2007.
RAYTRACER = (
    [1, 4, 8, 12, 16, 20, 24, 28, 32, 48, 64],
    [20.0, 78.0, 130.0, 170.0, 190.0, 200.0, 210.0, 230.0, 260.0, 280.0, 310.0],
)
SPECSDM91 = ([1, 18, 36, 72, 108, 144, 216], [64.9, 995.9, 1652.4, 1853.2, 1828.9, 1775.0, 1702.2])

COUNTS = [1, 2, 4, 6, 8, 12, 16]
CALLS = 25


def singles(data: tuple[list[int], list[float]], **options: object) -> Fit:
    workers, throughputs = data
    found = fit(workers, [[value] for value in throughputs], **options)
    assert isinstance(found, Fit)
    return found


def by_law(workers: object, one: float, sigma: float, kappa: float = 0.0) -> NDArray[np.float64]:
    counts = np.asarray(workers, np.float64)
    return one * counts / (1 + sigma * (counts - 1) + kappa * counts * (counts - 1))


def measure(
    expected: NDArray[np.float64], rounds: int, seed: int, noise: float = 0.1, drift: float = 0.02
) -> list[list[float]]:
    """Measure on a virtual clock: each sample is calls of random length, and each round has a clock frequency."""
    random = np.random.default_rng(seed)
    frequencies = np.exp(drift * random.standard_normal(rounds))
    lengths = np.exp(noise * random.standard_normal((expected.size, rounds, CALLS)))
    elapsed = lengths.mean(axis=2) / math.exp(noise**2 / 2) * CALLS / expected[:, None] / frequencies
    return (CALLS / elapsed).tolist()


def holds(interval: Interval | None, value: float) -> bool:
    return interval is not None and interval.low <= value <= (math.inf if interval.high is None else interval.high)


def standard_error(interval: Interval, t: float) -> float:
    return (interval.high - interval.low) / 2 / t


def test_raytracer_has_the_coefficients_published_with_r() -> None:
    law = singles(RAYTRACER, noise="constant").usl
    assert law.sigma.value == pytest.approx(0.0578, abs=5e-5)
    assert law.kappa.value == pytest.approx(0.0, abs=5e-5)
    assert law.throughput.value == pytest.approx(21.8488, abs=5e-5)
    first = tuple(column[:6] for column in RAYTRACER)
    law = singles(first, noise="constant").usl
    assert law.sigma.value == pytest.approx(0.02444, abs=5e-6)
    assert law.kappa.value == pytest.approx(0.00163, abs=5e-6)
    assert law.throughput.value == pytest.approx(20.85605, abs=5e-6)


def test_specsdm91_has_the_coefficients_and_standard_errors_published_with_r() -> None:
    law = singles(SPECSDM91, noise="constant").usl
    assert law.sigma.value == pytest.approx(0.0277285, rel=1e-5)
    assert law.kappa.value == pytest.approx(0.0001044, abs=5e-8)
    assert law.throughput.value == pytest.approx(89.9952330, rel=1e-5)
    assert law.residual == pytest.approx(82.85, abs=5e-3)
    t = 2.7764  # four degrees of freedom
    assert standard_error(law.sigma, t) == pytest.approx(9.122e-3, rel=0.1)
    assert standard_error(law.kappa, t) == pytest.approx(1.988e-5, rel=0.1)
    assert standard_error(law.throughput, t) == pytest.approx(14.21, rel=0.1)


def test_the_peak_of_specsdm91_is_the_one_published_with_r() -> None:
    # AICc does not choose the USL for seven single samples; three rounds with the same means support it.
    workers, throughputs = SPECSDM91
    found = fit(workers, [[value - 60, value, value + 60] for value in throughputs], noise="constant")
    assert found.law == USL
    assert found.peak.workers.value == pytest.approx(96.52, abs=0.01)
    assert found.peak.throughput.value == pytest.approx(1884, abs=1)
    assert not found.peak.extrapolated


@pytest.mark.parametrize("counts", [[], [1], [1, 2, 3, 4]])
def test_fewer_than_five_worker_counts_are_refused(counts: list[int]) -> None:
    found = fit(counts, [[1.0 * count] * 9 for count in counts])
    assert found == NoFit(f"it takes five different numbers of workers, and {len(counts)} were measured")
    assert len(found.sentences()) == 1


def test_a_count_without_samples_does_not_count() -> None:
    samples = measure(by_law([1, 2, 3, 4, 5], 10, 0.1), 4, 0)
    samples[2] = [math.nan] * 4
    assert isinstance(fit([1, 2, 3, 4, 5], samples), NoFit)
    found = fit([1, 2, 3, 4, 5, 6], [*samples, [30.0, math.nan, 31.0, 30.5]])
    assert isinstance(found, Fit)
    assert found.samples == 4 * 4 + 3


@pytest.mark.parametrize(
    ("workers", "samples"),
    [
        ([1, 2], [[1.0]]),
        ([1, 2], [[1.0], [1.0, 2.0]]),
        ([1, 1], [[1.0], [1.0]]),
        ([0, 1], [[1.0], [1.0]]),
        ([1, 2], [[1.0], [0.0]]),
        ([1, 2], [[1.0], [math.inf]]),
    ],
)
def test_wrong_input_is_an_error(workers: list[int], samples: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=r"numbers? of workers|throughputs"):
        fit(workers, samples)


def covered(sigma: float, kappa: float, rounds: int, repeats: int, noise: float = 0.1) -> dict[str, float]:
    """Return how often each interval of the true law contains the planted value."""
    expected = by_law(COUNTS, 50.0, sigma, kappa)
    hits = {"throughput": 0, "sigma": 0} | ({"kappa": 0} if kappa else {})
    planted = {"throughput": 50.0, "sigma": sigma, "kappa": kappa}
    for seed in range(1000, 1000 + repeats):
        found = fit(COUNTS, measure(expected, rounds, seed, noise), seed=seed)
        law = found.usl if kappa else found.amdahl
        for name in hits:
            hits[name] += holds(getattr(law, name), planted[name])
    return {name: hit / repeats for name, hit in hits.items()}


@pytest.mark.parametrize("kappa", [pytest.param(0.0, marks=pytest.mark.slow), 0.004])
def test_planted_parameters_are_inside_the_intervals_in_93_of_100(kappa: float) -> None:
    assert min(covered(0.08, kappa, 5, 100).values()) >= 0.93


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("sigma", "kappa", "rounds"), [(0.0, 0.0, 3), (0.3, 0.0, 8), (1.0, 0.0, 3), (0.02, 0.002, 8), (0.1, 0.02, 3)]
)
def test_planted_parameters_are_inside_the_intervals_for_other_rounds_and_laws(
    sigma: float, kappa: float, rounds: int
) -> None:
    assert min(covered(sigma, kappa, rounds, 400).values()) >= 0.93


@pytest.mark.parametrize(
    ("expected", "law"),
    [
        (by_law(COUNTS, 50.0, 0.1), AMDAHL),
        (by_law(COUNTS, 50.0, 0.0), AMDAHL),
        (by_law(COUNTS, 50.0, 1.0), AMDAHL),
        (by_law(COUNTS, 50.0, 0.05, 0.005), USL),
        (by_law(COUNTS, 50.0, 0.0, 0.01), USL),
        (50.0 * np.minimum(COUNTS, 6), NEITHER),
        (50.0 * np.array([1.0, 1.0, 3.0, 3.0, 7.0, 7.0, 9.0]), NEITHER),
    ],
)
def test_the_planted_law_is_chosen(expected: NDArray[np.float64], law: str) -> None:
    chosen = [fit(COUNTS, measure(expected, 6, seed)).law for seed in range(10)]
    assert chosen.count(law) >= 9


@pytest.mark.parametrize("law", [AMDAHL, USL])
@pytest.mark.parametrize("noise", ["relative", "constant"])
def test_throughputs_without_noise_are_fitted_exactly(law: str, noise: str) -> None:
    kappa = 0.003 if law == USL else 0.0
    throughputs = by_law(COUNTS, 7.0, 0.05, kappa)
    for rounds in (1, 4):
        found = fit(COUNTS, [[value] * rounds for value in throughputs], noise=noise)
        assert found.law == law
        fitted = found.usl if law == USL else found.amdahl
        assert fitted.throughput.value == pytest.approx(7.0)
        assert fitted.sigma.value == pytest.approx(0.05)
        assert found.usl.kappa.value == pytest.approx(kappa, abs=1e-6)


def test_aicc_counts_the_variance_and_the_factors_of_rounds() -> None:
    data = SPECSDM91
    found = singles(data, noise="constant")
    # The residual standard deviation has n - p degrees of freedom, so n - p times its square is the sum of squares.
    for law, parameters in ((found.amdahl, 2), (found.usl, 3)):
        n, k = 7, parameters + 1
        squares = law.residual**2 * (n - parameters)
        other, others = (found.usl, 3) if law is found.amdahl else (found.amdahl, 2)
        n_other = other.residual**2 * (n - others)
        difference = n * math.log(squares / n_other) + penalty(n, k) - penalty(n, others + 1)
        assert found.aicc[law.name] - found.aicc[other.name] == pytest.approx(difference)
    rounds = 4
    found = fit(COUNTS, measure(by_law(COUNTS, 50.0, 0.1, 0.004), rounds, 1))
    n = rounds * len(COUNTS)
    squares = {
        law.name: law.residual**2 * (n - (rounds - 1) - parameters)
        for law, parameters in ((found.amdahl, 2), (found.usl, 3))
    }
    for name, parameters in ((AMDAHL, 2), (USL, 3)):
        expected = n * math.log(squares[name] / n) + penalty(n, parameters + rounds - 1 + 1)
        assert found.aicc[name] == pytest.approx(expected)


def penalty(samples: int, parameters: int) -> float:
    return 2 * parameters + 2 * parameters * (parameters + 1) / (samples - parameters - 1)


def test_five_single_samples_are_too_few_for_the_usl() -> None:
    found = singles(([1, 2, 3, 4, 5], by_law([1, 2, 3, 4, 5], 10.0, 0.2, 0.0).tolist()))
    assert found.aicc[USL] is None
    assert found.law == AMDAHL
    assert any("5 samples are too few" in sentence for sentence in found.sentences())


@pytest.mark.parametrize("rounds", [1, 2, 6])
def test_superlinear_throughput_is_flagged_and_follows_neither_law(rounds: int) -> None:
    expected = 50.0 * np.array(COUNTS, np.float64) ** 1.2
    found = fit(COUNTS, measure(expected, rounds, 3, 0.02))
    assert found.law == NEITHER
    assert {one.workers for one in found.superlinear} >= {8, 12, 16}
    assert all(one.ratio.low > 1 and one.fewest == 1 for one in found.superlinear)
    assert (found.curve, found.peak) == ([], None)
    assert found.amdahl.sigma.value == pytest.approx(0.0, abs=1e-6)
    assert found.sentences()[0].startswith("Throughput is superlinear: with 1")


def test_a_superlinear_step_is_flagged_where_it_is() -> None:
    expected = by_law(COUNTS, 50.0, 0.1)
    expected[1] = 2 * 50.0 * 1.15
    found = fit(COUNTS, measure(expected, 6, 5, 0.05))
    assert [one.workers for one in found.superlinear] == [2]
    assert holds(found.superlinear[0].ratio, 1.15)


def test_linear_throughput_is_rarely_flagged_as_superlinear() -> None:
    expected = by_law(COUNTS, 50.0, 0.0)
    assert sum(bool(fit(COUNTS, measure(expected, 5, seed)).superlinear) for seed in range(20)) <= 2


def test_no_peak_is_reported_if_kappa_may_be_zero() -> None:
    # Few single samples for which R's package usl printed a peak, although its coefficients were not significant.
    found = singles(([1, 2, 4, 8, 12, 16], [60.0, 120.0, 220.0, 400.0, 440.0, 490.0]), noise="constant")
    assert found.usl.kappa.value > 0
    assert found.usl.kappa.low == 0
    assert found.peak is None
    assert found.curve[-1].workers == 32


def test_a_peak_beyond_twice_the_most_workers_is_not_reported() -> None:
    near, far = by_law(COUNTS, 50.0, 0.0, 1 / 24**2), by_law(COUNTS, 50.0, 0.0, 1 / 40**2)
    found = fit(COUNTS, measure(near, 8, 0, 0.01))
    assert found.law == USL
    assert found.peak.extrapolated
    assert holds(found.peak.workers, 24.0)
    assert holds(found.peak.throughput, float(by_law(24, 50.0, 0.0, 1 / 24**2)))
    assert "extrapolated" in found.sentences()[-1]
    found = fit(COUNTS, measure(far, 8, 0, 0.01))
    assert found.law == USL
    assert found.peak is None
    assert found.sentences()[-1].startswith("No peak was found")


def test_throughput_that_falls_from_the_start_has_its_peak_at_one_worker() -> None:
    found = fit(COUNTS, measure(by_law(COUNTS, 50.0, 1.0, 0.05), 6, 0, 0.02))
    assert found.law == USL
    assert found.peak.workers.value == 1
    assert found.peak.speedup.value == pytest.approx(1.0)


def test_the_curve_goes_up_to_twice_the_most_workers_and_marks_what_is_extrapolated() -> None:
    found = fit(COUNTS, measure(by_law(COUNTS, 50.0, 0.1), 6, 0))
    workers = [one.workers for one in found.curve]
    assert workers == sorted({*workers} | {*COUNTS})
    assert (workers[0], workers[-1]) == (1, 32)
    assert [one.extrapolated for one in found.curve] == [count > 16 for count in workers]
    for one in found.curve:
        assert holds(one.throughput, float(by_law(one.workers, 50.0, 0.1)))
        assert 1 <= one.speedup.low <= one.speedup.value <= one.speedup.high <= one.workers
    assert len(fit(RAYTRACER[0], [[value] for value in RAYTRACER[1]]).curve) <= 32 + 11


def test_intervals_are_within_the_bounds_of_the_laws() -> None:
    for sigma, kappa in ((0.0, 0.0), (1.0, 0.0), (1.0, 0.1), (0.0, 0.1)):
        found = fit(COUNTS, measure(by_law(COUNTS, 50.0, sigma, kappa), 4, 2, 0.3))
        for law in (found.amdahl, found.usl):
            assert 0 <= law.sigma.low <= law.sigma.value <= law.sigma.high <= 1
            assert 0 < law.throughput.low <= law.throughput.value <= law.throughput.high
        assert 0 <= found.usl.kappa.low <= found.usl.kappa.value <= found.usl.kappa.high


def test_missing_samples_hardly_move_the_fit() -> None:
    samples = np.array(measure(by_law(COUNTS, 50.0, 0.05, 0.005), 8, 4, drift=0.3))
    whole = fit(COUNTS, samples.tolist())
    samples[np.random.default_rng(0).random(samples.shape) < 0.2] = np.nan
    found = fit(COUNTS, samples.tolist())
    assert found.law == whole.law == USL
    assert found.usl.sigma.value == pytest.approx(whole.usl.sigma.value, abs=0.02)
    assert holds(found.usl.sigma, 0.05)
    assert holds(found.usl.kappa, 0.005)


@pytest.mark.parametrize("rounds", [1, 2, 3, 5])
@pytest.mark.parametrize("noise", ["relative", "constant"])
def test_throughputs_without_any_shape_have_finite_estimates(rounds: int, noise: str) -> None:
    for seed in range(3):
        random = np.random.default_rng(seed)
        samples = 1e6 * np.exp(2 * random.standard_normal((len(COUNTS), rounds)))
        samples[random.random(samples.shape) < 0.1] = np.nan
        found = fit(COUNTS, samples.tolist(), noise=noise)
        plain = asdict(found)
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain
        assert all(found.sentences())


def test_the_result_is_plain_values() -> None:
    for kappa in (0.0, 0.005):
        found = fit(COUNTS, measure(by_law(COUNTS, 50.0, 0.05, kappa), 5, 0))
        plain = asdict(found)
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_sentences() -> None:
    found = fit(COUNTS, measure(by_law(COUNTS, 50.0, 0.125), 6, 0))
    sigma = Interval(0.125, 0.1, 0.2)
    found = replace(found, amdahl=replace(found.amdahl, sigma=sigma))
    law, more = found.sentences()
    assert law == (
        "Throughput follows Amdahl's law with a serial part of 12 % [10–20], which limits it to 8 [5–10] times that of "
        "one worker."
    )
    assert more.startswith("Extrapolated to 32 workers it is ")
    found = fit(COUNTS, measure(by_law(COUNTS, 50.0, 0.05, 0.005), 6, 0))
    law, more = found.sentences()
    assert law.startswith("Throughput follows the universal scalability law with a contention of ")
    assert more.startswith("It is highest with 14 [13–")
    assert str(Interval(1.0, 0.5, None)) == "1 [0.5–]"
    found = fit(COUNTS, measure(by_law(COUNTS, 50.0, 0.0), 6, 1))
    assert found.sentences()[0].startswith("Throughput follows Amdahl's law with a serial part of 0 % [0–")


ROUNDS = st.integers(0, 2**32 - 1)


@given(ROUNDS, st.floats(1e-9, 1e9), st.permutations(range(len(COUNTS))))
@settings(max_examples=8, deadline=None)
def test_units_scale_the_throughput_only_and_order_does_not_matter(seed: int, factor: float, order: list[int]) -> None:
    random = np.random.default_rng(seed)
    expected = by_law(COUNTS, 50.0, random.random() / 2, random.random() / 50)
    samples = measure(expected, 3, seed)
    found = fit(COUNTS, samples)
    assert fit([COUNTS[index] for index in order], [samples[index] for index in order]) == found
    other = fit(COUNTS, [[factor * value for value in row] for row in samples])
    assert other.law == found.law
    for one, same in ((found.amdahl, other.amdahl), (found.usl, other.usl)):
        for name, scale in (("throughput", factor), ("sigma", 1.0), ("kappa", 1.0)):
            for end in ("value", "low", "high"):
                before, after = (getattr(getattr(law, name), end, None) for law in (one, same))
                assert (before is None and after is None) or after == pytest.approx(scale * before, rel=1e-3, abs=1e-5)


def test_equal_data_and_seeds_give_equal_intervals() -> None:
    samples = measure(by_law(COUNTS, 50.0, 0.1), 5, 0)
    assert fit(COUNTS, samples) == fit(COUNTS, samples)
    assert fit(COUNTS, samples, seed=1) != fit(COUNTS, samples)
