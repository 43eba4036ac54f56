"""The commands of a desk: ``plan``, ``trade``, ``close``."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from typing import TYPE_CHECKING

from bessvpp.commands.typed import (
    add_models,
    add_outages,
    add_run_folder,
    parse_clock,
    parse_date,
    parse_energy,
    parse_time,
    run_folder,
    tell_doubts,
    with_outages,
)
from bessvpp.errors import ParameterError
from bessvpp.files import user_path

if TYPE_CHECKING:
    import numpy as np

    from bessvpp.desk.midnight import Midnight
    from bessvpp.params.bess import BessParams
    from bessvpp.runs.folder import RunFolder


def add_plan(commands: argparse._SubParsersAction) -> None:
    """``plan``: tomorrow's forecast, commitment and bid sheet."""
    parser = commands.add_parser(
        "plan",
        help="plan tomorrow: forecasts, commitment and bid sheet",
        description="Plan the day after the data end, from what is known at its gate, with the "
        "models of a finished run. Writes the bid sheet, the forecast and a picture to bids/ in "
        "the run folder.",
        epilog="example: bessvpp plan --profile iex --data data/raw",
    )
    add_models(parser, "prices up to this morning")
    add_outages(parser)
    parser.add_argument("--date", metavar="YYYY-MM-DD", help="delivery day")
    parser.add_argument(
        "--fan",
        choices=("original", "recalibrated"),
        help="which fan (default: that of the parameter files; the run's choice if they say both)",
    )
    parser.add_argument(
        "--energy",
        type=float,
        nargs="+",
        metavar="MWH",
        help="energy planned for the midnight before, of each unit (default: e_start_mwh); with "
        "--at, what is stored then",
    )
    parser.add_argument(
        "--at", metavar="HH:MM", help="time of the day before at which --energy is stored"
    )
    parser.add_argument(
        "--position",
        metavar="FILE",
        help="CSV of what is sold for the day before, every block of it: delivery_start, dam_mw, "
        "or as plan writes it (default: the plan's in the run folder)",
    )
    parser.add_argument(
        "--bids",
        choices=("any-price", "worth"),
        default="any-price",
        help="worth: also a sheet in which each block has the prices at which its trade stops "
        "being worth it (default: at floor and cap, so that what clears is the plan)",
    )
    for kind, what in (("quantiles", "the models' forecasts"), ("paths", "the fan")):
        parser.add_argument(
            f"--own-{kind}",
            metavar="FILE",
            help=f"your own {kind} in place of {what} (default: own_{kind} of the parameters)",
        )
    parser.set_defaults(call=_plan)


def _plan(words: argparse.Namespace) -> int:
    from dataclasses import replace

    from bessvpp.desk.plan import next_delivery_day, plan_day_ahead
    from bessvpp.desk.promised import promise_of, write_promise
    from bessvpp.desk.report import describe_plan, track_record, write_plan, write_worth
    from bessvpp.plots.dispatch import day_ahead
    from bessvpp.runs.contents import recorded_fan, run_market
    from bessvpp.runs.folder import RunFolder
    from bessvpp.runs.inherited import run_parameters

    outputs = run_folder(words.outputs, words.profile)
    run = RunFolder(outputs)
    params = run_parameters(run, words.params).with_own_forecasts(
        *(str(user_path(file)) if file else "" for file in (words.own_quantiles, words.own_paths))
    )
    tell_doubts(params)
    if words.params and (other := params.differing(run_parameters(run, None))):
        print(f"note: {words.params}: other than in the run: {', '.join(other)}", file=sys.stderr)
    params = with_outages(params, words.outage)
    market, fan = (
        run_market(run, params, words.data),
        words.fan or recorded_fan(run, params.backtest),
    )
    date = parse_date(words.date) if words.date else next_delivery_day(market)
    start = parse_energy(words.energy, params.bess) if words.energy else None
    midnight = _midnight(words, run, date, market.n_blocks, params.bess, start)
    planned = plan_day_ahead(
        run,
        market,
        params,
        date=date,
        fan=fan,
        e_start_mwh=midnight.e_mwh if midnight else start,
    )
    if midnight:
        planned = replace(planned, notes=(midnight.in_words(), *planned.notes))
    sheet = write_plan(run, planned, params.bess.units)
    write_promise(run, promise_of(planned, params))
    run.write_picture(f"bids/plan_{planned.date}.png", day_ahead(planned, market.is_synthetic))
    status = run.read_json("manifest.json")["status"]
    if status != "complete":
        print(f"note: the run in {outputs} is {status}", file=sys.stderr)
    print(describe_plan(planned, market, params))
    print(f"\n{track_record(run, fan)}")
    if start is None:
        print("\nMidnight is planned on e_start_mwh: --energy, with --at, says what there is.")
    print(f"\nBid sheet: {sheet}")
    if words.bids == "worth":
        print(f"The same bids at what they are worth: {write_worth(run, planned)}")
    return 0


def _midnight(
    words: argparse.Namespace,
    run: RunFolder,
    date: np.datetime64,
    n_blocks: int,
    bess: BessParams,
    energy_mwh: np.ndarray | None,
) -> Midnight | None:
    """What midnight will hold, where the energy of an earlier time was given."""
    from bessvpp.desk.midnight import midnight_after
    from bessvpp.desk.position import read_position, schedule_of_plan

    if words.at is None:
        if words.position:
            raise ParameterError("--position: say with --at and --energy what is stored, and when")
        return None
    if energy_mwh is None:
        raise ParameterError(f"--at {words.at}: say with --energy what is stored then")
    today = date - 1
    at = dt.datetime.combine(today.item(), parse_clock(words.at))
    place = user_path(words.position) if words.position else schedule_of_plan(run, today)
    return midnight_after(bess, read_position(place, today, n_blocks, bess), energy_mwh, at, place)


def add_trade(commands: argparse._SubParsersAction) -> None:
    """``trade``: the next RTM session's bids, and the rest of the day."""
    parser = commands.add_parser(
        "trade",
        help="trade in real time: the next session's bids, and the rest of the day",
        description="Bid the RTM session whose gate closes at a time, as the backtest's causal "
        "settlement does, and plan the rest of the day from there. Writes bids, plan and all that "
        "they rest on to bids/ in the run folder; bids of earlier gates that are not settled yet "
        "are read back from there.",
        epilog='example: bessvpp trade --profile iex --data data/raw --gate "2025-03-14 13:00" '
        "--trades trades.csv --energy 84",
    )
    add_models(parser, "prices up to the gate, the day's DAM among them")
    add_outages(parser)
    parser.add_argument(
        "--gate", required=True, metavar="TIME", help='when it closes: "YYYY-MM-DD HH:MM"'
    )
    parser.add_argument(
        "--schedule",
        metavar="FILE",
        help="CSV of the day's DAM schedule, as plan writes it, or of delivery_start, dam_mw "
        "(default: the plan's in the run folder)",
    )
    parser.add_argument(
        "--trades",
        metavar="FILE",
        help="CSV of delivery_start, rtm_mw: trades so far, positive sells (default: none)",
    )
    parser.add_argument(
        "--energy",
        type=float,
        nargs="+",
        metavar="MWH",
        help="energy stored now, of each unit (default: what schedule and trades leave)",
    )
    parser.add_argument(
        "--midnight",
        type=float,
        nargs="+",
        metavar="MWH",
        help="energy at the midnight before, of each unit (default: as planned)",
    )
    own = parser.add_mutually_exclusive_group()
    for kind in ("quantiles", "paths"):
        own.add_argument(
            f"--own-{kind}",
            metavar="FILE",
            help=f"your own {kind} of the day, made by this gate, in place of the models'",
        )
    parser.set_defaults(call=_trade)


def _trade(words: argparse.Namespace) -> int:
    from bessvpp.desk.gate import session_of
    from bessvpp.desk.own_outlook import OwnFile
    from bessvpp.desk.position import read_position, read_trades, schedule_of_plan
    from bessvpp.desk.trade import IDLE, trade_session
    from bessvpp.desk.trade_report import describe_session, write_session
    from bessvpp.runs.contents import run_market
    from bessvpp.runs.folder import RunFolder
    from bessvpp.runs.inherited import run_parameters

    run = RunFolder(run_folder(words.outputs, words.profile))
    params = run_parameters(run, words.params)
    tell_doubts(params)
    idle = [key for key in params.differing(run_parameters(run, None)) if key in IDLE]
    if idle:
        print(
            f"note: {words.params}: {', '.join(idle)} decide on a day-ahead plan and have no "
            "bearing on a session",
            file=sys.stderr,
        )
    params = with_outages(params, words.outage)
    market, gate, bess = run_market(run, params, words.data), parse_time(words.gate), params.bess
    date, _ = session_of(gate, params.market, market.n_blocks)
    schedule = user_path(words.schedule) if words.schedule else schedule_of_plan(run, date)
    trades, own = None, words.own_quantiles or words.own_paths
    if words.trades:
        trades = read_trades(user_path(words.trades), date, market.n_blocks, bess)
    trade = trade_session(
        run,
        market,
        params,
        gate,
        read_position(schedule, date, market.n_blocks, bess),
        trades,
        parse_energy(words.energy, bess) if words.energy else None,
        parse_energy(words.midnight, bess, "--midnight") if words.midnight else None,
        own=OwnFile(user_path(own), bool(words.own_paths)) if own else None,
    )
    sheet = write_session(run, trade, bess)
    print(describe_session(trade, market, params))
    print(f"\nBids: {sheet}")
    return 0


def add_close(commands: argparse._SubParsersAction) -> None:
    """``close``: the day after, held against its plan."""
    parser = commands.add_parser(
        "close",
        help="the day after: book what happened and hold it against the plan",
        description="Book a day that was planned: what cleared, what was traded in the RTM and "
        "what was run, at realised prices. Says why net is not what the plan promised, writes "
        "bids/close_<date>.json and adds a row to journal.parquet in the run folder.",
        epilog="example: bessvpp close --profile iex --date 2025-04-02 --data data/raw "
        "--schedule cleared.csv --trades trades.csv --measured meter.csv",
    )
    add_run_folder(parser)
    parser.add_argument("--date", required=True, metavar="YYYY-MM-DD", help="day to close")
    parser.add_argument(
        "--data", metavar="PATH", help="realised prices (default: what the run read)"
    )
    parser.add_argument(
        "--schedule",
        metavar="CSV",
        help="cleared DAM: delivery_start, dam_mw, positive sells (default: as it was bid)",
    )
    parser.add_argument(
        "--trades",
        metavar="CSV",
        help="RTM trades: delivery_start, rtm_mw, positive sells (default: none)",
    )
    parser.add_argument(
        "--measured",
        metavar="CSV",
        help="delivery_start and physical_mw, net power without the auxiliary load, or energy_mwh, "
        "stored at the end of a block; of several units NAME_mw or NAME_mwh each "
        "(default: not measured, and said so)",
    )
    parser.add_argument("--params", metavar="DIR", help="parameter files that the plan was given")
    add_outages(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the day's row in the journal"
    )
    parser.set_defaults(call=_close)


def _close(words: argparse.Namespace) -> int:
    from bessvpp.desk.close import close_day
    from bessvpp.desk.close_report import describe_closed, describe_journal
    from bessvpp.desk.handed import read_handed
    from bessvpp.desk.journal import JOURNAL, append_to_journal
    from bessvpp.desk.promised import read_promise
    from bessvpp.runs.contents import run_market
    from bessvpp.runs.folder import RunFolder
    from bessvpp.runs.inherited import run_parameters

    run = RunFolder(run_folder(words.outputs, words.profile))
    params = with_outages(run_parameters(run, words.params), words.outage)
    promise = read_promise(run, parse_date(words.date))
    files = {
        name: user_path(given)
        for name in ("schedule", "trades", "measured")
        if (given := getattr(words, name)) is not None
    }
    handed = read_handed(promise, params.bess, **files)
    closed = close_day(promise, run_market(run, params, words.data), params, handed)
    rows = append_to_journal(run, closed, words.overwrite)
    print(describe_closed(closed))
    print(f"\n{describe_journal(rows)}\nin {run.path / JOURNAL}")
    return 0
