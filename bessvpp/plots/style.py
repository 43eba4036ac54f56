"""What all pictures share: colours, names, units, clocks, and how a picture is handed over.

Matplotlib draws the static ones, Plotly the interactive. Nothing is computed here beyond what a
picture needs to be drawn. Every picture of a synthetic market says so. One thing has one colour
everywhere; the colours are told apart without red and green (after Okabe and Ito), and each has a
contrast of 3 to 1 against the page, dark or light.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bessvpp.plots.drawn import drawn_data
from bessvpp.plots.phone import narrow

COLOURS = {
    "dam": "#0072B2",
    "rtm": "#D55E00",
    "original": "#6B7280",
    "recalibrated": "#008A64",
    "realised": "#17202a",
    "charge": "#997700",
    "discharge": "#AA4499",
}
GRID, AXIS = "#d3d7dc", "#6b7280"  # a page that is dark inverts them, and both are seen there
NAMES = {"dam": "Day-ahead (DAM)", "rtm": "Real-time (RTM)"}
_STYLE = {
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.14,  # inches, for the last tick of an axis
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
}
plt.rcParams.update(_STYLE)
RUPEES = FuncFormatter(lambda value, _: f"{value:,.0f}")
LAKH = 1e5
ROOM = 1.15  # above the highest price, for a legend
WIDTH, PIXELS_PER_INCH = 8.4, 144  # of a picture, in inches


class Picture(Figure):
    """A static picture with what a page says of it, its data, and its shape on a phone.

    says : what is seen, in a sentence: the caption, and the text in place of the picture
    data : what it was drawn from, to download beside it; None: read back from the picture
    grid : (rows, columns) axes as they were laid out
    """

    says: str = ""
    data: pd.DataFrame | None = None
    grid: np.ndarray

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple:
        """The picture for a notebook; what a book takes besides goes along as metadata."""
        wide = self.png()
        with narrow(self, self.grid):
            phone = self.png()
        data = drawn_data(self) if self.data is None else self.data
        width, height = (round(inches * 96) for inches in self.get_size_inches())
        book = {
            "says": self.says,
            "phone": phone,
            "data": data.to_csv(index=False, float_format="%.9g"),
        }
        metadata = {"image/png": {"width": width, "height": height}, "book": book}
        return {"image/png": wide, "text/plain": self.says or repr(self)}, metadata

    def png(self) -> str:
        """The picture as it is now, in base64."""
        self.draw_without_rendering()  # the layout settles at the second drawing
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=PIXELS_PER_INCH)
        return base64.b64encode(buffer.getvalue()).decode()


def new_figure(
    rows: int, columns: int, height: float, **options: object
) -> tuple[Picture, np.ndarray]:
    """A picture of the book's width and its axes, (rows, columns); ``height`` in inches."""
    size = (WIDTH, height)
    figure, axes = plt.subplots(
        rows, columns, figsize=size, squeeze=False, FigureClass=Picture, **options
    )
    figure.grid = axes
    return figure, axes


def finished(
    figure: Picture, synthetic: bool, says: str = "", data: pd.DataFrame | None = None
) -> Picture:
    """Mark a synthetic picture, and hand it to the notebook to show once.

    ``says`` is what is seen, in a sentence: the caption, and the text for who cannot see it;
    ``data`` what was drawn, where a table says it better than the picture does.
    """
    if synthetic:
        figure.supxlabel("synthetic market", x=0.995, ha="right", color="#b03a2e", size=9)
    figure.says, figure.data = says, data
    plt.close(figure)
    return figure


def end_labels(axis: Axes, ends: Mapping[str, tuple[float, str]]) -> None:
    """Name lines at their right end, in their colours, one above the other where they meet.

    Parameters
    ----------
    ends : name to where its line ends, and its colour
    """
    low, high = axis.get_ylim()
    apart = 0.066 * (high - low)
    names = sorted(ends, key=lambda name: ends[name][0])
    places = [ends[name][0] for name in names]
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + apart)
    room = high
    for k in reversed(range(len(places))):
        places[k] = min(places[k], room)
        room = places[k] - apart
    for name, place in zip(names, places, strict=True):
        end, colour = ends[name]
        axis.annotate(
            name,
            (1, end),
            xytext=(1.04, place),
            xycoords=axis.get_yaxis_transform(),
            textcoords=axis.get_yaxis_transform(),
            color=colour,
            size=8.5,
            va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.6, "relpos": (0, 0.5)},
        )


def hours_of_blocks(n_blocks: int) -> np.ndarray:
    """(T,) start of each block of a day [h]."""
    return np.arange(n_blocks) * 24 / n_blocks


def clock_axis(axis: Axes) -> None:
    """Make the x axis that of a day, in hours."""
    axis.set_xlim(0, 24)
    axis.set_xticks(range(0, 25, 3))
    axis.set_xlabel("hour of the day (IST)")
