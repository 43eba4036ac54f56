"""What a gate knows of its day, past forecasts and outcomes: groups, cap regimes, chances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import expit, logit

from bessvpp.calibration.conformal import KnownResiduals, shifted
from bessvpp.forecasting.quantiles import QuantileForecast, with_atoms
from bessvpp.market.clock import is_sunday
from bessvpp.market.history import Market, complete_days, prices_of
from bessvpp.params.market import MarketParams
from bessvpp.price_tick import on_chance_step, without_dust

REGIME_CHANCES = (0.05, 0.5)
"""Forecast chances of the cap between which the regimes lie: free, in doubt, at the cap."""
_CHANCE_DAYS = 120
_GROUP_DAYS = 120
_CHANCE_STEP = 1.0
"""Of the shift of a chance's log-odds. Chosen among 0.5, 1 and 2 on 13 windows of the real DAM of
April 2023 to February 2025 and on seeds 401 to 403: the larger, the closer chances are to what
came, and the more a whole day's paths swing with the day before."""
_LEAST_CHANCE = 1e-4


def regimes(forecast: QuantileForecast) -> np.ndarray:
    """(D, T) forecast regime of each block: 0 free, 1 in doubt, 2 at the cap."""
    return np.digitize(np.nan_to_num(forecast.p_cap), REGIME_CHANCES)


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
        """The DAM gate of a day, with the earlier forecasts whose days have prices there."""
        known = market.known_at_dam_gate(date, rules)
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

    def off_atoms(self, values: np.ndarray) -> np.ndarray:
        """Which of the day's levels (..., T, L) stand on no atom of a chance that is stated."""
        p_floor, p_cap = (np.isfinite(chance)[:, None] for chance in self.chances)
        return ~((p_floor & (values <= self.floor)) | (p_cap & (values >= self.cap)))


def calibrated_chances(gate: Gate) -> tuple[np.ndarray, np.ndarray]:
    """(T,) chances of the floor and of the cap, their log-odds moved by what was missed before.

    Over the last days out of sample, each under its own cap, the shift moves after each day by
    what that day's blocks missed of the chances as shifted so far:
    ``b <- b + step (share on the atom - mean chance)``. Summed over n days the miss is the
    distance that b has gone, divided by the step: as for the levels
    (``conformal.AdaptiveLevels``), it dies out as ``1 / n`` while b stays bounded, whatever the
    prices do. The order of the chances within a day stays as forecast.
    """
    chances = []
    for past, today, hit in (
        (gate.past.p_floor, gate.today.p_floor[0], gate.outcome <= gate.floor),
        (gate.past.p_cap, gate.today.p_cap[0], gate.outcome >= gate.past_cap),
    ):
        known = np.isfinite(gate.outcome) & np.isfinite(past)
        shift = 0.0
        for day in range(len(past))[-_CHANCE_DAYS:]:
            blocks = known[day]
            if blocks.any():
                stated = expit(_log_odds(past[day, blocks]) + shift)
                shift += _CHANCE_STEP * float(hit[day, blocks].mean() - stated.mean())
        chances.append(on_chance_step(expit(_log_odds(today) + shift)))
    return chances[0], chances[1]


def _log_odds(chance: np.ndarray) -> np.ndarray:
    return logit(np.clip(chance, _LEAST_CHANCE, 1 - _LEAST_CHANCE))


def hour_of_blocks(gate: Gate) -> np.ndarray:
    """(24, T) which hour each block is in."""
    n_blocks = gate.today.values.shape[1]
    return np.repeat(np.eye(24, dtype=bool), n_blocks // 24, axis=1)


GROUP_NAMES = (
    *("low third", "middle", "high third"),  # of the median forecast
    *("cap unlikely", "cap in doubt", "cap likely"),  # by the forecast regime
    "Sundays",
)


def groups_at_gate(gate: Gate) -> np.ndarray:
    """(31, T) the groups that a gate knows each of today's blocks to be in.

    Its hour, its third of the median forecasts of past days, its cap regime, and Sunday.
    """
    recent = gate.past.level(0.5)[-_GROUP_DAYS:]
    kinds = _groups(gate.today.dates, gate.today.level(0.5), regimes(gate.today), recent)
    return np.vstack([hour_of_blocks(gate), kinds[:, 0]])


def groups_over_days(
    dates: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], regimes: np.ndarray
) -> dict[str, np.ndarray]:
    """Groups of blocks, each (D, T) bool, to judge days by once they are over.

    They are those of ``groups_at_gate`` except that the thirds are taken over the judged days
    themselves, so that each holds as many blocks; no gate knows the medians of days to come.
    """
    median = quantiles[:, :, list(levels).index(0.5)]
    return dict(zip(GROUP_NAMES, _groups(dates, median, regimes, median), strict=True))


def _groups(
    dates: np.ndarray, median: np.ndarray, regime: np.ndarray, thirds_of: np.ndarray
) -> np.ndarray:
    """(7, D, T) bool, in the order of ``GROUP_NAMES``.

    Parameters
    ----------
    median, regime : (D, T) forecast for each block
    thirds_of : medians whose thirds a block's median is put into; where there is none, 0
        parts the lowest third from the highest
    """
    edges = np.zeros(2)
    if thirds_of.size:
        edges = without_dust(np.quantile(thirds_of, [1 / 3, 2 / 3]))
    kinds = np.arange(3)[:, None, None]
    sunday = np.broadcast_to(is_sunday(dates)[:, None], median.shape)
    return np.concatenate([np.digitize(median, edges) == kinds, regime == kinds, sunday[None]])
