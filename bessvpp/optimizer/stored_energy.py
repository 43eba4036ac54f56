r"""What energy stored within a day is worth, by an exact backward recursion.

One unit, its DAM schedule :math:`x_t` given, an RTM price :math:`p_t` that counts as sure. With
the net power :math:`n = d - c` the trade is :math:`n - x_t`, and what a block earns is concave
and piecewise linear in the energy :math:`\delta` that it takes out of store: charging, the way
from there to the schedule or from the schedule to there, and discharging have a slope each. So

.. math:: V_t(e) = \max_\delta \; g_t(\delta) + V_{t+1}(e - \delta)

is the (max, +) convolution of two concave functions: their slopes, merged in falling order, cut
to the usable window (Bertsekas, Dynamic Programming and Optimal Control, ch. 6; a deterministic
special case of dual dynamic programming). No grid and no solver. The best move needs the slopes
alone: each of the block's three slopes is taken while it is worth more than what is stored.

All prices of a row, and all gates of a day, are carried along at once. Energies in MWh stored,
powers in MW at the grid side, money in Rs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bessvpp import battery
from bessvpp.optimizer.problem import (
    UNDELIVERED_PENALTY_RS_PER_MWH,
    EnergyValue,
    Problem,
    steering_rs_per_mwh,
    tie_break,
)
from bessvpp.params.bess import UnitParams

END_PENALTY_RS_PER_MWH = 10 * UNDELIVERED_PENALTY_RS_PER_MWH
"""Slope of V below a ``hard`` target: steeper than anything that a block can earn."""


@dataclass(frozen=True)
class UnitDay:
    """One unit against its share of a day's DAM schedule: T blocks.

    ``charge_cost`` and ``discharge_cost`` are per MWh at the grid side besides
    ``ledger.flow_cost_rs_per_mwh``, ``sale_cost`` and ``purchase_cost`` per MWh of RTM trade; all
    with the planning's penalties and tie-breaks. ``end`` is V at the end of the day.
    """

    schedule_mw: np.ndarray  # (T,) positive sells
    charge_max_mw: np.ndarray  # (T,)
    discharge_max_mw: np.ndarray  # (T,)
    charge_cost: np.ndarray  # (T,) Rs/MWh
    discharge_cost: np.ndarray  # (T,) Rs/MWh
    sale_cost: np.ndarray  # (T,) Rs/MWh
    purchase_cost: np.ndarray  # (T,) Rs/MWh
    eta_charge: float
    eta_discharge: float
    e_min_mwh: float
    e_max_mwh: float
    block_hours: float
    budget_mwh: float  # that may be discharged in the day, at the grid side
    lost_share: float  # of the energy above e_min_mwh, by self-discharge in a block
    unit: UnitParams  # whose power may taper with stored energy
    end: Worth

    @property
    def window_mwh(self) -> float:
        """Width of the usable window."""
        return self.e_max_mwh - self.e_min_mwh

    def kept_mwh(self, energy_mwh: np.ndarray) -> np.ndarray:
        """What self-discharge leaves of stored energies over a block, any shape."""
        return energy_mwh - self.lost_share * (energy_mwh - self.e_min_mwh)

    def after_mwh(self, energy_mwh: np.ndarray, taken_mwh: np.ndarray) -> np.ndarray:
        """Energy (S,) or (S, Z) after n blocks that take (S, n) or (S, n, Z) out of store."""
        if not self.lost_share:
            return energy_mwh - taken_mwh.sum(axis=1)
        for taken in taken_mwh.swapaxes(0, 1):
            energy_mwh = self.kept_mwh(energy_mwh) - taken
        return np.broadcast_to(energy_mwh, np.delete(taken_mwh.shape, 1))

    def floor_mwh(self, target_mwh: float) -> np.ndarray:
        """(T,) least energy after each block from which a target at the day's end is in reach."""
        charged = -self.taken_mwh(-self.charge_max_mw)
        floor = target_mwh - (charged[::-1].cumsum()[::-1] - charged)
        if self.lost_share or self.unit.charge_lines:
            floor[-1] = target_mwh
            for t in range(len(floor) - 1, 0, -1):
                tapered = -self.taken_mwh(-battery.limit_at_mw(self.unit.charge_lines, floor[t]))
                kept = floor[t] - min(charged[t], float(tapered))
                floor[t - 1] = battery.before_mwh(self.unit, kept, self.block_hours)
        return np.maximum(floor, self.e_min_mwh)

    def tapered_mwh(self, energy_mwh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Least and most that a block may take out of store by its taper, from energies before."""
        kept = self.kept_mwh(energy_mwh)
        charge, discharge = battery.tapered_mw(self.unit, kept, self.block_hours)
        return self.taken_mwh(-charge), self.taken_mwh(discharge)

    def taken_mwh(self, net_mw: np.ndarray | float) -> np.ndarray:
        """Energy that a net power takes out of store in a block, shape of the power."""
        out = np.maximum(net_mw, 0) / self.eta_discharge - np.maximum(-net_mw, 0) * self.eta_charge
        return self.block_hours * out

    def net_mw(self, taken_mwh: np.ndarray) -> np.ndarray:
        """Inverse of ``taken_mwh``."""
        out = np.maximum(taken_mwh, 0) * self.eta_discharge
        return (out - np.maximum(-taken_mwh, 0) / self.eta_charge) / self.block_hours

    def trade_mw(self, t: int, taken_mwh: np.ndarray) -> np.ndarray:
        """RTM trade of a block that takes an energy out of store, shape of the energy."""
        return np.round(self.net_mw(taken_mwh) - self.schedule_mw[t], 9)

    def piece_lengths(self, t: int) -> np.ndarray:
        """(3,) energy of a block's pieces: to schedule or standstill, between, to discharge."""
        charge, discharge = self.charge_max_mw[t], self.discharge_max_mw[t]
        x = float(np.clip(self.schedule_mw[t], -charge, discharge))
        return np.diff(self.taken_mwh(np.array([-charge, min(x, 0.0), max(x, 0.0), discharge])))

    def dearer_discharge(self, extra_rs_per_mwh: float) -> UnitDay:
        """The same with a price on discharge, such as that of a limit on cycles."""
        return replace(self, discharge_cost=self.discharge_cost + extra_rs_per_mwh)

    def without_budget(self) -> UnitDay:
        """The same with no limit on cycles."""
        return replace(self, budget_mwh=np.inf)


@dataclass(frozen=True)
class Worth:
    """A concave function of stored energy for each of N rows: slopes over consecutive lengths."""

    slopes: np.ndarray  # (N, M) Rs/MWh, falling along a row
    lengths: np.ndarray  # (N, M) MWh, from the lowest usable energy up; zeros allowed

    def energy_above(self, slopes: np.ndarray) -> np.ndarray:
        """(N, K) width of the window's part on which V is steeper than given slopes (N, K)."""
        steeper = self.slopes[:, None, :] > slopes[:, :, None]
        return np.where(steeper, self.lengths[:, None, :], 0.0).sum(axis=-1)

    def at(self, above_mwh: np.ndarray) -> np.ndarray:
        """(N, K) value of energies (K,) counted from the lowest usable one, where it is 0."""
        start = np.cumsum(self.lengths, axis=1) - self.lengths
        within = np.clip(above_mwh[:, None] - start[:, None, :], 0, self.lengths[:, None, :])
        return (within * self.slopes[:, None, :]).sum(axis=-1)


def unit_days(problem: Problem, unit_mw: np.ndarray) -> list[UnitDay]:
    """Each unit of a problem with its own share of a DAM schedule (U, T).

    Where the connection is smaller than all units together, each may use what it has scheduled
    of it and a share of what is left: always feasible, and less than a joint plan could do.
    """
    costs, n_blocks, bess = problem.costs, unit_mw.shape[1], problem.bess
    charge_limits, discharge_limits = (
        _connection_shares(unit_mw, np.array(powers), limit)
        for powers, limit in (
            ([unit.charge_max_mw for unit in bess.units], bess.import_limit_mw),
            ([unit.p_max_mw for unit in bess.units], bess.connection_limit_mw),
        )
    )
    steer = costs.fee_rtm_rs_per_mwh + steering_rs_per_mwh(costs)[1]
    days = []
    for i, (unit, schedule) in enumerate(zip(problem.bess.units, unit_mw, strict=True)):
        charge_max, discharge_max = problem.power_limits(i, n_blocks)
        wear = unit.wear_rs_per_mwh_discharged + unit.steering_rs_per_mwh
        budget = (unit.max_cycles_per_day or np.inf) * unit.e_nameplate_mwh
        days.append(
            UnitDay(
                schedule_mw=schedule,
                charge_max_mw=np.minimum(charge_limits[i], charge_max),
                discharge_max_mw=np.minimum(discharge_limits[i], discharge_max),
                charge_cost=tie_break("charge", n_blocks, i),
                discharge_cost=wear + tie_break("discharge", n_blocks, i),
                sale_cost=steer + tie_break("rtm_sale", n_blocks),
                purchase_cost=steer + tie_break("rtm_purchase", n_blocks),
                eta_charge=unit.eta_charge,
                eta_discharge=unit.eta_discharge,
                e_min_mwh=unit.e_min_mwh,
                e_max_mwh=unit.e_max_mwh,
                block_hours=problem.block_hours,
                budget_mwh=budget,
                lost_share=battery.lost_share(unit, problem.block_hours),
                unit=unit,
                end=_end(problem, i),
            )
        )
    return days


def _connection_shares(unit_mw: np.ndarray, p_max_mw: np.ndarray, limit_mw: float) -> np.ndarray:
    """(U, T) most power of each unit, at most (U,), such that all keep to the connection."""
    used = np.abs(unit_mw)
    beyond = used.sum(axis=0) > limit_mw * (1 + 1e-9)  # sold, where less may be bought
    used = np.where(beyond, used * limit_mw / np.maximum(used.sum(axis=0), limit_mw), used)
    spare = np.maximum(p_max_mw[:, None] - used, 0)
    left = np.maximum(limit_mw - used.sum(axis=0), 0)
    share = np.minimum(left / np.maximum(spare.sum(axis=0), 1e-9), 1.0)
    return used + share * spare


def _end(problem: Problem, i: int) -> Worth:
    """V at the end of the day: the problem's lines, a wall below the target, or nothing."""
    unit = problem.bess.units[i]
    knots = np.array([unit.e_min_mwh, unit.e_max_mwh])
    slopes = np.zeros(1)
    if problem.terminal == "hard":
        knots = np.array([unit.e_min_mwh, unit.e_target_mwh, unit.e_max_mwh])
        slopes = np.array([END_PENALTY_RS_PER_MWH, 0.0])
    elif problem.terminal == "value" and problem.energy_values:
        knots, slopes = _pieces(problem.energy_values[i], *knots)
    return Worth(slopes[None], np.diff(knots)[None])


def _pieces(value: EnergyValue, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Knots (M + 1,) and slopes (M,) of the least of some lines between two energies."""
    slope, intercept = value.slope_rs_per_mwh, value.intercept_rs
    steeper, flatter = np.triu_indices(len(slope), 1)
    apart = slope[steeper] - slope[flatter]
    crossing = (intercept[flatter] - intercept[steeper])[apart != 0] / apart[apart != 0]
    inner = crossing[(crossing > low) & (crossing < high)]
    knots = np.concatenate([[low], np.unique(inner), [high]])
    middle = (knots[1:] + knots[:-1]) / 2
    least = (intercept + slope * middle[:, None]).argmin(axis=1)
    return knots, slope[least]


# ---------------------------------------------------------------------- one block


def block_slopes(
    day: UnitDay, t: int, price: np.ndarray, flow_cost: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What a block earns for each MWh taken out of store, piece by piece.

    Parameters
    ----------
    price : (N,) RTM price [Rs/MWh]; NaN: no RTM trade, and what is not delivered is penalised
    flow_cost : (N,) of ``ledger.flow_cost_rs_per_mwh``

    Returns
    -------
    slopes (N, 3) [Rs/MWh] and lengths (3,) [MWh]: from full charge up to the schedule or to
    standstill, between these two, and on to full discharge.
    """
    closed = ~np.isfinite(price)
    p = np.where(closed, 0.0, price)
    sale = p - np.where(closed, UNDELIVERED_PENALTY_RS_PER_MWH, day.sale_cost[t])
    purchase = p + np.where(closed, UNDELIVERED_PENALTY_RS_PER_MWH, day.purchase_cost[t])
    charge = flow_cost + day.charge_cost[t]
    discharge = flow_cost + day.discharge_cost[t]
    between = purchase - discharge if day.schedule_mw[t] > 0 else sale + charge
    between = between * (day.eta_discharge if day.schedule_mw[t] > 0 else 1 / day.eta_charge)
    slopes = np.stack(
        [(purchase + charge) / day.eta_charge, between, (sale - discharge) * day.eta_discharge],
        axis=1,
    )
    # a price below a fee can turn the order, where burning energy would pay
    return np.minimum.accumulate(slopes, axis=1), day.piece_lengths(t)


def full_charge_rs(day: UnitDay, t: int, price: np.ndarray, flow_cost: np.ndarray) -> np.ndarray:
    """(N,) what a block earns in the RTM at full charge, from where its pieces are taken [Rs]."""
    trade = -day.charge_max_mw[t] - day.schedule_mw[t]
    cost = day.sale_cost[t] if trade > 0 else day.purchase_cost[t]
    closed = ~np.isfinite(price)
    traded = np.where(closed, 0.0, price) * trade
    traded = traded - np.where(closed, UNDELIVERED_PENALTY_RS_PER_MWH, cost) * abs(trade)
    return day.block_hours * (traded - (flow_cost + day.charge_cost[t]) * day.charge_max_mw[t])


def earlier(
    worth: Worth,
    slopes: np.ndarray,
    lengths: np.ndarray,
    charge_mwh: float,
    lost_share: float = 0.0,
) -> Worth:
    """V before a block from V after it: the slopes of both merged, and cut to the window.

    Self-discharge comes first: what is stored before counts for what it leaves of it.

    Parameters
    ----------
    slopes, lengths : (N, 3) and (3,) of the block
    charge_mwh : energy that its full charge puts into store
    """
    pieces = len(slopes), worth.slopes.shape[1]
    merged = np.concatenate([np.broadcast_to(worth.slopes, pieces), slopes], axis=1)
    widths = np.concatenate(
        [np.broadcast_to(worth.lengths, pieces), np.broadcast_to(lengths, slopes.shape)], axis=1
    )
    order = np.argsort(-merged, axis=1, kind="stable")
    edges = np.cumsum(np.take_along_axis(widths, order, axis=1), axis=1) - charge_mwh
    left = 1 - lost_share
    kept = np.diff(np.clip(edges, 0, left * worth.lengths[0].sum()), axis=1, prepend=0.0)
    used = (kept > 0).any(axis=0)
    merged = np.take_along_axis(merged, order, axis=1)
    return Worth(left * merged[:, used], kept[:, used] / left)


def pieces_taken(
    day: UnitDay, t: int, lengths: np.ndarray, energy_mwh: np.ndarray, goals_mwh: np.ndarray
) -> list[np.ndarray]:
    """What is taken of each piece of a block on the way from full charge [MWh].

    Parameters
    ----------
    lengths : (3,) of ``block_slopes``
    energy_mwh : (K,) or (N, K) before the block
    goals_mwh : (N, 3) energy down to which each piece is worth taking
    """
    left = day.kept_mwh(energy_mwh) - day.taken_mwh(-day.charge_max_mw[t])
    pieces = []
    for k, length in enumerate(lengths):
        piece = np.clip(left - goals_mwh[:, k, None], 0, length)
        left = left - piece
        pieces.append(piece)
    return tapered_pieces(day, t, lengths, energy_mwh, pieces) if day.unit.is_tapered else pieces


def tapered_pieces(
    day: UnitDay,
    t: int,
    lengths: np.ndarray,
    energy_mwh: np.ndarray,
    pieces: Sequence[np.ndarray],
) -> list[np.ndarray]:
    """The same pieces within what the taper allows: the best of it, since V is concave."""
    least, most = day.tapered_mwh(energy_mwh)
    full_charge = day.taken_mwh(-day.charge_max_mw[t])
    total = np.clip(sum(pieces), least - full_charge, most - full_charge)
    before = np.cumsum(lengths) - lengths
    return [
        np.clip(total - start, 0, length) for start, length in zip(before, lengths, strict=True)
    ]
