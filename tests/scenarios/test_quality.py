"""Scores and ranks of fans, against slow loops and against fans known to be good or bad."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest
from small_cases import HALF_TICK, make_params

from bessvpp.errors import DataError
from bessvpp.market.clock import gate_time
from bessvpp.market.history import Market
from bessvpp.prices import PriceScenarios
from bessvpp.scenarios.quality import (
    SHAPE_TITLES,
    evening_less_midday,
    independent,
    near_pair_weights,
    outcomes,
    path_scores,
    paths,
    persistence_path,
    rank_table,
    ranks,
    shape,
    shape_table,
    worst_table,
)

CAP = 10_000.0


def persistent_days(n_days: int, n_paths: int, seed: int = 0, phi: float = 0.95):
    """Fans of persistent paths, and one more path of each day as its outcome, (D, 2T)."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n_days, n_paths + 1, 48))
    for t in range(1, 48):
        noise[:, :, t] = phi * noise[:, :, t - 1] + np.sqrt(1 - phi**2) * noise[:, :, t]
    prices = np.clip(4000 + 1500 * noise, 0, CAP)
    weights = np.full(n_paths, 1 / n_paths)
    fan = [PriceScenarios(day[1:, :24], day[1:, 24:], weights) for day in prices]
    return fan, prices[:, 0]


def test_scores_are_those_of_the_slow_loops():
    fan, outcome = persistent_days(2, 5)
    outcome[1, 30] = np.nan  # a block without trade is left out
    scores = path_scores(fan, outcome)
    for day in range(2):
        known = np.flatnonzero(np.isfinite(outcome[day]))
        x, y = paths(fan[day])[:, known], outcome[day, known]
        near = np.mean([np.linalg.norm(member - y) for member in x])
        apart = np.mean([[np.linalg.norm(a - b) for a in x] for b in x])
        assert scores["energy"][day] == pytest.approx(near - apart / 2)
        flat, near, total = 0.0, 0.0, 0.0
        for i in range(len(y)):
            for j in range(len(y)):
                expected = np.mean(np.abs(x[:, i] - x[:, j]) ** 0.5)
                missed = (np.abs(y[i] - y[j]) ** 0.5 - expected) ** 2
                hours = abs(known[i] % 24 - known[j] % 24)  # 24 blocks a market
                flat += missed / len(y) ** 2
                near += missed / max(hours, 1)
                total += 1 / max(hours, 1)
        assert scores["variogram_flat"][day] == pytest.approx(flat)
        assert scores["variogram"][day] == pytest.approx(near / total)


def test_pairs_weigh_by_the_hours_between_them_whatever_the_length_of_a_block():
    hourly, quarters = near_pair_weights(24), near_pair_weights(96)
    np.testing.assert_allclose(quarters[::4, ::4], hourly)
    assert hourly[0, [0, 1, 2, 23]].tolist() == [1, 1, 1 / 2, 1 / 23]
    assert hourly[5, 24 + 8] == 1 / 3, "the same between the markets"
    assert (quarters[0, :5] == 1).all()


def test_fixed_trades_earn_what_their_prices_say():
    dam, rtm = np.full((2, 24), 3000.0), np.full((2, 24), 2500.0)
    dam[:, 18:22], rtm[1] = 5000.0, 4000.0
    fan = [PriceScenarios(dam, rtm, np.full(2, 0.5))] * 2
    outcome = np.vstack([np.r_[dam[0], rtm[0]], np.full(48, np.nan)])  # the second is unknown
    table = worst_table({"fan": fan}, outcome, 0.5)
    evening, spread = (table.xs(trade) for trade in table.index.unique(0))
    assert evening.loc["fan"].tolist() == [8000, 8000, 8000, 1]
    sold = dam.sum(axis=1) - rtm.sum(axis=1)
    assert sold.tolist() == [20_000, -16_000]
    assert spread.loc["fan"].tolist() == [2000, -16_000, -16_000, 1]
    assert spread.loc["realised"].tolist() == [20_000, 20_000, 20_000, 1]


def test_a_fan_whose_markets_move_together_too_much_promises_too_little_loss():
    fan, outcome = persistent_days(200, 40)
    tied = [PriceScenarios(day.dam, 0.5 * (day.dam + day.rtm), day.weights) for day in fan]
    apart = [independent(day, np.random.default_rng(2)) for day in fan]
    table = worst_table({"true": fan, "tied": tied, "independent": apart}, outcome, 0.1)
    worst = table.xs("sold in the DAM, bought back in the RTM")["worst"]
    assert worst["true"] == pytest.approx(worst["realised"], rel=0.25)
    assert worst["tied"] > 0.6 * worst["realised"]
    evening = table.xs("DAM, midday to evening")["worst"]
    assert evening["true"] == pytest.approx(evening["realised"], rel=0.25)


def test_true_paths_score_better_than_independent_blocks_of_the_same_marginals():
    fan, outcome = persistent_days(60, 40)
    rng = np.random.default_rng(1)
    apart = [independent(day, rng) for day in fan]
    for day, other in zip(fan, apart, strict=True):
        np.testing.assert_array_equal(np.sort(day.dam, axis=0), np.sort(other.dam, axis=0))
        np.testing.assert_array_equal(np.sort(day.rtm, axis=0), np.sort(other.rtm, axis=0))
    true, alone = path_scores(fan, outcome).mean(), path_scores(apart, outcome).mean()
    assert true["variogram"] < 0.85 * alone["variogram"]
    assert true["variogram_flat"] < 0.9 * alone["variogram_flat"]
    assert true["energy"] < alone["energy"]


def test_ranks_are_uniform_for_true_fans_and_pile_up_for_narrow_ones():
    fan, outcome = persistent_days(150, 30)
    rng = np.random.default_rng(2)
    for name, found in rank_table(fan, outcome, rng).items():
        if "each block" not in name:  # days are independent, blocks are not
            assert kstest(found, "uniform").pvalue > 0.01, name
        assert found.mean() == pytest.approx(0.5, abs=0.08)
    narrow = [
        PriceScenarios(4000 + 0.4 * (d.dam - 4000), 4000 + 0.4 * (d.rtm - 4000), d.weights)
        for d in fan
    ]
    found = rank_table(narrow, outcome, rng)["DAM evening - midday"]
    assert kstest(found, "uniform").pvalue < 1e-4


def test_outcomes_on_an_atom_get_every_rank_of_its_members():
    rng = np.random.default_rng(3)
    ensemble = np.where(rng.random((4000, 9)) < 0.5, CAP, 100 * rng.random((4000, 9)))
    outcome = np.where(rng.random(4000) < 0.5, CAP, 100 * rng.random(4000))
    assert kstest(ranks(ensemble, outcome, rng), "uniform").pvalue > 0.01


def test_the_shape_of_a_day_by_hand():
    dam = np.full((2, 24), 2000.0)
    dam[0, 18:22] = CAP  # one run of four hours, all of the evening
    dam[1, 19] = dam[1, 21] = CAP  # two runs of one
    rtm = dam.copy()
    rtm[0, 3] += 480.0
    found = shape(dam, rtm, CAP)
    assert found["cap_run_h"] == pytest.approx(2.0)
    assert found["evening_at_cap"] == 0.5
    assert found["spread_sd_rs_per_mwh"] == pytest.approx(480 * np.sqrt(1 / 48 - 1 / 48**2))
    changes = np.array([480.0, -480.0] + [0.0] * 44)
    assert found["spread_change_sd_rs_per_mwh"] == pytest.approx(changes.std())
    assert evening_less_midday(dam).tolist() == [8000.0, 4000.0]
    assert found["evening_less_midday_sd_rs_per_mwh"] == pytest.approx(2000.0)
    quarters = shape(np.repeat(dam, 4, axis=1), np.repeat(rtm, 4, axis=1), CAP)
    assert quarters == pytest.approx(found)
    assert np.isnan(shape(dam - 1, rtm, CAP)["cap_run_h"])


def test_the_table_sets_fans_beside_what_was_realised():
    fan, outcome = persistent_days(5, 8)
    table = shape_table({"copula": fan}, outcome, CAP)
    assert list(table) == ["realised", "copula"]
    assert list(table.index) == list(SHAPE_TITLES.values())
    pooled = shape(np.vstack([d.dam for d in fan]), np.vstack([d.rtm for d in fan]), CAP)
    found = dict(zip(SHAPE_TITLES, table["copula"], strict=True))
    assert found == pytest.approx(pooled, nan_ok=True)


def test_persistence_moves_the_last_whole_day_by_its_past_errors_and_knows_no_more():
    rng = np.random.default_rng(4)
    dates = np.datetime64("2024-05-01") + np.arange(12)
    dam, rtm = rng.uniform(2000, 6000, (2, 12, 24))
    rules = make_params().market

    def seen(dam, rtm, day=9):
        market = Market(dates, dam, rtm, np.zeros((12, 24), dtype=bool), {}, True)
        return persistence_path(
            market.known_at(gate_time(dates[day], rules.dam_gate), rules), CAP, 0.0
        )

    fan = seen(dam, rtm)
    # DAM errors of days 1 to 8, RTM errors of days 2 to 7: the days that have both
    assert fan.dam.shape == (6, 24)
    np.testing.assert_allclose(
        fan.dam[0], np.clip(dam[8] + dam[2] - dam[1], 0, CAP), atol=HALF_TICK
    )
    np.testing.assert_allclose(
        fan.rtm[0], np.clip(rtm[7] + rtm[2] - rtm[0], 0, CAP), atol=HALF_TICK
    )
    later_dam, later_rtm = dam.copy(), rtm.copy()
    later_dam[9:] = 9000.0
    later_rtm[8, 12:] = 9000.0
    later_rtm[9:] = 9000.0
    again = seen(later_dam, later_rtm)
    np.testing.assert_array_equal(fan.dam, again.dam)
    np.testing.assert_array_equal(fan.rtm, again.rtm)
    with pytest.raises(DataError, match="persistence has 1 whole days"):
        seen(dam, rtm, day=4)


def test_outcomes_are_the_markets_own():
    dates = np.datetime64("2024-05-01") + np.arange(3)
    dam = np.arange(72.0).reshape(3, 24)
    market = Market(dates, dam, dam + 5, np.zeros((3, 24), dtype=bool), {}, True)
    found = outcomes(market, dates[1:])
    np.testing.assert_array_equal(found, np.hstack([dam[1:], dam[1:] + 5]))
    assert isinstance(
        path_scores([PriceScenarios(dam, dam, np.ones(3) / 3)], found[:1]), pd.DataFrame
    )


def test_days_without_a_price_cost_no_more_than_the_trades_that_need_it():
    fan, outcome = persistent_days(6, 5)
    outcome[:, 24 + 3] = np.nan  # no RTM trade in one block of every day
    table = worst_table({"fan": fan}, outcome, 0.5)
    assert set(table.index.get_level_values(0)) == {"DAM, midday to evening"}
    earned = 4 * evening_less_midday(outcome[:, :24])
    assert table.loc[("DAM, midday to evening", "realised"), "least"] == earned.min()
    assert worst_table({"fan": fan}, np.full_like(outcome, np.nan), 0.5).empty
    outcome[2] = np.nan
    scores = path_scores(fan, outcome)
    assert scores.isna().all(axis=1).tolist() == [False, False, True, False, False, False]
    assert (scores.drop(index=2) > 0).all(axis=None), "no outcome is no perfect score"
