"""Where a run's time goes: each notebook, model training, a year of features and scenarios."""

from __future__ import annotations

import time

import lightgbm
import numpy as np
from _cases import OUTPUTS, Clock, judged, report

from bessvpp.forecasting import boosting
from bessvpp.forecasting.features import feature_frame
from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.market.history import MARKETS
from bessvpp.market.synthetic import simulate
from bessvpp.params.load import load_params
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.pipeline import run_notebooks
from bessvpp.runs.profiles import resolve
from bessvpp.scenarios import draw

YEAR_DAYS = 365
SECONDS_FOR_A_YEAR = 10.0


def notebooks() -> tuple[list[dict], RunFolder]:
    """Each notebook's time and share in a run of the quick profile, and its folder."""
    folder = OUTPUTS / "quick"
    manifest = run_notebooks(resolve("quick", {"jobs": 1}), folder, overwrite=True, quiet=True)
    taken = {name: entry["wall_s"] for name, entry in manifest["notebooks"].items()}
    total = sum(taken.values())
    cases = [{"step": name, "s": wall, "share": wall / total} for name, wall in taken.items()]
    return cases, RunFolder(folder)


def training(folder: RunFolder) -> dict:
    """Training a market's models of the levels, over the bare ``lightgbm.train`` calls in it."""
    params = load_params()
    features = folder.read_frame("features_dam.parquet")
    prices = folder.read_frame("market.parquet").set_index("delivery_start")["dam_mcp"]
    target = prices.reindex(features["delivery_start"]).to_numpy()
    bare = Clock()
    began = time.perf_counter()
    with bare.of(lightgbm, "train"):
        boosting.train_quantile_models("dam", features, target, {}, params.forecast)
    total = time.perf_counter() - began
    return {"step": "training, one market", "s": total, "over_bare": total / bare.seconds}


def a_year() -> list[dict]:
    """Features of a year's days, and a year's scenarios."""
    params = load_params()
    rules = params.market
    market = simulate(rules.synthetic_start, YEAR_DAYS + 30, seed=rules.synthetic_seed)
    days = market.dates[-YEAR_DAYS:]
    began = time.perf_counter()
    feature_frame(market, days, rules)
    features_s = time.perf_counter() - began
    n = 2 * market.n_blocks
    apart = np.abs(np.arange(n)[:, None] - np.arange(n))
    levels = params.forecast.levels
    centre = np.nanmean(market.dam_mcp, axis=0)[:, None]
    quantiles = np.clip(centre * (0.5 + np.array(levels)), 0, 9_999)
    began = time.perf_counter()
    values = np.broadcast_to(quantiles, (len(days), *quantiles.shape))
    split = np.repeat("test", len(days))
    fans = {name: QuantileForecast(name, days, split, levels, values) for name in MARKETS}
    each = [np.exp(-apart / 24)] * len(days)
    draw.draw_fan(fans, each, market, days, rules, params.scenarios)
    scenarios_s = time.perf_counter() - began
    return [
        {"step": "features of a year", "s": features_s},
        {"step": "scenarios of a year", "s": scenarios_s},
    ]


def main() -> None:
    cases, folder = notebooks()
    trained, year = training(folder), a_year()
    targets = {
        "training over bare lightgbm.train, at most 1.3": judged(trained["over_bare"], 1.3),
        **{
            f"{case['step']}, at most {SECONDS_FOR_A_YEAR:g} s": judged(
                case["s"], SECONDS_FOR_A_YEAR
            )
            for case in year
        },
    }
    report("pipeline", [*cases, trained, *year], targets)


if __name__ == "__main__":
    main()
