"""Three small notebooks that a run takes for the project's; finished runs, and their books."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from dummy_notebooks import write_notebook, write_seven
from run_cases import FOLDERS, LOG

from bessvpp.files import PROJECT_ROOT
from bessvpp.runs import profiles
from bessvpp.runs.book import build_book
from bessvpp.runs.pipeline import run_notebooks


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of three notebooks that the command line takes for the project's."""
    folder = tmp_path / "notebooks"
    seen = 'folder.write_json("seen.json", {"n": n_scenarios, "data": data, "jobs": jobs})'
    frame = (
        "import pandas as pd\n"
        'folder.write_frame("market.parquet", pd.DataFrame({"days": [synthetic_days]}))'
    )
    write_notebook(
        folder,
        "01_features",
        FOLDERS
        + 'data = ""\nsynthetic_days = 150\nsynthetic_seed = 11\njobs = 1\nn_scenarios = 40',
        LOG.format(name="01"),
        seen,
        frame,
    )
    write_notebook(folder, "02_quantile_models", FOLDERS, LOG.format(name="02"))
    write_notebook(
        folder,
        "03_recalibration",
        FOLDERS + 'n_scenarios = 40\nalpha = 0.05\ndate = ""',
        LOG.format(name="03"),
        'folder.write_json("coverage.json", {"n": n_scenarios, "alpha": alpha})',
    )
    monkeypatch.setattr(profiles, "NOTEBOOKS", folder)
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture(scope="session")
def dummy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of seven small notebooks."""
    folder = tmp_path_factory.mktemp("dummy")
    notebooks = write_seven(folder / "notebooks")
    (folder / "empty.yaml").write_text("")
    parameters = profiles.resolve(str(folder / "empty.yaml"), notebooks=notebooks)
    run_notebooks(parameters, folder / "out", quiet=True, notebooks=notebooks)
    return folder / "out"


@pytest.fixture(scope="session")
def real_run() -> Path:
    """A finished run of the project's own notebooks, by the command that a reader types."""
    outputs = PROJECT_ROOT / "outputs" / "test"
    command = [sys.executable, "-m", "bessvpp", "run", "--profile", "quick", "--overwrite"]
    subprocess.run([*command, "--outputs", str(outputs)], check=True)
    return outputs


@pytest.fixture(scope="session", params=["dummy", "real"])
def book(request: pytest.FixtureRequest) -> Path:
    """Folder of a built book."""
    return build_book(request.getfixturevalue(f"{request.param}_run")).parent
