"""THE CONTRACT between the notebooks: every file of a run, who writes it, what it holds.

Files are parquet, npz, JSON, CSV, PNG and LightGBM's text: nothing that executes when it is
loaded, all readable without this package, each written beside its place and renamed into it
(``folder``). D days, T blocks, S scenarios; Rs/MWh, MW, MWh, Rs; times in IST. Those of which
more is asked than a table or JSON are written and read below; the rooms under this one know no
run's folder.

====================================  ===========================================================
written by ``01_features``
-------------------------------------------------------------------------------------------------
``market.parquet``                    a row a block: ``delivery_start`` (with time zone),
                                      ``dam_mcp``, ``rtm_mcp``, bids and volumes, whether the day
                                      is excluded, whether the RTM saw no trade, whether all is
                                      synthetic
``features_dam.parquet``,             a row a block, a column a feature, as known at the gate of
``features_rtm.parquet``              the DAM
------------------------------------  -----------------------------------------------------------
written by ``02_quantile_models``
-------------------------------------------------------------------------------------------------
``models/splits.json``                days first trained on, and the first day out of sample
``models/dam/models.json``,           the folders of models, each with its training window, its
``models/rtm/models.json``            atoms and its last training day
``models/<market>/<level>.txt``       a model for each level, ``q10.txt`` and so on, and for the
                                      chance of an atom, ``cap.txt``; those of further training
                                      windows in ``last_<days>_days``
``models/rtm/intraday.json``          the first day that each refit of the next one forecasts
``models/rtm/intraday_<day>.txt``     the expected RTM price within the day, from the DAM's
``models/rtm/intraday_<level>.txt``   the same, a model for each level, fitted once
``forecasts_original.parquet``        a row a block of the days out of sample: ``delivery_start``,
                                      ``market``, ``split``, a column a level, ``p_floor``,
                                      ``p_cap``; a user's own where they are given
``own_quantiles.json``                the ``name`` of a user's own quantiles, or "", and what is
                                      ``told`` of them on every page
------------------------------------  -----------------------------------------------------------
written by ``03_recalibration``
-------------------------------------------------------------------------------------------------
``forecasts_recalibrated.parquet``    the same after recalibration, of the test days
``recalibration.json``                the method of each market
``cqr_deltas.parquet``                a row a day, market, hour and level: the shift, and the
                                      group, the number of residuals and the rank that gave it
``coverage.json``                     by market, fan and level: ``nominal``, ``promised``, what the
                                      fan says of P(Y < q), atoms included, ``below`` P(Y < q),
                                      ``at_or_below`` P(Y <= q), ``n_blocks``, ``n_days``, on days
                                      that no fit saw
``chances.json``                      by market, fan and ``cap`` or ``floor``: the chance
                                      ``promised`` and ``observed``, and ``n_blocks``
``coverage.png``                      its picture
------------------------------------  -----------------------------------------------------------
written by ``04_scenarios``
-------------------------------------------------------------------------------------------------
``scenarios_original.npz``,           ``dates`` (D,), ``dam`` and ``rtm`` (D, S, T), ``weights``
``scenarios_recalibrated.npz``        (D, S)
``fan_choice.json``                   ``fan``, the better one to plan with on earlier days,
                                      ``first_day`` and ``last_day`` of these, the ``scores``
``own_paths.json``                    the ``name`` of a user's own paths, which are then both
                                      fans, or "", and what is ``told`` of them on every page
------------------------------------  -----------------------------------------------------------
written by ``05_two_stage_optimizer`` and by ``python -m bessvpp plan``
-------------------------------------------------------------------------------------------------
``bids/dam_<date>.csv``               the sheet to submit: block, time, side, MW in bid steps,
                                      limit price
``bids/dam_worth_<date>.csv``         by ``plan --bids worth`` alone: the same bids, a row a
                                      block and price at which a part of it stops being worth it
``bids/forecast_<date>.csv``          by ``plan`` alone: the day's forecasts, a column a market
                                      and level
``bids/schedule_<date>.csv``          by ``plan`` alone, if physical: each unit's schedule
``bids/plan_<date>.json``             by ``plan`` alone: what it promises, for the day's closing:
                                      schedule, means of prices, RTM trade, ledger and energy at
                                      midnight, and the costs and battery that it counts with
------------------------------------  -----------------------------------------------------------
written by ``python -m bessvpp close``
-------------------------------------------------------------------------------------------------
``bids/close_<date>.json``            a day's books beside its plan, the parts of the difference,
                                      and every block as it cleared, was traded and was run
``journal.parquet``                   a row a closed day: the books, the plan's net, the parts of
                                      the difference, what was measured
------------------------------------  -----------------------------------------------------------
written by ``python -m bessvpp trade``, the time being the start of the session's delivery
-------------------------------------------------------------------------------------------------
``bids/rtm_<date>_<hhmm>.csv``        the session's bids, in whole steps, as for the DAM
``bids/rest_<date>_<hhmm>.csv``       the rest of the day, a row a block: prices, fan, schedule,
                                      planned trade, each unit's power and energy
``bids/rtm_<date>_<hhmm>.json``       all of it, with the bids by unit as later gates read them, the
                                      value of stored energy and the law of the RTM's surprises
------------------------------------  -----------------------------------------------------------
written by ``06_backtest``
-------------------------------------------------------------------------------------------------
``backtest_daily.parquet``            a row a policy, way of settling and day: the ledger, trades,
                                      flows, stored energy at both midnights
``backtest_summary.json``             ``rules``, the ``parameters`` that the backtest itself rests
                                      on, the ``policies`` in figures, the ``lead``, each two-stage
                                      plan over every other policy with its band, what the
                                      ceiling is too high by (``ceiling_gap_rs``), the
                                      ``warranty`` where a unit has one, the ``wear`` by depth
                                      of cycle where that is asked for; a key that does not say
                                      ``causal`` or ``dam_only`` is with hindsight recourse
``limits.json``                       net of all days over a limit on DAM trade that is not run: its
                                      dispatch, its position, and the band of what it loses
``ideas_daily.parquet``               net of each day with and without each idea of the plan
``ideas.json``                        what each idea earns over all days, with its band
------------------------------------  -----------------------------------------------------------
written by ``07_efficient_frontier``
-------------------------------------------------------------------------------------------------
``frontier.parquet``                  a row a fan and lambda: planned and realised mean and CVaR
                                      with causal recourse, bands, whether dominated; the promise
                                      of the ``fan`` before its correction, what the ``programme``
                                      counts on, and ``hindsight``
``frontier_daily.parquet``            a row a fan, lambda and day: planned mean, and by the fan
                                      alone; realised net, its place in the planned distribution
``frontier.json``                     the same, with ``rules``
``frontier.png``                      its picture
------------------------------------  -----------------------------------------------------------
written by ``python -m bessvpp run``
-------------------------------------------------------------------------------------------------
``manifest.json``                     parameters and their hash, data and their hash, seeds,
                                      versions, commit, time and memory of each notebook
``notebooks/<name>.ipynb``            the notebooks as they were executed
``cache/``                            finished plans, which can be deleted at any time
====================================  ===========================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bessvpp.errors import MissingArtefactError, ParameterError
from bessvpp.files import user_path
from bessvpp.forecasting.boosting import MarketModels, model_from_text
from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.forecasting.splits import Splits
from bessvpp.market.history import MARKETS, Market
from bessvpp.market.read import read_market
from bessvpp.params.forecast import ForecastParams, level_name
from bessvpp.params.load import Params
from bessvpp.params.study import BacktestParams, FanName
from bessvpp.prices import PriceScenarios
from bessvpp.runs.folder import RunFolder

if TYPE_CHECKING:
    from lightgbm import Booster


def record_methods(run: RunFolder, chosen: Mapping[str, str]) -> None:
    """Write which method each market uses, as a run's ``recalibration.json``."""
    run.write_json("recalibration.json", dict(chosen))


def recorded_method(run: RunFolder, market: str, params: ForecastParams) -> str:
    """The method that the parameters name; where they say ``auto``, that of the run."""
    if params.recalibration != "auto":
        return params.recalibration
    return run.read_json("recalibration.json")[market]


def recorded_fan(run: RunFolder, params: BacktestParams) -> FanName:
    """The fan that the parameters name; of both, the one that did better on earlier days."""
    if params.fan != "both":
        return params.fan
    fan: FanName = run.read_json("fan_choice.json")["fan"]
    return fan


def run_market(run: RunFolder, params: Params, data: str | None) -> Market:
    """Prices to plan from: files given, else what the run read, as it is now.

    Raises
    ------
    ParameterError
        where the run read no files and the parameters say how files are read.
    """
    if data is None:
        data = run.read_json("manifest.json")["parameters"]["knobs"]["data"]
    if not data:
        market, rules = Market.from_frame(run.read_frame("market.parquet")), params.market
        if rules.column_names or rules.block_minutes not in (None, market.block_minutes):
            raise ParameterError(
                f"block_minutes ({rules.block_minutes}) and column_names ({rules.column_names}) "
                "say how price files are read, and the run's market, in blocks of "
                f"{market.block_minutes} minutes, was read from none: give files with --data"
            )
        return market
    return read_market(user_path(data), params.market)


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
            {level: _model(run, f"{folder}/{level_name(level)}.txt") for level in levels},
            {atom: _model(run, f"{folder}/{atom}.txt") for atom in entry["atoms"]},
            np.datetime64(entry["last_train_day"]),
        )
    return models


def _model(run: RunFolder, name: str) -> Booster:
    return model_from_text(run.existing(name).read_text(encoding="utf-8"))


def save_intraday(run: RunFolder, models: Mapping[np.datetime64, Booster]) -> None:
    """Write ``models/rtm/intraday_2025-03-01.txt`` and so on, and which they are."""
    for first_day, model in models.items():
        run.write_text(_spread_file(first_day), model.model_to_string())
    run.write_json("models/rtm/intraday.json", {"first_days": [str(day) for day in models]})


def load_intraday(run: RunFolder) -> dict[np.datetime64, Booster]:
    """Read the models of the expected spread back, by the first day that each forecasts."""
    listed = run.read_json("models/rtm/intraday.json")["first_days"]
    return {day: _model(run, _spread_file(day)) for day in map(np.datetime64, listed)}


def _spread_file(first_day: np.datetime64) -> str:
    return f"models/rtm/intraday_{first_day}.txt"


def save_intraday_quantiles(run: RunFolder, models: Mapping[float, Booster]) -> None:
    """Write ``models/rtm/intraday_q10.txt`` and so on, one a level."""
    for level, model in models.items():
        run.write_text(_quantile_file(level), model.model_to_string())


def load_intraday_quantiles(run: RunFolder, levels: tuple[float, ...]) -> dict[float, Booster]:
    """Read the models of some levels back."""
    run.existing("models")
    return {level: _model(run, _quantile_file(level)) for level in levels}


def _quantile_file(level: float) -> str:
    return f"models/rtm/intraday_{level_name(level)}.txt"


def write_fan(run: RunFolder, fan: str, dates: np.ndarray, days: Sequence[PriceScenarios]) -> None:
    """Write ``scenarios_<fan>.npz``: ``dates``, ``dam`` and ``rtm`` (D, S, T), ``weights``."""
    run.write_arrays(
        f"scenarios_{fan}.npz",
        dates=dates.astype(str),
        dam=np.array([day.dam for day in days]),
        rtm=np.array([day.rtm for day in days]),
        weights=np.array([day.weights for day in days]),
    )


def read_fan(run: RunFolder, fan: str) -> dict[np.datetime64, PriceScenarios]:
    """A fan's scenarios by delivery day."""
    arrays = run.read_arrays(f"scenarios_{fan}.npz")
    days = zip(arrays["dam"], arrays["rtm"], arrays["weights"], strict=True)
    dates = arrays["dates"].astype("datetime64[D]")
    return {date: PriceScenarios(*day) for date, day in zip(dates, days, strict=True)}
