"""What each idea of the plan is worth: the same days with it and without it, in pairs.

Every variant is the two-stage plan on one fan with one thing changed, committed at its gates and
settled with causal recourse, unless its name says otherwise. Rules for midnight leave different
energy behind, so the last day also counts V of the energy that is left, the same V for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bessvpp.backtest.bid_kinds import cleared_at_worth
from bessvpp.backtest.policies import (
    Commitment,
    OnMean,
    Policy,
    TwoStage,
    commitment_of,
    nothing_committed,
    typical_day,
)
from bessvpp.backtest.simulate import (
    as_days,
    ceiling_problem,
    commit_chain,
    known_prices,
    settle_chain,
)
from bessvpp.backtest.summary import paired
from bessvpp.backtest.window import Window
from bessvpp.battery import start_energy
from bessvpp.compute.workers import Work
from bessvpp.optimizer import dispatch
from bessvpp.optimizer.energy_value import energy_values
from bessvpp.optimizer.problem import EnergyValue, Problem
from bessvpp.prices import PriceScenarios
from bessvpp.settlement.day import AS_COMMITTED, CAUSAL, HINDSIGHT, SettledDay, nets_of

PLAN = "two-stage plan"
CEILING = "ceiling"


@dataclass(frozen=True)
class Variant:
    """A window with something changed, and how it is committed, bid and settled."""

    window: Window
    policy: Policy
    settlement: str = CAUSAL
    bid_at_worth_on: str = ""  # the fan that says what bids are worth; "": at any price


@dataclass(frozen=True)
class Idea:
    """One thing that a plan can do or know, and the two variants that differ in it."""

    name: str
    with_it: str
    without: str


IDEAS = (
    Idea("trading the RTM, too", PLAN, "DAM alone, as committed"),
    Idea("trading the DAM, too", PLAN, "RTM alone"),
    Idea("scenarios in place of mean prices", PLAN, "mean prices"),
    Idea("whole days in place of single blocks", PLAN, "each block by itself"),
    Idea("minding bad days (CVaR)", PLAN, "lambda 0"),
    Idea("a financial schedule, not a physical one", "financial commitment", PLAN),
    Idea("midnight by the whole plan", "hard target, midnight by plan", "hard target"),
    Idea(
        "a worth V for energy kept at midnight", "without hurdles", "hard target, midnight by plan"
    ),
    Idea("hurdles", PLAN, "without hurdles"),
    Idea("bids with a limit price", "bids at their worth", PLAN),
    Idea("knowing the DAM", "DAM known", PLAN),
    Idea("knowing the RTM after the DAM", "RTM known in recourse", PLAN),
    Idea("knowing both markets", CEILING, PLAN),
)
"""What is compared; a gain may be a loss."""

STAIRCASE = {
    "RTM alone": "RTM alone, nothing committed",
    "simple rule": "a simple rule (typical day)",
    "hard target": "two-stage plan, each midnight its own",
    "hard target, midnight by plan": "midnight by the whole plan",
    "without hurdles": "energy kept at its worth V",
    PLAN: "a hurdle",
    "RTM known in recourse": "RTM known after the DAM",
    CEILING: "ceiling: all prices known",
}
"""From nothing committed to the ceiling, an idea a step: each variant with what it adds."""


def variants(window: Window, fan: str) -> dict[str, Variant]:
    """The plan on a fan, and what it is compared with."""
    plan = TwoStage(fan)
    strict = with_rules(window, terminal="hard", midnight="own")
    hard = with_rules(window, terminal="hard", midnight="plan")
    bare = with_costs(window, hurdle_dam_rs_per_mwh=0.0, hurdle_rtm_rs_per_mwh=0.0)
    return {
        "RTM alone": Variant(window, nothing_committed),
        "simple rule": Variant(strict, typical_day),
        "hard target": Variant(strict, plan),
        "hard target, midnight by plan": Variant(hard, plan),
        "without hurdles": Variant(bare, plan),
        PLAN: Variant(window, plan),
        "RTM known in recourse": Variant(window, plan, HINDSIGHT),
        "mean prices": Variant(window, OnMean(fan)),
        "each block by itself": Variant(with_fan(window, fan, _each_block_by_itself), plan),
        "lambda 0": Variant(with_risk(window, risk_aversion=0.0), plan),
        "financial commitment": Variant(with_rules(window, commitment="financial"), plan),
        "DAM known": Variant(with_fan(window, fan, _dam_known), plan),
        "DAM alone, as committed": Variant(window, DamAlone(fan), AS_COMMITTED),
        "bids at their worth": Variant(window, plan, bid_at_worth_on=fan),
    }


@dataclass(frozen=True)
class DamAlone:
    """The best schedule on a fan's DAM paths where there is no RTM."""

    fan: str

    def __call__(self, window: Window, day: int, problem: Problem) -> Commitment:
        """A policy: commits for one day."""
        alone = replace(window.with_energy_value(problem, day), rtm_allowed=False)
        risk = window.params.risk.risk
        return commitment_of(alone, dispatch.plan_day(alone, window.fans[self.fan][day], risk))


def _each_block_by_itself(window: Window, day: int, fan: PriceScenarios) -> PriceScenarios:
    """The same marginals with every block of either market drawn by itself."""
    rng = np.random.default_rng([window.params.scenarios.seed, day])
    return PriceScenarios(rng.permuted(fan.dam, axis=0), rng.permuted(fan.rtm, axis=0), fan.weights)


def _dam_known(window: Window, day: int, fan: PriceScenarios) -> PriceScenarios:
    """The day's own DAM in every scenario; the RTM moves along with it."""
    dam = np.broadcast_to(window.realised(day).dam, fan.dam.shape)
    cap = window.params.market.cap_rs_per_mwh(window.days[day].item())
    floor = window.params.market.price_floor_rs_per_mwh
    return PriceScenarios(dam, np.clip(dam + fan.rtm - fan.dam, floor, cap), fan.weights)


def with_fan(
    window: Window, fan: str, change: Callable[[Window, int, PriceScenarios], PriceScenarios]
) -> Window:
    """The window with another fan in place of one."""
    days = [change(window, day, scenarios) for day, scenarios in enumerate(window.fans[fan])]
    return replace(window, fans={fan: days})


def with_rules(window: Window, **changes: str | float | None) -> Window:
    """The window with other fields of ``BacktestParams``; values are not checked anew."""
    return _with_section(window, "backtest", changes)


def with_costs(window: Window, **changes: float) -> Window:
    """The window with other fields of ``MarketParams``."""
    return _with_section(window, "market", changes)


def with_risk(window: Window, **changes: float) -> Window:
    """The window with other fields of ``RiskParams``."""
    return _with_section(window, "risk", changes)


def _with_section(window: Window, name: str, changes: Mapping[str, object]) -> Window:
    section = getattr(window.params, name).model_copy(update=changes)
    return replace(window, params=window.params.model_copy(update={name: section}))


def daily_nets(window: Window, fan: str) -> Work:
    """Net of each variant and of the ceiling [Rs]: a frame, a row a day and a column each.

    Parameters
    ----------
    fan : of the plan
    """
    bare = replace(window, fans={fan: window.fans[fan]}, medians=())
    chosen = variants(bare, fan)

    def gathered(found: list[np.ndarray]) -> pd.DataFrame:
        nets = dict(zip([*chosen, CEILING], found, strict=True))
        return pd.DataFrame(nets, index=window.days.astype(str))

    tasks = [(net_of_days, variant) for variant in chosen.values()]
    return Work([*tasks, (_ceiling_nets, bare)], gathered)


def _ceiling_nets(window: Window) -> np.ndarray:
    """The most that any of the variants could reach, V of the energy left counted as theirs is."""
    values = _last_values(window)
    problem = replace(ceiling_problem(window), terminal="value", energy_values=values)
    plan = dispatch.ceiling(replace(problem, name="the ceiling with V"), known_prices(window))
    return _with_what_is_left(window, as_days(window, plan))


def net_of_days(variant: Variant) -> np.ndarray:
    """(D,) net of each day [Rs]; that of the last one with V of the energy left at its end."""
    commitments = commit_chain(variant.window, variant.policy)
    if fan := variant.bid_at_worth_on:
        commitments = cleared_at_worth(variant.window, fan, commitments)
    settled = settle_chain(variant.window, commitments, variant.settlement)
    return _with_what_is_left(variant.window, settled)


def _with_what_is_left(window: Window, days: Sequence[SettledDay]) -> np.ndarray:
    """(D,) net of each day [Rs]; that of the last one with V of the energy left at its end."""
    net = nets_of(days)
    left = zip(_last_values(window), days[-1].e_end_mwh, strict=True)
    net[-1] += sum(float(value(energy)) for value, energy in left)
    return net


def _last_values(window: Window) -> tuple[EnergyValue, ...]:
    """V of each unit as known at the gate of the last day."""
    last = len(window.days) - 1
    problem = window.problem(start_energy(window.params.bess), last)
    return energy_values(problem, window.expected_tomorrow(last))


def worth(nets: pd.DataFrame) -> pd.DataFrame:
    """A row an idea: what it earns over all days with a paired 90 % band [Rs].

    Parameters
    ----------
    nets : what ``daily_nets`` comes to
    """
    rows = []
    for idea in IDEAS:
        found = paired(nets[idea.with_it].to_numpy(), nets[idea.without].to_numpy())
        gain, low, high = found.values()
        beyond = low > 0 or high < 0
        row = {"idea": idea.name, "with it": idea.with_it, "without": idea.without}
        rows.append(row | {"gain_rs": gain, "low_rs": low, "high_rs": high, "beyond": beyond})
    return pd.DataFrame(rows)
