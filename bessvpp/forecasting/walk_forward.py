"""Training sets and refits that walk forward through the days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import pandas as pd

from bessvpp.compute.progress import shown
from bessvpp.errors import DataError
from bessvpp.forecasting.boosting import MarketModels, predict, predict_atoms, train_quantile_models
from bessvpp.forecasting.quantiles import ATOMS, QuantileForecast, count_crossings, with_atoms
from bessvpp.forecasting.splits import Splits, days_of_refits, known_to_refit
from bessvpp.market.clock import day_of
from bessvpp.market.history import Market, prices_of
from bessvpp.params.forecast import ForecastParams
from bessvpp.params.market import MarketParams


@dataclass(frozen=True)
class WalkForward:
    """Forecasts of one market by models that were refitted as time went on."""

    forecast: QuantileForecast
    n_crossings: int  # neighbouring levels in the wrong order before sorting
    models: Mapping[int, MarketModels]  # of the last refit, by training window [days], 0: all
    refits: pd.DataFrame  # a row a refit: first day forecast, last day and number trained on


def walk_forward(
    name: str,
    features: pd.DataFrame,
    market: Market,
    splits: Splits,
    params: ForecastParams,
    rules: MarketParams,
    jobs: int = 1,
) -> WalkForward:
    """Forecast all days out of sample, refitting every ``retrain_every_days``.

    The models of a day see the days from the first training day on that are wholly known at
    the gate of the day of their refit; with ``retrain_every_days`` 0 there is one fit, for the
    first day out of sample. With several training windows the forecast is their average.

    Parameters
    ----------
    name : "dam" or "rtm"
    features : as ``feature_frame`` makes them, of all days from the first training day on
    jobs : threads that train; changes no forecast

    Returns
    -------
    its ``forecast`` of all days out of sample, and the models of the last refit

    Raises
    ------
    DataError
        where the features lack a day out of sample.

    Examples
    --------
    >>> p = bv.load_params(synthetic_days=25, warmup_days=7, calibration_days=3, test_days=2)
    >>> market = bv.embedded_market(p.market)
    >>> splits = bv.split_days(market, p.forecast)
    >>> features = bv.feature_frame(market, market.dates[7:], p.market)
    >>> walk = bv.walk_forward("dam", features, market, splits, p.forecast, p.market)
    >>> walk.forecast.values.shape  # days, blocks, levels
    (5, 96, 9)
    """
    dates = splits.out_of_sample
    split = np.repeat(["calibration", "test"], [len(splits.calibration), len(splits.test)])
    parts, refits, crossings = [], [], 0
    for days in shown(days_of_refits(dates, params), f"{name.upper()} models"):
        first = days[0]
        known, trainable = known_to_refit(market, first, splits, rules, (name,))
        models = {}
        for window in params.train_window_days:
            seen = trainable[trainable >= first - window] if window else trainable
            models[window] = train_quantile_models(
                name, *training_set(name, features, known, seen, rules), params, jobs
            )
        part, n_crossed = forecast_days(
            models, features, name, days, split[np.isin(dates, days)], rules
        )
        parts.append(part)
        crossings += n_crossed
        refits.append(
            {"first_day": first, "last_train_day": trainable[-1], "n_train_days": len(trainable)}
        )
    return WalkForward(
        reduce(QuantileForecast.followed_by, parts), crossings, models, pd.DataFrame(refits)
    )


def training_set(
    name: str, features: pd.DataFrame, known: Market, days: np.ndarray, rules: MarketParams
) -> tuple[pd.DataFrame, np.ndarray, dict[str, np.ndarray]]:
    """Features of some days, their prices (N,), and which of these sit on an atom."""
    rows = features[np.isin(day_of(features), days)]
    place = [known.index_of(day) for day in days]
    prices = prices_of(known, name)[place]
    at_atom = {
        "floor": prices <= rules.price_floor_rs_per_mwh,
        "cap": prices >= rules.caps_rs_per_mwh(days)[:, None],
    }
    return rows, prices.ravel(), {atom: hit.ravel() for atom, hit in at_atom.items()}


def forecast_days(
    models: Mapping[int, MarketModels],
    features: pd.DataFrame,
    market: str,
    dates: np.ndarray,
    split: np.ndarray,
    rules: MarketParams,
) -> tuple[QuantileForecast, int]:
    """Forecasts for some days: averaged over the models, sorted, joined with the atoms.

    Days whose last week has no price of some block cannot be forecast and are left out.

    Parameters
    ----------
    models : by training window
    market : "dam" or "rtm"
    features : frame of ``feature_frame`` that holds all of ``dates``
    dates, split : (D,) days and the name of the split each is in

    Returns
    -------
    forecast, and the number of crossings that sorting removed.
    """
    day = day_of(features)
    if absent := sorted(set(dates.astype(str)) - set(day.astype(str))):
        raise DataError(f"the features do not hold {', '.join(absent)}: run 01_features again")
    rows = features[np.isin(day, dates)]
    raw = np.mean([predict(fitted, rows, market) for fitted in models.values()], axis=0)
    chances = np.mean([predict_atoms(fitted, rows, market) for fitted in models.values()], axis=0)
    values = np.sort(raw, axis=1).reshape(len(dates), -1, raw.shape[1])
    p_floor, p_cap = chances.reshape(*values.shape[:2], len(ATOMS)).transpose(2, 0, 1)
    anchored = np.isfinite(values).all(axis=(1, 2))
    found = QuantileForecast(
        market,
        dates[anchored],
        split[anchored],
        tuple(next(iter(models.values())).quantiles),
        values[anchored],
        p_floor[anchored],
        p_cap[anchored],
    )
    caps = rules.caps_rs_per_mwh(found.dates)[:, None]
    values = with_atoms(found, rules.price_floor_rs_per_mwh, caps)
    return replace(found, values=values), count_crossings(raw)
