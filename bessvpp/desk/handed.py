"""What a desk hands in about a day: what cleared, what was traded, what was run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bessvpp.battery import kept_mwh
from bessvpp.desk.promised import Promise
from bessvpp.desk.records import read_records, refuse_kilowatts
from bessvpp.errors import DataError
from bessvpp.params.bess import BessParams
from bessvpp.price_files.workbook import read_bytes


@dataclass(frozen=True)
class Handed:
    """What a desk hands in about a day: T blocks, U units."""

    dam_mw: np.ndarray  # (T,) cleared, positive sells
    rtm_mw: np.ndarray  # (T,) traded, positive sells
    run_mw: np.ndarray  # (U, T) net power as measured, positive delivers; NaN: not measured
    e_end_mwh: np.ndarray  # (U,) stored at midnight as measured; NaN: not measured
    notes: tuple[str, ...]  # what was not given, and what was taken in its place


def read_handed(
    promise: Promise,
    bess: BessParams,
    schedule: str | Path | None = None,
    trades: str | Path | None = None,
    measured: str | Path | None = None,
) -> Handed:
    """What a desk hands in, from its files; what is not given is noted, and never guessed.

    Parameters
    ----------
    schedule : CSV of ``delivery_start, dam_mw``, the DAM as it cleared, every block of the day,
        or of each unit's ``<name>_mw``; by default as it was bid
    trades : CSV of ``delivery_start, rtm_mw``, a row a block traded, or of each unit's
        ``<name>_mw``; by default there were none
    measured : CSV of ``delivery_start, physical_mw``, net power at the grid side without
        the auxiliary load, which is booked by itself, or of ``energy_mwh``, stored at the end of
        a block, with the last block of the day before; of several units a column each,
        ``<name>_mw`` or ``<name>_mwh``

    Raises
    ------
    DataError
        naming file, row and column.
    """
    n_blocks, notes = len(promise.dam_mw), []
    dam_mw, rtm_mw = promise.dam_mw, np.zeros(n_blocks)
    if schedule is None:
        notes.append("No cleared DAM schedule was given: the bids count as cleared whole.")
    else:
        dam_mw = _cleared(promise, bess, schedule)
    if trades is None:
        notes.append("No RTM trades were given: none are booked.")
    else:
        rtm_mw, told = _traded(promise, bess, Path(trades))
        notes += told
    run_mw, e_end = np.full((len(bess.units), n_blocks), np.nan), np.full(len(bess.units), np.nan)
    if measured is not None:
        run_mw, e_end = _measured(promise, bess, measured)
    for path, mw in ((schedule, dam_mw), (trades, rtm_mw), (measured, run_mw)):
        if path is not None:
            refuse_kilowatts(path, mw, bess.connection_limit_mw)
    missed = int((~np.isfinite(run_mw)).any(axis=0).sum())
    if missed:
        notes.append(
            f"Not measured: {missed} of {n_blocks} blocks. What was run there is not known; net "
            "counts the schedule as followed."
        )
    return Handed(dam_mw, rtm_mw, run_mw, e_end, tuple(notes))


def _cleared(promise: Promise, bess: BessParams, path: str | Path) -> np.ndarray:
    """(T,) DAM schedule of the day, of the plant or of all its units."""
    units = [f"{unit.name}_mw" for unit in bess.units]
    records = read_records(path, [("dam_mw",), units], promise.date)
    columns = [records.of_day(n, promise.date, len(promise.dam_mw)) for n in records.columns]
    mw = np.sum(columns, axis=0)
    if np.isnan(mw).any():
        raise DataError(
            f"{path}: {promise.date} is not whole: give every block of the day, 0 where nothing "
            "cleared"
        )
    return mw


def _traded(promise: Promise, bess: BessParams, path: Path) -> tuple[np.ndarray, list[str]]:
    """(T,) RTM trades of the day, of the plant or of all its units; and what there is to note."""
    n_blocks, units = len(promise.dam_mw), [f"{unit.name}_mw" for unit in bess.units]
    if len(read_bytes(path).split()) > 1:  # more than a header
        records = read_records(path, [("rtm_mw",), units], promise.date, may_lack_day=True)
        columns = [records.of_day(n, promise.date, n_blocks, 0.0) for n in records.columns]
        mw = np.sum(columns, axis=0)
        if np.isnan(mw).any():
            raise DataError(
                f"{path}: a row of {promise.date} has no power: write 0, or drop the row"
            )
        if n_blocks > 24 and records.is_hourly(promise.date):
            raise DataError(
                f"{path}: {promise.date} is in hours and its plan in quarters of an hour: give "
                "each quarter"
            )
        if records.has(promise.date):
            return mw, []
    return np.zeros(n_blocks), [f"{path} has no trade of {promise.date}: none are booked."]


def _measured(
    promise: Promise, bess: BessParams, path: str | Path
) -> tuple[np.ndarray, np.ndarray]:
    """(U, T) power as it was measured, or as measured energies tell it, and (U,) energy at the end.

    Between two energies the battery has lost its self-discharge, and then charged or discharged
    with its efficiency.
    """
    date, n_blocks = promise.date, len(promise.dam_mw)
    names = [unit.name for unit in bess.units]
    one = len(names) == 1
    powers = ("physical_mw",) if one else tuple(f"{name}_mw" for name in names)
    energies = ("energy_mwh",) if one else tuple(f"{name}_mwh" for name in names)
    records = read_records(path, [powers, energies], date)
    if powers[0] in records.columns:
        run = np.stack([records.of_day(name, date, n_blocks) for name in powers])
        return run, np.full(len(names), np.nan)

    def stored(day: np.datetime64) -> np.ndarray:
        return np.stack([records.of_day(n, day, n_blocks, is_state=True) for n in energies])

    ends = stored(date)
    before = np.hstack([stored(date - 1)[:, -1:], ends[:, :-1]])
    taken = (kept_mwh(bess, before.T, promise.block_hours).T - ends) / promise.block_hours
    eta_in, eta_out = (
        np.array([[getattr(unit, key)] for unit in bess.units])
        for key in ("eta_charge", "eta_discharge")
    )
    return np.where(taken > 0, taken * eta_out, taken / eta_in), ends[:, -1]
