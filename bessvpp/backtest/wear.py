r"""Cycles of realised energy paths by rainflow counting, and their wear by depth.

A unit's stored energy over all days of a backtest is taken apart into cycles by the rainflow method
(ASTM E1049-85, section 5.4.4; the package ``rainflow``): cycle k has a range :math:`r_k` in MWh
stored and a count :math:`n_k`, 1 where it closes and 0.5 where it does not. Its depth is
:math:`r_k / E`, of the nameplate energy E. Then

.. math:: \text{equivalent full cycles} = \sum_k n_k r_k / E, \qquad
    \text{wear by depth} = \sum_k n_k r_k \eta_d \; w(r_k / E),

with w of the table ``wear_by_depth``, linear between its points and level beyond them. It stands
beside the flat wear that is booked. What is planned and booked knows no depth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import rainflow

from bessvpp import battery
from bessvpp.backtest.simulate import Backtest, settled_chains
from bessvpp.backtest.window import Window
from bessvpp.params.bess import UnitParams
from bessvpp.params.study import DepthWear
from bessvpp.settlement.day import SettledDay

DEPTH_EDGES = np.round(np.linspace(0, 1, 11), 1)
"""Of the classes that cycles are counted in, as shares of the nameplate energy."""
ROUNDING_DECIMALS = 6
"""Of MWh: the dust of a solver is no cycle."""


def wear_figures(window: Window, backtest: Backtest) -> dict[str, dict[str, dict[str, object]]]:
    """Cycles by depth, equivalent full cycles and wear [Rs], by policy, settlement and unit.

    Empty where neither ``wear_by_depth`` nor a warranty asks for them.
    """
    units, table = window.params.bess.units, window.params.backtest.wear_by_depth
    if not table and all(unit.warranty_mwh_per_year is None for unit in units):
        return {}
    found: dict[str, dict[str, dict[str, object]]] = {}
    for policy, settlement, days in settled_chains(backtest):
        found.setdefault(policy, {})[settlement] = {
            unit.name: _figures_of(unit, days, i, window.market.block_hours, table)
            for i, unit in enumerate(units)
        }
    return found


def _figures_of(
    unit: UnitParams,
    days: Sequence[SettledDay],
    i: int,
    block_hours: float,
    table: Sequence[DepthWear],
) -> dict[str, object]:
    """What one unit's path over all days comes to."""
    ranges, counts = cycles_of(energy_path(unit, days, i, block_hours))
    discharged = block_hours * sum(float(day.discharge_mw[i].sum()) for day in days)
    figures: dict[str, object] = {
        "equivalent_full_cycles": float(counts @ ranges) / unit.e_nameplate_mwh,
        "cycles_by_depth": by_depth(ranges / unit.e_nameplate_mwh, counts),
        "wear_flat_rs": discharged * unit.wear_rs_per_mwh_discharged,
    }
    if table:
        figures["wear_by_depth_rs"] = wear_by_depth_rs(unit, ranges, counts, table)
    return figures


def energy_path(
    unit: UnitParams, days: Sequence[SettledDay], i: int, block_hours: float
) -> np.ndarray:
    """(1 + D T,) energy of a unit at the first midnight and after each block [MWh].

    What is drawn without a schedule at the end of a day is part of its last block.
    """
    path = [np.array([days[0].e_start_mwh[i]])]
    for day in days:
        net_mw = day.discharge_mw[i] - day.charge_mw[i]
        of_day = battery.energy_path(unit, net_mw, float(day.e_start_mwh[i]), block_hours)
        of_day[-1] = day.e_end_mwh[i]
        path.append(of_day)
    return np.concatenate(path)


def cycles_of(energy_mwh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Range [MWh] and count (1 or 0.5) of each cycle of a path (T,), (K,) each.

    Examples
    --------
    >>> cycles_of(np.array([100.0, 180.0, 60.0, 100.0]))  # up, down and up again
    (array([ 80., 120.,  40.]), array([0.5, 0.5, 0.5]))
    """
    path = np.round(energy_mwh, ROUNDING_DECIMALS)
    found = [(cycle[0], cycle[2]) for cycle in rainflow.extract_cycles(path.tolist())]
    ranges, counts = np.array(found, dtype=float).reshape(-1, 2).T
    return ranges, counts


def by_depth(depths: np.ndarray, counts: np.ndarray) -> list[dict[str, float]]:
    """Full and half cycles of each class of ``DEPTH_EDGES`` that has any.

    A depth on an edge belongs to the shallower class; one above the last, to the last.
    """
    place = np.searchsorted(DEPTH_EDGES, np.round(depths, 9)) - 1
    place = np.clip(place, 0, len(DEPTH_EDGES) - 2)
    return [
        {
            "depth_from": float(DEPTH_EDGES[k]),
            "depth_to": float(DEPTH_EDGES[k + 1]),
            "full": int((counts[place == k] == 1).sum()),
            "half": int((counts[place == k] == 0.5).sum()),
        }
        for k in np.unique(place[depths > 0]).tolist()
    ]


def wear_by_depth_rs(
    unit: UnitParams, ranges: np.ndarray, counts: np.ndarray, table: Sequence[DepthWear]
) -> float:
    """Wear of cycles by the rate of their own depth [Rs].

    Parameters
    ----------
    ranges, counts : (K,) of ``cycles_of``
    table : rates by depth, depths rising
    """
    rate = np.interp(
        ranges / unit.e_nameplate_mwh,
        [point.depth for point in table],
        [point.rs_per_mwh_discharged for point in table],
    )
    return float((counts * ranges * unit.eta_discharge) @ rate)
