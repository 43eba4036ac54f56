"""How prices of a day hang together: a Gaussian copula of both markets, from past outcomes.

Each past outcome is turned into a normal score through the marginal that was forecast for
it. The scores of DAM and RTM, 2T dimensions together, give one correlation matrix;
correlated normal draws are mapped back through the marginals of the day to plan. How closely the
two markets follow each other is then set right in prices (``between_markets``). Both fans
use the same correlation and the same draws, so they differ in their marginals alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import ndtr, ndtri
from sklearn.covariance import ledoit_wolf

from bessvpp.errors import DataError
from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.market.history import MARKETS, Market
from bessvpp.params.market import MarketParams
from bessvpp.params.study import ScenarioParams
from bessvpp.scenarios.between_markets import cross_strength, with_cross_strength
from bessvpp.scenarios.marginals import normal_scores, quantile_knots, with_atom_knots

LEAST_DAYS = 8
_LEAST_EIGENVALUE = 1e-3
_LEAST_SD = 1e-6


def score_correlation(
    low: np.ndarray, high: np.ndarray, sweeps: int, rng: np.random.Generator
) -> np.ndarray:
    """Correlation of scores of which some are known only to lie in a range.

    Alternates between drawing each open score given all others (a Gibbs sweep over
    truncated normals) and estimating the correlation (shrunk as Ledoit and Wolf, 2004, towards
    ``persistence_target``). The second half of the estimates is averaged.

    Parameters
    ----------
    low, high : (D, N) ranges; a known score has both equal
    sweeps : alternations

    Returns
    -------
    (N, N) correlation matrix.
    """
    if len(low) < LEAST_DAYS:
        raise DataError(
            f"{len(low)} out-of-sample days are too few for a correlation; at least "
            f"{LEAST_DAYS} are needed. Raise calibration_days"
        )
    z = drawn_within(low, high, rng)
    estimates = []
    for _ in range(sweeps):
        mean, sd = z.mean(axis=0), np.maximum(z.std(axis=0), _LEAST_SD)
        standard = (z - mean) / sd
        correlation = _correlation(standard)
        estimates.append(correlation)
        edges = tuple((edge - mean) / sd for edge in (low, high))
        impute(standard, edges, np.linalg.inv(correlation), rng)
        z = standard * sd + mean
    return np.mean(estimates[sweeps // 2 :], axis=0)


def drawn_within(low: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Standard normal scores within their ranges, each by itself; a known one as it is."""
    p_low, p_high = ndtr(low), ndtr(high)
    drawn = ndtri(p_low + rng.random(low.shape) * (p_high - p_low))
    return np.where(high > low, drawn, low)


def impute(
    z: np.ndarray,
    edges: tuple[np.ndarray, np.ndarray],
    precision: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """One Gibbs sweep: each open score (D, N) drawn given all others of its day, in place."""
    is_open = edges[1] > edges[0]
    for j in np.flatnonzero(is_open.any(axis=0)):
        rows = is_open[:, j]
        variance = 1 / precision[j, j]
        others = z[rows] @ precision[:, j] - z[rows, j] * precision[j, j]
        centre, spread = -others * variance, np.sqrt(variance)
        bounds = [edge[rows, j] for edge in edges]
        p = [ndtr((bound - centre) / spread) for bound in bounds]
        draw = ndtri(p[0] + rng.random(rows.sum()) * (p[1] - p[0]))
        z[rows, j] = np.clip(centre + spread * draw, *bounds)


def _correlation(standard: np.ndarray) -> np.ndarray:
    """Sample correlation, shrunk by Ledoit and Wolf's intensity towards persistence.

    Their own target, no correlation at all, would cut neighbouring blocks apart on a short
    history and make paths jump. The target here keeps what all blocks share: the mean
    correlation at each distance in time, within each market and between the two.
    """
    _, intensity = ledoit_wolf(standard)
    with np.errstate(invalid="ignore"):  # a block that never varies correlates with nothing
        sample = np.nan_to_num(np.corrcoef(standard, rowvar=False))
    np.fill_diagonal(sample, 1.0)
    return (1 - intensity) * sample + intensity * persistence_target(sample)


def persistence_target(correlation: np.ndarray) -> np.ndarray:
    """Nearest positive definite matrix, nearly, to the means of each time-lag's entries.

    Parameters
    ----------
    correlation : (2T, 2T), DAM first
    """
    n = len(correlation) // 2
    target = np.zeros_like(correlation)
    for row in (slice(0, n), slice(n, None)):
        for column in (slice(0, n), slice(n, None)):
            square, means = correlation[row, column], np.empty(n * n)
            for lag in range(1 - n, n):
                entries = np.diagonal(square, lag)
                first = lag if lag > 0 else -lag * n
                means[first :: n + 1][: len(entries)] = entries.mean()
            target[row, column] = means.reshape(n, n)
    values, vectors = np.linalg.eigh((target + target.T) / 2)
    target = (vectors * np.maximum(values, _LEAST_EIGENVALUE)) @ vectors.T
    scale = np.sqrt(np.diag(target))
    return target / np.outer(scale, scale)


def copula_correlation(
    forecasts: Mapping[str, QuantileForecast],
    known: Market,
    rules: MarketParams,
    params: ScenarioParams,
) -> np.ndarray:
    """Correlation of the normal scores of all out-of-sample days that are wholly known.

    Its cross block is moved until surprises of the two markets' prices correlate as they did.

    Parameters
    ----------
    forecasts : original forecasts of both markets on days that no model was fitted on
    known : the market as known at the decision; its incomplete days are left out

    Returns
    -------
    (2T, 2T) matrix, DAM first.

    Examples
    --------
    >>> run = bv.open_run("outputs/quick")
    >>> p = run.params
    >>> bv.copula_correlation(
    ...     run.forecasts["original"], run.market, p.market, p.scenarios
    ... ).shape
    (48, 48)
    """
    dates = np.intersect1d(forecasts["dam"].dates, forecasts["rtm"].dates)
    dates = dates[dates <= known.dates[-1]]
    rows = np.array([known.index_of(day) for day in dates], dtype=int)
    complete = ~np.isnan(known.dam_mcp[rows] + known.rtm_mcp[rows]).any(axis=1)
    rows, days = rows[complete], dates[complete]
    cap = rules.caps_rs_per_mwh(days)
    floor = rules.price_floor_rs_per_mwh
    ranges, marginals, outcomes = [], [], []
    for market, prices in zip(MARKETS, (known.dam_mcp, known.rtm_mcp), strict=True):
        forecast = forecasts[market].on(days)
        knots = quantile_knots(forecast.values, forecast.levels, floor, cap[:, None, None])
        knots = with_atom_knots(*knots, forecast.p_floor, forecast.p_cap, floor, cap[:, None])
        ranges.append(normal_scores(prices[rows], *knots, floor, cap[:, None]))
        marginals.append(knots)
        outcomes.append(prices[rows])
    low, high = (np.hstack(side) for side in zip(*ranges, strict=True))
    rng = np.random.default_rng(np.random.SeedSequence([params.seed, len(days)]))
    correlation = score_correlation(low, high, params.gibbs_sweeps, rng)
    strength = cross_strength(correlation, marginals, outcomes)
    return with_cross_strength(correlation, strength)


def copula_correlations(
    forecasts: Mapping[str, QuantileForecast],
    market: Market,
    dates: np.ndarray,
    rules: MarketParams,
    params: ScenarioParams,
) -> list[np.ndarray]:
    """The correlation of each of some dates, estimated anew as days become known.

    Every ``correlation_every_days`` (0: for the first date alone) ``copula_correlation`` is given
    what the DAM gate of that date knows; the dates up to the next time share the matrix.

    Examples
    --------
    >>> run = bv.open_run("outputs/quick")
    >>> p, original = run.params, run.forecasts["original"]
    >>> dates = run.forecasts["recalibrated"]["dam"].dates
    >>> each = bv.copula_correlations(original, run.market, dates, p.market, p.scenarios)
    >>> len(each), each[0].shape
    (4, (48, 48))
    """
    age, every = (dates - dates[0]).astype(int), params.correlation_every_days
    matrices: dict[int, np.ndarray] = {}
    generation = age // every if every else age * 0
    for date, k in zip(dates, generation, strict=True):
        if k not in matrices:
            known = market.known_at_dam_gate(date, rules)
            matrices[k] = copula_correlation(forecasts, known, rules, params)
    return [matrices[k] for k in generation]
