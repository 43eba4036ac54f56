"""How good a joint fan is: scores of whole paths, ranks of outcomes, and the shape of days.

Marginals are judged elsewhere. Here a fan is compared with others of the same marginals, with
naive paths, and with what days really look like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bessvpp.compute.progress import shown
from bessvpp.errors import DataError
from bessvpp.market.history import Market
from bessvpp.price_tick import on_price_tick, without_dust
from bessvpp.prices import PriceScenarios
from bessvpp.risk import cvar

VARIOGRAM_ORDER = 0.5
EVENING_HOURS = (18, 22)
MIDDAY_HOURS = (11, 15)
SHAPE_TITLES = {
    "spread_sd_rs_per_mwh": "sd of RTM - DAM, Rs/MWh",
    "spread_change_sd_rs_per_mwh": "sd of its change in an hour, Rs/MWh",
    "evening_less_midday_sd_rs_per_mwh": "sd of DAM evening - midday, Rs/MWh",
    "cap_run_h": "mean run at the cap, h",
    "evening_at_cap": "P(all evening at the cap)",
}


def paths(day: PriceScenarios) -> np.ndarray:
    """(S, 2T) joint paths, DAM first."""
    return np.hstack([day.dam, day.rtm])


def outcomes(market: Market, dates: np.ndarray) -> np.ndarray:
    """(D, 2T) realised joint paths, DAM first; NaN where the RTM saw no trade."""
    rows = [market.index_of(date) for date in dates]
    return np.hstack([market.dam_mcp[rows], market.rtm_mcp[rows]])


def path_scores(fan: Sequence[PriceScenarios], outcome: np.ndarray) -> pd.DataFrame:
    """Energy score and variogram scores of each day, lower is better.

    The energy score judges the whole distribution, the variogram score (Scheuerer and Hamill,
    2015; order 1/2) the differences between blocks and between markets. Distant blocks hardly
    depend on each other, and there the errors of the marginals drown what a copula adds: as the
    score's authors advise, pairs are also weighted by the inverse of the hours between them, those
    within an hour alike. Scenarios count equally; blocks without an outcome are left out, and a
    day without any has no score.

    Parameters
    ----------
    outcome : (D, 2T)

    Returns
    -------
    frame of D rows: ``energy`` [Rs/MWh], ``variogram`` with those weights and ``variogram_flat``
    with equal ones [weighted means over pairs of blocks].
    """
    import scoringrules  # compiles much when it is imported, which not all who come here need

    near = near_pair_weights(outcome.shape[1] // 2)
    names = ("energy", "variogram", "variogram_flat")
    rows = []
    for day, realised in shown(list(zip(fan, outcome, strict=True)), "path scores"):
        known = np.isfinite(realised)
        if not known.any():
            rows.append(dict.fromkeys(names, np.nan))
            continue
        ensemble, y = paths(day)[:, known], realised[known]
        by_pair = (of[np.ix_(known, known)] for of in (near, np.ones_like(near)))
        weights = np.stack([w / w.sum() for w in by_pair])
        energy = scoringrules.es_ensemble(y, ensemble)
        variograms = scoringrules.vs_ensemble(y, ensemble, weights, p=VARIOGRAM_ORDER)
        rows.append(dict(zip(names, map(float, (energy, *variograms)), strict=True)))
    return pd.DataFrame(rows)


def near_pair_weights(n_blocks: int) -> np.ndarray:
    """(2T, 2T) inverse of the hours between two blocks of either market, at most 1."""
    hour = np.tile(np.arange(n_blocks) * 24 / n_blocks, 2)
    return 1 / np.maximum(np.abs(hour[:, None] - hour), 1.0)


def independent(day: PriceScenarios, rng: np.random.Generator) -> PriceScenarios:
    """The same marginals with every block drawn by itself: what a fan without a copula is."""
    return PriceScenarios(rng.permuted(day.dam, axis=0), rng.permuted(day.rtm, axis=0), day.weights)


def persistence_path(known: Market, cap: float, floor: float) -> PriceScenarios:
    """Paths of persistence: the last whole day, moved by what that forecast missed before.

    The RTM of the day before the gate is not whole, so its last whole day is a day older.

    Parameters
    ----------
    known : the market as known at the gate

    Raises
    ------
    DataError
        where fewer than two errors of whole days are known.
    """
    age = {"dam": 1, "rtm": 2}
    members = {}
    for name, lag in age.items():
        prices = getattr(known, f"{name}_mcp")
        whole = np.isfinite(prices).all(axis=1)
        pairs = np.flatnonzero(whole[lag:] & whole[:-lag])
        errors = prices[pairs + lag] - prices[pairs]
        members[name] = dict(zip(known.dates[pairs + lag], errors, strict=True))
        members[name, "last"] = prices[np.flatnonzero(whole)[-1]] if whole.any() else None
    both = sorted(members["dam"].keys() & members["rtm"].keys())
    if len(both) < 2:
        raise DataError(f"persistence has {len(both)} whole days to learn its errors from")
    dam, rtm = (
        on_price_tick(
            np.clip(members[name, "last"] + [members[name][date] for date in both], floor, cap)
        )
        for name in age
    )
    return PriceScenarios(dam, rtm, np.full(len(both), 1 / len(both)))


def ranks(ensemble: np.ndarray, outcome: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) rank of each outcome among its ensemble, from 0 to 1; ties fall at random.

    Uniform where outcomes are drawn as the ensembles are.

    Parameters
    ----------
    ensemble : (N, S)
    outcome : (N,)
    """
    below = (ensemble < outcome[:, None]).sum(axis=1)
    ties = (ensemble == outcome[:, None]).sum(axis=1)
    return (below + rng.random(len(outcome)) * (ties + 1)) / (ensemble.shape[1] + 1)


def rank_table(
    fan: Sequence[PriceScenarios], outcome: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Ranks of what a battery lives on; days with an unknown part are left out.

    Keys: blocks of each market, the day's mean spread RTM minus DAM, and the DAM's evening
    minus its midday.
    """
    whole = np.isfinite(outcome).all(axis=1)
    y = outcome[whole]
    x = np.array([paths(day) for day, keep in zip(fan, whole, strict=True) if keep])
    n = y.shape[1] // 2
    (x_dam, x_rtm), (y_dam, y_rtm) = np.split(x, 2, axis=2), np.split(y, 2, axis=1)

    def of_blocks(ensemble: np.ndarray, realised: np.ndarray) -> np.ndarray:
        return ranks(ensemble.transpose(0, 2, 1).reshape(y.shape[0] * n, -1), realised.ravel(), rng)

    def of_days(ensemble: np.ndarray, realised: np.ndarray) -> np.ndarray:
        return ranks(without_dust(ensemble), without_dust(realised), rng)

    return {
        "DAM, each block": of_blocks(x_dam, y_dam),
        "RTM, each block": of_blocks(x_rtm, y_rtm),
        "day's mean RTM - DAM": of_days((x_rtm - x_dam).mean(axis=2), (y_rtm - y_dam).mean(1)),
        "DAM evening - midday": of_days(evening_less_midday(x_dam), evening_less_midday(y_dam)),
    }


def worst_table(
    fans: Mapping[str, Sequence[PriceScenarios]], outcome: np.ndarray, alpha: float
) -> pd.DataFrame:
    """Mean and worst share ``alpha`` of what two fixed trades earn, promised and realised.

    The trades are chosen before any price is seen, so no optimiser has sought out a fan's
    errors. Promised: all days' scenarios pooled, each counting equally. Realised: the days
    themselves. Days without a price that the trade needs are left out on both sides, and a trade
    of which no day is known altogether. Both worst shares are empirical CVaR; with fewer than
    ``1 / alpha`` days the realised one is the worst day, and even a right fan promises less.

    Returns
    -------
    a row a trade and source: ``mean``, ``worst`` and ``least``, the worst single case [Rs per MW],
    and the number of ``days``.
    """
    rows = {}
    for trade, earn in TRADES.items():
        realised = earn(*np.split(outcome, 2, axis=1))
        known = np.isfinite(realised)
        if not known.any():
            continue
        earned = {
            name: np.concatenate(
                [earn(day.dam, day.rtm) for day, kept in zip(fan, known, strict=True) if kept]
            )
            for name, fan in fans.items()
        }
        for name, rs_per_mw in (earned | {"realised": realised[known]}).items():
            row = {"mean": rs_per_mw.mean(), "worst": cvar(rs_per_mw, alpha)}
            rows[trade, name] = row | {"least": rs_per_mw.min(), "days": known.sum()}
    table = pd.DataFrame(rows, index=["mean", "worst", "least", "days"]).T
    return table.rename_axis(["1 MW", "by"]) if rows else table


def _shifted_by_a_battery(dam: np.ndarray, rtm: np.ndarray) -> np.ndarray:
    first, last = EVENING_HOURS
    return (last - first) * evening_less_midday(dam)


def _sold_and_bought_back(dam: np.ndarray, rtm: np.ndarray) -> np.ndarray:
    return 24 * (dam - rtm).mean(axis=-1)


TRADES = {
    "DAM, midday to evening": _shifted_by_a_battery,
    "sold in the DAM, bought back in the RTM": _sold_and_bought_back,
}
"""What 1 MW earns in a day [Rs], of prices (..., T): without losses and fees."""


def evening_less_midday(prices: np.ndarray) -> np.ndarray:
    """(...,) mean price of 18 to 22 h less that of 11 to 15 h, of prices (..., T)."""
    per_hour = prices.shape[-1] // 24
    evening, midday = (
        prices[..., first * per_hour : last * per_hour].mean(axis=-1)
        for first, last in (EVENING_HOURS, MIDDAY_HOURS)
    )
    return evening - midday


def shape(dam: np.ndarray, rtm: np.ndarray, cap: float) -> dict[str, float]:
    """What days look like: N paths of T blocks each, all equally likely.

    Returns
    -------
    standard deviations of the spread RTM - DAM, of its change from hour to hour and of the
    DAM's evening less its midday [Rs/MWh]; mean length of a run at the cap [h]; probability
    that all evening blocks sit at the cap. NaN where no path touches the cap.
    """
    per_hour = dam.shape[1] // 24
    spread = rtm - dam
    hourly = spread.reshape(len(dam), 24, per_hour).mean(axis=2)
    at_cap = dam >= cap
    first, last = (hour * per_hour for hour in EVENING_HOURS)
    return {
        "spread_sd_rs_per_mwh": float(np.nanstd(spread)),
        "spread_change_sd_rs_per_mwh": float(np.nanstd(np.diff(hourly, axis=1))),
        "evening_less_midday_sd_rs_per_mwh": float(np.std(evening_less_midday(dam))),
        "cap_run_h": _mean_run(at_cap) / per_hour,
        "evening_at_cap": float(at_cap[:, first:last].all(axis=1).mean()),
    }


def shape_table(
    fans: Mapping[str, Sequence[PriceScenarios]], outcome: np.ndarray, cap: float
) -> pd.DataFrame:
    """Shape of the realised days and of each fan's paths, a row a statistic."""
    realised = np.split(outcome, 2, axis=1)
    columns = {"realised": shape(*realised, cap)}
    for name, fan in fans.items():
        both = (np.vstack([getattr(day, market) for day in fan]) for market in ("dam", "rtm"))
        columns[name] = shape(*both, cap)
    return pd.DataFrame(columns).rename(index=SHAPE_TITLES)


def _mean_run(flags: np.ndarray) -> float:
    """Mean length of the runs of True along the rows of (N, T); NaN where there is none."""
    padded = np.pad(flags, ((0, 0), (1, 0))).astype(int)
    starts = (np.diff(padded, axis=1) == 1).sum()
    return float(flags.sum() / starts) if starts else float("nan")
