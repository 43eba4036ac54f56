"""How good a fan is: scores, coverage within groups with bands, and tests of both.

Shapes throughout: outcomes y (D, T), NaN where there is none; quantiles (D, T, L), rising.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scoringrules
from scipy.stats import chi2
from scipy.stats import t as student
from statsmodels.regression.linear_model import OLS

from bessvpp.market.history import is_sunday
from bessvpp.params.load import level_name
from bessvpp.risk import daily_pinball, mean_pinball, miscoverage, miscoverage_by_hour, pinball_loss

BLOCK_DAYS = 7
"""Days that are drawn together in a bootstrap: neighbouring days are alike."""
CHANCE_BINS = (0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 1)


def score_table(
    y: np.ndarray, fans: Mapping[str, np.ndarray], levels: Sequence[float], reference: str
) -> pd.DataFrame:
    """A row a fan: pinball, CRPS, interval score, coverage and width of the 80 % interval, DM.

    Prices in Rs/MWh. The interval is that between the levels .1 and .9, or else the outer
    ones. ``dm`` is Diebold and Mariano's statistic of the daily pinball losses against
    ``reference``: positive where the reference is better.
    """
    low, high = interval_levels(levels)
    nominal = levels[high] - levels[low]
    known = np.isfinite(y)
    losses = {name: daily_pinball(y, values, levels) for name, values in fans.items()}
    rows = {}
    for name, values in fans.items():
        at, lower, upper = y[known], values[known][:, low], values[known][:, high]
        rows[name] = {
            "pinball": float(np.mean(losses[name])),
            "crps": float(np.mean(scoringrules.crps_quantile(at, values[known], np.array(levels)))),
            "interval_score": float(
                np.mean(scoringrules.interval_score(at, lower, upper, 1 - nominal))
            ),
            "inside": float(np.mean((at >= lower) & (at <= upper))),
            "width": float(np.mean(upper - lower)),
            "miscoverage": mean_miscoverage(y, values, levels),
        }
        if name != reference:
            rows[name]["dm"] = diebold_mariano(losses[name], losses[reference])[0]
    return pd.DataFrame(rows).T


def interval_levels(levels: Sequence[float]) -> tuple[int, int]:
    """Places of the levels .1 and .9, or of the outer ones where these are not forecast."""
    wanted = list(levels)
    if 0.1 in wanted and 0.9 in wanted:
        return wanted.index(0.1), wanted.index(0.9)
    return 0, len(wanted) - 1


def diebold_mariano(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Diebold and Mariano's statistic of two series of daily losses, and its p-value.

    The mean difference over its standard error, which allows for correlation from day to day
    (Newey and West, with ``D^(1/3)`` lags). Negative: the first forecast is the better one.
    """
    difference = first - second
    n = len(difference)
    lags = int(np.floor(np.round(np.cbrt(n), 9)))  # a power of 1/3 would give 3 for 64
    fitted = OLS(difference, np.ones(n)).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    statistic = float(fitted.tvalues[0])
    return statistic, float(2 * student.sf(abs(statistic), n - 1))


def hit_counts(y: np.ndarray, quantiles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes below and at or below each level (D, L), and outcomes (D,), by day."""
    known = np.isfinite(y)
    below = (y[:, :, None] < quantiles) & known[:, :, None]
    at_or_below = (y[:, :, None] <= quantiles) & known[:, :, None]
    return below.sum(axis=1), at_or_below.sum(axis=1), known.sum(axis=1)


def mean_miscoverage(
    y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], group: np.ndarray | None = None
) -> float:
    """Mean over the levels of the distance from the band of P(Y < q) and P(Y <= q).

    Parameters
    ----------
    group : (D, T) bool, the blocks that count; NaN is returned where none does
    """
    chosen = y if group is None else np.where(group, y, np.nan)
    below, at_or_below, n = (part.sum(axis=0) for part in hit_counts(chosen, quantiles))
    if n == 0:
        return float("nan")
    entries = zip(levels, below / n, at_or_below / n, strict=True)
    return float(np.mean([miscoverage(*entry) for entry in entries]))


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


def known_groups(
    dates: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], regimes: np.ndarray
) -> dict[str, np.ndarray]:
    """Groups of blocks, each (D, T) bool, that are known at the gate.

    Thirds of the predicted median over these days, the forecast cap regimes, and Sundays.
    """
    median = quantiles[:, :, list(levels).index(0.5)]
    edges = np.quantile(median, [1 / 3, 2 / 3])
    third = np.digitize(median, edges)
    groups = {name: third == k for k, name in enumerate(("low third", "middle", "high third"))}
    for k, name in enumerate(("cap unlikely", "cap in doubt", "cap likely")):
        groups[name] = regimes == k
    groups["Sundays"] = np.repeat(is_sunday(dates)[:, None], median.shape[1], axis=1)
    return groups


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


def group_table(
    y: np.ndarray,
    fans: Mapping[str, np.ndarray],
    levels: Sequence[float],
    groups: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """A row a group that has an outcome, columns (fan, score).

    ``pinball`` and ``width`` of the 80 % interval in Rs/MWh, ``inside``, the share within it,
    and ``missed``, the mean miscoverage in points of a per cent.
    """
    low, high = interval_levels(levels)
    rows = {}
    for name, group in groups.items():
        chosen = group & np.isfinite(y)
        if not chosen.any():
            continue
        at, only = y[chosen], np.where(chosen, y, np.nan)
        for fan, values in fans.items():
            lower, upper = values[chosen][:, low], values[chosen][:, high]
            rows.setdefault(name, {}).update(
                {
                    (fan, "pinball"): mean_pinball(only, values, levels),
                    (fan, "width"): float(np.mean(upper - lower)),
                    (fan, "inside"): float(np.mean((at >= lower) & (at <= upper))),
                    (fan, "missed"): 100 * mean_miscoverage(only, values, levels),
                }
            )
    return pd.DataFrame(rows).T


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


def inside_share(
    y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], n_days: int
) -> np.ndarray:
    """(D,) share of the last ``n_days`` days' outcomes inside the 80 % interval; NaN at first."""
    low, high = interval_levels(levels)
    known = np.isfinite(y)
    inside = (y >= quantiles[:, :, low]) & (y <= quantiles[:, :, high])
    daily = pd.DataFrame({"inside": inside.sum(axis=1), "known": known.sum(axis=1)})
    total = daily.rolling(n_days).sum()
    return (total["inside"] / total["known"]).to_numpy()


def chance_reliability(chance: np.ndarray, hit: np.ndarray) -> pd.DataFrame:
    """Mean forecast chance, observed share and number of blocks by bins of the chance.

    Parameters
    ----------
    chance : (D, T), NaN where not modelled
    hit : (D, T) bool
    """
    known = np.isfinite(chance)
    frame = pd.DataFrame({"forecast": chance[known], "observed": hit[known].astype(float)})
    frame["bin"] = pd.cut(frame["forecast"], CHANCE_BINS, include_lowest=True)
    grouped = frame.groupby("bin", observed=True)
    return grouped.mean().assign(n=grouped.size()).reset_index(drop=True)


def pit_histogram(
    y: np.ndarray,
    quantiles: np.ndarray,
    levels: Sequence[float],
    p_floor: np.ndarray | None = None,
    p_cap: np.ndarray | None = None,
) -> np.ndarray:
    """(L + 1,) density of the probability integral transform between the levels; 1 is ideal.

    An outcome on an atom, where several levels meet, is spread over what lies between them
    (the non-randomised histogram of Czado, Gneiting and Held, 2009). The atom's chance says
    where it begins between two levels; without one it is taken to begin at the level before.

    Parameters
    ----------
    p_floor, p_cap : (D, T) chances of the atoms at the lowest and highest price of the fan;
        NaN where not modelled
    """
    known = np.isfinite(y)
    at, fan = y[known][:, None], quantiles[known]
    first, last = (at > fan).sum(axis=1), (at >= fan).sum(axis=1)
    edges = np.array([0.0, *levels, 1.0])
    low, high = edges[first], edges[last + 1]
    if p_floor is not None and p_cap is not None:
        floor, cap = (np.nan_to_num(part[known]) for part in (p_floor, p_cap))
        tied, lowest, highest = first < last, first == 0, last == len(levels)
        at_cap = tied & highest & (cap > 0) & (~lowest | (cap >= floor))
        at_floor = tied & lowest & (floor > 0) & ~at_cap
        low = np.where(at_cap, np.maximum(low, 1 - cap), low)
        high = np.where(at_floor, np.minimum(high, floor), high)
    upper, lower = np.minimum(high[:, None], edges[1:]), np.maximum(low[:, None], edges[:-1])
    mass = np.maximum(upper - lower, 0)
    return (mass / mass.sum(axis=1, keepdims=True)).mean(axis=0) / np.diff(edges)


def kupiec(x: int, n: int, level: float) -> float:
    """p-value of the test that x hits in n trials come from the level (Kupiec, 1995)."""
    ratio = -2 * (_log_likelihood(x, n, level) - _log_likelihood(x, n, x / n))
    return float(chi2.sf(ratio, 1))


def christoffersen(before: np.ndarray, after: np.ndarray) -> float:
    """p-value of the test that a hit says nothing about the next day's (Christoffersen, 1998).

    Parameters
    ----------
    before, after : (n,) bool, hits of days and of the days that follow them
    """
    n_0, n_1 = int(np.sum(~before)), int(np.sum(before))
    x_0, x_1 = int(np.sum(after & ~before)), int(np.sum(after & before))
    apart = _log_likelihood(x_0, n_0, x_0 / max(n_0, 1)) + _log_likelihood(
        x_1, n_1, x_1 / max(n_1, 1)
    )
    pooled = (x_0 + x_1) / max(n_0 + n_1, 1)
    together = _log_likelihood(x_0 + x_1, n_0 + n_1, pooled)
    return float(chi2.sf(-2 * (together - apart), 1))


def _log_likelihood(x: int, n: int, share: float) -> float:
    """Of x hits in n trials; 0 log 0 is 0."""
    hits = x * np.log(share) if x else 0.0
    return float(hits + ((n - x) * np.log1p(-share) if n - x else 0.0))


def hourly_tests(
    y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], dates: np.ndarray
) -> pd.DataFrame:
    """A row a level: the share of hours whose first block fails each test at 5 %.

    One block an hour, so that trials are days. Any share between "below" and "at or below"
    keeps the promise of a level that sits on an atom: Kupiec's test is given the number of
    hits in that range that is nearest to the level. Christoffersen's is made of days and the
    days right after them, and not of levels with an outcome on an atom, where a hit is not
    defined. Hours with fewer than 20 such days, or pairs of days, are not tested.
    """
    per_hour = y.shape[1] // 24
    next_day = np.diff(dates.astype("datetime64[D]").astype(int)) == 1
    rows = []
    for k, level in enumerate(levels):
        failed: dict[str, list[bool]] = {"kupiec": [], "christoffersen": []}
        for block in range(0, y.shape[1], per_hour):
            outcome, forecast = y[:, block], quantiles[:, block, k]
            known, below = np.isfinite(outcome), outcome < forecast
            n, on_atom = int(known.sum()), outcome == forecast
            if n >= 20:
                least, most = int(below.sum()), int((below | on_atom).sum())
                x = int(np.clip(round(level * n), least, most))
                failed["kupiec"].append(kupiec(x, n, level) < 0.05)
            pairs = known[:-1] & known[1:] & next_day
            if pairs.sum() >= 20 and not on_atom.any():
                p_value = christoffersen(below[:-1][pairs], below[1:][pairs])
                failed["christoffersen"].append(p_value < 0.05)
        shares = {name: np.mean(tests) if tests else np.nan for name, tests in failed.items()}
        rows.append({"level": level, "hours_tested": len(failed["kupiec"]), **shares})
    return pd.DataFrame(rows)


def pinball_by_level(
    y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]
) -> dict[str, float]:
    """Mean pinball loss of each level, by its name."""
    return {
        level_name(level): pinball_loss(y, quantiles[:, :, k], level)
        for k, level in enumerate(levels)
    }


def pinball_by_hour(y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """(24,) mean pinball loss of each hour of the day, over all levels; NaN: no outcome."""
    width = y.shape[1] // 24
    spans = [slice(hour * width, (hour + 1) * width) for hour in range(24)]
    return np.array(
        [
            mean_pinball(y[:, span], quantiles[:, span], levels)
            if np.isfinite(y[:, span]).any()
            else np.nan
            for span in spans
        ]
    )


def shown_levels(levels: Sequence[float]) -> list[str]:
    """Names of at most seven levels for a table: the outer ones and the usual ones between."""
    usual = (levels[0], 0.1, 0.25, 0.5, 0.75, 0.9, levels[-1])
    return [level_name(level) for level in levels if level in usual]
