r"""The two-stage stochastic programme: DAM commitments now, RTM recourse later.

Blocks :math:`t` of length :math:`h` hours, scenarios :math:`s` with weight :math:`w_s`,
units :math:`i`; powers in MW at the grid side, energies in MWh stored, money in Rs.

.. math::

    \max \sum_s w_s \bigl(\Pi_s + V(e_{Ts})\bigr) + \lambda\,\mathrm{CVaR}_\alpha(\Pi)

    \text{balance: } \sum_i (d_{its} - c_{its}) = x^+_t - x^-_t + r^+_{ts} - r^-_{ts}

    \text{energy: } e_{its} = e_{i,t-1,s} + h (\eta^c_i c_{its} - d_{its} / \eta^d_i)

    \text{profit: } \Pi_s = h \sum_t [p^{dam}_{ts} (x^+_t - x^-_t)
        + p^{rtm}_{ts} (r^+_{ts} - r^-_{ts}) - \text{fees, flow costs and wear}]
        - \text{daily charge}

    \text{tail: } u_s \ge \zeta - \Pi_s,\; u_s \ge 0,\quad
        \mathrm{CVaR} = \zeta - \tfrac{1}{\alpha} \sum_s w_s u_s

(Rockafellar and Uryasev, 2000). With a ``physical`` commitment the DAM schedule obeys the
same rules by itself (``schedule_*`` below), and each unit's strict path, in which a block
either charges or discharges, is checked after the solve; blocks in which the programme
burnt energy to make a false schedule look deliverable lose one direction, and the
programme is solved again.

A tie-break of at most ``problem.TIE_BREAK_RS_PER_MWH``, fixed by block and side, makes the plan
unique among equally good ones. It is part of the objective and never of a profit.
"""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass, field, replace

import numpy as np
import pulp

from bessvpp import battery
from bessvpp.errors import InfeasibleError
from bessvpp.optimizer.problem import (
    BURN_TOLERANCE_MW,
    OFF_SCHEDULE_TOLERANCE_MW,
    OFF_SCHEDULE_WEIGHT,
    PAST_TOLERANCE_MW,
    SIDES,
    UNDELIVERED_PENALTY_RS_PER_MWH,
    Past,
    Plan,
    PriceScenarios,
    Problem,
    model_file,
    no_optimum,
    on_day,
    schedule_violation_mwh,
    spread_out,
    tie_break,
    worst_burning,
)
from bessvpp.risk import cvar


@dataclass
class _Variables:
    """The programme's variables by name, as nested lists in index order."""

    sale: list[pulp.LpVariable]
    purchase: list[pulp.LpVariable]
    schedule_charge: list[list[pulp.LpVariable]] = field(default_factory=list)  # [i][t]
    schedule_discharge: list[list[pulp.LpVariable]] = field(default_factory=list)
    rtm_sale: list[list[pulp.LpVariable]] = field(default_factory=list)  # [s][t]
    rtm_purchase: list[list[pulp.LpVariable]] = field(default_factory=list)
    short: list[list[pulp.LpVariable]] = field(default_factory=list)
    excess: list[list[pulp.LpVariable]] = field(default_factory=list)
    charge: list[list[list[pulp.LpVariable]]] = field(default_factory=list)  # [s][i][t]
    discharge: list[list[list[pulp.LpVariable]]] = field(default_factory=list)
    energy: list[list[list[pulp.LpVariable]]] = field(default_factory=list)
    profit: list[pulp.LpVariable] = field(default_factory=list)  # [s]
    value: list[list[pulp.LpVariable]] = field(default_factory=list)  # [s][i]
    tail: list[pulp.LpVariable] = field(default_factory=list)  # u_s
    zeta: pulp.LpVariable | None = None


class _Statement:
    """A programme in the making: named constraints, and the path of a unit."""

    def __init__(self, problem: Problem, n_blocks: int, sense: int) -> None:
        self.problem, self.n_blocks = problem, n_blocks
        self.lp = pulp.LpProblem(type(self).__name__, sense)
        self.free_starts: list[list[pulp.LpVariable]] = [[] for _ in problem.bess.units]

    def unit_path(
        self, i: int, path: str
    ) -> tuple[list[pulp.LpVariable], list[pulp.LpVariable], list[pulp.LpVariable]]:
        """Charge, discharge and energy of a unit on one path, bounded and chained.

        The ``schedule`` path starts anew each day; any other is one chain over the horizon.
        """
        problem, unit = self.problem, self.problem.bess.units[i]
        h, per_day = problem.block_hours, problem.blocks_per_day
        n_days = self.n_blocks // per_day
        charge_max, discharge_max = (
            np.tile(limit, n_days) for limit in battery.power_limits(unit, per_day)
        )
        tag = f"{path}_{i}"
        blocks = range(self.n_blocks)
        charge = [_variable(f"c_{tag}_{t}", 0, charge_max[t]) for t in blocks]
        discharge = [_variable(f"d_{tag}_{t}", 0, discharge_max[t]) for t in blocks]
        energy = [_variable(f"e_{tag}_{t}", unit.e_min_mwh, unit.e_max_mwh) for t in blocks]
        daily = path == "schedule"
        for t in blocks:
            terms = {energy[t]: 1, charge[t]: -h * unit.eta_charge}
            terms[discharge[t]] = h / unit.eta_discharge
            start = 0.0
            if t == 0 or (daily and t % per_day == 0):
                if not daily:
                    start = problem.e_start_mwh[i]
                elif problem.schedule_start_mwh is not None:
                    start = on_day(problem.schedule_start_mwh, t // per_day)[i]
                else:
                    free = _variable(f"e_{tag}_start_{t}", unit.e_min_mwh, unit.e_max_mwh)
                    terms[free] = -1
                    self.free_starts[i].append(free)
            else:
                terms[energy[t - 1]] = -1
            self.add(f"energy_{tag}_{t}", terms, "==", start)
            one_way = {charge[t]: 1, discharge[t]: 1}
            self.add(f"one_way_{tag}_{t}", one_way, "<=", unit.p_max_mw)
        if daily and problem.schedule_end_mwh is not None:
            for day in range(n_days):
                end = on_day(problem.schedule_end_mwh, day)[i]
                if np.isfinite(end):
                    energy[(day + 1) * per_day - 1].bounds(end, end)
        if not daily and problem.e_end_min_mwh is not None:
            energy[-1].lowBound = problem.e_end_min_mwh[i]
        if unit.max_cycles_per_day is not None:
            limit = unit.max_cycles_per_day * unit.e_nameplate_mwh
            for day in range(n_days):
                block = range(day * per_day, (day + 1) * per_day)
                self.add(f"cycles_{tag}_{day}", {discharge[t]: h for t in block}, "<=", limit)
        return charge, discharge, energy

    def add(self, name: str, terms: dict, sense: str, right: float) -> None:
        expression = pulp.LpAffineExpression(terms)
        senses = {"==": pulp.LpConstraintEQ, "<=": pulp.LpConstraintLE, ">=": pulp.LpConstraintGE}
        self.lp.addConstraint(pulp.LpConstraint(expression, senses[sense], name, float(right)))


class TwoStageProgramme(_Statement):
    """The programme of the module's docstring, stated once; ``solve`` for each risk weight.

    Every solve starts with all directions open, so a plan depends on its own risk weight
    alone and not on those solved before.
    """

    def __init__(self, problem: Problem, scenarios: PriceScenarios) -> None:
        super().__init__(problem, scenarios.dam.shape[1], pulp.LpMaximize)
        self.scenarios = scenarios
        self.n_scenarios = len(scenarios.weights)
        self.barred: dict[str, tuple[pulp.LpVariable, float]] = {}  # with their own limits
        self._changed_bounds: list[pulp.LpVariable] = []
        self._state()

    # ------------------------------------------------------------------ the statement

    def _state(self) -> None:
        fixed = self.problem.fixed_dam_mw
        limit = self.problem.bess.connection_limit_mw
        blocks = range(self.n_blocks)
        if fixed is None:
            sale = [_variable(f"x_sale_{t}", 0, limit) for t in blocks]
            purchase = [_variable(f"x_purchase_{t}", 0, limit) for t in blocks]
        else:
            sale = [_variable(f"x_sale_{t}", max(fixed[t], 0), max(fixed[t], 0)) for t in blocks]
            bought = [max(-fixed[t], 0) for t in blocks]
            purchase = [_variable(f"x_purchase_{t}", bought[t], bought[t]) for t in blocks]
        self.v = _Variables(sale, purchase)
        if self.problem.is_physical:
            self._state_schedule()
        for s in range(self.n_scenarios):
            self._state_recourse(s)
            self._state_profit(s)
            self._state_terminal_value(s)
        self.v.zeta = _variable("zeta", None)
        for s, profit in enumerate(self.v.profit):
            self.v.tail.append(_variable(f"u_{s}", 0))
            self.add(f"tail_{s}", {self.v.tail[s]: 1, self.v.zeta: -1, profit: 1}, ">=", 0)

    def _state_schedule(self) -> None:
        """The DAM schedule is deliverable by itself: sum_i (d0 - c0) = x+ - x-."""
        v, problem = self.v, self.problem
        for i in range(len(problem.bess.units)):
            charge, discharge, _ = self.unit_path(i, "schedule")
            v.schedule_charge.append(charge)
            v.schedule_discharge.append(discharge)
        for t in range(self.n_blocks):
            terms = {v.sale[t]: -1, v.purchase[t]: 1}
            terms |= {d[t]: 1 for d in v.schedule_discharge}
            terms |= {c[t]: -1 for c in v.schedule_charge}
            self.add(f"schedule_balance_{t}", terms, "==", 0)

    def _state_recourse(self, s: int) -> None:
        """Physical flow and RTM trade of a scenario, and the balance that ties them."""
        v, problem = self.v, self.problem
        units = [self.unit_path(i, f"s{s}") for i in range(len(problem.bess.units))]
        v.charge.append([u[0] for u in units])
        v.discharge.append([u[1] for u in units])
        v.energy.append([u[2] for u in units])
        tradable = np.isfinite(self.scenarios.rtm[s]) & problem.rtm_allowed
        most = [(t, None if possible else 0) for t, possible in enumerate(tradable)]
        v.rtm_sale.append([_variable(f"r_sale_{s}_{t}", 0, high) for t, high in most])
        v.rtm_purchase.append([_variable(f"r_purchase_{s}_{t}", 0, high) for t, high in most])
        if problem.past is not None:
            self._keep_past(s, problem.past)
        if problem.fixed_dam_mw is not None:
            v.short.append([_variable(f"short_{s}_{t}", 0) for t in range(self.n_blocks)])
            v.excess.append([_variable(f"excess_{s}_{t}", 0) for t in range(self.n_blocks)])
        limit = problem.bess.connection_limit_mw
        for t in range(self.n_blocks):
            flow = {d[t]: 1 for d in v.discharge[s]} | {c[t]: -1 for c in v.charge[s]}
            trade = {
                v.sale[t]: -1,
                v.purchase[t]: 1,
                v.rtm_sale[s][t]: -1,
                v.rtm_purchase[s][t]: 1,
            }
            if problem.fixed_dam_mw is not None:
                trade |= {v.short[s][t]: 1, v.excess[s][t]: -1}
            self.add(f"balance_{s}_{t}", flow | trade, "==", 0)
            if sum(unit.p_max_mw for unit in problem.bess.units) > limit:
                self.add(f"export_{s}_{t}", flow, "<=", limit)
                self.add(f"import_{s}_{t}", flow, ">=", -limit)

    def _keep_past(self, s: int, past: Past) -> None:
        """Trades that were made, exactly; flows that were run, but for their rounding."""
        v = self.v
        for t, mw in enumerate(past.rtm_mw):
            v.rtm_sale[s][t].bounds(max(mw, 0), max(mw, 0))
            v.rtm_purchase[s][t].bounds(max(-mw, 0), max(-mw, 0))
        for flows, run in ((v.charge[s], past.charge_mw), (v.discharge[s], past.discharge_mw)):
            for unit, of_unit in zip(flows, run, strict=True):
                for variable, mw in zip(unit, of_unit, strict=False):  # the first m blocks
                    variable.bounds(max(mw - PAST_TOLERANCE_MW, 0), mw + PAST_TOLERANCE_MW)

    def _state_profit(self, s: int) -> None:
        """profit_s = h sum_t [revenues - fees - flow costs - wear] - daily charge."""
        v, costs, h = self.v, self.problem.costs, self.problem.block_hours
        dam, rtm = self.scenarios.dam[s], self.scenarios.rtm[s]
        price = np.where(np.isfinite(rtm), rtm, 0.0)
        flow_cost = battery.flow_cost_rs_per_mwh(costs, dam, rtm)
        rate = battery.undelivered_rate_rs_per_mwh(costs, dam, rtm)
        terms = {}
        for t in range(self.n_blocks):
            terms[v.sale[t]] = h * (dam[t] - costs.fee_dam_rs_per_mwh)
            terms[v.purchase[t]] = -h * (dam[t] + costs.fee_dam_rs_per_mwh)
            terms[v.rtm_sale[s][t]] = h * (price[t] - costs.fee_rtm_rs_per_mwh)
            terms[v.rtm_purchase[s][t]] = -h * (price[t] + costs.fee_rtm_rs_per_mwh)
            for i, unit in enumerate(self.problem.bess.units):
                wear = unit.wear_rs_per_mwh_discharged
                terms[v.charge[s][i][t]] = -h * flow_cost[t]
                terms[v.discharge[s][i][t]] = -h * (flow_cost[t] + wear)
            if v.short:
                terms[v.short[s][t]] = terms[v.excess[s][t]] = -h * rate[t]
        profit = _variable(f"profit_{s}", None)
        daily = costs.scheduling_rs_per_day * (self.n_blocks / self.problem.blocks_per_day)
        self.add(f"profit_{s}", {profit: 1} | {k: -c for k, c in terms.items()}, "==", -daily)
        v.profit.append(profit)

    def _state_terminal_value(self, s: int) -> None:
        """V(e) as the least of its lines; only under the ``value`` rule."""
        values = []
        if self.problem.terminal == "value":
            for i, line in enumerate(self.problem.energy_values):
                value = _variable(f"value_{s}_{i}", None)
                for k, (slope, intercept) in enumerate(
                    zip(line.slope_rs_per_mwh, line.intercept_rs, strict=True)
                ):
                    terms = {value: 1, self.v.energy[s][i][-1]: -slope}
                    self.add(f"value_{s}_{i}_{k}", terms, "<=", intercept)
                values.append(value)
        self.v.value.append(values)

    def _objective(self, risk_aversion: float, alpha: float) -> pulp.LpAffineExpression:
        v, h = self.v, self.problem.block_hours
        weights = self.scenarios.weights
        terms: dict[pulp.LpVariable, float] = {}
        units = range(len(self.problem.bess.units))
        ties = {side: h * tie_break(side, self.n_blocks) for side in SIDES[:4]}
        unit_ties = {
            side: [h * tie_break(side, self.n_blocks, i) for i in units]
            for side in ("charge", "discharge")
        }
        for t in range(self.n_blocks):
            terms[v.sale[t]] = -ties["dam_sale"][t]
            terms[v.purchase[t]] = -ties["dam_purchase"][t]
        penalty = h * self.problem.costs.off_dam_penalty_rs_per_mwh
        for s, w in enumerate(weights):
            terms[v.profit[s]] = w
            terms |= {value: w for value in v.value[s]}
            for t in range(self.n_blocks):
                terms[v.rtm_sale[s][t]] = -w * (ties["rtm_sale"][t] + penalty)
                terms[v.rtm_purchase[s][t]] = -w * (ties["rtm_purchase"][t] + penalty)
                for i, (charge, discharge) in enumerate(
                    zip(v.charge[s], v.discharge[s], strict=True)
                ):
                    terms[charge[t]] = -w * unit_ties["charge"][i][t]
                    terms[discharge[t]] = -w * unit_ties["discharge"][i][t]
                if v.short:
                    wall = -w * h * UNDELIVERED_PENALTY_RS_PER_MWH
                    terms[v.short[s][t]] = terms[v.excess[s][t]] = wall
        if risk_aversion > 0:
            terms[v.zeta] = risk_aversion
            terms |= {u: -risk_aversion * w / alpha for u, w in zip(v.tail, weights, strict=True)}
        return pulp.LpAffineExpression(terms)

    # ------------------------------------------------------------------ the solution

    def solve(self, risk_aversion: float = 0.0, alpha: float = 1.0) -> Plan:
        """Solve for one risk weight.

        Raises
        ------
        InfeasibleError
            where the solver proves no optimum; names the status.
        """
        self.bound = self.solve_relaxed(risk_aversion, alpha)
        while burning := self._burning_blocks():
            for charge, discharge in burning:
                self._bar(charge, discharge)
            self._solve_once(risk_aversion)
        plan = self._plan(risk_aversion, alpha)
        return replace(plan, relaxation_gap_rs=self.bound.objective_rs - plan.objective_rs)

    def solve_relaxed(self, risk_aversion: float = 0.0, alpha: float = 1.0) -> Plan:
        """Solve without the one-direction clause: an upper bound."""
        for variable, limit in self.barred.values():
            variable.upBound = limit
            self._changed_bounds.append(variable)
        self.barred.clear()
        self.lp.setObjective(self._objective(risk_aversion, alpha))
        self._solve_once(risk_aversion)
        return self._plan(risk_aversion, alpha)

    def _solve_once(self, risk_aversion: float) -> None:
        if self.problem.solver != "cbc" and self.lp.solverModel is not None:
            self._change_model(risk_aversion)
        else:
            run_solver(self.lp, self.problem, risk_aversion)
        self.schedule = None
        if self.problem.is_physical:
            self.schedule = DeliverySchedule(self.problem, self._dam_mw(), self.barred).solve()

    def _change_model(self, risk_aversion: float) -> None:
        """Change risk weights and bounds in the HiGHS model and go on from its last basis."""
        model = self.lp.solverModel
        for variable in (self.v.zeta, *self.v.tail):
            model.changeColCost(variable.index, -self.lp.objective.get(variable, 0.0))
        for variable in self._changed_bounds:
            model.changeColBounds(variable.index, variable.lowBound, variable.upBound)
        self._changed_bounds.clear()
        model.run()
        status, self.lp.sol_status = pulp.HiGHS(msg=False).findSolutionValues(self.lp)
        check_status(self.lp, self.problem, risk_aversion, status)

    def _burning_blocks(self) -> list[tuple[pulp.LpVariable, pulp.LpVariable]]:
        """Variables of a block that charge and discharge at once where they must not.

        In the DAM schedule that is where no way to deliver it keeps to its bounds otherwise.
        """
        v = self.v
        pairs = [
            (charge, discharge)
            for s in range(self.n_scenarios)
            for unit in zip(v.charge[s], v.discharge[s], strict=True)
            for charge, discharge in zip(*unit, strict=True)
            if min(charge.varValue, discharge.varValue) > BURN_TOLERANCE_MW
        ]
        if self.schedule is None:
            return pairs
        unit_mw = self.schedule.discharge_mw - self.schedule.charge_mw
        worst = worst_burning(
            schedule_violation_mwh(self.problem, unit_mw, self.schedule.starts_mwh()),
            self.schedule.charge_mw,
            self.schedule.discharge_mw,
        )
        found = zip(*worst, strict=True)
        return pairs + [(v.schedule_charge[i][t], v.schedule_discharge[i][t]) for i, t in found]

    def _bar(self, charge: pulp.LpVariable, discharge: pulp.LpVariable) -> None:
        """Take the lesser direction from a block; discharge where both are equal."""
        sells = self._flow(discharge) > self._flow(charge) + BURN_TOLERANCE_MW
        idle = charge if sells else discharge
        self.barred[idle.name] = idle, idle.upBound
        idle.upBound = idle.lowBound
        self._changed_bounds.append(idle)

    def _flow(self, variable: pulp.LpVariable) -> float:
        """Value of a flow; of a schedule's, the one that burns least."""
        flows = {} if self.schedule is None else self.schedule.flows
        return flows.get(variable.name, variable.varValue)

    def _dam_mw(self) -> np.ndarray:
        return _values(self.v.sale) - _values(self.v.purchase)

    def _plan(self, risk_aversion: float, alpha: float) -> Plan:
        v, weights = self.v, self.scenarios.weights
        profit = _values(v.profit)
        lp_cvar = None
        if risk_aversion > 0:
            lp_cvar = float(v.zeta.varValue - weights @ _values(v.tail) / alpha)
        undelivered = np.zeros((self.n_scenarios, self.n_blocks))
        if v.short:
            undelivered = _values(v.short) - _values(v.excess)
        unit_mw = None
        if self.schedule is not None:
            unit_mw = self.schedule.discharge_mw - self.schedule.charge_mw
        return Plan(
            dam_mw=self._dam_mw(),
            unit_dam_mw=unit_mw,
            rtm_mw=_values(v.rtm_sale) - _values(v.rtm_purchase),
            charge_mw=_values(v.charge),
            discharge_mw=_values(v.discharge),
            energy_mwh=_values(v.energy),
            weights=weights,
            undelivered_mw=undelivered,
            profit_rs=profit,
            mean_rs=float(weights @ profit),
            cvar_rs=cvar(profit, alpha, weights),
            objective_rs=pulp.value(self.lp.objective),
            lp_cvar_rs=lp_cvar,
            restricted_blocks=len(self.barred),
            relaxation_gap_rs=0.0,
        )


class DeliverySchedule(_Statement):
    """Who delivers a DAM schedule, burning least: U units, T blocks.

    A programme's own split over units and directions is one of many. This one is unique, by
    distinct weights on every flow, so that plans do not depend on the solver.
    """

    def __init__(self, problem: Problem, dam_mw: np.ndarray, barred: Container[str]) -> None:
        super().__init__(problem, dam_mw.size, pulp.LpMinimize)
        paths = [self.unit_path(i, "schedule") for i in range(len(problem.bess.units))]
        self.charge, self.discharge, _ = zip(*paths, strict=True)
        above, below = ([_variable(f"{way}_{t}", 0) for t in range(dam_mw.size)] for way in "ab")
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
        if _values(self.off_schedule).max() > OFF_SCHEDULE_TOLERANCE_MW:
            raise InfeasibleError(
                "the DAM schedule cannot be delivered: the solver's tolerance is too wide"
            )
        self.charge_mw, self.discharge_mw = (
            np.maximum(_values(list(flow)), 0) for flow in (self.charge, self.discharge)
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


class SteppedSchedule(_Statement):
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
        away = [_variable(f"away_{t}", 0) for t in blocks]
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
        return np.array([_values(discharge) - _values(charge) for charge, discharge in self.flows])


def run_solver(
    lp: pulp.LpProblem, problem: Problem, risk_aversion: float = 0.0, gap_abs: float | None = None
) -> None:
    """Solve a programme from scratch; ``InfeasibleError`` unless it ends optimal."""
    kind = pulp.PULP_CBC_CMD if problem.solver == "cbc" else pulp.HiGHS
    limit = problem.solver_time_limit_s
    status = lp.solve(kind(msg=False, threads=1, gapAbs=gap_abs, timeLimit=limit))
    check_status(lp, problem, risk_aversion, status)


def check_status(lp: pulp.LpProblem, problem: Problem, risk_aversion: float, status: int) -> None:
    """Raise ``InfeasibleError`` unless a solver proved an optimum; the model is kept."""
    if status != pulp.LpStatusOptimal or lp.sol_status != pulp.LpSolutionOptimal:
        path = model_file(problem, risk_aversion)
        lp.writeMPS(str(path), mpsSense=pulp.LpMinimize)  # what a reader of the file assumes
        told = pulp.LpStatus[status]
        if status == pulp.LpStatusOptimal:
            told = "Time limit reached, best known solution"
        raise InfeasibleError(no_optimum(problem, risk_aversion, told, lp.numVariables(), path))


def whole_steps(limit_mw: float, step_mw: float) -> int:
    """Whole bid steps within a limit."""
    return math.floor(limit_mw / step_mw + 1e-9)


def _variable(name: str, low: float | None, high: float | None = None) -> pulp.LpVariable:
    return pulp.LpVariable(name, low, high)


def _values(nested: list) -> np.ndarray:
    """Solution values of nested lists of variables, as an array of the same shape."""
    if not nested:
        return np.array([])
    if isinstance(nested[0], list):
        return np.array([_values(inner) for inner in nested])
    return np.array([variable.varValue for variable in nested])
