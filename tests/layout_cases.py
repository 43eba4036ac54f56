"""The same days of prices, written in each layout that people keep them in."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from price_cases import clock

IST = "Asia/Kolkata"


@dataclass(frozen=True)
class Days:
    """Days of both markets: prices (D, 96), NaN where none is told, and cleared volumes (D, 96)."""

    dates: list[dt.date]
    mcp: dict[str, np.ndarray]
    mcv: dict[str, np.ndarray]

    def rows(self, market: str) -> list[tuple[dt.date, int, float, float]]:
        """Day, block from 0, price and cleared volume of each block."""
        return [
            (date, block, float(self.mcp[market][d, block]), float(self.mcv[market][d, block]))
            for d, date in enumerate(self.dates)
            for block in range(96)
        ]


def make_days(first: dt.date, n: int, seed: int, n_lost: int = 0, n_idle: int = 0) -> Days:
    """``n`` days from ``first`` on, with prices that are not told and RTM blocks without trade."""
    rng = np.random.default_rng(seed)
    mcp = {market: np.round(rng.uniform(1500, 9500, (n, 96)), 2) for market in ("dam", "rtm")}
    mcv = {market: np.round(rng.uniform(100, 9000, (n, 96)), 1) for market in ("dam", "rtm")}
    for values in mcp.values():
        values.ravel()[rng.choice(96 * n, n_lost, replace=False)] = np.nan
    idle = rng.choice(96 * n, n_idle, replace=False)
    mcp["rtm"].ravel()[idle] = mcv["rtm"].ravel()[idle] = 0
    return Days([first + dt.timedelta(days=d) for d in range(n)], mcp, mcv)


def span(block: int, dash: str = " - ") -> str:
    return f"{clock(15 * block)}{dash}{clock(15 * block + 15)}"


def told(value: float, none: object = "-") -> object:
    return none if np.isnan(value) else value


def save_csv(path: Path, rows: list[list[object]], encoding: str = "utf-8") -> None:
    with path.open("w", newline="", encoding=encoding) as handle:
        csv.writer(handle).writerows(rows)


def table(days: Days, market: str, date: Callable[[dt.date], object], block: Callable) -> list:
    """Rows of date, block, volume and price."""
    return [[date(d), block(k), mcv, told(mcp)] for d, k, mcp, mcv in days.rows(market)]


def api_rows(days: Days, market: str, as_text: bool) -> list[dict[str, object]]:
    def number(value: float) -> object:
        return None if np.isnan(value) else f"{value:,.2f}" if as_text else value

    return [
        {
            "date": f"{d:%d-%m-%Y}",
            "time_block": span(k),
            "prchs_bid_mw": number(mcv + 10),
            "mcv_mw": mcv,
            "final_scheduled_vol_mw": number(mcv),
            "mcp_rs_mwh": number(mcp),
            "wt_mcp_rs_mwh": 3.9,
        }
        for d, k, mcp, mcv in days.rows(market)
    ]


def tidy_frame_of(days: Days) -> pd.DataFrame:
    starts = pd.date_range(days.dates[0], periods=96 * len(days.dates), freq="15min")
    columns = {"delivery_start": starts}
    for market in ("dam", "rtm"):
        columns[f"{market}_mcp_rs_mwh"] = days.mcp[market].ravel()
        columns[f"{market}_mcv_mw"] = days.mcv[market].ravel()
    return pd.DataFrame(columns)


def both(write: Callable[[Path, Days, str], None]) -> Callable[[Path, Days], None]:
    """A layout of one market a file."""

    def write_both(folder: Path, days: Days) -> None:
        for market in ("dam", "rtm"):
            write(folder, days, market)

    return write_both


def api(as_text: bool, nest: Callable[[dict], object]) -> Callable[[Path, Days], None]:
    def write(folder: Path, days: Days) -> None:
        lists = {market: api_rows(days, market, as_text) for market in ("dam", "rtm")}
        lists["hpdam"] = [row | {"mcp_rs_mwh": "19000"} for row in lists["dam"]]
        (folder / "answer.json").write_text(json.dumps(nest(lists)))

    return write


def under_data(lists: dict[str, list]) -> dict[str, object]:
    return {"calculation": {"mcv_mw": {"dam": {"avg": 1.0}}}, "data": lists, "status": 200}


def bare_list(folder: Path, days: Days, market: str) -> None:
    (folder / f"{market}.json").write_text(json.dumps(api_rows(days, market, True)))


def json_lines(folder: Path, days: Days, market: str) -> None:
    lines = [json.dumps(row) for row in api_rows(days, market, False)]
    (folder / f"{market}.jsonl").write_text("\n".join(lines) + "\n")


def day_answers(folder: Path, days: Days) -> None:
    answers = []
    for d, date in enumerate(days.dates):
        blocks = [
            {
                "block": k + 1,
                "start": clock(15 * k),
                **{
                    f"{market}_{name}": told(float(values[market][d, k]), None)
                    for market in ("dam", "rtm")
                    for name, values in (("mcp", days.mcp), ("mcv", days.mcv))
                },
            }
            for k in range(96)
        ]
        answers.append({"date": f"{date}", "blocks": blocks, "unit": "INR/MWh"})
    (folder / "days.json").write_text(json.dumps({"status": "ok", "days": answers}))


def tokens(folder: Path, days: Days, market: str) -> None:
    """The answer of the exchange's publishing service."""
    details = [
        {
            "DeliveryDate": f"{date:%d/%m/%Y}",
            "Token_Wise": [
                {
                    "All_India_DAM_GDAM_RTM": {
                        "Cleared_Volume": float(days.mcv[market][d, k]),
                        "Clearing_Price": told(float(days.mcp[market][d, k]), None),
                    },
                    "Token_NO": k + 1,
                }
                for k in range(96)
            ],
        }
        for d, date in enumerate(days.dates)
    ]
    text = json.dumps({"Delivery_Date_Details": details})
    (folder / f"{market.upper()}PriceVolume.json").write_text(text)


def keyed_by_date(folder: Path, days: Days, market: str) -> None:
    rows = api_rows(days, market, False)
    by_date: dict[str, list] = {}
    for row in rows:
        by_date.setdefault(row.pop("date"), []).append(row)
    (folder / f"{market}.json").write_text(json.dumps({"data": by_date}))


def columns_of_lists(folder: Path, days: Days, market: str) -> None:
    rows = api_rows(days, market, False)
    lists = {name: [row[name] for row in rows] for name in rows[0]}
    (folder / f"{market}.json").write_text(json.dumps({"data": {market: lists}}))


def table_csv(
    names: list[str], date: Callable, block: Callable, encoding: str = "utf-8"
) -> Callable[[Path, Days], None]:
    def write(folder: Path, days: Days, market: str) -> None:
        rows = [names, *table(days, market, date, block)]
        save_csv(folder / f"{market.upper()}.csv", rows, encoding)

    return both(write)


API_NAMES = ["date", "time_block", "mcv_mw", "mcp_rs_mwh"]
OWN_NAMES = ["Date", "Time Block", "MCV (MW)", "MCP (Rs/MWh) *"]


def stamps_csv(style: str, name: str = "TimeStamp") -> Callable[[Path, Days], None]:
    def write(folder: Path, days: Days, market: str) -> None:
        rows = [
            [(dt.datetime.combine(d, dt.time()) + dt.timedelta(minutes=15 * k)).strftime(style),
             mcv, told(mcp)]
            for d, k, mcp, mcv in days.rows(market)
        ]  # fmt: skip
        save_csv(folder / f"{market}.csv", [[name, "MCV (MW)", "MCP (Rs/MWh)"], *rows])

    return both(write)


def long_csv(folder: Path, days: Days) -> None:
    rows: list[list[object]] = [["timestamp", "market_type", "mcv_mw", "mcp_rs_mwh"]]
    frame = tidy_frame_of(days)
    for at in range(len(frame)):
        for market in ("dam", "rtm"):
            start, mcp = frame.at[at, "delivery_start"], frame.at[at, f"{market}_mcp_rs_mwh"]
            rows.append([start, market.upper(), frame.at[at, f"{market}_mcv_mw"], told(mcp)])
        rows.append([start, "TAM", 1, 9999])
    save_csv(folder / "prices.csv", rows)


def exchanges_csv(folder: Path, days: Days) -> None:
    rows: list[list[object]] = [
        ["date", "exchange__name", "product__name", "time_slot", "mcv_mw", "mcp_rs_mwh"]
    ]
    for market in ("dam", "rtm"):
        for d, k, mcp, mcv in days.rows(market):
            rows.append([f"{d:%d-%m-%Y}", "IEX", market.upper(), k + 1, mcv, told(mcp)])
            rows.append([f"{d:%d-%m-%Y}", "PXIL", market.upper(), k + 1, mcv, 4000])
    save_csv(folder / "all.csv", rows)


def wide_csv(names: Callable[[int], object]) -> Callable[[Path, Days], None]:
    def write(folder: Path, days: Days, market: str) -> None:
        rows: list[list[object]] = [["Date", *map(names, range(96))]]
        for d, date in enumerate(days.dates):
            rows.append([f"{date:%d-%m-%Y}", *map(told, days.mcp[market][d].tolist())])
        save_csv(folder / f"{market.upper()}.csv", rows)

    return both(write)


def a_column_a_day(folder: Path, days: Days, market: str) -> None:
    rows: list[list[object]] = [["Time Block", *(f"{date:%d-%m-%Y}" for date in days.dates)]]
    rows += [[span(k), *map(told, days.mcp[market][:, k].tolist())] for k in range(96)]
    save_csv(folder / f"{market.upper()}.csv", rows)


def per_kwh_csv(folder: Path, days: Days, market: str) -> None:
    rows: list[list[object]] = [["Date", "Time Block", "MCP (Rs/kWh)"]]
    for d, k, mcp, _ in days.rows(market):
        rows.append([f"{d:%d-%m-%Y}", span(k, "-"), told(round(mcp / 1000, 5))])
    save_csv(folder / f"{market.upper()}.csv", rows)


def merged_cells(folder: Path, days: Days, market: str) -> None:
    rows: list[list[object]] = [["Date", "Hour", "Session ID", *OWN_NAMES[1:]]]
    for d, k, mcp, mcv in days.rows(market):
        cells = [
            f"{d:%d-%m-%Y}" if k == 0 else "",
            str(k // 4 + 1) if k % 4 == 0 else "",
            str(k // 2 + 1) if k % 2 == 0 else "",
        ]
        rows.append([*cells, span(k, "-"), mcv, told(mcp)])
    if market == "dam":
        rows = [[*row[:2], *row[3:]] for row in rows]
    save_csv(folder / f"{market.upper()}.csv", rows)


def tidy_csv(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path, Days], None]:
    def write(folder: Path, days: Days) -> None:
        change(tidy_frame_of(days)).to_csv(folder / "prices.csv", index=False)

    return write


def tidy_parquet(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path, Days], None]:
    def write(folder: Path, days: Days) -> None:
        change(tidy_frame_of(days)).to_parquet(folder / "prices.parquet")

    return write


def in_zone(frame: pd.DataFrame, zone: str = IST) -> pd.DataFrame:
    starts = frame["delivery_start"].dt.tz_localize(IST).dt.tz_convert(zone)
    return frame.assign(delivery_start=starts)


def tidy_json(folder: Path, days: Days) -> None:
    frame = in_zone(tidy_frame_of(days), "UTC")
    frame["delivery_start"] = frame["delivery_start"].dt.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    frame.to_json(folder / "prices.json", orient="records")


def split_json(folder: Path, days: Days) -> None:
    frame = tidy_frame_of(days).astype({"delivery_start": str})
    frame.to_json(folder / "prices.json", orient="split")


FULL: dict[str, Callable[[Path, Days], None]] = {
    "API, numbers as text": api(True, lambda lists: lists),
    "API, nested under data": api(False, under_data),
    "API, a bare list a file": both(bare_list),
    "API, lines": both(json_lines),
    "API, keyed by date": both(keyed_by_date),
    "API, a list a column": both(columns_of_lists),
    "day answers": day_answers,
    "tokens": both(tokens),
    "CSV of API names": table_csv(API_NAMES, lambda d: f"{d:%d-%m-%Y}", span),
    "CSV of API names, UTF-16": table_csv(API_NAMES, lambda d: f"{d:%d-%m-%Y}", span, "utf-16"),
    "CSV of API names, BOM": table_csv(API_NAMES, lambda d: f"{d:%d-%m-%Y}", span, "utf-8-sig"),
    "block numbers": table_csv(["Date", "Block", *OWN_NAMES[2:]], str, lambda k: k + 1),
    "block numbers from 0": table_csv(["Date", "Block", *OWN_NAMES[2:]], str, lambda k: k),
    "date and clock": table_csv(["Date", "Time", *OWN_NAMES[2:]], str, lambda k: clock(15 * k)),
    "date with midnight": table_csv(OWN_NAMES, lambda d: f"{d} 00:00:00", lambda k: span(k, "-")),
    "month by name": table_csv(OWN_NAMES, lambda d: f"{d:%d-%b-%y}", lambda k: span(k, "-")),
    "digits of the date": table_csv(OWN_NAMES, lambda d: f"{d:%Y%m%d}", lambda k: span(k, "-")),
    "ISO stamps": stamps_csv("%Y-%m-%d %H:%M:%S"),
    "slashed stamps": stamps_csv("%Y/%m/%d %H:%M"),
    "stamps with offset": stamps_csv("%Y-%m-%dT%H:%M:00+05:30", "datetime"),
    "stamps, month by name": stamps_csv("%d-%b-%Y %H:%M"),
    "start in IST": stamps_csv("%Y-%m-%d %H:%M", "delivery_start_ist"),
    "one row a market": long_csv,
    "other exchanges beside": exchanges_csv,
    "merged cells": both(merged_cells),
    "tidy": tidy_csv(lambda frame: frame),
    "tidy, newest first": tidy_csv(lambda frame: frame[::-1]),
    "tidy, shuffled": tidy_csv(lambda frame: frame.sample(frac=1, random_state=3)),
    "tidy in UTC": tidy_csv(lambda frame: in_zone(frame, "UTC")),
    "tidy in London": tidy_csv(lambda frame: in_zone(frame, "Europe/London")),
    "parquet": tidy_parquet(lambda frame: frame),
    "parquet in IST": tidy_parquet(in_zone),
    "parquet in UTC": tidy_parquet(lambda frame: in_zone(frame, "UTC")),
    "parquet, indexed": tidy_parquet(lambda frame: in_zone(frame).set_index("delivery_start")),
    "parquet, a nameless index": tidy_parquet(
        lambda frame: frame.set_index("delivery_start").rename_axis(None)
    ),
    "parquet, newest first": tidy_parquet(lambda frame: frame[::-1]),
    "JSON records in UTC": tidy_json,
    "JSON split": split_json,
}  # fmt: skip
"""Layouts that tell the cleared volume, so that a block without trade is known as such."""

BARE: dict[str, Callable[[Path, Days], None]] = {
    "a column a block": wide_csv(lambda k: k + 1),
    "a column a label": wide_csv(span),
    "a column a clock": wide_csv(lambda k: clock(15 * k)),
    "a column a day": both(a_column_a_day),
    "Rs/kWh by name": both(per_kwh_csv),
}
"""Layouts of prices alone."""
