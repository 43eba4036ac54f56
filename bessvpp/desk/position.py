"""What a desk has sold of a day already, read from its files: a row a block, positive sells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bessvpp.battery import share_on
from bessvpp.desk.bids import BID_BLOCKS, SHEET_COLUMNS
from bessvpp.desk.records import read_records, refuse_kilowatts
from bessvpp.errors import DataError, MissingArtefactError
from bessvpp.params.bess import BessParams
from bessvpp.params.fields import block_clock
from bessvpp.price_files.workbook import read_bytes
from bessvpp.runs.folder import RunFolder


def read_position(path: Path, date: np.datetime64, n_blocks: int, bess: BessParams) -> np.ndarray:
    """(U, T) position of each unit on a day, every block of which must be there.

    A CSV of ``delivery_start`` and ``dam_mw``, with or without ``rtm_mw``, or of a column
    ``<unit>_mw`` for each unit as ``plan`` writes it, or a bid sheet taken as it was bid. A plant's
    position is shared over its units by the power that outages leave them. Quarters are averaged
    where blocks are hours.

    Raises
    ------
    DataError
        naming the file, the place in it, what is wrong and what to do.
    """
    if _is_sheet(path):
        return share_on(bess, date, _of_sheet(path, date, n_blocks))
    units = [f"{unit.name}_mw" for unit in bess.units]
    choices = [("dam_mw", "rtm_mw"), ("dam_mw",), units]
    records = read_records(path, choices, date)
    found = [records.of_day(name, date, n_blocks) for name in records.columns]
    for block in np.flatnonzero(np.isnan(found).any(axis=0))[:1]:
        raise DataError(
            f"{path}: {date} has no position for {block_clock(block, n_blocks)}: give every block "
            "of the day, 0 where nothing was sold"
        )
    mw = np.array(found) if list(records.columns) == units else np.sum(found, axis=0)
    refuse_kilowatts(path, mw, bess.connection_limit_mw)
    return mw if mw.ndim == 2 else share_on(bess, date, mw)


def schedule_of_plan(run: RunFolder, date: np.datetime64) -> Path:
    """The schedule that ``plan`` wrote for a day: each unit's, else the bid sheet.

    Raises
    ------
    MissingArtefactError
        where the day was not planned in this run's folder.
    """
    for kind in ("schedule", "dam"):
        path = run.path / "bids" / f"{kind}_{date}.csv"
        if path.is_file():
            return path
    raise MissingArtefactError(
        f"{path} is not there: plan {date} first (bessvpp plan --date {date}), or give the DAM "
        "schedule of that day, to trade with --schedule, to plan with --position"
    )


def read_trades(path: Path, date: np.datetime64, n_blocks: int, bess: BessParams) -> np.ndarray:
    """(U, T) RTM trades of a day, NaN where the file has none; it may be empty.

    A CSV of ``delivery_start`` and ``rtm_mw``, or a column ``<unit>_mw`` for each unit.

    Raises
    ------
    DataError
        as for ``read_position``, and where a block has some of its quarters only.
    """
    units = [f"{unit.name}_mw" for unit in bess.units]
    if len(read_bytes(path).split()) <= 1:  # a header at most
        return np.full((len(units), n_blocks), np.nan)
    records = read_records(path, [("rtm_mw",), units], date, may_lack_day=True)
    found = np.array([records.of_day(name, date, n_blocks) for name in records.columns])
    refuse_kilowatts(path, found, bess.connection_limit_mw)
    partly = np.array([records.of_day(name, date, n_blocks, 0.0) for name in records.columns])
    for block in np.flatnonzero((np.isnan(found) & (partly != 0)).any(axis=0))[:1]:
        raise DataError(
            f"{path}: {date} has only some of the quarters from {block_clock(block, n_blocks)} on: "
            "blocks are hours here, so give all four, 0 where nothing was traded"
        )
    return found if len(found) == len(units) else share_on(bess, date, found[0])


def _is_sheet(path: Path) -> bool:
    try:
        first = path.read_text(encoding="utf-8-sig").partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        return False  # whoever reads it next says why
    return first.strip() == ",".join(SHEET_COLUMNS)


def _of_sheet(path: Path, date: np.datetime64, n_blocks: int) -> np.ndarray:
    """(T,) of a bid sheet with one price a block, which clears whole."""
    sheet = pd.read_csv(path)
    for day in sheet["date"][sheet["date"] != str(date)][:1]:
        raise DataError(f"{path}: is the sheet of {day}: give that of {date}")
    for block in sheet["block"][sheet["block"].duplicated()][:1]:
        raise DataError(
            f"{path}: block {block} is bid at several prices, and what cleared is not in it: give "
            "what cleared, as delivery_start, dam_mw"
        )
    mw = np.zeros(BID_BLOCKS)
    mw[sheet["block"].to_numpy() - 1] = sheet["mw"] * np.where(sheet["side"] == "sell", 1, -1)
    return mw.reshape(n_blocks, -1).mean(axis=1)
