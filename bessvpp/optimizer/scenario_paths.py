"""What each scenario's battery does against a given DAM schedule, at the programme's own rates.

S scenarios, T blocks, one unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bessvpp import ledger
from bessvpp.optimizer.energy_prices import energy_paths
from bessvpp.optimizer.problem import SIDES, Problem, steering_rs_per_mwh, tie_break
from bessvpp.prices import PriceScenarios

BELOW_TARGET_RS_PER_MWH = 1e6


class Rates(NamedTuple):
    """Of each side of ``SIDES``, (S, T): what a MW adds to a profit, and costs in the objective."""

    profit_rs: dict[str, np.ndarray]
    cost_rs: dict[str, np.ndarray]


def rates_of(problem: Problem, scenarios: PriceScenarios) -> Rates:
    """Rates of a problem with one unit; weighted in the objective, with steering and ties."""
    costs, h, dam, rtm = problem.costs, problem.block_hours, scenarios.dam, scenarios.rtm
    (unit,) = problem.bess.units
    flow = ledger.flow_cost_rs_per_mwh(costs, dam, rtm)
    profit = {
        "dam_sale": h * (dam - costs.fee_dam_rs_per_mwh),
        "dam_purchase": -h * (dam + costs.fee_dam_rs_per_mwh),
        "rtm_sale": h * (rtm - costs.fee_rtm_rs_per_mwh),
        "rtm_purchase": -h * (rtm + costs.fee_rtm_rs_per_mwh),
        "charge": -h * flow,
        "discharge": -h * (flow + unit.wear_rs_per_mwh_discharged),
    }
    hurdle, penalty = steering_rs_per_mwh(costs)
    steered = dict.fromkeys(SIDES[:2], hurdle) | dict.fromkeys(SIDES[2:4], penalty)
    steered |= {"charge": 0.0, "discharge": unit.steering_rs_per_mwh}
    weight = scenarios.weights[:, None]
    return Rates(
        profit,
        {
            side: weight * (h * (tie_break(side, dam.shape[1]) + steered[side]) - profit[side])
            for side in SIDES
        },
    )


@dataclass(frozen=True)
class StartPaths:
    """What the scenarios do against a DAM schedule: where every model starts from."""

    dam_mw: np.ndarray  # (T,)
    counts: np.ndarray  # (S,) what a rupee of profit counts, by probability
    price: np.ndarray  # (S, T, 4) of each part of a block's flow, see ``energy_paths``
    width: np.ndarray  # (T, 4)
    charge_mwh: np.ndarray  # (S, T) into store
    discharge_mwh: np.ndarray  # (S, T) out of it
    energy_mwh: np.ndarray  # (S, T)
    worth: np.ndarray  # (S, T) energy price


def paths_to(
    problem: Problem, rates: Rates, weights: np.ndarray, dam_mw: np.ndarray, tail: np.ndarray
) -> StartPaths:
    """Each scenario's best path against a schedule (T,), its profit weighed by ``tail`` (S,) more.

    What is paid for in the objective alone, a tie-break or V(e), counts by probability.
    """
    (unit,), h = problem.bess.units, problem.block_hours
    n_blocks = dam_mw.size
    each = {
        side: (rates.cost_rs[side] - rates.profit_rs[side] * tail[:, None]) / (h * weights[:, None])
        for side in SIDES
    }
    most_in, most_out = most_mwh(problem, n_blocks)
    charged = np.minimum(np.maximum(-dam_mw, 0) * h * unit.eta_charge, most_in)
    discharged = np.minimum(np.maximum(dam_mw, 0) * h / unit.eta_discharge, most_out)
    sale, purchase = -each["rtm_sale"], each["rtm_purchase"]
    price = np.stack(
        [
            (sale - each["discharge"]) * unit.eta_discharge,
            (purchase - each["discharge"]) * unit.eta_discharge,
            (sale + each["charge"]) / unit.eta_charge,
            (purchase + each["charge"]) / unit.eta_charge,
        ],
        axis=2,
    )
    width = np.stack([most_out - discharged, discharged, charged, most_in - charged], axis=1)
    slope, length = _end_value(problem)
    counts = 1 + tail / weights
    found = energy_paths(
        price,
        width,
        float(problem.e_start_mwh[0]),
        unit.e_min_mwh,
        unit.e_max_mwh,
        slope * counts[:, None]
        if problem.terminal == "hard"
        else np.tile(slope, (weights.size, 1)),
        length,
    )
    return StartPaths(dam_mw, counts, price, width, *found)


def most_mwh(problem: Problem, n_blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """(T,) most stored energy that a block's charge adds, and that its discharge takes."""
    (unit,), h = problem.bess.units, problem.block_hours
    charge, discharge = problem.power_limits(0, n_blocks)
    return charge * h * unit.eta_charge, discharge * h / unit.eta_discharge


def _end_value(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Slopes of energy at the end, falling, and the lengths over which they hold."""
    (unit,) = problem.bess.units
    low, high = unit.e_min_mwh, unit.e_max_mwh
    if problem.terminal == "hard":
        parts = [unit.e_target_mwh - low, high - unit.e_target_mwh]
        return np.array([BELOW_TARGET_RS_PER_MWH, 0.0]), np.array(parts)
    if problem.terminal == "free" or not problem.energy_values:
        return np.zeros(1), np.array([high - low])
    (value,) = problem.energy_values
    slope, at = np.unique(-value.slope_rs_per_mwh, return_index=True)
    slope, start = -slope, value.intercept_rs[at]
    turns = np.clip(np.diff(start) / -np.diff(slope), low, high)
    return slope, np.maximum(np.diff(np.concatenate([[low], turns, [high]])), 0.0)
