"""What midnight will hold: the energy there is now, and the rest of today's position run on it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bessvpp import battery
from bessvpp.desk.report import listed
from bessvpp.params.bess import BessParams
from bessvpp.params.fields import MINUTES_PER_DAY


@dataclass(frozen=True)
class Midnight:
    """The midnight before a delivery day, from a time of the day before it: U units."""

    at: dt.datetime  # naive IST
    energy_mwh: np.ndarray  # (U,) stored then
    position: Path  # where today's position comes from
    e_mwh: np.ndarray  # (U,) what midnight will hold
    undelivered_mwh: float  # of the rest of the position, which the battery cannot follow

    def in_words(self) -> str:
        """Where the day's start comes from, in a sentence or two."""
        told = (
            f"Midnight will hold {listed(self.e_mwh)} MWh: {listed(self.energy_mwh)} MWh at "
            f"{self.at:%H:%M} on {self.at:%Y-%m-%d}, and the rest of that day's position "
            f"({self.position}) run on it."
        )
        if self.undelivered_mwh > battery.FEASIBILITY_TOLERANCE_MWH:
            told += (
                f" WARNING: {self.undelivered_mwh:.2f} MWh of that position cannot be delivered "
                "from there: trade them back in the RTM."
            )
        return told


def midnight_after(
    bess: BessParams,
    unit_mw: np.ndarray,
    energy_mwh: np.ndarray,
    at: dt.datetime,
    position: Path,
) -> Midnight:
    """Run the rest of a day's position from the energy there is at a time of it.

    What is left of the block that the time lies in is run at the block's power; what came before
    counts for the cycles alone. The path is the strict one of ``battery.follow``.

    Parameters
    ----------
    unit_mw : (U, T) position of each unit on the whole day, positive sells
    energy_mwh : (U,) stored at the time
    """
    n_blocks = unit_mw.shape[1]
    length = MINUTES_PER_DAY // n_blocks
    first, gone = divmod(60 * at.hour + at.minute, length)
    share = np.where(np.arange(n_blocks) < first, 0.0, 1.0)
    share[first] = 1 - gone / length
    h = length / 60
    spent = h * (np.maximum(unit_mw, 0) * (1 - share)).sum(axis=1)
    left = battery.with_cycles_spent(bess, spent)
    available = battery.available_share(bess, [np.datetime64(at.date())], n_blocks)
    available = np.ones(unit_mw.shape) if available is None else available
    available[:, first] *= share[first]
    done = battery.follow(left, unit_mw * share, energy_mwh, h, available, first)
    undelivered = float(h * np.abs(done.undelivered_mw).sum())
    return Midnight(at, energy_mwh, position, done.energy_mwh[:, -1], undelivered)
