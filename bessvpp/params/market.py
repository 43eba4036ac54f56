"""Rules of the exchange (gates, caps by date, columns) and costs of using it (fees)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, Strict, model_validator

from bessvpp.errors import ParameterError
from bessvpp.params.fields import (
    MINUTES_PER_DAY,
    Clock,
    Count,
    NonNegative,
    Positive,
    Section,
    Seed,
    Share,
)

ColumnName = Literal[
    "Date",
    "Hour",
    "Session ID",
    "Time Block",
    "Purchase Bid (MW)",
    "Sell Bid (MW)",
    "MCV (MW)",
    "MCP (Rs/MWh)",
    "delivery_start",
    "dam_mcp_rs_mwh",
    "rtm_mcp_rs_mwh",
    "purchase_bid_mw",
    "sell_bid_mw",
    "mcv_mw",
]


class PriceCap(Section):
    """Price cap in force from a date on."""

    effective_from: dt.date
    cap_rs_per_mwh: Positive


class DeviationRate(Section):
    """Deviation rate: price of a MWh of ``dsm_share_of_flow``.

    ``highest``: the higher of the DAM and the RTM price. ``mean_of_three``: the mean of
    DAM, RTM and ``ancillary_rs_per_mwh``. Both at most ``max_rs_per_mwh``. A MWh of the
    schedule that is not followed costs at least the DAM price, and the fee of a trade.
    """

    rule: Literal["highest", "mean_of_three"]
    ancillary_rs_per_mwh: NonNegative
    max_rs_per_mwh: Positive


class Costs(Section):
    """What trading and running cost, besides the energy itself.

    ``fee_dam`` and ``fee_rtm`` fall on each MWh traded in that market; ``fee_flow`` and
    ``scheduling_rs_per_mwh`` on each MWh of physical flow (charge plus discharge).
    ``dsm_share_of_flow`` is an expected execution error, priced at the deviation rate.
    ``aux_rs_per_mwh`` is the tariff of the auxiliary load; without one it is drawn unscheduled and
    pays the deviation rate.
    Three terms steer plans and are never booked: ``off_dam_penalty`` towards the DAM schedule,
    and the hurdles away from trades that live on a small expected spread. Where prices are
    known for sure there is no hurdle.
    """

    fee_dam_rs_per_mwh: NonNegative
    fee_rtm_rs_per_mwh: NonNegative
    fee_flow_rs_per_mwh: NonNegative
    scheduling_rs_per_day: NonNegative
    scheduling_rs_per_mwh: NonNegative
    dsm_share_of_flow: Share
    dsm_rate: DeviationRate
    off_dam_penalty_rs_per_mwh: NonNegative
    aux_rs_per_mwh: NonNegative | None = None
    hurdle_dam_rs_per_mwh: NonNegative = 0.0
    hurdle_rtm_rs_per_mwh: NonNegative = 0.0

    @property
    def without_hurdles(self) -> Self:
        """The same for plans on prices that are known for sure."""
        return self.model_copy(update={"hurdle_dam_rs_per_mwh": 0.0, "hurdle_rtm_rs_per_mwh": 0.0})

    @property
    def booked(self) -> Self:
        """What is booked alone: nothing steers a plan away from profit."""
        return self.without_hurdles.model_copy(update={"off_dam_penalty_rs_per_mwh": 0.0})


class ExternalFile(Section):
    """A CSV file of further columns, such as forecasts of demand, wind, solar or weather.

    ``published`` is when, on the day before delivery, its values are known. ``columns`` names
    those to use; ``all`` is every one besides ``delivery_start``. A relative ``file`` starts
    at the project's root.
    """

    file: Annotated[str, Field(min_length=1)]
    published: Clock
    columns: Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1)]


class MarketParams(Costs):
    """Rules of the exchange and costs of using it (``params/market.yaml``).

    ``column_names`` says what columns of a third party's copies are, in the exchange's words.
    """

    block_minutes: Literal[15, 60] | None
    price_floor_rs_per_mwh: NonNegative
    price_caps: Annotated[tuple[PriceCap, ...], Field(min_length=1)]
    dam_gate: Clock
    dam_results: Clock
    rtm_session_minutes: Count
    rtm_gate_minutes: Annotated[int, Strict(), Field(ge=0)]
    bid_step_mw: Positive
    bid_price_tick_rs_per_mwh: Positive = 1.0  # as in parameter folders from before it
    bid_price_steps: Count = 4  # the same
    column_names: dict[Annotated[str, Field(min_length=1)], ColumnName] = Field(
        default_factory=dict
    )
    external: tuple[ExternalFile, ...] = ()
    synthetic_start: dt.date
    synthetic_days: Count
    synthetic_seed: Seed

    @model_validator(mode="after")
    def _check(self) -> MarketParams:
        dates = [cap.effective_from for cap in self.price_caps]
        if dates != sorted(set(dates)):
            raise ValueError("price_caps must be in order of effective_from, each date once")
        if self.dam_results <= self.dam_gate:
            raise ValueError("dam_results must be later than dam_gate")
        if MINUTES_PER_DAY % self.rtm_session_minutes:
            raise ValueError("rtm_session_minutes must divide a day")
        return self

    def cap_rs_per_mwh(self, date: dt.date) -> float:
        """Price cap in force on a delivery date [Rs/MWh]."""
        in_force = [c.cap_rs_per_mwh for c in self.price_caps if c.effective_from <= date]
        if not in_force:
            raise ParameterError(
                f"params/market.yaml: price_caps has no entry for {date}; add the cap of that time"
            )
        return in_force[-1]

    def caps_rs_per_mwh(self, dates: np.ndarray) -> np.ndarray:
        """(D,) price caps in force on delivery dates, datetime64 [Rs/MWh]."""
        return np.array([self.cap_rs_per_mwh(date) for date in dates.astype("M8[D]").tolist()])
