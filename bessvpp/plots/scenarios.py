"""Pictures of joint price paths."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bessvpp.plots.style import (
    COLOURS,
    NAMES,
    RUPEES,
    clock_axis,
    finished,
    hours_of_blocks,
    new_figure,
)
from bessvpp.prices import PriceScenarios

# ---------------------------------------------------------------------- scenarios


def scenario_paths(
    fans: Mapping[str, PriceScenarios], realised: PriceScenarios | None, synthetic: bool
) -> Figure:
    """Paths of one day, a row a fan, with the realised path in black."""
    figure, axes = new_figure(len(fans), 2, 3.0 * len(fans), sharex=True, sharey=True)
    for row, (fan, scenarios) in zip(axes, fans.items(), strict=True):
        for axis, market in zip(row, ("dam", "rtm"), strict=True):
            paths = getattr(scenarios, market)
            hours = hours_of_blocks(paths.shape[1])
            names = [f"_path {k}" for k in range(1, len(paths) + 1)]
            axis.plot(hours, paths.T, color=COLOURS[market], lw=0.5, alpha=0.35, label=names)
            if realised is not None:
                look = {"color": "black", "lw": 1.6, "label": "_realised"}
                axis.plot(hours, getattr(realised, market)[0], **look)
            axis.set_title(f"{NAMES[market]}, {fan}")
            axis.yaxis.set_major_formatter(RUPEES)
            clock_axis(axis)
        row[0].set_ylabel("Rs/MWh")
    says = "Whole days that may come, a thin line each, a row a fan" + (
        ", and the one that came as a thick line." if realised is not None else "."
    )
    return finished(figure, synthetic, says)


def spread_fan(
    fans: Mapping[str, PriceScenarios], realised: PriceScenarios, synthetic: bool
) -> Figure:
    """RTM minus DAM of one day: bands of half and nine tenths of the paths, outcome in black."""
    figure, axes = new_figure(1, len(fans), 3.2, sharey=True)
    for axis, (fan, day) in zip(axes[0], fans.items(), strict=True):
        low, quarter, middle, three, high = np.quantile(
            day.rtm - day.dam, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0
        )
        hours, look = hours_of_blocks(len(low)), {"color": COLOURS[fan]}
        band = {"step": "post", "lw": 0, **look}
        axis.fill_between(hours, low, high, alpha=0.2, label="_5 to 95 % of the paths", **band)
        axis.fill_between(hours, quarter, three, alpha=0.45, label="_25 to 75 %", **band)
        axis.step(hours, middle, where="post", lw=1.2, label="_median of the paths", **look)
        came = (realised.rtm - realised.dam)[0]
        axis.step(hours, came, where="post", color="black", lw=1.4, label="_realised")
        axis.axhline(0, color="black", lw=0.6)
        axis.set_title(f"RTM minus DAM, {fan}")
        axis.yaxis.set_major_formatter(RUPEES)
        clock_axis(axis)
    axes[0, 0].set_ylabel("Rs/MWh")
    says = (
        "Real time minus day-ahead over one day: half of the paths in the dark band, nine tenths "
        "in the pale one, what happened as a plain line."
    )
    return finished(figure, synthetic, says)


def rank_histograms(ranks: Mapping[str, np.ndarray], synthetic: bool) -> Figure:
    """Ranks of outcomes among their scenarios, a panel each; the line is what is right."""
    figure, axes = new_figure(1, len(ranks), 2.6, sharey=True)
    for axis, (name, values) in zip(axes[0], ranks.items(), strict=True):
        look = {"color": COLOURS["recalibrated"], "label": "_density"}
        axis.hist(values, bins=10, range=(0, 1), density=True, **look)
        axis.axhline(1, color="black", lw=1)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("rank, 0 lowest")
    axes[0, 0].set_ylabel("times as often as right")
    says = (
        "Where outcomes fell among their own scenarios. Level with the line is right; a U is a "
        "fan too narrow, a hump one too wide."
    )
    return finished(figure, synthetic, says)


def surprises(table: pd.DataFrame, synthetic: bool) -> Figure:
    """Correlation, slope and spread of surprises, of the days and of the paths of each fan.

    Parameters
    ----------
    table : as of ``scenarios.surprises.surprise_table``
    """
    figure, axes = new_figure(1, 3, 2.6)
    titles = {
        "correlation": "correlation of surprises",
        "slope": "slope of DAM - RTM on the DAM",
        "spread_rms": "rms of the spread [Rs/MWh]",
    }
    fans = list(table.index.unique(level=0))
    for axis, (figure_of, title) in zip(axes[0], titles.items(), strict=True):
        for place, fan in enumerate(fans):
            days, paths = (table.loc[(fan, by), figure_of] for by in ("days", "fan"))
            line = {"color": COLOURS[fan], "lw": 1.2, "label": "_days to fan"}
            axis.plot([days, paths], [place] * 2, **line)
            label = "_" * bool(place) + "days"
            axis.plot(days, place, "o", color=COLOURS["realised"], label=label)
            axis.plot(paths, place, "o", color=COLOURS[fan], label=f"{fan} fan")
        axis.set_yticks(range(len(fans)), fans if axis is axes[0, 0] else [""] * len(fans))
        axis.set_ylim(-0.6, len(fans) - 0.4)
        axis.margins(x=0.2)
        axis.set_title(title, fontsize=9)
    axes[0, 2].xaxis.set_major_formatter(RUPEES)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, ncols=3, loc="outside upper center")
    says = (
        "How surprises of the two markets hang together: of the days as dark dots, of the paths "
        "of each fan as coloured ones. The shorter the line between, the better the fan."
    )
    return finished(figure, synthetic, says)


def correlation_matrix(correlation: np.ndarray, synthetic: bool) -> Figure:
    """Correlation of the normal scores, DAM blocks first."""
    figure, axes = new_figure(1, 1, 4.6)
    axis, n = axes[0, 0], len(correlation)
    image = axis.imshow(correlation, cmap="RdBu_r", vmin=-1, vmax=1)
    axis.set_xticks([n / 4, 3 * n / 4], ["DAM, 00 to 24 h", "RTM, 00 to 24 h"])
    axis.set_yticks([n / 4, 3 * n / 4], ["DAM", "RTM"], rotation=90, va="center")
    axis.axhline(n / 2 - 0.5, color="black", lw=0.8)
    axis.axvline(n / 2 - 0.5, color="black", lw=0.8)
    axis.grid(False)
    figure.colorbar(image, ax=axis, shrink=0.8, label="correlation of normal scores")
    says = (
        "How the surprises of any two blocks move together, within each market and, off the "
        "diagonal, between the two."
    )
    names = [f"{market}_block_{block + 1}" for market in ("dam", "rtm") for block in range(n // 2)]
    data = pd.DataFrame(correlation, columns=names)
    data.insert(0, "block", names)
    return finished(figure, synthetic, says, data)
