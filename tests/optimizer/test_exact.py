"""What a ceiling is too high by is proven, and agrees with another statement of the same search."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from optimizer_cases import best_directions, cheap_day_ahead
from small_cases import fleet, make_params, make_problem, price_scenarios

from bessvpp.optimizer import exact
from bessvpp.optimizer.dispatch import ceiling, plan_day
from bessvpp.optimizer.engine import ArrayProgramme
from bessvpp.optimizer.exact import PROOF_RS, Gap, strict_gap
from bessvpp.optimizer.highs import Model
from bessvpp.optimizer.problem import TIE_BREAK_RS_PER_MWH
from bessvpp.prices import PriceScenarios

TIES_RS_PER_DAY = TIE_BREAK_RS_PER_MWH * 24 * 4 * 50  # each day's are its own
LEAKY = {"self_discharge_per_hour": 0.004}


def a_day(seed: int = 0) -> PriceScenarios:
    """A day on which buying in the DAM without end would pay."""
    day = cheap_day_ahead(24, seed)
    return PriceScenarios.single(day.dam[0], day.rtm[0])


def in_a_row(*days: PriceScenarios) -> PriceScenarios:
    dam, rtm = (np.hstack([getattr(day, name)[0] for day in days]) for name in ("dam", "rtm"))
    return PriceScenarios.single(dam, rtm)


@pytest.mark.parametrize(
    "params",
    [
        make_params(),
        make_params(terminal="free"),
        pytest.param(fleet(), marks=pytest.mark.slow),
    ],
    ids=["hard", "free", "fleet"],
)
def test_the_gap_is_that_of_the_readable_statement_searched_in_full(params):
    problem, prices = make_problem(params), a_day()
    gap = strict_gap(problem, prices)
    true_rs = ceiling(problem, prices).objective_rs - best_directions(problem, prices)
    assert gap.rs == pytest.approx(true_rs, rel=0.01)
    assert 1000 < gap.least_rs <= gap.rs <= gap.least_rs + PROOF_RS


def test_barred_directions_lose_more_than_the_ceiling_is_too_high_by():
    problem, prices = make_problem(make_params()), a_day(1)
    assert plan_day(problem, prices).relaxation_gap_rs > strict_gap(problem, prices).rs + 100


@pytest.mark.slow
@pytest.mark.parametrize("unit", [{}, LEAKY], ids=["ideal", "leaky"])
@pytest.mark.parametrize("terminal", ["free", "hard"])
def test_days_searched_one_by_one_enclose_the_gap_of_all_at_once(unit, terminal):
    prices = in_a_row(a_day(), price_scenarios(1, seed=8), a_day(2))
    problem = make_problem(make_params(unit, terminal=terminal), schedule_start_mwh=None)
    gap = strict_gap(problem, prices)
    true_rs = ceiling(problem, prices).objective_rs - best_directions(problem, prices)
    room_rs = 3 * TIES_RS_PER_DAY
    assert gap.least_rs - room_rs <= true_rs <= gap.rs + room_rs
    assert gap.least_rs > 0.9 * gap.rs > 1000


@pytest.mark.parametrize(
    "params",
    [
        make_params(terminal="free"),
        fleet(terminal="free"),
        make_params(LEAKY, terminal="free"),
    ],
    ids=["ideal", "fleet", "leaky"],
)
def test_without_the_clause_days_at_prices_of_energy_come_to_the_ceiling(params):
    """Strong duality: what bounds every plan is no more than the ceiling where nothing is lost."""
    problem = make_problem(params, schedule_start_mwh=None)
    prices = in_a_row(price_scenarios(1, seed=1), price_scenarios(1, seed=2), a_day())
    window = ArrayProgramme(problem, prices, is_risk_averse=False)
    plan, costs = window.optimum(), []

    def kept(self, *_):
        costs.append(self.cost)
        return self.cost, self.cost

    with mock.patch.object(Model, "cost_and_bound", kept):
        for day in exact._days(window, plan):
            assert day.at_prices(0) == 0
    paid = window.priced.daily_rs + window.priced.auxiliary_rs.sum()
    assert -sum(costs) - paid == pytest.approx(plan.objective_rs, abs=3 * TIES_RS_PER_DAY)


@pytest.mark.parametrize("commitment", ["physical", "financial"])
def test_a_ceiling_that_keeps_the_clause_is_exact_without_a_search(commitment):
    problem = make_problem(make_params(commitment=commitment))
    with mock.patch.object(Model, "cost_and_bound", side_effect=AssertionError):
        assert strict_gap(problem, price_scenarios(1, seed=8)) == Gap(0.0, 0.0)


def test_a_real_path_that_burns_is_searched_too():
    """A full battery that must take a purchase: what burning would have saved."""
    params = make_params({"e_start_mwh": 180.0}, terminal="free")
    fixed = np.zeros(24)
    fixed[0] = -50.0
    problem = make_problem(params, fixed_dam_mw=fixed, rtm_allowed=False)
    prices = PriceScenarios.single(np.full(24, 4000.0), np.full(24, 7000.0))
    plan = plan_day(problem, prices)
    assert plan.restricted_blocks > 0
    assert strict_gap(problem, prices).rs == pytest.approx(plan.relaxation_gap_rs, rel=1e-6)


def test_a_search_that_ends_early_says_what_it_leaves_open():
    problem, prices = make_problem(make_params()), a_day()
    whole, cut = (strict_gap(problem, prices, n) for n in (exact.N_NODES, 0))
    assert cut.least_rs <= whole.rs <= cut.rs < np.inf
    assert cut.rs > cut.least_rs + 1000


def test_no_time_limit_ends_the_search():
    problem, prices = make_problem(make_params()), a_day()
    programme = ArrayProgramme(replace(problem, solver_time_limit_s=1e-9), prices, False)
    other = ArrayProgramme(problem, prices, False)
    pairs = exact._directions(programme)
    found = [each.model.cost_and_bound(pairs, 1.0, 1000) for each in (programme, other)]
    assert found[0] == found[1]
    assert np.isfinite(found[0]).all()
