"""The front page's figures are those of the run's days."""

import re

import pandas as pd
import pytest

from bessvpp.errors import DataError
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.front_page import Answer, source_note, trust

DAYS = [f"2024-01-0{day}" for day in range(1, 5)]
NETS = {  # lakh Rs a day
    "nothing_committed": [1, 1, 1, 1],
    "yesterday": [2, 4, 2, 4],
    "two_stage_original": [9, 9, 9, 9],
    "two_stage_recalibrated": [3, 5, 4, 8],
}
RULES = {
    "first_day": DAYS[0],
    "last_day": DAYS[-1],
    "commitment": "physical",
    "terminal": "hard",
    "risk_aversion": 0.1,
    "alpha": 0.5,
    "fee_dam_rs_per_mwh_traded": 20.0,
    "fee_rtm_rs_per_mwh_traded": 20.0,
    "wear_rs_per_mwh_discharged": [650.0],
}


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path)
    rows = [
        {"date": day, "policy": name, "settlement": way, "net_rs": factor * lakh * 1e5}
        for name, nets in NETS.items()
        for day, lakh in zip(DAYS, nets, strict=True)
        for way, factor in (("with causal recourse", 1), ("with hindsight recourse", 2))
    ]
    folder.write_frame("backtest_daily.parquet", pd.DataFrame(rows))
    summary = {
        "rules": RULES,
        "policies": {name: {} for name in NETS} | {"ceiling": {"net_rs": 4e6}},
        "plan": "two_stage_recalibrated",
        "lead": {"settlement": "with causal recourse"},
    }
    folder.write_json("backtest_summary.json", summary)
    level = {"nominal": 0.9, "promised": 0.7, "below": 0.75, "at_or_below": 1.0}  # on the cap
    level |= {"n_blocks": 9, "n_days": 9}
    folder.write_json("coverage.json", {"dam": {"original": {"q10": level}}})
    return folder


def figures(html):
    return re.findall(r'class="figure">([^<]*)<.*?class="band">([^<]*)<', html)


def test_the_three_figures_are_mean_lead_over_the_best_simple_rule_and_cvar(run):
    (earned, _), (ahead, _), (worst, _) = figures(Answer(run.path).html())
    assert earned == "5.00 lakh Rs"  # (3 + 5 + 4 + 8) / 4
    assert ahead == "+2.00 lakh Rs"  # less (2 + 4 + 2 + 4) / 4
    assert worst == "3.50 lakh Rs"  # the worse half: (3 + 4) / 2


def test_each_figure_lies_within_its_band(run):
    for told, band in figures(Answer(run.path).html()):
        low, high = (float(x) for x in band.strip("[]").split(" to "))
        assert low <= float(told.split()[0]) <= high


def test_the_stairs_rise_from_nothing_to_the_ceiling_by_their_share(run):
    steps = re.findall(
        r'row">([^<]*)</th>.*?--share:([\d.]+).*?</span>([\d.]+)', Answer(run.path).stairs()
    )
    assert [(name, float(share), float(net)) for name, share, net in steps] == [
        ("Nothing committed", 0.1, 1.0),
        ("Yesterday&#x27;s prices", 0.3, 3.0),
        ("Two-stage, recalibrated fan", 0.5, 5.0),
        ("Two-stage, original fan", 0.9, 9.0),
        ("Ceiling: all prices known", 1.0, 10.0),
    ]


def test_the_rules_stand_beside_the_figures(run):
    told = Answer(run.path).rules_in_words()
    for words in ("with causal recourse", "physical", "Rs 650 per MWh", "2024-01-04", "4 days"):
        assert words in told


def test_own_forecasts_are_named_on_the_front_page(run):
    assert "own forecasts" not in Answer(run.path).rules_in_words()
    summary = run.read_json("backtest_summary.json")
    summary["rules"] = {"own_forecasts": "paths of mine.csv"} | RULES
    run.write_json("backtest_summary.json", summary)
    told = Answer(run.path).rules_in_words()
    assert told.startswith("**Planned on own forecasts: paths of mine.csv.** *Two-stage")


def test_trust_says_how_far_the_promise_was_missed_and_how_few_the_days_are(run):
    told = trust(run.path, Answer(run.path))
    assert "5.0% with the original fan" in told  # and by nothing of the band, 0.75 to 1
    assert "rest on 4 days, and their worst share on 2.0" in told


def test_a_real_market_is_not_called_synthetic():
    real = source_note({"data": {"source": "prices.csv"}})
    made = source_note({"data": {"source": "synthetic"}})
    assert "generator" in made["data_note"]
    assert "generator" not in " ".join(real.values())


def test_a_backtest_without_a_plan_is_refused(run):
    summary = run.read_json("backtest_summary.json")
    summary["policies"] = {"nothing_committed": {}, "ceiling": {"net_rs": 1.0}}
    run.write_json("backtest_summary.json", summary)
    with pytest.raises(DataError, match="run 06_backtest again"):
        Answer(run.path)
