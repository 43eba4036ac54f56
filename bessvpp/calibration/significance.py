"""Tests of forecasts: Diebold and Mariano, Kupiec, Christoffersen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import chi2
from scipy.stats import t as student
from statsmodels.regression.linear_model import OLS


def diebold_mariano(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Diebold and Mariano's statistic of two series of daily losses, and its p-value.

    The mean difference over its standard error, which allows for correlation from day to day
    (Newey and West, with ``D^(1/3)`` lags). Negative: the first forecast is the better one.
    """
    difference = first - second
    n = len(difference)
    lags = int(np.floor(np.round(np.cbrt(n), 9)))  # a power of 1/3 would give 3 for 64
    fitted = OLS(difference, np.ones(n)).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    statistic = float(fitted.tvalues[0])
    return statistic, float(2 * student.sf(abs(statistic), n - 1))


def kupiec(x: int, n: int, level: float) -> float:
    """p-value of the test that x hits in n trials come from the level (Kupiec, 1995)."""
    ratio = -2 * (_log_likelihood(x, n, level) - _log_likelihood(x, n, x / n))
    return float(chi2.sf(ratio, 1))


def christoffersen(before: np.ndarray, after: np.ndarray) -> float:
    """p-value of the test that a hit says nothing about the next day's (Christoffersen, 1998).

    Parameters
    ----------
    before, after : (n,) bool, hits of days and of the days that follow them
    """
    n_0, n_1 = int(np.sum(~before)), int(np.sum(before))
    x_0, x_1 = int(np.sum(after & ~before)), int(np.sum(after & before))
    apart = _log_likelihood(x_0, n_0, x_0 / max(n_0, 1)) + _log_likelihood(
        x_1, n_1, x_1 / max(n_1, 1)
    )
    pooled = (x_0 + x_1) / max(n_0 + n_1, 1)
    together = _log_likelihood(x_0 + x_1, n_0 + n_1, pooled)
    return float(chi2.sf(-2 * (together - apart), 1))


def _log_likelihood(x: int, n: int, share: float) -> float:
    """Of x hits in n trials; 0 log 0 is 0."""
    hits = x * np.log(share) if x else 0.0
    return float(hits + ((n - x) * np.log1p(-share) if n - x else 0.0))


def hourly_tests(
    y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], dates: np.ndarray
) -> pd.DataFrame:
    """A row a level: the share of hours whose first block fails each test at 5 %.

    One block an hour, so that trials are days. Any share between "below" and "at or below"
    keeps the promise of a level that sits on an atom: Kupiec's test is given the number of
    hits in that range that is nearest to the level. Christoffersen's is made of days and the
    days right after them, and not of levels with an outcome on an atom, where a hit is not
    defined. Hours with fewer than 20 such days, or pairs of days, are not tested.
    """
    per_hour = y.shape[1] // 24
    next_day = np.diff(dates.astype("datetime64[D]").astype(int)) == 1
    rows = []
    for k, level in enumerate(levels):
        failed: dict[str, list[bool]] = {"kupiec": [], "christoffersen": []}
        for block in range(0, y.shape[1], per_hour):
            outcome, forecast = y[:, block], quantiles[:, block, k]
            known, below = np.isfinite(outcome), outcome < forecast
            n, on_atom = int(known.sum()), outcome == forecast
            if n >= 20:
                least, most = int(below.sum()), int((below | on_atom).sum())
                x = int(np.clip(round(level * n), least, most))
                failed["kupiec"].append(kupiec(x, n, level) < 0.05)
            pairs = known[:-1] & known[1:] & next_day
            if pairs.sum() >= 20 and not on_atom.any():
                p_value = christoffersen(below[:-1][pairs], below[1:][pairs])
                failed["christoffersen"].append(p_value < 0.05)
        shares = {name: np.mean(tests) if tests else np.nan for name, tests in failed.items()}
        rows.append({"level": level, "hours_tested": len(failed["kupiec"]), **shares})
    return pd.DataFrame(rows)
