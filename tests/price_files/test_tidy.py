"""The tidy layout is read, and no change of a good file gives prices other than its own."""

from __future__ import annotations

import csv
import datetime as dt
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from price_cases import FIRST, prices, refused, snapshot, tidy, tidy_frame, write
from spoilt_files import (
    DAYS,
    ENCODINGS,
    as_csv,
    as_xlsx,
    delete_cell_left,
    move_label,
    mutated,
    per_kwh,
    rename,
    rename_to_price,
    shift_labels,
    steps,
    swap_headers,
    tellable,
)

from bessvpp.errors import BessvppError
from bessvpp.market.read import read_market
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


def numbered_file() -> tuple[list, dict]:
    """Blocks by number, and the date of each."""
    values = prices(192, 8)
    rows = [[DAYS[k // 96], k % 96 + 1, "100.5", repr(float(v))] for k, v in enumerate(values)]
    names = ["Date", "Block", "MCV (MW)", "MCP (Rs/MWh)"]
    return [names, *rows], truth("dam", DAYS, values)


def merged_file() -> tuple[list, dict]:
    """Dates on the first row of each day, hours on the first of each hour."""
    rows, true = dam_file(2)
    rows = [list(row) for row in rows[FIRST - 1 : FIRST + 192]]
    for at, row in enumerate(rows[1:]):
        row[0] = row[0] if at % 96 == 0 else ""
        row[1] = row[1] if at % 4 == 0 else ""
    return rows, true


def stamped_file() -> tuple[list, dict]:
    values = prices(192, 9)
    true = truth("dam", DAYS, values)
    rows = [[f"{start:%d-%m-%Y %H:%M}", "100.5", str(price)] for (_, start), price in true.items()]
    return [["TimeStamp", "MCV (MW)", "MCP (Rs/MWh)"], *rows], true


def long_file() -> tuple[list, dict]:
    """One row a block and market."""
    true = truth("dam", DAYS, prices(192, 10)) | truth("rtm", DAYS, prices(192, 11))
    rows = [
        [f"{start:%Y-%m-%d %H:%M}", market.upper(), "100.5", str(price)]
        for (market, start), price in sorted(true.items(), key=lambda item: item[0][1])
    ]
    return [["timestamp", "market_type", "mcv_mw", "mcp_rs_mwh"], *rows], true


def wide_file() -> tuple[list, dict]:
    """One row a day, one column a block."""
    values = prices(192, 12)
    rows = [[day, *map(repr, values[96 * d :][:96].tolist())] for d, day in enumerate(DAYS)]
    return [["Date", *range(1, 97)], *rows], truth("dam", DAYS, values)


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
    "DAM numbered": numbered_file(),
    "DAM merged": merged_file(),
    "DAM stamped": stamped_file(),
    "long": long_file(),
    "DAM wide": wide_file(),
}


STAMPED = ("prices", "hours", "DAM stamped", "long")


def tellable_in(name: str, changes: list, *unless: object) -> list:
    """Changes of a good file that a reader can tell.

    Where each row carries its whole date, labels exchanged are rows exchanged; where a column is
    one block, no other price of its row tells its unit.
    """
    if name in STAMPED:
        changes = [(c, a | 1 if c is move_label else a, b) for c, a, b in changes]
    return tellable(changes, *unless, *([per_kwh] if name == "DAM wide" else []))


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
    changes = tellable_in(name, changes)
    raw = as_csv(mutated(rows, changes), mark, encoding)
    if cut is not None and shift_labels not in {change[0] for change in changes}:
        raw = raw[: cut % (len(raw) + 1)]
    assert must_be_true(raw, f"{name}.csv", true) >= 0


@settings(max_examples=EXAMPLES // 2, **SETTINGS)
@given(st.sampled_from(list(GOOD)), steps)
def test_a_changed_workbook_gives_true_prices_or_a_typed_error(name, changes):
    changes = tellable_in(name, changes, delete_cell_left)
    rows, true = GOOD[name]
    assert must_be_true(as_xlsx(mutated(rows, changes)), f"{name}.xlsx", true) >= 0


@settings(max_examples=EXAMPLES, **SETTINGS)
@given(
    st.sampled_from(
        [
            "DAM_Market Snapshot",
            "market",
            "download (2)",
            "RTM_Market Snapshot",
            "snapshot",
            "half",
            "weighted",
        ]
    ),
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


def test_tidy_csv_gives_both_markets_and_day_ahead_volumes(tmp_path):
    frame = tidy_frame()
    market = read_market(tidy(tmp_path, frame), RULES)
    assert market.dam_mcp.ravel().tolist() == frame["dam_mcp_rs_mwh"].tolist()
    assert market.rtm_mcp.ravel().tolist() == frame["rtm_mcp_rs_mwh"].tolist()
    assert list(market.extras) == ["dam_purchase_bid_mw"]
    assert not market.excluded.any()
    assert market.notes == ()


def test_a_tidy_workbook_with_real_date_times_is_read(tmp_path):
    frame = tidy_frame()
    frame["delivery_start"] = pd.to_datetime(frame["delivery_start"])
    path = tmp_path / "prices.xlsx"
    frame.to_excel(path, index=False)
    market = read_market(path, RULES)
    assert market.dates.astype(str).tolist() == ["2024-03-01", "2024-03-02"]
    assert market.dam_mcp.ravel().tolist() == frame["dam_mcp_rs_mwh"].tolist()


def test_a_tidy_file_may_hold_the_green_price(tmp_path):
    frame = tidy_frame()
    frame["gdam_mcp_rs_mwh"] = frame["dam_mcp_rs_mwh"] + 17
    market = read_market(tidy(tmp_path, frame), RULES)
    np.testing.assert_allclose(market.extras["gdam_mcp"], market.dam_mcp + 17)


@pytest.mark.parametrize("lost", [0, 5])
@pytest.mark.parametrize("shift", ["15min", "1h", "-1h", "-5h30min"])
def test_days_that_start_as_shifted_labels_do_are_refused(tmp_path, shift, lost):
    frame = tidy_frame()[: 192 - lost]
    starts = pd.to_datetime(frame["delivery_start"]) + pd.Timedelta(shift)
    frame["delivery_start"] = starts.dt.strftime("%Y-%m-%d %H:%M")
    refused(tidy(tmp_path, frame), "prices.csv", "instead of 00:00", "shifted")


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        ("2024-03-01 24:00", "next day"),
        ("2024-03-01 01:15+00:00", "Indian time"),
        ("2024-03-01 01:20", "15-minute"),
        ("03/01/2024 01:15", "YYYY-MM-DD"),
        ("", "YYYY-MM-DD"),
    ],
)
def test_a_wrong_start_is_refused_with_its_place(tmp_path, cell, word):
    frame = tidy_frame()
    frame.loc[5, "delivery_start"] = cell
    refused(tidy(tmp_path, frame), "row 7", "delivery_start", word)


def test_a_resolution_that_the_rows_do_not_show_is_refused(tmp_path, day):
    frame = tidy_frame()
    refused(tidy(tmp_path, frame[:1]), "1 rows, too few to tell hourly")
    refused(tidy(tmp_path, frame[:12:4][:2]), "2 rows, too few")
    assert read_market(tidy(tmp_path, frame[:12:4]), RULES).n_blocks == 24
    refused(tidy(tmp_path, frame[1::4]), "only at minute 15 of the hour")
    refused(tidy(tmp_path, frame[::2]), "half-hourly")
    rows = [[*row[:2], *row[3:]] for row in day[0][: FIRST + 96]]
    refused(write(tmp_path, rows), "no column 'Time Block'")
