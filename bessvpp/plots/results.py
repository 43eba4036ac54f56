"""Pictures of the backtest and the frontier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure

from bessvpp.plots.style import COLOURS, LAKH, finished, new_figure

REALISED = "realised with hindsight recourse"
"""The frontier's days are settled with their RTM prices known, which no trader has."""


def policy_bars(policies: Mapping[str, Mapping[str, float]], synthetic: bool) -> Figure:
    """Net of every policy in each way of settling, under the ceiling where it is one."""
    figure, axes = new_figure(1, 3, 3.8, sharey=True)
    names = list(policies)
    labels = [name.replace("_", " ") for name in names]
    for axis, key, title in (
        (axes[0, 0], "net_rs_dam_only", "As committed"),
        (axes[0, 1], "net_rs_causal", "With causal recourse"),
        (axes[0, 2], "net_rs", "With hindsight recourse"),
    ):
        values = np.array([policies[name][key] for name in names], dtype=float) / LAKH
        colours = [_policy_colour(name) for name in names]
        axis.barh(labels, values, color=colours)
        for place, value in enumerate(values):
            if not np.isfinite(value):  # the ceiling has no causal figure
                continue
            axis.text(max(value, 0), place, f" {value:,.1f}", va="center", size=9)
        axis.axvline(0, color="black", lw=0.8)
        axis.set_title(title)
        axis.set_xlabel("net, lakh Rs")
        axis.margins(x=0.25)
        axis.grid(axis="y", visible=False)
    axes[0, 0].invert_yaxis()
    says = (
        "Net of every policy over all days, settled in three ways, in lakh Rs; the ceiling is "
        "what both markets known in advance would have paid."
    )
    return finished(figure, synthetic, says)


def _policy_colour(name: str) -> str:
    for fan in ("original", "recalibrated"):
        if name.endswith(fan):
            return COLOURS[fan]
    return "#17202a" if name == "ceiling" else "#aeb6bf"


def gain_over_nothing(daily: pd.DataFrame, names: Sequence[str], synthetic: bool) -> Figure:
    """Cumulated gain over committing nothing, under the same recourse."""
    figure, axes = new_figure(1, 1, 3.6)
    net = daily.pivot(index="date", columns="policy", values="net_rs")
    gain = net[list(names)].sub(net["nothing_committed"], axis=0).cumsum() / LAKH
    days = pd.to_datetime(gain.index)
    for name in names:
        style = "-" if name.startswith("two_stage") else "--"
        colour = _policy_colour(name) if name.startswith("two_stage") else None
        axes[0, 0].plot(days, gain[name], style, color=colour, lw=1.8, label=name.replace("_", " "))
    axes[0, 0].axhline(0, color="black", lw=0.8)
    axes[0, 0].set_title(f"Cumulated gain over committing nothing, {daily['settlement'].iloc[0]}")
    axes[0, 0].set_ylabel("lakh Rs")
    axes[0, 0].xaxis.set_major_formatter(ConciseDateFormatter(axes[0, 0].xaxis.get_major_locator()))
    figure.legend(ncols=4, loc="outside upper center")
    says = (
        "What each policy earned beyond committing nothing, day upon day: two-stage programmes "
        "as whole lines, simpler rules dashed."
    )
    return finished(figure, synthetic, says)


def frontier(points: pd.DataFrame, synthetic: bool) -> Figure:
    """Planned and realised risk and return for every lambda, a line a fan.

    Realised is with hindsight recourse, and so is the second stage of a plan.
    """
    figure, axes = new_figure(1, 2, 4.4)
    titles = {
        "planned": ("Planned: over the scenarios", ""),
        "realised": (REALISED.capitalize(), ", hindsight"),
    }
    for axis, (kind, (title, way)) in zip(axes[0], titles.items(), strict=True):
        for fan, rows in points.groupby("fan", sort=False):
            x, y = rows[f"{kind}_cvar_rs"] / LAKH, rows[f"{kind}_mean_rs"] / LAKH
            axis.plot(x, y, "o-", color=COLOURS[fan], ms=5, lw=1.5, label=fan)
            for place in (0, len(rows) - 1):
                axis.annotate(
                    rf"$\lambda$ = {rows['lambda'].iloc[place]:g}",
                    (x.iloc[place], y.iloc[place]),
                    textcoords="offset points",
                    xytext=(6, 5),
                    size=9,
                )
        axis.set_title(title)
        axis.set_xlabel(f"CVaR of a day{way}, lakh Rs")
        axis.set_ylabel(f"mean of a day{way}, lakh Rs")
        axis.margins(0.14)
    axes[0, 0].legend(loc="best")
    says = (
        "Mean profit of a day against its CVaR, a point a risk aversion and a line a fan: up is "
        "more on average, right is a better worst case."
    )
    return finished(figure, synthetic, says)


def interactive_frontier(points: pd.DataFrame) -> go.Figure:
    """The frontier with every point's figures under the pointer; realised is with hindsight."""
    figure = go.Figure()
    for fan, rows in points.groupby("fan", sort=False):
        for kind, dash in (("planned", "solid"), ("realised", "dot")):
            figure.add_scatter(
                x=(rows[f"{kind}_cvar_rs"] / LAKH).tolist(),
                y=(rows[f"{kind}_mean_rs"] / LAKH).tolist(),
                mode="lines+markers",
                name=f"{fan}, {kind if kind == 'planned' else REALISED}",
                line={"color": COLOURS[fan], "dash": dash},
                marker={"size": 9, "symbol": "circle" if kind == "planned" else "diamond"},
                customdata=np.column_stack(
                    [rows["lambda"], rows["realised_worst_day_rs"] / LAKH]
                ).tolist(),
                hovertemplate=(
                    "lambda %{customdata[0]:g}<br>CVaR %{x:,.2f} lakh Rs<br>"
                    "mean %{y:,.2f} lakh Rs<br>worst day, hindsight, %{customdata[1]:,.2f} lakh Rs"
                ),
            )
    says = (
        "Mean profit of a day against its CVaR, a point a risk aversion: whole lines are planned, "
        "dotted ones realised. Point at one for its figures."
    )
    figure.update_layout(title="Risk and return of a day", meta={"says": says})
    figure.update_xaxes(title="CVaR of a day, lakh Rs")
    figure.update_yaxes(title="mean of a day, lakh Rs")
    return figure
