"""The same days in every layout are the same market; what is ambiguous in one is refused."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layout_cases import BARE, FULL, Days, api_rows, make_days, save_csv, span, tidy_frame_of
from price_cases import RULES, clock, refused

from bessvpp.errors import DataError
from bessvpp.market.read import read_market

LAYOUTS = FULL | BARE
drawn_days = st.builds(
    make_days,
    st.dates(dt.date(2023, 5, 1), dt.date(2026, 6, 1)),
    st.integers(1, 3),
    st.integers(0, 99),
    st.integers(0, 4),
    st.just(0),
)


def read_as(layout: str, days: Days, folder: Path):
    LAYOUTS[layout](folder, days)
    return read_market(folder, RULES)


def same_prices(market, days: Days) -> None:
    assert market.dates.astype(str).tolist() == [str(date) for date in days.dates]
    np.testing.assert_array_equal(market.dam_mcp, days.mcp["dam"])
    idle = days.mcp["rtm"] == 0
    np.testing.assert_array_equal(market.rtm_no_trade, idle)
    np.testing.assert_array_equal(market.rtm_mcp, np.where(idle, np.nan, days.mcp["rtm"]))
    lost = np.isnan(days.mcp["dam"]) | np.isnan(days.mcp["rtm"])
    np.testing.assert_array_equal(market.excluded, lost.any(axis=1))


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=8)
@given(days=drawn_days)
def test_the_same_days_in_any_layout_are_the_same_market(layout, days):
    with tempfile.TemporaryDirectory() as folder:
        same_prices(read_as(layout, days, Path(folder)), days)


@pytest.mark.parametrize("layout", FULL)
def test_blocks_without_trade_and_volumes_are_the_same_in_any_layout(layout, tmp_path):
    days = make_days(dt.date(2025, 4, 3), 2, seed=5, n_lost=3, n_idle=6)
    market = read_as(layout, days, tmp_path)
    same_prices(market, days)
    np.testing.assert_array_equal(market.extras["dam_mcv_mw"], days.mcv["dam"])
    np.testing.assert_array_equal(market.extras["rtm_mcv_mw"], days.mcv["rtm"])


@pytest.mark.parametrize(
    ("layout", "word"),
    [
        ("tidy in UTC", "is in UTC+00:00, converted to IST"),
        ("tidy in London", "UTC+01:00"),
        ("parquet in UTC", "is in UTC+00:00"),
        ("JSON records in UTC", "is in UTC+00:00"),
        ("tidy, shuffled", "are sorted by time"),
        ("Rs/kWh by name", "is in Rs/kWh, converted"),
        ("one row a market", "192 rows of 'TAM' are not used"),
        ("other exchanges beside", "384 rows of 'PXIL' are not used"),
        ("merged cells", "is filled down"),
        ("API, nested under data", "hpdam]: another market, not used"),
        ("block numbers from 0", "is counted from 0"),
        ("a column a block", "one column a block"),
    ],
)
def test_what_was_understood_by_a_second_look_is_reported(layout, word, tmp_path):
    notes = read_as(layout, make_days(dt.date(2025, 7, 3), 2, 1), tmp_path).notes
    assert any(word in note for note in notes), notes


def test_hours_are_read_as_quarters_are(tmp_path):
    days = make_days(dt.date(2025, 7, 30), 3, 2)
    hours = {market: days.mcp[market][:, ::4] for market in ("dam", "rtm")}
    writers = {
        "hour from 1": lambda m: [["Date", "Hour", "MCP"], *long_hours(days, hours[m], 1)],
        "hour from 0": lambda m: [["Date", "Hour", "MCP"], *long_hours(days, hours[m], 0)],
        "columns": lambda m: [
            ["Date", *(f"H{h}" for h in range(1, 25))],
            *([date, *hours[m][d]] for d, date in enumerate(days.dates)),
        ],
    }
    for name, rows in writers.items():
        folder = tmp_path / name
        folder.mkdir()
        for market in hours:
            save_csv(folder / f"{market}.csv", rows(market))
        market = read_market(folder, RULES)
        np.testing.assert_array_equal(market.dam_mcp, hours["dam"])
        np.testing.assert_array_equal(market.rtm_mcp, hours["rtm"])


def long_hours(days: Days, hours: np.ndarray, first: int) -> list[list[object]]:
    return [[date, h + first, hours[d, h]] for d, date in enumerate(days.dates) for h in range(24)]


# --- what stays refused --------------------------------------------------------------------

DAYS = make_days(dt.date(2025, 7, 30), 3, 7)


def put_json(folder: Path, value: object, name: str = "answer.json") -> Path:
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))
    return folder / name


def put_csv(folder: Path, rows: list, name: str = "dam.csv") -> Path:
    save_csv(folder / name, rows)
    return folder / name


def changed(at: int, **cells: object) -> list[dict[str, object]]:
    rows = api_rows(DAYS, "dam", True)
    rows[at] |= cells
    return rows


@pytest.mark.parametrize(
    ("at", "cells", "words"),
    [
        (4, {"mcp_rs_mwh": "12000"}, ["[dam], row 5", "above the cap"]),
        (4, {"mcp_rs_mwh": "abc"}, ["[dam], row 5", "'mcp_rs_mwh'", "is no number"]),
        (4, {"mcp_rs_mwh": True}, ["row 5", "'mcp_rs_mwh'", "is no number"]),
        (4, {"time_block": "24:45 - 01:00"}, ["row 5", "late by an hour"]),
        (4, {"time_block": ""}, ["row 5", "is no time block"]),
        (4, {"date": "07-30-2025"}, ["row 5", "'date'", "month-first"]),
        (4, {"date": None}, ["row 5", "is no date"]),
        (4, {"time_block": span(3)}, ["disagree on the DAM price", "row 4", "row 5"]),
    ],
)
def test_a_wrong_entry_of_an_answer_is_refused_with_its_place(tmp_path, at, cells, words):
    path = put_json(tmp_path, {"dam": changed(at, **cells)})
    refused(path, "answer.json", *words)


def test_the_dates_of_an_answer_are_day_first_by_definition(tmp_path):
    days = make_days(dt.date(2025, 4, 3), 1, 1)
    rows = api_rows(days, "dam", True)
    assert rows[0]["date"] == "03-04-2025"
    market = read_market(put_json(tmp_path, {"dam": rows}), RULES)
    assert str(market.dates[0]) == "2025-04-03"
    assert any("day-first (03 April 2025)" in note for note in market.notes)


def test_stamps_are_day_first_only_where_the_rows_rule_month_first_out(tmp_path):
    def stamps(first: dt.date, n: int, style: str) -> Path:
        days = make_days(first, n, 1)
        rows = [[f"{d.strftime(style)} {clock(15 * k)}", mcp] for d, k, mcp, _ in days.rows("dam")]
        return put_csv(tmp_path, [["TimeStamp", "MCP (Rs/MWh)"], *rows])

    april = dt.date(2025, 4, 3)
    assert read_market(stamps(april, 2, "%d-%m-%Y"), RULES).dates[0] == np.datetime64(april)
    assert read_market(stamps(dt.date(2025, 4, 13), 1, "%d-%m-%Y"), RULES).dam_mcp.shape == (1, 96)
    assert read_market(stamps(dt.date(2025, 4, 4), 1, "%d-%m-%Y"), RULES).dam_mcp.shape == (1, 96)
    refused(stamps(april, 1, "%d-%m-%Y"), "may be day-first or month-first", "YYYY-MM-DD")
    refused(stamps(april, 3, "%m-%d-%Y"), "only when read month-first")
    refused(stamps(dt.date(2025, 4, 20), 1, "%m/%d/%Y"), "month-first")


def test_prices_in_rs_per_kwh_are_converted_only_where_their_name_says_so_and_nothing_else_doubts(
    tmp_path,
):
    head = ["Date", "Time Block", "MCV (MW)", "MCP (Rs/kWh)"]
    rows = [[d, span(k), mcv, mcp / 1000] for d, k, mcp, mcv in DAYS.rows("dam")]
    refused(put_csv(tmp_path, [head, *rows]), "row 1", "not in Rs/MWh", "volumes in MW")
    bare = [["Date", "Time Block", "MCP"], *([row[0], row[1], row[3]] for row in rows)]
    refused(put_csv(tmp_path, bare), "seem to be in Rs/kWh")
    wrong = [["Date", "Time Block", "MCP (Rs/kWh)"], *([*row[:2], 4000] for row in rows)]
    refused(put_csv(tmp_path, wrong), "above the cap")
    paise = [["Date", "Time Block", "MCP (paise/kWh)"], *([*row[:2], 400] for row in rows)]
    refused(put_csv(tmp_path, paise), "not in Rs/MWh, but in paise/kwh")
    kwh = [row | {"mcp_rs_mwh": 3.5} for row in api_rows(DAYS, "rtm", False)]
    answer = {"dam": api_rows(DAYS, "dam", True), "rtm": kwh}
    refused(put_json(tmp_path, answer), "[rtm]", "seem to be in Rs/kWh")
    blocks = [{"block": k + 1, "dam_mcp": 4.2} for k in range(96)]
    answer = {"date": "2025-07-30", "blocks": blocks, "unit": "INR/kWh"}
    market = read_market(put_json(tmp_path, answer), RULES)
    assert market.dam_mcp.tolist() == [[4200.0] * 96]
    refused(put_json(tmp_path, answer | {"unit": "EUR/MWh"}), "not in Rs/MWh, but in eur/mwh")


def test_the_green_market_is_never_taken_for_the_dam(tmp_path):
    dam, green = api_rows(DAYS, "dam", True), api_rows(DAYS, "rtm", True)
    market = read_market(put_json(tmp_path, {"dam": dam, "gdam": green}), RULES)
    np.testing.assert_array_equal(market.dam_mcp, DAYS.mcp["dam"])
    np.testing.assert_array_equal(market.extras["gdam_mcp"], DAYS.mcp["rtm"])
    refused(put_json(tmp_path, {"gdam": green}), "only the green market (GDAM)")
    refused(put_json(tmp_path, {"dam": green}, "GDAM.json"), "is named GDAM")
    refused(put_json(tmp_path, green, "GDAM.json"), "only the green market (GDAM)")
    fuels = [row | {"solar_fsv_mw": 1} for row in green]
    refused(put_json(tmp_path, {"dam": fuels}), "said to be of the DAM", "those of the GDAM")
    refused(put_json(tmp_path, {"hpdam": dam}), "no list of rows with a price", "another market")


def test_a_market_that_only_style_would_tell_is_refused_under_the_names_of_the_api(tmp_path):
    """Its real-time rows are labelled as the DAM's are, so that the style tells nothing."""
    rows = api_rows(DAYS, "rtm", True)
    refused(put_json(tmp_path, rows, "prices.json"), "does not tell its market")
    table = [list(rows[0]), *(list(row.values()) for row in rows)]
    refused(put_csv(tmp_path, table, "prices.csv"), "does not tell its market")


def test_numbers_of_blocks_that_could_be_hours_are_refused(tmp_path):
    def numbered(n: int, first: int = 1) -> Path:
        rows = [[d, k + first, mcp] for d, k, mcp, _ in DAYS.rows("dam") if k < n]
        return put_csv(tmp_path, [["Date", "Block", "MCP"], *rows])

    refused(numbered(24), "may be hours, half hours or quarters", "'Block'")
    refused(numbered(48), "no block is numbered above 48")
    assert np.isfinite(read_market(numbered(60), RULES).dam_mcp).sum() == 180
    refused(numbered(96, first=2), "97 is no block from 1 to 96")


def test_two_ways_of_saying_the_time_must_agree(tmp_path):
    blocks = [{"block": k + 1, "start": clock(15 * k), "dam_mcp": 4000.0 + k} for k in range(96)]
    answer = {"date": "2025-07-30", "blocks": blocks}
    assert read_market(put_json(tmp_path, answer), RULES).dam_mcp[0, 57] == 4057
    blocks[57]["block"] = 57
    refused(put_json(tmp_path, answer), "[blocks], row 58", "57 contradicts the time block")


def test_starts_with_and_without_an_offset_are_not_mixed(tmp_path):
    frame = tidy_frame_of(DAYS).astype({"delivery_start": str})
    for name, change in (("has an", "+00:00"), ("has no", "")):
        rows = frame.copy() if change else frame.assign(
            delivery_start=frame["delivery_start"] + "+00:00"
        )  # fmt: skip
        rows.loc[9, "delivery_start"] = frame.loc[9, "delivery_start"] + change
        rows.to_csv(tmp_path / "prices.csv", index=False)
        refused(tmp_path / "prices.csv", "row 11", "delivery_start", f"{name} offset")
    hourly = frame[::4].assign(delivery_start=frame["delivery_start"][::4] + "+00:00")
    hourly.to_csv(tmp_path / "prices.csv", index=False)
    refused(tmp_path / "prices.csv", "only at minute 30 of the hour")
    answer = {"timezone": "Mars", "data": json.loads(frame.to_json(orient="records"))}
    refused(put_json(tmp_path, answer), "'Mars' is no clock that is known")


def test_merged_cells_are_filled_only_where_labels_leave_no_doubt(tmp_path):
    FULL["merged cells"](tmp_path, DAYS)
    lines = (tmp_path / "DAM.csv").read_text().splitlines(keepends=True)
    (tmp_path / "RTM.csv").unlink()
    path = tmp_path / "DAM.csv"
    path.write_text("".join(lines[:97] + lines[98:]))  # the row that holds the second date
    refused(path, "row 98", "Date", "not the one after the above")
    path.write_text("".join(lines[:40] + lines[41:]))  # a block is missing within the day
    refused(path, "row 41", "Date")
    lines[5] = lines[5].replace(",2,", ",,", 1)  # the first row of an hour
    path.write_text("".join(lines))
    refused(path, "row 6", "Hour", "is no whole number")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([["Date", "MCP (Rs/MWh)"], *([f"2025-07-{d:02d}", 4000] for d in range(1, 31))],
         ["only one row a day", "mean of the day"]),
        ([["MCV (MW)", "MCP (Rs/MWh)"], *([1, 4000] for _ in range(96))],
         ["has prices", "of which day they are"]),
        ([["Hour", "MCP (Rs/MWh)"], *([h, 4000] for h in range(1, 25))],
         ["has prices", "of which day they are"]),
        ([["start", "a1_price", "n2_price"], ["2025-07-01 00:00", 1, 2]], ["bid areas"]),
        ([["Date", *range(1, 97)], ["2025-07-01", *([4000] * 95), "x"]],
         ["row 2, column '96'", "is no number"]),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(tmp_path, rows, words):
    refused(put_csv(tmp_path, rows), "dam.csv", *words)


def test_a_table_of_volumes_is_no_table_of_prices(tmp_path):
    rows = [["Date", *range(1, 97)], ["2025-07-01", *([4000] * 96)]]
    refused(put_csv(tmp_path, rows, "DAM MCV.csv"), "no prices")


def drop(rows, a, b):
    del rows[a % len(rows) :][: 1 + b % 100]


def double(rows, a, b):
    rows.insert(b % len(rows), dict(rows[a % len(rows)]))


def turn(rows, a, b):
    rows.reverse()


def relabel(rows, a, b):
    rows[a % len(rows)]["time_block"] = rows[b % len(rows)].get("time_block")


def redate(rows, a, b):
    rows[a % len(rows)]["date"] = [
        "",
        None,
        "07-30-2025",
        "2025-07-30",
        rows[b % len(rows)].get("date"),
    ][b % 5]


def forget(rows, a, b):
    rows[a % len(rows)].pop(list(rows[0])[b % len(rows[0])], None)


def rename(rows, a, b):
    old = list(rows[0])[a % len(rows[0])]
    for row in rows:
        row[["mcv", "DATE ", "hour", "block", "foo"][b % 5]] = row.pop(old, None)


def shift(rows, a, b):
    for row in rows:
        row["date"] = f"{row.get('date')}"[: 4 + b % 8]


def scale(rows, a, b):
    for row in rows:
        row["mcp_rs_mwh"] = row.get("mcv_mw") if a % 2 else 0.004


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([drop, double, turn, relabel, redate, forget, rename, shift, scale]),
            st.integers(0, 999),
            st.integers(0, 999),
        ),
        min_size=1,
        max_size=3,
    ),
    st.none() | st.integers(0, 60_000),
)
def test_a_changed_answer_gives_true_prices_or_a_typed_error(changes, cut):
    rows = [row | {"mcv_mw": 20_000.0 + at} for at, row in enumerate(api_rows(DAYS, "dam", True))]
    for change, a, b in changes:
        if rows:
            change(rows, a, b)
    text = json.dumps({"dam": rows})
    with tempfile.TemporaryDirectory() as folder:
        path = put_json(Path(folder), text if cut is None else text[: cut % len(text)])
        said = ""
        try:
            market = read_market(path, RULES)
        except DataError as error:
            said = str(error)
        if said:
            assert str(path) in said
            return
    assert market.dates[0] >= np.datetime64(DAYS.dates[0])
    assert market.dates[-1] <= np.datetime64(DAYS.dates[-1])
    true = DAYS.mcp["dam"][(market.dates - np.datetime64(DAYS.dates[0])).astype(int)]
    there = np.isfinite(market.dam_mcp)
    np.testing.assert_array_equal(market.dam_mcp[there], true[there])


# --- files of other kinds ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.json", "{", "no JSON that can be read"),
        ("a.json", "", "no JSON that can be read"),
        ("a.json", '{"a": 1}', "no list of rows with a price"),
        ("a.json", '{"dam": []}', "JSON is read as lists 'dam', 'rtm' or 'gdam'"),
        ("a.json", '[{"mcp": 1, "mcp": 2}]', "the name 'mcp' twice"),
        ("a.json", '[{"mcp": Infinity}]', "is no number"),
        ("a.json", '[{"mcp": 1' + "0" * 5000 + "}]", "a number of 5001 digits"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.parquet", "PAR1 and nothing else", "no parquet file that can be read"),
        ("a.parquet", "Date,MCP\n", "no parquet file, or was cut off"),
        ("a.xml", "<?xml version='1.0'?><prices/>", "is XML, which is not read"),
        ("a.html", "<html><table/></html>", "is a web page"),
        ("a.bin", "\x00\x01", "CSV, xlsx, JSON and parquet are read"),
    ],
)
def test_what_cannot_be_read_is_told_what_is_read(tmp_path, name, content, word):
    (tmp_path / name).write_text(content)
    message = refused(tmp_path / name, name, word)
    assert "workbook" not in message


def test_null_nan_and_dashes_are_prices_that_are_missing(tmp_path):
    rows = api_rows(DAYS, "dam", False)
    for at, nothing in enumerate((None, float("nan"), "-", "NaN", "")):
        rows[at]["mcp_rs_mwh"] = nothing
    market = read_market(put_json(tmp_path, {"dam": rows}), RULES)
    assert np.isnan(market.dam_mcp).sum() == 5
    assert np.isnan(market.dam_mcp[0, :5]).all()


def test_parquet_of_kinds_that_no_cell_is_or_cut_off_is_refused(tmp_path):
    frame = tidy_frame_of(DAYS)
    frame.assign(dam_mcp_rs_mwh=[[1.0]] * len(frame)).to_parquet(tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", "dam_mcp_rs_mwh", "holds values of kind")
    frame.to_parquet(tmp_path / "a.parquet")
    raw = (tmp_path / "a.parquet").read_bytes()
    for cut in range(0, len(raw), 97):
        (tmp_path / "a.parquet").write_bytes(raw[:cut])
        refused(tmp_path / "a.parquet", "a.parquet")
    frame = frame.assign(delivery_start=frame["delivery_start"] + pd.Timedelta("1ns"))
    frame.astype({"delivery_start": "M8[ns]"}).to_parquet(tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", "no parquet file that can be read")
