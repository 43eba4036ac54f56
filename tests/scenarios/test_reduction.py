"""Fewer scenarios: the ones a hand would choose, with the weights of those they stand for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_cases import make_params, price_scenarios

from bessvpp.errors import ParameterError
from bessvpp.optimizer.dispatch import plan_day
from bessvpp.optimizer.problem import Problem
from bessvpp.prices import PriceScenarios
from bessvpp.scenarios.reduction import reduce


def levels(*prices: float, weights=None) -> PriceScenarios:
    """Flat days of these prices in both markets."""
    flat = np.repeat(np.array(prices, dtype=float)[:, None], 24, axis=1)
    weights = np.full(len(prices), 1 / len(prices)) if weights is None else np.array(weights)
    return PriceScenarios(flat, flat, weights)


def test_the_first_is_the_weighted_median_and_heirs_go_to_the_nearest():
    day = levels(1000, 1100, 1200, 5000, 5100)
    one = reduce(day, 1)
    assert one.dam[0, 0] == 1200
    two = reduce(day, 2)
    # 1200 first; then 5000 or 5100 leave the same 100: the first of them
    assert two.dam[:, 0].tolist() == [1200, 5000]
    assert two.weights == pytest.approx([0.6, 0.4])
    heavy = levels(1000, 1100, 1200, 5000, 5100, weights=[0.1, 0.1, 0.1, 0.1, 0.6])
    assert reduce(heavy, 1).dam[0, 0] == 5100


def test_the_spread_counts_as_well_as_the_level():
    dam = np.full((4, 24), 4000.0)
    rtm = dam + np.array([0.0, 10.0, 3000.0, 3010.0])[:, None]
    kept = reduce(PriceScenarios(dam, rtm, np.full(4, 0.25)), 2)
    spread = (kept.rtm - kept.dam)[:, 0]
    assert spread[0] <= 10
    assert spread[1] >= 3000
    assert kept.weights == pytest.approx([0.5, 0.5])


def test_all_of_them_are_all_of_them():
    day = price_scenarios(6, 24, seed=3)
    kept = reduce(day, 6)
    np.testing.assert_array_equal(kept.dam, day.dam)
    np.testing.assert_array_equal(kept.rtm, day.rtm)
    assert kept.weights == pytest.approx(day.weights)


def test_greedy_choice_is_that_of_the_slow_loop():
    rng = np.random.default_rng(5)
    day = price_scenarios(12, 24, seed=8)
    weights = rng.dirichlet(np.ones(12))
    day = PriceScenarios(day.dam, day.rtm, weights)
    points = np.hstack([day.dam, day.rtm - day.dam])
    chosen: list[int] = []
    for _ in range(4):
        cost = {}
        for candidate in set(range(12)) - set(chosen):
            trial = [*chosen, candidate]
            cost[candidate] = sum(
                w * min(np.linalg.norm(points[i] - points[j]) for j in trial)
                for i, w in enumerate(weights)
            )
        chosen.append(min(cost, key=cost.get))
    kept = reduce(day, 4)
    np.testing.assert_array_equal(kept.dam, day.dam[sorted(chosen)])
    assert kept.weights.sum() == pytest.approx(1)


def test_too_many_or_none_are_refused():
    for n in (0, 7):
        with pytest.raises(ParameterError, match=f"{n} scenarios cannot be chosen out of 6"):
            reduce(price_scenarios(6, 24), n)


def test_on_all_scenarios_no_plan_of_fewer_beats_the_plan_of_all():
    day = price_scenarios(16, 24, seed=1)
    params = make_params()
    start = np.array([100.0])
    problem = Problem(
        bess=params.bess,
        costs=params.market,
        block_hours=1.0,
        e_start_mwh=start,
        schedule_start_mwh=start,
        schedule_end_mwh=start,
    )
    whole = plan_day(problem, day).objective_rs

    def worth(dam_mw: np.ndarray) -> float:
        return plan_day(replace(problem, fixed_dam_mw=dam_mw), day).objective_rs

    kept = worth(plan_day(problem, reduce(day, 8)).dam_mw)
    one = worth(plan_day(problem, reduce(day, 1)).dam_mw)
    assert one < kept < whole + 1  # 1 Rs: tie-breaks
