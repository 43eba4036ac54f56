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

from bessvpp.errors import DataError, MissingArtefactError, RunError
from bessvpp.files import PROJECT_ROOT, atomic_file
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.headline import (
    _markdown_table,
    _runtime_rows,
    coverage_rows,
    frontier_rows,
    market_in_words,
    policy_rows,
    rule_rows,
    verdict,
)
from bessvpp.runs.manifest import artefacts_of, read_manifest

PICTURES = ("coverage.png", "frontier.png")
FIXED = ("_config.yml", "_toc.yml", "intro.md", "_static/book.css", "docs/api_docstrings.py")
README_BLOCK = re.compile(r"(<!-- headline:[^\n]*-->\n).*?(<!-- /headline -->)", re.DOTALL)
FOR_LAB = "application/vnd.plotly.v1+json"  # a page shows the HTML beside it
PROMPT = "Parameters of this run"
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


def write_readme(outputs: Path, project: Path = PROJECT_ROOT) -> None:
    """Put a run's frontier and headline tables into the README."""
    readme = project / "README.md"
    text = readme.read_text(encoding="utf-8")
    manifest = _complete_manifest(outputs)
    block = (
        f"Market of this run: {market_in_words(manifest)}. *Causal* recourse trades each RTM "
        "session on what its gate knows; *hindsight* knows the day's RTM prices, which no trader "
        "does. What a policy is worth is its gain over nothing committed. Money in lakh Rs "
        "(Rs 100,000); worst day and cycles with causal recourse.\n\n"
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


def _written_pages(project: Path) -> list[str]:
    """Pages of the table of contents that are written and not run."""
    toc = yaml.safe_load((project / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [f"{chapter['file']}.md" for part in toc["parts"] for chapter in part["chapters"]]
    return [name for name in chapters if (project / name).is_file()]


def substitutions(outputs: Path, manifest: Mapping[str, Any]) -> dict[str, str]:
    """What ``{{ name }}`` on the landing page stands for."""
    git = manifest["git"] or {}
    return {
        "market": market_in_words(manifest),
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
