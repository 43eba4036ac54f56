"""The bid sheet: a schedule in whole bid steps, with the prices that make it clear."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from bessvpp.optimizer import bid_steps
from bessvpp.optimizer.bid_steps import whole_steps
from bessvpp.optimizer.problem import Plan, Problem
from bessvpp.params.market import MarketParams
from bessvpp.price_tick import SLACK

BID_BLOCKS = 96
"""The exchange takes bids by the quarter of an hour."""


def in_bid_steps(
    problem: Problem, plan: Plan, step_mw: float
) -> tuple[np.ndarray | None, np.ndarray]:
    """A plan's schedule in whole bid steps: (U, T) by unit if physical, and (T,) in all.

    The plan's powers are taken to 1e-6 MW, and half a step rounds up, so that what a solver
    leaves in the last bits moves no bid.
    """
    if plan.unit_dam_mw is None:
        bess = problem.bess
        most = whole_steps(bess.connection_limit_mw, step_mw)
        least = -whole_steps(bess.import_limit_mw, step_mw)
        half_up = np.floor(_clean(plan.dam_mw) / step_mw + (0.5 + SLACK))
        steps = np.clip(half_up, least, most)
        return None, _clean(steps * step_mw)
    unit_mw = bid_steps.round_to_steps(problem, _clean(plan.unit_dam_mw), step_mw)
    return unit_mw, _clean(np.round(unit_mw.sum(axis=0) / step_mw) * step_mw)


def bid_sheet(date: np.datetime64, bid_mw: np.ndarray, rules: MarketParams) -> pd.DataFrame:
    """The sheet to submit: a row per 15-minute block with a bid.

    A plan made in hours bids the same in each quarter. Bids are price-taking, so that what
    clears is the plan: sales at the floor, purchases at the cap.
    """
    bid_mw = np.repeat(bid_mw, BID_BLOCKS // len(bid_mw))
    minutes = 24 * 60 // BID_BLOCKS
    clock = [f"{m // 60:02d}:{m % 60:02d}" for m in range(0, 24 * 60 + 1, minutes)]
    cap = rules.cap_rs_per_mwh(date.astype(dt.date))
    rows = [
        {
            "date": str(date),
            "block": t + 1,
            "start": clock[t],
            "end": clock[t + 1],
            "side": "sell" if mw > 0 else "buy",
            "mw": abs(mw),
            "limit_price_rs_per_mwh": rules.price_floor_rs_per_mwh if mw > 0 else cap,
        }
        for t, mw in enumerate(bid_mw)
        if mw != 0
    ]
    columns = ["date", "block", "start", "end", "side", "mw", "limit_price_rs_per_mwh"]
    return pd.DataFrame(rows, columns=columns)


def _clean(mw: np.ndarray) -> np.ndarray:
    """Steps as decimals without binary dust, and no negative zero."""
    return np.round(mw, 6) + 0.0
