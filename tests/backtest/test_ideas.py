"""What an idea is worth is what the same days earn with it and without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from backtest_cases import MARKETS
from small_cases import make_params, make_window

from bessvpp.backtest import ideas, policies
from bessvpp.backtest.simulate import commit_chain, settle_chain
from bessvpp.compute.workers import ONE, Workers
from bessvpp.optimizer.energy_value import energy_values
from bessvpp.prices import PriceScenarios
from bessvpp.settlement.day import CAUSAL, HINDSIGHT


@pytest.fixture(scope="module")
def window():
    params = make_params(
        terminal="value",
        midnight="plan",
        hurdle_dam_rs_per_mwh=100.0,
        dsm_share_of_flow=0.0,
        fan="recalibrated",
    )
    bare = make_window(params, MARKETS["ordinary"], first=9)
    rows = [bare.market.index_of(day) for day in bare.days]
    expected = np.repeat(bare.market.dam_mcp[rows][:, None] - 250.0, 24, axis=1)
    return replace(bare, expected_rtm=expected)


@pytest.fixture(scope="module")
def nets(window):
    [nets] = ONE.run_all([ideas.daily_nets(window, "recalibrated")], "ideas")
    return nets


@pytest.mark.slow
def test_every_idea_and_step_has_its_variants(window, nets):
    named = {name for idea in ideas.IDEAS for name in (idea.with_it, idea.without)}
    assert named | set(ideas.STAIRCASE) == set(nets)
    assert list(nets.index) == [str(day) for day in window.days]


def test_the_plan_is_the_two_stage_policy_and_what_it_leaves_is_counted(window, nets):
    commitments = commit_chain(window, policies.TwoStage("recalibrated"))
    for name, way in ((ideas.PLAN, CAUSAL), ("RTM known in recourse", HINDSIGHT)):
        days = settle_chain(window, commitments, way)
        expected = [float(day.ledger.net_rs) for day in days]
        last = len(days) - 1
        known = window.market.dam_mcp[window.market.index_of(window.days[last]) - 7 :][:7]
        (value,) = energy_values(window.problem(np.array([100.0])), known.mean(axis=0))
        expected[last] += float(value(days[last].e_end_mwh[0]))
        assert nets[name].to_numpy() == pytest.approx(expected, abs=0.1)


def test_nothing_that_is_known_earns_more_than_the_ceiling(nets):
    totals = nets.sum()
    assert (totals.drop(ideas.CEILING) <= totals[ideas.CEILING] + 1.0).all()
    assert totals["RTM known in recourse"] >= totals[ideas.PLAN] - 1.0


def test_each_variant_changes_what_it_says(window):
    chosen = ideas.variants(window, "recalibrated")
    rules = {name: variant.window.params for name, variant in chosen.items()}
    own = rules[ideas.PLAN]
    assert rules["hard target"].backtest.midnight == "own"
    assert rules["hard target, midnight by plan"].backtest.terminal == "hard"
    assert rules["hard target, midnight by plan"].backtest.midnight == "plan"
    assert rules["hard target"].market == own.market
    assert rules["without hurdles"].market.hurdle_dam_rs_per_mwh == 0
    assert rules["without hurdles"].backtest == own.backtest
    assert rules["lambda 0"].risk.risk_aversion == 0
    assert rules["financial commitment"].backtest.commitment == "financial"
    fans = {name: variant.window.fans["recalibrated"][1] for name, variant in chosen.items()}
    apart, base = fans["each block by itself"], fans[ideas.PLAN]
    np.testing.assert_allclose(np.sort(apart.dam, axis=0), np.sort(base.dam, axis=0))
    assert (apart.dam != base.dam).any()
    known = fans["DAM known"]
    assert (known.dam == window.realised(1).dam).all()
    within = (known.rtm > 0) & (known.rtm < 10_000)
    np.testing.assert_allclose((known.rtm - known.dam)[within], (base.rtm - base.dam)[within])


def test_the_dam_alone_commits_as_if_there_were_no_rtm(window):
    problem = window.problem(np.array([100.0]), 0)
    found = ideas.DamAlone("recalibrated")(window, 0, problem)
    other = ideas.DamAlone("recalibrated")(
        ideas.with_fan(
            window,
            "recalibrated",
            lambda _, __, fan: PriceScenarios(fan.dam, fan.rtm * 0 + 1, fan.weights),
        ),
        0,
        problem,
    )
    np.testing.assert_allclose(found.dam_mw, other.dam_mw, atol=1e-6)


def test_the_worth_of_an_idea_by_hand():
    names = {name for idea in ideas.IDEAS for name in (idea.with_it, idea.without)}
    nets = pd.DataFrame(10.0, index=["a", "b", "c", "d"], columns=sorted(names))
    nets[ideas.PLAN] = [11.0, 12.0, 10.0, 11.0]
    nets["RTM alone"] = [9.0, 10.0, 8.0, 9.0]
    nets["lambda 0"] = [12.0, 11.0, 10.0, 11.0]
    found = ideas.worth(nets).set_index("idea")
    gain = found.loc["trading the DAM, too"]
    assert gain[["gain_rs", "low_rs", "high_rs"]].tolist() == [8.0, 8.0, 8.0]
    assert gain["beyond"]
    assert found.loc["minding bad days (CVaR)", "gain_rs"] == 0.0
    assert not found.loc["minding bad days (CVaR)", "beyond"]
    assert found.loc["knowing both markets", "gain_rs"] == 40.0 - 44.0


@pytest.mark.slow
def test_one_worker_and_two_give_the_same_nets(window, nets):
    [by_two] = Workers(2).run_all([ideas.daily_nets(window, "recalibrated")], "ideas")
    pd.testing.assert_frame_equal(nets, by_two, check_exact=True)
