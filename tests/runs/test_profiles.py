"""Where the parameters of a run come from, and which are refused before it."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest
from dummy_notebooks import write_notebook
from other_values import OTHER, every_value, put, write_params
from run_cases import call, write_market
from small_cases import FIELDS

from bessvpp.__main__ import main
from bessvpp.errors import DataError, ParameterError, RunError
from bessvpp.files import PROJECT_ROOT
from bessvpp.runs import profiles


def test_profile_beats_files_and_the_command_line_beats_both(three: Path, tmp_path: Path):
    own = tmp_path / "own"
    own.mkdir()
    for path in (PROJECT_ROOT / "params").glob("*.yaml"):
        (own / path.name).write_text(path.read_text())
    (own / "scenarios.yaml").write_text(
        "dependence: copula\nn_scenarios: 21\nseed: 7\ngibbs_sweeps: 20\n"
    )
    (own / "risk.yaml").write_text("alpha: 0.5\nrisk_aversion: 0.2\nlambdas: [0.0, 1.0]\n")
    (tmp_path / "mine.yaml").write_text("alpha: 0.25\nsynthetic_days: 90\n")
    given = profiles.parse_assignments(["synthetic_days=80"])
    resolved = profiles.resolve("./mine.yaml", given, "own")
    assert resolved.profile == "mine"
    assert resolved.knobs["n_scenarios"] == resolved.sections.scenarios.n_scenarios == 21
    assert resolved.knobs["alpha"] == resolved.sections.risk.alpha == 0.25
    assert resolved.knobs["synthetic_days"] == 80
    assert resolved.sections.risk.lambdas == (0.0, 1.0)


def test_files_of_ones_own_that_the_profile_overrules_are_told_of(three: Path, tmp_path: Path):
    files = write_params(tmp_path / "own", FIELDS)  # 6 scenarios, tail share 0.4
    (tmp_path / "mine.yaml").write_text("n_scenarios: 8\nalpha: 0.4\n")
    found = profiles.resolve("./mine.yaml", params=str(files))
    assert found.overruled == (
        f"{files / 'scenarios.yaml'}: n_scenarios: 6 is not used, profile mine sets 8; "
        "-p n_scenarios=6 uses it",
    )
    assert profiles.resolve("./mine.yaml", {"n_scenarios": 6}, str(files)).overruled == ()
    assert profiles.resolve("./mine.yaml").overruled == ()
    shutil.copytree(PROJECT_ROOT / "params", tmp_path / "copied")
    assert profiles.resolve("./mine.yaml", params=str(tmp_path / "copied")).overruled == ()


def test_a_value_of_the_battery_is_said_to_stand_in_its_file(three: Path):
    for key in ("e_max_mwh", "connection_limit_mw"):
        with pytest.raises(ParameterError, match=rf"{key}: is no .*params/bess\.yaml .*--params"):
            profiles.resolve("./empty.yaml", {key: 90})


def test_declared_parameters_are_plain_literals(tmp_path: Path):
    path = write_notebook(tmp_path, "01_a", "a = 1\nb: list = [0.1, -2]  # why\nc = 'x'\nd = None")
    assert profiles.declared_parameters(path) == {"a": 1, "b": [0.1, -2], "c": "x", "d": None}
    for bad in ("a = int('3')", "import os", "a = b = c", "a, b = 1, 2"):
        with pytest.raises(ParameterError, match="plain value"):
            profiles.declared_parameters(write_notebook(tmp_path, "02_b", bad))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["n_scenario=5"], "did you mean 'n_scenarios'"),
        (["min_group_size=5"], "it is set in params/forecast.yaml"),
        (["n_scenarios=1"], "n_scenarios: Input should be greater than or equal to 2"),
        (["n_scenarios=many"], "n_scenarios"),
        (["alpha=1.5"], "alpha"),
        (["outputs=x"], "give it with --outputs"),
        (["n_scenarios"], "write it as key=value"),
        (["alpha=[1"], "not readable as YAML"),
    ],
)
def test_a_bad_parameter_is_refused_before_anything_runs(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
):
    assert call("-p", *words) == ParameterError.exit_code
    assert told in capsys.readouterr().err
    write_market(tmp_path / "one.csv", 1)
    text = (tmp_path / "one.csv").read_text()
    (tmp_path / "one.csv").write_text(text.replace("rtm_mcp_rs_mwh", "other"))
    (tmp_path / "few.csv").write_text("\n".join(text.splitlines()[: 1 + 24 * 30]) + "\n")
    for name, why in (("one", "no RTM price was found"), ("few", "too few days")):
        capsys.readouterr()
        assert call("-p", f"data={name}.csv") == DataError.exit_code
        assert why in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert call("--only", "02", "-p", "data=few.csv") == 0  # which reads no prices


def test_a_bad_name_in_a_profile_is_refused_with_the_profile(three: Path, tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("n_scenarioz: 5\n")
    with pytest.raises(ParameterError, match=r"profile mine: n_scenarioz: .*'n_scenarios'"):
        profiles.resolve("./mine.yaml")
    with pytest.raises(ParameterError, match=r"no profile 'bok'; there are book, .*quick"):
        profiles.resolve("bok")


def test_data_that_cannot_make_a_run_are_refused_before_anything_runs(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert call("-p", "data=nowhere.csv") == DataError.exit_code
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / ".gitkeep").touch()
    assert call("-p", "data=raw") == DataError.exit_code
    assert not (tmp_path / "out").exists()


def test_relative_paths_start_where_the_command_was_typed(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "elsewhere").mkdir()
    write_market(tmp_path / "elsewhere" / "prices.csv", 1)
    monkeypatch.chdir(tmp_path / "elsewhere")
    words = ["--profile", "../empty.yaml", "--outputs", "../far/out", "-p", "data=prices.csv"]
    assert main(["run", *words, "--only", "01"]) == 0
    seen = json.loads((tmp_path / "far" / "out" / "seen.json").read_text())
    assert seen["data"] == str(tmp_path / "elsewhere" / "prices.csv")


def test_data_in_a_profile_is_relative_to_the_project(three: Path, tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("data: params/bess.yaml\n")
    resolved = profiles.resolve("./mine.yaml")
    assert resolved.knobs["data"] == str(PROJECT_ROOT / "params" / "bess.yaml")


def test_added_columns_count_by_their_content_too(tmp_path: Path):
    params = tmp_path / "params"
    shutil.copytree(PROJECT_ROOT / "params", params)
    wind = tmp_path / "wind.csv"
    text = (params / "market.yaml").read_text("utf-8")
    given = f'external: [{{file: {wind}, published: "09:00", columns: all}}]'
    assert "external: []" in text
    (params / "market.yaml").write_text(text.replace("external: []", given), "utf-8")
    with pytest.raises(DataError, match=r"wind\.csv: no such file"):
        profiles.resolve(params=str(params))
    hashes = set()
    for content in ("delivery_start,wind\n", "delivery_start,sun\n", "delivery_start,wind\n"):
        wind.write_text(content, "utf-8")
        hashes.add(profiles.resolve(params=str(params)).sha256)
    assert len(hashes) == 2


def test_own_forecasts_count_by_their_content_from_where_the_command_was_typed(
    three: Path, tmp_path: Path
):
    for name in ("01_features", "02_quantile_models"):
        write_notebook(three, name, 'outputs = ""\nparams = ""\nown_quantiles = ""')
    hashes = set()
    for content in ("one", "two", "one"):
        (tmp_path / "mine.csv").write_text(content, "utf-8")
        given = profiles.parse_assignments(["own_quantiles=mine.csv"])
        found = profiles.resolve("./empty.yaml", given)
        assert found.sections.forecast.own_quantiles == str(tmp_path / "mine.csv")
        assert found.knobs["own_quantiles"] == str(tmp_path / "mine.csv")
        hashes.add(found.sha256)
    assert len(hashes) == 2
    with pytest.raises(DataError, match=r"gone\.csv: no such file \(own_quantiles of"):
        profiles.resolve("./empty.yaml", profiles.parse_assignments(["own_quantiles=gone.csv"]))
    (tmp_path / "mine.yaml").write_text("own_quantiles: params/bess.yaml\n")
    found = profiles.resolve("./mine.yaml")
    assert found.knobs["own_quantiles"] == str(PROJECT_ROOT / "params" / "bess.yaml")


def test_data_count_by_their_content(three: Path, tmp_path: Path):
    for name, seed in (("a.csv", 1), ("same.csv", 1), ("other.csv", 2)):
        write_market(tmp_path / name, seed)
    assert call("--only", "01", "-p", "data=a.csv") == 0
    assert call("--only", "01", "-p", "data=same.csv") == 0
    assert call("--only", "01", "-p", "data=other.csv") == RunError.exit_code


def test_each_value_of_each_file_makes_another_run_or_is_refused(three: Path, tmp_path: Path):
    """A run whose parameters have another hash is another run: it is refused in that folder."""
    kept = dict.fromkeys(("external", "own_quantiles", "own_paths"), "no such file")
    files = write_params(tmp_path / "own", FIELDS)
    before = profiles.resolve("./empty.yaml", params=str(files)).sha256
    for section, key in every_value():
        fields = copy.deepcopy(FIELDS)
        put(fields, section, key, OTHER[section][key])
        write_params(files, fields)
        if key in kept:
            with pytest.raises(DataError, match=kept[key]):
                profiles.resolve("./empty.yaml", params=str(files))
        else:
            assert profiles.resolve("./empty.yaml", params=str(files)).sha256 != before, key
