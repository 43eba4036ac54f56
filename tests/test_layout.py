"""Imports point one way, and nothing that is loaded runs code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bessvpp

PACKAGE = Path(bessvpp.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def test_imports_keep_every_contract_of_pyproject():
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_that_is_loaded_can_run_code(path):
    text = path.read_text(encoding="utf-8")
    for way in ("allow_pickle=True", "joblib.dump", "joblib.load", "yaml.load("):
        assert way not in text
