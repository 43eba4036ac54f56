"""Price files built by hand, in the exchange's layout and tidy; shared by the tests that read."""

import csv
import io

import numpy as np
import openpyxl
import pandas as pd
import pytest

from bessvpp.errors import DataError
from bessvpp.market.read import read_market
from bessvpp.params.load import load_params

RULES = load_params().market

HOURLY = RULES.model_copy(update={"block_minutes": 60})


def clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def prices(n: int, seed: int = 0) -> np.ndarray:
    return np.round(np.random.default_rng(seed).uniform(1500, 9500, n), 2)


def snapshot(days, mcp, *, market="DAM", length=15, header=None, volume=100.0, summary=True):
    """Cells of a Market Snapshot; ``mcp`` runs over the blocks of ``days`` (DD-MM-YYYY)."""
    rtm = market == "RTM"
    dash = "-" if rtm else " - "
    shown = header or (days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}")
    names = ["Purchase Bid (MW)", "Sell Bid (MW)", "MCV (MW)", "Final Scheduled Volume (MW)"]
    names.append("MCP (Rs/MWh) *")
    columns = ["Date", "Hour", *(["Session ID"] if rtm else []), "Time Block", *names]
    rows = [[], ["Market Snapshot"], [f"Date: {shown}"], [], columns]
    starts = [(day, minute) for day in days for minute in range(0, 1440, length)]
    bids = 300.0 + np.arange(len(mcp))
    for (day, minute), price, bid in zip(starts, mcp, bids, strict=False):
        label = f"{clock(minute)}{dash}{clock(minute + length)}"
        counters = [str(minute // 60 + 1)] + ([str(minute // 30 + 1)] if rtm else [])
        numbers = [bid, 400.0, volume, volume, price]
        rows.append([day, *counters, label, *(f"{number:.2f}" for number in numbers)])
    if summary:
        rows.append(["Date", "Summary", *(name.replace("(MW)", "") for name in names)])
        rows.append([shown, "Total (MWh)", "1", "1", "1", "1", ""])
        for kind, reduce in (("Max", np.max), ("Min", np.min), ("Avg", np.mean)):
            cells = [reduce(bids), 400.0, volume, volume, reduce(mcp)]
            rows.append([shown, f"{kind} (MW)", *(f"{cell:.2f}" for cell in cells)])
    return rows


def as_csv(rows, separator=",") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows(rows)
    return text.getvalue()


def write(folder, rows, name="DAM_Market Snapshot.csv", encoding="utf-8", separator=","):
    path = folder / name
    path.write_bytes(as_csv(rows, separator).encode(encoding))
    return path


def write_xlsx(folder, rows, name="DAM_Market Snapshot.xlsx"):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(folder / name)
    return folder / name


DAY = "07-08-2025"

FIRST = 5  # row index of the first block in ``snapshot``

PRICE = -1  # column of the price


def refused(path, *words, rules=RULES):
    with pytest.raises(DataError) as caught:
        read_market(path, rules)
    message = str(caught.value)
    for word in words:
        assert word in message, message
    return message


def tidy(folder, frame, name="prices.csv"):
    frame.to_csv(folder / name, index=False)
    return folder / name


def tidy_frame(n_days=2, freq="15min"):
    starts = pd.date_range("2024-03-01", periods=n_days * 96, freq="15min")[
        :: 4 if freq == "h" else 1
    ]
    n = len(starts)
    return pd.DataFrame(
        {
            "delivery_start": starts.strftime("%Y-%m-%d %H:%M"),
            "dam_mcp_rs_mwh": prices(n),
            "rtm_mcp_rs_mwh": prices(n, 1),
            "purchase_bid_mw": 500.0,
            "final_scheduled_volume_mw": 7.0,
        }
    )


GREEN_PRICES = prices(96, 7)


def green(day_text=DAY, mcp=GREEN_PRICES, **given):
    """A GDAM download: volumes in all, and one that the DAM does not have."""
    rows = snapshot([day_text], mcp, **given)
    rows[4][-4:-1] = ["Total Sell Bid (MW)", "Total MCV (MW)", "Solar FSV (MW)"]
    return rows


def both_markets(folder, days):
    """DAM and RTM downloads of some days."""
    for name in ("DAM", "RTM"):
        rows = snapshot(days, prices(96 * len(days)), market=name)
        write(folder, rows, f"{name}_Market Snapshot.csv")
