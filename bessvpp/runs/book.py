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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml
from plotly.offline import get_plotlyjs

from bessvpp import __version__
from bessvpp.errors import DataError, MissingArtefactError, RunError
from bessvpp.files import PROJECT_ROOT, atomic_file
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.front_page import Answer, source_note, trust
from bessvpp.runs.headline import (
    coverage_rows,
    markdown_table,
    market_in_words,
    policy_rows,
    rules_of_run,
    runtime_rows,
    verdict,
)
from bessvpp.runs.manifest import artefacts_of, read_manifest
from bessvpp.runs.names import rule_in_words, worst_share
from bessvpp.runs.pages import Links, executed_copy, page_of

FIXED = (
    "_config.yml",
    "_toc.yml",
    "intro.md",
    "_static/book.css",
    "_static/book.js",
    "docs/api_docstrings.py",
    "docs/book_parts.py",
    "docs/references.bib",
)
README_BLOCK = re.compile(r"(<!-- headline:[^\n]*-->\n).*?(<!-- /headline -->)", re.DOTALL)
FIRST = "01_features"
BUILD = "from jupyter_book.cli.main import main; main()"


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
    try:
        log = run_sphinx(source, outputs)
    except BaseException:
        shutil.rmtree(built, ignore_errors=True)
        raise
    with atomic_file(source / "build.log") as handle:
        handle.write(log.encode())
    shutil.rmtree(built / ".doctrees", ignore_errors=True)
    return built / "html" / "index.html"


def run_sphinx(source: Path, target: Path, *builder: str) -> str:
    """Build a book's source into ``target/_build``; the log.

    Raises
    ------
    RunError
        where there is a warning, with all of them.
    """
    # -P: nothing in the folder where the command was typed is imported
    command = [sys.executable, "-P", "-c", BUILD, "build", "-W", "-n", "--keep-going", *builder]
    process = subprocess.run(
        [*command, "--path-output", str(target), str(source)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    log = re.sub(r"\x1b\[[0-9;]*m", "", process.stdout)
    if process.returncode != 0:
        (source / "build.log").write_text(log, encoding="utf-8")
        told = [line for line in log.splitlines() if "WARNING" in line] or log.splitlines()[-30:]
        raise RunError(
            f"the book was not built; the whole log is {source / 'build.log'}\n" + "\n".join(told)
        )
    return log


def write_readme(outputs: Path, project: Path = PROJECT_ROOT) -> None:
    """Put a run's frontier and headline tables into the README."""
    readme = project / "README.md"
    text = readme.read_text(encoding="utf-8")
    manifest = _complete_manifest(outputs)
    block = (
        f"Market of this run: {market_in_words(manifest)}. *Causal* recourse trades each RTM "
        "session on what its gate knows; *hindsight* knows the day's RTM prices, which no trader "
        "does. What a policy is worth is its gain over nothing committed. Causal net is "
        "*dispatch*, what the battery's own flow earns at RTM prices, and a *position*, "
        "what committing in the DAM adds: where it is not run, trading and not storage. Money "
        "in lakh Rs (Rs 100,000); worst day and cycles with causal recourse.\n\n"
        f"{markdown_table(policy_rows(outputs))}\n\n"
        f"{markdown_table(coverage_rows(outputs))}\n\n"
        f"{verdict(outputs)}\n\n{markdown_table(rules_of_run(outputs))}\n"
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
    for name in (*FIXED, *_written_pages(project)):
        (source / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(project / name, source / name)
    links = Links.of(project / "docs")
    downloads = source / "_extra" / "downloads"
    downloads.mkdir(parents=True)
    shutil.copyfile(outputs / "manifest.json", downloads / "manifest.json")
    for name in manifest["notebooks"]:
        notebook = nbformat.read(outputs / "notebooks" / f"{name}.ipynb", as_version=4)
        nbformat.write(executed_copy(notebook), downloads / f"{name}.ipynb")
        page = page_of(notebook, name, source, links)
        nbformat.write(page, source / "notebooks" / f"{name}.ipynb")
    config = yaml.safe_load((source / "_config.yml").read_text(encoding="utf-8"))
    config["parse"]["myst_substitutions"] = substitutions(outputs, manifest)
    text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
    (source / "_config.yml").write_text(text, encoding="utf-8")
    # not in _static: every page would load it, needed or not
    script = source / "_extra" / "_static" / "plotly.min.js"
    script.parent.mkdir(parents=True)
    script.write_text(get_plotlyjs(), encoding="utf-8")


def _written_pages(project: Path) -> list[str]:
    """Pages of the table of contents that are written and not run."""
    toc = yaml.safe_load((project / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [f"{chapter['file']}.md" for part in toc["parts"] for chapter in part["chapters"]]
    return [name for name in chapters if (project / name).is_file()]


def substitutions(outputs: Path, manifest: Mapping[str, Any]) -> dict[str, str]:
    """What ``{{ name }}`` on a written page stands for."""
    git, answer = manifest["git"] or {}, Answer(outputs)
    rules = {key: rule_in_words(key, value) for key, value in answer.rules.items()}
    run = {
        "market": market_in_words(manifest),
        "profile": str(manifest["profile"]),
        "finished": str(manifest["finished"])[:16].replace("T", " ") + " UTC",
        "commit": str(git.get("commit") or "unknown")[:12] + (" (edited)" * bool(git.get("dirty"))),
        "parameters_sha256": manifest["parameters"]["sha256"][:12],
        "prices_sha256": manifest["notebooks"][FIRST]["artefacts"]["market.parquet"][:12],
    }
    return {
        **run,
        **source_note(manifest),
        "answer": answer.html(),
        "answer_split": answer.split_in_words(),
        "answer_rules": answer.rules_in_words(),
        "stairs": answer.stairs(),
        "lead": answer.lead_in_words(),
        "trust": trust(outputs, answer),
        "n_days": str(answer.n_days),
        "worst_days": worst_share(answer.alpha),
        "own_forecasts": rules.get("own_forecasts", "none in this run"),
        "rule_dsm": rules["dsm_share_of_flow"],
        "rule_unbacked": rules.get("unbacked_max_mwh_per_day", "no limit"),
        "rule_recourse": rules["causal_recourse"],
        "rule_fees": f"{rules['fee_dam_rs_per_mwh_traded']} in each market",
        "rule_wear": rules["wear_rs_per_mwh_discharged"],
        "citation": _citation(run),
        "runtime_table": markdown_table(runtime_rows(manifest)),
    }


def _citation(run: Mapping[str, str]) -> str:
    """How a figure of this run is cited, in BibTeX."""
    note = (
        f"market {run['market']}, prices {run['prices_sha256']} (market.parquet), profile "
        f"{run['profile']}, parameters {run['parameters_sha256']}"
    )
    return (
        "```bibtex\n@software{bessvpp,\n  author = {The bessvpp maintainers},\n"
        "  title = {BESS VPP: a battery on the Indian Energy Exchange},\n"
        f"  version = {{{__version__}, commit {run['commit']}}},\n"
        f"  year = {{{run['finished'][:4]}}},\n  license = {{BSD-3-Clause}},\n"
        f"  note = {{{note}}},\n}}\n```"
    )
