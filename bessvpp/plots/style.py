"""What all pictures share: colours, names, units, clocks, and how they are shown.

Matplotlib draws the static ones, Plotly the interactive. Nothing is computed here beyond what a
picture needs to be drawn. Every picture of a synthetic market says so.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from IPython.display import HTML, Markdown, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bessvpp.market.history import Market

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
RUPEES = FuncFormatter(lambda value, _: f"{value:,.0f}")
LAKH = 1e5
ROOM = 1.15  # above the highest price, for a legend


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


def show_checked(table: pd.DataFrame, decimals: int | Mapping[str, int]) -> None:
    """Show figures that a test compares, each with the decimals of its column.

    The unrounded ones go along in the output's metadata, which nbval does not compare, as
    [row, column, figure, decimals]: ``tests/pin_notebooks.py`` refuses there what another
    machine could round the other way.
    """
    if isinstance(decimals, int):
        decimals = dict.fromkeys(table.columns, decimals)
    rows = [" ".join(map(str, row if isinstance(row, tuple) else (row,))) for row in table.index]
    shown = pd.DataFrame(index=table.index)
    figures = []
    for column, digits in decimals.items():
        values = table[column].to_numpy(float)
        rounded = np.round(values, digits) + 0.0  # no -0
        shown[column] = [f"{v:.{max(digits, 0)}f}" if np.isfinite(v) else "" for v in rounded]
        named = zip(rows, values.tolist(), strict=True)
        figures += [[row, column, v, digits] for row, v in named if np.isfinite(v)]
    text = {"text/plain": shown.to_string()}
    display(text, raw=True, metadata={"unrounded": figures})


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


def new_figure(
    rows: int, columns: int, height: float, **options: object
) -> tuple[Figure, np.ndarray]:
    return plt.subplots(rows, columns, figsize=(8.4, height), squeeze=False, **options)


def finished(figure: Figure, synthetic: bool) -> Figure:
    """Mark a synthetic picture, and hand it to the notebook to show once."""
    if synthetic:
        figure.supxlabel("synthetic market", x=0.995, ha="right", color="#b03a2e", size=9)
    plt.close(figure)
    return figure


def hours_of_blocks(n_blocks: int) -> np.ndarray:
    return np.arange(n_blocks) * 24 / n_blocks


def clock_axis(axis: Axes) -> None:
    axis.set_xlim(0, 24)
    axis.set_xticks(range(0, 25, 3))
    axis.set_xlabel("hour of the day (IST)")
