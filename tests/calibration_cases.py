"""A capped market and what tests of the calibration do to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from small_cases import make_market, make_params

from bessvpp.calibration.methods import method_names
from bessvpp.forecasting.features import feature_frame
from bessvpp.market.history import Market

PARAMS = make_params()
LEVELS = PARAMS.forecast.levels
METHODS = (*method_names(PARAMS.forecast), "two_sided")


def capped_market(n_days: int, seed: int = 0) -> Market:
    """Dear evenings: many of their blocks sit at the cap, in spells of days."""
    market = make_market(n_days, seed=seed)
    rng = np.random.default_rng(seed + 100)
    tight = np.cumsum(rng.normal(0, 1, n_days)) * 700
    evening = 3000 * np.exp(-(((np.arange(24) - 20) / 2.5) ** 2))
    lift = evening + tight[:, None] * (evening > 500)
    return replace(
        market,
        dam_mcp=np.clip(market.dam_mcp + lift, 0, 10_000),
        rtm_mcp=np.clip(market.rtm_mcp + lift, 0, 10_000),
    )


def features_of(market, params):
    return feature_frame(market, market.dates[params.forecast.warmup_days :], params.market)


def after_the_gate(market: Market, date: np.datetime64) -> Market:
    """The market with everything changed that the day's gate does not know."""
    day = market.index_of(date)
    dam, rtm = market.dam_mcp.copy(), market.rtm_mcp.copy()
    dam[day:], rtm[day:], rtm[day - 1, 11:] = 1111.0, 2222.0, 3333.0
    return replace(market, dam_mcp=dam, rtm_mcp=rtm)
