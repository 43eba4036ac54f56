"""Coverage and sharpness over a test year of the embedded market, against the truth.

Two years of hourly prices on five seeds that played no part in development. The first year
trains and calibrates, the second is the test. The generator itself gives the true quantiles of
every test day, from continuations of its state at the gate: not even they cover exactly in one
year, so a forecast is asked to miss by no more than they do in 95 of 100 years that the generator
could have gone through in its place. Beside that band stand the miss of the exact promise, and how
often prices were at the cap with the chance that the forecasts gave it.

    python benchmarks/coverage_of_years.py [SEED ...]
    python benchmarks/coverage_of_years.py --dam FILE

Writes ``outputs/bench/coverage.json``. Half an hour on two cores; with one seed five minutes. A
file or folder of DAM prices, two years or more, is forecast for its last year in place of the
embedded market; nobody knows its true quantiles, so its promise alone is judged
(``coverage_dam.json``).
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import pandas as pd
from _cases import judged, report
from _truth import Case, true_paths

from bessvpp.calibration import coverage, gate
from bessvpp.calibration.coverage import daily_pinball
from bessvpp.calibration.gate import regimes
from bessvpp.calibration.recalibration import choose_method, recalibrate
from bessvpp.forecasting.features import feature_frame
from bessvpp.forecasting.quantiles import promised_below
from bessvpp.forecasting.splits import Splits
from bessvpp.forecasting.walk_forward import walk_forward
from bessvpp.market import history
from bessvpp.market.read import read_market
from bessvpp.params.load import Params, load_params
from bessvpp.params.market import MarketParams

SEEDS = (701, 702, 703, 704, 705)
TEST_DAYS, CALIBRATION_DAYS = 365, 90
N_PATHS, N_YEARS = 600, 100  # the last 500 paths of a day make its quantiles


def truth_of(
    rules: MarketParams, dates: np.ndarray, levels: tuple[float, ...]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Quantiles (D, 24, L) from the generator's own state at each gate, and paths (Y, D, 24).

    Path y of every day makes year y: another year that the generator could have gone through.
    """
    quantiles: dict[str, list[np.ndarray]] = {name: [] for name in history.MARKETS}
    years: dict[str, list[np.ndarray]] = {name: [] for name in history.MARKETS}
    for date in dates:
        both = true_paths(rules, date, N_PATHS)
        for name, paths in zip(history.MARKETS, both, strict=True):
            found = np.nanquantile(paths[N_YEARS:], levels, axis=0, method="weibull")
            quantiles[name].append(found.T)
            years[name].append(paths[:N_YEARS])
    return (
        {name: np.array(values) for name, values in quantiles.items()},
        {name: np.array(values).swapaxes(0, 1) for name, values in years.items()},
    )


def study(seed: int, params: Params) -> pd.DataFrame:
    """A row a market and group: misses [points] of truth, its 95 % point, and each forecast."""
    case = Case.of(params, seed, TEST_DAYS, CALIBRATION_DAYS)
    rules, settings, market = case.rules, case.settings, case.market
    test, levels = case.splits.test, settings.levels
    truth, years = truth_of(rules, test, levels)
    rows = []
    for name in history.MARKETS:
        original = case.original(name)
        method = case.method(original)
        constant = replace(
            original, values=np.full_like(original.values, 4000.0), p_floor=None, p_cap=None
        )
        made = recalibrate(original, market, test, ["static", method], settings, rules)
        flat = recalibrate(constant, market, test, [method], settings, rules)[method]
        y = history.prices_of(market, name)[[market.index_of(day) for day in test]]
        fans = {
            "true": truth[name],
            "original": original.on(test).values,
            "static": made["static"].forecast.values,
            "recalibrated": made[method].forecast.values,
            "constant": flat.forecast.values,
        }
        before = original.on(test)
        groups = {"all": np.ones(y.shape, dtype=bool)}
        groups |= gate.groups_over_days(test, before.values, levels, regimes(before))
        groups |= coverage.hour_groups(y.shape)
        caps, floor = rules.caps_rs_per_mwh(test)[:, None], rules.price_floor_rs_per_mwh
        kept = {"original": before, "recalibrated": made[method].forecast}
        due = {key: promised_below(fan, floor, caps) for key, fan in kept.items()}
        capped = y >= caps
        pinball = {key: float(daily_pinball(y, fan, levels).mean()) for key, fan in fans.items()}
        for group, blocks in groups.items():
            miss = {
                k: 100 * coverage.mean_miscoverage(y, f, levels, blocks) for k, f in fans.items()
            }
            if np.isnan(miss["true"]):
                continue
            missed = [
                coverage.mean_miscoverage(x, truth[name], levels, blocks) for x in years[name]
            ]
            limit = 100 * np.nanquantile(missed, 0.95)
            rows.append(
                {"seed": seed, "market": name, "method": method, "group": group}
                | miss
                | {
                    f"promise {k}": 100 * coverage.mean_promise_miss(y, fans[k], x, blocks)
                    for k, x in due.items()
                }
                | {"cap": 100 * float(capped[blocks].mean())}
                | {f"cap {k}": 100 * float(f.p_cap[blocks].mean()) for k, f in kept.items()}
                | {"limit": float(limit), "within": miss["recalibrated"] <= limit}
                | {f"pinball {key}": value for key, value in pinball.items()}
            )
    return pd.DataFrame(rows)


def year_of_dam(path: str, params: Params) -> pd.DataFrame:
    """Its promise over the last year of DAM prices: misses and chances of the cap [points]."""
    rules, market = params.market, read_market(path, params.market)
    told = {"test_days": TEST_DAYS, "calibration_days": CALIBRATION_DAYS, "min_group_size": 60}
    settings = params.forecast.model_copy(update=told)
    days = market.dates[settings.warmup_days :]
    test, before = days[-TEST_DAYS:], days[:-TEST_DAYS]
    splits = Splits(before[:-CALIBRATION_DAYS], before[-CALIBRATION_DAYS:], test)
    features = feature_frame(market, days, rules)
    original = walk_forward("dam", features, market, splits, settings, rules).forecast
    method = choose_method(original, market, settings, rules)[0]
    made = recalibrate(original, market, test, [method], settings, rules)[method].forecast
    y = market.dam_mcp[[market.index_of(day) for day in test]]
    caps, floor = rules.caps_rs_per_mwh(test)[:, None], rules.price_floor_rs_per_mwh
    rows = []
    for name, fan in (("original", original.on(test)), (method, made)):
        due = promised_below(fan, floor, caps)
        blocks = np.ones(y.shape, dtype=bool)
        missed = 100 * coverage.mean_promise_miss(y, fan.values, due, blocks)
        chances = {"cap": 100 * (y >= caps).mean(), "cap said": 100 * fan.p_cap.mean()}
        rows.append({"forecast": name, "from": str(test[0]), "promise": missed, **chances})
    return pd.DataFrame(rows)


def judge_dam(path: str) -> None:
    """Print and keep what ``year_of_dam`` finds."""
    table = year_of_dam(path, load_params())
    last = table.iloc[-1]
    targets = {
        "exact promise of a year missed by, points, at most 1": judged(last["promise"], 1.0),
        "chance of the cap off by, points, at most 2": judged(
            abs(last["cap said"] - last["cap"]), 2.0
        ),
    }
    report("coverage_dam", table.to_dict(orient="records"), targets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="*", default=SEEDS)
    parser.add_argument("--dam", metavar="FILE")
    words = parser.parse_args()
    if words.dam:
        return judge_dam(words.dam)
    seeds, params = words.seeds, load_params()
    table = pd.concat([study(seed, params) for seed in seeds], ignore_index=True)
    whole = table[table["group"] == "all"]
    columns = ["promise original", "promise recalibrated"]
    columns += ["true", "original", "static", "recalibrated", "limit"]
    columns += ["cap", "cap original", "cap recalibrated"]
    print(whole[["seed", "market", "method", *columns]].round(2).to_string(index=False), "\n")
    kind = np.where(table["group"].str.endswith(" h"), "hours of the day", "known groups")
    table["kind"] = np.where(table["group"] == "all", "all blocks", kind)
    by = table.groupby(["market", "kind"])
    parts = by[columns].mean()
    parts["within limit"] = by["within"].mean()
    gain = 1 - whole["pinball recalibrated"] / whole["pinball constant"]
    outside = table[~table["within"]]
    print(outside[["seed", "market", "group", *columns]].round(2).to_string(index=False), "\n")
    table["true within"] = table["true"] <= table["limit"]
    shares = table.groupby(["market", "kind"])[["within", "true within"]].mean()
    within = {
        name: {f"{market}, {kind}": f"{x:.0%}" for (market, kind), x in column.items()}
        for name, column in shares.items()
    }
    apart = (whole["cap recalibrated"] - whole["cap"]).abs().max()
    targets = {
        "exact promise of a year missed by, points, at most 1": judged(
            float(whole["promise recalibrated"].max()), 1.0
        ),
        "chance of the cap off by, points, at most 2": judged(float(apart), 2.0),
        "miscoverage within the limit of the true quantiles": str(within["within"]),
        "the same of the true quantiles themselves": str(within["true within"]),
        "pinball below the recalibrated constant": judged(float(gain.min()), 0.20, at_least=True),
    }
    report("coverage", parts.reset_index().to_dict(orient="records"), targets)


if __name__ == "__main__":
    main()
