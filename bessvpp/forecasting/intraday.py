"""What the RTM may pay for the rest of a day, at the gates of its sessions.

At a session's gate the DAM of the day is published and the RTM is known until an hour or so
before delivery. One LightGBM model expects the spread RTM - DAM of every later block from the
spreads just seen, those of past days, the DAM around it and the distance ahead. Expected, not
median: a sale is worth its mean. Further models, one a level, are fitted to the same days for
its quantiles, which are recalibrated by what earlier gates missed.

All sessions of a day stand at the same distance from what they know, so features are cut out
of one long series; a test holds them against ``Market.known_at``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bessvpp.calibration.conformal import KnownResiduals, day_shifts, shifted
from bessvpp.calibration.scores import interval_levels, mean_miscoverage
from bessvpp.errors import DataError
from bessvpp.forecasting.boosting import fit, read_model
from bessvpp.market.history import Market, is_sunday
from bessvpp.params.load import ForecastParams, MarketParams, level_name
from bessvpp.risk import mean_of_known, mean_pinball
from bessvpp.runs.folder import RunFolder

if TYPE_CHECKING:
    from lightgbm import Booster


RECENT_HOURS = (1, 3, 8)
WEEK_DAYS = 7
TRAIN_STEP_HOURS = 3
"""Training looks from every third hour, each day from another one: more would repeat itself."""
FAN_STEP_HOURS = 2
"""Fans are made at the gate of the first session of every second hour."""
QUARTER_HOURS = 6
"""Residuals are shared within a quarter of the day: the spread is widest after sunset."""
DISTANCES_H = (0, 1, 3, 8, 24)
"""Edges of the distances ahead by which fans are scored."""


def session_starts(rules: MarketParams, n_blocks: int) -> np.ndarray:
    """(G,) first block of each decision of a day: a session's, or a whole block's if longer."""
    minutes = 24 * 60 // n_blocks
    step = max(rules.rtm_session_minutes // minutes, 1)
    return np.arange(0, n_blocks, step)


def blocks_behind(rules: MarketParams, n_blocks: int) -> int:
    """Blocks from the latest known RTM price to the first one that is decided on.

    The gate closes ``rtm_gate_minutes`` before delivery. A block is known from the delivery
    start of the last session that it covers.
    """
    minutes = 24 * 60 // n_blocks
    covered = (minutes - 1) // rules.rtm_session_minutes * rules.rtm_session_minutes
    if minutes < rules.rtm_session_minutes:  # a session's later blocks are known with its first
        in_session = rules.rtm_session_minutes // minutes
        sessions = -(-rules.rtm_gate_minutes // rules.rtm_session_minutes)
        return (sessions - 1) * in_session + 1
    return -(-(rules.rtm_gate_minutes + covered) // minutes)


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
    n = market.n_blocks
    oldest = max(day - WEEK_DAYS - 1, 0)  # the first day that is read
    recent = slice(oldest, day + 1)
    spread = (market.rtm_mcp[recent] - market.dam_mcp[recent]).ravel()
    latest = day * n + first_block - blocks_behind(rules, n)  # place of the latest known spread
    ahead = np.arange(first_block, n)
    dam = market.dam_mcp[day]
    cap = rules.cap_rs_per_mwh(market.dates[day].item())

    def at(places: np.ndarray) -> np.ndarray:
        """Spreads at places of the long series, NaN where none is known."""
        known = (places >= 0) & (places <= latest)
        return np.where(known, spread[np.clip(places - oldest * n, 0, spread.size - 1)], np.nan)

    week = day * n + ahead - n * np.arange(1, WEEK_DAYS + 2)[:, None]
    past = at(week)
    constant = {
        "latest": at(np.array([latest]))[0],
        **{
            f"mean_{hours}h": mean_of_known(at(latest - np.arange(hours * n // 24)))
            for hours in RECENT_HOURS
        },
        "dam_mean": dam.mean(),
        "dam_at_latest": market.dam_mcp.ravel()[latest] if latest >= 0 else np.nan,
        "is_sunday": float(is_sunday(market.dates[day])),
    }
    rows = {
        "horizon_h": (ahead - first_block) * 24 / n,
        "hour": ahead * 24 / n,
        "dam": dam[ahead],
        "dam_rank": np.argsort(np.argsort(dam))[ahead] / n,
        "dam_at_cap": (dam[ahead] >= cap).astype(float),
        "day_before": np.where(np.isfinite(past[0]), past[0], past[1]),
        "week_mean": mean_of_known(past),
    }
    return pd.DataFrame(rows | {k: np.full(len(ahead), v) for k, v in constant.items()})


def training_set(
    market: Market, days: np.ndarray, rules: MarketParams
) -> tuple[pd.DataFrame, np.ndarray]:
    """Features (N, F) at gates of some days, and the spreads (N,) that followed [Rs/MWh].

    Raises
    ------
    DataError
        where no day has a spread.
    """
    n = market.n_blocks
    per_hour = n // 24
    frames, targets = [], []
    for date in days:
        day = market.index_of(date)
        for hour in range(day % TRAIN_STEP_HOURS, 24, TRAIN_STEP_HOURS):
            first = hour * per_hour
            frames.append(features_at(market, day, first, rules))
            targets.append(market.rtm_mcp[day, first:] - market.dam_mcp[day, first:])
    y = np.concatenate(targets) if targets else np.array([])
    known = np.isfinite(y)
    if not known.any():
        raise DataError("no RTM price on any training day: nothing to learn the spread from")
    return pd.concat(frames, ignore_index=True)[known], y[known]


def train(x: pd.DataFrame, y: np.ndarray, params: ForecastParams) -> Booster:
    """The model of the expected spread, from a ``training_set``."""
    return fit(
        x,
        y,
        {"objective": "regression"},
        params.intraday_lightgbm,
        params.intraday_n_estimators,
        params.model_seed,
    )


def train_quantiles(x: pd.DataFrame, y: np.ndarray, params: ForecastParams) -> dict[float, Booster]:
    """A model of the spread for each level, from a ``training_set``.

    Their trees are those of the expected spread, their number that of the other quantile
    models, which had the smaller pinball loss on calibration days of the embedded market.
    """
    return {
        level: fit(
            x,
            y,
            {"objective": "quantile", "alpha": level},
            params.intraday_lightgbm,
            params.n_estimators,
            params.model_seed,
        )
        for level in params.levels
    }


def expected_days(
    model: Booster, market: Market, dates: np.ndarray, rules: MarketParams
) -> np.ndarray:
    """(D, G, T) expected RTM prices at each gate of each day; NaN for blocks before the gate's."""
    starts = session_starts(rules, market.n_blocks)
    expected = np.full((len(dates), len(starts), market.n_blocks), np.nan)
    for d, date in enumerate(dates):
        day = market.index_of(date)
        frames = [features_at(market, day, first, rules) for first in starts]
        cap = rules.cap_rs_per_mwh(date.item())
        spread = model.predict(pd.concat(frames).to_numpy(), num_threads=1)
        by_gate = np.split(spread, np.cumsum([len(frame) for frame in frames])[:-1])
        for k, (first, ahead) in enumerate(zip(starts, by_gate, strict=True)):
            price = market.dam_mcp[day, first:] + ahead
            expected[d, k, first:] = np.clip(price, rules.price_floor_rs_per_mwh, cap)
    return expected


@dataclass(frozen=True)
class GateFans:
    """Quantile forecasts of the RTM at gates within days: D days, G gates, T blocks, L levels."""

    dates: np.ndarray  # (D,) datetime64[D], rising
    starts: np.ndarray  # (G,) first block that each gate decides on
    levels: tuple[float, ...]  # L
    values: np.ndarray  # (D, G, T, L) Rs/MWh, rising along the levels; NaN before a gate's block

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


def fan_starts(rules: MarketParams, n_blocks: int) -> np.ndarray:
    """(G,) first blocks of the gates that fans are made for."""
    starts = session_starts(rules, n_blocks)
    return starts[starts % (FAN_STEP_HOURS * n_blocks // 24) == 0]


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
        day = market.index_of(date)
        x = pd.concat([features_at(market, day, first, rules) for first in starts]).to_numpy()
        spread = np.column_stack([model.predict(x, num_threads=1) for model in models.values()])
        price = np.broadcast_to(market.dam_mcp[day], ahead.shape)[ahead][:, None] + spread
        cap = rules.cap_rs_per_mwh(date.item())
        values[d, ahead] = np.clip(np.sort(price, axis=1), rules.price_floor_rs_per_mwh, cap)
    return GateFans(np.asarray(dates), np.asarray(starts), tuple(models), values)


def recalibrated_days(
    fans: GateFans,
    market: Market,
    dates: np.ndarray,
    rules: MarketParams,
    params: ForecastParams,
) -> GateFans:
    """The fans of some days, each level shifted by what earlier gates missed (``conformal``).

    A block is shifted by the residuals of blocks as far ahead, to the hour, and in the same
    quarter of the day, whatever their gate; where these are too few, by those within four
    hours, then by all of the quarter, then by all. They are those of ``calibration_days`` days
    up to the day before yesterday, which every gate of a day knows as a whole: so one set of
    shifts serves all gates of a day. An outcome counts once for each gate that forecast it, so
    fewer residuals are independent than ``min_group_size`` says.

    Parameters
    ----------
    fans : out of sample, of ``dates`` and of the days before

    Raises
    ------
    DataError
        where a day has too few residuals before it; names n and the level.
    """
    n_blocks, n_levels = fans.values.shape[2:]
    rows = [market.index_of(day) for day in fans.dates]
    missed = market.rtm_mcp[rows][:, None, :, None] - fans.values
    quarter = np.arange(n_blocks) // (QUARTER_HOURS * n_blocks // 24)
    quarters = np.unique(quarter)
    residuals = np.full(missed.shape, np.nan)  # its blocks counted from the gate's first one
    quarter_of = np.full(missed.shape[1:3], -1)
    for g, first in enumerate(fans.starts):
        residuals[:, g, : n_blocks - first] = missed[:, g, first:]
        quarter_of[g, : n_blocks - first] = quarter[first:]
    wanted = fans.on(dates)
    values = np.empty(wanted.values.shape)
    for d, date in enumerate(wanted.dates):
        known = np.flatnonzero(fans.dates < date - 1)[-params.calibration_days :]
        past = residuals[known].reshape(-1, n_blocks, n_levels)
        regime = np.tile(quarter_of, (len(known), 1))
        delta = np.stack(
            [
                day_shifts(
                    KnownResiduals(past, regime, np.full(n_blocks, one)),
                    fans.levels,
                    params.min_group_size,
                ).delta
                for one in quarters
            ]
        )[quarter, np.maximum(fans.ahead, 0)]
        cap = rules.cap_rs_per_mwh(date.item())
        values[d] = shifted(wanted.values[d], delta, rules.price_floor_rs_per_mwh, cap)
    return replace(wanted, values=values)


def score_by_distance(
    outcome: np.ndarray, fans: Mapping[str, np.ndarray], ahead: np.ndarray, levels: Sequence[float]
) -> pd.DataFrame:
    """Pinball loss [Rs/MWh], share inside the 80 % interval and miscoverage, by hours ahead.

    Parameters
    ----------
    outcome : (D, T) prices, NaN where there is none
    fans : (D, G, T, L) by name
    ahead : (G, T) blocks from a gate's first one, see ``GateFans``

    Returns
    -------
    a row a distance, columns (score, fan).
    """
    n_blocks = outcome.shape[1]
    low, high = interval_levels(levels)
    rows = {}
    for near, far in pairwise(DISTANCES_H):
        chosen = (ahead >= near * n_blocks // 24) & (ahead < far * n_blocks // 24)
        seen = np.where(chosen, outcome[:, None, :], np.nan).reshape(-1, n_blocks)
        row = {}
        for name, fan in fans.items():
            values = fan.reshape(*seen.shape, len(levels))
            inside = (seen >= values[..., low]) & (seen <= values[..., high])
            row["pinball", name] = mean_pinball(seen, values, levels)
            row["inside", name] = inside[np.isfinite(seen)].mean()
            row["miscoverage", name] = mean_miscoverage(seen, values, levels)
        label = f"{near} to {far} h" if far < DISTANCES_H[-1] else f"beyond {near} h"
        rows[label] = row
    table = pd.DataFrame(rows).T
    return table[["pinball", "inside", "miscoverage"]].rename_axis("ahead")


def save(run: RunFolder, model: Booster) -> None:
    """Write ``models/rtm/intraday.txt``."""
    run.write_text("models/rtm/intraday.txt", model.model_to_string())


def load(run: RunFolder) -> Booster:
    """Read ``models/rtm/intraday.txt``."""
    return read_model(run.existing("models/rtm/intraday.txt"))


def save_quantiles(run: RunFolder, models: Mapping[float, Booster]) -> None:
    """Write ``models/rtm/intraday_q10.txt`` and so on, one a level."""
    for level, model in models.items():
        run.write_text(_quantile_file(level), model.model_to_string())


def load_quantiles(run: RunFolder, levels: tuple[float, ...]) -> dict[float, Booster]:
    """Read the models of some levels back."""
    run.existing("models")
    return {level: read_model(run.path / _quantile_file(level)) for level in levels}


def _quantile_file(level: float) -> str:
    return f"models/rtm/intraday_{level_name(level)}.txt"
