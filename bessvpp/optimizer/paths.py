"""A unit's path of energy in PuLP, and the solver's call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pulp

from bessvpp import battery
from bessvpp.errors import InfeasibleError
from bessvpp.optimizer.infeasible import model_file, no_optimum
from bessvpp.optimizer.problem import SOLVER_TOLERANCE, Problem, on_day


class Statement:
    """A programme in the making: named constraints, and the path of a unit."""

    def __init__(self, problem: Problem, n_blocks: int, sense: int) -> None:
        self.problem, self.n_blocks = problem, n_blocks
        self.lp = pulp.LpProblem(type(self).__name__, sense)

    def unit_path(
        self, i: int, path: str
    ) -> tuple[list[pulp.LpVariable], list[pulp.LpVariable], list[pulp.LpVariable]]:
        """Charge, discharge and energy of a unit on one path, bounded and chained.

        The ``schedule`` path starts anew each day; any other is one chain over the horizon.
        """
        problem, unit = self.problem, self.problem.bess.units[i]
        h, per_day = problem.block_hours, problem.blocks_per_day
        lost = battery.lost_share(unit, h)
        n_days = self.n_blocks // per_day
        charge_max, discharge_max = problem.power_limits(i, self.n_blocks)
        tag = f"{path}_{i}"
        blocks = range(self.n_blocks)
        above, below = problem.outside(i, self.n_blocks)
        charge_max, discharge_max = charge_max * ~above, discharge_max * ~below
        charge = [new_column(f"c_{tag}_{t}", 0, charge_max[t]) for t in blocks]
        discharge = [new_column(f"d_{tag}_{t}", 0, discharge_max[t]) for t in blocks]
        energy = [new_column(f"e_{tag}_{t}", unit.e_min_mwh, unit.e_max_mwh) for t in blocks]
        for low, high, column in zip(*problem.unit_limits(i), energy, strict=False):
            column.bounds(low, high)
        daily = path == "schedule"
        for t in blocks:
            terms = {energy[t]: 1, charge[t]: -h * unit.eta_charge}
            terms[discharge[t]] = h / unit.eta_discharge
            start = lost * unit.e_min_mwh
            if t == 0 or (daily and t % per_day == 0):
                if not daily:
                    start = problem.kept_mwh(problem.e_start_mwh)[i]
                elif problem.schedule_start_mwh is not None:
                    given = on_day(problem.schedule_start_mwh, t // per_day)
                    start = problem.kept_mwh(given)[i]
                else:
                    free = new_column(f"e_{tag}_start_{t}", unit.e_min_mwh, unit.e_max_mwh)
                    terms[free] = lost - 1
            else:
                terms[energy[t - 1]] = lost - 1
            self.add(f"energy_{tag}_{t}", terms, "==", start)
            one_way = {charge[t]: unit.p_max_mw / unit.charge_max_mw, discharge[t]: 1}
            self.add(f"one_way_{tag}_{t}", one_way, "<=", unit.p_max_mw)
            for way, flow, lines, beyond in (
                ("c", charge, unit.charge_lines, above),
                ("d", discharge, unit.discharge_lines, below),
            ):
                for k, (most, slope) in enumerate(() if beyond[t] else lines):
                    terms = {flow[t]: 1, energy[t]: -slope}
                    self.add(f"taper_{way}_{tag}_{k}_{t}", terms, "<=", most)
        if daily and problem.schedule_end_mwh is not None:
            for day in range(n_days):
                end = on_day(problem.schedule_end_mwh, day)[i]
                if np.isfinite(end):
                    energy[(day + 1) * per_day - 1].bounds(end, end)
        if not daily and problem.e_end_min_mwh is not None:
            for t in problem.target_blocks(len(energy)):
                energy[t].lowBound = problem.e_end_min_mwh[i]
        if unit.max_cycles_per_day is not None:
            limit = unit.max_cycles_per_day * unit.e_nameplate_mwh
            for day in range(n_days):
                block = range(day * per_day, (day + 1) * per_day)
                self.add(f"cycles_{tag}_{day}", {discharge[t]: h for t in block}, "<=", limit)
        return charge, discharge, energy

    def add(
        self, name: str, terms: Mapping[pulp.LpVariable, float], sense: str, right: float
    ) -> None:
        """Add the constraint ``sum of terms (==, <= or >=) right`` by its name."""
        expression = pulp.LpAffineExpression(terms)
        senses = {"==": pulp.LpConstraintEQ, "<=": pulp.LpConstraintLE, ">=": pulp.LpConstraintGE}
        self.lp.addConstraint(pulp.LpConstraint(expression, senses[sense], name, float(right)))


def run_solver(lp: pulp.LpProblem, problem: Problem, risk_aversion: float = 0.0) -> None:
    """Solve a programme from scratch.

    Raises
    ------
    InfeasibleError
        unless the solver proves an optimum; names the day, the rule that leaves no plan, and the
        file with the model.
    """
    if is_optimal(lp, problem):
        return
    path = model_file(problem, risk_aversion)
    lp.writeMPS(str(path), mpsSense=pulp.LpMinimize)  # what a reader of the file assumes
    told = pulp.LpStatus[lp.status]
    if lp.status == pulp.LpStatusOptimal:
        told = "Time limit reached, best known solution"
    raise InfeasibleError(no_optimum(problem, risk_aversion, told, path))


def is_optimal(
    lp: pulp.LpProblem,
    problem: Problem,
    gap_abs: float | None = None,
    gap_rel: float | None = None,
) -> bool:
    """Solve a programme from scratch; whether the solver proves an optimum, to within a gap."""
    solver = pulp.PULP_CBC_CMD if problem.solver == "cbc" else pulp.HiGHS
    limit = problem.solver_time_limit_s
    told: dict[str, float | None] = {"gapAbs": gap_abs, "gapRel": gap_rel}  # either is enough
    if solver is pulp.HiGHS and not lp.isMIP():
        told |= {f"{kind}_feasibility_tolerance": SOLVER_TOLERANCE for kind in ("primal", "dual")}
    status = lp.solve(solver(msg=False, threads=1, timeLimit=limit, **told))
    return bool(status == pulp.LpStatusOptimal and lp.sol_status == pulp.LpSolutionOptimal)


def new_column(name: str, low: float | None, high: float | None = None) -> pulp.LpVariable:
    """A variable between bounds; None: without one."""
    return pulp.LpVariable(name, low, high)


def solution(nested: list[Any]) -> np.ndarray:
    """Solution values of nested lists of variables, as an array of the same shape."""
    if not nested:
        return np.array([])
    if isinstance(nested[0], list):
        return np.array([solution(inner) for inner in nested])
    return np.array([variable.varValue for variable in nested])
