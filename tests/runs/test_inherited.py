"""Each value of parameter files given for a plan is used, or refused with the reason."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from other_values import MATTERS_WITH, every_value, fields_with, put, write_params
from own_cases import paths_file
from small_cases import FIELDS, make_params, write_study

from bessvpp.__main__ import main
from bessvpp.desk.plan import plan_day_ahead
from bessvpp.desk.report import describe_plan
from bessvpp.errors import BessvppError, DataError, ParameterError
from bessvpp.params.load import load_params
from bessvpp.runs.contents import run_market
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.inherited import FIXED, run_parameters


@pytest.fixture(scope="module")
def run(study, tmp_path_factory) -> RunFolder:
    """The small run with a manifest, as if nothing had been given by a profile."""
    folder = tmp_path_factory.mktemp("inherited")
    files = write_params(folder / "params", FIELDS)
    run = RunFolder(folder / "run")
    write_study(run, study)
    write_manifest(run, files)
    return run


def write_manifest(run: RunFolder, files, **given: object) -> None:
    knobs = {"data": "", "commitment": "physical", "n_scenarios": 6} | given
    sections = load_params(files, **given).model_dump(mode="json")
    parameters = {"knobs": knobs, "given": list(given), "folder": str(files), "sections": sections}
    run.write_json("manifest.json", {"status": "complete", "parameters": parameters})


def planned(run: RunFolder, folder) -> tuple:
    """What ``plan --params FOLDER`` comes to: units, bids, quantiles and profits, not its words."""
    params = run_parameters(run, str(folder))
    market = run_market(run, params, None)
    found = plan_day_ahead(run, market, params, fan=params.backtest.fans[-1])
    names = [unit.name for unit in params.bess.units]
    profits = found.profit_rs, found.causal_rs, found.alone_rs
    arrays = found.bid_mw, *profits, found.quantiles["rtm"], found.cvar_rs
    sheets = found.sheet.to_csv(), found.worth_sheet.to_csv()
    return names, *sheets, *(np.round(values, 6).tobytes() for values in arrays)


@pytest.mark.slow
def test_each_value_given_to_a_plan_is_used_or_refused_with_the_reason(run, tmp_path):
    plans, silent = {}, []
    for section, key in every_value():
        context = str(MATTERS_WITH.get(key))
        plain, other = fields_with(section, key)
        if context not in plans:
            plans[context] = planned(run, write_params(tmp_path / "plain", plain))
        try:
            if planned(run, write_params(tmp_path / "other", other)) == plans[context]:
                silent.append(key)
        except BessvppError as refusal:
            if key.split(".")[0] not in str(refusal):
                silent.append(f"{key}: {refusal}")
    assert silent == []


@pytest.mark.parametrize("key", FIXED)
def test_what_the_models_rest_on_is_refused_with_its_file_and_the_reason(run, tmp_path, key):
    section = next(name for name, other in every_value() if other == key)
    files = write_params(tmp_path, fields_with(section, key)[1])
    with pytest.raises(ParameterError, match=rf"{section}\.yaml: {key}: is .*, in the run .*; "):
        run_parameters(run, str(files))


def test_a_plan_is_made_by_the_rules_that_it_is_given_and_says_them(run, study, tmp_path):
    fields = copy.deepcopy(FIELDS)
    put(fields, "backtest", "commitment", "financial")
    put(fields, "risk", "risk_aversion", 0.9)
    params = run_parameters(run, str(write_params(tmp_path, fields)))
    assert params.backtest.commitment == "financial"
    found = plan_day_ahead(run, study.market, params)
    assert found.unit_mw is None
    told = describe_plan(found, study.market, params)
    assert (
        "Commitment financial, terminal rule hard, midnight rule own, lambda 0.9, tail share 0.4, "
        "hurdles of Rs 0/MWh in the DAM and 0 in the RTM, expected recourse, 100% of RTM surprises "
        "counted on." in told
    )
    assert "Connection of 50 MW.\nA: 50 MW, 20 to 180 of 200 MWh, target 100." in told


def test_what_a_profile_gave_the_run_stays_where_the_models_rest_on_it(run, tmp_path):
    """A copy of the run's own files is no request for other models than the profile made."""
    files = write_params(tmp_path / "params", FIELDS)
    other = RunFolder(tmp_path / "run")
    write_manifest(other, files, n_estimators=5, n_scenarios=9)
    own = write_params(tmp_path / "own", FIELDS)
    params = run_parameters(other, str(own))
    assert (params.forecast.n_estimators, params.scenarios.n_scenarios) == (5, 6)
    assert run_parameters(other, None).scenarios.n_scenarios == 9
    write_params(own, fields_with("forecast", "n_estimators")[1])
    with pytest.raises(ParameterError, match="n_estimators: is 9, in the run 5"):
        run_parameters(other, str(own))


def test_files_of_the_run_that_have_changed_since_are_read_as_they_are_or_refused(tmp_path):
    files = write_params(tmp_path / "params", FIELDS)
    run = RunFolder(tmp_path / "run")
    write_manifest(run, files)
    write_params(files, fields_with("backtest", "commitment")[1])
    assert run_parameters(run, None).backtest.commitment == "financial"
    write_params(files, fields_with("forecast", "levels")[1])
    with pytest.raises(ParameterError, match=r"forecast\.yaml: levels: .*models rest on it"):
        run_parameters(run, None)


def test_own_forecasts_are_given_to_a_plan_by_word_from_where_it_was_typed(
    run, study, tmp_path, monkeypatch, capsys
):
    tomorrow = study.market.dates[-1] + 1
    paths = study.window.fans["original"][:1]
    paths_file(tmp_path / "mine.csv", [tomorrow], paths)
    monkeypatch.chdir(tmp_path)
    words = ["plan", "--outputs", str(run.path), "--fan", "original"]
    assert main([*words, "--own-paths", "mine.csv"]) == 0
    told = capsys.readouterr().out
    assert (
        f"Own forecasts: the 6 paths of mine.csv ({tomorrow}) stand in place of the fan, " in told
    )
    assert f"dam_{tomorrow}.csv" in told
    assert main([*words, "--own-quantiles", "mine.csv"]) == DataError.exit_code
    assert "the file holds paths: give it as own_paths" in capsys.readouterr().err


def test_words_of_own_forecasts_replace_those_of_the_files_of_either_kind():
    params = make_params(own_paths="files.csv")
    assert params.with_own_forecasts("", "") == params
    forecast = params.with_own_forecasts("mine.csv", "").forecast
    assert (forecast.own_quantiles, forecast.own_paths) == ("mine.csv", "")


def test_how_files_are_read_is_refused_where_none_are(run):
    for changes in ({"block_minutes": 15}, {"column_names": {"Price": "MCP (Rs/MWh)"}}):
        with pytest.raises(ParameterError, match=f"{next(iter(changes))}.*--data"):
            run_market(run, make_params(**changes), None)
    assert run_market(run, make_params(block_minutes=60), None).block_minutes == 60
