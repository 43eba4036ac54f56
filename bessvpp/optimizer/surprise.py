"""How far the RTM strays from what was expected of it, and how long that lasts: a Markov chain.

A surprise is a price minus the price expected. Divided by its spread at that time of day it is
autoregressive of order one; its innovations keep the shape that they had. The chain lives on a
few quantiles of what was seen, so that heavy tails stay heavy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

NODE_LEVELS = (0.01, 0.06, 0.17, 0.28, 0.39, 0.5, 0.61, 0.72, 0.83, 0.94, 0.99)
"""Levels of the chain's nodes."""
N_INNOVATIONS = 15
"""Equally likely innovations from every node."""
NEIGHBOUR_HOURS = 1
"""Spreads are pooled with those of gates up to an hour apart."""


@dataclass(frozen=True)
class SurpriseLaw:
    """Surprises of a day's RTM: T blocks, Z nodes.

    ``transition[j, z]`` is the chance of going from node j to node z in one block. Prices lie
    between ``low`` and ``high``.
    """

    spread_rs: np.ndarray  # (T,) of a surprise in each block
    nodes: np.ndarray  # (Z,) in spreads, rising
    transition: np.ndarray  # (Z, Z), rows sum to 1
    low: float  # Rs/MWh
    high: float  # Rs/MWh

    def prices(self, expected: np.ndarray, t: int) -> np.ndarray:
        """(..., Z) price of block t at each node around expected prices (...)."""
        return np.clip(expected[..., None] + self.spread_rs[t] * self.nodes, self.low, self.high)

    def weights_of(self, price: np.ndarray, expected: np.ndarray, t: int) -> np.ndarray:
        """(N, Z) chances of the nodes after a price (N,): those beside it, by distance.

        A price that is not known (NaN) leaves the chances of a long run.
        """
        known = np.isfinite(price) & np.isfinite(expected)
        z = np.where(known, price - expected, 0.0) / self.spread_rs[t]
        weights = _between(z, self.nodes)
        return np.where(known[:, None], weights, self.long_run)

    @cached_property
    def long_run(self) -> np.ndarray:
        """(Z,) chances of the nodes where nothing is known."""
        return np.linalg.matrix_power(self.transition, 256)[0]


def sure_law(n_blocks: int, low: float = 0.0, high: float = np.inf) -> SurpriseLaw:
    """The law of an RTM that comes as expected."""
    return SurpriseLaw(np.zeros(n_blocks) + 1e-9, np.zeros(1), np.ones((1, 1)), low, high)


def law_of_gates(errors: np.ndarray, starts: np.ndarray, low: float, high: float) -> SurpriseLaw:
    """The law of what gates within past days missed.

    Parameters
    ----------
    errors : (D, G, T) RTM price minus what the gate expected; NaN where either is missing
    starts : (G,) first block of each gate's session
    """
    n_blocks = errors.shape[2]
    gates = np.arange(len(starts))
    own = errors[:, gates, starts]
    reach = NEIGHBOUR_HOURS * len(starts) // 24
    near = (gates[:, None] + np.arange(-reach, reach + 1)) % len(starts)
    spread = np.sqrt(np.nanmean(own[:, near] ** 2, axis=(0, 2)))
    block_spread = spread[np.searchsorted(starts, np.arange(n_blocks), side="right") - 1]
    following = np.minimum(starts + 1, n_blocks - 1)
    z, later = own / spread, errors[:, gates, following] / block_spread[following]
    inner = starts + 1 < n_blocks
    return _law(z, (z[:, inner], later[:, inner]), None, block_spread, (low, high))


def law_of_paths(
    surprises: np.ndarray, weights: np.ndarray, low: float, high: float
) -> SurpriseLaw:
    """The law of a fan's own surprises (S, T), paths weighted by (S,)."""
    spread = np.sqrt(np.nansum(weights[:, None] * surprises**2, axis=0))
    spread = np.maximum(spread, 1e-9)
    z = surprises / spread
    return _law(z, (z[:, :-1], z[:, 1:]), weights, spread, (low, high))


def _law(
    z: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    weights: np.ndarray | None,
    spread: np.ndarray,
    limits: tuple[float, float],
) -> SurpriseLaw:
    """Nodes and transitions from standardised surprises and those that followed them."""
    now, later = pairs
    share = np.ones(len(z)) if weights is None else weights
    by_pair = np.broadcast_to(share[:, None], now.shape)
    seen = np.isfinite(now) & np.isfinite(later)
    now, later, by_pair = now[seen], later[seen], by_pair[seen]
    phi = float(np.clip((by_pair * now * later).sum() / (by_pair * now**2).sum(), 0.0, 1.0))
    levels = (np.arange(N_INNOVATIONS) + 0.5) / N_INNOVATIONS
    innovations = np.quantile(later - phi * now, levels)
    nodes = np.unique(np.quantile(z[np.isfinite(z)], NODE_LEVELS))
    if len(nodes) < 2:
        return sure_law(len(spread), *limits)
    reached = phi * nodes[:, None] + innovations
    transition = _between(reached.ravel(), nodes).reshape(*reached.shape, -1).mean(axis=1)
    return SurpriseLaw(spread, nodes, transition, *limits)


def _between(z: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """(N, Z) weights of the two nodes beside each value (N,); the outermost beyond them."""
    if len(nodes) == 1:
        return np.ones((len(z), 1))
    z = np.clip(z, nodes[0], nodes[-1])
    left = np.clip(np.searchsorted(nodes, z, side="right") - 1, 0, len(nodes) - 2)
    share = (z - nodes[left]) / (nodes[left + 1] - nodes[left])
    weights = np.zeros((len(z), len(nodes)))
    rows = np.arange(len(z))
    weights[rows, left], weights[rows, left + 1] = 1 - share, share
    return weights
