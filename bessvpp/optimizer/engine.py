r"""The two-stage programme as sparse arrays, straight into HiGHS.

The same programme as in ``statement``, where it is stated to be read: same columns, same rows,
same tie-break, same barring of burning blocks, same canonical delivery schedule. Profits are not
columns here but written out in the objective and in the tail rows

.. math:: u_s - \zeta + \Pi_s \ge 0.

The structure is built once for each shape (``arrays``); a day sets prices and bounds, and a risk
aversion changes the cost of :math:`\zeta` and :math:`u_s` only.

The first solve of a model is at risk aversion 0, with presolve, or, with many scenarios, from a
basis put together from parts; every later one goes on from the last basis by the dual simplex
method with devex weights and unperturbed costs, which was the fastest of what was tried. A model
never starts from another day's basis, so that no plan depends on which days were solved before
it, on whose machine, or on an interruption.
"""

from __future__ import annotations

from dataclasses import replace

import highspy
import numpy as np
from scipy import sparse

from bessvpp import battery
from bessvpp.errors import InfeasibleError
from bessvpp.optimizer.delivery import _Delivered, delivery
from bessvpp.optimizer.highs import Model
from bessvpp.optimizer.problem import (
    OFF_SCHEDULE_TOLERANCE_MW,
    PAST_TOLERANCE_MW,
    SIDES,
    UNDELIVERED_PENALTY_RS_PER_MWH,
    Past,
    Plan,
    Problem,
    on_day,
    tie_break,
)
from bessvpp.optimizer.strict import BURN_TOLERANCE_MW, schedule_violation_mwh, worst_burning
from bessvpp.optimizer.structure import Rows, Shape, limit_ends, set_starts, structure
from bessvpp.prices import PriceScenarios
from bessvpp.risk import RISK_NEUTRAL, Risk, cvar

PART = 50
"""Scenarios solved together on the way to a first basis of twice as many or more."""


class ArrayProgramme:
    """``programme.TwoStageProgramme`` in arrays, with the same methods and the same plans.

    ``solve`` is fastest for risk aversions that rise from solve to solve. Without
    ``is_risk_averse`` the model has no tail and solves for weight 0 alone.
    """

    def __init__(
        self, problem: Problem, scenarios: PriceScenarios, is_risk_averse: bool = True
    ) -> None:
        self.problem, self.scenarios = problem, scenarios
        self.n_scenarios, self.n_blocks = scenarios.dam.shape
        self.shape = Shape.of(problem, scenarios, is_risk_averse)
        self.s = structure(self.shape)
        self.schedule: _Delivered | None = None
        self.barred: set[int] = set()  # columns that lost their direction
        self._terms = self._profit_terms()
        self._low, self._high = self._column_limits()
        self._cost = self._costs()
        self._model = self._pass()

    # ------------------------------------------------------------------ prices and bounds

    def _profit_terms(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Columns and coefficients of profit_s + daily charge, (S, ...) each [Rs per MW]."""
        s, costs, h = self.s, self.problem.costs, self.problem.block_hours
        dam, rtm = self.scenarios.dam, self.scenarios.rtm
        price = np.where(np.isfinite(rtm), rtm, 0.0)
        flow_cost = battery.flow_cost_rs_per_mwh(costs, dam, rtm)[:, None]
        wear = np.array([u.wear_rs_per_mwh_discharged for u in self.problem.bess.units])[:, None]
        terms = [
            (np.broadcast_to(s.sale, dam.shape), h * (dam - costs.fee_dam_rs_per_mwh)),
            (np.broadcast_to(s.purchase, dam.shape), -h * (dam + costs.fee_dam_rs_per_mwh)),
            (s.rtm_sale, h * (price - costs.fee_rtm_rs_per_mwh)),
            (s.rtm_purchase, -h * (price + costs.fee_rtm_rs_per_mwh)),
            (s.charge, np.broadcast_to(-h * flow_cost, s.charge.shape)),
            (s.discharge, -h * (flow_cost + wear)),
        ]
        if self.shape.is_recourse:
            rate = -h * battery.undelivered_rate_rs_per_mwh(costs, dam, rtm)
            terms += [(s.short, rate), (s.excess, rate)]
        return terms

    def _column_limits(self) -> tuple[np.ndarray, np.ndarray]:
        s, problem = self.s, self.problem
        low, high = s.column_low.copy(), s.column_high.copy()
        if problem.fixed_dam_mw is not None:
            low[s.sale] = high[s.sale] = np.maximum(problem.fixed_dam_mw, 0)
            low[s.purchase] = high[s.purchase] = np.maximum(-problem.fixed_dam_mw, 0)
        closed = ~(np.isfinite(self.scenarios.rtm) & problem.rtm_allowed)
        high[s.rtm_sale[closed]] = high[s.rtm_purchase[closed]] = 0.0
        if problem.past is not None:
            self._keep_past(problem.past, low, high)
        if problem.e_end_min_mwh is not None:
            low[s.energy[:, :, -1]] = problem.e_end_min_mwh
        if s.schedule is not None:
            limit_ends(problem, self.shape, s.schedule, low, high)
        return low, high

    def _keep_past(self, past: Past, low: np.ndarray, high: np.ndarray) -> None:
        """Trades that were made, exactly; flows that were run, but for their rounding."""
        s, n, m = self.s, past.rtm_mw.size, past.charge_mw.shape[1]
        low[s.rtm_sale[:, :n]] = high[s.rtm_sale[:, :n]] = np.maximum(past.rtm_mw, 0)
        low[s.rtm_purchase[:, :n]] = high[s.rtm_purchase[:, :n]] = np.maximum(-past.rtm_mw, 0)
        for columns, mw in ((s.charge, past.charge_mw), (s.discharge, past.discharge_mw)):
            low[columns[:, :, :m]] = np.maximum(mw - PAST_TOLERANCE_MW, 0)
            high[columns[:, :, :m]] = mw + PAST_TOLERANCE_MW

    def _costs(self) -> np.ndarray:
        """Cost of each column at risk aversion 0: expected profit and value, tie-break, penalty."""
        s, problem, h = self.s, self.problem, self.problem.block_hours
        cost = np.zeros(s.matrix.shape[1])
        weights = self.scenarios.weights
        for columns, coefficient in self._terms:
            weight = weights.reshape(-1, *[1] * (columns.ndim - 1))
            np.add.at(cost, columns, -weight * coefficient)
        weight = weights[:, None]
        ties = {side: h * tie_break(side, self.n_blocks) for side in SIDES[:4]}
        cost[s.sale] += ties["dam_sale"]
        cost[s.purchase] += ties["dam_purchase"]
        penalty = h * problem.costs.off_dam_penalty_rs_per_mwh
        cost[s.rtm_sale] += weight * (ties["rtm_sale"] + penalty)
        cost[s.rtm_purchase] += weight * (ties["rtm_purchase"] + penalty)
        for i in range(len(problem.bess.units)):
            cost[s.charge[:, i]] += weight * h * tie_break("charge", self.n_blocks, i)
            cost[s.discharge[:, i]] += weight * h * tie_break("discharge", self.n_blocks, i)
        if self.shape.is_recourse:
            wall = weight * h * UNDELIVERED_PENALTY_RS_PER_MWH
            cost[s.short] += wall
            cost[s.excess] += wall
        if self.shape.n_lines:
            cost[s.value] = -weight
        return cost

    def _pass(self) -> Model:
        """The model in HiGHS: the structure's rows, then those that hold prices."""
        s, problem = self.s, self.problem
        low, high = s.row_low.copy(), s.row_high.copy()
        low[s.start_rows] = high[s.start_rows] = problem.e_start_mwh
        if s.schedule is not None:
            set_starts(problem, self.shape, s.schedule, low, high)
        rows = Rows()
        for i in range(len(self.shape.n_lines)):
            self._add_lines(rows, i)
        if self.shape.is_risk_averse:
            self._add_tail(rows)
        matrix = s.matrix
        if rows.n_rows:
            row, column, value = rows.entries()
            priced = sparse.csr_array((value, (row, column)), shape=(rows.n_rows, matrix.shape[1]))
            matrix = sparse.vstack([matrix, priced], format="csr")
            more = rows.limits()
            low, high = np.append(low, more[0]), np.append(high, more[1])
        return Model(problem, matrix, self._cost, (low, high), (self._low, self._high))

    def _add_lines(self, rows: Rows, i: int) -> None:
        """value_s - slope e_Ts <= intercept, for every line of a unit's energy value."""
        line, ends = self.problem.energy_values[i], self.s.energy[:, i, -1]
        for slope, intercept in zip(line.slope_rs_per_mwh, line.intercept_rs, strict=True):
            terms = [(self.s.value[:, i], 1.0), (ends, -slope)]
            rows.add(self.n_scenarios, terms, high=intercept)

    def _add_tail(self, rows: Rows) -> None:
        """u_s - zeta + profit_s >= 0."""
        terms = [(self.s.tail, 1.0), (np.full(self.n_scenarios, self.s.zeta), -1.0)]
        for columns, coefficient in self._terms:
            flat = columns.reshape(self.n_scenarios, -1)
            terms.append((flat, coefficient.reshape(flat.shape)))
        rows.add(self.n_scenarios, terms, low=self._daily_rs())

    def _daily_rs(self) -> float:
        """Scheduling charge of the horizon."""
        return self.problem.costs.scheduling_rs_per_day * self.shape.n_days

    # ------------------------------------------------------------------ the solution

    def solve(self, risk: Risk = RISK_NEUTRAL) -> Plan:
        """Solve for one risk aversion.

        Raises
        ------
        InfeasibleError
            where HiGHS proves no optimum.
        """
        self.bound = self.solve_relaxed(risk)
        while burning := self._burning_blocks():
            for charge, discharge in burning:
                self._bar(charge, discharge)
            self._solve_once(risk)
        plan = self._plan(risk)
        return replace(plan, relaxation_gap_rs=self.bound.objective_rs - plan.objective_rs)

    def solve_relaxed(self, risk: Risk = RISK_NEUTRAL) -> Plan:
        """Solve without the one-direction clause: an upper bound."""
        if self.barred:
            freed = np.array(sorted(self.barred))
            self._model.set_limits(freed, self._low[freed], self._high[freed])
            self.barred.clear()
        if not self._model.is_solved and self.n_scenarios >= 2 * PART:
            self._begin()
        if risk.aversion > 0:
            if not self._model.is_solved:  # the way to a plan is the fastest in a sweep
                self._model.run(risk.aversion)
            weights = self.scenarios.weights
            columns = np.append(self.s.zeta, self.s.tail)
            cost = np.append(-risk.aversion, risk.aversion * weights / risk.alpha)
            self._model.set_costs(columns, cost)
        self._solve_once(risk)
        return self._plan(risk)

    def _begin(self) -> None:
        """A first basis: the plan of some scenarios, and each other part's recourse to it.

        Pivots in a small model are cheap and all parts together are one basis of the whole,
        since scenarios meet in the DAM schedule alone. Where a part cannot follow the schedule
        (its RTM is closed where that of others is open), the model begins without a basis.
        """
        status = highspy.HighsBasisStatus
        n_lines = sum(self.shape.n_lines)
        size = self._model.highs.getNumRow(), self._model.highs.getNumCol()
        whole = [status.kBasic] * size[0], [status.kLower] * size[1]
        dam_mw = None
        for low in range(0, self.n_scenarios, PART):
            high = min(low + PART, self.n_scenarios)
            part = self._part(low, high, dam_mw)
            if not part._model.is_optimal():
                return
            basis = part._model.basis()
            for kind in (0, 1):
                first, of_part = self.s.n_first[kind], part.s.n_first[kind]
                each = self.s.n_each[kind]
                whole[kind][first + low * each : first + high * each] = basis[kind][
                    of_part : of_part + (high - low) * each
                ]
                if dam_mw is None:
                    whole[kind][:first] = basis[kind][:first]
            for k in range(n_lines):
                at, there = self.s.matrix.shape[0] + k * self.n_scenarios, part.s.matrix.shape[0]
                lines = slice(there + k * (high - low), there + (k + 1) * (high - low))
                whole[0][at + low : at + high] = basis[0][lines]
            if dam_mw is None:
                dam_mw = [part._model.values[c] for c in (part.s.sale, part.s.purchase)]
        if self.s.zeta is not None:
            whole[1][self.s.zeta] = status.kZero
        self._model.start_from(*whole)

    def _part(self, low: int, high: int, dam_mw: list[np.ndarray] | None) -> ArrayProgramme:
        """Some of the scenarios at risk aversion 0, sales and purchases given or not."""
        weights = self.scenarios.weights[low:high]
        prices = PriceScenarios(
            self.scenarios.dam[low:high], self.scenarios.rtm[low:high], weights / weights.sum()
        )
        if dam_mw is None:
            return ArrayProgramme(self.problem, prices, is_risk_averse=False)
        free = replace(self.problem, commitment="financial")
        part = ArrayProgramme(free, prices, is_risk_averse=False)
        for columns, mw in zip((part.s.sale, part.s.purchase), dam_mw, strict=True):
            part._model.set_limits(columns, mw, mw)
        return part

    def _solve_once(self, risk: Risk) -> None:
        self._model.run(risk.aversion)
        self.x = self._model.values
        if self.problem.is_physical:
            self.schedule = self._deliver()

    def _dam_mw(self) -> np.ndarray:
        return self.x[self.s.sale] - self.x[self.s.purchase]

    def _deliver(self) -> _Delivered:
        """The canonical delivery of the DAM schedule, as ``programme.DeliverySchedule``."""
        problem, schedule, dam_mw = self.problem, self.s.schedule, self._dam_mw()
        d = delivery(replace(self.shape, n_scenarios=0, is_risk_averse=False))
        low, high = d.column_low.copy(), d.column_high.copy()
        limit_ends(problem, self.shape, d.paths, low, high)
        closed = np.isin(schedule.charge, list(self.barred))
        high[d.paths.charge[closed]] = 0.0
        closed = np.isin(schedule.discharge, list(self.barred))
        high[d.paths.discharge[closed]] = 0.0
        row_low, row_high = d.row_low.copy(), d.row_high.copy()
        set_starts(problem, self.shape, d.paths, row_low, row_high)
        row_low[d.balance_rows] = row_high[d.balance_rows] = dam_mw
        model = Model(problem, d.matrix, d.cost, (row_low, row_high), (low, high))
        model.run()
        if model.values[d.off_schedule].max() > OFF_SCHEDULE_TOLERANCE_MW:
            raise InfeasibleError(
                "the DAM schedule cannot be delivered: the solver's tolerance is too wide"
            )
        charge, discharge = (
            np.maximum(model.values[columns], 0) for columns in (d.paths.charge, d.paths.discharge)
        )
        if problem.schedule_start_mwh is None:
            starts = model.values[d.paths.free_starts].T
        else:
            days = range(self.shape.n_days)
            starts = np.array([on_day(problem.schedule_start_mwh, day) for day in days])
        return _Delivered(charge, discharge, starts)

    def _burning_blocks(self) -> list[tuple[int, int]]:
        """Columns of a block that charge and discharge at once where they must not."""
        s = self.s
        both = np.minimum(self.x[s.charge], self.x[s.discharge]) > BURN_TOLERANCE_MW
        pairs = list(zip(s.charge[both], s.discharge[both], strict=True))
        if self.schedule is None:
            return pairs
        violation = schedule_violation_mwh(
            self.problem, self.schedule.unit_mw, self.schedule.starts_mwh
        )
        worst = worst_burning(violation, self.schedule.charge_mw, self.schedule.discharge_mw)
        schedule = s.schedule
        return pairs + list(zip(schedule.charge[worst], schedule.discharge[worst], strict=True))

    def _bar(self, charge: int, discharge: int) -> None:
        """Take the lesser direction from a block; discharge where both are equal."""
        flows = self.x
        if self.schedule is not None:
            flows = flows.copy()
            flows[self.s.schedule.charge] = self.schedule.charge_mw
            flows[self.s.schedule.discharge] = self.schedule.discharge_mw
        sells = flows[discharge] > flows[charge] + BURN_TOLERANCE_MW
        idle = int(charge if sells else discharge)
        self.barred.add(idle)
        self._model.set_limits(np.array([idle]), self._low[[idle]], self._low[[idle]])

    def _plan(self, risk: Risk) -> Plan:
        s, x, weights = self.s, self.x, self.scenarios.weights
        profit = np.full(self.n_scenarios, -self._daily_rs())
        for columns, coefficient in self._terms:
            profit += (coefficient * x[columns]).reshape(self.n_scenarios, -1).sum(axis=1)
        objective = -float(self._cost @ x) - self._daily_rs()
        lp_cvar = None
        if risk.aversion > 0:
            zeta, tail = x[self.s.zeta], x[self.s.tail]
            lp_cvar = float(zeta - weights @ tail / risk.alpha)
            objective += risk.aversion * lp_cvar
        undelivered = np.zeros((self.n_scenarios, self.n_blocks))
        if self.shape.is_recourse:
            undelivered = x[s.short] - x[s.excess]
        return Plan(
            dam_mw=self._dam_mw(),
            unit_dam_mw=None if self.schedule is None else self.schedule.unit_mw,
            rtm_mw=x[s.rtm_sale] - x[s.rtm_purchase],
            charge_mw=x[s.charge],
            discharge_mw=x[s.discharge],
            energy_mwh=x[s.energy],
            weights=weights,
            undelivered_mw=undelivered,
            profit_rs=profit,
            mean_rs=float(weights @ profit),
            cvar_rs=cvar(profit, risk.alpha, weights),
            objective_rs=objective,
            lp_cvar_rs=lp_cvar,
            restricted_blocks=len(self.barred),
            relaxation_gap_rs=0.0,
        )
