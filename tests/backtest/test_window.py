"""The days that are settled, and the window read back from a run."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from backtest_cases import MARKETS, changed
from recourse_cases import gate_errors
from small_cases import make_market, make_params, make_window

from bessvpp.backtest.policies import nothing_committed
from bessvpp.backtest.simulate import settle_chain
from bessvpp.backtest.window import load_window, settled_days
from bessvpp.compute.cache import Cache
from bessvpp.errors import DataError, ParameterError
from bessvpp.settlement.day import CAUSAL
from bessvpp.settlement.gate_law import surprise_law


def test_days_without_prices_to_settle_at_are_not_settled():
    holed = changed(MARKETS["ordinary"], dam=(10, 4, np.nan), rtm=(11, 0, np.nan))
    kept = settled_days(holed, holed.dates[8:])
    np.testing.assert_array_equal(kept, holed.dates[[8, 9]])
    with pytest.raises(DataError, match="nothing to settle"):
        settled_days(holed, holed.dates[10:])


def test_a_day_that_is_not_in_the_window_is_refused():
    window = make_window(make_params(), MARKETS["ordinary"])
    assert window.place_of(str(window.days[2])) == 2
    with pytest.raises(ParameterError, match="'2023-01-01' is not a settled test day"):
        window.place_of("2023-01-01")


def test_the_window_of_a_run_is_the_one_that_was_written(study, study_run):
    window = load_window(study_run, study.params)
    assert window.cache.folder == study_run.path / "cache"
    assert window.expected_rtm is None
    np.testing.assert_array_equal(window.days, study.window.days)
    for fan in ("original", "recalibrated"):
        for back, day in zip(window.fans[fan], study.window.fans[fan], strict=True):
            np.testing.assert_array_equal(back.dam, day.dam)
            np.testing.assert_array_equal(back.rtm, day.rtm)
    for back, day in zip(window.medians, study.window.medians, strict=True):
        np.testing.assert_array_equal(back.dam, day.dam)
        np.testing.assert_array_equal(back.rtm, day.rtm)
    one = study.params.model_copy(
        update={"backtest": study.params.backtest.model_copy(update={"fan": "original"})}
    )
    window = load_window(study_run, one)
    assert list(window.fans) == ["original"]
    expected = study.original["dam"].on(window.days).level(0.5)
    np.testing.assert_array_equal([day.dam[0] for day in window.medians], expected)


def test_a_kept_value_of_energy_is_that_of_its_prices_battery_and_outages(tmp_path):
    """What is read back is what would be worked out anew, in whatever order it is asked for."""
    market = MARKETS["ordinary"]
    outages = [{"start": f"{market.dates[9]} 06:00", "end": f"{market.dates[9]} 22:00"}]
    kept, start = Cache(tmp_path), np.array([100.0])
    slopes = []
    for wear, date, day in ((310.0, 8, 1), (310.0, 8, 2), (310.0, 9, 1), (90.0, 8, 1)):
        unit = {"outages": outages, "wear_rs_per_mwh_discharged": wear}
        window = make_window(make_params(unit, terminal="value"), market)
        problem = window.problem(start).on(market.dates[date])
        anew = window.with_energy_value(problem, day).energy_values[0].slope_rs_per_mwh
        cached = replace(window, cache=kept).with_energy_value(problem, day)
        np.testing.assert_array_equal(cached.energy_values[0].slope_rs_per_mwh, anew)
        slopes.append(anew)
    assert all(not np.array_equal(one, slopes[0]) for one in slopes[1:])


def test_a_kept_value_of_energy_is_that_of_its_fees(tmp_path):
    kept, start, slopes = Cache(tmp_path), np.array([100.0]), []
    for fee in (20.0, 500.0):
        params = make_params(terminal="value", fee_dam_rs_per_mwh=fee)
        window = replace(make_window(params, MARKETS["ordinary"]), cache=kept)
        found = window.with_energy_value(window.problem(start, 1), 1).energy_values[0]
        slopes.append(found.slope_rs_per_mwh.max())
    assert slopes[0] != slopes[1]


def test_days_are_settled_by_bids_each_from_what_the_last_one_left():
    market = make_market(30)
    params = make_params(recourse="dynamic", terminal="free")
    window = make_window(params, market, first=24)
    expected = gate_errors(market)
    laws = [surprise_law(market, market.dates, expected, params.market, day) for day in window.days]
    ready = replace(window, expected_rtm=expected[24:], laws=laws)
    nothing = [nothing_committed(ready, day, ready.problem(np.array([100.0]))) for day in range(6)]
    days = settle_chain(ready, nothing, CAUSAL)
    for before, after in pairwise(days):
        np.testing.assert_array_equal(before.e_end_mwh, after.e_start_mwh)
    quantities = settle_chain(with_recourse(ready, "expected"), nothing, CAUSAL)
    assert any(
        np.abs(one.rtm_mw - two.rtm_mw).max() > 1 for one, two in zip(days, quantities, strict=True)
    )
    # what the fourth day brings changes nothing on the three before
    other = replace(
        ready,
        market=changed(market, rtm=(27, slice(None), 9000.0)),
    )
    again = settle_chain(other, nothing, CAUSAL)
    for one, two in zip(days[:3], again[:3], strict=True):
        np.testing.assert_array_equal(one.rtm_mw, two.rtm_mw)
    assert np.abs(days[3].rtm_mw - again[3].rtm_mw).max() > 1
    with pytest.raises(ValueError, match="how the RTM surprises"):
        settle_chain(replace(ready, laws=()), nothing, CAUSAL)


def with_recourse(window, recourse: str):
    backtest = window.params.backtest.model_copy(update={"recourse": recourse})
    return replace(window, params=window.params.model_copy(update={"backtest": backtest}))
