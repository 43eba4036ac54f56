"""Policies know only their past, energy is carried, and the ceiling holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_cases import (
    UNIT,
    fleet,
    make_market,
    make_params,
    make_problem,
    make_study,
    make_window,
)

from bessvpp import battery, ledger
from bessvpp.backtest import policies, simulate
from bessvpp.backtest.policies import BASELINE
from bessvpp.backtest.simulate import CEILING, commit_chain, run_backtest, settle_chain
from bessvpp.backtest.summary import _lead, rules, summarise
from bessvpp.backtest.window import load_window, settled_days
from bessvpp.compute.workers import Workers
from bessvpp.errors import DataError, ParameterError
from bessvpp.market import history
from bessvpp.market.history import Market
from bessvpp.optimizer import dispatch
from bessvpp.prices import PriceScenarios
from bessvpp.risk import Risk, cvar
from bessvpp.runs.folder import RunFolder
from bessvpp.settlement.day import AS_COMMITTED, HINDSIGHT

POLICIES = {
    "nothing_committed": policies.nothing_committed,
    "fixed_windows": policies.fixed_windows,
    "yesterday": policies.yesterday,
    "seven_day_mean": policies.seven_day_mean,
    "median": policies.median,
    "two_stage_original": policies.TwoStage("original"),
    "two_stage_recalibrated": policies.TwoStage("recalibrated"),
}


def changed(market: Market, **edits: object) -> Market:
    """The market with ``(days, blocks, values)`` written over some of its arrays."""
    arrays = {"dam": market.dam_mcp.copy(), "rtm": market.rtm_mcp.copy()}
    no_trade = market.rtm_no_trade.copy()
    for name, (days, blocks, values) in edits.items():
        if name == "no_trade":
            no_trade[days, blocks] = values
            arrays["rtm"][days, blocks] = np.nan
        else:
            arrays[name][days, blocks] = values
    dam, rtm = arrays["dam"], arrays["rtm"]
    return Market(market.dates, dam, rtm, no_trade, market.extras, False)


def net_of(days) -> np.ndarray:
    return np.array([float(day.ledger.net_rs) for day in days])


# ------------------------------------------------------------------------------ the ceiling


def traded(rows: pd.DataFrame) -> pd.Series:
    """MWh that the tie-break of 0.01 Rs/MWh can have moved, by policy and settlement."""
    names = ["dam_sold", "dam_bought", "rtm_sold", "rtm_bought", "charged", "discharged"]
    return rows[[f"{name}_mwh" for name in names]].sum(axis=1)


def assert_never_beaten(window, ways=(AS_COMMITTED, HINDSIGHT)) -> pd.DataFrame:
    daily = run_backtest(window).daily
    daily["tie_rs"] = 0.01 * traded(daily)
    totals = daily.groupby(["settlement", "policy"])[["net_rs", "tie_rs"]].sum()
    for settlement in ways:
        rows = totals.loc[settlement]
        ceiling = rows.loc[CEILING]
        for name in rows.index.drop(CEILING):
            # The ceiling earns most up to the tie-break, which is part of what it maximises.
            assert rows.loc[name, "net_rs"] <= ceiling["net_rs"] + ceiling["tie_rs"], (
                settlement,
                name,
            )
    return daily


MARKETS = {
    "ordinary": make_market(12, seed=1),
    "quarter hours": make_market(11, 96, seed=2),
    "flat": changed(
        make_market(12, seed=3), dam=(slice(0, 12), slice(0, 24), 5000.0), rtm=(7, 3, 5005.0)
    ),
    "capped and free": changed(
        make_market(12, seed=4),
        dam=(slice(8, 12), slice(17, 24), 10_000.0),
        rtm=(slice(8, 12), slice(8, 15), 0.0),
    ),
    "no trade": changed(
        make_market(12, seed=5), no_trade=(slice(8, 12), np.r_[0:5, 12, 18:21], True)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("terminal", ["hard", "free", "value"])
@pytest.mark.parametrize("commitment", ["physical", "financial"])
@pytest.mark.parametrize("name", MARKETS)
def test_the_ceiling_is_never_beaten(name, commitment, terminal):
    params = make_params(commitment=commitment, terminal=terminal, risk_aversion=0.5)
    assert_never_beaten(make_window(params, MARKETS[name]))


@pytest.mark.parametrize("terminal", ["hard", "free"])
def test_the_ceiling_of_a_fleet_is_never_beaten(terminal):
    unit = UNIT | {"e_start_mwh": 150.0, "max_cycles_per_day": 0.8}
    params = fleet(units=[unit, fleet().bess.units[1].model_dump()], terminal=terminal)
    assert_never_beaten(make_window(params, MARKETS["ordinary"], first=9))


def without_the_energy(commitment="financial", **changes):
    """The sure path of one flat day: dear in the DAM in two blocks, so two blocks are sold."""
    params = make_params(commitment=commitment, policies=["median"], **changes)
    market = changed(
        make_market(10), dam=(slice(0, 10), slice(0, 24), 5000.0), rtm=(9, slice(0, 24), 5000.0)
    )
    window = make_window(params, market, first=9)
    rtm = np.full(24, 5000.0)
    rtm[[18, 19]] = 4000.0
    return replace(window, medians=[PriceScenarios.single(np.full(24, 5000.0), rtm)])


def test_selling_energy_that_must_be_kept_does_not_beat_the_ceiling():
    """A financial plan under the hard rule, settled without the recourse it counted on."""
    window = without_the_energy()
    daily = assert_never_beaten(window)
    assert daily.query("policy == 'median'")["dam_sold_mwh"].max() == 100


@pytest.mark.parametrize("rule", ["mean_of_three", "highest"])
def test_not_delivering_does_not_beat_the_ceiling_where_deviations_are_cheap(rule):
    """A mean that lies below the price, or a maximum that does."""
    most = {"mean_of_three": 8000.0, "highest": 4000.0}[rule]
    cheap = {"rule": rule, "ancillary_rs_per_mwh": 0.0, "max_rs_per_mwh": most}
    assert_never_beaten(without_the_energy(dsm_rate=cheap, terminal="free"))


def test_a_start_below_the_target_does_not_beat_the_ceiling():
    """Who commits nothing and trades nothing never fills up to the target."""
    params = make_params({"e_start_mwh": 40.0}, policies=["nothing_committed", "yesterday"])
    flat = changed(
        make_market(10), dam=(slice(0, 10), slice(0, 24), 5000.0), rtm=(9, slice(0, 24), 5000.0)
    )
    assert_never_beaten(make_window(params, flat, first=9))


def filling_up(**changes):
    """A flat day on which the battery starts below its target and has to buy."""
    params = make_params({"e_start_mwh": 40.0}, policies=["nothing_committed"], **changes)
    flat = changed(
        make_market(10), dam=(slice(0, 10), slice(0, 24), 5000.0), rtm=(9, slice(0, 24), 5000.0)
    )
    return make_window(params, flat, first=9)


def test_a_penalty_that_only_steers_plans_does_not_lower_the_ceiling():
    """With it the best plan buys in the DAM, at its fee; without, in the RTM at none."""
    window = filling_up(off_dam_penalty_rs_per_mwh=50.0, fee_rtm_rs_per_mwh=0.0)
    assert_never_beaten(window, (HINDSIGHT,))


def test_filling_up_without_a_trade_does_not_beat_the_ceiling():
    """Nothing is traded in the RTM that day, so who committed nothing takes what he needs."""
    window = filling_up()
    closed = changed(window.market, no_trade=(9, slice(0, 24), True))
    assert_never_beaten(replace(window, market=closed), (HINDSIGHT,))


def test_the_ceiling_uses_the_same_start_end_and_rules():
    params = make_params({"e_start_mwh": 130.0} | {"max_cycles_per_day": 0.6})
    window = make_window(params, MARKETS["ordinary"])
    for settlement, (days, gap) in simulate.ceilings(window).items():
        assert gap >= -1
        assert days[0].e_start_mwh == pytest.approx(130)
        assert days[-1].e_end_mwh == pytest.approx(100)
        net = [day.discharge_mw - day.charge_mw for day in days]
        start = days[0].e_start_mwh
        for day, mw in zip(days, net, strict=True):
            np.testing.assert_allclose(day.e_start_mwh, start)
            limits = battery.schedule_violations(params.bess, mw, start, 1.0)
            assert limits.max() < 1e-4
            start = day.e_end_mwh
            assert not day.undelivered_mw.any()
        if settlement == AS_COMMITTED:
            assert not any(day.rtm_mw.any() for day in days)


def test_the_ceiling_is_one_programme_and_above_a_chain_of_days():
    params = make_params()
    window = make_window(params, MARKETS["ordinary"])
    bound = net_of(simulate.ceilings(window)[HINDSIGHT][0]).sum()
    problem = window.problem(simulate.start_energy(params.bess))
    chain = [
        dispatch.plan_day(problem, window.realised(day)).mean_rs for day in range(len(window.days))
    ]
    assert bound > sum(chain) + 1000


@pytest.mark.parametrize("commitment", ["physical", "financial"])
def test_knowing_the_day_is_worth_at_least_nothing(commitment):
    """Each day's hindsight recourse earns no more than that day with both markets known."""
    params = fleet(commitment=commitment)
    window = make_window(params, MARKETS["no trade"])
    for policy in POLICIES.values():
        commitments = commit_chain(window, policy)
        for day, settled in enumerate(settle_chain(window, commitments, HINDSIGHT)):
            problem = replace(
                window.problem(settled.e_start_mwh),
                schedule_start_mwh=simulate.start_energy(params.bess),
            )
            known = dispatch.plan_day(problem, window.realised(day))
            bound = known.mean_rs + known.relaxation_gap_rs
            assert float(settled.ledger.net_rs) <= bound + 1


# ------------------------------------------------------------------------------ settlement


def test_a_physical_hard_schedule_is_followed_to_the_letter():
    params = fleet()
    window = make_window(params, MARKETS["no trade"])
    target = simulate.start_energy(params.bess)
    for name, policy in POLICIES.items():
        for done, commitment in zip(
            settle_chain(window, commit_chain(window, policy), AS_COMMITTED),
            commit_chain(window, policy),
            strict=True,
        ):
            np.testing.assert_allclose(done.e_end_mwh, target, atol=0.01, err_msg=name)
            np.testing.assert_allclose(
                done.discharge_mw - done.charge_mw, commitment.unit_mw, atol=0.02
            )
            assert np.abs(done.undelivered_mw).sum() < 0.02


@pytest.mark.parametrize("terminal", ["hard", "free", "value"])
@pytest.mark.parametrize("commitment", ["physical", "financial"])
def test_energy_is_carried_from_day_to_day_and_every_ledger_is_the_accounts(commitment, terminal):
    params = make_params({"e_start_mwh": 60.0}, commitment=commitment, terminal=terminal)
    window = make_window(params, MARKETS["no trade"])
    for policy in POLICIES.values():
        commitments = commit_chain(window, policy)
        for settlement in (AS_COMMITTED, HINDSIGHT):
            energy = 60.0
            for day, done in enumerate(settle_chain(window, commitments, settlement)):
                assert done.e_start_mwh == pytest.approx(energy)
                net = (done.discharge_mw - done.charge_mw)[0]
                path = battery.energy_path(params.bess.units[0], net, energy, 1.0)
                energy = float(done.e_end_mwh[0])
                # What is missing from the target is drawn at the end, and paid for.
                topped_up = path[-1] + 0.96 * done.missing_mwh
                assert topped_up == pytest.approx(energy, abs=1e-4)
                assert done.missing_mwh == 0 or energy == 100
                assert path.min() >= 20 - 1e-4
                assert path.max() <= 180 + 1e-4
                np.testing.assert_allclose(done.dam_mw, commitments[day].dam_mw, atol=1e-9)
                scheduled = done.dam_mw + done.rtm_mw
                np.testing.assert_allclose(scheduled - done.undelivered_mw, net, atol=1e-5)
                if settlement == HINDSIGHT:
                    assert done.missing_mwh == 0
                if terminal == "hard":
                    assert energy >= 100 - 1e-6
                row = window.market.index_of(window.days[day])
                books = ledger.settle(
                    params.bess,
                    params.market,
                    1.0,
                    dam=window.market.dam_mcp[row],
                    rtm=window.market.rtm_mcp[row],
                    dam_mw=done.dam_mw,
                    rtm_mw=done.rtm_mw,
                    charge_mw=done.charge_mw,
                    discharge_mw=done.discharge_mw,
                    undelivered_mw=done.undelivered_mw,
                    missing_mwh=done.missing_mwh,
                )
                assert float(done.ledger.net_rs) == pytest.approx(float(books.net_rs), abs=1e-6)


def test_recourse_never_earns_less_than_following_the_schedule():
    """Under the hard rule the schedule itself is one of the recourses."""
    window = make_window(make_params(), MARKETS["ordinary"])
    for policy in POLICIES.values():
        commitments = commit_chain(window, policy)
        followed = net_of(settle_chain(window, commitments, AS_COMMITTED))
        free = net_of(settle_chain(window, commitments, HINDSIGHT))
        assert (free >= followed - 1).all()


def test_a_short_battery_pays_for_what_it_does_not_deliver_by_hand():
    # 100 MWh stored give 73.6 at the grid; sold are 2 * 50 in blocks 18 and 19.
    params = make_params(terminal="free", dsm_share_of_flow=0.0)
    dam, rtm = np.full(24, 5000.0), np.full(24, 4000.0)
    rtm[19] = 6500.0
    unit_mw = np.zeros((1, 24))
    unit_mw[0, [18, 19]] = 50.0
    problem = make_problem(params)
    done = simulate.settle_as_committed(problem, PriceScenarios.single(dam, rtm), unit_mw)
    assert done.undelivered_mw[19] == pytest.approx(26.4)
    assert done.e_end_mwh == pytest.approx(20)
    costs = 100 * 20 + 73.6 * (7 + 1.8 + 310) + 2000 + 26.4 * (6500 + 33)
    assert float(done.ledger.net_rs) == pytest.approx(100 * 5000 - costs)


def test_what_is_missing_from_the_target_is_bought_at_the_days_dearest_rate_by_hand():
    # 73.6 MWh are sold and none bought: 80 MWh stored are missing, 80 / .96 at the grid.
    params = make_params(dsm_share_of_flow=0.0)
    dam, rtm = np.full(24, 5000.0), np.full(24, 4000.0)
    dam[3], rtm[19] = 5500.0, 6500.0
    unit_mw = np.zeros((1, 24))
    unit_mw[0, [18, 19]] = 50.0, 23.6
    done = simulate.settle_as_committed(
        make_problem(params), PriceScenarios.single(dam, rtm), unit_mw
    )
    assert done.missing_mwh == pytest.approx(80 / 0.96)
    assert done.e_end_mwh == pytest.approx(100)
    # The dearest price, with the fee of a purchase and the cost of its flow.
    costs = 73.6 * (20 + 7 + 1.8 + 310) + 2000 + 80 / 0.96 * (6500 + 33 + 7 + 1.8)
    assert float(done.ledger.net_rs) == pytest.approx(73.6 * 5000 - costs)
    # Under another rule nothing is missing.
    free = make_problem(make_params(dsm_share_of_flow=0.0, terminal="free"))
    done = simulate.settle_as_committed(free, PriceScenarios.single(dam, rtm), unit_mw)
    assert done.missing_mwh == 0
    assert done.e_end_mwh == pytest.approx(20)


def test_blocks_without_rtm_trade_are_settled_at_the_dam_alone():
    params = make_params()
    window = make_window(params, MARKETS["no trade"])
    idle = MARKETS["no trade"].rtm_no_trade[8]
    for policy in POLICIES.values():
        for done in settle_chain(window, commit_chain(window, policy), HINDSIGHT):
            assert not done.rtm_mw[idle].any()
            assert np.isfinite(float(done.ledger.net_rs))
            assert np.abs(done.undelivered_mw).max() < 1e-6


# ------------------------------------------------------------------------------ planning


def test_the_next_day_is_planned_from_the_energy_planned_not_from_the_one_realised():
    for terminal in ("hard", "free", "value"):
        params = make_params({"e_start_mwh": 60.0}, terminal=terminal)
        window = make_window(params, MARKETS["ordinary"])
        seen = []

        def watch(window, day, problem, seen=seen):
            seen.append(float(problem.e_start_mwh[0]))
            assert problem.schedule_start_mwh == problem.e_start_mwh
            return policies.TwoStage("original")(window, day, problem)

        commitments = commit_chain(window, watch)
        planned = [float(commitment.e_end_mwh[0]) for commitment in commitments]
        assert seen == [60.0, *planned[:-1]]
        realised = [float(day.e_end_mwh[0]) for day in settle_chain(window, commitments, HINDSIGHT)]
        if terminal == "hard":
            assert planned == [100.0] * len(planned)
        if terminal == "value":
            assert np.abs(np.subtract(planned, realised)).max() > 1


@pytest.mark.parametrize("terminal", ["hard", "free", "value"])
@pytest.mark.parametrize(
    "name", ["yesterday", "seven_day_mean", "median", "two_stage_original", "fixed_windows"]
)
def test_a_chain_of_physical_commitments_is_delivered_without_the_rtm(name, terminal):
    """Each day is planned from the energy that the schedule before it leaves."""
    params = fleet(terminal=terminal)
    window = make_window(params, MARKETS["ordinary"])
    commitments = commit_chain(window, POLICIES[name])
    for commitment, done in zip(
        commitments, settle_chain(window, commitments, AS_COMMITTED), strict=True
    ):
        assert np.abs(done.undelivered_mw).sum() < 0.02
        assert done.missing_mwh < 0.02
        np.testing.assert_allclose(done.e_end_mwh, commitment.e_end_mwh, atol=0.05)


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


# ------------------------------------------------------------------------------ odd days


def test_an_excluded_day_is_left_out_and_the_energy_is_carried_over_it():
    holed = changed(MARKETS["ordinary"], dam=(10, 4, np.nan))
    for terminal in ("hard", "free"):
        params = make_params({"e_start_mwh": 60.0}, terminal=terminal)
        window = make_window(params, holed)
        np.testing.assert_array_equal(window.days, holed.dates[[8, 9, 11]])
        daily = run_backtest(window).daily
        assert set(daily["date"]) == {str(day) for day in window.days}
        for _, rows in daily.groupby(["policy", "settlement"], sort=False):
            starts, ends = rows["e_start_mwh"].to_numpy(), rows["e_end_mwh"].to_numpy()
            assert starts[0] == 60
            np.testing.assert_allclose(starts[1:], ends[:-1])
        assert_never_beaten(window)


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


def test_days_without_prices_to_settle_at_are_not_settled():
    holed = changed(MARKETS["ordinary"], dam=(10, 4, np.nan), rtm=(11, 0, np.nan))
    kept = settled_days(holed, holed.dates[8:])
    np.testing.assert_array_equal(kept, holed.dates[[8, 9]])
    with pytest.raises(DataError, match="nothing to settle"):
        settled_days(holed, holed.dates[10:])


def test_a_day_that_is_not_in_the_window_is_refused():
    window = make_window(make_params(), MARKETS["ordinary"])
    assert window.place_of(str(window.days[2])) == 2
    with pytest.raises(ParameterError, match="'2023-01-01' is not a settled test day"):
        window.place_of("2023-01-01")


# ------------------------------------------------------------------------------ summary


def test_the_summary_is_what_the_daily_rows_add_up_to():
    params = fleet(alpha=0.4)
    window = make_window(params, MARKETS["ordinary"])
    result = run_backtest(window)
    summary = summarise(window, result)
    daily = result.daily
    assert len(daily) == (len(POLICIES) + 1) * 2 * 4
    costs = [name for name in simulate.LEDGER_COLUMNS if not name.endswith("revenue_rs")]
    revenue = daily["dam_revenue_rs"] + daily["rtm_revenue_rs"]
    np.testing.assert_allclose(daily["net_rs"], revenue - daily[costs].sum(axis=1))
    np.testing.assert_allclose(daily["cycles"], daily["discharged_mwh"] / 240)

    def rows(policy, settlement):
        return daily[(daily["policy"] == policy) & (daily["settlement"] == settlement)]

    for name, entry in summary["policies"].items():
        own, alone = rows(name, HINDSIGHT), rows(name, AS_COMMITTED)
        total = own["net_rs"].sum()
        assert entry["net_rs"] == pytest.approx(total)
        assert entry["net_rs_dam_only"] == pytest.approx(alone["net_rs"].sum())
        baseline = rows(BASELINE, HINDSIGHT)["net_rs"].sum()
        assert entry["gain_over_nothing_rs"] == pytest.approx(total - baseline)
        assert entry["capture"] == pytest.approx(total / rows(CEILING, HINDSIGHT)["net_rs"].sum())
        assert entry["capture_dam_only"] == pytest.approx(
            alone["net_rs"].sum() / rows(CEILING, AS_COMMITTED)["net_rs"].sum()
        )
        # 60 MW of connection, four days.
        assert entry["net_rs_per_mw_year"] == pytest.approx(total / 60 / 4 * 365)
        assert entry["worst_day_rs"] == own["net_rs"].min()
        assert entry["cvar_rs"] == pytest.approx(cvar(own["net_rs"].to_numpy(), 0.4))
        assert entry["cycles_per_day"] == pytest.approx(own["discharged_mwh"].mean() / 240)
    assert summary["policies"][BASELINE]["gain_over_nothing_rs"] == 0
    assert summary["policies"][CEILING]["capture"] == 1
    assert summary["days_times_alpha"] == pytest.approx(1.6)
    assert set(summary["ceiling_gap_rs"]) == {AS_COMMITTED, HINDSIGHT}


def test_the_lead_is_what_the_best_policy_earned_more_by_hand():
    """The best net minus that of each two-stage policy, with a band over the days."""
    net = pd.DataFrame(
        {
            BASELINE: [1.0, 1.0, 1.0, 1.0],
            "yesterday": [90.0, 120.0, 95.0, 130.0],
            "two_stage_original": [80.0, 110.0, 100.0, 90.0],
            "two_stage_recalibrated": [85.0, 115.0, 90.0, 125.0],
        }
    )
    lead = _lead(net)
    assert lead["policy"] == "yesterday"
    assert list(lead["over"]) == ["two_stage_original", "two_stage_recalibrated"]
    original, recalibrated = lead["over"].values()
    assert original["ahead_rs"] == 10 + 10 - 5 + 40
    # Four days drawn of 10, 10, -5 and 40: never less than -20, never more than 160.
    assert -20 <= original["low_rs"] < original["ahead_rs"] < original["high_rs"] <= 160
    # Ahead by 5 every day, so by 20 whichever days are drawn.
    assert recalibrated == {"ahead_rs": 20.0, "low_rs": 20.0, "high_rs": 20.0}
    # A two-stage policy that is best has no lead over itself.
    lead = _lead(net.assign(two_stage_original=net["yesterday"] + 3))
    assert lead["policy"] == "two_stage_original"
    assert list(lead["over"]) == ["two_stage_recalibrated"]
    assert lead["over"]["two_stage_recalibrated"]["low_rs"] == 32.0


def test_the_lead_is_counted_under_causal_recourse_where_that_was_settled():
    params = make_params(policies=["yesterday", "two_stage"])
    window = make_window(params, MARKETS["ordinary"], first=10)
    rows = [window.market.index_of(day) for day in window.days]
    expected = np.repeat(window.market.dam_mcp[rows][:, None], 24, axis=1)  # no spread foreseen
    for key, seen in (
        ("net_rs", window),
        ("net_rs_causal", replace(window, expected_rtm=expected)),
    ):
        summary = summarise(seen, run_backtest(seen))
        lead, table = summary["lead"], summary["policies"]
        earned = {name: row[key] for name, row in table.items() if name != CEILING}
        assert lead["policy"] == max(earned, key=earned.get)
        for name, found in lead["over"].items():
            ahead = earned[lead["policy"]] - earned[name]
            assert found["ahead_rs"] == pytest.approx(ahead)
            assert found["ahead_rs"] >= 0


def test_undelivered_energy_of_a_policy_is_told_for_each_way_of_settling():
    """As committed a financial plan fails to deliver; with recourse it delivers."""
    window = make_window(make_params(commitment="financial"), MARKETS["ordinary"])
    entry = summarise(window, run_backtest(window))["policies"]["two_stage_original"]
    assert entry["undelivered_mwh"] < 0.01
    assert entry["undelivered_mwh_dam_only"] > 10
    assert entry["undelivered_mwh_causal"] is None  # the window expects nothing within the day


def test_what_was_not_delivered_and_what_was_not_taken_add_up():
    """3 MWh of a sale and 2 of a purchase are 5 undelivered, not 1; 4 missing come on top."""
    window = make_window(make_params(), MARKETS["ordinary"], first=11)
    (day,) = settle_chain(window, commit_chain(window, policies.nothing_committed), AS_COMMITTED)
    undelivered = np.zeros(24)
    undelivered[[3, 9]] = 3.0, -2.0
    day = replace(day, undelivered_mw=undelivered, missing_mwh=4.0)
    (row,) = simulate._rows(window, "a policy", AS_COMMITTED, [day])
    assert row["undelivered_mwh"] == 9.0


def test_a_window_in_which_nothing_pays_can_be_summarised_and_written(tmp_path):
    """No spread, no daily charge: the ceiling itself is 0."""
    flat = changed(
        make_market(10), dam=(slice(0, 10), slice(0, 24), 5000.0), rtm=(9, slice(0, 24), 5000.0)
    )
    params = make_params(scheduling_rs_per_day=0.0, policies=["yesterday"])
    window = make_window(params, flat, first=9)
    summary = summarise(window, run_backtest(window))
    RunFolder(tmp_path).write_json("backtest_summary.json", summary)
    assert summary["policies"][CEILING]["net_rs"] == 0


def test_the_rules_are_told_with_the_figures():
    window = make_window(make_params(commitment="financial", terminal="value"), MARKETS["no trade"])
    told = rules(window)
    assert told["commitment"] == "financial"
    assert told["terminal"] == "value"
    assert "hindsight" in told["recourse"]
    assert told["fee_dam_rs_per_mwh_traded"] == 20
    assert told["fee_rtm_rs_per_mwh_traded"] == 33
    assert told["n_days"] == 4
    assert told["alpha"] == 0.4
    assert told["wear_rs_per_mwh_discharged"] == [310]


def test_the_window_of_a_run_is_the_one_that_was_written(study, study_run):
    window = load_window(study_run, study.params)
    assert window.cache.folder == study_run.path / "cache"
    assert window.expected_rtm is None
    np.testing.assert_array_equal(window.days, study.window.days)
    for fan in ("original", "recalibrated"):
        for back, day in zip(window.fans[fan], study.window.fans[fan], strict=True):
            np.testing.assert_array_equal(back.dam, day.dam)
            np.testing.assert_array_equal(back.rtm, day.rtm)
    for back, day in zip(window.medians, study.window.medians, strict=True):
        np.testing.assert_array_equal(back.dam, day.dam)
        np.testing.assert_array_equal(back.rtm, day.rtm)
    one = study.params.model_copy(
        update={"backtest": study.params.backtest.model_copy(update={"fan": "original"})}
    )
    window = load_window(study_run, one)
    assert list(window.fans) == ["original"]
    expected = study.original["dam"].on(window.days).level(0.5)
    np.testing.assert_array_equal([day.dam[0] for day in window.medians], expected)


@pytest.mark.slow
@pytest.mark.parametrize("terminal", ["hard", "value"])
def test_one_worker_and_two_give_the_same_backtest(terminal):
    window = make_window(fleet(terminal=terminal), MARKETS["ordinary"], first=9)
    one, two = (run_backtest(window, Workers(jobs)) for jobs in (1, 2))
    pd.testing.assert_frame_equal(one.daily, two.daily, check_exact=True)
    assert one.ceiling_gap_rs == two.ceiling_gap_rs
    again = run_backtest(window)
    pd.testing.assert_frame_equal(one.daily, again.daily, check_exact=True)


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
@pytest.mark.parametrize(("commitment", "terminal"), [("physical", "hard"), ("financial", "value")])
def test_prices_after_the_gate_change_no_decision_before_it(commitment, terminal):
    """Over two chained days: features, forecasts, recalibration, scenarios, commitments."""
    params = make_params(commitment=commitment, terminal=terminal)
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
