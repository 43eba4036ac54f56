"""LightGBM models of both markets: quantiles, and the chance of a price at floor or cap.

The only module that knows LightGBM, and only when it fits or reads a model: it brings 40 MB, which
workers that plan and settle do without. Models are kept in its own text format, which runs nothing
when it is loaded. They are refitted as time goes on (``walk_forward``), each time on
the days that are wholly known at the gate of the first day that they forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from bessvpp.errors import DataError
from bessvpp.forecasting.features import anchor, design
from bessvpp.forecasting.quantiles import ATOMS
from bessvpp.market.clock import day_of
from bessvpp.params.forecast import ForecastParams, LightGBMParams

if TYPE_CHECKING:
    from lightgbm import Booster, Dataset

Goal = tuple[Mapping[str, object], np.ndarray]
"""LightGBM's ``objective`` with what it takes, and (N,) numbers to learn, none missing."""

LARGEST_LEAF_SHARE = 1 / 14
"""Of the rows: no leaf need hold more, or a short history has no room for a few of them. Chosen,
among a tenth to a thirtieth, on hourly real DAM days of 2022 to 2024 and the embedded market."""
_LEAST_ATOM_DAYS = 10  # days with a price on an atom from which its chance can be learnt


def train_quantile_models(
    market: str,
    features: pd.DataFrame,
    target: np.ndarray,
    at_atom: Mapping[str, np.ndarray],
    params: ForecastParams,
    jobs: int = 1,
) -> MarketModels:
    """One model a level, of the price's distance from its anchor, and one an atom.

    Each is fitted by one thread, so the number of cores changes no tree. The least number of
    rows in a leaf is that of the parameters, at most ``LARGEST_LEAF_SHARE`` of all rows.

    Parameters
    ----------
    market : "dam" or "rtm"
    features : (N, 1 + F) design matrix, ``delivery_start`` first
    target : (N,) prices; rows without a price or an anchor are left out
    at_atom : for each of ``ATOMS`` (N,) bool, whether the price sits on it; an atom met on
        fewer than ten days is not modelled
    """
    distance = target - anchor(features, market)
    known = np.isfinite(distance)
    x = design(features, market)[known]
    goals: dict[float | str, Goal] = {
        level: ({"objective": "quantile", "alpha": level}, distance[known])
        for level in params.levels
    }
    day = day_of(features)[known]
    for atom, hit in at_atom.items():
        hit = hit[known]
        if len(np.unique(day[hit])) >= _LEAST_ATOM_DAYS and not hit.all():
            goals[atom] = ({"objective": "binary"}, hit.astype(float))
    least = min(params.lightgbm.min_data_in_leaf, max(int(len(x) * LARGEST_LEAF_SHARE), 1))
    settings = params.lightgbm.model_copy(update={"min_data_in_leaf": least})
    boosters = fit_each(
        x, list(goals.values()), settings, params.n_estimators, params.model_seed, jobs
    )
    fitted = dict(zip(goals, boosters, strict=True))
    return MarketModels(
        {level: fitted[level] for level in params.levels},
        {atom: fitted[atom] for atom in ATOMS if atom in fitted},
        day.max(),
    )


# ---------------------------------------------------------------------- models


@dataclass(frozen=True)
class MarketModels:
    """Fitted models of one market and one training window."""

    quantiles: Mapping[float, Booster]  # by level
    atoms: Mapping[str, Booster]  # "floor", "cap": those that occurred often enough
    last_train_day: np.datetime64


def fit_each(
    x: pd.DataFrame,
    goals: Sequence[Goal],
    settings: LightGBMParams,
    n_estimators: int,
    seed: int,
    jobs: int = 1,
) -> list[Booster]:
    """A model a goal, each by one thread: the same numbers give the same trees on any machine.

    Features are put into LightGBM's bins once for all of them: a third of the time of a model of
    120 trees that bins its own.

    Parameters
    ----------
    x : (N, F) features
    jobs : models fitted at the same time
    """
    import lightgbm

    told = {
        **settings.model_dump(),
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    none = np.zeros(len(x))  # each model has goals of its own
    binned = lightgbm.Dataset(x.to_numpy(), none, feature_name=list(x), params=told).construct()
    return list(
        Parallel(n_jobs=jobs, prefer="threads")(
            delayed(_fit)(binned, y, {**objective, **told}, n_estimators) for objective, y in goals
        )
    )


def _fit(binned: Dataset, y: np.ndarray, told: Mapping[str, object], n_estimators: int) -> Booster:
    import lightgbm

    same_rows = binned.subset(np.arange(len(y)), params=binned.params).construct()
    return lightgbm.train(dict(told), same_rows.set_label(y), num_boost_round=n_estimators)


def model_from_text(text: str) -> Booster:
    """A model in LightGBM's own text format."""
    from lightgbm import Booster

    return Booster(model_str=text)


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
