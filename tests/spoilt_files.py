"""Structural changes of a good price file, for the tests that no change goes unnoticed."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re

import openpyxl
from hypothesis import strategies as st
from price_cases import FIRST, clock

DAYS = ["30-06-2025", "01-07-2025"]


def column(rows: list, header: int, at: int) -> int:
    return at % max(len(rows[header]), 1)


def header_of(rows: list) -> int:
    for index, row in enumerate(rows):
        if any(cell in ("delivery_start", "Date") for cell in row):
            return index
    return 0


def drop_rows(rows, a, b):
    start = a % len(rows)
    del rows[start : start + 1 + b % 7]


def keep_first(rows, a, b):
    del rows[1 + a % len(rows) :]


def drop_preamble(rows, a, b):
    del rows[: header_of(rows)]


def double_row(rows, a, b):
    rows.insert(b % (len(rows) + 1), list(rows[a % len(rows)]))


def double_next(rows, a, b):
    rows.insert(a % len(rows), list(rows[a % len(rows)]))


def swap_rows(rows, a, b):
    i, j = a % len(rows), b % len(rows)
    rows[i], rows[j] = rows[j], rows[i]


def reverse_rows(rows, a, b):
    start = header_of(rows) + 1
    rows[start:] = rows[start:][::-1]


def blank_row(rows, a, b):
    rows.insert(a % len(rows), ["", " ", "\u200b"][: b % 4])


def drop_column(rows, a, b):
    place = column(rows, header_of(rows), a)
    for row in rows:
        del row[place : place + 1]


def swap_columns(rows, a, b):
    width = max([1, *map(len, rows)])
    i, j = column(rows, header_of(rows), a), column(rows, header_of(rows), b)
    for row in rows:
        row += [""] * (width - len(row))
        row[i], row[j] = row[j], row[i]


def insert_column(rows, a, b):
    place = column(rows, header_of(rows), a)
    for index, row in enumerate(rows):
        row.insert(place, ["", "x", "7"][b % 3] if index >= header_of(rows) else "")


def rename(rows, a, b):
    header = header_of(rows)
    new = ["", "foo", "MCP (Rs/kWh)", "Session ID", "Hour", "hour ", "Date", "Solar"]
    if rows[header]:
        rows[header][column(rows, header, a)] = new[b % len(new)]


def restyle_header(rows, a, b):
    header = header_of(rows)
    styles = [str.upper, str.lower, lambda t: f" {t} *", lambda t: f"\ufeff{t}\u00a0"]
    rows[header] = [styles[a % 4](str(cell)) for cell in rows[header]]


def rename_to_price(rows, a, b):
    header = header_of(rows)
    if not rows[header]:
        return
    rows[header][column(rows, header, a)] = ["MCP (Rs/MWh)", "MCV (MW)", "mcp"][b % 3]


def swap_headers(rows, a, b):
    row = rows[header_of(rows)]
    if len(row) > 1:
        i, j = a % len(row), b % len(row)
        row[i], row[j] = row[j], row[i]


def change_range(rows, a, b):
    texts = ["", "Date:", "Date: 30-06-2025 to 02-07-2025", "Date: 06-30-2025", "Date: ??"]
    if len(rows) > 2:
        rows[2] = [texts[a % len(texts)]]


LABEL = re.compile(r"(\d+):(\d\d) *- *(\d+):(\d\d)|\d{4}-\d\d-\d\d (\d\d):(\d\d)")


def label_places(rows):
    return [
        (i, j) for i, row in enumerate(rows) for j, cell in enumerate(row) if LABEL.match(str(cell))
    ]


def restyle_labels(rows, a, b):
    for i, j in label_places(rows):
        text = str(rows[i][j])
        rows[i][j] = [
            text.replace(" ", ""),
            text.replace("-", " to "),
            text.replace("24:00", "00:00"),
            text.replace("-", "–"),
            text.lstrip("0"),
        ][a % 5]


def shift_labels(rows, a, b):
    minutes = [60, -60, 15, 330][a % 4]
    for i, j in label_places(rows):
        h1, m1, h2, m2, hour, _ = LABEL.match(str(rows[i][j])).groups()
        if hour:
            start = dt.datetime.fromisoformat(str(rows[i][j])) + dt.timedelta(minutes=minutes)
            rows[i][j] = f"{start:%Y-%m-%d %H:%M}"
            continue
        late = [60 * int(h1) + int(m1) + minutes, 60 * int(h2) + int(m2) + minutes]
        ends = [clock(minute if b % 2 else minute % 1440) for minute in late]
        rows[i][j] = "-".join(ends) if b % 3 else " - ".join(ends)
        if b % 5 == 0 and j > 0:
            rows[i][1] = str(late[0] // 60 + 1)


def move_label(rows, a, b):
    places = label_places(rows)
    if places:
        (i, j), (k, m) = places[a % len(places)], places[b % len(places)]
        rows[i][j], rows[k][m] = (rows[k][m], rows[k][m]) if a % 2 else (rows[k][m], rows[i][j])


def move_date(rows, a, b):
    header = header_of(rows)
    i = header + 1 + a % max(len(rows) - header - 1, 1)
    if i < len(rows) and rows[i]:
        rows[i][0] = [*DAYS, "02-07-2025", "2025-06-30", "", "06-30-2025"][b % 6]


def delete_cell(rows, a, b):
    row = rows[a % len(rows)]
    del row[b % max(len(row), 1) :][:1]


def delete_cell_left(rows, a, b):
    row = rows[a % len(rows)]
    if row:
        row.pop(b % len(row))


def insert_cell(rows, a, b):
    row = rows[a % len(rows)]
    row.insert(b % (len(row) + 1), ["", "7", "1"][a % 3])


def blank_cell(rows, a, b):
    row = rows[a % len(rows)]
    if row:
        row[b % len(row)] = ["", "-", "NA", "abc", None][a % 5]


def retype(rows, a, b):
    """Numbers of a column written in another way, or as numbers."""
    place = column(rows, header_of(rows), a)
    for row in rows[header_of(rows) + 1 :]:
        if place < len(row):
            text = str(row[place])
            try:
                value = float(text)
            except ValueError:
                continue
            ways = [value, f"{value:,.2f}", f"{text}*", f" {text}\u00a0", f"{value:e}", text]
            row[place] = [*ways, text.replace(".", ","), f"Rs {text}"][b % 8]


def per_kwh(rows, a, b):
    for row in rows[header_of(rows) + 1 :]:
        for place in range(len(row)):
            if place >= len(row) - 1 - a % 2:
                try:
                    row[place] = repr(float(row[place]) / 1000)
                except (TypeError, ValueError):
                    continue


def retype_dates(rows, a, b):
    for row in rows[: None if a % 2 else FIRST + 40]:
        for place, cell in enumerate(row):
            for day in DAYS:
                d, m, y = day.split("-")
                styles = [dt.datetime(int(y), int(m), int(d)), f"{y}-{m}-{d}", f"{d}/{m}/{y}"]
                if cell == day:
                    row[place] = [*styles, f"{m}-{d}-{y}", f"{d}-{m}-{y[2:]}"][b % 5]


MUTATIONS = [
    drop_rows, keep_first, drop_preamble, double_row, double_next, swap_rows, reverse_rows,
    blank_row, drop_column, swap_columns, insert_column, rename, restyle_header,
    change_range, restyle_labels, shift_labels, move_label, move_date, delete_cell,
    delete_cell_left, insert_cell, blank_cell, retype, per_kwh, retype_dates,
]  # fmt: skip
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-32", "utf-7"]
steps = st.lists(
    st.tuples(st.sampled_from(MUTATIONS), st.integers(0, 10_000), st.integers(0, 10_000)),
    min_size=1,
    max_size=3,
)


def mutated(rows: list, changes: list) -> list:
    rows = [list(row) for row in rows]
    for change, a, b in changes:
        if rows:
            change(rows, a, b)
    return rows


def tellable(changes: list, *unless: object) -> list:
    """Changes without those that no reader can tell from an honest file.

    Late labels look like a day that lacks its last blocks where the first rows are dropped as
    well. A cell deleted from a row looks like a missing last value, unless the row is too short.
    """
    names = {change[0] for change in changes}
    lost = {drop_rows, keep_first, swap_rows, move_date} if shift_labels in names else set()
    changes = [change for change in changes if change[0] not in {*lost, *unless}]
    return sorted(changes, key=lambda change: change[0] is delete_cell_left)  # no padding after


def as_csv(rows: list, separator: str, encoding: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows(rows)
    return text.getvalue().encode(encoding, errors="replace")


def as_xlsx(rows: list) -> bytes:
    book, packed = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(packed)
    return packed.getvalue()
