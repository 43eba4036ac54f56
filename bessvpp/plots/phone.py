"""A picture's shape on a phone: panels one below the other, and words that fit."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import FixedLocator

PHONE_WIDTH = 4.3  # inches, which a phone shows on about 360 pixels
TITLE, LABEL = 34, 24  # letters of a line
TWO_LINES = 1.25  # times as high, where names of rows take two lines
Undo = list[Callable[[], object]]


@contextmanager
def narrow(picture: Figure, grid: np.ndarray) -> Iterator[None]:
    """Give a picture its shape on a phone, and then its own again.

    Parameters
    ----------
    grid : (rows, columns) axes of the picture, as they were laid out
    """
    undo: Undo = []
    try:
        _stack(picture, grid, undo)
        for row in grid:
            for axis in row:
                _wrap_words(picture, axis, row[0], undo)
                _shrink_legend(axis, undo)
        _shrink_legend(picture, undo)
        yield
    finally:
        for again in reversed(undo):
            again()


def _stack(picture: Figure, grid: np.ndarray, undo: Undo) -> None:
    """Panels one below the other, as high as they were, a little less where they were beside."""
    width, height = picture.get_size_inches()
    panels, n_columns = grid.ravel(), grid.shape[1]
    before = [axis.get_subplotspec() for axis in panels]
    ratios = before[0].get_gridspec().get_height_ratios() if n_columns == 1 else None
    column = GridSpec(len(panels), 1, figure=picture, height_ratios=ratios)
    for axis, old, place in zip(panels, before, column, strict=True):
        undo.append(partial(axis.set_subplotspec, old))
        axis.set_subplotspec(place)
    factor = 1.0 if n_columns == 1 else 0.72 * n_columns
    undo.append(lambda: picture.set_size_inches(width, height))
    picture.set_size_inches(PHONE_WIDTH, factor * height)


def _wrap_words(picture: Figure, axis: Axes, first: Axes, undo: Undo) -> None:
    """Title, unit and names over several lines; the unit of the row's first panel on each.

    A title begins where its axis does, so names of rows beside that leave it less room.
    """
    title, label = axis.get_title(loc="left"), axis.get_ylabel()
    undo.append(lambda: (axis.set_title(title), axis.set_ylabel(label)))
    shown = axis.yaxis.get_tick_params().get("labelleft", True)
    undo.append(lambda: axis.tick_params(labelleft=shown))
    axis.tick_params(labelleft=first.yaxis.get_tick_params().get("labelleft", True))
    names = [name.get_text() for name in axis.get_yticklabels()]
    named = isinstance(axis.yaxis.get_major_locator(), FixedLocator)
    longest = max(map(len, names), default=0) if named else 0
    axis.set_title(_wrapped(title, TITLE - min(longest, LABEL) // 2))
    axis.set_ylabel(_wrapped(label or first.get_ylabel(), LABEL))
    if longest > LABEL:
        undo.append(lambda: axis.set_yticklabels(names))
        axis.set_yticklabels([_wrapped(name, LABEL) for name in names])
        height = picture.get_size_inches()[1]
        picture.set_size_inches(PHONE_WIDTH, height * TWO_LINES)


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width))


def _shrink_legend(owner: Axes | Figure, undo: Undo) -> None:
    """The same legend in one or two columns, in place of one that is hidden meanwhile."""
    if isinstance(owner, Axes):
        old = owner.get_legend()
        if old is None:
            return
        options: dict[str, Any] = {"loc": old._loc, "fontsize": 8}  # type: ignore[attr-defined]
        undo.append(lambda: setattr(owner, "legend_", old))
    else:
        old = next(iter(owner.legends), None)
        if old is None:
            return
        options = {"loc": "outside upper center"}
        undo.append(lambda: old.set(visible=True, in_layout=True))
        old.set(visible=False, in_layout=False)
    labels = [text.get_text() for text in old.get_texts()]
    columns = 2 if max(map(len, labels)) <= TITLE // 2 + 2 else 1
    new = owner.legend(old.legend_handles, labels, ncols=columns, frameon=False, **options)
    if isinstance(owner, Figure):
        undo.append(new.remove)
