"""The risk-return frontier: one plan a day for each fan and risk aversion, then settled.

Planned figures pool the paths of all days, realised figures the days themselves, both with causal
recourse and both with the empirical CVaR and its fractional atom. Planned is what could be
promised at each gate: the profit along the ``fan``, corrected by how the promises of days settled
before had fared. Beside them stand that of the fan alone, what the ``programme`` itself counts on,
whose second stage foresees a share of the RTM, and the days as settled with *hindsight*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bessvpp.backtest.policies import DayPlan, day_tasks, plan_chains, plan_lambdas
from bessvpp.backtest.promise import judge_promise, learnt
from bessvpp.backtest.simulate import settle_chain
from bessvpp.backtest.summary import paired, rules
from bessvpp.backtest.window import Window
from bessvpp.battery import start_energy
from bessvpp.compute.workers import ONE, Workers
from bessvpp.optimizer.problem import Problem
from bessvpp.prices import PriceScenarios
from bessvpp.risk import bootstrap_band, cvar, cvars
from bessvpp.settlement.day import CAUSAL, HINDSIGHT, nets_of
from bessvpp.settlement.promise import planned_causal

LAMBDAS_TOGETHER = 4
POINT = ["fan", "lambda"]


@dataclass(frozen=True)
class Frontier:
    """A frontier and the days behind it."""

    points: pd.DataFrame  # a row a fan and lambda
    daily: pd.DataFrame  # a row a fan, lambda and day


def sweep_frontier(window: Window, workers: Workers = ONE, seed: int = 0) -> Frontier:
    """A point for each fan and lambda; the same whatever the ``workers``.

    Parameters
    ----------
    seed : of the bootstrap over days
    """
    return sweep_frontiers([window], workers, seed)[0]


def sweep_frontiers(
    windows: Sequence[Window], workers: Workers = ONE, seed: int = 0
) -> list[Frontier]:
    """The frontier of each window, such as one for each battery or set of parameters.

    All lambdas of a day share one programme. Under the ``hard`` rule every day is planned from
    the target energy, so days are independent; otherwise each lambda is a chain of its own,
    and some go on side by side. Finished days are kept in each window's cache.

    Raises
    ------
    ValueError
        where a window does not say what each gate expects: see ``with_expected_rtm``.
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
    points: list[tuple[object, ...]] = []
    for window in windows:
        for fan in window.fans:
            lambdas = window.params.risk.lambdas
            seen = replace(window, fans={fan: window.fans[fan]}, medians=())
            if window.days_are_independent:
                chains = list(zip(*(next(found) for _ in window.days), strict=True))
            else:
                chains = [chain for _ in batched(lambdas) for chain in next(found)]
            points += [
                (_point, seen, fan, aversion, chain, seed)
                for aversion, chain in zip(lambdas, chains, strict=True)
            ]
    judged = iter(workers.run(points, "settlement"))
    return [_gathered([next(judged) for _ in range(_n_points(window))]) for window in windows]


def _n_points(window: Window) -> int:
    return len(window.fans) * len(window.params.risk.lambdas)


def batched(lambdas: Sequence[float]) -> list[Sequence[float]]:
    """Risk aversions that share the programmes of their days: enough batches for some cores."""
    return [lambdas[k : k + LAMBDAS_TOGETHER] for k in range(0, len(lambdas), LAMBDAS_TOGETHER)]


def _plan_chains(window: Window, fan: str, lambdas: Sequence[float]) -> list[list[DayPlan]]:
    """Some lambdas over all days."""
    cache, alpha = window.cache, window.params.risk.alpha

    def plan(
        problem: Problem, scenarios: PriceScenarios, energies: Sequence[np.ndarray]
    ) -> list[DayPlan]:
        return plan_lambdas(cache, problem, scenarios, lambdas, alpha, energies)

    return plan_chains(window, fan, len(lambdas), plan)


# ---------------------------------------------------------------------- a point


def _point(
    window: Window, fan: str, aversion: float, chain: Sequence[DayPlan], seed: int
) -> tuple[dict[str, object], pd.DataFrame]:
    """A point of the frontier, and its days."""
    alpha = window.params.risk.alpha
    weights = [day.weights for day in window.fans[fan]]
    by_fan = promised(window, fan, chain)
    nets = {way: _nets(window, chain, way) for way in (CAUSAL, HINDSIGHT)}
    realised = nets[CAUSAL]
    planned, shares = learnt(by_fan, weights, realised, window.days)
    kept = judge_promise(planned, shares, realised, alpha, seed)
    daily = pd.DataFrame(
        {
            "fan": fan,
            "lambda": aversion,
            "date": window.days.astype(str),
            "planned_mean_rs": [w @ day for w, day in zip(shares, planned, strict=True)],
            "fan_mean_rs": [w @ day for w, day in zip(weights, by_fan, strict=True)],
            "realised_rs": realised,
            "realised_hindsight_rs": nets[HINDSIGHT],
            "pit": kept.pit,
        }
    )
    row: dict[str, object] = {"fan": fan, "lambda": aversion}
    row |= _planned("planned", planned, shares, alpha)
    low, high = _mean_band(daily["planned_mean_rs"].to_numpy(), seed)
    row |= {"planned_mean_low_rs": low, "planned_mean_high_rs": high}
    row |= _planned("fan", by_fan, weights, alpha)
    row |= _planned("programme", [plan.profit_rs for plan in chain], weights, alpha)
    row["relaxation_gap_rs"] = float(np.mean([plan.relaxation_gap_rs for plan in chain]))
    row |= _realised(realised, alpha, seed)
    row |= {
        "realised_hindsight_mean_rs": float(nets[HINDSIGHT].mean()),
        "realised_hindsight_cvar_rs": cvar(nets[HINDSIGHT], alpha),
        "pit_ks_distance": kept.ks_statistic,
        "pit_ks_p_value": kept.ks_p_value,
        "n_days": len(window.days),
        "days_times_alpha": len(window.days) * alpha,
    }
    return row, daily


def promised(window: Window, fan: str, chain: Sequence[DayPlan]) -> list[np.ndarray]:
    """(S,) profit of each day along its fan with causal recourse, each as planned at its gate."""
    energy, days = start_energy(window.params.bess), []
    for day, plan in enumerate(chain):
        problem = window.with_energy_value(window.problem(energy, day), day)
        days.append(_promised_day(window, problem, window.fans[fan][day], plan))
        energy = plan.commitment.e_end_mwh
    return days


def _promised_day(
    window: Window, problem: Problem, scenarios: PriceScenarios, plan: DayPlan
) -> np.ndarray:
    rules, recourse = window.params.market, window.params.backtest.recourse
    unit_mw = plan.commitment.unit_mw

    def compute() -> dict[str, np.ndarray]:
        return {"rs": planned_causal(problem, scenarios, unit_mw, rules, recourse)}

    return window.cache.arrays((problem, scenarios, unit_mw, rules, recourse), compute)["rs"]


def _nets(window: Window, chain: Sequence[DayPlan], way: str) -> np.ndarray:
    """(D,) net of each settled day [Rs]."""
    settled = settle_chain(window, [plan.commitment for plan in chain], way)
    return nets_of(settled)


def _planned(
    name: str, profits: Sequence[np.ndarray], weights: Sequence[np.ndarray], alpha: float
) -> dict[str, object]:
    """Mean and CVaR of all days' paths together, and the mean of each day's own CVaR."""
    share, pooled = np.concatenate(list(weights)) / len(weights), np.concatenate(list(profits))
    daily = [cvar(day, alpha, w) for day, w in zip(profits, weights, strict=True)]
    return {
        f"{name}_mean_rs": float(share @ pooled),
        f"{name}_cvar_rs": cvar(pooled, alpha, share),
        f"{name}_daily_cvar_rs": float(np.mean(daily)),
    }


def _realised(net: np.ndarray, alpha: float, seed: int) -> dict[str, object]:
    low, high = _mean_band(net, seed)
    rng = np.random.default_rng(seed)
    tail_low, tail_high = bootstrap_band(net, lambda days: cvars(days, alpha), rng)
    return {
        "realised_mean_rs": float(net.mean()),
        "realised_mean_low_rs": low,
        "realised_mean_high_rs": high,
        "realised_cvar_rs": cvar(net, alpha),
        "realised_cvar_low_rs": tail_low,
        "realised_cvar_high_rs": tail_high,
        "realised_worst_day_rs": float(net.min()),
    }


def _mean_band(days: np.ndarray, seed: int) -> tuple[float, float]:
    return bootstrap_band(days, lambda drawn: drawn.mean(axis=-1), np.random.default_rng(seed))


# ---------------------------------------------------------------------- all points


def _gathered(found: Sequence[tuple[dict[str, object], pd.DataFrame]]) -> Frontier:
    points = pd.DataFrame([row for row, _ in found])
    for kind in ("planned", "realised"):
        points[f"{kind}_dominated"] = dominated(points, kind)
    return Frontier(points, pd.concat([daily for _, daily in found], ignore_index=True))


def dominated(points: pd.DataFrame, kind: str) -> np.ndarray:
    """(N,) bool: another lambda of the same fan has both mean and CVaR better, or one and equal.

    Parameters
    ----------
    kind : ``planned`` or ``realised``
    """
    at = points[[f"{kind}_mean_rs", f"{kind}_cvar_rs"]].to_numpy()
    fan = points["fan"].to_numpy()
    better = (at[None] >= at[:, None]).all(axis=2) & (at[None] > at[:, None]).any(axis=2)
    return np.asarray((better & (fan[None] == fan[:, None])).any(axis=1))


def chosen_lambda(frontier: Frontier, fan: str, weight: float, alpha: float) -> dict[str, object]:
    """The lambda that was best on the earlier half of the days, judged on the later half.

    Best is the largest realised mean plus ``weight`` times CVaR, what a plan maximises.

    Parameters
    ----------
    weight : risk aversion by which lambdas are chosen

    Returns
    -------
    the lambda, how many days it was chosen and judged on, its mean and CVaR on the later ones and
    how far it was ahead of the least lambda there, with a paired band [Rs].
    """
    daily = frontier.daily[frontier.daily["fan"] == fan]
    net = daily.pivot(index="date", columns="lambda", values="realised_rs").sort_index()
    earlier, later = net.iloc[: len(net) // 2], net.iloc[len(net) // 2 :]
    values = earlier.to_numpy().T
    best = net.columns[int(np.argmax(values.mean(axis=1) + weight * cvars(values, alpha)))]
    judged = later[best].to_numpy()
    return {
        "lambda": float(best),
        "chosen_on_days": len(earlier),
        "judged_on_days": len(later),
        "later_mean_rs": float(judged.mean()),
        "later_cvar_rs": cvar(judged, alpha),
        "over_least_lambda": paired(judged, later.iloc[:, 0].to_numpy()),
    }


def summarise_frontier(window: Window, frontier: Frontier) -> dict[str, object]:
    """The frontier as JSON: ``rules``, the points of each fan, and a lambda chosen in time.

    Planned, fan and realised figures are with causal recourse; keys that say ``programme`` or
    ``hindsight`` are not.
    """
    risk = window.params.risk
    return {
        "rules": rules(window),
        "fans": {
            fan: points.drop(columns="fan").to_dict(orient="records")
            for fan, points in frontier.points.groupby("fan", sort=False)
        },
        "chosen": {
            fan: chosen_lambda(frontier, fan, risk.risk_aversion, risk.alpha)
            for fan in window.fans
            if len(window.days) >= 2
        },
    }
