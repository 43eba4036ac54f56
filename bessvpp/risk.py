"""Measures of risk and of forecast quality. Pure arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bessvpp.params.load import level_name


def value_at_risk(profit: np.ndarray, alpha: float, weights: np.ndarray | None = None) -> float:
    """Smallest profit whose cumulated probability reaches the tail share ``alpha``.

    Parameters
    ----------
    profit : (S,) profits, in any order
    alpha : tail share in (0, 1]
    weights : (S,) probabilities that sum to 1; equal where None
    """
    ordered, cumulated = _sorted_tail(profit, weights)
    return float(ordered[np.searchsorted(cumulated, alpha - 1e-12)])


def cvar(profit: np.ndarray, alpha: float, weights: np.ndarray | None = None) -> float:
    """Mean of the worst ``alpha`` share of profits, the last atom counted by its fraction.

    Equals ``max_z z - E[(z - profit)+] / alpha`` (Rockafellar and Uryasev, 2000). With
    ``alpha = 1`` it is the mean; with ``alpha`` below the smallest weight, the worst case.
    """
    ordered, cumulated = _sorted_tail(profit, weights)
    in_tail = np.diff(np.minimum(cumulated, alpha), prepend=0.0)
    return float(in_tail @ ordered / in_tail.sum())


def _sorted_tail(profit: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    profit = np.asarray(profit, dtype=float)
    if weights is None:
        weights = np.full(profit.size, 1 / profit.size)
    order = np.argsort(profit, kind="stable")
    cumulated = np.cumsum(weights[order])
    cumulated[-1] = 1.0
    return profit[order], cumulated


def mean_of_known(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Mean over an axis of what is known; NaN, without a warning, where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def pinball_loss(y: np.ndarray, quantile: np.ndarray, level: float) -> float:
    """Mean pinball loss of a quantile forecast [unit of y], days without an outcome ignored."""
    error = y - quantile
    return float(np.nanmean(np.maximum(level * error, (level - 1) * error)))


def daily_pinball(y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """(D,) pinball loss of each day, averaged over blocks and levels; shapes as below."""
    error = y[:, :, None] - quantiles
    tau = np.array(levels)
    return np.nanmean(np.maximum(tau * error, (tau - 1) * error), axis=(1, 2))


def coverage(y: np.ndarray, quantile: np.ndarray) -> tuple[float, float, int]:
    """Shares of outcomes below and at or below a quantile, and the number of outcomes.

    They differ where prices sit on an atom, such as the price cap.
    """
    known = np.isfinite(y)
    n = int(known.sum())
    if n == 0:
        raise ValueError("coverage needs at least one outcome")
    y, quantile = y[known], quantile[known]
    return float((y < quantile).mean()), float((y <= quantile).mean()), n


def miscoverage(nominal: float, below: float, at_or_below: float, **_: object) -> float:
    """Distance of a level from the band [P(Y < q), P(Y <= q)]; 0 inside it.

    Takes an entry of ``coverage_table`` as keywords.
    """
    return max(0.0, below - nominal, nominal - at_or_below)


def coverage_table(
    y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]
) -> dict[str, dict[str, float]]:
    """Coverage of every level: nominal, below, at or below, number of blocks and days.

    Parameters
    ----------
    y : (D, T) outcomes, NaN where there is none
    quantiles : (D, T, L) forecasts
    """
    table = {}
    for k, level in enumerate(levels):
        below, at_or_below, n = coverage(y, quantiles[:, :, k])
        table[level_name(level)] = {
            "nominal": level,
            "below": below,
            "at_or_below": at_or_below,
            "n_blocks": n,
            "n_days": int(np.isfinite(y).any(axis=1).sum()),
        }
    return table


def miscoverage_by_hour(
    y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]
) -> np.ndarray:
    """(L, 24) miscoverage of every level in every hour of the day; NaN: no outcome in it."""
    per_hour = y.shape[1] // 24
    errors = np.empty((len(levels), 24))
    for hour in range(24):
        span = slice(hour * per_hour, (hour + 1) * per_hour)
        if not np.isfinite(y[:, span]).any():
            errors[:, hour] = np.nan
            continue
        table = coverage_table(y[:, span], quantiles[:, span], levels)
        errors[:, hour] = [miscoverage(**entry) for entry in table.values()]
    return errors


def mean_pinball(y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> float:
    """Pinball loss averaged over the levels; shapes as in ``coverage_table``."""
    losses = [pinball_loss(y, quantiles[:, :, k], level) for k, level in enumerate(levels)]
    return float(np.mean(losses))


def bootstrap_band(
    days: np.ndarray,
    statistic: Callable[[np.ndarray], float],
    rng: np.random.Generator,
    n_draws: int = 1000,
) -> tuple[float, float]:
    """5 % and 95 % points of a statistic over days drawn with replacement.

    Parameters
    ----------
    days : (D,) one value a day
    statistic : of a (D,) array
    """
    draws = rng.integers(0, len(days), size=(n_draws, len(days)))
    values = [statistic(days[draw]) for draw in draws]
    low, high = np.quantile(values, [0.05, 0.95])
    return float(low), float(high)
