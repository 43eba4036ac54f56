"""Design matrices at the DAM gate, for both markets.

``gate_features`` is handed the market as it is known at the gate of a delivery day and
computes that day's features from it, so a later price cannot enter: it is not there.
"""

from __future__ import annotations

import datetime as dt
import warnings
from functools import cache

import holidays
import numpy as np
import pandas as pd

from bessvpp.errors import DataError
from bessvpp.market.clock import delivery_starts, is_sunday
from bessvpp.market.history import GREEN_PRICE, Market, mean_of_known
from bessvpp.params.market import MarketParams
from bessvpp.price_files.external import published_minute

DAM_LAG_DAYS = (1, 2, 3, 7)
RTM_LAG_DAYS = (2, 3, 7)
WEEK_DAYS = 7
MONTH_DAYS = 28
PARTS_OF_DAY = {"night": (0, 5), "morning": (6, 9), "midday": (10, 15), "evening": (18, 24)}
"""Hours of the day, start included, end excluded."""
DECAY = 0.75
"""Weight of a day against the one after it in ``dam_recent``."""
_NO_PRICE_WORDS = ("sd", "share", "mw", "ratio", "days", "spread", "off")


def gate_features(known: Market, date: np.datetime64, rules: MarketParams) -> pd.DataFrame:
    """Features of one delivery day.

    Parameters
    ----------
    known : the market as known at the DAM gate of ``date``
    date : delivery day, at most one day after the last day that ``known`` holds
    rules : for the price cap of each day

    Returns
    -------
    frame of T rows. Columns that start with ``rtm_`` or ``spread_`` are about the RTM, those
    that start with ``gdam_`` about the green market, those that start with ``ext_`` are added
    ones, for the delivery day itself.
    Values not known are NaN.
    """
    age = int((date - known.dates[-1]).astype(int))
    if age < 1:
        raise DataError(f"features of {date} were asked for with prices of that day in hand")
    days = np.maximum(date - np.arange(MONTH_DAYS, 0, -1), known.dates[0])
    cap = rules.caps_rs_per_mwh(days)[:, None]
    dam = _last_days(known.dam_mcp, MONTH_DAYS, age)
    rtm = _last_days(known.rtm_mcp, MONTH_DAYS, age)
    return pd.DataFrame(
        _calendar(date, known.n_blocks)
        | _dam_history(dam, cap)
        | _day_type(dam, date)
        | _rtm_history(dam, rtm, cap)
        | _green_market(known, age)
        | _order_book(known, age)
        | _added(known, age)
    )


def feature_frame(market: Market, dates: np.ndarray, rules: MarketParams) -> pd.DataFrame:
    """Features of many delivery days, each at its own gate: ``delivery_start`` first.

    Parameters
    ----------
    dates : (D,) days of the market after its first, or the one after its last

    Returns
    -------
    frame of D T rows, a row a block; columns as ``gate_features`` has them

    Raises
    ------
    DataError
        where nothing was known at the gate of a day, or the day before it is not in the market.

    Examples
    --------
    >>> p = bv.load_params(synthetic_days=21)
    >>> market = bv.embedded_market(p.market)
    >>> features = bv.feature_frame(market, market.dates[-2:], p.market)
    >>> len(features), list(features)[:2]  # blocks of two days
    (192, ['delivery_start', 'hour'])
    """
    frames = []
    for date in dates:
        known = market.known_at_dam_gate(date, rules)
        frame = gate_features(known, date, rules)
        frame.insert(0, "delivery_start", delivery_starts(date, market.n_blocks))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def anchor(features: pd.DataFrame, market: str) -> np.ndarray:
    """(N,) naive forecast that a model corrects.

    A tree cannot leave the range of the prices it was trained on; the price level can. So
    the models are fitted to the distance from this anchor. In the DAM it is the latest price
    known of the block. The RTM's latest price is old and noisy; there it is
    ``((latest + week) / 2 + DAM anchor + month's mean spread) / 2``. What the two anchors share
    drops out of the spread between the forecasts.
    """
    dam = features["dam_lag_1d"].fillna(features["dam_mean_7d"])
    if market == "dam":
        return dam.to_numpy()
    week = features["rtm_mean_7d"]
    own = (features["rtm_latest"].fillna(week) + week) / 2
    return ((own + dam + features["spread_mean_28d"]) / 2).to_numpy()


def design(features: pd.DataFrame, market: str) -> pd.DataFrame:
    """What a market's models see: the features, and each price's distance from the anchor.

    Of the GDAM they see distances alone. Its download may be missing one morning, and a model
    that never missed it in training takes a missing value for 0: a distance of 0 says nothing,
    where a price of 0 would say much.
    """
    base = anchor(features, market)
    x = features.drop(columns="delivery_start")
    prices = [
        name
        for name in x
        if name.startswith(("dam_", "rtm_", "gdam_"))
        and not any(word in name.split("_") for word in _NO_PRICE_WORDS)
    ]
    distance = x[prices].sub(base, axis=0).add_suffix("_off_anchor")
    green = [name for name in prices if name.startswith("gdam_")]
    return pd.concat([x.drop(columns=green), distance], axis=1)


def _last_days(matrix: np.ndarray, n_days: int, age: int) -> np.ndarray:
    """(n_days, T) rows of the last days, yesterday last; NaN where there is none."""
    rows = np.full((n_days, matrix.shape[1]), np.nan)
    available = matrix[-(n_days - age + 1) :]
    end = n_days - age + 1
    rows[end - len(available) : end] = available
    return rows


def _quiet(statistic: object, values: np.ndarray, axis: int = 0) -> np.ndarray:
    """A NaN-aware statistic that is NaN, without a warning, where nothing is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=RuntimeWarning)
        return statistic(values, axis=axis)


def _calendar(date: np.datetime64, n_blocks: int) -> dict[str, np.ndarray]:
    day = pd.Timestamp(date)
    season = 2 * np.pi * day.day_of_year / 365.25
    constant = {
        "weekday": day.weekday(),
        "is_sunday": float(is_sunday(date)),
        "is_holiday": float(date.astype("datetime64[D]").astype(dt.date) in _holidays(day.year)),
        "season_sin": np.sin(season),
        "season_cos": np.cos(season),
    }
    hour = np.arange(n_blocks) * 24 / n_blocks
    return {"hour": hour} | {key: np.full(n_blocks, float(v)) for key, v in constant.items()}


@cache
def _holidays(year: int) -> holidays.HolidayBase:
    """Public holidays of all India."""
    return holidays.country_holidays("IN", years=year)


def _dam_history(dam: np.ndarray, cap: np.ndarray) -> dict[str, np.ndarray]:
    n_blocks = dam.shape[1]
    blocks, near = np.arange(n_blocks), max(n_blocks // 48, 1)
    week, yesterday = dam[-WEEK_DAYS:], dam[-1]
    at_cap = np.where(np.isfinite(dam), dam >= cap, np.nan)
    day_means = mean_of_known(dam, axis=1)
    features = {f"dam_lag_{k}d": dam[-k] for k in DAM_LAG_DAYS}
    features |= {
        "dam_mean_3d": mean_of_known(dam[-3:]),
        "dam_mean_7d": mean_of_known(week),
        "dam_mean_28d": mean_of_known(dam),
        "dam_recent": _recent(dam[-14:]),
        "dam_half_hour_before_1d": yesterday[np.maximum(blocks - near, 0)],
        "dam_half_hour_after_1d": yesterday[np.minimum(blocks + near, n_blocks - 1)],
        "dam_around_1d": _around(yesterday),
        "dam_sd_7d": _quiet(np.nanstd, week),
        "dam_min_7d": _quiet(np.nanmin, week),
        "dam_max_7d": _quiet(np.nanmax, week),
        "dam_cap_share_7d": mean_of_known(at_cap[-WEEK_DAYS:]),
        "dam_days_at_cap": _run_length(at_cap),
    }
    of_the_day = {
        "dam_day_mean_1d": day_means[-1],
        "dam_day_mean_2d": day_means[-2],
        "dam_day_mean_7d": mean_of_known(day_means[-WEEK_DAYS:]),
        "dam_day_sd_1d": _quiet(np.nanstd, yesterday),
        "dam_day_min_1d": _quiet(np.nanmin, yesterday),
        "dam_day_max_1d": _quiet(np.nanmax, yesterday),
        "dam_day_cap_share_1d": mean_of_known(at_cap[-1]),
        "dam_day_cap_share_7d": mean_of_known(at_cap[-WEEK_DAYS:].ravel()),
        "dam_last_hour_1d": mean_of_known(yesterday[-max(n_blocks // 24, 1) :]),
    }
    for part, (first, last) in PARTS_OF_DAY.items():
        hours = slice(first * n_blocks // 24, last * n_blocks // 24)
        of_the_day[f"dam_{part}_1d"] = mean_of_known(yesterday[hours])
    return features | {key: np.full(n_blocks, value) for key, value in of_the_day.items()}


def _recent(days: np.ndarray) -> np.ndarray:
    """Mean of days that counts each ``DECAY`` times the next."""
    weight = np.where(np.isfinite(days), DECAY ** np.arange(len(days), 0, -1)[:, None], 0.0)
    with np.errstate(invalid="ignore"):
        return (np.nan_to_num(days) * weight).sum(axis=0) / weight.sum(axis=0)


def _around(day: np.ndarray) -> np.ndarray:
    """Mean of the hour before and after each block."""
    n_blocks = len(day)
    reach = n_blocks // 24
    padded = np.pad(day, reach, constant_values=np.nan)
    return mean_of_known(np.stack([padded[k : k + n_blocks] for k in range(2 * reach + 1)]))


def _run_length(at_cap: np.ndarray) -> np.ndarray:
    """Days in a row, up to yesterday, on which a block sat at the cap."""
    return np.cumprod(np.nan_to_num(at_cap)[::-1], axis=0).sum(axis=0)


def _day_type(dam: np.ndarray, date: np.datetime64) -> dict[str, np.ndarray]:
    """Mean of the last two Sundays for a Sunday, of the last six other days for the rest."""
    days = date - np.arange(len(dam), 0, -1)
    alike = is_sunday(days) == is_sunday(date)
    n_days = 2 if is_sunday(date) else 6
    return {"dam_day_type_mean": mean_of_known(dam[alike][-n_days:])}


def _rtm_history(dam: np.ndarray, rtm: np.ndarray, cap: np.ndarray) -> dict[str, np.ndarray]:
    """RTM of the day before the gate is known for its first blocks only."""
    n_blocks = dam.shape[1]
    spread = rtm - dam
    week = rtm[-WEEK_DAYS:]
    at_cap = np.where(np.isfinite(week), week >= cap[-WEEK_DAYS:], np.nan)
    features = {f"rtm_lag_{k}d": rtm[-k] for k in RTM_LAG_DAYS}
    features |= {
        "rtm_latest": np.where(np.isfinite(rtm[-1]), rtm[-1], rtm[-2]),
        "rtm_mean_7d": mean_of_known(week),
        "rtm_mean_28d": mean_of_known(rtm),
        "rtm_sd_7d": _quiet(np.nanstd, week),
        "rtm_cap_share_7d": mean_of_known(at_cap),
        "spread_lag_2d": spread[-2],
        "spread_mean_7d": mean_of_known(spread[-WEEK_DAYS:]),
        "spread_mean_28d": mean_of_known(spread),
        "spread_sd_7d": _quiet(np.nanstd, spread[-WEEK_DAYS:]),
    }
    of_the_day = {
        "rtm_morning_1d": mean_of_known(rtm[-1]),
        "spread_morning_1d": mean_of_known(spread[-1]),
        "spread_day_2d": mean_of_known(spread[-2]),
        "spread_day_mean_7d": mean_of_known(mean_of_known(spread[-WEEK_DAYS:], axis=1)),
    }
    return features | {key: np.full(n_blocks, value) for key, value in of_the_day.items()}


def _green_market(known: Market, age: int) -> dict[str, np.ndarray]:
    """GDAM price of the day before and its week, where the data have it; no DAM price."""
    if GREEN_PRICE not in known.extras:
        return {}
    green, dam = (
        _last_days(prices, WEEK_DAYS + age, age)[-WEEK_DAYS:]
        for prices in (known.extras[GREEN_PRICE], known.dam_mcp)
    )
    return {
        "gdam_lag_1d": green[-1],
        "gdam_mean_7d": mean_of_known(green),
        "gdam_off_dam_1d": green[-1] - dam[-1],
    }


def _order_book(known: Market, age: int) -> dict[str, np.ndarray]:
    """Bids and volumes of the day before where the data have them, and a week of their ratio."""
    features = {}
    for name, matrix in sorted(known.extras.items()):
        if name == GREEN_PRICE or published_minute(name) is not None:
            continue
        features[f"{name}_1d"] = _last_days(matrix, age + 1, age)[-1]
    for market in ("dam", "rtm"):
        buy, sell = f"{market}_purchase_bid_mw", f"{market}_sell_bid_mw"
        cleared = f"{market}_mcv_mw"
        if buy in known.extras and sell in known.extras:
            sold = np.where(known.extras[sell] > 0, known.extras[sell], np.nan)
            ratio = _last_days(known.extras[buy] / sold, WEEK_DAYS + age, age)
            features[f"{market}_bid_ratio_1d"] = ratio[-1]
            features[f"{market}_bid_ratio_7d"] = mean_of_known(ratio[-WEEK_DAYS:])
        if buy in known.extras and cleared in known.extras:
            unmet = known.extras[buy] - known.extras[cleared]
            features[f"{market}_unmet_mw_1d"] = _last_days(unmet, age + 1, age)[-1]
    return features


def _added(known: Market, age: int) -> dict[str, np.ndarray]:
    """A user's own columns: the row of the day before holds the values for the delivery day."""
    return {
        name: _last_days(matrix, age + 1, age)[-1]
        for name, matrix in sorted(known.extras.items())
        if published_minute(name) is not None
    }
