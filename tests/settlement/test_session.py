"""A session at its gate by hand: what its gates expect, what was bid, and cycles that are gone."""

from __future__ import annotations

import numpy as np
import pytest
from small_cases import make_params, make_problem

from bessvpp.desk.trade import _earlier_bids
from bessvpp.optimizer.dynamic import EnergyTable
from bessvpp.optimizer.surprise import sure_law
from bessvpp.runs.folder import RunFolder
from bessvpp.settlement.session import (
    Done,
    GateView,
    Session,
    _worth_after,
    session_on_expectations,
)


def test_gates_to_come_expect_what_this_one_does():
    """Of sessions at 0, 8 and 16 the second: the first eight blocks were the first gate's."""
    expected = np.stack([np.full(24, 100.0), np.full(24, 200.0)])
    view = GateView(np.array([0, 8, 16]), 1, 2, np.zeros(24), expected)
    assert view.path().tolist() == [100.0] * 8 + [200.0] * 16
    assert (view.first, view.last, view.n_known) == (8, 16, 7)


def test_an_earlier_bid_is_that_of_its_block_in_its_session(tmp_path):
    """Quarters in pairs: at the gate of 01:30 what was bid from 00:45 on is open."""
    view = GateView(np.arange(0, 96, 2), 3, 4, np.zeros(96), np.zeros((4, 96)))
    run, day = RunFolder(tmp_path), np.datetime64("2024-05-09")
    for clock, first in (("0030", 2), ("0100", 4)):
        bids = [{"unit_rtm_mw": [[10.0 * t]]} for t in (first, first + 1)]
        run.write_json(f"bids/rtm_{day}_{clock}.json", {"bids": bids})
    found = [_earlier_bids(run, day, view, t, (1, 5)) for t in range(view.n_known, view.first)]
    assert np.ravel(found).tolist() == [30.0, 40.0, 50.0]


@pytest.mark.parametrize(("morning_mw", "left_mwh"), [(40.0, 20.0), (-40.0, 100.0)])
def test_a_measured_day_has_the_cycles_that_its_sales_have_left(morning_mw, left_mwh):
    """Of 100 MWh two hours at 40 MW sold spend 80, bought none; the evening wants them all."""
    params = make_params({"max_cycles_per_day": 0.5}, terminal="free", recourse="expected")
    dam = np.zeros((1, 24))
    dam[0, 2:4] = morning_mw
    rtm = np.full(24, 100.0)
    rtm[18:22] = 9000.0
    view = GateView(np.arange(24), 12, 2, np.full(24, 5000.0), np.tile(rtm, (13, 1)))
    measured = Done(np.zeros((1, 11)), np.zeros((1, 1, 1)), np.array([150.0]), 11)
    found = session_on_expectations(make_problem(params), view, dam, measured)
    assert np.maximum(found.net_mw[0, 11:], 0).sum() == pytest.approx(left_mwh)


def test_a_bid_trades_up_to_its_price_and_the_next_one_above_it():
    view = GateView(np.array([0, 8, 16]), 1, 2, np.zeros(24), np.zeros((2, 24)))
    edges = np.tile([3000.0, 5000.0], (8, 1)) + 100 * np.arange(8)[:, None]
    bid_mw = np.tile([-10.0, 0.0, 20.0], (1, 8, 1))
    idle = np.zeros((1, 24))
    session = Session(view, edges, bid_mw, idle[0], idle, np.zeros((1, 25)), ())
    prices = (3200.0, 3200.01, 5200.0, 5200.01, np.nan)
    assert [session.traded_mw(10, p)[0] for p in prices] == [-10.0, 0.0, 0.0, 20.0, 0.0]


def test_what_energy_is_worth_after_a_session_is_that_after_its_last_block():
    """Rs 100 a MWh after the first block, 200 after the second, in steps of 5 MWh from 20."""
    after = np.arange(1, 4)[:, None, None, None] * 500.0 * np.arange(3)
    worth = _worth_after(EnergyTable(20.0, 5.0, after), 2, sure_law(3))
    assert worth.energy_mwh.tolist() == [20.0, 25.0, 30.0]
    assert [worth.slope_rs_per_mwh(e) for e in (20.0, 26.0)] == [200.0, 200.0]
