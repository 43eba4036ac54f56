"""How fast price files load, beside the bare cost of reading their cells.

Four and a half years of monthly Market Snapshot workbooks, DAM and RTM, made of the embedded
market by the project's own exporter, numbers as text as the exchange writes them. *Bare* is
python-calamine turning the same files into Python values and nothing more. *Cold* is
``read_market`` with an empty cache, *cached* the same call once more. Each is the best of three,
taken in turns. openpyxl reads a sample, scaled to all rows.

    python benchmarks/reading.py
"""

from __future__ import annotations

import csv
import datetime as dt
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import openpyxl
import python_calamine

from bessvpp.files import PROJECT_ROOT
from bessvpp.market.read import read_market
from bessvpp.market.synthetic import embedded_market_files
from bessvpp.params.load import load_params
from bessvpp.price_files.merge import MARKER
from bessvpp.runs.folder import RunFolder

PLACE = PROJECT_ROOT / "outputs" / "bench"
START, DAYS = dt.date(2022, 1, 1), 1642
ROUNDS = 3
SAMPLE = 4  # files that openpyxl reads
PROMISED = 2.5  # times the bare cost


def workbooks(folder: Path) -> Path:
    """The embedded market as monthly workbooks in a folder; made where they are not there."""
    rules = load_params().market.model_copy(
        update={"synthetic_start": START, "synthetic_days": DAYS}
    )
    source = embedded_market_files(rules, folder)
    made = folder / f"{source.name}_xlsx"
    if not made.is_dir():
        print(f"writing the workbooks to {made}", flush=True)
        temporary = Path(tempfile.mkdtemp(dir=folder))
        for path in sorted(source.glob("*.csv")):
            book = openpyxl.Workbook(write_only=True)
            sheet = book.create_sheet("Sheet1")
            with path.open(encoding="utf-8", newline="") as handle:
                for row in csv.reader(handle):
                    sheet.append(row)
            book.save(temporary / f"{path.stem}.xlsx")
        shutil.copy(source / MARKER, temporary)
        temporary.rename(made)
    return made


def bare(files: list[Path]) -> int:
    """Rows of all sheets, every cell as a Python value."""
    rows = 0
    for path in files:
        book = python_calamine.CalamineWorkbook.from_path(path)
        rows += sum(len(book.get_sheet_by_name(name).to_python()) for name in book.sheet_names)
    return rows


def with_openpyxl(files: list[Path]) -> int:
    """The same by openpyxl."""
    rows = 0
    for path in files:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows += sum(1 for sheet in book for _ in sheet.iter_rows(values_only=True))
    return rows


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main() -> int:
    """Measure, print the table, write ``outputs/bench/reading.json``; 1 where too slow."""
    folder = workbooks(PLACE)
    files = sorted(folder.glob("*.xlsx"))
    rules = load_params().market
    times: dict[str, list[float]] = {"bare": [], "cold": [], "cached": []}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as cache:
            os.environ["BESSVPP_CACHE"] = cache
            times["bare"].append(seconds(lambda: bare(files)))
            times["cold"].append(seconds(lambda: read_market(folder, rules)))
            times["cached"].append(seconds(lambda: read_market(folder, rules)))
    rows = bare(files)
    sample = files[:: len(files) // SAMPLE][:SAMPLE]
    openpyxl_s = seconds(lambda: with_openpyxl(sample)) * rows / bare(sample)
    best = {name: min(values) for name, values in times.items()} | {"openpyxl": openpyxl_s}
    market = read_market(folder, rules)
    lines = {
        "bare": "cells alone, python-calamine",
        "cold": "read_market, nothing cached",
        "cached": "read_market, from the cache",
        "openpyxl": f"cells alone, openpyxl ({SAMPLE} files, scaled)",
    }
    print(f"{len(files)} workbooks, {rows:,} rows, {len(market.dates):,} days")
    for name, text in lines.items():
        print(f"{text:45s} {best[name]:8.2f} s {best[name] / best['bare']:8.2f} x bare")
    ratio = best["cold"] / best["bare"]
    print(f"promised: at most {PROMISED} x bare; {'kept' if ratio <= PROMISED else 'NOT KEPT'}")
    content = {"files": len(files), "rows": rows, "seconds": best, "rounds": times}
    content |= {"cold_over_bare": ratio, "promised": PROMISED}
    RunFolder(PLACE).write_json("reading.json", content)
    return int(ratio > PROMISED)


if __name__ == "__main__":
    sys.exit(main())
