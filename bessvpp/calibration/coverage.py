"""Pinball loss and coverage, in all, by hour, by month and by group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bessvpp.params.forecast import level_name

BLOCK_DAYS = 7
"""Days that are drawn together in a bootstrap: neighbouring days are alike."""


def hit_counts(y: np.ndarray, quantiles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes below and at or below each level (D, L), and outcomes (D,), by day."""
    known = np.isfinite(y)
    below = (y[:, :, None] < quantiles) & known[:, :, None]
    at_or_below = (y[:, :, None] <= quantiles) & known[:, :, None]
    return below.sum(axis=1), at_or_below.sum(axis=1), known.sum(axis=1)


def coverage(y: np.ndarray, quantiles: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """(L,) shares of outcomes below and at or below each level, and the number of outcomes.

    The two differ where prices sit on an atom, such as the price cap. NaN without an outcome.
    """
    below, at_or_below, n = (part.sum(axis=0) for part in hit_counts(y, quantiles))
    with np.errstate(invalid="ignore"):
        return below / n, at_or_below / n, int(n)


def miscoverage(
    nominal: float | np.ndarray,
    below: float | np.ndarray,
    at_or_below: float | np.ndarray,
    **_: object,
) -> float | np.ndarray:
    """Distance of a level from the band [P(Y < q), P(Y <= q)]; 0 inside it.

    Takes an entry of ``coverage_table`` as keywords, or arrays of levels.
    """
    return np.maximum(0.0, np.maximum(below - nominal, nominal - at_or_below))


def level_miscoverage(y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """(L,) miscoverage of every level; NaN without an outcome."""
    below, at_or_below, _ = coverage(y, quantiles)
    return np.asarray(miscoverage(np.array(levels), below, at_or_below))


def mean_miscoverage(
    y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], group: np.ndarray | None = None
) -> float:
    """Miscoverage averaged over the levels.

    Parameters
    ----------
    group : (D, T) bool, the blocks that count; NaN is returned where none does
    """
    chosen = y if group is None else np.where(group, y, np.nan)
    return float(np.mean(level_miscoverage(chosen, quantiles, levels)))


def coverage_bands(
    y: np.ndarray, quantiles: np.ndarray, rng: np.random.Generator, n_draws: int = 400
) -> np.ndarray:
    """(2, 2, L) bands of P(Y < q) and P(Y <= q): their 5 % and 95 % points.

    Whole days are drawn, a week of them at a time, since the blocks of a day, and neighbouring
    days, miss together (block bootstrap, Künsch, 1989).
    """
    below, at_or_below, n = hit_counts(y, quantiles)
    days = len(n)
    length = min(BLOCK_DAYS, days)
    starts = rng.integers(0, days - length + 1, size=(n_draws, -(-days // length)))
    drawn = (starts[:, :, None] + np.arange(length)).reshape(n_draws, -1)[:, :days]
    total = np.maximum(n[drawn].sum(axis=1), 1)[:, None]
    shares = np.stack([part[drawn].sum(axis=1) / total for part in (below, at_or_below)])
    return np.quantile(shares, [0.05, 0.95], axis=1).transpose(1, 0, 2)


def hour_groups(shape: tuple[int, int], width_h: int = 1) -> dict[str, np.ndarray]:
    """Groups of blocks, each ``shape`` (D, T) bool: spans of ``width_h`` hours of the day."""
    first = np.arange(shape[1]) // (shape[1] // 24) // width_h * width_h
    return {
        f"{h:02d} to {h + width_h:02d} h": np.broadcast_to(first == h, shape)
        for h in range(0, 24, width_h)
    }


def month_groups(dates: np.ndarray, n_blocks: int) -> dict[str, np.ndarray]:
    """Groups of blocks, each (D, T) bool: the months of the dates."""
    month = dates.astype("datetime64[M]")
    return {str(m): np.repeat((month == m)[:, None], n_blocks, axis=1) for m in np.unique(month)}


def miscoverage_by_hour_and_month(
    y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], dates: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """Months, and the (M, 24) mean miscoverage of each month and hour; NaN: no outcome."""
    month = dates.astype("datetime64[M]")
    hour = np.arange(y.shape[1]) // (y.shape[1] // 24)
    months = np.unique(month)
    errors = [
        [
            mean_miscoverage(
                y[month == m][:, hour == h], quantiles[month == m][:, hour == h], levels
            )
            for h in range(24)
        ]
        for m in months
    ]
    return [str(m) for m in months], np.array(errors)


def hourly_miscoverage(y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> float:
    """Mean miscoverage over levels and hours, hours without an outcome left out."""
    return float(np.nanmean(miscoverage_by_hour(y, quantiles, levels)))


def pinball_loss(y: np.ndarray, quantile: np.ndarray, level: float) -> float:
    """Mean pinball loss of a quantile forecast [unit of y], days without an outcome ignored."""
    error = y - quantile
    return float(np.nanmean(np.maximum(level * error, (level - 1) * error)))


def daily_pinball(y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """(D,) pinball loss of each day, averaged over blocks and levels; shapes as below."""
    error = y[:, :, None] - quantiles
    tau = np.array(levels)
    return np.nanmean(np.maximum(tau * error, (tau - 1) * error), axis=(1, 2))


def coverage_table(
    y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]
) -> dict[str, dict[str, float]]:
    """Coverage of every level: nominal, below, at or below, number of blocks and days.

    Parameters
    ----------
    y : (D, T) outcomes, NaN where there is none
    quantiles : (D, T, L) forecasts
    """
    below, at_or_below, n = coverage(y, quantiles)
    if n == 0:
        raise ValueError("coverage needs at least one outcome")
    n_days = int(np.isfinite(y).any(axis=1).sum())
    return {
        level_name(level): {
            "nominal": level,
            "below": float(below[k]),
            "at_or_below": float(at_or_below[k]),
            "n_blocks": n,
            "n_days": n_days,
        }
        for k, level in enumerate(levels)
    }


def miscoverage_by_hour(
    y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]
) -> np.ndarray:
    """(L, 24) miscoverage of every level in every hour of the day; NaN: no outcome in it."""
    per_hour = y.shape[1] // 24
    errors = np.empty((len(levels), 24))
    for hour in range(24):
        span = slice(hour * per_hour, (hour + 1) * per_hour)
        errors[:, hour] = level_miscoverage(y[:, span], quantiles[:, span], levels)
    return errors


def mean_pinball(y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> float:
    """Pinball loss averaged over the levels; shapes as in ``coverage_table``."""
    losses = [pinball_loss(y, quantiles[:, :, k], level) for k, level in enumerate(levels)]
    return float(np.mean(losses))
