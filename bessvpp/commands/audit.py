"""The commands that judge what others hand in: ``check``, ``replay``."""

from __future__ import annotations

import argparse
import sys

from bessvpp.files import user_path


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
