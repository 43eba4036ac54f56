"""A promise is that of causal trading along the fan: never hindsight, sure where all is sure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recourse_cases import CASES, a_case, worth
from small_cases import fleet, make_params, price_scenarios

from bessvpp.market import clock
from bessvpp.prices import PriceScenarios
from bessvpp.settlement.day import settle_with_recourse
from bessvpp.settlement.promise import FanView, planned_causal, trade_along_fan

RULES = make_params().market
RECOURSES = ["dynamic", "expected"]


@pytest.mark.parametrize("recourse", RECOURSES)
@pytest.mark.parametrize("case", [*CASES, "fleet"])
def test_no_path_promises_more_than_its_hindsight(case, recourse):
    problem, unit_mw, _ = a_case(*CASES.get(case, (fleet(), 24)))
    fan = price_scenarios(8, unit_mw.shape[1], seed=3, weighted=True)
    done = trade_along_fan(problem, fan, unit_mw, RULES, recourse)
    plain = replace(
        problem, costs=problem.costs.model_copy(update={"off_dam_penalty_rs_per_mwh": 0.0})
    )
    for s, promised in enumerate(worth(problem, done)):
        path = PriceScenarios.single(fan.dam[s], fan.rtm[s])
        assert promised < worth(problem, settle_with_recourse(plain, path, unit_mw.sum(axis=0)))[0]


@pytest.mark.parametrize("recourse", RECOURSES)
@pytest.mark.parametrize("case", [name for name in CASES if name != "off-DAM penalty"])
def test_a_fan_of_one_path_promises_what_hindsight_earns(case, recourse):
    problem, unit_mw, _ = a_case(*CASES[case])
    path = price_scenarios(1, unit_mw.shape[1], seed=6)
    best = settle_with_recourse(problem, path, unit_mw.sum(axis=0))
    found = planned_causal(problem, path, unit_mw, RULES, recourse)
    on_grid = 5e-4 if problem.bess.units[0].is_tapered else 0.0
    assert found == pytest.approx(float(best.ledger.net_rs), abs=1.0, rel=on_grid)


@pytest.mark.parametrize("n_blocks", [24, 96])
@pytest.mark.parametrize("recourse", RECOURSES)
def test_what_a_path_brings_later_changes_nothing_traded_on_it_before(recourse, n_blocks):
    """One path of many takes another turn: the fan's law is held, so only that path may change."""
    problem, unit_mw, _ = a_case(make_params(), n_blocks)
    fan = price_scenarios(30, n_blocks, seed=3)
    view = FanView.of(fan)
    turn = n_blocks // 2
    rtm = fan.rtm.copy()
    rtm[7, turn:] = np.random.default_rng(8).uniform(0, 10_000, n_blocks - turn)
    other = replace(fan, rtm=rtm)
    before = trade_along_fan(problem, fan, unit_mw, RULES, recourse, view=view)
    after = trade_along_fan(problem, other, unit_mw, RULES, recourse, view=view)
    np.testing.assert_array_equal(before.rtm_mw[7, :turn], after.rtm_mw[7, :turn])
    np.testing.assert_array_equal(np.delete(before.rtm_mw, 7, 0), np.delete(after.rtm_mw, 7, 0))
    assert np.abs(before.rtm_mw[7] - after.rtm_mw[7]).max() > 1
    if recourse == "expected":  # quantities: nor does what its gate does not know yet
        behind = clock.blocks_behind(RULES, n_blocks)
        same = slice(turn, turn + behind)
        np.testing.assert_array_equal(before.rtm_mw[7, same], after.rtm_mw[7, same])


def test_energy_at_midnight_counts():
    """10 MWh more at midnight are promised at about what they bring at best, less than the cap."""
    problem, unit_mw, _ = a_case(make_params(terminal="free"), 24)
    fan = price_scenarios(20, 24, seed=3)
    more = replace(problem, e_start_mwh=problem.e_start_mwh + 10)
    gain = (
        planned_causal(more, fan, unit_mw, RULES) - planned_causal(problem, fan, unit_mw, RULES)
    ) / 10
    assert 2000 < gain.mean() < 10_000


def test_what_a_fan_implies_by_hand():
    """The DAM strays by 200 from its mean of 2000, the RTM by half of that and by 50 more."""
    dam = np.repeat([[2200.0], [2200.0], [1800.0], [1800.0]], 24, axis=1)
    rtm = np.repeat([[1650.0], [1550.0], [1450.0], [1350.0]], 24, axis=1)
    view = FanView.of(PriceScenarios(dam, rtm, np.full(4, 0.25)))
    np.testing.assert_allclose(view.expected_rtm[:, 5], [1600.0, 1600.0, 1400.0, 1400.0])
    np.testing.assert_allclose(view.surprises_rs[:, 5], [50.0, -50.0, 50.0, -50.0])
    # surprises last: once seen, they are expected
    gates = view.gates(np.arange(24), 2, rtm)
    np.testing.assert_allclose(gates.expected_rtm[0, :, 3], view.expected_rtm[:, 3])
    np.testing.assert_allclose(gates.expected_rtm[6, :, 9], rtm[:, 9], atol=2)


def test_a_block_without_any_rtm_is_traded_on_no_path():
    problem, unit_mw, _ = a_case(make_params(), 24)
    fan = price_scenarios(12, 24, seed=3, no_trade=(6, 7))
    for recourse in RECOURSES:
        done = trade_along_fan(problem, fan, unit_mw, RULES, recourse)
        assert (done.rtm_mw[:, [6, 7]] == 0).all()
        assert np.isfinite(done.ledger.net_rs).all()
        flow = (done.discharge_mw - done.charge_mw).sum(axis=1)
        sold = unit_mw.sum(axis=0) + done.rtm_mw
        np.testing.assert_allclose(flow, sold - done.undelivered_mw, atol=1e-6)
