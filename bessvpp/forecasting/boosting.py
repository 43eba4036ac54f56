"""LightGBM models of both markets: quantiles, and the chance of a price at floor or cap.

The only module that knows LightGBM. Models are kept in its own text format, which runs
nothing when it is loaded. They are refitted as time goes on (``walk_forward``), each time on
the days that are wholly known at the gate of the first day that they forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from bessvpp.errors import DataError, MissingArtefactError
from bessvpp.forecasting.features import anchor, delivery_starts, design, gate_time
from bessvpp.market.history import Market
from bessvpp.params.load import ForecastParams, LightGBMParams, MarketParams, level_name
from bessvpp.runs.folder import RunFolder

MARKETS = ("dam", "rtm")
ATOMS = ("floor", "cap")
_LEAST_ATOM_DAYS = 10  # days with a price on an atom from which its chance can be learnt


def train(
    market: str,
    features: pd.DataFrame,
    target: np.ndarray,
    at_atom: Mapping[str, np.ndarray],
    params: ForecastParams,
    jobs: int = 1,
) -> MarketModels:
    """One model a level, of the price's distance from its anchor, and one an atom.

    Each is fitted by one thread, so the number of cores changes no tree.

    Parameters
    ----------
    features : (N, 1 + F) design matrix, ``delivery_start`` first
    target : (N,) prices; rows without a price or an anchor are left out
    at_atom : for each of ``ATOMS`` (N,) bool, whether the price sits on it; an atom met on
        fewer than ten days is not modelled
    """
    distance = target - anchor(features, market)
    known = np.isfinite(distance)
    x = design(features, market)[known]
    goals = {
        level: ({"objective": "quantile", "alpha": level}, distance[known])
        for level in params.levels
    }
    day = day_of(features)[known]
    for atom, hit in at_atom.items():
        hit = hit[known]
        if len(np.unique(day[hit])) >= _LEAST_ATOM_DAYS and not hit.all():
            goals[atom] = ({"objective": "binary"}, hit.astype(float))
    boosters = Parallel(n_jobs=jobs, prefer="threads")(
        delayed(fit)(x, y, objective, params.lightgbm, params.n_estimators, params.model_seed)
        for objective, y in goals.values()
    )
    fitted = dict(zip(goals, boosters, strict=True))
    return MarketModels(
        {level: fitted[level] for level in params.levels},
        {atom: fitted[atom] for atom in ATOMS if atom in fitted},
        day.max(),
    )


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


def split_days(market: Market, params: ForecastParams, markets: Sequence[str] = MARKETS) -> Splits:
    """Warm-up, training, calibration and test days of a market, in time order.

    Days without a full set of prices in ``markets`` are left out, and counted in none of the
    splits.

    Raises
    ------
    DataError
        where too few days are left to train on.
    """
    complete = np.all([complete_days(market, name) for name in markets], axis=0)
    usable = market.dates[params.warmup_days :][complete[params.warmup_days :]]
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


def prices_of(market: Market, name: str) -> np.ndarray:
    """(D, T) prices of one of the two markets."""
    return market.dam_mcp if name == "dam" else market.rtm_mcp


def complete_days(market: Market, name: str) -> np.ndarray:
    """(D,) bool: every price of one market is known, blocks without trade aside."""
    known = np.isfinite(prices_of(market, name))
    return (known | market.rtm_no_trade if name == "rtm" else known).all(axis=1)


@dataclass(frozen=True)
class QuantileForecast:
    """Quantile forecasts of one market: D days, T blocks, L levels."""

    market: str  # "dam" or "rtm"
    dates: np.ndarray  # (D,) datetime64[D]
    split: np.ndarray  # (D,) "calibration" or "test"
    levels: tuple[float, ...]  # L
    values: np.ndarray  # (D, T, L) Rs/MWh, rising along the levels
    p_floor: np.ndarray | None = None  # (D, T) chance of a price at the floor; NaN: not modelled
    p_cap: np.ndarray | None = None  # (D, T) chance of a price at the cap; NaN: not modelled

    def __post_init__(self) -> None:
        for name in ("p_floor", "p_cap"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.full(self.values.shape[:2], np.nan))

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
            self,
            dates=self.dates[index],
            split=self.split[index],
            values=self.values[index],
            p_floor=self.p_floor[index],
            p_cap=self.p_cap[index],
        )

    def followed_by(self, later: QuantileForecast) -> QuantileForecast:
        """These days and then later ones."""
        arrays = {
            key: np.concatenate([getattr(self, key), getattr(later, key)])
            for key in ("dates", "split", "values", "p_floor", "p_cap")
        }
        return replace(self, **arrays)

    def chances_on(self, date: np.datetime64) -> tuple[np.ndarray, np.ndarray]:
        """(T,) chances of the floor and of the cap on one day."""
        day = self.on(np.array([date]))
        return day.p_floor[0], day.p_cap[0]

    def level(self, level: float) -> np.ndarray:
        """(D, T) forecasts of one level."""
        return self.values[:, :, self.levels.index(level)]

    def to_frame(self) -> pd.DataFrame:
        """One row a block: ``delivery_start, market, split``, a column a level, ``p_*``."""
        n_blocks = self.values.shape[1]
        starts = [delivery_starts(date, n_blocks) for date in self.dates]
        frame = pd.DataFrame({"delivery_start": starts[0].append(starts[1:])})
        frame["market"] = self.market
        frame["split"] = np.repeat(self.split, n_blocks)
        for k, level in enumerate(self.levels):
            frame[level_name(level)] = self.values[:, :, k].ravel()
        frame["p_floor"], frame["p_cap"] = self.p_floor.ravel(), self.p_cap.ravel()
        return frame


def read_forecasts(run: RunFolder, fan: str, levels: tuple[float, ...]) -> dict:
    """Forecasts of both markets from a run's ``forecasts_<fan>.parquet``."""
    frame = run.read_frame(f"forecasts_{fan}.parquet")
    names = [*(level_name(level) for level in levels), "p_floor", "p_cap"]
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
        values = rows[names].to_numpy().reshape(len(unique), -1, len(names))
        forecasts[market] = QuantileForecast(
            market,
            unique,
            rows["split"].to_numpy(dtype=str)[first],
            levels,
            values[:, :, :-2],
            values[:, :, -2],
            values[:, :, -1],
        )
    return forecasts


def write_forecasts(run: RunFolder, fan: str, forecasts: Mapping[str, QuantileForecast]) -> Path:
    """Write both markets as a run's ``forecasts_<fan>.parquet``."""
    frames = [forecasts[market].to_frame() for market in MARKETS]
    return run.write_frame(f"forecasts_{fan}.parquet", pd.concat(frames, ignore_index=True))


# ---------------------------------------------------------------------- models


@dataclass(frozen=True)
class MarketModels:
    """Fitted models of one market and one training window."""

    quantiles: Mapping[float, lightgbm.Booster]  # by level
    atoms: Mapping[str, lightgbm.Booster]  # "floor", "cap": those that occurred often enough
    last_train_day: np.datetime64


def fit(
    x: pd.DataFrame,
    y: np.ndarray,
    objective: Mapping[str, object],
    settings: LightGBMParams,
    n_estimators: int,
    seed: int,
) -> lightgbm.Booster:
    """One model, by one thread: the same numbers give the same trees on any machine.

    Parameters
    ----------
    x, y : (N, F) features and (N,) goals, no goal missing
    objective : LightGBM's ``objective``, and what it takes
    """
    dataset = lightgbm.Dataset(x.to_numpy(), y, feature_name=list(x), free_raw_data=True)
    told = {
        **objective,
        **settings.model_dump(),
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    return lightgbm.train(told, dataset, num_boost_round=n_estimators)


@dataclass(frozen=True)
class WalkForward:
    """Forecasts of one market by models that were refitted as time went on."""

    forecast: QuantileForecast
    n_crossings: int  # neighbouring levels in the wrong order before sorting
    models: Mapping[int, MarketModels]  # of the last refit, by training window [days], 0: all
    refits: pd.DataFrame  # a row a refit: first day forecast, last day and number trained on


def walk_forward(
    name: str,
    features: pd.DataFrame,
    market: Market,
    splits: Splits,
    params: ForecastParams,
    rules: MarketParams,
    jobs: int = 1,
) -> WalkForward:
    """Forecast all days out of sample, refitting every ``retrain_every_days``.

    The models of a day see the days from the first training day on that are wholly known at
    the gate of the day of their refit; with ``retrain_every_days`` 0 there is one fit, for the
    first day out of sample. With several training windows the forecast is their average.
    """
    dates = splits.out_of_sample
    split = np.repeat(["calibration", "test"], [len(splits.calibration), len(splits.test)])
    age = (dates - dates[0]).astype(int)
    generation = age // params.retrain_every_days if params.retrain_every_days else age * 0
    parts, refits, crossings = [], [], 0
    for k in np.unique(generation):
        of_refit = generation == k
        first = dates[of_refit][0]
        known = market.known_at(gate_time(first, rules.dam_gate), rules)
        trainable = known.dates[complete_days(known, name) & (known.dates >= splits.train[0])]
        models = {}
        for window in params.train_window_days:
            days = trainable[trainable >= first - window] if window else trainable
            models[window] = train(
                name, *training_set(name, features, known, days, rules), params, jobs
            )
        part, n_crossed = forecast_days(
            models, features, name, dates[of_refit], split[of_refit], rules
        )
        parts.append(part)
        crossings += n_crossed
        refits.append(
            {"first_day": first, "last_train_day": trainable[-1], "n_train_days": len(trainable)}
        )
    return WalkForward(
        reduce(QuantileForecast.followed_by, parts), crossings, models, pd.DataFrame(refits)
    )


def training_set(
    name: str, features: pd.DataFrame, known: Market, days: np.ndarray, rules: MarketParams
) -> tuple[pd.DataFrame, np.ndarray, dict[str, np.ndarray]]:
    """Features of some days, their prices (N,), and which of these sit on an atom."""
    rows = features[np.isin(day_of(features), days)]
    place = [known.index_of(day) for day in days]
    prices = prices_of(known, name)[place]
    at_atom = {
        "floor": prices <= rules.price_floor_rs_per_mwh,
        "cap": prices >= rules.caps_rs_per_mwh(days)[:, None],
    }
    return rows, prices.ravel(), {atom: hit.ravel() for atom, hit in at_atom.items()}


def save_models(run: RunFolder, market: str, models: Mapping[int, MarketModels]) -> None:
    """Write ``models/<market>/q10.txt``, ``cap.txt`` and so on, and which they are.

    The first training window lies in that folder itself, each further one in
    ``models/<market>/last_<days>_days``.
    """
    listed = {}
    for window, fitted in models.items():
        folder = _model_folder(market, window, next(iter(models)))
        named = {level_name(level): model for level, model in fitted.quantiles.items()}
        for name, booster in (named | dict(fitted.atoms)).items():
            run.write_text(f"{folder}/{name}.txt", booster.model_to_string())
        listed[folder] = {
            "window_days": window,
            "atoms": list(fitted.atoms),
            "last_train_day": str(fitted.last_train_day),
        }
    run.write_json(f"models/{market}/models.json", listed)


def _model_folder(market: str, window: int, first: int) -> str:
    return f"models/{market}" + ("" if window == first else f"/last_{window}_days")


def save_splits(run: RunFolder, splits: Splits) -> None:
    """Write which days the models were first fitted on, and from when on they were not."""
    run.write_json(
        "models/splits.json",
        {
            "first_train_day": str(splits.train[0]),
            "last_train_day": str(splits.train[-1]),
            "first_out_of_sample_day": str(splits.out_of_sample[0]),
            "n_train_days": len(splits.train),
        },
    )


def load_models(run: RunFolder, market: str, levels: tuple[float, ...]) -> dict[int, MarketModels]:
    """Read a market's models back; ``MissingArtefactError`` names what is missing."""
    run.existing("models")
    listed = run.read_json(f"models/{market}/models.json")
    models = {}
    for folder, entry in listed.items():
        if "last_train_day" not in entry:
            raise MissingArtefactError(
                f"models/{market}/models.json does not say which day was the last to train on: "
                "run 02_quantile_models again"
            )
        models[entry["window_days"]] = MarketModels(
            {level: read_model(run.path / folder / f"{level_name(level)}.txt") for level in levels},
            {atom: read_model(run.path / folder / f"{atom}.txt") for atom in entry["atoms"]},
            np.datetime64(entry["last_train_day"]),
        )
    return models


def read_model(path: Path) -> lightgbm.Booster:
    """A model in LightGBM's own text format."""
    if not path.exists():
        raise MissingArtefactError(f"{path} is not there: run 02_quantile_models first")
    return lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))


def predict(models: MarketModels, features: pd.DataFrame, market: str) -> np.ndarray:
    """(N, L) predicted prices, anchor plus model, crossings included.

    NaN where no price of the last week is known to anchor to.

    Raises
    ------
    DataError
        where the features are not those that the models were trained on.
    """
    x = design(features, market)
    trained_on = next(iter(models.quantiles.values())).feature_name()
    if list(x) != trained_on:
        differing = sorted(set(x) ^ set(trained_on))
        raise DataError(
            f"the models were trained on other features (differing: {', '.join(differing)}): "
            "run 02_quantile_models on these data"
        )
    distance = [model.predict(x.to_numpy(), num_threads=1) for model in models.quantiles.values()]
    return anchor(features, market)[:, None] + np.column_stack(distance)


def predict_atoms(models: MarketModels, features: pd.DataFrame, market: str) -> np.ndarray:
    """(N, 2) chances of a price at the floor and at the cap; NaN where not modelled."""
    x = design(features, market).to_numpy()
    chances = np.full((len(x), len(ATOMS)), np.nan)
    for k, atom in enumerate(ATOMS):
        if atom in models.atoms:
            chances[:, k] = models.atoms[atom].predict(x, num_threads=1)
    return chances


def count_crossings(raw: np.ndarray) -> int:
    """Number of neighbouring levels that stand in the wrong order."""
    return int((np.diff(raw, axis=-1) < 0).sum())


def forecast_days(
    models: Mapping[int, MarketModels],
    features: pd.DataFrame,
    market: str,
    dates: np.ndarray,
    split: np.ndarray,
    rules: MarketParams,
) -> tuple[QuantileForecast, int]:
    """Forecasts for some days: averaged over the models, sorted, joined with the atoms.

    Days whose last week has no price of some block cannot be forecast and are left out.

    Parameters
    ----------
    models : by training window
    features : frame of ``feature_frame`` that holds all of ``dates``
    dates, split : (D,) days and the name of the split each is in

    Returns
    -------
    forecast, and the number of crossings that sorting removed.
    """
    day = day_of(features)
    if absent := sorted(set(dates.astype(str)) - set(day.astype(str))):
        raise DataError(f"the features do not hold {', '.join(absent)}: run 01_features again")
    rows = features[np.isin(day, dates)]
    raw = np.mean([predict(fitted, rows, market) for fitted in models.values()], axis=0)
    chances = np.mean([predict_atoms(fitted, rows, market) for fitted in models.values()], axis=0)
    values = np.sort(raw, axis=1).reshape(len(dates), -1, raw.shape[1])
    p_floor, p_cap = chances.reshape(*values.shape[:2], len(ATOMS)).transpose(2, 0, 1)
    anchored = np.isfinite(values).all(axis=(1, 2))
    found = QuantileForecast(
        market,
        dates[anchored],
        split[anchored],
        tuple(next(iter(models.values())).quantiles),
        values[anchored],
        p_floor[anchored],
        p_cap[anchored],
    )
    caps = rules.caps_rs_per_mwh(found.dates)[:, None]
    values = with_atoms(found, rules.price_floor_rs_per_mwh, caps)
    return replace(found, values=values), count_crossings(raw)


def with_atoms(forecast: QuantileForecast, floor: float, cap: np.ndarray) -> np.ndarray:
    """Quantiles within floor and cap that sit on the cap exactly as often as ``p_cap`` says.

    A level of at least ``1 - p_cap`` is the cap. A lower one that reached the cap is put on
    the line from the last level below the cap to ``(1 - p_cap, cap)``. The floor is the mirror
    image. Where a chance is not modelled, levels are only kept within floor and cap.

    Parameters
    ----------
    cap : (D, 1)

    Returns
    -------
    (D, T, L)
    """
    levels = np.array(forecast.levels)
    values = np.clip(forecast.values, floor, cap[:, :, None])
    values = _with_upper_atom(values, levels, forecast.p_cap, cap, floor)
    mirrored = _with_upper_atom(
        -values[:, :, ::-1], 1 - levels[::-1], forecast.p_floor, np.full_like(cap, -floor), -cap
    )
    return np.maximum.accumulate(-mirrored[:, :, ::-1], axis=2)


def _with_upper_atom(
    values: np.ndarray, levels: np.ndarray, chance: np.ndarray, top: np.ndarray, bottom: object
) -> np.ndarray:
    top = np.broadcast_to(top, chance.shape)[:, :, None]
    reached = 1 - np.nan_to_num(chance)[:, :, None]  # the level from which on it is the atom
    on_atom, free = levels >= reached, values < top
    n_free = (free & ~on_atom).sum(axis=2, keepdims=True)  # values rise, so these come first
    last = np.maximum(n_free - 1, 0)
    level = np.where(n_free > 0, levels[last], 0.0)
    value = np.where(
        n_free > 0,
        np.take_along_axis(values, last, axis=2),
        np.broadcast_to(bottom, chance.shape)[:, :, None],
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        line = value + (top - value) * (levels - level) / (reached - level)
    joined = np.where(on_atom, top, np.where(free, values, line))
    return np.where(np.isnan(chance)[:, :, None], values, joined)


def day_of(features: pd.DataFrame) -> np.ndarray:
    """(N,) delivery day of each row."""
    return features["delivery_start"].dt.tz_localize(None).to_numpy().astype("datetime64[D]")
