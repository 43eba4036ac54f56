"""The runner, on small notebooks: order, parameters, failures, the manifest."""

from __future__ import annotations

import errno
import json
import os
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
from run_cases import break_notebook, call, manifest_of, order
from small_cases import PATIENCE_S

from bessvpp.__main__ import main
from bessvpp.compute.progress import PROGRESS_FILE
from bessvpp.errors import ParameterError, RunError, StorageError
from bessvpp.runs import pipeline
from bessvpp.runs.lock import sole_user


def wait_until(there: Callable[[], object], otherwise: str) -> None:
    """Until something has happened; a busy machine is slow to start a kernel, and to end one."""
    for _ in range(10 * PATIENCE_S):
        if there():
            return
        time.sleep(0.1)
    pytest.fail(otherwise)


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
        ('folder.existing("coverage.json")', 4, "which 03_recalibration writes, is not there"),
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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a page's share")
def test_memory_that_processes_share_counts_once(three: Path, tmp_path: Path):
    shared = """import mmap, os, time
block = mmap.mmap(-1, 300_000_000)
block.write(bytes(300_000_000))
time.sleep(2)
if not (child := os.fork()):
    block[::4096], time.sleep(2)
    os._exit(0)
os.waitpid(child, 0)"""
    break_notebook(three, "01_features", shared)
    assert call("--only", "01") == 0
    assert 300 < manifest_of(tmp_path / "out")["notebooks"]["01_features"]["peak_memory_mb"] < 600


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone keeps freed arrays, and is told")
def test_a_kernel_gives_freed_arrays_back(three: Path):
    source = """import numpy as np, psutil
before = psutil.Process().memory_info().rss
largest = np.ones(3_000_000)
del largest  # from here on glibc would keep smaller ones
blocks = [np.ones(2_000_000) for _ in range(10)]
last = blocks.pop()  # above the others
del blocks
assert psutil.Process().memory_info().rss - before < 80e6"""
    break_notebook(three, "01_features", source)
    assert call("--only", "01") == 0


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


def test_only_and_from_choose_and_a_part_is_not_a_whole(three: Path, tmp_path: Path):
    assert call("--only", "03", "1") == 0
    assert order(tmp_path / "out") == "01 03"
    assert manifest_of(tmp_path / "out")["status"] == "partial"
    assert call("--from", "02_quantile_models") == 0
    assert order(tmp_path / "out") == "01 03 02 03"
    assert manifest_of(tmp_path / "out")["status"] == "complete"
    assert call("--only", "09") == ParameterError.exit_code


def test_two_runs_never_share_a_folder(three: Path, tmp_path: Path):
    with (
        sole_user(tmp_path / "out"),
        pytest.raises(RunError, match="another run is at work"),
        sole_user(tmp_path / "out"),
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
