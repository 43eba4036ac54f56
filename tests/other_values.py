"""Another value of every parameter in every file, and what makes it matter."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import yaml
from small_cases import FIELDS

from bessvpp.params.bess import UnitParams
from bessvpp.params.load import SECTIONS
from bessvpp.params.market import DeviationRate

NIGHT = [{"start": "00:00", "end": "06:00"}]
OTHER = {
    "market": {
        "block_minutes": 15,
        "price_floor_rs_per_mwh": 50.0,
        "price_caps": [{"effective_from": "2012-01-01", "cap_rs_per_mwh": 5000.0}],
        "dam_gate": "08:00",
        "dam_results": "14:00",
        "rtm_session_minutes": 60,
        "rtm_gate_minutes": 240,
        "bid_step_mw": 0.7,
        "bid_price_tick_rs_per_mwh": 50.0,
        "bid_price_steps": 2,
        "fee_dam_rs_per_mwh": 25.0,
        "fee_rtm_rs_per_mwh": 900.0,
        "fee_flow_rs_per_mwh": 500.0,
        "scheduling_rs_per_day": 2500.0,
        "scheduling_rs_per_mwh": 400.0,
        "dsm_share_of_flow": 0.2,
        "dsm_rate.rule": "mean_of_three",
        "dsm_rate.ancillary_rs_per_mwh": 1000.0,
        "dsm_rate.max_rs_per_mwh": 3000.0,
        "off_dam_penalty_rs_per_mwh": 400.0,
        "aux_rs_per_mwh": 7000.0,
        "hurdle_dam_rs_per_mwh": 300.0,
        "hurdle_rtm_rs_per_mwh": 300.0,
        "column_names": {"Clearing Rate": "MCP (Rs/MWh)"},
        "external": [{"file": "wind.csv", "published": "09:00", "columns": "all"}],
        "synthetic_start": "2024-01-02",
        "synthetic_days": 61,
        "synthetic_seed": 2,
    },
    "bess": {
        "connection_limit_mw": 40.0,
        "units.name": "B",
        "units.p_max_mw": 41.0,
        "units.p_charge_max_mw": 20.0,
        "units.e_nameplate_mwh": 260.0,
        "units.e_min_mwh": 40.0,
        "units.e_max_mwh": 150.0,
        "units.eta_charge": 0.9,
        "units.eta_discharge": 0.85,
        "units.wear_rs_per_mwh_discharged": 900.0,
        "units.e_start_mwh": 60.0,
        "units.e_target_mwh": 130.0,
        "units.max_cycles_per_day": 0.3,
        "units.charge_windows": NIGHT,
        "units.discharge_windows": NIGHT,
        "units.self_discharge_per_hour": 0.01,
        "units.aux_mw": 0.7,
        "units.charge_taper": [{"e_mwh": 80.0, "p_mw": 50.0}, {"e_mwh": 180.0, "p_mw": 2.0}],
        "units.discharge_taper": [{"e_mwh": 20.0, "p_mw": 2.0}, {"e_mwh": 150.0, "p_mw": 50.0}],
        "units.warranty_cycles_per_year": 100.0,
        "units.warranty_throughput_mwh_per_year": 20_000.0,
        "units.warranty_price_rs_per_mwh": 1500.0,
        "units.outages": [{"start": "2024-01-01", "end": "2026-01-01", "power_share": 0.5}],
    },
    "forecast": {
        "levels": [0.05, 0.5, 0.95],
        "n_estimators": 9,
        "lightgbm": FIELDS["forecast"]["lightgbm"] | {"num_leaves": 9},
        "intraday_n_estimators": 41,
        "intraday_lightgbm": FIELDS["forecast"]["lightgbm"] | {"num_leaves": 9},
        "model_seed": 4,
        "warmup_days": 8,
        "retrain_every_days": 1,
        "train_window_days": [0, 40],
        "calibration_days": 25,
        "test_days": 5,
        "recalibration": "static",
        "recalibration_windows": [12, 20, 24],
        "half_life_days": 3.0,
        "recalibration_days": 15,
        "adaptive_steps": [0.2],
        "group_step": 0.2,
        "min_group_size": 200,
        "own_quantiles": "nowhere.csv",
        "own_paths": "nowhere.csv",
    },
    "scenarios": {
        "dependence": "similar_days",
        "n_scenarios": 7,
        "seed": 8,
        "gibbs_sweeps": 1,
        "correlation_every_days": 2,
    },
    "backtest": {
        "commitment": "financial",
        "terminal": "free",
        "midnight": "plan",
        "recourse": "dynamic",
        "policies": ["two_stage"],
        "fan": "original",
        "foresight": 0.3,
        "unbacked_max_mwh_per_day": 5.0,
        "wear_by_depth": [{"depth": 0.5, "rs_per_mwh_discharged": 400.0}],
        "solver": "cbc",
        "solver_time_limit_s": 1e-6,
    },
    "risk": {"alpha": 0.6, "risk_aversion": 0.9, "lambdas": [0.0, 1.0]},
}
MATTERS_WITH = {
    "dsm_rate.ancillary_rs_per_mwh": {"dsm_rate.rule": "mean_of_three", "dsm_share_of_flow": 0.3},
    "aux_rs_per_mwh": {"units.aux_mw": 0.7},
    "units.e_nameplate_mwh": {"units.max_cycles_per_day": 0.3},
    "recalibration_windows": {"recalibration": "rolling_mean"},
    "half_life_days": {"recalibration": "exponential"},
    "recalibration_days": {"recalibration": "adaptive"},
    "adaptive_steps": {"recalibration": "adaptive"},
    "group_step": {"recalibration": "group_adaptive"},
    "min_group_size": {"recalibration": "group_adaptive"},
}
"""What must be set as well, for a value to change anything."""


def every_value() -> Iterator[tuple[str, str]]:
    """Section and key of each; fails where a field has no other value here."""
    for section, kind in SECTIONS.items():
        names = set(kind.model_fields) - {"units", "dsm_rate"}
        names |= {f"units.{name}" for name in UnitParams.model_fields if section == "bess"}
        names |= {f"dsm_rate.{n}" for n in DeviationRate.model_fields if section == "market"}
        unlike = ", ".join(sorted(names ^ OTHER[section].keys()))
        assert not unlike, f"{section}: give {unlike} another value in tests/other_values.py"
        yield from ((section, key) for key in OTHER[section])


def put(fields: dict, section: str, key: str, value: object) -> None:
    """Set a value at a dotted key of a section."""
    place, name = fields[section], key
    if "." in key:
        outer, name = key.split(".")
        place = place["units"][0] if outer == "units" else place[outer]
    place[name] = copy.deepcopy(value)


def fields_with(section: str, key: str) -> tuple[dict, dict]:
    """The small case in which a value matters, and the same with another one."""
    plain = copy.deepcopy(FIELDS)
    for name, value in MATTERS_WITH.get(key, {}).items():
        put(plain, "bess" if name.startswith("units.") else section, name, value)
    other = copy.deepcopy(plain)
    put(other, section, key, OTHER[section][key])
    return plain, other


def write_params(folder: Path, fields: dict) -> Path:
    """A folder of parameter files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in fields.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False), "utf-8")
    return folder
