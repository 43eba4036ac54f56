"""Recourse session by session: only the past is known, trades stand, and energy is delivered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_cases import fleet, make_market, make_params, make_problem, make_window, price_scenarios

from bessvpp import battery
from bessvpp.backtest.simulate import run_backtest
from bessvpp.backtest.summary import summarise
from bessvpp.errors import ParameterError
from bessvpp.market import clock
from bessvpp.optimizer.dispatch import plan_day
from bessvpp.optimizer.problem import Past
from bessvpp.params.load import load_params
from bessvpp.prices import PriceScenarios
from bessvpp.risk import Risk
from bessvpp.settlement.day import (
    CAUSAL,
    GATE_MINUTES,
    HINDSIGHT,
    SESSION_MINUTES,
    settle,
    settle_as_committed,
    settle_causally,
    settle_with_recourse,
)

EVERY_BLOCK = np.arange(24)
CASES = {"one": make_params(), "fleet": fleet(), "free": make_params(terminal="free")}


def a_day(seed: int = 0, no_trade: tuple[int, ...] = ()) -> PriceScenarios:
    day = price_scenarios(1, 24, seed=seed, no_trade=no_trade)
    return PriceScenarios.single(day.dam[0], day.rtm[0])


def known(path: np.ndarray, decisions: np.ndarray = EVERY_BLOCK) -> np.ndarray:
    """(G, T) expectations that are all the same path."""
    return np.tile(path, (len(decisions), 1))


def a_commitment(problem) -> np.ndarray:
    return plan_day(problem, price_scenarios(4, 24, seed=9), Risk(0.1, 0.25)).dam_mw


@pytest.mark.parametrize("name", CASES)
def test_who_expects_what_happens_does_as_well_as_hindsight(name):
    problem = make_problem(CASES[name])
    prices, dam_mw = a_day(3), a_commitment(problem)
    best = settle_with_recourse(problem, prices, dam_mw)
    done = settle_causally(problem, prices, dam_mw, EVERY_BLOCK, known(prices.rtm[0]))
    assert float(done.ledger.net_rs) == pytest.approx(float(best.ledger.net_rs), abs=1.0)
    np.testing.assert_allclose(done.rtm_mw, best.rtm_mw, atol=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_who_expects_something_else_never_does_better(name):
    problem = make_problem(CASES[name])
    dam_mw = a_commitment(problem)
    for seed in range(4):
        prices, expected = a_day(seed), a_day(seed + 40)
        best = settle_with_recourse(problem, prices, dam_mw)
        done = settle_causally(
            problem, prices, dam_mw, EVERY_BLOCK[::2], known(expected.rtm[0], EVERY_BLOCK[::2])
        )
        assert float(done.ledger.net_rs) < float(best.ledger.net_rs) - 100
        # and what it does, a battery can do
        net = done.discharge_mw - done.charge_mw
        assert battery.schedule_violations(problem.bess, net, problem.e_start_mwh, 1.0).max() < 1e-4
        assert np.abs(done.undelivered_mw).max() < 1e-4
        if problem.terminal == "hard":
            assert (done.e_end_mwh >= problem.e_end_min_mwh - 1e-4).all()


def test_prices_of_later_sessions_change_no_trade_made_before():
    problem = make_problem(make_params())
    prices, dam_mw = a_day(5), a_commitment(problem)
    rng = np.random.default_rng(1)
    expected = np.clip(prices.rtm[0] + rng.normal(0, 1500, (24, 24)), 0, 10_000)
    before = settle_causally(problem, prices, dam_mw, EVERY_BLOCK, expected)
    rtm, later = prices.rtm[0].copy(), expected.copy()
    rtm[10:] = rng.uniform(0, 10_000, 14)
    later[11:] = rng.uniform(0, 10_000, (13, 24))  # from the gate after block 10 on
    for k in range(24):
        later[k, :k] = np.nan  # and what lies behind a gate is not read
    after = settle_causally(
        problem, PriceScenarios.single(prices.dam[0], rtm), dam_mw, EVERY_BLOCK, later
    )
    np.testing.assert_array_equal(before.rtm_mw[:11], after.rtm_mw[:11])
    assert np.abs(before.rtm_mw[11:] - after.rtm_mw[11:]).max() > 1


def test_a_session_in_which_nobody_trades_leaves_its_trade_undone():
    problem = make_problem(make_params())
    dam_mw = a_commitment(problem)
    expected = a_day(6).rtm[0]
    free = settle_causally(problem, a_day(6), dam_mw, EVERY_BLOCK, known(expected))
    block = int(np.argmax(np.abs(free.rtm_mw)))
    prices = a_day(6, no_trade=(block,))
    done = settle_causally(problem, prices, dam_mw, EVERY_BLOCK, known(expected))
    np.testing.assert_allclose(done.rtm_mw[:block], free.rtm_mw[:block], atol=1e-6)
    assert done.rtm_mw[block] == 0
    net = (done.discharge_mw - done.charge_mw).sum(axis=0)
    np.testing.assert_allclose(net, dam_mw + done.rtm_mw - done.undelivered_mw, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_gates_that_close_before_an_outcome_is_known_still_count_on_the_trade(name):
    """By hand: a block's full power and the rest of the store are to be sold in two dear hours."""
    problem = make_problem(CASES[name])
    bess = problem.bess
    stored = sum((u.e_start_mwh - u.e_min_mwh) * u.eta_discharge for u in bess.units)
    most, rest = bess.connection_limit_mw, stored - bess.connection_limit_mw
    path = np.full(24, 2000.0)
    path[:3] = 9000.0, 8000.0, 7000.0

    def sold(is_open: bool, behind: int) -> np.ndarray:
        rtm = np.where((np.arange(24) > 0) | is_open, path, np.nan)
        prices = PriceScenarios.single(path, rtm)
        by_gate = known(path)
        return settle_causally(
            problem, prices, np.zeros(24), EVERY_BLOCK, by_gate, blocks_behind=behind
        ).rtm_mw[:3]

    np.testing.assert_allclose(sold(True, 2), [most, rest, 0], atol=0.01)
    np.testing.assert_allclose(sold(False, 2), [0, rest, most], atol=0.01)
    np.testing.assert_allclose(sold(False, 1), [0, most, rest], atol=0.01)


@pytest.mark.parametrize(("n_blocks", "behind"), [(24, 2), (48, 2), (96, 3)])
def test_a_days_books_are_settled_at_the_exchanges_gates(n_blocks, behind):
    assert clock.blocks_behind(load_params().market, n_blocks) == behind
    assert clock.blocks_between(GATE_MINUTES, SESSION_MINUTES, n_blocks) == behind
    problem = make_problem(make_params(terminal="free"), n_blocks)
    path = np.full(n_blocks, 2000.0)
    path[: n_blocks // 24] = 9000.0
    prices = PriceScenarios.single(path, np.where(path > 5000, np.nan, path))
    plan = replace(plan_day(problem, prices, Risk()), dam_mw=np.zeros(n_blocks), unit_dam_mw=None)
    gates = np.arange(min(48, n_blocks)) * n_blocks // min(48, n_blocks)
    expected = np.tile(path, (gates.size, 1))
    by_hand = settle_causally(problem, prices, plan.dam_mw, gates, expected, behind)
    np.testing.assert_array_equal(settle(problem, plan, prices, "causal").rtm_mw, by_hand.rtm_mw)


@pytest.mark.parametrize("name", ["one", "fleet"])
def test_hours_without_trade_and_a_full_battery_end_in_undelivered_energy_not_in_an_error(name):
    """A purchase that a full battery cannot take, while nobody trades for hours."""
    problem = make_problem(CASES[name])
    full = np.array([unit.e_max_mwh for unit in problem.bess.units])
    problem = replace(problem, e_start_mwh=full, schedule_start_mwh=full)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        dam_mw = np.where(rng.random(24) < 0.4, rng.uniform(-50, 50, 24), 0.0)
        dam_mw[2] = -50.0
        prices = a_day(seed, no_trade=tuple(range(4 * (seed % 3), 4 * (seed % 3) + 4)))
        expected = a_day(seed + 9).rtm[0]
        done = settle_causally(problem, prices, dam_mw, EVERY_BLOCK, known(expected))
        flow = (done.discharge_mw - done.charge_mw).sum(axis=0)
        np.testing.assert_allclose(flow + done.undelivered_mw, dam_mw + done.rtm_mw, atol=1e-5)
        assert np.minimum(done.charge_mw, done.discharge_mw).max() < 1e-5


def test_a_day_by_hand():
    """100 MWh, nothing committed, no wear or fees: the dear hour is expected at 5, comes at 8."""
    costs = {
        "fee_dam_rs_per_mwh": 0.0,
        "fee_rtm_rs_per_mwh": 0.0,
        "fee_flow_rs_per_mwh": 0.0,
        "scheduling_rs_per_day": 0.0,
        "scheduling_rs_per_mwh": 0.0,
        "dsm_share_of_flow": 0.0,
    }
    unit = {"wear_rs_per_mwh_discharged": 0.0, "e_min_mwh": 54.0, "e_target_mwh": 54.0}
    problem = make_problem(make_params(unit, **costs))
    rtm = np.full(24, 1000.0)
    rtm[5], rtm[8] = 2000.0, 6000.0
    expected = np.full((24, 24), 1000.0)
    expected[:6, 5] = 3000.0  # a good price, until hour 5 is over
    prices = PriceScenarios.single(np.full(24, 1000.0), rtm)
    done = settle_causally(problem, prices, np.zeros(24), EVERY_BLOCK, expected)
    # 46 MWh stored give 46 * .92 = 42.32 at the grid; the battery may buy on the way to 50.
    assert done.rtm_mw[5] == pytest.approx(50.0, abs=0.01)
    assert done.rtm_mw[8] < 1  # nobody saw it coming


def test_a_session_is_traded_on_the_expectation_of_its_own_gate():
    """Each gate expects one dear hour, its own: neither the gate before nor the one after."""
    problem = make_problem(make_params({"e_start_mwh": 180.0}, terminal="free"))
    flat = np.full(24, 100.0)  # less than the wear of a sale
    prices = PriceScenarios.single(flat, flat)
    for first in (2, 6, 20):
        expected = known(flat, EVERY_BLOCK[::2])
        expected[first // 2, [first, first + 1]] = 6000.0
        done = settle_causally(problem, prices, np.zeros(24), EVERY_BLOCK[::2], expected)
        sold = np.where(np.isin(EVERY_BLOCK, [first, first + 1]), 50.0, 0.0)
        np.testing.assert_allclose(done.rtm_mw, sold, atol=1e-3)


@pytest.mark.parametrize("name", ["one", "fleet"])
def test_a_plant_whose_trade_is_undone_still_delivers_what_was_sold_before(name):
    """What it would have run for that trade is not run: the DAM schedule is followed instead."""
    problem = make_problem(CASES[name])
    flat = np.full(24, 3000.0)
    expected = known(flat)
    expected[5, 5] = 9000.0  # all is to be sold then, and nobody buys
    rtm = flat.copy()
    rtm[5] = np.nan
    dam_mw = np.zeros(24)
    dam_mw[[5, 9]] = 7.0, -9.0
    prices = PriceScenarios.single(flat, rtm)
    done = settle_causally(problem, prices, dam_mw, EVERY_BLOCK, expected)
    assert done.rtm_mw[5] == 0
    assert np.abs(done.undelivered_mw).max() < 1e-5
    assert (done.discharge_mw - done.charge_mw)[:, 5].sum() == pytest.approx(7.0, abs=1e-4)


@pytest.mark.parametrize("solver", ["engine", "highs", "cbc"])
@pytest.mark.parametrize("name", ["one", "fleet"])
def test_what_is_past_stays_as_it_was_in_every_statement(name, solver):
    problem = make_problem(CASES[name], solver=solver)
    prices, dam_mw = a_day(7), a_commitment(make_problem(CASES[name]))
    problem = replace(problem, fixed_dam_mw=dam_mw)
    first = plan_day(problem, prices)
    past = Past(first.rtm_mw[0, :9], first.charge_mw[0, :, :7], first.discharge_mw[0, :, :7])
    turned = PriceScenarios.single(prices.dam[0], prices.rtm[0][::-1].copy())
    plan = plan_day(replace(problem, past=past), turned)
    np.testing.assert_allclose(plan.rtm_mw[0, :9], past.rtm_mw, atol=1e-6)
    np.testing.assert_allclose(plan.charge_mw[0, :, :7], past.charge_mw, atol=2e-6)
    np.testing.assert_allclose(plan.discharge_mw[0, :, :7], past.discharge_mw, atol=2e-6)
    reference = plan_day(replace(problem, past=past, solver="highs"), turned)
    assert plan.objective_rs == pytest.approx(reference.objective_rs, rel=1e-6)
    np.testing.assert_allclose(plan.rtm_mw, reference.rtm_mw, atol=1e-3)


@pytest.mark.slow
def test_a_backtest_with_expectations_settles_every_policy_a_third_way():
    market = make_market(13)
    window = make_window(make_params(), market, first=8)
    rows = [market.index_of(day) for day in window.days]
    sure = np.repeat(market.rtm_mcp[rows][:, None], 24, axis=1)
    rng = np.random.default_rng(2)
    vague = np.clip(sure + rng.normal(0, 2000, sure.shape), 0, 10_000)
    summaries = {}
    for name, expected in (("sure", sure), ("vague", vague)):
        seen = replace(window, expected_rtm=expected)
        summaries[name] = summarise(seen, run_backtest(seen))["policies"]
    for policy, figures in summaries["sure"].items():
        if policy == "ceiling":
            assert figures["net_rs_causal"] is None
            continue
        assert figures["net_rs_causal"] == pytest.approx(figures["net_rs"], abs=10)
        assert figures["capture_causal"] == pytest.approx(figures["capture"], abs=1e-4)
        other = summaries["vague"][policy]
        assert other["net_rs"] == figures["net_rs"]
        assert other["net_rs_causal"] < figures["net_rs_causal"]
    nothing = summaries["vague"]["nothing_committed"]
    for figures in summaries["vague"].values():
        if figures["net_rs_causal"] is not None:
            gain = figures["net_rs_causal"] - nothing["net_rs_causal"]
            assert figures["gain_over_nothing_causal_rs"] == pytest.approx(gain)
    without = summarise(window, run_backtest(window))
    assert without["policies"]["yesterday"]["net_rs_causal"] is None
    assert without["lead"]["settlement"] == HINDSIGHT
    assert CAUSAL not in run_backtest(window).daily["settlement"].unique()


def test_a_short_battery_pays_for_what_it_does_not_deliver_by_hand():
    # 100 MWh stored give 73.6 at the grid; sold are 2 * 50 in blocks 18 and 19.
    params = make_params(terminal="free", dsm_share_of_flow=0.0)
    dam, rtm = np.full(24, 5000.0), np.full(24, 4000.0)
    rtm[19] = 6500.0
    unit_mw = np.zeros((1, 24))
    unit_mw[0, [18, 19]] = 50.0
    problem = make_problem(params)
    done = settle_as_committed(problem, PriceScenarios.single(dam, rtm), unit_mw)
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
    done = settle_as_committed(make_problem(params), PriceScenarios.single(dam, rtm), unit_mw)
    assert done.missing_mwh == pytest.approx(80 / 0.96)
    assert done.e_end_mwh == pytest.approx(100)
    # The dearest price, with the fee of a purchase and the cost of its flow.
    costs = 73.6 * (20 + 7 + 1.8 + 310) + 2000 + 80 / 0.96 * (6500 + 33 + 7 + 1.8)
    assert float(done.ledger.net_rs) == pytest.approx(73.6 * 5000 - costs)
    # Under another rule nothing is missing.
    free = make_problem(make_params(dsm_share_of_flow=0.0, terminal="free"))
    done = settle_as_committed(free, PriceScenarios.single(dam, rtm), unit_mw)
    assert done.missing_mwh == 0
    assert done.e_end_mwh == pytest.approx(20)


@pytest.mark.parametrize("way", ["hindsigth", HINDSIGHT, ""])
def test_a_way_of_settling_that_there_is_not_is_refused(way):
    problem = make_problem(make_params())
    plan = plan_day(problem, price_scenarios(4, 24, seed=9))
    with pytest.raises(ParameterError, match="as committed, causal, hindsight"):
        settle(problem, plan, a_day(), way)
