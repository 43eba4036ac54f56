"""Runs side by side: which parameters, data and figures differ, and how sure that is.

The first run is the one that the others are held against.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bessvpp.errors import ParameterError
from bessvpp.risk import bootstrap_band, cvars
from bessvpp.runs.compared_run import ComparedRun, read_run

CEILING = "ceiling"


@dataclass(frozen=True)
class Band:
    """A difference [Rs a day], and where 90 % of draws of the days lie."""

    difference_rs: float
    low_rs: float
    high_rs: float

    @property
    def verdict(self) -> str:
        """Whether the days tell the two apart: ``ahead``, ``behind`` or ``open``."""
        return "ahead" if self.low_rs > 0 else "behind" if self.high_rs < 0 else "open"


@dataclass(frozen=True)
class Pair:
    """A run's plan held against the first run's, day by day.

    mean, cvar : of a day; None where days cannot be paired, CVaR also where tail shares differ
    why_not : why they cannot
    """

    run: str
    against: str
    n_days: int
    mean: Band | None = None
    cvar: Band | None = None
    why_not: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two runs or more, the first of them the one that others are held against."""

    runs: tuple[ComparedRun, ...]

    @property
    def parameters(self) -> dict[str, tuple[Any, ...]]:
        """Values that differ, by place, one a run; Ellipsis where a run does not record it."""
        places = dict.fromkeys(place for run in self.runs for place in run.parameters)
        values = {place: tuple(r.parameters.get(place, ...) for r in self.runs) for place in places}
        return {
            place: told
            for place, told in values.items()
            if any(one != other for one in told for other in told if ... not in (one, other))
        }

    @property
    def data(self) -> dict[str, tuple[str, ...]]:
        """Where prices came from and which days they are, one a run; all, alike or not."""
        return {key: tuple(run.data[key] for run in self.runs) for key in self.runs[0].data}

    @property
    def figures(self) -> dict[str, tuple[float | None, ...]]:
        """Figures of each run's plan, one a run."""
        each = [run.figures() for run in self.runs]
        return {key: tuple(figures[key] for figures in each) for key in each[0]}

    @property
    def policies(self) -> dict[str, tuple[float | None, ...]]:
        """Mean net of a day by policy [Rs], one a run; the ceiling last."""
        names = dict.fromkeys(name for run in self.runs for name in run.net_rs if name != CEILING)
        means = {
            name: tuple(
                float(r.net_rs[name].mean()) if name in r.net_rs else None for r in self.runs
            )
            for name in names
        }
        of_ceiling = [run.summary["policies"].get(CEILING, {}).get("net_rs") for run in self.runs]
        days = [len(run.net_rs) for run in self.runs]
        bound = zip(of_ceiling, days, strict=True)
        return means | {CEILING: tuple(None if rs is None else rs / n for rs, n in bound)}

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every other run against the first."""
        return tuple(paired(run, self.runs[0]) for run in self.runs[1:])

    def as_json(self) -> dict[str, Any]:
        """All of it; every table by run, money in Rs."""
        names = [run.name for run in self.runs]

        def by_run(values: Sequence[Any]) -> dict[str, Any]:
            return {name: v for name, v in zip(names, values, strict=True) if v is not ...}

        return {
            "runs": {
                run.name: {"folder": str(run.folder), "plan": run.plan, "settled": run.way}
                for run in self.runs
            },
            "data": {key: by_run(values) for key, values in self.data.items()},
            "parameters": {key: by_run(values) for key, values in self.parameters.items()},
            "figures": {key: by_run(values) for key, values in self.figures.items()},
            "policies_mean_rs": {key: by_run(values) for key, values in self.policies.items()},
            "frontier": {
                run.name: [dict(point) for point in run.frontier.values()] for run in self.runs
            },
            "pairs": [asdict(pair) for pair in self.pairs],
        }


def compare(folders: Sequence[Path]) -> Comparison:
    """Read runs and hold them against the first.

    Raises
    ------
    ParameterError
        for fewer than two runs, or one that is given twice.
    RunError
        where there is no such run, or it is not finished.
    MissingArtefactError
        where its backtest is not there.
    DataError
        where a file is not what a run writes.
    """
    paths = [folder.resolve() for folder in folders]
    if len(paths) < 2:
        raise ParameterError("compare: give two runs or more, the first to hold the others against")
    twice = {str(path) for path in paths if paths.count(path) > 1}
    if twice:
        raise ParameterError(f"compare: {', '.join(sorted(twice))} is given twice")
    return Comparison(tuple(map(read_run, paths, short_names(paths))))


def short_names(paths: Sequence[Path]) -> list[str]:
    """The ends of paths, as long as they need to be to differ."""
    longest = max(len(path.parts) for path in paths)
    for n_parts in range(1, longest + 1):
        names = ["/".join(path.parts[-n_parts:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def paired(run: ComparedRun, first: ComparedRun) -> Pair:
    """A run's plan less the first run's, on the same days at the same prices.

    Days are drawn with replacement in blocks, the same for both runs
    (``risk.bootstrap_band``).
    """
    shared = run.net_rs.index.intersection(first.net_rs.index)
    if why_not := _why_not_paired(run, first, len(shared)):
        return Pair(run.name, first.name, len(shared), why_not=why_not)
    one, other = (r.net_rs.loc[shared, r.plan].to_numpy() for r in (run, first))
    tails = None
    if run.alpha == first.alpha:
        tails = _band(one, other, lambda days: cvars(days, first.alpha))
    means = _band(one, other, lambda days: np.asarray(days.mean(axis=-1)))
    return Pair(run.name, first.name, len(shared), means, tails)


def _why_not_paired(run: ComparedRun, first: ComparedRun, n_shared: int) -> str:
    if run.way != first.way:
        return f"settled {run.way}, the other {first.way}"
    if not run.net_rs.index.equals(first.net_rs.index):
        return (
            f"other days were settled: {n_shared} of its {len(run.net_rs)} and of the other's "
            f"{len(first.net_rs)} are in both"
        )
    if not np.array_equal(run.realised, first.realised, equal_nan=True):
        return "the same dates at other prices"
    return ""


def _band(
    one: np.ndarray, other: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> Band:
    """Statistic of (D,) values less that of others on the same days, both drawn alike."""

    def difference(places: np.ndarray) -> np.ndarray:
        return statistic(one[places]) - statistic(other[places])

    days = np.arange(len(one))
    low, high = bootstrap_band(days, difference, np.random.default_rng(0))
    return Band(float(difference(days)), low, high)
