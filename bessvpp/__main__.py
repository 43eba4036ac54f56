"""The command line: ``bessvpp COMMAND``, or ``python -m bessvpp COMMAND``.

Each command is a function of ``commands`` that adds its parser and names what it calls; an error
of this package becomes one message and its exit code. What a command needs is imported when it is
called, so that help comes at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from bessvpp.commands import audit, desk, study
from bessvpp.errors import BessvppError, with_extra

INTERRUPTED = 130
PIPE_CLOSED = 141


COMMANDS = (
    *(study.add_run, desk.add_plan, desk.add_trade, desk.add_close),
    *(audit.add_check, audit.add_replay, study.add_book, study.add_compare),
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
