"""Simple forecasts that the models must beat, from public formulas.

All of them read the gate features or ``Market.known_at``, as the models do.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.optimize import linprog
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LassoLarsIC

from bessvpp.compute.progress import shown
from bessvpp.errors import DataError
from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.market.clock import day_of
from bessvpp.market.history import Market, complete_days, prices_of
from bessvpp.params.market import MarketParams
from bessvpp.price_tick import on_price_tick

CLIMATOLOGY_DAYS = 28
ERROR_DAYS = 90
"""Days whose errors make the quantiles of persistence and of the quantile regression."""
LEAR_WINDOWS = (56, 112)
"""Training windows [days] of the linear expert; the regression averages over them."""
_REFIT_DAYS = 7  # of the linear expert
_QRA_REFIT_DAYS = 28
_LEAST_QRA_DAYS = 14
_PART_HOURS = 4
_PRICES = {
    "dam": ("dam_lag_1d", "dam_lag_2d", "dam_lag_7d"),
    "rtm": ("rtm_latest", "rtm_lag_7d", "dam_lag_1d"),
}
_DAY_FEATURES = ("is_sunday", "is_holiday")
_LEAST_NOISE = 1e-6
"""An hour that is always at its cap leaves no residual at all."""


def persistence_forecast(
    name: str, market: Market, dates: np.ndarray, levels: tuple[float, ...], rules: MarketParams
) -> QuantileForecast:
    """The latest known price of the block, plus the quantiles of what that missed in 90 days.

    The latest known price is the day before's; in the RTM, for blocks after the gate, that of
    two days before.
    """
    rows = []
    for prices in _known_prices(name, market, dates, rules):
        known = np.isfinite(prices)
        lag = 1 + np.argmax(known[::-1], axis=0)  # days since the block's latest price
        latest = prices[-lag, np.arange(prices.shape[1])]
        moves = prices[1:] - prices[:-1], prices[2:] - prices[:-2]
        errors = [np.nanquantile(over[-ERROR_DAYS:], levels, axis=0).T for over in moves]
        rows.append(latest[:, None] + np.where((lag == 1)[:, None], *errors))
    return _fan(name, dates, levels, np.array(rows), rules)


def climatology(
    name: str, market: Market, dates: np.ndarray, levels: tuple[float, ...], rules: MarketParams
) -> QuantileForecast:
    """Quantiles of the block's prices over the last 28 known days."""
    rows = [
        np.nanquantile(prices[-CLIMATOLOGY_DAYS:], levels, axis=0).T
        for prices in _known_prices(name, market, dates, rules)
    ]
    return _fan(name, dates, levels, np.array(rows), rules)


def lear(
    name: str,
    features: pd.DataFrame,
    market: Market,
    dates: np.ndarray,
    rules: MarketParams,
) -> np.ndarray:
    """(D, T, K) point forecasts of the LEAR expert, one a training window.

    A linear regression for each hour on the prices of all hours of earlier days, its weights
    chosen by the lasso, prices transformed by asinh (Lago, Marcjasz, De Schutter and Weron,
    2021). The target is the change from the latest price, so that a weight of nought means
    persistence, and the criterion is Bayes': both did better than the levels and Akaike's on
    June to August 2024. Estimated anew each week, on what the gate of its first day knows.
    The points are on the price tick, so that a regression on them is given the same numbers on
    every machine.

    Parameters
    ----------
    features : gate features of the days from the start of training on
    dates : days to forecast
    """
    x, days = _hourly(name, features, market.n_blocks)
    place = np.searchsorted(days, dates)
    points = np.empty((len(dates), 24, len(LEAR_WINDOWS)))
    for first in shown(range(0, len(dates), _REFIT_DAYS), f"{name.upper()} linear expert"):
        chosen = slice(first, first + _REFIT_DAYS)
        known = market.known_at_dam_gate(dates[first], rules)
        whole = known.dates[complete_days(known, name)]
        for k, window in enumerate(LEAR_WINDOWS):
            trained = np.flatnonzero(np.isin(days, whole) & (days >= dates[first] - window))
            trained = trained[np.isfinite(x[trained]).all(axis=1)]
            rows = [known.index_of(day) for day in days[trained]]
            blocks = prices_of(known, name)[rows].reshape(len(rows), 24, -1)
            traded = np.isfinite(blocks).any(axis=2).all(axis=1)
            y = np.nanmean(blocks[traded], axis=2)
            points[chosen, :, k] = _lasso(x[trained][traded], y, x[place[chosen]])
    top = rules.caps_rs_per_mwh(dates)[:, None, None]
    points = on_price_tick(np.clip(points, rules.price_floor_rs_per_mwh, top))
    return np.repeat(points, market.n_blocks // 24, axis=1)


def quantile_regression_average(
    name: str,
    points: np.ndarray,
    market: Market,
    past: np.ndarray,
    dates: np.ndarray,
    levels: tuple[float, ...],
    rules: MarketParams,
) -> QuantileForecast:
    """Quantile regression of the price on several point forecasts (Nowotarski and Weron, 2015).

    One regression a level and part of the day, estimated anew every 28 days on the last 90
    days whose prices the gate knows.

    Parameters
    ----------
    points : (D0 + D, T, K) forecasts of the days ``past`` (D0,) and then of ``dates`` (D,)
    """
    days = np.concatenate([past, dates])
    width = market.n_blocks // 24 * _PART_HOURS
    values = np.empty((len(dates), market.n_blocks, len(levels)))
    for first in range(0, len(dates), _QRA_REFIT_DAYS):
        known = market.known_at_dam_gate(dates[first], rules)
        whole = known.dates[complete_days(known, name)]
        trained = np.flatnonzero(np.isin(days, whole) & (days < dates[first]))[-ERROR_DAYS:]
        if len(trained) < _LEAST_QRA_DAYS:
            raise DataError(
                f"{len(trained)} days are too few for a quantile regression, at least "
                f"{_LEAST_QRA_DAYS} are needed: raise calibration_days"
            )
        outcome = prices_of(known, name)[[known.index_of(day) for day in days[trained]]]
        rows = np.arange(first, min(first + _QRA_REFIT_DAYS, len(dates)))
        for start in range(0, market.n_blocks, width):
            span = slice(start, start + width)
            x, y = points[trained][:, span].reshape(-1, points.shape[2]), outcome[:, span].ravel()
            traded = np.isfinite(y)
            ahead = points[len(past) + rows][:, span]
            for k, level in enumerate(levels):
                constant, *weights = regression_quantile(x[traded], y[traded], level)
                values[rows, span, k] = ahead @ weights + constant
    return _fan(name, dates, levels, values, rules)


def regression_quantile(x: np.ndarray, y: np.ndarray, level: float) -> np.ndarray:
    """(1 + K,) constant and weights that make the pinball loss of y (N,) on x (N, K) least.

    Found by the dual of Koenker and Bassett's (1978) linear programme: ``max y a`` with
    ``X' a = (1 - tau) X' 1`` and ``0 <= a <= 1``, whose rows are as few as the weights, where
    the programme itself has one for each outcome.

    Raises
    ------
    DataError
        where the programme is not solved, which numbers that are finite do not bring about.
    """
    design = np.column_stack([np.ones(len(x)), x])
    due = (1 - level) * design.sum(axis=0)
    found = linprog(-y, A_eq=design.T, b_eq=due, bounds=(0, 1), method="highs")
    if not found.success:
        raise DataError(f"no quantile regression of level {level:g}: {found.message}")
    return -np.asarray(found.eqlin.marginals)


def _known_prices(
    name: str, market: Market, dates: np.ndarray, rules: MarketParams
) -> Iterator[np.ndarray]:
    """For each day the prices (D, T), to the day before it, that its gate knows."""
    for date in dates:
        known = market.known_at_dam_gate(date, rules)
        yield prices_of(known, name)[known.dates < date]


def _hourly(name: str, features: pd.DataFrame, n_blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Regressors (D, F) of the linear expert, and their days."""
    prices = features[list(_PRICES[name])].to_numpy().reshape(-1, 24, n_blocks // 24, 3)
    hourly = prices.mean(axis=2).transpose(0, 2, 1).reshape(len(prices), -1)
    of_day = features[list(_DAY_FEATURES)].to_numpy()[::n_blocks]
    return np.hstack([hourly, of_day]), day_of(features)[::n_blocks]


def _lasso(x: np.ndarray, y: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """(A, 24) forecasts; prices scaled by median and spread, then asinh."""
    n_prices = x.shape[1] - len(_DAY_FEATURES)
    centre = np.median(y)
    spread = max(np.median(np.abs(y - centre)) * 1.4826, 1.0)

    def scaled(prices: np.ndarray) -> np.ndarray:
        return np.arcsinh((prices - centre) / spread)

    def regressors(rows: np.ndarray) -> np.ndarray:
        filled = np.where(np.isfinite(rows), rows, centre)
        return np.hstack([scaled(filled[:, :n_prices]), filled[:, n_prices:]])

    z, z_ahead = regressors(x), regressors(ahead)
    latest, latest_ahead = z[:, :24].copy(), z_ahead[:, :24].copy()
    mean, sd = z.mean(axis=0), np.maximum(z.std(axis=0), 1e-6)
    z, z_ahead = (z - mean) / sd, (z_ahead - mean) / sd
    forecasts = np.empty((len(ahead), 24))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=ConvergenceWarning)
        changes = scaled(y) - latest
        noises = np.maximum(_noise_variances(z, changes), _LEAST_NOISE)
        for hour, (change, noise) in enumerate(zip(changes.T, noises, strict=True)):
            model = LassoLarsIC("bic", noise_variance=noise, max_iter=60).fit(z, change)
            ahead_scaled = latest_ahead[:, hour] + model.predict(z_ahead)
            forecasts[:, hour] = np.sinh(ahead_scaled) * spread + centre
    return forecasts


def _noise_variances(z: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """(24,) residual variances of least squares of changes (N, 24) on regressors (N, F).

    Those of the changes themselves where rows are too few.
    """
    spare = len(z) - z.shape[1] - 1
    if spare <= 0:
        return np.asarray(np.var(changes, axis=0))
    design = np.column_stack([np.ones(len(z)), z])
    solution, *_ = np.linalg.lstsq(design, changes)
    return np.asarray(((changes - design @ solution) ** 2).sum(axis=0) / spare)


def _fan(
    name: str,
    dates: np.ndarray,
    levels: Sequence[float],
    values: np.ndarray,
    rules: MarketParams,
) -> QuantileForecast:
    top = rules.caps_rs_per_mwh(dates)[:, None, None]
    values = np.clip(np.sort(values, axis=2), rules.price_floor_rs_per_mwh, top)
    return QuantileForecast(name, dates, np.repeat("test", len(dates)), tuple(levels), values)
