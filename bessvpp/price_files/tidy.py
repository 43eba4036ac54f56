"""Which layout a price file has, the exchange's or tidy CSV; tidy CSV is read here.

Every cell is understood, set apart with a note, or refused with the file, the sheet, the
row, the column, the value and what to do. Nothing is filled and nothing is guessed; what
the numbers mean together (caps, calendars, duplicates) is judged in ``judge``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bessvpp.params.fields import MINUTES_PER_DAY
from bessvpp.params.market import MarketParams
from bessvpp.price_files.exchange_layout import snapshot_table
from bessvpp.price_files.tables import (
    ENOUGH_HOURS,
    VOLUMES,
    PriceTable,
    body_below,
    calendar_day,
    check_order,
    filled,
    find_header,
    hours_in_a_row,
    label,
    row_labels,
)
from bessvpp.price_files.workbook import Cell, Sheet, clean, read_sheets, refuse

SHIFTS = (15, 60, 330, 1110, 1380, 1425)  # minutes: a block or an hour late or early, UTC and IST
TIDY_FIELDS = {
    "dam_mcp_rs_mwh": ("dam", "mcp"),
    "rtm_mcp_rs_mwh": ("rtm", "mcp"),
    "gdam_mcp_rs_mwh": ("gdam", "mcp"),
    **{name: ("dam", name) for name in VOLUMES},
    **{f"{market}_{name}": (market, name) for market in ("dam", "rtm") for name in VOLUMES},
}
NOT_USED = {"delivery_start", "final_scheduled_volume_mw"}


def read_tables(raw: bytes, path: Path, rules: MarketParams) -> list[PriceTable]:
    """All price tables of one file's content; ``DataError`` where it cannot be trusted."""
    renamed = {label(theirs): label(ours) for theirs, ours in rules.column_names.items()}
    tables = []
    for sheet in read_sheets(raw, path):
        if not any(filled(cell) for row in sheet.rows for cell in row):
            continue
        if (header := find_header(sheet.rows, "delivery_start", renamed)) is not None:
            tables += _tidy_tables(sheet, header, renamed)
        elif (header := find_header(sheet.rows, "date", renamed)) is not None:
            tables.append(snapshot_table(sheet, header, path.name, rules, renamed))
        else:
            refuse(
                sheet.source,
                "has neither a 'Date' column (Market Snapshot) nor a 'delivery_start' column "
                "(tidy CSV)",
                "download it again from the exchange, remove it, or say under column_names in "
                "params/market.yaml what its columns are",
            )
    if not tables:
        refuse(str(path), "holds no table", "download it again from the exchange, or remove it")
    return tables


def _tidy_tables(sheet: Sheet, header: int, renamed: Mapping[str, str]) -> list[PriceTable]:
    labels = row_labels(sheet.rows[header], renamed)
    time = labels.index("delivery_start")
    body = body_below(sheet, header, labels, time)
    markets = [market for market in ("dam", "rtm", "gdam") if f"{market}_mcp_rs_mwh" in labels]
    if not markets:
        refuse(
            f"{sheet.source}, row {header + 1}",
            f"has no price column, only {', '.join(filter(None, labels))}",
            "name it 'dam_mcp_rs_mwh' or 'rtm_mcp_rs_mwh', in Rs/MWh",
        )
    for row_number, row in enumerate(sheet.rows[:header], start=1):
        if any(re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:", str(clean(cell))) for cell in row):
            refuse(
                f"{sheet.source}, row {row_number}",
                "holds a block above the header",
                "put the header first",
            )
    starts = body.column(time, tidy_start)
    check_order(body, starts)
    columns = {
        (market, name): body.number_column(labels.index(column))
        for column, (market, name) in TIDY_FIELDS.items()
        if column in labels
    }
    unknown = [name for name in labels if name and name not in {*TIDY_FIELDS, *NOT_USED}]
    return [
        PriceTable(
            source=sheet.source,
            market=market,
            block_minutes=block_minutes(starts, sheet.source),
            starts=starts.astype("M8[m]"),
            row_numbers=np.array(body.numbers),
            columns={name: values for (m, name), values in columns.items() if m == market},
            notes=(*body.notes, *(f"column '{name}' is not used" for name in unknown)),
        )
        for market in markets
    ]


def block_minutes(starts: np.ndarray, source: str) -> int:
    """15 or 60, from starts [minutes]; refused where the rows do not tell."""
    minutes = set((starts % 60).tolist())
    if minutes == {0, 30}:
        refuse(source, "has half-hourly rows", "give 15-minute or hourly prices")
    if len(minutes) == 1 and minutes != {0}:
        refuse(
            source,
            f"has rows only at minute {minutes.pop()} of the hour",
            "label each block by its start, in IST",
        )
    if minutes == {0} and not hours_in_a_row(starts):
        refuse(
            source,
            f"has {len(starts)} rows, too few to tell hourly prices from 15-minute ones",
            f"give at least {ENOUGH_HOURS} hours in a row",
        )
    return 60 if minutes == {0} else 15


def refuse_shifted(starts: np.ndarray, length: int, source: str) -> None:
    """Labels of another clock: whole days from elsewhere than midnight, or a known shift.

    ``starts`` and ``length`` are in minutes.
    """
    found = np.unique(starts)
    late = int(found[0] % MINUTES_PER_DAY)
    whole = len(found) % (MINUTES_PER_DAY // length) == 0
    if late in SHIFTS or (late and whole and (np.diff(found) == length).all()):
        refuse(
            source,
            f"starts at {late // 60:02d}:{late % 60:02d} instead of 00:00, so its labels seem to "
            "be shifted",
            "label each block by its start, in IST; where the first blocks of the first day are "
            "missing, remove that day",
        )


def tidy_start(cell: Cell) -> int:
    """Minutes since 1970 of the start of a block, in IST; a workbook's bare date is its 00:00."""
    if isinstance(cell, dt.date) and not isinstance(cell, dt.datetime):
        cell = dt.datetime.combine(cell, dt.time())
    text = cell.isoformat(" ") if isinstance(cell, dt.datetime) else str(cell)
    pattern = r"(\d{4}-\d\d-\d\d)[ T](\d\d):(\d\d)(?::00(?:\.0+)?)?(Z|[+-]\d\d:?\d\d)?"
    match = re.fullmatch(pattern, text)
    if not match:
        raise ValueError("is no start of a block; write it as YYYY-MM-DD HH:MM, in IST")
    date, hour, minute, offset = match.groups()
    if offset and offset.replace(":", "") != "+0530":
        raise ValueError("is not in Indian time; write starts of blocks in IST (+05:30)")
    if int(hour) > 23:
        raise ValueError("lies after 23:59; write midnight as 00:00 of the next day")
    if int(minute) % 15:
        raise ValueError("is no start of a 15-minute block; give the start of each block")
    day = calendar_day(*map(int, date.split("-")))
    return day * 1440 + 60 * int(hour) + int(minute)
