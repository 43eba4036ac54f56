"""Controls with which a reader asks a chapter's question again, and a table of the answers.

The controls work in JupyterLab beside a kernel. A page, and a notebook without a kernel, shows the
table alone, with what was tried when the notebook ran.
"""

from __future__ import annotations

import ipywidgets as widgets
import pandas as pd
from IPython.display import display

from bessvpp.backtest.what_if import WhatIf
from bessvpp.errors import BessvppError
from bessvpp.plots.show import Columns, table_bundle

VALUES: Columns = {
    "risk_aversion": ("λ", ",g"),
    "battery_mwh": ("Battery, MWh", ",g"),
    "hurdle_dam_rs_per_mwh": ("Hurdle DAM, Rs/MWh", ",g"),
}
FIGURES: Columns = {
    "mean_rs": ("Mean", ",.2f"),
    "cvar_rs": ("CVaR", ",.2f"),
    "planned_mean_rs": ("Planned, mean", ",.2f"),
    "planned_cvar_rs": ("Planned, CVaR", ",.2f"),
    "realised_mean_rs": ("Realised, mean", ",.2f"),
    "realised_cvar_rs": ("Realised, CVaR", ",.2f"),
    "dam_sold_mwh": ("Sold, MWh", ",.0f"),
    "dam_bought_mwh": ("Bought, MWh", ",.0f"),
    "e_end_mwh": ("At midnight, MWh", ",.0f"),
}
LAKH = 1e5


def show_what_if(question: WhatIf) -> None:
    """Show the controls, and the answers to what is tried without asking; money in lakh Rs."""
    rows = [
        {**values, **figures}
        for values, figures in zip(question.tried, question.answers(question.tried), strict=True)
    ]
    chosen = {
        name: widgets.SelectionSlider(
            options=[(f"{value:,g}", value) for value in options],
            value=question.own[name],
            description=str(VALUES[name][0]),
            continuous_update=False,
            style={"description_width": "11rem"},
            layout={"width": "30rem"},
        )
        for name, options in question.options.items()
    }
    button, told = widgets.Button(description="Plan anew"), widgets.Label()
    display(widgets.VBox([*chosen.values(), widgets.HBox([button, told])]))
    table = display(_table(rows), raw=True, display_id=True)

    def ask(_: object) -> None:
        values = {name: control.value for name, control in chosen.items()}
        button.disabled, told.value = True, "planning ..."
        try:
            (figures,) = question.answers([values])
            rows.append({**values, **figures})
            table.update(_table(rows), raw=True)
            told.value = ""
        except BessvppError as error:
            told.value = str(error)
        finally:
            button.disabled = False

    button.on_click(ask)


def _table(rows: list[dict[str, float]]) -> dict[str, str]:
    """The answers so far; the first is the run's own."""
    table = pd.DataFrame(rows, index=["As run", *["What if"] * (len(rows) - 1)])
    money = [name for name in table if name.endswith("_rs")]
    table[money] /= LAKH
    columns = VALUES | {name: form for name, form in FIGURES.items() if name in table}
    return table_bundle(table, columns, "Lakh Rs a day")
