"""Plans: of a day, of a sweep over risk aversions, and of a whole window with hindsight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bessvpp.optimizer.engine import ArrayProgramme
from bessvpp.optimizer.problem import Plan, Problem
from bessvpp.optimizer.statement import TwoStageProgramme
from bessvpp.optimizer.strict import relaxed_and_strict
from bessvpp.prices import PriceScenarios
from bessvpp.risk import RISK_NEUTRAL, Risk


def programme(
    problem: Problem, scenarios: PriceScenarios, is_risk_averse: bool = True
) -> ArrayProgramme | TwoStageProgramme:
    """The programme in the statement that ``problem.solver`` asks for."""
    if problem.solver == "engine":
        return ArrayProgramme(problem, scenarios, is_risk_averse)
    return TwoStageProgramme(problem, scenarios)


def plan_day(problem: Problem, scenarios: PriceScenarios, risk: Risk = RISK_NEUTRAL) -> Plan:
    """Commitment and recourse of one day."""
    return programme(problem, scenarios, risk.aversion > 0).solve(risk)


def sweep(
    problem: Problem, scenarios: PriceScenarios, lambdas: Sequence[float], alpha: float
) -> list[Plan]:
    """Plans of one day for several risk aversions, each as ``plan_day`` would give it.

    Without burning blocks planned CVaR never falls as the aversion rises. Directions that a
    plan has to give up can cost it up to its ``relaxation_gap_rs``.
    """
    day = programme(problem, scenarios, max(lambdas) > 0)
    plans = {aversion: day.solve(Risk(aversion, alpha)) for aversion in sorted(set(lambdas))}
    return [plans[aversion] for aversion in lambdas]


def ceiling(problem: Problem, scenarios: PriceScenarios) -> Plan:
    """Upper bound on any plan over a whole window with its prices known.

    One programme over all days, so that no chain of daily plans can beat it, and without
    the one-direction clause of the DAM schedule, so that no choice of directions can. The
    plan's ``relaxation_gap_rs`` says how much a plan that keeps the clause falls short.
    """
    window = programme(problem, scenarios, is_risk_averse=False)
    relaxed, strict = relaxed_and_strict(window, RISK_NEUTRAL)
    return replace(relaxed, relaxation_gap_rs=strict.relaxation_gap_rs)
