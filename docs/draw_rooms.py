"""Draws ``docs/architecture.svg``: the rooms of the package and the arrows between them.

Rooms and layers are those of the import contracts in ``pyproject.toml``, arrows those of the
imports, words those of each room's docstring. ``python docs/draw_rooms.py`` draws it anew; a
test compares what is kept with what would be drawn.
"""

from __future__ import annotations

import ast
import json
import textwrap
import tomllib
from collections import defaultdict
from html import escape
from pathlib import Path

import grimp

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "bessvpp"
PICTURE = PROJECT / "docs" / "architecture.svg"
GROUND = ("params", "compute", "files", "errors", "prices", "price_tick", "risk")
"""Rooms that any other may stand on: arrows to them are kept, and not drawn."""
COLUMNS = {
    0: ("runs", "calibration", "forecasting", "market", "price_files", "params", "files", "errors"),
    1: ("__main__", "commands", "plots", "desk", "scenarios", "compute", "prices"),
    2: ("backtest", "settlement", "optimizer", "ledger", "battery", "risk", "price_tick"),
}
COLUMN_OF = {room: column for column, rooms in COLUMNS.items() for room in rooms}
TINTS = {0: ("#e8f1fa", "#2f6ea5"), 1: ("#eef5ec", "#4b7f3f"), 2: ("#fdf1e4", "#b3661a")}
GROUND_TINT = ("#ffffff", "#8a8a8a")

WIDTH, BOX, MARGIN, BETWEEN, GAP = 1040, 304, 32, 32, 36
PAD, NAME, LINE, SMALL, CAPTION = 12, 18, 16, 14, 34
WORDS_A_LINE, FILES_A_LINE = 44, 44


# ---------------------------------------------------------------------- what there is


def layers() -> list[list[str]]:
    """Rooms of each layer, the highest first."""
    contracts = _contracts()
    (kept,) = (contract for contract in contracts if contract["type"] == "layers")
    return [[room.strip() for room in layer.split("|")] for layer in kept["layers"]]


def arrows() -> set[tuple[str, str]]:
    """Pairs of rooms of which the first imports from the second."""
    graph = grimp.build_graph("bessvpp", exclude_type_checking_imports=True, cache_dir=None)
    found = {
        (_room(importer), _room(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    return {(one, two) for one, two in found if one != two and "" not in (one, two)}


def drawn_arrows(all_arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Arrows without those to the ground from above, and without short cuts of longer ways."""
    below: dict[str, set[str]] = defaultdict(set)
    for one, two in all_arrows:
        below[one].add(two)

    def reach(room: str) -> set[str]:
        return below[room].union(*(reach(lower) for lower in below[room]))

    return {
        (one, two)
        for one, two in all_arrows
        if (two not in GROUND or one in GROUND)
        and not any(two in reach(lower) for lower in below[one] - {two})
    }


def purpose(room: str) -> str:
    """First line of a room's docstring."""
    path = _path(room)
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{path} has no docstring"
    return docstring.splitlines()[0].rstrip(".").replace("``", "")


def files(room: str) -> list[str]:
    """Names of a room's files; none where the room is one file."""
    return sorted(path.stem for path in (PACKAGE / room).glob("*.py") if path.stem != "__init__")


def sole_imports() -> dict[str, list[str]]:
    """Libraries that one room alone may import, by room."""
    alone: dict[str, list[str]] = defaultdict(list)
    for contract in _contracts():
        if contract["type"] == "protected":
            (importer,) = contract["allowed_importers"]
            alone[_room(importer)] += contract["protected_modules"]
    return dict(alone)


def _contracts() -> list[dict]:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    return settings["tool"]["importlinter"]["contracts"]


def _room(module: str) -> str:
    """The room of a module; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def _path(room: str) -> Path:
    folder = PACKAGE / room
    return folder / "__init__.py" if folder.is_dir() else PACKAGE / f"{room}.py"


# ---------------------------------------------------------------------- the picture


class Box:
    """A room as it is drawn: its words, its size, its place."""

    def __init__(self, room: str, alone: list[str]) -> None:
        self.room, self.column = room, COLUMN_OF[room]
        self.words = textwrap.wrap(purpose(room), WORDS_A_LINE)
        self.files = textwrap.wrap("  ".join(files(room)), FILES_A_LINE, break_on_hyphens=False)
        self.alone = f"alone imports {', '.join(alone)}" if alone else ""
        lines = LINE * len(self.words) + SMALL * (len(self.files) + bool(self.alone))
        self.height = 2 * PAD + NAME + lines
        self.x, self.y = MARGIN + self.column * (BOX + BETWEEN), 0

    def svg(self) -> str:
        """The box and its words."""
        fill, ink = GROUND_TINT if self.room in GROUND else TINTS[self.column]
        parts = [
            f'<rect x="{self.x}" y="{self.y}" width="{BOX}" height="{self.height}" rx="8" '
            f'fill="{fill}" stroke="{ink}" stroke-width="1.4"/>'
        ]
        y = self.y + PAD + 12
        parts.append(_text(self.x + PAD, y, self.room, "name", ink))
        y += 2
        for word in self.words:
            y += LINE
            parts.append(_text(self.x + PAD, y, word, "words", "#222222"))
        for line in self.files:
            y += SMALL
            parts.append(_text(self.x + PAD, y, line, "files", "#666666"))
        if self.alone:
            y += SMALL
            parts.append(_text(self.x + PAD, y, self.alone, "alone", ink))
        return "\n".join(parts)


def placed() -> tuple[dict[str, Box], int]:
    """Boxes of all rooms, a layer below the other, and the height of it all."""
    alone, boxes, y = sole_imports(), {}, 64
    for layer in layers():
        row = [Box(room, alone.get(room, [])) for room in layer]
        if GROUND[0] in layer:
            y += CAPTION
        for box in row:
            box.y = y
            boxes[box.room] = box
        y += max(box.height for box in row) + GAP
    return boxes, y


def picture() -> str:
    """The whole picture as SVG text, the same for the same imports."""
    boxes, height = placed()
    kept = arrows()
    told = json.dumps({"arrows": sorted(kept)})
    lines = [_arrow(boxes[one], boxes[two], kept) for one, two in sorted(drawn_arrows(kept))]
    ground = boxes[GROUND[0]].y - CAPTION
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img" aria-label="The rooms of bessvpp">',
            f"<metadata>{escape(told, quote=False)}</metadata>",
            STYLE,
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            _text(MARGIN, 30, "The rooms of bessvpp", "title", "#111111"),
            _text(
                MARGIN,
                50,
                "An arrow: imports from. Arrows point down only; one that a longer way makes plain "
                "is left out.",
                "words",
                "#555555",
            ),
            f'<rect x="12" y="{ground}" width="{WIDTH - 24}" height="{height - ground - 12}" '
            'rx="12" fill="#f1f1f1"/>',
            _text(
                MARGIN,
                ground + 22,
                "The ground: every room may stand on it; arrows to it from above are not drawn.",
                "words",
                "#555555",
            ),
            *lines,
            *(box.svg() for box in boxes.values()),
            "</svg>\n",
        ]
    )


STYLE = """<style>
text { font-family: "Helvetica Neue", Arial, sans-serif; }
.title { font-size: 20px; font-weight: 700; }
.name { font-size: 15px; font-weight: 700; font-family: Menlo, Consolas, monospace; }
.words { font-size: 12.5px; }
.files { font-size: 10.5px; font-family: Menlo, Consolas, monospace; }
.alone { font-size: 11px; font-style: italic; }
</style>
<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7"
orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="#555555"/></marker></defs>"""


def _text(x: int, y: int, text: str, kind: str, ink: str) -> str:
    return f'<text x="{x}" y="{y}" class="{kind}" fill="{ink}">{escape(text, quote=False)}</text>'


def _arrow(one: Box, two: Box, kept: set[tuple[str, str]]) -> str:
    """A line from the foot of one box to the head of another, beside others of its kind."""
    x_one = one.x + BOX // 2 + 56 * (two.column - one.column)
    x_two = two.x + BOX // 2 + 56 * (one.column - two.column)
    y_one, y_two = one.y + one.height, two.y - 2
    bend = min(GAP + 8, (y_two - y_one) // 2 + 6)
    path = f"M{x_one} {y_one} C{x_one} {y_one + bend} {x_two} {y_two - bend} {x_two} {y_two}"
    return f'<path d="{path}" fill="none" stroke="#777777" marker-end="url(#head)"/>'


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    print(f"drawn: {PICTURE}")
