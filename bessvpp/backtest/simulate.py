"""Policies commit at the gate, knowing only their past; each day is settled in three ways.

``settlement`` states them: as committed, with causal and with hindsight recourse. Recourse earns
money even on an empty commitment, so a policy is judged by its gain over committing nothing
under the same recourse.

The energy that a commitment starts from is the one planned for the end of the day before,
never the one realised, which is not known at the gate. Realised energy is carried from
settled day to settled day, for each policy and each way of settling by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bessvpp.backtest import daily
from bessvpp.backtest.policies import (
    Commitment,
    OnFan,
    Policy,
    TwoStage,
    day_tasks,
    plan_lambdas,
    policies,
)
from bessvpp.backtest.window import Window
from bessvpp.battery import start_energy
from bessvpp.compute.workers import ONE, Workers
from bessvpp.market import clock
from bessvpp.optimizer import dispatch
from bessvpp.optimizer.exact import Gap, strict_gap
from bessvpp.optimizer.problem import Plan, Problem
from bessvpp.prices import PriceScenarios
from bessvpp.settlement.bids import settle_on_bids
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
from bessvpp.settlement.recourse import Gates

CEILING = "ceiling"


# ---------------------------------------------------------------------- settlement


def settle_chain(
    window: Window, commitments: Sequence[Commitment], settlement: str
) -> list[SettledDay]:
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
            result = _settle_day_causally(window, day, problem, commitment)
        settled.append(result)
        energy = result.e_end_mwh
    return settled


def _settle_day_causally(
    window: Window, day: int, problem: Problem, commitment: Commitment
) -> SettledDay:
    """A day's books by the recourse that the parameters name."""
    if window.expected_rtm is None:
        raise ValueError("causal recourse needs what each gate expects: with_expected_rtm")
    prices, expected, rules = window.realised(day), window.expected_rtm[day], window.params.market
    starts = clock.session_starts(rules, window.market.n_blocks)
    behind = clock.blocks_behind(rules, window.market.n_blocks)
    if window.params.backtest.recourse == "expected":
        return settle_causally(problem, prices, commitment.dam_mw, starts, expected, behind)
    if not window.laws:
        raise ValueError("dynamic recourse needs how the RTM surprises: with_expected_rtm")
    gates = Gates(starts, expected[:, None], behind)
    return settle_on_bids(problem, prices, commitment.unit_mw, gates, window.laws[day])


def commit_chain(window: Window, policy: Policy) -> list[Commitment]:
    """Commitments of a policy for all days, each from the energy planned before it."""
    energy = start_energy(window.params.bess)
    commitments = []
    for day in range(len(window.days)):
        commitment = policy(window, day, window.problem(energy, day))
        commitments.append(commitment)
        energy = commitment.e_end_mwh
    return commitments


@dataclass(frozen=True)
class Ceiling:
    """An upper bound on every policy of a window, under the policies' own rule for midnights."""

    days: list[SettledDay]
    gap: Gap  # how much the best plan that keeps the one-direction clause falls short of it
    across_midnights_rs: float  # the freer bound: the target binds after the last day alone


def ceilings(window: Window) -> dict[str, Ceiling]:
    """The window's bounds by settlement: both markets (hindsight), the DAM alone (as committed)."""
    prices, problem = known_prices(window), ceiling_problem(window)
    bounds = {}
    for settlement, rtm_allowed in ((HINDSIGHT, True), (AS_COMMITTED, False)):
        name = f"the ceiling {settlement}"
        bounded = replace(problem, rtm_allowed=rtm_allowed, name=name)
        plan = dispatch.ceiling(bounded, prices)
        days = as_days(window, plan)
        freer = plan
        if bounded.terminal == "hard":
            freer = dispatch.ceiling(replace(bounded, target_each_day=False), prices)
        gap = strict_gap(bounded, prices)
        bounds[settlement] = Ceiling(days, gap, freer.mean_rs)
    return bounds


def known_prices(window: Window) -> PriceScenarios:
    """All days of a window as one sure path."""
    days = [window.realised(day) for day in range(len(window.days))]
    return PriceScenarios.single(
        np.concatenate([day.dam[0] for day in days]), np.concatenate([day.rtm[0] for day in days])
    )


def ceiling_problem(window: Window) -> Problem:
    """All days in one programme, under rules that no policy's own can beat.

    Nothing steers it away from profit, and stored energy at its end is worth nothing.
    """
    start = start_energy(window.params.bess)
    base = window.problem(start).on(*window.days)
    hard = base.terminal == "hard"
    # off its target, a policy may take days to get there: then schedules start anywhere
    daily = base.e_end_min_mwh if hard and (start == base.e_end_min_mwh).all() else None
    return replace(
        base,
        bess=base.bess.booked,
        costs=base.costs.booked,
        schedule_start_mwh=daily,
        schedule_end_mwh=daily if base.midnight == "own" else None,
        terminal="hard" if hard else "free",
        unbacked_max_mwh=None,
    )


def as_days(window: Window, plan: Plan) -> list[SettledDay]:
    """A plan over all days with its prices known, day by day and booked."""
    return [_slice_day(window, plan, day) for day in range(len(window.days))]


def _slice_day(window: Window, plan: Plan, day: int) -> SettledDay:
    start = start_energy(window.params.bess)
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
    e_end = energy[:, span.stop - 1]
    return booked(window.problem(start), window.realised(day), e_start, e_end, flows)


# ---------------------------------------------------------------------- the backtest


@dataclass(frozen=True)
class Backtest:
    """All policies over all days, and the bounds on them."""

    daily: pd.DataFrame  # a row per policy, settlement and day
    ceilings: Mapping[str, Ceiling]  # by settlement
    settled: Mapping[tuple[str, str], Sequence[SettledDay]]  # by policy and settlement


def settled_chains(backtest: Backtest) -> list[tuple[str, str, Sequence[SettledDay]]]:
    """Policy, settlement and days of every chain, the ceiling's too."""
    chains = [(policy, way, days) for (policy, way), days in backtest.settled.items()]
    return chains + [(CEILING, way, bound.days) for way, bound in backtest.ceilings.items()]


def run_backtest(window: Window, workers: Workers = ONE) -> Backtest:
    """Commit and settle every policy, and the ceilings; the same whatever the ``workers``.

    Examples
    --------
    >>> result = bv.run_backtest(bv.open_run("outputs/quick").window)
    >>> result.daily["policy"].unique()[:3].tolist()
    ['nothing_committed', 'fixed_windows', 'yesterday']
    """
    window.cache.open()
    committed = _commit(window, policies(window), workers)
    bare = replace(window, fans={}, medians=())
    keys = [(name, way) for name in committed for way in ways(window)]
    tasks = [(settle_chain, bare, committed[name], way) for name, way in keys]
    bounds, *chains = workers.run([(ceilings, bare), *tasks], "settlement")
    rows = []
    for (name, settlement), days in zip(keys, chains, strict=True):
        rows += daily.rows(window, name, settlement, days, planned_starts(window, committed[name]))
    for settlement, bound in bounds.items():
        starts = [day.e_start_mwh for day in bound.days]
        rows += daily.rows(window, CEILING, settlement, bound.days, starts)
    return Backtest(pd.DataFrame(rows), bounds, dict(zip(keys, chains, strict=True)))


def planned_starts(window: Window, commitments: Sequence[Commitment]) -> list[np.ndarray]:
    """(U,) energy that each day's schedule begins with: the one planned for its midnight."""
    ends = [commitment.e_end_mwh for commitment in commitments[:-1]]
    return [start_energy(window.params.bess), *ends]


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
    tasks: list[tuple[object, ...]] = []
    for name, policy in chosen.items():
        if name in apart:
            lambdas = [window.params.risk.risk_aversion]
            tasks += [(plan_lambdas, *task) for task in day_tasks(window, apart[name], lambdas)]
        else:
            wanted = policy.fan if isinstance(policy, OnFan) else None
            fans = {fan: days for fan, days in window.fans.items() if fan == wanted}
            tasks.append((commit_chain, replace(window, fans=fans), policy))
    found = iter(workers.run(tasks, "commitments"))
    return {
        name: [next(found)[0].commitment for _ in window.days] if name in apart else next(found)
        for name in chosen
    }
