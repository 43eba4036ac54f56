"""What a file is, by its bytes and not by its name: CSV, xlsx, JSON or parquet."""

from __future__ import annotations

from pathlib import Path

from bessvpp.price_files.json_lists import json_sheets
from bessvpp.price_files.parquet import parquet_sheet
from bessvpp.price_files.workbook import INVISIBLE, Sheet, encoding_of, read_sheets, refuse

READ = "CSV, xlsx, JSON and parquet are read"
TEXT = (".csv", ".txt")
JSON = (".json", ".jsonl", ".ndjson")
SUFFIXES = {*TEXT, *JSON, ".parquet", ".xlsx", ".xlsm", ".xls", ".xlsb"}  # three to say no to


def read_price_sheets(raw: bytes, path: Path) -> list[Sheet]:
    """The tables of a file, as cells.

    Raises
    ------
    DataError
        naming the file, what is wrong and what to do; of another kind of file, what is read.
    """
    suffix = path.suffix.lower()
    if raw[:4] == b"PAR1":
        return [parquet_sheet(raw, path)]
    if raw[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        return read_sheets(raw, path)
    if suffix == ".parquet":
        refuse(str(path), "is no parquet file, or was cut off", f"write it again; {READ}")
    encoding = encoding_of(raw)
    head = raw[:8000].decode(encoding, errors="ignore").translate(INVISIBLE).lstrip()
    if head[:1] == "<" and suffix not in TEXT:
        kind = "a web page" if "<html" in head.lower() else "XML"
        refuse(str(path), f"is {kind}, which is not read", f"save the table as CSV; {READ}")
    if suffix in JSON or (head[:1] in ("{", "[") and suffix != ".csv"):
        try:
            text = raw.decode(encoding)
        except UnicodeError:
            refuse(str(path), "is neither UTF-8 nor UTF-16 text", "save it again as UTF-8")
        return json_sheets(text.translate(INVISIBLE) if not text.isascii() else text, path)
    if suffix not in TEXT and not suffix.startswith(".xls"):
        refuse(str(path), "is of no kind that is read", f"save it as one of them; {READ}")
    return read_sheets(raw, path)
