"""What the RTM is expected to pay for the rest of a day, at the gate of each of its sessions.

At a session's gate the DAM of the day is published and the RTM is known until an hour or so
before delivery. One LightGBM model expects the spread RTM - DAM of every later block from the
spreads just seen, those of past days, the DAM around it and the distance ahead. Expected, not
median: a sale is worth its mean.

All sessions of a day stand at the same distance from what they know, so features are cut out
of one long series; a test holds them against ``Market.known_at``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bessvpp.artefacts import RunFolder
from bessvpp.errors import DataError
from bessvpp.forecast import fit, read_model
from bessvpp.market import Market, is_sunday
from bessvpp.metrics import mean_of_known
from bessvpp.params import ForecastParams, MarketParams

if TYPE_CHECKING:
    from lightgbm import Booster

RECENT_HOURS = (1, 3, 8)
WEEK_DAYS = 7
TRAIN_STEP_HOURS = 3
"""Training looks from every third hour, each day from another one: more would repeat itself."""


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


def train(market: Market, days: np.ndarray, rules: MarketParams, params: ForecastParams) -> Booster:
    """The model of the spread, from days that the quantile models are trained on.

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
    x = pd.concat(frames, ignore_index=True)
    return fit(
        x[known],
        y[known],
        {"objective": "regression"},
        params.intraday_lightgbm,
        params.intraday_n_estimators,
        params.model_seed,
    )


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


def save(run: RunFolder, model: Booster) -> None:
    """Write ``models/rtm/intraday.txt``."""
    run.write_text("models/rtm/intraday.txt", model.model_to_string())


def load(run: RunFolder) -> Booster:
    """Read ``models/rtm/intraday.txt``."""
    return read_model(run.existing("models/rtm/intraday.txt"))
