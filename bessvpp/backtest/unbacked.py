"""How much of net hangs on a position between the markets: net over a limit on it.

``unbacked_max_mwh_per_day`` bounds what a plan sells or buys in the DAM without running it. Each
limit is a plan of its own, committed at the same gates and settled with causal recourse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from bessvpp.backtest.daily import dispatch_rs
from bessvpp.backtest.ideas import with_rules
from bessvpp.backtest.policies import Commitment, DayPlan, TwoStage, plan_chains, plan_limits
from bessvpp.backtest.simulate import commit_chain, settle_chain
from bessvpp.backtest.summary import paired
from bessvpp.backtest.window import Window
from bessvpp.compute.workers import Work
from bessvpp.optimizer.problem import Problem
from bessvpp.prices import PriceScenarios
from bessvpp.settlement.day import CAUSAL, nets_of

LIMITS_MWH_PER_DAY = (0.0, 50.0, 150.0, 300.0)


def net_by_limit(
    window: Window, fan: str, limits_mwh_per_day: Sequence[float] = LIMITS_MWH_PER_DAY
) -> Work:
    """All days together under each limit, and without any [Rs]: a frame, a row a limit.

    Its columns are ``limit_mwh_per_day``, NaN without one; ``net_rs`` and its parts
    ``dispatch_rs`` and ``position_rs``; ``behind_rs`` the plan without a limit, with a paired
    90 % band.
    """
    limits = [*limits_mwh_per_day, np.nan]
    bare = replace(window, fans={fan: window.fans[fan]}, medians=())

    def gathered(found: list[list[np.ndarray]]) -> pd.DataFrame:
        parts = [*found[0], found[1][0]]
        rows = [
            _row(limit, of_days, parts[-1]) for limit, of_days in zip(limits, parts, strict=True)
        ]
        return pd.DataFrame(rows)

    return Work([(_days_under, bare, fan, limits[:-1]), (_days_under, bare, fan, [])], gathered)


def _row(limit_mwh: float, parts: np.ndarray, free: np.ndarray) -> dict[str, float]:
    """A limit's row, by dispatch and position of each day (2, D) under it and without one."""
    net = parts.sum(axis=0)
    behind, low, high = paired(net, free.sum(axis=0)).values()
    row = {"limit_mwh_per_day": limit_mwh, "net_rs": float(net.sum())}
    row |= dict(zip(("dispatch_rs", "position_rs"), parts.sum(axis=1).tolist(), strict=True))
    return row | {"behind_rs": behind, "behind_low_rs": low, "behind_high_rs": high}


def _days_under(window: Window, fan: str, limits_mwh: Sequence[float]) -> list[np.ndarray]:
    """For each limit, or for none at all, (2, D) dispatch and position of each day [Rs]."""
    if not limits_mwh:
        free = with_rules(window, unbacked_max_mwh_per_day=None)
        return [_dispatch_and_position(free, commit_chain(free, TwoStage(fan)))]

    def plan(
        problem: Problem, scenarios: PriceScenarios, energies: Sequence[np.ndarray]
    ) -> list[DayPlan]:
        risk = window.params.risk.risk
        return plan_limits(window.cache, problem, scenarios, limits_mwh, risk, energies)

    chains = plan_chains(window, fan, len(limits_mwh), plan)
    return [_dispatch_and_position(window, [day.commitment for day in chain]) for chain in chains]


def _dispatch_and_position(window: Window, commitments: Sequence[Commitment]) -> np.ndarray:
    """(2, D) of each day, settled with causal recourse [Rs]."""
    settled = settle_chain(window, commitments, CAUSAL)
    net = nets_of(settled)
    prices = [window.realised(day) for day in range(len(window.days))]
    own = np.array([dispatch_rs(window, *pair) for pair in zip(settled, prices, strict=True)])
    return np.stack([own, net - own])
