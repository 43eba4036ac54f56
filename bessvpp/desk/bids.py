"""The bid sheet: a schedule in whole bid steps, with the prices that make it clear."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from bessvpp.optimizer import bid_steps
from bessvpp.optimizer.bid_steps import whole_steps
from bessvpp.optimizer.bid_worth import StepBids
from bessvpp.optimizer.problem import Plan, Problem
from bessvpp.params.fields import block_clock
from bessvpp.params.market import MarketParams
from bessvpp.price_tick import SLACK
from bessvpp.settlement.session import Session

BID_BLOCKS = 96
"""The exchange takes bids by the quarter of an hour."""


SHEET_COLUMNS = ["date", "block", "start", "end", "side", "mw", "limit_price_rs_per_mwh"]


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
    cap = rules.cap_rs_per_mwh(date.astype(dt.date))
    rows = [
        _row(date, block, mw, rules.price_floor_rs_per_mwh if mw > 0 else cap)
        for block, mw in enumerate(bid_mw)
        if mw != 0
    ]
    return pd.DataFrame(rows, columns=SHEET_COLUMNS)


def worth_sheet(
    date: np.datetime64, bid_mw: np.ndarray, bids: StepBids, rules: MarketParams
) -> pd.DataFrame:
    """The sheet of bids at what they are worth: a row per 15-minute block and price.

    Each row bids so much more at its price. A block's steps are as alike in size as whole bid
    steps allow; those of one price are one row.
    """
    per_block = BID_BLOCKS // len(bid_mw)
    rows = [
        _row(date, t * per_block + quarter, mw, price)
        for t in range(len(bid_mw))
        for quarter in range(per_block)
        for price, mw in _priced_steps(float(bid_mw[t]), bids.limit[t], rules.bid_step_mw)
    ]
    return pd.DataFrame(rows, columns=SHEET_COLUMNS)


def _priced_steps(bid_mw: float, limit: np.ndarray, step_mw: float) -> list[tuple[float, float]]:
    """Prices of a block's bid and the power bid at each, from the first MWh to the last."""
    edges = np.round(np.linspace(0, round(abs(bid_mw) / step_mw), len(limit) + 1))
    at_price: dict[float, float] = {}
    for price, steps in zip(limit.tolist(), np.diff(edges), strict=True):
        if steps:
            at_price[price] = at_price.get(price, 0.0) + steps
    return [(price, np.sign(bid_mw) * _clean(n * step_mw)) for price, n in at_price.items()]


def session_sheet(date: np.datetime64, session: Session, rules: MarketParams) -> pd.DataFrame:
    """An RTM session's bids: the rows of ``price_steps`` for each 15-minute block.

    A session planned in hours bids the same in each quarter.
    """
    per_block = BID_BLOCKS // len(session.view.dam)
    cap = rules.cap_rs_per_mwh(date.astype(dt.date))
    rows = []
    for place, wanted in enumerate(session.bid_mw.sum(axis=0)):
        steps = price_steps(session.edges[place], wanted, rules, cap)
        first = (session.view.first + place) * per_block
        rows += [
            _row(date, block, mw if side == "sell" else -mw, price)
            for block in range(first, first + per_block)
            for side, mw, price in steps
        ]
    return pd.DataFrame(rows, columns=SHEET_COLUMNS)


def price_steps(
    edges: np.ndarray, mw: np.ndarray, rules: MarketParams, cap: float
) -> list[tuple[str, float, float]]:
    """Single bids (side, MW, limit price) that together trade a rising curve.

    The curve trades ``mw[z]`` (Z,) up to the price ``edges[z]`` (Z - 1,). Quantities are taken to
    whole bid steps towards no trade, so that no bid asks for more than the curve; limit prices are
    on the tick. Bids of one side at one price are one.
    """
    step, tick = rules.bid_step_mw, rules.bid_price_tick_rs_per_mwh
    whole = np.sign(mw) * np.floor(np.abs(_clean(mw)) / step + SLACK) * step
    sold, bought = np.maximum(whole, 0), np.maximum(-whole, 0)
    found: dict[tuple[str, float], float] = {}
    limits = np.floor(edges / tick) * tick
    sales = np.diff(sold, prepend=0.0)
    for price, more in zip([rules.price_floor_rs_per_mwh, *limits + tick], sales, strict=True):
        found["sell", float(price)] = found.get(("sell", float(price)), 0.0) + more
    purchases = -np.diff(bought, append=0.0)
    for price, more in zip([*limits, cap], purchases, strict=True):
        found["buy", float(price)] = found.get(("buy", float(price)), 0.0) + more
    return [
        (side, float(_clean(mw)), price)
        for (side, price), mw in found.items()
        if mw > step / 2 and price <= cap
    ]


def _row(date: np.datetime64, block: int, mw: float, price: float) -> dict[str, object]:
    """A bid of a quarter of an hour, as the exchange takes it; positive power sells."""
    start, end = (block_clock(at, BID_BLOCKS) for at in (block, block + 1))
    side = "sell" if mw > 0 else "buy"
    row = (str(date), block + 1, start, end, side, abs(mw), price)
    return dict(zip(SHEET_COLUMNS, row, strict=True))


def _clean(mw: np.ndarray) -> np.ndarray:
    """Steps as decimals without binary dust, and no negative zero."""
    return np.round(mw, 6) + 0.0
