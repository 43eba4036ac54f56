"""What the default rules earn beside those of before and beside simple rules, paired by days.

A market's chapters 1 to 4 are run; then the two-stage plan on the fan chosen on earlier days, under
today's rules and under those of before (each midnight by the schedule alone, a hard target, full
foresight of the RTM in planning, no hurdle, recourse on expectations), and the simple rules with
the freedom of today's. All are settled causally, and V of the energy left counts on the last day.
Beside them: how the fan hangs together, its exact promise, whether the plan's promise is kept, and
what the plan's bids earn at any price and at what they are worth.

    python benchmarks/rules.py [SEED ...]      hourly days of the embedded market
    python benchmarks/rules.py --data FILE     the last days of a file of both markets

Writes ``outputs/bench/rules.json``. Some three minutes a market.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from _cases import OUTPUTS, report
from _truth import hourly_market

import bessvpp as bv
from bessvpp.backtest import ideas, policies, simulate
from bessvpp.backtest.bid_kinds import compare_bids, earned_by_bids
from bessvpp.backtest.frontier import sweep_frontier
from bessvpp.backtest.run import Run
from bessvpp.backtest.summary import paired
from bessvpp.backtest.window import Window
from bessvpp.compute.workers import Workers
from bessvpp.runs.headline import promise_misses
from bessvpp.scenarios import quality, surprises
from bessvpp.settlement.day import HINDSIGHT, nets_of

LAKH = 1e5
SEEDS = (801, 802, 803)
BEFORE = {"terminal": "hard", "midnight": "own", "foresight": 1.0, "recourse": "expected"}
NO_HURDLES = {"hurdle_dam_rs_per_mwh": 0.0, "hurdle_rtm_rs_per_mwh": 0.0}
SIMPLE = {
    "nothing committed": policies.nothing_committed,
    "seven-day mean": policies.seven_day_mean,
    "typical day": policies.typical_day,
}
SMALL_FILE = {"test_days": 14}
HOURLY_SEED = {"warmup_days": 14, "calibration_days": 45, "test_days": 40, "recalibration_days": 45}


def chapters_1_to_4(name: str, data: Path, values: Mapping[str, int]) -> Path:
    """A run of a file's forecasts and fans; its folder."""
    folder = OUTPUTS / "rules" / name
    given = [f"data={data}", *(f"{key}={value}" for key, value in values.items())]
    command = [sys.executable, "-m", "bessvpp", "run", "--profile", "iex", "--quiet", "--overwrite"]
    subprocess.run(
        [*command, "--only", "01", "02", "03", "04", "--outputs", folder, "-p", *given], check=True
    )
    return folder


def seeded_file(seed: int, n_days: int = 200) -> Path:
    """Hourly days of the embedded market as a file."""
    market = hourly_market(seed).days(0, n_days)
    starts = market.dates[:, None] + np.arange(24) * np.timedelta64(1, "h")
    prices = {"dam_mcp": market.dam_mcp.ravel(), "rtm_mcp": market.rtm_mcp.ravel()}
    path = OUTPUTS / "rules" / f"seed_{seed}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(prices).round(2)
    frame.insert(0, "delivery_start", starts.ravel())
    frame.to_csv(path, index=False)
    return path


def daily_nets(window: Window, fan: str, workers: Workers) -> dict[str, np.ndarray]:
    """(D,) net of each rule [Rs]."""
    before = ideas.with_costs(ideas.with_rules(window, **BEFORE), **NO_HURDLES)
    plan = policies.TwoStage(fan)
    asked = {
        "plan": ideas.Variant(window, plan),
        "plan, rules of before": ideas.Variant(before, plan),
        "mean prices": ideas.Variant(window, policies.OnMean(fan)),
    }
    asked |= {name: ideas.Variant(window, policy) for name, policy in SIMPLE.items()}
    nets = workers.run([(ideas.net_of_days, variant) for variant in asked.values()], "rules")
    return dict(zip(asked, nets, strict=True))


def fan_figures(run: Run, fan: str) -> dict[str, float]:
    """How the fan's surprises hang together beside the days', and its exact promise."""
    window = run.window
    outcome = quality.outcomes(window.market, window.days)
    table = surprises.surprise_table({fan: window.fans[fan]}, outcome).loc[fan]
    found = {
        f"{key}, {by}": float(table.loc[by, key])
        for key in ("correlation", "slope", "spread_rms")
        for by in ("fan", "days")
    }
    for market, fans in run.read_json("coverage.json").items():
        misses = promise_misses(fans[fan])
        found[f"promise missed, {market}"] = float(np.mean(list(misses.values())))
    return found


def study(name: str, folder: Path, workers: Workers) -> tuple[list[dict], dict[str, object]]:
    """A row for each rule, and what is said of the fan and of the promise."""
    run = bv.open_run(folder)
    window, fan = run.window, run.read_json("fan_choice.json")["fan"]
    nets = daily_nets(window, fan, workers)
    rows = []
    for rule, net in nets.items():
        over = {key: value / LAKH for key, value in paired(nets["plan"], net).items()}
        row = {"market": name, "rule": rule, "days": len(net), "net": net.sum() / LAKH}
        rows.append(row | {"plan ahead": over["ahead_rs"]} | {k: over[k] for k in list(over)[1:]})
    ceiling = simulate.ceilings(window)[HINDSIGHT]
    told: dict[str, object] = {"fan": fan, **fan_figures(run, fan)}
    told["days on which defaults were chosen"] = int(window.market.looked_at(window.days).sum())
    told["ceiling [lakh Rs]"] = float(nets_of(ceiling.days).sum()) / LAKH
    one = ideas.with_risk(window, lambdas=(window.params.risk.risk_aversion,))
    (point,) = sweep_frontier(replace(one, fans={fan: window.fans[fan]}), workers).points.to_dict(
        "records"
    )
    keys = ("fan_mean_rs", "planned_mean_rs", "realised_mean_rs", "realised_mean_low_rs")
    told |= {key: point[key] / LAKH for key in (*keys, "realised_mean_high_rs")}
    bids = earned_by_bids(compare_bids(window, fan), window.params.risk.alpha)
    told["bids at any price and at their worth"] = bids.reset_index().to_dict("records")
    return rows, told | {"pit_ks_p_value": point["pit_ks_p_value"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="*", default=list(SEEDS))
    parser.add_argument("--data")
    words = parser.parse_args()
    if words.data:
        cases = {Path(words.data).stem: (Path(words.data).resolve(), SMALL_FILE)}
    else:
        cases = {f"seed {seed}": (seeded_file(seed), HOURLY_SEED) for seed in words.seeds}
    rows, told, workers = [], {}, Workers(2)
    for name, (data, values) in cases.items():
        found, told[name] = study(name, chapters_1_to_4(name, data, values), workers)
        rows += found
    report("rules", rows, {}, **told)


if __name__ == "__main__":
    main()
