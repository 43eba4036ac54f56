"""Builds the HTML book from the executed notebooks of a finished run.

The book shows a run and nothing else: the pages are the executed copies, the figures of the
landing page come from the run's JSON files. It never asks another host for anything.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import yaml
from plotly.offline import get_plotlyjs

from bessvpp.errors import DataError, MissingArtefactError, RunError
from bessvpp.params.load import PROJECT_ROOT
from bessvpp.risk import miscoverage
from bessvpp.runs.folder import RunFolder, atomic_file
from bessvpp.runs.manifest import artefacts_of, read_manifest

PICTURES = ("coverage.png", "frontier.png")
PAGES = ("_config.yml", "_toc.yml", "intro.md", "_static/book.css")
README_BLOCK = re.compile(r"(<!-- headline:[^\n]*-->\n).*?(<!-- /headline -->)", re.DOTALL)
FOR_LAB = "application/vnd.plotly.v1+json"  # a page shows the HTML beside it
PROMPT = "Parameters of this run"
BUILD = "from jupyter_book.cli.main import main; main()"
LAKH = 1e5  # Rs 100,000, as money is counted in India
POLICY_COLUMNS = {  # key: title, unit, form
    "net_rs_causal": ("Causal net, lakh Rs", LAKH, "{:.2f}"),
    "gain_over_nothing_causal_rs": ("Causal gain", LAKH, "{:+.2f}"),
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


def build_book(outputs: Path, project: Path = PROJECT_ROOT) -> Path:
    """Build the book of a run; the path of its first page.

    Raises
    ------
    RunError
        where the run is not complete, or the build gives a warning.
    MissingArtefactError
        where a file is missing that a page shows.
    """
    source, built = outputs / "book_source", outputs / "_build"
    manifest = _complete_manifest(outputs)
    for folder in (source, built):
        shutil.rmtree(folder, ignore_errors=True)
    _assemble(outputs, source, manifest, project)
    # -P: nothing in the folder where the command was typed is imported
    command = [sys.executable, "-P", "-c", BUILD, "build", "-W", "-n", "--keep-going"]
    try:
        process = subprocess.run(
            [*command, "--path-output", str(outputs), str(source)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )
    except BaseException:
        shutil.rmtree(built, ignore_errors=True)
        raise
    log = re.sub(r"\x1b\[[0-9;]*m", "", process.stdout)
    with atomic_file(source / "build.log") as handle:
        handle.write(log.encode())
    index = built / "html" / "index.html"
    if process.returncode != 0 or not index.is_file():
        shutil.rmtree(built, ignore_errors=True)
        told = [line for line in log.splitlines() if "WARNING" in line] or log.splitlines()[-30:]
        raise RunError(
            f"the book was not built; the whole log is {source / 'build.log'}\n" + "\n".join(told)
        )
    shutil.rmtree(built / ".doctrees", ignore_errors=True)
    return index


def headline(outputs: Path) -> str:
    """Coverage, policies and frontier of a run, as text for a terminal."""
    manifest = read_manifest(outputs) or {}
    parts = [
        f"Market: {_market(manifest)}",
        _text_table("Coverage on days that no fit saw", coverage_rows(outputs)),
        _text_table(
            "Policies, with causal recourse where nothing else is said", policy_rows(outputs)
        ),
        f"  {verdict(outputs)}",
        _text_table("Rules", rule_rows(outputs)),
        _text_table("Frontier, a day", frontier_rows(outputs)),
    ]
    return "\n\n".join(parts)


def write_readme(outputs: Path, project: Path = PROJECT_ROOT) -> None:
    """Put a run's frontier and headline tables into the README."""
    readme = project / "README.md"
    text = readme.read_text(encoding="utf-8")
    manifest = _complete_manifest(outputs)
    block = (
        f"Market of this run: {_market(manifest)}. *Causal* recourse trades each RTM session on "
        "what its gate knows; *hindsight* knows the day's RTM prices, which no trader does. What "
        "a policy is worth is its gain over nothing committed. Money in lakh Rs (Rs 100,000); "
        "worst day and cycles with causal recourse.\n\n"
        f"{_markdown_table(policy_rows(outputs))}\n\n"
        f"{_markdown_table(coverage_rows(outputs))}\n\n"
        f"{verdict(outputs)}\n\n{_markdown_table(rule_rows(outputs))}\n"
    )
    if not README_BLOCK.search(text):
        raise DataError(f"{readme}: has no headline block to write the figures into")
    filled = README_BLOCK.sub(lambda found: found[1] + block + found[2], text)
    for name, content in (
        ("README.md", filled.encode()),
        ("docs/frontier.png", RunFolder(outputs).existing("frontier.png").read_bytes()),
    ):
        with atomic_file(project / name) as handle:
            handle.write(content)


def verdict(outputs: Path) -> str:
    """Who came first among the policies, and how sure that is."""
    lead = _read(outputs, "backtest_summary.json").get("lead")
    if not lead:
        raise _unlike(outputs / "backtest_summary.json", "it has no lead")
    settled, policy = lead["settlement"], _words(lead["policy"])
    parts = [f"The largest net in this run, {settled}, is that of **{policy}**."]
    for name, ahead in lead["over"].items():
        total, low, high = (ahead[key] / LAKH for key in ("ahead_rs", "low_rs", "high_rs"))
        parts.append(
            f"It lies {total:.1f} lakh Rs ahead of {_words(name)}; days drawn with replacement "
            f"give {low:.1f} to {high:.1f} (5 to 95 %)."
        )
    return " ".join(parts)


def _complete_manifest(outputs: Path) -> dict[str, Any]:
    """The manifest of a run of which every page can be shown."""
    manifest = read_manifest(outputs)
    if manifest is None:
        raise RunError(f"{outputs}: no finished run there; python -m bessvpp run makes one")
    entries = manifest["notebooks"]
    open_ones = [f"{name} is {e['status']}" for name, e in entries.items()]
    open_ones = [told for told in open_ones if not told.endswith(" complete")]
    if manifest["status"] != "complete" or open_ones:
        raise RunError(
            f"{outputs}: the run is {manifest['status']}, and a book is built of complete runs "
            f"only ({', '.join(open_ones) or 'it never ended'})"
        )
    for name in entries:
        present = artefacts_of(name, outputs)
        for artefact, sha256 in entries[name]["artefacts"].items():
            RunFolder(outputs).existing(artefact)
            if present[artefact] != sha256:
                raise RunError(f"{outputs / artefact} is not what the run wrote: run {name} again")
        path = outputs / "notebooks" / f"{name}.ipynb"
        if not path.is_file():
            raise MissingArtefactError(f"{path} is not there: run {name} again")
        for cell in nbformat.read(path, as_version=4).cells:
            if any(output.output_type == "error" for output in cell.get("outputs", [])):
                raise RunError(f"{path}: cell In [{cell.execution_count}] holds an error")
    return manifest


def _assemble(outputs: Path, source: Path, manifest: dict[str, Any], project: Path) -> None:
    (source / "notebooks").mkdir(parents=True)
    for name in PAGES:
        (source / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(project / name, source / name)
    for picture in PICTURES:
        shutil.copyfile(RunFolder(outputs).existing(picture), source / picture)
    for name in manifest["notebooks"]:
        notebook = nbformat.read(outputs / "notebooks" / f"{name}.ipynb", as_version=4)
        for cell in notebook.cells:
            tags = cell.metadata.setdefault("tags", [])
            if "parameters" in tags:  # the values of this run come in the next cell
                tags.append("remove-cell")
            elif "injected-parameters" in tags:
                tags.append("hide-input")
                prompt = {"code_prompt_show": PROMPT, "code_prompt_hide": PROMPT}
                cell.metadata["mystnb"] = prompt
            for output in cell.get("outputs", []):
                if "text/html" in output.get("data", {}):
                    output["data"].pop(FOR_LAB, None)
        nbformat.write(notebook, source / "notebooks" / f"{name}.ipynb")
    config = yaml.safe_load((source / "_config.yml").read_text(encoding="utf-8"))
    config["parse"]["myst_substitutions"] = substitutions(outputs, manifest)
    text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
    (source / "_config.yml").write_text(text, encoding="utf-8")
    # not in _static: every page would load it, needed or not
    script = source / "_extra" / "_static" / "plotly.min.js"
    script.parent.mkdir(parents=True)
    script.write_text(get_plotlyjs(), encoding="utf-8")


def substitutions(outputs: Path, manifest: Mapping[str, Any]) -> dict[str, str]:
    """What ``{{ name }}`` on the landing page stands for."""
    git = manifest["git"] or {}
    return {
        "market": _market(manifest),
        "rule_table": _markdown_table(rule_rows(outputs)),
        "profile": str(manifest["profile"]),
        "finished": str(manifest["finished"]),
        "commit": str(git.get("commit") or "unknown")[:12] + (" (edited)" * bool(git.get("dirty"))),
        "parameters_sha256": manifest["parameters"]["sha256"][:12],
        "coverage_table": _markdown_table(coverage_rows(outputs)),
        "policy_table": _markdown_table(policy_rows(outputs)),
        "frontier_table": _markdown_table(frontier_rows(outputs)),
        "runtime_table": _markdown_table(_runtime_rows(manifest)),
        "verdict": verdict(outputs),
    }


def coverage_rows(outputs: Path) -> list[dict[str, str]]:
    """One row a market and fan: how far the levels are from what they promise."""
    rows = []
    for market, fans in _read(outputs, "coverage.json").items():
        for fan, levels in fans.items():
            try:
                misses = {name: miscoverage(**level) for name, level in levels.items()}
                worst = max(misses, key=misses.__getitem__)
                days = min(x["n_days"] for x in levels.values())
            except (KeyError, TypeError, ValueError) as error:
                raise _unlike(outputs / "coverage.json", error) from None
            rows.append(
                {
                    "Market": market.upper(),
                    "Fan": fan,
                    "Mean miscoverage": f"{sum(misses.values()) / len(misses):.1%}",
                    "Largest": f"{misses[worst]:.1%} at {worst}",
                    "Days": str(days),
                }
            )
    return rows


def policy_rows(outputs: Path) -> list[dict[str, str]]:
    """One row a policy, settled with causal recourse unless a column says otherwise."""
    policies = _read(outputs, "backtest_summary.json").get("policies")
    if not policies:
        raise _unlike(outputs / "backtest_summary.json", "it has no policies")
    return [
        {"Policy": _words(name), **_figures(figures, POLICY_COLUMNS)}
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


def rule_rows(outputs: Path) -> list[dict[str, str]]:
    """One row a rule that the figures of the backtest rest on."""
    rules = _read(outputs, "backtest_summary.json").get("rules")
    if not rules:
        raise _unlike(outputs / "backtest_summary.json", "it has no rules")
    return [{"Rule": _words(key), "In this run": _value(value)} for key, value in rules.items()]


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


def _market(manifest: Mapping[str, Any]) -> str:
    data = manifest.get("data", {})
    if data.get("source") == "synthetic":
        return (
            f"synthetic, not real prices ({data['synthetic_days']} days from "
            f"{data['synthetic_start']}, seed {data['synthetic_seed']})"
        )
    return f"{Path(str(data.get('source'))).name} (sha256 {str(data.get('sha256'))[:12]})"


def _runtime_rows(manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "Notebook": name,
            "Seconds": f"{entry['wall_s']:.1f}",
            "Peak memory, MB": f"{entry['peak_memory_mb']:.0f}",
        }
        for name, entry in manifest["notebooks"].items()
    ]


def _words(name: str) -> str:
    """A name in a file as a reader would write it."""
    return name.replace("_rs_per_mwh", ", Rs/MWh").replace("_rs_", ", Rs ").replace("_", " ")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    heads = list(rows[0])
    ruler = ["---", *["---:"] * (len(heads) - 1)]
    lines = [heads, ruler, *[[row.get(head, "–") for head in heads] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _text_table(title: str, rows: Sequence[Mapping[str, str]]) -> str:
    heads = list(rows[0])
    lines = [heads, *[[row.get(head, "–") for head in heads] for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    shown = [
        "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True))
        for line in lines
    ]
    return "\n".join([title, *[f"  {line}".rstrip() for line in shown]])
