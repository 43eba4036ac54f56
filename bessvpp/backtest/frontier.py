"""The risk-return frontier: one plan a day for each fan and risk aversion, then settled.

Planned figures pool the scenarios of all days, realised figures pool the days themselves;
both use the empirical CVaR with its fractional atom. Realised means settled with hindsight
recourse, the day's RTM prices known, which no trader has; so does a plan's second stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from bessvpp.backtest.policies import DayPlan, day_tasks, plan_lambdas
from bessvpp.backtest.simulate import settle_chain
from bessvpp.backtest.summary import rules
from bessvpp.backtest.window import Window
from bessvpp.battery import start_energy
from bessvpp.compute.workers import ONE, Workers
from bessvpp.risk import bootstrap_band, cvar, cvars
from bessvpp.settlement.day import HINDSIGHT

LAMBDAS_TOGETHER = 4


def sweep_frontier(window: Window, workers: Workers = ONE, seed: int = 0) -> pd.DataFrame:
    """One row per fan and lambda; the same whatever the ``workers``.

    Columns that begin with ``realised`` are settled with hindsight recourse.

    Parameters
    ----------
    seed : of the bootstrap over days
    """
    return sweep_frontiers([window], workers, seed)[0]


def sweep_frontiers(
    windows: Sequence[Window], workers: Workers = ONE, seed: int = 0
) -> list[pd.DataFrame]:
    """The frontier of each window, such as one for each battery or set of parameters.

    All lambdas of a day share one programme. Under the ``hard`` rule every day is planned from
    the target energy, so days are independent; otherwise each lambda is a chain of its own,
    and some go on side by side. Finished days are kept in each window's cache.
    """
    tasks: list[tuple[object, ...]] = []
    for window in windows:
        window.cache.open()
        for fan in window.fans:
            lambdas = window.params.risk.lambdas
            if window.days_are_independent:
                tasks += [(plan_lambdas, *task) for task in day_tasks(window, fan, lambdas)]
            else:
                seen = replace(window, fans={fan: window.fans[fan]}, medians=())
                tasks += [(_plan_chains, seen, fan, some) for some in batched(lambdas)]
    found = iter(workers.run(tasks, "plans"))
    rows: list[tuple[object, ...]] = []
    for window in windows:
        bare = replace(window, fans={}, medians=())
        for fan, scenarios in window.fans.items():
            lambdas = window.params.risk.lambdas
            if window.days_are_independent:
                chains = list(zip(*(next(found) for _ in window.days), strict=True))
            else:
                chains = [chain for _ in batched(lambdas) for chain in next(found)]
            share = np.concatenate([day.weights for day in scenarios]) / len(window.days)
            rows += [
                (_frontier_row, bare, fan, aversion, share, chain, seed)
                for aversion, chain in zip(lambdas, chains, strict=True)
            ]
    settled = iter(workers.run(rows, "settlement"))
    n_rows = [len(window.fans) * len(window.params.risk.lambdas) for window in windows]
    return [pd.DataFrame([next(settled) for _ in range(n)]) for n in n_rows]


def batched(lambdas: Sequence[float]) -> list[Sequence[float]]:
    """Risk aversions that share the programmes of their days: enough batches for some cores."""
    return [lambdas[k : k + LAMBDAS_TOGETHER] for k in range(0, len(lambdas), LAMBDAS_TOGETHER)]


def _plan_chains(window: Window, fan: str, lambdas: Sequence[float]) -> list[list[DayPlan]]:
    """Some lambdas over all days, each day from the energy planned for the end of the last."""
    start = start_energy(window.params.bess)
    energies = [start] * len(lambdas)
    days = []
    for day, scenarios in enumerate(window.fans[fan]):
        problem = window.with_energy_value(window.problem(start, day), day)
        alpha = window.params.risk.alpha
        plans = plan_lambdas(window.cache, problem, scenarios, lambdas, alpha, energies)
        energies = [plan.commitment.e_end_mwh for plan in plans]
        days.append(plans)
    return [list(chain) for chain in zip(*days, strict=True)]


def _frontier_row(
    window: Window,
    fan: str,
    aversion: float,
    share: np.ndarray,
    chain: Sequence[DayPlan],
    seed: int,
) -> dict[str, object]:
    """A point; ``share`` is the weight of each day's scenarios among all, (days x S,).

    What is ``realised`` is settled with hindsight recourse.
    """
    alpha, n_days = window.params.risk.alpha, len(window.days)
    planned = np.concatenate([plan.profit_rs for plan in chain])
    weights = np.split(share * n_days, n_days)  # of each day's scenarios among themselves
    daily = [cvar(plan.profit_rs, alpha, w) for plan, w in zip(chain, weights, strict=True)]
    settled = settle_chain(window, [plan.commitment for plan in chain], HINDSIGHT)
    realised = np.array([float(day.ledger.net_rs) for day in settled])
    row = {
        "fan": fan,
        "lambda": aversion,
        "planned_mean_rs": float(share @ planned),
        "planned_cvar_rs": cvar(planned, alpha, share),
        "planned_daily_cvar_rs": float(np.mean(daily)),
        "relaxation_gap_rs": float(np.mean([plan.relaxation_gap_rs for plan in chain])),
        "realised_mean_rs": float(realised.mean()),
        "realised_cvar_rs": cvar(realised, alpha),
        "realised_worst_day_rs": float(realised.min()),
        "n_days": n_days,
        "days_times_alpha": n_days * alpha,
    }
    for name, statistic in (
        ("realised_mean", lambda profit: profit.mean(axis=-1)),
        ("realised_cvar", lambda profit: cvars(profit, alpha)),
    ):
        low, high = bootstrap_band(realised, statistic, np.random.default_rng(seed))
        row |= {f"{name}_low_rs": low, f"{name}_high_rs": high}
    return row


def summarise_frontier(window: Window, frontier: pd.DataFrame) -> dict[str, object]:
    """The frontier as JSON: ``rules``, and the points of each fan.

    Keys that begin with ``realised`` are settled with hindsight recourse.
    """
    return {
        "rules": rules(window),
        "fans": {
            fan: points.drop(columns="fan").to_dict(orient="records")
            for fan, points in frontier.groupby("fan", sort=False)
        },
    }
