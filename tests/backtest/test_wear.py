"""Cycles of realised energy by rainflow counting, and their wear by depth."""

from __future__ import annotations

import numpy as np
import pytest
from backtest_cases import MARKETS
from small_cases import fleet, make_params, make_window

from bessvpp.backtest.simulate import CEILING, run_backtest
from bessvpp.backtest.summary import summarise
from bessvpp.backtest.wear import by_depth, cycles_of, energy_path, wear_by_depth_rs
from bessvpp.params.study import BacktestParams, DepthWear

TABLE = [
    {"depth": 0.2, "rs_per_mwh_discharged": 100.0},
    {"depth": 0.6, "rs_per_mwh_discharged": 500.0},
]
RATES = tuple(DepthWear(**point) for point in TABLE)


def test_cycles_of_the_standards_own_example():
    """ASTM E1049-85, figure 6: peaks and valleys, and the cycles that it counts."""
    ranges, counts = cycles_of(np.array([-2.0, 1, -3, 5, -1, 3, -4, 4, -2]))
    found = {r: sorted(counts[ranges == r].tolist()) for r in np.unique(ranges).tolist()}
    assert found == {3.0: [0.5], 4.0: [0.5, 1.0], 6.0: [0.5], 8.0: [0.5, 0.5], 9.0: [0.5]}


def test_wear_by_depth_by_hand():
    (unit,) = make_params().bess.units
    # up 80, down 120, up 40 of 200 MWh: depths of 0.4, 0.6 and 0.2, half a cycle each
    ranges, counts = cycles_of(np.array([100.0, 140.0, 180.0, 180.0, 60.0, 100.0]))
    np.testing.assert_allclose(ranges, [80, 120, 40])
    # rates 300, 500 and 100, on 0.92 of what is stored
    by_hand = 0.92 * 0.5 * (80 * 300 + 120 * 500 + 40 * 100)
    assert wear_by_depth_rs(unit, ranges, counts, RATES) == pytest.approx(by_hand)
    # level beyond the table
    deep, shallow = np.array([160.0]), np.array([10.0])
    one = np.ones(1)
    assert wear_by_depth_rs(unit, deep, one, RATES) == pytest.approx(0.92 * 160 * 500)
    assert wear_by_depth_rs(unit, shallow, one, RATES) == pytest.approx(0.92 * 10 * 100)


def test_cycles_are_classed_by_depth_and_dust_is_none():
    found = by_depth(np.array([0.4, 0.6, 0.2, 0.61, 1.0]), np.array([0.5, 0.5, 0.5, 1.0, 1.0]))
    assert [(c["depth_to"], c["full"], c["half"]) for c in found] == [
        (pytest.approx(0.2), 0, 1),
        (pytest.approx(0.4), 0, 1),
        (pytest.approx(0.6), 0, 1),
        (pytest.approx(0.7), 1, 0),
        (1.0, 1, 0),
    ]
    flat = 100 + 1e-8 * np.array([0.0, 1, 0, 1, 0, 1])
    ranges, counts = cycles_of(flat)
    assert by_depth(ranges / 200, counts) == []


def test_a_backtest_tells_cycles_and_wear_of_every_policy_by_unit():
    few = {"policies": ["nothing_committed", "yesterday"], "wear_by_depth": TABLE}
    window = make_window(fleet(**few), MARKETS["ordinary"])
    result = run_backtest(window)
    summary = summarise(window, result)
    assert set(summary["wear"]) == {"nothing_committed", "yesterday", CEILING}
    assert "warranty" not in summary
    rows = result.daily.groupby(["policy", "settlement"])["wear_rs"].sum()
    units = window.params.bess.units
    for (policy, way), days in result.settled.items():
        found = summary["wear"][policy][way]
        flat = sum(found[unit.name]["wear_flat_rs"] for unit in units)
        assert flat == pytest.approx(rows[policy, way])
        for i, unit in enumerate(units):
            path, of_unit = energy_path(unit, days, i, 1.0), found[unit.name]
            assert path[0] == unit.e_start_mwh
            np.testing.assert_array_equal(path[24::24], [day.e_end_mwh[i] for day in days])
            moved = np.abs(np.diff(path)).sum()
            assert of_unit["equivalent_full_cycles"] == pytest.approx(
                moved / 2 / unit.e_nameplate_mwh, abs=1e-6
            )
            full = sum(c["full"] + c["half"] / 2 for c in of_unit["cycles_by_depth"])
            assert full >= of_unit["equivalent_full_cycles"]
            stored = of_unit["equivalent_full_cycles"] * unit.e_nameplate_mwh * unit.eta_discharge
            assert 100 * stored - 1 <= of_unit["wear_by_depth_rs"] <= 500 * stored + 1

    plain = make_window(fleet(**few | {"wear_by_depth": []}), MARKETS["ordinary"])
    without = summarise(plain, result)
    assert "wear" not in without
    assert without["policies"] == summary["policies"]


def test_a_table_out_of_order_is_refused():
    fields = make_params().backtest.model_dump() | {"wear_by_depth": TABLE[::-1]}
    with pytest.raises(ValueError, match=r"depths must rise strictly, has \[0\.6, 0\.2\]"):
        BacktestParams.model_validate(fields)
