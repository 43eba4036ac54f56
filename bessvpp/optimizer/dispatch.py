"""Plans: of a day, of a sweep over risk aversions, and of a whole window with hindsight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bessvpp.optimizer.condensed import CondensedProgramme, is_condensable
from bessvpp.optimizer.engine import ArrayProgramme
from bessvpp.optimizer.problem import Plan, Problem
from bessvpp.optimizer.statement import TwoStageProgramme
from bessvpp.prices import PriceScenarios
from bessvpp.risk import RISK_NEUTRAL, Risk


def programme(
    problem: Problem, scenarios: PriceScenarios, is_risk_averse: bool = True
) -> ArrayProgramme | CondensedProgramme | TwoStageProgramme:
    """The programme in the statement that ``problem.solver`` asks for.

    That of the engine is condensed where it can be.
    """
    if problem.solver == "engine" and is_condensable(problem, scenarios, is_risk_averse):
        return CondensedProgramme(problem, scenarios)
    return in_full(problem, scenarios, is_risk_averse)


def in_full(
    problem: Problem, scenarios: PriceScenarios, is_risk_averse: bool = True
) -> ArrayProgramme | TwoStageProgramme:
    """The same, never condensed."""
    if problem.solver == "engine":
        return ArrayProgramme(problem, scenarios, is_risk_averse)
    return TwoStageProgramme(problem, scenarios)


def plan_day(problem: Problem, scenarios: PriceScenarios, risk: Risk = RISK_NEUTRAL) -> Plan:
    """Commitment and recourse of one day.

    Examples
    --------
    >>> dam = 4000 + 2000 * np.cos((np.arange(24) - 19) * np.pi / 12)
    >>> rtm = np.stack([dam - 900, dam + 2500])  # mostly below the DAM, at times far above
    >>> fan = bv.PriceScenarios(np.stack([dam, dam]), rtm, weights=np.array([0.8, 0.2]))
    >>> problem = bv.Problem.of_day(bv.load_params(), e_start_mwh=[100], block_hours=1.0)
    >>> problem = bv.with_energy_value(problem, dam)
    >>> plan = bv.plan_day(problem, fan, bv.Risk(aversion=0.1, alpha=0.05))
    >>> round(plan.mean_rs / 1e5, 2), round(plan.cvar_rs / 1e5, 2)  # lakh Rs
    (7.25, 7.25)
    """
    return programme(problem, scenarios, risk.aversion > 0).solve(risk)


def sweep(
    problem: Problem,
    scenarios: PriceScenarios,
    lambdas: Sequence[float],
    alpha: float,
    starts_mwh: Sequence[np.ndarray] | None = None,
) -> list[Plan]:
    """Plans of one day for several risk aversions, each as ``plan_day`` would give it.

    Without burning blocks planned CVaR never falls as the aversion rises, if all start alike.
    Directions that a plan has to give up can cost it up to its ``relaxation_gap_rs``.

    Parameters
    ----------
    starts_mwh : (U,) energies that the plan of each risk aversion starts from; by default those
        of the problem for all

    Examples
    --------
    >>> dam = 4000 + 2000 * np.cos((np.arange(24) - 19) * np.pi / 12)
    >>> rtm = np.stack([dam - 900, dam + 2500])  # mostly below the DAM, at times far above
    >>> fan = bv.PriceScenarios(np.stack([dam, dam]), rtm, weights=np.array([0.8, 0.2]))
    >>> problem = bv.Problem.of_day(bv.load_params(), block_hours=1.0)
    >>> problem = bv.with_energy_value(problem, dam)
    >>> plans = bv.sweep(problem, fan, lambdas=[0.0, 1.0], alpha=0.05)
    >>> [(round(plan.mean_rs / 1e5, 2), round(plan.cvar_rs / 1e5, 2)) for plan in plans]
    [(7.29, 6.83), (7.25, 7.25)]
    """
    day = programme(problem, scenarios, max(lambdas) > 0)
    plans = {}
    for k in np.argsort(lambdas, kind="stable").tolist():
        if starts_mwh is not None:
            day.start_with(starts_mwh[k])
        plans[k] = day.solve(Risk(lambdas[k], alpha))
    return [plans[k] for k in range(len(lambdas))]


def sweep_limits(
    problem: Problem,
    scenarios: PriceScenarios,
    limits_mwh: Sequence[float],
    risk: Risk,
    starts_mwh: Sequence[np.ndarray],
) -> list[Plan]:
    """Plans of one day for several limits on unbacked DAM trade, each as ``plan_day`` gives it.

    They go from the widest limit to the narrowest, which takes less than half of their time alone.

    Parameters
    ----------
    limits_mwh : in place of the problem's ``unbacked_max_mwh``
    starts_mwh : (U,) energies that the plan under each limit starts from
    """
    day = in_full(replace(problem, unbacked_max_mwh=max(limits_mwh)), scenarios, risk.aversion > 0)
    plans = {}
    for k in np.argsort(limits_mwh, kind="stable")[::-1].tolist():
        day.limit_unbacked(limits_mwh[k])
        day.start_with(starts_mwh[k])
        plans[k] = day.solve(risk)
    return [plans[k] for k in range(len(limits_mwh))]


def ceiling(problem: Problem, scenarios: PriceScenarios) -> Plan:
    """Upper bound on any plan over a whole window with its prices known.

    One programme over all days, so that no chain of daily plans can beat it, and without
    the one-direction clause, so that no choice of directions can. ``exact.strict_gap`` says how
    much the best plan that keeps the clause falls short.
    """
    return programme(problem, scenarios, is_risk_averse=False).optimum(RISK_NEUTRAL)
