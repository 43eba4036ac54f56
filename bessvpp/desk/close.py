r"""The day after: what cleared, was traded and was run, booked and held against the plan.

Realised net is the ledger's. Its difference from the net that the plan promised, RTM traded at
its gates along the fan, splits exactly into four parts, taken in this order. With :math:`h` the
hours of a block, :math:`x` the DAM schedule as bid and :math:`x'` as it cleared, :math:`y` the
RTM trade, bars for means over the fan, :math:`\pi` for realised prices and :math:`p` for those of
the fan:

price
    the volumes that the plan expects, at the prices that came in place of those expected:
    :math:`h\sum_t x(\pi^D-\bar p^D)+\bar y(\pi^R-\bar p^R)`
volume
    what cleared other than it was bid, which the RTM takes or gives in its place:
    :math:`h\sum_t (x'-x)(\pi^D-\pi^R)`, less the change of the DAM's fee
forecast
    how the RTM was traded and the battery run on what its gates foresaw, beyond the expected
    volumes, less what the plan counts on gaining that way. With M for RTM revenue less every cost
    but the DAM's fee and deviation, of the schedule :math:`x'+y` if it is followed:
    :math:`M-\bar M-h\sum_t\bar y(\pi^R-\bar p^R)+h\sum_t(x'-x)\pi^R`
deviation
    what the plant ran other than its schedule :math:`x'+y`: the deviation booked less that in
    the plan, and the wear and flow costs of what was run less those of the schedule

Each is zero on average where the fan is right, bids are taken whole and the schedule is followed.
A block without an RTM price counts its DAM price for it. Energy left at midnight is told in MWh
and never booked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from bessvpp import battery, ledger
from bessvpp.battery import available_share, share_on
from bessvpp.desk.handed import Handed
from bessvpp.desk.promised import Promise, rules_of
from bessvpp.errors import DataError, ParameterError
from bessvpp.ledger import LEDGER_COLUMNS, Ledger
from bessvpp.market.history import Market
from bessvpp.params.bess import BessParams
from bessvpp.params.fields import block_clock
from bessvpp.params.load import Params
from bessvpp.params.market import Costs
from bessvpp.prices import PriceScenarios
from bessvpp.runs.parameter_names import flat_parameters


@dataclass(frozen=True)
class Parts:
    """Why a day's net is not what its plan promised, in the order of this file's head [Rs]."""

    price_rs: float
    volume_rs: float
    forecast_rs: float
    deviation_rs: float

    @property
    def total_rs(self) -> float:
        """Realised net minus planned net."""
        return sum(getattr(self, part.name) for part in fields(self))


@dataclass(frozen=True)
class ClosedDay:
    """A day's books beside its plan: T blocks, U units."""

    promise: Promise
    handed: Handed
    prices: PriceScenarios  # realised, one path
    is_synthetic: bool
    books: Ledger
    parts: Parts
    notes: tuple[str, ...]  # what was not given, and what follows from that

    @property
    def net_rs(self) -> float:
        """Realised net."""
        return float(self.books.net_rs)

    @property
    def measured(self) -> np.ndarray:
        """(T,) whether every unit was measured in a block."""
        return np.isfinite(self.handed.run_mw).all(axis=0)

    def as_row(self) -> dict[str, object]:
        """The day's row of the journal: Rs, MWh, NaN where nothing was measured.

        ``from_<part>_rs`` are the parts of ``difference_rs``; ledger entries are realised ones.
        """
        promise, handed, h = self.promise, self.handed, self.promise.block_hours
        measured = self.measured
        run = handed.run_mw[:, measured].sum(axis=0)
        missed = (handed.dam_mw + handed.rtm_mw)[measured] - run
        return {
            "date": str(promise.date),
            "is_synthetic": self.is_synthetic,
            "fan": promise.fan,
            "planned_net_rs": promise.net_rs,
            "net_rs": self.net_rs,
            "difference_rs": self.net_rs - promise.net_rs,
            **{f"from_{part.name}": getattr(self.parts, part.name) for part in fields(Parts)},
            **{name: float(getattr(self.books, name)) for name in LEDGER_COLUMNS},
            "bid_mwh": h * float(np.abs(promise.dam_mw).sum()),
            "cleared_mwh": h * float(np.abs(handed.dam_mw).sum()),
            "rtm_mwh": h * float(np.abs(handed.rtm_mw).sum()),
            "undelivered_mwh": h * float(np.abs(missed).sum()) if measured.any() else np.nan,
            "measured_blocks": int(measured.sum()),
            "blocks": len(measured),
            "planned_end_mwh": float(promise.e_end_mwh.sum()),
            "end_mwh": float(handed.e_end_mwh.sum()),
        }


def close_day(promise: Promise, market: Market, params: Params, handed: Handed) -> ClosedDay:
    """Book a day and hold it against its plan.

    Where a block is not measured, the plant counts as having followed its schedule there, several
    units in proportion to their power; ``measured`` says where it was.

    Raises
    ------
    DataError
        where the day lacks a price, prices are in blocks of another length than the plan, or an
        RTM trade is in a block without an RTM price.
    ParameterError
        where costs or battery are not those that the day was planned with.
    """
    _check_rules(promise, params)
    prices = _realised(promise, market)
    for block in np.flatnonzero((handed.rtm_mw != 0) & ~np.isfinite(prices.rtm[0]))[:1]:
        raise DataError(
            f"{promise.date}, block {block + 1}: {handed.rtm_mw[block]:g} MW are said to be traded "
            "in the RTM, which has no price there: correct the trades, or add the price"
        )
    schedule_mw = handed.dam_mw + handed.rtm_mw
    followed = share_on(params.bess, promise.date, schedule_mw)
    run = np.where(np.isfinite(handed.run_mw).all(axis=0), handed.run_mw, followed)
    trades = (handed.dam_mw, handed.rtm_mw)
    as_scheduled = _booked(params.bess, params.market, promise, prices, trades, followed)
    books = _booked(params.bess, params.market, promise, prices, trades, run)
    return ClosedDay(
        promise=promise,
        handed=handed,
        prices=prices,
        is_synthetic=market.is_synthetic,
        books=books,
        parts=split(promise, prices, handed.dam_mw, as_scheduled, books),
        notes=(*handed.notes, *_doubts(promise, params.bess, run)),
    )


def _doubts(promise: Promise, bess: BessParams, run_mw: np.ndarray) -> list[str]:
    """Whether a battery could have run what is booked, (U, T), from the energy of its plan."""
    if len(bess.units) > 1:  # how several share a schedule is not known
        return []
    available = available_share(bess, [promise.date], run_mw.shape[1])
    done = battery.follow(bess, run_mw, promise.e_start_mwh, promise.block_hours, available)
    missed = np.abs(done.undelivered_mw) * promise.block_hours
    for block in np.flatnonzero(missed > battery.FEASIBILITY_TOLERANCE_MWH)[:1]:
        return [
            f"From the {promise.e_start_mwh[0]:g} MWh planned for its midnight the battery could "
            f"not have run what is booked at {block_clock(block, missed.size)}: trades, what "
            "cleared or measurements may be missing."
        ]
    return []


def split(
    promise: Promise,
    prices: PriceScenarios,
    dam_mw: np.ndarray,
    as_scheduled: Ledger,
    books: Ledger,
) -> Parts:
    """The four parts of the difference from a plan, as this file's head states them.

    Parameters
    ----------
    prices : realised, one path
    dam_mw : (T,) cleared
    as_scheduled : the books if the plant had followed its schedule
    books : as it was run
    """
    h, dam, plan = promise.block_hours, prices.dam[0], promise.ledger
    rtm = np.where(np.isfinite(prices.rtm[0]), prices.rtm[0], dam)
    unlike_mw = dam_mw - promise.dam_mw
    of_rtm = h * float(promise.rtm_mw @ (rtm - promise.rtm))
    fee = float(as_scheduled.fee_dam_rs) - plan["fee_dam_rs"]
    managed = _managed(vars(as_scheduled)) - _managed(plan)
    return Parts(
        price_rs=h * float(promise.dam_mw @ (dam - promise.dam)) + of_rtm,
        volume_rs=h * float(unlike_mw @ (dam - rtm)) - fee,
        forecast_rs=managed - of_rtm + h * float(unlike_mw @ rtm),
        deviation_rs=float(books.net_rs - as_scheduled.net_rs)
        + plan["deviation_rs"]
        - float(as_scheduled.deviation_rs),
    )


def _managed(entries: Mapping[str, float]) -> float:
    """RTM revenue less every cost but the DAM's fee and deviation."""
    apart = ("dam_revenue_rs", "fee_dam_rs", "deviation_rs")
    return sum(
        ledger.signed(name, float(entries.get(name, 0.0)))
        for name in LEDGER_COLUMNS
        if name not in apart
    )


def _booked(
    bess: BessParams,
    costs: Costs,
    promise: Promise,
    prices: PriceScenarios,
    trades: tuple[np.ndarray, np.ndarray],
    run_mw: np.ndarray,
) -> Ledger:
    """The ledger of trades, (T,) in the DAM and in the RTM, and of the power run, (U, T)."""
    dam_mw, rtm_mw = trades
    return ledger.settle(
        bess,
        costs,
        promise.block_hours,
        dam=prices.dam[0],
        rtm=prices.rtm[0],
        dam_mw=dam_mw,
        rtm_mw=rtm_mw,
        charge_mw=np.maximum(-run_mw, 0),
        discharge_mw=np.maximum(run_mw, 0),
        undelivered_mw=dam_mw + rtm_mw - run_mw.sum(axis=0),
    )


def _check_rules(promise: Promise, params: Params) -> None:
    """The books are kept by what the day was planned with; outages may have come since."""
    now, before = flat_parameters(rules_of(params)), flat_parameters(promise.rules)
    unlike = [key for key in now if now[key] != before.get(key)]
    unlike = [
        key
        for key in unlike
        if not (key.endswith(".outages") and all(o in now[key] for o in before.get(key, ())))
    ]
    if unlike:
        raise ParameterError(
            f"{promise.date} was planned with other values of {', '.join(unlike)} than those "
            "in force: name the parameter files of its plan with --params, or plan it anew"
        )


def _realised(promise: Promise, market: Market) -> PriceScenarios:
    row, n_blocks = market.index_of(promise.date), len(promise.dam_mw)
    if market.n_blocks != n_blocks:
        raise DataError(
            f"prices are in blocks of {market.block_minutes} minutes, the plan of {promise.date} "
            f"in blocks of {24 * 60 // n_blocks}: give prices of that length"
        )
    if market.excluded[row]:
        raise DataError(f"{promise.date} lacks prices of the DAM or the RTM: add them with --data")
    return PriceScenarios.single(market.dam_mcp[row], market.rtm_mcp[row])
