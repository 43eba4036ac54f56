"""A made-up DAM and RTM market with the statistics of the real one, for use without data.

It is structural, not resampled. The *tightness* of a block is the log of purchase over sell
bids: demand with its season, week, holidays and heat, less sun, wind and the plant that is not
out. One supply curve for all hours, scaled by the cost of fuel, turns tightness into a price:
steps of cheap plant at its foot, and ever steeper towards the cap. The DAM clears on what is
foreseen at its gate. The RTM clears on the same with surprises of demand and renewables,
persistent and of drifting size, drawn from random streams that the DAM never reads: no DAM
price knows anything of what happens after its gate.

Every random force is a Markov process, so the market can be continued from its own state at
a gate (``continuations``): the true distribution that a forecast is up against.

The tables below were fitted once, over seeds 1 to 20. Tightness started as the monthly means by
hour of log purchase over sell bids in the DAM of 2024 and was corrected until the mean prices
by month and hour were met; the curve was then laid through the quantiles of that year's prices.
The bias and size of the surprise were corrected by hour until the published spread of February
to June 2025 was met (module ``statistics``). The other constants minimise the distance
of all published statistics from the simulated ones in units of their tolerance.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import holidays
import numpy as np
from scipy.signal import lfilter

from bessvpp.errors import DataError, StorageError
from bessvpp.files import PROJECT_ROOT
from bessvpp.market.history import Market
from bessvpp.market.read import read_market
from bessvpp.market.synthetic_tables import (
    BLOCKS,
    BY_DAY,
    CAP,
    CURVE_PRICE,
    CURVE_TIGHTNESS,
    DAYLIGHT,
    DEMAND_SHARE,
    EFFECTS,
    FROM_2025,
    FUEL_SD,
    HOLIDAY_SHARE,
    HOURS,
    LOAD_SD,
    NO_TRADE_SHARE,
    PURCHASE,
    RECURRING,
    RECURRING_CYCLE,
    RECURRING_SHARE,
    RECURRING_WIDTH_H,
    RELIEF,
    RTM_PURCHASE_SHARE,
    STACK_SD,
    SUDDEN_H,
    SUN_FROM_2025,
    SUNDAY,
    SURPRISE_BIAS,
    SURPRISE_GROWTH,
    SURPRISE_SIZE,
    TIGHTNESS,
    VERSION,
    VOLATILITY_CYCLE,
    VOLATILITY_SD,
    WITHIN_DAY,
    WORKING_DAYS,
    cycle,
)
from bessvpp.params.fields import MINUTES_PER_DAY, clock_text
from bessvpp.params.market import MarketParams
from bessvpp.price_files.merge import MARKER
from bessvpp.price_files.tables import VOLUMES

PURCHASE += [9000, 8600, 10000, 11300, 12500, 12200, 12400, 12600, 11900, 12500, 13000, 13000]
States = Mapping[str, np.ndarray]


def simulate(start: dt.date, n_days: int, seed: int) -> Market:
    """The market of ``n_days`` from ``start`` on; a longer one begins like a shorter one."""
    dates = np.datetime64(start, "D") + np.arange(n_days)
    shocks = _shocks(n_days, seed)
    day_ahead, real_time = _persistence()
    outlook = _states(day_ahead, shocks)
    tightness, dam = _day_ahead(dates, outlook)
    adds, rtm = _real_time(dates, tightness, outlook, _states(real_time, shocks))
    no_trade = _no_trade(shocks["no_trade"])
    bids = _bids(tightness, outlook["size"].real, 1.0)
    extras = {f"dam_{name}": values for name, values in bids.items()}
    bids = _bids(tightness + adds, outlook["size"].real, RTM_PURCHASE_SHARE)
    extras |= {f"rtm_{name}": np.where(no_trade, 0.0, v) for name, v in bids.items()}
    return Market(dates, dam, np.where(no_trade, np.nan, rtm), no_trade, extras, is_synthetic=True)


def continuations(
    rules: MarketParams, date: dt.date, n_paths: int, path_seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """What the embedded market of ``rules`` may do on ``date``, seen from its DAM gate.

    Draws from the generator itself, given the state of all its forces at the gate on the day
    before: those behind the DAM to the end of that day, for which the DAM has cleared, and the
    surprises of real time through the last session that ``Market.known_at`` shows. Whatever
    happens later is drawn anew. No forecast from prices can know more.

    Returns
    -------
    dam, rtm : (n_paths, T) Rs/MWh; NaN in ``rtm`` is a session without trade
    """
    known = rules.dam_gate // rules.rtm_session_minutes + 1
    known *= rules.rtm_session_minutes * BLOCKS // MINUTES_PER_DAY
    later = _shocks(2, [path_seed, 1], n_paths)  # never the streams of a market's own seed
    start, seed = rules.synthetic_start, rules.synthetic_seed
    n_days = int((np.datetime64(date, "D") - np.datetime64(start, "D")).astype(int))
    if n_days < 1:
        raise ValueError(f"{date}: the market starts on {start}, a continuation a day later")
    return _continued(np.datetime64(start, "D"), n_days, _shocks(n_days, seed), later, known)


def _continued(
    start: np.datetime64, n_days: int, past: States, later: States, known: int
) -> tuple[np.ndarray, np.ndarray]:
    """Prices (..., T) of the day after ``n_days`` of past shocks, of which ``later`` holds two
    days: of the last of the past, what follows its first ``known`` blocks, and the day itself.
    """
    day_ahead, real_time = _persistence()
    before = _states(day_ahead, past)
    by_day = {name: values[..., 1:] for name, values in later.items() if name in BY_DAY}
    by_block = {name: values[..., BLOCKS:] for name, values in later.items() if name in WITHIN_DAY}
    outlook = _states(day_ahead, by_day | by_block, {k: v[..., -1] for k, v in before.items()})
    so_far = (n_days - 1) * BLOCKS + known
    at_gate = _states(real_time, {name: past[name][:so_far] for name in real_time})
    rest = {name: later[name][..., known:] for name in real_time}
    surprise = _states(real_time, rest, {k: v[..., -1] for k, v in at_gate.items()})
    surprise = {name: values[..., -BLOCKS:] for name, values in surprise.items()}
    dates = start + np.array([n_days])
    tightness, dam = _day_ahead(dates, outlook)
    rtm = _real_time(dates, tightness, outlook, surprise)[1]
    no_trade = _no_trade(later["no_trade"][..., BLOCKS // 2 :])
    return dam[..., 0, :], np.where(no_trade, np.nan, rtm)[..., 0, :]


# --- random forces -------------------------------------------------------------------------


def _persistence() -> tuple[dict[str, complex], dict[str, complex]]:
    """From one day or block to the next, of the forces behind the DAM and of the surprises."""
    within = {name: np.exp(-0.25 / hours) for name, hours in WITHIN_DAY.items()}
    recurring = cycle(*RECURRING_CYCLE) ** (1 / BLOCKS)
    sudden, volatility = np.exp(-0.25 / SUDDEN_H), cycle(*VOLATILITY_CYCLE) ** (1 / BLOCKS)
    surprises = dict.fromkeys(RECURRING, recurring) | {"sudden": sudden, "volatility": volatility}
    return BY_DAY | within, surprises


def _shocks(n_days: int, seed: int | list[int], *n_paths: int) -> dict[str, np.ndarray]:
    """Complex standard normal numbers, (*n_paths, days or blocks), and the lots of no trade.

    Each force has a stream of its own; a longer market's stream begins like a shorter one's.
    """
    names = [name for group in _persistence() for name in group]
    seeds = np.random.SeedSequence(seed).spawn(len(names) + 1)
    streams = [np.random.default_rng(sequence) for sequence in seeds]
    shocks = {}
    for name, stream in zip(names, streams[:-1], strict=True):
        length = n_days if name in BY_DAY else n_days * BLOCKS
        shocks[name] = stream.standard_normal((*n_paths, length, 2)).view(complex)[..., 0]
    return shocks | {"no_trade": streams[-1].random((*n_paths, n_days * BLOCKS // 2))}


def _states(
    persistence: Mapping[str, complex], shocks: States, before: States | None = None
) -> States:
    """Stationary paths of unit variance (..., length) after ``before`` (...), where given.

    A real persistence makes an AR(1). A complex one makes a cycle of even amplitude, whose
    phase wanders so that its autocorrelation at lag k is the real part of persistence**k. The
    real part of a state acts on the market.
    """
    states = {}
    for name, phi in persistence.items():
        shock = shocks[name]
        if np.iscomplex(phi):
            turns = np.angle(phi) + np.sqrt(-2 * np.log(abs(phi))) * shock.real
            if before is None:
                turns[..., 0] = np.angle(shock[..., 0])
            else:
                turns[..., 0] += np.angle(before[name])
            states[name] = np.sqrt(2) * np.exp(1j * np.cumsum(turns, axis=-1))
        else:
            draws = shock.real * np.sqrt(1 - phi**2)
            carried = np.zeros((*draws.shape[:-1], 1))
            if before is None:
                draws[..., 0] = shock[..., 0].real
            else:
                carried = carried + phi * before[name][..., None]
            states[name] = lfilter([1.0], [1.0, -phi], draws, axis=-1, zi=carried)[0]
    return states


# --- the two markets -----------------------------------------------------------------------


def _day_ahead(dates: np.ndarray, outlook: States) -> tuple[np.ndarray, np.ndarray]:
    """Tightness and DAM price (..., D, T) of days by the states behind them."""
    tightness = _calendar(dates)
    for name, effect in EFFECTS.items():
        tightness = tightness + outlook[name].real[..., None] * _by_block(effect)
    tightness = tightness + LOAD_SD * _by_days(outlook["load"])
    return tightness, _price(dates, tightness, outlook)


def _real_time(
    dates: np.ndarray, tightness: np.ndarray, outlook: States, surprise: States
) -> tuple[np.ndarray, np.ndarray]:
    """What real time adds to the tightness, and the RTM price (..., D, T)."""
    apart = np.abs(HOURS - np.array(list(RECURRING.values()))[:, None])
    weight = np.exp(-0.5 * (np.minimum(apart, 24 - apart) / RECURRING_WIDTH_H) ** 2)
    weight *= np.sqrt(RECURRING_SHARE / (weight**2).sum(axis=0))
    adds = np.sqrt(1 - RECURRING_SHARE) * _by_days(surprise["sudden"])
    for name, by_block in zip(RECURRING, weight, strict=True):
        adds = adds + by_block * _by_days(surprise[name])
    adds = adds * np.exp(VOLATILITY_SD * _by_days(surprise["volatility"]) - VOLATILITY_SD**2)
    adds = adds * _by_block(SURPRISE_SIZE) * np.exp(SURPRISE_GROWTH * np.clip(tightness, -1, 1))
    adds = adds + _by_block(SURPRISE_BIAS) - RELIEF * np.maximum(tightness, 0)
    return adds, _price(dates, tightness + adds, outlook)


def _calendar(dates: np.ndarray) -> np.ndarray:
    """Mean tightness (D, T): season, hour, day of the week, holidays, new plants."""
    years = dates.astype("M8[Y]")
    month = (dates - years).astype(int) / 30.5
    by_block = np.array([_by_block(row) for row in TIGHTNESS]) / 100
    low = np.floor(month - 0.5).astype(int)
    share = (month - 0.5 - low)[:, None]
    season = (1 - share) * by_block[low % 12] + share * by_block[(low + 1) % 12]
    weekday = (dates.astype(int) + 3) % 7  # 1 January 1970 was a Thursday
    calendar = holidays.country_holidays(
        "IN", years=np.unique(years).astype(str).astype(int).tolist()
    )
    holiday = np.isin(dates, np.array(list(calendar), "M8[D]"))
    sunday = np.where(weekday == 6, 1.0, HOLIDAY_SHARE * holiday)
    working = np.array([*WORKING_DAYS, 0.0])[weekday]
    since_2025 = np.clip((dates - np.datetime64("2025-01-01")).astype(int) / 31, 0, 1)
    added = FROM_2025 + SUN_FROM_2025 * _by_block(DAYLIGHT)
    season = season + working[:, None] + sunday[:, None] * _by_block(SUNDAY)
    return season + since_2025[:, None] * added


def _price(dates: np.ndarray, tightness: np.ndarray, outlook: States) -> np.ndarray:
    """Rs/MWh (..., D, T): the supply curve, scaled by the cost of fuel, up to the cap."""
    fuel = np.exp(FUEL_SD * outlook["fuel"].real)[..., None]
    stack = tightness + STACK_SD * _by_days(outlook["stack"])
    return np.round(np.minimum(fuel * np.interp(stack, CURVE_TIGHTNESS, CURVE_PRICE), CAP), 2)


def _no_trade(lots: np.ndarray) -> np.ndarray:
    """Blocks (..., D, T) of the sessions without trade."""
    return np.repeat(_by_days(lots, BLOCKS // 2) < NO_TRADE_SHARE, 2, axis=-1)


def _bids(tightness: np.ndarray, size: np.ndarray, share: float) -> dict[str, np.ndarray]:
    """Bids and cleared volume [MW] (D, T): tightness is the log of purchase over sell bids."""
    level = share * _by_block(PURCHASE) * np.exp(0.08 * size)[:, None]
    purchase = level * np.exp(DEMAND_SHARE * tightness)
    sell = level * np.exp((DEMAND_SHARE - 1) * tightness)
    cleared = (purchase**-3 + sell**-3) ** (-1 / 3)
    volumes = (purchase, sell, cleared)
    return {name: np.round(values, 1) for name, values in zip(VOLUMES, volumes, strict=True)}


def _by_block(values: list[float]) -> np.ndarray:
    """(T,) values at the middle of each block, between the middles of equal parts of a day."""
    width = 24 / len(values)
    return np.interp(HOURS, width * (np.arange(len(values)) + 0.5), values, period=24)


def _by_days(line: np.ndarray, blocks: int = BLOCKS) -> np.ndarray:
    """The real part of (..., D * blocks) as (..., D, blocks)."""
    return line.real.reshape(*line.shape[:-1], -1, blocks)


# --- the exchange's files ------------------------------------------------------------------

NUMBERS = ("Purchase Bid (MW)", "Sell Bid (MW)", "MCV (MW)", "Final Scheduled Volume (MW)")
NUMBERS += ("MCP (Rs/MWh) *",)
PLACE = PROJECT_ROOT / "data" / "synthetic"


def embedded_market(rules: MarketParams) -> Market:
    """The synthetic market that the rules name, made on first use.

    Examples
    --------
    >>> market = bv.embedded_market(bv.load_params(synthetic_days=3).market)
    >>> market.is_synthetic, market.rtm_mcp.shape  # days, blocks
    (True, (3, 96))
    """
    return read_market(embedded_market_files(rules), rules).require_both()


def embedded_market_files(rules: MarketParams, place: Path = PLACE) -> Path:
    """Folder of monthly Market Snapshot CSV files of the embedded market.

    Made on first use, in a folder of its own that is renamed into place when it is complete;
    reused afterwards. The name says start, days, seed and version, and the rules that the
    files depend on by a hash.

    Raises
    ------
    StorageError
        where the folder cannot be written.
    DataError
        where a folder of that name has lost files.
    """
    start, n_days, seed = rules.synthetic_start, rules.synthetic_days, rules.synthetic_seed
    dates = np.datetime64(start, "D") + np.arange(n_days)
    caps = rules.caps_rs_per_mwh(dates)
    told = [rules.price_floor_rs_per_mwh, rules.rtm_session_minutes, *np.unique(caps).tolist()]
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:6]
    folder = place / f"{start}_{n_days}d_seed{seed}_v{VERSION}_{digest}"
    months = np.unique(dates.astype("M8[M]"))
    expected = [f"{market}_Market Snapshot-{m}.csv" for market in ("DAM", "RTM") for m in months]
    if folder.is_dir():
        lost = [name for name in (MARKER, *expected) if not (folder / name).is_file()]
        if lost:
            raise DataError(f"{folder} has lost {lost[0]}: delete the folder, to make it again")
        return folder
    temporary = None
    try:
        place.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=place, prefix=".making-"))
        _write_files(simulate(start, n_days, seed), caps, rules, temporary)
        temporary.chmod(0o755)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same files
                raise
    except OSError as error:
        raise StorageError(
            f"{folder} could not be written: {error.strerror or error}. "
            "Free some space or make the folder writable; nothing there was changed"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _write_files(market: Market, caps: np.ndarray, rules: MarketParams, folder: Path) -> None:
    floor = rules.price_floor_rs_per_mwh
    months = market.dates.astype("M8[M]")
    for name in ("dam", "rtm"):
        bids = [market.extras[f"{name}_{volume}"] for volume in VOLUMES]
        mcp = np.clip(getattr(market, f"{name}_mcp"), floor, caps[:, None])
        if name == "rtm":
            mcp = np.where(market.rtm_no_trade, 0.0, mcp)
        values = np.stack([*bids, bids[-1], mcp], axis=-1)  # (D, T, 5); final volume is the MCV
        for month in np.unique(months):
            rows = _snapshot(name, market.dates[months == month], values[months == month], rules)
            path = folder / f"{name.upper()}_Market Snapshot-{month}.csv"
            with path.open("w", encoding="utf-8", newline="") as handle:
                csv.writer(handle).writerows(rows)
    (folder / MARKER).write_text(
        "Made-up prices, not data of any exchange, in the layout of the exchange's files.\n"
        f"start {market.dates[0]}, {len(market.dates)} days, seed {rules.synthetic_seed}, "
        f"generator version {VERSION}\n",
        encoding="utf-8",
    )


def _snapshot(
    market: str, dates: np.ndarray, values: np.ndarray, rules: MarketParams
) -> Iterator[list[str]]:
    """Rows of a Market Snapshot of values (D, T, 5), the summary rows shifted left as there."""
    session, dash = (["Session ID"], "-") if market == "rtm" else ([], " - ")
    header = ["Date", "Hour", *session, "Time Block", *NUMBERS]
    width = len(header)

    def padded(*cells: str) -> list[str]:
        return [*cells, *[""] * (width - len(cells))]

    days = [f"{day:%d-%m-%Y}" for day in dates.tolist()]
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    yield padded()
    yield padded("Market Snapshot")
    yield padded(f"Date: {span}")
    yield padded()
    yield header
    clock = [clock_text(minute) for minute in range(0, 24 * 60 + 1, 15)]
    labels = []
    for block in range(BLOCKS):
        number = [str(block * 15 // rules.rtm_session_minutes + 1)] if session else []
        labels.append([str(block // 4 + 1), *number, f"{clock[block]}{dash}{clock[block + 1]}"])
    for day, blocks in zip(days, values.tolist(), strict=True):
        for label, numbers in zip(labels, blocks, strict=True):
            yield [day, *label, *(f"{number:.2f}" for number in numbers)]
    flat = values.reshape(-1, len(NUMBERS))
    yield padded("Date", "Summary", *(name.replace("(MW)", "") for name in NUMBERS))
    total = [f"{number:.2f}" for number in flat[:, :-1].sum(axis=0) / 4]
    yield padded(span, "Total (MWh)", *total)
    for name, numbers in (("Max", flat.max(0)), ("Min", flat.min(0)), ("Avg", flat.mean(0))):
        yield padded(span, f"{name} (MW)", *(f"{number:.2f}" for number in numbers))
