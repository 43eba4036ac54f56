"""What a notebook shows besides pictures: sentences, tables, interactive figures, its claims.

All of it works in JupyterLab and in the book, and in neither does it ask another host for anything.
"""

from __future__ import annotations

import html
import itertools
import json
import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from IPython.display import Markdown, display

from bessvpp.market.history import LOOKED_AT, Market
from bessvpp.plots.style import AXIS, GRID
from bessvpp.runs.names import rule_rows

FOR_LAB = "application/vnd.plotly.v1+json"
ON_A_PHONE, LEAST_NAME = 46, 13  # letters that a table may be wide, that names of rows have
Columns = Mapping[Hashable, tuple[str | tuple[str, ...], str]]
"""Column of a table to its heading, unit included, and the form of its figures, such as ",.0f"."""
HEADINGS: Columns = {
    "dam": ("DAM", ",.0f"),
    "rtm": ("RTM", ",.0f"),
    "pinball": ("Pinball loss, Rs/MWh", ",.0f"),
    "crps": ("CRPS, Rs/MWh", ",.0f"),
    "interval_score": ("Interval score, Rs/MWh", ",.0f"),
    "inside": ("Inside 80 %", ".0%"),
    "width": ("Width, Rs/MWh", ",.0f"),
    "promise": ("Promise missed", ".1%"),
    "miscoverage": ("Miscoverage", ".1%"),
    "in_groups": ("In groups", ".1%"),
    "kupiec": ("Kupiec rejects", ".0%"),
    "christoffersen": ("Christoffersen rejects", ".0%"),
    "hours_tested": ("Hours tested", ",.0f"),
    "dm": ("Diebold–Mariano", ".1f"),
    "dam_revenue_rs": ("Revenue, DAM", ",.0f"),
    "rtm_revenue_rs": ("Revenue, RTM", ",.0f"),
    "fee_dam_rs": ("Exchange fee, DAM", ",.0f"),
    "fee_rtm_rs": ("Exchange fee, RTM", ",.0f"),
    "fee_flow_rs": ("Fee on physical flow", ",.0f"),
    "scheduling_rs": ("Scheduling", ",.0f"),
    "wear_rs": ("Wear", ",.0f"),
    "deviation_rs": ("Deviation", ",.0f"),
    "aux_rs": ("Auxiliary load", ",.0f"),
    "net_rs": ("Net", ",.0f"),
}
"""How a reader knows what the package's tables hold."""


def say(text: str) -> None:
    """Show a sentence whose numbers come from the run."""
    display(Markdown(text))


def say_source(market: Market, own: Sequence[str] = ()) -> None:
    """Say where a page's prices come from, and its forecasts where they are a user's own."""
    kind = (
        "**Synthetic market.** The prices on this page are made by a seeded generator, not by "
        "an exchange."
        if market.is_synthetic
        else "**Exchange data**, as read from the files given."
    )
    first, last = market.dates[0], market.dates[-1]
    say(f"> {kind} {len(market.dates)} days, {first} to {last}, {market.n_blocks} blocks a day.")
    if market.looked_at(market.dates).any():
        said = " to ".join(str(day) for day in LOOKED_AT)
        say(
            f"> - The RTM's anchor and other defaults were chosen on real days of {said}: tests on "
            "these are no untouched ones."
        )
    say_own(own)


def say_own(told: Sequence[str]) -> None:
    """Say what a user's own forecasts stand in place of, a line each; nothing without any."""
    if told:
        say("\n".join(f"> - {line}" for line in told))


def say_notes(market: Market) -> None:
    """Say what was noted when a market was read; files without their folders."""
    for note in market.notes:
        place, told, rest = note.partition(": ")
        say(f"- {Path(place).name}{told}{rest}")


def show_table(
    table: pd.DataFrame,
    columns: Columns | Sequence[str],
    index: str = "",
    rows: Mapping[Hashable, str] | None = None,
) -> None:
    """Show a table as a person reads it: names, units, digits.

    Parameters
    ----------
    columns : those that are shown, in this order, or their names where ``HEADINGS`` has them;
        what is no figure is shown as it is, and a figure that is not there as a dash
    index : heading of the rows; "" shows no names of rows
    rows : row to the name that is shown in its place, where ``HEADINGS`` has none or another
    """
    bundle, metadata = table_bundle(table, columns, index, rows)
    display(bundle, raw=True, metadata=metadata)


def table_bundle(
    table: pd.DataFrame,
    columns: Columns | Sequence[str],
    index: str = "",
    rows: Mapping[Hashable, str] | None = None,
) -> tuple[dict[str, str], dict[str, Mapping[str, str]]]:
    """What ``show_table`` shows, HTML for a page and plain text for all else, and its metadata.

    The metadata has the figures before they were rounded, which a page offers to download.
    """
    columns = _with_headings(columns)
    shown = _readable(table, columns, index, rows or {})
    named = pd.DataFrame(
        {_in_one(heading): table[column].to_numpy() for column, (heading, _) in columns.items()},
        index=_names_of_rows(table, index, rows or {}),
    )
    bundle = {"text/html": _as_html(shown, bool(index)), "text/plain": shown.to_string()}
    return bundle, _to_download(named, bool(index))


def _to_download(table: pd.DataFrame, named: bool) -> dict[str, Mapping[str, str]]:
    """Metadata of an output with a table's figures; ``named`` where its rows have names."""
    return {"book": {"data": table.to_csv(index=named)}}


def _with_headings(columns: Columns | Sequence[str]) -> Columns:
    if isinstance(columns, Mapping):
        return columns
    return {column: HEADINGS[column] for column in columns}


def _in_one(heading: str | tuple[str, ...]) -> str:
    return heading if isinstance(heading, str) else ", ".join(heading)


def _names_of_rows(table: pd.DataFrame, index: str, rows: Mapping[Hashable, str]) -> pd.Index:
    known = {row: heading for row, (heading, _) in HEADINGS.items()} | dict(rows)
    names = [known.get(row, row) for row in table.index]
    words = [
        ", ".join(str(known.get(part, part)) for part in name)
        if isinstance(name, tuple)
        else str(name)
        for name in names
    ]
    return pd.Index(words, name=index or None)


def _readable(
    table: pd.DataFrame, columns: Columns, index: str, rows: Mapping[Hashable, str]
) -> pd.DataFrame:
    """Every cell as text, under its heading."""
    cells = {
        heading: [_cell(value, form) for value in table[column]]
        for column, (heading, form) in columns.items()
    }
    return pd.DataFrame(cells, index=_names_of_rows(table, index, rows))


def _cell(value: object, form: str) -> str:
    if value is None or value is pd.NaT or (isinstance(value, float) and not np.isfinite(value)):
        return "–"
    if isinstance(value, pd.Timestamp) and value == value.normalize():
        return f"{value:%Y-%m-%d}"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    number = isinstance(value, int | float | np.number)
    text = format(value, form) if number else str(value)
    return text.replace("-", "−", 1) if number else text


def _as_html(shown: pd.DataFrame, named: bool, classes: str = "figures") -> str:
    """Headings as cells of the first row; on a phone, too wide a table has its rows apart.

    There each figure stands below its heading, which its cell carries.
    """
    too_wide = _letters(shown, named) > ON_A_PHONE
    cells = itertools.cycle(_cells_with_headings(shown.columns))
    if named and shown.columns.nlevels == 1:
        shown = shown.rename_axis(columns=shown.index.name).rename_axis(index=None)
    classes += " apart" * too_wide
    table = shown.to_html(index=named, border=0, justify="unset", classes=classes)
    if too_wide:
        table = re.sub("<td>", lambda _: next(cells), table)
    return f'<div class="table-box" tabindex="0" role="region" aria-label="table">{table}</div>'


def _cells_with_headings(columns: pd.Index) -> list[str]:
    """How a cell of each column opens: with its heading, after that of a group that it begins."""
    cells, group = [], [""]
    for heading in columns:
        *above, own = [heading] if isinstance(heading, str) else heading
        begins = bool(above) and above != group
        told = html.escape(", ".join([*above, own]) if begins else own)
        cells.append(f'<td{" data-begins" if begins else ""} data-head="{told}">')
        group = above
    return cells


def _letters(shown: pd.DataFrame, named: bool) -> int:
    """Width of a table in letters: of each column its longest word, and the room beside it."""
    columns = [[_in_one(heading), *shown[heading]] for heading in shown.columns]
    if named:
        columns.append(["x" * LEAST_NAME, *shown.index])
    return sum(2 + max(map(len, " ".join(column).split())) for column in columns)


def show_figures(table: pd.DataFrame) -> None:
    """Show a table of figures of very different size, each with three digits or more."""
    shown = pd.DataFrame(
        {
            str(column).capitalize(): [
                _cell(value, ",.0f" if isinstance(value, float) and abs(value) >= 100 else ".3g")
                if isinstance(value, float)
                else _cell(value, ",")
                for value in table[column]
            ]
            for column in table
        }
    )
    named = table.rename(columns=lambda column: str(column).capitalize())
    bundle = {"text/html": _as_html(shown, False), "text/plain": shown.to_string()}
    display(bundle, raw=True, metadata=_to_download(named, False))


def show_rules(rules: Mapping[str, object]) -> None:
    """Show what the figures of a backtest rest on."""
    shown = pd.DataFrame(rule_rows(rules))
    page = _as_html(shown, False, "figures words")
    display({"text/html": page, "text/plain": shown.to_string()}, raw=True)


def show_checked(
    table: pd.DataFrame,
    decimals: int | Mapping[str, int],
    columns: Mapping[str, str] | None = None,
    index: str = "",
    rows: Mapping[Hashable, str] | None = None,
) -> None:
    """Show figures that a test compares, each with the decimals of its column.

    The unrounded ones go along in the output's metadata, which nbval does not compare, as
    [row, column, figure, decimals]: ``tests/pin_notebooks.py`` refuses there what another
    machine could round the other way. So does the table as the book shows it, with the headings
    of ``columns`` and the names of ``rows``.
    """
    if isinstance(decimals, int):
        decimals = dict.fromkeys(table.columns, decimals)
    names = [" ".join(map(str, row if isinstance(row, tuple) else (row,))) for row in table.index]
    shown = pd.DataFrame(index=table.index)
    figures = []
    for column, digits in decimals.items():
        values = table[column].to_numpy(float)
        rounded = np.round(values, digits) + 0.0  # no -0
        shown[column] = [f"{v:.{max(digits, 0)}f}" if np.isfinite(v) else "" for v in rounded]
        named = zip(names, values.tolist(), strict=True)
        figures += [[row, column, v, digits] for row, v in named if np.isfinite(v)]
    known = {column: str(heading) for column, (heading, _) in HEADINGS.items()} | (columns or {})
    headings = {
        column: (known.get(column, column), f",.{max(digits, 0)}f")
        for column, digits in decimals.items()
    }
    rounded_table = pd.DataFrame(
        {column: table[column].astype(float).round(digits) for column, digits in decimals.items()}
    )
    for_book = _as_html(_readable(rounded_table, headings, index or " ", rows or {}), True)
    metadata = {"unrounded": figures, "book": {"table": for_book}}
    display({"text/plain": shown.to_string()}, raw=True, metadata=metadata)


def show_interactive(figure: go.Figure, name: str, synthetic: bool) -> None:
    """Show a Plotly figure in JupyterLab and in the book, both without the internet.

    In the book ``_static/book.js`` draws it when it comes into view, in the page's colours.
    ``name`` is the figure's id on its page; ``says`` in the figure's ``layout.meta`` is its
    caption, and the text for who cannot see it.
    """
    says = (figure.layout.meta or {}).get("says", "")
    figure.update_layout(
        template="plotly_white",
        font={"size": 13},
        height=480,
        margin={"l": 70, "r": 20, "t": 60, "b": 60},
        legend={"orientation": "h", "y": -0.2},
    )
    lines = {"gridcolor": GRID, "zerolinecolor": AXIS, "linecolor": AXIS, "showline": True}
    figure.update_xaxes(**lines)
    figure.update_yaxes(**lines)
    if synthetic:
        figure.add_annotation(
            text="synthetic market", xref="paper", yref="paper", x=1, y=1.06, showarrow=False
        )
    drawn = figure.to_plotly_json()
    for_page = json.dumps(json.loads(figure.to_json()), separators=(",", ":"))
    for_page = for_page.replace("</", "<\\/")
    page = (
        f'<div class="interactive" id="{name}" role="img" aria-label="{html.escape(says)}">'
        f'<script type="application/json">{for_page}</script></div>'
    )
    axes = {"x_is": figure.layout.xaxis.title.text, "y_is": figure.layout.yaxis.title.text}
    data = pd.concat(map(_points, figure.data), ignore_index=True).assign(**axes)
    data = data.dropna(axis="columns", how="all").to_csv(index=False)
    metadata = {"book": {"says": says, "name": name, "data": data}}
    display({FOR_LAB: drawn, "text/html": page}, raw=True, metadata=metadata)


def _points(trace: go.Scatter) -> pd.DataFrame:
    """What a curve shows, and what the pointer says beside it under the names in ``meta``."""
    beside = zip(trace.meta or (), np.transpose(trace.customdata or ()), strict=True)
    points = {"series": trace.name, "x": list(trace.x), "y": list(trace.y)}
    return pd.DataFrame(points | dict(beside))


class Claims:
    """What a page asserts: each claim is checked when it is made, and shown at the end.

    Examples
    --------
    >>> claims = bv.plots.Claims()
    >>> claims("The mean lies between the least and the greatest", 1 <= np.mean([1, 4]) <= 4)
    >>> claims("Two and two are five", 2 + 2 == 5)
    Traceback (most recent call last):
    AssertionError: Two and two are five
    """

    def __init__(self) -> None:
        self.held: list[str] = []

    def __call__(self, claim: str, holds: object) -> None:
        """Make a claim; an ``AssertionError`` with its words where it does not hold."""
        if not np.all(holds):
            raise AssertionError(claim)
        if claim not in self.held:  # a cell that is run again
            self.held.append(claim)

    def show(self) -> None:
        """A box with every claim that was made and held."""
        count = f"{len(self.held)} of {len(self.held)} hold"
        entries = "".join(f"<li>{html.escape(claim)}</li>" for claim in self.held)
        box = (
            '<details class="admonition claims"><summary class="admonition-title">What this page '
            f"asserts: {count}</summary><ul>{entries}</ul></details>"
        )
        text = "\n".join([f"What this page asserts: {count}", *[f"✓ {c}" for c in self.held]])
        display({"text/html": box, "text/plain": text}, raw=True)
