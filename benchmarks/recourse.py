"""What dynamic recourse earns beside recourse on expected prices, paired by days.

Hourly days of the embedded market, on seeds of development, or the last days of a file of both
markets. Committed are nothing and the seven-day mean; both recourses trade the RTM on the same
intraday expectations and never on a later price. A day counts its net and what V says of the
energy that it leaves, less of what it found.

    python benchmarks/recourse.py [SEED ...]
    python benchmarks/recourse.py --data FILE [--test-days 14] [--skip-last 14]

Writes ``outputs/bench/recourse.json``. Some two minutes.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import pandas as pd
from _cases import report
from _truth import hourly_market

from bessvpp.backtest import policies, simulate
from bessvpp.backtest.window import Window, settled_days
from bessvpp.forecasting import intraday
from bessvpp.forecasting.splits import split_days
from bessvpp.market.history import Market
from bessvpp.market.read import read_market
from bessvpp.params.load import Params, load_params
from bessvpp.risk import bootstrap_band
from bessvpp.settlement.day import CAUSAL, HINDSIGHT
from bessvpp.settlement.gate_law import surprise_law

SEEDS, TEST_DAYS, CALIBRATION_DAYS = (401, 402, 403), 60, 45
COMMITTED = {
    "nothing": policies.nothing_committed,
    "seven-day mean": policies.seven_day_mean,
}


def window_of(market: Market, params: Params) -> Window:
    """The test days of a market, with what each gate expects and the laws of its surprises."""
    splits, rules = split_days(market, params.forecast), params.market
    models = intraday.walk_forward_spreads(market, splits, params.forecast, rules)
    dates = splits.out_of_sample
    expected = intraday.expected_days(models, market, dates, rules)
    days = settled_days(market, splits.test)
    return Window(
        market,
        days,
        {},
        (),
        params,
        expected_rtm=expected[np.isin(dates, days)],
        laws=[surprise_law(market, dates, expected, rules, day) for day in days],
    )


def with_recourse(window: Window, recourse: str) -> Window:
    """The same days, settled by another recourse."""
    backtest = window.params.backtest.model_copy(update={"recourse": recourse})
    return replace(window, params=window.params.model_copy(update={"backtest": backtest}))


def earned_rs(window: Window, commitments: list, way: str) -> np.ndarray:
    """(D,) net of each day and what V says of the energy that came and went."""
    earned = []
    for day, done in enumerate(simulate.settle_chain(window, commitments, way)):
        problem = window.with_energy_value(window.problem(done.e_start_mwh, day), day)
        moved = [
            float(value(end) - value(start))
            for value, start, end in zip(
                problem.energy_values, done.e_start_mwh, done.e_end_mwh, strict=True
            )
        ]
        earned.append(float(done.ledger.net_rs) + sum(moved))
    return np.array(earned)


def study(name: str, market: Market, params: Params) -> tuple[list[dict], dict[str, np.ndarray]]:
    """A row for each commitment, and how much more each day earned by dynamic recourse."""
    window = window_of(market, params)
    rows, gains = [], {}
    for committed, policy in COMMITTED.items():
        commitments = simulate.commit_chain(window, policy)
        row: dict[str, object] = {"market": name, "committed": committed, "days": len(window.days)}
        earned = {}
        for recourse in ("expected", "dynamic"):
            began = time.perf_counter()
            earned[recourse] = earned_rs(with_recourse(window, recourse), commitments, CAUSAL)
            row[f"{recourse}_ms_a_day"] = 1e3 * (time.perf_counter() - began) / len(window.days)
            row[recourse] = earned[recourse].sum() / 1e5
        row["hindsight"] = earned_rs(window, commitments, HINDSIGHT).sum() / 1e5
        gains[committed] = (earned["dynamic"] - earned["expected"]) / 1e5
        rows.append(row | banded(gains[committed]))
    return rows, gains


def banded(gain: np.ndarray) -> dict[str, float]:
    """Total of paired differences (D,), and its band over blocks of days."""
    low, high = bootstrap_band(
        gain, lambda days: len(gain) * days.mean(axis=-1), np.random.default_rng(0)
    )
    return {"gain": float(gain.sum()), "gain_low": low, "gain_high": high}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="*", default=list(SEEDS))
    parser.add_argument("--data")
    parser.add_argument("--test-days", type=int, default=14)
    parser.add_argument("--skip-last", type=int, default=14)
    words = parser.parse_args()
    told = {"terminal": "value", "midnight": "plan"}
    if words.data:
        small = {"warmup_days": 7, "calibration_days": 18, "test_days": words.test_days}
        params = load_params(**told, **small)
        market = read_market(words.data, params.market).require_both()
        cases = {"file": market.days(0, len(market.dates) - words.skip_last)}
    else:
        params = load_params(**told, calibration_days=CALIBRATION_DAYS, test_days=TEST_DAYS)
        cases = {f"seed {seed}": hourly_market(seed) for seed in words.seeds}
    rows, gains = [], []
    for name, market in cases.items():
        found, gain = study(name, market, params)
        rows += found
        gains.append(gain)
    pooled = {}
    for committed in COMMITTED:
        band = banded(np.concatenate([gain[committed] for gain in gains]))
        told = "{gain:.1f}, {gain_low:.1f} to {gain_high:.1f}".format(**band)
        pooled[f"gain over all days, {committed} [lakh Rs]"] = told
    report("recourse", pd.DataFrame(rows).round(2).to_dict("records"), {}, **pooled)


if __name__ == "__main__":
    main()
