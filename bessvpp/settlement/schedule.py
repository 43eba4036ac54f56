"""A desk's schedule, read from its CSV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bessvpp.errors import DataError
from bessvpp.params.fields import MINUTES_PER_DAY
from bessvpp.params.load import DeskParams

OTHER_ZONE = r"(?:[Zz]|[+-]\d\d:?\d\d)$"
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


def read_schedule(path: Path) -> Schedule:
    """Schedule in a CSV of ``delivery_start, dam_mw[, physical_mw][, soc_start_mwh]``.

    Raises
    ------
    DataError
        naming the file, the row, the column, the value and what to do.
    """
    frame = _read_csv(path)
    starts = _starts(frame["delivery_start"], path)
    order = np.argsort(starts, kind="stable")
    step = np.diff(starts[order]).astype(int)
    for at in np.flatnonzero(step == 0)[:1]:
        row = order[at + 1]
        raise _refusal(path, row, "delivery_start", frame["delivery_start"][row], "is there twice")
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
        return _numbers(frame, name, path)[order].reshape(shape)

    energy = np.full(len(dates), np.nan)
    if "soc_start_mwh" in frame:
        given = _numbers(frame, "soc_start_mwh", path, may_be_empty=True)
        for row in np.flatnonzero(np.isfinite(given) & (starts > days))[:1]:
            value = frame["soc_start_mwh"][row]
            message = "belongs on the first block of a day alone"
            raise _refusal(path, row, "soc_start_mwh", value, message)
        energy = given[order].reshape(shape)[:, 0]
    physical = grid("physical_mw") if "physical_mw" in frame else None
    return Schedule(str(path), dates, grid("dam_mw"), physical, energy)


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path} is not there: check the path") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not readable as CSV ({error})") from None
    frame.columns = [str(name).strip() for name in frame]
    for name in COLUMNS[:2]:
        if name not in frame:
            raise DataError(f"{path}: has no column '{name}': {_columns_wanted()}")
    for name in frame:
        if name not in COLUMNS:
            raise DataError(f"{path}: column '{name}' is unknown: {_columns_wanted()}")
    if frame.empty:
        raise DataError(f"{path}: has a header and no rows")
    return frame


def _columns_wanted() -> str:
    return f"give {COLUMNS[0]} and {COLUMNS[1]}, and {COLUMNS[2]} or {COLUMNS[3]} where known"


def _starts(column: pd.Series, path: Path) -> np.ndarray:
    """(N,) datetime64[m], naive IST."""
    text = column.str.strip().str.removesuffix("+05:30")
    for row in np.flatnonzero(text.str.contains(OTHER_ZONE))[:1]:
        message = "is not in Indian time; write starts of blocks in IST (+05:30)"
        raise _refusal(path, row, "delivery_start", column[row], message)
    starts = pd.to_datetime(text, format="ISO8601", errors="coerce")
    bad = starts.isna() | (starts != starts.dt.floor("15min"))
    for row in np.flatnonzero(bad)[:1]:
        message = "is no start of a block; write it as YYYY-MM-DD HH:MM, in IST"
        raise _refusal(path, row, "delivery_start", column[row], message)
    return starts.to_numpy().astype("M8[m]")


def _numbers(frame: pd.DataFrame, name: str, path: Path, may_be_empty: bool = False) -> np.ndarray:
    """(N,) finite numbers, or NaN where nothing is written and may be."""
    text = frame[name].str.strip()
    values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=float)
    bad = ~np.isfinite(values)
    if may_be_empty:
        bad &= (text != "").to_numpy()
    for row in np.flatnonzero(bad)[:1]:
        raise _refusal(path, row, name, frame[name][row], "is no number; write it in MW or MWh")
    return values


def _refusal(path: Path, row: int, column: str, value: str, message: str) -> DataError:
    return DataError(f"{path}, row {row + 2}, column '{column}': {value!r} {message}")


def check_size(schedule: Schedule, desk: DeskParams) -> None:
    """Ten times the connection is no bold schedule, but kW."""
    most, limit = float(np.abs(schedule.dam_mw).max()), desk.bess.connection_limit_mw
    if most > 10 * limit:
        raise DataError(
            f"{schedule.source}: dam_mw goes to {most:g} on a connection of {limit:g} MW: is it "
            "in kW? Write it in MW"
        )
