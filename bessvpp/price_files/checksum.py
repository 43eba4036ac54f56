"""The summary rows of a Market Snapshot, Max, Min and Avg, as a checksum of its prices."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from bessvpp.price_files.tables import VOLUMES, Body, number
from bessvpp.price_files.workbook import Cell, refuse

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
    days = starts // 1440
    once = np.zeros(len(starts), bool)
    once[np.unique(starts, return_index=True)[1]] = True
    notes = []
    for day, rows in _summaries(body, fields, columns, day_of).items():
        of_day = np.ones(len(days), bool) if day is None else days == day
        blocks = len(np.unique(days[of_day])) * 1440 // length
        lost = blocks - int((once & of_day).sum())
        prices = [columns["mcp"][of_day], columns["mcp"][of_day & once]]
        bounds = _cells(rows, "mcp")
        wrong = [
            kind for kind in bounds if not any(_agrees(kind, bounds, values) for values in prices)
        ]
        volumes_differ = any(
            not _agrees(kind, _cells(rows, name), columns[name][of_day & once])
            for name in VOLUMES
            if name in columns
            for kind in rows
        )
        unknown = lost + int(np.isnan(prices[1]).sum())
        if np.isnan(prices[1]).any() and not np.isnan(bounds.get("avg", np.nan)):
            notes.append("prices are missing, so the Avg row checks the others only in part")
        if wrong and lost and volumes_differ and _is_part(prices[1], bounds, unknown):
            notes.append("the summary rows were made over other rows than are here")
        elif wrong:
            refuse(
                f"{body.source}, row {rows[wrong[0]][0]}",
                f"the {wrong[0].title()} of the price, {bounds[wrong[0]]:g}, contradicts the rows "
                "above",
                "a price was changed, or rows were added or lost; download the file again",
            )
    return notes


Summary = dict[str, tuple[int, dict[str, float]]]
"""The ``max``, ``min`` and ``avg`` rows of some days: number of the row, cells by column."""


def _summaries(
    body: Body,
    fields: Sequence[str | None],
    columns: Collection[str],
    day_of: Callable[[Cell], int],
) -> dict[int | None, Summary]:
    """The summary rows by the day that they are of; by None where they are of all days."""
    kinds = [kind for _, kind, _ in body.summary]
    groups: dict[int | None, Summary] = {}
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
    return groups


def _cells(rows: Summary, name: str) -> dict[str, float]:
    """Max, Min and Avg of one column, NaN where the row has none."""
    return {kind: published.get(name, np.nan) for kind, (_, published) in rows.items()}


def _agrees(kind: str, bounds: Mapping[str, float], values: np.ndarray) -> bool:
    """Whether a summary cell fits its column; where values are missing, within its bounds.

    Blocks without trade, and those whose value is missing, may or may not have counted.
    """
    there = values[~np.isnan(values)]
    published = bounds[kind]
    if np.isnan(published) or not len(there):
        return True
    missing = len(values) - len(there)
    variants = (there, there[there != 0] if there.any() else there)
    if kind == "avg":
        return any(_has_mean(variant, bounds, missing) for variant in variants)
    reduce, sign = (np.max, 1) if kind == "max" else (np.min, -1)
    beyond = [sign * (reduce(variant) - published) for variant in variants]
    return any((by if missing else abs(by)) <= CHECKSUM for by in beyond)


def _has_mean(there: np.ndarray, bounds: Mapping[str, float], missing: int) -> bool:
    """Whether values have the Avg, by themselves or with up to ``missing`` more.

    With k more, those k have the mean that Avg asks for; it must lie between Min and Max.
    """
    if abs(there.mean() - bounds["avg"]) <= CHECKSUM:
        return True
    more = np.arange(1, missing + 1)
    slack = CHECKSUM * (len(there) + more) / more
    mean = (bounds["avg"] * (len(there) + more) - there.sum()) / more
    low, high = bounds.get("min", np.nan), bounds.get("max", np.nan)
    return not bool(((mean < low - slack) | (mean > high + slack)).all())


def _is_part(values: np.ndarray, bounds: Mapping[str, float], lost: int) -> bool:
    """Whether prices can be some of those that a Max, a Min and an Avg were made over."""
    there = values[~np.isnan(values)]
    low, high = bounds.get("min", np.nan), bounds.get("max", np.nan)
    if not len(there) or there.min() < low - CHECKSUM or there.max() > high + CHECKSUM:
        return not len(there)
    untold = bool(np.isnan([low, high, bounds.get("avg", np.nan)]).any())
    return untold or _has_mean(there, bounds, lost)
