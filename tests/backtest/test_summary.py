"""The figures of a backtest are what its days add up to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from backtest_cases import MARKETS, POLICIES, changed
from small_cases import fleet, make_market, make_params, make_window

from bessvpp.backtest.policies import BASELINE
from bessvpp.backtest.simulate import CEILING, run_backtest
from bessvpp.backtest.summary import (
    DailyFigures,
    WithRecourse,
    _lead,
    made_with,
    rules,
    summarise,
)
from bessvpp.ledger import LEDGER_COLUMNS
from bessvpp.risk import cvar
from bessvpp.runs.compare import compare
from bessvpp.runs.folder import RunFolder
from bessvpp.settlement.day import AS_COMMITTED, CAUSAL, HINDSIGHT


def test_the_summary_is_what_the_daily_rows_add_up_to():
    params = fleet(alpha=0.4)
    window = make_window(params, MARKETS["ordinary"])
    result = run_backtest(window)
    summary = summarise(window, result)
    daily = result.daily
    # the policies of the parameters, those on a fan for each, and the ceiling
    assert set(daily["policy"]) == {*POLICIES, CEILING}
    assert len(daily) == (len(POLICIES) + 1) * 2 * 4
    costs = [name for name in LEDGER_COLUMNS if not name.endswith("revenue_rs")]
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
        assert entry["dispatch_rs"] + entry["position_rs"] == pytest.approx(total)
        assert entry["dispatch_rs"] == pytest.approx(own["dispatch_rs"].sum())
        assert entry["closed_mwh_per_day"] == pytest.approx(own["closed_mwh"].mean())
        assert entry["dam_turns_per_day"] == pytest.approx(alone["dam_turns"].mean())
    assert summary["policies"][BASELINE]["gain_over_nothing_rs"] == 0
    assert summary["policies"][CEILING]["capture"] == 1
    assert summary["days_times_alpha"] == pytest.approx(1.6)
    assert set(summary["ceiling_gap_rs"]) == {AS_COMMITTED, HINDSIGHT}
    for way, freer in summary["ceiling_across_midnights_rs"].items():
        assert freer >= rows(CEILING, way)["net_rs"].sum() - 1
    for name, over in summary["two_stage_over"].items():
        assert set(over) == {*POLICIES} - {name}
        for other, lead in over.items():
            ahead = rows(name, HINDSIGHT)["net_rs"].sum() - rows(other, HINDSIGHT)["net_rs"].sum()
            assert lead["ahead_rs"] == pytest.approx(ahead)
            assert lead["low_rs"] <= ahead <= lead["high_rs"]


def test_no_figure_with_causal_recourse_has_the_key_of_one_with_hindsight():
    """One would else stand in the other's place, without a word."""
    causal, hindsight = (set(WithRecourse.keys(way).values()) for way in (CAUSAL, HINDSIGHT))
    assert len(causal) == len(hindsight)
    assert not causal & hindsight


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


def test_what_was_short_at_midnight_costs_the_deviation_of_those_days_by_hand():
    days = pd.DataFrame(
        {
            "date": ["2024-01-01", "2024-01-02", "2024-01-03"],
            "settlement": HINDSIGHT,
            "policy": "x",
            "net_rs": 1.0,
            "cycles": 0.5,
            "dispatch_rs": 0.5,
            "closed_mwh": 0.0,
            "dam_turns": 2,
            "undelivered_mwh": [0.0, 2.0, 4.0],
            "midnight_short_mwh": [0.0, 30.0, 0.0],
            "deviation_rs": [5.0, 700.0, 90.0],
        }
    )
    found = DailyFigures.of(days).flows.loc[HINDSIGHT, "x"]
    assert found["midnight_short"] == 1
    assert found["midnight_short_mwh"] == 30
    assert found["midnight_short_cost_rs"] == 700


def test_the_summary_records_what_the_backtest_rests_on_and_nothing_of_other_notebooks():
    params = fleet(alpha=0.4)
    told = made_with(params)
    whole = params.model_dump(mode="json")
    assert (told["bess"], told["risk"]) == (whole["bess"], whole["risk"])
    assert told["backtest"] == whole["backtest"]
    of_others = {key for key in whole["market"] if key.startswith("synthetic_")}
    of_others |= {"block_minutes", "column_names", "external"}
    assert whole["market"].keys() - told["market"].keys() == of_others


def test_backtests_of_two_batteries_are_compared_by_their_own_days(tmp_path):
    window = make_window(make_params(policies=["nothing_committed", "two_stage"]), make_market(11))
    small = make_params({"e_max_mwh": 110.0}, policies=["nothing_committed", "two_stage"])
    nets = []
    for name, params in (("large", window.params), ("small", small)):
        run, own = RunFolder(tmp_path / name), replace(window, params=params)
        result = run_backtest(own)
        run.write_frame("market.parquet", window.market.to_frame())
        run.write_frame("backtest_daily.parquet", result.daily)
        run.write_json("backtest_summary.json", summarise(own, result))
        of_plan = result.daily["policy"] == "two_stage_recalibrated"
        nets.append(result.daily[of_plan & (result.daily["settlement"] == HINDSIGHT)]["net_rs"])
    found = compare([tmp_path / "large", tmp_path / "small"])
    assert found.parameters == {"bess.units.A.e_max_mwh": (180.0, 110.0)}
    (pair,) = found.pairs
    assert pair.mean.difference_rs == pytest.approx(nets[1].mean() - nets[0].mean())
    assert pair.mean.difference_rs < 0


def test_the_rules_count_the_days_on_which_defaults_were_chosen():
    real = make_market(12, first="2025-04-23")  # settled from 1 May on
    window = make_window(make_params(), real)
    assert "days_looked_at" not in rules(window)
    window = make_window(make_params(), real, first=6)
    assert rules(window)["days_looked_at"] == 2
    made = make_window(make_params(), replace(real, is_synthetic=True), first=6)
    assert "days_looked_at" not in rules(made)
