"""Forecasts of the day to plan, by a run's models, as of its gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bessvpp.errors import DataError
from bessvpp.forecasting.boosting import MarketModels
from bessvpp.forecasting.features import feature_frame
from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.forecasting.walk_forward import forecast_days
from bessvpp.market.history import GREEN_PRICE, MARKETS, Market
from bessvpp.params.fields import MINUTES_PER_DAY
from bessvpp.params.load import Params
from bessvpp.runs.contents import load_models, read_forecasts
from bessvpp.runs.folder import RunFolder


def forecasts_of_day(
    run: RunFolder, known: Market, date: np.datetime64, params: Params
) -> dict[str, QuantileForecast]:
    """Original forecasts of the day (last) and of all earlier days out of sample.

    Of the days that the run forecast they are the run's own, since the saved models, those of
    its last refit, were trained on many of them. Only days after both are forecast here.
    """
    whole = read_forecasts(run, "original", params.forecast.levels)
    refuse_blocks_unlike_the_runs(run, known, whole["dam"])
    return {name: _forecast(run, whole[name], known, date, params) for name in MARKETS}


def refuse_blocks_unlike_the_runs(run: RunFolder, known: Market, made: QuantileForecast) -> None:
    """Refuse prices in blocks of another length than those of a run's forecasts."""
    of_run = MINUTES_PER_DAY // made.values.shape[1]
    if of_run != known.block_minutes:
        remedy = (
            "set block_minutes to 60 in market.yaml"
            if of_run == 60
            else "give prices of 15 minutes"
        )
        raise DataError(
            f"the prices are in blocks of {known.block_minutes} minutes, the models in {run.path} "
            f"in blocks of {of_run}: {remedy}, or make a run on these data"
        )


def _forecast(
    run: RunFolder,
    whole: QuantileForecast,
    known: Market,
    date: np.datetime64,
    params: Params,
) -> QuantileForecast:
    name = whole.market
    models = load_models(run, name, params.forecast.levels)
    trained = max(fitted.last_train_day for fitted in models.values())
    made = whole.on(whole.dates[whole.dates <= date])
    if not (made.dates < date).any() or (date not in made.dates and date <= trained):
        raise DataError(
            f"the {name.upper()} models in {run.path} were trained on days up to {trained}, and "
            f"its forecasts out of sample begin on {whole.dates[0]}: {date} is not among them "
            "with a day before it. Plan a later day with --date"
        )
    if date in made.dates:
        return made
    first = max(made.dates[-1], trained)
    dates = np.append(known.dates[(known.dates > first) & (known.dates < date)], date)
    later, _ = forecast_days(
        models,
        feature_frame(_as_trained(known, models), dates, params.market),
        name,
        dates,
        np.repeat("test", len(dates)),
        params.market,
    )
    return made.followed_by(later)


def _as_trained(known: Market, models: Mapping[int, MarketModels]) -> Market:
    """The market with a GDAM price if the models were trained on one, missing or not.

    Its files are optional, so one that comes or goes between training and a plan stops nothing.
    """
    seen = next(iter(next(iter(models.values())).quantiles.values())).feature_name()
    wanted = any(name.startswith("gdam_") for name in seen)
    if wanted == (GREEN_PRICE in known.extras):
        return known
    extras = {name: values for name, values in known.extras.items() if name != GREEN_PRICE}
    if wanted:
        extras[GREEN_PRICE] = np.full(known.dam_mcp.shape, np.nan)
    return replace(known, extras=extras)
