"""A market history out of price files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bessvpp.errors import DataError
from bessvpp.market.history import GREEN_PRICE, Market
from bessvpp.params.fields import MINUTES_PER_DAY
from bessvpp.params.market import MarketParams
from bessvpp.price_files.external import read_external
from bessvpp.price_files.judge import read_price_tables
from bessvpp.price_files.merge import (
    MARKER,
    common_minutes,
    days_of,
    green_prices,
    merged,
    price_files,
    unlike_volumes,
)
from bessvpp.price_files.tables import VOLUMES


def read_market(path: str | Path | Sequence[Path], rules: MarketParams) -> Market:
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

    Examples
    --------
    >>> market = bv.read_market("data/raw", bv.load_params().market)
    >>> market.dates[0], market.dam_mcp.shape  # days, blocks
    (np.datetime64('2025-08-07'), (1, 96))
    """
    entries = [path] if isinstance(path, (str, Path)) else path
    paths = [Path(entry).expanduser() for entry in entries]
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
    if np.isnan(dam["mcp"]).all():
        raise DataError(f"{names}: holds not one DAM price: download the days again")
    extras = _volumes({"dam": dam, "rtm": rtm})
    if green := [table for table in found if table.market == "gdam"]:
        prices, told = green_prices(green, dates, minutes)
        notes += told
        if not np.isnan(prices).all():
            extras[GREEN_PRICE] = prices
    added, told = _external_columns(rules, dates, MINUTES_PER_DAY // minutes)
    no_trade = rtm["no_trade"] == 1
    rtm_mcp = np.where(no_trade, np.nan, rtm["mcp"])
    gaps = _gaps(dates, {"DAM": np.isnan(dam["mcp"]), "RTM": np.isnan(rtm_mcp) & ~no_trade})
    return Market(
        dates,
        dam["mcp"],
        rtm_mcp,
        no_trade,
        extras | added,
        is_synthetic=any((file.parent / MARKER).is_file() for file in files),
        notes=(*dict.fromkeys(notes + told), *gaps),
    )


def _volumes(grids_of: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Bids and volumes of each market [MW], those that its files have."""
    return {
        f"{market}_{name}": grids[name]
        for market, grids in grids_of.items()
        for name in VOLUMES
        if not np.isnan(grids[name]).all()
    }


def _external_columns(
    rules: MarketParams, dates: np.ndarray, blocks: int
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Columns (D, T) of all files of ``external``, and notes on those without a value here."""
    columns: dict[str, np.ndarray] = {}
    notes = []
    for given in rules.external:
        added = read_external(given, dates, blocks)
        for name in sorted(added.keys() & columns.keys()):
            raise DataError(f"{given.file}: another file of external has a column {name} too")
        notes += [
            f"{given.file}: {name} has no value for the days that are here"
            for name, values in added.items()
            if np.isnan(values).all()
        ]
        columns |= added
    return columns, notes


def _gaps(dates: np.ndarray, missing_of: Mapping[str, np.ndarray]) -> list[str]:
    """A note on the incomplete days of each market, whose blocks (D, T) are missing or not."""
    notes = []
    for name, missing in missing_of.items():
        if missing.all():
            notes.append(f"no {name} price at all: every day is excluded")
        elif len(days := dates[missing.any(axis=1)]):
            more = f" and {len(days) - 5} more" if len(days) > 5 else ""
            shown = ", ".join(map(str, days[:5]))
            notes.append(f"days with a missing {name} price, excluded: {shown}{more}")
    return notes
