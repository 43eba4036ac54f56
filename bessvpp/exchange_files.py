"""Price files: the exchange's "Market Snapshot" downloads and tidy CSV. Parsing only.

Every cell is understood, set apart with a note, or refused with the file, the sheet, the
row, the column, the value and what to do. Nothing is filled and nothing is guessed; what
the numbers mean together (caps, calendars, duplicates) is judged in ``market``.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
import python_calamine

from bessvpp.errors import DataError
from bessvpp.params import MarketParams

Grid = list[list]  # the cells of one sheet, row by row

SUFFIXES = {".csv", ".txt", ".xls", ".xlsx", ".xlsm", ".xlsb"}
MARKER = "SYNTHETIC.txt"  # a folder that holds this file holds no real data
VOLUMES = ("purchase_bid_mw", "sell_bid_mw", "mcv_mw")

SNAPSHOT_FIELDS = {
    "date": "date",
    "hour": "hour",
    "session id": "session",
    "time block": "block",
    "purchase bid": "purchase_bid_mw",
    "sell bid": "sell_bid_mw",
    "mcv": "mcv_mw",
    "mcp": "mcp",
}
TIDY_FIELDS = {
    "dam_mcp_rs_mwh": ("dam", "mcp"),
    "rtm_mcp_rs_mwh": ("rtm", "mcp"),
    **{name: ("dam", name) for name in VOLUMES},
    **{f"{market}_{name}": (market, name) for market in ("dam", "rtm") for name in VOLUMES},
}
NOT_USED = {"delivery_start", "final_scheduled_volume_mw"}
PRICE_UNITS = {None, "rs/mwh", "rs./mwh", "₹/mwh", "inr/mwh"}
NO_VALUE = {"", "-", "--", "–", "—", "na", "n/a", "nan", "null"}
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
INVISIBLE[ord("\u00a0")] = " "
PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{2,3})*,\d{3}(\.\d*)?")
CHECKSUM = 0.015  # two numbers published with two decimals agree within this


@dataclass(frozen=True)
class PriceTable:
    """The n rows of one market in one file or sheet, in the order of the file.

    starts : (n,) datetime64[m], naive IST, start of the block
    row_numbers : (n,) int, row in the file, first is 1
    columns : ``mcp`` [Rs/MWh] and those of ``VOLUMES`` [MW] that are there; each (n,), NaN
        where the file gives no value
    """

    source: str
    market: Literal["dam", "rtm", "gdam"]
    block_minutes: int
    starts: np.ndarray
    row_numbers: np.ndarray
    columns: Mapping[str, np.ndarray]
    notes: tuple[str, ...] = ()


def read_tables(path: Path, rules: MarketParams) -> list[PriceTable]:
    """All price tables of one file; ``DataError`` where it cannot be trusted."""
    tables, empty = [], []
    for source, grid in _sheets(path):
        if not any(any(row) for row in grid):
            empty.append(source)
        elif (header := _find_row(grid, {"delivery_start"})) is not None:
            tables += _tidy_tables(grid, header, source)
        elif (header := _find_row(grid, {"date"})) is not None:
            tables.append(_snapshot_table(grid, header, source, path.name, rules))
        else:
            _refuse(
                source,
                "has neither a 'Date' column (Market Snapshot) nor a 'delivery_start' column "
                "(tidy CSV)",
                "download it again from the exchange, or remove it",
            )
    if not tables:
        _refuse(str(path), "holds no table", "download it again from the exchange, or remove it")
    return tables


# --- from bytes to cells -------------------------------------------------------------------


def _sheets(path: Path) -> list[tuple[str, Grid]]:
    """Name and cells of each sheet; what a file is shows in its bytes, not its suffix."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        _refuse(str(path), "is not there", "check the path")
    except OSError as error:
        _refuse(str(path), f"cannot be opened ({error.strerror})", "check the path and its rights")
    if raw[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        return _workbook(raw, path)
    text = _decode(raw, path).translate(INVISIBLE)
    if text.lstrip()[:1] == "<":
        _refuse(str(path), "is a web page, not a table", "download it again as Excel or CSV")
    if path.suffix.lower() not in (".csv", ".txt") or "\0" in text:
        _refuse(str(path), "is no readable Excel workbook", "download it again")
    head = text[:4000]
    separator = max(",;\t", key=head.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        _refuse(str(path), f"is not readable as CSV ({error})", "save it again as 'CSV UTF-8'")
    return [(str(path), [[cell.strip() for cell in row] for row in rows])]


def _workbook(raw: bytes, path: Path) -> list[tuple[str, Grid]]:
    def clean(cell: object) -> object:
        return cell.translate(INVISIBLE).strip() if isinstance(cell, str) else cell

    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(raw))
        return [
            (
                f"{path} [{name}]",
                [
                    [clean(cell) for cell in row]
                    for row in book.get_sheet_by_name(name).to_python(skip_empty_area=False)
                ],
            )
            for name in book.sheet_names
        ]
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        _refuse(str(path), f"is no readable Excel workbook ({error})", "download it again")


def _decode(raw: bytes, path: Path) -> str:
    head = raw[:200]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif head.count(0) > len(head) // 4:
        encoding = "utf-16-le" if head[1:2] == b"\0" else "utf-16-be"
    else:
        encoding = "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        _refuse(str(path), "is neither UTF-8 nor UTF-16 text", "save it again as 'CSV UTF-8'")


def _find_row(grid: Grid, labels: set[str]) -> int | None:
    """Index of the first of the first 40 rows that holds all the labels as cells."""
    for index, row in enumerate(grid[:40]):
        if labels <= {_label(cell) for cell in row}:
            return index
    return None


def _label(cell: object) -> str:
    return re.sub(r"\s+", " ", str(cell).replace("*", " ")).strip().lower()


# --- rows below a header ------------------------------------------------------------------


@dataclass
class _Body:
    """The data rows below a header, and the summary rows as (row, kind, {field: cell})."""

    source: str
    names: list[str]
    numbers: list[int]
    rows: Grid
    summary: list[tuple[int, str, dict[str, object]]]

    def column(self, place: int, parse: Callable[[object], float]) -> np.ndarray:
        """One column, each distinct cell parsed once; the first that fails is named."""
        known: dict[object, float] = {}
        for number, row in zip(self.numbers, self.rows, strict=True):
            cell = row[place]
            if cell not in known:
                try:
                    known[cell] = parse(cell)
                except ValueError as error:
                    self.refuse(number, place, f"{cell!r} {error}")
        return np.array([known[row[place]] for row in self.rows])

    def refuse(self, number: int, place: int, message: str) -> NoReturn:
        """Name the row and the column."""
        raise DataError(f"{self.source}, row {number}, column '{self.names[place]}': {message}")


def _body(grid: Grid, header: int, source: str) -> _Body:
    """Rows below a header.

    The summary rows of a download have a header of their own, one or two columns to the
    left of the first one, and are read by that.
    """
    names = [str(cell) for cell in grid[header]]
    labels = [_label(name) for name in names]
    twins = [label for label in labels if label and labels.count(label) > 1]
    if twins:
        _refuse(
            f"{source}, row {header + 1}",
            f"has the column '{twins[0]}' twice",
            "keep the right one",
        )
    body, above = _Body(source, names, [], [], []), []
    width = len(names)
    for number, row in enumerate(grid[header + 1 :], start=header + 2):
        if all(cell in ("", None) for cell in row):
            continue
        second = _label(row[1]) if str(row[1:2])[2:3].isalpha() else ""
        if second == "summary":
            above = [re.sub(r"\s*\(.*\)", "", _label(cell)) for cell in row]
        elif second.startswith(("total", "max", "min", "avg")):
            body.summary.append((number, second[:3], dict(zip(above, row, strict=False))))
        elif str(row[0]).startswith("*") and not any(row[1:]):
            continue  # a footnote
        elif any(cell not in ("", None) for cell in row[width:]):
            _refuse(
                f"{source}, row {number}",
                f"has more values than the {width} columns of the header",
                "put numbers with thousands commas in quotes, or download the file again",
            )
        elif body.summary:
            _refuse(
                f"{source}, row {number}",
                "stands below the summary rows",
                "keep one download per file",
            )
        else:
            body.numbers.append(number)
            body.rows.append(row + [""] * (width - len(row)))
    if not body.rows:
        _refuse(source, "has a header and no rows", "download it again, or remove it")
    return body


# --- tidy CSV ------------------------------------------------------------------------------


def _tidy_tables(grid: Grid, header: int, source: str) -> list[PriceTable]:
    body = _body(grid, header, source)
    labels = [_label(name) for name in body.names]
    markets = [market for market in ("dam", "rtm") if f"{market}_mcp_rs_mwh" in labels]
    if not markets:
        _refuse(
            f"{source}, row {header + 1}",
            f"has no price column, only {', '.join(labels)}",
            "name it 'dam_mcp_rs_mwh' or 'rtm_mcp_rs_mwh', in Rs/MWh",
        )
    starts = body.column(labels.index("delivery_start"), _tidy_start)
    minutes = set((starts % 60).tolist())
    if minutes == {0, 30}:
        _refuse(source, "has half-hourly rows", "give 15-minute or hourly prices")
    columns = {
        (market, name): body.column(labels.index(label), _number)
        for label, (market, name) in TIDY_FIELDS.items()
        if label in labels
    }
    unknown = [label for label in labels if label and label not in {*TIDY_FIELDS, *NOT_USED}]
    return [
        PriceTable(
            source=source,
            market=market,
            block_minutes=60 if minutes == {0} else 15,
            starts=starts.astype("M8[m]"),
            row_numbers=np.array(body.numbers),
            columns={name: values for (m, name), values in columns.items() if m == market},
            notes=tuple(f"{source}: column '{label}' is not used" for label in unknown),
        )
        for market in markets
    ]


def _tidy_start(cell: object) -> int:
    """Minutes since 1970 of the start of a block, in IST."""
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
    day = _calendar_day(*map(int, date.split("-")))
    return day * 1440 + 60 * int(hour) + int(minute)


# --- Market Snapshot -----------------------------------------------------------------------


def _snapshot_table(
    grid: Grid, header: int, source: str, file_name: str, rules: MarketParams
) -> PriceTable:
    where, market, notes = _snapshot_columns(grid, header, source, file_name)
    body = _body(grid, header, source)
    if len({isinstance(row[where["date"]], dt.date) for row in body.rows}) > 1:
        _refuse(
            f"{source}, column 'Date'",
            "mixes text and Excel dates, so a spreadsheet has changed some of them",
            "download the file again and do not save it from a spreadsheet",
        )
    days = body.column(where["date"], _snapshot_day)
    if "block" in where:
        minutes, lengths = np.divmod(body.column(where["block"], _block_span), 1000)
    else:
        minutes, lengths = 60 * (body.column(where["hour"], _count) - 1), np.full(len(days), 60)
    for at in np.flatnonzero(lengths != lengths[0])[:1]:
        body.refuse(
            body.numbers[at],
            where["block"],
            f"{body.rows[at][where['block']]!r} is not as long as the blocks before it: "
            "keep 15-minute and hourly prices in files of their own",
        )
    _check_counter(body, minutes, where.get("hour"), 60)
    _check_counter(body, minutes, where.get("session"), rules.rtm_session_minutes)
    _check_day_order(days, source)
    _check_range(grid[:header], days, source)
    columns = {
        field: body.column(where[field], _number) for field in ("mcp", *VOLUMES) if field in where
    }
    length = int(lengths[0])
    starts = days * 1440 + minutes
    if market != "gdam":
        complete = len(np.unique(starts)) * length == 1440 * len(np.unique(days))
        notes += _check_summary(body, days, columns, complete)
    return PriceTable(
        source=source,
        market=market,
        block_minutes=length,
        starts=starts.astype("M8[m]"),
        row_numbers=np.array(body.numbers),
        columns=columns,
        notes=tuple(notes),
    )


def _snapshot_columns(
    grid: Grid, header: int, source: str, file_name: str
) -> tuple[dict[str, int], Literal["dam", "rtm", "gdam"], list[str]]:
    """Place of each field, the market that the columns tell, and notes."""
    labels = [_label(cell) for cell in grid[header]]
    where, notes = {}, []
    for place, label in enumerate(labels):
        name, unit = re.fullmatch(r"(.*?)\s*(?:\((.*)\))?", label).groups()
        field = SNAPSHOT_FIELDS.get(name)
        if field == "mcp" and unit not in PRICE_UNITS:
            _refuse(
                f"{source}, row {header + 1}, column '{grid[header][place]}'",
                "is not in Rs/MWh",
                "download the exchange's own file, whose prices are in Rs/MWh",
            )
        if field in VOLUMES and unit not in (None, "mw"):
            notes.append(f"{source}: column '{grid[header][place]}' is not in MW and is not used")
        elif field:
            where[field] = place
    if "mcp" not in where:
        _refuse(
            f"{source}, row {header + 1}",
            f"has no price column 'MCP (Rs/MWh)', only {', '.join(filter(None, labels))}",
            "download the file again with its prices",
        )
    if "block" not in where and "hour" not in where:
        _refuse(
            f"{source}, row {header + 1}",
            "has neither a 'Time Block' nor an 'Hour' column",
            "download the file again",
        )
    green = any(word in label for label in labels for word in ("solar", "hydro", "fsv"))
    market = "gdam" if green else "rtm" if "session" in where else "dam"
    named = re.match(r"(g-?dam|rtm|dam)(?![a-z])", file_name.lower())
    if named and named[1].replace("-", "") != market:
        _refuse(
            source,
            f"is named {named[1].upper()}, but its columns are those of the {market.upper()}",
            "download the file again, or correct its name",
        )
    return where, market, notes


def _snapshot_day(cell: object) -> int:
    """Days since 1970 of ``DD-MM-YYYY``, of an ISO date or of an Excel date."""
    if isinstance(cell, dt.date):
        return _calendar_day(cell.year, cell.month, cell.day)
    if match := re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", str(cell)):
        return _calendar_day(*map(int, match.groups()))
    match = re.fullmatch(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})", str(cell))
    if not match:
        raise ValueError("is no date; the exchange writes DD-MM-YYYY")
    day, month, year = map(int, match.groups())
    if month > 12 >= day:
        raise ValueError("is month-first; the exchange writes DD-MM-YYYY: download its own file")
    return _calendar_day(year, month, day)


def _calendar_day(year: int, month: int, day: int) -> int:
    try:
        if not 2008 <= year < 2100:
            raise ValueError
        return dt.date(year, month, day).toordinal() - dt.date(1970, 1, 1).toordinal()
    except ValueError:
        raise ValueError("is no day of the exchange's life; correct the date") from None


def _block_span(cell: object) -> int:
    """1000 * first minute of the day + length in minutes, of ``23:45 - 24:00``."""
    clock = r"(\d{1,2}):(\d\d)(?::00)?"
    match = re.fullmatch(rf"{clock}\s*(?:-|–|to)\s*{clock}", str(cell))
    if not match:
        raise ValueError("is no time block; the exchange writes 23:45 - 24:00")
    h1, m1, h2, m2 = map(int, match.groups())
    start, end = 60 * h1 + m1, 60 * h2 + m2
    if start >= 1440 or end > 1440:
        raise ValueError(
            "starts after 24:00: the labels of this copy run late by an hour; "
            "download the exchange's own file"
        )
    length = (end or 1440) - start
    if length not in (15, 60) or start % length:
        raise ValueError("is neither a 15-minute block nor an hour; download the file again")
    return 1000 * start + length


def _count(cell: object) -> int:
    value = float(cell) if str(cell).replace(".", "", 1).isdigit() else 0.0
    if not (value.is_integer() and value >= 1):
        raise ValueError("is no whole number from 1 on; download the file again")
    return int(value)


def _check_counter(body: _Body, minutes: np.ndarray, place: int | None, length: int) -> None:
    """Hours and sessions count from 1; labels that run late contradict them."""
    if place is None:
        return
    found, expected = body.column(place, _count), minutes // length + 1
    for at in np.flatnonzero(found != expected)[:1]:
        body.refuse(
            body.numbers[at],
            place,
            f"{found[at]} contradicts the time block, which starts at {minutes[at] // 60:02d}:"
            f"{minutes[at] % 60:02d} and so belongs to {expected[at]}; the labels may run late "
            "by an hour: download the exchange's own file",
        )


def _check_day_order(days: np.ndarray, source: str) -> None:
    """Days that are consecutive only when read month-first are month-first."""
    found = np.unique(days)
    dates = [dt.date(1970, 1, 1) + dt.timedelta(days=int(day)) for day in found]
    if len(found) < 2 or found[-1] - found[0] == len(found) - 1 or max(d.day for d in dates) > 12:
        return
    swapped = sorted(d.replace(month=d.day, day=d.month) for d in dates)
    if (swapped[-1] - swapped[0]).days == len(found) - 1:
        _refuse(
            f"{source}, column 'Date'",
            f"runs without a gap only when read month-first ({swapped[0]} to {swapped[-1]})",
            "the exchange writes DD-MM-YYYY: download its own file",
        )


def _check_range(preamble: Grid, days: np.ndarray, source: str) -> None:
    """The range that the preamble promises is the range of the rows."""
    for number, row in enumerate(preamble, start=1):
        for cell in row:
            if not _label(cell).startswith("date:"):
                continue
            ends = re.findall(r"\d+[-/.]\d+[-/.]\d+", str(cell))
            try:
                promised = [_snapshot_day(end) for end in ends]
            except ValueError as error:
                _refuse(f"{source}, row {number}", f"{cell!r}: one end {error}", "correct it")
            if promised and (promised[0], promised[-1]) != (days.min(), days.max()):
                first, last = np.array([days.min(), days.max()]).astype("M8[D]")
                _refuse(
                    f"{source}, row {number}",
                    f"{cell!r} does not match the rows, which run from {first} to {last}",
                    "download the file again (a copy with month-first dates looks like this)",
                )


def _check_summary(
    body: _Body, days: np.ndarray, columns: Mapping[str, np.ndarray], complete: bool
) -> list[str]:
    """Prices against the Max, Min and Avg rows; returns notes.

    Where blocks are missing, a summary made over other rows is told from a changed price by
    the volumes: they disagree as well. Then the prices need only lie within it.
    """
    kinds = [kind for _, kind, _ in body.summary]
    wrong, other_rows = [], False
    for number, kind, cells in body.summary:
        if kind == "tot" or "mcp" not in cells:
            continue
        rows = np.ones(len(days), bool)
        try:
            if kinds.count(kind) > 1:  # one summary a day
                rows = days == _snapshot_day(cells["date"])
            for name, field in SNAPSHOT_FIELDS.items():
                if field not in columns or name not in cells:
                    continue
                published, values = _number(cells[name]), columns[field][rows]
                if not _agrees(kind, published, values):
                    other_rows |= field in VOLUMES and not complete
                    if field == "mcp":
                        wrong.append((number, kind, published, values))
        except ValueError as error:
            _refuse(f"{body.source}, row {number}", "is a summary that no one can read", str(error))
    if wrong and other_rows:
        wrong = [row for row in wrong if not _agrees(*row[1:3], np.append(row[3], np.nan))]
        if not wrong:
            return [f"{body.source}: the summary rows were made over other rows than are here"]
    for number, kind, published, _ in wrong[:1]:
        _refuse(
            f"{body.source}, row {number}",
            f"the {kind.title()} of the price, {published:g}, contradicts the rows above",
            "a price was changed, or rows were added or lost; download the file again",
        )
    return []


def _agrees(kind: str, published: float, values: np.ndarray) -> bool:
    """Whether a summary cell fits its column; where values are missing, within its bounds.

    Blocks without trade may or may not have counted.
    """
    there = values[~np.isnan(values)]
    if np.isnan(published) or not len(there):
        return True
    if len(there) < len(values):
        low = kind == "max" or there.min() >= published - CHECKSUM
        high = kind == "min" or there.max() <= published + CHECKSUM
        return kind == "avg" or bool(low and high)
    reduce = {"max": np.max, "min": np.min, "avg": np.mean}[kind]
    variants = (there, there[there != 0] if there.any() else there)
    return any(abs(reduce(variant) - published) <= CHECKSUM for variant in variants)


# --- cells ---------------------------------------------------------------------------------


def _number(cell: object) -> float:
    """A number, or NaN for one of the ways of writing that there is none."""
    if type(cell) in (int, float):
        return float(cell)
    text = str(cell)
    if not PLAIN_NUMBER.fullmatch(text):
        text = text.replace("*", "").strip()
        if text.lower() in NO_VALUE:
            return float("nan")
        if THOUSANDS.fullmatch(text):
            text = text.replace(",", "")
        if not PLAIN_NUMBER.fullmatch(text):
            raise ValueError("is no number; write it as 1234.56, and - where there is none")
    return float(text)


def _refuse(where: str, problem: str, remedy: str) -> NoReturn:
    raise DataError(f"{where} {problem}: {remedy}")
