"""From bytes to cells: CSV text and xlsx workbooks, read without trusting them.

A file may be broken, or made to do harm. So sizes are bounded before anything is unpacked, a
workbook is inspected part by part and handed on as a fresh archive of exactly the parts that
were inspected, and nothing in it is ever calculated or run.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import python_calamine

from bessvpp.errors import DataError

Cell = str | float | dt.date | dt.time | dt.timedelta
Grid = list[list[Cell]]  # the cells of one sheet, row by row
MAX_FILE_BYTES = 50_000_000  # a year of 15-minute prices is 2 MB of CSV
MAX_UNPACKED_BYTES = 150_000_000  # a year of 15-minute prices is 15 MB of unpacked xlsx
MAX_CELLS = 4_000_000  # in one file; a year of 15-minute prices has 0.3 million
MAX_COLUMNS = 5_000  # of a header; ten years with a column a day have 3,653
MAX_CLONED_BYTES = 400_000_000  # text of a workbook if every cell held its longest string
MAX_SHEETS = 20
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
INVISIBLE[ord("\u00a0")] = " "
# A cell whose tag does not begin with a place from A1 to Z199999, as that of a price does ...
FAR_CELL = re.compile(rb'<c(?! r="[A-Z](?:1[0-9]{0,5}|[2-9][0-9]{0,4})")[\s/>]')
# ... and one that has no place up to ZZ999999 that can be read at all.
ODD_CELL = re.compile(rb'<c(?! r="[A-Z]{1,2}[1-9][0-9]{0,5}")[\s/>]')
PREFIXED = re.compile(rb":(?:[cf]|row|sst|sheetData)[\s/>]")
PICTURES = ("xl/drawings/", "xl/charts/", "xl/media/", "xl/theme/", "docprops/")  # left out
PREFIXED_TAG = re.compile(rb"<[^\s<>]+:(?:[cf]|row|sst|sheetData)[\s/>]")
STRINGS = re.compile(rb"<sst\b[^>]*>")
CELL_PLACE = re.compile(rb'<c r="([A-Z]+)([0-9]+)"')
FORMULA = re.compile(rb"<f[\s/>]")
FORMULA_PLACE = re.compile(rb'<c r="([A-Z]+[0-9]+)"[^>]*>\s*<f[\s/>]')


@dataclass(frozen=True)
class Sheet:
    """The cells of a CSV file or of one sheet, or rows made out of another layout.

    cut : whether the last line has no end
    made_of : numbers in the file of rows that were made, of which a market and notes may be told
    """

    source: str
    rows: Grid
    cut: bool = False
    made_of: Sequence[int] = ()
    market: str = ""
    notes: tuple[str, ...] = ()

    @property
    def made(self) -> bool:
        """Whether these are not the rows of a file as it was downloaded."""
        return len(self.made_of) > 0

    def number(self, at: int) -> int:
        """Number in the file of the row ``at``."""
        return self.made_of[at] if self.made else at + 1

    def numbers_below(self, at: int) -> Sequence[int]:
        """Numbers of the rows below the row ``at``."""
        return self.made_of[at + 1 :] if self.made else range(at + 2, len(self.rows) + 1)


def read_bytes(path: Path) -> bytes:
    """Content of a file of bounded size; ``DataError`` where there is none to trust."""
    try:
        kind = path.stat()
        if not stat.S_ISREG(kind.st_mode):
            refuse(str(path), "is no regular file", "give a CSV or xlsx file")
        if kind.st_size <= MAX_FILE_BYTES:
            with path.open("rb") as handle:
                raw = handle.read(MAX_FILE_BYTES + 1)
            if len(raw) <= MAX_FILE_BYTES:
                return raw
    except (FileNotFoundError, NotADirectoryError):
        refuse(str(path), "is not there", "check the path")
    except OSError as error:
        refuse(str(path), f"cannot be opened ({error.strerror})", "check the path and its rights")
    refuse(
        str(path),
        f"has {kind.st_size / 1e6:,.0f} MB, more than the {MAX_FILE_BYTES / 1e6:.0f} MB that price "
        "files can have",
        "give the exchange's monthly files, or split it",
    )


def read_sheets(raw: bytes, path: Path) -> list[Sheet]:
    """The sheets of a file; what it is shows in its bytes, not in its suffix."""
    if raw[:4] == b"PK\x03\x04":
        return _workbook(raw, path)
    if raw[:4] == b"\xd0\xcf\x11\xe0":
        refuse(
            str(path),
            "is an old (.xls) or password-protected workbook",
            "save it as .xlsx without a password, or download it again",
        )
    return [_text(raw, path)]


def clean(cell: Cell) -> Cell:
    """A cell without what no one sees: zero-width characters and blanks around it."""
    return cell.translate(INVISIBLE).strip() if isinstance(cell, str) else cell


def refuse(where: str, problem: str, remedy: str) -> NoReturn:
    """Say what is wrong where, and what to do."""
    raise DataError(f"{where} {problem}: {remedy}")


# --- text ----------------------------------------------------------------------------------


def _text(raw: bytes, path: Path) -> Sheet:
    encoding = encoding_of(raw)
    head = raw[:8000].decode(encoding, errors="ignore").translate(INVISIBLE)
    if head.lstrip()[:1] == "<":
        refuse(str(path), "is a web page, not a table", "download it again as Excel or CSV")
    if path.suffix.lower() not in (".csv", ".txt") or "\0" in head:
        refuse(str(path), "is no readable Excel workbook", "download it again")
    line = "\n"

    def lines() -> Iterator[str]:
        nonlocal line
        for line in io.TextIOWrapper(io.BytesIO(raw), encoding=encoding, newline=""):
            yield line if line.isascii() else line.translate(INVISIBLE)

    rows, n_cells = [], 0
    try:
        for row in csv.reader(lines(), delimiter=max(",;\t", key=head[:4000].count), strict=True):
            n_cells += len(row)
            if n_cells > MAX_CELLS:
                _refuse_size(path)
            rows.append(row)
    except UnicodeError:
        refuse(str(path), "is neither UTF-8 nor UTF-16 text", "save it again as 'CSV UTF-8'")
    except csv.Error as error:
        refuse(str(path), f"is not readable as CSV ({error})", "save it again as 'CSV UTF-8'")
    return Sheet(str(path), rows, cut=not line.endswith(("\n", "\r")))


def encoding_of(raw: bytes) -> str:
    """How text is written, by its first bytes."""
    head = raw[:200]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if head.count(0) > len(head) // 4:
        return "utf-16-le" if head[1:2] == b"\0" else "utf-16-be"
    return "utf-8-sig"


# --- workbooks -----------------------------------------------------------------------------


def _workbook(raw: bytes, path: Path) -> list[Sheet]:
    archive = _inspected(raw, path)
    sheets, n_cells = [], 0
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(archive)
        if len(book.sheet_names) > MAX_SHEETS:
            refuse(str(path), f"has more than {MAX_SHEETS} sheets", "keep the sheet of prices")
        for name in book.sheet_names:
            rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
            n_cells += len(rows) * len(rows[0]) if rows else 0
            if n_cells > MAX_CELLS:
                _refuse_size(path)
            sheets.append(Sheet(f"{path} [{name}]", rows))
    except DataError:
        raise
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a panic of the reader is no Exception
        refuse(str(path), f"is no readable Excel workbook ({error})", "download it again")
    return sheets


def _inspected(raw: bytes, path: Path) -> io.BytesIO:
    """The XML parts of a workbook, each inspected, in a fresh archive without compression."""
    if raw.count(b"PK\x01\x02") > 2000:
        refuse(str(path), "holds too many parts to be a price file", "download it again")
    fresh, unpacked = io.BytesIO(), 0
    n_cells = longest = 0
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(fresh, "w") as new:
            _check_parts(old.infolist(), path)
            for part in old.infolist():
                name = part.filename.lower()
                if name.startswith(PICTURES) or not name.endswith((".xml", ".rels")):
                    continue
                with old.open(part) as handle:
                    content = handle.read(MAX_UNPACKED_BYTES - unpacked + 1)
                unpacked += len(content)
                if unpacked > MAX_UNPACKED_BYTES:
                    _refuse_unpacked(path)
                prefixed = PREFIXED.search(content) and PREFIXED_TAG.search(content)
                if prefixed or b"\0" in content:
                    refuse(
                        f"{path} ({part.filename})",
                        "is written in an unusual way",
                        "download it again, or save it as CSV",
                    )
                n_cells += _check_cells(content, part.filename, path)
                if b"sst" in content:
                    content = STRINGS.sub(b"<sst>", content)  # no promise of how many there are
                    longest = max(longest, *map(len, content.split(b"si>")))
                new.writestr(part.filename, content)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        refuse(str(path), f"is no readable Excel workbook ({error})", "download it again")
    except RuntimeError as error:  # a part is encrypted
        refuse(str(path), f"is protected ({error})", "save it without a password")
    if n_cells * longest > MAX_CLONED_BYTES:
        refuse(
            str(path),
            f"has a text of {longest:,} characters and {n_cells:,} cells, more than a price file",
            "download it again",
        )
    fresh.seek(0)
    return fresh


def _check_parts(parts: list[zipfile.ZipInfo], path: Path) -> None:
    """What the archive's own directory already tells."""
    names = [part.filename.lower() for part in parts]
    if sum(part.file_size for part in parts) > MAX_UNPACKED_BYTES:
        _refuse_unpacked(path)
    if any("vbaproject" in name or "macrosheet" in name for name in names):
        refuse(
            str(path),
            "holds macros, which the exchange's files do not",
            "download it again, or save it as .xlsx",
        )
    if "xl/workbook.xml" not in names:
        refuse(str(path), "is an archive, but no xlsx workbook", "save it as .xlsx or CSV")
    if len(set(names)) < len(names):
        refuse(str(path), "holds one part twice", "download it again")
    if any(part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for part in parts):
        refuse(str(path), "is packed in a way that Excel does not use", "download it again")


def _check_cells(content: bytes, name: str, path: Path) -> int:
    """Number of cells of a part; refused where they are too many, too far apart or computed."""
    if b"<sheetData" not in content:
        return 0
    where = f"{path} ({name})"
    n_cells = content.count(b"<c")  # at most so many
    if n_cells > MAX_CELLS:
        _refuse_size(path)
    far = FAR_CELL.search(content)
    if far and ODD_CELL.search(content):
        refuse(
            where,
            "gives a cell no place between A1 and ZZ999999",
            "download it again, or save it as CSV",
        )
    if far:
        places = CELL_PLACE.findall(content)
        width = max(_column_number(letters) for letters in {letters for letters, _ in places})
        height = max(int(number) for _, number in places)
        if width * height > 2 * MAX_CELLS:
            refuse(
                where,
                f"has cells as far away as row {height:,} and column {width}",
                "remove what stands far from the prices, or download it again",
            )
    if FORMULA.search(content):
        place = FORMULA_PLACE.search(content)
        cell = f"cell {place[1].decode()} of {name}" if place else name
        refuse(
            str(path),
            f"holds a formula ({cell}), and what it would give today is not in the file",
            "download it again, or save the values alone",
        )
    return n_cells


def _column_number(letters: bytes) -> int:
    """1 for A, 27 for AA."""
    return 26 * (len(letters) - 1) * (letters[0] - 64) + letters[-1] - 64


def _refuse_unpacked(path: Path) -> NoReturn:
    refuse(
        str(path),
        f"unpacks to more than {MAX_UNPACKED_BYTES / 1e6:.0f} MB",
        "download it again; a month of prices has about 2 MB",
    )


def _refuse_size(path: Path) -> NoReturn:
    refuse(
        str(path),
        f"has more than {MAX_CELLS:,} cells",
        "give the exchange's monthly files, or split it",
    )
