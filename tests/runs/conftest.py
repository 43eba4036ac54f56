"""Three small notebooks that a run takes for the project's."""

from __future__ import annotations

from pathlib import Path

import pytest
from dummy_notebooks import write_notebook
from run_cases import FOLDERS, LOG

from bessvpp.runs import profiles


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
