"""Was the promise kept? Planned distributions of daily profit against what the days brought.

A plan's distribution of a day is that of causal recourse along its fan (``settlement.promise``).
If it is right, the place of the realised profit within it is uniform over the days, and the
planned mean lies within the band of the realised one.

By itself it is not: a plan takes the blocks that its fan thinks best, and among those are the ones
that the fan is wrong about, so it expects too much; and a fan knows nothing of what moves whole
days. ``learnt`` makes up for both from how earlier days turned out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bessvpp.risk import bootstrap_band, cvar, cvars

N_DRAWS = 20_000
SETTLED_DAYS_BEFORE = 2
"""At a day's gate, the morning before, the day before delivery is still being traded."""
TRUST_DAYS = 7
"""As much as a week of kept promises is a fan trusted before any of its days is settled."""


@dataclass(frozen=True)
class PromiseKept:
    """A promise beside what came of it; money in Rs a day."""

    n_days: int
    planned_mean_rs: float
    realised_mean_rs: float
    realised_mean_low_rs: float  # 90 % band over days
    realised_mean_high_rs: float
    planned_cvar_rs: float  # of all days' paths together
    realised_cvar_rs: float
    realised_cvar_low_rs: float
    realised_cvar_high_rs: float
    pit: np.ndarray  # (D,) place of each realised profit in its planned distribution, 0 to 1
    ks_statistic: float
    ks_p_value: float

    @property
    def mean_is_kept(self) -> bool:
        """Whether the planned mean lies within the realised mean's band."""
        return self.realised_mean_low_rs <= self.planned_mean_rs <= self.realised_mean_high_rs


def judge_promise(
    planned: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
    realised: np.ndarray,
    alpha: float,
    seed: int = 0,
) -> PromiseKept:
    """Planned distributions of D days against what was realised on them.

    Parameters
    ----------
    planned : for each day (S,) profit along its paths with causal recourse [Rs]
    weights : for each day (S,) of its paths
    realised : (D,) profit with the same recourse [Rs]
    alpha : tail share of CVaR
    seed : of the bootstrap and of the test

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> planned, weights = rng.normal(9e5, 2e5, (40, 100)), np.full((40, 100), 0.01)
    >>> kept = bv.judge_promise(planned, weights, rng.normal(7e5, 2e5, 40), alpha=0.05)
    >>> kept.mean_is_kept, kept.ks_p_value < 0.01
    (False, True)
    """
    rng = np.random.default_rng(seed)
    pit = profit_ranks(planned, weights, realised)
    statistic, p_value = uniformity(pit, rng)
    share = np.concatenate(list(weights)) / len(realised)
    pooled = np.concatenate(list(planned))
    mean_low, mean_high = bootstrap_band(realised, lambda days: days.mean(axis=-1), rng)
    tail_low, tail_high = bootstrap_band(realised, lambda days: cvars(days, alpha), rng)
    return PromiseKept(
        n_days=len(realised),
        planned_mean_rs=float(share @ pooled),
        realised_mean_rs=float(realised.mean()),
        realised_mean_low_rs=mean_low,
        realised_mean_high_rs=mean_high,
        planned_cvar_rs=cvar(pooled, alpha, share),
        realised_cvar_rs=cvar(realised, alpha),
        realised_cvar_low_rs=tail_low,
        realised_cvar_high_rs=tail_high,
        pit=pit,
        ks_statistic=statistic,
        ks_p_value=p_value,
    )


def learnt(
    planned: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
    realised: np.ndarray,
    days: np.ndarray,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    r"""Planned distributions mixed with how the promises settled before each gate were missed.

    With n days settled, that missed their planned means by :math:`m_i`, a day of planned mean
    :math:`\mu` is promised

    .. math:: F = \frac{7 F_\text{fan} + \sum_i \mathbf{1}\{x \ge \mu + m_i\}}{7 + n}:

    its own paths count as a week of days, and each settled day as one. Its mean is
    :math:`\mu + \sum m_i / (7 + n)`, and spread and shape follow those of days.

    Parameters
    ----------
    planned, weights, realised : as for ``judge_promise``
    days : (D,) dates, rising; a day learns from those at least two days before it

    Returns
    -------
    outcomes [Rs] and their weights, of each day its paths and then the days it has learnt from
    """
    means = np.array([share @ paths for share, paths in zip(weights, planned, strict=True)])
    missed, promised, shares = realised - means, [], []
    for day, paths, share, mean in zip(days, planned, weights, means, strict=True):
        settled = days <= day - np.timedelta64(SETTLED_DAYS_BEFORE, "D")
        n = settled.sum()
        promised.append(np.append(paths, mean + missed[settled]))
        shares.append(np.append(TRUST_DAYS * share, np.ones(n)) / (TRUST_DAYS + n))
    return promised, shares


def profit_ranks(
    planned: Sequence[np.ndarray], weights: Sequence[np.ndarray], realised: np.ndarray
) -> np.ndarray:
    """(D,) mid-rank of each realised profit in its distribution: P(below) + P(equal) / 2."""
    places = [
        share @ ((profit < seen) + 0.5 * (profit == seen)) / share.sum()
        for profit, share, seen in zip(planned, weights, realised, strict=True)
    ]
    return np.clip(places, 0.0, 1.0)  # shares of 1 / S may add up to a last bit more than 1


def ks_distance(pit: np.ndarray) -> float:
    """Greatest distance of the empirical distribution of (D,) values in [0, 1] from uniform."""
    ordered, n = np.sort(pit), len(pit)
    above = np.arange(1, n + 1) / n - ordered
    below = ordered - np.arange(n) / n
    return float(max(above.max(), below.max()))


def uniformity(
    pit: np.ndarray, rng: np.random.Generator, block: int | None = None, n_draws: int = N_DRAWS
) -> tuple[float, float]:
    """Kolmogorov-Smirnov distance of PIT values (D,) from uniform, and its p-value by day blocks.

    What chance does is drawn: ranks of the days in circular blocks, of ``D ** (1/3)`` days by
    default as in ``risk.bootstrap_band``, each spread evenly over its own share of the unit
    interval. Draws are uniform, then, with the days' runs of high and low kept; of single days
    they are independent, and the p-value is the classical one. It is the share of draws that lie
    as far from uniform as the days do.
    """
    n = len(pit)
    block = max(round(n ** (1 / 3)), 1) if block is None else block
    statistic = ks_distance(pit)
    ranks = np.argsort(np.argsort(pit, kind="stable"))
    first = rng.integers(0, n, (n_draws, -(-n // block)))
    days = ((first[..., None] + np.arange(block)) % n).reshape(n_draws, -1)[:, :n]
    drawn = np.sort((ranks[days] + rng.uniform(size=days.shape)) / n, axis=1)
    steps = np.arange(n + 1) / n
    apart = np.maximum(steps[1:] - drawn, drawn - steps[:-1]).max(axis=1)
    return statistic, float((1 + (apart >= statistic).sum()) / (1 + n_draws))
