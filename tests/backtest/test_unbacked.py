"""Net over a limit on trade that is not run: its parts add up, and the limit is one."""

from __future__ import annotations

import numpy as np
import pytest
from small_cases import foreseeing, make_market, make_params, make_window

from bessvpp.backtest.ideas import with_rules
from bessvpp.backtest.policies import TwoStage
from bessvpp.backtest.simulate import commit_chain, settle_chain
from bessvpp.backtest.unbacked import net_by_limit
from bessvpp.compute.workers import ONE
from bessvpp.settlement.day import CAUSAL

MARKET = make_market(12, seed=1)


def test_a_row_a_limit_and_the_last_is_the_plan_itself():
    window = foreseeing(make_window(make_params(fan="original", terminal="free"), MARKET, first=10))
    [table] = ONE.run_all([net_by_limit(window, "original", (0.0, 1e6))], "limits")
    assert np.isnan(table["limit_mwh_per_day"].iloc[-1])
    parts = table["dispatch_rs"] + table["position_rs"]
    np.testing.assert_allclose(parts, table["net_rs"])
    days = settle_chain(window, commit_chain(window, TwoStage("original")), CAUSAL)
    net = sum(float(day.ledger.net_rs) for day in days)
    assert table["net_rs"].iloc[-1] == pytest.approx(net)
    assert table["behind_rs"].iloc[-1] == 0
    assert table["behind_rs"].iloc[0] == pytest.approx(table["net_rs"].iloc[0] - net)
    assert table["net_rs"].iloc[1] == pytest.approx(net, rel=1e-3)  # a limit that binds nothing


def test_a_tight_limit_leaves_less_of_the_schedule_to_be_closed():
    window = foreseeing(
        make_window(make_params(fan="original", commitment="financial"), MARKET, first=10)
    )

    def not_run_mwh(limit):
        limited = with_rules(window, unbacked_max_mwh_per_day=limit)
        days = settle_chain(limited, commit_chain(limited, TwoStage("original")), CAUSAL)
        return sum(
            np.abs(day.dam_mw - (day.discharge_mw - day.charge_mw).sum(axis=0)).sum()
            for day in days
        )

    assert not_run_mwh(0.0) < 0.7 * not_run_mwh(None)
    [table] = ONE.run_all([net_by_limit(window, "original", (0.0,))], "limits")
    assert abs(table["position_rs"].iloc[0]) > 0


@pytest.mark.parametrize("terminal", ["free", "value", "hard"])
def test_each_limit_of_several_is_the_plan_under_it_alone(terminal):
    """Days go on from one limit to the next, in any order, each from its own energies."""
    params = make_params(fan="original", terminal=terminal, midnight="plan", risk_aversion=0.3)
    window = foreseeing(make_window(params, MARKET, first=9))
    limits = (60.0, 0.0, 15.0)
    [table] = ONE.run_all([net_by_limit(window, "original", limits)], "limits")
    for limit, net in zip(limits, table["net_rs"], strict=False):
        alone = with_rules(window, unbacked_max_mwh_per_day=limit)
        days = settle_chain(alone, commit_chain(alone, TwoStage("original")), CAUSAL)
        assert net == pytest.approx(sum(float(day.ledger.net_rs) for day in days), abs=0.01)
    assert len(set(table["net_rs"].round())) == 4
