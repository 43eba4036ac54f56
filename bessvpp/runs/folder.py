"""A run's folder: which notebook writes which file, and safe writing.

A file is written beside its place and renamed into it, so a reader sees the old one or the
new one and never a half. A full disk is one clear error.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bessvpp.errors import MissingArtefactError
from bessvpp.files import PROJECT_ROOT, atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


WRITTEN_BY = {
    "market.parquet": "01_features",
    "features_dam.parquet": "01_features",
    "features_rtm.parquet": "01_features",
    "models": "02_quantile_models",
    "models/splits.json": "02_quantile_models",
    "models/rtm/intraday.json": "02_quantile_models",
    "models/dam/models.json": "02_quantile_models",
    "models/rtm/models.json": "02_quantile_models",
    "forecasts_original.parquet": "02_quantile_models",
    "own_quantiles.json": "02_quantile_models",
    "forecasts_recalibrated.parquet": "03_recalibration",
    "recalibration.json": "03_recalibration",
    "cqr_deltas.parquet": "03_recalibration",
    "coverage.json": "03_recalibration",
    "chances.json": "03_recalibration",
    "coverage.png": "03_recalibration",
    "scenarios_original.npz": "04_scenarios",
    "scenarios_recalibrated.npz": "04_scenarios",
    "fan_choice.json": "04_scenarios",
    "own_paths.json": "04_scenarios",
    "backtest_daily.parquet": "06_backtest",
    "backtest_summary.json": "06_backtest",
    "limits.json": "06_backtest",
    "ideas.json": "06_backtest",
    "ideas_daily.parquet": "06_backtest",
    "frontier.parquet": "07_efficient_frontier",
    "frontier_daily.parquet": "07_efficient_frontier",
    "frontier.json": "07_efficient_frontier",
    "frontier.png": "07_efficient_frontier",
    "manifest.json": "python -m bessvpp run",
}
BUILT_ON = ("01_features", "02_quantile_models", "03_recalibration", "04_scenarios")
"""Each needs those before it, and 05 to 07 need all of them and none of each other."""


class RunFolder:
    """Folder of one run; ``""`` is ``outputs/quick`` of the project.

    ``BESSVPP_OUTPUTS`` replaces that default, so that tests do not touch a user's run.
    """

    def __init__(self, path: str | Path = "") -> None:
        default = os.environ.get("BESSVPP_OUTPUTS") or PROJECT_ROOT / "outputs" / "quick"
        self.path = Path(path or default).absolute()

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def existing(self, name: str) -> Path:
        """Path of an artefact that must be there; says which notebook is to be run first."""
        path = self.path / name
        if not path.exists() and name == "manifest.json":
            raise MissingArtefactError(
                f"{self.path} holds no run: make one there with bessvpp run, or name another with "
                "--profile or --outputs"
            )
        if not path.exists():
            writer = WRITTEN_BY.get(name) or WRITTEN_BY[name.split("/")[0]]
            first = self._first_not_run(writer) if writer[0].isdigit() else writer
            told = f"{path}, which {writer} writes," if first != writer else str(path)
            raise MissingArtefactError(f"{told} is not there: run {first} first")
        return path

    def has_any_of(self, notebook: str) -> bool:
        """Whether a notebook left a file here."""
        written = [name for name, by in WRITTEN_BY.items() if by == notebook]
        return any((self.path / name).exists() for name in written)

    def _first_not_run(self, writer: str) -> str:
        """The first notebook that left nothing here, of those that the writer of a file needs."""
        for notebook in BUILT_ON:
            if notebook == writer or not self.has_any_of(notebook):
                return notebook
        return writer

    def read_frame(self, name: str) -> pd.DataFrame:
        """Read a parquet artefact."""
        return pd.read_parquet(self.existing(name))

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON artefact."""
        return json.loads(self.existing(name).read_text(encoding="utf-8"))

    def read_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Read an npz artefact; nothing in it is executed."""
        with np.load(self.existing(name), allow_pickle=False) as arrays:
            return dict(arrays)

    def write_frame(self, name: str, frame: pd.DataFrame) -> Path:
        """Write a data frame as parquet, without its index."""
        return self._write(name, lambda handle: frame.to_parquet(handle, index=False))

    def write_csv(self, name: str, frame: pd.DataFrame) -> Path:
        """Write a data frame as CSV, without its index; lines end alike on every system."""
        return self.write_text(name, frame.to_csv(index=False, lineterminator="\n"))

    def write_json(self, name: str, content: dict[str, Any]) -> Path:
        """Write JSON; a number that is not finite is an error."""
        text = json.dumps(content, indent=2, allow_nan=False, default=_plain) + "\n"
        return self._write(name, lambda handle: handle.write(text.encode()))

    def write_arrays(self, name: str, **arrays: np.ndarray) -> Path:
        """Write arrays as npz."""
        return self._write(name, lambda handle: np.savez_compressed(handle, **arrays))

    def write_picture(self, name: str, figure: Figure) -> Path:
        """Write a picture as PNG."""
        return self._write(name, lambda handle: figure.savefig(handle, format="png", dpi=150))

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file."""
        return self._write(name, lambda handle: handle.write(text.encode()))

    def _write(self, name: str, write: Callable[[io.BufferedWriter], object]) -> Path:
        path = self.path / name
        with atomic_file(path) as handle:
            write(handle)
        return path


def _plain(value: object) -> object:
    """Numpy scalars and arrays as plain JSON values."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} does not belong in a JSON artefact")
