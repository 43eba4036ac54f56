r"""The price at which each block of a DAM schedule stops being worth its trade, others given.

A MWh that is not traded in the DAM is traded in the RTM of its block instead, whose expected price
moves with the DAM's: :math:`m_t(p) = \bar p^R_t + \beta (p - \bar p^D_t)`, with the fan's one slope
:math:`\beta` (``foresight``). That is the dual of the plan's own balance, for the RTM takes any
quantity there. So a sale stops being worth it at the price p where :math:`p - f = m_t(p)`, with the
DAM's fee and hurdle :math:`f`: what is not sold no other bid will sell.

A purchase of a physical schedule also backs its sales, which are to be delivered without the RTM.
That is the value of scheduled energy :math:`W_t(e)`, by the exact backward recursion of
``stored_energy`` on expected spreads of DAM over RTM in place of prices, the dual of the plan's
deliverability clause: a purchase stops being worth it where
:math:`p + f = m_t(p) + \eta_c W'_{t+1}`. W is concave, so each further MWh bought has a lower
price: a few steps tell them.

Left out: the RTM's own fee, which falls on either side as the RTM is sold or bought; aversion to
risk; and the price of a limit on cycles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bessvpp import battery
from bessvpp.optimizer.foresight import mean_and_slope
from bessvpp.optimizer.problem import Problem, on_day, steering_rs_per_mwh
from bessvpp.optimizer.stored_energy import END_PENALTY_RS_PER_MWH, Worth, earlier
from bessvpp.params.bess import UnitParams
from bessvpp.params.market import MarketParams
from bessvpp.price_tick import SLACK
from bessvpp.prices import PriceScenarios

MOST_FOLLOWED = 0.9
"""Of a DAM surprise, by the RTM: above it a trade would be worth any price or none."""


@dataclass(frozen=True)
class StepBids:
    """A schedule bid at several prices: U units, T blocks, K steps of equal size a block."""

    unit_mw: np.ndarray  # (U, T) offered, positive sells
    limit: np.ndarray  # (T, K) Rs/MWh, from the first MWh of a block to its last

    def cleared(self, dam: np.ndarray) -> np.ndarray:
        """(U, T) what clears at DAM prices (T,); all units of a block clear alike.

        A step clears whole where the price is as good as its limit.
        """
        side = np.sign(self.unit_mw.sum(axis=0))[:, None]
        clears = side * (dam[:, None] - self.limit) >= 0
        return self.unit_mw * clears.mean(axis=1)


def bids_at_worth(
    problem: Problem,
    scenarios: PriceScenarios,
    unit_mw: np.ndarray,
    rules: MarketParams,
    cap_rs_per_mwh: float,
) -> StepBids:
    """Bids of a schedule at the prices where its trades stop being worth it.

    Parameters
    ----------
    problem : what the schedule was planned from
    scenarios : the fan that it was planned on
    unit_mw : (U, T) schedule of each unit, positive sells
    rules : price floor and tick, and ``bid_price_steps``, the steps of a block
    cap_rs_per_mwh : of the delivery day
    """
    mean_rtm, slope = mean_and_slope(scenarios)
    mean_dam = scenarios.weights @ scenarios.dam
    mean_rtm = np.where(np.isfinite(mean_rtm), mean_rtm, mean_dam)
    slope = float(np.clip(slope, 0.0, MOST_FOLLOWED))
    cost = problem.costs.fee_dam_rs_per_mwh + steering_rs_per_mwh(problem.costs)[0]
    held = np.zeros((*unit_mw.shape, rules.bid_price_steps))  # worth of scheduled energy, Rs/MWh
    if problem.is_physical:
        held = np.stack(
            [
                _scheduled_worth(problem, i, mw, mean_dam - mean_rtm, cost, rules.bid_price_steps)
                for i, mw in enumerate(unit_mw)
            ]
        )
    side = np.sign(unit_mw.sum(axis=0))
    own = np.where(unit_mw * side > 0, np.abs(unit_mw), 0.0)
    share = own / np.maximum(own.sum(axis=0), 1e-9)
    held = (share[:, :, None] * held).sum(axis=0)
    limit = (mean_rtm - slope * mean_dam + side * cost)[:, None] + held
    limit = np.clip(limit / (1 - slope), rules.price_floor_rs_per_mwh, cap_rs_per_mwh)
    return StepBids(unit_mw, _on_bid_tick(limit, side, rules, cap_rs_per_mwh))


def _scheduled_worth(
    problem: Problem, i: int, mw: np.ndarray, spread: np.ndarray, cost: float, n_steps: int
) -> np.ndarray:
    """(T, K) what a MWh that a unit buys is worth to the schedule's own sales [Rs]."""
    unit, h = problem.bess.units[i], problem.block_hours
    start = (
        problem.e_start_mwh if problem.schedule_start_mwh is None else problem.schedule_start_mwh
    )
    path = battery.energy_path(unit, mw, float(on_day(start, 0)[i]), h)
    ends = np.clip(np.append(on_day(start, 0)[i], path), unit.e_min_mwh, unit.e_max_mwh)
    out = np.zeros((len(mw), n_steps))
    for t, worth in enumerate(schedule_worth(problem, i, spread, cost)):
        nodes = np.linspace(ends[t], ends[t + 1], n_steps + 1) - unit.e_min_mwh
        moved = nodes[1:] - nodes[:-1]
        if mw[t] < 0 and moved.min() > 0:
            out[t] = unit.eta_charge * np.diff(worth.at(nodes)[0]) / moved
    return out


def schedule_worth(problem: Problem, i: int, spread: np.ndarray, cost: float) -> list[Worth]:
    """(T) W after each block: what scheduled energy of a unit earns over the RTM from there on.

    Its power counts whole where it tapers, which prices alone feel: what is bid keeps to the taper.

    Parameters
    ----------
    spread : (T,) expected DAM price less that of the RTM [Rs/MWh]
    cost : of a MWh traded in the DAM, hurdle included
    """
    unit, h, bess = problem.bess.units[i], problem.block_hours, problem.bess
    charge, discharge = (
        np.minimum(power, limit)
        for power, limit in zip(
            problem.power_limits(i, len(spread)),
            (bess.import_limit_mw, bess.connection_limit_mw),
            strict=True,
        )
    )
    lost = battery.lost_share(unit, h)
    worth, after = _end(problem, i, unit), []
    for t in range(len(spread) - 1, -1, -1):
        after.append(worth)
        stored = h * unit.eta_charge * charge[t]
        lengths = np.array([stored, h * discharge[t] / unit.eta_discharge])
        slopes = np.array(
            [(spread[t] + cost) / unit.eta_charge, (spread[t] - cost) * unit.eta_discharge]
        )
        # a spread below zero can turn the order, where burning energy would pay
        worth = earlier(worth, np.minimum.accumulate(slopes)[None], lengths, stored, lost)
    return after[::-1]


def _end(problem: Problem, i: int, unit: UnitParams) -> Worth:
    """W at midnight: the schedule may end anywhere, or where it must."""
    end = None if problem.schedule_end_mwh is None else on_day(problem.schedule_end_mwh, 0)[i]
    if end is None or np.isnan(end):
        return Worth(np.zeros((1, 1)), np.array([[unit.e_max_mwh - unit.e_min_mwh]]))
    slopes = np.array([[END_PENALTY_RS_PER_MWH, -END_PENALTY_RS_PER_MWH]])
    return Worth(slopes, np.diff([[unit.e_min_mwh, end, unit.e_max_mwh]]))


def _on_bid_tick(
    limit: np.ndarray, side: np.ndarray, rules: MarketParams, cap: float
) -> np.ndarray:
    """Limits on the exchange's tick, never worse than given: sales up, purchases down."""
    ticks = limit / rules.bid_price_tick_rs_per_mwh
    whole = np.where(side[:, None] > 0, np.ceil(ticks - SLACK), np.floor(ticks + SLACK))
    rounded = whole * rules.bid_price_tick_rs_per_mwh
    return np.clip(rounded, rules.price_floor_rs_per_mwh, cap)
