"""Accuracy of the DAM forecast on the real quarter-hours of 2024, against simple forecasts.

Train to August, calibrate September and October, test November and December; five levels,
average pinball loss in Rs/MWh. Features, anchor and settings were chosen on June to August
(the first table), the method of recalibration is that of the parameters (``auto``: chosen on
September and October), and November and December serve the last tables alone.

    python benchmarks/forecast.py

Needs ``../shared/data/real/dam_15min_2024.csv``; says so and stops where it is absent.
Writes ``outputs/bench/forecast.json``.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd

from bessvpp.calibration.coverage import daily_pinball, hourly_miscoverage, mean_miscoverage
from bessvpp.calibration.gate import groups_over_days, regimes
from bessvpp.calibration.methods import method_names
from bessvpp.calibration.recalibration import choose_method, recalibrate
from bessvpp.calibration.scores import score_table
from bessvpp.files import PROJECT_ROOT
from bessvpp.forecasting import quantiles, walk_forward
from bessvpp.forecasting.baselines import (
    climatology,
    lear,
    persistence_forecast,
    quantile_regression_average,
)
from bessvpp.forecasting.features import feature_frame
from bessvpp.forecasting.splits import Splits
from bessvpp.market.history import Market
from bessvpp.market.read import read_market
from bessvpp.params.forecast import ForecastParams
from bessvpp.params.load import load_params
from bessvpp.params.market import MarketParams
from bessvpp.runs.folder import RunFolder

DATA = PROJECT_ROOT.parent / "shared" / "data" / "real" / "dam_15min_2024.csv"
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
WHOLE_YEAR_METHODS = ("static", "rolling_60", "exponential", "aggregated", "group_adaptive")
EARLIER_SETTINGS = {  # LightGBM's, before they were chosen
    "learning_rate": 0.06,
    "num_leaves": 15,
    "min_data_in_leaf": 30,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
}


def splits_of(market: Market, warmup: int, *ends: str) -> Splits:
    """Days to the end of training, of calibration and of the test."""
    days, last = market.dates[warmup:], [np.datetime64(end) for end in ends]
    return Splits(
        days[days <= last[0]],
        days[(days > last[0]) & (days <= last[1])],
        days[(days > last[1]) & (days <= last[2])],
    )


def simple_fans(
    market: Market, features: pd.DataFrame, splits: Splits, rules: MarketParams
) -> dict[str, quantiles.QuantileForecast]:
    """The benchmarks on the test days."""
    points = lear("dam", features, market, splits.out_of_sample, rules)
    test = splits.test
    return {
        "persistence": persistence_forecast("dam", market, test, LEVELS, rules),
        "climatology": climatology("dam", market, test, LEVELS, rules),
        "LEAR": quantile_regression_average(
            "dam", points, market, splits.calibration, test, LEVELS, rules
        ),
    }


def table_of(
    market: Market, fans: dict[str, quantiles.QuantileForecast], test: np.ndarray, reference: str
) -> pd.DataFrame:
    """A row a forecast, with Diebold-Mariano against one of them."""
    outcome = market.dam_mcp[[market.index_of(day) for day in test]]
    return score_table(outcome, {name: fan.values for name, fan in fans.items()}, LEVELS, reference)


def from_march(
    market: Market, features: pd.DataFrame, params: ForecastParams, rules: MarketParams
) -> pd.DataFrame:
    """Miscoverage [points] on the whole and within groups known at the gate, March to December.

    Beside each method stands the same recalibration of a forecast that never changes: what
    coverage is worth without a forecast.
    """
    splits = splits_of(market, params.warmup_days, "2024-02-09", "2024-02-29", "2024-12-31")
    original = walk_forward.walk_forward("dam", features, market, splits, params, rules).forecast
    constant = replace(
        original, values=np.full_like(original.values, 4000.0), p_floor=None, p_cap=None
    )
    test = splits.test
    outcome = market.dam_mcp[[market.index_of(day) for day in test]]
    before = original.on(test)
    groups = groups_over_days(test, before.values, LEVELS, regimes(before))
    fans = {"model": before.values}
    for name, source in (("", original), ("constant, ", constant)):
        made = recalibrate(source, market, test, WHOLE_YEAR_METHODS, params, rules)
        fans |= {name + method: made[method].forecast.values for method in made}
    rows = {}
    for name, values in fans.items():
        rows[name] = {
            "pinball": float(daily_pinball(outcome, values, LEVELS).mean()),
            "pooled": 100 * mean_miscoverage(outcome, values, LEVELS),
            "by hour": 100 * hourly_miscoverage(outcome, values, LEVELS),
        }
        for key, group in groups.items():
            rows[name][key] = 100 * mean_miscoverage(outcome, values, LEVELS, group)
    return pd.DataFrame(rows).T


def settings(params: ForecastParams, **changes: object) -> ForecastParams:
    """The parameters with the five levels and some changes."""
    return ForecastParams.model_validate(params.model_dump() | {"levels": LEVELS} | changes)


def main() -> None:
    if not DATA.exists():
        print(f"skipped: {DATA} is not there (real prices are not part of the project)")
        return
    started = time.perf_counter()
    params = load_params()
    rules, chosen = params.market, settings(params.forecast)
    market = read_market(DATA, rules)
    features = feature_frame(market, market.dates[chosen.warmup_days :], rules)

    def walk(splits: Splits, fitted: ForecastParams) -> quantiles.QuantileForecast:
        return walk_forward.walk_forward("dam", features, market, splits, fitted, rules).forecast

    development = splits_of(market, chosen.warmup_days, "2024-04-30", "2024-05-31", "2024-08-31")
    variants = {
        "earlier settings": settings(params.forecast, lightgbm=EARLIER_SETTINGS),
        "fitted once": settings(params.forecast, retrain_every_days=0),
        "all days and the last 120": settings(params.forecast, train_window_days=(0, 120)),
        "chosen": chosen,
    }
    fans = simple_fans(market, features, development, rules)
    fans |= {name: walk(development, fit).on(development.test) for name, fit in variants.items()}
    developed = table_of(market, fans, development.test, "chosen")
    show("Development, June to August 2024 (trained on what came before)", developed)

    final = splits_of(market, chosen.warmup_days, "2024-08-31", "2024-10-31", "2024-12-31")
    original = walk(final, chosen)
    best, judged = choose_method(original, market, chosen, rules)
    method = best if chosen.recalibration == "auto" else chosen.recalibration
    told = f"{method} is taken, {best} was best"
    show(f"Recalibration, later half of September and October: {told}", judged)

    once = walk(final, settings(params.forecast, retrain_every_days=0))
    test = final.test
    fans = simple_fans(market, features, final, rules)
    fans |= {"model": original.on(test), "model, fitted once": once.on(test)}
    names = (*method_names(chosen), "two_sided")
    made = recalibrate(original, market, test, names, chosen, rules)
    fans |= {name: made[name].forecast for name in names}
    tested = table_of(market, fans, test, method)
    show("Test, November and December 2024", tested)
    year = from_march(market, features, chosen, rules)
    show("March to December 2024: pinball, and miscoverage in points", year)
    headline = tested.loc[method, "pinball"]
    print(f"average pinball loss of the recalibrated model: {headline:.1f} Rs/MWh")
    RunFolder(PROJECT_ROOT / "outputs" / "bench").write_json(
        "forecast.json",
        {
            "levels": LEVELS,
            "method": method,
            "pinball_rs_per_mwh": headline,
            "development": plain(developed),
            "calibration": plain(judged),
            "test": plain(tested),
            "from_march": plain(year),
            "seconds": time.perf_counter() - started,
        },
    )


def show(title: str, table: pd.DataFrame) -> None:
    """Print a table."""
    print(f"\n{title}\n{table.round(3).to_string()}\n", flush=True)


def plain(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """A table as JSON without what is not defined."""
    return {name: row.dropna().to_dict() for name, row in table.iterrows()}


if __name__ == "__main__":
    main()
