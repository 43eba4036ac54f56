"""Files of a user's own forecasts, made of forecasts and fans; shared by the tests of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.market.clock import delivery_starts
from bessvpp.prices import PriceScenarios


def quantiles_file(path: Path, by_market: Mapping[str, QuantileForecast], days: np.ndarray) -> str:
    """Our own artefact's columns, of some days."""
    frame = pd.concat([of.on(days).to_frame() for of in by_market.values()])
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    return str(path)


def paths_file(path: Path, days: np.ndarray, fan: Sequence[PriceScenarios]) -> str:
    """A row a block and scenario."""
    parts = [
        pd.DataFrame(
            {"delivery_start": delivery_starts(day, dam.size), "dam": dam, "rtm": rtm}
        ).assign(scenario=s)
        for day, of in zip(days, fan, strict=True)
        for s, (dam, rtm) in enumerate(zip(of.dam, of.rtm, strict=True))
    ]
    pd.concat(parts).to_csv(path, index=False)
    return str(path)
