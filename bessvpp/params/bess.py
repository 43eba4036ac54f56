"""What describes a battery: its units and their connection."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, NaiveDatetime, ValidationError, model_validator

from bessvpp.errors import ParameterError
from bessvpp.params.fields import Clock, NonNegative, Number, Positive, Section

ROUNDING_MWH = 1e-6
"""Room for binary fractions where an energy is to lie exactly on an edge."""


class ClockWindow(Section):
    """Hours of the day in which something is allowed, start included, end excluded."""

    start: Clock
    end: Clock

    @model_validator(mode="after")
    def _check(self) -> ClockWindow:
        if self.start >= self.end:
            raise ValueError("start must be before end; split a window that spans midnight")
        return self


class Outage(Section):
    """A dated window in which a unit has less power, or none: start included, end excluded.

    It is planned, so that every gate before it knows it. ``power_share`` is what is left of the
    power, of charge and discharge alike. Times are IST.
    """

    start: NaiveDatetime
    end: NaiveDatetime
    power_share: Annotated[Number, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> Outage:
        if self.start >= self.end:
            raise ValueError("start must be before end")
        return self

    def touches(self, date: dt.date) -> bool:
        """Whether a part of it lies in a day."""
        midnight = dt.datetime.combine(date, dt.time())
        return self.start < midnight + dt.timedelta(days=1) and self.end > midnight


class TaperPoint(Section):
    """Most power [MW] that a unit has with an energy stored [MWh]: a row of a measured table."""

    e_mwh: NonNegative
    p_mw: NonNegative


Line = tuple[float, float]
"""Power at no stored energy [MW], and what a MWh stored adds to it [MW per MWh]."""


def _lines(points: tuple[TaperPoint, ...]) -> tuple[Line, ...]:
    """The lines through consecutive points, of which the least is the limit."""
    lines = []
    for low, high in itertools.pairwise(points):
        slope = (high.p_mw - low.p_mw) / (high.e_mwh - low.e_mwh)
        lines.append((low.p_mw - slope * low.e_mwh, slope))
    return tuple(lines)


class UnitParams(Section):
    """One battery unit. Power at the grid side [MW], energy stored [MWh].

    ``wear_rs_per_mwh_discharged`` is per MWh discharged at the grid side. A cycle is one
    nameplate energy discharged at the grid side. No window means any time of day.
    ``p_max_mw`` limits discharge, and charge too unless ``p_charge_max_mw`` says otherwise.
    ``self_discharge_per_hour`` is the share of stored energy that is lost in an hour, and
    ``aux_mw`` what cooling and control draw from the grid at all times; see ``battery``.
    ``charge_taper`` and ``discharge_taper`` are measured tables of power by stored energy,
    energies rising: charge falls as the unit fills, discharge as it empties, both concave. Between
    points and beyond the outer ones the power follows the lines; it is never above ``p_max_mw``.
    ``warranty_cycles_per_year`` and ``warranty_throughput_mwh_per_year`` are what a warranty allows
    to be discharged in a year, at the grid side; the tighter of the two counts. Plans pay
    ``warranty_price_rs_per_mwh`` for it beside wear, worked out where there is a budget and no
    price (``settlement.warranty``); it is never booked.
    """

    name: Annotated[str, Field(min_length=1)]
    p_max_mw: Positive
    p_charge_max_mw: Positive | None = None  # parameter files from before it charge at p_max_mw
    e_nameplate_mwh: Positive
    e_min_mwh: NonNegative
    e_max_mwh: Positive
    eta_charge: Annotated[Number, Field(gt=0, le=1)]
    eta_discharge: Annotated[Number, Field(gt=0, le=1)]
    wear_rs_per_mwh_discharged: NonNegative
    e_start_mwh: NonNegative
    e_target_mwh: NonNegative
    max_cycles_per_day: Positive | None
    charge_windows: tuple[ClockWindow, ...]
    discharge_windows: tuple[ClockWindow, ...]
    self_discharge_per_hour: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    aux_mw: NonNegative = 0.0
    outages: tuple[Outage, ...] = ()
    charge_taper: tuple[TaperPoint, ...] = ()
    discharge_taper: tuple[TaperPoint, ...] = ()
    warranty_cycles_per_year: Positive | None = None
    warranty_throughput_mwh_per_year: Positive | None = None
    warranty_price_rs_per_mwh: NonNegative | None = None

    @model_validator(mode="after")
    def _check_tapers(self) -> UnitParams:
        for name, end, way in (
            ("charge_taper", "e_max_mwh", -1),
            ("discharge_taper", "e_min_mwh", 1),
        ):
            points = getattr(self, name)
            for low, high in itertools.pairwise(points):
                if low.e_mwh >= high.e_mwh:
                    raise ValueError(f"{name}: e_mwh must rise, has {low.e_mwh:g}, {high.e_mwh:g}")
            lines = _lines(points)
            if len(points) == 1:
                raise ValueError(f"{name}: one point is no table: give two or more")
            for point, (_, slope) in zip(points, lines, strict=False):
                if way * slope < 0:
                    falls = "rise" if way < 0 else "fall"
                    raise ValueError(f"{name}: power may not {falls} from {point.e_mwh:g} MWh on")
            for point, (before, after) in zip(points[1:], itertools.pairwise(lines), strict=False):
                if after[1] > before[1] + ROUNDING_MWH:
                    raise ValueError(
                        f"{name}: is not concave at {point.e_mwh:g} MWh, where the power bends "
                        "upwards: leave out points, so that the table never promises too much"
                    )
            edge = getattr(self, end)
            least = min((line[0] + line[1] * edge for line in lines), default=0.0)
            if least < -ROUNDING_MWH:
                raise ValueError(
                    f"{name}: its last line leads below 0 MW at {end} = {edge:g}: add a point there"
                )
        return self

    @model_validator(mode="after")
    def _check(self) -> UnitParams:
        if not self.e_min_mwh < self.e_max_mwh <= self.e_nameplate_mwh:
            raise ValueError(
                "needs e_min_mwh < e_max_mwh <= e_nameplate_mwh, has "
                f"{self.e_min_mwh:g}, {self.e_max_mwh:g}, {self.e_nameplate_mwh:g}"
            )
        for key in ("e_start_mwh", "e_target_mwh"):
            if not self.e_min_mwh <= getattr(self, key) <= self.e_max_mwh:
                raise ValueError(
                    f"{key} = {getattr(self, key):g} lies outside the usable window "
                    f"{self.e_min_mwh:g} to {self.e_max_mwh:g} MWh"
                )
        return self

    @property
    def charge_max_mw(self) -> float:
        """Greatest power of charge; ``p_max_mw`` is that of discharge."""
        return self.p_max_mw if self.p_charge_max_mw is None else self.p_charge_max_mw

    @property
    def warranty_mwh_per_year(self) -> float | None:
        """Most that the warranty allows to be discharged in a year; None: it has no limit."""
        cycles, limits = self.warranty_cycles_per_year, []
        if cycles is not None:
            limits.append(cycles * self.e_nameplate_mwh)
        if self.warranty_throughput_mwh_per_year is not None:
            limits.append(self.warranty_throughput_mwh_per_year)
        return min(limits, default=None)

    @property
    def steering_rs_per_mwh(self) -> float:
        """What plans count for each MWh discharged besides what is booked."""
        return self.warranty_price_rs_per_mwh or 0.0

    @property
    def is_ideal(self) -> bool:
        """Whether it keeps what it stores, and has its whole power at any time."""
        return not (self.self_discharge_per_hour or self.outages or self.is_tapered)

    @property
    def is_tapered(self) -> bool:
        """Whether its power depends on what it stores."""
        return bool(self.charge_lines or self.discharge_lines)

    @property
    def charge_lines(self) -> tuple[Line, ...]:
        """Lines below which charge stays, of those that limit it somewhere in the window."""
        return self._below(self.charge_max_mw, _lines(self.charge_taper), self.e_max_mwh)

    @property
    def discharge_lines(self) -> tuple[Line, ...]:
        """Lines below which discharge stays, of those that limit it somewhere in the window."""
        return self._below(self.p_max_mw, _lines(self.discharge_taper), self.e_min_mwh)

    def _below(self, most_mw: float, lines: tuple[Line, ...], at_mwh: float) -> tuple[Line, ...]:
        return tuple(line for line in lines if line[0] + line[1] * at_mwh < most_mw)

    @property
    def auxiliary_mw(self) -> float:
        """What the unit draws from the grid at all times, besides what it charges.

        Its auxiliary load, and what makes up for the self-discharge of ``e_min_mwh``.
        """
        return self.aux_mw + self.self_discharge_per_hour * self.e_min_mwh / self.eta_charge

    def reach_mwh(self, limit_mw: float) -> tuple[float, float]:
        """Least and most stored energy at the end of a day, behind a connection of ``limit_mw``.

        No more than a bound where the battery loses energy by itself.
        """
        charged = _hours(self.charge_windows) * min(self.charge_max_mw, limit_mw) * self.eta_charge
        discharged = _hours(self.discharge_windows) * min(self.p_max_mw, limit_mw)
        if self.max_cycles_per_day is not None:
            discharged = min(discharged, self.max_cycles_per_day * self.e_nameplate_mwh)
        lost = 1 - (1 - self.self_discharge_per_hour) ** 24
        start = self.e_start_mwh - lost * (self.e_start_mwh - self.e_min_mwh)
        least = max(start - discharged / self.eta_discharge, self.e_min_mwh)
        return least, min(self.e_start_mwh + charged, self.e_max_mwh)


def _hours(windows: tuple[ClockWindow, ...]) -> float:
    """Hours of a day in which something is allowed; no window means all of them."""
    return sum(w.end - w.start for w in windows) / 60 if windows else 24.0


class BessParams(Section):
    """The fleet behind one grid connection (``params/bess.yaml``)."""

    connection_limit_mw: Positive
    units: Annotated[tuple[UnitParams, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> BessParams:
        names = [unit.name for unit in self.units]
        if len(set(names)) < len(names):
            raise ValueError(f"unit names must differ, got {names}")
        if self.auxiliary_mw >= self.connection_limit_mw:
            raise ValueError(
                f"the units' auxiliary load of {self.auxiliary_mw:g} MW leaves nothing of "
                f"connection_limit_mw = {self.connection_limit_mw:g}: is it in kW?"
            )
        for unit in self.units:
            least, most = unit.reach_mwh(self.connection_limit_mw)
            if not least - ROUNDING_MWH <= unit.e_target_mwh <= most + ROUNDING_MWH:
                raise ValueError(
                    f"unit {unit.name}: e_target_mwh = {unit.e_target_mwh:g} cannot be reached "
                    f"in a day: from e_start_mwh = {unit.e_start_mwh:g}, "
                    f"{self._powers(unit)} in its windows lead to {least:g} to {most:g} MWh"
                )
        return self

    @property
    def e_nameplate_mwh(self) -> float:
        """Nameplate energy of all units."""
        return sum(unit.e_nameplate_mwh for unit in self.units)

    def in_words(self) -> str:
        """What a reader asks first: power, energy, and how much of that is used.

        Examples
        --------
        >>> bv.load_params().bess.in_words()
        '50 MW and 200 MWh, of which 160 are used'
        """
        power = min(sum(unit.p_max_mw for unit in self.units), self.connection_limit_mw)
        used = sum(unit.e_max_mwh - unit.e_min_mwh for unit in self.units)
        units = f", in {len(self.units)} units" if len(self.units) > 1 else ""
        return f"{power:g} MW and {self.e_nameplate_mwh:g} MWh, of which {used:g} are used{units}"

    def with_energy(self, e_nameplate_mwh: float) -> BessParams:
        """The same powers with this nameplate energy in all; every energy grows alike.

        Raises
        ------
        ParameterError
            where a unit could then not reach its target energy in a day.
        """
        share = e_nameplate_mwh / self.e_nameplate_mwh
        content = self.model_dump()
        for unit in content["units"]:
            unit |= {key: share * unit[key] for key in unit if key.startswith("e_")}
            for point in (*unit["charge_taper"], *unit["discharge_taper"]):
                point["e_mwh"] *= share
            if unit["warranty_throughput_mwh_per_year"] is not None:
                unit["warranty_throughput_mwh_per_year"] *= share
        try:
            return BessParams.model_validate(content)
        except ValidationError as error:
            reasons = "; ".join(
                item["msg"].removeprefix("Value error, ") for item in error.errors()
            )
            raise ParameterError(f"a battery of {e_nameplate_mwh:g} MWh: {reasons}") from None

    def with_outages(self, outages: Mapping[str, tuple[Outage, ...]]) -> BessParams:
        """The same with each unit's outages, by its name, in place of those that it has."""
        units = tuple(u.model_copy(update={"outages": outages[u.name]}) for u in self.units)
        return self.model_copy(update={"units": units})

    def with_warranty_prices(self, rs_per_mwh: Sequence[float | None]) -> BessParams:
        """The same with the price of each unit's warranty, (U,); None: it has none."""
        units = tuple(
            unit.model_copy(update={"warranty_price_rs_per_mwh": price})
            for unit, price in zip(self.units, rs_per_mwh, strict=True)
        )
        return self.model_copy(update={"units": units})

    @property
    def booked(self) -> BessParams:
        """The same with no price that is never booked."""
        return self.with_warranty_prices([None] * len(self.units))

    @property
    def auxiliary_mw(self) -> float:
        """What all units draw from the grid at all times, besides what they charge."""
        return sum(unit.auxiliary_mw for unit in self.units)

    @property
    def import_limit_mw(self) -> float:
        """Most that all units may charge: the auxiliary load has its part of the connection."""
        return self.connection_limit_mw - self.auxiliary_mw

    def _powers(self, unit: UnitParams) -> str:
        """A unit's powers behind the connection, in words."""
        limit = self.connection_limit_mw
        charge, discharge = min(unit.charge_max_mw, limit), min(unit.p_max_mw, limit)
        if charge == discharge:
            return f"{discharge:g} MW"
        return f"{charge:g} MW of charge and {discharge:g} MW of discharge"
