"""Recalibration day by day: what a gate knows, every method, and the choice among them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from small_cases import make_market, make_params

from bessvpp.calibration import conformal, recalibration
from bessvpp.calibration.conformal import KnownResiduals, day_shifts, shifted
from bessvpp.calibration.gate import (
    Gate,
    calibrated_chances,
    groups_at_gate,
    groups_over_days,
    regimes,
)
from bessvpp.calibration.methods import method_named, method_names
from bessvpp.calibration.recalibration import choose_method
from bessvpp.errors import DataError, ParameterError
from bessvpp.forecasting import walk_forward
from bessvpp.forecasting.features import feature_frame
from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.forecasting.splits import split_days
from bessvpp.market import history
from bessvpp.market.clock import gate_time
from bessvpp.market.history import MARKETS, Market

PARAMS = make_params()
LEVELS = PARAMS.forecast.levels
METHODS = (*method_names(PARAMS.forecast), "two_sided")


def capped_market(n_days: int, seed: int = 0) -> Market:
    """Dear evenings: many of their blocks sit at the cap, in spells of days."""
    market = make_market(n_days, seed=seed)
    rng = np.random.default_rng(seed + 100)
    tight = np.cumsum(rng.normal(0, 1, n_days)) * 700
    evening = 3000 * np.exp(-(((np.arange(24) - 20) / 2.5) ** 2))
    lift = evening + tight[:, None] * (evening > 500)
    return replace(
        market,
        dam_mcp=np.clip(market.dam_mcp + lift, 0, 10_000),
        rtm_mcp=np.clip(market.rtm_mcp + lift, 0, 10_000),
    )


@pytest.fixture(scope="module")
def walked():
    """A market with a cap, and its walk-forward forecasts by market."""
    params = make_params(
        calibration_days=50, test_days=10, retrain_every_days=20, min_group_size=30
    )
    market = capped_market(120)
    splits = split_days(market, params.forecast)
    features = features_of(market, params)
    walks = {
        name: walk_forward.walk_forward(
            name, features, market, splits, params.forecast, params.market
        )
        for name in MARKETS
    }
    return params, market, splits, walks


def features_of(market, params):
    return feature_frame(market, market.dates[params.forecast.warmup_days :], params.market)


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


def after_the_gate(market: Market, date: np.datetime64) -> Market:
    """The market with everything changed that the day's gate does not know."""
    day = market.index_of(date)
    dam, rtm = market.dam_mcp.copy(), market.rtm_mcp.copy()
    dam[day:], rtm[day:], rtm[day - 1, 11:] = 1111.0, 2222.0, 3333.0
    return replace(market, dam_mcp=dam, rtm_mcp=rtm)


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


def test_a_fan_sits_on_the_cap_exactly_as_often_as_its_chance_says(walked):
    _, _, splits, walks = walked
    fan = walks["dam"].forecast.on(splits.test)
    on_cap = fan.values >= 10_000
    expected = np.array(LEVELS) >= 1 - fan.p_cap[:, :, None]
    np.testing.assert_array_equal(on_cap, expected)
    assert on_cap.any()


def test_chances_of_the_cap_that_were_too_high_are_brought_down(walked):
    params, market, splits, walks = walked
    whole = walks["dam"].forecast
    odds = whole.p_cap / (1 - whole.p_cap)
    wrong = replace(whole, p_cap=8 * odds / (1 + 8 * odds))
    day = splits.test[-1]
    gates = [Gate.of(one, market, day, params.market) for one in (whole, wrong)]
    right, repaired = (calibrated_chances(gate)[1] for gate in gates)
    np.testing.assert_allclose(repaired, right, atol=0.01)
    hit = (gates[0].outcome >= 10_000).mean()
    past = [
        calibrated_chances(replace(gates[1], today=gates[1].past.on(gates[1].past.dates[[d]])))[1]
        for d in range(len(gates[1].past.dates))
    ]
    assert np.mean(past) == pytest.approx(hit, abs=0.01)
    assert np.mean(wrong.p_cap) > 1.5 * hit


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


def test_adaptive_levels_learn_from_the_fan_that_was_issued(walked, monkeypatch):
    """With the recalibrated chance of the cap, not with the one first forecast."""
    params, market, splits, walks = walked
    whole = walks["dam"].forecast
    odds = whole.p_cap / (1 - whole.p_cap)
    wrong = replace(whole, p_cap=8 * odds / (1 + 8 * odds))
    learnt = []

    def observe(self, member, outcome, issued):
        learnt.append(issued)

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

    def observe(self, member, outcome, issued):
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


@pytest.mark.parametrize("name", MARKETS)
def test_methods_are_judged_by_their_misses_in_each_hour_and_known_group(walked, name):
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
    )["rolling_12"].forecast.values
    y = history.prices_of(market, name)[[market.index_of(day) for day in judged]]
    before = calibration.on(judged)
    regime = regimes(before)
    groups = [np.arange(24) == hour for hour in range(24)]
    groups += groups_over_days(judged, before.values, LEVELS, regime).values()
    misses = []
    for group in groups:
        at = np.broadcast_to(group, y.shape) & np.isfinite(y)
        if at.any():
            below = (y[at][:, None] < made[at]).mean(axis=0)
            upto = (y[at][:, None] <= made[at]).mean(axis=0)
            kept = np.clip(LEVELS, below, upto)
            misses.append(np.abs(kept - LEVELS).mean())
    assert len(misses) > 28
    assert table.loc["rolling_12", "in_groups"] == pytest.approx(np.mean(misses))


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

    def score(outcome, name, groups):
        pinball, in_groups = scored[name]
        return {"pinball": pinball, "miscoverage": 0.0, "in_groups": in_groups}

    monkeypatch.setattr(recalibration, "recalibrate", recalibrate)
    monkeypatch.setattr(recalibration, "_score", score)
    given = walks["dam"].forecast, market, params.forecast, params.market
    assert choose_method(*given)[0] == "rolling_12"


def test_chances_are_recalibrated_by_the_last_120_days():
    """Always on the cap before, in every fourth day since: the chance forecast says nothing."""
    gate = gate_of(np.datetime64("2024-12-01"), [5000.0] * 200, np.full(24, 5000.0), [0.01] * 24)
    outcome = np.full((200, 24), 5000.0)
    outcome[:80] = outcome[80::4] = 10_000.0
    found = calibrated_chances(replace(gate, outcome=outcome))[1]
    np.testing.assert_allclose(found, 0.25, atol=0.005)


def test_a_recalibration_without_enough_days_names_n_and_the_level(study):
    rules, params = study.params.market, study.params.forecast
    whole = study.original["dam"]
    with pytest.raises(DataError, match=r"0 residuals .* level 0\.05"):
        recalibration.recalibrate(
            whole, study.market, whole.dates[:1], ["rolling_24"], params, rules
        )


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
    told = {"recalibration_windows": [30, 60, 120], "group_step": 0.005, "recalibration": "auto"}
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
