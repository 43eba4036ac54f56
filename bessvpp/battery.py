"""The one statement of the battery's physics: what a schedule needs, and what can be followed.

The optimiser, the backtest and every audit use these functions; nothing else in the package
knows what energy a schedule needs. What it costs is the ``ledger``'s. Powers are at the grid
side [MW], positive when they deliver to the grid; energies are stored [MWh].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bessvpp.params.bess import ROUNDING_MWH, BessParams, ClockWindow, UnitParams
from bessvpp.params.fields import MINUTES_PER_DAY

FEASIBILITY_TOLERANCE_MWH = 0.01


def allowed_blocks(windows: tuple[ClockWindow, ...], n_blocks: int) -> np.ndarray:
    """(T,) whether each block of a day lies wholly inside one of the windows."""
    if not windows:
        return np.ones(n_blocks, dtype=bool)
    minutes = MINUTES_PER_DAY // n_blocks
    start = np.arange(n_blocks) * minutes
    return np.any([(w.start <= start) & (start + minutes <= w.end) for w in windows], axis=0)


def power_limits(unit: UnitParams, n_blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Greatest charge and discharge of a unit in each block of a day, (T,) each [MW]."""
    charge = unit.charge_max_mw * allowed_blocks(unit.charge_windows, n_blocks)
    discharge = unit.p_max_mw * allowed_blocks(unit.discharge_windows, n_blocks)
    return charge, discharge


def reach_mwh(
    unit: UnitParams, e_start_mwh: float, n_blocks: int, connection_limit_mw: float = np.inf
) -> tuple[float, float]:
    """Least and most stored energy that a unit alone can end a day with [MWh].

    In whole blocks inside its windows, within its power, its cycles and the connection.
    """
    charge, discharge = (
        float(np.minimum(most, connection_limit_mw).sum()) * 24 / n_blocks
        for most in power_limits(unit, n_blocks)
    )
    if unit.max_cycles_per_day is not None:
        discharge = min(discharge, unit.max_cycles_per_day * unit.e_nameplate_mwh)
    least = max(unit.e_min_mwh, e_start_mwh - discharge / unit.eta_discharge)
    return least, min(unit.e_max_mwh, e_start_mwh + unit.eta_charge * charge)


def energies_with_a_target(
    unit: UnitParams, n_blocks: int, connection_limit_mw: float = np.inf
) -> tuple[float, float]:
    """Lowest and highest stored energy from which a day can end at the target [MWh].

    The highest is that of the usable window: surplus energy may be kept.
    """
    charge_max, _ = power_limits(unit, n_blocks)
    charge_max = np.minimum(charge_max, connection_limit_mw)
    most = unit.eta_charge * charge_max.sum() * 24 / n_blocks
    return max(unit.e_min_mwh, unit.e_target_mwh - most), unit.e_max_mwh


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
    return e_start_mwh + block_hours * np.cumsum(stored)


def schedule_violations(
    bess: BessParams,
    unit_mw: np.ndarray,
    e_start_mwh: np.ndarray,
    block_hours: float,
    e_end_mwh: np.ndarray | None = None,
    energy_limits: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """How far each unit's strict path breaks its rules, (U, T) [MWh]; 0 where it does not.

    Energy beyond the bounds, power beyond the limits and discharge beyond the cycle limit
    count, each as energy of the block; the plant's power beyond its connection counts for
    every unit. The last block also counts the distance from the energy that the schedule has
    to end with.

    Parameters
    ----------
    unit_mw : (U, T) net power of each unit over one day
    e_start_mwh : (U,) energy at midnight
    e_end_mwh : (U,) energy after the last block; None, or NaN for a unit, for no such rule
    energy_limits : (U, T) least and most energy after each block; None: the units' windows
    """
    beyond = np.abs(unit_mw.sum(axis=0)) - bess.connection_limit_mw
    violation = np.tile(block_hours * np.maximum(beyond, 0), (len(bess.units), 1))
    for i, unit in enumerate(bess.units):
        net = unit_mw[i]
        charge_max, discharge_max = power_limits(unit, net.size)
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


def share_by_power(bess: BessParams, mw: np.ndarray) -> np.ndarray:
    """(U, T) a plant's power (T,) shared over its units in proportion to their power.

    Sales by their power of discharge, purchases by that of charge.
    """
    sold, bought = (
        np.outer(power / power.sum(), mw)
        for power in (
            np.array([unit.p_max_mw for unit in bess.units]),
            np.array([unit.charge_max_mw for unit in bess.units]),
        )
    )
    shared: np.ndarray = np.where(mw >= 0, sold, bought)
    return shared


def may_exceed_connection(bess: BessParams) -> bool:
    """Whether all units together could charge or discharge more than the connection lets them."""
    powers = ([unit.p_max_mw for unit in bess.units], [unit.charge_max_mw for unit in bess.units])
    return max(map(sum, powers)) > bess.connection_limit_mw


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
    first_block: int = 0,
) -> Followed:
    """Follow a schedule block by block, as far as energy, power, cycles and connection allow.

    Parameters
    ----------
    unit_mw : (U, T) scheduled net power of each unit over one day
    e_start_mwh : (U,) stored energy at midnight, or at the start of ``first_block``
    first_block : what is scheduled before it is not run
    """
    units, n_blocks = bess.units, unit_mw.shape[1]
    limits = np.array([power_limits(unit, n_blocks) for unit in units])  # (U, 2, T)
    eta_charge = np.array([unit.eta_charge for unit in units])
    eta_discharge = np.array([unit.eta_discharge for unit in units])
    e_min = np.array([unit.e_min_mwh for unit in units])
    e_max = np.array([unit.e_max_mwh for unit in units])
    cycles_left_mwh = np.array(
        [(unit.max_cycles_per_day or np.inf) * unit.e_nameplate_mwh for unit in units]
    )
    charge, discharge, energy = (np.zeros(unit_mw.shape) for _ in range(3))
    stored = np.asarray(e_start_mwh, dtype=float)
    energy[:, :first_block] = stored[:, None]
    for t in range(first_block, n_blocks):
        room = np.maximum(e_max - stored, 0) / (eta_charge * block_hours)
        left = np.maximum(stored - e_min, 0) * eta_discharge / block_hours
        left = np.minimum(left, cycles_left_mwh / block_hours)
        wanted = unit_mw[:, t]
        taken = np.minimum(np.maximum(-wanted, 0), np.minimum(limits[:, 0, t], room))
        given = np.minimum(np.maximum(wanted, 0), np.minimum(limits[:, 1, t], left))
        net = given.sum() - taken.sum()
        beyond = abs(net) - bess.connection_limit_mw
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
