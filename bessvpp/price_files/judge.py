"""What a price table means: zeros, caps, units; judged by itself, and kept.

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
from bessvpp.files import PROJECT_ROOT
from bessvpp.params.market import MarketParams
from bessvpp.price_files import tidy, workbook
from bessvpp.price_files.stamps import refuse_shifted
from bessvpp.price_files.tables import ROUNDING, VOLUMES, PriceTable

CACHE = PROJECT_ROOT / "data" / ".cache"
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
    if not table.converted:
        refuse_shifted(table.starts.astype(int), table.block_minutes, table.source)
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


# --- the cache -----------------------------------------------------------------------------


@functools.cache
def _code() -> bytes:
    """What a cached table depends on besides its file and the rules: the code that made it."""
    return hash_of(("params", "price_files"), ["python-calamine"]).encode()


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
