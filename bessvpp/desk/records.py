"""What a desk hands in about a day: trades and measurements, a row a block, as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bessvpp.errors import DataError
from bessvpp.params.fields import MINUTES_PER_DAY
from bessvpp.price_files.stamps import tidy_start
from bessvpp.price_files.tables import body_below, find_header, label, row_labels
from bessvpp.price_files.workbook import read_bytes, read_sheets

TIME = "delivery_start"


@dataclass(frozen=True)
class BlockRecords:
    """Rows of a CSV by the start of their block: N rows in order of time."""

    source: str
    starts: np.ndarray  # (N,) minutes since 1970, IST
    columns: Mapping[str, np.ndarray]  # (N,) NaN where a cell is empty

    def of_day(
        self,
        name: str,
        date: np.datetime64,
        n_blocks: int,
        missing: float = np.nan,
        is_state: bool = False,
    ) -> np.ndarray:
        """(T,) one column on the blocks of a day; ``missing`` where the file has nothing.

        Where blocks are hours, quarters are averaged, NaN where one of them is; of a state at the
        end of each row the last one counts.
        """
        minute = self.starts - int(date.astype("M8[m]").astype(int))
        own = (minute >= 0) & (minute < MINUTES_PER_DAY)
        length = MINUTES_PER_DAY // n_blocks
        per_block = length // 15 if (self.starts % length).any() else 1
        grid = np.full(n_blocks * per_block, missing)
        grid[minute[own] * len(grid) // MINUTES_PER_DAY] = self.columns[name][own]
        parts = grid.reshape(n_blocks, per_block)
        return parts[:, -1] if is_state else parts.mean(axis=1)

    def is_hourly(self, date: np.datetime64) -> bool:
        """Whether the rows of this day are its 24 hours."""
        minute = self.starts - int(date.astype("M8[m]").astype(int))
        return np.array_equal(
            minute[(minute >= 0) & (minute < MINUTES_PER_DAY)], np.arange(0, MINUTES_PER_DAY, 60)
        )

    def has(self, date: np.datetime64) -> bool:
        """Whether any row is of this day."""
        days = self.starts.astype("M8[m]").astype("M8[D]")
        return bool((days == date).any())


def read_records(
    path: str | Path,
    choices: Sequence[Sequence[str]],
    date: np.datetime64,
    may_lack_day: bool = False,
) -> BlockRecords:
    """Rows of ``delivery_start`` and one of several sets of columns; other days may be in it.

    Parameters
    ----------
    choices : sets of columns of which the file must have one, whole
    may_lack_day : no row of the day is no error, as of trades early in the day

    Raises
    ------
    DataError
        naming the file, the row, the column and what to do, also where no row is of the day.
    """
    path = Path(path)
    (sheet, *more) = read_sheets(read_bytes(path), path)
    wanted = " or ".join(", ".join((TIME, *columns)) for columns in choices)
    header = find_header(sheet.rows, TIME, {})
    if more or header is None:
        raise DataError(f"{path}: is no single table with a column '{TIME}': give {wanted}")
    labels = row_labels(sheet.rows[header], {})
    named = {label(name): name for columns in choices for name in columns}
    unknown = [name for name in labels if name not in ("", TIME, *named)]
    kept = [columns for columns in choices if all(label(name) in labels for name in columns)]
    if unknown or not kept:
        told = f"column '{unknown[0]}' is unknown" if unknown else "columns are missing"
        raise DataError(f"{path}: {told}: give {wanted}")
    body = body_below(sheet, header, labels, labels.index(TIME))
    time = labels.index(TIME)
    starts = body.column(time, tidy_start).astype(int)
    order = np.argsort(starts, kind="stable")
    for at in np.flatnonzero(np.diff(starts[order]) == 0)[:1]:
        row = int(order[at + 1])
        body.refuse(row, time, f"{body.cells(time)[row]!r} is there twice: keep the right row")
    found = {name: body.number_column(labels.index(label(name)))[order] for name in kept[0]}
    records = BlockRecords(str(path), starts[order], found)
    if not (may_lack_day or records.has(date)):
        raise DataError(f"{path}: has no row of {date}: give the file of that day")
    return records


def refuse_kilowatts(path: str | Path, mw: np.ndarray, limit_mw: float) -> None:
    """Ten times the connection is no bold trade, but kW."""
    known = np.abs(mw[np.isfinite(mw)])
    if known.size and known.max() > 10 * limit_mw:
        raise DataError(
            f"{path}: goes to {known.max():g} on a connection of {limit_mw:g} MW: is it in kW? "
            "Write it in MW"
        )
