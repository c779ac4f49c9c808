"""Scalability laws fitted to throughputs: Amdahl's law, the universal scalability law, or neither.

Both laws give the throughput of N workers. Amdahl's law [1]_ has a serial part σ::

    X(N) = λ N / (1 + σ (N − 1))

The universal scalability law (USL) of Gunther [2]_ adds a cost κ of keeping each two workers coherent::

    X(N) = λ N / (1 + σ (N − 1) + κ N (N − 1))

so that the throughput has a peak at N* = sqrt((1 − σ) / κ). λ is the throughput of one worker.

References
----------
.. [1] G. M. Amdahl, Validity of the single processor approach to achieving large scale computing capabilities, 1967.
.. [2] N. J. Gunther, Guerrilla Capacity Planning, 2007; A general theory of computational scalability based on
   rational functions, 2008.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from parcount.studies.core.statistics import CONFIDENCE, LEAST_SAMPLES

AMDAHL, USL, NEITHER = "amdahl", "usl", "neither"

LEAST_COUNTS = 5
"""Fewest different worker counts for a fit: the USL has three parameters and the noise is a fourth."""

BEYOND = 2
"""How many times the most measured workers predictions go."""

SUPPORT, REJECT = 2.0, 4.0
"""How much lower the AICc of the USL must be than that of Amdahl's law, and that of neither than those of both."""

EXCESS = 0.01
"""Share by which throughput per worker must exceed that with the fewest, beyond noise, to be called superlinear."""

RESAMPLES, STEPS = 1000, 8
"""How many refits the bootstrap makes, and how many steps each takes from the fit, to which it is near."""

LARGEST = 300.0
"""Largest logarithm of λ: noise that leaves λ unbounded does not overflow."""

PRECISION = 1e-9
"""Relative error of a throughput below which differences of models are rounding errors."""

GRID = 32
"""Most points of the curve besides those at measured worker counts."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval; an end is None if it is unbounded."""

    value: float
    low: float
    high: float | None

    @property
    def percent(self) -> str:
        """Two digits of the estimate and the ends, in percent."""
        high = None if self.high is None else 100 * self.high
        return str(Interval(100 * self.value, 100 * self.low, high)).replace(" [", " % [")

    def __str__(self) -> str:
        high = "" if self.high is None else _two_digits(self.high)
        return f"{_two_digits(self.value)} [{_two_digits(self.low)}–{high}]"


@dataclass(frozen=True)
class Law:
    """A fitted law.

    `throughput` is λ and `kappa` is None for Amdahl's law. `residual` is the standard deviation of the residuals: as a
    share of the throughput for relative noise, else in the throughput's unit.
    """

    name: str
    throughput: Interval
    sigma: Interval
    kappa: Interval | None
    residual: float


@dataclass(frozen=True)
class Prediction:
    """What the chosen law predicts for a number of workers; extrapolated if more than were measured."""

    workers: float
    throughput: Interval
    speedup: Interval
    extrapolated: bool


@dataclass(frozen=True)
class Peak:
    """The number of workers with the highest throughput by the USL, and that throughput."""

    workers: Interval
    throughput: Interval
    speedup: Interval
    extrapolated: bool


@dataclass(frozen=True)
class Superlinear:
    """A number of workers with more throughput per worker than the fewest that were measured."""

    workers: int
    fewest: int
    ratio: Interval


@dataclass(frozen=True)
class NoFit:
    """Why no law was fitted."""

    reason: str

    def sentences(self) -> list[str]:
        """Return the reason as a list of one sentence."""
        return [f"No scalability law was fitted: {self.reason}."]


@dataclass(frozen=True)
class Fit:
    """Both laws fitted to the same throughputs, and which of them the throughputs follow.

    Attributes
    ----------
    law : str
        ``"amdahl"``, ``"usl"`` or ``"neither"``.
    aicc : dict
        AICc of the two laws and of ``"neither"``; None where the samples are too few for a model's parameters.
    amdahl, usl : Law
        The laws, whichever was chosen.
    curve : list of Prediction
        Of the chosen law, from one worker up to twice the most measured; empty for neither.
    peak : Peak or None
        Only if the USL was chosen, its κ is greater than 0 beyond noise, and the peak is within the curve.
    superlinear : list of Superlinear
        Worker counts at which neither law can hold.
    workers, samples : int
        The most workers measured, and how many throughputs.
    resampled : str
        What the bootstrap resampled, ``"rounds"`` or ``"residuals"``.
    """

    law: str
    aicc: dict[str, float | None]
    amdahl: Law
    usl: Law
    curve: list[Prediction]
    peak: Peak | None
    superlinear: list[Superlinear]
    workers: int
    samples: int
    resampled: str

    def sentences(self) -> list[str]:
        """Return the verdict in a few plain sentences."""
        said = [self._on_the_law()]
        if self.law == AMDAHL and self.aicc[USL] is None:
            said.append(f"The universal scalability law was not compared: {self.samples} samples are too few for it.")
        elif self.law == AMDAHL and self.usl.kappa is not None and self.usl.kappa.low > 0:
            said.append(
                "Whether it has a peak is undecided: the coherency cost is above 0 beyond noise, but AICc does not "
                f"support the parameter with {self.samples} samples."
            )
        if self.curve:
            said.append(self._on_more_workers(self.curve[-1]))
        return said

    def _on_the_law(self) -> str:
        if self.superlinear:
            most = max(self.superlinear, key=lambda one: one.ratio.value)
            return (
                f"Throughput is superlinear: with {most.workers} workers that of each is {most.ratio} times that with "
                f"{most.fewest}. Neither Amdahl's law nor the universal scalability law allows this."
            )
        if self.law == NEITHER:
            return "Throughput follows neither Amdahl's law nor the universal scalability law."
        if self.law == USL:
            return (
                f"Throughput follows the universal scalability law with a contention of {self.usl.sigma.percent} and a "
                f"coherency cost of {self.usl.kappa.percent if self.usl.kappa else 0}."
            )
        sigma = self.amdahl.sigma
        text = f"Throughput follows Amdahl's law with a serial part of {sigma.percent}"
        if sigma.low > 0:
            limit = Interval(1 / sigma.value, 1 / (sigma.high or 1.0), 1 / sigma.low)
            text += f", which limits it to {limit} times that of one worker"
        return f"{text}."

    def _on_more_workers(self, last: Prediction) -> str:
        if self.peak is not None:
            where = "extrapolated, " if self.peak.extrapolated else ""
            return (
                f"It is highest with {self.peak.workers} workers ({where}{self.peak.speedup} times that of one worker) "
                "and lower with more."
            )
        peak = "No peak was found. " if self.law == USL else ""
        return f"{peak}Extrapolated to {last.workers} workers it is {last.speedup} times that of one worker."


def fit(
    workers: Sequence[int],
    samples: Sequence[Sequence[float]],
    *,
    noise: Literal["relative", "constant"] = "relative",
    seed: int = 0,
) -> Fit | NoFit:
    """Fit Amdahl's law and the universal scalability law to throughputs, and choose one or neither.

    Parameters
    ----------
    workers : sequence of int
        Different numbers of workers, in any order.
    samples : sequence of sequence of float
        The throughputs of each number of workers, one for each round. The rounds are the same for all numbers of
        workers. NaN stands for one that is missing or was disturbed.
    noise : {"relative", "constant"}, optional
        Whether the standard deviation of a throughput is in proportion to it, as that of a time measured repeatedly
        is, or the same for all. The first fits logarithms, and each round has a factor of its own. The second is
        ordinary least squares, as in R's package usl.
    seed : int, optional
        Of the bootstrap: equal data have equal intervals.

    Returns
    -------
    Fit or NoFit
        The latter if there are fewer than five different numbers of workers.

    Raises
    ------
    ValueError
        If the sequences differ in length, a number of workers is repeated or below 1, or a throughput is not positive.
    ImportError
        If SciPy is not installed.

    Notes
    -----
    *Fit.* Bounded least squares with λ > 0, 0 ≤ σ ≤ 1 and κ ≥ 0.

    *Choice.* By AICc, Akaike's criterion with the correction for few samples (Hurvich and Tsai, Regression and time
    series model selection in small samples, 1989). The parameters that it counts are those of the law, the variance of
    the noise, and the factors of the rounds except one. It is undefined for n ≤ k + 1, for n samples and k parameters;
    such a model is not chosen, so that the USL needs six single samples. A model whose AICc is within 2 of the lowest
    has substantial support, and one at 4 or more has considerably less (Burnham and Anderson, Model Selection and
    Multimodel Inference, 2002, section 2.6). So the USL is chosen over Amdahl's law if its AICc is lower by more than
    2, and neither over both if its AICc is lower by more than 4. "Neither" is a free mean for each number of workers.
    It fits any shape, and its AICc is the lowest if the residuals of both laws are larger than the noise between
    rounds. Fewer than three rounds do not show that noise. There "neither" is the power law ``X = λ N**γ``, the
    simplest curve that differs from both laws, and other shapes are not told from noise.

    *Intervals.* ``estimate ± t * standard error``, where the standard error is that of bootstrap refits and t is a
    quantile of Student's distribution. With at least three rounds, whole rounds are resampled, which keeps what the
    samples of a round have in common and noise that differs between numbers of workers. The standard error is
    multiplied by ``sqrt(R / (R - 1))`` for R rounds, and t has R − 1 degrees of freedom, which makes the interval exact
    for a mean of normal samples. Percentile intervals lack both corrections: for five rounds of 3 % noise at eight
    numbers of workers they contained the true κ in 82 % of simulations, and these in 95 %. With fewer rounds, residuals
    are resampled, scaled for the degrees of freedom of the fit, which t also has. The interval of λ then does not
    include what differs between rounds, such as the clock frequency.

    The refits are not bounded, because refits that pile up at a bound have too small a spread. The intervals are cut to
    the bounds afterwards, which loses no true value. That of a prediction is computed for ``1 / X``, which is nearly
    linear in the parameters. That of the peak is Fieller's (Some problems in interval estimation, 1954): all N whose
    slope of the curve, ``(1 − σ) − κ N**2``, is not different from 0. It is bounded only if κ is different from 0;
    without that no peak is reported.

    *Superlinear.* Neither law allows more throughput per worker than fewer workers have, so that neither is chosen for
    such data. With three rounds, the ratio to the fewest workers is tested in the rounds; with fewer, that of the
    unbounded fit of the USL is. The tests are one-sided, at 5 % for all numbers of workers together, and a ratio must
    exceed 1.01.

    Examples
    --------
    >>> workers = [1, 2, 4, 6, 8]
    >>> rounds = [[speed * n / (1 + 0.1 * (n - 1)) for speed in (99, 100, 101)] for n in workers]
    >>> found = fit(workers, rounds)
    >>> found.law, round(found.amdahl.sigma.value, 3)
    ('amdahl', 0.1)
    >>> fit([1, 2, 4], [[1.0], [1.9], [3.5]]).reason
    'it takes five different numbers of workers, and 3 were measured'
    """
    counts, table = _table(workers, samples)
    if counts.size < LEAST_COUNTS:
        return NoFit(f"it takes five different numbers of workers, and {counts.size} were measured")
    data = _Data(counts, table, noise == "relative")
    random = np.random.default_rng(seed)
    fitted = {name: _Fitted(data, parameters, random) for name, parameters in ((AMDAHL, 2), (USL, 3))}
    aicc = {name: data.aicc(one.squares, one.parameters) for name, one in fitted.items()}
    if data.by_rounds:
        aicc[NEITHER] = data.aicc(data.squares(data.means), counts.size)
    else:
        aicc[NEITHER] = data.aicc(_power_law(data), 2)
    superlinear = _superlinear(data, fitted[USL])
    law = NEITHER if superlinear else _choose(aicc)
    chosen = fitted.get(law)
    most = int(counts[-1])
    curve = [] if chosen is None else [chosen.predict(count, most) for count in _grid(counts)]
    return Fit(
        law,
        aicc,
        fitted[AMDAHL].law(AMDAHL),
        fitted[USL].law(USL),
        curve,
        fitted[USL].peak(most) if law == USL else None,
        superlinear,
        most,
        data.size,
        "rounds" if data.by_rounds else "residuals",
    )


def _table(workers: Sequence[int], samples: Sequence[Sequence[float]]) -> tuple[Array, Array]:
    """Return the numbers of workers that have samples in ascending order, and a row of throughputs for each round."""
    if len(workers) != len(samples) or len({len(one) for one in samples}) > 1:
        raise ValueError("each number of workers needs throughputs of the same rounds")
    if len({*workers}) < len(workers) or any(count < 1 for count in workers):
        raise ValueError("numbers of workers must be different and at least 1")
    order = sorted(range(len(workers)), key=workers.__getitem__)
    counts = np.array([workers[one] for one in order], np.float64)
    table = np.array([samples[one] for one in order], np.float64).reshape(len(order), -1 if order else 0).T
    if np.any(table <= 0) or np.isinf(table).any():
        raise ValueError("throughputs must be positive and finite")
    known = ~np.isnan(table)
    used = known.any(axis=0)
    return counts[used], table[known.any(axis=1)][:, used]


class _Data:
    """Throughputs as the fit takes them: divided by a unit, or its logarithms, without the factors of the rounds."""

    def __init__(self, counts: Array, samples: Array, relative: bool) -> None:
        self.counts, self.relative = counts, relative
        self.present = ~np.isnan(samples)
        self.weights = self.present.sum(axis=0).astype(float)
        self.size = int(self.present.sum())
        self.rounds = len(samples)
        self.by_rounds = self.rounds >= LEAST_SAMPLES
        # A power of two: multiplied throughputs have multiplied parameters, without rounding errors.
        self.unit = 2.0 ** round(math.log2(np.nanmedian(samples / counts)))
        scaled = samples / self.unit
        self.values = np.log(scaled) if relative else scaled
        self.factors = np.zeros(self.rounds)
        self.means = np.nanmean(self.values, axis=0)
        if relative:
            for _ in range(1 if self.present.all() else 100):  # alternating least squares for a table with gaps
                self.factors = np.nanmean(self.values - self.means, axis=1)
                self.factors -= self.factors.mean()
                self.means = np.nanmean(self.values - self.factors[:, None], axis=0)
            self.values = self.values - self.factors[:, None]

    def squares(self, curve: Array) -> float:
        """Return the sum of the squares of the residuals."""
        return float(np.nansum((self.values - curve) ** 2))

    @property
    def nuisances(self) -> int:
        """How many factors of rounds were fitted."""
        return self.rounds - 1 if self.relative else 0

    def aicc(self, squares: float, parameters: int) -> float | None:
        """Return the AICc of a model with that many parameters besides the variance and the factors of rounds."""
        count, total = self.size, parameters + self.nuisances + 1
        if count <= total + 1:
            return None
        exact = PRECISION * (1.0 if self.relative else float(np.abs(self.means).max()))
        variance = max(squares / count, exact**2)
        return count * math.log(variance) + 2 * total + 2 * total * (total + 1) / (count - total - 1)


class _Fitted:
    """One law's bounded fit, its unbounded fit and the unbounded refits of the bootstrap."""

    def __init__(self, data: _Data, parameters: int, random: np.random.Generator) -> None:
        self.data, self.parameters = data, parameters
        self.bounded, self.free = _least_squares(data, parameters)
        self.squares = data.squares(_curve(self.bounded, data.counts, data.relative)[0])
        self.freedom = data.rounds - 1 if data.by_rounds else data.size - data.nuisances - parameters
        self.refits = self._refit_rounds(random) if data.by_rounds else self._refit_residuals(random)
        self.t = _student(self.freedom, 1 - (1 - CONFIDENCE) / 2)

    def _refit_rounds(self, random: np.random.Generator) -> Array:
        data, rounds = self.data, self.data.rounds
        picks = random.multinomial(rounds, np.full(rounds, 1 / rounds), RESAMPLES).astype(float)
        refits = self._refit(picks @ data.present, picks @ np.nan_to_num(data.values))
        if data.relative:
            refits[:, 0] += picks @ data.factors / rounds
        return self.free + (refits - self.free) * math.sqrt(rounds / (rounds - 1))

    def _refit_residuals(self, random: np.random.Generator) -> Array:
        data = self.data
        curve = _curve(self.free, data.counts, data.relative)[0]
        residuals = (data.values - curve)[data.present] * math.sqrt(data.size / self.freedom)
        picks = random.choice(residuals, (RESAMPLES, *data.present.shape)) * data.present
        return self._refit(np.tile(data.weights, (RESAMPLES, 1)), picks.sum(axis=1) + data.weights * curve)

    def _refit(self, weights: Array, sums: Array) -> Array:
        """Return the parameters of each resample by steps of Levenberg and Marquardt from the fit."""
        size, counts, relative = self.parameters, self.data.counts, self.data.relative
        theta = np.tile(self.free, (RESAMPLES, 1))
        curve, slopes = _curve(theta, counts, relative)
        damping = np.full(RESAMPLES, PRECISION)
        for _ in range(STEPS):
            inner = slopes[..., :size]
            pull = np.einsum("bk,bkp->bp", sums - weights * curve, inner)
            normal = np.einsum("bk,bkp,bkq->bpq", weights, inner, inner)
            scale = np.sqrt(np.einsum("bpp->bp", normal)) + np.finfo(float).tiny
            normal = normal / scale[:, :, None] / scale[:, None, :] + damping[:, None, None] * np.eye(size)
            tried = theta.copy()
            tried[:, :size] += np.linalg.solve(normal, (pull / scale)[..., None])[..., 0] / scale
            curves, others = _curve(tried, counts, relative)
            # The sums of squares without the part that depends on the samples only.
            better = np.sum((weights * curves - 2 * sums) * curves - (weights * curve - 2 * sums) * curve, axis=1) <= 0
            damping = np.where(better, damping / 10, damping * 1000).clip(PRECISION, 1 / PRECISION)
            theta[better], curve[better], slopes[better] = tried[better], curves[better], others[better]
        return theta

    def _ends(self, statistic: Callable[[Array], Array]) -> tuple[float, float]:
        """Return the ends of the interval of a function of the parameters."""
        centre, margin = float(statistic(self.free)), self.t * float(np.std(statistic(self.refits), ddof=1))
        return centre - margin, centre + margin

    def _parameter(self, index: int, least: float, most: float) -> tuple[float, float, float]:
        """Return a parameter with the ends of its interval, cut to its bounds."""
        low, high = np.clip(self._ends(lambda theta: theta[..., index]), least, most)
        return float(self.bounded[index]), float(low), float(high)

    @cached_property
    def throughput(self) -> Interval:
        """λ in the unit of the samples."""
        if self.data.relative:
            logs = self._parameter(0, -LARGEST, LARGEST)
            values = [math.exp(end) if end < LARGEST else math.inf for end in logs]
        else:
            values = [*self._parameter(0, 0.0, math.inf)]
        return _interval(*(self.data.unit * value for value in values))

    def law(self, name: str) -> Law:
        """Return the parameters with their intervals."""
        kappa = _interval(*self._parameter(2, 0.0, math.inf)) if self.parameters > 2 else None
        residual = math.sqrt(self.squares / (self.data.size - self.data.nuisances - self.parameters))
        residual *= 1.0 if self.data.relative else self.data.unit
        return Law(name, self.throughput, _interval(*self._parameter(1, 0.0, 1.0)), kappa, residual)

    def predict(self, count: float, measured: int) -> Prediction:
        """Return the throughput of a number of workers and its ratio to that of one."""

        def scale(theta: Array) -> Array:
            return np.exp(theta[..., 0].clip(-LARGEST, LARGEST)) if self.data.relative else theta[..., 0]

        def inverse(theta: Array) -> Array:
            return _slowdown(theta, count) / count

        def interval(value: float, ends: tuple[float, float], most: float) -> Interval:
            low, high = (1 / end if end > 1 / most else most for end in reversed(ends))
            return _interval(value, low, high)

        speedup = 1 / float(inverse(self.bounded))
        one = self.throughput
        value, unit = one.value * speedup, self.data.unit
        ends = self._ends(lambda theta: inverse(theta) / scale(theta) / unit)
        return Prediction(
            count,
            interval(value, ends, count * (one.high or math.inf)),
            interval(speedup, self._ends(inverse), float(count)),
            count > measured,
        )

    def peak(self, measured: int) -> Peak | None:
        """Return the peak by Fieller's interval; None if κ may be 0 or the peak is beyond the curve."""
        margin = np.cov(1 - self.refits[:, 1], self.refits[:, 2]) * self.t**2
        slope, kappa = 1 - self.free[1], self.free[2]
        # Ends of {N: |slope - kappa N²| <= t * standard error}, a quadratic equation for N².
        a, b, c = kappa**2 - margin[1, 1], slope * kappa - margin[0, 1], slope**2 - margin[0, 0]
        if kappa <= 0 or a <= 0 or self.bounded[2] <= 0:
            return None
        root = math.sqrt(max(b**2 - a * c, 0.0))
        low, high = (math.sqrt(max((b + sign * root) / a, 1.0)) for sign in (-1, 1))
        value = math.sqrt(max((1 - self.bounded[1]) / self.bounded[2], 1.0))
        if value > BEYOND * measured:
            return None
        there = self.predict(value, measured)
        return Peak(_interval(value, low, high), there.throughput, there.speedup, there.extrapolated)


def _interval(value: float, low: float, high: float) -> Interval:
    low, high = min(low, value), max(high, value)
    return Interval(value, float(low), None if math.isinf(high) else float(high))


def _choose(aicc: dict[str, float | None]) -> str:
    """Return the simplest model that has support."""
    known = {name: math.inf if value is None else value for name, value in aicc.items()}
    if known[NEITHER] < min(known[AMDAHL], known[USL]) - REJECT:
        return NEITHER
    return USL if known[USL] < known[AMDAHL] - SUPPORT else AMDAHL


def _student(freedom: int, probability: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def _slowdown(theta: Array, counts: Any) -> Array:
    """Return the denominator of the law, by which the throughput is less than in proportion to the workers."""
    others = counts - 1
    return np.asarray(1 + theta[..., 1] * others + theta[..., 2] * counts * others)


def _curve(theta: Array, counts: Array, relative: bool) -> tuple[Array, Array]:
    """Return the law at worker counts and its derivatives by λ or its logarithm, σ and κ; the last axes are new."""
    theta = theta[..., None, :]
    slow = np.maximum(_slowdown(theta, counts), PRECISION)
    others = counts - 1
    slopes = np.stack([np.ones_like(slow), -others / slow, -counts * others / slow], axis=-1)
    if relative:
        return theta[..., 0] + np.log(counts / slow), slopes
    values = theta[..., 0] * counts / slow
    slopes[..., 0] /= theta[..., 0]
    return values, slopes * values[..., None]


def _least_squares(data: _Data, parameters: int) -> tuple[Array, Array]:
    """Return λ or its logarithm, σ and κ by least squares within the bounds, and the same without bounds."""
    from scipy.optimize import least_squares

    counts, root = data.counts, np.sqrt(data.weights)

    def padded(theta: Array) -> Array:
        return np.append(theta, [0.0] * (3 - parameters))

    def residuals(theta: Array) -> Array:
        return np.asarray(root * (_curve(padded(theta), counts, data.relative)[0] - data.means))

    def slopes(theta: Array) -> Array:
        return np.asarray(root[:, None] * _curve(padded(theta), counts, data.relative)[1][:, :parameters])

    def best(starts: Sequence[Any], **options: Any) -> Array:
        tolerances = {"ftol": 1e-12, "xtol": 1e-12, "gtol": 1e-12}
        fits = [least_squares(residuals, one, jac=slopes, x_scale="jac", **tolerances, **options) for one in starts]
        return np.asarray(min(fits, key=lambda fitted: fitted.cost).x)

    one = data.means[0] - math.log(counts[0]) if data.relative else data.means[0] / counts[0]
    starts = [(one, sigma, sigma / counts[-1])[:parameters] for sigma in (0.01, 0.5)]
    free = best(starts, method="lm")
    low, high = [-np.inf if data.relative else 0, 0, 0][:parameters], [np.inf, 1, np.inf][:parameters]
    inside = np.all((low <= free) & (free <= high))
    if inside:
        return padded(free), padded(free)
    bounded = best(starts, bounds=(low, high))
    # The method stays inside the bounds, however close it comes.
    bounded[1:][bounded[1:] * counts[-1] ** 2 < PRECISION] = 0.0
    return padded(bounded), padded(free)


def _power_law(data: _Data) -> float:
    """Return the sum of the squares of the residuals of the best power law of the number of workers."""
    from scipy.optimize import minimize_scalar

    logs = np.log(data.counts)

    def squares(power: float) -> float:
        if data.relative:
            curve = power * logs
            return data.squares(curve + np.average(data.means - curve, weights=data.weights))
        curve = np.exp(power * logs)
        return data.squares(curve * (data.weights * curve @ data.means) / (data.weights * curve @ curve))

    return float(minimize_scalar(squares, bounds=(-3.0, 3.0), method="bounded", options={"xatol": PRECISION}).fun)


def _superlinear(data: _Data, usl: _Fitted) -> list[Superlinear]:
    """Return at which numbers of workers the throughput of each is above that with the fewest, beyond noise."""
    counts = data.counts[1:]
    chance = 1 - (1 - CONFIDENCE) / counts.size
    logs = data.values if data.relative else np.log(data.values)
    found = []
    for index, count in enumerate(counts, 1):
        ratios = logs[:, index] - logs[:, 0] - math.log(count / data.counts[0])
        ratios = ratios[~np.isnan(ratios)]
        if data.by_rounds and ratios.size < 2:
            continue
        if data.by_rounds:
            freedom, centre = ratios.size - 1, float(ratios.mean())
            error = float(ratios.std(ddof=1)) / math.sqrt(ratios.size)
        else:
            ends = [np.maximum(_slowdown(usl.refits, one), PRECISION) for one in (data.counts[0], count)]
            freedom, error = usl.freedom, float(np.std(np.log(ends[0] / ends[1]), ddof=1))
            fewest, slow = (max(float(_slowdown(usl.free, one)), PRECISION) for one in (data.counts[0], count))
            centre = math.log(fewest / slow)
        if centre - _student(freedom, chance) * error > math.log(1 + EXCESS):
            margin = _student(freedom, 1 - (1 - CONFIDENCE) / 2) * error
            ratio = _interval(*(math.exp(centre + distance) for distance in (0, -margin, margin)))
            found.append(Superlinear(int(count), int(data.counts[0]), ratio))
    return found


def _grid(counts: Array) -> list[int]:
    """Return the measured worker counts, and others up to twice the most."""
    most = BEYOND * int(counts[-1])
    return sorted({1, *map(int, counts), *map(int, np.unique(np.linspace(1, most, min(most, GRID)).round()))})


def _two_digits(number: float) -> str:
    return f"{float(f'{number:.2g}'):g}"
