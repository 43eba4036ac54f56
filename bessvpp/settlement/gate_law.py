"""The law that bids count with: how the RTM strays from what gates within past days expected."""

from __future__ import annotations

import numpy as np

from bessvpp.errors import DataError
from bessvpp.market import clock
from bessvpp.market.history import Market
from bessvpp.optimizer.surprise import SurpriseLaw, law_of_gates
from bessvpp.params.market import MarketParams

LEAST_LAW_DAYS = 5
"""Days that say how the RTM surprises."""


def law_days(
    market: Market,
    first_out_of_sample: np.datetime64,
    test_days: np.ndarray,
    date: np.datetime64,
) -> np.ndarray:
    """Days before a day whose gates may teach its law.

    They are all out of sample; from the first settled test day on, those that can be settled.
    """
    days = market.dates[(market.dates >= first_out_of_sample) & (market.dates < date)]
    whole = ~market.excluded[[market.index_of(day) for day in days]]
    settled = days[whole & (days >= test_days[0])]
    return days[whole | (days < settled.min(initial=date))]


def surprise_law(
    market: Market,
    dates: np.ndarray,
    expected: np.ndarray,
    rules: MarketParams,
    day: np.datetime64,
) -> SurpriseLaw:
    """How the RTM strayed from what gates expected, up to the day before yesterday.

    That is what every gate of the day knows as a whole.

    Parameters
    ----------
    dates, expected : (D,) days and (D, G, T) what their gates expected, out of sample

    Raises
    ------
    DataError
        where fewer than ``LEAST_LAW_DAYS`` of the days lie before the day before.
    """
    known = dates < day - 1
    if known.sum() < LEAST_LAW_DAYS:
        raise DataError(
            f"{day}: only {known.sum()} days out of sample lie before the day before, and "
            f"{LEAST_LAW_DAYS} are needed to learn how the RTM surprises: raise calibration_days"
        )
    rows = [market.index_of(date) for date in dates[known]]
    errors = market.rtm_mcp[rows][:, None] - expected[known]
    starts = clock.session_starts(rules, market.n_blocks)
    cap = float(rules.caps_rs_per_mwh(np.array([day]))[0])
    return law_of_gates(errors, starts, rules.price_floor_rs_per_mwh, cap)
