"""Which layout a price file has, and its tables.

Every cell is understood, set apart with a note, or refused with the file, the sheet, the
row, the column, the value and what to do. Nothing is filled and nothing is guessed; what
the numbers mean together (caps, calendars, duplicates) is judged in ``judge``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from bessvpp.params.market import MarketParams
from bessvpp.price_files.columns import AREA, columns_of, header_row
from bessvpp.price_files.exchange_layout import price_tables
from bessvpp.price_files.formats import read_price_sheets
from bessvpp.price_files.reshape import HEADER_ROWS, one_block_a_row, one_market_a_sheet
from bessvpp.price_files.tables import PriceTable, filled, label, row_labels
from bessvpp.price_files.workbook import MAX_COLUMNS, Sheet, refuse


def read_tables(raw: bytes, path: Path, rules: MarketParams) -> list[PriceTable]:
    """All price tables of one file's content; ``DataError`` where it cannot be trusted."""
    renamed = {label(theirs): label(ours) for theirs, ours in rules.column_names.items()}
    tables: list[PriceTable] = []
    for whole in read_price_sheets(raw, path):
        if not any(filled(cell) for row in whole.rows for cell in row):
            continue
        widest = max(map(len, whole.rows[:HEADER_ROWS]))
        if widest > MAX_COLUMNS:
            refuse(whole.source, f"has {widest:,} columns", "give the exchange's monthly files")
        sheet = one_block_a_row(whole, path.name)
        labels = [row_labels(row, renamed) for row in sheet.rows[:HEADER_ROWS]]
        _refuse_areas(sheet, labels)
        if (header := header_row(labels)) is None:
            _refuse_headless(sheet, labels)
        for part in one_market_a_sheet(sheet, header, renamed):
            below = header if part is sheet else 0
            tables += price_tables(part, below, path.name, rules, renamed)
    if not tables:
        refuse(str(path), "holds no table", "download it again from the exchange, or remove it")
    return tables


def _refuse_areas(sheet: Sheet, labels: list[list[str]]) -> None:
    """Prices of bid areas are no MCP, unless a column of its own is one."""
    for at, names in enumerate(labels):
        areas = [name for name in names if AREA.fullmatch(name)]
        if len(areas) > 1 and not any(column.role == "mcp" for column in columns_of(names)):
            refuse(
                f"{sheet.source}, row {sheet.number(at)}",
                f"names prices of bid areas ({areas[0]}, {areas[1]} and so on), which are no MCP "
                "where the grid is congested, and no column that is named MCP",
                "download the Market Snapshot, or say under column_names in params/market.yaml "
                "which column is the MCP and which the start",
            )


def _refuse_headless(sheet: Sheet, labels: list[list[str]]) -> NoReturn:
    """Say what is missing: the time of prices that are there, the price, or everything."""
    for row_number, names in enumerate(labels, start=1):
        if any(column.role == "mcp" for column in columns_of(names)):
            refuse(
                f"{sheet.source}, row {row_number}",
                "has prices, and neither a 'Date' column nor a 'delivery_start' column that would "
                f"say of which day they are, only {', '.join(filter(None, names))}",
                "download it again with its dates, or say under column_names in "
                "params/market.yaml which column they are",
            )
    refuse(
        sheet.source,
        "has neither a 'Date' column (Market Snapshot) nor a 'delivery_start' column (tidy CSV)",
        "download it again from the exchange, remove it, or say under column_names in "
        "params/market.yaml what its columns are",
    )
