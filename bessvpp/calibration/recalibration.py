"""Recalibration of forecasts day by day, by several methods behind one interface.

Every method is given the same: the residuals of earlier forecasts that are known at the gate
of the day (``KnownResiduals``), and says what to add to each level. The residuals of a block
are those of its hour and of the regime that was forecast for it, which is known at the gate:
how likely a price at the cap was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from bessvpp.calibration.conformal import (
    AdaptiveLevels,
    DayShifts,
    ExpertWeights,
    KnownResiduals,
    day_shifts,
    recency_weights,
    shifted,
    two_sided_shifts,
)
from bessvpp.calibration.scores import hour_groups, known_groups, mean_miscoverage
from bessvpp.errors import DataError, ParameterError
from bessvpp.forecasting.boosting import QuantileForecast, complete_days, prices_of, with_atoms
from bessvpp.forecasting.features import gate_time
from bessvpp.market.history import Market, is_sunday
from bessvpp.params.load import ForecastParams, MarketParams
from bessvpp.risk import mean_pinball
from bessvpp.runs.folder import RunFolder

REGIME_CHANCES = (0.05, 0.5)
"""Forecast chances of the cap between which the regimes lie: free, in doubt, at the cap."""
EQUAL_PINBALL = 1.02
"""Methods whose pinball loss is within this factor of the best are told apart by coverage."""
_CHANCE_DAYS = 120
_GROUP_DAYS = 120
_LEAST_ATOM_DAYS = 10
_LEAST_CHANCE = 1e-4


def method_names(params: ForecastParams) -> tuple[str, ...]:
    """The methods, the reference first."""
    rolling = (f"rolling_{days}" for days in params.recalibration_windows)
    adaptive = ("adaptive", "aggregated", "group_adaptive")
    return ("static", *rolling, "rolling_mean", "exponential", *adaptive)


def regimes(forecast: QuantileForecast) -> np.ndarray:
    """(D, T) forecast regime of each block: 0 free, 1 in doubt, 2 at the cap."""
    return np.digitize(np.nan_to_num(forecast.p_cap), REGIME_CHANCES)


@dataclass(frozen=True)
class Recalibration:
    """What one method makes of the forecasts of some days."""

    forecast: QuantileForecast
    shifts: pd.DataFrame  # a row per date, hour and level: the shift, its group, n and rank


def recalibrate(
    forecast: QuantileForecast,
    market: Market,
    dates: np.ndarray,
    methods: Sequence[str],
    params: ForecastParams,
    rules: MarketParams,
    static_days: np.ndarray | None = None,
) -> dict[str, Recalibration]:
    """Recalibrate many days by each of some methods, each day from what its gate knows.

    Parameters
    ----------
    forecast : out-of-sample forecasts, of ``dates`` and of the days before
    static_days : days whose residuals ``static`` uses for good; those marked "calibration" by
        default

    Raises
    ------
    DataError
        where a day has too few residuals before it; names n and the level.
    """
    if static_days is None:
        static_days = forecast.dates[forecast.split == "calibration"]
    made = {name: _method(name, params, static_days) for name in methods}
    values: dict[str, list[np.ndarray]] = {name: [] for name in methods}
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in methods}
    chances = []
    has_memory = any(method.memory_days for method in made.values())
    days = forecast.dates[forecast.dates <= dates[-1]] if has_memory else dates
    for date in days:
        gate = Gate.of(forecast, market, date, rules)
        wanted = date in dates
        if wanted:
            chances.append(gate.chances)
        for name, method in made.items():
            if not (wanted or method.memory_days):
                continue
            try:
                shifts = method.shifts(gate)
            except DataError:
                if wanted:
                    raise
                continue  # too early for a first shift
            if wanted:
                values[name].append(gate.apply(shifts.delta))
                tables[name].append(_table(date, forecast, shifts))
    chosen = forecast.on(dates)
    p_floor, p_cap = np.array(chances).transpose(1, 0, 2)
    return {
        name: Recalibration(
            replace(chosen, values=np.array(values[name]), p_floor=p_floor, p_cap=p_cap),
            pd.concat(tables[name], ignore_index=True),
        )
        for name in methods
    }


def recalibrate_day(
    history: QuantileForecast,
    today: QuantileForecast,
    known: Market,
    method: str,
    params: ForecastParams,
    rules: MarketParams,
) -> tuple[QuantileForecast, pd.DataFrame]:
    """Recalibrated forecast of one day, from what is known at its gate, and its shifts.

    Parameters
    ----------
    history : out-of-sample forecasts; only those before the day are compared with prices
    today : the forecast of that one day
    known : the market as known at the DAM gate of that day
    """
    before = history.on(history.dates[history.dates < today.dates[0]])
    made = recalibrate(before.followed_by(today), known, today.dates, [method], params, rules)[
        method
    ]
    return made.forecast, made.shifts


def choose_method(
    forecast: QuantileForecast,
    market: Market,
    params: ForecastParams,
    rules: MarketParams,
) -> tuple[str, pd.DataFrame]:
    """The method that does best on calibration days; no test day is looked at.

    Each method recalibrates the later half of the calibration days, as far as all their prices
    are known at the gate of the day after them. Of those whose pinball loss is within 2 % of
    the least, the one is taken that keeps its promises best in every part of the day: of least
    miscoverage within the hours and within the groups known at the gate, averaged.

    Returns
    -------
    its name, and a row a method: ``pinball`` [Rs/MWh], ``miscoverage`` of all blocks pooled,
    and ``in_groups``.
    """
    calibration = forecast.on(forecast.dates[forecast.split == "calibration"])
    half = len(calibration.dates) // 2
    known = market.known_at(gate_time(calibration.dates[-1] + 1, rules.dam_gate), rules)
    whole = known.dates[complete_days(known, forecast.market)]
    judged = np.intersect1d(calibration.dates[half:], whole)
    made = recalibrate(
        calibration, known, judged, method_names(params), params, rules, calibration.dates[:half]
    )
    outcome = prices_of(known, forecast.market)[[known.index_of(day) for day in judged]]
    groups = _hours_and_known_groups(calibration.on(judged))
    scores = pd.DataFrame(
        {name: _score(outcome, fan.forecast, groups) for name, fan in made.items()}
    ).T.rename_axis("method")
    equal = scores[scores["pinball"] <= EQUAL_PINBALL * scores["pinball"].min()]
    return str(equal["in_groups"].idxmin()), scores


def record_methods(run: RunFolder, chosen: Mapping[str, str]) -> None:
    """Write which method each market uses, as a run's ``recalibration.json``."""
    run.write_json("recalibration.json", dict(chosen))


def recorded_method(run: RunFolder, market: str, params: ForecastParams) -> str:
    """The method that the parameters name; where they say ``auto``, that of the run."""
    if params.recalibration != "auto":
        return params.recalibration
    return run.read_json("recalibration.json")[market]


def _hours_and_known_groups(forecast: QuantileForecast) -> list[np.ndarray]:
    """Groups of blocks, each (D, T) bool, by the forecast before any shift."""
    hours = hour_groups(forecast.values.shape[:2])
    known = known_groups(forecast.dates, forecast.values, forecast.levels, regimes(forecast))
    return [*hours.values(), *known.values()]


def _score(
    outcome: np.ndarray, forecast: QuantileForecast, groups: Sequence[np.ndarray]
) -> dict[str, float]:
    """Mean pinball loss [Rs/MWh], and mean miscoverage of all blocks and within groups."""
    values, levels = forecast.values, forecast.levels
    within = [mean_miscoverage(outcome, values, levels, group) for group in groups]
    return {
        "pinball": mean_pinball(outcome, values, levels),
        "miscoverage": mean_miscoverage(outcome, values, levels),
        "in_groups": float(np.nanmean(within)),  # some have no block at all
    }


# ---------------------------------------------------------------------- what a gate knows


@dataclass(frozen=True)
class Gate:
    """The gate of one day: earlier forecasts, what became of them, and the day's forecast."""

    date: np.datetime64
    past: QuantileForecast  # D days
    outcome: np.ndarray  # (D, T) prices, NaN where not known at the gate
    whole: np.ndarray  # (D,) bool: all prices of the day are known
    today: QuantileForecast  # one day
    floor: float
    cap: np.ndarray  # (1, 1)
    past_cap: np.ndarray  # (D, 1)

    @classmethod
    def of(
        cls, forecast: QuantileForecast, market: Market, date: np.datetime64, rules: MarketParams
    ) -> Gate:
        known = market.known_at(gate_time(date, rules.dam_gate), rules)
        days = forecast.dates[(forecast.dates < date) & (forecast.dates <= known.dates[-1])]
        rows = np.array([known.index_of(day) for day in days], dtype=int)
        today = np.array([date])
        return cls(
            date,
            forecast.on(days),
            prices_of(known, forecast.market)[rows],
            complete_days(known, forecast.market)[rows],
            forecast.on(today),
            rules.price_floor_rs_per_mwh,
            rules.caps_rs_per_mwh(today)[:, None],
            rules.caps_rs_per_mwh(days)[:, None],
        )

    @cached_property
    def residuals(self) -> KnownResiduals:
        """Residuals of all past days."""
        return KnownResiduals(
            self.outcome[:, :, None] - self.past.values, regimes(self.past), regimes(self.today)[0]
        )

    @cached_property
    def chances(self) -> tuple[np.ndarray, np.ndarray]:
        """(T,) recalibrated chances of the floor and of the cap."""
        return calibrated_chances(self)

    def apply(self, delta: np.ndarray) -> np.ndarray:
        """(T, L) the day's forecast, shifted, sorted, within floor and cap, with its atoms."""
        values = shifted(self.today.values[0], delta, self.floor, float(self.cap[0, 0]))
        p_floor, p_cap = self.chances
        moved = replace(self.today, values=values[None], p_floor=p_floor[None], p_cap=p_cap[None])
        return with_atoms(moved, self.floor, self.cap)[0]


def calibrated_chances(gate: Gate) -> tuple[np.ndarray, np.ndarray]:
    """(T,) chances of the floor and of the cap, recalibrated by a logistic regression.

    What happened over the last days out of sample, each under its own cap, is regressed on the
    log-odds that were forecast (Platt, 1999). With fewer than ten days on the atom the forecast
    chance stays.
    """
    chances = []
    for name, past, today in (
        ("floor", gate.past.p_floor, gate.today.p_floor[0]),
        ("cap", gate.past.p_cap, gate.today.p_cap[0]),
    ):
        past, outcome = past[-_CHANCE_DAYS:], gate.outcome[-_CHANCE_DAYS:]
        cap = gate.past_cap[-_CHANCE_DAYS:]
        hit = outcome <= gate.floor if name == "floor" else outcome >= cap
        known = np.isfinite(outcome) & np.isfinite(past)
        usable = (hit & known).any(axis=1).sum() >= _LEAST_ATOM_DAYS and not hit[known].all()
        if usable and np.isfinite(today).all():
            fitted = LogisticRegression(C=1e3).fit(_log_odds(past[known]), hit[known])
            today = fitted.predict_proba(_log_odds(today))[:, 1]
        chances.append(today)
    return tuple(chances)


def _log_odds(chance: np.ndarray) -> np.ndarray:
    return logit(np.clip(chance, _LEAST_CHANCE, 1 - _LEAST_CHANCE))[:, None]


# ---------------------------------------------------------------------- the methods


@dataclass
class _Weighted:
    """Order statistics of past residuals, each day with a weight."""

    weights: Callable[[Gate], np.ndarray]
    min_group_size: int
    memory_days: int = 0

    def shifts(self, gate: Gate) -> DayShifts:
        levels = gate.today.levels
        return day_shifts(gate.residuals, levels, self.min_group_size, self.weights(gate))


@dataclass
class _Mean:
    """The mean of several methods' shifts; n, rank and group are those of the first."""

    parts: Sequence[_Weighted]
    memory_days: int = 0

    def shifts(self, gate: Gate) -> DayShifts:
        return _mean_shifts([part.shifts(gate) for part in self.parts])


def _mean_shifts(made: Sequence[DayShifts]) -> DayShifts:
    """The mean of some shifts; n, rank and group are those of the first."""
    return replace(made[0], delta=np.mean([shifts.delta for shifts in made], axis=0))


@dataclass
class _TwoSided:
    """Two-sided CQR, as a check: by hour, whatever the regime. No rank is recorded."""

    window: int
    memory_days: int = 0

    def shifts(self, gate: Gate) -> DayShifts:
        known = gate.residuals.last(self.window)
        delta = two_sided_shifts(known, gate.today.levels)
        n = np.full(delta.shape, np.isfinite(known.values).all(axis=2).sum() // 24)
        return DayShifts(delta, n, n * 0, n * 0 + 1, np.zeros(delta.shape, bool))


@dataclass
class _Adaptive:
    """Rolling windows whose levels move with what came of them, for one or more step sizes.

    With one step size it is adaptive conformal inference, with several their aggregation. A
    day is learnt from once all its prices are known, so what is decided for a day rests on the
    day before in the DAM, and on the day before that in the RTM. Shifts are means over the
    windows; n, rank and group are those of the first.
    """

    gammas: tuple[float, ...]
    windows: tuple[int, ...]
    min_group_size: int
    groups: Callable[[Gate], np.ndarray]  # (G, T) which groups today's blocks are in
    memory_days: int = 1
    levels: list[AdaptiveLevels] = field(default_factory=list)
    weights: ExpertWeights | None = None
    issued: dict[np.datetime64, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def shifts(self, gate: Gate) -> DayShifts:
        nominal, member = gate.today.levels, self.groups(gate)
        if not self.levels:
            n_groups = len(member)
            self.levels = [AdaptiveLevels.start(n_groups, nominal, gamma) for gamma in self.gammas]
            self.weights = ExpertWeights.start(len(self.gammas), len(nominal))
        self._learn(gate)
        known = [gate.residuals.last(days) for days in self.windows]
        made = [
            _mean_shifts(
                [
                    day_shifts(part, nominal, self.min_group_size, asked=levels.asked(member))
                    for part in known
                ]
            )
            for levels in self.levels
        ]
        delta = np.stack([shifts.delta for shifts in made])
        self.issued[gate.date] = member, np.stack([gate.apply(one) for one in delta])
        mixed = np.einsum("kl,ktl->tl", self.weights.weights, delta)
        return replace(made[0], delta=mixed)

    def _learn(self, gate: Gate) -> None:
        ready = gate.past.dates[gate.whole]
        nominal = np.array(gate.today.levels)
        for date in [day for day in self.issued if day in ready]:
            member, issued = self.issued.pop(date)
            outcome = gate.outcome[np.searchsorted(gate.past.dates, date)]
            if not np.isfinite(outcome).any():
                continue  # a day without any trade teaches nothing
            for levels, values in zip(self.levels, issued, strict=True):
                levels.observe(member, outcome, values)
            error = outcome[None, :, None] - issued
            losses = np.maximum(nominal * error, (nominal - 1) * error)
            self.weights.observe(np.nanmean(losses, axis=1))


def _hours(gate: Gate) -> np.ndarray:
    """(24, T) which hour each block is in."""
    n_blocks = gate.today.values.shape[1]
    return np.repeat(np.eye(24, dtype=bool), n_blocks // 24, axis=1)


def _known_groups(gate: Gate) -> np.ndarray:
    """(31, T) the groups that a gate knows each of today's blocks to be in.

    Its hour, its third of the median forecasts of past days, its cap regime, and Sunday.
    """
    median, regime = gate.today.level(0.5)[0], regimes(gate.today)[0]
    recent = gate.past.level(0.5)[-_GROUP_DAYS:]
    edges = np.quantile(recent, [1 / 3, 2 / 3]) if recent.size else np.zeros(2)
    third = np.digitize(median, edges)
    kinds = (third[None] == np.arange(3)[:, None], regime[None] == np.arange(3)[:, None])
    sunday = np.full((1, len(median)), bool(is_sunday(gate.date)))
    return np.vstack([_hours(gate), *kinds, sunday])


def _method(name: str, params: ForecastParams, static_days: np.ndarray) -> object:
    size, window = params.min_group_size, (params.recalibration_days,)
    rolling = {
        f"rolling_{days}": _Weighted(_last(days), size) for days in params.recalibration_windows
    }
    made = rolling | {
        "static": _Weighted(lambda gate: np.isin(gate.past.dates, static_days).astype(float), size),
        "rolling_mean": _Mean(list(rolling.values())),
        "exponential": _Weighted(
            lambda gate: recency_weights(len(gate.past.dates), params.half_life_days), size
        ),
        "adaptive": _Adaptive(params.adaptive_steps[:1], window, size, _hours),
        "aggregated": _Adaptive(params.adaptive_steps, window, size, _hours),
        "group_adaptive": _Adaptive(
            (params.group_step,), params.recalibration_windows, size, _known_groups
        ),
        "two_sided": _TwoSided(params.recalibration_days),
    }
    if name not in made:
        raise ParameterError(f"no recalibration method '{name}'; there are {', '.join(made)}")
    return made[name]


def _last(n_days: int) -> Callable[[Gate], np.ndarray]:
    def weights(gate: Gate) -> np.ndarray:
        age = np.arange(len(gate.past.dates), 0, -1)
        return (age <= n_days).astype(float)

    return weights


def _table(date: np.datetime64, forecast: QuantileForecast, shifts: DayShifts) -> pd.DataFrame:
    per_hour, n_levels = len(shifts.delta) // 24, len(forecast.levels)

    def column(values: np.ndarray) -> np.ndarray:
        return values[::per_hour].ravel()

    return pd.DataFrame(
        {
            "date": str(date),
            "market": forecast.market,
            "hour": np.repeat(np.arange(24), n_levels),
            "level": np.tile(forecast.levels, 24),
            "delta_rs_per_mwh": column(shifts.delta),
            "group_hours": column(shifts.group_hours),
            "same_regime": column(shifts.same_regime),
            "n": column(shifts.n),
            "rank": column(shifts.rank),
        }
    )
