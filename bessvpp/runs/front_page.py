"""The front page's figures: what a run's battery earned, added and risked, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from bessvpp.errors import DataError
from bessvpp.risk import bootstrap_band, cvars
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.headline import promise_misses
from bessvpp.runs.names import policy_name, rule_in_words

LAKH = 1e5
PLAN, NOTHING, CEILING = "two_stage", "nothing_committed", "ceiling"
TREADS = {
    "plan": "var(--pst-color-success)",
    "rule": "#8a94a3",
    "ceiling": "var(--pst-color-text-muted)",
}


class Answer:
    """The plan of a run against the best simple rule, day by day, settled as the headline is.

    Raises
    ------
    DataError
        where the run's backtest has no two-stage policy, or no days.
    """

    def __init__(self, outputs: Path) -> None:
        run = RunFolder(outputs)
        summary = run.read_json("backtest_summary.json")
        daily = run.read_frame("backtest_daily.parquet")
        try:
            self.rules: Mapping[str, Any] = summary["rules"]
            self.way = str(summary["lead"]["settlement"])
            policies = list(summary["policies"])
            self.ceiling_rs = float(summary["policies"][CEILING]["net_rs"])
            net = daily[daily["settlement"] == self.way]
            self.net = net.pivot(index="date", columns="policy", values="net_rs")
            self.plan = str(summary["plan"])
            ruled_out = (NOTHING, CEILING)
            simple = [n for n in policies if n not in ruled_out and not n.startswith(PLAN)]
            self.best_simple = max(simple, key=lambda name: self.net[name].sum())
            self.alpha = float(self.rules["alpha"])
            self.n_days = len(self.net)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise DataError(
                f"{outputs / 'backtest_summary.json'}: not as expected ({error!r}); "
                "run 06_backtest again"
            ) from None

    def html(self) -> str:
        """Three figures, each with the band that days drawn with replacement give it."""
        plan = self.net[self.plan].to_numpy()
        ahead = plan - self.net[self.best_simple].to_numpy()
        name = escape(policy_name(self.best_simple))
        worst = f"the worst {self.alpha:.0%} of days"
        if self.alpha * self.n_days < 1:
            worst = f"the worst of {self.n_days} days"
        parts = [
            _figure(plan, _mean, "", "earned a day on average, all costs paid"),
            _figure(ahead, _mean, "+", f"a day ahead of the best simpler rule ({name})"),
            _figure(plan, lambda days: cvars(days, self.alpha), "", f"a day on {worst} (CVaR)"),
        ]
        return f'<div class="answer">{"".join(parts)}</div>'

    def rules_in_words(self) -> str:
        """The rules that the three figures rest on, in a sentence."""
        rule = {key: rule_in_words(key, value) for key, value in self.rules.items()}
        days = f"{rule['first_day']} to {rule['last_day']}"
        own = rule.get("own_forecasts")
        return (f"**Planned on own forecasts: {own}.** " if own else "") + (
            f"*{policy_name(self.plan)}* over {self.n_days} days, {days}, settled {self.way}. "
            f"Commitment {rule['commitment']}; end of a day {rule['terminal']}; "
            f"λ {rule['risk_aversion']}; fees {rule['fee_dam_rs_per_mwh_traded']} (DAM) and "
            f"{rule['fee_rtm_rs_per_mwh_traded']} (RTM); wear "
            f"{rule['wear_rs_per_mwh_discharged']}. Money in {{term}}`lakh` Rs; in brackets, where "
            "nine of ten draws of these days with replacement lie."
        )

    def stairs(self) -> str:
        """Net of every policy a day, from the least to the ceiling, as bars from zero."""
        steps = (self.net.drop(columns=CEILING, errors="ignore").mean() / LAKH).sort_values()
        ceiling = self.ceiling_rs / self.n_days / LAKH
        rows = [self._step(str(name), value, ceiling) for name, value in steps.items()]
        rows.append(self._step(CEILING, ceiling, ceiling))
        way = self.way.removeprefix("with ")
        return (
            f'<table class="stairs"><caption>Net a day in lakh Rs, {escape(way)}; the ceiling '
            f"knows both markets in advance</caption>{''.join(rows)}</table>"
        )

    def _step(self, policy: str, value: float, ceiling: float) -> str:
        kind = "plan" if policy.startswith(PLAN) else CEILING if policy == CEILING else "rule"
        share = max(value, 0.0) / ceiling if ceiling > 0 else 0.0
        bar = f'<span class="bar" style="--share:{share:.3f};--tread:{TREADS[kind]}"></span>'
        of_ceiling = f" ({share:.0%})" if policy != CEILING else ""
        name = escape(policy_name(policy))
        return f'<tr><th scope="row">{name}</th><td>{bar}{value:,.2f}{of_ceiling}</td></tr>'


def _mean(days: np.ndarray) -> np.ndarray:
    return np.asarray(days.mean(axis=-1))


def _figure(
    days: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], sign: str, words: str
) -> str:
    low, high = bootstrap_band(days, statistic, np.random.default_rng(0))
    value, low, high = (f"{x / LAKH:{sign},.2f}" for x in (float(statistic(days)), low, high))
    return (
        f'<div><span class="figure">{value} lakh Rs</span>'
        f'<span class="band">[{low} to {high}]</span><p>{words}</p></div>'
    )


def trust(outputs: Path, answer: Answer) -> str:
    """How the forecasts kept their promise, and on how many days the figures rest."""
    parts = []
    for market, fans in RunFolder(outputs).read_json("coverage.json").items():
        missed = {
            fan: np.mean(list(promise_misses(levels).values())) for fan, levels in fans.items()
        }
        told = ", ".join(f"{share:.1%} with the {fan} fan" for fan, share in missed.items())
        parts.append(f"in the {{term}}`{market.upper()}` by {told}")
    tail = answer.alpha * answer.n_days
    return (
        f"On days that no fit saw, a level missed its promised share on average {'; '.join(parts)} "
        "([chapter 3](notebooks/03_recalibration.ipynb)). "
        f"All figures of money rest on {answer.n_days} days, and their worst share on {tail:.1f}."
    )


def source_note(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What to think of a run's market: on the front page, and among the assumptions."""
    if manifest.get("data", {}).get("source") == "synthetic":
        return {
            "data_note": "It is made by a seeded generator in the spirit of the exchange, so that "
            "the book can be built anywhere. Its figures show that the machinery runs and "
            "reconciles, not what a battery earns; prices of the exchange would show that.",
            "data_bias": "**either way**: no evidence of earnings",
            "data_why": "a generator has the habits that it was given and none that it was not",
        }
    return {
        "data_note": "These are prices as read from the files given; chapter 1 says what they "
        "hold and what was set apart.",
        "data_bias": "as these days were",
        "data_why": "other seasons and other years pay otherwise",
    }
