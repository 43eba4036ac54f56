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
OVER = {
    "two_stage_original": {"ahead_rs": 8e5, "low_rs": 4e5, "high_rs": 12e5},
    "two_stage_recalibrated": {"ahead_rs": 4e5, "low_rs": -4e5, "high_rs": 8e5},
}


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path)
    rows = [
        {
            "date": day,
            "policy": name,
            "settlement": way,
            "net_rs": factor * lakh * 1e5,
            "dispatch_rs": 0.6 * factor * lakh * 1e5,
        }
        for name, nets in NETS.items()
        for day, lakh in zip(DAYS, nets, strict=True)
        for way, factor in (("with causal recourse", 1), ("with hindsight recourse", 2))
    ]
    folder.write_frame("backtest_daily.parquet", pd.DataFrame(rows))
    summary = {
        "rules": RULES,
        "policies": {name: {} for name in NETS} | {"ceiling": {"net_rs": 4e6}},
        "plan": "two_stage_recalibrated",
        "lead": {"settlement": "with causal recourse", "policy": "yesterday", "over": OVER},
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
    assert "a day on the worst 50 % of days (CVaR)" in Answer(run.path).html()


def with_rules(run, **changes):
    summary = run.read_json("backtest_summary.json")
    summary["rules"] |= changes
    run.write_json("backtest_summary.json", summary)
    return Answer(run.path)


def test_a_plan_behind_a_simple_rule_is_said_to_be_behind_by_so_much(run):
    daily = run.read_frame("backtest_daily.parquet")
    daily.loc[daily["policy"] == "yesterday", "net_rs"] += 5e5
    run.write_frame("backtest_daily.parquet", daily)
    told = Answer(run.path).html()
    assert figures(told)[1][0] == "3.00 lakh Rs"  # 2 ahead before, 5 more for the rule
    assert "a day behind the best simpler rule" in told


def test_a_worst_share_of_less_than_a_day_is_the_worst_day_and_has_no_band(run):
    told = with_rules(run, alpha=0.05).html()
    assert figures(told)[2] == ("3.00 lakh Rs", "one day alone, so no band")
    assert "on the worst of the 4 days" in told


def test_what_the_battery_earns_is_told_from_what_trade_adds(run):
    told = Answer(run.path).split_in_words()
    assert "5.00 lakh Rs a day, 3.00 are" in told
    assert "The other 2.00 are a {term}`position`" in told
    assert "trade, not storage" not in told
    rows = [
        {"limit_mwh_per_day": 0.0, "net_rs": 16e5},  # 4 a day
        {"limit_mwh_per_day": None, "net_rs": 20e5},
    ]
    run.write_json("limits.json", {"limits": rows})
    told = Answer(run.path).split_in_words()
    assert "earns 4.00; the other 1.00 are trade, not storage, and" in told


def test_who_leads_is_told_a_day_and_whether_it_may_be_chance(run):
    told = Answer(run.path).lead_in_words()
    assert told.startswith("The largest net is that of **Yesterday's prices**: 2.00 a day ahead of")
    assert "2.00 a day ahead of Two-stage, original fan (1.00 to 3.00, beyond chance)" in told
    assert "recalibrated fan (−1.00 to 2.00, which may be chance)" in told


def test_the_battery_stands_beside_the_figures(run):
    assert "A battery of" not in Answer(run.path).rules_in_words()  # a run from before it was told
    told = with_rules(run, battery="50 MW and 200 MWh, of which 160 are used").rules_in_words()
    assert told.startswith("A battery of **50 MW and 200 MWh, of which 160 are used**.")


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
    for words in (
        "with {term}`causal recourse`",
        "physical",
        "Rs 650 per MWh",
        "2024-01-04",
        "4 days",
    ):
        assert words in told


def test_own_forecasts_are_named_on_the_front_page(run):
    assert "own forecasts" not in Answer(run.path).rules_in_words()
    summary = run.read_json("backtest_summary.json")
    summary["rules"] = {"own_forecasts": "paths of mine.csv"} | RULES
    run.write_json("backtest_summary.json", summary)
    told = Answer(run.path).rules_in_words()
    assert told.startswith("**Planned on own forecasts: paths of mine.csv.** Planned by *Two-stage")


def test_days_on_which_defaults_were_chosen_are_told_on_the_front_page(run):
    assert "untouched" not in Answer(run.path).rules_in_words()
    summary = run.read_json("backtest_summary.json")
    summary["rules"] = {"days_looked_at": 3} | RULES
    run.write_json("backtest_summary.json", summary)
    told = Answer(run.path).rules_in_words()
    assert told.startswith("**No untouched test: 3 days, on which the RTM's anchor was chosen.**")


def test_trust_says_how_far_the_promise_was_missed_and_how_few_the_days_are(run):
    told = trust(run.path, Answer(run.path))
    assert "by 5.0% with the original fan" in told  # and by nothing of the band, 0.75 to 1
    assert told.endswith("All figures of money rest on 4 days.")
    told = trust(run.path, with_rules(run, alpha=0.05))
    assert told.endswith("rest on 4 days, and what is said of bad days on the worst one of them.")


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
