"""How surprises of the two markets hang together, in a fan and on the days themselves.

A surprise is a price less the fan's mean for it, and so is one path's price. What a plan for two
markets lives on is the spread DAM minus RTM; marginals that are right do not make it right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bessvpp.prices import PriceScenarios
from bessvpp.scenarios.quality import path_scores

FIGURES = ("correlation", "slope", "spread_rms", "dam_rms", "rtm_rms")
EQUAL_ENERGY = 1.005
"""Fans whose energy scores are within this factor are told apart by their spreads."""


def surprise_figures(dam: np.ndarray, rtm: np.ndarray) -> dict[str, float]:
    """Correlation of surprises, slope of the spread on the DAM's, and root mean squares.

    ``slope`` is what of a surprise of the DAM stays between the markets: that of DAM minus RTM on
    the DAM. ``spread_rms`` is the size of DAM minus RTM about what was expected [Rs/MWh].
    Surprises have mean 0 by their making, or should: no mean is taken out.

    Parameters
    ----------
    dam, rtm : (N,) surprises of the same blocks [Rs/MWh]
    """
    product, of_dam, of_rtm = (dam * rtm).mean(), (dam**2).mean(), (rtm**2).mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation, slope = product / np.sqrt(of_dam * of_rtm), 1 - product / of_dam
    sizes = np.sqrt([((dam - rtm) ** 2).mean(), of_dam, of_rtm])
    return dict(zip(FIGURES, map(float, (correlation, slope, *sizes)), strict=True))


def surprise_table(
    fans: Mapping[str, Sequence[PriceScenarios]], outcome: np.ndarray
) -> pd.DataFrame:
    """A row a fan and source, ``days`` and ``fan``, columns ``FIGURES``; all blocks pooled.

    Both are measured from the fan's own means: in ``days`` what came, in ``fan`` its paths. Blocks
    without both prices are left out of either.

    Parameters
    ----------
    outcome : (D, 2T) prices of the days, DAM first
    """
    rows = {}
    dam, rtm = np.split(outcome, 2, axis=1)
    known = np.isfinite(dam + rtm)
    for name, days in fans.items():
        weights = np.array([day.weights for day in days])
        pairs = []
        for market, prices in (("dam", dam), ("rtm", rtm)):
            paths = np.array([getattr(day, market) for day in days])  # (D, S, T)
            mean = np.einsum("ds,dst->dt", weights, paths)
            of_fan = (paths - mean[:, None]).transpose(0, 2, 1)[known].ravel()
            pairs.append(((prices - mean)[known], of_fan))
        (came_dam, path_dam), (came_rtm, path_rtm) = pairs
        rows[name, "days"] = surprise_figures(came_dam, came_rtm)
        rows[name, "fan"] = surprise_figures(path_dam, path_rtm)
    return pd.DataFrame(rows, index=list(FIGURES)).T.rename_axis(["fan", "by"])


def fan_scores(fans: Mapping[str, Sequence[PriceScenarios]], outcome: np.ndarray) -> pd.DataFrame:
    """What a plan lives on, a row a fan: the energy score and how wide the spread is.

    ``energy`` is the mean energy score of whole paths of both markets [Rs/MWh], lower is better;
    ``spread_width`` the fan's spread rms over that of the days, 1 is right; beside them
    the figures of ``surprise_table`` that say how the fan follows.
    """
    table = surprise_table(fans, outcome).unstack("by")
    energy = {name: path_scores(days, outcome)["energy"].mean() for name, days in fans.items()}
    return pd.DataFrame(
        {
            "energy": pd.Series(energy),
            "spread_width": table["spread_rms", "fan"] / table["spread_rms", "days"],
            "correlation_off": table["correlation", "fan"] - table["correlation", "days"],
            "slope_off": table["slope", "fan"] - table["slope", "days"],
        }
    ).loc[list(fans)]


def better_fan(scores: pd.DataFrame) -> str:
    """The fan to plan with: of least energy score, and of near equals the one of truer spread.

    A plan is drawn from whole paths of both markets, which the energy score judges properly;
    where it does not tell two fans apart (``EQUAL_ENERGY``), the one is taken whose spread is
    nearest to as wide as the days' (by the size of the log of ``spread_width``), and of equals
    the first.

    Parameters
    ----------
    scores : as of ``fan_scores``, of days before those to plan
    """
    equal = scores[scores["energy"] <= EQUAL_ENERGY * scores["energy"].min()]
    return str(np.abs(np.log(equal["spread_width"])).idxmin())
