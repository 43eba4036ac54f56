"""The notebooks as files, and each by itself under plain papermill."""

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from bessvpp.files import PROJECT_ROOT
from bessvpp.params.load import FIELDS, load_params, read_yaml
from bessvpp.runs.profiles import declared_parameters, notebook_paths

PATHS = notebook_paths()
CHECKED = "nbval-check-output"


def code_cells(path):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def papermill(path, out, outputs, *words):
    command = [sys.executable, "-m", "papermill", str(path), str(out), "--no-progress-bar"]
    command += ["-p", "outputs", str(outputs), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_there_are_the_seven_notebooks():
    assert [name[:2] for name in PATHS] == [f"{k:02d}" for k in range(1, 8)]


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_only_checked_cells_keep_outputs_and_each_keeps_its_count(path):
    checked = [c for c in code_cells(path) if CHECKED in c.metadata.get("tags", [])]
    assert checked, "a notebook without a checked cell would pass nbval whatever it computes"
    for cell in code_cells(path):
        if cell in checked:
            assert cell.execution_count, "nbval passes a cell without a count silently"
            assert "".join(output.get("text", "") for output in cell.outputs).strip()
        else:
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_cells_are_short_and_define_nothing(path):
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= 15
        kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
        assert not any(isinstance(node, kinds) for node in ast.walk(ast.parse(cell.source)))


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_each_ends_with_assertions(path):
    last = [cell.source for cell in code_cells(path)][-2:]
    assert any("assert " in source for source in last)


def test_defaults_are_the_quick_profile_and_agree_between_notebooks():
    base, quick = load_params(), read_yaml(PROJECT_ROOT / "params" / "profiles" / "quick.yaml")
    seen = {}
    for path in PATHS.values():
        for key, value in declared_parameters(path).items():
            assert seen.setdefault(key, value) == value, f"{path.name}: {key}"
    # notebook 05 opens one fan up, the others both
    for key, value in quick.items():
        assert seen[key] == value
    for key, value in seen.items():
        if key in FIELDS:
            expected = quick.get(key, getattr(getattr(base, FIELDS[key]), key))
            expected = list(expected) if isinstance(expected, tuple) else expected
            assert value == expected, key


def test_plain_papermill_refuses_an_unknown_parameter(tmp_path):
    done = papermill(
        PATHS["04_scenarios"], tmp_path / "out.ipynb", tmp_path, "-p", "n_scenario", "9"
    )
    assert done.returncode != 0
    assert "no parameter 'n_scenario'" in done.stderr
    assert "n_scenarios" in done.stderr


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("02_quantile_models", "01_features"),
        ("03_recalibration", "01_features"),
        ("07_efficient_frontier", "01_features"),
    ],
)
def test_a_notebook_alone_says_what_to_run_first(tmp_path, name, before):
    done = papermill(PATHS[name], tmp_path / "out.ipynb", tmp_path / "empty")
    assert done.returncode != 0
    assert f"run {before} first" in done.stderr


def test_no_notebook_is_far_from_plain_text():
    for path in PATHS.values():
        assert Path(path).stat().st_size < 60_000
