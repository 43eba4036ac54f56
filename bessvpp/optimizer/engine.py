r"""The two-stage programme as sparse arrays, straight into HiGHS.

The same programme as in ``statement``, where it is stated to be read: same columns, same rows,
same tie-break. Profits are not columns here but written out in the objective and in the tail rows

.. math:: u_s - \zeta + \Pi_s \ge 0.

The structure is built once for each shape (``structure``); a day sets prices and bounds
(``pricing``), and risk aversion changes the cost of :math:`\zeta` and :math:`u_s` only.

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

from bessvpp.optimizer.pricing import PricedStructure
from bessvpp.optimizer.problem import SCHEDULE, Bar, Plan, Problem
from bessvpp.optimizer.strict import relaxed_and_strict
from bessvpp.prices import PriceScenarios
from bessvpp.risk import RISK_NEUTRAL, Risk, cvar

PART = 50
"""Scenarios solved together on the way to a first basis of twice as many or more."""


class ArrayProgramme:
    """``statement.TwoStageProgramme`` in arrays, with the same methods and the same plans.

    Solving is fastest for risk aversions that rise from solve to solve. Without
    ``is_risk_averse`` the model has no tail and knows no risk aversion but 0.
    """

    def __init__(
        self, problem: Problem, scenarios: PriceScenarios, is_risk_averse: bool = True
    ) -> None:
        self.problem, self.scenarios = problem, scenarios
        self.n_scenarios, self.n_blocks = scenarios.dam.shape
        self.priced = PricedStructure(problem, scenarios, is_risk_averse)
        self.model = self.priced.model()
        self._bars: frozenset[Bar] = frozenset()
        self._tail_cost = np.zeros(1 + self.n_scenarios)

    def start_with(self, e_start_mwh: np.ndarray) -> None:
        """Go on with the same day from other energies, (U,)."""
        self.problem = self.problem.starting_with(e_start_mwh)
        s = self.priced.s
        kept = self.problem.kept_mwh(e_start_mwh)
        starts = np.broadcast_to(kept, s.start_rows.shape)
        self.model.set_right_sides(s.start_rows, starts)
        if s.schedule is not None and self.problem.schedule_start_mwh is not None:
            self.model.set_right_sides(s.schedule.start_rows, kept[:, None])

    def limit_unbacked(self, limit_mwh: float) -> None:
        """Go on with the same day under another limit, where it has one."""
        self.problem = replace(self.problem, unbacked_max_mwh=limit_mwh)
        self.model.set_most(self.priced.s.limit_rows, limit_mwh)

    def solve(self, risk: Risk = RISK_NEUTRAL) -> Plan:
        """The plan in which no unit charges and discharges at once.

        Raises
        ------
        InfeasibleError
            where HiGHS proves no optimum.
        """
        return relaxed_and_strict(self, risk)[1]

    def optimum(self, risk: Risk = RISK_NEUTRAL, bars: frozenset[Bar] = frozenset()) -> Plan:
        """The best plan that takes no barred direction; see ``strict.Programme``."""
        self._close(bars)
        if not self.model.is_solved and self.n_scenarios >= 2 * PART:
            self._begin()
        if risk.aversion > 0 and not self.model.is_solved:
            self.model.run(risk.aversion)  # the way to a plan is the fastest in a sweep
        self._weigh(risk)
        self.model.run(risk.aversion)
        return self._plan(risk)

    def _close(self, bars: frozenset[Bar]) -> None:
        """Open the directions that are barred no longer, close those that are from now on."""
        low, high = self.priced.low, self.priced.high
        for changed, most in ((self._bars - bars, high), (bars - self._bars, low)):
            if changed:
                columns = np.array(sorted(self._column(bar) for bar in changed))
                self.model.set_limits(columns, low[columns], most[columns])
        self._bars = bars

    def _column(self, bar: Bar) -> int:
        s = self.priced.s
        if bar.path == SCHEDULE:
            return int(getattr(s.schedule, bar.direction)[bar.unit, bar.block])
        return int(getattr(s, bar.direction)[bar.path, bar.unit, bar.block])

    def _weigh(self, risk: Risk) -> None:
        """Put risk into the cost of zeta and of each u_s, where it is another than before."""
        weights, s = self.scenarios.weights, self.priced.s
        cost = np.append(-risk.aversion, risk.aversion * weights / risk.alpha)
        if not np.array_equal(cost, self._tail_cost):
            self.model.set_costs(np.concatenate([s.zeta, s.tail]), cost)
            self._tail_cost = cost

    def _plan(self, risk: Risk) -> Plan:
        s, x, weights = self.priced.s, self.model.values, self.scenarios.weights
        profit = self.priced.profit_rs(x)
        objective = -float(self.priced.cost @ x) - self.priced.daily_rs
        objective -= float(weights @ self.priced.auxiliary_rs)
        lp_cvar = None
        if risk.aversion > 0:
            lp_cvar = float(x[s.zeta[0]] - weights @ x[s.tail] / risk.alpha)
            objective += risk.aversion * lp_cvar
        undelivered = np.zeros((self.n_scenarios, self.n_blocks))
        if self.priced.shape.is_recourse:
            undelivered = x[s.short] - x[s.excess]
        return Plan(
            dam_mw=x[s.sale] - x[s.purchase],
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
        )

    # ------------------------------------------------------------------ a first basis

    def _begin(self) -> None:
        """A first basis: the plan of some scenarios, and each other part's recourse to it.

        Pivots in a small model are cheap and all parts together are one basis of the whole,
        since scenarios meet in the DAM schedule alone. Where a part cannot follow the schedule
        (its RTM is closed where that of others is open), the model begins without a basis.
        """
        s, status = self.priced.s, highspy.HighsBasisStatus
        size = self.model.highs.getNumRow(), self.model.highs.getNumCol()
        whole = [status.kBasic] * size[0], [status.kLower] * size[1]
        dam_mw = None
        for low in range(0, self.n_scenarios, PART):
            high = min(low + PART, self.n_scenarios)
            part = self._part(low, high, dam_mw)
            if not part.model.is_optimal():
                return
            basis, of_part = part.model.basis(), part.priced.s
            for kind in (0, 1):
                first, there, each = s.n_first[kind], of_part.n_first[kind], s.n_each[kind]
                whole[kind][first + low * each : first + high * each] = basis[kind][
                    there : there + (high - low) * each
                ]
                if dam_mw is None:
                    whole[kind][:first] = basis[kind][:first]
            for k in range(sum(self.priced.shape.n_lines)):
                at, there = s.matrix.shape[0] + k * self.n_scenarios, of_part.matrix.shape[0]
                lines = slice(there + k * (high - low), there + (k + 1) * (high - low))
                whole[0][at + low : at + high] = basis[0][lines]
            if dam_mw is None:
                dam_mw = [part.model.values[c] for c in (of_part.sale, of_part.purchase)]
        for column in s.zeta:
            whole[1][column] = status.kZero
        self.model.start_from(*whole)

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
        for columns, mw in zip((part.priced.s.sale, part.priced.s.purchase), dam_mw, strict=True):
            part.model.set_limits(columns, mw, mw)
        return part
