"""The loop of the README, from an empty folder to three closed days."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from other_values import write_params
from small_cases import FIELDS, PATIENCE_S, make_market, make_params, make_study, write_study

from bessvpp.files import PROJECT_ROOT
from bessvpp.forecasting import intraday
from bessvpp.params.load import load_params
from bessvpp.runs import contents
from bessvpp.runs.folder import RunFolder

MAKES_THE_RUN = "python -m bessvpp run --profile quick --outputs desk/run\n"


def make_run(folder) -> None:
    """What the loop's run leaves, of few small models, on prices from a file."""
    market = make_market(70, first="2024-03-15")
    study = make_study(make_params(), market)
    run = RunFolder(folder / "desk" / "run")
    write_study(run, study)
    spreads = intraday.spread_training_set(market, study.splits.train, study.params.market)
    models = intraday.walk_forward_spreads(
        market, study.splits, study.params.forecast, study.params.market
    )
    contents.save_intraday(run, models)
    quantiles = intraday.train_quantiles(*spreads, study.params.forecast)
    contents.save_intraday_quantiles(run, quantiles)
    run.write_json("fan_choice.json", {"fan": "recalibrated"})
    prices = market.to_frame()[["delivery_start", "dam_mcp", "rtm_mcp"]]
    prices.columns = ["delivery_start", "dam_mcp_rs_mwh", "rtm_mcp_rs_mwh"]
    prices.to_csv(folder / "prices.csv", index=False)
    files = write_params(folder / "params", FIELDS)
    sections = load_params(files).model_dump(mode="json")
    knobs = {"data": str(folder / "prices.csv")}
    recorded = {"knobs": knobs, "given": [], "folder": str(files), "sections": sections}
    run.write_json("manifest.json", {"status": "complete", "parameters": recorded})


@pytest.mark.slow
def test_the_loop_of_the_readme_closes_three_days(tmp_path):
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Three days at the desk")[2].partition("\n## ")[0]
    (loop,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert MAKES_THE_RUN in loop
    first, rest = loop.split(MAKES_THE_RUN)
    python = os.path.dirname(sys.executable)
    environment = os.environ | {
        "PATH": f"{python}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT_ROOT),
    }

    def shell(commands: str) -> str:
        return subprocess.run(
            ["bash", "-euc", commands],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_S,
        ).stdout

    shell(first)
    make_run(tmp_path)
    told = shell(rest)
    days = ["2024-05-20", "2024-05-21", "2024-05-22"]
    journal = pd.read_parquet(tmp_path / "desk" / "run" / "journal.parquet")
    assert journal["date"].tolist() == days
    parts = journal.filter(regex=r"^from_\w+_rs$")
    assert parts.shape[1] == 4
    np.testing.assert_allclose(parts.sum(axis=1), journal["difference_rs"], atol=1e-6)
    assert journal["rtm_mwh"].tolist() == [5.0] * 3
    assert journal["measured_blocks"].eq(0).all()
    bids = tmp_path / "desk" / "run" / "bids"
    for day in days:
        assert f"Closed {day}, exchange data" in told
        assert (bids / f"dam_worth_{day}.csv").is_file()
        assert (bids / f"rtm_{day}_1900.csv").is_file()
