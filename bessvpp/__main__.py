"""The command line: ``bessvpp COMMAND``, or ``python -m bessvpp COMMAND``.

Each command is a function that adds its parser and names what it calls; an error of this
package becomes one message and its exit code. What a command needs is imported when it is
called, so that help comes at once.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bessvpp.errors import BessvppError, ParameterError, with_extra
from bessvpp.files import PROJECT_ROOT, user_path

if TYPE_CHECKING:
    import numpy as np

    from bessvpp.desk.midnight import Midnight
    from bessvpp.params.bess import BessParams
    from bessvpp.params.load import Params
    from bessvpp.runs.folder import RunFolder

INTERRUPTED = 130
PIPE_CLOSED = 141


def add_run(commands: argparse._SubParsersAction) -> None:
    """``run``: the notebooks in order."""
    parser = commands.add_parser(
        "run",
        help="run the notebooks in order",
        description="Run the notebooks in order. Values come from the parameter files, then the "
        "profile, then -p; all are checked before anything runs.",
        epilog="example: bessvpp run --profile iex -p data=downloads/ --outputs mine",
    )
    parser.add_argument(
        "--profile",
        default="quick",
        metavar="NAME",
        help="quick (default), book, full, iex, or a YAML file of your own",
    )
    some = parser.add_mutually_exclusive_group()
    some.add_argument(
        "--only", nargs="+", default=[], metavar="NN", help="these notebooks only, such as 03 04"
    )
    some.add_argument(
        "--from", dest="start", default="", metavar="NN", help="this notebook and those after it"
    )
    parser.add_argument(
        "-p",
        dest="given",
        action="append",
        nargs="+",
        default=[],
        metavar="key=value",
        help="a notebook parameter, such as -p n_scenarios=80 or -p lambdas=[0,0.1,1]",
    )
    parser.add_argument("--outputs", metavar="DIR", help="run folder (default: outputs/PROFILE)")
    parser.add_argument("--params", default="", metavar="DIR", help="folder of parameter files")
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="worker processes; changes no result (default: one a core)",
    )
    parser.add_argument(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        help="a Dask cluster that plans and settles, in place of processes of this machine",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace results of other parameters"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(call=_run)


def _run(words: argparse.Namespace) -> int:
    from bessvpp.runs.pipeline import run_notebooks
    from bessvpp.runs.profiles import parse_assignments, resolve

    given = parse_assignments([word for group in words.given for word in group])
    if words.jobs is not None:
        if words.jobs < 1:
            raise ParameterError(f"--jobs {words.jobs}: give 1 or more")
        given["jobs"] = words.jobs
    if words.scheduler is not None:
        given["scheduler"] = words.scheduler
    parameters = resolve(words.profile, given, words.params)
    outputs = _run_folder(words.outputs, parameters.profile)
    _tell_doubts(parameters.sections)
    for told in parameters.overruled:
        print(f"note: {told}", file=sys.stderr)
    if not words.quiet:
        print(f"profile {parameters.profile}, results in {outputs}", flush=True)
    run_notebooks(
        parameters,
        outputs,
        only=words.only,
        start=words.start,
        overwrite=words.overwrite,
        quiet=words.quiet,
    )
    return 0


def add_book(commands: argparse._SubParsersAction) -> None:
    """``book``: the report from a finished run."""
    parser = commands.add_parser(
        "book",
        help="build the HTML report of a finished run",
        description="Build the HTML report from the executed notebooks of a finished run.",
    )
    parser.add_argument(
        "--profile", default="quick", metavar="NAME", help="the run in outputs/NAME"
    )
    parser.add_argument("--outputs", metavar="DIR", help="the run in this folder")
    parser.add_argument(
        "--readme", action="store_true", help="put the run's figures into README.md as well"
    )
    parser.add_argument(
        "--pdf", action="store_true", help="print it as one document as well, by Chromium"
    )
    parser.set_defaults(call=_book)


def _book(words: argparse.Namespace) -> int:
    from bessvpp.runs.book import build_book, write_readme
    from bessvpp.runs.headline import headline

    outputs = _run_folder(words.outputs, words.profile)
    index = build_book(outputs)
    if words.readme:
        write_readme(outputs)
    print(headline(outputs))
    print(f"\nThe book is {index}")
    if words.pdf:
        from bessvpp.runs.pdf import print_book

        print(f"Printed: {print_book(outputs)}")
    return 0


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
    _add_models(parser, "prices up to this morning")
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


def _add_models(parser: argparse.ArgumentParser, prices: str) -> None:
    """Words that say by which models, prices and rules a desk plans."""
    parser.add_argument(
        "--profile", default="quick", metavar="NAME", help="models of the run in outputs/NAME"
    )
    parser.add_argument("--outputs", metavar="DIR", help="models of the run in this folder")
    parser.add_argument("--data", metavar="PATH", help=f"{prices} (default: what the run read)")
    parser.add_argument(
        "--params",
        metavar="DIR",
        help="parameter files of battery, costs, rules and risk, all taken as they are "
        "(default: the run's)",
    )


def _plan(words: argparse.Namespace) -> int:
    from dataclasses import replace

    from bessvpp.desk.plan import next_delivery_day, plan_day_ahead
    from bessvpp.desk.promised import promise_of, write_promise
    from bessvpp.desk.report import describe_plan, track_record, write_plan, write_worth
    from bessvpp.plots.dispatch import day_ahead
    from bessvpp.runs.contents import recorded_fan, run_market
    from bessvpp.runs.folder import RunFolder
    from bessvpp.runs.inherited import run_parameters

    outputs = _run_folder(words.outputs, words.profile)
    run = RunFolder(outputs)
    params = run_parameters(run, words.params).with_own_forecasts(
        *(str(user_path(file)) if file else "" for file in (words.own_quantiles, words.own_paths))
    )
    _tell_doubts(params)
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
    _add_models(parser, "prices up to the gate, the day's DAM among them")
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

    run = RunFolder(_run_folder(words.outputs, words.profile))
    params = run_parameters(run, words.params)
    _tell_doubts(params)
    idle = [key for key in params.differing(run_parameters(run, None)) if key in IDLE]
    if idle:
        print(
            f"note: {words.params}: {', '.join(idle)} decide on a day-ahead plan and have no "
            "bearing on a session",
            file=sys.stderr,
        )
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
    parser.add_argument(
        "--profile", default="quick", metavar="NAME", help="the run in outputs/NAME"
    )
    parser.add_argument("--outputs", metavar="DIR", help="the run in this folder")
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
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the day's row in the journal"
    )
    parser.set_defaults(call=_close)


def _close(words: argparse.Namespace) -> int:
    from bessvpp.desk.close import close_day
    from bessvpp.desk.close_report import describe_closed
    from bessvpp.desk.handed import read_handed
    from bessvpp.desk.journal import JOURNAL, append_to_journal
    from bessvpp.desk.promised import read_promise
    from bessvpp.runs.contents import run_market
    from bessvpp.runs.folder import RunFolder
    from bessvpp.runs.inherited import run_parameters

    run = RunFolder(_run_folder(words.outputs, words.profile))
    params, promise = run_parameters(run, words.params), read_promise(run, parse_date(words.date))
    files = {
        name: user_path(given)
        for name in ("schedule", "trades", "measured")
        if (given := getattr(words, name)) is not None
    }
    handed = read_handed(promise, params.bess, **files)
    closed = close_day(promise, run_market(run, params, words.data), params, handed)
    rows = append_to_journal(run, closed, words.overwrite)
    print(describe_closed(closed))
    print(f"\nJournal of {len(rows)} days: {run.path / JOURNAL}")
    return 0


def add_replay(commands: argparse._SubParsersAction) -> None:
    """``replay``: somebody's schedule settled against realised prices."""
    parser = commands.add_parser(
        "replay",
        help="settle a DAM schedule against realised prices",
        description="Settle somebody's DAM schedule day by day against realised prices, under "
        "that desk's own rules.",
        epilog="example: bessvpp replay prices.csv schedule.csv "
        "--params params/desks/public_study.yaml",
    )
    parser.add_argument("prices", metavar="PRICES", help="file or folder of DAM and RTM prices")
    parser.add_argument(
        "commitments",
        metavar="COMMITMENTS",
        help="CSV of delivery_start, dam_mw (positive sells), and physical_mw and "
        "soc_start_mwh where known",
    )
    parser.add_argument(
        "--params", metavar="FILE", help="rules of the desk (default: the project's own)"
    )
    parser.add_argument("--json", metavar="OUT", help="write the report to this file as well")
    parser.set_defaults(call=_replay)


def _replay(words: argparse.Namespace) -> int:
    from bessvpp.params.load import load_desk, load_params
    from bessvpp.runs.folder import RunFolder
    from bessvpp.settlement.replay import describe_audit, replay
    from bessvpp.settlement.schedule import read_schedule

    desk = load_desk(user_path(words.params) if words.params else None)
    schedule = read_schedule(user_path(words.commitments))
    report = replay(schedule, user_path(words.prices), load_params().market, desk)
    if words.json:
        out = user_path(words.json)
        RunFolder(out.parent).write_json(out.name, report)
    print(describe_audit(report))
    return 0


def add_check(commands: argparse._SubParsersAction) -> None:
    """``check``: can these files be trusted?"""
    parser = commands.add_parser(
        "check",
        help="say what price files hold, and whether they can be trusted",
        description="Read price files (xlsx, CSV, JSON, parquet) one by one and print a summary, "
        "then what needs attention: refusals, gaps, excluded days, duplicates and notes; then the "
        "days, of many those that are not whole. Exits with 1, and says why, where a file cannot "
        "be trusted or two disagree.",
        epilog="example: bessvpp check data/raw",
    )
    parser.add_argument("files", nargs="+", metavar="FILE|DIR", help="price files, or folders")
    parser.add_argument(
        "--json", action="store_true", help="print all of it, with every day, as JSON"
    )
    parser.add_argument(
        "--params",
        default="",
        metavar="DIR",
        help="parameter files: caps, floor, columns",
    )
    parser.set_defaults(call=_check)


def _check(words: argparse.Namespace) -> int:
    import json

    from bessvpp.params.load import load_params
    from bessvpp.price_files.check import READ_BY, check_files

    params = load_params(user_path(words.params) if words.params else "")
    idle = [key for key in params.differing(load_params()) if key not in READ_BY]
    if idle:
        print(
            f"note: {words.params}: price files are read by {', '.join(READ_BY)} alone; its "
            f"{', '.join(idle)} have no bearing on them",
            file=sys.stderr,
        )
    report = check_files([user_path(file) for file in words.files], params.market)
    text = json.dumps(report.as_json(), indent=2) if words.json else report.as_text()
    print(text, flush=True)
    return 0 if report.ok else 1


def add_compare(commands: argparse._SubParsersAction) -> None:
    """``compare``: runs held against the first of them."""
    parser = commands.add_parser(
        "compare",
        help="say what differs between runs: parameters, data, figures",
        description="Hold finished runs against the first of them: which parameters and data "
        "differ, and the figures of each run's plan. Where the same days were settled at the same "
        "prices, differences have a band from the days in pairs.",
        epilog="example: bessvpp compare outputs/quick outputs/mine --html compared.html",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of finished runs")
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    parser.add_argument("--html", metavar="FILE", help="write it to this file as a page as well")
    parser.set_defaults(call=_compare)


def _compare(words: argparse.Namespace) -> int:
    import json

    from bessvpp.runs.compare import compare
    from bessvpp.runs.compare_page import as_html, as_text
    from bessvpp.runs.folder import RunFolder

    found = compare([user_path(run) for run in words.runs])
    if words.html:
        page = user_path(words.html)
        RunFolder(page.parent).write_text(page.name, as_html(found))
        print(f"The page is {page}", file=sys.stderr)
    print(json.dumps(found.as_json(), indent=2) if words.json else as_text(found))
    return 0


def parse_date(text: str) -> np.datetime64:
    """A delivery day that a user typed."""
    import numpy as np

    try:
        return np.datetime64(dt.date.fromisoformat(text))
    except ValueError:
        raise ParameterError(f"--date {text}: write it as YYYY-MM-DD") from None


def parse_time(text: str) -> dt.datetime:
    """A gate that a user typed, naive IST."""
    try:
        return dt.datetime.strptime(text, "%Y-%m-%d %H:%M")
    except ValueError:
        raise ParameterError(f'--gate {text}: write it as "YYYY-MM-DD HH:MM"') from None


def parse_clock(text: str) -> dt.time:
    """A time of the day that a user typed, naive IST."""
    try:
        return dt.datetime.strptime(text, "%H:%M").time()
    except ValueError:
        raise ParameterError(f"--at {text}: write it as HH:MM, such as 10:15") from None


def parse_energy(energy_mwh: list[float], bess: BessParams, word: str = "--energy") -> np.ndarray:
    """(U,) energies that a user typed, within each unit's nameplate; its window may be left."""
    import numpy as np

    if len(energy_mwh) != len(bess.units):
        raise ParameterError(f"{word}: give {len(bess.units)} values, one a unit")
    for unit, energy in zip(bess.units, energy_mwh, strict=True):
        if not 0 <= energy <= unit.e_nameplate_mwh:
            raise ParameterError(
                f"{word} {energy:g}: {unit.name} cannot hold that: give 0 to "
                f"{unit.e_nameplate_mwh:g} MWh, its e_nameplate_mwh"
            )
    return np.array(energy_mwh)


def _tell_doubts(params: Params) -> None:
    for doubt in params.doubts():
        print(f"note: {doubt}", file=sys.stderr)


def _run_folder(given: str | None, profile: str) -> Path:
    """Folder of a run: the one given, else that of its profile."""
    return user_path(given) if given else PROJECT_ROOT / "outputs" / profile


COMMANDS = (
    *(add_run, add_plan, add_trade, add_close),
    *(add_check, add_replay, add_book, add_compare),
)
EXAMPLES = """\
Plan, value and audit a battery on the Indian Energy Exchange.

  bessvpp check data/raw                     can these price files be trusted?
  bessvpp run --profile iex                  the notebooks, on these prices
  bessvpp book --profile iex                 the report of that run
  bessvpp plan --profile iex                 tomorrow: forecast, commitment, bid sheet
  bessvpp trade --profile iex --gate TIME    the next RTM session: bids, the rest of the day
  bessvpp close --profile iex --date DAY     the day after: what came of it
  bessvpp replay prices.csv schedule.csv     somebody's schedule, settled
  bessvpp compare outputs/a outputs/b        what differs between runs, and by how much

bessvpp COMMAND --help says more.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command line; its exit code. Without a command, say what there is."""
    if not (sys.argv[1:] if arguments is None else arguments):
        print(EXAMPLES, end="")
        return 0
    parser = argparse.ArgumentParser(
        prog="bessvpp",
        description="Plan, value and audit a battery on the Indian Energy Exchange.",
        epilog="exit codes: 2 parameters, 3 data, 4 a missing file of an earlier notebook, "
        "5 no feasible plan, 6 a refused or failed run, 7 a full disk, 1 anything else",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    words = parser.parse_args(arguments)
    try:
        return words.call(words)
    except BessvppError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        print(f"error: {with_extra(error, 'this command')}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read the output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
