"""Where the time of the book's notebooks goes, and training, a year of features and scenarios.

All notebooks are held against what they cannot do without: LightGBM's fits and HiGHS's runs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

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


def notebooks() -> tuple[list[dict], RunFolder, dict[str, float]]:
    """A run of the book on all cores: each notebook's time and share, its folder, and all of it.

    ``total_s`` are the seconds of all notebooks, ``bare_s`` those inside LightGBM's fits and
    HiGHS's runs in any of their processes, one call after the other. Days that an earlier run has
    planned are planned again.
    """
    folder = OUTPUTS / "book"
    shutil.rmtree(folder, ignore_errors=True)
    jobs = len(os.sched_getaffinity(0))
    with clocks() as files:
        manifest = run_notebooks(resolve("book", {"jobs": jobs}), folder, quiet=True)
        bare = {
            package: sum(float(line) for file in found for line in file.read_text().split())
            for package in ("lightgbm", "highspy")
            if (found := list(files.glob(f"{package}-*.txt")))
        }
    taken = {name: entry["wall_s"] for name, entry in manifest["notebooks"].items()}
    peaks = {name: entry["peak_memory_mb"] for name, entry in manifest["notebooks"].items()}
    total, bare_s = sum(taken.values()), sum(bare.values())
    cases = [
        {"step": name, "s": wall, "share": wall / total, "peak_mb": peaks[name]}
        for name, wall in taken.items()
    ]
    whole = {"jobs": jobs, "total_s": total, "bare_s": bare_s, "total_over_bare": total / bare_s}
    whole |= {f"bare_{package}_s": seconds for package, seconds in bare.items()}
    return cases, RunFolder(folder), whole


@contextmanager
def clocks() -> Iterator[Path]:
    """A folder in which every process begun within writes its seconds; see ``_clocked``."""
    path = [str(Path(__file__).parent / "_clocked"), os.environ.get("PYTHONPATH", "")]
    with tempfile.TemporaryDirectory() as folder:
        told = {"BENCH_CLOCKS": folder, "PYTHONPATH": os.pathsep.join(filter(None, path))}
        with mock.patch.dict(os.environ, told):
            yield Path(folder)


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
    cases, folder, whole = notebooks()
    trained, year = training(folder), a_year()
    targets = {
        "notebooks of the book over bare fits and runs, at most 1.5": judged(
            whole["total_over_bare"], 1.5
        ),
        "training over bare lightgbm.train, at most 1.3": judged(trained["over_bare"], 1.3),
        **{
            f"{case['step']}, at most {SECONDS_FOR_A_YEAR:g} s": judged(
                case["s"], SECONDS_FOR_A_YEAR
            )
            for case in year
        },
    }
    report("pipeline", [*cases, trained, *year], targets, whole)


if __name__ == "__main__":
    main()
