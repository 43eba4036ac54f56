"""Joint DAM and RTM price paths by a Gaussian copula.

Each past outcome is turned into a normal score through the marginal that was forecast for
it. The scores of DAM and RTM, 2T dimensions together, give one correlation matrix;
correlated normal draws are mapped back through the marginals of the day to plan. Both fans
use the same correlation and the same draws, so they differ in their marginals alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import norm
from sklearn.covariance import ledoit_wolf

from bessvpp.errors import DataError
from bessvpp.forecasting.boosting import MARKETS, QuantileForecast
from bessvpp.forecasting.features import gate_time
from bessvpp.market.history import Market, is_sunday
from bessvpp.optimizer.problem import PriceScenarios
from bessvpp.params.load import MarketParams, ScenarioParams
from bessvpp.runs.folder import RunFolder

SCORE_LIMIT = 3.0
"""Scores beyond the outer levels are not resolved further than this."""
_LEAST_DAYS = 8
_LEAST_EIGENVALUE = 1e-3
_LEAST_SD = 1e-6


def quantile_knots(
    values: np.ndarray, levels: tuple[float, ...], floor: float, cap: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and prices between which a marginal is linear.

    Beyond the outer levels the marginal goes on for one more step as wide as the last one,
    within floor and cap.

    Parameters
    ----------
    values : (..., L) quantiles, rising

    Returns
    -------
    (L + 2,) probabilities from 0 to 1 and (..., L + 2) prices.
    """
    low = np.maximum(2 * values[..., :1] - values[..., 1:2], floor)
    high = np.minimum(2 * values[..., -1:] - values[..., -2:-1], cap)
    probability = np.concatenate([[0.0], levels, [1.0]])
    return probability, np.concatenate([low, values, high], axis=-1)


def with_atom_knots(
    probability: np.ndarray,
    price: np.ndarray,
    p_floor: np.ndarray,
    p_cap: np.ndarray,
    floor: float,
    cap: float | np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The same marginals, each with a knot where its atom at the floor and at the cap begins.

    Without them the line from the last level below the cap to the first one on it would
    take from the atom. A chance that is not modelled, or smaller than what lies beyond the
    outer level, adds nothing.

    Parameters
    ----------
    probability, price : (K,) and (..., K), as of ``quantile_knots``
    p_floor, p_cap : (...) chances, NaN where not modelled

    Returns
    -------
    (..., K + 2) probabilities and prices.
    """
    low, high = price[..., 0], price[..., -1]
    has_floor, has_cap = p_floor >= probability[1], p_cap >= 1 - probability[-2]
    added = [
        (np.where(has_floor, p_floor, 0.0), np.where(has_floor, floor, low)),
        (np.where(has_cap, 1 - p_cap, 1.0), np.where(has_cap, cap, high)),
    ]
    probability = np.broadcast_to(probability, price.shape)
    probability = np.concatenate([probability, np.stack([p for p, _ in added], -1)], axis=-1)
    price = np.concatenate([price, np.stack([v for _, v in added], -1)], axis=-1)
    order = np.lexsort((price, probability), axis=-1)
    return np.take_along_axis(probability, order, -1), np.take_along_axis(price, order, -1)


def inverse_marginal(u: np.ndarray, probability: np.ndarray, price: np.ndarray) -> np.ndarray:
    """Prices at probabilities ``u`` (S, T) of the marginals ``price`` (T, K), shape (S, T).

    ``probability`` is (K,), or (T, K) where it differs from block to block.
    """
    probability = np.broadcast_to(probability, price.shape)
    columns = zip(u.T, probability, price, strict=True)
    return np.column_stack([np.interp(*column) for column in columns])


def normal_scores(
    y: np.ndarray, probability: np.ndarray, price: np.ndarray, floor: float, cap: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Range of normal scores that an outcome may stand for.

    Off the floor and cap the range is one point. On an atom it is the whole probability that
    the marginal puts there; the score inside it is imputed by ``score_correlation``.

    Parameters
    ----------
    y : (D, T) outcomes
    probability, price : (K,) or (D, T, K), and (D, T, K): marginals of the same days
    cap : price cap, one or (D, 1)

    Returns
    -------
    lower and upper scores, (D, T) each, within +-SCORE_LIMIT.
    """
    low, high = np.empty(y.shape), np.empty(y.shape)
    probability = np.broadcast_to(probability, price.shape)
    for index in np.ndindex(y.shape):
        at, knots, outcome = probability[index], price[index], y[index]
        low[index] = _probability_below(outcome, at, knots)
        high[index] = 1 - _probability_below(-outcome, 1 - at[::-1], -knots[::-1])
    atom = (y <= floor) | (y >= cap)
    middle = np.where(atom, 0, (low + high) / 2)
    low, high = np.where(atom, low, middle), np.where(atom, high, middle)
    low = np.where(y <= floor, 0.0, low)
    high = np.where(y >= cap, 1.0, high)
    scores = norm.ppf(np.stack([low, high]))
    return tuple(np.clip(scores, -SCORE_LIMIT, SCORE_LIMIT))


def _probability_below(y: float, probability: np.ndarray, knots: np.ndarray) -> float:
    """P(Y < y) under a marginal that is linear between its knots."""
    k = int(np.searchsorted(knots, y, side="left"))
    if k == 0:
        return 0.0
    if k == len(knots):
        return 1.0
    share = (y - knots[k - 1]) / (knots[k] - knots[k - 1])
    return float(probability[k - 1] + share * (probability[k] - probability[k - 1]))


def score_correlation(
    low: np.ndarray, high: np.ndarray, sweeps: int, rng: np.random.Generator
) -> np.ndarray:
    """Correlation of scores of which some are known only to lie in a range.

    Alternates between drawing each open score given all others (a Gibbs sweep over
    truncated normals) and estimating the correlation (shrunk as Ledoit and Wolf, 2004, towards
    ``persistence_target``). The second half of the estimates is averaged.

    Parameters
    ----------
    low, high : (D, N) ranges; a known score has both equal
    sweeps : alternations

    Returns
    -------
    (N, N) correlation matrix.
    """
    if len(low) < _LEAST_DAYS:
        raise DataError(
            f"{len(low)} out-of-sample days are too few for a correlation; at least "
            f"{_LEAST_DAYS} are needed. Raise calibration_days"
        )
    z = _drawn_within(low, high, rng)
    estimates = []
    for _ in range(sweeps):
        mean, sd = z.mean(axis=0), np.maximum(z.std(axis=0), _LEAST_SD)
        standard = (z - mean) / sd
        correlation = _correlation(standard)
        estimates.append(correlation)
        edges = tuple((edge - mean) / sd for edge in (low, high))
        _impute(standard, edges, np.linalg.inv(correlation), rng)
        z = standard * sd + mean
    return np.mean(estimates[sweeps // 2 :], axis=0)


def _drawn_within(low: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Standard normal scores within their ranges, each by itself; a known one as it is."""
    p_low, p_high = norm.cdf(low), norm.cdf(high)
    drawn = norm.ppf(p_low + rng.random(low.shape) * (p_high - p_low))
    return np.where(high > low, drawn, low)


def _impute(
    z: np.ndarray,
    edges: tuple[np.ndarray, np.ndarray],
    precision: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """One Gibbs sweep: each open score (D, N) drawn given all others of its day, in place."""
    is_open = edges[1] > edges[0]
    for j in np.flatnonzero(is_open.any(axis=0)):
        rows = is_open[:, j]
        variance = 1 / precision[j, j]
        others = z[rows] @ precision[:, j] - z[rows, j] * precision[j, j]
        centre, spread = -others * variance, np.sqrt(variance)
        bounds = [edge[rows, j] for edge in edges]
        p = [norm.cdf((bound - centre) / spread) for bound in bounds]
        draw = norm.ppf(p[0] + rng.random(rows.sum()) * (p[1] - p[0]))
        z[rows, j] = np.clip(centre + spread * draw, *bounds)


def _correlation(standard: np.ndarray) -> np.ndarray:
    """Sample correlation, shrunk by Ledoit and Wolf's intensity towards persistence.

    Their own target, no correlation at all, would cut neighbouring blocks apart on a short
    history and make paths jump. The target here keeps what all blocks share: the mean
    correlation at each distance in time, within each market and between the two.
    """
    _, intensity = ledoit_wolf(standard)
    with np.errstate(invalid="ignore"):  # a block that never varies correlates with nothing
        sample = np.nan_to_num(np.corrcoef(standard, rowvar=False))
    np.fill_diagonal(sample, 1.0)
    return (1 - intensity) * sample + intensity * persistence_target(sample)


def persistence_target(correlation: np.ndarray) -> np.ndarray:
    """Nearest positive definite matrix, nearly, to the means of each time-lag's entries.

    Parameters
    ----------
    correlation : (2T, 2T), DAM first
    """
    n = len(correlation) // 2
    target = np.zeros_like(correlation)
    for row in (slice(0, n), slice(n, None)):
        for column in (slice(0, n), slice(n, None)):
            square = correlation[row, column]
            for lag in range(1 - n, n):
                start = np.arange(max(0, -lag), min(n, n - lag))
                target[row, column][start, start + lag] = np.diagonal(square, lag).mean()
    values, vectors = np.linalg.eigh((target + target.T) / 2)
    target = (vectors * np.maximum(values, _LEAST_EIGENVALUE)) @ vectors.T
    scale = np.sqrt(np.diag(target))
    return target / np.outer(scale, scale)


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


def copula_correlation(
    forecasts: Mapping[str, QuantileForecast],
    known: Market,
    rules: MarketParams,
    params: ScenarioParams,
) -> np.ndarray:
    """Correlation of the normal scores of all out-of-sample days that are wholly known.

    Parameters
    ----------
    forecasts : original forecasts of both markets on days that no model was fitted on
    known : the market as known at the decision; its incomplete days are left out

    Returns
    -------
    (2T, 2T) matrix, DAM first.
    """
    dates = np.intersect1d(forecasts["dam"].dates, forecasts["rtm"].dates)
    dates = dates[dates <= known.dates[-1]]
    rows = np.array([known.index_of(day) for day in dates], dtype=int)
    complete = ~np.isnan(known.dam_mcp[rows] + known.rtm_mcp[rows]).any(axis=1)
    rows, days = rows[complete], dates[complete]
    cap = rules.caps_rs_per_mwh(days)
    floor = rules.price_floor_rs_per_mwh
    ranges = []
    for market, prices in zip(MARKETS, (known.dam_mcp, known.rtm_mcp), strict=True):
        forecast = forecasts[market].on(days)
        knots = quantile_knots(forecast.values, forecast.levels, floor, cap[:, None, None])
        knots = with_atom_knots(*knots, forecast.p_floor, forecast.p_cap, floor, cap[:, None])
        ranges.append(normal_scores(prices[rows], *knots, floor, cap[:, None]))
    low, high = (np.hstack(side) for side in zip(*ranges, strict=True))
    rng = np.random.default_rng(np.random.SeedSequence([params.seed, len(days)]))
    return score_correlation(low, high, params.gibbs_sweeps, rng)


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
    if len(templates) < _LEAST_DAYS:
        raise DataError(
            f"{len(templates)} whole days are too few to shuffle by; at least {_LEAST_DAYS} are "
            "needed. Use dependence: copula, or give more history"
        )
    apart = np.sqrt(((before[templates] - eve) ** 2).mean(axis=1))
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


Chances = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""By market, the (T,) chances of the floor and of the cap; NaN where not modelled."""


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
        inverse_marginal(u, *_day_knots(name, values, levels, date, rules, chances))
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


def _day_knots(
    market: str,
    values: np.ndarray,
    levels: tuple[float, ...],
    date: np.datetime64,
    rules: MarketParams,
    chances: Chances | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Knots of the marginals of one market on one day, with the atoms that were forecast."""
    floor, cap = rules.price_floor_rs_per_mwh, rules.cap_rs_per_mwh(date.astype(dt.date))
    knots = quantile_knots(values, levels, floor, cap)
    return knots if chances is None else with_atom_knots(*knots, *chances[market], floor, cap)


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
    knots = (part[None] for part in _day_knots("dam", dam, levels, date, rules, chances))
    edges = normal_scores(dam_mcp[None], *knots, floor, np.array([[cap]]))
    low, high = (np.repeat(edge, n_scenarios, axis=0) for edge in edges)
    rng = _day_rng(params.seed, date, 1)
    z = _drawn_within(low, high, rng)
    of_dam = correlation[:n, :n]
    precision = np.linalg.inv(of_dam)
    for _ in range(params.gibbs_sweeps):
        _impute(z, (low, high), precision, rng)
    slope = correlation[n:, :n] @ precision
    rest = correlation[n:, n:] - slope @ correlation[:n, n:]
    noise = rng.standard_normal((n_scenarios, n)) @ np.linalg.cholesky(rest).T
    uniforms = norm.cdf(z @ slope.T + noise)
    paths = inverse_marginal(uniforms, *_day_knots("rtm", rtm, levels, date, rules, chances))
    published = np.repeat(dam_mcp[None], n_scenarios, axis=0)
    return PriceScenarios(published, paths, np.full(n_scenarios, 1 / n_scenarios))


def write_fan(run: RunFolder, fan: str, dates: np.ndarray, days: Sequence[PriceScenarios]) -> None:
    """Write ``scenarios_<fan>.npz``: ``dates``, ``dam`` and ``rtm`` (D, S, T), ``weights``."""
    run.write_arrays(
        f"scenarios_{fan}.npz",
        dates=dates.astype(str),
        dam=np.array([day.dam for day in days]),
        rtm=np.array([day.rtm for day in days]),
        weights=np.array([day.weights for day in days]),
    )


def read_fan(run: RunFolder, fan: str) -> dict[np.datetime64, PriceScenarios]:
    """A fan's scenarios by delivery day."""
    arrays = run.read_arrays(f"scenarios_{fan}.npz")
    days = zip(arrays["dam"], arrays["rtm"], arrays["weights"], strict=True)
    dates = arrays["dates"].astype("datetime64[D]")
    return {date: PriceScenarios(*day) for date, day in zip(dates, days, strict=True)}
