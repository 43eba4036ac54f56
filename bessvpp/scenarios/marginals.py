"""Quantile functions of a block, and scores of past outcomes under them."""

from __future__ import annotations

import datetime as dt

import numpy as np
from scipy.special import ndtri

from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.params.market import MarketParams
from bessvpp.price_tick import on_price_tick

SCORE_LIMIT = 3.0
"""Scores beyond the outer levels are not resolved further than this."""


def quantile_knots(
    values: np.ndarray, levels: tuple[float, ...], floor: float, cap: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and prices between which a marginal is linear.

    Beyond the outer levels the marginal goes on for one more step as wide as the last one,
    within floor and cap, to a price tick.

    Parameters
    ----------
    values : (..., L) quantiles, rising

    Returns
    -------
    (L + 2,) probabilities from 0 to 1 and (..., L + 2) prices.
    """
    low = on_price_tick(np.maximum(2 * values[..., :1] - values[..., 1:2], floor))
    high = on_price_tick(np.minimum(2 * values[..., -1:] - values[..., -2:-1], cap))
    probability = np.concatenate([[0.0], levels, [1.0]])
    return probability, np.concatenate([low, values, high], axis=-1)


def with_atom_knots(
    probability: np.ndarray,
    price: np.ndarray,
    p_floor: np.ndarray,
    p_cap: np.ndarray,
    floor: float,
    cap: float | np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The same marginals, each with a knot where its atom at the floor and at the cap begins.

    Without them the line from the last level below the cap to the first one on it would
    take from the atom. A chance that is not modelled, or smaller than what lies beyond the
    outer level, adds nothing.

    Parameters
    ----------
    probability, price : (K,) and (..., K), as of ``quantile_knots``
    p_floor, p_cap : (...) chances, NaN where not modelled

    Returns
    -------
    (..., K + 2) probabilities and prices.
    """
    low, high = price[..., 0], price[..., -1]
    has_floor, has_cap = p_floor >= probability[1], p_cap >= 1 - probability[-2]
    added = [
        (np.where(has_floor, p_floor, 0.0), np.where(has_floor, floor, low)),
        (np.where(has_cap, 1 - p_cap, 1.0), np.where(has_cap, cap, high)),
    ]
    probability = np.broadcast_to(probability, price.shape)
    probability = np.concatenate([probability, np.stack([p for p, _ in added], -1)], axis=-1)
    price = np.concatenate([price, np.stack([v for _, v in added], -1)], axis=-1)
    order = np.lexsort((price, probability), axis=-1)
    return np.take_along_axis(probability, order, -1), np.take_along_axis(price, order, -1)


def inverse_marginal(u: np.ndarray, probability: np.ndarray, price: np.ndarray) -> np.ndarray:
    """Prices at probabilities ``u`` (S, T) of the marginals ``price`` (T, K), shape (S, T).

    They are on the price tick, so that a path sits on the cap or does not, on every machine.
    ``probability`` is (K,), or (T, K) where it differs from block to block.
    """
    probability = np.broadcast_to(probability, price.shape)
    columns = zip(u.T, probability, price, strict=True)
    return on_price_tick(np.column_stack([np.interp(*column) for column in columns]))


def normal_scores(
    y: np.ndarray, probability: np.ndarray, price: np.ndarray, floor: float, cap: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Range of normal scores that an outcome may stand for.

    Off the floor and cap the range is one point. On an atom it is the whole probability that
    the marginal puts there; the score inside it is imputed by ``score_correlation``.

    Parameters
    ----------
    y : (D, T) outcomes
    probability, price : (K,) or (D, T, K), and (D, T, K): marginals of the same days
    cap : price cap, one or (D, 1)

    Returns
    -------
    lower and upper scores, (D, T) each, within +-SCORE_LIMIT.
    """
    low, high = np.empty(y.shape), np.empty(y.shape)
    probability = np.broadcast_to(probability, price.shape)
    for index in np.ndindex(y.shape):
        at, knots, outcome = probability[index], price[index], y[index]
        low[index] = _probability_below(outcome, at, knots)
        high[index] = 1 - _probability_below(-outcome, 1 - at[::-1], -knots[::-1])
    atom = (y <= floor) | (y >= cap)
    middle = np.where(atom, 0, (low + high) / 2)
    low, high = np.where(atom, low, middle), np.where(atom, high, middle)
    low = np.where(y <= floor, 0.0, low)
    high = np.where(y >= cap, 1.0, high)
    scores = ndtri(np.stack([low, high]))
    return tuple(np.clip(scores, -SCORE_LIMIT, SCORE_LIMIT))


def _probability_below(y: float, probability: np.ndarray, knots: np.ndarray) -> float:
    """P(Y < y) under a marginal that is linear between its knots."""
    k = int(np.searchsorted(knots, y, side="left"))
    if k == 0:
        return 0.0
    if k == len(knots):
        return 1.0
    share = (y - knots[k - 1]) / (knots[k] - knots[k - 1])
    return float(probability[k - 1] + share * (probability[k] - probability[k - 1]))


def day_knots(forecast: QuantileForecast, rules: MarketParams) -> tuple[np.ndarray, np.ndarray]:
    """Knots of the marginals of one market on one day, with the atoms that were forecast.

    Parameters
    ----------
    forecast : of that day alone
    """
    cap = rules.cap_rs_per_mwh(forecast.dates[0].astype(dt.date))
    floor = rules.price_floor_rs_per_mwh
    knots = quantile_knots(forecast.values[0], forecast.levels, floor, cap)
    return with_atom_knots(*knots, forecast.p_floor[0], forecast.p_cap[0], floor, cap)
