"""Physics and money, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from small_cases import CAP, SECOND_UNIT, TAPER, UNIT, fleet, make_params

from bessvpp.battery import (
    allowed_blocks,
    available_share,
    energies_with_a_target,
    energy_path,
    follow,
    may_exceed_connection,
    power_limits,
    reach_mwh,
    schedule_violations,
    share_by_power,
    tapered_mw,
)
from bessvpp.ledger import deviation_rate_rs_per_mwh, flow_cost_rs_per_mwh, settle
from bessvpp.params.bess import ClockWindow
from bessvpp.params.market import DeviationRate


def blocks(n_blocks: int = 24, **mw: float) -> np.ndarray:
    """(1, T) net power; ``t3=50`` sells 50 MW in block 3."""
    net = np.zeros((1, n_blocks))
    for name, value in mw.items():
        net[0, int(name[1:])] = value
    return net


def windows(*spans: tuple[str, str]) -> list[dict[str, str]]:
    return [{"start": start, "end": end} for start, end in spans]


# ------------------------------------------------------------------------------ physics


def test_energy_goes_in_times_its_efficiency_and_out_divided_by_its_own():
    unit = make_params().bess.units[0]
    # 40 MW in at .96 for an hour stores 38.4; 46 MW out at .92 draws 50.
    path = energy_path(unit, np.array([-40.0, 46.0, 0.0]), 100.0, 1.0)
    assert path == pytest.approx([138.4, 88.4, 88.4])
    # A quarter of an hour moves a quarter.
    path = energy_path(unit, np.array([-40.0, 46.0, 0.0]), 100.0, 0.25)
    assert path == pytest.approx([109.6, 97.1, 97.1])


def test_a_block_is_allowed_only_where_it_lies_wholly_inside_a_window():
    spans = (ClockWindow(start="10:00", end="15:00"),)
    assert np.flatnonzero(allowed_blocks(spans, 24)).tolist() == [10, 11, 12, 13, 14]
    assert np.flatnonzero(allowed_blocks(spans, 96)).tolist() == list(range(40, 60))
    half = (ClockWindow(start="10:30", end="12:30"),)
    assert np.flatnonzero(allowed_blocks(half, 24)).tolist() == [11]
    assert np.flatnonzero(allowed_blocks(half, 96)).tolist() == list(range(42, 50))
    two = (ClockWindow(start="00:00", end="01:00"), ClockWindow(start="23:00", end="24:00"))
    assert np.flatnonzero(allowed_blocks(two, 24)).tolist() == [0, 23]
    assert allowed_blocks((), 24).all()


def test_windows_limit_their_own_direction_alone():
    unit = make_params(
        {
            "charge_windows": windows(("10:00", "15:00")),
            "discharge_windows": windows(("18:00", "22:00")),
        }
    ).bess.units[0]
    charge, discharge = power_limits(unit, 24)
    assert np.flatnonzero(charge).tolist() == [10, 11, 12, 13, 14]
    assert np.flatnonzero(discharge).tolist() == [18, 19, 20, 21]
    assert set(charge) == set(discharge) == {0.0, 50.0}


def test_charge_may_have_a_power_of_its_own():
    slow = make_params({"p_charge_max_mw": 25.0}).bess
    charge, discharge = power_limits(slow.units[0], 24)
    assert set(charge) == {25.0}
    assert set(discharge) == {50.0}
    start = np.array([100.0])
    assert schedule_violations(slow, blocks(t3=-25.0, t5=50.0), start, 1.0).max() == 0
    violation = schedule_violations(slow, blocks(t3=-30.0, t5=50.0), start, 1.0)
    assert violation[0, 3] == pytest.approx(5.0)
    done = follow(slow, blocks(t3=-30.0, t5=50.0), start, 1.0)
    assert done.undelivered_mw[[3, 5]] == pytest.approx([-5.0, 0.0])
    # 25 MW in six hours at .96 bring 144 MWh.
    hours = {"p_charge_max_mw": 25.0, "charge_windows": windows(("10:00", "16:00"))}
    unit = make_params(hours | {"e_target_mwh": 180.0}).bess.units[0]
    assert energies_with_a_target(unit, 24) == pytest.approx((36.0, 180.0))
    assert reach_mwh(unit, 20.0, 24) == pytest.approx((20.0, 164.0))
    assert reach_mwh(unit, 20.0, 96, import_limit_mw=10.0) == pytest.approx((20.0, 77.6))


def test_self_discharge_takes_a_share_of_what_is_above_the_least_by_hand():
    """80 MWh above 20, a tenth an hour: 72, then 64.8 and 9.6 charged, then a sale of 9.2."""
    unit = make_params({"self_discharge_per_hour": 0.1}).bess.units[0]
    path = energy_path(unit, np.array([0.0, -10.0, 9.2]), 100.0, 1.0)
    assert path == pytest.approx([92.0, 94.4, 20 + 74.4 * 0.9 - 10])
    quarters = energy_path(unit, np.zeros(4), 100.0, 0.25)
    assert quarters[-1] == pytest.approx(92.0)
    idle = energy_path(unit, np.zeros(5), 20.0, 1.0)
    assert idle == pytest.approx(np.full(5, 20.0))
    # what 20 MWh would lose, 2 MWh an hour, is drawn and charged at .96
    assert unit.auxiliary_mw == pytest.approx(2 / 0.96)
    least, most = reach_mwh(unit, 100.0, 24, import_limit_mw=0.0, export_limit_mw=0.0)
    assert (least, most) == pytest.approx((20 + 80 * 0.9**24,) * 2)


def test_a_target_is_reached_from_less_where_less_is_lost_on_the_way():
    hours = {"charge_windows": windows(("10:00", "12:00")), "e_target_mwh": 110.0}
    unit = make_params(hours | {"self_discharge_per_hour": 0.01}).bess.units[0]
    # 90 above at the end were 90 / .99^12 at noon; an hour's charge is 48, the second loses first
    at_noon = 90 / 0.99**12
    at_ten = ((at_noon - 48) / 0.99 - 48) / 0.99
    least, _ = energies_with_a_target(unit, 24)
    assert least == pytest.approx(20 + at_ten / 0.99**10)


def test_the_auxiliary_load_has_its_part_of_the_connection():
    bess = make_params({"aux_mw": 2.0}).bess
    net = blocks(t3=-50.0, t7=50.0)
    violation = schedule_violations(bess, net, np.array([100.0]), 1.0)
    assert violation[0, [3, 7]] == pytest.approx([2.0, 0.0])
    done = follow(bess, net, np.array([100.0]), 1.0)
    assert done.undelivered_mw[[3, 7]] == pytest.approx([-2.0, 0.0])
    with pytest.raises(ValueError, match="auxiliary load of 60 MW leaves nothing"):
        make_params({"aux_mw": 60.0})


def test_a_block_that_an_outage_touches_has_what_it_leaves_by_hand():
    outages = [
        {"start": "2025-03-04 10:30", "end": "2025-03-04 13:00", "power_share": 0.4},
        {"start": "2025-03-04 12:00", "end": "2025-03-05 02:00"},
    ]
    bess = fleet(units=[UNIT, SECOND_UNIT | {"outages": outages}]).bess
    days = [np.datetime64(day) for day in ("2025-03-03", "2025-03-04", "2025-03-05")]
    assert available_share(bess, days[:1], 24) is None
    share = available_share(bess, days[1:], 24)
    assert share[0].tolist() == [1.0] * 48
    assert share[1].tolist() == [1.0] * 10 + [0.4] * 2 + [0.0] * 14 + [1.0] * 22
    quarters = available_share(bess, days[1:2], 96)
    assert quarters[1, 41:53].tolist() == [1.0] + [0.4] * 6 + [0.0] * 5
    turned = fleet(units=[UNIT, SECOND_UNIT | {"outages": outages[::-1]}]).bess
    np.testing.assert_array_equal(available_share(turned, days[1:], 24), share)
    mw = np.array([30.0] * 24)
    shared = share_by_power(bess, mw, share[:, :24])[1, [0, 10, 12]]
    assert shared == pytest.approx([30 * 20 / 70, 30 * 8 / 58, 0.0])


def test_an_outage_leaves_a_schedule_undelivered():
    unit = {"outages": [{"start": "2025-03-04 05:00", "end": "2025-03-04 06:00"}]}
    bess = make_params(unit).bess
    left = available_share(bess, [np.datetime64("2025-03-04")], 24)
    net, start = blocks(t3=-50.0, t5=30.0, t7=30.0), np.array([100.0])
    assert schedule_violations(bess, net, start, 1.0, None, left)[0, 5] == pytest.approx(30.0)
    assert follow(bess, net, start, 1.0, left).undelivered_mw[[3, 5, 7]].tolist() == [0, 30, 0]
    assert reach_mwh(bess.units[0], 170.0, 24, available=np.zeros(24)) == (170.0, 170.0)
    hours = {"charge_windows": windows(("10:00", "12:00")), "e_target_mwh": 110.0}
    late = make_params(hours).bess.units[0]
    assert energies_with_a_target(late, 24, available=np.eye(24)[10]) == pytest.approx((62, 180))


def test_power_tapers_with_what_a_block_ends_with_by_hand():
    """From 120 MWh an hour at 50 MW leads to 168; there charge may be 35 - 1.35 x 8 = 24.2 MW."""
    bess = make_params(TAPER).bess
    unit, start = bess.units[0], np.array([120.0])
    violation = schedule_violations(bess, blocks(t3=-50.0), start, 1.0)
    assert violation[0, 3] == pytest.approx(50 - 24.2)
    # c = 50 - .75 (120 + .96 c - 140) = 65 - .72 c, at 156 MWh
    done = follow(bess, blocks(t3=-50.0), start, 1.0)
    assert done.charge_mw[0, 3] == pytest.approx(65 / 1.72)
    charge, discharge = tapered_mw(unit, np.array([120.0, 60.0]), 1.0)
    assert charge[0] == pytest.approx(65 / 1.72)
    # d = 6 + 1.2 (60 - d / .92 - 20) = 54 - 1.2 d / .92, at 34.5 MWh
    assert discharge[1] == pytest.approx(54 / (1 + 1.2 / 0.92))
    done = follow(bess, blocks(t3=50.0), np.array([60.0]), 1.0)
    assert done.discharge_mw[0, 3] == pytest.approx(discharge[1])
    net = done.discharge_mw - done.charge_mw
    assert schedule_violations(bess, net, np.array([60.0]), 1.0).max() < 1e-9


def test_a_target_near_full_takes_longer_where_charge_tapers():
    """In two hours to 180 MWh: 8 MW in the second lead from 172.32, where 18.368 MW are left."""
    hours = {"charge_windows": windows(("10:00", "12:00")), "e_target_mwh": 180.0}
    unit = make_params(TAPER | hours | {"e_start_mwh": 160.0}).bess.units[0]
    before = 180 - 0.96 * 8
    least, _ = energies_with_a_target(unit, 24)
    assert least == pytest.approx(before - 0.96 * (35 - 1.35 * (before - 160)))
    _, most = reach_mwh(unit, least, 24)
    assert most == pytest.approx(180.0)


def test_a_target_that_drains_away_after_the_last_charge_is_in_reach_of_no_energy():
    """At 1 % an hour 170 MWh at midnight are 209 at one o'clock, of a window up to 180."""
    drained = {"self_discharge_per_hour": 0.01, "e_target_mwh": 170.0, "e_start_mwh": 170.0}
    early = {"charge_windows": windows(("00:00", "01:00"))}
    unit = make_params().bess.units[0].model_copy(update=drained)
    early = make_params(early).bess.units[0].model_copy(update=drained)
    assert 20 + 150 / 0.99**23 > 180
    assert energies_with_a_target(early, 24) == (180.0, 180.0)
    assert reach_mwh(early, 180.0, 24)[1] == pytest.approx(20 + 160 * 0.99**23)
    assert energies_with_a_target(unit, 24)[0] < 180  # with every hour to charge in


def test_a_flat_table_is_no_taper():
    flat = [{"e_mwh": 0.0, "p_mw": 50.0}, {"e_mwh": 200.0, "p_mw": 50.0}]
    unit = make_params({"charge_taper": flat, "discharge_taper": flat}).bess.units[0]
    assert unit.is_ideal
    assert unit.charge_lines == unit.discharge_lines == ()


def test_a_battery_of_twice_the_energy_tapers_at_twice_the_energy():
    larger = make_params(TAPER).bess.with_energy(400.0).units[0]
    # a taper that began at 140 and 160 of 200 MWh begins at 280 and 320 of 400
    charge, _ = tapered_mw(larger, np.array([280.0, 320.0]), 1e-9)
    assert charge == pytest.approx([50.0, 35.0])


def test_units_share_sales_by_their_discharge_and_purchases_by_their_charge():
    bess = fleet(units=[UNIT | {"p_charge_max_mw": 30.0}, SECOND_UNIT]).bess
    shared = share_by_power(bess, np.array([35.0, -35.0, 0.0]))
    np.testing.assert_allclose(shared, [[25.0, -21.0, 0.0], [10.0, -14.0, 0.0]])
    assert may_exceed_connection(bess)
    assert not may_exceed_connection(make_params({"p_charge_max_mw": 25.0}).bess)
    assert may_exceed_connection(make_params({"p_charge_max_mw": 60.0}).bess)


@pytest.mark.parametrize(
    ("unit", "net", "block", "excess_mwh"),
    [
        ({}, blocks(t3=50.0), None, 0.0),
        # 100 MWh less 73.6 / .92 = 80 leaves 20, the least; 4.6 MW more draw 5 MWh more.
        ({}, blocks(t3=50.0, t4=23.6), None, 0.0),
        ({}, blocks(t3=50.0, t4=28.2), 4, 5.0),
        # 100 MWh plus .96 * 50 * 2 is 196: 16 above the most.
        ({}, blocks(t3=-50.0, t4=-50.0), 4, 16.0),
        ({}, blocks(t3=53.0), 3, 3.0),
        ({}, blocks(t3=-53.0), 3, 3.0),
        ({"charge_windows": windows(("10:00", "15:00"))}, blocks(t3=-10.0), 3, 10.0),
        ({"charge_windows": windows(("10:00", "15:00"))}, blocks(t10=-10.0), None, 0.0),
        ({"discharge_windows": windows(("18:00", "22:00"))}, blocks(t3=10.0), 3, 10.0),
        # .3 cycles of 200 MWh are 60 MWh discharged: the second block takes it 10 beyond.
        ({"max_cycles_per_day": 0.3}, blocks(t3=40.0, t9=30.0), 9, 10.0),
        ({"max_cycles_per_day": 0.35}, blocks(t3=40.0, t9=30.0), None, 0.0),
        ({"max_cycles_per_day": 0.1}, blocks(t3=-40.0), None, 0.0),
    ],
)
def test_every_rule_that_a_schedule_breaks_is_found_in_its_block(unit, net, block, excess_mwh):
    bess = make_params(unit).bess
    violation = schedule_violations(bess, net, np.array([100.0]), 1.0)
    assert violation.max() == pytest.approx(excess_mwh, abs=1e-9)
    if block is not None:
        assert int(np.flatnonzero(violation[0] > 1e-9)[0]) == block


def test_a_schedule_that_does_not_end_where_it_must_is_found():
    bess = make_params().bess
    start, net = np.array([100.0]), blocks(t3=-50.0)
    for end, distance in ((148.0, 0.0), (100.0, 48.0), (150.0, 2.0)):
        violation = schedule_violations(bess, net, start, 1.0, np.array([end]))
        assert violation[0, -1] == pytest.approx(distance, abs=1e-9)
        assert violation[0, :-1].max() == 0
    assert schedule_violations(bess, net, start, 1.0, np.array([np.nan])).max() == 0
    assert schedule_violations(bess, net, start, 1.0, None).max() == 0


def test_each_unit_is_judged_by_its_own_limits():
    bess = fleet().bess
    net = np.vstack([blocks(t3=20.0), blocks(t3=20.0)])
    # B holds 15 MWh: 20 / .94 = 21.28 would leave -6.28, 8.28 below its least of 2.
    violation = schedule_violations(bess, net, np.array([100.0, 15.0]), 1.0)
    assert violation[0].max() == 0
    assert violation[1].max() == pytest.approx(20 / 0.94 - 13)


def test_a_plant_follows_a_feasible_schedule_to_the_letter():
    bess = fleet().bess
    net = np.vstack([blocks(t2=-30.0, t7=45.0, t9=-11.0), blocks(t2=9.0, t11=-8.0)])
    start = np.array([100.0, 15.0])
    assert schedule_violations(bess, net, start, 1.0).max() == 0
    done = follow(bess, net, start, 1.0)
    np.testing.assert_allclose(done.discharge_mw - done.charge_mw, net, atol=1e-12)
    assert np.abs(done.undelivered_mw).max() < 1e-12
    for i, unit in enumerate(bess.units):
        expected = energy_path(unit, net[i], start[i], 1.0)
        np.testing.assert_allclose(done.energy_mwh[i], expected, atol=1e-9)


def test_what_an_empty_battery_cannot_sell_is_undelivered():
    bess = make_params().bess
    # 80 usable MWh give 73.6 at the grid: 50 in the first block, 23.6 in the second.
    done = follow(bess, blocks(t3=50.0, t4=50.0, t5=50.0), np.array([100.0]), 1.0)
    assert done.discharge_mw[0, 3:6] == pytest.approx([50.0, 23.6, 0.0])
    assert done.undelivered_mw[3:6] == pytest.approx([0.0, 26.4, 50.0])
    assert done.energy_mwh[0, -1] == pytest.approx(20.0)


def test_what_a_full_battery_cannot_take_is_undelivered_with_the_other_sign():
    bess = make_params().bess
    # 80 MWh of room take 80 / .96 = 83.33 at the grid.
    done = follow(bess, blocks(t3=-50.0, t4=-50.0), np.array([100.0]), 1.0)
    assert done.charge_mw[0, 3:5] == pytest.approx([50.0, 80 / 0.96 - 50])
    assert done.undelivered_mw[3:5] == pytest.approx([0.0, 80 / 0.96 - 100])
    assert done.energy_mwh[0, -1] == pytest.approx(180.0)


def test_following_stops_at_windows_and_at_the_cycle_limit():
    closed = make_params({"charge_windows": windows(("10:00", "15:00"))}).bess
    done = follow(closed, blocks(t3=-10.0, t12=-10.0), np.array([100.0]), 1.0)
    assert done.charge_mw[0, [3, 12]] == pytest.approx([0.0, 10.0])
    assert done.undelivered_mw[3] == pytest.approx(-10.0)
    worn = make_params({"max_cycles_per_day": 0.3}).bess
    done = follow(worn, blocks(t3=40.0, t9=30.0, t20=5.0), np.array([100.0]), 1.0)
    assert done.discharge_mw[0, [3, 9, 20]] == pytest.approx([40.0, 20.0, 0.0], abs=1e-9)
    # Quarter hours: .3 cycles are 60 MWh, which 80 MW-quarters of an hour at 50 MW exceed.
    done = follow(worn, np.full((1, 96), 50.0), np.array([180.0]), 0.25)
    assert 0.25 * done.discharge_mw.sum() == pytest.approx(60.0)


def test_a_target_can_be_reached_from_what_a_day_of_charging_lacks_of_it():
    # 3 MW in five hours at .96 bring 14.4 MWh.
    unit = make_params({"p_max_mw": 3.0, "charge_windows": windows(("10:00", "15:00"))}).bess.units[
        0
    ]
    assert energies_with_a_target(unit, 24) == pytest.approx((85.6, 180.0))
    assert energies_with_a_target(unit, 96) == pytest.approx((85.6, 180.0))
    assert energies_with_a_target(make_params().bess.units[0], 96) == (20.0, 180.0)


def test_a_plant_follows_no_further_than_its_connection_lets_it():
    bess = fleet(connection_limit_mw=60.0).bess
    both = np.vstack([blocks(t3=50.0, t5=-30.0, t7=50.0), blocks(t3=20.0, t5=-10.0, t7=-15.0)])
    start = np.array([170.0, 30.0])
    violation = schedule_violations(bess, both, start, 1.0)
    assert violation[:, 3] == pytest.approx([10.0, 10.0])  # 70 MW through 60
    done = follow(bess, both, start, 1.0)
    assert done.discharge_mw[:, 3] == pytest.approx([50 * 60 / 70, 20 * 60 / 70])
    assert done.undelivered_mw[[3, 5, 7]] == pytest.approx([10.0, 0.0, 0.0])


def test_no_schedule_however_wild_takes_a_followed_battery_out_of_its_bounds():
    rng = np.random.default_rng(0)
    bess = fleet(
        units=[
            UNIT | TAPER | {"max_cycles_per_day": 0.9, "self_discharge_per_hour": 0.02},
            SECOND_UNIT | {"aux_mw": 0.4},
        ],
        connection_limit_mw=55.0,
    ).bess
    for _ in range(50):
        wild = rng.normal(0, 60, (2, 96))
        start = np.array([rng.uniform(20, 180), rng.uniform(2, 38)])
        done = follow(bess, wild, start, 0.25)
        net = done.discharge_mw - done.charge_mw
        assert schedule_violations(bess, net, start, 0.25).max() < 1e-9
        assert np.minimum(done.charge_mw, done.discharge_mw).max() == 0
        np.testing.assert_allclose(done.undelivered_mw, (wild - net).sum(axis=0), atol=1e-9)


# ------------------------------------------------------------------------------ money


def test_the_deviation_rate_is_the_higher_price_or_the_mean_of_three_and_capped():
    costs = make_params().market
    dam, rtm = np.array([4000.0, 4000.0, 4000.0]), np.array([3000.0, 7000.0, np.nan])
    assert deviation_rate_rs_per_mwh(costs, dam, rtm).tolist() == [4000.0, 7000.0, 4000.0]
    mean = DeviationRate(rule="mean_of_three", ancillary_rs_per_mwh=5000.0, max_rs_per_mwh=5200.0)
    costs = costs.model_copy(update={"dsm_rate": mean})
    # (4000 + 3000 + 5000) / 3 = 4000; (4000 + 7000 + 5000) / 3 = 5333, capped; NaN counts DAM.
    rates = deviation_rate_rs_per_mwh(costs, dam, rtm)
    assert rates == pytest.approx([4000.0, 5200.0, 13_000 / 3])


def test_flow_costs_add_the_flow_fee_the_scheduling_and_the_expected_error():
    costs = make_params().market
    flow = flow_cost_rs_per_mwh(costs, np.array([4000.0]), np.array([6000.0]))
    assert flow == pytest.approx([7.0 + 1.8 + 0.02 * 6000])


def a_day(**changes):
    """Two quarter-hour blocks that matter: buy 40 in the DAM, sell 30 and 10 on."""
    quiet = np.zeros(96)
    case = {
        "dam": quiet + 1000.0,
        "rtm": quiet + 1500.0,
        "dam_mw": quiet.copy(),
        "rtm_mw": quiet.copy(),
        "charge_mw": np.zeros((1, 96)),
        "discharge_mw": np.zeros((1, 96)),
    }
    case["dam"][[4, 70]] = 2000.0, 9000.0
    case["rtm"][[4, 70]] = 2500.0, 8000.0
    case["dam_mw"][[4, 70]] = -40.0, 30.0
    case["rtm_mw"][[4, 70]] = 5.0, -8.0
    case["charge_mw"][0, 4] = 35.0
    case["discharge_mw"][0, 70] = 22.0
    return case | changes


def test_a_day_settled_by_hand():
    params = make_params()
    ledger = settle(params.bess, params.market, 0.25, **a_day())
    # A quarter of an hour each.
    assert ledger.dam_revenue_rs == pytest.approx((-40 * 2000 + 30 * 9000) / 4)
    assert ledger.rtm_revenue_rs == pytest.approx((5 * 2500 - 8 * 8000) / 4)
    assert ledger.fee_dam_rs == pytest.approx(20 * (40 + 30) / 4)
    assert ledger.fee_rtm_rs == pytest.approx(33 * (5 + 8) / 4)
    assert ledger.fee_flow_rs == pytest.approx(7 * (35 + 22) / 4)
    assert ledger.scheduling_rs == pytest.approx(2000 + 1.8 * (35 + 22) / 4)
    assert ledger.wear_rs == pytest.approx(310 * 22 / 4)
    # The expected execution error, at the higher price of each block.
    assert ledger.deviation_rs == pytest.approx(0.02 * (35 * 2500 + 22 * 9000) / 4)
    # 47,500 - 12,875 - 350 - 107.25 - 99.75 - 2025.65 - 1705 - 1427.5
    assert ledger.net_rs == pytest.approx(28_909.85)


def test_the_auxiliary_load_pays_the_deviation_rate_or_its_tariff_by_hand():
    """0.6 MW all day: at the dearer market's price of each block, or at Rs 7,000 a MWh."""
    params = make_params({"aux_mw": 0.6})
    books = settle(params.bess, params.market, 0.25, **a_day())
    # 94 quarters at 1,500, one at 2,500 and one at 9,000
    assert books.aux_rs == pytest.approx(0.6 * (94 * 1500 + 2500 + 9000) / 4)
    assert books.net_rs == pytest.approx(28_909.85 - 22_875)
    tariff = params.market.model_copy(update={"aux_rs_per_mwh": 7000.0})
    assert settle(params.bess, tariff, 0.25, **a_day()).aux_rs == pytest.approx(0.6 * 24 * 7000)


def test_what_is_not_delivered_is_priced_at_the_deviation_rate_on_top():
    params = make_params()
    delivered = settle(params.bess, params.market, 0.25, **a_day())
    case = a_day()
    case["discharge_mw"][0, 70] = 12.0  # 10 MW of the sale are missing
    case["undelivered_mw"] = np.zeros(96)
    case["undelivered_mw"][70] = 10.0
    short = settle(params.bess, params.market, 0.25, **case)
    assert short.dam_revenue_rs == delivered.dam_revenue_rs
    added = short.deviation_rs - delivered.deviation_rs
    assert added == pytest.approx((10 * (9000 + 33) - 0.02 * 10 * 9000) / 4)
    assert delivered.wear_rs - short.wear_rs == pytest.approx(310 * 10 / 4)


def test_delivering_more_than_scheduled_is_priced_too_not_paid():
    params = make_params()
    case = a_day()
    case["discharge_mw"][0, 70] = 32.0
    case["undelivered_mw"] = np.zeros(96)
    case["undelivered_mw"][70] = -10.0
    ledger = settle(params.bess, params.market, 0.25, **case)
    expected = (0.02 * (35 * 2500 + 32 * 9000) + 10 * (9000 + 33)) / 4
    assert ledger.deviation_rs == pytest.approx(expected)


def test_another_desks_rules_are_booked_as_the_public_study_does():
    """Fee 200 on flow, wear 650, 2,000 a day and 1.80 on flow, 3 % at the mean of three."""
    params = make_params(
        {"eta_charge": 0.9487, "eta_discharge": 0.9487, "wear_rs_per_mwh_discharged": 650.0},
        fee_dam_rs_per_mwh=0.0,
        fee_rtm_rs_per_mwh=0.0,
        fee_flow_rs_per_mwh=200.0,
        dsm_share_of_flow=0.03,
        dsm_rate={
            "rule": "mean_of_three",
            "ancillary_rs_per_mwh": 5000.0,
            "max_rs_per_mwh": 8000.0,
        },
    )
    dam, rtm = np.full(24, 3000.0), np.full(24, 3600.0)
    dam[20], rtm[20] = 10_000.0, 9_900.0
    net = blocks(t12=-50.0, t20=45.0)
    ledger = settle(
        params.bess,
        params.market,
        1.0,
        dam=dam,
        rtm=rtm,
        dam_mw=net[0],
        rtm_mw=np.zeros(24),
        charge_mw=np.maximum(-net, 0),
        discharge_mw=np.maximum(net, 0),
    )
    gross = 45 * 10_000 - 50 * 3000
    # (3000 + 3600 + 5000) / 3 = 3866.67 for the charge, 8,300 capped at 8,000 for the sale.
    deviation = 0.03 * (50 * 11_600 / 3 + 45 * 8000)
    costs = 200 * 95 + 650 * 45 + 2000 + 1.8 * 95 + deviation
    assert ledger.net_rs == pytest.approx(gross - costs)


def test_scenarios_settled_together_are_scenarios_settled_one_by_one():
    params = fleet()
    rng = np.random.default_rng(1)
    shape = (4, 2, 24)
    charge, discharge = rng.uniform(0, 9, shape), rng.uniform(0, 9, shape)
    dam_mw = rng.normal(0, 20, 24)
    case = {
        "dam": rng.uniform(0, CAP, (4, 24)),
        "rtm": rng.uniform(0, CAP, (4, 24)),
        "dam_mw": np.tile(dam_mw, (4, 1)),
        "rtm_mw": (discharge - charge).sum(axis=1) - dam_mw,
        "charge_mw": charge,
        "discharge_mw": discharge,
    }
    together = settle(params.bess, params.market, 1.0, **case).net_rs
    assert together.shape == (4,)
    for s in range(4):
        alone = settle(params.bess, params.market, 1.0, **{k: v[s] for k, v in case.items()})
        assert together[s] == pytest.approx(float(alone.net_rs), rel=1e-12)


def test_wear_is_charged_at_each_units_own_rate():
    params = fleet()
    flow = np.zeros((2, 24))
    discharge = flow.copy()
    discharge[:, 5] = 10.0, 4.0
    prices = np.full(24, 5000.0)
    ledger = settle(
        params.bess,
        params.market,
        1.0,
        dam=prices,
        rtm=prices,
        dam_mw=discharge.sum(axis=0),
        rtm_mw=np.zeros(24),
        charge_mw=flow,
        discharge_mw=discharge,
    )
    assert ledger.wear_rs == pytest.approx(10 * 310 + 4 * 90)


def test_trades_that_do_not_balance_with_the_flow_are_refused():
    params = make_params()
    case = a_day()
    case["rtm_mw"][4] = 5.1
    with pytest.raises(ValueError, match=r"trades and flow differ by 0\.1"):
        settle(params.bess, params.market, 0.25, **case)
    case = a_day()
    case["undelivered_mw"] = np.zeros(96)
    case["undelivered_mw"][9] = 1.0
    with pytest.raises(ValueError, match="trades and flow differ by 1"):
        settle(params.bess, params.market, 0.25, **case)


def test_an_rtm_trade_in_a_block_without_a_price_is_refused():
    params = make_params()
    case = a_day()
    case["rtm"][4] = np.nan
    with pytest.raises(ValueError, match="without an RTM price"):
        settle(params.bess, params.market, 0.25, **case)
    case = a_day()
    case["rtm"][9] = np.nan  # nothing is traded there
    whole = settle(params.bess, params.market, 0.25, **a_day()).net_rs
    assert settle(params.bess, params.market, 0.25, **case).net_rs == whole
