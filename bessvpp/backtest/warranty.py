"""What a backtest spends of warranties: discharge in a year, its budget and its price."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bessvpp.backtest.simulate import Backtest, settled_chains
from bessvpp.backtest.window import Window
from bessvpp.battery import start_energy
from bessvpp.settlement.day import SettledDay
from bessvpp.settlement.warranty import DAYS_PER_YEAR

Figures = dict[str, object]


def warranty_figures(window: Window, backtest: Backtest) -> Figures:
    """Budget and price of each unit, and what each policy discharges in a year [MWh].

    Prices are those that the days' plans counted, the same for every policy, in Rs/MWh; the
    ceiling knows none. Empty where no unit has a warranty.
    """
    units = window.params.bess.units
    if all(u.warranty_mwh_per_year is None and not u.steering_rs_per_mwh for u in units):
        return {}
    prices = daily_prices(window)
    of_units = {
        unit.name: {
            "budget_mwh_per_year": unit.warranty_mwh_per_year,
            "price_mean_rs_per_mwh": float(price.mean()),
            "price_least_rs_per_mwh": float(price.min()),
            "price_most_rs_per_mwh": float(price.max()),
        }
        for unit, price in zip(units, prices.T, strict=True)
    }
    spent: dict[str, dict[str, Figures]] = {}
    for policy, settlement, days in settled_chains(backtest):
        of_year = discharged_mwh_per_year(days, window.market.block_hours)
        by_unit = {unit.name: mwh for unit, mwh in zip(units, of_year.tolist(), strict=True)}
        spent.setdefault(policy, {})[settlement] = by_unit
    return {"units": of_units, "discharged_mwh_per_year": spent}


def daily_prices(window: Window) -> np.ndarray:
    """(D, U) price of each unit's warranty in each day's plans [Rs/MWh]; 0 without one."""
    start = start_energy(window.params.bess)
    problems = [window.problem(start, day) for day in range(len(window.days))]
    return np.array([[unit.steering_rs_per_mwh for unit in p.bess.units] for p in problems])


def discharged_mwh_per_year(days: Sequence[SettledDay], block_hours: float) -> np.ndarray:
    """(U,) what each unit discharges in a year of such days, at the grid side."""
    spent = block_hours * np.sum([day.discharge_mw.sum(axis=1) for day in days], axis=0)
    return np.asarray(spent / len(days) * DAYS_PER_YEAR)
