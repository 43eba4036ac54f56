"""A user's own forecasts in a run: in place of ours, said wherever they are used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from own_cases import paths_file, quantiles_file
from small_cases import make_params, write_study

from bessvpp.backtest.summary import rules
from bessvpp.backtest.window import load_window
from bessvpp.errors import DataError
from bessvpp.prices import PriceScenarios
from bessvpp.runs import own, own_said
from bessvpp.runs.contents import write_fan
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.names import rule_rows


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_our_own_forecasts_given_back_are_the_same_run(study, tmp_path, name):
    days = study.splits.out_of_sample
    file = quantiles_file(tmp_path / name, study.original, days)
    made = {
        market: replace(of, values=of.values + 1.0, p_cap=of.p_cap * 0)
        for market, of in study.original.items()
    }
    found = own.quantiles_in_force(RunFolder(tmp_path), made, make_params(own_quantiles=file))
    for market, of in study.original.items():
        for key in ("dates", "split", "values", "p_floor", "p_cap"):
            np.testing.assert_array_equal(getattr(found[market], key), getattr(of, key))


def test_without_a_file_the_forecasts_stay_and_nothing_is_said(study, tmp_path):
    run = RunFolder(tmp_path)
    found = own.quantiles_in_force(run, study.original, study.params)
    assert all(found[name] is study.original[name] for name in found)
    assert own.take_paths(run, study.params) == own_said.names_of(run) == ()
    fans = study.window.fans
    assert own.fans_in_force(fans, study.splits.test, study.params) == fans
    assert own_said.told_of(RunFolder(tmp_path / "older")) == ()


def test_test_days_alone_suffice_where_nothing_is_recalibrated_and_it_is_said(study, tmp_path):
    run, splits = RunFolder(tmp_path), study.splits
    moved = {n: replace(of, values=0.98 * of.values) for n, of in study.original.items()}
    file = quantiles_file(tmp_path / "mine.csv", moved, splits.test)
    params = make_params(own_quantiles=file)
    found = own.quantiles_in_force(run, study.original, params)
    first = splits.calibration[0]
    with pytest.raises(DataError, match=r"\(rolling_24\) learns .* recalibration: none") as refusal:
        own.taken_quantiles(run, params)
    assert f"quantiles of mine.csv: has no forecast of 24 days ({first}, " in str(refusal.value)
    told = own.taken_quantiles(run, make_params(own_quantiles=file, recalibration="none"))
    assert told == own_said.told_of(run)
    for name, of in study.original.items():
        expected = np.where(
            np.isin(of.dates, splits.test)[:, None, None], moved[name].values, of.values
        )
        np.testing.assert_array_equal(found[name].values, expected)
    told = " ".join(told)
    assert "mine.csv (4 days, " in told
    assert "They lack 24 calibration days" in told
    assert "before its gate, 11:00 on the day before, is assumed" in told
    assert own_said.names_of(run) == ("quantiles of mine.csv",)


def test_a_test_day_that_the_file_lacks_is_named(study, tmp_path):
    file = quantiles_file(tmp_path / "mine.csv", study.original, study.splits.test[:-1])
    params = make_params(own_quantiles=file, recalibration="none")
    with pytest.raises(DataError, match=rf"mine\.csv: .*forecast of {study.splits.test[-1]}: add"):
        own.quantiles_in_force(RunFolder(tmp_path), study.original, params)


def test_blocks_of_another_length_are_refused_with_both(study, tmp_path):
    quarters = {
        name: replace(
            of,
            **{k: np.repeat(getattr(of, k), 4, axis=1) for k in ("values", "p_floor", "p_cap")},
        )
        for name, of in study.original.items()
    }
    file = quantiles_file(tmp_path / "mine.csv", quarters, study.splits.test)
    with pytest.raises(DataError, match=r"blocks of 15 minutes and the market in blocks of 60"):
        own.read_quantiles(make_params(own_quantiles=file), 24)


@pytest.fixture
def paths_run(study, tmp_path):
    """A run whose fans are own paths, and these."""
    run, test = RunFolder(tmp_path / "run"), study.splits.test
    write_study(run, study)
    rng = np.random.default_rng(5)
    prices = rng.uniform(100, 9000, (2, len(test), 3, 24)).round(2)
    fan = [PriceScenarios(*day, np.full(3, 1 / 3)) for day in prices.transpose(1, 0, 2, 3)]
    params = make_params(own_paths=paths_file(tmp_path / "mine.csv", test, fan))
    own.take_paths(run, params)
    for name, days in own.fans_in_force(study.window.fans, test, params).items():
        write_fan(run, name, test, days)
    return run, params, fan


def test_own_paths_are_both_fans_and_their_middle_the_median_policy(paths_run):
    run, params, fan = paths_run
    window = load_window(run, params)
    for days in window.fans.values():
        for found, given in zip(days, fan, strict=True):
            np.testing.assert_array_equal(found.dam, given.dam)
            np.testing.assert_array_equal(found.rtm, given.rtm)
    for sure, given in zip(window.medians, fan, strict=True):
        np.testing.assert_array_equal(sure.dam[0], np.sort(given.dam, axis=0)[1])
        np.testing.assert_array_equal(sure.rtm[0], np.sort(given.rtm, axis=0)[1])


def test_the_rules_of_a_backtest_name_own_forecasts_and_only_where_there_are_any(paths_run, study):
    run, params, _ = paths_run
    assert {"Rule": "Own forecasts", "In this run": "paths of mine.csv"} in rule_rows(
        rules(load_window(run, params))
    )
    assert "own_forecasts" not in rules(study.window)
    told = " ".join(own_said.told_of(run))
    assert "the 3 paths of mine.csv" in told
    assert "Both fans are these paths" in told


def test_levels_between_paths_lie_on_their_line():
    """Four paths stand at 1/8, 3/8, 5/8, 7/8: the median is midway, a quarter between two."""
    prices = np.array([[100.0], [300.0], [200.0], [700.0]])
    day = PriceScenarios(prices, prices + 1, np.full(4, 0.25))
    found = own.quantiles_of_paths(day, np.datetime64("2024-03-01"), (0.01, 0.25, 0.5, 0.75))
    np.testing.assert_array_equal(found["dam"].values[0, 0], [100, 150, 250, 500])
    np.testing.assert_array_equal(found["rtm"].values[0, 0], [101, 151, 251, 501])
