"""The summary rows of a Market Snapshot, Max, Min and Avg, as a checksum of its prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bessvpp.cells import Cell, refuse
from bessvpp.tables import VOLUMES, Body, number

CHECKSUM = 0.015  # two numbers published with two decimals agree within this


def check_summary(
    body: Body,
    fields: Sequence[str | None],
    starts: np.ndarray,
    length: int,
    columns: Mapping[str, np.ndarray],
    day_of: Callable[[Cell], int],
) -> list[str]:
    """Prices against the Max, Min and Avg rows; returns notes.

    ``fields`` names the columns as the header above the summary does, ``day_of`` reads a date.

    Rows that occur twice may or may not have counted. Where blocks are missing, a summary made
    over other rows is told from a changed price by the volumes: they disagree as well. Then
    the prices need only be a part of what the summary says.
    """
    kinds = [kind for _, kind, _ in body.summary]
    days = starts // 1440
    once = np.zeros(len(starts), bool)
    once[np.unique(starts, return_index=True)[1]] = True
    groups: dict[int | None, dict[str, tuple[int, dict[str, float]]]] = {}
    for row_number, kind, row in body.summary:
        if kind == "tot":
            continue
        cells = {name: cell for name, cell in zip(fields, row, strict=False) if name}
        try:
            day = day_of(cells["date"]) if kinds.count(kind) > 1 and "date" in cells else None
            published = {name: number(cells[name]) for name in columns if name in cells}
        except ValueError as error:
            refuse(
                f"{body.source}, row {row_number}", "is a summary that no one can read", str(error)
            )
        if kind in groups.setdefault(day, {}):
            refuse(
                f"{body.source}, row {row_number}",
                f"is a second {kind.title()} of the same days",
                "keep one download per file",
            )
        groups[day][kind] = (row_number, published)
    notes = []
    for day, rows in groups.items():
        of_day = np.ones(len(days), bool) if day is None else days == day
        blocks = len(np.unique(days[of_day])) * 1440 // length
        lost = blocks - int((once & of_day).sum())
        prices = [columns["mcp"][of_day], columns["mcp"][of_day & once]]
        bounds = {kind: published.get("mcp", np.nan) for kind, (_, published) in rows.items()}
        wrong = [
            kind
            for kind, published in bounds.items()
            if not any(_agrees(kind, published, values) for values in prices)
        ]
        volumes_differ = any(
            not _agrees(kind, published.get(name, np.nan), columns[name][of_day & once])
            for kind, (_, published) in rows.items()
            for name in VOLUMES
            if name in columns
        )
        if wrong and lost and volumes_differ and _is_part(prices[1], bounds, lost):
            notes.append("the summary rows were made over other rows than are here")
        elif wrong:
            refuse(
                f"{body.source}, row {rows[wrong[0]][0]}",
                f"the {wrong[0].title()} of the price, {bounds[wrong[0]]:g}, contradicts the rows "
                "above",
                "a price was changed, or rows were added or lost; download the file again",
            )
    return notes


def _agrees(kind: str, published: float, values: np.ndarray) -> bool:
    """Whether a summary cell fits its column; where values are missing, within its bounds.

    Blocks without trade may or may not have counted.
    """
    there = values[~np.isnan(values)]
    if np.isnan(published) or not len(there):
        return True
    if len(there) < len(values):
        low = kind == "max" or there.min() >= published - CHECKSUM
        high = kind == "min" or there.max() <= published + CHECKSUM
        return kind == "avg" or bool(low and high)
    reduce = {"max": np.max, "min": np.min, "avg": np.mean}[kind]
    variants = (there, there[there != 0] if there.any() else there)
    return any(abs(reduce(variant) - published) <= CHECKSUM for variant in variants)


def _is_part(values: np.ndarray, bounds: Mapping[str, float], lost: int) -> bool:
    """Whether prices can be some of those that a Max, a Min and an Avg were made over.

    With k more blocks, up to ``lost``, those k have the mean that Avg asks for; it must lie
    between Min and Max.
    """
    there = values[~np.isnan(values)]
    low, high = bounds.get("min", np.nan), bounds.get("max", np.nan)
    if not len(there) or there.min() < low - CHECKSUM or there.max() > high + CHECKSUM:
        return not len(there)
    if np.isnan([low, high, bounds.get("avg", np.nan)]).any():
        return True
    more = np.arange(1, lost + 1)
    slack = CHECKSUM * (len(there) + more) / more
    mean = (bounds["avg"] * (len(there) + more) - there.sum()) / more
    return bool(((mean >= low - slack) & (mean <= high + slack)).any())
