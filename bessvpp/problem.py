"""What a dispatch programme is given and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bessvpp.params import BessParams, Commitment, Costs, Solver, Terminal


@dataclass(frozen=True)
class PriceScenarios:
    """Joint price paths: S scenarios of T blocks."""

    dam: np.ndarray  # (S, T) Rs/MWh
    rtm: np.ndarray  # (S, T) Rs/MWh; NaN: no RTM trade possible in that block
    weights: np.ndarray  # (S,) sum to 1

    @classmethod
    def single(cls, dam: np.ndarray, rtm: np.ndarray) -> PriceScenarios:
        """One sure path, (T,) each."""
        return cls(dam[None], rtm[None], np.ones(1))


@dataclass(frozen=True)
class EnergyValue:
    """Concave value of the energy a unit holds at the end: the least of K lines."""

    slope_rs_per_mwh: np.ndarray  # (K,)
    intercept_rs: np.ndarray  # (K,)

    def __call__(self, e_mwh: np.ndarray | float) -> np.ndarray:
        """Value in Rs of stored energy, any shape."""
        e_mwh = np.asarray(e_mwh, dtype=float)
        return (self.intercept_rs + self.slope_rs_per_mwh * e_mwh[..., None]).min(axis=-1)


@dataclass(frozen=True)
class Problem:
    """Everything a programme needs besides prices and risk weight.

    ``e_start_mwh`` is (U,). ``fixed_dam_mw``, (T,), makes it a recourse to a commitment.
    ``rtm_allowed`` False
    leaves the DAM alone. ``schedule_start_mwh`` and ``schedule_end_mwh``, (U,) or (days, U),
    are where the DAM schedule of every day starts and ends (None or NaN: anywhere). Under
    ``hard`` a schedule ends exactly at the target, so that the next day's can start there;
    the energy really stored ends at the target or above.
    """

    bess: BessParams
    costs: Costs
    block_hours: float
    e_start_mwh: np.ndarray
    commitment: Commitment = "physical"
    terminal: Terminal = "hard"
    energy_values: Sequence[EnergyValue] = ()
    fixed_dam_mw: np.ndarray | None = None
    rtm_allowed: bool = True
    schedule_start_mwh: np.ndarray | None = None
    schedule_end_mwh: np.ndarray | None = None
    solver: Solver = "highs"

    @property
    def blocks_per_day(self) -> int:
        """T of one day."""
        return round(24 / self.block_hours)

    @property
    def is_physical(self) -> bool:
        """Whether the programme chooses a DAM schedule that must be deliverable by itself."""
        return self.commitment == "physical" and self.fixed_dam_mw is None

    @property
    def e_end_min_mwh(self) -> np.ndarray | None:
        """(U,) least energy at the end under the ``hard`` rule, else None."""
        if self.terminal != "hard":
            return None
        return np.array([unit.e_target_mwh for unit in self.bess.units])


@dataclass(frozen=True)
class Plan:
    """Solution of a programme: S scenarios, U units, T blocks."""

    dam_mw: np.ndarray  # (T,) committed, positive sells
    unit_dam_mw: np.ndarray | None  # (U, T) who delivers it; None: financial
    rtm_mw: np.ndarray  # (S, T)
    charge_mw: np.ndarray  # (S, U, T)
    discharge_mw: np.ndarray  # (S, U, T)
    energy_mwh: np.ndarray  # (S, U, T) after each block
    weights: np.ndarray  # (S,) of the scenarios
    undelivered_mw: np.ndarray  # (S, T)
    profit_rs: np.ndarray  # (S,)
    mean_rs: float
    cvar_rs: float
    objective_rs: float
    lp_cvar_rs: float | None  # the programme's own figure; None at risk weight 0
    restricted_blocks: int  # unit-blocks that lost a direction
    relaxation_gap_rs: float  # objective lost to those restrictions

    @property
    def e_end_mwh(self) -> np.ndarray:
        """(U,) expected energy at the end."""
        return self.weights @ self.energy_mwh[:, :, -1]
