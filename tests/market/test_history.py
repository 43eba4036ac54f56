"""What of a market is known when, and the object itself."""

import datetime as dt
import pickle

import numpy as np
import pandas as pd
import pytest
from price_cases import RULES
from small_cases import calls_of

from bessvpp.errors import DataError
from bessvpp.market.history import EXTRAS, Market

# --- what is known when --------------------------------------------------------------------


def numbered(n_days: int = 5, blocks: int = 96) -> Market:
    """A market of which every value is different."""
    shape = (n_days, blocks)
    n_arrays = 2 + len(EXTRAS)
    values = np.arange(n_arrays * n_days * blocks, dtype=float).reshape(n_arrays, *shape) + 1
    no_trade = np.zeros(shape, bool)
    no_trade[:, blocks // 3] = no_trade[:, -1] = True
    return Market(
        np.datetime64("2024-03-01") + np.arange(n_days),
        values[0],
        np.where(no_trade, np.nan, values[1]),
        no_trade,
        dict(zip(EXTRAS, values[2:], strict=True)),
        is_synthetic=False,
    )


def slow_known(market: Market, now: dt.datetime, rules) -> dict:
    """Block by block: {(date, block): what is known}, from the sentences of the design."""
    known = {}
    for i, date in enumerate(market.dates.tolist()):
        midnight = dt.datetime.combine(date, dt.time())
        results = midnight - dt.timedelta(days=1) + dt.timedelta(minutes=rules.dam_results)
        for b in range(market.n_blocks):
            end = midnight + dt.timedelta(minutes=(b + 1) * market.block_minutes)
            session = midnight
            while session + dt.timedelta(minutes=rules.rtm_session_minutes) < end:
                session += dt.timedelta(minutes=rules.rtm_session_minutes)
            dam, rtm = now >= results, now >= session
            known[date, b] = (
                market.dam_mcp[i, b] if dam else np.nan,
                market.rtm_mcp[i, b] if rtm else np.nan,
                bool(market.rtm_no_trade[i, b]) and rtm,
                *(
                    values[i, b] if (rtm if name.startswith("rtm") else dam) else np.nan
                    for name, values in market.extras.items()
                ),
            )
    return known


@pytest.mark.parametrize("blocks", [24, 96])
@pytest.mark.parametrize("session", [15, 30, 45, 60])
def test_known_at_is_the_slow_loop_over_blocks(blocks, session):
    market = numbered(4, blocks)
    rules = RULES.model_copy(update={"rtm_session_minutes": session, "dam_results": 13 * 60 + 20})
    start = dt.datetime(2024, 2, 29, 13, 20)
    times = [start + dt.timedelta(minutes=m) for m in range(0, 5 * 1440, 97)]
    times += [
        dt.datetime(2024, 3, d, h, m) for d in (1, 3) for h, m in ((0, 0), (13, 19), (13, 20))
    ]
    for now in times:
        view, expected = market.known_at(now, rules), slow_known(market, now, rules)
        arrays = (view.dam_mcp, view.rtm_mcp, view.rtm_no_trade, *view.extras.values())
        for i, date in enumerate(view.dates.tolist()):
            got = np.array([array[i] for array in arrays]).T
            want = np.array([expected.pop((date, b)) for b in range(blocks)], dtype=float)
            np.testing.assert_array_equal(got, want, err_msg=f"{now} {date}")
        for left in expected.values():  # the days that were cut
            assert not left[2]
            assert np.isnan([left[0], left[1], *left[3:]]).all()
        assert not np.isnan(view.dam_mcp[-1]).any()  # and no day too many


def test_the_gates_of_the_design():
    quarter, hour = numbered(), numbered(blocks=24)

    def rtm_known(market, hh, mm):
        view = market.known_at(dt.datetime(2024, 3, 3, hh, mm), RULES)
        return int((~np.isnan(view.rtm_mcp[2]) | view.rtm_no_trade[2]).sum()), len(view.dates)

    assert rtm_known(quarter, 11, 0) == (46, 3)  # DAM gate: block 46, nothing of tomorrow
    assert rtm_known(quarter, 10, 59) == (44, 3)
    assert rtm_known(hour, 10, 29) == (10, 3)
    assert rtm_known(hour, 10, 30) == (11, 3)
    assert rtm_known(quarter, 13, 0) == (54, 4)  # with tomorrow's DAM results


def test_the_dam_gate_of_a_day_is_on_the_day_before():
    rules = RULES.model_copy(update={"dam_gate": 10 * 60 + 45})
    view = numbered().known_at_dam_gate(np.datetime64("2024-03-04"), rules)
    expected = numbered().known_at(dt.datetime(2024, 3, 3, 10, 45), rules)
    pd.testing.assert_frame_equal(view.to_frame(), expected.to_frame())


def test_prices_after_the_gate_are_not_visible():
    market = numbered()
    now = dt.datetime(2024, 3, 3, 11)
    view = market.known_at(now, RULES)
    future = {market.rtm_mcp[2, 46], market.dam_mcp[3, 0], market.extras["rtm_mcv_mw"][2, 46]}
    future |= {market.extras["gdam_mcp"][3, 0]}
    for array in (view.dates, view.dam_mcp, view.rtm_mcp, view.rtm_no_trade, *view.extras.values()):
        assert array.base is None  # no larger array behind it
        assert not future & set(array.ravel().tolist())
    assert not future & set(np.ravel([v for v in vars(view).values() if isinstance(v, float)]))
    assert view.notes == ()
    assert not view.rtm_no_trade[2, 95]


def test_changing_the_future_changes_no_view():
    market, now = numbered(), dt.datetime(2024, 3, 3, 11)
    rtm, dam, no_trade = market.rtm_mcp.copy(), market.dam_mcp.copy(), market.rtm_no_trade.copy()
    rtm[2, 46:] = rtm[3:] = dam[3:] = -1
    no_trade[2, 46:] = True
    other = Market(market.dates, dam, rtm, no_trade, market.extras, False)
    one, two = market.known_at(now, RULES), other.known_at(now, RULES)
    pd.testing.assert_frame_equal(one.to_frame(), two.to_frame())


def test_before_the_first_result_there_is_nothing_to_know():
    market = numbered()
    assert len(market.known_at(dt.datetime(2024, 2, 29, 13), RULES).dates) == 1
    with pytest.raises(DataError, match="nothing is known"):
        market.known_at(dt.datetime(2024, 2, 29, 12, 59), RULES)
    with pytest.raises(ValueError, match="naive"):
        market.known_at(dt.datetime(2024, 3, 2, tzinfo=dt.UTC), RULES)


def test_a_view_of_two_years_takes_no_more_steps_than_one_of_a_month():
    month, years = numbered(30), numbered(730)
    early, late = dt.datetime(2024, 3, 25, 11), dt.datetime(2026, 2, 25, 11)
    few = calls_of(lambda: month.known_at(early, RULES))
    assert calls_of(lambda: years.known_at(late, RULES)) == few < 1000


# --- the object ----------------------------------------------------------------------------


def test_the_frame_comes_back_as_the_market_it_was(tmp_path):
    for market in (numbered(), numbered(blocks=24).days(1, 3)):
        market.to_frame().to_parquet(tmp_path / "market.parquet", index=False)
        frame = pd.read_parquet(tmp_path / "market.parquet")
        assert str(frame["delivery_start"].dt.tz) == "Asia/Kolkata"
        assert len(frame) == len(market.dates) * market.n_blocks
        back = Market.from_frame(frame)
        assert back.dates.tolist() == market.dates.tolist()
        pd.testing.assert_frame_equal(back.to_frame(), market.to_frame())
        assert back.is_synthetic == market.is_synthetic
        with pytest.raises(DataError, match="calendar"):
            Market.from_frame(frame.drop(index=7))


def test_a_market_is_read_only_and_travels_to_workers():
    market = pickle.loads(pickle.dumps(numbered()))
    for array in (market.dates, market.dam_mcp, market.rtm_mcp, market.excluded):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]
    with pytest.raises(TypeError):
        market.extras["dam_mcv_mw"] = market.dam_mcp
    pd.testing.assert_frame_equal(market.to_frame(), numbered().to_frame())


def test_the_caller_keeps_his_own_arrays():
    values = np.ones((1, 24))
    market = Market(np.array(["2024-01-01"], "M8[D]"), values, values, values > 2, {}, False)
    values[0, 0] = 7
    assert market.dam_mcp[0, 0] == 1


def test_no_trade_does_not_exclude_a_day_but_a_missing_price_does():
    market = numbered()
    assert not market.excluded.any()
    dam, rtm = market.dam_mcp.copy(), market.rtm_mcp.copy()
    dam[1, 3] = rtm[3, 5] = np.nan
    holes = Market(market.dates, dam, rtm, market.rtm_no_trade, {}, False)
    assert holes.excluded.tolist() == [False, True, False, True, False]


def test_a_day_outside_the_history_is_an_error_that_names_the_history():
    market = numbered()
    assert market.index_of(dt.date(2024, 3, 3)) == 2
    for date in ("2024-02-29", "2024-03-06"):
        with pytest.raises(DataError, match="2024-03-01 to 2024-03-05"):
            market.index_of(date)


def test_days_that_are_not_consecutive_are_no_market():
    market = numbered()
    with pytest.raises(DataError, match="consecutive"):
        Market(market.dates[[0, 2]], *[market.dam_mcp[:2]] * 2, market.rtm_no_trade[:2], {}, False)
