"""The fan of the day to plan: from the run's models, or from forecasts of a user's own."""

from __future__ import annotations

import numpy as np

from bessvpp.calibration.methods import AS_FORECAST
from bessvpp.calibration.recalibration import recalibrate_day
from bessvpp.desk.day_forecasts import forecasts_of_day
from bessvpp.errors import DataError, ParameterError
from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.market.history import Market
from bessvpp.params.load import Params
from bessvpp.params.study import FanName
from bessvpp.price_files.own_forecasts import OwnQuantiles
from bessvpp.prices import PriceScenarios
from bessvpp.runs import own, own_said
from bessvpp.runs.contents import read_forecasts, recorded_method
from bessvpp.runs.folder import RunFolder
from bessvpp.scenarios.copula import copula_correlation
from bessvpp.scenarios.draw import draw_day, joint_uniforms

ByMarket = dict[str, QuantileForecast]


def fan_of_day(
    run: RunFolder, known: Market, params: Params, date: np.datetime64, fan: FanName
) -> tuple[ByMarket, PriceScenarios, tuple[str, ...]]:
    """Forecasts of the day to plan, its scenarios, and what is said where they are a user's own.

    Forecasts are recalibrated where the fan is. Own paths are both fans, whatever quantiles say.

    Raises
    ------
    DataError
        where own forecasts lack the day, or too few days before it to recalibrate by.
    ParameterError
        where the run rests on own quantiles and the plan is given none.
    """
    rules, given = params.market, None
    if params.forecast.own_paths:
        (scenarios,), paths = own.own_paths_on(np.array([date]), params, known.n_blocks)
        today = own.quantiles_of_paths(scenarios, date, params.forecast.levels)
        told = own_said.told_of_plan(paths, run, params, "own_paths")
        if params.forecast.own_quantiles:
            told += ("Own quantiles are given, too; with paths a plan has no use for them.",)
        return today, scenarios, told
    if params.forecast.own_quantiles:
        given, made, history = _own_until(run, known, date, params)
    else:
        _refuse_others_models(run)
        made = history = forecasts_of_day(run, known, date, params)
    today = {name: of.day(date) for name, of in made.items()}
    if fan == "recalibrated":
        today = _recalibrated(run, made, today, known, params, given)
    correlation = copula_correlation(history, known, rules, params.scenarios)
    uniforms = joint_uniforms(correlation, known, date, params.scenarios)
    told = own_said.told_of_plan(given, run, params, "own_quantiles")
    return today, draw_day(uniforms, today, rules), told


def _own_until(
    run: RunFolder, known: Market, date: np.datetime64, params: Params
) -> tuple[OwnQuantiles, ByMarket, ByMarket]:
    """Own quantiles, as forecasts up to the day, and these with the run's of the days they lack.

    How blocks and markets hang together is learnt from all of them.
    """
    given = own.read_quantiles(params, known.n_blocks)
    if date not in given.dates:
        raise DataError(
            f"{given.source}: has no forecast of {date}, only of {given.dates[0]} to "
            f"{given.dates[-1]}: add it"
        )
    placed = own.with_own(
        read_forecasts(run, "original", params.forecast.levels), given, params.market
    )
    history = {
        name: of.on(of.dates[(of.dates >= known.dates[0]) & (of.dates <= date)])
        for name, of in placed.items()
    }
    made = {name: of.on(of.dates[np.isin(of.dates, given.dates)]) for name, of in history.items()}
    return given, made, history


def _recalibrated(
    run: RunFolder,
    made: ByMarket,
    today: ByMarket,
    known: Market,
    params: Params,
    given: OwnQuantiles | None,
) -> ByMarket:
    """The day's forecasts, shifted by what those made before missed."""
    shifted = {}
    for name, original in today.items():
        method = recorded_method(run, name, params.forecast)
        try:
            shifted[name], _ = recalibrate_day(
                made[name], original, known, method, params.forecast, params.market
            )
        except DataError as error:
            if given is None:
                raise
            raise DataError(
                f"{given.source}: has too few days before {original.dates[0]} to recalibrate by "
                f"({error}): add earlier ones, set recalibration: {AS_FORECAST}, or plan with "
                "--fan original"
            ) from error
    return shifted


def _refuse_others_models(run: RunFolder) -> None:
    if own_said.rests_on(run, "own_quantiles"):
        names = ", ".join(own_said.names_of(run))
        raise ParameterError(
            f"the run in {run.path} rests on {names}, and its models made none of its forecasts: "
            "give the quantiles of the day with --own-quantiles"
        )
