"""How good a fan is: scores in all, by level, by hour and within groups.

Shapes throughout: outcomes y (D, T), NaN where there is none; quantiles (D, T, L), rising.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bessvpp.calibration.coverage import (
    daily_pinball,
    mean_miscoverage,
    mean_pinball,
    mean_promise_miss,
    pinball_loss,
)
from bessvpp.calibration.significance import diebold_mariano
from bessvpp.params.forecast import level_name

CHANCE_BINS = (0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 1)


def score_table(
    y: np.ndarray,
    fans: Mapping[str, np.ndarray],
    levels: Sequence[float],
    reference: str,
    promised: Mapping[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """A row a fan: pinball, CRPS, interval score, coverage and width of the 80 % interval, DM.

    Prices in Rs/MWh. The interval is that between the levels .1 and .9, or else the outer
    ones. ``promise`` is the mean miss of the exact promise, where each fan's ``promised``
    (D, T, L) is given, ``miscoverage`` that of the band. ``dm`` is Diebold and Mariano's statistic
    of the daily pinball losses against ``reference``: positive where the reference is better.
    """
    import scoringrules  # compiles much when it is imported, which not all who come here need

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
        }
        if promised is not None:
            rows[name]["promise"] = mean_promise_miss(y, values, promised[name])
        rows[name]["miscoverage"] = mean_miscoverage(y, values, levels)
        if name != reference:
            rows[name]["dm"] = diebold_mariano(losses[name], losses[reference])[0]
    return pd.DataFrame(rows).T


def interval_levels(levels: Sequence[float]) -> tuple[int, int]:
    """Places of the levels .1 and .9, or of the outer ones where these are not forecast."""
    wanted = list(levels)
    if 0.1 in wanted and 0.9 in wanted:
        return wanted.index(0.1), wanted.index(0.9)
    return 0, len(wanted) - 1


def group_table(
    y: np.ndarray,
    fans: Mapping[str, np.ndarray],
    levels: Sequence[float],
    groups: Mapping[str, np.ndarray],
    promised: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """A row a group that has an outcome, columns (fan, score).

    ``pinball`` and ``width`` of the 80 % interval in Rs/MWh, ``inside``, the share within it,
    and in points of a per cent ``promise``, the mean miss of the exact promise, and
    ``missed``, the mean miscoverage.

    Parameters
    ----------
    promised : of each fan the chance (D, T, L) of a price below each level
    """
    low, high = interval_levels(levels)
    rows: dict[str, dict[tuple[str, str], float]] = {}
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
                    (fan, "promise"): 100 * mean_promise_miss(only, values, promised[fan]),
                    (fan, "missed"): 100 * mean_miscoverage(only, values, levels),
                }
            )
    return pd.DataFrame(rows).T


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
