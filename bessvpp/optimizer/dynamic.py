r"""The value of energy stored within a day while the RTM is uncertain: a dynamic programme.

One unit against its DAM schedule. The RTM strays from its expected path by a surprise whose law
is a Markov chain :math:`z_t` (``surprise``); a block's price is known when its trade is made, for
the trade is bid as quantities by price:

.. math:: V_t(e, z_t) = \max_\delta \; g_t(\delta; p_t(z_t))
    + \mathrm{E}\,[V_{t+1}(e - \delta, z_{t+1}) \mid z_t]

:math:`V` is concave in :math:`e` and kept at the nodes of a grid; between them it is linear.
:math:`g_t` has three slopes (``stored_energy.block_slopes``), so the best :math:`\delta` takes
each of its pieces down to the energy at which V is as steep: exact for that V, and all paths,
gates and nodes of the chain are done at once. The innermost loops are compiled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from bessvpp import ledger
from bessvpp.optimizer.stored_energy import UnitDay, block_slopes, full_charge_rs
from bessvpp.optimizer.surprise import SurpriseLaw
from bessvpp.params.market import Costs

N_ENERGIES = 81
"""Least number of the grid's nodes; up to twice as many, so that one is at the target."""


@dataclass(frozen=True)
class EnergyTable:
    """V after each block as its gate expects it: S paths, Z nodes, K energies, T blocks [Rs]."""

    e_min_mwh: float
    step_mwh: float
    after_rs: np.ndarray  # (T, S, Z, K) mean over the next block's surprise, by this block's


def energy_nodes(day: UnitDay, n_energies: int = N_ENERGIES) -> np.ndarray:
    """(K,) evenly spaced energies over the usable window, one as near as can be to the target.

    That is where V at the end of the day has its wall under ``hard``.
    """
    counts = np.arange(n_energies, 2 * n_energies)
    first = day.end.lengths[0, 0] / day.window_mwh * (counts - 1)
    n_nodes = counts[np.abs(first - np.round(first)).round(9).argmin()]
    return np.linspace(day.e_min_mwh, day.e_max_mwh, n_nodes)


def energy_table(
    day: UnitDay,
    costs: Costs,
    dam: np.ndarray,
    starts: np.ndarray,
    expected_rtm: np.ndarray,
    law: SurpriseLaw,
    n_energies: int = N_ENERGIES,
) -> EnergyTable:
    """V after each block, backward from the end of the day.

    Parameters
    ----------
    dam : (S, T) DAM prices
    starts : (G,) first block of each gate's session
    expected_rtm : (G, S, T) RTM prices that each gate expects, or (1, S, T) for the whole day
    n_energies : least number of nodes
    """
    (n_gates, n_paths, n_blocks), n_z = expected_rtm.shape, len(law.nodes)
    grid = energy_nodes(day, n_energies)
    step = grid[1] - grid[0]
    after = np.empty((n_blocks, n_paths, n_z, len(grid)))
    worth = day.end.at(grid - day.e_min_mwh)[0]
    value = np.broadcast_to(worth, (n_gates, n_paths, n_z, len(grid)))
    gate = n_gates - 1
    for t in range(n_blocks - 1, -1, -1):
        if gate and t < starts[gate]:
            gate -= 1
            value = value[: gate + 1]
        mean = law.transition @ value
        after[t] = mean[gate]
        if t == 0:
            break
        price = law.prices(expected_rtm[: gate + 1, :, t], t)
        flow_cost = ledger.flow_cost_rs_per_mwh(costs, dam[:, t, None], price)
        slopes, lengths = block_slopes(day, t, price.ravel(), flow_cost.ravel())
        rows = mean.reshape(-1, len(grid))
        charge = -float(day.taken_mwh(-day.charge_max_mw[t]))
        base = full_charge_rs(day, t, price.ravel(), flow_cost.ravel())
        least, most = day.tapered_mwh(grid)
        value = _before(
            rows,
            slopes * step,
            lengths / step,
            charge / step,
            base,
            1 - day.lost_share,
            np.stack([least + charge, most + charge]) / step,
        )
        value = value.reshape(mean.shape)
    return EnergyTable(day.e_min_mwh, step, after)


def goals_mwh(
    value: np.ndarray, e_min_mwh: float, step_mwh: float, slopes: np.ndarray
) -> np.ndarray:
    """(N, 3) energy down to which each piece of a block is worth taking, by V (N, K)."""
    return e_min_mwh + step_mwh * _steeper_steps(value, slopes * step_mwh)


# ---------------------------------------------------------------------- compiled
# Energy is counted in steps of the grid here, from its lowest node; slopes are Rs a step.

_N_PIECES = 3  # of a block: as many as ``block_slopes`` gives


@njit(cache=True)
def _steeper_steps(value: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """(N, 3) how many of the first steps of V (N, K) are steeper than each slope (N, 3)."""
    n_rows, n_nodes = value.shape
    count = np.zeros(slopes.shape)
    for i in range(n_rows):
        at = 0
        for k in range(slopes.shape[1]):
            while at < n_nodes - 1 and value[i, at + 1] - value[i, at] > slopes[i, k]:
                at += 1
            count[i, k] = at
    return count


@njit(cache=True)
def _before(
    value: np.ndarray,
    slopes: np.ndarray,
    lengths: np.ndarray,
    charge: float,
    base: np.ndarray,
    kept: float,
    tapered: np.ndarray,
) -> np.ndarray:
    """(N, K) V before a block, by V (N, K) after it.

    Parameters
    ----------
    slopes, lengths : (N, 3) and (3,) of the block's pieces, in the order in which they are taken
    charge : what its full charge puts into store
    base : (N,) what the block earns at full charge [Rs]
    kept : share of the energy before the block that self-discharge leaves
    tapered : (2, K) least and most of all pieces that the taper allows
    """
    n_rows, n_nodes = value.shape
    goals = _steeper_steps(value, slopes)
    before, left_after, all_earned = np.empty(value.shape), np.empty(n_nodes), np.empty(n_nodes)
    for i in range(n_rows):
        for node in range(n_nodes):  # with a fixed count of pieces, several nodes at a time
            left, earned = kept * node + charge, base[i]
            forced, room = tapered[0, node], tapered[1, node]
            for k in range(_N_PIECES):
                piece = min(max(left - goals[i, k], forced, 0.0), lengths[k], room)
                left, forced, room = left - piece, forced - piece, room - piece
                earned += slopes[i, k] * piece
            left_after[node], all_earned[node] = left, earned
        for node in range(n_nodes):
            place = min(max(left_after[node], 0.0), n_nodes - 1.0)
            low = min(int(place), n_nodes - 2)
            here = value[i, low]
            before[i, node] = here + (place - low) * (value[i, low + 1] - here) + all_earned[node]
    return before
