"""Pictures of the notebooks: Matplotlib for the static ones, Plotly for the interactive.

Nothing is computed here beyond what a picture needs to be drawn. Every picture of a
synthetic market says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from IPython.display import HTML, Markdown, display
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from bessvpp.desk.plan import DayAheadPlan
from bessvpp.market.history import Market
from bessvpp.optimizer.problem import Plan, PriceScenarios

COLOURS = {
    "dam": "#1b4f72",
    "rtm": "#ca6f1e",
    "original": "#7f8c8d",
    "recalibrated": "#117a65",
    "realised": "#17202a",
    "charge": "#2e86c1",
    "discharge": "#cb4335",
}
NAMES = {"dam": "Day-ahead (DAM)", "rtm": "Real-time (RTM)"}
HEALTH = {
    "whole day": "#a9cce3",
    "blocks without trade": "#f5b041",
    "some blocks missing": "#cb4335",
    "no price": "#7f8c8d",
}
_FIT_WHEN_LAID_OUT = (
    "window.addEventListener('load', "
    "() => Plotly.Plots.resize(document.getElementById('{plot_id}')));"
)
PLOTLY_SCRIPT = "../_static/plotly.min.js"
"""Where a page of the book finds Plotly, so that it asks no other host for it."""
_STYLE = {
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e8e8",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
}
plt.rcParams.update(_STYLE)
_RUPEES = FuncFormatter(lambda value, _: f"{value:,.0f}")
_LAKH = 1e5
_ROOM = 1.15  # above the highest price, for a legend


def say(text: str) -> None:
    """Show a sentence whose numbers come from the run."""
    display(Markdown(text))


def say_source(market: Market) -> None:
    """Say where a page's prices come from; unmistakable where they are synthetic."""
    kind = (
        "**Synthetic market.** The prices on this page are made by a seeded generator, not by "
        "an exchange."
        if market.is_synthetic
        else "**Exchange data**, as read from the files given."
    )
    first, last = market.dates[0], market.dates[-1]
    say(f"> {kind} {len(market.dates)} days, {first} to {last}, {market.n_blocks} blocks a day.")


def show_figures(table: pd.DataFrame) -> None:
    """Show a table of figures of very different size, each with three digits or more."""
    html = table.to_html(
        index=False,
        border=0,
        justify="left",
        na_rep="–",
        float_format=lambda value: f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}",
    )
    display(HTML(html))


def show_interactive(figure: go.Figure, name: str, synthetic: bool) -> None:
    """Show a Plotly figure in JupyterLab and in the book, both without the internet.

    ``name`` is the figure's id on its page.
    """
    figure.update_layout(
        template="plotly_white",
        font={"size": 13},
        height=480,
        margin={"l": 70, "r": 20, "t": 60, "b": 60},
        legend={"orientation": "h", "y": -0.2},
    )
    if synthetic:
        figure.add_annotation(
            text="synthetic market", xref="paper", yref="paper", x=1, y=1.06, showarrow=False
        )
    html = figure.to_html(
        full_html=False,
        include_plotlyjs=PLOTLY_SCRIPT,
        include_mathjax=False,
        div_id=name,
        config={"displaylogo": False, "responsive": True},
        post_script=_FIT_WHEN_LAID_OUT,
    )
    bundle = {
        "application/vnd.plotly.v1+json": figure.to_plotly_json(),
        "text/html": html,
    }
    display(bundle, raw=True)


def _figure(rows: int, columns: int, height: float, **options: object) -> tuple[Figure, np.ndarray]:
    return plt.subplots(rows, columns, figsize=(8.4, height), squeeze=False, **options)


def _finish(figure: Figure, synthetic: bool) -> Figure:
    """Mark a synthetic picture, and hand it to the notebook to show once."""
    if synthetic:
        figure.supxlabel("synthetic market", x=0.995, ha="right", color="#b03a2e", size=9)
    plt.close(figure)
    return figure


def _hours(n_blocks: int) -> np.ndarray:
    return np.arange(n_blocks) * 24 / n_blocks


def _clock(axis: Axes) -> None:
    axis.set_xlim(0, 24)
    axis.set_xticks(range(0, 25, 3))
    axis.set_xlabel("hour of the day (IST)")


# ---------------------------------------------------------------------- the market


def price_history(market: Market) -> Figure:
    """Daily mean and range of both markets."""
    figure, axes = _figure(2, 1, 5.2, sharex=True, sharey=True)
    for axis, name, prices in zip(
        axes[:, 0], ("dam", "rtm"), (market.dam_mcp, market.rtm_mcp), strict=True
    ):
        days = market.dates.astype("datetime64[ns]")
        with np.errstate(invalid="ignore"):
            whole = np.isfinite(prices).any(axis=1)
        low, mean, high = (
            statistic(prices[whole], axis=1) for statistic in (np.nanmin, np.nanmean, np.nanmax)
        )
        axis.fill_between(days[whole], low, high, color=COLOURS[name], alpha=0.18, lw=0)
        axis.plot(days[whole], mean, color=COLOURS[name], lw=1.4)
        axis.set_title(f"{NAMES[name]}: daily mean, and range from lowest to highest block")
        axis.xaxis.set_major_formatter(ConciseDateFormatter(axis.xaxis.get_major_locator()))
        axis.set_ylabel("Rs/MWh")
        axis.yaxis.set_major_formatter(_RUPEES)
    return _finish(figure, market.is_synthetic)


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
    figure.update_layout(title=f"Prices of the last {n_days} days")
    figure.update_yaxes(title="Rs/MWh", rangemode="tozero")
    return figure


def daily_shape(market: Market) -> Figure:
    """Mean price by time of day with its 10 to 90 % range, and the spread between markets."""
    figure, axes = _figure(1, 2, 3.6)
    hours = _hours(market.n_blocks)
    for name, prices in (("dam", market.dam_mcp), ("rtm", market.rtm_mcp)):
        low, high = np.nanquantile(prices, [0.1, 0.9], axis=0)
        axes[0, 0].fill_between(hours, low, high, color=COLOURS[name], alpha=0.12, lw=0)
        mean = np.nanmean(prices, axis=0)
        axes[0, 0].plot(hours, mean, color=COLOURS[name], lw=2, label=NAMES[name])
    axes[0, 0].set_title("Mean price, and the 10 to 90 % range")
    axes[0, 0].legend(loc="upper left")
    spread = market.rtm_mcp - market.dam_mcp
    low, high = np.nanquantile(spread, [0.1, 0.9], axis=0)
    axes[0, 1].fill_between(hours, low, high, color=COLOURS["rtm"], alpha=0.15, lw=0)
    axes[0, 1].plot(hours, np.nanmean(spread, axis=0), color=COLOURS["rtm"], lw=2)
    axes[0, 1].axhline(0, color="black", lw=0.8)
    axes[0, 1].set_title("Spread RTM minus DAM")
    for axis in axes[0]:
        _clock(axis)
        axis.set_ylabel("Rs/MWh")
        axis.yaxis.set_major_formatter(_RUPEES)
    return _finish(figure, market.is_synthetic)


def data_health(market: Market) -> Figure:
    """Calendar of both markets: which days are whole, and which miss blocks or trade."""
    first = market.dates.astype("M8[M]")
    months = np.arange(first[0], first[-1] + 1)
    row, column = (first - first[0]).astype(int), (market.dates - first.astype("M8[D]")).astype(int)
    figure, axes = _figure(1, 2, 1.6 + 0.2 * len(months), sharey=True)
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
    return _finish(figure, market.is_synthetic)


def week_of_prices(market: Market) -> Figure:
    """Both prices over the last seven days that have both."""
    there = np.isfinite(market.dam_mcp).any(axis=1) & np.isfinite(market.rtm_mcp).any(axis=1)
    last = int(np.flatnonzero(there)[-1]) + 1
    week = market.days(max(last - 7, 0), last)
    figure, axes = _figure(1, 1, 3.2)
    axis = axes[0, 0]
    days = np.arange(week.dam_mcp.size + 1) / week.n_blocks
    for name, prices in (("dam", week.dam_mcp), ("rtm", week.rtm_mcp)):
        axis.stairs(
            prices.ravel(), days, baseline=None, color=COLOURS[name], lw=1.4, label=NAMES[name]
        )
    for day, date in enumerate(week.dates.tolist()):
        if date.weekday() == 6:
            axis.axvspan(day, day + 1, color="#f2f3f4", lw=0, zorder=0)
    names = [f"{date:%a %d %b}" for date in week.dates.tolist()]
    axis.set_xticks(np.arange(len(names)) + 0.5, names)
    axis.tick_params(axis="x", length=0)
    axis.set_xlim(0, len(names))
    axis.set_ylim(0, _ROOM * np.nanmax([week.dam_mcp, week.rtm_mcp]))
    axis.set_ylabel("Rs/MWh")
    axis.yaxis.set_major_formatter(_RUPEES)
    axis.set_title("A week of prices (Sunday shaded)")
    axis.legend(loc="upper left", ncols=2)
    return _finish(figure, market.is_synthetic)


def price_levels(market: Market) -> Figure:
    """Price duration curves of both markets, and DAM quantiles by hour of the day."""
    figure, axes = _figure(1, 2, 3.6, sharey=True)
    for name, prices in (("dam", market.dam_mcp), ("rtm", market.rtm_mcp)):
        falling = np.sort(prices[np.isfinite(prices)])[::-1]
        share = np.linspace(0, 1, len(falling))
        axes[0, 0].plot(share, falling, color=COLOURS[name], lw=2, label=NAMES[name])
    axes[0, 0].set_title("Price duration curve")
    axes[0, 0].set_xlabel("share of the time at this price or above")
    axes[0, 0].xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0, 0].set_ylabel("Rs/MWh")
    axes[0, 0].yaxis.set_major_formatter(_RUPEES)
    axes[0, 0].legend(loc="upper right")
    levels = (0.05, 0.25, 0.50, 0.75, 0.95)
    quantiles = np.nanquantile(market.dam_mcp, levels, axis=0)
    hours = _hours(market.n_blocks)
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
    axes[0, 1].set_ylim(0, _ROOM * np.nanmax([market.dam_mcp, market.rtm_mcp]))
    axes[0, 1].set_title("Day-ahead price by hour")
    axes[0, 1].legend(loc="upper center", ncols=3, fontsize=8)
    _clock(axes[0, 1])
    return _finish(figure, market.is_synthetic)


def cap_calendar(shares: Mapping[str, pd.DataFrame], synthetic: bool) -> Figure:
    """Share of blocks at the cap by month and hour; a frame (month, hour) of each market."""
    rows = len(next(iter(shares.values())))
    figure, axes = _figure(1, 2, 1.8 + 0.22 * rows, sharey=True)
    for axis, (name, share) in zip(axes[0], shares.items(), strict=True):
        image = axis.pcolormesh(
            np.arange(25), np.arange(rows + 1) - 0.5, share, cmap="YlOrRd", vmin=0, vmax=1
        )
        axis.set_yticks(range(0, rows, -(-rows // 18)), share.index[:: -(-rows // 18)])
        axis.grid(False)
        axis.set_title(NAMES[name])
        _clock(axis)
    axes[0, 0].invert_yaxis()
    bar = figure.colorbar(image, ax=axes, format=PercentFormatter(1, decimals=0), shrink=0.9)
    bar.set_label("blocks at the cap")
    return _finish(figure, synthetic)


# ---------------------------------------------------------------------- forecasts


def fan_of_day(
    quantiles: Mapping[str, np.ndarray],
    levels: Sequence[float],
    outcome: Mapping[str, np.ndarray] | None,
    title: str,
    synthetic: bool,
) -> Figure:
    """Quantile fan of one day for both markets, with the realised path where there is one."""
    figure, axes = _figure(1, 2, 3.6, sharey=True)
    for axis, name in zip(axes[0], ("dam", "rtm"), strict=True):
        _draw_fan(axis, quantiles[name], levels, name)
        if outcome is not None:
            hours = _hours(len(outcome[name]))
            axis.plot(hours, outcome[name], color=COLOURS["realised"], lw=1.3, label="realised")
        axis.set_title(f"{NAMES[name]}, {title}")
    axes[0, 0].legend(loc="upper left")
    return _finish(figure, synthetic)


def _draw_fan(axis: Axes, values: np.ndarray, levels: Sequence[float], market: str) -> None:
    """Bands that pair the levels from the outside in, and the median."""
    hours, colour = _hours(len(values)), COLOURS[market]
    for k in range(len(levels) // 2):
        axis.fill_between(hours, values[:, k], values[:, -1 - k], color=colour, alpha=0.14, lw=0)
    axis.plot(hours, values[:, list(levels).index(0.5)], color=colour, lw=2, label="median")
    axis.yaxis.set_major_formatter(_RUPEES)
    axis.set_ylabel("Rs/MWh")
    _clock(axis)


def feature_importance(shares: Mapping[str, pd.Series], synthetic: bool) -> Figure:
    """Share of the median model's gain by feature, the ten greatest of each market."""
    figure, axes = _figure(1, 2, 3.8)
    for axis, (name, share) in zip(axes[0], shares.items(), strict=True):
        top = share.sort_values().tail(10)
        axis.barh(top.index, top, color=COLOURS[name])
        axis.set_title(NAMES[name])
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.set_xlabel("share of the gain")
    return _finish(figure, synthetic)


def loss_by_hour(
    losses: Mapping[str, Mapping[str, np.ndarray]], best: str, synthetic: bool
) -> Figure:
    """Mean pinball loss by hour of the day, a line a forecast.

    Parameters
    ----------
    losses : market to forecast to (24,) losses
    best : the forecast that is drawn in the market's colour
    """
    figure, axes = _figure(1, 2, 3.4, sharey=True)
    styles = (":", "--", "-.", (0, (1, 3)))
    for axis, (market, by_name) in zip(axes[0], losses.items(), strict=True):
        others = iter(styles)
        for name, loss in by_name.items():
            look = (
                {"color": COLOURS[market], "lw": 2.2}
                if name == best
                else {"color": "#566573", "lw": 1.2, "ls": next(others)}
            )
            axis.plot(np.arange(24) + 0.5, loss, label=name, **look)
        axis.set_title(NAMES[market])
        _clock(axis)
    axes[0, 0].set_ylim(bottom=0)
    axes[0, 0].set_ylabel("pinball loss [Rs/MWh]")
    axes[0, 0].legend(loc="upper center", ncols=2, fontsize=8)
    return _finish(figure, synthetic)


def reliability(
    coverage: Mapping[str, Mapping], bands: Mapping[str, Mapping[str, np.ndarray]], synthetic: bool
) -> Figure:
    """Observed minus nominal coverage by level, with bootstrap bands.

    The thick bar spans P(Y < q) to P(Y <= q), the thin line their 90 % band.

    Parameters
    ----------
    coverage : market to fan to the entries of ``metrics.coverage_table``
    bands : market to fan to the (2, 2, L) bands of ``scores.coverage_bands``
    """
    figure, axes = _figure(1, 2, 3.8, sharey=True)
    for axis, (market, fans) in zip(axes[0], coverage.items(), strict=True):
        axis.axhline(0, color="black", lw=0.8, ls="--")
        for shift, (fan, by_level) in zip((-0.17, 0.17), fans.items(), strict=True):
            nominal, below, at_or_below = (
                np.array([level[key] for level in by_level.values()])
                for key in ("nominal", "below", "at_or_below")
            )
            x, colour = np.arange(len(nominal)) + shift, COLOURS[fan]
            (low, _), (_, high) = bands[market][fan].transpose(1, 0, 2)
            axis.vlines(x, 100 * (low - nominal), 100 * (high - nominal), color=colour, lw=1)
            span = 100 * (below - nominal), 100 * (at_or_below - nominal)
            axis.vlines(x, *span, color=colour, lw=6, alpha=0.5)
            kept = 100 * (np.clip(nominal, below, at_or_below) - nominal)
            axis.plot(x, kept, "o", color=colour, ms=4, label=fan)
        axis.set_xticks(range(len(by_level)), list(by_level), rotation=60)
        axis.set_title(NAMES[market])
    axes[0, 0].set_ylabel("observed minus promised [points]")
    axes[0, 0].legend(loc="lower left")
    return _finish(figure, synthetic)


def coverage_by_hour_and_month(
    errors: Mapping[str, Mapping[str, np.ndarray]], months: Sequence[str], synthetic: bool
) -> Figure:
    """Heat map of mean miscoverage by month and hour, before and after, for both markets.

    Parameters
    ----------
    errors : market to fan to (M, 24) miscoverage, as shares; NaN is drawn grey
    """
    height = 2.2 + 0.5 * len(months)
    figure, axes = _figure(2, 2, height, sharex=True, sharey=True)
    colours = plt.get_cmap("Reds").with_extremes(bad="#d5d8dc")
    for row, (market, fans) in zip(axes, errors.items(), strict=True):
        for axis, (fan, error) in zip(row, fans.items(), strict=True):
            image = axis.imshow(error, aspect="auto", cmap=colours, vmin=0, vmax=0.2)
            axis.set_yticks(range(len(months)), months)
            axis.set_title(f"{market.upper()}, {fan}")
            axis.grid(False)
    for axis in axes[-1]:
        axis.set_xticks(range(0, 24, 3))
        axis.set_xlabel("hour of the day (IST)")
    bar = figure.colorbar(image, ax=axes, shrink=0.8, extend="max")
    bar.set_label("miscoverage")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return _finish(figure, synthetic)


def pit_histograms(
    densities: Mapping[str, Mapping[str, np.ndarray]], levels: Sequence[float], synthetic: bool
) -> Figure:
    """Histogram of the probability integral transform between the levels; flat is ideal."""
    figure, axes = _figure(1, 2, 3.2, sharey=True)
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
    return _finish(figure, synthetic)


def rolling_coverage(
    shares: Mapping[str, pd.DataFrame], nominal: float, n_days: int, synthetic: bool
) -> Figure:
    """Share of outcomes inside an interval over the last days, a line a fan.

    Parameters
    ----------
    shares : market to a frame by date, a column a fan
    """
    figure, axes = _figure(1, 2, 3.2, sharey=True)
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
    return _finish(figure, synthetic)


def sharpness_against_coverage(
    tables: Mapping[str, pd.DataFrame],
    chosen: Mapping[str, str],
    labelled: Sequence[str],
    synthetic: bool,
) -> Figure:
    """Miscoverage over pinball loss, a point a method; the lower left corner is best.

    The chosen method is drawn in colour and named, and so are those in ``labelled``.
    """
    figure, axes = _figure(1, 2, 3.6)
    for axis, (market, table) in zip(axes[0], tables.items(), strict=True):
        for name, row in table.iterrows():
            mine = name == chosen[market]
            colour = COLOURS["recalibrated"] if mine else COLOURS["original"]
            place = row["pinball"], 100 * row["miscoverage"]
            axis.plot(*place, "o", color=colour, ms=9 if mine else 6)
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
    axes[0, 0].set_ylabel("miscoverage within hours [points]")
    return _finish(figure, synthetic)


def cap_reliability(points: Mapping[str, Mapping[str, pd.DataFrame]], synthetic: bool) -> Figure:
    """How often a price sat at the cap against the chance that was forecast.

    Parameters
    ----------
    points : market to fan to a frame with ``forecast``, ``observed`` and ``n``, a row a bin
    """
    figure, axes = _figure(1, 2, 3.6, sharey=True)
    for axis, (market, fans) in zip(axes[0], points.items(), strict=True):
        axis.plot([0, 1], [0, 1], color="black", lw=0.8, ls="--")
        for fan, table in fans.items():
            size = 12 + 120 * np.sqrt(table["n"] / table["n"].sum())
            axis.plot(table["forecast"], table["observed"], color=COLOURS[fan], lw=1)
            axis.scatter(table["forecast"], table["observed"], size, COLOURS[fan], label=fan)
        axis.set_title(NAMES[market])
        axis.set_xlabel("forecast chance of the cap")
    axes[0, 0].set_ylabel("share of blocks at the cap")
    axes[0, 0].legend(loc="upper left")
    return _finish(figure, synthetic)


# ---------------------------------------------------------------------- scenarios


def scenario_paths(
    fans: Mapping[str, PriceScenarios], realised: PriceScenarios | None, synthetic: bool
) -> Figure:
    """Paths of one day, a row a fan, with the realised path in black."""
    figure, axes = _figure(len(fans), 2, 3.0 * len(fans), sharex=True, sharey=True)
    for row, (fan, scenarios) in zip(axes, fans.items(), strict=True):
        for axis, market in zip(row, ("dam", "rtm"), strict=True):
            paths = getattr(scenarios, market)
            hours = _hours(paths.shape[1])
            axis.plot(hours, paths.T, color=COLOURS[market], lw=0.5, alpha=0.35)
            if realised is not None:
                axis.plot(hours, getattr(realised, market)[0], color="black", lw=1.6)
            axis.set_title(f"{NAMES[market]}, {fan}")
            axis.yaxis.set_major_formatter(_RUPEES)
            _clock(axis)
        row[0].set_ylabel("Rs/MWh")
    return _finish(figure, synthetic)


def spread_fan(
    fans: Mapping[str, PriceScenarios], realised: PriceScenarios, synthetic: bool
) -> Figure:
    """RTM minus DAM of one day: bands of half and nine tenths of the paths, outcome in black."""
    figure, axes = _figure(1, len(fans), 3.2, sharey=True)
    for axis, (fan, day) in zip(axes[0], fans.items(), strict=True):
        low, quarter, middle, three, high = np.quantile(
            day.rtm - day.dam, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0
        )
        hours = _hours(len(low))
        colour = COLOURS[fan]
        axis.fill_between(hours, low, high, step="post", color=colour, alpha=0.2, lw=0)
        axis.fill_between(hours, quarter, three, step="post", color=colour, alpha=0.45, lw=0)
        axis.step(hours, middle, where="post", color=colour, lw=1.2)
        axis.step(hours, (realised.rtm - realised.dam)[0], where="post", color="black", lw=1.4)
        axis.axhline(0, color="black", lw=0.6)
        axis.set_title(f"RTM minus DAM, {fan}")
        axis.yaxis.set_major_formatter(_RUPEES)
        _clock(axis)
    axes[0, 0].set_ylabel("Rs/MWh")
    return _finish(figure, synthetic)


def rank_histograms(ranks: Mapping[str, np.ndarray], synthetic: bool) -> Figure:
    """Ranks of outcomes among their scenarios, a panel each; the line is what is right."""
    figure, axes = _figure(1, len(ranks), 2.6, sharey=True)
    for axis, (name, values) in zip(axes[0], ranks.items(), strict=True):
        axis.hist(values, bins=10, range=(0, 1), density=True, color=COLOURS["recalibrated"])
        axis.axhline(1, color="black", lw=1)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("rank, 0 lowest")
    axes[0, 0].set_ylabel("times as often as right")
    return _finish(figure, synthetic)


def correlation_matrix(correlation: np.ndarray, synthetic: bool) -> Figure:
    """Correlation of the normal scores, DAM blocks first."""
    figure, axes = _figure(1, 1, 4.6)
    axis, n = axes[0, 0], len(correlation)
    image = axis.imshow(correlation, cmap="RdBu_r", vmin=-1, vmax=1)
    axis.set_xticks([n / 4, 3 * n / 4], ["DAM, 00 to 24 h", "RTM, 00 to 24 h"])
    axis.set_yticks([n / 4, 3 * n / 4], ["DAM", "RTM"], rotation=90, va="center")
    axis.axhline(n / 2 - 0.5, color="black", lw=0.8)
    axis.axvline(n / 2 - 0.5, color="black", lw=0.8)
    axis.grid(False)
    figure.colorbar(image, ax=axis, shrink=0.8, label="correlation of normal scores")
    return _finish(figure, synthetic)


# ---------------------------------------------------------------------- one day


def commitment(plan: Plan, scenarios: PriceScenarios, synthetic: bool) -> Figure:
    """DAM commitment of a day over the mean prices it was made for."""
    figure, axes = _figure(2, 1, 4.8, sharex=True, height_ratios=(3, 2))
    n_blocks = len(plan.dam_mw)
    hours, width = _hours(n_blocks), 24 / n_blocks
    colour = np.where(plan.dam_mw >= 0, COLOURS["discharge"], COLOURS["charge"])
    axes[0, 0].bar(hours, plan.dam_mw, width=width, align="edge", color=colour)
    axes[0, 0].axhline(0, color="black", lw=0.8)
    axes[0, 0].set_ylabel("MW")
    axes[0, 0].set_title("DAM commitment: sale above, purchase below")
    weights = scenarios.weights
    for market in ("dam", "rtm"):
        mean = weights @ getattr(scenarios, market)
        axes[1, 0].plot(hours, mean, color=COLOURS[market], lw=1.8, label=NAMES[market])
    axes[1, 0].set_title("Mean price of the scenarios")
    axes[1, 0].set_ylabel("Rs/MWh")
    axes[1, 0].yaxis.set_major_formatter(_RUPEES)
    axes[1, 0].legend(loc="upper left")
    _clock(axes[1, 0])
    return _finish(figure, synthetic)


def day_ahead(planned: DayAheadPlan, synthetic: bool) -> Figure:
    """Tomorrow on one page: both fans, the bids, and the scenarios' profits."""
    figure, axes = _figure(2, 2, 6.2)
    n_blocks = len(planned.bid_mw)
    hours, width = _hours(n_blocks), 24 / n_blocks
    for axis, market in zip(axes[0], ("dam", "rtm"), strict=True):
        _draw_fan(axis, planned.quantiles[market], planned.levels, market)
        axis.set_title(f"{NAMES[market]}, {planned.date}")
    colour = np.where(planned.bid_mw >= 0, COLOURS["discharge"], COLOURS["charge"])
    axes[1, 0].bar(hours, planned.bid_mw, width=width, align="edge", color=colour)
    axes[1, 0].set_title("Bids: sale above, purchase below")
    axes[1, 0].set_ylabel("MW")
    _clock(axes[1, 0])
    axes[1, 1].hist(planned.profit_rs / _LAKH, bins=20, color=COLOURS["recalibrated"], alpha=0.6)
    for value, name in ((planned.cvar_rs, "CVaR"), (planned.expected_profit_rs, "mean")):
        axes[1, 1].axvline(value / _LAKH, color="black", ls="-" if name == "mean" else ":")
    axes[1, 1].set_title("Profit of the scenarios (dotted: CVaR)")
    axes[1, 1].set_xlabel("lakh Rs")
    return _finish(figure, synthetic)


def recourse_and_energy(
    plan: Plan, e_limits_mwh: tuple[float, float], e_target_mwh: float, synthetic: bool
) -> Figure:
    """RTM trade and stored energy in every scenario of a plan."""
    figure, axes = _figure(1, 2, 3.6)
    n_blocks = len(plan.dam_mw)
    hours = _hours(n_blocks)
    low, middle, high = np.quantile(plan.rtm_mw, [0.1, 0.5, 0.9], axis=0)
    axes[0, 0].fill_between(hours, low, high, step="post", color=COLOURS["rtm"], alpha=0.25, lw=0)
    axes[0, 0].step(hours, middle, where="post", color=COLOURS["rtm"], lw=1.5)
    axes[0, 0].axhline(0, color="black", lw=0.8)
    axes[0, 0].set_title("RTM trade: median, 10 to 90 %")
    axes[0, 0].set_ylabel("MW, sale above")
    energy = plan.energy_mwh.sum(axis=1)
    ends = hours + 24 / n_blocks
    axes[0, 1].plot(ends, energy.T, color=COLOURS["dam"], lw=0.5, alpha=0.4)
    for limit in e_limits_mwh:
        axes[0, 1].axhline(limit, color="black", lw=1)
    axes[0, 1].axhline(e_target_mwh, color="black", lw=1, ls=":")
    axes[0, 1].set_title("Stored energy in every scenario")
    axes[0, 1].set_ylabel("MWh")
    axes[0, 1].set_ylim(0, e_limits_mwh[1] * 1.08)
    for axis in axes[0]:
        _clock(axis)
    return _finish(figure, synthetic)


def profit_distribution(
    profit_rs: np.ndarray, var_rs: float, cvar_rs: float, alpha: float, synthetic: bool
) -> Figure:
    """Histogram of a day's planned profits with mean, VaR and CVaR."""
    figure, axes = _figure(1, 1, 3.2)
    axis = axes[0, 0]
    axis.hist(profit_rs / _LAKH, bins=24, color=COLOURS["recalibrated"], alpha=0.6)
    marks = {
        f"CVaR {alpha:.0%}": (cvar_rs, COLOURS["discharge"]),
        f"VaR {alpha:.0%}": (var_rs, COLOURS["rtm"]),
        "mean": (profit_rs.mean(), "black"),
    }
    for label, (value, colour) in marks.items():
        text = f"{label}: {value / _LAKH:,.2f}"
        axis.axvline(value / _LAKH, color=colour, lw=2, label=text)
    axis.set_xlabel("profit of the day, lakh Rs")
    axis.set_ylabel("scenarios")
    axis.legend()
    return _finish(figure, synthetic)


# ---------------------------------------------------------------------- results


def policy_bars(policies: Mapping[str, Mapping[str, float]], synthetic: bool) -> Figure:
    """Net of every policy in each way of settling, under the ceiling where it is one."""
    figure, axes = _figure(1, 3, 3.8, sharey=True)
    names = list(policies)
    labels = [name.replace("_", " ") for name in names]
    for axis, key, title in (
        (axes[0, 0], "net_rs_dam_only", "As committed"),
        (axes[0, 1], "net_rs_causal", "With causal recourse"),
        (axes[0, 2], "net_rs", "With hindsight recourse"),
    ):
        values = np.array([policies[name][key] for name in names], dtype=float) / _LAKH
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
    return _finish(figure, synthetic)


def _policy_colour(name: str) -> str:
    for fan in ("original", "recalibrated"):
        if name.endswith(fan):
            return COLOURS[fan]
    return "#17202a" if name == "ceiling" else "#aeb6bf"


def gain_over_nothing(daily: pd.DataFrame, names: Sequence[str], synthetic: bool) -> Figure:
    """Cumulated gain over committing nothing, under the same recourse."""
    figure, axes = _figure(1, 1, 3.6)
    net = daily.pivot(index="date", columns="policy", values="net_rs")
    gain = net[list(names)].sub(net["nothing_committed"], axis=0).cumsum() / _LAKH
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
    return _finish(figure, synthetic)


def frontier(points: pd.DataFrame, synthetic: bool) -> Figure:
    """Planned and realised risk and return for every lambda, a line a fan."""
    figure, axes = _figure(1, 2, 4.4)
    titles = {"planned": "Planned: over the scenarios", "realised": "Realised: over the days"}
    for axis, (kind, title) in zip(axes[0], titles.items(), strict=True):
        for fan, rows in points.groupby("fan", sort=False):
            x, y = rows[f"{kind}_cvar_rs"] / _LAKH, rows[f"{kind}_mean_rs"] / _LAKH
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
        axis.set_xlabel("CVaR of a day, lakh Rs")
        axis.set_ylabel("mean of a day, lakh Rs")
        axis.margins(0.14)
    axes[0, 0].legend(loc="best")
    return _finish(figure, synthetic)


def interactive_frontier(points: pd.DataFrame) -> go.Figure:
    """The frontier with every point's figures under the pointer."""
    figure = go.Figure()
    for fan, rows in points.groupby("fan", sort=False):
        for kind, dash in (("planned", "solid"), ("realised", "dot")):
            figure.add_scatter(
                x=(rows[f"{kind}_cvar_rs"] / _LAKH).tolist(),
                y=(rows[f"{kind}_mean_rs"] / _LAKH).tolist(),
                mode="lines+markers",
                name=f"{fan}, {kind}",
                line={"color": COLOURS[fan], "dash": dash},
                marker={"size": 9, "symbol": "circle" if kind == "planned" else "diamond"},
                customdata=np.column_stack(
                    [rows["lambda"], rows["realised_worst_day_rs"] / _LAKH]
                ).tolist(),
                hovertemplate=(
                    "lambda %{customdata[0]:g}<br>CVaR %{x:,.2f} lakh Rs<br>"
                    "mean %{y:,.2f} lakh Rs<br>worst realised day %{customdata[1]:,.2f} lakh Rs"
                ),
            )
    figure.update_layout(title="Risk and return of a day")
    figure.update_xaxes(title="CVaR of a day, lakh Rs")
    figure.update_yaxes(title="mean of a day, lakh Rs")
    return figure


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
    figure, axes = _figure(1, 1, 4.2)
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
            label="" if k else f"RTM fan, {levels[0]:.0%} to {levels[-1]:.0%}",
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
    axis.yaxis.set_major_formatter(_RUPEES)
    axis.set_title(title)
    _clock(axis)
    figure.legend(ncols=3, loc="outside upper center")
    return _finish(figure, synthetic)
