"""Imports point one way, and each outside library enters by one door."""

from __future__ import annotations

import ast
from pathlib import Path

import bessvpp

PACKAGE = Path(bessvpp.__file__).parent
MODULES = {path.stem: path for path in sorted(PACKAGE.glob("*.py"))}

# Each row may import itself and the rows above it; inside a row, no cycles.
ROWS = (
    {
        "__init__",
        "errors",
        "params",
        "metrics",
        "conformal",
        "artefacts",
        "cache",
        "workers",
    },
    {
        "cells",
        "tables",
        "checksum",
        "snapshot",
        "exchange_files",
        "price_tables",
        "external",
        "market",
        "battery",
    },
    {
        "synthetic",
        "market_statistics",
        "features",
        "forecast",
        "recalibration",
        "benchmark_forecasts",
        "scores",
        "problem",
        "programme",
        "arrays",
        "engine",
        "dispatch",
        "scenarios",
        "fan_quality",
        "reduction",
        "intraday",
        "settlement",
    },
    {"backtest"},
    {"frontier", "plan"},
    {"plots"},
    {"check", "manifest", "profiles", "pipeline", "book", "replay"},
    {"__main__"},
)
ROW_OF = {name: row for row, names in enumerate(ROWS) for name in names}

DOORS = {
    "pulp": {"programme"},
    "highspy": {"engine"},
    "lightgbm": {"forecast"},
    "matplotlib": {"plots"},
    "plotly": {"plots"},
    "papermill": {"pipeline"},
    "python_calamine": {"cells"},
    "sklearn": {"scenarios", "recalibration", "benchmark_forecasts"},
    "statsmodels": {"scores"},
    "scoringrules": {"scores", "fan_quality"},
    "holidays": {"features", "synthetic"},
    "yaml": {"params", "profiles", "book"},
}
NEVER = {"pickle", "dill", "cloudpickle", "shelve", "marshal", "tkinter"}


def imported(name: str) -> set[str]:
    """Dotted names that a module imports when it runs, wherever in its text."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(MODULES[name].read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        waiting += ast.iter_child_nodes(node)
    return found


def inner(name: str) -> set[str]:
    """Modules of this package that a module imports."""
    parts = [dotted.split(".") for dotted in imported(name)]
    return {part[1] for part in parts if part[0] == "bessvpp" and len(part) > 1}


def test_every_module_has_its_row():
    assert set(MODULES) <= set(ROW_OF), "give the new module a row"


def test_imports_point_one_way():
    for name in MODULES:
        for other in inner(name) & set(MODULES):
            assert ROW_OF[other] <= ROW_OF[name], f"{name} imports {other} from a later row"


def test_no_imports_run_in_a_circle():
    seen: dict[str, str] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " imports ".join((*trail, name))
        if name in seen:
            return
        for other in sorted(inner(name) & set(MODULES)):
            visit(other, (*trail, name))
        seen[name] = "done"

    for name in MODULES:
        visit(name, ())


def test_each_outside_library_enters_by_one_door():
    for name in MODULES:
        for dotted in imported(name):
            library = dotted.split(".")[0]
            if library in DOORS and name not in DOORS[library]:
                # The book copies Plotly's script; it draws nothing.
                assert (name, dotted) == ("book", "plotly.offline.get_plotlyjs"), (name, dotted)


def test_nothing_that_runs_code_when_it_is_loaded_is_imported():
    for name in MODULES:
        libraries = {dotted.split(".")[0] for dotted in imported(name)}
        assert not libraries & NEVER, name
        text = MODULES[name].read_text(encoding="utf-8")
        assert "allow_pickle=True" not in text
        assert "joblib.dump" not in text
        assert "joblib.load" not in text
        assert "yaml.load(" not in text


def test_the_modules_that_carry_testable_claims_import_almost_nothing():
    allowed = {"__future__", "math", "dataclasses", "numpy", "bessvpp", "collections"}
    for name in ("battery", "conformal", "metrics"):
        assert {dotted.split(".")[0] for dotted in imported(name)} <= allowed, name
    for name in ("battery", "conformal", "metrics"):
        assert inner(name) <= {"params", "errors"}, name
