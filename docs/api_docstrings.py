"""Docstrings of this project for Sphinx: after ``name :`` stand words and shapes, not types."""

from __future__ import annotations

import dataclasses
import inspect
import re

COMMENTED = re.compile(r"^    (\w+): [^#\n]+  # (.*)$", re.MULTILINE)
TOLD = re.compile(r"(\w+(?:, \w+)*) : (.*)")


def words_not_types(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Rewrite a docstring in place, so that napoleon takes what follows a colon as words."""
    section, made = "", []
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line and set(below) == {"-"}:
            section = line
        elif section == "Parameters" and (found := re.match(r"(\w+) : (.*)", line)):
            made.append(found[1])
            line = f"    {found[2]}"
        made.append(line)
    lines[:] = made


def fields_as_lists(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """List the fields of a dataclass: as its docstring tells them, else by their comments."""
    if not (inspect.isclass(obj) and dataclasses.is_dataclass(obj)):
        return
    words = dict(COMMENTED.findall(inspect.getsource(obj)))
    made, is_listed = [], False
    for line in lines:
        if found := TOLD.fullmatch(line):
            made += [] if is_listed else [""]
            names = ", ".join(f"``{field}``" for field in found[1].split(", "))
            line, is_listed = f"- {names}: {found[2]}", True
        elif is_listed and line.startswith("    "):
            line = line[2:]
        else:
            is_listed = False
        made.append(line)
    names = [field.name for field in dataclasses.fields(obj)]
    untold = [name for name in names if f"``{name}``" not in "\n".join(made)]
    listed = [f"- ``{name}``" + f": {words.get(name, '')}".rstrip(": ") for name in untold]
    example = next((k for k, line in enumerate(made) if line.startswith(".. rubric")), len(made))
    lines[:] = [*made[:example], "", *listed, "", *made[example:]]


def setup(app: object) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", words_not_types, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", fields_as_lists, priority=600)  # after it
    return {"parallel_read_safe": True, "parallel_write_safe": True}
