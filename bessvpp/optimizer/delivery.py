"""Who delivers a DAM schedule, burning least: a small programme with one answer.

Stated twice, like the programme it serves: to be read, and as arrays.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pulp
from scipy import sparse

from bessvpp.errors import InfeasibleError
from bessvpp.optimizer.paths import Statement, new_column, run_solver, solution
from bessvpp.optimizer.problem import (
    OFF_SCHEDULE_TOLERANCE_MW,
    OFF_SCHEDULE_WEIGHT,
    Problem,
    on_day,
    spread_out,
)
from bessvpp.optimizer.structure import Coefficients, Columns, Paths, Rows, Shape, unit_paths


@dataclass(frozen=True)
class _Delivered:
    """Who delivers a DAM schedule, burning least: U units, T blocks."""

    charge_mw: np.ndarray  # (U, T)
    discharge_mw: np.ndarray  # (U, T)
    starts_mwh: np.ndarray  # (days, U)

    @property
    def unit_mw(self) -> np.ndarray:
        """(U, T) net power."""
        return self.discharge_mw - self.charge_mw


class DeliverySchedule(Statement):
    """Who delivers a DAM schedule, burning least: U units, T blocks.

    A programme's own split over units and directions is one of many. This one is unique, by
    distinct weights on every flow, so that plans do not depend on the solver.
    """

    def __init__(self, problem: Problem, dam_mw: np.ndarray, barred: Container[str]) -> None:
        super().__init__(problem, dam_mw.size, pulp.LpMinimize)
        paths = [self.unit_path(i, "schedule") for i in range(len(problem.bess.units))]
        self.charge, self.discharge, _ = zip(*paths, strict=True)
        above, below = ([new_column(f"{way}_{t}", 0) for t in range(dam_mw.size)] for way in "ab")
        objective = dict.fromkeys([*above, *below], OFF_SCHEDULE_WEIGHT)
        for t, mw in enumerate(dam_mw):
            terms = {above[t]: 1, below[t]: -1}
            terms |= {d[t]: 1 for d in self.discharge} | {c[t]: -1 for c in self.charge}
            self.add(f"schedule_balance_{t}", terms, "==", mw)
        flows = [*self.charge, *self.discharge]
        for k, flow in enumerate(flows):
            objective |= dict(zip(flow, 1 + spread_out(k, dam_mw.size), strict=True))
            for variable in flow:
                if variable.name in barred:
                    variable.upBound = 0
        self.off_schedule = [*above, *below]
        self.lp.setObjective(pulp.LpAffineExpression(objective))

    def solve(self) -> DeliverySchedule:
        """Solve; ``charge_mw`` and ``discharge_mw`` are (U, T) then."""
        run_solver(self.lp, self.problem)
        if solution(self.off_schedule).max() > OFF_SCHEDULE_TOLERANCE_MW:
            raise InfeasibleError(
                "the DAM schedule cannot be delivered: the solver's tolerance is too wide"
            )
        self.charge_mw, self.discharge_mw = (
            np.maximum(solution(list(flow)), 0) for flow in (self.charge, self.discharge)
        )
        self.flows = {
            variable.name: variable.varValue
            for unit in (*self.charge, *self.discharge)
            for variable in unit
        }
        return self

    def starts_mwh(self) -> np.ndarray:
        """(days, U) energy with which each day's schedule starts."""
        days = range(self.n_blocks // self.problem.blocks_per_day)
        if self.problem.schedule_start_mwh is not None:
            return np.array([on_day(self.problem.schedule_start_mwh, day) for day in days])
        return np.array([[starts[day].varValue for starts in self.free_starts] for day in days])


@dataclass(frozen=True, kw_only=True)
class Delivery(Coefficients):
    """The small programme that shares a DAM schedule over units and directions."""

    paths: Paths
    off_schedule: np.ndarray
    balance_rows: np.ndarray  # (T,)
    cost: np.ndarray


@lru_cache(maxsize=16)
def delivery(shape: Shape) -> Delivery:
    """Build the delivery programme of a shape."""
    columns, rows = Columns(), Rows()
    paths = unit_paths(shape, columns, rows, daily=True)
    above, below = (columns.add((shape.n_blocks,)) for _ in range(2))
    balance = [(above, 1.0), (below, -1.0), (paths.discharge.T, 1.0), (paths.charge.T, -1.0)]
    balance_rows = rows.add(shape.n_blocks, balance, 0.0, 0.0)
    cost = np.zeros(columns.n_columns)
    off_schedule = np.concatenate([above, below])
    cost[off_schedule] = OFF_SCHEDULE_WEIGHT
    for k, flow in enumerate([*paths.charge, *paths.discharge]):
        cost[flow] = 1 + spread_out(k, shape.n_blocks)
    row, column, value = rows.entries()
    matrix = sparse.csr_array((value, (row, column)), shape=(rows.n_rows, columns.n_columns))
    row_low, row_high = rows.limits()
    column_low, column_high = columns.limits()
    return Delivery(
        paths=paths,
        off_schedule=off_schedule,
        balance_rows=balance_rows,
        cost=cost,
        matrix=matrix,
        row_low=row_low,
        row_high=row_high,
        column_low=column_low,
        column_high=column_high,
    )
