"""What to tell where a programme has no optimum: the day, and the rule that leaves no plan."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bessvpp import battery
from bessvpp.optimizer.problem import Problem, on_day
from bessvpp.params.bess import ROUNDING_MWH, UnitParams


def model_file(problem: Problem, risk_aversion: float) -> Path:
    """Path, in a new temporary folder, for a model that could not be solved."""
    name = re.sub(r"[^\w.-]+", "_", f"{problem.name or 'programme'}_lambda_{risk_aversion:g}")
    return Path(tempfile.mkdtemp(prefix="bessvpp-")) / f"{name}.mps"


def no_optimum(problem: Problem, risk_aversion: float, status: str, path: Path) -> str:
    """What to tell where a solver proved no optimum, or did not finish in time."""
    who = f"{problem.called}, lambda {risk_aversion:g}: "
    if "ime" in status:
        return (
            f"{who}the solver ended with status '{status}'. The model is in {path}. Raise "
            f"solver_time_limit_s ({problem.solver_time_limit_s:g})"
        )
    broken = " ".join(broken_rules(problem)) or (
        "Each unit could keep its window and its target by itself: its windows, cycles and "
        f"target energy, the connection of {problem.bess.connection_limit_mw:g} MW and the "
        f"{_rules_in_force(problem)} leave no plan together."
    )
    return f"{who}no plan is possible. {broken} Solver's status '{status}'. The model is in {path}."


def _rules_in_force(problem: Problem) -> str:
    named = f"terminal rule {problem.terminal}"
    if problem.is_physical:
        named += f", the physical commitment and the midnight rule {problem.midnight}"
    return named


def broken_rules(problem: Problem) -> list[str]:
    """The rules that a unit cannot keep on the problem's first day, each a sentence."""
    told = [*_broken_on_the_path(problem)]
    if problem.is_physical and problem.schedule_start_mwh is not None:
        told += _broken_by_the_schedule(problem)
    return told


def _broken_on_the_path(problem: Problem) -> Iterator[str]:
    """Rules that the energy really stored cannot keep: its window, and the target."""
    for unit, start in zip(problem.bess.units, problem.e_start_mwh, strict=True):
        if not _within(start, unit.e_min_mwh, unit.e_max_mwh):
            yield (
                f"Unit {unit.name} starts with {start:g} MWh, outside its usable window of "
                f"{unit.e_min_mwh:g} to {unit.e_max_mwh:g} MWh."
            )
        elif problem.terminal == "hard":
            _, most = _reach(problem, unit, start)
            if most < unit.e_target_mwh - ROUNDING_MWH:
                yield (
                    f"Unit {unit.name} must hold its e_target_mwh of {unit.e_target_mwh:g} MWh "
                    f"at the end (terminal rule hard), but from {start:g} MWh its charge windows, "
                    f"in whole blocks, {_outages(unit)}its power and the connection lead to "
                    f"{most:g} MWh at most."
                )


def _broken_by_the_schedule(problem: Problem) -> Iterator[str]:
    """Rules that the DAM schedule cannot keep by itself: where it has to end."""
    starts = on_day(np.asarray(problem.schedule_start_mwh), 0)
    ends = np.full(len(starts), np.nan)
    if problem.schedule_end_mwh is not None:
        ends = on_day(problem.schedule_end_mwh, 0)
    for unit, start, end in zip(problem.bess.units, starts, ends, strict=True):
        least, most = _reach(problem, unit, start)
        if np.isfinite(end) and not _within(end, least, most):
            yield (
                f"The DAM schedule of unit {unit.name} must end with {end:g} MWh by itself "
                f"(midnight rule {problem.midnight}), but from {start:g} MWh its windows, in "
                f"whole blocks, {_outages(unit)}its power and cycles lead to {least:g} to "
                f"{most:g} MWh."
            )


def _reach(problem: Problem, unit: UnitParams, start: float) -> tuple[float, float]:
    bess, n_blocks, left = problem.bess, problem.blocks_per_day, problem.available
    limits = bess.import_limit_mw, bess.connection_limit_mw
    available = None if left is None else left[bess.units.index(unit), :n_blocks]
    return battery.reach_mwh(unit, start, n_blocks, *limits, available)


def _outages(unit: UnitParams) -> str:
    return "its outages, " if unit.outages else ""


def _within(value: float, low: float, high: float) -> bool:
    return bool(low - ROUNDING_MWH <= value <= high + ROUNDING_MWH)
