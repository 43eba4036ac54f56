"""How risk is weighed, and its measures: value at risk, CVaR, the bootstrap over days."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Risk:
    """How risk is weighed: ``aversion`` is lambda, the weight of CVaR; ``alpha`` its tail share.

    Examples
    --------
    >>> bv.Risk(aversion=0.1, alpha=0.05)
    Risk(aversion=0.1, alpha=0.05)
    """

    aversion: float = 0.0
    alpha: float = 1.0


RISK_NEUTRAL = Risk()


def value_at_risk(profit: np.ndarray, alpha: float, weights: np.ndarray | None = None) -> float:
    """Smallest profit whose cumulated probability reaches the tail share ``alpha``.

    Parameters
    ----------
    profit : (S,) profits, in any order
    alpha : tail share in (0, 1]
    weights : (S,) probabilities that sum to 1; equal where None

    Examples
    --------
    >>> bv.value_at_risk(np.array([-30.0, 10.0, 20.0, 40.0]), alpha=0.5)
    10.0
    """
    ordered, cumulated = _sorted_tail(profit, weights)
    return float(ordered[np.searchsorted(cumulated, alpha - 1e-12)])


def cvar(profit: np.ndarray, alpha: float, weights: np.ndarray | None = None) -> float:
    """Mean of the worst ``alpha`` share of profits, the last atom counted by its fraction.

    Equals ``max_z z - E[(z - profit)+] / alpha`` (Rockafellar and Uryasev, 2000). With
    ``alpha = 1`` it is the mean; with ``alpha`` below the smallest weight, the worst case.

    Parameters
    ----------
    profit : (S,) profits, in any order
    alpha : tail share in (0, 1]
    weights : (S,) probabilities that sum to 1; equal where None

    Examples
    --------
    >>> profit = np.array([-30.0, 10.0, 20.0, 40.0])
    >>> bv.cvar(profit, alpha=0.5), bv.cvar(profit, alpha=1.0)
    (-10.0, 10.0)
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
