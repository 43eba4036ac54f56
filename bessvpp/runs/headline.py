"""A run's figures in a few lines and tables, for a terminal, the README and the book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bessvpp.calibration.coverage import miscoverage
from bessvpp.errors import DataError
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.manifest import read_manifest
from bessvpp.runs.names import policy_name, rule_rows

LAKH = 1e5  # Rs 100,000, as money is counted in India
POLICY_COLUMNS = {  # key: title, unit, form
    "net_rs_causal": ("Causal net, lakh Rs", LAKH, "{:.2f}"),
    "gain_over_nothing_causal_rs": ("Causal gain", LAKH, "{:+.2f}"),
    "dispatch_causal_rs": ("Dispatch", LAKH, "{:.2f}"),
    "position_causal_rs": ("Position", LAKH, "{:.2f}"),
    "capture_causal": ("Of ceiling", 0.01, "{:.1f} %"),
    "net_rs": ("Hindsight net", LAKH, "{:.2f}"),
    "net_rs_dam_only": ("As committed", LAKH, "{:.2f}"),
    "worst_day_causal_rs": ("Worst day", LAKH, "{:.2f}"),
    "cycles_per_day_causal": ("Cycles a day", 1.0, "{:.2f}"),
}
FRONTIER_COLUMNS = {
    "lambda": ("Lambda", 1.0, "{:g}"),
    "planned_mean_rs": ("Planned mean, lakh Rs", LAKH, "{:.2f}"),
    "planned_cvar_rs": ("Planned CVaR", LAKH, "{:.2f}"),
    "realised_mean_rs": ("Realised mean", LAKH, "{:.2f}"),
    "realised_cvar_rs": ("Realised CVaR", LAKH, "{:.2f}"),
    "realised_worst_day_rs": ("Worst day", LAKH, "{:.2f}"),
}


def headline(outputs: Path) -> str:
    """Coverage, policies and frontier of a run, as text for a terminal."""
    manifest = read_manifest(outputs) or {}
    parts = [
        f"Market: {market_in_words(manifest)}",
        text_table("Coverage on days that no fit saw", coverage_rows(outputs)),
        text_table(
            "Policies, with causal recourse where nothing else is said", policy_rows(outputs)
        ),
        f"  {verdict(outputs).replace('**', '')}",
        text_table("Rules", rules_of_run(outputs)),
        text_table("Frontier, a day", frontier_rows(outputs)),
    ]
    return "\n\n".join(parts)


def verdict(outputs: Path) -> str:
    """Who came first among the policies, and how sure that is."""
    lead = _read(outputs, "backtest_summary.json").get("lead")
    if not lead:
        raise _unlike(outputs / "backtest_summary.json", "it has no lead")
    settled, policy = lead["settlement"], policy_name(lead["policy"])
    parts = [f"The largest net in this run, {settled}, is that of **{policy}**."]
    for name, ahead in lead["over"].items():
        total, low, high = (ahead[key] / LAKH for key in ("ahead_rs", "low_rs", "high_rs"))
        parts.append(
            f"Over all days it lies {total:.1f} lakh Rs ahead of {policy_name(name)}; days drawn "
            f"anew in runs give {low:.1f} to {high:.1f} (5 to 95 %)."
        )
    return " ".join(parts)


def coverage_rows(outputs: Path) -> list[dict[str, str]]:
    """One row a market and fan: how far the levels are from what they promise, and the band."""
    rows = []
    for market, fans in _read(outputs, "coverage.json").items():
        for fan, levels in fans.items():
            try:
                misses = promise_misses(levels)
                bands = [miscoverage(**level) for level in levels.values()]
                worst = max(misses, key=misses.__getitem__)
                days = min(x["n_days"] for x in levels.values())
            except (KeyError, TypeError, ValueError) as error:
                raise _unlike(outputs / "coverage.json", error) from None
            rows.append(
                {
                    "Market": market.upper(),
                    "Fan": fan,
                    "Promise missed by": f"{sum(misses.values()) / len(misses):.1%}",
                    "Largest": f"{misses[worst]:.1%} at {worst}",
                    "Band missed by": f"{sum(bands) / len(bands):.1%}",
                    "Days": str(days),
                }
            )
    return rows


def promise_misses(levels: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """How far each level of a fan is from what it promises, by a market's ``coverage.json``."""
    return {name: abs(level["below"] - level["promised"]) for name, level in levels.items()}


def policy_rows(outputs: Path) -> list[dict[str, str]]:
    """One row a policy, settled with causal recourse unless a column says otherwise."""
    policies = _read(outputs, "backtest_summary.json").get("policies")
    if not policies:
        raise _unlike(outputs / "backtest_summary.json", "it has no policies")
    return [
        {"Policy": policy_name(name), **_figures(figures, POLICY_COLUMNS)}
        for name, figures in policies.items()
    ]


def frontier_rows(outputs: Path) -> list[dict[str, str]]:
    """One row a fan and lambda."""
    fans = _read(outputs, "frontier.json").get("fans")
    if not fans:
        raise _unlike(outputs / "frontier.json", "it has no fans")
    return [
        {"Fan": fan, **_figures(point, FRONTIER_COLUMNS)}
        for fan, points in fans.items()
        for point in points
    ]


def rules_of_run(outputs: Path) -> list[dict[str, str]]:
    """One row a rule that the figures of the backtest rest on."""
    rules = _read(outputs, "backtest_summary.json").get("rules")
    if not rules:
        raise _unlike(outputs / "backtest_summary.json", "it has no rules")
    return rule_rows(rules)


def _figures(
    figures: Mapping[str, Any], columns: Mapping[str, tuple[str, float, str]]
) -> dict[str, str]:
    """Figures under their titles; a dash where one is not there."""
    return {
        title: "–" if figures.get(key) is None else form.format(figures[key] / unit)
        for key, (title, unit, form) in columns.items()
    }


def _read(outputs: Path, name: str) -> dict[str, Any]:
    try:
        content = RunFolder(outputs).read_json(name)
    except ValueError as error:
        raise _unlike(outputs / name, error) from None
    return content


def _unlike(path: Path, why: object) -> DataError:
    return DataError(f"{path}: not as expected ({why}); run the notebook that writes it again")


def market_in_words(manifest: Mapping[str, Any]) -> str:
    """Where a run's prices came from, with the seed or the hash that pins them."""
    data = manifest.get("data", {})
    if data.get("source") == "synthetic":
        return (
            f"synthetic, not real prices ({data['synthetic_days']} days from "
            f"{data['synthetic_start']}, seed {data['synthetic_seed']})"
        )
    return f"{Path(str(data.get('source'))).name} (sha256 {str(data.get('sha256'))[:12]})"


def runtime_rows(manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    """One row a chapter, linked from the front page: how long it ran, and in how much memory."""
    return [
        {
            "Chapter": f"{int(name[:2])}. [](notebooks/{name}.ipynb)",  # a page's title by itself
            "Seconds": f"{entry['wall_s']:.1f}",
            "Peak memory, MB": f"{entry['peak_memory_mb']:.0f}",
        }
        for name, entry in manifest["notebooks"].items()
    ]


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of one shape as a table in Markdown."""
    heads = list(rows[0])
    ruler = ["---", *["---:"] * (len(heads) - 1)]
    lines = [heads, ruler, *[[row.get(head, "–") for head in heads] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def text_table(title: str, rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of one shape as a table for a terminal, under its title."""
    heads = list(rows[0])
    lines = [heads, *[[row.get(head, "–") for head in heads] for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    shown = [
        "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True))
        for line in lines
    ]
    return "\n".join([title, *[f"  {line}".rstrip() for line in shown]])
