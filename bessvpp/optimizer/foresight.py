"""What a plan's second stage counts on of the RTM.

In a two-stage programme the second stage knows a scenario's whole RTM before it trades. No trader
does: he learns it session by session, and earns about half of what foresight would add. A plan
that counts on all of it keeps the battery free for gains that will not come. So the RTM's
surprises, what is left of it once the DAM is known, are scaled down for planning alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bessvpp.prices import PriceScenarios


def mean_and_slope(scenarios: PriceScenarios) -> tuple[np.ndarray, float]:
    """(T,) mean RTM price of each block, and what of a DAM surprise the RTM follows.

    One slope for all blocks, by weighted least squares. NaN where no path of a block has an RTM.
    """
    weights, dam, rtm = scenarios.weights[:, None], scenarios.dam, scenarios.rtm
    known = np.isfinite(rtm)
    share = np.where(known, weights, 0.0)
    of_block = share.sum(axis=0)
    total = (share * np.where(known, rtm, 0.0)).sum(axis=0)
    mean = np.where(of_block > 0, total / np.maximum(of_block, 1e-12), np.nan)
    dam_surprise = dam - scenarios.weights @ dam
    moved = np.where(known, rtm - mean, 0.0)
    variance = (share * dam_surprise**2).sum()
    slope = (share * dam_surprise * moved).sum() / variance if variance > 0 else 0.0
    return mean, float(slope)


def rtm_given_dam(scenarios: PriceScenarios) -> np.ndarray:
    """(S, T) RTM price expected on each path once its DAM is published [Rs/MWh].

    The fan's mean of each block plus a slope times the DAM's surprise there (``mean_and_slope``),
    within the fan's own lowest and highest RTM price. NaN where no path of a block has an RTM.
    """
    dam, rtm = scenarios.dam, scenarios.rtm
    mean, slope = mean_and_slope(scenarios)
    expected = mean + slope * (dam - scenarios.weights @ dam)
    if not np.isfinite(rtm).any():
        return np.asarray(expected)
    return np.asarray(np.clip(expected, np.nanmin(rtm), np.nanmax(rtm)))


def foreseen(scenarios: PriceScenarios, foresight: float) -> PriceScenarios:
    """A fan with its RTM as the second stage of a plan counts on it.

    Parameters
    ----------
    foresight : share of the RTM's surprises that is kept, 0 to 1; 1 is the fan as it is

    Examples
    --------
    >>> dam = np.array([[4000.0, 6000.0], [4000.0, 6000.0]])
    >>> fan = bv.PriceScenarios(dam, rtm=np.array([[3000.0, 7000.0], [5000.0, 6000.0]]),
    ...                         weights=np.array([0.5, 0.5]))
    >>> bv.foreseen(fan, 0.5).rtm
    array([[3500., 6750.],
           [4500., 6250.]])
    """
    expected = rtm_given_dam(scenarios)
    return replace(scenarios, rtm=expected + foresight * (scenarios.rtm - expected))
