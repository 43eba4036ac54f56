"""What a plan takes from the run whose models it uses, and what from parameter files of its own.

Files given for a plan are taken as they are: its battery, costs, rules and risk. What the run's
models and prices rest on stays the run's, and so does what a plan has no use for; files that ask
for another value of these than the run's are refused, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bessvpp.errors import ParameterError
from bessvpp.files import user_path
from bessvpp.params.load import FIELDS, Params, load_params
from bessvpp.runs.folder import RunFolder

OF_MODELS = "the run's models rest on it: make a run with these files"
OF_MARKET = "the run's embedded market was made with it: make a run with these files"
OF_DAYS = "a plan of one day has no use for it: leave it as it was in the run"

FIXED = {
    **dict.fromkeys(
        (
            "levels",
            "n_estimators",
            "lightgbm",
            "intraday_n_estimators",
            "intraday_lightgbm",
            "model_seed",
            "warmup_days",
            "calibration_days",
            "test_days",
            "retrain_every_days",
            "train_window_days",
            "external",
        ),
        OF_MODELS,
    ),
    **dict.fromkeys(("synthetic_start", "synthetic_days", "synthetic_seed"), OF_MARKET),
    **dict.fromkeys(
        ("policies", "lambdas", "correlation_every_days", "dam_results", "wear_by_depth"), OF_DAYS
    ),
}
"""Fields that a plan cannot take from files of its own, and why."""


def run_parameters(run: RunFolder, folder: str | None) -> Params:
    """Parameters of the run that trained the models, or of other parameter files.

    Without a ``folder`` they are the run's own files as they are now, below what its profile and
    ``-p`` gave it.

    Raises
    ------
    ParameterError
        where files ask for what a run's models do not allow, naming file, key and reason.
    """
    recorded = run.read_json("manifest.json")["parameters"]
    knobs, before = recorded["knobs"], Path(recorded["folder"])
    given = {key: knobs[key] for key in recorded.get("given", knobs) if key in FIELDS}
    if folder is None:
        params = load_params(before, **given)
        _refuse_others(_fields(params), recorded, {}, before, (OF_MODELS,))
        return params
    own = user_path(folder)
    inherited = {key: value for key, value in given.items() if key in FIXED}
    files_of_run = _fields(load_params(before)) if before.is_dir() else {}
    same = {key: files_of_run.get(key) for key in inherited}
    _refuse_others(_fields(load_params(own)), recorded, same, own, (OF_MODELS, OF_MARKET, OF_DAYS))
    return load_params(own, **inherited)


def _refuse_others(
    asked: Mapping[str, Any],
    recorded: Mapping[str, Any],
    same: Mapping[str, Any],
    folder: Path,
    reasons: tuple[str, ...],
) -> None:
    """Refuse values of fixed fields that are neither the run's nor ``same`` as its files'."""
    of_run = _of_run(recorded)
    told = [
        f"{folder / FIELDS[key]}.yaml: {key}: is {asked[key]}, in the run {of_run[key]}; {reason}"
        for key, reason in FIXED.items()
        if reason in reasons
        and key in of_run
        and asked[key] != of_run[key]
        and not (key in same and asked[key] == same[key])
    ]
    if told:
        raise ParameterError("\n".join(told))


def _of_run(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a run was made with, by field."""
    return {key: value for part in recorded["sections"].values() for key, value in part.items()}


def _fields(params: Params) -> dict[str, Any]:
    """The same of parameters, as a manifest writes them."""
    return _of_run({"sections": params.model_dump(mode="json")})
