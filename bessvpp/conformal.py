"""Conformal recalibration of quantile forecasts (CQR), one level at a time.

The residual of a past day is ``r = y - q_hat``. Under exchangeability the forecast
``q_hat + r_(k)``, with ``r_(k)`` the k-th smallest of n past residuals, satisfies
``P(Y <= q) >= tau`` for ``k = ceil(tau (n + 1))`` and ``P(Y < q) <= tau`` for
``k = floor(tau (n + 1))`` (Romano, Patterson and Candes, 2019; Vovk, 2005).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bessvpp.errors import DataError

GROUP_HOURS = (1, 4, 24)
"""Width of the groups that residuals are taken from, smallest first."""


def shift_rank(level: float, n: int) -> int:
    """Rank of the order statistic that shifts a level, from 1 to n.

    Raises
    ------
    DataError
        where that rank does not exist: n residuals are too few for so outer a level.
    """
    exact = round(level * (n + 1), 9)
    rank = math.ceil(exact) if level >= 0.5 else math.floor(exact)
    if not 1 <= rank <= n:
        raise DataError(
            f"{n} residuals are too few to shift level {level:g}: rank {rank} of {n} does not "
            "exist. Give more calibration days, or leave that level out of forecast.yaml"
        )
    return rank


@dataclass(frozen=True)
class DayShifts:
    """Shifts of one day: T blocks, L levels."""

    delta: np.ndarray  # (T, L) what is added to each forecast
    n: np.ndarray  # (T, L) residuals in the group
    rank: np.ndarray  # (T, L) order statistic taken
    group_hours: np.ndarray  # (T, L) width of the group


def day_shifts(residuals: np.ndarray, levels: tuple[float, ...], min_group_size: int) -> DayShifts:
    """Shifts for a day from the residuals of earlier days.

    A block is shifted by the residuals of its hour; where these are fewer than
    ``min_group_size``, or too few for the rank to exist, by its four hours, then by all.

    Parameters
    ----------
    residuals : (D, T, L) y minus forecast, NaN where y is not known
    levels : the L levels
    min_group_size : least number of residuals of a group

    Raises
    ------
    DataError
        where even the whole day's residuals are too few; names n and the level.
    """
    _, n_blocks, n_levels = residuals.shape
    blocks_per_hour = n_blocks // 24
    shape = (n_blocks, n_levels)
    delta, n_used, rank_used, hours_used = (np.empty(shape) for _ in range(4))
    for hours in reversed(GROUP_HOURS):
        width = hours * blocks_per_hour
        for start in range(0, n_blocks, width):
            group = residuals[:, start : start + width].reshape(-1, n_levels)
            group = group[np.isfinite(group).all(axis=1)]
            n = len(group)
            whole_day = hours == GROUP_HOURS[-1]
            if n < min_group_size and not whole_day:
                continue
            for k, level in enumerate(levels):
                try:
                    rank = shift_rank(level, n)
                except DataError:
                    if whole_day:
                        raise
                    continue
                span = slice(start, start + width)
                delta[span, k] = np.partition(group[:, k], rank - 1)[rank - 1]
                n_used[span, k], rank_used[span, k], hours_used[span, k] = n, rank, hours
    return DayShifts(delta, n_used.astype(int), rank_used.astype(int), hours_used.astype(int))


def shifted(quantiles: np.ndarray, delta: np.ndarray, floor: float, cap: float) -> np.ndarray:
    """Forecasts plus shifts, sorted over the levels, within floor and cap. Shapes (T, L)."""
    return np.clip(np.sort(quantiles + delta, axis=-1), floor, cap)
