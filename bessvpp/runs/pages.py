"""An executed notebook as a page of the book.

Code folds behind a click, pictures become numbered figures with a caption, a text in their place,
a shape for phones and their data to download; works and terms are linked to their pages.
"""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

FOR_LAB = "application/vnd.plotly.v1+json"  # a page shows the HTML beside it
CONTROLS = "application/vnd.jupyter.widget-view+json"  # of use beside a kernel alone
CODE, PARAMETERS = "Code", "Parameters of this run"
NUMBER = re.compile(r"^# \d+\. ")  # the table of contents numbers chapters
FORMULA = re.compile(r"(\$\$.*?\$\$)", re.DOTALL)
NOT_PROSE = re.compile(
    r"(\$\$.*?\$\$ \([\w-]+\)|\$[^$\n]+\$|```.*?```|`[^`]*`|\[[^\]]*\]\([^)]*\)|^#+ .*?$)",
    re.DOTALL | re.M,
)
ENTRY = re.compile(r"@\w+\{(?P<key>\w+),(?P<fields>.*?)\n\}", re.DOTALL)
FIELD = re.compile(r"^\s*(\w+)\s*=\s*\{(.*?)\},?$", re.MULTILINE)


@dataclass(frozen=True)
class Links:
    """What prose is linked to: ``works`` as they are cited, to their key; ``terms`` explained."""

    works: Mapping[str, str]
    terms: tuple[str, ...]

    @classmethod
    def of(cls, docs: Path) -> Links:
        """Those of ``references.bib`` and ``glossary.md``."""
        bibliography = (docs / "references.bib").read_text(encoding="utf-8")
        works = {
            _cited_as(dict(FIELD.findall(entry["fields"]))): entry["key"]
            for entry in ENTRY.finditer(bibliography)
        }
        glossary = (docs / "glossary.md").read_text(encoding="utf-8")
        listed = re.search(r"```\{glossary\}\n(.*?)```", glossary, re.DOTALL)
        lines = listed[1].splitlines() if listed else []
        terms = [line for line in lines if line and not line.startswith((" ", ":"))]
        return cls(works, tuple(sorted(terms, key=len, reverse=True)))

    def into(self, text: str, linked: set[str]) -> str:
        """Works, and terms that are not in ``linked``, each linked where it comes first."""
        parts = NOT_PROSE.split(text)
        parts[::2] = [self._into_prose(part, linked) for part in parts[::2]]
        return "".join(parts)

    def _into_prose(self, prose: str, linked: set[str]) -> str:
        for cited, key in self.works.items():
            names, year = cited.rsplit(", ", 1)
            prose = prose.replace(cited, f"{{cite:alp}}`{key}`")
            prose = prose.replace(f"{names} ({year})", f"{names} ({{cite:year}}`{key}`)")
        for term in self.terms:
            if term in linked:
                continue
            parts = re.split(r"(\{[\w:]+\}`[^`]*`)", prose)
            for place in range(0, len(parts), 2):
                found = re.compile(rf"(?<![\w-]){re.escape(term)}(?![\w-])")
                parts[place], n = found.subn(f"{{term}}`{term}`", parts[place], count=1)
                if n:
                    linked.add(term)
                    break
            prose = "".join(parts)
        return prose


def _cited_as(fields: Mapping[str, str]) -> str:
    """How prose cites a work: up to three authors by name, more by the first."""
    names = [name.split(",")[0] for name in fields["author"].split(" and ")]
    if len(names) > 3:
        return f"{names[0]} et al., {fields['year']}"
    *first, last = names
    return (
        f"{', '.join(first)} and {last}, {fields['year']}" if first else f"{last}, {fields['year']}"
    )


def page_of(notebook: NotebookNode, name: str, source: Path, links: Links) -> NotebookNode:
    """The page of an executed notebook; its pictures and downloads go into ``source``."""
    cells: list[NotebookNode] = []
    linked: set[str] = set()
    n_figures = n_formulas = n_tables = 0
    for cell in _merged(notebook.cells):
        cells.append(cell)
        if cell.cell_type == "markdown":
            n_formulas, cell.source = _numbered(cell.source, name[:2], n_formulas)
            cell.source = links.into(NUMBER.sub("# ", cell.source), linked)
            continue
        _fold(cell)
        kept = []
        for output in cell.get("outputs", []):
            told = output.get("metadata", {}).pop("book", {})
            data = output.get("data", {})
            data.pop(FOR_LAB, None)
            if CONTROLS in data:
                continue
            if "says" in told:
                n_figures += 1
                place = f"{name[:2]}-{n_figures}"
                cells.append(new_markdown_cell(_figure(data, told, place, source)))
                continue
            if "table" in told:
                data["text/html"] = told["table"]
            if rows := told.get("data") or _unrounded(output):
                n_tables += 1
                file = f"table-{name[:2]}-{n_tables}.csv"
                _written(source / "_extra" / "downloads" / file, rows)
                data["text/html"] += f'<p class="table-data">{_data_link(file)}</p>'
            kept.append(output)
        cell.outputs = kept
    download = f'<a href="../downloads/{name}.ipynb" download>This chapter as a notebook</a>'
    title, _, rest = cells[0].source.partition("\n")
    cells[0].source = f'{title}\n\n<p class="downloads">{download}</p>\n{rest}'
    metadata = {key: value for key, value in notebook.metadata.items() if key != "widgets"}
    return NotebookNode({**notebook, "cells": cells, "metadata": metadata})


def _numbered(text: str, chapter: str, n_before: int) -> tuple[int, str]:
    """Every displayed formula with a label, so that Sphinx numbers it, and how many there are."""
    n_formulas = n_before
    parts = FORMULA.split(text)
    for place in range(1, len(parts), 2):
        n_formulas += 1
        parts[place] += f" (formula-{chapter}-{n_formulas})"
    return n_formulas, "".join(parts)


def _unrounded(output: NotebookNode) -> str:
    """The figures of a table that a test compares, before they were rounded; "" for another."""
    figures = output.get("metadata", {}).get("unrounded", [])
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerows([("row", "column", "value"), *(figure[:3] for figure in figures)])
    return lines.getvalue() if figures else ""


def executed_copy(notebook: NotebookNode) -> NotebookNode:
    """The executed notebook to download: without what the book or a kernel alone needs."""
    copy = deepcopy(notebook)
    copy.metadata.pop("widgets", None)
    for cell in copy.cells:
        if "outputs" in cell:
            cell.outputs = [one for one in cell.outputs if CONTROLS not in one.get("data", {})]
        for output in cell.get("outputs", []):
            output.get("metadata", {}).pop("book", None)
    return copy


def _merged(cells: list[NotebookNode]) -> Iterator[NotebookNode]:
    """Code that shows nothing joins the cell that follows it, so that it folds with it."""
    waiting: list[str] = []
    for cell in cells:
        silent = cell.cell_type == "code" and not cell.get("outputs")
        tags = cell.metadata.get("tags", [])
        if silent and "parameters" not in tags and "injected-parameters" not in tags:
            waiting.append(cell.source)
            last = cell
            continue
        if waiting and cell.cell_type == "code":
            cell.source = "\n\n".join([*waiting, cell.source])
        elif waiting:
            last.source = "\n\n".join(waiting)
            yield last
        waiting = []
        yield cell
    if waiting:
        last.source = "\n\n".join(waiting)
        yield last


def _fold(cell: NotebookNode) -> None:
    tags = cell.metadata.setdefault("tags", [])
    if "parameters" in tags:  # the values of this run come in the next cell
        tags.append("remove-cell")
        return
    if "hide-input" not in tags:
        tags.append("hide-input")
    prompt = PARAMETERS if "injected-parameters" in tags else CODE
    cell.metadata["mystnb"] = {"code_prompt_show": prompt, "code_prompt_hide": prompt}


def _figure(data: Mapping[str, Any], told: Mapping[str, str], place: str, source: Path) -> str:
    """The directive of a figure, whose files are written for it."""
    figures, extra = source / "figures", source / "_extra"
    for folder in (figures, extra / "_images"):
        folder.mkdir(parents=True, exist_ok=True)
    name = f"figure-{place}.csv"
    _written(extra / "downloads" / name, told["data"])
    caption = f"{told['says']} {_data_link(name)}"
    named = f":name: figure-{place}\n"
    if "name" in told:
        (figures / f"{told['name']}.html").write_text(data["text/html"], encoding="utf-8")
        return f"```{{interactive}} ../figures/{told['name']}.html\n{named}\n{caption}\n```"
    (figures / f"{place}.png").write_bytes(base64.b64decode(data["image/png"]))
    phone = extra / "_images" / f"{place}-phone.png"
    phone.write_bytes(base64.b64decode(told["phone"]))
    alt = f":alt: {told['says']}\n"
    return f"```{{figure}} ../figures/{place}.png\n{named}{alt}\n{caption}\n```"


def _written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _data_link(name: str) -> str:
    return f'<a href="../downloads/{name}" download>Data (CSV)</a>'
