"""Any structural change of a good file gives its true prices or a typed error, never others."""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from price_cases import FIRST, clock, prices, snapshot

from bessvpp.errors import BessvppError
from bessvpp.params.load import load_params
from bessvpp.price_files.judge import read_price_tables
from bessvpp.price_files.merge import merged
from bessvpp.price_files.tidy import read_tables
from bessvpp.price_files.workbook import read_sheets

RULES = load_params().market
EXAMPLES = int(os.environ.get("BESSVPP_FUZZ", "150"))  # set it to thousands to search hard
SETTINGS = {
    "deadline": None,
    "derandomize": "BESSVPP_FUZZ" not in os.environ,
    "suppress_health_check": list(HealthCheck),
}
DAYS = ["30-06-2025", "01-07-2025"]


@pytest.fixture(autouse=True, scope="module")
def _no_cache():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BESSVPP_CACHE", "off")
        yield


def truth(market: str, days: list[str], values: np.ndarray, per_day: int = 96) -> dict:
    """{(market, start): price}; ``None`` where there was no trade."""
    starts = [
        dt.datetime.strptime(day, "%d-%m-%Y") + dt.timedelta(minutes=minute)
        for day in days
        for minute in range(0, 1440, 1440 // per_day)
    ]
    return {
        (market, start): None if price == -1 else price
        for start, price in zip(starts, values, strict=False)
    }


def dam_file(n_days: int) -> tuple[list, dict]:
    values = prices(96 * n_days)
    return snapshot(DAYS[:n_days], values), truth("dam", DAYS[:n_days], values)


def hourly_file() -> tuple[list, dict]:
    values = prices(48)
    return snapshot(DAYS, values, length=60), truth("dam", DAYS, values, 24)


def rtm_file(blocks: int) -> tuple[list, dict]:
    values = prices(blocks, 3)
    values[[5, 6, 20]] = 0
    rows = snapshot(DAYS[:1], values, market="RTM")
    for block in (5, 6):
        rows[FIRST + block][4:8] = ["0.00"] * 4
    # Summary cells of the volumes are made over the rows as they are now.
    table = np.array([row[4:9] for row in rows[FIRST : FIRST + blocks]], float)
    for row, reduce in zip(rows[-3:], (np.max, np.min, np.mean), strict=True):
        row[2:7] = [f"{value:.2f}" for value in reduce(table, axis=0)]
    values[[5, 6]] = -1
    return rows, truth("rtm", DAYS[:1], values)


def weighted_file() -> tuple[list, dict]:
    """A day-ahead day with one more column of prices, the volume-weighted ones."""
    rows, true = dam_file(1)
    for at, row in enumerate(rows[4:], start=4):
        if at == 4 or at >= FIRST:
            row.append("Weighted MCP (Rs/MWh)" if at == 4 else "")
        if FIRST <= at < FIRST + 96:
            row[-1] = f"{float(row[-2]) + 7:.2f}"
    return rows, true


def tidy_file(minutes: int) -> tuple[list, dict]:
    per_day = 1440 // minutes
    dam, rtm = prices(2 * per_day, 5), prices(2 * per_day, 6)
    header = ["delivery_start", "mcv_mw", "dam_mcp_rs_mwh", "rtm_mcp_rs_mwh"]
    true = truth("dam", DAYS, dam, per_day) | truth("rtm", DAYS, rtm, per_day)
    starts = [start for market, start in true if market == "dam"]
    body = [
        [f"{start:%Y-%m-%d %H:%M}", "100.5", repr(float(a)), repr(float(b))]
        for start, a, b in zip(starts, dam, rtm, strict=True)
    ]
    return [header, *body], true


GOOD = {
    "DAM_Market Snapshot": dam_file(1),
    "market": dam_file(2),
    "download (2)": hourly_file(),
    "RTM_Market Snapshot": rtm_file(96),
    "snapshot": rtm_file(96),
    "half": rtm_file(46),
    "weighted": weighted_file(),
    "prices": tidy_file(15),
    "hours": tidy_file(60),
}


# --- mutations: (name, two numbers) --------------------------------------------------------


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


def must_be_true(raw: bytes, name: str, true: dict) -> int:
    """Number of prices that were read, -1 where a refusal does not name the file.

    Fails where a price is another than it was.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(raw)
        try:
            tables = [t for t in read_price_tables(path, RULES) if t.market != "gdam"]
            found = 0
            for market in {table.market for table in tables}:
                own = [table for table in tables if table.market == market]
                days = np.concatenate([table.starts for table in own]).astype("M8[D]")
                dates = np.arange(days.min(), days.max() + 1)
                found += agree(merged(own, dates, own[0].block_minutes), dates, market, true)
        except BessvppError as error:
            return 0 if str(path) in str(error) else -1
    return found


def agree(grids: dict, dates: np.ndarray, market: str, true: dict) -> int:
    blocks = grids["mcp"].shape[1]
    per_day = len({start.time() for (m, start) in true if m == market}) or None
    known = np.isfinite(grids["mcp"]) | (grids["no_trade"] == 1)
    if known.any():
        assert blocks == (24 if per_day == 24 else 96)
    for day, block in np.argwhere(known):
        start = dt.datetime.combine(dates[day].item(), dt.time())
        start += dt.timedelta(minutes=int(block) * 1440 // blocks)
        price = true[market, start]
        if price is None:
            assert np.isnan(grids["mcp"][day, block])
        else:
            assert grids["mcp"][day, block] == price
    return int(known.sum())


@settings(max_examples=EXAMPLES, **SETTINGS)
@given(
    st.sampled_from(list(GOOD)),
    steps,
    st.sampled_from(",;\t"),
    st.sampled_from(ENCODINGS),
    st.none() | st.integers(0, 30_000),
)
def test_a_changed_csv_gives_true_prices_or_a_typed_error(name, changes, mark, encoding, cut):
    rows, true = GOOD[name]
    changes = tellable(changes)
    raw = as_csv(mutated(rows, changes), mark, encoding)
    if cut is not None and shift_labels not in {change[0] for change in changes}:
        raw = raw[: cut % (len(raw) + 1)]
    assert must_be_true(raw, f"{name}.csv", true) >= 0


@settings(max_examples=EXAMPLES // 2, **SETTINGS)
@given(st.sampled_from(list(GOOD)), steps)
def test_a_changed_workbook_gives_true_prices_or_a_typed_error(name, changes):
    changes = tellable(changes, delete_cell_left)
    rows, true = GOOD[name]
    assert must_be_true(as_xlsx(mutated(rows, changes)), f"{name}.xlsx", true) >= 0


@settings(max_examples=EXAMPLES, **SETTINGS)
@given(
    st.sampled_from([name for name in GOOD if name not in ("prices", "hours")]),
    st.lists(
        st.tuples(
            st.sampled_from([rename, rename_to_price, swap_headers]),
            st.integers(0, 10_000),
            st.integers(0, 10_000),
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_names_that_lie_are_contradicted_by_the_summary_rows(name, changes):
    """Where a file has none, as tidy CSV, names are all that there is."""
    rows, true = GOOD[name]
    raw = as_csv(mutated(rows, changes), ",", "utf-8")
    assert must_be_true(raw, f"{name}.csv", true) >= 0


@pytest.mark.parametrize("name", list(GOOD))
def test_a_file_cut_off_anywhere_gives_true_prices_or_a_typed_error(name):
    rows, true = GOOD[name]
    for raw, suffix in ((as_csv(rows, ",", "utf-8"), "csv"), (as_xlsx(rows), "xlsx")):
        assert must_be_true(raw, f"{name}.{suffix}", true) == len(true)
        step = 1 if EXAMPLES > 1000 else 301
        for cut in [*range(0, len(raw), step), *range(len(raw) - 40, len(raw))]:
            assert must_be_true(raw[:cut], f"{name}.{suffix}", true) >= 0


@settings(max_examples=EXAMPLES, **SETTINGS)
@given(st.sampled_from(["half", "hours"]), st.lists(st.tuples(st.integers(0), st.integers(0, 255))))
def test_damaged_bytes_raise_nothing_but_typed_errors(name, damage):
    rows, _ = GOOD[name]
    for raw, suffix in ((as_csv(rows, ",", "utf-8"), "csv"), (as_xlsx(rows), "xlsx")):
        spoilt = bytearray(raw)
        for place, byte in damage:
            spoilt[place % len(spoilt)] = byte
        try:
            read_sheets(bytes(spoilt), Path(f"x.{suffix}"))
            read_tables(bytes(spoilt), Path(f"x.{suffix}"), RULES)
        except BessvppError:
            continue


def test_a_last_block_that_ends_at_midnight_may_write_it_as_00_00(tmp_path):
    tables = []
    for midnight in ("24:00", "00:00"):
        rows = snapshot(DAYS, prices(192))
        path = tmp_path / f"DAM {midnight[:2]}.csv"
        with path.open("w", encoding="utf-8", newline="") as handle:
            csv.writer(handle).writerows(
                [str(cell).replace("- 24:00", f"- {midnight}") for cell in row] for row in rows
            )
        tables += read_price_tables(path, RULES)
    first, second = tables
    np.testing.assert_array_equal(first.starts, second.starts)
    np.testing.assert_array_equal(first.columns["mcp"], second.columns["mcp"])
    assert first.block_minutes == second.block_minutes == 15
