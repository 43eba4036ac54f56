"""A desk's day that the rules of research refuse: energy outside the window, a target out of reach.

Both happen, by measurement, delay or another controller. Energy outside its window is taken no
further out and brought back as soon as power allows; a target that cannot be reached is moved to
where the units can come nearest to it. What was done is told. Research runs stay strict: they do
not call this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pulp

from bessvpp import battery
from bessvpp.battery import limit_at_mw
from bessvpp.optimizer.paths import Statement, new_column, run_solver, solution
from bessvpp.optimizer.problem import Problem
from bessvpp.params.bess import ROUNDING_MWH, UnitParams
from bessvpp.params.fields import block_clock

PATIENCE_DAYS = 14
"""How far ahead is looked for the time from which a target could be met."""


@dataclass(frozen=True)
class Start:
    """Where the rest of a day begins: U units."""

    energy_mwh: np.ndarray  # (U,) stored at the start of ``block``
    block: int = 0


def accommodated(
    problem: Problem, start: Start, step_mw: float = 0.0
) -> tuple[Problem, tuple[str, ...]]:
    """The problem with room for where it starts, and what there is to tell about it.

    Unchanged, to the digit, where energy is in its windows and the target in reach.

    Parameters
    ----------
    problem : of one day, with nothing of it done or with a ``past`` up to the start
    step_mw : powers that return energy to its window are whole steps, such as those of bids
    """
    found, notes = problem, []
    limits, told = window_limits(problem, start, step_mw)
    if told:
        found, notes = replace(found, energy_limits=limits), list(told)
    if problem.terminal == "hard":
        nearest = nearest_ends(found, start)
        missed = np.array([unit.e_target_mwh for unit in problem.bess.units]) - nearest
        if np.abs(missed).max() > ROUNDING_MWH:
            notes += _misses(problem, start, nearest)
            away = np.sign(missed) * (np.abs(missed) > ROUNDING_MWH)
            found = aiming_at(found, nearest - ROUNDING_MWH * away)
    return found, tuple(notes)


def aiming_at(problem: Problem, ends_mwh: np.ndarray) -> Problem:
    """The problem with other target energies (U,)."""
    units = tuple(
        unit.model_copy(update={"e_target_mwh": float(end)})
        for unit, end in zip(problem.bess.units, ends_mwh, strict=True)
    )
    moved = replace(problem, bess=problem.bess.model_copy(update={"units": units}))
    if problem.schedule_end_mwh is None:
        return moved
    return replace(moved, schedule_end_mwh=moved.e_end_min_mwh)


def at_rest(problem: Problem, start: Start) -> Problem:
    """The day from the energies that self-discharge, at rest, takes down to those of a start."""
    units, n_done = problem.bess.units, start.block
    lost = np.array([battery.lost_share(unit, problem.block_hours) for unit in units])
    kept = (1 - lost) ** n_done
    if (kept == 1).all():
        return replace(problem, e_start_mwh=start.energy_mwh)
    e_min = np.array([unit.e_min_mwh for unit in units])
    before = e_min + (start.energy_mwh - e_min) / kept
    limits, _ = window_limits(problem, Start(e_min))
    low, high = (of.copy() for of in problem.energy_limits or limits)
    low[:, :n_done] = np.minimum(low[:, :n_done], before[:, None])
    high[:, :n_done] = np.maximum(high[:, :n_done], before[:, None])
    return replace(problem, e_start_mwh=before, energy_limits=(low, high))


# ---------------------------------------------------------------------- the window


def window_limits(
    problem: Problem, start: Start, step_mw: float = 0.0
) -> tuple[tuple[np.ndarray, np.ndarray], list[str]]:
    """Least and most energy after each block, (U, T) each; sentences on units outside.

    Outside its window a unit is let no further out than it is, and at full power it comes back:
    what full power, in whole steps, has left of the distance bounds it. Several units on the same
    side have shares of the connection by their power.
    """
    units, n_blocks = problem.bess.units, problem.blocks_per_day
    low = np.array([np.full(n_blocks, unit.e_min_mwh) for unit in units])
    high = np.array([np.full(n_blocks, unit.e_max_mwh) for unit in units])
    notes = []
    for side in (-1, 1):
        outside = [
            i
            for i, unit in enumerate(units)
            if _beyond(unit, start.energy_mwh[i], side) > ROUNDING_MWH
        ]
        for i in outside:
            energy = float(start.energy_mwh[i])
            back = _way_back(problem, i, side, [units[k] for k in outside], start.block, step_mw)
            if side > 0:
                high[i] = np.maximum(high[i], energy - back)
            else:
                low[i] = np.minimum(low[i], energy + back)
            is_back = back >= _beyond(units[i], energy, side) - ROUNDING_MWH
            notes.append(_outside(units[i], energy, is_back, problem.blocks_per_day))
    return (low, high), notes


def _beyond(unit: UnitParams, energy_mwh: float, side: int) -> float:
    """How far energy lies above (side 1) or below (-1) the window."""
    return energy_mwh - unit.e_max_mwh if side > 0 else unit.e_min_mwh - energy_mwh


def _way_back(
    problem: Problem,
    i: int,
    side: int,
    outside: Sequence[UnitParams],
    first: int,
    step_mw: float,
) -> np.ndarray:
    """(T,) energy that a unit outside can have moved after each block, in whole steps."""
    unit, h = problem.bess.units[i], problem.block_hours
    charge, discharge = problem.power_limits(i, problem.blocks_per_day)
    most, powers = (charge, [one.charge_max_mw for one in outside])
    limit, edge = problem.bess.import_limit_mw, limit_at_mw(unit.charge_lines, unit.e_min_mwh)
    if side > 0:
        most, powers = (discharge, [one.p_max_mw for one in outside])
        limit, edge = (
            problem.bess.connection_limit_mw,
            limit_at_mw(unit.discharge_lines, unit.e_max_mwh),
        )
    own = unit.p_max_mw if side > 0 else unit.charge_max_mw
    most = np.minimum(np.minimum(most, edge), limit * own / sum(powers))
    if step_mw:
        most = np.floor(most / step_mw + ROUNDING_MWH) * step_mw
    moved = h * np.cumsum(np.where(np.arange(most.size) < first, 0.0, most))
    if side < 0:
        return unit.eta_charge * moved
    if unit.max_cycles_per_day is not None:
        moved = np.minimum(moved, unit.max_cycles_per_day * unit.e_nameplate_mwh)
    return moved / unit.eta_discharge


def _outside(unit: UnitParams, energy_mwh: float, is_back: np.ndarray, per_day: int) -> str:
    """What to tell of a unit outside its window."""
    when = "not within the day"
    if is_back.any():
        when = f"by {block_clock(int(np.argmax(is_back)) + 1, per_day)}"
    return (
        f"WARNING: {unit.name} holds {energy_mwh:g} MWh, outside its usable window of "
        f"{unit.e_min_mwh:g} to {unit.e_max_mwh:g} MWh: it is taken no further out, and at full "
        f"power it is back {when}."
    )


# ---------------------------------------------------------------------- the target


def nearest_ends(problem: Problem, start: Start) -> np.ndarray:
    """(U,) energies nearest to the targets that the units together can end the day with."""
    reach = Reach(problem, start)
    run_solver(reach.lp, reach.problem)
    return reach.ends_mwh()


class Reach(Statement):
    r"""The least distance to the targets: min :math:`\sum_i` short\ :sub:`i` + over\ :sub:`i`.

    Energy may end above a target, unless the schedule has to end exactly there.
    """

    def __init__(self, problem: Problem, start: Start) -> None:
        units = problem.bess.units
        free = replace(
            at_rest(problem, start),
            terminal="free",
            past=None,
            name=f"{problem.called}, reach of the target",
        )
        super().__init__(free, problem.blocks_per_day, pulp.LpMinimize)
        self.targets = [unit.e_target_mwh for unit in units]
        paths = [self.unit_path(i, "reach") for i in range(len(units))]
        self.ends = [energy[-1] for _, _, energy in paths]
        bess = problem.bess
        for t in range(self.n_blocks):
            flow: dict[pulp.LpVariable, float] = {}
            for charge, discharge, _ in paths:
                flow |= {discharge[t]: 1, charge[t]: -1}
                if t < start.block:
                    charge[t].upBound = discharge[t].upBound = 0
            self.add(f"export_{t}", flow, "<=", bess.connection_limit_mw)
            self.add(f"import_{t}", flow, ">=", -bess.import_limit_mw)
        is_exact = problem.schedule_end_mwh is not None and problem.fixed_dam_mw is None
        missed = []
        for i, (end, target) in enumerate(zip(self.ends, self.targets, strict=True)):
            short, over = new_column(f"short_{i}", 0), new_column(f"over_{i}", 0)
            self.add(f"miss_{i}", {end: 1, short: 1, over: -1}, "==", target)
            missed += [short, over] if is_exact else [short]
        self.is_exact = is_exact
        self.lp.setObjective(pulp.lpSum(missed))

    def ends_mwh(self) -> np.ndarray:
        """(U,) the nearest energies; the target itself where it can be kept."""
        ends = solution(self.ends)
        return ends if self.is_exact else np.minimum(ends, self.targets)


def _misses(problem: Problem, start: Start, nearest_mwh: np.ndarray) -> list[str]:
    """What to tell of targets out of reach, a sentence a unit."""
    when = _met_at(problem, start)
    told = []
    for unit, end, met in zip(problem.bess.units, nearest_mwh, when, strict=True):
        miss = end - unit.e_target_mwh
        if abs(miss) > ROUNDING_MWH:
            told.append(
                f"WARNING: {unit.name} cannot hold its target of {unit.e_target_mwh:g} MWh at "
                f"midnight: the plan comes as near as {end:.2f} MWh, {abs(miss):.2f} "
                f"{'below' if miss < 0 else 'above'}. It could be met {met}."
            )
    return told


def _met_at(problem: Problem, start: Start) -> list[str]:
    """From when on each unit could hold its target, all at full power towards it from the start.

    Units share the connection in their order.
    """
    units, n_blocks, h = problem.bess.units, problem.blocks_per_day, problem.block_hours
    energy = np.array(start.energy_mwh, dtype=float)
    met: list[str | None] = [None] * len(units)
    left = [_cycles_mwh(unit) for unit in units]
    for step in range(start.block, PATIENCE_DAYS * n_blocks):
        day, t = divmod(step, n_blocks)
        if t == 0:
            left = [_cycles_mwh(unit) for unit in units]
        if t == 0 or step == start.block:
            today = problem.on(*(date + day for date in problem.dates))
            limits = [today.power_limits(i, n_blocks) for i in range(len(units))]
        spare = {1: problem.bess.import_limit_mw, -1: problem.bess.connection_limit_mw}
        energy = problem.kept_mwh(energy)
        for i, unit in enumerate(units):
            missing = unit.e_target_mwh - energy[i]
            way = 1 if missing > 0 else -1
            side = 0 if way > 0 else 1
            tapered = battery.tapered_mw(unit, energy[i], h)[side]
            most = min(limits[i][side][t], float(tapered), spare[way])
            if way > 0:
                moved = min(h * most * unit.eta_charge, missing)
                spare[way] -= moved / unit.eta_charge / h
            else:
                given = min(h * most, left[i], -missing * unit.eta_discharge)
                left[i] -= given
                spare[way] -= given / h
                moved = -given / unit.eta_discharge
            energy[i] += moved
            if met[i] is None and abs(unit.e_target_mwh - energy[i]) < ROUNDING_MWH:
                later = f", {day} days later" if day > 1 else ", the day after" if day else ""
                met[i] = f"from {block_clock(t + 1, n_blocks)} on{later}"
    return [one or f"not within {PATIENCE_DAYS} days" for one in met]


def _cycles_mwh(unit: UnitParams) -> float:
    """What a day's cycles let a unit discharge, at the grid side."""
    if unit.max_cycles_per_day is None:
        return np.inf
    return unit.max_cycles_per_day * unit.e_nameplate_mwh
