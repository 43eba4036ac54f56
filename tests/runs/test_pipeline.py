"""The runner, on small notebooks: order, parameters, failures, the manifest."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import papermill
import psutil
import pytest
from dummy_notebooks import write_notebook
from small_cases import PATIENCE_S

from bessvpp.__main__ import main
from bessvpp.compute.workers import PROGRESS_FILE
from bessvpp.errors import DataError, ParameterError, RunError, StorageError
from bessvpp.files import PROJECT_ROOT
from bessvpp.runs import pipeline, profiles
from bessvpp.runs.manifest import read_manifest

FOLDERS = 'outputs = ""\nparams = ""\n'
LOG = """
from bessvpp.runs.folder import RunFolder
folder = RunFolder(outputs)
with (folder.path / "order.txt").open("a") as log:
    log.write("{name} ")
"""


def wait_until(there: Callable[[], object], otherwise: str) -> None:
    """Until something has happened; a busy machine is slow to start a kernel, and to end one."""
    for _ in range(10 * PATIENCE_S):
        if there():
            return
        time.sleep(0.1)
    pytest.fail(otherwise)


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of three notebooks that the command line takes for the project's."""
    folder = tmp_path / "notebooks"
    seen = 'folder.write_json("seen.json", {"n": n_scenarios, "data": data, "jobs": jobs})'
    frame = (
        "import pandas as pd\n"
        'folder.write_frame("market.parquet", pd.DataFrame({"days": [synthetic_days]}))'
    )
    write_notebook(
        folder,
        "01_features",
        FOLDERS
        + 'data = ""\nsynthetic_days = 150\nsynthetic_seed = 11\njobs = 1\nn_scenarios = 40',
        LOG.format(name="01"),
        seen,
        frame,
    )
    write_notebook(folder, "02_quantile_models", FOLDERS, LOG.format(name="02"))
    write_notebook(
        folder,
        "03_recalibration",
        FOLDERS + 'n_scenarios = 40\nalpha = 0.05\ndate = ""',
        LOG.format(name="03"),
        'folder.write_json("coverage.json", {"n": n_scenarios, "alpha": alpha})',
    )
    monkeypatch.setattr(profiles, "NOTEBOOKS", folder)
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    monkeypatch.chdir(tmp_path)
    return folder


def call(*words: str) -> int:
    """The command line with an empty profile and outputs in ``out``."""
    return main(["run", "--profile", "./empty.yaml", "--outputs", "out", *words])


def order(outputs: Path) -> str:
    return (outputs / "order.txt").read_text().strip()


def manifest_of(outputs: Path) -> dict:
    manifest = read_manifest(outputs)
    assert manifest is not None
    return manifest


def break_notebook(folder: Path, name: str, source: str) -> None:
    write_notebook(folder, name, FOLDERS, LOG.format(name=name[:2]), source)


def test_notebooks_run_in_order_and_leave_their_executed_copies(three: Path, tmp_path: Path):
    assert call() == 0
    assert order(tmp_path / "out") == "01 02 03"
    for path in three.glob("*.ipynb"):
        copy = nbformat.read(tmp_path / "out" / "notebooks" / path.name, as_version=4)
        assert all(c.execution_count for c in copy.cells if c.cell_type == "code")
    assert not list((tmp_path / "out").rglob("*.running.ipynb"))


def test_each_notebook_gets_the_values_that_it_declares(three: Path, tmp_path: Path):
    assert call("-p", "n_scenarios=7", "alpha=0.2", "--jobs", "2") == 0
    out = tmp_path / "out"
    assert json.loads((out / "seen.json").read_text()) == {"n": 7, "data": "", "jobs": 2}
    assert json.loads((out / "coverage.json").read_text()) == {"n": 7, "alpha": 0.2}
    entries = manifest_of(out)["notebooks"]
    assert entries["02_quantile_models"]["parameters"].keys() == {"outputs", "params"}


def test_profile_beats_files_and_the_command_line_beats_both(three: Path, tmp_path: Path):
    own = tmp_path / "own"
    own.mkdir()
    for path in (PROJECT_ROOT / "params").glob("*.yaml"):
        (own / path.name).write_text(path.read_text())
    (own / "scenarios.yaml").write_text(
        "dependence: copula\nn_scenarios: 21\nseed: 7\ngibbs_sweeps: 20\n"
    )
    (own / "risk.yaml").write_text("alpha: 0.5\nrisk_aversion: 0.2\nlambdas: [0.0, 1.0]\n")
    (tmp_path / "mine.yaml").write_text("alpha: 0.25\nsynthetic_days: 90\n")
    given = profiles.parse_assignments(["synthetic_days=80"])
    resolved = profiles.resolve("./mine.yaml", given, "own")
    assert resolved.profile == "mine"
    assert resolved.knobs["n_scenarios"] == resolved.sections.scenarios.n_scenarios == 21
    assert resolved.knobs["alpha"] == resolved.sections.risk.alpha == 0.25
    assert resolved.knobs["synthetic_days"] == 80
    assert resolved.sections.risk.lambdas == (0.0, 1.0)


def test_declared_parameters_are_plain_literals(tmp_path: Path):
    path = write_notebook(tmp_path, "01_a", "a = 1\nb: list = [0.1, -2]  # why\nc = 'x'\nd = None")
    assert profiles.declared_parameters(path) == {"a": 1, "b": [0.1, -2], "c": "x", "d": None}
    for bad in ("a = int('3')", "import os", "a = b = c", "a, b = 1, 2"):
        with pytest.raises(ParameterError, match="plain value"):
            profiles.declared_parameters(write_notebook(tmp_path, "02_b", bad))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["n_scenario=5"], "did you mean 'n_scenarios'"),
        (["min_group_size=5"], "it is set in params/forecast.yaml"),
        (["n_scenarios=1"], "n_scenarios: Input should be greater than or equal to 2"),
        (["n_scenarios=many"], "n_scenarios"),
        (["alpha=1.5"], "alpha"),
        (["outputs=x"], "give it with --outputs"),
        (["n_scenarios"], "write it as key=value"),
        (["alpha=[1"], "not readable as YAML"),
    ],
)
def test_a_bad_parameter_is_refused_before_anything_runs(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
):
    assert call("-p", *words) == ParameterError.exit_code
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bad_name_in_a_profile_is_refused_with_the_profile(three: Path, tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("n_scenarioz: 5\n")
    with pytest.raises(ParameterError, match=r"profile mine: n_scenarioz: .*'n_scenarios'"):
        profiles.resolve("./mine.yaml")
    with pytest.raises(ParameterError, match=r"no profile 'bok'; there are book, .*quick"):
        profiles.resolve("bok")


def test_missing_or_empty_data_are_refused_before_anything_runs(three: Path, tmp_path: Path):
    assert call("-p", "data=nowhere.csv") == DataError.exit_code
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / ".gitkeep").touch()
    assert call("-p", "data=raw") == DataError.exit_code
    assert not (tmp_path / "out").exists()


def test_relative_paths_start_where_the_command_was_typed(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "prices.csv").write_text("1\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    words = ["--profile", "../empty.yaml", "--outputs", "../far/out", "-p", "data=prices.csv"]
    assert main(["run", *words, "--only", "01"]) == 0
    seen = json.loads((tmp_path / "far" / "out" / "seen.json").read_text())
    assert seen["data"] == str(tmp_path / "elsewhere" / "prices.csv")


def test_data_in_a_profile_is_relative_to_the_project(three: Path, tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("data: params/bess.yaml\n")
    resolved = profiles.resolve("./mine.yaml")
    assert resolved.knobs["data"] == str(PROJECT_ROOT / "params" / "bess.yaml")


def test_a_failing_notebook_stops_the_run_and_is_named(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    break_notebook(three, "02_quantile_models", "\n# the model\nvalue = {}['missing']")
    assert call() == 1
    told = capsys.readouterr()
    assert "02_quantile_models failed in cell In [4]: # the model" in told.err
    assert "KeyError: 'missing'" in told.err
    copy = tmp_path / "out" / "notebooks" / "02_quantile_models.ipynb"
    assert str(copy) in told.err
    assert "KeyError" in copy.read_text()
    assert "[2/3] 02_quantile_models  FAILED" in told.out
    assert order(tmp_path / "out") == "01 02"
    manifest = manifest_of(tmp_path / "out")
    assert manifest["status"] == "failed"
    statuses = [entry["status"] for entry in manifest["notebooks"].values()]
    assert statuses == ["complete", "failed", "pending"]
    failed = manifest["notebooks"]["02_quantile_models"]
    assert failed["failed_cell"] == "In [4]: # the model"
    assert "KeyError" in failed["error"]
    assert (tmp_path / "out" / "seen.json").exists()


def test_a_run_goes_on_from_where_it_failed(three: Path, tmp_path: Path):
    break_notebook(three, "02_quantile_models", "1 / 0")
    assert call() == 1
    break_notebook(three, "02_quantile_models", "1 / 1")
    assert call("--from", "02") == 0
    assert order(tmp_path / "out") == "01 02 02 03"
    assert manifest_of(tmp_path / "out")["status"] == "complete"


@pytest.mark.parametrize(
    ("source", "code", "told"),
    [
        ('folder.existing("coverage.json")', 4, "run 03_recalibration first"),
        (
            'from bessvpp.errors import *\nraise InfeasibleError("no plan\\nat all")',
            5,
            "no plan\nat",
        ),
        (
            "from bessvpp.errors import *\n"
            'try:\n    raise DataError("a.csv: row 3")\n'
            'except DataError as e:\n    raise RuntimeError("worker") from e',
            3,
            "DataError: a.csv: row 3",
        ),
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
            6,
            "process was killed in cell",
        ),
    ],
)
def test_the_exit_code_tells_the_kind_of_error(
    three: Path,
    capsys: pytest.CaptureFixture[str],
    source: str,
    code: int,
    told: str,
):
    break_notebook(three, "01_features", source)
    assert call("--only", "01") == code
    assert told in capsys.readouterr().err


def test_the_manifest_tells_how_the_results_were_made(three: Path, tmp_path: Path):
    assert call("-p", "synthetic_seed=5") == 0
    manifest = manifest_of(tmp_path / "out")
    assert (manifest["schema"], manifest["status"], manifest["profile"]) == (1, "complete", "empty")
    parameters = manifest["parameters"]
    assert parameters["knobs"]["synthetic_seed"] == 5
    assert parameters["sections"]["market"]["synthetic_seed"] == 5
    assert parameters["sections"]["bess"]["units"][0]["p_max_mw"] == 50.0
    assert len(parameters["sha256"]) == 64
    assert manifest["data"]["source"] == "synthetic"
    assert manifest["seeds"] == {"synthetic_seed": 5, "model_seed": 3, "seed": 7}
    assert manifest["versions"]["python"] == sys.version.split()[0]
    assert manifest["versions"]["papermill"] == papermill.__version__
    assert None not in manifest["versions"].values()
    for entry in manifest["notebooks"].values():
        assert entry["wall_s"] > 0
        assert 20 < entry["peak_memory_mb"] < 2000
    assert manifest["notebooks"]["01_features"]["artefacts"].keys() == {"market.parquet"}


def test_memory_counts_what_the_kernel_and_its_workers_hold(three: Path, tmp_path: Path):
    block = "import time\nblock = bytearray(300_000_000)\ntime.sleep(3)"
    break_notebook(three, "01_features", f"{block}")
    script = "block = bytearray(300_000_000); import time; time.sleep(3)"
    worker = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', '{script}'])"
    break_notebook(three, "02_quantile_models", worker)
    assert call("--only", "01", "02") == 0
    entries = manifest_of(tmp_path / "out")["notebooks"]
    for name in ("01_features", "02_quantile_models"):
        assert 300 < entries[name]["peak_memory_mb"] < 600


def test_the_kernel_is_this_interpreter_with_one_thread(three: Path):
    break_notebook(
        three,
        "01_features",
        f"import os, sys\nassert sys.executable == {sys.executable!r}\n"
        "assert os.environ['OMP_NUM_THREADS'] == os.environ['OPENBLAS_NUM_THREADS'] == '1'",
    )
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}  # no virtual environment on the path
    script = (
        "import sys; from pathlib import Path; from bessvpp.runs import profiles; "
        f"profiles.NOTEBOOKS = Path({str(three)!r}); "
        "from bessvpp.__main__ import main; "
        "sys.exit(main(['run', '--profile', './empty.yaml', '--outputs', 'o', '--only', '01']))"
    )
    command = [sys.executable, "-c", script]
    assert subprocess.run(command, env=environment).returncode == 0


def test_other_parameters_in_the_same_folder_are_refused(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert call("--only", "01") == 0
    assert call("-p", "n_scenarios=50") == RunError.exit_code
    told = capsys.readouterr().err
    assert "n_scenarios 40 there, 50 now" in told
    assert "--overwrite" in told
    assert order(tmp_path / "out") == "01"
    assert call("-p", "n_scenarios=50", "--overwrite") == 0
    assert manifest_of(tmp_path / "out")["parameters"]["knobs"]["n_scenarios"] == 50


def test_workers_and_the_day_looked_at_are_no_other_parameters(three: Path, tmp_path: Path):
    assert call("--only", "01") == 0
    assert call("--only", "01", "--jobs", "2") == 0
    assert call("--only", "03", "-p", "date=2025-03-02") == 0
    entry = manifest_of(tmp_path / "out")["notebooks"]["03_recalibration"]
    assert entry["parameters"]["date"] == "2025-03-02"


def test_added_columns_count_by_their_content_too(tmp_path: Path):
    params = tmp_path / "params"
    shutil.copytree(PROJECT_ROOT / "params", params)
    wind = tmp_path / "wind.csv"
    text = (params / "market.yaml").read_text("utf-8")
    given = f'external: [{{file: {wind}, published: "09:00", columns: all}}]'
    assert "external: []" in text
    (params / "market.yaml").write_text(text.replace("external: []", given), "utf-8")
    with pytest.raises(DataError, match=r"wind\.csv: no such file"):
        profiles.resolve(params=str(params))
    hashes = set()
    for content in ("delivery_start,wind\n", "delivery_start,sun\n", "delivery_start,wind\n"):
        wind.write_text(content, "utf-8")
        hashes.add(profiles.resolve(params=str(params)).sha256)
    assert len(hashes) == 2


def test_data_count_by_their_content(three: Path, tmp_path: Path):
    for name, text in (("a.csv", "1\n"), ("same.csv", "1\n"), ("other.csv", "2\n")):
        (tmp_path / name).write_text(text)
    assert call("--only", "01", "-p", "data=a.csv") == 0
    assert call("--only", "01", "-p", "data=same.csv") == 0
    assert call("--only", "01", "-p", "data=other.csv") == RunError.exit_code


def test_only_and_from_choose_and_a_part_is_not_a_whole(three: Path, tmp_path: Path):
    assert call("--only", "03", "1") == 0
    assert order(tmp_path / "out") == "01 03"
    assert manifest_of(tmp_path / "out")["status"] == "partial"
    assert call("--from", "02_quantile_models") == 0
    assert order(tmp_path / "out") == "01 03 02 03"
    assert manifest_of(tmp_path / "out")["status"] == "complete"
    assert call("--only", "09") == ParameterError.exit_code


def test_a_changed_result_outdates_the_notebooks_after_it(three: Path, tmp_path: Path):
    assert call() == 0
    assert call("--only", "01") == 0  # the same files again
    assert manifest_of(tmp_path / "out")["status"] == "complete"
    lines = "import pandas as pd\n"
    lines += 'folder.write_frame("market.parquet", pd.DataFrame({"other": [1]}))'
    write_notebook(
        three,
        "01_features",
        FOLDERS
        + 'data = ""\nsynthetic_days = 150\nsynthetic_seed = 11\njobs = 1\nn_scenarios = 40',
        LOG.format(name="01"),
        lines,
    )
    assert call("--only", "01") == 0
    manifest = manifest_of(tmp_path / "out")
    assert manifest["status"] == "partial"
    assert manifest["notebooks"]["03_recalibration"]["status"] == "outdated"


def test_a_parameter_outdates_the_notebooks_that_declare_it_and_those_after(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert call() == 0
    assert call("-p", "alpha=0.1", "--only", "03", "--overwrite") == 0
    assert manifest_of(tmp_path / "out")["status"] == "complete"  # 03 alone declares it
    capsys.readouterr()
    assert call("-p", "alpha=0.1", "synthetic_seed=12", "--only", "03", "--overwrite") == 0
    manifest = manifest_of(tmp_path / "out")
    statuses = [entry["status"] for entry in manifest["notebooks"].values()]
    assert statuses == ["outdated"] * 3  # 03 was run on what other parameters wrote
    assert manifest["status"] == "partial"
    assert "the run is partial: 01_features, 02_quantile_models" in capsys.readouterr().out


def test_overwriting_leaves_no_file_of_the_earlier_parameters(three: Path, tmp_path: Path):
    assert call() == 0
    break_notebook(three, "01_features", "1 / 0")
    names = "synthetic_days = 150\nn_scenarios = 40\n"
    write_notebook(three, "02_quantile_models", FOLDERS + names, "pass")
    assert call("-p", "n_scenarios=50", "--overwrite") == 1
    assert not (tmp_path / "out" / "market.parquet").exists()
    assert not (tmp_path / "out" / "coverage.json").exists()


def test_a_folder_without_a_readable_manifest_is_left_alone(three: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text("{half")
    assert call("--overwrite") == RunError.exit_code
    assert (tmp_path / "out" / "manifest.json").read_text() == "{half"


def test_two_runs_never_share_a_folder(three: Path, tmp_path: Path):
    with (
        pipeline._sole_user(tmp_path / "out"),
        pytest.raises(RunError, match="another run is at work"),
        pipeline._sole_user(tmp_path / "out"),
    ):
        pass


def test_a_full_disk_is_one_message_and_leaves_no_half_notebook(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert call() == 0
    copy = tmp_path / "out" / "notebooks" / "02_quantile_models.ipynb"
    before = copy.read_bytes()

    def full(self: object, buffer: str, path: str) -> None:
        if "02_quantile" in path:
            Path(path).write_text(buffer[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        Path(path).write_text(buffer)

    monkeypatch.setattr(papermill.iorw.LocalHandler, "write", full)
    assert call() == StorageError.exit_code
    told = capsys.readouterr().err
    assert "No space left on device" in told
    assert len(told.splitlines()) == 1
    assert copy.read_bytes() == before
    assert not list((tmp_path / "out").rglob(".*.ipynb"))
    assert manifest_of(tmp_path / "out")["status"] == "failed"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_really_full_disk(three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        big = 'folder.write_json("coverage.json", {"x": "y" * 1_000_000})'
        break_notebook(three, "02_quantile_models", big)
        outputs = str(disk / "out")
        words = ["run", "--profile", "./empty.yaml", "--outputs", outputs, "--only"]
        assert main([*words, "02"]) == StorageError.exit_code  # a result
        assert "No space left on device" in capsys.readouterr().err
        assert not (disk / "out" / "coverage.json").exists()
        break_notebook(three, "03_recalibration", "print('y' * 1_000_000)")
        assert main([*words, "03", "--overwrite"]) == StorageError.exit_code  # the executed copy
        assert "No space left on device" in capsys.readouterr().err
        assert manifest_of(disk / "out")["status"] == "failed"
        left = {path.name for path in (disk / "out").rglob("*") if path.is_file()}
        assert left <= {"manifest.json", ".lock", "order.txt", "02_quantile_models.ipynb"}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_interrupt_ends_the_run_and_its_kernel(three: Path, tmp_path: Path):
    break_notebook(
        three,
        "01_features",
        "import os, time\n(folder.path / 'pid').write_text(str(os.getpid()))\ntime.sleep(6000)",
    )
    script = (
        "import sys; from pathlib import Path; from bessvpp.runs import profiles; "
        f"profiles.NOTEBOOKS = Path({str(three)!r}); "
        "from bessvpp.__main__ import main; "
        "sys.exit(main(['run', '--profile', './empty.yaml', '--outputs', 'out']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        start_new_session=True,
        # a shell's background job, as this test may be, ignores interrupts, and hands that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    pid = tmp_path / "out" / "pid"
    wait_until(lambda: pid.exists() and pid.read_text(), "the kernel did not start")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 130
    wait_until(lambda: not psutil.pid_exists(int(pid.read_text())), "the kernel is still there")
    manifest = manifest_of(tmp_path / "out")
    assert manifest["status"] == "failed"
    assert manifest["notebooks"]["01_features"]["error"] == "KeyboardInterrupt"


def test_help_names_the_commands_and_errors_have_no_traceback():
    command = [sys.executable, "-m", "bessvpp"]
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True)
    assert shown.returncode == 0
    assert "run" in shown.stdout
    assert "book" in shown.stdout
    failed = subprocess.run([*command, "run", "--profile", "no"], capture_output=True, text=True)
    assert failed.returncode in (ParameterError.exit_code, RunError.exit_code)
    assert failed.stderr.startswith("error: ")
    assert "Traceback" not in failed.stderr


def test_a_long_loop_in_a_notebook_is_seen_on_the_live_line_and_leaves_nothing(tmp_path, capsys):
    bar = tmp_path / "bar"
    progress = pipeline._Progress("[1/7] 07", time.monotonic(), False, bar)
    progress.live = True
    with progress:
        assert os.environ[PROGRESS_FILE] == str(bar)  # a kernel inherits it
        bar.write_text("plans:  10% 2/20", encoding="utf-8")
        shown = []
        wait_until(
            lambda: "plans" in (shown.append(capsys.readouterr().out) or shown[-1]), "no bar"
        )
    shown = "".join(shown)
    assert "[1/7] 07  cell 0" in shown
    assert "plans:  10% 2/20" in shown
    assert PROGRESS_FILE not in os.environ
    assert not bar.exists()
