"""The frontier's figures are those of its plans, and its plans those of the backtest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import small_cases
from small_cases import fleet, foreseeing, make_market, make_params

from bessvpp.backtest import simulate
from bessvpp.backtest.frontier import (
    Frontier,
    chosen_lambda,
    dominated,
    summarise_frontier,
    sweep_frontier,
)
from bessvpp.backtest.policies import TwoStage
from bessvpp.backtest.simulate import commit_chain, settle_chain
from bessvpp.backtest.window import Window
from bessvpp.compute.workers import Workers
from bessvpp.market.clock import gate_time
from bessvpp.market.history import week_mean
from bessvpp.optimizer import dispatch
from bessvpp.optimizer.energy_value import with_energy_value
from bessvpp.risk import Risk, cvar
from bessvpp.runs.folder import RunFolder
from bessvpp.settlement.day import CAUSAL, HINDSIGHT
from bessvpp.settlement.promise import planned_causal

MARKET = make_market(12, seed=1)
LAMBDAS = (0.0, 0.3, 2.0)


def make_window(*given, **named) -> Window:
    return foreseeing(small_cases.make_window(*given, **named))


def realised(window, fan: str, aversion: float) -> np.ndarray:
    """Profits of the two-stage policy over the days, by the backtest."""
    settings = window.params.risk.model_copy(update={"risk_aversion": aversion})
    params = window.params.model_copy(update={"risk": settings})
    same = replace(window, params=params)
    chain = settle_chain(same, commit_chain(same, TwoStage(fan)), CAUSAL)
    return np.array([float(day.ledger.net_rs) for day in chain])


@pytest.fixture(scope="module")
def hard():
    window = make_window(make_params({"e_start_mwh": 130.0}), MARKET)
    return window, sweep_frontier(window).points


def test_there_is_a_row_for_each_fan_and_lambda(hard):
    _, points = hard
    assert points[["fan", "lambda"]].to_numpy().tolist() == [
        [fan, aversion] for fan in ("original", "recalibrated") for aversion in LAMBDAS
    ]
    assert (points["n_days"] == 4).all()
    assert points["days_times_alpha"].tolist() == pytest.approx([1.6] * 6)
    one = make_window(make_params(fan="original"), MARKET)
    assert set(sweep_frontier(one).points["fan"]) == {"original"}


def test_planned_figures_pool_the_scenarios_of_all_days(hard):
    window, points = hard
    for fan in window.fans:
        plans = [
            dispatch.sweep(
                window.problem(np.array([130.0 if day == 0 else 100.0])),
                window.fans[fan][day],
                LAMBDAS,
                0.4,
            )
            for day in range(4)
        ]
        rows = points[points["fan"] == fan].to_dict(orient="records")
        for k, row in enumerate(rows):
            pooled = np.concatenate([of_day[k].profit_rs for of_day in plans])
            assert row["lambda"] == LAMBDAS[k]
            assert row["programme_mean_rs"] == pytest.approx(pooled.mean(), rel=1e-9)
            assert row["programme_cvar_rs"] == pytest.approx(cvar(pooled, 0.4), rel=1e-9)
            daily = np.mean([cvar(of_day[k].profit_rs, 0.4) for of_day in plans])
            assert row["programme_daily_cvar_rs"] == pytest.approx(daily, rel=1e-9)
            causal = np.concatenate(
                [
                    planned_causal(
                        window.problem(np.array([130.0 if day == 0 else 100.0])),
                        window.fans[fan][day],
                        of_day[k].unit_dam_mw,
                        window.params.market,
                        "expected",
                    )
                    for day, of_day in enumerate(plans)
                ]
            )
            assert row["fan_mean_rs"] == pytest.approx(causal.mean(), rel=1e-5)
            assert row["fan_cvar_rs"] == pytest.approx(cvar(causal, 0.4), rel=1e-4)
            assert row["fan_mean_rs"] < row["programme_mean_rs"]
            gap = np.mean([of_day[k].relaxation_gap_rs for of_day in plans])
            assert row["relaxation_gap_rs"] == pytest.approx(gap, abs=1e-3)
        assert [row["fan_daily_cvar_rs"] > row["fan_cvar_rs"] for row in rows] == [True] * 3


def test_planned_figures_count_each_scenario_by_its_weight():
    even = make_window(make_params(fan="original", lambdas=[0.3]), MARKET, first=10)
    weights = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.15, 0.75])
    days = [replace(day, weights=w) for day, w in zip(even.fans["original"], weights, strict=True)]
    window = replace(even, fans={"original": days})
    (row,) = sweep_frontier(window).points.to_dict(orient="records")
    problem = window.problem(np.array([100.0]))
    profits = [dispatch.plan_day(problem, day, Risk(0.3, 0.4)).profit_rs for day in days]
    pooled, share = np.concatenate(profits), np.concatenate(weights) / 2
    daily = [cvar(profit, 0.4, w) for profit, w in zip(profits, weights, strict=True)]
    assert row["programme_mean_rs"] == pytest.approx(share @ pooled)
    assert row["programme_cvar_rs"] == pytest.approx(cvar(pooled, 0.4, share))
    assert row["programme_daily_cvar_rs"] == pytest.approx(np.mean(daily))
    assert abs(cvar(pooled, 0.4, share) - cvar(pooled, 0.4)) > 100  # and they matter


@pytest.mark.slow
@pytest.mark.parametrize("terminal", ["hard", "free", "value"])
@pytest.mark.parametrize("commitment", ["physical", "financial"])
def test_realised_figures_are_those_of_the_backtest(commitment, terminal):
    params = fleet(commitment=commitment, terminal=terminal, lambdas=[0.3], fan="recalibrated")
    window = make_window(params, MARKET, first=9)
    frontier = sweep_frontier(window)
    row = frontier.points.iloc[0]
    daily = simulate.run_backtest(window).daily.query("policy == 'two_stage_recalibrated'")
    net = daily.query(f"settlement == {CAUSAL!r}")["net_rs"].to_numpy()
    assert row["realised_mean_rs"] == pytest.approx(net.mean(), abs=5)
    assert row["realised_cvar_rs"] == pytest.approx(cvar(net, 0.4), abs=5)
    assert row["realised_worst_day_rs"] == pytest.approx(net.min(), abs=5)
    np.testing.assert_allclose(frontier.daily["realised_rs"], net, atol=5)
    hindsight = daily.query(f"settlement == {HINDSIGHT!r}")["net_rs"].to_numpy()
    assert row["realised_hindsight_mean_rs"] == pytest.approx(hindsight.mean(), abs=5)
    assert row["realised_hindsight_cvar_rs"] == pytest.approx(cvar(hindsight, 0.4), abs=5)
    np.testing.assert_allclose(frontier.daily["realised_hindsight_rs"], hindsight, atol=5)
    assert hindsight.mean() > net.mean() + 1000


def test_lambdas_share_one_programme_and_still_give_the_plans_of_the_policy():
    """Financial, so that no block loses a direction to another lambda's plan."""
    window = make_window(make_params({"e_start_mwh": 130.0}, commitment="financial"), MARKET)
    points = sweep_frontier(window).points
    for fan in window.fans:
        for aversion in LAMBDAS:
            net = realised(window, fan, aversion)
            row = points.query("fan == @fan and `lambda` == @aversion").iloc[0]
            assert row["realised_mean_rs"] == pytest.approx(net.mean(), abs=5)
            assert row["realised_worst_day_rs"] == pytest.approx(net.min(), abs=5)


def test_the_frontier_runs_from_the_largest_mean_to_the_largest_cvar(hard):
    window, points = hard
    for _, rows in points.groupby("fan"):
        assert (np.diff(rows["programme_mean_rs"]) <= 1).all()
        first, *_, last = rows["programme_mean_rs"]
        assert first > last + 100
    # Each day's own tail never falls; pooled over days it could.
    for scenarios in window.fans.values():
        for day in range(1, 4):
            problem = window.problem(np.array([100.0]))
            plans = dispatch.sweep(problem, scenarios[day], LAMBDAS, 0.4)
            assert (np.diff([plan.cvar_rs for plan in plans]) >= -0.02).all()


def test_at_tail_one_every_cvar_is_its_mean():
    window = make_window(make_params(alpha=1.0, lambdas=[0.5]), MARKET, first=10)
    for row in sweep_frontier(window).points.to_dict(orient="records"):
        assert row["planned_cvar_rs"] == pytest.approx(row["planned_mean_rs"])
        assert row["programme_cvar_rs"] == pytest.approx(row["programme_mean_rs"])
        assert row["realised_cvar_rs"] == pytest.approx(row["realised_mean_rs"])


def test_bands_hold_what_they_are_bands_of(hard):
    _, points = hard
    for name in ("realised_mean", "realised_cvar"):
        assert (points[f"{name}_low_rs"] < points[f"{name}_high_rs"]).all()
        assert (points[f"{name}_low_rs"] <= points[f"{name}_rs"] + 1e-6).all()
    assert (points["realised_mean_rs"] <= points["realised_mean_high_rs"]).all()
    assert (points["realised_cvar_low_rs"] >= points["realised_worst_day_rs"] - 1e-6).all()


@pytest.mark.slow
@pytest.mark.parametrize("terminal", ["hard", "value"])
def test_one_worker_and_two_give_the_same_frontier(terminal):
    window = make_window(fleet(terminal=terminal), MARKET, first=10)
    one, two = (sweep_frontier(window, Workers(jobs), seed=5).points for jobs in (1, 2))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    other = sweep_frontier(window, seed=6).points
    pd.testing.assert_frame_equal(
        one.drop(columns=list(one.filter(regex="_(low|high)_|p_value"))),
        other.drop(columns=list(other.filter(regex="_(low|high)_|p_value"))),
        check_exact=True,
    )


def test_the_frontier_can_be_written_and_says_its_rules(hard, tmp_path):
    window, points = hard
    run = RunFolder(tmp_path)
    frontier = sweep_frontier(window)
    run.write_json("frontier.json", summarise_frontier(window, frontier))
    back = run.read_json("frontier.json")
    assert back["rules"]["commitment"] == "physical"
    assert "hindsight" in back["rules"]["recourse"]
    assert [point["lambda"] for point in back["fans"]["original"]] == list(LAMBDAS)
    first = points.iloc[0]
    assert back["fans"]["original"][0]["planned_mean_rs"] == first["planned_mean_rs"]
    assert set(back["chosen"]) == {"original", "recalibrated"}


@pytest.mark.parametrize("terminal", ["free", "value"])
def test_each_days_promise_starts_from_the_energy_planned_for_its_midnight(terminal):
    """The second day's is what the first day's plan leaves, worth what its own gate expects."""
    params = make_params(terminal=terminal, midnight="plan", lambdas=[0.3], fan="original")
    window = make_window(params, MARKET, first=10)
    fan = window.fans["original"]
    energy, expected = np.array([100.0]), []
    for day in (0, 1):
        gate = gate_time(window.days[day], params.market.dam_gate)
        seen = week_mean(MARKET.known_at(gate, params.market))
        problem = with_energy_value(window.problem(energy, day), seen)
        plan = dispatch.plan_day(problem, fan[day], Risk(0.3, 0.4))
        expected.append(
            planned_causal(problem, fan[day], plan.unit_dam_mw, params.market, "expected").mean()
        )
        energy = plan.e_end_mwh
    assert abs(energy[0] - 100) > 1
    daily = sweep_frontier(window).daily
    np.testing.assert_allclose(daily["fan_mean_rs"], expected, rtol=1e-4)
    assert set(daily["pit"].between(0, 1)) == {True}


def test_a_promise_is_corrected_by_what_days_settled_before_its_gate_missed(hard):
    """Of four days the third learns from the first, the fourth from two."""
    window, _ = hard
    daily = sweep_frontier(window).daily.query("fan == 'original' and `lambda` == @LAMBDAS[0]")
    missed = (daily["realised_rs"] - daily["fan_mean_rs"]).to_numpy()
    moved = (daily["planned_mean_rs"] - daily["fan_mean_rs"]).to_numpy()
    expected = [0.0, 0.0, missed[0] / 8, missed[:2].sum() / 9]
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_a_dominated_point_has_a_better_one_on_its_own_fan_by_hand():
    points = pd.DataFrame(
        {
            "fan": ["a", "a", "a", "a", "b"],
            "realised_mean_rs": [5.0, 4.0, 4.0, 3.0, 1.0],
            "realised_cvar_rs": [1.0, 2.0, 1.5, 3.0, 1.0],
        }
    )
    assert dominated(points, "realised").tolist() == [False, False, True, False, False]


def test_a_lambda_is_chosen_on_earlier_days_and_judged_on_later_ones_by_hand():
    """Mean plus half of the worst day: 10 + 0, 9 + 4, 6 + 3 on the first two days."""
    nets = {0.0: [0.0, 20.0, 7.0, 1.0], 0.1: [8.0, 10.0, 3.0, 4.0], 5.0: [6.0, 6.0, 9.0, 9.0]}
    rows = [
        {"fan": "a", "lambda": aversion, "date": f"2024-01-0{day + 1}", "realised_rs": net}
        for aversion, days in nets.items()
        for day, net in enumerate(days)
    ]
    found = chosen_lambda(Frontier(pd.DataFrame(), pd.DataFrame(rows)), "a", 0.5, 0.5)
    assert found["lambda"] == 0.1
    assert (found["chosen_on_days"], found["judged_on_days"]) == (2, 2)
    assert (found["later_mean_rs"], found["later_cvar_rs"]) == (3.5, 3.0)
    assert found["over_least_lambda"]["ahead_rs"] == -1.0


def test_without_expectations_there_is_no_frontier():
    window = small_cases.make_window(make_params(), MARKET, first=10)
    with pytest.raises(ValueError, match="with_expected_rtm"):
        sweep_frontier(window)
