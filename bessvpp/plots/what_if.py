"""Controls with which a reader asks a chapter's question again, and a table of the answers.

The controls work in JupyterLab beside a kernel. A page, and a notebook without a kernel, shows the
table alone, with what was tried when the notebook ran.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ipywidgets as widgets
import pandas as pd
from IPython.display import display

from bessvpp.backtest.what_if import Values, WhatIf
from bessvpp.errors import BessvppError
from bessvpp.plots.show import Columns, table_bundle
from bessvpp.runs.names import share_text

VALUES = {  # name: of its control, of a row in which it is another than the run's
    "risk_aversion": ("λ", "λ {:,g} for {:,g}"),
    "battery_mwh": ("Battery, MWh", "{:,g} for {:,g} MWh"),
    "hurdle_dam_rs_per_mwh": ("Hurdle DAM, Rs/MWh", "hurdle {:,g} for {:,g}"),
}
FIGURES: Columns = {
    "mean_rs": ("Mean", ",.2f"),
    "cvar_rs": ("CVaR", ",.2f"),
    "planned_mean_rs": ("Planned, mean", ",.2f"),
    "planned_cvar_rs": ("Planned, CVaR", ",.2f"),
    "realised_mean_rs": ("Realised, mean", ",.2f"),
    "realised_cvar_rs": ("Realised, CVaR", ",.2f"),
    "dam_traded_mwh": ("DAM, MWh", ",.0f"),
    "e_end_mwh": ("Kept, MWh", ",.0f"),
}
LAKH = 1e5


def show_what_if(question: WhatIf) -> None:
    """Show the controls, and the answers to what is tried without asking; money in lakh Rs."""
    answered = question.answers(question.tried)
    names = [_name(values, question.own) for values in question.tried]
    rows = list(zip(names, answered, strict=True))
    chosen = {
        name: widgets.SelectionSlider(
            options=[(f"{value:,g}", value) for value in options],
            value=question.own[name],
            description=VALUES[name][0],
            continuous_update=False,
            style={"description_width": "11rem"},
            layout={"width": "30rem"},
        )
        for name, options in question.options.items()
    }
    button, told = widgets.Button(description="Plan anew"), widgets.Label()
    display(widgets.VBox([*chosen.values(), widgets.HBox([button, told])]))
    shown, metadata = _table(rows, question.alpha)
    table = display(shown, raw=True, metadata=metadata, display_id=True)

    def ask(_: object) -> None:
        values = {name: control.value for name, control in chosen.items()}
        button.disabled, told.value = True, "planning ..."
        try:
            (figures,) = question.answers([values])
            rows.append((_name(values, question.own), figures))
            shown, metadata = _table(rows, question.alpha)
            table.update(shown, raw=True, metadata=metadata)
            told.value = ""
        except BessvppError as error:
            told.value = str(error)
        finally:
            button.disabled = False

    button.on_click(ask)


def _name(values: Values, own: Values) -> str:
    """What was asked: where values differ from the run's own."""
    other = [name for name in own if values[name] != own[name]]
    return ", ".join(VALUES[n][1].format(values[n], own[n]) for n in other) or "As run"


def _table(
    rows: Sequence[tuple[str, Mapping[str, float]]], alpha: float
) -> tuple[dict[str, str], dict[str, Mapping[str, str]]]:
    """The answers so far, each under what was asked, and their figures to download."""
    table = pd.DataFrame([figures for _, figures in rows], index=[name for name, _ in rows])
    money = [name for name in table if name.endswith("_rs")]
    table[money] /= LAKH
    tail = f"CVaR {share_text(alpha)}"
    columns = {
        name: (str(heading).replace("CVaR", tail), form)
        for name, (heading, form) in FIGURES.items()
        if name in table
    }
    return table_bundle(table, columns, "Lakh Rs a day")
