"""Energy is carried from day to day, and the ceiling is never beaten."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from backtest_cases import (
    MARKETS,
    POLICIES,
    assert_below_the_ceiling,
    assert_never_beaten,
    changed,
)
from edge_cases import edge_params
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cases import UNIT, fleet, make_market, make_params, make_window

from bessvpp import battery, ledger
from bessvpp.backtest import daily, policies, simulate
from bessvpp.backtest.simulate import commit_chain, run_backtest, settle_chain
from bessvpp.compute.cache import Cache
from bessvpp.compute.workers import Workers
from bessvpp.optimizer import dispatch
from bessvpp.optimizer.surprise import sure_law
from bessvpp.prices import PriceScenarios
from bessvpp.settlement.day import AS_COMMITTED, HINDSIGHT


def net_of(days) -> np.ndarray:
    return np.array([float(day.ledger.net_rs) for day in days])


# ------------------------------------------------------------------------------ the ceiling


@pytest.mark.slow
@pytest.mark.parametrize("terminal", ["hard", "free", "value"])
@pytest.mark.parametrize("commitment", ["physical", "financial"])
@pytest.mark.parametrize("name", MARKETS)
def test_the_ceiling_is_never_beaten(name, commitment, terminal):
    params = make_params(commitment=commitment, terminal=terminal, risk_aversion=0.5)
    assert_never_beaten(make_window(params, MARKETS[name]))


@pytest.mark.slow
@pytest.mark.parametrize("terminal", ["hard", "free", "value"])
@pytest.mark.parametrize("name", MARKETS)
def test_the_ceiling_is_never_beaten_by_schedules_that_count_on_the_rtm(name, terminal):
    params = make_params(terminal=terminal, midnight="plan", risk_aversion=0.5)
    assert_never_beaten(make_window(params, MARKETS[name]))


def test_the_ceiling_has_the_freedom_of_the_midnight_rule():
    """A DAM dearer than the RTM all day is worth more to who may empty the battery at night."""
    flat = changed(
        MARKETS["ordinary"],
        dam=(slice(9, 12), slice(0, 24), 6000.0),
        rtm=(slice(9, 12), slice(0, 24), 3000.0),
    )
    worth = {}
    for midnight in ("own", "plan"):
        window = make_window(make_params(midnight=midnight), flat, first=9)
        days = simulate.ceilings(window)[HINDSIGHT].days
        worth[midnight] = net_of(days).sum() / len(days)
    # 80 MWh in store, sold dear and bought back cheap, more than a schedule on its own sells
    sold_mwh = 80 * UNIT["eta_discharge"]
    assert worth["plan"] >= worth["own"] + 0.9 * sold_mwh * (3000 - 40)


def test_energy_missing_at_midnight_is_told_by_hand():
    """Planned from 150 MWh on the second day, when 100 are there and two blocks are sold."""
    window = make_window(make_params(terminal="free"), MARKETS["ordinary"], first=9)
    sold = np.zeros((1, 24))
    sold[0, [18, 19]] = 50.0
    first = policies.Commitment(np.zeros((1, 24)), np.array([150.0]))
    later = [policies.Commitment(sold, np.array([20.0]))] * (len(window.days) - 1)
    commitments = [first, *later]
    starts = simulate.planned_starts(window, commitments)
    assert [float(start[0]) for start in starts[:3]] == [100.0, 150.0, 20.0]
    days = settle_chain(window, commitments, AS_COMMITTED)
    rows = daily.rows(window, "x", AS_COMMITTED, days, starts)
    assert [row["midnight_short_mwh"] for row in rows[:2]] == [0.0, 50.0]
    assert rows[1]["undelivered_mwh"] == pytest.approx(100 - 80 * UNIT["eta_discharge"])
    assert rows[1]["deviation_rs"] > 0


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
    found = assert_never_beaten(window)
    assert found.query("policy == 'median'")["dam_sold_mwh"].max() == 100


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
    for settlement, bound in simulate.ceilings(window).items():
        days, gap = bound.days, bound.gap
        assert 0 <= gap.least_rs <= gap.rs <= 1.02 * gap.least_rs + len(days)
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
    bound = net_of(simulate.ceilings(window)[HINDSIGHT].days).sum()
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


# ------------------------------------------------------------------------------ odd days


def test_an_excluded_day_is_left_out_and_the_energy_is_carried_over_it():
    holed = changed(MARKETS["ordinary"], dam=(10, 4, np.nan))
    for terminal in ("hard", "free"):
        params = make_params({"e_start_mwh": 60.0}, terminal=terminal)
        window = make_window(params, holed)
        np.testing.assert_array_equal(window.days, holed.dates[[8, 9, 11]])
        found = run_backtest(window).daily
        assert set(found["date"]) == {str(day) for day in window.days}
        for _, rows in found.groupby(["policy", "settlement"], sort=False):
            starts, ends = rows["e_start_mwh"].to_numpy(), rows["e_end_mwh"].to_numpy()
            assert starts[0] == 60
            np.testing.assert_allclose(starts[1:], ends[:-1])
        assert_never_beaten(window)


# ------------------------------------------------------------------------------ on the edges


@pytest.mark.slow
@settings(max_examples=15)
@given(edge_params(fan="recalibrated"), st.sampled_from(["expected", "dynamic"]))
def test_a_battery_on_its_edges_is_planned_and_settled_within_them(params, recourse):
    rules = params.backtest.model_copy(update={"recourse": recourse})
    params = params.model_copy(update={"backtest": rules})
    window = make_window(params, MARKETS["ordinary"], first=10, n_scenarios=2)
    prices = window.market.dam_mcp[10:]
    laws = [sure_law(24)] * len(prices)
    window = replace(window, expected_rtm=np.repeat(prices[:, None], 24, axis=1), laws=laws)
    with tempfile.TemporaryDirectory() as folder:  # V(e) and plans are worked out once
        window = replace(window, cache=Cache(Path(folder)))
        found = run_backtest(window)
        committed = {
            name: commit_chain(window, policy) for name, policy in policies.policies(window).items()
        }
    for commitments in committed.values():
        if params.backtest.commitment == "physical":
            for start, day in zip(
                simulate.planned_starts(window, commitments), commitments, strict=True
            ):
                violation = battery.schedule_violations(params.bess, day.unit_mw, start, 1.0)
                assert violation.max() <= battery.FEASIBILITY_TOLERANCE_MWH
    assert {name for name, _ in found.settled} == committed.keys()
    targets = np.array([unit.e_target_mwh for unit in params.bess.units])
    for day in (day for days in found.settled.values() for day in days):
        net = day.discharge_mw - day.charge_mw
        broken = battery.schedule_violations(params.bess, net, day.e_start_mwh, 1.0)
        assert broken.max() < 1e-4
        if params.backtest.terminal == "hard":
            assert (day.e_end_mwh >= targets - 1e-6).all()
    assert_below_the_ceiling(found.daily)


# ------------------------------------------------------------------------------ daily rows


def test_what_was_not_delivered_and_what_was_not_taken_add_up():
    """3 MWh of a sale and 2 of a purchase are 5 undelivered, not 1; 4 missing come on top."""
    window = make_window(make_params(), MARKETS["ordinary"], first=11)
    (day,) = settle_chain(window, commit_chain(window, policies.nothing_committed), AS_COMMITTED)
    undelivered = np.zeros(24)
    undelivered[[3, 9]] = 3.0, -2.0
    day = replace(day, undelivered_mw=undelivered, missing_mwh=4.0)
    (row,) = daily.rows(window, "a policy", AS_COMMITTED, [day], [day.e_start_mwh])
    assert row["undelivered_mwh"] == 9.0


def test_a_days_net_is_its_dispatch_and_its_position_by_hand():
    """Sold 30 MW at 20 h at 9,000 and bought 10 of them back at 4,000; 25 MW bought at 3 h."""
    params = make_params(dsm_share_of_flow=0.0)
    market = changed(MARKETS["ordinary"], dam=(11, 20, 9000.0), rtm=(11, slice(0, 24), 4000.0))
    window = make_window(params, market, first=11)
    (day,) = settle_chain(window, commit_chain(window, policies.nothing_committed), AS_COMMITTED)
    flows = {name: np.zeros(24) for name in ("dam_mw", "rtm_mw", "undelivered_mw")}
    charge, discharge = np.zeros((1, 24)), np.zeros((1, 24))
    flows["dam_mw"][20], flows["rtm_mw"][20], discharge[0, 20] = 30.0, -10.0, 20.0
    flows["rtm_mw"][3], charge[0, 3] = -25.0, 25.0
    flows |= {"charge_mw": charge, "discharge_mw": discharge, "missing_mwh": 0.0}
    day = simulate.booked(
        window.problem(day.e_start_mwh), window.realised(0), day.e_start_mwh, day.e_end_mwh, flows
    )
    (row,) = daily.rows(window, "a policy", HINDSIGHT, [day], [day.e_start_mwh])
    # 20 MWh sold and 25 bought at 4,000; RTM fee 33 on both; flow cost 8.8, wear 310, day 2,000
    assert row["dispatch_rs"] == pytest.approx(-5 * 4000 - 45 * (33 + 8.8) - 20 * 310 - 2000)
    # 30 MWh at 9,000 less 4,000, the DAM's fee 20 on them; the RTM's on 10 of 20 MWh fewer
    assert row["net_rs"] - row["dispatch_rs"] == pytest.approx(30 * (5000 - 20) + 10 * 33)
    assert row["closed_mwh"] == 10.0
    assert row["dam_turns"] == 0


def test_turns_count_changes_of_side_and_no_pauses():
    assert daily.turns(np.array([0, 5, 5, 0, -3, -1e-7, 0, -2, 4, 0])) == 2
    assert daily.turns(np.zeros(4)) == 0


# ------------------------------------------------------------------------------ two ceilings


def test_under_hard_the_ceiling_too_is_at_its_target_at_each_midnight():
    """Dear before midnight, cheap after it: the freer bound lends 50 MWh to the dear hour."""
    params = make_params(terminal="hard")
    market = changed(
        MARKETS["ordinary"],
        dam=(slice(9, 11), slice(0, 24), 5000.0),
        rtm=(slice(9, 11), slice(0, 24), 5000.0),
    )
    market = changed(market, dam=(9, 23, 9000.0), rtm=(9, 23, 9000.0))
    market = changed(market, dam=(10, 0, 1000.0), rtm=(10, 0, 1000.0))
    window = make_window(params, market, first=9)
    window = replace(window, days=window.days[:2])
    bound = simulate.ceilings(window)[HINDSIGHT]
    assert all(day.e_end_mwh[0] >= 100 - 1e-6 for day in bound.days)
    assert bound.across_midnights_rs > net_of(bound.days).sum() + 50 * 1000
    free = make_window(make_params(terminal="free"), market, first=9)
    bound = simulate.ceilings(replace(free, days=free.days[:2]))[HINDSIGHT]
    assert bound.across_midnights_rs == pytest.approx(net_of(bound.days).sum())


@pytest.mark.slow
@pytest.mark.parametrize("terminal", ["hard", "value"])
def test_one_worker_and_two_give_the_same_backtest(terminal):
    window = make_window(fleet(terminal=terminal), MARKETS["ordinary"], first=9)
    one, two = (run_backtest(window, Workers(jobs)) for jobs in (1, 2))
    pd.testing.assert_frame_equal(one.daily, two.daily, check_exact=True)
    gaps = [{way: of.gap for way, of in each.ceilings.items()} for each in (one, two)]
    assert gaps[0] == gaps[1]
    again = run_backtest(window)
    pd.testing.assert_frame_equal(one.daily, again.daily, check_exact=True)
