"""Typed, frozen parameters, read from the YAML files in ``params/``.

There are two kinds. *Parameter files* say what the world is: the battery, the market's
rules and fees, the model settings. *Notebook parameters* say how large a run is: number of
scenarios, days, lambdas. A profile (``params/profiles/<name>.yaml``) is a set of notebook
parameters; every one of them is also a field of one of the sections below, so both kinds
are checked by the same rules.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError, model_validator

from bessvpp.errors import ParameterError
from bessvpp.files import PARAMS
from bessvpp.params.bess import BessParams
from bessvpp.params.fields import Section
from bessvpp.params.forecast import ForecastParams
from bessvpp.params.market import Costs, MarketParams
from bessvpp.params.study import BacktestParams, RiskParams, ScenarioParams, TerminalRule

S = TypeVar("S", bound=Section)


class Params(Section):
    """All sections together."""

    market: MarketParams
    bess: BessParams
    forecast: ForecastParams
    scenarios: ScenarioParams
    backtest: BacktestParams
    risk: RiskParams

    def rules_in_force(self) -> str:
        """By which rules days are planned, and how risk is weighed, in words.

        Examples
        --------
        >>> bv.load_params(commitment="financial").rules_in_force().split(", ")[:3]
        ['Commitment financial', 'terminal rule value', 'midnight rule plan']
        """
        rules, market, risk = self.backtest, self.market, self.risk
        limit = rules.unbacked_max_mwh_per_day
        return (
            f"Commitment {rules.commitment}, terminal rule {rules.terminal}, midnight rule "
            f"{rules.midnight}, lambda {risk.risk_aversion:g}, tail share {risk.alpha:g}, hurdles "
            f"of Rs {market.hurdle_dam_rs_per_mwh:g}/MWh in the DAM and "
            f"{market.hurdle_rtm_rs_per_mwh:g} in the RTM, {rules.recourse} recourse, "
            f"{rules.foresight:.0%} of RTM surprises counted on"
            + (
                ""
                if limit is None
                else f", at most {limit:g} MWh a day in the DAM that are not run"
            )
            + "."
        )

    def with_own_forecasts(self, quantiles: str, paths: str) -> Params:
        """The same with these files of own forecasts in place of any, where one is named."""
        given = {"own_quantiles": quantiles, "own_paths": paths}
        if not any(given.values()):
            return self
        return self.model_copy(update={"forecast": self.forecast.model_copy(update=given)})

    def differing(self, other: Params) -> list[str]:
        """Fields whose values differ, in the order of their sections."""
        return [
            name
            for section in SECTIONS
            for name, value in getattr(self, section)
            if value != getattr(getattr(other, section), name)
        ]

    def doubts(self) -> list[str]:
        """Values that are allowed and yet look like a slip of units."""
        told = []
        for unit in self.bess.units:
            wear = unit.wear_rs_per_mwh_discharged
            if 0 < wear < 20:
                told.append(
                    f"bess: {unit.name}: wear_rs_per_mwh_discharged = {wear:g}: Rs/kWh? "
                    f"Public studies have Rs 300 to 1,600 per MWh"
                )
            if max(unit.p_max_mw, unit.charge_max_mw) > 1000 or unit.e_nameplate_mwh > 10_000:
                told.append(f"bess: {unit.name}: {unit.p_max_mw:g} MW: is it in kW and kWh?")
        for key in ("fee_dam_rs_per_mwh", "fee_rtm_rs_per_mwh"):
            fee = getattr(self.market, key)
            if 0 < fee < 1:
                told.append(f"market: {key} = {fee:g}: Rs/kWh? 2 paise/kWh are Rs 20/MWh")
            elif fee > 100:
                told.append(f"market: {key} = {fee:g}: the exchange may charge at most Rs 20/MWh")
        return told


class DeskParams(Section):
    """Rules of a desk whose schedule is replayed, in one file.

    ``booked`` is what its accounts charge, ``planned`` what its RTM recourse reckons with:
    the file names only where the two differ.
    """

    bess: BessParams
    booked: Costs
    planned: Costs
    terminal: TerminalRule

    @model_validator(mode="after")
    def _check(self) -> DeskParams:
        for name, costs in (("booked", self.booked), ("planned", self.planned)):
            if costs != costs.without_hurdles:
                raise ValueError(
                    f"{name}: a hurdle is for prices that are only expected, and the recourse of a "
                    "replay knows them: leave out hurdle_dam_rs_per_mwh and hurdle_rtm_rs_per_mwh"
                )
        penalty = self.booked.off_dam_penalty_rs_per_mwh
        if penalty and penalty != self.planned.off_dam_penalty_rs_per_mwh:
            raise ValueError(
                f"booked: off_dam_penalty_rs_per_mwh = {penalty:g} is never booked, and planned "
                "names another: set it to 0"
            )
        return self


SECTIONS: dict[str, type[Section]] = {
    name: field.annotation
    for name, field in Params.model_fields.items()
    if isinstance(field.annotation, type)
}
FIELDS: dict[str, str] = {
    field: name for name, section in SECTIONS.items() for field in section.model_fields
}
"""Section of every field; no two sections share a name."""
OLDER_RISK = "cvar.yaml"
"""The section ``risk`` in folders of parameter files from before ``risk_aversion`` joined it."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Mapping in a YAML file; ``ParameterError`` where there is none."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(f"{path}: no such parameter file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: not readable as YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ParameterError(
            f"{path}: must hold 'key: value' lines, not a {type(content).__name__}"
        )
    return content


def load_params(folder: str | Path = "", **overrides: Any) -> Params:
    """Read and validate the parameter files.

    Parameters
    ----------
    folder : where ``market.yaml``, ``bess.yaml``, ... lie; ``""`` is the project's own.
    overrides : notebook parameters that replace a field of the same name in any section.

    Raises
    ------
    ParameterError
        naming the file, the key and the reason.

    Examples
    --------
    >>> p = bv.load_params(n_scenarios=80, synthetic_days=60)
    >>> p.scenarios.n_scenarios, p.market.dam_gate, p.bess.connection_limit_mw
    (80, 660, 50.0)
    """
    folder = Path(folder) if folder else PARAMS
    if not folder.is_dir():
        raise ParameterError(f"{folder}: no such folder of parameter files")
    files = _section_files(folder)
    contents = {name: read_yaml(path) for name, path in files.items()}
    if files["risk"].name == OLDER_RISK and "risk_aversion" in contents["backtest"]:
        contents["risk"]["risk_aversion"] = contents["backtest"].pop("risk_aversion")
    origin: dict[str, str] = {}
    for key, value in overrides.items():
        contents[section_of(key)][key] = value
        origin[key] = "notebook parameter"
    return Params(
        **{
            name: _validated(section, contents[name], files[name], origin)
            for name, section in SECTIONS.items()
        }
    )


def _section_files(folder: Path) -> dict[str, Path]:
    """File of each section; an older folder has ``cvar.yaml`` in place of ``risk.yaml``."""
    files = {name: folder / f"{name}.yaml" for name in SECTIONS}
    if not files["risk"].exists() and (folder / OLDER_RISK).exists():
        files["risk"] = folder / OLDER_RISK
    return files


def load_desk(path: Path | None = None) -> DeskParams:
    """Rules of a desk from its file; from the project's own parameter files where None.

    Raises
    ------
    ParameterError
        naming the file, the key and the reason.

    Examples
    --------
    >>> desk = bv.load_desk()
    >>> desk.terminal, desk.booked.fee_dam_rs_per_mwh
    ('value', 20.0)
    """
    if path is None:
        own = load_params()
        market = own.market.without_hurdles
        costs = {key: getattr(market, key) for key in Costs.model_fields}
        content = {"bess": own.bess, "booked": costs, "terminal": own.backtest.terminal}
        path = PARAMS
    else:
        if not path.is_file():
            raise ParameterError(f"{path}: no such file of a desk's rules")
        content = read_yaml(path)
    if isinstance(booked := content.get("booked"), dict):
        content["planned"] = booked | (content.get("planned") or {})
    return _validated(DeskParams, content, path, {})


def section_of(key: str) -> str:
    """Section that holds a field; ``ParameterError`` for an unknown or nested one."""
    if key in FIELDS:
        return FIELDS[key]
    raise ParameterError(f"unknown parameter '{key}'{suggestion(key, list(FIELDS))}")


def _validated(section: type[S], content: dict[str, Any], path: Path, origin: dict[str, str]) -> S:
    try:
        return section.model_validate(content)
    except ValidationError as error:
        problems = []
        items = error.errors()
        given = ", ".join(key for key in content if key in origin)
        whole = f"{path}, with {given} as given" if given else str(path)
        deeper = {item["loc"][:n] for item in items for n in range(len(item["loc"]))}
        for item in items:
            if item["loc"] in deeper:
                continue  # it only follows from a problem further inside
            keys = [str(part) for part in item["loc"]]
            where = origin.get(keys[0], str(path)) if keys else whole
            problems.append(f"{where}: {'.'.join(keys) or 'this file'}: {_reason(item, section)}")
        raise ParameterError("\n".join(problems)) from None


def _reason(item: dict[str, Any], section: type[Section]) -> str:
    if item["type"] == "extra_forbidden":
        known = _known_fields(section, item["loc"][:-1])
        return f"unknown key{suggestion(str(item['loc'][-1]), known)}"
    if item["type"] == "missing":
        return "missing; add it"
    reason = item["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(item["input"], dict) else f" (got {item['input']!r})"
    return reason + shown


def _known_fields(section: type[Section], loc: tuple[Any, ...]) -> list[str]:
    """Field names of the model at a place inside a section."""
    model = section
    for part in loc:
        if part in model.model_fields:  # else a place in a list, or a kind of a union
            model = _model_in(model.model_fields[part].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[Section] | None:
    """The model that an annotation such as ``tuple[Model, ...]`` speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def suggestion(key: str, known: list[str]) -> str:
    """End of a refusal of an unknown key: the known one most like it, else all of them."""
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known are {', '.join(known)}"
