"""The law of the RTM's surprises, from the days that every gate of a day knows."""

from __future__ import annotations

import numpy as np
import pytest
from backtest_cases import changed
from recourse_cases import gate_errors
from small_cases import make_market, make_params

from bessvpp.errors import DataError
from bessvpp.settlement.gate_law import law_days, surprise_law


def test_a_law_is_learnt_up_to_the_day_before_yesterday():
    market, rules = make_market(40), make_params().market
    expected, day = gate_errors(market), market.dates[30]
    law = surprise_law(market, market.dates, expected, rules, day)
    np.testing.assert_allclose(law.spread_rs.mean(), 600, rtol=0.1)
    assert (law.low, law.high) == (0.0, 10_000.0)
    later = expected.copy()
    later[29:] = np.random.default_rng(1).uniform(0, 10_000, later[29:].shape)
    other = surprise_law(market, market.dates, later, rules, day)
    np.testing.assert_array_equal(law.transition, other.transition)
    np.testing.assert_array_equal(law.spread_rs, other.spread_rs)
    later[28] += 900
    other = surprise_law(market, market.dates, later, rules, day)
    assert np.abs(law.spread_rs - other.spread_rs).max() > 1
    with pytest.raises(DataError, match="only 3 days out of sample"):
        surprise_law(market, market.dates, expected, rules, market.dates[4])


def test_days_that_teach_a_law_by_hand():
    """Before the test days all count, of the test days those that can be settled."""
    market = changed(make_market(12), rtm=([5, 8], 3, np.nan))
    dates = market.dates
    found = law_days(market, dates[4], dates[7:], dates[10])
    np.testing.assert_array_equal(found, dates[[4, 5, 6, 7, 9]])
    found = law_days(market, dates[4], dates[8:], dates[10])  # the first settled one is the ninth
    np.testing.assert_array_equal(found, dates[[4, 5, 6, 7, 8, 9]])
