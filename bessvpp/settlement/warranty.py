r"""The price of a warranty's discharge, from what is known at a gate.

A warranty that allows :math:`B` MWh to be discharged in a year asks which spreads are worth
spending it on. That is a price :math:`\mu` on discharge, the multiplier of the budget. It is
carried from day to day by what the last :math:`N` whole days known would have spent: the least
price at which they keep the budget's share of a day,

.. math:: \mu_d = \min \{ \mu \ge 0 : \tfrac 1 N \sum_{k = d - N}^{d - 1} D_k(\mu) \le B / 365 \},

where :math:`D_k(\mu)` is what the unit alone discharges on day k, from its target to its target, at
DAM prices that are known and with :math:`\mu` beside its wear. D falls as the price rises
(Bertsekas, Nonlinear Programming, ch. 5), so that bisection finds it, to half a rupee.

The day's plan, V(e) and every recourse count the price; the ledger never does. What was discharged
before plays no part: the same price serves every policy, and a year that spends more than its
budget is told by the summary of a backtest, not corrected. A DAM schedule that is followed as
committed may spend far more: a plan counts what it expects to run, with parts of the schedule
bought back in the RTM.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bessvpp.optimizer.problem import Problem
from bessvpp.optimizer.stored_energy import unit_days
from bessvpp.params.bess import BessParams, UnitParams
from bessvpp.settlement.recourse import spending_price

DAYS_PER_YEAR = 365
DAYS_BEHIND = 28
"""N: four weeks, so that a price follows the season and not the day."""


def with_warranty_prices(problem: Problem, known_dam: np.ndarray) -> Problem:
    """The problem with the price of each unit's warranty; as it is where none is to be found.

    A unit's own ``warranty_price_rs_per_mwh`` stays.

    Parameters
    ----------
    known_dam : (D, T) DAM prices of the whole days known, the last of which count [Rs/MWh]
    """
    if not needs_prices(problem.bess):
        return problem
    prices = warranty_prices(problem, known_dam)
    return replace(problem, bess=problem.bess.with_warranty_prices(prices))


def warranty_prices(problem: Problem, known_dam: np.ndarray) -> list[float | None]:
    """Price of each unit's warranty [Rs/MWh]: its own, or the one found; None without a budget."""
    return [
        warranty_price(problem, unit, known_dam)
        if _needs_price(unit)
        else unit.warranty_price_rs_per_mwh
        for unit in problem.bess.units
    ]


def told_of_prices(given: BessParams, planned: BessParams) -> list[str]:
    """What is to be said of the prices that were found: a line a unit that has one."""
    return [
        f"{unit.name}: its warranty of {unit.warranty_mwh_per_year:,.0f} MWh a year counts Rs "
        f"{of_plan.warranty_price_rs_per_mwh:,.0f}/MWh discharged beside wear, in planning alone."
        for unit, of_plan in zip(given.units, planned.units, strict=True)
        if _needs_price(unit)
    ]


def needs_prices(bess: BessParams) -> bool:
    """Whether a unit has a warranty's budget and no price for it."""
    return any(_needs_price(unit) for unit in bess.units)


def _needs_price(unit: UnitParams) -> bool:
    return unit.warranty_mwh_per_year is not None and unit.warranty_price_rs_per_mwh is None


def warranty_price(problem: Problem, unit: UnitParams, known_dam: np.ndarray) -> float:
    """Price at which the last days known spend a day's share of a unit's budget [Rs/MWh].

    Its planned outages play no part.

    Parameters
    ----------
    known_dam : (D, T) DAM prices of the whole days known, D at least 1
    """
    unit = unit.model_copy(update={"outages": ()})
    costs, dam = problem.costs.booked, known_dam[-DAYS_BEHIND:]
    alone = Problem(
        bess=problem.bess.model_copy(update={"units": (unit,)}),
        costs=costs,
        block_hours=problem.block_hours,
        e_start_mwh=np.array([unit.e_target_mwh]),
        commitment="financial",
    )
    (day,) = unit_days(alone, np.zeros((1, dam.shape[1])))
    share_mwh = unit.warranty_mwh_per_year / DAYS_PER_YEAR
    return spending_price(day, costs, dam, dam, unit.e_target_mwh, share_mwh)
