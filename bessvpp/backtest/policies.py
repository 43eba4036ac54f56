"""What is committed in the day-ahead market at the gate: rules of thumb and the two-stage plan.

A policy knows only the past of its gate. A new one is a function here, its line in ``SIMPLE`` and
its name in ``params.study.PolicyName``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bessvpp import battery
from bessvpp.backtest.window import Window
from bessvpp.battery import start_energy
from bessvpp.compute.cache import Arrays, Cache
from bessvpp.market.history import mean_spread, week_mean, whole_days
from bessvpp.optimizer import dispatch
from bessvpp.optimizer.energy_value import with_energy_value
from bessvpp.optimizer.problem import Plan, Problem
from bessvpp.prices import PriceScenarios
from bessvpp.risk import Risk

BASELINE = "nothing_committed"
FIXED_CHARGE_HOURS = (11, 13)
FIXED_DISCHARGE_HOURS = (18, 20)


@dataclass(frozen=True)
class Commitment:
    """DAM schedule of a day: U units, T blocks."""

    unit_mw: np.ndarray  # (U, T) who delivers what
    e_end_mwh: np.ndarray  # (U,) energy planned for the end of the day

    @property
    def dam_mw(self) -> np.ndarray:
        """(T,) committed in the DAM, positive sells."""
        return self.unit_mw.sum(axis=0)


Policy = Callable[[Window, int, Problem], Commitment]
"""Commits for one day, given the window, the day's place in it, and the planning problem."""


def planned_end(problem: Problem, e_end_mwh: np.ndarray) -> np.ndarray:
    """Energy that the next day is planned from: the target under ``hard``, else the plan's."""
    target = problem.e_end_min_mwh
    return e_end_mwh if target is None else target


def commitment_of(problem: Problem, plan: Plan) -> Commitment:
    """A plan's commitment, and the energy that it plans for the end of the day.

    Where a schedule is on its own at ``midnight``, a physical commitment plans for what it
    leaves by itself, so that the next one can be delivered without the RTM too. Any other
    plans for what it expects after recourse; a financial one is shared over units by power.
    """
    units, unit_mw, e_end = problem.bess.units, plan.unit_dam_mw, plan.e_end_mwh
    if unit_mw is None:
        unit_mw = problem.share_by_power(plan.dam_mw)
    elif problem.midnight == "own":
        paths = [
            battery.energy_path(unit, mw, start, problem.block_hours)
            for unit, mw, start in zip(units, unit_mw, problem.e_start_mwh, strict=True)
        ]
        lowest, highest = zip(*((unit.e_min_mwh, unit.e_max_mwh) for unit in units), strict=True)
        e_end = np.clip([path[-1] for path in paths], lowest, highest)
    return Commitment(unit_mw, planned_end(problem, e_end))


@dataclass(frozen=True)
class DayPlan:
    """What is kept of a day's plan for one risk aversion."""

    commitment: Commitment
    profit_rs: np.ndarray  # (S,) planned, in each scenario
    relaxation_gap_rs: float  # of the objective, lost to barred directions


def plan_lambdas(
    cache: Cache,
    problem: Problem,
    scenarios: PriceScenarios,
    lambdas: Sequence[float],
    alpha: float,
    starts_mwh: Sequence[np.ndarray] | None = None,
) -> list[DayPlan]:
    """Plans of one day for several risk aversions, solved unless they were before.

    Parameters
    ----------
    starts_mwh : (U,) energy that each plan starts from; by default the problem's for all
    """
    starts = [problem.e_start_mwh] * len(lambdas) if starts_mwh is None else starts_mwh

    def solved() -> list[Plan]:
        return dispatch.sweep(problem, scenarios, lambdas, alpha, starts_mwh)

    asked = (problem, scenarios, tuple(lambdas), alpha, starts_mwh)
    return _kept(cache, asked, [problem.starting_with(start) for start in starts], solved)


def plan_limits(
    cache: Cache,
    problem: Problem,
    scenarios: PriceScenarios,
    limits_mwh: Sequence[float],
    risk: Risk,
    starts_mwh: Sequence[np.ndarray],
) -> list[DayPlan]:
    """Plans of one day for several limits on unbacked DAM trade, solved unless they were before.

    Parameters
    ----------
    starts_mwh : (U,) energy that the plan under each limit starts from
    """

    def solved() -> list[Plan]:
        return dispatch.sweep_limits(problem, scenarios, limits_mwh, risk, starts_mwh)

    asked = ("limits", problem, scenarios, tuple(limits_mwh), risk, starts_mwh)
    return _kept(cache, asked, [problem.starting_with(start) for start in starts_mwh], solved)


def _kept(
    cache: Cache, asked: object, problems: Sequence[Problem], solved: Callable[[], list[Plan]]
) -> list[DayPlan]:
    """What is kept of plans, each of its own problem, solved unless they are in the cache."""

    def compute() -> Arrays:
        plans = solved()
        commitments = list(map(commitment_of, problems, plans))
        return {
            "unit_mw": np.array([commitment.unit_mw for commitment in commitments]),
            "e_end_mwh": np.array([commitment.e_end_mwh for commitment in commitments]),
            "profit_rs": np.array([plan.profit_rs for plan in plans]),
            "relaxation_gap_rs": np.array([plan.relaxation_gap_rs for plan in plans]),
        }

    found = cache.arrays(asked, compute)
    names = ("unit_mw", "e_end_mwh", "profit_rs", "relaxation_gap_rs")
    return [
        DayPlan(Commitment(unit_mw, e_end), profit, float(gap))
        for unit_mw, e_end, profit, gap in zip(*(found[name] for name in names), strict=True)
    ]


def plan_chains(
    window: Window,
    fan: str,
    n_chains: int,
    plan: Callable[[Problem, PriceScenarios, Sequence[np.ndarray]], list[DayPlan]],
) -> list[list[DayPlan]]:
    """Chains side by side over all days, each day from the energy planned for the end of the last.

    Parameters
    ----------
    plan : gives the plans of a day, one a chain, from its problem, its scenarios as planned on,
        and the (U,) energy that each chain starts from
    """
    start = start_energy(window.params.bess)
    energies = [start] * n_chains
    days = []
    for day in range(len(window.days)):
        problem = window.with_energy_value(window.problem(start, day), day)
        plans = plan(problem, window.planning_fan(fan, day), energies)
        energies = [one.commitment.e_end_mwh for one in plans]
        days.append(plans)
    return [list(chain) for chain in zip(*days, strict=True)]


def day_tasks(window: Window, fan: str, lambdas: Sequence[float]) -> list[tuple[object, ...]]:
    """What ``plan_lambdas`` is given for each day of a window whose days are independent."""
    energy = start_energy(window.params.bess)
    tasks: list[tuple[object, ...]] = []
    for day in range(len(window.days)):
        problem, scenarios = window.problem(energy, day), window.planning_fan(fan, day)
        tasks.append((window.cache, problem, scenarios, lambdas, window.params.risk.alpha))
        energy = planned_end(problem, energy)
    return tasks


def nothing_committed(window: Window, day: int, problem: Problem) -> Commitment:
    """No DAM trade at all."""
    return as_followed(problem, np.zeros((len(problem.bess.units), window.market.n_blocks)))


def as_followed(problem: Problem, unit_mw: np.ndarray) -> Commitment:
    """A schedule (U, T) as far as the plant can follow it, and the energy that it leaves."""
    done = problem.follow(unit_mw)
    net_mw = done.discharge_mw - done.charge_mw
    return Commitment(net_mw, planned_end(problem, done.energy_mwh[:, -1]))


def fixed_windows(window: Window, day: int, problem: Problem) -> Commitment:
    """Charge evenly from 11 to 13 as far as there is room, sell it evenly from 18 to 20."""
    goal = planned_end(problem, problem.e_start_mwh)
    e_end = problem.e_start_mwh.astype(float)
    per_hour = window.market.n_blocks // 24
    unit_mw = np.zeros((len(problem.bess.units), window.market.n_blocks))
    bess, units = problem.bess, problem.bess.units
    share_in = min(1.0, bess.import_limit_mw / sum(unit.charge_max_mw for unit in units))
    share_out = min(1.0, bess.connection_limit_mw / sum(unit.p_max_mw for unit in units))
    for i, unit in enumerate(problem.bess.units):
        charge_max, discharge_max = problem.power_limits(i, window.market.n_blocks)
        charging = slice(*(per_hour * hour for hour in FIXED_CHARGE_HOURS))
        selling = slice(*(per_hour * hour for hour in FIXED_DISCHARGE_HOURS))
        hours_in = FIXED_CHARGE_HOURS[1] - FIXED_CHARGE_HOURS[0]
        hours_out = FIXED_DISCHARGE_HOURS[1] - FIXED_DISCHARGE_HOURS[0]
        surplus = problem.e_start_mwh[i] - goal[i]
        drawn = share_out * discharge_max[selling].min() * hours_out / unit.eta_discharge
        if unit.max_cycles_per_day is not None:
            sold = unit.max_cycles_per_day * unit.e_nameplate_mwh
            drawn = min(drawn, sold / unit.eta_discharge)
        stored = min(
            unit.e_max_mwh - problem.e_start_mwh[i],
            share_in * charge_max[charging].min() * hours_in * unit.eta_charge,
            max(drawn - surplus, 0.0),
        )
        sold = min(max(stored + surplus, 0.0), drawn)
        unit_mw[i, charging] = -stored / unit.eta_charge / hours_in
        unit_mw[i, selling] = sold * unit.eta_discharge / hours_out
        e_end[i] += stored - sold
    if not all(unit.is_ideal for unit in units):
        return as_followed(problem, unit_mw)
    return Commitment(unit_mw, e_end)


def _on_dam_prices(problem: Problem, dam: np.ndarray) -> Commitment:
    """The best DAM schedule at sure DAM prices, with no RTM in mind."""
    alone = replace(problem, rtm_allowed=False)
    plan = dispatch.plan_day(alone, PriceScenarios.single(dam, dam))
    return commitment_of(problem, plan)


def yesterday(window: Window, day: int, problem: Problem) -> Commitment:
    """The best DAM schedule at the prices of the last whole day known."""
    known = window.known_at_gate(day)
    problem = with_energy_value(problem, week_mean(known))
    return _on_dam_prices(problem, whole_days(known)[-1])


def seven_day_mean(window: Window, day: int, problem: Problem) -> Commitment:
    """The best DAM schedule at the mean prices of the last seven days."""
    mean = week_mean(window.known_at_gate(day))
    return _on_dam_prices(with_energy_value(problem, mean), mean)


def typical_day(window: Window, day: int, problem: Problem) -> Commitment:
    """Both markets at typical prices as if sure: the rule of thumb with every freedom.

    The DAM as the mean of the last seven days, the RTM as that plus its mean spread by hour
    over four weeks.
    """
    known = window.known_at_gate(day)
    dam = week_mean(known)
    rules = window.params.market
    cap = rules.cap_rs_per_mwh(window.days[day].item())
    rtm = np.clip(dam + mean_spread(known), rules.price_floor_rs_per_mwh, cap)
    problem = with_energy_value(problem, dam)
    return commitment_of(problem, dispatch.plan_day(problem, PriceScenarios.single(dam, rtm)))


def median(window: Window, day: int, problem: Problem) -> Commitment:
    """Both markets planned on their median forecasts as if these were sure."""
    problem = window.with_energy_value(problem, day)
    plan = dispatch.plan_day(problem, window.medians[day])
    return commitment_of(problem, plan)


@dataclass(frozen=True)
class OnFan:
    """A policy that plans on a fan."""

    fan: str


class OnMean(OnFan):
    """Both markets planned on the fan's mean prices as if these were sure."""

    def __call__(self, window: Window, day: int, problem: Problem) -> Commitment:
        """A policy: commits for one day."""
        problem = window.with_energy_value(problem, day)
        plan = dispatch.plan_day(problem, window.fans[self.fan][day].mean)
        return commitment_of(problem, plan)


class TwoStage(OnFan):
    """The two-stage programme on a fan's scenarios."""

    def __call__(self, window: Window, day: int, problem: Problem) -> Commitment:
        """A policy: commits for one day."""
        problem = window.with_energy_value(problem, day)
        risk, scenarios = window.params.risk.risk, window.planning_fan(self.fan, day)
        plans = plan_lambdas(window.cache, problem, scenarios, [risk.aversion], risk.alpha)
        return plans[0].commitment


SIMPLE: dict[str, Policy] = {
    "nothing_committed": nothing_committed,
    "fixed_windows": fixed_windows,
    "yesterday": yesterday,
    "seven_day_mean": seven_day_mean,
    "typical_day": typical_day,
    "median": median,
}
"""Policies that are one function each."""
ON_FAN: dict[str, type[OnMean] | type[TwoStage]] = {"mean": OnMean, "two_stage": TwoStage}
"""Policies of which there is one for each fan, ``mean_original`` and so on."""


def policies(window: Window) -> dict[str, Policy]:
    """The policies that the parameters name; ``mean`` and ``two_stage`` once for each fan.

    Committing nothing is always among them: it is what the others are measured against.
    """
    wanted = window.params.backtest.policies
    chosen: dict[str, Policy] = {BASELINE: nothing_committed}
    for name in wanted:
        if name in ON_FAN:
            chosen |= {f"{name}_{fan}": ON_FAN[name](fan) for fan in window.fans}
        else:
            chosen[name] = SIMPLE[name]
    return chosen
