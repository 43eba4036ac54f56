"""Runs the notebooks in order, by path, and writes down how.

A run leaves its notebooks, executed, in ``<outputs>/notebooks`` and its story in
``<outputs>/manifest.json``. A failing notebook stops it; what was finished is kept.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import papermill
import psutil
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from bessvpp import errors
from bessvpp.compute.progress import PROGRESS_FILE
from bessvpp.errors import BessvppError, ParameterError, RunError, StorageError
from bessvpp.forecasting.splits import split_days
from bessvpp.market.read import read_market
from bessvpp.runs.folder import WRITTEN_BY, RunFolder
from bessvpp.runs.lock import sole_user
from bessvpp.runs.manifest import artefacts_of, new_manifest, now
from bessvpp.runs.profiles import RunParameters, notebook_paths

ONE_THREAD = {  # sums then do not depend on the number of cores
    f"{library}_THREADS": "1"
    for library in ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "NUMEXPR_NUM", "VECLIB_MAXIMUM")
}
FREED_IS_GIVEN_BACK = {  # by glibc, which else keeps up to 64 MB a process for arrays to come
    "MALLOC_MMAP_THRESHOLD_": str(4 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 20),
}
PATIENCE_S = 600  # with a kernel that does not start or answer; the libraries give up in seconds
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG)
EXIT_CODES = {
    name: item.exit_code
    for name, item in vars(errors).items()
    if isinstance(item, type) and issubclass(item, BessvppError)
}


def select(names: Sequence[str], only: Sequence[str] = (), start: str = "") -> list[str]:
    """The notebooks that ``--only`` or ``--from`` asks for, in their order."""

    def find(word: str) -> str:
        for name in names:
            if name == word.removesuffix(".ipynb") or name.split("_")[0] == word.zfill(2):
                return name
        raise ParameterError(f"no notebook '{word}'; there are {', '.join(names)}")

    wanted = {find(word) for word in only} or set(names)
    first = names.index(find(start)) if start else 0
    chosen = [name for name in names[first:] if name in wanted]
    if not chosen:
        raise ParameterError(f"none of {', '.join(wanted)} comes after {start}")
    return chosen


def refuse_prices(parameters: RunParameters, chosen: Sequence[str]) -> None:
    """Refuse prices that the first two notebooks would refuse, before a kernel is started."""
    if parameters.knobs.get("data") and WRITTEN_BY["market.parquet"] in chosen:
        rules, forecast = parameters.sections.market, parameters.sections.forecast
        split_days(read_market(parameters.knobs["data"], rules).require_both(), forecast)


def run_notebooks(
    parameters: RunParameters,
    outputs: Path,
    *,
    only: Sequence[str] = (),
    start: str = "",
    overwrite: bool = False,
    quiet: bool = False,
    notebooks: Path | None = None,
) -> dict[str, Any]:
    """Run notebooks in order into a folder; the manifest that is left there.

    Raises
    ------
    RunError
        where the folder holds results of other parameters, another run is at work there,
        or a notebook fails; its ``exit_code`` is that of the error raised in the notebook.
    StorageError
        where an executed copy or the manifest cannot be written.
    """
    paths = notebook_paths(notebooks)
    chosen = select(list(paths), only, start)
    folder = RunFolder(outputs)
    with sole_user(folder.path):
        manifest = new_manifest(parameters, folder, list(paths), chosen, overwrite)
        shutil.rmtree(folder.path / "_build", ignore_errors=True)  # a book of earlier results
        folder.write_json("manifest.json", manifest)
        began = time.monotonic()
        try:
            for number, name in enumerate(chosen, start=1):
                label = f"[{number}/{len(chosen)}] {name}"
                progress = _Progress(label, began, quiet, folder.path / ".progress")
                _run_one(paths[name], parameters, folder, manifest, progress)
        except BaseException as error:
            failed = manifest["notebooks"][name]
            failed |= {"status": "failed", "error": str(error) or type(error).__name__}
            manifest |= {"status": "failed", "finished": now()}
            with contextlib.suppress(StorageError):  # the first error is the one to tell
                folder.write_json("manifest.json", manifest)
            raise
        statuses = {entry["status"] for entry in manifest["notebooks"].values()}
        manifest |= {"status": "complete" if statuses == {"complete"} else "partial"}
        manifest |= {"finished": now(), "wall_s": round(time.monotonic() - began, 2)}
        folder.write_json("manifest.json", manifest)
        if manifest["status"] == "partial" and not quiet:
            rest = [name for name, e in manifest["notebooks"].items() if e["status"] != "complete"]
            print(f"the run is partial: {', '.join(rest)} still to run")
    return manifest


def _run_one(
    path: Path,
    parameters: RunParameters,
    folder: RunFolder,
    manifest: dict[str, Any],
    progress: _Progress,
) -> None:
    name, entries = path.stem, manifest["notebooks"]
    given = parameters.of_notebook(name, folder.path)
    before = entries[name].get("artefacts")  # when it was last complete
    entries[name] = {"status": "running", "parameters": given, "started": now()}
    entries[name]["artefacts"] = before
    folder.write_json("manifest.json", manifest)
    try:
        with progress:
            _execute(path, folder.path / "notebooks" / path.name, given, progress)
    except PapermillExecutionError as error:
        entries[name]["failed_cell"] = f"In [{error.exec_count}]: {_first_line(error.source)}"
        raise _notebook_error(name, error, folder.path / "notebooks" / path.name) from None
    finally:
        entries[name]["wall_s"] = round(progress.wall_s, 2)
        entries[name]["peak_memory_mb"] = round(progress.peak_mb, 1)
    before_it = list(entries)[: list(entries).index(name)]
    stale = any(entries[earlier]["status"] == "outdated" for earlier in before_it)
    status = "outdated" if stale else "complete"
    entries[name] |= {"status": status, "artefacts": artefacts_of(name, folder.path)}
    if entries[name]["artefacts"] != before:
        for later in list(entries)[list(entries).index(name) + 1 :]:
            if entries[later]["status"] == "complete":
                entries[later]["status"] = "outdated"
    folder.write_json("manifest.json", manifest)


class _Kernel(AsyncKernelManager):
    """A kernel of the interpreter that runs this, with one thread for numeric libraries.

    Its long loops tell how far they are in a file, so that no bar enters an executed notebook.
    """

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(
            argv=[
                *(sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
                "--log-level=CRITICAL",  # what fails is told by the notebook
            ],
            display_name="Python 3",
            language="python",
            env={**ONE_THREAD, **FREED_IS_GIVEN_BACK, "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
        )


def _execute(path: Path, copy: Path, given: dict[str, Any], progress: _Progress) -> None:
    """Execute a notebook; how far it came lies in ``copy``, also where a cell failed."""
    partial = copy.with_name(f".{copy.stem}.running.ipynb")
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        papermill.execute_notebook(
            path,
            partial,
            given,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            cwd=path.parent,
            kernel_manager_class=_Kernel,
            on_cell_start=progress.on_cell_start,
            start_timeout=PATIENCE_S,
            iopub_timeout=PATIENCE_S,
        )
    except DeadKernelError:
        raise RunError(
            f"{path.stem}: its process was killed in cell {progress.cell}, perhaps for want of "
            f"memory (it had {progress.peak_mb:.0f} MB). The executed copy is {copy}"
        ) from None
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        partial.unlink(missing_ok=True)  # half a notebook is no notebook
        raise StorageError(
            f"{copy} could not be written: {error.strerror}. "
            "Free some space or choose another folder"
        ) from error
    finally:
        if partial.exists():
            os.replace(partial, copy)


def _notebook_error(name: str, error: PapermillExecutionError, copy: Path) -> RunError:
    """One message for a failed cell; errors of this package keep their text and exit code."""
    kind, text = error.ename, error.evalue
    if kind not in EXIT_CODES:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
        inner = re.search(rf"^(?:[\w.]+\.)?({'|'.join(EXIT_CODES)}): (.*)$", plain, re.MULTILINE)
        kind, text = inner.groups() if inner else (kind, text)
    failure = RunError(
        f"{name} failed in cell In [{error.exec_count}]: {_first_line(error.source)}\n"
        f"{kind}: {text}\n"
        f"The executed copy is {copy}. Results of earlier notebooks are kept."
    )
    failure.exit_code = EXIT_CODES.get(kind, 1)
    return failure


def _first_line(source: str) -> str:
    return next((line for line in source.splitlines() if line.strip()), "")[:100]


def _memory(processes: Iterable[psutil.Process]) -> int:
    """Bytes that processes hold together; what they can share, of one: its libraries above all."""
    own, shared = 0, [0]
    for process in processes:
        with contextlib.suppress(psutil.Error):  # it has ended
            info = process.memory_info()
            shared.append(getattr(info, "shared", 0))  # told on Linux alone
            own += info.rss - shared[-1]
    return own + max(shared)


class _Progress:
    """Time and memory of one notebook, told on a live line where a person is watching.

    Memory is that of the kernel and its workers together, see ``_memory``.
    """

    def __init__(self, label: str, began: float, quiet: bool, bar_file: Path) -> None:
        self.label, self.began, self.quiet, self.bar_file = label, began, quiet, bar_file
        self.live = not quiet and sys.stdout.isatty()
        self.cell, self.wall_s, self.peak_mb = 0, 0.0, 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._earlier = set(psutil.Process().children(recursive=True))

    def on_cell_start(self, cell_index: int, **_: object) -> None:
        """Hook of the notebook client."""
        self.cell = cell_index + 1

    def __enter__(self) -> _Progress:
        os.environ[PROGRESS_FILE] = str(self.bar_file)  # the kernel inherits it
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        os.environ.pop(PROGRESS_FILE, None)
        self.bar_file.unlink(missing_ok=True)  # of a kernel that was killed
        self.wall_s = time.monotonic() - self._started
        if self.live:
            print("\r\x1b[K", end="")
        if not self.quiet:
            total = time.monotonic() - self.began
            outcome = "" if kind is None else "  FAILED"
            print(
                f"{self.label}{outcome}  {self.wall_s:.1f} s  {self.peak_mb:.0f} MB  "
                f"(total {total:.0f} s)",
                flush=True,
            )

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            memory = _memory(set(psutil.Process().children(recursive=True)) - self._earlier)
            self.peak_mb = max(self.peak_mb, memory / 1e6)
            if self.live:
                seconds = time.monotonic() - self._started
                line = f"{self.label}  cell {self.cell}  {seconds:.0f} s  {memory / 1e6:.0f} MB"
                width = shutil.get_terminal_size().columns - 1
                print(f"\r\x1b[K{f'{line}  {self._bar()}':.{width}}", end="", flush=True)

    def _bar(self) -> str:
        """What a long loop in the notebook says of itself."""
        try:
            return self.bar_file.read_text(encoding="utf-8")
        except OSError:
            return ""
