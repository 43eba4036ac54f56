"""The embedded market in hours, and what it would do if drawn again from the state at a gate."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bessvpp.calibration.recalibration import choose_method
from bessvpp.forecasting.features import feature_frame
from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.forecasting.splits import Splits, split_days
from bessvpp.forecasting.walk_forward import walk_forward
from bessvpp.market.history import Market, mean_of_known
from bessvpp.market.synthetic import continuations, simulate
from bessvpp.params.forecast import ForecastParams
from bessvpp.params.load import Params
from bessvpp.params.market import MarketParams

START, N_DAYS = dt.date(2024, 1, 1), 731
PER_HOUR = 4


def hourly(prices: np.ndarray) -> np.ndarray:
    """Means over the hours of prices (..., 96); over the blocks with trade where some have none."""
    return mean_of_known(prices.reshape(*prices.shape[:-1], -1, PER_HOUR), axis=-1)


def hourly_market(seed: int) -> Market:
    """Two years of the embedded market in hours."""
    market = simulate(START, N_DAYS, seed)
    dam, rtm = hourly(market.dam_mcp), hourly(market.rtm_mcp)
    return Market(market.dates, dam, rtm, np.isnan(rtm), {}, is_synthetic=True)


@dataclass(frozen=True)
class Case:
    """The hourly market of a seed, its days and features, and how it is forecast."""

    rules: MarketParams
    settings: ForecastParams
    market: Market
    splits: Splits
    features: pd.DataFrame

    @classmethod
    def of(cls, params: Params, seed: int, test_days: int, calibration_days: int) -> Case:
        told = {"synthetic_start": START, "synthetic_days": N_DAYS, "synthetic_seed": seed}
        rules = params.market.model_copy(update=told)
        told = {"test_days": test_days, "calibration_days": calibration_days, "min_group_size": 60}
        settings = params.forecast.model_copy(update=told)
        market = hourly_market(seed)
        features = feature_frame(market, market.dates[settings.warmup_days :], rules)
        return cls(rules, settings, market, split_days(market, settings), features)

    def original(self, name: str) -> QuantileForecast:
        """Walk-forward forecasts of one market on all days out of sample."""
        given = (name, self.features, self.market, self.splits, self.settings, self.rules)
        return walk_forward(*given).forecast

    def method(self, original: QuantileForecast) -> str:
        """How a forecast is recalibrated: as the parameters say."""
        if self.settings.recalibration != "auto":
            return self.settings.recalibration
        return choose_method(original, self.market, self.settings, self.rules)[0]


def true_paths(
    rules: MarketParams, date: np.datetime64, n_paths: int
) -> tuple[np.ndarray, np.ndarray]:
    """(n_paths, 24) hourly prices of both markets from the generator's own state at the gate."""
    dam, rtm = continuations(rules, date.item(), n_paths, path_seed=int(date.astype(int)))
    return hourly(dam), hourly(rtm)
