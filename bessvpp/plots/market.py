"""Pictures of prices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from matplotlib.colors import ListedColormap
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from bessvpp.market.history import Market
from bessvpp.plots.style import (
    COLOURS,
    NAMES,
    ROOM,
    RUPEES,
    clock_axis,
    finished,
    hours_of_blocks,
    new_figure,
)

HEALTH = {
    "whole day": "#a9cce3",
    "blocks without trade": "#f5b041",
    "some blocks missing": "#cb4335",
    "no price": "#7f8c8d",
}


# ---------------------------------------------------------------------- the market


def price_history(market: Market) -> Figure:
    """Daily mean and range of both markets."""
    figure, axes = new_figure(2, 1, 5.2, sharex=True, sharey=True)
    for axis, name, prices in zip(
        axes[:, 0], ("dam", "rtm"), (market.dam_mcp, market.rtm_mcp), strict=True
    ):
        days = market.dates.astype("datetime64[ns]")
        with np.errstate(invalid="ignore"):
            whole = np.isfinite(prices).any(axis=1)
        low, mean, high = (
            statistic(prices[whole], axis=1) for statistic in (np.nanmin, np.nanmean, np.nanmax)
        )
        axis.fill_between(
            days[whole], low, high, color=COLOURS[name], alpha=0.18, lw=0, label="_range"
        )
        axis.plot(days[whole], mean, color=COLOURS[name], lw=1.4, label="_daily mean")
        axis.set_title(f"{NAMES[name]}: daily mean, and range from lowest to highest block")
        axis.xaxis.set_major_formatter(ConciseDateFormatter(axis.xaxis.get_major_locator()))
        axis.set_ylim(0, None)
        axis.set_ylabel("Rs/MWh")
        axis.yaxis.set_major_formatter(RUPEES)
    says = (
        "Mean of each day as a line, from its cheapest to its dearest block as a band. "
        f"Daily means run from {_spread(market.dam_mcp)} Rs/MWh in the day-ahead market, from "
        f"{_spread(market.rtm_mcp)} in real time."
    )
    return finished(figure, market.is_synthetic, says)


def _spread(prices: np.ndarray) -> str:
    """The lowest and the highest daily mean, in words."""
    whole = prices[np.isfinite(prices).any(axis=1)]
    means = np.nanmean(whole, axis=1)
    return f"{means.min():,.0f} to {means.max():,.0f}"


def interactive_prices(market: Market, n_days: int = 14) -> go.Figure:
    """Prices of the last days of both markets, to zoom into."""
    recent = market.to_frame().tail(n_days * market.n_blocks)
    figure = go.Figure()
    for name in ("dam", "rtm"):
        figure.add_scatter(
            x=recent["delivery_start"].dt.strftime("%Y-%m-%d %H:%M").tolist(),
            y=recent[f"{name}_mcp"].round(2).tolist(),
            name=NAMES[name],
            line={"color": COLOURS[name], "width": 1.5, "shape": "hv"},
            hovertemplate="%{x}: %{y:,.0f} Rs/MWh",
        )
    says = f"Prices of the last {n_days} days in both markets, to zoom into."
    figure.update_layout(title=f"Prices of the last {n_days} days", meta={"says": says})
    figure.update_yaxes(title="Rs/MWh", rangemode="tozero")
    return figure


def daily_shape(market: Market) -> Figure:
    """Mean price by time of day with its 10 to 90 % range, and the spread between markets."""
    figure, axes = new_figure(1, 2, 3.6)
    hours = hours_of_blocks(market.n_blocks)
    for name, prices in (("dam", market.dam_mcp), ("rtm", market.rtm_mcp)):
        low, high = np.nanquantile(prices, [0.1, 0.9], axis=0)
        label = f"_{NAMES[name]}, 10 to 90 %"
        axes[0, 0].fill_between(
            hours, low, high, color=COLOURS[name], alpha=0.12, lw=0, label=label
        )
        mean = np.nanmean(prices, axis=0)
        axes[0, 0].plot(hours, mean, color=COLOURS[name], lw=2, label=NAMES[name])
    axes[0, 0].set_title("Mean price, and the 10 to 90 % range")
    axes[0, 0].set_ylim(0, None)
    axes[0, 0].legend(loc="upper left")
    spread = market.rtm_mcp - market.dam_mcp
    low, high = np.nanquantile(spread, [0.1, 0.9], axis=0)
    look = {"color": COLOURS["rtm"]}
    axes[0, 1].fill_between(hours, low, high, alpha=0.15, lw=0, label="_10 to 90 %", **look)
    axes[0, 1].plot(hours, np.nanmean(spread, axis=0), lw=2, label="_mean", **look)
    axes[0, 1].axhline(0, color="black", lw=0.8)
    axes[0, 1].set_title("Spread RTM minus DAM")
    for axis in axes[0]:
        clock_axis(axis)
        axis.set_ylabel("Rs/MWh")
        axis.yaxis.set_major_formatter(RUPEES)
    says = (
        "Left: the mean of each block of the day, its 10 to 90 % range shaded. Right: by how much "
        "real time is dearer (above zero) or cheaper, its range shaded, too."
    )
    return finished(figure, market.is_synthetic, says)


def data_health(market: Market) -> Figure:
    """Calendar of both markets: which days are whole, and which miss blocks or trade."""
    first = market.dates.astype("M8[M]")
    months = np.arange(first[0], first[-1] + 1)
    row, column = (first - first[0]).astype(int), (market.dates - first.astype("M8[D]")).astype(int)
    figure, axes = new_figure(1, 2, 1.6 + 0.2 * len(months), sharey=True)
    colours = ListedColormap(["white", *HEALTH.values()])
    for axis, name, prices in zip(
        axes[0], ("dam", "rtm"), (market.dam_mcp, market.rtm_mcp), strict=True
    ):
        idle = market.rtm_no_trade if name == "rtm" else np.zeros(prices.shape, bool)
        gaps = (np.isnan(prices) & ~idle).sum(axis=1)
        state = np.where(idle.any(axis=1), 2, 1)
        state = np.where(gaps > 0, np.where(gaps < market.n_blocks, 3, 4), state)
        calendar = np.zeros((len(months), 31))
        calendar[row, column] = state
        axis.pcolormesh(
            np.arange(32) + 0.5,
            np.arange(len(months) + 1) - 0.5,
            calendar,
            cmap=colours,
            vmin=-0.5,
            vmax=len(HEALTH) + 0.5,
            edgecolors="white",
            lw=0.6,
            label="_" + ", ".join(f"{k} {state}" for k, state in enumerate(HEALTH, 1)),
        )
        axis.grid(False)
        axis.set_title(NAMES[name])
        axis.set_xticks([1, 8, 15, 22, 29])
        axis.set_xlabel("day of the month")
        step = -(-len(months) // 18)
        axis.set_yticks(range(0, len(months), step), months[::step].astype(str))
    axes[0, 0].invert_yaxis()
    figure.legend(
        handles=[Patch(color=colour, label=label) for label, colour in HEALTH.items()],
        loc="outside upper center",
        ncols=len(HEALTH),
    )
    says = (
        "A square a day, a row a month. Blue days are whole; orange ones had blocks without "
        "trade, red ones miss some prices, grey ones all."
    )
    return finished(figure, market.is_synthetic, says)


def week_of_prices(market: Market) -> Figure:
    """Both prices over the last seven days that have both."""
    there = np.isfinite(market.dam_mcp).any(axis=1) & np.isfinite(market.rtm_mcp).any(axis=1)
    last = int(np.flatnonzero(there)[-1]) + 1
    week = market.days(max(last - 7, 0), last)
    figure, axes = new_figure(1, 1, 3.2)
    axis = axes[0, 0]
    days = np.arange(week.dam_mcp.size + 1) / week.n_blocks
    for name, prices in (("dam", week.dam_mcp), ("rtm", week.rtm_mcp)):
        axis.stairs(
            prices.ravel(), days, baseline=None, color=COLOURS[name], lw=1.4, label=NAMES[name]
        )
    for day, date in enumerate(week.dates.tolist()):
        if date.weekday() == 6:
            axis.axvspan(day, day + 1, color="#f2f3f4", lw=0, zorder=0)
    names = [f"{date:%a}\n{date:%d/%m}" for date in week.dates.tolist()]
    axis.set_xticks(np.arange(len(names)) + 0.5, names)
    axis.tick_params(axis="x", length=0)
    axis.set_xlim(0, len(names))
    axis.set_ylim(0, ROOM * np.nanmax([week.dam_mcp, week.rtm_mcp]))
    axis.set_ylabel("Rs/MWh")
    axis.yaxis.set_major_formatter(RUPEES)
    axis.set_title(f"A week of prices, from {week.dates[0]} (Sunday shaded)")
    axis.legend(loc="upper left", ncols=2, fontsize=9)
    by_hour = np.nanmean(week.dam_mcp.reshape(len(week.dates), 24, -1), axis=(0, 2))
    says = (
        "The last seven days of both markets, block by block. On average the day-ahead price is "
        f"lowest from {np.nanargmin(by_hour)} and highest from {np.nanargmax(by_hour)} o'clock."
    )
    return finished(figure, market.is_synthetic, says)


def price_levels(market: Market) -> Figure:
    """Price duration curves of both markets, and DAM quantiles by hour of the day."""
    figure, axes = new_figure(1, 2, 3.6, sharey=True)
    for name, prices in (("dam", market.dam_mcp), ("rtm", market.rtm_mcp)):
        share = np.linspace(0, 1, 1001)
        falling = np.quantile(prices[np.isfinite(prices)], 1 - share)
        axes[0, 0].plot(share, falling, color=COLOURS[name], lw=2, label=NAMES[name])
    axes[0, 0].set_title("Price duration curve")
    axes[0, 0].set_xlabel("share of the time at this price or above")
    axes[0, 0].xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0, 0].set_ylabel("Rs/MWh")
    axes[0, 0].yaxis.set_major_formatter(RUPEES)
    axes[0, 0].legend(loc="upper right")
    levels = (0.05, 0.25, 0.50, 0.75, 0.95)
    quantiles = np.nanquantile(market.dam_mcp, levels, axis=0)
    hours = hours_of_blocks(market.n_blocks)
    for k, label in ((0, "5 to 95 %"), (1, "25 to 75 %")):
        axes[0, 1].fill_between(
            hours,
            quantiles[k],
            quantiles[-1 - k],
            color=COLOURS["dam"],
            alpha=0.18 + 0.14 * k,
            lw=0,
            label=label,
        )
    axes[0, 1].plot(hours, quantiles[2], color=COLOURS["dam"], lw=2, label="median")
    axes[0, 1].set_ylim(0, ROOM * np.nanmax([market.dam_mcp, market.rtm_mcp]))
    axes[0, 1].set_title("Day-ahead price by hour")
    axes[0, 1].legend(loc="upper center", ncols=3, fontsize=8)
    clock_axis(axes[0, 1])
    says = (
        "Left: the share of time that a price is reached; a flat top is the cap. Right: how "
        "the day-ahead price spreads around its median at each hour."
    )
    return finished(figure, market.is_synthetic, says)


def cap_calendar(shares: Mapping[str, pd.DataFrame], synthetic: bool) -> Figure:
    """Share of blocks at the cap by month and hour; a frame (month, hour) of each market."""
    rows = len(next(iter(shares.values())))
    figure, axes = new_figure(1, 2, 1.8 + 0.22 * rows, sharey=True)
    for axis, (name, share) in zip(axes[0], shares.items(), strict=True):
        image = axis.pcolormesh(
            np.arange(25), np.arange(rows + 1) - 0.5, share, cmap="YlOrRd", vmin=0, vmax=1
        )
        image.set_label("_share of blocks at the cap")
        axis.set_yticks(range(0, rows, -(-rows // 18)), share.index[:: -(-rows // 18)])
        axis.grid(False)
        axis.set_title(NAMES[name])
        clock_axis(axis)
    axes[0, 0].invert_yaxis()
    bar = figure.colorbar(image, ax=axes, format=PercentFormatter(1, decimals=0), shrink=0.9)
    bar.set_label("blocks at the cap")
    says = (
        "Share of blocks exactly at the cap, a row a month and a column an hour: strong colour "
        "where prices sit on it."
    )
    return finished(figure, synthetic, says)
