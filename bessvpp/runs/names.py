"""What the files of a run call things, and what a reader calls them: names, units, digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

POLICIES = {
    "nothing_committed": "Nothing committed",
    "fixed_windows": "Fixed windows",
    "yesterday": "Yesterday's prices",
    "seven_day_mean": "Seven-day mean",
    "typical_day": "Typical day, both markets",
    "median": "Median forecast",
    "mean_original": "Mean of the original fan",
    "mean_recalibrated": "Mean of the recalibrated fan",
    "two_stage_original": "Two-stage, original fan",
    "two_stage_recalibrated": "Two-stage, recalibrated fan",
    "ceiling": "Ceiling: all prices known",
}
RULES = {  # key: name, form
    "own_forecasts": ("Own forecasts", "{}"),
    "days_looked_at": ("No untouched test", "{} days, on which the RTM's anchor was chosen"),
    "first_day": ("First day", "{}"),
    "last_day": ("Last day", "{}"),
    "n_days": ("Days", "{}"),
    "battery": ("Battery", "{}"),
    "block_minutes": ("Block", "{} minutes"),
    "synthetic_market": ("Synthetic market", "{}"),
    "commitment": ("Commitment", "{}"),
    "terminal": ("End of a day", "{}"),
    "midnight": ("Energy at midnight", "{}"),
    "unbacked_max_mwh_per_day": ("DAM trade not run, at most", "{:,.0f} MWh a day"),
    "foresight": ("RTM surprises counted on in planning", "{:.0%}"),
    "causal_recourse": ("RTM bids", "{}"),
    "recourse": ("Recourse", "{}"),
    "risk_aversion": ("Risk aversion λ", "{:g}"),
    "alpha": ("Tail share α", "{:.0%}"),
    "fee_dam_rs_per_mwh_traded": ("Exchange fee, DAM", "Rs {:,.0f} per MWh traded"),
    "fee_rtm_rs_per_mwh_traded": ("Exchange fee, RTM", "Rs {:,.0f} per MWh traded"),
    "fee_flow_rs_per_mwh": ("Fee on physical flow", "Rs {:,.0f} per MWh"),
    "scheduling_rs_per_day": ("Scheduling", "Rs {:,.0f} a day"),
    "scheduling_rs_per_mwh_flow": ("Scheduling, by flow", "Rs {:,.2f} per MWh"),
    "hurdle_dam_rs_per_mwh": ("Hurdle in planning, DAM", "Rs {:,.0f} per MWh"),
    "hurdle_rtm_rs_per_mwh": ("Hurdle in planning, RTM", "Rs {:,.0f} per MWh"),
    "dsm_share_of_flow": ("Deviation expected", "{:.1%} of flow"),
    "wear_rs_per_mwh_discharged": ("Wear", "Rs {:,.0f} per MWh discharged"),
}
MEANINGS = {
    ("commitment", "physical"): "physical: the battery could follow it by itself",
    ("commitment", "financial"): "financial: bound by the grid connection alone",
    ("terminal", "hard"): "hard: at least the target energy is left",
    ("terminal", "value"): "value: what is left has a price in the plan",
    ("terminal", "free"): "free: nothing is asked for",
    ("unbacked_max_mwh_per_day", None): "no limit",
    ("causal_recourse", "dynamic"): "dynamic: quantities by price",
    ("causal_recourse", "expected"): "expected: quantities, on expected prices",
    ("midnight", "own"): "own: what the day-ahead schedule by itself leaves",
    ("midnight", "plan"): "plan: what the whole plan, real time included, expects",
}


def policy_name(key: str) -> str:
    """A policy as a reader would call it."""
    return POLICIES.get(key, key.replace("_", " ").capitalize())


def figure_text(value: float, form: str = ",.2f") -> str:
    """A figure in words or beside a bar, its minus as long as that of an axis."""
    return format(value, form).replace("-", "−")


def share_text(share: float) -> str:
    """A share as a reader would write it, such as "2.5 %"."""
    return f"{100 * share:g} %"


def worst_share(alpha: float, of: str = "days") -> str:
    """What CVaR with a tail share is the mean of, such as "the worst 5 % of days"."""
    return f"the worst {share_text(alpha)} of {of}"


def rule_rows(rules: Mapping[str, Any]) -> list[dict[str, str]]:
    """One row a rule, as a reader would write it."""
    return [
        {"Rule": RULES.get(key, (key.replace("_", " ").capitalize(),))[0], "In this run": told}
        for key, told in ((key, rule_in_words(key, value)) for key, value in rules.items())
    ]


def rule_in_words(key: str, value: Any) -> str:
    """The value of a rule with its unit."""
    if isinstance(value, list):
        return ", ".join(rule_in_words(key, one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if (key, value) in MEANINGS:
        return MEANINGS[key, value]
    return RULES.get(key, ("", "{}"))[1].format(value)
