"""The correlation of blocks and markets is found, from days that are known alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scenario_cases import correlation_of, two_markets
from scipy.stats import norm

from bessvpp.errors import DataError
from bessvpp.market.clock import gate_time
from bessvpp.market.history import Market
from bessvpp.scenarios.copula import copula_correlation, persistence_target, score_correlation
from bessvpp.scenarios.marginals import SCORE_LIMIT


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
