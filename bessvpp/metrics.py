"""Measures of risk and of forecast quality. Pure arrays in, numbers out."""

from __future__ import annotations

import numpy as np


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


def pinball_loss(y: np.ndarray, quantile: np.ndarray, level: float) -> float:
    """Mean pinball loss of a quantile forecast [unit of y], days without an outcome ignored."""
    error = y - quantile
    return float(np.nanmean(np.maximum(level * error, (level - 1) * error)))


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


def miscoverage(below: float, at_or_below: float, level: float) -> float:
    """Distance of a level from the band [P(Y < q), P(Y <= q)]; 0 inside it."""
    return max(0.0, below - level, level - at_or_below)


def bootstrap_band(
    days: np.ndarray, statistic: object, rng: np.random.Generator, n_draws: int = 1000
) -> tuple[float, float]:
    """5 % and 95 % points of a statistic over days drawn with replacement.

    Parameters
    ----------
    days : (D,) one value a day
    statistic : callable on a (D,) array
    """
    draws = rng.integers(0, len(days), size=(n_draws, len(days)))
    values = [statistic(days[draw]) for draw in draws]
    low, high = np.quantile(values, [0.05, 0.95])
    return float(low), float(high)
