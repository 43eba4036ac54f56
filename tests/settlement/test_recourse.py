"""Recourse along many paths: as the programme does it, never on later prices, always delivered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recourse_cases import CASES, a_case, worth
from small_cases import fleet, make_params, make_problem

from bessvpp import battery
from bessvpp.optimizer.surprise import SurpriseLaw, law_of_paths, sure_law
from bessvpp.prices import PriceScenarios
from bessvpp.settlement.bids import level_where_unlikely, settle_on_bids, trade_on_bids
from bessvpp.settlement.day import settle_causally, settle_with_recourse
from bessvpp.settlement.recourse import Gates, trade_on_expectations


def gates_of(paths, *, every: int = 2, seed: int = 1, behind: int = 3) -> Gates:
    """Gates that expect the paths as blurred by a normal error, another at each gate."""
    n_paths, n_blocks = paths.rtm.shape
    starts = np.arange(0, n_blocks, every)
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 900, (len(starts), n_paths, n_blocks))
    expected = np.clip(np.where(np.isfinite(paths.rtm), paths.rtm, 3000.0) + noise, 0, 10_000)
    return Gates(starts, expected, behind)


def a_law(n_blocks: int, memory: float = 0.7) -> SurpriseLaw:
    """Surprises of 900 Rs/MWh that are autoregressive."""
    rng = np.random.default_rng(5)
    surprises = rng.normal(0, 900, size=(60, n_blocks))
    for t in range(1, n_blocks):
        surprises[:, t] *= np.sqrt(1 - memory**2)
        surprises[:, t] += memory * surprises[:, t - 1]
    return law_of_paths(surprises, np.full(60, 1 / 60), 0.0, 10_000.0)


def checked(problem, done) -> None:
    """A battery can do it, and it delivers what was traded."""
    for net in done.discharge_mw - done.charge_mw:
        broken = battery.schedule_violations(
            problem.bess, net, problem.e_start_mwh, problem.block_hours, None, problem.available
        )
        assert broken.max() < 1e-6
    assert np.abs(done.undelivered_mw).max() < 1e-6
    assert done.missing_mwh.max() < 1e-6


@pytest.mark.parametrize("name", CASES)
def test_on_expectations_one_unit_trades_as_the_programme_does(name):
    problem, unit_mw, paths = a_case(*CASES[name])
    gates = replace(gates_of(paths), blocks_behind=1)
    done = trade_on_expectations(problem, paths, unit_mw, gates)
    checked(problem, done)
    for s in (0, 3):
        one = PriceScenarios.single(paths.dam[s], paths.rtm[s])
        slow = settle_causally(
            problem, one, unit_mw.sum(axis=0), gates.starts, gates.expected_rtm[:, s]
        )
        if problem.bess.units[0].is_tapered:  # V on a grid, and errors that are traded on
            assert worth(problem, done)[s] == pytest.approx(worth(problem, slow)[0], rel=5e-3)
            continue
        np.testing.assert_allclose(done.rtm_mw[s], slow.rtm_mw, atol=1e-3)
        assert done.ledger.net_rs[s] == pytest.approx(float(slow.ledger.net_rs), abs=1.0)
        np.testing.assert_allclose(done.e_end_mwh[s], slow.e_end_mwh, atol=1e-3)


@pytest.mark.parametrize("name", ["free", "value"])
@pytest.mark.parametrize("behind", [1, 2, 3])
def test_where_nobody_trades_both_know_it_at_the_same_gate(name, behind):
    problem, unit_mw, paths = a_case(*CASES[name])
    rng = np.random.default_rng(4)
    closed = np.where(rng.random(paths.rtm.shape) < 0.15, np.nan, paths.rtm)
    paths = replace(paths, rtm=closed)
    gates = gates_of(paths, behind=behind)
    done = trade_on_expectations(problem, paths, unit_mw, gates)
    for s in (0, 3):
        one = PriceScenarios.single(paths.dam[s], paths.rtm[s])
        expected = gates.expected_rtm[:, s]
        slow = settle_causally(
            problem, one, unit_mw.sum(axis=0), gates.starts, expected, gates.blocks_behind
        )
        np.testing.assert_allclose(done.rtm_mw[s], slow.rtm_mw, atol=1e-3)
        np.testing.assert_allclose(done.e_end_mwh[s], slow.e_end_mwh, atol=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_bids_on_a_sure_path_earn_what_hindsight_does(name):
    params, n_blocks = CASES[name]
    problem, unit_mw, paths = a_case(params, n_blocks)
    sure = Gates(np.zeros(1, dtype=int), paths.rtm[None])
    done = trade_on_bids(problem, paths, unit_mw, sure, sure_law(n_blocks))
    checked(problem, done)
    best = [
        worth(
            problem,
            settle_with_recourse(problem, PriceScenarios.single(dam, rtm), unit_mw.sum(axis=0)),
        )[0]
        for dam, rtm in zip(paths.dam, paths.rtm, strict=True)
    ]
    found = worth(problem, done)
    assert (found <= np.array(best) + 1 + 0.002 * (name == "off-DAM penalty") * np.abs(best)).all()
    np.testing.assert_allclose(found, best, rtol=6e-3)


@pytest.mark.parametrize("policy", ["expected", "dynamic"])
@pytest.mark.parametrize("case", [*CASES, "fleet"])
def test_nobody_beats_hindsight_and_all_is_delivered(case, policy):
    params, n_blocks = CASES.get(case, (fleet(), 24))
    problem, unit_mw, paths = a_case(params, n_blocks)
    gates = gates_of(paths)
    if policy == "expected":
        done = trade_on_expectations(problem, paths, unit_mw, gates)
    else:
        done = trade_on_bids(problem, paths, unit_mw, gates, a_law(n_blocks))
    checked(problem, done)
    plain = replace(
        problem, costs=problem.costs.model_copy(update={"off_dam_penalty_rs_per_mwh": 0.0})
    )
    for s, found in enumerate(worth(problem, done)):
        one = PriceScenarios.single(paths.dam[s], paths.rtm[s])
        best = settle_with_recourse(plain, one, unit_mw.sum(axis=0))
        assert found < worth(problem, best)[0]
    if problem.terminal == "hard":
        assert (done.e_end_mwh >= problem.e_end_min_mwh - 1e-6).all()


@pytest.mark.parametrize("policy", ["expected", "dynamic"])
@pytest.mark.parametrize("one_path", [False, True])
def test_later_prices_change_nothing_that_was_bid_before(policy, one_path):
    """Prices from block 12 on are others: bids up to then, and what they bring, stay."""
    problem, unit_mw, paths = a_case(*CASES["hard"])
    gates = gates_of(paths, every=1, behind=2)
    if one_path:
        gates = replace(gates, expected_rtm=gates.expected_rtm[:1])
    rtm = paths.rtm.copy()
    rtm[:, 12:] = np.random.default_rng(8).uniform(0, 10_000, rtm[:, 12:].shape)
    other, expected = replace(paths, rtm=rtm), gates.expected_rtm.copy()
    if not one_path:
        expected[14:] = np.random.default_rng(9).uniform(0, 10_000, expected[14:].shape)
        for k in range(24):
            expected[k, :, :k] = np.nan  # what lies behind a gate is not read

    def traded(paths, gates):
        if policy == "expected":
            return trade_on_expectations(problem, paths, unit_mw, gates)
        return trade_on_bids(problem, paths, unit_mw, gates, a_law(24))

    before = traded(paths, gates)
    after = traded(other, replace(gates, expected_rtm=expected))
    np.testing.assert_array_equal(before.rtm_mw[:, :12], after.rtm_mw[:, :12])
    moved = np.abs(before.rtm_mw - after.rtm_mw).max()
    assert moved > 1 if policy == "dynamic" or not one_path else moved == 0
    if policy == "expected":  # quantities: the session's own price changes none of its trade
        np.testing.assert_array_equal(before.rtm_mw[:, 12:14], after.rtm_mw[:, 12:14])


def test_a_bid_sells_more_the_higher_its_own_price():
    problem = make_problem(make_params())
    flat = np.full((9, 24), 4000.0)
    own = flat.copy()
    own[:, 9] = np.linspace(500, 9500, 9)
    many = PriceScenarios(flat, own, np.full(9, 1 / 9))
    gates = Gates(np.arange(24), np.tile(flat, (24, 1, 1)), blocks_behind=2)
    done = trade_on_bids(problem, many, np.zeros((1, 24)), gates, a_law(24, memory=0.0))
    assert (np.diff(done.rtm_mw[:, 9]) >= 0).all()
    assert done.rtm_mw[8, 9] > done.rtm_mw[0, 9] + 20
    assert (done.rtm_mw[:, :9] == done.rtm_mw[0, :9]).all()


@pytest.mark.parametrize("policy", ["expected", "dynamic"])
def test_the_limit_on_cycles_is_kept_along_every_path(policy):
    params = make_params({"max_cycles_per_day": 0.6}, terminal="free")
    problem, unit_mw, paths = a_case(params, 24)
    gates = gates_of(paths)
    if policy == "expected":
        done = trade_on_expectations(problem, paths, unit_mw, gates)
    else:
        done = trade_on_bids(problem, paths, unit_mw, gates, a_law(24))
    checked(problem, done)
    assert done.discharge_mw.sum(axis=(1, 2)).max() <= 0.6 * 200 + 1e-6


@pytest.mark.parametrize("policy", ["expected", "dynamic"])
def test_a_session_without_trade_leaves_its_trade_undone(policy):
    """Its gate and the next one do not know yet; the DAM schedule is followed all the same."""
    problem, unit_mw, paths = a_case(*CASES["hard"])
    rtm = paths.rtm.copy()
    rtm[:, [6, 7, 15]] = np.nan
    closed, gates = replace(paths, rtm=rtm), gates_of(paths, behind=3)
    done = {}
    for name, these in (("open", paths), ("closed", closed)):
        if policy == "expected":
            done[name] = trade_on_expectations(problem, these, unit_mw, gates)
        else:
            done[name] = trade_on_bids(problem, these, unit_mw, gates, a_law(24))
    np.testing.assert_array_equal(done["open"].rtm_mw[:, :6], done["closed"].rtm_mw[:, :6])
    assert (done["closed"].rtm_mw[:, [6, 7, 15]] == 0).all()
    flow = (done["closed"].discharge_mw - done["closed"].charge_mw).sum(axis=1)
    traded = unit_mw.sum(axis=0) + done["closed"].rtm_mw - done["closed"].undelivered_mw
    np.testing.assert_allclose(flow, traded, atol=1e-6)
    assert (done["closed"].e_end_mwh >= problem.e_end_min_mwh - 1e-6).all()


def test_settled_on_bids_a_day_has_the_books_of_its_flows():
    problem, unit_mw, paths = a_case(*CASES["value"])
    one = PriceScenarios.single(paths.dam[0], paths.rtm[0])
    gates = gates_of(one)
    day = settle_on_bids(problem, one, unit_mw, gates, a_law(24))
    many = trade_on_bids(problem, one, unit_mw, gates, a_law(24))
    assert float(day.ledger.net_rs) == pytest.approx(float(many.ledger.net_rs[0]))
    np.testing.assert_array_equal(day.e_end_mwh, many.e_end_mwh[0])
    # and those by hand: revenue less fees, flow costs, wear and the day's charge
    costs, h = problem.costs, 1.0
    error = costs.dsm_share_of_flow * np.maximum(one.dam[0], one.rtm[0])
    flow = day.charge_mw[0] + day.discharge_mw[0]
    net = (
        (one.dam[0] * day.dam_mw + one.rtm[0] * day.rtm_mw).sum()
        - 20 * np.abs(day.dam_mw).sum()
        - 33 * np.abs(day.rtm_mw).sum()
        - ((7 + 1.8 + error) * flow).sum()
        - 310 * day.discharge_mw.sum()
        - 2000
    )
    assert h * net == pytest.approx(float(day.ledger.net_rs), abs=0.01)


def test_bids_are_level_where_prices_are_unlikely_by_hand():
    wanted = np.array([[-9.0, -5.0, 0.0, 4.0, 8.0]] * 3)
    chance = np.array(
        [[0.05, 0.05, 0.8, 0.06, 0.04], [0.2, 0.2, 0.2, 0.2, 0.2], [0.0, 0.02, 0.0, 0.9, 0.08]]
    )
    expected = [[0.0] * 5, [-9.0, -5.0, 0.0, 4.0, 8.0], [4.0] * 5]
    np.testing.assert_array_equal(level_where_unlikely(wanted, chance), expected)
