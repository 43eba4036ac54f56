"""How much of net hangs on a position between the markets: net over a limit on it.

``unbacked_max_mwh_per_day`` bounds what a plan sells or buys in the DAM without running it. Each
limit is a plan of its own, committed at the same gates and settled with causal recourse.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bessvpp.backtest.daily import dispatch_rs
from bessvpp.backtest.ideas import with_rules
from bessvpp.backtest.policies import TwoStage
from bessvpp.backtest.simulate import commit_chain, settle_chain
from bessvpp.backtest.summary import paired
from bessvpp.backtest.window import Window
from bessvpp.compute.workers import ONE, Workers
from bessvpp.settlement.day import CAUSAL, nets_of

LIMITS_MWH_PER_DAY = (0.0, 50.0, 150.0, 300.0)


def net_by_limit(
    window: Window,
    fan: str,
    workers: Workers = ONE,
    limits_mwh_per_day: Sequence[float] = LIMITS_MWH_PER_DAY,
) -> pd.DataFrame:
    """A row a limit, and one without any; all days together [Rs].

    Returns
    -------
    ``limit_mwh_per_day``, NaN without one; ``net_rs`` and its parts ``dispatch_rs`` and
    ``position_rs``; ``behind_rs`` the plan without a limit, with a paired 90 % band
    """
    limits = [*limits_mwh_per_day, None]
    found = workers.run([(_days_under, window, fan, limit) for limit in limits], "limits")
    free = found[-1].sum(axis=0)
    rows = []
    for limit, parts in zip(limits, found, strict=True):
        net = parts.sum(axis=0)
        behind, low, high = paired(net, free).values()
        row = {"limit_mwh_per_day": np.nan if limit is None else limit, "net_rs": net.sum()}
        row |= dict(zip(("dispatch_rs", "position_rs"), parts.sum(axis=1), strict=True))
        rows.append(row | {"behind_rs": behind, "behind_low_rs": low, "behind_high_rs": high})
    return pd.DataFrame(rows)


def _days_under(window: Window, fan: str, limit_mwh: float | None) -> np.ndarray:
    """(2, D) dispatch and position of each day under a limit [Rs]."""
    limited = with_rules(window, unbacked_max_mwh_per_day=limit_mwh)
    settled = settle_chain(limited, commit_chain(limited, TwoStage(fan)), CAUSAL)
    net = nets_of(settled)
    prices = [window.realised(day) for day in range(len(window.days))]
    own = np.array([dispatch_rs(window, *pair) for pair in zip(settled, prices, strict=True)])
    return np.stack([own, net - own])
