"""The tie-break and the value of energy, by their definitions."""

from __future__ import annotations

import numpy as np

from bessvpp.optimizer.problem import TIE_BREAK_RS_PER_MWH, EnergyValue, tie_break


def test_the_tie_break_is_small_fixed_and_distinct():
    trade = ("dam_sale", "dam_purchase", "rtm_sale", "rtm_purchase")
    flow = [(side, unit) for side in ("charge", "discharge") for unit in range(3)]
    ties = [tie_break(side, 96) for side in trade] + [tie_break(side, 96, i) for side, i in flow]
    assert np.min(ties) > 0
    assert np.max(ties) <= TIE_BREAK_RS_PER_MWH == 0.01
    assert len(np.unique(np.round(ties, 9))) == 10 * 96
    np.testing.assert_array_equal(tie_break("charge", 24), tie_break("charge", 96)[:24])
    # Moving a trade from one block, side or unit to another is never lost in rounding.
    exchanges = np.array([[first - second for second in tie] for tie in ties for first in tie])
    assert np.abs(exchanges[exchanges != 0]).min() > 1e-8


def test_an_energy_value_is_the_least_of_its_lines():
    value = EnergyValue(np.array([10.0, 2.0]), np.array([0.0, 40.0]))
    assert value(np.array([1.0, 5.0, 10.0])).tolist() == [10.0, 50.0, 60.0]
    assert float(value(3.0)) == 30.0
