"""Joint paths of a day drawn from its marginals and a dependence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
from scipy.stats import norm

from bessvpp.errors import DataError
from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.market.clock import gate_time, is_sunday
from bessvpp.market.history import MARKETS, Market
from bessvpp.params.market import MarketParams
from bessvpp.params.study import ScenarioParams
from bessvpp.price_tick import without_dust
from bessvpp.prices import PriceScenarios
from bessvpp.scenarios.copula import LEAST_DAYS, drawn_within, impute
from bessvpp.scenarios.marginals import Chances, day_knots, inverse_marginal, normal_scores


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


def _day_rng(seed: int, date: np.datetime64, *purpose: int) -> np.random.Generator:
    """The stream of one day, and of one purpose of it."""
    ordinal = int(date.astype("datetime64[D]").astype(int))
    return np.random.default_rng(np.random.SeedSequence([seed, ordinal, *purpose]))


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
        where fewer than ``_LEAST_DAYS`` whole days are known.
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
    uniforms: np.ndarray,
    dam: np.ndarray,
    rtm: np.ndarray,
    levels: tuple[float, ...],
    date: np.datetime64,
    rules: MarketParams,
    chances: Chances | None = None,
) -> PriceScenarios:
    """Equally likely joint paths of one day.

    Parameters
    ----------
    uniforms : (S, 2T) joint draws, DAM first
    dam, rtm : (T, L) quantiles of the day
    chances : where None, the atoms are what the levels alone say
    """
    of_dam, of_rtm = np.split(uniforms, 2, axis=1)
    paths = (
        inverse_marginal(u, *day_knots(name, values, levels, date, rules, chances))
        for name, values, u in (("dam", dam, of_dam), ("rtm", rtm, of_rtm))
    )
    return PriceScenarios(*paths, np.full(len(uniforms), 1 / len(uniforms)))


def draw_fan(
    forecasts: Mapping[str, QuantileForecast],
    correlation: np.ndarray,
    market: Market,
    dates: np.ndarray,
    rules: MarketParams,
    params: ScenarioParams,
) -> list[PriceScenarios]:
    """Joint paths of many days, each drawn at its own DAM gate.

    Parameters
    ----------
    forecasts : of both markets, on all the dates
    correlation : (2T, 2T) of the scores, DAM first; not used by ``similar_days``
    market : history, of which a day is given what its gate knows
    """
    of_dates = [forecasts[name].on(dates) for name in MARKETS]
    levels, values = of_dates[0].levels, [forecast.values for forecast in of_dates]
    fan = []
    for date, dam, rtm in zip(dates, *values, strict=True):
        known = market.known_at(gate_time(date, rules.dam_gate), rules)
        uniforms = joint_uniforms(correlation, known, date, params)
        chances = {name: forecasts[name].chances_on(date) for name in MARKETS}
        fan.append(draw_day(uniforms, dam, rtm, levels, date, rules, chances))
    return fan


def draw_rtm(
    correlation: np.ndarray,
    dam_mcp: np.ndarray,
    dam: np.ndarray,
    rtm: np.ndarray,
    levels: tuple[float, ...],
    date: np.datetime64,
    rules: MarketParams,
    params: ScenarioParams,
    chances: Chances | None = None,
) -> PriceScenarios:
    """RTM paths of a day whose DAM prices are published, for decisions within the day.

    The scores of the DAM are those of its prices; where these sit on an atom they are drawn
    given all others. The RTM's are normal given the DAM's.

    Parameters
    ----------
    correlation : (2T, 2T) of the scores, DAM first
    dam_mcp : (T,) published DAM prices
    dam, rtm : (T, L) quantiles of the day, made before the DAM was published
    chances : as in ``draw_day``
    """
    date = date.astype("datetime64[D]")
    cap, floor = rules.cap_rs_per_mwh(date.astype(dt.date)), rules.price_floor_rs_per_mwh
    n, n_scenarios = len(dam_mcp), params.n_scenarios
    knots = (part[None] for part in day_knots("dam", dam, levels, date, rules, chances))
    edges = normal_scores(dam_mcp[None], *knots, floor, np.array([[cap]]))
    low, high = (np.repeat(edge, n_scenarios, axis=0) for edge in edges)
    rng = _day_rng(params.seed, date, 1)
    z = drawn_within(low, high, rng)
    of_dam = correlation[:n, :n]
    precision = np.linalg.inv(of_dam)
    for _ in range(params.gibbs_sweeps):
        impute(z, (low, high), precision, rng)
    slope = correlation[n:, :n] @ precision
    rest = correlation[n:, n:] - slope @ correlation[:n, n:]
    noise = rng.standard_normal((n_scenarios, n)) @ np.linalg.cholesky(rest).T
    uniforms = norm.cdf(z @ slope.T + noise)
    paths = inverse_marginal(uniforms, *day_knots("rtm", rtm, levels, date, rules, chances))
    published = np.repeat(dam_mcp[None], n_scenarios, axis=0)
    return PriceScenarios(published, paths, np.full(n_scenarios, 1 / n_scenarios))
