"""Forecasts that a user brings, by delivery_start: quantiles a market, or whole paths of both.

Quantiles are rows of ``delivery_start, market, q10, ...``, with the chances ``p_floor`` and
``p_cap`` where they are stated; paths are rows of ``delivery_start, scenario, dam, rtm``, all
equally likely. Either may say in ``made_at`` when a row was made, which is then held against the
gate of its day. Rows may stand in any order, for each carries its whole key; days must be whole.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bessvpp.params.fields import MINUTES_PER_DAY, clock_text
from bessvpp.params.forecast import level_name
from bessvpp.params.market import MarketParams
from bessvpp.price_files.judge import RS_PER_KWH
from bessvpp.price_files.parquet import parquet_sheet
from bessvpp.price_files.stamps import IST, block_minutes, refuse_shifted, stamped
from bessvpp.price_files.tables import ROUNDING, Body, body_below, find_header, row_labels
from bessvpp.price_files.workbook import Cell, clean, read_bytes, read_sheets, refuse
from bessvpp.price_tick import on_price_tick

LEVEL = re.compile(r"q\d\d(\.\d+)?")
MARKETS = ("dam", "rtm")
CHANCES = ("p_floor", "p_cap")


@dataclass(frozen=True)
class OwnQuantiles:
    """Quantiles of both markets on D whole days, in T blocks and L levels, on the price tick.

    ``timed`` says whether every row tells when it was made; none is later than its gate.
    ``unused`` are columns of levels that were not asked for.
    """

    source: str
    dates: np.ndarray  # (D,) datetime64[D]
    levels: tuple[float, ...]  # L
    values: Mapping[str, np.ndarray]  # by market, (D, T, L) Rs/MWh, rising along the levels
    p_floor: Mapping[str, np.ndarray]  # by market, (D, T); NaN: not stated
    p_cap: Mapping[str, np.ndarray]  # by market, (D, T); NaN: not stated
    timed: bool
    unused: tuple[str, ...]


@dataclass(frozen=True)
class OwnPaths:
    """S equally likely paths of both markets on D whole days, in T blocks, on the price tick.

    ``timed`` says whether every row tells when it was made; none is later than its gate.
    """

    source: str
    dates: np.ndarray  # (D,) datetime64[D]
    dam: np.ndarray  # (D, S, T) Rs/MWh
    rtm: np.ndarray  # (D, S, T) Rs/MWh
    timed: bool


def read_own_quantiles(
    path: Path,
    rules: MarketParams,
    levels: tuple[float, ...],
    gate: dt.datetime | None = None,
) -> OwnQuantiles:
    """The quantiles of a CSV, parquet or xlsx file, at the levels asked for.

    Parameters
    ----------
    gate : naive IST, by which all was made; by default the DAM gate of each day

    Raises
    ------
    DataError
        naming the file, the row, what is wrong and what to do.
    """
    rows = _Rows.of(path, rules, ("market",), ("split", *CHANCES), LEVEL, gate)
    body, wanted = rows.body, [level_name(level) for level in levels]
    if missing := [name for name in wanted if name not in body.labels]:
        refuse(
            f"{body.source}, row {body.header}",
            f"has no column {', '.join(missing)} of the levels in params/forecast.yaml",
            "add it, or set levels there to those of the file",
        )
    values = np.column_stack([rows.prices(name, rules) for name in wanted])
    for at in np.flatnonzero((np.diff(values, axis=1) < 0).any(axis=1))[:1]:
        k = int(np.argmax(np.diff(values[at]) < 0))
        body.refuse(
            at,
            body.labels.index(wanted[k + 1]),
            f"{values[at, k + 1]:g} lies below {wanted[k]} with {values[at, k]:g}: a higher level "
            "is never a lower price; sort the levels of each row",
        )
    key, medians = rows.keys("market"), values[:, levels.index(0.5)]
    for k in range(len(MARKETS)):
        rows.refuse_rs_per_kwh(np.where(key == k, medians, 0.0))
    order, days = rows.whole_days(key, [name.upper() for name in MARKETS], len(MARKETS))
    shape = (len(days), len(MARKETS), rows.n_blocks)
    by_market = values[order].reshape(*shape, len(levels))
    chances = {
        name: rows.chances(name)[order].reshape(shape)
        if name in body.labels
        else np.full(shape, np.nan)
        for name in CHANCES
    }
    return OwnQuantiles(
        source=body.source,
        dates=days,
        levels=levels,
        values={name: by_market[:, k] for k, name in enumerate(MARKETS)},
        p_floor={name: chances["p_floor"][:, k] for k, name in enumerate(MARKETS)},
        p_cap={name: chances["p_cap"][:, k] for k, name in enumerate(MARKETS)},
        timed=rows.timed,
        unused=tuple(n for n in body.labels if LEVEL.fullmatch(n) and n not in wanted),
    )


def read_own_paths(path: Path, rules: MarketParams, gate: dt.datetime | None = None) -> OwnPaths:
    """The paths of a CSV, parquet or xlsx file; as many on each day.

    Parameters
    ----------
    gate : naive IST, by which all was made; by default the DAM gate of each day

    Raises
    ------
    DataError
        naming the file, the row, what is wrong and what to do.
    """
    rows = _Rows.of(path, rules, ("scenario", *MARKETS), (), None, gate)
    dam, rtm = (rows.prices(name, rules) for name in MARKETS)
    for prices in (dam, rtm):
        rows.refuse_rs_per_kwh(prices)
    names, key = np.unique(rows.keys("scenario"), return_inverse=True)
    titles = [f"scenario {name}" for name in names]
    _, place = np.unique(rows.days, return_inverse=True)
    n_paths = len(np.unique(key[place == 0]))
    order, days = rows.whole_days(key, titles, n_paths)
    shape = (len(days), n_paths, rows.n_blocks)
    return OwnPaths(
        source=rows.body.source,
        dates=days,
        dam=dam[order].reshape(shape),
        rtm=rtm[order].reshape(shape),
        timed=rows.timed,
    )


@dataclass(frozen=True)
class _Rows:
    """The n rows of a file of forecasts."""

    body: Body
    starts: np.ndarray  # (n,) minutes since 1970, IST
    length: int  # of a block, minutes
    timed: bool

    @classmethod
    def of(
        cls,
        path: Path,
        rules: MarketParams,
        needed: tuple[str, ...],
        optional: tuple[str, ...],
        others: re.Pattern[str] | None,
        gate: dt.datetime | None,
    ) -> _Rows:
        """Rows below a header of the columns needed and of no unknown one."""
        body = _body(path)
        _check_columns(body, needed, {*needed, *optional, "delivery_start", "made_at"}, others)
        starts, _ = stamped(body, body.labels.index("delivery_start"), None)
        length = block_minutes(starts, body.source)
        refuse_shifted(starts, length, body.source)
        timed = "made_at" in body.labels
        if timed:
            _check_made(body, starts, rules, gate)
        return cls(body, starts, length, timed)

    @property
    def n_blocks(self) -> int:
        return MINUTES_PER_DAY // self.length

    @property
    def days(self) -> np.ndarray:
        """(n,) delivery day of each row."""
        return self.starts.astype("M8[m]").astype("M8[D]")

    def keys(self, name: str) -> np.ndarray:
        """(n,) market, DAM first, or scenario of each row."""
        if name == "market":
            return self.body.column(self.body.labels.index(name), _market)
        cells = [clean(cell) for cell in self.body.cells(self.body.labels.index(name))]
        for at in [at for at, cell in enumerate(cells) if cell == ""][:1]:
            self.body.refuse(at, self.body.labels.index(name), "is blank: name the scenario")
        try:
            return np.array([int(cell) for cell in cells])
        except ValueError:
            return np.array([str(cell) for cell in cells])

    def prices(self, name: str, rules: MarketParams) -> np.ndarray:
        """(n,) prices of a column on the tick, within floor and cap of their days."""
        place = self.body.labels.index(name)
        values = self.body.number_column(place)
        days, of_day = np.unique(self.days, return_inverse=True)
        floor, cap = rules.price_floor_rs_per_mwh, rules.caps_rs_per_mwh(days)[of_day]
        for at in np.flatnonzero(np.isnan(values))[:1]:
            self.body.refuse(at, place, "has no price: give one in Rs/MWh, or leave the day out")
        for at in np.flatnonzero((values < floor - ROUNDING) | (values > cap + ROUNDING))[:1]:
            side = f"above the cap of {cap[at]:g}" if values[at] > floor else f"below {floor:g}"
            self.body.refuse(
                at,
                place,
                f"{values[at]:g} lies {side} Rs/MWh, which no price of {self.days[at]} can: keep "
                "forecasts within floor and cap, or correct price_caps in params/market.yaml",
            )
        return on_price_tick(np.clip(values, floor, cap))

    def chances(self, name: str) -> np.ndarray:
        """(n,) chances of a column, NaN where none is stated."""
        place = self.body.labels.index(name)
        values = self.body.number_column(place)
        for at in np.flatnonzero((values < 0) | (values > 1))[:1]:
            self.body.refuse(at, place, f"{values[at]:g} is no chance: give one from 0 to 1")
        return values

    def refuse_rs_per_kwh(self, values: np.ndarray) -> None:
        """Days whose median price, zeros apart, is too low for Rs/MWh; the first is named."""
        for day in np.unique(self.days[(values > 0) & (values < RS_PER_KWH)]):
            of_day = self.days == day
            median = np.median(values[of_day & (values > 0)])
            if median < RS_PER_KWH:
                row = self.body.numbers[int(np.argmax(of_day & (values > 0)))]
                refuse(
                    f"{self.body.source}, row {row}",
                    f"has a median price of {median:g} on {day}, so prices seem to be in Rs/kWh",
                    "give all prices in Rs/MWh",
                )

    def whole_days(
        self, key: np.ndarray, titles: list[str], n_keys: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Order of the rows by day, key and block, and the days; each row once, none missing."""
        order = np.lexsort((self.starts, key, self.days))
        ordered = np.stack([key[order], self.starts[order]])
        for at in np.flatnonzero((np.diff(ordered, axis=1) == 0).all(axis=0))[:1]:
            first, second = sorted(self.body.numbers[order[k]] for k in (at, at + 1))
            refuse(
                f"{self.body.source}, row {second}",
                f"has the same {titles[key[order[at]]]} and block as row {first}",
                "keep the right one",
            )
        days, of_day = np.unique(self.days, return_inverse=True)
        pairs, count = np.unique(np.stack([of_day, key]), axis=1, return_counts=True)
        for pair in pairs.T[count < self.n_blocks][:1]:
            mine = self.starts[(of_day == pair[0]) & (key == pair[1])] % MINUTES_PER_DAY
            gap = np.setdiff1d(np.arange(0, MINUTES_PER_DAY, self.length), mine)[0]
            refuse(
                self.body.source,
                f"has no {titles[pair[1]]} of {days[pair[0]]} at {clock_text(gap)}",
                "give whole days",
            )
        per_day = np.bincount(pairs[0], minlength=len(days))
        for at in np.flatnonzero(per_day != n_keys)[:1]:
            refuse(
                self.body.source,
                f"has {per_day[at]} of {n_keys} ({', '.join(titles[:2])}, ...) on {days[at]}",
                "give every day as many",
            )
        return order, days


def _body(path: Path) -> Body:
    """The one table of a file."""
    raw = read_bytes(path)
    if raw[:4] == b"PAR1":
        sheets = [parquet_sheet(raw, path, lambda name, names: True)]
    else:
        sheets = read_sheets(raw, path)
    header = find_header(sheets[0].rows, "delivery_start", {})
    if len(sheets) > 1 or header is None:
        refuse(
            sheets[0].source,
            "is no single table with a column 'delivery_start'",
            "give quantiles as delivery_start, market, q10, ..., or paths as delivery_start, "
            "scenario, dam, rtm",
        )
    labels = row_labels(sheets[0].rows[header], {})
    body = body_below(sheets[0], header, labels, labels.index("delivery_start"))
    for row, kind, _ in body.summary[:1]:
        refuse(f"{body.source}, row {row}", f"looks like a summary ({kind})", "remove it")
    return body


def _check_columns(
    body: Body, needed: tuple[str, ...], known: set[str], others: re.Pattern[str] | None
) -> None:
    where, given = f"{body.source}, row {body.header}", [name for name in body.labels if name]
    if missing := [name for name in needed if name not in given]:
        if "scenario" in given or "market" in given:
            kind = "paths: give it as own_paths" if "scenario" in given else "quantiles: give it as"
            kind += "" if "scenario" in given else " own_quantiles"
            if ("scenario" in given) != ("scenario" in needed):
                refuse(where, "has the columns of another kind", f"the file holds {kind}")
        refuse(where, f"has no column {', '.join(missing)}", f"add it to {', '.join(given)}")
    for name in given:
        if name not in known and not (others and others.fullmatch(name)):
            told = f"has a column '{name}', which is not known"
            if name.startswith("q"):
                told += "; a level of 10 % is q10, of 2.5 % q02.5"
            elif name in ("weight", "probability"):
                told += "; paths are equally likely"
            refuse(where, told, f"known are {', '.join(sorted(known))}: rename or remove it")


def _market(cell: Cell) -> int:
    name = str(cell).strip().lower()
    if name not in MARKETS:
        raise ValueError("is no market; write dam or rtm")
    return MARKETS.index(name)


def _check_made(
    body: Body, starts: np.ndarray, rules: MarketParams, gate: dt.datetime | None
) -> None:
    """No row was made after a gate, or after the DAM gate of its day."""
    place = body.labels.index("made_at")
    made = body.column(place, _moment)
    closes = (starts // MINUTES_PER_DAY - 1) * MINUTES_PER_DAY + rules.dam_gate
    if gate is not None:
        closes = np.full_like(closes, np.datetime64(gate, "m").astype(int))
    for at in np.flatnonzero(made > closes)[:1]:
        shown = str(closes[at].astype("M8[m]")).replace("T", " ")
        body.refuse(
            at,
            place,
            f"{clean(body.cells(place)[at])} is after its gate, {shown}: nobody could "
            "have bid on it; give what was known before",
        )


def _moment(cell: Cell) -> float:
    """Minutes since 1970 of a moment, in IST."""
    try:
        moment = cell if isinstance(cell, dt.datetime) else dt.datetime.fromisoformat(str(cell))
    except ValueError:
        raise ValueError("is no moment; write it as YYYY-MM-DD HH:MM, in IST") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.timezone(dt.timedelta(minutes=IST)))
    return moment.timestamp() / 60 + IST
