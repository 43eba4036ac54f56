"""Pictures of quantile forecasts and their calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bessvpp.params.forecast import level_name
from bessvpp.plots.style import (
    COLOURS,
    NAMES,
    RUPEES,
    clock_axis,
    finished,
    hours_of_blocks,
    new_figure,
)

# ---------------------------------------------------------------------- forecasts


def fan_of_day(
    quantiles: Mapping[str, np.ndarray],
    levels: Sequence[float],
    outcome: Mapping[str, np.ndarray] | None,
    title: str,
    synthetic: bool,
) -> Figure:
    """Quantile fan of one day for both markets, with the realised path where there is one."""
    figure, axes = new_figure(1, 2, 3.6, sharey=True)
    for axis, name in zip(axes[0], ("dam", "rtm"), strict=True):
        shade_fan(axis, quantiles[name], levels, name)
        if outcome is not None:
            hours = hours_of_blocks(len(outcome[name]))
            axis.plot(hours, outcome[name], color=COLOURS["realised"], lw=1.3, label="realised")
        axis.set_title(f"{NAMES[name]}, {title}")
    axes[0, 0].set_ylim(0, None)
    axes[0, 0].legend(loc="upper left")
    says = (
        "Forecast of one day, block by block: the median as a thick line, pairs of levels as "
        "bands" + (", what happened as a thin line." if outcome is not None else ".")
    )
    return finished(figure, synthetic, says)


def shade_fan(axis: Axes, values: np.ndarray, levels: Sequence[float], market: str) -> None:
    """Bands that pair the levels from the outside in, and the median."""
    hours, colour = hours_of_blocks(len(values)), COLOURS[market]
    for k in range(len(levels) // 2):
        label = f"_{level_name(levels[k])} to {level_name(levels[-1 - k])}"
        look = {"color": colour, "alpha": 0.14, "lw": 0, "label": label}
        axis.fill_between(hours, values[:, k], values[:, -1 - k], **look)
    axis.plot(hours, values[:, list(levels).index(0.5)], color=colour, lw=2, label="median")
    axis.yaxis.set_major_formatter(RUPEES)
    axis.set_ylabel("Rs/MWh")
    clock_axis(axis)


def feature_importance(shares: Mapping[str, pd.Series], synthetic: bool) -> Figure:
    """Share of the median model's gain by feature, the ten greatest of each market."""
    figure, axes = new_figure(1, 2, 3.8)
    for axis, (name, share) in zip(axes[0], shares.items(), strict=True):
        top = share.sort_values(kind="stable").tail(10)
        axis.barh(top.index, top, color=COLOURS[name], label="_gain")
        axis.set_title(NAMES[name])
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.set_xlabel("share of the gain")
    says = (
        "Share of the median model's gain by feature, the ten greatest: longest is "
        + ", ".join(f"{s.idxmax()} for the {k.upper()}" for k, s in shares.items())
        + "."
    )
    return finished(figure, synthetic, says)


def loss_by_hour(
    losses: Mapping[str, Mapping[str, np.ndarray]], best: str, synthetic: bool
) -> Figure:
    """Mean pinball loss by hour of the day, a line a forecast.

    Parameters
    ----------
    losses : market to forecast to (24,) losses
    best : the forecast that is drawn in the market's colour
    """
    figure, axes = new_figure(1, 2, 3.4, sharey=True)
    styles = (":", "--", "-.", (0, (1, 3)))
    for axis, (market, by_name) in zip(axes[0], losses.items(), strict=True):
        others = iter(styles)
        for name, loss in by_name.items():
            look = (
                {"color": COLOURS[market], "lw": 2.2}
                if name == best
                else {"color": COLOURS["original"], "lw": 1.2, "ls": next(others)}
            )
            axis.plot(np.arange(24) + 0.5, loss, label=name, **look)
        axis.set_title(NAMES[market])
        clock_axis(axis)
    axes[0, 0].set_ylim(bottom=0)
    axes[0, 0].set_ylabel("pinball loss [Rs/MWh]")
    axes[0, 0].legend(loc="upper center", ncols=2, fontsize=8)
    says = (
        f"Mean pinball loss by hour; lower is better. The {best} in colour, simpler forecasts in "
        "grey."
    )
    return finished(figure, synthetic, says)


def reliability(
    coverage: Mapping[str, Mapping], bands: Mapping[str, Mapping[str, np.ndarray]], synthetic: bool
) -> Figure:
    """Observed minus promised coverage by level, with bootstrap bands.

    The point is the miss of the exact promise, the thin line its 90 % band. The pale bar spans
    P(Y < q) to P(Y <= q), less the level: what an atom leaves open.

    Parameters
    ----------
    coverage : market to fan to the entries of ``calibration.coverage.coverage_table``
    bands : market to fan to the (2, L) bands of ``calibration.coverage.coverage_bands``
    """
    figure, axes = new_figure(1, 2, 3.8, sharey=True)
    for axis, (market, fans) in zip(axes[0], coverage.items(), strict=True):
        axis.axhline(0, color="black", lw=0.8, ls="--")
        for shift, (fan, by_level) in zip((-0.17, 0.17), fans.items(), strict=True):
            nominal, promised, below, at_or_below = (
                np.array([level[key] for level in by_level.values()])
                for key in ("nominal", "promised", "below", "at_or_below")
            )
            x, colour = np.arange(len(nominal)) + shift, COLOURS[fan]
            span = 100 * (below - nominal), 100 * (at_or_below - nominal)
            look = {"color": colour, "lw": 6, "alpha": 0.2}
            axis.vlines(x, *span, label=f"_{fan}, below to at or below, less the level", **look)
            chance = 100 * bands[market][fan]
            axis.vlines(x, *chance, color=colour, lw=1, label=f"_{fan}, 90 % band of the miss")
            axis.plot(x, 100 * (below - promised), "o", color=colour, ms=4, label=fan)
        axis.set_xticks(range(len(by_level)), list(by_level), rotation=60)
        axis.set_title(NAMES[market])
    axes[0, 0].set_ylabel("observed minus promised [points]")
    axes[0, 0].legend(loc="lower left")
    says = (
        "Observed minus promised coverage at each level, before and after recalibration. A point "
        "on the dashed line is a promise kept; thin lines are what chance could do, pale bars "
        "what a price on the cap leaves open."
    )
    return finished(figure, synthetic, says)


def coverage_by_hour_and_month(
    errors: Mapping[str, Mapping[str, np.ndarray]], months: Sequence[str], synthetic: bool
) -> Figure:
    """Heat map of the miss of the promise by month and hour, before and after, for both markets.

    Parameters
    ----------
    errors : market to fan to (M, 24) misses, as shares; NaN is drawn grey
    """
    height = 2.2 + 0.5 * len(months)
    figure, axes = new_figure(2, 2, height, sharex=True, sharey=True)
    colours = plt.get_cmap("Reds").with_extremes(bad="#d5d8dc")
    for row, (market, fans) in zip(axes, errors.items(), strict=True):
        for axis, (fan, error) in zip(row, fans.items(), strict=True):
            image = axis.imshow(error, aspect="auto", cmap=colours, vmin=0, vmax=0.2)
            image.set_label("_miss of the promise, a share")
            axis.set_yticks(range(len(months)), months)
            axis.set_title(f"{market.upper()}, {fan}")
            axis.grid(False)
    for axis in axes[-1]:
        axis.set_xticks(range(0, 24, 3))
        axis.set_xlabel("hour of the day (IST)")
    bar = figure.colorbar(image, ax=axes, shrink=0.8, extend="max")
    bar.set_label("miss of the promise")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    says = (
        "Miss of the promise by month and hour, before and after recalibration, both markets: "
        "pale is a promise kept, strong colour a promise missed."
    )
    return finished(figure, synthetic, says)


def pit_histograms(
    densities: Mapping[str, Mapping[str, np.ndarray]], levels: Sequence[float], synthetic: bool
) -> Figure:
    """Histogram of the probability integral transform between the levels; flat is ideal."""
    figure, axes = new_figure(1, 2, 3.2, sharey=True)
    edges = np.array([0.0, *levels, 1.0])
    for axis, (market, fans) in zip(axes[0], densities.items(), strict=True):
        axis.axhline(1, color="black", lw=0.8, ls="--")
        for fan, density in fans.items():
            axis.stairs(density, edges, color=COLOURS[fan], lw=2, label=fan)
        axis.set_title(NAMES[market])
        axis.set_xlabel("forecast probability of what happened")
    highest = max(density.max() for fans in densities.values() for density in fans.values())
    axes[0, 0].set_ylim(0, min(1.1 * highest, 4))
    axes[0, 0].set_ylabel("density")
    axes[0, 0].legend(loc="upper center")
    says = (
        "Where in its forecast each price fell. Flat at one is right; high ends mean a fan that "
        "is too narrow."
    )
    return finished(figure, synthetic, says)


def rolling_coverage(
    shares: Mapping[str, pd.DataFrame], nominal: float, n_days: int, synthetic: bool
) -> Figure:
    """Share of outcomes inside an interval over the last days, a line a fan.

    Parameters
    ----------
    shares : market to a frame by date, a column a fan
    """
    figure, axes = new_figure(1, 2, 3.2, sharey=True)
    looks = [("#7f8c8d", "-"), ("#b9770e", "--"), ("#117a65", "-")]
    for axis, (market, table) in zip(axes[0], shares.items(), strict=True):
        axis.axhline(nominal, color="black", lw=0.8, ls="--")
        for (fan, share), (colour, style) in zip(table.items(), looks, strict=True):
            axis.plot(share.index, share, color=colour, ls=style, lw=1.8, label=fan)
        axis.set_title(f"{NAMES[market]}, {n_days} days")
        axis.xaxis.set_major_formatter(ConciseDateFormatter(axis.xaxis.get_major_locator()))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0, 0].set_ylabel(f"inside the {nominal:.0%} interval")
    axes[0, 0].legend(loc="best", fontsize=8)
    says = (
        f"Share of prices inside the {nominal:.0%} interval over the last {n_days} days, a line a "
        "fan; the dashed line is the promise."
    )
    return finished(figure, synthetic, says)


def sharpness_against_coverage(
    tables: Mapping[str, pd.DataFrame],
    chosen: Mapping[str, str],
    labelled: Sequence[str],
    synthetic: bool,
) -> Figure:
    """Miss of the promise over pinball loss, a point a method; the lower left corner is best.

    The chosen method is drawn in colour and named, and so are those in ``labelled``.
    """
    figure, axes = new_figure(1, 2, 3.6)
    for axis, (market, table) in zip(axes[0], tables.items(), strict=True):
        for name, row in table.iterrows():
            mine = name == chosen[market]
            colour = COLOURS["recalibrated"] if mine else COLOURS["original"]
            place = row["pinball"], 100 * row["promise"]
            axis.plot(*place, "o", color=colour, ms=9 if mine else 6, label=f"_{name}")
            if mine or name in labelled:
                axis.annotate(
                    name.replace("_", " "),
                    place,
                    (7, 4),
                    textcoords="offset points",
                    color=colour,
                    weight="bold" if mine else "normal",
                )
        axis.margins(x=0.3, y=0.15)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.set_title(NAMES[market])
        axis.set_xlabel("pinball loss [Rs/MWh]")
    axes[0, 0].set_ylabel("miss of the promise within hours [points]")
    says = (
        "A point a method: to the left is sharper, lower keeps its promises better. In colour the "
        "one that was chosen beforehand."
    )
    return finished(figure, synthetic, says)


def cap_reliability(points: Mapping[str, Mapping[str, pd.DataFrame]], synthetic: bool) -> Figure:
    """How often a price sat at the cap against the chance that was forecast.

    Parameters
    ----------
    points : market to fan to a frame with ``forecast``, ``observed`` and ``n``, a row a bin
    """
    figure, axes = new_figure(1, 2, 3.6, sharey=True)
    for axis, (market, fans) in zip(axes[0], points.items(), strict=True):
        axis.plot([0, 1], [0, 1], color="black", lw=0.8, ls="--", label="_right")
        for fan, table in fans.items():
            size = 12 + 120 * np.sqrt(table["n"] / table["n"].sum())
            look = {"color": COLOURS[fan], "lw": 1, "label": f"_{fan}, line"}
            axis.plot(table["forecast"], table["observed"], **look)
            axis.scatter(table["forecast"], table["observed"], size, COLOURS[fan], label=fan)
        axis.set_title(NAMES[market])
        axis.set_xlabel("forecast chance of the cap")
    axes[0, 0].set_ylabel("share of blocks at the cap")
    axes[0, 0].legend(loc="upper left")
    says = (
        "How often prices stood at the cap against the chance that was forecast: on the dashed "
        "line the two agree; larger points are more blocks."
    )
    return finished(figure, synthetic, says)


# ---------------------------------------------------------------------- within the day


def fan_at_gate(
    values: np.ndarray,
    levels: Sequence[float],
    prices: Mapping[str, np.ndarray],
    n_known: int,
    title: str,
    synthetic: bool,
) -> Figure:
    """The RTM fan of the rest of a day at one gate, between what is known and what came.

    Parameters
    ----------
    values : (T, L), NaN before the gate's first block
    prices : of both markets, each (T,)
    n_known : blocks of the day whose RTM price is known at the gate; below 0 for a gate before
        midnight, which knows none
    """
    n_known = max(n_known, 0)
    figure, axes = new_figure(1, 1, 4.2)
    axis = axes[0, 0]
    edges = np.arange(len(values) + 1) * 24 / len(values)
    first = int(np.isfinite(values[:, 0]).argmax())
    fan = np.vstack([values[first:], values[-1]])  # the last block has an end, too
    for k in range(len(levels) // 2):
        axis.fill_between(
            edges[first:],
            fan[:, k],
            fan[:, -1 - k],
            step="post",
            color=COLOURS["rtm"],
            alpha=0.14,
            lw=0,
            label="_" * bool(k) + f"RTM fan, {levels[k]:.0%} to {levels[-1 - k]:.0%}",
        )
    median, dam, rtm = values[first:, list(levels).index(0.5)], prices["dam"], prices["rtm"]
    for name, price, start, look in (
        ("its median", median, first, {"color": COLOURS["rtm"], "lw": 2.4}),
        ("DAM, published", dam, 0, {"color": COLOURS["dam"]}),
        ("RTM, known at the gate", rtm[:n_known], 0, {"color": COLOURS["realised"]}),
        ("RTM, as it came", rtm[n_known:], n_known, {"color": COLOURS["realised"], "ls": ":"}),
    ):
        span = edges[start : start + len(price) + 1]
        axis.stairs(price, span, baseline=None, label=name, **{"lw": 1.6} | look)
    axis.axvspan(
        edges[n_known], edges[first], color="#d5d8dc", lw=0, zorder=0, label="traded, not known"
    )
    axis.set_ylim(0, 1.03 * max(np.nanmax(part) for part in (fan, dam, rtm)))
    axis.set_ylabel("Rs/MWh")
    axis.yaxis.set_major_formatter(RUPEES)
    axis.set_title(title)
    clock_axis(axis)
    figure.legend(ncols=3, loc="outside upper center")
    says = (
        "The real-time fan as one gate saw it: solid prices were known there, the dotted ones "
        "came later, the grey strip was traded and not yet priced."
    )
    return finished(figure, synthetic, says)
