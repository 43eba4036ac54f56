"""Errors a user can act on.

Each names the file or object, the place in it, what is wrong and what to do.
The command line turns each into one message and its ``exit_code``.
"""

from __future__ import annotations


class BessvppError(Exception):
    """Base of every error raised on purpose by this package."""

    exit_code = 1


class ParameterError(BessvppError):
    """A parameter is unknown, of the wrong kind, or impossible."""

    exit_code = 2


class DataError(BessvppError):
    """Market data cannot be read, cannot be trusted, or do not suffice."""

    exit_code = 3


class MissingArtefactError(BessvppError):
    """A file that an earlier notebook writes is not there."""

    exit_code = 4


class InfeasibleError(BessvppError):
    """A dispatch programme has no solution, or its solver did not prove one."""

    exit_code = 5


class RunError(BessvppError):
    """A run was refused, or one of its notebooks failed."""

    exit_code = 6


class StorageError(BessvppError):
    """A file could not be written: the disk is full or the folder is closed."""

    exit_code = 7


EXTRAS = dict.fromkeys(("matplotlib", "plotly", "IPython", "ipywidgets"), "plots")
EXTRAS |= {"distributed": "cluster"}
EXTRAS |= dict.fromkeys(("nbformat", "papermill", "psutil", "jupyter_book"), "book")


def with_extra(error: ModuleNotFoundError, who: str) -> ModuleNotFoundError:
    """The error, saying which extra of the package brings what ``who`` lacks."""
    missing = (error.name or "").partition(".")[0]
    if missing == "bessvpp":
        return error
    extra = EXTRAS.get(missing, "forecast")
    return ModuleNotFoundError(
        f"{who} needs {missing}: pip install 'bessvpp[{extra}]'", name=error.name
    )
