"""Features: each at its own gate, from what is known there."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from small_cases import make_market, make_params, same

from bessvpp.errors import DataError
from bessvpp.forecasting.features import anchor, design, feature_frame, gate_features
from bessvpp.market.clock import delivery_starts, gate_time
from bessvpp.market.history import Market
from bessvpp.params.fields import parse_clock

RULES = make_params().market
MARKET = make_market(20)  # from 1 March 2024 on


def changed(market: Market, **edits: object) -> Market:
    """The market with ``(days, blocks, values)`` written over some of its arrays."""
    arrays = {
        "dam_mcp": market.dam_mcp.copy(),
        "rtm_mcp": market.rtm_mcp.copy(),
        **{name: values.copy() for name, values in market.extras.items()},
    }
    for name, (days, blocks, values) in edits.items():
        arrays[name][days, blocks] = values
    dam, rtm = arrays.pop("dam_mcp"), arrays.pop("rtm_mcp")
    return Market(market.dates, dam, rtm, market.rtm_no_trade, arrays, market.is_synthetic)


def test_the_gate_is_on_the_day_before_delivery():
    day = np.datetime64("2024-03-01")
    assert gate_time(day, 660) == dt.datetime(2024, 2, 29, 11, 0)
    assert gate_time(day, parse_clock("12:30")) == dt.datetime(2024, 2, 29, 12, 30)


def test_blocks_start_at_midnight_ist():
    starts = delivery_starts(np.datetime64("2024-03-01"), 96)
    assert len(starts) == 96
    assert str(starts[0]) == "2024-03-01 00:00:00+05:30"
    assert str(starts[-1]) == "2024-03-01 23:45:00+05:30"


@pytest.mark.parametrize("n_blocks", [24, 96])
def test_features_hold_the_prices_they_are_named_after(n_blocks):
    market = make_market(40, n_blocks, bids=True)
    day = 35
    frame = feature_frame(market, market.dates[[day]], RULES)
    dam, rtm = market.dam_mcp, market.rtm_mcp
    at_gate = 46 if n_blocks == 96 else 11  # blocks of yesterday whose RTM price is known
    morning = np.r_[rtm[day - 1, :at_gate], np.full(n_blocks - at_gate, np.nan)]
    for lag in (1, 2, 3, 7):
        np.testing.assert_array_equal(frame[f"dam_lag_{lag}d"], dam[day - lag])
    for lag in (2, 3, 7):
        np.testing.assert_array_equal(frame[f"rtm_lag_{lag}d"], rtm[day - lag])
    latest = np.r_[rtm[day - 1, :at_gate], rtm[day - 2, at_gate:]]
    np.testing.assert_array_equal(frame["rtm_latest"], latest)
    np.testing.assert_allclose(frame["dam_mean_7d"], dam[day - 7 : day].mean(axis=0))
    np.testing.assert_allclose(frame["dam_mean_28d"], dam[day - 28 : day].mean(axis=0))
    np.testing.assert_allclose(frame["dam_sd_7d"], dam[day - 7 : day].std(axis=0))
    np.testing.assert_allclose(frame["dam_min_7d"], dam[day - 7 : day].min(axis=0))
    np.testing.assert_allclose(frame["dam_max_7d"], dam[day - 7 : day].max(axis=0))
    np.testing.assert_allclose(frame["dam_day_mean_1d"], dam[day - 1].mean())
    np.testing.assert_allclose(frame["dam_day_mean_2d"], dam[day - 2].mean())
    last_hour = dam[day - 1, -n_blocks // 24 :].mean()
    np.testing.assert_allclose(frame["dam_last_hour_1d"], last_hour)
    week = np.vstack([rtm[day - 7 : day - 1], morning])
    np.testing.assert_allclose(frame["rtm_mean_7d"], np.nanmean(week, axis=0))
    np.testing.assert_allclose(frame["rtm_morning_1d"], np.nanmean(morning))
    np.testing.assert_allclose(frame["spread_morning_1d"], np.nanmean(morning - dam[day - 1]))
    np.testing.assert_allclose(frame["spread_lag_2d"], rtm[day - 2] - dam[day - 2])
    np.testing.assert_allclose(frame["spread_day_2d"], (rtm[day - 2] - dam[day - 2]).mean())
    bought = market.extras["dam_purchase_bid_mw"][day - 1]
    sold = market.extras["dam_sell_bid_mw"][day - 1]
    np.testing.assert_array_equal(frame["dam_purchase_bid_mw_1d"], bought)
    np.testing.assert_allclose(frame["dam_bid_ratio_1d"], bought / sold)
    rtm_sold = market.extras["rtm_sell_bid_mw"][day - 1].copy()
    rtm_sold[at_gate:] = np.nan
    np.testing.assert_array_equal(frame["rtm_sell_bid_mw_1d"], rtm_sold)
    assert frame["hour"].iloc[[0, n_blocks // 2]].tolist() == [0, 12]


def with_green(market: Market) -> Market:
    """The market with GDAM prices that stray from the DAM's."""
    rng = np.random.default_rng(5)
    green = (market.dam_mcp + rng.normal(200, 300, market.dam_mcp.shape)).clip(0, 10_000)
    extras = dict(market.extras) | {"gdam_mcp": green}
    return Market(market.dates, market.dam_mcp, market.rtm_mcp, market.rtm_no_trade, extras, False)


GREEN_NAMES = ["gdam_lag_1d", "gdam_mean_7d", "gdam_off_dam_1d"]


@pytest.mark.parametrize("n_blocks", [24, 96])
def test_green_features_are_there_if_the_price_is_and_hold_what_they_are_named_after(n_blocks):
    plain = make_market(40, n_blocks, bids=True)
    market, day = with_green(plain), 35
    frame = feature_frame(market, market.dates[[day]], RULES)
    green = market.extras["gdam_mcp"]
    np.testing.assert_array_equal(frame["gdam_lag_1d"], green[day - 1])
    np.testing.assert_allclose(frame["gdam_mean_7d"], green[day - 7 : day].mean(axis=0))
    np.testing.assert_array_equal(frame["gdam_off_dam_1d"], green[day - 1] - plain.dam_mcp[day - 1])
    # Nothing else changes, and nothing of it is there without the price.
    without = feature_frame(plain, plain.dates[[day]], RULES)
    assert same(frame.drop(columns=GREEN_NAMES), without)
    for name in ("dam", "rtm"):
        seen, rest = design(frame, name), design(without, name)
        added = [column for column in seen if column not in rest]
        assert added == [
            "gdam_off_dam_1d",
            "gdam_lag_1d_off_anchor",
            "gdam_mean_7d_off_anchor",
        ]
        np.testing.assert_allclose(
            seen["gdam_mean_7d_off_anchor"], frame["gdam_mean_7d"] - anchor(frame, name)
        )
        assert same(seen[list(rest)], rest)


def test_a_green_price_of_the_delivery_day_changes_no_feature_and_one_of_the_day_before_does():
    market, day = with_green(make_market(40, 96)), 35
    before = feature_frame(market, market.dates[[day]], RULES)
    later = changed(market, gdam_mcp=(slice(day, None), slice(None), 1.0))
    assert same(before, feature_frame(later, market.dates[[day]], RULES))
    last = changed(market, gdam_mcp=(day - 1, 95, 77.0))
    after = feature_frame(last, market.dates[[day]], RULES)
    moved = [name for name in before if not before[name].equals(after[name])]
    assert moved == GREEN_NAMES


def test_a_green_price_that_is_missing_is_missing_in_its_features_alone():
    market, day = with_green(make_market(40)), 35
    before = feature_frame(market, market.dates[[day]], RULES)
    gap = changed(market, gdam_mcp=(day - 1, slice(None), np.nan))
    after = feature_frame(gap, market.dates[[day]], RULES)
    assert after["gdam_lag_1d"].isna().all()
    assert after["gdam_off_dam_1d"].isna().all()
    week = gap.extras["gdam_mcp"][day - 7 : day - 1].mean(axis=0)
    np.testing.assert_allclose(after["gdam_mean_7d"], week)
    assert same(before.drop(columns=GREEN_NAMES), after.drop(columns=GREEN_NAMES))
    assert not gap.excluded.any()
    # Data that end two days before delivery leave yesterday open and shift none.
    short = feature_frame(market.days(0, 34), market.dates[[day]], RULES)
    assert short["gdam_lag_1d"].isna().all()
    week = market.extras["gdam_mcp"][day - 7 : day - 1].mean(axis=0)
    np.testing.assert_allclose(short["gdam_mean_7d"], week)


def test_the_calendar_is_that_of_the_delivery_day():
    market = make_market(40)  # 1 March 2024 was a Friday
    frame = feature_frame(market, market.dates[[7, 9]], RULES)
    assert frame["weekday"].tolist() == [4] * 24 + [6] * 24
    assert frame["is_sunday"].tolist() == [0] * 24 + [1] * 24
    angle = 2 * np.pi * (31 + 29 + 8) / 365.25  # 8 March, of a leap year
    np.testing.assert_allclose(frame["season_sin"][:24], np.sin(angle))
    np.testing.assert_allclose(frame["season_cos"][:24], np.cos(angle))


def test_unmet_demand_is_what_was_bid_for_and_not_cleared():
    rng = np.random.default_rng(0)
    bids = {"purchase_bid_mw": 900.0, "mcv_mw": 400.0}
    extras = {
        f"{market}_{name}": rng.uniform(0, most, (20, 24))
        for market in ("dam", "rtm")
        for name, most in bids.items()
    }
    market = Market(
        MARKET.dates, MARKET.dam_mcp, MARKET.rtm_mcp, MARKET.rtm_no_trade, extras, False
    )
    frame = feature_frame(market, market.dates[[12]], RULES)
    unmet = (extras["dam_purchase_bid_mw"] - extras["dam_mcv_mw"])[11]
    np.testing.assert_allclose(frame["dam_unmet_mw_1d"], unmet)
    unmet = (extras["rtm_purchase_bid_mw"] - extras["rtm_mcv_mw"])[11]
    np.testing.assert_allclose(frame["rtm_unmet_mw_1d"][:11], unmet[:11])  # to the gate
    assert frame["rtm_unmet_mw_1d"][11:].isna().all()


@pytest.mark.parametrize("n_blocks", [24, 96])
def test_no_price_or_bid_after_the_gate_changes_a_feature(n_blocks):
    market = make_market(40, n_blocks, bids=True)
    day, at_gate = 35, 46 if n_blocks == 96 else 11
    before = feature_frame(market, market.dates[[day]], RULES)
    later, rest = slice(day, None), slice(at_gate, None)
    after = changed(
        market,
        dam_mcp=(later, slice(None), 1.0),
        rtm_mcp=(later, slice(None), 2.0),
        dam_purchase_bid_mw=(later, slice(None), 3.0),
        rtm_sell_bid_mw=(later, slice(None), 4.0),
    )
    after = changed(after, rtm_mcp=(day - 1, rest, 5.0), rtm_sell_bid_mw=(day - 1, rest, 6.0))
    assert same(before, feature_frame(after, market.dates[[day]], RULES))
    # A market that ends this morning gives the same, and so does one with days missing later.
    today = market.days(0, day)
    assert same(before, feature_frame(today, market.dates[[day]], RULES))
    gone = changed(market, dam_mcp=(later, slice(None), np.nan))
    assert same(before, feature_frame(gone, market.dates[[day]], RULES))


@pytest.mark.parametrize(
    ("n_blocks", "name", "block"),
    [
        (24, "dam_mcp", 23),
        (24, "rtm_mcp", 10),  # 10:00 to 11:00, known from 10:30
        (96, "dam_mcp", 95),
        (96, "rtm_mcp", 45),  # session 23, known from its start at 11:00
        (96, "rtm_sell_bid_mw", 45),
        (96, "dam_purchase_bid_mw", 95),
    ],
)
def test_the_last_price_known_at_the_gate_does_change_a_feature(n_blocks, name, block):
    market = make_market(40, n_blocks, bids=True)
    before = feature_frame(market, market.dates[[35]], RULES)
    known = changed(market, **{name: (34, block, 77.0)})
    assert not same(before, feature_frame(known, market.dates[[35]], RULES))
    if name.startswith("rtm"):
        unknown = changed(market, **{name: (34, block + 1, 77.0)})
        assert same(before, feature_frame(unknown, market.dates[[35]], RULES))


def test_another_gate_knows_another_number_of_sessions():
    market = make_market(40, 96)
    noon = make_params(dam_gate="12:00").market
    latest = feature_frame(market, market.dates[[35]], noon)["rtm_latest"]
    np.testing.assert_array_equal(latest[:50], market.rtm_mcp[34, :50])
    np.testing.assert_array_equal(latest[50:], market.rtm_mcp[33, 50:])


def test_features_of_a_day_do_not_depend_on_which_days_are_asked_for():
    market = make_market(40)
    many = feature_frame(market, market.dates[20:38], RULES)
    start = many["delivery_start"].dt.tz_localize(None)
    one = many[start.dt.date == dt.date(2024, 4, 1)].reset_index(drop=True)
    assert same(one, feature_frame(market, np.array(["2024-04-01"], "M8[D]"), RULES))


def test_features_with_the_days_own_prices_in_hand_are_refused():
    market = make_market(20)
    with pytest.raises(DataError, match="with prices of that day in hand"):
        gate_features(market, market.dates[-1], RULES)


def test_days_that_are_missing_leave_features_open_and_shift_none():
    """A gap is a gap: the lag of seven days is still the day a week ago."""
    market = make_market(40)
    gap = changed(market, dam_mcp=(slice(33, 35), slice(None), np.nan))
    frame = feature_frame(gap, gap.dates[[35]], RULES)
    assert frame["dam_lag_1d"].isna().all()
    assert frame["dam_lag_2d"].isna().all()
    np.testing.assert_array_equal(frame["dam_lag_3d"], market.dam_mcp[32])
    np.testing.assert_array_equal(frame["dam_lag_7d"], market.dam_mcp[28])
    np.testing.assert_allclose(frame["dam_mean_7d"], market.dam_mcp[28:33].mean(axis=0))
    # Data that end two days before delivery leave yesterday open.
    short = feature_frame(market.days(0, 34), market.dates[[35]], RULES)
    assert short["dam_lag_1d"].isna().all()
    np.testing.assert_array_equal(short["dam_lag_2d"], market.dam_mcp[33])
    np.testing.assert_array_equal(short["dam_lag_7d"], market.dam_mcp[28])


def test_the_share_of_blocks_at_the_cap_is_that_of_the_cap_of_their_day():
    """Ten days before the cap fell from 12,000 to 10,000, 11,000 was no capped price."""
    caps = [
        {"effective_from": "2012-01-01", "cap_rs_per_mwh": 12_000.0},
        {"effective_from": "2024-04-01", "cap_rs_per_mwh": 10_000.0},
    ]
    rules = make_params(price_caps=caps).market
    market = make_market(40)
    dear = changed(market, dam_mcp=(slice(0, 31), slice(None), 11_000.0))  # to 31 March
    frame = feature_frame(dear, np.array(["2024-04-01"], "M8[D]"), rules)
    assert frame["dam_cap_share_7d"].eq(0).all()
    at_cap = changed(market, dam_mcp=(slice(28, 31), slice(None), 12_000.0))
    frame = feature_frame(at_cap, np.array(["2024-04-01"], "M8[D]"), rules)
    np.testing.assert_allclose(frame["dam_cap_share_7d"], 3 / 7)
    # Three days after the change: 10,000 is a capped price since, and was none before.
    level = changed(market, dam_mcp=(slice(20, 34), slice(None), 10_000.0))
    level = changed(level, rtm_mcp=(slice(20, 33), slice(None), 10_000.0))
    frame = feature_frame(level, np.array(["2024-04-04"], "M8[D]"), rules)
    np.testing.assert_allclose(frame["dam_cap_share_7d"], 3 / 7)
    np.testing.assert_allclose(frame["dam_day_cap_share_1d"], 1)
    np.testing.assert_allclose(frame["rtm_cap_share_7d"][11:], 2 / 6)  # yesterday not known


def test_caps_need_not_reach_further_back_than_the_data():
    """The first days look back to days before any data, which had no cap either."""
    caps = [{"effective_from": "2024-03-01", "cap_rs_per_mwh": 10_000.0}]
    frame = feature_frame(MARKET, MARKET.dates[[8]], make_params(price_caps=caps).market)
    assert same(frame, feature_frame(MARKET, MARKET.dates[[8]], RULES))


def test_the_anchor_is_the_latest_price_and_in_the_rtm_half_that_of_the_dam_and_the_spread():
    frame = pd.DataFrame(
        {
            "dam_lag_1d": [1000.0, np.nan, 1000.0],
            "dam_mean_7d": [3000.0, 500.0, 3000.0],
            "rtm_latest": [100.0, np.nan, np.nan],
            "rtm_mean_7d": [700.0, 600.0, np.nan],
            "spread_mean_28d": [-200.0, -100.0, np.nan],
        }
    )
    assert anchor(frame, "dam").tolist() == [1000.0, 500.0, 1000.0]
    own, shared = [(100 + 700) / 2, 600], [1000 - 200, 500 - 100]
    expected = [*(np.add(own, shared) / 2), np.nan]
    np.testing.assert_array_equal(anchor(frame, "rtm"), expected)


def test_the_months_spread_compares_the_markets_on_the_same_days():
    """The DAM doubles over the month and the RTM lies 100 above it, on the days it is there."""
    dates = np.datetime64("2025-01-01") + np.arange(40)
    dam = np.repeat(np.linspace(2000.0, 4000.0, 40)[:, None], 24, axis=1)
    rtm = dam + 100
    rtm[:25] = np.nan
    market = Market(dates, dam, rtm, np.zeros(dam.shape, bool), {}, False)
    frame = feature_frame(market, dates[-1:], RULES)
    np.testing.assert_allclose(frame["spread_mean_28d"], 100)


def test_models_see_each_price_and_its_distance_from_the_anchor_and_no_other_distances():
    frame = feature_frame(MARKET, MARKET.dates[[-1]], RULES)
    seen = design(frame, "dam")
    distances = {name.removesuffix("_off_anchor") for name in seen if name.endswith("_off_anchor")}
    assert {"dam_lag_2d", "dam_mean_28d", "dam_evening_1d", "rtm_latest"} <= distances
    strangers = {"sd", "share", "mw", "ratio", "days", "spread", "off"}
    assert not [name for name in distances if set(name.split("_")) & strangers]
    np.testing.assert_allclose(
        seen["dam_mean_7d_off_anchor"], frame["dam_mean_7d"] - frame["dam_lag_1d"]
    )


@pytest.mark.parametrize("n_blocks", [24, 96])
def test_neighbours_parts_of_the_day_and_runs_at_the_cap_from_their_definition(n_blocks):
    market = make_market(40, n_blocks, bids=True)
    day, near = 35, n_blocks // 48 or 1
    dam = market.dam_mcp.copy()
    dam[[31, 33, 34], 3] = 10_000.0  # the cap; not on day 32
    market = changed(market, dam_mcp=(slice(None), slice(None), dam))
    frame = feature_frame(market, market.dates[[day]], RULES)
    last, hour = dam[day - 1], n_blocks // 24
    np.testing.assert_array_equal(frame["dam_half_hour_before_1d"][near:], last[:-near])
    np.testing.assert_array_equal(frame["dam_half_hour_after_1d"][:-near], last[near:])
    around = [last[max(t - hour, 0) : t + hour + 1].mean() for t in range(n_blocks)]
    np.testing.assert_allclose(frame["dam_around_1d"], around)
    np.testing.assert_allclose(frame["dam_evening_1d"], last[18 * hour :].mean())
    runs = np.zeros(n_blocks)
    runs[3] = 2
    np.testing.assert_array_equal(frame["dam_days_at_cap"], runs)
    weights = 0.75 ** np.arange(14, 0, -1)
    expected = weights @ dam[day - 14 : day] / weights.sum()
    np.testing.assert_allclose(frame["dam_recent"], expected)


def test_a_sunday_is_compared_with_sundays_and_a_holiday_is_one():
    market = make_market(60)  # 1 March 2024 was a Friday; 14 April a Sunday, 26 January a holiday
    sunday = feature_frame(market, np.array(["2024-04-14"], "M8[D]"), RULES)
    places = [market.index_of("2024-03-31"), market.index_of("2024-04-07")]
    np.testing.assert_allclose(sunday["dam_day_type_mean"], market.dam_mcp[places].mean(axis=0))
    tuesday = feature_frame(market, np.array(["2024-04-16"], "M8[D]"), RULES)
    days = ["2024-04-09", "2024-04-10", "2024-04-11", "2024-04-12", "2024-04-13", "2024-04-15"]
    places = [market.index_of(day) for day in days]
    np.testing.assert_allclose(tuesday["dam_day_type_mean"], market.dam_mcp[places].mean(axis=0))
    january = make_market(40, first="2024-01-01")
    dates = np.array(["2024-01-25", "2024-01-26"], "M8[D]")
    assert feature_frame(january, dates, RULES)["is_holiday"].tolist() == [0] * 24 + [1] * 24
