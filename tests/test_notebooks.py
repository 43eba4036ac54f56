"""The notebooks as files, and each by itself under plain papermill."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import unittest.mock
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from pin_notebooks import CHECKED, edge_distance, pin
from small_cases import FIELDS as SMALL
from small_cases import PATIENCE_S, write_parameters

from bessvpp.errors import MissingArtefactError
from bessvpp.files import PROJECT_ROOT
from bessvpp.forecasting import intraday
from bessvpp.params.load import FIELDS, load_params, read_yaml
from bessvpp.plots import show
from bessvpp.runs import contents
from bessvpp.runs.folder import WRITTEN_BY, RunFolder
from bessvpp.runs.profiles import declared_parameters, notebook_paths

PATHS = notebook_paths()
SOLVED = ("05", "06", "07")  # their figures come from a solver that stops at a tolerance


def code_cells(path):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def papermill(path, out, outputs, *words):
    command = [sys.executable, "-m", "papermill", str(path), str(out), "--no-progress-bar"]
    command += ["--start-timeout", str(PATIENCE_S)]
    command += ["-p", "outputs", str(outputs), *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=10 * PATIENCE_S, check=False
    )


def test_there_are_the_seven_notebooks():
    assert [name[:2] for name in PATHS] == [f"{k:02d}" for k in range(1, 8)]


def of_solver(path):
    return path.name[:2] in SOLVED


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_only_checked_cells_keep_outputs_and_each_keeps_its_count(path):
    checked = [c for c in code_cells(path) if CHECKED in c.metadata.get("tags", [])]
    # without one, nbval passes whatever a notebook computes, but for its assertions
    assert bool(checked) != of_solver(path)
    for cell in code_cells(path):
        if cell in checked:
            assert cell.execution_count, "nbval passes a cell without a count silently"
            assert cell.source.splitlines()[-1].startswith("bv.plots.show_checked(")
            (output,) = cell.outputs
            assert output.data["text/plain"].strip()
            assert output.metadata == {}, "what differs between machines is not kept"
        else:
            assert cell.outputs == []
            assert cell.execution_count is None


def output_of(table, decimals):
    """What a kernel keeps of a checked cell."""
    with unittest.mock.patch.object(show, "display") as seen:
        show.show_checked(table, decimals)
    ((data,), given) = seen.call_args
    return nbformat.v4.new_output("display_data", data, metadata=given["metadata"])


def checked_notebook(path, figures, decimals):
    """A notebook of one checked cell, as executed where ``figures`` were found."""
    cell = nbformat.v4.new_code_cell("bv.plots.show_checked(table)", metadata={"tags": [CHECKED]})
    cell.id, cell.execution_count = "it", 3
    cell.outputs = [output_of(pd.DataFrame({"shown": figures}), decimals)]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    return path


@pytest.mark.parametrize(
    ("figure", "decimals", "pinned"),
    [
        (0.874, 2, True),
        (0.875, 2, False),  # exactly between 0.87 and 0.88
        (0.87519, 2, False),
        (0.87481, 2, False),
        (0.87521, 2, True),
        (0.875, 1, True),
        (-410.49, 0, False),
        (-410.4, 0, True),
        (2344.9, -1, False),
        (2344.7, -1, True),
        (4.0, 0, True),  # counts are as far from an edge as can be
        (-0.001, 1, True),
    ],
)
def test_a_figure_at_the_edge_of_its_rounding_is_not_pinned(tmp_path, figure, decimals, pinned):
    executed = checked_notebook(tmp_path / "executed.ipynb", [12.0, figure], decimals)
    source = checked_notebook(tmp_path / "source.ipynb", [1.0], 0)
    before = source.read_bytes()
    refused = pin(source, executed)
    assert (edge_distance(figure, decimals) >= 0.02) == pinned
    if pinned:
        assert refused == []
        (cell,) = code_cells(source)
        assert (cell.outputs[0].metadata, cell.execution_count) == ({}, 3)
    else:
        (line,) = refused
        assert line.startswith(f"source.ipynb, cell it: 1, shown: {figure!r} is too near")
        assert source.read_bytes() == before


def test_a_checked_cell_that_hides_its_figures_is_not_pinned(tmp_path):
    path = checked_notebook(tmp_path / "n.ipynb", [1.0], 0)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text="1\n")]
    nbformat.write(notebook, path)
    (line,) = pin(path, path)
    assert "bv.plots.show_checked" in line


def test_checked_figures_are_shown_with_the_digits_asked_for():
    table = pd.DataFrame({"a": [1.26, -0.04], "b": [1234.5, float("nan")]}, index=["x", "y"])
    shown = output_of(table, {"a": 1, "b": -2})
    assert shown.data["text/plain"].split() == ["a", "b", "x", "1.3", "1200", "y", "0.0"]
    assert shown.metadata["unrounded"] == [
        ["x", "a", 1.26, 1],
        ["y", "a", -0.04, 1],
        ["x", "b", 1234.5, -2],
    ]


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_cells_are_short_and_define_nothing(path):
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= 12
        kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
        assert not any(isinstance(node, kinds) for node in ast.walk(ast.parse(cell.source)))


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_each_begins_with_its_parameters_and_the_door(path):
    parameters, door = code_cells(path)[:2]
    assert parameters.metadata.tags == ["parameters"]
    assert door.source.startswith("import bessvpp as bv\n")
    later = [cell.source for cell in code_cells(path)[2:]]
    assert not any(re.search(r"^(import|from) ", source, re.MULTILINE) for source in later)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_each_ends_with_assertions(path):
    last = [cell.source for cell in code_cells(path)][-2:]
    assert any("claims(" in source or "assert " in source for source in last)


def test_defaults_are_the_quick_profile_and_agree_between_notebooks():
    base, quick = load_params(), read_yaml(PROJECT_ROOT / "params" / "profiles" / "quick.yaml")
    seen = {}
    for path in PATHS.values():
        for key, value in declared_parameters(path).items():
            assert seen.setdefault(key, value) == value, f"{path.name}: {key}"
    # notebook 05 opens one fan up, the others both
    for key, value in quick.items():
        assert seen[key] == value
    for key, value in seen.items():
        if key in FIELDS:
            expected = quick.get(key, getattr(getattr(base, FIELDS[key]), key))
            expected = list(expected) if isinstance(expected, tuple) else expected
            assert value == expected, key


def test_plain_papermill_refuses_an_unknown_parameter(tmp_path):
    done = papermill(
        PATHS["04_scenarios"], tmp_path / "out.ipynb", tmp_path, "-p", "n_scenario", "9"
    )
    assert done.returncode != 0
    assert "no parameter 'n_scenario'" in done.stderr
    assert "n_scenarios" in done.stderr


def test_a_notebook_alone_says_what_to_run_first(tmp_path):
    path = PATHS["07_efficient_frontier"]
    done = papermill(path, tmp_path / "out.ipynb", tmp_path / "empty")
    assert done.returncode != 0
    assert "run 01_features first" in done.stderr


def told_of(path):
    """What a notebook says that it reads and writes, and how long it takes."""
    cells = nbformat.read(path, as_version=4).cells
    (said,) = [c.source for c in cells if c.source.startswith("## Parameters\n\n**Reads** ")]
    reads, writes, takes = re.search(
        r"\*\*Reads\*\* (.*)\. \*\*Writes\*\* (.*)\. \*\*Takes\*\* (.*) with", said
    ).groups()
    chapters = re.findall(r"((?:`[^`]+`(?:, )?)+) of chapter (\d)", reads)
    of_chapter = {name: n for names, n in chapters for name in re.findall("`([^`]+)`", names)}
    return of_chapter, re.findall("`([^`]+)`", writes), takes


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_each_says_what_it_writes_and_who_wrote_what_it_reads(path):
    reads, writes, _ = told_of(path)
    own = {name for name, writer in WRITTEN_BY.items() if writer == path.stem}
    own = {"models/" if name.split("/")[0] == "models" else name for name in own}
    assert set(writes) == (own or {"bids/dam_<date>.csv"})
    for name, chapter in reads.items():
        assert WRITTEN_BY[name.rstrip("/")].startswith(f"0{chapter}_")
        assert chapter < path.stem[1]


@pytest.fixture(scope="module")
def earlier(study, study_run, tmp_path_factory):
    """A folder with all that a notebook may read, made with the parameter files beside it."""
    run = RunFolder(tmp_path_factory.mktemp("earlier"))
    shutil.copytree(study_run.path, run.path, dirs_exist_ok=True)
    write_parameters(run, study.params)
    rules = study.params.market
    models = intraday.walk_forward_spreads(study.market, study.splits, study.params.forecast, rules)
    contents.save_intraday(run, models)
    run.write_json("fan_choice.json", {"fan": "recalibrated"})
    return run.path


def first_cells(path, outputs, until, changed="", space=None):
    """Execute a notebook's cells in this process, up to the one that contains some words.

    ``changed`` is what a reader writes below the parameters, ``space`` what cells left before.
    """
    space = {} if space is None else space
    for cell in code_cells(path):
        if "parameters" in cell.metadata.get("tags", []):
            places = f"outputs = {str(outputs)!r}; params = {str(outputs / 'params')!r}"
            exec(f"{cell.source}\n{places}\n{changed}", space)
            space |= {key: value for key, value in SMALL["forecast"].items() if key in space}
            continue
        exec(cell.source, space)
        if until in cell.source:
            return
    raise AssertionError(f"{path.name} has no cell with {until}")


NEEDS = [(path, name) for path in PATHS.values() for name in told_of(path)[0]]


@pytest.mark.parametrize(("path", "lacks"), NEEDS, ids=[f"{p.stem[:2]}, {n}" for p, n in NEEDS])
def test_a_notebook_that_lacks_a_file_names_it_and_the_notebook_to_run_first(
    path, lacks, earlier, tmp_path
):
    shutil.copytree(earlier, tmp_path / "run", copy_function=os.link)
    there = tmp_path / "run" / lacks
    shutil.rmtree(there) if there.is_dir() else there.unlink()
    writer = WRITTEN_BY[lacks.rstrip("/")]
    with pytest.raises(MissingArtefactError, match=f"{lacks}.* is not there: run {writer} first"):
        first_cells(path, tmp_path / "run", "claims.show()")


@pytest.mark.parametrize("path", list(PATHS.values())[1:], ids=list(PATHS)[1:])
def test_in_an_empty_folder_each_names_the_very_first(path, earlier, tmp_path):
    shutil.copytree(earlier / "params", tmp_path / "run" / "params")
    with pytest.raises(MissingArtefactError, match="run 01_features first"):
        first_cells(path, tmp_path / "run", "claims.show()")


@pytest.mark.parametrize("name", [name for name in PATHS if name > "05"])
def test_what_a_notebook_says_that_it_reads_is_all_it_needs(name, earlier, tmp_path):
    shutil.copytree(earlier / "params", tmp_path / "run" / "params")
    for needed in told_of(PATHS[name])[0]:
        place = shutil.copytree if needed.endswith("/") else shutil.copy
        place(earlier / needed, tmp_path / "run" / needed)
    first_cells(PATHS[name], tmp_path / "run", "window.market.is_synthetic")


@pytest.mark.slow
def test_values_can_be_changed_in_place_and_all_cells_run_again(earlier, tmp_path):
    shutil.copytree(earlier, tmp_path / "run")
    path, space, planned = PATHS["05_two_stage_optimizer"], {}, []
    changes = ("", "risk_aversion = 2.0; fan = 'original'", "terminal = 'free'")
    for changed in changes:
        first_cells(path, tmp_path / "run", "claims.show()", changed, space)
        planned.append(space["plan"].dam_mw)
        assert f"{space['p'].risk.risk_aversion}" == ("2.0" if "2.0" in changed else "0.3")
    assert not any(np.allclose(planned[0], later) for later in planned[1:])


def test_chapter_6_says_so_where_no_day_was_closed(tmp_path):
    (source,) = (c.source for c in code_cells(PATHS["06_backtest"]) if "journal" in c.source)
    told = []
    bv = unittest.mock.Mock()
    bv.plots.say = told.append
    exec(source, {"run": RunFolder(tmp_path), "bv": bv})
    assert told == ["**Closed days.** None yet in this run: `bessvpp close` books one."]


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_each_thing_to_try_has_its_answer_folded_and_none_a_figure_of_a_run(path):
    last = nbformat.read(path, as_version=4).cells[-1].source
    asked, folded, answers = last.partition("<details ")
    assert asked.count("\n- ") == answers.count("\n- ")
    assert bool(folded) == last.startswith("## Things to try")
    assert not re.search(r"\d[.,]\d|lakh|%", answers)


def test_the_start_page_leads_to_all_seven_and_says_what_they_say():
    page = (PROJECT_ROOT / "start.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[.*?\]\(notebooks/(\w+)\.ipynb\) \|.*\| (.*) \| (.*) \|$", page, re.M)
    assert [name for name, _, _ in rows] == list(PATHS)
    for name, needs, takes in rows:
        reads, _, told = told_of(PATHS[name])
        assert needs == (", ".join(sorted(set(reads.values()))) or "nothing")
        assert takes == told
    for link in re.findall(r"\]\(([^)]+)\)", page):
        assert (PROJECT_ROOT / link).exists(), link


def test_jupyterlab_is_told_to_open_the_start_page_as_it_is_read():
    told = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
    assert "--LabApp.app_settings_dir=_lab --LabApp.default_url=/lab/tree/start.md" in told
    settings = json.loads((PROJECT_ROOT / "_lab" / "overrides.json").read_text(encoding="utf-8"))
    opened = settings["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"]
    assert opened == {"markdown": "Markdown Preview"}


def test_no_notebook_is_far_from_plain_text():
    for path in PATHS.values():
        assert Path(path).stat().st_size < 60_000
