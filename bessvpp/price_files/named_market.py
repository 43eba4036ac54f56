"""Of which market a table is: by its columns, by the word of its file, by the file's name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn

from bessvpp.price_files.columns import Column, columns_of
from bessvpp.price_files.starts import BLOCK
from bessvpp.price_files.tables import Body
from bessvpp.price_files.workbook import Sheet, clean, refuse

GREEN = ("solar", "hydro", "fsv")  # words in columns of the green day-ahead market alone
HIGH_PRICE = re.compile(r"(?<![a-z])hp[-_ ]?dam(?![a-z])|high[-_ ]?price")
IN_A_NAME = re.compile(
    r"(?<![a-z])(g[-_ ]?dam|green.*?(?:dam|day[-_ ]?ahead)|rtm|real[-_ ]?time|dam|day[-_ ]?ahead)"
    r"(?![a-z])"
)


def market_of(
    body: Body,
    columns: Sequence[Column],
    price: int,
    length: int,
    file_name: str,
    sheet: Sheet,
) -> str:
    """``dam``, ``rtm`` or ``gdam``: what columns tell; then what a list or column says; the name.

    Raises
    ------
    DataError
        where nothing tells, or two tell different markets.
    """
    named = _named(body, file_name)
    told = _told(body, columns, price, length)
    style = _is_day_ahead_style(body, columns)
    if sheet.market and told and sheet.market != told:
        refuse(
            body.source,
            f"is said to be of the {sheet.market.upper()}, but its columns are those of the "
            f"{told.upper()}",
            "correct the one that is wrong",
        )
    if sheet.market:
        market = sheet.market
    elif told:
        market = told
    elif style and (length == 15 or not named):
        market = "dam"
    elif named:
        market = named
    else:
        _refuse_untold(body)
    if named and named != market and (named == "gdam" or not sheet.market):
        refuse(
            body.source,
            f"is named {named.upper()}, but its columns are those of the {market.upper()}",
            "download the file again, or correct its name",
        )
    return market


def _named(body: Body, file_name: str) -> str | None:
    """The one market that a file's name says, None where it says none or several."""
    apart = re.sub(r"(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", " ", file_name)
    words = [
        word for name in {file_name.lower(), apart.lower()} for word in IN_A_NAME.findall(name)
    ]
    if HIGH_PRICE.search(file_name.lower()) or HIGH_PRICE.search(apart.lower()):
        refuse(
            body.source,
            "is named as the high price day-ahead market (HP-DAM), another market than the DAM",
            "remove it, or correct its name",
        )
    kinds = {"g": "gdam", "r": "rtm", "d": "dam"}
    said = {kinds[word[0]] for word in words}
    return said.pop() if len(said) == 1 else None


def _told(body: Body, columns: Sequence[Column], price: int, length: int) -> str:
    """The market that no other one's columns can tell, "" where they do not."""
    if any(word in column for column in body.labels for word in GREEN):
        return "gdam"
    if any(column.role == "session" for column in columns):
        return "rtm"
    above = [column.role for column in columns_of(body.above_summary)]
    if "mcp" in above and price - above.index("mcp") == 2:
        refuse(
            body.source,
            "has the summary rows of the RTM, but no column 'Session ID'",
            "download the file again",
        )
    return ""


def _is_day_ahead_style(body: Body, columns: Sequence[Column]) -> bool:
    """Whether blocks are named and written as in the DAM's own downloads, with blanks."""
    for place, column in enumerate(columns):
        if column.role == "block" and body.labels[place] == "time block":
            match = BLOCK.fullmatch(str(clean(body.rows[0][place])))
            return bool(match and match[3])
    return False


def _refuse_untold(body: Body) -> NoReturn:
    refuse(
        body.source,
        "does not tell its market: it has no column 'Session ID', and its time blocks are not "
        "those of the DAM's own download ('Time Block', 00:00 - 00:15)",
        "let the file's name start with DAM or RTM",
    )
