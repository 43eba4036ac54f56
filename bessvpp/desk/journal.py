"""The journal: a row for each day that was closed, in the run's ``journal.parquet``.

A new row is written aside with all earlier ones and renamed into place, under a lock of its own:
a process that is killed leaves the journal as it was.
"""

from __future__ import annotations

import pandas as pd

from bessvpp.desk.close import ClosedDay
from bessvpp.desk.close_report import write_closed
from bessvpp.errors import RunError
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.lock import sole_user

JOURNAL = "journal.parquet"
PATIENCE_S = 30  # writing a row takes a fraction of a second


def read_journal(run: RunFolder) -> pd.DataFrame | None:
    """The days closed so far in order, None where there is no journal."""
    return pd.read_parquet(run.path / JOURNAL) if (run.path / JOURNAL).is_file() else None


def append_to_journal(run: RunFolder, closed: ClosedDay, overwrite: bool = False) -> pd.DataFrame:
    """Add a closed day, its own file before its row; the whole journal, in order of days.

    Raises
    ------
    RunError
        where the day is there and is not to be overwritten, or another process keeps the journal.
    StorageError
        where it cannot be written; the journal is then as it was.
    """
    row = pd.DataFrame([closed.as_row()])
    with sole_user(run.path, "another close is at work in", ".journal.lock", PATIENCE_S):
        before = read_journal(run)
        rows = row if before is None else before[before["date"] != row["date"][0]]
        if before is not None:
            if len(rows) < len(before) and not overwrite:
                raise RunError(
                    f"{run.path / JOURNAL}: {closed.promise.date} is closed already: add "
                    "--overwrite to put this in its place"
                )
            rows = pd.concat([rows, row], ignore_index=True)
        rows = rows.sort_values("date", kind="stable", ignore_index=True)
        write_closed(run, closed)
        run.write_frame(JOURNAL, rows)
    return rows
