"""What a run and a plan say of a user's own forecasts, and the records in which a run keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bessvpp.params.fields import clock_text
from bessvpp.params.forecast import OWN
from bessvpp.params.load import Params
from bessvpp.price_files.own_forecasts import OwnPaths, OwnQuantiles
from bessvpp.runs.folder import RunFolder

RECORDS = tuple(f"{key}.json" for key in OWN)


WITHIN_DAY = "What is expected within a day is still expected by the models of chapter 2."


def say_none(run: RunFolder, given: str) -> None:
    """Record that a run has none of the own forecasts that a parameter of ``OWN`` names."""
    run.write_json(f"{given}.json", {"name": "", "told": [], "lacking": []})


def say_quantiles(run: RunFolder, own: OwnQuantiles, params: Params, lacking: np.ndarray) -> None:
    """Record what a run says of own quantiles that lack some calibration days."""
    fans = (
        "Both fans are drawn from them as they are."
        if len(lacking)
        else "The original fan is drawn from them as they are, the recalibrated one as chapter 3 "
        "shifts them."
    )
    told = [f"{_told_quantiles(own, params)} {fans}", WITHIN_DAY]
    if len(lacking):
        told.append(
            f"They lack {len(lacking)} calibration days. There the models' forecasts stand, for "
            "how blocks and markets hang together and for the methods that chapter 3 tries, and "
            "for no plan."
        )
    record = {"name": f"quantiles of {Path(own.source).name}", "told": told}
    run.write_json(RECORDS[0], record | {"lacking": lacking.astype(str)})


def say_paths(run: RunFolder, own: OwnPaths, params: Params) -> None:
    """Record what a run says of own paths."""
    told = [
        _told_paths(own, params),
        "Both fans are these paths, so figures of the original and of the recalibrated fan agree; "
        "quantiles, the correlation and the choice of a fan are shown and not used.",
        WITHIN_DAY,
    ]
    record = {"name": f"paths of {Path(own.source).name}", "told": told}
    run.write_json(RECORDS[1], record | {"lacking": []})


def told_of(run: RunFolder, *given: str) -> tuple[str, ...]:
    """What a run says of own forecasts, those of some of ``OWN`` or all; nothing without any."""
    return tuple(line for record in records(run, *given) for line in record["told"])


def names_of(run: RunFolder) -> tuple[str, ...]:
    """The kinds and files of own forecasts that a run rests on."""
    return tuple(record["name"] for record in records(run) if record["name"])


def rests_on(run: RunFolder, given: str) -> bool:
    """Whether a run was made on the own forecasts that a parameter of ``OWN`` names."""
    return any(record["name"] for record in records(run, given))


def told_of_plan(
    own: OwnQuantiles | OwnPaths | None, run: RunFolder, params: Params, given: str
) -> tuple[str, ...]:
    """What a plan says of own forecasts that it rests on."""
    if own is None:
        return ()
    if isinstance(own, OwnQuantiles):
        method = params.forecast.recalibration
        told = f"{_told_quantiles(own, params)} A recalibrated fan shifts them by: {method}."
    else:
        told = _told_paths(own, params)
    other = () if rests_on(run, given) else ("The run's backtest was not made on them.",)
    return (told, *other)


def records(run: RunFolder, *given: str) -> list[dict[str, Any]]:
    """Records that are there, all or of some of ``OWN``; an older run has none.

    Each holds the ``name``, empty where none are given, the lines ``told`` and the calibration
    days ``lacking``.
    """
    names = [f"{key}.json" for key in given] or RECORDS
    return [run.read_json(name) for name in names if (run.path / name).exists()]


def _told_quantiles(own: OwnQuantiles, params: Params) -> str:
    return (
        f"Own forecasts: the quantiles of {_content(own)} stand in place of the models'. "
        f"{_told_made(own, params)}"
        + (
            f" Their levels {', '.join(own.unused)} are none of those in params/forecast.yaml, and "
            "not used."
            if own.unused
            else ""
        )
    )


def _told_paths(own: OwnPaths, params: Params) -> str:
    return (
        f"Own forecasts: the {own.dam.shape[1]} paths of {_content(own)} stand in place of the "
        f"fan, which n_scenarios, seed and dependence then do not shape. {_told_made(own, params)}"
    )


def _content(own: OwnQuantiles | OwnPaths) -> str:
    days = f"{len(own.dates)} days, {own.dates[0]} to {own.dates[-1]}"
    return f"{Path(own.source).name} ({days if len(own.dates) > 1 else own.dates[0]})"


def _told_made(own: OwnQuantiles | OwnPaths, params: Params) -> str:
    gate = clock_text(params.market.dam_gate)
    if own.timed:
        return f"Its made_at has no row later than its gate, {gate} on the day before."
    return (
        f"That each was made before its gate, {gate} on the day before, is assumed: the file does "
        "not say (made_at)."
    )
