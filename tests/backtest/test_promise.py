"""How a promise is judged: ranks by hand, a true promise passes, a false one does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bessvpp.backtest.promise import (
    judge_promise,
    ks_distance,
    learnt,
    profit_ranks,
    uniformity,
)


def test_ranks_by_hand():
    planned = [np.array([1.0, 2.0, 3.0, 4.0]), np.array([5.0, 5.0])]
    weights = [np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.5, 0.5])]
    ranks = profit_ranks(planned, weights, np.array([3.0, 5.0]))
    np.testing.assert_allclose(ranks, [0.1 + 0.2 + 0.15, 0.5])


def test_the_distance_is_that_of_kolmogorov_and_smirnov():
    values = np.random.default_rng(0).uniform(0, 1, 37) ** 1.3
    assert ks_distance(values) == pytest.approx(stats.kstest(values, "uniform").statistic)


def test_with_single_days_the_p_value_is_the_classical_one():
    for seed in range(4):
        values = np.random.default_rng(seed).uniform(0, 1, 60) ** (1 + 0.1 * seed)
        _, p_value = uniformity(values, np.random.default_rng(1), block=1)
        assert p_value == pytest.approx(stats.kstest(values, "uniform").pvalue, abs=0.02)


def test_runs_of_days_count_as_less_evidence():
    rng = np.random.default_rng(3)
    runs = np.repeat(rng.uniform(0, 1, 12) ** 1.6, 5)
    single = uniformity(runs, np.random.default_rng(1), block=1)[1]
    assert uniformity(runs, np.random.default_rng(1), block=5)[1] > 2 * single


def days(shift: float, n_days: int = 60):
    rng = np.random.default_rng(4)
    level = rng.normal(9e5, 2e5, n_days)
    planned = [mean + rng.normal(0, 3e5, 80) for mean in level]
    realised = level + rng.normal(shift, 3e5, n_days)
    return planned, [np.full(80, 1 / 80)] * n_days, realised


def test_a_true_promise_is_kept_and_one_that_is_too_high_is_not():
    kept = judge_promise(*days(0.0), alpha=0.1)
    assert kept.mean_is_kept
    assert kept.ks_p_value > 0.1
    assert kept.realised_cvar_low_rs < kept.planned_cvar_rs < kept.realised_cvar_high_rs
    broken = judge_promise(*days(-2.5e5), alpha=0.1)
    assert not broken.mean_is_kept
    assert broken.ks_p_value < 0.01
    assert broken.pit.mean() < 0.35


def test_a_promise_learns_from_days_two_before_it_by_hand():
    planned = [np.array([0.0, 20.0]), np.array([30.0, 50.0]), np.array([10.0, 50.0])]
    weights = [np.array([0.5, 0.5]), np.array([0.5, 0.5]), np.array([0.75, 0.25])]
    dates = np.array(["2024-01-01", "2024-01-02", "2024-01-04"], dtype="datetime64[D]")
    outcomes, shares = learnt(planned, weights, np.array([2.0, 64.0, 1e9]), dates)
    np.testing.assert_allclose(outcomes[0], planned[0])  # nothing is settled
    np.testing.assert_allclose(outcomes[1], planned[1])  # the day before is still being traded
    np.testing.assert_allclose(outcomes[2], [10, 50, 20 - 8, 20 + 24])
    np.testing.assert_allclose(shares[2], [5.25 / 9, 1.75 / 9, 1 / 9, 1 / 9])
    for values, share, mean in zip(outcomes, shares, (10, 40, 20 + (-8 + 24) / 9), strict=True):
        assert share.sum() == pytest.approx(1)
        assert share @ values == pytest.approx(mean)


def test_what_is_learnt_keeps_a_promise_that_was_too_high_and_too_narrow():
    planned, weights, realised = days(-2.5e5, 120)
    narrow = [paths.mean() + 0.4 * (paths - paths.mean()) for paths in planned]
    dates = np.datetime64("2024-01-01") + np.arange(120)
    broken = judge_promise(narrow, weights, realised, alpha=0.1)
    later = [part[30:] for part in (*learnt(narrow, weights, realised, dates), realised)]
    kept = judge_promise(*later, alpha=0.1)  # once there is something to learn from
    assert not broken.mean_is_kept
    assert broken.ks_p_value < 0.01
    assert kept.mean_is_kept
    assert kept.ks_p_value > 0.05
