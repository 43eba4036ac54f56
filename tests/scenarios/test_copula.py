"""Joint paths: marginals kept, dependence found, and nothing else let in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest, norm
from small_cases import make_params

from bessvpp.errors import DataError
from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.market.clock import gate_time, is_sunday
from bessvpp.market.history import Market
from bessvpp.runs.contents import read_fan, write_fan
from bessvpp.runs.folder import RunFolder
from bessvpp.scenarios.copula import copula_correlation, persistence_target, score_correlation
from bessvpp.scenarios.draw import (
    correlated_uniforms,
    draw_day,
    draw_fan,
    joint_uniforms,
    similar_day_uniforms,
)
from bessvpp.scenarios.marginals import (
    SCORE_LIMIT,
    inverse_marginal,
    normal_scores,
    quantile_knots,
    with_atom_knots,
)

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
DAY = np.datetime64("2024-05-01")
RULES = make_params().market


def many(n_scenarios: int, seed: int = 7):
    return make_params(n_scenarios=n_scenarios, seed=seed).scenarios


def correlation_of(n: int, phi: float = 0.9) -> np.ndarray:
    """A known correlation that falls with the distance between blocks."""
    place = np.arange(n)
    return phi ** np.abs(place[:, None] - place)


def two_markets(n_blocks: int, cross: float = 0.7) -> np.ndarray:
    one = correlation_of(n_blocks, 0.85)
    return np.block([[one, cross * one], [cross * one, one]])


def a_fan(n_blocks: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of both markets; the last DAM blocks have a quarter of a cap atom or more."""
    centre = 4000 + 100 * np.arange(n_blocks)[:, None]
    dam = centre + np.array([-1500.0, -400.0, 0.0, 600.0, 2500.0])
    rtm = 0.8 * centre + np.array([-2000.0, -700.0, 0.0, 500.0, 1500.0])
    dam[-4:, 3:] = 10_000.0
    dam[-2:, 2:] = 10_000.0
    return np.clip(dam, 0, 10_000), np.clip(rtm, 0, 10_000)


def draw(correlation, dam, rtm, params, rules=RULES, chances=None):
    """A day drawn by the copula."""
    uniforms = correlated_uniforms(correlation, params.n_scenarios, params.seed, DAY)
    forecasts = {}
    for name, values in (("dam", dam), ("rtm", rtm)):
        atoms = (chance[None] for chance in chances[name]) if chances else ()
        dates, split = np.array([DAY]), np.array(["test"])
        forecasts[name] = QuantileForecast(name, dates, split, LEVELS, values[None], *atoms)
    return draw_day(uniforms, forecasts, rules)


# ------------------------------------------------------------------------------ marginals


def test_a_marginal_is_linear_between_levels_and_goes_one_step_beyond():
    values = np.array([[1000.0, 2000.0, 2500.0, 4000.0, 9000.0]])
    probability, price = quantile_knots(values, LEVELS, 0.0, 10_000.0)
    assert probability.tolist() == [0, *LEVELS, 1]
    # 1000 - (2000 - 1000) = 0 below; 9000 + (9000 - 4000) = 14,000, capped, above.
    assert price[0].tolist() == [0, 1000, 2000, 2500, 4000, 9000, 10_000]
    u = np.array([[0.0], [0.025], [0.05], [0.15], [0.5], [0.85], [0.975], [1.0]])
    expected = [0, 500, 1000, 1500, 2500, 6500, 9500, 10_000]
    np.testing.assert_allclose(inverse_marginal(u, probability, price)[:, 0], expected)


def test_the_tails_stay_within_floor_and_cap_even_where_the_cap_changes():
    values = np.array([[[50.0, 900.0, 9_000.0]], [[50.0, 900.0, 9_000.0]]])
    caps = np.array([12_000.0, 10_000.0])[:, None, None]
    _, price = quantile_knots(values, (0.1, 0.5, 0.9), 20.0, caps)
    assert price[:, 0, -1].tolist() == [12_000, 10_000]
    assert price[:, 0, 0].tolist() == [20, 20]


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


def test_an_atom_as_wide_as_what_lies_beyond_the_outer_level_begins_there():
    """A chance of exactly a quarter, with outer levels .25 and .75 that lie off floor and cap."""
    knots = quantile_knots(np.array([2000.0, 3000.0, 5000.0]), (0.25, 0.5, 0.75), 0.0, 10_000.0)
    quarter, none = np.array(0.25), np.array(np.nan)
    for chances, edge, atom in (((none, quarter), 0.75, 10_000.0), ((quarter, none), 0.25, 0.0)):
        at, price = with_atom_knots(*knots, *chances, 0.0, 10_000.0)
        assert (edge, atom) in list(zip(at, price, strict=True))


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


# ------------------------------------------------------------------------------ correlation


def scores_seen(correlation, n_days, seed, share_at_cap=0.35):
    """True scores, and their ranges when the dearest share is only known to be at the cap."""
    rng = np.random.default_rng(seed)
    z = rng.multivariate_normal(np.zeros(len(correlation)), correlation, n_days)
    z = np.clip(z, -SCORE_LIMIT, SCORE_LIMIT)
    atom = norm.ppf(1 - share_at_cap)
    at_cap = z > atom
    return z, np.where(at_cap, atom, z), np.where(at_cap, SCORE_LIMIT, z)


def uneven(n: int = 6) -> np.ndarray:
    """A known correlation that is not one of distances: some blocks go their own way."""
    loading = np.random.default_rng(5).uniform(-1, 1.6, (n, 2))
    covariance = loading @ loading.T + 0.3 * np.eye(n)
    scale = np.sqrt(np.diag(covariance))
    return covariance / np.outer(scale, scale)


@pytest.mark.parametrize(
    "correlation",
    [correlation_of(6), two_markets(3), uneven()],
    ids=["persistent", "two markets", "uneven"],
)
def test_a_known_correlation_comes_back_though_a_third_of_scores_hide_at_the_cap(correlation):
    found, seen, naive = [], [], []
    for seed in range(12):
        z, low, high = scores_seen(correlation, 300, seed)
        found.append(score_correlation(low, high, 20, np.random.default_rng(seed)))
        seen.append(np.corrcoef(z.T))  # what 300 days would give if nothing were hidden
        naive.append(np.corrcoef((low + high).T / 2))
    found, seen, naive = (np.array(each) - correlation for each in (found, seen, naive))
    assert np.abs(found.mean(axis=0)).max() < 0.04
    error, sampling = (np.sqrt((each**2).mean()) for each in (found, seen))
    assert error < 0.05
    assert error < sampling + 0.01
    # Scores put in the middle of their range would not do.
    assert np.abs(naive.mean(axis=0)).max() > 0.07


@pytest.mark.slow
def test_it_comes_back_over_both_markets_of_a_whole_day():
    correlation = two_markets(24)
    for seed in range(3):
        z, low, high = scores_seen(correlation, 300, seed)
        found = score_correlation(low, high, 20, np.random.default_rng(seed))
        off = ~np.eye(48, dtype=bool)
        error = found - correlation
        full = np.corrcoef(z.T) - correlation
        # The mean over all pairs, and that of the same block in the two markets.
        assert abs(error[off].mean()) < 0.03
        assert abs(np.diag(error, 24).mean()) < 0.05
        assert abs(np.diag(error, 1).mean()) < 0.02
        # What sampling alone costs, and little more.
        assert np.sqrt((error[off] ** 2).mean()) < 1.3 * np.sqrt((full[off] ** 2).mean())


def test_a_correlation_can_be_drawn_from_even_with_few_days_and_many_blocks():
    _, low, high = scores_seen(two_markets(24), 20, 0)
    found = score_correlation(low, high, 20, np.random.default_rng(0))
    np.testing.assert_allclose(np.diag(found), 1)
    np.testing.assert_allclose(found, found.T)
    assert np.linalg.eigvalsh(found).min() > 1e-6


def test_short_histories_are_shrunk_towards_what_all_blocks_share():
    known = two_markets(8)
    np.testing.assert_allclose(persistence_target(known), known, atol=1e-6)
    _, low, _ = scores_seen(known, 12, 3)
    sample = np.corrcoef(low.T)
    target = persistence_target(sample)
    assert np.linalg.eigvalsh(target).min() > 0
    np.testing.assert_allclose(np.diag(target), 1)
    # A pair a block apart is moved to about what such pairs have on average in its market.
    lag = np.diagonal(sample[:8, :8], 1).mean()
    assert np.diagonal(target[:8, :8], 1) == pytest.approx(lag, abs=0.08)
    errors = [np.sqrt(((m - known) ** 2).mean()) for m in (sample, target)]
    assert errors[1] < errors[0]


def test_the_same_seed_gives_the_same_correlation():
    _, low, high = scores_seen(correlation_of(8), 60, 0)
    first, again = (score_correlation(low, high, 5, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_too_few_days_for_a_correlation_is_an_error_that_says_how_many():
    _, low, high = scores_seen(correlation_of(4), 7, 0)
    with pytest.raises(DataError, match="7 out-of-sample days are too few"):
        score_correlation(low, high, 5, np.random.default_rng(0))


def test_a_block_that_sits_at_the_cap_every_day_does_not_break_the_correlation():
    """Its score never varies; it must still be possible to draw the other blocks."""
    _, low, high = scores_seen(correlation_of(6), 60, 1)
    low[:, 2], high[:, 2] = SCORE_LIMIT, SCORE_LIMIT  # the fan reached the cap nowhere there
    found = score_correlation(low, high, 10, np.random.default_rng(0))
    assert np.isfinite(found).all()
    assert np.linalg.eigvalsh(found).min() > 0


# ------------------------------------------------------------------------------ scores


def test_scores_by_hand():
    knots = np.array([0.0, 1000.0, 2000.0, 2500.0, 4000.0, 10_000.0, 10_000.0])
    price = np.tile(knots, (1, 6, 1))
    probability = np.array([0.0, *LEVELS, 1.0])
    y = np.array([[1500.0, 2500.0, 3250.0, 10_000.0, 0.0, 500.0]])
    low, high = normal_scores(y, probability, price, 0.0, np.array([[10_000.0]]))
    # Halfway between .05 and .25; the median; halfway to .75; the cap from .95; the floor.
    point = norm.ppf([0.15, 0.5, 0.625])
    np.testing.assert_allclose(low[0, :3], point, atol=1e-12)
    np.testing.assert_allclose(high[0, :3], point, atol=1e-12)
    np.testing.assert_allclose([low[0, 3], high[0, 3]], [norm.ppf(0.95), SCORE_LIMIT])
    np.testing.assert_allclose([low[0, 4], high[0, 4]], [-SCORE_LIMIT, -SCORE_LIMIT])
    np.testing.assert_allclose(low[0, 5], norm.ppf(0.025))


def test_an_outcome_on_a_flat_stretch_scores_in_its_middle():
    """Equal quantiles put an atom between them, which is no cap and no floor."""
    knots = np.array([0.0, 1000.0, 3000.0, 3000.0, 3000.0, 5000.0, 6000.0])
    y, cap = np.array([[3000.0]]), np.array([[10_000.0]])
    low, high = normal_scores(y, np.array([0.0, *LEVELS, 1.0]), knots[None, None], 0.0, cap)
    np.testing.assert_allclose([low[0, 0], high[0, 0]], norm.ppf([0.5, 0.5]), atol=1e-12)


def test_outcomes_beyond_the_marginal_are_held_at_the_limit():
    knots = np.array([2000.0, 2100.0, 2200.0, 2300.0, 2400.0, 2500.0, 2600.0])
    y, cap = np.array([[1.0, 9000.0]]), np.array([[10_000.0]])
    price = np.tile(knots, (1, 2, 1))
    low, high = normal_scores(y, np.array([0.0, *LEVELS, 1.0]), price, 0.0, cap)
    assert low[0].tolist() == high[0].tolist() == [-SCORE_LIMIT, SCORE_LIMIT]


def test_scores_of_outcomes_drawn_from_the_forecast_are_standard_normal():
    dam, rtm = a_fan()
    paths = draw(two_markets(24), dam, rtm, many(3000))
    knots = quantile_knots(np.tile(rtm, (3000, 1, 1)), LEVELS, 0.0, 10_000.0)
    low, high = normal_scores(paths.rtm, *knots, 0.0, np.array([[10_000.0]]))
    assert np.mean(low == high) > 0.99
    for t in range(0, 24, 5):
        assert kstest(norm.cdf(low[:, t]), "uniform").pvalue > 1e-5


def test_a_cap_that_was_higher_is_the_cap_of_its_own_days():
    """12,000 was no atom while the cap was 20,000."""
    knots = np.array([0.0, 1000.0, 2000.0, 2500.0, 4000.0, 12_000.0, 20_000.0])
    y, cap = np.full((2, 1), 12_000.0), np.array([[20_000.0], [12_000.0]])
    price = np.minimum(np.tile(knots, (2, 1, 1)), cap[:, :, None])
    low, high = normal_scores(y, np.array([0.0, *LEVELS, 1.0]), price, 0.0, cap)
    np.testing.assert_allclose([low[0, 0], high[0, 0]], norm.ppf([0.95, 0.95]), atol=1e-12)
    np.testing.assert_allclose([low[1, 0], high[1, 0]], [norm.ppf(0.95), SCORE_LIMIT])


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
            study.recalibrated, study.correlation, moved, np.array([date]), RULES, params
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


# ------------------------------------------------------------------------------ from data


def test_the_correlation_uses_only_whole_days_known_at_the_decision(study):
    rules, params = study.params.market, study.params.scenarios
    first = study.splits.test[0]
    market, gate = study.market, gate_time(study.splits.test[0], rules.dam_gate)
    base = copula_correlation(study.original, market.known_at(gate, rules), rules, params)
    np.testing.assert_array_equal(base, study.correlation)
    # Whatever the test days bring, and the RTM after the gate, it is the same.
    place = market.index_of(first)
    dam, rtm = market.dam_mcp.copy(), market.rtm_mcp.copy()
    dam[place:], rtm[place:], rtm[place - 1, 11:] = 1.0, 9.0, 7.0
    moved = Market(market.dates, dam, rtm, market.rtm_no_trade, market.extras, False)
    after = copula_correlation(study.original, moved.known_at(gate, rules), rules, params)
    np.testing.assert_array_equal(base, after)
    # Yesterday, known in part, is as if it were not there.
    whole = copula_correlation(study.original, market.days(0, place - 1), rules, params)
    np.testing.assert_array_equal(base, whole)
    # A price of any whole day out of sample does change it, the first and the last.
    for day in (market.index_of(study.splits.calibration[0]), place - 2):
        prices = market.rtm_mcp.copy()
        prices[day, 20] += 500.0
        moved = Market(
            market.dates, market.dam_mcp, prices, market.rtm_no_trade, market.extras, False
        )
        after = copula_correlation(study.original, moved.known_at(gate, rules), rules, params)
        assert not np.array_equal(base, after)


def test_the_correlation_puts_the_dam_first(study):
    """Swapping the markets' forecasts and prices swaps the halves of the matrix."""
    correlation = study.correlation
    assert correlation.shape == (48, 48)
    market = study.market
    swapped = Market(
        market.dates, market.rtm_mcp, market.dam_mcp, market.rtm_no_trade, market.extras, False
    )
    other = {
        "dam": replace(study.original["rtm"], market="dam"),
        "rtm": replace(study.original["dam"], market="rtm"),
    }
    whole = study.splits.test[0] - 1  # days before that one are known in both markets
    rules = study.params.market

    def until(history):
        return history.days(0, history.index_of(whole))

    params = study.params.scenarios
    straight = copula_correlation(study.original, until(market), rules, params)
    turned = copula_correlation(other, until(swapped), rules, params)
    order = np.r_[24:48, 0:24]
    np.testing.assert_allclose(turned, straight[np.ix_(order, order)], atol=0.1)
    assert np.abs(turned - straight).max() > 0.3


def test_too_few_whole_days_out_of_sample_are_named(study):
    rules = study.params.market
    early = study.market.days(0, study.market.index_of(study.splits.calibration[0]) + 5)
    with pytest.raises(DataError, match="5 out-of-sample days are too few"):
        copula_correlation(study.original, early, rules, study.params.scenarios)


def test_fans_are_read_back_as_they_were_written(tmp_path, study):
    run = RunFolder(tmp_path)
    write_fan(run, "original", study.splits.test, study.window.fans["original"])
    back = read_fan(run, "original")
    assert list(back) == list(study.splits.test)
    for date, day in zip(study.splits.test, study.window.fans["original"], strict=True):
        np.testing.assert_array_equal(back[date].dam, day.dam)
        np.testing.assert_array_equal(back[date].rtm, day.rtm)
        np.testing.assert_array_equal(back[date].weights, day.weights)
