"""Small cases that several tests share: no two prices, fees or efficiencies in them are alike.

A case in which the markets, the fees or the two efficiencies were equal would hide a confusion
of one for the other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import pandas as pd
import yaml

from bessvpp.backtest.window import Window, settled_days
from bessvpp.calibration import recalibration
from bessvpp.forecasting import quantiles, walk_forward
from bessvpp.forecasting.features import feature_frame
from bessvpp.forecasting.splits import Splits, split_days
from bessvpp.market import history
from bessvpp.market.clock import session_starts
from bessvpp.market.history import Market
from bessvpp.optimizer.problem import Problem, day_problem
from bessvpp.params.load import SECTIONS, Params, section_of
from bessvpp.params.study import PolicyName
from bessvpp.prices import PriceScenarios
from bessvpp.runs import contents
from bessvpp.runs.folder import RunFolder
from bessvpp.scenarios import copula, draw

CAP = 10_000.0
PATIENCE_S = 600  # before a test gives up on what hangs; a busy machine needs a tenth of it


def calls_of(work: Callable[[], object]) -> int:
    """How many functions a piece of work calls: its steps, on a machine of any speed."""
    calls = 0

    def count(_frame: object, event: str, _what: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


HALF_TICK = 0.00501
"""A forecast, on the tick of Rs 0.01/MWh, is as near as this to what was computed."""

UNIT = {
    "name": "A",
    "p_max_mw": 50.0,
    "e_nameplate_mwh": 200.0,
    "e_min_mwh": 20.0,
    "e_max_mwh": 180.0,
    "eta_charge": 0.96,
    "eta_discharge": 0.92,
    "wear_rs_per_mwh_discharged": 310.0,
    "e_start_mwh": 100.0,
    "e_target_mwh": 100.0,
    "max_cycles_per_day": None,
    "charge_windows": [],
    "discharge_windows": [],
}
SECOND_UNIT = UNIT | {
    "name": "B",
    "p_max_mw": 20.0,
    "e_nameplate_mwh": 40.0,
    "e_min_mwh": 2.0,
    "e_max_mwh": 38.0,
    "eta_charge": 0.90,
    "eta_discharge": 0.94,
    "wear_rs_per_mwh_discharged": 90.0,
    "e_start_mwh": 15.0,
    "e_target_mwh": 15.0,
}
TAPER = {
    "charge_taper": [
        {"e_mwh": 140.0, "p_mw": 50.0},
        {"e_mwh": 160.0, "p_mw": 35.0},
        {"e_mwh": 180.0, "p_mw": 8.0},
    ],
    "discharge_taper": [
        {"e_mwh": 20.0, "p_mw": 6.0},
        {"e_mwh": 40.0, "p_mw": 30.0},
        {"e_mwh": 70.0, "p_mw": 50.0},
    ],
}
DAY = "2024-03-05"
"""Of every ``make_problem``; outages are dated."""
REAL_UNIT = (
    UNIT
    | TAPER
    | {
        "self_discharge_per_hour": 0.0005,
        "aux_mw": 0.4,
        "outages": [
            {"start": f"{DAY} 12:10", "end": f"{DAY} 13:00", "power_share": 0.5},
            {"start": f"{DAY} 20:00", "end": f"{DAY} 20:30"},
        ],
    }
)
"""With everything that a battery which really stands there has."""
LIGHTGBM = {
    "learning_rate": 0.2,
    "num_leaves": 7,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
}
FIELDS = {
    "market": {
        "block_minutes": None,
        "price_floor_rs_per_mwh": 0.0,
        "price_caps": [{"effective_from": "2012-01-01", "cap_rs_per_mwh": CAP}],
        "dam_gate": "11:00",
        "dam_results": "13:00",
        "rtm_session_minutes": 30,
        "rtm_gate_minutes": 60,
        "bid_step_mw": 0.1,
        "bid_price_tick_rs_per_mwh": 1.0,
        "bid_price_steps": 4,
        "fee_dam_rs_per_mwh": 20.0,
        "fee_rtm_rs_per_mwh": 33.0,
        "fee_flow_rs_per_mwh": 7.0,
        "scheduling_rs_per_day": 2000.0,
        "scheduling_rs_per_mwh": 1.8,
        "dsm_share_of_flow": 0.02,
        "dsm_rate": {
            "rule": "highest",
            "ancillary_rs_per_mwh": 5000.0,
            "max_rs_per_mwh": CAP,
        },
        "off_dam_penalty_rs_per_mwh": 0.0,
        "synthetic_start": "2024-01-01",
        "synthetic_days": 60,
        "synthetic_seed": 1,
    },
    "bess": {"connection_limit_mw": 50.0, "units": [UNIT]},
    "forecast": {
        "levels": [0.05, 0.25, 0.5, 0.75, 0.95],
        "n_estimators": 8,
        "model_seed": 3,
        "lightgbm": LIGHTGBM,
        "intraday_n_estimators": 40,
        "intraday_lightgbm": LIGHTGBM,
        "warmup_days": 7,
        "calibration_days": 24,
        "test_days": 4,
        "retrain_every_days": 0,
        "train_window_days": [0],
        "recalibration": "rolling_24",
        "recalibration_windows": [12, 24],
        "half_life_days": 12.0,
        "recalibration_days": 24,
        "adaptive_steps": [0.02, 0.05],
        "group_step": 0.01,
        "min_group_size": 40,
    },
    "scenarios": {"dependence": "copula", "n_scenarios": 6, "seed": 7, "gibbs_sweeps": 4},
    "backtest": {
        "commitment": "physical",
        "terminal": "hard",
        "policies": list(get_args(PolicyName)),
        "fan": "both",
        "solver": "engine",
        "solver_time_limit_s": 600.0,
    },
    "risk": {"alpha": 0.4, "risk_aversion": 0.3, "lambdas": [0.0, 0.3, 2.0]},
}


def make_params(unit: dict | None = None, **changes: object) -> Params:
    """The parameters above with some fields of any section changed, and those of the unit."""
    fields = {name: dict(values) for name, values in FIELDS.items()}
    if unit:
        fields["bess"]["units"] = [UNIT | unit]
    for key, value in changes.items():
        fields[section_of(key)][key] = value
    return Params(**{name: kind.model_validate(fields[name]) for name, kind in SECTIONS.items()})


def fleet(**changes: object) -> Params:
    """Two unlike units behind a connection that is too small for both at once."""
    return make_params(**({"units": [UNIT, SECOND_UNIT], "connection_limit_mw": 60.0} | changes))


def day_shape(n_blocks: int) -> np.ndarray:
    """A price day with a dear night, a cheap noon and a dear evening [Rs/MWh]."""
    hour = np.arange(n_blocks) * 24 / n_blocks
    return 4500 + 1500 * np.cos(hour * np.pi / 12) + 2500 * np.exp(-(((hour - 19) / 2) ** 2))


def price_scenarios(
    n_scenarios: int = 5,
    n_blocks: int = 24,
    *,
    seed: int = 0,
    no_trade: tuple[int, ...] = (),
    weighted: bool = False,
) -> PriceScenarios:
    """Random days around ``day_shape``, unlike in the two markets, some blocks at the cap."""
    rng = np.random.default_rng(seed)
    level = rng.normal(0, 700, (n_scenarios, 1))
    dam = day_shape(n_blocks) + level + rng.normal(0, 500, (n_scenarios, n_blocks))
    rtm = dam - 250 + 900 * rng.normal(size=(n_scenarios, 1)) + rng.normal(0, 1300, dam.shape)
    dam, rtm = np.clip(dam, 0, CAP), np.clip(rtm, 0, CAP)
    rtm[:, list(no_trade)] = np.nan
    weights = rng.dirichlet(np.ones(n_scenarios)) if weighted else np.ones(n_scenarios)
    return PriceScenarios(dam, rtm, weights / weights.sum())


def make_problem(params: Params, n_blocks: int = 24, **changes: object) -> Problem:
    """The planning problem of a day that starts, and whose schedule starts, at ``e_start``."""
    start = np.array([unit.e_start_mwh for unit in params.bess.units])
    problem = day_problem(params, 24 / n_blocks, start).on(np.datetime64(DAY))
    return replace(problem, **changes)


def make_market(
    n_days: int,
    n_blocks: int = 24,
    *,
    seed: int = 0,
    first: str = "2024-03-01",
    bids: bool = False,
) -> Market:
    """Days of prices with a slowly moving level; the RTM strays from the DAM."""
    rng = np.random.default_rng(seed)
    level = np.zeros(n_days)
    for day in range(1, n_days):
        level[day] = 0.7 * level[day - 1] + rng.normal(0, 600)
    dam = day_shape(n_blocks) + level[:, None] + rng.normal(0, 350, (n_days, n_blocks))
    rtm = dam - 200 + rng.normal(0, 900, (n_days, 1)) + rng.normal(0, 900, dam.shape)
    extras = {}
    if bids:
        names = ("dam_purchase_bid_mw", "dam_sell_bid_mw", "rtm_sell_bid_mw")
        extras = {name: rng.uniform(100, 900, dam.shape).round(1) for name in names}
    return Market(
        np.datetime64(first) + np.arange(n_days),
        np.clip(dam, 0, CAP).round(2),
        np.clip(rtm, 0, CAP).round(2),
        np.zeros(dam.shape, dtype=bool),
        extras,
        False,
    )


@dataclass(frozen=True)
class Study:
    """A small run from prices to fans, as the first four notebooks make it."""

    params: Params
    market: Market
    features: pd.DataFrame
    splits: Splits
    models: Mapping[str, Mapping]  # by market and training window
    original: Mapping[str, quantiles.QuantileForecast]  # by market; days out of sample
    recalibrated: Mapping[str, quantiles.QuantileForecast]  # by market; test days
    deltas: pd.DataFrame
    correlation: np.ndarray
    window: Window


def make_study(params: Params, market: Market) -> Study:
    """Features, models, forecasts, recalibration, correlation and fans of the test days."""
    rules = params.market
    splits = split_days(market, params.forecast)
    features = feature_frame(market, market.dates[params.forecast.warmup_days :], rules)
    models, original, recalibrated, deltas = {}, {}, {}, []
    for name in history.MARKETS:
        walk = walk_forward.walk_forward(name, features, market, splits, params.forecast, rules)
        models[name], original[name] = walk.models, walk.forecast
        method = params.forecast.recalibration
        made = recalibration.recalibrate(
            original[name], market, splits.test, [method], params.forecast, rules
        )[method]
        recalibrated[name] = made.forecast
        deltas.append(made.shifts)
    known = market.known_at_dam_gate(splits.test[0], rules)
    correlation = copula.copula_correlation(original, known, rules, params.scenarios)
    fans = {}
    for fan, by_market in (("original", original), ("recalibrated", recalibrated)):
        fans[fan] = draw.draw_fan(
            by_market,
            [correlation] * len(splits.test),
            market,
            splits.test,
            rules,
            params.scenarios,
        )
    medians = [recalibrated[name].level(0.5) for name in history.MARKETS]
    window = Window(
        market,
        splits.test,
        fans,
        [PriceScenarios.single(dam, rtm) for dam, rtm in zip(*medians, strict=True)],
        params,
    )
    return Study(
        params,
        market,
        features,
        splits,
        models,
        original,
        recalibrated,
        pd.concat(deltas, ignore_index=True),
        correlation,
        window,
    )


def write_study(run: RunFolder, study: Study) -> None:
    """The study's artefacts, as the first four notebooks write them."""
    run.write_frame("market.parquet", study.market.to_frame())
    for name in history.MARKETS:
        run.write_frame(f"features_{name}.parquet", study.features)
        contents.save_models(run, name, study.models[name])
    contents.save_splits(run, study.splits)
    contents.write_forecasts(run, "original", study.original)
    contents.write_forecasts(run, "recalibrated", study.recalibrated)
    for fan, days in study.window.fans.items():
        contents.write_fan(run, fan, study.splits.test, days)


def write_parameters(run: RunFolder, params: Params) -> None:
    """The files of a folder of parameters, as ``params`` of the run."""
    for name in SECTIONS:
        content = getattr(params, name).model_dump(mode="json")
        for key in {"dam_gate", "dam_results"} & content.keys():
            content[key] = f"{content[key] // 60:02d}:{content[key] % 60:02d}"
        run.write_text(f"params/{name}.yaml", yaml.safe_dump(content))


def make_window(
    params: Params, market: Market, first: int = 8, n_scenarios: int = 3, seed: int = 0
) -> Window:
    """A window over the days from ``first`` on, whose fans stray from what will happen."""
    days = settled_days(market, market.dates[first:])
    rng = np.random.default_rng(seed)
    fans: dict[str, list[PriceScenarios]] = {"original": [], "recalibrated": []}
    shape = day_shape(market.n_blocks)
    for _ in days:
        for fan, scale in (("original", 1500.0), ("recalibrated", 700.0)):
            noise = rng.normal(0, scale, (2, n_scenarios, market.n_blocks))
            dam = np.clip(shape + noise[0], 0, CAP)
            rtm = np.clip(shape - 250 + noise[0] + 0.8 * noise[1], 0, CAP)
            fans[fan].append(PriceScenarios(dam, rtm, np.full(n_scenarios, 1 / n_scenarios)))
    medians = [
        PriceScenarios.single(np.median(day.dam, axis=0), np.median(day.rtm, axis=0))
        for day in fans["recalibrated"]
    ]
    chosen = {fan: fans[fan] for fan in params.backtest.fans}
    return Window(market, days, chosen, medians, params)


def foreseeing(window: Window) -> Window:
    """The window with gates that expect the RTM 250 below the DAM."""
    rows = [window.market.index_of(day) for day in window.days]
    n_gates = len(session_starts(window.params.market, window.market.n_blocks))
    expected = np.clip(window.market.dam_mcp[rows] - 250.0, 0, CAP)
    return replace(window, expected_rtm=np.repeat(expected[:, None], n_gates, axis=1))


def same(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Equal to the last bit, NaN equal to NaN."""
    return first.equals(second)
