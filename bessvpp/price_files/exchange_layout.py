"""The exchange's "Market Snapshot" layout: preamble, columns, blocks, summary; which market."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Literal

import numpy as np

from bessvpp.params.market import MarketParams
from bessvpp.price_files.checksum import check_summary
from bessvpp.price_files.tables import (
    ENOUGH_HOURS,
    EPOCH,
    VOLUMES,
    Body,
    PriceTable,
    body_below,
    calendar_day,
    check_order,
    hours_in_a_row,
    label,
    row_labels,
)
from bessvpp.price_files.workbook import Cell, Grid, Sheet, clean, refuse

FIELDS = {
    "date": "date",
    "hour": "hour",
    "session id": "session",
    "time block": "block",
    "purchase bid": "purchase_bid_mw",
    "sell bid": "sell_bid_mw",
    "total sell bid": "sell_bid_mw",  # of the GDAM, which splits its volumes by source
    "mcv": "mcv_mw",
    "total mcv": "mcv_mw",
    "mcp": "mcp",
}
GREEN = ("solar", "hydro", "fsv")  # words in columns of the green day-ahead market alone
PRICE_UNITS = {None, "rs/mwh", "rs./mwh", "₹/mwh", "inr/mwh"}
BLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::00)?(\s*)(?:-|–|to)\s*(\d{1,2}):(\d\d)(?::00)?")
MarketName = Literal["dam", "rtm", "gdam"]


def snapshot_table(
    sheet: Sheet, header: int, file_name: str, rules: MarketParams, renamed: Mapping[str, str]
) -> PriceTable:
    """The table of one Market Snapshot, its header in row ``header``."""
    labels = row_labels(sheet.rows[header], renamed)
    where, notes = _places(labels, sheet, header)
    body = body_below(sheet, header, labels, where.get("block"))
    if len({isinstance(cell, dt.date) for cell in body.cells(where["date"])}) > 1:
        refuse(
            f"{sheet.source}, column 'Date'",
            "mixes text and Excel dates, so a spreadsheet has changed some of them",
            "download the file again and do not save it from a spreadsheet",
        )
    days = body.column(where["date"], snapshot_day)
    minutes, length = _blocks(body, where, days)
    market = _market(body, where, length, file_name)
    _check_counter(body, minutes, where.get("hour"), 60)
    _check_counter(body, minutes, where.get("session"), rules.rtm_session_minutes)
    starts = days * 1440 + minutes
    _check_preamble(sheet.rows[:header], days, sheet.source)
    notes += _date_notes(body.cells(where["date"]), days, sheet.source)
    check_order(body, starts)
    columns = {name: body.number_column(where[name]) for name in ("mcp", *VOLUMES) if name in where}
    above = [FIELDS.get(re.sub(r"\s*\(.*\)", "", name)) for name in body.above_summary]
    notes += check_summary(body, above, starts, length, columns, snapshot_day)
    return PriceTable(
        source=sheet.source,
        market=market,
        block_minutes=length,
        starts=starts.astype("M8[m]"),
        row_numbers=np.array(body.numbers),
        columns=columns,
        notes=(*body.notes, *notes),
    )


# --- columns -------------------------------------------------------------------------------


def _places(labels: list[str], sheet: Sheet, header: int) -> tuple[dict[str, int], list[str]]:
    """Place of each field, and notes."""
    where, notes = {}, []
    for place, column in enumerate(labels):
        name, unit = re.fullmatch(r"(.*?)\s*(?:\((.*)\))?", column).groups()
        field = FIELDS.get(name)
        written = clean(sheet.rows[header][place])
        if field == "mcp" and unit not in PRICE_UNITS:
            refuse(
                f"{sheet.source}, row {header + 1}, column '{written}'",
                "is not in Rs/MWh",
                "download the exchange's own file, whose prices are in Rs/MWh",
            )
        if field in VOLUMES and unit not in (None, "mw"):
            notes.append(f"column '{written}' is not in MW and is not used")
        elif field in where:
            refuse(
                f"{sheet.source}, row {header + 1}",
                f"has the column '{name}' twice",
                "keep the right one",
            )
        elif field:
            where[field] = place
    if "mcp" not in where:
        refuse(
            f"{sheet.source}, row {header + 1}",
            f"has no price column 'MCP (Rs/MWh)', only {', '.join(filter(None, labels))}",
            "download the file again with its prices",
        )
    if "block" not in where and "hour" not in where:
        refuse(
            f"{sheet.source}, row {header + 1}",
            "has neither a 'Time Block' nor an 'Hour' column",
            "download the file again",
        )
    return where, notes


def _market(body: Body, where: Mapping[str, int], length: int, file_name: str) -> MarketName:
    """The market that the content tells; where it does not, the file's name does."""
    name = file_name.lower()
    if re.search(r"(?<![a-z])hp[-_ ]?dam(?![a-z])|high[-_ ]?price", name):
        refuse(
            body.source,
            "is named as the high price day-ahead market (HP-DAM), another market than the DAM",
            "remove it, or correct its name",
        )
    words = re.findall(r"(?<![a-z])(g[-_ ]?dam|green.*?dam|rtm|dam)(?![a-z])", name)
    said = {"gdam" if word.startswith("g") else word for word in words}
    named = said.pop() if len(said) == 1 else None
    market: MarketName
    if any(word in column for column in body.labels for word in GREEN):
        market = "gdam"
    elif "session" in where:
        market = "rtm"
    elif _summary_shift(body, where) == 2:
        refuse(
            body.source,
            "has the summary rows of the RTM, but no column 'Session ID'",
            "download the file again",
        )
    elif length == 15 and _block_style(body, where):
        market = "dam"
    elif named == "dam" or named == "rtm":
        market = named
    elif length == 60 and _block_style(body, where):
        market = "dam"
    else:
        refuse(
            body.source,
            "does not tell its market: it has no column 'Session ID', and its time blocks are not "
            "written as the DAM's are (00:00 - 00:15)",
            "let the file's name start with DAM or RTM",
        )
    if named and named != market:
        refuse(
            body.source,
            f"is named {named.upper()}, but its columns are those of the {market.upper()}",
            "download the file again, or correct its name",
        )
    return market


def _block_style(body: Body, where: Mapping[str, int]) -> bool:
    """Whether the time blocks are written as those of the day-ahead markets, with blanks."""
    cell = clean(body.rows[0][where["block"]]) if "block" in where else ""
    match = BLOCK.fullmatch(str(cell))
    return bool(match and match[3])


def _summary_shift(body: Body, where: Mapping[str, int]) -> int | None:
    """How many columns the summary's price stands to the left: 1 in the DAM, 2 in the RTM."""
    for place, column in enumerate(body.above_summary):
        if column.startswith("mcp"):
            return where["mcp"] - place
    return None


# --- dates and blocks ----------------------------------------------------------------------


def snapshot_day(cell: Cell) -> int:
    """Days since 1970 of ``DD-MM-YYYY``, of an ISO date or of an Excel date."""
    if isinstance(cell, dt.date):
        if isinstance(cell, dt.datetime) and cell.time() != dt.time():
            raise ValueError("is a time, not a date; download the file again")
        return calendar_day(cell.year, cell.month, cell.day)
    if match := re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", str(cell)):
        return calendar_day(*map(int, match.groups()))
    match = re.fullmatch(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})", str(cell))
    if not match:
        raise ValueError("is no date; the exchange writes DD-MM-YYYY")
    day, month, year = map(int, match.groups())
    if month > 12 >= day:
        raise ValueError("is month-first; the exchange writes DD-MM-YYYY: download its own file")
    return calendar_day(year, month, day)


def _blocks(body: Body, where: Mapping[str, int], days: np.ndarray) -> tuple[np.ndarray, int]:
    """First minute of each row's block, (n,), and the length of the blocks [minutes]."""
    if "block" not in where:
        minutes = 60 * (body.column(where["hour"], _count) - 1)
        for at in np.flatnonzero(minutes >= 1440)[:1]:
            body.refuse(at, where["hour"], f"{minutes[at] // 60 + 1} is no hour of a day")
        starts = days * 1440 + minutes
        if len(np.unique(starts)) < len(starts) or not hours_in_a_row(starts):
            refuse(
                body.source,
                "has no column 'Time Block', and its hours do not show that prices are hourly",
                "download the file again (hourly prices have one row an hour, and "
                f"{ENOUGH_HOURS} or more in a row)",
            )
        return minutes, 60
    minutes, lengths = np.divmod(body.column(where["block"], _block_span), 1000)
    for at in np.flatnonzero(lengths != lengths[0])[:1]:
        body.refuse(
            at,
            where["block"],
            f"{clean(body.rows[at][where['block']])!r} is not as long as the blocks before it: "
            "keep 15-minute and hourly prices in files of their own",
        )
    return minutes, int(lengths[0])


def _block_span(cell: Cell) -> int:
    """1000 * first minute of the day + length in minutes, of ``23:45 - 24:00``."""
    match = BLOCK.fullmatch(str(cell))
    if not match:
        raise ValueError("is no time block; the exchange writes 23:45 - 24:00")
    h1, m1, _, h2, m2 = match.groups()
    start, end = 60 * int(h1) + int(m1), 60 * int(h2) + int(m2)
    if start >= 1440 or end > 1440:
        raise ValueError(
            "starts after 24:00: the labels of this copy run late by an hour; "
            "download the exchange's own file"
        )
    length = (end or 1440) - start
    if length not in (15, 60) or start % length:
        raise ValueError("is neither a 15-minute block nor an hour; download the file again")
    return 1000 * start + length


def _count(cell: Cell) -> int:
    value = float(cell) if re.fullmatch(r"[0-9]{1,4}(\.0*)?", str(cell)) else 0.0
    if not (value.is_integer() and value >= 1):
        raise ValueError("is no whole number from 1 on; download the file again")
    return int(value)


def _check_counter(body: Body, minutes: np.ndarray, place: int | None, length: int) -> None:
    """Hours and sessions count from 1; labels that run late contradict them."""
    if place is None:
        return
    found, expected = body.column(place, _count), minutes // length + 1
    for at in np.flatnonzero(found != expected)[:1]:
        body.refuse(
            at,
            place,
            f"{found[at]} contradicts the time block, which starts at {minutes[at] // 60:02d}:"
            f"{minutes[at] % 60:02d} and so belongs to {expected[at]}; the labels may run late "
            "by an hour: download the exchange's own file",
        )


def _date_notes(cells: list[Cell], days: np.ndarray, source: str) -> list[str]:
    """Days that only month-first makes consecutive are refused; what may be either is said."""
    found = np.unique(days)
    dates = [EPOCH + dt.timedelta(days=int(day)) for day in found]
    in_a_row = found[-1] - found[0] == len(found) - 1
    either_way = all(date.day <= 12 for date in dates)
    if not either_way or (in_a_row and len(found) > 1):
        return []
    swapped = sorted(date.replace(month=date.day, day=date.month) for date in dates)
    if len(found) > 1 and (swapped[-1] - swapped[0]).days == len(found) - 1:
        refuse(
            f"{source}, column 'Date'",
            f"runs without a gap only when read month-first ({swapped[0]} to {swapped[-1]})",
            "the exchange writes DD-MM-YYYY: download its own file",
        )
    iso = isinstance(clean(cells[0]), str) and re.match(r"\d{4}", clean(cells[0]))
    if iso or swapped == dates:
        return []
    return [f"dates are read day-first ({dates[0]:%d %B %Y}); nothing here rules out month-first"]


def _check_preamble(preamble: Grid, days: np.ndarray, source: str) -> None:
    """The range that the preamble promises is the range of the rows; no block stands there."""
    for row_number, row in enumerate(preamble, start=1):
        for cell in row:
            if BLOCK.fullmatch(str(clean(cell))):
                refuse(
                    f"{source}, row {row_number}",
                    "holds a block above the header",
                    "download the file again",
                )
            if not label(cell).startswith("date:"):
                continue
            ends = re.findall(r"\d+[-/.]\d+[-/.]\d+", str(cell))
            try:
                promised = [snapshot_day(end) for end in ends]
            except ValueError as error:
                refuse(f"{source}, row {row_number}", f"{cell!r}: one end {error}", "correct it")
            if promised and (promised[0], promised[-1]) != (days.min(), days.max()):
                first, last = np.array([days.min(), days.max()]).astype("M8[D]")
                refuse(
                    f"{source}, row {row_number}",
                    f"{cell!r} does not match the rows, which run from {first} to {last}",
                    "download the file again (a copy with month-first dates looks like this)",
                )
