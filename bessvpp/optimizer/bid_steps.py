"""The nearest schedule in whole bid steps that the units can still deliver."""

from __future__ import annotations

import math

import numpy as np
import pulp

from bessvpp.optimizer.paths import Statement, new_column, run_solver, solution
from bessvpp.optimizer.problem import Problem


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


class SteppedSchedule(Statement):
    """The nearest schedule in whole bid steps that each unit can still deliver.

    Whole steps seldom sum to an exact energy, so the schedule may end above its target.
    """

    def __init__(self, problem: Problem, unit_mw: np.ndarray, step_mw: float) -> None:
        super().__init__(problem, unit_mw.shape[1], pulp.LpMinimize)
        self.step_mw, total = step_mw, unit_mw.sum(axis=0)
        blocks = range(self.n_blocks)
        steps = [
            pulp.LpVariable(f"n_{t}", *self._step_bounds(total[t]), cat=pulp.LpInteger)
            for t in blocks
        ]
        away = [new_column(f"away_{t}", 0) for t in blocks]
        balance = [{step: -step_mw} for step in steps]
        self.flows = []
        for i, unit in enumerate(problem.bess.units):
            charge, discharge, energy = self.unit_path(i, "schedule")
            energy[-1].upBound = unit.e_max_mwh
            for t in blocks:
                idle = discharge[t] if unit_mw[i, t] < 0 else charge[t]
                idle.upBound = 0
                balance[t] |= {discharge[t]: 1, charge[t]: -1}
            self.flows.append((charge, discharge))
        for t in blocks:
            self.add(f"schedule_balance_{t}", balance[t], "==", 0)
            self.add(f"away_up_{t}", {away[t]: 1, steps[t]: -step_mw}, ">=", -total[t])
            self.add(f"away_down_{t}", {away[t]: 1, steps[t]: step_mw}, ">=", total[t])
        self.lp.setObjective(pulp.lpSum(away))

    def _step_bounds(self, mw: float) -> tuple[int, int]:
        """Steps within two of a power, on its own side of zero and within the connection."""
        steps = mw / self.step_mw
        most = whole_steps(self.problem.bess.connection_limit_mw, self.step_mw)
        low, high = math.floor(steps) - 2, math.ceil(steps) + 2
        return (max(low, 0), min(high, most)) if mw >= 0 else (max(low, -most), min(high, 0))

    def solve(self) -> np.ndarray:
        """(U, T) net power of each unit."""
        run_solver(self.lp, self.problem, gap_abs=0.5 * self.step_mw)
        return np.array(
            [solution(discharge) - solution(charge) for charge, discharge in self.flows]
        )


def whole_steps(limit_mw: float, step_mw: float) -> int:
    """Whole bid steps within a limit."""
    return math.floor(limit_mw / step_mw + 1e-9)
