"""The cross block is moved until prices, not ranks, follow each other as they did."""

from __future__ import annotations

import numpy as np
import pytest
from scenario_cases import two_markets
from scipy.stats import norm

from bessvpp.scenarios.between_markets import (
    STRONGEST,
    cross_strength,
    hermite_coefficients,
    moments,
    with_cross_strength,
)

GRID = norm.cdf(np.linspace(-4, 4, 161))
KNOTS = np.concatenate([[0.0], GRID, [1.0]])


def marginals(of_score, n_days: int, n_blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Knots of prices that are a rising function of a normal score, the same in every block."""
    price = of_score(np.concatenate([[-4.2], norm.ppf(GRID), [4.2]]))
    shape = (n_days, n_blocks, len(KNOTS))
    return np.broadcast_to(KNOTS, shape), np.broadcast_to(price, shape)


def skewed(z):
    return 3000 * np.exp(0.6 * z)


def straight(z):
    return 4000 + 900 * z


def test_the_ends_are_no_connection_and_markets_that_move_as_one():
    known = two_markets(5, 0.4)
    np.testing.assert_allclose(with_cross_strength(known, 0.0), known)
    apart, whole = (with_cross_strength(known, strength) for strength in (-1.0, 1.0))
    assert not apart[:5, 5:].any()
    # Two markets of the same persistence are then one.
    np.testing.assert_allclose(whole[:5, 5:], known[:5, :5], atol=1e-12)
    np.testing.assert_allclose(with_cross_strength(known, -0.25)[:5, 5:], 0.75 * known[:5, 5:])
    rng = np.random.default_rng(3)
    loading = rng.normal(size=(12, 3))
    covariance = loading @ loading.T + np.eye(12)
    scale = np.sqrt(np.diag(covariance))
    uneven = covariance / np.outer(scale, scale)
    for strength in (-1, -0.5, 0, 0.3, 0.7, STRONGEST):
        moved = with_cross_strength(uneven, strength)
        assert np.linalg.eigvalsh(moved).min() > 0
        for half in (slice(0, 6), slice(6, 12)):
            np.testing.assert_allclose(moved[half, half], uneven[half, half])
        np.testing.assert_allclose(moved, moved.T)


def test_covariance_of_prices_under_the_copula_is_that_of_many_draws():
    dam, rtm = marginals(skewed, 1, 1), marginals(lambda z: np.minimum(skewed(z), 5000), 1, 1)
    a, b = (hermite_coefficients(*of)[0, 0] for of in (dam, rtm))
    rng, rho = np.random.default_rng(0), 0.6
    z = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], 400_000)
    x, y = (np.interp(norm.cdf(z[:, k]), KNOTS, of[1][0, 0]) for k, of in enumerate((dam, rtm)))
    expected = np.cov(x, y)[0, 1]
    assert (a * b * rho ** np.arange(1, len(a) + 1)).sum() == pytest.approx(expected, rel=0.02)
    # Lognormal prices have it in closed form.
    closed = 3000**2 * np.exp(0.36) * (np.exp(0.36 * rho) - 1)
    assert (a * a * rho ** np.arange(1, len(a) + 1)).sum() == pytest.approx(closed, rel=0.02)


def test_moments_of_a_marginal_are_those_of_its_lines():
    mean, variance = moments(np.array([0.0, 0.5, 0.5, 1.0]), np.array([0.0, 4.0, 10.0, 10.0]))
    # Half of it even between 0 and 4, half on 10.
    assert mean == pytest.approx(6.0)
    assert variance == pytest.approx(0.5 * 16 / 3 + 0.5 * 100 - 36)


@pytest.mark.parametrize("true", [0.15, 0.45, 0.75])
def test_prices_that_follow_more_or_less_than_their_ranks_said_are_found(true):
    """Days drawn with one cross correlation, the copula handed another."""
    n_days, n = 3000, 4
    rng = np.random.default_rng(1)
    z = rng.multivariate_normal(np.zeros(2 * n), two_markets(n, true), n_days)
    knots = marginals(skewed, n_days, n), marginals(straight, n_days, n)
    prices = skewed(z[:, :n]), straight(z[:, n:])
    given = two_markets(n, 0.45)
    strength = cross_strength(given, knots, prices)
    assert np.sign(round(strength, 1)) == np.sign(round(true - 0.45, 1))
    found = np.diag(with_cross_strength(given, strength)[:n, n:])
    np.testing.assert_allclose(found, true, atol=0.03)


def test_markets_that_oppose_each_other_or_never_surprise_stay_within_bounds():
    n_days, n = 200, 3
    z = np.random.default_rng(2).normal(size=(n_days, n))
    knots = marginals(straight, n_days, n), marginals(straight, n_days, n)
    given = two_markets(n, 0.4)
    assert cross_strength(given, knots, (straight(z), straight(-z))) == -1
    assert cross_strength(given, knots, (straight(z), straight(z))) == STRONGEST
    sure = straight(np.zeros((n_days, n)))
    assert cross_strength(given, knots, (sure, sure)) == 0
