"""Days of delivery in every way of writing that leaves one reading, and doubts about the others."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence

import numpy as np

from bessvpp.price_files.tables import EPOCH, calendar_day, filled
from bessvpp.price_files.workbook import Cell, clean, refuse

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
EITHER_WAY = re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.]\d{4}(?!\d)")
MIDNIGHT = re.compile(r"(.*\d)[ T]00?:00(?::00(?:\.0+)?)?")
YEAR_FIRST = re.compile(r"(\d{4})[-/](\d\d?)[-/](\d\d?)|(\d{4})(\d\d)(\d\d)")
DAY_FIRST = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})")
NAMED_MONTH = re.compile(r"(\d{1,2})[- /.]([A-Za-z]{3,9})[- /.,]+(\d{4}|\d\d)")


def day_of(cell: Cell) -> int:
    """Days since 1970 of a cell; numeric dates are day-first, as the exchange writes them.

    ``ValueError`` where it is none, or month-first.
    """
    if isinstance(cell, dt.date):
        if isinstance(cell, dt.datetime) and cell.time() != dt.time():
            raise ValueError("is a time, not a date; download the file again")
        return calendar_day(cell.year, cell.month, cell.day)
    text = str(cell)
    if match := MIDNIGHT.fullmatch(text):  # as a spreadsheet or a data frame writes a date
        text = match[1]
    if match := YEAR_FIRST.fullmatch(text):
        return calendar_day(*(int(part) for part in match.groups() if part))
    if match := NAMED_MONTH.fullmatch(text):
        day, name, year = match.groups()
        month = [name.lower().startswith(known) for known in MONTHS]
        if any(month):
            return calendar_day(int(year) % 100 + 2000, month.index(True) + 1, int(day))
    match = DAY_FIRST.fullmatch(text)
    if not match:
        raise ValueError("is no date; the exchange writes DD-MM-YYYY")
    day, month, year = map(int, match.groups())
    if month > 12 >= day:
        raise ValueError("is month-first; the exchange writes DD-MM-YYYY: download its own file")
    return calendar_day(year, month, day)


def date_notes(cells: Sequence[Cell], days: np.ndarray, source: str) -> list[str]:
    """Days that only month-first makes consecutive are refused; what may be either is said."""
    found = np.unique(days)
    dates = [EPOCH + dt.timedelta(days=int(day)) for day in found]
    in_a_row = found[-1] - found[0] == len(found) - 1
    either_way = all(date.day <= 12 for date in dates)
    if not either_way or (in_a_row and len(found) > 1):
        return []
    first = next(clean(cell) for cell in cells if filled(cell))
    if isinstance(first, str) and not EITHER_WAY.match(first):
        return []
    swapped = sorted(date.replace(month=date.day, day=date.month) for date in dates)
    if len(found) > 1 and (swapped[-1] - swapped[0]).days == len(found) - 1:
        refuse(
            f"{source}, column 'Date'",
            f"runs without a gap only when read month-first ({swapped[0]} to {swapped[-1]})",
            "the exchange writes DD-MM-YYYY: download its own file",
        )
    if swapped == dates:
        return []
    return [f"dates are read day-first ({dates[0]:%d %B %Y}); nothing here rules out month-first"]
