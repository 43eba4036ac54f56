"""Plans: of a day, of a sweep over risk weights, and of a whole window with hindsight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bessvpp import battery
from bessvpp.optimizer.engine import ArrayProgramme
from bessvpp.optimizer.problem import EnergyValue, Plan, PriceScenarios, Problem
from bessvpp.optimizer.statement import SteppedSchedule, TwoStageProgramme
from bessvpp.params.load import BessParams


def programme(
    problem: Problem, scenarios: PriceScenarios, is_risk_averse: bool = True
) -> ArrayProgramme | TwoStageProgramme:
    """The programme in the statement that ``problem.solver`` asks for."""
    if problem.solver == "engine":
        return ArrayProgramme(problem, scenarios, is_risk_averse)
    return TwoStageProgramme(problem, scenarios)


def plan_day(
    problem: Problem, scenarios: PriceScenarios, risk_aversion: float, alpha: float
) -> Plan:
    """Commitment and recourse of one day for one risk weight."""
    return programme(problem, scenarios, risk_aversion > 0).solve(risk_aversion, alpha)


def sweep(
    problem: Problem, scenarios: PriceScenarios, lambdas: Sequence[float], alpha: float
) -> list[Plan]:
    """Plans of one day for several risk weights, each as ``plan_day`` would give it.

    Without burning blocks planned CVaR never falls as the weight rises. Directions that a
    plan has to give up can cost it up to its ``relaxation_gap_rs``.
    """
    day = programme(problem, scenarios, max(lambdas) > 0)
    plans = {weight: day.solve(weight, alpha) for weight in sorted(set(lambdas))}
    return [plans[weight] for weight in lambdas]


def ceiling(problem: Problem, scenarios: PriceScenarios) -> Plan:
    """Upper bound on any plan over a whole window with its prices known.

    One programme over all days, so that no chain of daily plans can beat it, and without
    the one-direction clause of the DAM schedule, so that no choice of directions can. The
    plan's ``relaxation_gap_rs`` says how much a plan that keeps the clause falls short.
    """
    window = programme(problem, scenarios, is_risk_averse=False)
    strict = window.solve()
    return replace(window.bound, relaxation_gap_rs=strict.relaxation_gap_rs)


def energy_values(problem: Problem, dam: np.ndarray, n_points: int = 9) -> tuple[EnergyValue, ...]:
    """Value of stored energy at the end of a day, one concave function a unit.

    V(e) is what a unit alone earns in the DAM on a day of given prices when it starts with e
    and ends at its target: concave, as the value of a linear programme in its right side.
    Energies from which the target is out of reach are valued by the lowest line.

    Parameters
    ----------
    dam : (T,) expected DAM prices of the day after, from what is known at the gate
    """
    values = []
    for unit in problem.bess.units:
        alone = problem.bess.model_copy(update={"units": (unit,)})
        energies = np.linspace(
            *battery.energies_with_a_target(unit, dam.size, alone.connection_limit_mw), n_points
        )
        worth = np.array([_day_worth(problem, alone, dam, e) for e in energies])
        slope = np.minimum.accumulate(np.diff(worth) / np.diff(energies))
        values.append(EnergyValue(slope, worth[:-1] - slope * energies[:-1]))
    return tuple(values)


def _day_worth(problem: Problem, bess: BessParams, dam: np.ndarray, e_mwh: float) -> float:
    """Profit of one day in the DAM alone from a starting energy [Rs]."""
    day = Problem(
        bess=bess,
        costs=problem.costs,
        block_hours=problem.block_hours,
        e_start_mwh=np.array([e_mwh]),
        commitment="financial",
        terminal="hard",
        rtm_allowed=False,
        solver=problem.solver,
    )
    return plan_day(day, PriceScenarios.single(dam, dam), 0.0, 1.0).mean_rs


def round_to_steps(problem: Problem, unit_dam_mw: np.ndarray, step_mw: float) -> np.ndarray:
    """A schedule in whole steps, still deliverable, as near as can be to the one given.

    Parameters
    ----------
    unit_dam_mw : (U, T) strict schedule of each unit from ``problem.schedule_start_mwh``
    step_mw : volume step of a bid

    Returns
    -------
    (U, T) schedule whose sum over units is a multiple of ``step_mw`` in every block.
    """
    return SteppedSchedule(problem, unit_dam_mw, step_mw).solve()
