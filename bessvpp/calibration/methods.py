"""The recalibration methods by name: how past residuals become shifts of the levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from bessvpp.calibration.conformal import (
    AdaptiveLevels,
    DayShifts,
    ExpertWeights,
    day_shifts,
    recency_weights,
    two_sided_shifts,
)
from bessvpp.calibration.gate import Gate, groups_at_gate, hour_of_blocks
from bessvpp.errors import ParameterError
from bessvpp.params.forecast import ForecastParams

AS_FORECAST = "none"
"""The method that leaves a forecast as it was made, its chances of floor and cap included."""


def method_names(params: ForecastParams) -> tuple[str, ...]:
    """The methods, the reference first."""
    rolling = (f"rolling_{days}" for days in params.recalibration_windows)
    adaptive = ("adaptive", "aggregated", "group_adaptive")
    return ("static", *rolling, "rolling_mean", "exponential", *adaptive)


# ---------------------------------------------------------------------- the methods


class Method(Protocol):
    """What every method can do: shifts for the day of a gate."""

    memory_days: int  # above 0: it learns from day to day, so all earlier days are shown to it

    def shifts(self, gate: Gate) -> DayShifts:
        """What to add to each level of the day, from what its gate knows."""


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
class _Rolling:
    """Order statistics of the residuals of the last days, all of them alike."""

    window: int
    min_group_size: int
    memory_days: int = 0

    def shifts(self, gate: Gate) -> DayShifts:
        known = gate.residuals.last(self.window)
        return day_shifts(known, gate.today.levels, self.min_group_size)


@dataclass
class _Mean:
    """The mean of several methods' shifts; n, rank and group are those of the first."""

    parts: Sequence[_Rolling]
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
class _Unmoved:
    """No shift, from no residual."""

    memory_days: int = 0

    def shifts(self, gate: Gate) -> DayShifts:
        none = np.zeros(gate.today.values.shape[1:], dtype=int)
        return DayShifts(none.astype(float), none, none, none, none.astype(bool))


@dataclass
class _Adaptive:
    """Rolling windows whose levels move with what came of them, for one or more step sizes.

    With one step size it is adaptive conformal inference, with several their aggregation. A
    day is learnt from once all its prices are known, so what is decided for a day rests on the
    day before in the DAM, and on the day before that in the RTM. Shifts are means over the
    windows; n, rank and group are those of the first.
    """

    gammas: tuple[float | np.ndarray, ...]
    windows: tuple[int, ...]
    min_group_size: int
    groups: Callable[[Gate], np.ndarray]  # (G, T) which groups today's blocks are in
    memory_days: int = 1
    levels: list[AdaptiveLevels] = field(default_factory=list)
    weights: ExpertWeights | None = None
    issued: dict[np.datetime64, tuple[np.ndarray, ...]] = field(default_factory=dict)

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
        issued = np.stack([gate.apply(one) for one in delta])
        self.issued[gate.date] = member, issued, gate.off_atoms(issued)
        mixed = np.einsum("kl,ktl->tl", self.weights.weights, delta)
        return replace(made[0], delta=mixed)

    def _learn(self, gate: Gate) -> None:
        ready = gate.past.dates[gate.whole]
        nominal = np.array(gate.today.levels)
        for date in [day for day in self.issued if day in ready]:
            member, issued, free = self.issued.pop(date)
            outcome = gate.outcome[np.searchsorted(gate.past.dates, date)]
            if not np.isfinite(outcome).any():
                continue  # a day without any trade teaches nothing
            for levels, values, off_atom in zip(self.levels, issued, free, strict=True):
                levels.observe(member, outcome, values, off_atom)
            error = outcome[None, :, None] - issued
            losses = np.maximum(nominal * error, (nominal - 1) * error)
            self.weights.observe(np.nanmean(losses, axis=1))


def method_named(name: str, params: ForecastParams, static_days: np.ndarray) -> Method:
    """The method of a name of ``method_names``.

    Parameters
    ----------
    static_days : (n,) days whose residuals ``static`` uses for good

    Raises
    ------
    ParameterError
        for another name.
    """
    size, window = params.min_group_size, (params.recalibration_days,)
    rolling = {f"rolling_{days}": _Rolling(days, size) for days in params.recalibration_windows}
    made: dict[str, Method] = {
        **rolling,
        "static": _Weighted(lambda gate: np.isin(gate.past.dates, static_days).astype(float), size),
        "rolling_mean": _Mean(list(rolling.values())),
        "exponential": _Weighted(
            lambda gate: recency_weights(len(gate.past.dates), params.half_life_days), size
        ),
        "adaptive": _Adaptive(params.adaptive_steps[:1], window, size, hour_of_blocks),
        "aggregated": _Adaptive(params.adaptive_steps, window, size, hour_of_blocks),
        "group_adaptive": _Adaptive(
            (level_steps(params),), params.recalibration_windows, size, groups_at_gate
        ),
        "two_sided": _TwoSided(params.recalibration_days),
        AS_FORECAST: _Unmoved(),
    }
    if name not in made:
        raise ParameterError(f"no recalibration method '{name}'; there are {', '.join(made)}")
    return made[name]


def level_steps(params: ForecastParams) -> np.ndarray:
    """(L,) steps of ``group_adaptive``: ``group_step`` at the median, smaller further out.

    In proportion to ``tau (1 - tau)``, the variance of a miss: a step as wide for all levels would
    follow a drift of the middle too slowly, or blow up the tails for a single day.
    """
    levels = np.array(params.levels)
    return params.group_step * 4 * levels * (1 - levels)
