"""What midnight will hold, worked out by hand."""

from __future__ import annotations

import argparse
import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_cases import fleet, make_params

from bessvpp.commands.desk import _midnight
from bessvpp.commands.typed import parse_clock
from bessvpp.desk.midnight import midnight_after
from bessvpp.errors import MissingArtefactError, ParameterError
from bessvpp.runs.folder import RunFolder

NOW, FILE = dt.datetime(2024, 5, 9, 10, 15), Path("position.csv")
UNIT = make_params().bess.units[0]


def test_the_rest_of_the_position_is_run_from_now_on_by_hand():
    """Three quarters of the hour from ten are left of a sale of 40 MW; what came before is over."""
    position = np.zeros((1, 24))
    position[0, [3, 10, 12]] = -50.0, 40.0, -20.0
    found = midnight_after(make_params().bess, position, np.array([84.0]), NOW, FILE)
    by_hand = 84 - 30 / UNIT.eta_discharge + 20 * UNIT.eta_charge
    assert found.e_mwh[0] == pytest.approx(by_hand)
    assert found.undelivered_mwh == pytest.approx(0, abs=1e-9)
    told = found.in_words()
    assert told.startswith(f"Midnight will hold {by_hand:.6g} MWh: 84 MWh at 10:15 on 2024-05-09")
    assert "position.csv" in told
    assert "WARNING" not in told


def test_in_quarters_a_time_within_one_counts_what_is_left_of_it():
    position = np.zeros((1, 96))
    position[0, 41] = 40.0  # 10:15 to 10:30
    bess = make_params().bess
    for minute, left in ((15, 10.0), (21, 6.0), (30, 0.0)):
        found = midnight_after(bess, position, np.array([84.0]), NOW.replace(minute=minute), FILE)
        assert found.e_mwh[0] == pytest.approx(84 - left / UNIT.eta_discharge)


def test_what_cannot_be_delivered_is_told_and_not_counted():
    position = np.zeros((1, 24))
    position[0, 18] = 50.0
    found = midnight_after(make_params().bess, position, np.array([30.0]), NOW, FILE)
    assert found.e_mwh[0] == pytest.approx(20.0)
    short = 50 - 10 * UNIT.eta_discharge
    assert found.undelivered_mwh == pytest.approx(short)
    assert f"WARNING: {short:.2f} MWh of that position cannot be delivered" in found.in_words()


def test_cycles_that_the_morning_spent_are_gone():
    bess = make_params({"max_cycles_per_day": 0.5}).bess
    position = np.zeros((1, 24))
    position[0, [2, 3, 18]] = 40.0, 40.0, 50.0
    found = midnight_after(bess, position, np.array([150.0]), NOW, FILE)
    left = 0.5 * UNIT.e_nameplate_mwh - 80
    assert found.e_mwh[0] == pytest.approx(150 - left / UNIT.eta_discharge)


def test_cycles_of_the_running_block_are_those_of_its_part_that_is_over():
    """Of 100 MWh 10 are spent by 10:15 and 30 by 11:00: 60 are left for the evening."""
    bess = make_params({"max_cycles_per_day": 0.5}).bess
    position = np.zeros((1, 24))
    position[0, [10, 18, 19]] = 40.0, 50.0, 50.0
    found = midnight_after(bess, position, np.array([150.0]), NOW, FILE)
    assert found.e_mwh[0] == pytest.approx(150 - 90 / UNIT.eta_discharge)
    assert found.undelivered_mwh == pytest.approx(40.0)


def test_what_is_undelivered_of_a_quarter_is_energy():
    position = np.zeros((1, 96))
    position[0, 72] = 50.0
    found = midnight_after(make_params().bess, position, np.array([25.0]), NOW, FILE)
    assert found.undelivered_mwh == pytest.approx(12.5 - 5 * UNIT.eta_discharge)


def test_an_outage_of_the_running_block_takes_of_what_is_left_of_it():
    """20 of 40 MW run for three quarters of the hour."""
    outages = [{"start": "2024-05-09 09:30", "end": "2024-05-09 11:00", "power_share": 0.4}]
    position = np.zeros((1, 24))
    position[0, 10] = 40.0
    bess = make_params({"outages": outages}).bess
    found = midnight_after(bess, position, np.array([100.0]), NOW, FILE)
    assert found.e_mwh[0] == pytest.approx(100 - 15 / UNIT.eta_discharge)
    assert found.undelivered_mwh == pytest.approx(15.0)


def test_each_unit_runs_its_own_position():
    bess = fleet().bess
    position = np.zeros((2, 24))
    position[0, 20], position[1, 21] = 10.0, -4.0
    start = np.array([unit.e_start_mwh for unit in bess.units])
    found = midnight_after(bess, position, start, NOW, FILE)
    first, second = bess.units
    by_hand = [start[0] - 10 / first.eta_discharge, start[1] + 4 * second.eta_charge]
    np.testing.assert_allclose(found.e_mwh, by_hand)


def test_a_time_needs_an_energy_and_a_position_a_time(tmp_path):
    assert parse_clock("10:15") == dt.time(10, 15)
    with pytest.raises(ParameterError, match="write it as HH:MM"):
        parse_clock("quarter past ten")
    run, date, bess = RunFolder(tmp_path), np.datetime64("2024-05-10"), make_params().bess
    now, energy = argparse.Namespace(at="10:15", position=None), np.array([84.0])
    with pytest.raises(ParameterError, match="--at 10:15: say with --energy"):
        _midnight(now, run, date, 24, bess, None)
    with pytest.raises(ParameterError, match="--position: say with --at and --energy"):
        _midnight(argparse.Namespace(at=None, position="p.csv"), run, date, 24, bess, energy)
    with pytest.raises(MissingArtefactError, match="plan 2024-05-09 first"):
        _midnight(now, run, date, 24, bess, energy)
    starts = pd.date_range("2024-05-09", periods=24, freq="h")
    sold = pd.DataFrame({"delivery_start": starts, "A_mw": 1.0}).to_csv(index=False)
    run.write_text("bids/schedule_2024-05-09.csv", sold)
    found = _midnight(now, run, date, 24, bess, energy)
    assert found.e_mwh[0] == pytest.approx(84 - 13.75 / UNIT.eta_discharge)
    assert _midnight(argparse.Namespace(at=None, position=None), run, date, 24, bess, None) is None


def test_what_an_outage_of_today_takes_is_undelivered_by_hand():
    outages = [{"start": "2024-05-09 17:30", "end": "2024-05-09 18:30", "power_share": 0.4}]
    position = np.zeros((1, 24))
    position[0, [18, 20]] = 50.0, 10.0  # of the first 20 MW are left
    bess = make_params({"outages": outages}).bess
    found = midnight_after(bess, position, np.array([100.0]), NOW, FILE)
    assert found.e_mwh[0] == pytest.approx(100 - 30 / UNIT.eta_discharge)
    assert found.undelivered_mwh == pytest.approx(30.0)
