"""The books: fees, scheduling, wear and deviation, block by block.

The backtest, replay and every audit book here alone. What a MWh of flow, of deviation and of
auxiliary load costs is stated nowhere else. Fees on trades and wear stand once more in what plans
maximise (``optimizer``: ``statement``, ``pricing``, ``stored_energy`` and ``bid_worth``); tests
hold each plan's profit to these books. Powers are at the grid side [MW], positive when they
deliver to the grid.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from bessvpp.params.bess import BessParams
from bessvpp.params.market import Costs


def deviation_rate_rs_per_mwh(costs: Costs, dam: np.ndarray, rtm: np.ndarray) -> np.ndarray:
    """Price of a MWh not delivered as scheduled, shape of the prices.

    CERC's normal rate is the highest of the DAM price, the RTM price and a combination with
    the ancillary price; older tools use a mean of three. A block without an RTM price counts
    its DAM price.
    """
    rtm = np.where(np.isfinite(rtm), rtm, dam)
    rate = costs.dsm_rate
    if rate.rule == "highest":
        price = np.maximum(dam, rtm)
    else:
        price = (dam + rtm + rate.ancillary_rs_per_mwh) / 3
    return np.minimum(price, rate.max_rs_per_mwh)


def undelivered_rate_rs_per_mwh(costs: Costs, dam: np.ndarray, rtm: np.ndarray) -> np.ndarray:
    """Price of a MWh of the schedule that the plant does not follow, shape of the prices.

    The deviation rate or the DAM price, whichever is higher, plus the fee that trading it
    would have cost: deviating must never pay.
    """
    rate = np.maximum(deviation_rate_rs_per_mwh(costs, dam, rtm), dam)
    return rate + max(costs.fee_dam_rs_per_mwh, costs.fee_rtm_rs_per_mwh)


def flow_cost_rs_per_mwh(costs: Costs, dam: np.ndarray, rtm: np.ndarray) -> np.ndarray:
    """Cost of a MWh of physical flow (charge or discharge) besides wear, shape of the prices."""
    expected_error = costs.dsm_share_of_flow * deviation_rate_rs_per_mwh(costs, dam, rtm)
    return costs.fee_flow_rs_per_mwh + costs.scheduling_rs_per_mwh + expected_error


def aux_rate_rs_per_mwh(costs: Costs, dam: np.ndarray, rtm: np.ndarray) -> np.ndarray:
    """Price of a MWh of auxiliary load, shape of the prices: its tariff, or the deviation rate."""
    if costs.aux_rs_per_mwh is None:
        return deviation_rate_rs_per_mwh(costs, dam, rtm)
    return np.full(np.shape(dam), costs.aux_rs_per_mwh)


def auxiliary_rs(
    bess: BessParams, costs: Costs, block_hours: float, dam: np.ndarray, rtm: np.ndarray
) -> np.ndarray:
    """Cost of the auxiliary load, drawn whatever is done, at prices (..., T) [Rs]."""
    rate = aux_rate_rs_per_mwh(costs, dam, rtm).sum(axis=-1)
    return np.asarray(block_hours * bess.auxiliary_mw * rate)


@dataclass(frozen=True)
class Ledger:
    """Money of a day in Rs, each entry of the leading shape of what was settled.

    Revenues are positive when received, costs positive when paid.
    """

    dam_revenue_rs: np.ndarray
    rtm_revenue_rs: np.ndarray
    fee_dam_rs: np.ndarray
    fee_rtm_rs: np.ndarray
    fee_flow_rs: np.ndarray
    scheduling_rs: np.ndarray
    wear_rs: np.ndarray
    deviation_rs: np.ndarray
    aux_rs: np.ndarray

    @property
    def net_rs(self) -> np.ndarray:
        """Revenues minus all costs."""
        costs = [getattr(self, name) for name in COST_COLUMNS]
        return self.dam_revenue_rs + self.rtm_revenue_rs - sum(costs)


LEDGER_COLUMNS = tuple(field.name for field in fields(Ledger))
"""The entries of a day's accounts, in their order."""
COST_COLUMNS = tuple(name for name in LEDGER_COLUMNS if not name.endswith("revenue_rs"))
"""Those that are paid; the others are received."""


def signed(name: str, entry_rs: float) -> float:
    """An entry as it counts in net: a cost is taken off [Rs]."""
    return -entry_rs if name in COST_COLUMNS else entry_rs


def settle(
    bess: BessParams,
    costs: Costs,
    block_hours: float,
    *,
    dam: np.ndarray,
    rtm: np.ndarray,
    dam_mw: np.ndarray,
    rtm_mw: np.ndarray,
    charge_mw: np.ndarray,
    discharge_mw: np.ndarray,
    undelivered_mw: np.ndarray | float = 0.0,
    missing_mwh: float = 0.0,
) -> Ledger:
    """Settle one day, or S scenarios of a day at once.

    Parameters
    ----------
    dam, rtm : (..., T) prices [Rs/MWh]; NaN in ``rtm`` only where ``rtm_mw`` is 0
    dam_mw, rtm_mw : (..., T) sold (positive) or bought (negative) in each market
    charge_mw, discharge_mw : (..., U, T) what each unit does at the grid side
    undelivered_mw : (..., T) part of the schedule (DAM plus RTM) that was not followed,
        priced at ``undelivered_rate_rs_per_mwh``
    missing_mwh : energy drawn without a schedule at the end of the day to reach its target,
        at the grid side, priced as undelivered energy and flow in the day's dearest block

    Raises
    ------
    ValueError
        where trades and flow do not balance, or a block without an RTM price has RTM trade.
    """
    net_mw = (discharge_mw - charge_mw).sum(axis=-2)
    imbalance = np.abs(dam_mw + rtm_mw - undelivered_mw - net_mw).max()
    if imbalance > 1e-5:
        raise ValueError(f"trades and flow differ by {imbalance:.6f} MW")
    if np.any((np.abs(rtm_mw) > 0) & ~np.isfinite(rtm)):
        raise ValueError("RTM trade in a block without an RTM price")
    rtm_price = np.where(np.isfinite(rtm), rtm, 0.0)
    rate = deviation_rate_rs_per_mwh(costs, dam, rtm)
    undelivered_rate = undelivered_rate_rs_per_mwh(costs, dam, rtm)
    dearest = (undelivered_rate + flow_cost_rs_per_mwh(costs, dam, rtm)).max(axis=-1)
    flow_mw = (discharge_mw + charge_mw).sum(axis=-2)
    wear = np.array([[unit.wear_rs_per_mwh_discharged] for unit in bess.units])

    def total(rs_per_h: np.ndarray) -> np.ndarray:
        return block_hours * rs_per_h.sum(axis=-1)

    return Ledger(
        dam_revenue_rs=total(dam * dam_mw),
        rtm_revenue_rs=total(rtm_price * rtm_mw),
        fee_dam_rs=total(costs.fee_dam_rs_per_mwh * np.abs(dam_mw)),
        fee_rtm_rs=total(costs.fee_rtm_rs_per_mwh * np.abs(rtm_mw)),
        fee_flow_rs=total(costs.fee_flow_rs_per_mwh * flow_mw),
        scheduling_rs=costs.scheduling_rs_per_day + total(costs.scheduling_rs_per_mwh * flow_mw),
        wear_rs=total((wear * discharge_mw).sum(axis=-2)),
        deviation_rs=total(rate * costs.dsm_share_of_flow * flow_mw)
        + total(undelivered_rate * np.abs(undelivered_mw))
        + dearest * missing_mwh,
        aux_rs=auxiliary_rs(bess, costs, block_hours, dam, rtm),
    )
