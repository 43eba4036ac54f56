"""A user's own columns: joined by delivery_start, known from their publication, never filled."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from price_cases import prices, tidy, tidy_frame
from small_cases import same

from bessvpp.errors import DataError, ParameterError
from bessvpp.forecasting.features import feature_frame
from bessvpp.market.clock import gate_time
from bessvpp.market.history import Market
from bessvpp.market.read import read_market
from bessvpp.params.load import load_params
from bessvpp.params.market import ExternalFile
from bessvpp.price_files.external import published_minute

RULES = load_params().market


def wind_frame(n_days=16, minutes=15) -> pd.DataFrame:
    starts = pd.date_range("2024-03-01", periods=n_days * 1440 // minutes, freq=f"{minutes}min")
    return pd.DataFrame(
        {
            "delivery_start": starts.strftime("%Y-%m-%d %H:%M"),
            "Wind (MW)": prices(len(starts), 8),
            "temperature": prices(len(starts), 9),
        }
    )


def rules_with(path, published="09:00", columns="all"):
    given = ExternalFile(file=str(path), published=published, columns=columns)
    return RULES.model_copy(update={"external": (given,)})


def read(tmp_path, wind, n_days=15, freq="15min", **kind):
    folder = tmp_path / "prices"
    folder.mkdir(exist_ok=True)
    tidy(folder, tidy_frame(n_days, freq))
    rules = rules_with(tidy(tmp_path, wind, "wind.csv"), **kind)
    return read_market(folder, rules), rules


def test_a_column_becomes_a_feature_of_its_delivery_day(tmp_path):
    wind = wind_frame()
    market, rules = read(tmp_path, wind)
    days = market.dates[[10, 14]]
    frame = feature_frame(market, days, rules)
    values = wind["Wind (MW)"].to_numpy().reshape(16, 96)
    np.testing.assert_array_equal(frame["ext_0900_wind_mw"], values[[10, 14]].ravel())
    # Tomorrow's forecast is there, though the prices end today.
    tomorrow = feature_frame(market, [market.dates[-1] + 1], rules)
    np.testing.assert_array_equal(tomorrow["ext_0900_wind_mw"], values[15])
    assert {c for c in frame if c.startswith("ext_")} == {
        "ext_0900_wind_mw",
        "ext_0900_temperature",
    }


@pytest.mark.parametrize(("published", "seen"), [("11:00", True), ("11:01", False)])
def test_what_is_published_after_the_gate_changes_no_feature(tmp_path, published, seen):
    market, rules = read(tmp_path, wind_frame(), published=published)
    day = market.dates[10]
    before = feature_frame(market, [day], rules)
    wind = wind_frame()
    wind.loc[10 * 96 :, "Wind (MW)"] = 7.0  # of the delivery day and later
    after = feature_frame(read(tmp_path, wind, published=published)[0], [day], rules)
    assert same(before, after) is not seen
    name = f"ext_{published.replace(':', '')}_wind_mw"
    assert before[name].notna().all() == seen
    # Values of days further ahead are never seen, whenever they were published.
    wind = wind_frame()
    wind.loc[11 * 96 :, ["Wind (MW)", "temperature"]] = 7.0
    assert same(before, feature_frame(read(tmp_path, wind, published=published)[0], [day], rules))


def test_a_row_is_known_from_its_publication_and_not_a_minute_earlier(tmp_path):
    market, rules = read(tmp_path, wind_frame())
    name = "ext_0900_wind_mw"
    for minute, n_known in ((539, 10), (540, 11)):
        view = market.known_at(gate_time(market.dates[11], minute), rules)
        values = view.extras[name]
        assert np.isfinite(values).all(axis=1).sum() == n_known
        assert np.isnan(values[n_known:]).all()
        assert values.base is None


def test_missing_values_stay_missing(tmp_path):
    wind = wind_frame().drop(index=range(10 * 96 + 3, 10 * 96 + 5)).drop(index=range(12 * 96, 1248))
    wind.loc[10 * 96 + 9, "Wind (MW)"] = np.nan
    market, rules = read(tmp_path, wind)
    frame = feature_frame(market, market.dates[[10, 12]], rules)
    lost = np.flatnonzero(frame["ext_0900_wind_mw"].isna())
    assert lost.tolist() == [3, 4, 9, *range(96, 192)]


def test_the_columns_survive_the_parquet_file(tmp_path):
    market, _ = read(tmp_path, wind_frame())
    market.to_frame().to_parquet(tmp_path / "market.parquet", index=False)
    back = Market.from_frame(pd.read_parquet(tmp_path / "market.parquet"))
    pd.testing.assert_frame_equal(back.to_frame(), market.to_frame())
    assert set(back.extras) == set(market.extras)


def test_finer_values_are_averaged_and_hourly_ones_stand_for_their_blocks(tmp_path):
    fine = wind_frame()
    values = fine["Wind (MW)"].to_numpy().reshape(16, 24, 4)
    market, rules = read(tmp_path, fine, freq="h")
    frame = feature_frame(market, market.dates[[10]], rules)
    np.testing.assert_allclose(frame["ext_0900_wind_mw"], values[10].mean(axis=1))
    hourly = wind_frame(minutes=60)
    market, rules = read(tmp_path, hourly)
    frame = feature_frame(market, market.dates[[10]], rules)
    expected = np.repeat(hourly["Wind (MW)"].to_numpy().reshape(16, 24)[10], 4)
    np.testing.assert_array_equal(frame["ext_0900_wind_mw"], expected)


def test_some_columns_only(tmp_path):
    market, _ = read(tmp_path, wind_frame(), columns=("temperature",))
    assert [n for n in market.extras if n.startswith("ext_")] == ["ext_0900_temperature"]
    with pytest.raises(DataError, match=r"wind.csv.*no column 'solar'.*wind \(mw\)"):
        read(tmp_path, wind_frame(), columns=("solar",))


def test_a_wrong_file_is_refused_with_its_place(tmp_path):
    wind = wind_frame().astype(object)
    wind.loc[5, "Wind (MW)"] = "calm"
    with pytest.raises(DataError, match=r"wind.csv, row 7, column 'Wind \(MW\)': 'calm'"):
        read(tmp_path, wind)
    twice = pd.concat([wind_frame().iloc[:6], wind_frame().iloc[5:]])
    with pytest.raises(DataError, match=r"row 8.*same block"):
        read(tmp_path, twice)
    revised = pd.concat([wind_frame(), wind_frame().iloc[90:96]])  # appended later
    with pytest.raises(DataError, match=r"row 1538.*same block as row 92"):
        read(tmp_path, revised)
    with pytest.raises(DataError, match="is not there"):
        read_market(tmp_path / "prices", rules_with(tmp_path / "none.csv"))
    with pytest.raises(DataError, match="no single table"):
        read(tmp_path, wind_frame().rename(columns={"delivery_start": "time"}))


@pytest.mark.parametrize(("minutes", "shift"), [(15, "-330min"), (60, "60min"), (15, "15min")])
def test_labels_of_another_clock_are_refused(tmp_path, minutes, shift):
    wind = wind_frame(minutes=minutes)
    starts = pd.to_datetime(wind["delivery_start"]) + pd.Timedelta(shift)
    wind["delivery_start"] = starts.dt.strftime("%Y-%m-%d %H:%M")
    with pytest.raises(DataError, match=r"wind.csv starts at .* instead of 00:00.*in IST"):
        read(tmp_path, wind)


def test_a_name_tells_when_it_is_known():
    assert published_minute("ext_0930_wind") == 570
    assert published_minute("ext_2400_wind") == 1440
    for name in ("dam_mcv_mw", "ext_wind", "ext_0960_wind", "ext_0900_"):
        assert published_minute(name) is None


def test_the_parameters_are_typed(tmp_path):
    for bad, words in (
        ({"file": "a.csv", "published": "25:00", "columns": "all"}, "external.0.published"),
        ({"file": "a.csv", "published": "09:00", "columns": "some"}, "external.0.columns"),
        ({"file": "a.csv", "publish": "09:00", "columns": "all"}, "did you mean 'published'"),
    ):
        with pytest.raises(ParameterError, match=words):
            load_params(external=[bad])
    (given,) = load_params(
        external=[{"file": "a.csv", "published": "09:00", "columns": ["x"]}]
    ).market.external
    assert (given.published, given.columns) == (540, ("x",))
