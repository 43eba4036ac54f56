"""Pictures of the backtest and the frontier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure

from bessvpp.plots.style import COLOURS, LAKH, finished, new_figure
from bessvpp.runs.names import policy_name

KINDS = {"planned": "Planned, as the gate could promise", "realised": "Realised on the days"}


def policy_bars(policies: Mapping[str, Mapping[str, float]], synthetic: bool) -> Figure:
    """Net of every policy in each way of settling, under the ceiling where it is one."""
    figure, axes = new_figure(1, 3, 3.8, sharey=True)
    names = list(policies)
    labels = [policy_name(name) for name in names]
    for axis, key, title in (
        (axes[0, 0], "net_rs_dam_only", "As committed"),
        (axes[0, 1], "net_rs_causal", "Causal recourse"),
        (axes[0, 2], "net_rs", "Hindsight recourse"),
    ):
        values = np.array([policies[name][key] for name in names], dtype=float) / LAKH
        colours = [_policy_colour(name) for name in names]
        axis.barh(labels, values, color=colours, label="_net")
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
        axes[0, 0].plot(days, gain[name], style, color=colour, lw=1.8, label=policy_name(name))
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
    """Planned and realised risk and return for every lambda, a line a fan; causal recourse.

    Whiskers are the 90 % bands of the means; hollow points are dominated.
    """
    figure, axes = new_figure(1, 2, 4.4, sharey=True)
    for axis, (kind, title) in zip(axes[0], KINDS.items(), strict=True):
        for fan, rows in points.groupby("fan", sort=False):
            _frontier_line(axis, rows, kind, fan)
        axis.set_title(title)
        axis.set_xlabel("CVaR of a day, lakh Rs")
        axis.margins(0.14)
    axes[0, 0].set_ylabel("mean of a day, lakh Rs")
    axes[0, 0].legend(loc="best")
    says = (
        "Mean profit of a day against its CVaR with causal recourse, a point a risk aversion and a "
        "line a fan: up is more on average, right is a better worst case. Whiskers are 90 % bands "
        "of the mean; hollow points are dominated."
    )
    return finished(figure, synthetic, says, points)


def _frontier_line(axis: Axes, rows: pd.DataFrame, kind: str, fan: str) -> None:
    x, y, low, high = (
        rows[f"{kind}_{name}_rs"].to_numpy() / LAKH
        for name in ("cvar", "mean", "mean_low", "mean_high")
    )
    axis.vlines(x, low, high, color=COLOURS[fan], lw=0.8, alpha=0.6)
    axis.plot(x, y, "-", color=COLOURS[fan], lw=1.5, label=fan)
    hollow = rows[f"{kind}_dominated"].to_numpy()
    for chosen, face in ((~hollow, COLOURS[fan]), (hollow, "white")):
        marks = {"mfc": face, "mec": COLOURS[fan], "ms": 6}
        axis.plot(x[chosen], y[chosen], "o", **marks)
    for place in (0, len(rows) - 1):
        axis.annotate(
            rf"$\lambda$ = {rows['lambda'].iloc[place]:g}",
            (x[place], y[place]),
            textcoords="offset points",
            xytext=(6, 5),
            size=9,
        )


def promise(daily: pd.DataFrame, synthetic: bool) -> Figure:
    """Where the days' profits fell within what was planned, and both day by day; a line a fan.

    Parameters
    ----------
    daily : rows of ``frontier_daily.parquet`` of one risk aversion
    """
    figure, axes = new_figure(1, 2, 4.0)
    places, nets = axes[0]
    for fan, rows in daily.groupby("fan", sort=False):
        pit = np.sort(rows["pit"])
        share = np.arange(1, len(pit) + 1) / len(pit)
        places.step(pit, share, where="post", color=COLOURS[fan], lw=1.8, label=fan)
        planned, realised = rows["planned_mean_rs"] / LAKH, rows["realised_rs"] / LAKH
        nets.plot(planned, realised, "o", color=COLOURS[fan], ms=5, alpha=0.7)
    places.plot([0, 1], [0, 1], color="black", lw=0.8)
    places.set_title("Place of a day within its plan")
    places.set_xlabel("share of the planned distribution below it")
    places.set_ylabel("share of days")
    places.legend(loc="upper left")
    ends = [
        min(nets.get_xlim()[0], nets.get_ylim()[0]),
        max(nets.get_xlim()[1], nets.get_ylim()[1]),
    ]
    nets.plot(ends, ends, color="black", lw=0.8)
    nets.set_title("A point a day")
    nets.set_xlabel("planned mean, lakh Rs")
    nets.set_ylabel("realised, lakh Rs")
    says = (
        "Left: were the promise right, the curves would follow the diagonal; above it days fall "
        "short of their plan. Right: realised profit against the planned mean, a point a day."
    )
    return finished(figure, synthetic, says, daily)


def interactive_frontier(points: pd.DataFrame) -> go.Figure:
    """The frontier with every point's figures under the pointer, all with causal recourse."""
    figure = go.Figure()
    for fan, rows in points.groupby("fan", sort=False):
        for kind, dash in (("planned", "solid"), ("realised", "dot")):
            figure.add_scatter(
                x=(rows[f"{kind}_cvar_rs"] / LAKH).tolist(),
                y=(rows[f"{kind}_mean_rs"] / LAKH).tolist(),
                mode="lines+markers",
                name=f"{fan}, {kind}",
                line={"color": COLOURS[fan], "dash": dash},
                marker={"size": 9, "symbol": "circle" if kind == "planned" else "diamond"},
                customdata=np.column_stack(
                    [rows["lambda"], rows["realised_worst_day_rs"] / LAKH]
                ).tolist(),
                meta=["lambda", "realised worst day, lakh Rs"],
                hovertemplate=(
                    "lambda %{customdata[0]:g}<br>CVaR %{x:,.2f} lakh Rs<br>"
                    "mean %{y:,.2f} lakh Rs<br>worst day %{customdata[1]:,.2f} lakh Rs"
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
