"""The commands of research: ``run``, ``book``, ``compare``."""

from __future__ import annotations

import argparse
import sys

from bessvpp.commands.typed import add_run_folder, run_folder, tell_doubts
from bessvpp.errors import ParameterError
from bessvpp.files import user_path


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
    from bessvpp.runs.pipeline import refuse_prices, run_notebooks, select
    from bessvpp.runs.profiles import parse_assignments, resolve

    given = parse_assignments([word for group in words.given for word in group])
    if words.jobs is not None:
        if words.jobs < 1:
            raise ParameterError(f"--jobs {words.jobs}: give 1 or more")
        given["jobs"] = words.jobs
    if words.scheduler is not None:
        given["scheduler"] = words.scheduler
    parameters = resolve(words.profile, given, words.params)
    outputs = run_folder(words.outputs, parameters.profile)
    tell_doubts(parameters.sections)
    for told in parameters.overruled:
        print(f"note: {told}", file=sys.stderr)
    chosen = select(list(parameters.declared), words.only, words.start)
    refuse_prices(parameters, chosen)
    if not words.quiet:
        print(f"profile {parameters.profile}, results in {outputs}", flush=True)
    manifest = run_notebooks(
        parameters,
        outputs,
        only=words.only,
        start=words.start,
        overwrite=words.overwrite,
        quiet=words.quiet,
    )
    if manifest["status"] == "complete" and not words.quiet:
        where = f"--outputs {words.outputs}" if words.outputs else f"--profile {words.profile}"
        print(f"finished; next: bessvpp book {where}, or bessvpp plan {where}")
    return 0


def add_book(commands: argparse._SubParsersAction) -> None:
    """``book``: the report from a finished run."""
    parser = commands.add_parser(
        "book",
        help="build the HTML report of a finished run",
        description="Build the HTML report from the executed notebooks of a finished run.",
    )
    add_run_folder(parser)
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

    outputs = run_folder(words.outputs, words.profile)
    index = build_book(outputs)
    if words.readme:
        write_readme(outputs)
    print(headline(outputs))
    print(f"\nThe book is {index}")
    if words.pdf:
        from bessvpp.runs.pdf import print_book

        print(f"Printed: {print_book(outputs)}")
    return 0


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
