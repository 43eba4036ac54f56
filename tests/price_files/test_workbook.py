"""Bytes to cells: files that are broken, or made to do harm."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from price_cases import RULES, write
from small_cases import PATIENCE_S

from bessvpp.errors import DataError
from bessvpp.market.read import read_market
from bessvpp.price_files.workbook import (
    MAX_CELLS,
    MAX_FILE_BYTES,
    MAX_UNPACKED_BYTES,
    read_bytes,
    read_sheets,
)

CONTENT_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def workbook(sheet: str, strings: str = "", sheets: int = 1, more: dict | None = None) -> bytes:
    """A workbook of one sheet part, which ``sheets`` sheets share."""
    listed = "".join(f'<sheet name="S{i}" sheetId="{i + 1}" r:id="rId1"/>' for i in range(sheets))
    parts = {
        "[Content_Types].xml": CONTENT_TYPES,
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}"><Relationship Id="rId1" '
        f'Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>{listed}'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}"><Relationship Id="rId1" '
        f'Type="{RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" '
        f'Type="{RELATIONS}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": sheet,
        "xl/sharedStrings.xml": strings or f'<sst xmlns="{MAIN}"><si><t>Date</t></si></sst>',
        **(more or {}),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return packed.getvalue()


def sheet_xml(rows: str, before: str = "") -> str:
    return f'<worksheet xmlns="{MAIN}">{before}<sheetData>{rows}</sheetData></worksheet>'


TWO = '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1"><v>5</v></c></row>'


def cells_of(raw: bytes) -> list:
    return [sheet.rows for sheet in read_sheets(raw, Path("book.xlsx"))]


def refused(raw: bytes, *words: str, name: str = "book.xlsx") -> None:
    with pytest.raises(DataError) as caught:
        read_sheets(raw, Path(name))
    for word in ("book", *words):
        assert word in str(caught.value)


def test_a_plain_workbook_is_its_cells():
    assert cells_of(workbook(sheet_xml(TWO))) == [[["Date", 5.0]]]


def test_a_declared_dimension_is_not_believed():
    huge = '<dimension ref="A1:XFD1048576"/>'
    assert cells_of(workbook(sheet_xml(TWO, huge))) == [[["Date", 5.0]]]
    counted = (
        f'<sst xmlns="{MAIN}" count="4294967295" uniqueCount="4294967295"><si><t>a</t></si></sst>'
    )
    assert cells_of(workbook(sheet_xml(TWO), counted)) == [[["a", 5.0]]]


def test_formulas_and_macros_are_refused():
    formula = '<row r="1"><c r="B7"><f>1+1</f><v>2</v></c></row>'
    refused(workbook(sheet_xml(formula)), "formula", "B7", "sheet1.xml")
    for formula in ("<f/>", '<f t="shared" si="0"/>'):
        refused(workbook(sheet_xml(f'<row><c r="B7">{formula}<v>2</v></c></row>')), "formula")
    prefixed = TWO.replace("<c", "<x:c").replace("</c", "</x:c")
    refused(workbook(sheet_xml(prefixed)), "unusual")
    prefixed = f'<x:sst xmlns:x="{MAIN}" uniqueCount="4294967295"/>'
    refused(workbook(sheet_xml(TWO), prefixed), "unusual", "sharedStrings")
    for name in ("xl/vbaProject.bin", "xl/macrosheets/sheet1.xml"):
        refused(workbook(sheet_xml(TWO), more={name: "x"}), "macros")


@pytest.mark.parametrize("place", ["XFD1048576", "A1048576", "ZZ600000", "A0", "AAA1", "a1", ""])
def test_cells_far_away_or_nowhere_are_refused(place):
    far = TWO.replace('r="B1"', f'r="{place}"' if place else "")
    refused(workbook(sheet_xml(far)), "sheet1.xml")


def test_cells_a_little_further_away_are_read():
    wide = TWO.replace('"B1"', '"AB1"')
    assert len(cells_of(workbook(sheet_xml(wide)))[0][0]) == 28
    assert cells_of(workbook(sheet_xml(TWO.replace('"B1"', '"B250000"'))))[0][-1] == ["", 5.0]


def test_what_is_no_workbook_is_refused():
    good = workbook(sheet_xml(TWO))
    for cut in range(0, len(good), 97):
        with pytest.raises(DataError):
            read_sheets(good[:cut], Path("book.xlsx"))
    refused(good.replace(b"xl/workbook.xml", b"xl/workbook.bin"), "no xlsx workbook")
    refused(b"\xd0\xcf\x11\xe0" + bytes(600), "old (.xls)", name="book.xls")
    bad = bytearray(good)
    place = good.index(b"xl/worksheets/sheet1.xml") + 40
    bad[place] ^= 255
    refused(bytes(bad))
    with zipfile.ZipFile(packed := io.BytesIO(), "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("xl/workbook.xml", "x" * 1000)
    refused(packed.getvalue(), "packed")
    packed = io.BytesIO(good)
    with zipfile.ZipFile(packed, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("xl/workbook.xml", "x")
    refused(packed.getvalue(), "twice")


def test_text_that_is_cut_off_or_nonsense_is_told(tmp_path):
    (sheet,) = read_sheets(b"a,b\n1,2", Path("book.csv"))
    assert (sheet.rows, sheet.cut) == ([["a", "b"], ["1", "2"]], True)
    assert not read_sheets(b"a,b\r\n1,2\r\n", Path("book.csv"))[0].cut
    refused(b'a,"b\n1,2\n', "CSV", name="book.csv")
    refused(b"a,b\n1,\xff\n", "UTF-8", name="book.csv")
    refused("a,b\n1,2\n".encode("utf-16")[:-1], "UTF-16", name="book.csv")


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", Path("/dev/zero"), tmp_path):
        with pytest.raises(DataError, match="no regular file"):
            read_bytes(path)
    with pytest.raises(DataError, match="is not there"):
        read_bytes(tmp_path / "pipe.csv" / "below.csv")


# --- hostile files, beside an honest one in a process whose work and memory are measured ----


def bomb(declared: int | None = None) -> bytes:
    """A workbook whose sheet unpacks to 600 MB, and which may say otherwise."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("xl/workbook.xml", "x")
        with archive.open("xl/worksheets/sheet1.xml", "w") as part:
            block = b"<c/>" * 250_000
            for _ in range(600):
                part.write(block)
    raw = packed.getvalue()
    size = (600_000_000).to_bytes(4, "little")
    assert raw.count(size) == 1 or raw.count(size) == 2
    return raw if declared is None else raw.replace(size, declared.to_bytes(4, "little"))


def hostile_files(folder: Path) -> dict[str, str]:
    """Files that would take much memory or time, and a word that the refusal must hold."""
    long = "x" * 1_000_000
    cells = "".join(f'<c r="A{i}" t="s"><v>0</v></c>' for i in range(1, 100_000))
    laughs = "".join(f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(12))
    dense = '<c r="A1"/>' * (MAX_CELLS + 1)
    many = "".join(f'<c r="A{i}"><v>1</v></c>' for i in range(1, 90_000))
    books = {
        "bomb": (bomb(), "unpacks to more"),
        "liar": (bomb(declared=1000), ""),
        "far": (workbook(sheet_xml(TWO.replace("B1", "ZZ600000"))), "column 702"),
        "string": (
            workbook(
                sheet_xml(f"<row>{cells}</row>"),
                f'<sst xmlns="{MAIN}"><si><t>{long}</t></si></sst>',
            ),
            "a text of",
        ),
        "runs": (
            workbook(
                sheet_xml(f"<row>{cells}</row>"),
                f'<sst xmlns="{MAIN}"><si>{"<r><t>abc</t></r>" * 60_000}</si></sst>',
            ),
            "a text of",
        ),
        "sheets": (workbook(sheet_xml(f"<row>{many}</row>"), sheets=5000), "sheets"),
        "few_sheets": (workbook(sheet_xml(f"<row>{many * 4}</row>"), sheets=20), ""),
        "laughs": (
            workbook(
                sheet_xml(TWO),
                f'<!DOCTYPE x [<!ENTITY a0 "ha">{laughs}]><sst xmlns="{MAIN}"><si><t>&a12;</t>'
                "</si></sst>",
            ),
            "",
        ),
        "nested": (workbook(sheet_xml("<x>" * 3_000_000)), ""),
        "cells": (workbook(sheet_xml(f"<row>{dense}</row>")), "cells"),
        "parts": (b"PK\x03\x04" + b"PK\x01\x02" * 1_000_000, "too many parts"),
    }
    expected = {}
    for name, (raw, word) in books.items():
        (folder / f"{name}.xlsx").write_bytes(raw)
        expected[f"{name}.xlsx"] = word
    with (folder / "sparse.csv").open("wb") as handle:
        handle.truncate(2 * 1024**3)
    (folder / "commas.csv").write_bytes(b"," * (MAX_FILE_BYTES - 1))
    (folder / "line.csv").write_bytes(b"x" * (MAX_FILE_BYTES - 1))
    (folder / "rows.csv").write_bytes(b"1,2\n" * (MAX_FILE_BYTES // 4 - 1))
    (folder / "wide.csv").write_bytes("1,\U0001f4c8\n".encode() * (MAX_FILE_BYTES // 8))
    (folder / "lists.json").write_bytes(b"[" + b"[]," * (MAX_FILE_BYTES // 3 - 2) + b"[]]")
    (folder / "deep.json").write_bytes(b'{"a":' * 900_000)
    (folder / "digits.json").write_bytes(b'[{"mcp":' + b"1" * (MAX_FILE_BYTES - 20) + b"}]")
    names = ",".join(f'{{"k{i}":1,"mcp":1}}' for i in range(300_000))
    (folder / "names.json").write_text(f"[{names}]")
    flat = pa.table({"date": pa.array([long] * 2000), "mcp": np.ones(2000)})
    pq.write_table(flat, folder / "long.parquet", compression="zstd")
    pq.write_table(pa.table({"mcp": np.ones(20_000_000)}), folder / "rows.parquet")
    pq.write_table(pa.table({f"c{i}": [1.0] for i in range(20_000)}), folder / "wide.parquet")
    return expected | {
        "lists.json": "more values",
        "deep.json": "nested too deeply",
        "digits.json": "digits",
        "names.json": "more values",
        "long.parquet": "a text of",
        "rows.parquet": "cells",
        "wide.parquet": "cells",
        "sparse.csv": "MB",
        "commas.csv": "",
        "line.csv": "CSV",
        "rows.csv": "cells",
        "wide.csv": "cells",
    }


HONEST = "~honest.csv"  # the last in the order of names


def write_honest_file(folder: Path) -> None:
    """Ten years of one market with all its columns, nearly what a file may hold."""
    starts = np.datetime64("2015-01-01T00:00") + np.timedelta64(15, "m") * np.arange(3653 * 96)
    lines = ["delivery_start,purchase_bid_mw,sell_bid_mw,mcv_mw,dam_mcp_rs_mwh,a,b,c,d"]
    lines += [f"{start.replace('T', ' ')},1,2,3,4000,5,6,7,8" for start in starts.astype(str)]
    (folder / HONEST).write_text("\n".join(lines) + "\n")


READER = """
import json, resource, sys, time
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
from bessvpp.errors import DataError
from bessvpp.params.load import load_params
from bessvpp.price_files.judge import read_price_tables
rules = load_params().market
for path in sorted(Path(sys.argv[1]).iterdir()):
    begin = time.process_time()
    try:
        read_price_tables(path, rules)
        said = ""
    except DataError as error:
        said = str(error)
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    seconds, peak_mb = time.process_time() - begin, int(line.split()[1]) / 1024
    result = {"name": path.name, "said": said, "seconds": seconds, "peak_mb": peak_mb}
    print(json.dumps(result), flush=True)
"""


@pytest.mark.slow
def test_hostile_files_cost_no_more_than_an_honest_one_and_little_memory(tmp_path):
    expected = hostile_files(tmp_path)
    write_honest_file(tmp_path)
    found = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "BESSVPP_CACHE": "off"},
    )
    results = [json.loads(line) for line in found.stdout.splitlines()]
    assert found.returncode == 0, (results[-1:], found.stderr[-500:])
    *results, honest = results
    assert (honest["name"], honest["said"]) == (HONEST, "")
    assert {result["name"] for result in results} == set(expected)
    for result in results:
        assert str(tmp_path / result["name"]) in result["said"], result
        assert expected[result["name"]] in result["said"], result
        assert result["seconds"] < 3 * honest["seconds"], (result, honest)
        assert result["peak_mb"] < 1000, result


def test_the_limits_leave_room_for_decades():
    blocks = 96 * 366 * 10
    assert blocks * 9 < MAX_CELLS  # ten years of one market in one file
    assert blocks * 70 < MAX_FILE_BYTES
    assert MAX_UNPACKED_BYTES <= 500_000_000


@pytest.mark.parametrize(
    ("encoding", "separator"),
    [("utf-8-sig", ","), ("utf-16", "\t"), ("utf-16-le", ","), ("utf-8", ";")],
)
def test_encodings_and_separators_are_recognised(tmp_path, day, encoding, separator):
    rows, values = day
    path = write(tmp_path, rows, encoding=encoding, separator=separator)
    assert read_market(path, RULES).dam_mcp[0].tolist() == values.tolist()
