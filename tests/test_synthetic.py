"""The embedded market: its statistics, its causality, its files."""

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bessvpp import synthetic
from bessvpp.errors import DataError, StorageError
from bessvpp.market import read_market
from bessvpp.params import load_params
from bessvpp.synthetic import MEAN, SPREAD_MEAN, embedded_market_files, simulate

START = dt.date(2024, 1, 1)
RULES = load_params().market


def rules(**changes):
    return RULES.model_copy(update=changes)


@pytest.fixture(scope="module")
def years():
    """Three years of other seeds, 2024."""
    return [simulate(START, 366, seed) for seed in (RULES.synthetic_seed, 1, 2)]


def lagged(values: np.ndarray, lag: int) -> float:
    return float(np.corrcoef(values[lag:], values[:-lag])[0, 1])


def by_hour(values: np.ndarray) -> np.ndarray:
    """Hourly means (D, 24) of (D, 96); NaN where a block has none."""
    return values.reshape(len(values), 24, 4).mean(axis=2)


def test_day_ahead_prices_have_the_published_level_and_daily_shape(years):
    for market in years:
        assert market.dam_mcp.mean() == pytest.approx(4585, rel=0.10)
        assert np.median(market.dam_mcp) == pytest.approx(3590, rel=0.12)
        assert market.dam_mcp.std() == pytest.approx(2638, rel=0.10)
    hours = np.mean([by_hour(market.dam_mcp).mean(axis=0) for market in years], axis=0)
    assert hours == pytest.approx(np.array(MEAN), rel=0.15)


def test_one_block_in_six_or_so_sits_exactly_on_the_cap(years):
    for market in years:
        assert 0.10 < (market.dam_mcp == 10_000).mean() < 0.20
        assert market.dam_mcp.max() == 10_000
        assert market.dam_mcp.min() >= 0


def test_prices_persist_over_blocks_days_and_weeks(years):
    for market in years:
        line = market.dam_mcp.ravel()
        assert 0.93 < lagged(line, 1) < 0.99
        assert 0.75 < lagged(line, 96) < 0.93
        assert 0.65 < lagged(line, 672) < lagged(line, 96)


def test_sundays_are_cheaper_and_winter_mornings_dearer(years):
    for market in years:
        daily = market.dam_mcp.mean(axis=1)
        sunday = np.array([day.weekday() == 6 for day in market.dates.tolist()])
        assert daily[sunday].mean() / daily[~sunday].mean() == pytest.approx(0.80, abs=0.06)
        month = market.dates.astype("M8[M]").astype(int) % 12
        morning = market.dam_mcp[:, 32:44].mean(axis=1)
        assert morning[month == 0].mean() > 1.5 * morning[month == 6].mean()


def test_the_spread_has_its_size_sign_by_hour_and_persistence(years):
    for market in years:
        dam, rtm = by_hour(market.dam_mcp), by_hour(market.rtm_mcp)
        traded = ~np.isnan(rtm)
        assert 0.7 < np.corrcoef(dam[traded], rtm[traded])[0, 1] < 0.9
        spread = rtm - dam
        assert np.nanmean(spread) == pytest.approx(-372, abs=200)
        assert np.nanstd(spread) == pytest.approx(1596, rel=0.15)
        assert 0.30 < (spread[traded] > 0).mean() < 0.50
        line = np.where(traded, spread, np.nanmean(spread)).ravel()
        assert 0.6 < lagged(line, 1) < 0.8
        assert 0.3 < lagged(line, 24) < 0.55
        hours = np.nanmean(spread, axis=0)
        published = np.array(SPREAD_MEAN)
        clear = np.abs(published) >= 400
        assert (np.sign(hours) == np.sign(published))[clear].all()
        assert np.corrcoef(hours, published)[0, 1] > 0.9
        assert np.nanstd(spread, axis=0)[20:].mean() > 2 * np.nanstd(spread, axis=0)[10:16].mean()


def test_real_time_prices_leave_the_cap_in_half_of_the_hours_that_reach_it(years):
    for market in years:
        at_cap = by_hour(market.dam_mcp) == 10_000
        assert 0.35 < (by_hour(market.rtm_mcp)[at_cap] == 10_000).mean() < 0.65


def test_sessions_without_trade_and_prices_near_zero_are_rare_but_there(years):
    for market in years:
        assert 0 < market.rtm_no_trade.mean() < 0.002
        pairs = market.rtm_no_trade.reshape(len(market.dates), 48, 2)
        assert (pairs[..., 0] == pairs[..., 1]).all()  # whole sessions
        assert (np.isnan(market.rtm_mcp) == market.rtm_no_trade).all()
        assert 0.001 < (market.rtm_mcp < 500).mean() < 0.03


def test_bids_move_with_the_price_and_bound_the_volume(years):
    market = years[0]
    for name, price in (("dam", market.dam_mcp), ("rtm", market.rtm_mcp)):
        traded = ~np.isnan(price)
        purchase, sell, volume = (
            market.extras[f"{name}_{key}"] for key in ("purchase_bid_mw", "sell_bid_mw", "mcv_mw")
        )
        tightness = np.log(purchase[traded] / sell[traded])
        assert np.corrcoef(tightness, price[traded])[0, 1] > 0.5
        assert (volume <= np.minimum(purchase, sell)).all()


def test_the_day_ahead_price_knows_nothing_of_the_real_time_surprise(years, monkeypatch):
    monkeypatch.setattr(synthetic, "_surprise", lambda n_days, streams: np.zeros((n_days, 96)))
    monkeypatch.setattr(synthetic, "NO_TRADE_SHARE", 0.5)
    calm = simulate(START, 366, RULES.synthetic_seed)
    assert (calm.dam_mcp == years[0].dam_mcp).all()
    assert (calm.rtm_mcp != years[0].rtm_mcp).mean() > 0.5


def test_the_day_ahead_price_does_not_correlate_with_the_surprise_of_its_day():
    streams = iter(np.random.default_rng(s) for s in np.random.SeedSequence(5).spawn(16))
    dates = np.datetime64("2024-01-01") + np.arange(1400)
    outlook = synthetic._outlook(dates, streams)
    surprise = synthetic._surprise(1400, streams)
    assert abs(np.corrcoef(outlook.mean(axis=1), surprise.mean(axis=1))[0, 1]) < 0.1
    assert outlook.std() == pytest.approx(1, abs=0.1)
    assert surprise.std() == pytest.approx(1, abs=0.1)


def test_a_longer_market_begins_like_a_shorter_one_and_a_seed_is_another(years):
    short = simulate(START, 40, RULES.synthetic_seed)
    assert (short.dam_mcp == years[0].dam_mcp[:40]).all()
    np.testing.assert_array_equal(short.rtm_mcp, years[0].rtm_mcp[:40])
    assert (years[1].dam_mcp != years[0].dam_mcp).mean() > 0.7


# --- files ---------------------------------------------------------------------------------


def test_the_files_read_back_as_the_market_that_was_simulated(tmp_path):
    small = rules(synthetic_days=45)
    folder = embedded_market_files(small, tmp_path)
    market = read_market(folder, small)
    made = simulate(small.synthetic_start, 45, small.synthetic_seed)
    assert market.is_synthetic
    assert not market.excluded.any()
    assert made.rtm_no_trade.any()
    for got, want in (
        (market.dates, made.dates),
        (market.dam_mcp, made.dam_mcp),
        (market.rtm_mcp, made.rtm_mcp),
        (market.rtm_no_trade, made.rtm_no_trade),
        *((market.extras[name], made.extras[name]) for name in made.extras),
    ):
        np.testing.assert_array_equal(got, want)
    assert sorted(path.name for path in folder.iterdir()) == [
        "DAM_Market Snapshot-2024-01.csv",
        "DAM_Market Snapshot-2024-02.csv",
        "RTM_Market Snapshot-2024-01.csv",
        "RTM_Market Snapshot-2024-02.csv",
        "SYNTHETIC.txt",
    ]


def test_the_files_have_the_layout_of_the_exchange(tmp_path):
    folder = embedded_market_files(rules(synthetic_days=3), tmp_path)
    dam = (folder / "DAM_Market Snapshot-2024-01.csv").read_text().splitlines()
    rtm = (folder / "RTM_Market Snapshot-2024-01.csv").read_text().splitlines()
    assert dam[1].startswith("Market Snapshot,")
    assert dam[2].startswith("Date: 01-01-2024 to 03-01-2024,")
    assert dam[4].startswith("Date,Hour,Time Block,Purchase Bid (MW),")
    assert rtm[4].startswith("Date,Hour,Session ID,Time Block,Purchase Bid (MW),")
    assert dam[5].startswith("01-01-2024,1,00:00 - 00:15,")
    assert dam[4 + 288].startswith("03-01-2024,24,23:45 - 24:00,")
    assert rtm[5 + 2].startswith("01-01-2024,1,2,00:30-00:45,")
    assert [line.split(",")[1] for line in rtm[-5:]] == [
        *["Summary", "Total (MWh)", "Max (MW)", "Min (MW)", "Avg (MW)"]
    ]
    assert rtm[-5].endswith("MCP (Rs/MWh) *,,")  # two columns to the left
    text = (folder / "SYNTHETIC.txt").read_text()
    assert "not data of any exchange" in text
    assert f"seed {RULES.synthetic_seed}" in text


def test_the_files_are_made_once_and_kept_apart_by_their_parameters(tmp_path):
    first = embedded_market_files(rules(synthetic_days=2), tmp_path)
    stamp = (first / "SYNTHETIC.txt").stat().st_mtime_ns
    assert embedded_market_files(rules(synthetic_days=2), tmp_path) == first
    assert (first / "SYNTHETIC.txt").stat().st_mtime_ns == stamp
    others = [
        embedded_market_files(rules(**change), tmp_path)
        for change in (
            {"synthetic_days": 3},
            {"synthetic_days": 2, "synthetic_seed": 12},
            {"synthetic_days": 2, "synthetic_start": dt.date(2024, 1, 2)},
        )
    ]
    assert len({first, *others}) == 4
    assert "2024-01-01_2d_seed11_v" in first.name
    assert {path.name for path in tmp_path.iterdir()} == {p.name for p in (first, *others)}


def test_a_folder_that_lost_a_file_is_refused(tmp_path):
    folder = embedded_market_files(rules(synthetic_days=2), tmp_path)
    (folder / "RTM_Market Snapshot-2024-01.csv").unlink()
    with pytest.raises(DataError, match=r"has lost RTM.*delete the folder"):
        embedded_market_files(rules(synthetic_days=2), tmp_path)


def test_a_failed_writing_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(synthetic, "_snapshot", full)
    with pytest.raises(StorageError, match="No space left"):
        embedded_market_files(rules(synthetic_days=2), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_prices_stay_below_the_cap_of_their_date(tmp_path):
    cap = RULES.price_caps[-1].model_copy(update={"cap_rs_per_mwh": 8000.0})
    lower = rules(synthetic_days=5, price_caps=(*RULES.price_caps[:-1], cap))
    market = read_market(embedded_market_files(lower, tmp_path), lower)
    assert market.dam_mcp.max() == 8000


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_cores(tmp_path):
    code = (
        "import sys; from pathlib import Path; from bessvpp.params import load_params;"
        "from bessvpp.synthetic import embedded_market_files;"
        "rules = load_params(synthetic_days=40).market;"
        "embedded_market_files(rules, Path(sys.argv[1]))"
    )
    for threads in ("1", "4"):
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(variables, threads)}
        place = tmp_path / threads
        subprocess.run([sys.executable, "-c", code, str(place)], env=environment, check=True)
    one, four = (sorted(Path(tmp_path / threads).rglob("*.csv")) for threads in ("1", "4"))
    assert len(one) == 4
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in four]
