"""A closed day on paper: its file, and in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bessvpp.desk.close import ClosedDay
from bessvpp.ledger import LEDGER_COLUMNS, signed
from bessvpp.runs.folder import RunFolder

JOURNAL_DAYS = 7  # shown after a day is closed
WHY = {
    "price_rs": "the prices that came, on the volumes planned",
    "volume_rs": "what cleared other than it was bid",
    "forecast_rs": "trading and running on what gates foresaw",
    "deviation_rs": "what was run other than scheduled",
}


def write_closed(run: RunFolder, closed: ClosedDay) -> Path:
    """Write ``bids/close_<date>.json``: the journal's row, the plan's ledger and every block.

    What was not measured is null.
    """
    handed = closed.handed
    blocks = {
        "dam_bid_mw": closed.promise.dam_mw,
        "dam_mw": handed.dam_mw,
        "rtm_mw": handed.rtm_mw,
        "physical_mw": handed.run_mw.sum(axis=0),
        "dam_mcp": closed.prices.dam[0],
        "rtm_mcp": closed.prices.rtm[0],
    }
    content = {name: _known(value) for name, value in closed.as_row().items()}
    content["planned"] = dict(closed.promise.ledger)
    content["notes"] = list(closed.notes)
    content["by_block"] = {name: [_known(x) for x in values] for name, values in blocks.items()}
    return run.write_json(f"bids/close_{closed.promise.date}.json", content)


def describe_closed(closed: ClosedDay) -> str:
    """The day in words and figures, for a terminal."""
    promise, row = closed.promise, closed.as_row()
    source = "SYNTHETIC market" if closed.is_synthetic else "exchange data"
    booked = pd.DataFrame(
        [
            (name, *(round(signed(name, of.get(name, 0.0))) + 0 for of in (promise.ledger, row)))
            for name in LEDGER_COLUMNS
        ]
        + [("net_rs", promise.net_rs, closed.net_rs)],
        columns=["Rs", "planned", "realised"],
    )
    booked["Rs"] = booked["Rs"].str.removesuffix("_rs").str.replace("_", " ")
    parts = "\n".join(
        f"  {name.removesuffix('_rs'):<10}{round(getattr(closed.parts, name)) + 0:+14,.0f}   {why}"
        for name, why in WHY.items()
    )
    end = row["end_mwh"]
    left = "not measured" if np.isnan(end) else f"measured {end:,.1f}"
    notes = "".join(f"\n{note}" for note in closed.notes)
    return (
        f"Closed {promise.date}, {source}, planned on the {promise.fan} fan.\n"
        f"DAM: {row['cleared_mwh']:,.1f} MWh cleared of {row['bid_mwh']:,.1f} bid. RTM: "
        f"{row['rtm_mwh']:,.1f} MWh traded. Measured: {row['measured_blocks']} of "
        f"{row['blocks']} blocks.\n"
        f"Energy at midnight, MWh, in no figure below: planned {row['planned_end_mwh']:,.1f}, "
        f"{left}.{notes}\n\n"
        f"{booked.to_string(index=False, float_format='{:,.0f}'.format)}\n\n"
        f"Realised less planned net: {row['difference_rs']:+,.0f} Rs\n{parts}"
    )


def describe_journal(rows: pd.DataFrame) -> str:
    """The last days of a journal, for a terminal [Rs]."""
    columns = {"planned_net_rs": "planned", "net_rs": "net", "difference_rs": "difference"}
    columns |= {f"from_{name}": name.removesuffix("_rs") for name in WHY}
    columns |= {"measured_blocks": "measured", "blocks": "blocks"}
    last = rows.set_index("date").tail(JOURNAL_DAYS)[list(columns)].rename(columns=columns)
    return (
        f"Journal, Rs, days closed: {len(rows)}"
        + (f", the last {JOURNAL_DAYS}" if len(rows) > JOURNAL_DAYS else "")
        + f"\n{last.map('{:,.0f}'.format).to_string(index_names=False)}"
    )


def _known(value: object) -> object:
    """A value for JSON, None where a number is not known."""
    return None if isinstance(value, float) and np.isnan(value) else value
