"""What a picture shows, as a table: the data to download beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.category import UnitData
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh
from matplotlib.container import BarContainer
from matplotlib.dates import ConciseDateFormatter, num2date
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from matplotlib.ticker import FixedLocator

COLUMNS = ["panel", "series", "x", "y", "to", "value", "x_is", "y_is"]
UNNAMED = re.compile(r"(_(child\d+|container\d+|nolegend_)?)?")
"""Labels that the drawing library gives to what was given none."""
NUMBER = re.compile(r"−?[\d.,]+")


@dataclass(frozen=True)
class _Series:
    """N points; ``to`` is where a band or whisker ends, ``value`` a map's or a bar's length."""

    label: str
    x: np.ndarray
    y: np.ndarray
    to: np.ndarray | float = np.nan
    value: np.ndarray | float = np.nan


def drawn_data(figure: Figure) -> pd.DataFrame:
    """A row a drawn point: ``panel``, ``series``, ``x``, ``y``, and what the axes say they are.

    Curves, steps, bars, bands, points and maps are read back from the picture. ``to`` is the
    ``y`` at which a band or a whisker ends, ``value`` that of a map in its cell about ``x`` and
    ``y``, or how long a bar is, wherever it begins. A label that begins with an underscore stands
    in no legend and names its series here. Of whiskers only those with a label are read.
    """
    parts = []
    for place, axis in enumerate(figure.axes):
        if axis.get_label() == "<colorbar>":
            continue
        panel = axis.get_title(loc="left") or f"panel {place + 1}"
        for number, series in enumerate(_all_series(axis)):
            named = f"series {number + 1}" if _is_unnamed(series.label) else series.label
            places = {"x": _readable(axis.xaxis, series.x), "y": _readable(axis.yaxis, series.y)}
            part = pd.DataFrame({**places, "to": series.to, "value": series.value})
            parts.append(
                part.assign(
                    panel=panel,
                    series=named.removeprefix("_"),
                    x_is=_said(axis, "x"),
                    y_is=_said(axis, "y"),
                )
            )
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.concat(parts, ignore_index=True)[COLUMNS]
    return table.dropna(axis="columns", how="all")


def _is_unnamed(label: str) -> bool:
    return UNNAMED.fullmatch(label) is not None


def _said(axis: Axes, way: str) -> str | None:
    """The label of an axis, or of one that shares it."""
    shared = getattr(axis, f"get_shared_{way}_axes")().get_siblings(axis)
    labels = [getattr(one, f"get_{way}label")() for one in [axis, *shared]]
    if isinstance(getattr(axis, f"{way}axis").get_major_formatter(), ConciseDateFormatter):
        labels.append("date")
    return next((label for label in labels if label), None)


def _readable(axis: Axis, values: np.ndarray) -> object:
    """Dates as dates, names as names; all else as it is."""
    if isinstance(axis.get_major_formatter(), ConciseDateFormatter):
        return [f"{num2date(value):%Y-%m-%d}" for value in values]
    names = _names(axis)
    return [names.get(round(value), value) for value in values] if names else values


def _names(axis: Axis) -> dict[int, str]:
    """What stands at each whole number, where an axis counts things rather than measures."""
    if isinstance(axis.units, UnitData):
        return {place: name for name, place in axis.units._mapping.items()}
    if not isinstance(axis.get_major_locator(), FixedLocator):
        return {}
    names = [label.get_text() for label in axis.get_majorticklabels()]
    places = np.asarray(axis.get_majorticklocs())
    if not np.array_equal(places, np.arange(len(names))) or any(map(NUMBER.fullmatch, names)):
        return {}
    return {place: name for place, name in enumerate(names) if name}


def _all_series(axis: Axes) -> Iterator[_Series]:
    for line in axis.lines:
        if line.get_transform().contains_branch(axis.transData):
            yield _Series(str(line.get_label()), *np.asarray(line.get_xydata()).T)
    for patch in axis.patches:
        if isinstance(patch, StepPatch):
            values, edges, _ = patch.get_data()
            yield _Series(str(patch.get_label()), np.asarray(edges[:-1]), np.asarray(values))
    for bars in (part for part in axis.containers if isinstance(part, BarContainer)):
        boxes = [(bar.get_x(), bar.get_y(), bar.get_width(), bar.get_height()) for bar in bars]
        x, y, width, height = np.array(boxes).T
        upright = getattr(bars, "orientation", "vertical") == "vertical"
        ends = (x + width / 2, y + height) if upright else (x + width, y + height / 2)
        labels = [str(one.get_label()) for one in (bars, bars[0])]  # a histogram's is on its first
        label = next((label for label in labels if not _is_unnamed(label)), "")
        yield _Series(label, *ends, value=height if upright else width)
    for drawn in axis.collections:
        name = str(drawn.get_label())
        if isinstance(drawn, QuadMesh):
            corners = np.asarray(drawn.get_coordinates())  # (rows + 1, columns + 1, 2)
            x, y = (corners[:-1, :-1] + corners[1:, 1:]).reshape(-1, 2).T / 2
            yield _Series(name, x, y, value=_cells(drawn))
        elif isinstance(drawn, PathCollection):
            yield _Series(name, *np.asarray(drawn.get_offsets()).T)
        elif isinstance(drawn, LineCollection) and not _is_unnamed(name):
            ends = np.array(drawn.get_segments())  # (N, 2, 2)
            yield _Series(name, ends[:, 0, 0], ends[:, 0, 1], to=ends[:, 1, 1])
        elif isinstance(drawn, PolyCollection):
            yield from _bands(name, drawn)
    for image in axis.images:
        columns = image.get_array().shape[1]
        y, x = np.divmod(np.arange(image.get_array().size), columns)
        yield _Series(str(image.get_label()), x, y, value=_cells(image))


def _cells(drawn: ScalarMappable) -> np.ndarray:
    """(rows * columns,) values of a map, NaN where there is none."""
    return np.ma.filled(np.ma.masked_invalid(drawn.get_array()).astype(float), np.nan).ravel()


def _bands(name: str, drawn: PolyCollection) -> Iterator[_Series]:
    """A filled band: from its first edge to its second at each x, from there on if in steps."""
    for path in drawn.get_paths():
        corners = np.asarray(
            path.vertices
        )  # a start, one edge, a turn, the other edge backwards, the start
        n = (len(corners) - 3) // 2
        first, second = corners[1 : n + 1], corners[n + 2 : 2 * n + 2][::-1]
        last = np.append(np.diff(first[:, 0]) != 0, True)  # a step has two corners at its x
        yield _Series(name, first[last, 0], first[last, 1], to=second[last, 1])
