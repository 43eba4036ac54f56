"""Joint paths of a day drawn from its marginals and a dependence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bessvpp.errors import DataError
from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.market.clock import is_sunday
from bessvpp.market.history import MARKETS, Market
from bessvpp.params.market import MarketParams
from bessvpp.params.study import ScenarioParams
from bessvpp.price_tick import without_dust
from bessvpp.prices import PriceScenarios
from bessvpp.scenarios.copula import LEAST_DAYS
from bessvpp.scenarios.marginals import day_knots, inverse_marginal


def correlated_uniforms(
    correlation: np.ndarray, n_scenarios: int, seed: int, date: np.datetime64
) -> np.ndarray:
    """(S, N) uniform draws of one day; the same for every fan and whatever else is run.

    Each dimension is stratified: its draws are the midpoints of S equal strata, in the order
    of the correlated draws (Latin hypercube with dependence, Stein, 1987). So the mean of
    every block is that of its marginal, and a plan does not chase sampling noise in the
    spread between the markets.
    """
    rng = _day_rng(seed, date)
    root = np.linalg.cholesky(correlation)
    draws = rng.standard_normal((n_scenarios, len(correlation))) @ root.T
    return _strata(np.argsort(draws, axis=0, kind="stable"))


def _day_rng(seed: int, date: np.datetime64) -> np.random.Generator:
    """The stream of one day."""
    ordinal = int(date.astype("datetime64[D]").astype(int))
    return np.random.default_rng(np.random.SeedSequence([seed, ordinal]))


def _strata(order: np.ndarray) -> np.ndarray:
    """(S, N) midpoints of S equal strata, handed out in an order of the rows of each column."""
    ranks = np.argsort(order, axis=0, kind="stable")
    return (ranks + 0.5) / len(order)


def similar_day_uniforms(
    known: Market, n_scenarios: int, seed: int, date: np.datetime64
) -> np.ndarray:
    """(S, 2T) draws whose order in every block is that of similar past days (Schaake shuffle).

    Clark and others (2004): the evenly spaced draws of a block are handed out in the order of
    that block's prices on S past days, so paths rise and fall together as on real days. Those
    days are the most like the one to plan: the same kind of day (Sunday or not) first, then by
    the distance of the DAM prices of the day before. Where there are fewer than S, each serves
    several times; equal prices are put in order at random.

    Parameters
    ----------
    known : the market as known at the decision; only its whole days take part

    Raises
    ------
    DataError
        where fewer than ``LEAST_DAYS`` whole days are known.
    """
    date = date.astype("datetime64[D]")
    prices = np.hstack([known.dam_mcp, known.rtm_mcp])
    before = np.vstack([np.full((1, known.n_blocks), np.nan), known.dam_mcp[:-1]])
    eve = known.dam_mcp[known.index_of(date - 1)]
    templates = np.flatnonzero(np.isfinite(prices).all(axis=1) & np.isfinite(before).all(axis=1))
    if len(templates) < LEAST_DAYS:
        raise DataError(
            f"{len(templates)} whole days are too few to shuffle by; at least {LEAST_DAYS} are "
            "needed. Use dependence: copula, or give more history"
        )
    apart = without_dust(np.sqrt(((before[templates] - eve) ** 2).mean(axis=1)))
    other_kind = is_sunday(known.dates[templates]) != is_sunday(date)
    nearest = templates[np.lexsort((apart, other_kind))]
    chosen = prices[np.resize(nearest, n_scenarios)]
    rng = _day_rng(seed, date)
    ties = rng.random(chosen.shape)
    return _strata(np.lexsort((ties, chosen), axis=0))


def joint_uniforms(
    correlation: np.ndarray, known: Market, date: np.datetime64, params: ScenarioParams
) -> np.ndarray:
    """(S, 2T) draws of a day by the dependence that the parameters name."""
    if params.dependence == "similar_days":
        return similar_day_uniforms(known, params.n_scenarios, params.seed, date)
    return correlated_uniforms(correlation, params.n_scenarios, params.seed, date)


def draw_day(
    uniforms: np.ndarray, forecasts: Mapping[str, QuantileForecast], rules: MarketParams
) -> PriceScenarios:
    """Equally likely joint paths of one day.

    Parameters
    ----------
    uniforms : (S, 2T) joint draws, DAM first
    forecasts : of both markets, on that day alone
    """
    halves = zip(MARKETS, np.split(uniforms, 2, axis=1), strict=True)
    paths = {name: inverse_marginal(u, *day_knots(forecasts[name], rules)) for name, u in halves}
    return PriceScenarios(**paths, weights=np.full(len(uniforms), 1 / len(uniforms)))


def draw_fan(
    forecasts: Mapping[str, QuantileForecast],
    correlations: Sequence[np.ndarray],
    market: Market,
    dates: np.ndarray,
    rules: MarketParams,
    params: ScenarioParams,
) -> list[PriceScenarios]:
    """Joint paths of many days, each drawn at its own DAM gate.

    Parameters
    ----------
    forecasts : of both markets, on all the dates
    correlations : of each date (2T, 2T) of the scores, DAM first; not used by ``similar_days``
    market : history, of which a day is given what its gate knows

    Examples
    --------
    >>> run = bv.open_run("outputs/quick")
    >>> p, forecasts = run.params, run.forecasts["recalibrated"]
    >>> original, dates = run.forecasts["original"], forecasts["dam"].dates
    >>> each = bv.copula_correlations(original, run.market, dates, p.market, p.scenarios)
    >>> fan = bv.draw_fan(forecasts, each, run.market, dates, p.market, p.scenarios)
    >>> len(fan), fan[0].rtm.shape  # days; scenarios, blocks
    (4, (6, 24))
    """
    of_dates = {name: forecasts[name].on(dates) for name in MARKETS}
    fan = []
    for date, correlation in zip(dates, correlations, strict=True):
        known = market.known_at_dam_gate(date, rules)
        uniforms = joint_uniforms(correlation, known, date, params)
        today = {name: forecast.day(date) for name, forecast in of_dates.items()}
        fan.append(draw_day(uniforms, today, rules))
    return fan
