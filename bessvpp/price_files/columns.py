"""What a column is, by its name: the exchange's own, its publishing service's, or a copy's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bessvpp.price_files.tables import label
from bessvpp.price_files.workbook import Cell

NAMES = {
    "date": ("date", "delivery date"),
    "stamp": (
        "delivery start", "timestamp", "time stamp", "datetime", "date time", "datetime block",
        "start", "start time", "block start", "time",
    ),
    "block": (
        "time block", "block", "block no", "block number", "token no", "time slot", "slot",
        "time interval",
    ),
    "hour": ("hour",),
    "session": ("session id",),
    "market": ("market", "market type", "market name", "product", "product name", "segment"),
    "kind": ("type",),  # the market, where its cells name markets
    "exchange": ("exchange", "exchange name", "power exchange"),
    "unit": ("unit", "price unit"),
    "timezone": ("timezone", "time zone", "tz"),
    "mcp": ("mcp", "price", "clearing price", "market clearing price"),
    "purchase_bid_mw": ("purchase bid", "prchs bid", "buy bid", "buy volume"),
    # the GDAM splits its volumes by source and has totals
    "sell_bid_mw": ("sell bid", "total sell bid", "sell volume"),
    "mcv_mw": ("mcv", "total mcv", "cleared volume"),
    "final": ("final scheduled volume", "final scheduled vol"),
}  # fmt: skip
ROLES = {name.replace(" ", ""): role for role, names in NAMES.items() for name in names}
PRICED = {"mcp", "purchase_bid_mw", "sell_bid_mw", "mcv_mw", "final"}
MARKETS = {
    "dam": "dam",
    "dayahead": "dam",
    "rtm": "rtm",
    "realtime": "rtm",
    "gdam": "gdam",
    "greendam": "gdam",
    "greendayahead": "gdam",
    "hpdam": "hpdam",
    "highpricedam": "hpdam",
    "highpricedayahead": "hpdam",
}
UTC = {"utc": 0, "gmt": 0, "ist": 330}  # minutes that a clock named in a header is ahead
ZONE = re.compile(r"(.+?)[ _]+(utc|gmt|ist)")
IN_BRACKETS = re.compile(r"(.*?)\s*[(\[](.*)[)\]]")
CURRENCY = r"(?:rs|inr|₹|rupees)"
AT_THE_END = re.compile(rf"(.*?)[ _]+((?:in[ _]+)?{CURRENCY}[ _./]*(?:per[ _]*)?[mk]wh|mwh|mw)")
AREA = re.compile(r"[aensw][1-3]([ _].*)?")


@dataclass(frozen=True)
class Column:
    """What the name of a column tells.

    role : a key of ``NAMES``, or "" for a column that is not used
    market : ``dam``, ``rtm``, ``gdam`` or ``hpdam``, or "" where the name does not say
    unit : ``rs/mwh``, ``rs/kwh``, ``mw``, or as it is written; "" where the name does not say
    offset : minutes of its clock ahead of UTC, where the name says so
    """

    label: str
    role: str = ""
    market: str = ""
    unit: str = ""
    offset: int | None = None


def column_of(name: str) -> Column:
    """What a column is, by its name as compared (``tables.label``).

    Examples
    --------
    >>> column_of("dam_mcp_rs_mwh").role, column_of("dam_mcp_rs_mwh").market
    ('mcp', 'dam')
    """
    text, unit, offset = name, "", None
    if match := IN_BRACKETS.fullmatch(text) or AT_THE_END.fullmatch(text):
        text, unit = match[1], unit_named(match[2])
    if unit in UTC:
        unit, offset = "", UTC[unit]
    elif match := ZONE.fullmatch(text):
        text, offset = match[1], UTC[match[2]]
    bare = squashed(text)
    if bare in ROLES:
        return Column(name, ROLES[bare], "", unit, offset)
    for market in ("gdam", "hpdam", "dam", "rtm"):
        for rest in (bare.removeprefix(market), bare.removesuffix(market)):
            role = ROLES.get(rest) if rest != bare else None
            if rest == "" and unit.startswith("rs/"):
                role = "mcp"
            if role in PRICED:
                return Column(name, role or "", market, unit)
    return Column(name, "", "", unit)


def columns_of(labels: Sequence[str]) -> list[Column]:
    """What each column of a header is."""
    return [column_of(name) for name in labels]


def unit_named(text: str) -> str:
    """A unit as compared: ``rs/mwh`` or ``rs/kwh`` for any way of writing it."""
    bare = re.sub(r"^in[ _]|[\s_.,/]|per", "", label(text))
    if match := re.fullmatch(rf"{CURRENCY}([mk]wh)", bare):
        return f"rs/{match[1]}"
    return bare if bare in {"mw", "mwh", *UTC} else label(text)


def market_named(text: Cell) -> str:
    """``dam``, ``rtm``, ``gdam``, ``hpdam``, or "" for anything else that may stand there."""
    bare = squashed(label(text)).removeprefix("iex").removesuffix("market")
    return MARKETS.get(bare, "")


def squashed(text: str) -> str:
    """A name without blanks, underscores, dots, dashes and capitals."""
    return re.sub(r"[\s_.\-]", "", text.lower())


def header_row(rows: Sequence[Sequence[str]]) -> int | None:
    """Index of the first row of labels that names a time of delivery beside something else."""
    for index, labels in enumerate(rows):
        roles = {column.role for column in columns_of(labels)}
        n_names = sum(name != "" for name in labels)
        if roles & {"date", "stamp"} and (roles - {"date", "stamp", ""} or n_names > 2):
            return index
    return None
