"""Starts that carry date, time and clock in one cell, and what rows tell about their clock."""

from __future__ import annotations

import datetime as dt
import re

import numpy as np

from bessvpp.params.fields import MINUTES_PER_DAY, clock_text
from bessvpp.price_files.dates import EITHER_WAY, day_of
from bessvpp.price_files.tables import ENOUGH_HOURS, Body, hours_in_a_row
from bessvpp.price_files.workbook import Cell, clean, refuse

IST = 330  # minutes ahead of UTC
CLOCKS = {"z": 0, "utc": 0, "gmt": 0, "ist": IST, "asia/kolkata": IST, "asia/calcutta": IST}
STAMP = re.compile(
    r"(.*\d\d)[ T](\d{1,2}):(\d\d)(?::00(?:\.0+)?)?\s?(Z|UTC|GMT|IST|[+-]\d\d:?\d\d)?"
)
SHIFTS = (15, 60, 330, 1110, 1380, 1425)  # minutes: a block or an hour late or early, UTC and IST


def stamped(body: Body, place: int, clock: int | None) -> tuple[np.ndarray, list[str]]:
    """Starts (n,) out of one column of dates with times [minutes since 1970, IST].

    ``clock`` is its offset from UTC [minutes] where another column or its name says it. Starts of
    another clock than IST are converted, which is the only thing that is noted.
    """
    cells = body.cells(place)
    offsets = body.column(place, _offset_of)
    if clock is not None:
        offsets = np.where(np.isnan(offsets), clock, offsets)
    untold = np.isnan(offsets)
    for at in np.flatnonzero(untold != untold[0])[:1]:
        body.refuse(
            at,
            place,
            f"{clean(cells[at])!r} {'has no' if untold[at] else 'has an'} offset from UTC, unlike "
            "the rows above: write all starts in Indian time",
        )
    _refuse_either_way(body, place)
    minutes = body.column(place, stamp_minute) + np.where(untold, 0, IST - offsets).astype(int)
    for at in np.flatnonzero(minutes % 15)[:1]:
        body.refuse(
            at,
            place,
            f"{clean(cells[at])!r} is no start of a 15-minute block in Indian time; give the "
            "start of each block",
        )
    others = sorted(set(offsets[~untold].astype(int).tolist()) - {IST})
    told = ", ".join(f"UTC{'-' if by < 0 else '+'}{clock_text(abs(by))}" for by in others)
    return minutes, [f"column '{body.names[place]}' is in {told}, converted to IST"] * bool(others)


def _refuse_either_way(body: Body, place: int) -> None:
    """Numeric dates are day-first only where the rows rule month-first out."""
    cells = [_text(clean(cell)) for cell in body.cells(place)]
    numeric = np.array([EITHER_WAY.match(cell) is not None for cell in cells])
    if not numeric.any():
        return
    for at in np.flatnonzero(numeric != numeric[0])[:1]:
        body.refuse(
            at,
            place,
            f"{cells[at]!r} is written unlike the rows above; write all starts as "
            "YYYY-MM-DD HH:MM, in IST",
        )
    days = {cell.split()[0].split("T")[0] for cell in cells}
    readings = []
    for swap in (False, True):
        order = [re.sub(r"^(\d+)([-/.])(\d+)", r"\3\2\1", day) if swap else day for day in days]
        try:
            found = np.unique([day_of(day) for day in order])
        except ValueError:
            readings.append((-1, found.tolist() if swap else []))
            continue
        readings.append((int(len(found) == found[-1] - found[0] + 1), found.tolist()))
    (day_first, one), (month_first, two) = readings
    if day_first < 0 or one == two or day_first > month_first:
        return  # what is no day-first date is refused where it is read
    refuse(
        f"{body.source}, column '{body.names[place]}'",
        f"has starts such as {cells[0]!r}, which "
        + ("run without a gap only when read month-first" if month_first > day_first
           else "may be day-first or month-first"),
        "write starts of blocks as YYYY-MM-DD HH:MM, in IST",
    )  # fmt: skip


def stamp_minute(cell: Cell) -> int:
    """Minutes since 1970 of the start of a block, as its own clock tells it."""
    date, hour, minute, _ = _parts(cell)
    if hour > 23:
        raise ValueError("lies after 23:59; write midnight as 00:00 of the next day")
    return day_of(date) * MINUTES_PER_DAY + 60 * hour + minute


def tidy_start(cell: Cell) -> int:
    """Minutes since 1970 of the start of a block, in IST; a workbook's bare date is its 00:00."""
    date, _, minute, offset = _parts(cell)
    if EITHER_WAY.match(date):
        raise ValueError("is no start of a block; write it as YYYY-MM-DD HH:MM, in IST")
    if offset not in ("", "+0530", "IST"):
        raise ValueError("is not in Indian time; write starts of blocks in IST (+05:30)")
    if minute % 15:
        raise ValueError("is no start of a 15-minute block; give the start of each block")
    return stamp_minute(cell)


def _offset_of(cell: Cell) -> float:
    """Minutes that a start's own clock is ahead of UTC, NaN where it does not say."""
    offset = _parts(cell)[3]
    if offset[:1] in ("+", "-"):
        return int(f"{offset[0]}1") * (60 * int(offset[1:3]) + int(offset[3:]))
    return CLOCKS.get(offset.lower(), float("nan"))


def _parts(cell: Cell) -> tuple[str, int, int, str]:
    """Date, hour, minute and offset, as ``+0530`` or a name, of a start."""
    match = STAMP.fullmatch(_text(cell))
    if not match:
        raise ValueError("is no start of a block; write it as YYYY-MM-DD HH:MM, in IST")
    return match[1], int(match[2]), int(match[3]), (match[4] or "").replace(":", "")


def _text(cell: Cell) -> str:
    if isinstance(cell, dt.datetime):
        return cell.isoformat(" ")
    return f"{cell} 00:00" if isinstance(cell, dt.date) else str(cell)


# --- the length of blocks, and labels of another clock -------------------------------------


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
            f"starts at {clock_text(late)} instead of 00:00, so its labels seem to be shifted",
            "label each block by its start, in IST; where the first blocks of the first day are "
            "missing, remove that day",
        )


def time_order(body: Body, starts: np.ndarray, length: int) -> np.ndarray:
    """Places of the rows in order of time, of rows that carry their whole date each.

    Refused where rows fill just the hole in which they stand but tell another time: a date or
    label was changed there.
    """
    ends = np.append(np.flatnonzero(np.diff(starts) != length), len(starts) - 1)
    first = np.append(0, ends[:-1] + 1)
    hole = starts[first[2:]] - starts[ends[:-2]] - length  # between the neighbours of each run
    fits = hole == (ends - first + 1)[1:-1] * length
    lost = ~np.isin(starts[ends[:-2]] + length, starts)
    for run in np.flatnonzero(fits & lost & (starts[first[1:-1]] != starts[ends[:-2]] + length))[
        :1
    ]:
        at = first[run + 1]
        refuse(
            f"{body.source}, row {body.numbers[at]}",
            "is out of order, and its own place between the rows around it is empty",
            "correct its date or label, which seems to have been changed",
        )
    return np.argsort(starts, kind="stable")
