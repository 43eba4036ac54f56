"""Run by itself, a notebook uses each value that it is given, or says which one it does not."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import pytest
from dummy_notebooks import write_notebook
from other_values import OTHER, write_params
from small_cases import FIELDS as SMALL
from small_cases import PATIENCE_S

from bessvpp.errors import ParameterError
from bessvpp.params.load import FIELDS, load_params
from bessvpp.runs import notebook
from bessvpp.runs.notebook import notebook_parameters
from bessvpp.runs.profiles import declared_parameters, notebook_paths

INJECTED = "# Parameters\n"


def in_force(namespace: dict, *names: str):
    """What a notebook's second cell loads."""
    return load_params(namespace["params"], **notebook_parameters(namespace, *names))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Files of one's own: lambda 0.3, tail share 0.4."""
    return str(write_params(tmp_path / "own", SMALL))


def test_a_parameter_that_a_notebook_does_not_declare_is_refused():
    namespace = {"alpha": 0.1, "jobs": 2, "In": ["", "# Parameters\nalpha = 0.1\njobs = 2\n"]}
    assert notebook_parameters(namespace, "alpha", "jobs") == {"alpha": 0.1}
    with pytest.raises(ParameterError, match="no parameter 'jobs'"):
        notebook_parameters(namespace, "alpha")


def test_a_cell_of_parameters_that_was_put_right_and_run_again_is_taken_as_it_is():
    cells = ["# Parameters\nalfa = 0.1\n", "x = 1", "# Parameters\nalpha = 0.1\n"]
    assert notebook_parameters({"alpha": 0.1, "In": cells}, "alpha") == {"alpha": 0.1}


def test_files_win_over_what_a_notebook_comes_with_and_papermill_over_both(folder, capsys):
    namespace = {"params": folder, "risk_aversion": 0.1, "alpha": 0.07}
    namespace["In"] = [INJECTED + f"params = {folder!r}\nalpha = 0.07\n"]
    risk = in_force(namespace, "risk_aversion", "alpha").risk
    assert (risk.risk_aversion, risk.alpha) == (0.3, 0.07)
    assert (namespace["risk_aversion"], namespace["alpha"]) == (0.3, 0.07)
    assert capsys.readouterr().err == ""
    # The value that a notebook comes with is a value like any other where it is given.
    namespace = {"params": folder, "risk_aversion": 0.1, "In": [INJECTED + "risk_aversion = 0.1"]}
    assert in_force(namespace, "risk_aversion").risk.risk_aversion == 0.1


def test_an_edited_cell_stays_and_says_which_value_of_the_files_it_replaces(folder, capsys):
    namespace = {"params": folder, "risk_aversion": 0.8, "alpha": 0.4}
    risk = in_force(namespace, "risk_aversion", "alpha").risk
    assert (risk.risk_aversion, risk.alpha) == (0.8, 0.4)
    told = capsys.readouterr().err
    assert told.startswith("note: risk_aversion is 0.8, as this notebook says; ")
    assert told.endswith("own/risk.yaml: 0.3 is not used\n")


def test_files_of_the_project_that_say_otherwise_than_a_notebook_are_told_of(
    folder, capsys, monkeypatch
):
    monkeypatch.setattr(notebook, "PARAMS", Path(folder))
    monkeypatch.setattr(notebook, "load_params", lambda given="": load_params(given or folder))
    namespace = {"params": "", "risk_aversion": 0.1}
    assert notebook_parameters(namespace, "risk_aversion") == {"risk_aversion": 0.1}
    assert "risk_aversion is 0.1, as this notebook says; " in capsys.readouterr().err


def test_each_value_of_the_files_that_a_notebook_declares_is_used(tmp_path):
    """Every notebook with its own literals, every field that it declares: the files' value."""
    fields = copy.deepcopy(SMALL)
    for section in ("forecast", "scenarios", "backtest", "risk"):
        fields[section] |= OTHER[section]
    fields["forecast"] |= {"levels": SMALL["forecast"]["levels"], "recalibration": "static"}
    fields["market"] |= {"synthetic_days": 61, "synthetic_seed": 2}
    files = load_params(write_params(tmp_path, fields))
    for path in notebook_paths().values():
        namespace = declared_parameters(path) | {"params": str(tmp_path)}
        names = [name for name in namespace if name in FIELDS]
        found = load_params(tmp_path, **notebook_parameters(namespace, *names))
        assert found.differing(files) == [], path.name
        kept = {name: getattr(getattr(files, FIELDS[name]), name) for name in names}
        kept = {n: list(v) if isinstance(v, tuple) else v for n, v in kept.items()}
        assert {name: namespace[name] for name in names} == kept


@pytest.mark.slow
def test_plain_papermill_uses_the_files_it_is_given(folder, tmp_path):
    path = write_notebook(
        tmp_path / "notebooks",
        "05_plan",
        'outputs = ""\nparams = ""\nrisk_aversion = 0.1\nalpha = 0.05',
        "import bessvpp as bv\n"
        'names = ("risk_aversion", "alpha")\n'
        "p = bv.load_params(params, **bv.notebook_parameters(globals(), *names))",
        "assert (p.risk.risk_aversion, risk_aversion) == (0.3, 0.3)\n"
        "assert (p.risk.alpha, alpha) == (0.2, 0.2)",
    )
    command = [sys.executable, "-m", "papermill", str(path), str(tmp_path / "out.ipynb")]
    command += [
        "-k",
        "python3",
        "-l",
        "python",
        "--no-progress-bar",
        "-p",
        "params",
        folder,
        "-p",
        "alpha",
        "0.2",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
