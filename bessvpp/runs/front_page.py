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
from bessvpp.runs.names import figure_text, policy_name, rule_in_words, worst_share

LAKH = 1e5
PLAN, NOTHING, CEILING = "two_stage", "nothing_committed", "ceiling"


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
            self.lead: Mapping[str, Any] = summary["lead"]
            net = daily[daily["settlement"] == self.way]
            self.net = net.pivot(index="date", columns="policy", values="net_rs")
            self.n_days = len(self.net)
            self.plan = str(summary["plan"])
            of_plan = net[net["policy"] == self.plan]
            self.dispatch_rs = float(of_plan["dispatch_rs"].mean())
            self.backed_rs = self._backed(run)
            ruled_out = (NOTHING, CEILING)
            simple = [n for n in policies if n not in ruled_out and not n.startswith(PLAN)]
            self.best_simple = max(simple, key=lambda name: self.net[name].sum())
            self.alpha = float(self.rules["alpha"])
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise DataError(
                f"{outputs / 'backtest_summary.json'}: not as expected ({error!r}); "
                "run 06_backtest again"
            ) from None

    def html(self) -> str:
        """Three figures, each with the band that days drawn anew in runs give it."""
        plan = self.net[self.plan].to_numpy()
        ahead = plan - self.net[self.best_simple].to_numpy()
        name = escape(policy_name(self.best_simple))
        words = "a day {} the best simpler rule (" + name + ")"
        if ahead.mean() >= 0:
            lead = _figure(ahead, _mean, "+", words.format("ahead of"))
        else:
            lead = _figure(-ahead, _mean, "", words.format("behind"))
        parts = [
            _figure(plan, _mean, "", "earned a day on average, all costs paid"),
            lead,
            self._worst(plan),
        ]
        return f'<div class="answer">{"".join(parts)}</div>'

    def _worst(self, plan: np.ndarray) -> str:
        """The bad day; where that is a single one, no draw of the days has a worse, and no band."""
        if self.alpha * self.n_days < 1:
            words = f"on the worst of the {self.n_days} days"
            return _shown(float(plan.min()), "one day alone, so no band", "", words)
        words = f"a day on {worst_share(self.alpha)} (CVaR)"
        return _figure(plan, lambda days: cvars(days, self.alpha), "", words)

    def rules_in_words(self) -> str:
        """The rules that the three figures rest on, in a sentence."""
        rule = {key: rule_in_words(key, value) for key, value in self.rules.items()}
        days = f"{rule['first_day']} to {rule['last_day']}"
        own = rule.get("own_forecasts")
        looked_at = rule.get("days_looked_at")
        battery = rule.get("battery")
        kept = rule["terminal"].partition(": ")[2] or rule["terminal"]
        return (
            (f"**Planned on own forecasts: {own}.** " if own else "")
            + (f"**No untouched test: {looked_at}.** " if looked_at else "")
            + (f"A battery of **{battery}**. " if battery else "")
            + f"Planned by *{policy_name(self.plan)}*, {self.n_days} days, {days}, settled with "
            f"{{term}}`{self.way.removeprefix('with ')}`. {{term}}`Commitment <commitment>` "
            f"{rule['commitment']}; at a day's end {kept}; weight λ of risk "
            f"{rule['risk_aversion']}; fees {rule['fee_dam_rs_per_mwh_traded']} (day-ahead) and "
            f"{rule['fee_rtm_rs_per_mwh_traded']} (real-time); wear "
            f"{rule['wear_rs_per_mwh_discharged']}. Money in {{term}}`lakh` Rs (Rs 100,000); in "
            "brackets, where nine of ten draws of runs of these days lie."
        )

    def split_in_words(self) -> str:
        """Which part is the battery's, and which hangs on trades that it never runs."""
        mean = float(self.net[self.plan].mean())
        told = (
            f"Of the {_lakh(mean)} lakh Rs a day, {_lakh(self.dispatch_rs)} are "
            "{term}`dispatch`: what the battery's flow would have earned in the real-time market "
            f"alone. The other {_lakh(mean - self.dispatch_rs)} are a {{term}}`position`: "
            "what committing day ahead added to that."
        )
        if self.backed_rs is not None:
            told += (
                " A plan that sells and buys nothing day ahead but what it means to run earns "
                f"{_lakh(self.backed_rs)}"
            )
            gap = mean - self.backed_rs
            told += (
                f"; the other {_lakh(gap)} are trade, not storage, and "
                "`unbacked_max_mwh_per_day` limits it."
                if gap > 0
                else "."
            )
        return told

    def lead_in_words(self) -> str:
        """Who came first, by how much a day, and whether these days bear that out."""
        parts = []
        for name, over in self.lead["over"].items():
            ahead, low, high = (
                over[key] / self.n_days for key in ("ahead_rs", "low_rs", "high_rs")
            )
            band = f"{_lakh(low)} to {_lakh(high)}"
            sure = "beyond chance" if low > 0 else "which may be chance"
            parts.append(f"{_lakh(ahead)} a day ahead of {policy_name(name)} ({band}, {sure})")
        told = f"The largest net is that of **{policy_name(self.lead['policy'])}**"
        return f"{told}: {'; '.join(parts)}." if parts else f"{told}."

    def _backed(self, run: RunFolder) -> float | None:
        """Net a day where nothing is traded day ahead that is not run; None where unknown."""
        if not (run.path / "limits.json").is_file():  # a run from before it was kept
            return None
        for row in run.read_json("limits.json")["limits"]:
            if row["limit_mwh_per_day"] == 0:
                return float(row["net_rs"]) / self.n_days
        return None

    def stairs(self) -> str:
        """Net of every policy a day, from the least to the ceiling, as bars from zero."""
        steps = (self.net.drop(columns=CEILING, errors="ignore").mean() / LAKH).sort_values()
        ceiling = self.ceiling_rs / self.n_days / LAKH
        rows = [self._step(str(name), value, ceiling) for name, value in steps.items()]
        rows.append(self._step(CEILING, ceiling, ceiling))
        way = self.way.removeprefix("with ")
        return (
            f'<table class="stairs"><caption>Net a day in lakh Rs, {escape(way)}, and its share of '
            f"the ceiling; in green the plan of this run</caption>{''.join(rows)}</table>"
        )

    def _step(self, policy: str, value: float, ceiling: float) -> str:
        kind = {self.plan: "plan", CEILING: CEILING}.get(policy, "rule")
        share = max(value, 0.0) / ceiling if ceiling > 0 else 0.0
        bar = f'<span class="bar {kind}" style="--share:{share:.3f}"></span>'
        of_ceiling = f" ({share:.0%})" if policy != CEILING else ""
        name = escape(policy_name(policy))
        return f'<tr><th scope="row">{name}</th><td>{bar}{value:,.2f}{of_ceiling}</td></tr>'


def _mean(days: np.ndarray) -> np.ndarray:
    return np.asarray(days.mean(axis=-1))


def _figure(
    days: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], sign: str, words: str
) -> str:
    low, high = bootstrap_band(days, statistic, np.random.default_rng(0))
    value = float(statistic(days))
    return _shown(value, f"[{_lakh(low)} to {_lakh(high)}]", sign, words)


def _shown(value: float, band: str, sign: str, words: str) -> str:
    return (
        f'<div><span class="figure">{_lakh(value, sign)} lakh Rs</span>'
        f'<span class="band">{band}</span><p>{words}</p></div>'
    )


def _lakh(rupees: float, sign: str = "") -> str:
    return figure_text(rupees / LAKH, f"{sign},.2f")


def trust(outputs: Path, answer: Answer) -> str:
    """How the forecasts kept their promise, and on how many days the figures rest."""
    parts = []
    for market, fans in RunFolder(outputs).read_json("coverage.json").items():
        missed = {
            fan: np.mean(list(promise_misses(levels).values())) for fan, levels in fans.items()
        }
        told = " and ".join(f"{share:.1%} with the {fan} fan" for fan, share in missed.items())
        parts.append(f"in the {{term}}`{market.upper()}` by {told}")
    few = answer.alpha * answer.n_days < 1
    return (
        "A forecast's level of 10 % says that one price in ten will lie below it. On days that no "
        f"fit saw, levels were off on average {'; '.join(parts)} "
        "([chapter 3](notebooks/03_recalibration.ipynb)). "
        f"All figures of money rest on {answer.n_days} days"
        + (", and what is said of bad days on the worst one of them." if few else ".")
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
