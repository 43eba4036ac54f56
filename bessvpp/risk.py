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
    return float(cvars(profit, alpha, weights))


def cvars(profits: np.ndarray, alpha: float, weights: np.ndarray | None = None) -> np.ndarray:
    """``cvar`` of many sets of profits at once, (..., S), over the last axis."""
    ordered, cumulated = _sorted_tail(profits, weights)
    in_tail = np.diff(np.minimum(cumulated, alpha), prepend=0.0, axis=-1)
    return np.asarray((in_tail * ordered).sum(axis=-1) / in_tail.sum(axis=-1))


def _sorted_tail(profit: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(..., S) profits from the worst up, and the share of each and all before it."""
    profit = np.asarray(profit, dtype=float)
    if weights is None:
        weights = np.full(profit.shape[-1], 1 / profit.shape[-1])
    order = np.argsort(profit, axis=-1, kind="stable")
    cumulated = np.cumsum(weights[order], axis=-1)
    cumulated[..., -1] = 1.0
    return np.take_along_axis(profit, order, axis=-1), cumulated


def bootstrap_band(
    days: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
    n_draws: int = 20_000,
) -> tuple[float, float]:
    """5 % and 95 % points of a statistic over days, drawn anew in blocks.

    Days in a row hang together, through the weather and the energy that one leaves to the next, so
    runs of ``D ** (1/3)`` days are drawn, the last day being followed by the first (circular
    block bootstrap, Politis and Romano, 1992).

    Parameters
    ----------
    days : (D,) one value a day, in their order; of a paired comparison, the differences
    statistic : of (..., D) values, over the last axis
    """
    n = len(days)
    length = max(round(n ** (1 / 3)), 1)
    first = rng.integers(0, n, size=(n_draws, -(-n // length)))
    places = (first[:, :, None] + np.arange(length)) % n
    values = statistic(days[places.reshape(n_draws, -1)[:, :n]])
    low, high = np.quantile(values, [0.05, 0.95])
    return float(low), float(high)
