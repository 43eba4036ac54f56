"""What is no price is refused; judged tables are kept by what was read, or made again."""

from __future__ import annotations

import datetime as dt
import shutil

import numpy as np
import pytest
from price_cases import (
    DAY,
    FIRST,
    GREEN_PRICES,
    PRICE,
    green,
    prices,
    refused,
    snapshot,
    tidy,
    tidy_frame,
    write,
    write_xlsx,
)

from bessvpp.compute import cache as cache_module
from bessvpp.errors import DataError
from bessvpp.files import PACKAGE
from bessvpp.market.read import read_market
from bessvpp.params.load import load_params
from bessvpp.params.market import PriceCap
from bessvpp.price_files import judge
from bessvpp.price_files.judge import read_price_tables

RULES = load_params().market


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BESSVPP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def parsed(monkeypatch):
    """Counts the files that are parsed."""
    seen = []
    whole = judge.tidy.read_tables
    monkeypatch.setattr(judge.tidy, "read_tables", lambda *a: seen.append(a[1]) or whole(*a))
    return seen


def same(one, two) -> bool:
    return all(
        (a.source, a.market, a.block_minutes, a.notes)
        == (b.source, b.market, b.block_minutes, b.notes)
        and (a.starts == b.starts).all()
        and a.starts.dtype == b.starts.dtype
        and (a.row_numbers == b.row_numbers).all()
        and list(a.columns) == list(b.columns)
        and all(np.array_equal(a.columns[k], b.columns[k], equal_nan=True) for k in a.columns)
        for a, b in zip(one, two, strict=True)
    )


def test_a_second_load_parses_nothing_and_gives_the_same(tmp_path, cache, parsed):
    values = prices(96)
    values[4] = 0
    rows = snapshot([DAY], values, market="RTM")
    rows[FIRST + 5][4:] = ["0"] * 5
    path = write_xlsx(tmp_path, rows[: FIRST + 96], "RTM.xlsx")
    first = read_price_tables(path, RULES)
    second = read_price_tables(path, RULES)
    assert len(parsed) == 1
    assert same(first, second)
    assert first[0].notes
    moved = tmp_path / "elsewhere" / "RTM.xlsx"
    moved.parent.mkdir()
    path.rename(moved)
    (table,) = read_price_tables(moved, RULES)
    assert len(parsed) == 1
    assert table.source == f"{moved} [Sheet]"


def test_content_name_rules_and_code_make_another_entry(tmp_path, cache, parsed, monkeypatch):
    rows = snapshot([DAY], prices(96), summary=False)
    path = write(tmp_path, rows)
    read_price_tables(path, RULES)
    rows[FIRST][PRICE] = "5000.00"
    write(tmp_path, rows)
    assert read_price_tables(path, RULES)[0].columns["mcp"][0] == 5000
    assert len(parsed) == 2
    read_price_tables(path, RULES.model_copy(update={"fee_dam_rs_per_mwh": 7.0}))
    assert len(parsed) == 2  # no price depends on a fee
    low = PriceCap(effective_from=dt.date(2012, 1, 1), cap_rs_per_mwh=4000.0)
    with pytest.raises(DataError, match="above the cap"):
        read_price_tables(path, RULES.model_copy(update={"price_caps": (low,)}))
    path.rename(tmp_path / "RTM.csv")
    with pytest.raises(DataError, match="is named RTM"):
        read_price_tables(tmp_path / "RTM.csv", RULES)
    write(tmp_path, rows)
    monkeypatch.setattr(judge, "_code", lambda: b"other")
    read_price_tables(path, RULES)
    assert len(parsed) == 5


def test_a_change_anywhere_in_the_rooms_that_judge_is_another_entry(tmp_path, monkeypatch):
    shutil.copytree(PACKAGE, tmp_path / "bessvpp")
    monkeypatch.setattr(cache_module, "PACKAGE", tmp_path / "bessvpp")
    seen = {judge._code.__wrapped__()}
    for name in ("workbook", "tables", "exchange_layout", "checksum", "tidy", "judge", "merge"):
        (tmp_path / "bessvpp" / "price_files" / f"{name}.py").write_text("other")
        seen.add(judge._code.__wrapped__())
    (tmp_path / "bessvpp" / "params" / "market.py").write_text("other")
    assert len({*seen, judge._code.__wrapped__()}) == 9


def test_a_damaged_entry_is_made_again(tmp_path, cache, parsed):
    path = write(tmp_path, snapshot([DAY], prices(96)))
    first = read_price_tables(path, RULES)
    (entry,) = cache.iterdir()
    whole = entry.read_bytes()
    spoilt = bytearray(whole)
    spoilt[len(whole) // 2] ^= 255
    for n, content in enumerate((b"", whole[:-30], whole[:200], b"junk", bytes(spoilt)), start=2):
        entry.write_bytes(content)
        assert same(read_price_tables(path, RULES), first)
        assert len(parsed) == n
        assert entry.read_bytes() == whole


def test_an_entry_with_one_changed_bit_or_under_another_name_is_made_again(tmp_path, cache, parsed):
    path = write(tmp_path, snapshot([DAY], prices(96)))
    first = read_price_tables(path, RULES)
    (entry,) = cache.iterdir()
    whole = entry.read_bytes()
    places = range(0, len(whole), 61)  # in zip headers, array headers and values
    for place in places:
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << place % 8
        entry.write_bytes(spoilt)
        assert same(read_price_tables(path, RULES), first)
    assert len(parsed) == 1 + len(places)
    write(tmp_path, snapshot(["08-08-2025"], prices(96, 1)))
    other = read_price_tables(path, RULES)
    (second,) = set(cache.iterdir()) - {entry}
    second.write_bytes(whole)
    assert same(read_price_tables(path, RULES), other)


def test_a_refused_file_is_never_kept(tmp_path, cache):
    path = write(tmp_path, snapshot([DAY], prices(96) / 1000))
    for _ in range(2):
        with pytest.raises(DataError, match="Rs/kWh"):
            read_price_tables(path, RULES)
    assert not cache.exists()


def test_without_a_place_to_write_nothing_is_kept_and_nothing_fails(tmp_path, monkeypatch, parsed):
    path = write(tmp_path, snapshot([DAY], prices(96)))
    (tmp_path / "file").write_text("no folder")
    for place in (str(tmp_path / "file" / "cache"), "off"):
        monkeypatch.setenv("BESSVPP_CACHE", place)
        read_price_tables(path, RULES)
        read_price_tables(path, RULES)
    assert len(parsed) == 4


def test_the_cache_lies_beside_the_data_and_holds_no_code():
    assert judge.CACHE.parts[-2:] == ("data", ".cache")
    makefile = (judge.PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
    assert "data/.cache" in makefile
    assert "data/.cache/" in (judge.PROJECT_ROOT / ".gitignore").read_text(encoding="utf-8")


def test_zeros_are_no_trade_but_zero_with_volume_is_a_price(tmp_path, day):
    write(tmp_path, day[0], "DAM.csv")
    values = prices(96, 1)
    values[[10, 11, 20]] = 0
    rows = snapshot([DAY], values, market="RTM")
    for block in (10, 11):
        rows[FIRST + block][4:] = ["0.00"] * 5
    write(tmp_path, rows, "RTM.csv")
    market = read_market(tmp_path, RULES)
    assert np.flatnonzero(market.rtm_no_trade[0]).tolist() == [10, 11]
    assert np.isnan(market.rtm_mcp[0, [10, 11]]).all()
    assert market.rtm_mcp[0, 20] == 0
    assert not market.excluded[0]


def test_a_price_of_0_without_a_cleared_volume_is_missing_and_never_a_price(tmp_path, day):
    write(tmp_path, day[0], "DAM.csv")
    values = prices(96, 1)
    values[[10, 20]] = 0
    rows = snapshot([DAY], values, market="RTM", summary=False)
    rows[FIRST + 10][4:] = ["0.00"] * 5
    for row in rows[4:]:
        del row[6]  # the MCV
    market = read_market(write(tmp_path, rows, "RTM.csv").parent, RULES)
    assert np.flatnonzero(market.rtm_no_trade[0]).tolist() == [10]  # its bids are zeros
    assert np.isnan(market.rtm_mcp[0, [10, 20]]).all()
    assert market.excluded[0]
    assert any("1 prices of 0 without a cleared volume" in note for note in market.notes)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda mcp: mcp / 1000, ["GDAM price", "Rs/kWh"]),
        (lambda mcp: np.where(np.arange(96) == 4, 10_001, mcp), ["row 10", "GDAM", "the cap"]),
        (lambda mcp: np.where(np.arange(96) == 4, -1, mcp), ["row 10", "GDAM", "the floor"]),
    ],
)
def test_green_prices_are_judged_as_those_of_the_dam(tmp_path, day, spoil, words):
    write(tmp_path, day[0])
    write(tmp_path, green(mcp=spoil(GREEN_PRICES)), "GDAM.csv")
    refused(tmp_path, "GDAM.csv", *words)


def test_green_blocks_of_zeros_are_no_price_and_a_zero_with_volume_is_one(tmp_path, day):
    write(tmp_path, day[0])
    rows = green(summary=False)
    rows[FIRST + 8][3:] = ["0.00"] * 5
    rows[FIRST + 9][PRICE] = "0.00"  # with the volume in "Total MCV (MW)"
    write(tmp_path, rows, "GDAM.csv")
    market = read_market(tmp_path, RULES)
    found = market.extras["gdam_mcp"][0]
    assert np.flatnonzero(np.isnan(found)).tolist() == [8]
    assert found[9] == 0
    assert any("GDAM.csv: 1 blocks of zeros, taken as no price" in n for n in market.notes)
    assert not market.rtm_no_trade.any()


def test_the_cap_is_that_of_the_date(tmp_path):
    values = prices(192)
    values[50] = 12000
    read_market(write(tmp_path, snapshot(["02-04-2023", "03-04-2023"], values)), RULES)
    values[150] = 12000
    path = write(tmp_path, snapshot(["03-04-2023", "04-04-2023"], values))
    refused(path, "above the cap of 10000", "2023-04-04", "price_caps")


def test_prices_in_rs_per_kwh_are_refused(tmp_path):
    path = write(tmp_path, snapshot([DAY], prices(96) / 1000))
    refused(path, "Rs/kWh", "multiply them by 1000")


def test_some_days_in_rs_per_kwh_are_found_in_a_year_that_is_not(tmp_path):
    frame = tidy_frame(5)
    frame["dam_mcp_rs_mwh"] = frame["dam_mcp_rs_mwh"].where(frame.index < 3 * 96, 0)
    frame["mcv_mw"] = 10.0
    assert read_market(tidy(tmp_path, frame), RULES).dam_mcp[4].tolist() == [0.0] * 96
    frame.loc[96:191, "rtm_mcp_rs_mwh"] /= 1000
    frame.loc[[97, 98], "rtm_mcp_rs_mwh"] = 6000.0
    words = ("prices.csv, row 98", "RTM price of 2024-03-02", "Rs/kWh", "1 of 5 days")
    assert "multiply" not in refused(tidy(tmp_path, frame), *words)
