"""A user's own forecasts in place of ours.

Own quantiles stand in place of the models' forecasts from chapter 2 on, own paths in place of both
fans from chapter 4 on. Every later page says so (``own_said``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bessvpp.calibration.methods import AS_FORECAST
from bessvpp.errors import DataError
from bessvpp.files import PROJECT_ROOT
from bessvpp.forecasting.quantiles import QuantileForecast, with_atoms
from bessvpp.market.history import MARKETS
from bessvpp.params.fields import MINUTES_PER_DAY
from bessvpp.params.load import Params
from bessvpp.params.market import MarketParams
from bessvpp.price_files.own_forecasts import (
    OwnPaths,
    OwnQuantiles,
    read_own_paths,
    read_own_quantiles,
)
from bessvpp.prices import PriceScenarios
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.own_said import records, say_none, say_paths, say_quantiles, told_of


def own_file(params: Params, key: str) -> Path:
    """File that a parameter of ``OWN`` names; a relative one starts at the project's root."""
    path: Path = PROJECT_ROOT / Path(getattr(params.forecast, key)).expanduser()
    if not path.is_file():
        raise DataError(f"{path}: no such file ({key} of params/forecast.yaml)")
    return path


# ---------------------------------------------------------------------- quantiles


def quantiles_in_force(
    run: RunFolder, made: Mapping[str, QuantileForecast], params: Params
) -> dict[str, QuantileForecast]:
    """Forecasts of the days out of sample to go on with: those ``made``, or the user's own.

    Calibration days that the file lacks stay as they were made; chapter 3 then has nothing to
    recalibrate by (``taken_quantiles``).

    Raises
    ------
    DataError
        where the file lacks a test day, or cannot be trusted.
    """
    if not params.forecast.own_quantiles:
        say_none(run, "own_quantiles")
        return dict(made)
    own = read_quantiles(params, made["dam"].values.shape[1])
    lacking = np.unique(
        np.concatenate([of.dates[~np.isin(of.dates, own.dates)] for of in made.values()])
    )
    tested = np.concatenate([of.dates[of.split == "test"] for of in made.values()])
    refuse_missing(
        own.source, np.intersect1d(lacking, tested), "add them: every test day is planned on them"
    )
    say_quantiles(run, own, params, lacking)
    placed = with_own(made, own, params.market)
    return {name: placed[name].on(of.dates) for name, of in made.items()}


def taken_quantiles(run: RunFolder, params: Params) -> tuple[str, ...]:
    """What is said of own quantiles, which can be recalibrated as the parameters ask.

    Raises
    ------
    DataError
        where they lack calibration days and are to be recalibrated.
    """
    method = params.forecast.recalibration
    for record in records(run, "own_quantiles"):
        if method != AS_FORECAST:
            refuse_missing(
                record["name"],
                np.array(record["lacking"], dtype="datetime64[D]"),
                f"recalibration ({method}) learns from their misses on calibration days: add "
                f"them, or set recalibration: {AS_FORECAST}",
            )
    return told_of(run, "own_quantiles")


def read_quantiles(params: Params, n_blocks: int) -> OwnQuantiles:
    """The user's own quantiles, in blocks of the market's length."""
    own = read_own_quantiles(
        own_file(params, "own_quantiles"), params.market, params.forecast.levels
    )
    refuse_other_blocks(own.source, own.values["dam"].shape[1], n_blocks)
    return own


def with_own(
    made: Mapping[str, QuantileForecast], own: OwnQuantiles, rules: MarketParams
) -> dict[str, QuantileForecast]:
    """All days of both; the own ones where there are two."""
    placed = {}
    for name, given in forecasts_of(own, rules).items():
        of = made[name]
        known = dict(zip(of.dates.tolist(), of.split.tolist(), strict=True))
        split = [known.get(day, "test") for day in own.dates.tolist()]
        given = replace(given, split=np.array(split))
        both = of.on(of.dates[~np.isin(of.dates, own.dates)]).followed_by(given)
        order = np.argsort(both.dates)
        arrays = ("dates", "split", "values", "p_floor", "p_cap")
        placed[name] = replace(both, **{key: getattr(both, key)[order] for key in arrays})
    return placed


def forecasts_of(own: OwnQuantiles, rules: MarketParams) -> dict[str, QuantileForecast]:
    """Own quantiles as forecasts, joined with the chances that they state."""
    split, caps = np.repeat("test", len(own.dates)), rules.caps_rs_per_mwh(own.dates)[:, None]
    found = {}
    for name in MARKETS:
        of = QuantileForecast(
            name,
            own.dates,
            split,
            own.levels,
            own.values[name],
            own.p_floor[name],
            own.p_cap[name],
        )
        found[name] = replace(of, values=with_atoms(of, rules.price_floor_rs_per_mwh, caps))
    return found


# ---------------------------------------------------------------------- paths


def take_paths(run: RunFolder, params: Params) -> tuple[str, ...]:
    """Record a user's own paths, or that there are none; all that is said of own forecasts."""
    if not params.forecast.own_paths:
        say_none(run, "own_paths")
        return told_of(run)
    own = read_own_paths(own_file(params, "own_paths"), params.market)
    say_paths(run, own, params)
    return told_of(run)


def fans_in_force(
    fans: Mapping[str, Sequence[PriceScenarios]], dates: np.ndarray, params: Params
) -> dict[str, Sequence[PriceScenarios]]:
    """The fans drawn for some days, or the user's own paths in place of each."""
    if not params.forecast.own_paths or not len(dates):
        return dict(fans)
    drawn = next(iter(fans.values()))[0].dam.shape[1]
    own, _ = own_paths_on(dates, params, drawn)
    return dict.fromkeys(fans, own)


def own_paths_on(
    dates: np.ndarray, params: Params, n_blocks: int
) -> tuple[list[PriceScenarios], OwnPaths]:
    """The user's own paths of some days, and all of their file."""
    own = read_own_paths(own_file(params, "own_paths"), params.market)
    refuse_other_blocks(own.source, own.dam.shape[2], n_blocks)
    missing = dates[~np.isin(dates, own.dates)]
    refuse_missing(own.source, missing, "add them: these days are planned on them")
    weights = np.full(own.dam.shape[1], 1 / own.dam.shape[1])
    places = np.searchsorted(own.dates, dates)
    return [PriceScenarios(own.dam[k], own.rtm[k], weights) for k in places], own


def quantiles_of_paths(
    day: PriceScenarios, date: np.datetime64, levels: tuple[float, ...]
) -> dict[str, QuantileForecast]:
    """Quantiles of S equally likely paths, which stand at the levels (k - 1/2) / S.

    So do the draws of a fan (``scenarios.draw``); between two of them a level lies on their line
    (the plotting positions of Hazen, 1914).
    """
    return {
        name: QuantileForecast(
            name,
            np.array([date]),
            np.array(["test"]),
            levels,
            np.quantile(paths, levels, axis=0, method="hazen").T[None],
        )
        for name, paths in (("dam", day.dam), ("rtm", day.rtm))
    }


def refuse_other_blocks(source: str, found: int, wanted: int) -> None:
    """``DataError`` where a file has another number of blocks a day than the market."""
    if found != wanted:
        given, needed = MINUTES_PER_DAY // found, MINUTES_PER_DAY // wanted
        raise DataError(
            f"{source}: is in blocks of {given} minutes and the market in blocks of {needed}: "
            f"give forecasts of {needed} minutes"
        )


def refuse_missing(source: str, days: np.ndarray, remedy: str) -> None:
    """``DataError`` that names the days which a file lacks, where there are any."""
    if len(days):
        shown = ", ".join(days.astype(str)[:3]) + (", ..." if len(days) > 3 else "")
        count = f"{len(days)} days ({shown})" if len(days) > 1 else shown
        raise DataError(f"{source}: has no forecast of {count}: {remedy}")
