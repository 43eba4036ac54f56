"""Parameters: what is refused, and that the refusal says where, which and why."""

from __future__ import annotations

import datetime as dt
import shutil

import pytest
import yaml

from bessvpp.errors import ParameterError
from bessvpp.files import PROJECT_ROOT
from bessvpp.params.bess import UnitParams
from bessvpp.params.fields import parse_clock
from bessvpp.params.forecast import level_name
from bessvpp.params.load import SECTIONS, load_params, section_of
from bessvpp.risk import Risk


@pytest.fixture
def folder(tmp_path):
    """A copy of the project's parameter files."""
    return shutil.copytree(PROJECT_ROOT / "params", tmp_path / "params")


def edit(folder, name, change):
    """Apply ``change`` to the content of one of the files."""
    path = folder / f"{name}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def refusal(folder, **overrides) -> str:
    with pytest.raises(ParameterError) as caught:
        load_params(folder, **overrides)
    return str(caught.value)


def test_the_projects_own_files_are_valid_and_hold_the_published_defaults():
    params = load_params()
    unit = params.bess.units[0]
    assert (unit.e_start_mwh, unit.e_target_mwh) == (100, 100)
    assert params.market.dam_gate == 11 * 60
    assert params.market.fee_dam_rs_per_mwh == params.market.fee_rtm_rs_per_mwh == 20
    assert params.market.dsm_share_of_flow == params.market.off_dam_penalty_rs_per_mwh == 0
    assert (params.backtest.commitment, params.backtest.terminal) == ("physical", "value")
    assert set(params.forecast.levels) >= {0.1, 0.25, 0.5, 0.75, 0.9}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_projects_own_files_name_every_field(section):
    """A field with a default, for older folders, would else be one that nobody finds."""
    path = PROJECT_ROOT / "params" / f"{section}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(content) == set(SECTIONS[section].model_fields)
    for unit in content.get("units", ()):
        assert set(unit) == set(UnitParams.model_fields)


def test_a_notebook_parameter_names_one_field_and_no_section_shares_it():
    fields = [field for section in SECTIONS.values() for field in section.model_fields]
    assert len(fields) == len(set(fields))
    assert section_of("alpha") == "risk"
    assert section_of("n_scenarios") == "scenarios"


@pytest.mark.parametrize(
    ("name", "change", "file", "key", "reason"),
    [
        (
            "backtest",
            lambda c: c.update(comitment="physical"),
            "backtest.yaml",
            "comitment",
            "unknown key; did you mean 'commitment'?",
        ),
        ("risk", lambda c: c.pop("alpha"), "risk.yaml", "alpha", "missing"),
        (
            "bess",
            lambda c: c.update(connection_limit_mw="50 MW"),
            "bess.yaml",
            "connection_limit_mw",
            "'50 MW'",
        ),
        (
            "bess",
            lambda c: c["units"][0].update(p_max_mw="50 MW"),
            "bess.yaml",
            "units.0.p_max_mw",
            "'50 MW'",
        ),
        (
            "bess",
            lambda c: c["units"][0].update(p_max_mwh=50.0),
            "bess.yaml",
            "units.0.p_max_mwh",
            "did you mean 'p_max_mw'?",
        ),
        (
            "market",
            lambda c: c["dsm_rate"].update(rul="highest"),
            "market.yaml",
            "dsm_rate.rul",
            "did you mean 'rule'?",
        ),
        (
            "market",
            lambda c: c.update(dam_gate=660),
            "market.yaml",
            "dam_gate",
            "in quotes",
        ),
        (
            "market",
            lambda c: c.update(dam_gate="11:75"),
            "market.yaml",
            "dam_gate",
            "no clock time",
        ),
        (
            "market",
            lambda c: c.update(dam_results="10:30"),
            "market.yaml",
            "this file",
            "dam_results must be later than dam_gate",
        ),
        (
            "market",
            lambda c: c.update(fee_dam_rs_per_mwh=-1.0),
            "market.yaml",
            "fee_dam_rs_per_mwh",
            "greater than or equal to 0",
        ),
        (
            "market",
            lambda c: c.update(dsm_share_of_flow=3.0),
            "market.yaml",
            "dsm_share_of_flow",
            "less than or equal to 1",
        ),
        (
            "market",
            lambda c: c["price_caps"].reverse(),
            "market.yaml",
            "this file",
            "in order of effective_from",
        ),
        (
            "market",
            lambda c: c.update(rtm_session_minutes=7),
            "market.yaml",
            "this file",
            "must divide a day",
        ),
        (
            "forecast",
            lambda c: c.update(levels=[0.1, 0.9, 0.5]),
            "forecast.yaml",
            "this file",
            "rise strictly",
        ),
        (
            "forecast",
            lambda c: c.update(levels=[0.1, 0.4, 0.9]),
            "forecast.yaml",
            "this file",
            "include 0.5",
        ),
        (
            "forecast",
            lambda c: c.update(levels=[0.0, 0.5, 1.0]),
            "forecast.yaml",
            "levels.0",
            "greater than 0",
        ),
        ("risk", lambda c: c.update(alpha=0.0), "risk.yaml", "alpha", "greater than 0"),
        (
            "risk",
            lambda c: c.update(lambdas=[0.1, 0.0]),
            "risk.yaml",
            "this file",
            "rise strictly",
        ),
        (
            "scenarios",
            lambda c: c.update(n_scenarios=True),
            "scenarios.yaml",
            "n_scenarios",
            "integer",
        ),
        (
            "scenarios",
            lambda c: c.update(n_scenarios=20.5),
            "scenarios.yaml",
            "n_scenarios",
            "20.5",
        ),
        (
            "backtest",
            lambda c: c.update(terminal="soft"),
            "backtest.yaml",
            "terminal",
            "'soft'",
        ),
    ],
)
def test_a_refusal_names_the_file_the_key_and_the_reason(folder, name, change, file, key, reason):
    edit(folder, name, change)
    message = refusal(folder)
    assert f"{folder / file}: {key}: " in message
    assert reason in message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"e_min_mwh": 180.0, "e_max_mwh": 20.0}, "needs e_min_mwh < e_max_mwh"),
        ({"e_max_mwh": 201.0}, "e_max_mwh <= e_nameplate_mwh"),
        ({"e_start_mwh": 19.0}, "e_start_mwh = 19 lies outside the usable window 20 to 180"),
        ({"e_target_mwh": 181.0}, "e_target_mwh = 181 lies outside the usable window"),
        ({"eta_charge": 1.2}, "less than or equal to 1"),
        ({"eta_discharge": 0.0}, "greater than 0"),
        ({"p_max_mw": float("inf")}, "finite"),
        ({"charge_windows": [{"start": "22:00", "end": "02:00"}]}, "spans midnight"),
    ],
)
def test_an_impossible_battery_is_refused(folder, change, reason):
    edit(folder, "bess", lambda content: content["units"][0].update(change))
    message = refusal(folder)
    assert f"{folder / 'bess.yaml'}: units.0" in message
    assert reason in message


@pytest.mark.parametrize(
    ("change", "connection_limit_mw", "reach"),
    [
        # One hour of charging brings 20 MWh to 20 + 50 * 0.9487 = 67.4 MWh, short of 100.
        (
            {"e_start_mwh": 20.0, "charge_windows": [{"start": "10:00", "end": "11:00"}]},
            50.0,
            "50 MW in its windows lead to 20 to 67.435 MWh",
        ),
        # .3 cycles are 60 MWh discharged, which draw 60 / .9487 of 180 MWh: 116.756 are left.
        (
            {"e_start_mwh": 180.0, "max_cycles_per_day": 0.3},
            50.0,
            "50 MW in its windows lead to 116.756 to 180 MWh",
        ),
        # A connection of 2 MW charges 24 * 2 * .9487 = 45.5 MWh a day.
        # 3 MW charge 24 * 3 * .9487 = 68.3 MWh a day, whatever discharge may do.
        (
            {"e_start_mwh": 20.0, "p_charge_max_mw": 3.0},
            50.0,
            "3 MW of charge and 50 MW of discharge in its windows lead to 20 to 88.3064 MWh",
        ),
        ({"e_start_mwh": 20.0}, 2.0, "2 MW in its windows lead to 20 to 65.5376 MWh"),
    ],
)
def test_a_target_out_of_reach_is_refused(folder, change, connection_limit_mw, reach):
    def out_of_reach(content):
        content["units"][0].update(change)
        content["connection_limit_mw"] = connection_limit_mw

    edit(folder, "bess", out_of_reach)
    message = refusal(folder)
    assert "unit BESS-1: e_target_mwh = 100 cannot be reached in a day" in message
    assert reach in message


def test_values_that_do_not_go_together_are_told_with_those_that_were_given():
    told = refusal(PROJECT_ROOT / "params", recalibration="rolling_14", n_scenarios=9)
    assert "forecast.yaml, with recalibration as given: this file: recalibration must be" in told


def test_likely_slips_of_units_are_told_and_the_defaults_have_none(folder):
    assert load_params().doubts() == []
    edit(folder, "bess", lambda c: c["units"][0].update(wear_rs_per_mwh_discharged=0.65))
    edit(folder, "market", lambda c: c.update(fee_dam_rs_per_mwh=0.02, fee_rtm_rs_per_mwh=200.0))
    told = "\n".join(load_params(folder).doubts())
    assert "wear_rs_per_mwh_discharged = 0.65: Rs/kWh?" in told
    assert "fee_dam_rs_per_mwh = 0.02: Rs/kWh?" in told
    assert "fee_rtm_rs_per_mwh = 200" in told


def test_two_units_of_one_name_are_refused(folder):
    edit(folder, "bess", lambda content: content["units"].append(dict(content["units"][0])))
    assert "unit names must differ" in refusal(folder)


def test_every_problem_of_a_file_is_told_at_once(folder):
    edit(folder, "backtest", lambda c: c.update(terminal="soft", solver="glpk"))
    message = refusal(folder)
    assert "terminal" in message
    assert "solver" in message


def test_a_missing_broken_or_wrongly_shaped_file_is_named(folder):
    path = folder / "risk.yaml"
    path.write_text("alpha: [", encoding="utf-8")
    assert f"{path}: not readable as YAML" in refusal(folder)
    path.write_text("- alpha\n", encoding="utf-8")
    assert f"{path}: must hold 'key: value' lines, not a list" in refusal(folder)
    path.unlink()
    assert f"{path}: no such parameter file" in refusal(folder)
    assert "no such folder" in refusal(folder / "none")


def test_a_folder_from_before_the_section_on_risk_still_opens(folder):
    (folder / "risk.yaml").rename(folder / "cvar.yaml")
    edit(folder, "cvar", lambda content: content.pop("risk_aversion"))
    edit(folder, "backtest", lambda content: content.update(risk_aversion=0.7))
    assert load_params(folder).risk.risk == Risk(0.7, 0.05)
    assert load_params(folder, risk_aversion=0.2).risk.risk_aversion == 0.2
    edit(folder, "cvar", lambda content: content.update(alpha=0.0))
    assert f"{folder / 'cvar.yaml'}: alpha: " in refusal(folder)


def test_a_notebook_parameter_replaces_the_files_value_and_is_checked_like_it(folder):
    params = load_params(folder, alpha=0.2, n_scenarios=9, terminal="free")
    assert (params.risk.alpha, params.scenarios.n_scenarios) == (0.2, 9)
    assert params.backtest.terminal == "free"
    message = refusal(folder, alpha=2.0)
    assert message.startswith("notebook parameter: alpha: ")
    assert "got 2.0" in message
    assert "unknown parameter 'alfa'; did you mean 'alpha'?" in refusal(folder, alfa=0.1)
    # Nested ones have no name of their own: which unit would it be?
    assert "unknown parameter 'p_max_mw'" in refusal(folder, p_max_mw=10.0)


def test_parameters_cannot_be_changed_once_read():
    with pytest.raises(ValueError, match="frozen"):
        load_params().risk.alpha = 0.5


def test_the_cap_in_force_changes_on_its_first_day():
    market = load_params().market
    assert market.cap_rs_per_mwh(dt.date(2022, 4, 2)) == 20_000
    assert market.cap_rs_per_mwh(dt.date(2022, 4, 3)) == 12_000
    assert market.cap_rs_per_mwh(dt.date(2023, 4, 3)) == 12_000
    assert market.cap_rs_per_mwh(dt.date(2023, 4, 4)) == 10_000
    with pytest.raises(ParameterError, match="no entry for 2011-12-31"):
        market.cap_rs_per_mwh(dt.date(2011, 12, 31))


def test_clock_times_are_minutes_after_midnight():
    assert [parse_clock(text) for text in ("00:00", "11:30", "24:00")] == [0, 690, 1440]
    for wrong in ("24:01", "7", "-1:30", "1:-5", True, None):
        with pytest.raises(ValueError, match="clock time"):
            parse_clock(wrong)


def test_levels_have_names_that_sort_and_do_not_collide():
    levels = (0.01, 0.025, 0.05, 0.1, 0.5, 0.975, 0.99, 0.999)
    names = [level_name(level) for level in levels]
    assert names == ["q01", "q02.5", "q05", "q10", "q50", "q97.5", "q99", "q99.9"]
    assert names == sorted(names)
