"""Independent work over processes or a Dask cluster, with a bar of what is done.

Results come in the order of the tasks and are the same whatever the number of workers: each task
is a function of its arguments alone, and numeric libraries keep to one thread while it runs.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed, parallel_config
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from bessvpp.compute.cache import code_hash
from bessvpp.errors import ParameterError, RunError

PROGRESS_FILE = "BESSVPP_PROGRESS_FILE"
"""Environment variable: where a runner wants the bar's text, in place of a terminal."""
PATIENCE = "10s"
"""How long a scheduler may take to answer."""


@dataclass(frozen=True)
class Work:
    """Tasks, each a function with its arguments, and what is made of the list of their results."""

    tasks: Sequence[tuple]
    gathered: Callable[[list], Any]


@dataclass(frozen=True)
class Workers:
    """Processes of this machine, or the workers of a Dask cluster (``tcp://host:port``)."""

    jobs: int = 1
    scheduler: str = ""

    def run(self, tasks: Sequence[tuple], label: str) -> list:
        """What each task, a function with its arguments, gives; in the order of the tasks.

        Raises
        ------
        RunError
            where the scheduler cannot be reached, has no worker, or one of another version.
        ParameterError
            where Dask is not installed.
        """
        calls = (delayed(_alone)(*task) for task in tasks)
        with contextlib.ExitStack() as stack:
            if self.scheduler:
                stack.enter_context(_client(self.scheduler))
                stack.enter_context(parallel_config(backend="dask"))
            jobs = -1 if self.scheduler else self.jobs
            results = Parallel(n_jobs=jobs, return_as="generator")(calls)
            return list(_shown(results, len(tasks), label))

    def run_all(self, works: Sequence[Work], label: str) -> list:
        """What each work comes to; all go on side by side, those of the first begun first."""
        tasks = [task for work in works for task in work.tasks]
        found = iter(self.run(tasks, label))
        return [work.gathered([next(found) for _ in work.tasks]) for work in works]


ONE = Workers()
"""This process alone."""


def _alone(function: Callable[..., Any], *task: object) -> Any:
    with threadpool_limits(1):
        return function(*task)


def _client(scheduler: str) -> Any:
    try:
        from dask.distributed import Client
    except ImportError:
        raise ParameterError(
            f"--scheduler {scheduler}: Dask is not installed: pip install 'bessvpp[cluster]'"
        ) from None
    try:
        client = Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise RunError(
            f"no Dask scheduler answers at {scheduler} ({error}): start one with "
            "'dask scheduler' and give the address that it prints"
        ) from None
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
        others = {place for place, code in client.run(code_hash).items() if code != code_hash()}
    except TimeoutError:
        client.close()
        raise RunError(
            f"the Dask scheduler at {scheduler} has no worker: start one with 'dask worker'"
        ) from None
    if others:
        client.close()
        raise RunError(
            f"workers of another version at {', '.join(sorted(others))}: install the same code "
            "and packages there, so that results do not depend on who computes them"
        )
    return client


def _shown(results: Iterable, total: int, label: str) -> Iterable:
    """The results as they come, and how far they are: rate and time to go.

    On a terminal or in a notebook that a person runs, a text bar; under a runner, its text in
    the runner's file; else, and where ``CI`` is set, nothing.
    """
    file = os.environ.get(PROGRESS_FILE)
    if file:
        return _told(results, total, label, Path(file))
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    hidden = not watched or bool(os.environ.get("CI"))
    return tqdm(results, label, total, disable=hidden, leave=False, mininterval=0.5)


def _told(results: Iterable, total: int, label: str, file: Path) -> Iterator:
    """As ``_shown``, told in a file that a runner reads; it may vanish with the run."""
    began = time.monotonic()
    try:
        for done, result in enumerate(results, start=1):
            bar = tqdm.format_meter(done, total, time.monotonic() - began, 72, label)
            with contextlib.suppress(OSError):  # a bar never stops the work
                file.write_text(bar, encoding="utf-8")
            yield result
    finally:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
