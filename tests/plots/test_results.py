"""Pictures of the frontier say what their axes are."""

import pandas as pd
import pytest

from bessvpp.plots import results


@pytest.fixture
def points():
    """Two lambdas of one fan."""
    rows = pd.DataFrame({"fan": "original", "lambda": [0.0, 1.0]})
    for kind in ("planned", "realised"):
        for name, rs in (("cvar", 1e5), ("mean", 3e5), ("mean_low", 2e5), ("mean_high", 4e5)):
            rows[f"{kind}_{name}_rs"] = [rs, rs + 1e4]
        rows[f"{kind}_dominated"] = False
    return rows.assign(realised_worst_day_rs=5e4)


def test_both_frontiers_say_of_which_share_of_days_cvar_is_the_mean(points):
    static = results.frontier(points, 0.025, True)
    explored = results.interactive_frontier(points, 0.025)
    axes = [axis.get_xlabel() for axis in static.axes] + [explored.layout.xaxis.title.text]
    assert axes == ["CVaR (worst 2.5 % of days), lakh Rs"] * 3
    for says in (static.says, explored.layout.meta["says"]):
        assert "its CVaR, the mean of the worst 2.5 % of days" in says
