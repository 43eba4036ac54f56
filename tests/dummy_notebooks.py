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

RULES = {
    "first_day": "2024-01-01",
    "last_day": "2024-01-02",
    "commitment": "physical",
    "terminal": "hard",
    "causal_recourse": "dynamic",
    "risk_aversion": 0.1,
    "alpha": 0.05,
    "fee_dam_rs_per_mwh_traded": 20.0,
    "fee_rtm_rs_per_mwh_traded": 20.0,
    "dsm_share_of_flow": 0.0,
    "wear_rs_per_mwh_discharged": [650.0],
}
WRITES = {
    "01_features": """
import pandas as pd
folder.write_frame("market.parquet", pd.DataFrame({"dam_mcp": [1.0]}))
""",
    "03_recalibration": """
level = {"nominal": 0.1, "promised": 0.09, "below": 0.08, "at_or_below": 0.12}
level |= {"n_blocks": 960, "n_days": 10}
folder.write_json("coverage.json", {"dam": {"original": {"q10": level}}})
""",
    "06_backtest": """
import pandas as pd
policy = {"net_rs_causal": 9e5, "gain_over_nothing_causal_rs": 0.0, "capture_causal": 0.9}
folder.write_json(
    "backtest_summary.json",
    {
        "rules": RULES,
        "policies": dict.fromkeys(("nothing_committed", "yesterday", "two_stage_original"), policy)
        | {"ceiling": {"net_rs": 1e6}},
        "plan": "two_stage_original",
        "lead": {
            "settlement": "with causal recourse",
            "policy": "nothing_committed",
            "over": {},
        },
    },
)
nets = {"nothing_committed": 1e5, "yesterday": 2e5, "two_stage_original": 4e5}
days = [
    {"date": f"2024-01-0{day}", "policy": name, "settlement": "with causal recourse", "net_rs": net}
    for name, net in nets.items()
    for day in (1, 2)
]
daily = pd.DataFrame(days)
folder.write_frame("backtest_daily.parquet", daily.assign(dispatch_rs=daily["net_rs"] / 2))
""",
    "07_efficient_frontier": """
point = {"lambda": 0.1, "planned_mean_rs": 1e5, "planned_cvar_rs": 5e4}
folder.write_json("frontier.json", {"fans": {"original": [point]}})
""",
}
FIGURE = """
from bessvpp.plots.style import finished, new_figure
figure, axes = new_figure(1, 2, 3.0)
axes[0, 0].plot([1, 3, 2], label="a line")
axes[0, 1].bar(["a", "b"], [2, 1])
picture = finished(figure, True, "A line of three points, and two bars.")
folder.write_picture("{picture}", picture)
picture
"""
CHART = """
import plotly.graph_objects as go
from bessvpp.plots.show import Claims, show_interactive
chart = go.Figure(go.Scatter(x=[0, 1, 2], y=[1, 3, 2], name="three points"))
chart.update_layout(meta={"says": "Three points to point at."})
show_interactive(chart, "frontier", True)
claims = Claims()
claims("One is one", 1 == 1)
claims.show()
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
        writes = WRITES.get(name, "").replace("RULES", repr(RULES))
        cells = [FOLDER, FIGURE.format(picture=picture), CHART, writes]
        write_notebook(folder, name, 'outputs = ""\nparams = ""', *filter(None, cells))
    return folder
