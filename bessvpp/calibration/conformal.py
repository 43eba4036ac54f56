"""Conformal recalibration of quantile forecasts (CQR), one level at a time.

The residual of a past day is ``r = y - q_hat``. Under exchangeability the forecast
``q_hat + r_(k)``, with ``r_(k)`` the k-th smallest of n past residuals, satisfies
``P(Y <= q) >= tau`` for ``k = ceil(tau (n + 1))`` and ``P(Y < q) <= tau`` for
``k = floor(tau (n + 1))`` (Romano, Patterson and Candes, 2019; Vovk, 2005). With a weight for
each past day it is the weighted order statistic of Barber, Candes, Ramdas and Tibshirani
(2023), the day to come having weight 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from bessvpp.errors import DataError
from bessvpp.price_tick import on_price_tick

GROUPS = ((1, True), (4, True), (24, True), (24, False))
"""Groups that residuals are borrowed from, smallest first: width [h], same regime only."""
_ROUNDING = 1e-9


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
        raise _too_few(level, n, n)
    return rank


@dataclass(frozen=True)
class KnownResiduals:
    """What a gate knows of past forecasts: D days, T blocks, L levels.

    values : (D, T, L) y minus forecast, NaN where y is not known
    regime : (D, T) which regime each past block was forecast to be in
    today : (T,) the regime of each block of the day to come
    """

    values: np.ndarray
    regime: np.ndarray
    today: np.ndarray

    def last(self, n_days: int) -> KnownResiduals:
        """The same of the last days alone."""
        return replace(self, values=self.values[-n_days:], regime=self.regime[-n_days:])


@dataclass(frozen=True)
class DayShifts:
    """Shifts of one day: T blocks, L levels."""

    delta: np.ndarray  # (T, L) what is added to each forecast
    n: np.ndarray  # (T, L) residuals in the group
    rank: np.ndarray  # (T, L) order statistic taken
    group_hours: np.ndarray  # (T, L) width of the group
    same_regime: np.ndarray  # (T, L) bool: the group is of the block's own regime


def day_shifts(
    known: KnownResiduals,
    levels: tuple[float, ...],
    min_group_size: int,
    weights: np.ndarray | None = None,
    asked: np.ndarray | None = None,
) -> DayShifts:
    """Shifts for a day from the residuals of earlier days.

    A block is shifted by the residuals of its hour and regime; where these are fewer than
    ``min_group_size``, or too few for the rank to exist, by its four hours, then by all hours
    of the regime, then by all residuals.

    Parameters
    ----------
    levels : the L levels
    min_group_size : least number of residuals of a group, counted by their weight
    weights : (D,) weight of each past day, at most 1; 1 where None
    asked : (T, L) levels to take in place of the nominal ones; beyond the first or last order
        statistic of the group, that one is taken

    Raises
    ------
    DataError
        where even all residuals are too few; names n and the level.
    """
    shape = known.values.shape[1:]
    weights = np.ones(len(known.values)) if weights is None else weights
    usable = np.isfinite(known.values).all(axis=2) & (weights > 0)[:, None]
    day_weight = np.broadcast_to(weights[:, None], usable.shape)
    wanted = np.tile(levels, (shape[0], 1)) if asked is None else asked
    delta, whence = np.full(shape, np.nan), np.zeros((4, *shape), dtype=int)
    for hours, of_regime, blocks, past in _groups(known):
        chosen, still_open = past & usable, np.isnan(delta[blocks])
        residuals, weight = known.values[chosen], day_weight[chosen]
        too_small = weight.sum() < min_group_size - _ROUNDING
        if not still_open.any() or (of_regime and too_small):
            continue
        order = np.argsort(residuals, axis=0, kind="stable")
        _, exists = _ranks(np.array(levels)[None], weight, order)
        if not of_regime and not exists.all():
            raise _too_few(levels[int(np.argmin(exists[0]))], len(weight), weight.sum())
        rank, _ = _ranks(wanted[blocks], weight, order)
        place = np.take_along_axis(order, np.maximum(rank, 1) - 1, axis=0)
        fill = still_open & exists
        delta[blocks] = np.where(fill, np.take_along_axis(residuals, place, axis=0), delta[blocks])
        told: tuple[int | np.ndarray, ...] = (len(weight), rank, hours, int(of_regime))
        for values, new in zip(whence, told, strict=True):
            values[blocks] = np.where(fill, new, values[blocks])
    n, rank, hours, same_regime = whence
    return DayShifts(delta, n, rank, hours, same_regime.astype(bool))


def _groups(known: KnownResiduals) -> Iterator[tuple[int, bool, np.ndarray, np.ndarray]]:
    """Groups that residuals are borrowed from, smallest first.

    Yields
    ------
    width [h], whether of one regime alone, the blocks of the day to come (T,) bool, and the
    past blocks (D, T) bool that these may borrow from.
    """
    n_blocks = len(known.today)
    hour = np.arange(n_blocks) // (n_blocks // 24)
    for hours, of_regime in GROUPS:
        for first in range(0, 24, hours):
            near = (hour >= first) & (hour < first + hours)
            if not of_regime:
                yield hours, False, near, np.broadcast_to(near, known.regime.shape)
                continue
            for regime in np.unique(known.today[near]):
                yield hours, True, near & (known.today == regime), near & (known.regime == regime)


def _ranks(
    levels: np.ndarray, weight: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ranks of levels (B, L) in a group of n residuals, within 1 to n, and whether they exist.

    Upper levels: the first whose weight at or below reaches ``tau (W + 1)``. Lower ones: the
    last whose weight at or above reaches ``(1 - tau) (W + 1)``. With weights of 1 these are
    ``ceil(tau (n + 1))`` and ``floor(tau (n + 1))``.

    Parameters
    ----------
    order : (n, L) order of the residuals of each level
    """
    n = len(weight)
    if n == 0:
        return np.zeros(levels.shape, int), np.zeros(levels.shape, bool)
    if (weight == 1).all():
        exact = np.round(levels * (n + 1), 9)
        rank = np.where(levels >= 0.5, np.ceil(exact), np.floor(exact)).astype(int)
    else:
        up_to = np.cumsum(weight[order], axis=0)  # (n, L)
        down_to = up_to[-1] - up_to + weight[order]
        total = weight.sum() + 1
        upper = (up_to[None] < (levels * total - _ROUNDING)[:, None]).sum(axis=1) + 1
        lower = (down_to[None] >= ((1 - levels) * total - _ROUNDING)[:, None]).sum(axis=1)
        rank = np.where(levels >= 0.5, upper, lower)
    return np.clip(rank, 1, n), (rank >= 1) & (rank <= n)


def _too_few(level: float, n: int, weight: float) -> DataError:
    worth = "" if round(weight, 6) == n else f", worth {weight:.1f} recent ones,"
    return DataError(
        f"{n} residuals{worth} are too few to shift level {level:g}: that rank does not exist. "
        "Give more calibration days, or leave that level out of forecast.yaml"
    )


def recency_weights(n_days: int, half_life_days: float) -> np.ndarray:
    """(D,) weights that halve every ``half_life_days``, the last day's being nearly 1."""
    return 0.5 ** (np.arange(n_days, 0, -1) / half_life_days)


def two_sided_shifts(known: KnownResiduals, levels: tuple[float, ...]) -> np.ndarray:
    """(T, L) shifts of the two-sided CQR: one width for both ends of each interval.

    The score of an interval is ``max(q_lo - y, y - q_hi)``; with ``alpha`` the share outside,
    both ends move out by the ``ceil((1 - alpha)(n + 1))``-th smallest score of the hour, or
    of four hours, or of all, where the hour has too few for that rank to exist (Romano,
    Patterson and Candes, 2019, equation 8). Levels are paired from the outside in and
    must be mirror images; the median stays.

    Raises
    ------
    DataError
        where even all hours have too few scores for the rank to exist.
    """
    n_blocks = known.values.shape[1]
    per_hour = n_blocks // 24
    delta = np.zeros((n_blocks, len(levels)))
    for low in range(len(levels) // 2):
        high = len(levels) - 1 - low
        if abs(levels[low] + levels[high] - 1) > _ROUNDING:
            raise ValueError(f"levels {levels[low]:g} and {levels[high]:g} are no mirror images")
        score = np.maximum(-known.values[:, :, low], known.values[:, :, high])
        for hour in range(24):
            for hours in (1, 4, 24):
                first = hour // hours * hours * per_hour
                group = score[:, first : first + hours * per_hour]
                group = group[np.isfinite(group)]
                try:
                    rank = shift_rank(levels[high] - levels[low], group.size)
                    break
                except DataError:
                    if hours == 24:
                        raise
            width = np.partition(group, rank - 1)[rank - 1]
            span = slice(hour * per_hour, (hour + 1) * per_hour)
            delta[span, low], delta[span, high] = -width, width
    return delta


def shifted(quantiles: np.ndarray, delta: np.ndarray, floor: float, cap: float) -> np.ndarray:
    """Forecasts plus shifts, sorted over the levels, within floor and cap, on the price tick.

    Shapes (..., L).
    """
    return on_price_tick(np.clip(np.sort(quantiles + delta, axis=-1), floor, cap))


@dataclass
class AdaptiveLevels:
    """Adaptive conformal inference (Gibbs and Candes, 2021), for groups of blocks that overlap.

    The level asked of the past residuals for a block is the nominal one plus the offsets of all
    groups that the block is in. With each day whose outcome has become known the offset of a
    group moves by ``gamma (tau - share below)``, the share being that of the group's blocks of
    that day. ``gamma`` may differ from level to level. While no offset is at its bound, the miss
    of a group, averaged over the n days that have blocks of it, falls as ``1 / (gamma n)``,
    whatever the prices do (Angelopoulos, Jordan and Tibshirani, 2025, "gradient equilibrium").
    Blocks whose level was put on the floor or cap are left out of the share: there the chance of
    the atom makes the promise, not the level. Counted in, they would hide what the other blocks
    of the group miss. Where a price sits on a free quantile, any share between "below" and "at
    or below" counts as kept.
    """

    offset: np.ndarray  # (G, L)
    nominal: np.ndarray  # (L,)
    gamma: float | np.ndarray  # (L,) where each level has its own

    @classmethod
    def start(
        cls, n_groups: int, levels: tuple[float, ...], gamma: float | np.ndarray
    ) -> AdaptiveLevels:
        """No level is moved yet; ``gamma`` is the step, one or (L,)."""
        return cls(np.zeros((n_groups, len(levels))), np.array(levels), gamma)

    def asked(self, member: np.ndarray) -> np.ndarray:
        """(T, L) levels to ask for a day whose blocks are in the groups ``member`` (G, T)."""
        return np.clip(self.nominal + member.T.astype(float) @ self.offset, 0.0, 1.0)

    def observe(
        self, member: np.ndarray, outcome: np.ndarray, issued: np.ndarray, free: np.ndarray
    ) -> None:
        """Take in a past day: its groups (G, T), prices (T,), NaN without one, and fan (T, L).

        Parameters
        ----------
        free : (T, L) bool, the levels that sat on no atom; for each level the others count nothing
        """
        inside = (member & np.isfinite(outcome)).astype(float)
        n = inside @ free
        flags = outcome[:, None] < issued, outcome[:, None] <= issued
        below, at_or_below = (inside @ (flag & free) / np.maximum(n, 1) for flag in flags)
        share = np.clip(self.nominal, below, at_or_below)
        moved = self.offset + self.gamma * (self.nominal - share)
        bounded = np.clip(moved, -self.nominal, 1.0 - self.nominal)
        self.offset = np.where(n > 0, bounded, self.offset)


@dataclass
class ExpertWeights:
    """Weights of K forecasters of each level, by Bernstein online aggregation.

    After each loss, ``R += r - eta r^2`` with r the regret against the mix, and the weight is
    proportional to ``eta exp(eta R)``, ``eta = min(1 / (2 max|r|), sqrt(ln K / sum r^2))``
    (Wintenberger, 2017; for conformal forecasts Zaffran et al., 2022, "AgACI"). Losses that
    differ by binary dust are equal: while all are, so are the weights.
    """

    regret: np.ndarray  # (K, L)
    squares: np.ndarray  # (K, L)
    largest: np.ndarray  # (K, L)

    @classmethod
    def start(cls, n_experts: int, n_levels: int) -> ExpertWeights:
        """All experts alike: none has a loss yet."""
        return cls(*(np.zeros((n_experts, n_levels)) for _ in range(3)))

    def _rate(self) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            by_range = 1 / (2 * self.largest)
            by_squares = np.sqrt(np.log(len(self.regret)) / self.squares)
        return np.minimum(by_range, by_squares)

    @property
    def weights(self) -> np.ndarray:
        """(K, L) weights that sum to 1 over the forecasters."""
        rate = np.where(np.isfinite(rate := self._rate()), rate, 0.0)
        known = rate > 0
        score = np.where(known, np.log(np.maximum(rate, 1e-300)) + rate * self.regret, -np.inf)
        score = np.where(known.all(axis=0), score, 0.0)
        weight = np.exp(score - score.max(axis=0))
        return weight / weight.sum(axis=0)

    def observe(self, losses: np.ndarray) -> None:
        """Take in the losses (K, L) of one day."""
        r = (self.weights * losses).sum(axis=0) - losses
        r = np.where(np.abs(r) < _ROUNDING * np.maximum(losses, 1), 0.0, r)
        self.largest = np.maximum(self.largest, np.abs(r))
        self.squares = self.squares + r**2
        rate = self._rate()
        self.regret = self.regret + r - np.where(np.isfinite(rate), rate, 0.0) * r**2
