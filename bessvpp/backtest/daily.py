"""The rows of ``backtest_daily.parquet``: what a policy traded, ran and earned on each day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bessvpp import ledger
from bessvpp.backtest.window import Window
from bessvpp.ledger import LEDGER_COLUMNS
from bessvpp.prices import PriceScenarios
from bessvpp.settlement.day import SettledDay

SHORT_MWH = 0.01
"""Energy missing at midnight that counts as short; the tolerance of a strict path."""


def rows(
    window: Window,
    policy: str,
    settlement: str,
    days: Sequence[SettledDay],
    planned: Sequence[np.ndarray],
) -> list[dict[str, str | float]]:
    """A row a settled day, with its whole ledger.

    Parameters
    ----------
    planned : (U,) energy that each day's schedule begins with
    """
    table = []
    for place, (settled, start) in enumerate(zip(days, planned, strict=True)):
        row: dict[str, str | float] = {"date": str(window.days[place]), "policy": policy}
        row["settlement"] = settlement
        row |= {name: float(getattr(settled.ledger, name)) for name in LEDGER_COLUMNS}
        row["net_rs"] = float(settled.ledger.net_rs)
        row["dispatch_rs"] = dispatch_rs(window, settled, window.realised(place))
        row |= _energies(window, settled, start)
        table.append(row)
    return table


def dispatch_rs(window: Window, settled: SettledDay, prices: PriceScenarios) -> float:
    """What a day's physical flow alone earns at RTM prices, its costs and deviations paid [Rs].

    Net is this and a position between the markets: sold or bought in the DAM, closed at the
    price of the RTM. A block without an RTM price counts its DAM price.
    """
    rtm = np.where(np.isfinite(prices.rtm[0]), prices.rtm[0], prices.dam[0])
    net_mw = (settled.discharge_mw - settled.charge_mw).sum(axis=0)
    alone = ledger.settle(
        window.params.bess,
        window.params.market,
        window.market.block_hours,
        dam=prices.dam[0],
        rtm=rtm,
        dam_mw=np.zeros(net_mw.size),
        rtm_mw=net_mw,
        charge_mw=settled.charge_mw,
        discharge_mw=settled.discharge_mw,
    )
    deviation = settled.ledger.deviation_rs
    return float(replace(alone, deviation_rs=deviation).net_rs)


def _energies(window: Window, day: SettledDay, planned_mwh: np.ndarray) -> dict[str, str | float]:
    h = window.market.block_hours
    nameplate = sum(unit.e_nameplate_mwh for unit in window.params.bess.units)
    discharged = float(h * day.discharge_mw.sum())
    short = np.maximum(planned_mwh - day.e_start_mwh, 0)
    closed = np.minimum(np.abs(day.dam_mw), np.abs(day.rtm_mw))
    return {
        "dam_sold_mwh": float(h * np.maximum(day.dam_mw, 0).sum()),
        "dam_bought_mwh": float(h * np.maximum(-day.dam_mw, 0).sum()),
        "rtm_sold_mwh": float(h * np.maximum(day.rtm_mw, 0).sum()),
        "rtm_bought_mwh": float(h * np.maximum(-day.rtm_mw, 0).sum()),
        "closed_mwh": float(h * closed[day.dam_mw * day.rtm_mw < 0].sum()),
        "dam_turns": turns(day.dam_mw),
        "charged_mwh": float(h * day.charge_mw.sum()),
        "discharged_mwh": discharged,
        "undelivered_mwh": float(h * np.abs(day.undelivered_mw).sum() + day.missing_mwh),
        "cycles": discharged / nameplate,
        "midnight_short_mwh": float(short[short > SHORT_MWH].sum()),
        "e_start_mwh": float(day.e_start_mwh.sum()),
        "e_end_mwh": float(day.e_end_mwh.sum()),
    }


def turns(mw: np.ndarray) -> int:
    """How often a schedule (T,) turns from selling to buying or back; pauses do not count."""
    side = np.sign(np.round(mw, 3))
    side = side[side != 0]
    return int((np.diff(side) != 0).sum())
