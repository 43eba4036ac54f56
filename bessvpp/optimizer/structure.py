"""The structure of the two-stage programme as sparse arrays: columns, rows and coefficients.

It depends on the battery, the rules and the numbers of blocks and scenarios alone, so it is built
once for each shape; ``pricing`` puts prices and bounds into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse

from bessvpp import battery
from bessvpp.optimizer.problem import Problem, on_day
from bessvpp.params.bess import BessParams
from bessvpp.prices import PriceScenarios


class Rows:
    """Rows in the making: coefficients by row and column, and the limits of each row."""

    def __init__(self) -> None:
        self.n_rows = 0
        self._entries: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._limits: list[tuple[np.ndarray, np.ndarray]] = []

    def add(
        self,
        n_rows: int,
        terms: Sequence[tuple[np.ndarray, float | np.ndarray]],
        low: float | np.ndarray = -np.inf,
        high: float | np.ndarray = np.inf,
    ) -> np.ndarray:
        """Add rows and give their numbers; limits for all of them or (n_rows,).

        Parameters
        ----------
        terms : columns, (n_rows,) or (n_rows, k), with their coefficients
        """
        rows = self.n_rows + np.arange(n_rows)
        for columns, value in terms:
            self.put(rows if columns.ndim == 1 else rows[:, None], columns, value)
        self._limits.append((np.full(n_rows, low), np.full(n_rows, high)))
        self.n_rows += n_rows
        return rows

    def put(self, rows: np.ndarray, columns: np.ndarray, value: float | np.ndarray) -> None:
        """Coefficients of rows that were added before."""
        row, column, entry = np.broadcast_arrays(rows, columns, np.asarray(value, dtype=float))
        self._entries.append((row.ravel(), column.ravel(), entry.ravel()))

    def entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, columns and values of all coefficients."""
        row, column, value = map(np.concatenate, zip(*self._entries, strict=True))
        return row, column, value

    def matrix(self, n_columns: int) -> sparse.csr_array:
        """(n_rows, n_columns) all coefficients."""
        row, column, value = self.entries()
        return sparse.csr_array((value, (row, column)), shape=(self.n_rows, n_columns))

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """(n_rows,) least and greatest value of each row."""
        low, high = map(np.concatenate, zip(*self._limits, strict=True))
        return low, high


@dataclass(frozen=True)
class Shape:
    """What decides the structure of a programme: nothing of it is a price or an energy."""

    bess: BessParams
    block_hours: float
    n_blocks: int
    n_scenarios: int
    is_physical: bool
    is_recourse: bool  # the DAM schedule is given
    free_start: bool  # the DAM schedule may start anywhere
    is_risk_averse: bool  # with the tail of the profits
    n_lines: tuple[int, ...]  # of each unit's energy value
    is_limited: bool = False  # what is traded without being run, each day
    available: tuple[tuple[float, ...], ...] | None = None  # by unit and block; None: all
    outside: tuple[tuple[tuple[bool, ...], ...], ...] = ()  # by unit, above and below, by block

    @property
    def blocks_per_day(self) -> int:
        """Blocks of one day of the horizon."""
        return round(24 / self.block_hours)

    @property
    def n_days(self) -> int:
        """Days of the horizon: 1, or those of a ceiling."""
        return self.n_blocks // self.blocks_per_day

    @classmethod
    def of(cls, problem: Problem, prices: PriceScenarios, is_risk_averse: bool) -> Shape:
        """The shape of a problem's programme."""
        values = problem.energy_values if problem.terminal == "value" else ()
        return cls(
            problem.bess,
            problem.block_hours,
            prices.dam.shape[1],
            prices.dam.shape[0],
            problem.is_physical,
            problem.fixed_dam_mw is not None,
            problem.schedule_start_mwh is None,
            is_risk_averse,
            tuple(value.slope_rs_per_mwh.size for value in values),
            problem.is_limited,
            available_of(problem),
            outside_of(problem, prices.dam.shape[1]),
        )


def available_of(problem: Problem) -> tuple[tuple[float, ...], ...] | None:
    """What outages leave of each unit's power, so that it can be told apart by its values."""
    share = problem.available
    return None if share is None else tuple(map(tuple, share.tolist()))


def outside_of(problem: Problem, n_blocks: int) -> tuple[tuple[tuple[bool, ...], ...], ...]:
    """Where tapered units may be outside their windows; nothing where none may."""
    found = np.array([problem.outside(i, n_blocks) for i in range(len(problem.bess.units))])
    if not found.any():
        return ()
    return tuple(tuple(map(tuple, unit)) for unit in found.tolist())


class Columns:
    """Numbers columns, and keeps the limits of each."""

    def __init__(self) -> None:
        self.n_columns = 0
        self._limits: list[tuple[np.ndarray, np.ndarray]] = []

    def add(
        self,
        shape: tuple[int, ...],
        low: float | np.ndarray = 0.0,
        high: float | np.ndarray = np.inf,
    ) -> np.ndarray:
        """Numbers of new columns, in the shape asked for."""
        limits = np.broadcast_to(low, shape).ravel(), np.broadcast_to(high, shape).ravel()
        self._limits.append(limits)
        new = self.n_columns + np.arange(limits[0].size)
        self.n_columns += new.size
        return new.reshape(shape)

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """(n_columns,) least and greatest value of each column."""
        low, high = map(np.concatenate, zip(*self._limits, strict=True))
        return low.astype(float), high.astype(float)


@dataclass(frozen=True)
class Paths:
    """Columns and start rows of the units' paths, schedule or scenario: U units, T blocks."""

    charge: np.ndarray  # (U, T)
    discharge: np.ndarray  # (U, T)
    energy: np.ndarray  # (U, T)
    free_starts: np.ndarray  # (U, days) or empty
    start_rows: np.ndarray  # (U, chains): rows whose right side is an energy to start from


def unit_paths(shape: Shape, columns: Columns, rows: Rows, daily: bool) -> Paths:
    """Charge, discharge and energy of each unit, bounded and chained.

    A ``daily`` path starts anew each day; any other is one chain over the horizon.
    """
    units, h, n_blocks = shape.bess.units, shape.block_hours, shape.n_blocks
    limits = [battery.power_limits(unit, shape.blocks_per_day) for unit in units]
    charge_max, discharge_max = (
        np.tile([limit[way] for limit in limits], shape.n_days) for way in (0, 1)
    )
    if shape.available is not None:
        charge_max, discharge_max = (most * shape.available for most in (charge_max, discharge_max))
    inside = ~np.array(shape.outside, dtype=bool).reshape(-1, 2, n_blocks)
    if shape.outside:
        charge_max, discharge_max = charge_max * inside[:, 0], discharge_max * inside[:, 1]
    low, high = (
        np.array([[getattr(unit, name)] for unit in units]) for name in ("e_min_mwh", "e_max_mwh")
    )
    size = len(units), n_blocks
    charge = columns.add(size, 0.0, charge_max)
    discharge = columns.add(size, 0.0, discharge_max)
    energy = columns.add(size, low, high)
    free = daily and shape.free_start
    free_starts = columns.add((len(units), shape.n_days), low, high) if free else np.empty(0, int)
    first = np.arange(0, n_blocks, shape.blocks_per_day) if daily else np.zeros(1, int)
    later = np.setdiff1d(np.arange(n_blocks), first)
    start_rows = []
    for i, unit in enumerate(units):
        terms = [(energy[i], 1.0), (charge[i], -h * unit.eta_charge)]
        terms.append((discharge[i], h / unit.eta_discharge))
        lost = battery.lost_share(unit, h)
        chain = rows.add(n_blocks, terms, lost * unit.e_min_mwh, lost * unit.e_min_mwh)
        rows.put(chain[later], energy[i, later - 1], lost - 1)
        if free:
            rows.put(chain[first], free_starts[i], lost - 1)
        start_rows.append(chain[first])
        one_way = [(charge[i], unit.p_max_mw / unit.charge_max_mw), (discharge[i], 1.0)]
        rows.add(n_blocks, one_way, high=unit.p_max_mw)
        tapers = (charge, unit.charge_lines), (discharge, unit.discharge_lines)
        for way, (flow, lines) in enumerate(tapers):
            at = inside[i, way] if shape.outside else slice(None)
            for most, slope in lines:
                terms = [(flow[i, at], 1.0), (energy[i, at], -slope)]
                rows.add(flow[i, at].size, terms, high=most)
        if unit.max_cycles_per_day is not None:
            by_day = discharge[i].reshape(shape.n_days, -1)
            most = unit.max_cycles_per_day * unit.e_nameplate_mwh
            rows.add(shape.n_days, [(by_day, h)], high=most)
    return Paths(charge, discharge, energy, free_starts, np.array(start_rows))


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """What every programme in arrays has: its matrix, and the limits of rows and columns."""

    matrix: sparse.csr_array
    row_low: np.ndarray
    row_high: np.ndarray
    column_low: np.ndarray
    column_high: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Structure(Coefficients):
    """Columns, rows and coefficients of a shape; every array of columns is (S, ...) or (...).

    ``matrix`` lacks the tail rows and the lines of the energy value, which hold prices.
    """

    sale: np.ndarray  # (T,)
    purchase: np.ndarray  # (T,)
    schedule: Paths | None
    rtm_sale: np.ndarray  # (S, T)
    rtm_purchase: np.ndarray  # (S, T)
    short: np.ndarray  # (S, T) or empty
    excess: np.ndarray  # (S, T) or empty
    charge: np.ndarray  # (S, U, T)
    discharge: np.ndarray  # (S, U, T)
    energy: np.ndarray  # (S, U, T)
    value: np.ndarray  # (S, U) or empty
    zeta: np.ndarray  # (1,) or empty
    tail: np.ndarray  # (S,) u_s, or empty
    start_rows: np.ndarray  # (S, U)
    limit_rows: np.ndarray  # (S, days) or empty
    n_first: tuple[int, int]  # rows and columns of the first stage
    n_each: tuple[int, int]  # rows and columns of a scenario


@lru_cache(maxsize=16)
def structure(shape: Shape) -> Structure:
    """Build the structure of a shape: one scenario, repeated."""
    columns, rows = Columns(), Rows()
    sale, purchase, schedule = first_stage(shape, columns, rows)
    n_first = rows.n_rows, columns.n_columns
    recourse, start_rows, limit_rows = _recourse(shape, columns, rows, sale, purchase)
    n_each = rows.n_rows - n_first[0], columns.n_columns - n_first[1]
    scenarios = np.arange(shape.n_scenarios)

    def each(numbers: np.ndarray, step: int) -> np.ndarray:
        """Numbers of one scenario as those of all, (S, ...)."""
        return numbers + step * scenarios.reshape(-1, *[1] * numbers.ndim)

    n_columns = n_first[1] + n_each[1] * shape.n_scenarios  # zeta and the tail come after them
    n_tail = 1 if shape.is_risk_averse else 0
    return Structure(
        sale=sale,
        purchase=purchase,
        schedule=schedule,
        **{name: each(numbers, n_each[1]) for name, numbers in recourse.items()},
        zeta=n_columns + np.arange(n_tail),
        tail=n_columns + n_tail + scenarios[: n_tail * shape.n_scenarios],
        start_rows=each(start_rows, n_each[0]),
        limit_rows=each(limit_rows, n_each[0]),
        n_first=n_first,
        n_each=n_each,
        **vars(_repeated(shape, columns, rows, n_first, n_each)),
    )


def first_stage(
    shape: Shape, columns: Columns, rows: Rows
) -> tuple[np.ndarray, np.ndarray, Paths | None]:
    """Sales and purchases in the DAM, (T,), and the path of a schedule that is deliverable."""
    limits = shape.bess.connection_limit_mw, shape.bess.import_limit_mw
    sale, purchase = (columns.add((shape.n_blocks,), 0.0, limit) for limit in limits)
    if not shape.is_physical:
        return sale, purchase, None
    schedule = unit_paths(shape, columns, rows, daily=True)
    balance = [(sale, -1.0), (purchase, 1.0)]
    balance += [(schedule.discharge.T, 1.0), (schedule.charge.T, -1.0)]
    rows.add(shape.n_blocks, balance, 0.0, 0.0)
    return sale, purchase, schedule


def _recourse(
    shape: Shape, columns: Columns, rows: Rows, sale: np.ndarray, purchase: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Columns of one scenario by name, the rows (U,) in which its paths start, and its limits'."""
    n_blocks, bess = shape.n_blocks, shape.bess
    rtm_sale, rtm_purchase = (columns.add((n_blocks,)) for _ in range(2))
    short, excess = (
        columns.add((n_blocks,)) if shape.is_recourse else np.empty(0, int) for _ in range(2)
    )
    paths = unit_paths(shape, columns, rows, daily=False)
    value = np.empty(0, int)
    if shape.n_lines:
        value = columns.add((len(bess.units),), -np.inf)
    flow = [(paths.discharge.T, 1.0), (paths.charge.T, -1.0)]
    trade = [(sale, -1.0), (purchase, 1.0), (rtm_sale, -1.0), (rtm_purchase, 1.0)]
    if shape.is_recourse:
        trade += [(short, 1.0), (excess, -1.0)]
    rows.add(n_blocks, flow + trade, 0.0, 0.0)
    if battery.may_exceed_connection(bess):
        rows.add(n_blocks, flow, -bess.import_limit_mw, bess.connection_limit_mw)
    limit_rows = np.empty(0, int)
    if shape.is_limited:
        sides = (sale, paths.discharge), (purchase, paths.charge)
        limit_rows = _sum_unbacked(shape, columns, rows, sides)
    named = {
        "rtm_sale": rtm_sale,
        "rtm_purchase": rtm_purchase,
        "short": short,
        "excess": excess,
        "charge": paths.charge,
        "discharge": paths.discharge,
        "energy": paths.energy,
        "value": value,
    }
    return named, paths.start_rows[:, 0], limit_rows


def _sum_unbacked(
    shape: Shape,
    columns: Columns,
    rows: Rows,
    sides: Sequence[tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """Rows (days,) of the sum of what is unbacked, which a problem limits.

    unbacked_t >= DAM trade of a side less the flow of all units, (U, T).
    """
    unbacked = columns.add((len(sides), shape.n_blocks))
    for part, (trade, flow) in zip(unbacked, sides, strict=True):
        rows.add(shape.n_blocks, [(part, 1.0), (flow.T, 1.0), (trade, -1.0)], low=0.0)
    by_day = unbacked.reshape(len(sides), shape.n_days, -1).swapaxes(0, 1)
    energy = [(by_day.reshape(shape.n_days, -1), shape.block_hours)]
    return rows.add(shape.n_days, energy)


def _repeated(
    shape: Shape, columns: Columns, rows: Rows, n_first: tuple[int, int], n_each: tuple[int, int]
) -> Coefficients:
    """The first stage and as many copies of the recourse as there are scenarios; then the tail."""
    n = shape.n_scenarios
    row, column, coefficient = rows.entries()
    of_scenario = row >= n_first[0]
    repeats = np.arange(n)[:, None]
    own = column[of_scenario] >= n_first[1]
    row_all = np.append(row[~of_scenario], row[of_scenario] + n_each[0] * repeats)
    column_all = np.append(column[~of_scenario], column[of_scenario] + n_each[1] * repeats * own)
    value_all = np.append(coefficient[~of_scenario], np.tile(coefficient[of_scenario], n))

    def repeated(limits: np.ndarray, n_first: int) -> np.ndarray:
        return np.append(limits[:n_first], np.tile(limits[n_first:], n))

    row_low, row_high = (repeated(limits, n_first[0]) for limits in rows.limits())
    column_low, column_high = (repeated(limits, n_first[1]) for limits in columns.limits())
    if shape.is_risk_averse:
        column_low = np.concatenate([column_low, [-np.inf], np.zeros(n)])
        column_high = np.append(column_high, np.full(1 + n, np.inf))
    size = row_low.size, column_low.size
    return Coefficients(
        matrix=sparse.csr_array((value_all, (row_all, column_all)), shape=size),
        row_low=row_low,
        row_high=row_high,
        column_low=column_low,
        column_high=column_high,
    )


def limit_energies(
    problem: Problem, columns: np.ndarray, low: np.ndarray, high: np.ndarray
) -> None:
    """Bounds of energies (..., U, T) that are not those of the units' windows."""
    if problem.energy_limits is not None:
        low[columns], high[columns] = problem.energy_limits


def set_starts(
    problem: Problem, shape: Shape, paths: Paths, low: np.ndarray, high: np.ndarray
) -> None:
    """Right sides of the rows in which the schedule of each day starts."""
    if problem.schedule_start_mwh is not None:
        for day in range(shape.n_days):
            rows = paths.start_rows[:, day]
            low[rows] = high[rows] = problem.kept_mwh(on_day(problem.schedule_start_mwh, day))


def limit_ends(
    problem: Problem, shape: Shape, paths: Paths, low: np.ndarray, high: np.ndarray
) -> None:
    """Bounds of the energies with which the schedule of each day must end."""
    if problem.schedule_end_mwh is None:
        return
    for day in range(shape.n_days):
        ends = on_day(problem.schedule_end_mwh, day)
        fixed = np.isfinite(ends)
        columns = paths.energy[fixed, (day + 1) * shape.blocks_per_day - 1]
        low[columns] = high[columns] = ends[fixed]
