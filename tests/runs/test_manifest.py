"""The manifest tells how results were made, and which of them are out of date."""

from __future__ import annotations

import copy
import re
import sys
from pathlib import Path

import papermill
import pytest
from dummy_notebooks import write_notebook
from other_values import write_params
from run_cases import FOLDERS, LOG, break_notebook, call, manifest_of, order, write_market
from small_cases import FIELDS

from bessvpp.errors import RunError
from bessvpp.runs.profiles import sha256_of


def test_the_manifest_tells_how_the_results_were_made(three: Path, tmp_path: Path):
    assert call("-p", "synthetic_seed=5") == 0
    manifest = manifest_of(tmp_path / "out")
    assert (manifest["schema"], manifest["status"], manifest["profile"]) == (1, "complete", "empty")
    parameters = manifest["parameters"]
    assert parameters["knobs"]["synthetic_seed"] == 5
    assert parameters["sections"]["market"]["synthetic_seed"] == 5
    assert parameters["sections"]["bess"]["units"][0]["p_max_mw"] == 50.0
    assert len(parameters["sha256"]) == 64
    assert manifest["data"]["source"] == "synthetic"
    assert manifest["seeds"] == {"synthetic_seed": 5, "model_seed": 3, "seed": 7}
    assert manifest["versions"]["python"] == sys.version.split()[0]
    assert manifest["versions"]["papermill"] == papermill.__version__
    assert None not in manifest["versions"].values()
    for entry in manifest["notebooks"].values():
        assert entry["wall_s"] > 0
        assert 20 < entry["peak_memory_mb"] < 2000
    assert manifest["notebooks"]["01_features"]["artefacts"].keys() == {"market.parquet"}


def test_other_parameters_in_the_same_folder_are_refused(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert call("--only", "01") == 0
    assert call("-p", "n_scenarios=50") == RunError.exit_code
    told = capsys.readouterr().err
    assert "n_scenarios 40 there, 50 now" in told
    assert "--overwrite" in told
    assert order(tmp_path / "out") == "01"
    assert call("-p", "n_scenarios=50", "--overwrite") == 0
    assert manifest_of(tmp_path / "out")["parameters"]["knobs"]["n_scenarios"] == 50


def test_a_run_that_left_nothing_is_in_the_way_of_no_other(three: Path, tmp_path: Path):
    good = three / "01_features.ipynb"
    kept = good.read_bytes()
    break_notebook(three, "01_features", "1 / 0")
    assert call() == 1
    good.write_bytes(kept)
    assert call("-p", "n_scenarios=50") == 0
    assert manifest_of(tmp_path / "out")["status"] == "complete"


def test_other_prices_in_the_same_place_are_told_as_such(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_market(tmp_path / "prices.csv", 1)
    assert call("-p", "data=prices.csv") == 0
    write_market(tmp_path / "prices.csv", 2)
    assert call("-p", "data=prices.csv") == RunError.exit_code
    assert "(other prices in the same place); choose another folder" in capsys.readouterr().err


def test_workers_and_the_day_looked_at_are_no_other_parameters(three: Path, tmp_path: Path):
    assert call("--only", "01") == 0
    assert call("--only", "01", "--jobs", "2") == 0
    assert call("--only", "03", "-p", "date=2025-03-02") == 0
    entry = manifest_of(tmp_path / "out")["notebooks"]["03_recalibration"]
    assert entry["parameters"]["date"] == "2025-03-02"


def test_a_changed_result_outdates_the_notebooks_after_it(three: Path, tmp_path: Path):
    assert call() == 0
    assert call("--only", "01") == 0  # the same files again
    assert manifest_of(tmp_path / "out")["status"] == "complete"
    lines = "import pandas as pd\n"
    lines += 'folder.write_frame("market.parquet", pd.DataFrame({"other": [1]}))'
    write_notebook(
        three,
        "01_features",
        FOLDERS
        + 'data = ""\nsynthetic_days = 150\nsynthetic_seed = 11\njobs = 1\nn_scenarios = 40',
        LOG.format(name="01"),
        lines,
    )
    assert call("--only", "01") == 0
    manifest = manifest_of(tmp_path / "out")
    assert manifest["status"] == "partial"
    assert manifest["notebooks"]["03_recalibration"]["status"] == "outdated"


def test_a_parameter_outdates_the_notebooks_that_declare_it_and_those_after(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert call() == 0
    assert call("-p", "alpha=0.1", "--only", "03", "--overwrite") == 0
    assert manifest_of(tmp_path / "out")["status"] == "complete"  # 03 alone declares it
    capsys.readouterr()
    assert call("-p", "alpha=0.1", "synthetic_seed=12", "--only", "03", "--overwrite") == 0
    manifest = manifest_of(tmp_path / "out")
    statuses = [entry["status"] for entry in manifest["notebooks"].values()]
    assert statuses == ["outdated"] * 3  # 03 was run on what other parameters wrote
    assert manifest["status"] == "partial"
    assert "the run is partial: 01_features, 02_quantile_models" in capsys.readouterr().out


def test_another_battery_outdates_what_knows_of_it_alone(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_notebook(three, "05_two_stage_optimizer", FOLDERS, LOG.format(name="05"))
    files = write_params(tmp_path / "own", FIELDS)
    assert call("--params", "own") == 0
    fields = copy.deepcopy(FIELDS)
    fields["bess"]["units"][0]["p_max_mw"] = 40.0
    write_params(files, fields)
    assert call("--params", "own", "--from", "05") == RunError.exit_code
    assert "(bess.units.A.p_max_mw 50.0 there, 40.0 now)" in capsys.readouterr().err
    assert call("--params", "own", "--from", "05", "--overwrite") == 0
    assert manifest_of(tmp_path / "out")["status"] == "complete"
    fields["bess"]["units"][0]["p_max_mw"] = 30.0
    write_params(files, fields)
    assert call("--params", "own", "--only", "01", "--overwrite") == 0
    entries = manifest_of(tmp_path / "out")["notebooks"]
    assert entries["03_recalibration"]["status"] == "complete"
    assert entries["05_two_stage_optimizer"]["status"] == "outdated"


def test_another_content_of_own_forecasts_outdates_those_that_read_them(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_notebook(three, "02_quantile_models", FOLDERS + 'own_quantiles = ""', LOG.format(name=2))
    mine = tmp_path / "mine.csv"
    mine.write_text("one", "utf-8")
    assert call("-p", "own_quantiles=mine.csv") == 0
    one = sha256_of([mine], tmp_path)[:8]
    mine.write_text("two", "utf-8")
    two = sha256_of([mine], tmp_path)[:8]
    assert call("-p", "own_quantiles=mine.csv") == RunError.exit_code
    assert re.search(rf"own_quantiles {one} of .* there, {two} of .* now", capsys.readouterr().err)
    assert call("-p", "own_quantiles=mine.csv", "--only", "03", "--overwrite") == 0
    statuses = [e["status"] for e in manifest_of(tmp_path / "out")["notebooks"].values()]
    assert statuses == ["complete", "outdated", "outdated"]


def test_overwriting_leaves_no_file_of_the_earlier_parameters(three: Path, tmp_path: Path):
    assert call() == 0
    break_notebook(three, "01_features", "1 / 0")
    names = "synthetic_days = 150\nn_scenarios = 40\n"
    write_notebook(three, "02_quantile_models", FOLDERS + names, "pass")
    assert call("-p", "n_scenarios=50", "--overwrite") == 1
    assert not (tmp_path / "out" / "market.parquet").exists()
    assert not (tmp_path / "out" / "coverage.json").exists()


def test_a_folder_without_a_readable_manifest_is_left_alone(three: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text("{half")
    assert call("--overwrite") == RunError.exit_code
    assert (tmp_path / "out" / "manifest.json").read_text() == "{half"
