"""Docstrings of this project for Sphinx: after ``name :`` stand words and shapes, not types."""

from __future__ import annotations

import re


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


def setup(app: object) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", words_not_types, priority=400)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
