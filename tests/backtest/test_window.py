"""The days that are settled, and the window read back from a run."""

from __future__ import annotations

import numpy as np
import pytest
from backtest_cases import MARKETS, changed
from small_cases import make_params, make_window

from bessvpp.backtest.window import load_window, settled_days
from bessvpp.errors import DataError, ParameterError


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
