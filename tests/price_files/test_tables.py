"""Rows below a header: whole, in order and of one download."""

import numpy as np
import pandas as pd
from price_cases import FIRST, RULES, refused, tidy, tidy_frame, write

from bessvpp.market.read import read_market


def test_a_file_that_ends_within_a_line_loses_that_line_and_says_so(tmp_path):
    frame = tidy_frame()
    text = frame.drop(columns=["purchase_bid_mw", "final_scheduled_volume_mw"]).to_csv(index=False)
    path = tmp_path / "prices.csv"
    for cut in (2, 1):  # within the last price; only the end of the line is missing
        path.write_text(text[:-cut])
        market = read_market(path, RULES)
        assert np.isnan(market.rtm_mcp[-1]).sum() == 1
        assert np.isfinite(market.rtm_mcp[-1, :95]).all()
        assert any("row 193 ends without an end of line" in note for note in market.notes)


def test_unquoted_thousands_commas_are_refused(tmp_path, day):
    path = write(tmp_path, day[0])
    text = path.read_text().replace(",300.00,", ",1,300.00,", 1)
    path.write_text(text)
    refused(path, "row 6", "more values than the 8 columns")


def test_rows_that_step_back_in_time_are_refused(tmp_path, day):
    rows = day[0][: FIRST + 96]
    rows[FIRST + 8], rows[FIRST + 9] = rows[FIRST + 9], rows[FIRST + 8]
    refused(write(tmp_path, rows), "row 14", "comes later", "changed date or label")


def test_tidy_rows_out_of_order_are_sorted_and_said_to_be(tmp_path):
    frame = tidy_frame()
    for other in (
        frame[::-1],
        frame.sample(frac=1, random_state=1),
        pd.concat([frame[96:], frame[:96]]),
    ):
        market = read_market(tidy(tmp_path, other), RULES)
        assert market.dam_mcp.ravel().tolist() == frame["dam_mcp_rs_mwh"].tolist()
        assert market.extras["dam_purchase_bid_mw"].ravel().tolist() == [500.0] * 192
        assert any("are sorted by time" in note for note in market.notes)
    rows = frame[[*frame.columns]].copy()
    rows.loc[100, "dam_mcp_rs_mwh"] = -1  # the message names the row as it stands in the file
    refused(tidy(tmp_path, rows[::-1]), "row 93", "below the floor")


def test_a_changed_label_of_rows_that_carry_their_date_is_found_by_the_hole_it_leaves(tmp_path):
    frame = tidy_frame(4)
    frame.loc[7, "delivery_start"] = "2024-03-09 01:45"
    refused(tidy(tmp_path, frame), "row 9", "its own place between the rows around it is empty")
    frame = tidy_frame(4)
    moved = frame.index[96:192]  # a whole day under another date
    frame.loc[moved, "delivery_start"] = frame.loc[moved, "delivery_start"].str.replace(
        "-02", "-09"
    )
    refused(tidy(tmp_path, frame), "row 98", "out of order")


def test_rows_too_short_or_values_below_no_name_are_refused(tmp_path, day):
    rows = day[0]
    short = [*rows[: FIRST + 9], rows[FIRST + 9][:3] + rows[FIRST + 9][4:], *rows[FIRST + 10 :]]
    refused(write(tmp_path, short), "row 15", "7 values below a header of 8")
    rows[4][3] = ""
    refused(write(tmp_path, rows), "row 6", "stands below no name")


def test_a_block_above_the_header_is_refused(tmp_path, day):
    rows = day[0][: FIRST + 96]
    rows[4], rows[8] = rows[8], rows[4]
    rows[2] = []
    refused(write(tmp_path, rows), "row 5", "block above the header")
    text = tidy_frame().to_csv(index=False).splitlines(keepends=True)
    (tmp_path / "prices.csv").write_text("".join([*text[1:3], text[0], *text[3:]]))
    refused(tmp_path / "prices.csv", "row 1", "block above the header")


def test_two_downloads_in_one_sheet_are_refused(tmp_path, day):
    refused(write(tmp_path, day[0] + day[0][FIRST:]), "below the summary")
