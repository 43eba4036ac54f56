"""The tables of one sheet: the exchange's "Market Snapshot", its API's rows, and tidy columns.

Which columns are prices, of which market and in which unit; what stands above and below the rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from bessvpp.params.market import MarketParams
from bessvpp.price_files.checksum import check_summary
from bessvpp.price_files.columns import Column, columns_of, unit_named
from bessvpp.price_files.dates import day_of
from bessvpp.price_files.named_market import market_of
from bessvpp.price_files.stamps import time_order
from bessvpp.price_files.starts import BLOCK, Starts, starts_of
from bessvpp.price_files.tables import (
    VOLUMES,
    Body,
    PriceTable,
    body_below,
    check_order,
    filled,
    label,
    row_labels,
)
from bessvpp.price_files.workbook import Grid, Sheet, clean, refuse

Places = dict[str, int]
"""Place of ``mcp`` and of each of ``VOLUMES``."""


def price_tables(
    sheet: Sheet, header: int, file_name: str, rules: MarketParams, renamed: Mapping[str, str]
) -> list[PriceTable]:
    """The table of each market in a sheet whose header is row ``header``."""
    labels = row_labels(sheet.rows[header], renamed)
    columns = columns_of(labels)
    times = [at for at, c in enumerate(columns) if c.role in ("block", "stamp")]
    body = body_below(sheet, header, labels, times[0] if times else None)
    _check_preamble_rows(sheet.rows[:header], body)
    by_market, notes = _price_places(body, columns)
    starts = starts_of(body, columns, rules.rtm_session_minutes)
    minutes = starts.minutes
    _check_preamble_dates(sheet.rows[:header], minutes // 1440, sheet.source)
    order = np.arange(len(minutes))
    if not sheet.made and not starts.stamped:
        check_order(body, minutes)
    elif (first := np.unique(minutes, return_index=True)[1]).size and (np.diff(first) < 0).any():
        order = time_order(body, minutes, starts.length)
        notes.append("rows out of order, each with its whole date, are sorted by time")
    if starts.stamped:
        notes += [f"column '{c.label}' is not used" for c in columns if c.label and not _used(c)]
    tables = []
    for said, places in by_market.items():
        values = {name: body.number_column(at) for name, at in places.items()}
        summary = check_summary(body, _above(body), minutes, starts.length, values, day_of)
        if columns[places["mcp"]].unit == "rs/kwh":
            values["mcp"] = np.round(values["mcp"] * 1000, 6)
            summary.append(f"column '{body.names[places['mcp']]}' is in Rs/kWh, converted")
        market = said or market_of(body, columns, places["mcp"], starts.length, file_name, sheet)
        tables.append(_table(body, market, starts, values, order, [*notes, *summary]))
    return tables


def _table(
    body: Body,
    market: str,
    starts: Starts,
    values: Mapping[str, np.ndarray],
    order: np.ndarray,
    notes: Sequence[str],
) -> PriceTable:
    return PriceTable(
        source=body.source,
        market=market,
        block_minutes=starts.length,
        starts=starts.minutes[order].astype("M8[m]"),
        row_numbers=np.array(body.numbers)[order],
        columns={name: column[order] for name, column in values.items()},
        notes=(*body.notes, *starts.notes, *notes),
        converted=starts.converted,
    )


# --- columns -------------------------------------------------------------------------------


def _price_places(body: Body, columns: list[Column]) -> tuple[dict[str, Places], list[str]]:
    """Places of prices and volumes by the market that their names say, "" where none; notes.

    Beside prices of several markets, volumes without a market are those of the DAM.
    """
    by_market: dict[str, Places] = {}
    notes: list[str] = []
    several = any(column.role == "mcp" and column.market for column in columns)
    for at, column in enumerate(columns):
        if column.role not in ("mcp", *VOLUMES):
            continue
        name = body.names[at]
        market = column.market or ("dam" if several and column.role != "mcp" else "")
        if several and (market in ("", "hpdam")):
            notes.append(f"column '{name}' is of another market and is not used")
        elif column.role in VOLUMES and column.unit not in ("", "mw"):
            notes.append(f"column '{name}' is not in MW and is not used")
        elif column.role in by_market.setdefault(market, {}):
            refuse(
                f"{body.source}, row {body.header}",
                f"has the {column.role} of one market twice, '{name}' the second time",
                "keep the right one",
            )
        else:
            by_market[market][column.role] = at
    priced = {market: places for market, places in by_market.items() if "mcp" in places}
    if not priced:
        refuse(
            f"{body.source}, row {body.header}",
            f"has no price column 'MCP (Rs/MWh)', only {', '.join(filter(None, body.labels))}",
            "name it 'MCP (Rs/MWh)', or 'dam_mcp_rs_mwh' and 'rtm_mcp_rs_mwh'",
        )
    for places in priced.values():
        _check_price_unit(body, columns, places["mcp"])
    return priced, notes


def _used(column: Column) -> bool:
    return column.role in (*VOLUMES, "mcp", "final", "stamp", "unit", "timezone", "market")


def _check_price_unit(body: Body, columns: list[Column], place: int) -> None:
    """Rs/MWh, or a Rs/kWh that the name itself says and nothing beside it contradicts."""
    unit = columns[place].unit
    where = f"{body.source}, row {body.header}, column '{body.names[place]}'"
    for other, column in enumerate(columns):
        if column.role == "unit" and not unit:
            units = {unit_named(str(cell)) for cell in body.cells(other)} - {""}
            if len(units) > 1:
                body.refuse(0, other, f"names several units, {', '.join(sorted(units))}")
            unit = units.pop() if units else ""
            columns[place] = Column(columns[place].label, "mcp", columns[place].market, unit)
    if unit not in ("", "rs/mwh", "rs/kwh"):
        refuse(where, f"is not in Rs/MWh, but in {unit}", "give prices in Rs/MWh")
    if unit == "rs/kwh" and any(column.unit == "mw" for column in columns):
        refuse(
            where,
            "is not in Rs/MWh, beside volumes in MW as the exchange writes them: one of the two "
            "has been changed",
            "download the exchange's own file, or give the price alone, without volumes",
        )


def _above(body: Body) -> list[str | None]:
    """Fields as the header above the summary names them."""
    roles = [column.role for column in columns_of(body.above_summary)]
    return [role if role in ("date", "mcp", *VOLUMES) else None for role in roles]


# --- above the rows ------------------------------------------------------------------------


def _check_preamble_rows(preamble: Grid, body: Body) -> None:
    """No block stands above the header."""
    for row_number, row in enumerate(preamble, start=1):
        for cell in row:
            text = str(clean(cell))
            if BLOCK.fullmatch(text) or re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:", text):
                refuse(
                    f"{body.source}, row {row_number}",
                    "holds a block above the header",
                    "put the header first, or download the file again",
                )


def _check_preamble_dates(preamble: Grid, days: np.ndarray, source: str) -> None:
    """The range that the preamble promises is the range of the rows."""
    for row_number, row in enumerate(preamble, start=1):
        for cell in row:
            if not (filled(cell) and label(cell).startswith("date:")):
                continue
            ends = re.findall(r"\d+[-/.]\d+[-/.]\d+", str(cell))
            try:
                promised = [day_of(end) for end in ends]
            except ValueError as error:
                refuse(f"{source}, row {row_number}", f"{cell!r}: one end {error}", "correct it")
            if promised and (promised[0], promised[-1]) != (days.min(), days.max()):
                first, last = np.array([days.min(), days.max()]).astype("M8[D]")
                refuse(
                    f"{source}, row {row_number}",
                    f"{cell!r} does not match the rows, which run from {first} to {last}",
                    "download the file again (a copy with month-first dates looks like this)",
                )
