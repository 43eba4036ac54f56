"""A made-up DAM and RTM market with the statistics of the real one, for use without data.

It is structural, not resampled. A latent scarcity z (standard normal over a year) drives
every block; a supply curve for each time of day turns it into a price that climbs steeply
to the cap, as the exchange's does. The DAM clears on the outlook z. The RTM clears on z plus
a surprise that is persistent and of changing size, drawn from random streams that the DAM
never reads: no DAM price knows anything of what happens after its gate.

The published statistics that it is fitted to are the tables below (DAM 2024; spread RTM - DAM
February to June 2025).
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtr

from bessvpp.errors import DataError, StorageError
from bessvpp.exchange_files import MARKER, VOLUMES
from bessvpp.market import Market
from bessvpp.params import PROJECT_ROOT, MarketParams

VERSION = 1  # raise it whenever the same seed gives other prices
BLOCKS = 96
HOURS = (np.arange(BLOCKS) + 0.5) / 4  # the middle of each block
CAP = 10_000.0  # Rs/MWh, in force when the statistics were taken

# By hour of the day, Rs/MWh (DAM 2024)
MEAN = [5670, 4770, 3960, 3610, 3610, 3690, 4510, 4890, 4490, 4060, 3540, 3020]
MEAN += [2640, 2430, 2880, 3330, 4050, 5220, 6280, 7280, 6800, 6660, 6390, 6260]
Q10 = [2650, 2490, 2350, 2260, 2400, 2770, 3110, 3010, 2380, 2000, 1800, 1650]
Q10 += [1500, 1330, 1960, 2510, 2890, 3000, 3420, 3990, 3510, 3190, 2850, 2750]
CAP_SHARE = [0.31, 0.17, 0.06, 0.03, 0.02, 0, 0.04, 0.15, 0.17, 0.13, 0.09, 0.03]
CAP_SHARE += [0, 0, 0, 0, 0.04, 0.20, 0.30, 0.42, 0.37, 0.41, 0.41, 0.41]
# Spread RTM - DAM by hour of the day, Rs/MWh (2025)
SPREAD_MEAN = [-570, -870, -650, -490, -300, -170, -300, -460, -20, 230, 280, 210]
SPREAD_MEAN += [160, 50, 310, 360, 460, -10, -1000, -910, -1380, -1290, -1170, -1390]
SPREAD_SD = [2040, 1970, 1540, 1280, 1330, 1370, 1550, 1150, 910, 940, 650, 640]
SPREAD_SD += [640, 750, 750, 670, 940, 1220, 1560, 2110, 2150, 2230, 2260, 2330]
# Bids in the DAM by hour of the day, MW (2024)
PURCHASE = [11500, 10300, 9500, 9200, 9300, 10100, 11900, 13300, 12100, 11200, 10300, 9600]
PURCHASE += [9000, 8600, 10000, 11300, 12500, 12200, 12400, 12600, 11900, 12500, 13000, 13000]
SELL = [12400, 14000, 15200, 15800, 15300, 13800, 12600, 13800, 15700, 17200, 18800, 20200]
SELL += [21300, 22300, 20700, 17800, 14700, 11400, 9100, 7500, 8200, 8800, 9800, 10500]

# Mean normal score of the DAM price by month (rows) and part of the day, centred at 2, 6, 10,
# 14, 18 and 22 h; what a Sunday adds (DAM 2024)
PART_CENTRES_H = np.array([2.0, 6.0, 10.0, 14.0, 18.0, 22.0])
SEASON = [
    [-0.9, 0.3, 1.7, 1.4, 1.2, -0.4],
    [-0.5, 0.4, 1.2, 0.9, 0.5, -0.3],
    [0.0, 0.2, 0.5, 0.2, -0.4, -0.4],
    [1.0, 0.8, 0.1, 0.0, 0.0, 0.5],
    [1.0, 0.2, -0.3, 0.5, 0.0, 0.8],
    [1.1, 0.5, -0.5, 0.3, -0.2, 0.9],
    [0.8, 0.1, -0.5, -0.5, -0.5, 0.9],
    [0.1, -0.2, -0.7, -0.9, -0.6, 0.6],
    [0.0, -0.5, -0.9, -0.7, -0.2, 0.4],
    [0.0, -0.5, -0.7, -0.6, 0.0, -0.1],
    [-1.0, -0.8, -0.4, -0.8, 0.0, -1.3],
    [-1.7, -0.6, 0.7, -0.1, 0.3, -1.6],
]
SUNDAY = [-0.05, -0.28, -0.67, -0.84, -1.06, -0.43]

# Structure of the scarcity z: standard deviations and persistences, chosen by simulation so
# that z has unit variance over a year
SEASON_SCALE = 1.2  # scores at the cap understate the scarcity behind them
SLOW_SD, SLOW_PHI = 0.12, 0.97  # regime, by day
DAY_SD, DAY_PHI = 0.34, 0.70  # the day as a whole
SHAPE_SD, SHAPE_PHI = 0.36, 0.93  # parts of the day, by day
HOURLY_SD, HOURLY_TAU_H = 0.22, 3.0  # within the day
STEEPNESS = 14  # of the supply curve towards the cap
# Structure of the surprise, of unit variance
SURPRISE_SHAPE_SD, SURPRISE_SHAPE_PHI = 0.63, 0.75
SURPRISE_TAU_H = 1.4
VOLATILITY_SD, VOLATILITY_PHI = 0.25, 0.96
NO_TRADE_SHARE = 0.0004  # of sessions


class SupplyCurve:
    """Price of a scarcity z at each block of the day, by the published tables.

    With u = Phi(z) and v = u / (1 - cap share): ``base + slope v + climb v**STEEPNESS`` below
    the cap share and the cap within it. Base and slope meet the 10 % quantile and the mean.
    Far below the usual scarcity the price falls towards zero.
    """

    def __init__(self) -> None:
        mean, q10, share = _by_block(MEAN), _by_block(Q10), _by_block(CAP_SHARE)
        self.free = 1 - share  # (T,) share of days below the cap
        top = np.where(share > 0.005, CAP, np.minimum(CAP, 2.2 * mean))
        v10, m = 0.1 / self.free, STEEPNESS
        below = (mean - share * CAP) / self.free  # mean of the days below the cap
        # base (1 - 1/(m+1)) + slope (1/2 - 1/(m+1)) = below - top / (m+1)
        # base (1 - v10^m)   + slope (v10 - v10^m)   = q10 - top v10^m
        a, b, c = m / (m + 1), 0.5 - 1 / (m + 1), below - top / (m + 1)
        d, e, f = 1 - v10**m, v10 - v10**m, q10 - top * v10**m
        self.base = (c * e - b * f) / (a * e - b * d)
        self.slope = (a * f - c * d) / (a * e - b * d)
        self.climb = top - self.base - self.slope

    def price(self, z: np.ndarray) -> np.ndarray:
        """Rs/MWh for z of shape (..., T)."""
        u = ndtr(z)
        v = np.minimum(u / self.free, 1.0)
        price = self.base + self.slope * v + self.climb * v**STEEPNESS
        price = np.where((u >= self.free) & (self.free < 0.995), CAP, price)
        return np.clip(price, 150.0, CAP) * np.clip((z + 3.3) / 1.2, 0.03, 1.0)


def simulate(start: dt.date, n_days: int, seed: int) -> Market:
    """The market of ``n_days`` from ``start`` on; a longer one begins like a shorter one."""
    streams = iter([np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(16)])
    dates = np.datetime64(start, "D") + np.arange(n_days)
    curve = SupplyCurve()

    z = _outlook(dates, streams)
    dam = np.round(curve.price(z), 2)
    dam_bids = _bids(z, 1.0, 1.0, streams)

    bias, size = _surprise_scale(curve)
    z_rtm = z + bias + size * _surprise(n_days, streams)
    rtm = np.round(curve.price(z_rtm), 2)
    rtm_bids = _bids(z_rtm, 0.55, 0.80, streams)
    no_trade = np.repeat(next(streams).random((n_days, BLOCKS // 2)) < NO_TRADE_SHARE, 2, axis=1)
    extras = {f"dam_{name}": values for name, values in dam_bids.items()}
    extras |= {f"rtm_{name}": np.where(no_trade, 0.0, v) for name, v in rtm_bids.items()}
    rtm = np.where(no_trade, np.nan, rtm)
    return Market(dates, dam, rtm, no_trade, extras, is_synthetic=True)


def _outlook(dates: np.ndarray, streams: Iterator[np.random.Generator]) -> np.ndarray:
    """Scarcity z (D, T) that the DAM clears on."""
    n_days = len(dates)
    month = (dates - dates.astype("M8[Y]")).astype(int) / 30.5
    scores = np.array(SEASON).T
    season = [np.interp(month, np.arange(12) + 0.5, part, period=12) for part in scores]
    sunday = (dates.astype(int) + 4) % 7 == 0  # 1 January 1970 was a Thursday
    by_part = SEASON_SCALE * np.array(season).T + np.outer(sunday - 1 / 7, SUNDAY)  # (D, 6)
    z = np.array([np.interp(HOURS, PART_CENTRES_H, day, period=24) for day in by_part])
    z += SLOW_SD * _ar(n_days, SLOW_PHI, next(streams))[:, None]
    z += DAY_SD * _ar(n_days, DAY_PHI, next(streams))[:, None]
    z += SHAPE_SD * _shapes(n_days, SHAPE_PHI, next(streams))
    return z + HOURLY_SD * _within_days(n_days, HOURLY_TAU_H, next(streams))


def _surprise(n_days: int, streams: Iterator[np.random.Generator]) -> np.ndarray:
    """What real time adds to the outlook (D, T): unit variance, its size drifting by day."""
    rest_sd = np.sqrt(1 - SURPRISE_SHAPE_SD**2)
    shape = SURPRISE_SHAPE_SD * _shapes(n_days, SURPRISE_SHAPE_PHI, next(streams))
    surprise = shape + rest_sd * _within_days(n_days, SURPRISE_TAU_H, next(streams))
    log_size = VOLATILITY_SD * _ar(n_days, VOLATILITY_PHI, next(streams))
    return surprise * np.exp(log_size - VOLATILITY_SD**2)[:, None]


def _surprise_scale(curve: SupplyCurve) -> tuple[np.ndarray, np.ndarray]:
    """Bias and size of the surprise (T,), so that the spread has its mean and sd by hour.

    Fixed-point iteration on Gauss-Hermite expectations over z and the surprise.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    weights = np.outer(weights, weights)[:, :, None] / weights.sum() ** 2
    z, surprise = nodes[:, None, None], nodes[None, :, None]
    target_mean, target_sd = _by_block(SPREAD_MEAN), _by_block(SPREAD_SD)
    bias, size = np.zeros(BLOCKS), np.full(BLOCKS, 0.6)
    dam = curve.price(z + np.zeros(BLOCKS))
    for _ in range(40):
        spread = curve.price(z + bias + size * surprise) - dam
        mean = (weights * spread).sum((0, 1))
        sd = np.sqrt((weights * (spread - mean) ** 2).sum((0, 1)))
        bias = np.clip(bias + 0.7 * (target_mean - mean) / 2000.0, -1.5, 1.5)
        size = np.clip(size * (target_sd / sd) ** 0.6, 0.05, 2.0)
    return bias, size


def _bids(
    z: np.ndarray, purchase_share: float, sell_share: float, streams: Iterator[np.random.Generator]
) -> dict[str, np.ndarray]:
    """Bids and cleared volume [MW] (D, T): scarcity is more demand and less supply."""
    rng = next(streams)
    noise = [0.10 * _ar(len(z), 0.9, rng)[:, None] for _ in range(2)]
    noise = [n + 0.03 * rng.standard_normal(z.shape) for n in noise]
    purchase = purchase_share * _by_block(PURCHASE) * np.exp(0.20 * z + noise[0])
    sell = sell_share * _by_block(SELL) * np.exp(-0.30 * z + noise[1])
    volumes = (purchase, sell, purchase * sell / (purchase + sell))
    return {name: np.round(values, 1) for name, values in zip(VOLUMES, volumes, strict=True)}


def _by_block(by_hour: list[float]) -> np.ndarray:
    """(T,) values at the middle of each block, between the middles of the hours."""
    return np.interp(HOURS, np.arange(24) + 0.5, by_hour, period=24)


def _ar(n_days: int, phi: float, rng: np.random.Generator, n_series: int = 0) -> np.ndarray:
    """Stationary AR(1) by day, unit variance, (D,) or (D, n_series)."""
    draws = rng.standard_normal((n_days, n_series) if n_series else n_days)
    draws[1:] *= np.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], draws, axis=0)


def _shapes(n_days: int, phi: float, rng: np.random.Generator) -> np.ndarray:
    """Unit-variance curves over the day (D, T) from six parts of the day, each an AR(1)."""
    apart = np.abs(HOURS[None, :] - PART_CENTRES_H[:, None])
    weights = np.exp(-0.5 * (np.minimum(apart, 24 - apart) / 2.2) ** 2)
    weights /= np.sqrt((weights**2).sum(axis=0))
    parts = _ar(n_days, phi, rng, len(PART_CENTRES_H))
    return np.einsum("dk,kt->dt", parts, weights)


def _within_days(n_days: int, tau_h: float, rng: np.random.Generator) -> np.ndarray:
    """AR(1) along all blocks (D, T), unit variance, correlation time ``tau_h``."""
    return _ar(n_days * BLOCKS, np.exp(-0.25 / tau_h), rng).reshape(n_days, BLOCKS)


# --- the exchange's files ------------------------------------------------------------------

NUMBERS = ("Purchase Bid (MW)", "Sell Bid (MW)", "MCV (MW)", "Final Scheduled Volume (MW)")
NUMBERS += ("MCP (Rs/MWh) *",)
PLACE = PROJECT_ROOT / "data" / "synthetic"


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
    caps = np.array([rules.cap_rs_per_mwh(date.item()) for date in dates])
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
    clock = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(0, 24 * 60 + 1, 15)]
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
