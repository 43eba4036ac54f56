"""From quantiles to a whole distribution, and from a price to its score."""

from __future__ import annotations

import numpy as np
from scenario_cases import LEVELS, a_fan, draw, many, two_markets
from scipy.stats import kstest, norm

from bessvpp.scenarios.marginals import (
    SCORE_LIMIT,
    inverse_marginal,
    normal_scores,
    quantile_knots,
    with_atom_knots,
)


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


def test_an_atom_as_wide_as_what_lies_beyond_the_outer_level_begins_there():
    """A chance of exactly a quarter, with outer levels .25 and .75 that lie off floor and cap."""
    knots = quantile_knots(np.array([2000.0, 3000.0, 5000.0]), (0.25, 0.5, 0.75), 0.0, 10_000.0)
    quarter, none = np.array(0.25), np.array(np.nan)
    for chances, edge, atom in (((none, quarter), 0.75, 10_000.0), ((quarter, none), 0.25, 0.0)):
        at, price = with_atom_knots(*knots, *chances, 0.0, 10_000.0)
        assert (edge, atom) in list(zip(at, price, strict=True))


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
