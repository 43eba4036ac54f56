"""Batteries whose energy, power, cycles and windows lie exactly on their edges."""

from __future__ import annotations

from hypothesis import strategies as st
from small_cases import SECOND_UNIT, UNIT, make_params

from bessvpp.params.load import Params

NOON = [{"start": "12:00", "end": "13:00"}]
EVENING = [{"start": "19:00", "end": "20:00"}]
RULES = [
    ("physical", "hard", "own"),
    ("physical", "hard", "plan"),
    ("physical", "value", "own"),
    ("physical", "value", "plan"),
    ("financial", "hard", "plan"),
    ("financial", "value", "own"),
]
"""Commitment, terminal rule and midnight rule."""
AT_AN_END = {
    "full": ("e_max_mwh", "e_max_mwh"),
    "empty": ("e_min_mwh", "e_min_mwh"),
    "to be emptied": ("e_max_mwh", "e_min_mwh"),
    "to be filled": ("e_min_mwh", "e_max_mwh"),
}
"""Where a day starts, and its target."""


@st.composite
def edge_units(draw, of=UNIT, far: bool = True) -> dict:
    """A unit on some of its edges; ``far``: its target may lie at the other end of the window."""
    unit = dict(of)
    if draw(st.booleans()):
        unit |= {"e_min_mwh": 0.0, "e_max_mwh": unit["e_nameplate_mwh"]}
    if draw(st.booleans()):
        unit |= {"eta_charge": 1.0, "eta_discharge": 1.0}
    start, target = AT_AN_END[
        draw(st.sampled_from(sorted(AT_AN_END) if far else ["empty", "full"]))
    ]
    unit |= {"e_start_mwh": unit[start], "e_target_mwh": unit[target]}
    unit["p_max_mw"] *= draw(st.sampled_from([1.0, 0.9994]))  # a whole number of bid steps, or not
    unit["p_charge_max_mw"] = draw(st.sampled_from([None, 25.0, 60.0]))
    if draw(st.booleans()):  # as many cycles as the way to the target takes, or few
        way = max(unit["e_start_mwh"] - unit["e_target_mwh"], 0.1 * unit["e_nameplate_mwh"])
        unit["max_cycles_per_day"] = way * unit["eta_discharge"] / unit["e_nameplate_mwh"]
    unit["aux_mw"] = draw(st.sampled_from([0.0, 0.2]))
    if start == target:
        charge, discharge = draw(
            st.sampled_from([([], []), (NOON, EVENING), (NOON, NOON), (NOON, []), ([], EVENING)])
        )
        unit |= {"charge_windows": charge, "discharge_windows": discharge}
    if not unit["charge_windows"]:  # else a full battery cannot stay full
        unit["self_discharge_per_hour"] = draw(st.sampled_from([0.0, 1e-4]))
    return unit


@st.composite
def edge_params(draw, commitments=("physical", "financial"), **changes: object) -> Params:
    """One such unit or two, behind a connection of just their power, of less, or of more."""
    units = [draw(edge_units())]
    if draw(st.booleans()):
        units = [draw(edge_units(far=False)), draw(edge_units(SECOND_UNIT, far=False))]
    power = sum(unit["p_max_mw"] for unit in units)
    rules = [rule for rule in RULES if rule[0] in commitments]
    commitment, terminal, midnight = draw(st.sampled_from(rules))
    return make_params(
        units=units,
        connection_limit_mw=power * draw(st.sampled_from([1.0, 0.8, 2.0])),
        commitment=commitment,
        terminal=terminal,
        midnight=midnight,
        **changes,
    )
