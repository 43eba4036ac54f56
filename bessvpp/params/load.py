"""Typed, frozen parameters, read from the YAML files in ``params/``.

There are two kinds. *Parameter files* say what the world is: the battery, the market's
rules and fees, the model settings. *Notebook parameters* say how large a run is: number of
scenarios, days, lambdas. A profile (``params/profiles/<name>.yaml``) is a set of notebook
parameters; every one of them is also a field of one of the sections below, so both kinds
are checked by the same rules.
"""

from __future__ import annotations

import ast
import datetime as dt
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    model_validator,
)

from bessvpp.errors import ParameterError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
MINUTES_PER_DAY = 24 * 60


def parse_clock(value: object) -> int:
    """Minutes after midnight of a quoted clock time, ``"00:00"`` to ``"24:00"``."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError('write the clock time in quotes, for example "11:00"')
    try:
        hours, minutes = (int(part) for part in str(value).split(":"))
    except ValueError:
        raise ValueError('is no clock time; write it as "HH:MM"') from None
    total = 60 * hours + minutes
    if not (0 <= minutes < 60 and 0 <= total <= MINUTES_PER_DAY):
        raise ValueError('is no clock time between "00:00" and "24:00"')
    return total


Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, le=1)]
Count = Annotated[int, Strict(), Field(ge=1)]
Seed = Annotated[int, Strict(), Field(ge=0)]
Clock = Annotated[int, BeforeValidator(parse_clock)]
Commitment = Literal["physical", "financial"]
Terminal = Literal["hard", "free", "value"]
Solver = Literal["engine", "highs", "cbc"]
Fan = Literal["original", "recalibrated"]
Policy = Literal[
    "nothing_committed",
    "fixed_windows",
    "yesterday",
    "seven_day_mean",
    "median",
    "two_stage",
]
ColumnName = Literal[
    "Date",
    "Hour",
    "Session ID",
    "Time Block",
    "Purchase Bid (MW)",
    "Sell Bid (MW)",
    "MCV (MW)",
    "MCP (Rs/MWh)",
    "delivery_start",
    "dam_mcp_rs_mwh",
    "rtm_mcp_rs_mwh",
    "purchase_bid_mw",
    "sell_bid_mw",
    "mcv_mw",
]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PriceCap(_Section):
    """Price cap in force from a date on."""

    effective_from: dt.date
    cap_rs_per_mwh: Positive


class DeviationRate(_Section):
    """Deviation rate: price of a MWh of ``dsm_share_of_flow``.

    ``highest``: the higher of the DAM and the RTM price. ``mean_of_three``: the mean of
    DAM, RTM and ``ancillary_rs_per_mwh``. Both at most ``max_rs_per_mwh``. A MWh of the
    schedule that is not followed costs at least the DAM price, and the fee of a trade.
    """

    rule: Literal["highest", "mean_of_three"]
    ancillary_rs_per_mwh: NonNegative
    max_rs_per_mwh: Positive


class Costs(_Section):
    """What trading and running cost, besides the energy itself.

    ``fee_dam`` and ``fee_rtm`` fall on each MWh traded in that market; ``fee_flow`` and
    ``scheduling_rs_per_mwh`` on each MWh of physical flow (charge plus discharge).
    ``dsm_share_of_flow`` is an expected execution error, priced at the deviation rate.
    ``off_dam_penalty`` steers a plan towards its DAM schedule and is never booked.
    """

    fee_dam_rs_per_mwh: NonNegative
    fee_rtm_rs_per_mwh: NonNegative
    fee_flow_rs_per_mwh: NonNegative
    scheduling_rs_per_day: NonNegative
    scheduling_rs_per_mwh: NonNegative
    dsm_share_of_flow: Share
    dsm_rate: DeviationRate
    off_dam_penalty_rs_per_mwh: NonNegative


class ExternalFile(_Section):
    """A CSV file of further columns, such as forecasts of demand, wind, solar or weather.

    ``published`` is when, on the day before delivery, its values are known. ``columns`` names
    those to use; ``all`` is every one besides ``delivery_start``. A relative ``file`` starts
    at the project's root.
    """

    file: Annotated[str, Field(min_length=1)]
    published: Clock
    columns: Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1)]


class MarketParams(Costs):
    """Rules of the exchange and costs of using it (``params/market.yaml``).

    ``column_names`` says what columns of a third party's copies are, in the exchange's words.
    """

    block_minutes: Literal[15, 60] | None
    price_floor_rs_per_mwh: NonNegative
    price_caps: Annotated[tuple[PriceCap, ...], Field(min_length=1)]
    dam_gate: Clock
    dam_results: Clock
    rtm_session_minutes: Count
    rtm_gate_minutes: Annotated[int, Strict(), Field(ge=0)]
    bid_step_mw: Positive
    column_names: dict[Annotated[str, Field(min_length=1)], ColumnName] = {}
    external: tuple[ExternalFile, ...] = ()
    synthetic_start: dt.date
    synthetic_days: Count
    synthetic_seed: Seed

    @model_validator(mode="after")
    def _check(self) -> MarketParams:
        dates = [cap.effective_from for cap in self.price_caps]
        if dates != sorted(set(dates)):
            raise ValueError("price_caps must be in order of effective_from, each date once")
        if self.dam_results <= self.dam_gate:
            raise ValueError("dam_results must be later than dam_gate")
        if MINUTES_PER_DAY % self.rtm_session_minutes:
            raise ValueError("rtm_session_minutes must divide a day")
        return self

    def cap_rs_per_mwh(self, date: dt.date) -> float:
        """Price cap in force on a delivery date [Rs/MWh]."""
        in_force = [c.cap_rs_per_mwh for c in self.price_caps if c.effective_from <= date]
        if not in_force:
            raise ParameterError(
                f"params/market.yaml: price_caps has no entry for {date}; add the cap of that time"
            )
        return in_force[-1]

    def caps_rs_per_mwh(self, dates: np.ndarray) -> np.ndarray:
        """(D,) price caps in force on delivery dates, datetime64 [Rs/MWh]."""
        return np.array([self.cap_rs_per_mwh(date) for date in dates.astype("M8[D]").tolist()])


class Window(_Section):
    """Hours of the day in which something is allowed, start included, end excluded."""

    start: Clock
    end: Clock

    @model_validator(mode="after")
    def _check(self) -> Window:
        if self.start >= self.end:
            raise ValueError("start must be before end; split a window that spans midnight")
        return self


class UnitParams(_Section):
    """One battery unit. Power at the grid side [MW], energy stored [MWh].

    ``wear_rs_per_mwh_discharged`` is per MWh discharged at the grid side. A cycle is one
    nameplate energy discharged at the grid side. No window means any time of day.
    """

    name: Annotated[str, Field(min_length=1)]
    p_max_mw: Positive
    e_nameplate_mwh: Positive
    e_min_mwh: NonNegative
    e_max_mwh: Positive
    eta_charge: Annotated[Number, Field(gt=0, le=1)]
    eta_discharge: Annotated[Number, Field(gt=0, le=1)]
    wear_rs_per_mwh_discharged: NonNegative
    e_start_mwh: NonNegative
    e_target_mwh: NonNegative
    max_cycles_per_day: Positive | None
    charge_windows: tuple[Window, ...]
    discharge_windows: tuple[Window, ...]

    @model_validator(mode="after")
    def _check(self) -> UnitParams:
        if not self.e_min_mwh < self.e_max_mwh <= self.e_nameplate_mwh:
            raise ValueError(
                "needs e_min_mwh < e_max_mwh <= e_nameplate_mwh, has "
                f"{self.e_min_mwh:g}, {self.e_max_mwh:g}, {self.e_nameplate_mwh:g}"
            )
        for key in ("e_start_mwh", "e_target_mwh"):
            if not self.e_min_mwh <= getattr(self, key) <= self.e_max_mwh:
                raise ValueError(
                    f"{key} = {getattr(self, key):g} lies outside the usable window "
                    f"{self.e_min_mwh:g} to {self.e_max_mwh:g} MWh"
                )
        return self

    def reach_mwh(self, p_mw: float) -> tuple[float, float]:
        """Least and most stored energy at the end of a day, at a power of at most ``p_mw``."""
        charged = _hours(self.charge_windows) * p_mw * self.eta_charge
        discharged = _hours(self.discharge_windows) * p_mw
        if self.max_cycles_per_day is not None:
            discharged = min(discharged, self.max_cycles_per_day * self.e_nameplate_mwh)
        least = max(self.e_start_mwh - discharged / self.eta_discharge, self.e_min_mwh)
        return least, min(self.e_start_mwh + charged, self.e_max_mwh)


def _hours(windows: tuple[Window, ...]) -> float:
    """Hours of a day in which something is allowed; no window means all of them."""
    return sum(w.end - w.start for w in windows) / 60 if windows else 24.0


class BessParams(_Section):
    """The fleet behind one grid connection (``params/bess.yaml``)."""

    connection_limit_mw: Positive
    units: Annotated[tuple[UnitParams, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> BessParams:
        names = [unit.name for unit in self.units]
        if len(set(names)) < len(names):
            raise ValueError(f"unit names must differ, got {names}")
        for unit in self.units:
            p_mw = min(unit.p_max_mw, self.connection_limit_mw)
            least, most = unit.reach_mwh(p_mw)
            if not least <= unit.e_target_mwh <= most:
                raise ValueError(
                    f"unit {unit.name}: e_target_mwh = {unit.e_target_mwh:g} cannot be reached "
                    f"in a day: from e_start_mwh = {unit.e_start_mwh:g}, {p_mw:g} MW in its "
                    f"windows lead to {least:g} to {most:g} MWh"
                )
        return self


class LightGBMParams(_Section):
    """Settings handed to LightGBM as they are."""

    learning_rate: Positive
    num_leaves: Annotated[int, Strict(), Field(ge=2)]
    min_data_in_leaf: Count
    feature_fraction: Annotated[Number, Field(gt=0, le=1)]
    bagging_fraction: Annotated[Number, Field(gt=0, le=1)]
    bagging_freq: Annotated[int, Strict(), Field(ge=0)]
    lambda_l2: NonNegative


class ForecastParams(_Section):
    """Quantile models, their splits and their recalibration (``params/forecast.yaml``)."""

    levels: Annotated[tuple[Annotated[Number, Field(gt=0, lt=1)], ...], Field(min_length=3)]
    n_estimators: Count
    lightgbm: LightGBMParams
    intraday_n_estimators: Count
    intraday_lightgbm: LightGBMParams
    model_seed: Seed
    warmup_days: Annotated[int, Strict(), Field(ge=7)]
    retrain_every_days: Annotated[int, Strict(), Field(ge=0)]
    train_window_days: Annotated[
        tuple[Annotated[int, Strict(), Field(ge=0)], ...], Field(min_length=1)
    ]
    calibration_days: Count
    test_days: Count
    recalibration: str
    recalibration_windows: Annotated[tuple[Count, ...], Field(min_length=1)]
    half_life_days: Positive
    recalibration_days: Count
    adaptive_steps: Annotated[tuple[Share, ...], Field(min_length=1)]
    group_step: Share
    min_group_size: Count

    @model_validator(mode="after")
    def _check(self) -> ForecastParams:
        if list(self.levels) != sorted(set(self.levels)):
            raise ValueError("levels must rise strictly")
        if 0.5 not in self.levels:
            raise ValueError("levels must include 0.5: the median policy and the plots need it")
        windows = self.train_window_days
        if len(set(windows)) < len(windows) or any(0 < days < 28 for days in windows):
            raise ValueError("train_window_days must differ, each 0 (all days) or at least 28")
        rolling = [f"rolling_{days}" for days in self.recalibration_windows]
        methods = ["auto", "static", *rolling, "rolling_mean", "exponential"]
        methods += ["adaptive", "aggregated", "group_adaptive"]
        if self.recalibration not in methods:
            raise ValueError(f"recalibration must be one of {', '.join(methods)}")
        return self


class ScenarioParams(_Section):
    """The joint DAM and RTM fan (``params/scenarios.yaml``).

    ``dependence``: ``copula`` draws correlated normal scores, ``similar_days`` orders the draws
    as similar past days did (Schaake shuffle).
    """

    dependence: Literal["copula", "similar_days"]
    n_scenarios: Annotated[int, Strict(), Field(ge=2)]
    seed: Seed
    gibbs_sweeps: Count


class BacktestParams(_Section):
    """How days are planned and settled (``params/backtest.yaml``)."""

    commitment: Commitment
    terminal: Terminal
    policies: Annotated[tuple[Policy, ...], Field(min_length=1)]
    fan: Literal["original", "recalibrated", "both"]
    risk_aversion: NonNegative
    solver: Solver
    solver_time_limit_s: Positive

    @property
    def fans(self) -> tuple[Fan, ...]:
        """The fans that ``fan`` names."""
        return ("original", "recalibrated") if self.fan == "both" else (self.fan,)


class CvarParams(_Section):
    """Risk measure and its weights (``params/cvar.yaml``). ``alpha`` is the tail share."""

    alpha: Annotated[Number, Field(gt=0, le=1)]
    lambdas: Annotated[tuple[NonNegative, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> CvarParams:
        if list(self.lambdas) != sorted(set(self.lambdas)):
            raise ValueError("lambdas must rise strictly")
        return self


class Params(_Section):
    """All sections together."""

    market: MarketParams
    bess: BessParams
    forecast: ForecastParams
    scenarios: ScenarioParams
    backtest: BacktestParams
    cvar: CvarParams

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
            if unit.p_max_mw > 1000 or unit.e_nameplate_mwh > 10_000:
                told.append(f"bess: {unit.name}: {unit.p_max_mw:g} MW: is it in kW and kWh?")
        for key in ("fee_dam_rs_per_mwh", "fee_rtm_rs_per_mwh"):
            fee = getattr(self.market, key)
            if 0 < fee < 1:
                told.append(f"market: {key} = {fee:g}: Rs/kWh? 2 paise/kWh are Rs 20/MWh")
            elif fee > 100:
                told.append(f"market: {key} = {fee:g}: the exchange may charge at most Rs 20/MWh")
        return told


class DeskParams(_Section):
    """Rules of a desk whose schedule is replayed, in one file.

    ``booked`` is what its accounts charge, ``planned`` what its RTM recourse reckons with:
    the file names only where the two differ.
    """

    bess: BessParams
    booked: Costs
    planned: Costs
    terminal: Literal["hard", "free"]


SECTIONS: dict[str, type[_Section]] = {
    name: field.annotation for name, field in Params.model_fields.items()
}
FIELDS: dict[str, str] = {
    field: name for name, section in SECTIONS.items() for field in section.model_fields
}
"""Section of every field; no two sections share a name."""


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
    """
    folder = Path(folder) if folder else PROJECT_ROOT / "params"
    if not folder.is_dir():
        raise ParameterError(f"{folder}: no such folder of parameter files")
    contents = {name: read_yaml(folder / f"{name}.yaml") for name in SECTIONS}
    origin: dict[str, str] = {}
    for key, value in overrides.items():
        contents[section_of(key)][key] = value
        origin[key] = "notebook parameter"
    return Params(
        **{
            name: _validated(section, contents[name], folder / f"{name}.yaml", origin)
            for name, section in SECTIONS.items()
        }
    )


def load_desk(path: Path | None = None) -> DeskParams:
    """Rules of a desk from its file; from the project's own parameter files where None.

    Raises
    ------
    ParameterError
        naming the file, the key and the reason.
    """
    if path is None:
        own = load_params()
        costs = {key: getattr(own.market, key) for key in Costs.model_fields}
        content = {"bess": own.bess, "booked": costs, "terminal": own.backtest.terminal}
        path = PROJECT_ROOT / "params"
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
    raise ParameterError(f"unknown parameter '{key}'{_suggest(key, list(FIELDS))}")


def notebook_parameters(namespace: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Values of a notebook's parameters that are fields of a section.

    Parameters
    ----------
    namespace : the notebook's ``globals()``
    names : all parameters that it declares besides ``outputs`` and ``params``

    Raises
    ------
    ParameterError
        where papermill injected a parameter that the notebook does not declare; papermill
        itself only warns.
    """
    declared = {"outputs", "params", *names}
    for source in namespace.get("In", ()):
        if not source.startswith("# Parameters"):
            continue
        for node in ast.parse(source).body:
            injected = [target.id for target in getattr(node, "targets", ())]
            for key in set(injected) - declared:
                hint = _suggest(key, sorted(declared))
                raise ParameterError(f"this notebook has no parameter '{key}'{hint}")
    return {name: namespace[name] for name in names if name in FIELDS}


def level_name(level: float) -> str:
    """Column and file name of a quantile level: 0.1 is ``q10``, 0.025 is ``q02.5``."""
    percent = f"{100 * level:.6f}".rstrip("0").rstrip(".")
    whole, _, part = percent.partition(".")
    return f"q{whole.zfill(2)}" + (f".{part}" if part else "")


def _validated(
    section: type[_Section], content: dict[str, Any], path: Path, origin: dict[str, str]
) -> _Section:
    try:
        return section.model_validate(content)
    except ValidationError as error:
        problems = []
        items = error.errors()
        deeper = {item["loc"][:n] for item in items for n in range(len(item["loc"]))}
        for item in items:
            if item["loc"] in deeper:
                continue  # it only follows from a problem further inside
            keys = [str(part) for part in item["loc"]]
            where = origin.get(keys[0], str(path)) if keys else str(path)
            problems.append(f"{where}: {'.'.join(keys) or 'this file'}: {_reason(item, section)}")
        raise ParameterError("\n".join(problems)) from None


def _reason(item: dict[str, Any], section: type[_Section]) -> str:
    if item["type"] == "extra_forbidden":
        known = _known_fields(section, item["loc"][:-1])
        return f"unknown key{_suggest(str(item['loc'][-1]), known)}"
    if item["type"] == "missing":
        return "missing; add it"
    reason = item["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(item["input"], dict) else f" (got {item['input']!r})"
    return reason + shown


def _known_fields(section: type[_Section], loc: tuple[Any, ...]) -> list[str]:
    """Field names of the model at a place inside a section."""
    nested = {
        "bess": BessParams,
        "booked": Costs,
        "planned": Costs,
        "units": UnitParams,
        "price_caps": PriceCap,
        "external": ExternalFile,
        "dsm_rate": DeviationRate,
        "lightgbm": LightGBMParams,
        "intraday_lightgbm": LightGBMParams,
        "charge_windows": Window,
        "discharge_windows": Window,
    }
    names = [part for part in loc if isinstance(part, str)]
    return list((nested[names[-1]] if names else section).model_fields)


def _suggest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known are {', '.join(known)}"
