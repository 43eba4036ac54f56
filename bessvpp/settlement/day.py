"""A day's books: what a DAM commitment comes to once the day is over.

Three ways to settle the same commitment. *As committed*: no RTM trade, the plant follows its
schedule as far as it can. *With causal recourse*: at the gate of every RTM session the rest of
the day is planned anew on expected prices, from what is known then, and that session's trade is
made. *With hindsight recourse*: the RTM is traded with the day's prices known, which no trader
has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from bessvpp import ledger
from bessvpp.errors import ParameterError
from bessvpp.ledger import Ledger
from bessvpp.market.clock import blocks_between
from bessvpp.optimizer import dispatch
from bessvpp.optimizer.problem import Past, Plan, Problem
from bessvpp.prices import PriceScenarios

AS_COMMITTED = "as committed"
CAUSAL = "with causal recourse"
HINDSIGHT = "with hindsight recourse"
Way = Literal["as committed", "causal", "hindsight"]
"""How ``settle`` settles, in short; backtests and their files have the words above."""
HALF_HOURS = 48
GATE_MINUTES, SESSION_MINUTES = 60, 30
"""The exchange's own: from an RTM gate to delivery, and of a session."""


@dataclass(frozen=True)
class SettledDay:
    """A day's ledger and physical flows: U units, T blocks."""

    ledger: Ledger
    dam_mw: np.ndarray  # (T,)
    rtm_mw: np.ndarray  # (T,)
    charge_mw: np.ndarray  # (U, T)
    discharge_mw: np.ndarray  # (U, T)
    undelivered_mw: np.ndarray  # (T,)
    missing_mwh: float  # drawn at the end, unscheduled, to reach the target
    e_start_mwh: np.ndarray  # (U,)
    e_end_mwh: np.ndarray  # (U,)


def nets_of(days: Sequence[SettledDay]) -> np.ndarray:
    """(D,) net of some days [Rs]."""
    return np.array([float(day.ledger.net_rs) for day in days])


def settle_as_committed(
    problem: Problem, prices: PriceScenarios, unit_mw: np.ndarray
) -> SettledDay:
    """Follow a DAM schedule from the energy that is really there, without RTM trade.

    Under ``hard`` what is missing from the target at the end is drawn without a schedule and
    paid for as such, so that every policy ends its days alike.
    """
    done = problem.follow(unit_mw)
    e_end = done.energy_mwh[:, -1]
    missing = np.zeros(len(e_end))
    if problem.e_end_min_mwh is not None:
        missing = np.maximum(problem.e_end_min_mwh - e_end, 0)
    eta_charge = np.array([unit.eta_charge for unit in problem.bess.units])
    flows = {
        "dam_mw": unit_mw.sum(axis=0),
        "rtm_mw": np.zeros(unit_mw.shape[1]),
        "charge_mw": done.charge_mw,
        "discharge_mw": done.discharge_mw,
        "undelivered_mw": done.undelivered_mw,
        "missing_mwh": float((missing / eta_charge).sum()),
    }
    return booked(problem, prices, problem.e_start_mwh, e_end + missing, flows)


def settle_with_recourse(
    problem: Problem, prices: PriceScenarios, dam_mw: np.ndarray
) -> SettledDay:
    """The best RTM trade to a DAM commitment with the day's prices known."""
    plan = dispatch.plan_day(replace(problem.at_sure_prices, fixed_dam_mw=dam_mw), prices)
    flows = {
        "dam_mw": dam_mw,
        "rtm_mw": plan.rtm_mw[0],
        "charge_mw": plan.charge_mw[0],
        "discharge_mw": plan.discharge_mw[0],
        "undelivered_mw": plan.undelivered_mw[0],
        "missing_mwh": 0.0,
    }
    return booked(problem, prices, problem.e_start_mwh, plan.energy_mwh[0, :, -1], flows)


def booked(
    problem: Problem,
    prices: PriceScenarios,
    e_start_mwh: np.ndarray,
    e_end_mwh: np.ndarray,
    flows: Mapping[str, np.ndarray | float],
) -> SettledDay:
    """A day's flows with their ledger."""
    dam, rtm = prices.dam[0], prices.rtm[0]
    books = ledger.settle(
        problem.bess, problem.costs, problem.block_hours, dam=dam, rtm=rtm, **flows
    )
    return SettledDay(books, **flows, e_start_mwh=e_start_mwh, e_end_mwh=e_end_mwh)


class SureSessions:
    """A day traded session by session on expected prices that count as sure.

    At each gate the programme of the hindsight recourse is solved on what the gate expects, with
    the trades already made; the trades of the session alone are taken from it. ``past`` is what
    is done: trades up to the next session, and the flows that were run on earlier plans. What is
    bid counts as traded until its outcome is known.
    """

    def __init__(self, problem: Problem, dam: np.ndarray, dam_mw: np.ndarray) -> None:
        none = np.zeros((len(problem.bess.units), 0))
        self.recourse, self.dam = replace(problem, fixed_dam_mw=dam_mw), dam
        self.past = Past(np.zeros(0), none, none)

    def learn(self, has_traded: np.ndarray) -> None:
        """Whether anybody traded in the first n blocks: elsewhere bids, and flows, are undone."""
        past, n = self.past, has_traded.size
        undone = np.flatnonzero(~has_traded & (past.rtm_mw[:n] != 0))
        if undone.size:
            rtm_mw, stands = past.rtm_mw.copy(), slice(undone[0])
            rtm_mw[undone] = 0.0
            self.past = Past(rtm_mw, past.charge_mw[:, stands], past.discharge_mw[:, stands])

    def plan(self, expected_rtm: np.ndarray) -> Plan:
        """The rest of the day at the next session's gate, which expects (T,) RTM prices."""
        first = self.past.rtm_mw.size
        path = np.append(self.dam[:first], expected_rtm[first:])  # the past is fixed
        return dispatch.plan_day(
            replace(self.recourse, past=self.past), PriceScenarios.single(self.dam, path)
        )

    def trade(self, plan: Plan, rtm_mw: np.ndarray) -> None:
        """Add a session's trades (n,); what was run before stays as its gate's plan had it."""
        past = self.past
        run = slice(past.charge_mw.shape[1], past.rtm_mw.size)
        net = plan.discharge_mw[0, :, run] - plan.charge_mw[0, :, run]
        self.past = Past(
            np.append(past.rtm_mw, rtm_mw),
            np.hstack([past.charge_mw, np.maximum(-net, 0)]),
            np.hstack([past.discharge_mw, np.maximum(net, 0)]),
        )


def settle_causally(
    problem: Problem,
    prices: PriceScenarios,
    dam_mw: np.ndarray,
    decisions: np.ndarray,
    expected_rtm: np.ndarray,
    blocks_behind: int = 1,
) -> SettledDay:
    """RTM trade session by session, each on what its gate knows: ``SureSessions``.

    A session in which nobody traded leaves its trade undone, and the battery follows what was
    sold before. The next gates, which close before that is known, still count on the trade.

    Parameters
    ----------
    prices : the day's realised prices; the RTM of a session is used after its gate alone
    decisions : (G,) first block of each decision, rising from 0
    expected_rtm : (G, T) expected RTM prices at each gate; nothing before its block is read
    blocks_behind : from the latest block whose outcome a gate knows to the first it decides on
    """
    day, has_traded = SureSessions(problem, prices.dam[0], dam_mw), np.isfinite(prices.rtm[0])
    for k, first in enumerate(decisions):
        last = decisions[k + 1] if k + 1 < len(decisions) else dam_mw.size
        day.learn(has_traded[: max(first - blocks_behind + 1, 0)])
        plan = day.plan(expected_rtm[k])
        day.trade(plan, plan.rtm_mw[0, first:last])
    day.learn(has_traded)
    return settle_with_recourse(replace(day.recourse, past=day.past), prices, dam_mw)


def settle(
    problem: Problem,
    plan: Plan,
    realised: PriceScenarios,
    way: Way = "causal",
    expected_rtm: np.ndarray | None = None,
) -> SettledDay:
    """The books of a planned day once its prices are known.

    Net is money alone. What is left at midnight (``e_end_mwh``) counts in it nowhere, so under
    ``value`` a way that keeps more energy can show less net: compare ways by net and V of what
    they leave, as below.

    Parameters
    ----------
    problem : what the day was planned from
    plan : whose DAM schedule is settled
    realised : one path, see ``PriceScenarios.single``
    way : ``as committed``, without RTM trade; ``causal``, each RTM session traded by quantities
        on what its gate expects, the recourse ``expected``; ``hindsight``, with the day's RTM
        prices known
    expected_rtm : (G, T) expected RTM prices at each of G gates, evenly spread over the day, for
        ``causal``; by default the DAM price, at the gate of every half hour

    Raises
    ------
    ParameterError
        for another way.

    Examples
    --------
    >>> hour = np.arange(24)
    >>> dam = 4000 + 2000 * np.cos((hour - 19) * np.pi / 12)
    >>> prices = bv.PriceScenarios.single(dam, rtm=dam + 300 * np.sin(hour))
    >>> problem = bv.Problem.of_day(bv.load_params(), block_hours=1.0)
    >>> problem = bv.with_energy_value(problem, dam)
    >>> plan = bv.plan_day(problem, prices, bv.Risk())
    >>> for way in ("as committed", "causal", "hindsight"):  # lakh Rs
    ...     day = bv.settle(problem, plan, prices, way)
    ...     left_rs = problem.energy_values[0](day.e_end_mwh[0])
    ...     print(f"{day.ledger.net_rs / 1e5:.2f} {(day.ledger.net_rs + left_rs) / 1e5:.2f}")
    -3.98 -1.97
    8.86 9.34
    9.17 9.65
    """
    if way not in get_args(Way):
        raise ParameterError(f"settle: there is no way '{way}': give {', '.join(get_args(Way))}")
    if way == "hindsight":
        return settle_with_recourse(problem, realised, plan.dam_mw)
    if way == "as committed":
        unit_mw = plan.unit_dam_mw
        if unit_mw is None:
            unit_mw = problem.share_by_power(plan.dam_mw)
        return settle_as_committed(problem, realised, unit_mw)
    n_blocks = plan.dam_mw.size
    if expected_rtm is None:
        expected_rtm = np.tile(realised.dam, (min(HALF_HOURS, n_blocks), 1))
    gates = np.arange(len(expected_rtm)) * n_blocks // len(expected_rtm)
    behind = blocks_between(GATE_MINUTES, SESSION_MINUTES, n_blocks)
    return settle_causally(problem, realised, plan.dam_mw, gates, expected_rtm, behind)
