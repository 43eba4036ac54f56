"""Independent work over processes or a Dask cluster, with a bar of what is done.

Results come in the order of the tasks and are the same whatever the number of workers: each task
is a function of its arguments alone, and numeric libraries keep to one thread while it runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from joblib import Parallel, delayed, parallel_config
from threadpoolctl import threadpool_limits

from bessvpp.compute.cache import code_hash
from bessvpp.compute.progress import shown
from bessvpp.errors import ParameterError, RunError

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
            return list(shown(results, label, len(tasks)))

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
