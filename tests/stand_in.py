"""Downloads of the embedded market in the exchange's layout, where the real ones are absent.

The names, sheets, columns, dates and gaps are those of the real files; the prices are the
generator's, so no figure of the real market is found in them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd

from bessvpp.files import PROJECT_ROOT
from bessvpp.market.history import Market
from bessvpp.market.synthetic import simulate

DAM = "DAM_Market Snapshot 07-08-2025.xlsx"
RTM = "RTM_Market Snapshot 12-08-2025.xlsx"
GDAM = "GDAM_Market Snapshot 12-08-2025.xlsx"
QUARTERS = "dam_15min_2024.csv"
HOURS = "dam_hourly_2022-08_2025-04.csv"
BOTH = "dam_rtm_hourly_2025-02_2025-04.csv"
REAL = PROJECT_ROOT.parent / "shared" / "data" / "real"
START, LAST = dt.date(2022, 8, 3), dt.date(2025, 8, 12)
LOST_DAYS = ("2022-09-04", "2022-09-08")
HALF_DAY = 46  # blocks that the real-time market had settled
BIDS = ("Purchase Bid (MW)", "Sell Bid (MW)", "MCV (MW)", "Final Scheduled Volume (MW)")
PRICE = "MCP (Rs/MWh) *"
GREEN_SHARES = {"Solar": 0.2, "Non-Solar": 0.7, "Hydro": 0.1}


@dataclass(frozen=True)
class Downloads:
    """A folder of the exchange's files, real or the stand-in of the same names."""

    folder: Path
    is_real: bool

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


def summary_of(path: Path, kind: str) -> str:
    """The price in a summary row of a download, as its own cell has it: Avg, Max, Min."""
    rows = [[c for c in row if c is not None] for row in rows_of(path)]
    return next(row[-1] for row in rows if len(row) > 1 and row[1] == f"{kind} (MW)")


def prices_in(path: Path) -> list[float]:
    """The prices of the blocks of a download, read cell by cell."""
    rows = [[c for c in row if c is not None] for row in rows_of(path)]
    return [float(row[-1]) for row in rows if len(row) > 1 and isinstance(row[1], int)]


def rows_of(path: Path) -> list[tuple]:
    return list(openpyxl.load_workbook(path, read_only=True).active.iter_rows(values_only=True))


def write_stand_in(folder: Path) -> Downloads:
    """The six files; made in a few seconds."""
    market = simulate(START, (LAST - START).days + 1, 11)
    write_snapshots(market, folder)
    write_tidy_files(market, folder)
    return Downloads(folder, is_real=False)


def write_snapshots(market: Market, folder: Path) -> None:
    day = dt.date(2025, 8, 7)
    write_snapshot(folder / DAM, day, columns_of(market, "dam", day, 96))
    write_snapshot(folder / RTM, LAST, columns_of(market, "rtm", LAST, HALF_DAY))
    dam = columns_of(market, "dam", LAST, 96)
    green = {"Purchase Bid (MW)": dam[BIDS[0]] / 4}
    for shown, volume in (("Sell Bid", BIDS[1]), ("MCV", BIDS[2]), ("FSV", BIDS[3])):
        green[f"Total {shown} (MW)"] = dam[volume] / 10
        green |= {f"{k} {shown} (MW)": s * dam[volume] / 10 for k, s in GREEN_SHARES.items()}
    green[PRICE] = 0.95 * dam[PRICE]
    write_snapshot(folder / GDAM, LAST, green)


def columns_of(market: Market, name: str, day: dt.date, n: int) -> dict[str, np.ndarray]:
    """The first ``n`` blocks of a day, by the names that the exchange gives to columns."""
    row = market.index_of(day)
    volumes = [f"{name}_{kind}" for kind in ("purchase_bid_mw", "sell_bid_mw", "mcv_mw", "mcv_mw")]
    columns = [*(market.extras[volume] for volume in volumes), getattr(market, f"{name}_mcp")]
    return {label: values[row, :n] for label, values in zip((*BIDS, PRICE), columns, strict=True)}


def write_snapshot(path: Path, day: dt.date, columns: Mapping[str, np.ndarray]) -> None:
    """One Market Snapshot: an empty row, two of title, the blocks as text, and the summary."""
    rtm, shown = path.name.startswith("RTM"), f"{day:%d-%m-%Y}"
    values = np.round(np.column_stack(list(columns.values())), 2)
    book = openpyxl.Workbook()
    book.active.title = "Sheet1"
    counters = ["Date", "Hour", *(["Session ID"] if rtm else []), "Time Block"]
    rows = [[], ["Market Snapshot"], [f"Date: {shown}"], [], [*counters, *columns]]
    for k, cells in enumerate(values):
        label = (" - ", "-")[rtm].join(f"{b // 4:02d}:{15 * (b % 4):02d}" for b in (k, k + 1))
        counters = [k // 4 + 1, *([k // 2 + 1] if rtm else [])]
        rows.append([shown, *counters, label, *(f"{cell:.2f}" for cell in cells)])
    rows.append(["Date", "Summary", *columns])
    rows.append([shown, "Total (MWh)", *(f"{cell:.2f}" for cell in values.sum(0)[:-1] / 4)])
    for kind, reduced in (("Max", values.max(0)), ("Min", values.min(0)), ("Avg", values.mean(0))):
        rows.append([shown, f"{kind} (MW)", *(f"{cell:.2f}" for cell in reduced)])
    for row in rows:
        book.active.append(row)
    book.save(path)


def write_tidy_files(market: Market, folder: Path) -> None:
    """The three CSV files, of which the two of hours tell other DAM prices, as the real ones do."""
    names = ("purchase_bid_mw", "sell_bid_mw", "mcv_mw")
    columns = {name: market.extras[f"dam_{name}"].ravel() for name in names}
    frame = pd.DataFrame({"delivery_start": starts_of(market), **columns})
    frame["final_scheduled_volume_mw"] = frame["mcv_mw"]
    frame["dam_mcp_rs_mwh"] = market.dam_mcp.ravel()
    frame["rtm_mcp_rs_mwh"] = market.rtm_mcp.ravel()
    day = frame["delivery_start"].dt.normalize()
    write_tidy(frame[day.dt.year == 2024].drop(columns="rtm_mcp_rs_mwh"), folder / QUARTERS)
    prices = ["delivery_start", "dam_mcp_rs_mwh", "rtm_mcp_rs_mwh"]
    hours = frame[prices].groupby(frame["delivery_start"].dt.floor("h")).mean()
    hours["delivery_start"] = hours.index
    day = hours["delivery_start"].dt.normalize()
    kept = ~day.isin(pd.to_datetime(list(LOST_DAYS))) & (day <= "2025-04-03")
    write_tidy(hours.loc[kept, prices[:2]], folder / HOURS)
    both = hours.loc[kept & (day >= "2025-02-01"), prices]
    write_tidy(both.assign(dam_mcp_rs_mwh=0.99 * both["dam_mcp_rs_mwh"]), folder / BOTH)


def starts_of(market: Market) -> np.ndarray:
    minutes = market.block_minutes * np.arange(market.n_blocks) * np.timedelta64(1, "m")
    return (market.dates.astype("M8[m]")[:, None] + minutes).ravel()


def write_tidy(frame: pd.DataFrame, path: Path) -> None:
    shown = frame.assign(delivery_start=frame["delivery_start"].dt.strftime("%Y-%m-%d %H:%M"))
    shown.round(6).to_csv(path, index=False)
