"""Pinball loss, coverage and kept promises, in all, by hour, by month and by group.

Two measures stand side by side. The *promise* is exact: a fan that states its chance of the cap
promises ``P(Y < q) = E[min(tau, 1 - p_cap)]`` (``forecasting.quantiles.promised_below``), and
misses it by what is observed beyond that. *Miscoverage* is the distance of a level from the band
``[P(Y < q), P(Y <= q)]``; it forgives whatever is tied on an atom, 17 points of the DAM.
"""

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


def promise_miss(y: np.ndarray, quantiles: np.ndarray, promised: np.ndarray) -> np.ndarray:
    """(L,) share of outcomes below each level less the share that was promised; NaN without any.

    Parameters
    ----------
    y : (D, T) outcomes, NaN where there is none
    quantiles, promised : (D, T, L) levels, and the chance of a price below each
    """
    known = np.isfinite(y)
    if not known.any():
        return np.full(quantiles.shape[2], np.nan)
    below = y[known][:, None] < quantiles[known]
    return below.mean(axis=0) - promised[known].mean(axis=0)


def mean_promise_miss(
    y: np.ndarray, quantiles: np.ndarray, promised: np.ndarray, group: np.ndarray | None = None
) -> float:
    """Size of the miss of the exact promise, averaged over the levels.

    Parameters
    ----------
    group : (D, T) bool, the blocks that count; NaN is returned where none does
    """
    chosen = y if group is None else np.where(group, y, np.nan)
    return float(np.mean(np.abs(promise_miss(chosen, quantiles, promised))))


def hourly_promise_miss(y: np.ndarray, quantiles: np.ndarray, promised: np.ndarray) -> float:
    """Mean size of the miss over levels and hours, hours without an outcome left out."""
    groups = hour_groups(y.shape).values()
    return float(np.nanmean([mean_promise_miss(y, quantiles, promised, group) for group in groups]))


def chance_table(
    y: np.ndarray, p_floor: np.ndarray, p_cap: np.ndarray, floor: float, cap: np.ndarray
) -> dict[str, dict[str, float]]:
    """Promised and observed chance of a price at the floor and at the cap, and blocks counted.

    Parameters
    ----------
    y, p_floor, p_cap : (D, T); NaN in ``y`` where there is no price
    cap : (D, 1)
    """
    known = np.isfinite(y)
    parts = {"floor": (p_floor, y <= floor), "cap": (p_cap, y >= cap)}
    return {
        name: {
            "promised": float(chance[known].mean()),
            "observed": float(hit[known].mean()),
            "n_blocks": int(known.sum()),
        }
        for name, (chance, hit) in parts.items()
    }


def coverage_bands(
    y: np.ndarray,
    quantiles: np.ndarray,
    promised: np.ndarray,
    rng: np.random.Generator,
    n_draws: int = 20_000,
) -> np.ndarray:
    """(2, L) band of the miss of the exact promise: its 5 % and 95 % points.

    Whole days are drawn, a week of them at a time, since the blocks of a day, and neighbouring
    days, miss together (block bootstrap, Künsch, 1989).
    """
    known = np.isfinite(y)
    below, _, n = hit_counts(y, quantiles)
    missed = below - np.where(known[:, :, None], promised, 0.0).sum(axis=1)
    days = len(n)
    length = min(BLOCK_DAYS, days)
    starts = rng.integers(0, days - length + 1, size=(n_draws, -(-days // length)))
    drawn = (starts[:, :, None] + np.arange(length)).reshape(n_draws, -1)[:, :days]
    of_draw = np.arange(n_draws)[:, None] * days
    times = np.bincount((of_draw + drawn).ravel(), minlength=n_draws * days).reshape(-1, days)
    total = np.maximum(times @ n, 1)[:, None]
    return np.quantile(times @ missed / total, [0.05, 0.95], axis=0)


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


def promise_miss_by_hour_and_month(
    y: np.ndarray, quantiles: np.ndarray, promised: np.ndarray, dates: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """Months, and the (M, 24) mean miss of the promise in each month and hour; NaN: no outcome."""
    months, hours = month_groups(dates, y.shape[1]), hour_groups(y.shape)
    errors = [
        [mean_promise_miss(y, quantiles, promised, m & hour) for hour in hours.values()]
        for m in months.values()
    ]
    return list(months), np.array(errors)


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
    y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], promised: np.ndarray
) -> dict[str, dict[str, float]]:
    """Coverage of every level: nominal, promised, below, at or below, number of blocks and days.

    ``promised`` is the share that the fan promises to be below, its atoms included.

    Parameters
    ----------
    y : (D, T) outcomes, NaN where there is none
    quantiles, promised : (D, T, L) forecasts, and the chance of a price below each
    """
    below, at_or_below, n = coverage(y, quantiles)
    if n == 0:
        raise ValueError("coverage needs at least one outcome")
    due = promised[np.isfinite(y)].mean(axis=0)
    n_days = int(np.isfinite(y).any(axis=1).sum())
    return {
        level_name(level): {
            "nominal": level,
            "promised": float(due[k]),
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
