"""``python -m bessvpp check``: what files hold, and whether they can be trusted."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from other_values import OTHER, every_value, put, write_params
from price_cases import DAY, FIRST, green, prices, snapshot, write, write_xlsx
from small_cases import FIELDS
from stand_in import BOTH, DAM, GDAM, HOURS, QUARTERS, RTM, summary_of

from bessvpp.__main__ import main
from bessvpp.params.load import load_params
from bessvpp.price_files.check import READ_BY, check_files

RULES = load_params().market


def told(capsys, *words) -> tuple[int, dict]:
    code = main(["check", "--json", *map(str, words)])
    return code, json.loads(capsys.readouterr().out)


def test_a_whole_day_is_told_in_figures(tmp_path):
    values = prices(96)
    values[[3, 4, 5]] = 10_000
    report = check_files([write(tmp_path, snapshot([DAY], values))], RULES)
    (day,) = report.days
    assert (day.market, day.block_minutes, day.blocks, day.expected) == ("DAM", 15, 96, 96)
    assert (day.status, day.no_trade, day.cap_share) == ("whole", 0, round(3 / 96, 4))
    assert day.price_min == values.min()
    assert day.price_max == values.max()
    assert day.price_mean == pytest.approx(values.mean(), abs=1e-4)
    figures = report.statistics["DAM"]
    assert figures["5 %"] == pytest.approx(np.quantile(values, 0.05), abs=1e-3)
    assert figures["sd"] == pytest.approx(values.std(), abs=1e-3)
    assert report.ok
    assert not report.gaps
    assert not report.excluded


def test_first_blocks_are_history_and_a_hole_is_incomplete(tmp_path):
    days = ["14-06-2025", "15-06-2025", "16-06-2025"]
    rows = snapshot(days, prices(96 * 2 + 46), market="RTM", summary=False)
    rows[FIRST + 3][4:] = ["0.00"] * 5
    del rows[FIRST + 96 + 20 : FIRST + 96 + 22]
    report = check_files([write(tmp_path, rows, "RTM.csv")], RULES)
    assert [day.status for day in report.days] == ["whole", "incomplete", "history"]
    assert [day.blocks for day in report.days] == [96, 94, 46]
    assert [day.no_trade for day in report.days] == [1, 0, 0]
    assert report.gaps == {"RTM": ["2025-06-15 05:00-05:30", "2025-06-16 11:30-24:00"]}
    assert report.excluded == {"RTM": ["2025-06-15 to 2025-06-16 (2 days)"]}
    assert report.ok  # incomplete, and said to be so
    assert "incomplete: its first blocks" in report.as_text()


def test_all_bad_files_are_told_and_the_exit_code_says_so(tmp_path, capsys):
    values = prices(96)
    write(tmp_path, snapshot([DAY], values), "good.csv")
    write(tmp_path, snapshot([DAY], values / 1000), "paise.csv")
    (tmp_path / "login.csv").write_text("<html>")
    rows = snapshot(["08-08-2025"], values)
    rows[FIRST][-1] = "abc"
    write_xlsx(tmp_path, rows, "text.xlsx")
    code, report = told(capsys, tmp_path)
    assert code == 1
    assert not report["ok"]
    assert [day["source"] for day in report["days"]] == [str(tmp_path / "good.csv")]
    for name, word in (("paise.csv", "Rs/kWh"), ("login.csv", "web page"), ("text.xlsx", "'abc'")):
        (message,) = [message for message in report["refused"] if name in message]
        assert word in message
    assert main(["check", str(tmp_path)]) == 1
    assert capsys.readouterr().out.count("REFUSED") == 3


def test_files_that_agree_are_duplicates_and_files_that_do_not_are_refused(tmp_path, capsys):
    values = prices(96)
    for name in ("a.csv", "a (1).csv"):
        write(tmp_path, snapshot([DAY], values), name)
    code, report = told(capsys, tmp_path)
    assert code == 0
    assert report["duplicates"] == [
        f"96 blocks alike in {tmp_path / 'a (1).csv'} and {tmp_path / 'a.csv'}"
    ]
    values[[7, 9]] += 1
    write(tmp_path, snapshot([DAY], values), "b.csv")
    code, report = told(capsys, tmp_path)
    assert code == 1
    (message,) = report["refused"]
    assert "2025-08-07T01:45 (and 1 more blocks)" in message
    assert "row 13" in message


def test_hours_and_quarters_that_disagree_are_refused(tmp_path, capsys):
    values = prices(96)
    write(tmp_path, snapshot([DAY], values), "a.csv")
    hours = values.reshape(24, 4).mean(axis=1).round(2)
    write(tmp_path, snapshot([DAY], hours, length=60), "b.csv")
    assert told(capsys, tmp_path)[0] == 0
    hours[3] += 1
    write(tmp_path, snapshot([DAY], hours, length=60), "b.csv")
    code, report = told(capsys, tmp_path)
    assert code == 1
    assert "hourly files and the 15-minute files disagree" in report["refused"][0]


def test_hourly_day_ahead_prices_with_quarters_of_real_time_are_said_not_to_fit(tmp_path):
    write(tmp_path, snapshot([DAY], prices(24), length=60), "DAM.csv")
    write(tmp_path, snapshot([DAY], prices(96), market="RTM"), "RTM.csv")
    report = check_files([tmp_path], RULES)
    (note,) = [note for note in report.notes if "cannot be read together" in note]
    assert "DAM.csv holds hourly prices" in note
    hourly = RULES.model_copy(update={"block_minutes": 60})
    assert "cannot be read together" not in check_files([tmp_path], hourly).as_text()


def test_where_nothing_was_read_nothing_is_said_of_gaps(tmp_path):
    (tmp_path / "login.csv").write_text("<html>")
    text = check_files([tmp_path], RULES).as_text()
    assert text.startswith("REFUSED")
    assert "none" not in text


def test_the_green_market_alone_is_nothing_to_trust(tmp_path, capsys):
    write(tmp_path, green(DAY), "G-DAM_Market Snapshot.csv")
    assert main(["check", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert "everything here can be trusted" not in text
    assert "REFUSED  only the green market (GDAM) was found" in text
    assert "another market: a feature, no DAM price" in text


def test_what_is_not_there_or_empty_is_refused(tmp_path, capsys):
    code, report = told(capsys, tmp_path, tmp_path / "none.xlsx")
    assert code == 1
    assert len(report["refused"]) == 2


def test_missing_days_are_ranges_and_green_is_another_market(tmp_path, capsys):
    write(tmp_path, snapshot(["10-06-2025"], prices(96)), "a.csv")
    write(tmp_path, snapshot(["14-06-2025"], prices(96)), "b.csv")
    write(tmp_path, green("14-06-2025"), "G-DAM_Market Snapshot.csv")
    code, report = told(capsys, tmp_path)
    assert code == 0
    assert report["gaps"] == {"DAM": ["2025-06-11 to 2025-06-13 (3 days) (nothing)"]}
    text = check_files([tmp_path], RULES).as_text()
    assert "DAM  2025-06-10 to 2025-06-14: 2 days, 2 whole, 3 missing in between" in text
    assert "RTM  none here" in text
    assert [day["status"] for day in report["days"]] == ["another market", "whole", "whole"]
    assert set(report["statistics"]) == {"DAM", "GDAM"}
    assert set(report["excluded"]) == {"DAM"}


def test_green_prices_that_disagree_are_refused_and_what_is_not_used_is_told(tmp_path, capsys):
    write(tmp_path, snapshot(["14-06-2025"], prices(96)), "a.csv")
    rows = green("14-06-2025", summary=False)
    del rows[FIRST + 10]
    write(tmp_path, rows, "GDAM.csv")
    write(tmp_path, green("15-06-2025"), "GDAM_next.csv")
    hours = prices(24, 3)
    write(tmp_path, green("16-06-2025", hours, length=60), "GDAM_hours.csv")
    code, report = told(capsys, tmp_path)
    assert code == 0
    assert report["gaps"] == {"GDAM": ["2025-06-14 02:00-03:00"]}  # in hours, as one file is
    assert report["excluded"] == {}
    assert any("GDAM_hours.csv: GDAM prices of 60 minutes" in note for note in report["notes"])
    assert any("of 1 days, 2025-06-15 to 2025-06-15, lie outside" in n for n in report["notes"])
    write(tmp_path, green("16-06-2025", hours + 1, length=60), "GDAM_again.csv")
    code, report = told(capsys, tmp_path)
    assert code == 1
    (message,) = report["refused"]
    assert "disagree on the GDAM price of 2025-06-16" in message


def test_the_spread_is_told_where_both_markets_are_there(tmp_path):
    dam, rtm = prices(96), prices(96, 1)
    write(tmp_path, snapshot([DAY], dam), "DAM.csv")
    write(tmp_path, snapshot([DAY], rtm, market="RTM"), "RTM.csv")
    figures = check_files([tmp_path], RULES).statistics["RTM - DAM"]
    assert figures["mean"] == pytest.approx((rtm - dam).mean(), abs=1e-3)
    assert figures["correlation"] == pytest.approx(np.corrcoef(dam, rtm)[0, 1], abs=1e-3)


def test_the_downloads_are_what_the_exchange_says(capsys, downloads):
    names = (DAM, GDAM, RTM)
    code, report = told(capsys, *(downloads / name for name in names))
    assert code == 0
    told_days = [(day["market"], day["blocks"], day["status"]) for day in report["days"]]
    assert told_days == [
        ("DAM", 96, "whole"),
        ("GDAM", 96, "another market"),
        ("RTM", 46, "history"),
    ]
    for day, name in zip(report["days"], names, strict=True):
        assert day["price_mean"] == pytest.approx(
            float(summary_of(downloads / name, "Avg")), abs=0.01
        )
    assert report["gaps"] == {"RTM": ["2025-08-12 11:30-24:00"]}


def test_csv_files_load_and_those_that_disagree_are_told(capsys, downloads):
    code, report = told(capsys, *(downloads / name for name in (HOURS, QUARTERS, BOTH)))
    assert code == 1
    (message,) = report["refused"]
    assert "more blocks)" in message
    if downloads.is_real:
        assert "(and 1319 more blocks)" in message
    assert told(capsys, downloads / QUARTERS)[0] == 0
    assert told(capsys, downloads / BOTH)[0] == 0


@pytest.mark.slow
def test_of_a_folder_of_months_the_summary_comes_first_and_then_what_needs_attention(
    tmp_path, capsys
):
    for month in range(60):
        first = np.datetime64("2019-05") + month
        days = np.arange(first.astype("M8[D]"), (first + 1).astype("M8[D]"))
        rows = snapshot(
            [f"{day.item():%d-%m-%Y}" for day in days],
            prices(24 * len(days), month),
            length=60,
            summary=False,
        )
        rows[4].insert(3, "MCV (MWh)")
        for row in rows[FIRST:]:
            row.insert(3, "1")
        if month == 7:
            del rows[FIRST + 30]
        if month == 40:
            rows[FIRST][-1] = "abc"
        write(tmp_path, rows, f"DAM_{first}.csv")
    assert main(["check", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[0] == "tables read: 59; 1 refused, told below"
    assert "2019-05-01 to 2024-04-30: 1,797 days, 1,796 whole" in lines[1]
    assert len(lines) < 40
    assert text.count("is not in MW and is not used") == 1
    assert f"({tmp_path / 'DAM_2019-05.csv'} and 58 more)" in text
    assert text.index("statistics") < text.index("REFUSED") < text.index("days that are not whole")
    assert [line.split()[0] for line in lines if line.endswith("set apart")] == ["2019-12-02"]
    assert "1,796 more days of files are not listed here" in text
    code, report = told(capsys, tmp_path)
    assert code == 1
    assert len(report["days"]) == 1797
    assert len([note for note in report["notes"] if "is not in MW" in note]) == 59


def test_few_days_are_listed_one_by_one(tmp_path):
    report = check_files([write(tmp_path, snapshot([DAY], prices(96)))], RULES)
    text = report.as_text()
    assert text.startswith("tables read: 1; everything here can be trusted\n  DAM  2025-08-07")
    assert "DAM  2025-08-07 to 2025-08-07: 1 day, 1 whole, in blocks of 15 min\n" in text
    assert "96/96" in text
    assert "not listed" not in text


def test_of_whole_days_alone_it_is_said_that_they_are_whole(tmp_path):
    days = [f"{1 + k // 28:02d}-2025" for k in range(42)]
    days = [f"{1 + k % 28:02d}-{month}" for k, month in enumerate(days)]
    for market in ("DAM", "RTM"):
        rows = snapshot(days, prices(24 * 42), market=market, length=60, summary=False)
        write(tmp_path, rows, f"{market}.csv")
    text = check_files([tmp_path], RULES).as_text()
    assert "none here" not in text
    assert text.endswith("84 days of files, all whole, are not listed here; --json lists each")


@pytest.mark.slow
def test_each_value_given_to_a_check_changes_it_or_is_told_to_have_no_bearing(tmp_path, capsys):
    data, files = tmp_path / "data", write_params(tmp_path / "own", FIELDS)
    data.mkdir()
    values = np.linspace(30, 9000, 96).round(2)
    write(data, snapshot([DAY], values), "dam.csv")
    write(data, snapshot([DAY], values, market="RTM"), "rtm.csv")
    renamed = [
        ["Clearing Rate" if str(cell).startswith("MCP") else cell for cell in row]
        for row in snapshot([DAY], values)
    ]
    write(data, renamed, "copy.csv")
    write(data, snapshot(["08-08-2025"], values[::4], length=60), "hours.csv")
    before = told(capsys, data, "--params", files)
    of_project = load_params()
    for section, key in every_value():
        if OTHER[section][key] == getattr(getattr(of_project, section), key, None):
            continue  # nothing is asked for
        fields = copy.deepcopy(FIELDS)
        put(fields, section, key, 60 if key == "block_minutes" else OTHER[section][key])
        write_params(files, fields)
        code = main(["check", "--json", "--params", str(files), str(data)])
        printed = capsys.readouterr()
        idle = key.split(".")[0] in printed.err.partition("alone; its ")[2]
        assert idle or (code, json.loads(printed.out)) != before, key
        assert idle == (key not in READ_BY), key
