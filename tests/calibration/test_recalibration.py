"""Recalibration day by day, by what its gate knows, and the choice among methods."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibration_cases import LEVELS, METHODS, PARAMS, after_the_gate, features_of
from small_cases import make_market, make_params

from bessvpp.calibration import recalibration
from bessvpp.calibration.conformal import KnownResiduals, day_shifts, shifted
from bessvpp.calibration.gate import groups_over_days, regimes
from bessvpp.calibration.methods import method_names
from bessvpp.calibration.recalibration import choose_method
from bessvpp.errors import DataError
from bessvpp.forecasting import walk_forward
from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.market import history
from bessvpp.market.clock import gate_time
from bessvpp.market.history import MARKETS


@pytest.mark.parametrize("name", MARKETS)
def test_a_day_is_recalibrated_by_the_residuals_known_at_its_gate(study, name):
    """From the definition: the last 24 days out of sample, RTM of yesterday to the gate."""
    market, params = study.market, study.params.forecast
    prices = history.prices_of(market, name)
    whole = study.original[name]
    for k, date in enumerate(study.splits.test):
        place = market.index_of(date)
        outcome = prices[place - 24 : place].copy()
        if name == "rtm":
            outcome[-1, 11:] = np.nan
        past = whole.on(market.dates[place - 24 : place]).values
        alike = np.zeros(outcome.shape, dtype=int)  # no atom is modelled: one regime
        known = KnownResiduals(outcome[:, :, None] - past, alike, alike[0])
        shifts = day_shifts(known, LEVELS, params.min_group_size)
        today = whole.on(np.array([date])).values[0]
        expected = shifted(today, shifts.delta, 0.0, 10_000.0)
        np.testing.assert_array_equal(study.recalibrated[name].values[k], expected)
        table = study.deltas.query("market == @name and date == @date.astype('str')")
        assert len(table) == 24 * len(LEVELS)
        for row in table.itertuples():
            level = LEVELS.index(row.level)
            assert row.delta_rs_per_mwh == shifts.delta[row.hour, level]
            assert (row.n, row.rank) == (shifts.n[row.hour, level], shifts.rank[row.hour, level])
            assert row.group_hours == shifts.group_hours[row.hour, level]


@pytest.mark.parametrize("name", MARKETS)
def test_none_leaves_forecasts_and_chances_as_they_were_made_even_without_a_past(study, name):
    whole, date = study.original[name], study.splits.test[:1]
    chances = np.full(whole.p_cap.shape, 0.25)
    given = replace(whole, p_cap=chances, p_floor=0.1 * chances)
    for forecast in (given, given.on(date)):
        made = recalibration.recalibrate(
            forecast, study.market, date, ["none"], study.params.forecast, study.params.market
        )["none"]
        for key in ("values", "p_cap", "p_floor"):
            found, expected = getattr(made.forecast, key), getattr(given.on(date), key)
            np.testing.assert_array_equal(found, expected)
        assert (made.shifts[["delta_rs_per_mwh", "n", "rank"]] == 0).all(axis=None)


@pytest.mark.slow
@pytest.mark.parametrize("name", MARKETS)
def test_nothing_after_the_gate_reaches_a_refit_a_group_a_window_or_a_chance(walked, name):
    """Over two chained days: from changed prices to the recalibrated fan of each method."""
    params, market, splits, walks = walked
    days = splits.test[3:5]
    whole = walks[name].forecast
    before = recalibration.recalibrate(whole, market, days, METHODS, params.forecast, params.market)
    for k, date in enumerate(days):
        other = after_the_gate(market, date)
        features = features_of(other, params)
        shorter = replace(splits, test=splits.test[splits.test <= date])
        again = walk_forward.walk_forward(
            name, features, other, shorter, params.forecast, params.market
        ).forecast
        np.testing.assert_array_equal(again.values[-1], whole.on(days[k : k + 1]).values[0])
        np.testing.assert_array_equal(again.p_cap[-1], whole.on(days[k : k + 1]).p_cap[0])
        made = recalibration.recalibrate(
            again, other, days[k : k + 1], METHODS, params.forecast, params.market
        )
        for method in METHODS:
            expected = before[method].forecast
            np.testing.assert_array_equal(made[method].forecast.values[0], expected.values[k])
            np.testing.assert_array_equal(made[method].forecast.p_cap[0], expected.p_cap[k])


def test_the_last_price_before_the_gate_does_reach_them(walked):
    params, market, splits, walks = walked
    date, whole = splits.test[3:4], walks["dam"].forecast
    dam = market.dam_mcp.copy()
    dam[market.index_of(date[0]) - 1] += 900.0
    moved = replace(market, dam_mcp=np.clip(dam, 0, 10_000))
    for method in set(METHODS) - {"static"}:
        first, again = (
            recalibration.recalibrate(whole, one, date, [method], params.forecast, params.market)[
                method
            ].forecast.values
            for one in (market, moved)
        )
        assert not np.array_equal(first, again), method


@pytest.mark.parametrize("name", MARKETS)
def test_refits_see_the_days_wholly_known_at_their_gate(walked, name):
    _, _, splits, walks = walked
    refits = walks[name].refits
    first = splits.out_of_sample[0]
    assert refits["first_day"].tolist() == [first, first + 20, first + 40]
    lag = 1 if name == "dam" else 2  # the RTM of the day before is known to half past ten
    assert (refits["first_day"] - refits["last_train_day"]).dt.days.tolist() == [lag] * 3
    n_days = (
        refits["last_train_day"].to_numpy() - splits.train[0].astype("M8[s]")
    ) // np.timedelta64(1, "D")
    assert refits["n_train_days"].tolist() == (n_days + 1).tolist()
    assert "cap" in walks[name].models[0].atoms


def test_a_fan_sits_on_the_cap_exactly_as_often_as_its_chance_says(walked):
    _, _, splits, walks = walked
    fan = walks["dam"].forecast.on(splits.test)
    on_cap = fan.values >= 10_000
    expected = np.array(LEVELS) >= 1 - fan.p_cap[:, :, None]
    np.testing.assert_array_equal(on_cap, expected)
    assert on_cap.any()


@pytest.mark.parametrize("name", MARKETS)
def test_methods_are_judged_by_the_promises_they_miss_in_each_hour_and_known_group(walked, name):
    params, market, _, walks = walked
    whole = walks[name].forecast
    _, table = choose_method(whole, market, params.forecast, params.market)
    calibration = whole.on(whole.dates[whole.split == "calibration"])
    half = len(calibration.dates) // 2
    judged = calibration.dates[half:] if name == "dam" else calibration.dates[half:-1]
    made = recalibration.recalibrate(
        calibration,
        market,
        judged,
        ["rolling_12"],
        params.forecast,
        params.market,
        calibration.dates[:half],
    )["rolling_12"].forecast
    p_cap = np.nan_to_num(made.p_cap)[:, :, None]
    promised = np.minimum(LEVELS, 1 - p_cap)  # every atom of this market's forecasts is stated
    promised[made.values <= 0] = 0
    y = history.prices_of(market, name)[[market.index_of(day) for day in judged]]
    before = calibration.on(judged)
    regime = regimes(before)
    groups = [np.arange(24) == hour for hour in range(24)]
    groups += groups_over_days(judged, before.values, LEVELS, regime).values()
    misses = []
    for group in groups:
        at = np.broadcast_to(group, y.shape) & np.isfinite(y)
        if at.any():
            below = (y[at][:, None] < made.values[at]).mean(axis=0)
            misses.append(np.abs(below - promised[at].mean(axis=0)).mean())
    assert len(misses) > 28
    assert table.loc["rolling_12", "in_groups"] == pytest.approx(np.mean(misses))


@pytest.mark.parametrize("name", MARKETS)
def test_the_method_is_chosen_without_a_look_at_test_days(walked, name):
    """Nor at the RTM of the eve of the first test day, of which its gate knows the morning."""
    params, market, splits, walks = walked
    whole = walks[name].forecast
    chosen, table = choose_method(whole, market, params.forecast, params.market)
    assert list(table.index) == list(method_names(params.forecast))
    equal = table[table["pinball"] <= 1.02 * table["pinball"].min()]
    assert table.loc[chosen, "in_groups"] == equal["in_groups"].min()
    other = after_the_gate(market, splits.test[0])
    moved = whole.values.copy()
    moved[np.isin(whole.dates, splits.test)] = 1.0
    again, same = choose_method(replace(whole, values=moved), other, params.forecast, params.market)
    assert again == chosen
    assert same.equals(table)


def test_of_methods_equally_sharp_the_one_is_taken_that_misses_least_in_groups(walked, monkeypatch):
    """Within 2 % of the least pinball loss, and no further."""
    params, market, _, walks = walked
    scored = {
        "static": (100.0, 0.03),
        "rolling_12": (101.9, 0.02),
        "rolling_24": (102.1, 0.01),
    }

    def recalibrate(*_):
        return {name: recalibration.Recalibration(name, None) for name in scored}

    def score(outcome, name, groups, rules):
        pinball, in_groups = scored[name]
        return {"pinball": pinball, "promise": 0.0, "miscoverage": 0.0, "in_groups": in_groups}

    monkeypatch.setattr(recalibration, "recalibrate", recalibrate)
    monkeypatch.setattr(recalibration, "_score", score)
    given = walks["dam"].forecast, market, params.forecast, params.market
    assert choose_method(*given)[0] == "rolling_12"


def test_a_recalibration_without_enough_days_names_n_and_the_level(study):
    rules, params = study.params.market, study.params.forecast
    whole = study.original["dam"]
    with pytest.raises(DataError, match=r"0 residuals .* level 0\.05"):
        recalibration.recalibrate(
            whole, study.market, whole.dates[:1], ["rolling_24"], params, rules
        )


def test_one_day_alone_is_recalibrated_as_among_many(walked):
    params, market, splits, walks = walked
    whole = walks["rtm"].forecast
    for method in ("rolling_24", "aggregated", "group_adaptive"):
        many = recalibration.recalibrate(
            whole, market, splits.test, [method], params.forecast, params.market
        )[method].forecast
        date = splits.test[2:3]
        known = market.known_at(gate_time(date[0], params.market.dam_gate), params.market)
        one, _ = recalibration.recalibrate_day(
            whole, whole.on(date), known, method, params.forecast, params.market
        )
        np.testing.assert_array_equal(one.values[0], many.values[2])


def test_recalibration_repairs_a_biased_forecast_on_days_that_no_fit_saw():
    """Every level 800 Rs/MWh too low before, within sampling error of its share after."""
    market = make_market(120, seed=4)
    params = make_params(min_group_size=50).forecast
    days = market.dates[20:]
    centre = market.dam_mcp[20:] - np.random.default_rng(1).normal(0, 400, (100, 24))
    spread = np.array([-658.0, -270.0, 0.0, 270.0, 658.0])  # quantiles of that error
    biased = np.clip(centre[:, :, None] + spread - 800, 0, 10_000)
    wrong = QuantileForecast("dam", days, np.repeat("calibration", 100), LEVELS, biased)
    outcome = market.dam_mcp[50:]
    methods = ("rolling_24", "exponential", "adaptive", "aggregated", "group_adaptive")
    made = recalibration.recalibrate(wrong, market, days[30:], methods, params, PARAMS.market)
    for method in methods:
        for k, level in enumerate(LEVELS):
            before = np.mean(outcome <= wrong.values[30:, :, k])
            after = np.mean(outcome <= made[method].forecast.values[:, :, k])
            assert after == pytest.approx(level, abs=0.03), method
            assert abs(before - level) > 0.04
