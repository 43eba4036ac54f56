"""The two-stage programme of one unit and many scenarios, with most of its cells closed.

The same plans as ``engine``, to the solver's tolerance, at a fraction of its time: see ``cells``.
What it leaves to the engine is said in ``is_condensable`` alone.
"""

from __future__ import annotations

import numpy as np

from bessvpp import battery, ledger
from bessvpp.optimizer.cells import CellModel
from bessvpp.optimizer.engine import ArrayProgramme
from bessvpp.optimizer.problem import SCHEDULE, Bar, Plan, Problem
from bessvpp.optimizer.scenario_paths import paths_to, rates_of
from bessvpp.optimizer.strict import relaxed_and_strict
from bessvpp.prices import PriceScenarios
from bessvpp.risk import RISK_NEUTRAL, Risk, cvar

LEAST_SCENARIOS = 100
"""With fewer there is little to gain, and plans stay as they were to the last digit."""
SAMPLE = 50
"""Scenarios whose own plan all of them begin with."""


def is_condensable(
    problem: Problem, scenarios: PriceScenarios, is_risk_averse: bool = True
) -> bool:
    """Whether ``CondensedProgramme`` states a problem; all others are the engine's.

    It is of one unit that its grid connection never limits, without taper, limit on cycles,
    self-discharge, outages or energies outside its window, over one day with the RTM open
    throughout, and its DAM trade is to be chosen without a limit on what is unbacked. No scenario
    gains by charging and discharging at once, so that this need not be forbidden. Where risk
    counts, energy left at the end has no value: as that is in no CVaR, every scenario of the tail
    would have an energy price of its own, not known before, and cells are opened again and again.
    """
    bess, costs = problem.bess, problem.costs
    if len(bess.units) != 1 or scenarios.weights.size < LEAST_SCENARIOS:
        return False
    (unit,) = bess.units
    if (
        (is_risk_averse and problem.terminal == "value")
        or battery.may_exceed_connection(bess)
        or unit.is_tapered
        or unit.max_cycles_per_day is not None
        or unit.self_discharge_per_hour > 0
        or unit.outages
        or problem.energy_limits is not None
        or problem.fixed_dam_mw is not None
        or problem.past is not None
        or problem.is_limited
        or not problem.rtm_allowed
        or scenarios.dam.shape[1] != problem.blocks_per_day
        or not np.isfinite(scenarios.rtm).all()
        or not (scenarios.weights > 0).all()
    ):
        return False
    sold = scenarios.rtm - costs.fee_rtm_rs_per_mwh - costs.off_dam_penalty_rs_per_mwh
    sold = sold - costs.hurdle_rtm_rs_per_mwh
    flow = ledger.flow_cost_rs_per_mwh(costs, scenarios.dam, scenarios.rtm)
    both = (sold + flow) / unit.eta_charge
    both = both - (sold - flow - unit.wear_rs_per_mwh_discharged) * unit.eta_discharge
    return bool((both > 1.0).all())


class CondensedProgramme:
    """``engine.ArrayProgramme`` where ``is_condensable``, with the same methods and plans."""

    def __init__(self, problem: Problem, scenarios: PriceScenarios) -> None:
        self.problem, self.scenarios = problem, scenarios
        self.rates = rates_of(problem, scenarios)
        self._solved: CellModel | None = None
        self._is_new = False  # another start than that of the last solution
        self._opened = np.zeros(scenarios.rtm.shape, dtype=bool)

    def start_with(self, e_start_mwh: np.ndarray) -> None:
        """Go on with the same day from other energies, (U,)."""
        if not np.array_equal(e_start_mwh, self.problem.e_start_mwh):
            self.problem = self.problem.starting_with(e_start_mwh)
            self._is_new = True

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
        if any(bar.path != SCHEDULE for bar in bars):
            return ArrayProgramme(self.problem, self.scenarios).optimum(risk, bars)
        cells = self._begin() if self._solved is None else self._solved
        if self._is_new and self._solved is not None:
            cells = self._again(cells)
        while True:
            self._close(cells, bars)
            self._weigh(cells, risk)
            cells.model.run(risk.aversion)
            self._solved, self._is_new = cells, False
            found = cells.unjustified()
            if not found.any():
                return self._plan(cells, risk)
            self._opened |= found
            cells = self._again(cells)

    def _begin(self) -> CellModel:
        """All scenarios, from the schedule that is best for some of them at risk aversion 0."""
        weights = self.scenarios.weights[:SAMPLE]
        sample = PriceScenarios(
            self.scenarios.dam[:SAMPLE], self.scenarios.rtm[:SAMPLE], weights / weights.sum()
        )
        rates = rates_of(self.problem, sample)
        none, sure = np.zeros(sample.dam.shape[1]), np.zeros(sample.weights.size)
        paths = paths_to(self.problem, rates, sample.weights, none, sure)
        first = CellModel(self.problem, sample, rates, paths)
        first.model.run()
        sure = np.zeros(self.scenarios.weights.size)
        paths = paths_to(self.problem, self.rates, self.scenarios.weights, first.dam_mw(), sure)
        cells = CellModel(self.problem, self.scenarios, self.rates, paths)
        cells.start_from(first.first_basis())
        return cells

    def _again(self, cells: CellModel) -> CellModel:
        """The same from the last schedule and tail, with all open that had to be opened."""
        paths = paths_to(
            self.problem, self.rates, self.scenarios.weights, cells.dam_mw(), cells.tail_duals()
        )
        again = CellModel(self.problem, self.scenarios, self.rates, paths, self._opened)
        again.start_from(cells.first_basis(), cells.tail_basis())
        return again

    @staticmethod
    def _close(cells: CellModel, bars: frozenset[Bar]) -> None:
        """Open all directions of the schedule but those that are barred."""
        if cells.schedule is None:
            return
        low, high = cells.limits
        columns = np.concatenate([cells.schedule.charge[0], cells.schedule.discharge[0]])
        most = high.copy()
        for bar in bars:
            column = getattr(cells.schedule, bar.direction)[bar.unit, bar.block]
            most[column] = low[column]
        cells.model.set_limits(columns, low[columns], most[columns])

    def _weigh(self, cells: CellModel, risk: Risk) -> None:
        """Put risk into the cost of zeta and of each u_s."""
        cost = np.append(-risk.aversion, risk.aversion * self.scenarios.weights / risk.alpha)
        cells.model.set_costs(np.append(cells.zeta, cells.tail), cost)

    def _always_rs(self) -> np.ndarray:
        """(S,) paid whatever is done."""
        costs, dam, rtm = self.problem.costs, self.scenarios.dam, self.scenarios.rtm
        auxiliary = ledger.auxiliary_rs(
            self.problem.bess, costs, self.problem.block_hours, dam, rtm
        )
        return costs.scheduling_rs_per_day + auxiliary

    def _profits(self, cells: CellModel) -> np.ndarray:
        """(S,) profit of the last solution."""
        x, (charge, discharge, _) = cells.model.values, cells.flows()
        rtm = discharge - charge - cells.dam_mw()
        sides = {
            "dam_sale": x[cells.sale],
            "dam_purchase": x[cells.purchase],
            "rtm_sale": np.maximum(rtm, 0.0),
            "rtm_purchase": np.maximum(-rtm, 0.0),
            "charge": charge,
            "discharge": discharge,
        }
        rates = self.rates.profit_rs
        return sum((rates[side] * mw).sum(axis=1) for side, mw in sides.items()) - self._always_rs()

    def _plan(self, cells: CellModel, risk: Risk) -> Plan:
        weights, x = self.scenarios.weights, cells.model.values
        charge, discharge, energy = cells.flows()
        dam, profits = cells.dam_mw(), self._profits(cells)
        rtm = discharge - charge - dam
        objective = -cells.model.cost - cells.always_rs - float(weights @ self._always_rs())
        lp_cvar = None
        if risk.aversion > 0:
            lp_cvar = float(x[cells.zeta[0]] - weights @ x[cells.tail] / risk.alpha)
        return Plan(
            dam_mw=dam,
            rtm_mw=rtm,
            charge_mw=charge[:, None],
            discharge_mw=discharge[:, None],
            energy_mwh=energy[:, None],
            weights=weights,
            undelivered_mw=np.zeros_like(rtm),
            profit_rs=profits,
            mean_rs=float(weights @ profits),
            cvar_rs=cvar(profits, risk.alpha, weights),
            objective_rs=objective,
            lp_cvar_rs=lp_cvar,
        )
