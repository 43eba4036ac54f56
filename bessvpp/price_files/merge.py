"""Several price tables put on one calendar, where they agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bessvpp.errors import DataError
from bessvpp.params.fields import MINUTES_PER_DAY
from bessvpp.params.market import MarketParams
from bessvpp.price_files.formats import SUFFIXES
from bessvpp.price_files.tables import ROUNDING, VOLUMES, PriceTable
from bessvpp.price_tick import without_dust


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


# --- several tables ------------------------------------------------------------------------


def merged(tables: Sequence[PriceTable], dates: np.ndarray, minutes: int) -> dict[str, np.ndarray]:
    """Grids (D, T) of the columns of one market; NaN where no table has a value."""
    names = ("mcp", "no_trade", *VOLUMES)
    shape = (len(dates), MINUTES_PER_DAY // minutes)
    merged = {name: np.full(shape, np.nan) for name in names}
    for length in sorted({table.block_minutes for table in tables}, reverse=True):
        grids = _placed([t for t in tables if t.block_minutes == length], dates, length)
        if length < minutes:
            grids = _averaged(grids, minutes // length)
        one, two = (np.where(g["no_trade"] == 1, -1.0, g["mcp"]) for g in (merged, grids))
        for day, block in np.argwhere(np.abs(one - two) > ROUNDING)[:1]:
            raise DataError(
                f"the hourly files and the 15-minute files disagree on {dates[day]}, hour "
                f"{block}: {_told(one[day, block])} and {_told(two[day, block])}. "
                "Keep the files of one kind"
            )
        merged = {name: np.fmax(merged[name], grids[name]) for name in names}
    return merged


def days_of(tables: Sequence[PriceTable]) -> np.ndarray:
    """(D,) every day from the first of the tables to the last."""
    days = [table.starts.astype("M8[D]") for table in tables]
    return np.arange(min(d.min() for d in days), max(d.max() for d in days) + 1)


def green_prices(
    tables: Sequence[PriceTable], dates: np.ndarray, minutes: int
) -> tuple[np.ndarray, list[str]]:
    """(D, T) prices of the GDAM on the calendar of the other markets [Rs/MWh], and notes.

    They never lengthen that calendar: prices of other days are set apart, and so are hourly ones
    beside blocks of 15 minutes. Those that disagree are refused.
    """
    fitting = [table for table in tables if table.block_minutes <= minutes]
    notes = [
        f"{table.source}: GDAM prices of {table.block_minutes} minutes cannot be told apart into "
        f"the {minutes} minutes of the other markets, set apart"
        for table in tables
        if table.block_minutes > minutes
    ]
    prices = np.full((len(dates), MINUTES_PER_DAY // minutes), np.nan)
    if fitting:
        own_dates = days_of(fitting)
        own = merged(fitting, own_dates, minutes)["mcp"]
        _, here, there = np.intersect1d(dates, own_dates, return_indices=True)
        prices[here] = own[there]
        outside = own_dates[np.isfinite(own).any(axis=1) & ~np.isin(own_dates, dates)]
        if len(outside):
            notes.append(
                f"GDAM prices of {len(outside)} days, {outside[0]} to {outside[-1]}, lie outside "
                "the days of the other markets, set apart"
            )
    return prices, notes


def repeated(tables: Sequence[PriceTable]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of neighbours among the rows that give one block a price, of one market and length.

    first, second : (k,) places of the rows, counted over all tables
    differ : (k,) bool, the two disagree; no trade disagrees with a price
    """
    return _twins(tables, _said(tables))


def _twins(
    tables: Sequence[PriceTable], values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``repeated``, of any value of the rows."""
    start = np.concatenate([table.starts for table in tables])
    order = np.argsort(start, kind="stable")
    order = order[~np.isnan(values[order])]
    first, second = order[:-1], order[1:]
    twins = start[first] == start[second]
    first, second = first[twins], second[twins]
    return first, second, np.abs(values[first] - values[second]) > ROUNDING


def unlike_volumes(tables: Sequence[PriceTable]) -> list[str]:
    """Notes on volumes that tables of one market and length give twice, and not alike."""
    start = np.concatenate([table.starts for table in tables])
    owner = np.concatenate([np.full(len(table.starts), i) for i, table in enumerate(tables)])
    notes = []
    for name in VOLUMES:
        first, second, differ = _twins(tables, _column(tables, name))
        if differ.any():
            one, two = (tables[owner[rows[differ][0]]].source for rows in (first, second))
            there = np.unique(start[first[differ]])
            notes.append(
                f"{tables[0].market.upper()} {name} of {len(there)} blocks from {there[0]} on "
                f"differ between {one} and {'its own rows' if one == two else two}; those of the "
                "first file by name stay"
            )
    return notes


def disagreements(tables: Sequence[PriceTable]) -> list[str]:
    """Where tables of one market and length disagree: a message for each pair of sources."""
    first, second, differ = repeated(tables)
    start = np.concatenate([table.starts for table in tables])
    row = np.concatenate([table.row_numbers for table in tables])
    owner = np.concatenate([np.full(len(table.starts), i) for i, table in enumerate(tables)])
    said = _said(tables)
    messages: dict[tuple[int, int], str] = {}
    pairs = list(zip(first[differ].tolist(), second[differ].tolist(), strict=True))
    for pair in pairs:
        owners = (int(owner[pair[0]]), int(owner[pair[1]]))
        if owners in messages:
            continue
        one, two = (f"{tables[owner[i]].source}, row {row[i]}: {_told(said[i])}" for i in pair)
        n = sum((owner[i], owner[j]) == owners for i, j in pairs)
        more = f" (and {n - 1} more blocks)" if n > 1 else ""
        messages[owners] = (
            f"two rows disagree on the {tables[0].market.upper()} price of {start[pair[0]]}{more}:"
            f"\n  {one}\n  {two}\nKeep the one that is right, or download the day again"
        )
    return list(messages.values())


def _said(tables: Sequence[PriceTable]) -> np.ndarray:
    """Price of each row, -1 for no trade, NaN for nothing."""
    return np.where(_column(tables, "no_trade") == 1, -1.0, _column(tables, "mcp"))


def _told(said: float) -> str:
    return "no trade" if said < 0 else f"{said:g} Rs/MWh"


def _column(tables: Sequence[PriceTable], name: str) -> np.ndarray:
    """One column over the rows of all tables, NaN where a table has none."""
    return np.concatenate([t.columns.get(name, np.full(len(t.starts), np.nan)) for t in tables])


def _placed(tables: Sequence[PriceTable], dates: np.ndarray, length: int) -> dict[str, np.ndarray]:
    """Rows of tables put on the calendar; rows that disagree on a price are refused."""
    blocks = MINUTES_PER_DAY // length
    grids = {}
    start = np.concatenate([t.starts for t in tables])
    place = (start - dates[0].astype("M8[m]")).astype(int) // length

    if clashes := disagreements(tables):
        raise DataError(clashes[0])
    for name in ("mcp", "no_trade", *VOLUMES):
        values = _column(tables, name)
        there = np.flatnonzero(~np.isnan(values))[::-1]  # of several, the first stays
        grid = np.full(len(dates) * blocks, np.nan)
        grid[place[there]] = values[there]
        grids[name] = grid.reshape(len(dates), blocks)
    return grids


def _averaged(grids: dict[str, np.ndarray], factor: int) -> dict[str, np.ndarray]:
    """Means over ``factor`` blocks; of RTM prices over those with trade, none if none has.

    Means of prices are rounded to Rs 1e-6/MWh, or one that is a whole tick would miss it by
    its last bit.
    """
    days, blocks = grids["mcp"].shape
    parts = {name: g.reshape(days, blocks // factor, factor) for name, g in grids.items()}
    idle = parts["no_trade"] == 1
    counted = np.where(idle, 0.0, parts["mcp"]).sum(axis=2)
    traded = factor - idle.sum(axis=2)
    means = {name: parts[name].mean(axis=2) for name in VOLUMES}
    with np.errstate(invalid="ignore"):
        mcp = np.where(traded > 0, without_dust(counted / np.maximum(traded, 1)), np.nan)
    return {"mcp": mcp, "no_trade": np.where(traded > 0, np.nan, 1.0), **means}


MARKER = "SYNTHETIC.txt"  # a folder that holds this file holds no real data
