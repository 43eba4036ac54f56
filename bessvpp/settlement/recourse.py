"""RTM trade session by session along many price paths at once, each on what its gates know.

Two recourses. *Expected*, here: at each gate the rest of the day is planned on expected prices as
if they were sure, and the session's trades are bid as quantities; for one unit that is what
``day.settle_causally`` does. *Dynamic*, in ``bids``: the rest of the day is uncertain, and the
session's trades are bid as quantities by price.

Several units trade each by itself, with its own share of the schedule and of the connection: no
unit knows of another, so that is feasible, and less than a joint plan can do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bessvpp import battery, ledger
from bessvpp.ledger import Ledger
from bessvpp.optimizer.dynamic import energy_table, goals_mwh
from bessvpp.optimizer.problem import Problem
from bessvpp.optimizer.stored_energy import (
    UnitDay,
    Worth,
    block_slopes,
    earlier,
    pieces_taken,
    unit_days,
)
from bessvpp.optimizer.surprise import sure_law
from bessvpp.params.bess import ROUNDING_MWH
from bessvpp.params.market import Costs
from bessvpp.prices import PriceScenarios

BISECTIONS = 16
FINE_GRID = 641
"""Least number of energies at which V is known where power tapers."""
DEAREST_CYCLE_RS_PER_MWH = 2.0**15


@dataclass(frozen=True)
class Gates:
    """What the gates of a day expect: G gates, S paths, T blocks.

    ``expected_rtm`` is (G, S, T), nothing before a gate's own block being read, or (1, S, T)
    where one path of expectations serves the whole day. ``blocks_behind`` is the distance from a
    gate's first block to the latest one whose price it knows (``market.clock``).
    """

    starts: np.ndarray  # (G,) first block of each gate's session, rising from 0
    expected_rtm: np.ndarray  # (G, S, T) or (1, S, T) Rs/MWh
    blocks_behind: int = 1

    @property
    def is_one_path(self) -> bool:
        """Whether expectations do not move with what is seen within the day."""
        return len(self.expected_rtm) == 1

    def gate_of(self, t: int) -> int:
        """Place of the gate that decides on a block."""
        return int(np.searchsorted(self.starts, t, side="right")) - 1

    def expected_of(self, t: int) -> np.ndarray:
        """(S,) price of a block that its own gate expects."""
        return self.expected_rtm[0 if self.is_one_path else self.gate_of(t), :, t]

    def known_blocks(self, t: int) -> int:
        """Blocks of the day whose outcome is known at the gate that decides on block t."""
        return max(int(self.starts[self.gate_of(t)]) - self.blocks_behind + 1, 0)


@dataclass(frozen=True)
class Traded:
    """A day traded along S paths: U units, T blocks."""

    ledger: Ledger  # entries (S,)
    dam_mw: np.ndarray  # (T,)
    rtm_mw: np.ndarray  # (S, T)
    charge_mw: np.ndarray  # (S, U, T)
    discharge_mw: np.ndarray  # (S, U, T)
    undelivered_mw: np.ndarray  # (S, T)
    missing_mwh: np.ndarray  # (S,) drawn at the end, unscheduled, to reach a ``hard`` target
    e_end_mwh: np.ndarray  # (S, U)


def trade_on_expectations(
    problem: Problem, paths: PriceScenarios, unit_dam_mw: np.ndarray, gates: Gates
) -> Traded:
    """Trade a day along each path, the rest of the day planned on expected prices as if sure.

    Parameters
    ----------
    paths : realised or imagined prices; the RTM of a session is used after its gate alone, and
        NaN leaves its trade undone: the battery follows what was sold before as far as it can
    unit_dam_mw : (U, T) DAM schedule of each unit, positive sells
    """

    def bid(day: UnitDay, e_start_mwh: float) -> Flow:
        return _follow_goals(day, problem.costs, paths, gates, e_start_mwh)

    return traded(problem, paths, unit_dam_mw, gates, bid)


Flow = tuple[np.ndarray, np.ndarray, np.ndarray]
"""RTM trade (S, T), net power (S, T) and energy at the end (S,) of one unit."""


def traded(
    problem: Problem,
    paths: PriceScenarios,
    unit_dam_mw: np.ndarray,
    gates: Gates,
    bid: Callable[[UnitDay, float], Flow],
) -> Traded:
    """Every unit's day, and the books of all together."""
    flows = []
    for day, e_start in zip(unit_days(problem, unit_dam_mw), problem.e_start_mwh, strict=True):
        price = cycle_price(day, problem.costs, paths.dam, gates, float(e_start))
        flows.append(bid(day.dearer_discharge(price), float(e_start)))
    rtm, net, e_end = (np.stack(part, axis=1) for part in zip(*flows, strict=True))
    missing = np.zeros(e_end.shape)
    if problem.e_end_min_mwh is not None:
        missing = np.maximum(problem.e_end_min_mwh - e_end, 0)
    dam_mw, rtm_mw = unit_dam_mw.sum(axis=0), rtm.sum(axis=1)
    eta_charge = np.array([unit.eta_charge for unit in problem.bess.units])
    shown = {
        "rtm_mw": rtm_mw,
        "charge_mw": np.maximum(-net, 0),
        "discharge_mw": np.maximum(net, 0),
        "undelivered_mw": np.round(dam_mw + rtm_mw - net.sum(axis=1), 9),
        "missing_mwh": (missing / eta_charge).sum(axis=1),
    }
    books = ledger.settle(
        problem.bess,
        problem.costs,
        problem.block_hours,
        dam=paths.dam,
        rtm=paths.rtm,
        dam_mw=np.broadcast_to(dam_mw, paths.dam.shape),
        **shown,
    )
    return Traded(books, dam_mw, **shown, e_end_mwh=e_end + missing)


class UnitRun:
    """What one unit has done of a day along S paths, and what it has left after each block."""

    def __init__(self, day: UnitDay, rtm_price: np.ndarray, e_start_mwh: float) -> None:
        n_paths, n_blocks = rtm_price.shape
        self.day, self.rtm_price = day, rtm_price
        self.rtm_mw, self.net_mw = np.zeros(rtm_price.shape), np.zeros(rtm_price.shape)
        self.energy_mwh = np.full((n_paths, n_blocks + 1), e_start_mwh)
        self.budget_mwh = np.full((n_paths, n_blocks + 1), day.budget_mwh)

    def carry_out(self, t: int, wanted_mwh: np.ndarray) -> None:
        """Trade what was wanted of store (S,) where the session trades, and run what can be."""
        trade = self.day.trade_mw(t, wanted_mwh)
        self.run_block(t, np.where(np.isfinite(self.rtm_price[:, t]), trade, 0.0))

    def run_block(self, t: int, rtm_mw: np.ndarray) -> None:
        """Run what can be run of the schedule and an RTM trade (S,)."""
        day, budget = self.day, self.budget_mwh[:, t]
        energy = day.kept_mwh(self.energy_mwh[:, t])
        self.rtm_mw[:, t] = rtm_mw
        left = np.maximum(energy - day.e_min_mwh, 0) * day.eta_discharge
        room = np.maximum(day.e_max_mwh - energy, 0) / day.eta_charge
        most = np.minimum(np.minimum(left, budget) / day.block_hours, day.discharge_max_mw[t])
        least = -np.minimum(room / day.block_hours, day.charge_max_mw[t])
        if day.unit.is_tapered:
            charge, discharge = battery.tapered_mw(day.unit, energy, day.block_hours)
            most, least = np.minimum(most, discharge), np.maximum(least, -charge)
        net = np.clip(day.schedule_mw[t] + self.rtm_mw[:, t], least, most)
        self.net_mw[:, t] = net
        self.energy_mwh[:, t + 1] = energy - day.taken_mwh(net)
        self.budget_mwh[:, t + 1] = np.maximum(budget - day.block_hours * np.maximum(net, 0), 0)

    @property
    def flow(self) -> Flow:
        """What the unit did."""
        return self.rtm_mw, self.net_mw, self.energy_mwh[:, -1]


# ---------------------------------------------------------------------- on expectations


def session_goals(day: UnitDay, costs: Costs, dam: np.ndarray, gates: Gates) -> np.ndarray:
    """(T, S, 3) energy down to which each piece of a block is worth taking, by its own gate.

    Parameters
    ----------
    dam : (S, T) DAM prices
    """
    expected = gates.expected_rtm
    n_gates, n_paths, n_blocks = expected.shape
    flow_cost = ledger.flow_cost_rs_per_mwh(costs, np.broadcast_to(dam, expected.shape), expected)
    if day.unit.is_tapered:  # which slopes alone do not tell
        return _goals_on_grid(day, costs, dam, gates, flow_cost)
    goals = np.empty((n_blocks, n_paths, 3))
    worth, gate = day.end, n_gates - 1
    for t in range(n_blocks - 1, -1, -1):
        if gate and t < gates.starts[gate]:
            gate -= 1
            n_rows = (gate + 1) * n_paths
            worth = Worth(worth.slopes[:n_rows], worth.lengths[:n_rows])
        slopes, lengths = block_slopes(
            day, t, expected[: gate + 1, :, t].ravel(), flow_cost[: gate + 1, :, t].ravel()
        )
        own = Worth(worth.slopes[-n_paths:], worth.lengths[-n_paths:])
        goals[t] = day.e_min_mwh + own.energy_above(slopes[-n_paths:])
        charge_mwh = -float(day.taken_mwh(-day.charge_max_mw[t]))
        worth = earlier(worth, slopes, lengths, charge_mwh, day.lost_share)
    return goals


def _goals_on_grid(
    day: UnitDay, costs: Costs, dam: np.ndarray, gates: Gates, flow_cost: np.ndarray
) -> np.ndarray:
    """(T, S, 3) the same by V on a grid of energies."""
    _, n_paths, n_blocks = gates.expected_rtm.shape
    law = sure_law(n_blocks)
    table = energy_table(day, costs, dam, gates.starts, gates.expected_rtm, law, FINE_GRID)
    goals = np.empty((n_blocks, n_paths, 3))
    for t in range(n_blocks):
        gate = 0 if gates.is_one_path else gates.gate_of(t)
        slopes, _ = block_slopes(day, t, gates.expected_rtm[gate, :, t], flow_cost[gate, :, t])
        value = table.after_rs[t][:, 0]
        goals[t] = goals_mwh(value, table.e_min_mwh, table.step_mwh, slopes)
    return goals


def _follow_goals(
    day: UnitDay, costs: Costs, paths: PriceScenarios, gates: Gates, e_start_mwh: float
) -> Flow:
    goals = session_goals(day, costs, paths.dam, gates)
    run, wanted = UnitRun(day, paths.rtm, e_start_mwh), np.zeros(paths.rtm.shape)
    for t in range(paths.rtm.shape[1]):
        known = gates.known_blocks(t)
        energy = day.after_mwh(run.energy_mwh[:, known], wanted[:, known:t])
        energy = np.clip(energy, day.e_min_mwh, day.e_max_mwh)
        pieces = pieces_taken(day, t, day.piece_lengths(t), energy[:, None], goals[t])
        wanted[:, t] = day.taken_mwh(-day.charge_max_mw[t]) + sum(pieces)[:, 0]
        wanted[:, t] = np.minimum(wanted[:, t], affordable(run, known, wanted[:, known:t]))
        left = (run.energy_mwh[:, known] - wanted[:, known:t].sum(axis=1))[:, None]
        wanted[:, t] = brought_back(run, known, t, wanted[:, [t]], left, left)[:, 0]
        run.carry_out(t, wanted[:, t])
    return run.flow


def brought_back(
    run: UnitRun, known: int, t: int, wanted_mwh: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """What is wanted of store (S, Z) in a block, of energy outside the window at least its return.

    Parameters
    ----------
    known : blocks whose outcome the gate knows: energy after them says whether it is outside
    low, high : (S, 1) least and most energy that there may be before the block
    """
    day, at_gate = run.day, run.energy_mwh[:, known, None]
    most = float(day.taken_mwh(day.discharge_max_mw[t]))
    least = float(day.taken_mwh(-day.charge_max_mw[t]))
    below, above = (np.clip(e, least, most) for e in (low - day.e_min_mwh, high - day.e_max_mwh))
    back = np.where(
        at_gate < day.e_min_mwh - ROUNDING_MWH, np.minimum(wanted_mwh, below), wanted_mwh
    )
    return np.where(at_gate > day.e_max_mwh + ROUNDING_MWH, np.maximum(back, above), back)


def affordable(run: UnitRun, known: int, open_bids_mwh: np.ndarray) -> np.ndarray:
    """(S,) most that may be taken of store within the limit on cycles, by what a gate knows.

    Parameters
    ----------
    open_bids_mwh : (S, n) wanted of store in the n blocks whose outcome is not known
    """
    spent = np.maximum(open_bids_mwh, 0).sum(axis=1) * run.day.eta_discharge
    return np.maximum(run.budget_mwh[:, known] - spent, 0) / run.day.eta_discharge


def cycle_price(
    day: UnitDay, costs: Costs, dam: np.ndarray, gates: Gates, e_start_mwh: float
) -> float:
    """Price on discharge at which the first gate's plans keep the limit on cycles, on average.

    The limit itself is kept along each path; the price makes it be spent where it is worth most.
    """
    if np.isinf(day.budget_mwh):
        return 0.0
    rtm = gates.expected_rtm[0]
    return spending_price(day.without_budget(), costs, dam, rtm, e_start_mwh, day.budget_mwh)


def spending_price(
    day: UnitDay,
    costs: Costs,
    dam: np.ndarray,
    rtm: np.ndarray,
    e_start_mwh: float,
    budget_mwh: float,
) -> float:
    """Least price on discharge at which a day spends a budget or less, on average of its paths.

    Each path is sure: its whole RTM is known. Found by bisection, for what is discharged falls as
    its price rises.

    Parameters
    ----------
    dam, rtm : (S, T) prices
    budget_mwh : that may be discharged, at the grid side
    """
    gates = Gates(np.zeros(1, dtype=int), rtm[None])
    sure = PriceScenarios(dam, rtm, np.full(len(dam), 1 / len(dam)))

    def spent(price: float) -> float:
        dearer = day.dearer_discharge(price)
        _, net, _ = _follow_goals(dearer, costs, sure, gates, e_start_mwh)
        return float(day.block_hours * np.maximum(net, 0).sum(axis=1).mean())

    low, high = 0.0, DEAREST_CYCLE_RS_PER_MWH
    if spent(low) <= budget_mwh:
        return low
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if spent(middle) <= budget_mwh else (middle, high)
    return high
