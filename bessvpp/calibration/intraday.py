"""Fans at the gates within the day, recalibrated and scored by distance ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd

from bessvpp.calibration.conformal import KnownResiduals, day_shifts, shifted
from bessvpp.calibration.coverage import mean_miscoverage, mean_pinball
from bessvpp.calibration.scores import interval_levels
from bessvpp.forecasting.intraday import GateFans
from bessvpp.market.history import Market
from bessvpp.params.forecast import ForecastParams
from bessvpp.params.market import MarketParams

QUARTER_HOURS = 6
"""Residuals are shared within a quarter of the day: the spread is widest after sunset."""
DISTANCES_H = (0, 1, 3, 8, 24)
"""Edges of the distances ahead by which fans are scored."""


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
