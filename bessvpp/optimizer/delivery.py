"""Who delivers a DAM schedule, burning least: a small programme with one answer.

A programme's own split over units and directions is one of many. This one is unique, by distinct
weights on every flow, so that plans depend neither on the solver nor on how they were stated.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bessvpp.errors import InfeasibleError
from bessvpp.optimizer.highs import Model
from bessvpp.optimizer.problem import SCHEDULE, Bar, Problem, on_day, spread_out
from bessvpp.optimizer.structure import (
    Coefficients,
    Columns,
    Paths,
    Rows,
    Shape,
    available_of,
    limit_ends,
    limit_energies,
    outside_of,
    set_starts,
    unit_paths,
)

OFF_SCHEDULE_WEIGHTS = 1e4, 1e8
"""The second where the first is too light: where a unit leaks a hundred-thousandth a block or so, a
little energy off the schedule can save much flow."""
OFF_SCHEDULE_TOLERANCE_MW = 1e-3


@dataclass(frozen=True)
class Delivered:
    """Who delivers a DAM schedule, burning least: U units, T blocks."""

    charge_mw: np.ndarray  # (U, T)
    discharge_mw: np.ndarray  # (U, T)
    starts_mwh: np.ndarray  # (days, U) energy with which each day's schedule starts

    @property
    def unit_mw(self) -> np.ndarray:
        """(U, T) net power."""
        return self.discharge_mw - self.charge_mw


def deliver(problem: Problem, dam_mw: np.ndarray, bars: Collection[Bar] = ()) -> Delivered:
    """Share a DAM schedule (T,) over units and directions.

    Raises
    ------
    InfeasibleError
        where it cannot be shared, or only by trading something else.
    """
    shape = _shape(problem, dam_mw.size)
    d = delivery(shape)
    low, high = d.column_low.copy(), d.column_high.copy()
    limit_energies(problem, d.paths.energy, low, high)
    limit_ends(problem, shape, d.paths, low, high)
    for bar in bars:
        if bar.path == SCHEDULE:
            high[getattr(d.paths, bar.direction)[bar.unit, bar.block]] = 0.0
    row_low, row_high = d.row_low.copy(), d.row_high.copy()
    set_starts(problem, shape, d.paths, row_low, row_high)
    row_low[d.balance_rows] = row_high[d.balance_rows] = dam_mw
    model = Model(problem, d.matrix, d.cost, (row_low, row_high), (low, high))
    model.run()
    if model.values[d.off_schedule].max() > OFF_SCHEDULE_TOLERANCE_MW:
        model.set_costs(d.off_schedule, np.full(d.off_schedule.size, OFF_SCHEDULE_WEIGHTS[1]))
        model.run()
    if model.values[d.off_schedule].max() > OFF_SCHEDULE_TOLERANCE_MW:
        raise InfeasibleError(
            f"{problem.called}: the DAM schedule cannot be delivered: the solver's tolerance is "
            "too wide"
        )
    charge, discharge = (
        np.maximum(model.values[columns], 0) for columns in (d.paths.charge, d.paths.discharge)
    )
    if problem.schedule_start_mwh is None:
        starts = model.values[d.paths.free_starts].T
    else:
        days = range(shape.n_days)
        starts = np.array([on_day(problem.schedule_start_mwh, day) for day in days])
    return Delivered(charge, discharge, starts)


def _shape(problem: Problem, n_blocks: int) -> Shape:
    """The shape of a problem's DAM schedule alone: no scenario and no price."""
    return Shape(
        bess=problem.bess,
        block_hours=problem.block_hours,
        n_blocks=n_blocks,
        n_scenarios=0,
        is_physical=True,
        is_recourse=False,
        free_start=problem.schedule_start_mwh is None,
        is_risk_averse=False,
        n_lines=(),
        available=available_of(problem),
        outside=outside_of(problem, n_blocks),
    )


@dataclass(frozen=True, kw_only=True)
class Delivery(Coefficients):
    """The small programme that shares a DAM schedule over units and directions."""

    paths: Paths
    off_schedule: np.ndarray  # columns: above and below the schedule
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
    cost[off_schedule] = OFF_SCHEDULE_WEIGHTS[0]
    for k, flow in enumerate([*paths.charge, *paths.discharge]):
        cost[flow] = 1 + spread_out(k, shape.n_blocks)
    row_low, row_high = rows.limits()
    column_low, column_high = columns.limits()
    return Delivery(
        paths=paths,
        off_schedule=off_schedule,
        balance_rows=balance_rows,
        cost=cost,
        matrix=rows.matrix(columns.n_columns),
        row_low=row_low,
        row_high=row_high,
        column_low=column_low,
        column_high=column_high,
    )
