"""A day's prices and bounds, put into the structure of its shape."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from bessvpp import ledger
from bessvpp.optimizer.highs import Model
from bessvpp.optimizer.problem import (
    PAST_TOLERANCE_MW,
    SIDES,
    UNDELIVERED_PENALTY_RS_PER_MWH,
    Past,
    Problem,
    steering_rs_per_mwh,
    tie_break,
)
from bessvpp.optimizer.structure import (
    Rows,
    Shape,
    limit_ends,
    limit_energies,
    set_starts,
    structure,
)
from bessvpp.prices import PriceScenarios


class PricedStructure:
    """A programme in arrays with nothing left open: S scenarios, T blocks, n columns.

    ``daily_rs`` and ``auxiliary_rs``, (S,), are paid whatever is done; ``terms`` are columns and
    coefficients of what comes on top in profit_s, (S, ...) each [Rs per MW];
    ``low`` and ``high`` are the limits of the columns, (n,), and ``cost`` is what is minimised at
    risk aversion 0, (n,): less expected profit and value, plus tie-break and penalties.
    """

    def __init__(self, problem: Problem, scenarios: PriceScenarios, is_risk_averse: bool) -> None:
        self.problem, self.scenarios = problem, scenarios
        self.n_scenarios, self.n_blocks = scenarios.dam.shape
        self.shape = Shape.of(problem, scenarios, is_risk_averse)
        self.s = structure(self.shape)
        self.daily_rs = problem.costs.scheduling_rs_per_day * self.shape.n_days
        self.auxiliary_rs = ledger.auxiliary_rs(
            problem.bess, problem.costs, problem.block_hours, scenarios.dam, scenarios.rtm
        )
        self.terms = self._profit_terms()
        self.low, self.high = self._column_limits()
        self.cost = self._costs()

    def profit_rs(self, x: np.ndarray) -> np.ndarray:
        """(S,) profit of a solution (n,)."""
        profit = -self.daily_rs - self.auxiliary_rs
        for columns, coefficient in self.terms:
            profit += (coefficient * x[columns]).reshape(self.n_scenarios, -1).sum(axis=1)
        return profit

    def model(self) -> Model:
        """The model in HiGHS: the structure's rows, then those that hold prices."""
        s, problem = self.s, self.problem
        low, high = s.row_low.copy(), s.row_high.copy()
        low[s.start_rows] = high[s.start_rows] = problem.kept_mwh(problem.e_start_mwh)
        if problem.unbacked_max_mwh is not None:
            high[s.limit_rows] = problem.unbacked_max_mwh
        if s.schedule is not None:
            set_starts(problem, self.shape, s.schedule, low, high)
        rows = Rows()
        for i in range(len(self.shape.n_lines)):
            self._add_lines(rows, i)
        if self.shape.is_risk_averse:
            self._add_tail(rows)
        matrix = s.matrix
        if rows.n_rows:
            matrix = sparse.vstack([matrix, rows.matrix(matrix.shape[1])], format="csr")
            more = rows.limits()
            low, high = np.append(low, more[0]), np.append(high, more[1])
        return Model(problem, matrix, self.cost, (low, high), (self.low, self.high))

    # ------------------------------------------------------------------ columns

    def _profit_terms(self) -> list[tuple[np.ndarray, np.ndarray]]:
        s, costs, h = self.s, self.problem.costs, self.problem.block_hours
        dam, rtm = self.scenarios.dam, self.scenarios.rtm
        price = np.where(np.isfinite(rtm), rtm, 0.0)
        flow_cost = ledger.flow_cost_rs_per_mwh(costs, dam, rtm)[:, None]
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
            rate = -h * ledger.undelivered_rate_rs_per_mwh(costs, dam, rtm)
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
        limit_energies(problem, s.energy, low, high)
        if problem.e_end_min_mwh is not None:
            ends = s.energy[:, :, list(problem.target_blocks(self.n_blocks))]
            low[ends] = problem.e_end_min_mwh[:, None]
        if s.schedule is not None:
            limit_energies(problem, s.schedule.energy, low, high)
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
        s, problem, h = self.s, self.problem, self.problem.block_hours
        cost = np.zeros(s.matrix.shape[1])
        weights = self.scenarios.weights
        for columns, coefficient in self.terms:
            weight = weights.reshape(-1, *[1] * (columns.ndim - 1))
            np.add.at(cost, columns, -weight * coefficient)
        weight = weights[:, None]
        ties = {side: h * tie_break(side, self.n_blocks) for side in SIDES[:4]}
        hurdle, penalty = (h * rate for rate in steering_rs_per_mwh(problem.costs))
        cost[s.sale] += ties["dam_sale"] + hurdle
        cost[s.purchase] += ties["dam_purchase"] + hurdle
        cost[s.rtm_sale] += weight * (ties["rtm_sale"] + penalty)
        cost[s.rtm_purchase] += weight * (ties["rtm_purchase"] + penalty)
        for i, unit in enumerate(problem.bess.units):
            cost[s.charge[:, i]] += weight * h * tie_break("charge", self.n_blocks, i)
            steered = unit.steering_rs_per_mwh + tie_break("discharge", self.n_blocks, i)
            cost[s.discharge[:, i]] += weight * h * steered
        if self.shape.is_recourse:
            wall = weight * h * UNDELIVERED_PENALTY_RS_PER_MWH
            cost[s.short] += wall
            cost[s.excess] += wall
        if self.shape.n_lines:
            cost[s.value] = -weight
        return cost

    # ------------------------------------------------------------------ rows

    def _add_lines(self, rows: Rows, i: int) -> None:
        """value_s - slope e_Ts <= intercept, for every line of a unit's energy value."""
        line, ends = self.problem.energy_values[i], self.s.energy[:, i, -1]
        for slope, intercept in zip(line.slope_rs_per_mwh, line.intercept_rs, strict=True):
            terms = [(self.s.value[:, i], 1.0), (ends, -slope)]
            rows.add(self.n_scenarios, terms, high=intercept)

    def _add_tail(self, rows: Rows) -> None:
        """u_s - zeta + profit_s >= 0."""
        s = self.s
        terms: list[tuple[np.ndarray, float | np.ndarray]] = [(s.tail, 1.0)]
        terms.append((np.repeat(s.zeta, self.n_scenarios), -1.0))
        for columns, coefficient in self.terms:
            flat = columns.reshape(self.n_scenarios, -1)
            terms.append((flat, coefficient.reshape(flat.shape)))
        rows.add(self.n_scenarios, terms, low=self.daily_rs + self.auxiliary_rs)
