"""The one statement of the battery's physics: what a schedule needs, and what can be followed.

The optimiser, the backtest and every audit use these functions; nothing else in the package
knows what energy a schedule needs. What it costs is the ``ledger``'s. Powers are at the grid
side [MW], positive when they deliver to the grid; energies are stored [MWh].

Over a block of h hours self-discharge takes the share 1 - (1 - sigma)^h of the energy above
``e_min_mwh``, sigma being ``self_discharge_per_hour``; then the unit charges or discharges:

    e_t = kept(e_{t-1}) + h (eta_c c_t - d_t / eta_d)

Where a unit's power tapers, c_t and d_t stay below lines in the energy e_t that the block ends
with. That is exact: charge falls as the unit fills and discharge as it empties, so that a block
comes closest to its limit at its end.

What leaks from below ``e_min_mwh`` is made good at once and drawn with the auxiliary load, so that
an idle battery never falls out of its window. The auxiliary load is no flow: it is drawn through
the connection at all times, leaves less of it to charge with, and is paid for by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bessvpp.params.bess import ROUNDING_MWH, BessParams, ClockWindow, Line, UnitParams
from bessvpp.params.fields import MINUTES_PER_DAY

FEASIBILITY_TOLERANCE_MWH = 0.01


def allowed_blocks(windows: tuple[ClockWindow, ...], n_blocks: int) -> np.ndarray:
    """(T,) whether each block of a day lies wholly inside one of the windows."""
    if not windows:
        return np.ones(n_blocks, dtype=bool)
    minutes = MINUTES_PER_DAY // n_blocks
    start = np.arange(n_blocks) * minutes
    return np.any([(w.start <= start) & (start + minutes <= w.end) for w in windows], axis=0)


def power_limits(
    unit: UnitParams, n_blocks: int, available: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Greatest charge and discharge of a unit in each block of a day, (T,) each [MW].

    ``available``, (T,), is the share of its power that outages leave; None: all of it.
    """
    charge = unit.charge_max_mw * allowed_blocks(unit.charge_windows, n_blocks)
    discharge = unit.p_max_mw * allowed_blocks(unit.discharge_windows, n_blocks)
    if available is None:
        return charge, discharge
    return charge * available, discharge * available


def available_share(
    bess: BessParams, dates: Sequence[np.datetime64], blocks_per_day: int
) -> np.ndarray | None:
    """(U, T) share of power that outages leave in each block of some days; None where all is.

    A block that an outage touches has no more power than the outage leaves. Of several at once the
    one that leaves least counts.
    """
    minutes = MINUTES_PER_DAY // blocks_per_day
    within = np.arange(blocks_per_day) * np.timedelta64(minutes, "m")
    start = (np.array(dates, dtype="M8[m]")[:, None] + within).ravel()
    end = start + np.timedelta64(minutes, "m")
    share = np.ones((len(bess.units), start.size))
    for i, unit in enumerate(bess.units):
        for out in unit.outages:
            inside = (start < np.datetime64(out.end)) & (end > np.datetime64(out.start))
            share[i, inside] = np.minimum(share[i, inside], out.power_share)
    return None if (share == 1).all() else share


def lost_share(unit: UnitParams, block_hours: float) -> float:
    """Share of the energy above ``e_min_mwh`` that self-discharge takes in a block."""
    return float(1 - (1 - unit.self_discharge_per_hour) ** block_hours)


def kept_mwh(bess: BessParams, e_mwh: np.ndarray, block_hours: float) -> np.ndarray:
    """What a block's self-discharge leaves of stored energies, (..., U)."""
    lost = np.array([lost_share(unit, block_hours) for unit in bess.units])
    e_min = np.array([unit.e_min_mwh for unit in bess.units])
    return np.asarray(e_mwh - lost * (e_mwh - e_min))


def limit_at_mw(lines: tuple[Line, ...], e_mwh: np.ndarray | float) -> np.ndarray:
    """Most power of a block that ends with an energy, any shape: the least of its lines [MW]."""
    powers = [np.maximum(start + slope * np.asarray(e_mwh), 0) for start, slope in lines]
    return np.minimum.reduce([np.full(np.shape(e_mwh), np.inf), *powers])


def tapered_mw(
    unit: UnitParams, kept_mwh: np.ndarray | float, block_hours: float
) -> tuple[np.ndarray, np.ndarray]:
    """Most charge and discharge of a block by stored energy alone, shape of the energy [MW].

    Parameters
    ----------
    kept_mwh : energy before the block, less its self-discharge; the lines hold at its end, with
        e = kept + h eta_c c or kept - h d / eta_d
    """
    kept = np.asarray(kept_mwh, dtype=float)
    ends = block_hours * unit.eta_charge, -block_hours / unit.eta_discharge
    charge, discharge = (
        np.minimum.reduce(
            [
                np.full(kept.shape, np.inf),
                *((start + slope * kept) / (1 - slope * end) for start, slope in lines),
            ]
        )
        for lines, end in zip((unit.charge_lines, unit.discharge_lines), ends, strict=True)
    )
    return np.maximum(charge, 0), np.maximum(discharge, 0)


def reach_mwh(
    unit: UnitParams,
    e_start_mwh: float,
    n_blocks: int,
    import_limit_mw: float = np.inf,
    export_limit_mw: float = np.inf,
    available: np.ndarray | None = None,
) -> tuple[float, float]:
    """Least and most stored energy that a unit alone can end a day with [MWh].

    In whole blocks inside its windows, within its power, its cycles and the connection.
    ``available`` as for ``power_limits``.
    """
    h = 24 / n_blocks
    charge_max, discharge_max = power_limits(unit, n_blocks, available)
    charge = np.minimum(charge_max, import_limit_mw)
    discharge = np.minimum(discharge_max, export_limit_mw)
    left = (unit.max_cycles_per_day or np.inf) * unit.e_nameplate_mwh
    least = most = e_start_mwh
    lost = lost_share(unit, h)
    for taken, given in zip(charge, discharge, strict=True):
        most -= lost * (most - unit.e_min_mwh)
        taken = min(taken, tapered_mw(unit, most, h)[0])
        most = min(unit.e_max_mwh, most + h * unit.eta_charge * taken)
        least -= lost * (least - unit.e_min_mwh)
        given = min(given, tapered_mw(unit, least, h)[1], left / h)
        left -= h * given
        least = max(unit.e_min_mwh, least - h * given / unit.eta_discharge)
    return float(least), float(most)


def energies_with_a_target(
    unit: UnitParams,
    n_blocks: int,
    import_limit_mw: float = np.inf,
    available: np.ndarray | None = None,
) -> tuple[float, float]:
    """Lowest and highest stored energy from which a day can end at the target [MWh].

    The highest is that of the usable window: surplus energy may be kept, less what it loses. Both
    are, where even from there so much is lost after the last block to charge in that the target is
    out of reach. ``available`` as for ``power_limits``.
    """
    h, least = 24 / n_blocks, unit.e_target_mwh
    charge_max = np.minimum(power_limits(unit, n_blocks, available)[0], import_limit_mw)
    if not (unit.self_discharge_per_hour or unit.charge_lines):
        most = unit.eta_charge * charge_max.sum() * 24 / n_blocks
        return max(unit.e_min_mwh, least - most), unit.e_max_mwh
    for charge in charge_max[::-1]:
        charge = min(charge, float(limit_at_mw(unit.charge_lines, least)))
        least = before_mwh(unit, least - h * unit.eta_charge * charge, h)
        if least > unit.e_max_mwh:
            return unit.e_max_mwh, unit.e_max_mwh
    return least, unit.e_max_mwh


def before_mwh(unit: UnitParams, kept: float, block_hours: float) -> float:
    """Energy of which a block's self-discharge leaves this; ``e_min_mwh`` at least."""
    above = (kept - unit.e_min_mwh) / (1 - lost_share(unit, block_hours))
    return unit.e_min_mwh + max(above, 0.0)


def least_end_mwh(unit: UnitParams, step_mw: float, block_hours: float) -> float:
    """Least energy with which a schedule in whole bid steps keeps a unit's target [MWh].

    Whole steps seldom add up to an exact energy. They may end above the target, but where that
    lies within a step of the top of the window, they may have to end a step of charging below.
    """
    if unit.e_max_mwh - unit.e_target_mwh >= block_hours * step_mw / unit.eta_discharge:
        return unit.e_target_mwh
    return max(unit.e_target_mwh - block_hours * step_mw * unit.eta_charge, unit.e_min_mwh)


def energy_path(
    unit: UnitParams, net_mw: np.ndarray, e_start_mwh: float, block_hours: float
) -> np.ndarray:
    """Stored energy after each block if the unit runs exactly ``net_mw``, (T,) [MWh].

    The path knows no bounds: an audit looks where it leaves them. A block either charges
    or discharges, so no energy can be burnt.
    """
    stored = unit.eta_charge * np.maximum(-net_mw, 0) - np.maximum(net_mw, 0) / unit.eta_discharge
    if not unit.self_discharge_per_hour:
        return e_start_mwh + block_hours * np.cumsum(stored)
    path, lost = np.append(e_start_mwh, block_hours * stored), lost_share(unit, block_hours)
    for t in range(net_mw.size):
        path[t + 1] += path[t] - lost * (path[t] - unit.e_min_mwh)
    return path[1:]


def schedule_violations(
    bess: BessParams,
    unit_mw: np.ndarray,
    e_start_mwh: np.ndarray,
    block_hours: float,
    e_end_mwh: np.ndarray | None = None,
    available: np.ndarray | None = None,
    energy_limits: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """How far each unit's strict path breaks its rules, (U, T) [MWh]; 0 where it does not.

    Energy beyond the bounds, power beyond limits and tapers, and discharge beyond the cycle limit
    count, each as energy of the block; the plant's power beyond its connection counts for
    every unit. The last block also counts the distance from the energy that the schedule has
    to end with.

    Parameters
    ----------
    unit_mw : (U, T) net power of each unit over one day
    e_start_mwh : (U,) energy at midnight
    e_end_mwh : (U,) energy after the last block; None, or NaN for a unit, for no such rule
    available : (U, T) of ``available_share``
    energy_limits : (U, T) least and most energy after each block; None: the units' windows
    """
    net_mw = unit_mw.sum(axis=0)
    beyond = np.maximum(net_mw - bess.connection_limit_mw, -net_mw - bess.import_limit_mw)
    violation = np.tile(block_hours * np.maximum(beyond, 0), (len(bess.units), 1))
    for i, unit in enumerate(bess.units):
        net = unit_mw[i]
        left = None if available is None else available[i]
        charge_max, discharge_max = power_limits(unit, net.size, left)
        path = energy_path(unit, net, e_start_mwh[i], block_hours)
        low, high = unit.e_min_mwh, unit.e_max_mwh
        if energy_limits is not None:
            low, high = (limit[i] for limit in energy_limits)
        violation[i] = np.maximum.reduce(
            [
                low - path,
                path - high,
                block_hours * (net - discharge_max),
                block_hours * (-net - charge_max),
                violation[i],
                block_hours * (net - limit_at_mw(unit.discharge_lines, path)),
                block_hours * (-net - limit_at_mw(unit.charge_lines, path)),
            ]
        )
        if unit.max_cycles_per_day is not None:
            discharged = block_hours * np.cumsum(np.maximum(net, 0))
            limit = unit.max_cycles_per_day * unit.e_nameplate_mwh
            violation[i] = np.maximum(violation[i], discharged - limit)
        if e_end_mwh is not None and np.isfinite(e_end_mwh[i]):
            violation[i, -1] = max(violation[i, -1], abs(path[-1] - e_end_mwh[i]))
    return violation


def with_cycles_spent(bess: BessParams, discharged_mwh: np.ndarray) -> BessParams:
    """The fleet with what is left of each unit's cycles after a discharge (U,) at the grid side."""
    units = []
    for unit, spent in zip(bess.units, discharged_mwh, strict=True):
        if unit.max_cycles_per_day is not None:
            left = max(unit.max_cycles_per_day - spent / unit.e_nameplate_mwh, ROUNDING_MWH)
            unit = unit.model_copy(update={"max_cycles_per_day": left})
        units.append(unit)
    return bess.model_copy(update={"units": tuple(units)})


def start_energy(bess: BessParams) -> np.ndarray:
    """(U,) stored energy before the first day.

    Examples
    --------
    >>> bv.start_energy(bv.load_params().bess)
    array([100.])
    """
    return np.array([unit.e_start_mwh for unit in bess.units])


def share_on(bess: BessParams, date: np.datetime64, mw: np.ndarray) -> np.ndarray:
    """(U, T) a plant's power (T,) on a day shared over its units, by what outages leave of each."""
    return share_by_power(bess, mw, available_share(bess, [date], mw.size))


def share_by_power(
    bess: BessParams, mw: np.ndarray, available: np.ndarray | None = None
) -> np.ndarray:
    """(U, T) a plant's power (T,) shared over its units in proportion to their power.

    Sales by their power of discharge, purchases by that of charge; of what outages leave of it,
    ``available`` (U, T), where they leave any.
    """
    sold, bought = (
        _shares(power, available) * mw
        for power in (
            np.array([unit.p_max_mw for unit in bess.units]),
            np.array([unit.charge_max_mw for unit in bess.units]),
        )
    )
    shared: np.ndarray = np.where(mw >= 0, sold, bought)
    return shared


def _shares(power_mw: np.ndarray, available: np.ndarray | None) -> np.ndarray:
    """Shares of units of power (U,), as (U, 1) or (U, T)."""
    nominal = (power_mw / power_mw.sum())[:, None]
    if available is None:
        return np.asarray(nominal)
    left = power_mw[:, None] * available
    shares: np.ndarray = np.where(
        left.any(axis=0), left / np.maximum(left.sum(axis=0), 1e-9), nominal
    )
    return shares


def may_exceed_connection(bess: BessParams) -> bool:
    """Whether all units together could charge or discharge more than the connection lets them."""
    discharge = sum(unit.p_max_mw for unit in bess.units)
    charge = sum(unit.charge_max_mw for unit in bess.units)
    return discharge > bess.connection_limit_mw or charge > bess.import_limit_mw


@dataclass(frozen=True)
class Followed:
    """What a plant does that follows a schedule as far as it can: U units, T blocks."""

    charge_mw: np.ndarray  # (U, T)
    discharge_mw: np.ndarray  # (U, T)
    energy_mwh: np.ndarray  # (U, T) after each block
    undelivered_mw: np.ndarray  # (T,) schedule minus what was done


def follow(
    bess: BessParams,
    unit_mw: np.ndarray,
    e_start_mwh: np.ndarray,
    block_hours: float,
    available: np.ndarray | None = None,
    first_block: int = 0,
) -> Followed:
    """Follow a schedule block by block, as far as energy, power, cycles and connection allow.

    Parameters
    ----------
    unit_mw : (U, T) scheduled net power of each unit over one day
    e_start_mwh : (U,) stored energy at midnight, or at the start of ``first_block``
    available : (U, T) of ``available_share``
    first_block : what is scheduled before it is not run
    """
    units, n_blocks = bess.units, unit_mw.shape[1]
    limits = np.array([power_limits(unit, n_blocks) for unit in units])  # (U, 2, T)
    if available is not None:
        limits *= available[:, None]
    eta_charge = np.array([unit.eta_charge for unit in units])
    eta_discharge = np.array([unit.eta_discharge for unit in units])
    e_min = np.array([unit.e_min_mwh for unit in units])
    e_max = np.array([unit.e_max_mwh for unit in units])
    cycles_left_mwh = np.array(
        [(unit.max_cycles_per_day or np.inf) * unit.e_nameplate_mwh for unit in units]
    )
    charge, discharge, energy = (np.zeros(unit_mw.shape) for _ in range(3))
    stored, tapered = np.asarray(e_start_mwh, dtype=float), any(u.is_tapered for u in units)
    energy[:, :first_block] = stored[:, None]
    for t in range(first_block, n_blocks):
        stored = kept_mwh(bess, stored, block_hours)
        room = np.maximum(e_max - stored, 0) / (eta_charge * block_hours)
        left = np.maximum(stored - e_min, 0) * eta_discharge / block_hours
        left = np.minimum(left, cycles_left_mwh / block_hours)
        if tapered:
            ways = [tapered_mw(u, e, block_hours) for u, e in zip(units, stored, strict=True)]
            room, left = np.minimum((room, left), np.transpose(ways))
        wanted = unit_mw[:, t]
        taken = np.minimum(np.maximum(-wanted, 0), np.minimum(limits[:, 0, t], room))
        given = np.minimum(np.maximum(wanted, 0), np.minimum(limits[:, 1, t], left))
        net = given.sum() - taken.sum()
        beyond = abs(net) - (bess.connection_limit_mw if net > 0 else bess.import_limit_mw)
        if beyond > 0:
            larger = given if net > 0 else taken
            larger *= 1 - beyond / larger.sum()
        charge[:, t], discharge[:, t] = taken, given
        cycles_left_mwh = cycles_left_mwh - block_hours * given
        stored = stored + block_hours * (eta_charge * taken - given / eta_discharge)
        energy[:, t] = stored
    undelivered = (unit_mw - discharge + charge).sum(axis=0)
    undelivered[:first_block] = 0.0
    return Followed(charge, discharge, energy, undelivered)
