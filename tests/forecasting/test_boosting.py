"""Models, splits and recalibration: in time order, exactly repeatable, and nothing later."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import numpy as np
import pandas as pd
import pytest
from small_cases import HALF_TICK, make_market, make_params

from bessvpp.errors import DataError, MissingArtefactError
from bessvpp.forecasting import boosting, walk_forward
from bessvpp.forecasting.boosting import MarketModels
from bessvpp.forecasting.features import design, feature_frame
from bessvpp.forecasting.quantiles import QuantileForecast, with_atoms
from bessvpp.forecasting.splits import split_days
from bessvpp.market import clock
from bessvpp.market.history import MARKETS, Market
from bessvpp.runs import contents
from bessvpp.runs.folder import RunFolder

LEVELS = make_params().forecast.levels


def with_gaps(market: Market, *days: int) -> Market:
    """The market with one DAM price of some days missing, so that they are excluded."""
    dam = market.dam_mcp.copy()
    dam[list(days), 5] = np.nan
    return Market(market.dates, dam, market.rtm_mcp, market.rtm_no_trade, market.extras, False)


# ------------------------------------------------------------------------------ splits


def test_splits_are_disjoint_in_order_and_the_last_days_are_the_test():
    market = make_market(60)
    params = make_params(warmup_days=10, calibration_days=15, test_days=6).forecast
    splits = split_days(market, params)
    assert [len(splits.train), len(splits.calibration), len(splits.test)] == [29, 15, 6]
    joined = np.concatenate([splits.train, splits.calibration, splits.test])
    np.testing.assert_array_equal(joined, market.dates[10:])
    np.testing.assert_array_equal(splits.out_of_sample, market.dates[39:])


def test_excluded_days_are_in_no_split_and_are_not_counted():
    market = with_gaps(make_market(60), 20, 50, 57, 59)
    params = make_params(warmup_days=10, calibration_days=15, test_days=6).forecast
    splits = split_days(market, params)
    assert [len(splits.train), len(splits.calibration), len(splits.test)] == [25, 15, 6]
    joined = np.concatenate([splits.train, splits.calibration, splits.test])
    expected = np.delete(market.dates, [20, 50, 57, 59])[10:]
    np.testing.assert_array_equal(joined, expected)
    assert splits.test[-1] == market.dates[58]


def test_too_few_days_to_train_on_is_an_error_that_counts_them():
    params = make_params(warmup_days=10, calibration_days=15, test_days=6).forecast
    assert len(split_days(make_market(41), params).train) == 10
    with pytest.raises(DataError, match="leave 9 to train on, and at least 10"):
        split_days(make_market(40), params)
    with pytest.raises(DataError, match="leave 0 to train on"):
        split_days(make_market(12), params)


def test_what_the_models_were_fitted_on_is_written_down(study, study_run):
    written = study_run.read_json("models/splits.json")
    assert written["first_train_day"] == str(study.market.dates[7])
    assert written["last_train_day"] == str(study.splits.train[-1])
    assert written["first_out_of_sample_day"] == str(study.splits.train[-1] + 1)
    assert written["n_train_days"] == len(study.splits.train) == 35


# ------------------------------------------------------------------------------ models


def rows_of(study, days) -> pd.DataFrame:
    day = study.features["delivery_start"].dt.tz_localize(None).to_numpy()
    return study.features[np.isin(day.astype("datetime64[D]"), days)]


@pytest.mark.parametrize("market", MARKETS)
def test_a_reloaded_model_predicts_exactly_the_same(study, study_run, market):
    loaded = contents.load_models(study_run, market, LEVELS)
    assert tuple(loaded[0].quantiles) == LEVELS
    assert list(loaded) == [0]
    first = boosting.predict(study.models[market][0], study.features, market)
    again = boosting.predict(loaded[0], study.features, market)
    np.testing.assert_array_equal(first, again)
    assert np.unique(first[:, 2]).size > 100  # the models say something


def test_models_are_kept_as_text_one_file_a_level(study_run):
    names = sorted(path.name for path in (study_run.path / "models" / "dam").iterdir())
    assert names == ["models.json", "q05.txt", "q25.txt", "q50.txt", "q75.txt", "q95.txt"]
    text = (study_run.path / "models" / "dam" / "q05.txt").read_text()
    assert "objective=quantile" in text
    assert "[alpha: 0.05]" in text


def test_a_missing_model_names_the_file_and_the_notebook(study_run):
    with pytest.raises(MissingArtefactError, match=r"q10\.txt is not there: run 02_quantile"):
        contents.load_models(study_run, "dam", (0.1,))


def trained(study, market, target, rows=slice(None), jobs=1):
    """Models on the training days, of some of their rows."""
    features = rows_of(study, study.splits.train)[rows]
    return boosting.train_quantile_models(
        market, features, target[rows], {}, study.params.forecast, jobs
    )


def test_training_is_the_same_whatever_the_number_of_workers(study):
    rows = [study.market.index_of(day) for day in study.splits.train]
    target = study.market.dam_mcp[rows].ravel()
    for jobs in (1, 2):
        models = trained(study, "dam", target, jobs=jobs)
        for level in LEVELS:
            expected = study.models["dam"][0].quantiles[level].model_to_string()
            assert models.quantiles[level].model_to_string() == expected


def test_models_that_share_bins_are_those_that_bin_their_own(study):
    x = rows_of(study, study.splits.train).drop(columns="delivery_start")
    rng = np.random.default_rng(5)
    goals = [
        ({"objective": "quantile", "alpha": 0.05}, rng.normal(0, 900, len(x))),
        ({"objective": "binary"}, (rng.random(len(x)) < 0.2).astype(float)),
        ({"objective": "regression"}, rng.normal(0, 900, len(x))),
    ]
    settings, seed = study.params.forecast.lightgbm, study.params.forecast.model_seed
    together = boosting.fit_each(x, goals, settings, 12, seed, jobs=2)
    single = {"seed": seed, "deterministic": True, "force_row_wise": True, "num_threads": 1}
    for model, (objective, y) in zip(together, goals, strict=True):
        told = {**objective, **settings.model_dump(), **single, "verbosity": -1}
        own_bins = lightgbm.Dataset(x.to_numpy(), y, feature_name=list(x))
        alone = lightgbm.train(told, own_bins, num_boost_round=12)
        assert model.model_to_string() == alone.model_to_string()


def test_rows_without_a_price_are_left_out_of_training(study):
    rows = [study.market.index_of(day) for day in study.splits.train]
    target = study.market.rtm_mcp[rows].ravel()
    missing = np.arange(target.size) % 11 == 3
    holed = np.where(missing, np.nan, target)
    first = trained(study, "rtm", holed)
    again = trained(study, "rtm", target, ~missing)
    for level in LEVELS:
        expected = again.quantiles[level].model_to_string()
        assert first.quantiles[level].model_to_string() == expected


@pytest.mark.parametrize(("n_rows", "asked", "least"), [(280, 150, 20), (2800, 150, 150)])
def test_a_leaf_of_a_short_history_need_not_hold_more_than_a_fourteenth_of_it(
    study, n_rows, asked, least
):
    rows = [study.market.index_of(day) for day in study.splits.train]
    features = pd.concat([rows_of(study, study.splits.train)] * 4, ignore_index=True)
    target = np.tile(study.market.dam_mcp[rows].ravel(), 4)
    lightgbm = study.params.forecast.lightgbm.model_copy(update={"min_data_in_leaf": asked})
    params = study.params.forecast.model_copy(update={"lightgbm": lightgbm})
    models = boosting.train_quantile_models("dam", features[:n_rows], target[:n_rows], {}, params)
    assert models.quantiles[0.5].params["min_data_in_leaf"] == least
    assert params.lightgbm.min_data_in_leaf == asked


def test_each_level_is_fitted_to_its_own_quantile():
    """On prices that are one week's shape plus noise, a level covers its share."""
    rng = np.random.default_rng(0)
    n = 6000
    features = pd.DataFrame(
        {
            "delivery_start": pd.date_range("2024-01-01", periods=n, freq="h"),
            "hour": np.arange(n) % 24.0,
            "dam_lag_1d": 4000.0,
            "dam_mean_7d": 5000.0,
        }
    )
    target = 4500 + 50 * features["hour"].to_numpy() + rng.gumbel(0, 300, n)
    params = make_params(n_estimators=60).forecast
    models = boosting.train_quantile_models("dam", features, target, {}, params)
    predicted = boosting.predict(models, features, "dam")
    for k, level in enumerate(LEVELS):
        assert np.mean(target <= predicted[:, k]) == pytest.approx(level, abs=0.03)
    # 4000, the latest price, is the anchor: the models learnt the distance from it.
    raw = models.quantiles[0.5].predict(design(features, "dam").to_numpy())
    np.testing.assert_allclose(predicted[:, 2], 4000 + raw)


class Line:
    """Stands in for a model: the same distance from the anchor, or chance, in every row."""

    def __init__(self, value, names=("dam_lag_1d", "dam_mean_7d")):
        self.value, self.names = value, [*names, *(f"{name}_off_anchor" for name in names)]

    def predict(self, x, num_threads):
        return np.broadcast_to(self.value, len(x)).astype(float)

    def feature_name(self):
        return self.names


def lines(distances, atoms=None, names=("dam_lag_1d", "dam_mean_7d")):
    """Models of one training window that know nothing but a distance a level."""
    quantiles = {level: Line(value, names) for level, value in distances.items()}
    atoms = {k: Line(v) for k, v in (atoms or {}).items()}
    return {0: MarketModels(quantiles, atoms, np.datetime64("2024-03-01"))}


def two_days(n_blocks: int = 24) -> pd.DataFrame:
    starts = pd.date_range("2024-03-01", periods=2 * n_blocks, freq="h", tz="Asia/Kolkata")
    price = np.linspace(1000, 9000, 2 * n_blocks)
    return pd.DataFrame({"delivery_start": starts, "dam_lag_1d": price, "dam_mean_7d": price})


DAYS = np.array(["2024-03-01", "2024-03-02"], dtype="datetime64[D]")
SPLIT = np.array(["calibration", "test"])


def test_crossings_are_counted_then_removed_by_sorting():
    models = lines({0.1: 200.0, 0.5: 0.0, 0.9: 100.0})
    found, crossings = walk_forward.forecast_days(
        models, two_days(), "dam", DAYS, SPLIT, make_params().market
    )
    assert crossings == 48  # .1 above .5 in each block; .5 and .9 are in order
    price = np.linspace(1000, 9000, 48).reshape(2, 24)
    expected = price[:, :, None] + np.array([0.0, 100.0, 200.0])
    np.testing.assert_allclose(found.values, expected, atol=HALF_TICK)
    assert found.levels == (0.1, 0.5, 0.9)
    np.testing.assert_allclose(found.level(0.5), price + 100, atol=HALF_TICK)


def test_forecasts_stay_within_the_floor_and_the_cap_of_their_own_day():
    caps = [
        {"effective_from": "2012-01-01", "cap_rs_per_mwh": 4000.0},
        {"effective_from": "2024-03-02", "cap_rs_per_mwh": 8000.0},
    ]
    rules = make_params(price_caps=caps, price_floor_rs_per_mwh=1500.0).market
    models = lines({0.1: -300.0, 0.5: 0.0, 0.9: 300.0})
    found, _ = walk_forward.forecast_days(models, two_days(), "dam", DAYS, SPLIT, rules)
    assert found.values.min() == 1500
    assert found.values[0].max() == 4000
    assert found.values[1].max() == 8000


def test_forecasts_of_a_day_that_the_features_do_not_hold_are_refused():
    models = lines({0.1: -300.0, 0.5: 0.0, 0.9: 300.0})
    days = np.array(["2024-03-01", "2024-03-02", "2024-03-05"], dtype="datetime64[D]")
    split = np.repeat("test", 3)
    with pytest.raises(DataError, match="2024-03-05"):
        walk_forward.forecast_days(models, two_days(), "dam", days, split, make_params().market)


def test_features_other_than_those_trained_on_are_refused_by_name():
    models = lines({0.5: 0.0}, names=("dam_lag_1d", "dam_lag_2d"))[0]
    with pytest.raises(
        DataError, match=r"differing: dam_lag_2d, dam_lag_2d_off_anchor, dam_mean_7d"
    ):
        boosting.predict(models, two_days(), "dam")
    models = lines({0.5: 0.0}, names=("dam_mean_7d", "dam_lag_1d"))[0]  # the same in another order
    with pytest.raises(DataError, match="other features"):
        boosting.predict(models, two_days(), "dam")


def test_a_day_without_any_price_in_its_last_week_is_left_out():
    frame = two_days()
    frame.loc[30, ["dam_lag_1d", "dam_mean_7d"]] = np.nan
    models = lines({0.1: -300.0, 0.5: 0.0, 0.9: 300.0})
    found, _ = walk_forward.forecast_days(models, frame, "dam", DAYS, SPLIT, make_params().market)
    np.testing.assert_array_equal(found.dates, DAYS[:1])
    assert found.split.tolist() == ["calibration"]
    price = np.linspace(1000, 9000, 48)[:24]
    np.testing.assert_allclose(found.level(0.5)[0], price, atol=HALF_TICK)
    with pytest.raises(DataError, match="no DAM forecast of 2024-03-02"):
        found.on(DAYS)


# ------------------------------------------------------------------------------ forecasts


def test_forecasts_are_read_back_as_they_were_written(study, study_run):
    for fan, expected in (("original", study.original), ("recalibrated", study.recalibrated)):
        back = contents.read_forecasts(study_run, fan, LEVELS)
        assert set(back) == set(MARKETS)
        for name in MARKETS:
            np.testing.assert_array_equal(back[name].values, expected[name].values)
            np.testing.assert_array_equal(back[name].dates, expected[name].dates)
            np.testing.assert_array_equal(back[name].split, expected[name].split)
    some = contents.read_forecasts(study_run, "original", (0.25, 0.75))["rtm"]
    np.testing.assert_array_equal(some.values, study.original["rtm"].values[:, :, [1, 3]])


def test_a_forecast_file_has_a_row_a_block_and_a_column_a_level(study, study_run):
    frame = pd.read_parquet(study_run.path / "forecasts_original.parquet")
    assert list(frame) == [
        "delivery_start",
        "market",
        "split",
        "q05",
        "q25",
        "q50",
        "q75",
        "q95",
        "p_floor",
        "p_cap",
    ]
    assert len(frame) == 2 * 28 * 24
    row = frame[(frame["market"] == "rtm") & (frame["split"] == "test")].iloc[30]
    assert row["delivery_start"] == pd.Timestamp(study.splits.test[1]).tz_localize(
        "Asia/Kolkata"
    ) + pd.Timedelta(hours=6)
    expected = study.original["rtm"].on(study.splits.test).values[1, 6]
    assert row[["q05", "q25", "q50", "q75", "q95"]].tolist() == expected.tolist()


def test_a_level_that_was_not_forecast_is_asked_for_in_vain(study_run):
    with pytest.raises(MissingArtefactError, match="no column q10"):
        contents.read_forecasts(study_run, "original", (0.1, 0.5))


def test_forecasts_on_some_days_are_those_of_these_days(study):
    whole = study.original["dam"]
    days = whole.dates[[3, 10, 27]]
    some = whole.on(days)
    np.testing.assert_array_equal(some.values, whole.values[[3, 10, 27]])
    assert some.split.tolist() == ["calibration", "calibration", "test"]
    for wrong in (whole.dates[-1] + 1, whole.dates[0] - 1):
        with pytest.raises(DataError, match=f"no DAM forecast of {wrong}"):
            whole.on(np.array([days[0], wrong]))


def test_forecasts_rise_along_the_levels(study):
    for by_market in (study.original, study.recalibrated):
        for name in MARKETS:
            values = by_market[name].values
            assert (np.diff(values, axis=2) >= 0).all()
            assert values.min() >= 0
            assert values.max() <= 10_000


# ------------------------------------------------------------------------------ walking forward


def test_a_market_without_rtm_prices_is_studied_in_the_dam_alone():
    market = make_market(70)
    alone = replace(market, rtm_mcp=np.full(market.rtm_mcp.shape, np.nan))
    params = make_params(calibration_days=15, test_days=6, retrain_every_days=10)
    with pytest.raises(DataError, match="too few days"):
        split_days(alone, params.forecast)
    splits = split_days(alone, params.forecast, ("dam",))
    assert splits.test[-1] == market.dates[-1]
    features = feature_frame(alone, alone.dates[7:], params.market)
    walk = walk_forward.walk_forward("dam", features, alone, splits, params.forecast, params.market)
    assert walk.forecast.values.shape == (21, 24, len(LEVELS))
    assert len(walk.refits) == 3


def test_several_training_windows_are_averaged_and_kept_apart(tmp_path):
    market = make_market(80)
    params = make_params(calibration_days=15, test_days=6).forecast
    rules = make_params().market
    splits = split_days(market, params)
    features = feature_frame(market, market.dates[7:], rules)

    def walk(windows):
        chosen = params.model_copy(update={"train_window_days": windows})
        return walk_forward.walk_forward("dam", features, market, splits, chosen, rules)

    both, long, short = walk((0, 30)), walk((0,)), walk((30,))
    expected = np.sort((long.forecast.values + short.forecast.values) / 2, axis=2)
    apart = long.forecast.values != short.forecast.values
    assert apart.mean() > 0.5
    inside = (both.forecast.values > 0) & (both.forecast.values < 10_000)
    np.testing.assert_allclose(both.forecast.values[inside], expected[inside], atol=250)
    assert np.mean(np.abs(both.forecast.values - expected)[inside] < 2 * HALF_TICK) > 0.5
    run = RunFolder(tmp_path)
    contents.save_models(run, "dam", both.models)
    assert (tmp_path / "models" / "dam" / "last_30_days" / "q50.txt").exists()
    loaded = contents.load_models(run, "dam", LEVELS)
    assert list(loaded) == [0, 30]
    for window, models in loaded.items():
        np.testing.assert_array_equal(
            boosting.predict(models, features, "dam"),
            boosting.predict(both.models[window], features, "dam"),
        )


def test_atoms_are_joined_by_hand():
    """Chance .3 of the cap: .75 and .9 are the cap, .5 was on it and goes below."""
    levels = (0.1, 0.5, 0.75, 0.9)
    values = np.array([[[4000.0, 10_000.0, 10_000.0, 10_000.0], [4000.0, 5000.0, 6000.0, 7000.0]]])
    fan = QuantileForecast(
        "dam", DAYS[:1], SPLIT[:1], levels, values, None, np.array([[0.3, 0.12]])
    )
    joined = with_atoms(fan, 0.0, np.array([[10_000.0]]))
    line = 4000 + 6000 * (0.5 - 0.1) / (0.7 - 0.1)
    np.testing.assert_allclose(joined[0, 0], [4000, line, 10_000, 10_000])
    np.testing.assert_allclose(joined[0, 1], [4000, 5000, 6000, 10_000])
    # The floor is the mirror image; a chance that is not modelled leaves the levels be.
    values = np.array([[[0.0, 0.0, 300.0, 900.0], [0.0, 0.0, 300.0, 900.0]]])
    p_floor = np.array([[0.2, np.nan]])
    fan = QuantileForecast("rtm", DAYS[:1], SPLIT[:1], levels, values, p_floor)
    joined = with_atoms(fan, 0.0, np.array([[10_000.0]]))
    line = 300 * (0.5 - 0.2) / (0.75 - 0.2)
    np.testing.assert_allclose(joined[0, 0], [0, line, 300, 900], atol=HALF_TICK)
    np.testing.assert_allclose(joined[0, 1], [0, 0, 300, 900])


def test_a_level_at_which_the_atom_begins_is_on_it():
    """A chance of exactly a quarter puts the level .75 on the cap, and one of the floor .25."""
    levels = (0.25, 0.5, 0.75)
    values = np.array([[[4000.0, 5000.0, 6000.0]]])
    quarter, none = np.array([[0.25]]), None
    for chances, expected in (
        ((none, quarter), [4000.0, 5000.0, 10_000.0]),
        ((quarter, none), [0.0, 5000.0, 6000.0]),
    ):
        fan = QuantileForecast("dam", DAYS[:1], SPLIT[:1], levels, values, *chances)
        joined = with_atoms(fan, 0.0, np.array([[10_000.0]]))
        assert joined[0, 0].tolist() == expected


def test_a_training_window_holds_so_many_days_before_the_refit(monkeypatch):
    """The DAM is known to the day before, so a window of 30 days has 30 of them."""
    market = make_market(80)
    params = make_params(calibration_days=15, test_days=6, train_window_days=[0, 30]).forecast
    rules = make_params().market
    splits = split_days(market, params)
    features = feature_frame(market, market.dates[7:], rules)
    seen = []

    fitted = boosting.train_quantile_models

    def watched(name, rows, *rest):
        seen.append(np.unique(clock.day_of(rows)))
        return fitted(name, rows, *rest)

    monkeypatch.setattr(walk_forward, "train_quantile_models", watched)
    walk_forward.walk_forward("dam", features, market, splits, params, rules)
    first = splits.out_of_sample[0]
    np.testing.assert_array_equal(seen[0], np.arange(splits.train[0], first))
    np.testing.assert_array_equal(seen[1], np.arange(first - 30, first))


@pytest.mark.parametrize(("n_days", "modelled"), [(9, []), (10, ["cap"])])
def test_the_chance_of_an_atom_is_learnt_from_ten_days_with_it(n_days, modelled):
    """Days, not blocks: those of one day are alike."""
    market = make_market(50)
    params = make_params()
    features = feature_frame(market, market.dates[7:], params.market)
    target = market.dam_mcp[7:].ravel()
    hit = np.zeros((43, 24), dtype=bool)
    hit[5 : 5 + n_days, 18:22] = True
    at_atom = {"floor": np.zeros(hit.size, dtype=bool), "cap": hit.ravel()}
    models = boosting.train_quantile_models("dam", features, target, at_atom, params.forecast)
    assert list(models.atoms) == modelled
