"""A gate's outlook by a user's own forecasts of the day's RTM, in place of the models'."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bessvpp.desk.gate import Outlook
from bessvpp.forecasting.intraday import GateFans
from bessvpp.params.load import Params
from bessvpp.price_files.own_forecasts import (
    OwnPaths,
    OwnQuantiles,
    read_own_paths,
    read_own_quantiles,
)
from bessvpp.prices import PriceScenarios
from bessvpp.runs.own import quantiles_of_paths, refuse_missing, refuse_other_blocks


@dataclass(frozen=True)
class OwnFile:
    """A user's file of quantiles or paths, for one gate."""

    path: Path
    is_paths: bool


def with_own_rtm(
    seen: Outlook, given: OwnFile, params: Params, date: np.datetime64, gate: dt.datetime
) -> tuple[Outlook, str]:
    """The outlook with the RTM of a file from the session on, and what is said of it.

    Expected is the mean over the paths, or that of quantiles joined by straight lines and level
    beyond the outermost. How far the RTM strays from it is still what the run's models learnt.

    Parameters
    ----------
    gate : when it closes, naive IST; no row may have been made after it

    Raises
    ------
    DataError
        where the file is refused, lacks the day, or is in blocks of another length.
    """
    levels, view = params.forecast.levels, seen.view
    own: OwnQuantiles | OwnPaths
    if given.is_paths:
        own = read_own_paths(given.path, params.market, gate)
        prices = own.rtm
    else:
        own = read_own_quantiles(given.path, params.market, levels, gate)
        prices = own.values["rtm"].transpose(0, 2, 1)
    refuse_other_blocks(own.source, prices.shape[2], len(view.dam))
    missing = np.array([date])[~np.isin([date], own.dates)]
    refuse_missing(own.source, missing, "add it, or bid on the models' with no file")
    day = prices[np.searchsorted(own.dates, date)]  # (S or L, T)
    if given.is_paths:
        weights = np.full(len(day), 1 / len(day))
        paths = PriceScenarios(day, day, weights)
        expected, fan = day.mean(axis=0), quantiles_of_paths(paths, date, levels)["rtm"].values[0]
    else:
        expected, fan = mean_of_quantiles(day, levels), day.T
    return _from_session_on(seen, expected, fan, levels), _told(own, gate)


def mean_of_quantiles(values: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """(T,) mean of the distributions whose quantiles (L, T) are joined by lines, level beyond."""
    inner = np.trapezoid(values, levels, axis=0)
    return inner + levels[0] * values[0] + (1 - levels[-1]) * values[-1]


def _from_session_on(
    seen: Outlook, expected: np.ndarray, fan: np.ndarray, levels: tuple[float, ...]
) -> Outlook:
    first = seen.view.first
    rtm, values = seen.view.expected_rtm.copy(), np.full((1, 1, *fan.shape), np.nan)
    rtm[-1, first:], values[0, 0, first:] = expected[first:], fan[first:]
    view = replace(seen.view, expected_rtm=rtm)
    return replace(seen, view=view, fan=GateFans(seen.fan.dates, seen.fan.starts, levels, values))


def _told(own: OwnQuantiles | OwnPaths, gate: dt.datetime) -> str:
    kind = "paths" if isinstance(own, OwnPaths) else "quantiles"
    made = (
        "no row of its made_at is later than this gate"
        if own.timed
        else f"that it was made before {gate:%H:%M} is assumed (it has no made_at)"
    )
    return (
        f"Own forecasts: the RTM's {kind} of {Path(own.source).name} stand in place of the models' "
        f"from this session on; {made}."
    )
