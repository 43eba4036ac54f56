"""What price files hold, told before anyone plans on them: ``python -m bessvpp check``.

Every file is read by itself, so that all bad ones are told and not only the first. The verdict
is about trust: a day that is incomplete is said to be so and is set apart later, but a file that
is refused, or two that disagree, must be mended first.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bessvpp.errors import BessvppError
from bessvpp.params.fields import MINUTES_PER_DAY
from bessvpp.params.market import MarketParams
from bessvpp.price_files.check_text import report_text
from bessvpp.price_files.judge import read_price_tables
from bessvpp.price_files.merge import (
    common_minutes,
    days_of,
    disagreements,
    green_prices,
    merged,
    price_files,
    repeated,
    unlike_volumes,
)
from bessvpp.price_files.tables import PriceTable

READ_BY = (
    "block_minutes",
    "price_floor_rs_per_mwh",
    "price_caps",
    "rtm_session_minutes",
    "column_names",
)
"""The parameters by which price files are read; no other has a bearing on them."""
TOUCH = 0.005  # Rs/MWh; a price so close to the cap is at the cap


@dataclass(frozen=True)
class DayReport:
    """One day of one table; prices in Rs/MWh, ``None`` where there is none.

    status : ``whole``; ``history`` where only the first blocks are there, which serves tomorrow's
        plan; ``incomplete`` where others are missing; ``another market`` for the GDAM
    """

    source: str
    date: dt.date
    market: str
    block_minutes: int
    blocks: int
    expected: int
    no_trade: int
    price_min: float | None
    price_mean: float | None
    price_max: float | None
    cap_share: float | None
    status: str


@dataclass(frozen=True)
class Report:
    """All that ``check`` found out.

    refused : a message for each file that cannot be trusted, and each pair that disagrees
    gaps : by market, the days without any price and the blocks missing of others
        (those of the GDAM exclude no day)
    duplicates : by pair of sources, how many blocks both give alike
    excluded : by market and in both, days of which a price is missing
    statistics : by market, and of the spread where both are there
    """

    days: tuple[DayReport, ...]
    refused: tuple[str, ...]
    gaps: dict[str, list[str]]
    duplicates: list[str]
    excluded: dict[str, list[str]]
    statistics: dict[str, dict[str, float]]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything can be trusted."""
        return not self.refused

    def as_json(self) -> dict[str, object]:
        """Plain values: dates as text, figures as numbers or ``None``."""
        content = asdict(self)
        days = [day | {"date": day["date"].isoformat()} for day in content["days"]]
        return {"ok": self.ok} | content | {"days": days}

    def as_text(self) -> str:
        """The same for people: a summary, then what needs attention, then the days."""
        return report_text(self)


def check_files(paths: Sequence[str | Path], rules: MarketParams) -> Report:
    """Read files and folders of price files, one by one; nothing is raised for their content.

    Examples
    --------
    >>> report = bv.check_files(["data/raw"], bv.load_params().market)
    >>> report.ok, sorted(report.statistics)[:2]
    (True, ['DAM', 'RTM'])
    """
    notes: list[str] = []
    refused: list[str] = []
    tables = _tables_in(paths, rules, notes, refused)
    priced = [table for table in tables if table.market != "gdam"]
    minutes = _minutes_of(priced, rules, notes)
    if tables and not priced:
        refused.append(
            "only the green market (GDAM) was found, another price: add the files of the DAM or "
            "the RTM"
        )
    gaps: dict[str, list[str]] = {}
    missing: dict[str, np.ndarray] = {}
    statistics: dict[str, dict[str, float]] = {}
    duplicates: list[str] = []
    grids: dict[str, pd.DataFrame] = {}
    for market in ("dam", "rtm", "gdam"):
        own = [table for table in tables if table.market == market]
        if not own:
            continue
        for length in (15, 60):
            alike = [table for table in own if table.block_minutes == length]
            duplicates += _duplicates(alike) if alike else []
            refused += disagreements(alike) if alike else []
            notes += unlike_volumes(alike) if alike else []
        try:
            grid = _grid(own)
        except BessvppError as error:
            refused += [str(error)] if str(error) not in refused else []
            continue
        name = market.upper()
        gaps[name] = _gaps(grid["missing"])
        statistics[name] = _statistics(grid, rules)
        if market == "gdam":
            notes += green_prices(own, days_of(priced), minutes)[1] if minutes else []
            continue
        grids[market] = grid
        missing[name] = grid.index.normalize()[grid["missing"]].unique().to_numpy("M8[D]")
    if len(grids) == 2:
        statistics |= _spread(grids["dam"], grids["rtm"])
        either = np.unique(np.concatenate(list(missing.values())))
        missing["both markets together"] = np.union1d(either, _days_alone(*grids.values()))
    return Report(
        days=tuple(day for table in tables for day in _day_reports(table, rules)),
        refused=tuple(dict.fromkeys(refused)),
        gaps={name: found for name, found in gaps.items() if found},
        duplicates=duplicates,
        excluded={name: _runs(days) for name, days in missing.items() if len(days)},
        statistics=statistics,
        notes=tuple(dict.fromkeys(notes)),
    )


def _minutes_of(priced: Sequence[PriceTable], rules: MarketParams, notes: list[str]) -> int | None:
    """Length of the blocks that tables are read in together; None, noted, where there is none."""
    try:
        return common_minutes(priced, rules) if priced else None
    except BessvppError as error:
        notes.append(f"cannot be read together as block_minutes stands: {error}")
        return None


def _tables_in(
    paths: Sequence[str | Path], rules: MarketParams, notes: list[str], refused: list[str]
) -> list[PriceTable]:
    """Tables of all files that can be trusted; what is said of files is added to the lists."""
    files: list[Path] = []
    for path in paths:
        try:
            files += price_files(Path(path), notes)
        except BessvppError as error:
            refused.append(str(error))
    tables: list[PriceTable] = []
    for file in dict.fromkeys(files):
        try:
            tables += read_price_tables(file, rules)
        except BessvppError as error:
            refused.append(str(error))
    notes += [f"{table.source}: {note}" for table in tables for note in table.notes]
    return tables


def _days_alone(*grids: pd.DataFrame) -> np.ndarray:
    """Days that lie within the first and last of one market and not of the other."""
    first, last = zip(*(grid.index[[0, -1]].to_numpy("M8[D]") for grid in grids), strict=True)
    in_any = np.arange(min(first), max(last) + 1)
    return np.setdiff1d(in_any, np.arange(max(first), min(last) + 1))


def _day_reports(table: PriceTable, rules: MarketParams) -> list[DayReport]:
    """A line for each day of a table."""
    frame = pd.DataFrame(
        {
            "start": table.starts,
            "mcp": table.columns["mcp"],
            "no_trade": table.columns.get("no_trade", np.full(len(table.starts), np.nan)) == 1,
        }
    )
    frame = frame.drop_duplicates().dropna(subset="start")
    frame["date"] = frame["start"].dt.normalize()
    expected = MINUTES_PER_DAY // table.block_minutes
    reports = []
    for day, rows in frame.groupby("date"):
        there = rows[rows["mcp"].notna() | rows["no_trade"]]
        place = (there["start"] - day) // pd.Timedelta(minutes=table.block_minutes)
        blocks = place.nunique()
        if table.market == "gdam":
            status = "another market"
        elif blocks == expected:
            status = "whole"
        else:
            status = "history" if blocks and place.max() == blocks - 1 else "incomplete"
        mcp = rows["mcp"].dropna()
        cap = rules.cap_rs_per_mwh(day.date())
        figures = (mcp.min(), mcp.mean(), mcp.max(), (mcp >= cap - TOUCH).mean())
        reports.append(
            DayReport(
                table.source,
                day.date(),
                table.market.upper(),
                table.block_minutes,
                int(blocks),
                expected,
                int(there.loc[there["no_trade"], "start"].nunique()),
                *(round(float(value), 4) if len(mcp) else None for value in figures),
                status,
            )
        )
    return reports


def _grid(tables: list[PriceTable]) -> pd.DataFrame:
    """``mcp``, ``no_trade`` and ``missing`` of one market on its whole calendar."""
    minutes = max(table.block_minutes for table in tables)
    dates = days_of(tables)
    grids = merged(tables, dates, minutes)
    step = pd.Timedelta(minutes=minutes)
    index = pd.date_range(dates[0], periods=grids["mcp"].size, freq=step)
    frame = pd.DataFrame({"mcp": grids["mcp"].ravel(), "no_trade": grids["no_trade"].ravel() == 1})
    frame["missing"] = frame["mcp"].isna() & ~frame["no_trade"]
    return frame.set_index(index)


def _gaps(missing: pd.Series) -> list[str]:
    """Runs of missing blocks; whole days as days."""
    by_day = missing.groupby(missing.index.normalize()).agg(["sum", "size"])
    whole = by_day.index[by_day["sum"] == by_day["size"]]
    found = [f"{run} (nothing)" for run in _runs(whole.to_numpy("M8[D]"))]
    step = missing.index[1] - missing.index[0]
    for day in by_day.index[(by_day["sum"] > 0) & (by_day["sum"] < by_day["size"])]:
        lost = missing.index[missing & (missing.index.normalize() == day)]
        part = (np.diff(lost.to_numpy()) != step.to_timedelta64()).cumsum()
        runs = pd.Series(lost).groupby(np.r_[0, part])
        spans = ", ".join(
            f"{run.iloc[0]:%H:%M}-{_clock(run.iloc[-1] + step, day)}" for _, run in runs
        )
        found.append(f"{day.date()} {spans}")
    return sorted(found)


def _clock(end: pd.Timestamp, day: pd.Timestamp) -> str:
    return "24:00" if end.normalize() > day else f"{end:%H:%M}"


def _runs(days: np.ndarray) -> list[str]:
    """Days as ranges."""
    if not len(days):
        return []
    parts = np.split(days, np.flatnonzero(np.diff(days).astype(int) != 1) + 1)
    return [str(p[0]) if len(p) == 1 else f"{p[0]} to {p[-1]} ({len(p)} days)" for p in parts]


def _duplicates(tables: list[PriceTable]) -> list[str]:
    """How many blocks two sources, or two rows of one, give alike."""
    first, second, differ = repeated(tables)
    owner = np.concatenate([np.full(len(table.starts), i) for i, table in enumerate(tables)])
    pairs = np.stack([owner[first[~differ]], owner[second[~differ]]], axis=1)
    counted = zip(*np.unique(pairs, axis=0, return_counts=True), strict=True)
    return [
        f"{n} blocks alike in {tables[one].source} and "
        + ("again in it" if one == two else tables[two].source)
        for (one, two), n in counted
    ]


def _statistics(grid: pd.DataFrame, rules: MarketParams) -> dict[str, float]:
    mcp = grid["mcp"].dropna()
    whole = ~grid["missing"].groupby(grid.index.normalize()).any()
    caps = {day: rules.cap_rs_per_mwh(day.date()) for day in grid.index.normalize().unique()}
    at_cap = mcp >= mcp.index.normalize().map(caps) - TOUCH
    figures = {
        "days": len(whole),
        "whole days": int(whole.sum()),
        "blocks": len(mcp),
        "no trade": int(grid["no_trade"].sum()),
    }
    if len(mcp):
        figures |= {"mean": mcp.mean(), "sd": mcp.std(ddof=0), "min": mcp.min()}
        figures |= {f"{100 * q:g} %": mcp.quantile(q) for q in (0.05, 0.5, 0.95)}
        figures |= {"max": mcp.max(), "cap share": at_cap.mean()}
    return {name: round(float(value), 4) for name, value in figures.items()}


def _spread(dam: pd.DataFrame, rtm: pd.DataFrame) -> dict[str, dict[str, float]]:
    """RTM - DAM where both are there, on the coarser of their blocks."""
    step = max(grid.index[1] - grid.index[0] for grid in (dam, rtm))
    means = [grid["mcp"].resample(step).mean() for grid in (dam, rtm)]
    both = pd.concat(means, axis=1, keys=["dam", "rtm"]).dropna()
    if len(both) < 2:
        return {}
    spread = both["rtm"] - both["dam"]
    figures = {"blocks": len(spread), "mean": spread.mean(), "sd": spread.std(ddof=0)}
    figures |= {"min": spread.min(), "max": spread.max(), "50 %": spread.median()}
    figures |= {"5 %": spread.quantile(0.05), "95 %": spread.quantile(0.95)}
    if both.std(ddof=0).min() > 0:
        figures["correlation"] = both["dam"].corr(both["rtm"])
    return {"RTM - DAM": {name: round(float(value), 4) for name, value in figures.items()}}
