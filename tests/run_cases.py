"""Runs of three small notebooks, and what they leave; shared by the tests of runs."""

from __future__ import annotations

from pathlib import Path

from dummy_notebooks import write_notebook
from price_cases import prices, tidy, tidy_frame

from bessvpp.__main__ import main
from bessvpp.runs.manifest import read_manifest

FOLDERS = 'outputs = ""\nparams = ""\n'
LOG = """
from bessvpp.runs.folder import RunFolder
folder = RunFolder(outputs)
with (folder.path / "order.txt").open("a") as log:
    log.write("{name} ")
"""


def call(*words: str) -> int:
    """The command line with an empty profile and outputs in ``out``."""
    return main(["run", "--profile", "./empty.yaml", "--outputs", "out", *words])


def order(outputs: Path) -> str:
    return (outputs / "order.txt").read_text().strip()


def manifest_of(outputs: Path) -> dict:
    manifest = read_manifest(outputs)
    assert manifest is not None
    return manifest


def break_notebook(folder: Path, name: str, source: str) -> None:
    write_notebook(folder, name, FOLDERS, LOG.format(name=name[:2]), source)


def write_market(path: Path, seed: int) -> None:
    """Hourly prices of as many days as the project's own splits ask for."""
    frame = tidy_frame(90, "h")
    tidy(path.parent, frame.assign(rtm_mcp_rs_mwh=prices(len(frame), seed)), path.name)
