"""A question of a chapter, asked again with another lambda, battery or hurdle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bessvpp import battery
from bessvpp.backtest.frontier import sweep_frontiers
from bessvpp.backtest.policies import commitment_of
from bessvpp.backtest.window import Window
from bessvpp.compute.workers import ONE, Workers
from bessvpp.optimizer.dispatch import plan_day
from bessvpp.params.load import Params
from bessvpp.risk import cvar
from bessvpp.settlement.promise import planned_causal

Values = Mapping[str, float]
"""``risk_aversion``, ``battery_mwh`` (all units' nameplate) and ``hurdle_dam_rs_per_mwh``."""
LAMBDAS = (0.0, 0.1, 0.3, 1.0, 5.0)
SHARES = (0.5, 1.0, 1.5, 2.0)  # of the run's own battery
HURDLES_RS_PER_MWH = (0.0, 50.0, 100.0, 250.0)
DAYS = 4
"""Days that a frontier's question is asked of, so that an answer takes seconds."""


@dataclass(frozen=True)
class WhatIf:
    """A question that can be asked with other values.

    own : the run's own values
    tried : those that a page answers without being asked, its own first
    answers : figures by name, for each of some values
    alpha : tail share of the CVaR among them
    """

    own: Values
    tried: tuple[Values, ...]
    answers: Callable[[Sequence[Values]], list[dict[str, float]]]
    alpha: float

    @property
    def options(self) -> dict[str, tuple[float, ...]]:
        """What may be chosen of each value, the run's own among them."""
        offered = {
            "risk_aversion": LAMBDAS,
            "battery_mwh": tuple(share * self.own["battery_mwh"] for share in SHARES),
            "hurdle_dam_rs_per_mwh": HURDLES_RS_PER_MWH,
        }
        return {name: tuple(sorted({*some, self.own[name]})) for name, some in offered.items()}


def own_values(params: Params) -> dict[str, float]:
    """The values of a run."""
    return {
        "risk_aversion": params.risk.risk_aversion,
        "battery_mwh": params.bess.e_nameplate_mwh,
        "hurdle_dam_rs_per_mwh": params.market.hurdle_dam_rs_per_mwh,
    }


def with_values(params: Params, values: Values) -> Params:
    """Parameters with other values; a frontier has that lambda alone.

    Raises
    ------
    ParameterError
        where the battery could not reach its target energy in a day.
    """
    aversion, hurdle = values["risk_aversion"], values["hurdle_dam_rs_per_mwh"]
    risk = {"risk_aversion": aversion, "lambdas": (aversion,)}
    return params.model_copy(
        update={
            "bess": params.bess.with_energy(values["battery_mwh"]),
            "market": params.market.model_copy(update={"hurdle_dam_rs_per_mwh": hurdle}),
            "risk": params.risk.model_copy(update=risk),
        }
    )


def of_day(window: Window, day: int, fan: str) -> WhatIf:
    """What if this day were planned with other values?

    Figures are mean and CVaR of a day with causal recourse along the fan [Rs], what is traded in
    the DAM [MWh], and what the plan expects to hold at midnight [MWh].
    """

    def answer(values: Values) -> dict[str, float]:
        asked = replace(window, params=with_values(window.params, values))
        params, scenarios = asked.params, asked.fans[fan][day]
        problem = asked.problem(battery.start_energy(params.bess), day)
        problem = asked.with_energy_value(problem, day)
        plan = plan_day(problem, asked.planning_fan(fan, day), params.risk.risk)
        unit_mw = commitment_of(problem, plan).unit_mw
        way = params.backtest.recourse
        rs = planned_causal(problem, scenarios, unit_mw, params.market, way)
        return {
            "mean_rs": float(scenarios.weights @ rs),
            "cvar_rs": cvar(rs, params.risk.alpha, scenarios.weights),
            "dam_traded_mwh": float(np.abs(problem.block_hours * plan.dam_mw).sum()),
            "e_end_mwh": float(plan.e_end_mwh.sum()),
        }

    own = own_values(window.params)
    others = {
        "risk_aversion": 1.0 if own["risk_aversion"] != 1 else 0.0,
        "battery_mwh": own["battery_mwh"] / 2,
        "hurdle_dam_rs_per_mwh": 0.0 if own["hurdle_dam_rs_per_mwh"] else 100.0,
    }
    tried = (own, *({**own, name: value} for name, value in others.items()))
    alpha = window.params.risk.alpha
    return WhatIf(own, tried, lambda asked: [answer(values) for values in asked], alpha)


def of_frontier(window: Window, fan: str, workers: Workers = ONE) -> WhatIf:
    """What if a point of the frontier had other values, over the first ``DAYS`` days?

    Figures are planned and realised mean and CVaR of a day with causal recourse [Rs].
    """
    short = first_days(window, DAYS, fan)
    kinds = ("planned_mean_rs", "planned_cvar_rs", "realised_mean_rs", "realised_cvar_rs")

    def answers(asked: Sequence[Values]) -> list[dict[str, float]]:
        windows = [replace(short, params=with_values(short.params, values)) for values in asked]
        found = sweep_frontiers(windows, workers)
        return [{kind: float(one.points[kind].iloc[0]) for kind in kinds} for one in found]

    own = own_values(window.params)
    tried = (own, {**own, "battery_mwh": own["battery_mwh"] / 2})
    return WhatIf(own, tried, answers, window.params.risk.alpha)


def first_days(window: Window, n_days: int, fan: str) -> Window:
    """The first days of a window, with one fan."""
    expected = window.expected_rtm
    return replace(
        window,
        days=window.days[:n_days],
        fans={fan: window.fans[fan][:n_days]},
        medians=window.medians[:n_days],
        expected_rtm=None if expected is None else expected[:n_days],
        laws=window.laws[:n_days],
    )
