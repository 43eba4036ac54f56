"""Pictures of the backtest and the frontier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from bessvpp.plots.style import COLOURS, LAKH, end_labels, finished, new_figure
from bessvpp.runs.names import figure_text, policy_name, worst_share

RULE_LINE = "#8a94a3"  # of a simple rule: a line needs more contrast than a bar
KINDS = {"planned": "Planned, as the gate could promise", "realised": "Realised on the days"}


def policy_bars(
    policies: Mapping[str, Mapping[str, float]], n_days: int, synthetic: bool
) -> Figure:
    """Net a day of every policy in each way of settling, under the ceiling where it is one."""
    figure, axes = new_figure(1, 3, 3.8, sharey=True, sharex=True)
    names = list(policies)
    labels = [policy_name(name) for name in names]
    for axis, key, title in (
        (axes[0, 0], "net_rs_dam_only", "As committed"),
        (axes[0, 1], "net_rs_causal", "Causal recourse"),
        (axes[0, 2], "net_rs", "Hindsight recourse"),
    ):
        values = np.array([policies[name][key] for name in names], dtype=float) / n_days / LAKH
        colours = [_policy_colour(name) for name in names]
        axis.barh(labels, values, color=colours, label="_net")
        for place, value in enumerate(values):
            if not np.isfinite(value):  # the ceiling has no causal figure
                continue
            axis.text(max(value, 0), place, f" {figure_text(value)}", va="center", size=9)
        axis.axvline(0, color="black", lw=0.8)
        axis.set_title(title)
        axis.set_xlabel("lakh Rs a day")
        axis.grid(axis="y", visible=False)
    low, high = axes[0, 0].get_xlim()  # that of all panels
    axes[0, 0].set_xlim(low, 1.25 * high)
    axes[0, 0].invert_yaxis()
    says = (
        "Net of every policy a day, settled in three ways: as committed, no real-time trade; "
        "causal, as a desk could trade; hindsight, as nobody can. The ceiling knows both markets "
        "in advance."
    )
    return finished(figure, synthetic, says)


def _policy_colour(name: str, rule: str = "#aeb6bf") -> str:
    for fan in ("original", "recalibrated"):
        if name.endswith(fan):
            return COLOURS[fan]
    return "#17202a" if name == "ceiling" else rule


def gain_over_nothing(daily: pd.DataFrame, names: Sequence[str], synthetic: bool) -> Figure:
    """Cumulated gain over committing nothing, under the same recourse, each named at its end."""
    figure, axes = new_figure(1, 1, 4.2)
    axis = axes[0, 0]
    net = daily.pivot(index="date", columns="policy", values="net_rs")
    gain = net[list(names)].sub(net["nothing_committed"], axis=0).cumsum() / LAKH
    days = pd.to_datetime(gain.index)
    ends = {}
    for name in names:
        style = "-" if name.startswith("two_stage") else "--"
        colour = _policy_colour(name, RULE_LINE)
        axis.plot(days, gain[name], style, color=colour, lw=1.8, label=policy_name(name))
        ends[policy_name(name)] = float(gain[name].iloc[-1]), _policy_colour(name, "black")
    axis.axhline(0, color="black", lw=0.8)
    axis.set_xlim(days[0], days[-1])
    axis.set_title("Gain over committing nothing, added up")
    axis.set_ylabel("lakh Rs")
    axis.xaxis.set_major_locator(AutoDateLocator(maxticks=6))
    axis.xaxis.set_major_formatter(ConciseDateFormatter(axis.xaxis.get_major_locator()))
    end_labels(axis, ends)
    says = (
        f"What each policy earned beyond committing nothing, {daily['settlement'].iloc[0]}, day "
        "upon day: two-stage programmes as whole lines, simpler rules dashed."
    )
    return finished(figure, synthetic, says)


def frontier(points: pd.DataFrame, alpha: float, synthetic: bool) -> Figure:
    """Planned and realised risk and return for every lambda, a line a fan; causal recourse.

    Whiskers are the 90 % bands of the means; hollow points are dominated. ``alpha`` is the tail
    share of CVaR.
    """
    figure, axes = new_figure(1, 2, 4.4, sharex=True, sharey=True)
    for axis, (kind, title) in zip(axes[0], KINDS.items(), strict=True):
        for fan, rows in points.groupby("fan", sort=False):
            _frontier_line(axis, rows, kind, fan)
        axis.set_title(title)
        axis.set_xlabel(_of_the_tail(alpha))
        axis.margins(0.14)
    axes[0, 0].set_ylabel("mean of a day, lakh Rs")
    named = axes[0, 0].get_legend_handles_labels()
    figure.legend(*named, ncols=2, loc="outside upper center")
    says = (
        f"Mean profit of a day against its CVaR, the mean of {worst_share(alpha)}, with causal "
        "recourse; a point a risk aversion λ and a line a fan. Up is more on average, right is a "
        "better bad day. Whiskers are 90 % bands of the mean; hollow points are beaten in both by "
        "another."
    )
    return finished(figure, synthetic, says, points)


def _of_the_tail(alpha: float) -> str:
    """Name of an axis of CVaR."""
    return f"CVaR ({worst_share(alpha).removeprefix('the ')}), lakh Rs"


def _frontier_line(axis: Axes, rows: pd.DataFrame, kind: str, fan: str) -> None:
    x, y, low, high = (
        rows[f"{kind}_{name}_rs"].to_numpy() / LAKH
        for name in ("cvar", "mean", "mean_low", "mean_high")
    )
    axis.vlines(x, low, high, color=COLOURS[fan], lw=0.8, alpha=0.6)
    axis.plot(x, y, "-", color=COLOURS[fan], lw=1.5, label=f"{fan} fan")
    hollow = rows[f"{kind}_dominated"].to_numpy()
    for chosen, face in ((hollow, "white"), (~hollow, COLOURS[fan])):
        marks = {"mfc": face, "mec": COLOURS[fan], "ms": 6}
        axis.plot(x[chosen], y[chosen], "o", **marks)
    for place in (0, len(rows) - 1):
        right, above = _free_side(x, y, place, fan)
        axis.annotate(
            f"λ {rows['lambda'].iloc[place]:g}",
            (x[place], y[place]),
            textcoords="offset points",
            xytext=(6 if right else -6, 10 if above else -14),
            ha="left" if right else "right",
            color=COLOURS[fan],
            size=9,
        )


def _free_side(x: np.ndarray, y: np.ndarray, place: int, fan: str) -> tuple[bool, bool]:
    """Whether an end of a line is named to its right and above it, away from its neighbours.

    The ends of two fans lie close to each other, so one is named above, the other below.
    """
    if place == 0:
        near = x[1:4]
        return len(near) == 0 or bool(x[0] >= near.mean()), fan == "recalibrated"
    right = bool(x[-1] >= x[-2])
    return right, fan == "recalibrated" and not right


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
        "Place of a day within its plan: were the promise right, the curves would follow the "
        "diagonal; above it days fall short of their plan. A point a day: realised profit against "
        "the planned mean; above the diagonal a day earned more than planned."
    )
    return finished(figure, synthetic, says, daily)


def interactive_frontier(points: pd.DataFrame, alpha: float) -> go.Figure:
    """The frontier with every point's figures under the pointer, all with causal recourse."""
    figure = go.Figure()
    for fan, rows in points.groupby("fan", sort=False):
        for kind, dash in (("planned", "solid"), ("realised", "dot")):
            x, y = (rows[f"{kind}_{name}_rs"].to_numpy() / LAKH for name in ("cvar", "mean"))
            sides = [_free_side(x, y, place, fan) for place in (0, len(x) - 1)]
            first, last = (
                f"{'top' if above else 'bottom'} {'right' if right else 'left'}"
                for right, above in sides
            )
            figure.add_scatter(
                x=x.tolist(),
                y=y.tolist(),
                mode="lines+markers+text",
                name=f"{fan} fan, {kind}",
                text=_at_the_ends([f"λ {value:g}" for value in rows["lambda"]]),
                textposition=[first, *[last] * (len(rows) - 1)],
                textfont={"color": COLOURS[fan]},
                cliponaxis=False,
                line={"color": COLOURS[fan], "dash": dash},
                marker={"size": 9, "symbol": "circle" if kind == "planned" else "diamond"},
                customdata=np.column_stack(
                    [rows["lambda"], rows["realised_worst_day_rs"] / LAKH]
                ).tolist(),
                meta=["lambda", "realised worst day, lakh Rs"],
                hovertemplate=(
                    "λ %{customdata[0]:g}<br>CVaR %{x:,.2f} lakh Rs<br>"
                    "mean %{y:,.2f} lakh Rs<br>worst day %{customdata[1]:,.2f} lakh Rs"
                ),
            )
    says = (
        f"Mean profit of a day against its CVaR, the mean of {worst_share(alpha)}; a point a risk "
        "aversion λ: whole lines are what was planned, dotted ones what the days gave. Point at "
        "one for its figures."
    )
    figure.update_layout(title="Risk and return of a day", meta={"says": says})
    tails = points[["planned_cvar_rs", "realised_cvar_rs"]] / LAKH
    low, high = tails.min(axis=None), tails.max(axis=None)
    room = 0.1 * (high - low)  # for the names of ends
    figure.update_xaxes(title=_of_the_tail(alpha), range=[low - room, high + room])
    figure.update_yaxes(title="mean of a day, lakh Rs")
    return figure


def _at_the_ends(words: list[str]) -> list[str]:
    """The first and the last of a line's words."""
    return [word if place in (0, len(words) - 1) else "" for place, word in enumerate(words)]
