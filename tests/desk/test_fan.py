"""A plan on a user's own forecasts: of the day and the days before, or refused with the reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from own_cases import paths_file, quantiles_file
from small_cases import HALF_TICK, make_params, write_study

from bessvpp.desk.plan import plan_day_ahead
from bessvpp.desk.report import describe_plan
from bessvpp.errors import DataError, ParameterError
from bessvpp.prices import PriceScenarios
from bessvpp.runs import own
from bessvpp.runs.folder import RunFolder


def with_own(study, **files: str):
    """The study's parameters with files of own forecasts."""
    forecast = study.params.forecast.model_copy(update=files)
    return study.params.model_copy(update={"forecast": forecast})


@pytest.mark.parametrize("fan", ["original", "recalibrated"])
def test_a_plan_on_our_own_forecasts_given_back_is_our_plan(study, study_run, tmp_path, fan):
    date = study.splits.test[1]
    before = study.splits.out_of_sample[study.splits.out_of_sample <= date]
    file = quantiles_file(tmp_path / "mine.csv", study.original, before)
    ours = plan_day_ahead(study_run, study.market, study.params, date, fan)
    found = plan_day_ahead(study_run, study.market, with_own(study, own_quantiles=file), date, fan)
    for name in ("dam", "rtm"):
        np.testing.assert_array_equal(found.quantiles[name], ours.quantiles[name])
    np.testing.assert_array_equal(found.scenarios.rtm, ours.scenarios.rtm)
    np.testing.assert_array_equal(found.bid_mw, ours.bid_mw)
    assert ours.own == ()
    told = describe_plan(found, study.market, study.params)
    assert "the quantiles of mine.csv" in told
    assert "The run's backtest was not made on them." in told


def test_one_day_of_quantiles_is_planned_as_it_is_and_not_recalibrated(study, study_run, tmp_path):
    """The day alone: how markets hang together is the run's, shifts are refused."""
    date = study.splits.test[1]
    moved = {n: replace(of, values=0.98 * of.values) for n, of in study.original.items()}
    file = quantiles_file(tmp_path / "mine.csv", moved, np.array([date]))
    params = with_own(study, own_quantiles=file)
    found = plan_day_ahead(study_run, study.market, params, date, "original")
    ours = plan_day_ahead(study_run, study.market, study.params, date, "original")
    np.testing.assert_allclose(found.quantiles["dam"], 0.98 * ours.quantiles["dam"], atol=HALF_TICK)
    with pytest.raises(DataError, match=rf"too few days before {date} to recalibrate.*original"):
        plan_day_ahead(study_run, study.market, params, date, "recalibrated")
    untouched = params.model_copy(
        update={"forecast": params.forecast.model_copy(update={"recalibration": "none"})}
    )
    again = plan_day_ahead(study_run, study.market, untouched, date, "recalibrated")
    np.testing.assert_array_equal(again.quantiles["rtm"], found.quantiles["rtm"])
    np.testing.assert_array_equal(again.bid_mw, found.bid_mw)


def test_quantiles_without_the_day_are_refused(study, study_run, tmp_path):
    file = quantiles_file(tmp_path / "mine.csv", study.original, study.splits.test)
    params, tomorrow = with_own(study, own_quantiles=file), study.market.dates[-1] + 1
    with pytest.raises(DataError, match=f"has no forecast of {tomorrow}, only of .*: add it"):
        plan_day_ahead(study_run, study.market, params)


def test_own_paths_are_the_fan_of_a_plan_and_need_no_model(study, tmp_path):
    run, tomorrow = RunFolder(tmp_path), study.market.dates[-1] + 1
    rng = np.random.default_rng(3)
    paths = PriceScenarios(*rng.uniform(100, 9000, (2, 5, 24)).round(2), np.full(5, 0.2))
    params = with_own(study, own_paths=paths_file(tmp_path / "mine.csv", [tomorrow], [paths]))
    found = plan_day_ahead(run, study.market, params)
    np.testing.assert_array_equal(found.scenarios.dam, paths.dam)
    np.testing.assert_array_equal(found.quantiles["rtm"][:, 2], np.median(paths.rtm, axis=0))
    assert f"the 5 paths of mine.csv ({tomorrow})" in describe_plan(found, study.market, params)
    with pytest.raises(DataError, match=rf"no forecast of {tomorrow - 1}: add"):
        plan_day_ahead(run, study.market, params, tomorrow - 1)


def test_a_run_on_own_quantiles_is_not_planned_on_by_its_models(study, tmp_path):
    run = RunFolder(tmp_path / "run")
    write_study(run, study)
    file = quantiles_file(tmp_path / "mine.csv", study.original, study.splits.out_of_sample)
    own.quantiles_in_force(run, study.original, make_params(own_quantiles=file))
    with pytest.raises(ParameterError, match=r"rests on quantiles of mine.csv.*--own-quantiles"):
        plan_day_ahead(run, study.market, study.params)
    date = study.splits.test[-1]
    found = plan_day_ahead(run, study.market, with_own(study, own_quantiles=file), date)
    assert "backtest was not" not in " ".join(found.own)
