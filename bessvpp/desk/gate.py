"""An RTM gate: which session closes then, and what a run's models expect there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bessvpp.desk.day_forecasts import refuse_blocks_unlike_the_runs
from bessvpp.errors import DataError, ParameterError
from bessvpp.forecasting.intraday import GateFans, expected_days, quantile_days
from bessvpp.market.clock import blocks_behind, session_starts
from bessvpp.market.history import Market
from bessvpp.optimizer.surprise import SurpriseLaw
from bessvpp.params.load import Params
from bessvpp.params.market import MarketParams
from bessvpp.runs.contents import load_intraday, load_intraday_quantiles, read_forecasts
from bessvpp.runs.folder import RunFolder
from bessvpp.settlement.gate_law import law_days, surprise_law
from bessvpp.settlement.session import GateView

if TYPE_CHECKING:
    from lightgbm import Booster


@dataclass(frozen=True)
class DayModels:
    """What a run says of a day's RTM before its first gate: models, and how they went astray."""

    date: np.datetime64
    expected: Mapping[np.datetime64, Booster]  # by the first day that each forecasts
    quantiles: Mapping[float, Booster]
    law: SurpriseLaw

    def outlook(self, known: Market, rules: MarketParams, k: int) -> Outlook:
        """What is expected at the gate of the day's k-th session, by the market known there.

        Raises
        ------
        DataError
            where the DAM of the day is not whole.
        """
        date, n_blocks = self.date, known.n_blocks
        if date > known.dates[-1] or not np.isfinite(known.dam_mcp[known.index_of(date)]).all():
            raise DataError(
                f"the DAM prices of {date} are not whole at its gate: they are published on "
                f"{date - 1}; add that download with --data"
            )
        starts, behind = session_starts(rules, n_blocks), blocks_behind(rules, n_blocks)
        days, dam = np.array([date]), known.dam_mcp[known.index_of(date)]
        expected = expected_days(self.expected, known, days, rules, k + 1)[0]
        fan = quantile_days(self.quantiles, known, days, starts[[k]], rules)
        return Outlook(GateView(starts, k, behind, dam, expected), self.law, fan)


@dataclass(frozen=True)
class Outlook:
    """What is known and expected at a gate."""

    view: GateView
    law: SurpriseLaw  # of the surprises that bids by price count with
    fan: GateFans  # quantiles of the rest of the day: one day, one gate


def session_of(gate: dt.datetime, rules: MarketParams, n_blocks: int) -> tuple[np.datetime64, int]:
    """Delivery day, and place of the session whose gate closes at a time (naive IST).

    Raises
    ------
    ParameterError
        where no gate closes then; names the next one that does.
    """
    delivery = gate + dt.timedelta(minutes=rules.rtm_gate_minutes)
    minutes = (session_starts(rules, n_blocks) * 24 * 60 // n_blocks).tolist()
    minute = 60 * delivery.hour + delivery.minute
    if minute not in minutes or delivery.second:
        later = min((m for m in minutes if m > minute), default=24 * 60)
        closes = gate + dt.timedelta(minutes=later - minute, seconds=-delivery.second)
        raise ParameterError(
            f"--gate {gate:%Y-%m-%d %H:%M}: no session's gate closes then; the next one closes at "
            f"{closes:%H:%M}, for delivery {rules.rtm_gate_minutes} minutes later"
        )
    return np.datetime64(delivery.date(), "D"), minutes.index(minute)


def models_of_day(run: RunFolder, market: Market, params: Params, date: np.datetime64) -> DayModels:
    """What a run says of a day's RTM; of prices those of earlier days alone are read.

    Raises
    ------
    DataError
        where the models were trained on the day, or blocks are not as long as the run's.
    """
    rules = params.market
    first_out = np.datetime64(run.read_json("models/splits.json")["first_out_of_sample_day"])
    if date < first_out:
        raise DataError(
            f"{date}: the models in {run.path} were trained on days up to {first_out - 1}: give "
            "the gate of a later day"
        )
    made = read_forecasts(run, "recalibrated", params.forecast.levels)["rtm"]
    refuse_blocks_unlike_the_runs(run, market, made)
    models = load_intraday(run)
    taught = law_days(market, first_out, made.dates, date - 1)
    past = expected_days(models, market, taught, rules)
    law = surprise_law(market, taught, past, rules, date)
    return DayModels(date, models, load_intraday_quantiles(run, params.forecast.levels), law)
