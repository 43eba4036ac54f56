"""Pictures of a backtest and of closed days: trades, where money came from, what ideas add."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bessvpp import battery
from bessvpp.ledger import signed
from bessvpp.params.bess import BessParams
from bessvpp.plots.show import HEADINGS
from bessvpp.plots.style import (
    COLOURS,
    LAKH,
    NAMES,
    RUPEES,
    clock_axis,
    finished,
    hours_of_blocks,
    new_figure,
)
from bessvpp.prices import PriceScenarios
from bessvpp.runs.names import figure_text
from bessvpp.settlement.day import SettledDay


def traded_day(
    day: SettledDay,
    prices: PriceScenarios,
    at_gates: np.ndarray,
    bess: BessParams,
    synthetic: bool,
) -> Figure:
    """A day block by block: what was committed, traded again and run, and what was known.

    Parameters
    ----------
    at_gates : (T,) RTM price that the gate of each block's session expected
    """
    figure, axes = new_figure(3, 1, 7.0, sharex=True, height_ratios=(3, 2, 2))
    n_blocks = len(day.dam_mw)
    hours, width = hours_of_blocks(n_blocks), 24 / n_blocks
    net_mw = (day.discharge_mw - day.charge_mw).sum(axis=0)
    trade, energy, known = axes[:, 0]
    shown = {"width": width, "align": "edge"}
    trade.bar(hours, day.dam_mw, color=COLOURS["dam"], alpha=0.55, label="committed, DAM", **shown)
    trade.bar(hours, day.rtm_mw, color=COLOURS["rtm"], alpha=0.55, label="traded, RTM", **shown)
    trade.step(hours, net_mw, where="post", color="black", lw=1.6, label="run by the battery")
    trade.set_title("Sold above, bought below")
    trade.set_ylabel("MW")
    trade.legend(ncols=3, loc="upper left")
    trade.set_ylim(*np.array(trade.get_ylim()) * [1.05, 1.35])
    stored = np.append(day.e_start_mwh.sum(), _stored(bess, day))
    energy.plot(
        np.append(0, hours + width), stored, color=COLOURS["recalibrated"], lw=2, label="_stored"
    )
    limits = [sum(getattr(u, name) for u in bess.units) for name in ("e_min_mwh", "e_max_mwh")]
    for limit in limits:
        energy.axhline(limit, color="black", lw=1, ls=":")
    energy.set_title("Stored energy, between its limits")
    energy.set_ylabel("MWh")
    energy.set_ylim(0, limits[1] * 1.08)
    known.step(hours, prices.dam[0], where="post", color=COLOURS["dam"], label=NAMES["dam"])
    known.step(hours, prices.rtm[0], where="post", color=COLOURS["rtm"], label=NAMES["rtm"])
    known.step(
        hours,
        at_gates,
        where="post",
        color=COLOURS["rtm"],
        ls=":",
        label="RTM expected at its gate",
    )
    known.set_title("Prices, and what each gate expected")
    known.set_ylabel("Rs/MWh")
    known.yaxis.set_major_formatter(RUPEES)
    known.set_ylim(0, max(prices.dam.max(), np.nanmax(prices.rtm)) * 1.3)
    known.legend(ncols=3, loc="upper left")
    clock_axis(known)
    says = (
        "A day block by block. Above, what was committed day-ahead and traded in real time, the "
        "line being what the battery ran; then its stored energy; below, prices and what gates "
        "expected."
    )
    return finished(figure, synthetic, says)


def _stored(bess: BessParams, day: SettledDay) -> np.ndarray:
    """(T,) energy of all units after each block."""
    net_mw = day.discharge_mw - day.charge_mw
    parts = zip(bess.units, net_mw, day.e_start_mwh, strict=True)
    paths = [battery.energy_path(unit, mw, start, 24 / mw.size) for unit, mw, start in parts]
    return np.sum(paths, axis=0)


def waterfall(ledger_rs: Mapping[str, float], synthetic: bool) -> Figure:
    """From revenue to net of a day, an entry of the ledger a step; none that rounds to nothing.

    Parameters
    ----------
    ledger_rs : revenues, positive when received, then costs, positive when paid
    """
    steps = {name: signed(name, value) / LAKH for name, value in ledger_rs.items()}
    steps = {name: value for name, value in steps.items() if abs(value) >= 0.005}
    figure, axes = new_figure(1, 1, 1.0 + 0.36 * len(steps))
    axis = axes[0, 0]
    values = np.array(list(steps.values()))
    ends = np.cumsum(values)
    colour = np.where(values > 0, COLOURS["recalibrated"], COLOURS["discharge"])
    axis.barh(range(len(values)), values, left=ends - values, color=colour, label="_entry")
    axis.barh(len(values), ends[-1], color="black", label="_net")
    for place, (value, end) in enumerate(zip(values, ends, strict=True)):
        axis.text(max(end, end - value), place, f" {figure_text(value, '+,.2f')}", va="center")
    axis.text(max(ends[-1], 0), len(values), f" {figure_text(ends[-1])}", va="center")
    names = [HEADINGS[name][0] for name in steps]
    axis.set_yticks(range(len(values) + 1), [*names, "Net"])
    axis.invert_yaxis()
    axis.axvline(0, color="black", lw=0.8)
    axis.set_title("From revenue to net")
    axis.set_xlabel("lakh Rs a day")
    axis.set_xlim(min(0, ends.min()) * 1.1, ends.max() * 1.18)
    axis.grid(axis="y", visible=False)
    says = (
        f"From revenue down to net, an entry of the ledger a bar: {ends[-1]:,.2f} lakh Rs a day "
        f"are left of {values[values > 0].sum():,.2f}."
    )
    return finished(figure, synthetic, says)


def staircase(nets: pd.DataFrame, steps: Mapping[str, str], synthetic: bool) -> Figure:
    """Net of a day from one step to the next, each with what it adds to the one above it.

    Parameters
    ----------
    nets : a row a day, a column a step [Rs]
    steps : columns in their order, and what each adds
    """
    figure, axes = new_figure(1, 1, 4.2)
    axis = axes[0, 0]
    totals = nets[list(steps)].mean().to_numpy() / LAKH
    before = np.append(0, totals[:-1])
    low, high = np.minimum(before, totals), np.maximum(before, totals)
    colour = np.where(totals >= before, COLOURS["recalibrated"], COLOURS["discharge"])
    axis.barh(range(len(totals)), totals, color="#dfe4e6", label="_net")
    axis.barh(range(len(totals)), high - low, left=low, color=colour, label="_size of the step")
    for place, (total, added) in enumerate(zip(totals, totals - before, strict=True)):
        added_text = "" if place == 0 else f"  ({figure_text(added, '+,.2f')})"
        axis.text(high[place], place, f" {figure_text(total)}{added_text}", va="center", size=9)
    axis.set_yticks(range(len(totals)), list(steps.values()))
    axis.invert_yaxis()
    axis.set_title("Net, and what each step adds")
    axis.set_xlabel("lakh Rs a day, with V of what is left")
    axis.set_xlim(min(0, totals.min()), totals.max() * 1.3)
    axis.grid(axis="y", visible=False)
    says = (
        f"Net of a day, a step an idea, from {totals[0]:,.2f} lakh Rs to {totals[-1]:,.2f}; the "
        "coloured end of a bar is what the step adds, or takes where it is purple."
    )
    return finished(figure, synthetic, says)


def worth_of_ideas(worth: pd.DataFrame, n_days: int, synthetic: bool) -> Figure:
    """What each idea earns a day, with its paired band; grey where that contains zero.

    Parameters
    ----------
    worth : as of ``backtest.ideas.worth``
    """
    figure, axes = new_figure(1, 1, 0.8 + 0.34 * len(worth))
    axis = axes[0, 0]
    unit = n_days * LAKH
    for place, row in enumerate(worth.itertuples()):
        colour = COLOURS["recalibrated"] if row.gain_rs > 0 else COLOURS["discharge"]
        colour = colour if row.beyond else COLOURS["original"]
        band = row.low_rs / unit, row.high_rs / unit
        axis.plot(band, [place] * 2, color=colour, lw=3, label="_90 % band")
        axis.plot(row.gain_rs / unit, place, "o", color=colour, ms=7, label="_gain")
    axis.axvline(0, color="black", lw=0.8)
    axis.set_yticks(range(len(worth)), worth["idea"])
    axis.invert_yaxis()
    axis.set_title("What each idea earns, 90 % band")
    axis.set_xlabel("lakh Rs a day")
    axis.grid(axis="y", visible=False)
    says = (
        "What each idea earns a day on the same days: a dot, and the band in which nine of ten "
        "draws of the days lie. Green earns, purple costs, grey bands contain zero."
    )
    return finished(figure, synthetic, says)


def closed_days(journal: pd.DataFrame, synthetic: bool) -> Figure:
    """What days promised and came to, and what the difference was made of.

    Parameters
    ----------
    journal : as of ``desk.journal.read_journal``
    """
    figure, axes = new_figure(1, 2, 3.8)
    days, bridge = axes[0]
    for key, colour, label in (
        ("planned_net_rs", COLOURS["recalibrated"], "planned"),
        ("net_rs", COLOURS["realised"], "realised"),
    ):
        days.plot(journal["date"], journal[key] / LAKH, "o-", color=colour, ms=5, label=label)
    days.axhline(0, color="black", lw=0.8)
    days.tick_params(axis="x", rotation=30)
    days.set_title("Net of each closed day")
    days.set_ylabel("lakh Rs")
    days.legend()
    parts = [name for name in journal if name.startswith("from_")]
    values = journal[["planned_net_rs", *parts]].sum().to_numpy() / LAKH
    ends = np.cumsum(values)
    names = ["planned", *(name.removeprefix("from_").removesuffix("_rs") for name in parts)]
    colour = np.where(values > 0, COLOURS["recalibrated"], COLOURS["discharge"])
    bridge.bar(names, values, bottom=ends - values, color=["#aeb6bf", *colour[1:]])
    bridge.bar("realised", ends[-1], color=COLOURS["realised"])
    bridge.set_ylim(min(0, ends.min()) * 1.1, max(0, ends.max()) * 1.12)
    bridge.axhline(0, color="black", lw=0.8)
    bridge.tick_params(axis="x", rotation=30)
    bridge.set_title("From planned to realised, all days")
    bridge.set_ylabel("lakh Rs")
    bridge.grid(axis="x", visible=False)
    says = (
        f"{len(journal)} closed days: net as planned and as realised, and from one to the other by "
        f"price, volume, forecast and deviation, {values[0]:,.2f} to {ends[-1]:,.2f} lakh Rs."
    )
    return finished(figure, synthetic, says)


def net_by_limit(limits: pd.DataFrame, n_days: int, synthetic: bool) -> Figure:
    """Net of a day over a limit on DAM trade that is not run: its dispatch and its position.

    Parameters
    ----------
    limits : as of ``backtest.unbacked.net_by_limit``
    """
    figure, axes = new_figure(1, 1, 1.2 + 0.42 * len(limits))
    axis, places, unit = axes[0, 0], np.arange(len(limits)), n_days * LAKH
    own, rest = (limits[f"{name}_rs"] / unit for name in ("dispatch", "position"))
    named = {"height": 0.6, "label": "dispatch: the battery's flow at RTM prices"}
    axis.barh(places, own, color=COLOURS["original"], **named)
    named["label"] = "position: what committing day ahead adds"
    axis.barh(places, rest, left=own, color=COLOURS["dam"], **named)
    for place, net in zip(places, limits["net_rs"] / unit, strict=True):
        axis.annotate(
            figure_text(net), (net, place), xytext=(4, 0), textcoords="offset points", va="center"
        )
    names = ["no limit" if np.isnan(x) else f"{x:,.0f} MWh" for x in limits["limit_mwh_per_day"]]
    axis.set_yticks(places, names)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.set_title("Net, by how much may be traded a day without being run")
    axis.set_xlabel("lakh Rs a day")
    axis.grid(axis="y", visible=False)
    figure.legend(ncols=2, loc="outside upper center")
    says = (
        "Net of a day, split into the battery's own dispatch and a position between the markets, "
        "for several limits on what a plan sells or buys in the DAM without meaning to run it."
    )
    return finished(figure, synthetic, says)
