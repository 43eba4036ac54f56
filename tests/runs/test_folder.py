"""Files between the notebooks: whole or not there, and never half."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource

import numpy as np
import pandas as pd
import pytest

from bessvpp.errors import MissingArtefactError, ParameterError, StorageError
from bessvpp.files import atomic_file, user_path
from bessvpp.runs import contents, folder
from bessvpp.runs.folder import WRITTEN_BY, RunFolder


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read_back_equal(run):
    frame = pd.DataFrame({"a": [1.5, np.nan], "day": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    run.write_frame("market.parquet", frame)
    pd.testing.assert_frame_equal(run.read_frame("market.parquet"), frame)
    run.write_json("coverage.json", {"x": np.float64(0.25), "n": np.arange(3)})
    assert run.read_json("coverage.json") == {"x": 0.25, "n": [0, 1, 2]}
    run.write_arrays("scenarios_original.npz", dam=np.arange(6.0).reshape(2, 3))
    read = run.read_arrays("scenarios_original.npz")
    np.testing.assert_array_equal(read["dam"], np.arange(6.0).reshape(2, 3))


def test_a_run_folder_is_made_with_its_sub_folders(run):
    run.write_text("models/dam/q10.txt", "tree")
    assert (run.path / "models" / "dam" / "q10.txt").read_text() == "tree"


def test_a_failing_writer_leaves_the_old_file_and_no_temporary_one(run):
    path = run.write_text("frontier.json", "old")

    def fail():
        with atomic_file(path) as handle:
            handle.write(b"half of the new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert files(run.path) == ["frontier.json"]


def test_the_file_is_not_there_before_it_is_whole(run):
    path = run.path / "frontier.json"
    with atomic_file(path) as handle:
        handle.write(b"half")
        handle.flush()
        assert not path.exists()
    assert path.read_bytes() == b"half"


def test_a_number_that_is_not_finite_is_refused_and_nothing_is_written(run):
    run.write_json("coverage.json", {"x": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_json("coverage.json", {"x": float("nan")})
    assert run.read_json("coverage.json") == {"x": 1}


@contextlib.contextmanager
def no_file_beyond(n_bytes):
    """Writing more than that fails in the operating system itself, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "write",
    [
        lambda run, n: run.write_text("frontier.json", "x" * n),
        lambda run, n: run.write_json("frontier.json", {"x": "y" * n}),
        lambda run, n: run.write_arrays("frontier.json", x=np.random.default_rng(0).random(n // 8)),
        lambda run, n: run.write_frame(
            "frontier.json", pd.DataFrame({"x": np.random.default_rng(0).random(n // 8)})
        ),
    ],
    ids=["text", "json", "arrays", "frame"],
)
def test_a_write_that_the_system_refuses_is_one_error_and_leaves_the_old_file(run, write):
    run.write_text("frontier.json", "old")
    refused = pytest.raises(StorageError, match=r"frontier\.json could not be written: File too")
    with refused, no_file_beyond(4096):
        write(run, 400_000)
    assert (run.path / "frontier.json").read_text() == "old"
    assert files(run.path) == ["frontier.json"]


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_full_disk_is_one_error_that_says_what_to_do(run, monkeypatch, where):
    run.write_text("frontier.json", "old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(folder.os, where, full)
    with pytest.raises(StorageError) as caught:
        run.write_text("frontier.json", "new")
    assert "No space left on device" in str(caught.value)
    assert "Free some space or choose another folder" in str(caught.value)
    assert caught.value.exit_code == 7
    monkeypatch.undo()
    assert (run.path / "frontier.json").read_text() == "old"
    assert files(run.path) == ["frontier.json"]


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="could not be written"):
        RunFolder(tmp_path / "file" / "run").write_text("frontier.json", "x")


@pytest.mark.parametrize("name", sorted(WRITTEN_BY.keys() - {"models"}))
def test_the_contract_tells_of_every_file_below_its_writer(name):
    below = contents.__doc__.partition(f"``{name}``")[0]
    assert f"``{name}``" in contents.__doc__
    writer = below.rpartition("written by ``")[2].partition("``")[0]
    assert writer == WRITTEN_BY[name]


@pytest.mark.parametrize("name", sorted(WRITTEN_BY))
def test_a_missing_artefact_names_the_notebook_that_writes_it(run, name):
    with pytest.raises(MissingArtefactError) as caught:
        run.existing(name)
    writer = WRITTEN_BY[name]
    begun = "01_features" if writer[0].isdigit() else writer
    told = "" if writer == begun else f", which {writer} writes,"
    if name == "manifest.json":
        assert str(caught.value).startswith(f"{run.path} holds no run: make one there")
    else:
        assert str(caught.value) == f"{run.path / name}{told} is not there: run {begun} first"
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("there", "first"),
    [
        (["market.parquet"], "02_quantile_models"),
        (["market.parquet", "models/splits.json"], "03_recalibration"),
        (["market.parquet", "models/splits.json", "coverage.json"], "04_scenarios"),
        (["models/splits.json", "coverage.json", "fan_choice.json"], "01_features"),
        (
            ["market.parquet", "models/splits.json", "coverage.json", "fan_choice.json"],
            "07_efficient_frontier",
        ),
    ],
)
def test_of_several_notebooks_that_were_not_run_the_first_is_named(run, there, first):
    for name in there:
        run.write_text(name, "there")
    with pytest.raises(MissingArtefactError, match=f"frontier.json.* run {first} first$"):
        run.existing("frontier.json")


def test_reading_a_missing_artefact_names_the_notebook_too(run):
    for read, name, writer in (
        (run.read_frame, "backtest_daily.parquet", "06_backtest"),
        (run.read_json, "coverage.json", "03_recalibration"),
        (run.read_arrays, "scenarios_original.npz", "04_scenarios"),
    ):
        with pytest.raises(MissingArtefactError, match=writer):
            read(name)


def test_arrays_that_would_run_code_are_refused(run):
    run.path.mkdir()
    np.savez(run.path / "scenarios_original.npz", x=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        run.read_arrays("scenarios_original.npz")


def test_the_default_folder_can_be_moved_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("BESSVPP_OUTPUTS", str(tmp_path / "elsewhere"))
    assert RunFolder().path == tmp_path / "elsewhere"
    assert RunFolder(tmp_path / "given").path == tmp_path / "given"
    monkeypatch.delenv("BESSVPP_OUTPUTS")
    assert RunFolder().path.parts[-2:] == ("outputs", "quick")


def test_a_users_relative_path_starts_where_the_command_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert user_path("here/run") == tmp_path / "here" / "run"
    with pytest.raises(ParameterError, match="empty"):
        user_path("")


def test_json_artefacts_are_plain_text_that_any_reader_opens(run):
    path = run.write_json("coverage.json", {"q10": {"nominal": 0.1}})
    assert json.loads(path.read_text(encoding="utf-8")) == {"q10": {"nominal": 0.1}}
    assert path.read_text().endswith("}\n")
