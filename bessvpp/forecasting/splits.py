"""Days for training, calibration and test, in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bessvpp.errors import DataError
from bessvpp.market.history import MARKETS, Market, complete_days
from bessvpp.params.forecast import ForecastParams
from bessvpp.params.market import MarketParams


@dataclass(frozen=True)
class Splits:
    """Days in time order, each (n,) datetime64[D]; no day is in two of them."""

    train: np.ndarray
    calibration: np.ndarray
    test: np.ndarray

    @property
    def out_of_sample(self) -> np.ndarray:
        """Days that no model was fitted on."""
        return np.concatenate([self.calibration, self.test])


def split_days(market: Market, params: ForecastParams, markets: Sequence[str] = MARKETS) -> Splits:
    """Warm-up, training, calibration and test days of a market, in time order.

    Days without a full set of prices in ``markets`` are left out, and counted in none of the
    splits.

    Raises
    ------
    DataError
        where too few days are left to train on.

    Examples
    --------
    >>> p = bv.load_params(synthetic_days=21, warmup_days=7, calibration_days=3, test_days=2)
    >>> market = bv.embedded_market(p.market)
    >>> splits = bv.split_days(market, p.forecast)
    >>> len(splits.train), splits.test[-1]
    (9, np.datetime64('2024-01-21'))
    """
    usable = market.dates[params.warmup_days :][_complete(market, markets)[params.warmup_days :]]
    held_out = params.calibration_days + params.test_days
    n_train = len(usable) - held_out
    if n_train < params.warmup_days:
        raise DataError(
            f"too few days: {len(usable)} complete days after {params.warmup_days} of warm-up, "
            f"less {params.calibration_days} for calibration and {params.test_days} for the "
            f"test, leave {max(n_train, 0)} to train on, and at least {params.warmup_days} are "
            f"needed. Give more data ({2 * params.warmup_days + held_out} complete days will do), "
            "or lower calibration_days or test_days"
        )
    return Splits(
        usable[:n_train], usable[n_train : -params.test_days], usable[-params.test_days :]
    )


def _complete(market: Market, markets: Sequence[str]) -> np.ndarray:
    """(D,) bool: a full set of prices in all of some markets."""
    return np.all([complete_days(market, name) for name in markets], axis=0)


def known_to_refit(
    market: Market,
    first_day: np.datetime64,
    splits: Splits,
    rules: MarketParams,
    markets: Sequence[str] = MARKETS,
) -> tuple[Market, np.ndarray]:
    """What a refit for a day and those after may see: the market, and the days to train on.

    These are the days from the first training day on that are wholly known at the day's DAM gate.
    """
    known = market.known_at_dam_gate(first_day, rules)
    return known, known.dates[_complete(known, markets) & (known.dates >= splits.train[0])]


def days_of_refits(dates: np.ndarray, params: ForecastParams) -> list[np.ndarray]:
    """Days (D,), rising, parted by which refit forecasts them, every ``retrain_every_days``.

    The first fit is for the first day; with ``retrain_every_days`` 0 it is the only one.
    """
    age = (dates - dates[0]).astype(int)
    refit = age // params.retrain_every_days if params.retrain_every_days else age * 0
    return [dates[refit == k] for k in np.unique(refit)]
