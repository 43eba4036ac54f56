"""The picture of the rooms and the map of the code say what the code is."""

import ast
import importlib.util
import json
import re
from html import unescape

import pytest

from bessvpp.files import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "bessvpp"
MAP = (PROJECT_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
GUIDE = (PROJECT_ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACE = re.compile(r"`([\w/]+\.(?:py|yaml|txt|toml))(?::([\w.]+))?`")


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


draw_rooms = loaded(PROJECT_ROOT / "docs" / "draw_rooms.py")


def defined(body):
    """Names that a file or class defines, those of classes with a dot."""
    names = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{name}" for name in defined(node.body)}
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def test_the_picture_shows_the_rooms_and_arrows_of_the_imports():
    kept = draw_rooms.PICTURE.read_text(encoding="utf-8")
    told = json.loads(unescape(re.search("<metadata>(.*)</metadata>", kept)[1]))
    assert {tuple(arrow) for arrow in told["arrows"]} == draw_rooms.arrows()
    assert kept == draw_rooms.picture(), "draw it anew: python docs/draw_rooms.py"


def test_every_room_is_in_the_picture_and_in_a_layer():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py"}
    rooms |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    layers = [room for layer in draw_rooms.layers() for room in layer]
    assert rooms - {"__init__"} == set(layers) == set(draw_rooms.COLUMN_OF)


def test_an_arrow_is_left_out_only_where_a_longer_way_leads_there():
    arrows = {("a", "b"), ("b", "c"), ("a", "c"), ("c", "risk"), ("files", "errors")}
    drawn = {("a", "b"), ("b", "c"), ("files", "errors")}
    assert draw_rooms.drawn_arrows(arrows) == drawn


PLACES = sorted({place for text in (MAP, GUIDE) for place in PLACE.findall(text)})


@pytest.mark.parametrize(("file", "name"), PLACES, ids=[":".join(place) for place in PLACES])
def test_what_the_map_names_is_there(file, name):
    """A path starts at the package or at the project."""
    places = [folder / file for folder in (PACKAGE, PROJECT_ROOT) if (folder / file).is_file()]
    assert places
    if name:
        names = defined(ast.parse(places[0].read_text(encoding="utf-8")).body)
        assert name in names, f"{file} defines {', '.join(sorted(names))}"


def test_the_map_leads_to_every_room():
    named = {file.split("/")[0].removesuffix(".py") for file, _ in PLACE.findall(MAP)}
    assert named >= set(draw_rooms.COLUMN_OF)
