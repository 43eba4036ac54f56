"""The two-stage programme with most of its cells closed: what a scenario surely does in a block.

Where a scenario's RTM price lies far from those at which its battery would turn, its flow in the
block is known before the programme is solved: nothing, or all the power. Such a cell is *closed*:
its flow is a constant, the energy after it one of an open cell before it, and its RTM trade that
of all scenarios closed alike in the block. What is left is a fifth of the programme's rows.
``CellModel.unjustified`` proves afterwards that no closed cell would have done otherwise, by
reduced costs; those that might are opened, and the programme is solved again.

S scenarios, T blocks, n open cells; the unit idles (0), discharges (1) or charges (2) fully in a
closed one.
"""

from __future__ import annotations

import highspy
import numpy as np

from bessvpp import ledger
from bessvpp.optimizer.energy_prices import tight_cells, unjustified
from bessvpp.optimizer.highs import Model, Status
from bessvpp.optimizer.problem import SIDES, Problem
from bessvpp.optimizer.scenario_paths import Rates, StartPaths, most_mwh
from bessvpp.optimizer.structure import (
    Columns,
    Rows,
    Shape,
    first_stage,
    limit_ends,
    set_starts,
)
from bessvpp.prices import PriceScenarios

IDLE, DISCHARGING, CHARGING = 0, 1, 2
MARGIN_SPREADS, MARGIN_RS_PER_MWH = 1.0, 10.0
"""Cells nearer than so many RTM spreads, and so much, to an energy price stay open."""
NEAR_MW = 1e-7
STATUS = highspy.HighsBasisStatus
LOWER, BASIC, UPPER, ZERO = (
    int(s) for s in (STATUS.kLower, STATUS.kBasic, STATUS.kUpper, STATUS.kZero)
)
_STATUSES = {int(s): s for s in (STATUS.kLower, STATUS.kBasic, STATUS.kUpper, STATUS.kZero)}

Basis = tuple[np.ndarray, np.ndarray]
"""Statuses of rows and columns, as numbers."""


class CellModel:
    """The programme with some cells open, from the paths against one schedule.

    Parameters
    ----------
    opened : (S, T) cells that are open in any case
    """

    def __init__(
        self,
        problem: Problem,
        scenarios: PriceScenarios,
        rates: Rates,
        paths: StartPaths,
        opened: np.ndarray | None = None,
    ) -> None:
        self.problem, self.scenarios, self.rates, self.paths = problem, scenarios, rates, paths
        self.n_scenarios, self.n_blocks = scenarios.rtm.shape
        (self.unit,) = problem.bess.units
        self.most_mw = np.stack(problem.power_limits(0, self.n_blocks))  # charge, discharge
        self.kind, self.is_open = self._cells()
        if opened is not None:
            self.is_open |= opened
        self.s_open, self.t_open = np.nonzero(self.is_open)
        self.s_closed, self.t_closed = np.nonzero(~self.is_open)
        self.k_closed = self.kind[self.s_closed, self.t_closed]
        self._add_runs()
        self._state()

    # ------------------------------------------------------------------ cells

    def _cells(self) -> tuple[np.ndarray, np.ndarray]:
        """What each cell does if it is closed, and which are open."""
        p = self.paths
        most = [m - NEAR_MW for m in most_mwh(self.problem, self.n_blocks)]
        charging = (p.charge_mwh > 0) & (p.charge_mwh >= most[0])
        discharging = (p.discharge_mwh > 0) & (p.discharge_mwh >= most[1])
        kind = np.where(charging, CHARGING, np.where(discharging, DISCHARGING, IDLE))
        partly = (p.charge_mwh + p.discharge_mwh > 0) & (kind == IDLE)
        spread = p.price[:, :, 3] - p.price[:, :, 2]
        margin = MARGIN_SPREADS * spread + MARGIN_RS_PER_MWH * p.counts[:, None]
        is_open = partly
        for low, high, limit in ((0, 1, self.most_mw[1]), (2, 3, self.most_mw[0])):
            is_near = (p.worth > p.price[:, :, low] - margin) & (
                p.worth < p.price[:, :, high] + margin
            )
            is_open |= is_near & (limit > 0)
        is_open[:, [0, -1]] = True
        return kind, is_open

    def _add_runs(self) -> None:
        """Energy after closed cells, by that of the open cell before them: a run."""
        most_in, most_out = most_mwh(self.problem, self.n_blocks)
        step = np.stack([np.zeros(self.n_blocks), -most_out, most_in])
        steps = np.where(self.is_open, 0.0, step[self.kind, np.arange(self.n_blocks)])
        total = np.cumsum(steps, axis=1)
        self.run = (np.cumsum(self.is_open) - 1).reshape(self.kind.shape)
        self.since = total - total[self.s_open, self.t_open][self.run]  # (S, T) MWh
        n = self.s_open.size
        least, most = np.zeros(n), np.zeros(n)
        np.minimum.at(least, self.run, self.since)
        np.maximum.at(most, self.run, self.since)
        self.run_limits = least, most
        ends = np.append(np.diff(self.run.ravel()) > 0, True)
        self.over_run = self.since.ravel()[ends]  # (n,)

    # ------------------------------------------------------------------ the model

    def _state(self) -> None:
        columns, rows = Columns(), Rows()
        problem, t = self.problem, self.t_open
        self.shape = Shape(
            problem.bess,
            problem.block_hours,
            self.n_blocks,
            1,
            problem.is_physical,
            False,
            problem.schedule_start_mwh is None,
            True,
            (),
        )
        self.sale, self.purchase, self.schedule = first_stage(self.shape, columns, rows)
        self.n_first = rows.n_rows, columns.n_columns
        self.shared = columns.add((2, 3, self.n_blocks))  # RTM sale and purchase by kind
        n = t.size
        self.charge = columns.add((n,), 0.0, self.most_mw[0][t])
        self.discharge = columns.add((n,), 0.0, self.most_mw[1][t])
        self.energy_limits = self._energy_limits()
        self.energy = columns.add((n,), *self.energy_limits)
        self.rtm = columns.add((2, n))
        self.lines = np.empty((0, self.n_scenarios), int)
        self.value = np.empty(0, int)
        if problem.terminal == "value" and problem.energy_values:
            self.value = columns.add((self.n_scenarios,), -np.inf)
        self.zeta = columns.add((1,), -np.inf)
        self.tail = columns.add((self.n_scenarios,))
        self._add_balances(rows)
        self._add_lines(rows)
        self._add_tail(rows)
        low, high = rows.limits()
        column_low, column_high = columns.limits()
        if self.schedule is not None:
            set_starts(problem, self.shape, self.schedule, low, high)
            limit_ends(problem, self.shape, self.schedule, column_low, column_high)
        self.limits = column_low, column_high
        matrix = rows.matrix(columns.n_columns)
        self.size = matrix.shape
        cost = self._costs(columns.n_columns)
        self.model = Model(problem, matrix, cost, (low, high), self.limits)

    def _energy_limits(self) -> tuple[np.ndarray, np.ndarray]:
        low = self.unit.e_min_mwh - self.run_limits[0]
        high = self.unit.e_max_mwh - self.run_limits[1]
        if self.problem.terminal == "hard":
            ends = self.t_open == self.n_blocks - 1
            low[ends] = np.maximum(low[ends], self.unit.e_target_mwh)
        return np.minimum(low, high), high

    def _add_balances(self, rows: Rows) -> None:
        h, t = self.problem.block_hours, self.t_open
        net = np.stack([np.zeros(self.n_blocks), self.most_mw[1], -self.most_mw[0]]).ravel()
        terms = [(np.tile(self.sale, 3), -1.0), (np.tile(self.purchase, 3), 1.0)]
        terms += [(self.shared[0].ravel(), -1.0), (self.shared[1].ravel(), 1.0)]
        self.shared_rows = rows.add(net.size, terms, -net, -net).reshape(3, -1)
        later = np.nonzero(t > 0)[0]
        start = np.full(t.size, float(self.problem.e_start_mwh[0]))
        start[later] = self.over_run[later - 1]
        terms = [(self.energy, 1.0), (self.charge, -h * self.unit.eta_charge)]
        terms.append((self.discharge, h / self.unit.eta_discharge))
        self.chain = rows.add(t.size, terms, start, start)
        rows.put(self.chain[later], self.energy[later - 1], -1.0)
        terms = [(self.discharge, 1.0), (self.charge, -1.0), (self.sale[t], -1.0)]
        terms += [(self.purchase[t], 1.0), (self.rtm[0], -1.0), (self.rtm[1], 1.0)]
        rows.add(t.size, terms, 0.0, 0.0)

    def _add_lines(self, rows: Rows) -> None:
        """value_s - slope e_Ts <= intercept."""
        if not self.value.size:
            return
        (value,) = self.problem.energy_values
        ends = self.energy[self.t_open == self.n_blocks - 1]
        self.lines = np.array(
            [
                rows.add(self.n_scenarios, [(self.value, 1.0), (ends, -slope)], high=intercept)
                for slope, intercept in zip(value.slope_rs_per_mwh, value.intercept_rs, strict=True)
            ]
        )

    def _closed_flow(self) -> tuple[np.ndarray, np.ndarray]:
        """(S, T) charge and discharge of the closed cells."""
        charge = self.most_mw[0] * (~self.is_open & (self.kind == CHARGING))
        return charge, self.most_mw[1] * (~self.is_open & (self.kind == DISCHARGING))

    def _add_tail(self, rows: Rows) -> None:
        """u_s - zeta + profit_s >= 0."""
        profit, costs, s, t = self.rates.profit_rs, self.problem.costs, self.s_open, self.t_open
        dam, rtm = self.scenarios.dam, self.scenarios.rtm
        always = costs.scheduling_rs_per_day + ledger.auxiliary_rs(
            self.problem.bess, costs, self.problem.block_hours, dam, rtm
        )
        charge, discharge = self._closed_flow()
        closed = profit["charge"] * charge + profit["discharge"] * discharge
        n = self.n_scenarios
        terms = [(self.tail, 1.0), (np.repeat(self.zeta, n), -1.0)]
        self.tail_rows = rows.add(n, terms, low=always - closed.sum(axis=1))
        for columns, side in ((self.sale, "dam_sale"), (self.purchase, "dam_purchase")):
            rows.put(self.tail_rows[:, None], columns[None], profit[side])
        for columns, side in self._open_sides():
            rows.put(self.tail_rows[s], columns, profit[side][s, t])
        for columns, side in zip(self.shared, SIDES[2:4], strict=True):
            s, t = self.s_closed, self.t_closed
            rows.put(self.tail_rows[s], columns[self.k_closed, t], profit[side][s, t])

    def _open_sides(self) -> list[tuple[np.ndarray, str]]:
        columns = self.rtm[0], self.rtm[1], self.charge, self.discharge
        return list(zip(columns, SIDES[2:], strict=True))

    def _costs(self, n_columns: int) -> np.ndarray:
        """(n_columns,) cost at risk aversion 0; ``always_rs`` is paid whatever is done."""
        cost, rates = np.zeros(n_columns), self.rates.cost_rs
        cost[self.sale] = rates["dam_sale"].sum(axis=0)
        cost[self.purchase] = rates["dam_purchase"].sum(axis=0)
        for columns, side in self._open_sides():
            cost[columns] = rates[side][self.s_open, self.t_open]
        for columns, side in zip(self.shared, SIDES[2:4], strict=True):
            each = rates[side][self.s_closed, self.t_closed]
            np.add.at(cost, columns[self.k_closed, self.t_closed], each)
        if self.value.size:
            cost[self.value] = -self.scenarios.weights
        charge, discharge = self._closed_flow()
        self.always_rs = float((rates["charge"] * charge + rates["discharge"] * discharge).sum())
        return cost

    # ------------------------------------------------------------------ a first basis

    def start_from(self, first: Basis, tail: Basis | None = None) -> None:
        """Begin with the basis of the paths, and that of a first stage and a tail.

        A stretch of one energy price takes it from a flow, which is basic, and ends where the
        energy is at a limit, which is not; else energies are basic, and what is traded. What
        the two stages have too many or too few is a first stage that a scenario pins; HiGHS mends
        what is left.
        """
        rows, columns = np.full(self.size[0], LOWER), np.full(self.size[1], LOWER)
        rows[: self.n_first[0]], columns[: self.n_first[1]] = first
        net_mw = self._start_flows(columns)
        self._start_lines(rows, columns)
        gap = np.stack([np.zeros(self.n_blocks), self.most_mw[1], -self.most_mw[0]])
        gap = gap - self.paths.dam_mw
        columns[self.shared[0]] = np.where(gap >= 0, BASIC, LOWER)
        columns[self.shared[1]] = np.where(gap < 0, BASIC, LOWER)
        rows[self.tail_rows], columns[self.zeta] = BASIC, ZERO
        if tail is not None:
            rows[self.tail_rows], columns[np.append(self.zeta, self.tail)] = tail
        over = int((rows == BASIC).sum() + (columns == BASIC).sum()) - rows.size
        if over > 0:
            pinned = np.nonzero((np.abs(gap) < NEAR_MW).ravel())[0][:over]
            columns[self.shared[:, :, :].reshape(2, -1)[:, pinned]] = LOWER
        elif over < 0:
            pinned = np.nonzero(np.abs(net_mw - self.paths.dam_mw[self.t_open]) <= NEAR_MW)[0]
            rows[self.chain[pinned[:-over]]] = BASIC
        self.model.start_from(
            [_STATUSES[k] for k in rows.tolist()], [_STATUSES[k] for k in columns.tolist()]
        )

    def _start_flows(self, columns: np.ndarray) -> np.ndarray:
        """Statuses of flows, energies and RTM trades of the open cells; their net power (n,)."""
        p, (s, t), h = self.paths, (self.s_open, self.t_open), self.problem.block_hours
        charge = p.charge_mwh[s, t] / (h * self.unit.eta_charge)
        discharge = p.discharge_mwh[s, t] * self.unit.eta_discharge / h
        ends = self.energy_limits[0][self.t_open == self.n_blocks - 1][:1]
        ends_mwh = np.append(ends, self.unit.e_max_mwh)
        net_mwh = p.charge_mwh - p.discharge_mwh
        part, self.jump = tight_cells(p.price, p.width, net_mwh, p.worth, p.energy_mwh, ends_mwh)
        part = part[s, t]
        columns[self.charge] = np.where(charge > NEAR_MW, UPPER, LOWER)
        columns[self.discharge] = np.where(discharge > NEAR_MW, UPPER, LOWER)
        columns[self.charge[part >= 2]] = BASIC
        columns[self.discharge[(part >= 0) & (part < 2)]] = BASIC
        net = discharge - charge
        trade = net - p.dam_mw[t]
        none = np.abs(trade) <= NEAR_MW
        full = (charge >= self.most_mw[0][t] - NEAR_MW) & (charge > NEAR_MW)
        idle = np.abs(net) <= NEAR_MW
        empties = (discharge >= self.most_mw[1][t] - NEAR_MW) & (discharge > NEAR_MW)
        at_schedule = none & (part < 0) & ~(full | idle | empties)  # the flow is basic, no trade
        columns[self.charge[at_schedule & (net < 0)]] = BASIC
        columns[self.discharge[at_schedule & (net > 0)]] = BASIC
        sells = np.where(idle, p.worth[s, t] <= p.price[s, t, 2], full)
        sells = np.where(part >= 0, (part == 0) | (part == 2), sells)
        sells = np.where(none, sells, trade > 0)
        columns[self.rtm[0][sells & ~at_schedule]] = BASIC
        columns[self.rtm[1][~sells & ~at_schedule]] = BASIC
        columns[self.energy] = BASIC
        for kind, status in ((1, LOWER), (2, UPPER)):
            columns[self.energy[self.run[self.jump == kind]]] = status
        return net

    def _start_lines(self, rows: np.ndarray, columns: np.ndarray) -> None:
        """The line on which each scenario ends; both, where it ends at their turn by a flow."""
        if not self.value.size:
            return
        (value,), ends = self.problem.energy_values, self.paths.energy_mwh[:, -1]
        worth = value.intercept_rs[:, None] + value.slope_rs_per_mwh[:, None] * ends
        order = np.argsort(worth, axis=0, kind="stable")
        scenarios = np.arange(self.n_scenarios)
        rows[self.lines], columns[self.value] = BASIC, BASIC
        rows[self.lines[order[0], scenarios]] = UPPER
        if len(order) > 1:
            both = self.jump[:, -1] == 3
            rows[self.lines[order[1], scenarios][both]] = UPPER

    def first_basis(self) -> Basis:
        """Statuses of the first stage's rows and columns."""
        rows, columns = self.model.basis()
        n_rows, n_columns = self.n_first
        return _numbers(rows[:n_rows]), _numbers(columns[:n_columns])

    def tail_basis(self) -> Basis:
        """Statuses of the tail's rows, and of zeta and every u_s."""
        rows, columns = self.model.basis()
        low, high = int(self.tail_rows[0]), int(self.tail_rows[-1]) + 1
        at = int(self.zeta[0])
        return _numbers(rows[low:high]), _numbers(columns[at : at + 1 + self.n_scenarios])

    # ------------------------------------------------------------------ a solution

    def tail_duals(self) -> np.ndarray:
        """(S,) by how much more than its probability each profit counts."""
        return np.maximum(self.model.duals(self.tail_rows), 0.0)

    def dam_mw(self) -> np.ndarray:
        """(T,) the schedule of the last solution."""
        x = self.model.values
        return x[self.sale] - x[self.purchase]

    def flows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(S, T) charge, discharge and energy of all cells."""
        charge, discharge = self._closed_flow()
        x = self.model.values
        charge[self.s_open, self.t_open] = x[self.charge]
        discharge[self.s_open, self.t_open] = x[self.discharge]
        return charge, discharge, x[self.energy][self.run] + self.since

    def unjustified(self) -> np.ndarray:
        """(S, T) closed cells that might do better otherwise, by their reduced costs.

        What a MW more is worth to a scenario in a block lies between its RTM sale and its RTM
        purchase. Scenarios closed alike share one trade, whose dual is the sum of theirs, and
        each takes its share of it.
        """
        tail, h = self.tail_duals()[:, None], self.problem.block_hours
        each = {s: self.rates.cost_rs[s] - self.rates.profit_rs[s] * tail for s in SIDES[2:]}
        low, high = -each["rtm_sale"], each["rtm_purchase"]
        alike = [~self.is_open & (self.kind == k) for k in (IDLE, DISCHARGING, CHARGING)]
        lows, highs = (
            np.stack([np.where(of, side, 0.0).sum(axis=0) for of in alike]) for side in (low, high)
        )
        room = np.where(highs > lows, highs - lows, 1.0)
        share = (self.model.duals(self.shared_rows) - lows) / room
        net = low + share[self.kind, np.arange(self.n_blocks)] * (high - low)
        charge = (net + each["charge"]) / (h * self.unit.eta_charge)
        discharge = (net - each["discharge"]) * self.unit.eta_discharge / h
        can_charge, can_discharge = self.most_mw > 0
        least = np.where(can_discharge & (self.kind == IDLE), discharge, -np.inf)
        least = np.where(self.kind == CHARGING, charge, least)
        most = np.where(can_charge & (self.kind == IDLE), charge, np.inf)
        most = np.where(self.kind == DISCHARGING, discharge, most)
        worth = np.zeros(self.kind.shape)
        worth[self.s_open, self.t_open] = -self.model.duals(self.chain)
        energy = self.flows()[2]
        is_low = energy <= self.unit.e_min_mwh + NEAR_MW
        is_high = energy >= self.unit.e_max_mwh - NEAR_MW
        return unjustified(self.is_open, least, most, worth, is_low, is_high)


def _numbers(statuses: Status) -> np.ndarray:
    return np.array([int(status) for status in statuses])
