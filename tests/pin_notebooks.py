"""Copies the outputs of checked cells from an executed quick run into the notebooks.

Used on purpose, after a change that is meant to change a figure:
``python -m bessvpp run --profile quick && python tests/pin_notebooks.py outputs/quick``.

Machines differ in the last bits of a figure, never in its shown digits unless it lies at the
edge between two of them. So a figure within ``MARGIN`` of such an edge is refused: show fewer
digits of it in the notebook, or another figure.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat

from bessvpp.runs.profiles import notebook_paths

CHECKED = "nbval-check-output"
MARGIN = 0.02  # of a step of the last shown digit


def edge_distance(figure: float, decimals: int) -> float:
    """How far a figure lies from where its rounding changes, in steps of its last digit."""
    return abs(figure * 10.0**decimals % 1.0 - 0.5)


def refusals(cell: nbformat.NotebookNode) -> list[str]:
    """Why the outputs of an executed cell may not be pinned, a line for each reason."""
    kept = [output.get("metadata", {}).get("unrounded") for output in cell.outputs]
    if not kept or not all(kept):
        return ["an output without its unrounded figures; show it by bv.plots.show_checked"]
    return [
        f"{row}, {column}: {figure!r} is too near an edge for {decimals} decimals"
        for figures in kept
        for row, column, figure, decimals in figures
        if edge_distance(figure, decimals) < MARGIN
    ]


def pin(source: Path, executed: Path) -> list[str]:
    """Give checked cells the executed outputs and counts, and empty all others.

    Returns what was refused, each with its cell; then the notebook is left as it was.
    """
    notebook = nbformat.read(source, as_version=4)
    by_id = {cell["id"]: cell for cell in nbformat.read(executed, as_version=4).cells}
    refused = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs, cell.execution_count = [], None
        if CHECKED in cell.metadata.get("tags", []):
            ran = by_id[cell["id"]]
            refused += [f"{source.name}, cell {cell['id']}: {why}" for why in refusals(ran)]
            cell.execution_count = ran.execution_count
            cell.outputs = [nbformat.from_dict(output | {"metadata": {}}) for output in ran.outputs]
    if not refused:
        nbformat.write(notebook, source)
    return refused


if __name__ == "__main__":
    run = Path(sys.argv[1]) / "notebooks"
    found = [pin(path, run / f"{name}.ipynb") for name, path in notebook_paths().items()]
    if any(found):
        sys.exit("not pinned:\n" + "\n".join(line for lines in found for line in lines))
