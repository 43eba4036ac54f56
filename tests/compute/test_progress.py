"""How far a long loop is, is told where somebody looks."""

from __future__ import annotations

import sys

from bessvpp.compute.progress import PROGRESS_FILE, shown


def test_under_a_runner_the_bar_is_told_in_its_file_alone(monkeypatch, capsys, tmp_path):
    file = tmp_path / "bar"
    monkeypatch.setenv(PROGRESS_FILE, str(file))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    told = []
    for _ in shown(iter(range(4)), "plans", 4):
        told.append(file.read_text(encoding="utf-8"))
    assert [line.split("%")[0] for line in told] == [
        f"plans: {n}" for n in (" 25", " 50", " 75", "100")
    ]
    assert "1/4" in told[0]
    assert "<" in told[0]  # the time to go
    assert "/s" in told[-1]
    assert not file.exists()
    assert capsys.readouterr() == ("", "")


def test_a_loop_that_ends_early_leaves_no_bar_behind(monkeypatch, tmp_path):
    file = tmp_path / "bar"
    monkeypatch.setenv(PROGRESS_FILE, str(file))
    items = iter(shown([5, 6, 7], "models"))
    assert next(items) == 5
    assert "models:  33%" in file.read_text(encoding="utf-8")
    items.close()
    assert not file.exists()
