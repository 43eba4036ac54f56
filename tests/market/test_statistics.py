"""The statistics of a market: against published figures, and on markets a hand can work out."""

import numpy as np
import pandas as pd
import pytest
from stand_in import BOTH, QUARTERS

from bessvpp.market.history import Market
from bessvpp.market.read import read_market
from bessvpp.market.statistics import (
    DAY_AHEAD,
    REAL_TIME,
    cap_shares,
    compared,
    day_ahead_statistics,
    furthest,
    real_time_statistics,
    tables,
)
from bessvpp.params.load import load_params

RULES = load_params().market
CAP = 10_000.0
LAST_DIGIT = {  # half the last digit of the published figures, the first ending that fits
    "at the cap by hour [%]": 0.5,
    "touch the cap [%]": 0.5,
    "[%]": 0.05,
    "by hour [Rs/MWh]": 5,
    "by month [Rs/MWh]": 5,
    "[Rs/MWh]": 0.5,
    "": 0.005,
}


def market(dam: np.ndarray, rtm: np.ndarray | None = None, start: str = "2024-01-01") -> Market:
    rtm = dam if rtm is None else rtm
    dates = np.datetime64(start) + np.arange(len(dam))
    return Market(dates, dam, rtm, np.zeros(dam.shape, bool), {}, is_synthetic=True)


def test_the_published_year_is_found_again_in_its_own_prices(downloads):
    year = read_market(downloads / QUARTERS, RULES)
    table = compared(day_ahead_statistics(year, RULES), DAY_AHEAD)
    assert table["within"].mean() > 0.9  # of the stand-in, which is made for it
    if not downloads.is_real:
        return
    for row in table.itertuples():
        half = next(value for ending, value in LAST_DIGIT.items() if row.statistic.endswith(ending))
        assert row.simulated == pytest.approx(row.published, abs=1.01 * half), row.statistic
    assert table["within"].all()


def test_a_part_of_the_published_months_has_figures_near_them(downloads):
    part = read_market(downloads / BOTH, RULES)
    found = real_time_statistics(part, RULES).droplevel("part")
    near = 1.0 if downloads.is_real else 3.0  # times as far, other prices may lie
    assert found["DAM mean [Rs/MWh]"] == pytest.approx(4445, rel=0.05 * near)
    assert found["RTM mean [Rs/MWh]"] == pytest.approx(4073, rel=0.05 * near)
    assert found["correlation of RTM and DAM"] == pytest.approx(0.81, abs=0.05 * near)
    for name in ("spread by hour [Rs/MWh]", "spread, sd by hour [Rs/MWh]"):
        published = np.array(REAL_TIME[name][0])
        assert np.corrcoef(found[name].to_numpy(), published)[0, 1] > 0.65, name


def test_each_statistic_of_a_market_that_a_hand_can_work_out():
    dam = np.tile(np.arange(96) * 10.0, (28, 1))
    dam[:, 95] = CAP
    dam[6::7] *= 0.5  # Sundays, on which the last block is no longer at the cap
    found = day_ahead_statistics(market(dam), RULES)
    day = (sum(range(0, 950, 10)) + CAP) / 96
    assert found["mean [Rs/MWh]", ""] == pytest.approx(day * (24 + 2) / 28)
    assert found["blocks at the cap [%]", ""] == pytest.approx(100 * 24 / 28 / 96)
    assert found["days that touch the cap [%]", ""] == pytest.approx(100 * 24 / 28)
    assert found["at the cap by hour [%]", "23 h"] == pytest.approx(25 * 24 / 28)
    assert found["at the cap by hour [%]", "22 h"] == 0
    assert found["mean by hour [Rs/MWh]", "00 h"] == pytest.approx(15 * 26 / 28)
    assert found["mean by month [Rs/MWh]", "Jan"] == pytest.approx(day * 26 / 28)
    assert np.isnan(found["mean by month [Rs/MWh]", "Feb"])
    assert found["Sunday over other days", ""] == pytest.approx(0.5)
    assert found["autocorrelation, 7 days", ""] == pytest.approx(1)
    assert found["autocorrelation of daily mean, 7 days", ""] == pytest.approx(1)
    assert found["daily range, mean [Rs/MWh]", ""] == pytest.approx(CAP * 26 / 28)
    assert found["error of last week's price [%]", ""] == 0
    # the days around a Sunday differ from it by half a day each: 4 Sundays, 7 changes
    assert found["error of yesterday's price [%]", ""] == pytest.approx(100 * 7 * 0.5 / 26)


def test_real_time_statistics_are_those_of_hourly_means_over_blocks_with_trade():
    rng = np.random.default_rng(3)
    dam = rng.uniform(1000, 9000, (20, 24)).repeat(4, axis=1)
    dam[:, 92:] = CAP
    rtm = dam - 100
    rtm[:5, 92:] = CAP
    rtm[0, 0] = np.nan  # its hour has three blocks left, of the same price
    rtm[1, 4:8] = np.nan  # an hour without any
    both = market(dam, rtm)
    found = real_time_statistics(both, RULES)
    assert found["spread by hour [Rs/MWh]", "00 h"] == pytest.approx(-100)
    assert found["spread by hour [Rs/MWh]", "23 h"] == pytest.approx(-75)
    assert found["spread, sd by hour [Rs/MWh]", "01 h"] == pytest.approx(0, abs=1e-9)
    assert found["RTM at the cap where DAM is [%]", ""] == pytest.approx(25)
    there = 20 * 24 - 1
    assert found["DAM at the cap [%]", ""] == pytest.approx(100 * 20 / there)
    assert found["RTM at the cap [%]", ""] == pytest.approx(100 * 5 / there)


def test_published_months_are_compared_where_a_market_has_them_all():
    dam = np.full((541, 96), 3000.0)
    dam[366:] = 1000.0
    rtm = np.full((541, 96), 2000.0)
    rtm[397:] = 4000.0
    by_market = tables(market(dam, rtm), RULES)
    means = {name: table["simulated"][0] for name, table in by_market.items()}
    assert means == {"dam": 3000, "rtm": 1000}
    assert by_market["rtm"]["simulated"][1] == 4000
    less = tables(market(dam[:-1], rtm[:-1]), RULES)  # without the last day: all days
    assert less["dam"]["simulated"][0] == 3000
    assert less["rtm"]["simulated"][1] == pytest.approx((397 * 2000 + 143 * 4000) / 540)


def test_shares_at_the_cap_by_month_and_hour():
    dam = np.full((60, 96), 3000.0)
    dam[31:, 40:42] = CAP
    shares = cap_shares(market(dam), RULES)["dam"]
    assert list(shares.index) == ["2024-01", "2024-02"]
    assert shares.loc["2024-02", 10] == pytest.approx(0.5)
    assert shares.to_numpy().sum() == pytest.approx(0.5)


def test_the_cap_is_that_of_the_date():
    dam = np.full((2, 96), 12_000.0)
    dam[:, 0] = 1.0
    found = day_ahead_statistics(market(dam, start="2023-04-02"), RULES)
    assert found["blocks at the cap [%]", ""] == pytest.approx(100 * 95 / 96)


def test_hourly_prices_have_no_statistic_of_15_minutes():
    hourly = np.random.default_rng(0).uniform(1000, 5000, (10, 24))
    found = day_ahead_statistics(market(hourly), RULES)
    assert np.isnan(found["autocorrelation, 15 minutes", ""])
    assert np.isfinite(found["autocorrelation, 1 hour", ""])


def test_a_figure_is_within_up_to_its_tolerance_and_a_missing_one_never():
    found = pd.Series({("a", ""): 109.0, ("b", ""): 8.0, ("c", ""): np.nan, ("d", ""): 7.0})
    found = found.rename_axis(["statistic", "part"])
    published = {"a": (100, 0, 0.1), "b": (5, 3, 0), "c": (1, 1, 0), "d": (5, 1, 0)}
    table = compared(found, published)
    assert list(table) == ["statistic", "part", "published", "simulated", "tolerance", "within"]
    assert list(table["tolerance"]) == [10, 3, 1, 1]
    assert list(table["within"]) == [True, True, False, False]


def test_the_furthest_part_stands_for_its_statistic():
    dam = np.tile(np.repeat(np.array(DAY_AHEAD["mean by hour [Rs/MWh]"][0], float), 4), (14, 1))
    dam[:, 40:44] += 400
    dam[:, 76:80] += 600  # more, but less in units of its tolerance
    row = furthest(compared(day_ahead_statistics(market(dam), RULES), DAY_AHEAD))
    row = row.set_index("statistic").loc["mean by hour [Rs/MWh]"]
    assert (row["part"], row["within"]) == ("10 h", "24 of 24")
    free = furthest(compared(day_ahead_statistics(market(dam), RULES), DAY_AHEAD), judged=False)
    assert list(free) == ["statistic", "part", "published", "this data"]
