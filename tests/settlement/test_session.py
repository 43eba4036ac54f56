"""A session at its gate by hand: what its gates expect, what was bid, and cycles that are gone."""

from __future__ import annotations

import numpy as np
import pytest
from small_cases import make_params, make_problem

from bessvpp.desk.trade import _earlier_bids
from bessvpp.runs.folder import RunFolder
from bessvpp.settlement.session import Done, GateView, session_on_expectations


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
