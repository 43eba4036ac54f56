"""What two kinds of DAM bids earn on the same schedules: at any price, and at what they are worth.

The schedules are those of the two-stage plan. Bid at any price they clear whole. Bid at the prices
where each block's trade stops being worth it (``optimizer.bid_worth``), a block clears as far as
the realised price is good for it, and the rest of the day goes on with what did: the next schedule
still starts from the energy planned for its midnight, which the RTM can bring. Both are settled
without the RTM and, where a window says what its gates expect, with causal recourse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from bessvpp import battery
from bessvpp.backtest.policies import Commitment, TwoStage
from bessvpp.backtest.simulate import commit_chain, planned_starts, settle_chain
from bessvpp.backtest.window import Window
from bessvpp.optimizer.bid_worth import bids_at_worth
from bessvpp.risk import cvar
from bessvpp.settlement.day import AS_COMMITTED, CAUSAL

ANY_PRICE, WORTH = "any price", "worth"


def cleared_at_worth(
    window: Window, fan: str, commitments: Sequence[Commitment]
) -> list[Commitment]:
    """What of each day's schedule clears when it is bid at what it is worth.

    Parameters
    ----------
    fan : that the schedules were planned on
    """
    rules, kept = window.params.market, []
    starts = planned_starts(window, commitments)
    for day, (commitment, start) in enumerate(zip(commitments, starts, strict=True)):
        bids = bids_at_worth(
            window.problem(start, day),
            window.fans[fan][day],
            commitment.unit_mw,
            rules,
            rules.cap_rs_per_mwh(window.days[day].item()),
        )
        cleared = bids.cleared(window.realised(day).dam[0])
        kept.append(replace(commitment, unit_mw=cleared))
    return kept


def compare_bids(window: Window, fan: str) -> pd.DataFrame:
    """A row a kind of bid, way of settling and day: net, what stayed unfilled, what was broken.

    ``broken_mwh`` is how far the strict path of what did clear leaves the battery's rules, from
    the energy planned for its midnight; money in Rs, energies in MWh.
    """
    offered = commit_chain(window, TwoStage(fan))
    rows = []
    ways = (AS_COMMITTED,) if window.expected_rtm is None else (AS_COMMITTED, CAUSAL)
    for kind in (ANY_PRICE, WORTH):
        cleared = offered if kind == ANY_PRICE else cleared_at_worth(window, fan, offered)
        told = _unfilled(window, offered, cleared)
        for way in ways:
            settled = settle_chain(window, cleared, way)
            rows += [
                {"bids": kind, "settlement": way, "net_rs": float(day.ledger.net_rs)} | of_day
                for day, of_day in zip(settled, told, strict=True)
            ]
    return pd.DataFrame(rows)


def _unfilled(
    window: Window, offered: Sequence[Commitment], cleared: Sequence[Commitment]
) -> list[dict[str, object]]:
    """What of each day's schedule did not clear, and whether the rest can be followed alone."""
    bess, h = window.params.bess, window.market.block_hours
    days = zip(window.days, offered, cleared, planned_starts(window, offered), strict=True)
    told = []
    for date, wanted, got, start in days:
        missing = np.abs(wanted.dam_mw - got.dam_mw)
        told.append(
            {
                "date": str(date),
                "offered_mwh": h * float(np.abs(wanted.dam_mw).sum()),
                "unfilled_mwh": h * float(missing.sum()),
                "unfilled_blocks": int((missing > 1e-6).sum()),
                "broken_mwh": float(battery.schedule_violations(bess, got.unit_mw, start, h).max()),
            }
        )
    return told


def earned_by_bids(rows: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """A row a way of settling and kind of bid: mean, worst day and CVaR a day, and what stayed.

    Parameters
    ----------
    rows : as of ``compare_bids``
    alpha : tail share of CVaR
    """
    groups = rows.groupby(["settlement", "bids"], sort=False)
    table = groups["net_rs"].agg(mean_rs="mean", worst_day_rs="min")
    table["cvar_rs"] = groups["net_rs"].agg(lambda net: cvar(net.to_numpy(), alpha))
    sums = groups[["offered_mwh", "unfilled_mwh"]].sum()
    table["unfilled"] = sums["unfilled_mwh"] / sums["offered_mwh"]
    table["days_unfilled"] = groups["unfilled_blocks"].agg(lambda blocks: int((blocks > 0).sum()))
    table["days_broken"] = groups["broken_mwh"].agg(
        lambda mwh: int((mwh > battery.FEASIBILITY_TOLERANCE_MWH).sum())
    )
    return table
