"""A report of price files for people: a summary first, then what needs attention, then the days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from bessvpp.price_files.check import DayReport, Report

LISTED = 40  # days listed one by one; of more, only those that are not whole
ITEMS = 12  # runs of gaps and excluded days in one line
TOLD = {
    "whole": "whole",
    "history": "incomplete: its first blocks, history for the next plan",
    "incomplete": "incomplete: set apart",
    "another market": "another market: a feature, no DAM price",
}


def report_text(report: Report) -> str:
    """All that ``check`` says without ``--json``."""
    refused = [f"REFUSED  {message}" for message in report.refused]
    if not report.days:
        return "\n".join(refused) or "everything here can be trusted"
    many = len(report.days) > LISTED
    parts = [_summary(report), *_statistics(report.statistics)]
    if refused:
        parts.append("\n".join(refused))
    for title, found in (("gaps", report.gaps), ("days excluded", report.excluded)):
        lines = [f"  {name}: {_shortened(items)}" for name, items in found.items()]
        parts.append("\n".join([title, *(lines or ["  none"])]))
    for title, items in (("duplicates", report.duplicates), ("notes", _grouped(report.notes))):
        parts.append("\n".join([title, *(f"  {item}" for item in items or ["none"])]))
    shown = [day for day in report.days if not many or day.status in ("incomplete", "history")]
    if shown:
        parts.append(("days that are not whole\n" if many else "") + _day_table(shown[:LISTED]))
    if len(shown) < len(report.days) or len(shown) > LISTED:
        left = len(report.days) - min(len(shown), LISTED)
        more = "more days of files" if shown else "days of files, all whole,"
        parts.append(f"{left:,} {more} are not listed here; --json lists each")
    return "\n\n".join(parts)


def _summary(report: Report) -> str:
    """One line of verdict, and one a market."""
    n_sources = len({day.source for day in report.days})
    verdict = (
        f"{len(report.refused)} refused, told below"
        if report.refused
        else "everything here can be trusted"
    )
    lines = [f"tables read: {n_sources:,}; {verdict}"]
    for market in sorted({day.market for day in report.days}):
        own = [day for day in report.days if day.market == market]
        dates = {day.date for day in own}
        n_lost = (max(dates) - min(dates)).days + 1 - len(dates)
        lost = f", {n_lost:,} missing in between" if n_lost else ""
        whole = {day.date for day in own if day.blocks == day.expected}
        lengths = " and ".join(
            f"{minutes} min" for minutes in sorted({d.block_minutes for d in own})
        )
        lines.append(
            f"  {market:5}{min(dates)} to {max(dates)}: {len(dates):,} "
            f"{'day' if len(dates) == 1 else 'days'}, {len(whole):,} whole{lost}, in blocks of "
            f"{lengths}"
        )
    lines += [
        f"  {name:5}none here: `run`, `plan` and `trade` need both markets"
        for name in ("DAM", "RTM")
        if name not in {day.market for day in report.days}
    ]
    return "\n".join(lines)


def _statistics(statistics: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The figures of each market as a table; nothing where there are none."""
    if not statistics:
        return []
    table = pd.DataFrame(statistics).T
    styles = {"cap share": "{:.1%}", "correlation": "{:.2f}"}
    for name in table:
        style = styles.get(name, "{:,.0f}")
        table[name] = [("-" if value != value else style.format(value)) for value in table[name]]
    table = table.rename(columns={"cap share": "at cap"})
    return ["statistics, prices in Rs/MWh\n" + table.to_string()]


def _grouped(notes: Sequence[str]) -> list[str]:
    """Notes that several files have alike, told once."""
    sources: dict[str, list[str]] = {}
    for note in notes:
        source, _, text = note.partition(": ")
        sources.setdefault(text or note, []).append(source if text else "")
    return [
        f"{text} ({named[0]} and {len(named) - 1} more)"
        if len(named) > 1
        else f"{named[0]}: {text}".removeprefix(": ")
        for text, named in sources.items()
    ]


def _day_table(days: Sequence[DayReport]) -> str:
    """One line a file and day, a heading for each file."""
    head = (
        f"{'':2}{'date':11}{'market':7}{'block':>6}{'blocks':>9}{'no trade':>9}"
        f"{'min':>10}{'mean':>10}{'max':>10}{'at cap':>8}  status"
    )
    lines: list[str] = []
    source = None
    for day in days:
        if day.source != source:
            source = day.source
            lines += [*([""] if lines else []), source, head]
        prices = (day.price_min, day.price_mean, day.price_max)
        lines.append(
            f"{'':2}{day.date!s:11}{day.market:7}{day.block_minutes:>2} min"
            f"{f'{day.blocks}/{day.expected}':>9}{day.no_trade:>9}"
            + "".join(f"{'-' if price is None else f'{price:,.2f}':>10}" for price in prices)
            + f"{'-' if day.cap_share is None else f'{day.cap_share:.1%}':>8}  {TOLD[day.status]}"
        )
    return "\n".join(lines)


def _shortened(items: Sequence[str]) -> str:
    more = f"; and {len(items) - ITEMS} more" if len(items) > ITEMS else ""
    return "; ".join(items[:ITEMS]) + more
