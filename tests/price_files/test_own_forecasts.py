"""A user's own forecasts: read where their meaning is plain, else refused with row and remedy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bessvpp.errors import DataError
from bessvpp.params.load import load_params
from bessvpp.price_files.own_forecasts import read_own_paths, read_own_quantiles

RULES = load_params().market  # cap 10,000 since April 2023, gate at 11:00
LEVELS = (0.1, 0.5, 0.9)
DAYS = ("2024-03-01", "2024-03-02")


def quantile_frame(days=DAYS, minutes=60) -> pd.DataFrame:
    """Rows of DAM and RTM in turn, the price of a row a thousand times its place in the day."""
    starts = pd.date_range(days[0], periods=len(days) * 1440 // minutes, freq=f"{minutes}min")
    frame = pd.DataFrame({"delivery_start": np.repeat(starts.strftime("%Y-%m-%d %H:%M"), 2)})
    frame["market"] = np.tile(["dam", "rtm"], len(starts))
    place = np.repeat(np.arange(len(starts)) % (1440 // minutes), 2)
    for k, name in enumerate(("q10", "q50", "q90")):
        frame[name] = 1000.0 + 20.0 * place + 500.0 * k + 7.0 * (frame["market"] == "rtm")
    return frame


def path_frame(days=DAYS, names=("a", "b", "c")) -> pd.DataFrame:
    starts = pd.date_range(days[0], periods=24 * len(days), freq="h")
    frame = pd.DataFrame(
        [(start, name) for start in starts.strftime("%Y-%m-%d %H:%M") for name in names],
        columns=["delivery_start", "scenario"],
    )
    frame["dam"] = 2000.0 + np.arange(len(frame))
    frame["rtm"] = 3000.0 + np.arange(len(frame))
    return frame


def write(folder, frame, name="mine.csv"):
    path = folder / name
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_quantiles_are_found_by_name_whatever_the_order_of_rows_and_columns(tmp_path, name):
    frame = quantile_frame().sample(frac=1, random_state=1)[
        ["market", "q90", "delivery_start", "q10", "q50"]
    ]
    if name.endswith("parquet"):
        starts = pd.to_datetime(frame["delivery_start"]).dt.tz_localize("Asia/Kolkata")
        frame["delivery_start"] = starts.dt.tz_convert("UTC")
    own = read_own_quantiles(write(tmp_path, frame, name), RULES, LEVELS)
    assert own.dates.astype(str).tolist() == list(DAYS)
    assert own.values["rtm"].shape == (2, 24, 3)
    np.testing.assert_array_equal(own.values["dam"][1, 5], [1100, 1600, 2100])
    np.testing.assert_array_equal(own.values["rtm"][0, 23], [1467, 1967, 2467])
    assert np.isnan(own.p_cap["dam"]).all()
    assert not own.timed


def test_prices_are_on_the_tick_and_within_floor_and_cap(tmp_path):
    frame = quantile_frame()
    frame.loc[0, ["q10", "q50", "q90"]] = [-0.004, 1234.5650001, 10_000.009]
    own = read_own_quantiles(write(tmp_path, frame), RULES, LEVELS)
    assert own.values["dam"][0, 0].tolist() == [0.0, 1234.57, 10_000.0]


def test_one_market_in_rs_per_kwh_is_refused(tmp_path):
    frame = quantile_frame()
    real_time = frame["market"] == "rtm"
    frame.loc[real_time, ["q10", "q50", "q90"]] /= 1000
    with pytest.raises(DataError, match=r"row 3 has .*1\.74 on 2024-03-01.*Rs/kWh"):
        read_own_quantiles(write(tmp_path, frame), RULES, LEVELS)
    paths = path_frame()
    paths["rtm"] /= 1000
    with pytest.raises(DataError, match="Rs/kWh"):
        read_own_paths(write(tmp_path, paths), RULES)


def test_each_day_has_its_own_cap(tmp_path):
    """12,000 until 3 April 2023, 10,000 from then on."""
    frame = quantile_frame(days=("2023-04-03", "2023-04-04"))
    frame.loc[0, "q90"] = 11_000.0
    own = read_own_quantiles(write(tmp_path, frame), RULES, LEVELS)
    assert own.values["dam"][0, 0, 2] == 11_000.0
    frame.loc[48, "q90"] = 11_000.0
    with pytest.raises(DataError, match="above the cap of 10000"):
        read_own_quantiles(write(tmp_path, frame), RULES, LEVELS)


def test_chances_of_cap_and_floor_are_taken_along(tmp_path):
    frame = quantile_frame().assign(p_cap=0.25, p_floor=np.nan, split="test")
    own = read_own_quantiles(write(tmp_path, frame), RULES, LEVELS)
    assert (own.p_cap["rtm"] == 0.25).all()
    assert np.isnan(own.p_floor["dam"]).all()


def test_chances_are_those_of_their_own_market(tmp_path):
    frame = quantile_frame()
    is_rtm = frame["market"] == "rtm"
    frame = frame.assign(p_cap=np.where(is_rtm, 0.3, 0.1), p_floor=np.where(is_rtm, 0.04, 0.02))
    own = read_own_quantiles(write(tmp_path, frame), RULES, LEVELS)
    found = [np.unique(of[market]) for of in (own.p_cap, own.p_floor) for market in ("dam", "rtm")]
    np.testing.assert_array_equal(np.ravel(found), [0.1, 0.3, 0.02, 0.04])


def test_levels_that_were_not_asked_for_are_named(tmp_path):
    own = read_own_quantiles(write(tmp_path, quantile_frame()), RULES, (0.1, 0.5))
    assert own.unused == ("q90",)
    assert own.values["dam"].shape == (2, 24, 2)


def test_quarters_of_an_hour_are_96_blocks(tmp_path):
    own = read_own_quantiles(write(tmp_path, quantile_frame(minutes=15)), RULES, LEVELS)
    assert own.values["dam"].shape == (2, 96, 3)


def test_paths_are_put_in_order_of_their_names_each_day(tmp_path):
    frame = path_frame(names=(10, 9, 2)).sample(frac=1, random_state=2)
    own = read_own_paths(write(tmp_path, frame), RULES)
    assert own.dam.shape == own.rtm.shape == (2, 3, 24)
    # Of each start the rows are 10, 9, 2: as numbers 2 comes first.
    np.testing.assert_array_equal(own.dam[0, :, 0], [2002, 2001, 2000])
    np.testing.assert_array_equal(own.rtm[1, :, 23], [3143, 3142, 3141])


def test_scenarios_may_be_called_otherwise_on_each_day(tmp_path):
    frame = path_frame()
    late = frame["delivery_start"].str.startswith(DAYS[1])
    frame.loc[late, "scenario"] += "2"
    own = read_own_paths(write(tmp_path, frame), RULES)
    assert own.dam.shape == (2, 3, 24)
    np.testing.assert_array_equal(own.dam[1, :, 0], [2072, 2073, 2074])


def test_a_moment_of_making_is_held_against_the_gate_in_indian_time(tmp_path):
    gates = pd.to_datetime(quantile_frame()["delivery_start"]).dt.normalize()
    gates = gates - pd.Timedelta(hours=13)  # 11:00 on the day before
    frame = quantile_frame().assign(made_at=gates.dt.strftime("%Y-%m-%d %H:%M"))
    assert read_own_quantiles(write(tmp_path, frame), RULES, LEVELS).timed
    frame["made_at"] = gates.dt.strftime("%Y-%m-%dT05:30:00+00:00")  # the same, of UTC
    assert read_own_quantiles(write(tmp_path, frame), RULES, LEVELS).timed
    frame.loc[50, "made_at"] = "2024-03-01 11:01"
    told = r"row 52, column 'made_at': 2024-03-01 11:01 is after its gate, 2024-03-01 11:00"
    with pytest.raises(DataError, match=told):
        read_own_quantiles(write(tmp_path, frame), RULES, LEVELS)


def spoilt(row=None, column=None, value=None, drop=(), **columns) -> pd.DataFrame:
    frame = quantile_frame().assign(**columns).astype({"q50": object, "market": object})
    if column:
        frame.loc[row, column] = value
    return frame.drop(columns=list(drop))


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (spoilt(4, "q50", 900.0), r"row 6, column 'q50': 900 lies below q10 with 1040: .*sort"),
        (spoilt(4, "q90", 10_000.5), r"row 6, column 'q90': 10000.5 lies above the cap of 10000"),
        (spoilt(4, "q10", -1.0), r"row 6, column 'q10': -1 lies below 0 Rs/MWh"),
        (spoilt(4, "q50", ""), r"row 6, column 'q50': has no price"),
        (spoilt(4, "q50", "many"), r"row 6, column 'q50': 'many' is no number"),
        (spoilt(4, "market", "gdam"), r"row 6, column 'market': 'gdam' is no market; write dam"),
        (spoilt(4, "market", "rtm"), r"row 7 has the same RTM and block as row 6: keep"),
        (spoilt(drop=["q90"]), r"row 1 has no column q90 of the levels in params/forecast.yaml"),
        (spoilt(drop=["market"]), r"row 1 has no column market"),
        (spoilt(drop=["delivery_start"]), r"mine\.csv is no single table with .*delivery_start"),
        (spoilt(mean=1.0), r"row 1 has a column 'mean', which is not known"),
        (spoilt(**{"q0.1": 1.0}), r"column 'q0\.1', .* a level of 10 % is q10"),
        (spoilt(p_cap=1.5), r"row 2, column 'p_cap': 1\.5 is no chance"),
        (spoilt(made_at="soon"), r"row 2, column 'made_at': 'soon' is no moment"),
        (spoilt(3, "delivery_start", "03/02/2024 01:00"), r"row 5, .*is written unlike the rows"),
        (spoilt(3, "delivery_start", "2024-03-01 01:07"), r"row 5, .*no start of a 15-minute"),
        (quantile_frame().drop(index=9), r"has no RTM of 2024-03-01 at 04:00: give whole days"),
        (quantile_frame()[lambda f: (f["market"] == "dam") | (f.index < 48)],
         r"has 1 of 2 \(DAM, RTM, \.\.\.\) on 2024-03-02"),
        (quantile_frame().assign(**{q: quantile_frame()[q] / 1000 for q in ("q10", "q50", "q90")}),
         r"row 2 has a median price of 1\.73\d* on 2024-03-01, .*Rs/kWh: give all prices in Rs"),
        (path_frame(), r"has the columns of another kind: the file holds paths: give it as own_p"),
        (quantile_frame().iloc[2:], r"starts at 01:00 instead of 00:00, so its labels seem to be"),
    ],
)  # fmt: skip
def test_quantiles_that_cannot_be_trusted_are_refused_with_row_and_remedy(tmp_path, frame, told):
    with pytest.raises(DataError, match=told):
        read_own_quantiles(write(tmp_path, frame), RULES, LEVELS)


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (path_frame().drop(index=4), r"has no scenario b of 2024-03-01 at 01:00: give whole days"),
        (path_frame()[lambda f: (f["scenario"] != "c") | (f.index < 72)],
         r"has 2 of 3 \(scenario a, scenario b, \.\.\.\) on 2024-03-02: give every day as many"),
        (path_frame().assign(scenario="a"), r"row 3 has the same scenario a and block as row 2"),
        (path_frame().assign(scenario=""), r"row 2, column 'scenario': is blank"),
        (path_frame().assign(weight=0.1), r"'weight', .*paths are equally likely"),
        (path_frame().assign(rtm=20_000.0), r"row 2, column 'rtm': 20000 lies above the cap"),
        (path_frame().assign(dam=5.2), r"row 2 has a median price of 5\.2 .*Rs/kWh"),
        (quantile_frame(), r"another kind: the file holds quantiles: give it as own_quantiles"),
    ],
)  # fmt: skip
def test_paths_that_cannot_be_trusted_are_refused_with_row_and_remedy(tmp_path, frame, told):
    with pytest.raises(DataError, match=told):
        read_own_paths(write(tmp_path, frame), RULES)


def test_a_file_that_is_none_is_told_by_its_name(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv"):
        read_own_paths(tmp_path / "nowhere.csv", RULES)
