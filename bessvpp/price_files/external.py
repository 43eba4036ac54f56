"""Columns that a user adds: forecasts of demand, wind, solar, weather, by delivery_start.

A column published at 09:00 on the day before delivery is kept as ``ext_0900_<name>``. The row of
a day holds the values *for the next day*: it is known, as a whole, from 09:00 of its own day.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bessvpp.files import PROJECT_ROOT
from bessvpp.params.fields import MINUTES_PER_DAY
from bessvpp.params.market import ExternalFile
from bessvpp.price_files.stamps import block_minutes, refuse_shifted, tidy_start
from bessvpp.price_files.tables import body_below, check_order, find_header, label, row_labels
from bessvpp.price_files.workbook import read_bytes, read_sheets, refuse

NAME = re.compile(r"ext_([01][0-9]|2[0-4])([0-5][0-9])_\w+")


def published_minute(name: str) -> int | None:
    """Minute of the day on which a column's values for the next day are known.

    ``None`` for a name that is none of an added column.
    """
    match = NAME.fullmatch(name)
    return 60 * int(match[1]) + int(match[2]) if match else None


def read_external(given: ExternalFile, dates: np.ndarray, blocks: int) -> dict[str, np.ndarray]:
    """The added columns of one file, each (D, T): row d holds the values for ``dates[d] + 1``.

    What the file does not have is NaN. Values finer than the blocks are averaged, NaN where one is
    missing; an hourly value stands for each of its four blocks.

    Raises
    ------
    DataError
        naming the file, the place in it, what is wrong and what to do.
    """
    path = PROJECT_ROOT / Path(given.file).expanduser()
    (sheet, *more) = read_sheets(read_bytes(path), path)
    header = find_header(sheet.rows, "delivery_start", {})
    if more or header is None:
        refuse(
            sheet.source,
            "is no single table with a column 'delivery_start'",
            "give one table, or correct external in params/market.yaml",
        )
    labels = row_labels(sheet.rows[header], {})
    time = labels.index("delivery_start")
    body = body_below(sheet, header, labels, time)
    if given.columns == "all":
        wanted = [name for name in body.labels if name and name != "delivery_start"]
    else:
        wanted = [label(name) for name in given.columns]
    for name in wanted:
        if name not in body.labels:
            refuse(
                f"{sheet.source}, row {header + 1}",
                f"has no column '{name}', only {', '.join(filter(None, body.labels))}",
                "correct columns of external in params/market.yaml",
            )
    starts = body.column(time, tidy_start)
    check_order(body, starts)
    _, first, place = np.unique(starts, return_index=True, return_inverse=True)
    for at in np.flatnonzero(first[place] != np.arange(len(starts)))[:1]:
        row = body.numbers[first[place[at]]]
        body.refuse(at, time, f"has the same block as row {row}: keep the right one")
    length = block_minutes(starts, sheet.source)
    refuse_shifted(starts, length, sheet.source)
    clock = f"{given.published // 60:02d}{given.published % 60:02d}"
    found = {}
    for name in wanted:
        values = body.number_column(body.labels.index(name))
        key = f"ext_{clock}_{re.sub(r'[^0-9a-z]+', '_', name).strip('_')}"
        if not NAME.fullmatch(key) or key in found:
            refuse(
                f"{sheet.source}, column '{name}'",
                "has a name without letters or digits, or one that another column has",
                "rename it",
            )
        found[key] = _by_day(starts, values, dates + 1, length, blocks)
    return found


def _by_day(
    starts: np.ndarray, values: np.ndarray, days: np.ndarray, length: int, blocks: int
) -> np.ndarray:
    """(D, T) values on the blocks of the days."""
    per_day = MINUTES_PER_DAY // length
    place = (starts - days[0].astype("M8[m]").astype(int)) // length
    grid = np.full(len(days) * per_day, np.nan)
    inside = (place >= 0) & (place < len(grid))
    grid[place[inside]] = values[inside]
    grid = grid.reshape(len(days), per_day)
    if per_day < blocks:
        return np.repeat(grid, blocks // per_day, axis=1)
    return grid.reshape(len(days), blocks, per_day // blocks).mean(axis=2)
