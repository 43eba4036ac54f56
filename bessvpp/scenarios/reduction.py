"""Fewer scenarios that stand for many: fast forward selection.

Heitsch and Roemisch (2003): scenarios are chosen one by one so that the probability-weighted
distance of all others to the nearest chosen one is least; each chosen one then takes the weight
of those nearest to it. Distances are Euclidean over the DAM prices and the spread RTM - DAM of
all blocks, the two things that a commitment is made for.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from bessvpp.errors import ParameterError
from bessvpp.prices import PriceScenarios


def reduce(day: PriceScenarios, n_scenarios: int) -> PriceScenarios:
    """``n_scenarios`` of a day's scenarios, in their order, with the weights of all.

    Raises
    ------
    ParameterError
        where more are asked for than there are.
    """
    n_all = len(day.weights)
    if not 1 <= n_scenarios <= n_all:
        raise ParameterError(f"{n_scenarios} scenarios cannot be chosen out of {n_all}")
    rtm = np.where(np.isfinite(day.rtm), day.rtm, day.dam)
    distance = cdist(*2 * [np.hstack([day.dam, rtm - day.dam])])
    nearest = np.full(n_all, np.inf)  # to a chosen one
    chosen: list[int] = []
    for _ in range(n_scenarios):
        cost = day.weights @ np.minimum(distance, nearest[:, None])
        cost[chosen] = np.inf
        best = int(np.argmin(cost))
        chosen.append(best)
        nearest = np.minimum(nearest, distance[:, best])
    chosen.sort()
    heir = np.argmin(distance[:, chosen], axis=1)
    weights = np.bincount(heir, weights=day.weights, minlength=n_scenarios)
    return PriceScenarios(day.dam[chosen], day.rtm[chosen], weights / weights.sum())
