"""Small notebooks for tests of the runner and the book: seven chapters in a few seconds."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

NAMES = (
    "01_features",
    "02_quantile_models",
    "03_recalibration",
    "04_scenarios",
    "05_two_stage_optimizer",
    "06_backtest",
    "07_efficient_frontier",
)

WRITES = {
    "03_recalibration": """
level = {"nominal": 0.1, "promised": 0.09, "below": 0.08, "at_or_below": 0.12}
level |= {"n_blocks": 960, "n_days": 10}
folder.write_json("coverage.json", {"dam": {"original": {"q10": level}}})
""",
    "06_backtest": """
policy = {"net_rs_causal": 9e5, "gain_over_nothing_causal_rs": 0.0, "capture_causal": 0.9}
folder.write_json(
    "backtest_summary.json",
    {
        "rules": {"commitment": "physical"},
        "policies": {"nothing_committed": policy},
        "lead": {
            "settlement": "with causal recourse",
            "policy": "nothing_committed",
            "over": {},
        },
    },
)
""",
    "07_efficient_frontier": """
point = {"lambda": 0.1, "planned_mean_rs": 1e5, "planned_cvar_rs": 5e4}
folder.write_json("frontier.json", {"fans": {"original": [point]}})
""",
}
FIGURE = """
import matplotlib.pyplot as plt
import plotly.graph_objects as go
figure, axes = plt.subplots()
axes.plot([1, 3, 2])
folder.write_picture("{picture}", figure)
"""
CHART = """
from IPython.display import display
chart = go.Figure(go.Scatter(y=[1, 3, 2]))
page = chart.to_html(
    full_html=False, include_plotlyjs="../_static/plotly.min.js", include_mathjax=False
)
for_lab = {"application/vnd.plotly.v1+json": chart.to_plotly_json(), "text/html": page}
display(for_lab, raw=True)
"""
FOLDER = "from bessvpp.runs.folder import RunFolder\nfolder = RunFolder(outputs)"


def write_notebook(folder: Path, name: str, parameters: str, *cells: str) -> Path:
    """Write a notebook of a heading, a ``parameters`` cell and code cells."""
    tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    notebook = new_notebook(
        cells=[
            new_markdown_cell(
                f"# {name}\n\nThe mean is $\\bar x$:\n\n$$\\bar x = \\sum_s w_s x_s$$"
            ),
            tagged,
            *[new_code_cell(cell.strip()) for cell in cells],
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def write_seven(folder: Path) -> Path:
    """Write seven notebooks that leave what a book needs; the folder."""
    for name in NAMES:
        picture = "coverage.png" if name < "04" else "frontier.png"
        cells = [FOLDER, FIGURE.format(picture=picture), CHART, WRITES.get(name, "")]
        write_notebook(folder, name, 'outputs = ""\nparams = ""', *filter(None, cells))
    return folder
