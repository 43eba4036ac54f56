"""What a picture shows, as a table: the data to download beside it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.category import UnitData
from matplotlib.collections import PathCollection, PolyCollection, QuadMesh
from matplotlib.container import BarContainer
from matplotlib.dates import ConciseDateFormatter, num2date
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

COLUMNS = ["panel", "series", "x", "y", "to"]


def drawn_data(figure: Figure) -> pd.DataFrame:
    """A row a drawn point: ``panel``, ``series``, ``x``, ``y``, and ``to``, where a band ends.

    Curves, steps, bars, bands, points and maps are read back from the picture; in a map ``to`` is
    the value at column ``x`` and row ``y``.
    """
    parts = []
    for place, axis in enumerate(figure.axes):
        if axis.get_label() == "<colorbar>":
            continue
        panel = axis.get_title(loc="left") or f"panel {place + 1}"
        for number, (name, x, y, to) in enumerate(_series(axis)):
            shown = f"series {number + 1}" if name.startswith("_") or not name else name
            places = {"x": _readable(axis.xaxis, x), "y": _readable(axis.yaxis, y)}
            part = pd.DataFrame({**places, "to": to})
            parts.append(part.assign(panel=panel, series=shown))
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.concat(parts, ignore_index=True)[COLUMNS]
    return table.dropna(axis="columns", how="all")


def _readable(axis: Axis, values: np.ndarray) -> object:
    """Dates as dates, names as names; all else as it is."""
    if isinstance(axis.get_major_formatter(), ConciseDateFormatter):
        return [f"{num2date(value):%Y-%m-%d}" for value in values]
    if isinstance(axis.units, UnitData):
        names = {place: name for name, place in axis.units._mapping.items()}
        return [names.get(round(value), value) for value in values]
    return values


def _series(axis: Axes) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray | float]]:
    for line in axis.lines:
        if line.get_transform().contains_branch(axis.transData):
            yield str(line.get_label()), *np.asarray(line.get_xydata()).T, np.nan
    for patch in axis.patches:
        if isinstance(patch, StepPatch):
            values, edges, _ = patch.get_data()
            yield str(patch.get_label()), np.asarray(edges[:-1]), np.asarray(values), np.nan
    for bars in (part for part in axis.containers if isinstance(part, BarContainer)):
        boxes = [(bar.get_x(), bar.get_y(), bar.get_width(), bar.get_height()) for bar in bars]
        x, y, width, height = np.array(boxes).T
        upright = getattr(bars, "orientation", "vertical") == "vertical"
        ends = (x + width / 2, y + height) if upright else (x + width, y + height / 2)
        yield str(bars.get_label()), *ends, np.nan
    for drawn in axis.collections:
        name = str(drawn.get_label())
        if isinstance(drawn, QuadMesh):
            rows, columns = drawn.get_array().shape
            y, x = np.divmod(np.arange(rows * columns), columns)
            yield name, x, y, np.asarray(drawn.get_array()).ravel()
        elif isinstance(drawn, PathCollection):
            yield name, *np.asarray(drawn.get_offsets()).T, np.nan
        elif isinstance(drawn, PolyCollection):
            yield from _bands(name, drawn)
    for image in axis.images:
        rows, columns = image.get_array().shape
        y, x = np.divmod(np.arange(rows * columns), columns)
        yield str(image.get_label()), x, y, np.asarray(image.get_array(), float).ravel()


def _bands(
    name: str, drawn: PolyCollection
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """A filled band: from its first edge to its second at each x."""
    for path in drawn.get_paths():
        corners = np.asarray(
            path.vertices
        )  # a start, one edge, a turn, the other edge backwards, the start
        n = (len(corners) - 3) // 2
        first, second = corners[1 : n + 1], corners[n + 2 : 2 * n + 2][::-1]
        yield name, first[:, 0], first[:, 1], second[:, 1]
