"""Dynamic recourse: a session's trades are bid as quantities by price, the rest being uncertain.

A session's bids close before the outcome of the one before is known. So energy counts as what the
open bids leave on average, given the own price; no outcome of theirs may make a bid
undeliverable; and bids vary by price only where prices are likely, for the more they leave open
the less the next gate can do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bessvpp import battery, ledger
from bessvpp.optimizer.dynamic import EnergyTable, energy_table, goals_mwh
from bessvpp.optimizer.problem import Problem
from bessvpp.optimizer.stored_energy import UnitDay, block_slopes, pieces_taken
from bessvpp.optimizer.surprise import SurpriseLaw
from bessvpp.prices import PriceScenarios
from bessvpp.settlement.day import SettledDay, booked
from bessvpp.settlement.recourse import (
    Flow,
    Gates,
    Traded,
    UnitRun,
    affordable,
    brought_back,
    traded,
)

UNLIKELY = 0.1
"""Chance on either side of a block's prices beyond which a bid stays as it is there; of
0, 0.05, 0.1 and 0.2 the best on embedded days of seeds 401 to 403 and real ones of March 2025."""


def trade_on_bids(
    problem: Problem,
    paths: PriceScenarios,
    unit_dam_mw: np.ndarray,
    gates: Gates,
    law: SurpriseLaw,
) -> Traded:
    """Trade a day along each path by bids of quantities by price, the rest of the day uncertain.

    Parameters
    ----------
    paths, unit_dam_mw : as for ``trade_on_expectations``
    law : of the surprises around what ``gates`` expect
    """

    def bid(day: UnitDay, e_start_mwh: float) -> Flow:
        return Bidder(day, problem, paths, gates, law).run(e_start_mwh).flow

    return traded(problem, paths, unit_dam_mw, gates, bid)


def settle_on_bids(
    problem: Problem,
    prices: PriceScenarios,
    unit_dam_mw: np.ndarray,
    gates: Gates,
    law: SurpriseLaw,
) -> SettledDay:
    """A day's books with dynamic recourse; parameters of ``trade_on_bids``, one path."""
    done = trade_on_bids(problem, prices, unit_dam_mw, gates, law)
    flows = {
        "dam_mw": done.dam_mw,
        "rtm_mw": done.rtm_mw[0],
        "charge_mw": done.charge_mw[0],
        "discharge_mw": done.discharge_mw[0],
        "undelivered_mw": done.undelivered_mw[0],
        "missing_mwh": float(done.missing_mwh[0]),
    }
    return booked(problem, prices, problem.e_start_mwh, done.e_end_mwh[0], flows)


@dataclass(frozen=True)
class Begun:
    """What of a unit's day is done at a gate: n blocks whose outcome is known, m that are bid."""

    rtm_mw: np.ndarray  # (n,) traded
    open_mwh: np.ndarray  # (m, Z) wanted of store by the nodes of each block's own gate
    measured: tuple[int, float] | None = None  # block, and the energy measured at its start [MWh]


class Bidder:
    """One unit's bids: quantities by price for each block, at the nodes of the surprises' chain.

    ``table`` is V by the gates, for whoever has it.
    """

    def __init__(
        self,
        day: UnitDay,
        problem: Problem,
        paths: PriceScenarios,
        gates: Gates,
        law: SurpriseLaw,
        table: EnergyTable | None = None,
    ) -> None:
        self.day, self.costs, self.paths = day, problem.costs, paths
        self.gates, self.law = gates, law
        self.n_blocks = paths.rtm.shape[1]
        self.table = table or energy_table(
            day, problem.costs, paths.dam, gates.starts, gates.expected_rtm, law
        )
        self.wanted = np.zeros((*paths.rtm.shape, len(law.nodes)))  # of store, by node [MWh]
        self.floor_mwh, self.swing_mwh = self._end_limits(problem)

    def _end_limits(self, problem: Problem) -> tuple[np.ndarray, float]:
        """(T,) least energy after each block, and how far a block's bids may leave it open.

        Under ``hard`` the target stays in reach whatever sessions not yet known have done.
        """
        day = self.day
        if problem.terminal != "hard":
            return np.full(self.n_blocks, day.e_min_mwh), np.inf
        target = day.e_min_mwh + day.end.lengths[0, 0]
        open_blocks = max(t - self.gates.known_blocks(t) for t in range(self.n_blocks))
        return day.floor_mwh(target), float(day.e_max_mwh - target) / max(open_blocks, 1)

    def run(self, e_start_mwh: float, begun: Begun | None = None) -> UnitRun:
        """The unit's day: bids at each gate, and what came of them.

        Parameters
        ----------
        begun : what of the day is done already; the rest is bid
        """
        run, rows = UnitRun(self.day, self.paths.rtm, e_start_mwh), np.arange(len(self.paths.rtm))
        first = 0 if begun is None else self._begin(begun, run)
        for t in range(len(begun.rtm_mw) if begun else 0, self.n_blocks):
            prices = self.law.prices(self.gates.expected_of(t), t)
            if t >= first:
                self.wanted[:, t] = self._bid(t, prices, run)
            node = (edges(prices) < self.paths.rtm[:, t, None]).sum(axis=1)
            run.carry_out(t, self.wanted[rows, t, node])
        return run

    def _begin(self, begun: Begun, run: UnitRun) -> int:
        """Run what is known of the day, and keep what was bid; first block that is neither."""
        n_known = len(begun.rtm_mw)
        at, measured_mwh = begun.measured or (n_known, None)
        for t, rtm_mw in enumerate(begun.rtm_mw):
            if t == at:
                run.energy_mwh[:, t] = measured_mwh
            run.run_block(t, rtm_mw)
        if measured_mwh is not None and at == n_known:
            run.energy_mwh[:, at] = measured_mwh
        first = n_known + len(begun.open_mwh)
        self.wanted[:, n_known:first] = begun.open_mwh
        return first

    def _bid(self, t: int, prices: np.ndarray, run: UnitRun) -> np.ndarray:
        """(S, Z) energy wanted of store at each node's price, rising along them."""
        day, known = self.day, self.gates.known_blocks(t)
        open_bids = self.wanted[:, known:t]
        start, full_charge = run.energy_mwh[:, known], float(day.taken_mwh(-day.charge_max_mw[t]))
        least = day.after_mwh(start, open_bids.max(axis=2))[:, None]
        greatest = day.after_mwh(start, open_bids.min(axis=2))[:, None]
        low, high = np.maximum(least, day.e_min_mwh), np.minimum(greatest, day.e_max_mwh)
        energy = np.clip(day.after_mwh(start[:, None], open_bids), low, high)
        chance = self._chance_of_open(known, energy)
        if t > known:
            energy = self._mean_energy(t, known, energy, chance)
        wanted = full_charge + self._taken(t, prices, energy)
        middle = wanted[:, wanted.shape[1] // 2, None]
        wanted = np.clip(wanted, middle - self.swing_mwh / 2, middle + self.swing_mwh / 2)
        most = affordable(run, known, open_bids.max(axis=2))[:, None]
        low, high = day.kept_mwh(low), day.kept_mwh(high)
        wanted = np.minimum(wanted, np.minimum(low - self.floor_mwh[t], most))
        wanted = np.maximum(wanted, np.maximum(high - day.e_max_mwh, full_charge))
        if day.unit.is_tapered:  # fullest, it charges least; emptiest, it discharges least
            charge, _ = battery.tapered_mw(day.unit, high, day.block_hours)
            _, discharge = battery.tapered_mw(day.unit, low, day.block_hours)
            wanted = np.clip(wanted, day.taken_mwh(-charge), day.taken_mwh(discharge))
        wanted = brought_back(run, known, t, wanted, least, greatest)
        chance = chance @ np.linalg.matrix_power(self.law.transition, t - known)
        return level_where_unlikely(np.maximum.accumulate(wanted, axis=1), chance)

    def _taken(self, t: int, prices: np.ndarray, energy_mwh: np.ndarray) -> np.ndarray:
        """(S, Z) best energy to take of store beyond full charge, were these prices known."""
        dam, table = self.paths.dam[:, t, None], self.table
        flow_cost = ledger.flow_cost_rs_per_mwh(self.costs, dam, prices)
        slopes, lengths = block_slopes(self.day, t, prices.ravel(), flow_cost.ravel())
        value = table.after_rs[t].reshape(len(slopes), -1)
        goals = goals_mwh(value, table.e_min_mwh, table.step_mwh, slopes)
        pieces = pieces_taken(self.day, t, lengths, energy_mwh.reshape(-1, 1), goals)
        return sum(pieces).reshape(prices.shape)

    def _chance_of_open(self, known: int, like: np.ndarray) -> np.ndarray:
        """(S, Z) chances of the nodes in the first block whose outcome is open."""
        law, last = self.law, known - 1
        if not (self.gates.is_one_path and known):
            return np.broadcast_to(law.long_run, like.shape)
        seen = law.weights_of(self.paths.rtm[:, last], self.gates.expected_of(last), last)
        return seen @ law.transition

    def _mean_energy(
        self, t: int, known: int, at_node: np.ndarray, chance: np.ndarray
    ) -> np.ndarray:
        """(S, Z) energy that is expected before block t, given its own price's node.

        Parameters
        ----------
        at_node : (S, Z) energy there would be with all open prices at one node
        chance : (S, Z) of the nodes in the first open block
        """
        joint = chance[:, :, None] * np.linalg.matrix_power(self.law.transition, t - known)
        total = joint.sum(axis=1)
        mean = np.einsum("sj,sjz->sz", at_node, joint) / np.maximum(total, 1e-12)
        unseen = (chance * at_node).sum(axis=1, keepdims=True)
        return np.where(total > 1e-9, mean, unseen)


def edges(prices: np.ndarray) -> np.ndarray:
    """(..., Z - 1) prices above which the next node's quantity is traded, of nodes (..., Z)."""
    return (prices[..., 1:] + prices[..., :-1]) / 2


def level_where_unlikely(wanted: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Bids (S, Z) that go on level beyond the nodes that are likely by their chances (S, Z)."""
    below = chance.cumsum(axis=1)
    last = wanted.shape[1] - 1
    low = np.minimum((below <= UNLIKELY).sum(axis=1), last)[:, None]
    high = np.clip((below < 1 - UNLIKELY).sum(axis=1), low[:, 0], last)[:, None]
    nodes = np.clip(np.arange(wanted.shape[1]), low, high)
    return np.take_along_axis(wanted, nodes, axis=1)
