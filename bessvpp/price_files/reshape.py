"""Rows of one block and one market each, out of tables that put more into a row or a column."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import replace

from bessvpp.params.fields import clock_text
from bessvpp.price_files.columns import column_of, columns_of, market_named, squashed
from bessvpp.price_files.dates import day_of
from bessvpp.price_files.starts import BLOCK, CLOCK
from bessvpp.price_files.tables import filled, label, number, row_labels
from bessvpp.price_files.workbook import Cell, Grid, Sheet, clean, refuse

HEADER_ROWS = 40  # a header stands among them
SLOT = re.compile(r"(?:h|hr|hour|b|block|tb)?[ _.-]*0*(\d{1,2})")
NO_PRICE = re.compile(r"volume|mcv|(?<![a-z])bids?(?![a-z])|\(mw\)|demand")


def one_block_a_row(sheet: Sheet, file_name: str) -> Sheet:
    """The sheet, unfolded where blocks or days stand side by side."""
    for at, row in enumerate(sheet.rows[:HEADER_ROWS]):
        roles = [column.role for column in columns_of([label(cell) for cell in row])]
        if "date" in roles and (slots := _slots(row)):
            return _unfolded(sheet, at, roles.index("date"), slots, file_name)
        if "date" not in roles and (days := _days(row, roles)):
            return _unfolded_days(sheet, at, roles, days, file_name)
    return sheet


def _slots(row: Sequence[Cell]) -> dict[int, str]:
    """By place, the time block of each column; nothing where they are not all those of a day."""
    cells = {place: _written(cell) for place, cell in enumerate(row) if filled(cell)}
    for pattern in (SLOT, BLOCK, CLOCK):
        found = {at: m for at, cell in cells.items() if (m := pattern.fullmatch(cell))}
        if len(found) not in (24, 96):
            continue
        minutes = 1440 // len(found)
        if pattern is SLOT:
            counts = [int(match[1]) for match in found.values()]
            starts = [minutes * (count - min(counts)) for count in counts if min(counts) < 2]
        else:
            starts = [60 * int(match[1]) + int(match[2]) for match in found.values()]
        if sorted(starts) == list(range(0, 1440, minutes)):
            return dict(zip(found, (_span(start, minutes) for start in starts), strict=True))
    return {}


def _written(cell: Cell) -> str:
    """A header's text; a whole number without decimals."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else label(cell)


def _span(start: int, minutes: int) -> str:
    return f"{clock_text(start)}-{clock_text(start + minutes)}"


def _days(row: Sequence[Cell], roles: Sequence[str]) -> dict[int, Cell]:
    """By place, the day of each column but the first named ones; nothing where one is no day."""
    blocks = [at for at, role in enumerate(roles) if role in ("block", "hour", "stamp")]
    others = {at: clean(cell) for at, cell in enumerate(row) if filled(cell) and not roles[at]}
    if not (blocks and others):
        return {}
    for cell in others.values():
        try:
            day_of(cell)
        except ValueError:
            return {}
    return others


def _unfolded(sheet: Sheet, header: int, date: int, slots: dict[int, str], file_name: str) -> Sheet:
    """One row a day and one column a block, as one row a block."""
    _refuse_volumes(sheet, header, file_name)
    sheet = _without_cut_cell(sheet, header)
    names = sheet.rows[header]
    markets = [at for at, cell in enumerate(names) if column_of(label(cell)).role == "market"]
    rows: Grid = [["Date", "time_block", "MCP", *(names[at] for at in markets)]]
    numbers = [sheet.number(header)]
    in_order = sorted(slots, key=lambda place: slots[place])
    for row_number, row in zip(sheet.numbers_below(header), sheet.rows[header + 1 :], strict=True):
        if not _has_values(sheet, header, row_number, row):
            continue
        told = [row[at] if at < len(row) else "" for at in (date, *markets)]
        for place in in_order:
            price = _price(sheet, row_number, names[place], row, place)
            rows.append([told[0], slots[place], price, *told[1:]])
            numbers.append(row_number)
    return replace(sheet, rows=rows, made_of=numbers, notes=(*sheet.notes, "one column a block"))


def _unfolded_days(
    sheet: Sheet, header: int, roles: Sequence[str], days: dict[int, Cell], file_name: str
) -> Sheet:
    """One row a block and one column a day, as one row a block."""
    _refuse_volumes(sheet, header, file_name)
    sheet = _without_cut_cell(sheet, header)
    names = sheet.rows[header]
    kept = [at for at, role in enumerate(roles) if role in ("block", "hour", "stamp")]
    rows: Grid = [["Date", *(squashed(label(names[at])) for at in kept), "MCP"]]
    numbers = [sheet.number(header)]
    below = [
        (row_number, row)
        for row_number, row in zip(
            sheet.numbers_below(header), sheet.rows[header + 1 :], strict=True
        )
        if _has_values(sheet, header, row_number, row)
    ]
    for place in sorted(days, key=lambda at: day_of(days[at])):
        for row_number, row in below:
            price = _price(sheet, row_number, names[place], row, place)
            told = [row[at] if at < len(row) else "" for at in kept]
            rows.append([days[place], *told, price])
            numbers.append(row_number)
    return replace(sheet, rows=rows, made_of=numbers, notes=(*sheet.notes, "one column a day"))


def _without_cut_cell(sheet: Sheet, header: int) -> Sheet:
    """The sheet without its very last value where the last line has no end.

    It stays where its row is whole and it is as precise as all others of the row.
    """
    if not sheet.cut or len(sheet.rows) <= header + 1:
        return sheet
    last = sheet.rows[-1]
    decimals = {len(str(cell).partition(".")[2]) for cell in last[1:]}
    if len(last) >= len(sheet.rows[header]) > 10 and len(decimals) == 1 and decimals != {0}:
        return replace(sheet, cut=False)
    note = f"row {sheet.number(len(sheet.rows) - 1)} ends without an end of line, may be cut off"
    rows = [*sheet.rows[:-1], [*last[:-1], *[""] * (len(sheet.rows[header]) - len(last) + 1)]]
    return replace(sheet, rows=rows, cut=False, notes=(*sheet.notes, note))


def _has_values(sheet: Sheet, header: int, row_number: int, row: Sequence[Cell]) -> bool:
    """Whether a row holds anything; refused where that stands below no name."""
    names = sheet.rows[header]
    for at, cell in enumerate(row):
        if filled(cell) and not (at < len(names) and filled(names[at])):
            refuse(
                f"{sheet.source}, row {row_number}",
                f"{clean(cell)!r} stands below no name",
                "download it again",
            )
    return any(filled(cell) for cell in row)


def _price(sheet: Sheet, row_number: int, name: Cell, row: Sequence[Cell], place: int) -> Cell:
    """A cell, refused under its own column's name where it is no price."""
    if place >= len(row):
        refuse(
            f"{sheet.source}, row {row_number}",
            f"ends before column '{clean(name)}'",
            "download it again",
        )
    cell = row[place]
    try:
        number(clean(cell))
    except ValueError as error:
        written = name.date() if isinstance(name, dt.datetime) else clean(name)
        refuse(
            f"{sheet.source}, row {row_number}, column '{written}'",
            f"{clean(cell)!r} {str(error).partition(';')[0]}",
            "write it as 1234.56, and - where there is none",
        )
    return cell


def _refuse_volumes(sheet: Sheet, header: int, file_name: str) -> None:
    """Cells below blocks or days have no name of their own; one that says volume is none."""
    said = [file_name, *(str(cell) for row in sheet.rows[:header] for cell in row)]
    for text in said:
        if NO_PRICE.search(text.lower()):
            refuse(
                sheet.source,
                f"has a column for each block or day, and {text!r} says that they are no prices",
                "give prices, or correct what it says",
            )


def one_market_a_sheet(sheet: Sheet, header: int, renamed: dict[str, str]) -> list[Sheet]:
    """Rows below ``header`` parted by what their columns of market and exchange say.

    Other exchanges and markets are set apart with a note. The header of each part is its row 0.
    """
    columns = columns_of(row_labels(sheet.rows[header], renamed))
    places = {column.role: at for at, column in enumerate(columns)}
    where = places.get("market", places.get("kind"))
    rows = sheet.rows[header + 1 :]
    if where is None and "exchange" not in places:
        return [sheet]
    said = [market_named(_cell(row, where)) for row in rows] if where is not None else []
    if "market" not in places and not any(said):
        said = []
    if not said and "exchange" not in places:
        return [sheet]
    parts: dict[str, list[int]] = {}
    apart: dict[str, int] = {}
    for at, row in enumerate(rows):
        if not any(filled(cell) for cell in row):
            continue
        exchange = str(_cell(row, places.get("exchange")))
        market = said[at] if said else ""
        if squashed(exchange) not in ("", "iex", "indianenergyexchange"):
            apart[exchange] = apart.get(exchange, 0) + 1
        elif said and market not in ("dam", "rtm", "gdam"):
            other = str(_cell(row, where))
            apart[other] = apart.get(other, 0) + 1
        else:
            parts.setdefault(market, []).append(at)
    notes = tuple(f"{n} rows of {name or 'no name'!r} are not used" for name, n in apart.items())
    if not parts:
        refuse(sheet.source, f"has only {', '.join(notes)}", "give prices of DAM or RTM")
    below = sheet.numbers_below(header)
    return [
        replace(
            sheet,
            rows=[sheet.rows[header], *(rows[at] for at in chosen)],
            cut=sheet.cut and chosen[-1] == len(rows) - 1,
            made_of=[sheet.number(header), *(below[at] for at in chosen)],
            market=market or sheet.market,
            notes=(*sheet.notes, *notes),
        )
        for market, chosen in parts.items()
    ]


def _cell(row: Sequence[Cell], place: int | None) -> Cell:
    return clean(row[place]) if place is not None and place < len(row) else ""
