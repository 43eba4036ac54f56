"""The nearest schedule in whole bid steps that the units can still deliver."""

from __future__ import annotations

import math

import numpy as np
import pulp

from bessvpp import battery
from bessvpp.errors import InfeasibleError
from bessvpp.optimizer.infeasible import broken_rules
from bessvpp.optimizer.paths import Statement, is_optimal, new_column, solution
from bessvpp.optimizer.problem import Problem

NEAR_STEPS = 2
"""A block's bid lies as many steps from its schedule, or fewer."""
NEAR_SHARE = 0.05
"""What a schedule may be further away than the nearest there is, as a share of that."""
SHORT_STEPS = 20
"""Steps that the schedule moves sooner than end a further step of charging below its target."""


def round_to_steps(problem: Problem, unit_dam_mw: np.ndarray, step_mw: float) -> np.ndarray:
    """A schedule in whole steps, still deliverable, and about the nearest there is.

    In all it is away from the schedule given by at most a step, or a twentieth, more than the
    nearest: which of very many blocks best move by a step may take for ever to prove.
    It ends at its target or above. A unit whose target lies at the top of its window, where no
    whole steps may lead, ends at most one step of charging below.

    Parameters
    ----------
    unit_dam_mw : (U, T) strict schedule of each unit from ``problem.schedule_start_mwh``
    step_mw : volume step of a bid

    Returns
    -------
    (U, T) schedule whose sum over units is a multiple of ``step_mw`` in every block.

    Raises
    ------
    InfeasibleError
        where not even an empty schedule keeps the battery's rules.
    """
    found = SteppedSchedule(problem, unit_dam_mw, step_mw).solve()
    if found is None:
        found = SteppedSchedule(problem, unit_dam_mw, step_mw, is_loose=True).solve()
    if found is None:
        told = " ".join(broken_rules(problem))
        raise InfeasibleError(
            f"{problem.called}: no bids in steps of {step_mw:g} MW keep the battery's rules. {told}"
        )
    return found


class SteppedSchedule(Statement):
    """The nearest schedule in whole bid steps that each unit can still deliver.

    Whole steps seldom sum to an exact energy, so the schedule may end above its target. Where it
    ``is_loose``, as where power limits lie between steps, it may end below too, at a price, and
    move any number of steps on its own side of zero: no trade is then always a schedule.
    """

    def __init__(
        self, problem: Problem, unit_mw: np.ndarray, step_mw: float, is_loose: bool = False
    ) -> None:
        super().__init__(problem, unit_mw.shape[1], pulp.LpMinimize)
        self.step_mw, self.is_loose, total = step_mw, is_loose, unit_mw.sum(axis=0)
        blocks = range(self.n_blocks)
        steps = [
            pulp.LpVariable(f"n_{t}", *self._step_bounds(total[t]), cat=pulp.LpInteger)
            for t in blocks
        ]
        away = [new_column(f"away_{t}", 0) for t in blocks]
        balance = [{step: -step_mw} for step in steps]
        self.flows, missed = [], []
        for i in range(len(problem.bess.units)):
            charge, discharge, energy = self.unit_path(i, "schedule")
            missed += self._end(i, energy[-1])
            for t in blocks:
                idle = discharge[t] if unit_mw[i, t] < 0 else charge[t]
                idle.upBound = 0
                balance[t] |= {discharge[t]: 1, charge[t]: -1}
            self.flows.append((charge, discharge))
        for t in blocks:
            self.add(f"schedule_balance_{t}", balance[t], "==", 0)
            self.add(f"away_up_{t}", {away[t]: 1, steps[t]: -step_mw}, ">=", -total[t])
            self.add(f"away_down_{t}", {away[t]: 1, steps[t]: step_mw}, ">=", total[t])
            # between two steps no nearer than on the line between them: without it no bound is
            # proved where many blocks lie between steps
            below = math.floor(total[t] / step_mw)
            rest = total[t] - below * step_mw
            slope = step_mw - 2 * rest
            terms = {away[t]: 1, steps[t]: -slope}
            self.add(f"away_between_{t}", terms, ">=", rest - slope * below)
        self.lp.setObjective(pulp.lpSum(away + missed))

    def _end(self, i: int, end: pulp.LpVariable) -> list[pulp.LpAffineExpression]:
        """Let a unit end above its target, and below where it must; what that costs."""
        unit, target, h = self.problem.bess.units[i], end.lowBound, self.problem.block_hours
        low, high = self.problem.end_limits(i)
        end.upBound = high
        aim = unit.model_copy(update={"e_target_mwh": target})
        least = battery.least_end_mwh(aim, self.step_mw, h)
        if not self.is_loose:
            end.lowBound = least
            return []
        end.lowBound = low
        short = new_column(f"short_{i}", 0)
        self.add(f"short_{i}", {short: h * self.step_mw * unit.eta_charge, end: 1}, ">=", least)
        return [SHORT_STEPS * self.step_mw * short]

    def _step_bounds(self, mw: float) -> tuple[int, int]:
        """Steps within reach of a power, on its own side of zero and within the connection."""
        steps = mw / self.step_mw
        bess, step = self.problem.bess, self.step_mw
        most, least = (
            whole_steps(limit, step) for limit in (bess.connection_limit_mw, bess.import_limit_mw)
        )
        reach = 2 * most if self.is_loose else NEAR_STEPS
        low, high = math.floor(steps) - reach, math.ceil(steps) + reach
        return (max(low, 0), min(high, most)) if mw >= 0 else (max(low, -least), min(high, 0))

    def solve(self) -> np.ndarray | None:
        """(U, T) net power of each unit; None where no whole steps keep the rules."""
        if not is_optimal(self.lp, self.problem, self.step_mw, NEAR_SHARE):
            return None
        return np.array(
            [solution(discharge) - solution(charge) for charge, discharge in self.flows]
        )


def whole_steps(limit_mw: float, step_mw: float) -> int:
    """Whole bid steps within a limit."""
    return math.floor(limit_mw / step_mw + 1e-9)
