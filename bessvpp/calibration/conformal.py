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
from dataclasses import dataclass, replace
from functools import cached_property

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
        """The same of the last days alone, one object however often it is asked for."""
        n_days = min(n_days, len(self.values))
        if n_days == len(self.values):
            return self
        if n_days not in self._shorter:
            self._shorter[n_days] = self.on(np.arange(-n_days, 0))
        return self._shorter[n_days]

    def on(self, days: np.ndarray) -> KnownResiduals:
        """The same of some days, by place or by (D,) bool."""
        return replace(self, values=self.values[days], regime=self.regime[days])

    @cached_property
    def is_usable(self) -> np.ndarray:
        """(D, T) bool: the residuals of all levels are known."""
        return np.isfinite(self.values).all(axis=2)

    def groups(self, hours: int, of_regime: bool, weights: np.ndarray | None = None) -> _Groups:
        """Groups of some width, sorted once for all who ask; weights (D,), 1 where None."""
        if weights is not None and not (weights == 1).all():
            return _Groups.of(self, hours, of_regime, weights)
        if (hours, of_regime) not in self._groups:
            self._groups[hours, of_regime] = _Groups.of(self, hours, of_regime, None)
        return self._groups[hours, of_regime]

    @cached_property
    def _shorter(self) -> dict[int, KnownResiduals]:
        return {}

    @cached_property
    def _groups(self) -> dict[tuple[int, bool], _Groups]:
        return {}


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
    if weights is not None:
        counts = weights > 0
        known, weights = known.on(counts), weights[counts]
    nominal, shape = np.array(levels)[None], known.values.shape[1:]
    delta, whence = np.full(shape, np.nan), np.zeros((4, *shape), dtype=int)
    for hours, of_regime in GROUPS:
        still_open = np.isnan(delta)
        if not still_open.any():
            break
        groups = known.groups(hours, of_regime, weights)
        rank, exists = groups.ranks(nominal)
        if not of_regime and not exists.all():
            raise _too_few(levels[int(np.argmin(exists[0]))], groups.n[0], groups.weight[0])
        large = groups.weight[groups.of_block] >= min_group_size - _ROUNDING
        fill = still_open & exists & (large[:, None] | (not of_regime))
        if not fill.any():
            continue
        if asked is not None:
            rank, _ = groups.ranks(asked)
        delta = np.where(fill, groups.residual(rank), delta)
        told: tuple[int | np.ndarray, ...] = (groups.size, rank, hours, int(of_regime))
        for values, new in zip(whence, told, strict=True):
            np.copyto(values, new, where=fill)
    n, rank, hours, same_regime = whence
    return DayShifts(delta, n, rank, hours, same_regime.astype(bool))


@dataclass(frozen=True)
class _Groups:
    """Groups of one width that residuals are borrowed from: G of them, of N residuals in all."""

    of_block: np.ndarray  # (T,) the group of each block of the day to come
    n: np.ndarray  # (G,) residuals in it
    weight: np.ndarray  # (G,) sum of their weights
    residuals: np.ndarray  # (N, L) group after group, in each of them every level rising
    weights: np.ndarray | None  # (N, L) of the residuals; None where each is 1

    @classmethod
    def of(
        cls, known: KnownResiduals, hours: int, of_regime: bool, weights: np.ndarray | None
    ) -> _Groups:
        """Groups of some hours, each of one regime alone where ``of_regime``; weights (D,)."""
        n_blocks = len(known.today)
        of_block = np.zeros(n_blocks, dtype=int)
        parts, worth = list[np.ndarray](), list[np.ndarray | None]()
        width = hours * n_blocks // 24
        for near in (slice(first, first + width) for first in range(0, n_blocks, width)):
            today, past, usable = (
                part[..., near] for part in (known.today, known.regime, known.is_usable)
            )
            for regime in np.unique(today) if of_regime else (None,):
                of_block[near][(today == regime) | (not of_regime)] = len(parts)
                chosen = usable & (past == regime) if of_regime else usable
                parts.append(known.values[:, near][chosen])
                worth.append(None if weights is None else np.repeat(weights, chosen.sum(axis=1)))
        return cls._sorted(of_block, parts, worth)

    @classmethod
    def _sorted(
        cls, of_block: np.ndarray, parts: list[np.ndarray], worth: list[np.ndarray | None]
    ) -> _Groups:
        n = np.array([len(part) for part in parts])
        weighted = [w for w in worth if w is not None]
        if not weighted:
            rising = np.concatenate([np.sort(part, axis=0) for part in parts])
            return cls(of_block, n, n.astype(float), rising, None)
        orders = [np.argsort(part, axis=0, kind="stable") for part in parts]
        both = list(zip(parts, weighted, orders, strict=True))
        return cls(
            of_block,
            n,
            np.array([weight.sum() for weight in weighted]),
            np.concatenate([np.take_along_axis(part, order, axis=0) for part, _, order in both]),
            np.concatenate([weight[order] for _, weight, order in both]),
        )

    @property
    def size(self) -> np.ndarray:
        """(T, 1) residuals in the group of each block."""
        return self.n[self.of_block][:, None]

    def ranks(self, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ranks (T, L) in each block's group, within 1 to n, and whether they exist.

        Upper levels: the first whose weight at or below reaches ``tau (W + 1)``. Lower ones: the
        last whose weight at or above reaches ``(1 - tau) (W + 1)``. With weights of 1 these are
        ``ceil(tau (n + 1))`` and ``floor(tau (n + 1))``.

        Parameters
        ----------
        levels : (T, L), or (1, L) for all blocks alike
        """
        if self.weights is None:
            exact = np.round(levels * (self.size + 1), 9)
            rank = np.where(levels >= 0.5, np.ceil(exact), np.floor(exact)).astype(int)
        else:
            rank = np.empty((len(self.of_block), levels.shape[1]), dtype=int)
            parts = np.split(self.weights, np.cumsum(self.n)[:-1])
            for k, (weights, total) in enumerate(zip(parts, self.weight, strict=True)):
                rows = self.of_block == k
                wanted = levels if len(levels) == 1 else levels[rows]
                rank[rows] = _weighted_ranks(wanted, weights, total) if len(weights) else 0
        return np.clip(rank, 1, self.size), (rank >= 1) & (rank <= self.size)

    def residual(self, rank: np.ndarray) -> np.ndarray:
        """(T, L) the residual of a rank (T, L) in each block's group; any where there is none."""
        first = (np.cumsum(self.n) - self.n)[self.of_block][:, None]
        place = np.clip(first + rank - 1, 0, len(self.residuals) - 1)
        return self.residuals[place, np.arange(rank.shape[1])]


def _weighted_ranks(levels: np.ndarray, weights: np.ndarray, total: float) -> np.ndarray:
    """(B, L) ranks of levels (B, L) among residuals of weights (n, L) in rising order."""
    up_to = np.cumsum(weights, axis=0)
    down_to = up_to[-1] - up_to + weights
    whole = total + 1  # with the day to come
    upper = (up_to[None] < (levels * whole - _ROUNDING)[:, None]).sum(axis=1) + 1
    lower = (down_to[None] >= ((1 - levels) * whole - _ROUNDING)[:, None]).sum(axis=1)
    return np.where(levels >= 0.5, upper, lower)


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
