"""Plans: of a day, of a sweep over risk weights, and of a whole window with hindsight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bessvpp.optimizer.engine import ArrayProgramme
from bessvpp.optimizer.problem import Plan, Problem
from bessvpp.optimizer.statement import TwoStageProgramme
from bessvpp.prices import PriceScenarios


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
