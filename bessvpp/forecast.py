"""LightGBM quantile models of both markets, and their recalibration day by day.

The only module that knows LightGBM. Models are kept in its own text format, which runs
nothing when it is loaded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from bessvpp.artefacts import RunFolder
from bessvpp.conformal import DayShifts, day_shifts, shifted
from bessvpp.errors import DataError, MissingArtefactError
from bessvpp.features import anchor, delivery_starts, gate_time
from bessvpp.market import Market
from bessvpp.params import ForecastParams, MarketParams, level_name

MARKETS = ("dam", "rtm")


@dataclass(frozen=True)
class Splits:
    """Days in time order, each (n,) datetime64[D]; no day is in two of them."""

    train: np.ndarray
    calibration: np.ndarray
    test: np.ndarray

    @property
    def out_of_sample(self) -> np.ndarray:
        """Days that no model was fitted on."""
        return np.concatenate([self.calibration, self.test])


def split_days(market: Market, params: ForecastParams) -> Splits:
    """Warm-up, training, calibration and test days of a market, in time order.

    Days without a full set of prices are left out, and counted in none of the splits.

    Raises
    ------
    DataError
        where too few days are left to train on.
    """
    usable = market.dates[params.warmup_days :][~market.excluded[params.warmup_days :]]
    held_out = params.calibration_days + params.test_days
    n_train = len(usable) - held_out
    if n_train < params.warmup_days:
        raise DataError(
            f"too few days: {len(usable)} complete days after {params.warmup_days} of warm-up, "
            f"less {params.calibration_days} for calibration and {params.test_days} for the "
            f"test, leave {max(n_train, 0)} to train on, and at least {params.warmup_days} are "
            "needed. Give more data, or lower calibration_days or test_days"
        )
    return Splits(
        usable[:n_train], usable[n_train : -params.test_days], usable[-params.test_days :]
    )


@dataclass(frozen=True)
class QuantileForecast:
    """Quantile forecasts of one market: D days, T blocks, L levels."""

    market: str  # "dam" or "rtm"
    dates: np.ndarray  # (D,) datetime64[D]
    split: np.ndarray  # (D,) "calibration" or "test"
    levels: tuple[float, ...]  # L
    values: np.ndarray  # (D, T, L) Rs/MWh, rising along the levels

    def on(self, dates: np.ndarray) -> QuantileForecast:
        """The same on some of its days; ``DataError`` where one is missing."""
        index = np.searchsorted(self.dates, dates)
        found = index < len(self.dates)
        if not found.all() or not np.array_equal(self.dates[index], dates):
            missing = ", ".join(str(day) for day in dates if day not in self.dates)
            raise DataError(
                f"no {self.market.upper()} forecast of {missing}: the week before lacks prices; "
                "add the missing downloads"
            )
        return replace(
            self, dates=self.dates[index], split=self.split[index], values=self.values[index]
        )

    def level(self, level: float) -> np.ndarray:
        """(D, T) forecasts of one level."""
        return self.values[:, :, self.levels.index(level)]

    def to_frame(self) -> pd.DataFrame:
        """One row a block: ``delivery_start, market, split`` and a column a level."""
        n_blocks = self.values.shape[1]
        starts = [delivery_starts(date, n_blocks) for date in self.dates]
        frame = pd.DataFrame({"delivery_start": starts[0].append(starts[1:])})
        frame["market"] = self.market
        frame["split"] = np.repeat(self.split, n_blocks)
        for k, level in enumerate(self.levels):
            frame[level_name(level)] = self.values[:, :, k].ravel()
        return frame


def read_forecasts(run: RunFolder, fan: str, levels: tuple[float, ...]) -> dict:
    """Forecasts of both markets from a run's ``forecasts_<fan>.parquet``."""
    frame = run.read_frame(f"forecasts_{fan}.parquet")
    names = [level_name(level) for level in levels]
    missing = [name for name in names if name not in frame]
    if missing:
        raise MissingArtefactError(
            f"forecasts_{fan}.parquet has no column {', '.join(missing)}: "
            "run 02_quantile_models again with these levels"
        )
    forecasts = {}
    for market, rows in frame.groupby("market", sort=True):
        local = rows["delivery_start"].dt.tz_localize(None)
        dates = local.to_numpy().astype("datetime64[D]")
        unique, first = np.unique(dates, return_index=True)
        n_blocks = len(rows) // len(unique)
        forecasts[market] = QuantileForecast(
            market,
            unique,
            rows["split"].to_numpy(dtype=str)[first],
            levels,
            rows[names].to_numpy().reshape(len(unique), n_blocks, len(levels)),
        )
    return forecasts


def write_forecasts(run: RunFolder, fan: str, forecasts: Mapping[str, QuantileForecast]) -> Path:
    """Write both markets as a run's ``forecasts_<fan>.parquet``."""
    frames = [forecasts[market].to_frame() for market in MARKETS]
    return run.write_frame(f"forecasts_{fan}.parquet", pd.concat(frames, ignore_index=True))


# ---------------------------------------------------------------------- models


def train(
    market: str,
    features: pd.DataFrame,
    target: np.ndarray,
    params: ForecastParams,
    jobs: int = 1,
) -> dict[float, lightgbm.Booster]:
    """One model a level, of the price's distance from its anchor.

    Each is fitted by one thread, so the number of cores changes no tree.

    Parameters
    ----------
    features : (N, 1 + F) design matrix, ``delivery_start`` first
    target : (N,) prices; rows without a price or an anchor are left out
    """
    distance = target - anchor(features, market)
    known = np.isfinite(distance)
    x = features.drop(columns="delivery_start")
    data = x[known].to_numpy(), distance[known]
    boosters = Parallel(n_jobs=jobs, prefer="threads")(
        delayed(_train_level)(*data, list(x), level, params) for level in params.levels
    )
    return dict(zip(params.levels, boosters, strict=True))


def _train_level(
    x: np.ndarray, y: np.ndarray, names: list[str], level: float, params: ForecastParams
) -> lightgbm.Booster:
    settings = params.lightgbm.model_dump() | {
        "objective": "quantile",
        "alpha": level,
        "seed": params.model_seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    dataset = lightgbm.Dataset(x, y, feature_name=names, free_raw_data=True)
    return lightgbm.train(settings, dataset, num_boost_round=params.n_estimators)


def save_models(run: RunFolder, market: str, models: Mapping[float, lightgbm.Booster]) -> None:
    """Write ``models/<market>/q10.txt`` and so on."""
    for level, booster in models.items():
        name = f"models/{market}/{level_name(level)}.txt"
        run.write_text(name, booster.model_to_string())


def save_splits(run: RunFolder, splits: Splits) -> None:
    """Write which days the models were fitted on, and from which day on they were not."""
    run.write_json(
        "models/splits.json",
        {
            "first_train_day": str(splits.train[0]),
            "last_train_day": str(splits.train[-1]),
            "first_out_of_sample_day": str(splits.calibration[0]),
            "n_train_days": len(splits.train),
        },
    )


def load_models(
    run: RunFolder, market: str, levels: tuple[float, ...]
) -> dict[float, lightgbm.Booster]:
    """Read a market's models back; ``MissingArtefactError`` names what is missing."""
    folder = run.existing("models") / market
    models = {}
    for level in levels:
        path = folder / f"{level_name(level)}.txt"
        if not path.exists():
            raise MissingArtefactError(f"{path} is not there: run 02_quantile_models first")
        models[level] = lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))
    return models


def predict(
    models: Mapping[float, lightgbm.Booster], features: pd.DataFrame, market: str
) -> np.ndarray:
    """(N, L) predicted prices, anchor plus model, crossings included.

    NaN where no price of the last week is known to anchor to.

    Raises
    ------
    DataError
        where the features are not those that the models were trained on.
    """
    base = anchor(features, market)
    names = [column for column in features if column != "delivery_start"]
    trained_on = next(iter(models.values())).feature_name()
    if names != trained_on:
        differing = sorted(set(names) ^ set(trained_on))
        raise DataError(
            f"the models were trained on other features (differing: {', '.join(differing)}): "
            "run 02_quantile_models on these data"
        )
    x = features[names].to_numpy()
    distance = [model.predict(x, num_threads=1) for model in models.values()]
    return base[:, None] + np.column_stack(distance)


def count_crossings(raw: np.ndarray) -> int:
    """Number of neighbouring levels that stand in the wrong order."""
    return int((np.diff(raw, axis=-1) < 0).sum())


def forecast_days(
    models: Mapping[float, lightgbm.Booster],
    features: pd.DataFrame,
    market: str,
    dates: np.ndarray,
    split: np.ndarray,
    rules: MarketParams,
) -> tuple[QuantileForecast, int]:
    """Forecasts for some days, sorted over the levels and within floor and cap.

    Days whose last week has no price of some block cannot be forecast and are left out.

    Parameters
    ----------
    features : frame of ``feature_frame`` that holds all of ``dates``
    dates, split : (D,) days and the name of the split each is in

    Returns
    -------
    forecast, and the number of crossings that sorting removed.
    """
    day = features["delivery_start"].dt.tz_localize(None).to_numpy().astype("datetime64[D]")
    if absent := sorted(set(dates.astype(str)) - set(day.astype(str))):
        raise DataError(f"the features do not hold {', '.join(absent)}: run 01_features again")
    raw = predict(models, features[np.isin(day, dates)], market)
    values = np.sort(raw, axis=1).reshape(len(dates), -1, raw.shape[1])
    anchored = np.isfinite(values).all(axis=(1, 2))
    dates, split, values = dates[anchored], split[anchored], values[anchored]
    caps = np.array([rules.cap_rs_per_mwh(date.astype(dt.date)) for date in dates])
    values = np.clip(values, rules.price_floor_rs_per_mwh, caps[:, None, None])
    return QuantileForecast(market, dates, split, tuple(models), values), count_crossings(raw)


# ---------------------------------------------------------------------- recalibration


def recalibrate_day(
    history: QuantileForecast,
    today: QuantileForecast,
    known: Market,
    params: ForecastParams,
    rules: MarketParams,
) -> tuple[np.ndarray, DayShifts]:
    """Recalibrated forecast of one day, from what is known at its gate.

    Parameters
    ----------
    history : out-of-sample forecasts; only those before the day, and only the last
        ``recalibration_days`` of them, are compared with prices
    today : the forecast of that one day
    known : the market as known at the DAM gate of that day

    Returns
    -------
    (T, L) forecast, and its shifts.
    """
    date = today.dates[0]
    window = history.dates[(history.dates < date) & (history.dates <= known.dates[-1])]
    window = window[-params.recalibration_days :]
    past = history.on(window)
    prices = known.dam_mcp if today.market == "dam" else known.rtm_mcp
    outcome = prices[[known.index_of(day) for day in window]]
    residuals = outcome[:, :, None] - past.values
    shifts = day_shifts(residuals, today.levels, params.min_group_size)
    cap = rules.cap_rs_per_mwh(date.astype(dt.date))
    recalibrated = shifted(today.values[0], shifts.delta, rules.price_floor_rs_per_mwh, cap)
    return recalibrated, shifts


def recalibrate(
    forecast: QuantileForecast,
    market: Market,
    dates: np.ndarray,
    params: ForecastParams,
    rules: MarketParams,
) -> tuple[QuantileForecast, pd.DataFrame]:
    """Recalibrate many days, each from what is known at its own gate.

    Returns
    -------
    forecasts of ``dates``, and the shifts: a row per date, hour and level with the group's
    width, n and rank.
    """
    values, tables = [], []
    per_hour = market.n_blocks // 24
    for date in dates:
        known = market.known_at(gate_time(date, rules.dam_gate), rules)
        today = forecast.on(np.array([date]))
        recalibrated, shifts = recalibrate_day(forecast, today, known, params, rules)
        values.append(recalibrated)
        hours, n_levels = np.arange(24), len(forecast.levels)
        tables.append(
            pd.DataFrame(
                {
                    "date": str(date),
                    "market": forecast.market,
                    "hour": np.repeat(hours, n_levels),
                    "level": np.tile(forecast.levels, 24),
                    "delta_rs_per_mwh": shifts.delta[::per_hour].ravel(),
                    "group_hours": shifts.group_hours[::per_hour].ravel(),
                    "n": shifts.n[::per_hour].ravel(),
                    "rank": shifts.rank[::per_hour].ravel(),
                }
            )
        )
    chosen = forecast.on(dates)
    return replace(chosen, values=np.array(values)), pd.concat(tables, ignore_index=True)
