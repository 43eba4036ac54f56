"""Joint paths: marginals kept, draws fixed by seed and date, and nothing else let in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scenario_cases import DAY, LEVELS, RULES, a_fan, correlation_of, draw, many, two_markets
from scipy.stats import kstest, norm
from small_cases import make_params

from bessvpp.errors import DataError
from bessvpp.market.clock import gate_time, is_sunday
from bessvpp.market.history import Market
from bessvpp.scenarios.draw import (
    correlated_uniforms,
    draw_fan,
    joint_uniforms,
    similar_day_uniforms,
)
from bessvpp.scenarios.marginals import SCORE_LIMIT, normal_scores, quantile_knots, with_atom_knots

# ------------------------------------------------------------------------------ marginals


@pytest.mark.parametrize("market", ["dam", "rtm"])
def test_paths_keep_the_marginals_they_are_drawn_from(market):
    dam, rtm = a_fan()
    n = 4000
    paths = draw(two_markets(24), dam, rtm, many(n))
    drawn, quantiles = (paths.dam, dam) if market == "dam" else (paths.rtm, rtm)
    for k, level in enumerate(LEVELS):
        at_or_below = (drawn <= quantiles[:, k]).mean(axis=0)
        below = (drawn < quantiles[:, k]).mean(axis=0)
        assert at_or_below.min() >= level - 1e-3
        assert below.max() <= level + 1e-3
    free = quantiles[:, -1] < 10_000  # no atom: the whole distribution
    probability, price = quantile_knots(quantiles, LEVELS, 0.0, 10_000.0)
    for t in np.flatnonzero(free):
        u = np.interp(drawn[:, t], price[t], probability)
        assert kstest(u, "uniform").pvalue > 1e-5


def test_the_cap_has_the_probability_that_the_fan_gives_it():
    dam, rtm = a_fan()
    n = 4000
    paths = draw(two_markets(24), dam, rtm, many(n))
    hits = (paths.dam == 10_000).sum(axis=0)
    # The last two blocks reach the cap at the median, the two before at level .75.
    assert hits[20:22] / n == pytest.approx(0.25, abs=1e-3)
    assert hits[22:24] / n == pytest.approx(0.5, abs=1e-3)
    assert (hits[:10] == 0).all()


def test_the_atoms_have_the_chances_that_were_forecast_between_the_levels_too():
    """A cap that begins at .85, between the levels .75 and .95, and a floor up to .15."""
    dam, rtm = a_fan()
    dam[-4:, 2:] = [8000.0, 9000.0, 10_000.0]  # .75 below the cap, .95 on it
    rtm[:3, 0] = 0.0
    none = np.full(24, np.nan)
    p_cap, p_floor = np.where(np.arange(24) >= 20, 0.15, 0.01), none.copy()
    p_floor[:3] = 0.15
    chances = {"dam": (none, p_cap), "rtm": (p_floor, none)}
    n = 4000
    drawn = draw(two_markets(24), dam, rtm, many(n), chances=chances)
    assert (drawn.dam == 10_000).mean(axis=0)[20:] == pytest.approx(0.15, abs=1e-3)
    assert (drawn.rtm == 0).mean(axis=0)[:3] == pytest.approx(0.15, abs=1e-3)
    # Chances smaller than the outer level, or not modelled, change nothing.
    plain = draw(two_markets(24), dam, rtm, many(n))
    np.testing.assert_array_equal(drawn.dam[:, :20], plain.dam[:, :20])
    np.testing.assert_array_equal(drawn.rtm[:, 3:], plain.rtm[:, 3:])
    # An outcome at the cap scores anywhere in its atom, and no further.
    knots = quantile_knots(dam[None], LEVELS, 0.0, 10_000.0)
    knots = with_atom_knots(*knots, none[None], p_cap[None], 0.0, 10_000.0)
    low, high = normal_scores(np.full((1, 24), 10_000.0), *knots, 0.0, np.array([[10_000.0]]))
    np.testing.assert_allclose(low[0, 20:], norm.ppf(0.85), atol=1e-9)
    np.testing.assert_allclose(high[0, 20:], SCORE_LIMIT)


def test_paths_stay_within_floor_and_cap_and_weigh_the_same():
    dam, rtm = a_fan()
    paths = draw(two_markets(24), dam, rtm, many(500))
    both = np.stack([paths.dam, paths.rtm])
    assert both.shape == (2, 500, 24)
    assert both.min() >= 0
    assert both.max() <= 10_000
    assert paths.weights == pytest.approx(1 / 500)
    caps = [{"effective_from": "2012-01-01", "cap_rs_per_mwh": 7000.0}]
    low = make_params(price_caps=caps, price_floor_rs_per_mwh=2500.0).market
    clipped = np.clip(dam, 2500, 7000), np.clip(rtm, 2500, 7000)
    both = draw(two_markets(24), *clipped, many(500), rules=low)
    assert both.dam.max() == 7000
    assert both.rtm.min() >= 2500


def test_both_fans_come_from_the_same_draws():
    """Turned back through its own marginals, each fan gives the same uniforms, to half a tick."""
    dam, rtm = (np.linspace(low, high, 24)[:, None] for low, high in ((3000, 5000), (2000, 6000)))
    spread = np.array([-900.0, -300.0, 0.0, 500.0, 1400.0])
    fans = (dam + spread, rtm + 1.3 * spread), (dam + 0.4 * spread - 200, rtm + 0.9 * spread + 80)
    uniforms = []
    for fan in fans:
        paths = draw(two_markets(24), *fan, many(50))
        for drawn, quantiles in ((paths.dam, fan[0]), (paths.rtm, fan[1])):
            probability, price = quantile_knots(quantiles, LEVELS, 0.0, 10_000.0)
            uniforms.append(
                [np.interp(drawn[:, t], price[t], probability) for t in range(drawn.shape[1])]
            )
    np.testing.assert_allclose(uniforms[0], uniforms[2], atol=1e-5)
    np.testing.assert_allclose(uniforms[1], uniforms[3], atol=1e-5)
    expected = correlated_uniforms(two_markets(24), 50, 7, DAY)
    np.testing.assert_allclose(np.transpose(uniforms[0]), expected[:, :24], atol=1e-5)
    np.testing.assert_allclose(np.transpose(uniforms[1]), expected[:, 24:], atol=1e-5)


# ------------------------------------------------------------------------------ draws


def test_seed_and_date_alone_decide_the_draws():
    correlation = two_markets(24)
    first = correlated_uniforms(correlation, 30, 7, DAY)
    correlated_uniforms(correlation, 11, 7, DAY + 1)
    np.random.default_rng(7).random(5)
    np.testing.assert_array_equal(first, correlated_uniforms(correlation, 30, 7, DAY))
    later = DAY.astype("datetime64[s]")  # the same day in another unit
    np.testing.assert_array_equal(first, correlated_uniforms(correlation, 30, 7, later))
    for other in (
        correlated_uniforms(correlation, 30, 8, DAY),
        correlated_uniforms(correlation, 30, 7, DAY + 1),
        correlated_uniforms(correlation, 30, 8, DAY - 1),
    ):
        assert np.mean(np.isclose(first, other)) < 0.15  # ranks of 30 may meet by chance


def test_draws_have_the_correlation_asked_for_and_evenly_spread_margins():
    correlation = two_markets(6)
    uniforms = correlated_uniforms(correlation, 20_000, 7, DAY)
    found = np.corrcoef(norm.ppf(uniforms).T)
    assert np.abs(found - correlation).max() < 0.03  # four standard errors
    # Each block's draws are the middles of equal strata, so no mean is left to chance.
    few = correlated_uniforms(correlation, 8, 7, DAY)
    middles = (np.arange(8) + 0.5) / 8
    np.testing.assert_allclose(np.sort(few, axis=0), np.tile(middles[:, None], 12))


def test_draws_of_neighbouring_days_are_independent():
    days = [correlated_uniforms(correlation_of(24), 5, 7, DAY + k)[0] for k in range(400)]
    scores = norm.ppf(np.array(days))
    lagged = [np.corrcoef(scores[:-1, t], scores[1:, t])[0, 1] for t in range(24)]
    assert np.abs(lagged).max() < 4.5 / np.sqrt(400)


# ------------------------------------------------------------------------------ similar days


def a_market(n_days: int = 40, seed: int = 0) -> Market:
    rng = np.random.default_rng(seed)
    level = rng.uniform(2000, 7000, (n_days, 1))
    dam = np.clip(level + 800 * rng.standard_normal((n_days, 24)), 0, 10_000)
    rtm = np.clip(dam + 600 * rng.standard_normal((n_days, 24)), 0, 10_000)
    dates = DAY - n_days + np.arange(n_days)
    return Market(dates, dam, rtm, np.zeros(dam.shape, dtype=bool), {}, False)


def known_before(market: Market, date: np.datetime64) -> Market:
    return market.known_at(gate_time(date, RULES.dam_gate), RULES)


def test_shuffled_draws_are_evenly_spaced_in_the_order_of_similar_days():
    market = a_market()
    known = known_before(market, DAY)
    uniforms = similar_day_uniforms(known, 10, 7, DAY)
    middles = (np.arange(10) + 0.5) / 10
    np.testing.assert_allclose(np.sort(uniforms, axis=0), np.tile(middles[:, None], 48))
    # The slow way: whole days with a day before them, of DAY's kind (a Wednesday), nearest first.
    eve = market.dam_mcp[-1]
    apart = {
        k: np.sqrt(np.mean((market.dam_mcp[k - 1] - eve) ** 2))
        for k in range(1, 39)  # the RTM of the last day is not known to its end
        if not is_sunday(market.dates[k])
    }
    nearest = sorted(apart, key=apart.get)[:10]
    prices = np.hstack([market.dam_mcp, market.rtm_mcp])[nearest]
    expected = (np.argsort(np.argsort(prices, axis=0), axis=0) + 0.5) / 10
    np.testing.assert_allclose(uniforms, expected)


@pytest.mark.parametrize("dependence", ["similar_days", "copula"])
def test_a_fan_of_test_days_does_not_see_the_days_themselves(study, dependence):
    """Prices changed from what the day's gate does not know on leave its paths as they are."""
    params = make_params(dependence=dependence).scenarios
    date, market = study.splits.test[2], study.market
    place = market.index_of(date)

    def fan(dam, rtm):
        moved = replace(market, dam_mcp=dam, rtm_mcp=rtm)
        (day,) = draw_fan(
            study.recalibrated, [study.correlation], moved, np.array([date]), RULES, params
        )
        return np.hstack([day.dam, day.rtm])

    base = fan(market.dam_mcp, market.rtm_mcp)
    dam, rtm = market.dam_mcp.copy(), market.rtm_mcp.copy()
    dam[place:], rtm[place:] = dam[place:, ::-1], rtm[place:, ::-1]
    rtm[place - 1, 11:] = rtm[place - 1, 11:][::-1]
    np.testing.assert_array_equal(fan(dam, rtm), base)
    # A whole day that the gate knows does change the order of similar days.
    dam[place - 8 : place] = dam[place - 8 : place, ::-1]
    assert np.array_equal(fan(dam, rtm), base) == (dependence == "copula")


def test_a_sunday_is_shuffled_by_sundays_first():
    assert is_sunday(np.array(["2024-05-04", "2024-05-05", "2024-05-06"], "M8[D]")).tolist() == [
        False,
        True,
        False,
    ]
    market = a_market(46)  # ends on 30 April
    sunday = np.datetime64("2024-04-28")
    known = known_before(market, sunday)
    rows = [k for k in range(1, 42) if is_sunday(market.dates[k])]
    uniforms = similar_day_uniforms(known, len(rows), 7, sunday)
    prices = np.hstack([market.dam_mcp, market.rtm_mcp])[rows]
    expected, found = (np.argsort(np.argsort(v, axis=0), axis=0) for v in (prices, uniforms))
    assert sorted(found.tolist()) == sorted(expected.tolist())  # the same days, nearest first


def test_few_similar_days_serve_several_times_and_none_is_an_error():
    known = known_before(a_market(12), DAY)
    uniforms = similar_day_uniforms(known, 30, 7, DAY)
    middles = (np.arange(30) + 0.5) / 30
    np.testing.assert_allclose(np.sort(uniforms, axis=0), np.tile(middles[:, None], 48))
    with pytest.raises(DataError, match="2 whole days are too few to shuffle by"):
        similar_day_uniforms(known_before(a_market(4), DAY), 30, 7, DAY)


def test_the_parameters_choose_the_dependence():
    known = known_before(a_market(), DAY)
    params = make_params(n_scenarios=9, dependence="similar_days").scenarios
    np.testing.assert_array_equal(
        joint_uniforms(two_markets(24), known, DAY, params),
        similar_day_uniforms(known, 9, params.seed, DAY),
    )
    params = make_params(n_scenarios=9).scenarios
    np.testing.assert_array_equal(
        joint_uniforms(two_markets(24), known, DAY, params),
        correlated_uniforms(two_markets(24), 9, params.seed, DAY),
    )
