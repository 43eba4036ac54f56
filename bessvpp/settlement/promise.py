"""What a DAM commitment promises: its day's profit with causal recourse along a fan's own paths.

The RTM is traded along every path as it is in settlement, session by session and never with
hindsight. What a gate expects along a path is what the fan itself implies there: the fan's mean,
moved by the path's DAM, which is published before any RTM gate, and by how its RTM has surprised
so far. Both are fitted on the fan, for a promise is a statement within the fan's own world: its
trader knows the fan's law, and not which of the paths he is on. That the fan may be wrong is what
``backtest.promise`` judges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bessvpp.market.clock import blocks_behind, session_starts
from bessvpp.optimizer.foresight import rtm_given_dam
from bessvpp.optimizer.problem import Problem
from bessvpp.optimizer.surprise import SurpriseLaw, law_of_paths, sure_law
from bessvpp.params.market import MarketParams
from bessvpp.params.study import RecourseName
from bessvpp.prices import PriceScenarios
from bessvpp.settlement.bids import trade_on_bids
from bessvpp.settlement.recourse import Gates, Traded, trade_on_expectations


@dataclass(frozen=True)
class FanView:
    """What a fan implies for its RTM within the day: S paths, T blocks."""

    expected_rtm: np.ndarray  # (S, T) given the whole DAM of the path, Rs/MWh
    surprises_rs: np.ndarray  # (S, T) RTM minus that; NaN where there is no RTM
    law: SurpriseLaw

    @classmethod
    def of(cls, scenarios: PriceScenarios) -> FanView:
        """The view of a fan, within its own world."""
        expected = rtm_given_dam(scenarios)
        surprises = scenarios.rtm - expected
        if len(scenarios.weights) == 1:
            return cls(expected, surprises, sure_law(expected.shape[1]))
        low, high = np.nanmin(scenarios.rtm), np.nanmax(scenarios.rtm)
        return cls(expected, surprises, law_of_paths(surprises, scenarios.weights, low, high))

    def gates(self, starts: np.ndarray, behind: int, rtm: np.ndarray) -> Gates:
        """Expectations anew at each gate, moved by the latest RTM price known there.

        Parameters
        ----------
        rtm : (S, T) prices of the paths, of which each gate sees those before it
        """
        law, (n_paths, n_blocks) = self.law, rtm.shape
        expected = np.broadcast_to(self.expected_rtm, (len(starts), n_paths, n_blocks)).copy()
        for k, first in enumerate(starts):
            last = first - behind
            if last < 0:
                continue
            chance = law.weights_of(rtm[:, last], self.expected_rtm[:, last], last)
            chance = chance @ np.linalg.matrix_power(law.transition, behind)
            for t in range(first, n_blocks):
                expected[k, :, t] += law.spread_rs[t] * (chance @ law.nodes)
                chance = chance @ law.transition
        return Gates(starts, np.clip(expected, law.low, law.high), behind)


def trade_along_fan(
    problem: Problem,
    scenarios: PriceScenarios,
    unit_dam_mw: np.ndarray,
    rules: MarketParams,
    recourse: RecourseName = "dynamic",
    view: FanView | None = None,
) -> Traded:
    """A commitment traded causally along each path of a fan; parameters of ``planned_causal``.

    ``view`` is what gates expect, where that is not what the ``scenarios`` themselves imply.
    """
    n_blocks = unit_dam_mw.shape[1]
    starts, behind = session_starts(rules, n_blocks), blocks_behind(rules, n_blocks)
    view = FanView.of(scenarios) if view is None else view
    if recourse == "expected" or len(scenarios.weights) == 1:  # a sure path leaves no choice
        gates = view.gates(starts, behind, scenarios.rtm)
        return trade_on_expectations(problem, scenarios, unit_dam_mw, gates)
    gates = Gates(starts, view.expected_rtm[None], behind)
    return trade_on_bids(problem, scenarios, unit_dam_mw, gates, view.law)


def planned_causal(
    problem: Problem,
    scenarios: PriceScenarios,
    unit_dam_mw: np.ndarray,
    rules: MarketParams,
    recourse: RecourseName = "dynamic",
) -> np.ndarray:
    """(S,) profit of a day in each scenario with causal recourse, settled by the ledger [Rs].

    Parameters
    ----------
    problem : what the day is planned from: energy at midnight, terminal rule, V(e) under ``value``
    scenarios : the fan of the day, as it was at the gate of the commitment
    unit_dam_mw : (U, T) DAM schedule of each unit, positive sells
    rules : which say when the RTM's gates are
    recourse : how settlement trades; by default not that of ``settle``, which is ``expected``

    Examples
    --------
    >>> dam = 4000 + 2000 * np.cos((np.arange(24) - 19) * np.pi / 12)
    >>> rtm = np.stack([dam - 900, dam + 2500])  # mostly below the DAM, at times far above
    >>> fan = bv.PriceScenarios(np.stack([dam, dam]), rtm, weights=np.array([0.8, 0.2]))
    >>> params = bv.load_params()
    >>> problem = bv.with_energy_value(bv.Problem.of_day(params, block_hours=1.0), dam)
    >>> plan = bv.plan_day(problem, fan, bv.Risk())
    >>> profit = bv.planned_causal(problem, fan, plan.unit_dam_mw, params.market)
    >>> profit.shape, bool((profit < plan.profit_rs + 1).all())  # never above hindsight
    ((2,), True)
    """
    return trade_along_fan(problem, scenarios, unit_dam_mw, rules, recourse).ledger.net_rs
