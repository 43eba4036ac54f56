"""V(e), the value of energy stored at midnight: concave, one function a unit, never booked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bessvpp import battery
from bessvpp.optimizer.dispatch import plan_day
from bessvpp.optimizer.problem import EnergyValue, Problem
from bessvpp.params.bess import ROUNDING_MWH, BessParams, UnitParams
from bessvpp.prices import PriceScenarios


def with_energy_value(problem: Problem, dam: np.ndarray) -> Problem:
    """The problem with V(e) under the ``value`` rule; as it is under the others.

    Parameters
    ----------
    dam : (T,) expected DAM prices of the day after, from what is known at the gate

    Examples
    --------
    >>> problem = bv.Problem.of_day(bv.load_params(), block_hours=1.0)
    >>> dear_evening = 4000 + 2000 * np.cos((np.arange(24) - 19) * np.pi / 12)
    >>> (value,) = bv.with_energy_value(problem, dear_evening).energy_values
    >>> bool(value(100) > value(60) > value(20))  # Rs, of 100, 60 and 20 MWh
    True
    """
    if problem.terminal != "value":
        return problem
    return replace(problem, energy_values=energy_values(problem, dam))


def energy_values(problem: Problem, dam: np.ndarray, n_points: int = 9) -> tuple[EnergyValue, ...]:
    """Value of stored energy at the end of a day, one concave function a unit.

    V(e) is what a unit alone earns in the DAM on a day of given prices when it starts with e
    and ends at its target: concave, as the value of a linear programme in its right side.
    Energies from which the target is out of reach are valued by the lowest line. Where that is all
    but one, the target at the top of the window and no block to charge in, it is taken lower by a
    part of the window, so that a sale has its worth. Days on which a unit has no power at all are
    passed over.

    Parameters
    ----------
    dam : (T,) expected DAM prices of the day after, from what is known at the gate
    """
    limit, values = problem.bess.import_limit_mw, []
    for unit in problem.bess.units:
        next_day = _next_day(problem, unit)
        available = None if next_day.available is None else next_day.available[0]
        lowest, highest = battery.energies_with_a_target(unit, dam.size, limit, available)
        if highest - lowest < ROUNDING_MWH:
            lowest = highest - (highest - unit.e_min_mwh) / n_points
            _, most = battery.reach_mwh(unit, lowest, dam.size, limit, available=available)
            unit = unit.model_copy(update={"e_target_mwh": min(lowest, most)})
        next_day = replace(next_day, bess=_alone(problem.bess, unit))
        energies = np.linspace(lowest, highest, n_points)
        worth = np.array([_day_worth(next_day, dam, e) for e in energies])
        slope = np.minimum.accumulate(np.diff(worth) / np.diff(energies))
        values.append(EnergyValue(slope, worth[:-1] - slope * energies[:-1]))
    return tuple(values)


def _alone(bess: BessParams, unit: UnitParams) -> BessParams:
    return bess.model_copy(update={"units": (unit,)})


def _next_day(problem: Problem, unit: UnitParams) -> Problem:
    """A unit alone on the first day after the problem's on which outages leave it any power."""
    alone = replace(problem, bess=_alone(problem.bess, unit))
    if alone.available is None and not unit.outages:
        return alone
    alone = alone.on(problem.dates[-1] + 1)
    while alone.available is not None and not alone.available.any():
        alone = alone.on(alone.dates[0] + 1)
    return alone


def _day_worth(problem: Problem, dam: np.ndarray, e_mwh: float) -> float:
    """Profit of one unit's day in the DAM alone from a starting energy, its steering paid [Rs]."""
    day = Problem(
        bess=problem.bess,
        costs=problem.costs.booked,
        block_hours=problem.block_hours,
        e_start_mwh=np.array([e_mwh]),
        commitment="financial",
        terminal="hard",
        rtm_allowed=False,
        solver=problem.solver,
        dates=problem.dates,
        name=f"{problem.called}, value of stored energy",
    )
    plan = plan_day(day, PriceScenarios.single(dam, dam))
    (unit,) = problem.bess.units
    steered = unit.steering_rs_per_mwh * plan.discharge_mw.sum()
    return plan.mean_rs - problem.block_hours * float(steered)
