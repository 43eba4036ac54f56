r"""What a scenario's battery does against a DAM schedule, and what its stored energy is worth.

One unit, RTM prices that count as sure. With the stored energy :math:`\delta` that a block adds,
what it earns is concave and piecewise linear, with four slopes: the last and the first part of a
discharge, the first and the last part of a charge, each up to the schedule and beyond it. The
value of stored energy is then the (max, +) convolution of ``stored_energy``, here compiled, for
many scenarios at once, with the energy price :math:`\mu` of every block beside the path.

S scenarios, T blocks; energies in MWh stored, prices in Rs per MWh stored.
"""

from __future__ import annotations

import numpy as np
from numba import njit

BIG = 1e9
ROOM_MWH = 1e-9
SAME_RS_PER_MWH = 1e-7
PROOF = 1e-9
"""Of a probability-weighted energy price: the solver's tolerance of reduced costs."""


@njit(cache=True)
def energy_paths(
    price: np.ndarray,
    width: np.ndarray,
    start_mwh: float,
    low_mwh: float,
    high_mwh: float,
    end_slope: np.ndarray,
    end_width: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Best paths: what each block charges, discharges and leaves, and its energy price, (S, T).

    Parameters
    ----------
    price : (S, T, 4) of each part of a block's flow, rising: discharge last, discharge first,
        charge first, charge last
    width : (T, 4) energy of each part
    end_slope, end_width : (S, K) and (K,) value of energy at the end, falling, over the window
    """
    n_scenarios, n_blocks = price.shape[:2]
    charged, discharged = np.zeros((n_scenarios, n_blocks)), np.zeros((n_scenarios, n_blocks))
    energy, worth = np.zeros((n_scenarios, n_blocks)), np.zeros((n_scenarios, n_blocks))
    n_ends = end_width.size
    slope = np.empty((n_blocks + 1, 4 * n_blocks + n_ends + 4))
    length = np.empty_like(slope)
    count = np.zeros(n_blocks + 1, np.int64)
    for s in range(n_scenarios):
        slope[n_blocks, :n_ends], length[n_blocks, :n_ends] = end_slope[s], end_width
        count[n_blocks] = n_ends
        for t in range(n_blocks - 1, 0, -1):
            count[t] = _merged(
                price[s, t],
                width[t],
                slope[t + 1, : count[t + 1]],
                length[t + 1, : count[t + 1]],
                high_mwh - low_mwh,
                slope[t],
                length[t],
            )
        e, mu = start_mwh, 0.0
        for t in range(n_blocks):
            of_next, its_length = slope[t + 1, : count[t + 1]], length[t + 1, : count[t + 1]]
            c, d = _move(price[s, t], width[t], of_next, its_length, e - low_mwh)
            e = min(max(e + c - d, low_mwh), high_mwh)
            least, most = _worth_limits(of_next, its_length, e, low_mwh, high_mwh)
            of_flow = _flow_limits(price[s, t], width[t], c - d)
            least, most = max(least, of_flow[0]), min(most, of_flow[1])
            if t == 0:
                mu = most if most < BIG else least
            mu = min(max(mu, least), most)
            charged[s, t], discharged[s, t], energy[s, t], worth[s, t] = c, d, e, mu
    return charged, discharged, energy, worth


@njit(cache=True)
def _merged(
    price: np.ndarray,
    width: np.ndarray,
    slope: np.ndarray,
    length: np.ndarray,
    window: float,
    to_slope: np.ndarray,
    to_length: np.ndarray,
) -> int:
    """Slopes before a block from those after it, cut to the window; how many they are."""
    cut, room = width[2] + width[3], window
    n, after, part = 0, 0, 3
    while (after < slope.size or part >= 0) and room > ROOM_MWH / 1000:
        if part >= 0 and (after >= slope.size or price[part] >= slope[after]):
            value, size = price[part], width[part]
            part -= 1
        else:
            value, size = slope[after], length[after]
            after += 1
        gone = min(cut, size)
        cut -= gone
        size = min(size - gone, room)
        if size > ROOM_MWH / 1000:
            to_slope[n], to_length[n] = value, size
            n += 1
            room -= size
    return n


@njit(cache=True)
def _move(
    price: np.ndarray,
    width: np.ndarray,
    slope: np.ndarray,
    length: np.ndarray,
    above_mwh: float,
) -> tuple[float, float]:
    """Energy that a block charges and discharges, from one that lies so far above the least."""
    k, at = 0, 0.0
    while k < slope.size - 1 and at + length[k] <= above_mwh + ROOM_MWH:
        at += length[k]
        k += 1
    inside = above_mwh - at
    c, d = 0.0, 0.0
    for part in range(2, 4):
        left = width[part]
        while k < slope.size and left > ROOM_MWH / 1000 and slope[k] > price[part]:
            step = min(length[k] - inside, left)
            c, left, inside = c + step, left - step, inside + step
            if inside >= length[k] - ROOM_MWH / 1000:
                k, inside = k + 1, 0.0
    if c > 0:
        return c, d
    for part in range(1, -1, -1):
        left = width[part]
        while left > ROOM_MWH / 1000:
            if inside <= ROOM_MWH / 1000:
                if k == 0:
                    break
                k -= 1
                inside = length[k]
            if slope[k] >= price[part]:
                break
            step = min(inside, left)
            d, left, inside = d + step, left - step, inside - step
    return c, d


@njit(cache=True)
def _worth_limits(
    slope: np.ndarray,
    length: np.ndarray,
    e: float,
    low: float,
    high: float,
) -> tuple[float, float]:
    """Least and most that energy after a block can be worth for what comes."""
    k, at = 0, low
    while k < slope.size - 1 and at + length[k] < e - ROOM_MWH:
        at += length[k]
        k += 1
    most = slope[k] if e > low + ROOM_MWH else BIG
    least = slope[k]
    if at + length[k] <= e + ROOM_MWH:
        least = slope[k + 1] if k + 1 < slope.size else -BIG
    if e >= high - ROOM_MWH:
        least = -BIG
    return least, most


@njit(cache=True)
def _flow_limits(
    price: np.ndarray,
    width: np.ndarray,
    net: float,
) -> tuple[float, float]:
    """Least and most energy price at which a block charges so much, net."""
    least, most, at = -BIG, BIG, -(width[0] + width[1])
    for part in range(4):
        if width[part] <= ROOM_MWH / 1000:
            continue
        if net >= at + width[part] - ROOM_MWH:
            least = price[part]
        elif net > at + ROOM_MWH:
            least, most = price[part], price[part]
        else:
            most = min(most, price[part])
        at += width[part]
    return least, most


@njit(cache=True)
def tight_cells(
    price: np.ndarray,
    width: np.ndarray,
    net_mwh: np.ndarray,
    worth: np.ndarray,
    energy: np.ndarray,
    ends_mwh: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Where stretches of one energy price take it from, and where they end, (S, T) each.

    Returns
    -------
    the part of the flow whose price it is, -1 elsewhere; and for the last block of a stretch 1
    where its energy is the least, 2 where it is the most, 3 where neither, 0 elsewhere

    Parameters
    ----------
    ends_mwh : least and most energy at the end
    """
    n_scenarios, n_blocks = worth.shape
    part_of = np.full((n_scenarios, n_blocks), -1, np.int8)
    jump = np.zeros((n_scenarios, n_blocks), np.int8)
    for s in range(n_scenarios):
        first = 0
        while first < n_blocks:
            last = first
            while (
                last + 1 < n_blocks and abs(worth[s, last + 1] - worth[s, first]) < SAME_RS_PER_MWH
            ):
                last += 1
            best, best_part, rank = -1, -1, 0
            for t in range(first, last + 1):
                at = -(width[t, 0] + width[t, 1])
                for part in range(4):
                    above, below = net_mwh[s, t] - at, at + width[t, part] - net_mwh[s, t]
                    at += width[t, part]
                    if width[t, part] <= ROOM_MWH or min(above, below) < -ROOM_MWH:
                        continue
                    if abs(worth[s, t] - price[s, t, part]) >= SAME_RS_PER_MWH:
                        continue
                    found = 2 if min(above, below) > ROOM_MWH else 1
                    if found > rank:
                        best, best_part, rank = t, part, found
            if best >= 0:
                part_of[s, best] = best_part
                if last < n_blocks - 1:
                    jump[s, last] = 1 if worth[s, last + 1] < worth[s, first] else 2
                elif energy[s, last] <= ends_mwh[0] + SAME_RS_PER_MWH:
                    jump[s, last] = 1
                elif energy[s, last] >= ends_mwh[1] - SAME_RS_PER_MWH:
                    jump[s, last] = 2
                else:
                    jump[s, last] = 3
            first = last + 1
    return part_of, jump


@njit(cache=True)
def unjustified(
    open_cells: np.ndarray,
    least: np.ndarray,
    most: np.ndarray,
    worth: np.ndarray,
    is_low: np.ndarray,
    is_high: np.ndarray,
) -> np.ndarray:
    """(S, T) closed cells whose flow no path of energy prices makes best.

    Between two open cells the price moves from that of one to that of the other: down only where
    the energy is the least, up only where it is the most.

    Parameters
    ----------
    open_cells : (S, T) bool, the first and last of each scenario among them
    least, most : (S, T) energy prices between which a closed cell's flow is best
    worth : (S, T) energy price of the open cells
    is_low, is_high : (S, T) bool, whether the energy after a block is the least, the most
    """
    n_scenarios, n_blocks = open_cells.shape
    bad = np.zeros((n_scenarios, n_blocks), np.bool_)
    for s in range(n_scenarios):
        here = 0
        while here < n_blocks - 1:
            there = here + 1
            while not open_cells[s, there]:
                there += 1
            mu, end = worth[s, here], worth[s, there]
            falls = end < mu
            at_limit = is_low[s] if falls else is_high[s]
            last = -1
            for t in range(here, there):
                if at_limit[t]:
                    last = t
            for t in range(here + 1, there):
                if last < 0 and abs(end - mu) > PROOF:
                    bad[s, t] = True
                elif t > last:
                    mu = end
                elif at_limit[t - 1]:
                    mu = max(min(mu, most[s, t]), end) if falls else min(max(mu, least[s, t]), end)
                outside = max(least[s, t] - mu, mu - most[s, t])
                bad[s, t] |= outside > PROOF
            here = there
    return bad
