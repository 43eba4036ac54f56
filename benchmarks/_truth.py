"""The embedded market in hours, and what it would do if drawn again from the state at a gate."""

from __future__ import annotations

import datetime as dt

import numpy as np

from bessvpp.market import Market
from bessvpp.metrics import mean_of_known
from bessvpp.params import MarketParams, Params
from bessvpp.synthetic import continuations, simulate

START, N_DAYS = dt.date(2024, 1, 1), 731
PER_HOUR = 4


def hourly(prices: np.ndarray) -> np.ndarray:
    """Means over the hours of prices (..., 96); over the blocks with trade where some have none."""
    return mean_of_known(prices.reshape(*prices.shape[:-1], -1, PER_HOUR), axis=-1)


def hourly_market(seed: int) -> Market:
    """Two years of the embedded market in hours."""
    market = simulate(START, N_DAYS, seed)
    dam, rtm = hourly(market.dam_mcp), hourly(market.rtm_mcp)
    return Market(market.dates, dam, rtm, np.isnan(rtm), {}, is_synthetic=True)


def rules_of(params: Params, seed: int) -> MarketParams:
    """Rules that name the market of a seed."""
    told = {"synthetic_start": START, "synthetic_days": N_DAYS, "synthetic_seed": seed}
    return params.market.model_copy(update=told)


def true_paths(
    rules: MarketParams, date: np.datetime64, n_paths: int
) -> tuple[np.ndarray, np.ndarray]:
    """(n_paths, 24) hourly prices of both markets from the generator's own state at the gate."""
    dam, rtm = continuations(rules, date.item(), n_paths, path_seed=int(date.astype(int)))
    return hourly(dam), hourly(rtm)
