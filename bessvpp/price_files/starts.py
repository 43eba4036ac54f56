"""When the blocks of a table start: dates with blocks, hours or clocks, and time stamps.

A date is understood in any way of writing that leaves one reading; a block by its span, its
first minute, its number or its hour. Where a table says it twice, both must agree.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bessvpp.params.fields import MINUTES_PER_DAY, clock_text
from bessvpp.price_files.columns import Column, squashed
from bessvpp.price_files.dates import date_notes, day_of
from bessvpp.price_files.stamps import CLOCKS, IST, block_minutes, stamped
from bessvpp.price_files.tables import ENOUGH_HOURS, Body, filled, hours_in_a_row
from bessvpp.price_files.workbook import Cell, clean, refuse

BLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::00)?(\s*)(?:-|–|to)\s*(\d{1,2}):(\d\d)(?::00)?")
CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::00(?:\.0+)?)?")
COUNT = re.compile(r"[0-9]{1,4}(\.0*)?")
COUNTED = {"hour": (60, 24), "number": (15, 96)}  # minutes of one, how many a day has


@dataclass(frozen=True)
class Starts:
    """Starts of the n rows of a table.

    minutes : (n,) int, minutes since 1970, IST
    length : of a block [minutes]
    stamped : whether each row carries its whole date and time in one cell
    converted : whether they are from another clock, which the file says
    notes : what was understood only by a second look
    """

    minutes: np.ndarray
    length: int
    stamped: bool = False
    converted: bool = False
    notes: tuple[str, ...] = ()


def starts_of(body: Body, columns: Sequence[Column], session_minutes: int) -> Starts:
    """When each row's block starts.

    Raises
    ------
    DataError
        where the columns do not tell, tell two things, or leave two readings.
    """
    where = _time_places(body, columns)
    dated = "date" in where and bool(where.keys() & {"span", "clock", *COUNTED})
    clock = _clock_said(body, columns, where.get("stamp"))
    if "stamp" in where and not dated:
        minutes, notes = stamped(body, where["stamp"], clock)
        length = block_minutes(minutes, body.source)
        return Starts(minutes, length, stamped=True, converted=bool(notes), notes=tuple(notes))
    if clock not in (None, IST):
        refuse(body.source, "says that its dates and blocks are not in IST", "give them in IST")
    if not dated:
        _refuse_untold(body, where)
    of_dates = [cell for cell in body.cells(where["date"]) if filled(cell)]
    if len({isinstance(cell, dt.date) for cell in of_dates}) > 1:
        refuse(
            f"{body.source}, column '{body.names[where['date']]}'",
            "mixes text and Excel dates, so a spreadsheet has changed some of them",
            "download the file again and do not save it from a spreadsheet",
        )
    minutes, length, notes = _blocks(body, where)
    notes += _dates_filled_down(body, where["date"], minutes, length)
    days = body.column(where["date"], day_of)
    for role, per in (("hour", 60), ("session", session_minutes), ("number", 15)):
        if role in where:
            notes += _check_counter(body, days, minutes, where[role], per)
    starts = days * MINUTES_PER_DAY + minutes
    if length == 0 and "hour" in where:
        _refuse_lone_hours(body, starts)
    notes += date_notes(body.cells(where["date"]), days, body.source)
    length = length or block_minutes(starts, body.source)
    return Starts(starts, length, notes=tuple(notes))


def _time_places(body: Body, columns: Sequence[Column]) -> dict[str, int]:
    """Places of the columns that tell a time; of blocks and stamps, the first cell says which."""
    where: dict[str, int] = {}
    for place, column in enumerate(columns):
        if column.role == "stamp" and squashed(column.label).startswith("deliverystart"):
            return {"stamp": place}
    for place, column in enumerate(columns):
        role = column.role
        if role in ("block", "stamp"):
            first = next((cell for cell in map(clean, body.cells(place)) if filled(cell)), "")
            role = _kind_of(first, role)
        if role not in ("date", "hour", "session", "span", "clock", "number", "stamp"):
            continue
        if role in where:
            refuse(
                body.source,
                f"has two columns of one kind, '{body.names[where[role]]}' and "
                f"'{body.names[place]}'",
                "keep the right one",
            )
        where[role] = place
    return where


def _clock_said(body: Body, columns: Sequence[Column], place: int | None) -> int | None:
    """Minutes ahead of UTC of starts that do not say it themselves: by a header or a time zone."""
    said = {None if place is None else columns[place].offset} - {None}
    for other, column in enumerate(columns):
        if column.role == "timezone":
            zones = {str(clean(cell)) for cell in body.cells(other)} - {""}
            if unknown := sorted(zone for zone in zones if zone.lower() not in CLOCKS):
                body.refuse(0, other, f"{unknown[0]!r} is no clock that is known: write IST or UTC")
            said |= {CLOCKS[zone.lower()] for zone in zones}
    if len(said) > 1:
        refuse(body.source, "names two clocks for its starts", "keep the right one")
    return said.pop() if said else None


def _kind_of(cell: Cell, role: str) -> str:
    """``span``, ``clock``, ``number`` or ``stamp``: what a column of blocks or times holds."""
    if CLOCK.fullmatch(str(cell)):
        return "clock"
    if BLOCK.fullmatch(str(cell)):
        return "span"
    if role == "block":
        return "number" if COUNT.fullmatch(str(cell)) else "span"
    return "stamp"


def _refuse_untold(body: Body, where: Mapping[str, int]) -> None:
    """Say which half of the time is missing."""
    if "date" not in where:
        refuse(
            body.source,
            "has no column of dates, so nothing says of which day its prices are",
            "add a column 'Date', or a column 'delivery_start' with date and time",
        )
    cells = [cell for cell in map(clean, body.cells(where["date"])) if filled(cell)]
    daily = ", only one row a day" if len(set(cells)) == len(cells) else ""
    refuse(
        body.source,
        f"has neither a 'Time Block' nor an 'Hour' column{daily}",
        "give the prices of the blocks (a mean of the day does not tell them)"
        if daily
        else "download the file again",
    )


# --- date and block ------------------------------------------------------------------------


def _blocks(body: Body, where: Mapping[str, int]) -> tuple[np.ndarray, int, list[str]]:
    """First minute of each row's block, (n,); their length, 0 where rows tell; notes."""
    if "span" in where:
        minutes, lengths = np.divmod(body.column(where["span"], _block_span), 1000)
        for at in np.flatnonzero(lengths != lengths[0])[:1]:
            body.refuse(
                at,
                where["span"],
                f"{clean(body.rows[at][where['span']])!r} is not as long as the blocks before "
                "it: keep 15-minute and hourly prices in files of their own",
            )
        return minutes, int(lengths[0]), []
    if "clock" in where:
        return body.column(where["clock"], _clock_minute), 0, []
    role = "number" if "number" in where else "hour"
    return _counted_minutes(body, where, role)


def _counted_minutes(
    body: Body, where: Mapping[str, int], role: str
) -> tuple[np.ndarray, int, list[str]]:
    """First minutes of blocks or hours that are counted, from 1, or from 0 where days show it."""
    per, many = COUNTED[role]
    place = where[role]
    found = body.column(place, _count)
    dates = body.cells(where["date"])
    first = 0 if (found == 0).any() and _runs_from_0(found, dates) else 1
    for at in np.flatnonzero((found < first) | (found >= many + first))[:1]:
        what = "hour" if role == "hour" else f"block from 1 to {many}"
        body.refuse(at, place, f"{found[at]} is no {what} of a day; download the file again")
    if role == "number" and found.max() < 49:
        body.refuse(
            int(found.argmax()),
            place,
            f"no block is numbered above {found.max()}, so they may be hours, half hours or "
            "quarters: name the column 'Hour', or give 'Time Block' labels",
        )
    notes = [] if first else [f"column '{body.names[place]}' is counted from 0"]
    return per * (found - first), 15 if role == "number" else 0, notes


def _runs_from_0(found: np.ndarray, dates: Sequence[Cell]) -> bool:
    """Whether each day counts 0, 1, 2 and so on: then 0 is the first, and nothing is amiss."""
    begins = np.flatnonzero([a != b for a, b in zip(dates, ["", *dates[:-1]], strict=True)])
    return all((np.diff(day, prepend=-1) == 1).all() for day in np.split(found, begins[1:]))


def _refuse_lone_hours(body: Body, starts: np.ndarray) -> None:
    """Hours without a time block are hourly prices only where rows show it."""
    if len(np.unique(starts)) < len(starts) or not hours_in_a_row(starts):
        refuse(
            body.source,
            "has no column 'Time Block', and its hours do not show that prices are hourly",
            "download the file again (hourly prices have one row an hour, and "
            f"{ENOUGH_HOURS} or more in a row)",
        )


def _dates_filled_down(body: Body, place: int, minutes: np.ndarray, length: int) -> list[str]:
    """Dates that stand on the first row of a day alone, as merged cells leave them, filled down.

    Only where each date stands once, and every row below it is the block after the one above.
    """
    cells = [clean(cell) for cell in body.cells(place)]
    given = [cell for cell in cells if filled(cell)]
    step = length or 60
    after = np.diff(minutes, prepend=-1) == step
    merged = [not filled(cell) for cell in cells]
    if not any(merged) or merged[0] or len(set(given)) < len(given):
        return []
    for at in np.flatnonzero(merged):
        if not after[at]:
            body.refuse(at, place, "'' is no date, and the block is not the one after the above")
        body.rows[at] = [*body.rows[at][:place], cells[at - 1], *body.rows[at][place + 1 :]]
        cells[at] = cells[at - 1]
    return [f"column '{body.names[place]}' is filled down on {sum(merged)} rows"]


def _check_counter(
    body: Body, days: np.ndarray, minutes: np.ndarray, place: int, per: int
) -> list[str]:
    """Hours, sessions and blocks count from 1; labels that run late contradict them.

    They may stand on the first row of each alone, as merged cells leave them.
    """
    expected = minutes // per + 1
    blank = np.array([not filled(cell) for cell in body.cells(place)])
    below = (np.diff(expected, prepend=-1) == 0) & (np.diff(days, prepend=-1) == 0)
    for at in np.flatnonzero(blank & ~below)[:1]:
        body.refuse(at, place, "'' is no whole number from 1 on; download the file again")
    found = body.column(place, lambda cell: _count(cell) if filled(cell) else -1)
    if (found == 0).any() and (found == expected - 1)[~blank].all():
        expected = expected - 1
    for at in np.flatnonzero((found != expected) & ~blank)[:1]:
        body.refuse(
            at,
            place,
            f"{found[at]} contradicts the time block, which starts at "
            f"{clock_text(minutes[at])} and so belongs to {expected[at]}; the labels may run late "
            "by an hour: download the exchange's own file",
        )
    return [f"column '{body.names[place]}' is filled down"] if blank.any() else []


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


def _clock_minute(cell: Cell) -> int:
    """Minute of the day of ``23:45``."""
    match = CLOCK.fullmatch(str(cell))
    minute = 60 * int(match[1]) + int(match[2]) if match else -1
    if not 0 <= minute < MINUTES_PER_DAY or minute % 15:
        raise ValueError("is no start of a 15-minute block; write it as 23:45")
    return minute


def _count(cell: Cell) -> int:
    if not COUNT.fullmatch(str(cell)):
        raise ValueError("is no whole number from 1 on; download the file again")
    return int(float(cell))
