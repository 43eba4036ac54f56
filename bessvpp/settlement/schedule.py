"""A desk's schedule, read from its CSV as price files are read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bessvpp.errors import DataError
from bessvpp.params.fields import MINUTES_PER_DAY
from bessvpp.params.load import DeskParams
from bessvpp.price_files.stamps import tidy_start
from bessvpp.price_files.tables import Body, body_below, find_header, row_labels
from bessvpp.price_files.workbook import read_bytes, read_sheets

COLUMNS = ("delivery_start", "dam_mw", "physical_mw", "soc_start_mwh")


@dataclass(frozen=True)
class Schedule:
    """A desk's schedule: D days of T blocks, positive sells."""

    source: str
    dates: np.ndarray  # (D,) datetime64[D]
    dam_mw: np.ndarray  # (D, T)
    physical_mw: np.ndarray | None  # (D, T) net power at the grid side; None: not known
    e_start_mwh: np.ndarray  # (D,) stored energy at midnight; NaN: what the day before left

    @property
    def block_minutes(self) -> int:
        """Length of a block."""
        return MINUTES_PER_DAY // self.dam_mw.shape[1]


def read_schedule(path: str | Path) -> Schedule:
    """Schedule in a CSV of ``delivery_start, dam_mw[, physical_mw][, soc_start_mwh]``.

    Raises
    ------
    DataError
        naming the file, the row, the column, the value and what to do.

    Examples
    --------
    >>> schedule = bv.read_schedule("schedule.csv")
    >>> schedule.dates, schedule.dam_mw.shape  # days, blocks
    (array(['2025-08-07'], dtype='datetime64[D]'), (1, 96))
    """
    body = _rows_of(Path(path))
    time = body.labels.index("delivery_start")
    starts = body.column(time, tidy_start).astype("M8[m]")
    order = np.argsort(starts, kind="stable")
    step = np.diff(starts[order]).astype(int)
    for at in np.flatnonzero(step == 0)[:1]:
        body.refuse(order[at + 1], time, f"{body.cells(time)[order[at + 1]]!r} is there twice")
    minutes = int(step.min()) if len(step) else 0
    if minutes not in (15, 60):
        raise DataError(
            f"{path}: blocks are {minutes} minutes apart: give 15-minute or hourly ones"
        )
    days = starts.astype("M8[D]")
    dates, counts = np.unique(days, return_counts=True)
    for date in dates[counts != MINUTES_PER_DAY // minutes][:1]:
        raise DataError(
            f"{path}: {date} has {counts[dates == date][0]} blocks of {minutes} minutes: give "
            "each day whole, with 0 where nothing was committed"
        )
    shape = (len(dates), MINUTES_PER_DAY // minutes)

    def grid(name: str) -> np.ndarray:
        return _numbers(body, name)[order].reshape(shape)

    energy = np.full(len(dates), np.nan)
    if "soc_start_mwh" in body.labels:
        given = _numbers(body, "soc_start_mwh", at_midnight=starts == days)
        energy = given[order].reshape(shape)[:, 0]
    physical = grid("physical_mw") if "physical_mw" in body.labels else None
    return Schedule(str(path), dates, grid("dam_mw"), physical, energy)


def _rows_of(path: Path) -> Body:
    """The rows of the one table that a schedule is, whose columns are those of ``COLUMNS``."""
    (sheet, *more) = read_sheets(read_bytes(path), path)
    if more:
        raise DataError(f"{path}: has {1 + len(more)} sheets with something in them: keep one")
    header = find_header(sheet.rows, COLUMNS[0], {})
    labels = [] if header is None else row_labels(sheet.rows[header], {})
    for name in COLUMNS[:2]:
        if name not in labels:
            raise DataError(f"{path}: has no column '{name}': {_columns_wanted()}")
    for name in labels:
        if name and name not in COLUMNS:
            raise DataError(f"{path}: column '{name}' is unknown: {_columns_wanted()}")
    # a last line without its end is no sign of a download cut off: schedules are typed too
    return body_below(replace(sheet, cut=False), header, labels, labels.index(COLUMNS[0]))


def _columns_wanted() -> str:
    return f"give {COLUMNS[0]} and {COLUMNS[1]}, and {COLUMNS[2]} or {COLUMNS[3]} where known"


def _numbers(body: Body, name: str, at_midnight: np.ndarray | None = None) -> np.ndarray:
    """(N,) numbers; all of them there, or else only some of the rows ``at_midnight`` (N,)."""
    place = body.labels.index(name)
    values, cells = body.number_column(place), body.cells(place)
    if at_midnight is None:
        for at in np.flatnonzero(np.isnan(values))[:1]:
            body.refuse(at, place, f"{cells[at]!r} is no number; write it in MW or MWh")
    else:
        for at in np.flatnonzero(~np.isnan(values) & ~at_midnight)[:1]:
            body.refuse(at, place, f"{cells[at]!r} belongs on the first block of a day alone")
    return values


def check_size(schedule: Schedule, desk: DeskParams) -> None:
    """Ten times the connection is no bold schedule, but kW."""
    most, limit = float(np.abs(schedule.dam_mw).max()), desk.bess.connection_limit_mw
    if most > 10 * limit:
        raise DataError(
            f"{schedule.source}: dam_mw goes to {most:g} on a connection of {limit:g} MW: is it "
            "in kW? Write it in MW"
        )
