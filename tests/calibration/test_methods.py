"""Every method of recalibration: what it learns from, and how soon."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibration_cases import LEVELS, METHODS, PARAMS
from scipy.stats import norm
from small_cases import make_params

from bessvpp.calibration import conformal, recalibration
from bessvpp.calibration.gate import Gate
from bessvpp.calibration.methods import method_named
from bessvpp.errors import DataError, ParameterError
from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.market import history
from bessvpp.market.history import MARKETS, Market


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_rising_fans_within_floor_and_cap(walked, method):
    params, market, splits, walks = walked
    made = recalibration.recalibrate(
        walks["dam"].forecast, market, splits.test[:3], [method], params.forecast, params.market
    )[method]
    values = made.forecast.values
    assert (np.diff(values, axis=2) >= 0).all()
    assert values.min() >= 0
    assert values.max() <= 10_000
    assert np.isfinite(made.shifts["delta_rs_per_mwh"]).all()


def test_adaptive_levels_learn_from_the_fan_that_was_issued(walked, monkeypatch):
    """With the recalibrated chance of the cap, not with the one first forecast."""
    params, market, splits, walks = walked
    whole = walks["dam"].forecast
    odds = whole.p_cap / (1 - whole.p_cap)
    wrong = replace(whole, p_cap=8 * odds / (1 + 8 * odds))
    learnt = []

    def observe(self, member, outcome, issued, free):
        learnt.append(issued)
        np.testing.assert_array_equal(free, issued < 10_000)  # no price was at the floor

    monkeypatch.setattr(conformal.AdaptiveLevels, "observe", observe)
    dates = splits.test[:5]
    fan = recalibration.recalibrate(
        wrong, market, dates, ["adaptive"], params.forecast, params.market
    )["adaptive"].forecast
    np.testing.assert_array_equal(learnt[-4:], fan.values[:4])  # all but the last day


@pytest.mark.parametrize("name", MARKETS)
def test_a_day_is_learnt_from_once_and_only_when_all_its_prices_are_known(
    walked, name, monkeypatch
):
    """At a gate the DAM of the day before is whole, the RTM only that of two days before."""
    params, market, splits, walks = walked
    learnt = []

    def observe(self, member, outcome, issued, free):
        learnt.append(outcome)

    monkeypatch.setattr(conformal.AdaptiveLevels, "observe", observe)
    whole, lag = walks[name].forecast, {"dam": 1, "rtm": 2}[name]
    method = method_named("adaptive", params.forecast, splits.calibration)
    for place in range(30, 36):
        method.shifts(Gate.of(whole, market, whole.dates[place], params.market))
    prices = history.prices_of(market, name)
    days = [market.index_of(day) for day in whole.dates[30 : 36 - lag]]
    np.testing.assert_array_equal(learnt, prices[days])


def test_a_day_without_any_outcome_does_not_end_the_aggregation(walked):
    """Nothing was traded all day long: there is nothing to learn, and it goes on afterwards."""
    params, market, splits, walks = walked
    place = market.index_of(splits.test[0]) - 10
    rtm, no_trade = market.rtm_mcp.copy(), market.rtm_no_trade.copy()
    rtm[place], no_trade[place] = np.nan, True
    market = replace(market, rtm_mcp=rtm, rtm_no_trade=no_trade)
    whole = walks["rtm"].forecast
    method = method_named("aggregated", params.forecast, splits.calibration)
    seen = []
    for date in whole.dates[20:]:
        method.shifts(Gate.of(whole, market, date, params.market))
        seen.append(method.weights.weights)
    assert np.isfinite(method.weights.regret).all()
    assert (seen[-1] != seen[-5]).any()
    np.testing.assert_allclose(np.sum(seen, axis=1), 1)


def test_aggregated_shifts_are_those_of_the_steps_by_their_weights(walked):
    params, market, splits, walks = walked
    whole, days = walks["dam"].forecast, splits.test[-3:]
    steps = params.forecast.adaptive_steps

    def shifts(steps, method):
        chosen = params.forecast.model_copy(update={"adaptive_steps": steps})
        table = recalibration.recalibrate(whole, market, days, [method], chosen, params.market)
        return table[method].shifts["delta_rs_per_mwh"].to_numpy().reshape(3, 24, -1)

    experts = np.stack([shifts((step,), "adaptive") for step in steps])
    mixed = shifts(steps, "aggregated")
    method = method_named("aggregated", params.forecast, splits.calibration)
    for date in whole.dates[: np.searchsorted(whole.dates, days[0]) + 1]:
        try:
            method.shifts(Gate.of(whole, market, date, params.market))
        except DataError:
            continue
    expected = np.einsum("kl,khl->hl", method.weights.weights, experts[:, 0])
    np.testing.assert_allclose(mixed[0], expected)
    assert np.abs(mixed - experts.mean(axis=0)).max() > 1  # the weights do count


def test_levels_by_group_step_as_far_as_a_miss_varies():
    params = make_params(group_step=0.04).forecast
    # The levels are .05, .25, .5, .75 and .95: 4 tau (1 - tau) is .19, .75 and 1.
    np.testing.assert_allclose(
        method_named("group_adaptive", params, []).gammas[0], [0.0076, 0.03, 0.04, 0.03, 0.0076]
    )


def test_levels_by_group_take_the_mean_over_the_windows(walked):
    """With a step of next to nothing the shifts are those of the windows' mean."""
    params, market, splits, walks = walked
    still = params.forecast.model_copy(update={"group_step": 1e-18})
    days, given = splits.test[:2], (still, params.market)
    names = ["rolling_mean", "group_adaptive", "rolling_12"]
    made = recalibration.recalibrate(walks["dam"].forecast, market, days, names, *given)
    mean, grouped, first = (made[name].shifts["delta_rs_per_mwh"] for name in names)
    np.testing.assert_allclose(grouped, mean)
    assert (grouped != first).any()


def test_the_mean_of_the_windows_is_their_mean(walked):
    params, market, splits, walks = walked
    made = recalibration.recalibrate(
        walks["dam"].forecast,
        market,
        splits.test[:3],
        ["rolling_12", "rolling_24", "rolling_mean"],
        params.forecast,
        params.market,
    )
    first, second, mean = (one.shifts["delta_rs_per_mwh"].to_numpy() for one in made.values())
    np.testing.assert_allclose(mean, (first + second) / 2)
    assert (first != second).any()


def test_static_shifts_stay_and_rolling_ones_move(walked):
    params, market, splits, walks = walked
    made = recalibration.recalibrate(
        walks["dam"].forecast,
        market,
        splits.test[:4],
        ["static", "rolling_12"],
        params.forecast.model_copy(update={"min_group_size": 10_000}),  # one group for all
        params.market,
    )

    def shifts(method):
        return made[method].shifts.pivot_table("delta_rs_per_mwh", "date", ["hour", "level"])

    assert (shifts("static").nunique() == 1).all()
    assert (shifts("rolling_12").nunique() > 1).any()


def test_an_unknown_method_is_refused_by_name(study):
    with pytest.raises(ParameterError, match="no recalibration method 'magic'"):
        recalibration.recalibrate(
            study.original["dam"],
            study.market,
            study.splits.test,
            ["magic"],
            study.params.forecast,
            study.params.market,
        )


def test_thirty_days_after_a_change_of_regime_coverage_is_back_where_the_static_shift_is_not():
    """The level rises by 1,500 and the spread doubles; the forecast never hears of it.

    What counts is the 30 days that begin 30 days after the change. In so few days even the
    quantiles that the prices are drawn from miss; shifts learned in as few add as much again.
    """
    params = make_params(
        min_group_size=20, recalibration_windows=[30], recalibration="auto"
    ).forecast
    change, n_days = 100, 160
    dates = np.datetime64("2024-01-01") + np.arange(n_days)
    shape = 4500 + 1200 * np.cos(np.arange(24) * np.pi / 12)
    z = norm.ppf(LEVELS)
    methods = ["static", "rolling_30"]
    missed: dict[str, list[float]] = {name: [] for name in (*methods, "truth")}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        noise = 0.6 * rng.normal(size=(n_days, 1)) + 0.8 * rng.normal(size=(n_days, 24))
        changed = (np.arange(n_days) >= change)[:, None]
        dam = shape + np.where(changed, 1500 + 900 * noise, 450 * noise)
        market = Market(dates, dam, dam, np.zeros(dam.shape, dtype=bool), {}, True)
        quantiles = np.tile((shape[:, None] + 450 * z)[None], (n_days - 1, 1, 1))
        split = np.repeat(["calibration", "test"], [50, n_days - 51])
        fixed = QuantileForecast("dam", dates[1:], split, LEVELS, quantiles)
        judged = slice(change + 30, change + 60)
        made = recalibration.recalibrate(
            fixed, market, dates[judged], methods, params, PARAMS.market
        )
        y = dam[judged]
        true = np.tile((shape[:, None] + 1500 + 900 * z)[None], (30, 1, 1))
        fans = {name: made[name].forecast.values for name in methods} | {"truth": true}
        for name, values in fans.items():
            share = (y[:, :, None] < values).mean(axis=(0, 1))
            missed[name].append(float(np.abs(share - LEVELS).mean()))
    truth = np.mean(missed["truth"])
    assert np.mean(missed["rolling_30"]) < 2 * truth
    assert np.mean(missed["static"]) > 5 * truth
    assert max(missed["rolling_30"]) < 0.1 < min(missed["static"])


def test_levels_that_move_by_group_are_back_sooner_than_the_windows_they_rest_on():
    """The same change, with the windows of the project's parameters; 30 days after it."""
    told = {"recalibration_windows": [30, 60, 120], "group_step": 0.015, "recalibration": "auto"}
    params = make_params(min_group_size=20, **told).forecast
    change, n_days = 130, 190
    dates = np.datetime64("2024-01-01") + np.arange(n_days)
    rng = np.random.default_rng(0)
    noise = 0.6 * rng.normal(size=(n_days, 1)) + 0.8 * rng.normal(size=(n_days, 24))
    changed = (np.arange(n_days) >= change)[:, None]
    dam = 4500 + np.where(changed, 1500 + 900 * noise, 450 * noise)
    market = Market(dates, dam, dam, np.zeros(dam.shape, dtype=bool), {}, True)
    quantiles = np.tile(4500 + 450 * norm.ppf(LEVELS), (n_days - 1, 24, 1))
    split = np.repeat(["calibration", "test"], [100, n_days - 101])
    fixed = QuantileForecast("dam", dates[1:], split, LEVELS, quantiles)
    judged, methods = slice(change + 30, n_days), ["rolling_mean", "group_adaptive"]
    made = recalibration.recalibrate(fixed, market, dates[judged], methods, params, PARAMS.market)
    missed = {
        name: np.abs((dam[judged, :, None] < fan.forecast.values).mean(axis=(0, 1)) - LEVELS).mean()
        for name, fan in made.items()
    }
    assert missed["rolling_mean"] > 0.08
    assert missed["group_adaptive"] < 0.5 * missed["rolling_mean"]
