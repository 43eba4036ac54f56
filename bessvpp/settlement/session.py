"""The next RTM session of a day at its gate: bids, and the rest of the day as it is planned there.

The same code trades the session here and in settlement: ``bids.Bidder`` with dynamic recourse,
``day.SureSessions`` on expected prices. Run at every gate of a day, with the trades that came of
its bids, it is that day's causal settlement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bessvpp import battery
from bessvpp.errors import InfeasibleError
from bessvpp.optimizer.dynamic import EnergyTable, energy_table
from bessvpp.optimizer.problem import Past, Problem
from bessvpp.optimizer.recovery import Start, accommodated, at_rest, window_limits
from bessvpp.optimizer.stored_energy import UnitDay, unit_days
from bessvpp.optimizer.surprise import SurpriseLaw, sure_law
from bessvpp.params.bess import ROUNDING_MWH
from bessvpp.prices import PriceScenarios
from bessvpp.settlement.bids import Begun, Bidder
from bessvpp.settlement.day import SureSessions
from bessvpp.settlement.recourse import Gates, cycle_price


@dataclass(frozen=True)
class GateView:
    """What the gates of a day up to that of session k know and expect: T blocks."""

    starts: np.ndarray  # (G,) first block of each session of the day
    k: int
    behind: int  # blocks from the latest known price to a session (``market.clock``)
    dam: np.ndarray  # (T,) Rs/MWh, published
    expected_rtm: np.ndarray  # (k + 1, T) by gate; nothing before its block is read

    @property
    def first(self) -> int:
        """First block of the session."""
        return int(self.starts[self.k])

    @property
    def last(self) -> int:
        """First block after the session."""
        later = self.starts[self.k + 1 :]
        return int(later[0]) if len(later) else len(self.dam)

    @property
    def n_known(self) -> int:
        """Blocks of the day whose outcome is known."""
        return max(self.first - self.behind + 1, 0)

    def gates(self) -> Gates:
        """All gates of the day, those to come expecting what this one does."""
        to_come = np.repeat(self.expected_rtm[-1:], len(self.starts) - self.k - 1, axis=0)
        expected = np.concatenate([self.expected_rtm, to_come])
        return Gates(self.starts, expected[:, None], self.behind)

    def path(self) -> np.ndarray:
        """(T,) price of each block that its gate, or this one, expects."""
        gates = self.gates()
        return np.array([gates.expected_of(t)[0] for t in range(len(self.dam))])


@dataclass(frozen=True)
class Done:
    """What of a day is done at a gate: U units, n known blocks, m blocks that are bid."""

    rtm_mw: np.ndarray  # (U, n) traded where the outcome is known
    open_mw: np.ndarray  # (U, m, Z) bid by node where it is not; Z = 1: quantities
    measured_mwh: np.ndarray | None = None  # (U,) stored at the start of block ``measured_at``
    measured_at: int = 0  # at most n


@dataclass(frozen=True)
class WorthCurve:
    """What energy held after the session is worth in a unit's day: K energies."""

    energy_mwh: np.ndarray  # (K,)
    value_rs: np.ndarray  # (K,) up to a constant

    def slope_rs_per_mwh(self, e_mwh: float) -> float:
        """Worth of one more MWh stored."""
        at = np.clip(np.searchsorted(self.energy_mwh, e_mwh), 1, len(self.energy_mwh) - 1)
        rise, width = (np.diff(part)[at - 1] for part in (self.value_rs, self.energy_mwh))
        return float(rise / width)


@dataclass(frozen=True)
class Session:
    """A session's bids and the plan for the rest of the day: U units, T blocks, n in session.

    A bid trades ``bid_mw[..., z]`` at prices above ``edges[:, z - 1]`` and up to ``edges[:, z]``.
    On expectations it is one quantity (Z = 1), shared over the units by their power.
    """

    view: GateView
    edges: np.ndarray  # (n, Z - 1) Rs/MWh, rising
    bid_mw: np.ndarray  # (U, n, Z) RTM trade by unit, positive sells, rising
    rtm_mw: np.ndarray  # (T,) done, and as planned
    net_mw: np.ndarray  # (U, T) run, and as planned
    energy_mwh: np.ndarray  # (U, T + 1) before each block and at the end
    worth: tuple[WorthCurve, ...]  # by unit
    notes: tuple[str, ...] = ()  # on energy outside its window, and a target out of reach

    def traded_mw(self, t: int, price: float) -> np.ndarray:
        """(U,) RTM trade of a block of the session at its price; 0 where nobody trades (NaN)."""
        place = t - self.view.first
        node = int((self.edges[place] < price).sum())
        return self.bid_mw[:, place, node] if np.isfinite(price) else 0 * self.bid_mw[:, 0, 0]


def session_on_bids(
    problem: Problem, view: GateView, unit_dam_mw: np.ndarray, law: SurpriseLaw, done: Done
) -> Session:
    """The session by bids of quantities by price, the rest of the day uncertain.

    Parameters
    ----------
    problem : of the day, from the energy that it began with
    unit_dam_mw : (U, T) DAM schedule of each unit, positive sells
    law : of the surprises around what gates expect
    """
    gates, n_blocks = view.gates(), len(view.dam)
    paths = PriceScenarios.single(view.dam, view.path())
    span = range(view.first, view.last)
    runs, wanted, worth = [], [], []
    for i, day in enumerate(unit_days(problem, unit_dam_mw)):
        e_start = float(problem.e_start_mwh[i])
        price = cycle_price(day, problem.costs, paths.dam, gates, e_start)
        day = day.dearer_discharge(price)
        table = _table(day, problem, view, law)
        bidder = Bidder(day, problem, paths, gates, law, table)
        runs.append(bidder.run(e_start, _begun(day, done, i, len(law.nodes))))
        wanted.append([day.trade_mw(t, bidder.wanted[0, t]) for t in span])
        worth.append(_worth_after(table, view.last, law))
    prices = np.array([law.prices(gates.expected_of(t), t)[0] for t in span])
    energy = np.array([run.energy_mwh[0] for run in runs])
    _, notes = accommodated(problem, Start(energy[:, view.first], view.first))
    return Session(
        view,
        (prices[:, 1:] + prices[:, :-1]) / 2,
        np.array(wanted),
        sum(run.rtm_mw[0] for run in runs),
        np.array([run.net_mw[0] for run in runs]).reshape(-1, n_blocks),
        energy,
        tuple(worth),
        notes,
    )


def _begun(day: UnitDay, done: Done, i: int, n_nodes: int) -> Begun:
    """One unit's part of what is done."""
    n_known, n_open = done.rtm_mw.shape[1], done.open_mw.shape[1]
    open_mwh = np.zeros((n_open, n_nodes))
    for place in range(n_open):
        schedule_mw = day.schedule_mw[n_known + place]
        open_mwh[place] = day.taken_mwh(schedule_mw + done.open_mw[i, place])
    measured = None
    if done.measured_mwh is not None:
        measured = done.measured_at, float(done.measured_mwh[i])
    return Begun(done.rtm_mw[i], open_mwh, measured)


def session_on_expectations(
    problem: Problem, view: GateView, unit_dam_mw: np.ndarray, done: Done
) -> Session:
    """The session by quantities, the rest of the day planned on expected prices as if sure.

    Parameters as for ``session_on_bids``; what was bid and is not known counts as traded.
    """
    traded = np.concatenate([done.rtm_mw, _middle(done.open_mw)], axis=1)
    day = _day_until(problem, view, unit_dam_mw, done, traded)
    path = _energy_until(problem, unit_dam_mw, done, traded)
    room, notes = _with_room(day.recourse, view, path)
    if notes and len(path) == 1:  # of several units the path is not sure: who ran what was chosen
        day.recourse = room
    try:
        plan = day.plan(view.expected_rtm[-1])
    except InfeasibleError:  # what the rules of research refuse happens at a desk
        day.recourse = room
        plan = day.plan(view.expected_rtm[-1])
    span = slice(view.first, view.last)
    net = plan.discharge_mw[0] - plan.charge_mw[0]
    rtm_mw = np.append(traded.sum(axis=0), plan.rtm_mw[0, view.first :])
    sure = sure_law(len(view.dam))
    tables = [_table(one, problem, view, sure) for one in unit_days(problem, unit_dam_mw)]
    energy = np.hstack([day.recourse.e_start_mwh[:, None], plan.energy_mwh[0]])
    return Session(
        view,
        np.zeros((view.last - view.first, 0)),
        problem.share_by_power(rtm_mw)[:, span, None],
        rtm_mw,
        net,
        energy,
        tuple(_worth_after(table, view.last, sure) for table in tables),
        notes if day.recourse is room else (),
    )


def _middle(bids: np.ndarray) -> np.ndarray:
    """(U, m) quantities of bids (U, m, Z) at their middle node."""
    return bids[:, :, bids.shape[2] // 2]


def _day_until(
    problem: Problem, view: GateView, unit_dam_mw: np.ndarray, done: Done, traded: np.ndarray
) -> SureSessions:
    """The day traded up to the session, its flows as each gate's plan had them.

    Trades say what one unit runs; who of several does is what the plans of earlier gates say.
    Where energy was measured the day starts with it there: nothing counts as run before, but
    for the cycles.
    """
    dam_mw, rtm_mw = unit_dam_mw.sum(axis=0), traded.sum(axis=0)
    if done.measured_mwh is None:
        day = SureSessions(problem, view.dam, dam_mw)
        if len(unit_dam_mw) == 1:
            rest = np.zeros((1, len(dam_mw) - view.first))
            scheduled = unit_dam_mw + np.hstack([traded, rest])
            ran = problem.follow(scheduled)
            n_run = view.starts[max(view.k - 1, 0)]
            day.past = Past(rtm_mw, ran.charge_mw[:, :n_run], ran.discharge_mw[:, :n_run])
            return day
        for j in range(view.k):
            plan = day.plan(view.expected_rtm[j])
            day.trade(plan, rtm_mw[view.starts[j] : view.starts[j + 1]])
        return day
    at = done.measured_at
    is_open = np.arange(len(dam_mw)) >= at
    run_mw = unit_dam_mw[:, :at] + traded[:, :at]
    spent = problem.block_hours * np.maximum(run_mw, 0).sum(axis=1)
    anew = at_rest(problem, Start(done.measured_mwh, at))
    anew = replace(anew, bess=battery.with_cycles_spent(problem.bess, spent))
    day = SureSessions(anew, view.dam, dam_mw * is_open)
    idle = np.zeros((len(unit_dam_mw), at))
    day.past = Past(rtm_mw * is_open[: len(rtm_mw)], idle, idle)
    return day


def _energy_until(
    problem: Problem, unit_dam_mw: np.ndarray, done: Done, traded: np.ndarray
) -> np.ndarray:
    """(U, first + 1) energy before each block up to the session, each unit running its share."""
    first, start, at = traded.shape[1], problem.e_start_mwh, 0
    if done.measured_mwh is not None:
        start, at = done.measured_mwh, done.measured_at
    scheduled = unit_dam_mw.copy()
    scheduled[:, :first] += traded
    ran = replace(problem, e_start_mwh=start).follow(scheduled, at)
    return np.hstack([start[:, None], ran.energy_mwh[:, :first]])


def _with_room(
    problem: Problem, view: GateView, path_mwh: np.ndarray
) -> tuple[Problem, tuple[str, ...]]:
    """A day's programme with room for where energy is, and what there is to tell about it."""
    start = Start(path_mwh[:, -1], view.first)
    found, notes = accommodated(problem, start)
    (low, high), _ = window_limits(problem, start)
    done = slice(0, view.first)
    low[:, done] = np.minimum(low[:, done], path_mwh[:, 1:] - ROUNDING_MWH)
    high[:, done] = np.maximum(high[:, done], path_mwh[:, 1:] + ROUNDING_MWH)
    if problem.energy_limits is not None:  # where a measured day has its room before
        low[:, done] = np.minimum(low[:, done], problem.energy_limits[0][:, done])
        high[:, done] = np.maximum(high[:, done], problem.energy_limits[1][:, done])
    return replace(found, energy_limits=(low, high)), notes


def _table(day: UnitDay, problem: Problem, view: GateView, law: SurpriseLaw) -> EnergyTable:
    """V from the session on: of all gates of the rest of the day this one's is known alone."""
    expected = view.expected_rtm[[0, -1], None]
    starts = np.array([0, view.first])
    if view.k == 0:
        expected, starts = expected[1:], starts[1:]
    return energy_table(day, problem.costs, view.dam[None], starts, expected, law)


def _worth_after(table: EnergyTable, last: int, law: SurpriseLaw) -> WorthCurve:
    """V after a session, on average over how its last block may surprise."""
    value = law.long_run @ table.after_rs[last - 1, 0]
    energies = table.e_min_mwh + table.step_mwh * np.arange(value.size)
    return WorthCurve(energies, value)
