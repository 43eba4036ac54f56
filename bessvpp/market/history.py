"""One market history on a complete calendar, and the only way to look at it: as of a time.

What counts as known is stated once, in ``Market.known_at``. What counts as data is stated
once, in ``read_market``: files are merged where they agree and refused where they do not,
and nothing that is missing is ever filled.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from bessvpp.errors import DataError
from bessvpp.params.load import MINUTES_PER_DAY, MarketParams
from bessvpp.price_files.external import published_minute, read_external
from bessvpp.price_files.judge import (
    days_of,
    green_prices,
    merged,
    read_price_tables,
    unlike_volumes,
)
from bessvpp.price_files.tables import VOLUMES, PriceTable
from bessvpp.price_files.tidy import MARKER
from bessvpp.price_files.workbook import SUFFIXES

GREEN_PRICE = "gdam_mcp"
EXTRAS = (*(f"{market}_{name}" for market in ("dam", "rtm") for name in VOLUMES), GREEN_PRICE)
TIME_ZONE = "Asia/Kolkata"


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


def is_sunday(dates: np.ndarray) -> np.ndarray:
    """Whether dates are Sundays; 1 January 1970 was a Thursday."""
    return (dates.astype("datetime64[D]").astype(int) + 4) % 7 == 0


def read_market(path: Path | Sequence[Path], rules: MarketParams) -> Market:
    """The history that a file, a folder of files, or several of them hold.

    Files may overlap where they agree. 15-minute prices are averaged to hours where
    ``rules.block_minutes`` is 60; an hourly RTM price is the mean over the blocks with trade.
    Prices of the green market (GDAM) join as ``extras`` on the days of the other two.
    A folder that holds ``SYNTHETIC.txt`` makes the market synthetic. The columns of
    ``rules.external`` join by delivery_start.

    Raises
    ------
    DataError
        naming the file, the place in it, what is wrong and what to do.
    """
    paths = [Path(path)] if isinstance(path, (str, Path)) else [Path(entry) for entry in path]
    names = ", ".join(map(str, paths))
    notes: list[str] = []
    files = [file for entry in paths for file in price_files(entry, notes)]
    found = [table for file in files for table in read_price_tables(file, rules)]
    notes += [f"{table.source}: {note}" for table in found for note in table.notes]
    tables = [table for table in found if table.market != "gdam"]
    if not any(table.market == "dam" for table in tables):
        only = "RTM prices" if tables else "the green market (GDAM), another price,"
        raise DataError(f"{names}: only {only} found: add the files of the day-ahead market (DAM)")
    minutes = common_minutes(tables, rules)
    for kind in sorted({(table.market, table.block_minutes) for table in tables}):
        notes += unlike_volumes([t for t in tables if (t.market, t.block_minutes) == kind])
    dates = days_of(tables)
    dam = merged([t for t in tables if t.market == "dam"], dates, minutes)
    rtm = merged([t for t in tables if t.market == "rtm"], dates, minutes)
    extras = {
        f"{market}_{name}": grids[name]
        for market, grids in (("dam", dam), ("rtm", rtm))
        for name in VOLUMES
        if not np.isnan(grids[name]).all()
    }
    if green := [table for table in found if table.market == "gdam"]:
        prices, told = green_prices(green, dates, minutes)
        notes += told
        if not np.isnan(prices).all():
            extras[GREEN_PRICE] = prices
    for given in rules.external:
        added = read_external(given, dates, MINUTES_PER_DAY // minutes)
        for name in sorted(added.keys() & extras.keys()):
            raise DataError(f"{given.file}: another file of external has a column {name} too")
        notes += [
            f"{given.file}: {name} has no value for the days that are here"
            for name, values in added.items()
            if np.isnan(values).all()
        ]
        extras |= added
    no_trade = rtm["no_trade"] == 1
    market = Market(
        dates,
        dam["mcp"],
        np.where(no_trade, np.nan, rtm["mcp"]),
        no_trade,
        extras,
        any((file.parent / MARKER).is_file() for file in files),
    )
    if np.isnan(market.dam_mcp).all():
        raise DataError(f"{names}: holds not one DAM price: download the days again")
    object.__setattr__(market, "notes", (*dict.fromkeys(notes), *_gaps(market)))
    return market


def common_minutes(tables: Sequence[PriceTable], rules: MarketParams) -> int:
    """Length of the blocks [minutes] on which tables are read together.

    ``DataError`` where hourly prices would have to be told apart.
    """
    lengths = {table.block_minutes for table in tables}
    minutes = rules.block_minutes or min(lengths)
    if minutes < max(lengths) or (rules.block_minutes is None and len(lengths) > 1):
        hourly = next(table.source for table in tables if table.block_minutes == 60)
        raise DataError(
            f"{hourly} holds hourly prices, which cannot be told apart into 15-minute ones: "
            "set block_minutes to 60, or give files of 15 minutes alone"
        )
    return minutes


def price_files(path: Path, notes: list[str]) -> list[Path]:
    """The files to read, in order of their names."""
    if not path.is_dir():
        return [path]
    found = []
    for entry in sorted(path.iterdir()):
        if entry.name.startswith((".", "~$")) or entry.name == MARKER:
            continue
        if entry.is_file() and entry.suffix.lower() in SUFFIXES:
            found.append(entry)
        else:
            notes.append(f"{entry}: not a price file, set aside")
    if not found:
        raise DataError(
            f"{path} holds no price file: put the exchange's Market Snapshot downloads "
            "(xlsx or CSV, DAM and RTM) there"
        )
    return found


def _gaps(market: Market) -> list[str]:
    """A note on the incomplete days of each market."""
    notes = []
    no_rtm_price = np.isnan(market.rtm_mcp) & ~market.rtm_no_trade
    for name, missing in (("DAM", np.isnan(market.dam_mcp)), ("RTM", no_rtm_price)):
        if missing.all():
            notes.append(f"no {name} price at all: every day is excluded")
        elif len(days := market.dates[missing.any(axis=1)]):
            more = f" and {len(days) - 5} more" if len(days) > 5 else ""
            shown = ", ".join(map(str, days[:5]))
            notes.append(f"days with a missing {name} price, excluded: {shown}{more}")
    return notes


def _own(values: np.ndarray, kind: object) -> np.ndarray:
    """A read-only array of its own; the array itself where it already is one."""
    array = np.asarray(values, dtype=kind)
    if array.base is not None or array.flags.writeable:
        array = array.copy()
    array.setflags(write=False)
    return array
