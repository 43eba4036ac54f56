"""Every parameter has a name and a unit where runs are compared."""

import re

import pytest
from small_cases import make_params

from bessvpp.params.load import load_params
from bessvpp.runs.parameter_names import (
    PARAMETERS,
    flat_parameters,
    parameter_name,
    value_in_words,
)


def test_every_parameter_has_a_name_of_its_own_and_a_value_in_words():
    flat = flat_parameters(load_params().model_dump(mode="json"))
    for place, value in flat.items():
        assert place.split(".")[-1] in PARAMETERS, f"give {place} a name in runs/parameter_names.py"
        told = value_in_words(value, place.split(".")[-1])
        assert told
        assert not re.search(r"[a-z]_[a-z]|[\[\]{}']", parameter_name(place) + told), place
    assert len({parameter_name(place) for place in flat}) == len(flat)


def test_units_are_told_apart_by_their_names():
    two = make_params().model_dump(mode="json")
    (unit,) = two["bess"]["units"]
    two["bess"]["units"] = [unit, unit | {"name": "No. 2"}]
    flat = flat_parameters({"bess": two["bess"]})
    assert parameter_name("bess.units.No. 2.p_max_mw") == "No. 2: power, MW"
    assert flat["bess.units.No. 2.p_max_mw"] == flat["bess.units.A.p_max_mw"] == 50.0
    assert not any(place.endswith(".name") for place in flat)


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("market.dam_gate", 660, "11:00"),
        ("market.fee_dam_rs_per_mwh", 20.0, "20"),
        ("market.scheduling_rs_per_day", 2000.0, "2,000"),
        ("bess.units.A.charge_windows", [{"start": 600, "end": 930}], "start 10:00 end 15:30"),
        (
            "market.price_caps",
            [{"effective_from": "2023-04-04", "cap_rs_per_mwh": 1e4}],
            "from 2023-04-04 10,000",
        ),
        ("backtest.unbacked_max_mwh_per_day", None, "none"),
        ("risk.lambdas", [0.0, 0.1], "0, 0.1"),
        ("market.column_names", {}, "none"),
    ],
)
def test_values_are_written_as_they_are_read(place, value, told):
    assert value_in_words(value, place.split(".")[-1]) == told


def test_a_version_is_called_one():
    assert parameter_name("version.numpy") == "Version of numpy"
