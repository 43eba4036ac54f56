"""No unit charges and discharges at once: solve, judge, bar directions, solve again.

A relaxed plan may burn energy to make a false schedule look feasible. The schedule's path is
integrated strictly; where it leaves its bounds, the worst burning blocks lose a direction.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from bessvpp import battery
from bessvpp.errors import InfeasibleError
from bessvpp.optimizer.delivery import Delivered, deliver
from bessvpp.optimizer.problem import SCHEDULE, Bar, Plan, Problem, on_day
from bessvpp.risk import Risk

BURN_TOLERANCE_MW = 1e-5
WORST_SHARE = 0.5


class Programme(Protocol):
    """A two-stage programme, however stated, in which directions can be barred."""

    problem: Problem

    def optimum(self, risk: Risk, bars: frozenset[Bar] = frozenset()) -> Plan:
        """The best plan that takes no barred direction; who delivers it is left open.

        Raises
        ------
        InfeasibleError
            where the solver proves no optimum.
        """


def relaxed_and_strict(programme: Programme, risk: Risk) -> tuple[Plan, Plan]:
    """The plan without the one-direction clause, an upper bound, and the one that keeps it.

    All directions are open at first, so that a plan depends on its own risk alone and not on
    what the programme was solved for before.
    """
    bars: frozenset[Bar] = frozenset()
    relaxed, delivered = _solve(programme, risk, bars)
    plan = relaxed
    while burning := _burning(programme.problem, plan, delivered):
        bars |= burning
        plan, delivered = _solve(programme, risk, bars)
    gap_rs = relaxed.objective_rs - plan.objective_rs
    return relaxed, replace(plan, relaxation_gap_rs=gap_rs, restricted_blocks=len(bars))


def is_strict(problem: Problem, plan: Plan) -> bool:
    """Whether a plan keeps the one-direction clause, its DAM schedule by whoever delivers it."""
    delivered = deliver(problem, plan.dam_mw) if problem.is_physical else None
    return not _burning(problem, plan, delivered)


def _solve(programme: Programme, risk: Risk, bars: frozenset[Bar]) -> tuple[Plan, Delivered | None]:
    """The best plan that keeps to the bars, and who delivers its DAM schedule."""
    plan = programme.optimum(risk, bars)
    if not programme.problem.is_physical:
        return plan, None
    delivered = deliver(programme.problem, plan.dam_mw, bars)
    return replace(plan, unit_dam_mw=delivered.unit_mw), delivered


def _burning(problem: Problem, plan: Plan, delivered: Delivered | None) -> frozenset[Bar]:
    """Directions to bar where a unit charges and discharges at once and must not.

    In the DAM schedule that is where no way to deliver it keeps to its bounds otherwise.
    """
    found: set[Bar] = set()
    both = np.minimum(plan.charge_mw, plan.discharge_mw) > BURN_TOLERANCE_MW
    for s in np.nonzero(both.any(axis=(1, 2)))[0].tolist():
        found |= _lesser(s, both[s], plan.charge_mw[s], plan.discharge_mw[s])
    if delivered is not None:
        violation = schedule_violation_mwh(problem, delivered.unit_mw, delivered.starts_mwh)
        flows = delivered.charge_mw, delivered.discharge_mw
        worst = worst_burning(violation, *flows, problem.called)
        found |= _lesser(SCHEDULE, worst, delivered.charge_mw, delivered.discharge_mw)
    return frozenset(found)


def _lesser(
    path: int, chosen: np.ndarray, charge_mw: np.ndarray, discharge_mw: np.ndarray
) -> set[Bar]:
    """The lesser direction of each chosen block, (U, T); discharge where both are equal."""
    sells = discharge_mw > charge_mw + BURN_TOLERANCE_MW
    return {
        Bar(path, i, t, "charge" if sells[i, t] else "discharge")
        for i, t in np.argwhere(chosen).tolist()
    }


def schedule_violation_mwh(problem: Problem, unit_mw: np.ndarray, starts_mwh: np.ndarray) -> float:
    """Greatest amount by which a unit's strict path breaks a rule of its DAM schedule.

    Parameters
    ----------
    unit_mw : (U, T) net power over one or more days
    starts_mwh : (days, U) energy with which each day's schedule starts
    """
    per_day, ends = problem.blocks_per_day, problem.schedule_end_mwh
    available = problem.available
    worst = 0.0
    for day, start in enumerate(starts_mwh):
        blocks = slice(day * per_day, (day + 1) * per_day)
        violation = battery.schedule_violations(
            problem.bess,
            unit_mw[:, blocks],
            start,
            problem.block_hours,
            ends if ends is None else on_day(ends, day),
            available if available is None else available[:, blocks],
            problem.energy_limits,
        )
        worst = max(worst, float(violation.max()))
    return worst


def worst_burning(
    violation_mwh: float, charge_mw: np.ndarray, discharge_mw: np.ndarray, called: str
) -> np.ndarray:
    """(U, T) whether a DAM schedule burns most there; nowhere where its path is good.

    The worst first: what they force often mends the others.

    Raises
    ------
    InfeasibleError
        where the strict path breaks a rule although nothing is burnt.
    """
    burnt = np.minimum(charge_mw, discharge_mw)
    if violation_mwh <= battery.FEASIBILITY_TOLERANCE_MWH:
        return np.zeros(burnt.shape, dtype=bool)
    if burnt.max() <= BURN_TOLERANCE_MW:
        raise InfeasibleError(
            f"{called}: the DAM schedule leaves the battery's bounds by {violation_mwh:.4f} MWh "
            "without burning energy: the solver's tolerance is too wide"
        )
    most: np.ndarray = burnt >= WORST_SHARE * burnt.max()
    return most
