"""The same schedules bid at any price and at what they are worth, on the same days."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from backtest_cases import MARKETS
from small_cases import CAP, UNIT, foreseeing, make_params, make_window

from bessvpp import battery
from bessvpp.backtest import bid_kinds, ideas, policies
from bessvpp.backtest.simulate import commit_chain, planned_starts, settle_chain
from bessvpp.optimizer.bid_worth import bids_at_worth
from bessvpp.settlement.day import AS_COMMITTED, CAUSAL

FAN = "recalibrated"


@pytest.fixture(scope="module")
def window():
    params = make_params(
        terminal="value", midnight="plan", hurdle_dam_rs_per_mwh=100.0, fan=FAN, risk_aversion=0.0
    )
    return foreseeing(make_window(params, MARKETS["ordinary"], first=9))


@pytest.fixture(scope="module")
def offered(window):
    return commit_chain(window, policies.TwoStage(FAN))


@pytest.fixture(scope="module")
def rows(window):
    return bid_kinds.compare_bids(window, FAN)


def test_any_price_is_the_plan_itself(window, offered, rows):
    own = rows[rows["bids"] == bid_kinds.ANY_PRICE]
    for way in (AS_COMMITTED, CAUSAL):
        net = [float(day.ledger.net_rs) for day in settle_chain(window, offered, way)]
        assert own[own["settlement"] == way]["net_rs"].tolist() == pytest.approx(net)
    assert own["unfilled_mwh"].eq(0).all()


def test_what_is_not_worth_its_price_is_left_and_the_rest_is_settled(window, offered, rows):
    """Block by block and step by step against the day's price, by a slow loop."""
    cleared = bid_kinds.cleared_at_worth(window, FAN, offered)
    left, rules = [], window.params.market
    starts = planned_starts(window, offered)
    for day, (wanted, got) in enumerate(zip(offered, cleared, strict=True)):
        problem, dam = window.problem(starts[day], day), window.realised(day).dam[0]
        limit = bids_at_worth(problem, window.fans[FAN][day], wanted.unit_mw, rules, CAP).limit
        for t, mw in enumerate(wanted.dam_mw):
            good = [dam[t] >= p if mw > 0 else dam[t] <= p for p in limit[t]]
            assert got.dam_mw[t] == pytest.approx(mw * sum(good) / 4)
        assert (got.e_end_mwh == wanted.e_end_mwh).all()  # the RTM is to bring the rest
        left.append(float(np.abs(wanted.dam_mw - got.dam_mw).sum()))
    assert 0 < sum(left) < np.abs([c.dam_mw for c in offered]).sum()
    worth = rows[rows["bids"] == bid_kinds.WORTH]
    for way in (AS_COMMITTED, CAUSAL):
        of_way = worth[worth["settlement"] == way]
        assert of_way["unfilled_mwh"].tolist() == pytest.approx(left)
        net = [float(day.ledger.net_rs) for day in settle_chain(window, cleared, way)]
        assert of_way["net_rs"].tolist() == pytest.approx(net)


def test_a_sale_without_its_purchase_breaks_the_strict_path(window):
    """60 MWh bought at noon and sold at night from an empty battery; noon came too dear."""
    bought, sold = np.zeros((1, 24)), np.zeros((1, 24))
    bought[0, 12] = -50.0
    sold[0, 19] = 50 * UNIT["eta_charge"] * UNIT["eta_discharge"]
    day = replace(window, days=window.days[:1])
    empty = make_params({"e_start_mwh": 20.0, "e_target_mwh": 20.0}, **{"fan": FAN})
    day = replace(day, params=empty)
    plan = policies.Commitment(bought + sold, np.array([20.0]))
    (whole,) = bid_kinds._unfilled(day, [plan], [plan])
    (told,) = bid_kinds._unfilled(day, [plan], [replace(plan, unit_mw=sold)])
    assert whole["broken_mwh"] <= battery.FEASIBILITY_TOLERANCE_MWH
    assert told["broken_mwh"] == pytest.approx(48.0)
    assert (told["unfilled_mwh"], told["unfilled_blocks"]) == (50.0, 1)


def test_what_kinds_earn_by_hand():
    rows = pd.DataFrame(
        {
            "settlement": CAUSAL,
            "bids": ["any price"] * 2 + ["worth"] * 2,
            "net_rs": [10.0, -4.0, 8.0, 0.0],
            "offered_mwh": 100.0,
            "unfilled_mwh": [0.0, 0.0, 20.0, 0.0],
            "unfilled_blocks": [0, 0, 3, 0],
            "broken_mwh": [0.0, 0.005, 7.0, 0.0],
        }
    )
    found = bid_kinds.earned_by_bids(rows, alpha=0.5).loc[CAUSAL]
    assert found["mean_rs"].tolist() == [3.0, 4.0]
    assert found["worst_day_rs"].tolist() == found["cvar_rs"].tolist() == [-4.0, 0.0]
    assert found["unfilled"].tolist() == [0.0, 0.1]
    assert found["days_unfilled"].tolist() == found["days_broken"].tolist() == [0, 1]


def test_what_an_idea_earns_is_told_of_bids_too(window, rows):
    variant = ideas.variants(window, FAN)["bids at their worth"]
    net = rows[(rows["bids"] == bid_kinds.WORTH) & (rows["settlement"] == CAUSAL)]["net_rs"]
    found = ideas.net_of_days(variant)
    assert found[:-1] == pytest.approx(net.to_numpy()[:-1])  # the last counts what is left
