"""Rows below a header and columns by name: what tidy CSV and Market Snapshots have in common."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NoReturn

import numpy as np

from bessvpp.errors import DataError
from bessvpp.price_files.workbook import Cell, Grid, Sheet, clean, refuse

VOLUMES = ("purchase_bid_mw", "sell_bid_mw", "mcv_mw")
NO_VALUE = {"", "-", "--", "–", "—", "na", "n/a", "nan", "null"}
PLAIN_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")
PLAIN_COLUMN = re.compile(r"(?:[0-9]++(?:\.[0-9]++)?+\n)*+")
THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{2,3})*,[0-9]{3}(\.[0-9]*)?")
EPOCH = dt.date(1970, 1, 1)
LONGEST_NAME = 500  # characters of a name that are compared
ENOUGH_HOURS = 3  # so many rows, an hour apart, are hourly


@dataclass(frozen=True)
class PriceTable:
    """The n rows of one market in one file or sheet, in the order of the file.

    source : the file, and the sheet where there are sheets
    starts : (n,) datetime64[m], naive IST, start of the block
    row_numbers : (n,) int, row in the file, first is 1
    columns : ``mcp`` [Rs/MWh] and those of ``VOLUMES`` [MW] that are there; each (n,), NaN
        where the file gives no value
    notes : what was set apart, without the source
    converted : whether starts are of another clock, which the file says
    """

    source: str
    market: Literal["dam", "rtm", "gdam"]
    block_minutes: int
    starts: np.ndarray
    row_numbers: np.ndarray
    columns: Mapping[str, np.ndarray]
    notes: tuple[str, ...] = ()
    converted: bool = False


@dataclass
class Body:
    """The data rows below a header, and the summary rows as (row, kind, cells).

    names, labels : of the columns, as written and as compared
    header : row of the header
    """

    source: str
    names: list[str]
    labels: list[str]
    numbers: list[int] = field(default_factory=list)
    rows: Grid = field(default_factory=list)
    above_summary: list[str] = field(default_factory=list)
    summary: list[tuple[int, str, list[Cell]]] = field(default_factory=list)
    header: int = 1
    notes: list[str] = field(default_factory=list)

    def cells(self, place: int) -> list[Cell]:
        """One column."""
        return [row[place] for row in self.rows]

    def column(self, place: int, parse: Callable[[Cell], float]) -> np.ndarray:
        """One column, each distinct cell parsed once; the first that fails is named."""
        cells = self.cells(place)
        known: dict[Cell, float] = {}
        failed: dict[Cell, ValueError] = {}
        for cell in set(cells):
            try:
                known[cell] = parse(clean(cell))
            except ValueError as error:
                failed[cell] = error
        if failed:
            at = next(at for at, cell in enumerate(cells) if cell in failed)
            self.refuse(at, place, f"{clean(cells[at])!r} {failed[cells[at]]}")
        return np.array(list(map(known.__getitem__, cells)))

    def number_column(self, place: int) -> np.ndarray:
        """One column of numbers, NaN where there is none."""
        cells = self.cells(place)
        if set(map(type, cells)) == {str} and PLAIN_COLUMN.fullmatch("\n".join(cells) + "\n"):
            values = np.fromiter(map(float, cells), float, len(cells))
        else:
            values = self.column(place, number)
        for at in np.flatnonzero(np.isinf(values))[:1]:
            self.refuse(at, place, f"{cells[at]!r} is larger than any price or volume: correct it")
        return values

    def refuse(self, at: int, place: int, message: str) -> NoReturn:
        """Name the row and the column of the data row ``at``."""
        raise DataError(
            f"{self.source}, row {self.numbers[at]}, column '{self.names[place]}': {message}"
        )


def label(cell: Cell) -> str:
    """A column's name as compared: without stars, blanks beyond one, and capitals."""
    text = str(clean(cell))[:LONGEST_NAME]
    return re.sub(r"\s+", " ", text.replace("*", " ")).strip().lower()


def find_header(grid: Grid, wanted: str, renamed: Mapping[str, str]) -> int | None:
    """Index of the first of the first 40 rows that holds a column of that name."""
    for index, row in enumerate(grid[:40]):
        if wanted in row_labels(row, renamed):
            return index
    return None


def row_labels(row: Sequence[Cell], renamed: Mapping[str, str]) -> list[str]:
    """Names of columns as compared, a copy's own replaced by the exchange's."""
    labels = [label(cell) for cell in row]
    return [renamed.get(name, name) for name in labels]


def body_below(sheet: Sheet, header: int, labels: list[str], time_place: int | None) -> Body:
    """The rows below a header.

    The summary rows of a download have a header of their own, one or two columns to the
    left of the first one. ``time_place`` is the column whose cells hold a clock time.
    """
    width = max(place for place, name in enumerate(labels) if name) + 1
    labels = labels[:width]
    names = [str(clean(cell)) for cell in sheet.rows[header][:width]]
    source = sheet.source
    if twins := [name for name in labels if name and labels.count(name) > 1]:
        refuse(
            f"{source}, row {sheet.number(header)}",
            f"has the column '{twins[0]}' twice",
            "keep the right one",
        )
    body = Body(source, names, labels, header=sheet.number(header), notes=list(sheet.notes))
    last = sheet.number(len(sheet.rows) - 1)
    for row_number, row in zip(sheet.numbers_below(header), sheet.rows[header + 1 :], strict=True):
        time = row[time_place] if time_place is not None and time_place < len(row) else None
        if not (time.__class__ is str and ":" in time) and _is_no_data(row, row_number, body):
            continue
        if len(row) != width:
            if any(filled(cell) for cell in row[width:]):
                refuse(
                    f"{source}, row {row_number}",
                    f"has more values than the {width} columns of the header",
                    "put numbers with thousands commas in quotes, or download the file again",
                )
            if len(row) < width:
                if sheet.cut and row_number == last:
                    body.notes.append(_cut_note(row_number))
                    continue
                refuse(
                    f"{source}, row {row_number}",
                    f"has {len(row)} values below a header of {width} columns",
                    "download the file again",
                )
        if body.summary:
            refuse(
                f"{source}, row {row_number}",
                "stands below the summary rows",
                "keep one download per file",
            )
        body.numbers.append(row_number)
        body.rows.append(row)
    if sheet.cut and body.rows and body.numbers[-1] == last and not _is_whole(body):
        body.notes.append(_cut_note(body.numbers.pop()))
        body.rows.pop()
    if not body.rows:
        refuse(source, "has a header and no rows", "download it again, or remove it")
    for place, name in enumerate(labels):
        if not name:
            for at, cell in enumerate(body.cells(place)):
                if filled(cell):
                    body.refuse(at, place, f"{cell!r} stands below no name: download it again")
    return body


def filled(cell: Cell) -> bool:
    """Whether a cell holds anything."""
    return clean(cell) not in ("", None)


def check_order(body: Body, starts: np.ndarray) -> None:
    """Rows run forward in time; a row that steps back may carry a changed label."""
    first = np.unique(starts, return_index=True)[1]  # row of each block where it first occurs
    for at in np.flatnonzero(np.diff(first) < 0)[:1]:
        row = first[at + 1]
        refuse(
            f"{body.source}, row {body.numbers[row]}",
            f"stands before row {body.numbers[first[at]]}, but its block comes later",
            "sort the rows by time, or download the file again (a changed date or label looks "
            "like this)",
        )


def hours_in_a_row(starts: np.ndarray) -> bool:
    """Whether starts [minutes] show that rows are an hour apart, ``ENOUGH_HOURS`` times."""
    apart = np.diff(np.unique(starts)) == 60
    return len(apart) >= ENOUGH_HOURS - 1 and bool((apart[1:] & apart[:-1]).any())


def number(cell: Cell) -> float:
    """A number, or NaN for one of the ways of writing that there is none."""
    if type(cell) in (int, float):
        return float(cell)
    text = str(cell)
    if not PLAIN_NUMBER.fullmatch(text):
        text = text.strip("* ")
        if text.lower() in NO_VALUE:
            return float("nan")
        if THOUSANDS.fullmatch(text):
            text = text.replace(",", "")
        if not PLAIN_NUMBER.fullmatch(text):
            raise ValueError("is no number; write it as 1234.56, and - where there is none")
    return float(text)


def calendar_day(year: int, month: int, day: int) -> int:
    """Days since 1970."""
    try:
        if not 2008 <= year < 2100:
            raise ValueError
        return (dt.date(year, month, day) - EPOCH).days
    except ValueError:
        raise ValueError("is no day of the exchange's life; correct the date") from None


def _is_no_data(row: Sequence[Cell], row_number: int, body: Body) -> bool:
    """Whether a row is blank, a footnote or of the summary; the last is kept in the body."""
    there = [cell for cell in row if filled(cell)]
    words = [label(cell) for cell in there if isinstance(cell, str) and clean(cell)[0].isalpha()]
    if not there or (len(there) == 1 and (words or str(clean(there[0])).startswith("*"))):
        return True
    if "summary" in words:
        body.above_summary = [label(cell) for cell in row]
        return True
    for word in words:
        if word.startswith(("total", "max", "min", "avg")):
            body.summary.append((row_number, word[:3], [clean(cell) for cell in row]))
            return True
    return False


def _is_whole(body: Body) -> bool:
    """Whether the last value of a line without an end is as precise as those above it."""
    if len(body.rows[-1]) > len(body.labels):
        return True  # a separator follows the last value
    decimals = {len(str(row[len(body.labels) - 1]).partition(".")[2]) for row in body.rows}
    return len(body.rows) > 10 and len(decimals) == 1 and decimals != {0}


def _cut_note(row_number: int) -> str:
    return f"row {row_number} ends without an end of line, may be cut off, and is not used"


ROUNDING = 0.011  # Rs/MWh; prices of one block that differ by more disagree
