"""Recalibration of forecasts day by day, by several methods behind one interface.

Every method is given the same: the residuals of earlier forecasts that are known at the gate
of the day (``KnownResiduals``), and says what to add to each level. The residuals of a block
are those of its hour and of the regime that was forecast for it, which is known at the gate:
how likely a price at the cap was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bessvpp.calibration.conformal import DayShifts
from bessvpp.calibration.coverage import (
    hour_groups,
    mean_miscoverage,
    mean_pinball,
    mean_promise_miss,
)
from bessvpp.calibration.gate import Gate, groups_over_days, regimes
from bessvpp.calibration.methods import AS_FORECAST, Method, method_named, method_names
from bessvpp.compute.progress import shown
from bessvpp.errors import DataError
from bessvpp.forecasting.quantiles import QuantileForecast, promised_below
from bessvpp.market.history import Market, complete_days, prices_of
from bessvpp.params.forecast import ForecastParams
from bessvpp.params.market import MarketParams
from bessvpp.price_tick import TIE, first_least

EQUAL_PINBALL = 1.02
"""Methods whose pinball loss is within this factor of the best are told apart by their promises."""


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
    static_days : days whose residuals ``static`` uses for good; the calibration days by default

    Raises
    ------
    DataError
        where a day has too few residuals before it; names n and the level.

    Examples
    --------
    >>> run = bv.open_run("outputs/quick")
    >>> p, dam = run.params, run.forecasts["original"]["dam"]
    >>> test = dam.dates[dam.split == "test"]
    >>> made = bv.recalibrate(dam, run.market, test, ["static"], p.forecast, p.market)
    >>> made["static"].forecast.values.shape  # days, blocks, levels
    (4, 24, 5)
    """
    if static_days is None:
        static_days = forecast.dates[forecast.split == "calibration"]
    made = {name: method_named(name, params, static_days) for name in methods}
    values: dict[str, list[np.ndarray]] = {name: [] for name in methods}
    shifts: dict[str, list[DayShifts]] = {name: [] for name in methods}
    chances = []
    has_memory = any(method.memory_days for method in made.values())
    days = forecast.dates[forecast.dates <= dates[-1]] if has_memory else dates
    for date in shown(days, f"{forecast.market.upper()} recalibration"):
        gate = Gate.of(forecast, market, date, rules)
        wanted = date in dates
        if wanted:
            chances.append(gate.chances)
        for name, method in made.items():
            if not (wanted or method.memory_days):
                continue
            of_day = _shifts(method, gate, wanted)
            if wanted and of_day is not None:
                as_made = name == AS_FORECAST
                values[name].append(gate.today.values[0] if as_made else gate.apply(of_day.delta))
                shifts[name].append(of_day)
    p_floor, p_cap = np.array(chances).transpose(1, 0, 2)
    given = forecast.on(dates)
    chosen = replace(given, p_floor=p_floor, p_cap=p_cap)
    return {
        name: Recalibration(
            replace(given if name == AS_FORECAST else chosen, values=np.array(values[name])),
            _table(given, shifts[name]),
        )
        for name in methods
    }


def _shifts(method: Method, gate: Gate, wanted: bool) -> DayShifts | None:
    """A day's shifts; None on a day that is only learnt from, if it is too early for a first."""
    try:
        return method.shifts(gate)
    except DataError:
        if wanted:
            raise
        return None


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
    miss of the exact promise within the hours and within ``groups_over_days``, averaged. Of
    several that are equal in this (``price_tick.TIE``) the first of ``method_names`` is taken.

    Returns
    -------
    its name, and a row a method: ``pinball`` [Rs/MWh], ``promise`` and ``miscoverage`` of all
    blocks pooled, and ``in_groups``.

    Examples
    --------
    >>> run = bv.open_run("outputs/quick")
    >>> p, dam = run.params, run.forecasts["original"]["dam"]
    >>> best, judged = bv.choose_method(dam, run.market, p.forecast, p.market)
    >>> best in judged.index, list(judged)
    (True, ['pinball', 'promise', 'miscoverage', 'in_groups'])
    """
    calibration = forecast.on(forecast.dates[forecast.split == "calibration"])
    half = len(calibration.dates) // 2
    known = market.known_at_dam_gate(calibration.dates[-1] + 1, rules)
    whole = known.dates[complete_days(known, forecast.market)]
    judged = np.intersect1d(calibration.dates[half:], whole)
    made = recalibrate(
        calibration, known, judged, method_names(params), params, rules, calibration.dates[:half]
    )
    outcome = prices_of(known, forecast.market)[[known.index_of(day) for day in judged]]
    groups = _hours_and_groups(calibration.on(judged))
    scores = pd.DataFrame(
        {name: _score(outcome, fan.forecast, groups, rules) for name, fan in made.items()}
    ).T.rename_axis("method")
    most = EQUAL_PINBALL * scores["pinball"].min() * (1 + TIE)
    equal = scores[scores["pinball"] <= most]
    return str(equal.index[first_least(equal["in_groups"])]), scores


def _hours_and_groups(forecast: QuantileForecast) -> list[np.ndarray]:
    """Groups of blocks, each (D, T) bool, by the forecast before any shift."""
    hours = hour_groups(forecast.values.shape[:2])
    others = groups_over_days(forecast.dates, forecast.values, forecast.levels, regimes(forecast))
    return [*hours.values(), *others.values()]


def _score(
    outcome: np.ndarray,
    forecast: QuantileForecast,
    groups: Sequence[np.ndarray],
    rules: MarketParams,
) -> dict[str, float]:
    """Mean pinball loss [Rs/MWh], and mean misses of all blocks and within groups."""
    values, levels = forecast.values, forecast.levels
    caps = rules.caps_rs_per_mwh(forecast.dates)[:, None]
    promised = promised_below(forecast, rules.price_floor_rs_per_mwh, caps)
    within = [mean_promise_miss(outcome, values, promised, group) for group in groups]
    return {
        "pinball": mean_pinball(outcome, values, levels),
        "promise": mean_promise_miss(outcome, values, promised),
        "miscoverage": mean_miscoverage(outcome, values, levels),
        "in_groups": float(np.nanmean(within)),  # some have no block at all
    }


def _table(of_days: QuantileForecast, shifts: Sequence[DayShifts]) -> pd.DataFrame:
    """A row per date, hour and level: the shift of the hour's first block."""
    n_days, n_blocks, n_levels = of_days.values.shape

    def column(name: str) -> np.ndarray:
        return np.stack([getattr(day, name)[:: n_blocks // 24] for day in shifts]).ravel()

    return pd.DataFrame(
        {
            "date": np.repeat(of_days.dates.astype(str), 24 * n_levels),
            "market": of_days.market,
            "hour": np.tile(np.repeat(np.arange(24), n_levels), n_days),
            "level": np.tile(of_days.levels, 24 * n_days),
            "delta_rs_per_mwh": column("delta"),
            "group_hours": column("group_hours"),
            "same_regime": column("same_regime"),
            "n": column("n"),
            "rank": column("rank"),
        }
    )
