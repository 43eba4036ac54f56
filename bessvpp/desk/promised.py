"""What a plan promised, kept beside its sheet so that the day can be closed against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bessvpp.battery import share_on
from bessvpp.desk.plan import DayAheadPlan
from bessvpp.errors import DataError, MissingArtefactError
from bessvpp.ledger import LEDGER_COLUMNS
from bessvpp.params.load import Params
from bessvpp.params.market import Costs
from bessvpp.runs.folder import RunFolder


@dataclass(frozen=True)
class Promise:
    """A day as it was planned, RTM traded along the fan at its gates: T blocks, U units.

    All but the schedule are means over the fan, weighted as it is.
    """

    date: np.datetime64
    fan: str
    dam_mw: np.ndarray  # (T,) bid, positive sells
    unit_mw: np.ndarray  # (U, T) who delivers it
    rtm_mw: np.ndarray  # (T,)
    dam: np.ndarray  # (T,) Rs/MWh
    rtm: np.ndarray  # (T,) Rs/MWh
    e_start_mwh: np.ndarray  # (U,)
    e_end_mwh: np.ndarray  # (U,)
    ledger: Mapping[str, float]  # entries of ``LEDGER_COLUMNS`` [Rs]
    net_rs: float
    rules: Mapping[str, Any]  # costs and battery that it was planned with

    @property
    def block_hours(self) -> float:
        """Length of a block."""
        return 24 / len(self.dam_mw)


def promise_of(planned: DayAheadPlan, params: Params) -> Promise:
    """What a plan promises of its day."""
    weights, done = planned.scenarios.weights, planned.causal
    unit_mw = planned.unit_mw
    if unit_mw is None:
        unit_mw = share_on(params.bess, planned.date, planned.bid_mw)
    return Promise(
        date=planned.date,
        fan=planned.fan,
        dam_mw=planned.bid_mw,
        unit_mw=unit_mw,
        rtm_mw=weights @ done.rtm_mw,
        dam=weights @ planned.scenarios.dam,
        rtm=weights @ planned.scenarios.rtm,
        e_start_mwh=planned.e_start_mwh,
        e_end_mwh=weights @ done.e_end_mwh,
        ledger={
            name: float(weights @ np.broadcast_to(getattr(done.ledger, name), weights.shape))
            for name in LEDGER_COLUMNS
        },
        net_rs=float(weights @ done.ledger.net_rs),
        rules=rules_of(params),
    )


def rules_of(params: Params) -> dict[str, Any]:
    """What a day's books rest on: the costs and the battery."""
    booked = params.market.booked
    return {
        "costs": {key: booked.model_dump(mode="json")[key] for key in Costs.model_fields},
        "bess": params.bess.model_dump(mode="json"),
    }


def promise_file(date: np.datetime64) -> str:
    """Name of a day's promise in a run's folder."""
    return f"bids/plan_{date}.json"


def read_desk_json(run: RunFolder, name: str, remedy: str) -> dict[str, Any]:
    """A JSON file of the desk in a run's folder; ``DataError``, which says what to do, if none."""
    try:
        return run.read_json(name)
    except ValueError as error:
        raise DataError(
            f"{run.path / name} is no JSON ({error}): remove it, and {remedy}"
        ) from None


def write_promise(run: RunFolder, promise: Promise) -> None:
    """Write ``bids/plan_<date>.json``."""
    run.write_json(promise_file(promise.date), asdict(promise) | {"date": str(promise.date)})


def read_promise(run: RunFolder, date: np.datetime64) -> Promise:
    """Read ``bids/plan_<date>.json``.

    Raises
    ------
    MissingArtefactError
        where the day was not planned in this run's folder.
    DataError
        where the file is no JSON.
    """
    name = promise_file(date)
    if not (run.path / name).is_file():
        raise MissingArtefactError(
            f"{run.path / name} is not there: plan {date} first (bessvpp plan --date {date}), or "
            "name the run in whose folder it was planned with --outputs"
        )
    found = read_desk_json(run, name, f"plan {date} anew")
    arrays = {
        key: np.array(value, dtype=float) for key, value in found.items() if isinstance(value, list)
    }
    return Promise(**(found | arrays | {"date": np.datetime64(found["date"])}))
