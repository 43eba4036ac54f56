"""Small finished backtests to hold against each other, with the nets that a test names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from small_cases import make_market, make_params

from bessvpp.backtest.summary import made_with
from bessvpp.params.load import Params
from bessvpp.runs.folder import RunFolder

CAUSAL = "with causal recourse"
PLAN = "two_stage_original"


def write_backtest(
    folder: Path,
    plan_lakh: Sequence[float],
    *,
    first_day: str = "2024-03-05",
    market_seed: int = 0,
    alpha: float = 0.5,
    way: str = CAUSAL,
    plan: str = PLAN,
    params: Params | None = None,
    **changes: Any,
) -> RunFolder:
    """What ``06_backtest`` leaves in a folder: a plan's nets a day in lakh Rs, nothing earns 1."""
    run = RunFolder(folder)
    run.write_frame("market.parquet", make_market(12, seed=market_seed).to_frame())
    dates = pd.date_range(first_day, periods=len(plan_lakh)).astype(str)
    nets = {"nothing_committed": [1.0] * len(plan_lakh), plan: plan_lakh}
    rows = [
        {"date": date, "policy": policy, "settlement": settled, "net_rs": factor * lakh * 1e5}
        for settled, factor in ((way, 1), ("as committed", 3))
        for policy, days in nets.items()
        for date, lakh in zip(dates, days, strict=True)
    ]
    run.write_frame("backtest_daily.parquet", pd.DataFrame(rows).assign(e_end_mwh=77.0))
    figures = {"capture_causal": 0.5, "cycles_per_day_causal": 1.25}
    summary = {
        "rules": {"alpha": alpha, "risk_aversion": 0.3},
        "parameters": made_with(params or make_params(alpha=alpha, **changes)),
        "policies": {name: figures for name in nets} | {"ceiling": {"net_rs": 12e5}},
        "plan": plan,
        "lead": {"settlement": way},
    }
    run.write_json("backtest_summary.json", summary)
    return run
