"""What the RTM may pay for the rest of a day, at the gates of its sessions.

At a session's gate the DAM of the day is published and the RTM is known until an hour or so
before delivery. A LightGBM model expects the spread RTM - DAM of every later block from the
spreads just seen, those of past days, the DAM around it and the distance ahead. Expected, not
median: a sale is worth its mean. It is refitted as those of the DAM gate are. Further models, one
a level, are fitted to the training days alone for its quantiles, which are recalibrated by what
earlier gates missed.

All sessions of a day stand at the same distance from what they know, so features are cut out
of one long series; a test holds them against ``Market.known_at``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from bessvpp.errors import DataError
from bessvpp.forecasting.boosting import fit_each
from bessvpp.forecasting.splits import Splits, days_of_refits, known_to_refit
from bessvpp.market.clock import blocks_behind, is_sunday, session_starts
from bessvpp.market.history import Market, mean_of_known
from bessvpp.params.forecast import ForecastParams
from bessvpp.params.market import MarketParams
from bessvpp.price_tick import on_price_tick

if TYPE_CHECKING:
    from lightgbm import Booster


RECENT_HOURS = (1, 3, 8)
WEEK_DAYS = 7
TRAIN_STEP_HOURS = 3
"""Training looks from every third hour, each day from another one: more would repeat itself."""


def features_at(market: Market, day: int, first_block: int, rules: MarketParams) -> pd.DataFrame:
    """Features of the blocks from ``first_block`` on, at the gate of that block's session.

    Parameters
    ----------
    market : history to the day or beyond; nothing after the gate is read, but the day's DAM
    day : place of the delivery day in the history
    first_block : of the day, one of ``session_starts``

    Returns
    -------
    frame of T - first_block rows; NaN where something is not known.
    """
    return pd.DataFrame(_columns_at(market, day, np.array([first_block]), rules))


def _columns_at(
    market: Market, day: int, starts: np.ndarray, rules: MarketParams
) -> dict[str, np.ndarray]:
    """The columns of ``features_at``, (N,) each, at gates of a day, one gate below the other."""
    n = market.n_blocks
    oldest = max(day - WEEK_DAYS - 1, 0)  # the first day that is read
    recent = slice(oldest, day + 1)
    spread = (market.rtm_mcp[recent] - market.dam_mcp[recent]).ravel()
    latest = day * n + starts - blocks_behind(rules, n)  # places of the latest known spreads
    gate, ahead = np.nonzero(np.arange(n) >= starts[:, None])
    dam = market.dam_mcp[day]
    cap = rules.cap_rs_per_mwh(market.dates[day].item())

    def at(places: np.ndarray, latest: np.ndarray) -> np.ndarray:
        """Spreads at places of the long series, NaN where none is known."""
        known = (places >= 0) & (places <= latest)
        return np.where(known, spread[np.clip(places - oldest * n, 0, spread.size - 1)], np.nan)

    week = day * n + ahead - n * np.arange(1, WEEK_DAYS + 2)[:, None]
    past = at(week, latest[gate])
    hours = {h: latest[:, None] - np.arange(h * n // 24) for h in RECENT_HOURS}
    of_gate = {
        "latest": at(latest, latest),
        **{
            f"mean_{h}h": mean_of_known(at(places, latest[:, None]), axis=1)
            for h, places in hours.items()
        },
        "dam_mean": np.full(len(starts), dam.mean()),
        "dam_at_latest": np.where(latest >= 0, market.dam_mcp.ravel()[latest], np.nan),
        "is_sunday": np.full(len(starts), float(is_sunday(market.dates[day]))),
    }
    rows = {
        "horizon_h": (ahead - starts[gate]) * 24 / n,
        "hour": ahead * 24 / n,
        "dam": dam[ahead],
        "dam_rank": np.argsort(np.argsort(dam, kind="stable"))[ahead] / n,  # equal prices in order
        "dam_at_cap": (dam[ahead] >= cap).astype(float),
        "day_before": np.where(np.isfinite(past[0]), past[0], past[1]),
        "week_mean": mean_of_known(past),
    }
    return rows | {name: values[gate] for name, values in of_gate.items()}


def _rows_at(
    market: Market, date: np.datetime64, starts: np.ndarray, rules: MarketParams
) -> np.ndarray:
    """(N, F) features of the rest of a day at some of its gates, one gate below the other."""
    return np.column_stack(list(_columns_at(market, market.index_of(date), starts, rules).values()))


def spread_training_set(
    market: Market, days: np.ndarray, rules: MarketParams
) -> tuple[pd.DataFrame, np.ndarray]:
    """Features (N, F) at gates of some days, and the spreads (N,) that followed [Rs/MWh].

    Raises
    ------
    DataError
        where no day has a spread.
    """
    n = market.n_blocks
    columns, targets = [], list[np.ndarray]()
    for date in days:
        day = market.index_of(date)
        starts = np.arange(day % TRAIN_STEP_HOURS, 24, TRAIN_STEP_HOURS) * (n // 24)
        columns.append(_columns_at(market, day, starts, rules))
        spread = market.rtm_mcp[day] - market.dam_mcp[day]
        targets.extend(spread[first:] for first in starts)
    y = np.concatenate(targets) if targets else np.array([])
    known = np.isfinite(y)
    if not known.any():
        raise DataError("no RTM price on any training day: nothing to learn the spread from")
    x = {name: np.concatenate([of_day[name] for of_day in columns]) for name in columns[0]}
    return pd.DataFrame(x)[known], y[known]


def train_spread_model(x: pd.DataFrame, y: np.ndarray, params: ForecastParams) -> Booster:
    """The model of the expected spread, from a ``training_set``."""
    (model,) = fit_each(
        x,
        [({"objective": "regression"}, y)],
        params.intraday_lightgbm,
        params.intraday_n_estimators,
        params.model_seed,
    )
    return model


def walk_forward_spreads(
    market: Market, splits: Splits, params: ForecastParams, rules: MarketParams, jobs: int = 1
) -> dict[np.datetime64, Booster]:
    """Models of the expected spread, refitted every ``retrain_every_days``.

    Each sees the days from the first training day on that are wholly known at the DAM gate of
    the first day that it forecasts, by which the models are listed.
    """

    def refit(first: np.datetime64) -> Booster:
        known, seen = known_to_refit(market, first, splits, rules)
        return train_spread_model(*spread_training_set(known, seen, rules), params)

    firsts = [days[0] for days in days_of_refits(splits.out_of_sample, params)]
    fitted = Parallel(n_jobs=jobs, prefer="threads")(delayed(refit)(first) for first in firsts)
    return dict(zip(firsts, fitted, strict=True))


def model_for(models: Mapping[np.datetime64, Booster], date: np.datetime64) -> Booster:
    """The latest model of the expected spread that was fitted before a day.

    Raises
    ------
    DataError
        where every model was fitted later.
    """
    fitted = [first for first in models if first <= date]
    if not fitted:
        raise DataError(f"no model of the spread within the day was fitted before {date}")
    return models[max(fitted)]


def train_quantiles(
    x: pd.DataFrame, y: np.ndarray, params: ForecastParams, jobs: int = 1
) -> dict[float, Booster]:
    """A model of the spread for each level, from a ``training_set``.

    Their trees are those of the expected spread, their number that of the other quantile
    models, which had the smaller pinball loss on calibration days of the embedded market.
    """
    fitted = fit_each(
        x,
        [({"objective": "quantile", "alpha": level}, y) for level in params.levels],
        params.intraday_lightgbm,
        params.n_estimators,
        params.model_seed,
        jobs,
    )
    return dict(zip(params.levels, fitted, strict=True))


def expected_days(
    models: Mapping[np.datetime64, Booster],
    market: Market,
    dates: np.ndarray,
    rules: MarketParams,
    n_gates: int | None = None,
) -> np.ndarray:
    """(D, G, T) expected RTM prices at each gate of each day; NaN for blocks before the gate's.

    Each day is forecast by the ``model_for`` it. ``n_gates`` asks for the first gates of a day
    alone.
    """
    starts = session_starts(rules, market.n_blocks)[:n_gates]
    expected = np.full((len(dates), len(starts), market.n_blocks), np.nan)
    for d, date in enumerate(dates):
        cap, dam = rules.cap_rs_per_mwh(date.item()), market.dam_mcp[market.index_of(date)]
        rows = _rows_at(market, date, starts, rules)
        spread = model_for(models, date).predict(rows, num_threads=1)
        by_gate = np.split(spread, np.cumsum(market.n_blocks - starts)[:-1])
        for k, (first, ahead) in enumerate(zip(starts, by_gate, strict=True)):
            price = dam[first:] + ahead
            price = np.clip(price, rules.price_floor_rs_per_mwh, cap)
            expected[d, k, first:] = on_price_tick(price)
    return expected


@dataclass(frozen=True)
class GateFans:
    """Quantile forecasts of the RTM at gates within days: D days, G gates, T blocks, L levels.

    However they are made, their prices are on the exchange's tick (``price_tick``).
    """

    dates: np.ndarray  # (D,) datetime64[D], rising
    starts: np.ndarray  # (G,) first block that each gate decides on
    levels: tuple[float, ...]  # L
    values: np.ndarray  # (D, G, T, L) Rs/MWh, rising along the levels; NaN before a gate's block

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", on_price_tick(self.values))

    def on(self, dates: np.ndarray) -> GateFans:
        """The same on some of its days; ``DataError`` where one is missing."""
        chosen = np.isin(self.dates, dates)
        if chosen.sum() < len(dates):
            missing = ", ".join(str(day) for day in dates if day not in self.dates)
            raise DataError(f"no fan within the day of {missing}")
        return replace(self, dates=self.dates[chosen], values=self.values[chosen])

    @property
    def ahead(self) -> np.ndarray:
        """(G, T) blocks from a gate's first one to each block; negative before it."""
        return np.arange(self.values.shape[2]) - self.starts[:, None]


def quantile_days(
    models: Mapping[float, Booster],
    market: Market,
    dates: np.ndarray,
    starts: np.ndarray,
    rules: MarketParams,
) -> GateFans:
    """Fans of the rest of each day at some of its gates: DAM plus spread, within floor and cap.

    Parameters
    ----------
    models : by level, rising
    starts : (G,) some of ``session_starts``
    """
    ahead = np.arange(market.n_blocks) >= starts[:, None]  # (G, T)
    values = np.full((len(dates), *ahead.shape, len(models)), np.nan)
    for d, date in enumerate(dates):
        x = _rows_at(market, date, starts, rules)
        spread = np.column_stack([model.predict(x, num_threads=1) for model in models.values()])
        dam = market.dam_mcp[market.index_of(date)]
        price = np.broadcast_to(dam, ahead.shape)[ahead][:, None] + spread
        cap = rules.cap_rs_per_mwh(date.item())
        values[d, ahead] = np.clip(np.sort(price, axis=1), rules.price_floor_rs_per_mwh, cap)
    return GateFans(np.asarray(dates), np.asarray(starts), tuple(models), values)
