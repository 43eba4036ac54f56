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
from bessvpp.settlement.session import Session

BID_BLOCKS = 96
"""The exchange takes bids by the quarter of an hour."""


BID_TICK_RS = 1.0
"""Prices of bids are whole rupees per MWh."""
SHEET_COLUMNS = ["date", "block", "start", "end", "side", "mw", "limit_price_rs_per_mwh"]


def in_bid_steps(
    problem: Problem, plan: Plan, step_mw: float
) -> tuple[np.ndarray | None, np.ndarray]:
    """A plan's schedule in whole bid steps: (U, T) by unit if physical, and (T,) in all.

    The plan's powers are taken to 1e-6 MW, and half a step rounds up, so that what a solver
    leaves in the last bits moves no bid.
    """
    if plan.unit_dam_mw is None:
        most = whole_steps(problem.bess.connection_limit_mw, step_mw)
        half_up = np.floor(_clean(plan.dam_mw) / step_mw + (0.5 + SLACK))
        steps = np.clip(half_up, -most, most)
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
    return pd.DataFrame(rows, columns=SHEET_COLUMNS)


def session_sheet(date: np.datetime64, session: Session, rules: MarketParams) -> pd.DataFrame:
    """An RTM session's bids: the rows of ``price_steps`` for each 15-minute block.

    A session planned in hours bids the same in each quarter.
    """
    per_block = BID_BLOCKS // len(session.view.dam)
    minutes = 24 * 60 // BID_BLOCKS
    cap = rules.cap_rs_per_mwh(date.astype(dt.date))
    rows = []
    for place, mw in enumerate(session.bid_mw.sum(axis=0)):
        steps = price_steps(session.edges[place], mw, rules, cap)
        first = (session.view.first + place) * per_block
        for block in range(first, first + per_block):
            rows += [
                dict(
                    zip(
                        SHEET_COLUMNS,
                        (str(date), block + 1, *_span(block, minutes), *step),
                        strict=True,
                    )
                )
                for step in steps
            ]
    return pd.DataFrame(rows, columns=SHEET_COLUMNS)


def price_steps(
    edges: np.ndarray, mw: np.ndarray, rules: MarketParams, cap: float
) -> list[tuple[str, float, float]]:
    """Single bids (side, MW, limit price) that together trade a rising curve.

    The curve trades ``mw[z]`` (Z,) up to the price ``edges[z]`` (Z - 1,). Quantities are taken to
    whole bid steps towards no trade, so that no bid asks for more than the curve; limit prices are
    whole rupees. Bids of one side at one price are one.
    """
    step = rules.bid_step_mw
    whole = np.sign(mw) * np.floor(np.abs(_clean(mw)) / step + SLACK) * step
    sold, bought = np.maximum(whole, 0), np.maximum(-whole, 0)
    found: dict[tuple[str, float], float] = {}
    limits = np.floor(edges)
    sales = np.diff(sold, prepend=0.0)
    for price, more in zip(
        [rules.price_floor_rs_per_mwh, *limits + BID_TICK_RS], sales, strict=True
    ):
        found["sell", float(price)] = found.get(("sell", float(price)), 0.0) + more
    purchases = -np.diff(bought, append=0.0)
    for price, more in zip([*limits, cap], purchases, strict=True):
        found["buy", float(price)] = found.get(("buy", float(price)), 0.0) + more
    return [
        (side, float(_clean(mw)), price)
        for (side, price), mw in found.items()
        if mw > step / 2 and price <= cap
    ]


def _span(block: int, minutes: int) -> tuple[str, str]:
    """Start and end of a block."""
    start, end = (f"{m // 60:02d}:{m % 60:02d}" for m in (block * minutes, (block + 1) * minutes))
    return start, end


def _clean(mw: np.ndarray) -> np.ndarray:
    """Steps as decimals without binary dust, and no negative zero."""
    return np.round(mw, 6) + 0.0
