"""Seeded cases that the benchmarks share, and how their results are told and kept."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import highspy
import numpy as np
import pandas as pd

from bessvpp.battery import start_energy
from bessvpp.optimizer.problem import Problem
from bessvpp.params.load import Params, load_params
from bessvpp.prices import PriceScenarios

OUTPUTS = Path(__file__).resolve().parent.parent / "outputs" / "bench"
SEED = 11


def fan(n_blocks: int, n_scenarios: int, seed: int = SEED, cap: float = 10_000.0) -> PriceScenarios:
    """Equally likely price paths of a day: a shape, and lognormal noise that dies out in 6 h.

    The two markets share half of their variance; many blocks lie at the cap, as they do.
    """
    rng = np.random.default_rng(seed)
    hour = (np.arange(n_blocks) + 0.5) * 24 / n_blocks
    shape = 4500 + 1500 * np.cos(hour * np.pi / 12) + 2500 * np.exp(-(((hour - 19) / 2) ** 2))
    covariance = np.exp(-np.abs(hour[:, None] - hour) / 6) + 1e-9 * np.eye(n_blocks)
    root = np.linalg.cholesky(covariance)
    shared, own = (rng.normal(size=(n_scenarios, n_blocks)) @ root.T for _ in range(2))
    dam = np.clip(shape * np.exp(0.25 * shared), 0, cap).round(2)
    rtm = np.clip(shape * np.exp(0.35 * np.sqrt(0.5) * (shared + own)) - 200, 0, cap).round(2)
    return PriceScenarios(dam, rtm, np.full(n_scenarios, 1 / n_scenarios))


def day_problem(n_blocks: int, n_units: int = 1, solver: str = "engine") -> tuple[Problem, Params]:
    """A day of the project's own parameters, physical; units of a fleet differ a little."""
    params = load_params(solver=solver) if solver != "engine" else load_params()
    unit = params.bess.units[0]
    fleet = tuple(
        unit.model_copy(
            update={
                "name": f"BESS-{i + 1}",
                "wear_rs_per_mwh_discharged": unit.wear_rs_per_mwh_discharged + 7.0 * i,
            }
        )
        for i in range(n_units)
    )
    limit = params.bess.connection_limit_mw * n_units
    bess = params.bess.model_copy(update={"units": fleet, "connection_limit_mw": limit})
    start = start_energy(bess)
    problem = Problem(
        bess=bess,
        costs=params.market,
        block_hours=24 / n_blocks,
        e_start_mwh=start,
        schedule_start_mwh=start,
        schedule_end_mwh=start,
        solver=solver,
        name=f"{n_blocks} blocks",
    )
    return problem, params


class Clock:
    """Seconds spent inside some calls."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def of(self, owner: object, name: str) -> Iterator[Clock]:
        """Add up what calls of ``owner.name`` take while this is open."""
        plain: Callable = getattr(owner, name)

        def timed(*args: object, **kwargs: object) -> object:
            began = time.perf_counter()
            try:
                return plain(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - began

        setattr(owner, name, timed)
        try:
            yield self
        finally:
            setattr(owner, name, plain)


def bare_highs() -> tuple[Clock, contextmanager]:
    """A clock of HiGHS's ``run()`` alone, and the context in which it counts."""
    clock = Clock()
    return clock, clock.of(highspy.Highs, "run")


def report(
    name: str,
    cases: list[dict],
    targets: dict[str, str],
    figures: dict[str, float] | None = None,
    **notes: object,
) -> None:
    """Print the cases as a table and keep them in ``outputs/bench/<name>.json``.

    ``figures`` are of all cases together; they stand at the top of the file.
    """
    figures = figures or {}
    table = pd.DataFrame(cases)
    print(table.to_string(index=False, float_format=lambda value: f"{value:,.4g}"))
    for target, outcome in targets.items():
        print(f"  {target}: {outcome}")
    for key, note in (figures | notes).items():
        print(f"  {key}: {note:.4g}" if isinstance(note, float) else f"  {key}: {note}")
    content = {
        "name": name,
        **figures,
        "cases": cases,
        "targets": targets,
        "notes": notes,
        "seed": SEED,
        "finished": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "versions": {package: version(package) for package in ("highspy", "pulp", "numpy")},
    }
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    path = OUTPUTS / f"{name}.json"
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"  kept in {path}")
    sys.stdout.flush()


def judged(value: float, limit: float, at_least: bool = False) -> str:
    """A measured figure beside its target."""
    good = value >= limit if at_least else value <= limit
    return f"{value:.3g}, {'reached' if good else 'NOT reached'}"
