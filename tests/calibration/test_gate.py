"""What a gate knows: groups, regimes, and chances of the cap put right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibration_cases import LEVELS
from small_cases import make_params

from bessvpp.calibration.gate import Gate, calibrated_chances, groups_at_gate
from bessvpp.forecasting.quantiles import QuantileForecast


def test_chances_of_the_cap_that_were_too_high_are_brought_down():
    """A cap in a quarter of the blocks of every day, forecast at .6: the truth in a month."""
    outcome = np.full((40, 24), 5000.0)
    outcome[:, 18:] = 10_000.0
    chances = np.full(24, 0.6)
    for n_days, off in ((10, 0.08), (40, 0.005)):
        gate = gate_of(np.datetime64("2024-12-01"), [5000.0] * n_days, np.full(24, 5000.0), chances)
        past = replace(gate.past, p_cap=np.full((n_days, 24), 0.6))
        found = calibrated_chances(replace(gate, past=past, outcome=outcome[:n_days]))[1]
        np.testing.assert_allclose(found, 0.25, atol=off)
    # Beyond those ten days it is not yet there.
    assert abs(found - 0.25).max() < 0.005


def test_a_shift_of_the_log_odds_moves_by_what_each_day_missed():
    """By hand, over two days, an hour without a price left out."""
    gate = gate_of(np.datetime64("2024-12-01"), [5000.0] * 2, np.full(24, 5000.0), [0.2] * 24)
    past = replace(gate.past, p_cap=np.full((2, 24), 0.5))
    outcome = np.full((2, 24), 5000.0)
    outcome[0, :12] = 10_000.0
    outcome[1, 0], outcome[1, 1:] = 10_000.0, np.nan
    found = calibrated_chances(replace(gate, past=past, outcome=outcome))[1]
    # Day one: half on the cap, as forecast. Day two: its only known block is, so b = 1 - .5.
    odds = 0.25 * np.exp(0.5)
    np.testing.assert_allclose(found, odds / (1 + odds), atol=1e-6)


def test_chances_keep_their_mean_promise_whatever_prices_do(walked):
    """The miss over n days is how far the shift has gone, over the step and n."""
    params, market, _, walks = walked
    whole = walks["dam"].forecast
    odds = whole.p_cap / (1 - whole.p_cap)
    for source in (whole, replace(whole, p_cap=8 * odds / (1 + 8 * odds))):
        days = source.dates[10:]
        gates = [Gate.of(source, market, day, params.market) for day in days]
        made = np.array([calibrated_chances(gate)[1] for gate in gates])
        hit = market.dam_mcp[[market.index_of(day) for day in days]] >= 10_000
        assert made.mean() == pytest.approx(hit.mean(), abs=0.02)


def test_past_prices_are_compared_with_the_cap_of_their_own_day(walked):
    """Prices between today's cap and the higher one of their time were not at the cap."""
    _, market, splits, walks = walked
    whole, date = walks["dam"].forecast, splits.test[0]
    past = whole.dates[whole.dates < date]
    rows = [market.index_of(day) for day in past[:25]]
    caps = [
        {"effective_from": "2012-01-01", "cap_rs_per_mwh": 12_000.0},
        {"effective_from": str(past[25]), "cap_rs_per_mwh": 10_000.0},
    ]
    rules = make_params(price_caps=caps).market
    dam = market.dam_mcp.copy()
    chances = []
    for evening in (9_500.0, 10_500.0, 12_000.0):
        dam[rows, 18:] = evening
        gate = Gate.of(whole, replace(market, dam_mcp=dam.copy()), date, rules)
        chances.append(calibrated_chances(gate)[1])
    np.testing.assert_array_equal(chances[0], chances[1])
    assert not np.array_equal(chances[1], chances[2])


def gate_of(date, medians, today, chances):
    """A gate whose past days had these medians (D,), and today's blocks these (T,) and chances."""
    n_blocks = len(today)

    def forecast_of(dates, median, p_cap):
        values = median[:, :, None] + np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
        split = np.full(len(dates), "test")
        return QuantileForecast("dam", dates, split, LEVELS, values, p_cap * 0, p_cap)

    past = date - np.arange(len(medians), 0, -1)
    before = np.repeat(np.asarray(medians, float)[:, None], n_blocks, axis=1)
    return Gate(
        date,
        forecast_of(past, before, np.full(before.shape, 0.01)),
        before + 5000.0,  # outcomes that would make other thirds
        np.ones(len(past), dtype=bool),
        forecast_of(np.array([date]), np.asarray(today, float)[None], np.array([chances])),
        0.0,
        np.array([[10_000.0]]),
        np.full((len(past), 1), 10_000.0),
    )


@pytest.mark.parametrize("n_blocks", [24, 96])
def test_the_groups_of_a_block_are_its_hour_its_third_its_regime_and_sunday(n_blocks):
    medians = [9000.0] * 60 + list(range(10, 1210, 10))  # the last 120 count: edges near 400, 800
    today, chances = np.full(n_blocks, 100.0), np.full(n_blocks, 0.01)
    today[1], today[2] = 500.0, 1000.0
    chances[3:6] = 0.2, 0.8, np.nan
    sunday = np.datetime64("2024-03-03")
    for date, is_one in ((sunday, True), (sunday + 1, False)):
        member = groups_at_gate(gate_of(date, medians, today, chances))
        assert member.shape == (31, n_blocks)
        hours = np.arange(n_blocks) // (n_blocks // 24)
        np.testing.assert_array_equal(member[:24], hours == np.arange(24)[:, None])
        thirds = np.zeros(n_blocks, int)
        thirds[1], thirds[2] = 1, 2
        np.testing.assert_array_equal(member[24:27], thirds == np.arange(3)[:, None])
        regime = np.zeros(n_blocks, int)
        regime[3], regime[4] = 1, 2
        np.testing.assert_array_equal(member[27:30], regime == np.arange(3)[:, None])
        assert member[30].tolist() == [is_one] * n_blocks


def test_chances_are_recalibrated_by_the_last_120_days():
    """Whatever was before them; a quarter of each day at the cap since."""
    gate = gate_of(np.datetime64("2024-12-01"), [5000.0] * 200, np.full(24, 5000.0), [0.01] * 24)
    outcome = np.full((200, 24), 5000.0)
    outcome[80:, 18:] = 10_000.0
    other = outcome.copy()
    other[:80] = 10_000.0
    found = [calibrated_chances(replace(gate, outcome=y))[1] for y in (outcome, other)]
    np.testing.assert_array_equal(*found)
    np.testing.assert_allclose(found[0], 0.25, atol=0.005)
