"""Statistics by which a market is known, the published ones and those of any history.

The published figures are those of the day-ahead market (DAM) of 2024, block by block of 15
minutes, and of the real-time market (RTM) beside it, hour by hour, from 1 February to 24 June
2025. The same statistics are computed from a ``Market``, and a tolerance to each says when an
embedded market may stand for the real one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from bessvpp.market.clock import is_sunday
from bessvpp.market.history import Market, mean_of_known
from bessvpp.params.market import MarketParams

DAY_AHEAD_SPAN = (np.datetime64("2024-01-01"), np.datetime64("2024-12-31"))
REAL_TIME_SPAN = (np.datetime64("2025-02-01"), np.datetime64("2025-06-24"))
AT_CAP = 0.011  # Rs/MWh below the cap that still are the cap, once rounded
# Day-ahead market, 2024, Rs/MWh by hour 0 to 23 and month January to December
DAM_MEAN_BY_HOUR = [5670, 4770, 3960, 3610, 3610, 3690, 4510, 4890, 4490, 4060, 3540, 3020]
DAM_MEAN_BY_HOUR += [2640, 2430, 2880, 3330, 4050, 5220, 6280, 7280, 6800, 6660, 6390, 6260]
DAM_Q10_BY_HOUR = [2650, 2490, 2350, 2260, 2400, 2770, 3110, 3010, 2380, 2000, 1800, 1650]
DAM_Q10_BY_HOUR += [1500, 1330, 1960, 2510, 2890, 3000, 3420, 3990, 3510, 3190, 2850, 2750]
DAM_CAP_BY_HOUR = [0.31, 0.17, 0.06, 0.03, 0.02, 0, 0.04, 0.15, 0.17, 0.13, 0.09, 0.03]
DAM_CAP_BY_HOUR += [0, 0, 0, 0, 0.04, 0.20, 0.30, 0.42, 0.37, 0.41, 0.41, 0.41]
DAM_MEAN_BY_MONTH = [5830, 4930, 3910, 5110, 5280, 5410, 4980, 4290, 4190, 3920, 3300, 3890]
# Spread RTM - DAM, February to June 2025, Rs/MWh by hour
SPREAD_MEAN_BY_HOUR = [-570, -870, -650, -490, -300, -170, -300, -460, -20, 230, 280, 210]
SPREAD_MEAN_BY_HOUR += [160, 50, 310, 360, 460, -10, -1000, -910, -1380, -1290, -1170, -1390]
SPREAD_SD_BY_HOUR = [2040, 1970, 1540, 1280, 1330, 1370, 1550, 1150, 910, 940, 650, 640]
SPREAD_SD_BY_HOUR += [640, 750, 750, 670, 940, 1220, 1560, 2110, 2150, 2230, 2260, 2330]
HOURS = [f"{hour:02d} h" for hour in range(24)]
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
# statistic: (published value or values by part, absolute tolerance, share of the value)
DAY_AHEAD = {
    "mean [Rs/MWh]": (4585, 0, 0.10),
    "1 % quantile [Rs/MWh]": (1000, 0, 0.10),
    "5 % quantile [Rs/MWh]": (1999, 0, 0.10),
    "25 % quantile [Rs/MWh]": (2909, 0, 0.10),
    "median [Rs/MWh]": (3590, 0, 0.10),
    "75 % quantile [Rs/MWh]": (5001, 0, 0.10),
    "95 % quantile [Rs/MWh]": (10_000, 0, 0.10),
    "standard deviation [Rs/MWh]": (2638, 0, 0.10),
    "blocks at the cap [%]": (15.6, 0, 0.10),
    "days that touch the cap [%]": (81.0, 0, 0.10),
    "mean by hour [Rs/MWh]": (DAM_MEAN_BY_HOUR, 0, 0.12),
    "10 % quantile by hour [Rs/MWh]": (DAM_Q10_BY_HOUR, 0, 0.10),
    "at the cap by hour [%]": ([100 * share for share in DAM_CAP_BY_HOUR], 6, 0),
    "mean by month [Rs/MWh]": (DAM_MEAN_BY_MONTH, 0, 0.12),
    "Sunday over other days": (0.80, 0.05, 0),
    "autocorrelation, 15 minutes": (0.97, 0.05, 0),
    "autocorrelation, 1 hour": (0.83, 0.05, 0),
    "autocorrelation, 1 day": (0.885, 0.05, 0),
    "autocorrelation, 7 days": (0.80, 0.05, 0),
    "autocorrelation of daily mean, 1 day": (0.79, 0.08, 0),
    "autocorrelation of daily mean, 7 days": (0.59, 0.08, 0),
    "daily range, mean [Rs/MWh]": (7118, 0, 0.10),
    "error of yesterday's price [%]": (13.9, 2, 0),
    "error of last week's price [%]": (19.7, 2, 0),
}
REAL_TIME = {
    "DAM mean [Rs/MWh]": (4445, 0, 0.10),
    "RTM mean [Rs/MWh]": (4073, 0, 0.10),
    "DAM at the cap [%]": (11.9, 0, 0.10),
    "RTM at the cap [%]": (7.9, 0, 0.10),
    "RTM at the cap where DAM is [%]": (50.0, 10, 0),
    "correlation of RTM and DAM": (0.81, 0.05, 0),
    "spread by hour [Rs/MWh]": (SPREAD_MEAN_BY_HOUR, 250, 0),
    "spread, sd by hour [Rs/MWh]": (SPREAD_SD_BY_HOUR, 0, 0.25),
    "spread, autocorrelation, 1 hour": (0.72, 0.08, 0),
    "spread, autocorrelation, 2 hours": (0.52, 0.08, 0),
    "spread, autocorrelation, 1 day": (0.40, 0.08, 0),
}


def day_ahead_statistics(market: Market, rules: MarketParams) -> pd.Series:
    """The statistics of ``DAY_AHEAD``, indexed by statistic and part (hour, month or empty).

    Blocks without a price are left out. An error is the sum of absolute errors over the sum
    of all prices. Statistics that a market cannot have (15 minutes of an hourly one, a month
    that it does not cover) are NaN.
    """
    price, line = market.dam_mcp, market.dam_mcp.ravel()
    at_cap = _at_cap(price, market, rules)
    hours = price.reshape(len(price), 24, -1)
    daily = np.array([day.mean() for day in price])  # NaN where a block is missing
    month = market.dates.astype("M8[M]").astype(int) % 12
    sunday = is_sunday(market.dates)
    an_hour = market.n_blocks // 24
    values = [
        np.nanmean(price),
        *np.nanquantile(price, [0.01, 0.05, 0.25, 0.50, 0.75, 0.95]),
        np.nanstd(price, ddof=1),
        100 * np.nanmean(at_cap),
        100 * np.nanmean(at_cap[~np.isnan(daily)].any(axis=1)),
        _by_hour(hours, np.nanmean),
        _by_hour(hours, lambda values: np.nanquantile(values, 0.10)),
        100 * _by_hour(at_cap.reshape(hours.shape), np.nanmean),
        np.array([_mean(daily[month == m]) for m in range(12)]),
        _mean(daily[sunday]) / _mean(daily[~sunday]),
        _autocorrelation(line, 1) if market.block_minutes == 15 else np.nan,
        _autocorrelation(line, an_hour),
        _autocorrelation(line, 24 * an_hour),
        _autocorrelation(line, 7 * 24 * an_hour),
        _autocorrelation(daily, 1),
        _autocorrelation(daily, 7),
        _mean(price.max(axis=1) - price.min(axis=1)),
        100 * np.nansum(np.abs(price[1:] - price[:-1])) / np.nansum(price),
        100 * np.nansum(np.abs(price[7:] - price[:-7])) / np.nansum(price),
    ]
    return _series(dict(zip(DAY_AHEAD, values, strict=True)))


def real_time_statistics(market: Market, rules: MarketParams) -> pd.Series:
    """The statistics of ``REAL_TIME``, on hourly means, indexed as in the other table.

    An hourly RTM price is the mean over the blocks with trade; hours without one are left out.
    """
    shape = (len(market.dates), 24, -1)
    rtm = mean_of_known(market.rtm_mcp.reshape(shape), axis=2)
    dam = market.dam_mcp.reshape(shape).mean(axis=2)
    both = np.isfinite(dam) & np.isfinite(rtm)
    dam, rtm = np.where(both, dam, np.nan), np.where(both, rtm, np.nan)
    dam_cap, rtm_cap = (_at_cap(price, market, rules) for price in (dam, rtm))
    spread = rtm - dam
    values = [
        np.nanmean(dam),
        np.nanmean(rtm),
        100 * np.nanmean(dam_cap),
        100 * np.nanmean(rtm_cap),
        100 * _mean(rtm_cap[dam_cap == 1]),
        _correlation(dam.ravel(), rtm.ravel()),
        _by_hour(spread[..., None], np.nanmean),
        _by_hour(spread[..., None], np.nanstd),
        *(_autocorrelation(spread.ravel(), lag) for lag in (1, 2, 24)),
    ]
    return _series(dict(zip(REAL_TIME, values, strict=True)))


def cap_shares(market: Market, rules: MarketParams) -> dict[str, pd.DataFrame]:
    """Share of blocks at the cap by month (rows) and hour, of each market; NaN without prices."""
    months = market.dates.astype("M8[M]")
    shares = {}
    for name, price in (("dam", market.dam_mcp), ("rtm", market.rtm_mcp)):
        at_cap = pd.DataFrame(_at_cap(price, market, rules), index=months.astype(str))
        hours = at_cap.T.groupby(np.arange(market.n_blocks) * 24 // market.n_blocks).mean().T
        shares[name] = hours.groupby(level=0).mean()
    return shares


def tables(market: Market, rules: MarketParams) -> dict[str, pd.DataFrame]:
    """Both markets compared with the published figures (``compared``), by the market's name.

    Each over its published months where the market has all of them, else over all days.
    """
    spans = {}
    for name, (first, last) in {"dam": DAY_AHEAD_SPAN, "rtm": REAL_TIME_SPAN}.items():
        covered = market.dates[0] <= first and market.dates[-1] >= last
        where = (market.index_of(first), market.index_of(last) + 1) if covered else (0, None)
        spans[name] = market.days(*where)
    return {
        "dam": compared(day_ahead_statistics(spans["dam"], rules), DAY_AHEAD),
        "rtm": compared(real_time_statistics(spans["rtm"], rules), REAL_TIME),
    }


def compared(statistics: pd.Series, published: dict) -> pd.DataFrame:
    """Published and simulated, one row a figure: ``statistic, part, published, simulated,
    tolerance, within``. The tolerance is absolute, in the unit of the statistic.
    """
    bounds = _series({name: row[0] for name, row in published.items()})
    table = bounds.rename("published").to_frame()
    table["simulated"] = statistics
    absolute = {name: row[1] for name, row in published.items()}
    share = {name: row[2] for name, row in published.items()}
    names = table.index.get_level_values("statistic")
    table["tolerance"] = names.map(absolute) + names.map(share) * table["published"].abs()
    distance = (table["simulated"] - table["published"]).abs()
    table["within"] = distance <= table["tolerance"] + 1e-9
    return table.reset_index()


def furthest(table: pd.DataFrame, judged: bool = True) -> pd.DataFrame:
    """One row a statistic: its part, an hour or a month, that lies furthest from the published.

    ``within`` counts the parts within their tolerance. A market that is not ``judged``, being of
    another time than the published one, has neither that nor a tolerance.
    """
    used = (table["simulated"] - table["published"]).abs() / table["tolerance"]
    by_statistic = table.groupby("statistic", sort=False)["within"]
    count = by_statistic.transform("sum").astype(str) + " of "
    rows = used.fillna(-1.0).groupby(table["statistic"], sort=False).idxmax()
    shown = table.assign(within=count + by_statistic.transform("size").astype(str)).loc[rows]
    if not judged:
        shown = shown.drop(columns=["tolerance", "within"])
        shown = shown.rename(columns={"simulated": "this data"})
    return shown.reset_index(drop=True)


def _series(values: dict[str, object]) -> pd.Series:
    parts = {1: [""], 12: MONTHS, 24: HOURS}
    flat = {
        (name, part): float(value)
        for name, row in values.items()
        for part, value in zip(parts[np.size(row)], np.atleast_1d(row), strict=True)
    }
    return pd.Series(flat).rename_axis(["statistic", "part"])


def _at_cap(price: np.ndarray, market: Market, rules: MarketParams) -> np.ndarray:
    """1 where a price (D, ...) is the cap of its date, 0 elsewhere, NaN where there is none."""
    caps = rules.caps_rs_per_mwh(market.dates)[:, None]
    return np.where(np.isnan(price), np.nan, price >= caps - AT_CAP)


def _by_hour(hours: np.ndarray, statistic: Callable[[np.ndarray], float]) -> np.ndarray:
    """(24,) of values (D, 24, blocks of an hour)."""
    return np.array([statistic(hours[:, hour]) for hour in range(24)])


def _mean(values: np.ndarray) -> float:
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else np.nan


def _autocorrelation(values: np.ndarray, lag: int) -> float:
    return _correlation(values[:-lag], values[lag:])


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Over the pairs that are there; NaN where one of the two does not vary."""
    there = np.isfinite(one) & np.isfinite(other)
    one, other = one[there], other[there]
    if not len(one) or np.ptp(one) == 0 or np.ptp(other) == 0:
        return np.nan
    return float(np.corrcoef(one, other)[0, 1])
