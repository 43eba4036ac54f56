"""The next RTM session at its gate: bids, and the rest of the day, by the settlement's own code.

Needs a run's models, the day's DAM schedule and prices, and the RTM up to the gate. What was bid
at earlier gates and is not known yet is read back from the run's folder.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bessvpp.battery import start_energy
from bessvpp.desk.bids import session_sheet
from bessvpp.desk.gate import DayModels, Outlook, models_of_day, session_of
from bessvpp.desk.own_outlook import OwnFile, with_own_rtm
from bessvpp.desk.plan import problem_at_gate
from bessvpp.desk.promised import promise_file, read_desk_json, read_promise
from bessvpp.desk.report import listed
from bessvpp.errors import DataError, ParameterError
from bessvpp.market.history import Market
from bessvpp.optimizer.problem import Problem
from bessvpp.params.fields import block_clock
from bessvpp.params.load import Params
from bessvpp.params.study import RecourseName
from bessvpp.runs.folder import RunFolder
from bessvpp.settlement.session import (
    Done,
    GateView,
    Session,
    session_on_bids,
    session_on_expectations,
)
from bessvpp.settlement.warranty import told_of_prices

IDLE = (
    *("alpha", "risk_aversion", "foresight", "unbacked_max_mwh_per_day", "hurdle_dam_rs_per_mwh"),
    *("commitment", "midnight", "fan", "n_scenarios", "seed", "dependence", "gibbs_sweeps"),
    *("recalibration", "recalibration_windows", "recalibration_days", "half_life_days"),
    *("adaptive_steps", "group_step", "min_group_size", "own_quantiles", "own_paths"),
)
"""Fields that decide on a day-ahead plan, and on no session of the RTM."""


@dataclass(frozen=True)
class SessionTrade:
    """A session at its gate: U units, T blocks."""

    date: np.datetime64
    gate: dt.datetime
    recourse: RecourseName
    outlook: Outlook
    unit_dam_mw: np.ndarray  # (U, T) DAM schedule
    done: Done
    session: Session
    sheet: pd.DataFrame  # bids in whole steps
    notes: tuple[str, ...]  # what was not given, and what was taken in its place

    @property
    def view(self) -> GateView:
        """What the gate knows and expects."""
        return self.outlook.view

    @property
    def n_blocks(self) -> int:
        """T."""
        return len(self.view.dam)

    def clock(self, block: int) -> str:
        """Start of a block, ``24:00`` being the end of the day."""
        return block_clock(block, self.n_blocks)


def trade_session(
    run: RunFolder,
    market: Market,
    params: Params,
    gate: dt.datetime,
    unit_dam_mw: np.ndarray,
    trades_mw: np.ndarray | None = None,
    energy_mwh: np.ndarray | None = None,
    midnight_mwh: np.ndarray | None = None,
    models: DayModels | None = None,
    own: OwnFile | None = None,
) -> SessionTrade:
    """Bids of the session whose gate closes at a time, from what is known then.

    Parameters
    ----------
    gate : when it closes, naive IST
    unit_dam_mw : (U, T) DAM schedule of the day, positive sells
    trades_mw : (U, T) RTM trades done so far; NaN where none is known
    energy_mwh : (U,) stored now; by default what schedule and trades leave of ``midnight_mwh``
    midnight_mwh : (U,) stored at the midnight before; by default as the day was planned in the
        run's folder, else the battery's start energy
    models : those of the day, for whoever bids several of its sessions
    own : forecasts of the day's RTM that stand in place of theirs

    Raises
    ------
    ParameterError
        where no gate closes then, or energy at this gate cannot be placed.
    DataError
        where the DAM of the day is not whole, the models were trained on the day, or own
        forecasts are refused.
    """
    rules, notes = params.market, list[str]()
    date, k = session_of(gate, rules, market.n_blocks)
    known = market.known_at(gate, rules)
    models = models or models_of_day(run, known, params, date)
    seen = models.outlook(known, rules, k)
    if own is not None:
        seen, told = with_own_rtm(seen, own, params, date, gate)
        notes.append(told)
    view = seen.view
    if midnight_mwh is None:
        midnight_mwh = _planned_midnight(run, date, params, notes)
    n_units = len(params.bess.units)
    if trades_mw is None:
        trades_mw = np.full((n_units, known.n_blocks), np.nan)
    done = _done(run, date, seen, trades_mw, notes)
    if energy_mwh is not None:
        at = _block_at(gate, date, known.block_minutes)
        done = replace(done, measured_mwh=energy_mwh, measured_at=at)
    at_dam_gate = market.known_at_dam_gate(date, rules)
    problem = problem_at_gate(at_dam_gate, params, date, midnight_mwh)
    _note_energy(problem, unit_dam_mw, done, gate, notes)
    if params.backtest.recourse == "expected":
        session = session_on_expectations(problem, view, unit_dam_mw, done)
    else:
        session = session_on_bids(problem, view, unit_dam_mw, seen.law, done)
    _note_prices(known, date, view, notes)
    return SessionTrade(
        date=date,
        gate=gate,
        recourse=params.backtest.recourse,
        outlook=seen,
        unit_dam_mw=unit_dam_mw,
        done=done,
        session=session,
        sheet=session_sheet(date, session, rules),
        notes=(*session.notes, *told_of_prices(params.bess, problem.bess), *notes),
    )


def _planned_midnight(
    run: RunFolder, date: np.datetime64, params: Params, notes: list[str]
) -> np.ndarray:
    """(U,) energy that the day was planned to begin with."""
    start = start_energy(params.bess)
    if (run.path / promise_file(date)).is_file():
        start = read_promise(run, date).e_start_mwh
        source = f"as {date} was planned"
    else:
        source = f"the battery's e_start_mwh, for {date} was not planned in {run.path}"
    notes.append(f"The day began with {listed(start)} MWh, {source}.")
    return start


def _done(
    run: RunFolder,
    date: np.datetime64,
    seen: Outlook,
    trades_mw: np.ndarray,
    notes: list[str],
) -> Done:
    """What is done at the gate: trades that are known, and bids that are not settled yet."""
    view, shape = seen.view, (len(trades_mw), len(seen.law.nodes))
    given = np.isfinite(trades_mw).all(axis=0)
    lacking = int((~given[: view.n_known]).sum())
    if lacking:
        notes.append(
            f"No trades are given for {lacking} of the {view.n_known} blocks whose outcome is "
            "known: none are counted there."
        )
    ahead = int((np.nan_to_num(trades_mw[:, view.first :]) != 0).any(axis=0).sum())
    if ahead:
        notes.append(
            f"Trades are given for {ahead} blocks from the session on, which nobody has made at "
            "this gate: they are left out."
        )
    open_mw = np.zeros((shape[0], view.first - view.n_known, shape[1]))
    for place, t in enumerate(range(view.n_known, view.first)):
        bid = trades_mw[:, [t]] if given[t] else _earlier_bids(run, date, view, t, shape)
        if bid is None:
            notes.append(
                f"No bids are known for the block from {block_clock(t, len(given))} on, whose "
                "outcome is open: none are counted there."
            )
        else:
            open_mw[:, place] = bid
    return Done(np.nan_to_num(trades_mw[:, : view.n_known]), open_mw)


def _earlier_bids(
    run: RunFolder, date: np.datetime64, view: GateView, t: int, shape: tuple[int, int]
) -> np.ndarray | None:
    """(U, Z) what an earlier gate bid for a block, as the run's folder keeps it; None: nothing."""
    first = int(view.starts[np.searchsorted(view.starts, t, side="right") - 1])
    name = session_file(date, first, len(view.dam))
    if not (run.path / name).is_file():
        return None
    bids = read_desk_json(run, name, "bid anew")["bids"]
    bid = np.array(bids[t - first]["unit_rtm_mw"], dtype=float)
    if bid.shape not in (shape, (shape[0], 1)):
        raise DataError(
            f"{run.path / name}: its bids are of {bid.shape[0]} units and {bid.shape[1]} prices, "
            f"where {shape[0]} and {shape[1]} are expected: other models or another battery bid "
            "them. Give their outcome with --trades"
        )
    return bid


def session_file(date: np.datetime64, first: int, n_blocks: int, suffix: str = "json") -> str:
    """Name of a session's file in a run's folder, by the start of its delivery."""
    return f"bids/rtm_{date}_{block_clock(first, n_blocks).replace(':', '')}.{suffix}"


def _block_at(gate: dt.datetime, date: np.datetime64, block_minutes: int) -> int:
    """Block that starts when a gate closes."""
    minute = int((np.datetime64(gate, "m") - date.astype("M8[m]")).astype(int))
    if minute < 0:
        raise ParameterError(
            f"--energy: the gate of {gate:%H:%M} closes before {date} begins: give the energy that "
            "its midnight will hold, with --midnight"
        )
    if minute % block_minutes:
        raise ParameterError(
            f"--energy: the gate of {gate:%H:%M} lies within a block of {block_minutes} minutes: "
            "leave --energy out, or give prices of 15 minutes"
        )
    return minute // block_minutes


def _note_energy(
    problem: Problem, unit_dam_mw: np.ndarray, done: Done, gate: dt.datetime, notes: list[str]
) -> None:
    """Say what schedule and trades would have left where other energy is given."""
    given, at = done.measured_mwh, done.measured_at
    if given is None or at == 0:
        return
    scheduled = unit_dam_mw.copy()
    scheduled[:, :at] += done.rtm_mw[:, :at]
    left = problem.follow(scheduled).energy_mwh[:, at - 1]
    if np.abs(left - given).max() > 0.05:
        notes.append(
            f"At {gate:%H:%M} schedule and trades would have left {listed(left.round(1))} MWh; "
            f"the {listed(given)} given count."
        )


def _note_prices(known: Market, date: np.datetime64, view: GateView, notes: list[str]) -> None:
    """Say which RTM prices the gate could know and are not there."""
    day = known.index_of(date)
    unknown = np.isnan(known.rtm_mcp[day]) & ~known.rtm_no_trade[day]
    lacking = np.flatnonzero(unknown[: view.n_known])
    if lacking.size:
        notes.append(
            f"{lacking.size} RTM prices of the {view.n_known} that this gate can know are not in "
            "the data: the forecast does without them."
        )
