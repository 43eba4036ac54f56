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

A tie-break of at most ``TIE_BREAK_RS_PER_MWH``, fixed by block and side, makes the plan
unique among equally good ones. It is part of the objective and never of a profit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pulp

from bessvpp import battery
from bessvpp.errors import InfeasibleError
from bessvpp.metrics import cvar
from bessvpp.params import BessParams, Commitment, Costs, Solver, Terminal

TIE_BREAK_RS_PER_MWH = 0.01
UNDELIVERED_PENALTY_RS_PER_MWH = 1e6
"""Keeps a recourse from choosing not to deliver; what is booked is the deviation rate."""

_BURN_TOLERANCE_MW = 1e-6
_GOLDEN = 0.6180339887498949
_SIDES = ("dam_sale", "dam_purchase", "rtm_sale", "rtm_purchase", "charge", "discharge")


@dataclass(frozen=True)
class PriceScenarios:
    """Joint price paths: S scenarios of T blocks."""

    dam: np.ndarray  # (S, T) Rs/MWh
    rtm: np.ndarray  # (S, T) Rs/MWh; NaN: no RTM trade possible in that block
    weights: np.ndarray  # (S,) sum to 1

    @classmethod
    def single(cls, dam: np.ndarray, rtm: np.ndarray) -> PriceScenarios:
        """One sure path, (T,) each."""
        return cls(dam[None], rtm[None], np.ones(1))


@dataclass(frozen=True)
class EnergyValue:
    """Concave value of the energy a unit holds at the end: the least of K lines."""

    slope_rs_per_mwh: np.ndarray  # (K,)
    intercept_rs: np.ndarray  # (K,)

    def __call__(self, e_mwh: np.ndarray | float) -> np.ndarray:
        """Value in Rs of stored energy, any shape."""
        e_mwh = np.asarray(e_mwh, dtype=float)
        return (self.intercept_rs + self.slope_rs_per_mwh * e_mwh[..., None]).min(axis=-1)


@dataclass(frozen=True)
class Problem:
    """Everything a programme needs besides prices and risk weight.

    ``e_start_mwh`` is (U,). ``fixed_dam_mw``, (T,), makes it a recourse to a commitment.
    ``rtm_allowed`` False leaves the DAM alone. ``schedule_start_mwh``, (U,), is where the
    DAM schedule of every day starts (None: anywhere); ``blocks_per_day`` matters where the
    horizon is longer than a day.
    """

    bess: BessParams
    costs: Costs
    block_hours: float
    e_start_mwh: np.ndarray
    commitment: Commitment = "physical"
    terminal: Terminal = "hard"
    energy_values: Sequence[EnergyValue] = ()
    fixed_dam_mw: np.ndarray | None = None
    rtm_allowed: bool = True
    schedule_start_mwh: np.ndarray | None = None
    schedule_end_mwh: np.ndarray | None = None
    solver: Solver = "highs"

    @property
    def blocks_per_day(self) -> int:
        """T of one day."""
        return round(24 / self.block_hours)

    @property
    def e_end_min_mwh(self) -> np.ndarray | None:
        """(U,) least energy at the end under the ``hard`` rule, else None."""
        if self.terminal != "hard":
            return None
        return np.array([unit.e_target_mwh for unit in self.bess.units])


@dataclass(frozen=True)
class Plan:
    """Solution of a programme: S scenarios, U units, T blocks."""

    dam_mw: np.ndarray  # (T,) committed, positive sells
    unit_dam_mw: np.ndarray | None  # (U, T) who delivers it; None: financial
    rtm_mw: np.ndarray  # (S, T)
    charge_mw: np.ndarray  # (S, U, T)
    discharge_mw: np.ndarray  # (S, U, T)
    energy_mwh: np.ndarray  # (S, U, T) after each block
    undelivered_mw: np.ndarray  # (S, T)
    profit_rs: np.ndarray  # (S,)
    mean_rs: float
    cvar_rs: float
    objective_rs: float
    lp_cvar_rs: float | None  # the programme's own figure; None at risk weight 0
    restricted_blocks: int  # unit-blocks that lost a direction
    relaxation_gap_rs: float  # objective lost to those restrictions

    @property
    def e_end_mwh(self) -> np.ndarray:
        """(U,) mean energy at the end."""
        return self.energy_mwh[:, :, -1].mean(axis=0)


def tie_break(side: str, n_blocks: int) -> np.ndarray:
    """(T,) published tie-break of a side, Rs/MWh: fixed, distinct, at most 0.01."""
    offset = 0.37 * _SIDES.index(side)
    return TIE_BREAK_RS_PER_MWH * ((np.arange(1, n_blocks + 1) * _GOLDEN + offset) % 1)


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


class TwoStageProgramme:
    """The programme of the module's docstring, stated once; ``solve`` for each risk weight.

    Restrictions found at one risk weight stay for the next, so a sweep compares plans of
    one feasible set.
    """

    def __init__(self, problem: Problem, scenarios: PriceScenarios) -> None:
        self.problem, self.scenarios = problem, scenarios
        self.n_scenarios, self.n_blocks = scenarios.dam.shape
        self.physical = problem.commitment == "physical" and problem.fixed_dam_mw is None
        self.restrictions = 0
        self._changed_bounds: list[pulp.LpVariable] = []
        self.lp = pulp.LpProblem("two_stage", pulp.LpMaximize)
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
        if self.physical:
            self._state_schedule()
        for s in range(self.n_scenarios):
            self._state_recourse(s)
            self._state_profit(s)
            self._state_terminal_value(s)
        self.v.zeta = _variable("zeta", None)
        for s, profit in enumerate(self.v.profit):
            self.v.tail.append(_variable(f"u_{s}", 0))
            self._add(f"tail_{s}", {self.v.tail[s]: 1, self.v.zeta: -1, profit: 1}, ">=", 0)

    def _state_schedule(self) -> None:
        """The DAM schedule is deliverable by itself: sum_i (d0 - c0) = x+ - x-."""
        v, problem = self.v, self.problem
        for i in range(len(problem.bess.units)):
            charge, discharge, _ = self._state_unit(i, "schedule")
            v.schedule_charge.append(charge)
            v.schedule_discharge.append(discharge)
        for t in range(self.n_blocks):
            terms = {v.sale[t]: -1, v.purchase[t]: 1}
            terms |= {d[t]: 1 for d in v.schedule_discharge}
            terms |= {c[t]: -1 for c in v.schedule_charge}
            self._add(f"schedule_balance_{t}", terms, "==", 0)

    def _state_recourse(self, s: int) -> None:
        """Physical flow and RTM trade of a scenario, and the balance that ties them."""
        v, problem = self.v, self.problem
        units = [self._state_unit(i, f"s{s}") for i in range(len(problem.bess.units))]
        v.charge.append([u[0] for u in units])
        v.discharge.append([u[1] for u in units])
        v.energy.append([u[2] for u in units])
        tradable = np.isfinite(self.scenarios.rtm[s]) & problem.rtm_allowed
        most = [(t, None if possible else 0) for t, possible in enumerate(tradable)]
        v.rtm_sale.append([_variable(f"r_sale_{s}_{t}", 0, high) for t, high in most])
        v.rtm_purchase.append([_variable(f"r_purchase_{s}_{t}", 0, high) for t, high in most])
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
            self._add(f"balance_{s}_{t}", flow | trade, "==", 0)
            if sum(unit.p_max_mw for unit in problem.bess.units) > limit:
                self._add(f"export_{s}_{t}", flow, "<=", limit)
                self._add(f"import_{s}_{t}", flow, ">=", -limit)

    def _state_unit(
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
                    start = _on_day(problem.schedule_start_mwh, t // per_day)[i]
                else:
                    free = _variable(f"e_{tag}_start_{t}", unit.e_min_mwh, unit.e_max_mwh)
                    terms[free] = -1
            else:
                terms[energy[t - 1]] = -1
            self._add(f"energy_{tag}_{t}", terms, "==", start)
            one_way = {charge[t]: 1, discharge[t]: 1}
            self._add(f"one_way_{tag}_{t}", one_way, "<=", unit.p_max_mw)
        if daily and problem.schedule_end_mwh is not None:
            for day in range(n_days):
                end = _on_day(problem.schedule_end_mwh, day)[i]
                if np.isfinite(end):
                    energy[(day + 1) * per_day - 1].bounds(end, end)
        if not daily and problem.e_end_min_mwh is not None:
            energy[-1].lowBound = problem.e_end_min_mwh[i]
        if unit.max_cycles_per_day is not None:
            limit = unit.max_cycles_per_day * unit.e_nameplate_mwh
            for day in range(n_days):
                block = range(day * per_day, (day + 1) * per_day)
                self._add(f"cycles_{tag}_{day}", {discharge[t]: h for t in block}, "<=", limit)
        return charge, discharge, energy

    def _state_profit(self, s: int) -> None:
        """profit_s = h sum_t [revenues - fees - flow costs - wear] - daily charge."""
        v, costs, h = self.v, self.problem.costs, self.problem.block_hours
        dam, rtm = self.scenarios.dam[s], self.scenarios.rtm[s]
        price = np.where(np.isfinite(rtm), rtm, 0.0)
        flow_cost = battery.flow_cost_rs_per_mwh(costs, dam, rtm)
        rate = battery.deviation_rate_rs_per_mwh(costs, dam, rtm)
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
        self._add(f"profit_{s}", {profit: 1} | {k: -c for k, c in terms.items()}, "==", -daily)
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
                    self._add(f"value_{s}_{i}_{k}", terms, "<=", intercept)
                values.append(value)
        self.v.value.append(values)

    def _objective(self, risk_aversion: float, alpha: float) -> pulp.LpAffineExpression:
        v, h = self.v, self.problem.block_hours
        weights = self.scenarios.weights
        terms: dict[pulp.LpVariable, float] = {}
        ties = {side: h * tie_break(side, self.n_blocks) for side in _SIDES}
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
                for charge, discharge in zip(v.charge[s], v.discharge[s], strict=True):
                    terms[charge[t]] = -w * ties["charge"][t]
                    terms[discharge[t]] = -w * ties["discharge"][t]
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
        self.lp.setObjective(self._objective(risk_aversion, alpha))
        first = self.relaxed = self._plan(risk_aversion, alpha, self._solve_once())
        while True:
            burning = self._burning_blocks()
            if not burning:
                plan = self._plan(risk_aversion, alpha, pulp.value(self.lp.objective))
                gap = first.objective_rs - plan.objective_rs
                return replace(plan, relaxation_gap_rs=gap)
            for charge, discharge in burning:
                self._restrict(charge, discharge)
            self._solve_once()

    def _solve_once(self) -> float:
        if self.problem.solver == "cbc":
            status = self.lp.solve(pulp.PULP_CBC_CMD(msg=False, threads=1))
        elif self.lp.solverModel is None:
            status = self.lp.solve(pulp.HiGHS(msg=False, threads=1))
        else:
            status = self._solve_again()
        if status != pulp.LpStatusOptimal:
            raise InfeasibleError(
                f"{self.problem.solver} ended with status '{pulp.LpStatus[status]}' on a programme "
                f"of {self.n_blocks} blocks and {self.n_scenarios} scenarios: check that the "
                "battery's windows, connection limit and target energy leave a feasible plan"
            )
        return pulp.value(self.lp.objective)

    def _solve_again(self) -> int:
        """Change risk weights and bounds in the HiGHS model and go on from its last basis."""
        model = self.lp.solverModel
        for variable in (self.v.zeta, *self.v.tail):
            model.changeColCost(variable.index, -self.lp.objective.get(variable, 0.0))
        for variable in self._changed_bounds:
            model.changeColBounds(variable.index, variable.lowBound, variable.upBound)
        self._changed_bounds.clear()
        model.run()
        status, _ = pulp.HiGHS(msg=False).findSolutionValues(self.lp)
        return status

    def _burning_blocks(self) -> list[tuple[pulp.LpVariable, pulp.LpVariable]]:
        """Charge and discharge variables that run at once in one block.

        In the DAM schedule this matters only on a day whose strict path leaves its bounds.
        """
        v = self.v
        pairs = [
            (charge, discharge)
            for s in range(self.n_scenarios)
            for unit in zip(v.charge[s], v.discharge[s], strict=True)
            for charge, discharge in zip(*unit, strict=True)
            if min(charge.varValue, discharge.varValue) > _BURN_TOLERANCE_MW
        ]
        if self.physical and self.schedule_violation_mwh() > battery.FEASIBILITY_TOLERANCE_MWH:
            burning = [
                (charge, discharge)
                for unit in zip(v.schedule_charge, v.schedule_discharge, strict=True)
                for charge, discharge in zip(*unit, strict=True)
                if min(charge.varValue, discharge.varValue) > _BURN_TOLERANCE_MW
            ]
            if not burning:
                raise InfeasibleError(
                    "the DAM schedule leaves the battery's bounds by "
                    f"{self.schedule_violation_mwh():.4f} MWh without burning energy: "
                    "the solver's tolerance is too wide"
                )
            pairs += burning
        return pairs

    def _restrict(self, charge: pulp.LpVariable, discharge: pulp.LpVariable) -> None:
        """Take the lesser direction from a block."""
        self.restrictions += 1
        idle = discharge if charge.varValue > discharge.varValue else charge
        idle.upBound = 0
        self._changed_bounds.append(idle)

    def schedule_violation_mwh(self) -> float:
        """Greatest amount by which the schedule's strict path breaks a rule."""
        unit_mw = self._unit_schedule()
        per_day, problem = self.problem.blocks_per_day, self.problem
        worst = 0.0
        for day in range(self.n_blocks // per_day):
            span = slice(day * per_day, (day + 1) * per_day)
            start, end = self._schedule_start(day), problem.schedule_end_mwh
            end = end if end is None else _on_day(end, day)
            violation = battery.schedule_violations(
                problem.bess, unit_mw[:, span], start, problem.block_hours, end
            )
            worst = max(worst, float(violation.max()))
        return worst

    def _schedule_start(self, day: int) -> np.ndarray:
        if self.problem.schedule_start_mwh is not None:
            return _on_day(self.problem.schedule_start_mwh, day)
        variables = self.lp.variablesDict()
        first = day * self.problem.blocks_per_day
        names = [f"e_schedule_{i}_start_{first}" for i in range(len(self.problem.bess.units))]
        return np.array([variables[name].varValue for name in names])

    def _unit_schedule(self) -> np.ndarray:
        return _values(self.v.schedule_discharge) - _values(self.v.schedule_charge)

    def _plan(self, risk_aversion: float, alpha: float, objective: float) -> Plan:
        v, weights = self.v, self.scenarios.weights
        profit = _values(v.profit)
        lp_cvar = None
        if risk_aversion > 0:
            lp_cvar = float(v.zeta.varValue - weights @ _values(v.tail) / alpha)
        undelivered = np.zeros((self.n_scenarios, self.n_blocks))
        if v.short:
            undelivered = _values(v.short) - _values(v.excess)
        return Plan(
            dam_mw=_values(v.sale) - _values(v.purchase),
            unit_dam_mw=self._unit_schedule() if self.physical else None,
            rtm_mw=_values(v.rtm_sale) - _values(v.rtm_purchase),
            charge_mw=_values(v.charge),
            discharge_mw=_values(v.discharge),
            energy_mwh=_values(v.energy),
            undelivered_mw=undelivered,
            profit_rs=profit,
            mean_rs=float(weights @ profit),
            cvar_rs=cvar(profit, alpha, weights),
            objective_rs=objective,
            lp_cvar_rs=lp_cvar,
            restricted_blocks=self.restrictions,
            relaxation_gap_rs=0.0,
        )

    def _add(self, name: str, terms: dict, sense: str, right: float) -> None:
        expression = pulp.LpAffineExpression(terms)
        senses = {"==": pulp.LpConstraintEQ, "<=": pulp.LpConstraintLE, ">=": pulp.LpConstraintGE}
        self.lp.addConstraint(pulp.LpConstraint(expression, senses[sense], name, float(right)))


def plan_day(
    problem: Problem, scenarios: PriceScenarios, risk_aversion: float, alpha: float
) -> Plan:
    """Commitment and recourse of one day for one risk weight."""
    return TwoStageProgramme(problem, scenarios).solve(risk_aversion, alpha)


def sweep(
    problem: Problem, scenarios: PriceScenarios, lambdas: Sequence[float], alpha: float
) -> list[Plan]:
    """Plans of one day for rising risk weights, all over the same feasible set.

    A restriction that a later weight needs is applied to the earlier ones too, so planned
    CVaR never falls as the weight rises.
    """
    programme = TwoStageProgramme(problem, scenarios)
    plans = [programme.solve(weight, alpha) for weight in lambdas]
    while any(plan.restricted_blocks < programme.restrictions for plan in plans):
        plans = [
            plan
            if plan.restricted_blocks == programme.restrictions
            else programme.solve(weight, alpha)
            for weight, plan in zip(lambdas, plans, strict=True)
        ]
    return plans


def ceiling(problem: Problem, scenarios: PriceScenarios) -> Plan:
    """Upper bound on any plan over a whole window with its prices known.

    One programme over all days, so that no chain of daily plans can beat it, and without
    the one-direction clause of the DAM schedule, so that no choice of directions can. The
    plan's ``relaxation_gap_rs`` says how much a plan that keeps the clause falls short.
    """
    programme = TwoStageProgramme(problem, scenarios)
    strict = programme.solve()
    return replace(programme.relaxed, relaxation_gap_rs=strict.relaxation_gap_rs)


def energy_values(problem: Problem, dam: np.ndarray, n_points: int = 9) -> tuple[EnergyValue, ...]:
    """Value of stored energy at the end of a day, one concave function a unit.

    V(e) is what a unit alone earns in the DAM on a day of given prices when it starts with e
    and ends at its target: concave, as the value of a linear programme in its right side.

    Parameters
    ----------
    dam : (T,) expected DAM prices of the day after, from what is known at the gate
    """
    values = []
    for unit in problem.bess.units:
        alone = problem.bess.model_copy(update={"units": (unit,)})
        energies = np.linspace(unit.e_min_mwh, unit.e_max_mwh, n_points)
        worth = np.array([_day_worth(problem, alone, dam, e) for e in energies])
        slope = np.minimum.accumulate(np.diff(worth) / np.diff(energies))
        values.append(EnergyValue(slope, worth[:-1] - slope * energies[:-1]))
    return tuple(values)


def _day_worth(problem: Problem, bess: BessParams, dam: np.ndarray, e_mwh: float) -> float:
    """Profit of one day in the DAM alone from a starting energy [Rs]."""
    day = Problem(
        bess=bess,
        costs=problem.costs,
        block_hours=problem.block_hours,
        e_start_mwh=np.array([e_mwh]),
        commitment="financial",
        terminal="hard",
        rtm_allowed=False,
        solver=problem.solver,
    )
    return plan_day(day, PriceScenarios.single(dam, dam), 0.0, 1.0).mean_rs


def round_to_steps(problem: Problem, unit_dam_mw: np.ndarray, step_mw: float) -> np.ndarray:
    """A schedule in whole steps, still deliverable, as near as can be to the one given.

    Whole steps seldom sum to an exact energy, so the schedule may end above its target.

    Parameters
    ----------
    unit_dam_mw : (U, T) strict schedule of each unit from ``problem.schedule_start_mwh``
    step_mw : volume step of a bid

    Returns
    -------
    (U, T) schedule whose sum over units is a multiple of ``step_mw`` in every block.
    """
    n_units, n_blocks = unit_dam_mw.shape
    total = unit_dam_mw.sum(axis=0)
    lp = pulp.LpProblem("round_to_steps", pulp.LpMinimize)
    frame = TwoStageProgramme.__new__(TwoStageProgramme)
    frame.problem, frame.lp, frame.n_blocks = problem, lp, n_blocks
    steps = [
        pulp.LpVariable(f"n_{t}", *_step_bounds(total[t], step_mw), cat=pulp.LpInteger)
        for t in range(n_blocks)
    ]
    away = [_variable(f"away_{t}", 0) for t in range(n_blocks)]
    balance = [{step: -step_mw} for step in steps]
    net = []
    for i in range(n_units):
        charge, discharge, energy = frame._state_unit(i, "schedule")
        energy[-1].upBound = problem.bess.units[i].e_max_mwh
        for t in range(n_blocks):
            idle = discharge[t] if unit_dam_mw[i, t] < 0 else charge[t]
            idle.upBound = 0
            balance[t] |= {discharge[t]: 1, charge[t]: -1}
        net.append((charge, discharge))
    for t in range(n_blocks):
        frame._add(f"schedule_balance_{t}", balance[t], "==", 0)
        frame._add(f"away_up_{t}", {away[t]: 1, steps[t]: -step_mw}, ">=", -total[t])
        frame._add(f"away_down_{t}", {away[t]: 1, steps[t]: step_mw}, ">=", total[t])
    lp.setObjective(pulp.lpSum(away))
    if lp.solve(pulp.HiGHS(msg=False, threads=1, gapRel=0.01, mip_abs_gap=0.5 * step_mw)) != 1:
        raise InfeasibleError("no schedule in whole bid steps is deliverable near this plan")
    return np.array([_values(discharge) - _values(charge) for charge, discharge in net])


def _step_bounds(mw: float, step_mw: float) -> tuple[int, int]:
    """Steps within two of a power, on its own side of zero."""
    low, high = int(np.floor(mw / step_mw)) - 2, int(np.ceil(mw / step_mw)) + 2
    return (max(low, 0), high) if mw >= 0 else (low, min(high, 0))


def _on_day(starts: np.ndarray, day: int) -> np.ndarray:
    """(U,) row of a day, where ``starts`` is (U,) for every day or (days, U)."""
    return starts if starts.ndim == 1 else starts[day]


def _variable(name: str, low: float | None, high: float | None = None) -> pulp.LpVariable:
    return pulp.LpVariable(name, low, high)


def _values(nested: list) -> np.ndarray:
    """Solution values of nested lists of variables, as an array of the same shape."""
    if not nested:
        return np.array([])
    if isinstance(nested[0], list):
        return np.array([_values(inner) for inner in nested])
    return np.array([variable.varValue for variable in nested])
