"""Quantile forecasts of a market, with chances of floor and cap."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bessvpp.errors import DataError
from bessvpp.market.clock import delivery_starts
from bessvpp.params.forecast import level_name
from bessvpp.price_tick import TICKS_PER_RS, TIE, on_chance_step, on_price_tick

ATOMS = ("floor", "cap")


@dataclass(frozen=True)
class QuantileForecast:
    """Quantile forecasts of one market: D days, T blocks, L levels.

    However it is made, its prices are on the exchange's tick and its chances in millionths
    (``price_tick``).
    """

    market: str  # "dam" or "rtm"
    dates: np.ndarray  # (D,) datetime64[D]
    split: np.ndarray  # (D,) "calibration" or "test"
    levels: tuple[float, ...]  # L
    values: np.ndarray  # (D, T, L) Rs/MWh, rising along the levels
    p_floor: np.ndarray | None = None  # (D, T) chance of a price at the floor; NaN: not modelled
    p_cap: np.ndarray | None = None  # (D, T) chance of a price at the cap; NaN: not modelled

    def __post_init__(self) -> None:
        for name in ("p_floor", "p_cap"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.full(self.values.shape[:2], np.nan))
            object.__setattr__(self, name, on_chance_step(getattr(self, name)))
        object.__setattr__(self, "values", on_price_tick(self.values))

    def on(self, dates: np.ndarray) -> QuantileForecast:
        """The same on some of its days; ``DataError`` where one is missing."""
        index = np.searchsorted(self.dates, dates)
        found = index < len(self.dates)
        if not found.all() or not np.array_equal(self.dates[index], dates):
            missing = ", ".join(str(day) for day in dates if day not in self.dates)
            raise DataError(
                f"no {self.market.upper()} forecast of {missing}: the week before lacks prices; "
                "add the missing downloads"
            )
        return replace(
            self,
            dates=self.dates[index],
            split=self.split[index],
            values=self.values[index],
            p_floor=self.p_floor[index],
            p_cap=self.p_cap[index],
        )

    def followed_by(self, later: QuantileForecast) -> QuantileForecast:
        """These days and then later ones."""
        arrays = {
            key: np.concatenate([getattr(self, key), getattr(later, key)])
            for key in ("dates", "split", "values", "p_floor", "p_cap")
        }
        return replace(self, **arrays)

    def day(self, date: np.datetime64) -> QuantileForecast:
        """The same on one of its days alone."""
        return self.on(np.array([date]))

    def level(self, level: float) -> np.ndarray:
        """(D, T) forecasts of one level."""
        return self.values[:, :, self.levels.index(level)]

    def to_frame(self) -> pd.DataFrame:
        """One row a block: ``delivery_start, market, split``, a column a level, ``p_*``."""
        n_blocks = self.values.shape[1]
        starts = [delivery_starts(date, n_blocks) for date in self.dates]
        frame = pd.DataFrame({"delivery_start": starts[0].append(starts[1:])})
        frame["market"] = self.market
        frame["split"] = np.repeat(self.split, n_blocks)
        for k, level in enumerate(self.levels):
            frame[level_name(level)] = self.values[:, :, k].ravel()
        frame["p_floor"], frame["p_cap"] = self.p_floor.ravel(), self.p_cap.ravel()
        return frame


def stated_chances(
    forecast: QuantileForecast, floor: float, cap: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(D, T) chances of the floor and of the cap that a fan states.

    Where a chance is not modelled it is what the levels on that price leave to it: all above the
    lowest level on the cap, all below the highest one on the floor.

    Parameters
    ----------
    cap : (D, 1)
    """
    levels = np.array(forecast.levels)
    on_floor, on_cap = forecast.values <= floor, forecast.values >= cap[:, :, None]
    below = np.where(on_floor, levels, 0.0).max(axis=2)
    above = np.where(on_cap, 1 - levels, 0.0).max(axis=2)
    p_floor: np.ndarray = np.where(np.isnan(forecast.p_floor), below, forecast.p_floor)
    p_cap: np.ndarray = np.where(np.isnan(forecast.p_cap), above, forecast.p_cap)
    return p_floor, p_cap


def promised_below(forecast: QuantileForecast, floor: float, cap: np.ndarray) -> np.ndarray:
    """(D, T, L) chance of a price below each level that a fan promises, atoms included.

    ``P(Y < q) = min(tau, 1 - p_cap)``: a level on the cap has all prices below it that are not
    on the cap. Of a level on the floor it is 0.

    Parameters
    ----------
    cap : (D, 1)
    """
    levels = np.array(forecast.levels)
    p_cap = stated_chances(forecast, floor, cap)[1]
    promised = np.minimum(levels, 1 - p_cap[:, :, None])
    return np.where(forecast.values <= floor, 0.0, promised)


def count_crossings(raw: np.ndarray) -> int:
    """Number of neighbouring levels that stand in the wrong order, by a price tick or more."""
    return int((np.diff(on_price_tick(raw), axis=-1) < 0).sum())


def with_atoms(forecast: QuantileForecast, floor: float, cap: np.ndarray) -> np.ndarray:
    """Quantiles within floor and cap that sit on the cap exactly as often as ``p_cap`` says.

    A level of at least ``1 - p_cap`` is the cap. A lower one that reached the cap is put on
    the line from the last level below the cap to ``(1 - p_cap, cap)``, a tick below the cap at
    most. The floor is the mirror
    image. Where a chance is not modelled, levels are only kept within floor and cap. All are on
    the price tick.

    Parameters
    ----------
    cap : (D, 1)

    Returns
    -------
    (D, T, L)
    """
    levels = np.array(forecast.levels)
    values = np.clip(forecast.values, floor, cap[:, :, None])
    values = _with_upper_atom(values, levels, forecast.p_cap, cap, floor)
    mirrored = _with_upper_atom(
        -values[:, :, ::-1], 1 - levels[::-1], forecast.p_floor, np.full_like(cap, -floor), -cap
    )
    return on_price_tick(np.maximum.accumulate(-mirrored[:, :, ::-1], axis=2))


def _with_upper_atom(
    values: np.ndarray, levels: np.ndarray, chance: np.ndarray, top: np.ndarray, bottom: object
) -> np.ndarray:
    top = np.broadcast_to(top, chance.shape)[:, :, None]
    reached = 1 - np.nan_to_num(chance)[:, :, None]  # the level from which on it is the atom
    on_atom, free = levels >= reached - TIE, values < top
    n_free = (free & ~on_atom).sum(axis=2, keepdims=True)  # values rise, so these come first
    last = np.maximum(n_free - 1, 0)
    level = np.where(n_free > 0, levels[last], 0.0)
    value = np.where(
        n_free > 0,
        np.take_along_axis(values, last, axis=2),
        np.broadcast_to(bottom, chance.shape)[:, :, None],
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        line = value + (top - value) * (levels - level) / (reached - level)
    below = np.minimum(np.where(free, values, line), top - 1 / TICKS_PER_RS)
    joined = np.where(on_atom, top, below)
    return np.where(np.isnan(chance)[:, :, None], values, joined)
