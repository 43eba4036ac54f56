"""Policies commit at the gate, knowing only their past; each day is settled in three ways.

``settlement`` states them: as committed, with causal and with hindsight recourse. Recourse earns
money even on an empty commitment, so a policy is judged by its gain over committing nothing
under the same recourse.

The energy that a commitment starts from is the one planned for the end of the day before,
never the one realised, which is not known at the gate. Realised energy is carried from
settled day to settled day, for each policy and each way of settling by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bessvpp import battery
from bessvpp.battery import LEDGER_COLUMNS, start_energy
from bessvpp.compute.cache import NO_CACHE, Arrays, Cache
from bessvpp.compute.workers import ONE, Workers
from bessvpp.errors import DataError, ParameterError
from bessvpp.forecasting import intraday
from bessvpp.forecasting.boosting import MARKETS, read_forecasts
from bessvpp.forecasting.features import gate_time
from bessvpp.market.history import Market
from bessvpp.optimizer import dispatch
from bessvpp.optimizer.problem import Plan, PriceScenarios, Problem
from bessvpp.params.load import Params
from bessvpp.risk import bootstrap_band, cvar
from bessvpp.runs.folder import RunFolder
from bessvpp.scenarios.copula import read_fan
from bessvpp.settlement.day import (
    AS_COMMITTED,
    CAUSAL,
    HINDSIGHT,
    SettledDay,
    booked,
    settle_as_committed,
    settle_causally,
    settle_with_recourse,
)

CEILING = "ceiling"
BASELINE = "nothing_committed"
RECOURSE_KEYS = {  # the same seven figures, see _recourse_figures
    HINDSIGHT: (
        "net_rs",
        "gain_over_nothing_rs",
        "capture",
        "worst_day_rs",
        "cvar_rs",
        "cycles_per_day",
        "undelivered_mwh",
    ),
    CAUSAL: (
        "net_rs_causal",
        "gain_over_nothing_causal_rs",
        "capture_causal",
        "worst_day_causal_rs",
        "cvar_causal_rs",
        "cycles_per_day_causal",
        "undelivered_mwh_causal",
    ),
}
FIXED_CHARGE_HOURS = (11, 13)
FIXED_DISCHARGE_HOURS = (18, 20)


@dataclass(frozen=True)
class Window:
    """What a backtest needs of its days.

    ``days`` (D,) are settled; ``fans`` hold each day's scenarios, ``medians`` its sure path.
    ``expected_rtm`` (D, G, T) is what each gate within a day expects, see ``intraday``; without
    it days are not settled causally.
    Finished plans are kept in the ``cache``.
    """

    market: Market
    days: np.ndarray
    fans: Mapping[str, Sequence[PriceScenarios]]
    medians: Sequence[PriceScenarios]
    params: Params
    expected_rtm: np.ndarray | None = None
    cache: Cache = NO_CACHE

    def place_of(self, date: str) -> int:
        """Place of a settled day; ``ParameterError`` where it is none."""
        places = np.flatnonzero(self.days.astype(str) == date)
        if not len(places):
            raise ParameterError(
                f"date: {date!r} is not a settled test day; these run from {self.days[0]} to "
                f"{self.days[-1]}"
            )
        return int(places[0])

    def known_at_gate(self, day: int) -> Market:
        """The market as a policy may see it when it commits for a day."""
        rules = self.params.market
        return self.market.known_at(gate_time(self.days[day], rules.dam_gate), rules)

    def problem(self, e_start_mwh: np.ndarray, day: int | None = None) -> Problem:
        """Planning problem of a day from the energy planned for its midnight, (U,)."""
        problem = day_problem(self.params, self.market.block_hours, e_start_mwh)
        return problem if day is None else replace(problem, name=str(self.days[day]))

    def with_energy_value(self, problem: Problem, day: int) -> Problem:
        """A day's problem with V(e) from what its gate knows, under ``value``."""
        if problem.terminal != "value":
            return problem
        return with_energy_value(problem, self.known_at_gate(day))

    @property
    def days_are_independent(self) -> bool:
        """Whether every day is planned from the same energy, whatever the day before did."""
        return self.params.backtest.terminal == "hard"

    def realised(self, day: int) -> PriceScenarios:
        """The day's prices as one sure path; NaN where the RTM saw no trade."""
        row = self.market.index_of(self.days[day])
        return PriceScenarios.single(self.market.dam_mcp[row], self.market.rtm_mcp[row])


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


def load_window(run: RunFolder, params: Params) -> Window:
    """The test days of a run, with the fans that the parameters name."""
    market = Market.from_frame(run.read_frame("market.parquet"))
    fans = {fan: read_fan(run, fan) for fan in params.backtest.fans}
    days = settled_days(market, np.array(list(next(iter(fans.values())))))
    forecasts = read_forecasts(run, params.backtest.fans[-1], params.forecast.levels)
    medians = [forecasts[name].on(days).level(0.5) for name in MARKETS]
    return Window(
        market,
        days,
        {fan: [by_day[day] for day in days] for fan, by_day in fans.items()},
        [PriceScenarios.single(dam, rtm) for dam, rtm in zip(*medians, strict=True)],
        params,
        cache=Cache(run.path / "cache"),
    )


def with_expected_rtm(run: RunFolder, window: Window) -> Window:
    """The window with what a run's intraday model expects at every gate within its days."""
    expected = intraday.expected_days(
        intraday.load(run), window.market, window.days, window.params.market
    )
    return replace(window, expected_rtm=expected)


def settled_days(market: Market, days: np.ndarray) -> np.ndarray:
    """Those of the days that have prices to settle at.

    Raises
    ------
    DataError
        where none is left.
    """
    kept = np.array([day for day in days if not market.excluded[market.index_of(day)]])
    if not len(kept):
        raise DataError("no test day has both DAM and RTM prices: there is nothing to settle")
    return kept


# ---------------------------------------------------------------------- planning


def day_problem(params: Params, block_hours: float, e_start_mwh: np.ndarray) -> Problem:
    """Planning problem of a day from the energy planned for its midnight, (U,)."""
    problem = Problem(
        bess=params.bess,
        costs=params.market,
        block_hours=block_hours,
        e_start_mwh=e_start_mwh,
        commitment=params.backtest.commitment,
        terminal=params.backtest.terminal,
        schedule_start_mwh=e_start_mwh,
        solver=params.backtest.solver,
        solver_time_limit_s=params.backtest.solver_time_limit_s,
    )
    return replace(problem, schedule_end_mwh=problem.e_end_min_mwh)


def with_energy_value(problem: Problem, known: Market) -> Problem:
    """The problem with V(e) from the seven-day mean known at the gate, under ``value``."""
    if problem.terminal != "value":
        return problem
    return replace(problem, energy_values=dispatch.energy_values(problem, week_mean(known)))


def planned_end(problem: Problem, e_end_mwh: np.ndarray) -> np.ndarray:
    """Energy that the next day is planned from: the target under ``hard``, else the plan's."""
    target = problem.e_end_min_mwh
    return e_end_mwh if target is None else target


def whole_days(known: Market) -> np.ndarray:
    """(D, T) DAM prices of the days of which all are known; ``DataError`` where none is."""
    complete = known.dam_mcp[np.isfinite(known.dam_mcp).all(axis=1)]
    if not len(complete):
        raise DataError("no whole day of DAM prices is known at the gate")
    return complete


def week_mean(known: Market) -> np.ndarray:
    """(T,) mean DAM price of each block over the last seven whole days."""
    return whole_days(known)[-7:].mean(axis=0)


def commitment_of(problem: Problem, plan: Plan) -> Commitment:
    """A plan's commitment, and the energy that it plans for the end of the day.

    A physical commitment plans for what its own schedule leaves, so that the next one can
    be delivered without the RTM too; a financial one for what it expects after recourse. The
    latter is shared over units by their power.
    """
    units, unit_mw, e_end = problem.bess.units, plan.unit_dam_mw, plan.e_end_mwh
    if unit_mw is None:
        unit_mw = battery.share_by_power(problem.bess, plan.dam_mw)
    else:
        paths = [
            battery.energy_path(unit, mw, start, problem.block_hours)
            for unit, mw, start in zip(units, unit_mw, problem.e_start_mwh, strict=True)
        ]
        lowest, highest = zip(*((unit.e_min_mwh, unit.e_max_mwh) for unit in units), strict=True)
        e_end = np.clip([path[-1] for path in paths], lowest, highest)
    return Commitment(unit_mw, planned_end(problem, e_end))


@dataclass(frozen=True)
class DayPlan:
    """What is kept of a day's plan for one risk weight."""

    commitment: Commitment
    profit_rs: np.ndarray  # (S,) planned, in each scenario
    relaxation_gap_rs: float  # of the objective, lost to barred directions


def plan_weights(
    cache: Cache,
    problem: Problem,
    scenarios: PriceScenarios,
    lambdas: Sequence[float],
    alpha: float,
) -> list[DayPlan]:
    """Plans of one day for several risk weights, solved unless they were before."""

    def compute() -> Arrays:
        plans = dispatch.sweep(problem, scenarios, lambdas, alpha)
        commitments = [commitment_of(problem, plan) for plan in plans]
        return {
            "unit_mw": np.array([commitment.unit_mw for commitment in commitments]),
            "e_end_mwh": np.array([commitment.e_end_mwh for commitment in commitments]),
            "profit_rs": np.array([plan.profit_rs for plan in plans]),
            "relaxation_gap_rs": np.array([plan.relaxation_gap_rs for plan in plans]),
        }

    found = cache.arrays((problem, scenarios, tuple(lambdas), alpha), compute)
    names = ("unit_mw", "e_end_mwh", "profit_rs", "relaxation_gap_rs")
    return [
        DayPlan(Commitment(unit_mw, e_end), profit, float(gap))
        for unit_mw, e_end, profit, gap in zip(*(found[name] for name in names), strict=True)
    ]


def day_tasks(window: Window, fan: str, lambdas: Sequence[float]) -> list[tuple]:
    """What ``plan_weights`` is given for each day of a window whose days are independent."""
    energy = start_energy(window.params.bess)
    tasks = []
    for day, scenarios in enumerate(window.fans[fan]):
        problem = window.problem(energy, day)
        tasks.append((window.cache, problem, scenarios, lambdas, window.params.cvar.alpha))
        energy = planned_end(problem, energy)
    return tasks


def nothing_committed(window: Window, day: int, problem: Problem) -> Commitment:
    """No DAM trade at all."""
    shape = len(problem.bess.units), window.market.n_blocks
    return Commitment(np.zeros(shape), planned_end(problem, problem.e_start_mwh))


def fixed_windows(window: Window, day: int, problem: Problem) -> Commitment:
    """Charge evenly from 11 to 13 as far as there is room, sell it evenly from 18 to 20."""
    goal = planned_end(problem, problem.e_start_mwh)
    e_end = problem.e_start_mwh.astype(float)
    per_hour = window.market.n_blocks // 24
    unit_mw = np.zeros((len(problem.bess.units), window.market.n_blocks))
    share = min(1.0, problem.bess.connection_limit_mw / sum(u.p_max_mw for u in problem.bess.units))
    for i, unit in enumerate(problem.bess.units):
        charge_max, discharge_max = battery.power_limits(unit, window.market.n_blocks)
        charging = slice(*(per_hour * hour for hour in FIXED_CHARGE_HOURS))
        selling = slice(*(per_hour * hour for hour in FIXED_DISCHARGE_HOURS))
        hours_in = FIXED_CHARGE_HOURS[1] - FIXED_CHARGE_HOURS[0]
        hours_out = FIXED_DISCHARGE_HOURS[1] - FIXED_DISCHARGE_HOURS[0]
        surplus = problem.e_start_mwh[i] - goal[i]
        drawn = share * discharge_max[selling].min() * hours_out / unit.eta_discharge
        if unit.max_cycles_per_day is not None:
            sold = unit.max_cycles_per_day * unit.e_nameplate_mwh
            drawn = min(drawn, sold / unit.eta_discharge)
        stored = min(
            unit.e_max_mwh - problem.e_start_mwh[i],
            share * charge_max[charging].min() * hours_in * unit.eta_charge,
            max(drawn - surplus, 0.0),
        )
        sold = min(max(stored + surplus, 0.0), drawn)
        unit_mw[i, charging] = -stored / unit.eta_charge / hours_in
        unit_mw[i, selling] = sold * unit.eta_discharge / hours_out
        e_end[i] += stored - sold
    return Commitment(unit_mw, e_end)


def _on_dam_prices(problem: Problem, dam: np.ndarray) -> Commitment:
    """The best DAM schedule at sure DAM prices, with no RTM in mind."""
    alone = replace(problem, rtm_allowed=False)
    plan = dispatch.plan_day(alone, PriceScenarios.single(dam, dam), 0.0, 1.0)
    return commitment_of(problem, plan)


def yesterday(window: Window, day: int, problem: Problem) -> Commitment:
    """The best DAM schedule at the prices of the last whole day known."""
    known = window.known_at_gate(day)
    return _on_dam_prices(with_energy_value(problem, known), whole_days(known)[-1])


def seven_day_mean(window: Window, day: int, problem: Problem) -> Commitment:
    """The best DAM schedule at the mean prices of the last seven days."""
    known = window.known_at_gate(day)
    return _on_dam_prices(with_energy_value(problem, known), week_mean(known))


def median(window: Window, day: int, problem: Problem) -> Commitment:
    """Both markets planned on their median forecasts as if these were sure."""
    problem = window.with_energy_value(problem, day)
    plan = dispatch.plan_day(problem, window.medians[day], 0.0, 1.0)
    return commitment_of(problem, plan)


@dataclass(frozen=True)
class TwoStage:
    """The two-stage programme on a fan's scenarios."""

    fan: str

    def __call__(self, window: Window, day: int, problem: Problem) -> Commitment:
        problem = window.with_energy_value(problem, day)
        weight, alpha = window.params.backtest.risk_aversion, window.params.cvar.alpha
        scenarios = window.fans[self.fan][day]
        return plan_weights(window.cache, problem, scenarios, [weight], alpha)[0].commitment


_SIMPLE: dict[str, Policy] = {
    "nothing_committed": nothing_committed,
    "fixed_windows": fixed_windows,
    "yesterday": yesterday,
    "seven_day_mean": seven_day_mean,
    "median": median,
}


def policies(window: Window) -> dict[str, Policy]:
    """The policies that the parameters name; ``two_stage`` once for each fan.

    Committing nothing is always among them: it is what the others are measured against.
    """
    wanted = window.params.backtest.policies
    chosen: dict[str, Policy] = {BASELINE: nothing_committed}
    for name in wanted:
        if name == "two_stage":
            chosen |= {f"two_stage_{fan}": TwoStage(fan) for fan in window.fans}
        else:
            chosen[name] = _SIMPLE[name]
    return chosen


# ---------------------------------------------------------------------- settlement


def settle_chain(window: Window, commitments: Sequence[Commitment], settlement: str) -> list:
    """Settle all days of a policy in order, the realised energy carried on."""
    energy = start_energy(window.params.bess)
    settled = []
    for day, commitment in enumerate(commitments):
        problem, prices = window.problem(energy, day), window.realised(day)
        if settlement == AS_COMMITTED:
            result = settle_as_committed(problem, prices, commitment.unit_mw)
        elif settlement == HINDSIGHT:
            problem = window.with_energy_value(problem, day)
            result = settle_with_recourse(problem, prices, commitment.dam_mw)
        else:
            problem = window.with_energy_value(problem, day)
            starts = intraday.session_starts(window.params.market, window.market.n_blocks)
            expected = window.expected_rtm[day]
            result = settle_causally(problem, prices, commitment.dam_mw, starts, expected)
        settled.append(result)
        energy = result.e_end_mwh
    return settled


def commit_chain(window: Window, policy: Policy) -> list[Commitment]:
    """Commitments of a policy for all days, each from the energy planned before it."""
    energy = start_energy(window.params.bess)
    commitments = []
    for day in range(len(window.days)):
        commitment = policy(window, day, window.problem(energy, day))
        commitments.append(commitment)
        energy = commitment.e_end_mwh
    return commitments


def ceilings(window: Window) -> dict[str, tuple[list[SettledDay], float]]:
    """The window's upper bounds: both markets (hindsight), and the DAM alone (as committed).

    Returns
    -------
    for each way of settling, the days, and how much a plan that keeps the one-direction
    clause of the DAM schedule falls short of the bound [Rs].
    """
    n_days, bess = len(window.days), window.params.bess
    realised = [window.realised(day) for day in range(n_days)]
    prices = PriceScenarios.single(
        np.concatenate([p.dam[0] for p in realised]), np.concatenate([p.rtm[0] for p in realised])
    )
    start = start_energy(bess)
    base = window.problem(start)
    hard = base.terminal == "hard"
    # off its target, a policy may take days to get there: then schedules start anywhere
    daily = base.e_end_min_mwh if hard and (start == base.e_end_min_mwh).all() else None
    problem = replace(
        base,
        costs=base.costs.model_copy(update={"off_dam_penalty_rs_per_mwh": 0.0}),
        schedule_start_mwh=daily,
        schedule_end_mwh=daily,
        terminal="hard" if hard else "free",
    )
    bounds = {}
    for settlement, rtm_allowed in ((HINDSIGHT, True), (AS_COMMITTED, False)):
        name = f"the ceiling {settlement}"
        plan = dispatch.ceiling(replace(problem, rtm_allowed=rtm_allowed, name=name), prices)
        days = [_slice_day(window, plan, realised[day], start, day) for day in range(n_days)]
        bounds[settlement] = days, plan.relaxation_gap_rs
    return bounds


def _slice_day(
    window: Window, plan: Plan, prices: PriceScenarios, start: np.ndarray, day: int
) -> SettledDay:
    n_blocks = window.market.n_blocks
    span = slice(day * n_blocks, (day + 1) * n_blocks)
    flows = {
        "dam_mw": plan.dam_mw[span],
        "rtm_mw": plan.rtm_mw[0, span],
        "charge_mw": plan.charge_mw[0][:, span],
        "discharge_mw": plan.discharge_mw[0][:, span],
        "undelivered_mw": plan.undelivered_mw[0, span],
        "missing_mwh": 0.0,
    }
    energy = plan.energy_mwh[0]
    e_start = start if day == 0 else energy[:, span.start - 1]
    return booked(window.problem(start), prices, e_start, energy[:, span.stop - 1], flows)


# ---------------------------------------------------------------------- the backtest


@dataclass(frozen=True)
class Backtest:
    """All policies over all days, and the ceiling's distance from a strict plan."""

    daily: pd.DataFrame  # a row per policy, settlement and day
    ceiling_gap_rs: Mapping[str, float]  # by settlement


def run_backtest(window: Window, workers: Workers = ONE) -> Backtest:
    """Commit and settle every policy, and the ceilings; the same whatever the ``workers``."""
    window.cache.open()
    committed = _commit(window, policies(window), workers)
    bare = replace(window, fans={}, medians=())
    keys = [(name, way) for name in committed for way in ways(window)]
    tasks = [(settle_chain, bare, committed[name], way) for name, way in keys]
    bounds, *chains = workers.run([(ceilings, bare), *tasks], "settlement")
    rows = []
    for (name, settlement), days in zip(keys, chains, strict=True):
        rows += _rows(window, name, settlement, days)
    for settlement, (days, _) in bounds.items():
        rows += _rows(window, CEILING, settlement, days)
    gaps = {settlement: gap for settlement, (_, gap) in bounds.items()}
    return Backtest(pd.DataFrame(rows), gaps)


def ways(window: Window) -> tuple[str, ...]:
    """How the days of a window are settled."""
    causal = () if window.expected_rtm is None else (CAUSAL,)
    return (AS_COMMITTED, *causal, HINDSIGHT)


def _commit(
    window: Window, chosen: Mapping[str, Policy], workers: Workers
) -> dict[str, list[Commitment]]:
    """Commitments of each policy; a two-stage day that depends on no other is a task alone."""
    apart = {
        name: policy.fan
        for name, policy in chosen.items()
        if isinstance(policy, TwoStage) and window.days_are_independent
    }
    tasks: list[tuple] = []
    for name, policy in chosen.items():
        if name in apart:
            weights = [window.params.backtest.risk_aversion]
            tasks += [(plan_weights, *task) for task in day_tasks(window, apart[name], weights)]
        else:
            fans = {policy.fan: window.fans[policy.fan]} if isinstance(policy, TwoStage) else {}
            tasks.append((commit_chain, replace(window, fans=fans), policy))
    found = iter(workers.run(tasks, "commitments"))
    return {
        name: [next(found)[0].commitment for _ in window.days] if name in apart else next(found)
        for name in chosen
    }


def _rows(window: Window, policy: str, settlement: str, days: Sequence[SettledDay]) -> list[dict]:
    h = window.market.block_hours
    nameplate = sum(unit.e_nameplate_mwh for unit in window.params.bess.units)
    rows = []
    for date, day in zip(window.days, days, strict=True):
        discharged = float(h * day.discharge_mw.sum())
        row = {"date": str(date), "policy": policy, "settlement": settlement}
        row |= {name: float(getattr(day.ledger, name)) for name in LEDGER_COLUMNS}
        row |= {
            "net_rs": float(day.ledger.net_rs),
            "dam_sold_mwh": float(h * np.maximum(day.dam_mw, 0).sum()),
            "dam_bought_mwh": float(h * np.maximum(-day.dam_mw, 0).sum()),
            "rtm_sold_mwh": float(h * np.maximum(day.rtm_mw, 0).sum()),
            "rtm_bought_mwh": float(h * np.maximum(-day.rtm_mw, 0).sum()),
            "charged_mwh": float(h * day.charge_mw.sum()),
            "discharged_mwh": discharged,
            "undelivered_mwh": float(h * np.abs(day.undelivered_mw).sum() + day.missing_mwh),
            "cycles": discharged / nameplate,
            "e_start_mwh": float(day.e_start_mwh.sum()),
            "e_end_mwh": float(day.e_end_mwh.sum()),
        }
        rows.append(row)
    return rows


def rules(window: Window) -> dict[str, object]:
    """What the figures of a backtest rest on, to be shown with every one of them."""
    params = window.params
    return {
        "first_day": str(window.days[0]),
        "last_day": str(window.days[-1]),
        "n_days": len(window.days),
        "block_minutes": window.market.block_minutes,
        "synthetic_market": window.market.is_synthetic,
        "commitment": params.backtest.commitment,
        "terminal": params.backtest.terminal,
        "recourse": "hindsight: the day's RTM prices known"
        if window.expected_rtm is None
        else "causal: each session on what its gate knows; hindsight: the day's RTM known",
        "risk_aversion": params.backtest.risk_aversion,
        "alpha": params.cvar.alpha,
        "fee_dam_rs_per_mwh_traded": params.market.fee_dam_rs_per_mwh,
        "fee_rtm_rs_per_mwh_traded": params.market.fee_rtm_rs_per_mwh,
        "fee_flow_rs_per_mwh": params.market.fee_flow_rs_per_mwh,
        "scheduling_rs_per_day": params.market.scheduling_rs_per_day,
        "scheduling_rs_per_mwh_flow": params.market.scheduling_rs_per_mwh,
        "dsm_share_of_flow": params.market.dsm_share_of_flow,
        "wear_rs_per_mwh_discharged": [u.wear_rs_per_mwh_discharged for u in params.bess.units],
    }


def summarise(window: Window, backtest: Backtest) -> dict[str, object]:
    """The backtest in one table: ``rules``, and ``policies`` by name.

    ``net_rs`` is with hindsight recourse, ``net_rs_causal`` with causal recourse, and
    ``net_rs_dam_only`` as committed. Both recourses are measured against one ceiling, as
    committed against that of the DAM alone. Causal figures are None where the window has no
    intraday forecasts, and for the ceiling.
    """
    alpha, n_days = window.params.cvar.alpha, len(window.days)
    power = min(
        sum(unit.p_max_mw for unit in window.params.bess.units),
        window.params.bess.connection_limit_mw,
    )
    daily = backtest.daily
    net = daily.pivot_table(
        index="date", columns=["settlement", "policy"], values="net_rs", sort=False
    )
    best = {way: float(net[way][CEILING].sum()) for way in (HINDSIGHT, AS_COMMITTED)}
    flows = daily.groupby(["settlement", "policy"])[["cycles", "undelivered_mwh"]].sum()
    table = {}
    for name in net[HINDSIGHT]:
        alone = float(net[AS_COMMITTED][name].sum())
        figures: dict[str, float | None] = {}
        for way, keys in RECOURSE_KEYS.items():
            figures |= dict.fromkeys(keys)
            if (way, name) in net:
                days, nothing, flow = net[way][name], net[way][BASELINE], flows.loc[way, name]
                found = _recourse_figures(days, nothing, best[HINDSIGHT], flow, alpha)
                figures |= dict(zip(keys, found, strict=True))
        table[name] = figures | {
            "net_rs_dam_only": alone,
            "net_rs_per_mw_year": figures["net_rs"] / power / n_days * 365,
            "capture_dam_only": _share(alone, best[AS_COMMITTED]),
            "undelivered_mwh_dam_only": float(flows["undelivered_mwh"][AS_COMMITTED, name]),
        }
    headline = CAUSAL if window.expected_rtm is not None else HINDSIGHT
    return {
        "rules": rules(window),
        "ceiling_gap_rs": dict(backtest.ceiling_gap_rs),
        "days_times_alpha": n_days * alpha,
        "policies": table,
        "lead": {"settlement": headline}
        | _lead(net[headline].drop(columns=CEILING, errors="ignore")),
    }


def _recourse_figures(
    net: pd.Series, nothing: pd.Series, ceiling_rs: float, flow: pd.Series, alpha: float
) -> tuple[float | None, ...]:
    """Net, gain over nothing, capture, worst day and CVaR [Rs], cycles a day, undelivered MWh.

    Parameters
    ----------
    net, nothing : (D,) of the policy and of committing nothing, under the same recourse
    flow : ``cycles`` and ``undelivered_mwh`` of all days
    """
    total = float(net.sum())
    return (
        total,
        total - float(nothing.sum()),
        _share(total, ceiling_rs),
        float(net.min()),
        cvar(net.to_numpy(), alpha),
        float(flow["cycles"]) / len(net),
        float(flow["undelivered_mwh"]),
    )


def _lead(net: pd.DataFrame) -> dict[str, object]:
    """The policy with the largest net, and its lead over each two-stage policy with a band.

    Parameters
    ----------
    net : a row a day, a column a policy [Rs]
    """
    best = net.sum().idxmax()
    over = {}
    for name in net.columns[net.columns.str.startswith("two_stage")].drop(best, errors="ignore"):
        ahead = (net[best] - net[name]).to_numpy()
        low, high = bootstrap_band(ahead, np.sum, np.random.default_rng(0))
        over[name] = {"ahead_rs": float(ahead.sum()), "low_rs": low, "high_rs": high}
    return {"policy": best, "over": over}


def _share(part: float, whole: float) -> float | None:
    """Share of a ceiling; None where the ceiling is not above zero."""
    return part / whole if whole > 0 else None
