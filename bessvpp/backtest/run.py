"""A finished run, opened: each part of it is read when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args

import numpy as np
import pandas as pd

from bessvpp.backtest.window import Window, load_window, with_expected_rtm
from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.market.history import Market
from bessvpp.params.load import Params
from bessvpp.params.study import FanName
from bessvpp.prices import PriceScenarios
from bessvpp.runs import own_said
from bessvpp.runs.contents import read_fan, read_forecasts
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.inherited import run_parameters

Part = TypeVar("Part")


class ByFan(Mapping[str, Part], Generic[Part]):
    """What a run holds of each fan; a fan is read when it is first asked for."""

    def __init__(self, read: Callable[[str], Part]) -> None:
        self._read = cache(read)

    def __getitem__(self, fan: str) -> Part:
        if fan not in get_args(FanName):
            raise KeyError(fan)
        return self._read(fan)

    def __iter__(self) -> Iterator[str]:
        return iter(get_args(FanName))

    def __len__(self) -> int:
        return len(get_args(FanName))

    def __repr__(self) -> str:
        return f"<{' and '.join(self)}, each read when asked for>"


class Run(RunFolder):
    """The folder of a run, and what lies in it.

    A part is read when it is first asked for and kept; ``MissingArtefactError`` says which
    notebook writes it where it is not there yet.
    """

    def __init__(self, path: str | Path = "", params: Params | None = None) -> None:
        super().__init__(path)
        if params is not None:
            self.params = params

    @cached_property
    def params(self) -> Params:
        """Those given when the run was opened, else those that it was made with."""
        return run_parameters(self, None)

    @cached_property
    def market(self) -> Market:
        """The prices of the run."""
        return Market.from_frame(self.read_frame("market.parquet"))

    @cached_property
    def forecasts(self) -> Mapping[str, Mapping[str, QuantileForecast]]:
        """Quantiles by fan and market: ``forecasts["original"]["dam"]``."""
        levels = self.params.forecast.levels
        return ByFan(lambda fan: read_forecasts(self, fan, levels))

    @cached_property
    def fans(self) -> Mapping[str, Mapping[np.datetime64, PriceScenarios]]:
        """Scenarios by fan and delivery day."""
        return ByFan(lambda fan: read_fan(self, fan))

    @cached_property
    def window(self) -> Window:
        """The test days, with the fans that the parameters name and what each RTM gate expects."""
        return with_expected_rtm(self, load_window(self, self.params))

    @property
    def own(self) -> tuple[str, ...]:
        """What is to be said of a user's own forecasts, where the run rests on them."""
        return own_said.told_of(self)

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """What every policy earned."""
        return self.read_json("backtest_summary.json")

    @cached_property
    def frontier(self) -> pd.DataFrame:
        """One row for each fan and risk aversion."""
        return self.read_frame("frontier.parquet")


def open_run(path: str | Path = "", params: Params | None = None) -> Run:
    """Open the folder of a run; nothing is read yet.

    Parameters
    ----------
    path : folder of the run; ``""`` is ``outputs/quick`` of the project
    params : used in place of those that the run was made with

    Examples
    --------
    >>> run = bv.open_run("outputs/quick")
    >>> run.forecasts["recalibrated"]["rtm"].level(0.5).shape  # days, blocks
    (4, 24)
    >>> day = run.window.days[0]
    >>> run.fans["recalibrated"][day].dam.shape  # scenarios, blocks
    (6, 24)
    """
    return Run(path, params)
