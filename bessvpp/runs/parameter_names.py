"""What parameters are called where runs are compared: a name and a unit for each field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bessvpp.params.fields import clock_text

PARAMETERS = {  # field: name, unit
    "block_minutes": ("Prices averaged to blocks", "minutes"),
    "price_floor_rs_per_mwh": ("Price floor", "Rs/MWh"),
    "price_caps": ("Price caps", "Rs/MWh"),
    "dam_gate": ("DAM gate", "IST"),
    "dam_results": ("DAM results", "IST"),
    "rtm_session_minutes": ("RTM session", "minutes"),
    "rtm_gate_minutes": ("RTM gate before delivery", "minutes"),
    "bid_step_mw": ("Bid step", "MW"),
    "bid_price_steps": ("Prices of a bid, at most", ""),
    "bid_price_tick_rs_per_mwh": ("Price tick of bids", "Rs/MWh"),
    "column_names": ("Names of columns", ""),
    "external": ("Further columns", ""),
    "synthetic_start": ("Embedded market, first day", ""),
    "synthetic_days": ("Embedded market, length", "days"),
    "synthetic_seed": ("Embedded market, seed", ""),
    "fee_dam_rs_per_mwh": ("Exchange fee, DAM", "Rs/MWh traded"),
    "fee_rtm_rs_per_mwh": ("Exchange fee, RTM", "Rs/MWh traded"),
    "fee_flow_rs_per_mwh": ("Fee on physical flow", "Rs/MWh"),
    "scheduling_rs_per_day": ("Scheduling", "Rs a day"),
    "scheduling_rs_per_mwh": ("Scheduling, by flow", "Rs/MWh"),
    "dsm_share_of_flow": ("Deviation expected", "share of flow"),
    "rule": ("Rule", ""),
    "ancillary_rs_per_mwh": ("Ancillary price", "Rs/MWh"),
    "max_rs_per_mwh": ("At most", "Rs/MWh"),
    "aux_rs_per_mwh": ("Auxiliary energy", "Rs/MWh"),
    "off_dam_penalty_rs_per_mwh": ("Penalty off the DAM schedule, in planning", "Rs/MWh"),
    "hurdle_dam_rs_per_mwh": ("Hurdle in planning, DAM", "Rs/MWh"),
    "hurdle_rtm_rs_per_mwh": ("Hurdle in planning, RTM", "Rs/MWh"),
    "connection_limit_mw": ("Grid connection", "MW"),
    "p_max_mw": ("Power", "MW"),
    "p_charge_max_mw": ("Power of charge, if another", "MW"),
    "e_nameplate_mwh": ("Nameplate energy", "MWh"),
    "e_min_mwh": ("Least energy", "MWh"),
    "e_max_mwh": ("Most energy", "MWh"),
    "eta_charge": ("Efficiency of charge", ""),
    "eta_discharge": ("Efficiency of discharge", ""),
    "wear_rs_per_mwh_discharged": ("Wear", "Rs/MWh discharged"),
    "e_start_mwh": ("Energy at the start", "MWh"),
    "e_target_mwh": ("Target energy of a day", "MWh"),
    "max_cycles_per_day": ("Most cycles a day", ""),
    "self_discharge_per_hour": ("Self-discharge", "share an hour"),
    "aux_mw": ("Auxiliary load", "MW"),
    "charge_taper": ("Power of charge by energy", "MWh: MW"),
    "discharge_taper": ("Power of discharge by energy", "MWh: MW"),
    "outages": ("Outages", ""),
    "warranty_cycles_per_year": ("Warranty, cycles", "a year"),
    "warranty_throughput_mwh_per_year": ("Warranty, energy discharged", "MWh a year"),
    "warranty_price_rs_per_mwh": ("Price of the warranty in planning", "Rs/MWh discharged"),
    "charge_windows": ("Hours of charge", ""),
    "discharge_windows": ("Hours of discharge", ""),
    "levels": ("Quantile levels", ""),
    "n_estimators": ("Trees of each model", ""),
    "intraday_n_estimators": ("Trees of the model within the day", ""),
    "learning_rate": ("Learning rate", ""),
    "num_leaves": ("Leaves of a tree", ""),
    "min_data_in_leaf": ("Least data in a leaf", ""),
    "feature_fraction": ("Share of features", ""),
    "bagging_fraction": ("Share of data", ""),
    "bagging_freq": ("Data drawn anew every", "trees"),
    "lambda_l2": ("L2 penalty", ""),
    "model_seed": ("Seed of the models", ""),
    "warmup_days": ("Days of history before training", "days"),
    "retrain_every_days": ("Refit every", "days"),
    "train_window_days": ("Training window", "days"),
    "calibration_days": ("Calibration", "days"),
    "test_days": ("Test", "days"),
    "own_quantiles": ("Own quantiles", ""),
    "own_paths": ("Own paths", ""),
    "recalibration": ("Recalibration", ""),
    "recalibration_windows": ("Rolling windows", "days"),
    "half_life_days": ("Half-life of residuals", "days"),
    "recalibration_days": ("Recalibration window", "days"),
    "adaptive_steps": ("Steps of adaptive levels", ""),
    "group_step": ("Step of levels by group", ""),
    "min_group_size": ("Smallest group of residuals", ""),
    "dependence": ("Dependence of blocks", ""),
    "n_scenarios": ("Scenarios", ""),
    "seed": ("Seed of the scenarios", ""),
    "gibbs_sweeps": ("Gibbs sweeps", ""),
    "correlation_every_days": ("Correlation anew every", "days"),
    "commitment": ("Commitment", ""),
    "terminal": ("End of a day", ""),
    "midnight": ("Energy at midnight", ""),
    "recourse": ("RTM bids", ""),
    "policies": ("Policies", ""),
    "fan": ("Fan", ""),
    "foresight": ("RTM surprises counted on in planning", "share"),
    "unbacked_max_mwh_per_day": ("DAM trade not run, at most", "MWh a day"),
    "wear_by_depth": ("Wear by depth of cycle", ""),
    "solver": ("Solver", ""),
    "solver_time_limit_s": ("Time limit of a programme", "s"),
    "alpha": ("Tail share α", ""),
    "risk_aversion": ("Risk aversion λ", ""),
    "lambdas": ("λ of the frontier", ""),
}
PARTS = {
    "dsm_rate": "deviation rate",
    "lightgbm": "quantile models",
    "intraday_lightgbm": "model within the day",
}
CLOCKS = ("dam_gate", "dam_results", "start", "end")
WITHIN = {"effective_from": "from", "cap_rs_per_mwh": "", "rs_per_mwh_discharged": "Rs/MWh"}
"""What keys within a value are called, where not by their own words."""


def flat_parameters(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Every value by its place, such as ``bess.units.BESS-1.p_max_mw``.

    Units are named by their name, other lists are one value.
    """
    flat: dict[str, Any] = {}
    for key, value in sections.items():
        if key == "units":
            value = {unit["name"]: {k: v for k, v in unit.items() if k != "name"} for unit in value}
        if isinstance(value, Mapping) and value:
            flat |= {f"{key}.{inner}": x for inner, x in flat_parameters(value).items()}
        else:
            flat[key] = value
    return flat


def parameter_name(place: str) -> str:
    """A parameter, named by its place, as a reader would call it, with its unit."""
    *above, field = place.split(".")
    if above == ["version"]:
        return f"Version of {field}"
    name, unit = PARAMETERS.get(field, (field.replace("_", " ").capitalize(), ""))
    if above[1:2] == ["units"]:
        name = f"{'.'.join(above[2:])}: {name[0].lower()}{name[1:]}"
    elif above[-1:] and above[-1] in PARTS:
        name = f"{name} ({PARTS[above[-1]]})"
    return f"{name}, {unit}" if unit else name


def value_in_words(value: Any, field: str = "") -> str:
    """The value of a field; clocks as HH:MM, lists without their brackets."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if field in CLOCKS and isinstance(value, int):
        return clock_text(value)
    if isinstance(value, int | float):
        return f"{value:,.10g}"
    if isinstance(value, Mapping):
        parts = [
            (WITHIN.get(k, k.replace("_", " ")), value_in_words(v, k)) for k, v in value.items()
        ]
        return " ".join(f"{name} {told}".strip() for name, told in parts) or "none"
    if isinstance(value, list | tuple):
        joint = "; " if any(isinstance(one, Mapping) for one in value) else ", "
        return joint.join(value_in_words(one) for one in value) or "none"
    return str(value).replace("_", " ") or "none"
