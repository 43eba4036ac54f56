"""Nothing that a reader sees has the name that it has in a file."""

import re

import pytest
from backtest_cases import POLICIES as TRIED

from bessvpp.backtest.summary import rules
from bessvpp.runs import names


def test_every_rule_of_a_backtest_has_a_name_and_a_unit(study):
    rows = names.rule_rows(rules(study.window))
    assert set(rules(study.window)) <= set(names.RULES)
    for row in rows:
        assert not re.search(r"_|\[|True|False", row["Rule"] + row["In this run"]), row


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("fee_dam_rs_per_mwh_traded", 20.0, "Rs 20 per MWh traded"),
        ("wear_rs_per_mwh_discharged", [650.0, 300.0], "Rs 650 per MWh discharged, Rs 300 per"),
        ("synthetic_market", True, "yes"),
        ("alpha", 0.05, "5%"),
        ("risk_aversion", 0.1, "0.1"),
        ("commitment", "physical", "physical: the battery could follow it by itself"),
        ("a_new_rule", 3, "3"),
    ],
)
def test_values_have_their_units(key, value, words):
    assert names.rule_in_words(key, value).startswith(words)


def test_every_policy_has_a_name():
    assert TRIED.keys() <= names.POLICIES.keys(), "name it in runs/names.py"
    for policy in TRIED:
        assert "_" not in names.policy_name(policy)
    assert names.policy_name("a_policy_to_come") == "A policy to come"
