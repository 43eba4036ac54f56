"""One market history on a complete calendar, and the only way to look at it: as of a time.

What counts as known is stated once, in ``Market.known_at``. What counts as data is stated
once, in ``read_market``: files are merged where they agree and refused where they do not,
and nothing that is missing is ever filled.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np
import pandas as pd

from bessvpp.errors import DataError
from bessvpp.market.clock import TIME_ZONE, gate_time
from bessvpp.params.fields import MINUTES_PER_DAY
from bessvpp.params.market import MarketParams
from bessvpp.price_files.external import published_minute
from bessvpp.price_files.tables import VOLUMES

GREEN_PRICE = "gdam_mcp"
LOOKED_AT = np.datetime64("2025-02-01"), np.datetime64("2025-04-30")
"""First and last of the real days on which the RTM's anchor (``params/forecast.yaml``) and, on some
of them, hurdles, foresight and the steps of bids were chosen: no untouched test of them."""
EXTRAS = (*(f"{market}_{name}" for market in ("dam", "rtm") for name in VOLUMES), GREEN_PRICE)


@dataclass(frozen=True, eq=False)
class Market:
    """One market history: D consecutive days of T blocks, naive IST.

    dates : (D,) datetime64[D]
    dam_mcp, rtm_mcp : (D, T) Rs/MWh, NaN where there is no price or it is not known
    rtm_no_trade : (D, T) bool, the session was published as all zeros: no trade, no price
    extras : by the names in ``EXTRAS``, those that the data have: bids and volumes [MW], and the
        price of the green day-ahead market [Rs/MWh], which is never traded at; and the columns
        that a user adds (``external``), of which the row of a day is about the next day; each
        (D, T)
    notes : what the reader of the files set apart or found missing

    The arrays are read-only, and the market holds no other array behind them.
    """

    dates: np.ndarray
    dam_mcp: np.ndarray
    rtm_mcp: np.ndarray
    rtm_no_trade: np.ndarray
    extras: Mapping[str, np.ndarray]
    is_synthetic: bool
    notes: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        own = {
            "dates": _own(self.dates, "M8[D]"),
            "dam_mcp": _own(self.dam_mcp, float),
            "rtm_mcp": _own(self.rtm_mcp, float),
            "rtm_no_trade": _own(self.rtm_no_trade, bool),
            "extras": MappingProxyType({k: _own(v, float) for k, v in self.extras.items()}),
        }
        for name, value in own.items():
            object.__setattr__(self, name, value)
        if not len(self.dates) or (np.diff(self.dates).astype(int) != 1).any():
            raise DataError("a market needs consecutive days, and at least one")
        if self.dam_mcp.shape[1:] not in ((24,), (96,)):
            raise DataError(f"a day has 24 or 96 blocks, not {self.dam_mcp.shape[1:]}")
        unknown = {n for n in self.extras if n not in EXTRAS and published_minute(n) is None}
        if unknown:
            raise DataError(
                f"extras are {', '.join(EXTRAS)} and ext_HHMM_<name>, not "
                f"{', '.join(sorted(unknown))}"
            )
        for array in (self.rtm_mcp, self.rtm_no_trade, *self.extras.values()):
            if array.shape != (len(self.dates), self.n_blocks):
                raise DataError(
                    f"an array has shape {array.shape}, the prices {self.dam_mcp.shape}"
                )

    def __reduce__(self) -> tuple:
        arrays = (self.dates, self.dam_mcp, self.rtm_mcp, self.rtm_no_trade, dict(self.extras))
        return Market, (*arrays, self.is_synthetic, self.notes)

    @property
    def n_blocks(self) -> int:
        """T, the blocks of a day."""
        return self.dam_mcp.shape[1]

    @property
    def block_minutes(self) -> int:
        """Length of a block [minutes]."""
        return MINUTES_PER_DAY // self.n_blocks

    @property
    def block_hours(self) -> float:
        """Length of a block [h]; MW times this is MWh."""
        return self.block_minutes / 60

    @cached_property
    def excluded(self) -> np.ndarray:
        """(D,) bool: a price is missing, so the day is history, but no target and not settled."""
        missing = np.isnan(self.dam_mcp) | (np.isnan(self.rtm_mcp) & ~self.rtm_no_trade)
        return _own(missing.any(axis=1), bool)

    def require_both(self) -> Market:
        """This market; ``DataError`` where it lacks one of the two prices altogether."""
        for name, prices in (("DAM", self.dam_mcp), ("RTM", self.rtm_mcp)):
            if np.isnan(prices).all():
                column = f"{name.lower()}_mcp_rs_mwh"
                raise DataError(
                    f"no {name} price was found: both markets are needed. Add the {name} "
                    f"downloads, or in a tidy CSV the column {column}"
                )
        return self

    def looked_at(self, days: np.ndarray) -> np.ndarray:
        """(D,) bool: defaults were chosen on such days (``LOOKED_AT``); never of made prices."""
        first, last = LOOKED_AT
        return (days >= first) & (days <= last) & (not self.is_synthetic)

    def index_of(self, date: dt.date | np.datetime64 | str) -> int:
        """Place of a day; ``DataError`` where the history does not have it."""
        place = int((np.datetime64(date, "D") - self.dates[0]).astype(int))
        if not 0 <= place < len(self.dates):
            raise DataError(
                f"{np.datetime64(date, 'D')} is not in the history, which runs from "
                f"{self.dates[0]} to {self.dates[-1]}: choose a day within, or add its files"
            )
        return place

    def days(self, start: int, stop: int) -> Market:
        """The days ``start`` to ``stop - 1``, by place."""
        return Market(
            self.dates[start:stop],
            self.dam_mcp[start:stop],
            self.rtm_mcp[start:stop],
            self.rtm_no_trade[start:stop],
            {name: values[start:stop] for name, values in self.extras.items()},
            self.is_synthetic,
        )

    def known_at_dam_gate(self, date: np.datetime64, rules: MarketParams) -> Market:
        """The history as it was known when the DAM's bids for a delivery day closed."""
        return self.known_at(gate_time(date, rules.dam_gate), rules)

    def known_at(self, decision_time: dt.datetime, rules: MarketParams) -> Market:
        """The history as it was known at a time of decision (naive IST).

        DAM and GDAM prices and bids of D are known from ``rules.dam_results`` on D-1. Those of
        an RTM block are known from the delivery start of the last session that it covers. The
        row of an added column is known from its time of publication on its day.
        What was not known is NaN, days of which nothing was known are cut, and no array of
        the answer is a view of this one.

        Raises
        ------
        DataError
            where nothing was known yet.
        """
        if decision_time.tzinfo is not None:
            raise ValueError("decision_time is naive IST; drop its time zone")
        midnight = np.datetime64(decision_time.date(), "D")
        minute = 60 * decision_time.hour + decision_time.minute
        today = int((midnight - self.dates[0]).astype(int))  # may lie outside the history
        dam_days = today + 1 + (minute >= rules.dam_results)
        start = self.block_minutes * np.arange(self.n_blocks)
        session = rules.rtm_session_minutes
        rtm_known_from = (start + self.block_minutes - 1) // session * session
        rtm_blocks = int(np.searchsorted(rtm_known_from, minute, side="right"))
        n_days = min(dam_days, len(self.dates))
        if n_days <= 0:
            raise DataError(
                f"nothing is known at {decision_time:%Y-%m-%d %H:%M}: the history starts on "
                f"{self.dates[0]}. Choose a later day, or add earlier files"
            )

        def known(values: np.ndarray, unknown: object = None) -> np.ndarray:
            """The first days; of RTM values also what lies ahead, overwritten."""
            past = values[:n_days].copy()
            if unknown is not None:
                past[max(today + 1, 0) :] = unknown
                if 0 <= today < n_days:
                    past[today, rtm_blocks:] = unknown
            return past

        def extra(name: str, values: np.ndarray) -> np.ndarray:
            published = published_minute(name)
            if published is None:
                return known(values, np.nan if name.startswith("rtm_") else None)
            past = values[:n_days].copy()
            past[max(today + (minute >= published), 0) :] = np.nan
            return past

        return Market(
            known(self.dates),
            known(self.dam_mcp),
            known(self.rtm_mcp, np.nan),
            known(self.rtm_no_trade, False),
            {name: extra(name, values) for name, values in self.extras.items()},
            self.is_synthetic,
        )

    def to_frame(self) -> pd.DataFrame:
        """One row a block, the contract of ``market.parquet``."""
        minutes = np.arange(self.n_blocks) * self.block_minutes
        starts = self.dates.astype("M8[m]")[:, None] + minutes.astype("m8[m]")
        columns = {"dam_mcp": self.dam_mcp, "rtm_mcp": self.rtm_mcp, **self.extras}
        frame = pd.DataFrame({name: values.ravel() for name, values in columns.items()})
        local = pd.DatetimeIndex(starts.ravel().astype("M8[us]")).tz_localize(TIME_ZONE)
        frame.insert(0, "delivery_start", local)
        frame["day_excluded"] = np.repeat(self.excluded, self.n_blocks)
        frame["rtm_no_trade"] = self.rtm_no_trade.ravel()
        frame["is_synthetic"] = self.is_synthetic
        return frame

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Market:
        """Inverse of ``to_frame``; ``DataError`` where the frame is no complete calendar."""
        starts = frame["delivery_start"].dt.tz_convert(TIME_ZONE).dt.tz_localize(None).to_numpy()
        dates = np.unique(starts.astype("M8[D]"))
        n_blocks = len(starts) // max(len(dates), 1)
        step = np.timedelta64(MINUTES_PER_DAY // max(n_blocks, 1), "m")
        if len(starts) != len(dates) * n_blocks or (np.diff(starts) != step).any():
            raise DataError("market.parquet is no complete calendar: run 01_features again")

        def by_day(name: str) -> np.ndarray:
            return frame[name].to_numpy().reshape(len(dates), n_blocks)

        return cls(
            dates,
            by_day("dam_mcp"),
            by_day("rtm_mcp"),
            by_day("rtm_no_trade"),
            {
                name: by_day(name)
                for name in frame
                if name in EXTRAS or published_minute(name) is not None
            },
            bool(frame["is_synthetic"].any()),
        )


def _own(values: np.ndarray, kind: object) -> np.ndarray:
    """A read-only array of its own; the array itself where it already is one."""
    array = np.asarray(values, dtype=kind)
    if array.base is not None or array.flags.writeable:
        array = array.copy()
    array.setflags(write=False)
    return array


def whole_days(known: Market) -> np.ndarray:
    """(D, T) DAM prices of the days of which all are known; ``DataError`` where none is."""
    complete = known.dam_mcp[np.isfinite(known.dam_mcp).all(axis=1)]
    if not len(complete):
        raise DataError("no whole day of DAM prices is known at the gate")
    return complete


def week_mean(known: Market) -> np.ndarray:
    """(T,) mean DAM price of each block over the last seven whole days."""
    return whole_days(known)[-7:].mean(axis=0)


def mean_spread(known: Market, n_days: int = 28) -> np.ndarray:
    """(T,) mean of RTM minus DAM in each hour over the last days, as far as they are known.

    Raises
    ------
    DataError
        where an hour has no RTM price on any of these days.
    """
    spread = (known.rtm_mcp - known.dam_mcp)[-n_days:]
    by_hour = mean_of_known(spread.reshape(len(spread), 24, -1), axis=(0, 2))
    if np.isnan(by_hour).any():
        hour = int(np.flatnonzero(np.isnan(by_hour))[0])
        raise DataError(
            f"no RTM price at {hour:02d}:00 on the last {len(spread)} days known on "
            f"{known.dates[-1]}: add their RTM files, or leave typical_day out of policies"
        )
    return np.repeat(by_hour, known.n_blocks // 24)


MARKETS = ("dam", "rtm")


def prices_of(market: Market, name: str) -> np.ndarray:
    """(D, T) prices of one of the two markets."""
    return market.dam_mcp if name == "dam" else market.rtm_mcp


def complete_days(market: Market, name: str) -> np.ndarray:
    """(D,) bool: every price of one market is known, blocks without trade aside."""
    known = np.isfinite(prices_of(market, name))
    return (known | market.rtm_no_trade if name == "rtm" else known).all(axis=1)


def mean_of_known(values: np.ndarray, axis: int | tuple[int, ...] = 0) -> np.ndarray:
    """Mean over axes of what is known; NaN, without a warning, where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
