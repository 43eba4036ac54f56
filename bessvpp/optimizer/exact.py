"""How far a ceiling lies above the best plan in which no unit charges and discharges at once.

A ceiling leaves that clause out, so that nothing can beat it. A plan that keeps it nets at most
what a mixed-integer programme does, with a choice of one direction for each unit and block. Days
meet in the energy at their midnights alone, so each is searched by itself, and only those on which
the ceiling's own plan breaks the clause: with the ceiling's energies at both its midnights, which
is a plan of the whole window, and with any energies at the ceiling's prices for them, which bounds
every plan (Lagrangian relaxation).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from bessvpp.optimizer.engine import ArrayProgramme
from bessvpp.optimizer.problem import Plan, Problem, on_day
from bessvpp.optimizer.strict import is_strict, relaxed_and_strict
from bessvpp.prices import PriceScenarios
from bessvpp.risk import RISK_NEUTRAL

PROOF_RS = 1.0
"""At which a day's choice of directions counts as the best."""
N_NODES = 10_000
"""After which the search of a day ends; none that was tried took more than a few."""


class Gap(NamedTuple):
    """What a ceiling is too high by [Rs]: found, and proven at the least."""

    rs: float
    least_rs: float


def strict_gap(problem: Problem, prices: PriceScenarios, n_nodes: int = N_NODES) -> Gap:
    """How far ``dispatch.ceiling`` lies above the best plan that keeps the one-direction clause.

    Parameters
    ----------
    prices : one path over one or more days
    n_nodes : after which the search of a day ends; what it leaves open is told
    """
    window = ArrayProgramme(problem, prices, is_risk_averse=False)
    relaxed = window.optimum()
    found = least = 0.0
    for day in _days(window, relaxed):
        if not is_strict(day.problem, day.part_of(relaxed)):
            lost = day.at_midnights(n_nodes)
            found, least = found + lost, least + min(day.at_prices(n_nodes), lost)
    if not np.isfinite(found):  # any choice of directions will do then
        found = relaxed_and_strict(window, RISK_NEUTRAL)[1].relaxation_gap_rs
    return Gap(found, least)


@dataclass(frozen=True)
class _Day:
    """A day of a window: U units, energies at its midnights and what they are worth."""

    problem: Problem
    prices: PriceScenarios
    blocks: slice
    e_end_mwh: np.ndarray | None  # (U,) None: the last day's, which nothing follows
    start_rs_per_mwh: np.ndarray | None  # (U,) None: the first day's, which is given
    end_rs_per_mwh: np.ndarray  # (U,)

    def part_of(self, plan: Plan) -> Plan:
        """This day of a plan of the window."""
        span = self.blocks
        return replace(
            plan,
            dam_mw=plan.dam_mw[span],
            charge_mw=plan.charge_mw[:, :, span],
            discharge_mw=plan.discharge_mw[:, :, span],
        )

    def at_midnights(self, n_nodes: int) -> float:
        """What the clause costs with the ceiling's energies at both midnights [Rs]."""
        programme = ArrayProgramme(self.problem, self.prices, is_risk_averse=False)
        if self.e_end_mwh is not None:
            ends = programme.priced.s.energy[0, :, -1]
            programme.model.set_limits(ends, self.e_end_mwh, self.e_end_mwh)
        least, cost, _ = _searched(programme, n_nodes)
        return max(cost - least, 0.0)

    def at_prices(self, n_nodes: int) -> float:
        """What it costs at the least with any energies, at the ceiling's prices for them [Rs]."""
        programme = ArrayProgramme(self.problem, self.prices, is_risk_averse=False)
        model, priced, s = programme.model, programme.priced, programme.priced.s
        ends = s.energy[0, :, -1]
        model.set_costs(ends, priced.cost[ends] - self.end_rs_per_mwh)
        if self.start_rs_per_mwh is not None:
            rows, none_left = s.start_rows[0], self.problem.kept_mwh(np.zeros(ends.size))
            a_mwh = self.problem.kept_mwh(np.ones(ends.size)) - none_left
            limits = priced.low[ends], priced.high[ends]
            model.set_right_sides(rows, none_left)
            model.add_columns(rows, -a_mwh, self.start_rs_per_mwh, limits)
        least, _, bound = _searched(programme, n_nodes)
        return max(bound - least, 0.0)


def _days(window: ArrayProgramme, plan: Plan) -> Iterator[_Day]:
    """The days of a window whose programme was solved, with its plan's midnights."""
    problem, prices, shape = window.problem, window.scenarios, window.priced.shape
    length, energy = shape.blocks_per_day, plan.energy_mwh[0]
    kept = problem.kept_mwh(np.ones(len(energy))) - problem.kept_mwh(np.zeros(len(energy)))
    firsts = window.priced.s.start_rows[0, :, None] + np.arange(0, shape.n_blocks, length)
    worth = -kept[:, None] * window.model.duals(firsts)  # (U, days) of energy a day starts with
    for day in range(shape.n_days):
        span, is_last = slice(day * length, (day + 1) * length), day == shape.n_days - 1
        start, end = problem.schedule_start_mwh, problem.schedule_end_mwh
        yield _Day(
            replace(
                problem,
                e_start_mwh=energy[:, span.start - 1] if day else problem.e_start_mwh,
                schedule_start_mwh=None if start is None else on_day(start, day),
                schedule_end_mwh=None if end is None else on_day(end, day),
                dates=problem.dates[day : day + 1],
            ),
            PriceScenarios.single(prices.dam[0, span], prices.rtm[0, span]),
            span,
            None if is_last else energy[:, span.stop - 1],
            worth[:, day] if day else None,
            np.zeros(len(energy)) if is_last else worth[:, day + 1],
        )


def _searched(programme: ArrayProgramme, n_nodes: int) -> tuple[float, float, float]:
    """Cost without the clause; with it, as far as was found, and bounded from below [Rs]."""
    programme.model.run()
    least = programme.model.cost
    return least, *programme.model.cost_and_bound(_directions(programme), PROOF_RS, n_nodes)


def _directions(programme: ArrayProgramme) -> np.ndarray:
    """(n, 2) columns of charge and discharge of every unit and block that has both."""
    s, high = programme.priced.s, programme.priced.high
    flows = [(s.charge, s.discharge)]
    if s.schedule is not None:
        flows.append((s.schedule.charge, s.schedule.discharge))
    pairs = [np.stack([way.ravel() for way in both], axis=1) for both in flows]
    every = np.concatenate(pairs)
    return every[(high[every] > 0).all(axis=1)]
