"""Tables out of JSON: lists of rows, wherever they lie, as the exchange's API and others answer.

What stands above a list (its day, its market, its unit) belongs to each of its rows, and the name
of a list that is the name of a market says the market. A file is bounded before it is parsed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bessvpp.price_files.columns import column_of, market_named, squashed
from bessvpp.price_files.dates import day_of
from bessvpp.price_files.tables import label
from bessvpp.price_files.workbook import MAX_CELLS, MAX_COLUMNS, Cell, Grid, Sheet, refuse

MAX_NESTS = 1_000_000  # braces and brackets; three years of both markets have 0.2 million
MAX_DIGITS = 40  # of one number
TOLD_ABOVE = {"date", "market", "exchange", "unit", "timezone"}
Row = dict[str, Cell]


def json_sheets(text: str, path: Path) -> list[Sheet]:
    """A sheet for each list of rows; those without a price are set apart.

    Raises
    ------
    DataError
        where the text is no JSON, is too large, says one thing twice, or holds no rows.
    """
    if text.count("{") + text.count("[") > MAX_NESTS or text.count(",") > 2 * MAX_CELLS:
        refuse(str(path), "holds more values than a price file", "split it")
    found = _Lists()
    try:
        found.visit(_parsed(text), (), {})
    except RecursionError:
        refuse(str(path), "is nested too deeply", "give lists of rows")
    except ValueError as error:
        refuse(str(path), f"is no JSON that can be read ({error})", "download it again")
    sheets, apart = [], []
    for keys, rows in found.rows.items():
        names = list(dict.fromkeys(name for row in rows for name in row))
        if len(names) > MAX_COLUMNS or len(names) * len(rows) > MAX_CELLS:
            refuse(_source(path, keys), "holds more values than a price file", "split it")
        sheet = _sheet(keys, names, rows, path)
        if any(column_of(label(cell)).role == "mcp" for cell in sheet.rows[0]):
            sheets.append(sheet)
        else:
            apart.append(f"list '{'.'.join(keys)}' has no price and is not used")
    for keys, grid in found.grids.items():
        sheets.append(Sheet(_source(path, keys), grid, made_of=range(1, len(grid) + 1)))
    if others := [sheet for sheet in sheets if sheet.market == "hpdam"]:
        apart += [f"{sheet.source}: another market, not used" for sheet in others]
        sheets = [sheet for sheet in sheets if sheet.market != "hpdam"]
    if not sheets:
        refuse(
            str(path),
            "holds no list of rows with a price" + (f" ({'; '.join(apart)})" if apart else ""),
            "JSON is read as lists 'dam', 'rtm' or 'gdam' of rows with date, time_block and "
            "mcp_rs_mwh, or as rows of delivery_start, dam_mcp_rs_mwh and rtm_mcp_rs_mwh",
        )
    first = sheets[0]
    return [
        Sheet(first.source, first.rows, False, first.made_of, first.market, (*apart,)),
        *sheets[1:],
    ]


def _parsed(text: str) -> Any:
    """The value, or the list of the values of lines; a name that an entry has twice is refused."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(pairs) > MAX_COLUMNS:
            raise ValueError(f"an entry has {len(pairs):,} names")
        entry = dict(pairs)
        if len(entry) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"an entry has the name '{twice}' twice")
        return entry

    def number(digits: str) -> float:
        if len(digits) > MAX_DIGITS:
            raise ValueError(f"a number of {len(digits)} digits")
        return float(digits)

    def whole(digits: str) -> float:
        return int(digits) if len(digits) < 16 else number(digits)

    def constant(name: str) -> float:
        if name != "NaN":
            raise ValueError(f"{name} is no number")
        return float("nan")

    decoder = json.JSONDecoder(
        object_pairs_hook=once, parse_float=number, parse_int=whole, parse_constant=constant
    )
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        lines = text.splitlines()
        if error.msg != "Extra data" or not lines[0].rstrip().endswith(("}", "]")):
            raise
        return [decoder.decode(line) for line in lines if line.strip()]


class _Lists:
    """Rows and grids by the names that lead to them, in the order in which they are met."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, ...], list[Row]] = {}
        self.grids: dict[tuple[str, ...], Grid] = {}

    def visit(self, value: Any, keys: tuple[str, ...], told: Row) -> None:
        if isinstance(value, dict):
            self._visit_entry(value, keys, told)
        elif isinstance(value, list) and value:
            if all(isinstance(entry, dict) for entry in value):
                for entry in value:
                    if any(_holds_entries(inner) for inner in entry.values()):
                        self._visit_entry(entry, keys, told)
                    else:
                        self.rows.setdefault(keys, []).append(told | _flat(entry))
            elif all(isinstance(entry, list) for entry in value):
                self.grids[keys] = [[_cell(cell) for cell in row] for row in value]

    def _visit_entry(self, entry: dict[str, Any], keys: tuple[str, ...], told: Row) -> None:
        names, data = entry.get("columns"), entry.get("data")
        if _is_plain_list(names) and isinstance(data, list) and data and isinstance(data[0], list):
            self.visit([names, *data], keys, told)
            return
        columns = {name: values for name, values in entry.items() if _is_plain_list(values)}
        if len(columns) > 1 and len({len(values) for values in columns.values()}) == 1:
            above = told | _above(entry)
            for cells in zip(*columns.values(), strict=True):
                row = dict(zip(columns, map(_cell, cells), strict=True))
                self.rows.setdefault(keys, []).append(above | row)
            return
        above = told | _above(entry)
        for name, inner in entry.items():
            if isinstance(inner, (dict, list)) and inner:
                if _is_date(name):
                    self.visit(inner, keys, above | {"date": name})
                else:
                    self.visit(inner, (*keys, name), above)


def _sheet(keys: tuple[str, ...], names: Sequence[str], rows: Sequence[Row], path: Path) -> Sheet:
    grid: Grid = [list(names), *([row.get(name, "") for name in names] for row in rows)]
    market = next((m for name in reversed(keys) if (m := market_named(name))), "")
    return Sheet(_source(path, keys), grid, made_of=range(len(grid)), market=market)


def _source(path: Path, keys: tuple[str, ...]) -> str:
    return f"{path} [{'.'.join(keys)}]" if keys else str(path)


def _above(entry: Mapping[str, Any]) -> Row:
    """What an entry tells about the lists in it."""
    return {
        name: _cell(value)
        for name, value in entry.items()
        if not isinstance(value, (dict, list)) and column_of(label(name)).role in TOLD_ABOVE
    }


def _flat(entry: Mapping[str, Any]) -> Row:
    """One row: what is nested keeps the name above it, unless that says all India."""
    row: Row = {}
    for name, value in entry.items():
        if isinstance(value, dict):
            general = squashed(name).startswith("allindia")
            for inner, cell in _flat(value).items():
                key = inner if general else f"{market_named(name) or name}_{inner}"
                if key in row or key in entry:
                    raise ValueError(f"an entry names '{key}' twice")
                row[key] = cell
        elif not isinstance(value, list):
            row[name] = _cell(value)
    return row


def _cell(value: Any) -> Cell:
    return "" if value is None else value if isinstance(value, (str, int, float)) else str(value)


def _is_plain_list(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(cell, (dict, list)) for cell in value)


def _holds_entries(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_entries(inner) for inner in value.values())
    return isinstance(value, list) and any(isinstance(inner, dict) for inner in value)


def _is_date(name: str) -> bool:
    try:
        return len(name) >= 8 and day_of(name.strip()) > 0
    except ValueError:
        return False
