"""What price tables mean: each judged by itself, then merged where they agree.

The judged tables of a file are kept in ``data/.cache``, so that a file is parsed once. An entry
is found by what was read: the file's content and name, the rules that matter, and the code that
judges; one that is damaged is made again. The folder can be deleted at any time;
``BESSVPP_CACHE`` names another one, or ``off``.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bessvpp.compute.cache import hash_of, read_entry, write_entry
from bessvpp.errors import DataError, StorageError
from bessvpp.params import load
from bessvpp.params.load import MINUTES_PER_DAY, PROJECT_ROOT, MarketParams
from bessvpp.price_files import checksum, snapshot, tables, tidy, workbook
from bessvpp.price_files.tables import VOLUMES, PriceTable

CACHE = PROJECT_ROOT / "data" / ".cache"
ROUNDING = 0.011  # Rs/MWh; prices of one block that differ by more disagree
RS_PER_KWH = 50.0  # a day whose median price, zeros apart, lies below this is in Rs/kWh


def read_price_tables(path: Path, rules: MarketParams) -> list[PriceTable]:
    """The tables of one file, of whatever market, each judged by itself.

    Blocks of zeros are set apart: of the RTM as ``no_trade`` (1.0), else as a missing price.
    """
    raw = workbook.read_bytes(path)
    entry = _cache_entry(raw, path, rules)
    if entry is not None and (kept := _read_entry(entry, path)) is not None:
        return kept
    found = [_judged(table, rules) for table in tidy.read_tables(raw, path, rules)]
    if entry is not None:
        _write_entry(entry, path, found)
    return found


# --- one table -----------------------------------------------------------------------------


def _judged(table: PriceTable, rules: MarketParams) -> PriceTable:
    """The table with blocks of zeros set apart; refused where its prices cannot be."""
    mcp = table.columns["mcp"]
    days = table.starts.astype("M8[D]")
    notes = list(table.notes)
    if table.market == "gdam":
        notes.append("green day-ahead market (GDAM), whose price is a feature and no DAM price")
    zeros, unclear = _zeros(table)
    price = np.where(zeros | unclear, np.nan, mcp)
    if zeros.any():
        kind = "no trade" if table.market == "rtm" else "no price"
        notes.append(f"{zeros.sum()} blocks of zeros, taken as {kind}")
    if unclear.any():
        notes.append(
            f"{unclear.sum()} prices of 0 without a cleared volume (MCV), which could be blocks "
            "without trade, taken as missing"
        )
    dates, date_of = np.unique(days, return_inverse=True)
    _refuse_rs_per_kwh(table, price, dates, date_of)
    floor = rules.price_floor_rs_per_mwh
    cap = rules.caps_rs_per_mwh(dates)[date_of]
    for at in np.flatnonzero((price < floor - ROUNDING) | (price > cap + ROUNDING))[:1]:
        side, limit = (
            ("above the cap", cap[at]) if price[at] > floor else ("below the floor", floor)
        )
        raise DataError(
            f"{table.source}, row {table.row_numbers[at]}, {table.market.upper()} price: "
            f"{price[at]:g} lies {side} of {limit:g} Rs/MWh on {days[at]}: correct the price, or "
            "price_caps and price_floor_rs_per_mwh in params/market.yaml"
        )
    tidy.refuse_shifted(table.starts.astype(int), table.block_minutes, table.source)
    no_trade = np.where(zeros & (table.market == "rtm"), 1.0, np.nan)
    columns = {**table.columns, "mcp": np.clip(price, floor, cap), "no_trade": no_trade}
    return replace(table, columns=columns, notes=tuple(notes))


def _refuse_rs_per_kwh(
    table: PriceTable, price: np.ndarray, dates: np.ndarray, date_of: np.ndarray
) -> None:
    """Days whose prices are in Rs/kWh, all or most of them; the first is named."""
    suspects = np.unique(date_of[(price > 0) & (price < RS_PER_KWH)])
    medians = {at: np.median(price[(date_of == at) & (price > 0)]) for at in suspects.tolist()}
    low = [at for at, median in medians.items() if median < RS_PER_KWH]
    if low:
        priced = len(np.unique(date_of[price > 0]))
        remedy = (
            "multiply them by 1000"
            if len(low) == priced
            else f"the same is so on {len(low)} of {priced} days: give all prices in Rs/MWh"
        )
        raise DataError(
            f"{table.source}, row {table.row_numbers[np.argmax(date_of == low[0])]}: the median "
            f"{table.market.upper()} price of {dates[low[0]]} is {medians[low[0]]:g}, so prices "
            f"seem to be in Rs/kWh: {remedy}"
        )


def _zeros(table: PriceTable) -> tuple[np.ndarray, np.ndarray]:
    """Blocks that were published as zeros, and prices of 0 of which nothing tells; (n,) bool.

    A price of 0 with a cleared volume is a price.
    """
    zero = table.columns["mcp"] == 0
    missing = np.full(len(zero), np.nan)
    bids = np.array([table.columns.get(name, missing) for name in VOLUMES])
    cleared = bids[VOLUMES.index("mcv_mw")]
    no_bids = (np.nan_to_num(bids) == 0).all(axis=0) & ~np.isnan(bids).all(axis=0)
    untold = np.isnan(cleared)
    return zero & ((cleared == 0) | (untold & no_bids)), zero & untold & ~no_bids


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
    """Means over ``factor`` blocks; of RTM prices over those with trade, none if none has."""
    days, blocks = grids["mcp"].shape
    parts = {name: g.reshape(days, blocks // factor, factor) for name, g in grids.items()}
    idle = parts["no_trade"] == 1
    counted = np.where(idle, 0.0, parts["mcp"]).sum(axis=2)
    traded = factor - idle.sum(axis=2)
    means = {name: parts[name].mean(axis=2) for name in VOLUMES}
    with np.errstate(invalid="ignore"):
        mcp = np.where(traded > 0, counted / np.maximum(traded, 1), np.nan)
    return {"mcp": mcp, "no_trade": np.where(traded > 0, np.nan, 1.0), **means}


# --- the cache -----------------------------------------------------------------------------


@functools.cache
def _code() -> bytes:
    """What a cached table depends on besides its file and the rules: the code that made it."""
    modules = (workbook, tables, checksum, snapshot, tidy, load)
    files = [Path(name) for name in (*(module.__file__ for module in modules), __file__)]
    return hash_of(files, ["python-calamine"]).encode()


def _cache_entry(raw: bytes, path: Path, rules: MarketParams) -> Path | None:
    """Where the tables of a file are kept; ``None`` where nothing is."""
    place = os.environ.get("BESSVPP_CACHE") or CACHE
    if place == "off":
        return None
    told = rules.model_dump(
        mode="json",
        include={"price_floor_rs_per_mwh", "price_caps", "rtm_session_minutes", "column_names"},
    )
    key = hashlib.sha256(_code())
    key.update(json.dumps([path.name, told], sort_keys=True).encode())
    key.update(raw)
    return Path(place) / f"{key.hexdigest()[:40]}.entry"


def _read_entry(entry: Path, path: Path) -> list[PriceTable] | None:
    """The tables of an entry; ``None`` where there is none, or it is damaged."""
    if (arrays := read_entry(entry, entry.stem)) is None:
        return None
    return [
        PriceTable(
            source=f"{path}{head['sheet']}",
            market=head["market"],
            block_minutes=head["block_minutes"],
            starts=arrays[f"{i}_starts"],
            row_numbers=arrays[f"{i}_row_numbers"],
            columns={name: arrays[f"{i}_{name}"] for name in head["columns"]},
            notes=tuple(head["notes"]),
        )
        for i, head in enumerate(json.loads(str(arrays["heads"])))
    ]


def _write_entry(entry: Path, path: Path, found: Sequence[PriceTable]) -> None:
    """Keep tables; nothing is said where that is not possible, they are only read again."""
    arrays: dict[str, np.ndarray] = {}
    heads = []
    for i, table in enumerate(found):
        heads.append(
            {
                "sheet": table.source.removeprefix(str(path)),
                "market": table.market,
                "block_minutes": table.block_minutes,
                "columns": list(table.columns),
                "notes": list(table.notes),
            }
        )
        arrays |= {f"{i}_starts": table.starts, f"{i}_row_numbers": table.row_numbers}
        arrays |= {f"{i}_{name}": values for name, values in table.columns.items()}
    with contextlib.suppress(StorageError):
        write_entry(entry, entry.stem, {"heads": np.array(json.dumps(heads)), **arrays})
