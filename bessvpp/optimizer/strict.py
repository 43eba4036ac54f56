"""No unit charges and discharges at once: which blocks must lose a direction.

A relaxed plan may burn energy to make a false schedule look feasible. The schedule's path is
integrated strictly; where it leaves its bounds, the worst burning blocks are barred.
"""

from __future__ import annotations

import numpy as np

from bessvpp import battery
from bessvpp.errors import InfeasibleError
from bessvpp.optimizer.problem import Problem, on_day

BURN_TOLERANCE_MW = 1e-5
WORST_SHARE = 0.5


def schedule_violation_mwh(problem: Problem, unit_mw: np.ndarray, starts_mwh: np.ndarray) -> float:
    """Greatest amount by which a unit's strict path breaks a rule of its DAM schedule.

    Parameters
    ----------
    unit_mw : (U, T) net power over one or more days
    starts_mwh : (days, U) energy with which each day's schedule starts
    """
    per_day, ends = problem.blocks_per_day, problem.schedule_end_mwh
    worst = 0.0
    for day, start in enumerate(starts_mwh):
        violation = battery.schedule_violations(
            problem.bess,
            unit_mw[:, day * per_day : (day + 1) * per_day],
            start,
            problem.block_hours,
            ends if ends is None else on_day(ends, day),
        )
        worst = max(worst, float(violation.max()))
    return worst


def worst_burning(
    violation_mwh: float, charge_mw: np.ndarray, discharge_mw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Units and blocks in which a DAM schedule burns most; none where its path is good.

    The worst first: what they force often mends the others.

    Raises
    ------
    InfeasibleError
        where the strict path breaks a rule although nothing is burnt.
    """
    burnt = np.minimum(charge_mw, discharge_mw)
    if violation_mwh <= battery.FEASIBILITY_TOLERANCE_MWH:
        return np.nonzero(np.zeros(burnt.shape))
    if burnt.max() <= BURN_TOLERANCE_MW:
        raise InfeasibleError(
            f"the DAM schedule leaves the battery's bounds by {violation_mwh:.4f} MWh without "
            "burning energy: the solver's tolerance is too wide"
        )
    return np.nonzero(burnt >= WORST_SHARE * burnt.max())
