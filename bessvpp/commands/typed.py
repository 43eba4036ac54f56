"""What users type: values that become dates, clocks and energies, and the run that they name."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bessvpp.errors import ParameterError
from bessvpp.files import PROJECT_ROOT, user_path

if TYPE_CHECKING:
    import numpy as np

    from bessvpp.params.bess import BessParams
    from bessvpp.params.load import Params


def parse_date(text: str) -> np.datetime64:
    """A delivery day that a user typed."""
    import numpy as np

    try:
        return np.datetime64(dt.date.fromisoformat(text))
    except ValueError:
        raise ParameterError(f"--date {text}: write it as YYYY-MM-DD") from None


def parse_time(text: str, word: str = "--gate") -> dt.datetime:
    """A time that a user typed, naive IST."""
    try:
        return dt.datetime.strptime(text, "%Y-%m-%d %H:%M")
    except ValueError:
        raise ParameterError(f'{word} {text}: write it as "YYYY-MM-DD HH:MM"') from None


def parse_clock(text: str) -> dt.time:
    """A time of the day that a user typed, naive IST."""
    try:
        return dt.datetime.strptime(text, "%H:%M").time()
    except ValueError:
        raise ParameterError(f"--at {text}: write it as HH:MM, such as 10:15") from None


def parse_energy(energy_mwh: list[float], bess: BessParams, word: str = "--energy") -> np.ndarray:
    """(U,) energies that a user typed, within each unit's nameplate; its window may be left."""
    import numpy as np

    if len(energy_mwh) != len(bess.units):
        raise ParameterError(f"{word}: give {len(bess.units)} values, one a unit")
    for unit, energy in zip(bess.units, energy_mwh, strict=True):
        if not 0 <= energy <= unit.e_nameplate_mwh:
            raise ParameterError(
                f"{word} {energy:g}: {unit.name} cannot hold that: give 0 to "
                f"{unit.e_nameplate_mwh:g} MWh, its e_nameplate_mwh"
            )
    return np.array(energy_mwh)


def add_outages(parser: argparse.ArgumentParser) -> None:
    """``--outage``, of any number of units and times."""
    parser.add_argument(
        "--outage",
        nargs=3,
        action="append",
        default=[],
        metavar=("UNIT", "FROM", "TO"),
        help="a unit without power between two times, beside the outages of the parameter files; "
        'may be said more than once: --outage BESS-1 "2025-03-14 12:00" "2025-03-14 15:00"',
    )


def with_outages(params: Params, typed: list[list[str]]) -> Params:
    """The same with outages that a user typed, each of a unit from one time to another."""
    from bessvpp.params.bess import Outage
    from bessvpp.params.load import suggestion

    outages = {unit.name: unit.outages for unit in params.bess.units}
    for name, *times in typed:
        if name not in outages:
            raise ParameterError(f"--outage {name}: no such unit{suggestion(name, list(outages))}")
        start, end = (parse_time(text, f"--outage {name}") for text in times)
        if start >= end:
            raise ParameterError(f"--outage {name}: {times[0]} is not before {times[1]}")
        outages[name] = (*outages[name], Outage(start=start, end=end))
    return params.model_copy(update={"bess": params.bess.with_outages(outages)})


def tell_doubts(params: Params) -> None:
    """Print values that look like a slip of units, as notes beside what a command prints."""
    for doubt in params.doubts():
        print(f"note: {doubt}", file=sys.stderr)


def run_folder(given: str | None, profile: str) -> Path:
    """Folder of a run: the one given, else that of its profile."""
    return user_path(given) if given else PROJECT_ROOT / "outputs" / profile


def add_run_folder(parser: argparse.ArgumentParser, run: str = "the run") -> None:
    """Words that name a run: by its profile, or by its folder."""
    parser.add_argument("--profile", default="quick", metavar="NAME", help=f"{run} in outputs/NAME")
    parser.add_argument("--outputs", metavar="DIR", help=f"{run} in this folder")


def add_models(parser: argparse.ArgumentParser, prices: str) -> None:
    """Words that say by which models, prices and rules a desk plans."""
    add_run_folder(parser, "models of the run")
    parser.add_argument("--data", metavar="PATH", help=f"{prices} (default: what the run read)")
    parser.add_argument(
        "--params",
        metavar="DIR",
        help="parameter files of battery, costs, rules and risk, all taken as they are "
        "(default: the run's)",
    )
