"""Controls ask, and each answer joins the table; a page shows the table alone."""

import re

import ipywidgets as widgets
import pytest

from bessvpp.backtest.what_if import WhatIf
from bessvpp.errors import InfeasibleError
from bessvpp.plots import what_if

OWN = {"risk_aversion": 0.1, "battery_mwh": 200.0, "hurdle_dam_rs_per_mwh": 100.0}
SMALL = {**OWN, "battery_mwh": 100.0}


def answers(asked):
    if any(values["risk_aversion"] == 5.0 for values in asked):
        raise InfeasibleError("no plan keeps these rules")
    figures = {"cvar_rs": -5e4, "e_end_mwh": 77.0}
    return [{"mean_rs": 1e4 * v["battery_mwh"], **figures} for v in asked]


class Shown:
    """What a notebook would show, and how it is updated."""

    def __init__(self):
        self.all = []

    def __call__(self, shown, **options):
        self.all.append(shown)
        self.told = options.get("metadata")
        return self

    def update(self, shown, **options):
        self.all[-1] = shown
        self.told = options.get("metadata")

    @property
    def table(self):
        return self.all[-1]["text/plain"].splitlines()[2:]


@pytest.fixture
def shown(monkeypatch):
    seen = Shown()
    monkeypatch.setattr(what_if, "display", seen)
    what_if.show_what_if(WhatIf(OWN, (OWN, SMALL), answers, 0.025))
    return seen


def controls(shown):
    *sliders, row = shown.all[0].children
    button, told = row.children
    return sliders, button, told


def test_what_was_tried_is_a_table_with_names_units_and_digits(shown):
    assert [re.split(" {2,}", line) for line in shown.table] == [
        ["As run", "20.00", "−0.50", "77"],
        ["100 for 200 MWh", "10.00", "−0.50", "77"],
    ]
    html = shown.all[-1]["text/html"]
    for heading in ("Lakh Rs a day", "Mean", "CVaR 2.5 %", "Kept, MWh"):
        assert f"<th>{heading}</th>" in html


def test_the_answers_can_be_downloaded_those_to_come_among_them(shown):
    heading = 'Lakh Rs a day,Mean,CVaR 2.5 %,"Kept, MWh"'
    rows = f"{heading}\nAs run,20.0,-0.5,77.0\n100 for 200 MWh,10.0,-0.5,77.0\n"
    assert shown.told["book"]["data"] == rows
    sliders, button, _ = controls(shown)
    sliders[1].value = 400.0
    button.click()
    assert shown.told["book"]["data"] == rows + "400 for 200 MWh,40.0,-0.5,77.0\n"


def test_controls_start_at_the_run_and_an_answer_joins_the_table(shown):
    sliders, button, told = controls(shown)
    assert isinstance(shown.all[0], widgets.VBox)
    assert [slider.value for slider in sliders] == list(OWN.values())
    assert [slider.description for slider in sliders] == [
        "λ",
        "Battery, MWh",
        "Hurdle DAM, Rs/MWh",
    ]
    sliders[1].value, sliders[2].value = 400.0, 0.0
    button.click()
    assert len(shown.table) == 3
    assert re.split(" {2,}", shown.table[-1]) == [
        "400 for 200 MWh, hurdle 0 for 100",
        "40.00",
        "−0.50",
        "77",
    ]
    assert (told.value, button.disabled) == ("", False)


def test_what_cannot_be_answered_is_said_beside_the_button_and_adds_no_row(shown):
    sliders, button, told = controls(shown)
    sliders[0].value = 5.0
    button.click()
    assert told.value == "no plan keeps these rules"
    assert len(shown.table) == 2
    assert not button.disabled
