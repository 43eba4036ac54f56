r"""The two-stage stochastic programme: DAM commitments now, RTM recourse later.

Blocks :math:`t` of length :math:`h` hours, scenarios :math:`s` with weight :math:`w_s`,
units :math:`i`; powers in MW at the grid side, energies in MWh stored, money in Rs.

.. math::

    \max \sum_s w_s \bigl(\Pi_s + V(e_{Ts})\bigr) + \lambda\,\mathrm{CVaR}_\alpha(\Pi)

    \text{balance: } \sum_i (d_{its} - c_{its}) = x^+_t - x^-_t + r^+_{ts} - r^-_{ts}

    \text{energy: } e_{its} = \mathrm{kept}_i(e_{i,t-1,s})
        + h (\eta^c_i c_{its} - d_{its} / \eta^d_i)

    \text{taper: } c_{its} \le a^c_{ik} + b^c_{ik} e_{its},\quad
        d_{its} \le a^d_{ik} + b^d_{ik} e_{its} \quad \text{for each line } k

    \text{profit: } \Pi_s = h \sum_t [p^{dam}_{ts} (x^+_t - x^-_t)
        + p^{rtm}_{ts} (r^+_{ts} - r^-_{ts}) - \text{fees, flow costs and wear}]
        - \text{daily charge and auxiliary load}

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

from dataclasses import dataclass, field, replace

import numpy as np
import pulp

from bessvpp import battery, ledger
from bessvpp.optimizer.paths import Statement, new_column, run_solver, solution
from bessvpp.optimizer.problem import (
    PAST_TOLERANCE_MW,
    SCHEDULE,
    SIDES,
    UNDELIVERED_PENALTY_RS_PER_MWH,
    Bar,
    Past,
    Plan,
    Problem,
    steering_rs_per_mwh,
    tie_break,
)
from bessvpp.optimizer.strict import relaxed_and_strict
from bessvpp.prices import PriceScenarios
from bessvpp.risk import RISK_NEUTRAL, Risk, cvar


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
    zeta: pulp.LpVariable = field(init=False)


class TwoStageProgramme(Statement):
    """The programme of the module's docstring, stated once and solved anew for each risk."""

    def __init__(self, problem: Problem, scenarios: PriceScenarios) -> None:
        super().__init__(problem, scenarios.dam.shape[1], pulp.LpMaximize)
        self.scenarios = scenarios
        self.n_scenarios = len(scenarios.weights)
        self._closed: list[tuple[pulp.LpVariable, float | None]] = []  # with their own limits
        self._state()

    # ------------------------------------------------------------------ the statement

    def _state(self) -> None:
        fixed = self.problem.fixed_dam_mw
        bess = self.problem.bess
        blocks = range(self.n_blocks)
        if fixed is None:
            sale = [new_column(f"x_sale_{t}", 0, bess.connection_limit_mw) for t in blocks]
            purchase = [new_column(f"x_purchase_{t}", 0, bess.import_limit_mw) for t in blocks]
        else:
            sale = [new_column(f"x_sale_{t}", max(fixed[t], 0), max(fixed[t], 0)) for t in blocks]
            bought = [max(-fixed[t], 0) for t in blocks]
            purchase = [new_column(f"x_purchase_{t}", bought[t], bought[t]) for t in blocks]
        self.v = _Variables(sale, purchase)
        if self.problem.is_physical:
            self._state_schedule()
        for s in range(self.n_scenarios):
            self._state_recourse(s)
            self._state_profit(s)
            self._state_terminal_value(s)
        self.v.zeta = new_column("zeta", None)
        for s, profit in enumerate(self.v.profit):
            self.v.tail.append(new_column(f"u_{s}", 0))
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
        v.rtm_sale.append([new_column(f"r_sale_{s}_{t}", 0, high) for t, high in most])
        v.rtm_purchase.append([new_column(f"r_purchase_{s}_{t}", 0, high) for t, high in most])
        if problem.past is not None:
            self._keep_past(s, problem.past)
        if problem.fixed_dam_mw is not None:
            v.short.append([new_column(f"short_{s}_{t}", 0) for t in range(self.n_blocks)])
            v.excess.append([new_column(f"excess_{s}_{t}", 0) for t in range(self.n_blocks)])
        if problem.is_limited and problem.unbacked_max_mwh is not None:
            self._limit_unbacked(s, problem.unbacked_max_mwh)
        bess = problem.bess
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
            if battery.may_exceed_connection(bess):
                self.add(f"export_{s}_{t}", flow, "<=", bess.connection_limit_mw)
                self.add(f"import_{s}_{t}", flow, ">=", -bess.import_limit_mw)

    def _limit_unbacked(self, s: int, limit_mwh: float) -> None:
        """unbacked_t >= x+_t - sum_i d_it and >= x-_t - sum_i c_it, each; h sum_t limited."""
        v, h = self.v, self.problem.block_hours
        total = {}
        sides = ("sale", v.sale, v.discharge[s]), ("purchase", v.purchase, v.charge[s])
        for side, trade, flows in sides:
            for t in range(self.n_blocks):
                unbacked = new_column(f"unbacked_{side}_{s}_{t}", 0)
                terms = {unbacked: 1, trade[t]: -1} | {flow[t]: 1 for flow in flows}
                self.add(f"unbacked_{side}_{s}_{t}", terms, ">=", 0)
                total[unbacked] = h
        self.add(f"unbacked_{s}", total, "<=", limit_mwh)

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
        """profit_s = h sum_t [revenues - fees - flow costs - wear] - daily charge - auxiliaries."""
        v, costs, h = self.v, self.problem.costs, self.problem.block_hours
        dam, rtm = self.scenarios.dam[s], self.scenarios.rtm[s]
        price = np.where(np.isfinite(rtm), rtm, 0.0)
        flow_cost = ledger.flow_cost_rs_per_mwh(costs, dam, rtm)
        rate = ledger.undelivered_rate_rs_per_mwh(costs, dam, rtm)
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
        profit = new_column(f"profit_{s}", None)
        daily = costs.scheduling_rs_per_day * (self.n_blocks / self.problem.blocks_per_day)
        always = daily + float(ledger.auxiliary_rs(self.problem.bess, costs, h, dam, rtm))
        self.add(f"profit_{s}", {profit: 1} | {k: -c for k, c in terms.items()}, "==", -always)
        v.profit.append(profit)

    def _state_terminal_value(self, s: int) -> None:
        """V(e) as the least of its lines; only under the ``value`` rule."""
        values = []
        if self.problem.terminal == "value":
            for i, line in enumerate(self.problem.energy_values):
                value = new_column(f"value_{s}_{i}", None)
                for k, (slope, intercept) in enumerate(
                    zip(line.slope_rs_per_mwh, line.intercept_rs, strict=True)
                ):
                    terms = {value: 1, self.v.energy[s][i][-1]: -slope}
                    self.add(f"value_{s}_{i}_{k}", terms, "<=", intercept)
                values.append(value)
        self.v.value.append(values)

    def _objective(self, risk: Risk) -> pulp.LpAffineExpression:
        v, h = self.v, self.problem.block_hours
        weights = self.scenarios.weights
        terms: dict[pulp.LpVariable, float] = {}
        units = self.problem.bess.units
        ties = {side: h * tie_break(side, self.n_blocks) for side in SIDES[:4]}
        unit_ties = {
            side: [h * tie_break(side, self.n_blocks, i) for i in range(len(units))]
            for side in ("charge", "discharge")
        }
        for tie, unit in zip(unit_ties["discharge"], units, strict=True):
            tie += h * unit.steering_rs_per_mwh
        hurdle, penalty = (h * rate for rate in steering_rs_per_mwh(self.problem.costs))
        for t in range(self.n_blocks):
            terms[v.sale[t]] = -(ties["dam_sale"][t] + hurdle)
            terms[v.purchase[t]] = -(ties["dam_purchase"][t] + hurdle)
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
        if risk.aversion > 0:
            terms[v.zeta] = risk.aversion
            terms |= {
                u: -risk.aversion * w / risk.alpha for u, w in zip(v.tail, weights, strict=True)
            }
        return pulp.LpAffineExpression(terms)

    # ------------------------------------------------------------------ the solution

    def start_with(self, e_start_mwh: np.ndarray) -> None:
        """Go on with the same day from other energies, (U,)."""
        self.problem = self.problem.starting_with(e_start_mwh)
        paths = [f"s{s}" for s in range(self.n_scenarios)]
        if self.problem.is_physical and self.problem.schedule_start_mwh is not None:
            paths.append("schedule")
        for i, energy in enumerate(self.problem.kept_mwh(e_start_mwh)):
            for path in paths:
                self.lp.constraints[f"energy_{path}_{i}_0"].changeRHS(float(energy))

    def limit_unbacked(self, limit_mwh: float) -> None:
        """Go on with the same day under another limit, where it has one."""
        self.problem = replace(self.problem, unbacked_max_mwh=limit_mwh)
        for s in range(self.n_scenarios):
            self.lp.constraints[f"unbacked_{s}"].changeRHS(limit_mwh)

    def solve(self, risk: Risk = RISK_NEUTRAL) -> Plan:
        """The plan in which no unit charges and discharges at once.

        Raises
        ------
        InfeasibleError
            where the solver proves no optimum; names the status.
        """
        return relaxed_and_strict(self, risk)[1]

    def optimum(self, risk: Risk = RISK_NEUTRAL, bars: frozenset[Bar] = frozenset()) -> Plan:
        """The best plan that takes no barred direction; see ``strict.Programme``."""
        for variable, limit in self._closed:
            variable.upBound = limit
        barred = [self._flow(bar) for bar in bars]
        self._closed = [(variable, variable.upBound) for variable in barred]
        for variable in barred:
            variable.upBound = variable.lowBound
        self.lp.setObjective(self._objective(risk))
        run_solver(self.lp, self.problem, risk.aversion)
        return self._plan(risk)

    def _flow(self, bar: Bar) -> pulp.LpVariable:
        if bar.path == SCHEDULE:
            return getattr(self.v, f"schedule_{bar.direction}")[bar.unit][bar.block]
        return getattr(self.v, bar.direction)[bar.path][bar.unit][bar.block]

    def _plan(self, risk: Risk) -> Plan:
        v, weights = self.v, self.scenarios.weights
        profit = solution(v.profit)
        lp_cvar = None
        if risk.aversion > 0:
            lp_cvar = float(v.zeta.varValue - weights @ solution(v.tail) / risk.alpha)
        undelivered = np.zeros((self.n_scenarios, self.n_blocks))
        if v.short:
            undelivered = solution(v.short) - solution(v.excess)
        return Plan(
            dam_mw=solution(v.sale) - solution(v.purchase),
            rtm_mw=solution(v.rtm_sale) - solution(v.rtm_purchase),
            charge_mw=solution(v.charge),
            discharge_mw=solution(v.discharge),
            energy_mwh=solution(v.energy),
            weights=weights,
            undelivered_mw=undelivered,
            profit_rs=profit,
            mean_rs=float(weights @ profit),
            cvar_rs=cvar(profit, risk.alpha, weights),
            objective_rs=pulp.value(self.lp.objective),
            lp_cvar_rs=lp_cvar,
        )
