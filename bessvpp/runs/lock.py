"""One process at a time in a folder: a lock that goes with the process that holds it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from bessvpp.errors import RunError, StorageError


@contextlib.contextmanager
def sole_user(
    folder: Path,
    busy: str = "another run is at work in",
    name: str = ".lock",
    patience_s: float = 0,
) -> Iterator[None]:
    """Keep a second process out of a folder, or out of one part of it.

    Parameters
    ----------
    busy : what a second one is told, before the folder
    name : of the lock's file, one for each part
    patience_s : how long a second one waits

    Raises
    ------
    RunError
        where another process holds the lock for longer than that.
    StorageError
        where the folder cannot be written to.
    """
    lock = FileLock(folder / name, timeout=patience_s)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RunError(f"{busy} {folder}") from None
    except OSError as error:
        raise StorageError(f"{folder} cannot be written to: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()
