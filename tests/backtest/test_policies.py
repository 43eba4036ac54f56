"""What a policy commits, by hand and by rule, from nothing but its past."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from backtest_cases import MARKETS, POLICIES, changed
from small_cases import CAP, UNIT, fleet, make_market, make_params, make_study, make_window

from bessvpp import battery
from bessvpp.backtest import policies, simulate
from bessvpp.backtest.policies import BASELINE
from bessvpp.backtest.simulate import commit_chain
from bessvpp.market import history
from bessvpp.market.history import Market
from bessvpp.optimizer import dispatch
from bessvpp.params.study import PolicyName
from bessvpp.prices import PriceScenarios
from bessvpp.risk import Risk


def test_every_policy_that_parameters_can_name_is_there_to_commit():
    assert {*policies.SIMPLE, *policies.ON_FAN} == set(get_args(PolicyName))


# ------------------------------------------------------------------------------ planning


def test_commitments_start_and_end_where_the_hard_rule_says():
    """A start off the target is worked off on the first day, by the schedule itself."""
    for start in (60.0, 150.0):
        params = make_params({"e_start_mwh": start})
        window = make_window(params, MARKETS["ordinary"])
        unit = params.bess.units[0]
        for name in ("yesterday", "seven_day_mean", "median", "two_stage_original"):
            energy = start
            for commitment in commit_chain(window, POLICIES[name]):
                violation = battery.schedule_violations(
                    params.bess, commitment.unit_mw, np.array([energy]), 1.0
                )
                assert violation.max() <= battery.FEASIBILITY_TOLERANCE_MWH
                end = battery.energy_path(unit, commitment.unit_mw[0], energy, 1.0)[-1]
                assert end == pytest.approx(100, abs=0.01)
                energy = 100.0


@pytest.mark.parametrize("name", POLICIES)
def test_under_the_hard_rule_every_policy_plans_to_end_at_the_target(name):
    """Whatever it starts from, and though power that is given away would fill it further."""
    market = changed(MARKETS["ordinary"], rtm=(slice(0, 12), slice(20, 24), 0.0))
    params = make_params({"e_start_mwh": 60.0})
    window = make_window(params, market, first=10)
    free = replace(window.medians[0], rtm=np.where(np.arange(24) >= 20, 0.0, window.medians[0].rtm))
    window = replace(window, medians=[free, free])
    planned = [commitment.e_end_mwh.tolist() for commitment in commit_chain(window, POLICIES[name])]
    assert planned == [[100.0], [100.0]]


def dear_day_ahead(params) -> object:
    """A window whose sure path pays more in the DAM than the RTM asks, in every block."""
    window = make_window(params, MARKETS["ordinary"], first=9)
    dam = np.full(24, 6000.0)
    return replace(window, medians=[PriceScenarios.single(dam, dam - 3000.0)] * len(window.days))


@pytest.mark.parametrize("terminal", ["hard", "value"])
def test_a_schedule_that_may_count_on_the_rtm_sells_all_that_it_could_deliver_by_hand(terminal):
    """80 MWh above the least energy, less what discharging loses; bought back in the RTM."""
    own, plan = (
        commit_chain(dear_day_ahead(make_params(terminal=terminal, midnight=rule)), policies.median)
        for rule in ("own", "plan")
    )
    if terminal == "hard":
        assert own[0].dam_mw.sum() <= 0.01
        for commitment in plan:
            assert commitment.dam_mw.sum() == pytest.approx(80 * UNIT["eta_discharge"], abs=0.01)
            assert commitment.e_end_mwh.tolist() == [100.0]  # the target, by the RTM
    unit = make_params().bess.units[0]
    energy = 100.0
    for commitment in plan:  # each by itself deliverable, from the energy planned for it
        path = battery.energy_path(unit, commitment.unit_mw[0], energy, 1.0)
        assert path.min() >= 20 - 0.01
        assert path.max() <= 180 + 0.01
        energy = commitment.e_end_mwh[0]


def test_under_value_a_midnight_by_plan_is_what_the_whole_plan_expects():
    params = make_params(terminal="value", midnight="plan")
    window = make_window(params, MARKETS["ordinary"], first=9)
    problem = window.problem(np.array([100.0]), 0)
    commitment = policies.TwoStage("original")(window, 0, problem)
    valued = window.with_energy_value(problem, 0)
    plan = dispatch.plan_day(valued, window.fans["original"][0], params.risk.risk)
    np.testing.assert_allclose(commitment.e_end_mwh, plan.e_end_mwh, atol=1e-6)
    alone = battery.energy_path(params.bess.units[0], commitment.unit_mw[0], 100.0, 1.0)[-1]
    assert abs(alone - commitment.e_end_mwh[0]) > 1


def test_nothing_committed_is_nothing():
    window = make_window(fleet(), MARKETS["ordinary"])
    for commitment in commit_chain(window, policies.nothing_committed):
        assert commitment.unit_mw.shape == (2, 24)
        assert not commitment.unit_mw.any()
        assert not commitment.dam_mw.any()


def test_fixed_windows_fill_up_at_noon_and_sell_it_in_the_evening_by_hand():
    # Room for 80 MWh: 80 / .96 / 2 h in; 80 * .92 / 2 h out.
    window = make_window(make_params(), MARKETS["ordinary"])
    (mw,) = commit_chain(window, policies.fixed_windows)[1].unit_mw
    expected = np.zeros(24)
    expected[[11, 12]], expected[[18, 19]] = -80 / 0.96 / 2, 80 * 0.92 / 2
    np.testing.assert_allclose(mw, expected)
    # In quarter hours it is the same power for as long.
    window = make_window(make_params(), MARKETS["quarter hours"])
    (mw,) = commit_chain(window, policies.fixed_windows)[1].unit_mw
    np.testing.assert_allclose(mw, np.repeat(expected, 4))


@pytest.mark.parametrize(
    "unit",
    [
        {"max_cycles_per_day": 0.2},
        {"p_max_mw": 12.0},
        {"p_charge_max_mw": 12.0},
        {"charge_windows": [{"start": "00:00", "end": "11:00"}]},
        {"discharge_windows": [{"start": "00:00", "end": "18:30"}]},
        {"e_start_mwh": 60.0},
        {"e_start_mwh": 170.0},
        {"e_start_mwh": 180.0, "e_target_mwh": 20.0},
        {"e_start_mwh": 180.0, "e_target_mwh": 120.0, "max_cycles_per_day": 0.3},
    ],
    ids=str,
)
def test_fixed_windows_keep_every_rule_of_the_battery(unit):
    params = make_params(unit)
    window = make_window(params, MARKETS["ordinary"])
    start = simulate.start_energy(params.bess)
    commitment = policies.fixed_windows(window, 0, window.problem(start))
    violation = battery.schedule_violations(params.bess, commitment.unit_mw, start, 1.0)
    assert violation.max() < 1e-9


def test_fixed_windows_sell_all_that_a_cycle_limit_allows_by_hand():
    """.2 cycles of 200 MWh are 40 MWh at the grid side, of which 40 / .92 is drawn."""
    window = make_window(make_params({"max_cycles_per_day": 0.2}), MARKETS["ordinary"])
    (mw,) = commit_chain(window, policies.fixed_windows)[1].unit_mw
    assert mw[[18, 19]].tolist() == pytest.approx([20.0, 20.0])
    assert mw[[11, 12]].tolist() == pytest.approx([-20 / 0.92 / 0.96] * 2)


def test_fixed_windows_of_a_fleet_keep_within_the_connection():
    params = fleet(connection_limit_mw=35.0)
    window = make_window(params, MARKETS["ordinary"])
    start = simulate.start_energy(params.bess)
    commitment = policies.fixed_windows(window, 0, window.problem(start))
    assert np.abs(commitment.dam_mw).max() <= 35
    assert commitment.dam_mw.max() > 20
    assert battery.schedule_violations(params.bess, commitment.unit_mw, start, 1.0).max() < 1e-9


def test_simple_policies_plan_on_the_prices_they_are_named_after():
    params = make_params()
    window = make_window(params, MARKETS["ordinary"])
    dam = MARKETS["ordinary"].dam_mcp
    problem = window.problem(simulate.start_energy(params.bess))
    for day in range(len(window.days)):
        row = 8 + day
        for policy, prices in (
            (policies.yesterday, dam[row - 1]),
            (policies.seven_day_mean, dam[row - 7 : row].mean(axis=0)),
        ):
            best = dispatch.plan_day(
                replace(problem, rtm_allowed=False), PriceScenarios.single(prices, prices)
            )
            commitment = policy(window, day, problem)
            np.testing.assert_allclose(commitment.dam_mw, best.dam_mw, atol=1e-6)


def test_the_two_stage_policy_plans_on_its_own_fan_with_the_risk_of_the_parameters():
    window = make_window(make_params(), MARKETS["ordinary"])
    problem = window.problem(simulate.start_energy(window.params.bess))
    commitments = {}
    for fan in ("original", "recalibrated"):
        commitments[fan] = policies.TwoStage(fan)(window, 1, problem)
        plan = dispatch.plan_day(problem, window.fans[fan][1], Risk(0.3, 0.4))
        np.testing.assert_array_equal(commitments[fan].unit_mw, plan.unit_dam_mw)
    assert np.abs(commitments["original"].dam_mw - commitments["recalibrated"].dam_mw).max() > 1
    sure = policies.median(window, 1, problem)
    plan = dispatch.plan_day(problem, window.medians[1])
    np.testing.assert_array_equal(sure.unit_mw, plan.unit_dam_mw)


def test_a_financial_commitment_is_shared_by_power():
    params = fleet(commitment="financial")
    window = make_window(params, MARKETS["ordinary"])
    commitment = commit_chain(window, policies.TwoStage("original"))[0]
    problem = window.problem(simulate.start_energy(params.bess))
    plan = dispatch.plan_day(problem, window.fans["original"][0], Risk(0.3, 0.4))
    np.testing.assert_allclose(commitment.dam_mw, plan.dam_mw)
    np.testing.assert_allclose(50 * commitment.unit_mw[1], 20 * commitment.unit_mw[0])


def test_committing_nothing_is_always_among_the_policies():
    window = make_window(make_params(policies=["yesterday"]), MARKETS["ordinary"], first=10)
    assert set(policies.policies(window)) == {BASELINE, "yesterday"}
    window = make_window(make_params(policies=["two_stage"]), MARKETS["ordinary"], first=10)
    assert set(policies.policies(window)) == {
        BASELINE,
        "two_stage_original",
        "two_stage_recalibrated",
    }
    window = make_window(
        make_params(policies=["two_stage"], fan="original"), MARKETS["ordinary"], first=10
    )
    assert set(policies.policies(window)) == {BASELINE, "two_stage_original"}
    window = make_window(make_params(policies=["mean"]), MARKETS["ordinary"], first=10)
    assert set(policies.policies(window)) == {BASELINE, "mean_original", "mean_recalibrated"}


def test_a_typical_day_is_a_weeks_dam_and_four_weeks_of_spread_by_hand():
    """The RTM of the evening of the day before is not known at the gate, nor is day 10 itself."""
    market = MARKETS["quarter hours"]
    window = make_window(make_params(midnight="plan"), market, first=10)
    problem = window.problem(np.array([100.0]), 0)
    dam = market.dam_mcp[3:10].mean(axis=0)
    spread = (market.rtm_mcp - market.dam_mcp)[:10].copy()
    spread[9, 46:] = np.nan  # at 11:00 the session of 11:00, two blocks, is the last one known
    by_hour = np.nanmean(spread.reshape(10, 24, 4), axis=(0, 2))
    rtm = np.clip(dam + np.repeat(by_hour, 4), 0, CAP)
    expected = dispatch.plan_day(problem, PriceScenarios.single(dam, rtm))
    found = policies.typical_day(window, 0, problem)
    np.testing.assert_allclose(found.dam_mw, expected.dam_mw, atol=1e-6)
    assert np.abs(found.dam_mw).sum() > 10


def test_a_plan_on_mean_prices_takes_the_weighted_mean_of_each_block():
    window = make_window(make_params(midnight="plan"), MARKETS["ordinary"], first=11)
    fan = replace(window.fans["original"][0], weights=np.array([0.7, 0.2, 0.1]))
    window = replace(window, fans=window.fans | {"original": [fan]})
    problem = window.problem(np.array([100.0]), 0)
    mean = [0.7 * each[0] + 0.2 * each[1] + 0.1 * each[2] for each in (fan.dam, fan.rtm)]
    expected = dispatch.plan_day(problem, PriceScenarios.single(*mean))
    found = policies.OnMean("original")(window, 0, problem)
    np.testing.assert_allclose(found.dam_mw, expected.dam_mw, atol=1e-6)


@pytest.mark.parametrize(("hurdle", "sells"), [(450.0, True), (460.0, False)])
def test_a_hurdle_keeps_a_plan_from_a_trade_that_earns_less_by_hand(hurdle, sells):
    """Sold in the DAM at 500 above the RTM in which it is bought back: less fees of 20 and 33."""
    params = make_params({"wear_rs_per_mwh_discharged": 3000.0}, midnight="plan")
    costs = {"hurdle_dam_rs_per_mwh": hurdle - 60, "hurdle_rtm_rs_per_mwh": 50.0}
    market = params.market.model_copy(update=costs)
    params = params.model_copy(update={"market": market})
    window = make_window(params, MARKETS["ordinary"], first=11)
    dam = np.full(24, 6000.0)
    window = replace(window, medians=[PriceScenarios.single(dam, dam - 500.0)])
    found = policies.median(window, 0, window.problem(np.array([100.0]), 0))
    assert (found.dam_mw.sum() > 1) == sells


def test_a_hurdle_is_neither_booked_nor_in_the_ceiling_nor_in_hindsight():
    settled = {}
    for hurdle in (0.0, 400.0):
        changes = {"hurdle_dam_rs_per_mwh": hurdle, "hurdle_rtm_rs_per_mwh": hurdle}
        window = make_window(make_params(**changes), MARKETS["ordinary"], first=10)
        chain = commit_chain(window, policies.nothing_committed)
        days = simulate.settle_chain(window, chain, simulate.HINDSIGHT)
        bound = simulate.ceilings(window)[simulate.HINDSIGHT].days
        settled[hurdle] = [float(day.ledger.net_rs) for day in (*days, *bound)]
    assert settled[0.0] == pytest.approx(settled[400.0], abs=0.01)


# ------------------------------------------------------------------------------ odd days


def test_the_day_after_an_excluded_one_plans_on_the_last_whole_day():
    holed = changed(MARKETS["ordinary"], dam=(10, 4, np.nan))
    window = make_window(make_params(), holed)
    problem = window.problem(simulate.start_energy(window.params.bess))
    alone = replace(problem, rtm_allowed=False)
    dam = holed.dam_mcp
    best = dispatch.plan_day(alone, PriceScenarios.single(dam[9], dam[9]))
    found = policies.yesterday(window, 2, problem)
    np.testing.assert_allclose(found.dam_mw, best.dam_mw, atol=1e-6)
    np.testing.assert_allclose(
        history.week_mean(window.known_at_gate(2)), dam[[3, 4, 5, 6, 7, 8, 9]].mean(axis=0)
    )


# ------------------------------------------------------------------------------ information


def decided(study, day: int) -> dict[str, np.ndarray]:
    """All that is decided at the gate of a test day, and what it was decided from."""
    date = study.splits.test[day]
    start = study.features["delivery_start"].dt.tz_localize(None).to_numpy()
    rows = start.astype("datetime64[D]") == date
    found = {"features": study.features[rows].drop(columns="delivery_start").to_numpy()}
    found["correlation"] = study.correlation
    for name in ("dam", "rtm"):
        found[f"forecast {name}"] = study.original[name].on(np.array([date])).values
        found[f"recalibrated {name}"] = study.recalibrated[name].on(np.array([date])).values
    found["shifts"] = study.deltas.query("date == @date.astype('str')")[
        ["delta_rs_per_mwh", "n", "rank"]
    ].to_numpy()
    for fan, days in study.window.fans.items():
        found[f"scenarios {fan}"] = np.stack([days[day].dam, days[day].rtm])
    for name, policy in POLICIES.items():
        commitment = commit_chain(replace(study.window, days=study.window.days[: day + 1]), policy)
        found[f"commitment {name}"] = np.array([each.unit_mw for each in commitment])
        found[f"energy planned {name}"] = np.array([each.e_end_mwh for each in commitment])
    return found


def unknown_at_gate(market: Market, place: int, seed: int) -> Market:
    """The market with everything different that is not known when bids for a day close."""
    rng = np.random.default_rng(seed)
    dam, rtm = market.dam_mcp.copy(), market.rtm_mcp.copy()
    extras = {name: values.copy() for name, values in market.extras.items()}
    later = slice(place, None)
    dam[later] = rng.choice([0.0, 3000.0, 10_000.0], dam[later].shape)
    rtm[later] = rng.choice([0.0, 3000.0, 10_000.0], rtm[later].shape)
    rtm[place - 1, 11:] = rng.choice([0.0, 10_000.0], 13)
    for name, values in extras.items():
        values[later] = rng.uniform(0, 5, values[later].shape)
        if name.startswith("rtm"):
            values[place - 1, 11:] = rng.uniform(0, 5, 13)
    return Market(market.dates, dam, rtm, market.rtm_no_trade, extras, False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("commitment", "terminal", "midnight"),
    [("physical", "hard", "own"), ("physical", "value", "plan"), ("financial", "value", "own")],
)
def test_prices_after_the_gate_change_no_decision_before_it(commitment, terminal, midnight):
    """Over two chained days: features, forecasts, recalibration, scenarios, commitments."""
    params = make_params(commitment=commitment, terminal=terminal, midnight=midnight)
    market = make_market(70, bids=True)
    study = make_study(params, market)
    for day in (0, 1):
        place = market.index_of(study.splits.test[day])
        for seed in (1, 2):
            other = make_study(params, unknown_at_gate(market, place, seed))
            for before in range(day + 1):
                base, moved = decided(study, before), decided(other, before)
                assert set(base) == set(moved)
                for name, values in base.items():
                    same = np.array_equal(values, moved[name], equal_nan=True)
                    assert same, f"{name} of day {before} saw beyond the gate of day {day}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "days_before", "block", "unmoved"),
    [
        # The last price known: that of 23:00 on the day before, in the DAM.
        ("dam", 1, 23, {"correlation"}),
        # 10:00 to 11:00 on the day before, known from 10:30, in the RTM.
        ("rtm", 1, 10, {"correlation", "commitment yesterday", "commitment seven_day_mean"}),
        # Two days before, whole in both markets, so the correlation sees it too.
        ("rtm", 2, 20, {"commitment yesterday", "commitment seven_day_mean"}),
    ],
)
def test_a_price_known_at_the_gate_does_change_what_is_decided(what, days_before, block, unmoved):
    params = make_params()
    market = make_market(70, bids=True)
    study = make_study(params, market)
    place = market.index_of(study.splits.test[0])
    prices = market.dam_mcp if what == "dam" else market.rtm_mcp
    old = prices[place - days_before, block]
    edit = {what: (place - days_before, block, 9900.0 if old < 6000 else 150.0)}
    base, moved = decided(study, 0), decided(make_study(params, changed(market, **edit)), 0)
    still = {name for name in base if np.array_equal(base[name], moved[name], equal_nan=True)}
    never = {name for name in base if name.startswith("energy planned")}
    never |= {"commitment nothing_committed", "commitment fixed_windows"}
    moving = {
        "features",
        f"forecast {what}",
        f"recalibrated {what}",
        "shifts",
        "scenarios original",
        "scenarios recalibrated",
        "commitment two_stage_original",
        "commitment two_stage_recalibrated",
    }
    if what == "dam":
        moving |= {"commitment yesterday"}
    assert not still & moving
    assert never | unmoved <= still
