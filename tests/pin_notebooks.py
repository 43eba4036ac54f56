"""Copies the outputs of checked cells from an executed quick run into the notebooks.

Used on purpose, after a change that is meant to change a figure:
``python -m bessvpp run --profile quick && python tests/pin_notebooks.py outputs/quick``.
"""

import sys
from pathlib import Path

import nbformat

from bessvpp.runs.profiles import notebook_paths

CHECKED = "nbval-check-output"


def pin(source: Path, executed: Path) -> None:
    """Give checked cells the executed outputs and counts; empty all others."""
    notebook = nbformat.read(source, as_version=4)
    by_id = {cell["id"]: cell for cell in nbformat.read(executed, as_version=4).cells}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        checked = CHECKED in cell.metadata.get("tags", [])
        cell.outputs = by_id[cell["id"]].outputs if checked else []
        cell.execution_count = by_id[cell["id"]].execution_count if checked else None
    nbformat.write(notebook, source)


if __name__ == "__main__":
    for name, path in notebook_paths().items():
        pin(path, Path(sys.argv[1]) / "notebooks" / f"{name}.ipynb")
