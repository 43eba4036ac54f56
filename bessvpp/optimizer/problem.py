"""What a dispatch programme is given, what it gives back, and what both its statements share.

Shared is the published tie-break.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from bessvpp import battery
from bessvpp.errors import ParameterError
from bessvpp.params.bess import ROUNDING_MWH, BessParams
from bessvpp.params.load import Params
from bessvpp.params.market import Costs
from bessvpp.params.study import CommitmentRule, MidnightRule, SolverName, TerminalRule

TIE_BREAK_RS_PER_MWH = 0.01
SIDES = ("dam_sale", "dam_purchase", "rtm_sale", "rtm_purchase", "charge", "discharge")
UNDELIVERED_PENALTY_RS_PER_MWH = 1e6
"""Keeps a recourse from choosing not to deliver; what is booked is the deviation rate."""
SOLVER_TOLERANCE = 1e-9
"""Primal and dual feasibility; tie-breaks of single scenarios lie below HiGHS's own 1e-7."""
PAST_TOLERANCE_MW = 1e-6
"""Room for the rounding of flows that were run, so that the next programme can go on from them."""
SCHEDULE = -1
"""The path of a bar that lies in the DAM schedule; any other is that of a scenario."""
_PRIMES = [p for p in range(2, 1000) if all(p % q for q in range(2, int(p**0.5) + 1))]


@dataclass(frozen=True)
class EnergyValue:
    """Concave value of the energy a unit holds at the end: the least of K lines."""

    slope_rs_per_mwh: np.ndarray  # (K,)
    intercept_rs: np.ndarray  # (K,)

    def __call__(self, e_mwh: np.ndarray | float) -> np.ndarray:
        """Value in Rs of stored energy, any shape."""
        e_mwh = np.asarray(e_mwh, dtype=float)
        return (self.intercept_rs + self.slope_rs_per_mwh * e_mwh[..., None]).min(axis=-1)


@dataclass(frozen=True)
class Past:
    """What of a day is done: n RTM blocks traded, the flows of the first m <= n of them run."""

    rtm_mw: np.ndarray  # (n,) sold (positive) or bought
    charge_mw: np.ndarray  # (U, m)
    discharge_mw: np.ndarray  # (U, m)


@dataclass(frozen=True)
class Problem:
    """Everything a programme needs besides prices and risk aversion; ``of_day`` makes one.

    ``e_start_mwh`` is (U,). ``fixed_dam_mw``, (T,), makes it a recourse to a commitment.
    ``rtm_allowed`` False leaves the DAM alone. ``unbacked_max_mwh`` is the most energy of a day's
    DAM trade that a scenario does not run in its own block. ``schedule_start_mwh`` and
    ``schedule_end_mwh``, (U,) or (days, U), are where the DAM schedule of every day starts and
    ends (None or NaN: anywhere). Under ``hard`` a schedule ends exactly at the target, so that
    the next day's can start there; the energy really stored ends at the target or above, after
    each day or, without ``target_each_day``, after the last one alone. ``past`` is what a
    recourse can no longer change. ``energy_values``, one a unit, are V(e) under ``value``
    (``with_energy_value``); without them energy that is kept counts nothing. ``energy_limits``,
    (U, T) each, are the least and most energy after each block where a day starts outside the
    units' windows (``recovery``); None: the windows. ``dates`` are the days of the horizon, for
    outages; a battery without any needs none. ``name`` says which day, fan or policy it is, for a
    message.

    Examples
    --------
    >>> from dataclasses import replace
    >>> problem = bv.Problem.of_day(bv.load_params())
    >>> replace(problem, rtm_allowed=False).rtm_allowed
    False
    """

    bess: BessParams
    costs: Costs
    block_hours: float
    e_start_mwh: np.ndarray
    commitment: CommitmentRule = "physical"
    terminal: TerminalRule = "hard"
    midnight: MidnightRule = "own"
    target_each_day: bool = True
    energy_values: Sequence[EnergyValue] = ()
    fixed_dam_mw: np.ndarray | None = None
    rtm_allowed: bool = True
    unbacked_max_mwh: float | None = None
    past: Past | None = None
    energy_limits: tuple[np.ndarray, np.ndarray] | None = None
    schedule_start_mwh: np.ndarray | None = None
    schedule_end_mwh: np.ndarray | None = None
    solver: SolverName = "engine"
    solver_time_limit_s: float = 3600.0
    dates: tuple[np.datetime64, ...] = ()
    name: str = ""

    @classmethod
    def of_day(
        cls,
        params: Params,
        e_start_mwh: Sequence[float] | np.ndarray | None = None,
        block_hours: float = 0.25,
        date: np.datetime64 | None = None,
    ) -> Problem:
        """Planning problem of a day, all its rules from the parameters.

        Parameters
        ----------
        e_start_mwh : (U,) energy planned for its midnight; the battery's start energy by default
        block_hours : length of a block
        date : delivery day, by which outages are found

        Examples
        --------
        >>> problem = bv.Problem.of_day(bv.load_params(), e_start_mwh=[100])
        >>> problem.commitment, problem.blocks_per_day
        ('physical', 96)
        """
        if e_start_mwh is None:
            e_start_mwh = battery.start_energy(params.bess)
        problem = day_problem(params, block_hours, np.asarray(e_start_mwh, dtype=float))
        return problem if date is None else problem.on(date)

    def on(self, *dates: np.datetime64) -> Problem:
        """The same on given days, with the outages of these."""
        return replace(self, dates=dates)

    @property
    def called(self) -> str:
        """What a message calls it: its name."""
        return self.name or "this problem"

    @property
    def blocks_per_day(self) -> int:
        """T of one day."""
        return round(24 / self.block_hours)

    @property
    def is_physical(self) -> bool:
        """Whether the programme chooses a DAM schedule that must be deliverable by itself."""
        return self.commitment == "physical" and self.fixed_dam_mw is None

    @property
    def available(self) -> np.ndarray | None:
        """(U, T) share of each unit's power that outages leave; None where they leave all.

        Raises
        ------
        ParameterError
            where the battery has outages, which are dated, and the problem no date.
        """
        if not any(unit.outages for unit in self.bess.units):
            return None
        if not self.dates:
            raise ParameterError(
                f"{self.called}: units have outages, which are dated: say which day it is, "
                "Problem.of_day(..., date=...)"
            )
        return battery.available_share(self.bess, self.dates, self.blocks_per_day)

    def power_limits(self, i: int, n_blocks: int) -> tuple[np.ndarray, np.ndarray]:
        """Greatest charge and discharge of a unit in each block of the horizon, (T,) each."""
        limits = battery.power_limits(self.bess.units[i], self.blocks_per_day)
        charge, discharge = (np.tile(way, n_blocks // self.blocks_per_day) for way in limits)
        available = self.available
        if available is None:
            return charge, discharge
        return charge * available[i], discharge * available[i]

    def follow(self, unit_mw: np.ndarray, first_block: int = 0) -> battery.Followed:
        """What the plant does of a day's schedule (U, T); see ``battery.follow``."""
        start, hours = self.e_start_mwh, self.block_hours
        return battery.follow(self.bess, unit_mw, start, hours, self.available, first_block)

    def share_by_power(self, mw: np.ndarray) -> np.ndarray:
        """(U, T) a day's power (T,) of the plant by unit; see ``battery.share_by_power``."""
        return battery.share_by_power(self.bess, mw, self.available)

    def kept_mwh(self, e_mwh: np.ndarray) -> np.ndarray:
        """What a block's self-discharge leaves of stored energies (..., U)."""
        return battery.kept_mwh(self.bess, e_mwh, self.block_hours)

    def starting_with(self, e_start_mwh: np.ndarray) -> Problem:
        """The same day from other energies, (U,)."""
        schedule = None if self.schedule_start_mwh is None else e_start_mwh
        return replace(self, e_start_mwh=e_start_mwh, schedule_start_mwh=schedule)

    def unit_limits(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """(T,) ``energy_limits`` of a unit; empty where there are none."""
        if self.energy_limits is None:
            return np.empty(0), np.empty(0)
        low, high = self.energy_limits
        return low[i], high[i]

    def outside(self, i: int, n_blocks: int) -> tuple[np.ndarray, np.ndarray]:
        """(T,) whether a tapered unit's energy may lie above, and below, its window after a block.

        Its table ends there: above it does not charge, below it does not discharge.
        """
        unit, (low, high) = self.bess.units[i], self.unit_limits(i)
        if not (unit.is_tapered and low.size):
            return np.zeros(n_blocks, dtype=bool), np.zeros(n_blocks, dtype=bool)
        room = 2 * ROUNDING_MWH
        return high > unit.e_max_mwh + room, low < unit.e_min_mwh - room

    def end_limits(self, i: int) -> tuple[float, float]:
        """Least and most energy of a unit at the end of the day."""
        low, high = self.unit_limits(i)
        unit = self.bess.units[i]
        return (low[-1], high[-1]) if low.size else (unit.e_min_mwh, unit.e_max_mwh)

    @property
    def at_sure_prices(self) -> Problem:
        """The same without hurdles, which are for prices that are only expected."""
        return replace(self, costs=self.costs.without_hurdles)

    def target_blocks(self, n_blocks: int) -> range:
        """Blocks after which energy must be at the target under ``hard``, of a horizon of T."""
        each = self.blocks_per_day if self.target_each_day else n_blocks
        return range(each - 1, n_blocks, each)

    @property
    def is_limited(self) -> bool:
        """Whether the programme chooses a DAM trade of which a part must be run."""
        return self.unbacked_max_mwh is not None and self.fixed_dam_mw is None

    @property
    def e_end_min_mwh(self) -> np.ndarray | None:
        """(U,) least energy at the end under the ``hard`` rule, else None."""
        if self.terminal != "hard":
            return None
        return np.array([unit.e_target_mwh for unit in self.bess.units])


class Bar(NamedTuple):
    """A direction that a unit may not take in a block of a path, so as not to burn energy."""

    path: int  # a scenario, or SCHEDULE
    unit: int
    block: int
    direction: Literal["charge", "discharge"]


@dataclass(frozen=True)
class Plan:
    """Solution of a programme: S scenarios, U units, T blocks."""

    dam_mw: np.ndarray  # (T,) committed, positive sells
    rtm_mw: np.ndarray  # (S, T)
    charge_mw: np.ndarray  # (S, U, T)
    discharge_mw: np.ndarray  # (S, U, T)
    energy_mwh: np.ndarray  # (S, U, T) after each block
    weights: np.ndarray  # (S,) of the scenarios
    undelivered_mw: np.ndarray  # (S, T)
    profit_rs: np.ndarray  # (S,)
    mean_rs: float
    cvar_rs: float
    objective_rs: float
    lp_cvar_rs: float | None  # the programme's own figure; None at risk aversion 0
    unit_dam_mw: np.ndarray | None = None  # (U, T) who delivers it; None: financial
    restricted_blocks: int = 0  # unit-blocks that lost a direction
    relaxation_gap_rs: float = 0.0  # objective lost to those restrictions

    @property
    def e_end_mwh(self) -> np.ndarray:
        """(U,) expected energy at the end."""
        return self.weights @ self.energy_mwh[:, :, -1]


# ---------------------------------------------------------------------- the tie-break


def spread_out(key: int, n_blocks: int) -> np.ndarray:
    """(T,) fixed numbers in [0, 1): the fractions of t times the root of the key-th prime.

    No sum or difference of a few of them repeats, neither within a key nor between keys, so
    no exchange between blocks, sides or units is a tie.
    """
    return (np.arange(1, n_blocks + 1) * np.sqrt(_PRIMES[key % len(_PRIMES)])) % 1


def tie_break(side: str, n_blocks: int, unit: int = 0) -> np.ndarray:
    """(T,) published tie-break of a side, Rs/MWh: fixed, distinct, at most 0.01.

    It decides between plans that equal prices leave equal, so dust on the prices does not: off
    by 1e-9 of themselves they move no commitment by 1e-3 MW. They can where prices, averaged
    over the scenarios, make up for the tie-break to within that dust, some Rs 1e-5/MWh. Both
    plans are then worth the same to the paisa.
    """
    key = SIDES.index(side) + unit * len(SIDES)
    return TIE_BREAK_RS_PER_MWH * spread_out(key, n_blocks)


def steering_rs_per_mwh(costs: Costs) -> tuple[float, float]:
    """What a plan counts on top of booked costs for each MWh traded: in the DAM, in the RTM."""
    in_rtm = costs.off_dam_penalty_rs_per_mwh + costs.hurdle_rtm_rs_per_mwh
    return costs.hurdle_dam_rs_per_mwh, in_rtm


# ---------------------------------------------------------------------- days


def on_day(starts: np.ndarray, day: int) -> np.ndarray:
    """(U,) row of a day, where ``starts`` is (U,) for every day or (days, U)."""
    return starts if starts.ndim == 1 else starts[day]


# ---------------------------------------------------------------------- planning


def day_problem(params: Params, block_hours: float, e_start_mwh: np.ndarray) -> Problem:
    """Planning problem of a day from the energy planned for its midnight, (U,)."""
    problem = Problem(
        bess=params.bess,
        costs=params.market,
        block_hours=block_hours,
        e_start_mwh=e_start_mwh,
        commitment=params.backtest.commitment,
        terminal=params.backtest.terminal,
        midnight=params.backtest.midnight,
        schedule_start_mwh=e_start_mwh,
        unbacked_max_mwh=params.backtest.unbacked_max_mwh_per_day,
        solver=params.backtest.solver,
        solver_time_limit_s=params.backtest.solver_time_limit_s,
    )
    if params.backtest.midnight == "plan":
        return problem
    return replace(problem, schedule_end_mwh=problem.e_end_min_mwh)
