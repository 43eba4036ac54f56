"""The risk-return frontier: one plan a day for each fan and risk weight, then settled.

Planned figures pool the scenarios of all days, realised figures pool the days themselves;
both use the empirical CVaR with its fractional atom.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from bessvpp import dispatch
from bessvpp.backtest import (
    HINDSIGHT,
    Commitment,
    Window,
    commitment_of,
    planned_end,
    rules,
    settle_chain,
    start_energy,
    with_energy_value,
)
from bessvpp.metrics import bootstrap_band, cvar

DayPlan = tuple[Commitment, np.ndarray]
"""A day's commitment and its planned profit in each scenario, (S,) [Rs]."""


def sweep_frontier(window: Window, jobs: int = 1, seed: int = 0) -> pd.DataFrame:
    """One row per fan and lambda; the same whatever ``jobs`` is.

    Under the ``hard`` rule every day is planned from the target energy, so days are
    independent and all lambdas of a day share one programme. Otherwise each lambda is a
    chain of its own.

    Parameters
    ----------
    seed : of the bootstrap over days
    """
    lambdas, fans = window.params.cvar.lambdas, list(window.fans)
    if window.params.backtest.terminal == "hard":
        tasks = [(fan, day) for fan in fans for day in range(len(window.days))]
        swept = Parallel(n_jobs=jobs)(delayed(_sweep_day)(window, *task) for task in tasks)
        by_task = dict(zip(tasks, swept, strict=True))
        chains = {
            (fan, weight): [by_task[fan, day][k] for day in range(len(window.days))]
            for fan in fans
            for k, weight in enumerate(lambdas)
        }
    else:
        keys = [(fan, weight) for fan in fans for weight in lambdas]
        solved = Parallel(n_jobs=jobs)(delayed(_plan_chain)(window, *key) for key in keys)
        chains = dict(zip(keys, solved, strict=True))
    rows = Parallel(n_jobs=jobs)(
        delayed(_frontier_row)(window, *key, chain, seed) for key, chain in chains.items()
    )
    return pd.DataFrame(rows)


def _sweep_day(window: Window, fan: str, day: int) -> list[DayPlan]:
    """All lambdas of one day, from the energy that the ``hard`` rule plans for midnight."""
    energy = start_energy(window.params.bess)
    if day > 0:
        energy = planned_end(window.problem(energy), energy)
    problem = window.problem(energy)
    cvar_params = window.params.cvar
    plans = dispatch.sweep(problem, window.fans[fan][day], cvar_params.lambdas, cvar_params.alpha)
    return [(commitment_of(problem, plan), plan.profit_rs) for plan in plans]


def _plan_chain(window: Window, fan: str, weight: float) -> list[DayPlan]:
    """One lambda over all days, each from the energy planned for the end of the last."""
    energy = start_energy(window.params.bess)
    chain = []
    for day in range(len(window.days)):
        problem = with_energy_value(window.problem(energy), window.known_at_gate(day))
        alpha = window.params.cvar.alpha
        plan = dispatch.plan_day(problem, window.fans[fan][day], weight, alpha)
        commitment = commitment_of(problem, plan)
        chain.append((commitment, plan.profit_rs))
        energy = commitment.e_end_mwh
    return chain


def _frontier_row(
    window: Window, fan: str, weight: float, chain: Sequence[DayPlan], seed: int
) -> dict[str, object]:
    alpha, n_days = window.params.cvar.alpha, len(window.days)
    planned = np.concatenate([profit for _, profit in chain])
    share = np.concatenate([scenarios.weights for scenarios in window.fans[fan]]) / n_days
    settled = settle_chain(window, [commitment for commitment, _ in chain], HINDSIGHT)
    realised = np.array([float(day.ledger.net_rs) for day in settled])
    row = {
        "fan": fan,
        "lambda": weight,
        "planned_mean_rs": float(share @ planned),
        "planned_cvar_rs": cvar(planned, alpha, share),
        "realised_mean_rs": float(realised.mean()),
        "realised_cvar_rs": cvar(realised, alpha),
        "realised_worst_day_rs": float(realised.min()),
        "n_days": n_days,
        "days_times_alpha": n_days * alpha,
    }
    for name, statistic in (
        ("realised_mean", np.mean),
        ("realised_cvar", lambda profit: cvar(profit, alpha)),
    ):
        low, high = bootstrap_band(realised, statistic, np.random.default_rng(seed))
        row |= {f"{name}_low_rs": low, f"{name}_high_rs": high}
    return row


def summarise_frontier(window: Window, frontier: pd.DataFrame) -> dict[str, object]:
    """The frontier as JSON: ``rules``, and the points of each fan."""
    return {
        "rules": rules(window),
        "fans": {
            fan: points.drop(columns="fan").to_dict(orient="records")
            for fan, points in frontier.groupby("fan", sort=False)
        },
    }
